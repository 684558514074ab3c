//! Writing services, endpoints and revisions to the ledger.

use std::sync::Arc;

use faults::{Class, Fault};
use jiff::{SignedDuration, Timestamp};
use rusqlite::{Connection, ErrorCode, OptionalExtension as _, params};

use crate::directory::{DEFAULT_ENDPOINT, Entry};
use crate::ledger::{Change, Failure, Ledger};
use crate::names::ResourceName;
use crate::plans::associate;
use crate::rows::{id_at, number_at, time_at};
use crate::seal::{KeyDigest, random_key};
use crate::{Actor, Id, Sha256, jobs};

/// A service as it is to stand after a write: made, or given a further revision.
#[derive(Debug, Clone)]
pub struct ServiceWrite {
    /// The service's id: the one it has, or a fresh one.
    pub service: Id,
    /// The id of its default endpoint: the one it has, or a fresh one.
    pub endpoint: Id,
    /// The id of the new revision.
    pub revision: Id,
    /// The version that the writer has seen; `None` for a service that must not exist yet.
    pub expected: Option<u64>,
    /// Where the service stands. An existing service keeps the spelling it was made with.
    pub name: ResourceName,
    /// Where it says that it runs. An existing service keeps its own.
    pub location: String,
    /// A JSON object as text.
    pub tags: String,
    /// The workspace. An existing service keeps its own.
    pub workspace: Id,
    /// Whether this is the last change that is allowed.
    pub read_only: bool,
    /// The throttle of the default endpoint. With each write that endpoint gets the throttle and
    /// the diagnostics that the definition asks for, whatever it was set to meanwhile.
    pub max_concurrent_calls: u32,
    /// Both keys; `None` keeps those that are there, or makes fresh ones.
    pub keys: Option<[String; 2]>,
    /// The package as it is kept: JSON without keys and secrets.
    pub definition: String,
    /// Secrets of the package, which are sealed.
    pub secrets: Option<Vec<u8>>,
    /// The blob of each resource asset.
    pub resources: Vec<(String, Sha256)>,
    /// The commitment plan that the use of a fresh service counts against. An existing service
    /// keeps its own.
    pub plan: Option<ResourceName>,
}

/// What changes of a service without a further revision: its containers run on.
#[derive(Debug, Clone)]
pub struct PatchWrite {
    /// The service.
    pub service: Id,
    /// Its default endpoint.
    pub endpoint: Id,
    /// The revision that answers calls of the default endpoint, and whose definition changes.
    pub revision: Id,
    /// The version that the writer has seen.
    pub expected: u64,
    /// A JSON object as text.
    pub tags: String,
    /// Whether this is the last change that is allowed.
    pub read_only: bool,
    /// The throttle of the default endpoint, where it changes.
    pub max_concurrent_calls: Option<u32>,
    /// Whether the default endpoint's diagnostics are from now on what the definition says.
    pub diagnostics: bool,
    /// The keys that change: primary, secondary.
    pub keys: [Option<String>; 2],
    /// The definition as it then is: JSON without keys and secrets.
    pub definition: String,
    /// The secrets of the definition, which are sealed.
    pub secrets: Option<Vec<u8>>,
}

/// Which of an endpoint's two keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhichKey {
    /// The primary key.
    Primary,
    /// The secondary key.
    Secondary,
}

impl WhichKey {
    /// What a sealed key is bound to.
    pub(crate) fn context(self, endpoint: Id) -> String {
        match self {
            WhichKey::Primary => format!("endpoint {endpoint} primary key"),
            WhichKey::Secondary => format!("endpoint {endpoint} secondary key"),
        }
    }
}

/// What a revision's sealed secrets are bound to.
pub(crate) fn secrets_context(revision: Id) -> String {
    format!("revision {revision} secrets")
}

impl Ledger {
    /// Makes a service or gives an existing one a further revision that answers calls from now
    /// on; ids and keys of an existing one stay. The oldest revisions beyond
    /// those that are kept go.
    ///
    /// # Errors
    /// `Conflict` when the name is taken, the service changed since the writer looked, or it is
    /// read-only; `NotFound.WorkspaceNotFound`; `NotFound.ResourceNotFound` for a commitment plan
    /// that should be here; `InternalError.FailedStoringWebService`, which
    /// leaves everything as it was.
    pub async fn put_service(
        &self,
        write: ServiceWrite,
        actor: impl Into<Actor>,
    ) -> Result<Arc<Entry>, Fault> {
        self.put_service_over(write, None, actor).await
    }

