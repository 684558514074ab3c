//! The host's end of a container's channel.
//!
//! A caller appends its frames to one shared buffer under a short lock and writes at once, unless
//! another caller is writing, who then takes them along. One task reads and hands every answer to
//! the caller that waits for it. Nothing is passed through queues.

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::io::unix::AsyncFd;
use tokio::io::{Interest, Ready};
use tokio::sync::Notify;

use super::calls::{Calls, Outcome};
use super::pool::Admission;
use crate::board::Board;
use crate::frames::{CallHead, Frame, Identity, Inbound, MAX_PAYLOAD, WINDOW, encode_data};
use crate::{side_channel, system};

/// Bytes put together for one write.
const BATCH: usize = 256 * 1024;
/// Bytes taken in one read.
const READ: usize = 256 * 1024;

/// The pause before the socket is tried again where it cannot be watched.
const UNWATCHED_PAUSE: Duration = Duration::from_millis(5);

/// A container with so many other calls is busy.
const BUSY: usize = 3;

/// Why reading a channel ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ReadEnd {
    /// The container closed it.
    Closed,
    /// What came is against the protocol.
    Violation(String),
}

/// Has the runtime watch a descriptor.
fn watch(fd: OwnedFd, interest: Interest) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an OwnedFd stays open, and the same, for as long as it lives; the AsyncFd owns it.
    unsafe { AsyncFd::register_with_interest(fd, interest) }.map_err(io::Error::from)
}

/// A second descriptor of the same file, watched for what can be read.
pub(super) fn watch_readable(fd: BorrowedFd<'_>) -> io::Result<AsyncFd<OwnedFd>> {
    watch(fd.try_clone_to_owned()?, Interest::READABLE)
}

/// One container's channel.
pub(super) struct Connection {
    fd: OwnedFd,
    /// On which descriptors of batch work go, in that lane.
    side_channel: Option<OwnedFd>,
    pub(super) identity: Identity,
    pub(super) board: Board,
    outbox: Mutex<Outbox>,
    calls: Mutex<Calls>,
    /// Told when the handshake or the number of calls moved on.
    pub(super) changed: Notify,
    runtime: tokio::runtime::Handle,
}

#[derive(Default)]
struct Outbox {
    buffer: Vec<u8>,
    spare: Vec<u8>,
    writing: bool,
    /// The socket is full; a task waits for room.
    blocked: bool,
    /// The channel is closed: nothing is kept any more.
    closed: bool,
    pending: VecDeque<Pending>,
}

struct Pending {
    id: u32,
    body: Bytes,
    credit: usize,
}

/// What a read brought about, for the pool.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// Calls given up before that the container has done with now: so many places are free.
    pub(super) finished: usize,
}

impl Connection {
    pub(super) fn new(
        fd: OwnedFd,
        side_channel: Option<OwnedFd>,
        identity: Identity,
        board: Board,
        max_reply: usize,
    ) -> Connection {
        let calls = Calls::new(board.calls(), max_reply);
        Connection {
            fd,
            side_channel,
            identity,
            board,
            outbox: Mutex::default(),
            calls: Mutex::new(calls),
            changed: Notify::new(),
            runtime: tokio::runtime::Handle::current(),
        }
    }

