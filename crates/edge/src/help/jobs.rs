//! The page about batch jobs.

use serde_json::{Value, json};

use super::html::Html;
use super::samples::{batch, json as json_text};
use super::words::fill;
use super::{Facts, Topic, errors, page as frame, parts, score};
use crate::jobs::swagger::{sample_file, sample_request};
use crate::reply::Reply;
use crate::score::example::{Example, Input};

/// The page `jobs`.
pub(crate) fn page(facts: &Facts<'_>) -> Reply {
    let words = facts.words;
    // An example that does not fit its inputs is no reason to have no page.
    let example = Example::of(facts.package).unwrap_or_else(|_| Example::made_up(facts.package));
    let example = score::with_types(facts, example);
    let job = batch::Job {
        service: facts.service_url(),
        inputs: inputs(&example),
        parameters: example.parameters.clone().into(),
    };
    let request = sample_request(facts.package, &example);
    let mut html = Html::new();
    parts::introduction(&mut html, facts);
    html.element("p", words.jobs_what).raw("\n");
    contents(&mut html, facts);
    calls(&mut html, facts);
    references(&mut html, facts);
    html.raw("<section id=\"requestSummary\">\n")
        .element("h2", words.sample_request);
    parts::code(&mut html, "sample-request", &json_text(&request));
    html.raw("</section>\n<section id=\"responseSummary\">\n")
        .element("h2", words.sample_response);
    parts::code(&mut html, "sample-response", &json_text(&response(facts)));
    html.raw("<p class=\"note\">")
        .text(words.jobs_response_note)
        .raw("</p>\n</section>\n");
    score::ports(&mut html, facts);
    errors::section(&mut html, facts);
    parts::programs(&mut html, facts, words.jobs_code_note, |language| {
        batch::program(language, &job)
    });
    frame::page(
        facts,
        Topic::Jobs,
        &fill(words.jobs_title, facts.name()),
        &html,
    )
}

fn contents(html: &mut Html, facts: &Facts<'_>) {
    let words = facts.words;
    html.raw("<ul class=\"contents\">\n");
    for (to, name) in [
        ("#submit", words.jobs_submit),
        ("#start", words.jobs_start),
        ("#status", words.jobs_status),
        ("#delete", words.jobs_delete),
        ("#list", words.jobs_list),
        ("#references", words.references),
        ("#requestSummary", words.sample_request),
        ("#responseSummary", words.sample_response),
        ("#inputs", words.inputs),
        ("#outputs", words.outputs),
        ("#parameters", words.parameters),
        ("#errors", words.errors),
        ("#samples", words.sample_code),
    ] {
        html.raw("<li>").link(to, name).raw("</li>\n");
    }
    html.raw("</ul>\n");
}

/// A section for each call.
fn calls(html: &mut Html, facts: &Facts<'_>) {
    let words = facts.words;
    for (id, title, note, method, path) in [
        (
            "submit",
            words.jobs_submit,
            words.jobs_submit_note,
            "POST",
            "/jobs",
        ),
        (
            "start",
            words.jobs_start,
            words.jobs_start_note,
            "POST",
            "/jobs/{job_id}/start",
        ),
        (
            "status",
            words.jobs_status,
            words.jobs_status_note,
            "GET",
            "/jobs/{job_id}",
        ),
        (
            "delete",
            words.jobs_delete,
            words.jobs_delete_note,
            "DELETE",
            "/jobs/{job_id}",
        ),
        (
            "list",
            words.jobs_list,
            words.jobs_list_note,
            "GET",
            "/jobs",
        ),
    ] {
        html.raw("<section id=\"")
            .raw(id)
            .raw("\">\n")
            .element("h2", title);
        let url = format!("{}{path}?api-version=2.0", facts.service_url());
        parts::request_line(html, facts, method, &url);
        html.element("p", note).raw("\n");
        if id == "submit" {
            html.element("p", words.bad_rows)
                .raw("\n")
                .element("h3", words.headers);
            parts::headers(
                html,
                facts,
                &[
                    ("Authorization", "Bearer …", true, words.authorization),
                    ("Content-Type", "application/json", true, words.content_type),
                    ("Content-Length", "…", false, words.content_length),
                    ("Accept-Language", "en", false, words.accept_language),
                ],
            );
        }
        html.raw("</section>\n");
    }
}

