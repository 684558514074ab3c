//! Where a chunk is worked on.

use std::future::Future;
use std::pin::Pin;

use containers::Host;
use containers::batch::{BatchCall, PlanFacts, WorkDone, WorkFailed};
use faults::Fault;

/// What a lane's methods give.
pub type Doing<'a, T, E> = Pin<Box<dyn Future<Output = Result<T, E>> + Send + 'a>>;

/// The revision of an endpoint that work is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// The endpoint.
    pub endpoint: [u8; 16],
    /// The revision.
    pub revision: [u8; 16],
    /// `service/endpoint`, for logs and metrics.
    pub label: String,
}

/// Where a chunk is worked on. This is the place where something other than this machine's
/// containers can come in.
pub trait Lane: Send + Sync + 'static {
    /// What a revision takes and gives.
    fn describe<'a>(&'a self, service: &'a Service) -> Doing<'a, PlanFacts, Fault>;

    /// Does a piece of work. Dropping the future stops it.
    fn run<'a>(&'a self, service: &'a Service, call: BatchCall) -> Doing<'a, WorkDone, WorkFailed>;
}

impl Lane for Host {
    fn describe<'a>(&'a self, service: &'a Service) -> Doing<'a, PlanFacts, Fault> {
        Box::pin(async move {
            let Service {
                endpoint,
                revision,
                label,
            } = service;
            Host::describe(self, *endpoint, *revision, label).await
        })
    }

    fn run<'a>(&'a self, service: &'a Service, call: BatchCall) -> Doing<'a, WorkDone, WorkFailed> {
        Box::pin(async move {
            let Service {
                endpoint,
                revision,
                label,
            } = service;
            self.batch(*endpoint, *revision, label, call).await
        })
    }
}
