//! Waiting for a job: its progress, and what it came to.

use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};
use wire::bes_2_0::{BatchExecutionStatus, Progress as Rows};

use crate::client::blobs::passes;
use crate::client::jobs::Jobs;
use crate::exit::{Failure, JobEnd};
use crate::interrupt::Interrupt;
use crate::progress::Progress;
use crate::term;

/// The pause before a job is asked about again; each further one is half as long again.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// How long a server may be away. A job goes on when it is back.
const PATIENCE: Duration = Duration::from_secs(120);

/// Waits until a job has ended, however it did.
pub(super) fn until_ended(
    jobs: &Jobs<'_>,
    job: &str,
    progress: &Progress,
    interrupt: &Interrupt,
) -> Result<BatchExecutionStatus, Failure> {
    let mut pause = FIRST_PAUSE;
    let mut away: Option<Instant> = None;
    let mut last = String::new();
    loop {
        interrupt.check()?;
        match jobs.status(job) {
            Ok(status) => {
                away = None;
                let changed = status.more.state != last;
                last.clone_from(&status.more.state);
                shown(job, &status, changed, progress);
                if has_ended(&status) {
                    progress.clear();
                    return Ok(status);
                }
            }
            Err(failure)
                if passes(&failure)
                    && away.get_or_insert_with(Instant::now).elapsed() < PATIENCE =>
            {
                progress.at(
                    false,
                    "no answer",
                    None,
                    "the job goes on when the server does",
                    || ("no_answer", of_job(job)),
                );
            }
            Err(failure) => return Err(failure),
        }
        interrupt.wait(pause);
        pause = (pause * 3 / 2).min(LONGEST_PAUSE);
    }
}

/// Whether a job has come to its end.
pub(super) fn has_ended(status: &BatchExecutionStatus) -> bool {
    matches!(&*status.status_code, "Finished" | "Failed" | "Cancelled")
}

/// A job that did not finish, as a failure of the command.
pub(super) fn not_finished(job: &str, status: &BatchExecutionStatus) -> Option<Failure> {
    (status.status_code != "Finished").then(|| {
        Failure::Job(Box::new(JobEnd {
            job: job.to_owned(),
            state: status.status_code.clone(),
            error: status.more.error.clone(),
            details: status.details.clone(),
        }))
    })
}

fn shown(job: &str, status: &BatchExecutionStatus, changed: bool, progress: &Progress) {
    let rows = &status.more.progress;
    let (label, share) = match &*status.more.state {
        "Running" => ("scoring", rows.percent.map(|percent| percent / 100.0)),
        "NotStarted" | "Queued" => ("queued", None),
        "Finished" => ("finished", Some(1.0)),
        other => (other, None),
    };
    progress.at(changed, label, share, &text(rows), || {
        ("progress", members(job, status))
    });
}

/// Rows, rate and time left.
fn text(rows: &Rows) -> String {
    let mut text = format!("{} rows", term::count(rows.rows));
    if rows.rejected > 0 {
        text.push_str(&format!(", {} rejected", term::count(rows.rejected)));
    }
    if let Some(rate) = rows.rows_per_second {
        text.push_str(&format!("  {}/s", term::count(whole(rate))));
    }
    if let Some(left) = rows.seconds_left {
        text.push_str(&format!("  {} left", term::seconds(whole(left.ceil()))));
    }
    text
}

/// A float that is a count; what is none is 0.
fn whole(number: f64) -> u64 {
    number as u64
}

/// The start of a JSON line about a job.
pub(super) fn of_job(job: &str) -> Map<String, Value> {
    Map::from_iter([("job".to_owned(), json!(job))])
}

fn members(job: &str, status: &BatchExecutionStatus) -> Map<String, Value> {
    let rows = &status.more.progress;
    let mut members = of_job(job);
    for (name, value) in [
        ("state", json!(status.more.state)),
        ("rows", json!(rows.rows)),
        ("rejected", json!(rows.rejected)),
        ("bytes_read", json!(rows.bytes_read)),
        ("bytes_total", json!(rows.bytes_total)),
        ("percent", json!(rows.percent)),
        ("rows_per_second", json!(rows.rows_per_second)),
        ("seconds_left", json!(rows.seconds_left)),
    ] {
        members.insert(name.to_owned(), value);
    }
    members
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_rate_and_time_left_are_told_where_they_are_known() {
        let mut rows = Rows {
            rows: 1_234_567,
            ..Rows::default()
        };
        assert_eq!(text(&rows), "1,234,567 rows");
        rows.rejected = 2;
        rows.rows_per_second = Some(45_000.7);
        rows.seconds_left = Some(61.2);
        assert_eq!(
            text(&rows),
            "1,234,567 rows, 2 rejected  45,000/s  1min left"
        );
    }
}
