//! `/umpire/v1/services`: services by their short names, with keys, revisions and logs.

use faults::{Fault, bad_argument};
use http::StatusCode;
use manage::{Principal, Role, ServiceView, Target};
use serde::de::DeserializeOwned;
use store::{ResourceName, WhichKey};
use wire::arm_2017_01_01::WebServiceKeys;
use wire::umpire_v1::{
    LogLine, LogList, RevisionList, RevisionView, RollbackRequest, RotateRequest, ServiceList,
};

use crate::extract;
use crate::reply::Reply;
use crate::score::docs::workspace_path;
use crate::stack::Call;

/// Services read from the ledger at once for the list.
const PAGE: usize = 500;
/// Log lines that a call gets unless it asks for a number.
const LINES: usize = 100;
/// The largest body of these calls, in bytes.
const BODY: usize = 64 * 1024;

/// `GET /umpire/v1/services`: all of them.
pub(crate) async fn list(call: &Call<'_>) -> Result<Reply, Fault> {
    let principal = call.principal()?;
    let base = call.base_url();
    let mut services = Vec::new();
    let mut after: Option<String> = None;
    loop {
        let manager = &call.gateway.manager;
        let page = manager.list_all(&principal, after.as_deref(), PAGE).await?;
        services.extend(page.services.iter().map(|service| view(service, &base)));
        match page.next {
            Some(next) => after = Some(next),
            None => break,
        }
    }
    Reply::json(StatusCode::OK, &ServiceList { services })
}

/// `GET /umpire/v1/services/{name}`.
pub(crate) async fn get(call: &Call<'_>) -> Result<Reply, Fault> {
    let (principal, name) = enter(call)?;
    let service = call.gateway.manager.get(&principal, &name).await?;
    Reply::json(StatusCode::OK, &view(&service, &call.base_url()))
}

/// `DELETE /umpire/v1/services/{name}`.
pub(crate) async fn delete(call: &Call<'_>) -> Result<Reply, Fault> {
    let (principal, name) = enter(call)?;
    match call.gateway.manager.delete(&principal, &name).await? {
        true => Ok(Reply::empty(StatusCode::NO_CONTENT)),
        false => Err(faults::not_found::web_service_not_found()),
    }
}

/// `GET /umpire/v1/services/{name}/keys?endpoint=E`: of the default endpoint, or of that one.
pub(crate) async fn keys(call: &Call<'_>) -> Result<Reply, Fault> {
    let (principal, name) = enter(call)?;
    let manager = &call.gateway.manager;
    reply_keys(match call.query("endpoint") {
        None => manager.keys(&principal, &name).await?,
        Some(endpoint) => manager.endpoint_keys(&principal, &name, &endpoint).await?,
    })
}

/// `POST /umpire/v1/services/{name}/keys?endpoint=E`: makes one key anew.
pub(crate) async fn rotate(call: &mut Call<'_>) -> Result<Reply, Fault> {
    let (principal, name) = enter_to_change(call)?;
    let request: RotateRequest = body(call).await?;
    let which = match request.key {
        wire::umpire_v1::WhichKey::Primary => WhichKey::Primary,
        wire::umpire_v1::WhichKey::Secondary => WhichKey::Secondary,
    };
    let manager = &call.gateway.manager;
    reply_keys(match call.query("endpoint") {
        None => manager.regenerate_key(&principal, &name, which).await?,
        Some(endpoint) => {
            manager
                .regenerate_endpoint_key(&principal, &name, &endpoint, which)
                .await?
        }
    })
}

/// `GET /umpire/v1/services/{name}/revisions`.
pub(crate) async fn revisions(call: &Call<'_>) -> Result<Reply, Fault> {
    let (principal, name) = enter(call)?;
    let kept = call.gateway.manager.revisions(&principal, &name).await?;
    let revisions = kept
        .into_iter()
        .map(|revision| RevisionView {
            number: revision.number,
            id: revision.id.to_string(),
            created: revision.created.to_string(),
            current: revision.active,
        })
        .collect();
    Reply::json(StatusCode::OK, &RevisionList { revisions })
}

