//! The commonest forms of numbers, a few instructions each. What is not in such a form goes the
//! long way, which takes all forms and finds the faults; both give the same values.

/// A number without an exponent: ±`mantissa` / 10^`fraction`, of at most 19 digits behind its
/// point and altogether, where a single zero before the point does not count.
pub(crate) struct PlainNumber {
    pub(crate) mantissa: u64,
    pub(crate) fraction: usize,
    pub(crate) negative: bool,
    /// The position after it.
    pub(crate) end: usize,
}

/// Reads the number at `at`, if it is plain: at most 7 digits before its point, by JSON's grammar,
/// and some bytes away from the end of the text.
#[inline(always)]
pub(crate) fn plain_number(bytes: &[u8], at: usize) -> Option<PlainNumber> {
    let negative = *bytes.get(at)? == b'-';
    let from = at + usize::from(negative);
    let word = u64::from_le_bytes(*bytes.get(from..)?.first_chunk::<8>()?);
    // Most numbers end within eight bytes, their point included. No byte borrows from the next
    // one here, so that all marks are right: in `others` a byte's high bit is set where it is no
    // digit, in `digits` a digit has its value.
    let above = (word | HIGHS) - ONES * 0x30;
    let others = (!above | word | (word.wrapping_add(ONES * 0x46))) & HIGHS;
    let digits = above ^ HIGHS;
    let whole = others.trailing_zeros() as usize / 8;
    if whole == 0 || whole == 8 || (whole > 1 && word as u8 == b'0') {
        return None;
    }
    let mark = (word >> (8 * whole)) as u8;
    if mark != b'.' {
        let end = from + whole;
        return (mark | 0x20 != b'e').then(|| PlainNumber {
            mantissa: eight_digits(digits << (64 - 8 * whole)),
            fraction: 0,
            negative,
            end,
        });
    }
    let end = (others & (others - 1)).trailing_zeros() as usize / 8;
    if end == 8 {
        return long_fraction(bytes, from, digits, whole, negative);
    }
    let fraction = end - whole - 1;
    let mark = (word >> (8 * end)) as u8;
    if fraction == 0 || mark | 0x20 == b'e' || mark == b'.' {
        return None;
    }
    // The digits after the point move one place down, over it.
    let before = (1 << (8 * whole)) - 1;
    let joined = (digits & before) | ((digits >> 8) & !before);
    Some(PlainNumber {
        mantissa: eight_digits(joined << (64 - 8 * (end - 1))),
        fraction,
        negative,
        end: from + end,
    })
}

/// [`plain_number`] for a number whose fraction goes beyond the eight bytes from `from` on, where
/// `whole` digits stand before its point.
#[inline(always)]
fn long_fraction(
    bytes: &[u8],
    from: usize,
    digits: u64,
    whole: usize,
    negative: bool,
) -> Option<PlainNumber> {
    let mut mantissa = eight_digits(digits << (64 - 8 * whole));
    let mut at = from + whole + 1;
    let mut fraction = 0;
    // Any 19 digits fit into 64 bits.
    let most = 19 - if mantissa == 0 { 0 } else { whole };
    loop {
        let (digits, count) = few_digits(bytes, at)?;
        fraction += count;
        if fraction > most {
            return None;
        }
        mantissa = mantissa * POWERS[count] + digits;
        at += count;
        if count < 8 {
            break;
        }
    }
    // None where a point was the eighth byte and nothing follows it.
    if fraction == 0 || matches!(bytes.get(at)?, b'e' | b'E' | b'.') {
        return None;
    }
    Some(PlainNumber {
        mantissa,
        fraction,
        negative,
        end: at,
    })
}

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = 0x8080_8080_8080_8080;

impl PlainNumber {
    /// The nearest binary64.
    #[inline(always)]
    pub(crate) fn to_f64(&self) -> f64 {
        // Both are exact, so that the division rounds once.
        let magnitude = match self.mantissa <= 1 << 53 {
            true => self.mantissa as f64 / POWERS_F64[self.fraction],
            false => scaled(self.mantissa, self.fraction),
        };
        if self.negative { -magnitude } else { magnitude }
    }

    /// The nearest binary32; `None` where one division does not give it.
    #[inline(always)]
    pub(crate) fn to_f32(&self) -> Option<f32> {
        if self.mantissa > 1 << 24 || self.fraction > 10 {
            return None;
        }
        // 10^10 is the greatest power of ten that a binary32 holds exactly.
        let magnitude = self.mantissa as f32 / POWERS_F64[self.fraction] as f32;
        Some(if self.negative { -magnitude } else { magnitude })
    }

    /// The whole number; `None` where there are digits after a point.
    #[inline(always)]
    pub(crate) fn to_i64(&self) -> Option<i64> {
        if self.fraction != 0 {
            return None;
        }
        // Seven digits at most.
        let magnitude = self.mantissa as i64;
        Some(if self.negative { -magnitude } else { magnitude })
    }
}

