//! Sealing of secrets and digests of keys, both under keys derived from the master key.

use std::fmt;
use std::fs;
use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;

use arc_swap::ArcSwap;
use faults::{Class, Fault};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::{hkdf, hmac};

use crate::files;
use crate::id::{decode_hex, fill_random};

/// Seals secrets for the ledger and digests presented keys.
///
/// Sealed text is AES-256-GCM; the context (what the secret is and whose) is bound to it, so a
/// sealed value moved to another row does not open. Digests are HMAC-SHA256 under a key of their
/// own: equal keys have equal digests, and without the master key nothing can be tried against
/// them.
///
/// The key of digests is at first derived from the master key, and then kept in the ledger, sealed:
/// so it stays when the master key is changed, and what is kept as a digest alone (tokens) goes on.
pub struct Sealer {
    sealing: ArcSwap<Sealing>,
    digesting: ArcSwap<hmac::Key>,
    /// The key of digests that the master key gives.
    derived: [u8; 32],
}

/// The keys that values are sealed under.
#[derive(Clone)]
struct Sealing {
    current: Arc<LessSafeKey>,
    /// While the master key changes the one to come, and those before it, the newest first: what
    /// is read on one side of a change may be opened on the other.
    others: Vec<Arc<LessSafeKey>>,
}

/// What the ledger keeps of a key or a token instead of the key itself.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyDigest(pub [u8; 32]);

impl KeyDigest {
    /// Whether both are the same, in a time that does not depend on where they differ.
    pub fn matches(&self, other: &KeyDigest) -> bool {
        let mut difference = 0u8;
        for (a, b) in self.0.iter().zip(&other.0) {
            difference |= a ^ b;
        }
        black_box(difference) == 0
    }
}

impl fmt::Debug for KeyDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyDigest(…)")
    }
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealer(…)")
    }
}

/// How many keys are tried beside the current one: of changes that follow each other while one
/// reader is held up.
const OTHERS: usize = 8;

impl Sealing {
    /// Another current key, and one more beside it.
    fn with(&self, current: Arc<LessSafeKey>, other: Arc<LessSafeKey>) -> Sealing {
        let mut others = vec![other];
        let before = self.others.iter().filter(|key| !Arc::ptr_eq(key, &current));
        others.extend(before.take(OTHERS).cloned());
        Sealing { current, others }
    }
}

/// The first byte of every sealed value, so that another scheme can follow.
const SCHEME: u8 = 1;

impl Sealer {
    /// Derives both keys from a master key of 32 bytes.
    pub fn new(master: &[u8; 32]) -> Sealer {
        let salt = hkdf::Salt::new(hkdf::HKDF_SHA256, b"umpire master key");
        let root = salt.extract(master);
        let derive = |purpose: &[u8]| {
            let mut key = [0u8; 32];
            root.expand(&[purpose], hkdf::HKDF_SHA256)
                .and_then(|okm| okm.fill(&mut key))
                .expect("32 bytes are within HKDF's limit");
            key
        };
        let sealing = UnboundKey::new(&AES_256_GCM, &derive(b"seal secrets v1"))
            .expect("the key has AES-256's length");
        let derived = derive(b"digest keys v1");
        Sealer {
            sealing: ArcSwap::from_pointee(Sealing {
                current: Arc::new(LessSafeKey::new(sealing)),
                others: Vec::new(),
            }),
            digesting: ArcSwap::from_pointee(hmac::Key::new(hmac::HMAC_SHA256, &derived)),
            derived,
        }
    }

    /// The key of digests of an installation that has none in its ledger yet.
    pub(crate) fn derived_digest_key(&self) -> &[u8; 32] {
        &self.derived
    }

    /// Digests under this key from now on.
    pub(crate) fn digest_under(&self, key: &[u8]) {
        let key = hmac::Key::new(hmac::HMAC_SHA256, key);
        self.digesting.store(Arc::new(key));
    }

    /// Opens what is sealed under the key of `next` too from now on.
    pub(crate) fn expect(&self, next: &Sealer) {
        let now = self.sealing.load();
        let coming = next.sealing.load().current.clone();
        self.sealing
            .store(Arc::new(now.with(now.current.clone(), coming)));
    }

    /// Seals under the key of `next` from now on; what was sealed before is opened still.
    pub(crate) fn switch(&self, next: &Sealer) {
        let now = self.sealing.load();
        let current = next.sealing.load().current.clone();
        self.sealing
            .store(Arc::new(now.with(current, now.current.clone())));
    }

