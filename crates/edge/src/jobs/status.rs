//! A job as it is shown, in each version.

use std::collections::BTreeMap;

use ::jobs::{JobState, JobView};
use faults::{Fault, Language, render};
use storage::Joined;
use wire::bes_2_0::{
    BatchExecutionStatus, BatchScoreStatus, BlobReference, JobInList, JobStatus, Progress,
};
use wire::error::{ErrorBody, ErrorReply};

use super::details;

/// The reply of 2.0.
pub(crate) fn of_2_0(job: JobView, language: Language) -> BatchExecutionStatus {
    BatchExecutionStatus {
        status_code: status_code(job.state).1.into(),
        details: details(&job, language),
        results: results(&job),
        more: more(&job, language),
    }
}

/// The reply of the first version.
pub(crate) fn of_1(job: JobView, language: Language) -> BatchScoreStatus {
    let results = results(&job);
    let result = match &results {
        Some(results) if results.len() == 1 => results.values().next().cloned(),
        _ => None,
    };
    BatchScoreStatus {
        status_code: status_code(job.state).0,
        result,
        results,
        details: details(&job, language),
        more: more(&job, language),
    }
}

/// A line of the list.
pub(crate) fn in_list(job: JobView, language: Language) -> JobInList {
    JobInList {
        id: job.id.to_string(),
        status: of_2_0(job, language),
    }
}

/// The state's number in the first version and its word in 2.0. A job that waits for its turn is
/// one that has not started: published clients know no other word for it.
fn status_code(state: JobState) -> (u8, &'static str) {
    match state {
        JobState::NotStarted | JobState::Queued => (0, "NotStarted"),
        JobState::Running => (1, "Running"),
        JobState::Failed => (2, "Failed"),
        JobState::Cancelled => (3, "Cancelled"),
        JobState::Finished => (4, "Finished"),
    }
}

fn details(job: &JobView, language: Language) -> Option<String> {
    let failure = job.failure.as_ref()?;
    Some(details::text(failure, job.ended, language))
}

fn results(job: &JobView) -> Option<BTreeMap<String, BlobReference>> {
    let outputs = job
        .outputs
        .iter()
        .map(|(name, at)| (name.clone(), reference(at)));
    (job.state == JobState::Finished).then(|| outputs.collect())
}

fn reference(at: &Joined) -> BlobReference {
    BlobReference {
        connection_string: None,
        relative_location: Some(at.relative_location.clone()),
        base_location: Some(at.base_location.clone()),
        sas_blob_token: Some(at.sas_blob_token.clone()),
    }
}

fn more(job: &JobView, language: Language) -> JobStatus {
    let finished = job.state == JobState::Finished;
    JobStatus {
        state: job.state.name().into(),
        created_at: job.created.to_string(),
        start_time: job.started.map(|at| at.to_string()),
        end_time: job.ended.map(|at| at.to_string()),
        error: job
            .failure
            .as_ref()
            .and_then(|fault| error(fault, language)),
        progress: progress(job),
        rejects: job.rejects.as_ref().filter(|_| finished).map(reference),
    }
}

/// The failure as the reply to a call would say it.
fn error(fault: &Fault, language: Language) -> Option<ErrorBody> {
    let envelope = serde_json::from_str(&render(fault, language).body);
    envelope.ok().map(|envelope: ErrorReply| envelope.error)
}

fn progress(job: &JobView) -> Progress {
    let known = &job.progress;
    let percent = match known.bytes_total {
        _ if job.state == JobState::Finished => Some(100.0),
        Some(total) if total > 0 => {
            let share = known.bytes_read as f64 / total as f64;
            Some((share * 1000.0).round().min(1000.0) / 10.0)
        }
        _ => None,
    };
    Progress {
        rows: known.rows,
        rejected: known.rejected,
        bytes_read: known.bytes_read,
        bytes_total: known.bytes_total,
        chunks_done: known.chunks_done,
        chunks_total: known.chunks_total,
        percent,
        rows_per_second: known.rows_per_second,
        seconds_left: known.seconds_left.map(|seconds| seconds as f64),
    }
}
