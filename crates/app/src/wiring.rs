//! Puts the server together: store, host, scorer, manager, edge; and takes it down in order.

use std::io::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use containers::{Host, HostOptions, PoolLimits};
use edge::{Edge, Ended, Interior};
use faults::{Class, Fault};
use scoring::Scorer;
use store::Store;
use telemetry::{Format, LogOptions, Surface, Telemetry, Writer};
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::client::{CERTIFICATE_FILE, CERTIFICATE_KEY_FILE, URL_FILE};
use crate::config::{Cgroups, LogFormat, LogLevel, Problem, Settings, TlsMode};
use crate::exit::Failure;
use crate::term;

/// How often blobs that nothing names are looked for.
const SWEEP: Duration = Duration::from_secs(3600);
/// How long the log may take to be written at the end.
const LOG_FLUSH: Duration = Duration::from_secs(2);
/// The lag between not ready and not accepting: long enough for a load balancer's next look to
/// begin, short enough for a terminal.
const NOT_READY: Duration = Duration::from_millis(200);

/// A server that listens, and everything behind it.
pub(crate) struct Server {
    edge: Edge,
    host: Host,
    listener: TcpListener,
    manager: manage::Manager,
    telemetry: Telemetry,
    drain: Duration,
    url: String,
    files: Files,
}

/// Removes blobs that nothing names, now and then; at the start the store has done it.
async fn sweep(manager: manage::Manager) {
    loop {
        tokio::time::sleep(SWEEP).await;
        match manager.sweep().await {
            Ok(swept) if swept.blobs > 0 => {
                tracing::info!(
                    blobs = swept.blobs,
                    bytes = swept.bytes,
                    "orphaned blobs were removed"
                );
            }
            Ok(_) => {}
            Err(fault) => tracing::warn!(cause = fault.cause(), "blobs could not be swept"),
        }
    }
}

/// What a server leaves in its data directory for clients on the same machine, while it runs.
struct Files {
    url: std::path::PathBuf,
}

impl Drop for Files {
    fn drop(&mut self) {
        // One that stays names a server that does not answer, which clients say.
        let _ = std::fs::remove_file(&self.url);
    }
}

/// Sets up logging by the settings.
pub(crate) fn logging(settings: &Settings) -> Result<(Arc<Writer>, Format), Failure> {
    let format = match settings.log_format {
        LogFormat::Auto => Format::detect(),
        LogFormat::Text => Format::Text,
        LogFormat::Json => Format::Json,
    };
    let level = match settings.log_level {
        LogLevel::Error => tracing::Level::ERROR,
        LogLevel::Warn => tracing::Level::WARN,
        LogLevel::Info => tracing::Level::INFO,
        LogLevel::Debug => tracing::Level::DEBUG,
    };
    let writer = telemetry::init_logging(LogOptions { format, level })
        .map_err(|e| Failure::StartText(format!("logging cannot be set up: {e}")))?;
    Ok((writer, format))
}

/// A runtime for the server. The gateway only passes bytes on; the processors' other half is for
/// the containers, and fewer threads change places less often (about a tenth of the CPU of a call
/// on two processors).
pub(crate) fn runtime(settings: &Settings) -> Result<tokio::runtime::Runtime, Failure> {
    let processors = std::thread::available_parallelism().map_or(1, |n| n.get());
    let threads = match settings.threads {
        0 => (processors / 2).max(1),
        threads => threads,
    };
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads)
        .enable_all()
        .thread_name("gateway")
        .build()
        .map_err(|e| Failure::StartText(format!("the runtime cannot be started: {e}")))
}

