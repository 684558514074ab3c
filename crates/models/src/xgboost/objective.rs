//! XGBoost's objectives: what becomes of the sums, and of `base_score`, by their names.

use super::doc::Doc;
use crate::boosted::{Link, Outcome};
use crate::reject::Reject;

/// What an objective makes of the sums.
pub(super) struct Objective {
    pub outcome: Outcome,
    pub link: Link,
    /// How `base_score` becomes what the sums begin with.
    pub margin: Margin,
}

/// The link function that `base_score` passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Margin {
    Same,
    Logit,
    Log,
}

impl Margin {
    /// The margin of a base score.
    pub fn of(self, base: f32) -> f32 {
        match self {
            Margin::Same => base,
            Margin::Logit => -(1.0 / base - 1.0).ln(),
            Margin::Log => base.ln(),
        }
    }
}

/// Reads the objective of a learner whose trees make `targets` sums, for `classes` classes where
/// the model says so.
pub(super) fn read(learner: &Doc, targets: usize, classes: usize) -> Result<Objective, Reject> {
    let name = learner.get("objective")?.text("name")?;
    let values = Outcome::Values(targets);
    let (outcome, link, margin) = match name {
        "reg:squarederror"
        | "reg:linear"
        | "reg:squaredlogerror"
        | "reg:pseudohubererror"
        | "reg:absoluteerror"
        | "reg:quantileerror"
        | "reg:expectileerror"
        | "rank:pairwise"
        | "rank:ndcg"
        | "rank:map" => (values, Link::Identity, Margin::Same),
        "binary:logitraw" => (values, Link::Identity, Margin::Same),
        "reg:logistic" => (values, Link::Logistic(1.0), Margin::Logit),
        "binary:logistic" => {
            // Several targets are several labels that do not exclude each other.
            let outcome = if targets == 1 {
                Outcome::Binary
            } else {
                values
            };
            (outcome, Link::Logistic(1.0), Margin::Logit)
        }
        "binary:hinge" => {
            let outcome = if targets == 1 { Outcome::Label } else { values };
            (outcome, Link::Step, Margin::Same)
        }
        "count:poisson" | "reg:gamma" | "reg:tweedie" | "survival:cox" => {
            (values, Link::Exp, Margin::Log)
        }
        "survival:aft" => (values, Link::ExpInDouble, Margin::Log),
        "multi:softprob" | "multi:softmax" => {
            if classes < 2 || classes != targets {
                return Err(Reject::malformed(format!(
                    "the objective {name} for {classes} classes and {targets} sums"
                )));
            }
            let outcome = if name == "multi:softmax" {
                Outcome::ClassesByMargin(classes)
            } else {
                Outcome::Classes(classes)
            };
            (outcome, Link::Softmax, Margin::Same)
        }
        other => {
            return Err(Reject::unsupported(format!(
                "the XGBoost objective \"{other}\""
            )));
        }
    };
    Ok(Objective {
        outcome,
        link,
        margin,
    })
}
