//! Which column of a table feeds which input of a model.

use std::collections::HashMap;
use std::fmt;

use faults::{Class, Fault};
use tables::{DataType, Field, Role, Schema};

use super::Model;
use super::signature::ModelInput;
use crate::engine::tensor::{Classes, Element};

/// The columns of a schema that feed a model's inputs, found by [`Model::bind`]. It holds for
/// every table of that schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binding {
    /// For each input the positions of its columns.
    pub(crate) inputs: Vec<Vec<usize>>,
}

impl Binding {
    /// For each of the model's inputs the positions of the columns that feed it, in order.
    pub fn columns(&self) -> &[Vec<usize>] {
        &self.inputs
    }
}

/// Why a model cannot take a table of a schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BindError {
    /// No column goes by the name of the input.
    MissingColumn {
        /// The model's input.
        input: String,
    },
    /// A column's values cannot become the input's.
    ColumnType {
        /// The column.
        column: String,
        /// The type that the model wants.
        element: Element,
    },
    /// The number of columns is wrong.
    ColumnCount {
        /// The model's input.
        input: String,
        /// The number of columns that the model wants.
        expected: usize,
        /// The number of columns that there are for it.
        found: usize,
    },
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BindError::MissingColumn { input } => {
                write!(
                    f,
                    "the model's input \"{input}\" has no column of that name"
                )
            }
            BindError::ColumnType { column, element } => write!(
                f,
                "the column \"{column}\" cannot be given to the model as {element}"
            ),
            BindError::ColumnCount {
                input,
                expected,
                found,
            } => write!(
                f,
                "the model's input \"{input}\" takes {expected} columns and there are {found}"
            ),
        }
    }
}

impl std::error::Error for BindError {}

impl From<BindError> for Fault {
    /// `ModuleExecutionError` with the error ids that the classic modules use: 0001 (a column is
    /// not found), 0017 (a column's type is not supported), 0022 (the wrong number of columns).
    fn from(error: BindError) -> Fault {
        let (id, target) = match &error {
            BindError::MissingColumn { input } => ("0001", input.clone()),
            BindError::ColumnType { column, .. } => ("0017", column.clone()),
            BindError::ColumnCount { input, .. } => ("0022", input.clone()),
        };
        Fault::module(Class::ModuleExecutionError, id, error.to_string(), target)
    }
}

impl Model {
    /// Finds the columns that feed the model.
    ///
    /// Inputs of one column are found by name: exactly, then with everything but letters and
    /// digits taken as `_` (exporters write `education_num` for `education-num`), then without
    /// regard to case. An input of several columns takes those that are left, in their order, and
    /// leaves out labels, weights and scores where there would be too many; so do all inputs
    /// together of a model that was trained without names, where none is found by the one it has.
    pub fn bind(&self, schema: &Schema) -> Result<Binding, BindError> {
        let inputs = self.inputs();
        let fields = schema.fields();
        let names = Names::new(fields);
        if self.unnamed && !inputs.iter().any(|input| names.find(&input.name).is_some()) {
            return by_order(inputs, fields);
        }
        let mut used = vec![false; fields.len()];
        let mut found: Vec<Option<Vec<usize>>> = vec![None; inputs.len()];
        for (i, input) in inputs.iter().enumerate() {
            if let Some(keys) = &input.keys {
                if let Some(positions) = keyed(keys, &names, fields.len(), inputs.len() > 1)? {
                    positions.iter().for_each(|&p| used[p] = true);
                    found[i] = Some(positions);
                }
                continue;
            }
            if input.width != Some(1) {
                continue;
            }
            if let Some(position) = names.find(&input.name) {
                used[position] = true;
                found[i] = Some(vec![position]);
            } else if inputs.len() > 1 {
                return Err(BindError::MissingColumn {
                    input: input.name.clone(),
                });
            }
        }
        let open: Vec<usize> = (0..inputs.len()).filter(|&i| found[i].is_none()).collect();
        for (k, &i) in open.iter().enumerate() {
            let input = &inputs[i];
            let left = left_for(input, fields, &used, inputs.len() > 1);
            let is_last = k + 1 == open.len();
            let positions = choose(input, left, fields, is_last)?;
            positions.iter().for_each(|&p| used[p] = true);
            found[i] = Some(positions);
        }
        let mut bound = Vec::with_capacity(inputs.len());
        for (input, positions) in inputs.iter().zip(found) {
            let positions = positions.unwrap_or_default();
            for &position in &positions {
                let field = &fields[position];
                if !fits(input.element, field.data_type) {
                    return Err(BindError::ColumnType {
                        column: field.name.clone(),
                        element: input.element,
                    });
                }
            }
            bound.push(positions);
        }
        Ok(Binding { inputs: bound })
    }
}

/// The columns of an input that is a map: by the names of its keys. Keys that are numbers may be
/// the columns' numbers instead; then it is `None`, and the columns go by their order.
fn keyed(
    keys: &Classes,
    names: &Names<'_>,
    columns: usize,
    several: bool,
) -> Result<Option<Vec<usize>>, BindError> {
    let wanted = keys.names();
    let found: Vec<Option<usize>> = wanted.iter().map(|name| names.find(name)).collect();
    let none = found.iter().all(Option::is_none);
    if matches!(keys, Classes::Int(_)) && none && !several && columns >= wanted.len() {
        return Ok(None);
    }
    let positions = wanted.into_iter().zip(found);
    positions
        .map(|(name, position)| position.ok_or(BindError::MissingColumn { input: name }))
        .collect::<Result<Vec<_>, _>>()
        .map(Some)
}