    pub(super) fn calls(&self) -> MutexGuard<'_, Calls> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn outbox(&self) -> MutexGuard<'_, Outbox> {
        self.outbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends the set-up: the document and the package, without waiting for credit.
    pub(super) fn send_setup(self: &Arc<Self>, document: Vec<u8>, package: Vec<u8>) {
        let mut outbox = self.outbox();
        Frame::Setup {
            identity: self.identity,
            document: document.len() as u32,
            package: package.len() as u32,
        }
        .encode(&mut outbox.buffer);
        for body in [document, package] {
            outbox.pending.push_back(Pending {
                id: crate::frames::SETUP,
                body: body.into(),
                credit: usize::MAX,
            });
        }
        drop(outbox);
        self.flush();
    }

    /// Sends a frame that belongs to no body.
    pub(super) fn send(self: &Arc<Self>, frame: Frame<'_>) {
        frame.encode(&mut self.outbox().buffer);
        self.flush();
    }

    /// Takes a place for a call: its id, and how many other places are taken.
    fn open(&self) -> Option<(u32, usize)> {
        let mut calls = self.calls();
        let id = calls.open()?;
        // Under the lock, so that nobody takes what the board says of an earlier call with this
        // id for this one's.
        self.board.clear(id);
        Some((id, calls.taken() - 1))
    }

    /// Hands a call over and returns what waits for its answer; `None` where the container is
    /// gone already or has no place left.
    pub(super) fn call(
        self: &Arc<Self>,
        operation: u8,
        budget_ms: u32,
        body: &Bytes,
        admission: Admission,
    ) -> Option<Waiting> {
        let (id, others) = self.open()?;
        let outbox = self.outbox();
        Some(self.hand_over(outbox, (id, others), operation, budget_ms, body, admission))
    }

    /// [`Connection::call`] with descriptors, which reach the container before the call does.
    /// `Err` where the system does not take them.
    pub(super) fn call_with(
        self: &Arc<Self>,
        operation: u8,
        budget_ms: u32,
        body: &Bytes,
        descriptors: &[OwnedFd],
        admission: Admission,
    ) -> io::Result<Option<Waiting>> {
        let Some(side_channel) = &self.side_channel else {
            return Err(io::Error::other("the container has no side channel"));
        };
        let Some((id, others)) = self.open() else {
            return Ok(None);
        };
        // Under the lock, so that descriptors come in the order of their calls.
        let outbox = self.outbox();
        if let Err(error) = side_channel::send(side_channel.as_raw_fd(), id, descriptors) {
            drop(outbox);
            self.calls().withdraw(id);
            return Err(error);
        }
        let place = (id, others);
        Ok(Some(self.hand_over(
            outbox, place, operation, budget_ms, body, admission,
        )))
    }

    fn hand_over(
        self: &Arc<Self>,
        mut outbox: MutexGuard<'_, Outbox>,
        (id, others): (u32, usize),
        operation: u8,
        budget_ms: u32,
        body: &Bytes,
        admission: Admission,
    ) -> Waiting {
        let head = CallHead {
            id,
            token: self.identity.token,
            revision: self.identity.revision,
            operation,
            budget_ms,
            len: body.len() as u32,
        };
        Frame::Call(head).encode(&mut outbox.buffer);
        if body.len() <= MAX_PAYLOAD {
            encode_data(id, body, &mut outbox.buffer);
        } else {
            outbox.pending.push_back(Pending {
                id,
                body: body.clone(),
                credit: WINDOW,
            });
        }
        drop(outbox);
        // Where the container has work enough to go on with, the frames may wait for those of
        // other callers that are about to come: one write for all of them costs a fraction.
        let unsent = others >= BUSY;
        if !unsent {
            self.flush();
        }
        let connection = self.clone();
        Waiting {
            unsent,
            connection,
            id,
            admission: Some(admission),
        }
    }

    /// Writes what can be written now.
    fn flush(self: &Arc<Self>) {
        let mut outbox = self.outbox();
        if outbox.writing || outbox.blocked {
            return;
        }
        loop {
            outbox.fill();
            if outbox.closed {
                outbox.buffer.clear();
            }
            if outbox.buffer.is_empty() {
                return;
            }
            outbox.writing = true;
            let spare = std::mem::take(&mut outbox.spare);
            let mut buffer = std::mem::replace(&mut outbox.buffer, spare);
            drop(outbox);
            let mut sent = 0;
            let error = loop {
                match system::send(self.fd.as_raw_fd(), &buffer[sent..], libc::MSG_DONTWAIT) {
                    Ok(count) => sent += count,
                    Err(error) => break Some(error),
                }
                if sent == buffer.len() {
                    break None;
                }
            };
            outbox = self.outbox();
            outbox.writing = false;
            match error {
                None => {
                    buffer.clear();
                    if buffer.capacity() <= 2 * BATCH {
                        outbox.spare = buffer;
                    }
                }
                Some(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    buffer.drain(..sent);
                    buffer.extend_from_slice(&outbox.buffer);
                    outbox.buffer = buffer;
                    outbox.blocked = true;
                    drop(outbox);
                    let connection = self.clone();
                    self.runtime.spawn(connection.wait_for_room());
                    return;
                }
                // The reader sees the same and ends the container.
                Some(_) => outbox.close(),
            }
        }
    }

    /// Goes on writing when the socket has room. A second descriptor is watched for that, and
    /// only now: watching the first one for room as well would wake the runtime each time the
    /// container reads.
    fn wait_for_room(self: Arc<Self>) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(async move {
            let watched = self
                .fd
                .try_clone()
                .and_then(|fd| watch(fd, Interest::WRITABLE));
            match watched {
                Ok(watched) => drop(watched.writable().await),
                // No descriptor is left, or the kernel watches no more: the container reads on.
                Err(_) => tokio::time::sleep(UNWATCHED_PAUSE).await,
            }
            self.outbox().blocked = false;
            self.flush();
        })
    }

