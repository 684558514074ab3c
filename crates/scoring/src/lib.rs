//! One scoring call: look-up, key, throttle, budget, container.
//!
//! The caller (the HTTP edge) takes the steps in their order, because its own checks stand between
//! them: [`Address::parse`] → api-version → [`Scorer::find`] → query → declared size →
//! [`Scorer::check_throttle`] → the body, under [`Scorer::reserve_buffer`] → [`Scorer::admit`] →
//! [`Scorer::score`]. None of the steps but the last waits or does I/O.

mod address;
mod budget;
mod gate;

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use containers::{Call, Host, Operation, Watch};
use faults::Fault;
use store::{Directory, Entry, KeyDigest, Store};
use telemetry::{EndpointMetrics, Telemetry};

pub use address::{Address, Family};
pub use budget::BufferGuard;
pub use gate::Permit;

use address::Owner;
use budget::Budget;
use gate::{Gate, Gates};

/// The installation's limits on scoring.
#[derive(Debug, Clone)]
pub struct Options {
    /// Calls under way at once, all endpoints together.
    pub calls_under_way: usize,
    /// Bytes of request bodies held at once, all calls together.
    pub buffered_bytes: usize,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            calls_under_way: 1000,
            buffered_bytes: 512 << 20,
        }
    }
}

/// Scores. One value serves the whole process; it is shared by reference.
pub struct Scorer {
    store: Arc<Store>,
    host: Host,
    telemetry: Telemetry,
    gates: Gates,
    budget: Arc<Budget>,
}

/// An endpoint that the caller has a key of, as it was when the call came in.
#[derive(Debug, Clone)]
pub struct Endpoint {
    entry: Arc<Entry>,
    gate: Arc<Gate>,
}

impl Endpoint {
    /// The endpoint's and its service's record.
    pub fn entry(&self) -> &Arc<Entry> {
        &self.entry
    }

    /// `service/endpoint`, for logs and metrics.
    pub fn label(&self) -> &str {
        self.gate.label()
    }

    /// The endpoint's series.
    pub fn metrics(&self) -> &Arc<EndpointMetrics> {
        self.gate.metrics()
    }
}

impl Scorer {
    /// Puts a scorer together.
    pub fn new(store: Arc<Store>, host: Host, telemetry: Telemetry, options: &Options) -> Scorer {
        Scorer {
            store,
            host,
            telemetry,
            gates: Gates::new(options.calls_under_way),
            budget: Arc::new(Budget::new(options.buffered_bytes)),
        }
    }

    /// Checks the presented key and finds the endpoint.
    ///
    /// # Errors
    /// `Unauthorized.ScoreRequestUnauthorized` for a caller without a valid key or token of this
    /// installation, whatever the ids are, and for one whose key is not the endpoint's. Whoever
    /// shows a valid one learns what is wrong with the ids: `NotFound.WorkspaceNotFound`,
    /// `NotFound.WebServiceNotFound`, `NotFound.WebServiceIdNotFoundInWorkspace`,
    /// `BadArgument.BadSubscriptionId`. `InternalError.ServiceUrisNotFound` while this node, the
    /// only one, is drained.
    pub fn find(&self, address: &Address, credential: Option<&str>) -> Result<Endpoint, Fault> {
        let digest = credential.map(|key| self.store.sealer.digest_key(key));
        let directory = self.store.ledger.directory();
        let known = |digest: &KeyDigest| self.store.key_known(digest);
        let entry = find(&directory, address, digest.as_ref(), known)?.clone();
        if directory.is_drained(&self.store.node) {
            return Err(faults::internal_error::service_uris_not_found()
                .because("the only node is drained"));
        }
        let gate = self.gate(&entry, &directory);
        Ok(Endpoint { entry, gate })
    }

    /// The endpoint of that record, for a caller who was let in by other means than its key.
    pub fn endpoint(&self, entry: Arc<Entry>) -> Endpoint {
        let directory = self.store.ledger.directory();
        let gate = self.gate(&entry, &directory);
        Endpoint { entry, gate }
    }

    fn gate(&self, entry: &Entry, directory: &Directory) -> Arc<Gate> {
        let meter = &self.store.meter;
        self.gates.of(entry, directory, &self.telemetry, meter)
    }

    /// Finds what an address names for whoever asks: for the open documents (Swagger, help).
    ///
    /// # Errors
    /// The NotFound and BadSubscriptionId rows of [`Scorer::find`].
    pub fn find_open(&self, address: &Address) -> Result<Arc<Entry>, Fault> {
        let directory = self.store.ledger.directory();
        look_up(&directory, address).cloned()
    }

