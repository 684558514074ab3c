//! `/blobs/{workspace}/{container}/{blob}`: blobs of workspaces, in the protocol of Azure's blob
//! storage, so that its clients read and write them.
//!
//! Whoever shows a signature of ours ([`store::BlobGrant`]) does what it says, with that blob and
//! no other. Batch jobs hand such URLs out, and `POST …/uploads` does. This is the one surface whose
//! failures are in the protocol's form; each is observed as a fault like all others.

mod conditions;
mod read;
mod refusal;
mod upload;
mod write;
mod xml;

use http::header::{HeaderName, HeaderValue};
use jiff::Timestamp;
use store::{BlobAt, BlobGrant, Id, Permission};

use crate::extract;
use crate::reply::Reply;
use crate::stack::Call;

pub(crate) use read::read;
use refusal::Refusal;
pub(crate) use refusal::of_fault;
pub(crate) use upload::create as create_upload;
pub(crate) use write::{delete, write};

/// `x-ms-version`: the version of the protocol that replies are of.
static VERSION: HeaderName = HeaderName::from_static("x-ms-version");
const VERSION_VALUE: HeaderValue = HeaderValue::from_static(store::SIGNED_VERSION);

/// What stands between `/blobs/` and the blob container in a path, and what begins a base location.
pub(crate) fn base_location(base_url: &str, workspace: Id) -> String {
    format!("{}/blobs/{workspace}/", base_url.trim_end_matches('/'))
}

/// The blob that the path names and what the caller may do with it.
///
/// A signature is asked for before anything else is said of the blob, its workspace or its name.
fn granted(call: &Call<'_>) -> Result<(BlobAt, BlobGrant), Refusal> {
    let at = Id::parse(&call.word(0))
        .ok_or(Refusal::unauthenticated("the workspace is no id"))
        .and_then(|workspace| {
            BlobAt::new(workspace, &call.word(1), &call.word(2))
                .map_err(|_| Refusal::unauthenticated("the path names no blob"))
        })?;
    let grant = BlobGrant::of_query(
        &call.gateway.store.sealer,
        &at,
        |name| extract::query(call.head.uri.query(), name),
        Timestamp::now(),
    )
    .map_err(|problem| Refusal::unauthenticated(&problem.to_string()))?;
    Ok((at, grant))
}

/// Refuses what the grant does not say.
fn permit(grant: &BlobGrant, permissions: &[Permission]) -> Result<(), Refusal> {
    match permissions
        .iter()
        .any(|permission| grant.permits(*permission))
    {
        true => Ok(()),
        false => Err(Refusal::unpermitted()),
    }
}

/// A header of the protocol, where it is text.
fn header<'c>(call: &'c Call<'_>, name: &str) -> Option<&'c str> {
    call.head.headers.get(name)?.to_str().ok().map(str::trim)
}

/// What every reply has.
fn with_version(reply: Reply) -> Reply {
    reply.with(VERSION.clone(), VERSION_VALUE)
}

/// A handler's answer, whichever it is.
fn answer(result: Result<Reply, Refusal>) -> Reply {
    with_version(match result {
        Ok(reply) => reply,
        Err(refusal) => refusal.into_reply(),
    })
}
