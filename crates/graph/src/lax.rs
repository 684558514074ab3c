//! Reading JSON as the classic service did: property names in any case, scalars as strings.
//!
//! Every refusal names the place in the document, as a JSON path
//! (`properties.package.edges[2].targetNodeId`). A place is a chain of borrowed steps, so a
//! document without mistakes never renders one.

use std::fmt;

use serde_json::{Map, Value};

/// Where a value stands in the document.
#[derive(Clone, Copy)]
pub(crate) struct Place<'a> {
    parent: Option<&'a Place<'a>>,
    step: PlaceStep<'a>,
}

#[derive(Clone, Copy)]
enum PlaceStep<'a> {
    Root,
    Name(&'a str),
    Index(usize),
}

impl<'a> Place<'a> {
    pub(crate) const ROOT: Place<'static> = Place {
        parent: None,
        step: PlaceStep::Root,
    };

    /// The member `name` of the object here.
    pub(crate) fn name(&'a self, name: &'a str) -> Place<'a> {
        Place {
            parent: Some(self),
            step: PlaceStep::Name(name),
        }
    }

    /// The item `index` of the array here.
    pub(crate) fn index(&'a self, index: usize) -> Place<'a> {
        Place {
            parent: Some(self),
            step: PlaceStep::Index(index),
        }
    }

    /// A mistake of form here.
    pub(crate) fn wrong(&self, problem: impl fmt::Display) -> Problem {
        Problem::Format(match self.parent {
            None => format!("the definition: {problem}"),
            Some(_) => format!("{self}: {problem}"),
        })
    }
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let first = match self.parent {
            None => return Ok(()),
            Some(parent) => {
                parent.fmt(f)?;
                parent.parent.is_none()
            }
        };
        match self.step {
            PlaceStep::Root => Ok(()),
            PlaceStep::Index(index) => write!(f, "[{index}]"),
            PlaceStep::Name(name) => {
                let plain = !name.is_empty()
                    && name
                        .chars()
                        .all(|c| c.is_alphanumeric() || c == '_' || c == '-' || c == '$');
                match (plain, first) {
                    (true, true) => f.write_str(name),
                    (true, false) => write!(f, ".{name}"),
                    // A name with blanks or dots stands in quotes, so that it cannot be read as
                    // several steps; a very long one is cut.
                    (false, _) => write!(f, "[{:?}]", name.chars().take(80).collect::<String>()),
                }
            }
        }
    }
}

/// What is wrong with a definition, before it is known whether a caller sent it (the
/// `WebServicePackageError` and `BadArgument` rows) or it was stored (the `InternalError` rows).
#[derive(Debug)]
pub(crate) enum Problem {
    /// The document does not have the package format; the text names the place.
    Format(String),
    /// A port or column of a type that is not supported.
    DataType {
        /// `input1`, or `input1/age` for a column.
        place: String,
        /// The port's id.
        port: String,
        /// The type as it was written.
        data_type: String,
    },
    /// `packageType` is not `Graph`.
    PackageType,
    /// `package` is absent.
    NoPackage,
}

/// An object whose members are looked up whatever their case.
pub(crate) struct Members<'a> {
    map: &'a Map<String, Value>,
    pub(crate) place: Place<'a>,
}

