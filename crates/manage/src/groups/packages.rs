//! Model packages of a group.

use std::sync::Arc;

use bytes::Bytes;
use faults::Fault;
use graph::{ModelPackage, Package, Plan, StoredKind};
use serde_json::Value;
use store::{
    Group, Id, ModelPackageRecord, ModelPackageSummary, ModelPackageWrite, PackageResource,
    PackageStatus, ResourceKind, Role, StoredResource,
};

use super::request::{self, AskedStatus};
use super::{GroupPath, PackageView};
use crate::access::Principal;
use crate::deploy::{broken, conflict};
use crate::download::{Account, Located};
use crate::{Inner, Manager};

impl Manager {
    /// Stores a model package in a group; answers its id. It is checked as far as it can be without
    /// loading it.
    ///
    /// # Errors
    /// `Unauthorized.ManagementRequestUnauthorized` beyond role or scope;
    /// `NotFound.WorkspaceNotFound`; `InternalError.WebServiceGroupNotFound`;
    /// `BadArgument.RequestBodyInvalid`, `.RequestIsEmpty`; what
    /// `graph::ModelPackage::from_json`, `graph::Package::from_json` and `graph::Plan::validate`
    /// say; `BadArgument.InvalidBlob`, `.BlobNotFound` for a stored input;
    /// `BadArgument.BadParameterValue` for an unknown status, `Conflict` for one that only a
    /// publication makes true; `InternalError.FailedStoringWebService`.
    pub async fn create_model_package(
        &self,
        principal: &Principal,
        path: &GroupPath,
        body: Bytes,
    ) -> Result<Id, Fault> {
        let (_, group) = self.inner.group_of(principal, Role::Manage, path).await?;
        self.inner.store_package(principal, &group, body).await
    }

    /// The model packages of a group, the oldest first.
    ///
    /// # Errors
    /// `Unauthorized.ManagementRequestUnauthorized` beyond role or scope;
    /// `NotFound.WorkspaceNotFound`; `InternalError.WebServiceGroupNotFound`;
    /// `InternalError.UnknownError` when the ledger fails.
    pub async fn model_packages(
        &self,
        principal: &Principal,
        path: &GroupPath,
    ) -> Result<Vec<ModelPackageSummary>, Fault> {
        let (_, group) = self.inner.group_of(principal, Role::Read, path).await?;
        self.inner.store.ledger.model_packages(group.id).await
    }

    /// One model package as it was sent, without its secrets.
    ///
    /// # Errors
    /// As for [`Manager::model_packages`]; `NotFound.ModelPackageNotFound`;
    /// `InternalError.ModelPackageInvalid` when what is stored is no package any more.
    pub async fn model_package(
        &self,
        principal: &Principal,
        path: &GroupPath,
        package: Id,
    ) -> Result<PackageView, Fault> {
        let (_, group) = self.inner.group_of(principal, Role::Read, path).await?;
        let record = self.inner.package_of(&group, package).await?;
        let mut document = stored_document(&record)?;
        graph::model_package::without_secrets(&mut document, &self.inner.registry);
        Ok(PackageView {
            summary: record.summary,
            document,
        })
    }

    /// Changes the status of a model package: `{"StatusCode": …}`. One that is `Retired` is not
    /// published again; a service that answers by it goes on.
    ///
    /// # Errors
    /// As for [`Manager::model_packages`]; `NotFound.ModelPackageNotFound`;
    /// `BadArgument.RequestBodyInvalid`, `.RequestIsEmpty`, `.BadParameterValue`; `Conflict` for
    /// `DeployedToProduction`, unless it is true; `InternalError.FailedStoringWebService`.
    pub async fn set_package_status(
        &self,
        principal: &Principal,
        path: &GroupPath,
        package: Id,
        body: &[u8],
    ) -> Result<ModelPackageSummary, Fault> {
        let (_, group) = self.inner.group_of(principal, Role::Manage, path).await?;
        let record = self.inner.package_of(&group, package).await?;
        let ledger = &self.inner.store.ledger;
        match request::status(body)? {
            AskedStatus::Kept(status) => {
                ledger
                    .set_package_status(package, status, principal.actor())
                    .await?;
            }
            AskedStatus::Deployed if record.summary.in_production => {}
            AskedStatus::Deployed => return Err(only_by_publishing()),
        }
        Ok(self.inner.package_of(&group, package).await?.summary)
    }

