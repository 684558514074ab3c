//! The task that writes: waits until a record has settled, finds where it goes, and puts blobs there,
//! some at a time.
//!
//! Blobs of one storage account form a lane. A lane whose storage fails pauses, longer each time,
//! and is then tried with one blob first; others go on meanwhile. A lane may hold at most half of
//! what is held in all, so that one account that is down leaves room for the rest.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bytes::Bytes;
use jiff::Timestamp;
use store::{DiagnosticsLevel, Entry, Id};
use telemetry::Dropped;
use tokio::sync::mpsc::Receiver;
use tokio::task::JoinSet;

use crate::record::{Item, What};
use crate::{Destination, Kind, NotWritten, Shared, blob_name, text};

/// What a start waits for beside its last words: the deploy that it belongs to.
const START_SETTLES: Duration = Duration::from_secs(1);
/// How often a blob is tried.
const ATTEMPTS: u32 = 6;
/// The time for one attempt.
const ATTEMPT: Duration = Duration::from_secs(30);
/// The first pause of a lane, and the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// A lane's failures are logged at most so often.
const WARN_EVERY: Duration = Duration::from_secs(60);
/// Endpoints whose destinations are remembered.
const REMEMBERED: usize = 1024;

/// Writes until every handle is gone and nothing is left.
pub(crate) async fn run(shared: Arc<Shared>, mut taken: Receiver<Item>) {
    let mut writer = Writer {
        shared: shared.clone(),
        settling: BTreeMap::new(),
        counted: 0,
        known: HashMap::new(),
        lanes: HashMap::new(),
        writing: JoinSet::new(),
        storage_of: HashMap::new(),
    };
    let mut open = true;
    while open || writer.has_work() {
        let wake = writer.next_wake();
        tokio::select! {
            item = taken.recv(), if open => match item {
                Some(item) => writer.settle(item),
                None => open = false,
            },
            Some(done) = writer.writing.join_next_with_id(), if !writer.writing.is_empty() => {
                writer.done(done);
            }
            () = sleep_until(wake), if wake.is_some() => {}
            () = shared.close.notified() => {
                // Of what was handed over before, nothing is left behind in the channel.
                while let Ok(item) = taken.try_recv() {
                    writer.settle(item);
                }
                writer.close();
            }
        }
        writer.settled().await;
        writer.pump();
    }
}

