//! Web-service groups: their records, and the services that are published for them.

pub(crate) mod packages;

use std::sync::Arc;

use faults::Fault;
use jiff::Timestamp;
use rusqlite::{Connection, ErrorCode, OptionalExtension as _, Row, params};

use crate::directory::{DEFAULT_ENDPOINT, Entry};
use crate::ledger::{Change, Failure, Ledger};
use crate::rows::{damaged, id_at, time_at};
use crate::seal::KeyDigest;
use crate::services::{ServiceWrite, audit, conflict, put_service, subject_of};
use crate::{Actor, Id, jobs};

pub(crate) use packages::document_context;
pub use packages::{
    ModelPackageRecord, ModelPackageSummary, ModelPackageWrite, PackageResource, PackageStatus,
    ResourceKind, StoredResource,
};

/// A web-service group: model packages, and the services that are published of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Its id, which is the id of its production service too.
    pub id: Id,
    /// The workspace.
    pub workspace: Id,
    /// Its name; others may have the same.
    pub name: String,
    /// For people, often empty.
    pub description: String,
    /// Whether test calls of its services need no credentials.
    pub anonymous_test: bool,
    /// When it was made.
    pub created: Timestamp,
}

/// What may be changed of a group; `None` leaves it as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GroupChange {
    /// The name.
    pub name: Option<String>,
    /// The description.
    pub description: Option<String>,
    /// Whether test calls need no credentials.
    pub anonymous_test: Option<bool>,
}

/// The two places that a group has for services.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Slot {
    /// Where a package is tried.
    Staging,
    /// Where clients call.
    Production,
}

impl Slot {
    /// The name on the wire and in the ledger.
    pub fn name(self) -> &'static str {
        match self {
            Slot::Staging => "Staging",
            Slot::Production => "Production",
        }
    }

    /// The slot of that name, in any case.
    pub fn from_name(name: &str) -> Option<Slot> {
        [Slot::Staging, Slot::Production]
            .into_iter()
            .find(|slot| slot.name().eq_ignore_ascii_case(name))
    }
}

/// A service that stands in a slot of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupService {
    /// The service.
    pub service: Id,
    /// Its slot.
    pub slot: Slot,
    /// The model package of the revision that answers calls; `None` where that revision was made
    /// otherwise, or its package is gone.
    pub package: Option<Id>,
    /// The diagnostics settings that it was published with, as JSON; `None` with `package`.
    pub settings: Option<String>,
}

/// What a published revision belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publication {
    /// The group.
    pub group: Id,
    /// The slot.
    pub slot: Slot,
    /// The model package that the revision is made of.
    pub package: Id,
    /// The diagnostics settings without secrets, as JSON.
    pub settings: String,
}

impl Ledger {
    /// The diagnostics settings that a revision was published with, as JSON; `None` for one that
    /// was not published from a model package.
    ///
    /// # Errors
    /// `InternalError.UnknownError` when the ledger fails.
    pub async fn published_settings(&self, revision: Id) -> Result<Option<String>, Fault> {
        self.read(move |connection| {
            Ok(connection
                .prepare_cached("SELECT settings FROM published_revisions WHERE revision_id = ?1")?
                .query_row([revision.0], |row| row.get(0))
                .optional()?)
        })
        .await
    }

