//! Where the host gets a revision when it starts a container of it.

use std::sync::Arc;

use containers::{PoolLimits, RevisionFiles, RevisionSource};
use faults::Fault;
use graph::Package;
use store::{Id, Sha256, Store};

use crate::credentials;
use crate::module_ids::ModuleIds;

/// Opens revisions from the store.
pub struct StoredRevisions {
    store: Arc<Store>,
    limits: PoolLimits,
    modules: Arc<ModuleIds>,
}

impl StoredRevisions {
    /// Revisions of this store; each service may take `limits` of the machine.
    pub fn new(store: Arc<Store>, limits: PoolLimits) -> StoredRevisions {
        StoredRevisions {
            store,
            limits,
            modules: Arc::default(),
        }
    }

    /// With the operator's own ids of modules.
    #[must_use]
    pub fn with_modules(self, modules: Arc<ModuleIds>) -> StoredRevisions {
        StoredRevisions { modules, ..self }
    }
}

impl RevisionSource for StoredRevisions {
    /// # Errors
    /// `NotFound.WebServiceNotFound` for a revision that went with its service;
    /// `InternalError.WebServicePackageInvalid` or `InternalError.PortDataTypeNotSupported` when
    /// the stored package no longer reads; `InternalError.InvalidWebServiceResources` when the
    /// stored list of resources is not what the package asks for;
    /// `InternalError.ModelPackageInvalid` for a blob that is gone;
    /// `WebServicePackageInternalError.ModuleError`; `InternalError.UnknownError`
    /// when the ledger fails.
    fn open(&self, _endpoint: [u8; 16], revision: [u8; 16]) -> Result<RevisionFiles, Fault> {
        let revision = self.store.ledger.revision_blocking(Id(revision))?;
        let definition = serde_json::from_str(&revision.definition).map_err(|e| {
            faults::internal_error::web_service_package_invalid("it is not JSON").caused_by(&e)
        })?;
        let package = Package::from_stored_json(&definition)?;
        check_resources(&package, &revision.resources)?;
        stored_files(&self.store, &revision, self.limits, &self.modules)
    }
}

/// Refuses a list of resources that differs from what the package asks for.
fn check_resources(package: &Package, stored: &[(String, Sha256)]) -> Result<(), Fault> {
    let mut asked: Vec<&str> = package.resources().map(|(id, _)| id).collect();
    let mut stored: Vec<&str> = stored.iter().map(|(id, _)| id.as_str()).collect();
    asked.sort_unstable();
    stored.sort_unstable();
    if asked != stored {
        return Err(
            faults::internal_error::invalid_web_service_resources().because(format!(
                "the package asks for {asked:?} and the ledger lists {stored:?}"
            )),
        );
    }
    Ok(())
}

/// [`files`] of a revision that is stored. May wait for the ledger, where the secrets are.
pub(crate) fn stored_files(
    store: &Store,
    revision: &store::Revision,
    limits: PoolLimits,
    modules: &ModuleIds,
) -> Result<RevisionFiles, Fault> {
    let secrets = match credentials::may_hide(&revision.definition) {
        true => store.ledger.secrets_blocking(revision.id)?,
        false => None,
    };
    files(
        store,
        revision.id,
        credentials::plain(revision.definition.clone(), secrets.as_deref()),
        &revision.resources,
        limits,
        modules,
    )
}

/// A revision with its blobs opened. The definition comes with its credentials in the open, as
/// containers understand it.
pub(crate) fn files(
    store: &Store,
    revision: Id,
    definition: String,
    resources: &[(String, Sha256)],
    limits: PoolLimits,
    modules: &ModuleIds,
) -> Result<RevisionFiles, Fault> {
    let resources = resources
        .iter()
        .map(|(asset, sha256)| Ok((asset.clone(), store.blobs.open(sha256)?, sha256.0)))
        .collect::<Result<_, Fault>>()?;
    Ok(RevisionFiles {
        revision: revision.0,
        package: modules.resolved(definition)?.into_bytes(),
        resources,
        limits,
    })
}
