//! Model packages: what a web-service group publishes.

use faults::Fault;
use jiff::Timestamp;
use rusqlite::{Connection, ErrorCode, OptionalExtension as _, Row, params};

use super::no_group;
use crate::directory::DEFAULT_ENDPOINT;
use crate::ledger::{Failure, Ledger};
use crate::rows::{damaged, id_at, time_at};
use crate::services::{audit, conflict};
use crate::{Actor, Id, Sha256};

/// How far a model package has come, deployment aside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PackageStatus {
    /// It is being tried.
    InTesting,
    /// It may go to production.
    ReadyForProduction,
    /// It is not to be published any more.
    Retired,
}

impl PackageStatus {
    /// The name on the wire and in the ledger.
    pub fn name(self) -> &'static str {
        match self {
            PackageStatus::InTesting => "InTesting",
            PackageStatus::ReadyForProduction => "ReadyForProduction",
            PackageStatus::Retired => "Retired",
        }
    }

    /// The status of that name, in any case.
    pub fn from_name(name: &str) -> Option<PackageStatus> {
        [
            PackageStatus::InTesting,
            PackageStatus::ReadyForProduction,
            PackageStatus::Retired,
        ]
        .into_iter()
        .find(|status| status.name().eq_ignore_ascii_case(name))
    }
}

/// What a stored blob of a package is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResourceKind {
    /// A data set.
    DataSource,
    /// A trained model.
    TrainedModel,
    /// A fitted transformation.
    Transform,
}

impl ResourceKind {
    fn name(self) -> &'static str {
        match self {
            ResourceKind::DataSource => "DataSource",
            ResourceKind::TrainedModel => "TrainedModel",
            ResourceKind::Transform => "Transform",
        }
    }
}

/// A blob that a package takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackageResource {
    /// The id of its asset.
    pub asset: String,
    /// What it is.
    pub kind: ResourceKind,
    /// What it is called and where it is.
    pub stored: StoredResource,
}

/// What a blob is called and where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredResource {
    /// Its name for people.
    pub name: String,
    /// Where it is, without a signature.
    pub uri: String,
    /// The blob, where it is one of this installation.
    pub sha256: Option<Sha256>,
}

/// A model package to be stored.
#[derive(Debug, Clone)]
pub struct ModelPackageWrite {
    /// A fresh id.
    pub id: Id,
    /// Its group.
    pub group: Id,
    /// Its status.
    pub status: PackageStatus,
    /// The package as it was sent, which is sealed.
    pub document: Vec<u8>,
    /// The blobs that it takes.
    pub resources: Vec<PackageResource>,
}

/// A model package in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelPackageSummary {
    /// Its id.
    pub id: Id,
    /// Its group.
    pub group: Id,
    /// Its status.
    pub status: PackageStatus,
    /// Whether the production service of the group answers calls by it.
    pub in_production: bool,
    /// When it was stored.
    pub created: Timestamp,
}

/// A model package with what was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelPackageRecord {
    /// What lists show.
    pub summary: ModelPackageSummary,
    /// The package as it was sent, its secrets with it.
    pub document: Vec<u8>,
}

/// What a sealed package is bound to.
pub(crate) fn document_context(id: Id) -> String {
    format!("model package {id}")
}

