//! Decimal numbers in text: one scan finds the end, the digits and the exponent; rounding is
//! correct for every input.

use std::fmt;

use crate::json::eight_digits;

/// Why a number's text gives no value of the type asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NumberError {
    /// The text is not a number.
    NotANumber,
    /// The number has a fraction and the type has none.
    NotWhole,
    /// The number is beyond the type's range.
    OutOfRange,
}

impl fmt::Display for NumberError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            NumberError::NotANumber => "not a number",
            NumberError::NotWhole => "not a whole number",
            NumberError::OutOfRange => "out of range",
        })
    }
}

impl std::error::Error for NumberError {}

/// A scanned decimal number: ±`mantissa` × 10^`exponent`, where `exact`; else the mantissa lacks
/// digits and the text itself has to be asked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Decimal<'a> {
    text: &'a str,
    mantissa: u64,
    exponent: i32,
    negative: bool,
    exact: bool,
}

/// Exponents past this make every number infinite or zero whatever its digits; a request's text
/// is too short to bring it back.
const EXPONENT_CAP: i32 = 1_000_000_000;

/// Any 19 digits fit into 64 bits.
const EXACT_DIGITS: usize = 19;

impl<'a> Decimal<'a> {
    /// Scans the number that starts at `start` by JSON's grammar: `-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?`.
    /// Gives it and the position after it, or the position and reason of the fault.
    #[inline]
    pub(crate) fn scan_json(
        text: &'a str,
        start: usize,
    ) -> Result<(Decimal<'a>, usize), (usize, &'static str)> {
        let bytes = text.as_bytes();
        let mut at = start;
        let negative = bytes.get(at) == Some(&b'-');
        at += usize::from(negative);
        let mut mantissa = 0u64;
        let whole_from = at;
        match bytes.get(at) {
            Some(b'0') => {
                at += 1;
                if bytes.get(at).is_some_and(u8::is_ascii_digit) {
                    return Err((at, "a number has a leading zero"));
                }
            }
            Some(b'1'..=b'9') => at = digits(bytes, at, &mut mantissa),
            _ => return Err((at, "a number has no digits")),
        }
        // A leading 0 counts as a digit here: at worst a long number takes the slow way.
        let mut count = at - whole_from;
        let mut exponent = 0i32;
        if bytes.get(at) == Some(&b'.') {
            let from = at + 1;
            at = digits(bytes, from, &mut mantissa);
            if at == from {
                return Err((at, "a number has no digits after its point"));
            }
            count += at - from;
            exponent = -i32::try_from(at - from).unwrap_or(EXPONENT_CAP);
        }
        if matches!(bytes.get(at), Some(b'e' | b'E')) {
            let (power, end) = exponent_digits(bytes, at + 1)
                .ok_or((at + 1, "a number has no digits in its exponent"))?;
            exponent = exponent.saturating_add(power);
            at = end;
        }
        let decimal = Decimal {
            text: &text[start..at],
            mantissa,
            exponent,
            negative,
            exact: count <= EXACT_DIGITS,
        };
        Ok((decimal, at))
    }

    /// Takes the whole text as a number, as people and files write them: besides JSON's grammar a
    /// leading `+`, leading zeros, and no digits on one side of the point. Blanks are the caller's
    /// to trim; there are no thousands separators.
    pub(crate) fn parse(text: &'a str) -> Option<Decimal<'a>> {
        let bytes = text.as_bytes();
        let mut at = usize::from(matches!(bytes.first(), Some(b'-' | b'+')));
        let mut mantissa = 0u64;
        let from = at;
        at = digits(bytes, at, &mut mantissa);
        let mut count = at - from;
        let mut exponent = 0i32;
        if bytes.get(at) == Some(&b'.') {
            let from = at + 1;
            at = digits(bytes, from, &mut mantissa);
            count += at - from;
            exponent = -i32::try_from(at - from).unwrap_or(EXPONENT_CAP);
        }
        if count == 0 {
            return None;
        }
        if matches!(bytes.get(at), Some(b'e' | b'E')) {
            let (power, end) = exponent_digits(bytes, at + 1)?;
            exponent = exponent.saturating_add(power);
            at = end;
        }
        (at == bytes.len()).then_some(Decimal {
            text,
            mantissa,
            exponent,
            negative: bytes.first() == Some(&b'-'),
            exact: count <= EXACT_DIGITS,
        })
    }

    /// The number's text.
    pub(crate) fn text(&self) -> &'a str {
        self.text
    }

