//! Operations that go on after their call was answered, and web services that are not yet what
//! was asked for.
//!
//! An operation is written before its call is answered. What it comes to is written in the
//! transaction that makes it true, so that a crash leaves the one with the other or neither; an
//! operation that a crash has cut off has failed at the next start.

use std::sync::Arc;
use std::time::Duration;

use faults::{Class, Fault};
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use crate::directory::Entry;
use crate::ledger::{Change, Failure, Ledger};
use crate::lists::Within;
use crate::names::{NameKey, ResourceName};
use crate::retention::since;
use crate::rows::{damaged, id_at, time_at};
use crate::seal::KeyDigest;
use crate::services::{PatchWrite, ServiceWrite, audit, patch_service, put_service, subject_of};
use crate::{Actor, Id, jobs};

/// What an operation does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OperationKind {
    /// Makes a service.
    Create,
    /// Changes one.
    Update,
    /// Removes one.
    Delete,
    /// Makes a regional copy of a definition.
    Regional,
}

impl OperationKind {
    const ALL: [(OperationKind, &'static str); 4] = [
        (OperationKind::Create, "create"),
        (OperationKind::Update, "update"),
        (OperationKind::Delete, "delete"),
        (OperationKind::Regional, "regional"),
    ];

    fn name(self) -> &'static str {
        let found = Self::ALL.iter().find(|(kind, _)| *kind == self);
        found.map_or("update", |(_, name)| name)
    }
}

/// How far an operation is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OperationState {
    /// Under way.
    Provisioning,
    /// Done.
    Succeeded,
    /// It has come to this.
    Failed(Fault),
}

/// An operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    /// Its id.
    pub id: Id,
    /// What it does.
    pub kind: OperationKind,
    /// The web service that it is about, as its name was given.
    pub name: ResourceName,
    /// The service's id: the one it has, or is to have.
    pub service: Id,
    /// The service's workspace.
    pub workspace: Id,
    /// How far it is.
    pub state: OperationState,
    /// When it was accepted.
    pub started: Timestamp,
    /// When it came to its end.
    pub ended: Option<Timestamp>,
}

impl Operation {
    /// A fresh one, under way.
    pub fn begin(kind: OperationKind, name: ResourceName, service: Id, workspace: Id) -> Operation {
        Operation {
            id: Id::random(),
            kind,
            name,
            service,
            workspace,
            state: OperationState::Provisioning,
            started: Timestamp::now(),
            ended: None,
        }
    }
}

/// A web service as it was asked for and is not yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// Its name, as given.
    pub name: ResourceName,
    /// The operation that is to make it true.
    pub operation: Id,
    /// The service's id: the one it has, or is to have.
    pub service: Id,
    /// The service's workspace.
    pub workspace: Id,
    /// The location, as given.
    pub location: String,
    /// A JSON object as text.
    pub tags: String,
    /// The definition: JSON without keys and secrets.
    pub definition: String,
    /// Whether it will not come to be. Only of a service that was never made.
    pub failed: bool,
    /// When it was first asked for.
    pub created: Timestamp,
    /// When it was last changed.
    pub modified: Timestamp,
}

impl Ledger {
    /// Writes an operation that is under way, with the draft of what it is to make; a draft of
    /// that name that had failed is replaced.
    ///
    /// # Errors
    /// `Conflict` while another operation on the name is under way;
    /// `InternalError.FailedStoringWebService`.
    pub async fn begin_operation(
        &self,
        operation: Operation,
        draft: Option<Draft>,
    ) -> Result<(), Fault> {
        self.write(
            faults::internal_error::failed_storing_web_service,
            move |change| {
                forget_old(change.transaction, change.retention.operations)?;
                insert(change.transaction, &operation)?;
                if let Some(draft) = &draft {
                    put_draft(change.transaction, draft)?;
                }
                Ok(())
            },
        )
        .await
    }

    /// [`Ledger::put_service_over`], with which the operation succeeds and its draft goes.
    ///
    /// # Errors
    /// As for [`Ledger::put_service_over`]; the operation is then still under way.
    pub async fn finish_put(
        &self,
        operation: Id,
        write: ServiceWrite,
        keys_seen: Option<[KeyDigest; 2]>,
        actor: impl Into<Actor>,
    ) -> Result<Arc<Entry>, Fault> {
        let (service, actor) = (write.service, actor.into());
        self.write(
            faults::internal_error::failed_storing_web_service,
            move |change| {
                put_service(change, write, keys_seen, &actor)?;
                end(change.transaction, operation, None)
            },
        )
        .await?;
        self.entry(service)
    }

