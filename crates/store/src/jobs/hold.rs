//! How the runner comes to hold jobs, goes on holding them, and ends them.

use std::time::Duration;

use faults::Fault;
use rusqlite::{Connection, params};

use super::{
    ApiVersion, JobState, NOW, end, forget_of_gone_endpoints, micros, names, request_context,
    signed, version_at,
};
use crate::Id;
use crate::ledger::{Failure, Ledger};
use crate::rows::{damaged, id_at, number_at};

/// Which jobs a node may take.
#[derive(Debug, Clone, Copy)]
pub struct ClaimRules {
    /// The node.
    pub node: Id,
    /// For how long it holds them unless it says that it goes on.
    pub lease: Duration,
    /// Jobs of one endpoint that run at once.
    pub per_endpoint: u64,
    /// How many it may take now.
    pub most: usize,
}

/// A job that a node holds.
#[derive(Debug)]
pub struct ClaimedJob {
    /// Its id.
    pub id: Id,
    /// The number that every write of this holder names.
    pub fence: u64,
    /// The workspace of its service.
    pub workspace: Id,
    /// Its endpoint.
    pub endpoint: Id,
    /// `service/endpoint` when it was submitted.
    pub label: String,
    /// The revision that it runs.
    pub revision: Id,
    /// The version of the API that it was submitted by.
    pub version: ApiVersion,
    /// What is asked for; `InternalError.MissingTaskInstance` where that is gone.
    pub request: Result<Vec<u8>, Fault>,
    /// How it is cut, where that was written down.
    pub plan: Option<String>,
    /// Whether all of its chunks are in the ledger.
    pub indexed: bool,
    /// Whether only its outputs are still to be put in place.
    pub committing: bool,
    /// Whether somebody has held it before.
    pub resumed: bool,
}

/// What is staged for an output of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StagedOutput {
    /// Which output.
    pub position: u32,
    /// What the place calls the parts that are staged.
    pub token: String,
    /// Its parts in their order, where no chunk has them.
    pub parts: Option<Vec<String>>,
    /// Whether it is in place.
    pub committed: bool,
}

/// A job at its end of which something may be left behind.
#[derive(Debug)]
pub struct UntidyJob {
    /// Its id.
    pub id: Id,
    /// The workspace of its service.
    pub workspace: Id,
    /// What was asked for; `None` where that is gone or cannot be read.
    pub request: Option<Vec<u8>>,
    /// What may be staged still.
    pub staged: Vec<StagedOutput>,
}

/// A job that may be taken, before its request is opened.
struct Found {
    job: ClaimedJob,
    sealed: Option<Vec<u8>>,
}

impl Ledger {
    /// Whether there is a job that a node could take: looked at before anything is written.
    ///
    /// # Errors
    /// `InternalError.UnknownError` when the ledger fails.
    pub async fn has_claimable_jobs(&self, rules: ClaimRules) -> Result<bool, Fault> {
        self.read(move |connection| Ok(!candidates(connection, rules, 1)?.is_empty()))
            .await
    }

    /// Takes jobs: those that run and that nobody holds any more, then those in the queue, of each
    /// endpoint in their order and of all endpoints in turn. A job that runs for the first time
    /// gets the revision that its endpoint has now.
    ///
    /// # Errors
    /// `InternalError.UnknownError` when the ledger fails.
    pub async fn claim_jobs(&self, rules: ClaimRules) -> Result<Vec<ClaimedJob>, Fault> {
        self.write(faults::internal_error::unknown_error, move |change| {
            let connection = change.transaction;
            let mut claimed = Vec::new();
            for id in candidates(connection, rules, rules.most)? {
                let Found { mut job, sealed } = claim(connection, rules, id)?;
                let sealed = sealed.filter(|sealed| !sealed.is_empty());
                job.request = sealed
                    .ok_or_else(faults::internal_error::missing_task_instance)
                    .and_then(|sealed| change.sealer.open(&sealed, &request_context(id)));
                claimed.push(job);
            }
            Ok(claimed)
        })
        .await
    }

