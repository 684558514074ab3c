//! Reading through `object_store`.

use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::stream::{BoxStream, Stream};
use object_store::path::Path;
use object_store::{GetOptions, GetRange, ObjectStore};

use super::connector::{Last, failure_of, watched, watched_step};
use crate::adapter::Doing;
use crate::source::Reader;
use crate::{ByteStream, Failure, FailureKind, Source};

/// A blob's name as `object_store` has it.
pub(super) fn path_of(blob: &str) -> Result<Path, Failure> {
    Path::parse(blob).map_err(|e| Failure::new(FailureKind::BadName, e.to_string()))
}

/// Asks for size and ETag, and is ready to read.
pub(super) async fn open(objects: Arc<dyn ObjectStore>, path: Path) -> Result<Source, Failure> {
    let head = GetOptions {
        head: true,
        ..GetOptions::default()
    };
    let meta = match watched(objects.get_opts(&path, head)).await {
        Ok(answer) => answer.meta,
        Err(failure) if failure.transient || failure.kind == FailureKind::NotAllowed => {
            return Err(failure);
        }
        Err(failure) => {
            // The answer to a HEAD has no words; the same by GET has some. And whoever may GET
            // and not HEAD may read.
            let first = GetOptions {
                range: Some(GetRange::Bounded(0..1)),
                ..GetOptions::default()
            };
            match watched(objects.get_opts(&path, first)).await {
                Ok(answer) => answer.meta,
                // Of an empty blob there is no first byte, which says nothing.
                Err(said) if said.kind == FailureKind::Answered(416) => return Err(failure),
                Err(said) => return Err(said),
            }
        }
    };
    let reader = Blob {
        objects,
        path,
        etag: meta.e_tag.clone(),
    };
    Ok(Source::new(meta.size, meta.e_tag, Arc::new(reader)))
}

/// A blob that was found.
struct Blob {
    objects: Arc<dyn ObjectStore>,
    path: Path,
    etag: Option<String>,
}

impl Reader for Blob {
    fn read(&self, range: Range<u64>) -> Doing<'_, ByteStream> {
        Box::pin(async move {
            let options = GetOptions {
                if_match: self.etag.clone(),
                range: Some(GetRange::Bounded(range)),
                ..GetOptions::default()
            };
            let answer = watched(self.objects.get_opts(&self.path, options)).await?;
            Ok(ByteStream::new(Watched {
                inner: answer.into_stream(),
                last: Last::default(),
            }))
        })
    }
}

/// A stream that asks again, from where it was, when a connection breaks, and says what really
/// happened when that does not help.
struct Watched {
    inner: BoxStream<'static, object_store::Result<Bytes>>,
    last: Last,
}

impl Stream for Watched {
    type Item = Result<Bytes, Failure>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        let inner = this.inner.as_mut();
        let step = watched_step(&this.last, || inner.poll_next(context));
        step.map(|item| item.map(|bytes| bytes.map_err(|error| failure_of(&error, &this.last))))
    }
}
