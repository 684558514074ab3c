//! The one place where replies are made, and the one function that turns any failure into one.

use std::sync::LazyLock;

use bytes::Bytes;
use faults::{Fault, Language, render};
use http::header::{
    ALLOW, CONTENT_LANGUAGE, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE,
};
use http::{HeaderMap, StatusCode};
use serde::Serialize;
use tokio::sync::mpsc;

/// JSON, as classic services said it.
pub(crate) const JSON: HeaderValue = HeaderValue::from_static("application/json; charset=utf-8");

/// `x-ms-request-id`, on every reply.
pub(crate) static REQUEST_ID: HeaderName = HeaderName::from_static("x-ms-request-id");
/// `x-ms-client-request-id`, echoed.
pub(crate) static CLIENT_REQUEST_ID: HeaderName = HeaderName::from_static("x-ms-client-request-id");
/// `x-ms-error-code`, on every failure.
pub(crate) static ERROR_CODE: HeaderName = HeaderName::from_static("x-ms-error-code");

static CHALLENGE: LazyLock<HeaderValue> = LazyLock::new(|| HeaderValue::from_static("Bearer"));

/// A reply before the headers that every reply has.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    /// `Content-Type` and what else this reply has.
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// A body that is too large to be held: its length, and where it comes from. `body` is empty
    /// then.
    pub(crate) stream: Option<(u64, mpsc::Receiver<Bytes>)>,
    /// What failed, where the reply says it in another form than the envelope's.
    pub(crate) failure: Option<Box<Fault>>,
}

impl Reply {
    /// A body of exactly `length` bytes that comes in chunks. Where fewer come the connection is
    /// cut, so that nobody takes a part for the whole.
    pub(crate) fn stream(kind: HeaderValue, length: u64, chunks: mpsc::Receiver<Bytes>) -> Reply {
        Reply {
            stream: Some((length, chunks)),
            ..Reply::text(StatusCode::OK, kind, Bytes::new())
        }
    }

    /// The length of the body.
    pub(crate) fn length(&self) -> u64 {
        match &self.stream {
            Some((length, _)) => *length,
            None => self.body.len() as u64,
        }
    }

    /// 200 with a JSON text.
    pub(crate) fn json_text(body: Bytes) -> Reply {
        Reply::text(StatusCode::OK, JSON, body)
    }

    /// A JSON value with a status.
    pub(crate) fn json(status: StatusCode, value: &impl Serialize) -> Result<Reply, Fault> {
        let body = serde_json::to_vec(value).map_err(|e| {
            faults::internal_error::unknown_error()
                .because("a reply does not serialize")
                .because(e)
        })?;
        Ok(Reply::text(status, JSON, body.into()))
    }

    /// Any text.
    pub(crate) fn text(status: StatusCode, kind: HeaderValue, body: Bytes) -> Reply {
        // Room for what `stack` adds, so that the map grows once.
        let mut headers = HeaderMap::with_capacity(6);
        headers.insert(CONTENT_TYPE, kind);
        Reply {
            status,
            headers,
            body,
            stream: None,
            failure: None,
        }
    }

    /// No body.
    pub(crate) fn empty(status: StatusCode) -> Reply {
        Reply {
            status,
            headers: HeaderMap::with_capacity(6),
            body: Bytes::new(),
            stream: None,
            failure: None,
        }
    }

    pub(crate) fn with(mut self, name: HeaderName, value: HeaderValue) -> Reply {
        self.headers.insert(name, value);
        self
    }
}

/// Where a failure's class and text stand in a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Errors {
    /// Under `error`.
    Enveloped,
    /// Under `error`, and `code` and `message` at the top as well.
    Twice,
    /// In the XML of blob storage.
    OfStorage,
}

