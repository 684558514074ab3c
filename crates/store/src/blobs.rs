//! Blobs in a folder, named by the SHA-256 of their bytes.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use faults::{Class, Fault};
use ring::digest::{Context, SHA256};

use crate::files;
use crate::{Id, Sha256};

/// The folder of blobs.
///
/// A blob is written beside the others under a temporary name, its hash checked, synced and then
/// renamed, so a name always leads to whole content. Names are 64 hexadecimal digits and nothing
/// else, so none leads out of the folder.
#[derive(Debug, Clone)]
pub struct Blobs {
    folder: Arc<Path>,
    /// Held while a blob gets its name, is kept, or is found too old and removed: a sweep must not
    /// remove what was made young between its look and its removal.
    names: Arc<Mutex<()>>,
    /// How many want that nothing is removed now.
    holds: Arc<AtomicUsize>,
    room: Arc<Room>,
}

/// How many bytes of blobs there are and may be.
#[derive(Debug, Default)]
struct Room {
    used: AtomicU64,
    /// 0 for as many as the disk holds.
    limit: AtomicU64,
}

/// While this lives no blob is swept.
#[derive(Debug)]
pub(crate) struct Hold(Arc<AtomicUsize>);

impl Drop for Hold {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Release);
    }
}

/// What an upload came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stored {
    /// Bytes.
    pub size: u64,
    /// Whether no blob of that name was there before.
    pub created: bool,
}

/// What a sweep has removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Swept {
    /// Blobs.
    pub blobs: usize,
    /// Their bytes.
    pub bytes: u64,
}

/// A blob of the installation's own, by a name instead of its hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SystemBlob {
    /// The cluster configuration document.
    ClusterConfiguration,
}

impl SystemBlob {
    /// Its path below the folder of blobs.
    pub fn name(self) -> &'static str {
        match self {
            SystemBlob::ClusterConfiguration => "system/cluster-configuration.json",
        }
    }
}

/// The subfolder of uploads under way.
const INCOMING: &str = "incoming";
/// How much of an upload is gathered before it goes to the disk.
const WRITE_SIZE: usize = 1 << 20;

impl Blobs {
    /// Opens the folder, made where it is absent, removes uploads that a crash has cut off, and
    /// tries whether it can be written.
    ///
    /// # Errors
    /// `InternalError.ContainerValidationFailed`.
    pub(crate) fn open_folder(folder: &Path) -> Result<Blobs, Fault> {
        let refused = |e: io::Error| unusable(&e, folder);
        files::private_folder(folder).map_err(refused)?;
        let incoming = folder.join(INCOMING);
        files::private_folder(&incoming).map_err(refused)?;
        for entry in fs::read_dir(&incoming).map_err(refused)? {
            let path = entry.map_err(refused)?.path();
            if let Err(error) = fs::remove_file(&path) {
                tracing::warn!(file = %path.display(), %error, "a broken-off upload cannot be removed");
            }
        }
        let probe = incoming.join(Id::random().to_string());
        match files::new_private_file(&probe).and_then(|_| fs::remove_file(&probe)) {
            // A full disk is no reason not to serve what is there.
            Err(e) if !is_full(&e) => return Err(refused(e)),
            _ => {}
        }
        Ok(Blobs {
            folder: folder.into(),
            names: Arc::default(),
            holds: Arc::default(),
            room: Arc::new(Room {
                used: AtomicU64::new(used_bytes(folder).map_err(refused)?),
                limit: AtomicU64::new(0),
            }),
        })
    }

    fn path(&self, sha256: &Sha256) -> PathBuf {
        self.folder.join(sha256.to_string())
    }

    /// Gives a synced file the name of a blob, durably; whether there was none before.
    fn name(&self, temporary: &Path, sha256: &Sha256) -> io::Result<bool> {
        let path = self.path(sha256);
        let created = {
            let _held = self.hold_names();
            let before = fs::metadata(&path).ok().map(|metadata| metadata.len());
            let size = fs::metadata(temporary)?.len();
            fs::rename(temporary, &path)?;
            self.room.used.fetch_add(size, Ordering::Relaxed);
            let replaced = before.unwrap_or(0);
            self.room.used.fetch_sub(replaced, Ordering::Relaxed);
            before.is_none()
        };
        files::sync_folder(&self.folder)?;
        Ok(created)
    }

