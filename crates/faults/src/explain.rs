//! What a code means, for `umpire errors list|explain`.

use crate::catalogue::{Class, all_rows};
use crate::locale::{class_message, row_template};
use crate::table::Row;
use crate::{Language, extensions};

/// What a name can stand for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry {
    /// A class: `ServiceUnavailable`.
    Class(Class),
    /// A row: `ServiceUnavailable.RequestThrottled`.
    Row(&'static Row),
}

impl Entry {
    /// `Class` or `Class.Code`.
    pub fn name(self) -> String {
        match self {
            Entry::Class(class) => class.name().to_owned(),
            Entry::Row(row) => row.name(),
        }
    }

    /// The whole explanation as plain text of several lines, without a line end at its end.
    pub fn explanation(self) -> String {
        let (class, happened, to_do) = match self {
            Entry::Class(class) => (class, class.what_happened(), class.what_to_do()),
            Entry::Row(row) => (row.class, row.what_happened(), row.what_to_do()),
        };
        let mut lines = vec![
            self.name(),
            format!("Status: {}", class.status()),
            format!("Retry: {}", class.retry().sentence()),
        ];
        if let Entry::Row(row) = self {
            for (index, arg) in row.args.iter().enumerate() {
                lines.push(format!("Parameter {{{index}}}: {}", arg.replace('_', " ")));
            }
        }
        for &language in Language::ALL {
            let text = match self {
                Entry::Class(class) => class_message(class, language),
                Entry::Row(row) => row_template(row, language),
            };
            lines.push(format!("Message ({}): {text}", language.tag()));
        }
        lines.extend([
            String::new(),
            format!("What happened: {happened}"),
            String::new(),
            format!("What to do: {to_do}"),
        ]);
        if let Entry::Class(class) = self {
            let codes: Vec<_> = class
                .rows()
                .iter()
                .copied()
                .chain(class.extensions())
                .collect();
            if !codes.is_empty() {
                lines.extend([String::new(), "Codes of this class:".to_owned()]);
                lines.extend(codes.iter().map(|row| format!("  {}", row.name())));
            }
        }
        lines.join("\n")
    }
}

/// Everything that a name can be asked about: each class, followed by its rows and its extensions.
fn entries() -> impl Iterator<Item = Entry> {
    Class::ALL.iter().flat_map(|&class| {
        std::iter::once(Entry::Class(class))
            .chain(class.rows().iter().copied().map(Entry::Row))
            .chain(class.extensions().map(Entry::Row))
    })
}

/// All names, `Class` and `Class.Code`, in contract order.
pub fn names() -> impl Iterator<Item = String> {
    entries().map(Entry::name)
}

/// What `name` stands for: `Class.Code`, `Class`, or a bare code, which may stand under two
/// classes; without regard to letter case and blanks around it. Empty if it is not known.
pub fn find(name: &str) -> Vec<Entry> {
    let name = name.trim();
    if let Some((class, code)) = name.split_once('.') {
        return all_rows()
            .chain(extensions::ALL.iter().copied())
            .filter(|row| {
                row.class.name().eq_ignore_ascii_case(class) && row.code.eq_ignore_ascii_case(code)
            })
            .map(Entry::Row)
            .collect();
    }
    entries()
        .filter(|entry| match entry {
            Entry::Class(class) => class.name().eq_ignore_ascii_case(name),
            Entry::Row(row) => row.code.eq_ignore_ascii_case(name),
        })
        .collect()
}

/// The explanations of all that `name` stands for (see [`find`]), an empty line between them, or
/// `None` if it is not known.
pub fn explain(name: &str) -> Option<String> {
    let found = find(name);
    let texts: Vec<_> = found.iter().map(|entry| entry.explanation()).collect();
    (!texts.is_empty()).then(|| texts.join("\n\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(name: &str) -> Vec<String> {
        find(name).into_iter().map(Entry::name).collect()
    }

    #[test]
    fn a_name_is_found_in_any_case() {
        assert_eq!(
            found("badargument.BLOBNOTFOUND"),
            ["BadArgument.BlobNotFound"]
        );
        assert_eq!(found(" blobnotfound "), ["BadArgument.BlobNotFound"]);
        assert_eq!(found("gatewaytimeout"), ["GatewayTimeout"]);
        assert_eq!(found("resourcenotfound"), ["NotFound.ResourceNotFound"]);
        let both = ["BadArgument.UnknownError", "InternalError.UnknownError"];
        assert_eq!(found("UnknownError"), both);
        for unknown in [
            "",
            ".",
            "BadArgument.",
            ".BlobNotFound",
            "Conflict.BlobNotFound",
            "x",
        ] {
            assert!(found(unknown).is_empty(), "{unknown}");
            assert_eq!(explain(unknown), None);
        }
    }

    #[test]
    fn every_name_is_found_and_explained() {
        let all: Vec<_> = names().collect();
        assert_eq!(all.len(), 18 + 110 + extensions::ALL.len());
        for name in all {
            assert_eq!(found(&name), std::slice::from_ref(&name));
            let text = explain(&name).unwrap_or_default();
            for part in [
                "\nStatus: ",
                "\nRetry: ",
                "Message (zh-TW): ",
                "What to do: ",
            ] {
                assert!(text.contains(part), "{name}: {text}");
            }
        }
    }

    #[test]
    fn an_explanation_reads_as_this() {
        let text = explain("RequestThrottled").unwrap_or_default();
        assert!(text.starts_with("ServiceUnavailable.RequestThrottled\nStatus: 503\nRetry: Yes"));
        assert!(
            text.contains("\nParameter {0}: endpoint\nParameter {1}: limit\nMessage (en): The")
        );
        let two = explain("UnknownError").unwrap_or_default();
        assert!(two.contains("\n\nInternalError.UnknownError\nStatus: 500"));
        let class = explain("Conflict").unwrap_or_default();
        assert!(class.ends_with("Codes of this class:\n  Conflict.ModelOutputMetadataMismatch"));
    }
}
