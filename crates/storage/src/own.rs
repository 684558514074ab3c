//! The workspaces' own blob containers, which this installation keeps.
//!
//! A blob container is made when something is first written into it.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use jiff::{SignedDuration, Timestamp};
use store::{
    BlobAt, BlobGrant, BlobProblem, BlobReader, Condition, Id, MOST_BLOCKS, Permission, Store,
    UploadState,
};

use crate::adapter::{Adapter, Doing};
use crate::source::Reader;
use crate::staging::Upload;
use crate::text::encoded_path;
use crate::{
    ByteStream, Failure, FailureKind, Joined, Part, PartFile, PartLimits, Source, Staging,
};

/// How much is read from a file at once.
const READ_SIZE: u64 = 1 << 20;

/// What begins the path of a workspace's blobs.
const BLOBS: &str = "/blobs/";

const LIMITS: PartLimits = PartLimits {
    min: 0,
    max: u64::MAX,
    most: MOST_BLOCKS as u32,
};

/// What does the work at a blob of a workspace.
pub(crate) fn adapter(
    store: &Arc<Store>,
    workspace: Id,
    container: &str,
    blob: &str,
) -> Result<Box<dyn Adapter>, Failure> {
    Ok(Box::new(Own {
        at: BlobAt::new(workspace, container, blob).map_err(failure)?,
        store: store.clone(),
    }))
}

/// Where blobs of a workspace begin, for whoever comes over the network.
fn base_location(public_url: &str, workspace: Id) -> String {
    format!("{}{BLOBS}{workspace}/", public_url.trim_end_matches('/'))
}

/// The blob container and blob that a signed URL of our own leads to, of whatever host it says it
/// is: nobody else can make the signature. One whose time is over is one of ours still; with it
/// goes what whoever names it may do anyway, in the workspace that he calls. `relative` is decoded.
pub(crate) fn of_signed_url(
    store: &Store,
    base: &str,
    relative: &str,
    signature: &str,
) -> Option<BlobAt> {
    let url = format!(
        "{}/{}",
        base.trim_end_matches('/'),
        relative.trim_start_matches('/')
    );
    let at = url.match_indices(BLOBS).find_map(|(i, _)| {
        let mut parts = url.get(i + BLOBS.len()..)?.splitn(3, '/');
        let workspace = Id::parse(parts.next()?)?;
        BlobAt::new(workspace, parts.next()?, parts.next()?).ok()
    })?;
    let part = |name: &str| {
        let mut pairs = signature.trim_start_matches('?').split('&');
        let value = pairs.find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))?;
        crate::text::decoded(value).map(std::borrow::Cow::Owned)
    };
    match BlobGrant::of_query(&store.sealer, &at, part, Timestamp::now()) {
        Ok(_) | Err(store::GrantProblem::Expired) => Some(at),
        Err(_) => None,
    }
}

struct Own {
    at: BlobAt,
    store: Arc<Store>,
}

