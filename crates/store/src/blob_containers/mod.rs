//! Blob containers of workspaces: what a batch job without a storage account reads and writes.
//!
//! A blob is an ordered list of files that never change. It is put whole, or in blocks: each block
//! is durable and named by a row before it is acknowledged, and one transaction puts a list of them
//! in place, so that a blob is there whole or as it was. Names never become paths.

mod objects;
mod reading;
mod signing;
mod uploads;
mod writing;

use std::fmt;
use std::io;

use faults::{Class, Fault};
use jiff::Timestamp;

use crate::Id;
use crate::blobs::{is_full, is_refusal};
use crate::ledger::Failure;

pub(crate) use objects::{OBJECTS, Objects};
pub use objects::{ObjectFile, ObjectWriter, SyncedObject};
pub(crate) use reading::named_objects;
pub use reading::{BlobContainer, BlobPage, BlobReader, Piece};
pub use signing::{BlobGrant, GrantProblem, Permission, SIGNED_VERSION};
pub use uploads::{Block, BlockList, MOST_BLOCKS, UploadState};
pub use writing::Condition;

/// The longest name of a blob, in bytes.
const NAME_BYTES: usize = 1024;

/// Where a blob of a workspace stands. The names are checked.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct BlobAt {
    workspace: Id,
    container: Box<str>,
    name: Box<str>,
}

impl BlobAt {
    /// A blob in a blob container of that workspace.
    ///
    /// # Errors
    /// [`BlobProblem::BadContainerName`], [`BlobProblem::BadName`].
    pub fn new(workspace: Id, container: &str, name: &str) -> Result<BlobAt, BlobProblem> {
        check_container(container)?;
        check_name(name)?;
        Ok(BlobAt {
            workspace,
            container: container.into(),
            name: name.into(),
        })
    }

    /// The workspace.
    pub fn workspace(&self) -> Id {
        self.workspace
    }

    /// The blob container's name.
    pub fn container(&self) -> &str {
        &self.container
    }

    /// The blob's name in its container.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl fmt::Display for BlobAt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.container, self.name)
    }
}

impl fmt::Debug for BlobAt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{self}", self.workspace)
    }
}

/// That a blob container may have this name: 3 to 63 lower-case letters, digits and single hyphens
/// between them, as storage services have it.
fn check_container(name: &str) -> Result<(), BlobProblem> {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = name.as_bytes();
    let ends = [bytes.first(), bytes.last()];
    let fits = (3..=63).contains(&bytes.len())
        && bytes.iter().all(|b| plain(*b) || *b == b'-')
        && ends.into_iter().flatten().all(|b| plain(*b))
        && !name.contains("--");
    match fits {
        true => Ok(()),
        false => Err(BlobProblem::BadContainerName),
    }
}

/// That a blob may have this name: it survives being part of a URL.
fn check_name(name: &str) -> Result<(), BlobProblem> {
    let fits = (1..=NAME_BYTES).contains(&name.len())
        && !name.chars().any(char::is_control)
        && !name.starts_with('/')
        && !name.ends_with('/')
        && name.split('/').all(|part| !matches!(part, "." | ".."));
    match fits {
        true => Ok(()),
        false => Err(BlobProblem::BadName),
    }
}

/// What is known of a blob.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlobInfo {
    /// Its name in its container.
    pub name: String,
    /// Bytes.
    pub size: u64,
    /// Its media type, as whoever wrote it said.
    pub content_type: String,
    /// Another one after each write; without quotes.
    pub etag: String,
    /// When it was first written.
    pub created: Timestamp,
    /// When it was last written.
    pub modified: Timestamp,
}

/// Why a blob cannot be read or written.
#[derive(Debug)]
pub enum BlobProblem {
    /// There is no such blob container in the workspace, or no such workspace.
    NoContainer,
    /// There is no such blob in the container.
    NoBlob,
    /// The upload was given up, or is too old, or never was.
    NoUpload,
    /// A list of blocks names one that was not staged.
    NoBlock(String),
    /// The blob's ETag is another, or there is no blob to have one.
    OtherEtag,
    /// The blob is there and must not be.
    Exists,
    /// Storage services take no such name for a blob container.
    BadContainerName,
    /// Not a name for a blob.
    BadName,
    /// Over so many bytes.
    TooLarge(u64),
    /// More blocks than one blob may have.
    TooManyBlocks,
    /// The disk is full, or `limits.disk` is reached.
    Full(Fault),
    /// The installation's own storage failed.
    Failed(Fault),
}

