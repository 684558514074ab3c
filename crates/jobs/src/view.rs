//! A job as callers see it.

use std::time::Duration;

use faults::Fault;
use futures_util::future::try_join_all;
use jiff::Timestamp;
use storage::{Joined, Purpose, Storage};
use store::{ApiVersion, Id, JobRecord, JobState};

use crate::request::{Kept, REJECTS};

/// How long an output can be read by what a status says of it.
const READABLE: Duration = Duration::from_secs(24 * 3600 + 5 * 60);

/// Which page of a list.
#[derive(Debug, Clone, Default)]
pub struct Page {
    /// [`JobPage::next`] of the page before; `None` for the first.
    pub after: Option<String>,
    /// The most jobs.
    pub limit: usize,
}

/// A page of a list.
#[derive(Debug)]
pub struct JobPage {
    /// The jobs, the newest first, without where their outputs are.
    pub jobs: Vec<JobView>,
    /// What the next page is asked for with; `None` for the last.
    pub next: Option<String>,
}

/// A job as callers see it.
#[derive(Debug)]
pub struct JobView {
    /// Its id.
    pub id: Id,
    /// The version of the API that it was submitted by.
    pub version: ApiVersion,
    /// How far it is.
    pub state: JobState,
    /// Who submitted it.
    pub actor: String,
    /// When it was submitted.
    pub created: Timestamp,
    /// When it first ran.
    pub started: Option<Timestamp>,
    /// When it came to its end.
    pub ended: Option<Timestamp>,
    /// What it failed with.
    pub failure: Option<Fault>,
    /// Where its outputs are, once it is finished.
    pub outputs: Vec<(String, Joined)>,
    /// Where its rejected rows are, once it is finished.
    pub rejects: Option<Joined>,
    /// How much is done.
    pub progress: Progress,
}

/// How much of a job is done.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Progress {
    /// Rows scored.
    pub rows: u64,
    /// Rows rejected.
    pub rejected: u64,
    /// Bytes of the input that are done.
    pub bytes_read: u64,
    /// All bytes of the input; `None` until they are known.
    pub bytes_total: Option<u64>,
    /// Chunks done.
    pub chunks_done: u64,
    /// All chunks; `None` until they are known.
    pub chunks_total: Option<u64>,
    /// Rows in a second since it first ran; `None` where there is nothing to tell it by.
    pub rows_per_second: Option<f64>,
    /// How long it will take still, if it goes on like that.
    pub seconds_left: Option<u64>,
}

/// A job without where its outputs are. `live` are rows and bytes that are done and not in the
/// ledger yet.
pub(crate) fn of(mut record: JobRecord, live: (u64, u64)) -> JobView {
    if record.state == JobState::Running {
        let total = record.bytes_total.unwrap_or(u64::MAX);
        record.rows = record.rows.saturating_add(live.0);
        record.bytes_read = record.bytes_read.saturating_add(live.1).min(total);
    }
    JobView {
        progress: progress(&record),
        id: record.id,
        version: record.version,
        state: record.state,
        actor: record.actor,
        created: record.created,
        started: record.started,
        ended: record.ended,
        failure: record.fault,
        outputs: Vec::new(),
        rejects: None,
    }
}

fn progress(record: &JobRecord) -> Progress {
    let until = record.ended.unwrap_or(record.now);
    let seconds = record
        .started
        .map(|started| until.duration_since(started).as_secs_f64())
        .filter(|seconds| *seconds > 0.0);
    let left = match (record.state, record.bytes_total, seconds) {
        (JobState::Running, Some(total), Some(seconds)) if record.bytes_read > 0 => {
            let per_byte = seconds / record.bytes_read as f64;
            let bytes = total.saturating_sub(record.bytes_read);
            Some((bytes as f64 * per_byte).ceil() as u64)
        }
        _ => None,
    };
    Progress {
        rows: record.rows,
        rejected: record.rejected,
        bytes_read: record.bytes_read,
        bytes_total: record.bytes_total,
        chunks_done: record.chunks_done,
        chunks_total: (record.indexed || record.ended.is_some()).then_some(record.chunks),
        rows_per_second: seconds
            .filter(|_| record.rows > 0)
            .map(|seconds| record.rows as f64 / seconds),
        seconds_left: left,
    }
}

/// Where the outputs of a finished job are, and its rejected rows.
///
/// # Errors
/// Those of [`Storage::resolve`] where a place may not be named any more; what storage says where
/// it cannot sign.
pub(crate) async fn signed(
    storage: &Storage,
    workspace: Id,
    kept: &Kept,
    base_url: &str,
) -> Result<(Vec<(String, Joined)>, Option<Joined>), Fault> {
    let sign = async |at: &storage::Location, purpose: Purpose<'_>| {
        let signed = storage.signed(at, READABLE, base_url).await;
        signed.map_err(|failure| failure.into_fault(purpose, at))
    };
    let outputs = try_join_all(kept.outputs.iter().map(async |output| {
        let at = output
            .target
            .resolve(storage, workspace, output.purpose())?;
        Ok::<_, Fault>((output.name.clone(), sign(&at, output.purpose()).await?))
    }))
    .await?;
    let rejects = match &kept.rejects {
        None => None,
        Some(target) => {
            let purpose = Purpose::Output(REJECTS);
            let at = target.resolve(storage, workspace, purpose)?;
            Some(sign(&at, purpose).await?)
        }
    };
    Ok((outputs, rejects))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(state: JobState, rows: u64, read: u64) -> JobRecord {
        let at = |seconds: i64| Timestamp::from_second(seconds).unwrap();
        JobRecord {
            id: Id::random(),
            number: 1,
            workspace: Id::random(),
            endpoint: Id::random(),
            label: "census/default".into(),
            version: ApiVersion::V2,
            actor: "test".into(),
            state,
            created: at(90),
            started: Some(at(100)),
            ended: state.is_end().then(|| at(120)),
            fault: None,
            bytes_total: Some(1000),
            bytes_read: read,
            rows,
            rejected: 0,
            chunks_done: 1,
            chunks: 4,
            indexed: false,
            now: at(110),
        }
    }

    #[test]
    fn rate_and_time_left_are_told_from_what_is_done() {
        let running = progress(&record(JobState::Running, 500, 250));
        assert_eq!(running.rows_per_second, Some(50.0));
        assert_eq!(running.seconds_left, Some(30));
        assert_eq!(running.chunks_total, None, "not all are known");
        let nothing = progress(&record(JobState::Running, 0, 0));
        assert_eq!(
            (nothing.rows_per_second, nothing.seconds_left),
            (None, None)
        );
        let done = progress(&record(JobState::Finished, 500, 1000));
        assert_eq!(done.rows_per_second, Some(25.0));
        assert_eq!((done.seconds_left, done.chunks_total), (None, Some(4)));
    }
}
