//! The one table of settings: key, type, default and what it does.

use std::path::PathBuf;

use super::values::{
    BaseUrl, Cgroups, LogFormat, LogLevel, OriginPattern, Size, Span, TlsMode, Value,
};

/// What the loader needs to know of a setting.
pub(crate) struct Key {
    /// The dotted name in a file; `UMPIRE_` and the upper-case name with `_` for `.` in the
    /// environment.
    pub(crate) name: &'static str,
    /// What it does.
    pub(crate) help: &'static str,
    /// What else is to be known of it.
    marks: &'static [Mark],
}

/// What is to be known of a setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(non_camel_case_types, reason = "they stand in the table as they are")]
enum Mark {
    /// Its value is shown as `"***"`.
    secret,
    /// A change holds without a restart.
    reload,
    /// So does this one's, and the cluster configuration document may set it.
    cluster,
}

impl Key {
    /// The variable's name.
    pub(crate) fn variable(&self) -> String {
        format!(
            "UMPIRE_{}",
            self.name.replace('.', "_").to_ascii_uppercase()
        )
    }

    /// Whether its value is shown as `"***"`.
    pub(crate) fn is_secret(&self) -> bool {
        self.marks.contains(&Mark::secret)
    }

    /// Whether a change holds without a restart.
    pub(crate) fn is_reloaded(&self) -> bool {
        self.marks.contains(&Mark::reload) || self.is_shared()
    }

    /// Whether the cluster configuration document may set it.
    pub(crate) fn is_shared(&self) -> bool {
        self.marks.contains(&Mark::cluster)
    }
}