    /// As [`Ledger::put_service`], for a writer that has looked at the service's keys some time
    /// ago and found `keys_seen`: a write that carries keys does not replace others than those,
    /// since it might bring back a key that was revoked meanwhile.
    ///
    /// # Errors
    /// As for [`Ledger::put_service`]; `Conflict` also for keys that changed.
    pub async fn put_service_over(
        &self,
        write: ServiceWrite,
        keys_seen: Option<[KeyDigest; 2]>,
        actor: impl Into<Actor>,
    ) -> Result<Arc<Entry>, Fault> {
        let (service, actor) = (write.service, actor.into());
        self.write(
            faults::internal_error::failed_storing_web_service,
            move |change| put_service(change, write, keys_seen, &actor),
        )
        .await?;
        self.entry(service)
    }

    /// Lets another stored revision answer calls. `max_concurrent_calls` is the throttle that its
    /// definition asks for.
    ///
    /// # Errors
    /// `Conflict` as for [`Ledger::put_service`], and when the revision is no longer kept;
    /// `InternalError.FailedStoringWebService`.
    pub async fn activate_revision(
        &self,
        service: Id,
        revision: Id,
        max_concurrent_calls: u32,
        expected: u64,
        actor: impl Into<Actor>,
    ) -> Result<Arc<Entry>, Fault> {
        let actor = actor.into();
        self.write(
            faults::internal_error::failed_storing_web_service,
            move |change| {
                let seen = Seen::writable(change.transaction, service, expected)?;
                let number: Option<u64> = change
                    .transaction
                    .prepare_cached(
                        "SELECT number FROM revisions
                         WHERE id = ?1 AND service_id = ?2 AND endpoint_id IS NULL",
                    )?
                    .query_row(params![revision.0, service.0], |row| number_at(row, 0))
                    .optional()?;
                let number = number.ok_or_else(|| conflict("the revision is no longer kept"))?;
                change
                    .transaction
                    .prepare_cached(
                        "UPDATE endpoints SET revision_id = ?2, max_concurrent_calls = ?3,
                             throttle_level = 'High', diagnostics_level = NULL,
                             diagnostics_expiry = NULL, version = version + 1, modified = ?5
                         WHERE service_id = ?1 AND name_key = ?4",
                    )?
                    .execute(params![
                        service.0,
                        revision.0,
                        max_concurrent_calls,
                        DEFAULT_ENDPOINT,
                        Timestamp::now().as_microsecond(),
                    ])?;
                seen.count(change, service)?;
                audit(
                    change,
                    &actor,
                    &format!("roll back to revision {number}"),
                    &subject_of(service),
                )
            },
        )
        .await?;
        self.entry(service)
    }

    /// Removes a service with its endpoints and revisions; its blobs are left to the next sweep.
    /// `false` where there is no such service.
    ///
    /// # Errors
    /// `InternalError.DeleteWebServiceResourceFailed`, which leaves everything as it was.
    pub async fn delete_service(
        &self,
        service: Id,
        actor: impl Into<Actor>,
    ) -> Result<bool, Fault> {
        let actor = actor.into();
        self.write(
            faults::internal_error::delete_web_service_resource_failed,
            move |change| {
                let count = change
                    .transaction
                    .prepare_cached("DELETE FROM services WHERE id = ?1")?
                    .execute([service.0])?;
                change.touch(service);
                if count > 0 {
                    jobs::cancel_of_gone_endpoints(change)?;
                    audit(change, &actor, "delete", &subject_of(service))?;
                }
                Ok(count > 0)
            },
        )
        .await
    }

    /// Replaces one or both keys of an endpoint; `None` leaves one as it is. A deploy that is under
    /// way meanwhile is not disturbed.
    ///
    /// # Errors
    /// `NotFound.WebServiceNotFound`; `Conflict` for a read-only service;
    /// `InternalError.UnknownError` when the ledger fails.
    pub async fn set_keys(
        &self,
        endpoint: Id,
        primary: Option<String>,
        secondary: Option<String>,
        actor: impl Into<Actor>,
    ) -> Result<(), Fault> {
        let actor = actor.into();
        self.write(faults::internal_error::unknown_error, move |change| {
            let service = change
                .transaction
                .prepare_cached("SELECT service_id FROM endpoints WHERE id = ?1")?
                .query_row([endpoint.0], |row| id_at(row, 0))
                .optional()?
                .ok_or_else(faults::not_found::web_service_not_found)?;
            let seen = Seen::read(change.transaction, service)?
                .ok_or_else(faults::not_found::web_service_not_found)?;
            seen.check_writable()?;
            if let Some(key) = &primary {
                replace_key(change, endpoint, WhichKey::Primary, key)?;
            }
            if let Some(key) = &secondary {
                replace_key(change, endpoint, WhichKey::Secondary, key)?;
            }
            seen.touch(change, service)?;
            audit(change, &actor, "change keys", &subject_of(service))
        })
        .await
    }

