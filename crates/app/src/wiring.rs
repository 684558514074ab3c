//! Puts the server together: store, host, scorer, manager, edge; and takes it down in order.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Weak};
use std::time::Duration;

use containers::Host;
use diagnostics::{Boxed, Diagnostics, Stored, Wanted};
use edge::{Edge, Ended, Interior};
use faults::{Class, Fault};
use scoring::Scorer;
use storage::Storage;
use store::Store;
use telemetry::{Format, LogOptions, Surface, Telemetry, Writer};
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::client::URL_FILE;
use crate::config::{LogFormat, Settings, Sources};
use crate::exit::Failure;
use crate::live::{self, Live, Parts};
use crate::{options, term};

/// How often blobs that nothing names are looked for.
const SWEEP: Duration = Duration::from_secs(3600);
/// How often the disk is looked at.
const DISK: Duration = Duration::from_secs(15);
/// How often what endpoints are used is written down: what a crash may lose of it.
const USAGE: Duration = Duration::from_secs(60);
/// How long the log may take to be written at the end.
const LOG_FLUSH: Duration = Duration::from_secs(2);
/// The lag between not ready and not accepting: long enough for a load balancer's next look to
/// begin, short enough for a terminal.
const NOT_READY: Duration = Duration::from_millis(200);

/// A server that listens, and everything behind it.
pub(crate) struct Server {
    edge: Edge,
    live: Arc<Live>,
    host: Host,
    runner: jobs::Runner,
    diagnostics: Diagnostics,
    listener: TcpListener,
    manager: manage::Manager,
    telemetry: Telemetry,
    url: String,
    files: Files,
}

/// Removes records that are older than they are to be kept and blobs that nothing names, at the
/// start and now and then.
async fn sweep(live: Arc<Live>) {
    loop {
        live.prune().await;
        tokio::time::sleep(SWEEP).await;
    }
}

/// Looks at the disk, at the start and now and then.
async fn watch_disk(live: Arc<Live>) {
    loop {
        let looking = live.clone();
        // It is only about numbers: one look that fails is one number that is old.
        let _ = tokio::task::spawn_blocking(move || looking.look_at_disk()).await;
        tokio::time::sleep(DISK).await;
    }
}

/// Writes down what endpoints are used, now and then.
async fn write_usage(manager: manage::Manager) {
    loop {
        tokio::time::sleep(USAGE).await;
        if let Err(fault) = manager.write_usage().await {
            tracing::warn!(cause = fault.cause(), "the usage could not be written down");
        }
    }
}

