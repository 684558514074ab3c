//! Groups, packages and services as they are shown.

use std::fmt;
use std::sync::Arc;

use serde_json::Value;
use store::{Entry, Group, Id, ModelPackageSummary, Slot};

use super::DEPLOYED;

/// A group with what it has.
#[derive(Debug, Clone)]
pub struct GroupView {
    /// Its record.
    pub group: Group,
    /// Its model packages, the oldest first.
    pub packages: Vec<ModelPackageSummary>,
    /// Its services.
    pub services: Vec<PublishedView>,
    /// The endpoints of its production service.
    pub endpoints: Vec<Arc<Entry>>,
}

impl GroupView {
    /// The service in a slot.
    pub fn in_slot(&self, slot: Slot) -> Option<&PublishedView> {
        self.services.iter().find(|service| service.slot == slot)
    }
}

/// A service in a slot of a group.
#[derive(Clone)]
pub struct PublishedView {
    /// The slot.
    pub slot: Slot,
    /// The model package of the revision that answers calls; `None` where it was made otherwise.
    pub package: Option<Id>,
    /// The keys, for those who may see them.
    pub keys: Option<[String; 2]>,
    /// Whether test calls need no credentials.
    pub anonymous_test: bool,
    /// `DiagnosticsSettings` without the connection string; `None` with `package`.
    pub settings: Option<Value>,
    /// The service and its default endpoint.
    pub entry: Arc<Entry>,
}

impl fmt::Debug for PublishedView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PublishedView")
            .field("slot", &self.slot)
            .field("package", &self.package)
            .field("service", &self.entry.service)
            .finish_non_exhaustive()
    }
}

/// A model package.
#[derive(Debug, Clone)]
pub struct PackageView {
    /// Its record.
    pub summary: ModelPackageSummary,
    /// The package as it was sent, without its secrets.
    pub document: Value,
}

/// The status of a package as it is shown: whether it is deployed is told by the production
/// service, unless it is retired, which says that it is not to be published again.
pub fn status_name(summary: &ModelPackageSummary) -> &'static str {
    use store::PackageStatus::Retired;
    match summary.status {
        Retired => Retired.name(),
        _ if summary.in_production => DEPLOYED,
        status => status.name(),
    }
}
