//! Tokens against a real set of keys that a real server hands out.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

use jiff::Timestamp;
use oidc::{Doubt, Options, Provider};
use outbound::Outbound;
use ring::rand::SystemRandom;
use ring::rsa::PublicKeyComponents;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, RSA_PKCS1_SHA256, RSA_PSS_SHA256,
    RsaKeyPair,
};
use serde_json::{Value, json};

/// Made for this test; it signs nothing else.
const RSA_KEY: &[u8] = include_bytes!("keys/rsa.der");
const NOW: i64 = 1_800_000_000;

fn base64url(bytes: &[u8]) -> String {
    let padded = outbound::base64::encode(bytes);
    padded
        .trim_end_matches('=')
        .replace('+', "-")
        .replace('/', "_")
}

/// A provider's own side: its keys, and a server that hands out what `documents` says by path.
struct Served {
    issuer: String,
    documents: Arc<Mutex<Vec<(String, String)>>>,
    asked: Arc<AtomicUsize>,
}

impl Served {
    fn start() -> Served {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let issuer = format!("http://{}", listener.local_addr().unwrap());
        let documents: Arc<Mutex<Vec<(String, String)>>> = Arc::default();
        let asked = Arc::new(AtomicUsize::new(0));
        let (shown, count) = (documents.clone(), asked.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
                let Some(Ok(first)) = lines.next() else {
                    continue;
                };
                while lines
                    .next()
                    .is_some_and(|line| line.is_ok_and(|l| !l.is_empty()))
                {}
                count.fetch_add(1, SeqCst);
                let path = first.split(' ').nth(1).unwrap_or_default();
                let found = shown
                    .lock()
                    .unwrap()
                    .iter()
                    .find(|(p, _)| p == path)
                    .cloned();
                let (status, body) = match found {
                    Some((_, body)) => ("200 OK", body),
                    None => ("503 Service Unavailable", String::new()),
                };
                let head = format!(
                    "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                    body.len()
                );
                let _ = stream.write_all(head.as_bytes());
                let _ = stream.write_all(body.as_bytes());
            }
        });
        let served = Served {
            issuer,
            documents,
            asked,
        };
        let configuration = json!({
            "issuer": served.issuer,
            "jwks_uri": format!("{}/keys", served.issuer),
        });
        served.show("/.well-known/openid-configuration", configuration);
        served
    }

    fn show(&self, path: &str, document: Value) {
        let mut documents = self.documents.lock().unwrap();
        documents.retain(|(p, _)| p != path);
        documents.push((path.to_owned(), document.to_string()));
    }

    fn show_keys(&self, keys: &[Value]) {
        self.show("/keys", json!({"keys": keys}));
    }

    fn hide_all(&self) {
        self.documents.lock().unwrap().clear();
    }

    fn asked(&self) -> usize {
        self.asked.load(SeqCst)
    }

    fn options(&self) -> Options {
        Options {
            issuer: self.issuer.clone(),
            audience: vec!["umpire".into(), "other".into()],
            jwks_url: None,
        }
    }

    fn provider(&self) -> Provider {
        Provider::new(self.options(), outbound())
    }

    fn claims(&self) -> Value {
        json!({"iss": self.issuer, "aud": "umpire", "sub": "ann", "exp": NOW + 300})
    }
}

fn outbound() -> Outbound {
    Outbound::new(outbound::Options {
        allow: vec!["http://127.0.0.1".parse().unwrap()],
        retries: 0,
        ..outbound::Options::default()
    })
    .unwrap()
}

struct Elliptic(EcdsaKeyPair);

impl Elliptic {
    fn new() -> Elliptic {
        let random = SystemRandom::new();
        let kind = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let document = EcdsaKeyPair::generate_pkcs8(kind, &random).unwrap();
        Elliptic(EcdsaKeyPair::from_pkcs8(kind, document.as_ref(), &random).unwrap())
    }

    fn public(&self, id: &str) -> Value {
        let point = self.0.public_key().as_ref();
        json!({"kty": "EC", "crv": "P-256", "kid": id, "use": "sig",
            "x": base64url(&point[1..33]), "y": base64url(&point[33..])})
    }

    fn token(&self, header: Value, claims: &Value) -> String {
        signed(header, claims, |message| {
            let signature = self.0.sign(&SystemRandom::new(), message).unwrap();
            signature.as_ref().to_vec()
        })
    }

    fn plain(&self, id: &str, claims: &Value) -> String {
        self.token(json!({"alg": "ES256", "kid": id, "typ": "JWT"}), claims)
    }
}

fn signed(header: Value, claims: &Value, sign: impl FnOnce(&[u8]) -> Vec<u8>) -> String {
    let message = format!(
        "{}.{}",
        base64url(header.to_string().as_bytes()),
        base64url(claims.to_string().as_bytes())
    );
    let signature = sign(message.as_bytes());
    format!("{message}.{}", base64url(&signature))
}

