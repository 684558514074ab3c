//! `/umpire/v1/workspaces`: further workspaces, which a package names by
//! `machineLearningWorkspace.id`, and the tokens of each.

use std::collections::HashMap;

use faults::{Class, Fault};
use http::StatusCode;
use manage::{Principal, Role, Target};
use store::{Directory, Id, ResourceName, WhichKey, Workspace, folded};
use wire::umpire_v1::{RotateTokenRequest, WorkspaceList, WorkspaceTokens, WorkspaceView};

use super::authorize;
use super::services::body;
use crate::reply::Reply;
use crate::stack::Call;

/// The longest name, in characters.
const LONGEST: usize = 260;

/// `GET`: all that the caller sees.
pub(crate) fn list(call: &Call<'_>) -> Result<Reply, Fault> {
    let principal = call.principal()?;
    let directory = call.gateway.store.ledger.directory();
    let services = services_in(&directory);
    let mut workspaces: Vec<WorkspaceView> = directory
        .workspaces()
        .filter(|workspace| principal.sees(&Target::workspace(workspace)))
        .map(|workspace| view(workspace, &services))
        .collect();
    workspaces.sort_by(|a, b| (&a.name, &a.id).cmp(&(&b.name, &b.id)));
    Reply::json(StatusCode::OK, &WorkspaceList { workspaces })
}

/// `PUT /umpire/v1/workspaces/{name}`: makes one beside the installation's first, or answers the
/// one that is there.
pub(crate) async fn put(call: &Call<'_>) -> Result<Reply, Fault> {
    let principal = authorize(call)?;
    let name = call.word(0);
    if name.trim().is_empty() || name.chars().count() > LONGEST || name.contains(char::is_control) {
        return Err(Fault::bare(Class::BadArgument).because("the workspace's name is not one"));
    }
    let ledger = &call.gateway.store.ledger;
    let there = {
        let wanted = folded(&name);
        let directory = ledger.directory();
        directory
            .workspaces()
            .find(|workspace| folded(&workspace.name.name) == wanted)
            .cloned()
    };
    if let Some(there) = there {
        return Reply::json(StatusCode::OK, &shown(call, &there));
    }
    let beside = ledger
        .directory()
        .default_workspace()
        .map(|w| w.name.clone());
    let Some(beside) = beside else {
        return Err(faults::internal_error::unknown_error().because("there is no first workspace"));
    };
    let name = ResourceName {
        name: name.into_owned(),
        ..beside
    };
    let id = Id::random();
    ledger.create_workspace(id, name, principal.actor()).await?;
    match ledger.directory().workspace(&id) {
        Some(made) => Reply::json(StatusCode::CREATED, &shown(call, made)),
        None => Err(Fault::bare(Class::Conflict).because("the workspace went as it came")),
    }
}

/// `GET /umpire/v1/workspaces/{name}`.
pub(crate) fn get(call: &Call<'_>) -> Result<Reply, Fault> {
    let (principal, name) = enter(call)?;
    let workspace = call.gateway.manager.workspace(&principal, &name)?;
    Reply::json(StatusCode::OK, &shown(call, &workspace))
}

/// `DELETE /umpire/v1/workspaces/{name}`.
pub(crate) async fn delete(call: &Call<'_>) -> Result<Reply, Fault> {
    let (principal, name) = enter(call)?;
    let manager = &call.gateway.manager;
    match manager.delete_workspace(&principal, &name).await? {
        true => Ok(Reply::empty(StatusCode::NO_CONTENT)),
        false => Err(faults::not_found::workspace_not_found()),
    }
}

/// `GET /umpire/v1/workspaces/{name}/tokens`.
pub(crate) async fn tokens(call: &Call<'_>) -> Result<Reply, Fault> {
    let (principal, name) = enter(call)?;
    let manager = &call.gateway.manager;
    reply_tokens(manager.workspace_tokens(&principal, &name).await?)
}

/// `POST /umpire/v1/workspaces/{name}/tokens`: makes one token anew.
pub(crate) async fn rotate(call: &mut Call<'_>) -> Result<Reply, Fault> {
    let (principal, name) = enter(call)?;
    // Refused before its body is looked at.
    let workspace = call.gateway.manager.workspace(&principal, &name)?;
    principal.permit(Role::Manage, &Target::workspace(&workspace))?;
    let request: RotateTokenRequest = body(call).await?;
    let which = match request.token {
        wire::umpire_v1::WhichKey::Primary => WhichKey::Primary,
        wire::umpire_v1::WhichKey::Secondary => WhichKey::Secondary,
    };
    let manager = &call.gateway.manager;
    reply_tokens(
        manager
            .rotate_workspace_token(&principal, &name, which)
            .await?,
    )
}

/// Who calls, and which workspace is meant.
fn enter(call: &Call<'_>) -> Result<(Principal, ResourceName), Fault> {
    let principal = call.principal()?;
    let manager = &call.gateway.manager;
    let name = manager.resolve_workspace(&principal, &call.word(0))?;
    Ok((principal, name))
}

fn reply_tokens([primary, secondary]: [String; 2]) -> Result<Reply, Fault> {
    Reply::json(StatusCode::OK, &WorkspaceTokens { primary, secondary })
}

fn shown(call: &Call<'_>, workspace: &Workspace) -> WorkspaceView {
    view(
        workspace,
        &services_in(&call.gateway.store.ledger.directory()),
    )
}

/// How many services stand in each workspace that has any.
fn services_in(directory: &Directory) -> HashMap<Id, usize> {
    let mut counts = HashMap::new();
    for entry in directory.services() {
        *counts.entry(entry.workspace).or_default() += 1;
    }
    counts
}

fn view(workspace: &Workspace, services: &HashMap<Id, usize>) -> WorkspaceView {
    WorkspaceView {
        id: workspace.id.to_string(),
        name: workspace.name.name.clone(),
        subscription_id: workspace.name.subscription.clone(),
        resource_group: workspace.name.resource_group.clone(),
        created: workspace.created.to_string(),
        state: workspace.state.clone(),
        services: services.get(&workspace.id).copied().unwrap_or(0),
    }
}
