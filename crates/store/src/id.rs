//! Ids of workspaces, services, endpoints and revisions, and the names of blobs.

use std::fmt;

use ring::rand::{SecureRandom, SystemRandom};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// Sixteen random bytes; as text 32 lower-case hexadecimal digits.
///
/// Clients send ids with or without hyphens and in any case; [`Id::parse`] takes them all.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id(pub [u8; 16]);

impl Id {
    /// A fresh random id, of the form of a version 4 UUID so that clients which parse it as one
    /// are content.
    ///
    /// # Panics
    /// If the operating system gives no random bytes; nothing can go on safely then.
    pub fn random() -> Id {
        let mut bytes = [0u8; 16];
        fill_random(&mut bytes);
        bytes[6] = (bytes[6] & 0x0f) | 0x40;
        bytes[8] = (bytes[8] & 0x3f) | 0x80;
        Id(bytes)
    }

    /// Reads 32 hexadecimal digits of any case, bare or with the hyphens of a UUID
    /// (8-4-4-4-12). Anything else is `None`.
    pub fn parse(text: &str) -> Option<Id> {
        let text = text.as_bytes();
        let mut digits = [0u8; 32];
        match text.len() {
            32 => digits.copy_from_slice(text),
            36 => {
                let mut at = 0;
                for (i, &byte) in text.iter().enumerate() {
                    if matches!(i, 8 | 13 | 18 | 23) {
                        if byte != b'-' {
                            return None;
                        }
                    } else {
                        digits[at] = byte;
                        at += 1;
                    }
                }
            }
            _ => return None,
        }
        let mut bytes = [0u8; 16];
        decode_hex(&digits, &mut bytes)?;
        Some(Id(bytes))
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(&self.0, f)
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Id {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Id::parse(&text).ok_or_else(|| D::Error::custom("not an id of 32 hexadecimal digits"))
    }
}

/// The SHA-256 of a blob's bytes, which is also its name; as text 64 lower-case hexadecimal
/// digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sha256(pub [u8; 32]);

impl Sha256 {
    /// Reads exactly 64 hexadecimal digits of any case; anything else is `None`, so that a name
    /// made from one can never lead out of its folder.
    pub fn parse(text: &str) -> Option<Sha256> {
        let digits: &[u8; 64] = text.as_bytes().try_into().ok()?;
        let mut bytes = [0u8; 32];
        decode_hex(digits, &mut bytes)?;
        Some(Sha256(bytes))
    }

    /// The hash of these bytes.
    pub fn of(bytes: &[u8]) -> Sha256 {
        let digest = ring::digest::digest(&ring::digest::SHA256, bytes);
        Sha256::from_digest(&digest)
    }

    pub(crate) fn from_digest(digest: &ring::digest::Digest) -> Sha256 {
        let mut bytes = [0u8; 32];
        bytes.copy_from_slice(digest.as_ref());
        Sha256(bytes)
    }
}

impl fmt::Display for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(&self.0, f)
    }
}

impl fmt::Debug for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Sha256 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Sha256 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Sha256::parse(&text)
            .ok_or_else(|| D::Error::custom("not a SHA-256 of 64 hexadecimal digits"))
    }
}

/// Fills `bytes` from the operating system's generator.
pub(crate) fn fill_random(bytes: &mut [u8]) {
    SystemRandom::new()
        .fill(bytes)
        .expect("the operating system gives random bytes");
}

fn write_hex(bytes: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = [0u8; 64];
    for (pair, byte) in text.chunks_exact_mut(2).zip(bytes) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
    let text = std::str::from_utf8(&text[..bytes.len() * 2]).map_err(|_| fmt::Error)?;
    f.pad(text)
}

/// Decodes `digits` (twice as long as `out`) or tells that one of them is none.
pub(crate) fn decode_hex(digits: &[u8], out: &mut [u8]) -> Option<()> {
    if digits.len() != out.len() * 2 {
        return None;
    }
    for (pair, byte) in digits.chunks_exact(2).zip(out) {
        let high = char::from(pair[0]).to_digit(16)?;
        let low = char::from(pair[1]).to_digit(16)?;
        *byte = (high << 4 | low) as u8;
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_in_every_form_and_written_in_one() {
        let id = Id::parse("00112233445566778899aabbccddeeff").unwrap();
        assert_eq!(Id::parse("00112233-4455-6677-8899-AABBCCDDEEFF"), Some(id));
        assert_eq!(id.to_string(), "00112233445566778899aabbccddeeff");
        for bad in [
            "",
            "0",
            "00112233445566778899aabbccddeef",
            "00112233445566778899aabbccddeegg",
            "0011-2233445566778899aabbccddeeff",
            "00112233-4455-6677-8899-AABBCCDDEEF",
            "0011223344556677-8899-aabb-ccddeeff00",
            "001122334455667788990011223344556677",
            "ééééééééééééééééé",
        ] {
            assert_eq!(Id::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn random_ids_are_version_4_and_differ() {
        let (a, b) = (Id::random(), Id::random());
        assert_ne!(a, b);
        assert_eq!(&a.to_string()[12..13], "4");
        assert!(matches!(&a.to_string()[16..17], "8" | "9" | "a" | "b"));
    }

    #[test]
    fn only_64_digits_name_a_blob() {
        let hash = Sha256::of(b"");
        assert_eq!(
            hash.to_string(),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
        assert_eq!(Sha256::parse(&hash.to_string().to_uppercase()), Some(hash));
        for bad in [
            "..",
            "../../etc/passwd",
            "",
            &"a".repeat(63),
            &"a".repeat(65),
            &"/".repeat(64),
        ] {
            assert_eq!(Sha256::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn ids_cross_json_as_text() {
        let id = Id::random();
        let text = serde_json::to_string(&id).unwrap();
        assert_eq!(text, format!("\"{id}\""));
        assert_eq!(serde_json::from_str::<Id>(&text).unwrap(), id);
        assert!(serde_json::from_str::<Id>("\"x\"").is_err());
    }
}