    /// Makes a group.
    ///
    /// # Errors
    /// `NotFound.WorkspaceNotFound`; `InternalError.FailedStoringWebService` when the ledger fails.
    pub async fn create_group(&self, group: Group, actor: impl Into<Actor>) -> Result<(), Fault> {
        let actor = actor.into();
        self.write(
            faults::internal_error::failed_storing_web_service,
            move |change| {
                change
                    .transaction
                    .prepare_cached(
                        "INSERT INTO web_service_groups (id, workspace_id, name, description,
                             anonymous_test, created, modified)
                         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6)",
                    )?
                    .execute(params![
                        group.id.0,
                        group.workspace.0,
                        group.name,
                        group.description,
                        group.anonymous_test,
                        group.created.as_microsecond(),
                    ])
                    .map_err(|e| match e.sqlite_error_code() {
                        // The id is a fresh random one, so it is the workspace that is not there.
                        Some(ErrorCode::ConstraintViolation) => {
                            Failure::Fault(faults::not_found::workspace_not_found())
                        }
                        _ => e.into(),
                    })?;
                audit(change, &actor, "create", &group_subject(group.id))
            },
        )
        .await
    }

    /// Changes a group.
    ///
    /// # Errors
    /// `InternalError.WebServiceGroupNotFound`; `InternalError.FailedStoringWebService` when the
    /// ledger fails.
    pub async fn change_group(
        &self,
        group: Id,
        to: GroupChange,
        actor: impl Into<Actor>,
    ) -> Result<(), Fault> {
        let actor = actor.into();
        self.write(
            faults::internal_error::failed_storing_web_service,
            move |change| {
                let count = change
                    .transaction
                    .prepare_cached(
                        "UPDATE web_service_groups SET name = coalesce(?2, name),
                             description = coalesce(?3, description),
                             anonymous_test = coalesce(?4, anonymous_test), modified = ?5
                         WHERE id = ?1",
                    )?
                    .execute(params![
                        group.0,
                        to.name,
                        to.description,
                        to.anonymous_test,
                        Timestamp::now().as_microsecond(),
                    ])?;
                if count == 0 {
                    return Err(no_group().into());
                }
                audit(change, &actor, "change", &group_subject(group))
            },
        )
        .await
    }

    /// Removes a group with its model packages and its services, all or nothing; `false` where
    /// there is no such group. Blobs are left to the next sweep.
    ///
    /// # Errors
    /// `InternalError.DeleteWebServiceResourceFailed`, which leaves everything as it was.
    pub async fn delete_group(&self, group: Id, actor: impl Into<Actor>) -> Result<bool, Fault> {
        let actor = actor.into();
        self.write(
            faults::internal_error::delete_web_service_resource_failed,
            move |change| {
                for service in services_of(change.transaction, group)? {
                    change
                        .transaction
                        .prepare_cached("DELETE FROM services WHERE id = ?1")?
                        .execute([service.service.0])?;
                    change.touch(service.service);
                    audit(change, &actor, "delete", &subject_of(service.service))?;
                }
                jobs::cancel_of_gone_endpoints(change)?;
                let count = change
                    .transaction
                    .prepare_cached("DELETE FROM web_service_groups WHERE id = ?1")?
                    .execute([group.0])?;
                if count > 0 {
                    audit(change, &actor, "delete", &group_subject(group))?;
                }
                Ok(count > 0)
            },
        )
        .await
    }

    /// The group of that id.
    ///
    /// # Errors
    /// `InternalError.UnknownError` when the ledger fails.
    pub async fn group(&self, id: Id) -> Result<Option<Group>, Fault> {
        self.read(move |connection| {
            Ok(connection
                .prepare_cached(&format!("{GROUP} WHERE id = ?1"))?
                .query_row([id.0], group_at)
                .optional()?)
        })
        .await
    }

    /// The groups of a workspace, the oldest first.
    ///
    /// # Errors
    /// `InternalError.UnknownError` when the ledger fails.
    pub async fn groups(&self, workspace: Id) -> Result<Vec<Group>, Fault> {
        self.read(move |connection| {
            let mut statement = connection.prepare_cached(&format!(
                "{GROUP} WHERE workspace_id = ?1 ORDER BY created, id"
            ))?;
            let rows = statement.query_map([workspace.0], group_at)?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
        .await
    }

    /// The services of a group.
    ///
    /// # Errors
    /// `InternalError.UnknownError` when the ledger fails.
    pub async fn group_services(&self, group: Id) -> Result<Vec<GroupService>, Fault> {
        self.read(move |connection| services_of(connection, group))
            .await
    }

    /// The slot of a group that a service stands in; `None` for one that belongs to no group.
    ///
    /// # Errors
    /// `InternalError.UnknownError` when the ledger fails.
    pub async fn slot_of(&self, service: Id) -> Result<Option<Slot>, Fault> {
        self.read(move |connection| slot_of(connection, service))
            .await
    }

    /// Like [`Ledger::slot_of`], for a thread that may wait.
    ///
    /// # Errors
    /// As for [`Ledger::slot_of`].
    pub fn slot_of_blocking(&self, service: Id) -> Result<Option<Slot>, Fault> {
        self.read_blocking(|connection| slot_of(connection, service))
    }

    /// As [`Ledger::put_service_over`], for the service in a slot of a group: the service, its
    /// place in the group and the package of its revision are written together or not at all.
    ///
    /// # Errors
    /// As for [`Ledger::put_service`]; `InternalError.WebServiceGroupNotFound` and
    /// `NotFound.ModelPackageNotFound` for what went meanwhile; `Conflict` for a package that was
    /// retired meanwhile, and for a slot that another service has taken meanwhile.
    pub async fn publish(
        &self,
        write: ServiceWrite,
        keys_seen: Option<[KeyDigest; 2]>,
        publication: Publication,
        actor: impl Into<Actor>,
    ) -> Result<Arc<Entry>, Fault> {
        let (service, actor) = (write.service, actor.into());
        self.write(
            faults::internal_error::failed_storing_web_service,
            move |change| {
                let (created, revision) = (write.expected.is_none(), write.revision);
                put_service(change, write, keys_seen, &actor)?;
                link(change, service, revision, created, &publication)?;
                let action = format!(
                    "publish model package {} to {}",
                    publication.package,
                    publication.slot.name()
                );
                audit(change, &actor, &action, &group_subject(publication.group))
            },
        )
        .await?;
        self.entry(service)
    }
}

fn link(
    change: &Change<'_>,
    service: Id,
    revision: Id,
    created: bool,
    publication: &Publication,
) -> Result<(), Failure> {
    let connection = change.transaction;
    let there: bool = connection
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM web_service_groups WHERE id = ?1)")?
        .query_row([publication.group.0], |row| row.get(0))?;
    if !there {
        return Err(no_group().into());
    }
    let status: Option<PackageStatus> = connection
        .prepare_cached("SELECT status FROM model_packages WHERE id = ?1 AND group_id = ?2")?
        .query_row(params![publication.package.0, publication.group.0], |row| {
            packages::status_at(row, 0)
        })
        .optional()?;
    match status {
        None => return Err(faults::not_found::model_package_not_found().into()),
        Some(PackageStatus::Retired) => {
            return Err(conflict("the model package is retired").into());
        }
        Some(_) => {}
    }
    let taken = || Failure::Fault(conflict("the slot of the group was taken at the same time"));
    if created {
        connection
            .prepare_cached(
                "INSERT INTO group_services (service_id, group_id, slot) VALUES (?1, ?2, ?3)",
            )?
            .execute(params![
                service.0,
                publication.group.0,
                publication.slot.name()
            ])
            .map_err(|e| match e.sqlite_error_code() {
                Some(ErrorCode::ConstraintViolation) => taken(),
                _ => e.into(),
            })?;
    } else {
        let linked: bool = connection
            .prepare_cached(
                "SELECT EXISTS (SELECT 1 FROM group_services
                                WHERE service_id = ?1 AND group_id = ?2 AND slot = ?3)",
            )?
            .query_row(
                params![service.0, publication.group.0, publication.slot.name()],
                |row| row.get(0),
            )?;
        if !linked {
            return Err(taken());
        }
    }
    connection
        .prepare_cached(
            "INSERT INTO published_revisions (revision_id, package_id, settings)
             VALUES (?1, ?2, ?3)",
        )?
        .execute(params![
            revision.0,
            publication.package.0,
            publication.settings
        ])?;
    Ok(())
}

