//! One container's process, from its start to its end.

use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use faults::{Class, Fault, internal_error, memory_quota_violation};
use telemetry::{Surface, Telemetry};
use tokio::io::unix::AsyncFd;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use super::cgroup::Cgroup;
use super::connection::{Connection, ReadEnd};
use super::machine::Slot;
use super::options::{Lane, PoolLimits};
use super::output::Printed;
use super::pool::Pool;
use super::spawn::{Child, Exit};
use super::{Inner, NoteLevel};
use crate::frames::{Frame, Refusal};
use crate::quota::QUOTA_EXIT;

/// How long a process may live on after its channel ended, and its channel after it.
const LINGER: Duration = Duration::from_secs(1);
/// How often a process that is to end is looked at.
const FINISHING_TICK: Duration = Duration::from_millis(10);

/// What the host wants of a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wish {
    /// Take calls.
    Serve,
    /// Finish the calls under way, then end; why.
    Finish(&'static str),
    /// End now; why.
    Kill(&'static str),
}

/// Where a container is in its life, as the gauges count it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Counted by the start itself.
    Starting,
    Ready,
    Retiring,
    Ended,
}

/// How a container ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum End {
    /// The host wanted it; why.
    Asked(&'static str),
    /// It went over its memory quota.
    Quota,
    /// A signal that the host did not send.
    Signal(i32),
    /// It exited on its own.
    Status(i32),
    /// It refused the host's messages.
    Refused(u8),
    /// It sent what is against the protocol.
    Violation(String),
    /// It lived on, but could not be reached.
    Unreachable(&'static str),
}

impl End {
    /// The fault of a call that a container took with it.
    pub(super) fn fault(&self, quota_mb: u64) -> Fault {
        match self {
            End::Asked(why) => Fault::bare(Class::ServiceUnavailable)
                .retry_after(Duration::from_secs(1))
                .because(format!("the container was ended: {why}")),
            End::Quota => memory_quota_violation::out_of_memory_limit(quota_mb.to_string()),
            End::Signal(signal) => internal_error::container_process_terminated_with_system_error()
                .because(format!("the container ended by signal {signal}")),
            End::Status(status) => {
                internal_error::container_process_terminated_with_unknown_error()
                    .because(format!("the container exited with status {status}"))
            }
            End::Refused(reason) => refusal_fault(*reason),
            End::Violation(what) => internal_error::backend_bad_request()
                .because(what)
                .because("the container's stream is against the protocol"),
            End::Unreachable(what) => internal_error::worker_unreachable().because(what),
        }
    }

    /// The label of the end in the metrics.
    fn reason(&self) -> &'static str {
        match self {
            End::Asked(why) => why,
            End::Quota => "quota",
            End::Signal(_) => "crash",
            End::Status(_) => "exit",
            End::Refused(_) => "refused",
            End::Violation(_) => "violation",
            End::Unreachable(_) => "unreachable",
        }
    }
}

/// The fault of a call, or a set-up, that a container refused.
pub(super) fn refusal_fault(reason: u8) -> Fault {
    match Refusal::from_code(reason) {
        Some(Refusal::Token) => internal_error::worker_authorization_failed(),
        Some(Refusal::Version) => {
            internal_error::backend_bad_request().because("another protocol version")
        }
        Some(Refusal::Revision) => {
            internal_error::backend_argument_error().because("another revision")
        }
        Some(Refusal::Frame) => internal_error::backend_bad_request(),
        Some(Refusal::Operation) => {
            internal_error::backend_argument_error().because("an unknown operation")
        }
        None => internal_error::unexpected_score_status()
            .because(format!("a refusal for the unknown reason {reason}")),
    }
}

/// A container's process.
pub(super) struct Process {
    /// Counts the containers of this host.
    pub(super) number: u64,
    pub(super) pool: Arc<Pool>,
    pub(super) revision: [u8; 16],
    pub(super) limits: PoolLimits,
    pub(super) child: Child,
    pub(super) connection: Arc<Connection>,
    pub(super) quota_mb: u64,
    pub(super) started: Instant,
    /// What it wrote to its standard output and standard error.
    pub(super) printed: Printed,
    telemetry: Telemetry,
    phase: Mutex<Phase>,
    cgroup: Mutex<Option<Cgroup>>,
    wish: Mutex<Wish>,
    slot: Mutex<Option<Slot>>,
    control: Notify,
    end: OnceLock<End>,
    /// Milliseconds from `started` to the last sign of life.
    heard: AtomicU64,
}

