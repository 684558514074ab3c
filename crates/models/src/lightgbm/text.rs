//! The lines of a model.

use std::collections::HashMap;
use std::str::FromStr;

use crate::reject::Reject;

/// The lines `key=value` of the model or of a tree.
#[derive(Debug, Default)]
pub(super) struct Section<'t> {
    values: HashMap<&'t str, &'t str>,
}

impl<'t> Section<'t> {
    /// The value of a key; a line without `=` has an empty one.
    pub fn get(&self, key: &str) -> Option<&'t str> {
        self.values.get(key).copied()
    }

    /// The value of a key that must be there.
    pub fn required(&self, key: &str) -> Result<&'t str, Reject> {
        self.get(key)
            .ok_or_else(|| Reject::malformed(format!("{key} is missing")))
    }

    /// The number that a key must have.
    pub fn number<T: FromStr>(&self, key: &str) -> Result<T, Reject> {
        let text = self.required(key)?;
        text.parse()
            .map_err(|_| Reject::malformed(format!("{key} is \"{text}\"")))
    }

    /// The numbers of a key, separated by blanks; none where it is missing.
    pub fn numbers<T: FromStr>(&self, key: &str) -> Result<Vec<T>, Reject> {
        self.get(key)
            .unwrap_or("")
            .split_ascii_whitespace()
            .map(|text| {
                text.parse()
                    .map_err(|_| Reject::malformed(format!("{key} has \"{text}\"")))
            })
            .collect()
    }
}

/// The lines of the model, and of each tree.
pub(super) fn sections(text: &str) -> Result<(Section<'_>, Vec<Section<'_>>), Reject> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut header = Section::default();
    let mut trees: Vec<Section<'_>> = Vec::new();
    for line in text.lines() {
        let line = line.trim_end_matches('\r');
        if line == "end of trees" {
            return Ok((header, trees));
        }
        if line.is_empty() {
            continue;
        }
        let (key, value) = line.split_once('=').unwrap_or((line, ""));
        if key == "Tree" {
            if value.parse() != Ok(trees.len()) {
                return Err(Reject::malformed(format!(
                    "tree {} is numbered \"{value}\"",
                    trees.len()
                )));
            }
            trees.push(Section::default());
            continue;
        }
        let section = trees.last_mut().unwrap_or(&mut header);
        if section.values.insert(key, value).is_some() {
            return Err(Reject::malformed(format!("{key} stands twice")));
        }
    }
    Err(Reject::malformed(
        "the file ends before the line \"end of trees\"",
    ))
}
