//! Archives: a tar file that begins with a manifest of what follows.
//!
//! The manifest names every file with its size and SHA-256, in the order in which they stand, so
//! that one pass tells whether an archive is whole and unchanged.

use std::cell::Cell;
use std::fmt;
use std::io::{self, Read, Write};
use std::rc::Rc;

use ring::digest::{Context, SHA256};
use serde::{Deserialize, Serialize};

use crate::Sha256;

/// What an archive begins with.
pub(crate) const MANIFEST: &str = "manifest.json";
/// The most that is read of a manifest, in bytes.
const MANIFEST_BYTES: u64 = 256 << 20;
/// What tar aligns everything to, and ends with two of.
const BLOCK: u64 = 512;

/// One file of an archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArchiveFile {
    /// Its path in the archive.
    pub name: String,
    /// Bytes.
    pub size: u64,
    /// 64 lower-case hexadecimal digits.
    pub sha256: String,
}

/// Why an archive is of no use.
#[derive(Debug)]
pub struct ArchiveProblem(pub(crate) String);

impl fmt::Display for ArchiveProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ArchiveProblem {}

impl From<io::Error> for ArchiveProblem {
    fn from(error: io::Error) -> Self {
        ArchiveProblem(format!("the file cannot be read: {error}"))
    }
}

pub(crate) fn problem(text: impl Into<String>) -> ArchiveProblem {
    ArchiveProblem(text.into())
}

/// How many bytes an archive of these files takes.
pub(crate) fn length(sizes: impl Iterator<Item = u64>) -> u64 {
    sizes
        .map(|size| BLOCK + size.next_multiple_of(BLOCK))
        .sum::<u64>()
        + 2 * BLOCK
}

/// An archive on its way out.
pub(crate) struct Writer<W: Write>(tar::Builder<W>);

impl<W: Write> Writer<W> {
    pub(crate) fn new(out: W) -> Writer<W> {
        Writer(tar::Builder::new(out))
    }

    /// Adds a file of exactly `size` bytes; its hash.
    ///
    /// # Errors
    /// Those of both sides; `UnexpectedEof` for content that is shorter than announced.
    pub(crate) fn add(&mut self, name: &str, size: u64, content: impl Read) -> io::Result<Sha256> {
        let mut header = tar::Header::new_gnu();
        header.set_path(name)?;
        header.set_size(size);
        header.set_mode(0o600);
        header.set_mtime(0);
        header.set_cksum();
        let mut content = Hashing::new(content.take(size));
        self.0.append(&header, &mut content)?;
        if content.count != size {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                format!("{name} is shorter than it was"),
            ));
        }
        Ok(content.hash())
    }

    /// Ends the archive.
    pub(crate) fn finish(self) -> io::Result<W> {
        self.0.into_inner()
    }
}

/// Bytes that are hashed as they pass.
pub(crate) struct Hashing<R> {
    inner: R,
    hash: Context,
    count: u64,
}

impl<R: Read> Hashing<R> {
    pub(crate) fn new(inner: R) -> Hashing<R> {
        Hashing {
            inner,
            hash: Context::new(&SHA256),
            count: 0,
        }
    }

    pub(crate) fn hash(self) -> Sha256 {
        Sha256::from_digest(&self.hash.finish())
    }
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.hash.update(buffer.get(..count).unwrap_or_default());
        self.count += count as u64;
        Ok(count)
    }
}

/// What an archive is read from; it remembers whether its end was met.
pub(crate) struct Source<R> {
    inner: R,
    ended: Rc<Cell<bool>>,
}

impl<R: Read> Read for Source<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        if count == 0 && !buffer.is_empty() {
            self.ended.set(true);
        }
        Ok(count)
    }
}

/// Begins to read an archive.
pub(crate) fn open<R: Read>(from: R) -> (tar::Archive<Source<R>>, Rc<Cell<bool>>) {
    let ended = Rc::new(Cell::new(false));
    let source = Source {
        inner: from,
        ended: ended.clone(),
    };
    (tar::Archive::new(source), ended)
}

