//! Workspaces and their tokens in the ledger.

use std::sync::Arc;

use faults::Fault;
use jiff::{SignedDuration, Timestamp};
use rusqlite::{Connection, ErrorCode, OptionalExtension as _, params};

use crate::directory::Workspace;
use crate::ledger::{Change, Failure, Ledger};
use crate::names::ResourceName;
use crate::rows::{digest_at, id_at, number_at, time_at};
use crate::seal::random_token;
use crate::services::{audit, conflict};
use crate::{Actor, Id, Sealer, WhichKey};

/// A workspace as it is to stand after a write: made, or changed.
#[derive(Debug, Clone)]
pub struct WorkspaceWrite {
    /// The workspace's id: the one it has, or a fresh one.
    pub id: Id,
    /// The version that the writer has seen; `None` for a workspace that must not exist yet.
    pub expected: Option<u64>,
    /// Where the workspace stands. An existing one keeps the spelling it was made with.
    pub name: ResourceName,
    /// Where it says that it is. An existing one keeps its own.
    pub location: String,
    /// A JSON object as text.
    pub tags: String,
    /// The address of its owner; may be empty.
    pub owner_email: String,
    /// The Resource Manager's id of its storage account; may be empty.
    pub storage_account: String,
    /// The identifier in a key vault that it was given.
    pub key_vault: Option<String>,
    /// One of the Resource Manager's states; a fresh one is `Enabled`.
    pub state: String,
    /// Name and tier of its SKU.
    pub sku: Sku,
}

/// A SKU as a client named it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sku {
    /// Its name.
    pub name: Option<String>,
    /// Its tier.
    pub tier: Option<String>,
}

impl WorkspaceWrite {
    /// A fresh workspace of which nothing but its name is known.
    pub fn named(name: ResourceName) -> WorkspaceWrite {
        WorkspaceWrite {
            id: Id::random(),
            expected: None,
            name,
            location: "local".into(),
            tags: "{}".into(),
            owner_email: String::new(),
            storage_account: String::new(),
            key_vault: None,
            state: "Enabled".into(),
            sku: Sku::default(),
        }
    }
}

impl Ledger {
    /// Makes a workspace with two fresh tokens, or changes one; its tokens then stay.
    ///
    /// # Errors
    /// `Conflict` when the name or id is taken or the workspace changed since the writer looked;
    /// `InternalError.UnknownError` when the ledger fails.
    pub async fn put_workspace(
        &self,
        write: WorkspaceWrite,
        actor: impl Into<Actor>,
    ) -> Result<Arc<Workspace>, Fault> {
        let (id, actor) = (write.id, actor.into());
        self.write(faults::internal_error::unknown_error, move |change| {
            let action = match write.expected {
                None => {
                    insert_workspace(change, &write)?;
                    "create"
                }
                Some(expected) => {
                    update_workspace(change, &write, expected)?;
                    "change"
                }
            };
            audit(change, &actor, action, &subject_of(id))
        })
        .await?;
        // Another write may have removed it since.
        self.directory()
            .workspace(&id)
            .cloned()
            .ok_or_else(|| conflict("the workspace was removed at the same time"))
    }

    /// Makes a further workspace of which nothing but its name is known.
    ///
    /// # Errors
    /// As for [`Ledger::put_workspace`].
    pub async fn create_workspace(
        &self,
        id: Id,
        name: ResourceName,
        actor: impl Into<Actor>,
    ) -> Result<(), Fault> {
        let write = WorkspaceWrite {
            id,
            ..WorkspaceWrite::named(name)
        };
        self.put_workspace(write, actor).await.map(drop)
    }

    /// Removes a workspace and its tokens; `false` where there is none.
    ///
    /// # Errors
    /// `Conflict` while anything stands in it, and for the workspace that services without one
    /// get; `InternalError.UnknownError` when the ledger fails.
    pub async fn delete_workspace(&self, id: Id, actor: impl Into<Actor>) -> Result<bool, Fault> {
        let actor = actor.into();
        let default = self.directory().default_workspace().map(|w| w.id);
        if default == Some(id) {
            return Err(conflict("the installation's first workspace stays"));
        }
        self.write(faults::internal_error::unknown_error, move |change| {
            // Whatever stands in a workspace refers to it.
            let count = change
                .transaction
                .prepare_cached("DELETE FROM workspaces WHERE id = ?1")?
                .execute([id.0])
                .map_err(|e| match e.sqlite_error_code() {
                    Some(ErrorCode::ConstraintViolation) => {
                        Failure::Fault(conflict("services still stand in the workspace"))
                    }
                    _ => e.into(),
                })?;
            change.touch_workspaces();
            if count > 0 {
                audit(change, &actor, "delete", &subject_of(id))?;
            }
            Ok(count > 0)
        })
        .await
    }