    /// Removes a model package by which no service answers.
    ///
    /// # Errors
    /// As for [`Manager::model_packages`]; `NotFound.ModelPackageNotFound`; `Conflict` while a
    /// service answers calls by it; `InternalError.DeleteWebServiceResourceFailed`.
    pub async fn delete_model_package(
        &self,
        principal: &Principal,
        path: &GroupPath,
        package: Id,
    ) -> Result<(), Fault> {
        let (_, group) = self.inner.group_of(principal, Role::Manage, path).await?;
        self.inner.package_of(&group, package).await?;
        let ledger = &self.inner.store.ledger;
        let existed = ledger
            .delete_model_package(package, principal.actor())
            .await?;
        match existed {
            true => Ok(()),
            false => Err(faults::not_found::model_package_not_found()),
        }
    }
}

impl Inner {
    /// A model package of that group with its document.
    pub(super) async fn package_of(
        &self,
        group: &Group,
        package: Id,
    ) -> Result<ModelPackageRecord, Fault> {
        let found = self.store.ledger.model_package(package).await?;
        found
            .filter(|record| record.summary.group == group.id)
            .ok_or_else(faults::not_found::model_package_not_found)
    }

    /// Checks and stores a model package.
    pub(super) async fn store_package(
        self: &Arc<Self>,
        principal: &Principal,
        group: &Group,
        body: Bytes,
    ) -> Result<Id, Fault> {
        let (inner, group) = (self.clone(), group.id);
        let checking = tokio::task::spawn_blocking(move || inner.check_package(group, &body));
        let write = checking.await.map_err(|e| broken(&e))??;
        let id = write.id;
        let ledger = &self.store.ledger;
        ledger
            .create_model_package(write, principal.actor())
            .await?;
        Ok(id)
    }

    /// All that can be said about a model package without loading it. May wait for the disk.
    fn check_package(&self, group: Id, body: &[u8]) -> Result<ModelPackageWrite, Fault> {
        let body = request::filled(body)?;
        let status = match request::status_of(&body)? {
            None => PackageStatus::InTesting,
            Some(AskedStatus::Kept(status)) => status,
            Some(AskedStatus::Deployed) => return Err(only_by_publishing()),
        };
        let document = Value::from(body);
        let package = ModelPackage::from_json(&document)?;
        let definition = Package::from_json(&package.definition().into())?;
        Plan::validate(&definition, &self.registry)?;
        let resources = package
            .stored_inputs()
            .iter()
            .map(|stored| {
                // A blob that is here is kept from a sweep until the ledger names it; one that is
                // elsewhere is fetched when the package is published.
                let located = self
                    .locate(&stored.uri, &stored.credentials, &Account::default())
                    .map_err(|fault| fault.at(format!("assets/{}", stored.asset)))?;
                Ok(PackageResource {
                    asset: stored.asset.clone(),
                    kind: match stored.kind {
                        StoredKind::DataSource => ResourceKind::DataSource,
                        StoredKind::TrainedModel => ResourceKind::TrainedModel,
                        StoredKind::Transform => ResourceKind::Transform,
                    },
                    stored: StoredResource {
                        name: stored.name.clone(),
                        uri: stored.uri.clone(),
                        sha256: match located {
                            Located::Here(sha256) => Some(sha256),
                            Located::Away(_) => None,
                        },
                    },
                })
            })
            .collect::<Result<_, Fault>>()?;
        Ok(ModelPackageWrite {
            id: Id::random(),
            group,
            status,
            document: document.to_string().into_bytes(),
            resources,
        })
    }
}

/// The document of a stored package.
///
/// # Errors
/// `InternalError.ModelPackageInvalid` when it is no JSON.
pub(super) fn stored_document(record: &ModelPackageRecord) -> Result<Value, Fault> {
    serde_json::from_slice(&record.document)
        .map_err(|e| faults::internal_error::model_package_invalid().caused_by(&e))
}

fn only_by_publishing() -> Fault {
    conflict("a package is deployed to production by publishing it")
}