    /// The directory's entry of a service that was just written.
    pub(crate) fn entry(&self, service: Id) -> Result<Arc<Entry>, Fault> {
        // Another write may have removed the service since.
        self.directory()
            .endpoint(&service)
            .cloned()
            .ok_or_else(|| conflict("the service was removed at the same time"))
    }
}

pub(crate) fn subject_of(service: Id) -> String {
    format!("service {service}")
}

pub(crate) fn conflict(cause: &str) -> Fault {
    Fault::bare(Class::Conflict).because(cause)
}

/// A service's row as a write finds it.
pub(crate) struct Seen {
    version: u64,
    read_only: bool,
    modified: Timestamp,
    last_revision: u64,
}

impl Seen {
    pub(crate) fn read(connection: &Connection, service: Id) -> Result<Option<Seen>, Failure> {
        Ok(connection
            .prepare_cached(
                "SELECT version, read_only, modified, last_revision FROM services WHERE id = ?1",
            )?
            .query_row([service.0], |row| {
                Ok(Seen {
                    version: number_at(row, 0)?,
                    read_only: row.get(1)?,
                    modified: time_at(row, 2)?,
                    last_revision: number_at(row, 3)?,
                })
            })
            .optional()?)
    }

    /// The row of a service that may be changed and has not been since the writer looked.
    pub(crate) fn writable(
        connection: &Connection,
        service: Id,
        expected: u64,
    ) -> Result<Seen, Failure> {
        let seen = Seen::read(connection, service)?
            .ok_or_else(|| conflict("the service was removed at the same time"))?;
        if seen.version != expected {
            return Err(conflict("the service was changed at the same time").into());
        }
        seen.check_writable()?;
        Ok(seen)
    }

    pub(crate) fn check_writable(&self) -> Result<(), Fault> {
        if self.read_only {
            return Err(conflict("the service is read-only"));
        }
        Ok(())
    }

    /// The number of a further revision, which is not given again.
    pub(crate) fn take_revision_number(
        &self,
        connection: &Connection,
        service: Id,
    ) -> Result<u64, Failure> {
        let number = self.last_revision + 1;
        connection
            .prepare_cached("UPDATE services SET last_revision = ?2 WHERE id = ?1")?
            .execute(params![service.0, number as i64])?;
        Ok(number)
    }

    /// Counts the write, so that whoever has seen the service before it can no longer change it.
    pub(crate) fn count(&self, change: &mut Change<'_>, service: Id) -> Result<(), Failure> {
        change
            .transaction
            .prepare_cached("UPDATE services SET version = version + 1 WHERE id = ?1")?
            .execute([service.0])?;
        self.touch(change, service)
    }

    /// Moves the time of the last change, always forward.
    fn touch(&self, change: &mut Change<'_>, service: Id) -> Result<(), Failure> {
        let modified = Timestamp::now().max(self.modified + SignedDuration::from_micros(1));
        change
            .transaction
            .prepare_cached("UPDATE services SET modified = ?2 WHERE id = ?1")?
            .execute(params![service.0, modified.as_microsecond()])?;
        change.touch(service);
        Ok(())
    }
}

