//! The host: starts containers, hands calls to them, watches and ends them.
//!
//! A call is given to the container of its endpoint that has the fewest; where all are full it
//! waits, and one task (`schedule`) decides which pools get a further container. Each container
//! has one task that watches its process (`process`) and one that reads its channel
//! (`connection`).

mod batch;
mod calls;
mod cgroup;
mod connection;
mod machine;
mod options;
mod output;
mod pool;
mod process;
mod schedule;
mod spawn;
mod start;
mod status;
mod watch;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use bytes::Bytes;
use faults::{Class, Fault, gateway_timeout, internal_error, request_timeout};
use telemetry::{NoteLevel, Surface, Telemetry};
use tokio::sync::Notify;

use crate::Operation;
use calls::Outcome;
use cgroup::CgroupRoot;
use machine::{Machine, Slot, Starting};
use pool::{Admission, Pool, Queued};
use process::{Process, Wish};
use spawn::Spawner;

pub use options::{
    Cgroups, HostOptions, Lane, MIN_QUOTA_MB, PoolLimits, RevisionFiles, RevisionSource,
};
pub use output::{Excerpt, PrintedLine, Stream};
pub use status::{ContainerState, ContainerStatus, PoolStatus};
pub use watch::{Ran, StartListener, StartReport, Watch};

/// One call.
#[derive(Debug, Clone)]
pub struct Call {
    /// What is asked for.
    pub operation: Operation,
    /// The body as the client sent it.
    pub body: Bytes,
    /// When the call's budget is spent.
    pub deadline: Instant,
}

/// The part of the gateway that has containers; clones are the same host.
#[derive(Clone)]
pub struct Host(Arc<Inner>);

/// An endpoint and a lane.
type PoolKey = ([u8; 16], Lane);

struct Inner {
    /// Replaced whole when the settings are read again.
    options: ArcSwap<HostOptions>,
    source: Arc<dyn RevisionSource>,
    telemetry: Telemetry,
    machine: Arc<Machine>,
    /// The same for the batch lane.
    batch_machine: Arc<Machine>,
    spawner: Spawner,
    cgroups: Option<CgroupRoot>,
    pools: RwLock<HashMap<PoolKey, Arc<Pool>>>,
    processes: Mutex<HashMap<u64, Arc<Process>>>,
    /// Told when a process has ended.
    one_ended: Notify,
    next_number: AtomicU64,
    closing: AtomicBool,
    /// That containers are not confined was said; once is enough.
    unconfined_said: AtomicBool,
    /// Told of every start.
    start_listener: OnceLock<Box<StartListener>>,
    /// One deploy at a time may go over the slots.
    over_limit: tokio::sync::Mutex<()>,
    runtime: tokio::runtime::Handle,
}

/// A new revision whose first container is ready; calls go to it after [`Host::activate`].
/// Dropped without that, its container ends.
#[derive(Debug)]
pub struct Prepared {
    pool: Arc<Pool>,
    revision: [u8; 16],
    activated: bool,
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Pool({})", self.label)
    }
}

impl std::fmt::Debug for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Host")
    }
}

impl Drop for Prepared {
    fn drop(&mut self) {
        if !self.activated {
            self.pool.discard(self.revision);
        }
    }
}

fn unavailable(why: &str) -> Fault {
    Fault::bare(Class::ServiceUnavailable)
        .retry_after(Duration::from_secs(1))
        .because(why)
}

