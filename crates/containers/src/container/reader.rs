//! The receiving half of a container's channel: frames in, whole calls out.

use std::os::fd::{OwnedFd, RawFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::output::Output;
use crate::board::{Board, place};
use crate::frames::{
    BadFrame, CallHead, Frame, Identity, Inbound, Refusal, STATUS_STOPPED, WINDOW,
};
use crate::{Operation, side_channel, system};

/// Bytes taken in one read.
const READ: usize = 256 * 1024;

/// A call whose body is there.
pub(super) struct Ready {
    pub(super) id: u32,
    pub(super) operation: Operation,
    pub(super) body: Vec<u8>,
    /// The descriptors that came with it; closed with the call, whatever becomes of it.
    pub(super) descriptors: Vec<OwnedFd>,
    /// When its budget is spent.
    pub(super) deadline: Instant,
}

struct Partial {
    call: Ready,
    len: usize,
    /// Bytes that the host may send before the next grant.
    credit: usize,
}

/// What one read brought.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) ready: Vec<Ready>,
    /// Calls that nobody waits for any more and that this reader does not hold.
    pub(super) cancelled: Vec<u32>,
    /// The host wants the container to end.
    pub(super) bye: bool,
    /// Something was added to the output that should not wait.
    pub(super) answer_now: bool,
}

impl Batch {
    fn clear(&mut self) {
        self.ready.clear();
        self.cancelled.clear();
        self.answer_now = false;
    }
}

/// Reads the channel. Only the thread that holds the read role has it.
pub(super) struct Reader {
    fd: RawFd,
    inbound: Inbound,
    identity: Identity,
    max_body: u32,
    /// Where descriptors come from, in the batch lane.
    side_channel: Option<RawFd>,
    board: Arc<Board>,
    partial: Vec<Partial>,
    pub(super) batch: Batch,
}

impl Reader {
    pub(super) fn new(
        fd: RawFd,
        inbound: Inbound,
        identity: Identity,
        max_body: u32,
        side_channel: Option<RawFd>,
        board: Arc<Board>,
    ) -> Reader {
        Reader {
            fd,
            inbound,
            identity,
            max_body,
            side_channel,
            board,
            partial: Vec::new(),
            batch: Batch::default(),
        }
    }

    /// A buffer of the size that suits [`Reader::read`].
    pub(super) fn buffer() -> Inbound {
        Inbound::new(READ)
    }

    /// Waits for bytes, takes all there are, and fills [`Reader::batch`]. A closed channel ends
    /// the process; bytes that are not frames are refused, and end it too.
    pub(super) fn read(&mut self, output: &Output) {
        self.batch.clear();
        match system::receive(self.fd, self.inbound.space(), 0) {
            Ok(0) | Err(_) => super::channel_closed(),
            Ok(count) => self.inbound.filled(count),
        }
        self.take_frames(output);
    }

    /// Takes the frames that are in the buffer already.
    pub(super) fn take_frames(&mut self, output: &Output) {
        let now = Instant::now();
        // The buffer is borrowed by the frame, so it is out of the way while the frame is used.
        let mut inbound = std::mem::replace(&mut self.inbound, Inbound::empty());
        loop {
            match inbound.next_frame() {
                Ok(Some(frame)) => self.take(frame, output, now),
                Ok(None) => break,
                Err(error) => refuse_stream(output, error),
            }
        }
        self.inbound = inbound;
    }

    fn take(&mut self, frame: Frame<'_>, output: &Output, now: Instant) {
        match frame {
            Frame::Call(head) => self.open(head, output, now),
            Frame::Data { id, bytes } => self.add(id, bytes, output),
            Frame::Credit { id, bytes } => {
                output.credit(id, bytes);
                self.batch.answer_now = true;
            }
            Frame::Cancel { id } => self.cancel(id, output),
            Frame::Bye => self.batch.bye = true,
            Frame::Heartbeat => {}
            Frame::Setup { .. }
            | Frame::Hello { .. }
            | Frame::Reply { .. }
            | Frame::Begun { .. }
            | Frame::Refused { .. } => refuse_stream(output, BadFrame::Malformed(0)),
        }
    }

