//! The protocol between host and container: one stream of frames each way.
//!
//! A frame is a head of nine bytes and a payload of at most [`MAX_PAYLOAD`] bytes:
//!
//! | bytes | field | meaning |
//! |---|---|---|
//! | 0..4 | length | of the payload, little endian, as all numbers here |
//! | 4 | kind | see the table below |
//! | 5..9 | id | of the call; 0 is the set-up and whatever concerns no call |
//!
//! | kind | frame | way | payload |
//! |---|---|---|---|
//! | 1 | `Setup` | to container | version u16, token 16, revision 16, document length u32, package length u32 |
//! | 2 | `Data` | both | bytes of the set-up (id 0), a call's body or an answer |
//! | 3 | `Call` | to container | token 16, revision 16, operation u8, budget in ms u32, body length u32 |
//! | 4 | `Credit` | both | u32: so many more `Data` bytes of this call may be sent |
//! | 5 | `Cancel` | to container | – |
//! | 6 | `Bye` | to container | – : finish what is under way, then end |
//! | 7 | `Hello` | to host | version u16, token 16, revision 16, UTF-8 text: how it is confined |
//! | 8 | `Reply` | to host | status u16 (0 answer, 1 fault, 2 stopped), length of what follows u32 |
//! | 9 | `Begun` | to host | – : the call runs now |
//! | 10 | `Heartbeat` | to host | – |
//! | 11 | `Refused` | to host | reason u8 (1 token, 2 version, 3 revision, 4 frame, 5 operation) |
//!
//! **Order.** The host sends `Setup` and then, as `Data` of id 0, the set-up document (JSON) and
//! the package (JSON). The container shows itself with `Hello`, loads, and answers the set-up like
//! any call: `Reply` of id 0, with status 0 when it is ready, or status 1 and the fault
//! (`Fault::to_bytes`). Then come calls. Every `Call` is answered exactly once, by `Reply` or
//! `Refused`, also when it was cancelled; until then its id is not used again.
//!
//! **Credit.** Of one body or one answer at most [`WINDOW`] bytes are sent unasked; more goes out
//! as the other side grants it. Frames of several calls are interleaved, so that a slow reader or
//! writer stops its own call only. The set-up needs no credit.
//!
//! **Descriptors.** A container of the batch lane has a second channel, on which the host sends the
//! descriptors of a `Work` call just before the call's frame (see `side_channel.rs`).
//!
//! **Begun.** A container that was given the board (see [`crate::board`]) marks a call there when
//! it begins it; one without sends `Begun`.

/// The version of this protocol; both sides show theirs first.
pub const VERSION: u16 = 2;
/// Bytes of a frame's head.
pub const HEAD: usize = 9;
/// The most a frame's payload can be, in bytes.
pub const MAX_PAYLOAD: usize = 64 * 1024;
/// `Data` bytes of one call that may be under way without a grant, each way.
pub const WINDOW: usize = 256 * 1024;
/// The id of the set-up.
pub const SETUP: u32 = 0;

/// The token of a connection: proof that the peer was given this channel.
pub type Token = [u8; 16];
/// The id of a revision.
pub type Revision = [u8; 16];

/// `Reply.status`: the answer follows.
pub const STATUS_ANSWER: u16 = 0;
/// `Reply.status`: a fault follows.
pub const STATUS_FAULT: u16 = 1;
/// `Reply.status`: the call was stopped (cancelled, or its budget was spent); nothing follows.
pub const STATUS_STOPPED: u16 = 2;

/// The longest answer of a status, in bytes, where `max_reply` is the limit. A fault may always
/// fill a frame, so that the one which says that an answer is too long fits under any limit.
pub fn longest_reply(status: u16, max_reply: usize) -> usize {
    match status {
        STATUS_FAULT => max_reply.max(MAX_PAYLOAD),
        _ => max_reply,
    }
}

/// Why a container refuses a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Refusal {
    /// The call shows another token than the set-up.
    Token = 1,
    /// The set-up is of another protocol version.
    Version = 2,
    /// The call is for another revision than the one loaded.
    Revision = 3,
    /// The message cannot be decoded, or makes no sense where it stands.
    Frame = 4,
    /// The operation is not known.
    Operation = 5,
}

