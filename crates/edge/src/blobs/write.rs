//! `PUT` of a blob, whole or in blocks, and `DELETE`.

use bytes::Bytes;
use faults::request_timeout;
use http::StatusCode;
use http::header::HeaderName;
use store::{BlobAt, BlobGrant, BlobInfo, Condition, Permission, SyncedObject};

use super::conditions::{self, Conditions};
use super::{Refusal, answer, granted, header, permit, xml};
use crate::body::late;
use crate::reply::Reply;
use crate::stack::Call;

/// The largest list of blocks, in bytes: 50,000 of the longest ids.
const LIST_BYTES: usize = 8 << 20;
/// The longest media type of a blob.
const TYPE_BYTES: usize = 256;

/// Headers that ask for what is not done here. To pass one over would be to store something else
/// than was asked for.
const NOT_DONE: [(&str, &str); 4] = [
    (
        "x-ms-copy-source",
        "Blobs are not copied from elsewhere here.",
    ),
    (
        "x-ms-encryption-key",
        "Blobs are not kept under keys of their own here.",
    ),
    ("x-ms-tags", "Blobs have no tags here."),
    ("x-ms-lease-id", "Blobs have no leases here."),
];

/// Answers a `PUT`.
pub(crate) async fn write(call: &mut Call<'_>) -> Reply {
    answer(try_write(call).await)
}

/// Answers a `DELETE`.
pub(crate) async fn delete(call: &mut Call<'_>) -> Reply {
    answer(try_delete(call).await)
}

async fn try_write(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let (at, grant) = granted(call)?;
    permit(&grant, &[Permission::Write, Permission::Create])?;
    let headers = &call.head.headers;
    for (name, message) in NOT_DONE {
        if headers.contains_key(name) {
            return Err(Refusal::bad("UnsupportedHeader", message));
        }
    }
    let is_metadata = |name: &HeaderName| name.as_str().starts_with("x-ms-meta-");
    if headers.keys().any(is_metadata) {
        return Err(Refusal::bad(
            "UnsupportedHeader",
            "Blobs have no metadata here.",
        ));
    }
    match call.query("comp").as_deref() {
        None => put_whole(call, &at, &grant).await,
        Some("block") => put_block(call, &at).await,
        Some("blocklist") => put_list(call, &at, &grant).await,
        Some(_) => Err(Refusal::bad(
            "InvalidQueryParameterValue",
            "This part of a blob is not kept here.",
        )),
    }
}

/// Put Blob.
async fn put_whole(call: &mut Call<'_>, at: &BlobAt, grant: &BlobGrant) -> Result<Reply, Refusal> {
    let kind = header(call, "x-ms-blob-type");
    if kind.is_some_and(|kind| !kind.eq_ignore_ascii_case("BlockBlob")) {
        return Err(Refusal::bad(
            "InvalidHeaderValue",
            "Block blobs are the only ones here.",
        ));
    }
    let condition = may_write(call, at, grant).await?;
    let content_type = content_type(call)?;
    let object = receive(call).await?;
    let store = &call.gateway.store;
    let info = store
        .put_whole_blob(at, &content_type, object, condition)
        .await;
    Ok(created(&info.map_err(|problem| as_grant(problem, grant))?))
}

/// Put Block. Nothing is seen of it before a list names it.
async fn put_block(call: &mut Call<'_>, at: &BlobAt) -> Result<Reply, Refusal> {
    let id = call.query("blockid").unwrap_or_default().into_owned();
    let base64 = |b: u8| b.is_ascii_alphanumeric() || b"+/=-_".contains(&b);
    if id.is_empty() || id.len() > 88 || !id.bytes().all(base64) {
        return Err(Refusal::bad(
            "InvalidQueryParameterValue",
            "The id of a block is base64 of 1 to 64 bytes.",
        ));
    }
    let object = receive(call).await?;
    call.gateway
        .store
        .stage_shared_block(at, &id, object)
        .await?;
    Ok(Reply::empty(StatusCode::CREATED))
}

