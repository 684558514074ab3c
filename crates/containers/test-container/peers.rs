//! Programs that an operator could put where the container's program belongs, each of which keeps
//! the protocol but for one thing.

use std::io::{Read, Write};
use std::os::fd::FromRawFd;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::time::Duration;

use containers::frames::{Frame, Identity, Inbound, Refusal};

struct Peer {
    channel: UnixStream,
    inbound: Inbound,
}

impl Peer {
    /// Reads frames until `wanted` finds what it looks for.
    fn read<T>(&mut self, mut wanted: impl FnMut(Frame<'_>) -> Option<T>) -> Option<T> {
        loop {
            while let Some(frame) = self.inbound.next_frame().ok()? {
                if let Some(found) = wanted(frame) {
                    return Some(found);
                }
            }
            match self.channel.read(self.inbound.space()) {
                Ok(0) | Err(_) => return None,
                Ok(count) => self.inbound.filled(count),
            }
        }
    }

    fn send(&mut self, frame: Frame<'_>) {
        let mut bytes = Vec::new();
        frame.encode(&mut bytes);
        // A host that is gone needs nothing.
        let _ = self.channel.write_all(&bytes);
    }

    fn hello(&mut self, identity: Identity) {
        let confinement = "landlock";
        self.send(Frame::Hello {
            identity,
            confinement,
        });
    }
}

/// Runs the peer of that name.
pub fn run(name: &str) -> ExitCode {
    // SAFETY: the host put the channel there.
    let channel = unsafe { UnixStream::from_raw_fd(3) };
    let mut peer = Peer {
        channel,
        inbound: Inbound::new(0),
    };
    let setup = peer.read(|frame| match frame {
        Frame::Setup { identity, .. } => Some(identity),
        _ => None,
    });
    let Some(mut identity) = setup else {
        return ExitCode::FAILURE;
    };
    let ready = Frame::Reply {
        id: 0,
        status: 0,
        len: 0,
    };
    match name {
        "other-version" => identity.version += 1,
        "other-token" => identity.token[0] ^= 1,
        "other-revision" => identity.revision[0] ^= 1,
        _ => {}
    }
    let refuse = |reason: Refusal| Frame::Refused {
        id: 0,
        reason: reason as u8,
    };
    match name {
        "refuses-version" => peer.send(refuse(Refusal::Version)),
        "refuses-token" => peer.send(refuse(Refusal::Token)),
        "closes" => {
            let _ = peer.channel.shutdown(std::net::Shutdown::Both);
            std::thread::sleep(Duration::from_secs(3600));
        }
        "garbage" => {
            let _ = peer.channel.write_all(&[0xff; 100]);
        }
        "exits" => return ExitCode::from(42),
        "ready-unseen" => peer.send(ready),
        "odd-setup-status" => {
            peer.hello(identity);
            peer.send(Frame::Reply {
                id: 0,
                status: 9,
                len: 0,
            });
        }
        _ => {
            peer.hello(identity);
            if name != "never-ready" {
                peer.send(ready);
            }
        }
    }
    let mut served = 0;
    while let Some((id, len)) = peer.read(|frame| match frame {
        Frame::Call(call) => Some((call.id, call.len)),
        _ => None,
    }) {
        served += 1;
        let reply = |status, len| Frame::Reply { id, status, len };
        match name {
            "odd-status" => peer.send(reply(7, 0)),
            "odd-fault" => {
                let bytes = br#"{"class":"InternalError","details":[{"row":true,"code":"Nope","args":[]}]}"#;
                peer.send(reply(1, bytes.len() as u32));
                peer.send(Frame::Data { id, bytes });
            }
            "unreadable-fault" => {
                peer.send(reply(1, 3));
                peer.send(Frame::Data { id, bytes: b"???" });
            }
            "refuses-calls" => peer.send(Frame::Refused {
                id,
                reason: Refusal::Token as u8,
            }),
            "answers-twice" => {
                peer.send(reply(0, 0));
                peer.send(reply(0, 0));
                peer.send(reply(0, 0));
            }
            "long-answer" => peer.send(reply(0, u32::MAX)),
            "answers-nobody" => peer.send(Frame::Reply {
                id: id ^ 0xffff_0000,
                status: 0,
                len: 0,
            }),
            "begins-and-exits" => {
                peer.send(Frame::Begun { id });
                return ExitCode::from(43);
            }
            "stops-beating" => {}
            // Takes no more of the first body than it may be sent unasked.
            "grants-nothing" if len > 1_000_000 => {}
            _ => {
                let bytes = format!("{served}");
                peer.send(reply(0, bytes.len() as u32));
                peer.send(Frame::Data {
                    id,
                    bytes: bytes.as_bytes(),
                });
            }
        }
    }
    ExitCode::SUCCESS
}
