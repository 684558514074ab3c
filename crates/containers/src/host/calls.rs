//! The calls that a container was given and has not been asked about to the end.

use std::task::{Poll, Waker};
use std::time::Instant;

use bytes::Bytes;

use super::connection::Dispatch;
use crate::board::{Board, call_id, place};
use crate::frames::{
    Frame, Identity, SETUP, STATUS_ANSWER, STATUS_FAULT, STATUS_STOPPED, WINDOW, longest_reply,
};

/// Room made at once for an answer; a longer one grows as its bytes really come.
const FIRST_ROOM: usize = 1 << 20;

/// How a call ended, as the container told it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The answer's bytes.
    Answer(Bytes),
    /// A fault's bytes.
    Fault(Bytes),
    /// The container stopped it: cancelled, or its budget spent.
    Stopped,
    /// The container refused it, for that reason.
    Refused(u8),
    /// The answer has a status that is not known.
    UnknownStatus(u16),
    /// The container is gone; whether it had begun the call.
    Lost { begun: bool },
}

/// What a container said about itself and its load.
#[derive(Debug, Default)]
pub(super) struct Handshake {
    /// Its first frame.
    pub(super) hello: Option<(Identity, String)>,
    /// The answer to the set-up.
    pub(super) loaded: Option<Outcome>,
    /// The reason for which it refused the set-up, or the stream.
    pub(super) refused: Option<u8>,
    partial: Option<Partial>,
}

/// The table of calls, by place.
#[derive(Debug)]
pub(super) struct Calls {
    places: Vec<Place>,
    free: Vec<u16>,
    max_reply: usize,
    closed: bool,
    pub(super) handshake: Handshake,
}

#[derive(Debug)]
struct Place {
    generation: u16,
    id: u32,
    state: State,
}

#[derive(Debug)]
enum State {
    Free,
    Waiting {
        waker: Option<Waker>,
        reply: Option<Partial>,
        begun: bool,
    },
    Done(Outcome),
    /// Nobody waits; the place is kept until the container has answered.
    Abandoned {
        since: Instant,
        /// Bytes of the answer still to come, once its head was seen.
        left: Option<usize>,
    },
}

/// An answer of which the head was seen.
#[derive(Debug)]
struct Partial {
    status: u16,
    len: usize,
    bytes: Bytes,
    /// Holds the bytes where they come in several frames.
    grown: Vec<u8>,
    credit: usize,
}

impl Partial {
    fn new(status: u16, len: usize) -> Partial {
        Partial {
            status,
            len,
            bytes: Bytes::new(),
            grown: Vec::new(),
            credit: WINDOW,
        }
    }

    fn received(&self) -> usize {
        self.bytes.len() + self.grown.len()
    }

    /// Adds bytes; whether the answer is whole now. More than was said is an error.
    fn add(&mut self, bytes: &[u8]) -> Result<bool, String> {
        let received = self.received() + bytes.len();
        if received > self.len {
            return Err("an answer is longer than its head says".to_owned());
        }
        if received == self.len && self.grown.is_empty() {
            self.bytes = Bytes::copy_from_slice(bytes);
        } else {
            if self.grown.capacity() == 0 {
                self.grown.reserve(self.len.min(FIRST_ROOM));
            }
            self.grown.extend_from_slice(bytes);
        }
        Ok(received == self.len)
    }

    /// Credit to give back now, in bytes.
    fn grant(&mut self, received: usize) -> Option<u32> {
        self.credit = self.credit.saturating_sub(received);
        if self.credit > WINDOW / 2 || self.received() == self.len {
            return None;
        }
        let bytes = (WINDOW - self.credit) as u32;
        self.credit = WINDOW;
        Some(bytes)
    }

