//! The Studio API, `/api/workspaces/{w}`: web-service groups, their model packages and services,
//! and what a workspace has.
//!
//! The order of the checks: ids of the path, credentials, look-up, body.

pub(crate) mod groups;
pub(crate) mod packages;
pub(crate) mod services;
pub(crate) mod workspace;

use bytes::Bytes;
use faults::{Fault, bad_argument};
use http::StatusCode;
use manage::GroupPath;
use store::Id;

use crate::body;
use crate::extract;
use crate::reply::Reply;
use crate::stack::Call;

/// The workspace of the path; `None` for text that is no id.
fn workspace(call: &Call<'_>) -> Result<Option<Id>, Fault> {
    let word = call.word(0);
    if word.is_empty() {
        return Err(bad_argument::missing_workspace_id());
    }
    Ok(Id::parse(&word))
}

/// Workspace and group of the path.
fn group(call: &Call<'_>) -> Result<GroupPath, Fault> {
    let workspace = workspace(call)?;
    let word = call.word(1);
    if word.is_empty() {
        return Err(bad_argument::missing_web_service_group_id());
    }
    Ok(GroupPath {
        workspace,
        group: Id::parse(&word),
    })
}

/// Group and model package of the path.
fn package(call: &Call<'_>) -> Result<(GroupPath, Id), Fault> {
    let path = group(call)?;
    let id = Id::parse(&call.word(2)).ok_or_else(bad_argument::model_package_id_invalid)?;
    Ok((path, id))
}

/// Group and web service of the path.
fn service(call: &Call<'_>) -> Result<(GroupPath, Id), Fault> {
    let path = group(call)?;
    let word = call.word(2);
    if word.is_empty() {
        return Err(bad_argument::missing_web_service_id());
    }
    let id = Id::parse(&word).ok_or_else(bad_argument::web_service_id_invalid)?;
    Ok((path, id))
}

/// The whole body of a management call.
async fn whole_body(call: &mut Call<'_>) -> Result<Bytes, Fault> {
    extract::check_json_headers(&call.head.headers)?;
    let options = &call.gateway.options;
    let (limit, deadline) = (options.definition_limit, call.started + options.body_time);
    call.body.check_declared(limit)?;
    let mut buffer = call.gateway.scorer.reserve_buffer(0)?;
    call.body
        .whole(limit, deadline, |bytes| buffer.cover(bytes), body::late)
        .await
}

/// The id of what was made, as JSON text.
fn made(id: Id) -> Result<Reply, Fault> {
    Reply::json(StatusCode::OK, &id)
}
