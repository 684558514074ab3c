//! A reply's body on its way out: in pieces, watched, and counted for as long as its bytes are held.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::sync::mpsc;

use crate::io::ActivityGuard;

/// The most bytes that hyper is given at once. It asks for more when those before are mostly
/// written, which is what tells a client that takes its reply from one that does not.
const PIECE: usize = 64 * 1024;

/// Replies up to this size are not counted once they are made: a connection itself costs more.
const SMALL: usize = 4 * 1024;

/// The same bytes, with a guard that is dropped when the last of them is: sent, or given up.
///
/// The guard cannot live in [`Sending`], which hyper drops when it has queued the last piece.
pub(crate) fn held<G: Send + 'static>(bytes: Bytes, guard: G) -> Bytes {
    struct Held<G> {
        bytes: Bytes,
        _guard: G,
    }
    impl<G> AsRef<[u8]> for Held<G> {
        fn as_ref(&self) -> &[u8] {
            &self.bytes
        }
    }
    if bytes.len() <= SMALL {
        return bytes;
    }
    Bytes::from_owner(Held {
        bytes,
        _guard: guard,
    })
}

/// The body of a response. Its call is under way until hyper has taken all of it.
pub(crate) struct Sending {
    bytes: Bytes,
    /// What is still to come, and where from.
    rest: Option<(u64, mpsc::Receiver<Bytes>)>,
    activity: Option<ActivityGuard>,
}

/// A body that ended before its announced length: the connection is cut.
#[derive(Debug)]
pub(crate) struct BrokenOff;

impl fmt::Display for BrokenOff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the body of a reply broke off")
    }
}

impl std::error::Error for BrokenOff {}

impl Sending {
    pub(crate) fn new(bytes: Bytes) -> Sending {
        Sending {
            bytes,
            rest: None,
            activity: None,
        }
    }

    /// A body of exactly `length` bytes that comes in chunks.
    pub(crate) fn stream(length: u64, chunks: mpsc::Receiver<Bytes>) -> Sending {
        Sending {
            rest: (length > 0).then_some((length, chunks)),
            ..Sending::new(Bytes::new())
        }
    }

    /// Keeps the call under way while there are bytes to take.
    pub(crate) fn watch(&mut self, mut activity: ActivityGuard) {
        if !self.bytes.is_empty() || self.rest.is_some() {
            activity.reply();
            self.activity = Some(activity);
        }
    }
}

impl Body for Sending {
    type Data = Bytes;
    type Error = BrokenOff;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        let this = &mut *self;
        if let Some((left, chunks)) = &mut this.rest {
            let chunk = ready!(chunks.poll_recv(context));
            let chunk = chunk.filter(|chunk| chunk.len() as u64 <= *left);
            let Some(chunk) = chunk else {
                return Poll::Ready(Some(Err(BrokenOff)));
            };
            *left -= chunk.len() as u64;
            if *left == 0 {
                this.rest = None;
                this.activity = None;
            } else if let Some(activity) = &this.activity {
                activity.piece_taken();
            }
            return Poll::Ready(Some(Ok(Frame::data(chunk))));
        }
        if this.bytes.is_empty() {
            return Poll::Ready(None);
        }
        let piece = if this.bytes.len() > PIECE {
            if let Some(activity) = &this.activity {
                activity.piece_taken();
            }
            this.bytes.split_to(PIECE)
        } else {
            this.activity = None;
            std::mem::take(&mut this.bytes)
        };
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_empty() && self.rest.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        let rest = self.rest.as_ref().map_or(0, |(left, _)| *left);
        SizeHint::with_exact(self.bytes.len() as u64 + rest)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use http_body_util::BodyExt as _;

    use super::*;

    #[tokio::test]
    async fn a_body_comes_in_pieces_and_whole() {
        for size in [0, 1, PIECE, PIECE + 1, 3 * PIECE] {
            let bytes: Bytes = (0..size).map(|i| i as u8).collect();
            let mut body = Sending::new(bytes.clone());
            let mut came = Vec::new();
            while !body.is_end_stream() {
                let hint = body.size_hint().exact();
                assert_eq!(hint, Some((size - came.len()) as u64));
                let frame = body.frame().await.unwrap().unwrap();
                let piece = frame.into_data().unwrap();
                assert!((1..=PIECE).contains(&piece.len()));
                came.extend_from_slice(&piece);
            }
            assert!(body.frame().await.is_none());
            assert_eq!(came, bytes);
        }
    }

    #[tokio::test]
    async fn what_is_held_is_counted_until_its_last_piece_is_gone() {
        let guard = Arc::new(());
        let count = Arc::downgrade(&guard);
        let mut body = Sending::new(held(vec![7; PIECE + 1].into(), guard));
        let mut pieces = Vec::new();
        while let Some(frame) = body.frame().await {
            pieces.push(frame.unwrap().into_data().unwrap());
        }
        drop(body);
        assert_eq!(pieces.len(), 2);
        pieces.remove(0);
        assert_eq!(count.strong_count(), 1, "one piece is still to be sent");
        pieces.clear();
        assert_eq!(count.strong_count(), 0);
    }

    #[tokio::test]
    async fn a_streamed_body_is_whole_or_breaks_off() {
        for (announced, whole) in [(6, true), (7, false), (5, false)] {
            let (sender, receiver) = mpsc::channel(2);
            let mut body = Sending::stream(announced, receiver);
            sender.send(Bytes::from_static(b"abc")).await.unwrap();
            sender.send(Bytes::from_static(b"def")).await.unwrap();
            drop(sender);
            let mut came = Vec::new();
            let mut broke_off = false;
            while !broke_off && !body.is_end_stream() {
                match body.frame().await.unwrap() {
                    Ok(frame) => came.extend_from_slice(&frame.into_data().unwrap()),
                    Err(BrokenOff) => broke_off = true,
                }
            }
            assert_eq!(broke_off, !whole, "{announced}");
            assert_eq!(came.len() as u64 == announced, whole);
        }
    }

    #[test]
    fn a_reply_that_nobody_takes_is_given_back() {
        let guard = Arc::new(());
        let count = Arc::downgrade(&guard);
        let body = Sending::new(held(vec![7; PIECE].into(), guard));
        assert_eq!(count.strong_count(), 1);
        drop(body);
        assert_eq!(count.strong_count(), 0);
    }
}