    fn hold_names(&self) -> MutexGuard<'_, ()> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets nothing be swept until the value is dropped. A removal under way is waited for.
    pub(crate) fn hold(&self) -> Hold {
        let _held = self.hold_names();
        self.holds.fetch_add(1, Ordering::Acquire);
        Hold(self.holds.clone())
    }

    /// Runs a removal, unless nothing may be removed now; whether it ran.
    pub(crate) fn unless_held(&self, remove: impl FnOnce()) -> bool {
        let _held = self.hold_names();
        let free = self.holds.load(Ordering::Acquire) == 0;
        if free {
            remove();
        }
        free
    }

    /// Counts bytes that have come and gone elsewhere and share the limit.
    pub(crate) fn count(&self, more: u64, less: u64) {
        self.room.used.fetch_add(more, Ordering::Relaxed);
        self.room.used.fetch_sub(less, Ordering::Relaxed);
    }

    /// Bytes of all blobs, those of workspaces' blob containers among them.
    pub fn used(&self) -> u64 {
        self.room.used.load(Ordering::Relaxed)
    }

    /// Lets there be so many bytes of blobs at most from now on, 0 for as many as the disk holds.
    /// What is there stays.
    pub fn set_limit(&self, bytes: u64) {
        self.room.limit.store(bytes, Ordering::Relaxed);
    }

    /// Refuses to hold so many bytes more than there are.
    pub(crate) fn check_room(&self, more: u64) -> Result<(), Fault> {
        let (used, limit) = (self.used(), self.room.limit.load(Ordering::Relaxed));
        if limit == 0 || more == 0 || used.saturating_add(more) <= limit {
            return Ok(());
        }
        Err(
            faults::internal_error::failed_storing_web_service().because(format!(
                "the blobs have {used} bytes and may have {limit} (limits.disk): remove services, \
             revisions or blobs of workspaces, or raise the limit"
            )),
        )
    }

    /// A path for a temporary file, which goes at the next start at the latest.
    pub(crate) fn temporary(&self) -> PathBuf {
        self.folder.join(INCOMING).join(Id::random().to_string())
    }

    /// Opens a file by its name below the folder.
    pub(crate) fn open_named(&self, name: &str) -> io::Result<File> {
        File::open(self.folder.join(name))
    }

    /// Begins an upload of the blob with that hash, of at most `limit` bytes.
    ///
    /// An upload of a blob that exists replaces it, which heals one whose file was damaged.
    ///
    /// # Errors
    /// `InternalError.ContainerValidationFailed` when the folder is gone or refuses writing;
    /// `InternalError.FailedStoringWebService` when the disk is full or fails.
    pub fn begin(&self, sha256: Sha256, limit: u64) -> Result<Upload, Fault> {
        let temporary = self.temporary();
        let file = files::new_private_file(&temporary).map_err(|e| self.not_written(&e))?;
        Ok(Upload {
            blobs: self.clone(),
            sha256,
            limit,
            replaces: self.size(&sha256)?.unwrap_or(0),
            received: 0,
            gathered: Vec::new(),
            sink: Some(Sink {
                file,
                hash: Context::new(&SHA256),
            }),
            temporary: Temporary(temporary),
        })
    }

    /// Begins a blob whose hash nobody knows beforehand. For a thread that may wait.
    ///
    /// # Errors
    /// What the system says when the folder cannot be written.
    pub fn incoming(&self) -> io::Result<Incoming> {
        let temporary = self.folder.join(INCOMING).join(Id::random().to_string());
        Ok(Incoming {
            file: files::new_private_file(&temporary)?,
            blobs: self.clone(),
            hash: Context::new(&SHA256),
            size: 0,
            temporary: Temporary(temporary),
        })
    }

    /// Opens a blob for reading.
    ///
    /// # Errors
    /// `InternalError.ModelPackageInvalid` when there is none or it cannot be opened.
    pub fn open(&self, sha256: &Sha256) -> Result<File, Fault> {
        File::open(self.path(sha256)).map_err(|e| {
            faults::internal_error::model_package_invalid()
                .caused_by(&e)
                .because(format!("blob {sha256} cannot be opened"))
        })
    }

