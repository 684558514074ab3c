//! Endpoints of a web service: list, get, make, change, refresh, delete.

use faults::Fault;
use http::StatusCode;
use manage::{EndpointView, Refreshed, ResourceView};
use wire::classic::{Endpoint, Resource, ResourceLocation};

use super::{body, enter, enter_endpoint, time};
use crate::reply::Reply;
use crate::score::docs::workspace_path;
use crate::stack::Call;

/// `GET …/webservices/{service}/endpoints`.
pub(crate) async fn list(call: &Call<'_>) -> Result<Reply, Fault> {
    let (principal, path) = enter(call)?;
    let manager = &call.gateway.manager;
    let found = manager.endpoints(&principal, &path).await?;
    let base = call.base_url();
    let endpoints: Vec<Endpoint> = found.into_iter().map(|e| view(e, &base)).collect();
    Reply::json(StatusCode::OK, &endpoints)
}

/// `GET …/endpoints/{endpoint}`.
pub(crate) async fn get(call: &Call<'_>) -> Result<Reply, Fault> {
    let (principal, path) = enter_endpoint(call)?;
    let manager = &call.gateway.manager;
    let endpoint = manager.endpoint(&principal, &path, &call.word(2)).await?;
    Reply::json(StatusCode::OK, &view(endpoint, &call.base_url()))
}

/// `PUT …/endpoints/{endpoint}`: answered when it is ready for calls.
pub(crate) async fn put(call: &mut Call<'_>) -> Result<Reply, Fault> {
    let (principal, path) = enter_endpoint(call)?;
    let body = body(call).await?;
    let (manager, base) = (&call.gateway.manager, call.base_url());
    let (endpoint, created) = manager
        .put_endpoint(&principal, &path, &call.word(2), &body, &base)
        .await?;
    let status = match created {
        true => StatusCode::CREATED,
        false => StatusCode::OK,
    };
    Reply::json(status, &view(endpoint, &base))
}

/// `PATCH …/endpoints/{endpoint}`: settings, and the resources of a retrained model. Answered when
/// calls are answered by them.
pub(crate) async fn patch(call: &mut Call<'_>) -> Result<Reply, Fault> {
    let (principal, path) = enter_endpoint(call)?;
    let body = body(call).await?;
    let (manager, base) = (&call.gateway.manager, call.base_url());
    let endpoint = manager
        .patch_endpoint(&principal, &path, &call.word(2), &body, &base)
        .await?;
    Reply::json(StatusCode::OK, &view(endpoint, &base))
}

/// `DELETE …/endpoints/{endpoint}`.
pub(crate) async fn delete(call: &Call<'_>) -> Result<Reply, Fault> {
    let (principal, path) = enter_endpoint(call)?;
    let manager = &call.gateway.manager;
    manager
        .delete_endpoint(&principal, &path, &call.word(2))
        .await?;
    Ok(Reply::empty(StatusCode::NO_CONTENT))
}

/// `POST …/endpoints/{endpoint}/refresh`: 304 where there is nothing to do.
pub(crate) async fn refresh(call: &mut Call<'_>) -> Result<Reply, Fault> {
    let (principal, path) = enter_endpoint(call)?;
    let body = body(call).await?;
    let (manager, base) = (&call.gateway.manager, call.base_url());
    let refreshed = manager
        .refresh_endpoint(&principal, &path, &call.word(2), &body)
        .await?;
    match refreshed {
        Refreshed::Moved(endpoint) => Reply::json(StatusCode::OK, &view(*endpoint, &base)),
        Refreshed::Current => Ok(Reply::empty(StatusCode::NOT_MODIFIED)),
    }
}

fn view(endpoint: EndpointView, base: &str) -> Endpoint {
    let entry = &endpoint.entry;
    let (primary_key, secondary_key) = match endpoint.keys {
        Some([primary, secondary]) => (Some(primary), Some(secondary)),
        None => (None, None),
    };
    Endpoint {
        name: entry.endpoint_name.clone(),
        description: entry.settings.description.to_string(),
        creation_time: time(entry.endpoint_created),
        workspace_id: entry.workspace.to_string(),
        web_service_id: entry.service.to_string(),
        help_location: format!(
            "{base}/apihelp/workspaces/{}/webservices/{}/endpoints/{}",
            entry.workspace, entry.service, entry.endpoint
        ),
        primary_key,
        secondary_key,
        api_location: format!("{base}{}", workspace_path(entry)),
        prevent_update: entry.settings.prevent_update,
        max_concurrent_calls: entry.max_concurrent_calls,
        diagnostics_trace_level: endpoint.diagnostics.name().to_owned(),
        throttle_level: entry.settings.throttle_level.name().to_owned(),
        version: entry.endpoint_version,
        sample_data_enabled: endpoint.sample_data,
        experiment_location: None,
        resources: endpoint.resources.into_iter().map(resource).collect(),
    }
}

fn resource(resource: ResourceView) -> Resource {
    Resource {
        name: resource.name,
        kind: resource.kind.to_owned(),
        location: ResourceLocation {
            base_location: resource.base_location,
            relative_location: resource.relative_location,
            sas_blob_token: String::new(),
        },
    }
}
