//! Blobs behind plain URLs, signed by whoever or open to all. They are read only.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::ready;
use futures_util::stream::{self, Stream, StreamExt as _};
use http_body_util::BodyExt as _;
use object_store::HeaderValue;
use object_store::client::{HttpRequest, HttpRequestBody};
use outbound::{Outbound, ReplyBody, Said};

use super::connector::beginning;
use super::rest::{attempts, unreadable};
use crate::adapter::{Adapter, Doing};
use crate::source::Reader;
use crate::{ByteStream, Failure, FailureKind, Joined, Source, Staging};

/// A blob behind a URL.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct WebPage {
    /// The path, decoded.
    pub(crate) name: String,
    /// The three strings that joined are the URL.
    pub(crate) given: Joined,
}

impl WebPage {
    fn url(&self) -> String {
        let given = &self.given;
        format!(
            "{}{}{}",
            given.base_location, given.relative_location, given.sas_blob_token
        )
    }

    pub(crate) fn shown(&self) -> String {
        outbound::Source::new(self.url()).shown()
    }
}

/// What does the work at a URL.
pub(crate) fn adapter(outbound: &Outbound, page: &WebPage) -> Box<dyn Adapter> {
    Box::new(Web {
        outbound: outbound.clone(),
        page: page.clone(),
    })
}

#[derive(Clone)]
struct Web {
    outbound: Outbound,
    page: WebPage,
}

/// An answer with content in it.
struct Answer {
    /// Where the content begins in the blob.
    start: u64,
    /// The blob's size.
    size: Option<u64>,
    etag: Option<String>,
    body: Option<ReplyBody>,
}

impl Web {
    async fn get(&self, range: Range<u64>) -> Result<Answer, Failure> {
        attempts(&self.outbound, || self.attempt(range.clone())).await
    }

    async fn attempt(&self, range: Range<u64>) -> Result<Answer, Failure> {
        let wrong = || Failure::new(FailureKind::BadName, "the URL cannot be read");
        let mut request = HttpRequest::new(HttpRequestBody::empty());
        *request.uri_mut() = self.page.url().parse().map_err(|_| wrong())?;
        let last = range.end.saturating_sub(1);
        let value = format!("bytes={}-{last}", range.start);
        let headers = request.headers_mut();
        let value = HeaderValue::from_str(&value).map_err(|_| wrong())?;
        headers.insert("range", value);
        headers.insert("accept-encoding", HeaderValue::from_static("identity"));
        let (head, body) = self.outbound.send(request).await?.into_parts();
        let text = |name: &str| head.headers.get(name).and_then(|v| v.to_str().ok());
        let etag = text("etag").filter(|etag| etag.starts_with('"'));
        let (part, total) = match text("content-range").and_then(|t| t.split_once('/')) {
            Some((part, total)) => (part.strip_prefix("bytes "), total.parse().ok()),
            None => (None, None),
        };
        let (start, size, body) = match head.status.as_u16() {
            206 => {
                let start = part.and_then(|part| part.split_once('-')?.0.trim().parse().ok());
                let start = start.ok_or_else(|| unreadable("the answer does not say its range"))?;
                (start, total, Some(body))
            }
            // Ranges are not known there: all of it comes.
            200 => {
                let size = text("content-length").and_then(|t| t.parse().ok());
                (0, size, Some(body))
            }
            // There is no first byte.
            416 if range.start == 0 && total == Some(0) => (0, total, None),
            status => {
                let said = Said::read(&beginning(body).await);
                return Err(Failure::answered(status, said));
            }
        };
        Ok(Answer {
            start,
            size,
            etag: etag.map(str::to_owned),
            body,
        })
    }
}

fn read_only<'a, T: Send + 'a>() -> Doing<'a, T> {
    let text = "a URL without a shared access signature can only be read";
    Box::pin(ready(Err(Failure::new(FailureKind::Refused, text))))
}

impl Adapter for Web {
    fn open(&self) -> Doing<'_, Source> {
        Box::pin(async move {
            let answer = self.get(0..1).await?;
            let size = answer
                .size
                .ok_or_else(|| unreadable("the answer does not say how long it is"))?;
            let reader = Page {
                web: self.clone(),
                etag: answer.etag.clone(),
            };
            Ok(Source::new(size, answer.etag, Arc::new(reader)))
        })
    }

    fn probe(&self) -> Doing<'_, ()> {
        read_only()
    }

    fn begin<'a>(&'a self, _: &'a str) -> Doing<'a, Staging> {
        read_only()
    }

    fn resume<'a>(&'a self, _: &'a str) -> Doing<'a, Staging> {
        read_only()
    }

    fn put<'a>(&'a self, _: &'a str, _: Bytes) -> Doing<'a, ()> {
        read_only()
    }

    fn delete(&self) -> Doing<'_, ()> {
        read_only()
    }

    fn signed<'a>(&'a self, _: Duration, _: &'a str) -> Doing<'a, Joined> {
        Box::pin(ready(Ok(self.page.given.clone())))
    }
}

/// A URL behind which something was found.
struct Page {
    web: Web,
    etag: Option<String>,
}

impl Reader for Page {
    fn read(&self, range: Range<u64>) -> Doing<'_, ByteStream> {
        Box::pin(async move {
            let answer = self.web.get(range.clone()).await?;
            if self.etag != answer.etag {
                let text = "the content is not the one that was opened";
                return Err(Failure::new(FailureKind::Changed, text));
            }
            let Some(skipped) = range.start.checked_sub(answer.start) else {
                return Err(unreadable("the answer has another range"));
            };
            let Some(body) = answer.body else {
                return Err(unreadable("the answer has no content"));
            };
            let wanted = range.end.saturating_sub(range.start);
            Ok(ByteStream::new(cut(frames(body), skipped, wanted)))
        })
    }
}

fn frames(body: ReplyBody) -> impl Stream<Item = Result<Bytes, Failure>> + Send {
    stream::unfold(body, |mut body| async move {
        loop {
            let frame = match body.frame().await? {
                Ok(frame) => frame,
                Err(failure) => return Some((Err(failure.into()), body)),
            };
            if let Ok(bytes) = frame.into_data() {
                return Some((Ok(bytes), body));
            }
        }
    })
}

/// `wanted` bytes after those that are skipped; an end before that is a failure.
fn cut(
    frames: impl Stream<Item = Result<Bytes, Failure>> + Send + 'static,
    skipped: u64,
    wanted: u64,
) -> impl Stream<Item = Result<Bytes, Failure>> + Send {
    let state = (frames.boxed(), skipped, wanted);
    stream::unfold(state, |(mut frames, mut skipped, mut wanted)| async move {
        while wanted > 0 {
            let mut bytes = match frames.next().await {
                Some(Ok(bytes)) => bytes,
                Some(Err(failure)) => return Some((Err(failure), (frames, 0, 0))),
                None => {
                    let failure = Failure {
                        transient: true,
                        ..unreadable("the content ended early")
                    };
                    return Some((Err(failure), (frames, 0, 0)));
                }
            };
            let over = skipped.min(bytes.len() as u64);
            skipped -= over;
            // Both fit: they are at most the length of what is in memory.
            drop(bytes.split_to(over as usize));
            bytes.truncate(wanted.min(bytes.len() as u64) as usize);
            if bytes.is_empty() {
                continue;
            }
            wanted -= bytes.len() as u64;
            return Some((Ok(bytes), (frames, skipped, wanted)));
        }
        None
    })
}
