//! Logs, metrics and the one way to report a fault.
//!
//! [`Telemetry::observe`] says a fault once and gets both: a log line and a count in
//! `faults_total{class,code,surface}`. Payloads and secrets never enter a log line: the parameters
//! of faults about a caller's data are left out, and an access line holds sizes, not content.

mod access;
mod durations;
mod journal;
mod log;
mod metrics;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use faults::{Class, Fault};

pub use access::AccessLine;
pub use durations::Durations;
pub use journal::{Note, NoteLevel};
pub use log::{Format, LogOptions, Writer, init_logging, set_level};
pub use metrics::{
    BatchMetrics, CallGuard, ContainerMetrics, DiagnosticsMetrics, Dropped, EndpointMetrics,
    Outcome, StorageMetrics,
};

/// Where a fault came out: the label `surface` of `faults_total`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Surface {
    /// A scoring call (`/execute`, `/score`).
    Score,
    /// A call about batch jobs, and a job that fails.
    Jobs,
    /// A call in the protocol of blob storage.
    Blobs,
    /// A management call (Resource Manager shapes).
    Manage,
    /// A call of our own operators' API.
    Admin,
    /// An API document or help page.
    Docs,
    /// Health, metrics, and paths that no API has.
    Http,
    /// A container's life: loading, ending, being retired.
    Host,
    /// The start and the end of a process, configuration included.
    Process,
}

impl Surface {
    /// The label's text.
    pub fn name(self) -> &'static str {
        match self {
            Surface::Score => "score",
            Surface::Jobs => "jobs",
            Surface::Blobs => "blobs",
            Surface::Manage => "manage",
            Surface::Admin => "admin",
            Surface::Docs => "docs",
            Surface::Http => "http",
            Surface::Host => "host",
            Surface::Process => "process",
        }
    }
}

/// Of which call a fault was, for its log line.
#[derive(Debug, Clone, Copy, Default)]
pub struct CallContext<'a> {
    /// `x-ms-request-id` of the call, or empty.
    pub request_id: &'a str,
    /// The endpoint's label (`name/endpoint`), or empty.
    pub endpoint: &'a str,
}

/// The handle on logs and metrics of this process; clones share everything.
#[derive(Clone)]
pub struct Telemetry(Arc<Inner>);

struct Inner {
    metrics: metrics::Metrics,
    journal: journal::Journal,
    writer: Option<Arc<Writer>>,
    /// The form of access lines.
    format: Format,
    /// Whether there are any.
    access: AtomicBool,
}

impl Default for Telemetry {
    fn default() -> Self {
        Telemetry::new()
    }
}

impl Telemetry {
    /// Metrics without an access log; logging itself is set up by [`init_logging`].
    pub fn new() -> Telemetry {
        Telemetry::made(None, Format::Json, false)
    }

    /// Metrics without an access log (so far), where `writer` and `format` are those of the log.
    pub fn with_log(writer: Arc<Writer>, format: Format) -> Telemetry {
        Telemetry::made(Some(writer), format, false)
    }

    /// Metrics with an access line per call, written to `writer` in `format`.
    pub fn with_access_log(writer: Arc<Writer>, format: Format) -> Telemetry {
        Telemetry::made(Some(writer), format, true)
    }

    fn made(writer: Option<Arc<Writer>>, format: Format, access: bool) -> Telemetry {
        Telemetry(Arc::new(Inner {
            metrics: metrics::Metrics::new(),
            journal: journal::Journal::default(),
            writer,
            format,
            access: AtomicBool::new(access),
        }))
    }

    /// Writes one log line about the fault and counts it.
    pub fn observe(&self, fault: &Fault, surface: Surface) {
        self.observe_call(fault, surface, CallContext::default());
    }

    /// [`Telemetry::observe`] with the call that the fault ended.
    pub fn observe_call(&self, fault: &Fault, surface: Surface, call: CallContext<'_>) {
        self.0.metrics.count_fault(fault, surface);
        log::fault_line(fault, surface, call);
    }