/// How a file is named.
fn references(html: &mut Html, facts: &Facts<'_>) {
    let words = facts.words;
    html.raw("<section id=\"references\">\n")
        .element("h2", words.references)
        .element("p", words.references_note)
        .element("p", words.file_kinds)
        .raw("\n<dl>\n");
    for (members, meaning) in [
        ("RelativeLocation", words.reference_own),
        (
            "ConnectionString, RelativeLocation",
            words.reference_account,
        ),
        (
            "BaseLocation, RelativeLocation, SasBlobToken",
            words.reference_signed,
        ),
        ("RelativeLocation", words.reference_url),
    ] {
        html.raw("<dt><code>")
            .text(members)
            .raw("</code></dt>")
            .element("dd", meaning)
            .raw("\n");
    }
    html.raw("</dl>\n</section>\n");
}

/// What each input of the samples gets.
fn inputs(example: &Example) -> Vec<batch::Input> {
    let inputs = example.inputs.iter();
    inputs
        .map(|input| batch::Input {
            name: input.name.clone(),
            file: sample_file(&input.name),
            rows: csv(input),
        })
        .collect()
}

/// The rows of an input as a file.
fn csv(input: &Input) -> String {
    let mut text = String::new();
    let names = input.columns.iter().map(|name| Value::from(name.as_str()));
    csv_line(names, &mut text);
    for row in &input.rows {
        csv_line(row.iter().cloned(), &mut text);
    }
    text
}

fn csv_line(cells: impl Iterator<Item = Value>, text: &mut String) {
    let before = text.len();
    for (i, cell) in cells.enumerate() {
        if i > 0 {
            text.push(',');
        }
        let cell = match cell {
            Value::Null => continue,
            Value::Bool(true) => "True".to_owned(),
            Value::Bool(false) => "False".to_owned(),
            Value::String(cell) => cell,
            other => other.to_string(),
        };
        match cell.contains(['"', ',', '\n', '\r']) || cell.trim() != cell || cell.is_empty() {
            true => text.push_str(&format!("\"{}\"", cell.replace('"', "\"\""))),
            false => text.push_str(&cell),
        }
    }
    if text.len() == before {
        // A line of nothing would not count as a row.
        text.push_str("\"\"");
    }
    text.push('\n');
}

/// What a finished job answers.
fn response(facts: &Facts<'_>) -> Value {
    let outputs = facts.package.outputs.iter();
    let results: serde_json::Map<String, Value> = outputs
        .map(|port| {
            let blob = json!({
                "ConnectionString": null,
                "RelativeLocation": format!("results/{}", sample_file(&port.name)),
                "BaseLocation": facts.blob_url(""),
                "SasBlobToken": "?…",
            });
            (port.name.clone(), blob)
        })
        .collect();
    json!({
        "StatusCode": "Finished",
        "Results": results,
        "Details": null,
        "State": "Finished",
        "CreatedAt": "2026-01-31T12:00:00Z",
        "StartTime": "2026-01-31T12:00:01Z",
        "EndTime": "2026-01-31T12:00:03Z",
        "Error": null,
        "Progress": {
            "Rows": 250000,
            "Rejected": 0,
            "BytesRead": 41250133,
            "BytesTotal": 41250133,
            "ChunksDone": 5,
            "ChunksTotal": 5,
            "Percent": 100.0,
            "RowsPerSecond": 125000.0,
            "SecondsLeft": null,
        },
        "Rejects": null,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_become_a_file_that_reads_back_as_they_were() {
        let input = Input {
            name: "input1".into(),
            columns: vec!["a,b".into(), "c".into()],
            rows: vec![
                vec![json!("say \"x\""), Value::Null],
                vec![json!(" y\nz"), json!(-1.5)],
                vec![json!(""), json!(true)],
            ],
        };
        assert_eq!(
            csv(&input),
            "\"a,b\",c\n\"say \"\"x\"\"\",\n\" y\nz\",-1.5\n\"\",True\n"
        );
    }
}
