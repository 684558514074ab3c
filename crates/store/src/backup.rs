//! Backups: the ledger as it stands at one moment, and every blob and object that it names, in one
//! file.
//!
//! The server goes on meanwhile. The ledger is copied by SQLite's own backup; blobs never change,
//! and none is swept while a backup is made. Keys and tokens are in it as the ledger has them:
//! sealed, or as digests. The master key and the operator's token are not.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use faults::{Class, Fault};
use jiff::Timestamp;
use rusqlite::Connection;
use rusqlite::backup::{Backup as Copying, StepResult};
use serde::{Deserialize, Serialize};

use crate::archive::{ArchiveFile, Hashing, MANIFEST, Writer, length};
use crate::blob_containers::{OBJECTS, Objects, named_objects};
use crate::blobs::Hold;
use crate::ledger::Failure;
use crate::migrations::MIGRATIONS;
use crate::{Id, Sha256, Store, SystemBlob, files, revisions};

/// What a backup's manifest says that it is.
pub(crate) const FORMAT: &str = "umpire-backup";
/// The version of the form of backups.
pub(crate) const VERSION: u32 = 1;
/// The manifest's hash, sealed: who has not the master key cannot make another.
pub(crate) const SEAL: &str = "manifest.seal";
/// What the seal is bound to.
pub(crate) const SEAL_CONTEXT: &str = "backup manifest";
/// The ledger's name in a backup, and in a data directory.
pub(crate) const LEDGER: &str = "ledger.sqlite";

/// What a backup begins with.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Manifest {
    pub(crate) format: String,
    pub(crate) version: u32,
    /// The program that made it.
    pub(crate) umpire: String,
    /// The version of the ledger's schema.
    pub(crate) ledger_version: u32,
    /// RFC 3339.
    pub(crate) created: String,
    pub(crate) files: Vec<ArchiveFile>,
}

/// A backup that is ready to be written out. What it is of stands still while this value lives.
pub struct Backup {
    store_blobs: crate::Blobs,
    objects: Objects,
    ledger: TemporaryFile,
    manifest: Vec<u8>,
    seal: Vec<u8>,
    files: Vec<ArchiveFile>,
    _hold: Hold,
}

impl std::fmt::Debug for Backup {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Backup")
            .field("files", &self.files.len())
            .finish_non_exhaustive()
    }
}

/// A file that goes with its path.
struct TemporaryFile(PathBuf);

impl Drop for TemporaryFile {
    fn drop(&mut self) {
        // One that stays is removed at the next start, as uploads that were cut off are.
        let _ = std::fs::remove_file(&self.0);
    }
}

fn failed(what: &str, error: &dyn std::error::Error) -> Fault {
    Fault::bare(Class::InternalError)
        .caused_by(error)
        .because(format!("the backup cannot be made: {what}"))
}

impl Store {
    /// Takes hold of the present state. May wait for the disk.
    ///
    /// # Errors
    /// `InternalError.ModelPackageInvalid` when a blob that the ledger names is not there;
    /// `InternalError.ContainerValidationFailed` when the folder of blobs is gone;
    /// `InternalError` when the ledger or the disk fails.
    pub fn backup(&self) -> Result<Backup, Fault> {
        // Before the ledger is looked at: what it names then stays until the end.
        let hold = self.blobs.hold();
        let ledger = TemporaryFile(self.blobs.temporary());
        let copied = copy_ledger(self.ledger.path(), &ledger.0);
        copied.map_err(|e| failed("the ledger cannot be copied", &e))?;
        let (names, objects) = read_names(&ledger.0)?;
        let hashed = hash_file(&ledger.0).map_err(|e| failed("the copy cannot be read", &e))?;
        let mut files = vec![file(LEDGER, hashed)];
        for sha256 in names {
            let size = self.blobs.size(&sha256)?.ok_or_else(|| {
                faults::internal_error::model_package_invalid().because(format!(
                    "blob {sha256} is named by the ledger and is not there"
                ))
            })?;
            files.push(file(&format!("blobs/{sha256}"), (size, sha256)));
        }
        for id in objects {
            let content = self.objects.open_object(id);
            let hashed = content.and_then(hash).map_err(|e| {
                failed(
                    &format!("object {id}, which the ledger names, cannot be read"),
                    &e,
                )
            })?;
            files.push(file(&format!("{OBJECTS}/{}", Objects::name(id)), hashed));
        }
        let document = SystemBlob::ClusterConfiguration;
        if let Some(content) = self.blobs.system(document)? {
            let hashed = (content.len() as u64, Sha256::of(&content));
            files.push(file(&format!("blobs/{}", document.name()), hashed));
        }
        let manifest = Manifest {
            format: FORMAT.to_owned(),
            version: VERSION,
            umpire: env!("CARGO_PKG_VERSION").to_owned(),
            ledger_version: u32::try_from(MIGRATIONS.len()).unwrap_or(u32::MAX),
            created: Timestamp::now().to_string(),
            files: files.clone(),
        };
        let manifest = serde_json::to_vec_pretty(&manifest)
            .map_err(|e| failed("the manifest cannot be written", &e))?;
        let hash = Sha256::of(&manifest).to_string();
        Ok(Backup {
            store_blobs: self.blobs.clone(),
            objects: self.objects.clone(),
            ledger,
            seal: self.sealer.seal(hash.as_bytes(), SEAL_CONTEXT),
            manifest,
            files,
            _hold: hold,
        })
    }
}

