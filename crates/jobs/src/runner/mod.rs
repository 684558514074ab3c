//! The loop that moves jobs: takes those whose turn it is, goes on holding them, ends them, and
//! tidies up.
//!
//! `job` goes through one job; `inputs`, `plan` and `index` say how it is cut, `chunks` has its
//! chunks worked on by `work`, `commit` puts its outputs in place. `slots` gives everybody a turn.

mod chunks;
mod commit;
mod index;
mod inputs;
mod job;
mod lease;
mod pipes;
mod plan;
mod slots;
mod spool;
mod tidy;
mod trouble;
mod unpack;
mod work;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use faults::{Fault, internal_error};
use store::{ClaimRules, ClaimedJob, Id, JobState};
use telemetry::{CallContext, Surface};
use tokio::sync::{Mutex, watch};
use tokio::task::JoinSet;

use crate::shared::Shared;
use slots::Slots;
use spool::Spool;
use tidy::Tidying;
use trouble::Trouble;

/// How often it is looked whether something was written that says more about jobs. A job that is
/// cancelled anywhere stops within this time.
const LOOK: Duration = Duration::from_millis(250);
/// How often the ledger is asked although nothing was written: another node's lease may be over.
const ASK: Duration = Duration::from_secs(10);
/// Jobs that one node has under way at once, of all endpoints.
const MOST_JOBS: usize = 256;
/// How long jobs may take to give up what they do.
const GIVE_UP: Duration = Duration::from_secs(5);

/// The loop that moves jobs.
#[derive(Clone)]
pub struct Runner(Arc<Shared>);

impl std::fmt::Debug for Runner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Runner")
    }
}

/// What a job under way is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    Go,
    /// It is held no longer.
    Lost,
    /// The server ends: others go on with it.
    GiveUp,
}

/// A job under way.
struct UnderWay {
    fence: u64,
    order: watch::Sender<Order>,
}

/// The loop's own.
struct Loop {
    shared: Arc<Shared>,
    slots: Arc<Slots>,
    spool: Arc<Spool>,
    under_way: HashMap<Id, UnderWay>,
    tasks: JoinSet<()>,
    tidying: Arc<Mutex<Tidying>>,
    /// The ledger's change that was last looked at, and when.
    seen: Option<(u64, Instant)>,
}

impl Runner {
    pub(crate) fn new(shared: Arc<Shared>) -> Runner {
        Runner(shared)
    }

    /// Moves jobs until `stop` completes. Then it gives up what is under way, which goes on at the
    /// next start, or on another node.
    ///
    /// What an earlier process of this node held is taken up at once, so there must be one runner
    /// of a data directory at a time.
    pub async fn run(self, stop: impl Future<Output = ()> + Send) {
        let shared = self.0;
        let spool = Spool::new(&shared.options().spool);
        let mut all = Loop {
            slots: Arc::default(),
            tidying: Arc::new(Mutex::new(Tidying::new(shared.clone(), spool.clone()))),
            spool,
            shared,
            under_way: HashMap::new(),
            tasks: JoinSet::new(),
            seen: None,
        };
        let mut stop = std::pin::pin!(stop);
        tokio::select! {
            () = &mut stop => return,
            () = all.take_up() => {}
        }
        loop {
            all.look().await;
            let shared = all.shared.clone();
            tokio::select! {
                () = &mut stop => break,
                () = shared.wake.notified() => all.seen = None,
                Some(_) = all.tasks.join_next() => all.ended(),
                () = tokio::time::sleep(LOOK) => {}
            }
        }
        all.give_up().await;
    }
}

impl Loop {
    /// Takes up what an earlier process of this node has left.
    async fn take_up(&self) {
        let ledger = &self.shared.store.ledger;
        loop {
            let done = async {
                let released = ledger.release_node(self.shared.store.node).await?;
                let unfinished = ledger.unfinished_jobs().await?;
                let spool = self.spool.clone();
                let swept = tokio::task::spawn_blocking(move || spool.sweep(&unfinished)).await;
                if let Ok(Err(error)) = swept {
                    tracing::warn!(%error, "files of jobs that have ended could not be removed");
                }
                if released > 0 {
                    tracing::info!(jobs = released, "jobs that were under way go on");
                }
                Ok::<_, Fault>(())
            };
            match done.await {
                Ok(()) => return,
                Err(fault) => {
                    tracing::warn!(
                        cause = fault.cause(),
                        "the ledger cannot be asked about jobs"
                    );
                    tokio::time::sleep(ASK).await;
                }
            }
        }
    }

    /// Looks whether there is something to do, and begins it.
    async fn look(&mut self) {
        let (change, drained) = {
            let directory = self.shared.store.ledger.directory();
            (
                directory.change(),
                directory.is_drained(&self.shared.store.node),
            )
        };
        let options = self.shared.options();
        self.slots.set(options.parallel, drained);
        let fresh = self
            .seen
            .is_none_or(|(seen, at)| seen != change || at.elapsed() >= ASK);
        if !fresh {
            return;
        }
        self.seen = Some((change, Instant::now()));
        if let Err(fault) = self.ask(&options, drained).await {
            self.seen = None;
            tracing::warn!(
                cause = fault.cause(),
                "the ledger cannot be asked about jobs"
            );
        }
    }

