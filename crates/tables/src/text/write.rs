//! One cell out: the text of a value as the classic service wrote it.

use crate::column::{Column, Values};
use crate::data_type::DataType;
use crate::text::time::{write_date_time, write_date_time_offset, write_duration};

/// Appends the text of one value, or nothing where it is missing, and says which it was.
///
/// Numbers have the fewest digits that read back as the same value (a `Float` those of its own
/// width), are plain for 1E-04 ≤ |x| < 1E+15 and else of the form `1.5E-05`; whole ones have no
/// point; zero has no sign. Then `NaN`, `Infinity`, `-Infinity`; `True`, `False`;
/// `9/21/2014 11:10:00 AM`, with ` +00:00` for a `DateTimeOffset`; `[-][d.]hh:mm:ss[.fffffff]`.
/// Texts stand as they are: escaping is the caller's.
pub fn write_cell(column: &Column, data_type: DataType, row: usize, out: &mut Vec<u8>) -> bool {
    if column.is_missing(row) {
        return false;
    }
    match &column.values {
        Values::Str(v) => out.extend_from_slice(v.get(row).as_bytes()),
        _ => write_value(&column.values, data_type, row, out),
    }
    true
}

/// Appends the text of a value that is not a text itself; it holds nothing that JSON or CSV would
/// escape.
#[inline]
pub(crate) fn write_value(values: &Values, data_type: DataType, row: usize, out: &mut Vec<u8>) {
    match values {
        Values::F64(v) => write_f64(v[row], out),
        Values::F32(v) => write_f32(v[row], out),
        Values::I32(v) => write_integer(v[row], out),
        Values::I64(v) => match data_type {
            DataType::DateTime => write_date_time(v[row], out),
            DataType::DateTimeOffset => write_date_time_offset(v[row], out),
            DataType::Duration => write_duration(v[row], out),
            _ => write_integer(v[row], out),
        },
        Values::U64(v) => write_integer(v[row], out),
        Values::Bool(v) => out.extend_from_slice(boolean(v[row]).as_bytes()),
        Values::Str(v) => out.extend_from_slice(v.get(row).as_bytes()),
    }
}

/// `True` or `False`, as .NET writes them.
pub(crate) fn boolean(value: bool) -> &'static str {
    if value { "True" } else { "False" }
}

fn write_integer<I: itoa::Integer>(value: I, out: &mut Vec<u8>) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

fn write_f64(value: f64, out: &mut Vec<u8>) {
    if value == 0.0 {
        return out.push(b'0');
    }
    if !value.is_finite() {
        return write_special(value, out);
    }
    let mut buffer = zmij::Buffer::new();
    let magnitude = value.abs();
    let plain = (1e-4..1e15).contains(&magnitude);
    write_shortest(buffer.format_finite(value), plain, out);
}

fn write_f32(value: f32, out: &mut Vec<u8>) {
    if value == 0.0 {
        return out.push(b'0');
    }
    if !value.is_finite() {
        return write_special(f64::from(value), out);
    }
    let mut buffer = zmij::Buffer::new();
    let magnitude = value.abs();
    let plain = (1e-4..1e15f32).contains(&magnitude);
    write_shortest(buffer.format_finite(value), plain, out);
}

fn write_special(value: f64, out: &mut Vec<u8>) {
    out.extend_from_slice(match value {
        value if value.is_nan() => b"NaN",
        value if value > 0.0 => b"Infinity",
        _ => b"-Infinity",
    });
}

