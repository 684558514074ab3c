//! The ONNX format: reading a file, checking it, and compiling its graph for the engine.
//!
//! Everything here takes hostile bytes. Sizes are checked against the data that is really there
//! before anything is allocated, the graph is checked for cycles, missing and duplicate names, and
//! an operator, operator version or type that the engine lacks is refused by name when the model
//! is loaded, never when it runs.

pub(crate) mod attrs;
pub(crate) mod compile;
pub(crate) mod network;
pub(crate) mod proto;
pub(crate) mod read;
#[cfg(test)]
mod tests;

pub(crate) use crate::reject::Reject;
