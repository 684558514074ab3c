//! Health and metrics.

use std::sync::atomic::Ordering::Relaxed;

use bytes::Bytes;
use faults::{Class, Fault};
use http::StatusCode;
use http::header::HeaderValue;
use manage::{Role, Target};

use crate::reply::Reply;
use crate::stack::Call;

const PLAIN: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const OPEN_METRICS: HeaderValue =
    HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");

/// The process runs.
pub(crate) fn live() -> Reply {
    Reply::text(StatusCode::OK, PLAIN, Bytes::from_static(b"ok\n"))
}

/// Calls are taken; not before all is up, not while the node is drained, and not once the end has
/// begun.
pub(crate) fn ready(call: &Call<'_>) -> Result<Reply, Fault> {
    let not_ready = |why| Err(Fault::bare(Class::ServiceUnavailable).because(why));
    let store = &call.gateway.store;
    if !call.gateway.ready.load(Relaxed) {
        not_ready("not ready")
    } else if store.ledger.directory().is_drained(&store.node) {
        not_ready("the node is drained")
    } else {
        Ok(live())
    }
}

/// All series; open, or with `public_metrics` off for whoever may look at the installation.
pub(crate) fn metrics(call: &Call<'_>) -> Result<Reply, Fault> {
    if !call.gateway.options.public_metrics {
        let principal = call.principal()?;
        principal.permit(Role::Read, &Target::installation())?;
    }
    let text = call.gateway.telemetry.encode_metrics();
    Ok(Reply::text(StatusCode::OK, OPEN_METRICS, text.into()))
}
