//! The classic management API: `/workspaces/{workspace}/webservices`.
//!
//! The order of the checks: path, api-version, credentials, look-up, body. Clients of old send no
//! api-version, and further headers that nobody looks at.

pub(crate) mod endpoints;
pub(crate) mod services;

use bytes::Bytes;
use faults::Fault;
use jiff::Timestamp;
use manage::{Principal, ServicePath};

use crate::extract;
use crate::stack::Call;

/// The versions that this API was ever called by; none is usual.
const VERSIONS: &[&str] = &["2.0", "1.0"];
/// The largest body about an endpoint, in bytes.
const BODY: usize = 256 * 1024;

/// Who calls, about which web service: by the credential of a workspace or a management token.
fn enter(call: &Call<'_>) -> Result<(Principal, ServicePath), Fault> {
    let path = ServicePath::parse(&call.word(0), &call.word(1))?;
    check_version(call)?;
    Ok((call.principal()?, path))
}

/// Who calls, about which endpoint's web service: by one of the endpoint's keys, too.
fn enter_endpoint(call: &Call<'_>) -> Result<(Principal, ServicePath), Fault> {
    let path = ServicePath::parse(&call.word(0), &call.word(1))?;
    check_version(call)?;
    let manager = &call.gateway.manager;
    let endpoint = manager.endpoint_to_sign_in_on(&path, &call.word(2));
    Ok((call.principal_on(endpoint.as_deref())?, path))
}

fn check_version(call: &Call<'_>) -> Result<(), Fault> {
    extract::api_version(call.query("api-version").as_deref(), VERSIONS, false).map(drop)
}

/// The body of a call about an endpoint; it may be absent.
async fn body(call: &mut Call<'_>) -> Result<Bytes, Fault> {
    call.json_body(BODY).await
}

/// A time as this API writes it: RFC 3339 with milliseconds.
fn time(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}
