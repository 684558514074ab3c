//! The files that blobs of workspaces are made of: `objects/xx/ID`, each written once.
//!
//! A file is written under its own name at once, since nothing leads to it until a row of the
//! ledger names it. What no row names, nobody writes and nobody reads is removed by the sweep, at
//! the start above all: a crash leaves nothing for good.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use faults::Fault;

use super::BlobProblem;
use crate::blobs::Swept;
use crate::{Blobs, Id, files};

/// The folder's name in a data directory and in a backup.
pub(crate) const OBJECTS: &str = "objects";
/// How much of an upload is gathered before it goes to the disk.
const WRITE_SIZE: usize = 1 << 20;

/// The folder of objects. Clones are the same folder.
#[derive(Debug, Clone)]
pub(crate) struct Objects(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    folder: PathBuf,
    /// Knows how much there may be of both, and when nothing may be removed.
    blobs: Blobs,
    users: Mutex<Users>,
}

/// Who uses which objects now. An object is removed only under this lock.
#[derive(Debug, Default)]
struct Users {
    /// Files that no row names yet.
    written: HashSet<Id>,
    read: HashMap<Id, usize>,
    /// Files that no row names any more.
    doomed: HashSet<Id>,
}

impl Objects {
    /// Opens the folder, made where it is absent, and counts what is in it.
    pub(crate) fn open(folder: &Path, blobs: &Blobs) -> io::Result<Objects> {
        files::private_folder(folder)?;
        let objects = Objects(Arc::new(Inner {
            folder: folder.to_owned(),
            blobs: blobs.clone(),
            users: Mutex::default(),
        }));
        let mut used = 0;
        objects.walk(|_, metadata| used += metadata.len())?;
        blobs.count(used, 0);
        Ok(objects)
    }

    fn users(&self) -> MutexGuard<'_, Users> {
        self.0.users.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The name of an object below the folder, which is also its name in a backup.
    pub(crate) fn name(id: Id) -> String {
        let id = id.to_string();
        format!("{}/{id}", id.get(..2).unwrap_or_default())
    }

    fn path(&self, id: Id) -> PathBuf {
        self.0.folder.join(Objects::name(id))
    }

    /// Begins a new object.
    ///
    /// # Errors
    /// [`BlobProblem::Full`] on a full disk, else [`BlobProblem::Failed`].
    pub(crate) fn create(&self) -> Result<ObjectFile, BlobProblem> {
        let id = Id::random();
        let path = self.path(id);
        let made = path
            .parent()
            .map_or(Ok(()), files::make_folder)
            .and_then(|()| {
                // Before the file is there, so that no sweep takes it for left over.
                self.users().written.insert(id);
                OpenOptions::new()
                    .read(true)
                    .write(true)
                    .create_new(true)
                    .mode(0o600)
                    .open(&path)
            });
        match made {
            Ok(file) => Ok(ObjectFile {
                id,
                file,
                objects: self.clone(),
                counted: 0,
                named: false,
            }),
            Err(error) => {
                self.users().written.remove(&id);
                Err(BlobProblem::of_write(&error))
            }
        }
    }

    /// Runs a query for the objects of a blob and keeps them from being removed before somebody
    /// else can remove one of them.
    pub(crate) fn pin<T, E>(
        &self,
        find: impl FnOnce() -> Result<(T, Vec<Id>), E>,
    ) -> Result<(T, Pins), E> {
        let mut users = self.users();
        let (found, ids) = find()?;
        for id in &ids {
            *users.read.entry(*id).or_default() += 1;
        }
        drop(users);
        let objects = self.clone();
        Ok((found, Pins { objects, ids }))
    }

    /// Opens an object for reading.
    pub(crate) fn open_object(&self, id: Id) -> io::Result<File> {
        File::open(self.path(id))
    }

    /// Says that no row names these objects any more. [`Objects::reap`] removes them.
    pub(crate) fn doom(&self, ids: impl IntoIterator<Item = Id>) {
        self.users().doomed.extend(ids);
    }

    /// Removes what is doomed and nobody reads. Waits for the disk.
    pub(crate) fn reap(&self) {
        loop {
            // For each anew, so that nobody waits long.
            let mut users = self.users();
            let Users { doomed, read, .. } = &*users;
            let Some(id) = doomed.iter().find(|id| !read.contains_key(id)).copied() else {
                return;
            };
            if !self.0.blobs.unless_held(|| {
                self.remove(id);
            }) {
                // A backup is made; the next sweep finds what is left.
                return;
            }
            users.doomed.remove(&id);
        }
    }