    /// The blob's size in bytes, or `None` where there is no such blob.
    ///
    /// # Errors
    /// `InternalError.UnknownError` when the folder cannot be read.
    pub fn size(&self, sha256: &Sha256) -> Result<Option<u64>, Fault> {
        match fs::metadata(self.path(sha256)) {
            Ok(metadata) => Ok(Some(metadata.len())),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(unreadable(&e, sha256)),
        }
    }

    /// Keeps a blob from the next sweep: it counts as just written. `false` where there is none.
    ///
    /// Whoever is about to name a blob in the ledger calls this first, because the blob may be an
    /// old orphan.
    ///
    /// # Errors
    /// `InternalError.UnknownError` when the file's time cannot be set.
    pub fn keep(&self, sha256: &Sha256) -> Result<bool, Fault> {
        let _held = self.hold_names();
        let touched = File::open(self.path(sha256)).and_then(|f| f.set_modified(SystemTime::now()));
        match touched {
            Ok(()) => Ok(true),
            // Where the folder itself is gone nothing can be said about what is in it.
            Err(e) if e.kind() == io::ErrorKind::NotFound && self.folder.is_dir() => Ok(false),
            Err(e) if is_refusal(&e) => Err(unusable(&e, &self.folder)),
            Err(e) => Err(unreadable(&e, sha256)),
        }
    }

    /// What a write that failed is called: by the folder, where it is that which is gone or
    /// refuses, else by what was to be stored.
    fn not_written(&self, error: &io::Error) -> Fault {
        match is_refusal(error) {
            true => unusable(error, &self.folder),
            false => not_stored(error),
        }
    }

    /// The content of a blob of the installation's own; `None` where there is none.
    ///
    /// # Errors
    /// `InternalError.ContainerValidationFailed` when the folder is gone or refuses reading;
    /// `InternalError.UnknownError` when the disk fails.
    pub fn system(&self, blob: SystemBlob) -> Result<Option<Vec<u8>>, Fault> {
        match fs::read(self.folder.join(blob.name())) {
            Ok(content) => Ok(Some(content)),
            Err(e) if e.kind() == io::ErrorKind::NotFound && self.folder.is_dir() => Ok(None),
            Err(e) if is_refusal(&e) => Err(unusable(&e, &self.folder)),
            Err(e) => Err(faults::internal_error::unknown_error()
                .caused_by(&e)
                .because(format!("{} cannot be read", blob.name()))),
        }
    }

    /// Puts a blob of the installation's own in place of the former one, durably, whole or not at
    /// all.
    ///
    /// # Errors
    /// `InternalError.ContainerValidationFailed` when the folder is gone or refuses writing;
    /// `InternalError.FailedStoringWebService` when the disk is full or fails.
    pub fn put_system(&self, blob: SystemBlob, content: &[u8]) -> Result<(), Fault> {
        let path = self.folder.join(blob.name());
        let _held = self.hold_names();
        if !self.folder.is_dir() {
            let error = io::Error::from(io::ErrorKind::NotFound);
            return Err(unusable(&error, &self.folder));
        }
        let folder = path.parent().unwrap_or(&self.folder);
        files::private_folder(folder)
            .and_then(|()| files::write_private_file(&path, content))
            .map_err(|e| self.not_written(&e))
    }

    /// Removes a blob; one that is not there is no error.
    ///
    /// # Errors
    /// `InternalError.DeleteWebServiceResourceFailed`.
    pub fn delete(&self, sha256: &Sha256) -> Result<(), Fault> {
        let _held = self.hold_names();
        let size = self.size(sha256).ok().flatten().unwrap_or(0);
        match fs::remove_file(self.path(sha256)) {
            Ok(()) => {
                self.room.used.fetch_sub(size, Ordering::Relaxed);
                Ok(())
            }
            Err(e) if e.kind() != io::ErrorKind::NotFound => {
                Err(faults::internal_error::delete_web_service_resource_failed()
                    .caused_by(&e)
                    .because(format!("blob {sha256} cannot be removed")))
            }
            _ => Ok(()),
        }
    }

