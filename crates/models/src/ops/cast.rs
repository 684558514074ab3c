//! Conversion between element types.
//!
//! Numbers become text, and text numbers, exactly as in ONNX Runtime: eight significant digits in
//! C's `%g`, and the longest numeric beginning of a text.

use std::fmt::Write;

use super::{Built, Reject};
use crate::engine::args::Args;
use crate::engine::tensor::{Data, Element, Strings, Tensor};
use crate::engine::{Context, Kernel, Missing, Stop};
use crate::onnx::compile::Spec;
use crate::onnx::read;

struct Cast(Element);
struct CastLike;

/// `Cast`.
pub(crate) fn cast(spec: &mut Spec<'_>) -> Built {
    let code = spec
        .attrs
        .int("to")?
        .ok_or_else(|| Reject::malformed("attribute to is missing"))?;
    let code = i32::try_from(code).map_err(|_| Reject::malformed("attribute to is too large"))?;
    let to = match read::element(code) {
        Ok(to) => to,
        Err(Reject::Unsupported(_)) => {
            return Err(spec.lacks(format!("to = {}", read::data_type::name(code))));
        }
        Err(other) => return Err(other),
    };
    Ok(Box::new(Cast(to)))
}

/// `CastLike`.
pub(crate) fn cast_like(_: &mut Spec<'_>) -> Built {
    Ok(Box::new(CastLike))
}

impl Kernel for Cast {
    fn missing(&self) -> Missing {
        // Text and whole numbers have no place for NaN.
        if matches!(self.0, Element::F32 | Element::F64) {
            Missing::Passes
        } else {
            Missing::Spoils
        }
    }

    fn run(&self, args: &mut Args<'_>, cx: &mut Context<'_>) -> Result<(), Stop> {
        let x = args.take(0, cx.pool)?;
        let y = convert(x, self.0, cx)?;
        cx.give(y);
        Ok(())
    }
}

impl Kernel for CastLike {
    fn run(&self, args: &mut Args<'_>, cx: &mut Context<'_>) -> Result<(), Stop> {
        let to = args.tensor(1)?.element();
        let x = args.take(0, cx.pool)?;
        let y = convert(x, to, cx)?;
        cx.give(y);
        Ok(())
    }
}

