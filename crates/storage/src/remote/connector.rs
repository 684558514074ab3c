//! How `object_store` reaches out: through `outbound`, and with an eye on what is answered.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse,
    HttpResponseBody, HttpService,
};
use object_store::{BackoffConfig, ClientOptions, RetryConfig};
use outbound::{Kind, Outbound, ReplyBody, Said};

use crate::{Failure, FailureKind};

/// How much of a refusal's body is read for what it says.
const SAID: usize = 16 * 1024;

tokio::task_local! {
    /// The last failure of the operation that runs. `object_store` keeps status and body of an
    /// answer to itself, and its sentences name URLs.
    static LAST: Last;
}

pub(super) type Last = Arc<Mutex<Option<Failure>>>;

/// Makes clients for `object_store`.
#[derive(Debug, Clone)]
pub(super) struct Connector(pub(super) Outbound);

impl HttpConnector for Connector {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.clone()))
    }
}

impl HttpService for Connector {
    fn call<'s, 'f>(
        &'s self,
        request: HttpRequest,
    ) -> Pin<Box<dyn Future<Output = Result<HttpResponse, HttpError>> + Send + 'f>>
    where
        's: 'f,
        Self: 'f,
    {
        Box::pin(async move {
            let reply = match self.0.send(request).await {
                Ok(reply) => reply,
                Err(failure) => {
                    note(Some(failure.clone().into()));
                    return Err(http_error(failure));
                }
            };
            let (head, body) = reply.into_parts();
            if head.status.is_success() {
                note(None);
                let body = HttpResponseBody::new(body.map_err(http_error));
                return Ok(HttpResponse::from_parts(head, body));
            }
            let body = beginning(body).await;
            let mut said = Said::read(&body);
            if said.code.is_none() {
                // The answer to a HEAD has no body.
                let code = head.headers.get("x-ms-error-code");
                said.code = code.and_then(|c| c.to_str().ok()).map(str::to_owned);
            }
            note(Some(Failure::answered(head.status.as_u16(), said)));
            Ok(HttpResponse::from_parts(head, body.into()))
        })
    }
}

/// The first bytes of a refusal; what cannot be read of it is not said.
pub(super) async fn beginning(mut body: ReplyBody) -> Bytes {
    let mut read = BytesMut::new();
    while read.len() < SAID
        && let Some(Ok(frame)) = body.frame().await
    {
        if let Ok(bytes) = frame.into_data() {
            read.extend_from_slice(&bytes);
        }
    }
    read.truncate(SAID);
    read.freeze()
}

fn note(failure: Option<Failure>) {
    // Outside of an operation nobody asks for it.
    let _ = LAST.try_with(|last| *last.lock().unwrap_or_else(PoisonError::into_inner) = failure);
}

fn http_error(failure: outbound::Failure) -> HttpError {
    let kind = match failure.kind {
        Kind::Unreachable if failure.transient => HttpErrorKind::Interrupted,
        _ => HttpErrorKind::Unknown,
    };
    HttpError::new(kind, failure)
}

/// Runs an operation and says of its failure what really happened.
pub(super) async fn watched<T>(
    operation: impl Future<Output = object_store::Result<T>>,
) -> Result<T, Failure> {
    let last = Last::default();
    let result = LAST.scope(last.clone(), operation).await;
    result.map_err(|error| failure_of(&error, &last))
}

/// One step of a stream, with the same eye on it.
pub(super) fn watched_step<T>(last: &Last, step: impl FnOnce() -> T) -> T {
    LAST.sync_scope(last.clone(), step)
}

/// What an error of `object_store` comes from.
pub(super) fn failure_of(error: &object_store::Error, last: &Last) -> Failure {
    if let Some(failure) = last.lock().unwrap_or_else(PoisonError::into_inner).clone() {
        return failure;
    }
    // Nothing was asked, or the answer was none that one can work with.
    let mut innermost: &(dyn std::error::Error + 'static) = error;
    loop {
        if let Some(failure) = innermost.downcast_ref::<outbound::Failure>() {
            return failure.clone().into();
        }
        match innermost.source() {
            Some(deeper) => innermost = deeper,
            None => break,
        }
    }
    let kind = match error {
        object_store::Error::InvalidPath { .. } => FailureKind::BadName,
        object_store::Error::NotSupported { .. } => FailureKind::Refused,
        _ => FailureKind::Unreachable,
    };
    Failure::new(kind, innermost.to_string())
}

/// How often and after which pauses `object_store` tries again.
pub(super) fn patience(outbound: &Outbound) -> RetryConfig {
    let (retries, timeout) = outbound.patience();
    RetryConfig {
        backoff: BackoffConfig {
            init_backoff: Duration::from_millis(200),
            max_backoff: Duration::from_secs(10),
            base: 2.0,
        },
        max_retries: retries,
        retry_timeout: timeout.saturating_mul(retries.try_into().unwrap_or(u32::MAX)),
    }
}
