//! The frame of every help page: head, menu, style, and the policy that a browser holds it to.
//!
//! A page is whole in itself. Its policy allows the one style and the one script that stand in it,
//! by their hashes, and nothing else: no request to anywhere, no script that a value could smuggle
//! in. The script adds the copy buttons; without it the pages lose nothing else.

use std::sync::LazyLock;

use faults::Language;
use http::StatusCode;
use http::header::{
    CACHE_CONTROL, CONTENT_LANGUAGE, CONTENT_SECURITY_POLICY, HeaderValue, REFERRER_POLICY, VARY,
    X_CONTENT_TYPE_OPTIONS,
};
use ring::digest;

use super::html::Html;
use super::words::Words;
use super::{Facts, Topic};
use crate::reply::Reply;

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("copy.js");

static POLICY: LazyLock<HeaderValue> = LazyLock::new(|| {
    let policy = format!(
        "default-src 'none'; style-src {}; script-src {}; img-src data:; base-uri 'none'; \
         form-action 'none'; frame-ancestors 'none'",
        source(STYLE),
        source(SCRIPT),
    );
    // Letters, digits and punctuation only; if ever not, nothing is allowed.
    HeaderValue::from_str(&policy)
        .unwrap_or_else(|_| HeaderValue::from_static("default-src 'none'"))
});

/// The name of an inline text in a policy.
fn source(text: &str) -> String {
    let hash = digest::digest(&digest::SHA256, text.as_bytes());
    format!("'sha256-{}'", store::base64(hash.as_ref()))
}

/// Puts a page together.
pub(crate) fn page(facts: &Facts<'_>, topic: Topic, title: &str, content: &Html) -> Reply {
    let words = facts.words;
    let mut html = Html::new();
    html.raw("<!doctype html>\n<html lang=\"")
        .text(facts.language.tag())
        .raw("\">\n<head>\n<meta charset=\"utf-8\">\n")
        .raw("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n")
        .raw("<meta name=\"color-scheme\" content=\"light dark\">\n")
        .raw("<link rel=\"icon\" href=\"data:,\">\n<title>")
        .text(title)
        .raw("</title>\n<style>")
        .raw(STYLE)
        .raw("</style>\n</head>\n<body data-copy=\"")
        .text(words.copy)
        .raw("\" data-copied=\"")
        .text(words.copied)
        .raw("\">\n");
    menu(&mut html, facts, words, topic);
    html.raw("<main class=\"page\">\n")
        .element("h1", title)
        .raw("\n")
        .add(content)
        .raw("\n<footer>")
        .text(words.served_by)
        .raw("</footer>\n</main>\n<script>")
        .raw(SCRIPT)
        .raw("</script>\n</body>\n</html>\n");
    reply(html, facts.language)
}

fn menu(html: &mut Html, facts: &Facts<'_>, words: &Words, topic: Topic) {
    html.raw("<nav class=\"site\"><div><strong>")
        .text(facts.name())
        .raw("</strong>");
    for (to, name) in [
        (Topic::Index, words.overview),
        (Topic::Score, words.request_response),
        (Topic::Jobs, words.batch),
        (Topic::Update, words.update_resource),
    ] {
        html.raw("<a href=\"").text(facts.help(to)).raw("\"");
        if to == topic {
            html.raw(" aria-current=\"page\"");
        }
        html.raw(">").text(name).raw("</a>");
    }
    html.raw("</div></nav>\n");
}

fn reply(html: Html, language: Language) -> Reply {
    const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");
    Reply::text(StatusCode::OK, HTML, html.into_string().into())
        .with(CONTENT_SECURITY_POLICY, POLICY.clone())
        .with(CONTENT_LANGUAGE, HeaderValue::from_static(language.tag()))
        .with(VARY, HeaderValue::from_static("Accept-Language"))
        .with(CACHE_CONTROL, HeaderValue::from_static("no-cache"))
        .with(REFERRER_POLICY, HeaderValue::from_static("no-referrer"))
        .with(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_policy_names_the_hashes_of_style_and_script_and_allows_nothing_else() {
        let policy = POLICY.to_str().unwrap();
        assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"));
        assert!(
            !policy.contains("unsafe") && !policy.contains("http"),
            "{policy}"
        );
        assert_eq!(policy.matches("'sha256-").count(), 2);
        // Neither text may end its own element.
        assert!(!STYLE.contains("</") && !SCRIPT.contains("</"));
    }
}
