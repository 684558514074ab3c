//! What a module says about itself: ports, parameters and their rules.

use crate::column_picker::ColumnPicker;
use crate::lax::boolean_word;
use crate::settings::Value;
use std::sync::Arc;

/// What travels through a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PortKind {
    /// A table (`DataTable` of the classic interfaces).
    Table,
    /// A trained model (`ILearner`).
    Model,
    /// A fitted transformation (`ITransform`).
    Transform,
    /// A script bundle.
    Zip,
    /// Whatever comes.
    Any,
}

impl PortKind {
    /// Whether what leaves a port of kind `from` can enter this one.
    pub fn takes(self, from: PortKind) -> bool {
        self == from || self == PortKind::Any || from == PortKind::Any
    }

    /// The kind's name in messages.
    pub fn name(self) -> &'static str {
        match self {
            PortKind::Table => "dataset",
            PortKind::Model => "trained model",
            PortKind::Transform => "transformation",
            PortKind::Zip => "script bundle",
            PortKind::Any => "anything",
        }
    }
}

/// A port of a module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PortSpec {
    /// The name that edges use.
    pub name: &'static str,
    /// What travels through it.
    pub kind: PortKind,
    /// Whether the graph may leave it unconnected (inputs only).
    pub optional: bool,
}

impl PortSpec {
    /// A port that must be connected.
    pub const fn new(name: &'static str, kind: PortKind) -> PortSpec {
        PortSpec {
            name,
            kind,
            optional: false,
        }
    }

    /// An input that may stay unconnected.
    pub const fn optional(name: &'static str, kind: PortKind) -> PortSpec {
        PortSpec {
            name,
            kind,
            optional: true,
        }
    }
}

/// The type of a parameter, as both the module interfaces and `graphParameters` name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ParameterKind {
    /// Text.
    String,
    /// A whole number.
    Int,
    /// A number.
    Float,
    /// A number (the Resource Manager API has both names).
    Double,
    /// `True` or `False`, in any case.
    Boolean,
    /// One of a list of words.
    Enumerated,
    /// One of a list of words, each of which may bring parameters of its own.
    Mode,
    /// A selection of columns, as JSON.
    ColumnPicker,
    /// The text of a script.
    Script,
    /// A secret.
    Credential,
    /// A list of numbers to try.
    ParameterRange,
    /// The name of a data gateway.
    DataGatewayName,
}

impl ParameterKind {
    const ALL: [ParameterKind; 12] = [
        ParameterKind::String,
        ParameterKind::Int,
        ParameterKind::Float,
        ParameterKind::Double,
        ParameterKind::Boolean,
        ParameterKind::Enumerated,
        ParameterKind::Mode,
        ParameterKind::ColumnPicker,
        ParameterKind::Script,
        ParameterKind::Credential,
        ParameterKind::ParameterRange,
        ParameterKind::DataGatewayName,
    ];

    /// The name in definitions.
    pub fn name(self) -> &'static str {
        match self {
            ParameterKind::String => "String",
            ParameterKind::Int => "Int",
            ParameterKind::Float => "Float",
            ParameterKind::Double => "Double",
            ParameterKind::Boolean => "Boolean",
            ParameterKind::Enumerated => "Enumerated",
            ParameterKind::Mode => "Mode",
            ParameterKind::ColumnPicker => "ColumnPicker",
            ParameterKind::Script => "Script",
            ParameterKind::Credential => "Credential",
            ParameterKind::ParameterRange => "ParameterRange",
            ParameterKind::DataGatewayName => "DataGatewayName",
        }
    }

    /// The kind of that name, in any case.
    pub fn from_name(name: &str) -> Option<ParameterKind> {
        ParameterKind::ALL
            .into_iter()
            .find(|kind| kind.name().eq_ignore_ascii_case(name))
    }
}

/// Which values of another parameter, a mode, bring this one.
pub type Parent = (&'static str, &'static [&'static str]);

/// A parameter of a module and the rule for its values.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ParameterSpec {
    /// The name that definitions use.
    pub name: &'static str,
    /// Its type.
    pub kind: ParameterKind,
    /// The value where the definition gives none.
    pub default: Option<&'static str>,
    /// Whether it may have no value at all.
    pub optional: bool,
    /// The least number allowed.
    pub min: Option<f64>,
    /// The greatest number allowed.
    pub max: Option<f64>,
    /// The words of an enumeration or mode; compared without case.
    pub options: &'static [&'static str],
    /// Other words for options: what people see in the classic designer, mapped to the option.
    pub synonyms: &'static [(&'static str, &'static str)],
    /// The mode parameter that this is a child of, and the values of it that bring this one.
    pub parent: Option<Parent>,
}

/// Why a value is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// It is of the wrong scalar type or breaks the rule: `BadParameterValue`. The text is for
    /// the log.
    Rule(String),
    /// It is in a language of its own (column picker, script, credential, parameter range) and
    /// does not parse: `UserParameterInvalid` with this explanation.
    Language(String),
}

