//! `file://`: files of this machine, below folders that the operator allows.
//!
//! A root is opened by its path; what is below it by one name after the other, each relative to the
//! folder before it and never through a link, so that nothing leads out of it, whoever can write
//! there. What is written is put together in a folder beside the file and takes its name at once.

use std::ffi::OsString;
use std::fs::{File, Metadata};
use std::io::{self, Seek as _, Write as _};
use std::ops::Range;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use rustix::fs::{AtFlags, CWD, Mode, OFlags};
use store::Id;

use crate::adapter::{Adapter, Doing};
use crate::source::Reader;
use crate::staging::Upload;
use crate::text::encoded_path;
use crate::{
    ByteStream, Failure, FailureKind, Joined, Part, PartFile, PartLimits, Source, Staging,
};

/// How much is read from a file at once.
const READ_SIZE: u64 = 1 << 20;
/// What the name of a folder of parts begins with.
const STAGING: &str = ".umpire-";
/// What the name of a folder ends with whose parts are in place.
const DONE: &str = ".done";
/// The blob as it is put together, in that folder.
const WHOLE: &str = "whole";

const LIMITS: PartLimits = PartLimits {
    min: 0,
    max: u64::MAX,
    most: 100_000,
};

/// Rights of what is made, before the process's mask.
const FOLDER: Mode = Mode::from_raw_mode(0o777);
const FILE: Mode = Mode::from_raw_mode(0o666);

/// A file below a root.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    /// The root's path, which the operator chose.
    root: String,
    /// Folders below it.
    folders: Vec<String>,
    name: String,
}

/// What does the work at a file. `root` is the folder that allows it, and `below` its path there.
pub(crate) fn adapter(root: &str, below: &str) -> Result<Box<dyn Adapter>, Failure> {
    let mut folders: Vec<String> = below
        .trim_start_matches('/')
        .split('/')
        .map(str::to_owned)
        .collect();
    let bad = |part: &String| matches!(part.as_str(), "" | "." | "..") || part.contains('\0');
    let name = folders.pop().unwrap_or_default();
    if bad(&name) || folders.iter().any(bad) || name.starts_with(STAGING) {
        return Err(Failure::new(FailureKind::BadName, "not a file's path"));
    }
    Ok(Box::new(OfFile(Place {
        root: root.to_owned(),
        folders,
        name,
    })))
}

impl Place {
    /// The folder that the file stands in, made where it is absent if `make` says so.
    fn folder(&self, make: bool) -> io::Result<Folder> {
        let mut folder = Folder::open(&self.root)?;
        for name in &self.folders {
            folder = match folder.folder(name) {
                Err(e) if make && e.kind() == io::ErrorKind::NotFound => {
                    folder.make(name)?;
                    folder.folder(name)?
                }
                opened => opened?,
            };
        }
        Ok(folder)
    }

    /// The deepest folder on the way that is there.
    fn nearest(&self) -> io::Result<Folder> {
        let mut folder = Folder::open(&self.root)?;
        for name in &self.folders {
            match folder.folder(name) {
                Err(e) if e.kind() == io::ErrorKind::NotFound => break,
                opened => folder = opened?,
            }
        }
        Ok(folder)
    }
}

/// An open folder. Names are single ones, and links are not followed.
struct Folder(File);

