//! Tokens of an identity provider at the shipped binary: a real provider's documents over HTTP, and
//! real signatures.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use serde_json::{Value, json};

use crate::support::{Reply, Request, Server, Setup};

/// A provider with one key at a time.
struct Identities {
    issuer: String,
    keys: Arc<Mutex<Option<Value>>>,
}

impl Identities {
    fn start() -> Identities {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let issuer = format!("http://{}", listener.local_addr().unwrap());
        let keys: Arc<Mutex<Option<Value>>> = Arc::default();
        let (shown, base) = (keys.clone(), issuer.clone());
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
                let keys = shown.lock().unwrap().clone();
                let document = match (first.split(' ').nth(1), keys) {
                    (Some("/.well-known/openid-configuration"), Some(_)) => {
                        Some(json!({"issuer": base, "jwks_uri": format!("{base}/keys")}))
                    }
                    (Some("/keys"), Some(key)) => Some(json!({"keys": [key]})),
                    _ => None,
                };
                let (status, body) = match document {
                    Some(document) => ("200 OK", document.to_string()),
                    None => ("503 Service Unavailable", String::new()),
                };
                let length = body.len();
                let head = format!(
                    "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
                );
                let _ = stream.write_all(format!("{head}{body}").as_bytes());
            }
        });
        Identities { issuer, keys }
    }

    /// Publishes the key, or nothing at all.
    fn show(&self, key: Option<&Key>) {
        *self.keys.lock().unwrap() = key.map(Key::public);
    }

    /// A token for these roles, good for five minutes.
    fn token(&self, key: &Key, roles: Value) -> String {
        self.token_with(key, json!({"roles": roles}))
    }

    /// A token with these claims beside, or in the stead of, the usual ones.
    fn token_with(&self, key: &Key, more: Value) -> String {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap()
            .as_secs();
        let mut claims = json!({
            "iss": self.issuer, "aud": "umpire", "exp": now + 300, "nbf": now,
            "sub": "00u7", "email": "ann@example.com",
        });
        for (name, value) in more.as_object().unwrap() {
            claims[name] = value.clone();
        }
        key.sign(&claims)
    }
}

