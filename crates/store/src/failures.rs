//! Audit lines of changes that are no write to the ledger: those that failed, written after the
//! reply and within bounds, and those that were made elsewhere.

use std::sync::{Arc, Mutex, PoisonError};

use faults::Fault;
use jiff::Timestamp;
use rusqlite::params;

use crate::Actor;
use crate::ledger::{Change, Failure, Ledger};
use crate::services::audit;

/// Lines that may wait to be written; further ones are counted.
const WAITING: usize = 1000;

/// A change that was asked for and failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedChange {
    /// Who asked for it.
    pub actor: Actor,
    /// What was asked for.
    pub action: String,
    /// Of which.
    pub subject: String,
    /// The class and code of what it failed with.
    pub result: String,
}

/// What waits to be written.
#[derive(Debug, Default)]
pub(crate) struct Failures(Mutex<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    lines: Vec<(Timestamp, FailedChange)>,
    left_out: u64,
}

impl Ledger {
    /// Puts a change on the audit trail that is no write to the ledger otherwise, such as a blob.
    ///
    /// # Errors
    /// `InternalError.UnknownError` when the ledger fails.
    pub async fn audit_done(
        &self,
        actor: impl Into<Actor>,
        action: &'static str,
        subject: &str,
    ) -> Result<(), Fault> {
        let (actor, subject) = (actor.into(), subject.to_owned());
        self.write(faults::internal_error::unknown_error, move |change| {
            audit(change, &actor, action, &subject)
        })
        .await
    }

    /// Puts a failed change on the audit trail. Neither waits nor fails: lines that come faster
    /// than the disk takes them are left out, and a line then says how many.
    pub fn audit_failure(&self, line: FailedChange) {
        let mut waiting = self
            .failures
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if waiting.lines.len() >= WAITING {
            waiting.left_out += 1;
            return;
        }
        let first = waiting.lines.is_empty();
        waiting.lines.push((Timestamp::now(), line));
        drop(waiting);
        // Whoever comes first asks for the write, which takes all that have come by then.
        if first {
            let failures: Arc<Failures> = self.failures.clone();
            self.write_later("audit lines", move |change| {
                let taken = {
                    let mut waiting = failures.0.lock().unwrap_or_else(PoisonError::into_inner);
                    std::mem::take(&mut *waiting)
                };
                write(change, &taken)
            });
        }
    }
}

fn write(change: &Change<'_>, taken: &Waiting) -> Result<(), Failure> {
    let mut statement = change.transaction.prepare_cached(
        "INSERT INTO audit (at, actor, origin, action, subject, result)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?;
    for (at, line) in &taken.lines {
        statement.execute(params![
            at.as_microsecond(),
            line.actor.name,
            line.actor.origin,
            line.action,
            line.subject,
            line.result,
        ])?;
    }
    if taken.left_out > 0 {
        statement.execute(params![
            Timestamp::now().as_microsecond(),
            "umpire",
            "",
            "leave out",
            format!("{} lines of failed changes", taken.left_out),
            "done",
        ])?;
    }
    Ok(())
}