impl Backup {
    /// How many bytes [`Backup::write`] will write.
    pub fn length(&self) -> u64 {
        let own = [self.manifest.len() as u64, self.seal.len() as u64];
        length(own.into_iter().chain(self.files.iter().map(|f| f.size)))
    }

    /// How many blobs and objects there are in it.
    pub fn blobs(&self) -> usize {
        self.files.iter().filter(|f| f.name != LEDGER).count()
    }

    /// Writes the whole out. Waits for the disk and for `out`.
    ///
    /// # Errors
    /// Those of `out` and of the disk; `InvalidData`, with its name, for a blob that is damaged.
    pub fn write(self, out: impl Write) -> io::Result<()> {
        let mut archive = Writer::new(out);
        archive.add(MANIFEST, self.manifest.len() as u64, &self.manifest[..])?;
        archive.add(SEAL, self.seal.len() as u64, &self.seal[..])?;
        for file in &self.files {
            let content = match file.name.as_str() {
                LEDGER => File::open(&self.ledger.0)?,
                name => match object_id(name) {
                    Some(id) => self.objects.open_object(id)?,
                    None => self
                        .store_blobs
                        .open_named(name.trim_start_matches("blobs/"))?,
                },
            };
            let hash = archive.add(&file.name, file.size, content)?;
            if hash.to_string() != file.sha256 {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    format!("{} is damaged or was changed: upload it again", file.name),
                ));
            }
        }
        archive.finish()?.flush()
    }
}

fn file(name: &str, (size, sha256): (u64, Sha256)) -> ArchiveFile {
    ArchiveFile {
        name: name.to_owned(),
        size,
        sha256: sha256.to_string(),
    }
}

/// Copies a ledger in use to a file of its own, whole, as it stands at one moment.
fn copy_ledger(from: &Path, to: &Path) -> Result<(), rusqlite::Error> {
    let unusable = |e: io::Error| {
        rusqlite::Error::SqliteFailure(
            rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CANTOPEN),
            Some(e.to_string()),
        )
    };
    files::new_private_file(to).map_err(unusable)?;
    let source = crate::ledger::connect(from)?;
    let mut target = Connection::open(to)?;
    {
        let copying = Copying::new(&source, &mut target)?;
        // All pages in one step: one state, whatever is written meanwhile.
        while !matches!(copying.step(-1)?, StepResult::Done) {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    }
    // Without a log of its own beside it.
    target.pragma_update(None, "journal_mode", "DELETE")?;
    target.close().map_err(|(_, e)| e)?;
    File::open(to)
        .and_then(|file| file.sync_all())
        .map_err(unusable)
}

/// The object that a file of a backup is; `None` for another name.
pub(crate) fn object_id(name: &str) -> Option<Id> {
    let below = name.strip_prefix(OBJECTS)?.strip_prefix('/')?;
    let id = Id::parse(below.split_once('/')?.1)?;
    (Objects::name(id) == below).then_some(id)
}

/// The blobs and objects that a copy names, in order.
fn read_names(copy: &Path) -> Result<(Vec<Sha256>, Vec<Id>), Fault> {
    let unreadable = |f: Failure| f.into_fault(|| Fault::bare(Class::InternalError));
    let connection = Connection::open(copy).map_err(|e| unreadable(e.into()))?;
    let names = revisions::named_blobs(&connection).map_err(unreadable)?;
    let mut names: Vec<Sha256> = names.into_iter().collect();
    names.sort_by_key(|name| name.0);
    let objects = named_objects(&connection).map_err(unreadable)?;
    let mut objects: Vec<Id> = objects.into_iter().collect();
    objects.sort();
    Ok((names, objects))
}

/// A file's size and hash.
fn hash_file(path: &Path) -> io::Result<(u64, Sha256)> {
    hash(File::open(path)?)
}

fn hash(file: File) -> io::Result<(u64, Sha256)> {
    let mut content = Hashing::new(file);
    let size = io::copy(&mut content.by_ref(), &mut io::sink())?;
    Ok((size, content.hash()))
}