    fn outcome(self) -> Outcome {
        let bytes = if self.grown.is_empty() {
            self.bytes
        } else {
            self.grown.into()
        };
        match self.status {
            STATUS_ANSWER => Outcome::Answer(bytes),
            STATUS_FAULT => Outcome::Fault(bytes),
            STATUS_STOPPED => Outcome::Stopped,
            status => Outcome::UnknownStatus(status),
        }
    }
}

impl Calls {
    pub(super) fn new(places: usize, max_reply: usize) -> Calls {
        Calls {
            places: (0..places)
                .map(|_| Place {
                    generation: 0,
                    id: 0,
                    state: State::Free,
                })
                .collect(),
            free: (0..places as u16).rev().collect(),
            max_reply,
            closed: false,
            handshake: Handshake::default(),
        }
    }

    /// Takes a place for a new call; its id, or `None` where there is no place any more. An id
    /// recurs after 65536 calls at its place: what the board says of it is to be cleared first.
    pub(super) fn open(&mut self) -> Option<u32> {
        if self.closed {
            return None;
        }
        let at = self.free.pop()?;
        let place = &mut self.places[usize::from(at)];
        place.generation = place.generation.wrapping_add(1);
        place.id = call_id(at.into(), place.generation);
        place.state = State::Waiting {
            waker: None,
            reply: None,
            begun: false,
        };
        Some(place.id)
    }

    fn at(&mut self, id: u32) -> Option<&mut Place> {
        self.places.get_mut(place(id)).filter(|p| p.id == id)
    }

    fn release(&mut self, id: u32) {
        if let Some(place) = self.at(id) {
            place.state = State::Free;
            place.id = 0;
            self.free.push(place_number(id));
        }
    }

    /// Gives the place of a call back that the container never hears of.
    pub(super) fn withdraw(&mut self, id: u32) {
        self.release(id);
    }

    /// Takes the outcome if it is there, which frees the place; else keeps the waker.
    pub(super) fn poll(&mut self, id: u32, new: &Waker) -> Poll<Outcome> {
        let Some(place) = self.at(id) else {
            return Poll::Ready(Outcome::Lost { begun: false });
        };
        match &mut place.state {
            State::Waiting { waker, .. } => {
                match waker {
                    Some(old) if old.will_wake(new) => {}
                    _ => *waker = Some(new.clone()),
                }
                Poll::Pending
            }
            State::Done(outcome) => {
                let outcome = std::mem::replace(outcome, Outcome::Stopped);
                self.release(id);
                Poll::Ready(outcome)
            }
            State::Free | State::Abandoned { .. } => Poll::Ready(Outcome::Lost { begun: false }),
        }
    }

    /// Nobody waits for this call any more; whether the container must be told.
    pub(super) fn abandon(&mut self, id: u32, since: Instant) -> bool {
        let closed = self.closed;
        let Some(place) = self.at(id) else {
            return false;
        };
        match &place.state {
            State::Waiting { reply, .. } if !closed => {
                let left = reply.as_ref().map(|r| r.len - r.received());
                place.state = State::Abandoned { since, left };
                true
            }
            State::Waiting { .. } | State::Done(_) => {
                self.release(id);
                false
            }
            State::Free | State::Abandoned { .. } => false,
        }
    }

    /// Whether the container said with a frame that it began the call.
    pub(super) fn has_begun(&self, id: u32) -> bool {
        let place = self.places.get(place(id)).filter(|p| p.id == id);
        place.is_some_and(|p| matches!(p.state, State::Waiting { begun: true, .. }))
    }

    /// Places that are taken.
    pub(super) fn taken(&self) -> usize {
        self.places.len() - self.free.len()
    }

    /// Calls that somebody waits for.
    pub(super) fn waiting(&self) -> usize {
        let waits = |p: &&Place| matches!(p.state, State::Waiting { .. });
        self.places.iter().filter(waits).count()
    }

    /// Calls that somebody waits for and that have begun.
    pub(super) fn begun(&self, board: &Board) -> usize {
        let runs = |p: &&Place| match p.state {
            State::Waiting { begun, .. } => begun || board.has_begun(p.id),
            _ => false,
        };
        self.places.iter().filter(runs).count()
    }

