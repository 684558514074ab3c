//! Bearer tokens of an identity provider (OpenID Connect): its keys, and what its signature
//! vouches for.
//!
//! Checking a token is reading memory: [`Provider::verify`] does no I/O. Whoever is about to check
//! one calls [`Provider::prepare`] first, which fetches the provider's keys where they are absent,
//! old, or lack the one that the token names; a provider that is away is served on from the keys
//! that it had.

mod keys;
mod refresh;
mod token;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use jiff::Timestamp;
use outbound::Outbound;
use serde_json::{Map, Value};

use keys::KeySet;
use refresh::{Need, Times};
use token::Token;

/// Which provider is believed, and about what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// The provider's name for itself, a URL without a `/` at its end; `iss` must be exactly this,
    /// but for such a `/`.
    pub issuer: String,
    /// What `aud` must name one of.
    pub audience: Vec<String>,
    /// Where the keys are; without it, where the provider's configuration document says.
    pub jwks_url: Option<String>,
}

/// The time for the keys to be fetched, the provider's configuration document included.
const FETCH: Duration = Duration::from_secs(10);
/// The most bytes of a document of the provider.
const DOCUMENT: u64 = 1 << 20;

/// A provider with the keys that it was last known to have. Clones share everything.
#[derive(Debug, Clone)]
pub struct Provider {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    options: Options,
    outbound: Outbound,
    keys: ArcSwap<KeySet>,
    times: Mutex<Times>,
    /// Held while the keys are fetched, so that a crowd fetches them once.
    fetching: tokio::sync::Mutex<()>,
}

/// Why a token is not believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Doubt {
    /// It is not one that this provider made for us and now; the text says why.
    Refused(String),
    /// It cannot be told: the provider's keys have never been fetched.
    NoKeys,
}

impl Provider {
    /// A provider of which no key is known yet; they will be fetched by `outbound`.
    pub fn new(options: Options, outbound: Outbound) -> Provider {
        let issuer = options.issuer.trim_end_matches('/').to_owned();
        Provider {
            inner: Arc::new(Inner {
                options: Options { issuer, ..options },
                outbound,
                keys: ArcSwap::default(),
                times: Mutex::default(),
                fetching: tokio::sync::Mutex::new(()),
            }),
        }
    }

    /// Takes over the keys that another value for the same provider has, so that nothing is
    /// unknown while they are fetched again.
    pub fn take_keys(&self, other: &Provider) {
        if self.inner.options == other.inner.options {
            self.inner.keys.store(other.inner.keys.load_full());
            *self.inner.times() = other.inner.times().after_a_change();
        }
    }

    /// Whether a credential is a token of the kind that providers make, whoever made it.
    pub fn is_token(credential: &str) -> bool {
        Token::parse(credential).is_some()
    }

    /// Makes the keys ready that the token is to be checked with, as far as that is possible. Says
    /// nothing about the token.
    pub async fn prepare(&self, credential: &str) {
        let Some(token) = Token::parse(credential) else {
            return;
        };
        let known = self.inner.keys.load().has(token.key_id());
        let need = self.inner.times().need(Instant::now(), known);
        match need {
            Need::Nothing => {}
            Need::Now => self.inner.refresh().await,
            Need::Meanwhile => {
                let inner = self.inner.clone();
                tokio::spawn(async move { inner.refresh().await });
            }
        }
    }

    /// What a token's signature vouches for at that time: its claims.
    ///
    /// # Errors
    /// [`Doubt`].
    pub fn verify(&self, credential: &str, now: Timestamp) -> Result<Map<String, Value>, Doubt> {
        let refused = |why: &str| Doubt::Refused(why.to_owned());
        let token = Token::parse(credential).ok_or_else(|| refused("it is no signed token"))?;
        if self.inner.times().never_fetched() {
            return Err(Doubt::NoKeys);
        }
        let keys = self.inner.keys.load();
        token.check(&keys, &self.inner.options, now)
    }
}

impl Inner {
    fn times(&self) -> std::sync::MutexGuard<'_, Times> {
        self.times.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Fetches the keys, or waits for whoever does.
    async fn refresh(&self) {
        let asked = Instant::now();
        let _turn = self.fetching.lock().await;
        if self.times().tried_since(asked) {
            return;
        }
        let fetched = match tokio::time::timeout(FETCH, self.fetch()).await {
            Ok(fetched) => fetched,
            Err(_) => Err(format!("it took more than {} s", FETCH.as_secs())),
        };
        match fetched {
            Ok(keys) => {
                self.keys.store(Arc::new(keys));
                self.times().fetched(Instant::now());
            }
            Err(problem) => {
                self.times().failed(Instant::now());
                tracing::warn!(
                    issuer = self.options.issuer,
                    problem,
                    "the identity provider's keys could not be fetched"
                );
            }
        }
    }

    async fn fetch(&self) -> Result<KeySet, String> {
        let url = match &self.options.jwks_url {
            Some(url) => url.clone(),
            None => self.discover().await?,
        };
        let bytes = self.document(&url).await?;
        KeySet::parse(&bytes).map_err(|problem| format!("{url}: {problem}"))
    }

    /// Where the provider's configuration document says that its keys are.
    async fn discover(&self) -> Result<String, String> {
        let issuer = &self.options.issuer;
        let url = format!("{issuer}/.well-known/openid-configuration");
        let bytes = self.document(&url).await?;
        let document: Value =
            serde_json::from_slice(&bytes).map_err(|e| format!("{url} is not JSON: {e}"))?;
        // A document about another issuer must not lead to that one's keys.
        let named = document["issuer"].as_str();
        if named.is_none_or(|named| named.trim_end_matches('/') != issuer) {
            return Err(format!("{url} is about another issuer"));
        }
        match document["jwks_uri"].as_str() {
            Some(keys) => Ok(keys.to_owned()),
            None => Err(format!("{url} does not say where the keys are")),
        }
    }

    async fn document(&self, url: &str) -> Result<Vec<u8>, String> {
        let fetched = self.outbound.get_whole(url, DOCUMENT).await;
        fetched
            .map(|bytes| bytes.to_vec())
            .map_err(|failure| format!("{url}: {}", failure.text))
    }
}
