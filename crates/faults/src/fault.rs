//! The value that every failure of every surface ends in.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::catalogue::{Class, Row};

/// The longest parameter or target, in bytes: a cell of a megabyte is not echoed whole.
const PARAMETER_LIMIT: usize = 4 * 1024;

/// The longest sentence of a module, in bytes: enough for a script's traceback.
const MESSAGE_LIMIT: usize = 16 * 1024;

/// One entry of `error.details` on the wire.
///
/// A *catalogue* entry names a row; its message is rendered from the row's text and `args` in the
/// reader's language. A *free* entry carries a module's own error id and sentence, which have no
/// translation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Detail {
    /// The row of the catalogue, or `None` for a module's own failure.
    pub row: Option<&'static Row>,
    /// `details[].code`: the row's code, or the module's error id.
    pub code: Cow<'static, str>,
    /// The row's parameters in wire order.
    pub args: Vec<String>,
    /// `details[].target`: the input/column, node or port at fault.
    pub target: Option<String>,
    /// The sentence of a free entry; `None` where a row gives it.
    pub message: Option<String>,
}

/// A failure: class, details (public) and cause (private).
///
/// It has no `Display`: the public half is rendered by [`crate::render`] in a language, the
/// private half goes to the log by [`Fault::cause`] and nowhere else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault(Box<Inner>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Inner {
    class: Class,
    details: Vec<Detail>,
    cause: Option<String>,
    retry_after: Option<Duration>,
}

impl Fault {
    /// A failure of a class that has no row for it: `details` is empty.
    pub fn bare(class: Class) -> Self {
        Fault(Box::new(Inner {
            class,
            details: Vec::new(),
            cause: None,
            retry_after: None,
        }))
    }

    /// A failure of a row, with as many parameters as the row has; made by the typed constructors
    /// of [`crate::catalogue`]. A parameter is cut at 4 KiB.
    pub fn row(row: &'static Row, args: Vec<String>) -> Self {
        let mut fault = Fault::bare(row.class);
        fault.0.details.push(Detail {
            row: Some(row),
            code: Cow::Borrowed(row.code),
            args: args.into_iter().map(|a| cut(a, PARAMETER_LIMIT)).collect(),
            target: None,
            message: None,
        });
        fault
    }

    /// A module's or library's own failure: its error id and sentence stand in `details[0]`,
    /// `node` is the target. `class` is `ModuleExecutionError` or `LibraryExecutionError`. The
    /// sentence is cut at 16 KiB, id and node at 4.
    pub fn module(
        class: Class,
        error_id: impl Into<String>,
        message: impl Into<String>,
        node: impl Into<String>,
    ) -> Self {
        let mut fault = Fault::bare(class);
        fault.0.details.push(Detail {
            row: None,
            code: Cow::Owned(cut(error_id.into(), PARAMETER_LIMIT)),
            args: Vec::new(),
            target: Some(cut(node.into(), PARAMETER_LIMIT)),
            message: Some(cut(message.into(), MESSAGE_LIMIT)),
        });
        fault
    }

    /// Sets the target of the last detail (`input/column`, a node, a port), cut at 4 KiB. A fault
    /// without details has no place for one and stays as it is.
    #[must_use]
    pub fn at(mut self, target: impl Into<String>) -> Self {
        if let Some(detail) = self.0.details.last_mut() {
            detail.target = Some(cut(target.into(), PARAMETER_LIMIT));
        }
        self
    }

    /// Appends the details of another fault of the same class (one entry a column, say), and its
    /// private cause after this one's. A reply has one class, so of a fault of another class only
    /// the name and the cause are kept, in the private cause.
    #[must_use]
    pub fn and(mut self, other: Fault) -> Self {
        let note = match (self.0.class == other.0.class, other.0.cause.as_deref()) {
            (true, cause) => cause.map(str::to_owned),
            (false, None) => Some(other.name()),
            (false, Some(cause)) => Some(format!("{}: {cause}", other.name())),
        };
        if let Some(note) = note {
            self.0.cause = Some(match self.0.cause.take() {
                Some(cause) => format!("{cause}; {note}"),
                None => note,
            });
        }
        if self.0.class == other.0.class {
            self.0.details.extend(other.0.details);
        }
        self
    }

    /// Adds the private cause: for the log, never for a reply. Outer causes come first.
    #[must_use]
    pub fn because(mut self, cause: impl fmt::Display) -> Self {
        self.0.cause = Some(match self.0.cause.take() {
            Some(inner) => format!("{cause}: {inner}"),
            None => cause.to_string(),
        });
        self
    }