impl Server {
    /// Opens the data directory, starts the host and binds the listener.
    pub(crate) async fn start(settings: &Settings) -> Result<Server, Failure> {
        let descriptors = raise_descriptor_limit();
        let (writer, format) = logging(settings)?;
        let telemetry = match settings.log_access {
            true => Telemetry::with_access_log(writer, format),
            false => Telemetry::with_log(writer),
        };
        let store_options = store::Options {
            master_key: settings.master_key_file.clone(),
            subscription: settings.subscription.clone(),
            ..store::Options::default()
        };
        let data = settings.data.clone();
        let store = tokio::task::spawn_blocking(move || Store::open_with(&data, &store_options))
            .await
            .map_err(|e| Failure::StartText(e.to_string()))?
            .map_err(|fault| refused(&telemetry, fault))?;
        let store = Arc::new(store);
        let pool = PoolLimits {
            min_instances: settings.container_min_instances,
            max_instances: match settings.container_max_instances {
                0 => usize::MAX,
                most => most,
            },
            memory_quota_mb: None,
        };
        let outbound = downloads(settings, &telemetry)?;
        let cache = download_cache(settings).map_err(|fault| refused(&telemetry, fault))?;
        let source = Arc::new(manage::StoredRevisions::new(store.clone(), pool));
        let host = Host::start(host_options(settings), source, telemetry.clone())
            .map_err(|fault| refused(&telemetry, fault))?;
        for entry in store.ledger.directory().endpoints() {
            host.warm(entry.endpoint.0, entry.revision.0, &entry.label(), pool);
        }
        let scorer = Arc::new(Scorer::new(
            store.clone(),
            host.clone(),
            telemetry.clone(),
            &scoring::Options {
                calls_under_way: settings.limit_calls,
                buffered_bytes: saturated(settings.limit_buffered.0),
            },
        ));
        let throttles = manage::Throttles {
            most: u32::try_from(settings.limit_max_concurrent_calls).unwrap_or(u32::MAX),
            ..manage::Throttles::default()
        };
        let manager = manage::Manager::new(
            store.clone(),
            host.clone(),
            Arc::new(modules::registry()),
            telemetry.clone(),
            manage::Options {
                throttles,
                pool,
                blob_limit: settings.limit_blob.0,
                outbound,
                cache: Some(Arc::new(cache)),
            },
        );
        let tls = tls(settings).await?;
        let scheme = if tls.is_some() { "https" } else { "http" };
        let listener = bind(&settings.listen).await?;
        let address = listener
            .local_addr()
            .map_err(|e| Failure::StartText(format!("the listener has no address: {e}")))?;
        if !is_loopback(address.ip()) && tls.is_none() {
            tracing::warn!(
                %address,
                "listening without TLS where others can reach it: keys travel in the open"
            );
        }
        let edge = Edge::new(
            Interior {
                scorer,
                manager: manager.clone(),
                store,
                telemetry: telemetry.clone(),
            },
            edge_options(settings, tls, connections(settings, descriptors)),
        );
        let url = format!("{scheme}://{}", reachable(address));
        let files = Files {
            url: settings.data.join(URL_FILE),
        };
        if let Err(error) = std::fs::write(&files.url, format!("{url}\n")) {
            tracing::warn!(%error, "clients on this machine will not find this server by its data directory");
        }
        Ok(Server {
            edge,
            host,
            listener,
            manager,
            telemetry,
            drain: settings.drain.0,
            url,
            files,
        })
    }

    /// The URL by which this machine reaches the server.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Serves until `stop` completes, a signal comes, or both; then ends in order: not ready, no
    /// more connections, calls under way finished, containers ended. A second signal ends at once.
    pub(crate) async fn run(self, stop: impl Future<Output = ()>) -> Result<(), Failure> {
        let mut signals = Signals::new()?;
        self.edge.set_ready(true);
        tracing::info!(url = self.url, "listening");
        if !term::line(&format!("listening on {}", self.url)) {
            tracing::debug!("standard output is closed");
        }
        let edge = self.edge.clone();
        let stopped = async {
            tokio::select! {
                () = stop => {}
                () = signals.next() => {}
            }
            edge.set_ready(false);
            tracing::info!("draining: calls under way are finished first");
            tokio::time::sleep(NOT_READY).await;
        };
        let host = self.host.clone();
        let drain = self.drain;
        let serving = async {
            let ended = self.edge.serve(self.listener, stopped, drain).await;
            host.shutdown(match ended {
                Ended::Drained => drain,
                Ended::Cut => Duration::ZERO,
            })
            .await;
            ended
        };
        let mut again = Signals::new()?;
        let sweeping = tokio::spawn(sweep(self.manager.clone()));
        let ended = tokio::select! {
            ended = serving => Some(ended),
            () = async { again.next().await; again.next().await } => None,
        };
        if ended.is_none() {
            tracing::warn!("ending at once");
            self.host.shutdown(Duration::ZERO).await;
        }
        sweeping.abort();
        drop(self.files);
        self.telemetry.flush(LOG_FLUSH);
        match ended {
            Some(Ended::Drained) => Ok(()),
            Some(Ended::Cut) => Err(Failure::StartText(format!(
                "calls were still under way after {} s and were cut",
                drain.as_secs()
            ))),
            None => Err(Failure::StartText(
                "ended at once by a second signal".to_owned(),
            )),
        }
    }
}