/// How long batch work that nobody waits for may go on: it asks after each block of rows.
const BATCH_STOP_GRACE: Duration = Duration::from_millis(800);

impl Process {
    #[expect(
        clippy::too_many_arguments,
        reason = "its parts come from as many places"
    )]
    pub(super) fn new(
        number: u64,
        pool: Arc<Pool>,
        limits: PoolLimits,
        child: Child,
        connection: Arc<Connection>,
        quota_mb: u64,
        cgroup: Option<Cgroup>,
        slot: Slot,
        telemetry: Telemetry,
    ) -> Process {
        Process {
            number,
            pool,
            revision: connection.identity.revision,
            limits,
            child,
            connection,
            quota_mb,
            started: Instant::now(),
            printed: Printed::default(),
            telemetry,
            phase: Mutex::new(Phase::Starting),
            cgroup: Mutex::new(cgroup),
            wish: Mutex::new(Wish::Serve),
            slot: Mutex::new(Some(slot)),
            control: Notify::new(),
            end: OnceLock::new(),
            heard: AtomicU64::new(0),
        }
    }

    fn cgroup_lock(&self) -> MutexGuard<'_, Option<Cgroup>> {
        self.cgroup.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wish_lock(&self) -> MutexGuard<'_, Wish> {
        self.wish.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Moves on to a later phase and keeps the gauges right.
    fn enter(&self, new: Phase) {
        let mut phase = self.phase.lock().unwrap_or_else(PoisonError::into_inner);
        let later = match (*phase, new) {
            (Phase::Starting, _) => new != Phase::Starting,
            (Phase::Ready, _) => matches!(new, Phase::Retiring | Phase::Ended),
            (Phase::Retiring, _) => new == Phase::Ended,
            (Phase::Ended, _) => false,
        };
        if !later {
            return;
        }
        let gauges = self.telemetry.containers();
        match *phase {
            Phase::Ready => gauges.ready.dec(),
            Phase::Retiring => gauges.retiring.dec(),
            Phase::Starting | Phase::Ended => 0,
        };
        match new {
            Phase::Ready => gauges.ready.inc(),
            Phase::Retiring => gauges.retiring.inc(),
            Phase::Starting | Phase::Ended => 0,
        };
        *phase = new;
    }

    /// It has loaded its revision.
    pub(super) fn is_ready(&self) {
        self.enter(Phase::Ready);
    }

    /// What the host wants of it now.
    pub(super) fn wish(&self) -> Wish {
        *self.wish_lock()
    }

    /// Wants something else of it: its slot is free from now on. A stronger wish stands.
    pub(super) fn want(&self, new: Wish) {
        let mut wish = self.wish_lock();
        *wish = match (*wish, new) {
            (Wish::Kill(why), _) => Wish::Kill(why),
            (Wish::Finish(why), Wish::Serve | Wish::Finish(_)) => Wish::Finish(why),
            (_, new) => new,
        };
        let killed = matches!(*wish, Wish::Kill(_));
        drop(wish);
        self.enter(Phase::Retiring);
        let slot = self
            .slot
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        drop(slot);
        if killed && self.end.get().is_none() {
            self.child.kill();
        }
        self.control.notify_one();
    }

    /// Notes a sign of life.
    pub(super) fn heard_now(&self) {
        let millis = self.started.elapsed().as_millis() as u64;
        self.heard.store(millis, Ordering::Relaxed);
    }

    fn silence(&self) -> Duration {
        let heard = Duration::from_millis(self.heard.load(Ordering::Relaxed));
        self.started.elapsed().saturating_sub(heard)
    }

    /// How it ended, once it has.
    pub(super) fn end(&self) -> Option<&End> {
        self.end.get()
    }

    /// The fault of a call that was lost with it.
    pub(super) fn end_fault(&self) -> Fault {
        match self.end.get() {
            Some(end) => end.fault(self.quota_mb),
            None => End::Unreachable("the container's channel is closed").fault(self.quota_mb),
        }
    }

    /// Bytes of memory that the process holds now, from `/proc`.
    pub(super) fn memory(&self) -> Option<u64> {
        let statm = std::fs::read_to_string(format!("/proc/{}/statm", self.child.pid)).ok()?;
        let pages: u64 = statm.split_whitespace().nth(1)?.parse().ok()?;
        // SAFETY: sysconf takes a constant.
        let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
        Some(pages * u64::try_from(page).ok()?)
    }

    /// Watches the process until it has ended and everything about it is settled. `exited` can be
    /// read once it has ended.
    pub(super) async fn supervise(
        self: Arc<Self>,
        inner: Arc<Inner>,
        exited: AsyncFd<OwnedFd>,
        reader: JoinHandle<ReadEnd>,
        output: JoinHandle<()>,
    ) {
        let end = self.watch(&inner, exited, reader).await;
        // What it wrote last belongs before the line that tells its end.
        let _ = tokio::time::timeout(LINGER, output).await;
        self.report(&inner, &end);
        let _ = self.end.set(end);
        self.pool.forget(&self);
        self.want(Wish::Finish("ended"));
        self.enter(Phase::Ended);
        self.connection.close();
        self.connection.changed.notify_one();
        inner.ended(self.number);
        let cgroup = self.cgroup_lock().take();
        if let Some(cgroup) = cgroup {
            // The kernel may still count the process for an instant, which this waits out.
            tokio::task::spawn_blocking(move || drop(cgroup));
        }
    }

    /// Waits for the end and says which it was.
    async fn watch(
        self: &Arc<Self>,
        inner: &Inner,
        exited: AsyncFd<OwnedFd>,
        mut reader: JoinHandle<ReadEnd>,
    ) -> End {
        let options = inner.options.load_full();
        let usual = [options.stop_grace / 4, options.silent_after / 4];
        let usual = usual.into_iter().min().unwrap_or(LINGER);
        let usual = match self.pool.lane {
            Lane::Scoring => usual,
            Lane::Batch => usual.min(BATCH_STOP_GRACE / 4),
        };
        let usual = usual.clamp(FINISHING_TICK, Duration::from_millis(500));
        let mut read_end = None;
        let mut closed_at: Option<Instant> = None;
        let mut unreachable = None;
        let mut quiet = 0;
        let mut bye: Option<Instant> = None;
        loop {
            let finishing = !matches!(self.wish(), Wish::Serve) || closed_at.is_some();
            let tick = if finishing { FINISHING_TICK } else { usual };
            tokio::select! {
                _ = exited.readable() => break,
                end = &mut reader, if read_end.is_none() => {
                    let end = end.unwrap_or(ReadEnd::Closed);
                    if let ReadEnd::Violation(_) = end {
                        self.want(Wish::Kill("violation"));
                    }
                    self.pool.forget(self);
                    read_end = Some(end);
                    closed_at = Some(Instant::now());
                }
                _ = self.control.notified() => {}
                () = tokio::time::sleep(tick) => {}
            }
            if closed_at.is_some_and(|at| at.elapsed() > LINGER) && unreachable.is_none() {
                unreachable = Some("its channel is closed while it lives");
                self.want(Wish::Kill("unreachable"));
            }
            let greeted = self.connection.calls().handshake.hello.is_some();
            quiet = if greeted && self.silence() > options.silent_after {
                quiet + 1
            } else {
                0
            };
            // Twice, so that a gateway that was itself held up reads first what has come.
            if quiet >= 2 && unreachable.is_none() {
                unreachable = Some("its heartbeats are missed while it lives");
                self.want(Wish::Kill("unreachable"));
            }
            self.watch_calls(inner, &mut bye);
        }
        let exit = loop {
            match self.child.reap() {
                Some(exit) => break exit,
                None => tokio::time::sleep(Duration::from_millis(1)).await,
            }
        };
        if read_end.is_none() {
            // Answers that were written before the end count.
            read_end = match tokio::time::timeout(LINGER, &mut reader).await {
                Ok(end) => end.ok(),
                Err(_) => {
                    reader.abort();
                    None
                }
            };
        }
        if let Some(ReadEnd::Violation(what)) = read_end {
            return End::Violation(what);
        }
        if let Some(what) = unreachable {
            return End::Unreachable(what);
        }
        if let Wish::Kill(why) = self.wish() {
            return End::Asked(why);
        }
        let refused = self.connection.calls().handshake.refused;
        let oom_kills = self.cgroup_lock().as_ref().map_or(0, Cgroup::oom_kills);
        match (exit, self.wish(), refused) {
            (Exit::Status(QUOTA_EXIT), ..) => End::Quota,
            (Exit::Signal(libc::SIGKILL), ..) if oom_kills > 0 => End::Quota,
            (Exit::Status(_), _, Some(reason)) => End::Refused(reason),
            (Exit::Status(0), Wish::Finish(why), _) if bye.is_some() => End::Asked(why),
            (Exit::Status(status), ..) => End::Status(status),
            (Exit::Signal(signal), ..) => End::Signal(signal),
        }
    }

    /// Retires a container that does not stop a call, and ends one that is to end.
    fn watch_calls(self: &Arc<Self>, inner: &Inner, bye: &mut Option<Instant>) {
        let (waiting, abandoned) = {
            let calls = self.connection.calls();
            (calls.waiting(), calls.oldest_abandoned())
        };
        let grace = match self.pool.lane {
            Lane::Scoring => inner.options.load().stop_grace,
            Lane::Batch => BATCH_STOP_GRACE,
        };
        let stuck = abandoned.is_some_and(|since| since.elapsed() > grace);
        match self.wish() {
            // Whatever else it does is a piece of a job of the same service, which is done again.
            Wish::Serve | Wish::Finish(_) if stuck && self.pool.lane == Lane::Batch => {
                let text = format!(
                    "container {} is ended: it goes on with work that nobody waits for",
                    self.child.pid
                );
                inner.note(&self.pool, NoteLevel::Warn, text);
                self.pool.forget(self);
                self.want(Wish::Kill("stuck"));
            }
            Wish::Serve if stuck => {
                let text = format!(
                    "container {} is retired: it goes on with a call that nobody waits for",
                    self.child.pid
                );
                inner.note(&self.pool, NoteLevel::Warn, text);
                self.pool.forget(self);
                self.want(Wish::Finish("retired"));
            }
            Wish::Finish(why) if waiting == 0 => match *bye {
                None if abandoned.is_none() => {
                    self.connection.send(Frame::Bye);
                    *bye = Some(Instant::now());
                }
                None if stuck => self.want(Wish::Kill(why)),
                Some(since) if since.elapsed() > inner.options.load().end_grace => {
                    self.want(Wish::Kill(why));
                }
                _ => {}
            },
            _ => {}
        }
    }

    /// Logs and counts the end. Where calls are told of it, they count its fault.
    fn report(&self, inner: &Inner, end: &End) {
        let reason = end.reason();
        inner.telemetry.containers().ended(reason);
        let told = self.connection.calls().waiting() > 0;
        let started = *self.phase.lock().unwrap_or_else(PoisonError::into_inner);
        if !told && started != Phase::Starting && !matches!(end, End::Asked(_)) {
            let fault = end.fault(self.quota_mb);
            inner.telemetry.observe(&fault, Surface::Host);
        }
        let level = match end {
            End::Asked(_) => NoteLevel::Info,
            _ => NoteLevel::Error,
        };
        let pid = self.child.pid;
        let what = match end {
            End::Asked(why) => format!("container {pid} ended: {why}"),
            other => {
                let fault = other.fault(self.quota_mb);
                let cause = fault.cause().unwrap_or(reason);
                format!("container {pid} ended: {} ({cause})", fault.name())
            }
        };
        inner.note(&self.pool, level, what);
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Only where the runtime was stopped under the supervisor: no orphan stays.
        if self.end.get().is_none() {
            self.child.kill();
        }
    }
}
