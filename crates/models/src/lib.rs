//! Model formats and the built-in engine.
//!
//! A [`Model`] is read from the bytes of a file ([`Format`] lists the formats), tells what it wants
//! and what it gives, is bound to the schema of a table, and scores tables:
//!
//! ```no_run
//! # fn example(bytes: &[u8], table: &tables::Table) -> Result<(), faults::Fault> {
//! let model = models::Model::load(bytes)?;
//! let binding = model.bind(table.schema())?;
//! let scores = model.score(&binding, table, &|| false)?;
//! # Ok(())
//! # }
//! ```
//!
//! Files come from users. A broken one is `ModelPackageFormatError`; one that needs something that
//! the engine lacks (an operator, a type, an objective) is `WebServicePackageError.RuntimesError`, which
//! names it. Both are found by [`Model::load`], never by a call.

mod boosted;
mod engine;
mod format;
mod lightgbm;
mod model;
mod onnx;
mod ops;
#[cfg(test)]
mod parity;
mod reject;
mod trees;
mod xgboost;

pub use engine::tensor::{Classes, Element};
pub use format::Format;
pub use model::{
    BindError, Binding, Model, ModelInput, ModelOutput, OutputKind, ScoredColumn, Scores, Task,
};