fn rsa_token(algorithm: &str, claims: &Value) -> String {
    let key = RsaKeyPair::from_der(RSA_KEY).unwrap();
    signed(json!({"alg": algorithm, "kid": "r"}), claims, |message| {
        let padding: &dyn ring::signature::RsaEncoding = match algorithm {
            "PS256" => &RSA_PSS_SHA256,
            _ => &RSA_PKCS1_SHA256,
        };
        let mut signature = vec![0; key.public().modulus_len()];
        key.sign(padding, &SystemRandom::new(), message, &mut signature)
            .unwrap();
        signature
    })
}

fn rsa_public() -> Value {
    let key = RsaKeyPair::from_der(RSA_KEY).unwrap();
    let parts = PublicKeyComponents::<Vec<u8>>::from(key.public());
    json!({"kty": "RSA", "kid": "r", "n": base64url(&parts.n), "e": base64url(&parts.e)})
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

async fn checked(provider: &Provider, token: &str) -> Result<String, Doubt> {
    provider.prepare(token).await;
    let claims = provider.verify(token, at(NOW))?;
    Ok(claims["sub"].as_str().unwrap_or_default().to_owned())
}

#[track_caller]
fn refused(result: Result<String, Doubt>, why: &str) {
    match result {
        Err(Doubt::Refused(text)) => assert!(text.contains(why), "{text:?}, not {why:?}"),
        other => panic!("{other:?}, not refused for {why:?}"),
    }
}

#[tokio::test]
async fn tokens_of_all_three_algorithms_are_believed_with_their_own_keys_only() {
    let served = Served::start();
    let elliptic = Elliptic::new();
    served.show_keys(&[elliptic.public("e"), rsa_public()]);
    let provider = served.provider();
    let claims = served.claims();
    for token in [
        elliptic.plain("e", &claims),
        rsa_token("RS256", &claims),
        rsa_token("PS256", &claims),
        // Without the key's name every key is tried.
        elliptic.token(json!({"alg": "ES256"}), &claims),
    ] {
        assert_eq!(checked(&provider, &token).await, Ok("ann".into()));
    }
    assert_eq!(served.asked(), 2, "the configuration and the keys, once");

    let not_by = "not by a key of the provider";
    let other = Elliptic::new();
    refused(checked(&provider, &other.plain("e", &claims)).await, not_by);
    // A signature of one kind under the name of another.
    let confused = elliptic.token(json!({"alg": "RS256", "kid": "r"}), &claims);
    refused(checked(&provider, &confused).await, not_by);
    let confused = elliptic.token(json!({"alg": "ES256", "kid": "r"}), &claims);
    refused(checked(&provider, &confused).await, not_by);
    // Changed after it was signed.
    let token = elliptic.plain("e", &claims);
    let mut other_claims = claims.clone();
    other_claims["sub"] = "eve".into();
    let parts: Vec<&str> = token.split('.').collect();
    let payload = base64url(other_claims.to_string().as_bytes());
    let changed = format!("{}.{payload}.{}", parts[0], parts[2]);
    refused(checked(&provider, &changed).await, not_by);
    refused(
        checked(&provider, &format!("{}.{}.", parts[0], parts[1])).await,
        not_by,
    );
}

#[tokio::test]
async fn no_algorithm_is_taken_that_anybody_could_sign_with() {
    let served = Served::start();
    let elliptic = Elliptic::new();
    served.show_keys(&[elliptic.public("e"), rsa_public()]);
    let provider = served.provider();
    let claims = served.claims();
    for algorithm in ["none", "None", "HS256", "HS512", "ES384", "RS1", ""] {
        let header = json!({"alg": algorithm, "kid": "e"});
        let unsigned = signed(header.clone(), &claims, |_| Vec::new());
        refused(checked(&provider, &unsigned).await, "its algorithm");
        // The public key as the secret of an HMAC.
        let hmac = signed(header, &claims, |message| {
            let public = elliptic.0.public_key().as_ref();
            let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, public);
            ring::hmac::sign(&key, message).as_ref().to_vec()
        });
        refused(checked(&provider, &hmac).await, "its algorithm");
    }
    let header = json!({"alg": "ES256", "kid": "e", "crit": ["exp"]});
    let token = elliptic.token(header, &claims);
    refused(checked(&provider, &token).await, "extension");
}

