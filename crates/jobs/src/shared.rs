//! What the queue and the runner share.

use std::sync::Arc;

use arc_swap::ArcSwap;
use containers::RevisionSource;
use graph::Registry;
use storage::Storage;
use store::Store;
use telemetry::Telemetry;
use tokio::sync::Notify;

use crate::lane::Lane;
use crate::live::Live;
use crate::options::Options;
use crate::ports::Packages;
use crate::queue::Queue;
use crate::runner::Runner;

/// What jobs are made of.
pub struct Parts {
    /// The ledger, where jobs are.
    pub store: Arc<Store>,
    /// Every kind of storage.
    pub storage: Storage,
    /// Where chunks are worked on.
    pub lane: Arc<dyn Lane>,
    /// Where the packages of revisions are read.
    pub source: Arc<dyn RevisionSource>,
    /// The modules of this installation.
    pub registry: Arc<Registry>,
    /// Log and metrics.
    pub telemetry: Telemetry,
    /// Told of each job that ran, once its end is in the ledger. It must not wait.
    pub on_end: OnEnd,
}

/// What is told of jobs at their end.
pub type OnEnd = Box<dyn Fn(&store::JobRecord) + Send + Sync>;

/// What the queue and the runner share.
pub(crate) struct Shared {
    pub(crate) store: Arc<Store>,
    pub(crate) storage: Storage,
    pub(crate) lane: Arc<dyn Lane>,
    pub(crate) packages: Arc<Packages>,
    pub(crate) telemetry: Telemetry,
    pub(crate) on_end: OnEnd,
    /// How far work has come that is not in the ledger yet.
    pub(crate) live: Live,
    pub(crate) options: ArcSwap<Options>,
    /// Told when there may be something to do: a job was started or cancelled.
    pub(crate) wake: Notify,
}

impl Shared {
    pub(crate) fn options(&self) -> Arc<Options> {
        self.options.load_full()
    }
}

/// Puts jobs together: what takes them in, and what runs them once [`Runner::run`] is called.
pub fn start(parts: Parts, options: Options) -> (Queue, Runner) {
    let shared = Arc::new(Shared {
        packages: Arc::new(Packages::new(parts.source, parts.registry)),
        store: parts.store,
        storage: parts.storage,
        lane: parts.lane,
        telemetry: parts.telemetry,
        on_end: parts.on_end,
        live: Live::default(),
        options: ArcSwap::from_pointee(options),
        wake: Notify::new(),
    });
    (Queue::new(shared.clone()), Runner::new(shared))
}
