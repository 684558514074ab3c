//! The registry and every series in it.

use std::collections::HashMap;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use faults::Fault;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::{Durations, Surface};

type Labels<const N: usize> = [(&'static str, String); N];
type StaticLabels<const N: usize> = [(&'static str, &'static str); N];

/// How a call ended, as the label `outcome` has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// 2xx.
    Ok,
    /// 4xx: the caller's mistake.
    Refused,
    /// 5xx: ours, a model's or the machine's.
    Failed,
    /// The caller went away before the answer.
    Canceled,
}

impl Outcome {
    const ALL: [Outcome; 4] = [
        Outcome::Ok,
        Outcome::Refused,
        Outcome::Failed,
        Outcome::Canceled,
    ];

    /// The outcome that an HTTP status means.
    pub fn of_status(status: u16) -> Outcome {
        match status {
            0..400 => Outcome::Ok,
            400..500 => Outcome::Refused,
            _ => Outcome::Failed,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Outcome::Ok => "ok",
            Outcome::Refused => "refused",
            Outcome::Failed => "failed",
            Outcome::Canceled => "canceled",
        }
    }
}

/// The series of one endpoint, resolved once so that a call pays for atomics only.
#[derive(Debug)]
pub struct EndpointMetrics {
    label: String,
    calls: [Counter; 4],
    durations: [Durations; 4],
    bytes_in: Counter,
    bytes_out: Counter,
    under_way: Gauge,
}

impl EndpointMetrics {
    /// The label of the endpoint (`name/endpoint`).
    pub fn label(&self) -> &str {
        &self.label
    }

    /// Counts a call that ended: how, how long it took, and the bytes of both bodies.
    pub fn record(&self, outcome: Outcome, duration: Duration, bytes_in: u64, bytes_out: u64) {
        self.calls[outcome as usize].inc();
        self.durations[outcome as usize].observe(duration);
        self.bytes_in.inc_by(bytes_in);
        self.bytes_out.inc_by(bytes_out);
    }

    /// Counts a call as under way until the guard is dropped.
    pub fn begin(self: &Arc<Self>) -> CallGuard {
        self.under_way.inc();
        CallGuard(self.clone())
    }

    /// Calls under way now.
    pub fn under_way(&self) -> i64 {
        self.under_way.get()
    }
}

/// A call under way; dropping it ends the count.
#[derive(Debug)]
pub struct CallGuard(Arc<EndpointMetrics>);

impl Drop for CallGuard {
    fn drop(&mut self) {
        self.0.under_way.dec();
    }
}

/// Series about containers of all endpoints together.
#[derive(Debug, Default)]
pub struct ContainerMetrics {
    /// Containers that are ready.
    pub ready: Gauge,
    /// Containers that are starting.
    pub starting: Gauge,
    /// Containers being retired: they finish their calls and take no new ones.
    pub retiring: Gauge,
    /// Calls that wait for a container.
    pub waiting: Gauge,
    /// Containers started so far.
    pub starts: Counter,
    /// From start to readiness.
    pub start_duration: Durations,
    ends: Family<StaticLabels<1>, Counter>,
}

impl ContainerMetrics {
    /// Counts a container's end by its reason (`idle`, `quota`, `crash`, `retired`, ...).
    pub fn ended(&self, reason: &'static str) {
        self.ends.get_or_create(&[("reason", reason)]).inc();
    }
}

/// Series about what is stored.
#[derive(Debug, Default)]
pub struct StorageMetrics {
    /// Bytes of all blobs.
    pub blob_bytes: Gauge<u64, AtomicU64>,
    /// Bytes that all blobs may have; 0 for no limit.
    pub blob_limit: Gauge<u64, AtomicU64>,
    /// Bytes of the ledger's files.
    pub ledger_bytes: Gauge<u64, AtomicU64>,
    /// Bytes that are free on the disk of the data directory.
    pub disk_free: Gauge<u64, AtomicU64>,
    /// 1 while that is less than it should be.
    pub disk_low: Gauge<u64, AtomicU64>,
    pruned: Family<StaticLabels<1>, Counter>,
}

impl StorageMetrics {
    /// Counts what was removed because it was older than it is to be kept, by kind.
    pub fn pruned(&self, kind: &'static str, count: usize) {
        let counter = self.pruned.get_or_create_owned(&[("kind", kind)]);
        counter.inc_by(count as u64);
    }
}

/// Why a record of diagnostics was not written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dropped {
    /// As many were held as may be.
    Full,
    /// Storage failed until it was given up, or where it is could not be known.
    Failed,
    /// Storage refused it.
    Refused,
    /// The process ended before.
    Shutdown,
}