#[tokio::test]
async fn claims_say_who_made_it_for_whom_and_when() {
    let served = Served::start();
    let elliptic = Elliptic::new();
    served.show_keys(&[elliptic.public("e")]);
    let provider = served.provider();
    let slash = format!("{}/", served.issuer);
    for (change, why) in [
        (json!({"aud": ["x", "other"]}), ""),
        (json!({"iss": slash}), ""),
        (json!({"exp": NOW - 59}), ""),
        (json!({"exp": NOW as f64 + 0.5}), ""),
        (json!({"nbf": NOW + 60}), ""),
        (json!({"iss": "http://127.0.0.1"}), "another issuer"),
        (json!({"iss": null}), "another issuer"),
        (json!({"aud": "umpire2"}), "another audience"),
        (json!({"aud": ["x"]}), "another audience"),
        (json!({"aud": {"umpire": true}}), "another audience"),
        (json!({"aud": null}), "another audience"),
        (json!({"exp": NOW - 60}), "expired"),
        (json!({"exp": (NOW + 300).to_string()}), "when it expires"),
        (json!({"exp": null}), "when it expires"),
        (json!({"nbf": NOW + 61}), "not good yet"),
        (json!({"nbf": "soon"}), "not good yet"),
    ] {
        let mut claims = served.claims();
        for (name, value) in change.as_object().unwrap() {
            claims[name] = value.clone();
        }
        let result = checked(&provider, &elliptic.plain("e", &claims)).await;
        match why {
            "" => assert_eq!(result, Ok("ann".into()), "{change}"),
            why => refused(result, why),
        }
    }
    let mut claims = served.claims();
    claims.as_object_mut().unwrap().remove("exp");
    let result = checked(&provider, &elliptic.plain("e", &claims)).await;
    refused(result, "when it expires");
    refused(
        checked(&provider, &elliptic.plain("e", &json!("a text"))).await,
        "no JSON object",
    );
}

#[test]
fn other_credentials_are_no_tokens() {
    for text in [
        "",
        "a.b.c",
        "umpt_abc",
        "e30.e30.e30",
        "bm90IGpzb24.e30.e30",
        &format!("{}.e30.e30.e30", base64url(br#"{"alg":"ES256"}"#)),
        &format!(
            "{}.e30.{}",
            base64url(br#"{"alg":"ES256"}"#),
            "A".repeat(20_000)
        ),
    ] {
        assert!(!Provider::is_token(text), "{text}");
    }
    assert!(Provider::is_token(&format!(
        "{}.e30.AAAA",
        base64url(br#"{"alg":"none"}"#)
    )));
}

#[tokio::test]
async fn a_new_key_is_asked_for_and_a_provider_that_is_away_is_served_on() {
    let served = Served::start();
    let (first, second) = (Elliptic::new(), Elliptic::new());
    served.show_keys(&[first.public("1")]);
    let provider = served.provider();
    let claims = served.claims();
    assert_eq!(
        checked(&provider, &first.plain("1", &claims)).await,
        Ok("ann".into())
    );

    // The provider changes its key: the next token that names it has the keys fetched again.
    served.show_keys(&[second.public("2")]);
    assert_eq!(
        checked(&provider, &second.plain("2", &claims)).await,
        Ok("ann".into())
    );
    refused(
        checked(&provider, &first.plain("1", &claims)).await,
        "not by a key",
    );

    // Strangers do not make this server ask again and again.
    let asked = served.asked();
    for id in ["3", "4", "5"] {
        let token = second.plain(id, &claims);
        refused(checked(&provider, &token).await, "not by a key");
    }
    assert_eq!(served.asked(), asked);

    served.hide_all();
    assert_eq!(
        checked(&provider, &second.plain("2", &claims)).await,
        Ok("ann".into())
    );
}

#[tokio::test]
async fn without_keys_nothing_is_decided() {
    let served = Served::start();
    let elliptic = Elliptic::new();
    served.hide_all();
    let token = elliptic.plain("e", &served.claims());
    let provider = served.provider();
    assert_eq!(checked(&provider, &token).await, Err(Doubt::NoKeys));

    // A crowd that comes while there are none asks once.
    served.show("/keys", json!({"keys": [elliptic.public("e")]}));
    let options = Options {
        jwks_url: Some(format!("{}/keys", served.issuer)),
        ..served.options()
    };
    let provider = Provider::new(options, outbound());
    let before = served.asked();
    let crowd: Vec<_> = (0..10)
        .map(|_| {
            let (provider, token) = (provider.clone(), token.clone());
            tokio::spawn(async move { checked(&provider, &token).await })
        })
        .collect();
    for one in crowd {
        assert_eq!(one.await.unwrap(), Ok("ann".into()));
    }
    assert_eq!(served.asked(), before + 1);

    // A configuration of another issuer leads nowhere.
    served.show(
        "/.well-known/openid-configuration",
        json!({"issuer": "https://other.example", "jwks_uri": format!("{}/keys", served.issuer)}),
    );
    assert_eq!(
        checked(&served.provider(), &token).await,
        Err(Doubt::NoKeys)
    );
    // Nor does one that is not on the list of what may be reached.
    let closed = Provider::new(served.options(), Outbound::closed());
    assert_eq!(checked(&closed, &token).await, Err(Doubt::NoKeys));
}
