//! What the queue and the runner share.

use std::sync::Arc;

use arc_swap::ArcSwap;
use containers::RevisionSource;
use graph::Registry;
use storage::Storage;
use store::Store;
use tokio::sync::Notify;

use crate::options::Options;
use crate::ports::Packages;

/// What jobs are made of.
pub struct Parts {
    /// The ledger, where jobs are.
    pub store: Arc<Store>,
    /// Every kind of storage.
    pub storage: Storage,
    /// Where the packages of revisions are read.
    pub source: Arc<dyn RevisionSource>,
    /// The modules of this installation.
    pub registry: Arc<Registry>,
}

/// What the queue and the runner share.
pub(crate) struct Shared {
    pub(crate) store: Arc<Store>,
    pub(crate) storage: ArcSwap<Storage>,
    pub(crate) packages: Arc<Packages>,
    pub(crate) options: ArcSwap<Options>,
    /// Told when there may be something to do: a job was started or cancelled.
    pub(crate) wake: Notify,
}

impl Shared {
    pub(crate) fn new(parts: Parts, options: Options) -> Arc<Shared> {
        Arc::new(Shared {
            packages: Arc::new(Packages::new(parts.source, parts.registry)),
            store: parts.store,
            storage: ArcSwap::from_pointee(parts.storage),
            options: ArcSwap::from_pointee(options),
            wake: Notify::new(),
        })
    }

    pub(crate) fn storage(&self) -> Storage {
        Storage::clone(&self.storage.load())
    }

    pub(crate) fn options(&self) -> Arc<Options> {
        self.options.load_full()
    }
}