impl Adapter for Own {
    fn open(&self) -> Doing<'_, Source> {
        Box::pin(async move {
            let reader = self.store.open_blob(&self.at).await.map_err(failure)?;
            let (size, etag) = (reader.info().size, reader.info().etag.clone());
            Ok(Source::new(size, Some(etag), Arc::new(Content(reader))))
        })
    }

    fn probe(&self) -> Doing<'_, ()> {
        Box::pin(async move {
            let mut object = self.store.receive_object(1).await.map_err(failure)?;
            let byte = Bytes::from_static(b"0");
            object.write(&byte).await.map_err(failure)?;
            object.sync().await.map(drop).map_err(failure)
        })
    }

    fn begin<'a>(&'a self, content_type: &'a str) -> Doing<'a, Staging> {
        Box::pin(async move {
            let upload = self.store.begin_blob_upload(&self.at).await;
            Ok(self.staging(upload.map_err(failure)?, content_type))
        })
    }

    fn resume<'a>(&'a self, token: &'a str) -> Doing<'a, Staging> {
        Box::pin(async move {
            let unknown =
                || Failure::new(FailureKind::BadName, "the token is none of this storage");
            let (id, content_type) = token.split_once(' ').ok_or_else(unknown)?;
            let upload = Id::parse(id).ok_or_else(unknown)?;
            let found = self.store.blob_upload(&self.at, upload).await;
            match found.map_err(failure)? {
                Some(UploadState::Open | UploadState::Committed) => {
                    Ok(self.staging(upload, content_type))
                }
                None => Err(failure(BlobProblem::NoUpload)),
            }
        })
    }

    fn put<'a>(&'a self, content_type: &'a str, bytes: Bytes) -> Doing<'a, ()> {
        Box::pin(async move {
            let object = received(&self.store, &bytes).await.map_err(failure)?;
            let any = Condition::default();
            let put = self
                .store
                .put_whole_blob(&self.at, content_type, object, any);
            put.await.map(drop).map_err(failure)
        })
    }

    fn delete(&self) -> Doing<'_, ()> {
        Box::pin(async move {
            let any = Condition::default();
            match self.store.delete_blob(&self.at, any, None).await {
                Ok(()) | Err(BlobProblem::NoBlob) => Ok(()),
                Err(problem) => Err(failure(problem)),
            }
        })
    }

    fn signed<'a>(&'a self, ttl: Duration, public_url: &'a str) -> Doing<'a, Joined> {
        Box::pin(async move {
            let ttl = SignedDuration::try_from(ttl).unwrap_or(SignedDuration::MAX);
            let until = Timestamp::now().checked_add(ttl).unwrap_or(Timestamp::MAX);
            let name = format!("{}/{}", self.at.container(), self.at.name());
            Ok(Joined {
                base_location: base_location(public_url, self.at.workspace()),
                relative_location: encoded_path(&name),
                sas_blob_token: BlobGrant::query(
                    &self.store.sealer,
                    &self.at,
                    &[Permission::Read],
                    until,
                ),
            })
        })
    }

    fn create_container(&self) -> Doing<'_, ()> {
        // What is written makes it.
        Box::pin(async { Ok(()) })
    }
}

impl Own {
    fn staging(&self, upload: Id, content_type: &str) -> Staging {
        Staging::new(Blocks {
            store: self.store.clone(),
            upload,
            content_type: content_type.to_owned(),
        })
    }
}

/// Bytes as a durable file that no row names yet.
async fn received(store: &Store, bytes: &Bytes) -> Result<store::SyncedObject, BlobProblem> {
    let mut object = store.receive_object(u64::MAX).await?;
    object.write(bytes).await?;
    object.sync().await
}

/// A blob's content.
struct Content(BlobReader);

impl Reader for Content {
    fn read(&self, range: Range<u64>) -> Doing<'_, ByteStream> {
        let reader = self.0.clone();
        Box::pin(async move {
            let steps = stream::try_unfold(range, move |left| {
                let reader = reader.clone();
                async move {
                    if left.is_empty() {
                        return Ok(None);
                    }
                    let bytes = blocking(move || read_at(&reader, &left)).await?;
                    let (bytes, from, end) = bytes;
                    Ok(Some((bytes, from..end)))
                }
            });
            Ok(ByteStream::new(steps))
        })
    }

    fn pieces(&self, range: Range<u64>) -> Option<io::Result<Vec<(File, u64, u64)>>> {
        Some(self.0.pieces(range))
    }
}

/// The first bytes of a range that is not empty, and what is left of it.
fn read_at(reader: &BlobReader, range: &Range<u64>) -> io::Result<(Bytes, u64, u64)> {
    let ended = || io::Error::from(io::ErrorKind::UnexpectedEof);
    let (file, offset, len) = reader.piece_at(range.start)?.ok_or_else(ended)?;
    let len = len.min(READ_SIZE).min(range.end - range.start);
    let mut bytes = vec![0; usize::try_from(len).unwrap_or(0)];
    file.read_exact_at(&mut bytes, offset)?;
    Ok((bytes.into(), range.start + len, range.end))
}

/// A blob that is put together of blocks. Each attempt at a part is a block of its own, so that
/// one that is late takes nothing from another.
struct Blocks {
    store: Arc<Store>,
    upload: Id,
    content_type: String,
}