impl Ledger {
    /// Stores a model package.
    ///
    /// # Errors
    /// `InternalError.WebServiceGroupNotFound`; `InternalError.FailedStoringWebService` when the
    /// ledger fails.
    pub async fn create_model_package(
        &self,
        write: ModelPackageWrite,
        actor: impl Into<Actor>,
    ) -> Result<(), Fault> {
        let actor = actor.into();
        self.write(
            faults::internal_error::failed_storing_web_service,
            move |change| {
                let connection = change.transaction;
                let sealed = change
                    .sealer
                    .seal(&write.document, &document_context(write.id));
                connection
                    .prepare_cached(
                        "INSERT INTO model_packages (id, group_id, status, document, created,
                             modified)
                         VALUES (?1, ?2, ?3, ?4, ?5, ?5)",
                    )?
                    .execute(params![
                        write.id.0,
                        write.group.0,
                        write.status.name(),
                        sealed,
                        Timestamp::now().as_microsecond(),
                    ])
                    .map_err(|e| match e.sqlite_error_code() {
                        // The id is a fresh random one, so it is the group that is not there.
                        Some(ErrorCode::ConstraintViolation) => Failure::Fault(no_group()),
                        _ => e.into(),
                    })?;
                for resource in &write.resources {
                    connection
                        .prepare_cached(
                            "INSERT INTO model_package_resources (package_id, asset_id, kind,
                                 name, uri, sha256)
                             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                        )?
                        .execute(params![
                            write.id.0,
                            resource.asset,
                            resource.kind.name(),
                            resource.stored.name,
                            resource.stored.uri,
                            resource.stored.sha256.map(|hash| hash.0),
                        ])?;
                }
                audit(change, &actor, "create", &package_subject(write.id))
            },
        )
        .await
    }

    /// Changes the status of a model package.
    ///
    /// # Errors
    /// `NotFound.ModelPackageNotFound`; `InternalError.FailedStoringWebService` when the ledger
    /// fails.
    pub async fn set_package_status(
        &self,
        package: Id,
        status: PackageStatus,
        actor: impl Into<Actor>,
    ) -> Result<(), Fault> {
        let actor = actor.into();
        self.write(
            faults::internal_error::failed_storing_web_service,
            move |change| {
                let count = change
                    .transaction
                    .prepare_cached(
                        "UPDATE model_packages SET status = ?2, modified = ?3 WHERE id = ?1",
                    )?
                    .execute(params![
                        package.0,
                        status.name(),
                        Timestamp::now().as_microsecond()
                    ])?;
                if count == 0 {
                    return Err(faults::not_found::model_package_not_found().into());
                }
                let action = format!("set the status to {}", status.name());
                audit(change, &actor, &action, &package_subject(package))
            },
        )
        .await
    }

    /// Removes a model package; `false` where there is none. Blobs that nothing else names go with
    /// a later sweep.
    ///
    /// # Errors
    /// `Conflict` while a service answers calls by it;
    /// `InternalError.DeleteWebServiceResourceFailed`, which leaves everything as it was.
    pub async fn delete_model_package(
        &self,
        package: Id,
        actor: impl Into<Actor>,
    ) -> Result<bool, Fault> {
        let actor = actor.into();
        self.write(
            faults::internal_error::delete_web_service_resource_failed,
            move |change| {
                let connection = change.transaction;
                let used: bool = connection
                    .prepare_cached(
                        "SELECT EXISTS (SELECT 1 FROM published_revisions p
                                        JOIN endpoints e ON e.revision_id = p.revision_id
                                        WHERE p.package_id = ?1)",
                    )?
                    .query_row([package.0], |row| row.get(0))?;
                if used {
                    return Err(conflict("a web service answers calls by the package").into());
                }
                let count = connection
                    .prepare_cached("DELETE FROM model_packages WHERE id = ?1")?
                    .execute([package.0])?;
                if count > 0 {
                    audit(change, &actor, "delete", &package_subject(package))?;
                }
                Ok(count > 0)
            },
        )
        .await
    }

    /// The model package of that id with what was sent.
    ///
    /// # Errors
    /// `InternalError.UnknownError` when the ledger fails or the package does not open.
    pub async fn model_package(&self, id: Id) -> Result<Option<ModelPackageRecord>, Fault> {
        let found: Option<(ModelPackageSummary, Vec<u8>)> = self
            .read(move |connection| {
                let summary = summaries(connection, Which::One(id))?.pop();
                let sealed: Option<Vec<u8>> = connection
                    .prepare_cached("SELECT document FROM model_packages WHERE id = ?1")?
                    .query_row([id.0], |row| row.get(0))
                    .optional()?;
                Ok(summary.zip(sealed))
            })
            .await?;
        found
            .map(|(summary, sealed)| {
                let document = self.sealer.open(&sealed, &document_context(id))?;
                Ok(ModelPackageRecord { summary, document })
            })
            .transpose()
    }

    /// The model packages of a group, the oldest first.
    ///
    /// # Errors
    /// `InternalError.UnknownError` when the ledger fails.
    pub async fn model_packages(&self, group: Id) -> Result<Vec<ModelPackageSummary>, Fault> {
        self.read(move |connection| summaries(connection, Which::OfGroup(group)))
            .await
    }

    /// The blobs of one kind that the model packages of a workspace take, each once.
    ///
    /// # Errors
    /// `InternalError.UnknownError` when the ledger fails.
    pub async fn package_resources(
        &self,
        workspace: Id,
        kind: ResourceKind,
    ) -> Result<Vec<StoredResource>, Fault> {
        self.read(move |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT DISTINCT r.name, r.uri, r.sha256
                 FROM model_package_resources r
                 JOIN model_packages p ON p.id = r.package_id
                 JOIN web_service_groups g ON g.id = p.group_id
                 WHERE g.workspace_id = ?1 AND r.kind = ?2 ORDER BY r.name, r.uri",
            )?;
            let rows = statement.query_map(params![workspace.0, kind.name()], |row| {
                Ok(StoredResource {
                    name: row.get(0)?,
                    uri: row.get(1)?,
                    sha256: row.get::<_, Option<[u8; 32]>>(2)?.map(Sha256),
                })
            })?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
        .await
    }
}

/// Which model packages a list is of.
enum Which {
    One(Id),
    OfGroup(Id),
}

fn summaries(connection: &Connection, which: Which) -> Result<Vec<ModelPackageSummary>, Failure> {
    let (condition, id) = match which {
        Which::One(id) => ("m.id = ?1", id),
        Which::OfGroup(id) => ("m.group_id = ?1", id),
    };
    let mut statement = connection.prepare_cached(&format!(
        "SELECT m.id, m.group_id, m.status, m.created,
                EXISTS (SELECT 1 FROM published_revisions p
                        JOIN endpoints e ON e.revision_id = p.revision_id AND e.name_key = ?2
                        JOIN group_services g ON g.service_id = e.service_id
                        WHERE p.package_id = m.id AND g.slot = 'Production')
         FROM model_packages m WHERE {condition} ORDER BY m.created, m.id"
    ))?;
    let rows = statement.query_map(params![id.0, DEFAULT_ENDPOINT], |row| {
        Ok(ModelPackageSummary {
            id: id_at(row, 0)?,
            group: id_at(row, 1)?,
            status: status_at(row, 2)?,
            created: time_at(row, 3)?,
            in_production: row.get(4)?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

pub(super) fn status_at(row: &Row<'_>, column: usize) -> Result<PackageStatus, rusqlite::Error> {
    PackageStatus::from_name(&row.get::<_, String>(column)?)
        .ok_or_else(|| damaged(column, "status"))
}

fn package_subject(package: Id) -> String {
    format!("model package {package}")
}
