//! Revisions, keys and the audit trail, read back from the ledger.

use std::collections::HashSet;

use faults::Fault;
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, params};

use crate::directory::DEFAULT_ENDPOINT;
use crate::ledger::{Failure, Ledger};
use crate::rows::{hash_at, id_at, number_at, time_at};
use crate::services::{WhichKey, secrets_context};
use crate::{Id, Sealer, Sha256};

/// One stored state of a package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revision {
    /// Its id.
    pub id: Id,
    /// The service that it belongs to.
    pub service: Id,
    /// Its number, counted from 1 in the service.
    pub number: u64,
    /// The package: JSON without keys and secrets.
    pub definition: String,
    /// The blob of each resource asset.
    pub resources: Vec<(String, Sha256)>,
    /// When it was stored.
    pub created: Timestamp,
}

/// A revision in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevisionSummary {
    /// Its id.
    pub id: Id,
    /// Its number, counted from 1 in the service.
    pub number: u64,
    /// When it was stored.
    pub created: Timestamp,
    /// Whether it answers the calls of the default endpoint.
    pub active: bool,
}

/// One line of the audit trail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditLine {
    /// Counts the lines; later ones have higher numbers.
    pub number: u64,
    /// When.
    pub at: Timestamp,
    /// Who.
    pub actor: String,
    /// From which address; empty where it is not known.
    pub origin: String,
    /// Did what.
    pub action: String,
    /// To which.
    pub subject: String,
    /// `done`, or the class and code of what it failed with.
    pub result: String,
}

impl Ledger {
    /// The two plain keys of an endpoint. Nothing else gives them.
    ///
    /// # Errors
    /// `NotFound.WebServiceNotFound`; `InternalError.UnknownError` when the ledger fails or the
    /// keys do not open.
    pub async fn keys(&self, endpoint: Id) -> Result<[String; 2], Fault> {
        let sealed: [Vec<u8>; 2] = self
            .read(move |connection| {
                connection
                    .prepare_cached(
                        "SELECT primary_sealed, secondary_sealed FROM endpoints WHERE id = ?1",
                    )?
                    .query_row([endpoint.0], |row| Ok([row.get(0)?, row.get(1)?]))
                    .optional()?
                    .ok_or_else(|| faults::not_found::web_service_not_found().into())
            })
            .await?;
        let [primary, secondary] = sealed;
        Ok([
            open_key(&self.sealer, &primary, endpoint, WhichKey::Primary)?,
            open_key(&self.sealer, &secondary, endpoint, WhichKey::Secondary)?,
        ])
    }

    /// A revision with its package.
    ///
    /// # Errors
    /// `NotFound.WebServiceNotFound` when there is none: it went with its service;
    /// `InternalError.UnknownError` when the ledger fails.
    pub async fn revision(&self, id: Id) -> Result<Revision, Fault> {
        self.read(move |connection| revision(connection, id)).await
    }

    /// Like [`Ledger::revision`], for a thread that may wait.
    ///
    /// # Errors
    /// As for [`Ledger::revision`].
    pub fn revision_blocking(&self, id: Id) -> Result<Revision, Fault> {
        self.read_blocking(|connection| revision(connection, id))
    }

    /// The packages of several revisions, in their order; one that is gone is left out.
    ///
    /// # Errors
    /// `InternalError.UnknownError` when the ledger fails.
    pub async fn definitions(&self, ids: Vec<Id>) -> Result<Vec<(Id, String)>, Fault> {
        self.read(move |connection| {
            let mut statement =
                connection.prepare_cached("SELECT definition FROM revisions WHERE id = ?1")?;
            let mut found = Vec::with_capacity(ids.len());
            for id in ids {
                if let Some(text) = statement.query_row([id.0], |row| row.get(0)).optional()? {
                    found.push((id, text));
                }
            }
            Ok(found)
        })
        .await
    }

    /// The secrets that were taken out of a revision's package.
    ///
    /// # Errors
    /// `InternalError.UnknownError` when there is no such revision, the ledger fails or the
    /// secrets do not open.
    pub async fn secrets(&self, revision: Id) -> Result<Option<Vec<u8>>, Fault> {
        let sealed: Option<Vec<u8>> = self
            .read(move |connection| {
                Ok(connection
                    .prepare_cached("SELECT secrets FROM revisions WHERE id = ?1")?
                    .query_row([revision.0], |row| row.get(0))?)
            })
            .await?;
        sealed
            .map(|sealed| self.sealer.open(&sealed, &secrets_context(revision)))
            .transpose()
    }

