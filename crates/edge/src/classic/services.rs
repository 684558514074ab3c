//! Web services: list, get, publish, delete.

use faults::Fault;
use http::StatusCode;
use manage::{ClassicService, Role, WorkspacePath};
use store::DEFAULT_ENDPOINT;
use wire::classic::WebService;

use super::{check_version, enter, time};
use crate::reply::Reply;
use crate::stack::Call;

/// `GET /workspaces/{workspace}/webservices`.
pub(crate) async fn list(call: &Call<'_>) -> Result<Reply, Fault> {
    let path = WorkspacePath::parse(&call.word(0))?;
    check_version(call)?;
    let principal = call.principal()?;
    let manager = &call.gateway.manager;
    let found = manager.classic_services(&principal, &path).await?;
    let services: Vec<WebService> = found.iter().map(view).collect();
    Reply::json(StatusCode::OK, &services)
}

/// `GET /workspaces/{workspace}/webservices/{service}`.
pub(crate) async fn get(call: &Call<'_>) -> Result<Reply, Fault> {
    let (principal, path) = enter(call)?;
    let manager = &call.gateway.manager;
    let service = manager.classic_service(&principal, &path).await?;
    Reply::json(StatusCode::OK, &view(&service))
}

/// `DELETE /workspaces/{workspace}/webservices/{service}`.
pub(crate) async fn delete(call: &Call<'_>) -> Result<Reply, Fault> {
    let (principal, path) = enter(call)?;
    let manager = &call.gateway.manager;
    let name = manager.name_at(&principal, Role::Manage, &path)?;
    match manager.delete(&principal, &name).await? {
        true => Ok(Reply::empty(StatusCode::NO_CONTENT)),
        false => Err(faults::not_found::web_service_not_found()),
    }
}

pub(crate) fn view(service: &ClassicService) -> WebService {
    let entry = &service.service.entry;
    WebService {
        id: entry.service.to_string(),
        name: service.service.title().to_owned(),
        description: service.service.description().map(str::to_owned),
        creation_time: time(entry.created),
        workspace_id: entry.workspace.to_string(),
        endpoint_count: service.endpoints,
        default_endpoint_name: DEFAULT_ENDPOINT.to_owned(),
    }
}
