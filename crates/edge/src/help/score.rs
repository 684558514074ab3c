//! The page about request-response calls.

use serde_json::{Map, Value, json};
use tables::{DataType, Field};

use super::html::Html;
use super::samples::{Call, json as json_text};
use super::words::fill;
use super::{Facts, Topic, errors, page as frame, parts};
use crate::reply::Reply;
use crate::score::example::{Example, made_up_cell, typed};

/// The page `score`.
pub(crate) fn page(facts: &Facts<'_>) -> Reply {
    let words = facts.words;
    // An example that does not fit its inputs is no reason to have no page.
    let example = Example::of(facts.package).unwrap_or_else(|_| Example::made_up(facts.package));
    let example = with_types(facts, example);
    let call = Call {
        method: "POST",
        url: format!(
            "{}/execute?api-version=2.0&details=true",
            facts.service_url()
        ),
        body: example.as_table(),
    };
    let mut html = Html::new();
    parts::introduction(&mut html, facts);
    contents(&mut html, facts);
    request(&mut html, facts, &call);
    html.raw("<section id=\"requestSummary\">\n")
        .element("h2", words.sample_request);
    parts::code(&mut html, "sample-request", &json_text(&call.body));
    html.raw("<p class=\"note\">")
        .text(match example.own_rows {
            true => words.own_rows,
            false => words.made_up_rows,
        })
        .raw("</p>\n</section>\n<section id=\"responseSummary\">\n")
        .element("h2", words.sample_response);
    let response = sample_response(facts, &example);
    parts::code(&mut html, "sample-response", &json_text(&response));
    html.raw("<p class=\"note\">")
        .text(words.response_note)
        .raw("</p>\n<p class=\"note\">")
        .text(words.response_headers)
        .raw("</p>\n</section>\n");
    ports(&mut html, facts);
    errors::section(&mut html, facts);
    parts::programs(&mut html, facts, words.sample_code_note, |language| {
        language.program(&call)
    });
    frame::page(
        facts,
        Topic::Score,
        &fill(words.score_title, facts.name()),
        &html,
    )
}

fn contents(html: &mut Html, facts: &Facts<'_>) {
    let words = facts.words;
    html.raw("<ul class=\"contents\">\n");
    for (to, name) in [
        ("#request", words.request),
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

fn request(html: &mut Html, facts: &Facts<'_>, call: &Call) {
    let words = facts.words;
    html.raw("<section id=\"request\">\n")
        .element("h2", words.request);
    parts::request_line(html, facts, call.method, &call.url);
    html.element("p", words.details_note)
        .element("p", words.format_note)
        .raw("\n")
        .element("h3", words.headers);
    parts::headers(
        html,
        facts,
        &[
            ("Authorization", "Bearer …", true, words.authorization),
            ("Content-Type", "application/json", true, words.content_type),
            ("Content-Length", "…", false, words.content_length),
            ("Accept", "application/json", false, words.accept),
            ("Accept-Language", "en", false, words.accept_language),
            (
                "x-ms-client-request-id",
                "…",
                false,
                words.client_request_id,
            ),
        ],
    );
    html.raw("</section>\n");
}

/// Inputs, outputs and parameters, a section each.
pub(crate) fn ports(html: &mut Html, facts: &Facts<'_>) {
    let words = facts.words;
    html.raw("<section id=\"inputs\">\n")
        .element("h2", words.inputs)
        .raw("\n");
    for port in &facts.package.inputs {
        parts::columns(html, facts, port);
    }
    if facts.package.inputs.is_empty() {
        html.element("p", words.no_inputs);
    }
    html.raw("</section>\n<section id=\"outputs\">\n")
        .element("h2", words.outputs)
        .raw("\n");
    for port in &facts.package.outputs {
        parts::columns(html, facts, port);
    }
    html.raw("</section>\n<section id=\"parameters\">\n")
        .element("h2", words.parameters)
        .raw("\n");
    parts::parameters(html, facts);
    html.raw("</section>\n");
}

/// The largest whole number that every language of the samples keeps exactly.
const EXACT: u64 = 1 << 53;

/// Cells that are texts become values of their column's type, where they read as such and no
/// language would round them.
pub(crate) fn with_types(facts: &Facts<'_>, mut example: Example) -> Example {
    for (input, port) in example.inputs.iter_mut().zip(&facts.package.inputs) {
        for row in &mut input.rows {
            for (cell, field) in row.iter_mut().zip(port.schema.fields()) {
                if let Value::String(text) = cell {
                    *cell = typed(text, field.data_type);
                }
                if is_inexact(cell) {
                    *cell = cell.to_string().into();
                }
            }
        }
    }
    example
}

fn is_inexact(cell: &Value) -> bool {
    match (cell.as_u64(), cell.as_i64()) {
        (Some(number), _) => number > EXACT,
        (_, Some(number)) => number.unsigned_abs() > EXACT,
        _ => false,
    }
}

/// A reply of the right shape: what an input of the same name and type holds, else made up.
fn sample_response(facts: &Facts<'_>, example: &Example) -> Value {
    let rows = example.inputs.iter().map(|input| input.rows.len()).max();
    let mut results = Map::new();
    for port in &facts.package.outputs {
        let fields = port.schema.fields();
        let values: Vec<Vec<Value>> = (0..rows.unwrap_or(1))
            .map(|row| {
                fields
                    .iter()
                    .map(|f| reply_cell(facts, example, f, row))
                    .collect()
            })
            .collect();
        let names: Vec<&str> = port.schema.names().collect();
        let types: Vec<&str> = fields.iter().map(|f| f.data_type.wire_name()).collect();
        results.insert(
            port.name.clone(),
            json!({
                "type": "table",
                "value": { "ColumnNames": names, "ColumnTypes": types, "Values": values },
            }),
        );
    }
    json!({ "Results": results })
}

fn reply_cell(facts: &Facts<'_>, example: &Example, field: &Field, row: usize) -> Value {
    let inputs = example.inputs.iter().zip(&facts.package.inputs);
    let passed_on = inputs.into_iter().find_map(|(input, port)| {
        let position = port.schema.position(&field.name)?;
        let same = port.schema.fields().get(position)?.data_type == field.data_type;
        input.rows.get(row)?.get(position).filter(|_| same)
    });
    let cell = passed_on.cloned().unwrap_or_else(|| made_up_cell(field));
    match (cell, field.data_type) {
        (Value::Null, _) => Value::Null,
        (_, DataType::DateTime | DataType::DateTimeOffset) if passed_on.is_none() => {
            "1/1/2000 12:00:00 AM".into()
        }
        (Value::Bool(true), _) => "True".into(),
        (Value::Bool(false), _) => "False".into(),
        (Value::String(text), _) => text.into(),
        (other, _) => other.to_string().into(),
    }
}
