//! The settings of a running server: read again at SIGHUP or when an operator asks, and changed
//! through the cluster configuration document.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use containers::Host;
use diagnostics::Diagnostics;
use edge::{Configuration, Edge, Reloaded, Setting};
use faults::{Class, Fault, bad_argument, internal_error};
use scoring::Scorer;
use serde_json::{Map, Value};
use storage::Storage;
use store::{Blobs, Store, SystemBlob};
use telemetry::{Surface, Telemetry};

use crate::config::{self, Document, Effective, KEYS, Origin, Problem, Settings, Sources};
use crate::exit::Failure;
use crate::options;

/// What settings are applied to.
pub(crate) struct Parts {
    /// State and blobs, the document among them.
    pub(crate) store: Arc<Store>,
    /// Containers.
    pub(crate) host: Host,
    /// Throttles and buffers.
    pub(crate) scorer: Arc<Scorer>,
    /// Batch jobs.
    pub(crate) jobs: jobs::Queue,
    /// Rules for services.
    pub(crate) manager: manage::Manager,
    /// What was fetched.
    pub(crate) cache: Option<Arc<outbound::Cache>>,
    /// Blobs of others, and the workspaces' own.
    pub(crate) storage: Storage,
    /// What is written of calls.
    pub(crate) diagnostics: Diagnostics,
    pub(crate) modules: Arc<manage::ModuleIds>,
    /// The log.
    pub(crate) telemetry: Telemetry,
    /// Sizes, times and certificates.
    pub(crate) edge: Edge,
}

/// The settings in force and where they come from.
pub(crate) struct Live {
    sources: Sources,
    effective: ArcSwap<Effective>,
    parts: Parts,
    /// One change at a time.
    changing: Mutex<()>,
}

/// Why there are no settings.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// This server's own sources are to blame.
    Settings(Problem),
    /// The document is, or the blob store that it lies in.
    Fault(Fault),
}

/// Loads all sources, the document among them.
pub(crate) fn load(sources: &Sources, blobs: &Blobs) -> Result<Effective, Refusal> {
    let document = match blobs
        .system(SystemBlob::ClusterConfiguration)
        .map_err(Refusal::Fault)?
    {
        None => Document::default(),
        Some(bytes) => Document::parse(&bytes)
            .map_err(|(name, problem)| Refusal::Fault(misconfigured(&name, &problem)))?,
    };
    with_document(sources, document).map_err(|problem| match problem.of_document() {
        Some((name, text)) => Refusal::Fault(misconfigured(name, &text)),
        None => Refusal::Settings(problem),
    })
}

fn with_document(sources: &Sources, document: Document) -> Result<Effective, Problem> {
    config::load(&Sources {
        document,
        ..sources.clone()
    })
}

fn misconfigured(name: &str, problem: &str) -> Fault {
    internal_error::cluster_config_blob_misconfigured().because(match name {
        "" => problem.to_owned(),
        name => format!("at {name}: {problem}"),
    })
}

/// A problem of this server's own sources, for the log.
fn of_problem(problem: &Problem) -> Fault {
    match problem {
        Problem::Memory { value, origin } => internal_error::invalid_memory_configuration(value)
            .because(format!("containers.memory_quota ({origin})")),
        other => crate::exit::of_resources(other)
            .unwrap_or_else(|| Fault::bare(Class::InternalError).because(other)),
    }
}

impl Live {
    pub(crate) fn new(sources: Sources, effective: Effective, parts: Parts) -> Live {
        Live {
            sources,
            effective: ArcSwap::from_pointee(effective),
            parts,
            changing: Mutex::default(),
        }
    }

    /// The settings in force.
    pub(crate) fn settings(&self) -> Arc<Effective> {
        self.effective.load_full()
    }

    fn one_at_a_time(&self) -> MutexGuard<'_, ()> {
        self.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Removes records and blobs that are no longer to be kept.
    pub(crate) async fn prune(&self) {
        let storage = self.parts.telemetry.storage();
        match self.parts.store.ledger.prune().await {
            Ok(pruned) => {
                storage.pruned("revisions", pruned.revisions);
                storage.pruned("audit", pruned.audit_lines);
                storage.pruned("operations", pruned.operations);
                storage.pruned("usage", pruned.usage);
                storage.pruned("jobs", pruned.jobs);
                if !pruned.is_empty() {
                    tracing::info!(
                        revisions = pruned.revisions,
                        audit_lines = pruned.audit_lines,
                        operations = pruned.operations,
                        usage = pruned.usage,
                        jobs = pruned.jobs,
                        "old records were removed"
                    );
                }
            }
            Err(fault) => tracing::warn!(cause = fault.cause(), "old records could not be removed"),
        }
        match self.parts.manager.sweep().await {
            Ok(swept) => {
                storage.pruned("blobs", swept.blobs);
                if swept.blobs > 0 {
                    tracing::info!(
                        blobs = swept.blobs,
                        bytes = swept.bytes,
                        "orphaned blobs were removed"
                    );
                }
            }
            Err(fault) => tracing::warn!(cause = fault.cause(), "blobs could not be swept"),
        }
    }

