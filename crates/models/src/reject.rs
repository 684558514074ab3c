//! Why a model file is refused.

use faults::{Class, Fault};

use crate::format::Format;

/// Why a model is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reject {
    /// The file is not a valid model of its format.
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

    /// The fault to answer with. What is wrong with a broken file stands in the private cause, since
    /// the class has no row; what is lacking is named to the caller.
    pub fn into_fault(self, format: Format) -> Fault {
        match self {
            Reject::Malformed(reason) => Fault::bare(Class::ModelPackageFormatError)
                .because(format!("not a valid {format} model: {reason}")),
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
