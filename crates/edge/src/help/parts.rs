//! Pieces that several pages have.

use graph::{ParameterKind, Port};
use tables::Field;

use super::Facts;
use super::html::Html;
use super::samples::Language;
use super::words::fill;
use crate::score::example;

/// Categories of a column that are listed.
const CATEGORIES: usize = 12;

/// Under the title: when the service was last changed, which endpoint this is, what it does.
pub(crate) fn introduction(html: &mut Html, facts: &Facts<'_>) {
    let words = facts.words;
    let updated = facts.entry.modified.strftime("%m/%d/%Y %H:%M").to_string();
    html.raw("<p class=\"meta\">")
        .text(words.updated)
        .raw(": <time datetime=\"")
        .text(facts.entry.modified.to_string())
        .raw("\">")
        .text(updated)
        .raw("</time> UTC · ")
        .text(words.endpoint)
        .raw(" <code>")
        .text(&facts.entry.endpoint_name)
        .raw("</code></p>\n")
        .element("p", facts.description())
        .raw("\n");
}

/// Text to be copied. `name` is the element's id.
pub(crate) fn code(html: &mut Html, name: &'static str, text: &str) {
    html.raw("<div class=\"code\"><pre id=\"")
        .raw(name)
        .raw("\" tabindex=\"0\">")
        .text(text)
        .raw("</pre></div>\n");
}

/// Method and address of a call.
pub(crate) fn request_line(html: &mut Html, facts: &Facts<'_>, method: &str, url: &str) {
    let words = facts.words;
    html.raw("<div class=\"scroll\"><table><thead><tr>")
        .element("th", words.method)
        .element("th", words.request_uri)
        .raw("</tr></thead><tbody><tr><td><code>")
        .text(method)
        .raw("</code></td><td><code>")
        .text(url)
        .raw("</code></td></tr></tbody></table></div>\n");
}

/// Header, value and meaning.
pub(crate) fn headers(html: &mut Html, facts: &Facts<'_>, rows: &[(&str, &str, bool, &str)]) {
    let words = facts.words;
    html.raw("<div class=\"scroll\"><table><thead><tr>")
        .element("th", words.header)
        .element("th", words.value)
        .element("th", words.meaning)
        .raw("</tr></thead><tbody>\n");
    for (name, value, required, meaning) in rows {
        let need = if *required {
            words.required
        } else {
            words.optional
        };
        html.raw("<tr><td><code>")
            .text(name)
            .raw("</code><br><span class=\"note\">")
            .text(need)
            .raw("</span></td><td><code>")
            .text(value)
            .raw("</code></td>")
            .element("td", meaning)
            .raw("</tr>\n");
    }
    html.raw("</tbody></table></div>\n");
}

/// The columns of an input or an output.
pub(crate) fn columns(html: &mut Html, facts: &Facts<'_>, port: &Port) {
    let words = facts.words;
    html.raw("<h3><code>")
        .text(&port.name)
        .raw("</code></h3>\n");
    for text in [&port.title, &port.description] {
        if !text.trim().is_empty() {
            html.element("p", text).raw("\n");
        }
    }
    html.raw("<div class=\"scroll\"><table><thead><tr>")
        .element("th", words.name)
        .element("th", words.kind)
        .element("th", words.may_be_missing);
    let categorical = port.schema.fields().iter().any(|f| f.categories.is_some());
    if categorical {
        html.element("th", words.values);
    }
    html.raw("</tr></thead><tbody>\n");
    for field in port.schema.fields() {
        let missing = if field.nullable { words.yes } else { words.no };
        html.raw("<tr>")
            .element("td", &field.name)
            .raw("<td><code>")
            .text(field.data_type.name())
            .raw("</code></td>")
            .element("td", missing);
        if categorical {
            html.element("td", categories(facts, field));
        }
        html.raw("</tr>\n");
    }
    html.raw("</tbody></table></div>\n");
}

fn categories(facts: &Facts<'_>, field: &Field) -> String {
    let Some(all) = &field.categories else {
        return String::new();
    };
    let mut text = all.iter().take(CATEGORIES).cloned().collect::<Vec<_>>();
    if all.len() > CATEGORIES {
        let rest = (all.len() - CATEGORIES).to_string();
        text.push(fill(facts.words.and_more, &rest));
    }
    text.join(", ")
}

/// The parameters that a call may or must give.
pub(crate) fn parameters(html: &mut Html, facts: &Facts<'_>) {
    let words = facts.words;
    if facts.package.graph_parameters.is_empty() {
        html.element("p", words.no_parameters).raw("\n");
        return;
    }
    html.raw("<div class=\"scroll\"><table><thead><tr>")
        .element("th", words.name)
        .element("th", words.kind)
        .element("th", words.default)
        .element("th", words.description)
        .raw("</tr></thead><tbody>\n");
    for (name, parameter) in &facts.package.graph_parameters {
        let need = match facts.package.default_of(name) {
            Some(_) => words.optional,
            None => words.required,
        };
        let default = example::shown_default(facts.package, name, parameter.kind);
        html.raw("<tr><td>")
            .text(name)
            .raw("<br><span class=\"note\">")
            .text(need)
            .raw("</span></td><td><code>")
            .text(parameter.kind.map_or("String", ParameterKind::name))
            .raw("</code></td>")
            .element("td", default.unwrap_or_default())
            .element("td", &parameter.description)
            .raw("</tr>\n");
    }
    html.raw("</tbody></table></div>\n");
}

/// A program in each language, one shown at a time; all of them on paper.
pub(crate) fn programs(
    html: &mut Html,
    facts: &Facts<'_>,
    note: &str,
    program: impl Fn(Language) -> String,
) {
    html.raw("<section id=\"samples\">\n")
        .element("h2", facts.words.sample_code)
        .element("p", note)
        .raw("\n<div class=\"tabs\">\n");
    for language in Language::ALL {
        html.raw("<input type=\"radio\" name=\"language\" id=\"tab-")
            .raw(language.word());
        html.raw(if language == Language::Curl {
            "\" checked>"
        } else {
            "\">"
        });
        html.raw("<label for=\"tab-")
            .raw(language.word())
            .raw("\">")
            .text(language.name())
            .raw("</label>\n");
    }
    for language in Language::ALL {
        html.raw("<section id=\"panel-")
            .raw(language.word())
            .raw("\" aria-label=\"")
            .text(language.name())
            .raw("\"><div class=\"code\"><pre tabindex=\"0\" id=\"sample-")
            .raw(language.word())
            // The class stands last: a published client cuts the page behind it.
            .raw("\" class=\"code-snippet-")
            .raw(language.word())
            .raw("\">")
            .text(program(language))
            .raw("</pre></div></section>\n");
    }
    html.raw("</div>\n</section>\n");
}
