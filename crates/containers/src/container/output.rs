//! Everything a container sends: whole answers, cut into frames and coalesced into few writes.

use std::collections::VecDeque;
use std::os::fd::RawFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::board::Board;
use crate::frames::{Frame, MAX_PAYLOAD, STATUS_STOPPED, WINDOW, encode_data};
use crate::system;

/// Answers wait at most so long for further ones to share a write with.
const COALESCE: Duration = Duration::from_micros(100);
/// Bytes put together for one write.
const BATCH: usize = 256 * 1024;

/// The sending half of the channel.
pub(super) struct Output {
    fd: RawFd,
    board: Arc<Board>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Encoded frames, next to be written.
    buffer: Vec<u8>,
    /// The buffer before it, kept for its room.
    spare: Vec<u8>,
    /// Whether a thread is in `write` now; it comes back for what was added meanwhile.
    writing: bool,
    /// When the oldest unwritten answer was added.
    since: Option<Instant>,
    /// Answers that are longer than their credit, sent in turns.
    pending: VecDeque<Pending>,
}

struct Pending {
    id: u32,
    body: Vec<u8>,
    sent: usize,
    credit: usize,
}

impl Output {
    pub(super) fn new(fd: RawFd, board: Arc<Board>) -> Output {
        Output {
            fd,
            board,
            state: Mutex::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a frame; it is sent with the next flush.
    pub(super) fn frame(&self, frame: Frame<'_>) {
        frame.encode(&mut self.lock().buffer);
    }

    /// Adds an answer, whole. `body` is emptied and keeps its room where the answer was small.
    pub(super) fn reply(&self, id: u32, status: u16, body: &mut Vec<u8>, now: Instant) {
        let mut state = self.lock();
        state.since.get_or_insert(now);
        // The host writes the board before it sends `Cancel`. Where that was handled already,
        // [`Output::cancel`] found nothing, and no credit comes: a long answer would wait for ever.
        let long = body.len() > MAX_PAYLOAD;
        let status = if long && self.board.is_cancelled(id) {
            *body = Vec::new();
            STATUS_STOPPED
        } else {
            status
        };
        let len = body.len() as u32;
        Frame::Reply { id, status, len }.encode(&mut state.buffer);
        if body.len() <= MAX_PAYLOAD {
            encode_data(id, body, &mut state.buffer);
            drop(state);
            body.clear();
        } else {
            state.pending.push_back(Pending {
                id,
                body: std::mem::take(body),
                sent: 0,
                credit: WINDOW,
            });
        }
    }

    /// The host took in so much more of an answer.
    pub(super) fn credit(&self, id: u32, bytes: u32) {
        let mut state = self.lock();
        if let Some(pending) = state.pending.iter_mut().find(|p| p.id == id) {
            pending.credit = pending.credit.saturating_add(bytes as usize);
        }
    }

    /// Drops what is left of an answer that nobody waits for and says so; whether there was one.
    pub(super) fn cancel(&self, id: u32) -> bool {
        let mut state = self.lock();
        let Some(at) = state.pending.iter().position(|p| p.id == id) else {
            return false;
        };
        state.pending.remove(at);
        let status = STATUS_STOPPED;
        Frame::Reply { id, status, len: 0 }.encode(&mut state.buffer);
        true
    }

    /// Whether answers have waited for company long enough.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.lock()
            .since
            .is_some_and(|since| now.duration_since(since) >= COALESCE)
    }

    /// Writes what can be written. Returns at once where another thread is writing: it takes this
    /// along. A closed channel ends the process.
    pub(super) fn flush(&self) {
        let mut state = self.lock();
        if state.writing {
            return;
        }
        loop {
            state.fill();
            if state.buffer.is_empty() {
                return;
            }
            state.writing = true;
            state.since = None;
            let spare = std::mem::take(&mut state.spare);
            let mut buffer = std::mem::replace(&mut state.buffer, spare);
            drop(state);
            let mut rest = &buffer[..];
            while !rest.is_empty() {
                match system::send(self.fd, rest, 0) {
                    Ok(count) => rest = &rest[count..],
                    Err(_) => super::channel_closed(),
                }
            }
            buffer.clear();
            state = self.lock();
            state.writing = false;
            if buffer.capacity() <= 2 * BATCH {
                state.spare = buffer;
            }
        }
    }

    /// Whether answers wait for credit.
    pub(super) fn has_pending(&self) -> bool {
        !self.lock().pending.is_empty()
    }

    /// Writes everything, and waits for another thread that is writing.
    pub(super) fn finish(&self) {
        loop {
            self.flush();
            let state = self.lock();
            if !state.writing && state.buffer.is_empty() {
                return;
            }
            drop(state);
            std::thread::sleep(Duration::from_micros(200));
        }
    }

    /// Sends a heartbeat, unless a write is under way that shows the same.
    pub(super) fn heartbeat(&self) {
        let mut state = self.lock();
        if state.writing {
            return;
        }
        Frame::Heartbeat.encode(&mut state.buffer);
        drop(state);
        self.flush();
    }
}

impl State {
    /// Adds frames of the pending answers in turns, as far as credit and batch go.
    fn fill(&mut self) {
        let mut idle = 0;
        while self.buffer.len() < BATCH && idle < self.pending.len() {
            let Some(mut next) = self.pending.pop_front() else {
                return;
            };
            let count = (next.body.len() - next.sent)
                .min(next.credit)
                .min(MAX_PAYLOAD);
            if count == 0 {
                idle += 1;
            } else {
                idle = 0;
                let bytes = &next.body[next.sent..next.sent + count];
                Frame::Data { id: next.id, bytes }.encode(&mut self.buffer);
                next.sent += count;
                next.credit -= count;
            }
            if next.sent < next.body.len() {
                self.pending.push_back(next);
            } else {
                idle = 0;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::board::call_id;
    use crate::frames::STATUS_ANSWER;

    /// An output whose frames stay in the buffer, and the host's side of its board.
    fn output() -> (Output, Arc<Board>) {
        let (board, _file) = Board::create(2).unwrap();
        let board = Arc::new(board);
        (Output::new(-1, board.clone()), board)
    }

    #[test]
    fn a_long_answer_that_comes_after_its_cancel_is_not_kept() {
        let (output, host) = output();
        let id = call_id(0, 1);
        host.cancel(id);
        // The reader is first.
        assert!(!output.cancel(id));
        let mut body = vec![7; MAX_PAYLOAD + 1];
        output.reply(id, STATUS_ANSWER, &mut body, Instant::now());
        assert!(!output.has_pending());
        let mut expected = Vec::new();
        let (status, len) = (STATUS_STOPPED, 0);
        Frame::Reply { id, status, len }.encode(&mut expected);
        assert_eq!(output.lock().buffer, expected);
    }

    #[test]
    fn a_long_answer_that_comes_before_its_cancel_is_dropped_by_it() {
        let (output, host) = output();
        let id = call_id(1, 1);
        let mut body = vec![7; MAX_PAYLOAD + 1];
        output.reply(id, STATUS_ANSWER, &mut body, Instant::now());
        assert!(output.has_pending());
        host.cancel(id);
        assert!(output.cancel(id));
        assert!(!output.has_pending());
    }
}
