//! The columns that Score Model makes of a model's results: names, types, roles and order, as the
//! classic service had them.
//!
//! - two classes: `Scored Labels`, then `Scored Probabilities`, those of the second class;
//! - more classes: `Scored Probabilities for Class "x"` for each, then `Scored Labels`;
//! - a number a row: `Scored Labels`;
//! - clusters: `Assignments`;
//! - anything else a model gives comes after, by its own name.

use models::{Classes, Element, Model, OutputKind, ScoredColumn, Scores, Task};
use tables::{Column, DataType, DuplicateName, Field, Role, Schema, ScoreKind, Values};

/// One column of a result, named but for the text.
#[derive(Debug)]
pub(crate) struct Part {
    /// What it is called.
    pub name: PartName,
    /// The type of its values.
    pub data_type: DataType,
    /// The values.
    pub column: Column,
}

/// What a column of a result is called.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum PartName {
    /// `Scored Labels`.
    Labels,
    /// `Scored Probabilities`.
    Probabilities,
    /// `Scored Probabilities for Class "x"`.
    Class(String),
    /// `Assignments`.
    Assignments,
    /// The name of the model's output.
    Own(String),
}

impl PartName {
    fn field(&self, data_type: DataType) -> Field {
        let (name, kind) = match self {
            PartName::Labels => ("Scored Labels".to_owned(), ScoreKind::Label),
            PartName::Probabilities => ("Scored Probabilities".to_owned(), ScoreKind::Probability),
            PartName::Class(class) => (
                format!("Scored Probabilities for Class \"{class}\""),
                ScoreKind::Probability,
            ),
            PartName::Assignments => ("Assignments".to_owned(), ScoreKind::Assignment),
            PartName::Own(name) => (name.clone(), ScoreKind::Other),
        };
        Field::new(name, data_type).with_role(Role::Score(kind))
    }
}

impl Part {
    /// The column's description.
    pub fn field(&self) -> Field {
        self.name.field(self.data_type)
    }

    /// Whether a field made for an earlier result of the same model describes this part. Only an
    /// output's own columns can differ in number from call to call, so only their names are
    /// compared.
    pub fn is_described_by(&self, field: &Field) -> bool {
        field.data_type == self.data_type
            && match &self.name {
                PartName::Own(name) => *name == field.name,
                _ => true,
            }
    }
}

/// A model's results in the order of the columns that they become.
pub(crate) fn arrange(task: Task, scores: Scores) -> Vec<Part> {
    let Scores {
        labels,
        mut probabilities,
        values,
    } = scores;
    let part = |name: PartName, scored: ScoredColumn| Part {
        name,
        data_type: scored.data_type,
        column: scored.column,
    };
    let own = |scored: ScoredColumn| Part {
        name: PartName::Own(scored.name),
        data_type: scored.data_type,
        column: scored.column,
    };
    let class = |scored: ScoredColumn| Part {
        name: PartName::Class(scored.name),
        data_type: scored.data_type,
        column: scored.column,
    };
    let mut parts = Vec::with_capacity(probabilities.len() + values.len() + 1);
    match task {
        Task::BinaryClassifier => {
            parts.extend(labels.map(|labels| part(PartName::Labels, labels)));
            match probabilities.len() {
                // The first is the negative class, whose probability says nothing more.
                1 | 2 => parts.extend(
                    probabilities
                        .pop()
                        .map(|positive| part(PartName::Probabilities, positive)),
                ),
                _ => parts.extend(probabilities.into_iter().map(class)),
            }
            parts.extend(values.into_iter().map(own));
        }
        Task::MultiClassClassifier => {
            parts.extend(probabilities.into_iter().map(class));
            parts.extend(labels.map(|labels| part(PartName::Labels, labels)));
            parts.extend(values.into_iter().map(own));
        }
        Task::Regressor => {
            let is_one = values.len() == 1;
            let name = |scored| {
                if is_one {
                    part(PartName::Labels, scored)
                } else {
                    own(scored)
                }
            };
            parts.extend(values.into_iter().map(name));
            parts.extend(labels.into_iter().chain(probabilities).map(own));
        }
        Task::Clusterer => {
            parts.extend(labels.map(|labels| part(PartName::Assignments, labels)));
            parts.extend(probabilities.into_iter().chain(values).map(own));
        }
        Task::Other => {
            parts.extend(
                labels
                    .into_iter()
                    .chain(probabilities)
                    .chain(values)
                    .map(own),
            );
        }
    }
    parts
}