    /// Goes on holding a job and those of its chunks that this holder works on. `false` where
    /// another one has come since, or the job is at its end: then nothing is written.
    ///
    /// # Errors
    /// `InternalError.UnknownError` when the ledger fails.
    pub async fn hold_job(&self, job: Id, fence: u64, lease: Duration) -> Result<bool, Fault> {
        self.write(faults::internal_error::unknown_error, move |change| {
            let connection = change.transaction;
            let held = connection
                .prepare_cached(&format!(
                    "UPDATE jobs SET lease_until = {NOW} + ?3 WHERE id = ?1 AND fence = ?2"
                ))?
                .execute(params![job.0, signed(fence), micros(lease)])?
                == 1;
            if held {
                connection
                    .prepare_cached(&format!(
                        "UPDATE chunks SET lease_until = {NOW} + ?2 WHERE job_id = ?1
                         AND state = 1
                         AND holder_id = (SELECT holder_id FROM jobs WHERE id = ?1)"
                    ))?
                    .execute(params![job.0, micros(lease)])?;
            }
            Ok(held)
        })
        .await
    }

    /// Of these jobs, with their fences, those that are held no longer.
    ///
    /// # Errors
    /// `InternalError.UnknownError` when the ledger fails.
    pub async fn lost_jobs(&self, held: Vec<(Id, u64)>) -> Result<Vec<Id>, Fault> {
        self.read(move |connection| {
            let mut lost = Vec::new();
            for (job, fence) in held {
                if !holds(connection, job, fence)? {
                    lost.push(job);
                }
            }
            Ok(lost)
        })
        .await
    }

    /// Gives up a job and its chunks, for whoever comes next to take at once. One that another
    /// holds stays as it is.
    ///
    /// # Errors
    /// `InternalError.UnknownError` when the ledger fails; the job is then taken when its lease is
    /// over.
    pub async fn release_job(&self, job: Id, fence: u64) -> Result<(), Fault> {
        self.write(faults::internal_error::unknown_error, move |change| {
            if holds(change.transaction, job, fence)? {
                release(change.transaction, Some(job), None)?;
            }
            Ok(())
        })
        .await
    }

    /// Gives up everything that a node held when it ended; how many jobs that were. For its start,
    /// when none of what it began goes on.
    ///
    /// # Errors
    /// `InternalError.UnknownError` when the ledger fails.
    pub async fn release_node(&self, node: Id) -> Result<usize, Fault> {
        self.write(faults::internal_error::unknown_error, move |change| {
            release(change.transaction, None, Some(node))
        })
        .await
    }

    /// Writes down that only the outputs of a job are still to be put in place, and the parts of
    /// those, by position, of which no chunk has them. `false` as for [`Ledger::hold_job`].
    ///
    /// # Errors
    /// `InternalError.UnknownError` when the ledger fails.
    pub async fn begin_commit(
        &self,
        job: Id,
        fence: u64,
        parts: Vec<(u32, Vec<String>)>,
    ) -> Result<bool, Fault> {
        self.fenced(job, fence, move |connection, job| {
            for (position, parts) in &parts {
                connection
                    .prepare_cached(
                        "UPDATE job_outputs SET parts = ?3 WHERE job_id = ?1 AND position = ?2",
                    )?
                    .execute(params![job.0, position, names(parts)?])?;
            }
            connection
                .prepare_cached("UPDATE jobs SET committing = 1 WHERE id = ?1")?
                .execute([job.0])?;
            Ok(())
        })
        .await
    }

    /// Writes down that an output of a job is in place. `false` as for [`Ledger::hold_job`].
    ///
    /// # Errors
    /// `InternalError.UnknownError` when the ledger fails.
    pub async fn output_committed(
        &self,
        job: Id,
        fence: u64,
        position: u32,
    ) -> Result<bool, Fault> {
        self.fenced(job, fence, move |connection, job| {
            connection
                .prepare_cached(
                    "UPDATE job_outputs SET committed = 1 WHERE job_id = ?1 AND position = ?2",
                )?
                .execute(params![job.0, position])?;
            Ok(())
        })
        .await
    }

    /// Brings a job to its end: finished, or failed with this fault. `false` as for
    /// [`Ledger::hold_job`].
    ///
    /// # Errors
    /// `InternalError.UnknownError` when the ledger fails.
    pub async fn end_job(&self, job: Id, fence: u64, fault: Option<Fault>) -> Result<bool, Fault> {
        self.fenced(job, fence, move |connection, job| {
            let state = match fault {
                None => JobState::Finished,
                Some(_) => JobState::Failed,
            };
            end(connection, job, state, fault.as_ref())
        })
        .await
    }

