//! How modules say no: to columns, to parameters and to values.

use faults::{Class, Fault, bad_user_argument, conflict};
use graph::{RunContext, SchemaProblem};

/// A refusal that depends on the input's columns and the node's parameters alone: found when a
/// definition is deployed where the columns are known then, else at the call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// A parameter's value does not go with the columns.
    Parameter(String),
    /// Two output columns would have this name.
    Duplicate(String),
}

impl Refusal {
    pub(crate) fn parameter(explanation: impl Into<String>) -> Refusal {
        Refusal::Parameter(explanation.into())
    }
}

impl From<tables::DuplicateName> for Refusal {
    fn from(duplicate: tables::DuplicateName) -> Refusal {
        Refusal::Duplicate(duplicate.0)
    }
}

impl From<Refusal> for Fault {
    fn from(refusal: Refusal) -> Fault {
        match refusal {
            Refusal::Parameter(explanation) => {
                bad_user_argument::user_parameter_invalid(explanation)
            }
            Refusal::Duplicate(name) => conflict::model_output_metadata_mismatch()
                .because(format!("two columns would be named \"{name}\"")),
        }
    }
}

impl From<Refusal> for SchemaProblem {
    fn from(refusal: Refusal) -> SchemaProblem {
        match refusal {
            Refusal::Parameter(explanation) => SchemaProblem::Refused(explanation),
            Refusal::Duplicate(name) => SchemaProblem::DuplicateColumn(name),
        }
    }
}

/// The classic module error numbers that the built-in modules use; their meaning stands in the
/// classic module reference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Number {
    /// A column that is needed is not in the data.
    ColumnNotFound = 1,
    /// A column is of a type that the module cannot take.
    ColumnType = 17,
    /// A value of the data is not valid for what the module does.
    InvalidData = 18,
    /// There are more or fewer columns than the module needs.
    ColumnCount = 22,
}

/// Data that a module refuses: `ModuleExecutionError`, the number as the detail's code and, with
/// four digits, at the start of its message, as the classic service wrote it.
pub(crate) fn data(number: Number, sentence: &str, context: &RunContext<'_>) -> Fault {
    let number = number as u16;
    Fault::module(
        Class::ModuleExecutionError,
        number.to_string(),
        format!("Error {number:04}: {sentence}"),
        context.node,
    )
}

/// A value for a message of one line: its beginning, control characters replaced.
pub(crate) fn shown(text: &str) -> String {
    const MOST: usize = 64;
    let visible = |c: char| if c.is_control() { ' ' } else { c };
    let mut shown: String = text.chars().take(MOST).map(visible).collect();
    if text.chars().nth(MOST).is_some() {
        shown.push('…');
    }
    shown
}

/// Names for a sentence: `"a", "b" and 7 more`.
pub(crate) fn names<'a>(all: impl IntoIterator<Item = &'a str>) -> String {
    const MOST: usize = 16;
    let all: Vec<&str> = all.into_iter().collect();
    let first = all.iter().take(MOST);
    let quoted: Vec<String> = first.map(|name| format!("\"{}\"", shown(name))).collect();
    match all.len().checked_sub(MOST) {
        Some(more) if more > 0 => format!("{} and {more} more", quoted.join(", ")),
        _ => quoted.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refused_data_carries_the_classic_number() {
        let context = RunContext {
            cancelled: &|| false,
            node: "node1",
        };
        let fault = data(Number::InvalidData, "row 1 is odd.", &context);
        let detail = &fault.details()[0];
        assert_eq!(fault.class(), Class::ModuleExecutionError);
        assert_eq!(detail.code, "18");
        assert_eq!(detail.message.as_deref(), Some("Error 0018: row 1 is odd."));
        assert_eq!(detail.target.as_deref(), Some("node1"));
    }

    #[test]
    fn long_lists_and_values_are_cut() {
        let many: Vec<String> = (0..20).map(|i| format!("c{i}")).collect();
        let text = names(many.iter().map(String::as_str));
        assert!(text.starts_with("\"c0\", \"c1\""), "{text}");
        assert!(text.ends_with("\"c15\" and 4 more"), "{text}");
        assert_eq!(names(["a", "b"]), "\"a\", \"b\"");
        assert_eq!(shown("a\nb"), "a b");
        assert_eq!(shown(&"x".repeat(65)).chars().count(), 65);
    }
}