impl Host {
    /// Starts a host, without containers yet, on the tokio runtime it is called in.
    ///
    /// `InvalidMemoryConfiguration` where the quota is too small, `UnknownError` where another
    /// setting makes no sense or the system refuses a thread.
    pub fn start(
        options: HostOptions,
        source: Arc<dyn RevisionSource>,
        telemetry: Telemetry,
    ) -> Result<Host, Fault> {
        options.check()?;
        let spawner = Spawner::start().map_err(|e| {
            internal_error::unknown_error()
                .because(e)
                .because("the thread that starts containers")
        })?;
        let cgroups = match options.cgroups {
            Cgroups::Off => None,
            Cgroups::Auto => match CgroupRoot::probe() {
                Ok(root) => Some(root),
                Err(why) => {
                    tracing::info!(%why, "memory quotas are held by RLIMIT_DATA: no control group");
                    None
                }
            },
        };
        let freed = Arc::new(Notify::new());
        let machine = Machine::new(options.slots, options.starting_total, freed.clone());
        let batch_machine = Machine::new(options.batch_slots, options.batch_slots, freed);
        let inner = Arc::new(Inner {
            options: ArcSwap::from_pointee(options),
            source,
            telemetry,
            machine,
            batch_machine,
            spawner,
            cgroups,
            pools: RwLock::default(),
            processes: Mutex::default(),
            one_ended: Notify::new(),
            next_number: AtomicU64::new(1),
            closing: AtomicBool::new(false),
            unconfined_said: AtomicBool::new(false),
            start_listener: OnceLock::new(),
            over_limit: tokio::sync::Mutex::default(),
            runtime: tokio::runtime::Handle::current(),
        });
        tokio::spawn(schedule::run(Arc::downgrade(&inner)));
        Ok(Host(inner))
    }

    /// Lets other settings hold from now on: of the limits of starts and slots, the times and the
    /// least free memory at once, of the memory quota for containers that are started from now on.
    /// What a container and its channel are made by (the command, calls, threads, heartbeats, what
    /// a request may hold) stays as it was at the start.
    ///
    /// `InvalidMemoryConfiguration` and `UnknownError` as for [`Host::start`]; then nothing has
    /// changed.
    pub fn set_options(&self, new: &HostOptions) -> Result<(), Fault> {
        new.check()?;
        let inner = &self.0;
        let before = inner.options.load_full();
        inner.options.store(Arc::new(HostOptions {
            memory_quota_mb: new.memory_quota_mb,
            slots: new.slots,
            batch_slots: new.batch_slots,
            batch_memory_quota_mb: new.batch_memory_quota_mb,
            starting_total: new.starting_total,
            starting_per_service: new.starting_per_service,
            start_wait: new.start_wait,
            start_limit: new.start_limit,
            idle: new.idle,
            stop_grace: new.stop_grace,
            min_free_memory_mb: new.min_free_memory_mb,
            ..HostOptions::clone(&before)
        }));
        inner.machine.set_limits(new.slots, new.starting_total);
        let batch = new.batch_slots;
        inner.batch_machine.set_limits(batch, batch);
        Ok(())
    }

    /// Retires the container of that number, where there is one that takes calls: a successor is
    /// started first (it may be one more than the slots allow), then calls go to that one, and the
    /// old one finishes its calls and ends. `false` where no such container takes calls.
    ///
    /// What the successor's start fails with; the container then goes on.
    pub async fn retire(&self, number: u64) -> Result<bool, Fault> {
        let inner = &self.0;
        let found = inner.processes().get(&number).cloned();
        let Some(process) = found.filter(|process| process.pool.starts_successor(process)) else {
            return Ok(false);
        };
        let pool = process.pool.clone();
        let (taken, over) = match pool.machine.take() {
            Ok(taken) => (taken, None),
            Err(_) => {
                let one_at_a_time = inner.over_limit.lock().await;
                (pool.machine.take_over(), Some(one_at_a_time))
            }
        };
        match inner.start(&pool, process.revision, None, taken).await {
            Ok(successor) => {
                let limits = successor.limits;
                pool.started(&successor, limits);
            }
            Err(fault) => {
                pool.start_failed(process.revision, &fault);
                return Err(fault);
            }
        }
        drop(over);
        let text = format!(
            "container {} is retired: an operator asked",
            process.child.pid
        );
        inner.note(&pool, NoteLevel::Info, text);
        pool.forget(&process);
        process.want(Wish::Finish("retired"));
        Ok(true)
    }

