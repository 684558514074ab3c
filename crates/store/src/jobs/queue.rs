//! What callers do with jobs: submit, start, cancel, and look.

use std::time::Duration;

use faults::{Class, Fault};
use rusqlite::{Connection, OptionalExtension as _, params};

use super::{
    ApiVersion, JobRecord, JobState, NOW, RawJob, columns, end, raw_job, request_context, signed,
    subject_of,
};
use crate::ledger::{Failure, Ledger};
use crate::services::audit;
use crate::{Actor, Id};

/// A job as it is submitted.
#[derive(Debug)]
pub struct NewJob {
    /// Its id, a fresh one.
    pub id: Id,
    /// The workspace of its service.
    pub workspace: Id,
    /// Its service.
    pub service: Id,
    /// Its endpoint.
    pub endpoint: Id,
    /// `service/endpoint`.
    pub label: String,
    /// The version of the API that it is submitted by. One of version 1 starts at once.
    pub version: ApiVersion,
    /// What is asked for, in the open; it is sealed here.
    pub request: Vec<u8>,
}

/// How many jobs that are not at their end there may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JobLimits {
    /// Of one endpoint.
    pub per_endpoint: u64,
    /// Of all of them.
    pub in_all: u64,
}

/// The end of a page of jobs: the next one begins after the job of this number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JobCursor(pub u64);

/// How long a caller is to wait when there are too many jobs.
const FULL: Duration = Duration::from_secs(30);

fn unknown_job() -> Failure {
    Fault::bare(Class::NotFound)
        .because("the endpoint has no such job")
        .into()
}

impl Ledger {
    /// Whether one more job may be submitted to an endpoint.
    ///
    /// # Errors
    /// `ServiceUnavailable` where there are too many that are not at their end;
    /// `InternalError.UnknownError` when the ledger fails.
    pub async fn room_for_job(&self, endpoint: Id, limits: JobLimits) -> Result<(), Fault> {
        self.read(move |connection| check_room(connection, endpoint, limits))
            .await
    }

