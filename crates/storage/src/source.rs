//! A blob that is read.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use futures_util::stream::{BoxStream, Stream, StreamExt as _};

use crate::Failure;
use crate::adapter::Doing;

/// Bytes as they come.
pub struct ByteStream(BoxStream<'static, Result<Bytes, Failure>>);

impl std::fmt::Debug for ByteStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ByteStream")
    }
}

impl ByteStream {
    /// Wraps a stream of bytes.
    pub fn new(stream: impl Stream<Item = Result<Bytes, Failure>> + Send + 'static) -> ByteStream {
        ByteStream(stream.boxed())
    }

    /// The next bytes; `None` at the end of the range.
    ///
    /// # Errors
    /// What storage said; [`crate::FailureKind::Changed`] where the content is not the one that
    /// was opened.
    pub async fn next(&mut self) -> Option<Result<Bytes, Failure>> {
        self.0.next().await
    }

    /// All that is left, in memory: the caller chose the range.
    ///
    /// # Errors
    /// As [`ByteStream::next`].
    pub async fn whole(mut self) -> Result<Bytes, Failure> {
        let Some(first) = self.next().await.transpose()? else {
            return Ok(Bytes::new());
        };
        let Some(second) = self.next().await.transpose()? else {
            return Ok(first);
        };
        let mut all = BytesMut::from(first);
        all.extend_from_slice(&second);
        while let Some(bytes) = self.next().await.transpose()? {
            all.extend_from_slice(&bytes);
        }
        Ok(all.freeze())
    }
}

impl Stream for ByteStream {
    type Item = Result<Bytes, Failure>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.as_mut().poll_next(context)
    }
}

/// How an adapter reads.
pub(crate) trait Reader: Send + Sync {
    /// The bytes of a range that lies in the blob and is not empty.
    fn read(&self, range: Range<u64>) -> Doing<'_, ByteStream>;

    /// Content that lies on this machine: files, with offset and length in each.
    fn pieces(&self, _: Range<u64>) -> Option<io::Result<Vec<(File, u64, u64)>>> {
        None
    }
}

/// A blob that was opened for reading.
#[derive(Clone)]
pub struct Source {
    /// Its size in bytes.
    pub size: u64,
    /// What storage calls this state of it. With it, content that changes under a reader is told.
    pub etag: Option<String>,
    reader: Arc<dyn Reader>,
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Source({} bytes, {:?})", self.size, self.etag)
    }
}

impl Source {
    pub(crate) fn new(size: u64, etag: Option<String>, reader: Arc<dyn Reader>) -> Source {
        Source { size, etag, reader }
    }

    /// The bytes of a range; what lies behind the end is left out.
    ///
    /// # Errors
    /// What storage said; [`crate::FailureKind::Changed`] where the content is not the one that
    /// was opened.
    pub async fn read(&self, range: Range<u64>) -> Result<ByteStream, Failure> {
        let range = self.within(range);
        if range.is_empty() {
            return Ok(ByteStream::new(futures_util::stream::empty()));
        }
        self.reader.read(range).await
    }

    /// Where the range lies on this machine: files with offset and length, in order. `None` for
    /// content that is elsewhere.
    pub fn pieces(&self, range: Range<u64>) -> Option<io::Result<Vec<(File, u64, u64)>>> {
        self.reader.pieces(self.within(range))
    }

    fn within(&self, range: Range<u64>) -> Range<u64> {
        range.start.min(self.size)..range.end.min(self.size)
    }
}
