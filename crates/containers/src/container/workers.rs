//! The threads that read and run.
//!
//! There is one more thread than calls may run at once. One of them holds the *read role*: it
//! reads whatever the channel has, queues the calls that are whole, and gives the role up. Then it
//! runs one of them itself; no other thread is woken for it, because waking one costs more than a
//! cheap call does. Another is woken only where the work at hand is longer than that, or its
//! length is not known; and a monitor sees to it that the channel is read again soon where a call
//! took longer than calls of its size did before.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use faults::{Fault, bad_argument, internal_error, rows};

use super::engine::{Engine, Progress, Request};
use super::output::Output;
use super::reader::{Reader, Ready};
use crate::board::Board;
use crate::frames::{Frame, STATUS_ANSWER, STATUS_FAULT, STATUS_STOPPED, longest_reply};

/// Work shorter than this is not worth waking a thread for.
const WORTH_A_WAKE_NS: u64 = 50_000;
/// What a call of unknown length counts as.
const UNKNOWN_NS: u64 = 1_000_000;
/// How soon the monitor looks again while there is work.
const TICK: Duration = Duration::from_millis(4);
/// How long nobody may read while a thread is free to.
const UNREAD: Duration = Duration::from_millis(2);
/// Ticks without any work after which the monitor sleeps until it is woken.
const QUIET_TICKS: u32 = 25;
/// The host times calls itself; the container stops a little later, so that the host's verdict
/// is the one that stands.
const DEADLINE_SLACK: Duration = Duration::from_millis(100);
/// Stack of a thread; it counts towards the quota.
const STACK: usize = 512 * 1024;
/// A thread keeps room for an answer of at most this length.
const KEEP: usize = 256 * 1024;

/// What the threads of a container share.
pub(super) struct Shared {
    pub(super) channel: RawFd,
    pub(super) board: Arc<Board>,
    pub(super) output: Output,
    pub(super) heartbeat: Duration,
    /// The longest answer, in bytes.
    max_reply: usize,
    inbox: Mutex<Inbox>,
    work: Condvar,
    costs: Costs,
    wake_monitor: OwnedFd,
}

#[derive(Default)]
struct Inbox {
    queue: VecDeque<Ready>,
    /// What the queue is expected to take.
    queued_ns: u64,
    /// Whether a thread holds the read role, and since when nobody does.
    reading: bool,
    released: Option<Instant>,
    /// How often the read role was given up: the monitor's sign of life.
    releases: u64,
    idle: usize,
    running: usize,
    bye: bool,
    monitor_sleeps: bool,
}

impl Shared {
    pub(super) fn new(
        channel: RawFd,
        board: Arc<Board>,
        heartbeat: Duration,
        max_reply: usize,
    ) -> std::io::Result<Shared> {
        // SAFETY: eventfd takes no pointers.
        let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
        if fd < 0 {
            return Err(std::io::Error::last_os_error());
        }
        Ok(Shared {
            channel,
            output: Output::new(channel, board.clone()),
            board,
            heartbeat,
            max_reply,
            inbox: Mutex::default(),
            work: Condvar::new(),
            costs: Costs::default(),
            // SAFETY: eventfd returned a descriptor that nobody else owns.
            wake_monitor: unsafe { OwnedFd::from_raw_fd(fd) },
        })
    }

    fn lock(&self) -> MutexGuard<'_, Inbox> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs calls on `compute_threads + 1` threads, this one included, until the host says `Bye`.
pub(super) fn run(
    shared: &Arc<Shared>,
    engine: Box<dyn Engine>,
    reader: Reader,
    compute_threads: usize,
) -> std::io::Result<Infallible> {
    let team = Arc::new(Team {
        shared: shared.clone(),
        engine,
        reader: Mutex::new(reader),
        compute_threads,
    });
    {
        // Calls may have come behind the set-up, in the same read.
        let mut reader = team.reader.lock().unwrap_or_else(PoisonError::into_inner);
        reader.take_frames(&shared.output);
        drop(team.hand_over(&mut reader));
    }
    for n in 0..compute_threads {
        let team = team.clone();
        std::thread::Builder::new()
            .name(format!("compute-{n}"))
            .stack_size(STACK)
            .spawn(move || team.work())?;
    }
    team.work()
}

struct Team {
    shared: Arc<Shared>,
    engine: Box<dyn Engine>,
    reader: Mutex<Reader>,
    compute_threads: usize,
}

impl Team {
    /// One thread's life. The process ends with the last call after the host said `Bye`.
    fn work(&self) -> ! {
        let shared = &*self.shared;
        let mut reply = Vec::new();
        let mut inbox = shared.lock();
        loop {
            if inbox.running < self.compute_threads
                && let Some(call) = inbox.queue.pop_front()
            {
                inbox.running += 1;
                let expected = shared.costs.expect(call.body.len());
                let backlog = inbox.queued_ns;
                inbox.queued_ns = backlog.saturating_sub(expected);
                let wake = inbox.idle > 0 && backlog > WORTH_A_WAKE_NS;
                drop(inbox);
                if wake {
                    shared.work.notify_one();
                }
                if expected > WORTH_A_WAKE_NS {
                    // Answers that are ready do not wait for a long call.
                    shared.output.flush();
                }
                self.run_call(call, &mut reply);
                inbox = shared.lock();
                inbox.running -= 1;
            } else if inbox.bye && inbox.running == 0 && !shared.output.has_pending() {
                // The queue is empty too, or its first call would have been taken.
                drop(inbox);
                shared.output.finish();
                super::exit(0);
            } else if !inbox.reading {
                inbox.reading = true;
                drop(inbox);
                inbox = self.read();
            } else {
                // Nothing may stay unsent when a thread goes to sleep; what is added after this
                // is sent by whoever adds it.
                drop(inbox);
                shared.output.flush();
                inbox = shared.lock();
                let runnable = inbox.running < self.compute_threads && !inbox.queue.is_empty();
                if runnable || !inbox.reading {
                    continue;
                }
                inbox.idle += 1;
                inbox = shared
                    .work
                    .wait(inbox)
                    .unwrap_or_else(PoisonError::into_inner);
                inbox.idle -= 1;
            }
        }
    }