fn block(number: u32, attempt: u32) -> String {
    format!("{number:010}-{attempt:010}")
}

impl Upload for Blocks {
    fn token(&self) -> String {
        format!("{} {}", self.upload, self.content_type)
    }

    fn limits(&self) -> PartLimits {
        LIMITS
    }

    fn stage(&self, number: u32, attempt: u32, bytes: Bytes) -> Doing<'_, Part> {
        Box::pin(async move {
            let id = block(number, attempt);
            let object = received(&self.store, &bytes).await.map_err(failure)?;
            let staged = self.store.stage_block(self.upload, &id, object).await;
            staged.map(|()| Part(id)).map_err(failure)
        })
    }

    fn part_file(&self, number: u32, attempt: u32) -> Option<io::Result<PartFile>> {
        let (store, upload) = (self.store.clone(), self.upload);
        let begun = store.new_object().map_err(io_error).and_then(|object| {
            let file = object.file().try_clone()?;
            Ok(PartFile::new(file, move |_| {
                let id = block(number, attempt);
                object
                    .sync()
                    .and_then(|object| store.stage_block_and_wait(upload, &id, object))
                    .map(|()| Part(id))
                    .map_err(io_error)
            }))
        });
        Some(begun)
    }

    fn commit<'a>(&'a self, parts: &'a [Part]) -> Doing<'a, ()> {
        Box::pin(async move {
            let blocks: Vec<String> = parts.iter().map(|part| part.0.clone()).collect();
            let kind = &self.content_type;
            let committed = self.store.commit_blob_upload(self.upload, &blocks, kind);
            committed.await.map_err(failure)
        })
    }

    fn abort(&self) -> Doing<'_, ()> {
        Box::pin(async move {
            let aborted = self.store.abort_blob_upload(self.upload).await;
            aborted.map_err(failure)
        })
    }
}

/// Runs what waits for the disk away from the threads that serve calls.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, Failure> {
    let failed = |e: &dyn std::fmt::Display| {
        Failure::new(
            FailureKind::Unreachable,
            format!("the blob cannot be read: {e}"),
        )
    };
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|e| failed(&e))?
        .map_err(|e| failed(&e))
}

/// A problem of the store as a failure of storage, in the words and with the codes of a storage
/// service.
fn failure(problem: BlobProblem) -> Failure {
    use FailureKind::{BadName, Changed, Exists, Full, NotFound, Unreachable};
    let (kind, code) = match &problem {
        BlobProblem::NoContainer => (NotFound, "ContainerNotFound"),
        BlobProblem::NoBlob => (NotFound, "BlobNotFound"),
        BlobProblem::NoUpload | BlobProblem::NoBlock(_) => (NotFound, "InvalidBlockList"),
        BlobProblem::OtherEtag => (Changed, "ConditionNotMet"),
        BlobProblem::Exists => (Exists, "BlobAlreadyExists"),
        BlobProblem::BadContainerName | BlobProblem::BadName => (BadName, "InvalidResourceName"),
        BlobProblem::TooLarge(_) | BlobProblem::TooManyBlocks => (Full, "RequestBodyTooLarge"),
        BlobProblem::Full(_) => (Full, "InsufficientStorage"),
        BlobProblem::Failed(_) => (Unreachable, "InternalError"),
    };
    let text = problem.to_string();
    if let Some(fault) = problem.into_fault()
        && let Some(cause) = fault.cause()
    {
        tracing::warn!(cause, "{text}");
    }
    Failure {
        kind,
        // The ledger may have been busy.
        transient: kind == Unreachable,
        code: Some(code.to_owned()),
        text,
    }
}

fn io_error(problem: BlobProblem) -> io::Error {
    let kind = match &problem {
        BlobProblem::Full(_) => io::ErrorKind::StorageFull,
        BlobProblem::NoUpload => io::ErrorKind::NotFound,
        _ => io::ErrorKind::Other,
    };
    let failure = failure(problem);
    io::Error::new(kind, failure)
}