/// Converts a tensor.
pub(crate) fn convert(x: Tensor, to: Element, cx: &mut Context<'_>) -> Result<Tensor, Stop> {
    if x.element() == to {
        return Ok(x);
    }
    let n = x.len();
    let data =
        match to {
            Element::F32 => {
                let mut out = cx.pool.buffer::<f32>(n);
                match x.data() {
                    Data::F64(v) => out.extend(v.iter().map(|&v| v as f32)),
                    Data::I64(v) => out.extend(v.iter().map(|&v| v as f32)),
                    Data::I32(v) => out.extend(v.iter().map(|&v| v as f32)),
                    Data::Bool(v) => out.extend(v.iter().map(|&v| f32::from(u8::from(v)))),
                    Data::Str(s) => {
                        for text in s.iter() {
                            out.push(parse_float(text)? as f32);
                        }
                    }
                    Data::F32(v) => out.extend_from_slice(v),
                }
                Data::F32(out)
            }
            Element::F64 => {
                let mut out = cx.pool.buffer::<f64>(n);
                match x.data() {
                    Data::F32(v) => out.extend(v.iter().map(|&v| f64::from(v))),
                    Data::I64(v) => out.extend(v.iter().map(|&v| v as f64)),
                    Data::I32(v) => out.extend(v.iter().map(|&v| f64::from(v))),
                    Data::Bool(v) => out.extend(v.iter().map(|&v| f64::from(u8::from(v)))),
                    Data::Str(s) => {
                        for text in s.iter() {
                            out.push(parse_float(text)?);
                        }
                    }
                    Data::F64(v) => out.extend_from_slice(v),
                }
                Data::F64(out)
            }
            Element::I64 => {
                let mut out = cx.pool.buffer::<i64>(n);
                match x.data() {
                    Data::F32(v) => out.extend(v.iter().map(|&v| truncate_i64(f64::from(v)))),
                    Data::F64(v) => out.extend(v.iter().map(|&v| truncate_i64(v))),
                    Data::I32(v) => out.extend(v.iter().map(|&v| i64::from(v))),
                    Data::Bool(v) => out.extend(v.iter().map(|&v| i64::from(v))),
                    Data::Str(s) => {
                        for text in s.iter() {
                            out.push(parse_whole(text)?);
                        }
                    }
                    Data::I64(v) => out.extend_from_slice(v),
                }
                Data::I64(out)
            }
            Element::I32 => {
                let mut out = cx.pool.buffer::<i32>(n);
                match x.data() {
                    Data::F32(v) => out.extend(v.iter().map(|&v| truncate_i32(f64::from(v)))),
                    Data::F64(v) => out.extend(v.iter().map(|&v| truncate_i32(v))),
                    Data::I64(v) => out.extend(v.iter().map(|&v| v as i32)),
                    Data::Bool(v) => out.extend(v.iter().map(|&v| i32::from(v))),
                    Data::Str(s) => {
                        for text in s.iter() {
                            let whole = parse_whole(text)?;
                            out.push(i32::try_from(whole).map_err(|_| {
                                Stop::failed(format!("\"{text}\" does not fit int32"))
                            })?);
                        }
                    }
                    Data::I32(v) => out.extend_from_slice(v),
                }
                Data::I32(out)
            }
            Element::Bool => {
                let mut out = cx.pool.buffer::<bool>(n);
                match x.data() {
                    Data::F32(v) => out.extend(v.iter().map(|&v| v != 0.0)),
                    Data::F64(v) => out.extend(v.iter().map(|&v| v != 0.0)),
                    Data::I64(v) => out.extend(v.iter().map(|&v| v != 0)),
                    Data::I32(v) => out.extend(v.iter().map(|&v| v != 0)),
                    Data::Str(s) => {
                        for text in s.iter() {
                            out.push(parse_whole(text)? != 0);
                        }
                    }
                    Data::Bool(v) => out.extend_from_slice(v),
                }
                Data::Bool(out)
            }
            Element::Str => {
                let mut out: Strings = cx.pool.strings();
                match x.data() {
                    Data::F32(v) => v.iter().for_each(|&v| {
                        out.push_with(|text| write_general(f64::from(v), text));
                    }),
                    Data::F64(v) => v
                        .iter()
                        .for_each(|&v| out.push_with(|text| write_general(v, text))),
                    Data::I64(v) => v.iter().for_each(|v| {
                        out.push_with(|text| {
                            let _ = write!(text, "{v}");
                        });
                    }),
                    Data::I32(v) => v.iter().for_each(|v| {
                        out.push_with(|text| {
                            let _ = write!(text, "{v}");
                        });
                    }),
                    Data::Bool(v) => v.iter().for_each(|&v| out.push(if v { "1" } else { "0" })),
                    Data::Str(s) => s.iter().for_each(|s| out.push(s)),
                }
                Data::Str(out)
            }
        };
    let y = Tensor::new(*x.shape(), data)?;
    cx.pool.recycle(x.into());
    Ok(y)
}

/// A float cut to a whole number as the processor does it: what does not fit, NaN among it,
/// becomes the smallest number.
pub(crate) fn truncate_i64(v: f64) -> i64 {
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;
    if (-LIMIT..LIMIT).contains(&v) {
        v as i64
    } else {
        i64::MIN
    }
}

fn truncate_i32(v: f64) -> i32 {
    let t = v.trunc();
    if (-2_147_483_648.0..2_147_483_648.0).contains(&t) {
        t as i32
    } else {
        i32::MIN
    }
}

/// `%.8g`, with `NaN`, `INF` and `-INF`.
pub(crate) fn write_general(v: f64, out: &mut String) {
    const DIGITS: usize = 8;
    if v.is_nan() {
        out.push_str("NaN");
        return;
    }
    if v.is_infinite() {
        out.push_str(if v > 0.0 { "INF" } else { "-INF" });
        return;
    }
    let scientific = format!("{v:.*e}", DIGITS - 1);
    let Some((mantissa, exponent)) = scientific.split_once('e') else {
        out.push_str(&scientific);
        return;
    };
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let trim = |s: &str| -> usize {
        if s.contains('.') {
            s.trim_end_matches('0').trim_end_matches('.').len()
        } else {
            s.len()
        }
    };
    if (-4..DIGITS as i32).contains(&exponent) {
        let places = (DIGITS as i32 - 1 - exponent).max(0) as usize;
        let fixed = format!("{v:.places$}");
        out.push_str(&fixed[..trim(&fixed)]);
    } else {
        out.push_str(&mantissa[..trim(mantissa)]);
        let sign = if exponent < 0 { '-' } else { '+' };
        let _ = write!(out, "e{sign}{:02}", exponent.abs());
    }
}