    /// Reads once with the read role, and gives the role up.
    fn read(&self) -> MutexGuard<'_, Inbox> {
        let shared = &*self.shared;
        shared.output.flush();
        let mut reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
        reader.read(&shared.output);
        if reader.batch.answer_now {
            shared.output.flush();
        }
        self.hand_over(&mut reader)
    }

    fn hand_over(&self, reader: &mut Reader) -> MutexGuard<'_, Inbox> {
        let shared = &*self.shared;
        let mut inbox = shared.lock();
        for call in reader.batch.ready.drain(..) {
            inbox.queued_ns += shared.costs.expect(call.body.len());
            inbox.queue.push_back(call);
        }
        for id in reader.batch.cancelled.drain(..) {
            // One that runs sees the board; one that was answered is no matter.
            if let Some(at) = inbox.queue.iter().position(|call| call.id == id)
                && let Some(call) = inbox.queue.remove(at)
            {
                let expected = shared.costs.expect(call.body.len());
                inbox.queued_ns = inbox.queued_ns.saturating_sub(expected);
                let (status, len) = (STATUS_STOPPED, 0);
                shared.output.frame(Frame::Reply { id, status, len });
            }
        }
        inbox.bye |= reader.batch.bye;
        inbox.reading = false;
        inbox.released = Some(Instant::now());
        inbox.releases += 1;
        if inbox.monitor_sleeps {
            inbox.monitor_sleeps = false;
            let one = 1_u64.to_ne_bytes();
            // SAFETY: eight bytes are what an eventfd takes; it cannot fail for want of room.
            unsafe { libc::write(shared.wake_monitor.as_raw_fd(), one.as_ptr().cast(), 8) };
        }
        inbox
    }

    fn run_call(&self, mut call: Ready, reply: &mut Vec<u8>) {
        let shared = &*self.shared;
        let (id, begin) = (call.id, Instant::now());
        reply.clear();
        if shared.board.is_cancelled(id) || begin >= call.deadline {
            return shared.output.reply(id, STATUS_STOPPED, reply, begin);
        }
        shared.board.begin(id);
        let limit = call.deadline + DEADLINE_SLACK;
        let stopped = || shared.board.is_cancelled(id) || Instant::now() >= limit;
        let request = Request {
            operation: call.operation,
            body: &call.body,
            descriptors: std::mem::take(&mut call.descriptors),
            progress: Progress {
                board: &shared.board,
                id,
            },
        };
        let result = catch_unwind(AssertUnwindSafe(|| {
            self.engine.run(request, &stopped, reply)
        }));
        let end = Instant::now();
        let status = match result {
            _ if shared.board.is_cancelled(id) => {
                reply.clear();
                STATUS_STOPPED
            }
            Ok(Ok(())) => STATUS_ANSWER,
            Ok(Err(fault)) => {
                reply.clear();
                if fault.is(&rows::RequestTimeout::RequestCanceled) && stopped() {
                    STATUS_STOPPED
                } else {
                    *reply = fault.to_bytes();
                    STATUS_FAULT
                }
            }
            Err(panic) => {
                *reply = panicked(&*panic).to_bytes();
                STATUS_FAULT
            }
        };
        let status = if reply.len() > longest_reply(status, shared.max_reply) {
            *reply = too_long(reply.len(), shared.max_reply).to_bytes();
            STATUS_FAULT
        } else {
            status
        };
        shared.output.reply(id, status, reply, end);
        if reply.capacity() > KEEP {
            *reply = Vec::new();
        }
        shared.costs.learn(call.body.len(), end - begin);
        if shared.output.is_due(end) {
            shared.output.flush();
        }
    }
}