/// Brings shortest digits (`1.0`, `0.00015`, `1.5e-7`, `1e16`) into the service's form.
#[inline]
fn write_shortest(shortest: &str, plain: bool, out: &mut Vec<u8>) {
    // In the plain range they mostly have that form already.
    let bytes = shortest.as_bytes();
    // An exponent is `e-324` at its longest.
    let exponent = bytes[bytes.len().saturating_sub(5)..].contains(&b'e');
    if plain && !exponent {
        let whole = shortest.strip_suffix(".0");
        out.extend_from_slice(whole.unwrap_or(shortest).as_bytes());
        return;
    }
    let (unsigned, negative) = match shortest.strip_prefix('-') {
        Some(rest) => (rest, true),
        None => (shortest, false),
    };
    if negative {
        out.push(b'-');
    }
    let (mantissa, power) = match unsigned.split_once('e') {
        Some((mantissa, power)) => (mantissa, power.parse().unwrap_or(0)),
        None => (unsigned, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    // 17 digits at most, and in a plain form a few zeros around them.
    let mut digits = [b'0'; 32];
    let mut count = 0;
    let mut leading = 0;
    for byte in whole.bytes().chain(fraction.bytes()) {
        if count == 0 && byte == b'0' {
            leading += 1;
        } else if count < digits.len() {
            digits[count] = byte;
            count += 1;
        }
    }
    while count > 1 && digits[count - 1] == b'0' {
        count -= 1;
    }
    // The power of ten of the first digit.
    let first = power + whole.len() as i32 - 1 - leading;
    match plain {
        true => write_plain(&digits[..count], first, out),
        false => write_scientific(&digits[..count], first, out),
    }
}

/// Digits, the first of which counts 10^`first`, with a point only where there is a fraction.
fn write_plain(digits: &[u8], first: i32, out: &mut Vec<u8>) {
    if first < 0 {
        out.extend_from_slice(b"0.");
        out.extend(std::iter::repeat_n(b'0', (-first - 1) as usize));
        out.extend_from_slice(digits);
        return;
    }
    let places = first as usize + 1;
    let (whole, fraction) = digits.split_at(places.min(digits.len()));
    out.extend_from_slice(whole);
    out.extend(std::iter::repeat_n(b'0', places - whole.len()));
    if !fraction.is_empty() {
        out.push(b'.');
        out.extend_from_slice(fraction);
    }
}

/// Digits, the first of which counts 10^`first`, as `1.5E-05`.
fn write_scientific(digits: &[u8], first: i32, out: &mut Vec<u8>) {
    let (head, tail) = digits.split_at(1);
    out.extend_from_slice(head);
    if !tail.is_empty() {
        out.push(b'.');
        out.extend_from_slice(tail);
    }
    out.extend_from_slice(if first < 0 { b"E-" } else { b"E+" });
    if first.unsigned_abs() < 10 {
        out.push(b'0');
    }
    write_integer(first.unsigned_abs(), out);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{write_cell, write_f32, write_f64};
    use crate::column::{Bitmap, Column, Strings, Values};
    use crate::data_type::DataType;
    use crate::text::{parse_f32, parse_f64};

    fn f64_text(value: f64) -> String {
        let mut out = Vec::new();
        write_f64(value, &mut out);
        String::from_utf8(out).unwrap()
    }

    fn f32_text(value: f32) -> String {
        let mut out = Vec::new();
        write_f32(value, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn doubles_have_the_services_form() {
        for (value, expected) in [
            (0.0, "0"),
            (-0.0, "0"),
            (1.0, "1"),
            (-5.0, "-5"),
            (0.1, "0.1"),
            (0.922785222530365, "0.922785222530365"),
            (100749.893789066, "100749.893789066"),
            (0.0001, "0.0001"),
            (0.00015, "0.00015"),
            (0.00009999, "9.999E-05"),
            (0.000015, "1.5E-05"),
            (-0.00001, "-1E-05"),
            (1.5e-7, "1.5E-07"),
            (1e-10, "1E-10"),
            (5e-324, "5E-324"),
            (999_999_999_999_999.0, "999999999999999"),
            (999_999_999_999_999.9, "999999999999999.9"),
            (1e15, "1E+15"),
            (1_234_567_890_123_456.0, "1.234567890123456E+15"),
            (9_007_199_254_740_993.0, "9.007199254740992E+15"),
            (1e16, "1E+16"),
            (1.5e22, "1.5E+22"),
            (-1e100, "-1E+100"),
            (f64::MAX, "1.7976931348623157E+308"),
            (f64::NAN, "NaN"),
            (f64::INFINITY, "Infinity"),
            (f64::NEG_INFINITY, "-Infinity"),
        ] {
            assert_eq!(f64_text(value), expected);
        }
    }

    #[test]
    fn floats_have_their_own_shortest_digits() {
        for (value, expected) in [
            (0.1, "0.1"),
            (-0.0, "0"),
            (16_777_216.0, "16777216"),
            (1e13, "10000000000000"),
            (1.5e14, "150000000000000"),
            (9.999_999e14, "999999900000000"),
            (1e15, "1E+15"),
            (1e-4, "0.0001"),
            (1.5e-4, "0.00015"),
            (0.000_09, "9E-05"),
            (f32::MAX, "3.4028235E+38"),
            (f32::NAN, "NaN"),
            (f32::NEG_INFINITY, "-Infinity"),
        ] {
            assert_eq!(f32_text(value), expected);
        }
    }

    #[test]
    fn cells_have_their_types_form() {
        let cell = |column: Column, data_type| {
            let mut out = Vec::new();
            write_cell(&column, data_type, 0, &mut out).then(|| String::from_utf8(out).unwrap())
        };
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(cell(vec![true].into(), DataType::Boolean), some("True"));
        assert_eq!(cell(vec![-128].into(), DataType::Int8), some("-128"));
        assert_eq!(
            cell(vec![u64::MAX].into(), DataType::Uint64),
            some("18446744073709551615")
        );
        assert_eq!(
            cell(vec![i64::MIN].into(), DataType::Int64),
            some("-9223372036854775808")
        );
        assert_eq!(
            cell(vec![0i64].into(), DataType::DateTime),
            some("1/1/1970 12:00:00 AM")
        );
        let offset = some("1/1/1970 12:00:00 AM +00:00");
        assert_eq!(cell(vec![0i64].into(), DataType::DateTimeOffset), offset);
        assert_eq!(
            cell(vec![0i64].into(), DataType::Duration),
            some("00:00:00")
        );
        let text: Strings = ["a\"b"].into_iter().collect();
        assert_eq!(cell(text.into(), DataType::String), some("a\"b"));
        let missing = Column::with_validity(Values::F64(vec![1.0]), Bitmap::filled(1, false));
        assert_eq!(cell(missing, DataType::Double), None);
    }

    proptest! {
        #[test]
        fn doubles_read_back_as_they_were(bits: u64) {
            let value = f64::from_bits(bits);
            prop_assume!(!value.is_nan());
            prop_assert_eq!(parse_f64(&f64_text(value)).unwrap_or(value), value);
        }

        #[test]
        fn floats_read_back_as_they_were(bits: u32) {
            let value = f32::from_bits(bits);
            prop_assume!(!value.is_nan());
            prop_assert_eq!(parse_f32(&f32_text(value)).unwrap_or(f32::NAN), value);
        }

        #[test]
        fn plain_and_scientific_forms_meet_at_their_bounds(value in 1e-5f64..1e16) {
            let text = f64_text(value);
            prop_assert_eq!(text.contains('E'), !(1e-4..1e15).contains(&value));
            prop_assert_eq!(parse_f64(&text), Ok(value));
        }
    }
}
