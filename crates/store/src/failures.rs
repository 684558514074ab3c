//! Audit lines of changes that are no write to the ledger: those that failed, written after the
//! reply and within bounds, and those that were made elsewhere.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

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
    /// Whether a write has been asked for that will take the lines.
    asked: bool,
}

/// A write that was asked for. One that never came to take the lines, because the ledger failed
/// before, leaves them to the next.
struct Asked {
    failures: Arc<Failures>,
    taken: bool,
}

impl Asked {
    fn take(&mut self) -> Waiting {
        self.taken = true;
        std::mem::take(&mut *self.failures.lock())
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        if !self.taken {
            self.failures.lock().asked = false;
        }
    }
}

impl Failures {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
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
        let mut waiting = self.failures.lock();
        match waiting.lines.len() < WAITING {
            true => waiting.lines.push((Timestamp::now(), line)),
            false => waiting.left_out += 1,
        }
        // Whoever comes first asks for the write, which takes all that have come by then.
        if !std::mem::replace(&mut waiting.asked, true) {
            drop(waiting);
            let mut asked = Asked {
                failures: self.failures.clone(),
                taken: false,
            };
            self.write_later("audit lines", move |change| write(change, &asked.take()));
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