/// Put Block List.
async fn put_list(call: &mut Call<'_>, at: &BlobAt, grant: &BlobGrant) -> Result<Reply, Refusal> {
    let condition = may_write(call, at, grant).await?;
    // The request's own type is that of the list.
    let content_type = match header(call, "x-ms-blob-content-type") {
        Some(_) => content_type(call)?,
        None => ANY_TYPE.to_owned(),
    };
    call.body.check_declared(LIST_BYTES)?;
    let deadline = call.started + call.gateway.options.body_time;
    let mut buffer = call.gateway.scorer.reserve_buffer(0)?;
    let body = call
        .body
        .whole(LIST_BYTES, deadline, |bytes| buffer.cover(bytes), late)
        .await?;
    let list = std::str::from_utf8(&body)
        .ok()
        .and_then(xml::read_block_list)
        .ok_or_else(|| Refusal::bad("InvalidXmlDocument", "The body is no list of blocks."))?;
    let store = &call.gateway.store;
    let info = store
        .commit_shared_blocks(at, list, &content_type, condition)
        .await;
    Ok(created(&info.map_err(|problem| as_grant(problem, grant))?))
}

async fn try_delete(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let (at, grant) = granted(call)?;
    permit(&grant, &[Permission::Delete])?;
    let wanted = Conditions::of(&call.head.headers)?;
    let store = &call.gateway.store;
    wanted.check_write(store.blob_info(&at).await?.as_ref())?;
    store.delete_blob(&at, wanted.of_etag, None).await?;
    Ok(Reply::empty(StatusCode::ACCEPTED))
}

const ANY_TYPE: &str = "application/octet-stream";

/// What must be true of the blob when it is put in place: what the headers say, and that there is
/// none where the signature lets its holder make blobs only. It is looked at beforehand too, so
/// that nobody sends in vain.
async fn may_write(call: &Call<'_>, at: &BlobAt, grant: &BlobGrant) -> Result<Condition, Refusal> {
    let wanted = Conditions::of(&call.head.headers)?;
    let there = call.gateway.store.blob_info(at).await?;
    wanted.check_write(there.as_ref())?;
    let mut condition = wanted.of_etag;
    if !grant.permits(Permission::Write) {
        condition.absent = true;
        if there.is_some() {
            return Err(Refusal::unpermitted());
        }
    }
    Ok(condition)
}

/// What a blob that is there is for a signature that lets its holder make blobs only.
fn as_grant(problem: store::BlobProblem, grant: &BlobGrant) -> Refusal {
    match problem {
        store::BlobProblem::Exists if !grant.permits(Permission::Write) => Refusal::unpermitted(),
        problem => problem.into(),
    }
}

/// The media type that the blob is to have.
fn content_type(call: &Call<'_>) -> Result<String, Refusal> {
    let given = header(call, "x-ms-blob-content-type").or_else(|| header(call, "content-type"));
    let given = given.filter(|text| !text.is_empty()).unwrap_or(ANY_TYPE);
    match given.len() <= TYPE_BYTES {
        true => Ok(given.to_owned()),
        false => Err(Refusal::bad(
            "InvalidHeaderValue",
            "The content type is too long.",
        )),
    }
}

/// Takes the body into a file, as it comes. It may take as long as it needs, but not stand still.
async fn receive(call: &mut Call<'_>) -> Result<SyncedObject, Refusal> {
    let options = &call.gateway.options;
    let (limit, silence) = (options.blob_limit, options.body_time);
    if call.body.declared().is_some_and(|size| size as u64 > limit) {
        return Err(store::BlobProblem::TooLarge(limit).into());
    }
    let mut object = call.gateway.store.receive_object(limit).await?;
    loop {
        let chunk: Option<Bytes> = tokio::time::timeout(silence, call.body.chunk())
            .await
            .map_err(|_| late().because("the upload stood still"))??;
        match chunk {
            Some(chunk) => object.write(&chunk).await?,
            None => break,
        }
    }
    if !call.body.is_complete() {
        let broken_off = request_timeout::request_canceled();
        return Err(broken_off.because("the upload broke off").into());
    }
    Ok(object.sync().await?)
}

/// What a blob is now.
fn created(info: &BlobInfo) -> Reply {
    let mut reply = Reply::empty(StatusCode::CREATED);
    conditions::state(&mut reply.headers, info);
    reply
}
