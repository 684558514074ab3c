//! Properties of the frame codec.

use containers::frames::{
    BadFrame, CallHead, Frame, HEAD, Identity, Inbound, MAX_PAYLOAD, encode_data,
};
use proptest::prelude::*;

fn identity() -> impl Strategy<Value = Identity> {
    any::<(u16, [u8; 16], [u8; 16])>().prop_map(|(version, token, revision)| Identity {
        version,
        token,
        revision,
    })
}

/// A frame with its own bytes, so that it can outlive the strategy.
#[derive(Debug, Clone)]
enum Owned {
    Plain(Frame<'static>),
    Data(u32, Vec<u8>),
    Hello(Identity, String),
}

impl Owned {
    fn frame(&self) -> Frame<'_> {
        match self {
            Owned::Plain(frame) => *frame,
            Owned::Data(id, bytes) => Frame::Data { id: *id, bytes },
            Owned::Hello(identity, confinement) => Frame::Hello {
                identity: *identity,
                confinement,
            },
        }
    }
}

fn frame() -> impl Strategy<Value = Owned> {
    let call = 1..=u32::MAX;
    let plain = prop_oneof![
        (identity(), any::<(u32, u32)>()).prop_map(|(identity, (document, package))| {
            Frame::Setup {
                identity,
                document,
                package,
            }
        }),
        (call.clone(), identity(), any::<(u8, u32, u32)>()).prop_map(|(id, i, (op, ms, len))| {
            Frame::Call(CallHead {
                id,
                token: i.token,
                revision: i.revision,
                operation: op,
                budget_ms: ms,
                len,
            })
        }),
        (call.clone(), any::<u32>()).prop_map(|(id, bytes)| Frame::Credit { id, bytes }),
        call.clone().prop_map(|id| Frame::Cancel { id }),
        Just(Frame::Bye),
        any::<(u32, u16, u32)>().prop_map(|(id, status, len)| Frame::Reply { id, status, len }),
        call.prop_map(|id| Frame::Begun { id }),
        Just(Frame::Heartbeat),
        any::<(u32, u8)>().prop_map(|(id, reason)| Frame::Refused { id, reason }),
    ];
    prop_oneof![
        plain.prop_map(Owned::Plain),
        (any::<u32>(), prop::collection::vec(any::<u8>(), 0..3000))
            .prop_map(|(id, bytes)| Owned::Data(id, bytes)),
        (identity(), "\\PC{0,200}").prop_map(|(identity, text)| Owned::Hello(identity, text)),
    ]
}

proptest! {
    #[test]
    fn what_is_encoded_is_decoded(frame in frame()) {
        let mut bytes = Vec::new();
        frame.frame().encode(&mut bytes);
        let (decoded, used) = Frame::decode(&bytes).unwrap().unwrap();
        prop_assert_eq!(decoded, frame.frame());
        prop_assert_eq!(used, bytes.len());
        for cut in 0..bytes.len() {
            prop_assert_eq!(Frame::decode(&bytes[..cut]), Ok(None));
        }
    }

    #[test]
    fn any_bytes_decode_to_a_frame_that_encodes_to_them_or_to_nothing(
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        kind in 0_u8..13,
        len in 0_u8..60,
    ) {
        let mut bytes = bytes;
        if bytes.len() >= HEAD {
            // Mostly of a length and kind that could be.
            bytes[..5].copy_from_slice(&[len, 0, 0, 0, kind]);
        }
        if let Ok(Some((frame, used))) = Frame::decode(&bytes) {
            let mut again = Vec::new();
            frame.encode(&mut again);
            prop_assert_eq!(&again[..], &bytes[..used]);
        }
    }

    #[test]
    fn frames_come_out_alike_however_the_stream_is_cut(
        frames in prop::collection::vec(frame(), 0..20),
        cuts in prop::collection::vec(1_usize..5000, 1..40),
    ) {
        let mut stream = Vec::new();
        frames.iter().for_each(|f| f.frame().encode(&mut stream));
        let mut inbound = Inbound::new(0);
        let mut seen = 0;
        let mut rest = &stream[..];
        let mut cuts = cuts.iter().cycle();
        while !rest.is_empty() {
            let space = inbound.space();
            let count = (*cuts.next().unwrap()).min(space.len()).min(rest.len());
            space[..count].copy_from_slice(&rest[..count]);
            inbound.filled(count);
            rest = &rest[count..];
            while let Some(frame) = inbound.next_frame().unwrap() {
                prop_assert_eq!(frame, frames[seen].frame());
                seen += 1;
            }
        }
        prop_assert_eq!(seen, frames.len());
        prop_assert!(inbound.is_empty());
    }
}

#[test]
fn long_data_is_cut_and_comes_together_again() {
    let bytes: Vec<u8> = (0..3 * MAX_PAYLOAD + 1).map(|n| n as u8).collect();
    let mut stream = Vec::new();
    encode_data(7, &bytes, &mut stream);
    let mut inbound = Inbound::new(0);
    let (mut rest, mut seen, mut frames) = (&stream[..], Vec::new(), 0);
    while !rest.is_empty() {
        let space = inbound.space();
        assert!(!space.is_empty());
        let count = space.len().min(rest.len());
        space[..count].copy_from_slice(&rest[..count]);
        inbound.filled(count);
        rest = &rest[count..];
        while let Some(frame) = inbound.next_frame().unwrap() {
            let Frame::Data { id: 7, bytes } = frame else {
                panic!("{frame:?}");
            };
            seen.extend_from_slice(bytes);
            frames += 1;
        }
    }
    assert_eq!(frames, 4);
    assert!(seen == bytes);
}

#[test]
fn what_is_no_frame_is_told_at_once() {
    let head = |len: u32, kind: u8, id: u32| {
        let mut bytes = len.to_le_bytes().to_vec();
        bytes.push(kind);
        bytes.extend_from_slice(&id.to_le_bytes());
        bytes
    };
    // Before the payload is there: a reader must not wait for what it will not take.
    let too_long = MAX_PAYLOAD as u32 + 1;
    assert_eq!(
        Frame::decode(&head(too_long, 2, 1)),
        Err(BadFrame::TooLong(too_long))
    );
    for kind in [0, 12, 255] {
        let expected = Err(BadFrame::UnknownKind(kind));
        assert_eq!(Frame::decode(&head(0, kind, 0)), expected);
    }
    // Of the wrong length, or with an id where none belongs, or without one.
    for (len, kind, id) in [(0, 3, 1), (1, 5, 1), (0, 5, 0), (0, 6, 1), (0, 10, 9)] {
        let mut bytes = head(len, kind, id);
        bytes.resize(HEAD + len as usize, 0);
        assert_eq!(Frame::decode(&bytes), Err(BadFrame::Malformed(kind)));
    }
}
