//! `POST /umpire/v1/backup` and `GET /umpire/v1/services/{name}/export`: archives, written out as
//! they are made.

use std::io::{self, Write};

use bytes::Bytes;
use faults::Fault;
use http::header::{CONTENT_DISPOSITION, HeaderValue};
use tokio::sync::mpsc;

use super::authorize;
use crate::reply::Reply;
use crate::stack::Call;

const TAR: HeaderValue = HeaderValue::from_static("application/x-tar");
const ATTACHMENT: HeaderValue = HeaderValue::from_static("attachment");
/// How much is gathered before it is sent.
const CHUNK: usize = 64 * 1024;
/// Chunks between the disk and the client.
const AHEAD: usize = 8;

/// `POST /umpire/v1/backup`: the whole state. What the manifest names was there when the reply's
/// head is sent; a disk that fails later cuts the connection before the announced length.
pub(crate) async fn backup(call: &Call<'_>) -> Result<Reply, Fault> {
    let principal = authorize(call)?;
    let backup = call.gateway.manager.backup(&principal).await?;
    let length = backup.length();
    Ok(streamed(length, "backup", move |out| backup.write(out)))
}

/// `GET /umpire/v1/services/{name}/export`: one service with its blobs.
pub(crate) async fn export(call: &Call<'_>) -> Result<Reply, Fault> {
    let principal = call.principal()?;
    let manager = &call.gateway.manager;
    let name = manager.resolve(&principal, &call.word(0))?;
    let export = manager.export(&principal, &name).await?;
    let length = export.length();
    Ok(streamed(length, "export", move |out| export.write(out)))
}

/// A reply whose body is written by a thread of its own, as fast as the client takes it.
fn streamed(
    length: u64,
    what: &'static str,
    write: impl FnOnce(Chunks) -> io::Result<()> + Send + 'static,
) -> Reply {
    let (sender, receiver) = mpsc::channel(AHEAD);
    tokio::task::spawn_blocking(move || {
        let failing = sender.clone();
        if let Err(error) = write(Chunks::new(sender)) {
            // A client that went away is the usual reason, and is no fault of ours.
            if !failing.is_closed() {
                tracing::error!(%error, "the {what} broke off");
            }
        }
    });
    Reply::stream(TAR, length, receiver).with(CONTENT_DISPOSITION, ATTACHMENT)
}

/// Hands what is written to it over in chunks.
struct Chunks {
    gathered: Vec<u8>,
    sender: mpsc::Sender<Bytes>,
}

impl Chunks {
    fn new(sender: mpsc::Sender<Bytes>) -> Chunks {
        Chunks {
            gathered: Vec::with_capacity(CHUNK),
            sender,
        }
    }
}

impl Write for Chunks {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.gathered.extend_from_slice(bytes);
        if self.gathered.len() >= CHUNK {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.gathered.is_empty() {
            return Ok(());
        }
        let chunk = std::mem::replace(&mut self.gathered, Vec::with_capacity(CHUNK));
        self.sender
            .blocking_send(chunk.into())
            .map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))
    }
}