    /// The two plain tokens of a workspace: primary, secondary. Nothing else gives them.
    ///
    /// # Errors
    /// `NotFound.WorkspaceNotFound`; `InternalError.UnknownError` when the ledger fails or the
    /// tokens do not open.
    pub async fn workspace_tokens(&self, id: Id) -> Result<[String; 2], Fault> {
        let [primary, secondary]: [Vec<u8>; 2] = self
            .read(move |connection| {
                connection
                    .prepare_cached(
                        "SELECT primary_sealed, secondary_sealed FROM workspaces WHERE id = ?1",
                    )?
                    .query_row([id.0], |row| Ok([row.get(0)?, row.get(1)?]))
                    .optional()?
                    .ok_or_else(|| faults::not_found::workspace_not_found().into())
            })
            .await?;
        let open = |sealed: &[u8], which| {
            let plain = self.sealer.open(sealed, &context(id, which))?;
            String::from_utf8(plain).map_err(|e| {
                faults::internal_error::unknown_error()
                    .caused_by(&e)
                    .because("a token is not text")
            })
        };
        Ok([
            open(&primary, WhichKey::Primary)?,
            open(&secondary, WhichKey::Secondary)?,
        ])
    }

    /// Makes one of a workspace's tokens anew; the old one opens nothing any more when this
    /// answers.
    ///
    /// # Errors
    /// `NotFound.WorkspaceNotFound`; `InternalError.UnknownError` when the ledger fails.
    pub async fn rotate_workspace_token(
        &self,
        id: Id,
        which: WhichKey,
        actor: impl Into<Actor>,
    ) -> Result<(), Fault> {
        let actor = actor.into();
        self.write(faults::internal_error::unknown_error, move |change| {
            if !set_token(change, id, which)? {
                return Err(faults::not_found::workspace_not_found().into());
            }
            let action = match which {
                WhichKey::Primary => "change primary token",
                WhichKey::Secondary => "change secondary token",
            };
            audit(change, &actor, action, &subject_of(id))
        })
        .await
    }
}

fn subject_of(workspace: Id) -> String {
    format!("workspace {workspace}")
}

/// What a sealed token is bound to.
pub(crate) fn context(workspace: Id, which: WhichKey) -> String {
    match which {
        WhichKey::Primary => format!("workspace {workspace} primary token"),
        WhichKey::Secondary => format!("workspace {workspace} secondary token"),
    }
}

/// A fresh token, sealed, and its digest.
fn fresh_token(sealer: &Sealer, workspace: Id, which: WhichKey) -> (Vec<u8>, [u8; 32]) {
    let token = random_token();
    let sealed = sealer.seal(token.as_bytes(), &context(workspace, which));
    (sealed, sealer.digest_key(&token).0)
}

/// Gives a workspace a fresh token; `false` where there is no such workspace.
fn set_token(change: &mut Change<'_>, workspace: Id, which: WhichKey) -> Result<bool, Failure> {
    let sql = match which {
        WhichKey::Primary => {
            "UPDATE workspaces SET primary_sealed = ?2, primary_digest = ?3 WHERE id = ?1"
        }
        WhichKey::Secondary => {
            "UPDATE workspaces SET secondary_sealed = ?2, secondary_digest = ?3 WHERE id = ?1"
        }
    };
    let (sealed, digest) = fresh_token(change.sealer, workspace, which);
    let count =
        change
            .transaction
            .prepare_cached(sql)?
            .execute(params![workspace.0, sealed, digest])?;
    change.touch_workspaces();
    Ok(count > 0)
}

/// Gives tokens to workspaces that were made before there were any.
pub(crate) fn ensure_tokens(change: &mut Change<'_>) -> Result<(), Failure> {
    let without: Vec<Id> = change
        .transaction
        .prepare_cached(
            "SELECT id FROM workspaces
             WHERE primary_digest IS NULL OR secondary_digest IS NULL",
        )?
        .query_map([], |row| id_at(row, 0))?
        .collect::<Result<_, _>>()?;
    for id in without {
        set_token(change, id, WhichKey::Primary)?;
        set_token(change, id, WhichKey::Secondary)?;
    }
    Ok(())
}

