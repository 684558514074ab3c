//! Going on to hold a job.

use std::time::Duration;

use store::{Id, Ledger};
use tokio::time::{Instant, sleep, timeout};

/// Goes on holding a job, and completes when it is held no longer: when the ledger says so, or when
/// nothing could be written down for two thirds of the lease. By then nobody else can have it: the
/// time is counted by a clock of this process that does not jump, from before the write that was
/// last heard of.
pub(super) async fn keep(ledger: &Ledger, job: Id, fence: u64, lease: Duration) {
    let most = lease * 2 / 3;
    let mut last = Instant::now();
    loop {
        let left = most.saturating_sub(last.elapsed());
        if left.is_zero() {
            tracing::warn!(job = %job, "a job's lease could not be renewed in time");
            return;
        }
        sleep((lease / 6).min(left)).await;
        let begun = Instant::now();
        let left = most.saturating_sub(last.elapsed());
        match timeout(left, ledger.hold_job(job, fence, lease)).await {
            Ok(Ok(true)) => last = begun,
            Ok(Ok(false)) => return,
            Ok(Err(fault)) => {
                tracing::warn!(job = %job, cause = fault.cause(), "a lease could not be renewed");
            }
            // Looked at above.
            Err(_) => {}
        }
    }
}