pub(crate) fn put_service(
    change: &mut Change<'_>,
    write: ServiceWrite,
    keys_seen: Option<[KeyDigest; 2]>,
    actor: &Actor,
) -> Result<(), Failure> {
    let connection = change.transaction;
    let now = Timestamp::now();
    let number;
    match write.expected {
        None => {
            let known: bool = connection
                .prepare_cached("SELECT EXISTS (SELECT 1 FROM workspaces WHERE id = ?1)")?
                .query_row([write.workspace.0], |row| row.get(0))?;
            if !known {
                return Err(faults::not_found::workspace_not_found().into());
            }
            number = 1;
            let key = write.name.key();
            connection
                .prepare_cached(
                    "INSERT INTO services (id, subscription, subscription_key, resource_group,
                         resource_group_key, name, name_key, location, tags, workspace_id,
                         read_only, created, modified, version, last_revision)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?12, 1, 1)",
                )?
                .execute(params![
                    write.service.0,
                    write.name.subscription,
                    key.subscription.to_string(),
                    write.name.resource_group,
                    key.resource_group,
                    write.name.name,
                    key.name,
                    write.location,
                    write.tags,
                    write.workspace.0,
                    write.read_only,
                    now.as_microsecond(),
                ])
                .map_err(|e| match e.sqlite_error_code() {
                    Some(ErrorCode::ConstraintViolation) => {
                        Failure::Fault(conflict("the name was taken at the same time"))
                    }
                    _ => e.into(),
                })?;
            if let Some(plan) = &write.plan {
                associate(change, write.service, plan)?;
            }
            change.touch(write.service);
        }
        Some(expected) => {
            let seen = Seen::writable(connection, write.service, expected)?;
            number = seen.take_revision_number(connection, write.service)?;
            connection
                .prepare_cached("UPDATE services SET tags = ?2, read_only = ?3 WHERE id = ?1")?
                .execute(params![write.service.0, write.tags, write.read_only])?;
            seen.count(change, write.service)?;
        }
    }

    let sealed = write
        .secrets
        .map(|plain| change.sealer.seal(&plain, &secrets_context(write.revision)));
    connection
        .prepare_cached(
            "INSERT INTO revisions (id, service_id, number, definition, secrets, created)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute(params![
            write.revision.0,
            write.service.0,
            number as i64,
            write.definition,
            sealed,
            now.as_microsecond(),
        ])?;
    for (asset, sha256) in &write.resources {
        connection
            .prepare_cached(
                "INSERT INTO resources (revision_id, asset_id, sha256) VALUES (?1, ?2, ?3)",
            )?
            .execute(params![write.revision.0, asset, sha256.0])?;
    }

    if write.expected.is_none() {
        let [primary, secondary] = write.keys.unwrap_or_else(|| [random_key(), random_key()]);
        let seal = |key: &str, which: WhichKey| {
            change
                .sealer
                .seal(key.as_bytes(), &which.context(write.endpoint))
        };
        connection
            .prepare_cached(
                "INSERT INTO endpoints (id, service_id, name, name_key, revision_id,
                     primary_sealed, secondary_sealed, primary_digest, secondary_digest,
                     max_concurrent_calls, created, modified)
                 VALUES (?1, ?2, ?3, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?10)",
            )?
            .execute(params![
                write.endpoint.0,
                write.service.0,
                DEFAULT_ENDPOINT,
                write.revision.0,
                seal(&primary, WhichKey::Primary),
                seal(&secondary, WhichKey::Secondary),
                change.sealer.digest_key(&primary).0,
                change.sealer.digest_key(&secondary).0,
                write.max_concurrent_calls,
                now.as_microsecond(),
            ])?;
    } else {
        let count = connection
            .prepare_cached(
                "UPDATE endpoints SET revision_id = ?3, max_concurrent_calls = ?4,
                     throttle_level = 'High', diagnostics_level = NULL, diagnostics_expiry = NULL,
                     version = version + 1, modified = ?5
                 WHERE id = ?1 AND service_id = ?2",
            )?
            .execute(params![
                write.endpoint.0,
                write.service.0,
                write.revision.0,
                write.max_concurrent_calls,
                now.as_microsecond(),
            ])?;
        if count == 0 {
            return Err(conflict("the endpoint was removed at the same time").into());
        }
        if let Some([primary, secondary]) = write.keys {
            if let Some(seen) = keys_seen
                && keys_of(connection, write.endpoint)? != seen
            {
                return Err(conflict("the keys were changed at the same time").into());
            }
            replace_key(change, write.endpoint, WhichKey::Primary, &primary)?;
            replace_key(change, write.endpoint, WhichKey::Secondary, &secondary)?;
        }
    }

    let kept = change.retention.revisions.saturating_add(1);
    let kept = i64::try_from(kept).unwrap_or(i64::MAX);
    // The newest stay, and those that an endpoint still uses. What was made for one endpoint alone
    // is not counted.
    connection
        .prepare_cached(
            "DELETE FROM revisions WHERE service_id = ?1 AND endpoint_id IS NULL
             AND id NOT IN (SELECT revision_id FROM endpoints WHERE service_id = ?1)
             AND id NOT IN (SELECT revision_id FROM jobs
                            WHERE revision_id IS NOT NULL AND ended IS NULL)
             AND id NOT IN (SELECT id FROM revisions WHERE service_id = ?1
                            AND endpoint_id IS NULL ORDER BY number DESC LIMIT ?2)",
        )?
        .execute(params![write.service.0, kept])?;
    let action = match number {
        1 => "create".to_owned(),
        n => format!("deploy revision {n}"),
    };
    audit(change, actor, &action, &subject_of(write.service))
}