/// `mantissa` / 10^`fraction` as the nearest binary64, for a mantissa that is not 0 and a fraction
/// of at most 19 digits: the product with a reciprocal of 128 bits, by Eisel and Lemire. Lemire
/// ("Number parsing at a gigabyte per second", 2021) shows that with powers of ten this small the
/// product always tells how to round.
#[inline(always)]
fn scaled(mantissa: u64, fraction: usize) -> f64 {
    /// Of the upper half of the product these bits have to be right.
    const UNSURE: u64 = u64::MAX >> 55;
    let zeros = mantissa.leading_zeros();
    let normal = mantissa << zeros;
    // Without a fraction the mantissa itself is the product's upper half.
    let (mut high, mut low) = (normal >> 1, normal << 63);
    if fraction > 0 {
        let reciprocal = RECIPROCALS[fraction - 1];
        let first = u128::from(normal) * (reciprocal >> 64);
        (high, low) = ((first >> 64) as u64, first as u64);
        if high & UNSURE == UNSURE {
            let second = (u128::from(normal) * (reciprocal & u128::from(u64::MAX))) >> 64;
            let (sum, carry) = low.overflowing_add(second as u64);
            low = sum;
            high += u64::from(carry);
        }
    }
    let upper = (high >> 63) as i32;
    let shift = upper + 9;
    let mut bits = high >> shift;
    // Right between two values the even one is taken, and the product tells that this is so only
    // where it can be exact.
    if low <= 1 && fraction <= 4 && bits & 3 == 1 && bits << shift == high {
        bits &= !1;
    }
    bits = (bits + (bits & 1)) >> 1;
    let power = -(fraction as i32);
    let mut exponent = ((power * (152_170 + 65_536)) >> 16) + 63 + upper - zeros as i32 + 1023;
    if bits >= 1 << 53 {
        bits = 1 << 52;
        exponent += 1;
    }
    f64::from_bits((bits & !(1 << 52)) | ((exponent as u64) << 52))
}

/// 5^-1 to 5^-19, scaled by powers of two to 128 bits and rounded up.
const RECIPROCALS: [u128; 19] = [
    0xcccc_cccc_cccc_cccc_cccc_cccc_cccc_cccd,
    0xa3d7_0a3d_70a3_d70a_3d70_a3d7_0a3d_70a4,
    0x8312_6e97_8d4f_df3b_645a_1cac_0831_26ea,
    0xd1b7_1758_e219_652b_d3c3_6113_404e_a4a9,
    0xa7c5_ac47_1b47_8423_0fcf_80dc_3372_1d54,
    0x8637_bd05_af6c_69b5_a63f_9a49_c2c1_b110,
    0xd6bf_94d5_e57a_42bc_3d32_9076_0469_1b4d,
    0xabcc_7711_8461_cefc_fdc2_0d2b_36ba_7c3e,
    0x8970_5f41_36b4_a597_3168_0a88_f895_3031,
    0xdbe6_fece_bded_d5be_b573_440e_5a88_4d1c,
    0xafeb_ff0b_cb24_aafe_f78f_69a5_1539_d749,
    0x8cbc_cc09_6f50_88cb_f93f_87b7_442e_45d4,
    0xe12e_1342_4bb4_0e13_2865_a5f2_06b0_6fba,
    0xb424_dc35_095c_d80f_5384_84c1_9ef3_8c95,
    0x901d_7cf7_3ab0_acd9_0f9d_3701_4bf6_0a11,
    0xe695_94be_c44d_e15b_4c2e_be68_7989_a9b4,
    0xb877_aa32_36a4_b449_09be_feb9_fad4_87c3,
    0x9392_ee8e_921d_5d07_3aff_322e_6243_9fd0,
    0xec1e_4a7d_b695_61a5_2b31_e9e3_d06c_32e6,
];

const POWERS: [u64; 9] = [
    1,
    10,
    100,
    1_000,
    10_000,
    100_000,
    1_000_000,
    10_000_000,
    100_000_000,
];

const POWERS_F64: [f64; 20] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16,
    1e17, 1e18, 1e19,
];

/// The value and the count of the digits at `at`, eight at most; `None` near the end of the text.
#[inline(always)]
fn few_digits(bytes: &[u8], at: usize) -> Option<(u64, usize)> {
    let word = u64::from_le_bytes(*bytes.get(at..)?.first_chunk::<8>()?);
    let digits = word.wrapping_sub(0x3030_3030_3030_3030);
    // A byte's high bit is set where it is no digit; right up to the first such byte.
    let others = (word.wrapping_add(0x4646_4646_4646_4646) | digits) & 0x8080_8080_8080_8080;
    let count = others.trailing_zeros() as usize / 8;
    if count == 0 {
        return Some((0, 0));
    }
    // Digits go to the top bytes, as if zeros stood before them.
    Some((eight_digits(digits << (64 - 8 * count)), count))
}