/// The number at the beginning of a text, as C's `strtod` finds it (hexadecimal excepted).
pub(crate) fn parse_float(text: &str) -> Result<f64, Stop> {
    let none = || Stop::failed(format!("\"{text}\" is not a number"));
    let start = text.trim_start_matches(|c: char| c.is_ascii_whitespace() || c == '\x0b');
    let bytes = start.as_bytes();
    let mut end = usize::from(matches!(bytes.first(), Some(b'+' | b'-')));
    let word = &bytes[end..];
    for (name, value) in [
        ("infinity", f64::INFINITY),
        ("inf", f64::INFINITY),
        ("nan", f64::NAN),
    ] {
        if word.len() >= name.len() && word[..name.len()].eq_ignore_ascii_case(name.as_bytes()) {
            return Ok(if bytes[0] == b'-' { -value } else { value });
        }
    }
    let digits = |from: usize| {
        bytes[from..]
            .iter()
            .take_while(|b| b.is_ascii_digit())
            .count()
    };
    let whole = digits(end);
    end += whole;
    let mut fraction = 0;
    if bytes.get(end) == Some(&b'.') {
        fraction = digits(end + 1);
        end += 1 + fraction;
    }
    if whole + fraction == 0 {
        return Err(none());
    }
    if matches!(bytes.get(end), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
        let exponent = digits(end + 1 + sign);
        if exponent > 0 {
            end += 1 + sign + exponent;
        }
    } else if whole == 1 && fraction == 0 && matches!(bytes.get(end), Some(b'x' | b'X')) {
        return Err(Stop::failed(format!(
            "\"{text}\" is a hexadecimal number, which is not read"
        )));
    }
    let value: f64 = start[..end].parse().map_err(|_| none())?;
    if value.is_infinite() {
        return Err(Stop::failed(format!("\"{text}\" is out of range")));
    }
    Ok(value)
}

/// The whole number at the beginning of a text, as C's `strtoll` finds it.
pub(crate) fn parse_whole(text: &str) -> Result<i64, Stop> {
    let start = text.trim_start_matches(|c: char| c.is_ascii_whitespace() || c == '\x0b');
    let sign = usize::from(start.starts_with(['+', '-']));
    let digits = start.as_bytes()[sign..]
        .iter()
        .take_while(|b| b.is_ascii_digit())
        .count();
    start[..sign + digits]
        .parse()
        .map_err(|_| Stop::failed(format!("\"{text}\" is not a whole number")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn general(v: f64) -> String {
        let mut s = String::new();
        write_general(v, &mut s);
        s
    }

    #[test]
    fn numbers_become_text_as_in_onnx_runtime() {
        for (v, text) in [
            (0f32, "0"),
            (-0.0, "-0"),
            (1.0, "1"),
            (1.5, "1.5"),
            (0.1, "0.1"),
            (1e-5, "9.9999997e-06"),
            (1e-4, "9.9999997e-05"),
            (123_456_789.0, "1.2345679e+08"),
            (1e20, "1e+20"),
            (3.402_823_5e38, "3.4028235e+38"),
            (1e-45, "1.4012985e-45"),
            (16_777_216.0, "16777216"),
            (0.1 + 0.2, "0.30000001"),
            (f32::NAN, "NaN"),
            (f32::NEG_INFINITY, "-INF"),
        ] {
            assert_eq!(general(f64::from(v)), text);
        }
        assert_eq!(general(1.0 / 3.0), "0.33333333");
        assert_eq!(general(1e-5), "1e-05");
        assert_eq!(general(99_999_999.5), "1e+08");
    }

    #[test]
    fn text_becomes_numbers_as_in_onnx_runtime() {
        for (text, v) in [
            ("1", 1.0),
            (" 1.5", 1.5),
            ("1.5 ", 1.5),
            ("1.5abc", 1.5),
            ("1e3", 1000.0),
            ("1e", 1.0),
            ("+1", 1.0),
            (".5", 0.5),
            ("-INF", f64::NEG_INFINITY),
        ] {
            assert_eq!(parse_float(text), Ok(v), "{text}");
        }
        assert!(parse_float("nan").unwrap().is_nan());
        for text in ["", "abc", "True", "-", ".", "1e400", "0x10"] {
            assert!(parse_float(text).is_err(), "{text}");
        }
        assert_eq!(parse_whole("1.5"), Ok(1));
        assert_eq!(parse_whole(" -7x"), Ok(-7));
        assert!(parse_whole("x").is_err());
        assert!(parse_whole("99999999999999999999").is_err());
    }

    #[test]
    fn what_does_not_fit_becomes_the_smallest_number() {
        assert_eq!(truncate_i64(f64::NAN), i64::MIN);
        assert_eq!(truncate_i64(1e20), i64::MIN);
        assert_eq!(truncate_i64(-1.9), -1);
        assert_eq!(truncate_i32(2_147_483_647.9), i32::MAX);
        assert_eq!(truncate_i32(-2_147_483_648.9), i32::MIN);
        assert_eq!(truncate_i32(2_147_483_648.0), i32::MIN);
    }
}