    /// Since when the container goes on with a call that nobody waits for; the longest of them.
    pub(super) fn oldest_abandoned(&self) -> Option<Instant> {
        let since = self.places.iter().filter_map(|p| match p.state {
            State::Abandoned { since, .. } => Some(since),
            _ => None,
        });
        since.min()
    }

    /// The container is gone: every call that waits is lost. Returns whom to wake.
    pub(super) fn close(&mut self, board: &Board) -> Vec<Waker> {
        self.closed = true;
        let mut wakers = Vec::new();
        for place in &mut self.places {
            if let State::Waiting { waker, begun, .. } = &mut place.state {
                wakers.extend(waker.take());
                let begun = *begun || board.has_begun(place.id);
                place.state = State::Done(Outcome::Lost { begun });
            }
        }
        wakers
    }

    /// Handles one frame of the container. `Err` is a breach of the protocol.
    pub(super) fn take(&mut self, frame: Frame<'_>, dispatch: &mut Dispatch) -> Result<(), String> {
        match frame {
            Frame::Hello {
                identity,
                confinement,
            } => {
                if self.handshake.hello.is_some() {
                    return Err("a second hello".to_owned());
                }
                self.handshake.hello = Some((identity, confinement.to_owned()));
                dispatch.changed = true;
                Ok(())
            }
            Frame::Refused { id: SETUP, reason } => {
                self.handshake.refused = Some(reason);
                dispatch.changed = true;
                Ok(())
            }
            Frame::Reply {
                id: SETUP,
                status,
                len,
            } => self.setup_head(status, len as usize, dispatch),
            Frame::Data { id: SETUP, bytes } => self.setup_data(bytes, dispatch),
            Frame::Reply { id, status, len } => self.head(id, status, len as usize, dispatch),
            Frame::Data { id, bytes } => self.data(id, bytes, dispatch),
            Frame::Refused { id, reason } => {
                // What is left of the body would wait for credit for ever.
                dispatch.dropped.push(id);
                self.finish(id, Outcome::Refused(reason), dispatch)
            }
            Frame::Credit { id, bytes } => {
                dispatch.granted.push((id, bytes));
                Ok(())
            }
            Frame::Begun { id } => {
                if let Some(place) = self.at(id)
                    && let State::Waiting { begun, .. } = &mut place.state
                {
                    *begun = true;
                }
                Ok(())
            }
            Frame::Heartbeat => Ok(()),
            Frame::Setup { .. } | Frame::Call(_) | Frame::Cancel { .. } | Frame::Bye => {
                Err("a frame that only a host sends".to_owned())
            }
        }
    }

    fn setup_head(
        &mut self,
        status: u16,
        len: usize,
        dispatch: &mut Dispatch,
    ) -> Result<(), String> {
        let handshake = &mut self.handshake;
        let longest = longest_reply(status, self.max_reply);
        if handshake.partial.is_some() || handshake.loaded.is_some() || len > longest {
            return Err("an answer to the set-up that cannot be".to_owned());
        }
        handshake.partial = Some(Partial::new(status, len));
        if len == 0 {
            self.setup_data(&[], dispatch)?;
        }
        Ok(())
    }

    fn setup_data(&mut self, bytes: &[u8], dispatch: &mut Dispatch) -> Result<(), String> {
        let handshake = &mut self.handshake;
        let Some(partial) = &mut handshake.partial else {
            return Err("data without an answer's head".to_owned());
        };
        if partial.add(bytes)?
            && let Some(partial) = handshake.partial.take()
        {
            handshake.loaded = Some(partial.outcome());
            dispatch.changed = true;
        }
        Ok(())
    }