/// The number that eight bytes of value 0 to 9 make, the first in the lowest byte: pairs, then
/// fours, then all.
#[inline(always)]
pub(crate) fn eight_digits(digits: u64) -> u64 {
    const MASK: u64 = 0x0000_00ff_0000_00ff;
    const FIRST: u64 = 100 + (1_000_000 << 32);
    const SECOND: u64 = 1 + (10_000 << 32);
    let pairs = digits.wrapping_mul(10).wrapping_add(digits >> 8);
    let first = (pairs & MASK).wrapping_mul(FIRST);
    let second = ((pairs >> 16) & MASK).wrapping_mul(SECOND);
    first.wrapping_add(second) >> 32
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::plain_number;
    use crate::text::{Decimal, parse_f32, parse_f64, parse_integer};

    fn check(text: &str) -> Result<(), TestCaseError> {
        let followed = format!("{text}, 12345678");
        let Some(number) = plain_number(followed.as_bytes(), 0) else {
            return Ok(());
        };
        let (_, end) = Decimal::scan_json(&followed, 0).map_err(|(_, what)| {
            TestCaseError::fail(format!("{followed} is taken and is no number: {what}"))
        })?;
        prop_assert_eq!(number.end, end);
        let text = &followed[..end];
        prop_assert_eq!(
            number.to_f64().to_bits(),
            parse_f64(text).unwrap().to_bits()
        );
        let by_std: f64 = text.parse().unwrap();
        prop_assert_eq!(number.to_f64().to_bits(), by_std.to_bits());
        if let Some(value) = number.to_f32() {
            prop_assert_eq!(value.to_bits(), parse_f32(text).unwrap().to_bits());
        }
        if let Some(value) = number.to_i64() {
            prop_assert_eq!(i128::from(value), parse_integer(text).unwrap());
        }
        Ok(())
    }

    #[test]
    fn common_numbers_are_plain() {
        for text in [
            "0", "-0", "7", "39", "-39", "1234567", "17.99", "0.1184", "-0.5", "0.0",
        ] {
            let number = plain_number(format!("{text},1234567").as_bytes(), 0).expect(text);
            assert_eq!(number.to_f64(), text.parse::<f64>().unwrap());
            assert_eq!(number.end, text.len());
        }
        let long = "0.4967141530112327,1234567";
        assert_eq!(
            plain_number(long.as_bytes(), 0).unwrap().to_f64(),
            0.4967141530112327
        );
        for text in [
            "", "-", "01", "01.5", "1..2", "1.é", "1234567.", "123456.", "1.", ".5", "1e5",
            "1.5E3", "1.2.3", "12345678", "+1", "x",
        ] {
            assert!(
                plain_number(format!("{text},1234567").as_bytes(), 0).is_none(),
                "{text}"
            );
        }
        assert!(plain_number(b"1", 0).is_none());
    }

    /// Both ways of rounding, ties and all: numbers whose digits are those of values halfway
    /// between two neighbours, and one more or less.
    #[test]
    fn halves_are_rounded_to_even() {
        for shift in 1..11 {
            for i in 0..1000u64 {
                let odd = ((1u64 << 53) + i * 0x1234_5678_9abd) << shift;
                let half = odd | (1 << (shift - 1));
                for mantissa in [half - 1, half, half + 1] {
                    for fraction in 0..=18 {
                        let digits = mantissa.to_string();
                        let Some(at) = digits.len().checked_sub(fraction) else {
                            continue;
                        };
                        let text = match at {
                            0 => format!("0.{digits}"),
                            at => format!("{}.{}", &digits[..at], &digits[at..]),
                        };
                        let expected: f64 = text.parse().unwrap();
                        let value = super::scaled(mantissa, fraction);
                        assert_eq!(value.to_bits(), expected.to_bits(), "{text}");
                    }
                }
            }
        }
    }

    proptest! {
        #[test]
        fn scaling_rounds_right(mantissa in 1u64.., fraction in 0usize..20) {
            let expected: f64 = format!("{mantissa}e-{fraction}").parse().unwrap();
            prop_assert_eq!(super::scaled(mantissa, fraction).to_bits(), expected.to_bits());
        }

        #[test]
        fn shortest_texts_of_any_value_are_right(value in -1e7f64..1e7, scale in -4i32..8) {
            check(&(value / 10f64.powi(scale)).to_string())?;
        }

        #[test]
        fn plain_numbers_are_those_of_the_long_way(text in "-?[0-9]{1,9}(\\.[0-9]{1,20})?") {
            check(&text)?;
        }

        #[test]
        fn what_ends_in_the_wrong_place_is_left_to_the_long_way(
            text in "-?[0-9]{1,9}(\\.[0-9]{0,20})?[.eE+-]?[0-9]?"
        ) {
            check(&text)?;
        }

        #[test]
        fn what_is_nearly_a_number_is_left_to_the_long_way(text in "[-+0-9.eE:/ é\u{ba}\u{0}]{1,12}") {
            check(&text)?;
        }
    }
}