    /// [`Objects::reap`] away from the threads that serve calls.
    pub(crate) async fn reap_later(&self) {
        let objects = self.clone();
        // What is left by a task that did not run the next sweep finds.
        let _ = tokio::task::spawn_blocking(move || objects.reap()).await;
    }

    /// Removes one object; its bytes.
    fn remove(&self, id: Id) -> u64 {
        let path = self.path(id);
        let size = fs::metadata(&path).map_or(0, |metadata| metadata.len());
        match fs::remove_file(&path) {
            Ok(()) => {
                self.0.blobs.count(0, size);
                size
            }
            Err(error) => {
                if error.kind() != io::ErrorKind::NotFound {
                    tracing::warn!(object = %id, %error, "a file of a blob cannot be removed");
                }
                0
            }
        }
    }

    /// Removes every object that no row names, nobody writes and nobody reads. `named` is asked
    /// after the folder was read: what a row has come to name meanwhile is among its answer.
    pub(crate) fn sweep(
        &self,
        named: impl FnOnce() -> Result<HashSet<Id>, Fault>,
    ) -> Result<Swept, Fault> {
        let mut there = Vec::new();
        self.walk(|id, _| there.push(id)).map_err(|e| {
            faults::internal_error::unknown_error()
                .caused_by(&e)
                .because("the folder of objects cannot be read")
        })?;
        {
            let users = self.users();
            there.retain(|id| !users.written.contains(id));
        }
        let named = named()?;
        there.retain(|id| !named.contains(id));
        let mut swept = Swept::default();
        for id in there {
            // For each anew, so that nobody waits long.
            let mut users = self.users();
            if users.read.contains_key(&id) {
                users.doomed.insert(id);
                continue;
            }
            let held = !self.0.blobs.unless_held(|| {
                swept.blobs += 1;
                swept.bytes += self.remove(id);
            });
            if held {
                // A backup is made; the next sweep finds what is left.
                break;
            }
            users.doomed.remove(&id);
        }
        Ok(swept)
    }

    /// Calls `each` for every object in the folder.
    fn walk(&self, mut each: impl FnMut(Id, fs::Metadata)) -> io::Result<()> {
        for folder in fs::read_dir(&self.0.folder)? {
            let folder = folder?;
            if !folder.file_type()?.is_dir() {
                continue;
            }
            for entry in fs::read_dir(folder.path())? {
                let entry = entry?;
                let name = entry.file_name();
                let id = name.to_str().and_then(Id::parse);
                // Only what has the very name that we give: nothing else is ours.
                if let Some(id) = id
                    && self.path(id) == entry.path()
                {
                    match entry.metadata() {
                        Ok(metadata) => each(id, metadata),
                        Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                        Err(e) => return Err(e),
                    }
                }
            }
        }
        Ok(())
    }
}

/// Keeps objects from being removed while it lives.
#[derive(Debug)]
pub(crate) struct Pins {
    pub(crate) objects: Objects,
    ids: Vec<Id>,
}

impl Drop for Pins {
    fn drop(&mut self) {
        let mut users = self.objects.users();
        let mut last_of_doomed = false;
        for id in &self.ids {
            if let Some(count) = users.read.get_mut(id) {
                *count -= 1;
                if *count == 0 {
                    users.read.remove(id);
                    last_of_doomed |= users.doomed.contains(id);
                }
            }
        }
        drop(users);
        if !last_of_doomed {
            return;
        }
        // What was written over while it was read goes with its last reader.
        let objects = self.objects.clone();
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn_blocking(move || objects.reap())),
            Err(_) => objects.reap(),
        }
    }
}

/// A file on its way into a blob, for somebody who writes it himself. Dropped before a row names
/// it, it leaves nothing behind.
#[derive(Debug)]
pub struct ObjectFile {
    id: Id,
    file: File,
    objects: Objects,
    /// Bytes that `limits.disk` has been told of.
    counted: u64,
    named: bool,
}