/// The fault of a call whose answer is longer than the host takes; the others go on.
fn too_long(len: usize, limit: usize) -> Fault {
    bad_argument::request_body_invalid().because(format!(
        "the answer has {len} bytes, the limit of answers is {limit} bytes"
    ))
}

/// The fault of a panic that was caught while a call ran.
fn panicked(panic: &(dyn std::any::Any + Send)) -> Fault {
    internal_error::module_execution_failed().because(panic_text(panic))
}

/// What a panic said.
pub(super) fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = match (panic.downcast_ref::<&str>(), panic.downcast_ref::<String>()) {
        (Some(text), _) => text,
        (_, Some(text)) => text.as_str(),
        _ => "no message",
    };
    format!("panic: {text}")
}

/// How long calls of a size took lately, by the binary logarithm of the body's length.
struct Costs([AtomicU64; 33]);

impl Default for Costs {
    fn default() -> Self {
        Costs(std::array::from_fn(|_| AtomicU64::new(0)))
    }
}

impl Costs {
    fn class(&self, len: usize) -> &AtomicU64 {
        let bits = usize::BITS - len.leading_zeros();
        &self.0[(bits as usize).min(32)]
    }

    /// Nanoseconds, or [`UNKNOWN_NS`].
    fn expect(&self, len: usize) -> u64 {
        match self.class(len).load(Ordering::Relaxed) {
            0 => UNKNOWN_NS,
            known => known,
        }
    }

    fn learn(&self, len: usize, took: Duration) {
        let cell = self.class(len);
        let took = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX).max(1);
        let old = cell.load(Ordering::Relaxed);
        // Two threads may learn at once; one of the two samples is then lost, which is harmless.
        let new = match old {
            0 => took,
            _ => (old - old / 8).saturating_add(took / 8).max(1),
        };
        cell.store(new, Ordering::Relaxed);
    }
}

/// Sends heartbeats, ends the process when the channel closes, and wakes a reader where a long
/// call left the channel unread. Runs on a thread of its own, from before the package is loaded.
pub(super) fn monitor(shared: &Shared) {
    let mut next_beat = Instant::now() + shared.heartbeat;
    let mut quiet = 0;
    let mut seen = 0;
    loop {
        let until_beat = next_beat.saturating_duration_since(Instant::now());
        let sleeps = quiet >= QUIET_TICKS;
        let timeout = if sleeps {
            until_beat
        } else {
            until_beat.min(TICK)
        };
        let mut polled = [
            libc::pollfd {
                fd: shared.channel,
                events: 0,
                revents: 0,
            },
            libc::pollfd {
                fd: shared.wake_monitor.as_raw_fd(),
                events: libc::POLLIN,
                revents: 0,
            },
        ];
        let millis = timeout.as_micros().div_ceil(1000).min(60_000) as i32;
        // SAFETY: two entries are what the array has.
        unsafe { libc::poll(polled.as_mut_ptr(), 2, millis) };
        if polled[0].revents & (libc::POLLHUP | libc::POLLERR | libc::POLLNVAL) != 0 {
            super::channel_closed();
        }
        if polled[1].revents != 0 {
            let mut count = [0_u8; 8];
            // SAFETY: eight bytes are what an eventfd gives; it does not block.
            unsafe {
                let fd = shared.wake_monitor.as_raw_fd();
                libc::read(fd, count.as_mut_ptr().cast(), 8);
            }
        }
        if Instant::now() >= next_beat {
            shared.output.heartbeat();
            next_beat = Instant::now() + shared.heartbeat;
        }
        let mut inbox = shared.lock();
        let busy = inbox.running > 0 && !inbox.reading;
        if busy || inbox.releases != seen {
            quiet = 0;
            inbox.monitor_sleeps = false;
        } else {
            quiet = (quiet + 1).min(QUIET_TICKS);
            inbox.monitor_sleeps = quiet >= QUIET_TICKS;
        }
        seen = inbox.releases;
        let unread = inbox.released.is_some_and(|at| at.elapsed() >= UNREAD);
        let wake = !inbox.reading && inbox.idle > 0 && unread;
        drop(inbox);
        if wake {
            shared.work.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_expected_length_follows_what_calls_of_that_size_took() {
        let costs = Costs::default();
        assert_eq!(costs.expect(700), UNKNOWN_NS);
        costs.learn(700, Duration::from_micros(8));
        assert_eq!(costs.expect(600), 8_000);
        // Another size is another class.
        assert_eq!(costs.expect(70_000), UNKNOWN_NS);
        for _ in 0..100 {
            costs.learn(700, Duration::from_micros(80));
        }
        assert!(costs.expect(700) > 70_000, "{}", costs.expect(700));
        costs.learn(0, Duration::ZERO);
        assert_eq!(costs.expect(0), 1);
        costs.learn(usize::MAX, Duration::MAX);
        assert!(costs.expect(usize::MAX) > UNKNOWN_NS);
    }
}
