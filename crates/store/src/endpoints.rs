//! Writing the endpoints of a service beside its default one, and what they have of their own.
//!
//! An endpoint is a copy: it goes on with the revision of the service that it was made of until it
//! is refreshed, however often the service is deployed meanwhile. One whose resources were replaced
//! has a revision of its own, which no other endpoint and no rollback sees.

use std::sync::Arc;

use faults::Fault;
use jiff::Timestamp;
use rusqlite::{Connection, ErrorCode, params};

use crate::directory::Entry;
use crate::ledger::{Change, Failure, Ledger};
use crate::rows::{hash_at, time_at};
use crate::seal::random_key;
use crate::services::{Seen, WhichKey, audit, conflict, secrets_context};
use crate::{Actor, Id, Sha256, jobs};

/// How many calls an endpoint of the low throttle level may have under way.
pub const LOW_CONCURRENCY: u32 = 4;

/// How many calls an endpoint may be asked to take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ThrottleLevel {
    /// [`LOW_CONCURRENCY`], which cannot be changed.
    Low,
    /// A number of the endpoint's own.
    #[default]
    High,
}

impl ThrottleLevel {
    /// Reads `Low` or `High`, in any case.
    pub fn parse(text: &str) -> Option<ThrottleLevel> {
        [ThrottleLevel::Low, ThrottleLevel::High]
            .into_iter()
            .find(|level| level.name().eq_ignore_ascii_case(text))
    }

    /// `Low` or `High`.
    pub fn name(self) -> &'static str {
        match self {
            ThrottleLevel::Low => "Low",
            ThrottleLevel::High => "High",
        }
    }
}

/// What is recorded of the calls of an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DiagnosticsLevel {
    /// Nothing.
    #[default]
    None,
    /// What a run writes to its standard error.
    Error,
    /// That and its standard output.
    All,
}

impl DiagnosticsLevel {
    /// Reads `None`, `Error` or `All`, in any case.
    pub fn parse(text: &str) -> Option<DiagnosticsLevel> {
        use DiagnosticsLevel::{All, Error, None};
        [None, Error, All]
            .into_iter()
            .find(|level| level.name().eq_ignore_ascii_case(text))
    }

    /// `None`, `Error` or `All`.
    pub fn name(self) -> &'static str {
        match self {
            DiagnosticsLevel::None => "None",
            DiagnosticsLevel::Error => "Error",
            DiagnosticsLevel::All => "All",
        }
    }
}

/// What is recorded of an endpoint's calls, jobs and container starts, and until when: what the
/// endpoint is set to, else what its package says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Recording {
    /// How much, until then.
    pub level: DiagnosticsLevel,
    /// When recording ends; `None` for never.
    pub until: Option<Timestamp>,
}

impl Recording {
    /// How much is recorded of what happens at that time.
    pub fn at(&self, now: Timestamp) -> DiagnosticsLevel {
        match self.until.is_some_and(|until| until <= now) {
            true => DiagnosticsLevel::None,
            false => self.level,
        }
    }
}

/// What an endpoint is set to, beside its throttle's number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointSettings {
    /// For people, often empty.
    pub description: Arc<str>,
    /// The kind of throttle.
    pub throttle_level: ThrottleLevel,
    /// What is recorded of its calls; `None` where the package says it.
    pub diagnostics: Option<DiagnosticsLevel>,
    /// When recording ends; `None` for never.
    pub diagnostics_expiry: Option<Timestamp>,
    /// Whether a refresh is refused.
    pub prevent_update: bool,
    /// Whether sample rows of the package appear in its documents, if the package shows them.
    pub sample_data: bool,
}

impl Default for EndpointSettings {
    fn default() -> Self {
        EndpointSettings {
            description: "".into(),
            throttle_level: ThrottleLevel::default(),
            diagnostics: None,
            diagnostics_expiry: None,
            prevent_update: false,
            sample_data: true,
        }
    }
}

/// An endpoint as it is to be made. Its keys are made with it.
#[derive(Debug, Clone)]
pub struct NewEndpoint {
    /// Its id, a fresh one.
    pub endpoint: Id,
    /// The service that it is for.
    pub service: Id,
    /// The version of the service that the writer has seen.
    pub expected: u64,
    /// Its name.
    pub name: String,
    /// Its settings.
    pub settings: EndpointSettings,
    /// Its throttle.
    pub max_concurrent_calls: u32,
    /// The service's revision that it is a copy of.
    pub revision: Id,
}

