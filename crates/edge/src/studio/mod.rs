//! The Studio API, `/api/workspaces/{w}`: web-service groups, their model packages and services,
//! and what a workspace has.
//!
//! The order of the checks: ids of the path, credentials, look-up, body.

pub(crate) mod groups;
pub(crate) mod packages;
pub(crate) mod services;
pub(crate) mod workspace;

use bytes::Bytes;
use faults::Fault;
use http::StatusCode;
use manage::{GroupPath, WorkspacePath};
use store::Id;

use crate::reply::Reply;
use crate::stack::Call;

/// The workspace of the path.
fn workspace(call: &Call<'_>) -> Result<WorkspacePath, Fault> {
    WorkspacePath::parse(&call.word(0))
}

/// The group of the path.
fn group(call: &Call<'_>) -> Result<GroupPath, Fault> {
    GroupPath::parse(&call.word(0), &call.word(1))
}

/// Group and model package of the path.
fn package(call: &Call<'_>) -> Result<(GroupPath, Id), Fault> {
    Ok((group(call)?, GroupPath::package_id(&call.word(2))?))
}

/// Group and web service of the path.
fn service(call: &Call<'_>) -> Result<(GroupPath, Id), Fault> {
    Ok((group(call)?, GroupPath::service_id(&call.word(2))?))
}

/// The body of a call: as large as a definition may be.
async fn whole_body(call: &mut Call<'_>) -> Result<Bytes, Fault> {
    let limit = call.gateway.options.definition_limit;
    call.json_body(limit).await
}

/// The id of what was made, as JSON text.
fn made(id: Id) -> Result<Reply, Fault> {
    Reply::json(StatusCode::OK, &id)
}