/// Any failure as a reply: the class's status, the envelope in the reader's language, and the
/// headers that belong to it. The framework's own failures (unknown path or method, a body that is
/// too large or too slow, a panic) come here as faults like all others.
pub(crate) fn of_fault(fault: &Fault, language: Language, errors: Errors) -> Reply {
    if errors == Errors::OfStorage {
        return crate::blobs::of_fault(fault);
    }
    let rendered = render(fault, language);
    let status = StatusCode::from_u16(rendered.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let body = match errors {
        Errors::Enveloped => rendered.body,
        Errors::Twice => twice(rendered.body),
        Errors::OfStorage => rendered.body,
    };
    let mut reply = Reply::text(status, JSON, body.into());
    let headers = &mut reply.headers;
    headers.insert(
        CONTENT_LANGUAGE,
        HeaderValue::from_static(rendered.language.tag()),
    );
    if let Ok(code) = HeaderValue::from_str(&rendered.error_code) {
        headers.insert(&ERROR_CODE, code);
    }
    if let Some(seconds) = rendered.retry_after_secs {
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    if status == StatusCode::UNAUTHORIZED {
        headers.insert(WWW_AUTHENTICATE, CHALLENGE.clone());
    }
    reply
}

/// An envelope with `code` and `message` at the top too.
fn twice(envelope: String) -> String {
    let Ok(serde_json::Value::Object(mut top)) = serde_json::from_str(&envelope) else {
        return envelope;
    };
    for name in ["code", "message"] {
        if let Some(value) = top.get("error").and_then(|error| error.get(name)).cloned() {
            top.insert(name.into(), value);
        }
    }
    serde_json::Value::from(top).to_string()
}

/// [`of_fault`] for a path that is known and a method that is not: `Allow` names those that are.
pub(crate) fn of_unknown_method(
    fault: &Fault,
    language: Language,
    errors: Errors,
    allow: &str,
) -> Reply {
    let mut reply = of_fault(fault, language, errors);
    if let Ok(allow) = HeaderValue::from_str(allow) {
        reply.headers.insert(ALLOW, allow);
    }
    reply
}

#[cfg(test)]
mod tests {
    use super::*;
    use faults::Class;
    use std::time::Duration;

    #[test]
    fn every_class_becomes_a_reply_with_its_status_and_code() {
        for class in Class::ALL {
            let reply = of_fault(&Fault::bare(*class), Language::English, Errors::Enveloped);
            assert_eq!(reply.status.as_u16(), class.status());
            assert_eq!(reply.headers[&ERROR_CODE], class.name());
            assert_eq!(reply.headers[CONTENT_LANGUAGE], "en");
            let body: wire::error::ErrorReply = serde_json::from_slice(&reply.body).unwrap();
            assert_eq!(body.error.code, class.name());
            assert!(body.error.details.is_empty());
        }
    }

    #[test]
    fn both_kinds_of_readers_find_code_and_message() {
        let fault = faults::extensions::resource_not_found("workspaces/w", "g");
        let reply = of_fault(&fault, Language::English, Errors::Twice);
        let body: serde_json::Value = serde_json::from_slice(&reply.body).unwrap();
        assert_eq!(body["code"], "NotFound");
        assert_eq!(body["code"], body["error"]["code"]);
        assert_eq!(body["message"], body["error"]["message"]);
        assert!(body["message"].is_string());
        assert_eq!(body["error"]["details"][0]["code"], "ResourceNotFound");
        assert_eq!(reply.headers[&ERROR_CODE], "ResourceNotFound");
    }

    #[test]
    fn a_throttle_says_when_to_come_back_and_the_private_cause_stays_private() {
        let fault = faults::service_unavailable::request_throttled("e", "20")
            .because("secret")
            .retry_after(Duration::from_millis(1500));
        let reply = of_fault(&fault, Language::TraditionalChinese, Errors::Enveloped);
        assert_eq!(reply.headers[RETRY_AFTER], "2");
        assert_eq!(reply.headers[CONTENT_LANGUAGE], "zh-TW");
        assert_eq!(reply.headers[&ERROR_CODE], "RequestThrottled");
        assert!(!String::from_utf8_lossy(&reply.body).contains("secret"));
    }
}