impl ParameterSpec {
    /// A required parameter without a default.
    pub const fn new(name: &'static str, kind: ParameterKind) -> ParameterSpec {
        ParameterSpec {
            name,
            kind,
            default: None,
            optional: false,
            min: None,
            max: None,
            options: &[],
            synonyms: &[],
            parent: None,
        }
    }

    /// A mode with its words and default.
    pub const fn mode(
        name: &'static str,
        options: &'static [&'static str],
        default: &'static str,
    ) -> ParameterSpec {
        let mut spec = ParameterSpec::new(name, ParameterKind::Mode);
        spec.options = options;
        spec.default = Some(default);
        spec
    }

    /// The same with a default.
    pub const fn default(mut self, value: &'static str) -> ParameterSpec {
        self.default = Some(value);
        self
    }

    /// The same, allowed to have no value.
    pub const fn optional(mut self) -> ParameterSpec {
        self.optional = true;
        self
    }

    /// The same with a range, both ends allowed.
    pub const fn range(mut self, min: f64, max: f64) -> ParameterSpec {
        self.min = Some(min);
        self.max = Some(max);
        self
    }

    /// The same with other words for its options.
    pub const fn synonyms(
        mut self,
        synonyms: &'static [(&'static str, &'static str)],
    ) -> ParameterSpec {
        self.synonyms = synonyms;
        self
    }

    /// The same as a child of a mode.
    pub const fn child_of(
        mut self,
        parent: &'static str,
        values: &'static [&'static str],
    ) -> ParameterSpec {
        self.parent = Some((parent, values));
        self
    }

    /// Reads a value's text by this parameter's type and rule.
    pub fn read(&self, text: &str) -> Result<Value, Refusal> {
        let rule = |problem: &str| Refusal::Rule(format!("{}: {problem}", self.name));
        match self.kind {
            ParameterKind::Int => {
                let number = whole_number(text).ok_or_else(|| rule("not a whole number"))?;
                self.in_range(number as f64)?;
                Ok(Value::Int(number))
            }
            ParameterKind::Float | ParameterKind::Double => {
                let number = finite_number(text).ok_or_else(|| rule("not a number"))?;
                self.in_range(number)?;
                Ok(Value::Float(number))
            }
            ParameterKind::Boolean => boolean_word(text)
                .map(Value::Boolean)
                .ok_or_else(|| rule("not True or False")),
            ParameterKind::Enumerated | ParameterKind::Mode => {
                let word = text.trim();
                let same = |option: &&str| option.eq_ignore_ascii_case(word);
                if let Some(&option) = self.options.iter().find(|o| same(o)) {
                    return Ok(Value::Choice(option));
                }
                match self.synonyms.iter().find(|(other, _)| same(other)) {
                    Some(&(_, option)) => Ok(Value::Choice(option)),
                    None => Err(rule("not one of the words allowed")),
                }
            }
            ParameterKind::ColumnPicker => ColumnPicker::parse(text)
                .map(|picker| Value::Columns(Arc::new(picker)))
                .map_err(|problem| {
                    Refusal::Language(format!(
                        "Parameter \"{}\" is not a column selection: {problem}.",
                        self.name
                    ))
                }),
            ParameterKind::Script
            | ParameterKind::Credential
            | ParameterKind::ParameterRange
            | ParameterKind::String
            | ParameterKind::DataGatewayName => {
                check_text(self.kind, text).map_err(|problem| {
                    Refusal::Language(format!("Parameter \"{}\" {problem}.", self.name))
                })?;
                Ok(Value::Text(text.to_owned()))
            }
        }
    }

    fn in_range(&self, number: f64) -> Result<(), Refusal> {
        if self.min.is_some_and(|min| number < min) || self.max.is_some_and(|max| number > max) {
            return Err(Refusal::Rule(format!(
                "{}: {number} is out of range",
                self.name
            )));
        }
        Ok(())
    }
}

/// Checks a value by a declared type alone: what a `graphParameters` entry says of itself.
pub(crate) fn check_declared(kind: ParameterKind, name: &str, text: &str) -> Result<(), Refusal> {
    let rule = |problem: &str| Err(Refusal::Rule(format!("{name}: {problem}")));
    match kind {
        ParameterKind::Int if whole_number(text).is_none() => rule("not a whole number"),
        ParameterKind::Float | ParameterKind::Double if finite_number(text).is_none() => {
            rule("not a number")
        }
        ParameterKind::Boolean if boolean_word(text).is_none() => rule("not True or False"),
        ParameterKind::ColumnPicker => ColumnPicker::parse(text).map(drop).map_err(|problem| {
            Refusal::Language(format!(
                "Parameter \"{name}\" is not a column selection: {problem}."
            ))
        }),
        ParameterKind::Script | ParameterKind::Credential | ParameterKind::ParameterRange => {
            check_text(kind, text)
                .map_err(|problem| Refusal::Language(format!("Parameter \"{name}\" {problem}.")))
        }
        _ => Ok(()),
    }
}

