//! Reading a request's body: whole, within a size, a time and the installation's budget; and
//! draining one that was refused unread.

use std::task::Poll;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use faults::{Class, Fault, bad_argument, request_timeout};
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming};

/// How much of a refused body is read so that the client gets the reply and the connection stays.
const DRAIN_BYTES: u64 = 1 << 20;
/// How long that may take.
const DRAIN_TIME: Duration = Duration::from_secs(1);

/// A request's body, read at most once.
pub(crate) struct RequestBody {
    incoming: Option<Incoming>,
    /// `Content-Length`, where there is one.
    declared: Option<u64>,
    read: u64,
}

impl RequestBody {
    pub(crate) fn new(incoming: Incoming) -> RequestBody {
        let declared = incoming.size_hint().exact();
        RequestBody {
            declared,
            incoming: Some(incoming),
            read: 0,
        }
    }

    /// `Content-Length`, where there is one.
    pub(crate) fn declared(&self) -> Option<usize> {
        self.declared
            .map(|bytes| usize::try_from(bytes).unwrap_or(usize::MAX))
    }

    /// Bytes read so far.
    pub(crate) fn bytes_read(&self) -> u64 {
        self.read
    }

    /// Whether all that was declared was read; a body without a declared size is complete when it
    /// ended in order.
    pub(crate) fn is_complete(&self) -> bool {
        self.incoming.is_none() && self.declared.is_none_or(|declared| declared == self.read)
    }

    /// Refuses a body whose declared size is over the limit, before any of it is read.
    pub(crate) fn check_declared(&self, limit: usize) -> Result<(), Fault> {
        match self.declared {
            Some(declared) if declared > limit as u64 => Err(too_large(limit)),
            _ => Ok(()),
        }
    }

    /// The next piece, or `None` at the end.
    pub(crate) async fn chunk(&mut self) -> Result<Option<Bytes>, Fault> {
        let Some(incoming) = &mut self.incoming else {
            return Ok(None);
        };
        loop {
            match incoming.frame().await {
                None => {
                    self.incoming = None;
                    return Ok(None);
                }
                Some(Ok(frame)) => {
                    // Trailers say nothing to us.
                    if let Ok(data) = frame.into_data() {
                        self.read += data.len() as u64;
                        return Ok(Some(data));
                    }
                }
                Some(Err(e)) => {
                    self.incoming = None;
                    return Err(broken(&e));
                }
            }
        }
    }

    /// The whole body, at most `limit` bytes, by `deadline`. `cover` is asked before bytes are
    /// kept, with their number in all; `late` makes the fault of a body that is too slow.
    pub(crate) async fn whole(
        &mut self,
        limit: usize,
        deadline: Instant,
        mut cover: impl FnMut(usize) -> Result<(), Fault>,
        late: fn() -> Fault,
    ) -> Result<Bytes, Fault> {
        self.check_declared(limit)?;
        let reading = async {
            let mut first = Bytes::new();
            let mut rest = BytesMut::new();
            loop {
                let Some(chunk) = self.chunk().await? else {
                    break;
                };
                let total = first.len() + rest.len() + chunk.len();
                if total > limit {
                    return Err(too_large(limit));
                }
                cover(total)?;
                // A body that came in one piece is passed on as it is.
                if first.is_empty() && rest.is_empty() {
                    first = chunk;
                    if self.declared == Some(first.len() as u64) {
                        self.incoming = None;
                        break;
                    }
                } else {
                    if rest.is_empty() {
                        rest.reserve(self.declared.map_or(2 * total, |d| d as usize));
                        rest.extend_from_slice(&std::mem::take(&mut first));
                    }
                    rest.extend_from_slice(&chunk);
                }
            }
            Ok(if rest.is_empty() {
                first
            } else {
                rest.freeze()
            })
        };
        by(deadline, reading)
            .await
            .unwrap_or_else(|| Err(late().because("the body did not arrive in time")))
    }

    /// Whether more of the body is unread than will be drained, so that the connection closes.
    pub(crate) fn closes(&self) -> bool {
        match (&self.incoming, self.declared) {
            (Some(_), Some(declared)) => declared - self.read.min(declared) > DRAIN_BYTES,
            _ => false,
        }
    }

    /// Reads what is left of a refused body beside the reply, at most 1 MiB and 1 s. When it is
    /// not through by then the connection closes.
    pub(crate) fn drain(self) {
        let Some(mut incoming) = self.incoming else {
            return;
        };
        if incoming.is_end_stream() {
            return;
        }
        tokio::spawn(tokio::time::timeout(DRAIN_TIME, async move {
            let mut left = DRAIN_BYTES;
            while let Some(Ok(frame)) = incoming.frame().await {
                let size = frame.data_ref().map_or(0, |d| d.len() as u64);
                if size > left {
                    break;
                }
                left -= size;
            }
        }));
    }
}

/// Completes with the future, or with `None` once the deadline has passed.
///
/// A body that came with its head is there at the second look, so the timer is armed at the third:
/// arming and disarming one costs more than reading such a body.
async fn by<T>(deadline: Instant, future: impl Future<Output = T>) -> Option<T> {
    let mut future = std::pin::pin!(future);
    let mut looked = false;
    let early = std::future::poll_fn(|context| match future.as_mut().poll(context) {
        Poll::Ready(value) => Poll::Ready(Some(value)),
        Poll::Pending if looked => Poll::Ready(None),
        Poll::Pending => {
            looked = true;
            context.waker().wake_by_ref();
            Poll::Pending
        }
    });
    match early.await {
        Some(value) => Some(value),
        None => tokio::time::timeout_at(deadline.into(), future).await.ok(),
    }
}

/// A body that does not arrive in time, where the call is none of scoring: the row of that class
/// is about those.
pub(crate) fn late() -> Fault {
    Fault::bare(Class::RequestTimeout)
}

fn too_large(limit: usize) -> Fault {
    bad_argument::request_body_invalid().because(format!("the body is over {limit} bytes"))
}

/// A body that broke off is a client that went away, unless what came is not HTTP: chunks that are
/// none.
fn broken(error: &hyper::Error) -> Fault {
    use std::io::ErrorKind::{InvalidData, InvalidInput};
    let malformed = std::error::Error::source(error)
        .and_then(|source| source.downcast_ref::<std::io::Error>())
        .is_some_and(|e| matches!(e.kind(), InvalidData | InvalidInput));
    if malformed {
        bad_argument::request_body_invalid().caused_by(error)
    } else {
        request_timeout::request_canceled().caused_by(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_deadline_holds_whether_or_not_the_future_ever_wakes() {
        let soon = Instant::now() + Duration::from_secs(3600);
        assert_eq!(by(soon, async { 1 }).await, Some(1));
        let later = tokio::time::sleep(Duration::from_secs(5));
        assert_eq!(by(soon, later).await, Some(()));
        let passed = Instant::now();
        assert_eq!(by(passed, std::future::pending::<()>()).await, None);
        // What is there counts, however late it is asked for.
        assert_eq!(by(passed, async { 2 }).await, Some(2));
    }
}
