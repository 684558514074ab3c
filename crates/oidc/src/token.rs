//! A signed token (RFC 7515, RFC 7519) and its checks.

use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::keys::KeySet;
use crate::{Doubt, Options};

/// The longest token, in bytes.
const LONGEST: usize = 16 * 1024;
/// How far clocks may be apart, in seconds.
const LEEWAY: f64 = 60.0;

/// The algorithms that are taken. There is none without a signature, and none whose key could be
/// taken for a public one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Algorithm {
    Rs256,
    Ps256,
    Es256,
}

impl Algorithm {
    pub(crate) fn parse(name: &str) -> Option<Algorithm> {
        match name {
            "RS256" => Some(Algorithm::Rs256),
            "PS256" => Some(Algorithm::Ps256),
            "ES256" => Some(Algorithm::Es256),
            _ => None,
        }
    }
}

/// A token taken apart; nothing of it is to be believed yet.
#[derive(Debug)]
pub(crate) struct Token<'t> {
    header: Map<String, Value>,
    payload: &'t str,
    /// What the signature is of.
    signed: &'t str,
    signature: &'t str,
}

impl<'t> Token<'t> {
    /// Takes a token apart; `None` for what is none.
    pub(crate) fn parse(text: &'t str) -> Option<Token<'t>> {
        if text.len() > LONGEST {
            return None;
        }
        let (signed, signature) = text.rsplit_once('.')?;
        let (header, payload) = signed.split_once('.')?;
        if payload.contains('.') {
            return None;
        }
        let header: Map<String, Value> = serde_json::from_slice(&decode(header)?).ok()?;
        header.get("alg")?.as_str()?;
        Some(Token {
            header,
            payload,
            signed,
            signature,
        })
    }

    /// The id of the key that the token says it is signed with.
    pub(crate) fn key_id(&self) -> Option<&str> {
        self.header.get("kid")?.as_str()
    }

    /// The claims, if the token is the provider's, made for us, and good now.
    pub(crate) fn check(
        &self,
        keys: &KeySet,
        options: &Options,
        now: Timestamp,
    ) -> Result<Map<String, Value>, Doubt> {
        let refused = |why: &str| Doubt::Refused(why.to_owned());
        let algorithm = self.header.get("alg").and_then(Value::as_str);
        let algorithm = algorithm
            .and_then(Algorithm::parse)
            .ok_or_else(|| refused("its algorithm is not one of: RS256, PS256, ES256"))?;
        // What must be understood is not.
        if self.header.contains_key("crit") {
            return Err(refused("it asks for an extension"));
        }
        let signature =
            decode(self.signature).ok_or_else(|| refused("its signature is no text"))?;
        let signed = self.signed.as_bytes();
        if !keys.vouch(self.key_id(), algorithm, signed, &signature) {
            return Err(refused("its signature is not by a key of the provider"));
        }
        let claims: Map<String, Value> = decode(self.payload)
            .and_then(|bytes| serde_json::from_slice(&bytes).ok())
            .ok_or_else(|| refused("its claims are no JSON object"))?;

        let issuer = claims.get("iss").and_then(Value::as_str);
        if issuer.is_none_or(|issuer| issuer.trim_end_matches('/') != options.issuer) {
            return Err(refused("it is of another issuer"));
        }
        let wanted = |audience: &Value| {
            let audience = audience.as_str();
            audience.is_some_and(|audience| options.audience.iter().any(|ours| ours == audience))
        };
        let ours = match claims.get("aud") {
            Some(Value::Array(all)) => all.iter().any(wanted),
            Some(one) => wanted(one),
            None => false,
        };
        if !ours {
            return Err(refused("it is for another audience"));
        }
        let now = now.as_microsecond() as f64 / 1e6;
        match claims.get("exp").map(Value::as_f64) {
            Some(Some(until)) if now < until + LEEWAY => {}
            Some(Some(_)) => return Err(refused("it has expired")),
            _ => return Err(refused("it does not say when it expires")),
        }
        match claims.get("nbf").map(Value::as_f64) {
            None => {}
            Some(Some(from)) if now >= from - LEEWAY => {}
            Some(_) => return Err(refused("it is not good yet")),
        }
        Ok(claims)
    }
}

/// Base64url without padding.
pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    if text.contains(['+', '/', '=']) {
        return None;
    }
    let mut plain = text.replace('-', "+").replace('_', "/");
    while !plain.len().is_multiple_of(4) {
        plain.push('=');
    }
    outbound::base64::decode(&plain)
}
