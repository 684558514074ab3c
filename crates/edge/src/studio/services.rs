//! `…/webservicegroups/{g}/webservices`: services in the slots of a group.

use containers::Operation;
use faults::Fault;
use http::StatusCode;
use manage::{ApiVersion, PublishedView};
use store::Slot;
use wire::studio::{Definition, WebService};

use super::groups::location;
use super::{group, service, whole_body};
use crate::reply::Reply;
use crate::score::execute::run;
use crate::stack::Call;

/// `POST …/webservices`: publishes a package to a slot; the id of the service.
pub(crate) async fn publish(call: &mut Call<'_>) -> Result<Reply, Fault> {
    let path = group(call)?;
    let principal = call.principal()?;
    let body = whole_body(call).await?;
    let manager = &call.gateway.manager;
    let published = manager.publish(&principal, &path, &body).await?;
    super::made(published.entry.endpoint)
}

/// `GET …/webservices`.
pub(crate) async fn list(call: &Call<'_>) -> Result<Reply, Fault> {
    let path = group(call)?;
    let principal = call.principal()?;
    let base = call.base_url();
    let group = call.gateway.manager.group(&principal, &path).await?;
    let services: Vec<WebService> = [Slot::Staging, Slot::Production]
        .into_iter()
        .filter_map(|slot| Some(shown(group.in_slot(slot)?, &base)))
        .collect();
    Reply::json(StatusCode::OK, &services)
}

/// `GET …/webservices/{s}`.
pub(crate) async fn get(call: &Call<'_>) -> Result<Reply, Fault> {
    let (path, id) = service(call)?;
    let principal = call.principal()?;
    let published = call
        .gateway
        .manager
        .published(&principal, &path, id)
        .await?;
    Reply::json(StatusCode::OK, &shown(&published, &call.base_url()))
}

/// `PUT …/webservices/{s}`: publishes another package, or other settings, in its place.
pub(crate) async fn put(call: &mut Call<'_>) -> Result<Reply, Fault> {
    let (path, id) = service(call)?;
    let principal = call.principal()?;
    let body = whole_body(call).await?;
    let manager = &call.gateway.manager;
    let published = manager.publish_again(&principal, &path, id, &body).await?;
    Reply::json(StatusCode::OK, &shown(&published, &call.base_url()))
}

/// `DELETE …/webservices/{s}`; its package stays.
pub(crate) async fn delete(call: &Call<'_>) -> Result<Reply, Fault> {
    let (path, id) = service(call)?;
    let principal = call.principal()?;
    call.gateway
        .manager
        .unpublish(&principal, &path, id)
        .await?;
    Ok(Reply::empty(StatusCode::NO_CONTENT))
}

/// `GET …/webservices/{s}/webservicedefinition`: what the Resource Manager's PUT would take.
pub(crate) async fn definition(call: &Call<'_>) -> Result<Reply, Fault> {
    let (path, id) = service(call)?;
    let principal = call.principal()?;
    let manager = &call.gateway.manager;
    let view = manager.published_definition(&principal, &path, id).await?;
    let properties = view.properties(ApiVersion::Stable2017, &call.base_url());
    let definition = Definition {
        location: view.entry.location.clone(),
        properties: properties.into(),
    };
    Reply::json(StatusCode::OK, &definition)
}

/// `POST …/webservices/{s}/score`: a test call, answered as the first version of the scoring API
/// answers. It counts as a call of the endpoint.
pub(crate) async fn test(call: &mut Call<'_>) -> Result<Reply, Fault> {
    let (path, id) = service(call)?;
    let principal = match call.management_credential() {
        Some(_) => {
            let directory = call.gateway.store.ledger.directory();
            let endpoint = directory.endpoint(&id).cloned();
            drop(directory);
            Some(call.principal_on(endpoint.as_deref())?)
        }
        None => None,
    };
    let manager = &call.gateway.manager;
    let entry = manager.test_target(principal.as_ref(), &path, id).await?;
    let endpoint = call.gateway.scorer.endpoint(entry);
    call.seen.endpoint(&endpoint, &call.gateway.diagnostics);
    let reply = run(call, &endpoint, Operation::ScoreV1).await?;
    Ok(Reply::json_text(reply))
}

pub(super) fn shown(view: &PublishedView, base: &str) -> WebService {
    let entry = &view.entry;
    let key = |i: usize| view.keys.as_ref().and_then(|keys| keys.get(i)).cloned();
    WebService {
        id: entry.endpoint.to_string(),
        web_service_type: view.slot.name().to_owned(),
        model_package_id: view.package.map(|id| id.to_string()),
        location: location(entry, base, "score"),
        batch_location: location(entry, base, "jobs"),
        creation_time: entry.created.to_string(),
        primary_key: key(0),
        secondary_key: key(1),
        allow_anonymous_test: view.anonymous_test,
        diagnostics_settings: view.settings.clone(),
    }
}
