//! Why a step of a job did not come to its end, and trying again.

use std::time::{Duration, Instant};

use containers::batch::{WorkEnd, WorkFailed};
use faults::{Class, Fault};
use storage::{Failure, Location, Purpose};

/// Why a step of a job did not come to its end.
#[derive(Debug)]
pub(super) enum Trouble {
    /// It would be the same again: the job fails with this.
    Lasting(Fault),
    /// It may be better later.
    Passing(Fault),
    /// There was no room for a container, which is no attempt at anything.
    NoRoom(Fault),
    /// A container went over its quota. Others may have been at it too, so one more attempt is
    /// worth its while.
    OverQuota(Fault),
    /// The job is held no longer: it was cancelled, or another goes on with it.
    Lost,
    /// The parts that come out are too small for the place where they go: it is to be cut again,
    /// into chunks of so many bytes.
    Again(u64),
    /// What the chunk of this number rejected is gone: it is to be worked on again.
    Missing(u32),
    /// The ledger failed, which says nothing about the job.
    Ledger(Fault),
}

impl Trouble {
    /// What storage said.
    pub(super) fn of_storage(failure: Failure, purpose: Purpose<'_>, at: &Location) -> Trouble {
        let passing = failure.transient;
        let fault = failure.into_fault(purpose, at);
        match passing {
            true => Trouble::Passing(fault),
            false => Trouble::Lasting(fault),
        }
    }

    /// What the host said of a revision.
    pub(super) fn of_host(fault: Fault) -> Trouble {
        match containers::batch::is_transient(&fault) {
            true => Trouble::Passing(fault),
            false => Trouble::Lasting(fault),
        }
    }

    /// What became of a piece of work.
    pub(super) fn of_work(failed: WorkFailed) -> Trouble {
        match failed.end {
            WorkEnd::Lost if is_for_room(&failed.fault) => Trouble::NoRoom(failed.fault),
            WorkEnd::OverQuota => Trouble::OverQuota(failed.fault),
            end if end.is_transient() => Trouble::Passing(failed.fault),
            _ => Trouble::Lasting(failed.fault),
        }
    }

    /// This machine's own disk or memory failed.
    pub(super) fn of_machine(error: &dyn std::error::Error, what: &str) -> Trouble {
        Trouble::Passing(
            Fault::bare(Class::InternalError)
                .caused_by(error)
                .because(what),
        )
    }
}

impl From<Fault> for Trouble {
    fn from(fault: Fault) -> Trouble {
        Trouble::Lasting(fault)
    }
}

/// Whether a fault says that there was no room for a container, or none was ready in time.
fn is_for_room(fault: &Fault) -> bool {
    matches!(
        fault.class(),
        Class::ServiceUnavailable
            | Class::InitializingContainers
            | Class::InternalErrorSystemLowOnMemory
    )
}

/// Whether a write was this holder's to make.
pub(super) fn held(written: Result<bool, Fault>) -> Result<(), Trouble> {
    match written {
        Ok(true) => Ok(()),
        Ok(false) => Err(Trouble::Lost),
        Err(fault) => Err(Trouble::Ledger(fault)),
    }
}

/// The first pause before something is tried again; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// The longest one.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// How long to wait after so many failures.
pub(super) fn pause(failures: u32) -> Duration {
    let doubled = 2u32.saturating_pow(failures.saturating_sub(1).min(16));
    FIRST_PAUSE.saturating_mul(doubled).min(LONGEST_PAUSE)
}

/// How long is waited in all for room for a container before that fails what needs one.
const NO_ROOM: Duration = Duration::from_secs(600);
/// How often a piece may go over the quota.
const OVER_QUOTA: u32 = 2;

/// How often something failed, and what follows from that.
#[derive(Debug)]
pub(super) struct Failures {
    attempts: u32,
    passing: u32,
    over_quota: u32,
    no_room: u32,
    waits: Option<Instant>,
}

impl Failures {
    /// For something that is tried so often.
    pub(super) fn of(attempts: u32) -> Failures {
        Failures {
            attempts,
            passing: 0,
            over_quota: 0,
            no_room: 0,
            waits: None,
        }
    }

