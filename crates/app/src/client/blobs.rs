//! Files to and from a server's own store by signed URLs, as Azure's blob service takes them: one
//! request for a small file, blocks side by side for a large one.

use std::fs::File;
use std::io::{self, Read, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use ureq::http::Method;
use ureq::http::{Request, Response};
use ureq::{Body, SendBody};
use wire::bes_2_0::BlobReference;

use super::{Client, checked};
use crate::exit::Failure;
use crate::interrupt::Interrupt;
use crate::part_file::PartFile;

/// A file up to this size is one request, and a larger one has blocks of at least it.
const BLOCK: u64 = 8 << 20;
/// The most blocks of a blob.
const BLOCKS: u64 = 50_000;
/// Blocks under way at once. They are read from the file as they are sent: none is in memory.
const SENDERS: usize = 3;
/// Attempts at a request that the network or the server's state let fail.
const ATTEMPTS: u32 = 5;
/// The pause before the second attempt; each further one is twice as long.
const PAUSE: Duration = Duration::from_millis(200);
/// Bytes that are copied at a time.
const COPIED: usize = 256 << 10;

/// What is told of a transfer: the bytes so far.
pub(crate) type Told<'t> = dyn Fn(u64) + Sync + 't;

/// Where a blob's three strings lead.
fn url(at: &BlobReference) -> String {
    let text = |part: &Option<String>| part.clone().unwrap_or_default();
    text(&at.base_location) + &text(&at.relative_location) + &text(&at.sas_blob_token)
}

impl Client {
    /// Uploads a file of `size` bytes.
    pub(crate) fn upload(
        &self,
        at: &BlobReference,
        path: &Path,
        (file, size): (&File, u64),
        interrupt: &Interrupt,
        told: &Told<'_>,
    ) -> Result<(), Failure> {
        let url = url(at);
        let whole = Upload {
            client: self,
            path,
            file,
            sent: AtomicU64::new(0),
            stop: AtomicBool::new(false),
            interrupt,
            told,
        };
        if size <= BLOCK {
            return whole.put(&url, 0, size);
        }
        let length = BLOCK.max(size.div_ceil(BLOCKS));
        let count = size.div_ceil(length);
        let next = AtomicU64::new(0);
        let failure: Mutex<Option<Failure>> = Mutex::new(None);
        std::thread::scope(|scope| {
            for _ in 0..SENDERS.min(usize::try_from(count).unwrap_or(SENDERS)) {
                scope.spawn(|| {
                    loop {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        if number >= count || whole.stop.load(Ordering::Relaxed) {
                            break;
                        }
                        let start = number * length;
                        let url = with_query(&url, &format!("comp=block&blockid={}", id(number)));
                        if let Err(problem) = whole.put(&url, start, length.min(size - start)) {
                            whole.stop.store(true, Ordering::Relaxed);
                            let mut first = failure.lock().unwrap_or_else(|e| e.into_inner());
                            first.get_or_insert(problem);
                        }
                    }
                });
            }
        });
        if let Some(failure) = failure.into_inner().unwrap_or_else(|e| e.into_inner()) {
            return Err(failure);
        }
        let ids: String = (0..count)
            .map(|number| format!("<Latest>{}</Latest>", id(number)))
            .collect();
        let list =
            format!("<?xml version=\"1.0\" encoding=\"utf-8\"?><BlockList>{ids}</BlockList>");
        let url = with_query(&url, "comp=blocklist");
        self.again(interrupt, || {
            let request = Request::builder()
                .method(Method::PUT)
                .uri(&url)
                .header("Content-Type", "application/xml")
                .body(list.as_str())
                .map_err(|e| Failure::Usage(e.to_string()))?;
            let reply = self.agent.run(request).map_err(|e| self.failure(&e))?;
            checked(reply).map(drop)
        })
    }

    /// Downloads a blob to the end of a file, and goes on where a connection broke. `total` is told
    /// its size.
    pub(crate) fn fetch(
        &self,
        at: &BlobReference,
        out: &mut PartFile,
        interrupt: &Interrupt,
        told: &dyn Fn(u64, Option<u64>),
    ) -> Result<u64, Failure> {
        let url = url(at);
        let mut done = 0;
        let mut etag: Option<String> = None;
        let mut buffer = vec![0; COPIED];
        self.again(interrupt, || {
            let mut request = Request::builder().method(Method::GET).uri(&url);
            if done > 0 {
                request = request.header("Range", format!("bytes={done}-"));
                if let Some(etag) = &etag {
                    request = request.header("If-Match", etag);
                }
            }
            let request = request
                .body(())
                .map_err(|e| Failure::Usage(e.to_string()))?;
            let reply = checked(self.agent.run(request).map_err(|e| self.failure(&e))?)?;
            let broke_off = |problem: String| Failure::Unreachable {
                server: self.base.clone(),
                problem: format!("its answer broke off: {problem}"),
            };
            if done > 0 && reply.status().as_u16() != 206 {
                return Err(Failure::Local(format!(
                    "{} cannot be fetched: the connection broke, and the server does not go on \
                     where it did",
                    out.wanted().display()
                )));
            }
            let left = header(&reply, "content-length").and_then(|text| text.parse::<u64>().ok());
            etag = header(&reply, "etag");
            let total = left.map(|left| done + left);
            let mut body = reply.into_body().into_reader();
            loop {
                interrupt.check()?;
                let count = match body.read(&mut buffer) {
                    Ok(0) => break,
                    Ok(count) => count,
                    Err(e) => return Err(broke_off(e.to_string())),
                };
                out.write_all(buffer.get(..count).unwrap_or_default())
                    .map_err(|e| out.failed(&e))?;
                done += count as u64;
                told(done, total);
            }
            match total.is_none_or(|total| total == done) {
                true => Ok(()),
                false => Err(broke_off("before its end".to_owned())),
            }
        })?;
        Ok(done)
    }

    /// Deletes a blob that is of no more use; whether it is gone.
    pub(crate) fn remove(&self, at: &BlobReference) -> bool {
        let request = Request::builder().method(Method::DELETE).uri(url(at));
        let Ok(request) = request.body(()) else {
            return false;
        };
        self.agent
            .run(request)
            .is_ok_and(|reply| checked(reply).is_ok())
    }

    /// Does something again while it fails for a reason that passes.
    fn again(
        &self,
        interrupt: &Interrupt,
        mut once: impl FnMut() -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let mut attempt = 1;
        loop {
            interrupt.check()?;
            match once() {
                Err(failure) if passes(&failure) && attempt < ATTEMPTS => {
                    interrupt.wait(PAUSE * 2u32.pow(attempt - 1));
                    attempt += 1;
                }
                // What broke it off was that.
                Err(_) if interrupt.came() => return Err(Failure::Interrupted),
                result => return result,
            }
        }
    }
}

/// A file on its way.
struct Upload<'u> {
    client: &'u Client,
    path: &'u Path,
    file: &'u File,
    sent: AtomicU64,
    /// Another block failed.
    stop: AtomicBool,
    interrupt: &'u Interrupt,
    told: &'u Told<'u>,
}

