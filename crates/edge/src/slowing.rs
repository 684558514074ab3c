//! Slower answers to whoever tries one bad credential after the other.
//!
//! What is slowed is the refusal itself, never a call with a good credential, so nobody can shut
//! another out by failing in his name.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Failures that are answered at once: slips.
const FREE: u32 = 5;
/// How long a failure is remembered after the last.
const MEMORY: Duration = Duration::from_secs(60);
/// The delay of the first failure that is slowed; each further one doubles it.
const FIRST: Duration = Duration::from_millis(250);
/// The longest delay.
const LONGEST: Duration = Duration::from_secs(5);
/// Addresses that are remembered at once.
const ADDRESSES: usize = 4096;

/// The failed sign-ins of the last minute, by address.
#[derive(Debug, Default)]
pub(crate) struct Slowing(Mutex<HashMap<IpAddr, Failures>>);

#[derive(Debug)]
struct Failures {
    count: u32,
    last: Instant,
}

impl Slowing {
    /// Counts a failure from this address; how long its answer is to wait.
    pub(crate) fn failed(&self, address: IpAddr, now: Instant) -> Duration {
        let address = holder(address);
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= ADDRESSES && !all.contains_key(&address) {
            all.retain(|_, failures| now.saturating_duration_since(failures.last) < MEMORY);
            // Where all are fresh, the one that has been quiet for longest makes room.
            if all.len() >= ADDRESSES {
                let oldest = all.iter().min_by_key(|(_, failures)| failures.last);
                if let Some(oldest) = oldest.map(|(address, _)| *address) {
                    all.remove(&oldest);
                }
            }
        }
        let failures = all.entry(address).or_insert(Failures {
            count: 0,
            last: now,
        });
        if now.saturating_duration_since(failures.last) >= MEMORY {
            failures.count = 0;
        }
        failures.last = now;
        failures.count = failures.count.saturating_add(1);
        delay(failures.count)
    }
}

fn delay(count: u32) -> Duration {
    match count.checked_sub(FREE + 1) {
        None => Duration::ZERO,
        Some(doublings) => 1u32
            .checked_shl(doublings)
            .map_or(LONGEST, |factor| FIRST.saturating_mul(factor))
            .min(LONGEST),
    }
}

/// Whom an address stands for: of IPv6 a network of 64 bits, which one machine may have whole.
fn holder(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => Ipv6Addr::from(u128::from(v6) & !u128::from(u64::MAX)).into(),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn the_delay_grows_after_five_failures_and_is_forgotten_after_a_quiet_minute() {
        let slowing = Slowing::default();
        let start = Instant::now();
        let me = address("192.0.2.1");
        let mut delays = Vec::new();
        for second in 0..12 {
            delays.push(
                slowing
                    .failed(me, start + Duration::from_secs(second))
                    .as_millis(),
            );
        }
        assert_eq!(
            delays,
            [0, 0, 0, 0, 0, 250, 500, 1000, 2000, 4000, 5000, 5000]
        );
        let later = start + Duration::from_secs(11) + MEMORY;
        assert_eq!(slowing.failed(me, later), Duration::ZERO);
        assert_eq!(delay(u32::MAX), LONGEST);
    }

    #[test]
    fn addresses_are_told_apart_as_their_holders_are() {
        let slowing = Slowing::default();
        let now = Instant::now();
        for _ in 0..20 {
            slowing.failed(address("2001:db8::1"), now);
            slowing.failed(address("192.0.2.1"), now);
        }
        for same in ["2001:db8::ffff:0:1", "::ffff:192.0.2.1"] {
            assert_eq!(slowing.failed(address(same), now), LONGEST, "{same}");
        }
        for other in ["2001:db8:0:1::1", "192.0.2.2", "127.0.0.1"] {
            assert_eq!(
                slowing.failed(address(other), now),
                Duration::ZERO,
                "{other}"
            );
        }
    }

    #[test]
    fn a_crowd_of_addresses_takes_bounded_room() {
        let slowing = Slowing::default();
        let start = Instant::now();
        for i in 0..(ADDRESSES as u32 + 500) {
            let now = start + Duration::from_millis(u64::from(i));
            slowing.failed(IpAddr::from(i.to_be_bytes()), now);
        }
        assert_eq!(slowing.0.lock().unwrap().len(), ADDRESSES);
        // A quiet minute later one more address makes room for all that are forgotten.
        slowing.failed(address("203.0.113.9"), start + 3 * MEMORY);
        assert_eq!(slowing.0.lock().unwrap().len(), 1);
    }
}