const GROUP: &str = "SELECT id, workspace_id, name, description, anonymous_test, created
     FROM web_service_groups";

fn group_at(row: &Row<'_>) -> Result<Group, rusqlite::Error> {
    Ok(Group {
        id: id_at(row, 0)?,
        workspace: id_at(row, 1)?,
        name: row.get(2)?,
        description: row.get(3)?,
        anonymous_test: row.get(4)?,
        created: time_at(row, 5)?,
    })
}

fn services_of(connection: &Connection, group: Id) -> Result<Vec<GroupService>, Failure> {
    let mut statement = connection.prepare_cached(
        "SELECT g.service_id, g.slot, p.package_id, p.settings
         FROM group_services g
         JOIN endpoints e ON e.service_id = g.service_id AND e.name_key = ?2
         LEFT JOIN published_revisions p ON p.revision_id = e.revision_id
         WHERE g.group_id = ?1 ORDER BY g.slot",
    )?;
    let rows = statement.query_map(params![group.0, DEFAULT_ENDPOINT], |row| {
        Ok(GroupService {
            service: id_at(row, 0)?,
            slot: slot_at(row, 1)?,
            package: row.get::<_, Option<[u8; 16]>>(2)?.map(Id),
            settings: row.get(3)?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn slot_of(connection: &Connection, service: Id) -> Result<Option<Slot>, Failure> {
    Ok(connection
        .prepare_cached("SELECT slot FROM group_services WHERE service_id = ?1")?
        .query_row([service.0], |row| slot_at(row, 0))
        .optional()?)
}

fn slot_at(row: &Row<'_>, column: usize) -> Result<Slot, rusqlite::Error> {
    Slot::from_name(&row.get::<_, String>(column)?).ok_or_else(|| damaged(column, "slot"))
}

fn group_subject(group: Id) -> String {
    format!("web service group {group}")
}

fn no_group() -> Fault {
    faults::internal_error::web_service_group_not_found()
}