    fn head(
        &mut self,
        id: u32,
        status: u16,
        len: usize,
        dispatch: &mut Dispatch,
    ) -> Result<(), String> {
        if len > longest_reply(status, self.max_reply) {
            return Err(format!("an answer of {len} bytes is too long"));
        }
        if status == STATUS_STOPPED || len == 0 {
            return self.finish(id, Partial::new(status, 0).outcome(), dispatch);
        }
        let Some(place) = self.at(id) else {
            return Err("an answer to no call".to_owned());
        };
        match &mut place.state {
            State::Waiting { reply, .. } if reply.is_none() => {
                *reply = Some(Partial::new(status, len));
                Ok(())
            }
            State::Abandoned { left, .. } if left.is_none() => {
                *left = Some(len);
                Ok(())
            }
            _ => Err("a second answer to a call".to_owned()),
        }
    }

    fn data(&mut self, id: u32, bytes: &[u8], dispatch: &mut Dispatch) -> Result<(), String> {
        let Some(place) = self.at(id) else {
            return Err("data of no call".to_owned());
        };
        match &mut place.state {
            State::Waiting {
                reply: Some(partial),
                ..
            } => {
                let whole = partial.add(bytes)?;
                if let Some(grant) = partial.grant(bytes.len()) {
                    dispatch.grants.push((id, grant));
                }
                if whole && let State::Waiting { reply, .. } = &mut place.state {
                    let outcome = reply.take().map_or(Outcome::Stopped, Partial::outcome);
                    return self.finish(id, outcome, dispatch);
                }
                Ok(())
            }
            State::Abandoned {
                left: Some(left), ..
            } => {
                *left = left
                    .checked_sub(bytes.len())
                    .ok_or("an answer is longer than its head says")?;
                if *left == 0 {
                    return self.finish(id, Outcome::Stopped, dispatch);
                }
                Ok(())
            }
            _ => Err("data without an answer's head".to_owned()),
        }
    }

    /// The container has done with a call.
    fn finish(&mut self, id: u32, outcome: Outcome, dispatch: &mut Dispatch) -> Result<(), String> {
        let Some(place) = self.at(id) else {
            return Err("an answer to no call".to_owned());
        };
        match &mut place.state {
            State::Waiting { waker, .. } => {
                dispatch.wakers.extend(waker.take());
                place.state = State::Done(outcome);
                Ok(())
            }
            State::Abandoned { .. } => {
                self.release(id);
                dispatch.finished += 1;
                Ok(())
            }
            State::Free | State::Done(_) => Err("a second answer to a call".to_owned()),
        }
    }
}

