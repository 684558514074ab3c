//! The chunks of a job: how it is cut, who works on which, and what came of it.

use std::time::Duration;

use faults::Fault;
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::hold::holds;
use super::{NOW, StagedOutput, micros, names, signed};
use crate::Id;
use crate::ledger::{Failure, Ledger};
use crate::rows::{damaged, number_at};

/// A chunk as it is cut: a range of the input that begins and ends between two records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewChunk {
    /// Counts the chunks of a job from 0, in the order of the input.
    pub number: u32,
    /// Its first byte.
    pub start: u64,
    /// How many bytes it has.
    pub length: u64,
    /// The line that its first record stands on, counted from 1.
    pub first_line: u64,
}

/// How far a chunk is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChunkState {
    /// Nobody works on it.
    Waiting,
    /// Somebody does.
    Leased,
    /// Its parts are staged.
    Done(ChunkDone),
    /// It cannot be done.
    Failed(Fault),
}

/// What a chunk came to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ChunkDone {
    /// Rows read, without those that were rejected.
    pub rows: u64,
    /// Rows rejected.
    pub rejected: u64,
    /// How long it took.
    pub compute: Duration,
    /// For each output the parts that are staged, in their order.
    pub parts: Vec<Vec<String>>,
}

/// A chunk of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    /// Which, and what of the input.
    pub cut: NewChunk,
    /// How far it is.
    pub state: ChunkState,
    /// How often it was begun.
    pub attempts: u32,
}

/// A chunk that a holder of its job works on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChunkLease {
    /// The chunk.
    pub number: u32,
    /// The number that every write about this work names.
    pub fence: u64,
    /// How often it was begun, this time counted: never the same twice, so that what is staged can
    /// be named by it.
    pub attempt: u32,
}

const DONE: i64 = 2;
const FAILED: i64 = 3;

impl Ledger {
    /// Writes down how a job is cut, before its first chunk: the plan (of which the ledger
    /// understands nothing), what its outputs are staged under, and how many bytes there are to
    /// read, of which `read` (the head) are read already. What an earlier plan came to goes.
    /// `false` where the job is held no longer: then nothing is written.
    ///
    /// # Errors
    /// `InternalError.UnknownError` when the ledger fails.
    pub async fn put_job_plan(
        &self,
        job: Id,
        fence: u64,
        plan: String,
        outputs: Vec<StagedOutput>,
        (total, read): (u64, u64),
    ) -> Result<bool, Fault> {
        self.fenced(job, fence, move |connection, job| {
            for sql in [
                "DELETE FROM chunks WHERE job_id = ?1",
                "DELETE FROM job_outputs WHERE job_id = ?1",
            ] {
                connection.prepare_cached(sql)?.execute([job.0])?;
            }
            connection
                .prepare_cached(
                    "UPDATE jobs SET plan = ?2, indexed = 0, bytes_total = ?3, bytes_read = ?4
                     WHERE id = ?1",
                )?
                .execute(params![job.0, plan, signed(total), signed(read)])?;
            for output in &outputs {
                connection
                    .prepare_cached(
                        "INSERT INTO job_outputs (job_id, position, token) VALUES (?1, ?2, ?3)",
                    )?
                    .execute(params![job.0, output.position, output.token])?;
            }
            Ok(())
        })
        .await
    }

    /// Writes down further chunks; `last` with the last ones. Chunks that are there already stay.
    /// `false` as for [`Ledger::put_job_plan`].
    ///
    /// # Errors
    /// `InternalError.UnknownError` when the ledger fails.
    pub async fn add_chunks(
        &self,
        job: Id,
        fence: u64,
        chunks: Vec<NewChunk>,
        last: bool,
    ) -> Result<bool, Fault> {
        self.fenced(job, fence, move |connection, job| {
            let mut statement = connection.prepare_cached(
                "INSERT OR IGNORE INTO chunks (job_id, number, start, length, first_line)
                 VALUES (?1, ?2, ?3, ?4, ?5)",
            )?;
            for chunk in &chunks {
                statement.execute(params![
                    job.0,
                    chunk.number,
                    signed(chunk.start),
                    signed(chunk.length),
                    signed(chunk.first_line)
                ])?;
            }
            if last {
                connection
                    .prepare_cached("UPDATE jobs SET indexed = 1 WHERE id = ?1")?
                    .execute([job.0])?;
            }
            Ok(())
        })
        .await
    }

    /// The chunks of a job that are known of, in their order.
    ///
    /// # Errors
    /// `InternalError.UnknownError` when the ledger fails.
    pub async fn chunks(&self, job: Id) -> Result<Vec<Chunk>, Fault> {
        self.read(move |connection| {
            Ok(connection
                .prepare_cached(
                    "SELECT number, start, length, first_line, state, attempt, row_count, rejected,
                            compute, parts, fault
                     FROM chunks WHERE job_id = ?1 ORDER BY number",
                )?
                .query_map([job.0], chunk)?
                .collect::<Result<_, _>>()?)
        })
        .await
    }

