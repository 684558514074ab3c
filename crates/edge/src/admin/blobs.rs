//! `/umpire/v1/blobs/{sha256}`: what packages are made of, by hash.

use faults::{Class, Fault, bad_argument, request_timeout};
use http::StatusCode;
use wire::umpire_v1::BlobStored;

use crate::body::late;
use crate::reply::Reply;
use crate::stack::Call;

/// `PUT`: the body is the blob, streamed to the disk as it comes, and checked against its name.
/// 201 for a new one, 200 for one that was there.
pub(crate) async fn put(call: &mut Call<'_>) -> Result<Reply, Fault> {
    let principal = call.principal()?;
    let options = &call.gateway.options;
    // A blob may take as long as it needs, but not stand still.
    let (limit, silence) = (options.blob_limit, options.body_time);
    if call.body.declared().is_some_and(|size| size as u64 > limit) {
        return Err(
            bad_argument::request_body_invalid().because(format!("the blob is over {limit} bytes"))
        );
    }
    let name = call.word(0).into_owned();
    let manager = &call.gateway.manager;
    let mut upload = manager.begin_blob(&principal, &name)?;
    loop {
        let chunk = tokio::time::timeout(silence, call.body.chunk())
            .await
            .map_err(|_| late().because("the upload stood still"))??;
        match chunk {
            Some(chunk) => upload.write(&chunk).await?,
            None => break,
        }
    }
    if !call.body.is_complete() {
        return Err(request_timeout::request_canceled().because("the upload broke off"));
    }
    let stored = manager.finish_blob(&principal, &name, upload).await?;
    let status = match stored.created {
        true => StatusCode::CREATED,
        false => StatusCode::OK,
    };
    Reply::json(
        status,
        &view(name.to_ascii_lowercase(), stored.size, stored.created),
    )
}

/// `GET`, `HEAD`: whether a blob is there; bare NotFound where it is not. Its content is not
/// served.
pub(crate) async fn has(call: &Call<'_>) -> Result<Reply, Fault> {
    let principal = call.principal()?;
    let name = call.word(0);
    match call.gateway.manager.blob_size(&principal, &name)? {
        Some(size) => Reply::json(
            StatusCode::OK,
            &view(name.to_ascii_lowercase(), size, false),
        ),
        None => Err(Fault::bare(Class::NotFound).because("no such blob")),
    }
}

fn view(sha256: String, size: u64, created: bool) -> BlobStored {
    BlobStored {
        uri: format!("umpire:sha256:{sha256}"),
        sha256,
        size,
        created,
    }
}