    /// Reads the master key from `path`: 64 hexadecimal digits (blanks around them are ignored)
    /// or exactly 32 bytes.
    ///
    /// # Errors
    /// `InternalError` with the path in its cause.
    pub fn from_file(path: &Path) -> Result<Sealer, Fault> {
        let refused = || {
            Fault::bare(Class::InternalError).because(format!(
                "the master key file {} cannot be used",
                path.display()
            ))
        };
        let content = fs::read(path).map_err(|e| refused().caused_by(&e))?;
        let mut master = [0u8; 32];
        if content.len() == master.len() {
            master.copy_from_slice(&content);
        } else if decode_hex(content.trim_ascii(), &mut master).is_none() {
            return Err(Fault::bare(Class::InternalError).because(format!(
                "the master key file {} cannot be used: it must hold 64 hexadecimal digits or 32 bytes",
                path.display()
            )));
        }
        Ok(Sealer::new(&master))
    }

    /// Reads the master key at `path`; where there is none yet, and no `ledger` that was sealed
    /// under one, makes it (mode 0600, whole or not at all).
    ///
    /// # Errors
    /// `InternalError` with the path in its cause; also when the file is missing beside a ledger.
    pub(crate) fn from_own_file(path: &Path, ledger: &Path) -> Result<Sealer, Fault> {
        let refused = |e: &std::io::Error| {
            Fault::bare(Class::InternalError)
                .caused_by(e)
                .because(format!("the master key {} cannot be made", path.display()))
        };
        if !path.try_exists().map_err(|e| refused(&e))? {
            // A fresh key would open nothing in the ledger, and stand in the way of the lost one.
            if ledger.try_exists().map_err(|e| refused(&e))? {
                return Err(Fault::bare(Class::InternalError).because(format!(
                    "the master key file {} is missing, and {} was sealed under it: put the file \
                     back, or name the master key's file",
                    path.display(),
                    ledger.display()
                )));
            }
            files::write_private_file(path, fresh_master().as_bytes()).map_err(|e| refused(&e))?;
        }
        Sealer::from_file(path)
    }

    /// Seals `plain`, bound to `context`.
    pub fn seal(&self, plain: &[u8], context: &str) -> Vec<u8> {
        let mut nonce = [0u8; NONCE_LEN];
        fill_random(&mut nonce);
        let mut sealed = Vec::with_capacity(1 + NONCE_LEN + plain.len() + 16);
        sealed.push(SCHEME);
        sealed.extend_from_slice(&nonce);
        let mut body = plain.to_vec();
        self.sealing
            .load()
            .current
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(context.as_bytes()),
                &mut body,
            )
            .expect("a secret is far below AES-GCM's limit");
        sealed.extend_from_slice(&body);
        sealed
    }

    /// Opens what [`Sealer::seal`] made with the same context.
    ///
    /// # Errors
    /// `InternalError.UnknownError` when the bytes were changed, sealed under another master key
    /// or for another context.
    pub fn open(&self, sealed: &[u8], context: &str) -> Result<Vec<u8>, Fault> {
        let refused = || {
            faults::internal_error::unknown_error()
                .because(format!("the sealed value of {context} does not open: it was changed, or sealed under another master key"))
        };
        let (&scheme, rest) = sealed.split_first().ok_or_else(refused)?;
        let (nonce, body) = rest.split_first_chunk::<NONCE_LEN>().ok_or_else(refused)?;
        if scheme != SCHEME {
            return Err(refused());
        }
        let sealing = self.sealing.load();
        let open_under = |key: &LessSafeKey| {
            let mut body = body.to_vec();
            key.open_in_place(
                Nonce::assume_unique_for_key(*nonce),
                Aad::from(context.as_bytes()),
                &mut body,
            )
            .map(|plain| plain.to_vec())
            .ok()
        };
        open_under(&sealing.current)
            .or_else(|| sealing.others.iter().find_map(|key| open_under(key)))
            .ok_or_else(refused)
    }

    /// The digest under which a key or token is looked up and compared.
    pub fn digest_key(&self, key: &str) -> KeyDigest {
        let tag = hmac::sign(&self.digesting.load(), key.as_bytes());
        let mut digest = [0u8; 32];
        digest.copy_from_slice(tag.as_ref());
        KeyDigest(digest)
    }
}

impl Sealer {
    /// The HMAC-SHA256 of a reference to a blob, under a key that the key of digests gives.
    pub(crate) fn sign(&self, text: &str) -> [u8; 32] {
        let key = hmac::sign(&self.digesting.load(), b"sign blob references v1");
        let key = hmac::Key::new(hmac::HMAC_SHA256, key.as_ref());
        let mut signature = [0u8; 32];
        signature.copy_from_slice(hmac::sign(&key, text.as_bytes()).as_ref());
        signature
    }
}