/// The columns in their order, one for each input.
fn by_order(inputs: &[ModelInput], fields: &[Field]) -> Result<Binding, BindError> {
    let all: Vec<usize> = (0..fields.len()).collect();
    let chosen = match all.len() == inputs.len() {
        true => all,
        false => features(all, fields),
    };
    if chosen.len() != inputs.len() {
        return Err(BindError::ColumnCount {
            input: inputs.first().map_or("", |i| &i.name).to_owned(),
            expected: inputs.len(),
            found: chosen.len(),
        });
    }
    for (input, &position) in inputs.iter().zip(&chosen) {
        if !fits(input.element, fields[position].data_type) {
            return Err(BindError::ColumnType {
                column: fields[position].name.clone(),
                element: input.element,
            });
        }
    }
    Ok(Binding {
        inputs: chosen.into_iter().map(|position| vec![position]).collect(),
    })
}

/// The columns that an input of several columns may take.
fn left_for(input: &ModelInput, fields: &[Field], used: &[bool], several: bool) -> Vec<usize> {
    (0..fields.len())
        .filter(|&p| !used[p])
        // Among several inputs the types tell whose the columns are.
        .filter(|&p| !several || fits(input.element, fields[p].data_type))
        .collect()
}

/// The input's columns among those that are left.
fn choose(
    input: &ModelInput,
    left: Vec<usize>,
    fields: &[Field],
    is_last: bool,
) -> Result<Vec<usize>, BindError> {
    let Some(width) = input.width else {
        return if left.is_empty() {
            Err(BindError::MissingColumn {
                input: input.name.clone(),
            })
        } else {
            Ok(features(left, fields))
        };
    };
    // Another input may want what this one leaves.
    let enough = |list: &[usize]| list.len() == width || (!is_last && list.len() >= width);
    if enough(&left) {
        return Ok(left[..width].to_vec());
    }
    let found = left.len();
    let features = features(left, fields);
    if enough(&features) {
        return Ok(features[..width].to_vec());
    }
    Err(BindError::ColumnCount {
        input: input.name.clone(),
        expected: width,
        found,
    })
}

/// Those columns that are not a label, a weight or a score; all where that leaves none.
fn features(left: Vec<usize>, fields: &[Field]) -> Vec<usize> {
    let kept: Vec<usize> = left
        .iter()
        .copied()
        .filter(|&p| matches!(fields[p].role, Role::None | Role::Feature))
        .collect();
    if kept.is_empty() { left } else { kept }
}

/// The columns by name, in three degrees of laxity.
struct Names<'f> {
    exact: HashMap<&'f str, usize>,
    /// `None` where several columns have the name.
    plain: HashMap<String, Option<usize>>,
    folded: HashMap<String, Option<usize>>,
}

impl<'f> Names<'f> {
    fn new(fields: &'f [Field]) -> Names<'f> {
        let mut names = Names {
            exact: HashMap::with_capacity(fields.len()),
            plain: HashMap::with_capacity(fields.len()),
            folded: HashMap::with_capacity(fields.len()),
        };
        for (position, field) in fields.iter().enumerate() {
            names.exact.insert(&field.name, position);
            let plain = plain(&field.name);
            let folded = plain.to_lowercase();
            for (map, name) in [(&mut names.plain, plain), (&mut names.folded, folded)] {
                map.entry(name)
                    .and_modify(|p| *p = None)
                    .or_insert(Some(position));
            }
        }
        names
    }

    /// The position of the column that a name means, if there is exactly one.
    fn find(&self, name: &str) -> Option<usize> {
        let wanted = plain(name);
        let folded = wanted.to_lowercase();
        self.exact
            .get(name)
            .copied()
            .or_else(|| self.plain.get(&wanted).copied().flatten())
            .or_else(|| self.folded.get(&folded).copied().flatten())
    }
}

/// A name with everything but letters and digits taken as `_`.
fn plain(name: &str) -> String {
    name.chars()
        .map(|c| if c.is_alphanumeric() { c } else { '_' })
        .collect()
}

/// Whether a column's values can become an input's elements: numbers and truth values any number,
/// whole numbers and text any text.
pub(crate) fn fits(element: Element, data_type: DataType) -> bool {
    match element {
        Element::F32 | Element::F64 | Element::I64 | Element::I32 | Element::Bool => {
            data_type.is_numeric() || data_type == DataType::Boolean
        }
        Element::Str => data_type.is_text() || data_type.is_integer(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(names: &[&str]) -> Vec<Field> {
        names
            .iter()
            .map(|n| Field::new(*n, DataType::Double))
            .collect()
    }

    #[test]
    fn names_are_found_in_spite_of_exporters() {
        let columns = fields(&["age", "education-num", "Hours Per Week", "a-b", "a b"]);
        let names = Names::new(&columns);
        assert_eq!(names.find("age"), Some(0));
        assert_eq!(names.find("education_num"), Some(1));
        assert_eq!(names.find("hours_per_week"), Some(2));
        assert_eq!(names.find("a-b"), Some(3));
        assert_eq!(names.find("a_b"), None);
        assert_eq!(names.find("missing"), None);
    }
}
