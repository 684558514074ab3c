//! `…/webservicegroups`: groups.

use faults::Fault;
use http::StatusCode;
use manage::GroupView;
use store::{Entry, Slot};
use wire::studio::{Endpoint, Group};

use super::{group, made, packages, services, whole_body, workspace};
use crate::reply::Reply;
use crate::stack::Call;

/// `POST …/webservicegroups`: the id of the new group.
pub(crate) async fn create(call: &mut Call<'_>) -> Result<Reply, Fault> {
    let workspace = workspace(call)?;
    let principal = call.principal()?;
    let body = whole_body(call).await?;
    let manager = &call.gateway.manager;
    made(manager.create_group(&principal, &workspace, &body).await?)
}

/// `GET …/webservicegroups`.
pub(crate) async fn list(call: &Call<'_>) -> Result<Reply, Fault> {
    let workspace = workspace(call)?;
    let principal = call.principal()?;
    let base = call.base_url();
    let groups = call.gateway.manager.groups(&principal, &workspace).await?;
    let groups: Vec<Group> = groups.iter().map(|group| shown(group, &base)).collect();
    Reply::json(StatusCode::OK, &groups)
}

/// `GET …/webservicegroups/{g}`.
pub(crate) async fn get(call: &Call<'_>) -> Result<Reply, Fault> {
    let path = group(call)?;
    let principal = call.principal()?;
    let group = call.gateway.manager.group(&principal, &path).await?;
    Reply::json(StatusCode::OK, &shown(&group, &call.base_url()))
}

/// `PUT` and `PATCH …/webservicegroups/{g}`: what the body does not name stays.
pub(crate) async fn change(call: &mut Call<'_>) -> Result<Reply, Fault> {
    let path = group(call)?;
    let principal = call.principal()?;
    let body = whole_body(call).await?;
    let manager = &call.gateway.manager;
    let group = manager.change_group(&principal, &path, &body).await?;
    Reply::json(StatusCode::OK, &shown(&group, &call.base_url()))
}

/// `DELETE …/webservicegroups/{g}`: with its packages and services.
pub(crate) async fn delete(call: &Call<'_>) -> Result<Reply, Fault> {
    let path = group(call)?;
    let principal = call.principal()?;
    call.gateway.manager.delete_group(&principal, &path).await?;
    Ok(Reply::empty(StatusCode::NO_CONTENT))
}

fn shown(view: &GroupView, base: &str) -> Group {
    let service = |slot| view.in_slot(slot).map(|s| services::shown(s, base));
    Group {
        id: view.group.id.to_string(),
        name: view.group.name.clone(),
        creation_time: view.group.created.to_string(),
        description: view.group.description.clone(),
        allow_anonymous_test: view.group.anonymous_test,
        model_packages: view.packages.iter().map(packages::listed).collect(),
        staging_web_service: service(Slot::Staging),
        production_web_service: service(Slot::Production),
        endpoints: view
            .endpoints
            .iter()
            .map(|entry| Endpoint {
                id: entry.endpoint.to_string(),
                name: entry.endpoint_name.clone(),
                location: location(entry, base, "score"),
                batch_location: location(entry, base, "jobs"),
            })
            .collect(),
    }
}

/// An address of an endpoint.
pub(super) fn location(entry: &Entry, base: &str, word: &str) -> String {
    format!(
        "{base}/workspaces/{}/services/{}/{word}",
        entry.workspace, entry.endpoint
    )
}