    /// Begins a chunk that waits, or whose holder's lease is over. `None` where the job is held no
    /// longer, or the chunk is done, failed, or worked on by another.
    ///
    /// # Errors
    /// `InternalError.UnknownError` when the ledger fails.
    pub async fn lease_chunk(
        &self,
        job: Id,
        fence: u64,
        number: u32,
        lease: Duration,
    ) -> Result<Option<ChunkLease>, Fault> {
        self.write(faults::internal_error::unknown_error, move |change| {
            let connection = change.transaction;
            if !holds(connection, job, fence)? {
                return Ok(None);
            }
            Ok(connection
                .prepare_cached(&format!(
                    "UPDATE chunks SET state = 1, fence = fence + 1, attempt = attempt + 1,
                         lease_until = {NOW} + ?3,
                         holder_id = (SELECT holder_id FROM jobs WHERE id = ?1)
                     WHERE job_id = ?1 AND number = ?2
                     AND (state = 0 OR (state = 1 AND lease_until < {NOW}))
                     RETURNING fence, attempt"
                ))?
                .query_row(params![job.0, number, micros(lease)], |row| {
                    Ok(ChunkLease {
                        number,
                        fence: number_at(row, 0)?,
                        attempt: row.get(1)?,
                    })
                })
                .optional()?)
        })
        .await
    }

    /// Writes down that a chunk is done. `false` where the work was given to another since, or the
    /// job is at its end: then nothing is written, and what was staged is nobody's.
    ///
    /// # Errors
    /// `InternalError.UnknownError` when the ledger fails.
    pub async fn chunk_done(
        &self,
        job: Id,
        lease: ChunkLease,
        done: ChunkDone,
    ) -> Result<bool, Fault> {
        let parts = names(&done.parts)?;
        self.write(faults::internal_error::unknown_error, move |change| {
            let count = change
                .transaction
                .prepare_cached(
                    "UPDATE chunks SET state = ?4, row_count = ?5, rejected = ?6, compute = ?7,
                         parts = ?8, holder_id = NULL, lease_until = 0
                     WHERE job_id = ?1 AND number = ?2 AND fence = ?3 AND state = 1",
                )?
                .execute(params![
                    job.0,
                    lease.number,
                    signed(lease.fence),
                    DONE,
                    signed(done.rows),
                    signed(done.rejected),
                    micros(done.compute),
                    parts
                ])?;
            Ok(count == 1)
        })
        .await
    }

    /// Writes down that a chunk cannot be done. `false` as for [`Ledger::chunk_done`].
    ///
    /// # Errors
    /// `InternalError.UnknownError` when the ledger fails.
    pub async fn chunk_failed(
        &self,
        job: Id,
        lease: ChunkLease,
        fault: &Fault,
    ) -> Result<bool, Fault> {
        let fault = fault.to_bytes();
        self.write(faults::internal_error::unknown_error, move |change| {
            let count = change
                .transaction
                .prepare_cached(
                    "UPDATE chunks SET state = ?4, fault = ?5, holder_id = NULL, lease_until = 0
                     WHERE job_id = ?1 AND number = ?2 AND fence = ?3 AND state = 1",
                )?
                .execute(params![
                    job.0,
                    lease.number,
                    signed(lease.fence),
                    FAILED,
                    fault
                ])?;
            Ok(count == 1)
        })
        .await
    }

    /// Gives up the work on a chunk, which waits again. `false` as for [`Ledger::chunk_done`].
    ///
    /// # Errors
    /// `InternalError.UnknownError` when the ledger fails.
    pub async fn release_chunk(&self, job: Id, lease: ChunkLease) -> Result<bool, Fault> {
        self.write(faults::internal_error::unknown_error, move |change| {
            let count = change
                .transaction
                .prepare_cached(
                    "UPDATE chunks SET state = 0, fence = fence + 1, holder_id = NULL,
                         lease_until = 0
                     WHERE job_id = ?1 AND number = ?2 AND fence = ?3 AND state = 1",
                )?
                .execute(params![job.0, lease.number, signed(lease.fence)])?;
            Ok(count == 1)
        })
        .await
    }

    /// Lets a chunk that was done be done again, because what it left is gone. `false` as for
    /// [`Ledger::put_job_plan`].
    ///
    /// # Errors
    /// `InternalError.UnknownError` when the ledger fails.
    pub async fn reset_chunk(&self, job: Id, fence: u64, number: u32) -> Result<bool, Fault> {
        self.fenced(job, fence, move |connection: &Connection, job| {
            connection
                .prepare_cached(
                    "UPDATE chunks SET state = 0, fence = fence + 1, row_count = 0, rejected = 0,
                         compute = 0, parts = NULL
                     WHERE job_id = ?1 AND number = ?2 AND state = 2",
                )?
                .execute(params![job.0, number])?;
            Ok::<_, Failure>(())
        })
        .await
    }
}

fn chunk(row: &Row<'_>) -> Result<Chunk, rusqlite::Error> {
    let state = match row.get::<_, i64>(4)? {
        0 => ChunkState::Waiting,
        1 => ChunkState::Leased,
        DONE => ChunkState::Done(ChunkDone {
            rows: number_at(row, 6)?,
            rejected: number_at(row, 7)?,
            compute: Duration::from_micros(number_at(row, 8)?),
            parts: serde_json::from_str(row.get_ref(9)?.as_str()?)
                .map_err(|_| damaged(9, "list of parts"))?,
        }),
        FAILED => {
            let bytes: Vec<u8> = row.get::<_, Option<_>>(10)?.unwrap_or_default();
            ChunkState::Failed(Fault::from_bytes(&bytes).unwrap_or_else(|fault| fault))
        }
        _ => return Err(damaged(4, "state of a chunk")),
    };
    Ok(Chunk {
        cut: NewChunk {
            number: row.get(0)?,
            start: number_at(row, 1)?,
            length: number_at(row, 2)?,
            first_line: number_at(row, 3)?,
        },
        state,
        attempts: row.get(5)?,
    })
}
