//! A provider's public keys (RFC 7517), of the kinds that are taken here.

use ring::signature::{
    ECDSA_P256_SHA256_FIXED, RSA_PKCS1_2048_8192_SHA256, RSA_PSS_2048_8192_SHA256,
    RsaPublicKeyComponents, UnparsedPublicKey,
};
use serde_json::{Map, Value};

use crate::token::{Algorithm, decode};

/// More keys than any provider publishes.
const KEYS: usize = 200;

/// The keys that tokens are checked with.
#[derive(Debug, Default)]
pub(crate) struct KeySet(Vec<Key>);

#[derive(Debug)]
struct Key {
    id: Option<String>,
    /// The one algorithm that it may be used with, where it says so.
    algorithm: Option<Algorithm>,
    material: Material,
}

#[derive(Debug)]
enum Material {
    Rsa {
        n: Vec<u8>,
        e: Vec<u8>,
    },
    /// A point of P-256, uncompressed.
    P256(Vec<u8>),
}

impl KeySet {
    /// Reads a set. Keys of other kinds and for other uses are passed over; they are other
    /// people's.
    pub(crate) fn parse(bytes: &[u8]) -> Result<KeySet, String> {
        let set: Value =
            serde_json::from_slice(bytes).map_err(|e| format!("it is not JSON: {e}"))?;
        let keys = set["keys"].as_array().ok_or("it has no keys")?;
        let usable: Vec<Key> = keys
            .iter()
            .take(KEYS)
            .filter_map(|key| Key::parse(key.as_object()?))
            .collect();
        match usable.is_empty() {
            true => Err("it has no key that can be used here".to_owned()),
            false => Ok(KeySet(usable)),
        }
    }

    /// Whether a token that names this key, or none, has a key here.
    pub(crate) fn has(&self, id: Option<&str>) -> bool {
        self.0.iter().any(|key| key.is_called(id))
    }

    /// Whether one of the keys that the token may mean has made the signature.
    pub(crate) fn vouch(
        &self,
        id: Option<&str>,
        algorithm: Algorithm,
        message: &[u8],
        signature: &[u8],
    ) -> bool {
        self.0
            .iter()
            .filter(|key| key.is_called(id))
            .filter(|key| key.algorithm.is_none_or(|only| only == algorithm))
            .any(|key| key.material.vouches(algorithm, message, signature))
    }
}

impl Key {
    fn parse(key: &Map<String, Value>) -> Option<Key> {
        let text = |name: &str| key.get(name).and_then(Value::as_str);
        if text("use").is_some_and(|used| used != "sig") {
            return None;
        }
        let operations = key.get("key_ops").and_then(Value::as_array);
        if operations.is_some_and(|all| !all.iter().any(|operation| operation == "verify")) {
            return None;
        }
        let algorithm = match text("alg") {
            Some(name) => Some(Algorithm::parse(name)?),
            None => None,
        };
        let material = match text("kty")? {
            "RSA" => Material::Rsa {
                n: number(text("n")?)?,
                e: number(text("e")?)?,
            },
            "EC" if text("crv")? == "P-256" => {
                let (x, y) = (decode(text("x")?)?, decode(text("y")?)?);
                if x.len() != 32 || y.len() != 32 {
                    return None;
                }
                Material::P256([&[4][..], &x, &y].concat())
            }
            _ => return None,
        };
        Some(Key {
            id: text("kid").map(str::to_owned),
            algorithm,
            material,
        })
    }

    fn is_called(&self, id: Option<&str>) -> bool {
        id.is_none_or(|id| self.id.as_deref() == Some(id))
    }
}

/// A whole number without leading zeros, which some providers write.
fn number(text: &str) -> Option<Vec<u8>> {
    let bytes = decode(text)?;
    let first = bytes.iter().position(|byte| *byte != 0)?;
    bytes.get(first..).map(<[u8]>::to_vec)
}

impl Material {
    fn vouches(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> bool {
        let checked =
            match (self, algorithm) {
                (Material::Rsa { n, e }, Algorithm::Rs256) => RsaPublicKeyComponents { n, e }
                    .verify(&RSA_PKCS1_2048_8192_SHA256, message, signature),
                (Material::Rsa { n, e }, Algorithm::Ps256) => RsaPublicKeyComponents { n, e }
                    .verify(&RSA_PSS_2048_8192_SHA256, message, signature),
                (Material::P256(point), Algorithm::Es256) => {
                    UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point)
                        .verify(message, signature)
                }
                _ => return false,
            };
        checked.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_used_is_passed_over() {
        let good = r#"{"kty":"EC","crv":"P-256","kid":"good",
            "x":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
            "y":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}"#;
        for bad in [
            r#"{"kty":"oct","k":"AAAA"}"#,
            r#"{"kty":"OKP","crv":"Ed25519","x":"AAAA"}"#,
            r#"{"kty":"EC","crv":"P-384","x":"AAAA","y":"AAAA"}"#,
            r#"{"kty":"EC","crv":"P-256","x":"AAAA","y":"AAAA"}"#,
            r#"{"kty":"RSA","n":"AQ","e":"AQAB","use":"enc"}"#,
            r#"{"kty":"RSA","n":"AQ","e":"AQAB","key_ops":["encrypt"]}"#,
            r#"{"kty":"RSA","n":"AQ","e":"AQAB","alg":"HS256"}"#,
            r#"{"kty":"RSA","n":"A Q","e":"AQAB"}"#,
            r#"{"kty":"RSA","n":"AAAA","e":"AQAB"}"#,
            r#"{"kty":"RSA","e":"AQAB"}"#,
            "7",
        ] {
            let set = format!(r#"{{"keys":[{bad},{good}]}}"#);
            let set = KeySet::parse(set.as_bytes()).unwrap();
            assert_eq!(set.0.len(), 1, "{bad}");
            assert!(set.has(Some("good")) && set.has(None) && !set.has(Some("bad")));
            let alone = format!(r#"{{"keys":[{bad}]}}"#);
            assert!(KeySet::parse(alone.as_bytes()).is_err(), "{bad}");
        }
        for wrong in ["", "[]", "{}", r#"{"keys":7}"#] {
            assert!(KeySet::parse(wrong.as_bytes()).is_err(), "{wrong}");
        }
        assert_eq!(number("AAEB"), Some(vec![1, 1]));
    }
}
