//! A record as the text of its blob: a JSON object, described in `docs/diagnostics.md`.
//!
//! It says what happened and not what was asked: of a fault about a caller's data the words that
//! quote the data are left out, and so is every private cause, which may name what is not the
//! service's.

use std::time::Duration;

use bytes::Bytes;
use containers::{PrintedLine, StartReport, Stream};
use faults::{Class, Detail, Fault, Language, rows};
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use store::{DiagnosticsLevel, Entry};

use crate::JobRecord;
use crate::record::{CallDone, Item, What};

/// The form of the text; a further one has a higher number.
const VERSION: u32 = 1;
/// How long after the end of something its container's words may still come.
pub(crate) const SETTLE: Duration = Duration::from_millis(100);
/// Stands for what is left out.
const LEFT_OUT: &str = "…";

/// The text of a record. `level` is `Error` or `All`.
pub(crate) fn of(item: &Item, entry: &Entry, level: DiagnosticsLevel) -> Bytes {
    let mut out = Map::new();
    out.insert("version".into(), json!(VERSION));
    out.insert("kind".into(), json!(item.what.kind().name()));
    out.insert("level".into(), json!(level.name()));
    out.insert("workspaceId".into(), json!(entry.workspace.to_string()));
    out.insert("webServiceId".into(), json!(entry.service.to_string()));
    out.insert("endpointId".into(), json!(entry.endpoint.to_string()));
    out.insert("endpoint".into(), json!(entry.label()));
    let excerpt = match &item.what {
        What::Call(done) => {
            call(done, item.at, &mut out);
            done.ran.as_ref().map(|(ran, _)| &ran.printed)
        }
        What::Start(report) => {
            start(report, item.at, &mut out);
            report.printed.as_ref()
        }
        What::Job(record) => {
            job(record, &mut out);
            None
        }
    };
    match (&item.what, excerpt) {
        (What::Job(record), _) => lines(&record.printed, 0, level, &mut out),
        (_, Some(excerpt)) => {
            let (printed, lost) = excerpt.until(item.ended + SETTLE);
            lines(&printed, lost, level, &mut out);
        }
        (_, None) => lines(&[], 0, level, &mut out),
    }
    let text = serde_json::to_vec_pretty(&Value::Object(out));
    // Strings and numbers always have a text.
    let mut text = text.unwrap_or_default();
    text.push(b'\n');
    text.into()
}

fn call(done: &CallDone, at: Timestamp, out: &mut Map<String, Value>) {
    let (id, number) = &done.revision;
    out.insert("requestId".into(), json!(done.request_id));
    out.insert("revision".into(), json!(number));
    out.insert("revisionId".into(), json!(id.to_string()));
    out.insert("started".into(), json!(at.to_string()));
    out.insert("durationMs".into(), millis(done.took));
    let mut stages = Map::new();
    if let Some(received) = done.received {
        stages.insert("receive".into(), millis(received));
        if let Some((ran, handed)) = &done.ran {
            stages.insert("wait".into(), millis(handed.saturating_sub(received)));
            stages.insert("score".into(), millis(done.took.saturating_sub(*handed)));
            out.insert("container".into(), container(ran.container, ran.pid));
        }
    }
    out.insert("stagesMs".into(), stages.into());
    out.insert("status".into(), json!(done.status));
    out.insert("bytesIn".into(), json!(done.bytes_in));
    out.insert("bytesOut".into(), json!(done.bytes_out));
    error(done.fault.as_ref(), out);
}

fn start(report: &StartReport, at: Timestamp, out: &mut Map<String, Value>) {
    out.insert(
        "revisionId".into(),
        json!(store::Id(report.revision).to_string()),
    );
    out.insert("started".into(), json!(at.to_string()));
    out.insert("durationMs".into(), millis(report.took));
    let state = if report.fault.is_none() {
        "Ready"
    } else {
        "Failed"
    };
    out.insert("state".into(), json!(state));
    if let Some((number, pid)) = report.container {
        out.insert("container".into(), container(number, pid));
    }
    error(report.fault.as_ref(), out);
}

