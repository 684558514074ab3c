//! Failures in the form that clients of blob storage read.

use faults::{Class, Fault};
use http::StatusCode;
use http::header::{CONTENT_RANGE, HeaderValue};
use store::BlobProblem;

use super::xml;
use crate::reply::{ERROR_CODE, Reply};

const XML: HeaderValue = HeaderValue::from_static("application/xml");

/// Why a call is refused: what the protocol calls it, and what we do.
pub(super) struct Refusal {
    status: StatusCode,
    code: &'static str,
    message: String,
    /// The size of the blob that a range was asked of.
    size: Option<u64>,
    fault: Fault,
}

impl Refusal {
    pub(super) fn new(
        status: StatusCode,
        code: &'static str,
        message: impl Into<String>,
        class: Class,
    ) -> Refusal {
        let message = message.into();
        Refusal {
            status,
            code,
            fault: Fault::bare(class).because(format!("{code}: {message}")),
            message,
            size: None,
        }
    }

    /// Something in the request is not as it must be.
    pub(super) fn bad(code: &'static str, message: impl Into<String>) -> Refusal {
        Refusal::new(StatusCode::BAD_REQUEST, code, message, Class::BadArgument)
    }

    /// No valid signature. Why is for the log.
    pub(super) fn unauthenticated(why: &str) -> Refusal {
        let refusal = Refusal::new(
            StatusCode::FORBIDDEN,
            "AuthenticationFailed",
            "The signature is not valid for this blob, or has expired.",
            Class::Unauthorized,
        );
        Refusal {
            fault: Fault::bare(Class::Unauthorized).because(why.to_owned()),
            ..refusal
        }
    }

    /// A signature that is for something else.
    pub(super) fn unpermitted() -> Refusal {
        Refusal::new(
            StatusCode::FORBIDDEN,
            "AuthorizationPermissionMismatch",
            "The signature does not permit this operation.",
            Class::Unauthorized,
        )
    }

    /// A condition of the request that does not hold.
    pub(super) fn condition() -> Refusal {
        Refusal::new(
            StatusCode::PRECONDITION_FAILED,
            "ConditionNotMet",
            "The condition in the request's headers does not hold.",
            Class::Conflict,
        )
    }

    /// A range that begins after the end.
    pub(super) fn range(size: u64) -> Refusal {
        let refusal = Refusal::new(
            StatusCode::RANGE_NOT_SATISFIABLE,
            "InvalidRange",
            "The range begins after the end of the blob.",
            Class::BadArgument,
        );
        Refusal {
            size: Some(size),
            ..refusal
        }
    }

    pub(super) fn into_reply(self) -> Reply {
        let body = xml::error(self.code, &self.message);
        let mut reply = Reply::text(self.status, XML, body.into())
            .with(ERROR_CODE.clone(), HeaderValue::from_static(self.code));
        let range = self.size.map(|size| format!("bytes */{size}"));
        if let Some(Ok(value)) = range.map(HeaderValue::try_from) {
            reply.headers.insert(CONTENT_RANGE, value);
        }
        reply.failure = Some(Box::new(self.fault));
        reply
    }
}

impl From<BlobProblem> for Refusal {
    fn from(problem: BlobProblem) -> Refusal {
        let text = problem.to_string();
        let (status, code, class) = match problem {
            BlobProblem::NoContainer => {
                (StatusCode::NOT_FOUND, "ContainerNotFound", Class::NotFound)
            }
            BlobProblem::NoBlob | BlobProblem::NoUpload => {
                (StatusCode::NOT_FOUND, "BlobNotFound", Class::NotFound)
            }
            BlobProblem::NoBlock(_) => (
                StatusCode::BAD_REQUEST,
                "InvalidBlockList",
                Class::BadArgument,
            ),
            BlobProblem::TooManyBlocks => (
                StatusCode::CONFLICT,
                "BlockCountExceedsLimit",
                Class::Conflict,
            ),
            BlobProblem::OtherEtag => return Refusal::condition(),
            BlobProblem::Exists => (StatusCode::CONFLICT, "BlobAlreadyExists", Class::Conflict),
            BlobProblem::BadContainerName | BlobProblem::BadName => {
                (StatusCode::BAD_REQUEST, "InvalidInput", Class::BadArgument)
            }
            BlobProblem::TooLarge(_) => (
                StatusCode::PAYLOAD_TOO_LARGE,
                "RequestBodyTooLarge",
                Class::BadArgument,
            ),
            BlobProblem::Full(fault) => {
                return Refusal {
                    status: StatusCode::INSUFFICIENT_STORAGE,
                    code: "InsufficientStorage",
                    message: text,
                    size: None,
                    fault,
                };
            }
            BlobProblem::Failed(fault) => return fault.into(),
        };
        Refusal::new(status, code, text, class)
    }
}

impl From<Fault> for Refusal {
    fn from(fault: Fault) -> Refusal {
        let (status, code, message) = match fault.class() {
            Class::RequestTimeout => (
                StatusCode::REQUEST_TIMEOUT,
                "OperationTimedOut",
                "The request did not arrive in time.",
            ),
            Class::BadArgument => (
                StatusCode::BAD_REQUEST,
                "InvalidInput",
                "The request cannot be read.",
            ),
            Class::ServiceUnavailable => (
                StatusCode::SERVICE_UNAVAILABLE,
                "ServerBusy",
                "The server is busy.",
            ),
            _ => (
                StatusCode::INTERNAL_SERVER_ERROR,
                "InternalError",
                "The installation's storage failed.",
            ),
        };
        Refusal {
            status,
            code,
            message: message.to_owned(),
            size: None,
            fault,
        }
    }
}

/// What happens on these paths outside of a handler: an unknown method, a panic.
pub(crate) fn of_fault(fault: &Fault) -> Reply {
    let refusal = match fault.class() {
        Class::NotFound => Refusal::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "UnsupportedHttpVerb",
            "The resource does not have that method.",
            Class::NotFound,
        ),
        _ => Refusal::from(fault.clone()),
    };
    let mut reply = super::with_version(refusal.into_reply());
    // It has been observed.
    reply.failure = None;
    reply
}
