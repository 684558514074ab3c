//! Seeded fuzzing of the frame decoder, from a kept corpus.
//!
//! `FUZZ_SECONDS` sets how long (2 by default), `FUZZ_SEED` where it begins. An input that breaks
//! a property is written to the corpus, so that it is tried first from then on.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use containers::frames::{Frame, HEAD, Inbound, MAX_PAYLOAD};

/// SplitMix64: small, and the same everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit.max(1) as u64) as usize
    }
}

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/frames")
}

fn seeds() -> Vec<Vec<u8>> {
    let mut paths: Vec<_> = std::fs::read_dir(corpus())
        .expect("the corpus is part of the repository")
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    paths
        .iter()
        .map(|path| std::fs::read(path).unwrap())
        .collect()
}

/// Changes an input as broken and hostile peers do.
fn mutate(input: &mut Vec<u8>, seeds: &[Vec<u8>], random: &mut Random) {
    for _ in 0..=random.below(4) {
        let at = random.below(input.len() + 1);
        match random.below(7) {
            0 if at < input.len() => input[at] ^= 1 << random.below(8),
            1 if at < input.len() => input[at] = random.next() as u8,
            2 => input.truncate(at),
            3 => {
                let other = &seeds[random.below(seeds.len())];
                let from = random.below(other.len() + 1);
                input.splice(at..at, other[from..].iter().copied());
            }
            4 => {
                // A head of its own making.
                let lengths = [0, 1, 4, 6, 34, 41, 42, MAX_PAYLOAD as u32, u32::MAX];
                let mut head = lengths[random.below(lengths.len())].to_le_bytes().to_vec();
                head.push(random.below(14) as u8);
                head.extend_from_slice(&(random.below(3) as u32).to_le_bytes());
                input.splice(at..at, head);
            }
            5 => {
                let count = random.below(80);
                let byte = random.next() as u8;
                input.splice(at..at, std::iter::repeat_n(byte, count));
            }
            _ if at < input.len() => {
                let end = (at + random.below(20)).min(input.len());
                input.drain(at..end);
            }
            _ => {}
        }
    }
    input.truncate(200_000);
}

/// The frames of a stream read at once, and where it ends for want of bytes or breaks.
fn at_once(input: &[u8]) -> (Vec<Vec<u8>>, bool) {
    let (mut frames, mut rest) = (Vec::new(), input);
    loop {
        match Frame::decode(rest) {
            Ok(Some((frame, used))) => {
                assert!((HEAD..=HEAD + MAX_PAYLOAD).contains(&used));
                let mut bytes = Vec::new();
                frame.encode(&mut bytes);
                if !matches!(frame, Frame::Hello { .. }) {
                    // A hello's text is cut when it is sent; all others are kept to the bit.
                    assert_eq!(bytes, &rest[..used]);
                }
                frames.push(bytes);
                rest = &rest[used..];
            }
            Ok(None) => return (frames, false),
            Err(_) => return (frames, true),
        }
    }
}

/// The same read in pieces.
fn in_pieces(input: &[u8], random: &mut Random) -> (Vec<Vec<u8>>, bool) {
    let mut inbound = Inbound::new(0);
    let (mut frames, mut rest) = (Vec::new(), input);
    loop {
        loop {
            match inbound.next_frame() {
                Ok(Some(frame)) => {
                    let mut bytes = Vec::new();
                    frame.encode(&mut bytes);
                    frames.push(bytes);
                }
                Ok(None) => break,
                Err(_) => return (frames, true),
            }
        }
        if rest.is_empty() {
            return (frames, false);
        }
        let space = inbound.space();
        assert!(!space.is_empty(), "a reader would stand still");
        let count = (1 + random.below(3000)).min(space.len()).min(rest.len());
        space[..count].copy_from_slice(&rest[..count]);
        inbound.filled(count);
        rest = &rest[count..];
    }
}

fn check(input: &[u8], random: &mut Random) {
    let pieces = random.next();
    let result = catch_unwind(AssertUnwindSafe(|| {
        assert_eq!(at_once(input), in_pieces(input, &mut Random(pieces)));
    }));
    if result.is_err() {
        let mut hasher = DefaultHasher::new();
        input.hash(&mut hasher);
        let path = corpus().join(format!("found-{:016x}", hasher.finish()));
        std::fs::write(&path, input).unwrap();
        panic!(
            "an input broke the decoder; it is kept as {}",
            path.display()
        );
    }
}

#[test]
fn the_decoder_stands_any_stream() {
    let number = |name: &str| std::env::var(name).ok().and_then(|v| v.parse::<u64>().ok());
    let seconds = number("FUZZ_SECONDS").unwrap_or(2);
    let mut random = Random(number("FUZZ_SEED").unwrap_or(1));
    let seeds = seeds();
    assert!(seeds.len() >= 10);
    for seed in &seeds {
        check(seed, &mut random);
    }
    let end = Instant::now() + Duration::from_secs(seconds);
    let mut tried = 0_u64;
    while Instant::now() < end {
        let mut input = seeds[random.below(seeds.len())].clone();
        mutate(&mut input, &seeds, &mut random);
        check(&input, &mut random);
        tried += 1;
    }
    println!("{tried} inputs");
}