    /// Like [`Ledger::secrets`], for a thread that may wait.
    ///
    /// # Errors
    /// As for [`Ledger::secrets`].
    pub fn secrets_blocking(&self, revision: Id) -> Result<Option<Vec<u8>>, Fault> {
        let sealed: Option<Vec<u8>> = self.read_blocking(|connection| {
            Ok(connection
                .prepare_cached("SELECT secrets FROM revisions WHERE id = ?1")?
                .query_row([revision.0], |row| row.get(0))?)
        })?;
        sealed
            .map(|sealed| self.sealer.open(&sealed, &secrets_context(revision)))
            .transpose()
    }

    /// The kept revisions of a service, newest first, without those that were made for one endpoint
    /// alone; none where there is no such service.
    ///
    /// # Errors
    /// `InternalError.UnknownError` when the ledger fails.
    pub async fn revisions(&self, service: Id) -> Result<Vec<RevisionSummary>, Fault> {
        self.read(move |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT r.id, r.number, r.created,
                        EXISTS (SELECT 1 FROM endpoints e
                                WHERE e.revision_id = r.id AND e.name_key = ?2)
                 FROM revisions r WHERE r.service_id = ?1 AND r.endpoint_id IS NULL
                 ORDER BY r.number DESC",
            )?;
            let rows = statement.query_map(params![service.0, DEFAULT_ENDPOINT], |row| {
                Ok(RevisionSummary {
                    id: id_at(row, 0)?,
                    number: number_at(row, 1)?,
                    created: time_at(row, 2)?,
                    active: row.get(3)?,
                })
            })?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
        .await
    }

    /// The blobs that any kept revision or model package names.
    ///
    /// # Errors
    /// `InternalError.UnknownError` when the ledger fails.
    pub fn named_blobs(&self) -> Result<HashSet<Sha256>, Fault> {
        self.read_blocking(named_blobs)
    }

    /// The newest lines of the audit trail, newest first.
    ///
    /// # Errors
    /// `InternalError.UnknownError` when the ledger fails.
    pub async fn audit(&self, limit: u32) -> Result<Vec<AuditLine>, Fault> {
        self.audit_before(limit, None).await
    }

    /// At most `limit` lines of the audit trail, newest first, of those before the line of number
    /// `before`.
    ///
    /// # Errors
    /// `InternalError.UnknownError` when the ledger fails.
    pub async fn audit_before(
        &self,
        limit: u32,
        before: Option<u64>,
    ) -> Result<Vec<AuditLine>, Fault> {
        let before = before.map_or(i64::MAX, |n| i64::try_from(n).unwrap_or(i64::MAX));
        self.read(move |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT number, at, actor, origin, action, subject, result FROM audit
                 WHERE number < ?2 ORDER BY number DESC LIMIT ?1",
            )?;
            let rows = statement.query_map(params![limit, before], |row| {
                Ok(AuditLine {
                    number: number_at(row, 0)?,
                    at: time_at(row, 1)?,
                    actor: row.get(2)?,
                    origin: row.get(3)?,
                    action: row.get(4)?,
                    subject: row.get(5)?,
                    result: row.get(6)?,
                })
            })?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
        .await
    }
}

/// The blobs that this ledger names: those that a sweep must leave and a backup must have.
pub(crate) fn named_blobs(connection: &Connection) -> Result<HashSet<Sha256>, Failure> {
    let mut statement = connection.prepare_cached(
        "SELECT sha256 FROM resources
         UNION SELECT sha256 FROM model_package_resources WHERE sha256 IS NOT NULL",
    )?;
    let rows = statement.query_map([], |row| hash_at(row, 0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn open_key(
    sealer: &Sealer,
    sealed: &[u8],
    endpoint: Id,
    which: WhichKey,
) -> Result<String, Fault> {
    let plain = sealer.open(sealed, &which.context(endpoint))?;
    String::from_utf8(plain).map_err(|e| {
        faults::internal_error::unknown_error()
            .caused_by(&e)
            .because("a key is not text")
    })
}

fn revision(connection: &Connection, id: Id) -> Result<Revision, Failure> {
    let mut statement = connection.prepare_cached(
        "SELECT asset_id, sha256 FROM resources WHERE revision_id = ?1 ORDER BY asset_id",
    )?;
    let resources = statement
        .query_map([id.0], |row| Ok((row.get(0)?, hash_at(row, 1)?)))?
        .collect::<Result<_, _>>()?;
    connection
        .prepare_cached(
            "SELECT service_id, number, definition, created FROM revisions WHERE id = ?1",
        )?
        .query_row([id.0], |row| {
            Ok(Revision {
                id,
                service: id_at(row, 0)?,
                number: number_at(row, 1)?,
                definition: row.get(2)?,
                resources,
                created: time_at(row, 3)?,
            })
        })
        .optional()?
        // A revision goes only with its service, or five further ones later.
        .ok_or_else(|| {
            faults::not_found::web_service_not_found()
                .because(format!("revision {id} is no longer kept"))
                .into()
        })
}