/// A fresh master key, as its file has it.
pub(crate) fn fresh_master() -> String {
    let mut master = [0u8; 32];
    fill_random(&mut master);
    format!("{}\n", crate::Sha256(master))
}

/// A fresh endpoint key: 64 random bytes in base64, 88 characters that end in `==`, as the keys
/// of the old service were.
pub fn random_key() -> String {
    let mut bytes = [0u8; 64];
    fill_random(&mut bytes);
    base64(&bytes)
}

/// A fresh token: 32 random bytes in base64url without padding.
pub fn random_token() -> String {
    let mut bytes = [0u8; 32];
    fill_random(&mut bytes);
    base64_url(&bytes)
}

/// Base64url without padding.
pub(crate) fn base64_url(bytes: &[u8]) -> String {
    base64_of(bytes, b'-', b'_', false)
}

/// Base64 with the usual alphabet, padded.
pub fn base64(bytes: &[u8]) -> String {
    base64_of(bytes, b'+', b'/', true)
}

fn base64_of(bytes: &[u8], char_62: u8, char_63: u8, padded: bool) -> String {
    let digit = |value: u32| {
        char::from(match (value & 63) as u8 {
            n @ 0..26 => b'A' + n,
            n @ 26..52 => b'a' + (n - 26),
            n @ 52..62 => b'0' + (n - 52),
            62 => char_62,
            _ => char_63,
        })
    };
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let byte = |i: usize| u32::from(chunk.get(i).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for (i, shift) in [18, 12, 6, 0].into_iter().enumerate() {
            if i <= chunk.len() {
                text.push(digit(bits >> shift));
            } else if padded {
                text.push('=');
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_as_rfc_4648_has_it() {
        for (plain, text) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(base64(plain.as_bytes()), text);
        }
        assert_eq!(base64_of(&[0xfb, 0xff], b'-', b'_', false), "-_8");
    }

    #[test]
    fn keys_have_the_old_services_shape() {
        let key = random_key();
        assert_eq!(key.len(), 88);
        assert!(key.ends_with("==") && !key.ends_with("==="));
        assert_ne!(key, random_key());
        let token = random_token();
        assert_eq!(token.len(), 43);
        assert!(!token.contains(['+', '/', '=']));
    }

    #[test]
    fn a_sealed_value_opens_only_whole_and_in_its_place() {
        let sealer = Sealer::new(&[7; 32]);
        let sealed = sealer.seal(b"secret", "endpoint x");
        assert_eq!(sealer.open(&sealed, "endpoint x").unwrap(), b"secret");
        assert!(sealer.open(&sealed, "endpoint y").is_err());
        assert!(Sealer::new(&[8; 32]).open(&sealed, "endpoint x").is_err());
        assert_ne!(
            sealer.seal(b"secret", "endpoint x"),
            sealed,
            "nonces differ"
        );
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert!(sealer.open(&changed, "endpoint x").is_err(), "byte {at}");
            assert!(sealer.open(&sealed[..at], "endpoint x").is_err());
        }
    }

    #[test]
    fn digests_tell_keys_apart() {
        let sealer = Sealer::new(&[7; 32]);
        let digest = sealer.digest_key("a");
        assert!(digest.matches(&sealer.digest_key("a")));
        assert!(!digest.matches(&sealer.digest_key("b")));
        assert!(!digest.matches(&Sealer::new(&[8; 32]).digest_key("a")));
    }

    #[test]
    fn a_master_key_is_made_once_and_read_in_two_forms() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("master.key");
        let ledger = dir.path().join("ledger.sqlite");
        let own = || Sealer::from_own_file(&path, &ledger);
        let first = own().unwrap().digest_key("a");
        fs::write(&ledger, b"").unwrap();
        assert_eq!(own().unwrap().digest_key("a"), first);

        fs::remove_file(&path).unwrap();
        let fault = own().unwrap_err();
        assert!(fault.cause().unwrap().contains("master.key is missing"));
        assert!(!path.exists(), "no key is made for a ledger that has one");

        fs::write(&path, [7; 32]).unwrap();
        let raw = Sealer::from_file(&path).unwrap().digest_key("a");
        fs::write(&path, format!(" {}\n", "07".repeat(32))).unwrap();
        assert_eq!(Sealer::from_file(&path).unwrap().digest_key("a"), raw);

        for bad in [&b""[..], b"short", &[b'z'; 64]] {
            fs::write(&path, bad).unwrap();
            let fault = Sealer::from_file(&path).unwrap_err();
            assert!(fault.cause().unwrap().contains("master.key"));
        }
    }
}