async fn sleep_until(wake: Option<Instant>) {
    match wake {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}

/// A blob that is to be written.
#[derive(Clone)]
struct Ready {
    destination: Arc<dyn Destination>,
    kind: Kind,
    name: String,
    content: Bytes,
    attempts: u32,
}

/// The blobs of one storage account.
#[derive(Default)]
struct Lane {
    queue: VecDeque<Ready>,
    writing: usize,
    /// Failures since the last success.
    failures: u32,
    paused_until: Option<Instant>,
    warned: Option<Instant>,
    /// Records dropped since the last line in the log.
    dropped: u64,
}

/// What is known of an endpoint's destination, and of which state of it.
struct Known {
    state: (u64, u64, Id),
    destination: Arc<dyn Destination>,
}

type Done = (Ready, Result<(), NotWritten>);

struct Writer {
    shared: Arc<Shared>,
    /// By the time when they are ripe, and the order in which they came.
    settling: BTreeMap<(Instant, u64), Item>,
    counted: u64,
    known: HashMap<Id, Known>,
    lanes: HashMap<Arc<str>, Lane>,
    writing: JoinSet<Done>,
    /// The lane of each blob that is being written.
    storage_of: HashMap<tokio::task::Id, Arc<str>>,
}

impl Writer {
    fn has_work(&self) -> bool {
        !self.settling.is_empty()
            || !self.writing.is_empty()
            || self.lanes.values().any(|lane| !lane.queue.is_empty())
    }

    /// When there is something to do that nobody tells of.
    fn next_wake(&self) -> Option<Instant> {
        let ripe = self.settling.keys().next().map(|(at, _)| *at);
        let paused = self.lanes.values().filter(|lane| !lane.queue.is_empty());
        let pause = paused.filter_map(|lane| lane.paused_until).min();
        [ripe, pause].into_iter().flatten().min()
    }

    /// Keeps a record until what belongs to it has come.
    fn settle(&mut self, item: Item) {
        let wait = match (&item.what, self.shared.is_closing()) {
            (_, true) => Duration::ZERO,
            (What::Start(_), _) => START_SETTLES,
            (What::Call(_) | What::Job(_), _) => text::SETTLE,
        };
        self.counted += 1;
        self.settling
            .insert((item.ended + wait, self.counted), item);
    }

    /// The process ends: nothing settles any more, and pauses are over. What fails from now on is
    /// not tried again.
    fn close(&mut self) {
        let now = Instant::now();
        let early = self.settling.split_off(&(now, u64::MAX));
        for ((_, number), item) in early {
            self.settling.insert((now, number), item);
        }
        for lane in self.lanes.values_mut() {
            lane.paused_until = None;
        }
    }

    /// Makes blobs of what has settled.
    async fn settled(&mut self) {
        while let Some(first) = self.settling.first_entry() {
            if first.key().0 > Instant::now() {
                return;
            }
            let item = first.remove();
            self.make_ready(item).await;
        }
    }

    async fn make_ready(&mut self, item: Item) {
        let directory = self.shared.store.ledger.directory();
        let entry = directory.endpoint(&item.endpoint).cloned();
        drop(directory);
        let Some(entry) = entry else {
            // The endpoint was deleted meanwhile, or never came to be.
            self.known.remove(&item.endpoint);
            self.shared.release(1);
            return;
        };
        // What was asked for may have ended since.
        let level = entry.recording.at(Timestamp::now());
        if level == DiagnosticsLevel::None {
            self.shared.release(1);
            return;
        }
        let Some(destination) = self.destination(&entry).await else {
            self.shared.drop_held(Dropped::Failed, 1);
            return;
        };
        let kind = item.what.kind();
        let ready = Ready {
            name: blob_name(destination.prefix(kind), item.at, &item.what.id()),
            content: text::of(&item, &entry, level),
            kind,
            attempts: 0,
            destination,
        };
        let most = (self.shared.queue.load(Ordering::Relaxed) / 2).max(1);
        let lane = self.lane(&ready);
        if lane.queue.len() >= most {
            lane.dropped += 1;
            self.shared.drop_held(Dropped::Full, 1);
            return;
        }
        lane.queue.push_back(ready);
    }

    fn lane(&mut self, ready: &Ready) -> &mut Lane {
        let storage = ready.destination.storage();
        // Looked up twice, so that a name is copied for a new lane only.
        if !self.lanes.contains_key(storage) {
            self.lanes.insert(storage.into(), Lane::default());
        }
        self.lanes.entry(storage.into()).or_default()
    }

    /// Where the endpoint's diagnostics go; `None`, said in the log, where that cannot be known.
    async fn destination(&mut self, entry: &Arc<Entry>) -> Option<Arc<dyn Destination>> {
        let state = (entry.version, entry.endpoint_version, entry.revision);
        if let Some(known) = self.known.get(&entry.endpoint)
            && known.state == state
        {
            return Some(known.destination.clone());
        }
        match self.shared.destinations.of(entry.clone()).await {
            Ok(destination) => {
                if self.known.len() >= REMEMBERED {
                    self.known.clear();
                }
                let known = Known {
                    state,
                    destination: destination.clone(),
                };
                self.known.insert(entry.endpoint, known);
                Some(destination)
            }
            Err(fault) => {
                tracing::warn!(
                    endpoint = entry.label(),
                    fault = fault.name(),
                    cause = fault.cause(),
                    "it is not known where diagnostics are to be written"
                );
                None
            }
        }
    }

    /// Begins as many blobs as may be written now.
    fn pump(&mut self) {
        let most = self.shared.writers.load(Ordering::Relaxed).max(1);
        let now = Instant::now();
        for lane in self.lanes.values_mut() {
            if lane.paused_until.is_some_and(|until| until <= now) {
                lane.paused_until = None;
            }
        }
        let mut some = true;
        // In turns, so that no lane waits for another to be empty.
        while some && self.writing.len() < most {
            some = false;
            for (storage, lane) in &mut self.lanes {
                // One that fails is tried with one blob; no lane takes all places.
                let own = if lane.failures > 0 {
                    1
                } else {
                    most.div_ceil(2)
                };
                if lane.writing >= own || self.writing.len() >= most || lane.paused_until.is_some()
                {
                    continue;
                }
                let Some(ready) = lane.queue.pop_front() else {
                    continue;
                };
                lane.writing += 1;
                some = true;
                let task = self.writing.spawn(write(ready));
                self.storage_of.insert(task.id(), storage.clone());
            }
        }
        self.lanes
            .retain(|_, lane| lane.failures > 0 || lane.writing > 0 || !lane.queue.is_empty());
    }

    /// A blob was written, or was not.
    fn done(&mut self, done: Result<(tokio::task::Id, Done), tokio::task::JoinError>) {
        let shared = self.shared.clone();
        let id = match &done {
            Ok((id, _)) => *id,
            Err(error) => error.id(),
        };
        let Some(storage) = self.storage_of.remove(&id) else {
            return;
        };
        let Some(lane) = self.lanes.get_mut(&storage) else {
            return;
        };
        lane.writing -= 1;
        let (ready, failure) = match done {
            Ok((_, (ready, Ok(())))) => {
                shared.telemetry.diagnostics().written(ready.kind.name());
                shared.release(1);
                lane.succeeded(&storage);
                return;
            }
            Ok((_, (ready, Err(failure)))) => (Some(ready), failure),
            Err(error) => {
                let reason = error.to_string();
                let transient = false;
                (None, NotWritten { transient, reason })
            }
        };
        lane.failures = lane.failures.saturating_add(1);
        let doubled = lane.failures.saturating_sub(1).min(16);
        let pause = FIRST_PAUSE.saturating_mul(1 << doubled).min(LONGEST_PAUSE);
        if !shared.is_closing() {
            lane.paused_until = Some(Instant::now() + pause);
        }
        match ready {
            Some(mut ready)
                if failure.transient && ready.attempts + 1 < ATTEMPTS && !shared.is_closing() =>
            {
                ready.attempts += 1;
                lane.queue.push_front(ready);
            }
            _ => {
                let mut lost = 1;
                if shared.is_closing() {
                    // Nobody waits for storage that fails now.
                    lost += lane.queue.len();
                    lane.queue.clear();
                }
                lane.dropped += lost as u64;
                let reason = match failure.transient {
                    true => Dropped::Failed,
                    false => Dropped::Refused,
                };
                shared.drop_held(reason, lost);
            }
        }
        lane.warn(&storage, &failure);
    }
}

impl Lane {
    fn succeeded(&mut self, storage: &str) {
        if self.warned.take().is_some() {
            let dropped = std::mem::take(&mut self.dropped);
            tracing::info!(storage, dropped, "diagnostics are written again");
        }
        self.failures = 0;
    }

    /// Says that the storage fails, now and then.
    fn warn(&mut self, storage: &str, failure: &NotWritten) {
        let now = Instant::now();
        if self.warned.is_some_and(|at| now < at + WARN_EVERY) {
            return;
        }
        self.warned = Some(now);
        let dropped = std::mem::take(&mut self.dropped);
        tracing::warn!(
            storage,
            reason = failure.reason,
            dropped,
            "diagnostics cannot be written"
        );
    }
}

async fn write(ready: Ready) -> Done {
    let put = ready
        .destination
        .put(ready.name.clone(), ready.content.clone());
    let result = tokio::time::timeout(ATTEMPT, put)
        .await
        .unwrap_or_else(|_| {
            Err(NotWritten {
                transient: true,
                reason: format!("no answer within {} s", ATTEMPT.as_secs()),
            })
        });
    (ready, result)
}