    /// Removes the blobs that are not among `named` and were written (or kept) longer than
    /// `grace` ago. A blob between its upload and the revision that names it is younger than that.
    ///
    /// # Errors
    /// `InternalError.UnknownError` when the folder cannot be read; a blob that cannot be removed
    /// is logged and left for the next sweep.
    pub fn sweep(&self, named: &HashSet<Sha256>, grace: Duration) -> Result<Swept, Fault> {
        let failed = |e: io::Error| {
            faults::internal_error::unknown_error()
                .caused_by(&e)
                .because("the folder of blobs cannot be read")
        };
        let mut swept = Swept::default();
        for entry in fs::read_dir(&self.folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let Some(sha256) = entry.file_name().to_str().and_then(Sha256::parse) else {
                continue;
            };
            if named.contains(&sha256) {
                continue;
            }
            // For each file anew, so that keeps and uploads wait for one removal at most.
            let _held = self.hold_names();
            if self.holds.load(Ordering::Acquire) > 0 {
                // A backup is made; the next sweep finds what is left.
                break;
            }
            let Ok(metadata) = entry.metadata() else {
                continue;
            };
            // A time in the future (the clock was set back) counts as just now.
            let age = metadata
                .modified()
                .ok()
                .and_then(|t| t.elapsed().ok())
                .unwrap_or_default();
            if age < grace {
                continue;
            }
            match fs::remove_file(entry.path()) {
                Ok(()) => {
                    swept.blobs += 1;
                    swept.bytes += metadata.len();
                    self.room.used.fetch_sub(metadata.len(), Ordering::Relaxed);
                }
                Err(error) => {
                    tracing::warn!(blob = %sha256, %error, "an orphaned blob cannot be removed");
                }
            }
        }
        Ok(swept)
    }
}

/// A blob on its way in. Dropped before [`Upload::finish`], it leaves nothing behind.
pub struct Upload {
    blobs: Blobs,
    sha256: Sha256,
    limit: u64,
    /// Bytes of the blob of that name that is there.
    replaces: u64,
    received: u64,
    gathered: Vec<u8>,
    /// Away while a write runs; gone for good when a write was cancelled or failed.
    sink: Option<Sink>,
    temporary: Temporary,
}

struct Sink {
    file: File,
    hash: Context,
}

impl std::fmt::Debug for Upload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Upload")
            .field("sha256", &self.sha256)
            .field("received", &self.received)
            .finish_non_exhaustive()
    }
}

/// A temporary file's path; the file goes with it.
#[derive(Debug)]
struct Temporary(PathBuf);

impl Drop for Temporary {
    fn drop(&mut self) {
        match fs::remove_file(&self.0) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(file = %self.0.display(), %error, "a temporary file cannot be removed");
            }
            _ => {}
        }
    }
}

impl Upload {
    /// Takes the next bytes.
    ///
    /// # Errors
    /// `BadArgument.RequestBodyInvalid` over the limit; `InternalError.FailedStoringWebService`
    /// when the disk is full or fails.
    pub async fn write(&mut self, chunk: &Bytes) -> Result<(), Fault> {
        self.received = self.received.saturating_add(chunk.len() as u64);
        if self.received > self.limit {
            return Err(
                faults::bad_argument::request_body_invalid().because(format!(
                    "the blob is over the limit of {} bytes",
                    self.limit
                )),
            );
        }
        let more = self.received.saturating_sub(self.replaces);
        self.blobs.check_room(more)?;
        self.gathered.extend_from_slice(chunk);
        if self.gathered.len() >= WRITE_SIZE {
            self.flush(false).await?;
        }
        Ok(())
    }