impl Dropped {
    const ALL: [(Dropped, &'static str); 4] = [
        (Dropped::Full, "full"),
        (Dropped::Failed, "failed"),
        (Dropped::Refused, "refused"),
        (Dropped::Shutdown, "shutdown"),
    ];
}

/// Series about diagnostics that are written to blobs.
#[derive(Debug)]
pub struct DiagnosticsMetrics {
    /// Records that wait to be written.
    pub queued: Gauge,
    written: Family<StaticLabels<1>, Counter>,
    by_reason: Family<StaticLabels<1>, Counter>,
    /// The same counters, by their reason.
    dropped: [Counter; 4],
}

impl Default for DiagnosticsMetrics {
    fn default() -> Self {
        let by_reason: Family<StaticLabels<1>, Counter> = Family::default();
        // There from the start, so that a rate can be taken of each.
        let made = |(_, name)| by_reason.get_or_create_owned(&[("reason", name)]);
        DiagnosticsMetrics {
            queued: Gauge::default(),
            written: Family::default(),
            dropped: Dropped::ALL.map(made),
            by_reason,
        }
    }
}

impl DiagnosticsMetrics {
    /// Counts records that were not written.
    pub fn dropped(&self, reason: Dropped, count: u64) {
        self.dropped[reason as usize].inc_by(count);
    }

    /// Counts a blob that was written, by what it is about.
    pub fn written(&self, kind: &'static str) {
        self.written.get_or_create(&[("kind", kind)]).inc();
    }
}

/// Series about batch jobs.
#[derive(Debug, Default)]
pub struct BatchMetrics {
    unfinished: Family<StaticLabels<1>, Gauge<u64, AtomicU64>>,
    ended: Family<StaticLabels<1>, Counter>,
    rows: Counter,
    rejected: Counter,
    chunk_duration: Durations,
    /// Chunks that were begun again after a failure that might pass.
    pub retries: Counter,
}

impl BatchMetrics {
    /// How many jobs of a state there are that are not at their end.
    pub fn unfinished(&self, state: &'static str, count: u64) {
        self.unfinished
            .get_or_create(&[("state", state)])
            .set(count);
    }

    /// Counts a job that came to its end, by the state that it ended in.
    pub fn ended(&self, state: &'static str) {
        self.ended.get_or_create(&[("state", state)]).inc();
    }

