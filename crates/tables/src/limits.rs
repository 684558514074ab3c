//! Limits on what a request may hold, and the values of its parameters.

/// What one request may hold; more is `RequestBodyInvalid`. The body's bytes are limited where
/// they are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Rows of one input.
    pub rows: usize,
    /// Columns of one input (names in `ColumnNames`, keys of a row object).
    pub columns: usize,
    /// Bytes of one cell's text, after its escapes are resolved, and of one parameter's.
    pub cell_bytes: usize,
    /// Arrays and objects inside one another, the body itself counted.
    pub depth: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            rows: 100_000,
            columns: 4_096,
            cell_bytes: 1024 * 1024,
            depth: 32,
        }
    }
}

/// The value of a web service parameter as a request gives it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scalar {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number's text as sent (`5`, `1e-3`, `NaN`).
    Number(String),
    /// A text.
    String(String),
}