impl Refusal {
    /// The reason of that number.
    pub fn from_code(code: u8) -> Option<Refusal> {
        Some(match code {
            1 => Refusal::Token,
            2 => Refusal::Version,
            3 => Refusal::Revision,
            4 => Refusal::Frame,
            5 => Refusal::Operation,
            _ => return None,
        })
    }
}

/// What `Setup` and `Hello` show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    /// The sender's [`VERSION`].
    pub version: u16,
    /// The token of the connection.
    pub token: Token,
    /// The revision to load, or loaded.
    pub revision: Revision,
}

/// The head of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallHead {
    /// The id, unique among the calls not yet answered, never 0.
    pub id: u32,
    /// The token of the connection.
    pub token: Token,
    /// The revision that the call is for.
    pub revision: Revision,
    /// [`crate::Operation::code`].
    pub operation: u8,
    /// Milliseconds that are left for the call.
    pub budget_ms: u32,
    /// Length of the body, in bytes.
    pub len: u32,
}

/// One frame. `Data` and `Hello` borrow from the buffer they were decoded from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Frame<'a> {
    /// Opens the connection; `document` and `package` are lengths in bytes.
    Setup {
        /// Who asks for what.
        identity: Identity,
        /// Length of the set-up document.
        document: u32,
        /// Length of the package.
        package: u32,
    },
    /// Bytes of a body or an answer.
    Data {
        /// The call.
        id: u32,
        /// At most [`MAX_PAYLOAD`] bytes.
        bytes: &'a [u8],
    },
    /// A new call.
    Call(CallHead),
    /// Grants `bytes` more of `Data`.
    Credit {
        /// The call.
        id: u32,
        /// How many more bytes.
        bytes: u32,
    },
    /// Nobody waits for this call's answer any more.
    Cancel {
        /// The call.
        id: u32,
    },
    /// Finish what is under way, take nothing new, end.
    Bye,
    /// The container's first frame.
    Hello {
        /// What it understood.
        identity: Identity,
        /// How it is confined, for the log.
        confinement: &'a str,
    },
    /// The head of an answer.
    Reply {
        /// The call, or [`SETUP`].
        id: u32,
        /// [`STATUS_ANSWER`], [`STATUS_FAULT`] or [`STATUS_STOPPED`]; others are the peer's error.
        status: u16,
        /// Length of what follows, in bytes.
        len: u32,
    },
    /// The call runs now.
    Begun {
        /// The call.
        id: u32,
    },
    /// The container is alive.
    Heartbeat,
    /// A message was refused.
    Refused {
        /// The call, or [`SETUP`].
        id: u32,
        /// A [`Refusal`], as its number.
        reason: u8,
    },
}

/// Why bytes are not a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadFrame {
    /// The payload would be longer than [`MAX_PAYLOAD`].
    TooLong(u32),
    /// No frame has this kind.
    UnknownKind(u8),
    /// The payload is not of the kind's form.
    Malformed(u8),
}

impl std::fmt::Display for BadFrame {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            BadFrame::TooLong(len) => write!(f, "a frame of {len} bytes is too long"),
            BadFrame::UnknownKind(kind) => write!(f, "no frame has the kind {kind}"),
            BadFrame::Malformed(kind) => write!(f, "a frame of kind {kind} is malformed"),
        }
    }
}

impl std::error::Error for BadFrame {}

const KIND_SETUP: u8 = 1;
const KIND_DATA: u8 = 2;
const KIND_CALL: u8 = 3;
const KIND_CREDIT: u8 = 4;
const KIND_CANCEL: u8 = 5;
const KIND_BYE: u8 = 6;
const KIND_HELLO: u8 = 7;
const KIND_REPLY: u8 = 8;
const KIND_BEGUN: u8 = 9;
const KIND_HEARTBEAT: u8 = 10;
const KIND_REFUSED: u8 = 11;

