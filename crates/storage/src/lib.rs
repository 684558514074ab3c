//! Where a reference to a blob leads, and one interface over every kind of storage.
//!
//! A [`BlobReference`] is what a caller gives. [`Storage::resolve`] checks it without asking
//! anybody and makes a [`Location`] of it; all else is done at locations. Each kind of storage is
//! an `adapter::Adapter` in files of its own: `remote/` holds those that are reached over the
//! network.
//!
//! Nothing that is said here about a location or a failure holds a key, a token or a signature.

mod adapter;
mod failure;
mod file;
mod location;
mod names;
mod options;
mod own;
mod reference;
mod remote;
mod resolve;
mod source;
mod staging;
mod text;

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use outbound::Outbound;
use store::Store;

pub use failure::{Failure, FailureKind};
pub use location::Location;
pub use names::{MODEL_EXTENSIONS, is_container_name, split_location};
pub use options::{Options, Root};
pub use reference::{BlobReference, Purpose, base_is_good, signature_is_good};
pub use source::{ByteStream, Source};
pub use staging::{Part, PartFile, PartLimits, Staging};

use adapter::Adapter;
use location::Place;

/// Every kind of storage that this installation can reach. Clones share everything.
#[derive(Debug, Clone)]
pub struct Storage(Arc<ArcSwap<Inner>>);

#[derive(Debug)]
struct Inner {
    options: Options,
    outbound: Outbound,
    clouds: remote::Clouds,
    store: Arc<Store>,
}

/// A blob as a status reply shows it. The three strings joined are a URL that reads it.
#[derive(Clone, PartialEq, Eq)]
pub struct Joined {
    /// Scheme and host, `/` at its end.
    pub base_location: String,
    /// Blob container and blob.
    pub relative_location: String,
    /// What lets it be read, `?` at its start; empty where nothing is needed. A secret.
    pub sas_blob_token: String,
}

impl std::fmt::Debug for Joined {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "Joined({}{}…)",
            self.base_location, self.relative_location
        )
    }
}

impl Storage {
    /// Puts the kinds of storage together.
    pub fn new(options: Options, outbound: Outbound, store: Arc<Store>) -> Storage {
        Storage(Arc::new(ArcSwap::from_pointee(Inner {
            clouds: remote::Clouds::new(outbound.clone()),
            options,
            outbound,
            store,
        })))
    }

    /// Lets other options and another client hold for every clone from now on. What was opened
    /// before goes on with the former.
    pub fn set(&self, options: Options, outbound: Outbound) {
        let store = self.0.load().store.clone();
        self.0.store(Arc::new(Inner {
            clouds: remote::Clouds::new(outbound.clone()),
            options,
            outbound,
            store,
        }));
    }

    /// Opens a blob for reading.
    ///
    /// # Errors
    /// What storage said: [`FailureKind::NotFound`], [`FailureKind::Refused`] as a rule.
    pub async fn open(&self, at: &Location) -> Result<Source, Failure> {
        self.adapter(at)?.open().await
    }

    /// Whether the blob may be written. It leaves nothing: what is staged is never committed.
    ///
    /// # Errors
    /// Why it may not, in storage's words.
    pub async fn probe(&self, at: &Location) -> Result<(), Failure> {
        self.adapter(at)?.probe().await
    }

    /// Begins a blob that is put together of parts and not seen before all are there.
    ///
    /// # Errors
    /// What storage said.
    pub async fn begin(&self, at: &Location, content_type: &str) -> Result<Staging, Failure> {
        self.adapter(at)?.begin(content_type).await
    }

    /// Goes on with what [`Storage::begin`] began, by its [`Staging::token`].
    ///
    /// # Errors
    /// [`FailureKind::BadName`] for a token that is not of this kind of storage.
    pub async fn resume(&self, at: &Location, token: &str) -> Result<Staging, Failure> {
        self.adapter(at)?.resume(token).await
    }

    /// Writes a whole blob, in the place of one that is there.
    ///
    /// # Errors
    /// What storage said. Where the blob container is missing the code says so
    /// (`ContainerNotFound` of Azure).
    pub async fn put(
        &self,
        at: &Location,
        content_type: &str,
        bytes: Bytes,
    ) -> Result<(), Failure> {
        self.adapter(at)?.put(content_type, bytes).await
    }

    /// Deletes a blob. One that is not there is no failure.
    ///
    /// # Errors
    /// What storage said.
    pub async fn delete(&self, at: &Location) -> Result<(), Failure> {
        self.adapter(at)?.delete().await
    }

    /// Makes the blob container of a location. One that is there is no failure.
    ///
    /// # Errors
    /// What storage said; [`FailureKind::Refused`] where blob containers are not made by us.
    pub async fn create_container(&self, at: &Location) -> Result<(), Failure> {
        self.adapter(at)?.create_container().await
    }

    /// The blob in the form in which anybody can read it for `ttl`. Where the caller gave a token
    /// of his own it is returned as given. `public_url` is where this installation is reached.
    ///
    /// # Errors
    /// [`FailureKind::Refused`] where the credentials cannot sign.
    pub async fn signed(
        &self,
        at: &Location,
        ttl: Duration,
        public_url: &str,
    ) -> Result<Joined, Failure> {
        self.adapter(at)?.signed(ttl, public_url).await
    }

    /// What does the work at a location.
    fn adapter(&self, at: &Location) -> Result<Box<dyn Adapter>, Failure> {
        let inner = self.0.load();
        match &at.place {
            Place::Own {
                workspace,
                container,
                blob,
            } => own::adapter(&inner.store, *workspace, container, blob),
            Place::File { path } => match inner.options.file_root(path) {
                Some((root, below)) => file::adapter(root, below),
                None => Err(Failure::new(
                    FailureKind::NotAllowed,
                    "batch.storage.roots does not list the place",
                )),
            },
            Place::Azure(blob) => remote::azure(&inner.clouds, blob),
            Place::S3 { bucket, key } => {
                remote::s3(&inner.clouds, &inner.options.credentials, bucket, key)
            }
            Place::Gcs { bucket, key } => {
                remote::gcs(&inner.clouds, &inner.options.credentials, bucket, key)
            }
            Place::Web(page) => Ok(remote::web(&inner.outbound, page)),
        }
    }
}
