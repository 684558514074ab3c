//! The installation's budget of bytes that are held for calls.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use faults::{Class, Fault};

/// How many bytes of requests and replies the gateway holds at most, over all calls.
#[derive(Debug)]
pub(crate) struct Budget {
    used: AtomicUsize,
    limit: AtomicUsize,
}

impl Budget {
    pub(crate) fn new(limit: usize) -> Budget {
        Budget {
            used: AtomicUsize::new(0),
            limit: AtomicUsize::new(limit),
        }
    }

    pub(crate) fn used(&self) -> usize {
        self.used.load(Ordering::Acquire)
    }

    /// Another limit from now on; what is taken stays taken.
    pub(crate) fn set_limit(&self, limit: usize) {
        self.limit.store(limit, Ordering::Relaxed);
    }

    fn take(&self, bytes: usize) -> Result<(), Fault> {
        let limit = self.limit.load(Ordering::Relaxed);
        self.used
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |used| {
                used.checked_add(bytes).filter(|sum| *sum <= limit)
            })
            .map(|_| ())
            .map_err(|used| {
                Fault::bare(Class::InternalErrorSystemLowOnMemory)
                    .retry_after(Duration::from_secs(1))
                    .because(format!(
                        "{used} of {limit} bytes of buffered bodies are in use and {bytes} more are needed"
                    ))
            })
    }
}

/// Bytes taken from the budget of buffered bodies. Dropping it gives them back.
#[derive(Debug)]
pub struct BufferGuard {
    budget: Arc<Budget>,
    bytes: usize,
}

impl BufferGuard {
    pub(crate) fn take(budget: &Arc<Budget>, bytes: usize) -> Result<BufferGuard, Fault> {
        budget.take(bytes)?;
        Ok(BufferGuard {
            budget: budget.clone(),
            bytes,
        })
    }

    /// Takes more, so that the guard covers at least `bytes` in all: for a body whose size was
    /// not told, or not told truly.
    ///
    /// # Errors
    /// `InternalErrorSystemLowOnMemory` when the budget is spent; the guard keeps what it has.
    pub fn cover(&mut self, bytes: usize) -> Result<(), Fault> {
        if let Some(more) = bytes.checked_sub(self.bytes).filter(|more| *more > 0) {
            self.budget.take(more)?;
            self.bytes = bytes;
        }
        Ok(())
    }

    /// Covers `bytes` from now on, no more and no less: a call whose request is done with and
    /// whose reply is to be held goes from the one to the other.
    ///
    /// # Errors
    /// `InternalErrorSystemLowOnMemory` when the budget is spent; the guard keeps what it has.
    pub fn exchange(&mut self, bytes: usize) -> Result<(), Fault> {
        match self.bytes.checked_sub(bytes) {
            None => self.cover(bytes),
            Some(less) => {
                self.budget.used.fetch_sub(less, Ordering::Release);
                self.bytes = bytes;
                Ok(())
            }
        }
    }

    /// How many bytes the guard covers.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Drop for BufferGuard {
    fn drop(&mut self) {
        self.budget.used.fetch_sub(self.bytes, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_comes_back_whatever_happens() {
        let budget = Arc::new(Budget::new(100));
        let mut first = BufferGuard::take(&budget, 60).unwrap();
        let fault = BufferGuard::take(&budget, 41).unwrap_err();
        assert_eq!(fault.class(), Class::InternalErrorSystemLowOnMemory);
        assert!(fault.details().is_empty());
        assert_eq!(fault.retry_delay(), Some(Duration::from_secs(1)));

        let second = BufferGuard::take(&budget, 10).unwrap();
        first.cover(50).unwrap();
        assert_eq!(first.bytes(), 60, "covered already");
        first.cover(90).unwrap();
        assert!(first.cover(91).is_err());
        assert!(first.cover(usize::MAX).is_err());
        assert_eq!(budget.used(), 100);
        drop(first);
        assert_eq!(budget.used(), 10);
        drop(second);
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn a_reply_takes_the_place_of_its_request() {
        let budget = Arc::new(Budget::new(100));
        let mut guard = BufferGuard::take(&budget, 60).unwrap();
        guard.exchange(20).unwrap();
        assert_eq!((guard.bytes(), budget.used()), (20, 20));
        guard.exchange(100).unwrap();
        assert_eq!((guard.bytes(), budget.used()), (100, 100));
        let fault = guard.exchange(101).unwrap_err();
        assert_eq!(fault.class(), Class::InternalErrorSystemLowOnMemory);
        assert_eq!((guard.bytes(), budget.used()), (100, 100));
        drop(guard);
        assert_eq!(budget.used(), 0);
    }
}