impl Folder {
    fn open(path: &str) -> io::Result<Folder> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Folder(
            rustix::fs::openat(CWD, path, flags, Mode::empty())?.into(),
        ))
    }

    fn folder(&self, name: &str) -> io::Result<Folder> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(Folder(
            rustix::fs::openat(&self.0, name, flags, Mode::empty())?.into(),
        ))
    }

    /// Makes a folder, durably. One that is there stays.
    fn make(&self, name: &str) -> io::Result<()> {
        match rustix::fs::mkdirat(&self.0, name, FOLDER) {
            Ok(()) => self.sync(),
            Err(rustix::io::Errno::EXIST) => Ok(()),
            Err(e) => Err(e.into()),
        }
    }

    /// A new file, empty; what was of that name is lost.
    fn create(&self, name: &str) -> io::Result<File> {
        self.remove(name)?;
        let flags =
            OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(rustix::fs::openat(&self.0, name, flags, FILE)?.into())
    }

    /// Opens a file for reading. What is none (a pipe, a device) is not opened.
    fn file(&self, name: &str) -> io::Result<(File, Metadata)> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file: File = rustix::fs::openat(&self.0, name, flags, Mode::empty())?.into();
        let metadata = file.metadata()?;
        match metadata.is_file() {
            true => Ok((file, metadata)),
            false => Err(io::Error::new(
                io::ErrorKind::IsADirectory,
                "it is not a file",
            )),
        }
    }

    /// Removes a file; one that is not there is no failure.
    fn remove(&self, name: &str) -> io::Result<()> {
        ignore_absent(rustix::fs::unlinkat(&self.0, name, AtFlags::empty()))
    }

    /// Removes a folder with the files in it; one that is not there is no failure.
    fn remove_folder(&self, name: &str) -> io::Result<()> {
        let folder = match self.folder(name) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
            opened => opened?,
        };
        for file in folder.names()? {
            ignore_absent(rustix::fs::unlinkat(&folder.0, &file, AtFlags::empty()))?;
        }
        ignore_absent(rustix::fs::unlinkat(&self.0, name, AtFlags::REMOVEDIR))
    }

    fn names(&self) -> io::Result<Vec<OsString>> {
        use std::os::unix::ffi::OsStringExt as _;
        let mut names = Vec::new();
        for entry in rustix::fs::Dir::read_from(&self.0)? {
            let name = entry?.file_name().to_bytes().to_vec();
            if name != b"." && name != b".." {
                names.push(OsString::from_vec(name));
            }
        }
        Ok(names)
    }

    /// Gives a file of this folder a name in another, in place of what was there, durably.
    fn rename(&self, name: &str, to: &Folder, target: &str) -> io::Result<()> {
        rustix::fs::renameat(&self.0, name, &to.0, target)?;
        to.sync()
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync_all()
    }
}

fn ignore_absent(done: rustix::io::Result<()>) -> io::Result<()> {
    match done {
        Err(rustix::io::Errno::NOENT) => Ok(()),
        done => Ok(done?),
    }
}

struct OfFile(Place);

impl Adapter for OfFile {
    fn open(&self) -> Doing<'_, Source> {
        let place = self.0.clone();
        Box::pin(async move {
            let (file, metadata) = blocking(move || place.folder(false)?.file(&place.name)).await?;
            let state = State::of(&metadata);
            let etag = Some(state.text());
            Ok(Source::new(
                metadata.len(),
                etag,
                Arc::new(Content(Arc::new(file), state)),
            ))
        })
    }

    fn probe(&self) -> Doing<'_, ()> {
        let place = self.0.clone();
        Box::pin(blocking(move || {
            let folder = place.nearest()?;
            let name = format!("{STAGING}{}", Id::random());
            folder.make(&name)?;
            folder.remove_folder(&name)
        }))
    }

    fn begin<'a>(&'a self, _: &'a str) -> Doing<'a, Staging> {
        let place = self.0.clone();
        Box::pin(async move {
            let parts = Parts {
                folder: format!("{STAGING}{}", Id::random()),
                place,
            };
            let begun = parts.clone();
            blocking(move || begun.place.folder(true)?.make(&begun.folder)).await?;
            Ok(Staging::new(parts))
        })
    }

    fn resume<'a>(&'a self, token: &'a str) -> Doing<'a, Staging> {
        let place = self.0.clone();
        Box::pin(async move {
            let id = token.strip_prefix("file ").and_then(Id::parse);
            let id = id.ok_or_else(|| {
                Failure::new(FailureKind::BadName, "the token is none of this storage")
            })?;
            let folder = format!("{STAGING}{id}");
            let parts = Parts { folder, place };
            let resumed = parts.clone();
            blocking(move || resumed.is_there()).await?;
            Ok(Staging::new(parts))
        })
    }

    fn put<'a>(&'a self, _: &'a str, bytes: Bytes) -> Doing<'a, ()> {
        let place = self.0.clone();
        Box::pin(blocking(move || {
            let folder = place.folder(true)?;
            let name = format!("{STAGING}{}", Id::random());
            let put = folder.create(&name).and_then(|mut file| {
                file.write_all(&bytes)?;
                file.sync_all()?;
                folder.rename(&name, &folder, &place.name)
            });
            if put.is_err() {
                // The first failure is the one to tell.
                let _ = folder.remove(&name);
            }
            put
        }))
    }

    fn delete(&self) -> Doing<'_, ()> {
        let place = self.0.clone();
        Box::pin(blocking(move || match place.folder(false) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
            folder => {
                let folder = folder?;
                folder.remove(&place.name)?;
                folder.sync()
            }
        }))
    }

    fn signed<'a>(&'a self, _: Duration, _: &'a str) -> Doing<'a, Joined> {
        let Place {
            root,
            folders,
            name,
        } = &self.0;
        let mut path = vec![root.trim_start_matches('/')];
        path.extend(folders.iter().map(String::as_str));
        path.push(name);
        let joined = Joined {
            base_location: "file:///".to_owned(),
            relative_location: encoded_path(&path.join("/")),
            sas_blob_token: String::new(),
        };
        Box::pin(async move { Ok(joined) })
    }

    fn create_container(&self) -> Doing<'_, ()> {
        // What is written makes its folders.
        Box::pin(async { Ok(()) })
    }
}