    /// Jobs at their end of which something may be left behind, the oldest first.
    ///
    /// # Errors
    /// `InternalError.UnknownError` when the ledger fails.
    pub async fn untidy_jobs(&self, limit: usize) -> Result<Vec<UntidyJob>, Fault> {
        let found = self
            .read(move |connection| {
                let jobs: Vec<(Id, Id, Option<Vec<u8>>)> = connection
                    .prepare_cached(
                        "SELECT id, workspace_id, request FROM jobs
                         WHERE untidy = 1 AND ended IS NOT NULL ORDER BY number LIMIT ?1",
                    )?
                    .query_map([i64::try_from(limit).unwrap_or(i64::MAX)], |row| {
                        Ok((id_at(row, 0)?, id_at(row, 1)?, row.get(2)?))
                    })?
                    .collect::<Result<_, _>>()?;
                let mut found = Vec::new();
                for (id, workspace, sealed) in jobs {
                    found.push((id, workspace, sealed, staged(connection, id)?));
                }
                Ok(found)
            })
            .await?;
        let open = |id: Id, sealed: Vec<u8>| self.sealer.open(&sealed, &request_context(id)).ok();
        Ok(found
            .into_iter()
            .map(|(id, workspace, sealed, staged)| UntidyJob {
                id,
                workspace,
                request: sealed.and_then(|sealed| open(id, sealed)),
                staged,
            })
            .collect())
    }

    /// Writes down that nothing of a job at its end is left behind. Its request goes, but for one
    /// that finished; the job itself goes where its endpoint is gone.
    ///
    /// # Errors
    /// `InternalError.UnknownError` when the ledger fails.
    pub async fn tidied(&self, job: Id) -> Result<(), Fault> {
        self.write(faults::internal_error::unknown_error, move |change| {
            let connection = change.transaction;
            connection
                .prepare_cached(
                    "UPDATE jobs SET untidy = 0, plan = NULL,
                         request = CASE WHEN state = 4 THEN request END
                     WHERE id = ?1 AND ended IS NOT NULL",
                )?
                .execute([job.0])?;
            connection
                .prepare_cached(
                    "DELETE FROM job_outputs WHERE job_id = ?1
                     AND EXISTS (SELECT 1 FROM jobs WHERE id = ?1 AND ended IS NOT NULL)",
                )?
                .execute([job.0])?;
            forget_of_gone_endpoints(connection)
        })
        .await
    }

    /// What is staged for a job's outputs, by position.
    ///
    /// # Errors
    /// `InternalError.UnknownError` when the ledger fails.
    pub async fn staged_outputs(&self, job: Id) -> Result<Vec<StagedOutput>, Fault> {
        self.read(move |connection| staged(connection, job)).await
    }

    /// The jobs that are not at their end: what they left in files is needed still.
    ///
    /// # Errors
    /// `InternalError.UnknownError` when the ledger fails.
    pub async fn unfinished_jobs(&self) -> Result<Vec<Id>, Fault> {
        self.read(|connection| {
            Ok(connection
                .prepare_cached("SELECT id FROM jobs WHERE ended IS NULL")?
                .query_map([], |row| id_at(row, 0))?
                .collect::<Result<_, _>>()?)
        })
        .await
    }

    /// Runs a write of a holder; `false`, and nothing is written, where it is held no longer.
    pub(super) async fn fenced<F>(&self, job: Id, fence: u64, write: F) -> Result<bool, Fault>
    where
        F: FnOnce(&Connection, Id) -> Result<(), Failure> + Send + 'static,
    {
        self.write(faults::internal_error::unknown_error, move |change| {
            let held = holds(change.transaction, job, fence)?;
            if held {
                write(change.transaction, job)?;
            }
            Ok(held)
        })
        .await
    }
}

/// Whether a holder of that number holds a job still.
pub(super) fn holds(connection: &Connection, job: Id, fence: u64) -> Result<bool, Failure> {
    Ok(connection
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM jobs WHERE id = ?1 AND fence = ?2 AND state = 1)",
        )?
        .query_row(params![job.0, signed(fence)], |row| row.get(0))?)
}