    /// Nobody waits for a call any more: the container is told, by the board and by a frame, and
    /// the rest of its body is not sent.
    fn cancel(self: &Arc<Self>, id: u32) {
        self.board.cancel(id);
        let mut outbox = self.outbox();
        outbox.pending.retain(|p| p.id != id);
        Frame::Cancel { id }.encode(&mut outbox.buffer);
        drop(outbox);
        self.flush();
    }

    /// Ends every call that waits, because the container is gone.
    pub(super) fn close(&self) {
        self.outbox().close();
        let wakers = self.calls().close(&self.board);
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Reads until the channel ends. `watched` is the channel, watched for what can be read;
    /// `heard` is called once a read with what came of it.
    pub(super) async fn read(
        self: Arc<Self>,
        watched: AsyncFd<OwnedFd>,
        heard: impl Fn(Progress),
    ) -> ReadEnd {
        let mut inbound = Inbound::new(READ);
        let mut dispatch = Dispatch::default();
        loop {
            let Ok(mut guard) = watched.readable().await else {
                return ReadEnd::Closed;
            };
            let space = inbound.space();
            let room = space.len();
            let count = match system::receive(self.fd.as_raw_fd(), space, libc::MSG_DONTWAIT) {
                Ok(0) => return ReadEnd::Closed,
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    guard.clear_ready_matching(Ready::READABLE);
                    continue;
                }
                Err(_) => return ReadEnd::Closed,
            };
            if count < room {
                // The socket was emptied; what comes later makes it ready anew.
                guard.clear_ready_matching(Ready::READABLE);
            }
            inbound.filled(count);
            let result = self.dispatch(&mut inbound, &mut dispatch);
            heard(Progress {
                finished: std::mem::take(&mut dispatch.finished),
            });
            if let Err(violation) = result {
                return ReadEnd::Violation(violation);
            }
        }
    }

    fn dispatch(
        self: &Arc<Self>,
        inbound: &mut Inbound,
        dispatch: &mut Dispatch,
    ) -> Result<(), String> {
        let mut calls = self.calls();
        let result = loop {
            match inbound.next_frame() {
                Ok(Some(frame)) => {
                    if let Err(violation) = calls.take(frame, dispatch) {
                        break Err(violation);
                    }
                }
                Ok(None) => break Ok(()),
                Err(error) => break Err(error.to_string()),
            }
        };
        let changed = std::mem::take(&mut dispatch.changed);
        drop(calls);
        dispatch.wakers.drain(..).for_each(Waker::wake);
        if changed {
            self.changed.notify_one();
        }
        if !dispatch.dropped.is_empty() {
            let mut outbox = self.outbox();
            outbox.pending.retain(|p| !dispatch.dropped.contains(&p.id));
            dispatch.dropped.clear();
        }
        if !dispatch.grants.is_empty() || !dispatch.granted.is_empty() {
            let mut outbox = self.outbox();
            for (id, bytes) in dispatch.grants.drain(..) {
                Frame::Credit { id, bytes }.encode(&mut outbox.buffer);
            }
            for (id, bytes) in dispatch.granted.drain(..) {
                if let Some(pending) = outbox.pending.iter_mut().find(|p| p.id == id) {
                    pending.credit = pending.credit.saturating_add(bytes as usize);
                }
            }
            drop(outbox);
            self.flush();
        }
        result
    }
}