    /// Like [`Fault::because`] for an error with sources: the log shows the whole chain.
    #[must_use]
    pub fn caused_by(self, error: &dyn std::error::Error) -> Self {
        let mut text = error.to_string();
        let mut source = error.source();
        while let Some(inner) = source {
            let inner_text = inner.to_string();
            if !text.contains(&inner_text) {
                text.push_str(": ");
                text.push_str(&inner_text);
            }
            source = inner.source();
        }
        self.because(text)
    }

    /// Sets `Retry-After` (whole seconds on the wire, at least 1).
    #[must_use]
    pub fn retry_after(mut self, delay: Duration) -> Self {
        self.0.retry_after = Some(delay);
        self
    }

    /// The class, which alone decides the status.
    pub fn class(&self) -> Class {
        self.0.class
    }

    /// The entries of `error.details`, possibly none.
    pub fn details(&self) -> &[Detail] {
        &self.0.details
    }

    /// `details[0].code`, or the class's name: the value of `x-ms-error-code`.
    pub fn code(&self) -> &str {
        match self.0.details.first() {
            Some(detail) => &detail.code,
            None => self.0.class.name(),
        }
    }

    /// `Class.Code`, or `Class` where there is no detail: the name used in docs and tests.
    pub fn name(&self) -> String {
        match self.0.details.first() {
            Some(detail) if detail.row.is_some() => {
                format!("{}.{}", self.0.class.name(), detail.code)
            }
            _ => self.0.class.name().to_owned(),
        }
    }

    /// The private cause, for logs only.
    pub fn cause(&self) -> Option<&str> {
        self.0.cause.as_deref()
    }

    /// How long to wait before another try, where it is known.
    pub fn retry_delay(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// Whether this fault is of that row.
    pub fn is(&self, row: &'static Row) -> bool {
        self.0
            .details
            .first()
            .and_then(|d| d.row)
            .is_some_and(|r| std::ptr::eq(r, row))
    }

    /// The fault as bytes, for the channel between processes and the ledger (JSON, private cause
    /// included; not for users).
    pub fn to_bytes(&self) -> Vec<u8> {
        let stored = Stored {
            class: Cow::Borrowed(self.0.class.name()),
            details: self
                .0
                .details
                .iter()
                .map(|d| StoredDetail {
                    row: d.row.is_some(),
                    code: Cow::Borrowed(&d.code),
                    args: d.args.iter().map(|a| Cow::Borrowed(a.as_str())).collect(),
                    target: d.target.as_deref().map(Cow::Borrowed),
                    message: d.message.as_deref().map(Cow::Borrowed),
                })
                .collect(),
            cause: self.0.cause.as_deref().map(Cow::Borrowed),
            retry_after_ms: self
                .0
                .retry_after
                .map(|d| u64::try_from(d.as_millis()).unwrap_or(u64::MAX)),
        };
        // Strings and a number always serialize; empty bytes would be refused by the reader.
        serde_json::to_vec(&stored).unwrap_or_default()
    }

    /// Reads [`Fault::to_bytes`]. A class or code that this catalogue does not have is
    /// `InternalError.UnknownBackendErrorResponse`; bytes that cannot be read are
    /// `InternalError.BackendBadRequest`.
    pub fn from_bytes(bytes: &[u8]) -> Result<Fault, Fault> {
        use crate::internal_error::{backend_bad_request, unknown_backend_error_response};
        let stored: Stored<'_> = serde_json::from_slice(bytes).map_err(|e| {
            backend_bad_request()
                .because("a fault frame cannot be read")
                .because(e)
        })?;
        let unknown =
            |what: &str| unknown_backend_error_response().because(format!("unknown fault: {what}"));
        let class = Class::from_name(&stored.class).ok_or_else(|| unknown(&stored.class))?;
        let mut fault = Fault::bare(class);
        for d in stored.details {
            let row = if d.row {
                let row = class.row(&d.code).ok_or_else(|| unknown(&d.code))?;
                if row.args.len() != d.args.len() {
                    return Err(unknown(&d.code));
                }
                Some(row)
            } else {
                None
            };
            fault.0.details.push(Detail {
                row,
                code: match row {
                    Some(row) => Cow::Borrowed(row.code),
                    None => Cow::Owned(cut(d.code.into_owned(), PARAMETER_LIMIT)),
                },
                args: match row {
                    Some(_) => d
                        .args
                        .into_iter()
                        .map(|a| cut(a.into_owned(), PARAMETER_LIMIT))
                        .collect(),
                    None => Vec::new(),
                },
                target: d.target.map(|t| cut(t.into_owned(), PARAMETER_LIMIT)),
                message: match row {
                    Some(_) => None,
                    None => d.message.map(|m| cut(m.into_owned(), MESSAGE_LIMIT)),
                },
            });
        }
        fault.0.cause = stored.cause.map(Cow::into_owned);
        fault.0.retry_after = stored.retry_after_ms.map(Duration::from_millis);
        Ok(fault)
    }
}

