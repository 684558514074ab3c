//! A reply's body on its way out: in pieces, watched, and counted for as long as its bytes are held.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};

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
    activity: Option<ActivityGuard>,
}

impl Sending {
    pub(crate) fn new(bytes: Bytes) -> Sending {
        Sending {
            bytes,
            activity: None,
        }
    }

    /// Keeps the call under way while there are bytes to take.
    pub(crate) fn watch(&mut self, mut activity: ActivityGuard) {
        if !self.bytes.is_empty() {
            activity.reply();
            self.activity = Some(activity);
        }
    }
}

impl Body for Sending {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let this = &mut *self;
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
        self.bytes.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.bytes.len() as u64)
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