    /// Whether quotas are held by control groups (else by `RLIMIT_DATA`).
    pub fn uses_cgroups(&self) -> bool {
        self.0.cgroups.is_some()
    }

    /// Keeps `limits.min_instances` containers of a revision ready from now on; without this an
    /// endpoint's containers are kept warm after its first call. For what was deployed before
    /// this host was started.
    pub fn warm(&self, endpoint: [u8; 16], revision: [u8; 16], label: &str, limits: PoolLimits) {
        if limits.min_instances > 0 {
            let pool = self.0.pool(endpoint, Lane::Scoring, label);
            pool.warm(revision, limits);
            self.0.machine.freed.notify_one();
        }
    }

    /// Starts one container of a new revision and waits until it has loaded it and run a first
    /// call. It may be one more than the slots allow. What the container says against the
    /// revision comes back as it is; over `start_limit` it is `BackendInitializationTimeout`.
    pub async fn prepare(
        &self,
        endpoint: [u8; 16],
        label: &str,
        files: RevisionFiles,
    ) -> Result<Prepared, Fault> {
        let inner = &self.0;
        if inner.is_closing() {
            return Err(unavailable("the host is shutting down"));
        }
        let pool = inner.pool(endpoint, Lane::Scoring, label);
        let revision = files.revision;
        let limits = files.limits;
        let (taken, over) = match inner.machine.take() {
            Ok(taken) => (taken, None),
            Err(_) => {
                let one_at_a_time = inner.over_limit.lock().await;
                (inner.machine.take_over(), Some(one_at_a_time))
            }
        };
        let process = inner.start(&pool, revision, Some(files), taken).await?;
        drop(over);
        pool.prepared(&process, limits);
        if process.end().is_some() {
            pool.discard(revision);
            return Err(process.end_fault());
        }
        Ok(Prepared {
            pool,
            revision,
            activated: false,
        })
    }

    /// Calls go to this revision from now on; calls under way end on the old one, whose
    /// containers then end.
    pub fn activate(&self, mut prepared: Prepared) {
        prepared.activated = true;
        let pool = &prepared.pool;
        // The endpoint may have been removed since; the deploy makes it anew.
        let pools = self.0.pools.read().unwrap_or_else(PoisonError::into_inner);
        let key = (pool.endpoint, pool.lane);
        let known = pools.contains_key(&key);
        drop(pools);
        if !known {
            let mut pools = self.0.pools.write().unwrap_or_else(PoisonError::into_inner);
            pools.insert(key, pool.clone());
        }
        pool.activate(prepared.revision, self.0.options.load().calls_per_container);
        self.0.machine.freed.notify_one();
    }

    /// Runs a call of that revision, or of the one that replaced it, in a container of the
    /// endpoint, starting one where none has room. Dropping the future cancels the call: the work
    /// stops. (That the client went away is the caller's to report.)
    ///
    /// The answer's bytes, or a fault: the container's own (of the call, or of its start); while
    /// it waits for a container `NoMoreResources`, `TooManyHostsBeingInitialized`,
    /// `TooManyHostsBeingInitializedPerModel` or `InitializingContainers` after `start_wait`, and
    /// `BackendInitializationTimeout` when a start goes over `start_limit`; over its deadline
    /// `ScoreRequestTimeout` before a container began it and `BackendScoreTimeout` after; with its
    /// container's end `ContainerProcessTerminatedWithSystemError`,
    /// `ContainerProcessTerminatedWithUnknownError`, `OutOfMemoryLimit` or `WorkerUnreachable`;
    /// where the two do not understand each other `BackendBadRequest`, `BackendArgumentError`,
    /// `WorkerAuthorizationFailed`, `UnexpectedScoreStatus` or `UnknownBackendErrorResponse`;
    /// `InternalErrorSystemLowOnMemory`; `ServiceUnavailable` while the host ends.
    pub async fn call(
        &self,
        endpoint: [u8; 16],
        revision: [u8; 16],
        label: &str,
        call: Call,
    ) -> Result<Bytes, Fault> {
        self.0.call(endpoint, revision, label, call, None).await
    }

