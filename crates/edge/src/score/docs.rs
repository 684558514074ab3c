//! The API documents of a service: `swagger.json`, and the same at the help page's address.

use std::sync::Arc;

use faults::{Fault, bad_argument, internal_error, not_found};
use graph::Package;
use http::StatusCode;
use scoring::{Address, Family};
use store::Entry;

use super::swagger::{Place, document};
use crate::extract;
use crate::reply::Reply;
use crate::stack::Call;

/// The version is optional here.
const VERSIONS: &[&str] = &["2.0"];

/// `GET …/services/{service}/swagger.json` of either URL family.
pub(crate) async fn swagger_json(call: &Call<'_>, family: Family) -> Result<Reply, Fault> {
    let address = Address::parse(family, &call.word(0), &call.word(1))?;
    extract::api_version(call.query("api-version").as_deref(), VERSIONS, false)?;
    let entry = find(call, &address)?;
    let path = match family {
        Family::Workspace => workspace_path(&entry),
        Family::Subscription => subscription_path(&entry),
    };
    describe(call, &entry, &path).await
}

/// `GET …/webservices/{service}/endpoints/{endpoint}/apidocument`.
pub(crate) async fn api_document(call: &Call<'_>) -> Result<Reply, Fault> {
    let entry = endpoint(call)?;
    describe(call, &entry, &workspace_path(&entry)).await
}

/// The endpoint whose documents a path names: `…/webservices/{service}/endpoints/{endpoint}`.
pub(crate) fn endpoint(call: &Call<'_>) -> Result<Arc<Entry>, Fault> {
    let (workspace, service, endpoint) = (call.word(0), call.word(1), call.word(2));
    if workspace.is_empty() {
        return Err(bad_argument::missing_workspace_id());
    }
    if service.is_empty() {
        return Err(bad_argument::missing_web_service_group_id());
    }
    // The endpoint stands there by its id, as in scoring URLs, or by its name.
    let by_id = store::Id::parse(&endpoint).is_some() || endpoint.is_empty();
    let named = store::Id::parse(&service)
        .filter(|_| !by_id)
        .and_then(|service| {
            let directory = call.gateway.store.ledger.directory();
            let all = directory.endpoints_of(&service);
            all.iter()
                .find(|entry| entry.endpoint_name.eq_ignore_ascii_case(&endpoint))
                .map(|entry| entry.endpoint.to_string())
        });
    let id = match (by_id, &named) {
        (true, _) => &*endpoint,
        (false, Some(id)) => id,
        (false, None) => &*service,
    };
    let address = Address::parse(Family::Workspace, &workspace, id)?;
    extract::api_version(call.query("api-version").as_deref(), VERSIONS, false)?;
    let entry = find(call, &address)?;
    let belongs = store::Id::parse(&service).is_some_and(|service| service == entry.service);
    if !belongs || !(by_id || entry.endpoint_name.eq_ignore_ascii_case(&endpoint)) {
        return Err(not_found::web_service_not_found());
    }
    Ok(entry)
}

/// The start of an endpoint's paths in the first URL family.
pub(crate) fn workspace_path(entry: &Entry) -> String {
    format!(
        "/workspaces/{}/services/{}",
        entry.workspace, entry.endpoint
    )
}

/// The start of an endpoint's paths in the second URL family; the default one stands there by the
/// service's id.
pub(crate) fn subscription_path(entry: &Entry) -> String {
    let id = match entry.is_default() {
        true => entry.service,
        false => entry.endpoint,
    };
    format!("/subscriptions/{}/services/{id}", entry.subscription)
}

/// Documents are open by contract, unless the operator closes them: then they ask for a key.
fn find(call: &Call<'_>, address: &Address) -> Result<Arc<Entry>, Fault> {
    let scorer = &call.gateway.scorer;
    if call.gateway.options.public_docs {
        scorer.find_open(address)
    } else {
        let endpoint = scorer.find(address, call.credential())?;
        Ok(endpoint.entry().clone())
    }
}

async fn describe(call: &Call<'_>, entry: &Entry, path: &str) -> Result<Reply, Fault> {
    let package = stored_package(call, entry).await?;
    let base = call.base_url();
    let (scheme, rest) = base.split_once("://").unwrap_or(("http", &base));
    let (host, prefix) = match rest.find('/') {
        Some(slash) => rest.split_at(slash),
        None => (rest, ""),
    };
    let place = Place {
        service: &entry.service_name.name,
        endpoint: &entry.endpoint_name,
        scheme,
        host,
        base_path: &format!("{prefix}{path}"),
    };
    Reply::json(StatusCode::OK, &document(&package, &place)?)
}

/// The package behind an endpoint, its samples as the endpoint shows them. Whatever keeps it from
/// being read, the document's reader is told one thing, and the log the rest.
pub(crate) async fn stored_package(call: &Call<'_>, entry: &Entry) -> Result<Package, Fault> {
    let failed = |inner: Fault| {
        let why = inner.cause().unwrap_or_default().to_owned();
        let args = inner.details().first().map(|d| d.args.join(", "));
        internal_error::failed_getting_api_document().because(format!(
            "{} {} {why}",
            inner.name(),
            args.unwrap_or_default()
        ))
    };
    let revision = call
        .gateway
        .store
        .ledger
        .revision(entry.revision)
        .await
        .map_err(failed)?;
    let definition: serde_json::Value = serde_json::from_str(&revision.definition)
        .map_err(|e| internal_error::failed_getting_api_document().caused_by(&e))?;
    let mut package = Package::from_stored_json(&definition).map_err(failed)?;
    package.expose_sample_data &= entry.settings.sample_data;
    Ok(package)
}