    /// The nearest binary64.
    #[inline]
    pub(crate) fn to_f64(self) -> Result<f64, NumberError> {
        // Both factors are exact, so that one operation rounds once (Clinger's fast path).
        if self.exact && self.mantissa <= 1 << 53 && (-22..=22).contains(&self.exponent) {
            let magnitude = self.mantissa as f64;
            let magnitude = match self.exponent {
                0 => magnitude,
                e if e < 0 => magnitude / POWERS_F64[-e as usize],
                e => magnitude * POWERS_F64[e as usize],
            };
            return Ok(if self.negative { -magnitude } else { magnitude });
        }
        in_range(fast_float2::parse(self.text).map_err(|_| NumberError::NotANumber)?)
    }

    /// The nearest binary32, rounded once from the decimal digits.
    #[inline]
    pub(crate) fn to_f32(self) -> Result<f32, NumberError> {
        if self.exact && self.mantissa <= 1 << 24 && (-10..=10).contains(&self.exponent) {
            let magnitude = self.mantissa as f32;
            let magnitude = match self.exponent {
                0 => magnitude,
                e if e < 0 => magnitude / POWERS_F32[-e as usize],
                e => magnitude * POWERS_F32[e as usize],
            };
            return Ok(if self.negative { -magnitude } else { magnitude });
        }
        let value: f32 = fast_float2::parse(self.text).map_err(|_| NumberError::NotANumber)?;
        if value.is_infinite() {
            return Err(NumberError::OutOfRange);
        }
        Ok(value)
    }

    /// The whole number it is: `5`, `5.0` and `50e-1` are 5.
    #[inline]
    pub(crate) fn to_integer(self) -> Result<i128, NumberError> {
        if self.exact && self.exponent == 0 {
            let magnitude = i128::from(self.mantissa);
            return Ok(if self.negative { -magnitude } else { magnitude });
        }
        self.to_integer_slowly()
    }

    /// [`Decimal::to_integer`] for a point, an exponent or many digits: by the digits themselves,
    /// zeros at the end going to the exponent.
    #[cold]
    fn to_integer_slowly(self) -> Result<i128, NumberError> {
        let mut significant = 0i128;
        let mut zeros = 0i64;
        let mut overflow = false;
        let mut fraction_digits = 0i64;
        let mut after_point = false;
        for byte in self.text.bytes() {
            match byte {
                b'0'..=b'9' => {
                    fraction_digits += i64::from(after_point);
                    if byte == b'0' {
                        zeros += i64::from(significant != 0);
                        continue;
                    }
                    let shift = u32::try_from(zeros + 1).unwrap_or(u32::MAX);
                    let next = 10i128
                        .checked_pow(shift)
                        .and_then(|power| significant.checked_mul(power))
                        .and_then(|shifted| shifted.checked_add(i128::from(byte - b'0')));
                    match next {
                        Some(next) => significant = next,
                        None => overflow = true,
                    }
                    zeros = 0;
                }
                b'.' => after_point = true,
                b'e' | b'E' => break,
                _ => {}
            }
        }
        if significant == 0 && !overflow {
            return Ok(0);
        }
        let power = self.exponent_of_text() + zeros - fraction_digits;
        if power < 0 {
            return Err(NumberError::NotWhole);
        }
        let magnitude = u32::try_from(power)
            .ok()
            .and_then(|power| 10i128.checked_pow(power))
            .and_then(|power| significant.checked_mul(power))
            .filter(|_| !overflow)
            .ok_or(NumberError::OutOfRange)?;
        Ok(if self.negative { -magnitude } else { magnitude })
    }

    /// The written exponent alone, 0 without one.
    fn exponent_of_text(&self) -> i64 {
        let bytes = self.text.as_bytes();
        let mark = bytes.iter().position(|byte| matches!(byte, b'e' | b'E'));
        let power = mark.and_then(|mark| exponent_digits(bytes, mark + 1));
        power.map_or(0, |(power, _)| i64::from(power))
    }
}

fn in_range(value: f64) -> Result<f64, NumberError> {
    match value.is_infinite() {
        true => Err(NumberError::OutOfRange),
        false => Ok(value),
    }
}