impl fmt::Display for BlobProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BlobProblem::NoContainer => f.write_str("the blob container does not exist"),
            BlobProblem::NoBlob => f.write_str("the blob does not exist"),
            BlobProblem::NoUpload => f.write_str("the upload is no longer under way"),
            BlobProblem::NoBlock(id) => write!(f, "the block {id} was not uploaded"),
            BlobProblem::OtherEtag => f.write_str("the blob's ETag is not the one named"),
            BlobProblem::Exists => f.write_str("the blob exists already"),
            BlobProblem::BadContainerName => f.write_str("not a name for a blob container"),
            BlobProblem::BadName => f.write_str("not a name for a blob"),
            BlobProblem::TooLarge(limit) => write!(f, "over {limit} bytes"),
            BlobProblem::TooManyBlocks => write!(f, "more than {MOST_BLOCKS} blocks"),
            BlobProblem::Full(_) => f.write_str("the installation's storage is full"),
            BlobProblem::Failed(_) => f.write_str("the installation's storage failed"),
        }
    }
}

impl From<Failure> for BlobProblem {
    fn from(failure: Failure) -> BlobProblem {
        BlobProblem::of_ledger(failure.into_fault(ledger_failed))
    }
}

impl BlobProblem {
    /// The fault in which the own storage failed; `None` where the caller can mend it.
    pub fn into_fault(self) -> Option<Fault> {
        match self {
            BlobProblem::Full(fault) | BlobProblem::Failed(fault) => Some(fault),
            _ => None,
        }
    }

    /// What a failure of the ledger is: its disk may be full too.
    fn of_ledger(fault: Fault) -> BlobProblem {
        match fault.cause().is_some_and(|c| c.contains("disk is full")) {
            true => BlobProblem::full(fault),
            false => BlobProblem::Failed(fault),
        }
    }

    /// The row of the own storage, with why it takes nothing more.
    fn full(fault: Fault) -> BlobProblem {
        let cause = fault.cause().unwrap_or_default().to_owned();
        BlobProblem::Full(
            faults::internal_error::container_validation_failed("no space is left").because(cause),
        )
    }

    /// What a failed write is.
    pub(crate) fn of_write(error: &io::Error) -> BlobProblem {
        let what = "a file of a blob cannot be written";
        if is_full(error) {
            return BlobProblem::Full(
                faults::internal_error::container_validation_failed("no space is left")
                    .caused_by(error)
                    .because(what),
            );
        }
        match is_refusal(error) {
            true => BlobProblem::Failed(
                faults::internal_error::container_validation_failed(error.kind().to_string())
                    .caused_by(error)
                    .because(what),
            ),
            false => BlobProblem::failed(error, what),
        }
    }

    pub(crate) fn failed(error: &dyn std::error::Error, what: &str) -> BlobProblem {
        BlobProblem::Failed(
            Fault::bare(Class::InternalError)
                .caused_by(error)
                .because(what),
        )
    }
}

/// What a failure of the ledger is called here: no row is about blobs of workspaces.
fn ledger_failed() -> Fault {
    Fault::bare(Class::InternalError)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_storage_services() {
        for good in [
            "abc",
            "mycontainer",
            "ml-diagnostics",
            "3x3",
            &"a".repeat(63),
        ] {
            assert!(check_container(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "ab",
            "Abc",
            "a_b",
            "-ab",
            "ab-",
            "a--b",
            "../x",
            "a/b",
            "ä-ä",
            &"a".repeat(64),
        ] {
            assert!(check_container(bad).is_err(), "{bad}");
        }
        for good in ["a", "a/b.csv", "ä ö.csv", "a//b", "..a", "a%2fb", "a\\b"] {
            assert!(check_name(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "/a",
            "a/",
            "..",
            "a/../b",
            "./a",
            "a\nb",
            "a\0",
            &"a".repeat(1025),
        ] {
            assert!(check_name(bad).is_err(), "{bad}");
        }
    }
}
