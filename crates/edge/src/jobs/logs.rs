//! `GET …/jobs/{job}/logs`: what is known of a job's run beyond its status. Ours; for whoever has a
//! key of the endpoint, as all of a job is.

use faults::Fault;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::value::RawValue;

use super::{enter_job, shown};
use crate::reply::Reply;
use crate::stack::Call;

/// Lines of the endpoint that are looked through.
const LINES: usize = 500;

/// The reply.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Logs {
    /// The newest lines about the endpoint that name the job, oldest first.
    lines: Vec<Line>,
    /// The job's blob of diagnostics, where one was written.
    diagnostics: Option<Box<RawValue>>,
    /// Why it cannot be read, where it cannot.
    problem: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Line {
    time: String,
    level: &'static str,
    text: String,
}

/// Answers the call.
///
/// # Errors
/// Those of the status of a job.
pub(crate) async fn get(call: &Call<'_>) -> Result<Reply, Fault> {
    let (endpoint, job, _) = enter_job(call, false)?;
    let gateway = call.gateway;
    let view = gateway
        .jobs
        .status(endpoint.entry(), job, &call.base_url())
        .await?;
    let id = job.to_string();
    let notes = gateway.telemetry.notes(endpoint.entry().endpoint.0, LINES);
    let of_job = notes.into_iter().filter(|note| note.text.contains(&id));
    let lines = of_job.map(|note| Line {
        time: Timestamp::try_from(note.time)
            .unwrap_or_default()
            .to_string(),
        level: note.level.name(),
        text: note.text,
    });
    let read = match view.ended {
        Some(ended) => {
            gateway
                .diagnostics
                .of_job(endpoint.entry(), job, ended)
                .await
        }
        None => Ok(None),
    };
    let (diagnostics, problem) = match read {
        // One that somebody else wrote over may be no JSON.
        Ok(Some(text)) => (serde_json::from_slice(&text).ok(), None),
        Ok(None) => (None, None),
        Err(problem) => (None, Some(problem)),
    };
    let logs = Logs {
        lines: lines.collect(),
        diagnostics,
        problem,
    };
    shown(call, &logs)
}
