//! The one HTTP edge: the stack, the extractors, the replies and a folder per API.
//!
//! A request comes in through `server` (connections, TLS), passes `stack` (id, route, panic guard,
//! observation) and is answered by a handler of `score`, `jobs`, `arm`, `studio`, `admin` or
//! `health`; each parses what it needs with `extract` and `body`, makes one call into the interior,
//! and wraps the result.
//! Every failure, of whatever origin, becomes a reply in `reply::of_fault` and nowhere else.

mod action;
mod admin;
mod arm;
mod blobs;
mod body;
mod classic;
mod configuration;
mod cors;
mod extract;
mod health;
mod help;
mod io;
mod jobs;
mod openapi;
mod origin;
mod reply;
mod request_id;
mod routes;
mod score;
mod sending;
mod server;
mod slowing;
mod stack;
mod studio;
mod tls;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use arc_swap::ArcSwap;

pub use configuration::{Configuration, Reloaded, Setting};
pub use outbound::AddressRange;
pub use server::Ended;
pub use tls::{TlsProblem, tls_config};

/// How the edge behaves.
#[derive(Debug, Clone)]
pub struct Options {
    /// The start of URLs in replies, where it is not to be taken from requests.
    pub public_url: Option<String>,
    /// Proxies whose headers about the original request are believed.
    pub trusted_proxies: Vec<AddressRange>,
    /// Whether API documents are read without a key.
    pub public_docs: bool,
    /// Whether metrics are read without a credential.
    pub public_metrics: bool,
    /// Origins whose pages may score; `*` is all, none is off.
    pub cors_origins: Vec<String>,
    /// The largest scoring body, in bytes.
    pub body_limit: usize,
    /// The largest web service definition, in bytes.
    pub definition_limit: usize,
    /// The largest blob, in bytes.
    pub blob_limit: u64,
    /// The time for a scoring or management body to arrive; how long a blob's may bring nothing.
    pub body_time: Duration,
    /// The time for a scoring call, from its head to its reply.
    pub score_time: Duration,
    /// The time for a request's head to arrive.
    pub head_time: Duration,
    /// How long a connection may be idle between requests.
    pub idle_time: Duration,
    /// How long a client may take none of a reply's bytes.
    pub write_time: Duration,
    /// Connections at once.
    pub max_connections: usize,
    /// Certificate and key; plain HTTP without.
    pub tls: Option<Arc<rustls::ServerConfig>>,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            public_url: None,
            trusted_proxies: Vec::new(),
            public_docs: true,
            public_metrics: true,
            cors_origins: Vec::new(),
            body_limit: 16 << 20,
            definition_limit: 16 << 20,
            blob_limit: 4 << 30,
            body_time: Duration::from_secs(30),
            score_time: Duration::from_secs(60),
            head_time: Duration::from_secs(10),
            idle_time: Duration::from_secs(75),
            write_time: Duration::from_secs(60),
            max_connections: 4096,
            tls: None,
        }
    }
}

/// The interior that the edge stands over.
pub struct Interior {
    /// Scoring.
    pub scorer: Arc<scoring::Scorer>,
    /// Batch jobs.
    pub jobs: ::jobs::Queue,
    /// Management.
    pub manager: manage::Manager,
    /// State, for API documents.
    pub store: Arc<store::Store>,
    /// Logs and metrics.
    pub telemetry: telemetry::Telemetry,
    /// What is written of calls.
    pub diagnostics: diagnostics::Diagnostics,
}

/// The edge: everything that answers requests. Clones share everything.
#[derive(Clone)]
pub struct Edge(Arc<ArcSwap<Gateway>>);

/// What handlers reach. A request has one of these from its head to its reply; one whose options
/// differ takes its place when the settings are read again.
#[derive(Clone)]
pub(crate) struct Gateway {
    pub(crate) options: Options,
    pub(crate) scorer: Arc<scoring::Scorer>,
    pub(crate) jobs: ::jobs::Queue,
    pub(crate) manager: manage::Manager,
    pub(crate) store: Arc<store::Store>,
    pub(crate) telemetry: telemetry::Telemetry,
    pub(crate) diagnostics: diagnostics::Diagnostics,
    pub(crate) ready: Arc<AtomicBool>,
    pub(crate) slowing: Arc<slowing::Slowing>,
    configuration: Arc<OnceLock<Weak<dyn Configuration>>>,
}

impl Edge {
    /// An edge over this interior. It is not ready until [`Edge::set_ready`] says so.
    pub fn new(interior: Interior, options: Options) -> Edge {
        let Interior {
            scorer,
            jobs,
            manager,
            store,
            telemetry,
            diagnostics,
        } = interior;
        Edge(Arc::new(ArcSwap::from_pointee(Gateway {
            options,
            scorer,
            jobs,
            manager,
            store,
            telemetry,
            diagnostics,
            ready: Arc::new(AtomicBool::new(false)),
            slowing: Arc::default(),
            configuration: Arc::default(),
        })))
    }

    /// Lets other options hold for every request, and every connection, that begins from now on.
    /// The most connections at once, and whether there is TLS at all, stay as they were at the
    /// start.
    pub fn set_options(&self, options: Options) {
        let gateway = self.0.load();
        let tls = match (&gateway.options.tls, options.tls) {
            (Some(_), Some(new)) => Some(new),
            (before, _) => before.clone(),
        };
        self.0.store(Arc::new(Gateway {
            options: Options {
                tls,
                max_connections: gateway.options.max_connections,
                ..options
            },
            ..Gateway::clone(&gateway)
        }));
    }

    /// Whether connections are under TLS.
    pub fn has_tls(&self) -> bool {
        self.0.load().options.tls.is_some()
    }

    /// Says who knows the settings; once, before the edge serves.
    pub fn set_configuration(&self, configuration: Weak<dyn Configuration>) {
        // A second one is not asked for.
        let _ = self.0.load().configuration.set(configuration);
    }

    /// What `/readyz` says: set once all is up, unset before serving stops.
    pub fn set_ready(&self, ready: bool) {
        self.0.load().ready.store(ready, Ordering::Relaxed);
    }
}
