//! Web services: list, get, publish, delete.

use faults::Fault;
use http::StatusCode;
use manage::{ClassicService, Role, WorkspacePath};
use store::DEFAULT_ENDPOINT;
use wire::classic::WebService;

use super::{check_version, enter, time};
use crate::body;
use crate::extract;
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

/// `PUT /workspaces/{workspace}/webservices/{service}`: publishes code under an id that the client
/// has chosen; answered when it is ready for calls.
pub(crate) async fn put(call: &mut Call<'_>) -> Result<Reply, Fault> {
    let (principal, path) = enter(call)?;
    extract::check_json_headers(&call.head.headers)?;
    let (limit, deadline) = {
        let options = &call.gateway.options;
        (options.definition_limit, call.started + options.body_time)
    };
    call.body.check_declared(limit)?;
    let mut buffer = call.gateway.scorer.reserve_buffer(0)?;
    let body = call
        .body
        .whole(limit, deadline, |bytes| buffer.cover(bytes), body::late)
        .await?;
    let manager = &call.gateway.manager;
    let (service, created) = manager.publish_code(&principal, &path, body).await?;
    let status = match created {
        true => StatusCode::CREATED,
        false => StatusCode::OK,
    };
    Reply::json(status, &view(&service))
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

fn view(service: &ClassicService) -> WebService {
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