    /// Changes of a service only what needs no further revision; the operation is written with it
    /// and has succeeded.
    ///
    /// # Errors
    /// `Conflict` when the service changed since the writer looked, or is read-only;
    /// `InternalError.FailedStoringWebService`, which leaves everything as it was.
    pub async fn patch_service(
        &self,
        operation: Operation,
        write: PatchWrite,
        actor: impl Into<Actor>,
    ) -> Result<Arc<Entry>, Fault> {
        let (service, actor) = (write.service, actor.into());
        self.write(
            faults::internal_error::failed_storing_web_service,
            move |change| {
                forget_old(change.transaction, change.retention.operations)?;
                insert(change.transaction, &operation)?;
                patch_service(change, write, &actor)?;
                end(change.transaction, operation.id, None)
            },
        )
        .await?;
        self.entry(service)
    }

    /// Removes a service, or the draft of one that was never made; the operation is written with
    /// it and has succeeded. `false` where there is neither: then nothing is written.
    ///
    /// # Errors
    /// `InternalError.DeleteWebServiceResourceFailed`, which leaves everything as it was.
    pub async fn delete_by_operation(
        &self,
        operation: Operation,
        actor: impl Into<Actor>,
    ) -> Result<bool, Fault> {
        let actor = actor.into();
        self.write(
            faults::internal_error::delete_web_service_resource_failed,
            move |change| {
                let connection = change.transaction;
                let services = connection
                    .prepare_cached("DELETE FROM services WHERE id = ?1")?
                    .execute([operation.service.0])?;
                let key = operation.name.key();
                let drafts = connection
                    .prepare_cached(
                        "DELETE FROM drafts WHERE subscription_key = ?1
                         AND resource_group_key = ?2 AND name_key = ?3",
                    )?
                    .execute(params![
                        key.subscription.to_string(),
                        key.resource_group,
                        key.name
                    ])?;
                change.touch(operation.service);
                if services + drafts == 0 {
                    return Ok(false);
                }
                jobs::cancel_of_gone_endpoints(change)?;
                forget_old(connection, change.retention.operations)?;
                insert(connection, &operation)?;
                end(connection, operation.id, None)?;
                audit(change, &actor, "delete", &subject_of(operation.service))?;
                Ok(true)
            },
        )
        .await
    }

    /// Writes a regional copy of a service's definition, with the operation that made it.
    ///
    /// # Errors
    /// `InternalError.FailedStoringWebService`.
    pub async fn put_regional(
        &self,
        operation: Operation,
        region: Box<str>,
        definition: String,
        actor: impl Into<Actor>,
    ) -> Result<(), Fault> {
        let actor = actor.into();
        self.write(
            faults::internal_error::failed_storing_web_service,
            move |change| {
                let connection = change.transaction;
                forget_old(connection, change.retention.operations)?;
                insert(connection, &operation)?;
                let now = Timestamp::now().as_microsecond();
                connection
                    .prepare_cached(
                        "INSERT OR REPLACE INTO regional_definitions
                             (service_id, region, definition, created) VALUES (?1, ?2, ?3, ?4)",
                    )?
                    .execute(params![operation.service.0, region, definition, now])?;
                // It moves the time of the last change, as the old service did.
                connection
                    .prepare_cached(
                        "UPDATE services SET modified = max(modified + 1, ?2) WHERE id = ?1",
                    )?
                    .execute(params![operation.service.0, now])?;
                change.touch(operation.service);
                end(connection, operation.id, None)?;
                let subject = subject_of(operation.service);
                audit(change, &actor, &format!("copy for {region}"), &subject)
            },
        )
        .await
    }

    /// The regional copy of a service's definition.
    ///
    /// # Errors
    /// `InternalError.UnknownError` when the ledger fails.
    pub async fn regional(&self, service: Id, region: Box<str>) -> Result<Option<String>, Fault> {
        self.read(move |connection| {
            Ok(connection
                .prepare_cached(
                    "SELECT definition FROM regional_definitions
                     WHERE service_id = ?1 AND region = ?2",
                )?
                .query_row(params![service.0, region], |row| row.get(0))
                .optional()?)
        })
        .await
    }

