//! Operations of web services that go on after their call was answered: where they are announced,
//! how far they are, and what they came to.
//!
//! Clients poll one of two places. `operationsStatus` always answers 200 and tells the state in
//! its body; `operationresults` answers what the call would have answered had it waited: 202 while
//! the operation is under way, then the resource, nothing, or the failure.

use faults::{Fault, Language, render};
use http::StatusCode;
use http::header::{CONTENT_LANGUAGE, HeaderName, HeaderValue, LOCATION, RETRY_AFTER};
use manage::{ApiVersion, OperationView, Principal};
use store::{Operation, OperationKind, OperationState};
use wire::arm_2017_01_01::AsyncOperationStatus;
use wire::error::{ErrorBody, ErrorReply};

use super::services::shaped;
use crate::extract;
use crate::reply::Reply;
use crate::stack::Call;

static ASYNC_OPERATION: HeaderName = HeaderName::from_static("azure-asyncoperation");
static PERCENT_COMPLETE: HeaderName =
    HeaderName::from_static("azure-asyncoperationpercentcomplete");

/// How long a client is to wait before it asks again, in seconds.
const PAUSE: HeaderValue = HeaderValue::from_static("1");

/// An operation that a reply tells of.
pub(super) struct Announced<'a> {
    /// The operation.
    pub(super) operation: &'a Operation,
    /// The location of the service that it is about.
    pub(super) location: &'a str,
    /// Whether the reply also says where the result will be.
    pub(super) result: bool,
}

/// Adds to a reply where its operation can be asked about.
pub(super) fn announce(call: &Call<'_>, reply: Reply, announced: &Announced<'_>) -> Reply {
    let operation = announced.operation;
    let letters: String = announced
        .location
        .chars()
        .filter(|c| !c.is_whitespace())
        .flat_map(char::to_lowercase)
        .collect();
    let url = |place: &str| {
        format!(
            "{}/subscriptions/{}/providers/Microsoft.MachineLearning/locations/{}/{place}/{}?api-version={}",
            call.base_url(),
            extract::encode(&operation.name.subscription),
            extract::encode(&letters),
            operation.id,
            extract::encode(&call.query("api-version").unwrap_or_default()),
        )
    };
    let mut reply = reply
        .with(PERCENT_COMPLETE.clone(), HeaderValue::from_static("0"))
        .with(RETRY_AFTER, PAUSE);
    if let Ok(url) = HeaderValue::from_str(&url("operationsStatus")) {
        reply = reply.with(ASYNC_OPERATION.clone(), url);
    }
    match HeaderValue::from_str(&url("operationresults")) {
        Ok(url) if announced.result => reply.with(LOCATION, url),
        _ => reply,
    }
}

/// `GET /subscriptions/{subscription}/…/locations/{location}/operationsStatus/{id}`.
pub(crate) async fn status(call: &Call<'_>) -> Result<Reply, Fault> {
    let (_, principal) = enter(call)?;
    let view = find(call, &principal).await?;
    let operation = &view.operation;
    let language = extract::language(&call.head.headers);
    let (state, fault) = match &operation.state {
        OperationState::Provisioning => ("Provisioning", None),
        OperationState::Succeeded => ("Succeeded", None),
        OperationState::Failed(fault) => ("Failed", Some(fault)),
    };
    let error = fault.and_then(|fault| error(fault, language));
    let id = operation.id.to_string();
    let status = AsyncOperationStatus {
        id: extract::decode(call.head.uri.path(), false).into_owned(),
        name: id,
        status: state.to_owned(),
        provisioning_state: state.to_owned(),
        start_time: operation.started.to_string(),
        end_time: operation.ended.map(|at| at.to_string()),
        percent_complete: f64::from(view.percent) / 100.0,
        error_info: error.clone(),
        error,
    };
    let mut reply = Reply::json(StatusCode::OK, &status)?;
    if fault.is_some() {
        let tag = HeaderValue::from_static(language.tag());
        reply = reply.with(CONTENT_LANGUAGE, tag);
    }
    Ok(match operation.state {
        OperationState::Provisioning => reply.with(RETRY_AFTER, PAUSE),
        _ => reply,
    })
}

/// `GET /subscriptions/{subscription}/…/locations/{location}/operationresults/{id}`.
pub(crate) async fn result(call: &Call<'_>) -> Result<Reply, Fault> {
    let (version, principal) = enter(call)?;
    let view = find(call, &principal).await?;
    let operation = view.operation;
    match operation.state {
        OperationState::Provisioning => {
            let reply = Reply::empty(StatusCode::ACCEPTED).with(RETRY_AFTER, PAUSE);
            let here = format!("{}{}", call.base_url(), call.head.uri);
            return Ok(match HeaderValue::from_str(&here) {
                Ok(here) => reply.with(LOCATION, here),
                Err(_) => reply,
            });
        }
        OperationState::Failed(fault) => return Err(fault),
        OperationState::Succeeded => {}
    }
    let status = match operation.kind {
        OperationKind::Create => StatusCode::CREATED,
        OperationKind::Update => StatusCode::OK,
        OperationKind::Delete | OperationKind::Regional => {
            return Ok(Reply::empty(StatusCode::NO_CONTENT));
        }
    };
    let manager = &call.gateway.manager;
    let resource = manager.resource(&principal, &operation.name, None).await?;
    let properties = resource.properties(version, &call.base_url());
    Reply::json(status, &shaped(&resource, properties))
}

async fn find(call: &Call<'_>, principal: &Principal) -> Result<OperationView, Fault> {
    let manager = &call.gateway.manager;
    manager
        .operation(principal, &call.word(0), &call.word(2))
        .await
}

fn enter(call: &Call<'_>) -> Result<(ApiVersion, Principal), Fault> {
    let version = super::api_version(call, ApiVersion::parse)?;
    Ok((version, call.principal()?))
}

/// A failure in the reader's language, as it would be replied.
fn error(fault: &Fault, language: Language) -> Option<ErrorBody> {
    let reply: ErrorReply = serde_json::from_str(&render(fault, language).body).ok()?;
    Some(reply.error)
}
