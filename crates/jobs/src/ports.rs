//! What a service takes and gives, as far as a job has to know it before it runs.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use containers::RevisionSource;
use containers::batch::scalars;
use faults::Fault;
use graph::{Package, Plan, Registry};
use serde_json::{Map, Value};
use store::Entry;

/// How many packages are kept in memory.
const KEPT: usize = 64;

/// Reads the packages of revisions, and keeps the latest.
pub(crate) struct Packages {
    source: Arc<dyn RevisionSource>,
    registry: Arc<Registry>,
    kept: Mutex<HashMap<[u8; 16], Arc<Ports>>>,
}

/// The ports of a revision.
pub(crate) struct Ports {
    package: Package,
    registry: Arc<Registry>,
}

impl Packages {
    pub(crate) fn new(source: Arc<dyn RevisionSource>, registry: Arc<Registry>) -> Packages {
        Packages {
            source,
            registry,
            kept: Mutex::default(),
        }
    }

    /// The ports of the revision that an endpoint has now.
    ///
    /// # Errors
    /// What the source says; `InternalError.WebServicePackageInvalid` and
    /// `InternalError.PortDataTypeNotSupported` for a stored package that no longer reads.
    pub(crate) async fn of(self: &Arc<Self>, endpoint: &Entry) -> Result<Arc<Ports>, Fault> {
        let (id, revision) = (endpoint.endpoint.0, endpoint.revision.0);
        let lock = || self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(ports) = lock().get(&revision) {
            return Ok(ports.clone());
        }
        let source = self.source.clone();
        let read = tokio::task::spawn_blocking(move || {
            let files = source.open(id, revision)?;
            let definition = serde_json::from_slice(&files.package).map_err(|e| {
                faults::internal_error::web_service_package_invalid("it is not JSON").caused_by(&e)
            })?;
            Package::from_stored_json(&definition)
        });
        let package = read
            .await
            .map_err(|e| faults::internal_error::unknown_error().caused_by(&e))??;
        let ports = Arc::new(Ports {
            package,
            registry: self.registry.clone(),
        });
        let mut kept = lock();
        if kept.len() >= KEPT {
            kept.clear();
        }
        kept.insert(revision, ports.clone());
        Ok(ports)
    }
}

impl Ports {
    pub(crate) fn inputs(&self) -> impl ExactSizeIterator<Item = &str> {
        self.package.inputs.iter().map(|port| port.name.as_str())
    }

    pub(crate) fn outputs(&self) -> impl ExactSizeIterator<Item = &str> {
        self.package.outputs.iter().map(|port| port.name.as_str())
    }

    /// Checks the web service parameters of a job as scoring does.
    ///
    /// # Errors
    /// `BadArgument.RequestBodyInvalid` for a value that is a list or an object; those of
    /// [`Plan::parameters`].
    pub(crate) fn check_parameters(&self, given: &Map<String, Value>) -> Result<(), Fault> {
        let given = scalars(given)?;
        Plan::check_parameters(&self.package, &self.registry, &given)
    }
}