    fn open(&mut self, head: CallHead, output: &Output, now: Instant) {
        let operation = Operation::from_code(head.operation);
        // They are taken also where the call is refused: nobody else would.
        let descriptors = match (operation, self.side_channel) {
            (Some(Operation::Work), Some(fd)) => {
                side_channel::receive(fd, head.id).ok_or(Refusal::Frame)
            }
            (Some(Operation::Work), None) => Err(Refusal::Operation),
            _ => Ok(Vec::new()),
        };
        let known = |p: &Partial| p.call.id == head.id;
        let refusal = if head.token != self.identity.token {
            Err(Refusal::Token)
        } else if head.revision != self.identity.revision {
            Err(Refusal::Revision)
        } else if place(head.id) >= self.board.calls()
            || head.len > self.max_body
            || self.partial.iter().any(known)
        {
            Err(Refusal::Frame)
        } else {
            descriptors.and_then(|taken| Ok((operation.ok_or(Refusal::Operation)?, taken)))
        };
        let (operation, descriptors) = match refusal {
            Ok(accepted) => accepted,
            Err(reason) => return self.refuse(head.id, reason, output),
        };
        let call = Ready {
            id: head.id,
            operation,
            body: Vec::with_capacity(head.len as usize),
            descriptors,
            deadline: now + Duration::from_millis(head.budget_ms.into()),
        };
        if head.len == 0 {
            self.batch.ready.push(call);
        } else {
            self.partial.push(Partial {
                call,
                len: head.len as usize,
                credit: WINDOW,
            });
        }
    }

    fn add(&mut self, id: u32, bytes: &[u8], output: &Output) {
        // A body that was refused or cancelled may still be on its way.
        let Some(at) = self.partial.iter().rposition(|p| p.call.id == id) else {
            return;
        };
        let partial = &mut self.partial[at];
        if bytes.len() > partial.len - partial.call.body.len() || bytes.len() > partial.credit {
            self.partial.swap_remove(at);
            return self.refuse(id, Refusal::Frame, output);
        }
        partial.call.body.extend_from_slice(bytes);
        partial.credit -= bytes.len();
        if partial.call.body.len() == partial.len {
            let partial = self.partial.swap_remove(at);
            self.batch.ready.push(partial.call);
        } else if partial.credit <= WINDOW / 2 {
            let granted = WINDOW - partial.credit;
            partial.credit = WINDOW;
            let bytes = granted as u32;
            output.frame(Frame::Credit { id, bytes });
            self.batch.answer_now = true;
        }
    }

    fn cancel(&mut self, id: u32, output: &Output) {
        self.batch.answer_now = true;
        if let Some(at) = self.partial.iter().position(|p| p.call.id == id) {
            self.partial.swap_remove(at);
        } else if let Some(at) = self.batch.ready.iter().position(|call| call.id == id) {
            self.batch.ready.remove(at);
        } else if output.cancel(id) {
            return;
        } else {
            self.batch.cancelled.push(id);
            return;
        }
        let (status, len) = (STATUS_STOPPED, 0);
        output.frame(Frame::Reply { id, status, len });
    }

    fn refuse(&mut self, id: u32, reason: Refusal, output: &Output) {
        let reason = reason as u8;
        output.frame(Frame::Refused { id, reason });
        self.batch.answer_now = true;
    }
}

/// After bytes that are not frames nothing that follows can be trusted.
fn refuse_stream(output: &Output, error: BadFrame) -> ! {
    eprintln!("the host's stream cannot be read: {error}");
    let reason = Refusal::Frame as u8;
    output.frame(Frame::Refused { id: 0, reason });
    output.flush();
    super::exit(crate::setup::REFUSED_EXIT)
}