    /// [`Host::call`], of which `watch` then knows who ran it.
    ///
    /// # Errors
    /// As for [`Host::call`].
    pub async fn call_watched(
        &self,
        endpoint: [u8; 16],
        revision: [u8; 16],
        label: &str,
        call: Call,
        watch: Option<&Watch>,
    ) -> Result<Bytes, Fault> {
        self.0.call(endpoint, revision, label, call, watch).await
    }

    /// Tells `listener` of every start of a container from now on, when it is over. A host has one
    /// listener: a second one is not heard.
    pub fn on_start(&self, listener: Box<StartListener>) {
        let _ = self.0.start_listener.set(listener);
    }

    /// The endpoint is deleted: no call is taken any more, its containers finish theirs and end.
    /// Batch work of it ends at once.
    pub async fn remove(&self, endpoint: [u8; 16]) {
        let [scoring, batch] = {
            let mut pools = self.0.pools.write().unwrap_or_else(PoisonError::into_inner);
            [Lane::Scoring, Lane::Batch].map(|lane| pools.remove(&(endpoint, lane)))
        };
        if let Some(pool) = scoring {
            pool.remove();
        }
        if let Some(pool) = batch {
            pool.remove();
            self.0
                .end_batch(|process| process.pool.endpoint == endpoint, "removed");
        }
    }

    /// Takes no further calls, lets those under way end for at most `grace` (batch work is ended
    /// at once), and ends every container. When it returns no process of this host is left.
    pub async fn shutdown(&self, grace: Duration) {
        let inner = &self.0;
        inner.closing.store(true, Ordering::Release);
        // Their jobs go on after a restart, from the last part that was finished.
        inner.end_batch(|_| true, "shutdown");
        let limit = Instant::now() + grace;
        while Instant::now() < limit && inner.calls_under_way() > 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let fault = unavailable("the host is shutting down");
        for pool in inner.pools() {
            pool.end_all("shutdown", &fault);
        }
        for process in inner.all_processes() {
            process.want(Wish::Finish("shutdown"));
            if Instant::now() >= limit {
                process.want(Wish::Kill("shutdown"));
            }
        }
        // The supervisors kill what does not end within `end_grace`; this is for what is left.
        let patience = Instant::now() + inner.options.load().end_grace + Duration::from_secs(1);
        loop {
            let ended = inner.one_ended.notified();
            let left = inner.all_processes();
            // A start that is not a process yet becomes one, and is ended then.
            let starting = inner.machine.starting() + inner.batch_machine.starting();
            if left.is_empty() && starting == 0 {
                return;
            }
            if Instant::now() >= patience {
                for process in &left {
                    process.want(Wish::Kill("shutdown"));
                }
            }
            let _ = tokio::time::timeout(Duration::from_millis(100), ended).await;
        }
    }

    /// Every pool with its containers, for metrics and operators.
    pub fn status(&self) -> Vec<PoolStatus> {
        status::of(&self.0)
    }
}

/// Counts a call that waits for a container.
struct WaitingGauge<'a>(&'a Telemetry);

impl<'a> WaitingGauge<'a> {
    fn new(telemetry: &'a Telemetry) -> WaitingGauge<'a> {
        telemetry.containers().waiting.inc();
        WaitingGauge(telemetry)
    }
}

impl Drop for WaitingGauge<'_> {
    fn drop(&mut self) {
        self.0.containers().waiting.dec();
    }
}

