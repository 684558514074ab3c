//! Tidying up after jobs: what is staged and not in place, and files that were needed meanwhile.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Instant;

use faults::Fault;
use store::{Id, UntidyJob};

use super::spool::Spool;
use super::trouble::pause;
use crate::request::Kept;
use crate::shared::Shared;

/// How many jobs are tidied up after at once.
const AT_ONCE: usize = 16;
/// How often that is tried. What cannot be let go of then is left to the place where it is.
const ATTEMPTS: u32 = 8;

/// Tidies up after jobs that are at their end.
pub(super) struct Tidying {
    shared: Arc<Shared>,
    spool: Arc<Spool>,
    /// Jobs whose staged parts could not be let go of: how often, and when it is tried again.
    failed: HashMap<Id, (u32, Instant)>,
}

impl Tidying {
    pub(super) fn new(shared: Arc<Shared>, spool: Arc<Spool>) -> Tidying {
        Tidying {
            shared,
            spool,
            failed: HashMap::new(),
        }
    }

    /// Tidies up where that is due. Jobs of which something is still under way are left for later.
    ///
    /// # Errors
    /// `InternalError.UnknownError` when the ledger fails.
    pub(super) async fn look(&mut self, under_way: &HashSet<Id>) -> Result<(), Fault> {
        let ledger = &self.shared.store.ledger;
        for job in ledger.untidy_jobs(AT_ONCE + self.failed.len()).await? {
            let id = job.id;
            let waits = self.failed.get(&id);
            if under_way.contains(&id) || waits.is_some_and(|(_, until)| *until > Instant::now()) {
                continue;
            }
            if !self.let_go(&job).await {
                let (failures, until) = self.failed.entry(id).or_insert((0, Instant::now()));
                *failures += 1;
                if *failures < ATTEMPTS {
                    *until = Instant::now() + pause(*failures);
                    continue;
                }
                tracing::warn!(job = %id, "parts that a job staged stay where they are");
            }
            self.failed.remove(&id);
            let spool = self.spool.clone();
            let removed = tokio::task::spawn_blocking(move || spool.remove(id)).await;
            if let Ok(Err(error)) = removed {
                tracing::warn!(job = %id, %error, "files of a job could not be removed");
            }
            ledger.tidied(id).await?;
        }
        Ok(())
    }

    /// Lets go of what a job has staged and not put in place; `false` where that may be better
    /// later.
    async fn let_go(&self, job: &UntidyJob) -> bool {
        let staged = job.staged.iter().filter(|output| !output.committed);
        let staged: Vec<_> = staged.collect();
        if staged.is_empty() {
            return true;
        }
        let storage = &self.shared.storage;
        let request = job.request.as_deref().unwrap_or_default();
        let places = Kept::from_bytes(request).and_then(|kept| kept.places(storage, job.workspace));
        let Ok(places) = places else {
            tracing::warn!(
                job = %job.id,
                "parts that a job staged stay where they are: its request cannot be read"
            );
            return true;
        };
        let mut all = true;
        for output in staged {
            let Some(at) = places.get(output.position as usize) else {
                continue;
            };
            let aborted = match storage.resume(at, &output.token).await {
                Ok(staging) => staging.abort().await,
                Err(failure) => Err(failure),
            };
            if let Err(failure) = aborted {
                tracing::info!(
                    job = %job.id,
                    at = at.shown(),
                    error = %failure,
                    "parts that a job staged cannot be let go of"
                );
                all &= !failure.transient;
            }
        }
        all
    }
}
