//! What a container runs, behind one small trait, and the resources it loads it from.

use std::fs::File;
use std::io;
use std::ops::Deref;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::ptr::NonNull;

use faults::{Fault, internal_error};
use tables::Limits;

use crate::Operation;
use crate::board::Board;
use crate::setup::ResourceEntry;

/// What one call asks for.
pub(super) struct Request<'a> {
    pub(super) operation: Operation,
    pub(super) body: &'a [u8],
    /// What came with it by the side channel.
    pub(super) descriptors: Vec<OwnedFd>,
    /// Where it is told how far it has come.
    pub(super) progress: Progress<'a>,
}

/// How far a call has come, for the host to see.
#[derive(Clone, Copy)]
pub(super) struct Progress<'a> {
    pub(super) board: &'a Board,
    pub(super) id: u32,
}

impl Progress<'_> {
    pub(super) fn set(&self, rows: u64, bytes: u64) {
        self.board.set_progress(self.id, rows, bytes);
    }
}

/// A loaded revision. It is called from several threads at once.
pub(super) trait Engine: Send + Sync {
    /// Answers one call: appends the answer to `reply`, or says the fault. `cancelled` tells
    /// whether anybody still waits; work that sees it true ends with
    /// `RequestTimeout.RequestCanceled`.
    fn run(
        &self,
        request: Request<'_>,
        cancelled: &(dyn Fn() -> bool + Sync),
        reply: &mut Vec<u8>,
    ) -> Result<(), Fault>;

    /// Runs once what the first call would otherwise find cold.
    fn warm_up(&self);
}

/// Makes an [`Engine`] of a stored package.
pub(super) trait Loader: Sync {
    /// Loads a package (the JSON as it is stored), opening the resources that it names. `limits`
    /// is what a request may hold.
    fn load(
        &self,
        package: &[u8],
        limits: Limits,
        resources: &Resources,
    ) -> Result<Box<dyn Engine>, Fault>;
}

/// The resources that the container was given, by asset id.
#[derive(Debug)]
pub(super) struct Resources {
    entries: Vec<(ResourceEntry, File)>,
}

impl Resources {
    /// Takes over the descriptors named in the set-up document.
    pub(super) fn take(entries: Vec<ResourceEntry>) -> Resources {
        let entries = entries
            .into_iter()
            .map(|entry| {
                // SAFETY: the host put this descriptor there for this entry alone; one that is
                // not open gives an error at first use.
                let file = unsafe { File::from_raw_fd(entry.fd) };
                (entry, file)
            })
            .collect();
        Resources { entries }
    }

    /// Maps a resource and checks its bytes.
    ///
    /// A resource that the container was not given is `InvalidWebServiceResources`; one that
    /// cannot be read or whose checksum differs is `ModelPackageInvalid`.
    pub(super) fn open(&self, asset: &str) -> Result<Mapped, Fault> {
        let Some((entry, file)) = self.entries.iter().find(|(entry, _)| entry.asset == asset)
        else {
            return Err(internal_error::invalid_web_service_resources()
                .because(format!("no stored resource for the asset {asset}")));
        };
        let mapped = Mapped::new(file).map_err(|e| {
            internal_error::model_package_invalid()
                .because(format!(
                    "the resource of the asset {asset} cannot be opened"
                ))
                .because(e)
        })?;
        let digest = ring::digest::digest(&ring::digest::SHA256, &mapped);
        let found: String = digest.as_ref().iter().map(|b| format!("{b:02x}")).collect();
        if found != entry.sha256 {
            return Err(internal_error::model_package_invalid().because(format!(
                "the resource of the asset {asset} has the checksum {found}, not {}",
                entry.sha256
            )));
        }
        Ok(mapped)
    }
}

/// A file mapped read-only; such a mapping does not count towards the quota.
#[derive(Debug)]
pub(super) struct Mapped {
    memory: NonNull<u8>,
    len: usize,
}

// SAFETY: the mapping is private, read-only and lives as long as the value.
unsafe impl Send for Mapped {}
// SAFETY: as above.
unsafe impl Sync for Mapped {}

impl Mapped {
    fn new(file: &File) -> io::Result<Mapped> {
        let len = usize::try_from(file.metadata()?.len()).map_err(io::Error::other)?;
        if len == 0 {
            return Ok(Mapped {
                memory: NonNull::dangling(),
                len,
            });
        }
        // SAFETY: a fresh mapping at an address of the kernel's choice.
        let memory = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                len,
                libc::PROT_READ,
                libc::MAP_PRIVATE,
                file.as_raw_fd(),
                0,
            )
        };
        if memory == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        match NonNull::new(memory.cast()) {
            Some(memory) => Ok(Mapped { memory, len }),
            None => Err(io::Error::other("the file was mapped at null")),
        }
    }
}

impl Deref for Mapped {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: `len` bytes are mapped for as long as self lives. Stored blobs are never
        // changed in place: their name is their checksum.
        unsafe { std::slice::from_raw_parts(self.memory.as_ptr(), self.len) }
    }
}

impl AsRef<[u8]> for Mapped {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        if self.len > 0 {
            // SAFETY: mapped by `new` with this length; no reference outlives self.
            unsafe { libc::munmap(self.memory.as_ptr().cast(), self.len) };
        }
    }
}
