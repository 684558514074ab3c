//! Typed columnar tables and their text forms, driven by a schema.
//!
//! A [`Table`] is a [`Schema`] and shared [`Column`]s laid out as Arrow arrays are. [`request`]
//! decodes the bodies of scoring calls straight into columns, [`reply`] encodes their answers,
//! [`files`] reads and writes the files of batch jobs, [`csv`] those of the command line, and [`text`] holds what they share: one cell in and out.

mod cells;
mod column;
pub mod csv;
mod data_type;
pub mod files;
mod json;
mod limits;
pub mod reply;
pub mod request;
mod schema;
mod table;
pub mod text;

pub use column::{Bitmap, Column, Strings, Values};
pub use data_type::DataType;
pub use limits::{Limits, Scalar};
pub use schema::{DuplicateName, Field, Role, Schema, ScoreKind};
pub use table::Table;