    /// Writes a job that is to be. One of version 1 is queued, another one waits to be started.
    ///
    /// # Errors
    /// `ServiceUnavailable` where there are too many that are not at their end;
    /// `NotFound.WebServiceNotFound` where the endpoint is gone; `InternalError.UnknownError` when
    /// the ledger fails.
    pub async fn submit_job(
        &self,
        new: NewJob,
        limits: JobLimits,
        actor: impl Into<Actor>,
    ) -> Result<(), Fault> {
        let actor = actor.into();
        self.write(faults::internal_error::unknown_error, move |change| {
            let connection = change.transaction;
            let there: bool = connection
                .prepare_cached("SELECT EXISTS (SELECT 1 FROM endpoints WHERE id = ?1)")?
                .query_row([new.endpoint.0], |row| row.get(0))?;
            if !there {
                return Err(faults::not_found::web_service_not_found().into());
            }
            check_room(connection, new.endpoint, limits)?;
            let (version, state) = match new.version {
                ApiVersion::V1 => (1, JobState::Queued),
                ApiVersion::V2 => (2, JobState::NotStarted),
            };
            let request = change.sealer.seal(&new.request, &request_context(new.id));
            connection
                .prepare_cached(&format!(
                    "INSERT INTO jobs (id, workspace_id, service_id, endpoint_id, label,
                         api_version, actor, state, request, created, place)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, {NOW},
                         CASE WHEN ?8 = 5 THEN (SELECT coalesce(max(place), 0) + 1 FROM jobs) END)"
                ))?
                .execute(params![
                    new.id.0,
                    new.workspace.0,
                    new.service.0,
                    new.endpoint.0,
                    new.label,
                    version,
                    actor.name,
                    state.code(),
                    request,
                ])?;
            audit(change, &actor, "submit", &subject_of(new.id))
        })
        .await
    }

    /// Puts a job into the queue.
    ///
    /// # Errors
    /// `NotFound` where the endpoint has no such job; `InvalidOperation.CannotStartJob` for one
    /// that was started already; `InternalError.UnknownJobStatusCode`;
    /// `InternalError.UnknownError` when the ledger fails.
    pub async fn start_job(
        &self,
        endpoint: Id,
        job: Id,
        actor: impl Into<Actor>,
    ) -> Result<(), Fault> {
        let actor = actor.into();
        self.write(faults::internal_error::unknown_error, move |change| {
            let connection = change.transaction;
            let state = state_of(connection, endpoint, job)?;
            if state != JobState::NotStarted {
                return Err(faults::invalid_operation::cannot_start_job(state.name()).into());
            }
            connection
                .prepare_cached(
                    "UPDATE jobs SET state = ?2,
                         place = (SELECT coalesce(max(place), 0) + 1 FROM jobs)
                     WHERE id = ?1",
                )?
                .execute(params![job.0, JobState::Queued.code()])?;
            audit(change, &actor, "start", &subject_of(job))
        })
        .await
    }

    /// Cancels a job. Whether it made a difference: one at its end stays as it is, and so does one
    /// whose outputs are being put in place, which is as good as finished.
    ///
    /// # Errors
    /// `NotFound` where the endpoint has no such job; `InternalError.UnknownJobStatusCode`;
    /// `InternalError.UnknownError` when the ledger fails.
    pub async fn cancel_job(
        &self,
        endpoint: Id,
        job: Id,
        actor: impl Into<Actor>,
    ) -> Result<bool, Fault> {
        let actor = actor.into();
        self.write(faults::internal_error::unknown_error, move |change| {
            let connection = change.transaction;
            let state = state_of(connection, endpoint, job)?;
            let committing: bool = connection
                .prepare_cached("SELECT committing FROM jobs WHERE id = ?1")?
                .query_row([job.0], |row| row.get(0))?;
            if state.is_end() || committing {
                return Ok(false);
            }
            end(connection, job, JobState::Cancelled, None)?;
            audit(change, &actor, "cancel", &subject_of(job))?;
            Ok(true)
        })
        .await
    }

    /// A job of an endpoint.
    ///
    /// # Errors
    /// `NotFound` where the endpoint has no such job; `InternalError.UnknownJobStatusCode`;
    /// `InternalError.UnknownError` when the ledger fails.
    pub async fn job(&self, endpoint: Id, job: Id) -> Result<JobRecord, Fault> {
        self.read(move |connection| {
            let found = connection
                .prepare_cached(&format!(
                    "{} WHERE j.id = ?1 AND j.endpoint_id = ?2",
                    columns()
                ))?
                .query_row(params![job.0, endpoint.0], raw_job)
                .optional()?;
            Ok(found.ok_or_else(unknown_job)?.known()?)
        })
        .await
    }

    /// What was asked for; `None` where that is not kept any more.
    ///
    /// # Errors
    /// `InternalError.UnknownError` when there is no such job, the ledger fails or the request does
    /// not open.
    pub async fn job_request(&self, job: Id) -> Result<Option<Vec<u8>>, Fault> {
        let sealed: Option<Vec<u8>> = self
            .read(move |connection| {
                Ok(connection
                    .prepare_cached("SELECT request FROM jobs WHERE id = ?1")?
                    .query_row([job.0], |row| row.get(0))?)
            })
            .await?;
        sealed
            .filter(|sealed| !sealed.is_empty())
            .map(|sealed| self.sealer.open(&sealed, &request_context(job)))
            .transpose()
    }

    /// At most `limit` jobs of an endpoint, the newest first, of those before the cursor and, where
    /// a state is given, of that state.
    ///
    /// # Errors
    /// `InternalError.UnknownJobStatusCode` where a job has one; `InternalError.UnknownError` when
    /// the ledger fails.
    pub async fn jobs(
        &self,
        endpoint: Id,
        before: Option<JobCursor>,
        limit: usize,
        state: Option<JobState>,
    ) -> Result<Vec<JobRecord>, Fault> {
        self.read(move |connection| {
            let before = before.map_or(i64::MAX, |JobCursor(number)| signed(number));
            let mut statement = connection.prepare_cached(&format!(
                "{} WHERE j.endpoint_id = ?1 AND j.number < ?2 AND (?3 IS NULL OR j.state = ?3)
                 ORDER BY j.number DESC LIMIT ?4",
                columns()
            ))?;
            let rows = statement.query_map(
                params![
                    endpoint.0,
                    before,
                    state.map(JobState::code),
                    i64::try_from(limit).unwrap_or(i64::MAX)
                ],
                raw_job,
            )?;
            let raw: Vec<RawJob> = rows.collect::<Result<_, _>>()?;
            Ok(raw
                .into_iter()
                .map(RawJob::known)
                .collect::<Result<_, Fault>>()?)
        })
        .await
    }

    /// How many jobs of each state there are that are not at their end.
    ///
    /// # Errors
    /// `InternalError.UnknownError` when the ledger fails.
    pub async fn job_counts(&self) -> Result<[(JobState, u64); 3], Fault> {
        self.read(move |connection| {
            let mut counts =
                [JobState::NotStarted, JobState::Queued, JobState::Running].map(|state| (state, 0));
            for (state, count) in &mut counts {
                *count = connection
                    .prepare_cached("SELECT count(*) FROM jobs WHERE state = ?1")?
                    .query_row([state.code()], |row| crate::rows::number_at(row, 0))?;
            }
            Ok(counts)
        })
        .await
    }
}

/// The state of a job of an endpoint.
fn state_of(connection: &Connection, endpoint: Id, job: Id) -> Result<JobState, Failure> {
    let code: i64 = connection
        .prepare_cached("SELECT state FROM jobs WHERE id = ?1 AND endpoint_id = ?2")?
        .query_row(params![job.0, endpoint.0], |row| row.get(0))
        .optional()?
        .ok_or_else(unknown_job)?;
    Ok(JobState::of_code(code)?)
}

fn check_room(connection: &Connection, endpoint: Id, limits: JobLimits) -> Result<(), Failure> {
    let (of_endpoint, in_all): (i64, i64) = connection
        .prepare_cached(
            "SELECT count(*) FILTER (WHERE endpoint_id = ?1), count(*)
             FROM jobs WHERE ended IS NULL",
        )?
        .query_row([endpoint.0], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let full = |whose: &str, count: i64| {
        Fault::bare(Class::ServiceUnavailable)
            .retry_after(FULL)
            .because(format!(
                "{whose} has {count} jobs that are not at their end"
            ))
    };
    if of_endpoint >= signed(limits.per_endpoint) {
        return Err(full("the endpoint", of_endpoint).into());
    }
    if in_all >= signed(limits.in_all) {
        return Err(full("the installation", in_all).into());
    }
    Ok(())
}
