//! Why a fetch came to nothing.

use std::io;

use ureq::Error;

/// What kind of failure it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The URL cannot be read, or its scheme is not http or https.
    Malformed,
    /// The host, one of its addresses or plain HTTP is not allowed here.
    NotAllowed,
    /// The other side answered, and not with the content.
    Refused,
    /// There is more than may be fetched.
    TooLarge,
    /// The other side was not reached, or did not answer in time or in order.
    Unreachable,
    /// What was fetched could not be written here.
    Local,
}

/// Why a fetch came to nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What kind of failure it is.
    pub kind: Kind,
    /// Whether the same fetch may succeed a moment later. Such a one has been retried.
    pub transient: bool,
    /// The status that the other side answered with.
    pub status: Option<u16>,
    /// What the other side said, or what stood in the way. It holds no signature and no key.
    pub text: String,
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Failure {}

impl Failure {
    pub(crate) fn new(kind: Kind, text: impl Into<String>) -> Failure {
        Failure {
            kind,
            transient: false,
            status: None,
            text: text.into(),
        }
    }

    pub(crate) fn too_large(limit: u64) -> Failure {
        Failure::new(Kind::TooLarge, format!("it has more than {limit} bytes"))
    }

    pub(crate) fn local(error: &io::Error) -> Failure {
        Failure::new(Kind::Local, error.to_string())
    }

    /// What the other side answered instead of the content, and what it said with that.
    pub fn answered(status: u16, said: String) -> Failure {
        let text = match (said.is_empty(), status) {
            (false, _) => format!("{status} {said}"),
            (true, 300..=399) => format!("{status}, a redirect, which is not followed"),
            (true, _) => match ureq::http::StatusCode::from_u16(status)
                .ok()
                .and_then(|s| s.canonical_reason())
            {
                Some(reason) => format!("{status} {reason}"),
                None => status.to_string(),
            },
        };
        Failure {
            kind: Kind::Refused,
            transient: status >= 500 || matches!(status, 408 | 429),
            status: Some(status),
            text,
        }
    }

    /// What stood in the way of an answer.
    pub(crate) fn of_call(error: &Error) -> Failure {
        if let Error::Io(inner) = error
            && let Some(NotAllowed) = inner.get_ref().and_then(|e| e.downcast_ref())
        {
            return Failure::new(Kind::NotAllowed, NotAllowed.to_string());
        }
        let text = match error {
            Error::BadUri(_) => return Failure::new(Kind::Malformed, "the URL cannot be read"),
            Error::HostNotFound => "the host's name is not known".to_owned(),
            Error::Timeout(what) => format!("it took too long ({what})"),
            Error::Io(error) => error.to_string(),
            other => other.to_string(),
        };
        Failure {
            // A certificate that is not trusted now is not trusted in a second either.
            transient: !is_certificate(error),
            ..Failure::new(Kind::Unreachable, text)
        }
    }

    /// Like [`Failure::of_call`], while the content was read.
    pub(crate) fn of_read(error: io::Error) -> Failure {
        Failure::of_call(&match error.downcast::<Error>() {
            Ok(error) => error,
            Err(error) => Error::Io(error),
        })
    }
}

/// Whether the other side's certificate is what stood in the way.
pub(crate) fn is_certificate(error: &Error) -> bool {
    let text = match error {
        Error::Rustls(_) => return true,
        Error::Io(error) => error.to_string(),
        _ => return false,
    };
    text.contains("certificate")
}

/// None of a host's addresses may be reached.
#[derive(Debug)]
pub(crate) struct NotAllowed;

impl std::fmt::Display for NotAllowed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("outbound.allow does not list the host or its addresses")
    }
}

impl std::error::Error for NotAllowed {}
