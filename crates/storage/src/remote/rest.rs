//! The few requests that `object_store` has no call for.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use object_store::client::HttpRequest;
use outbound::{Outbound, Said};

use super::connector::beginning;
use crate::{Failure, FailureKind};

/// The most bytes of a reply that is taken into memory.
const MOST: usize = 64 << 20;

/// A reply, whole.
pub(super) struct Reply {
    pub(super) body: Bytes,
}

/// Sends what `make` makes, as often as a failure that may pass allows. The request must be one
/// that may be repeated.
pub(super) async fn repeated(
    outbound: &Outbound,
    make: impl Fn() -> Result<HttpRequest, Failure>,
) -> Result<Reply, Failure> {
    attempts(outbound, || async { once(outbound, make()?).await }).await
}

/// Tries as often as a failure that may pass allows.
pub(super) async fn attempts<T, F>(
    outbound: &Outbound,
    attempt: impl Fn() -> F,
) -> Result<T, Failure>
where
    F: Future<Output = Result<T, Failure>>,
{
    let (mut left, _) = outbound.patience();
    let mut pause = Duration::from_millis(200);
    loop {
        match attempt().await {
            Err(failure) if failure.transient && left > 0 => {
                left -= 1;
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(Duration::from_secs(10));
            }
            result => return result,
        }
    }
}

async fn once(outbound: &Outbound, request: HttpRequest) -> Result<Reply, Failure> {
    let (head, mut body) = outbound.send(request).await?.into_parts();
    if !head.status.is_success() {
        let said = Said::read(&beginning(body).await);
        return Err(Failure::answered(head.status.as_u16(), said));
    }
    let mut whole = BytesMut::new();
    while let Some(frame) = body.frame().await {
        if let Ok(bytes) = frame?.into_data() {
            whole.extend_from_slice(&bytes);
        }
        if whole.len() > MOST {
            return Err(unreadable("the reply is too long"));
        }
    }
    Ok(Reply {
        body: whole.freeze(),
    })
}

/// A reply that says nothing which one can work with.
pub(super) fn unreadable(text: &str) -> Failure {
    Failure::new(FailureKind::Unreachable, text)
}