struct Key(&'static str, EcdsaKeyPair);

impl Key {
    fn new(id: &'static str) -> Key {
        let random = SystemRandom::new();
        let kind = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let document = EcdsaKeyPair::generate_pkcs8(kind, &random).unwrap();
        Key(
            id,
            EcdsaKeyPair::from_pkcs8(kind, document.as_ref(), &random).unwrap(),
        )
    }

    fn public(&self) -> Value {
        let point = self.1.public_key().as_ref();
        json!({"kty": "EC", "crv": "P-256", "kid": self.0, "alg": "ES256",
            "x": base64url(&point[1..33]), "y": base64url(&point[33..])})
    }

    fn sign(&self, claims: &Value) -> String {
        let header = json!({"alg": "ES256", "kid": self.0, "typ": "at+jwt"}).to_string();
        let message = format!(
            "{}.{}",
            base64url(header.as_bytes()),
            base64url(claims.to_string().as_bytes())
        );
        let signature = self
            .1
            .sign(&SystemRandom::new(), message.as_bytes())
            .unwrap();
        format!("{message}.{}", base64url(signature.as_ref()))
    }
}

fn base64url(bytes: &[u8]) -> String {
    let padded = outbound::base64::encode(bytes);
    padded
        .trim_end_matches('=')
        .replace('+', "-")
        .replace('/', "_")
}

fn get(server: &Server, path: &str, token: &str) -> Reply {
    Request::new("GET", path).bearer(token).send(server.address)
}

fn shown(reply: &Reply) -> (u16, Option<&str>) {
    (reply.status, reply.header("x-ms-error-code"))
}

const REFUSED: (u16, Option<&str>) = (401, Some("AdminRequestUnauthorized"));

fn settings(issuer: &str) -> String {
    format!(
        r#"
[outbound]
allow = ["http://127.0.0.1"]
retries = 0
[oidc]
issuer = "{issuer}"
audience = ["umpire"]
grants = ["ml-admins=admin@installation", "red=manage@group:00000000-0000-0000-0000-000000000000/red", "staff=read@installation"]
"#
    )
}

#[test]
fn tokens_of_the_provider_do_what_is_granted_to_their_roles() {
    let provider = Identities::start();
    let key = Key::new("1");
    provider.show(Some(&key));
    let server = Setup::default().config(&settings(&provider.issuer)).start();
    server.deploy_linear("mine");

    // The first grant that fits counts.
    let admin = provider.token(&key, json!(["staff", "ml-admins"]));
    let reader = provider.token(&key, json!("staff"));
    let red = provider.token(&key, json!(["red"]));
    let nobody = provider.token(&key, json!(["guests"]));
    let tokens = "/umpire/v1/tokens";
    let services = "/umpire/v1/services";
    assert_eq!(get(&server, tokens, &admin).status, 200);
    assert_eq!(shown(&get(&server, tokens, &reader)), REFUSED);
    let list = get(&server, services, &reader).json();
    assert_eq!(list["services"][0]["name"], "mine");
    assert_eq!(
        shown(&get(&server, "/umpire/v1/services/mine/keys", &reader)),
        REFUSED
    );
    assert_eq!(get(&server, services, &red).json()["services"], json!([]));
    assert_eq!(shown(&get(&server, services, &nobody)), REFUSED);
    // It signs in nowhere else: scoring has keys of its own.
    let service = server.service("mine");
    let scored = service.request(&crate::support::one_x(1.0));
    let scored = Request {
        headers: Vec::new(),
        ..scored
    }
    .bearer(&admin);
    assert_eq!(scored.send(server.address).status, 401);

    // The audit trail has the provider's own id for him.
    let body = json!({"name": "made-by-ann", "scope": "installation"});
    let made = Request::new("POST", tokens).bearer(&admin).json(&body);
    assert_eq!(made.send(server.address).status, 201);
    let line = get(&server, "/umpire/v1/audit?limit=1", &admin).json();
    assert_eq!(line["lines"][0]["actor"], "oidc 00u7 (ann@example.com)");

    for wrong in [
        json!({"aud": "another"}),
        json!({"iss": "http://127.0.0.1"}),
        json!({"exp": 1_700_000_000}),
    ] {
        let mut claims = wrong;
        claims["roles"] = json!(["ml-admins"]);
        let token = provider.token_with(&key, claims);
        assert_eq!(shown(&get(&server, tokens, &token)), REFUSED);
    }
    let forged = provider.token(&Key::new("1"), json!(["ml-admins"]));
    assert_eq!(shown(&get(&server, tokens, &forged)), REFUSED);
}

#[test]
fn a_provider_may_change_its_key_and_be_away() {
    let provider = Identities::start();
    let (first, second) = (Key::new("1"), Key::new("2"));
    let mut server = Setup::default().config(&settings(&provider.issuer)).start();
    let path = "/umpire/v1/tokens";
    let old = provider.token(&first, json!(["ml-admins"]));
    let new = provider.token(&second, json!(["ml-admins"]));

    // Away from the start: nothing can be decided, and the operator is not shut out.
    let reply = get(&server, path, &old);
    assert_eq!(shown(&reply), (503, Some("ServiceUnavailable")));
    assert!(reply.header("retry-after").is_some());
    assert_eq!(get(&server, path, &server.token()).status, 200);

    provider.show(Some(&first));
    server.restart();
    assert_eq!(get(&server, path, &old).status, 200);
    provider.show(Some(&second));
    assert_eq!(get(&server, path, &new).status, 200);
    assert_eq!(shown(&get(&server, path, &old)), REFUSED);
    provider.show(None);
    assert_eq!(get(&server, path, &new).status, 200);
}

#[test]
fn half_of_the_settings_are_refused() {
    for set in [
        "oidc.audience=umpire",
        "oidc.grants=a=admin@installation",
        "oidc.grants=a=admin@subscription:s",
    ] {
        let output = crate::support::command()
            .args([
                "config",
                "--set",
                "oidc.issuer=https://login.example.com",
                "--set",
                set,
            ])
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(4), "{set}: {output:?}");
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(errors.contains("oidc."), "{errors}");
    }
}
