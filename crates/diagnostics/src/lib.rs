//! Diagnostics: a blob for each call, job and container start of the endpoints that ask for it.
//!
//! Whoever has something to record hands it over and goes on: [`Diagnostics`] takes it into a
//! bounded queue or drops and counts it, and never waits. One task (`writer`) waits until what
//! containers print has come, writes each record as text (`text`) and puts it where the service
//! says, some at a time, with retries. Storage that does not answer costs records, not calls.

mod destination;
mod job;
mod names;
mod record;
mod stored;
mod text;
mod writer;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use containers::{Host, StartReport, Watch};
use jiff::Timestamp;
use store::{DiagnosticsLevel, Entry, Id, Store};
use telemetry::{Dropped, Telemetry};
use tokio::sync::{Notify, mpsc};

pub use destination::{Boxed, Destination, Destinations, NotWritten};
pub use job::JobRecord;
pub use names::{BLOB_CONTAINER, Kind, blob_name, default_prefix};
pub use record::CallRecord;
pub use stored::{Stored, Wanted, WantedBy};

use record::{Item, What};

/// As many records as can be held at once, whatever is asked for.
pub const MOST_QUEUED: usize = 1 << 20;

/// How much is held and written at once.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Records that are held at once, at most [`MOST_QUEUED`]; beyond it they are dropped.
    pub queue: usize,
    /// Blobs that are written at once.
    pub writers: usize,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            queue: 4096,
            writers: 8,
        }
    }
}

/// The handle on diagnostics; clones share everything.
#[derive(Clone)]
pub struct Diagnostics {
    shared: Arc<Shared>,
    intake: mpsc::Sender<Item>,
}

/// What the handles and the writing task have in common.
pub(crate) struct Shared {
    store: Arc<Store>,
    telemetry: Telemetry,
    destinations: Box<dyn Destinations>,
    /// Records held, in the channel and after it.
    held: AtomicUsize,
    queue: AtomicUsize,
    writers: AtomicUsize,
    /// The process ends: nothing is waited for any more.
    closing: AtomicBool,
    /// Tells the task that it is closing.
    close: Notify,
    /// Told when nothing is held any more.
    empty: Notify,
}

impl fmt::Debug for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Diagnostics")
    }
}

impl Diagnostics {
    /// Starts the writing task on the tokio runtime that this is called in; it ends with the last
    /// handle.
    pub fn start(
        options: Options,
        store: Arc<Store>,
        telemetry: Telemetry,
        destinations: Box<dyn Destinations>,
    ) -> Diagnostics {
        let shared = Arc::new(Shared {
            store,
            telemetry,
            destinations,
            held: AtomicUsize::new(0),
            queue: AtomicUsize::new(options.queue),
            writers: AtomicUsize::new(options.writers),
            closing: AtomicBool::new(false),
            close: Notify::new(),
            empty: Notify::new(),
        });
        let (intake, taken) = mpsc::channel(MOST_QUEUED);
        tokio::spawn(writer::run(shared.clone(), taken));
        Diagnostics { shared, intake }
    }

    /// Lets other limits hold from now on; what is held stays.
    pub fn set_options(&self, options: Options) {
        self.shared.queue.store(options.queue, Ordering::Relaxed);
        self.shared
            .writers
            .store(options.writers, Ordering::Relaxed);
    }

    /// Begins the record of a call that came in at `started`; `None` where its endpoint asks for
    /// none, which costs one look at the endpoint.
    #[inline]
    pub fn call(
        &self,
        entry: &Arc<Entry>,
        request_id: &str,
        started: Instant,
    ) -> Option<Box<CallRecord>> {
        match entry.recording.level {
            DiagnosticsLevel::None => None,
            _ => self.begin(entry, request_id, started),
        }
    }

    #[cold]
    fn begin(
        &self,
        entry: &Arc<Entry>,
        request_id: &str,
        started: Instant,
    ) -> Option<Box<CallRecord>> {
        let now = Timestamp::now();
        if entry.recording.at(now) == DiagnosticsLevel::None {
            return None;
        }
        Some(Box::new(CallRecord {
            diagnostics: self.clone(),
            entry: entry.clone(),
            request_id: request_id.into(),
            at: now.checked_sub(started.elapsed()).unwrap_or(now),
            started,
            received: None,
            watch: Watch::default(),
        }))
    }