    /// Ends an operation with a failure. The draft of a service that was never made stays, failed;
    /// one of a service that is there goes, since the service is as it was.
    ///
    /// # Errors
    /// `InternalError.UnknownError` when the ledger fails; the operation then fails at the next
    /// start.
    pub async fn fail_operation(&self, operation: Id, fault: &Fault) -> Result<(), Fault> {
        let fault = fault.clone();
        self.write(faults::internal_error::unknown_error, move |change| {
            end(change.transaction, operation, Some(&fault))
        })
        .await
    }

    /// The operation of that id; `None` for one that there never was, or that ended long ago.
    ///
    /// # Errors
    /// `InternalError.UnknownError` when the ledger fails.
    pub async fn operation(&self, id: Id) -> Result<Option<Operation>, Fault> {
        self.read_before_directory(move |connection| {
            let row = connection
                .prepare_cached(
                    "SELECT id, kind, subscription, resource_group, name, service_id,
                            workspace_id, state, fault, started, ended
                     FROM operations WHERE id = ?1",
                )?
                .query_row([id.0], operation)
                .optional()?;
            Ok(row)
        })
        .await
    }

    /// The draft of that name.
    ///
    /// # Errors
    /// `InternalError.UnknownError` when the ledger fails.
    pub async fn draft(&self, name: NameKey) -> Result<Option<Draft>, Fault> {
        self.read_before_directory(move |connection| draft_of(connection, &name))
            .await
    }

    /// Like [`Ledger::draft`], for a thread that may wait.
    ///
    /// # Errors
    /// As for [`Ledger::draft`].
    pub fn draft_blocking(&self, name: &NameKey) -> Result<Option<Draft>, Fault> {
        self.read_blocking(|connection| draft_of(connection, name))
    }

    /// All drafts of a part of the installation, by name. There are as many as there are changes
    /// under way and services that never came to be.
    ///
    /// # Errors
    /// `InternalError.UnknownError` when the ledger fails.
    pub async fn drafts(&self, within: Within) -> Result<Vec<Draft>, Fault> {
        self.read_before_directory(move |connection| {
            let (subscription, group) = match &within {
                Within::Installation => (None, None),
                Within::Subscription(s) => (Some(s.to_string()), None),
                Within::ResourceGroup(s, g) => (Some(s.to_string()), Some(g.to_string())),
            };
            let mut statement = connection.prepare_cached(&format!(
                "{DRAFTS} WHERE (?1 IS NULL OR subscription_key = ?1)
                 AND (?2 IS NULL OR resource_group_key = ?2)
                 ORDER BY subscription_key, resource_group_key, name_key"
            ))?;
            let rows = statement.query_map(params![subscription, group], draft)?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
        .await
    }
}

const DRAFTS: &str = "SELECT subscription, resource_group, name, operation_id, service_id,
    workspace_id, location, tags, definition, failed, created, modified FROM drafts";

fn draft_of(connection: &Connection, name: &NameKey) -> Result<Option<Draft>, Failure> {
    Ok(connection
        .prepare_cached(&format!(
            "{DRAFTS} WHERE subscription_key = ?1 AND resource_group_key = ?2 AND name_key = ?3"
        ))?
        .query_row(
            params![
                name.subscription.to_string(),
                name.resource_group,
                name.name
            ],
            draft,
        )
        .optional()?)
}

fn draft(row: &Row<'_>) -> Result<Draft, rusqlite::Error> {
    Ok(Draft {
        name: name_at(row, 0)?,
        operation: id_at(row, 3)?,
        service: id_at(row, 4)?,
        workspace: id_at(row, 5)?,
        location: row.get(6)?,
        tags: row.get(7)?,
        definition: row.get(8)?,
        failed: row.get(9)?,
        created: time_at(row, 10)?,
        modified: time_at(row, 11)?,
    })
}

/// A name in three columns from `first` on.
fn name_at(row: &Row<'_>, first: usize) -> Result<ResourceName, rusqlite::Error> {
    Ok(ResourceName {
        subscription: row.get(first)?,
        resource_group: row.get(first + 1)?,
        name: row.get(first + 2)?,
    })
}

fn operation(row: &Row<'_>) -> Result<Operation, rusqlite::Error> {
    let kind: String = row.get(1)?;
    let kind = OperationKind::ALL.iter().find(|(_, name)| *name == kind);
    let state: String = row.get(7)?;
    let ended: Option<i64> = row.get(10)?;
    Ok(Operation {
        id: id_at(row, 0)?,
        kind: kind.ok_or_else(|| damaged(1, "kind of operation"))?.0,
        name: name_at(row, 2)?,
        service: id_at(row, 5)?,
        workspace: id_at(row, 6)?,
        state: match state.as_str() {
            "Provisioning" => OperationState::Provisioning,
            "Succeeded" => OperationState::Succeeded,
            _ => {
                let bytes: Vec<u8> = row.get::<_, Option<_>>(8)?.unwrap_or_default();
                // What an older program has written and this one does not know is a failure too.
                OperationState::Failed(Fault::from_bytes(&bytes).unwrap_or_else(|fault| fault))
            }
        },
        started: time_at(row, 9)?,
        ended: ended.map(|_| time_at(row, 10)).transpose()?,
    })
}

fn insert(connection: &Connection, operation: &Operation) -> Result<(), Failure> {
    connection
        .prepare_cached(
            "INSERT INTO operations (id, kind, subscription, resource_group, name, service_id,
                 workspace_id, state, started)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 'Provisioning', ?8)",
        )?
        .execute(params![
            operation.id.0,
            operation.kind.name(),
            operation.name.subscription,
            operation.name.resource_group,
            operation.name.name,
            operation.service.0,
            operation.workspace.0,
            operation.started.as_microsecond(),
        ])?;
    Ok(())
}

