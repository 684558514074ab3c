//! The public half of a fault as a reply: envelope, status, and what its headers need.

use serde::Serialize;

use crate::catalogue::Class;
use crate::locale::{class_message, row_message};
use crate::table::Retry;
use crate::{Detail, Fault, Language};

/// The longest value of `x-ms-error-code`, in bytes.
const CODE_LIMIT: usize = 128;

/// A fault in one language, ready to be sent. It holds nothing of the private cause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    /// The HTTP status, by the class.
    pub status: u16,
    /// The language of the catalogue's sentences: `Content-Language`. Parameters and a module's
    /// own sentence stand in it as they came.
    pub language: Language,
    /// The envelope as JSON (UTF-8, ASCII control characters escaped).
    pub body: String,
    /// `x-ms-error-code`: `details[0].code`, else the class; visible ASCII, at most 128 bytes.
    pub error_code: String,
    /// `Retry-After` in whole seconds, at least 1. Present where the fault knows a delay, and for
    /// every class whose hint is to wait.
    pub retry_after_secs: Option<u64>,
}

#[derive(Serialize)]
struct Envelope<'a> {
    error: ErrorBody<'a>,
}

#[derive(Serialize)]
struct ErrorBody<'a> {
    code: &'a str,
    message: &'a str,
    details: Vec<DetailBody<'a>>,
}

#[derive(Serialize)]
struct DetailBody<'a> {
    code: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<&'a str>,
    message: String,
}

/// Renders the public half of a fault: `{"error":{"code","message","details":[{"code","target",
/// "message"}]}}`. `details` is always there, possibly empty (classic clients index it); `target`
/// is absent where there is none.
pub fn render(fault: &Fault, language: Language) -> Rendered {
    let class = fault.class();
    let envelope = Envelope {
        error: ErrorBody {
            code: class.name(),
            message: class_message(class, language),
            details: fault
                .details()
                .iter()
                .map(|detail| DetailBody {
                    code: &detail.code,
                    target: detail.target.as_deref(),
                    message: detail_message(detail, class, language),
                })
                .collect(),
        },
    };
    Rendered {
        status: class.status(),
        language,
        // Strings always serialize; the envelope of the class alone is what remains.
        body: serde_json::to_string(&envelope).unwrap_or_else(|_| {
            format!(
                r#"{{"error":{{"code":"{}","message":"","details":[]}}}}"#,
                class.name()
            )
        }),
        error_code: header_code(fault),
        retry_after_secs: retry_after(fault),
    }
}

/// The sentence of one detail: the row's in the language asked for, else the module's own. A
/// module that gave none has the class's, so that `message` never is empty.
fn detail_message(detail: &Detail, class: Class, language: Language) -> String {
    match (detail.row, detail.message.as_deref()) {
        (Some(row), _) => row_message(row, &detail.args, language),
        (None, Some(message)) if !message.is_empty() => message.to_owned(),
        (None, _) => class_message(class, language).to_owned(),
    }
}

/// A module chooses its own error id, so it may hold what a header must not.
fn header_code(fault: &Fault) -> String {
    let code: String = fault
        .code()
        .chars()
        .map(|c| if c.is_ascii_graphic() { c } else { '_' })
        .take(CODE_LIMIT)
        .collect();
    match code.is_empty() {
        true => fault.class().name().to_owned(),
        false => code,
    }
}

