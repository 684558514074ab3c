//! `POST …/execute?api-version=2.0`: one scoring call.

use bytes::Bytes;
use containers::{FormWire, Operation};
use faults::{Fault, bad_argument, request_timeout};
use scoring::{Address, Endpoint, Family};

use crate::extract;
use crate::reply::Reply;
use crate::sending;
use crate::stack::Call;

/// The versions of `/execute`.
const VERSIONS: &[&str] = &["2.0"];

/// Answers a call of either URL family. The order of the checks is part of the contract: ids,
/// api-version, credentials, look-up, query, and then [`run`].
pub(crate) async fn execute(call: &mut Call<'_>, family: Family) -> Result<Reply, Fault> {
    let address = Address::parse(family, &call.word(0), &call.word(1))?;
    extract::api_version(call.query("api-version").as_deref(), VERSIONS, true)?;
    let endpoint = call.gateway.scorer.find(&address, call.credential())?;
    call.seen.endpoint(&endpoint, &call.gateway.diagnostics);
    let form = form(call)?;
    let reply = run(call, &endpoint, Operation::Score { form }).await?;
    Ok(Reply::json_text(reply))
}

/// The rest of any scoring call: declared size and type, a look at the throttle, the body, the
/// permit, the container. The reply counts against the budget of bytes for as long as it is held.
pub(crate) async fn run(
    call: &mut Call<'_>,
    endpoint: &Endpoint,
    operation: Operation,
) -> Result<Bytes, Fault> {
    let (scorer, options) = (&call.gateway.scorer, &call.gateway.options);
    extract::check_json_headers(&call.head.headers)?;
    call.body.check_declared(options.body_limit)?;
    scorer.check_throttle(endpoint)?;
    let deadline = call.started + options.score_time;
    // Taken as bytes come, so that nobody holds the budget by a size alone.
    let mut buffer = scorer.reserve_buffer(0)?;
    let body = call
        .body
        .whole(
            options.body_limit,
            deadline.min(call.started + options.body_time),
            |bytes| buffer.cover(bytes),
            request_timeout::score_request_timeout,
        )
        .await?;
    call.seen.received();
    let permit = scorer.admit(endpoint)?;
    let watch = call.seen.watch();
    let reply = scorer
        .score(endpoint, operation, body, deadline, watch)
        .await?;
    drop(permit);
    // The request is gone; the reply stays until the client has taken it.
    buffer.exchange(reply.len())?;
    Ok(sending::held(reply, buffer))
}

/// The form of the reply, by `details` and `format`. The form of the request does not matter.
fn form(call: &Call<'_>) -> Result<FormWire, Fault> {
    let details = extract::boolean(call.query("details").as_deref(), "details")?;
    match call.query("format").as_deref() {
        None => Ok(FormWire::Table {
            details: details.unwrap_or(false),
        }),
        Some(format) if format.eq_ignore_ascii_case("swagger") => Ok(FormWire::Rows),
        Some(format) => Err(bad_argument::invalid_query_parameter(
            "format",
            format!("'{}' is not: swagger.", extract::shortened(format)),
        )),
    }
}