    /// Takes a failure in: how long to wait before the next attempt.
    ///
    /// # Errors
    /// What it ends with, where there is none.
    pub(super) fn next(&mut self, trouble: Trouble) -> Result<(Duration, Fault), Trouble> {
        let (fault, count, over) = match trouble {
            Trouble::Passing(fault) => {
                self.passing += 1;
                (fault, self.passing, self.passing >= self.attempts)
            }
            Trouble::OverQuota(fault) => {
                self.over_quota += 1;
                let over = self.over_quota >= OVER_QUOTA.min(self.attempts);
                (fault, self.over_quota, over)
            }
            Trouble::NoRoom(fault) => {
                self.no_room += 1;
                let since = *self.waits.get_or_insert_with(Instant::now);
                (fault, self.no_room, since.elapsed() > NO_ROOM)
            }
            other => return Err(other),
        };
        match over {
            true => Err(Trouble::Lasting(fault)),
            false => Ok((pause(count), fault)),
        }
    }
}

/// Does something until it succeeds, fails for good, or has been tried so often. A macro, since
/// nobody can be told that the futures of an `AsyncFnMut` may go from thread to thread.
macro_rules! persist {
    ($attempts:expr, $each:expr) => {{
        let mut failures = $crate::runner::trouble::Failures::of($attempts);
        loop {
            let done: Result<_, $crate::runner::trouble::Trouble> = $each.await;
            match done.map_err(|trouble| failures.next(trouble)) {
                Ok(done) => break Ok(done),
                Err(Ok((pause, _))) => tokio::time::sleep(pause).await,
                Err(Err(trouble)) => break Err(trouble),
            }
        }
    }};
}
pub(super) use persist;

#[cfg(test)]
mod tests {
    use super::*;
    use faults::internal_error;

    #[test]
    fn pauses_grow_to_a_bound() {
        assert_eq!(pause(1), FIRST_PAUSE);
        assert_eq!(pause(3), FIRST_PAUSE * 4);
        assert_eq!(pause(u32::MAX), LONGEST_PAUSE);
    }

    #[test]
    fn what_may_pass_is_tried_so_often_and_what_lasts_once() {
        let fault = internal_error::worker_unreachable;
        let mut failures = Failures::of(3);
        for _ in 0..2 {
            assert!(failures.next(Trouble::Passing(fault())).is_ok());
        }
        // Room is waited for by time, not by number.
        for _ in 0..20 {
            let busy = faults::service_unavailable::no_more_resources();
            assert!(failures.next(Trouble::NoRoom(busy)).is_ok());
        }
        let end = failures.next(Trouble::Passing(fault()));
        assert!(matches!(end, Err(Trouble::Lasting(f)) if f == fault()));

        let mut failures = Failures::of(9);
        assert!(failures.next(Trouble::OverQuota(fault())).is_ok());
        let end = failures.next(Trouble::OverQuota(fault()));
        assert!(matches!(end, Err(Trouble::Lasting(_))));
        for end in [Trouble::Lasting(fault()), Trouble::Lost, Trouble::Again(1)] {
            assert!(Failures::of(9).next(end).is_err());
        }
    }

    #[tokio::test]
    async fn a_step_is_done_again_until_it_is_done() {
        let mut count = 0;
        let done: Result<u32, Trouble> = persist!(5, async {
            count += 1;
            match count {
                1 => Err(Trouble::Passing(internal_error::worker_unreachable())),
                _ => Ok(7),
            }
        });
        assert_eq!((done.ok(), count), (Some(7), 2));
    }

    #[test]
    fn the_end_of_a_piece_says_whether_it_is_worth_another_try() {
        let of = |end, fault| Trouble::of_work(WorkFailed { end, fault });
        let fault = internal_error::worker_unreachable;
        assert!(matches!(of(WorkEnd::Lost, fault()), Trouble::Passing(_)));
        let full = faults::service_unavailable::no_more_resources;
        assert!(matches!(of(WorkEnd::Lost, full()), Trouble::NoRoom(_)));
        assert!(matches!(
            of(WorkEnd::Input(0), fault()),
            Trouble::Passing(_)
        ));
        assert!(matches!(
            of(WorkEnd::OverQuota, fault()),
            Trouble::OverQuota(_)
        ));
        assert!(matches!(of(WorkEnd::Fault, fault()), Trouble::Lasting(_)));
    }
}
