//! The real container's side of the protocol, with this test in the host's place.

mod common;

use std::io::{Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use common::{TEST_CONTAINER, lives, package, until};
use containers::board::{Board, call_id};
use containers::frames::{
    CallHead, Frame, Identity, Inbound, MAX_PAYLOAD, Refusal, STATUS_ANSWER, STATUS_STOPPED,
    VERSION, WINDOW, encode_data,
};
use serde_json::json;

const IDENTITY: Identity = Identity {
    version: VERSION,
    token: [7; 16],
    revision: [8; 16],
};

/// What a container sent, with its own bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Said {
    Hello(Identity, String),
    Reply(u32, u16, u32),
    Data(u32, Vec<u8>),
    Refused(u32, u8),
    Credit(u32),
}

struct Peer {
    process: Child,
    channel: UnixStream,
    inbound: Inbound,
    board: Board,
}

impl Drop for Peer {
    fn drop(&mut self) {
        // Where a test fails no process stays.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Peer {
    /// Starts a container as a host does.
    fn start() -> Peer {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let (board, file) = Board::create(20).unwrap();
        let given = [OwnedFd::from(theirs), OwnedFd::from(file)];
        let mut command = Command::new(TEST_CONTAINER);
        command.env_clear().stderr(Stdio::null());
        let numbers = [given[0].as_raw_fd(), given[1].as_raw_fd()];
        // SAFETY: only dup and dup2, on descriptors that stay open until the child has started.
        unsafe {
            command.pre_exec(move || {
                let high = numbers.map(|fd| libc::fcntl(fd, libc::F_DUPFD, 100));
                libc::dup2(high[0], 3);
                libc::dup2(high[1], 4);
                libc::close(high[0]);
                libc::close(high[1]);
                Ok(())
            });
        }
        let process = command.spawn().unwrap();
        Peer {
            process,
            channel: ours,
            inbound: Inbound::new(0),
            board,
        }
    }

    /// Starts one and sets it up; it is ready.
    fn ready(compute_threads: u32) -> Peer {
        let mut peer = Peer::start();
        peer.set_up(IDENTITY, compute_threads);
        let Said::Hello(identity, confinement) = peer.hear() else {
            panic!("no hello");
        };
        assert_eq!(identity, IDENTITY);
        assert!(confinement.contains("no-new-privs"), "{confinement}");
        assert_eq!(peer.hear(), Said::Reply(0, STATUS_ANSWER, 0));
        peer
    }

    fn set_up(&mut self, identity: Identity, compute_threads: u32) {
        let document = json!({
            "label": "a", "resources": [], "calls": 20, "compute_threads": compute_threads,
            "heartbeat_ms": 100, "max_body": 10_000_000, "max_reply": 10_000_000,
            "limits": {"rows": 100, "columns": 100, "cell_bytes": 10_000_000, "depth": 32},
            "run_as": null,
        });
        let document = document.to_string().into_bytes();
        let package = serde_json::to_vec(&package("echo")).unwrap();
        let mut bytes = Vec::new();
        Frame::Setup {
            identity,
            document: document.len() as u32,
            package: package.len() as u32,
        }
        .encode(&mut bytes);
        encode_data(0, &[document, package].concat(), &mut bytes);
        self.write(&bytes);
    }

    fn write(&mut self, bytes: &[u8]) {
        self.channel.write_all(bytes).unwrap();
    }

    fn send(&mut self, frame: Frame<'_>) {
        let mut bytes = Vec::new();
        frame.encode(&mut bytes);
        self.write(&bytes);
    }

    fn call(&mut self, id: u32, action: &str) {
        self.call_with(id, action, |_| {});
    }

    fn call_with(&mut self, id: u32, action: &str, change: impl FnOnce(&mut CallHead)) {
        let body = common::call(action, common::PATIENCE).body;
        let mut head = CallHead {
            id,
            token: IDENTITY.token,
            revision: IDENTITY.revision,
            operation: 1,
            budget_ms: 60_000,
            len: body.len() as u32,
        };
        change(&mut head);
        let mut bytes = Vec::new();
        Frame::Call(head).encode(&mut bytes);
        encode_data(id, &body, &mut bytes);
        self.write(&bytes);
    }

    /// What it says next, heartbeats apart; `None` at the end.
    fn next(&mut self) -> Option<Said> {
        loop {
            while let Some(frame) = self.inbound.next_frame().unwrap() {
                return Some(match frame {
                    Frame::Hello {
                        identity,
                        confinement,
                    } => Said::Hello(identity, confinement.to_owned()),
                    Frame::Reply { id, status, len } => Said::Reply(id, status, len),
                    Frame::Data { id, bytes } => Said::Data(id, bytes.to_vec()),
                    Frame::Refused { id, reason } => Said::Refused(id, reason),
                    Frame::Credit { id, .. } => Said::Credit(id),
                    Frame::Heartbeat => continue,
                    other => panic!("a container does not say {other:?}"),
                });
            }
            match self.channel.read(self.inbound.space()) {
                Ok(0) | Err(_) => return None,
                Ok(count) => self.inbound.filled(count),
            }
        }
    }

    fn hear(&mut self) -> Said {
        self.next().expect("the container ended")
    }

    /// The whole answer to a call, other frames not expected.
    fn answer(&mut self, id: u32) -> Vec<u8> {
        let Said::Reply(about, STATUS_ANSWER, len) = self.hear() else {
            panic!("no answer");
        };
        assert_eq!(about, id);
        let mut bytes = Vec::new();
        while bytes.len() < len as usize {
            match self.hear() {
                Said::Data(about, more) if about == id => bytes.extend(more),
                other => panic!("{other:?}"),
            }
        }
        bytes
    }

    fn exit_status(mut self) -> Option<i32> {
        assert_eq!(self.next(), None);
        self.process.wait().unwrap().code()
    }
}

#[test]
fn a_call_that_does_not_fit_is_refused_and_the_next_one_runs() {
    let mut peer = Peer::ready(2);
    let id = |generation| call_id(3, generation);
    peer.call_with(id(1), "x", |head| head.token[3] ^= 1);
    peer.call_with(id(2), "x", |head| head.revision[3] ^= 1);
    peer.call_with(id(3), "x", |head| head.operation = 99);
    peer.call_with(id(4), "x", |head| head.len = 10_000_001);
    peer.call_with(id(5), "x", |head| head.len = 3);
    peer.call_with(call_id(20, 1), "x", |_| {});
    let refused: Vec<Said> = (0..6).map(|_| peer.hear()).collect();
    let expected = [
        Said::Refused(id(1), Refusal::Token as u8),
        Said::Refused(id(2), Refusal::Revision as u8),
        Said::Refused(id(3), Refusal::Operation as u8),
        Said::Refused(id(4), Refusal::Frame as u8),
        Said::Refused(id(5), Refusal::Frame as u8),
        Said::Refused(call_id(20, 1), Refusal::Frame as u8),
    ];
    assert_eq!(refused, expected);
    peer.call(id(6), "x");
    assert!(
        String::from_utf8(peer.answer(id(6)))
            .unwrap()
            .contains("did x")
    );
    assert!(peer.board.has_begun(id(6)));
    assert!(!peer.board.has_begun(id(5)));
}

#[test]
fn a_setup_that_does_not_fit_is_refused() {
    let mut peer = Peer::start();
    let version = VERSION + 1;
    peer.set_up(
        Identity {
            version,
            ..IDENTITY
        },
        1,
    );
    assert_eq!(peer.hear(), Said::Refused(0, Refusal::Version as u8));
    assert_eq!(peer.exit_status(), Some(70));

    let mut peer = Peer::start();
    peer.send(Frame::Heartbeat);
    assert_eq!(peer.hear(), Said::Refused(0, Refusal::Frame as u8));
    assert_eq!(peer.exit_status(), Some(70));
}

#[test]
fn bytes_that_are_no_frame_end_the_container() {
    for bad in [&[0xff; 64][..], &[0, 0, 0, 0, 7, 0, 0, 0, 0][..]] {
        let mut peer = Peer::ready(1);
        peer.write(bad);
        assert_eq!(peer.hear(), Said::Refused(0, Refusal::Frame as u8));
        assert_eq!(peer.exit_status(), Some(70));
    }
}

#[test]
fn an_answer_that_is_not_taken_holds_up_no_other() {
    let mut peer = Peer::ready(1);
    let (long, short) = (call_id(0, 1), |n| call_id(1, n));
    peer.call(long, "long 3000000");
    let Said::Reply(id, STATUS_ANSWER, len) = peer.hear() else {
        panic!("no answer");
    };
    assert_eq!(id, long);
    let mut taken = 0;
    while taken < WINDOW {
        match peer.hear() {
            Said::Data(id, bytes) if id == long => taken += bytes.len(),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(taken, WINDOW);
    // Nothing more of it comes unasked, and other calls are answered.
    for n in 1..20 {
        peer.call(short(n), "x");
        assert!(!peer.answer(short(n)).is_empty());
    }
    let bytes = u32::MAX;
    peer.send(Frame::Credit { id: long, bytes });
    while taken < len as usize {
        match peer.hear() {
            Said::Data(id, bytes) if id == long => taken += bytes.len(),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(taken, len as usize);
}

#[test]
fn credit_for_a_body_comes_as_it_is_taken() {
    let mut peer = Peer::ready(1);
    let id = call_id(0, 1);
    let head = |len| {
        Frame::Call(CallHead {
            id,
            token: IDENTITY.token,
            revision: IDENTITY.revision,
            operation: 1,
            budget_ms: 60_000,
            len,
        })
    };
    peer.send(head(1_000_000));
    let bytes = &vec![b' '; MAX_PAYLOAD][..];
    peer.send(Frame::Data { id, bytes });
    peer.send(Frame::Data { id, bytes });
    assert_eq!(peer.hear(), Said::Credit(id));
    peer.send(Frame::Cancel { id });
    assert_eq!(peer.hear(), Said::Reply(id, STATUS_STOPPED, 0));
}

#[test]
fn a_cancelled_call_is_answered_once_wherever_it_is() {
    let mut peer = Peer::ready(1);
    let (running, queued, next) = (call_id(0, 1), call_id(1, 1), call_id(2, 1));
    peer.call(running, "sleep 600000");
    while !peer.board.has_begun(running) {
        std::thread::yield_now();
    }
    peer.call(queued, "x");
    peer.call(next, "x");
    peer.board.cancel(queued);
    peer.send(Frame::Cancel { id: queued });
    // Though the only thread is busy.
    assert_eq!(peer.hear(), Said::Reply(queued, STATUS_STOPPED, 0));
    assert!(!peer.board.has_begun(queued));
    peer.board.cancel(running);
    peer.send(Frame::Cancel { id: running });
    assert_eq!(peer.hear(), Said::Reply(running, STATUS_STOPPED, 0));
    assert!(!peer.answer(next).is_empty());
    // A long answer of which a part was sent.
    let long = call_id(0, 2);
    peer.call(long, "long 3000000");
    while peer.next() != Some(Said::Data(long, vec![b'x'; MAX_PAYLOAD])) {}
    peer.board.cancel(long);
    peer.send(Frame::Cancel { id: long });
    loop {
        match peer.hear() {
            Said::Data(id, _) => assert_eq!(id, long),
            other => break assert_eq!(other, Said::Reply(long, STATUS_STOPPED, 0)),
        }
    }
}

#[test]
fn a_call_whose_budget_is_spent_is_stopped() {
    let mut peer = Peer::ready(1);
    let (spent, short) = (call_id(0, 1), call_id(1, 1));
    peer.call_with(spent, "x", |head| head.budget_ms = 0);
    assert_eq!(peer.hear(), Said::Reply(spent, STATUS_STOPPED, 0));
    assert!(!peer.board.has_begun(spent));
    peer.call_with(short, "sleep 600000", |head| head.budget_ms = 50);
    assert_eq!(peer.hear(), Said::Reply(short, STATUS_STOPPED, 0));
    assert!(peer.board.has_begun(short));
}

#[test]
fn bye_lets_calls_finish_and_ends_the_container() {
    let mut peer = Peer::ready(2);
    let ids = [call_id(0, 1), call_id(1, 1), call_id(2, 1)];
    for id in ids {
        peer.call(id, "sleep 100");
    }
    peer.send(Frame::Bye);
    for _ in ids {
        assert!(matches!(peer.hear(), Said::Reply(_, STATUS_ANSWER, _)));
        assert!(matches!(peer.hear(), Said::Data(..)));
    }
    assert_eq!(peer.exit_status(), Some(0));
}

#[tokio::test]
async fn a_busy_container_ends_when_its_channel_closes() {
    let mut peer = Peer::ready(1);
    let id = call_id(0, 1);
    peer.call(id, "deaf 600000");
    while !peer.board.has_begun(id) {
        std::thread::yield_now();
    }
    peer.channel.shutdown(std::net::Shutdown::Both).unwrap();
    let pid = peer.process.id();
    until("it ends", || !lives(pid)).await;
    assert_eq!(peer.process.wait().unwrap().code(), Some(0));
}

#[test]
fn a_short_call_is_answered_while_a_longer_one_of_its_size_runs() {
    let mut peer = Peer::ready(2);
    // The container learns that calls of this size are short, so that it wakes nobody for them.
    for n in 1..50 {
        let id = call_id(0, n);
        peer.call(id, "deaf 0");
        assert!(!peer.answer(id).is_empty());
    }
    let (long, short) = (call_id(0, 60), call_id(1, 60));
    peer.call(long, "deaf 9999999");
    while !peer.board.has_begun(long) {
        std::thread::yield_now();
    }
    peer.call(short, "deaf 0");
    assert!(!peer.answer(short).is_empty());
}