/// Makes a workspace; a name that is taken is a `Conflict`.
pub(crate) fn insert_workspace(
    change: &mut Change<'_>,
    write: &WorkspaceWrite,
) -> Result<(), Failure> {
    let key = write.name.key();
    let (primary_sealed, primary_digest) = fresh_token(change.sealer, write.id, WhichKey::Primary);
    let (secondary_sealed, secondary_digest) =
        fresh_token(change.sealer, write.id, WhichKey::Secondary);
    change
        .transaction
        .prepare_cached(
            "INSERT INTO workspaces (id, subscription, subscription_key, resource_group,
                 resource_group_key, name, name_key, location, tags, owner_email,
                 storage_account, key_vault, state, sku_name, sku_tier, primary_sealed,
                 secondary_sealed, primary_digest, secondary_digest, created, modified)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17,
                 ?18, ?19, ?20, ?20)",
        )?
        .execute(params![
            write.id.0,
            write.name.subscription,
            key.subscription.to_string(),
            write.name.resource_group,
            key.resource_group,
            write.name.name,
            key.name,
            write.location,
            write.tags,
            write.owner_email,
            write.storage_account,
            write.key_vault,
            write.state,
            write.sku.name,
            write.sku.tier,
            primary_sealed,
            secondary_sealed,
            primary_digest,
            secondary_digest,
            Timestamp::now().as_microsecond(),
        ])
        .map_err(|e| match e.sqlite_error_code() {
            Some(ErrorCode::ConstraintViolation) => {
                Failure::Fault(conflict("the workspace exists"))
            }
            _ => e.into(),
        })?;
    change.touch_workspaces();
    Ok(())
}

fn update_workspace(
    change: &mut Change<'_>,
    write: &WorkspaceWrite,
    expected: u64,
) -> Result<(), Failure> {
    let connection = change.transaction;
    let seen: Option<(u64, Timestamp)> = connection
        .prepare_cached("SELECT version, modified FROM workspaces WHERE id = ?1")?
        .query_row([write.id.0], |row| {
            Ok((number_at(row, 0)?, time_at(row, 1)?))
        })
        .optional()?;
    let Some((version, modified)) = seen else {
        return Err(conflict("the workspace was removed at the same time").into());
    };
    if version != expected {
        return Err(conflict("the workspace was changed at the same time").into());
    }
    let modified = Timestamp::now().max(modified + SignedDuration::from_micros(1));
    connection
        .prepare_cached(
            "UPDATE workspaces SET tags = ?2, owner_email = ?3, storage_account = ?4,
                 key_vault = ?5, state = ?6, sku_name = ?7, sku_tier = ?8, modified = ?9,
                 version = version + 1
             WHERE id = ?1",
        )?
        .execute(params![
            write.id.0,
            write.tags,
            write.owner_email,
            write.storage_account,
            write.key_vault,
            write.state,
            write.sku.name,
            write.sku.tier,
            modified.as_microsecond(),
        ])?;
    change.touch_workspaces();
    Ok(())
}

/// All workspaces.
pub(crate) fn workspaces(connection: &Connection) -> Result<Vec<Workspace>, Failure> {
    let mut statement = connection.prepare_cached(
        "SELECT id, subscription, resource_group, name, location, tags, owner_email,
                storage_account, key_vault, state, type, sku_name, sku_tier, primary_digest,
                secondary_digest, created, modified, version
         FROM workspaces",
    )?;
    let rows = statement.query_map([], |row| {
        Ok(Workspace {
            id: id_at(row, 0)?,
            name: ResourceName {
                subscription: row.get(1)?,
                resource_group: row.get(2)?,
                name: row.get(3)?,
            },
            location: row.get(4)?,
            tags: row.get(5)?,
            owner_email: row.get(6)?,
            storage_account: row.get(7)?,
            key_vault: row.get(8)?,
            state: row.get(9)?,
            kind: row.get(10)?,
            sku: Sku {
                name: row.get(11)?,
                tier: row.get(12)?,
            },
            tokens: [digest_at(row, 13)?, digest_at(row, 14)?],
            created: time_at(row, 15)?,
            modified: time_at(row, 16)?,
            version: number_at(row, 17)?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}
