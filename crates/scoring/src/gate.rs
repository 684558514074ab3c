//! The throttles: how many calls are under way, by endpoint and in all.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use faults::Fault;
use store::{Counter, Directory, Entry, Id, Meter};
use telemetry::{CallGuard, EndpointMetrics, Telemetry};

/// How long a throttled caller is told to wait: a slot comes free as soon as any call ends.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// What is counted for one endpoint. It outlives the directory's snapshots, so a limit that
/// changes takes effect while calls are under way.
#[derive(Debug)]
pub(crate) struct Gate {
    under_way: AtomicU32,
    label: Box<str>,
    metrics: Arc<EndpointMetrics>,
    used: Arc<Counter>,
}

impl Gate {
    pub(crate) fn used(&self) -> &Counter {
        &self.used
    }

    pub(crate) fn label(&self) -> &str {
        &self.label
    }

    pub(crate) fn metrics(&self) -> &Arc<EndpointMetrics> {
        &self.metrics
    }
}

/// The gates of all endpoints that have been called, and the installation's.
#[derive(Debug)]
pub(crate) struct Gates {
    pub(crate) by_endpoint: RwLock<HashMap<Id, Arc<Gate>>>,
    total: Arc<AtomicUsize>,
    total_limit: AtomicUsize,
}

/// A call under way. Dropping it ends the count, whichever way the call ends.
#[derive(Debug)]
pub struct Permit {
    gate: Arc<Gate>,
    total: Arc<AtomicUsize>,
    _counted: CallGuard,
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.gate.under_way.fetch_sub(1, Ordering::Release);
        self.total.fetch_sub(1, Ordering::Release);
    }
}

impl Gates {
    pub(crate) fn new(total_limit: usize) -> Gates {
        Gates {
            by_endpoint: RwLock::default(),
            total: Arc::default(),
            total_limit: AtomicUsize::new(total_limit),
        }
    }

    /// The gate of an endpoint, made at its first call.
    pub(crate) fn of(
        &self,
        entry: &Entry,
        directory: &Directory,
        telemetry: &Telemetry,
        meter: &Meter,
    ) -> Arc<Gate> {
        {
            let gates = self
                .by_endpoint
                .read()
                .unwrap_or_else(PoisonError::into_inner);
            if let Some(gate) = gates.get(&entry.endpoint) {
                return gate.clone();
            }
        }
        let mut gates = self
            .by_endpoint
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        // Gates of endpoints that are gone would pile up; now and then they go as well, unless a
        // call still holds one.
        if gates.len() >= 2 * directory.endpoint_count() + 64 {
            gates
                .retain(|id, gate| directory.endpoint(id).is_some() || Arc::strong_count(gate) > 1);
        }
        gates
            .entry(entry.endpoint)
            .or_insert_with(|| {
                let label = entry.label();
                Arc::new(Gate {
                    under_way: AtomicU32::new(0),
                    metrics: telemetry.endpoint(entry.endpoint.0, &label),
                    used: meter.counter(entry.endpoint, &label),
                    label: label.into(),
                })
            })
            .clone()
    }

    /// Whether a call would be let in now; takes nothing.
    pub(crate) fn look(&self, entry: &Entry, gate: &Gate) -> Result<(), Fault> {
        if gate.under_way.load(Ordering::Acquire) >= entry.max_concurrent_calls {
            return Err(throttled(entry));
        }
        if self.total.load(Ordering::Acquire) >= self.total_limit.load(Ordering::Relaxed) {
            return Err(too_many());
        }
        Ok(())
    }

    /// Lets a call in, or refuses it at once; nobody queues here.
    pub(crate) fn enter(&self, entry: &Entry, gate: &Arc<Gate>) -> Result<Permit, Fault> {
        gate.under_way
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |n| {
                (n < entry.max_concurrent_calls).then_some(n + 1)
            })
            .map_err(|_| throttled(entry))?;
        let in_all = self
            .total
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |n| {
                (n < self.total_limit.load(Ordering::Relaxed)).then_some(n + 1)
            });
        if in_all.is_err() {
            gate.under_way.fetch_sub(1, Ordering::Release);
            return Err(too_many());
        }
        Ok(Permit {
            gate: gate.clone(),
            total: self.total.clone(),
            _counted: gate.metrics.begin(),
        })
    }

    /// Another limit from now on; calls under way stay.
    pub(crate) fn set_limit(&self, total_limit: usize) {
        self.total_limit.store(total_limit, Ordering::Relaxed);
    }

    /// Calls under way in all.
    pub(crate) fn under_way(&self) -> usize {
        self.total.load(Ordering::Acquire)
    }
}

fn throttled(entry: &Entry) -> Fault {
    faults::service_unavailable::request_throttled(
        entry.endpoint_name.as_str(),
        entry.max_concurrent_calls.to_string(),
    )
    .retry_after(RETRY_AFTER)
}

fn too_many() -> Fault {
    faults::service_unavailable::too_many_concurrent_requests().retry_after(RETRY_AFTER)
}