/// By which it is told that a file was written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct State {
    inode: u64,
    size: u64,
    seconds: i64,
    nanoseconds: i64,
}

impl State {
    fn of(metadata: &Metadata) -> State {
        State {
            inode: metadata.ino(),
            size: metadata.len(),
            seconds: metadata.mtime(),
            nanoseconds: metadata.mtime_nsec(),
        }
    }

    fn text(&self) -> String {
        format!(
            "{:x}-{:x}-{:x}.{:x}",
            self.inode, self.size, self.seconds, self.nanoseconds
        )
    }
}

/// A file's content. A file that takes its name later does not matter: this one is open.
struct Content(Arc<File>, State);

impl Content {
    fn check(file: &File, state: State) -> io::Result<()> {
        match State::of(&file.metadata()?) == state {
            true => Ok(()),
            false => Err(io::Error::other(Changed)),
        }
    }
}

/// The file was written to while it was read.
#[derive(Debug)]
struct Changed;

impl std::fmt::Display for Changed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the file was changed while it was read")
    }
}

impl std::error::Error for Changed {}

impl Reader for Content {
    fn read(&self, range: Range<u64>) -> Doing<'_, ByteStream> {
        let (file, state) = (self.0.clone(), self.1);
        Box::pin(async move {
            let steps = stream::try_unfold(range, move |left| {
                let file = file.clone();
                async move {
                    if left.is_empty() {
                        return Ok(None);
                    }
                    let step = blocking(move || {
                        let len = READ_SIZE.min(left.end - left.start);
                        let mut bytes = vec![0; usize::try_from(len).unwrap_or(0)];
                        let read = file.read_exact_at(&mut bytes, left.start);
                        Content::check(&file, state)?;
                        read?;
                        Ok((Bytes::from(bytes), left.start + len..left.end))
                    });
                    step.await.map(Some)
                }
            });
            Ok(ByteStream::new(steps))
        })
    }

    fn pieces(&self, range: Range<u64>) -> Option<io::Result<Vec<(File, u64, u64)>>> {
        if range.is_empty() {
            return Some(Ok(Vec::new()));
        }
        let piece = Content::check(&self.0, self.1)
            .and_then(|()| self.0.try_clone())
            .map(|file| vec![(file, range.start, range.end - range.start)]);
        Some(piece)
    }
}

/// Parts in a folder beside the file. Each attempt at a part is a file of its own.
#[derive(Debug, Clone)]
struct Parts {
    place: Place,
    folder: String,
}

fn part_name(number: u32, attempt: u32) -> String {
    format!("{number:010}-{attempt:010}")
}

/// A part as the ledger keeps it: its file's name and its size.
fn part_of(name: &str, size: u64) -> Part {
    Part(format!("{name} {size}"))
}

