//! From bytes to messages, and from `TensorProto` to tensors.

use prost::Message;

use super::Reject;
use super::proto::{ModelProto, TensorProto};
use crate::engine::tensor::{Data, Element, Shape, Strings, Tensor};

/// `TensorProto.DataType`.
pub(crate) mod data_type {
    pub const FLOAT: i32 = 1;
    pub const UINT8: i32 = 2;
    pub const INT8: i32 = 3;
    pub const UINT16: i32 = 4;
    pub const INT16: i32 = 5;
    pub const INT32: i32 = 6;
    pub const INT64: i32 = 7;
    pub const STRING: i32 = 8;
    pub const BOOL: i32 = 9;
    pub const FLOAT16: i32 = 10;
    pub const DOUBLE: i32 = 11;
    pub const UINT32: i32 = 12;
    pub const UINT64: i32 = 13;
    pub const BFLOAT16: i32 = 16;

    /// How the format's documentation calls a type.
    pub fn name(code: i32) -> String {
        const NAMES: [&str; 17] = [
            "undefined",
            "float",
            "uint8",
            "int8",
            "uint16",
            "int16",
            "int32",
            "int64",
            "string",
            "bool",
            "float16",
            "double",
            "uint32",
            "uint64",
            "complex64",
            "complex128",
            "bfloat16",
        ];
        match usize::try_from(code).ok().and_then(|i| NAMES.get(i)) {
            Some(name) => (*name).to_owned(),
            None => format!("type {code}"),
        }
    }
}

/// The engine's type for a type that values may have *while the model runs*: as a graph input, or
/// as the result of `Cast`. Narrow types are not among them, because arithmetic on them wraps and
/// rounds at their own width.
pub(crate) fn element(code: i32) -> Result<Element, Reject> {
    Ok(match code {
        data_type::FLOAT => Element::F32,
        data_type::DOUBLE => Element::F64,
        data_type::INT64 => Element::I64,
        data_type::INT32 => Element::I32,
        data_type::BOOL => Element::Bool,
        data_type::STRING => Element::Str,
        data_type::UINT8
        | data_type::INT8
        | data_type::UINT16
        | data_type::INT16
        | data_type::FLOAT16
        | data_type::UINT32
        | data_type::UINT64
        | 14..=26 => {
            return Err(Reject::unsupported(format!(
                "the ONNX element type {}",
                data_type::name(code)
            )));
        }
        _ => return Err(Reject::malformed(format!("unknown element type {code}"))),
    })
}

/// Decodes a file. The depth of nesting is bounded by `prost` (100 messages).
pub(crate) fn model(bytes: &[u8]) -> Result<ModelProto, Reject> {
    ModelProto::decode(bytes).map_err(|e| Reject::malformed(format!("protobuf: {e}")))
}

/// The text of a bytes field.
pub(crate) fn text(bytes: &[u8]) -> Result<&str, Reject> {
    std::str::from_utf8(bytes).map_err(|_| Reject::malformed("a string is not UTF-8"))
}

/// A tensor of the file. `what` names it in messages.
///
/// The constants of narrow types are widened: 8 and 16 bit integers to int32, uint32 and uint64 to
/// int64, half precision to float.
pub(crate) fn tensor(proto: TensorProto, what: &str) -> Result<Tensor, Reject> {
    let wrong = |reason: String| Reject::Malformed(format!("{what}: {reason}"));
    if proto.data_location != 0 || !proto.external_data.is_empty() {
        return Err(Reject::unsupported(format!(
            "ONNX external data ({what}); save the model with its data inside"
        )));
    }
    let mut dims = Vec::with_capacity(proto.dims.len().min(16));
    for &d in &proto.dims {
        dims.push(usize::try_from(d).map_err(|_| wrong(format!("negative dimension {d}")))?);
    }
    let shape = Shape::new(&dims).map_err(|stop| match Reject::from(stop) {
        Reject::Malformed(reason) => wrong(reason),
        other => other,
    })?;
    let count = shape.count();
    let data = match &proto.raw_data {
        Some(raw) if proto.data_type != data_type::STRING => {
            raw_elements(raw, proto.data_type, count).map_err(wrong)?
        }
        _ => typed_elements(proto)?,
    };
    if data.len() != count {
        return Err(wrong(format!(
            "{} elements for the shape {shape:?}",
            data.len()
        )));
    }
    Ok(Tensor::new(shape, data)?)
}

/// Little-endian elements of `N` bytes each.
fn chunks<const N: usize, T>(
    raw: &[u8],
    count: usize,
    convert: impl Fn([u8; N]) -> T,
) -> Result<Vec<T>, String> {
    let (chunks, rest) = raw.as_chunks::<N>();
    if chunks.len() != count || !rest.is_empty() {
        return Err(format!(
            "{} bytes of raw data for {count} elements of {N} bytes",
            raw.len()
        ));
    }
    Ok(chunks.iter().map(|&c| convert(c)).collect())
}