    /// Counts what is stored and what is free, and warns when little is.
    pub(crate) fn look_at_disk(&self) {
        let effective = self.settings();
        let settings = &effective.settings;
        let storage = self.parts.telemetry.storage();
        storage.blob_bytes.set(self.parts.store.blobs.used());
        storage.blob_limit.set(settings.limit_disk.0);
        storage.ledger_bytes.set(self.parts.store.ledger_bytes());
        let Some(free) = options::free_bytes(&settings.data) else {
            return;
        };
        storage.disk_free.set(free);
        let low = free < settings.limit_disk_low.0;
        let was_low = storage.disk_low.set(u64::from(low)) != 0;
        if low && !was_low {
            tracing::warn!(free, "little is free on the disk of the data directory");
        } else if was_low && !low {
            tracing::info!(
                free,
                "enough is free again on the disk of the data directory"
            );
        }
    }

    /// Reads everything again, for a signal: the log alone tells what came of it.
    pub(crate) fn reload_and_tell(&self) {
        if let Err(fault) = self.reload() {
            self.parts.telemetry.observe(&fault, Surface::Process);
            tracing::error!("the settings stay as they were");
        }
    }

    /// Lets what may change without a restart hold from now on, and the certificate that now
    /// stands in its files.
    fn apply(&self, new: &Effective) -> Result<Reloaded, Fault> {
        let before = self.settings();
        let mut merged = Effective::clone(&before);
        let mut reloaded = Reloaded::default();
        let had_tls = self.parts.edge.has_tls();
        for ((key, there), fresh) in KEYS.iter().zip(&mut merged.origins).zip(&new.origins) {
            let name = key.name;
            let same = before.settings.show(name) == new.settings.show(name);
            // Whether there is TLS at all is decided at the start.
            let fixed = !key.is_reloaded() || (name.starts_with("tls.") && !had_tls);
            match (same, fixed) {
                (false, true) => reloaded.restart.push(name.to_owned()),
                (_, true) => {}
                (same, false) => {
                    merged.settings.take(name, &new.settings);
                    there.clone_from(fresh);
                    if !same {
                        reloaded.changed.push(name.to_owned());
                    }
                }
            }
        }
        self.hold(&merged.settings, had_tls)?;
        self.effective.store(Arc::new(merged));
        tracing::info!(
            changed = reloaded.changed.join(", "),
            needs_restart = reloaded.restart.join(", "),
            "the settings were read again"
        );
        Ok(reloaded)
    }

    /// Hands the settings to every part. What can fail comes first, so that it changes nothing.
    fn hold(&self, settings: &Settings, tls: bool) -> Result<(), Fault> {
        let parts = &self.parts;
        let tls = match tls {
            true => options::tls(settings).map_err(|failure| {
                Fault::bare(Class::InternalError).because(match failure {
                    Failure::StartText(text) => text,
                    Failure::Config(problem) => problem.to_string(),
                    _ => "the certificate cannot be used".to_owned(),
                })
            })?,
            false => None,
        };
        let outbound = options::outbound(settings)?;
        let rules = options::manage_options(
            settings,
            outbound.clone(),
            parts.cache.clone(),
            parts.modules.clone(),
        )?;
        let jobs = options::jobs(settings);
        jobs.check()?;
        parts.host.set_options(&options::host_options(settings))?;
        parts.jobs.set_options(jobs)?;
        parts
            .scorer
            .set_options(&options::scoring_options(settings));
        parts.manager.set_options(rules);
        parts.storage.set(options::storage(settings), outbound);
        parts
            .diagnostics
            .set_options(options::diagnostics(settings));
        parts.store.set_retention(options::retention(settings));
        parts.store.blobs.set_limit(settings.limit_disk.0);
        telemetry::set_level(options::level(settings));
        parts.telemetry.set_access_log(settings.log_access);
        // The most connections stay as they are; the number here is not looked at.
        let edge = options::edge_options(settings, tls, settings.limit_connections);
        parts.edge.set_options(edge);
        Ok(())
    }