impl Parts {
    /// That the parts are there, or were put in place.
    fn is_there(&self) -> io::Result<()> {
        let beside = self.place.folder(false)?;
        match beside.folder(&self.folder) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                beside.file(&self.place.name).map(drop)
            }
            opened => opened.map(drop),
        }
    }

    fn open(&self) -> io::Result<Folder> {
        self.place.folder(false)?.folder(&self.folder)
    }

    fn commit(&self, parts: &[Part]) -> io::Result<()> {
        let unknown = || io::Error::new(io::ErrorKind::NotFound, "a part is not there");
        let mut wanted = Vec::with_capacity(parts.len());
        for part in parts {
            let (name, size) = part.0.split_once(' ').ok_or_else(unknown)?;
            if name.contains('/') {
                return Err(unknown());
            }
            wanted.push((name, size.parse::<u64>().map_err(|_| unknown())?));
        }
        let total: u64 = wanted.iter().map(|(_, size)| size).sum();
        let beside = self.place.folder(false)?;
        let folder = match beside.folder(&self.folder) {
            // It goes when all is in place, so this is said again.
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                let (_, there) = beside.file(&self.place.name)?;
                return match there.len() == total {
                    true => beside.remove_folder(&format!("{}{DONE}", self.folder)),
                    false => Err(unknown()),
                };
            }
            opened => opened?,
        };
        let mut whole = folder.create(WHOLE)?;
        for (name, size) in wanted {
            let (mut part, metadata) = folder.file(name)?;
            // In the kernel, where the file system can: by sharing what is there.
            if metadata.len() != size || io::copy(&mut part, &mut whole)? != size {
                return Err(unknown());
            }
        }
        whole.sync_all()?;
        folder.rename(WHOLE, &beside, &self.place.name)?;
        // While the folder has its name all parts are in it, and this can be said again.
        let done = format!("{}{DONE}", self.folder);
        beside.rename(&self.folder, &beside, &done)?;
        beside.remove_folder(&done)
    }
}

impl Upload for Parts {
    fn token(&self) -> String {
        format!("file {}", self.folder.trim_start_matches(STAGING))
    }

    fn limits(&self) -> PartLimits {
        LIMITS
    }

    fn stage(&self, number: u32, attempt: u32, bytes: Bytes) -> Doing<'_, Part> {
        let parts = self.clone();
        Box::pin(blocking(move || {
            let (folder, name) = (parts.open()?, part_name(number, attempt));
            let mut file = folder.create(&name)?;
            let written = file.write_all(&bytes).and_then(|()| file.sync_all());
            if let Err(error) = written {
                let _ = folder.remove(&name);
                return Err(error);
            }
            folder.sync()?;
            Ok(part_of(&name, bytes.len() as u64))
        }))
    }

    fn part_file(&self, number: u32, attempt: u32) -> Option<io::Result<PartFile>> {
        let name = part_name(number, attempt);
        let begun = self.open().and_then(|folder| {
            let file = folder.create(&name)?;
            Ok(PartFile::new(file, move |mut file: File| {
                file.sync_all()?;
                let size = file.seek(io::SeekFrom::End(0))?;
                folder.sync()?;
                Ok(part_of(&name, size))
            }))
        });
        Some(begun)
    }

    fn commit<'a>(&'a self, list: &'a [Part]) -> Doing<'a, ()> {
        let (parts, list) = (self.clone(), list.to_vec());
        Box::pin(blocking(move || parts.commit(&list)))
    }

    fn abort(&self) -> Doing<'_, ()> {
        let parts = self.clone();
        Box::pin(blocking(move || match parts.place.folder(false) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
            folder => {
                let folder = folder?;
                folder.remove_folder(&parts.folder)?;
                folder.remove_folder(&format!("{}{DONE}", parts.folder))
            }
        }))
    }
}

/// Runs what waits for the disk away from the threads that serve calls.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, Failure> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|e| failure(&io::Error::other(e)))?
        .map_err(|e| failure(&e))
}

/// What the system says, as a failure of storage.
fn failure(error: &io::Error) -> Failure {
    use io::ErrorKind as Kind;
    let is_changed = |e: &io::Error| e.get_ref().is_some_and(|inner| inner.is::<Changed>());
    let kind = match error.kind() {
        _ if is_changed(error) => FailureKind::Changed,
        _ if error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) => {
            FailureKind::BadName
        }
        Kind::NotFound => FailureKind::NotFound,
        Kind::PermissionDenied | Kind::ReadOnlyFilesystem => FailureKind::Refused,
        Kind::StorageFull | Kind::QuotaExceeded | Kind::FileTooLarge => FailureKind::Full,
        Kind::NotADirectory | Kind::IsADirectory | Kind::InvalidFilename => FailureKind::BadName,
        _ => FailureKind::Unreachable,
    };
    let text = match kind {
        FailureKind::NotFound => "there is no such file".to_owned(),
        // What a link is, when none is followed.
        FailureKind::BadName => format!("it is no file, or there is a link on its way: {error}"),
        _ => error.to_string(),
    };
    Failure {
        transient: matches!(
            error.kind(),
            Kind::Interrupted | Kind::StaleNetworkFileHandle
        ),
        ..Failure::new(kind, text)
    }
}
