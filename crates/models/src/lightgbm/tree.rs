//! One tree.

use std::collections::HashMap;

use super::text::Section;
use crate::boosted::{Derived, Reading};
use crate::reject::Reject;
use crate::trees::build::{Mode, RawNode, RawWeight};
use crate::trees::{Real, Sets};

/// `decision_type`: the split is one of categories.
const CATEGORICAL: i64 = 1;
/// `decision_type`: what is missing goes to the left.
const DEFAULT_LEFT: i64 = 2;

/// How a feature is used by the splits.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Uses {
    /// A split compares it.
    pub numbers: bool,
    /// A split looks it up among categories.
    pub categories: bool,
    /// A split has no branch for what is missing and takes 0 in its stead.
    pub zero_for_missing: bool,
}

/// The trees while they are read.
pub(super) struct Parts {
    pub nodes: Vec<RawNode<f64>>,
    pub leaves: Vec<RawWeight<f64>>,
    pub sets: Sets,
    /// The columns of the trees' matrix.
    pub columns: Vec<Derived>,
    /// For each feature how it is used.
    pub uses: Vec<Uses>,
    places: HashMap<(u32, Reading), i64>,
}

impl Parts {
    pub fn new(features: usize) -> Parts {
        Parts {
            nodes: Vec::new(),
            leaves: Vec::new(),
            sets: Sets::default(),
            columns: Vec::new(),
            uses: vec![Uses::default(); features],
            places: HashMap::new(),
        }
    }

    /// The column of a feature that is read so.
    fn column(&mut self, feature: u32, reading: Reading) -> i64 {
        let columns = &mut self.columns;
        *self.places.entry((feature, reading)).or_insert_with(|| {
            columns.push(Derived { feature, reading });
            columns.len() as i64 - 1
        })
    }

    fn leaf(&mut self, tree: i64, id: i64, target: i64, weight: f64) {
        self.nodes.push(RawNode::leaf(tree, id));
        self.leaves.push(RawWeight {
            tree,
            node: id,
            target,
            weight,
        });
    }

    /// Reads a tree that adds to the sum `target`.
    pub fn add(&mut self, section: &Section<'_>, tree: i64, target: i64) -> Result<(), Reject> {
        if section.get("is_linear").is_some_and(|v| v != "0") {
            return Err(Reject::unsupported("LightGBM's linear trees (is_linear=1)"));
        }
        let count: usize = section.number("num_leaves")?;
        let values: Vec<f64> = section.numbers("leaf_value")?;
        if values.len() != count || count == 0 {
            return Err(Reject::malformed(format!(
                "{} leaf_value for num_leaves={count}",
                values.len()
            )));
        }
        let splits = count - 1;
        if splits > 0 {
            self.splits(section, tree, splits)?;
        }
        for (i, &value) in values.iter().enumerate() {
            self.leaf(tree, (splits + i) as i64, target, value);
        }
        Ok(())
    }

    fn splits(&mut self, section: &Section<'_>, tree: i64, count: usize) -> Result<(), Reject> {
        let features: Vec<u32> = section.numbers("split_feature")?;
        let thresholds: Vec<f64> = section.numbers("threshold")?;
        let types: Vec<i64> = section.numbers("decision_type")?;
        let left: Vec<i64> = section.numbers("left_child")?;
        let right: Vec<i64> = section.numbers("right_child")?;
        let lengths = [
            features.len(),
            thresholds.len(),
            types.len(),
            left.len(),
            right.len(),
        ];
        if lengths.iter().any(|&len| len != count) {
            return Err(Reject::malformed(format!(
                "the lists of {count} splits differ in length"
            )));
        }
        let categories = Categories {
            bounds: section.numbers("cat_boundaries")?,
            words: section.numbers("cat_threshold")?,
        };
        // Splits are numbered from 0, leaves from -1 downwards.
        let child = |v: i64| {
            let count = count as i64;
            match v {
                0.. if v < count => Ok(v),
                ..0 if !v <= count => Ok(count + !v),
                _ => Err(Reject::malformed(format!(
                    "{v} is not the number of a node"
                ))),
            }
        };
        for i in 0..count {
            let feature = features[i];
            if feature as usize >= self.uses.len() {
                return Err(Reject::malformed(format!(
                    "{feature} is not the number of a feature"
                )));
            }
            let (yes, no) = (child(left[i])?, child(right[i])?);
            let kind = types[i];
            let node = if kind & CATEGORICAL != 0 {
                self.uses[feature as usize].categories = true;
                let set = self
                    .sets
                    .push(categories.words(thresholds[i])?)
                    .ok_or_else(|| Reject::malformed("there are too many categories"))?;
                RawNode {
                    tree,
                    id: i as i64,
                    mode: Mode::InSet,
                    feature: self.column(feature, Reading::Code),
                    threshold: f64::of_index(set),
                    yes,
                    no,
                    nan_yes: false,
                }
            } else {
                let uses = &mut self.uses[feature as usize];
                uses.numbers = true;
                let default_left = kind & DEFAULT_LEFT != 0;
                let threshold = thresholds[i];
                if threshold.is_nan() {
                    return Err(Reject::malformed("a threshold is not a number"));
                }
                let (reading, nan_yes) = match kind >> 2 & 3 {
                    0 => {
                        uses.zero_for_missing = true;
                        (Reading::Number, 0.0 <= threshold)
                    }
                    1 => (Reading::ZeroIsMissing, default_left),
                    2 => (Reading::Number, default_left),
                    other => {
                        return Err(Reject::malformed(format!(
                            "{other} is not a kind of missing values"
                        )));
                    }
                };
                RawNode {
                    tree,
                    id: i as i64,
                    mode: Mode::LessOrEqual,
                    feature: self.column(feature, reading),
                    threshold,
                    yes,
                    no,
                    nan_yes,
                }
            };
            self.nodes.push(node);
        }
        Ok(())
    }
}

/// The categories of a tree's splits: words of 32 bits, and where those of each set end.
struct Categories {
    bounds: Vec<u32>,
    words: Vec<u32>,
}

impl Categories {
    /// The words of the set whose number stands as a threshold.
    fn words(&self, threshold: f64) -> Result<&[u32], Reject> {
        let wrong = || Reject::malformed(format!("{threshold} is not the number of a set"));
        if !(threshold >= 0.0 && threshold < self.bounds.len() as f64) {
            return Err(wrong());
        }
        let i = threshold as usize;
        let (Some(&start), Some(&end)) = (self.bounds.get(i), self.bounds.get(i + 1)) else {
            return Err(wrong());
        };
        self.words
            .get(start as usize..end as usize)
            .ok_or_else(wrong)
    }
}