fn job(record: &JobRecord, out: &mut Map<String, Value>) {
    out.insert("jobId".into(), json!(record.job.to_string()));
    out.insert("state".into(), json!(record.state));
    out.insert("created".into(), json!(record.created.to_string()));
    let started = record.started.map(|at| at.to_string());
    out.insert("started".into(), json!(started));
    out.insert("ended".into(), json!(record.ended.to_string()));
    let begun = record.started.unwrap_or(record.created);
    let took = Duration::try_from(record.ended.duration_since(begun)).unwrap_or_default();
    out.insert("durationMs".into(), millis(took));
    let stages = record.stages.iter();
    let stages = stages.map(|(name, took)| ((*name).to_owned(), millis(*took)));
    out.insert("stagesMs".into(), stages.collect::<Map<_, _>>().into());
    out.insert("rows".into(), json!(record.rows));
    out.insert("rejected".into(), json!(record.rejected));
    out.insert("bytesRead".into(), json!(record.bytes_read));
    out.insert("chunks".into(), json!(record.chunks));
    error(record.fault.as_ref(), out);
}

fn container(number: u64, pid: u32) -> Value {
    json!({"number": number, "pid": pid})
}

/// Milliseconds with three places.
fn millis(duration: Duration) -> Value {
    json!(duration.as_micros() as f64 / 1000.0)
}

/// The public half of a fault, in English.
fn error(fault: Option<&Fault>, out: &mut Map<String, Value>) {
    let Some(fault) = fault else { return };
    let shown = without_data(fault);
    let rendered = faults::render(&shown, Language::English);
    // What a fault renders to is JSON.
    let mut envelope: Value = serde_json::from_str(&rendered.body).unwrap_or_default();
    out.insert("error".into(), envelope["error"].take());
}

/// The fault without the words that quote what the caller sent.
fn without_data(fault: &Fault) -> Fault {
    let mut details = fault.details().iter().map(|detail| {
        let mut made = match (detail.row, &detail.message) {
            (Some(row), _) => Fault::row(row, args(detail)),
            (None, message) => Fault::module(
                fault.class(),
                detail.code.to_string(),
                message.clone().unwrap_or_default(),
                "",
            ),
        };
        if let Some(target) = &detail.target {
            made = made.at(target);
        }
        made
    });
    let bare = || Fault::bare(fault.class());
    let first = details.next().unwrap_or_else(bare);
    details.fold(first, Fault::and)
}

fn args(detail: &Detail) -> Vec<String> {
    let is = |row: &'static faults::Row| detail.row.is_some_and(|own| std::ptr::eq(own, row));
    let of_data = detail
        .row
        .is_some_and(|row| row.class == Class::BadUserArgument)
        || is(&rows::BadArgument::UserParameterInvalid)
        || is(&rows::BadArgument::InvalidQueryParameter);
    if !of_data {
        return detail.args.clone();
    }
    let shown = |arg: &String| match is(&rows::BadUserArgument::InputParseError) {
        true => without_cell(arg),
        false => LEFT_OUT.to_owned(),
    };
    detail.args.iter().map(shown).collect()
}

/// Of `row 3, column "age": "abc" is not an Int32` the part before the cell. What has no cell is
/// about the shape of the data alone.
fn without_cell(problem: &str) -> String {
    match problem.split_once("\": ") {
        Some((place, _)) => format!("{place}\": {LEFT_OUT}"),
        None if problem.contains('"') => LEFT_OUT.to_owned(),
        None => problem.to_owned(),
    }
}

/// What was printed, as far as the level asks for it.
fn lines(
    printed: &[PrintedLine],
    lost: u64,
    level: DiagnosticsLevel,
    out: &mut Map<String, Value>,
) {
    let of = |stream| {
        let lines = printed.iter().filter(|line| line.stream == stream);
        lines.map(|line| json!(&*line.text)).collect::<Vec<_>>()
    };
    if level == DiagnosticsLevel::All {
        out.insert("stdout".into(), of(Stream::Output).into());
    }
    out.insert("stderr".into(), of(Stream::Error).into());
    if lost > 0 {
        out.insert("linesLost".into(), json!(lost));
    }
}