fn place_number(id: u32) -> u16 {
    place(id) as u16
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn poll(calls: &mut Calls, id: u32) -> Poll<Outcome> {
        calls.poll(id, Waker::noop())
    }

    fn reply(id: u32, status: u16, len: u32) -> Frame<'static> {
        Frame::Reply { id, status, len }
    }

    #[test]
    fn an_answer_in_pieces_is_put_together_and_frees_the_place() {
        let mut calls = Calls::new(1, 1 << 20);
        let mut dispatch = Dispatch::default();
        let id = calls.open().unwrap();
        assert_eq!(calls.open(), None, "there is one place");
        assert!(poll(&mut calls, id).is_pending());
        calls.take(reply(id, 0, 5), &mut dispatch).unwrap();
        let data = |bytes| Frame::Data { id, bytes };
        calls.take(data(b"ab"), &mut dispatch).unwrap();
        calls.take(data(b"cde"), &mut dispatch).unwrap();
        assert_eq!(dispatch.wakers.len(), 1);
        let answer = Poll::Ready(Outcome::Answer(Bytes::from_static(b"abcde")));
        assert_eq!(poll(&mut calls, id), answer);
        let next = calls.open().unwrap();
        assert_ne!(next, id);
    }

    #[test]
    fn breaches_of_the_protocol_are_found() {
        let mut dispatch = Dispatch::default();
        let breaches: &[&dyn Fn(u32) -> Vec<Frame<'static>>] = &[
            &|_| vec![reply(77, 0, 1)],
            &|id| vec![reply(id, 0, 2000)],
            &|id| vec![reply(id, 0, 1), reply(id, 0, 1)],
            &|id| vec![reply(id, 0, 0), reply(id, 0, 0)],
            &|id| vec![Frame::Data { id, bytes: b"x" }],
            &|id| vec![reply(id, 0, 1), Frame::Data { id, bytes: b"xy" }],
            &|_| vec![Frame::Bye],
            &|_| vec![Frame::Data { id: 0, bytes: b"x" }],
        ];
        for breach in breaches {
            let mut calls = Calls::new(2, 1000);
            let id = calls.open().unwrap();
            let result: Result<Vec<()>, String> = breach(id)
                .into_iter()
                .map(|frame| calls.take(frame, &mut dispatch))
                .collect();
            assert!(result.is_err(), "{:?}", breach(id));
        }
    }

    #[test]
    fn an_abandoned_call_keeps_its_place_until_the_container_has_answered() {
        let mut calls = Calls::new(1, 1000);
        let mut dispatch = Dispatch::default();
        let now = Instant::now();
        for end in [
            vec![reply(0, STATUS_STOPPED, 0)],
            vec![
                reply(0, 0, 3),
                Frame::Data {
                    id: 0,
                    bytes: b"abc",
                },
            ],
            vec![reply(0, 0, 3), reply(0, STATUS_STOPPED, 0)],
            vec![Frame::Refused { id: 0, reason: 1 }],
        ] {
            let call = calls.open().unwrap();
            assert!(calls.abandon(call, now), "the container must be told");
            assert!(!calls.abandon(call, now), "once");
            assert_eq!(calls.oldest_abandoned(), Some(now));
            assert_eq!(calls.waiting(), 0);
            for frame in end {
                assert_eq!(calls.open(), None);
                let frame = match frame {
                    Frame::Reply { status, len, .. } => reply(call, status, len),
                    Frame::Data { bytes, .. } => Frame::Data { id: call, bytes },
                    Frame::Refused { reason, .. } => Frame::Refused { id: call, reason },
                    other => other,
                };
                calls.take(frame, &mut dispatch).unwrap();
            }
            assert_eq!(std::mem::take(&mut dispatch.finished), 1);
            assert_eq!(calls.oldest_abandoned(), None);
        }
    }

    #[test]
    fn when_the_container_is_gone_begun_calls_are_told_from_the_others() {
        let (board, _file) = Board::create(3).unwrap();
        let mut calls = Calls::new(3, 1000);
        let mut dispatch = Dispatch::default();
        let ids = [(); 3].map(|()| calls.open().unwrap());
        board.begin(ids[0]);
        calls
            .take(Frame::Begun { id: ids[1] }, &mut dispatch)
            .unwrap();
        for id in ids {
            assert!(poll(&mut calls, id).is_pending());
        }
        assert_eq!(calls.close(&board).len(), 3);
        let begun = ids.map(|id| poll(&mut calls, id));
        let lost = |begun| Poll::Ready(Outcome::Lost { begun });
        assert_eq!(begun, [lost(true), lost(true), lost(false)]);
        assert_eq!(calls.open(), None);
    }

    #[test]
    fn a_long_answer_is_granted_credit_as_it_comes() {
        let mut calls = Calls::new(1, 10 * WINDOW);
        let mut dispatch = Dispatch::default();
        let id = calls.open().unwrap();
        let total = 3 * WINDOW;
        calls
            .take(reply(id, 0, total as u32), &mut dispatch)
            .unwrap();
        let chunk = vec![7; 64 * 1024];
        let mut credit = WINDOW;
        for _ in 0..total / chunk.len() {
            assert!(credit >= chunk.len(), "the container would wait for ever");
            credit -= chunk.len();
            let bytes = &chunk[..];
            calls
                .take(Frame::Data { id, bytes }, &mut dispatch)
                .unwrap();
            credit += dispatch
                .grants
                .drain(..)
                .map(|g| g.1 as usize)
                .sum::<usize>();
        }
        let Poll::Ready(Outcome::Answer(answer)) = poll(&mut calls, id) else {
            panic!("no answer");
        };
        assert_eq!(answer.len(), total);
    }

    /// What a hostile container and an ordinary caller can do to the table.
    #[derive(Debug, Clone)]
    enum Step {
        Open,
        Poll(usize),
        Abandon(usize),
        Reply(usize, u16, u32),
        Data(usize, usize),
        Refused(usize),
        Begun(usize),
        Credit(usize),
    }

    fn step() -> impl Strategy<Value = Step> {
        // Index 7 is an id that was never given, 8 the set-up.
        let at = || 0_usize..9;
        prop_oneof![
            Just(Step::Open),
            at().prop_map(Step::Poll),
            at().prop_map(Step::Abandon),
            (at(), 0_u16..4, 0_u32..12).prop_map(|(at, status, len)| Step::Reply(at, status, len)),
            (at(), 0_usize..12).prop_map(|(at, len)| Step::Data(at, len)),
            at().prop_map(Step::Refused),
            at().prop_map(Step::Begun),
            at().prop_map(Step::Credit),
        ]
    }

    proptest! {
        #[test]
        fn no_order_of_frames_breaks_the_table(
            steps in prop::collection::vec(step(), 0..200),
        ) {
            let places = 3;
            let mut calls = Calls::new(places, 10);
            let mut dispatch = Dispatch::default();
            let mut given: Vec<u32> = Vec::new();
            let mut unanswered = 0_usize;
            let now = Instant::now();
            for step in steps {
                let id = |at: usize| match at {
                    7 => 0xdead_0001,
                    8 => SETUP,
                    _ => given.iter().rev().nth(at).copied().unwrap_or(0x7777_0009),
                };
                let bytes = [0; 12];
                match step {
                    Step::Open => match calls.open() {
                        Some(id) => {
                            prop_assert!(!given.contains(&id));
                            given.push(id);
                        }
                        None => prop_assert_eq!(calls.taken(), places),
                    },
                    Step::Poll(at) => drop(poll(&mut calls, id(at))),
                    Step::Abandon(at) => {
                        unanswered += usize::from(calls.abandon(id(at), now));
                    }
                    Step::Reply(at, status, len) => {
                        let _ = calls.take(reply(id(at), status, len), &mut dispatch);
                    }
                    Step::Data(at, len) => {
                        let frame = Frame::Data { id: id(at), bytes: &bytes[..len] };
                        let _ = calls.take(frame, &mut dispatch);
                    }
                    Step::Refused(at) => {
                        let frame = Frame::Refused { id: id(at), reason: 1 };
                        let _ = calls.take(frame, &mut dispatch);
                    }
                    Step::Begun(at) => {
                        calls.take(Frame::Begun { id: id(at) }, &mut dispatch).unwrap();
                    }
                    Step::Credit(at) => {
                        let frame = Frame::Credit { id: id(at), bytes: 1 };
                        calls.take(frame, &mut dispatch).unwrap();
                    }
                }
                // Given up and not answered, waited for, answered and not taken: each has a place.
                prop_assert!(dispatch.finished <= unanswered);
                let abandoned = unanswered - dispatch.finished;
                prop_assert!(calls.waiting() + abandoned <= calls.taken());
                prop_assert!(calls.taken() <= places);
            }
            // Whatever was said, once all is taken or given up and closed, nothing is kept.
            let (board, _file) = Board::create(places).unwrap();
            calls.close(&board);
            for id in given {
                let _ = poll(&mut calls, id);
            }
            prop_assert_eq!(calls.waiting(), 0);
            prop_assert_eq!(calls.taken(), unanswered - dispatch.finished);
        }
    }
}