/// The jobs that may be taken, at most so many, in their order.
fn candidates(connection: &Connection, rules: ClaimRules, most: usize) -> Result<Vec<Id>, Failure> {
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    let mut found: Vec<Id> = connection
        .prepare_cached(&format!(
            "SELECT id FROM jobs WHERE state = 1 AND lease_until < {NOW} ORDER BY place LIMIT ?1"
        ))?
        .query_map([most], |row| id_at(row, 0))?
        .collect::<Result<_, _>>()?;
    let left = most - i64::try_from(found.len()).unwrap_or(most);
    // The first of each endpoint come before the second of any.
    let queued: Vec<Id> = connection
        .prepare_cached(
            "SELECT id FROM (
                 SELECT id, place,
                        row_number() OVER (PARTITION BY endpoint_id ORDER BY place)
                            + (SELECT count(*) FROM jobs r
                               WHERE r.endpoint_id = q.endpoint_id AND r.state = 1) AS turn
                 FROM jobs q WHERE state = 5)
             WHERE turn <= ?1 ORDER BY turn, place LIMIT ?2",
        )?
        .query_map(params![signed(rules.per_endpoint), left], |row| {
            id_at(row, 0)
        })?
        .collect::<Result<_, _>>()?;
    found.extend(queued);
    Ok(found)
}

fn claim(connection: &Connection, rules: ClaimRules, id: Id) -> Result<Found, Failure> {
    // Whoever held it before works for nobody now.
    release(connection, Some(id), None)?;
    connection
        .prepare_cached(&format!(
            "UPDATE jobs SET state = 1, started = coalesce(started, {NOW}), untidy = 1,
                 fence = fence + 1, holder_id = ?2, lease_until = {NOW} + ?3,
                 revision_id = coalesce(revision_id,
                     (SELECT revision_id FROM endpoints WHERE id = jobs.endpoint_id))
             WHERE id = ?1"
        ))?
        .execute(params![id.0, rules.node.0, micros(rules.lease)])?;
    Ok(connection
        .prepare_cached(
            "SELECT fence, workspace_id, endpoint_id, label, revision_id, api_version, plan,
                    indexed, committing, request
             FROM jobs WHERE id = ?1",
        )?
        .query_row([id.0], |row| {
            let fence = number_at(row, 0)?;
            Ok(Found {
                job: ClaimedJob {
                    id,
                    fence,
                    workspace: id_at(row, 1)?,
                    endpoint: id_at(row, 2)?,
                    label: row.get(3)?,
                    revision: id_at(row, 4)?,
                    version: version_at(row, 5)?,
                    plan: row.get(6)?,
                    indexed: row.get(7)?,
                    committing: row.get(8)?,
                    resumed: fence > 1,
                    request: Err(faults::internal_error::missing_task_instance()),
                },
                sealed: row.get(9)?,
            })
        })?)
}

/// Lets go of a job, or of all that a node holds; how many jobs.
fn release(connection: &Connection, job: Option<Id>, node: Option<Id>) -> Result<usize, Failure> {
    let (job, node) = (job.map(|id| id.0), node.map(|id| id.0));
    let jobs = connection
        .prepare_cached(
            "UPDATE jobs SET fence = fence + 1, holder_id = NULL, lease_until = 0
             WHERE state = 1 AND (?1 IS NULL OR id = ?1) AND (?2 IS NULL OR holder_id = ?2)",
        )?
        .execute(params![job, node])?;
    connection
        .prepare_cached(
            "UPDATE chunks SET state = 0, fence = fence + 1, holder_id = NULL, lease_until = 0
             WHERE state = 1 AND (?1 IS NULL OR job_id = ?1) AND (?2 IS NULL OR holder_id = ?2)",
        )?
        .execute(params![job, node])?;
    Ok(jobs)
}

fn staged(connection: &Connection, job: Id) -> Result<Vec<StagedOutput>, Failure> {
    Ok(connection
        .prepare_cached(
            "SELECT position, token, committed, parts FROM job_outputs WHERE job_id = ?1
             ORDER BY position",
        )?
        .query_map([job.0], |row| {
            Ok(StagedOutput {
                position: row.get(0)?,
                token: row.get(1)?,
                committed: row.get(2)?,
                parts: match row.get::<_, Option<String>>(3)? {
                    None => None,
                    Some(text) => {
                        Some(serde_json::from_str(&text).map_err(|_| damaged(3, "list of parts"))?)
                    }
                },
            })
        })?
        .collect::<Result<_, _>>()?)
}
