//! The envelope of every failure, on every API.

use serde::{Deserialize, Serialize};

/// The body of a failure's reply.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorReply {
    /// The failure.
    pub error: ErrorBody,
}

/// What failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorBody {
    /// The class, which decides the status.
    pub code: String,
    /// The class's text in the language of `Content-Language`.
    pub message: String,
    /// The details; always present, possibly empty: classic clients index it unasked.
    #[serde(default)]
    pub details: Vec<ErrorDetail>,
}

/// One entry of `details`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorDetail {
    /// The code.
    pub code: String,
    /// The input, column, node or port at fault.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// The sentence.
    pub message: String,
}
