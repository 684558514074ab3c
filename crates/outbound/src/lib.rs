//! The one outbound client: every fetch of this installation goes through it.
//!
//! It reaches only what the operator has listed, connects to the very address that it checked,
//! follows no redirect, uses no proxy of the environment, and holds every fetch to a time and a
//! size. Failures that may pass are retried with a growing pause. It reads plain URLs and Azure
//! blobs by a shared access signature or an account's key.

mod allow;
mod azure;
pub mod base64;
mod cache;
mod exchange;
mod failure;
mod fetch;
mod range;
mod resolver;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

pub use allow::Entry;
pub use azure::{Connection, Said, SharedKey};
pub use cache::{Cache, Kept};
pub use exchange::ReplyBody;
pub use failure::{Failure, Kind};
pub use fetch::{Answer, Fetched, Source};
pub use range::AddressRange;

/// The domain of Azure storage's public cloud.
pub(crate) const AZURE_SUFFIX: &str = "core.windows.net";

/// How the client behaves.
#[derive(Debug, Clone)]
pub struct Options {
    /// What may be reached; nothing else is.
    pub allow: Vec<Entry>,
    /// The time for one attempt, from the look-up of the name to the last byte.
    pub timeout: Duration,
    /// How often a failure that may pass is tried again.
    pub retries: usize,
    /// The most bytes of one fetch.
    pub max_size: u64,
    /// A PEM file of authorities that are trusted beside the public ones.
    pub authorities: Option<PathBuf>,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            allow: Vec::new(),
            timeout: Duration::from_secs(300),
            retries: 3,
            max_size: 1 << 30,
            authorities: None,
        }
    }
}

/// The most retries that make sense: with more, a deploy would hang on a dead host for hours.
pub const MOST_RETRIES: usize = 20;
/// The longest time limit of one attempt.
pub const LONGEST_TIMEOUT: Duration = Duration::from_secs(24 * 60 * 60);

/// An option that is not usable, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unusable {
    /// The time limit, the retry count or the size limit.
    Limit(String),
    /// The file of authorities.
    Authorities(String),
}

/// How a request is let in.
#[derive(Clone, PartialEq, Eq)]
pub enum Credentials {
    /// By nothing, or by what the URL holds.
    None,
    /// A shared access signature: a query, with or without its `?`.
    Signature(String),
    /// A storage account's key.
    SharedKey(SharedKey),
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Credentials::None => "None",
            Credentials::Signature(_) => "Signature(…)",
            Credentials::SharedKey(_) => "SharedKey(…)",
        })
    }
}

/// The client. Clones share everything.
#[derive(Debug, Clone)]
pub struct Outbound {
    inner: Arc<fetch::Client>,
}

impl Outbound {
    /// Puts a client together.
    ///
    /// # Errors
    /// Which option is not usable and why: a time limit of zero or over [`LONGEST_TIMEOUT`], more
    /// than [`MOST_RETRIES`], a size of zero, a file of authorities that cannot be read or holds
    /// none.
    pub fn new(options: Options) -> Result<Outbound, Unusable> {
        let limit = |text: String| Err(Unusable::Limit(text));
        if options.timeout.is_zero() || options.timeout > LONGEST_TIMEOUT {
            return limit("outbound.timeout must be more than 0 and at most 24h".to_owned());
        }
        if options.retries > MOST_RETRIES {
            return limit(format!("outbound.retries must be at most {MOST_RETRIES}"));
        }
        if options.max_size == 0 {
            return limit("outbound.max_size must be more than 0".to_owned());
        }
        Ok(Outbound {
            inner: Arc::new(fetch::Client::new(&options).map_err(Unusable::Authorities)?),
        })
    }

    /// A client that reaches nothing.
    ///
    /// # Panics
    /// Never: without authorities of the operator's nothing is left that could fail.
    pub fn closed() -> Outbound {
        Outbound::new(Options::default()).expect("the defaults are usable")
    }

    /// The most bytes of one fetch.
    pub fn max_size(&self) -> u64 {
        self.inner.options.max_size
    }

    /// Whether the URL could be fetched as far as can be told without asking for addresses.
    ///
    /// # Errors
    /// [`Kind::Malformed`] or [`Kind::NotAllowed`].
    pub fn check(&self, source: &Source) -> Result<(), Failure> {
        self.inner.target(source).map(drop)
    }

    /// How often a failure that may pass is tried again, and the time limit of one attempt.
    pub fn patience(&self) -> (usize, Duration) {
        let options = &self.inner.options;
        (options.retries, options.timeout)
    }

    /// Sends one request and gives the reply, whatever its status, with a body that streams. One
    /// attempt: who calls knows whether the request may be repeated. Nothing is added but a
    /// `User-Agent`.
    ///
    /// The time limit ends with the reply's head; after it silence alone is limited, to a minute
    /// at most. A body that is sent must know its length.
    ///
    /// # Errors
    /// [`Kind::NotAllowed`], [`Kind::Malformed`], [`Kind::Unreachable`].
    pub async fn send<B>(
        &self,
        request: hyper::Request<B>,
    ) -> Result<hyper::Response<ReplyBody>, Failure>
    where
        B: hyper::body::Body<Data = Bytes> + Send + Sync + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        self.inner.exchange.send(request).await
    }

    /// Fetches a URL into memory, at most `limit` bytes of it.
    ///
    /// # Errors
    /// See [`Kind`].
    pub async fn get_whole(&self, url: &str, limit: u64) -> Result<Bytes, Failure> {
        self.get_whole_from(&Source::new(url), limit).await
    }

    /// As [`Outbound::get_whole`], with credentials.
    ///
    /// # Errors
    /// See [`Kind`].
    pub async fn get_whole_from(&self, source: &Source, limit: u64) -> Result<Bytes, Failure> {
        match self.get(source, limit, None, || Ok(Vec::new())).await? {
            Answer::Content(fetched) => Ok(fetched.sink.into()),
            Answer::NotModified => Err(Failure::answered(304, String::new())),
        }
    }

    /// Fetches a URL into what `open` makes, once for each attempt. With the `etag` of what the
    /// caller has, the other side may answer that it is still the same.
    ///
    /// The work is done away from the threads that serve calls. A caller that waits no more leaves
    /// an attempt that ends by its time limit.
    ///
    /// # Errors
    /// See [`Kind`].
    pub async fn get<W, F>(
        &self,
        source: &Source,
        limit: u64,
        etag: Option<&str>,
        open: F,
    ) -> Result<Answer<W>, Failure>
    where
        W: std::io::Write + Send + 'static,
        F: Fn() -> std::io::Result<W> + Send + Sync + 'static,
    {
        fetch::retried(&self.inner, source, limit, etag, open).await
    }
}
