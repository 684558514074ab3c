//! The page about batch jobs, which says what this server answers to them.

use super::html::Html;
use super::words::fill;
use super::{Facts, Topic, page as frame, parts};
use crate::reply::Reply;

/// The page `jobs`.
pub(crate) fn page(facts: &Facts<'_>) -> Reply {
    let words = facts.words;
    let mut html = Html::new();
    parts::introduction(&mut html, facts);
    html.raw("<div class=\"box\">")
        .element("p", words.jobs_absent)
        .raw("</div>\n");
    let jobs = format!("{}/jobs?api-version=2.0", facts.service_url());
    parts::request_line(&mut html, facts, "POST", &jobs);
    html.raw("<p>")
        .text(words.jobs_instead)
        .raw("</p>\n<p>")
        .link(facts.help(Topic::Score), words.request_response)
        .raw("</p>\n");
    frame::page(
        facts,
        Topic::Jobs,
        &fill(words.jobs_title, facts.name()),
        &html,
    )
}
