//! Why storage did not do what was asked.

use faults::{Fault, bad_argument, internal_error};

use crate::{Location, Purpose};

/// What kind of failure it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureKind {
    /// There is no such blob, or no such blob container.
    NotFound,
    /// The credentials do not allow it, or this kind of storage does not.
    Refused,
    /// The blob is not what it was when it was opened.
    Changed,
    /// There is no room.
    Full,
    /// It is there already.
    Exists,
    /// The name, or the token to go on with, is none.
    BadName,
    /// This installation does not reach out there.
    NotAllowed,
    /// Nobody answered, or not in time or in order.
    Unreachable,
    /// Another answer, with its status.
    Answered(u16),
}

/// Why storage did not do what was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What kind of failure it is.
    pub kind: FailureKind,
    /// Whether the same may succeed later. Where that helps it has been retried.
    pub transient: bool,
    /// The storage service's own code: `BlobNotFound`, `NoSuchKey`, ...
    pub code: Option<String>,
    /// The storage service's own words, or what stood in the way of any. It holds no key, token or
    /// signature.
    pub text: String,
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Failure {}

impl From<outbound::Failure> for Failure {
    fn from(failure: outbound::Failure) -> Failure {
        let kind = match failure.kind {
            outbound::Kind::Malformed => FailureKind::BadName,
            outbound::Kind::NotAllowed => FailureKind::NotAllowed,
            outbound::Kind::Refused => FailureKind::Answered(failure.status.unwrap_or_default()),
            _ => FailureKind::Unreachable,
        };
        Failure {
            kind,
            transient: failure.transient,
            code: None,
            text: failure.text,
        }
    }
}

impl Failure {
    /// A failure that lasts.
    pub fn new(kind: FailureKind, text: impl Into<String>) -> Failure {
        Failure {
            kind,
            transient: false,
            code: None,
            text: text.into(),
        }
    }

    /// What a storage service answered in the place of what was asked for.
    pub(crate) fn answered(status: u16, said: outbound::Said) -> Failure {
        let code = said.code.as_deref().unwrap_or_default();
        let kind = match (status, code) {
            (_, "InvalidResourceName" | "InvalidBucketName" | "InvalidUri" | "KeyTooLongError") => {
                FailureKind::BadName
            }
            (401 | 403, _) => FailureKind::Refused,
            (404, _) => FailureKind::NotFound,
            (409, "BlobAlreadyExists" | "ContainerAlreadyExists") => FailureKind::Exists,
            (304 | 412, _) => FailureKind::Changed,
            (507, _) => FailureKind::Full,
            _ => FailureKind::Answered(status),
        };
        let text = outbound::Failure::answered(status, said.line()).text;
        Failure {
            kind,
            transient: status >= 500 && kind != FailureKind::Full || matches!(status, 408 | 429),
            code: said.code,
            text,
        }
    }

    /// The fault that the caller is told: where the blob is an input `BadArgument.BlobNotFound`,
    /// else `ContainerValidationFailed`, of class `InternalError` where the blob would have been
    /// this installation's own. `BadArgument.InvalidBlob` where the place may not be reached from
    /// here. `BadArgument.UnknownError` for a status of which storage said nothing.
    pub fn into_fault(self, purpose: Purpose<'_>, at: &Location) -> Fault {
        let fault = match (self.kind, purpose) {
            (FailureKind::NotAllowed, _) => bad_argument::invalid_blob(at.shown()),
            (FailureKind::Answered(status @ 400..=499), _)
                if !matches!(status, 401 | 403 | 404 | 409 | 416) && self.code.is_none() =>
            {
                bad_argument::unknown_error()
            }
            (_, Purpose::Input(_)) => bad_argument::blob_not_found(at.shown(), self.text.clone()),
            _ if at.is_own() => internal_error::container_validation_failed(self.text.clone()),
            _ => bad_argument::container_validation_failed(self.text.clone()),
        };
        let fault = match purpose.target() {
            Some(target) => fault.at(target),
            None => fault,
        };
        fault.because(format!("{}: {}", at.shown(), self.text))
    }
}
