//! How long records are kept, and the removal of those that are older.

use std::time::Duration;

use faults::Fault;
use jiff::{SignedDuration, Timestamp};
use rusqlite::params;

use crate::ledger::{Failure, Ledger};
use crate::operations::forget_old;
use crate::{Store, jobs};

/// How long records are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Revisions before the newest of each service, beside those that an endpoint still uses.
    pub revisions: u64,
    /// Lines of the audit trail.
    pub audit_age: Duration,
    /// The most lines of the audit trail.
    pub audit_lines: u64,
    /// Operations of the Resource Manager that have ended.
    pub operations: Duration,
    /// Records of use.
    pub usage: Duration,
    /// Batch jobs that are at their end.
    pub jobs: Duration,
}

/// A day in seconds.
const DAY: u64 = 24 * 60 * 60;

impl Default for Retention {
    fn default() -> Self {
        Retention {
            revisions: 5,
            audit_age: Duration::from_secs(400 * DAY),
            audit_lines: 1_000_000,
            operations: Duration::from_secs(DAY),
            usage: Duration::from_secs(400 * DAY),
            jobs: Duration::from_secs(30 * DAY),
        }
    }
}

impl Retention {
    /// The days for which records of use are kept.
    pub(crate) fn usage_days(&self) -> i64 {
        i64::try_from(self.usage.as_secs() / DAY).unwrap_or(i64::MAX)
    }
}

/// The moment that lies so long ago, in microseconds since 1970; one far before the first record
/// where it cannot be told.
pub(crate) fn since(age: Duration) -> i64 {
    SignedDuration::try_from(age)
        .ok()
        .and_then(|age| Timestamp::now().checked_sub(age).ok())
        .map_or(0, Timestamp::as_microsecond)
}

/// What was removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Revisions.
    pub revisions: usize,
    /// Lines of the audit trail.
    pub audit_lines: usize,
    /// Operations.
    pub operations: usize,
    /// Records of use.
    pub usage: usize,
    /// Batch jobs.
    pub jobs: usize,
}

impl Pruned {
    /// Whether there was nothing to remove.
    pub fn is_empty(&self) -> bool {
        *self == Pruned::default()
    }
}

impl Store {
    /// Lets records be kept so long from now on. What is older goes with the next
    /// [`Ledger::prune`].
    pub fn set_retention(&self, retention: Retention) {
        self.ledger.set_retention(retention);
    }
}

impl Ledger {
    /// Removes what is older than it is to be kept.
    ///
    /// # Errors
    /// `InternalError.UnknownError` when the ledger fails.
    pub async fn prune(&self) -> Result<Pruned, Fault> {
        self.write(faults::internal_error::unknown_error, |change| {
            let (connection, keep) = (change.transaction, change.retention);
            let run = |sql: &str, value: i64| -> Result<usize, Failure> {
                Ok(connection.prepare_cached(sql)?.execute(params![value])?)
            };
            let newest = i64::try_from(keep.revisions.saturating_add(1)).unwrap_or(i64::MAX);
            let revisions = run(
                "DELETE FROM revisions WHERE endpoint_id IS NULL
                 AND id NOT IN (SELECT revision_id FROM endpoints)
                 AND id NOT IN (SELECT revision_id FROM jobs
                                WHERE revision_id IS NOT NULL AND ended IS NULL)
                 AND id IN (SELECT id FROM (
                     SELECT id, row_number() OVER (PARTITION BY service_id ORDER BY number DESC)
                         AS place
                     FROM revisions WHERE endpoint_id IS NULL) WHERE place > ?1)",
                newest,
            )?;
            // One that was made for an endpoint alone goes with its last use, which a job may be.
            let revisions = revisions
                + connection
                    .prepare_cached(
                        "DELETE FROM revisions WHERE endpoint_id IS NOT NULL
                         AND id NOT IN (SELECT revision_id FROM endpoints)
                         AND id NOT IN (SELECT revision_id FROM jobs
                                        WHERE revision_id IS NOT NULL AND ended IS NULL)",
                    )?
                    .execute([])?;
            let lines = i64::try_from(keep.audit_lines).unwrap_or(i64::MAX);
            let old = run("DELETE FROM audit WHERE at < ?1", since(keep.audit_age))?;
            let many = run(
                "DELETE FROM audit WHERE number <= (SELECT max(number) FROM audit) - ?1",
                lines,
            )?;
            let operations = forget_old(connection, keep.operations)?;
            let jobs = jobs::forget_old(connection, keep.jobs)?;
            let today = Timestamp::now().as_second().div_euclid(DAY as i64);
            let first = today.saturating_sub(keep.usage_days());
            let usage = run("DELETE FROM usage WHERE day < ?1", first)?
                + run("DELETE FROM plan_usage WHERE day < ?1", first)?;
            Ok(Pruned {
                revisions,
                audit_lines: old + many,
                operations,
                usage,
                jobs,
            })
        })
        .await
    }
}