fn retry_after(fault: &Fault) -> Option<u64> {
    match fault.retry_delay() {
        Some(delay) => {
            let up = u64::from(delay.subsec_nanos() > 0);
            Some(delay.as_secs().saturating_add(up).max(1))
        }
        None => (fault.class().retry() == Retry::AfterDelay).then_some(1),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{bad_argument, bad_user_argument, service_unavailable, unauthorized};

    #[test]
    fn a_row_renders_to_the_envelope_in_both_languages() {
        let fault = unauthorized::score_request_unauthorized().because("no such key");
        let reply = render(&fault, Language::English);
        assert_eq!(
            reply.body,
            r#"{"error":{"code":"Unauthorized","message":"The request is not authorized to use this resource.","details":[{"code":"ScoreRequestUnauthorized","message":"The credentials are not valid."}]}}"#
        );
        assert_eq!(
            (reply.status, reply.error_code.as_str()),
            (401, "ScoreRequestUnauthorized")
        );
        assert_eq!(reply.retry_after_secs, None);
        let reply = render(&fault, Language::TraditionalChinese);
        assert_eq!(reply.language.tag(), "zh-TW");
        assert_eq!(
            reply.body,
            r#"{"error":{"code":"Unauthorized","message":"要求未經授權存取資源。","details":[{"code":"ScoreRequestUnauthorized","message":"提供的認證無效。"}]}}"#
        );
    }

    #[test]
    fn parameters_and_targets_are_escaped_and_stay_in_place() {
        let fault =
            bad_argument::invalid_query_parameter("a\"{1}\\", "line\nend \u{0}").at("in/\u{7f}é");
        let body = render(&fault, Language::English).body;
        let value: serde_json::Value = serde_json::from_str(&body).expect("JSON");
        let detail = &value["error"]["details"][0];
        assert_eq!(
            detail["message"],
            "The query parameter 'a\"{1}\\' is not valid. line\nend \u{0}"
        );
        assert_eq!(detail["target"], "in/\u{7f}é");
    }

    #[test]
    fn a_bare_class_has_empty_details_and_its_own_name_as_code() {
        let reply = render(&Fault::bare(Class::NotFound), Language::English);
        assert_eq!(
            reply.body,
            r#"{"error":{"code":"NotFound","message":"The resource does not exist.","details":[]}}"#
        );
        assert_eq!(reply.error_code, "NotFound");
    }

    #[test]
    fn several_details_keep_their_order() {
        let fault = bad_user_argument::input_mismatch_error()
            .at("input1/a")
            .and(bad_user_argument::input_mismatch_error().at("input1/b"));
        let body = render(&fault, Language::TraditionalChinese).body;
        let value: serde_json::Value = serde_json::from_str(&body).expect("JSON");
        let targets: Vec<_> = value["error"]["details"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|d| d["target"].as_str().unwrap_or_default())
            .collect();
        assert_eq!(targets, ["input1/a", "input1/b"]);
    }

    #[test]
    fn a_modules_own_failure_keeps_its_sentence_and_its_header_is_safe() {
        let fault = Fault::module(
            Class::ModuleExecutionError,
            "bad id\r\nX: 1 é",
            "Error 0085: …",
            "Execute Python Script",
        );
        let reply = render(&fault, Language::TraditionalChinese);
        assert_eq!(reply.error_code, "bad_id__X:_1__");
        let value: serde_json::Value = serde_json::from_str(&reply.body).expect("JSON");
        let detail = &value["error"]["details"][0];
        assert_eq!(detail["code"], "bad id\r\nX: 1 é");
        assert_eq!(detail["message"], "Error 0085: …");
        assert_eq!(detail["target"], "Execute Python Script");

        let silent = Fault::module(Class::LibraryExecutionError, "", "", "node");
        let reply = render(&silent, Language::English);
        assert_eq!(reply.error_code, "LibraryExecutionError");
        assert!(
            reply
                .body
                .contains(r#""message":"A library used by a module failed"#)
        );

        let long = Fault::module(Class::LibraryExecutionError, "x".repeat(4000), "m", "n");
        assert_eq!(
            render(&long, Language::English).error_code.len(),
            CODE_LIMIT
        );
    }

    #[test]
    fn the_private_cause_is_in_no_field() {
        for &class in Class::ALL {
            let fault = Fault::bare(class).because("the-secret");
            for &language in Language::ALL {
                assert!(!format!("{:?}", render(&fault, language)).contains("the-secret"));
            }
        }
    }

    #[test]
    fn retry_after_is_whole_seconds_rounded_up() {
        let throttled = || service_unavailable::request_throttled("default", "20");
        let seconds = |fault: &Fault| render(fault, Language::English).retry_after_secs;
        assert_eq!(seconds(&throttled()), Some(1));
        for (delay, expected) in [
            (Duration::ZERO, 1),
            (Duration::from_millis(1), 1),
            (Duration::from_secs(2), 2),
            (Duration::from_millis(2001), 3),
            (Duration::MAX, u64::MAX),
        ] {
            assert_eq!(seconds(&throttled().retry_after(delay)), Some(expected));
        }
        let fault = bad_argument::request_is_empty().retry_after(Duration::from_secs(4));
        assert_eq!(seconds(&fault), Some(4));
        for &class in Class::ALL.iter().filter(|c| c.status() == 503) {
            assert_eq!(seconds(&Fault::bare(class)), Some(1), "{}", class.name());
        }
    }
}