    /// Hashes and writes what is gathered, away from the threads that serve calls.
    async fn flush(&mut self, sync: bool) -> Result<(), Fault> {
        let gathered = std::mem::take(&mut self.gathered);
        let mut sink = self.sink.take().ok_or_else(broken_off)?;
        let (sink, mut gathered) = tokio::task::spawn_blocking(move || {
            sink.hash.update(&gathered);
            sink.file.write_all(&gathered)?;
            if sync {
                sink.file.sync_all()?;
            }
            Ok((sink, gathered))
        })
        .await
        .map_err(|e| not_stored(&e))?
        .map_err(|e: io::Error| not_stored(&e))?;
        gathered.clear();
        self.gathered = gathered;
        self.sink = Some(sink);
        Ok(())
    }

    /// Checks the hash and gives the blob its name, durably.
    ///
    /// # Errors
    /// `BadArgument.RequestBodyInvalid` at `sha256` when the bytes have another hash;
    /// `InternalError.ContainerValidationFailed` when the folder is gone or refuses writing;
    /// `InternalError.FailedStoringWebService` when the disk is full or fails.
    pub async fn finish(mut self) -> Result<Stored, Fault> {
        self.flush(true).await?;
        let sink = self.sink.take().ok_or_else(broken_off)?;
        let found = Sha256::from_digest(&sink.hash.finish());
        if found != self.sha256 {
            return Err(faults::bad_argument::request_body_invalid()
                .at("sha256")
                .because(format!(
                    "the bytes have the SHA-256 {found}, not {}",
                    self.sha256
                )));
        }
        let size = self.received;
        let blobs = self.blobs.clone();
        tokio::task::spawn_blocking(move || {
            let created = self.blobs.name(&self.temporary.0, &self.sha256)?;
            Ok(Stored { size, created })
        })
        .await
        .map_err(|e| not_stored(&e))?
        .map_err(|e: io::Error| blobs.not_written(&e))
    }
}

/// A blob on its way in that gets its name by what is written. Dropped before
/// [`Incoming::finish`], it leaves nothing behind.
pub struct Incoming {
    blobs: Blobs,
    file: File,
    hash: Context,
    size: u64,
    temporary: Temporary,
}

impl std::fmt::Debug for Incoming {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Incoming")
            .field("size", &self.size)
            .finish_non_exhaustive()
    }
}

impl io::Write for Incoming {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.file.write(bytes)?;
        self.hash.update(bytes.get(..count).unwrap_or(bytes));
        self.size = self.size.saturating_add(count as u64);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Incoming {
    /// Gives the blob its name, durably: the hash of what was written.
    ///
    /// # Errors
    /// What the system says when the disk is full or fails.
    pub fn finish(self) -> io::Result<(Sha256, Stored)> {
        self.file.sync_all()?;
        let sha256 = Sha256::from_digest(&self.hash.finish());
        let size = self.size;
        if !self.blobs.path(&sha256).exists()
            && let Err(fault) = self.blobs.check_room(size)
        {
            let cause = fault.cause().unwrap_or_default().to_owned();
            return Err(io::Error::new(io::ErrorKind::QuotaExceeded, cause));
        }
        let created = self.blobs.name(&self.temporary.0, &sha256)?;
        Ok((sha256, Stored { size, created }))
    }
}

fn broken_off() -> Fault {
    Fault::bare(Class::InternalError).because("an upload was used after one of its writes failed")
}

fn not_stored(error: &dyn std::error::Error) -> Fault {
    faults::internal_error::failed_storing_web_service()
        .caused_by(error)
        .because("a blob cannot be written")
}

/// Whether the folder itself is gone or refuses, rather than the disk having no room.
pub(crate) fn is_refusal(error: &io::Error) -> bool {
    use io::ErrorKind::{NotADirectory, NotFound, PermissionDenied, ReadOnlyFilesystem};
    matches!(
        error.kind(),
        NotFound | NotADirectory | PermissionDenied | ReadOnlyFilesystem
    )
}

pub(crate) fn is_full(error: &io::Error) -> bool {
    use io::ErrorKind::{QuotaExceeded, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded)
}

/// The folder of blobs cannot be used. What the system says goes to the caller; where the folder
/// is does not.
fn unusable(error: &io::Error, folder: &Path) -> Fault {
    faults::internal_error::container_validation_failed(error.kind().to_string())
        .caused_by(error)
        .because(format!(
            "the folder of blobs {} cannot be used",
            folder.display()
        ))
}

/// Bytes of the blobs in a folder.
fn used_bytes(folder: &Path) -> io::Result<u64> {
    let mut used = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        if name.to_str().and_then(Sha256::parse).is_some() {
            used += entry.metadata()?.len();
        }
    }
    Ok(used)
}

