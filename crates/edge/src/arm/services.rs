//! Resource Manager's `Microsoft.MachineLearning/webServices`: PUT, GET, PATCH, DELETE, regional
//! copies, lists and keys. What goes on after the reply is told by [`super::operations`].
//!
//! The order of the checks: path, api-version, credentials, look-up, query, body.

use bytes::Bytes;
use faults::Fault;
use http::StatusCode;
use manage::{Accepted, ApiVersion, Principal, Resource, ResourcePage};
use serde_json::{Map, Value};
use wire::arm_2017_01_01::{RESOURCE_TYPE, WebService, WebServiceKeys, WebServiceList};

use super::operations::{self, Announced};
use super::{PAGE, next_link, resource_name};
use crate::reply::Reply;
use crate::stack::Call;

/// `PUT …/webServices/{name}`: 201 for a new service, 200 for one that is there; the operation
/// that is announced tells when it scores.
pub(crate) async fn put(call: &mut Call<'_>) -> Result<Reply, Fault> {
    let (version, principal) = enter(call)?;
    let name = resource_name(call);
    let body = definition(call).await?;
    let accepted = call.gateway.manager.put(&principal, name, body).await?;
    let status = match accepted.creates() {
        true => StatusCode::CREATED,
        false => StatusCode::OK,
    };
    begun(call, status, version, &accepted)
}

/// `PATCH …/webServices/{name}`.
pub(crate) async fn patch(call: &mut Call<'_>) -> Result<Reply, Fault> {
    let (version, principal) = enter(call)?;
    let name = resource_name(call);
    let body = definition(call).await?;
    let accepted = call.gateway.manager.patch(&principal, name, body).await?;
    begun(call, StatusCode::OK, version, &accepted)
}

/// The body of a call that carries a definition.
async fn definition(call: &mut Call<'_>) -> Result<Bytes, Fault> {
    let limit = call.gateway.options.definition_limit;
    call.json_body(limit).await
}

/// What a call answers that began an operation: the old version the definition, the new one a
/// stub.
fn begun(
    call: &Call<'_>,
    status: StatusCode,
    version: ApiVersion,
    accepted: &Accepted,
) -> Result<Reply, Fault> {
    let resource = &accepted.resource;
    let properties = match version {
        ApiVersion::Preview2016 => resource.properties(version, &call.base_url()),
        ApiVersion::Stable2017 => resource.stub_properties(),
    };
    let reply = Reply::json(status, &shaped(resource, properties))?;
    let announced = Announced {
        operation: &accepted.operation,
        location: &resource.location,
        result: false,
    };
    Ok(operations::announce(call, reply, &announced))
}

/// `GET …/webServices/{name}[?region=…]`.
pub(crate) async fn get(call: &Call<'_>) -> Result<Reply, Fault> {
    let (version, principal) = enter(call)?;
    let name = resource_name(call);
    let region = call
        .query("region")
        .filter(|region| !region.trim().is_empty());
    let manager = &call.gateway.manager;
    let resource = manager
        .resource(&principal, &name, region.as_deref())
        .await?;
    let properties = resource.properties(version, &call.base_url());
    Reply::json(StatusCode::OK, &shaped(&resource, properties))
}

/// `DELETE …/webServices/{name}`: 204 for a service that is not there.
pub(crate) async fn delete(call: &Call<'_>) -> Result<Reply, Fault> {
    let (_, principal) = enter(call)?;
    let name = resource_name(call);
    let removed = call.gateway.manager.remove(&principal, &name).await?;
    let Some((operation, location)) = removed else {
        return Ok(Reply::empty(StatusCode::NO_CONTENT));
    };
    let announced = Announced {
        operation: &operation,
        location: &location,
        result: true,
    };
    let reply = Reply::empty(StatusCode::ACCEPTED);
    Ok(operations::announce(call, reply, &announced))
}

/// `POST …/webServices/{name}/CreateRegionalBlob?region=…`.
pub(crate) async fn create_regional(call: &Call<'_>) -> Result<Reply, Fault> {
    let (_, principal) = enter(call)?;
    let name = resource_name(call);
    let region = call.query("region").unwrap_or_default();
    let manager = &call.gateway.manager;
    let accepted = manager.copy_for_region(&principal, &name, &region).await?;
    let resource = &accepted.resource;
    let mut body = shaped(resource, resource.stub_properties());
    // Here the old service gave the bare name.
    body.id = body.name.clone();
    let announced = Announced {
        operation: &accepted.operation,
        location: &resource.location,
        result: false,
    };
    let reply = Reply::json(StatusCode::ACCEPTED, &body)?;
    Ok(operations::announce(call, reply, &announced))
}

/// `…/webServices/{name}/listKeys`.
pub(crate) async fn list_keys(call: &Call<'_>) -> Result<Reply, Fault> {
    let (_, principal) = enter(call)?;
    let name = resource_name(call);
    let [primary, secondary] = call.gateway.manager.keys(&principal, &name).await?;
    Reply::json(StatusCode::OK, &WebServiceKeys { primary, secondary })
}

/// `GET …/resourceGroups/{group}/…/webServices`.
pub(crate) async fn list_of_group(call: &Call<'_>) -> Result<Reply, Fault> {
    list(call, Some(&call.word(1))).await
}

/// `GET /subscriptions/{subscription}/…/webServices`.
pub(crate) async fn list_of_subscription(call: &Call<'_>) -> Result<Reply, Fault> {
    list(call, None).await
}

async fn list(call: &Call<'_>, group: Option<&str>) -> Result<Reply, Fault> {
    let (_, principal) = enter(call)?;
    let after = call.query("$skiptoken");
    let page = call
        .gateway
        .manager
        .list_resources(&principal, &call.word(0), group, after.as_deref(), PAGE)
        .await?;
    Reply::json(StatusCode::OK, &listed(call, &page))
}

/// The api-version, which this API requires, and then who calls.
fn enter(call: &Call<'_>) -> Result<(ApiVersion, Principal), Fault> {
    let version = super::api_version(call, ApiVersion::parse)?;
    Ok((version, call.principal()?))
}

/// A resource on the wire.
pub(super) fn shaped(resource: &Resource, properties: Map<String, Value>) -> WebService {
    WebService {
        id: resource.id(),
        name: resource.name.name.clone(),
        kind: RESOURCE_TYPE.to_owned(),
        location: resource.location.clone(),
        tags: resource.tags(),
        properties: properties.into(),
    }
}

fn listed(call: &Call<'_>, page: &ResourcePage) -> WebServiceList {
    let base = call.base_url();
    let value = page
        .resources
        .iter()
        .map(|resource| shaped(resource, resource.listed_properties(&base)))
        .collect();
    let next_link = next_link(call, page.next.as_deref());
    WebServiceList { value, next_link }
}
