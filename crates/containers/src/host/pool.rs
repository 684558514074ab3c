//! The containers of one endpoint in one lane, and the calls that wait for room in them.
//!
//! Scoring calls go to the endpoint's current revision. Batch work stays with the revision that it
//! asks for, however many came after.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use faults::{Class, Fault, not_found, service_unavailable};
use tokio::sync::oneshot;

use super::machine::{Machine, Shortage};
use super::options::{Lane, PoolLimits};
use super::process::{Process, Wish};

/// Revisions remembered as replaced, so that a late call for one finds its successor.
const REPLACED: usize = 16;
/// The first pause after a failed start, and the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// An endpoint's containers of a lane.
pub(super) struct Pool {
    pub(super) endpoint: [u8; 16],
    pub(super) lane: Lane,
    pub(super) label: String,
    pub(super) machine: Arc<Machine>,
    state: Mutex<State>,
}

#[derive(Default)]
pub(super) struct State {
    /// Calls stay with the revision that they ask for.
    pinned: bool,
    /// The revision that calls go to.
    current: Option<[u8; 16]>,
    replaced: VecDeque<[u8; 16]>,
    pub(super) groups: Vec<Group>,
    /// No call is taken any more: the endpoint was deleted, or the host ends.
    closed: Option<Fault>,
    /// What the last successful start took.
    last_start: Option<Duration>,
    /// When a container was last started for calls.
    pub(super) last_turn: Option<Instant>,
    /// The scheduler looks at this pool by itself, not later than this.
    pub(super) check_at: Option<Instant>,
}

/// The containers of one revision that take calls, and the calls that wait for one.
pub(super) struct Group {
    pub(super) revision: [u8; 16],
    /// Known once the revision was opened.
    pub(super) limits: Option<PoolLimits>,
    pub(super) members: Vec<Member>,
    pub(super) starting: usize,
    pub(super) waiters: VecDeque<Waiter>,
    failures: u32,
    /// No further start before this.
    pub(super) pause_until: Option<Instant>,
    fault: Option<Fault>,
}

pub(super) struct Member {
    pub(super) process: Arc<Process>,
    /// Calls it was given and has not answered.
    pub(super) admitted: usize,
    pub(super) idle_since: Instant,
}

pub(super) struct Waiter {
    pub(super) since: Instant,
    answer: oneshot::Sender<Result<Admission, Fault>>,
}

impl Waiter {
    /// Whether the call went away.
    pub(super) fn is_gone(&self) -> bool {
        self.answer.is_closed()
    }
}

/// Room for one call in a container, given back when it is dropped.
pub(super) struct Admission {
    pub(super) process: Arc<Process>,
    kept: bool,
}

impl Admission {
    /// The container goes on with the call: its room is given back when it has answered.
    pub(super) fn keep(mut self) {
        self.kept = true;
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        if !self.kept {
            self.process.pool.release(&self.process, 1);
        }
    }
}

/// What a call gets that finds no room at once.
pub(super) enum Queued {
    /// There was room after all.
    Admitted(Admission),
    /// How many wait before it, and where the answer comes.
    Waits(usize, oneshot::Receiver<Result<Admission, Fault>>),
}

impl Group {
    fn new(revision: [u8; 16]) -> Group {
        Group {
            revision,
            limits: None,
            members: Vec::new(),
            starting: 0,
            waiters: VecDeque::new(),
            failures: 0,
            pause_until: None,
            fault: None,
        }
    }

    fn is_empty(&self) -> bool {
        self.members.is_empty() && self.starting == 0 && self.waiters.is_empty()
    }

    pub(super) fn limits(&self) -> PoolLimits {
        self.limits.unwrap_or_default()
    }

    /// Whether the revision may have a further container.
    pub(super) fn may_grow(&self) -> bool {
        // One container alone until the first start has told the limits.
        let most = self.limits.map_or(1, |limits| limits.max_instances.max(1));
        self.members.len() + self.starting < most
    }

    /// Room in the container with the fewest calls.
    fn admit(&mut self, limit: usize) -> Option<Admission> {
        let member = self.members.iter_mut().min_by_key(|m| m.admitted)?;
        if member.admitted >= limit {
            return None;
        }
        member.admitted += 1;
        Some(Admission {
            process: member.process.clone(),
            kept: false,
        })
    }

