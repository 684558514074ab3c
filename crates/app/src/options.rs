//! From settings to the options of each part.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use containers::HostOptions;
use faults::{Class, Fault};

use crate::client::{CERTIFICATE_FILE, CERTIFICATE_KEY_FILE};
use crate::config::{Cgroups, LogLevel, Problem, Settings, TlsMode};
use crate::exit::Failure;

/// The level of the log.
pub(crate) fn level(settings: &Settings) -> tracing::Level {
    match settings.log_level {
        LogLevel::Error => tracing::Level::ERROR,
        LogLevel::Warn => tracing::Level::WARN,
        LogLevel::Info => tracing::Level::INFO,
        LogLevel::Debug => tracing::Level::DEBUG,
    }
}

/// The installation's limits on scoring.
pub(crate) fn scoring_options(settings: &Settings) -> scoring::Options {
    scoring::Options {
        calls_under_way: settings.limit_calls,
        buffered_bytes: saturated(settings.limit_buffered.0),
    }
}

/// What each service may take of the machine.
pub(crate) fn pool_limits(settings: &Settings) -> containers::PoolLimits {
    containers::PoolLimits {
        min_instances: settings.container_min_instances,
        max_instances: match settings.container_max_instances {
            0 => usize::MAX,
            most => most,
        },
        memory_quota_mb: None,
    }
}

/// How long records are kept.
pub(crate) fn retention(settings: &Settings) -> store::Retention {
    store::Retention {
        revisions: settings.retention_revisions as u64,
        audit_age: settings.retention_audit.0,
        audit_lines: settings.retention_audit_lines as u64,
        operations: settings.retention_operations.0,
        usage: settings.retention_usage.0,
        jobs: settings.retention_jobs.0,
    }
}

/// Bytes that are free on the disk of a path, for this user; none where the system does not say.
pub(crate) fn free_bytes(path: &Path) -> Option<u64> {
    use std::os::unix::ffi::OsStrExt as _;
    let path = std::ffi::CString::new(path.as_os_str().as_bytes()).ok()?;
    let mut about = std::mem::MaybeUninit::<libc::statvfs>::uninit();
    // SAFETY: the path ends in a zero byte, and the call fills the whole of what it points to
    // where it succeeds.
    let about = unsafe {
        if libc::statvfs(path.as_ptr(), about.as_mut_ptr()) != 0 {
            return None;
        }
        about.assume_init()
    };
    Some(about.f_bavail.saturating_mul(about.f_frsize))
}

/// The client of every fetch.
pub(crate) fn outbound(settings: &Settings) -> Result<outbound::Outbound, Fault> {
    outbound::Outbound::new(outbound::Options {
        allow: settings.outbound_allow.clone(),
        timeout: settings.outbound_timeout.0,
        retries: settings.outbound_retries,
        max_size: settings.outbound_max_size.0,
        authorities: settings.outbound_ca.clone(),
    })
    .map_err(|unusable| match unusable {
        outbound::Unusable::Limit(problem) => {
            faults::internal_error::invalid_resource_download_configuration().because(problem)
        }
        outbound::Unusable::Authorities(problem) => {
            Fault::bare(Class::InternalError).because(problem)
        }
    })
}

/// What batch jobs may name, and the credentials for it that the environment holds.
pub(crate) fn storage(settings: &Settings) -> storage::Options {
    storage::Options {
        roots: settings.batch_storage_roots.clone(),
        credentials: std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .filter(|(name, _)| storage::Options::is_credential(name))
            .collect(),
    }
}

/// How many jobs there may be, and how they are run.
pub(crate) fn jobs(settings: &Settings) -> jobs::Options {
    let spool = settings.batch_spool_dir.clone();
    let usual = jobs::Options::in_folder(spool.unwrap_or_else(|| settings.data.join("spool")));
    jobs::Options {
        parallel: match settings.batch_parallel {
            0 => usual.parallel,
            parallel => parallel,
        },
        jobs_per_endpoint: settings.batch_jobs_per_endpoint as u64,
        queue_per_endpoint: settings.batch_queue_per_endpoint as u64,
        queue: settings.batch_queue as u64,
        lease: settings.batch_lease.0,
        attempts: u32::try_from(settings.batch_attempts).unwrap_or(u32::MAX),
        chunk_size: settings.batch_chunk_size.0,
        spool_limit: settings.batch_spool_limit.0,
        ..usual
    }
}

