//! Ids of requests: made cheaply, one a request.

use std::cell::Cell;
use std::fmt;

use ring::rand::{SecureRandom as _, SystemRandom};

/// 128 random bits as 32 lower-case hexadecimal digits: the value of `x-ms-request-id`.
///
/// It names a request in logs and proves nothing, so its generator is fast and not secure.
#[derive(Clone, Copy)]
pub(crate) struct RequestId([u8; 32]);

thread_local! {
    /// xoshiro256++, seeded once a thread.
    static STATE: Cell<[u64; 4]> = Cell::new(seed());
}

fn seed() -> [u64; 4] {
    let mut bytes = [0u8; 32];
    // Without entropy the address of a stack variable and the clock still tell threads apart.
    if SystemRandom::new().fill(&mut bytes).is_err() {
        let now = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap_or_default()
            .as_nanos();
        let place = std::ptr::from_ref(&bytes) as usize as u128;
        bytes[..16].copy_from_slice(&now.to_le_bytes());
        bytes[16..].copy_from_slice(&(place | 1).to_le_bytes());
    }
    let mut words = [0u64; 4];
    for (word, chunk) in words.iter_mut().zip(bytes.chunks_exact(8)) {
        let mut eight = [0u8; 8];
        eight.copy_from_slice(chunk);
        *word = u64::from_le_bytes(eight);
    }
    words
}

fn next(s: &mut [u64; 4]) -> u64 {
    let result = s[0].wrapping_add(s[3]).rotate_left(23).wrapping_add(s[0]);
    let t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = s[3].rotate_left(45);
    result
}

impl RequestId {
    pub(crate) fn new() -> RequestId {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut state = STATE.get();
        let words = [next(&mut state), next(&mut state)];
        STATE.set(state);
        let mut text = [0u8; 32];
        for (i, digit) in text.iter_mut().enumerate() {
            let nibble = words[i / 16] >> (4 * (i % 16)) & 15;
            *digit = DIGITS[nibble as usize];
        }
        RequestId(text)
    }

    pub(crate) fn as_str(&self) -> &str {
        // All bytes are hexadecimal digits.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn ids_are_32_hexadecimal_digits_and_differ_within_and_between_threads() {
        let make = || (0..1000).map(|_| RequestId::new().to_string());
        let mut all: HashSet<String> = make().collect();
        let other: Vec<String> = std::thread::spawn(move || make().collect()).join().unwrap();
        all.extend(other);
        assert_eq!(all.len(), 2000);
        assert!(
            all.iter()
                .all(|id| id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit()))
        );
    }
}