/// The signals that end a server.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> Result<Signals, Failure> {
        let listen = |kind| {
            signal(kind).map_err(|e| Failure::StartText(format!("signals cannot be taken: {e}")))
        };
        Ok(Signals {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

fn refused(telemetry: &Telemetry, fault: Fault) -> Failure {
    telemetry.observe(&fault, Surface::Process);
    telemetry.flush(LOG_FLUSH);
    Failure::Start(match fault.class() {
        Class::Conflict => fault.because("the data directory is in use"),
        _ => fault,
    })
}

/// The client of every fetch.
fn downloads(settings: &Settings, telemetry: &Telemetry) -> Result<outbound::Outbound, Failure> {
    outbound::Outbound::new(outbound::Options {
        allow: settings.outbound_allow.clone(),
        timeout: settings.outbound_timeout.0,
        retries: settings.outbound_retries,
        max_size: settings.outbound_max_size.0,
        authorities: settings.outbound_ca.clone(),
    })
    .map_err(|unusable| match unusable {
        outbound::Unusable::Limit(problem) => refused(
            telemetry,
            faults::internal_error::invalid_resource_download_configuration().because(problem),
        ),
        outbound::Unusable::Authorities(problem) => Failure::StartText(problem),
    })
}

/// Where what was fetched is kept.
fn download_cache(settings: &Settings) -> Result<outbound::Cache, Fault> {
    let usual = settings.data.join("cache");
    outbound::Cache::open(
        settings.cache_dir.as_deref().unwrap_or(&usual),
        settings.cache_max_size.0,
        settings.outbound_max_size.0,
    )
    .map_err(|problem| {
        faults::internal_error::invalid_resource_cache_configuration().because(problem)
    })
}

fn saturated(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

/// A number of megabytes, rounded down.
fn megabytes(bytes: u64) -> u64 {
    bytes >> 20
}

fn host_options(settings: &Settings) -> HostOptions {
    let usual = HostOptions::default();
    let or_usual = |given: usize, usual: usize| if given == 0 { usual } else { given };
    HostOptions {
        command: match settings.container_command.is_empty() {
            true => usual.command.clone(),
            false => settings.container_command.iter().map(Into::into).collect(),
        },
        memory_quota_mb: megabytes(settings.container_memory_quota.0),
        cgroups: match settings.container_cgroup {
            Cgroups::Auto => containers::Cgroups::Auto,
            Cgroups::Off => containers::Cgroups::Off,
        },
        slots: or_usual(settings.container_slots, usual.slots),
        starting_total: settings.container_starting,
        starting_per_service: settings.container_starting_per_service,
        calls_per_container: settings.container_calls,
        compute_threads: or_usual(settings.container_compute_threads, usual.compute_threads),
        start_wait: settings.container_start_wait.0,
        start_limit: settings.container_start_limit.0,
        idle: settings.container_idle.0,
        heartbeat: settings.container_heartbeat.0,
        silent_after: settings.container_silent_after.0,
        min_free_memory_mb: megabytes(settings.container_min_free_memory.0),
        stop_grace: settings.container_stop_grace.0,
        max_body: saturated(settings.limit_body.0),
        max_reply: saturated(settings.limit_reply.0),
        limits: tables::Limits {
            rows: settings.limit_rows,
            columns: settings.limit_columns,
            cell_bytes: saturated(settings.limit_cell.0),
            depth: settings.limit_depth,
        },
        ..usual
    }
}

fn edge_options(
    settings: &Settings,
    tls: Option<Arc<rustls::ServerConfig>>,
    max_connections: usize,
) -> edge::Options {
    edge::Options {
        public_url: settings.public_url.as_ref().map(|url| url.0.clone()),
        trusted_proxies: settings.trusted_proxies.clone(),
        public_docs: settings.public_docs,
        public_metrics: settings.public_metrics,
        cors_origins: settings.cors_origins.iter().map(|o| o.0.clone()).collect(),
        body_limit: saturated(settings.limit_body.0),
        definition_limit: saturated(settings.limit_definition.0),
        blob_limit: settings.limit_blob.0,
        body_time: settings.limit_body_time.0,
        score_time: settings.scoring_timeout.0,
        head_time: settings.limit_head_time.0,
        idle_time: settings.limit_idle_time.0,
        write_time: settings.limit_write_time.0,
        max_connections,
        tls,
    }
}

/// The connections that may be open at once: what the settings allow, as far as descriptors do.
fn connections(settings: &Settings, descriptors: usize) -> usize {
    let wanted = settings.limit_connections;
    let possible = affordable(wanted, descriptors);
    if possible < wanted {
        tracing::warn!(
            wanted,
            possible,
            descriptors,
            "limits.connections is more than the limit of open descriptors allows"
        );
    }
    possible
}

/// As many of the wanted connections, at least one, as half of the descriptors can hold: the other
/// half is for containers, models and the ledger.
fn affordable(wanted: usize, descriptors: usize) -> usize {
    wanted.clamp(1, (descriptors / 2).max(1))
}

/// Allows as many open descriptors as the system lets this process have: a connection takes one,
/// and many systems begin with 1024. The limit then in force.
fn raise_descriptor_limit() -> usize {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: the pointer is to a whole rlimit, which the call fills.
    if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) } != 0 {
        return 1024;
    }
    let before = limit.rlim_cur;
    limit.rlim_cur = limit.rlim_max;
    // SAFETY: as above, and the call only reads it.
    let refused = unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) } != 0;
    saturated(if refused { before } else { limit.rlim_cur })
}