fn head(out: &mut Vec<u8>, kind: u8, id: u32, len: usize) {
    let mut bytes = [0; HEAD];
    bytes[..4].copy_from_slice(&(len as u32).to_le_bytes());
    bytes[4] = kind;
    bytes[5..].copy_from_slice(&id.to_le_bytes());
    out.extend_from_slice(&bytes);
}

fn identity(out: &mut Vec<u8>, identity: &Identity) {
    out.extend_from_slice(&identity.version.to_le_bytes());
    out.extend_from_slice(&identity.token);
    out.extend_from_slice(&identity.revision);
}

impl Frame<'_> {
    /// Appends the frame to `out`.
    ///
    /// A payload over [`MAX_PAYLOAD`] would not be a frame: `Data` must be cut before
    /// ([`encode_data`]), the text of `Hello` is cut here.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Frame::Setup {
                identity: who,
                document,
                package,
            } => {
                head(out, KIND_SETUP, SETUP, 42);
                identity(out, who);
                out.extend_from_slice(&document.to_le_bytes());
                out.extend_from_slice(&package.to_le_bytes());
            }
            Frame::Data { id, bytes } => {
                debug_assert!(bytes.len() <= MAX_PAYLOAD);
                head(out, KIND_DATA, *id, bytes.len());
                out.extend_from_slice(bytes);
            }
            Frame::Call(call) => {
                head(out, KIND_CALL, call.id, 41);
                out.extend_from_slice(&call.token);
                out.extend_from_slice(&call.revision);
                out.push(call.operation);
                out.extend_from_slice(&call.budget_ms.to_le_bytes());
                out.extend_from_slice(&call.len.to_le_bytes());
            }
            Frame::Credit { id, bytes } => {
                head(out, KIND_CREDIT, *id, 4);
                out.extend_from_slice(&bytes.to_le_bytes());
            }
            Frame::Cancel { id } => head(out, KIND_CANCEL, *id, 0),
            Frame::Bye => head(out, KIND_BYE, 0, 0),
            Frame::Hello {
                identity: who,
                confinement,
            } => {
                let mut end = confinement.len().min(1024);
                while !confinement.is_char_boundary(end) {
                    end -= 1;
                }
                head(out, KIND_HELLO, SETUP, 34 + end);
                identity(out, who);
                out.extend_from_slice(&confinement.as_bytes()[..end]);
            }
            Frame::Reply { id, status, len } => {
                head(out, KIND_REPLY, *id, 6);
                out.extend_from_slice(&status.to_le_bytes());
                out.extend_from_slice(&len.to_le_bytes());
            }
            Frame::Begun { id } => head(out, KIND_BEGUN, *id, 0),
            Frame::Heartbeat => head(out, KIND_HEARTBEAT, 0, 0),
            Frame::Refused { id, reason } => {
                head(out, KIND_REFUSED, *id, 1);
                out.push(*reason);
            }
        }
    }

    /// Reads one frame from the beginning of `bytes`: the frame and how many bytes it took, or
    /// `None` where it is not there whole yet.
    pub fn decode(bytes: &[u8]) -> Result<Option<(Frame<'_>, usize)>, BadFrame> {
        let Some(head) = bytes.first_chunk::<HEAD>() else {
            return Ok(None);
        };
        let len = u32::from_le_bytes([head[0], head[1], head[2], head[3]]);
        let kind = head[4];
        let id = u32::from_le_bytes([head[5], head[6], head[7], head[8]]);
        if !(KIND_SETUP..=KIND_REFUSED).contains(&kind) {
            return Err(BadFrame::UnknownKind(kind));
        }
        if len as usize > MAX_PAYLOAD {
            return Err(BadFrame::TooLong(len));
        }
        let total = HEAD + len as usize;
        let Some(payload) = bytes.get(HEAD..total) else {
            return Ok(None);
        };
        match parse(kind, id, payload) {
            Some(frame) => Ok(Some((frame, total))),
            None => Err(BadFrame::Malformed(kind)),
        }
    }
}

/// Takes fixed-size pieces off the front of a payload.
struct Pieces<'a>(&'a [u8]);

