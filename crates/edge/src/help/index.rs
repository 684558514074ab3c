//! The overview.

use super::html::Html;
use super::words::fill;
use super::{Facts, Topic, page as frame, parts};
use crate::reply::Reply;

/// The page at the help location itself.
pub(crate) fn page(facts: &Facts<'_>) -> Reply {
    let words = facts.words;
    let entry = &facts.entry;
    let mut html = Html::new();
    parts::introduction(&mut html, facts);
    html.raw("<dl>\n");
    for (name, value) in [
        (words.service, entry.service_name.name.as_str()),
        (words.endpoint, &entry.endpoint_name),
        (words.workspace, &entry.workspace.to_string()),
        (
            words.request_uri,
            &format!("{}/execute", facts.service_url()),
        ),
        (
            words.concurrent_calls,
            &entry.max_concurrent_calls.to_string(),
        ),
    ] {
        html.element("dt", name);
        html.raw("<dd><code>").text(value).raw("</code></dd>\n");
    }
    html.raw("</dl>\n");
    for (to, name, summary) in [
        (
            facts.help(Topic::Score),
            words.request_response,
            words.score_summary,
        ),
        (facts.help(Topic::Jobs), words.batch, words.jobs_summary),
        (
            facts.help(Topic::Update),
            words.update_resource,
            words.update_summary,
        ),
        (
            facts.below_help("/apidocument"),
            words.swagger_name,
            words.swagger_summary,
        ),
    ] {
        html.raw("<h3>").link(to, name).raw("</h3>\n");
        html.element("p", summary).raw("\n");
    }
    frame::page(
        facts,
        Topic::Index,
        &fill(words.index_title, facts.name()),
        &html,
    )
}