/// The schema of `base` (the input's columns, or none) followed by the parts.
pub(crate) fn schema(base: &[Field], parts: &[Part]) -> Result<Schema, DuplicateName> {
    let fields = base.iter().cloned();
    Schema::new(fields.chain(parts.iter().map(Part::field)).collect())
}

/// The columns of a result without rows, as far as the model's file tells them; `None` where it
/// leaves a number of columns open.
pub(crate) fn declared(model: &Model) -> Option<Vec<Part>> {
    let mut scores = Scores::default();
    for output in model.outputs() {
        let data_type = match output.element {
            Element::F32 => DataType::Float,
            Element::F64 => DataType::Double,
            Element::I64 => DataType::Int64,
            Element::I32 => DataType::Int32,
            Element::Bool => DataType::Boolean,
            Element::Str => DataType::String,
        };
        let empty = |name: String| ScoredColumn {
            name,
            data_type,
            column: Column::new(Values::with_capacity(data_type, 0)),
        };
        match output.kind {
            OutputKind::Labels => scores.labels = Some(empty(output.name.clone())),
            OutputKind::Probabilities => {
                let classes: &Classes = model.classes();
                scores.probabilities = classes.names().into_iter().map(empty).collect();
            }
            OutputKind::Values => match output.width? {
                1 => scores.values.push(empty(output.name.clone())),
                width => scores
                    .values
                    .extend((1..=width).map(|i| empty(format!("{}.{i}", output.name)))),
            },
        }
    }
    Some(arrange(model.task(), scores))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scored(name: &str) -> ScoredColumn {
        ScoredColumn {
            name: name.to_owned(),
            data_type: DataType::Float,
            column: Column::from(vec![0.5f32]),
        }
    }

    fn names(task: Task, labels: bool, probabilities: &[&str], values: &[&str]) -> Vec<String> {
        let scores = Scores {
            labels: labels.then(|| scored("label")),
            probabilities: probabilities.iter().map(|name| scored(name)).collect(),
            values: values.iter().map(|name| scored(name)).collect(),
        };
        let parts = arrange(task, scores);
        parts.iter().map(|part| part.field().name).collect()
    }

    #[test]
    fn columns_are_named_as_the_classic_service_named_them() {
        assert_eq!(
            names(Task::BinaryClassifier, true, &["no", "yes"], &["margin"]),
            ["Scored Labels", "Scored Probabilities", "margin"]
        );
        assert_eq!(
            names(Task::MultiClassClassifier, true, &["a", "b\"", "c"], &[]),
            [
                "Scored Probabilities for Class \"a\"",
                "Scored Probabilities for Class \"b\"\"",
                "Scored Probabilities for Class \"c\"",
                "Scored Labels"
            ]
        );
        assert_eq!(
            names(Task::Regressor, false, &[], &["variable"]),
            ["Scored Labels"]
        );
        assert_eq!(
            names(Task::Regressor, false, &[], &["y.1", "y.2"]),
            ["y.1", "y.2"]
        );
        assert_eq!(
            names(Task::Clusterer, true, &[], &["distance"]),
            ["Assignments", "distance"]
        );
        assert_eq!(
            names(Task::Other, false, &[], &["a.1", "a.2"]),
            ["a.1", "a.2"]
        );
        assert_eq!(
            names(Task::BinaryClassifier, true, &[], &[]),
            ["Scored Labels"]
        );
    }

    #[test]
    fn the_positive_class_is_the_second() {
        let mut positive = scored("yes");
        positive.column = Column::from(vec![0.75f32]);
        let scores = Scores {
            labels: None,
            probabilities: vec![scored("no"), positive],
            values: Vec::new(),
        };
        let parts = arrange(Task::BinaryClassifier, scores);
        assert_eq!(parts[0].column, Column::from(vec![0.75f32]));
        assert_eq!(parts[0].field().role, Role::Score(ScoreKind::Probability));
    }

    #[test]
    fn a_field_of_an_earlier_result_describes_the_next() {
        let scores = || Scores {
            labels: None,
            probabilities: Vec::new(),
            values: vec![scored("a.1"), scored("a.2")],
        };
        let first = arrange(Task::Other, scores());
        let fields: Vec<Field> = first.iter().map(Part::field).collect();
        let second = arrange(Task::Other, scores());
        assert!(second[1].is_described_by(&fields[1]));
        assert!(!second[1].is_described_by(&fields[0]));
    }
}