/// Shortens a text to at most `limit` bytes, at a character's end, and shows that it did.
fn cut(mut text: String, limit: usize) -> String {
    const MARK: &str = "…";
    if text.len() > limit {
        text.truncate(text.floor_char_boundary(limit - MARK.len()));
        text.push_str(MARK);
        text.shrink_to_fit();
    }
    text
}

#[derive(Serialize, Deserialize)]
struct Stored<'a> {
    class: Cow<'a, str>,
    details: Vec<StoredDetail<'a>>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    cause: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    retry_after_ms: Option<u64>,
}

#[derive(Serialize, Deserialize)]
struct StoredDetail<'a> {
    row: bool,
    code: Cow<'a, str>,
    args: Vec<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    target: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    message: Option<Cow<'a, str>>,
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;
    use crate::{
        bad_argument, bad_user_argument, extensions, internal_error, not_found, rows,
        service_unavailable,
    };

    #[test]
    fn a_constructor_gives_class_code_and_parameters() {
        let fault = bad_argument::blob_not_found("in.csv", "404");
        assert_eq!(fault.class(), Class::BadArgument);
        assert_eq!(fault.code(), "BlobNotFound");
        assert_eq!(fault.name(), "BadArgument.BlobNotFound");
        assert!(fault.is(&rows::BadArgument::BlobNotFound));
        assert!(!fault.is(&rows::BadArgument::InvalidBlob));
        let [detail] = fault.details() else {
            panic!("one detail: {fault:?}");
        };
        assert_eq!(detail.args, ["in.csv", "404"]);
        assert_eq!((detail.target.as_deref(), fault.cause()), (None, None));
    }

    #[test]
    fn a_bare_fault_is_named_by_its_class_and_takes_no_target() {
        let fault = Fault::bare(Class::Conflict).at("nowhere");
        assert_eq!(
            (fault.code(), fault.name().as_str()),
            ("Conflict", "Conflict")
        );
        assert!(fault.details().is_empty());
        assert!(!fault.is(&rows::Conflict::ModelOutputMetadataMismatch));
    }

    #[test]
    fn the_same_code_in_two_classes_is_two_rows() {
        let a = bad_argument::unknown_error();
        let b = internal_error::unknown_error();
        assert_eq!(a.code(), b.code());
        assert_ne!(a, b);
        assert!(!a.is(&rows::InternalError::UnknownError));
    }

    #[test]
    fn at_names_the_last_detail_and_and_appends() {
        let fault = bad_user_argument::input_mismatch_error()
            .at("in/a")
            .and(bad_user_argument::input_mismatch_error())
            .at("in/b");
        let targets: Vec<_> = fault
            .details()
            .iter()
            .map(|d| d.target.as_deref())
            .collect();
        assert_eq!(targets, [Some("in/a"), Some("in/b")]);
    }

    #[test]
    fn and_keeps_one_class_and_every_cause() {
        let fault = not_found::workspace_not_found()
            .because("one")
            .and(not_found::web_service_not_found().because("two"))
            .and(bad_argument::missing_job_id().because("three"))
            .and(bad_argument::missing_keys());
        assert_eq!(fault.class(), Class::NotFound);
        assert_eq!(fault.details().len(), 2);
        assert_eq!(
            fault.cause(),
            Some("one; two; BadArgument.MissingJobId: three; BadArgument.MissingKeys")
        );
    }

    #[derive(Debug)]
    struct Outer(io::Error);
    impl fmt::Display for Outer {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("the file could not be read")
        }
    }
    impl std::error::Error for Outer {
        fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
            Some(&self.0)
        }
    }

    #[test]
    fn causes_are_a_chain_from_the_outside_in() {
        let fault = internal_error::model_package_invalid()
            .caused_by(&Outer(io::Error::other("disk gone")))
            .because("loading revision 7");
        assert_eq!(
            fault.cause(),
            Some("loading revision 7: the file could not be read: disk gone")
        );
    }

    #[test]
    fn bytes_keep_everything() {
        let faults = [
            Fault::bare(Class::NotFound),
            bad_argument::blob_not_found("é \"{0}\"\n", "")
                .at("in\u{0}")
                .because("why"),
            bad_user_argument::input_mismatch_error()
                .at("a")
                .and(bad_user_argument::input_mismatch_error().at("b")),
            Fault::module(Class::ModuleExecutionError, "85", "Error 0085: …", "node 1"),
            extensions::resource_not_found("plan", "rg"),
            service_unavailable::no_more_resources().retry_after(Duration::from_millis(1500)),
            service_unavailable::no_more_resources().retry_after(Duration::from_millis(u64::MAX)),
        ];
        for fault in faults {
            assert_eq!(Fault::from_bytes(&fault.to_bytes()), Ok(fault));
        }
        let forever = service_unavailable::no_more_resources().retry_after(Duration::MAX);
        let back = Fault::from_bytes(&forever.to_bytes()).map(|f| f.retry_delay());
        assert_eq!(back, Ok(Some(Duration::from_millis(u64::MAX))));
    }

    #[test]
    fn every_row_survives_the_bytes() {
        for row in crate::all_rows().chain(extensions::ALL.iter().copied()) {
            let args = row.args.iter().map(|a| (*a).to_owned()).collect();
            let fault = Fault::row(row, args);
            let back = Fault::from_bytes(&fault.to_bytes());
            assert!(
                back.is_ok_and(|b| b == fault && b.is(row)),
                "{}",
                row.name()
            );
        }
    }

    #[test]
    fn bytes_of_another_version_become_a_fault_of_ours() {
        let detail = |class: &str, row: bool, code: &str, args: &str| {
            format!(
                r#"{{"class":"{class}","details":[{{"row":{row},"code":"{code}","args":{args}}}]}}"#
            )
        };
        let unknown = &rows::InternalError::UnknownBackendErrorResponse;
        let bad = &rows::InternalError::BackendBadRequest;
        for (bytes, expected) in [
            (detail("NewClass", true, "BlobNotFound", "[]"), unknown),
            (detail("BadArgument", true, "NewCode", "[]"), unknown),
            (
                detail("BadArgument", true, "BlobNotFound", r#"["one"]"#),
                unknown,
            ),
            (
                detail("BadArgument", true, "MissingJobId", r#"["one"]"#),
                unknown,
            ),
            (detail("badargument", true, "MissingJobId", "[]"), unknown),
            (detail("BadArgument", true, "MissingJobId", "[1]"), bad),
            ("{}".to_owned(), bad),
            (String::new(), bad),
            ("\u{0}garbage".to_owned(), bad),
            (r#"{"class":"BadArgument","details":[]} x"#.to_owned(), bad),
        ] {
            let fault = Fault::from_bytes(bytes.as_bytes()).expect_err(&bytes);
            assert!(fault.is(expected), "{bytes}: {}", fault.name());
            assert!(fault.cause().is_some(), "{bytes}");
        }
    }

    #[test]
    fn a_row_that_comes_with_a_sentence_keeps_only_the_rows_own() {
        let bytes = br#"{"class":"BadArgument","details":[
            {"row":true,"code":"MissingJobId","args":[],"message":"private?"}]}"#;
        assert_eq!(Fault::from_bytes(bytes), Ok(bad_argument::missing_job_id()));
    }

    #[test]
    fn long_texts_are_cut_where_they_enter() {
        let long = "é".repeat(100_000);
        let fault = bad_argument::invalid_blob(long.as_str()).at(long.as_str());
        let detail = &fault.details()[0];
        let target = detail.target.as_deref().unwrap_or_default();
        for text in [detail.args[0].as_str(), target] {
            assert!(text.len() <= PARAMETER_LIMIT && text.ends_with("é…"));
        }
        let module = Fault::module(Class::ModuleExecutionError, "1", long.as_str(), "n");
        let message = module.details()[0].message.as_deref().unwrap_or_default();
        assert!(message.len() <= MESSAGE_LIMIT && message.len() > MESSAGE_LIMIT - 8);
        // What comes from another process is cut as well, and cutting twice changes nothing.
        let bytes = format!(
            r#"{{"class":"BadArgument","details":[{{"row":true,"code":"InvalidBlob","args":["{long}"],"target":"{long}"}}]}}"#
        );
        assert_eq!(Fault::from_bytes(bytes.as_bytes()), Ok(fault.clone()));
        assert_eq!(Fault::from_bytes(&fault.to_bytes()), Ok(fault));
        assert_eq!(cut("abc".to_owned(), 3), "abc");
        assert_eq!(cut("abcd".to_owned(), 3), "…");
    }
}