    /// Counts a chunk that was done, with its rows and how long it took.
    pub fn chunk_done(&self, rows: u64, rejected: u64, took: Duration) {
        self.rows.inc_by(rows);
        self.rejected.inc_by(rejected);
        self.chunk_duration.observe(took);
    }
}

pub(crate) struct Metrics {
    registry: Mutex<Registry>,
    faults: Family<StaticLabels<3>, Counter>,
    calls: Family<Labels<2>, Counter>,
    durations: Family<Labels<2>, Durations>,
    bytes_in: Family<Labels<1>, Counter>,
    bytes_out: Family<Labels<1>, Counter>,
    under_way: Family<Labels<1>, Gauge>,
    dropped_lines: Gauge<u64, AtomicU64>,
    endpoints: RwLock<HashMap<[u8; 16], Arc<EndpointMetrics>>>,
    pub(crate) containers: ContainerMetrics,
    pub(crate) storage: StorageMetrics,
    pub(crate) batch: BatchMetrics,
    pub(crate) diagnostics: DiagnosticsMetrics,
}

impl Metrics {
    pub(crate) fn new() -> Metrics {
        let metrics = Metrics {
            registry: Mutex::new(Registry::default()),
            faults: Family::default(),
            calls: Family::default(),
            durations: Family::default(),
            bytes_in: Family::default(),
            bytes_out: Family::default(),
            under_way: Family::default(),
            dropped_lines: Gauge::default(),
            endpoints: RwLock::default(),
            containers: ContainerMetrics::default(),
            storage: StorageMetrics::default(),
            batch: BatchMetrics::default(),
            diagnostics: DiagnosticsMetrics::default(),
        };
        {
            let mut registry = metrics.lock();
            let c = &metrics.containers;
            registry.register(
                "faults",
                "Failures by class, code and surface",
                metrics.faults.clone(),
            );
            registry.register(
                "calls",
                "Scoring calls that ended, by endpoint and outcome",
                metrics.calls.clone(),
            );
            registry.register(
                "call_duration_seconds",
                "Time from a scoring call's head to its reply, by endpoint and outcome",
                metrics.durations.clone(),
            );
            registry.register(
                "request_bytes",
                "Bytes of scoring bodies received, by endpoint",
                metrics.bytes_in.clone(),
            );
            registry.register(
                "reply_bytes",
                "Bytes of scoring replies, by endpoint",
                metrics.bytes_out.clone(),
            );
            registry.register(
                "calls_under_way",
                "Scoring calls under way, by endpoint",
                metrics.under_way.clone(),
            );
            registry.register(
                "access_lines_dropped",
                "Log lines dropped because the log could not be written as fast",
                metrics.dropped_lines.clone(),
            );
            let s = &metrics.storage;
            registry.register("blob_bytes", "Bytes of all blobs", s.blob_bytes.clone());
            registry.register(
                "blob_limit_bytes",
                "Bytes that all blobs may have; 0 for no limit",
                s.blob_limit.clone(),
            );
            registry.register(
                "ledger_bytes",
                "Bytes of the ledger's files",
                s.ledger_bytes.clone(),
            );
            registry.register(
                "disk_free_bytes",
                "Bytes that are free on the disk of the data directory",
                s.disk_free.clone(),
            );
            registry.register(
                "disk_low",
                "1 while less is free than limits.disk_low",
                s.disk_low.clone(),
            );
            registry.register(
                "pruned",
                "What was removed because it was older than it is to be kept, by kind",
                s.pruned.clone(),
            );
            let d = &metrics.diagnostics;
            registry.register(
                "diagnostics_queued",
                "Records of diagnostics that wait to be written",
                d.queued.clone(),
            );
            registry.register(
                "diagnostics_written",
                "Blobs of diagnostics written, by kind",
                d.written.clone(),
            );
            registry.register(
                "diagnostics_dropped",
                "Records of diagnostics that were not written, by reason",
                d.by_reason.clone(),
            );
            let b = &metrics.batch;
            registry.register(
                "jobs",
                "Batch jobs that are not at their end, by state",
                b.unfinished.clone(),
            );
            registry.register(
                "jobs_ended",
                "Batch jobs that came to their end, by state",
                b.ended.clone(),
            );
            registry.register("job_rows", "Rows that jobs scored", b.rows.clone());
            registry.register(
                "job_rows_rejected",
                "Rows that jobs rejected",
                b.rejected.clone(),
            );
            registry.register(
                "job_chunk_duration_seconds",
                "Time of a chunk of a job, from its begin to its parts being staged",
                b.chunk_duration.clone(),
            );
            registry.register(
                "job_chunk_retries",
                "Chunks of jobs that were begun again after a failure that might pass",
                b.retries.clone(),
            );
            registry.register("containers_ready", "Containers ready", c.ready.clone());
            registry.register(
                "containers_starting",
                "Containers starting",
                c.starting.clone(),
            );
            registry.register(
                "containers_retiring",
                "Containers that finish their calls and take no new ones",
                c.retiring.clone(),
            );
            registry.register(
                "calls_waiting",
                "Calls that wait for a container",
                c.waiting.clone(),
            );
            registry.register("container_starts", "Containers started", c.starts.clone());
            registry.register(
                "container_start_duration_seconds",
                "Time from a container's start to its readiness",
                c.start_duration.clone(),
            );
            registry.register(
                "container_ends",
                "Containers that ended, by reason",
                c.ends.clone(),
            );
        }
        metrics
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Registry> {
        // A panic while encoding leaves the registry itself whole.
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn count_fault(&self, fault: &Fault, surface: Surface) {
        // A module's own error id is free text: as a label it could make any number of series.
        let code = fault
            .details()
            .first()
            .and_then(|d| d.row)
            .map_or("", |row| row.code);
        self.faults
            .get_or_create(&[
                ("class", fault.class().name()),
                ("code", code),
                ("surface", surface.name()),
            ])
            .inc();
    }

    pub(crate) fn endpoint(&self, endpoint: [u8; 16], label: &str) -> Arc<EndpointMetrics> {
        {
            let known = self
                .endpoints
                .read()
                .unwrap_or_else(PoisonError::into_inner);
            if let Some(metrics) = known.get(&endpoint) {
                return metrics.clone();
            }
        }
        let mut known = self
            .endpoints
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        known
            .entry(endpoint)
            .or_insert_with(|| {
                let by_outcome = |o: Outcome| {
                    [
                        ("endpoint", label.to_owned()),
                        ("outcome", o.name().to_owned()),
                    ]
                };
                let alone = [("endpoint", label.to_owned())];
                Arc::new(EndpointMetrics {
                    label: label.to_owned(),
                    calls: Outcome::ALL.map(|o| self.calls.get_or_create_owned(&by_outcome(o))),
                    durations: Outcome::ALL
                        .map(|o| self.durations.get_or_create_owned(&by_outcome(o))),
                    bytes_in: self.bytes_in.get_or_create_owned(&alone),
                    bytes_out: self.bytes_out.get_or_create_owned(&alone),
                    under_way: self.under_way.get_or_create_owned(&alone),
                })
            })
            .clone()
    }

    pub(crate) fn forget_endpoint(&self, endpoint: [u8; 16]) {
        let removed = self
            .endpoints
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&endpoint);
        let Some(metrics) = removed else { return };
        for o in Outcome::ALL {
            let labels = [
                ("endpoint", metrics.label.clone()),
                ("outcome", o.name().to_owned()),
            ];
            self.calls.remove(&labels);
            self.durations.remove(&labels);
        }
        let alone = [("endpoint", metrics.label.clone())];
        self.bytes_in.remove(&alone);
        self.bytes_out.remove(&alone);
        self.under_way.remove(&alone);
    }

    pub(crate) fn set_dropped_lines(&self, dropped: u64) {
        self.dropped_lines.set(dropped);
    }

    pub(crate) fn encode(&self) -> String {
        let mut text = String::new();
        // Writing into a String does not fail.
        let _ = encode(&mut text, &self.lock());
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoints_calls_are_counted_and_forgotten() {
        let metrics = Metrics::new();
        let endpoint = metrics.endpoint([1; 16], "census/default");
        let guard = endpoint.begin();
        endpoint.record(Outcome::Ok, Duration::from_micros(80), 10, 20);
        endpoint.record(Outcome::of_status(400), Duration::from_millis(3), 1, 2);
        let text = metrics.encode();
        for line in [
            "calls_total{endpoint=\"census/default\",outcome=\"ok\"} 1",
            "calls_total{endpoint=\"census/default\",outcome=\"refused\"} 1",
            "call_duration_seconds_bucket{le=\"0.0001\",endpoint=\"census/default\",outcome=\"ok\"} 1",
            "call_duration_seconds_bucket{le=\"0.00005\",endpoint=\"census/default\",outcome=\"ok\"} 0",
            "call_duration_seconds_bucket{le=\"+Inf\",endpoint=\"census/default\",outcome=\"ok\"} 1",
            "request_bytes_total{endpoint=\"census/default\"} 11",
            "reply_bytes_total{endpoint=\"census/default\"} 22",
            "calls_under_way{endpoint=\"census/default\"} 1",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
        drop(guard);
        assert_eq!(endpoint.under_way(), 0);
        metrics.forget_endpoint([1; 16]);
        assert!(!metrics.encode().contains("census/default"));
    }
}