/// Walks through an archive: its manifest first, then what that names, and nothing else.
pub(crate) struct Reader<'a, R: Read> {
    entries: tar::Entries<'a, R>,
    /// Whether the file's end was met: then whatever is wrong is that.
    ended: Rc<Cell<bool>>,
}

impl<'a, R: Read> Reader<'a, R> {
    /// Both parts of what [`open`] gives.
    pub(crate) fn new(
        archive: &'a mut tar::Archive<R>,
        ended: Rc<Cell<bool>>,
    ) -> Result<Reader<'a, R>, ArchiveProblem> {
        Ok(Reader {
            entries: archive.entries()?,
            ended,
        })
    }

    fn unreadable(&self, what: &str, error: &io::Error) -> ArchiveProblem {
        match self.ended.get() || error.kind() == io::ErrorKind::UnexpectedEof {
            true => problem("the file is cut off"),
            false => problem(format!("{what}: {error}")),
        }
    }

    /// The content of the small file that comes next and must have that name.
    pub(crate) fn small(&mut self, name: &str) -> Result<Vec<u8>, ArchiveProblem> {
        let mut entry = self.next(name)?;
        if entry.size() > MANIFEST_BYTES {
            return Err(problem(format!("{name} is too large")));
        }
        let mut bytes = Vec::new();
        entry
            .read_to_end(&mut bytes)
            .map_err(|e| self.unreadable(name, &e))?;
        if bytes.len() as u64 != entry.size() {
            return Err(problem("the file is cut off"));
        }
        Ok(bytes)
    }

    /// Copies the file that comes next, and checks it against what the manifest says.
    pub(crate) fn copy(
        &mut self,
        file: &ArchiveFile,
        mut to: impl Write,
    ) -> Result<(), ArchiveProblem> {
        self.pass(file, |content| match io::copy(content, &mut to) {
            Ok(_) => Ok(()),
            Err(e) => Err(problem(format!("{} cannot be copied: {e}", file.name))),
        })
    }

    /// Hands the file that comes next to `take`, and checks it against what the manifest says.
    /// What is not taken is passed over.
    pub(crate) fn pass<E: From<ArchiveProblem>>(
        &mut self,
        file: &ArchiveFile,
        take: impl FnOnce(&mut dyn Read) -> Result<(), E>,
    ) -> Result<(), E> {
        let name = &file.name;
        let entry = self.next(name)?;
        if entry.size() != file.size {
            let what = "is not as long as the manifest says: the file was changed";
            return Err(problem(format!("{name} {what}")).into());
        }
        let mut content = Hashing::new(entry);
        let taken = take(&mut content);
        if self.ended.get() {
            return Err(problem("the file is cut off").into());
        }
        taken?;
        io::copy(&mut content, &mut io::sink()).map_err(|e| self.unreadable(name, &e))?;
        if content.count != file.size {
            return Err(problem("the file is cut off").into());
        }
        if content.hash().to_string() != file.sha256 {
            let what = "is not what the manifest says: the file was changed or damaged";
            return Err(problem(format!("{name} {what}")).into());
        }
        Ok(())
    }

    /// Refuses further files.
    pub(crate) fn end(mut self) -> Result<(), ArchiveProblem> {
        match self.entries.next() {
            None => Ok(()),
            Some(Ok(_)) => Err(problem("the file holds more than its manifest names")),
            Some(Err(e)) => Err(self.unreadable("the end", &e)),
        }
    }

    fn next(&mut self, name: &str) -> Result<tar::Entry<'a, R>, ArchiveProblem> {
        let Some(entry) = self.entries.next() else {
            return Err(problem("the file is cut off"));
        };
        let entry = entry
            .map_err(|e| self.unreadable("it is no archive of umpire's, or is damaged", &e))?;
        if entry.path_bytes() != name.as_bytes() || !entry.header().entry_type().is_file() {
            return Err(problem(format!(
                "{name} is not where the archive should have it"
            )));
        }
        Ok(entry)
    }
}