    fn read_document(&self) -> Result<Map<String, Value>, Fault> {
        let blob = SystemBlob::ClusterConfiguration;
        let Some(bytes) = self.parts.store.blobs.system(blob)? else {
            return Ok(Map::new());
        };
        serde_json::from_slice(&bytes).map_err(|e| misconfigured("", &e.to_string()))
    }

    /// Validates, applies and keeps a document.
    fn replace_document(&self, object: &Map<String, Value>) -> Result<Reloaded, Fault> {
        let invalid = |name: &str, problem: &str| {
            let fault = bad_argument::request_body_invalid().because(problem);
            match name {
                "" => fault,
                name => fault.at(name),
            }
        };
        let document = Document::of(object).map_err(|(name, text)| invalid(&name, &text))?;
        let new = with_document(&self.sources, document).map_err(|problem| {
            match problem.of_document() {
                Some((name, text)) => invalid(name, &text),
                None => of_problem(&problem),
            }
        })?;
        options::host_options(&new.settings)
            .check()
            .map_err(|fault| invalid("containers", fault.cause().unwrap_or_default()))?;
        options::jobs(&new.settings)
            .check()
            .map_err(|fault| invalid("batch", fault.cause().unwrap_or_default()))?;
        let text = format!("{:#}\n", Value::from(object.clone()));
        let blobs = &self.parts.store.blobs;
        blobs.put_system(SystemBlob::ClusterConfiguration, text.as_bytes())?;
        self.apply(&new)
    }
}

impl Configuration for Live {
    fn shared(&self) -> Vec<Setting> {
        let effective = self.settings();
        let all = KEYS.iter().zip(&effective.origins);
        all.filter(|(key, _)| key.is_shared())
            .map(|(_, (name, text, origin))| Setting {
                name: (*name).to_owned(),
                // A value's form in TOML is its form in JSON, for the kinds that settings have.
                value: serde_json::from_str(text).unwrap_or_else(|_| Value::from(text.as_str())),
                origin: origin.to_string(),
            })
            .collect()
    }

    fn document(&self) -> Result<Map<String, Value>, Fault> {
        let _turn = self.one_at_a_time();
        let document = self.read_document()?;
        // What is there may have been damaged in a way that is JSON still.
        load(&self.sources, &self.parts.store.blobs)
            .map(|_| document)
            .map_err(Refusal::into_fault)
    }

    fn put_document(&self, document: Map<String, Value>) -> Result<Reloaded, Fault> {
        let _turn = self.one_at_a_time();
        self.replace_document(&document)
    }

    fn put_shared(&self, changes: Map<String, Value>) -> Result<Reloaded, Fault> {
        let _turn = self.one_at_a_time();
        let mut document = self.read_document()?;
        let effective = self.settings();
        for (name, value) in flat(changes) {
            let known = KEYS.iter().zip(&effective.origins);
            let stronger = known
                .filter(|(key, _)| key.is_shared())
                .find(|(key, there)| {
                    key.name == name && !matches!(there.2, Origin::Default | Origin::Document)
                });
            if let Some((_, (.., origin))) = stronger.filter(|_| !value.is_null()) {
                return Err(Fault::bare(Class::Conflict).because(format!(
                    "{name} is set by {origin}, which is stronger than the document"
                )));
            }
            config::put_into_document(&mut document, &name, value);
        }
        self.replace_document(&document)
    }

    fn reload(&self) -> Result<Reloaded, Fault> {
        let _turn = self.one_at_a_time();
        let new = load(&self.sources, &self.parts.store.blobs).map_err(Refusal::into_fault)?;
        self.apply(&new)
    }
}

impl Refusal {
    fn into_fault(self) -> Fault {
        match self {
            Refusal::Settings(problem) => of_problem(&problem),
            Refusal::Fault(fault) => fault,
        }
    }
}

/// Changes by their dotted names, whether they came so or in groups.
fn flat(changes: Map<String, Value>) -> Vec<(String, Value)> {
    let mut out = Vec::new();
    for (name, value) in changes {
        match value {
            Value::Object(inner) => out.extend(
                flat(inner)
                    .into_iter()
                    .map(|(key, value)| (format!("{name}.{key}"), value)),
            ),
            value => out.push((name, value)),
        }
    }
    out
}
