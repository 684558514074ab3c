//! Resource Manager's `Microsoft.MachineLearning/webServices`: PUT, GET, DELETE, lists and keys.
//!
//! The order of the checks: path, api-version, credentials, look-up, query, body.

use faults::Fault;
use http::StatusCode;
use manage::{ApiVersion, Page, Principal, ServiceView};
use wire::arm_2017_01_01::{RESOURCE_TYPE, WebService, WebServiceKeys, WebServiceList};

use super::{PAGE, next_link, resource_name};
use crate::body;
use crate::extract;
use crate::reply::Reply;
use crate::stack::Call;

/// `PUT …/webServices/{name}`: answered when the service scores, or has failed.
pub(crate) async fn put(call: &mut Call<'_>) -> Result<Reply, Fault> {
    let (version, principal) = enter(call)?;
    let name = resource_name(call);
    extract::check_json_headers(&call.head.headers)?;
    let (limit, deadline) = {
        let options = &call.gateway.options;
        (options.definition_limit, call.started + options.body_time)
    };
    call.body.check_declared(limit)?;
    let scorer = &call.gateway.scorer;
    let mut buffer = scorer.reserve_buffer(0)?;
    let body = call
        .body
        .whole(limit, deadline, |bytes| buffer.cover(bytes), body::late)
        .await?;
    let deployed = call.gateway.manager.deploy(&principal, name, body).await?;
    let status = match deployed.created {
        true => StatusCode::CREATED,
        false => StatusCode::OK,
    };
    Reply::json(
        status,
        &resource(&deployed.service, version, &call.base_url()),
    )
}

/// `GET …/webServices/{name}`.
pub(crate) async fn get(call: &Call<'_>) -> Result<Reply, Fault> {
    let (version, principal) = enter(call)?;
    let name = resource_name(call);
    let service = call.gateway.manager.get(&principal, &name).await?;
    Reply::json(
        StatusCode::OK,
        &resource(&service, version, &call.base_url()),
    )
}

/// `DELETE …/webServices/{name}`: done when it answers, so there is no operation to poll; the same
/// answer for a service that is not there.
pub(crate) async fn delete(call: &Call<'_>) -> Result<Reply, Fault> {
    let (_, principal) = enter(call)?;
    let name = resource_name(call);
    call.gateway.manager.delete(&principal, &name).await?;
    Ok(Reply::empty(StatusCode::NO_CONTENT))
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
        .list(&principal, &call.word(0), group, after.as_deref(), PAGE)
        .await?;
    Reply::json(StatusCode::OK, &listed(call, &page))
}

/// The api-version, which this API requires, and then who calls.
fn enter(call: &Call<'_>) -> Result<(ApiVersion, Principal), Fault> {
    let version = super::api_version(call, ApiVersion::parse)?;
    Ok((version, call.principal()?))
}

fn resource(service: &ServiceView, version: ApiVersion, base: &str) -> WebService {
    shaped(service, service.properties(version, base).into())
}

fn shaped(service: &ServiceView, properties: serde_json::Value) -> WebService {
    WebService {
        id: service.resource_id(),
        name: service.entry.service_name.name.clone(),
        kind: RESOURCE_TYPE.to_owned(),
        location: service.entry.location.clone(),
        tags: service.tags(),
        properties,
    }
}

fn listed(call: &Call<'_>, page: &Page) -> WebServiceList {
    let base = call.base_url();
    let value = page
        .services
        .iter()
        .map(|service| shaped(service, service.listed_properties(&base).into()))
        .collect();
    let next_link = next_link(call, page.next.as_deref());
    WebServiceList { value, next_link }
}