/// How much of diagnostics is held and written at once.
pub(crate) fn diagnostics(settings: &Settings) -> diagnostics::Options {
    diagnostics::Options {
        queue: settings.diagnostics_queue,
        writers: settings.diagnostics_writers,
    }
}

/// Where what was fetched is kept.
pub(crate) fn cache(settings: &Settings) -> Result<outbound::Cache, Fault> {
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

/// The rules for services.
pub(crate) fn manage_options(
    settings: &Settings,
    outbound: outbound::Outbound,
    cache: Option<Arc<outbound::Cache>>,
    modules: Arc<manage::ModuleIds>,
) -> Result<manage::Options, Fault> {
    let throttles = manage::Throttles {
        most: u32::try_from(settings.limit_max_concurrent_calls).unwrap_or(u32::MAX),
        ..manage::Throttles::default()
    };
    Ok(manage::Options {
        throttles,
        pool: pool_limits(settings),
        blob_limit: settings.limit_blob.0,
        outbound,
        cache,
        modules,
        identity: identity(settings)?.map(Arc::new),
    })
}

/// The time for one attempt to fetch a document of the identity provider, with somebody waiting to
/// be let in.
const IDENTITY_TIME: Duration = Duration::from_secs(5);
/// The largest such document, in bytes.
const IDENTITY_DOCUMENT: u64 = 1 << 20;

/// The identity provider, where there is one, with a client of its own: it may be reached without
/// standing on the list of what may be fetched.
fn identity(settings: &Settings) -> Result<Option<manage::IdentityProvider>, Fault> {
    let Some(issuer) = &settings.oidc_issuer else {
        return Ok(None);
    };
    let named = [Some(issuer.0.as_str()), settings.oidc_jwks_url.as_deref()];
    let hosts = named.into_iter().flatten().filter_map(secure_host);
    let mut allow = settings.outbound_allow.clone();
    allow.extend(hosts.filter_map(|host| host.parse().ok()));
    let outbound = outbound::Outbound::new(outbound::Options {
        allow,
        timeout: IDENTITY_TIME,
        retries: 1,
        max_size: IDENTITY_DOCUMENT,
        authorities: settings.outbound_ca.clone(),
    })
    .map_err(|unusable| match unusable {
        outbound::Unusable::Limit(problem) | outbound::Unusable::Authorities(problem) => {
            Fault::bare(Class::InternalError).because(problem)
        }
    })?;
    let options = oidc::Options {
        issuer: issuer.0.clone(),
        audience: settings.oidc_audience.clone(),
        jwks_url: settings.oidc_jwks_url.clone(),
    };
    Ok(Some(manage::IdentityProvider::new(
        options,
        outbound,
        settings.oidc_role_claim.clone(),
        settings.oidc_grants.clone(),
    )))
}

/// The host of an `https` URL.
fn secure_host(url: &str) -> Option<&str> {
    let rest = url.strip_prefix("https://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let (host, port) = authority.rsplit_once(':').unwrap_or((authority, ""));
    match port.bytes().all(|b| b.is_ascii_digit()) {
        true => Some(host),
        // The last part of an address in brackets.
        false => Some(authority),
    }
}

pub(crate) fn saturated(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

/// A number of megabytes, rounded down.
fn megabytes(bytes: u64) -> u64 {
    bytes >> 20
}

pub(crate) fn host_options(settings: &Settings) -> HostOptions {
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
        batch_slots: settings.container_batch_slots,
        batch_threads: or_usual(settings.container_batch_threads, usual.batch_threads),
        batch_memory_quota_mb: match settings.container_batch_memory_quota.0 {
            0 => None,
            bytes => Some(megabytes(bytes)),
        },
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
        // The gateway holds bodies to `limits.body`, which may change while containers run.
        max_body: usize::MAX,
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

pub(crate) fn edge_options(
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
pub(crate) fn connections(settings: &Settings, descriptors: usize) -> usize {
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
pub(crate) fn raise_descriptor_limit() -> usize {
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

pub(crate) fn tls(settings: &Settings) -> Result<Option<Arc<rustls::ServerConfig>>, Failure> {
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
    fn connections_leave_half_of_the_descriptors() {
        assert_eq!(affordable(100, 1024), 100);
        assert_eq!(affordable(4096, 1024), 512);
        assert_eq!(affordable(0, 1024), 1);
        assert_eq!(affordable(4096, 1), 1);
    }
}
