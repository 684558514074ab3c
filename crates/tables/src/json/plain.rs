//! The commonest forms of numbers, a few instructions each. What is not in such a form goes the
//! long way, which takes all forms and finds the faults; both give the same values.

/// A number without an exponent and of at most 19 digits: ±`mantissa` / 10^`fraction`.
pub(crate) struct PlainNumber {
    pub(crate) mantissa: u64,
    pub(crate) fraction: usize,
    pub(crate) negative: bool,
    /// The position after it.
    pub(crate) end: usize,
}

/// Reads the number at `at`, if it is plain: at most 7 digits before its point and 16 after it,
/// by JSON's grammar, and some bytes away from the end of the text.
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
    loop {
        let (digits, count) = few_digits(bytes, at)?;
        fraction += count;
        if whole + fraction > 19 {
            return None;
        }
        mantissa = mantissa * POWERS[count] + digits;
        at += count;
        if count < 8 {
            break;
        }
    }
    // None where a point was the eighth byte and nothing follows it; 10^16 is the last power of
    // ten here that a binary64 is divided by.
    if fraction == 0 || fraction > 16 || matches!(bytes.get(at)?, b'e' | b'E' | b'.') {
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
    /// The nearest binary64; `None` where one division does not give it.
    #[inline(always)]
    pub(crate) fn to_f64(&self) -> Option<f64> {
        if self.mantissa > 1 << 53 {
            return None;
        }
        // Both are exact, so that the division rounds once.
        let magnitude = self.mantissa as f64 / POWERS_F64[self.fraction];
        Some(if self.negative { -magnitude } else { magnitude })
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

const POWERS_F64: [f64; 17] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16,
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
        if let Some(value) = number.to_f64() {
            prop_assert_eq!(value.to_bits(), parse_f64(text).unwrap().to_bits());
        }
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
            assert_eq!(number.to_f64(), Some(text.parse().unwrap()));
            assert_eq!(number.end, text.len());
        }
        let long = "0.4967141530112327,1234567";
        assert_eq!(
            plain_number(long.as_bytes(), 0).unwrap().to_f64(),
            Some(0.4967141530112327)
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

    proptest! {
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