macro_rules! settings {
    ($( $(#[doc = $help:literal])+ $name:literal $($mark:ident)* => $field:ident: $kind:ty = $default:expr; )+) => {
        /// All settings, typed.
        #[derive(Debug, Clone)]
        pub(crate) struct Settings {
            $( $(#[doc = $help])+ pub(crate) $field: $kind, )+
        }

        impl Default for Settings {
            fn default() -> Self {
                Settings { $($field: $default),+ }
            }
        }

        /// The settings' names and helps, in the order in which they are printed.
        pub(crate) static KEYS: &[Key] = &[$(
            Key {
                name: $name,
                help: concat!($($help, "\n"),+),
                marks: &[$(Mark::$mark),*],
            }
        ),+];

        impl Settings {
            /// Sets one by its text form.
            pub(crate) fn set(&mut self, name: &str, text: &str) -> Result<(), String> {
                match name {
                    $($name => self.$field = <$kind as Value>::read(text)?,)+
                    _ => return Err("no such setting".to_owned()),
                }
                Ok(())
            }

            /// The text form of one, as a file would have it.
            pub(crate) fn show(&self, name: &str) -> Option<String> {
                match name {
                    $($name => Some(self.$field.show()),)+
                    _ => None,
                }
            }

            /// Takes the value of one from others.
            pub(crate) fn take(&mut self, name: &str, others: &Settings) {
                match name {
                    $($name => self.$field = others.$field.clone(),)+
                    _ => {}
                }
            }
        }
    };
}

settings! {
    /// The address to listen on; port 0 takes a free one and says which.
    "listen" => listen: String = "127.0.0.1:8420".to_owned();
    /// The data directory: ledger, blobs, secrets.
    "data" => data: PathBuf = PathBuf::from("./umpire-data");
    /// The key that seals secrets; a file of 32 bytes or 64 hexadecimal digits. Without one, a key
    /// is made in the data directory.
    "master_key_file" => master_key_file: Option<PathBuf> = None;
    /// The start of URLs in replies, where it is not what requests say (`https://ml.example.com`).
    "public_url" reload => public_url: Option<BaseUrl> = None;
    /// Proxies whose `Forwarded` and `X-Forwarded-` headers are believed: addresses and ranges.
    "trusted_proxies" reload => trusted_proxies: Vec<edge::AddressRange> = Vec::new();
    /// Whether API documents are read without a key.
    "public_docs" cluster => public_docs: bool = true;
    /// Whether `/metrics` is read without a credential; otherwise it takes the operator's token, or
    /// a management token of any role for the whole installation.
    "public_metrics" cluster => public_metrics: bool = true;
    /// Origins whose pages may score (`https://app.example.com`, or `*`).
    "cors_origins" cluster => cors_origins: Vec<OriginPattern> = Vec::new();
    /// The subscription that services belong to unless a deploy says otherwise.
    "subscription" => subscription: String = "00000000-0000-0000-0000-000000000000".to_owned();
    /// Threads of the gateway; 0 is half as many as there are processors.
    "threads" => threads: usize = 0;
    /// How long calls under way may finish after SIGTERM.
    "drain" reload => drain: Span = secs(30);
    /// The server that client commands talk to.
    "server" => server: Option<BaseUrl> = None;
    /// The token that client commands sign in with; without it, the operator's in the data
    /// directory.
    "token" secret => token: Option<String> = None;

    /// The certificate chain, a PEM file.
    "tls.cert" reload => tls_cert: Option<PathBuf> = None;
    /// The certificate's private key, a PEM file.
    "tls.key" reload => tls_key: Option<PathBuf> = None;
    /// `self-signed` makes a certificate at start, for development.
    "tls.mode" => tls_mode: TlsMode = TlsMode::Files;

    /// `text`, `json`, or `auto`: text on a terminal, else JSON lines.
    "log.format" => log_format: LogFormat = LogFormat::Auto;
    /// The least level: `error`, `warn`, `info`, `debug`.
    "log.level" reload => log_level: LogLevel = LogLevel::Info;
    /// Whether each call gets a line.
    "log.access" reload => log_access: bool = true;

    /// The largest scoring body.
    "limits.body" cluster => limit_body: Size = Size(16 << 20);
    /// The time for a body to arrive.
    "limits.body_timeout" cluster => limit_body_time: Span = secs(30);
    /// The time for a request's head to arrive.
    "limits.header_timeout" cluster => limit_head_time: Span = secs(10);
    /// How long a connection may be idle between requests.
    "limits.idle_timeout" cluster => limit_idle_time: Span = secs(75);
    /// How long a client may take none of a reply's bytes.
    "limits.write_timeout" cluster => limit_write_time: Span = secs(60);
    /// Bytes of bodies held at once, of all calls together.
    "limits.buffered_bytes" cluster => limit_buffered: Size = Size(256 << 20);
    /// Scoring calls under way at once, of all endpoints together.
    "limits.calls_under_way" cluster => limit_calls: usize = 1000;
    /// Connections at once; never more than half of the descriptors that the system allows.
    "limits.connections" => limit_connections: usize = 4096;
    /// The largest web service definition.
    "limits.definition" cluster => limit_definition: Size = Size(16 << 20);
    /// The largest answer of a scoring call.
    "limits.reply" => limit_reply: Size = Size(64 << 20);
    /// The largest blob that can be uploaded.
    "limits.blob" cluster => limit_blob: Size = Size(4 << 30);
    /// Bytes of all blobs together, beyond which nothing is stored any more; 0 is as many as the
    /// disk holds.
    "limits.disk" cluster => limit_disk: Size = Size(0);
    /// Free space of the data directory's disk below which the log and `disk_low` warn.
    "limits.disk_low" cluster => limit_disk_low: Size = Size(1 << 30);
    /// `maxConcurrentCalls` may not be more than this.
    "limits.max_concurrent_calls" cluster => limit_max_concurrent_calls: usize = 200;
    /// Rows of one scoring request.
    "limits.rows" => limit_rows: usize = 100_000;
    /// Columns of one table.
    "limits.columns" => limit_columns: usize = 4096;
    /// The longest cell.
    "limits.cell" => limit_cell: Size = Size(1 << 20);
    /// How deep the JSON of a scoring request may nest.
    "limits.depth" => limit_depth: usize = 32;

    /// Revisions kept before the newest of each service, beside those in use.
    "retention.revisions" cluster => retention_revisions: usize = 5;
    /// How long lines of the audit trail are kept.
    "retention.audit" cluster => retention_audit: Span = days(400);
    /// The most lines of the audit trail.
    "retention.audit_lines" cluster => retention_audit_lines: usize = 1_000_000;
    /// How long the outcome of an asynchronous operation can be asked for.
    "retention.operations" cluster => retention_operations: Span = days(1);
    /// How long it is kept what endpoints were used, by day.
    "retention.usage" cluster => retention_usage: Span = days(400);
    /// How long batch jobs that are at their end can be asked for; outputs in the workspace's own
    /// blob containers stay.
    "retention.jobs" cluster => retention_jobs: Span = days(30);

    /// The time for a scoring call, from its head to its reply.
    "scoring.timeout" cluster => scoring_timeout: Span = secs(60);

    /// The command that runs a container; without one, this binary. A wrapper may stand before it.
    "containers.command" => container_command: Vec<String> = Vec::new();
    /// The memory of one container.
    "containers.memory_quota" cluster => container_memory_quota: Size = Size(1 << 30);
    /// Containers at once; 0 is four for each processor, and at least eight.
    "containers.slots" cluster => container_slots: usize = 0;
    /// Containers of batch jobs at once. They do not count among the others, and run when no other
    /// process wants the processor.
    "containers.batch_slots" cluster => container_batch_slots: usize = 4;
    /// Pieces of batch jobs that one container works at, at once; 0 is the number of processors.
    "containers.batch_threads" => container_batch_threads: usize = 0;
    /// The memory of one container of batch jobs; 0 is that of the service's other containers.
    "containers.batch_memory_quota" cluster => container_batch_memory_quota: Size = Size(0);
    /// Containers starting at once.
    "containers.starting" cluster => container_starting: usize = 4;
    /// Containers starting at once for one service.
    "containers.starting_per_service" cluster => container_starting_per_service: usize = 2;
    /// Calls that one container admits at once.
    "containers.calls_per_container" => container_calls: usize = 20;
    /// Calls that one container runs at once; 0 is the number of processors.
    "containers.compute_threads" => container_compute_threads: usize = 0;
    /// Containers kept ready for each service.
    "containers.min_instances" => container_min_instances: usize = 0;
    /// Containers of one service at once; 0 is as many as there are slots.
    "containers.max_instances" => container_max_instances: usize = 0;
    /// How long a call waits for a container.
    "containers.start_wait" cluster => container_start_wait: Span = secs(15);
    /// How long a container may take to become ready.
    "containers.start_limit" cluster => container_start_limit: Span = secs(60);
    /// How long cancelled work has to stop before its container is retired.
    "containers.stop_grace" cluster => container_stop_grace: Span = secs(2);
    /// How long a container without calls is kept.
    "containers.idle" cluster => container_idle: Span = secs(600);
    /// How often a container says that it lives.
    "containers.heartbeat" => container_heartbeat: Span = secs(1);
    /// Silence after which a container counts as lost.
    "containers.silent_after" => container_silent_after: Span = secs(5);
    /// Free memory of the machine below which no container is started.
    "containers.min_free_memory" cluster => container_min_free_memory: Size = Size(64 << 20);
    /// `auto` uses control groups where they can be written; `off` never.
    "containers.cgroup" => container_cgroup: Cgroups = Cgroups::Auto;

    /// Chunks of batch jobs that are worked on at once, of all jobs together; 0 is as many as there
    /// are processors.
    "batch.parallel" cluster => batch_parallel: usize = 0;
    /// Jobs of one endpoint that run at once; the others wait in the queue.
    "batch.jobs_per_endpoint" cluster => batch_jobs_per_endpoint: usize = 40;
    /// Jobs of one endpoint that may be submitted and not at their end.
    "batch.queue_per_endpoint" cluster => batch_queue_per_endpoint: usize = 1000;
    /// Jobs of all endpoints that may be submitted and not at their end.
    "batch.queue" cluster => batch_queue: usize = 10_000;
    /// How long a server that says nothing more is believed to go on with a job.
    "batch.lease" cluster => batch_lease: Span = secs(30);
    /// How often a chunk is tried before a failure that might pass fails its job.
    "batch.attempts" cluster => batch_attempts: usize = 5;
    /// Bytes of input that a chunk has, unless the place of the output wants larger parts.
    "batch.chunk_size" cluster => batch_chunk_size: Size = Size(8 << 20);
    /// The folder for packed inputs while they are unpacked, and for rejected rows; without one,
    /// `spool` in the data directory.
    "batch.spool_dir" => batch_spool_dir: Option<PathBuf> = None;
    /// The most bytes of unpacked inputs in it.
    "batch.spool_limit" cluster => batch_spool_limit: Size = Size(64 << 30);

    /// An identity provider (OpenID Connect) whose tokens sign in for the management APIs: its
    /// issuer, such as `https://login.example.com/realms/main`.
    "oidc.issuer" reload => oidc_issuer: Option<BaseUrl> = None;
    /// What such a token must be made for: its `aud` must name one of these.
    "oidc.audience" reload => oidc_audience: Vec<String> = Vec::new();
    /// Where the provider's keys are; without it, where its
    /// `/.well-known/openid-configuration` says. The issuer's host and this one are reached without
    /// standing in `outbound.allow`; another host, a private address and plain HTTP must stand there.
    "oidc.jwks_url" reload => oidc_jwks_url: Option<String> = None;
    /// The claim of a token that `oidc.grants` looks into; `a.b` is the claim `b` of the claim `a`.
    "oidc.role_claim" reload => oidc_role_claim: String = "roles".to_owned();
    /// Who may do what: `VALUE=ROLE@SCOPE`, of which the first counts whose value stands in the
    /// claim; `*` stands for every token. Roles are `read`, `manage`, `admin`; scopes
    /// `installation`, `subscription:S`, `group:S/G`, `workspace:ID`, `service:ID`.
    "oidc.grants" reload => oidc_grants: Vec<manage::Grant> = Vec::new();

    /// Records of diagnostics that are held at once; what finds no room is dropped and counted.
    "diagnostics.queue" cluster => diagnostics_queue: usize = 4096;
    /// Blobs of diagnostics that are written at once.
    "diagnostics.writers" cluster => diagnostics_writers: usize = 8;
    /// How long diagnostics that are held may still be written at the end.
    "diagnostics.flush" reload => diagnostics_flush: Span = secs(5);

    /// What may be fetched from: hosts (`files.example.com`), hosts below a domain
    /// (`*.blob.core.windows.net`), addresses (`10.1.0.0/16`); with `http://` before it plain HTTP
    /// too. A host that is listed by name is reached at public addresses only.
    "outbound.allow" cluster => outbound_allow: Vec<outbound::Entry> = Vec::new();
    /// The time for one attempt to fetch something.
    "outbound.timeout" cluster => outbound_timeout: Span = secs(300);
    /// How often a fetch that failed for a moment is tried again.
    "outbound.retries" cluster => outbound_retries: usize = 3;
    /// The largest thing that is fetched.
    "outbound.max_size" cluster => outbound_max_size: Size = Size(1 << 30);
    /// Authorities that are trusted beside the public ones when fetching, a PEM file.
    "outbound.ca" reload => outbound_ca: Option<PathBuf> = None;
    /// Below which places batch jobs may name blobs that are read and written with this
    /// installation's own rights: `s3://bucket`, `gs://bucket/path`, `az://account/container`,
    /// `file:///folder`. The credentials are those of the environment (`AWS_…`, `GOOGLE_…`,
    /// `AZURE_STORAGE_…`); the hosts must stand in `outbound.allow` too.
    "batch.storage.roots" cluster => batch_storage_roots: Vec<storage::Root> = Vec::new();
    /// Descriptions of the operator's own module ids, a JSON file for each; without one,
    /// `modules.d` in the data directory.
    "modules.dir" => modules_dir: Option<PathBuf> = None;
    /// Where fetched resources are kept for the next deploy; without one, `cache` in the data
    /// directory.
    "cache.dir" => cache_dir: Option<PathBuf> = None;
    /// How much is kept there; what was not used for the longest time goes first.
    "cache.max_size" => cache_max_size: Size = Size(4 << 30);
}

const fn days(days: u64) -> Span {
    secs(days * 24 * 60 * 60)
}

const fn secs(seconds: u64) -> Span {
    Span(std::time::Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_reads_back_from_its_text_form() {
        let settings = Settings::default();
        for key in KEYS {
            let shown = settings.show(key.name).expect("a key of the table");
            let value: toml::Table = format!("x = {shown}").parse().expect("TOML");
            let text = super::super::load::text_of(&value["x"]).expect("a text form");
            let mut other = Settings::default();
            other.set(key.name, &text).expect("reads back");
            assert_eq!(other.show(key.name), Some(shown), "{}", key.name);
            assert!(!key.help.trim().is_empty());
        }
    }

    /// Writes `docs/configuration.md`, and fails when that changed it.
    #[test]
    fn the_settings_page_is_up_to_date() {
        let defaults = Settings::default();
        let mut page = String::from(
            "# Settings\n\n\
             Written by a test from `crates/app/src/config/settings.rs`; do not edit by hand.\n\n\
             From weak to strong: defaults, the cluster configuration document, the TOML file, the\n\
             environment, flags. `--set KEY=VALUE` sets any of them; `umpire config` prints the values\n\
             in force with their origins.\n\n\
             **reload**: a change holds after SIGHUP or `umpire config reload`; others need a restart.\n\
             **cluster**: so does this one's, and the cluster configuration document may set it.\n\n\
             | setting | default | variable | change | what it does |\n|---|---|---|---|---|\n",
        );
        for key in KEYS {
            let default = defaults.show(key.name).unwrap_or_default();
            let help = key.help.split_whitespace().collect::<Vec<_>>().join(" ");
            let change = match (key.is_shared(), key.is_reloaded()) {
                (true, _) => "cluster",
                (_, true) => "reload",
                _ => "restart",
            };
            page.push_str(&format!(
                "| `{}` | `{default}` | `{}` | {change} | {help} |\n",
                key.name,
                key.variable()
            ));
        }
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/configuration.md");
        let there = std::fs::read_to_string(path).unwrap_or_default();
        if there != page {
            std::fs::write(path, &page).expect("docs/configuration.md can be written");
            panic!("docs/configuration.md was out of date and is written anew: look at the change");
        }
    }

    #[test]
    fn variables_do_not_collide() {
        let mut names: Vec<String> = KEYS.iter().map(Key::variable).collect();
        names.sort();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count);
    }
}