    /// Records every start of a container of this host from now on.
    pub fn listen(&self, host: &Host) {
        let diagnostics = self.clone();
        host.on_start(Box::new(move |report| diagnostics.started(report)));
    }

    /// Records the start of a container. Whether its endpoint asks for that is looked at when it is
    /// written: of a first deploy the endpoint is not there yet.
    fn started(&self, report: StartReport) {
        let now = Timestamp::now();
        let at = now.checked_sub(report.took).unwrap_or(now);
        self.hand_over(Item {
            endpoint: Id(report.endpoint),
            at,
            ended: report.ended,
            what: What::Start(Box::new(report)),
        });
    }

    /// Records a job that has ended, where its endpoint asks for that.
    pub fn job(&self, entry: &Arc<Entry>, job: JobRecord) {
        if entry.recording.at(Timestamp::now()) == DiagnosticsLevel::None {
            return;
        }
        self.hand_over(Item {
            endpoint: entry.endpoint,
            at: job.ended,
            ended: Instant::now(),
            what: What::Job(Box::new(job)),
        });
    }

    /// What was written of a job that ended at that time; `None` where nothing was.
    ///
    /// # Errors
    /// Why it cannot be read, in words that hold no secret.
    pub async fn of_job(
        &self,
        entry: &Arc<Entry>,
        job: Id,
        ended: Timestamp,
    ) -> Result<Option<Bytes>, String> {
        let destination = self.shared.destinations.of(entry.clone());
        let destination = destination.await.map_err(|fault| fault.name())?;
        let prefix = destination.prefix(Kind::Job);
        let name = blob_name(prefix, ended, &job.to_string());
        destination.get(name).await
    }

    /// Takes a record, or drops and counts it; never waits.
    fn hand_over(&self, item: Item) {
        let shared = &self.shared;
        let limit = shared.queue.load(Ordering::Relaxed);
        let room = |held: usize| (held < limit).then_some(held + 1);
        let taken = shared
            .held
            .fetch_update(Ordering::AcqRel, Ordering::Relaxed, room)
            .is_ok();
        let metrics = shared.telemetry.diagnostics();
        if !taken {
            metrics.dropped(Dropped::Full, 1);
            return;
        }
        metrics.queued.inc();
        if self.intake.try_send(item).is_err() {
            shared.release(1);
            metrics.dropped(Dropped::Shutdown, 1);
        }
    }

    /// Waits, at most `limit`, until what is held is written. What is still held then is dropped
    /// and counted, and so is what cannot be written at once. For the end of the process.
    pub async fn flush(&self, limit: Duration) {
        let shared = &self.shared;
        shared.closing.store(true, Ordering::Release);
        shared.close.notify_one();
        let written = async {
            loop {
                let empty = shared.empty.notified();
                if shared.held.load(Ordering::Acquire) == 0 {
                    return;
                }
                empty.await;
            }
        };
        if tokio::time::timeout(limit, written).await.is_err() {
            let left = shared.held.load(Ordering::Acquire);
            let metrics = shared.telemetry.diagnostics();
            metrics.dropped(Dropped::Shutdown, left as u64);
            tracing::warn!(
                left,
                "diagnostics that could not be written in time are lost"
            );
        }
    }
}

impl Shared {
    fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Acquire)
    }

    /// So many records are held no more.
    fn release(&self, count: usize) {
        self.telemetry.diagnostics().queued.dec_by(count as i64);
        if self.held.fetch_sub(count, Ordering::AcqRel) == count {
            self.empty.notify_waiters();
        }
    }

    /// Drops records that are held.
    fn drop_held(&self, reason: Dropped, count: usize) {
        if count > 0 {
            self.telemetry.diagnostics().dropped(reason, count as u64);
            self.release(count);
        }
    }
}