/// Reads digits from `at` on into the mantissa, which wraps where they are too many, and gives
/// the position after them.
#[inline]
fn digits(bytes: &[u8], mut at: usize, mantissa: &mut u64) -> usize {
    // Eight at a time: long fractions are common where programs write numbers.
    while let Some(&eight) = bytes.get(at..).and_then(|rest| rest.first_chunk::<8>()) {
        let word = u64::from_le_bytes(eight);
        if !is_eight_digits(word) {
            break;
        }
        *mantissa = mantissa
            .wrapping_mul(100_000_000)
            .wrapping_add(eight_digits(word.wrapping_sub(0x3030_3030_3030_3030)));
        at += 8;
    }
    while let Some(digit) = bytes.get(at).map(|byte| byte.wrapping_sub(b'0')) {
        if digit > 9 {
            break;
        }
        *mantissa = mantissa.wrapping_mul(10).wrapping_add(u64::from(digit));
        at += 1;
    }
    at
}

/// Whether each of eight bytes is a digit.
#[inline]
fn is_eight_digits(word: u64) -> bool {
    let above = word.wrapping_add(0x4646_4646_4646_4646);
    let below = word.wrapping_sub(0x3030_3030_3030_3030);
    (above | below) & 0x8080_8080_8080_8080 == 0
}

/// Reads an exponent's sign and digits; `None` where there are no digits.
fn exponent_digits(bytes: &[u8], mut at: usize) -> Option<(i32, usize)> {
    let negative = bytes.get(at) == Some(&b'-');
    at += usize::from(matches!(bytes.get(at), Some(b'-' | b'+')));
    let from = at;
    let mut power = 0i32;
    while let Some(&byte @ b'0'..=b'9') = bytes.get(at) {
        power = power
            .saturating_mul(10)
            .saturating_add(i32::from(byte - b'0'))
            .min(EXPONENT_CAP);
        at += 1;
    }
    (at > from).then_some((if negative { -power } else { power }, at))
}

const POWERS_F64: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16,
    1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
];

const POWERS_F32: [f32; 11] = [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10];

/// `NaN`, `Infinity`, `-Infinity`: numbers that have no digits. Spelled in this one way.
pub(crate) fn special(text: &str) -> Option<f64> {
    match text {
        "NaN" => Some(f64::NAN),
        "Infinity" => Some(f64::INFINITY),
        "-Infinity" => Some(f64::NEG_INFINITY),
        _ => None,
    }
}

/// A text as the nearest binary64. Blanks around it are trimmed; `NaN`, `Infinity` and
/// `-Infinity` count as numbers.
pub fn parse_f64(text: &str) -> Result<f64, NumberError> {
    let text = super::trim(text);
    match Decimal::parse(text) {
        Some(decimal) => decimal.to_f64(),
        None => special(text).ok_or(NumberError::NotANumber),
    }
}

/// A text as the nearest binary32, rounded once. Blanks and special values as in [`parse_f64`].
pub fn parse_f32(text: &str) -> Result<f32, NumberError> {
    let text = super::trim(text);
    match Decimal::parse(text) {
        Some(decimal) => decimal.to_f32(),
        None => special(text)
            .map(|value| value as f32)
            .ok_or(NumberError::NotANumber),
    }
}

