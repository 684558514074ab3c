//! Which format a model file has, told by its content: file names lie.

use std::fmt;

use crate::xgboost::json;

/// A format of model files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// The protobuf of ONNX.
    Onnx,
    /// The text that LightGBM's `save_model` writes.
    LightGbm,
    /// The JSON that XGBoost's `save_model` writes.
    XgboostJson,
    /// The UBJSON that XGBoost's `save_model` writes.
    XgboostUbj,
}

impl Format {
    /// The format of a model file: what its first bytes can only be, and ONNX where they can be
    /// anything. Any JSON object is taken for XGBoost's; see [`Format::is_model_json`].
    pub fn of(bytes: &[u8]) -> Format {
        let rest = json::trimmed(bytes);
        if let Some(rest) = rest.strip_prefix(b"tree")
            && (rest.first().is_none_or(|b| b"=\r\n".contains(b)))
        {
            return Format::LightGbm;
        }
        match rest.split_first() {
            Some((b'{', inside)) => match json::trimmed(inside).first() {
                None | Some(b'"' | b'}') => Format::XgboostJson,
                Some(_) => Format::XgboostUbj,
            },
            // No protobuf message begins so: it would be field 11 of an unused kind.
            Some((b'[', _)) => Format::XgboostJson,
            _ => Format::Onnx,
        }
    }

    /// Whether a JSON document is a model, and not a web service package: it has the member
    /// `learner`, as XGBoost's models have, or `tree_info`, as LightGBM's dumps have.
    pub fn is_model_json(bytes: &[u8]) -> bool {
        Format::of(bytes) == Format::XgboostJson
            && json::members(bytes).is_ok_and(|names| {
                names
                    .iter()
                    .any(|name| name == "learner" || name == "tree_info")
            })
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Format::Onnx => "ONNX",
            Format::LightGbm => "LightGBM text",
            Format::XgboostJson => "XGBoost JSON",
            Format::XgboostUbj => "XGBoost UBJSON",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_bytes_tell() {
        assert_eq!(Format::of(b"tree\nversion=v4\n"), Format::LightGbm);
        assert_eq!(Format::of(b"tree\r\nversion=v4"), Format::LightGbm);
        assert_eq!(Format::of(b"\xef\xbb\xbftree\n"), Format::LightGbm);
        assert_eq!(Format::of(b" {\n \"learner\""), Format::XgboostJson);
        assert_eq!(
            Format::of(b"{L\0\0\0\0\0\0\0\x07learner"),
            Format::XgboostUbj
        );
        assert_eq!(Format::of(b"\x08\x09\x12\x08skl2onnx"), Format::Onnx);
        assert_eq!(Format::of(b""), Format::Onnx);
    }

    #[test]
    fn a_package_is_not_a_model() {
        assert!(Format::is_model_json(b"{\"version\":[3,2],\"learner\":{}}"));
        assert!(Format::is_model_json(
            b"{\"name\":\"tree\",\"tree_info\":[]}"
        ));
        assert!(!Format::is_model_json(b"{\"properties\":{\"learner\":1}}"));
        assert!(!Format::is_model_json(b"{\"learner\":"));
    }
}
