//! What is left of a plan's quantities, day by day.
//!
//! Quantities are full again every [`REFILL_DAYS`] days, counted from the plan's first; what is
//! left over then is gone. Another SKU counts from its day on: what was used since the last refill
//! is taken from its quantities, and what they do not cover is the overage of the migration.

use jiff::Timestamp;
use store::{PlanTerm, PlanUsage, day_of};

use crate::plans::{PlanDay, PlanSku, Quantities, REFILL_DAYS};

/// The days on which the plan was used, oldest first.
pub(crate) fn days(created: Timestamp, terms: &[PlanTerm], usage: &[PlanUsage]) -> Vec<PlanDay> {
    let mut account = Account::new(created, terms);
    usage.iter().map(|used| account.day(used)).collect()
}

/// What is left at the end of a day after all usage.
pub(crate) fn left(
    created: Timestamp,
    terms: &[PlanTerm],
    usage: &[PlanUsage],
    day: i64,
) -> Quantities {
    let mut account = Account::new(created, terms);
    for used in usage {
        account.day(used);
    }
    let nothing = PlanUsage {
        day,
        transactions: 0,
        compute: 0,
    };
    account.day(&nothing).after
}

struct Account<'a> {
    first: i64,
    terms: std::iter::Peekable<std::slice::Iter<'a, PlanTerm>>,
    period: i64,
    included: Quantities,
    left: Quantities,
}

impl<'a> Account<'a> {
    fn new(created: Timestamp, terms: &'a [PlanTerm]) -> Account<'a> {
        let mut terms = terms.iter().peekable();
        let included = terms.next().map(included).unwrap_or_default();
        Account {
            first: day_of(created),
            terms,
            period: 0,
            included,
            left: included,
        }
    }

    /// Goes on to a day, which is not before the last one, and takes what was used on it.
    fn day(&mut self, used: &PlanUsage) -> PlanDay {
        let mut migration_overage = Quantities::default();
        while let Some(term) = self.terms.next_if(|term| day_of(term.since) <= used.day) {
            self.refill(day_of(term.since));
            let next = included(term);
            let taken = minus(self.included, self.left);
            let over = minus(taken, next);
            migration_overage.compute += over.compute;
            migration_overage.transactions += over.transactions;
            self.left = minus(next, taken);
            self.included = next;
        }
        self.refill(used.day);
        let before = self.left;
        let used_today = Quantities {
            compute: used.compute,
            transactions: used.transactions,
        };
        self.left = minus(before, used_today);
        PlanDay {
            day: used.day,
            before,
            used: used_today,
            after: self.left,
            overage: minus(used_today, before),
            migration_overage,
        }
    }

    fn refill(&mut self, day: i64) {
        let period = (day - self.first).div_euclid(i64::from(REFILL_DAYS));
        if period > self.period {
            self.period = period;
            self.left = self.included;
        }
    }
}

fn included(term: &PlanTerm) -> Quantities {
    PlanSku::named(&term.sku)
        .map(|sku| sku.quantities(term.capacity))
        .unwrap_or_default()
}

/// What of `a` is beyond `b`.
fn minus(a: Quantities, b: Quantities) -> Quantities {
    Quantities {
        compute: a.compute.saturating_sub(b.compute),
        transactions: a.transactions.saturating_sub(b.transactions),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 3_600_000_000;

    fn at(day: i64) -> Timestamp {
        Timestamp::from_second(day * 24 * 60 * 60 + 7).unwrap()
    }

    fn term(day: i64, sku: &str, capacity: u32) -> PlanTerm {
        PlanTerm {
            since: at(day),
            sku: sku.into(),
            capacity,
        }
    }

    fn used(day: i64, hours: u64, transactions: u64) -> PlanUsage {
        PlanUsage {
            day,
            transactions,
            compute: hours * HOUR,
        }
    }

    fn transactions(days: &[PlanDay]) -> Vec<[u64; 4]> {
        days.iter()
            .map(|day| {
                [
                    day.before.transactions,
                    day.used.transactions,
                    day.after.transactions,
                    day.overage.transactions,
                ]
            })
            .collect()
    }

    #[test]
    fn what_is_observed_of_the_skus_holds() {
        for (sku, capacity, hours, transactions) in
            [("S1", 1, 25, 100_000), ("s2", 2, 500, 2_000_000)]
        {
            let quantities = PlanSku::named(sku).unwrap().quantities(capacity);
            assert_eq!(quantities.compute, hours * HOUR);
            assert_eq!(quantities.transactions, transactions);
        }
        assert_eq!(PlanSku::named("S4"), None);
    }

    #[test]
    fn use_is_taken_until_the_refill_and_beyond_it_is_overage() {
        let terms = [term(100, "S1", 1)];
        let usage = [
            used(100, 20, 60_000),
            used(129, 10, 60_000),
            used(130, 1, 10),
            used(200, 30, 1),
        ];
        let days = days(at(100), &terms, &usage);
        assert_eq!(
            transactions(&days),
            [
                [100_000, 60_000, 40_000, 0],
                [40_000, 60_000, 0, 20_000],
                [100_000, 10, 99_990, 0],
                [100_000, 1, 99_999, 0],
            ]
        );
        assert_eq!(days[1].overage.compute, 5 * HOUR);
        assert_eq!(days[3].overage.compute, 5 * HOUR);
        let left = |day| left(at(100), &terms, &usage[..1], day);
        assert_eq!(left(129).transactions, 40_000);
        assert_eq!(left(130).transactions, 100_000);
        assert_eq!(left(100).compute, 5 * HOUR);
    }

    #[test]
    fn another_sku_takes_over_what_was_used() {
        let terms = [term(0, "S1", 2), term(3, "S1", 1), term(5, "S2", 1)];
        let usage = [used(1, 0, 150_000), used(4, 0, 5), used(6, 0, 1)];
        let days = days(at(0), &terms, &usage);
        assert_eq!(
            transactions(&days),
            [
                [200_000, 150_000, 50_000, 0],
                // The smaller one has less than what is used already.
                [0, 5, 0, 5],
                // Of the larger one, what the smaller one covered is used.
                [900_000, 1, 899_999, 0],
            ]
        );
        assert_eq!(days[1].migration_overage.transactions, 50_000);
        assert_eq!(days[2].migration_overage.transactions, 0);
    }

    #[test]
    fn a_change_in_a_later_period_begins_full() {
        let terms = [term(0, "S1", 1), term(31, "DevTest", 1)];
        let usage = [used(1, 0, 90_000), used(32, 0, 1)];
        let days = days(at(0), &terms, &usage);
        assert_eq!(transactions(&days)[1], [1_000, 1, 999, 0]);
        assert_eq!(days[1].migration_overage, Quantities::default());
    }
}