/// What handling frames asks for, done after the lock is given back.
#[derive(Default)]
pub(super) struct Dispatch {
    pub(super) wakers: Vec<Waker>,
    /// Credit to send for answers.
    pub(super) grants: Vec<(u32, u32)>,
    /// Credit that came for bodies.
    pub(super) granted: Vec<(u32, u32)>,
    /// Calls whose body is not to be sent on.
    pub(super) dropped: Vec<u32>,
    pub(super) finished: usize,
    pub(super) changed: bool,
}

impl Outbox {
    /// Adds frames of the pending bodies in turns, as far as credit and batch go.
    fn fill(&mut self) {
        let mut idle = 0;
        while self.buffer.len() < BATCH && idle < self.pending.len() {
            let Some(mut next) = self.pending.pop_front() else {
                return;
            };
            let count = next.body.len().min(next.credit).min(MAX_PAYLOAD);
            if count == 0 && !next.body.is_empty() {
                idle += 1;
                self.pending.push_back(next);
                continue;
            }
            idle = 0;
            let bytes = &next.body.split_to(count);
            Frame::Data { id: next.id, bytes }.encode(&mut self.buffer);
            next.credit -= count;
            if next.body.is_empty() {
                continue;
            }
            if next.id == crate::frames::SETUP {
                // The document comes before the package; they are no two calls.
                self.pending.push_front(next);
            } else {
                self.pending.push_back(next);
            }
        }
    }

    fn close(&mut self) {
        self.closed = true;
        self.buffer = Vec::new();
        self.pending.clear();
    }
}

/// A call handed over, until its answer is there. Dropping it before cancels the call; its
/// admission then lasts until the container has answered.
pub(super) struct Waiting {
    connection: Arc<Connection>,
    id: u32,
    admission: Option<Admission>,
    /// Its frames were left for a later write.
    unsent: bool,
}

impl Waiting {
    /// Sends what was left for later. To be called before waiting.
    pub(super) async fn sent(&mut self) {
        if std::mem::take(&mut self.unsent) {
            // The other callers that can run now run first.
            tokio::task::yield_now().await;
            self.connection.flush();
        }
    }

    /// How far the container has come with the call, in rows and bytes.
    pub(super) fn progress(&self) -> (u64, u64) {
        self.connection.board.progress(self.id)
    }

    /// Whether the container began the call.
    pub(super) fn has_begun(&self) -> bool {
        self.connection.board.has_begun(self.id) || self.connection.calls().has_begun(self.id)
    }
}

impl Future for Waiting {
    type Output = Outcome;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Outcome> {
        self.connection.calls().poll(self.id, context.waker())
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let abandoned = self.connection.calls().abandon(self.id, Instant::now());
        if abandoned {
            if let Some(admission) = self.admission.take() {
                admission.keep();
            }
            self.connection.cancel(self.id);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;
    use crate::frames::{STATUS_STOPPED, VERSION};

    #[tokio::test]
    async fn an_id_that_recurs_begins_afresh() {
        let (ours, _theirs) = UnixStream::pair().unwrap();
        let (board, file) = Board::create(1).unwrap();
        let container = Board::open(file.as_raw_fd(), 1).unwrap();
        let identity = Identity {
            version: VERSION,
            token: [1; 16],
            revision: [2; 16],
        };
        let connection = Arc::new(Connection::new(ours.into(), None, identity, board, 1000));
        let answered = |id| {
            let (status, len) = (STATUS_STOPPED, 0);
            let frame = Frame::Reply { id, status, len };
            let mut dispatch = Dispatch::default();
            connection.calls().take(frame, &mut dispatch).unwrap();
        };
        let (first, others) = connection.open().unwrap();
        assert_eq!(others, 0);
        container.begin(first);
        assert!(connection.calls().abandon(first, Instant::now()));
        connection.cancel(first);
        assert!(container.is_cancelled(first));
        answered(first);
        for _ in 0..u16::MAX {
            let (id, _) = connection.open().unwrap();
            assert_ne!(id, first);
            answered(id);
            assert!(!connection.calls().abandon(id, Instant::now()));
        }
        assert_eq!(connection.open(), Some((first, 0)));
        assert!(!container.is_cancelled(first));
        assert!(!connection.board.has_begun(first));
    }
}
