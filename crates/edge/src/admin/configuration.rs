//! `/umpire/v1/limits`, `/umpire/v1/cluster/configuration` and `/umpire/v1/configuration/reload`:
//! settings that are changed while the server runs.

use faults::Fault;
use http::StatusCode;
use serde_json::{Map, Value};
use wire::umpire_v1::{ConfigurationChange, LimitList, LimitView};

use super::authorize;
use super::services::body;
use crate::configuration::{Configuration, Reloaded};
use crate::reply::Reply;
use crate::stack::Call;

/// `GET /umpire/v1/limits`: the settings that servers share, with their origins.
pub(crate) fn limits(call: &Call<'_>) -> Result<Reply, Fault> {
    authorize(call)?;
    let shared = call.gateway.configuration()?.shared();
    let limits = shared
        .into_iter()
        .map(|setting| LimitView {
            name: setting.name,
            value: setting.value,
            origin: setting.origin,
        })
        .collect();
    Reply::json(StatusCode::OK, &LimitList { limits })
}

/// `PUT /umpire/v1/limits`: `{"limits.body": "32MiB"}` goes into the document; `null` takes a
/// setting out.
pub(crate) async fn put_limits(call: &mut Call<'_>) -> Result<Reply, Fault> {
    change(call, "change limits", |configuration, changes| {
        configuration.put_shared(changes)
    })
    .await
}

/// `GET /umpire/v1/cluster/configuration`: the document; `{}` where there is none.
pub(crate) async fn document(call: &Call<'_>) -> Result<Reply, Fault> {
    authorize(call)?;
    let configuration = call.gateway.configuration()?;
    let document = blocking(move || configuration.document()).await?;
    Reply::json(StatusCode::OK, &document)
}

/// `PUT /umpire/v1/cluster/configuration`: another document in its place.
pub(crate) async fn put_document(call: &mut Call<'_>) -> Result<Reply, Fault> {
    change(
        call,
        "change cluster configuration",
        |configuration, document| configuration.put_document(document),
    )
    .await
}

/// `POST /umpire/v1/configuration/reload`: what SIGHUP does.
pub(crate) async fn reload(call: &Call<'_>) -> Result<Reply, Fault> {
    let principal = authorize(call)?;
    let configuration = call.gateway.configuration()?;
    let reloaded = blocking(move || configuration.reload()).await?;
    let manager = &call.gateway.manager;
    manager.configured(&principal, "reload settings").await?;
    reply(reloaded)
}

/// A change by what the body asks for.
type Change = fn(&dyn Configuration, Map<String, Value>) -> Result<Reloaded, Fault>;

async fn change(call: &mut Call<'_>, what: &'static str, change: Change) -> Result<Reply, Fault> {
    let principal = authorize(call)?;
    let asked: Map<String, Value> = body(call).await?;
    let configuration = call.gateway.configuration()?;
    let reloaded = blocking(move || change(&*configuration, asked)).await?;
    call.gateway.manager.configured(&principal, what).await?;
    reply(reloaded)
}

fn reply(reloaded: Reloaded) -> Result<Reply, Fault> {
    let Reloaded { changed, restart } = reloaded;
    Reply::json(StatusCode::OK, &ConfigurationChange { changed, restart })
}

/// Runs what may wait for the disk away from the threads that serve calls.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Fault> + Send + 'static,
) -> Result<T, Fault> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|e| faults::internal_error::unknown_error().caused_by(&e))?
}