impl<'a> Members<'a> {
    /// The object here.
    pub(crate) fn of(value: &'a Value, place: Place<'a>) -> Result<Members<'a>, Problem> {
        match value {
            Value::Object(map) => Ok(Members { map, place }),
            _ => Err(place.wrong("must be an object")),
        }
    }

    /// A member, whatever its case; `null` is absent. Two spellings of one name are refused: which
    /// of them counts would be a guess.
    pub(crate) fn get(&self, name: &str) -> Result<Option<&'a Value>, Problem> {
        let mut found: Option<(&str, &'a Value)> = None;
        for (key, value) in self.map {
            if !key.eq_ignore_ascii_case(name) {
                continue;
            }
            if let Some((first, _)) = found {
                return Err(self
                    .place
                    .name(key)
                    .wrong(format_args!("is given twice, as {first:?} and as {key:?}")));
            }
            found = Some((key, value));
        }
        Ok(found.map(|(_, value)| value).filter(|v| !v.is_null()))
    }

    /// A text member; numbers and booleans count as their text.
    pub(crate) fn text(&self, name: &str) -> Result<Option<String>, Problem> {
        let Some(value) = self.get(name)? else {
            return Ok(None);
        };
        match scalar_text(value) {
            Some(text) => Ok(Some(text)),
            None => Err(self.place.name(name).wrong("must be a string")),
        }
    }

    /// A text member that must be there.
    pub(crate) fn required_text(&self, name: &str) -> Result<String, Problem> {
        self.text(name)?
            .ok_or_else(|| self.place.name(name).wrong("is required"))
    }

    /// A yes-or-no member: a boolean, or its word in any case.
    pub(crate) fn boolean(&self, name: &str) -> Result<Option<bool>, Problem> {
        let value = match self.get(name)? {
            None => return Ok(None),
            Some(Value::Bool(flag)) => Some(*flag),
            Some(Value::String(word)) => boolean_word(word),
            Some(_) => None,
        };
        match value {
            Some(flag) => Ok(Some(flag)),
            None => Err(self.place.name(name).wrong("must be true or false")),
        }
    }

    /// A whole number, or its digits as a string.
    pub(crate) fn integer(&self, name: &str) -> Result<Option<i64>, Problem> {
        let value = match self.get(name)? {
            None => return Ok(None),
            Some(Value::Number(number)) => number.as_i64().or_else(|| {
                number
                    .as_f64()
                    .filter(|f| f.fract() == 0.0 && f.abs() < 9e15)
                    .map(|f| f as i64)
            }),
            Some(Value::String(text)) => text.trim().parse().ok(),
            Some(_) => None,
        };
        match value {
            Some(number) => Ok(Some(number)),
            None => Err(self.place.name(name).wrong("must be a whole number")),
        }
    }

    /// The members of a map (names chosen by the author, case as given); absent is empty.
    pub(crate) fn map(&self, name: &str) -> Result<Option<&'a Map<String, Value>>, Problem> {
        match self.get(name)? {
            None => Ok(None),
            Some(Value::Object(map)) => Ok(Some(map)),
            Some(_) => Err(self.place.name(name).wrong("must be an object")),
        }
    }

    /// The items of an array; absent is empty.
    pub(crate) fn array(&self, name: &str) -> Result<&'a [Value], Problem> {
        match self.get(name)? {
            None => Ok(&[]),
            Some(Value::Array(items)) => Ok(items),
            Some(_) => Err(self.place.name(name).wrong("must be an array")),
        }
    }
}

/// The text of a string, number or boolean; `None` for anything else.
pub(crate) fn scalar_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(true) => Some("True".to_owned()),
        Value::Bool(false) => Some("False".to_owned()),
        _ => None,
    }
}

/// `true` or `false` in any case, blanks around it trimmed.
pub(crate) fn boolean_word(word: &str) -> Option<bool> {
    let word = word.trim();
    if word.eq_ignore_ascii_case("true") {
        Some(true)
    } else if word.eq_ignore_ascii_case("false") {
        Some(false)
    } else {
        None
    }
}

/// The first name that another equals when case is ignored, with that other one.
pub(crate) fn same_but_for_case<'a>(
    names: impl Iterator<Item = &'a str>,
) -> Option<(&'a str, &'a str)> {
    let mut seen: std::collections::HashMap<String, &'a str> = std::collections::HashMap::new();
    for name in names {
        if let Some(first) = seen.insert(name.to_ascii_lowercase(), name) {
            return Some((first, name));
        }
    }
    None
}