/// A text as a whole number; `5.0` and `5e0` are 5. Blanks around it are trimmed. The bounds of a
/// narrower type are the caller's ([`crate::DataType::integer_bounds`]).
pub fn parse_integer(text: &str) -> Result<i128, NumberError> {
    let decimal = Decimal::parse(super::trim(text)).ok_or(NumberError::NotANumber)?;
    decimal.to_integer()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Decimal, NumberError, parse_f32, parse_f64, parse_integer};

    #[test]
    fn numbers_are_read_as_people_write_them() {
        for (text, expected) in [
            ("5", 5.0),
            (" 5 ", 5.0),
            ("\t5.0\r\n", 5.0),
            ("+5", 5.0),
            ("-5", -5.0),
            (".5", 0.5),
            ("5.", 5.0),
            ("007", 7.0),
            ("1e3", 1000.0),
            ("1.5E-05", 0.000_015),
            ("0.1", 0.1),
            ("9007199254740993", 9_007_199_254_740_992.0),
            (
                "123456789012345678901234567890",
                123_456_789_012_345_680_000_000_000_000.0,
            ),
            ("4.9e-324", 5e-324),
            ("1e-400", 0.0),
        ] {
            assert_eq!(parse_f64(text), Ok(expected), "{text}");
        }
        for text in [
            "",
            " ",
            "abc",
            "1,000",
            "5 5",
            "0x10",
            "1e",
            "e5",
            ".",
            "-",
            "+",
            "--5",
            "nan",
            "inf",
            "INF",
            "infinity",
            "NAN",
            "+Infinity",
            "true",
            "5f",
            "1_000",
            "٥",
        ] {
            assert_eq!(parse_f64(text), Err(NumberError::NotANumber), "{text}");
            assert_eq!(parse_f32(text), Err(NumberError::NotANumber), "{text}");
        }
        assert!(parse_f64(" NaN ").unwrap().is_nan());
        assert_eq!(parse_f64("Infinity"), Ok(f64::INFINITY));
        assert_eq!(parse_f32("-Infinity"), Ok(f32::NEG_INFINITY));
        assert_eq!(parse_f64("1e309"), Err(NumberError::OutOfRange));
        assert_eq!(parse_f64("-1e999999999999"), Err(NumberError::OutOfRange));
        assert_eq!(parse_f32("1e39"), Err(NumberError::OutOfRange));
        assert_eq!(parse_f64("0e999999999999"), Ok(0.0));
    }

    #[test]
    fn whole_numbers_may_have_a_point_or_an_exponent() {
        for (text, expected) in [
            ("5", 5),
            ("5.0", 5),
            ("-5.000", -5),
            ("50e-1", 5),
            ("0.5e1", 5),
            ("1e18", 1_000_000_000_000_000_000),
            ("-0", 0),
            ("-0.0e5", 0),
            ("0e-999999999999", 0),
            ("18446744073709551615", u64::MAX.into()),
            (
                "18446744073709551615.0000000000000000000000000000000000000000000",
                u64::MAX.into(),
            ),
            ("0000000000000000000000000000000000000000000000000042", 42),
        ] {
            assert_eq!(parse_integer(text), Ok(expected), "{text}");
        }
        for text in ["5.5", "1e-1", "0.00000000000000000000001", "1.5e0", "-5.1"] {
            assert_eq!(parse_integer(text), Err(NumberError::NotWhole), "{text}");
        }
        for text in ["1e39", "1e999999999999", "-1e40"] {
            assert_eq!(parse_integer(text), Err(NumberError::OutOfRange), "{text}");
        }
        for text in ["", "abc", "1,000", "NaN", "true"] {
            assert_eq!(parse_integer(text), Err(NumberError::NotANumber), "{text}");
        }
    }

    #[test]
    fn a_binary32_is_rounded_once() {
        // Through binary64 this one would end a unit away.
        let text = "1.00000017881393432617187499";
        assert_eq!(parse_f32(text), Ok(text.parse().unwrap()));
        assert_ne!(parse_f32(text).unwrap(), parse_f64(text).unwrap() as f32);
        assert_eq!(parse_f32("0.1"), Ok(0.1));
        assert_eq!(parse_f32("16777217"), Ok(16_777_216.0));
    }

    proptest! {
        #[test]
        fn json_numbers_round_as_the_standard_library_does(
            text in "-?(0|[1-9][0-9]{0,24})(\\.[0-9]{1,24})?([eE][+-]?[0-9]{1,3})?"
        ) {
            let (decimal, end) = Decimal::scan_json(&text, 0).unwrap();
            prop_assert_eq!(end, text.len());
            let expected: f64 = text.parse().unwrap();
            match decimal.to_f64() {
                Ok(value) => prop_assert_eq!(value.to_bits(), expected.to_bits()),
                Err(_) => prop_assert!(expected.is_infinite()),
            }
            let expected: f32 = text.parse().unwrap();
            match decimal.to_f32() {
                Ok(value) => prop_assert_eq!(value.to_bits(), expected.to_bits()),
                Err(_) => prop_assert!(expected.is_infinite()),
            }
        }

        #[test]
        fn shortest_digits_come_back_as_they_were(bits: u64) {
            let value = f64::from_bits(bits);
            prop_assume!(value.is_finite());
            prop_assert_eq!(parse_f64(&value.to_string()).unwrap().to_bits(), bits);
            let scientific = format!("{value:e}");
            prop_assert_eq!(parse_f64(&scientific).unwrap().to_bits(), bits);
        }

        #[test]
        fn whole_numbers_come_back_whatever_their_form(value: i64, zeros in 0usize..30) {
            let point = format!("{value}.{}", "0".repeat(zeros));
            prop_assert_eq!(parse_integer(&point), Ok(i128::from(value)));
            let padded = format!("{value}{}e-{zeros}", "0".repeat(zeros));
            prop_assert_eq!(parse_integer(&padded), Ok(i128::from(value)));
        }
    }
}
