//! Batch jobs: what was asked for, how far each is, and who may go on with it.
//!
//! A job and each of its chunks are *held* by one node at a time, for as long as its lease lasts
//! by the ledger's clock. Whoever comes to hold one gets the next number of its *fence*; every
//! later write names that number and changes nothing where another one has come since. So a holder
//! that was thought dead, and was only slow, does no harm when it wakes.
//!
//! `queue` has what callers do, `hold` how the runner gets jobs and ends them, `chunks` the work
//! in between.

mod chunks;
mod hold;
mod queue;

use std::time::Duration;

use faults::Fault;
use jiff::Timestamp;
use rusqlite::{Connection, Row, params};

use crate::Id;
use crate::ledger::{Change, Failure};
use crate::rows::{damaged, id_at, number_at, optional_time_at, time_at};

pub use chunks::{Chunk, ChunkDone, ChunkLease, ChunkState, NewChunk};
pub use hold::{ClaimRules, ClaimedJob, StagedOutput, UntidyJob};
pub use queue::{JobCursor, JobLimits, NewJob};

/// Now by the ledger's clock, in microseconds.
const NOW: &str = "CAST(unixepoch('subsec') * 1000000 AS INTEGER)";

/// What a job's request is sealed for.
pub(crate) fn request_context(job: Id) -> String {
    format!("request of job {job}")
}

fn subject_of(job: Id) -> String {
    format!("job {job}")
}

/// A length of time in microseconds, as the ledger counts it.
fn micros(time: Duration) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX / 4)
}

/// Names of parts as they are kept.
fn names(parts: &impl serde::Serialize) -> Result<String, Fault> {
    serde_json::to_string(parts).map_err(|e| {
        faults::internal_error::unknown_error()
            .caused_by(&e)
            .because("the names of parts cannot be written down")
    })
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// The version of the API that a job was submitted by, which decides how it is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ApiVersion {
    /// Without `api-version`: one output, and the job starts at once.
    V1,
    /// `2.0`.
    V2,
}

/// How far a job is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum JobState {
    /// Submitted.
    NotStarted,
    /// Started, and waiting for its turn.
    Queued,
    /// Under way.
    Running,
    /// At its end, with all of its outputs in place.
    Finished,
    /// At its end, with a fault.
    Failed,
    /// At its end, because somebody asked for that.
    Cancelled,
}

impl JobState {
    /// All of them with the codes that stand for them in the ledger.
    const ALL: [(JobState, i64); 6] = [
        (JobState::NotStarted, 0),
        (JobState::Running, 1),
        (JobState::Failed, 2),
        (JobState::Cancelled, 3),
        (JobState::Finished, 4),
        (JobState::Queued, 5),
    ];

    fn code(self) -> i64 {
        let found = Self::ALL.iter().find(|(state, _)| *state == self);
        found.map_or(0, |(_, code)| *code)
    }

    /// The state of a stored status code.
    fn of_code(code: i64) -> Result<JobState, Fault> {
        let found = Self::ALL.iter().find(|(_, known)| *known == code);
        found
            .map(|(state, _)| *state)
            .ok_or_else(|| faults::internal_error::unknown_job_status_code(code.to_string()))
    }

    /// Reads the name of a state, in any case.
    pub fn parse(text: &str) -> Option<JobState> {
        let mut all = Self::ALL.iter().map(|(state, _)| *state);
        all.find(|state| state.name().eq_ignore_ascii_case(text))
    }

    /// `NotStarted`, `Queued`, `Running`, `Finished`, `Failed` or `Cancelled`.
    pub fn name(self) -> &'static str {
        match self {
            JobState::NotStarted => "NotStarted",
            JobState::Queued => "Queued",
            JobState::Running => "Running",
            JobState::Finished => "Finished",
            JobState::Failed => "Failed",
            JobState::Cancelled => "Cancelled",
        }
    }

    /// Whether a job of this state stays as it is.
    pub fn is_end(self) -> bool {
        matches!(
            self,
            JobState::Finished | JobState::Failed | JobState::Cancelled
        )
    }
}

/// A job as the ledger tells of it.
#[derive(Debug, Clone)]
pub struct JobRecord {
    /// Its id.
    pub id: Id,
    /// Counts the jobs; later ones have higher numbers.
    pub number: u64,
    /// The workspace of its service.
    pub workspace: Id,
    /// Its endpoint.
    pub endpoint: Id,
    /// `service/endpoint` when it was submitted.
    pub label: String,
    /// The version of the API that it was submitted by.
    pub version: ApiVersion,
    /// Who submitted it.
    pub actor: String,
    /// How far it is.
    pub state: JobState,
    /// When it was submitted.
    pub created: Timestamp,
    /// When it first ran.
    pub started: Option<Timestamp>,
    /// When it came to its end.
    pub ended: Option<Timestamp>,
    /// What it failed with.
    pub fault: Option<Fault>,
    /// The bytes of its inputs, once they are known.
    pub bytes_total: Option<u64>,
    /// How many of them are done.
    pub bytes_read: u64,
    /// Rows done.
    pub rows: u64,
    /// Rows rejected.
    pub rejected: u64,
    /// Chunks done.
    pub chunks_done: u64,
    /// Chunks that are known of.
    pub chunks: u64,
    /// Whether all chunks are known of.
    pub indexed: bool,
    /// When this was read, by the ledger's clock.
    pub now: Timestamp,
}

/// What is read of a job before its status code is looked at.
struct RawJob {
    record: JobRecord,
    code: i64,
}

impl RawJob {
    fn known(self) -> Result<JobRecord, Fault> {
        Ok(JobRecord {
            state: JobState::of_code(self.code)?,
            ..self.record
        })
    }
}

