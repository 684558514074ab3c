//! When the keys are fetched again.

use std::time::{Duration, Instant};

/// Keys older than this are fetched again while calls go on with them.
const OLD: Duration = Duration::from_secs(15 * 60);
/// How long a fetch that failed is not repeated: while there are keys, and while there are none.
const PAUSE: Duration = Duration::from_secs(60);
const FIRST_PAUSE: Duration = Duration::from_secs(5);
/// How often a key that nobody has heard of has the keys fetched again, so that strangers cannot
/// make this server call the provider at will.
const UNKNOWN: Duration = Duration::from_secs(30);

/// What is to be done before a token is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    /// Nothing: the keys are there, or there is no point in asking now.
    Nothing,
    /// The keys have never been fetched, or the token names one that is not among them.
    Now,
    /// The keys are old, and do for this token.
    Meanwhile,
}

/// When the keys were last fetched, and when that last failed.
#[derive(Debug, Default)]
pub(crate) struct Times {
    fetched: Option<Instant>,
    failed: Option<Instant>,
    /// When an unknown key was last asked for.
    unknown: Option<Instant>,
}

impl Times {
    pub(crate) fn never_fetched(&self) -> bool {
        self.fetched.is_none()
    }

    /// The same where what failed may succeed from now on.
    pub(crate) fn after_a_change(&self) -> Times {
        Times {
            fetched: self.fetched,
            failed: None,
            unknown: None,
        }
    }

    pub(crate) fn fetched(&mut self, at: Instant) {
        self.fetched = Some(at);
        self.failed = None;
    }

    pub(crate) fn failed(&mut self, at: Instant) {
        self.failed = Some(at);
    }

    /// Whether the keys were asked for, with whatever result, since then.
    pub(crate) fn tried_since(&self, then: Instant) -> bool {
        self.fetched.max(self.failed).is_some_and(|at| at >= then)
    }

    /// What a token needs now whose key is `known` or not. Counts the asking for an unknown one.
    pub(crate) fn need(&mut self, now: Instant, known: bool) -> Need {
        let within = |then: Option<Instant>, pause: Duration| {
            then.is_some_and(|then| now.saturating_duration_since(then) < pause)
        };
        if self.fetched.is_none() {
            return match within(self.failed, FIRST_PAUSE) {
                true => Need::Nothing,
                false => Need::Now,
            };
        }
        if !known {
            if within(self.unknown, UNKNOWN) {
                return Need::Nothing;
            }
            self.unknown = Some(now);
            return Need::Now;
        }
        match within(self.fetched, OLD) || within(self.failed, PAUSE) {
            true => Need::Nothing,
            false => Need::Meanwhile,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_fetched_at_first_when_old_and_for_an_unknown_one_now_and_then() {
        let start = Instant::now();
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        let mut times = Times::default();
        assert_eq!(times.need(at(0), false), Need::Now);
        times.failed(at(0));
        assert!(times.never_fetched());
        assert_eq!(times.need(at(4), false), Need::Nothing);
        assert_eq!(times.need(at(5), false), Need::Now);
        times.fetched(at(5));
        assert!(!times.never_fetched());
        assert!(times.tried_since(at(5)) && !times.tried_since(at(6)));

        assert_eq!(times.need(at(6), true), Need::Nothing);
        // The first unknown one is asked for at once, the next only after a while.
        assert_eq!(times.need(at(6), false), Need::Now);
        times.fetched(at(6));
        assert_eq!(times.need(at(35), false), Need::Nothing);
        assert_eq!(times.need(at(36), false), Need::Now);

        let old = 6 + OLD.as_secs();
        assert_eq!(times.need(at(old - 1), true), Need::Nothing);
        assert_eq!(times.need(at(old), true), Need::Meanwhile);
        // A provider that is away is not asked by every call.
        times.failed(at(old));
        assert_eq!(times.need(at(old + 59), true), Need::Nothing);
        assert_eq!(times.need(at(old + 60), true), Need::Meanwhile);
    }
}