impl ObjectFile {
    /// The file, open for reading and writing, empty at first.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Makes what was written durable. Waits for the disk.
    ///
    /// # Errors
    /// [`BlobProblem::Full`] when the disk is full or `limits.disk` is reached, else
    /// [`BlobProblem::Failed`].
    pub fn sync(mut self) -> Result<SyncedObject, BlobProblem> {
        let failed = |e: io::Error| BlobProblem::of_write(&e);
        self.file.sync_all().map_err(failed)?;
        let size = self.file.metadata().map_err(failed)?.len();
        let blobs = &self.objects.0.blobs;
        blobs.check_room(size).map_err(BlobProblem::full)?;
        blobs.count(size, 0);
        self.counted = size;
        let path = self.objects.path(self.id);
        let folder = path.parent().unwrap_or(&self.objects.0.folder);
        files::sync_folder(folder).map_err(failed)?;
        Ok(SyncedObject { size, file: self })
    }
}

impl Drop for ObjectFile {
    fn drop(&mut self) {
        let blobs = &self.objects.0.blobs;
        if !self.named {
            let removed = fs::remove_file(self.objects.path(self.id));
            if let Err(error) = removed
                && error.kind() != io::ErrorKind::NotFound
            {
                tracing::warn!(object = %self.id, %error, "a file that is of no use cannot be removed");
            }
            blobs.count(0, self.counted);
        }
        self.objects.users().written.remove(&self.id);
    }
}

/// A whole, durable file that no row names yet. Dropped, it leaves nothing behind.
#[derive(Debug)]
pub struct SyncedObject {
    size: u64,
    file: ObjectFile,
}

impl SyncedObject {
    /// Bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    pub(crate) fn id(&self) -> Id {
        self.file.id
    }

    /// Says that a row which was committed names it.
    pub(crate) fn named(mut self) {
        self.file.named = true;
    }
}

/// A file on its way into a blob, whose bytes come over the network. Dropped before a row names
/// it, it leaves nothing behind.
#[derive(Debug)]
pub struct ObjectWriter {
    limit: u64,
    received: u64,
    gathered: Vec<u8>,
    objects: Objects,
    /// Away while a write runs; gone for good when a write was cancelled or failed.
    file: Option<ObjectFile>,
}

impl ObjectWriter {
    pub(crate) fn new(file: ObjectFile, limit: u64) -> ObjectWriter {
        ObjectWriter {
            limit,
            received: 0,
            gathered: Vec::new(),
            objects: file.objects.clone(),
            file: Some(file),
        }
    }

    /// Takes the next bytes.
    ///
    /// # Errors
    /// [`BlobProblem::TooLarge`] over the limit; [`BlobProblem::Full`] when the disk is full or
    /// `limits.disk` is reached, else [`BlobProblem::Failed`].
    pub async fn write(&mut self, chunk: &Bytes) -> Result<(), BlobProblem> {
        self.received = self.received.saturating_add(chunk.len() as u64);
        if self.received > self.limit {
            return Err(BlobProblem::TooLarge(self.limit));
        }
        let room = self.objects.0.blobs.check_room(self.received);
        room.map_err(BlobProblem::full)?;
        self.gathered.extend_from_slice(chunk);
        if self.gathered.len() >= WRITE_SIZE {
            self.flush().await?;
        }
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), BlobProblem> {
        let gathered = std::mem::take(&mut self.gathered);
        let file = self.file.take().ok_or_else(broken_off)?;
        let written = tokio::task::spawn_blocking(move || {
            file.file().write_all(&gathered)?;
            Ok((file, gathered))
        });
        let (file, mut gathered) = written
            .await
            .map_err(|e| BlobProblem::failed(&e, "a blob cannot be written"))?
            .map_err(|e: io::Error| BlobProblem::of_write(&e))?;
        gathered.clear();
        self.gathered = gathered;
        self.file = Some(file);
        Ok(())
    }

    /// Makes what was written durable.
    ///
    /// # Errors
    /// As for [`ObjectFile::sync`].
    pub async fn sync(mut self) -> Result<SyncedObject, BlobProblem> {
        self.flush().await?;
        let file = self.file.take().ok_or_else(broken_off)?;
        tokio::task::spawn_blocking(move || file.sync())
            .await
            .map_err(|e| BlobProblem::failed(&e, "a blob cannot be written"))?
    }
}

fn broken_off() -> BlobProblem {
    let what = "an upload was used after one of its writes failed";
    BlobProblem::Failed(Fault::bare(faults::Class::InternalError).because(what))
}