fn raw_elements(raw: &[u8], code: i32, count: usize) -> Result<Data, String> {
    Ok(match code {
        data_type::FLOAT => Data::F32(chunks(raw, count, f32::from_le_bytes)?),
        data_type::DOUBLE => Data::F64(chunks(raw, count, f64::from_le_bytes)?),
        data_type::INT64 => Data::I64(chunks(raw, count, i64::from_le_bytes)?),
        data_type::INT32 => Data::I32(chunks(raw, count, i32::from_le_bytes)?),
        data_type::UINT8 => Data::I32(chunks(raw, count, |[b]| i32::from(b))?),
        data_type::INT8 => Data::I32(chunks(raw, count, |b| i32::from(i8::from_le_bytes(b)))?),
        data_type::UINT16 => Data::I32(chunks(raw, count, |b| i32::from(u16::from_le_bytes(b)))?),
        data_type::INT16 => Data::I32(chunks(raw, count, |b| i32::from(i16::from_le_bytes(b)))?),
        data_type::UINT32 => Data::I64(chunks(raw, count, |b| i64::from(u32::from_le_bytes(b)))?),
        data_type::UINT64 => {
            let values = chunks(raw, count, u64::from_le_bytes)?;
            Data::I64(from_u64(&values)?)
        }
        data_type::BOOL => Data::Bool(chunks(raw, count, |[b]| b != 0)?),
        data_type::FLOAT16 => Data::F32(chunks(raw, count, |b| half(u16::from_le_bytes(b)))?),
        data_type::BFLOAT16 => Data::F32(chunks(raw, count, |b| bfloat16(u16::from_le_bytes(b)))?),
        _ => return Err(format!("element type {}", data_type::name(code))),
    })
}

fn typed_elements(proto: TensorProto) -> Result<Data, Reject> {
    Ok(match proto.data_type {
        data_type::FLOAT => Data::F32(proto.float_data),
        data_type::DOUBLE => Data::F64(proto.double_data),
        data_type::INT64 => Data::I64(proto.int64_data),
        data_type::INT32
        | data_type::UINT8
        | data_type::INT8
        | data_type::UINT16
        | data_type::INT16 => Data::I32(proto.int32_data),
        data_type::BOOL => Data::Bool(proto.int32_data.iter().map(|&v| v != 0).collect()),
        data_type::FLOAT16 => Data::F32(proto.int32_data.iter().map(|&v| half(v as u16)).collect()),
        data_type::BFLOAT16 => Data::F32(
            proto
                .int32_data
                .iter()
                .map(|&v| bfloat16(v as u16))
                .collect(),
        ),
        data_type::UINT32 | data_type::UINT64 => {
            Data::I64(from_u64(&proto.uint64_data).map_err(Reject::Malformed)?)
        }
        data_type::STRING => {
            let mut strings = Strings::default();
            for bytes in &proto.string_data {
                strings.push(text(bytes)?);
            }
            Data::Str(strings)
        }
        code => {
            return Err(Reject::unsupported(format!(
                "the ONNX element type {}",
                data_type::name(code)
            )));
        }
    })
}

fn from_u64(values: &[u64]) -> Result<Vec<i64>, String> {
    values
        .iter()
        .map(|&v| i64::try_from(v).map_err(|_| format!("{v} does not fit int64")))
        .collect()
}

/// IEEE 754 half precision, widened exactly.
fn half(bits: u16) -> f32 {
    let sign = if bits & 0x8000 != 0 { -1.0f32 } else { 1.0 };
    let exponent = i32::from((bits >> 10) & 0x1f);
    let mantissa = f32::from(bits & 0x3ff);
    match exponent {
        0 => sign * mantissa * (-24f32).exp2(),
        31 if mantissa == 0.0 => sign * f32::INFINITY,
        31 => f32::NAN,
        _ => sign * (1.0 + mantissa / 1024.0) * ((exponent - 15) as f32).exp2(),
    }
}

/// The upper half of a float.
fn bfloat16(bits: u16) -> f32 {
    f32::from_bits(u32::from(bits) << 16)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proto(dims: &[i64], code: i32) -> TensorProto {
        TensorProto {
            dims: dims.to_vec(),
            data_type: code,
            ..TensorProto::default()
        }
    }

    #[test]
    fn sizes_are_checked_against_the_data() {
        for dims in [&[3i64][..], &[-1], &[i64::MAX, i64::MAX], &[1; 9]] {
            let p = TensorProto {
                float_data: vec![1.0, 2.0],
                ..proto(dims, data_type::FLOAT)
            };
            assert!(tensor(p, "t").is_err(), "{dims:?}");
        }
        let p = TensorProto {
            raw_data: Some(vec![0; 7]),
            ..proto(&[2], data_type::FLOAT)
        };
        assert!(tensor(p, "t").is_err());
    }

    #[test]
    fn half_precision_is_exact() {
        assert_eq!(half(0x3c00), 1.0);
        assert_eq!(half(0xc000), -2.0);
        assert_eq!(half(0x0001), 5.960_464_5e-8);
        assert_eq!(half(0x7bff), 65504.0);
        assert_eq!(half(0x7c00), f32::INFINITY);
        assert!(half(0x7e00).is_nan());
        assert_eq!(bfloat16(0x3f80), 1.0);
    }

    #[test]
    fn text_must_be_utf8() {
        let p = TensorProto {
            string_data: vec![b"a".to_vec(), vec![0xff]],
            ..proto(&[2], data_type::STRING)
        };
        assert!(matches!(tensor(p, "t"), Err(Reject::Malformed(_))));
    }

    #[test]
    fn an_unsigned_number_that_does_not_fit_is_refused() {
        let p = TensorProto {
            uint64_data: vec![u64::MAX],
            ..proto(&[1], data_type::UINT64)
        };
        assert!(tensor(p, "t").is_err());
    }
}