/// The parameter languages that have no structure of ours to build: whether the text is one.
fn check_text(kind: ParameterKind, text: &str) -> Result<(), &'static str> {
    match kind {
        ParameterKind::Script if text.trim().is_empty() => Err("is an empty script"),
        ParameterKind::Script if text.contains('\0') => Err("is not a script: it has a NUL"),
        ParameterKind::Credential if text.is_empty() => Err("is an empty credential"),
        ParameterKind::Credential if text.contains(['\0', '\n', '\r']) => {
            Err("is not a credential: it has a line break or a NUL")
        }
        ParameterKind::ParameterRange => {
            let mut items = text.split([',', ';']).map(str::trim);
            if items.all(|item| finite_number(item).is_some()) {
                Ok(())
            } else {
                Err("is not a list of numbers parted by commas")
            }
        }
        _ => Ok(()),
    }
}

/// A whole number; `5.0` and `1e3` count, as they do in cells.
fn whole_number(text: &str) -> Option<i64> {
    let text = text.trim();
    text.parse().ok().or_else(|| {
        // Up to 2^53 an f64 holds each whole number exactly.
        finite_number(text)
            .filter(|f| f.fract() == 0.0 && f.abs() <= 9_007_199_254_740_992.0)
            .map(|f| f as i64)
    })
}

fn finite_number(text: &str) -> Option<f64> {
    text.trim().parse::<f64>().ok().filter(|f| f.is_finite())
}

/// A module's description, by which definitions name it, connect it and set it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interface {
    /// The module's name.
    pub name: &'static str,
    /// Its id: 32 lower-case hexadecimal digits.
    pub family: &'static str,
    /// Older or other names of it.
    pub aliases: &'static [&'static str],
    /// Other ids of it.
    pub families: &'static [&'static str],
    /// Its input ports in order.
    pub inputs: &'static [PortSpec],
    /// Its output ports in order.
    pub outputs: &'static [PortSpec],
    /// Its parameters in order.
    pub parameters: &'static [ParameterSpec],
    /// Whether each output row depends on its input row alone, so that a table may be cut into
    /// chunks. [`crate::Step::row_wise`] can say more for given settings.
    pub row_wise: bool,
}

impl Interface {
    /// The position of the parameter of that name: the exact one, else ignoring case.
    pub fn parameter(&self, name: &str) -> Option<usize> {
        let exact = self.parameters.iter().position(|p| p.name == name);
        exact.or_else(|| {
            self.parameters
                .iter()
                .position(|p| p.name.eq_ignore_ascii_case(name))
        })
    }
}

/// The position of the port of that name: the exact one, else ignoring case.
pub(crate) fn port_position(ports: &[PortSpec], name: &str) -> Option<usize> {
    let exact = ports.iter().position(|p| p.name == name);
    exact.or_else(|| ports.iter().position(|p| p.name.eq_ignore_ascii_case(name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_by_type_and_rule() {
        let int = ParameterSpec::new("n", ParameterKind::Int).range(1.0, 10.0);
        assert_eq!(int.read(" 5 "), Ok(Value::Int(5)));
        assert_eq!(int.read("5.0"), Ok(Value::Int(5)));
        for bad in ["0", "11", "x", "", "True", "5.5", "NaN", "1e400"] {
            assert!(matches!(int.read(bad), Err(Refusal::Rule(_))), "{bad}");
        }
        let float = ParameterSpec::new("f", ParameterKind::Float).range(0.0, 1.0);
        assert_eq!(float.read("0.25"), Ok(Value::Float(0.25)));
        for bad in ["-0.1", "1.1", "NaN", "Infinity", "abc"] {
            assert!(matches!(float.read(bad), Err(Refusal::Rule(_))), "{bad}");
        }
        let flag = ParameterSpec::new("b", ParameterKind::Boolean);
        assert_eq!(flag.read("TRUE"), Ok(Value::Boolean(true)));
        assert!(matches!(flag.read("1"), Err(Refusal::Rule(_))));
        let mode =
            ParameterSpec::mode("m", &["Alpha", "Beta"], "Alpha").synonyms(&[("first", "Alpha")]);
        assert_eq!(mode.read("beta"), Ok(Value::Choice("Beta")));
        assert_eq!(mode.read("First"), Ok(Value::Choice("Alpha")));
        assert!(matches!(mode.read("Gamma"), Err(Refusal::Rule(_))));
        let picker = ParameterSpec::new("c", ParameterKind::ColumnPicker);
        assert!(matches!(picker.read("no"), Err(Refusal::Language(_))));
        let range = ParameterSpec::new("r", ParameterKind::ParameterRange);
        assert!(range.read("0.1, 1;2").is_ok());
        assert!(matches!(range.read("0.1,,2"), Err(Refusal::Language(_))));
        let script = ParameterSpec::new("s", ParameterKind::Script);
        assert!(matches!(script.read("  "), Err(Refusal::Language(_))));
        let secret = ParameterSpec::new("k", ParameterKind::Credential);
        assert!(matches!(secret.read("a\nb"), Err(Refusal::Language(_))));
    }

    #[test]
    fn kinds_are_known_by_name() {
        for kind in ParameterKind::ALL {
            assert_eq!(
                ParameterKind::from_name(&kind.name().to_uppercase()),
                Some(kind)
            );
        }
        assert_eq!(ParameterKind::from_name("Integer"), None);
    }
}
