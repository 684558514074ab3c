//! Boosted ensembles of LightGBM and XGBoost: one operator over one matrix of features.
//!
//! The readers of both formats make a [`Boosted`]; [`Boosted::compile`] makes the program and the
//! signature of a model from it. A feature is an input of its own, so that it is found by its name,
//! and all of them together reach the operator as one matrix.

mod columns;
mod ensemble;
mod linear;
mod link;

pub(crate) use columns::{Derived, Reading};
pub(crate) use ensemble::Ensemble;
pub(crate) use linear::Linear;
pub(crate) use link::{Link, Linked};

use std::collections::HashSet;

use crate::engine::Kernel;
use crate::engine::program::{Program, Source, Step};
use crate::engine::tensor::{Classes, Element};
use crate::model::signature::{InputForm, ModelInput, ModelOutput, OutputKind, Signature, Task};
use crate::reject::Reject;

/// One feature, in the order of the model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Feature {
    /// The name.
    pub name: String,
    /// What a client gives: whole numbers for codes of categories.
    pub element: Element,
    /// Whether every split on it says where a missing value goes.
    pub handles_missing: bool,
}

/// What a model gives for a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// So many numbers.
    Values(usize),
    /// The probability of class 1 of two.
    Binary,
    /// The probabilities of so many classes; the label is the first of the most probable.
    Classes(usize),
    /// The same, but the label is taken before the transform, as XGBoost's `multi:softmax` does.
    ClassesByMargin(usize),
    /// 0 or 1, and no probability.
    Label,
}

impl Outcome {
    /// How many sums the trees make.
    pub fn targets(self) -> usize {
        match self {
            Outcome::Values(n) | Outcome::Classes(n) | Outcome::ClassesByMargin(n) => n,
            Outcome::Binary | Outcome::Label => 1,
        }
    }
}

/// An ensemble as a reader found it.
pub(crate) struct Boosted {
    /// What it wants, in order.
    pub features: Vec<Feature>,
    /// Whether the names are made up, because the training data had none.
    pub unnamed: bool,
    /// The type of the matrix: the precision in which the library compares.
    pub element: Element,
    /// What it gives.
    pub outcome: Outcome,
    /// The operator.
    pub kernel: Box<dyn Kernel>,
}

/// A compiled ensemble.
pub(crate) struct Compiled {
    pub program: Program,
    pub signature: Signature,
    /// The type of the one matrix that all inputs make.
    pub element: Element,
    pub unnamed: bool,
}

impl Boosted {
    /// The program and the signature.
    pub fn compile(self) -> Result<Compiled, Reject> {
        let mut names = HashSet::with_capacity(self.features.len());
        for feature in &self.features {
            if feature.name.is_empty() || !names.insert(feature.name.as_str()) {
                return Err(Reject::malformed(format!(
                    "the name \"{}\" of a feature is empty or stands twice",
                    feature.name
                )));
            }
        }
        let (task, classes, outputs) = self.results();
        let inputs = self
            .features
            .into_iter()
            .map(|feature| ModelInput {
                name: feature.name,
                element: feature.element,
                width: Some(1),
                handles_missing: feature.handles_missing,
                keys: None,
                form: InputForm::Matrix,
            })
            .collect();
        let made = outputs.len();
        let step = Step {
            kernel: self.kernel,
            label: "the trees".to_owned(),
            inputs: vec![Source::Slot(0)],
            dying: vec![true],
            outputs: (1..=made).map(Some).collect(),
            wanted: vec![true; made],
            drop_after: Vec::new(),
        };
        Ok(Compiled {
            program: Program {
                steps: vec![step],
                constants: Vec::new(),
                slots: made + 1,
                inputs: 1,
                outputs: (1..=made).map(Source::Slot).collect(),
            },
            signature: Signature {
                inputs,
                outputs,
                task,
                classes: Classes::Int(classes),
            },
            element: self.element,
            unnamed: self.unnamed,
        })
    }

    /// The task, the classes and the outputs, in the order in which the operator gives them.
    fn results(&self) -> (Task, Vec<i64>, Vec<ModelOutput>) {
        let output = |name: &str, element, width, kind| ModelOutput {
            name: name.to_owned(),
            element,
            width: Some(width),
            kind,
            maps: false,
        };
        let label = || output("label", Element::I64, 1, OutputKind::Labels);
        let numbers = |name: &str, width, kind| output(name, self.element, width, kind);
        match self.outcome {
            Outcome::Values(width) => {
                let task = match width {
                    1 => Task::Regressor,
                    _ => Task::Other,
                };
                let values = numbers("prediction", width, OutputKind::Values);
                (task, Vec::new(), vec![values])
            }
            Outcome::Binary => {
                let probabilities = numbers("probabilities", 2, OutputKind::Probabilities);
                let outputs = vec![label(), probabilities];
                (Task::BinaryClassifier, vec![0, 1], outputs)
            }
            Outcome::Classes(count) | Outcome::ClassesByMargin(count) => {
                let probabilities = numbers("probabilities", count, OutputKind::Probabilities);
                let outputs = vec![label(), probabilities];
                let task = match count {
                    2 => Task::BinaryClassifier,
                    _ => Task::MultiClassClassifier,
                };
                (task, (0..count as i64).collect(), outputs)
            }
            Outcome::Label => (Task::BinaryClassifier, vec![0, 1], vec![label()]),
        }
    }
}
