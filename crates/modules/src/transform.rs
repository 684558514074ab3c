//! Fitted transformations and their documents.
//!
//! A transformation is fitted by one graph and applied by another: Clean Missing Data gives one at
//! its second output, Apply Transformation takes one. As a resource of a package it is a JSON
//! document of ours:
//!
//! ```json
//! {"format": "umpire-transform", "version": 1, "kind": "clean-missing",
//!  "removeRows": ["id"],
//!  "removeColumns": ["notes"],
//!  "replace": [{"column": "age", "value": 38}, {"column": "city", "value": "Oslo"}],
//!  "predict": {"iterations": 5, "columns": [
//!    {"column": "height", "start": 1.7, "fill": {"intercept": 1.1, "weights": [0, 0.008]}},
//!    {"column": "weight", "start": 75}]},
//!  "indicators": ["age"]}
//! ```
//!
//! - `removeRows`: rows that lack a value in one of these columns are removed.
//! - `removeColumns`: these columns are removed.
//! - `replace`: missing values of the column become the value, a string, number or Boolean that
//!   fits the column's type (a number for a point or length of time is microseconds, since
//!   1970-01-01 UTC for a point).
//! - `predict`: missing values begin as `start`; then, `iterations` times and column by column,
//!   those of a column with a `fill` become `intercept` plus the sum of each column's value times
//!   its weight, one weight for each entry of `columns` in order. Columns without a `fill` only
//!   help to predict.
//! - `indicators`: for each of these columns a Boolean column `<name>_IsMissing` is added, in this
//!   order, that says whether the value was missing.
//!
//! ```json
//! {"format": "umpire-transform", "version": 1, "kind": "normalize",
//!  "columns": [{"column": "age", "scale": 0.0731, "shift": -2.82}]}
//! ```
//!
//! - `columns`: the column's values become `value * scale + shift`, as a Double (a Float stays
//!   one); missing values stay missing. A z-score has `scale = 1/σ` and `shift = -μ/σ`, min-max
//!   `1/(max-min)` and `-min/(max-min)`.
//!
//! Every list may be left out where it is empty. Unknown members and versions are refused. Other
//! columns of the data pass through.

use std::collections::HashSet;

use graph::PortValue;
use serde::{Deserialize, Serialize};
use serde_json::Value;

const FORMAT: &str = "umpire-transform";
const VERSION: u64 = 1;

/// The most columns of a prediction; its cost grows with their square for each row.
pub(crate) const MAX_PREDICTED: usize = 256;
/// The most iterations of a prediction.
const MAX_ITERATIONS: u32 = 100;

/// A fitted transformation.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Transform {
    /// What Clean Missing Data fits.
    Cleaning(Cleaning),
    /// A change of scale.
    Normalization(Normalization),
}

/// What is done about missing values.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct Cleaning {
    /// Columns whose missing values remove the row.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub remove_rows: Vec<String>,
    /// Columns that are removed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub remove_columns: Vec<String>,
    /// Columns whose missing values are replaced by one value.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub replace: Vec<Replacement>,
    /// Columns whose missing values are predicted from the others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub predict: Option<Prediction>,
    /// Columns that get a column which says what was missing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub indicators: Vec<String>,
}

/// One column's replacement value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Replacement {
    /// The column.
    pub column: String,
    /// The value: a string, number or Boolean.
    pub value: Value,
}

/// Chained linear regressions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Prediction {
    /// How often all columns are gone through.
    pub iterations: u32,
    /// The columns, predicted and predicting.
    pub columns: Vec<Predicted>,
}

/// A column of a prediction.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Predicted {
    /// The column.
    pub column: String,
    /// What stands for a missing value at first.
    pub start: f64,
    /// How its missing values are predicted; `None` for a column that only helps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fill: Option<Regression>,
}

/// A linear regression.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Regression {
    /// The value where all others are 0.
    pub intercept: f64,
    /// A weight for each column of the prediction; its own is 0.
    pub weights: Vec<f64>,
}

/// A change of scale.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Normalization {
    /// The columns.
    pub columns: Vec<Scaling>,
}

/// A column's change of scale.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Scaling {
    /// The column.
    pub column: String,
    /// What values are multiplied by.
    pub scale: f64,
    /// What is added then.
    pub shift: f64,
}

impl Transform {
    /// Reads a document; the error says what is wrong with it, for the log.
    pub fn read(bytes: &[u8]) -> Result<Transform, String> {
        let document: Value =
            serde_json::from_slice(bytes).map_err(|e| format!("not JSON: {e}"))?;
        let Value::Object(mut members) = document else {
            return Err("not a JSON object".to_owned());
        };
        let format = members.remove("format");
        if format.as_ref().and_then(Value::as_str) != Some(FORMAT) {
            return Err(format!("\"format\" is not \"{FORMAT}\""));
        }
        match members.remove("version").as_ref().and_then(Value::as_u64) {
            Some(VERSION) => {}
            Some(other) => return Err(format!("version {other} is not known")),
            None => return Err("\"version\" is not a whole number".to_owned()),
        }
        let kind = members.remove("kind");
        let rest = Value::Object(members);
        match kind.as_ref().and_then(Value::as_str) {
            Some("clean-missing") => {
                let cleaning: Cleaning = serde_json::from_value(rest).map_err(|e| e.to_string())?;
                cleaning.check()?;
                Ok(Transform::Cleaning(cleaning))
            }
            Some("normalize") => {
                let normalization: Normalization =
                    serde_json::from_value(rest).map_err(|e| e.to_string())?;
                unique("columns", normalization.columns.iter().map(|c| &c.column))?;
                Ok(Transform::Normalization(normalization))
            }
            _ => Err("\"kind\" is neither \"clean-missing\" nor \"normalize\"".to_owned()),
        }
    }

