//! `/umpire/v1/workspaces/{name}/storage`: the workspaces' own blob containers, for operators.

use std::sync::Arc;
use std::time::Duration;

use faults::{Class, Fault, bad_argument};
use http::StatusCode;
use jiff::Timestamp;
use manage::{Principal, Role, Target};
use store::{BlobAt, BlobGrant, BlobInfo, BlobProblem, Condition, Permission, Workspace};
use wire::umpire_v1::{
    BlobContainerList, BlobContainerView, BlobLink, BlobLinkRequest, BlobList, BlobView,
};

use super::services::body;
use crate::blobs::base_location;
use crate::extract;
use crate::reply::Reply;
use crate::stack::Call;

/// How many blobs a part of a list has where nobody says, and at most.
const PAGE: usize = 1000;
/// How long a link opens its blob.
const VALID: Duration = Duration::from_secs(60 * 60);

/// `GET`: the blob containers.
pub(crate) async fn containers(call: &Call<'_>) -> Result<Reply, Fault> {
    let (_, workspace) = enter(call, Role::Read)?;
    let found = call.gateway.store.blob_containers(workspace.id).await;
    let containers = found.map_err(fault)?.into_iter();
    let view = |container: store::BlobContainer| BlobContainerView {
        name: container.name,
        created: container.created.to_string(),
        blobs: container.blobs,
        bytes: container.bytes,
    };
    let list = BlobContainerList {
        containers: containers.map(view).collect(),
    };
    Reply::json(StatusCode::OK, &list)
}

/// `GET …/{container}`: its blobs, by name, in parts.
pub(crate) async fn blobs(call: &Call<'_>) -> Result<Reply, Fault> {
    let (_, workspace) = enter(call, Role::Read)?;
    let limit = match call.query("limit") {
        None => PAGE,
        Some(text) => text
            .parse()
            .ok()
            .filter(|limit| (1..=PAGE).contains(limit))
            .ok_or_else(|| {
                let why = format!("It is not one of 1 to {PAGE}.");
                bad_argument::invalid_query_parameter("limit", why)
            })?,
    };
    let prefix = call.query("prefix").unwrap_or_default().into_owned();
    let after = call.query("after").map(|after| after.into_owned());
    let store = &call.gateway.store;
    let page = store
        .list_blobs(
            workspace.id,
            &call.word(1),
            &prefix,
            after.as_deref(),
            limit,
        )
        .await
        .map_err(fault)?;
    let view = |blob: BlobInfo| BlobView {
        name: blob.name,
        size: blob.size,
        content_type: blob.content_type,
        etag: blob.etag,
        created: blob.created.to_string(),
        modified: blob.modified.to_string(),
    };
    let list = BlobList {
        blobs: page.blobs.into_iter().map(view).collect(),
        next: page.next,
    };
    Reply::json(StatusCode::OK, &list)
}

/// `DELETE …/{container}`: the container with all that is in it, or with `blob` in the query that
/// blob alone.
pub(crate) async fn delete(call: &Call<'_>) -> Result<Reply, Fault> {
    let (principal, workspace) = enter(call, Role::Manage)?;
    let (store, container) = (&call.gateway.store, call.word(1));
    let actor = principal.actor().clone();
    match call.query("blob") {
        Some(blob) => {
            let at = BlobAt::new(workspace.id, &container, &blob).map_err(fault)?;
            let any = Condition::default();
            store
                .delete_blob(&at, any, Some(actor))
                .await
                .map_err(fault)?;
        }
        None => {
            let deleted = store.delete_blob_container(workspace.id, &container, actor);
            if !deleted.await.map_err(fault)? {
                return Err(fault(BlobProblem::NoContainer));
            }
        }
    }
    Ok(Reply::empty(StatusCode::NO_CONTENT))
}

/// `POST …/{container}`: a URL that opens a blob for an hour, for whoever has it.
pub(crate) async fn link(call: &mut Call<'_>) -> Result<Reply, Fault> {
    let (_, workspace) = enter(call, Role::Manage)?;
    let request: BlobLinkRequest = body(call).await?;
    let wrong = |name: &'static str, why: String| {
        bad_argument::request_body_invalid().at(name).because(why)
    };
    let permissions: Option<Vec<Permission>> = request
        .permissions
        .chars()
        .map(Permission::of_letter)
        .collect();
    let permissions = permissions
        .filter(|permissions| !permissions.is_empty())
        .ok_or_else(|| wrong("permissions", "they are not letters of rcwd".to_owned()))?;
    let at = BlobAt::new(workspace.id, &call.word(1), &request.blob)
        .map_err(|problem| wrong("blob", problem.to_string()))?;
    let expires = Timestamp::now()
        .checked_add(VALID)
        .unwrap_or(Timestamp::MAX);
    let name: Vec<String> = at.name().split('/').map(extract::encode).collect();
    let query = BlobGrant::query(&call.gateway.store.sealer, &at, &permissions, expires);
    let base = base_location(&call.base_url(), workspace.id);
    let link = BlobLink {
        url: format!("{base}{}/{}{query}", at.container(), name.join("/")),
        expires: Timestamp::from_second(expires.as_second())
            .unwrap_or(expires)
            .to_string(),
    };
    Reply::json(StatusCode::CREATED, &link)
}

/// Who calls, and which workspace is meant, for somebody who needs that role on it.
fn enter(call: &Call<'_>, role: Role) -> Result<(Principal, Arc<Workspace>), Fault> {
    let principal = call.principal()?;
    let manager = &call.gateway.manager;
    let name = manager.resolve_workspace(&principal, &call.word(0))?;
    let workspace = manager.workspace(&principal, &name)?;
    principal.permit(role, &Target::workspace(&workspace))?;
    Ok((principal, workspace))
}

/// What a problem with a blob is on this API.
fn fault(problem: BlobProblem) -> Fault {
    let (class, text) = match &problem {
        BlobProblem::NoContainer | BlobProblem::NoBlob | BlobProblem::NoUpload => {
            (Class::NotFound, problem.to_string())
        }
        BlobProblem::BadContainerName | BlobProblem::BadName => {
            (Class::BadArgument, problem.to_string())
        }
        _ => (Class::Conflict, problem.to_string()),
    };
    problem
        .into_fault()
        .unwrap_or_else(|| Fault::bare(class).because(text))
}
