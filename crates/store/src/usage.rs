//! What endpoints are used: counted in memory, written down now and then.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use faults::Fault;
use jiff::Timestamp;
use rusqlite::params;

use crate::ledger::Ledger;
use crate::rows::{id_at, number_at};
use crate::{Id, Store};

/// Counts the use of each endpoint since it was last written down. Counting neither waits nor
/// does I/O.
#[derive(Debug, Default)]
pub struct Meter {
    counters: RwLock<HashMap<Id, Arc<Counter>>>,
}

/// The use of one endpoint since it was last written down.
#[derive(Debug)]
pub struct Counter {
    label: Box<str>,
    transactions: AtomicU64,
    compute: AtomicU64,
}

impl Counter {
    /// Counts time at work that belongs to no answered call of its own.
    pub fn work(&self, compute: Duration) {
        let compute = u64::try_from(compute.as_micros()).unwrap_or(u64::MAX);
        self.compute.fetch_add(compute, Relaxed);
    }

    /// Counts one answered call and the time that it was at work.
    pub fn count(&self, compute: Duration) {
        let compute = u64::try_from(compute.as_micros()).unwrap_or(u64::MAX);
        self.transactions.fetch_add(1, Relaxed);
        self.compute.fetch_add(compute, Relaxed);
    }
}

/// What an endpoint was used since it was last written down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Used {
    /// The endpoint.
    pub endpoint: Id,
    /// `service/endpoint`.
    pub label: Box<str>,
    /// Answered calls.
    pub transactions: u64,
    /// The time that they were at work, in microseconds.
    pub compute: u64,
}

impl Meter {
    /// The counter of an endpoint; `label` is `service/endpoint`.
    pub fn counter(&self, endpoint: Id, label: &str) -> Arc<Counter> {
        let mut counters = self
            .counters
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        let counter = counters.entry(endpoint).or_insert_with(|| {
            Arc::new(Counter {
                label: label.into(),
                transactions: AtomicU64::new(0),
                compute: AtomicU64::new(0),
            })
        });
        counter.clone()
    }

    /// What was counted since the last time; the counters begin anew.
    fn take(&self) -> Vec<Used> {
        let mut used = Vec::new();
        let mut counters = self
            .counters
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        counters.retain(|endpoint, counter| {
            let transactions = counter.transactions.swap(0, Relaxed);
            let compute = counter.compute.swap(0, Relaxed);
            if (transactions, compute) == (0, 0) {
                // Nobody else holds it, and nobody can get it while the table is locked.
                return Arc::strong_count(counter) > 1;
            }
            used.push(Used {
                endpoint: *endpoint,
                label: counter.label.clone(),
                transactions,
                compute,
            });
            true
        });
        used
    }

    /// Counts again what could not be written down.
    fn give_back(&self, used: &[Used]) {
        for one in used {
            let counter = self.counter(one.endpoint, &one.label);
            counter.transactions.fetch_add(one.transactions, Relaxed);
            counter.compute.fetch_add(one.compute, Relaxed);
        }
    }
}

/// The use of one endpoint on one day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageLine {
    /// Days since 1970-01-01 UTC.
    pub day: i64,
    /// The endpoint, which may be gone.
    pub endpoint: Id,
    /// `service/endpoint`, by the names they then had.
    pub label: String,
    /// Answered calls.
    pub transactions: u64,
    /// The time that they were at work, in microseconds.
    pub compute: u64,
}

/// What counted against a plan on one day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlanUsage {
    /// Days since 1970-01-01 UTC.
    pub day: i64,
    /// Answered calls.
    pub transactions: u64,
    /// The time that they were at work, in microseconds.
    pub compute: u64,
}

/// The day of a time, counted from 1970-01-01 UTC.
pub fn day_of(time: Timestamp) -> i64 {
    time.as_second().div_euclid(24 * 60 * 60)
}

impl Store {
    /// Writes down what was used since the last time, under today's date. What cannot be written
    /// down is counted again.
    ///
    /// # Errors
    /// `InternalError.UnknownError` when the ledger fails.
    pub async fn write_usage(&self) -> Result<(), Fault> {
        let used = self.meter.take();
        if used.is_empty() {
            return Ok(());
        }
        let today = day_of(Timestamp::now());
        let written = self.ledger.add_usage(today, used.clone()).await;
        if written.is_err() {
            self.meter.give_back(&used);
        }
        written
    }
}