    /// The document.
    pub fn to_json(&self) -> Result<Value, serde_json::Error> {
        let (kind, rest) = match self {
            Transform::Cleaning(cleaning) => ("clean-missing", serde_json::to_value(cleaning)?),
            Transform::Normalization(scale) => ("normalize", serde_json::to_value(scale)?),
        };
        let mut document = serde_json::json!({"format": FORMAT, "version": VERSION, "kind": kind});
        if let (Value::Object(document), Value::Object(rest)) = (&mut document, rest) {
            document.extend(rest);
        }
        Ok(document)
    }
}

impl Cleaning {
    fn check(&self) -> Result<(), String> {
        unique("removeRows", &self.remove_rows)?;
        unique("removeColumns", &self.remove_columns)?;
        unique("indicators", &self.indicators)?;
        unique("replace", self.replace.iter().map(|r| &r.column))?;
        for replacement in &self.replace {
            if !matches!(
                replacement.value,
                Value::String(_) | Value::Number(_) | Value::Bool(_)
            ) {
                return Err(format!(
                    "the value of \"{}\" is not a string, number or Boolean",
                    replacement.column
                ));
            }
        }
        let Some(predict) = &self.predict else {
            return Ok(());
        };
        unique("predict.columns", predict.columns.iter().map(|c| &c.column))?;
        if predict.iterations > MAX_ITERATIONS {
            return Err(format!("more than {MAX_ITERATIONS} iterations"));
        }
        let count = predict.columns.len();
        if count > MAX_PREDICTED {
            return Err(format!("more than {MAX_PREDICTED} columns are predicted"));
        }
        let fills = predict.columns.iter().filter_map(|c| c.fill.as_ref());
        if let Some(fill) = fills.into_iter().find(|fill| fill.weights.len() != count) {
            return Err(format!(
                "{} weights for {count} columns",
                fill.weights.len()
            ));
        }
        Ok(())
    }
}

fn unique<'a>(list: &str, names: impl IntoIterator<Item = &'a String>) -> Result<(), String> {
    let mut seen = HashSet::new();
    match names.into_iter().find(|name| !seen.insert(name.as_str())) {
        Some(twice) => Err(format!("{list} names \"{twice}\" twice")),
        None => Ok(()),
    }
}

/// The document of a transformation that left a module's port, to be stored and deployed as a
/// resource; `None` where the value is no transformation of ours.
pub fn transform_document(value: &PortValue) -> Option<Value> {
    value.downcast::<Transform>()?.to_json().ok()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;

    #[test]
    fn documents_are_read_back_as_they_were_written() {
        for document in [
            json!({
                "format": "umpire-transform", "version": 1, "kind": "clean-missing",
                "removeRows": ["a"], "removeColumns": ["b"],
                "replace": [{"column": "c", "value": 1.5}, {"column": "d", "value": "x"}],
                "predict": {"iterations": 2, "columns": [
                    {"column": "e", "start": 0.5, "fill": {"intercept": 1.0, "weights": [0.0, 2.0]}},
                    {"column": "f", "start": 1.0}]},
                "indicators": ["c"]
            }),
            json!({"format": "umpire-transform", "version": 1, "kind": "clean-missing"}),
            json!({
                "format": "umpire-transform", "version": 1, "kind": "normalize",
                "columns": [{"column": "a", "scale": 0.5, "shift": -1.0}]
            }),
        ] {
            let read = Transform::read(document.to_string().as_bytes()).unwrap();
            assert_eq!(read.to_json().unwrap(), document);
        }
    }

    #[test]
    fn what_is_no_document_is_refused_with_a_reason() {
        let cleaning = |members: &str| {
            format!(
                r#"{{"format":"umpire-transform","version":1,"kind":"clean-missing",{members}}}"#
            )
        };
        for (text, reason) in [
            (String::new(), "not JSON"),
            ("[]".to_owned(), "object"),
            ("{}".to_owned(), "format"),
            (r#"{"format":"umpire-transform"}"#.to_owned(), "version"),
            (
                r#"{"format":"umpire-transform","version":2}"#.to_owned(),
                "version 2",
            ),
            (
                r#"{"format":"umpire-transform","version":1,"kind":"pca"}"#.to_owned(),
                "kind",
            ),
            (
                r#"{"format":"umpire-transform","version":1,"kind":"normalize"}"#.to_owned(),
                "columns",
            ),
            (cleaning(r#""more":1"#), "more"),
            (cleaning(r#""removeRows":["a","a"]"#), "twice"),
            (
                cleaning(r#""replace":[{"column":"a","value":null}]"#),
                "not a string",
            ),
            (
                cleaning(r#""predict":{"iterations":101,"columns":[]}"#),
                "iterations",
            ),
            (
                cleaning(
                    r#""predict":{"iterations":1,"columns":[{"column":"a","start":1,"fill":{"intercept":0,"weights":[]}}]}"#,
                ),
                "0 weights for 1",
            ),
        ] {
            let problem = Transform::read(text.as_bytes()).unwrap_err();
            assert!(problem.contains(reason), "{text}: {problem}");
        }
    }

    #[test]
    fn only_transformations_have_a_document() {
        let transform = Transform::Cleaning(Cleaning::default());
        assert!(transform_document(&PortValue::Object(Arc::new(transform))).is_some());
        assert_eq!(transform_document(&PortValue::Object(Arc::new(1))), None);
    }
}
