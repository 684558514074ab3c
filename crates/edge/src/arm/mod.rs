//! The Resource Manager's `Microsoft.MachineLearning`: a file per kind of resource.

pub(crate) mod operations;
pub(crate) mod plans;
pub(crate) mod provider;
pub(crate) mod services;
pub(crate) mod workspaces;

use bytes::Bytes;
use faults::{Fault, bad_argument};
use store::ResourceName;

use crate::extract;
use crate::stack::Call;

/// The api-version, which this API requires on every call; `parse` knows those of the resource.
fn api_version<V>(call: &Call<'_>, parse: impl FnOnce(&str) -> Option<V>) -> Result<V, Fault> {
    let given = call.query("api-version");
    given.as_deref().and_then(parse).ok_or_else(|| {
        let shown = given.as_deref().map_or("(none)".into(), extract::shortened);
        bad_argument::bad_version_call(shown)
    })
}

/// The largest body of a call whose resource holds no definition, in bytes.
const SMALL: usize = 256 * 1024;
/// Resources of one page of a list.
const PAGE: usize = 100;

/// The body of a call whose resource holds no definition.
async fn small_body(call: &mut Call<'_>) -> Result<Bytes, Fault> {
    call.json_body(SMALL).await
}

/// The name in a path of subscription, resource group and name.
fn resource_name(call: &Call<'_>) -> ResourceName {
    ResourceName {
        subscription: call.word(0).into_owned(),
        resource_group: call.word(1).into_owned(),
        name: call.word(2).into_owned(),
    }
}

/// The id of a resource of that type.
fn resource_id(kind: &str, name: &ResourceName) -> String {
    format!(
        "/subscriptions/{}/resourceGroups/{}/providers/{kind}/{}",
        name.subscription, name.resource_group, name.name
    )
}

/// Where the page of a list after this one is.
fn next_link(call: &Call<'_>, next: Option<&str>) -> Option<String> {
    next.map(|next| {
        format!(
            "{}{}?api-version={}&$skiptoken={}",
            call.base_url(),
            call.head.uri.path(),
            extract::encode(&call.query("api-version").unwrap_or_default()),
            extract::encode(next)
        )
    })
}