/// Writes a [`PatchWrite`].
pub(crate) fn patch_service(
    change: &mut Change<'_>,
    write: PatchWrite,
    actor: &Actor,
) -> Result<(), Failure> {
    let connection = change.transaction;
    let seen = Seen::writable(connection, write.service, write.expected)?;
    connection
        .prepare_cached("UPDATE services SET tags = ?2, read_only = ?3 WHERE id = ?1")?
        .execute(params![write.service.0, write.tags, write.read_only])?;
    let sealed = write
        .secrets
        .map(|plain| change.sealer.seal(&plain, &secrets_context(write.revision)));
    let revisions = connection
        .prepare_cached("UPDATE revisions SET definition = ?2, secrets = ?3 WHERE id = ?1")?
        .execute(params![write.revision.0, write.definition, sealed])?;
    if revisions == 0 {
        return Err(conflict("the service was changed at the same time").into());
    }
    if let Some(most) = write.max_concurrent_calls {
        connection
            .prepare_cached(
                "UPDATE endpoints SET max_concurrent_calls = ?2, throttle_level = 'High'
                 WHERE id = ?1",
            )?
            .execute(params![write.endpoint.0, most])?;
    }
    if write.diagnostics {
        connection
            .prepare_cached(
                "UPDATE endpoints SET diagnostics_level = NULL, diagnostics_expiry = NULL
                 WHERE id = ?1",
            )?
            .execute([write.endpoint.0])?;
    }
    if write.max_concurrent_calls.is_some() || write.diagnostics {
        connection
            .prepare_cached(
                "UPDATE endpoints SET version = version + 1, modified = ?2 WHERE id = ?1",
            )?
            .execute(params![write.endpoint.0, Timestamp::now().as_microsecond()])?;
    }
    let [primary, secondary] = &write.keys;
    if let Some(key) = primary {
        replace_key(change, write.endpoint, WhichKey::Primary, key)?;
    }
    if let Some(key) = secondary {
        replace_key(change, write.endpoint, WhichKey::Secondary, key)?;
    }
    seen.count(change, write.service)?;
    audit(change, actor, "patch", &subject_of(write.service))
}

/// The digests of an endpoint's primary and secondary key.
fn keys_of(connection: &Connection, endpoint: Id) -> Result<[KeyDigest; 2], Failure> {
    Ok(connection
        .prepare_cached("SELECT primary_digest, secondary_digest FROM endpoints WHERE id = ?1")?
        .query_row([endpoint.0], |row| {
            Ok([KeyDigest(row.get(0)?), KeyDigest(row.get(1)?)])
        })?)
}

fn replace_key(
    change: &Change<'_>,
    endpoint: Id,
    which: WhichKey,
    key: &str,
) -> Result<(), Failure> {
    let sql = match which {
        WhichKey::Primary => {
            "UPDATE endpoints SET primary_sealed = ?2, primary_digest = ?3 WHERE id = ?1"
        }
        WhichKey::Secondary => {
            "UPDATE endpoints SET secondary_sealed = ?2, secondary_digest = ?3 WHERE id = ?1"
        }
    };
    let sealed = change.sealer.seal(key.as_bytes(), &which.context(endpoint));
    let digest = change.sealer.digest_key(key).0;
    change
        .transaction
        .prepare_cached(sql)?
        .execute(params![endpoint.0, sealed, digest])?;
    Ok(())
}

/// Writes the audit line of a change, in the transaction of the change.
pub(crate) fn audit(
    change: &Change<'_>,
    actor: &Actor,
    action: &str,
    subject: &str,
) -> Result<(), Failure> {
    change
        .transaction
        .prepare_cached(
            "INSERT INTO audit (at, actor, origin, action, subject, result)
             VALUES (?1, ?2, ?3, ?4, ?5, 'done')",
        )?
        .execute(params![
            Timestamp::now().as_microsecond(),
            actor.name,
            actor.origin,
            action,
            subject,
        ])?;
    Ok(())
}