/// A resource that an endpoint has in the stead of its base revision's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnResource {
    /// The name of the asset.
    pub asset_name: String,
    /// Its blob.
    pub sha256: Sha256,
    /// The first part of where it was taken from.
    pub base_location: String,
    /// The second part.
    pub relative_location: String,
    /// When.
    pub updated: Timestamp,
}

/// What an endpoint's calls are to be answered by.
#[derive(Debug, Clone)]
pub enum EndpointRevision {
    /// The service's own revision of that id.
    OfService(Id),
    /// A revision for this endpoint alone.
    Own {
        /// Its id, a fresh one.
        id: Id,
        /// The package: JSON without keys and secrets.
        definition: String,
        /// Secrets of the package, which are sealed.
        secrets: Option<Vec<u8>>,
        /// The blob of each resource asset.
        resources: Vec<(String, Sha256)>,
    },
}

impl EndpointRevision {
    /// The revision's id.
    pub fn id(&self) -> Id {
        match self {
            EndpointRevision::OfService(id) | EndpointRevision::Own { id, .. } => *id,
        }
    }
}

/// Another revision for an endpoint that is not the default one.
#[derive(Debug, Clone)]
pub struct EndpointMove {
    /// The service.
    pub service: Id,
    /// The endpoint.
    pub endpoint: Id,
    /// The version of the service that the writer has seen.
    pub expected: u64,
    /// The service's revision that the endpoint is a copy of from now on.
    pub base: Id,
    /// What answers its calls.
    pub revision: EndpointRevision,
    /// All resources that are its own from now on.
    pub own: Vec<OwnResource>,
    /// Settings and throttle from now on; `None` leaves both as they are.
    pub settings: Option<(EndpointSettings, u32)>,
    /// What the audit trail calls it.
    pub action: &'static str,
}

impl Ledger {
    /// Makes an endpoint with fresh keys.
    ///
    /// # Errors
    /// `Conflict` when the name is taken, the service changed since the writer looked, or it is
    /// read-only; `InternalError.FailedStoringWebService`, which leaves everything as it was.
    pub async fn create_endpoint(
        &self,
        new: NewEndpoint,
        actor: impl Into<Actor>,
    ) -> Result<Arc<Entry>, Fault> {
        let (endpoint, actor) = (new.endpoint, actor.into());
        self.write(
            faults::internal_error::failed_storing_web_service,
            move |change| create(change, &new, &actor),
        )
        .await?;
        self.endpoint_entry(endpoint)
    }

    /// Changes an endpoint's settings and throttle.
    ///
    /// # Errors
    /// As for [`Ledger::create_endpoint`]; `Conflict` also for an endpoint that is gone.
    pub async fn set_endpoint(
        &self,
        before: &Entry,
        settings: EndpointSettings,
        max_concurrent_calls: u32,
        actor: impl Into<Actor>,
    ) -> Result<Arc<Entry>, Fault> {
        let (service, endpoint, expected) = (before.service, before.endpoint, before.version);
        let actor = actor.into();
        self.write(
            faults::internal_error::failed_storing_web_service,
            move |change| {
                let seen = Seen::writable(change.transaction, service, expected)?;
                write_settings(
                    change.transaction,
                    (service, endpoint),
                    &settings,
                    max_concurrent_calls,
                )?;
                count_endpoint(change.transaction, endpoint)?;
                seen.count(change, service)?;
                audit(change, &actor, "change settings", &subject_of(endpoint))
            },
        )
        .await?;
        self.endpoint_entry(endpoint)
    }

    /// Lets another revision answer the calls of an endpoint that is not the default one. The one
    /// that it had of its own goes. A failure of the ledger is called `row`.
    ///
    /// # Errors
    /// `Conflict` when the service changed since the writer looked or is read-only, or when the
    /// endpoint or the service's revision is gone; `row`, which leaves everything as it was.
    pub async fn move_endpoint(
        &self,
        to: EndpointMove,
        row: fn() -> Fault,
        actor: impl Into<Actor>,
    ) -> Result<Arc<Entry>, Fault> {
        let (endpoint, actor) = (to.endpoint, actor.into());
        self.write(row, move |change| move_endpoint(change, to, &actor))
            .await?;
        self.endpoint_entry(endpoint)
    }

