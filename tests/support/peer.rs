//! A container that is not ours: it speaks the protocol as far as it must, and breaks it in one
//! way. The failure matrix puts it in the place of the real one (`containers.command`).
//!
//! `peer MODE`: `version` (is of another protocol version), `revision` (holds another revision than
//! it is asked for), `token` (refuses the token of each call), `status` (answers with a status that
//! nobody knows), `code` (answers with a fault that nobody knows), `exit` (ends with status 42),
//! `never-ready` (never finishes loading).

#![expect(
    clippy::disallowed_methods,
    reason = "ending the process is what the tests ask for"
)]

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::FromRawFd;

use containers::frames::{Frame, Identity, Refusal, SETUP, STATUS_ANSWER, STATUS_FAULT, VERSION};

fn main() {
    let mode = std::env::args().nth(1).unwrap_or_default();
    // SAFETY: the host gives the channel as descriptor 3, and nothing else here owns it.
    let channel = unsafe { File::from_raw_fd(3) };
    let mut peer = Peer {
        channel,
        buffer: Vec::new(),
    };
    let (identity, mut expected) = match peer.next() {
        Some(Owned::Setup(identity, length)) => (identity, length),
        _ => std::process::exit(1),
    };
    if mode == "version" {
        let own = Identity {
            version: VERSION + 1,
            ..identity
        };
        peer.send(&[Frame::Hello {
            identity: own,
            confinement: "none",
        }]);
        peer.send(&[Frame::Refused {
            id: SETUP,
            reason: Refusal::Version as u8,
        }]);
        peer.wait_for_end();
    }
    if mode == "revision" {
        // It holds what it was started with long ago, and says so.
        let own = Identity {
            revision: [7; 16],
            ..identity
        };
        peer.send(&[Frame::Hello {
            identity: own,
            confinement: "none",
        }]);
        peer.wait_for_end();
    }
    peer.send(&[Frame::Hello {
        identity,
        confinement: "none",
    }]);
    while expected > 0 {
        match peer.next() {
            Some(Owned::Data(length)) => expected -= length,
            Some(_) => {}
            None => return,
        }
    }
    if mode == "never-ready" {
        // Alive, and loading for ever.
        loop {
            peer.send(&[Frame::Heartbeat]);
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
    }
    peer.send(&[Frame::Reply {
        id: SETUP,
        status: STATUS_ANSWER,
        len: 0,
    }]);
    while let Some(frame) = peer.next() {
        let Owned::Call(id) = frame else { continue };
        match mode.as_str() {
            "token" => peer.send(&[Frame::Refused {
                id,
                reason: Refusal::Token as u8,
            }]),
            "status" => peer.send(&[
                Frame::Begun { id },
                Frame::Reply {
                    id,
                    status: 99,
                    len: 0,
                },
            ]),
            "code" => {
                let fault = br#"{"class":"BadArgument","details":[{"row":true,"code":"OfTheFuture","args":[]}]}"#;
                peer.send(&[
                    Frame::Begun { id },
                    Frame::Reply {
                        id,
                        status: STATUS_FAULT,
                        len: fault.len() as u32,
                    },
                    Frame::Data { id, bytes: fault },
                ]);
            }
            "exit" => {
                peer.send(&[Frame::Begun { id }]);
                std::process::exit(42);
            }
            _ => std::process::exit(1),
        }
    }
}

/// What the peer needs to know of a frame.
enum Owned {
    Setup(Identity, usize),
    Data(usize),
    Call(u32),
    Other,
}

struct Peer {
    channel: File,
    buffer: Vec<u8>,
}

impl Peer {
    /// The next frame; `None` at the end of the channel.
    fn next(&mut self) -> Option<Owned> {
        loop {
            match Frame::decode(&self.buffer) {
                Ok(Some((frame, length))) => {
                    let owned = match frame {
                        Frame::Setup {
                            identity,
                            document,
                            package,
                        } => Owned::Setup(identity, (document + package) as usize),
                        Frame::Data { bytes, .. } => Owned::Data(bytes.len()),
                        Frame::Call(call) => Owned::Call(call.id),
                        _ => Owned::Other,
                    };
                    self.buffer.drain(..length);
                    return Some(owned);
                }
                Ok(None) => {
                    let mut chunk = [0u8; 64 * 1024];
                    match self.channel.read(&mut chunk) {
                        Ok(0) | Err(_) => return None,
                        Ok(n) => self.buffer.extend_from_slice(&chunk[..n]),
                    }
                }
                Err(_) => return None,
            }
        }
    }

    fn send(&mut self, frames: &[Frame<'_>]) {
        let mut out = Vec::new();
        frames.iter().for_each(|f| f.encode(&mut out));
        if self.channel.write_all(&out).is_err() {
            std::process::exit(0);
        }
    }

    fn wait_for_end(&mut self) -> ! {
        while self.next().is_some() {}
        std::process::exit(0)
    }
}
