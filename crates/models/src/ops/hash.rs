//! Look-up tables that a model brings along.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// A quick hash. The keys come from the model and never from a request, so nobody can fill the
/// table with collisions.
#[derive(Default)]
pub(crate) struct Quick(u64);

impl Hasher for Quick {
    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.write_u64(u64::from_le_bytes(*word));
        }
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        self.write_u64(u64::from_le_bytes(last));
    }
    fn write_u64(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(0x517c_c1b7_2722_0a95);
    }
    fn write_u32(&mut self, word: u32) {
        self.write_u64(u64::from(word));
    }
    fn write_u8(&mut self, byte: u8) {
        self.write_u64(u64::from(byte));
    }
    fn write_i64(&mut self, word: i64) {
        self.write_u64(word as u64);
    }
    fn finish(&self) -> u64 {
        // The table takes its bits from the top and the bottom.
        self.0 ^ (self.0 >> 32)
    }
}

/// From keys to positions.
pub(crate) type Map<K> = HashMap<K, u32, BuildHasherDefault<Quick>>;