    /// Looks at the throttles before the body is read, so that a call which would be refused
    /// costs no reading. Takes nothing.
    ///
    /// # Errors
    /// As for [`Scorer::admit`].
    pub fn check_throttle(&self, endpoint: &Endpoint) -> Result<(), Fault> {
        self.gates.look(&endpoint.entry, &endpoint.gate)
    }

    /// Takes `bytes` from the installation's budget of buffered bodies: what the call says that
    /// its body has, or 0; see [`BufferGuard::cover`].
    ///
    /// # Errors
    /// `InternalErrorSystemLowOnMemory` when the budget is spent.
    pub fn reserve_buffer(&self, bytes: usize) -> Result<BufferGuard, Fault> {
        BufferGuard::take(&self.budget, bytes)
    }

    /// Lets a call in, at once or not at all. The call is under way for as long as the permit
    /// lives.
    ///
    /// # Errors
    /// `ServiceUnavailable.RequestThrottled` when the endpoint's limit is reached,
    /// `ServiceUnavailable.TooManyConcurrentRequests` when the installation's is; both say when
    /// to try again.
    pub fn admit(&self, endpoint: &Endpoint) -> Result<Permit, Fault> {
        self.gates.enter(&endpoint.entry, &endpoint.gate)
    }

    /// Runs the call in a container and gives the reply's bytes. Dropping the future cancels the
    /// call. One that is answered counts as used: one transaction, and the time from here to the
    /// answer. Who ran it is told to `watch`.
    ///
    /// # Errors
    /// What the container or the host answers.
    pub async fn score(
        &self,
        endpoint: &Endpoint,
        operation: Operation,
        body: Bytes,
        deadline: Instant,
        watch: Option<&Watch>,
    ) -> Result<Bytes, Fault> {
        let call = Call {
            operation,
            body,
            deadline,
        };
        let entry = &endpoint.entry;
        let begun = Instant::now();
        let (id, revision) = (entry.endpoint.0, entry.revision.0);
        let reply = self
            .host
            .call_watched(id, revision, endpoint.label(), call, watch)
            .await?;
        endpoint.gate.used().count(begun.elapsed());
        Ok(reply)
    }

    /// Lets these limits hold from now on; calls under way and bytes held stay.
    pub fn set_options(&self, options: &Options) {
        self.gates.set_limit(options.calls_under_way);
        self.budget.set_limit(options.buffered_bytes);
    }

    /// Calls under way, all endpoints together.
    pub fn under_way(&self) -> usize {
        self.gates.under_way()
    }

    /// Bytes of requests and replies held now.
    pub fn buffered_bytes(&self) -> usize {
        self.budget.used()
    }
}

/// Key and look-up together. The usual call needs one look at the directory; which of the reasons
/// a caller is told is decided only when something is wrong.
fn find<'a>(
    directory: &'a Directory,
    address: &Address,
    presented: Option<&KeyDigest>,
    known: impl FnOnce(&KeyDigest) -> bool,
) -> Result<&'a Arc<Entry>, Fault> {
    let unauthorized = faults::unauthorized::score_request_unauthorized;
    let presented = presented.ok_or_else(unauthorized)?;
    match look_up(directory, address) {
        Ok(entry) if entry.has_key(presented) => Ok(entry),
        Ok(_) => Err(unauthorized()),
        Err(fault) if known(presented) => Err(fault),
        Err(_) => Err(unauthorized()),
    }
}

fn look_up<'a>(directory: &'a Directory, address: &Address) -> Result<&'a Arc<Entry>, Fault> {
    let entry = directory.endpoint(&address.service);
    match &address.owner {
        Owner::Workspace(id) => {
            if let (Some(id), Some(entry)) = (id, entry)
                && entry.workspace == *id
            {
                return Ok(entry);
            }
            id.and_then(|id| directory.workspace(&id))
                .ok_or_else(faults::not_found::workspace_not_found)?;
            Err(match entry {
                None => faults::not_found::web_service_not_found(),
                Some(_) => faults::not_found::web_service_id_not_found_in_workspace(),
            })
        }
        Owner::Subscription(subscription) => {
            let entry = entry.ok_or_else(faults::not_found::web_service_not_found)?;
            if entry.subscription != *subscription {
                return Err(faults::bad_argument::bad_subscription_id());
            }
            Ok(entry)
        }
    }
}

#[cfg(test)]
mod tests;
