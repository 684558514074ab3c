//! The ONNX format: reading a file, checking it, and compiling its graph for the engine.
//!
//! Everything here takes hostile bytes. Sizes are checked against the data that is really there
//! before anything is allocated, the graph is checked for cycles, missing and duplicate names, and
//! an operator, operator version or type that the engine lacks is refused by name when the model
//! is loaded, never when it runs.

pub(crate) mod attrs;
pub(crate) mod compile;
pub(crate) mod proto;
pub(crate) mod read;
#[cfg(test)]
mod tests;

use faults::{Class, Fault};

/// Why a model is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reject {
    /// The file is not a valid ONNX model.
    Malformed(String),
    /// The model is valid, or may be, and needs something the engine lacks.
    Unsupported(String),
}

impl Reject {
    /// A broken file.
    pub fn malformed(reason: impl Into<String>) -> Reject {
        Reject::Malformed(reason.into())
    }

    /// Something the engine lacks, named so that a reader can find it in the model.
    pub fn unsupported(what: impl Into<String>) -> Reject {
        Reject::Unsupported(what.into())
    }

    /// The fault to answer with. What is wrong with a broken file goes to the log only, since the
    /// class has no row; what is lacking is named to the caller.
    pub fn into_fault(self) -> Fault {
        match self {
            Reject::Malformed(reason) => Fault::bare(Class::ModelPackageFormatError)
                .because(format!("not a valid ONNX model: {reason}")),
            Reject::Unsupported(what) => faults::web_service_package_error::runtimes_error(
                format!("the built-in engine does not support {what}."),
            ),
        }
    }
}

impl From<crate::engine::Stop> for Reject {
    fn from(stop: crate::engine::Stop) -> Reject {
        match stop {
            crate::engine::Stop::Failed(reason) => Reject::Malformed(reason.into()),
            crate::engine::Stop::Cancelled => Reject::malformed("cancelled"),
        }
    }
}