fn put_draft(connection: &Connection, draft: &Draft) -> Result<(), Failure> {
    let key = draft.name.key();
    let before = draft_of(connection, &key)?;
    if before.is_some_and(|before| !before.failed) {
        return Err(Fault::bare(Class::Conflict)
            .because("another operation on the service is under way")
            .into());
    }
    connection
        .prepare_cached(
            "INSERT OR REPLACE INTO drafts (subscription, subscription_key, resource_group,
                 resource_group_key, name, name_key, operation_id, service_id, workspace_id,
                 location, tags, definition, failed, created, modified)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)",
        )?
        .execute(params![
            draft.name.subscription,
            key.subscription.to_string(),
            draft.name.resource_group,
            key.resource_group,
            draft.name.name,
            key.name,
            draft.operation.0,
            draft.service.0,
            draft.workspace.0,
            draft.location,
            draft.tags,
            draft.definition,
            draft.failed,
            draft.created.as_microsecond(),
            draft.modified.as_microsecond(),
        ])?;
    Ok(())
}

/// Ends an operation, in the transaction of what it does.
fn end(connection: &Connection, operation: Id, fault: Option<&Fault>) -> Result<(), Failure> {
    let state = match fault {
        None => "Succeeded",
        Some(_) => "Failed",
    };
    connection
        .prepare_cached("UPDATE operations SET state = ?2, fault = ?3, ended = ?4 WHERE id = ?1")?
        .execute(params![
            operation.0,
            state,
            fault.map(Fault::to_bytes),
            Timestamp::now().as_microsecond(),
        ])?;
    if fault.is_some() {
        connection
            .prepare_cached(
                "UPDATE drafts SET failed = 1 WHERE operation_id = ?1
                 AND service_id NOT IN (SELECT id FROM services)",
            )?
            .execute([operation.0])?;
    }
    connection
        .prepare_cached("DELETE FROM drafts WHERE operation_id = ?1 AND failed = 0")?
        .execute([operation.0])?;
    Ok(())
}

/// Removes operations that ended so long ago; how many those were.
pub(crate) fn forget_old(connection: &Connection, age: Duration) -> Result<usize, Failure> {
    let before = since(age);
    let mut removed = 0;
    for state in ["Succeeded", "Failed"] {
        removed += connection
            .prepare_cached("DELETE FROM operations WHERE state = ?1 AND ended < ?2")?
            .execute(params![state, before])?;
    }
    Ok(removed)
}

/// Fails what an earlier process has left under way; how much that was.
pub(crate) fn fail_cut_off(change: &mut Change<'_>) -> Result<usize, Failure> {
    let cut_off: Vec<Id> = change
        .transaction
        .prepare_cached("SELECT id FROM operations WHERE state = 'Provisioning'")?
        .query_map([], |row| id_at(row, 0))?
        .collect::<Result<_, _>>()?;
    let fault = faults::internal_error::unknown_error()
        .because("the server ended while the operation was under way");
    for id in &cut_off {
        end(change.transaction, *id, Some(&fault))?;
    }
    // A draft whose operation is gone altogether comes to nothing either.
    change
        .transaction
        .prepare_cached(
            "DELETE FROM drafts WHERE failed = 0
             AND operation_id NOT IN (SELECT id FROM operations)",
        )?
        .execute([])?;
    Ok(cut_off.len())
}
