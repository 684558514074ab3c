//! `/umpire/v1/workspaces`: further workspaces, which a package names by
//! `machineLearningWorkspace.id`.

use std::sync::Arc;

use faults::{Class, Fault};
use http::StatusCode;
use manage::Target;
use store::{Id, ResourceName, Workspace, folded};
use wire::umpire_v1::{WorkspaceList, WorkspaceView};

use super::authorize;
use crate::reply::Reply;
use crate::stack::Call;

/// The longest name, in characters.
const LONGEST: usize = 260;

/// `GET`: all that the caller sees.
pub(crate) fn list(call: &Call<'_>) -> Result<Reply, Fault> {
    let principal = call.principal()?;
    let directory = call.gateway.store.ledger.directory();
    let mut workspaces: Vec<WorkspaceView> = directory
        .workspaces()
        .filter(|w| principal.sees(&Target::workspace(w)))
        .map(|w| view(w))
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
    if let Some(there) = find(call, &name) {
        return Reply::json(StatusCode::OK, &view(&there));
    }
    let ledger = &call.gateway.store.ledger;
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
        Some(made) => Reply::json(StatusCode::CREATED, &view(made)),
        None => Err(Fault::bare(Class::Conflict).because("the workspace went as it came")),
    }
}

fn find(call: &Call<'_>, name: &str) -> Option<Arc<Workspace>> {
    let name = folded(name);
    let directory = call.gateway.store.ledger.directory();
    directory
        .workspaces()
        .find(|w| folded(&w.name.name) == name)
        .cloned()
}

fn view(workspace: &Workspace) -> WorkspaceView {
    WorkspaceView {
        id: workspace.id.to_string(),
        name: workspace.name.name.clone(),
        subscription_id: workspace.name.subscription.clone(),
        resource_group: workspace.name.resource_group.clone(),
        created: workspace.created.to_string(),
    }
}