    /// Removes an endpoint with what it has of its own; its blobs are left to the next sweep.
    /// `false` where there is no such endpoint. The default endpoint goes with its service only.
    ///
    /// # Errors
    /// `Conflict` for a read-only service; `InternalError.DeleteWebServiceResourceFailed`, which
    /// leaves everything as it was.
    pub async fn delete_endpoint(
        &self,
        service: Id,
        endpoint: Id,
        actor: impl Into<Actor>,
    ) -> Result<bool, Fault> {
        let actor = actor.into();
        self.write(
            faults::internal_error::delete_web_service_resource_failed,
            move |change| {
                let Some(seen) = Seen::read(change.transaction, service)? else {
                    return Ok(false);
                };
                seen.check_writable()?;
                let count = change
                    .transaction
                    .prepare_cached(
                        "DELETE FROM endpoints
                         WHERE id = ?1 AND service_id = ?2 AND base_revision IS NOT NULL",
                    )?
                    .execute(params![endpoint.0, service.0])?;
                if count == 0 {
                    return Ok(false);
                }
                jobs::cancel_of_gone_endpoints(change)?;
                drop_revisions(change.transaction, service)?;
                seen.count(change, service)?;
                audit(change, &actor, "delete", &subject_of(endpoint))?;
                Ok(true)
            },
        )
        .await
    }

    /// The resources that an endpoint has of its own, by name.
    ///
    /// # Errors
    /// `InternalError.UnknownError` when the ledger fails.
    pub async fn own_resources(&self, endpoint: Id) -> Result<Vec<OwnResource>, Fault> {
        self.read(move |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT asset_name, sha256, base_location, relative_location, updated
                 FROM endpoint_resources WHERE endpoint_id = ?1 ORDER BY asset_name",
            )?;
            let rows = statement.query_map([endpoint.0], |row| {
                Ok(OwnResource {
                    asset_name: row.get(0)?,
                    sha256: hash_at(row, 1)?,
                    base_location: row.get(2)?,
                    relative_location: row.get(3)?,
                    updated: time_at(row, 4)?,
                })
            })?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
        .await
    }

    /// The directory's entry of an endpoint that was just written.
    fn endpoint_entry(&self, endpoint: Id) -> Result<Arc<Entry>, Fault> {
        // Another write may have removed it since.
        self.directory()
            .endpoint(&endpoint)
            .cloned()
            .ok_or_else(|| conflict("the endpoint was removed at the same time"))
    }
}

fn subject_of(endpoint: Id) -> String {
    format!("endpoint {endpoint}")
}

/// Removes the revisions that were made for an endpoint which uses them no more.
pub(crate) fn drop_revisions(connection: &Connection, service: Id) -> Result<(), Failure> {
    connection
        .prepare_cached(
            "DELETE FROM revisions WHERE service_id = ?1 AND endpoint_id IS NOT NULL
             AND id NOT IN (SELECT revision_id FROM endpoints WHERE service_id = ?1)
             AND id NOT IN (SELECT revision_id FROM jobs
                            WHERE revision_id IS NOT NULL AND ended IS NULL)",
        )?
        .execute([service.0])?;
    Ok(())
}

/// Counts a write to an endpoint.
fn count_endpoint(connection: &Connection, endpoint: Id) -> Result<(), Failure> {
    connection
        .prepare_cached("UPDATE endpoints SET version = version + 1, modified = ?2 WHERE id = ?1")?
        .execute(params![endpoint.0, Timestamp::now().as_microsecond()])?;
    Ok(())
}

/// Writes the settings of an endpoint, given by its service and its own id.
fn write_settings(
    connection: &Connection,
    (service, endpoint): (Id, Id),
    settings: &EndpointSettings,
    max_concurrent_calls: u32,
) -> Result<(), Failure> {
    let count = connection
        .prepare_cached(
            "UPDATE endpoints SET description = ?3, throttle_level = ?4, diagnostics_level = ?5,
                 diagnostics_expiry = ?6, prevent_update = ?7, sample_data = ?8,
                 max_concurrent_calls = ?9
             WHERE id = ?1 AND service_id = ?2",
        )?
        .execute(params![
            endpoint.0,
            service.0,
            &*settings.description,
            settings.throttle_level.name(),
            settings.diagnostics.map(DiagnosticsLevel::name),
            settings.diagnostics_expiry.map(|at| at.as_microsecond()),
            settings.prevent_update,
            settings.sample_data,
            max_concurrent_calls,
        ])?;
    match count {
        0 => Err(conflict("the endpoint was removed at the same time").into()),
        _ => Ok(()),
    }
}

/// Whether a revision is one of the service's, which an endpoint can be a copy of.
fn is_of_service(connection: &Connection, service: Id, revision: Id) -> Result<bool, Failure> {
    Ok(connection
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM revisions
             WHERE id = ?1 AND service_id = ?2 AND endpoint_id IS NULL)",
        )?
        .query_row(params![revision.0, service.0], |row| row.get(0))?)
}