async fn bind(listen: &str) -> Result<TcpListener, Failure> {
    TcpListener::bind(listen)
        .await
        .map_err(|e| Failure::StartText(format!("cannot listen on {listen}: {e}")))
}

/// Whether an address is reached from this machine only.
fn is_loopback(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

/// The address by which this machine reaches a listener: one that listens everywhere is reached
/// by loopback.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(a) if a.is_unspecified() => IpAddr::from([127, 0, 0, 1]),
        IpAddr::V6(a) if a.is_unspecified() => IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1]),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

async fn tls(settings: &Settings) -> Result<Option<Arc<rustls::ServerConfig>>, Failure> {
    let (chain, key) = match (settings.tls_mode, &settings.tls_cert, &settings.tls_key) {
        (TlsMode::SelfSigned, ..) => self_signed(&settings.data)?,
        (TlsMode::Files, Some(cert), Some(key)) => (read(cert)?, read(key)?),
        (TlsMode::Files, None, None) => return Ok(None),
        (TlsMode::Files, ..) => {
            return Err(Failure::Config(Problem::Together("tls.cert", "tls.key")));
        }
    };
    edge::tls_config(&chain, &key)
        .map(Some)
        .map_err(|e| Failure::StartText(format!("TLS: {e}")))
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(path)
        .map_err(|e| Failure::StartText(format!("{} cannot be read: {e}", path.display())))
}

/// A certificate for this machine's names, made once and kept in the data directory, where client
/// commands find it to trust it.
fn self_signed(data: &Path) -> Result<(Vec<u8>, Vec<u8>), Failure> {
    let (chain, key) = (data.join(CERTIFICATE_FILE), data.join(CERTIFICATE_KEY_FILE));
    if let (Ok(chain), Ok(key)) = (std::fs::read(&chain), std::fs::read(&key)) {
        return Ok((chain, key));
    }
    let names = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
    let made = rcgen::generate_simple_self_signed(names)
        .map_err(|e| Failure::StartText(format!("a certificate cannot be made: {e}")))?;
    let (chain_text, key_text) = (made.cert.pem(), made.signing_key.serialize_pem());
    let written = || {
        if let Some(folder) = chain.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let mut file = std::fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&key)?;
        file.write_all(key_text.as_bytes())?;
        std::fs::write(&chain, &chain_text)
    };
    written()
        .map_err(|e| Failure::StartText(format!("{} cannot be written: {e}", chain.display())))?;
    Ok((chain_text.into_bytes(), key_text.into_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_is_out_of_the_reach_of_others() {
        for own in ["127.0.0.1", "127.8.9.10", "::1", "::ffff:127.0.0.1"] {
            assert!(is_loopback(own.parse().unwrap()), "{own}");
        }
        for reached in [
            "0.0.0.0",
            "::",
            "10.1.2.3",
            "192.168.1.1",
            "169.254.1.1",
            "fd00::1",
            "8.8.8.8",
            "2001:db8::1",
        ] {
            assert!(!is_loopback(reached.parse().unwrap()), "{reached}");
        }
    }

    #[test]
    fn connections_leave_half_of_the_descriptors() {
        assert_eq!(affordable(100, 1024), 100);
        assert_eq!(affordable(4096, 1024), 512);
        assert_eq!(affordable(0, 1024), 1);
        assert_eq!(affordable(4096, 1), 1);
    }

    #[test]
    fn a_listener_everywhere_is_reached_by_loopback() {
        let at = |text: &str| reachable(text.parse().unwrap()).to_string();
        assert_eq!(at("0.0.0.0:80"), "127.0.0.1:80");
        assert_eq!(at("[::]:80"), "[::1]:80");
        assert_eq!(at("10.0.0.1:80"), "10.0.0.1:80");
    }
}