/// Has a job at its end written to diagnostics, where its endpoint asks for that.
fn recorded(store: Arc<Store>, diagnostics: Diagnostics) -> jobs::OnEnd {
    Box::new(move |job: &store::JobRecord| {
        let directory = store.ledger.directory();
        let (Some(entry), Some(ended)) = (directory.endpoint(&job.endpoint), job.ended) else {
            return;
        };
        let record = diagnostics::JobRecord {
            job: job.id,
            state: job.state.name(),
            created: job.created,
            started: job.started,
            ended,
            rows: job.rows,
            rejected: job.rejected,
            bytes_read: job.bytes_read,
            chunks: job.chunks,
            stages: Vec::new(),
            fault: job.fault.clone(),
            printed: Vec::new(),
        };
        diagnostics.job(entry, record);
    })
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
    let level = options::level(settings);
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
    pub(crate) async fn start(sources: Sources) -> Result<Server, Failure> {
        let descriptors = options::raise_descriptor_limit();
        // Of this server's own settings, which say where the document with the shared ones is.
        let own = crate::config::load(&sources)
            .map_err(Failure::Config)?
            .settings;
        let (writer, format) = logging(&own)?;
        let telemetry = match own.log_access {
            true => Telemetry::with_access_log(writer, format),
            false => Telemetry::with_log(writer, format),
        };
        let store_options = store::Options {
            master_key: own.master_key_file.clone(),
            subscription: own.subscription.clone(),
            ..store::Options::default()
        };
        let data = own.data.clone();
        let store = tokio::task::spawn_blocking(move || Store::open_with(&data, &store_options))
            .await
            .map_err(|e| Failure::StartText(e.to_string()))?
            .map_err(|fault| refused(&telemetry, fault))?;
        let store = Arc::new(store);
        let effective = live::load(&sources, &store.blobs).map_err(|refusal| match refusal {
            live::Refusal::Settings(problem) => Failure::Config(problem),
            live::Refusal::Fault(fault) => refused(&telemetry, fault),
        })?;
        let settings = &effective.settings;
        store.set_retention(options::retention(settings));
        store.blobs.set_limit(settings.limit_disk.0);
        let pool = options::pool_limits(settings);
        let outbound = options::outbound(settings).map_err(|fault| refused(&telemetry, fault))?;
        let storage = Storage::new(options::storage(settings), outbound.clone(), store.clone());
        let cache = options::cache(settings).map_err(|fault| refused(&telemetry, fault))?;
        let cache = Some(Arc::new(cache));
        let registry = Arc::new(modules::registry());
        let folder = settings.modules_dir.clone();
        let folder = folder.unwrap_or_else(|| settings.data.join("modules.d"));
        let own_modules = Arc::new(manage::ModuleIds::read(&folder, &registry));
        let source = manage::StoredRevisions::new(store.clone(), pool);
        let source = Arc::new(source.with_modules(own_modules.clone()));
        let host = Host::start(
            options::host_options(settings),
            source.clone(),
            telemetry.clone(),
        )
        .map_err(|fault| refused(&telemetry, fault))?;
        for entry in store.ledger.directory().endpoints() {
            host.warm(entry.endpoint.0, entry.revision.0, &entry.label(), pool);
        }
        let scorer = Arc::new(Scorer::new(
            store.clone(),
            host.clone(),
            telemetry.clone(),
            &options::scoring_options(settings),
        ));
        let jobs_registry = registry.clone();
        let rules = {
            let (cache, own_modules) = (cache.clone(), own_modules.clone());
            options::manage_options(settings, outbound, cache, own_modules)
                .map_err(|fault| refused(&telemetry, fault))?
        };
        let manager = manage::Manager::new(
            store.clone(),
            host.clone(),
            registry,
            telemetry.clone(),
            rules,
        );
        let diagnostics = {
            let asked = manager.clone();
            let wanted = move |entry: Arc<store::Entry>| {
                let manager = asked.clone();
                let wanted: Boxed<_> = Box::pin(async move {
                    let place = manager.diagnostics_place(&entry).await?;
                    Ok(Wanted {
                        connection: place.connection,
                        prefixes: place.prefixes,
                    })
                });
                wanted
            };
            let places = Stored::new(storage.clone(), Box::new(wanted));
            let options = options::diagnostics(settings);
            Diagnostics::start(options, store.clone(), telemetry.clone(), Box::new(places))
        };
        diagnostics.listen(&host);
        let job_options = options::jobs(settings);
        job_options
            .check()
            .map_err(|fault| refused(&telemetry, fault))?;
        let (jobs, runner) = jobs::start(
            jobs::Parts {
                store: store.clone(),
                storage: storage.clone(),
                lane: Arc::new(host.clone()),
                source: source.clone(),
                registry: jobs_registry,
                telemetry: telemetry.clone(),
                on_end: recorded(store.clone(), diagnostics.clone()),
            },
            job_options,
        );
        let tls = options::tls(settings)?;
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
                scorer: scorer.clone(),
                jobs: jobs.clone(),
                manager: manager.clone(),
                store: store.clone(),
                telemetry: telemetry.clone(),
                diagnostics: diagnostics.clone(),
            },
            options::edge_options(settings, tls, options::connections(settings, descriptors)),
        );
        let url = format!("{scheme}://{}", reachable(address));
        let files = Files {
            url: settings.data.join(URL_FILE),
        };
        if let Err(error) = std::fs::write(&files.url, format!("{url}\n")) {
            tracing::warn!(%error, "clients on this machine will not find this server by its data directory");
        }
        let live = Arc::new(Live::new(
            sources,
            effective,
            Parts {
                store,
                host: host.clone(),
                scorer,
                jobs,
                manager: manager.clone(),
                telemetry: telemetry.clone(),
                edge: edge.clone(),
                cache,
                storage,
                diagnostics: diagnostics.clone(),
                modules: own_modules,
            },
        ));
        let weak: Weak<Live> = Arc::downgrade(&live);
        edge.set_configuration(weak);
        Ok(Server {
            edge,
            live,
            host,
            runner,
            diagnostics,
            listener,
            manager,
            telemetry,
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
        let hang_up = listen(SignalKind::hangup())?;
        self.edge.set_ready(true);
        tracing::info!(url = self.url, "listening");
        if !term::line(&format!("listening on {}", self.url)) {
            tracing::debug!("standard output is closed");
        }
        let edge = self.edge.clone();
        let (stop_jobs, jobs_stopped) = tokio::sync::oneshot::channel::<()>();
        let running = tokio::spawn(self.runner.run(async move {
            // Where nobody is left to say so it is time too.
            let _ = jobs_stopped.await;
        }));
        let stopped = async move {
            tokio::select! {
                () = stop => {}
                () = signals.next() => {}
            }
            edge.set_ready(false);
            // Jobs go on at the next start; calls do not.
            drop(stop_jobs);
            tracing::info!("draining: calls under way are finished first");
            tokio::time::sleep(NOT_READY).await;
        };
        let host = self.host.clone();
        let live = self.live.clone();
        let drain = move || live.settings().settings.drain.0;
        let serving = async {
            let ended = self.edge.serve(self.listener, stopped, &drain).await;
            // It gives up what it does within seconds.
            let _ = running.await;
            host.shutdown(match ended {
                Ended::Drained => drain(),
                Ended::Cut => Duration::ZERO,
            })
            .await;
            ended
        };
        let mut again = Signals::new()?;
        let sweeping = tokio::spawn(sweep(self.live.clone()));
        let watching = tokio::spawn(watch_disk(self.live.clone()));
        let reloading = tokio::spawn(reload(self.live.clone(), hang_up));
        let metering = tokio::spawn(write_usage(self.manager.clone()));
        let ended = tokio::select! {
            ended = serving => Some(ended),
            () = async { again.next().await; again.next().await } => None,
        };
        if ended.is_none() {
            tracing::warn!("ending at once");
            self.host.shutdown(Duration::ZERO).await;
        }
        sweeping.abort();
        reloading.abort();
        watching.abort();
        metering.abort();
        if let Err(fault) = self.manager.write_usage().await {
            tracing::warn!(cause = fault.cause(), "the last usage is lost");
        }
        // At a second signal nobody waits for storage either.
        let flush = match ended {
            Some(_) => self.live.settings().settings.diagnostics_flush.0,
            None => Duration::ZERO,
        };
        self.diagnostics.flush(flush).await;
        drop(self.files);
        self.telemetry.flush(LOG_FLUSH);
        match ended {
            Some(Ended::Drained) => Ok(()),
            Some(Ended::Cut) => Err(Failure::StartText(format!(
                "calls were still under way after {} s and were cut",
                self.live.settings().settings.drain.0.as_secs()
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

fn listen(kind: SignalKind) -> Result<Signal, Failure> {
    signal(kind).map_err(|e| Failure::StartText(format!("signals cannot be taken: {e}")))
}

/// Reads the settings and the certificate again at each SIGHUP. What is wrong with them is logged
/// and leaves everything as it was.
async fn reload(live: Arc<Live>, mut hang_up: Signal) {
    while hang_up.recv().await.is_some() {
        let live = live.clone();
        // It has logged what came of it.
        let _ = tokio::task::spawn_blocking(move || live.reload_and_tell()).await;
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
    fn a_listener_everywhere_is_reached_by_loopback() {
        let at = |text: &str| reachable(text.parse().unwrap()).to_string();
        assert_eq!(at("0.0.0.0:80"), "127.0.0.1:80");
        assert_eq!(at("[::]:80"), "[::1]:80");
        assert_eq!(at("10.0.0.1:80"), "10.0.0.1:80");
    }
}