impl Ledger {
    /// Adds to the usage of a day, and to that of the plans which the services are associated with
    /// now. Lines that are too old go.
    ///
    /// # Errors
    /// `InternalError.UnknownError` when the ledger fails, which leaves everything as it was.
    pub async fn add_usage(&self, day: i64, used: Vec<Used>) -> Result<(), Fault> {
        self.write(faults::internal_error::unknown_error, move |change| {
            let connection = change.transaction;
            for one in &used {
                let transactions = i64::try_from(one.transactions).unwrap_or(i64::MAX);
                let compute = i64::try_from(one.compute).unwrap_or(i64::MAX);
                connection
                    .prepare_cached(
                        "INSERT INTO usage (day, endpoint_id, label, transactions, compute)
                         VALUES (?1, ?2, ?3, ?4, ?5)
                         ON CONFLICT DO UPDATE SET label = excluded.label,
                             transactions = transactions + excluded.transactions,
                             compute = compute + excluded.compute",
                    )?
                    .execute(params![
                        day,
                        one.endpoint.0,
                        one.label,
                        transactions,
                        compute
                    ])?;
                connection
                    .prepare_cached(
                        "INSERT INTO plan_usage (plan_id, day, transactions, compute)
                         SELECT a.plan_id, ?1, ?3, ?4
                         FROM endpoints e
                         JOIN plan_associations a ON a.service_id = e.service_id
                         WHERE e.id = ?2
                         ON CONFLICT DO UPDATE SET
                             transactions = transactions + excluded.transactions,
                             compute = compute + excluded.compute",
                    )?
                    .execute(params![day, one.endpoint.0, transactions, compute])?;
            }
            for sql in [
                "DELETE FROM usage WHERE day < ?1",
                "DELETE FROM plan_usage WHERE day < ?1",
            ] {
                connection
                    .prepare_cached(sql)?
                    .execute([day.saturating_sub(change.retention.usage_days())])?;
            }
            Ok(())
        })
        .await
    }

    /// The usage of the days `from` to `to`, both included, by day and endpoint.
    ///
    /// # Errors
    /// `InternalError.UnknownError` when the ledger fails.
    pub async fn usage(&self, from: i64, to: i64) -> Result<Vec<UsageLine>, Fault> {
        self.read(move |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT day, endpoint_id, label, transactions, compute FROM usage
                 WHERE day BETWEEN ?1 AND ?2 ORDER BY day, endpoint_id",
            )?;
            let rows = statement.query_map([from, to], |row| {
                Ok(UsageLine {
                    day: row.get(0)?,
                    endpoint: id_at(row, 1)?,
                    label: row.get(2)?,
                    transactions: number_at(row, 3)?,
                    compute: number_at(row, 4)?,
                })
            })?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
        .await
    }

    /// What counted against a plan, by day.
    ///
    /// # Errors
    /// `InternalError.UnknownError` when the ledger fails.
    pub async fn plan_usage(&self, plan: Id) -> Result<Vec<PlanUsage>, Fault> {
        self.read(move |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT day, transactions, compute FROM plan_usage WHERE plan_id = ?1
                 ORDER BY day",
            )?;
            let rows = statement.query_map([plan.0], |row| {
                Ok(PlanUsage {
                    day: row.get(0)?,
                    transactions: number_at(row, 1)?,
                    compute: number_at(row, 2)?,
                })
            })?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_is_counted_once_and_what_comes_back_again() {
        let meter = Meter::default();
        let (a, b) = (Id::random(), Id::random());
        let counter = meter.counter(a, "census/default");
        counter.count(Duration::from_micros(1500));
        meter.counter(a, "census/default").count(Duration::ZERO);
        drop(meter.counter(b, "idle/default"));
        let used = meter.take();
        assert_eq!(
            used,
            [Used {
                endpoint: a,
                label: "census/default".into(),
                transactions: 2,
                compute: 1500,
            }]
        );
        assert!(meter.take().is_empty());
        meter.give_back(&used);
        counter.count(Duration::from_micros(1));
        assert_eq!(meter.take()[0].compute, 1501);
        // Only what somebody holds stays in the table.
        assert!(meter.take().is_empty());
        let left: Vec<Id> = meter.counters.read().unwrap().keys().copied().collect();
        assert_eq!(left, [a]);
    }

    #[test]
    fn a_day_begins_at_midnight() {
        let day = |text: &str| day_of(text.parse().unwrap());
        assert_eq!(day("1970-01-01T23:59:59Z"), 0);
        assert_eq!(day("1970-01-02T00:00:00Z"), 1);
        assert_eq!(day("1969-12-31T23:59:59Z"), -1);
    }
}
