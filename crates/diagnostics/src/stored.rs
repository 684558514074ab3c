//! Diagnostics in the storage that services name, or else in their workspaces' own.

use std::sync::Arc;

use bytes::Bytes;
use faults::Fault;
use storage::{BlobReference, Failure, FailureKind, Location, Purpose, Storage};
use store::{Entry, Id};

use crate::{BLOB_CONTAINER, Boxed, Destination, Destinations, Kind, NotWritten, default_prefix};

/// Where a service wants its diagnostics.
#[derive(Clone, Default)]
pub struct Wanted {
    /// The connection string of its storage account; a secret. `None` is the workspace's own
    /// storage.
    pub connection: Option<String>,
    /// What names of blobs of calls, starts and jobs begin with; `None` for the usual.
    pub prefixes: Option<[String; 3]>,
}

/// Tells where the service of an endpoint wants its diagnostics.
pub type WantedBy = dyn Fn(Arc<Entry>) -> Boxed<Result<Wanted, Fault>> + Send + Sync;

/// Destinations in any kind of storage that this installation reaches.
pub struct Stored {
    storage: Storage,
    wanted: Box<WantedBy>,
}

impl Stored {
    /// Destinations in this storage; `wanted` tells which.
    pub fn new(storage: Storage, wanted: Box<WantedBy>) -> Stored {
        Stored { storage, wanted }
    }
}

impl Destinations for Stored {
    fn of(&self, entry: Arc<Entry>) -> Boxed<Result<Arc<dyn Destination>, Fault>> {
        let storage = self.storage.clone();
        let wanted = (self.wanted)(entry.clone());
        Box::pin(async move {
            let wanted = wanted.await?;
            let usual = || Kind::ALL.map(|kind| default_prefix(&entry, kind));
            let mut place = Place {
                storage,
                workspace: entry.workspace,
                connection: wanted.connection,
                prefixes: wanted.prefixes.unwrap_or_else(usual),
                shown: String::new(),
            };
            // What is wrong with the account is known once, and not with each blob.
            let shown = place.location("-".to_owned())?.shown();
            place.shown = shown.trim_end_matches("/-").to_owned();
            Ok(Arc::new(place) as Arc<dyn Destination>)
        })
    }
}

/// The blob container of diagnostics in one account or one workspace.
#[derive(Clone)]
struct Place {
    storage: Storage,
    workspace: Id,
    connection: Option<String>,
    /// By [`Kind::ALL`].
    prefixes: [String; 3],
    shown: String,
}

impl Place {
    fn location(&self, name: String) -> Result<Location, Fault> {
        // A location names a blob; which one does not matter for what is shown of its account.
        let reference = BlobReference {
            connection_string: self.connection.clone(),
            relative_location: Some(format!("{BLOB_CONTAINER}/{name}")),
            ..BlobReference::default()
        };
        self.storage
            .resolve(&reference, self.workspace, Purpose::Record)
    }
}

impl Destination for Place {
    fn storage(&self) -> &str {
        &self.shown
    }

    fn prefix(&self, kind: Kind) -> &str {
        &self.prefixes[kind as usize]
    }

    fn put(&self, name: String, content: Bytes) -> Boxed<Result<(), NotWritten>> {
        let place = self.clone();
        Box::pin(async move {
            let at = place.location(name).map_err(|fault| NotWritten {
                transient: false,
                reason: format!("{} ({})", fault.name(), fault.cause().unwrap_or_default()),
            })?;
            let storage = &place.storage;
            let put = || storage.put(&at, "application/json", content.clone());
            match put().await {
                // Most accounts do not have the blob container until it is first written to.
                Err(failure) if failure.kind == FailureKind::NotFound => {
                    storage.create_container(&at).await.map_err(not_written)?;
                    put().await.map_err(not_written)
                }
                result => result.map_err(not_written),
            }
        })
    }

    fn get(&self, name: String) -> Boxed<Result<Option<Bytes>, String>> {
        let place = self.clone();
        Box::pin(async move {
            let at = place.location(name).map_err(|fault| fault.name())?;
            let read = async {
                let source = place.storage.open(&at).await?;
                source.read(0..source.size).await?.whole().await
            };
            match read.await {
                Ok(content) => Ok(Some(content)),
                Err(failure) if failure.kind == FailureKind::NotFound => Ok(None),
                Err(failure) => Err(failure.text),
            }
        })
    }
}

fn not_written(failure: Failure) -> NotWritten {
    NotWritten {
        transient: failure.transient,
        reason: failure.text,
    }
}
