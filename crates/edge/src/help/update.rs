//! The page about the exchange of a model.

use serde_json::{Value, json};
use store::DEFAULT_ENDPOINT;

use super::html::Html;
use super::samples::{Call, json as json_text};
use super::words::fill;
use super::{Facts, Topic, page as frame, parts};
use crate::reply::Reply;

/// What stands where the reader's own file belongs.
const LOCATION: (&str, &str, &str) = (
    "https://ACCOUNT.blob.core.windows.net/",
    "CONTAINER/NEW_MODEL.onnx",
    "?YOUR_SAS_TOKEN",
);

/// The page `update`.
pub(crate) fn page(facts: &Facts<'_>) -> Reply {
    let words = facts.words;
    let entry = &facts.entry;
    let mut html = Html::new();
    parts::introduction(&mut html, facts);
    html.element("p", words.update_what)
        .element("p", words.update_how)
        .raw("\n");
    let resources: Vec<&str> = facts
        .package
        .resources()
        .map(|(_, asset)| asset.name.as_str())
        .collect();
    let is_default = entry.endpoint_name == DEFAULT_ENDPOINT;
    let refusal = if resources.is_empty() {
        Some(words.update_nothing)
    } else if entry.read_only {
        Some(words.update_read_only)
    } else if is_default {
        Some(words.update_default)
    } else {
        None
    };
    if let Some(refusal) = refusal {
        html.raw("<div class=\"box\">")
            .element("p", refusal)
            .raw("</div>\n");
    }
    if is_default && !entry.read_only && !resources.is_empty() {
        html.element("p", words.update_make).raw("\n");
        parts::request_line(&mut html, facts, "PUT", &facts.endpoint_url("name"));
        let body = json!({ "Description": "", "ThrottleLevel": "High" });
        parts::code(&mut html, "make-endpoint", &json_text(&body));
    }
    if !resources.is_empty() {
        html.element("h2", words.resources).raw("<ul>\n");
        for name in &resources {
            html.raw("<li><code>").text(name).raw("</code></li>\n");
        }
        html.raw("</ul>\n");
    }
    // Where the call would be refused there is nothing to paste.
    if let (None, Some(name)) = (refusal, resources.first()) {
        call_sections(&mut html, facts, name);
    }
    frame::page(
        facts,
        Topic::Update,
        &fill(words.update_title, facts.name()),
        &html,
    )
}

fn call_sections(html: &mut Html, facts: &Facts<'_>, resource: &str) {
    let words = facts.words;
    let call = Call {
        method: "PATCH",
        url: facts.endpoint_url(&facts.entry.endpoint_name),
        body: body(resource),
    };
    html.raw("<section id=\"request\">\n")
        .element("h2", words.request);
    parts::request_line(html, facts, call.method, &call.url);
    parts::headers(
        html,
        facts,
        &[
            ("Authorization", "Bearer …", true, words.update_how),
            ("Content-Type", "application/json", true, words.content_type),
        ],
    );
    html.raw("</section>\n<section id=\"requestSummary\">\n")
        .element("h2", words.sample_request);
    parts::code(html, "sample-request", &json_text(&call.body));
    html.element("h3", words.location_members).raw("<dl>\n");
    for (name, meaning) in [
        ("BaseLocation", words.base_location),
        ("RelativeLocation", words.relative_location),
        ("SasBlobToken", words.sas_blob_token),
    ] {
        html.raw("<dt><code>")
            .text(name)
            .raw("</code></dt>")
            .element("dd", meaning)
            .raw("\n");
    }
    html.raw("</dl>\n</section>\n");
    parts::programs(html, facts, words.update_code_note, |language| {
        language.program(&call)
    });
}

fn body(resource: &str) -> Value {
    let (base, relative, token) = LOCATION;
    json!({
        "Resources": [{
            "Name": resource,
            "Location": {
                "BaseLocation": base,
                "RelativeLocation": relative,
                "SasBlobToken": token,
            },
        }],
    })
}
