//! A blob that is put together of parts and not seen before all are there.

use std::fs::File;
use std::io;
use std::sync::Arc;

use bytes::Bytes;

use crate::Failure;
use crate::adapter::Doing;

/// What a part may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartLimits {
    /// The fewest bytes of a part, the last one left out.
    pub min: u64,
    /// The most bytes of a part.
    pub max: u64,
    /// The most parts.
    pub most: u32,
}

/// A part that was staged: what storage calls it, to be kept and given to [`Staging::commit`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part(pub String);

/// A file that becomes a part.
pub struct PartFile {
    /// The file, empty. Whoever has its descriptor writes from offset 0.
    pub file: File,
    finish: Box<dyn FnOnce(File) -> io::Result<Part> + Send>,
}

impl std::fmt::Debug for PartFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PartFile")
    }
}

impl PartFile {
    /// A file, and what syncs it and makes it a part.
    pub fn new(
        file: File,
        finish: impl FnOnce(File) -> io::Result<Part> + Send + 'static,
    ) -> PartFile {
        PartFile {
            file,
            finish: Box::new(finish),
        }
    }

    /// Syncs what was written and makes it a part. Waits for the disk.
    ///
    /// # Errors
    /// What the disk said.
    pub fn finish(self) -> io::Result<Part> {
        (self.finish)(self.file)
    }
}

/// How an adapter stages. The methods are those of [`Staging`].
pub(crate) trait Upload: Send + Sync {
    fn token(&self) -> String;

    fn limits(&self) -> PartLimits;

    fn stage(&self, number: u32, attempt: u32, bytes: Bytes) -> Doing<'_, Part>;

    fn part_file(&self, _number: u32, _attempt: u32) -> Option<io::Result<PartFile>> {
        None
    }

    fn commit<'a>(&'a self, parts: &'a [Part]) -> Doing<'a, ()>;

    fn abort(&self) -> Doing<'_, ()>;
}

/// A blob that is being put together. Clones are the same one.
#[derive(Clone)]
pub struct Staging(Arc<dyn Upload>);

impl std::fmt::Debug for Staging {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Staging")
    }
}

impl Staging {
    pub(crate) fn new(upload: impl Upload + 'static) -> Staging {
        Staging(Arc::new(upload))
    }

    /// What [`crate::Storage::resume`] needs to go on, after a restart too. No secret.
    pub fn token(&self) -> String {
        self.0.token()
    }

    /// What parts may be.
    pub fn limits(&self) -> PartLimits {
        self.0.limits()
    }

    /// Stages a part. Parts come in any order, also several at once; `number` counts from 0,
    /// without gaps. Another attempt at the same number takes nothing from the one before.
    ///
    /// # Errors
    /// What storage said.
    pub async fn stage(&self, number: u32, attempt: u32, bytes: Bytes) -> Result<Part, Failure> {
        self.0.stage(number, attempt, bytes).await
    }

    /// A file on this machine that becomes a part, where storage is here. Else `None`.
    pub fn part_file(&self, number: u32, attempt: u32) -> Option<io::Result<PartFile>> {
        self.0.part_file(number, attempt)
    }

    /// Makes the blob of the parts, in the given order, at once. To commit again what was
    /// committed is harmless.
    ///
    /// # Errors
    /// What storage said. The blob is then what it was before.
    pub async fn commit(&self, parts: &[Part]) -> Result<(), Failure> {
        self.0.commit(parts).await
    }

    /// Lets go of all that was staged. To abort twice, or after a commit, is harmless.
    ///
    /// # Errors
    /// What storage said.
    pub async fn abort(&self) -> Result<(), Failure> {
        self.0.abort().await
    }
}
