//! The column selection language of `ColumnPicker` parameters: its syntax.
//!
//! ```json
//! {"isFilter":true,"rules":[
//!   {"ruleType":"AllColumns","exclude":false},
//!   {"ruleType":"ColumnNames","columns":["income"],"exclude":true}]}
//! ```
//!
//! Rules apply in order; the first must include. The text is sometimes percent-encoded, and its
//! property names, words and booleans come in any case; all of that is accepted. What a selection
//! means for the columns of a table is for `modules` to say.

use std::fmt;

use serde_json::Value;

use crate::lax::{Members, Place, Problem, scalar_text};

/// A parsed column selection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColumnPicker {
    /// Whether the selection filters the table, keeping its order (the default). Otherwise it is
    /// a list: columns come in the order in which the rules name them.
    pub is_filter: bool,
    /// The rules in order; at least one, and the first includes.
    pub rules: Vec<Rule>,
}

/// One rule of a selection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// What it matches.
    pub matches: Match,
    /// Whether what it matches is taken out of the selection.
    pub exclude: bool,
}

/// What a rule matches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Match {
    /// All columns.
    All,
    /// Columns of these names, letter for letter.
    Names(Vec<String>),
    /// Columns at these positions, counted from 1, both ends included.
    Indexes(Vec<(usize, usize)>),
    /// Columns of one of these types and one of these kinds.
    Types {
        /// The types; `[All]` where the rule names none.
        types: Vec<ColumnType>,
        /// The kinds; `[All]` where the rule names none.
        kinds: Vec<ColumnKind>,
    },
}

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$word_doc:meta])* $word:ident = [$($text:literal),+]),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $name { $($(#[$word_doc])* $word),+ }

        impl $name {
            /// The meaning of a word, in any case.
            pub fn from_word(word: &str) -> Option<$name> {
                $(if [$($text),+].iter().any(|text: &&str| text.eq_ignore_ascii_case(word)) {
                    return Some($name::$word);
                })+
                None
            }
        }
    };
}

words! {
    /// A class of data types in a selection.
    ColumnType {
        /// Text.
        String = ["String"],
        /// Whole numbers.
        Integer = ["Integer", "Int"],
        /// Numbers with a fraction.
        Double = ["Double", "Float"],
        /// Booleans.
        Boolean = ["Boolean", "Bool"],
        /// Points in time.
        DateTime = ["DateTime"],
        /// Lengths of time.
        TimeSpan = ["TimeSpan", "Duration"],
        /// Columns with categories, whatever their type.
        Categorical = ["Categorical"],
        /// Whole numbers and numbers with a fraction.
        Numeric = ["Numeric"],
        /// Any.
        All = ["All"],
    }
}

words! {
    /// A class of roles in a selection.
    ColumnKind {
        /// Features: columns that are neither label, weight nor score.
        Feature = ["Feature", "Features"],
        /// Labels.
        Label = ["Label", "Labels"],
        /// Weights.
        Weight = ["Weight", "Weights"],
        /// Scores.
        Score = ["Score", "Scores"],
        /// Any.
        All = ["All"],
    }
}

/// The longest selection that is read, in bytes.
const MAX_TEXT: usize = 4 * 1024 * 1024;
/// The most rules of a selection.
const MAX_RULES: usize = 1_000;
/// The highest position that can be named.
const MAX_INDEX: usize = 1_000_000;

/// Why a text is not a column selection; reads after "...is not a column selection: ".
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PickerError(String);

impl fmt::Display for PickerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for PickerError {}

impl From<Problem> for PickerError {
    fn from(problem: Problem) -> Self {
        match problem {
            Problem::Format(text) => PickerError(text),
            other => PickerError(format!("{other:?}")),
        }
    }
}

impl ColumnPicker {
    /// The selection of all columns.
    pub fn all() -> ColumnPicker {
        ColumnPicker {
            is_filter: true,
            rules: vec![Rule {
                matches: Match::All,
                exclude: false,
            }],
        }
    }

    /// Reads a selection, percent-encoded or not.
    pub fn parse(text: &str) -> Result<ColumnPicker, PickerError> {
        if text.len() > MAX_TEXT {
            return Err(PickerError(format!("it is longer than {MAX_TEXT} bytes")));
        }
        let text = text.trim();
        let decoded;
        // JSON starts with a brace; an encoded one with %7B.
        let json = if text.starts_with("%7B") || text.starts_with("%7b") {
            decoded = percent_decode(text).ok_or_else(|| {
                PickerError("it is percent-encoded and does not decode to UTF-8".to_owned())
            })?;
            decoded.as_str()
        } else {
            text
        };
        let value: Value =
            serde_json::from_str(json).map_err(|e| PickerError(format!("it is not JSON ({e})")))?;
        let root = Members::of(&value, Place::ROOT)?;
        let items = root.array("rules")?;
        let rules_place = root.place.name("rules");
        if items.is_empty() {
            return Err(PickerError("it has no rules".to_owned()));
        }
        if items.len() > MAX_RULES {
            return Err(PickerError(format!("it has more than {MAX_RULES} rules")));
        }
        let rules = items
            .iter()
            .enumerate()
            .map(|(i, item)| rule(item, rules_place.index(i)))
            .collect::<Result<Vec<Rule>, PickerError>>()?;
        if rules[0].exclude {
            return Err(PickerError(
                "its first rule must include, not exclude".to_owned(),
            ));
        }
        Ok(ColumnPicker {
            is_filter: root.boolean("isFilter")?.unwrap_or(true),
            rules,
        })
    }
}

fn rule(item: &Value, place: Place<'_>) -> Result<Rule, PickerError> {
    let m = Members::of(item, place)?;
    let kind = m.required_text("ruleType")?;
    let texts = |name: &str| -> Result<Vec<String>, PickerError> {
        let items = match m.get(name)? {
            None => return Ok(Vec::new()),
            // One column is sometimes not wrapped in an array.
            Some(one) if scalar_text(one).is_some() => std::slice::from_ref(one),
            Some(Value::Array(items)) => items.as_slice(),
            Some(_) => return Err(place.name(name).wrong("must be an array").into()),
        };
        items
            .iter()
            .enumerate()
            .map(|(i, item)| {
                scalar_text(item)
                    .ok_or_else(|| place.name(name).index(i).wrong("must be a string").into())
            })
            .collect()
    };
    let is = |word: &str| kind.eq_ignore_ascii_case(word);
    let matches = if is("AllColumns") {
        Match::All
    } else if is("ColumnNames") {
        Match::Names(texts("columns")?)
    } else if is("ColumnIndexes") {
        Match::Indexes(
            texts("columns")?
                .iter()
                .flat_map(|text| text.split(','))
                .map(|text| index_range(text, &place))
                .collect::<Result<_, _>>()?,
        )
    } else if is("ColumnTypes") {
        let mut types = words(
            &texts("columnTypes")?,
            &place,
            ColumnType::from_word,
            "columnTypes",
        )?;
        let mut kinds = words(
            &texts("columnKinds")?,
            &place,
            ColumnKind::from_word,
            "columnKinds",
        )?;
        if types.is_empty() {
            types.push(ColumnType::All);
        }
        if kinds.is_empty() {
            kinds.push(ColumnKind::All);
        }
        Match::Types { types, kinds }
    } else {
        let problem = format!("is not a kind of rule: {kind:?}");
        return Err(place.name("ruleType").wrong(problem).into());
    };
    Ok(Rule {
        matches,
        exclude: m.boolean("exclude")?.unwrap_or(false),
    })
}

fn words<T>(
    texts: &[String],
    place: &Place<'_>,
    meaning: fn(&str) -> Option<T>,
    name: &str,
) -> Result<Vec<T>, PickerError> {
    texts
        .iter()
        .map(|text| {
            meaning(text.trim()).ok_or_else(|| {
                let problem = format!("has an unknown word: {text:?}");
                place.name(name).wrong(problem).into()
            })
        })
        .collect()
}

/// `3` or `1-5`, counted from 1.
fn index_range(text: &str, place: &Place<'_>) -> Result<(usize, usize), PickerError> {
    let number = |text: &str| {
        text.trim()
            .parse::<usize>()
            .ok()
            .filter(|n| (1..=MAX_INDEX).contains(n))
    };
    let range = match text.split_once('-') {
        None => number(text).map(|n| (n, n)),
        Some((from, to)) => number(from).zip(number(to)).filter(|(from, to)| from <= to),
    };
    range.ok_or_else(|| {
        let problem = format!("is not a column position or range, counted from 1: {text:?}");
        place.name("columns").wrong(problem).into()
    })
}

/// Decodes `%41` to `A`; a percent sign without two digits stays. `None` where the result is not
/// UTF-8.
fn percent_decode(text: &str) -> Option<String> {
    let digit = |byte: Option<&u8>| byte.and_then(|&b| (b as char).to_digit(16));
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut i = 0;
    while i < bytes.len() {
        if bytes[i] == b'%'
            && let (Some(high), Some(low)) = (digit(bytes.get(i + 1)), digit(bytes.get(i + 2)))
        {
            out.push((high * 16 + low) as u8);
            i += 3;
        } else {
            out.push(bytes[i]);
            i += 1;
        }
    }
    String::from_utf8(out).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Encoding each byte, or none, says the same; no text breaks the reader.
        #[test]
        fn any_names_survive_encoding(names in proptest::collection::vec(".*", 1..4)) {
            let rule = serde_json::json!({"ruleType": "ColumnNames", "columns": names});
            let plain = serde_json::json!({"rules": [rule]}).to_string();
            let encoded: String = plain.bytes().map(|b| format!("%{b:02x}")).collect();
            let picker = ColumnPicker::parse(&plain).unwrap();
            prop_assert_eq!(&picker.rules[0].matches, &Match::Names(names));
            prop_assert_eq!(ColumnPicker::parse(&encoded).unwrap(), picker);
        }

        #[test]
        fn no_text_breaks_the_reader(text in ".*", cut in 0usize..200) {
            let _ = ColumnPicker::parse(&text);
            let whole = r#"%7B"rules":[{"ruleType":"ColumnIndexes","columns":["1-9",3],"exclude":"x"}]}"#;
            let _ = ColumnPicker::parse(&whole[..cut.min(whole.len())]);
            let _ = ColumnPicker::parse(&format!("%7B{text}"));
        }
    }

    #[test]
    fn a_selection_is_read_whatever_its_dress() {
        let plain = r#"{"isFilter":true,"rules":[{"ruleType":"ColumnTypes","exclude":false,"columnTypes":["Numeric"],"columnKinds":["All"]}],"ui":{}}"#;
        let picker = ColumnPicker::parse(plain).unwrap();
        assert_eq!(
            picker.rules[0].matches,
            Match::Types {
                types: vec![ColumnType::Numeric],
                kinds: vec![ColumnKind::All]
            }
        );
        let encoded: String = plain.bytes().map(|b| format!("%{b:02X}")).collect();
        assert_eq!(ColumnPicker::parse(&encoded).unwrap(), picker);
        let partly = plain.replace('{', "%7b").replace('"', "%22");
        assert_eq!(ColumnPicker::parse(&partly).unwrap(), picker);
        let other_case = r#" {"ISFILTER":"True","Rules":[{"RuleType":"columntypes","Exclude":"false","ColumnTypes":"numeric"}]} "#;
        assert_eq!(ColumnPicker::parse(other_case).unwrap(), picker);
    }

    #[test]
    fn a_percent_sign_in_a_plain_selection_is_kept() {
        let picker = ColumnPicker::parse(
            r#"{"isFilter":false,"rules":[{"ruleType":"ColumnNames","columns":["%41","100%"]}]}"#,
        )
        .unwrap();
        assert!(!picker.is_filter);
        assert_eq!(
            picker.rules[0].matches,
            Match::Names(vec!["%41".to_owned(), "100%".to_owned()])
        );
    }

    #[test]
    fn positions_and_ranges_count_from_one() {
        let picker = ColumnPicker::parse(
            r#"{"rules":[{"ruleType":"ColumnIndexes","columns":["1-3",5,"7,8"]}]}"#,
        )
        .unwrap();
        assert_eq!(
            picker.rules[0].matches,
            Match::Indexes(vec![(1, 3), (5, 5), (7, 7), (8, 8)])
        );
        for bad in ["0", "3-1", "-2", "x", "", "1-2-3", "99999999999999999999"] {
            let text =
                format!(r#"{{"rules":[{{"ruleType":"ColumnIndexes","columns":["{bad}"]}}]}}"#);
            assert!(ColumnPicker::parse(&text).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_is_not_a_selection_is_refused_with_a_reason() {
        for (text, reason) in [
            ("", "not JSON"),
            ("age", "not JSON"),
            ("[]", "must be an object"),
            ("{}", "no rules"),
            (r#"{"rules":[]}"#, "no rules"),
            (r#"{"rules":[{"ruleType":"Regex"}]}"#, "rules[0].ruleType"),
            (
                r#"{"rules":[{"ruleType":"AllColumns","exclude":true}]}"#,
                "first rule must include",
            ),
            (
                r#"{"rules":[{"ruleType":"ColumnNames","columns":[{}]}]}"#,
                "rules[0].columns[0]",
            ),
            (
                r#"{"rules":[{"ruleType":"ColumnTypes","columnTypes":["Big"]}]}"#,
                "\"Big\"",
            ),
            (
                r#"{"rules":[{"ruleType":"AllColumns","exclude":"maybe"}]}"#,
                "true or false",
            ),
            ("%7B%FF", "UTF-8"),
        ] {
            let problem = ColumnPicker::parse(text).unwrap_err().to_string();
            assert!(problem.contains(reason), "{text}: {problem}");
        }
    }
}
