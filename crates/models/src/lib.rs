//! Model formats and the built-in engine.
//!
//! A [`Model`] is read from the bytes of an ONNX file, tells what it wants and what it gives, is
//! bound to the schema of a table, and scores tables:
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
//! Files come from users. A broken one is `ModelPackageFormatError`; one that needs an operator,
//! operator version or type that the engine lacks is `WebServicePackageError.RuntimesError`, which
//! names it. Both are found by [`Model::load`], never by a call.

mod engine;
mod model;
mod onnx;
mod ops;
#[cfg(test)]
mod parity;
mod trees;

pub use engine::tensor::{Classes, Element};
pub use model::{
    BindError, Binding, Model, ModelInput, ModelOutput, OutputKind, ScoredColumn, Scores, Task,
};
