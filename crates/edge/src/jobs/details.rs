//! Why a job failed, as the text that clients print.
//!
//! The ledger keeps class, code and parameters; the sentences are made at each read, in the reader's
//! language. The words around them stay as they are in both: scripts look for them.

use faults::{Class, Detail, Fault, Language, class_message, row_message};
use jiff::Timestamp;
use serde_json::json;

/// Details that are told; a table may have thousands of columns that are wrong.
const MOST: usize = 20;

/// The text of a failure: what kind it is, each of its details with its place, then class, status and
/// the time at which the job ended.
pub(crate) fn text(fault: &Fault, ended: Option<Timestamp>, language: Language) -> String {
    let class = fault.class();
    let mut text = class_message(class, language).to_owned();
    let details = fault.details();
    for (i, detail) in details.iter().take(MOST).enumerate() {
        text.push(if i == 0 { ' ' } else { '\n' });
        match detail.row {
            Some(_) => of_row(detail, language, &mut text),
            None => of_module(detail, class, &mut text),
        }
    }
    if let Some(more) = details.len().checked_sub(MOST).filter(|more| *more > 0) {
        text.push_str(&format!("\n… +{more}"));
    }
    text.push_str(&format!(
        ", Error code: {}, Http status code: {}",
        class.name(),
        class.status()
    ));
    if let Some(ended) = ended {
        let ended = ended.strftime("%a, %d %b %Y %H:%M:%S GMT");
        text.push_str(&format!(", Timestamp: {ended}"));
    }
    text
}

/// `InputParseError: sentence (input1/age)`.
fn of_row(detail: &Detail, language: Language, text: &mut String) {
    text.push_str(&detail.code);
    text.push_str(": ");
    if let Some(row) = detail.row {
        text.push_str(&row_message(row, &detail.args, language));
    }
    if let Some(target) = &detail.target {
        text.push_str(&format!(" ({target})"));
    }
}

/// The failure of a module or of a library as the classic service wrote them: which module, the
/// exception as JSON, and its message once more.
fn of_module(detail: &Detail, class: Class, text: &mut String) {
    let message = detail.message.as_deref().unwrap_or_default();
    let code = match detail.code.parse::<u16>() {
        Ok(number) => format!("{number:04}"),
        Err(_) => detail.code.to_string(),
    };
    let exception = if class == Class::LibraryExecutionError {
        json!({
            "ErrorId": "LibraryException",
            "ErrorCode": "1000",
            "ExceptionType": "ModuleException",
            "Message": format!("Error 1000: {message}"),
            "Exception": {
                "ErrorId": detail.code,
                "ErrorCode": code,
                "ExceptionType": "LibraryException",
                "Message": message,
            },
        })
    } else {
        json!({
            "ErrorId": detail.code,
            "ErrorCode": code,
            "ExceptionType": "ModuleException",
            "Message": message,
        })
    };
    if let Some(node) = &detail.target {
        text.push_str(&format!("Module: {node}; "));
    }
    let exception = json!({ "Exception": exception });
    text.push_str(&format!("{exception} Error: {message}"));
}

#[cfg(test)]
mod tests {
    use super::*;
    use faults::bad_user_argument;

    fn at_noon() -> Option<Timestamp> {
        "2019-12-02T12:00:00Z".parse().ok()
    }

    #[test]
    fn a_row_is_told_in_the_readers_language_between_words_that_stay() {
        let fault = bad_user_argument::input_parse_error("line 7: 'x' is not Double")
            .at("input1/age")
            .because("private");
        let english = text(&fault, at_noon(), Language::English);
        let sentence = row_message(
            &faults::rows::BadUserArgument::InputParseError,
            &["line 7: 'x' is not Double".into()],
            Language::English,
        );
        assert_eq!(
            english,
            format!(
                "{} InputParseError: {sentence} (input1/age), Error code: BadUserArgument, \
                 Http status code: 400, Timestamp: Mon, 02 Dec 2019 12:00:00 GMT",
                Class::BadUserArgument.en()
            )
        );
        let chinese = text(&fault, at_noon(), Language::TraditionalChinese);
        assert_ne!(chinese, english);
        for part in [
            "InputParseError: ",
            "line 7",
            "(input1/age), Error code: BadUserArgument",
        ] {
            assert!(chinese.contains(part), "{chinese}");
        }
        assert!(!english.contains("private") && !chinese.contains("private"));
    }

    #[test]
    fn a_modules_failure_has_what_scripts_took_from_the_classic_text() {
        let fault = Fault::module(
            Class::ModuleExecutionError,
            "18",
            "Error 0018: row \"1\" is odd.",
            "node3",
        );
        let told = text(&fault, None, Language::English);
        let start = told.find("Module: node3; {").expect("the module") + "Module: node3; ".len();
        let mut stream = serde_json::Deserializer::from_str(&told[start..]).into_iter();
        let exception: serde_json::Value = stream.next().expect("JSON").expect("JSON");
        let exception = &exception["Exception"];
        assert_eq!(exception["ErrorCode"], "0018");
        assert_eq!(exception["Message"], "Error 0018: row \"1\" is odd.");
        assert!(
            told.contains(
                "} Error: Error 0018: row \"1\" is odd., Error code: ModuleExecutionError"
            )
        );

        let fault = Fault::module(
            Class::LibraryExecutionError,
            "Gather",
            "out of range",
            "node3",
        );
        let told = text(&fault, None, Language::English);
        assert!(
            told.contains(r#""ErrorId":"LibraryException","ErrorCode":"1000""#),
            "{told}"
        );
        assert!(told.contains(r#""ErrorId":"Gather""#), "{told}");
    }

    #[test]
    fn a_bare_class_and_a_thousand_details_are_told_too() {
        let told = text(&Fault::bare(Class::Conflict), None, Language::English);
        assert_eq!(
            told,
            format!(
                "{}, Error code: Conflict, Http status code: {}",
                Class::Conflict.en(),
                Class::Conflict.status()
            )
        );
        let mut fault = bad_user_argument::input_mismatch_error().at("input1/c0");
        for i in 1..1000 {
            fault = fault.and(bad_user_argument::input_mismatch_error().at(format!("input1/c{i}")));
        }
        let told = text(&fault, None, Language::English);
        assert!(told.contains("(input1/c19)") && !told.contains("(input1/c20)"));
        assert!(told.contains("… +980"));
    }
}