    /// Writes the access line of a call, if the access log is on. Never blocks: when the log
    /// cannot be written as fast as calls come, lines are dropped and counted.
    pub fn access(&self, line: &AccessLine<'_>) {
        if let Some(writer) = self.0.writer.as_ref().filter(|_| self.has_access_log()) {
            access::write(line, self.0.format, writer);
        }
    }

    /// Whether access lines are written.
    pub fn has_access_log(&self) -> bool {
        self.0.access.load(Relaxed)
    }

    /// Whether access lines are written from now on.
    pub fn set_access_log(&self, on: bool) {
        self.0.access.store(on, Relaxed);
    }

    /// The counters of an endpoint, made at first use; keep the handle, or ask each call (one
    /// read lock and one hash).
    pub fn endpoint(&self, endpoint: [u8; 16], label: &str) -> Arc<EndpointMetrics> {
        self.0.metrics.endpoint(endpoint, label)
    }

    /// Ends the series and the notes of an endpoint that was deleted.
    pub fn forget_endpoint(&self, endpoint: [u8; 16]) {
        self.0.metrics.forget_endpoint(endpoint);
        self.0.journal.forget(endpoint);
    }

    /// The series about batch jobs.
    pub fn batch(&self) -> &BatchMetrics {
        &self.0.metrics.batch
    }

    /// The series about what is stored.
    pub fn storage(&self) -> &StorageMetrics {
        &self.0.metrics.storage
    }

    /// The series about diagnostics.
    pub fn diagnostics(&self) -> &DiagnosticsMetrics {
        &self.0.metrics.diagnostics
    }

    /// The counters about containers.
    pub fn containers(&self) -> &ContainerMetrics {
        &self.0.metrics.containers
    }

    /// Keeps a line for `umpire logs NAME`: what happened to an endpoint and its containers. Only
    /// the newest lines of each endpoint are kept, in memory.
    pub fn note(&self, endpoint: [u8; 16], level: NoteLevel, text: impl Into<String>) {
        self.0.journal.push(endpoint, level, text.into());
    }

    /// The newest `limit` notes of an endpoint, oldest first.
    pub fn notes(&self, endpoint: [u8; 16], limit: usize) -> Vec<Note> {
        self.0.journal.read(endpoint, limit)
    }

    /// All metrics in the OpenMetrics text form.
    pub fn encode_metrics(&self) -> String {
        if let Some(writer) = &self.0.writer {
            self.0.metrics.set_dropped_lines(writer.dropped());
        }
        self.0.metrics.encode()
    }

    /// Waits, at most `limit`, until every line handed over so far is written.
    pub fn flush(&self, limit: Duration) {
        if let Some(writer) = &self.0.writer {
            writer.flush(limit);
        }
    }
}

/// Whether the parameters of faults of this class may stand in a log: not where they quote a
/// caller's data.
fn may_log_args(class: Class) -> bool {
    !matches!(
        class,
        Class::BadArgument
            | Class::BadUserArgument
            | Class::ModuleExecutionError
            | Class::LibraryExecutionError
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_counted_by_class_code_and_surface() {
        let telemetry = Telemetry::new();
        let fault = faults::not_found::web_service_not_found();
        telemetry.observe(&fault, Surface::Score);
        telemetry.observe(&fault, Surface::Score);
        telemetry.observe(&Fault::bare(Class::NotFound), Surface::Http);
        let text = telemetry.encode_metrics();
        assert!(
            text.contains(
                "faults_total{class=\"NotFound\",code=\"WebServiceNotFound\",surface=\"score\"} 2"
            ),
            "{text}"
        );
        assert!(
            text.contains("faults_total{class=\"NotFound\",code=\"\",surface=\"http\"} 1"),
            "{text}"
        );
    }

    #[test]
    fn a_modules_own_error_id_does_not_make_a_series() {
        let telemetry = Telemetry::new();
        for id in ["0085", "0003"] {
            let fault = Fault::module(Class::ModuleExecutionError, id, "text", "node");
            telemetry.observe(&fault, Surface::Score);
        }
        let text = telemetry.encode_metrics();
        assert!(
            text.contains(
                "faults_total{class=\"ModuleExecutionError\",code=\"\",surface=\"score\"} 2"
            ),
            "{text}"
        );
    }
}