/// `POST /umpire/v1/services/{name}/rollback`.
pub(crate) async fn rollback(call: &mut Call<'_>) -> Result<Reply, Fault> {
    let (principal, name) = enter_to_change(call)?;
    let request: RollbackRequest = body(call).await?;
    let manager = &call.gateway.manager;
    let service = manager.rollback(&principal, &name, request.to).await?;
    Reply::json(StatusCode::OK, &view(&service, &call.base_url()))
}

/// `GET /umpire/v1/services/{name}/logs?limit=N`.
pub(crate) async fn logs(call: &Call<'_>) -> Result<Reply, Fault> {
    let (principal, name) = enter(call)?;
    let service = call.gateway.manager.get(&principal, &name).await?;
    let limit = match call.query("limit") {
        None => LINES,
        Some(text) => text
            .parse()
            .map_err(|_| bad_argument::invalid_query_parameter("limit", "It is a whole number."))?,
    };
    let notes = call
        .gateway
        .telemetry
        .notes(service.entry.endpoint.0, limit);
    let lines = notes
        .into_iter()
        .map(|note| LogLine {
            time: extract::rfc3339(note.time),
            level: note.level.name().to_owned(),
            text: note.text,
        })
        .collect();
    Reply::json(StatusCode::OK, &LogList { lines })
}

/// Who calls, and which service is meant.
fn enter(call: &Call<'_>) -> Result<(Principal, ResourceName), Fault> {
    let principal = call.principal()?;
    let name = call.gateway.manager.resolve(&principal, &call.word(0))?;
    Ok((principal, name))
}

/// Like [`enter`], for a call that changes the service: refused before its body is looked at.
fn enter_to_change(call: &Call<'_>) -> Result<(Principal, ResourceName), Fault> {
    let (principal, name) = enter(call)?;
    let directory = call.gateway.store.ledger.directory();
    let entry = directory.by_name(&name.key());
    let entry = entry.ok_or_else(faults::not_found::web_service_not_found)?;
    principal.permit(Role::Manage, &Target::service(entry))?;
    Ok((principal, name))
}

/// A small JSON body; none at all reads as `{}`.
pub(super) async fn body<T: DeserializeOwned>(call: &mut Call<'_>) -> Result<T, Fault> {
    let bytes = call.json_body(BODY).await?;
    let bytes = if bytes.is_empty() { &b"{}"[..] } else { &bytes };
    serde_json::from_slice(bytes).map_err(|e| bad_argument::request_body_invalid().caused_by(&e))
}

fn reply_keys([primary, secondary]: [String; 2]) -> Result<Reply, Fault> {
    Reply::json(StatusCode::OK, &WebServiceKeys { primary, secondary })
}

fn view(service: &ServiceView, base: &str) -> wire::umpire_v1::ServiceView {
    let entry = &service.entry;
    let path = workspace_path(entry);
    wire::umpire_v1::ServiceView {
        name: entry.service_name.name.clone(),
        subscription_id: entry.service_name.subscription.clone(),
        resource_group: entry.service_name.resource_group.clone(),
        workspace_id: entry.workspace.to_string(),
        service_id: entry.service.to_string(),
        endpoint_id: entry.endpoint.to_string(),
        endpoint_name: entry.endpoint_name.clone(),
        title: service.title().to_owned(),
        scoring_url: format!("{base}{path}/execute?api-version=2.0"),
        swagger_url: format!("{base}{path}/swagger.json"),
        max_concurrent_calls: entry.max_concurrent_calls,
        revision: entry.revision_number,
        created: entry.created.to_string(),
        modified: entry.modified.to_string(),
        inputs: service.inputs(),
        outputs: service.outputs(),
    }
}