impl Upload<'_> {
    /// One request with a part of the file.
    fn put(&self, url: &str, start: u64, length: u64) -> Result<(), Failure> {
        self.client.again(self.interrupt, || {
            let mut part = Part {
                upload: self,
                at: start,
                left: length,
                problem: None,
            };
            let request = Request::builder()
                .method(Method::PUT)
                .uri(url)
                .header("x-ms-blob-type", "BlockBlob")
                .header("Content-Type", "application/octet-stream")
                .header("Content-Length", length)
                .body(SendBody::from_reader(&mut part))
                .map_err(|e| Failure::Usage(e.to_string()))?;
            let result = self.client.agent.run(request);
            let (problem, passed) = (part.problem.take(), length - part.left);
            let result = match (problem, result) {
                (Some(problem), _) => Err(Failure::Local(format!(
                    "{} cannot be read: {problem}",
                    self.path.display()
                ))),
                (None, Err(e)) => Err(self.client.failure(&e)),
                (None, Ok(reply)) => checked(reply).map(drop),
            };
            if result.is_err() {
                self.sent.fetch_sub(passed, Ordering::Relaxed);
            }
            result
        })
    }
}

/// Reads a part of the file, and keeps what went wrong with it.
struct Part<'u> {
    upload: &'u Upload<'u>,
    at: u64,
    left: u64,
    problem: Option<io::Error>,
}

impl Read for Part<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.upload.interrupt.came() || self.upload.stop.load(Ordering::Relaxed) {
            return Err(io::Error::other("interrupted"));
        }
        let most = buffer
            .len()
            .min(usize::try_from(self.left).unwrap_or(usize::MAX));
        if most == 0 {
            return Ok(0);
        }
        let read = match buffer.get_mut(..most) {
            Some(buffer) => self.upload.file.read_at(buffer, self.at),
            None => Ok(0),
        };
        let read = match read {
            Ok(0) => Err(io::Error::other("it became shorter while it was read")),
            other => other,
        };
        match read {
            Ok(count) => {
                self.at += count as u64;
                self.left -= count as u64;
                let sent = self.upload.sent.fetch_add(count as u64, Ordering::Relaxed);
                (self.upload.told)(sent + count as u64);
                Ok(count)
            }
            Err(problem) => {
                let told = io::Error::new(problem.kind(), problem.to_string());
                self.problem = Some(problem);
                Err(told)
            }
        }
    }
}

/// Whether a failure may be none the next time.
pub(crate) fn passes(failure: &Failure) -> bool {
    match failure {
        Failure::Unreachable { .. } => true,
        Failure::Server { status, .. } => matches!(status, 408 | 429 | 500 | 502..=504),
        _ => false,
    }
}

fn header(reply: &Response<Body>, name: &str) -> Option<String> {
    let value = reply.headers().get(name)?;
    value.to_str().ok().map(str::to_owned)
}

fn with_query(url: &str, more: &str) -> String {
    let mark = if url.contains('?') { '&' } else { '?' };
    format!("{url}{mark}{more}")
}

/// A block's id: Base64 of its number in six digits, which has letters and digits alone.
fn id(number: u64) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let text = format!("{number:06}");
    let mut out = String::new();
    for three in text.as_bytes().chunks_exact(3) {
        let bits = three
            .iter()
            .fold(0, |bits, byte| bits << 8 | usize::from(*byte));
        for shift in [18, 12, 6, 0] {
            out.extend(
                DIGITS
                    .get(bits >> shift & 63)
                    .map(|digit| char::from(*digit)),
            );
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_blocks_are_base64_of_one_length() {
        assert_eq!(id(0), "MDAwMDAw");
        assert_eq!(id(49_999), "MDQ5OTk5");
    }

    #[test]
    fn three_strings_are_joined_and_asked_more() {
        let at = BlobReference {
            base_location: Some("http://h/blobs/w/".into()),
            relative_location: Some("c/b.csv".into()),
            sas_blob_token: Some("?sig=1".into()),
            connection_string: None,
        };
        assert_eq!(url(&at), "http://h/blobs/w/c/b.csv?sig=1");
        assert_eq!(
            with_query(&url(&at), "comp=block"),
            "http://h/blobs/w/c/b.csv?sig=1&comp=block"
        );
        assert_eq!(
            with_query("http://h/b", "comp=block"),
            "http://h/b?comp=block"
        );
    }
}
