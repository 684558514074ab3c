//! How far work has come that is not in the ledger yet.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use containers::batch::WorkProgress;
use store::Id;

/// How far the pieces have come that are under way, by job.
#[derive(Debug, Default)]
pub(crate) struct Live(Mutex<HashMap<Id, Vec<Weak<WorkProgress>>>>);

impl Live {
    /// Counts a piece of a job from now on, for as long as the result lives.
    pub(crate) fn begin(&self, job: Id) -> Arc<WorkProgress> {
        let progress = Arc::new(WorkProgress::default());
        let mut jobs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let pieces = jobs.entry(job).or_default();
        pieces.retain(|piece| piece.strong_count() > 0);
        pieces.push(Arc::downgrade(&progress));
        progress
    }

    /// Rows and bytes of the pieces of a job that are under way.
    pub(crate) fn of(&self, job: Id) -> (u64, u64) {
        let jobs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let pieces = jobs.get(&job).into_iter().flatten();
        let under_way = pieces.filter_map(Weak::upgrade);
        under_way.fold((0, 0), |(rows, bytes), piece| {
            (rows + piece.rows(), bytes + piece.bytes())
        })
    }

    /// Forgets a job.
    pub(crate) fn end(&self, job: Id) {
        let mut jobs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        jobs.remove(&job);
    }
}