fn create(change: &mut Change<'_>, new: &NewEndpoint, actor: &Actor) -> Result<(), Failure> {
    let connection = change.transaction;
    let seen = Seen::writable(connection, new.service, new.expected)?;
    if !is_of_service(connection, new.service, new.revision)? {
        return Err(conflict("the revision is no longer kept").into());
    }
    let [primary, secondary] = [random_key(), random_key()];
    let seal = |key: &str, which: WhichKey| {
        change
            .sealer
            .seal(key.as_bytes(), &which.context(new.endpoint))
    };
    connection
        .prepare_cached(
            "INSERT INTO endpoints (id, service_id, name, name_key, revision_id,
                 primary_sealed, secondary_sealed, primary_digest, secondary_digest,
                 max_concurrent_calls, created, modified, description, throttle_level,
                 diagnostics_level, diagnostics_expiry, prevent_update, sample_data, base_revision)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?11, ?12, ?13, ?14, ?15, ?16,
                 ?17, ?5)",
        )?
        .execute(params![
            new.endpoint.0,
            new.service.0,
            new.name,
            new.name.to_lowercase(),
            new.revision.0,
            seal(&primary, WhichKey::Primary),
            seal(&secondary, WhichKey::Secondary),
            change.sealer.digest_key(&primary).0,
            change.sealer.digest_key(&secondary).0,
            new.max_concurrent_calls,
            Timestamp::now().as_microsecond(),
            &*new.settings.description,
            new.settings.throttle_level.name(),
            new.settings.diagnostics.map(DiagnosticsLevel::name),
            new.settings
                .diagnostics_expiry
                .map(|at| at.as_microsecond()),
            new.settings.prevent_update,
            new.settings.sample_data,
        ])
        .map_err(|e| match e.sqlite_error_code() {
            Some(ErrorCode::ConstraintViolation) => {
                Failure::Fault(conflict("the name was taken at the same time"))
            }
            _ => e.into(),
        })?;
    seen.count(change, new.service)?;
    audit(change, actor, "create", &subject_of(new.endpoint))
}

fn move_endpoint(change: &mut Change<'_>, to: EndpointMove, actor: &Actor) -> Result<(), Failure> {
    let connection = change.transaction;
    let seen = Seen::writable(connection, to.service, to.expected)?;
    let revision = to.revision.id();
    match to.revision {
        EndpointRevision::OfService(id) => {
            if !is_of_service(connection, to.service, id)? {
                return Err(conflict("the revision is no longer kept").into());
            }
        }
        EndpointRevision::Own {
            id,
            definition,
            secrets,
            resources,
        } => {
            let number = seen.take_revision_number(connection, to.service)?;
            let sealed = secrets.map(|plain| change.sealer.seal(&plain, &secrets_context(id)));
            connection
                .prepare_cached(
                    "INSERT INTO revisions (id, service_id, number, definition, secrets, created,
                         endpoint_id)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                )?
                .execute(params![
                    id.0,
                    to.service.0,
                    number as i64,
                    definition,
                    sealed,
                    Timestamp::now().as_microsecond(),
                    to.endpoint.0,
                ])?;
            for (asset, sha256) in &resources {
                connection
                    .prepare_cached(
                        "INSERT INTO resources (revision_id, asset_id, sha256)
                         VALUES (?1, ?2, ?3)",
                    )?
                    .execute(params![id.0, asset, sha256.0])?;
            }
        }
    }
    let count = connection
        .prepare_cached(
            "UPDATE endpoints SET revision_id = ?3, base_revision = ?4
             WHERE id = ?1 AND service_id = ?2 AND base_revision IS NOT NULL",
        )?
        .execute(params![to.endpoint.0, to.service.0, revision.0, to.base.0])?;
    if count == 0 {
        return Err(conflict("the endpoint was removed at the same time").into());
    }
    if let Some((settings, max_concurrent_calls)) = &to.settings {
        let ids = (to.service, to.endpoint);
        write_settings(connection, ids, settings, *max_concurrent_calls)?;
    }
    connection
        .prepare_cached("DELETE FROM endpoint_resources WHERE endpoint_id = ?1")?
        .execute([to.endpoint.0])?;
    for own in &to.own {
        connection
            .prepare_cached(
                "INSERT INTO endpoint_resources (endpoint_id, asset_name, sha256, base_location,
                     relative_location, updated)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?
            .execute(params![
                to.endpoint.0,
                own.asset_name,
                own.sha256.0,
                own.base_location,
                own.relative_location,
                own.updated.as_microsecond(),
            ])?;
    }
    drop_revisions(connection, to.service)?;
    count_endpoint(connection, to.endpoint)?;
    seen.count(change, to.service)?;
    audit(change, actor, to.action, &subject_of(to.endpoint))
}