fn unreadable(error: &io::Error, sha256: &Sha256) -> Fault {
    faults::internal_error::unknown_error()
        .caused_by(error)
        .because(format!("blob {sha256} cannot be read"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read as _;

    fn blobs() -> (tempfile::TempDir, Blobs) {
        let dir = tempfile::tempdir().unwrap();
        let blobs = Blobs::open_folder(&dir.path().join("blobs")).unwrap();
        (dir, blobs)
    }

    async fn put(blobs: &Blobs, sha256: Sha256, content: &[u8]) -> Result<Stored, Fault> {
        let mut upload = blobs.begin(sha256, 4 << 20)?;
        for chunk in content.chunks(70_000) {
            upload.write(&Bytes::copy_from_slice(chunk)).await?;
        }
        upload.finish().await
    }

    fn incoming(blobs: &Blobs) -> usize {
        fs::read_dir(blobs.folder.join(INCOMING)).unwrap().count()
    }

    #[tokio::test]
    async fn a_blob_comes_back_as_it_was_put() {
        let (_dir, blobs) = blobs();
        let content: Vec<u8> = (0..3_000_000u32).map(|i| (i % 251) as u8).collect();
        let sha256 = Sha256::of(&content);
        assert_eq!(blobs.size(&sha256).unwrap(), None);
        let first = put(&blobs, sha256, &content).await.unwrap();
        assert_eq!(
            first,
            Stored {
                size: 3_000_000,
                created: true
            }
        );
        assert!(!put(&blobs, sha256, &content).await.unwrap().created);
        let mut read = Vec::new();
        blobs.open(&sha256).unwrap().read_to_end(&mut read).unwrap();
        assert_eq!(read, content);
        assert_eq!(incoming(&blobs), 0);

        blobs.delete(&sha256).unwrap();
        blobs.delete(&sha256).unwrap();
        let fault = blobs.open(&sha256).unwrap_err();
        assert!(fault.is(&faults::rows::InternalError::ModelPackageInvalid));
    }

    #[tokio::test]
    async fn an_empty_blob_is_a_blob() {
        let (_dir, blobs) = blobs();
        let stored = put(&blobs, Sha256::of(b""), b"").await.unwrap();
        assert_eq!(stored.size, 0);
        assert_eq!(blobs.size(&Sha256::of(b"")).unwrap(), Some(0));
    }

    #[tokio::test]
    async fn a_blob_without_an_announced_hash_is_named_by_its_bytes() {
        let (_dir, blobs) = blobs();
        let mut one = blobs.incoming().unwrap();
        one.write_all(b"con").unwrap();
        one.write_all(b"tent").unwrap();
        let mut dropped = blobs.incoming().unwrap();
        dropped.write_all(b"other").unwrap();
        drop(dropped);
        let (sha256, stored) = one.finish().unwrap();
        assert_eq!(sha256, Sha256::of(b"content"));
        assert!(stored.created && stored.size == 7);
        assert_eq!(fs::read(blobs.path(&sha256)).unwrap(), b"content");
        assert_eq!(incoming(&blobs), 0);
        assert_eq!(blobs.size(&Sha256::of(b"other")).unwrap(), None);
    }

    #[tokio::test]
    async fn other_bytes_than_announced_are_refused() {
        let (_dir, blobs) = blobs();
        let sha256 = Sha256::of(b"announced");
        let fault = put(&blobs, sha256, b"other").await.unwrap_err();
        assert!(fault.is(&faults::rows::BadArgument::RequestBodyInvalid));
        assert_eq!(fault.details()[0].target.as_deref(), Some("sha256"));
        assert_eq!(blobs.size(&sha256).unwrap(), None);
        assert_eq!(incoming(&blobs), 0);
    }

    #[tokio::test]
    async fn too_many_bytes_are_refused_and_nothing_stays() {
        let (_dir, blobs) = blobs();
        let mut upload = blobs.begin(Sha256::of(b""), 5).unwrap();
        upload.write(&Bytes::from_static(b"12345")).await.unwrap();
        let fault = upload.write(&Bytes::from_static(b"6")).await.unwrap_err();
        assert!(fault.is(&faults::rows::BadArgument::RequestBodyInvalid));
        drop(upload);
        assert_eq!(incoming(&blobs), 0);
    }

    #[tokio::test]
    async fn a_damaged_blob_is_healed_by_putting_it_again() {
        let (_dir, blobs) = blobs();
        let sha256 = Sha256::of(b"content");
        put(&blobs, sha256, b"content").await.unwrap();
        fs::write(blobs.path(&sha256), b"damaged").unwrap();
        put(&blobs, sha256, b"content").await.unwrap();
        assert_eq!(fs::read(blobs.path(&sha256)).unwrap(), b"content");
    }

    #[tokio::test]
    async fn a_sweep_takes_old_orphans_only() {
        let (_dir, blobs) = blobs();
        let hour = Duration::from_secs(3600);
        let [named, old, young, kept] = [&b"named"[..], b"old", b"young", b"kept"].map(Sha256::of);
        for (sha256, content) in [
            (named, "named"),
            (old, "old"),
            (young, "young"),
            (kept, "kept"),
        ] {
            put(&blobs, sha256, content.as_bytes()).await.unwrap();
        }
        for sha256 in [named, old, kept] {
            let file = File::open(blobs.path(&sha256)).unwrap();
            file.set_modified(SystemTime::now() - 2 * hour).unwrap();
        }
        assert!(blobs.keep(&kept).unwrap());
        assert!(!blobs.keep(&Sha256::of(b"absent")).unwrap());
        fs::write(blobs.folder.join("README"), b"not ours").unwrap();

        let swept = blobs.sweep(&HashSet::from([named]), hour).unwrap();
        assert_eq!(swept, Swept { blobs: 1, bytes: 3 });
        assert_eq!(blobs.size(&old).unwrap(), None);
        for sha256 in [named, young, kept] {
            assert!(blobs.size(&sha256).unwrap().is_some());
        }
        assert!(blobs.folder.join("README").exists());
    }

    /// Runs `rescue` against a sweep of an old orphan, many times; when both are done, a blob that
    /// was rescued must be there.
    fn race_with_sweep(rescue: impl Fn(&Blobs, Sha256) -> bool + Sync) {
        let (_dir, blobs) = blobs();
        let sha256 = Sha256::of(b"orphan");
        let hour = Duration::from_secs(3600);
        for _ in 0..2000 {
            fs::write(blobs.path(&sha256), b"orphan").unwrap();
            let file = File::open(blobs.path(&sha256)).unwrap();
            file.set_modified(SystemTime::now() - 2 * hour).unwrap();
            let start = std::sync::Barrier::new(2);
            let rescued = std::thread::scope(|scope| {
                let rescuer = scope.spawn(|| {
                    start.wait();
                    rescue(&blobs, sha256)
                });
                start.wait();
                blobs.sweep(&HashSet::new(), hour).unwrap();
                rescuer.join().unwrap()
            });
            assert_eq!(blobs.size(&sha256).unwrap().is_some(), rescued);
        }
    }

    #[test]
    fn a_blob_kept_during_a_sweep_stays() {
        race_with_sweep(|blobs, sha256| blobs.keep(&sha256).unwrap());
    }

    #[test]
    fn a_blob_uploaded_during_a_sweep_stays() {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .build()
            .unwrap();
        race_with_sweep(|blobs, sha256| {
            runtime.block_on(put(blobs, sha256, b"orphan")).unwrap();
            true
        });
    }

    #[tokio::test]
    async fn uploads_cut_off_by_a_crash_go_at_the_next_start() {
        let (dir, blobs) = blobs();
        let upload = blobs.begin(Sha256::of(b""), 5).unwrap();
        std::mem::forget(upload);
        assert_eq!(incoming(&blobs), 1);
        let blobs = Blobs::open_folder(&dir.path().join("blobs")).unwrap();
        assert_eq!(incoming(&blobs), 0);
    }
}
