//! `GET` and `HEAD` of a blob: its content or a range of it, its properties, its blocks.

use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;

use bytes::Bytes;
use http::header::{CONTENT_RANGE, HeaderValue};
use http::{Method, StatusCode};
use store::{BlobAt, BlobReader, Permission};
use tokio::sync::mpsc;

use super::conditions::{self, Conditions};
use super::{Refusal, answer, granted, header, permit, xml};
use crate::reply::Reply;
use crate::stack::Call;

/// How much is read at once.
const CHUNK: u64 = 128 * 1024;
/// Chunks between the disk and the client.
const AHEAD: usize = 2;

const XML: HeaderValue = HeaderValue::from_static("application/xml");
const ANY_TYPE: HeaderValue = HeaderValue::from_static("application/octet-stream");

/// Answers the call.
pub(crate) async fn read(call: &Call<'_>) -> Reply {
    answer(try_read(call).await)
}

async fn try_read(call: &Call<'_>) -> Result<Reply, Refusal> {
    let (at, grant) = granted(call)?;
    permit(&grant, &[Permission::Read])?;
    match call.query("comp").as_deref() {
        None | Some("metadata") => content(call, &at).await,
        Some("blocklist") => blocks(call, &at).await,
        Some(_) => Err(Refusal::bad(
            "InvalidQueryParameterValue",
            "This part of a blob is not kept here.",
        )),
    }
}

async fn content(call: &Call<'_>, at: &BlobAt) -> Result<Reply, Refusal> {
    if call.query("snapshot").is_some() || call.query("versionid").is_some() {
        return Err(Refusal::bad(
            "InvalidQueryParameterValue",
            "Blobs have no snapshots and versions here.",
        ));
    }
    let wanted = Conditions::of(&call.head.headers)?;
    let reader = call.gateway.store.open_blob(at).await?;
    let info = reader.info();
    wanted.check_read(info)?;
    if wanted.is_known(info) {
        let mut reply = Reply::empty(StatusCode::NOT_MODIFIED);
        conditions::state(&mut reply.headers, info);
        return Ok(reply);
    }
    let asked = header(call, "x-ms-range").or_else(|| header(call, "range"));
    let range = match asked.and_then(|text| parse_range(text, info.size)) {
        Some(range) if range.is_empty() => return Err(Refusal::range(info.size)),
        range => range,
    };
    let is_part = range.is_some() && call.query("comp").is_none();
    let range = range.filter(|_| is_part).unwrap_or(0..info.size);
    let length = range.end - range.start;
    let kind = HeaderValue::from_str(&info.content_type).unwrap_or(ANY_TYPE);
    let (sender, receiver) = mpsc::channel(AHEAD);
    let mut reply = Reply::stream(kind, length, receiver);
    conditions::properties(&mut reply.headers, info);
    if is_part {
        reply.status = StatusCode::PARTIAL_CONTENT;
        let last = range.end.saturating_sub(1);
        let text = format!("bytes {}-{last}/{}", range.start, info.size);
        if let Ok(value) = HeaderValue::from_str(&text) {
            reply.headers.insert(CONTENT_RANGE, value);
        }
    }
    if call.head.method != Method::HEAD && length > 0 {
        tokio::spawn(send(reader, range, sender));
    }
    Ok(reply)
}

/// Reads a range and hands it over as fast as the client takes it. The disk is waited for a chunk
/// at a time, so that a slow client holds no thread.
async fn send(reader: BlobReader, mut range: Range<u64>, sender: mpsc::Sender<Bytes>) {
    while !range.is_empty() {
        let (from, end) = (range.start, range.end);
        let blob = reader.clone();
        let read = tokio::task::spawn_blocking(move || read_at(&blob, from..end)).await;
        let bytes = match read {
            Ok(Ok(bytes)) => bytes,
            Ok(Err(error)) => {
                // The connection is cut before the announced length.
                tracing::error!(%error, "a file of a blob cannot be read");
                return;
            }
            Err(_) => return,
        };
        range.start += bytes.len() as u64;
        if sender.send(bytes).await.is_err() {
            // The client went away.
            return;
        }
    }
}

/// The first bytes of a range that is not empty.
fn read_at(reader: &BlobReader, range: Range<u64>) -> io::Result<Bytes> {
    let ended = || io::Error::from(io::ErrorKind::UnexpectedEof);
    let (file, offset, len) = reader.piece_at(range.start)?.ok_or_else(ended)?;
    let len = len.min(CHUNK).min(range.end - range.start);
    let mut bytes = vec![0; usize::try_from(len).unwrap_or(0)];
    file.read_exact_at(&mut bytes, offset)?;
    Ok(bytes.into())
}

async fn blocks(call: &Call<'_>, at: &BlobAt) -> Result<Reply, Refusal> {
    let kind = call.query("blocklisttype");
    let is = |name: &str| {
        kind.as_deref()
            .is_some_and(|k| k.eq_ignore_ascii_case(name))
    };
    let (committed, uncommitted) = match (is("all"), is("uncommitted")) {
        (true, _) => (true, true),
        (_, true) => (false, true),
        _ => (true, false),
    };
    let list = call.gateway.store.block_list(at).await?;
    let body = xml::block_list(&list, committed, uncommitted);
    Ok(Reply::text(StatusCode::OK, XML, body.into()))
}

/// The range of bytes that a header asks for, cut off at the end; an empty one where it begins
/// after the end. `None` for what is no single range: the whole is the answer then.
fn parse_range(text: &str, size: u64) -> Option<Range<u64>> {
    let (from, to) = text.strip_prefix("bytes=")?.trim().split_once('-')?;
    let number = |text: &str| text.trim().parse::<u64>().ok();
    let range = match (number(from), number(to)) {
        (Some(from), Some(to)) if to < from => return None,
        (Some(from), Some(to)) => from..to.saturating_add(1).min(size),
        (Some(from), None) if to.trim().is_empty() => from..size,
        (None, Some(last)) if from.trim().is_empty() => size.saturating_sub(last)..size,
        _ => return None,
    };
    match range.start < range.end {
        true => Some(range),
        false => Some(size..size),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_as_http_has_them() {
        for (text, range) in [
            ("bytes=0-3", Some(0..4)),
            ("bytes=3-99", Some(3..10)),
            ("bytes=9-", Some(9..10)),
            ("bytes=-3", Some(7..10)),
            ("bytes=-30", Some(0..10)),
            ("bytes=10-", Some(10..10)),
            ("bytes=10-20", Some(10..10)),
            ("bytes=-0", Some(10..10)),
            ("bytes=0-18446744073709551615", Some(0..10)),
            ("bytes=3-2", None),
            ("bytes=0-1,3-4", None),
            ("bytes=a-b", None),
            ("bytes=-", None),
            ("rows=0-1", None),
            ("", None),
        ] {
            assert_eq!(parse_range(text, 10), range, "{text}");
        }
        assert_eq!(parse_range("bytes=0-5", 0), Some(0..0));
    }
}