/// The columns of a [`RawJob`]. Chunks tell of a job that is not at its end, the job of one that
/// is: its chunks are gone.
fn columns() -> String {
    format!(
        "SELECT j.id, j.number, j.workspace_id, j.endpoint_id, j.label, j.api_version, j.actor,
                j.state, j.created, j.started, j.ended, j.fault, j.bytes_total, j.indexed, {NOW},
                j.bytes_read + coalesce((SELECT sum(length) FROM chunks c
                                         WHERE c.job_id = j.id AND c.state = 2), 0),
                j.row_count + coalesce((SELECT sum(row_count) FROM chunks c
                                        WHERE c.job_id = j.id AND c.state = 2), 0),
                j.rejected + coalesce((SELECT sum(rejected) FROM chunks c
                                       WHERE c.job_id = j.id AND c.state = 2), 0),
                CASE WHEN j.ended IS NULL
                     THEN (SELECT count(*) FROM chunks c WHERE c.job_id = j.id AND c.state = 2)
                     ELSE j.chunk_count END,
                CASE WHEN j.ended IS NULL
                     THEN (SELECT count(*) FROM chunks c WHERE c.job_id = j.id)
                     ELSE j.chunk_count END
         FROM jobs j"
    )
}

fn raw_job(row: &Row<'_>) -> Result<RawJob, rusqlite::Error> {
    let fault: Option<Vec<u8>> = row.get(11)?;
    Ok(RawJob {
        code: row.get(7)?,
        record: JobRecord {
            id: id_at(row, 0)?,
            number: number_at(row, 1)?,
            workspace: id_at(row, 2)?,
            endpoint: id_at(row, 3)?,
            label: row.get(4)?,
            version: version_at(row, 5)?,
            actor: row.get(6)?,
            state: JobState::NotStarted,
            created: time_at(row, 8)?,
            started: optional_time_at(row, 9)?,
            ended: optional_time_at(row, 10)?,
            // What an older program has written and this one does not know is a failure too.
            fault: fault.map(|bytes| Fault::from_bytes(&bytes).unwrap_or_else(|fault| fault)),
            bytes_total: optional_number_at(row, 12)?,
            indexed: row.get(13)?,
            now: time_at(row, 14)?,
            bytes_read: number_at(row, 15)?,
            rows: number_at(row, 16)?,
            rejected: number_at(row, 17)?,
            chunks_done: number_at(row, 18)?,
            chunks: number_at(row, 19)?,
        },
    })
}

fn version_at(row: &Row<'_>, column: usize) -> Result<ApiVersion, rusqlite::Error> {
    match row.get::<_, i64>(column)? {
        1 => Ok(ApiVersion::V1),
        2 => Ok(ApiVersion::V2),
        _ => Err(damaged(column, "api version")),
    }
}

fn optional_number_at(row: &Row<'_>, column: usize) -> Result<Option<u64>, rusqlite::Error> {
    row.get::<_, Option<i64>>(column)?
        .map(|n| u64::try_from(n).map_err(|_| damaged(column, "number")))
        .transpose()
}

/// Brings a job to its end, with what its chunks have come to; those go, whoever held it holds it
/// no longer. One that never ran has nothing to be tidied, and its request goes at once.
fn end(
    connection: &Connection,
    job: Id,
    state: JobState,
    fault: Option<&Fault>,
) -> Result<(), Failure> {
    connection
        .prepare_cached(&format!(
            "UPDATE jobs SET state = ?2, fault = ?3, ended = {NOW}, fence = fence + 1,
                 holder_id = NULL, lease_until = 0,
                 request = CASE WHEN ?2 = 4 OR untidy = 1 THEN request END,
                 (bytes_read, row_count, rejected, compute, chunk_count) =
                     (SELECT jobs.bytes_read + coalesce(sum(length), 0),
                             coalesce(sum(c.row_count), 0), coalesce(sum(c.rejected), 0),
                             coalesce(sum(c.compute), 0), count(*)
                      FROM chunks c WHERE c.job_id = ?1 AND c.state = 2)
             WHERE id = ?1"
        ))?
        .execute(params![job.0, state.code(), fault.map(Fault::to_bytes)])?;
    connection
        .prepare_cached("DELETE FROM chunks WHERE job_id = ?1")?
        .execute([job.0])?;
    Ok(())
}

/// Cancels the jobs of endpoints that are gone. Those that never ran go with them; the others go
/// when nothing of them is left behind.
pub(crate) fn cancel_of_gone_endpoints(change: &Change<'_>) -> Result<(), Failure> {
    let connection = change.transaction;
    let jobs: Vec<Id> = connection
        .prepare_cached(
            "SELECT id FROM jobs WHERE ended IS NULL
             AND endpoint_id NOT IN (SELECT id FROM endpoints)",
        )?
        .query_map([], |row| id_at(row, 0))?
        .collect::<Result<_, _>>()?;
    for job in jobs {
        end(connection, job, JobState::Cancelled, None)?;
    }
    forget_of_gone_endpoints(connection)
}

/// Removes the jobs of endpoints that are gone, of which nothing is left behind.
fn forget_of_gone_endpoints(connection: &Connection) -> Result<(), Failure> {
    connection
        .prepare_cached(
            "DELETE FROM jobs WHERE ended IS NOT NULL AND untidy = 0
             AND endpoint_id NOT IN (SELECT id FROM endpoints)",
        )?
        .execute([])?;
    Ok(())
}

/// Removes jobs that ended so long ago; how many those were.
pub(crate) fn forget_old(connection: &Connection, age: Duration) -> Result<usize, Failure> {
    Ok(connection
        .prepare_cached(&format!(
            "DELETE FROM jobs WHERE untidy = 0 AND ended < {NOW} - ?1"
        ))?
        .execute([micros(age)])?)
}