impl<'a> Pieces<'a> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (piece, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*piece)
    }

    fn u16(&mut self) -> Option<u16> {
        self.take().map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_le_bytes)
    }

    fn identity(&mut self) -> Option<Identity> {
        Some(Identity {
            version: self.u16()?,
            token: self.take()?,
            revision: self.take()?,
        })
    }

    fn end<T>(self, value: T) -> Option<T> {
        self.0.is_empty().then_some(value)
    }
}

fn parse(kind: u8, id: u32, payload: &[u8]) -> Option<Frame<'_>> {
    let mut p = Pieces(payload);
    let call = (id != SETUP).then_some(id);
    let none = (id == SETUP).then_some(());
    let frame = match kind {
        KIND_SETUP => {
            none?;
            Frame::Setup {
                identity: p.identity()?,
                document: p.u32()?,
                package: p.u32()?,
            }
        }
        KIND_DATA => return Some(Frame::Data { id, bytes: payload }),
        KIND_CALL => Frame::Call(CallHead {
            id: call?,
            token: p.take()?,
            revision: p.take()?,
            operation: p.take::<1>()?[0],
            budget_ms: p.u32()?,
            len: p.u32()?,
        }),
        KIND_CREDIT => Frame::Credit {
            id: call?,
            bytes: p.u32()?,
        },
        KIND_CANCEL => Frame::Cancel { id: call? },
        KIND_BYE => {
            none?;
            Frame::Bye
        }
        KIND_HELLO => {
            none?;
            let identity = p.identity()?;
            let confinement = std::str::from_utf8(p.0).ok()?;
            return Some(Frame::Hello {
                identity,
                confinement,
            });
        }
        KIND_REPLY => Frame::Reply {
            id,
            status: p.u16()?,
            len: p.u32()?,
        },
        KIND_BEGUN => Frame::Begun { id: call? },
        KIND_HEARTBEAT => {
            none?;
            Frame::Heartbeat
        }
        KIND_REFUSED => Frame::Refused {
            id,
            reason: p.take::<1>()?[0],
        },
        _ => return None,
    };
    p.end(frame)
}

/// Appends `bytes` as `Data` frames of at most [`MAX_PAYLOAD`] each; none where it is empty.
pub fn encode_data(id: u32, bytes: &[u8], out: &mut Vec<u8>) {
    for chunk in bytes.chunks(MAX_PAYLOAD) {
        Frame::Data { id, bytes: chunk }.encode(out);
    }
}

/// Bytes received and not yet decoded: frames are taken off its front.
#[derive(Debug)]
pub struct Inbound {
    buffer: Vec<u8>,
    start: usize,
    end: usize,
}

impl Inbound {
    /// A buffer that a read fills with at most `capacity` bytes, at least one whole frame.
    pub fn new(capacity: usize) -> Inbound {
        Inbound {
            buffer: vec![0; capacity.max(HEAD + MAX_PAYLOAD)],
            start: 0,
            end: 0,
        }
    }

    /// A buffer without room, to stand in for another.
    pub fn empty() -> Inbound {
        Inbound {
            buffer: Vec::new(),
            start: 0,
            end: 0,
        }
    }

    /// Where the next bytes go; never empty, provided the frames before were taken.
    pub fn space(&mut self) -> &mut [u8] {
        if self.start == self.end {
            self.start = 0;
            self.end = 0;
        } else if self.buffer.len() - self.end < HEAD + MAX_PAYLOAD {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        &mut self.buffer[self.end..]
    }

    /// Says that `count` bytes were put into [`Inbound::space`].
    pub fn filled(&mut self, count: usize) {
        self.end = (self.end + count).min(self.buffer.len());
    }

    /// The next whole frame, if there is one.
    pub fn next_frame(&mut self) -> Result<Option<Frame<'_>>, BadFrame> {
        match Frame::decode(&self.buffer[self.start..self.end])? {
            Some((frame, used)) => {
                self.start += used;
                Ok(Some(frame))
            }
            None => Ok(None),
        }
    }

    /// Whether bytes of an unfinished frame are left.
    pub fn is_empty(&self) -> bool {
        self.start == self.end
    }
}