    /// Hands room to those who wait, first come first served.
    fn serve(&mut self, limit: usize) {
        while !self.waiters.is_empty() {
            let Some(admission) = self.admit(limit) else {
                return;
            };
            let Some(waiter) = self.waiters.pop_front() else {
                return;
            };
            if let Err(Ok(unwanted)) = waiter.answer.send(Ok(admission)) {
                // Dropping it would ask for the lock that is held here.
                let process = unwanted.process.clone();
                unwanted.keep();
                self.give_back(&process, 1);
            }
        }
    }

    /// Calls that a container has left after these; `None` where it is not of this group.
    fn give_back(&mut self, process: &Arc<Process>, count: usize) -> Option<usize> {
        let found = |m: &&mut Member| Arc::ptr_eq(&m.process, process);
        let member = self.members.iter_mut().find(found)?;
        member.admitted = member.admitted.saturating_sub(count);
        if member.admitted == 0 {
            member.idle_since = Instant::now();
        }
        Some(member.admitted)
    }

    fn fail_waiters(&mut self, fault: &Fault) {
        for waiter in self.waiters.drain(..) {
            // One that went away meanwhile needs no answer.
            let _ = waiter.answer.send(Err(fault.clone()));
        }
    }
}

impl Pool {
    pub(super) fn new(endpoint: [u8; 16], lane: Lane, label: &str, machine: Arc<Machine>) -> Pool {
        let pinned = lane == Lane::Batch;
        Pool {
            endpoint,
            lane,
            label: label.to_owned(),
            machine,
            state: Mutex::new(State {
                pinned,
                ..State::default()
            }),
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Room for a call at once, unless others wait before it.
    pub(super) fn admit(&self, revision: [u8; 16], limit: usize) -> Option<Admission> {
        let mut state = self.lock();
        let at = state.find(revision)?;
        let group = &mut state.groups[at];
        if !group.waiters.is_empty() {
            return None;
        }
        group.admit(limit)
    }

    /// Puts a call into the queue. While starts pause after failures, the last one's fault is the
    /// answer.
    pub(super) fn enqueue(&self, revision: [u8; 16], limit: usize) -> Result<Queued, Fault> {
        let mut state = self.lock();
        if let Some(fault) = &state.closed {
            return Err(fault.clone());
        }
        let at = state.find_or_make(revision);
        let group = &mut state.groups[at];
        let now = Instant::now();
        if group.members.is_empty()
            && group.starting == 0
            && group.pause_until.is_some_and(|until| now < until)
            && let Some(fault) = &group.fault
        {
            return Err(fault.clone());
        }
        if group.waiters.is_empty()
            && let Some(admission) = group.admit(limit)
        {
            return Ok(Queued::Admitted(admission));
        }
        let (answer, result) = oneshot::channel();
        let ahead = group.waiters.iter().filter(|w| !w.is_gone()).count();
        group.waiters.push_back(Waiter { since: now, answer });
        Ok(Queued::Waits(ahead, result))
    }

    /// Whether the scheduler must be told of a new waiter, or looks soon by itself.
    pub(super) fn needs_check(&self) -> bool {
        let mut state = self.lock();
        let now = Instant::now();
        if state.check_at.is_some() {
            return false;
        }
        state.check_at = Some(now);
        true
    }

    /// Why a call that came when `ahead` others waited still waits, as a fault; `None` where it
    /// waits for its turn behind other calls of its own service. (Those before it have given up
    /// just before it does: what counts is that it needed a container beyond theirs.)
    pub(super) fn obstacle(
        &self,
        revision: [u8; 16],
        ahead: usize,
        shortage: Option<Shortage>,
        calls_per_container: usize,
        starting_per_service: usize,
    ) -> Option<Fault> {
        let state = self.lock();
        let last_start = state.last_start.unwrap_or(Duration::from_secs(1));
        let loading = || Fault::bare(Class::InitializingContainers).retry_after(last_start);
        let Some(at) = state.find(revision) else {
            return Some(loading());
        };
        let group = &state.groups[at];
        if ahead < group.starting * calls_per_container {
            return Some(loading());
        }
        if !group.may_grow() {
            return group.members.is_empty().then(loading);
        }
        let fault = match shortage {
            Some(Shortage::Slots) => service_unavailable::no_more_resources(),
            Some(Shortage::Starts) => service_unavailable::too_many_hosts_being_initialized(),
            None if state.starting() >= starting_per_service => {
                service_unavailable::too_many_hosts_being_initialized_per_model()
            }
            None => loading(),
        };
        Some(fault.retry_after(last_start))
    }

    /// Gives room back and hands it on.
    pub(super) fn release(&self, process: &Arc<Process>, count: usize) {
        let limit = process.connection.board.calls();
        let mut state = self.lock();
        for group in &mut state.groups {
            if let Some(left) = group.give_back(process, count) {
                group.serve(limit);
                if left == 0 && group.waiters.is_empty() {
                    drop(state);
                    self.machine.became_idle();
                }
                return;
            }
        }
    }

    /// The revision was opened: what its containers may take.
    pub(super) fn set_limits(&self, revision: [u8; 16], limits: PoolLimits) {
        let mut state = self.lock();
        if let Some(group) = state.groups.iter_mut().find(|g| g.revision == revision) {
            group.limits = Some(limits);
        }
        drop(state);
        self.machine.freed.notify_one();
    }

    /// A container that was started for this pool's calls is ready. One of a revision that was
    /// replaced meanwhile ends.
    pub(super) fn started(&self, process: &Arc<Process>, limits: PoolLimits) {
        let mut state = self.lock();
        state.last_start = Some(process.started.elapsed());
        let limit = process.connection.board.calls();
        let wanted = state.closed.is_none() && matches!(process.wish(), Wish::Serve);
        let revision = process.revision;
        let alive = process.end().is_none();
        let Some(group) = state.groups.iter_mut().find(|g| g.revision == revision) else {
            drop(state);
            return process.want(Wish::Finish("replaced"));
        };
        group.starting = group.starting.saturating_sub(1);
        group.failures = 0;
        group.pause_until = None;
        group.fault = None;
        group.limits = Some(limits);
        if wanted && alive {
            group.members.push(Member {
                process: process.clone(),
                admitted: 0,
                idle_since: Instant::now(),
            });
            group.serve(limit);
        }
        drop(state);
        if !wanted {
            process.want(Wish::Finish("removed"));
        }
    }

    /// Counts a start of a successor of this container; `false` where it takes no calls.
    pub(super) fn starts_successor(&self, process: &Arc<Process>) -> bool {
        let mut state = self.lock();
        let mut groups = state.groups.iter_mut();
        let takes_calls =
            |g: &&mut Group| g.members.iter().any(|m| Arc::ptr_eq(&m.process, process));
        let Some(group) = groups.find(takes_calls) else {
            return false;
        };
        group.starting += 1;
        true
    }

    /// A start failed: all who wait for it and can be served by no other get its fault. Whether
    /// there was anybody to tell.
    pub(super) fn start_failed(&self, revision: [u8; 16], fault: &Fault) -> bool {
        let mut state = self.lock();
        let Some(group) = state.groups.iter_mut().find(|g| g.revision == revision) else {
            return false;
        };
        group.starting = group.starting.saturating_sub(1);
        let pause = FIRST_PAUSE * 2_u32.saturating_pow(group.failures.min(10));
        group.failures = group.failures.saturating_add(1);
        group.pause_until = Some(Instant::now() + pause.min(LONGEST_PAUSE));
        group.fault = Some(fault.clone());
        let alone = group.members.is_empty() && group.starting == 0;
        let told = alone && group.waiters.iter().any(|w| !w.is_gone());
        if alone {
            group.fail_waiters(fault);
        }
        told
    }

    /// The endpoint is to have containers ready as these limits say, without waiting for a call.
    pub(super) fn warm(&self, revision: [u8; 16], limits: PoolLimits) {
        let mut state = self.lock();
        let at = state.find_or_make(revision);
        state.groups[at].limits = Some(limits);
    }

    /// Makes ready containers of a new revision known; calls go to it once it is current, or ask
    /// for it by its id.
    pub(super) fn prepared(&self, process: &Arc<Process>, limits: PoolLimits) {
        let mut state = self.lock();
        state.closed = None;
        state.last_start = Some(process.started.elapsed());
        let at = match state
            .groups
            .iter()
            .position(|g| g.revision == process.revision)
        {
            Some(at) => at,
            None => {
                state.groups.push(Group::new(process.revision));
                state.groups.len() - 1
            }
        };
        let group = &mut state.groups[at];
        group.limits = Some(limits);
        if process.end().is_none() {
            group.members.push(Member {
                process: process.clone(),
                admitted: 0,
                idle_since: Instant::now(),
            });
        }
    }

    /// Calls go to this revision from now on; the containers of all others finish theirs.
    pub(super) fn activate(&self, revision: [u8; 16], limit: usize) {
        let mut state = self.lock();
        let replaced = state.replace(revision, limit);
        drop(state);
        for process in replaced {
            process.want(Wish::Finish("replaced"));
        }
    }

    /// Takes back [`Pool::prepared`], unless the revision has become current.
    pub(super) fn discard(&self, revision: [u8; 16]) {
        let mut state = self.lock();
        if state.current == Some(revision) {
            return;
        }
        let mut ended = Vec::new();
        state.groups.retain_mut(|group| {
            let keep = group.revision != revision || !group.waiters.is_empty();
            if !keep {
                ended.extend(group.members.drain(..).map(|m| m.process));
            }
            keep
        });
        drop(state);
        for process in ended {
            process.want(Wish::Finish("discarded"));
        }
    }

    /// The endpoint is deleted: its containers finish their calls, those who wait are told.
    pub(super) fn remove(&self) {
        self.end_all("removed", &not_found::web_service_not_found());
    }

    /// Ends every container and whoever waits.
    pub(super) fn end_all(&self, why: &'static str, fault: &Fault) {
        let mut state = self.lock();
        state.closed = Some(fault.clone());
        let mut ended = Vec::new();
        for mut group in state.groups.drain(..) {
            ended.extend(group.members.drain(..).map(|m| m.process));
            group.fail_waiters(fault);
        }
        drop(state);
        for process in ended {
            process.want(Wish::Finish(why));
        }
    }

    /// Whether there is nothing in it and will be nothing by itself: no container, no start, no
    /// call that waits, and no revision but such as the source does not know (any more). In the
    /// batch lane nothing is kept of a revision that is without work.
    pub(super) fn is_vacant(&self) -> bool {
        let mut state = self.lock();
        if state.pinned {
            let now = Instant::now();
            state.groups.retain(|group| {
                !group.is_empty() || group.pause_until.is_some_and(|until| now < until)
            });
        }
        let unknown = |group: &Group| {
            let fault = group.fault.as_ref();
            group.is_empty() && fault.is_some_and(|fault| fault.class() == Class::NotFound)
        };
        state.groups.iter().all(unknown)
    }

    /// The container takes no calls any more.
    pub(super) fn forget(&self, process: &Arc<Process>) {
        let mut state = self.lock();
        for group in &mut state.groups {
            group.members.retain(|m| !Arc::ptr_eq(&m.process, process));
        }
    }
}

impl State {
    /// The group that a call for this revision goes to: its own while it is not replaced, else
    /// the current one.
    fn find(&self, revision: [u8; 16]) -> Option<usize> {
        let wanted = match self.current {
            Some(current) if self.replaced.contains(&revision) => current,
            _ => revision,
        };
        self.groups.iter().position(|g| g.revision == wanted)
    }

    fn find_or_make(&mut self, revision: [u8; 16]) -> usize {
        let wanted = match self.current {
            Some(current) if self.replaced.contains(&revision) => current,
            _ => revision,
        };
        if self.current.is_none() && !self.pinned {
            self.current = Some(wanted);
        }
        match self.groups.iter().position(|g| g.revision == wanted) {
            Some(at) => at,
            None => {
                self.groups.push(Group::new(wanted));
                self.groups.len() - 1
            }
        }
    }

    /// Containers of this endpoint that start now.
    pub(super) fn starting(&self) -> usize {
        self.groups.iter().map(|g| g.starting).sum()
    }

    /// Makes a revision current; the containers that are to finish.
    fn replace(&mut self, revision: [u8; 16], limit: usize) -> Vec<Arc<Process>> {
        self.closed = None;
        self.current = Some(revision);
        self.replaced.retain(|r| *r != revision);
        let at = self.find_or_make(revision);
        let mut group = self.groups.swap_remove(at);
        let mut ended = Vec::new();
        for old in self.groups.drain(..) {
            self.replaced.push_back(old.revision);
            ended.extend(old.members.into_iter().map(|m| m.process));
            group.waiters.extend(old.waiters);
        }
        while self.replaced.len() > REPLACED {
            self.replaced.pop_front();
        }
        group.serve(limit);
        self.groups.push(group);
        ended
    }
}