    async fn ask(&mut self, options: &crate::Options, drained: bool) -> Result<(), Fault> {
        let shared = self.shared.clone();
        let ledger = &shared.store.ledger;
        let held: Vec<(Id, u64)> = self
            .under_way
            .iter()
            .map(|(id, job)| (*id, job.fence))
            .collect();
        if !held.is_empty() {
            for lost in ledger.lost_jobs(held).await? {
                if let Some(job) = self.under_way.get(&lost) {
                    job.order.send_replace(Order::Lost);
                }
            }
        }
        let room = MOST_JOBS.saturating_sub(self.under_way.len());
        let rules = ClaimRules {
            node: shared.store.node,
            lease: options.lease,
            per_endpoint: options.jobs_per_endpoint,
            most: room,
        };
        if !drained && room > 0 && ledger.has_claimable_jobs(rules).await? {
            for job in ledger.claim_jobs(rules).await? {
                self.begin(job);
            }
        }
        self.tidy();
        let batch = shared.telemetry.batch();
        for (state, count) in ledger.job_counts().await? {
            batch.unfinished(state.name(), count);
        }
        Ok(())
    }

    /// Tidies up in the background, where that is not being done already.
    fn tidy(&self) {
        let Ok(mut tidying) = self.tidying.clone().try_lock_owned() else {
            return;
        };
        let under_way: HashSet<Id> = self.under_way.keys().copied().collect();
        tokio::spawn(async move {
            if let Err(fault) = tidying.look(&under_way).await {
                tracing::warn!(cause = fault.cause(), "jobs could not be tidied up after");
            }
        });
    }

    fn begin(&mut self, job: ClaimedJob) {
        let (order, orders) = watch::channel(Order::Go);
        let (id, fence) = (job.id, job.fence);
        tracing::info!(
            job = %id,
            endpoint = job.label,
            resumed = job.resumed,
            "a job is under way"
        );
        // One that this node held before, and lost without noticing, is told so.
        if let Some(before) = self.under_way.insert(id, UnderWay { fence, order }) {
            before.order.send_replace(Order::Lost);
        }
        let (shared, slots, spool) = (self.shared.clone(), self.slots.clone(), self.spool.clone());
        self.tasks
            .spawn(go_through(shared, slots, spool, job, orders));
    }

    fn ended(&mut self) {
        // Those that have nobody left to be told anything; also one that panicked, which is taken
        // up again when its lease is over.
        self.under_way.retain(|_, job| !job.order.is_closed());
        self.seen = None;
    }

    /// Gives up all that is under way.
    async fn give_up(&mut self) {
        self.slots.set(0, true);
        for job in self.under_way.values() {
            job.order.send_replace(Order::GiveUp);
        }
        let ended = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(GIVE_UP, ended).await.is_err() {
            tracing::warn!("jobs that are under way could not be given up in order");
        }
    }
}

/// Goes through one job, and writes down what it came to.
async fn go_through(
    shared: Arc<Shared>,
    slots: Arc<Slots>,
    spool: Arc<Spool>,
    job: ClaimedJob,
    mut orders: watch::Receiver<Order>,
) {
    let (id, fence, label) = (job.id, job.fence, job.label.clone());
    let endpoint = job.endpoint;
    let lease = shared.options().lease;
    let end = {
        let drive = job::drive(shared.clone(), slots, spool, job);
        let ordered = async {
            let order = orders.wait_for(|order| *order != Order::Go).await;
            order.map_or(Order::GiveUp, |order| *order)
        };
        tokio::select! {
            biased;
            order = ordered => Err(order),
            () = lease::keep(&shared.store.ledger, id, fence, lease) => Err(Order::Lost),
            end = drive => Ok(end),
        }
    };
    shared.live.end(id);
    let ledger = &shared.store.ledger;
    let fault = match end {
        Err(Order::GiveUp) => {
            if let Err(fault) = ledger.release_job(id, fence).await {
                tracing::warn!(job = %id, cause = fault.cause(), "a job could not be given up");
            }
            return;
        }
        Err(_) | Ok(Err(Trouble::Lost)) => {
            tracing::info!(job = %id, endpoint = label, "a job is held no longer");
            return;
        }
        Ok(Err(Trouble::Ledger(fault))) => {
            // Nothing can be written down now. When the lease is over it is taken up again.
            tracing::warn!(job = %id, cause = fault.cause(), "the ledger failed in a job");
            return;
        }
        Ok(Ok(())) => None,
        Ok(Err(
            Trouble::Lasting(fault)
            | Trouble::Passing(fault)
            | Trouble::NoRoom(fault)
            | Trouble::OverQuota(fault),
        )) => Some(fault),
        // It is asked for only where something else follows.
        Ok(Err(Trouble::Again(_) | Trouble::Missing(_))) => Some(
            internal_error::unknown_error().because("a job was to be cut again when it was done"),
        ),
    };
    if let Some(fault) = &fault {
        let context = CallContext {
            request_id: "",
            endpoint: &label,
        };
        shared.telemetry.observe_call(fault, Surface::Jobs, context);
    }
    let state = match fault {
        None => JobState::Finished,
        Some(_) => JobState::Failed,
    };
    match ledger.end_job(id, fence, fault).await {
        Ok(true) => {
            shared.telemetry.batch().ended(state.name());
            if state == JobState::Finished {
                // One transaction, whose time was counted chunk by chunk.
                let counter = shared.store.meter.counter(endpoint, &label);
                counter.count(Duration::ZERO);
            }
            if let Ok(record) = ledger.job(endpoint, id).await {
                (shared.on_end)(&record);
                tracing::info!(
                    job = %id,
                    endpoint = label,
                    state = state.name(),
                    rows = record.rows,
                    rejected = record.rejected,
                    chunks = record.chunks,
                    "a job has ended"
                );
            }
        }
        Ok(false) => tracing::info!(job = %id, endpoint = label, "a job is held no longer"),
        Err(fault) => tracing::warn!(
            job = %id,
            cause = fault.cause(),
            "what a job came to could not be written down"
        ),
    }
}