impl Inner {
    fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Acquire)
    }

    fn note(&self, pool: &Pool, level: NoteLevel, text: String) {
        match level {
            NoteLevel::Error | NoteLevel::Warn => {
                tracing::warn!(endpoint = %pool.label, "{text}");
            }
            _ => tracing::info!(endpoint = %pool.label, "{text}"),
        }
        self.telemetry.note(pool.endpoint, level, text);
    }

    fn pool(&self, endpoint: [u8; 16], lane: Lane, label: &str) -> Arc<Pool> {
        let key = (endpoint, lane);
        let pools = self.pools.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(pool) = pools.get(&key) {
            return pool.clone();
        }
        drop(pools);
        let mut pools = self.pools.write().unwrap_or_else(PoisonError::into_inner);
        let machine = self.machine_of(lane);
        let new = || Arc::new(Pool::new(endpoint, lane, label, machine.clone()));
        pools.entry(key).or_insert_with(new).clone()
    }

    fn machine_of(&self, lane: Lane) -> &Arc<Machine> {
        match lane {
            Lane::Scoring => &self.machine,
            Lane::Batch => &self.batch_machine,
        }
    }

    /// Ends containers of the batch lane, whatever they do.
    fn end_batch(&self, which: impl Fn(&Process) -> bool, why: &'static str) {
        for process in self.all_processes() {
            if process.pool.lane == Lane::Batch && which(&process) {
                process.pool.forget(&process);
                process.want(Wish::Kill(why));
            }
        }
    }

    fn pools(&self) -> Vec<Arc<Pool>> {
        let pools = self.pools.read().unwrap_or_else(PoisonError::into_inner);
        pools.values().cloned().collect()
    }

    /// Drops the pool of an endpoint that is no more, or never was, unless somebody uses it: a
    /// call that found its endpoint just before the deletion makes such a pool.
    fn drop_vacant(&self, pool: Arc<Pool>) {
        if !pool.is_vacant() {
            return;
        }
        let mut pools = self.pools.write().unwrap_or_else(PoisonError::into_inner);
        let key = (pool.endpoint, pool.lane);
        drop(pool);
        // With this lock held nobody comes to have it: where the map has the only one, no call,
        // no deploy and no container does.
        if pools
            .get(&key)
            .is_some_and(|pool| Arc::strong_count(pool) == 1 && pool.is_vacant())
        {
            pools.remove(&key);
        }
    }

    fn processes(&self) -> MutexGuard<'_, HashMap<u64, Arc<Process>>> {
        self.processes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn all_processes(&self) -> Vec<Arc<Process>> {
        self.processes().values().cloned().collect()
    }

    /// A process has ended and is settled.
    fn ended(&self, number: u64) {
        self.processes().remove(&number);
        self.one_ended.notify_waiters();
        self.machine.freed.notify_one();
    }

    fn calls_under_way(&self) -> usize {
        let running = |p: &Arc<Process>| p.connection.calls().waiting();
        let running: usize = self.all_processes().iter().map(running).sum();
        let waiting = |p: &Arc<Pool>| {
            p.lock()
                .groups
                .iter()
                .map(|g| g.waiters.len())
                .sum::<usize>()
        };
        running + self.pools().iter().map(waiting).sum::<usize>()
    }

    async fn call(
        self: &Arc<Self>,
        endpoint: [u8; 16],
        revision: [u8; 16],
        label: &str,
        call: Call,
        watch: Option<&Watch>,
    ) -> Result<Bytes, Fault> {
        if self.is_closing() {
            return Err(unavailable("the host is shutting down"));
        }
        let pool = self.pool(endpoint, Lane::Scoring, label);
        // A call that no container has begun may lose its container once.
        let mut moved = false;
        loop {
            let admission = match pool.admit(revision, self.options.load().calls_per_container) {
                Some(admission) => admission,
                None => self.wait(&pool, revision, call.deadline).await?,
            };
            let process = admission.process.clone();
            if let Some(watch) = watch {
                watch.handed_to(&process);
            }
            let left = call.deadline.saturating_duration_since(Instant::now());
            let budget_ms = u32::try_from(left.as_millis()).unwrap_or(u32::MAX);
            if budget_ms == 0 {
                return Err(request_timeout::score_request_timeout());
            }
            let code = call.operation.code();
            let waiting = process
                .connection
                .call(code, budget_ms, &call.body, admission);
            let mut begun = false;
            let outcome = match waiting {
                None => Outcome::Lost { begun: false },
                Some(mut waiting) => {
                    waiting.sent().await;
                    let deadline = call.deadline.into();
                    match tokio::time::timeout_at(deadline, &mut waiting).await {
                        Ok(outcome) => {
                            begun = outcome == Outcome::Stopped && waiting.has_begun();
                            outcome
                        }
                        Err(_) if waiting.has_begun() => {
                            return Err(gateway_timeout::backend_score_timeout());
                        }
                        Err(_) => return Err(request_timeout::score_request_timeout()),
                    }
                }
            };
            return match outcome {
                Outcome::Answer(bytes) => Ok(bytes),
                Outcome::Fault(bytes) => Err(Fault::from_bytes(&bytes).unwrap_or_else(|e| e)),
                // Nobody cancelled it, so the container found the budget spent.
                Outcome::Stopped if begun => Err(gateway_timeout::backend_score_timeout()),
                Outcome::Stopped => Err(request_timeout::score_request_timeout()),
                Outcome::Refused(reason) => Err(process::refusal_fault(reason)),
                Outcome::UnknownStatus(status) => Err(internal_error::unexpected_score_status()
                    .because(format!("the container answered with status {status}"))),
                Outcome::Lost { begun: false } if !moved => {
                    moved = true;
                    continue;
                }
                Outcome::Lost { .. } => Err(process.end_fault()),
            };
        }
    }

    /// Waits for room, at most `start_wait` for a further container and never past the deadline.
    async fn wait(
        &self,
        pool: &Arc<Pool>,
        revision: [u8; 16],
        deadline: Instant,
    ) -> Result<Admission, Fault> {
        let options = self.options.load_full();
        let calls = options.calls(pool.lane);
        let (ahead, mut result) = match pool.enqueue(revision, calls)? {
            Queued::Admitted(admission) => return Ok(admission),
            Queued::Waits(ahead, result) => (ahead, result),
        };
        let _gauge = (pool.lane == Lane::Scoring).then(|| WaitingGauge::new(&self.telemetry));
        if pool.needs_check() {
            self.machine.freed.notify_one();
        }
        let give_up = Instant::now() + options.start_wait;
        let gone = || unavailable("the endpoint's pool is gone");
        // Nobody is told why there is no room for batch work yet: it waits.
        if give_up < deadline && pool.lane == Lane::Scoring {
            if let Ok(answer) = tokio::time::timeout_at(give_up.into(), &mut result).await {
                return answer.unwrap_or_else(|_| Err(gone()));
            }
            let obstacle = pool.obstacle(
                revision,
                ahead,
                pool.machine.shortage(),
                calls,
                options.starting_per_service,
            );
            if let Some(fault) = obstacle {
                return Err(fault);
            }
        }
        match tokio::time::timeout_at(deadline.into(), &mut result).await {
            Ok(answer) => answer.unwrap_or_else(|_| Err(gone())),
            Err(_) => Err(request_timeout::score_request_timeout()),
        }
    }

    /// Starts a container for calls that wait, in a task of its own.
    fn start_for_calls(
        self: &Arc<Self>,
        pool: Arc<Pool>,
        revision: [u8; 16],
        taken: (Slot, Starting),
    ) {
        let inner = self.clone();
        self.runtime.spawn(async move {
            match inner.start(&pool, revision, None, taken).await {
                Ok(process) => {
                    let limits = process.limits;
                    pool.started(&process, limits);
                }
                Err(fault) => {
                    if !pool.start_failed(revision, &fault) {
                        inner.telemetry.observe(&fault, Surface::Host);
                    }
                    let cause = fault.cause().unwrap_or_default();
                    let text = format!("a container did not start: {} ({cause})", fault.name());
                    inner.note(&pool, NoteLevel::Error, text);
                }
            }
            inner.machine.freed.notify_one();
        });
    }
}
