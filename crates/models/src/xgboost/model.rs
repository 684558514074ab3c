//! An ensemble from XGBoost's document.

use super::doc::{Doc, whole};
use super::objective;
use crate::boosted::{Boosted, Ensemble, Feature, Linear};
use crate::engine::tensor::Element;
use crate::reject::Reject;
use crate::trees::build::{Mode, RawNode, RawWeight, forest};
use crate::trees::{Real, Sets};

/// The most features of a model that does not name them, and the most sums a row: both are only
/// announced, with nothing in the file to show for it.
const MAX_ANNOUNCED: u64 = 1 << 16;

/// Reads the document of a model.
pub(crate) fn read(doc: &Doc) -> Result<Boosted, Reject> {
    if doc.find("tree_info").is_some() && doc.find("learner").is_none() {
        return Err(Reject::unsupported(
            "LightGBM's JSON dump (dump_model); save the model with save_model",
        ));
    }
    if matches!(doc, Doc::List(_) | Doc::Numbers(_)) {
        return Err(Reject::malformed(
            "this is a list, such as XGBoost's dump_model writes; save the model with save_model",
        ));
    }
    let learner = doc.get("learner")?;
    let parameters = learner.get("learner_model_param")?;
    let announced = |name: &str, least: u64| {
        let count = parameters.parameter(name)?.unwrap_or(least).max(least);
        if count > MAX_ANNOUNCED {
            return Err(Reject::unsupported(format!(
                "an XGBoost model whose {name} is {count}"
            )));
        }
        Ok(count as usize)
    };
    let classes = announced("num_class", 0)?;
    let targets = classes.max(1) * announced("num_target", 1)?;
    if targets as u64 > MAX_ANNOUNCED {
        return Err(Reject::unsupported(format!(
            "an XGBoost model with {targets} results a row"
        )));
    }
    let objective = objective::read(learner, targets, classes)?;
    let (features, unnamed) = features(learner, parameters)?;
    let base = base_score(parameters, targets)?;
    let start: Vec<f32> = base.into_iter().map(|b| objective.margin.of(b)).collect();
    if let Some(bad) = start.iter().find(|v| !v.is_finite()) {
        return Err(Reject::malformed(format!("base_score comes to {bad}")));
    }
    let booster = learner.get("gradient_booster")?;
    let width = features.len();
    let kernel: Box<dyn crate::engine::Kernel> = match booster.text("name")? {
        "gbtree" => Box::new(Ensemble {
            forest: trees(booster.get("model")?, None, width, targets)?,
            columns: Vec::new(),
            width,
            start,
            divisor: None,
            link: objective.link,
            outcome: objective.outcome,
        }),
        "dart" => Box::new(Ensemble {
            forest: trees(
                booster.get("gbtree")?.get("model")?,
                Some(booster.numbers("weight_drop")?),
                width,
                targets,
            )?,
            columns: Vec::new(),
            width,
            start,
            divisor: None,
            link: objective.link,
            outcome: objective.outcome,
        }),
        "gblinear" => {
            let weights = booster.get("model")?.numbers("weights")?;
            if weights.len() != (width + 1) * targets {
                return Err(Reject::malformed(format!(
                    "{} weights for {width} features and {targets} sums",
                    weights.len()
                )));
            }
            Box::new(Linear {
                weights: weights.iter().map(|&w| w as f32).collect(),
                width,
                start,
                link: objective.link,
                outcome: objective.outcome,
            })
        }
        other => {
            return Err(Reject::unsupported(format!(
                "the XGBoost booster \"{other}\""
            )));
        }
    };
    Ok(Boosted {
        features,
        unnamed,
        element: Element::F32,
        outcome: objective.outcome,
        kernel,
    })
}

/// The features, and whether their names are made up.
fn features(learner: &Doc, parameters: &Doc) -> Result<(Vec<Feature>, bool), Reject> {
    let count = parameters
        .parameter("num_feature")?
        .ok_or_else(|| Reject::malformed("\"num_feature\" is missing"))?;
    let names = learner.texts("feature_names")?;
    let types = learner.texts("feature_types")?;
    if count == 0 {
        return Err(Reject::malformed("the model has no features"));
    }
    for (what, len) in [("names", names.len()), ("types", types.len())] {
        if len != 0 && len as u64 != count {
            return Err(Reject::malformed(format!(
                "{len} {what} for {count} features"
            )));
        }
    }
    if names.is_empty() && count > MAX_ANNOUNCED {
        return Err(Reject::unsupported(format!(
            "an XGBoost model with {count} features and no names"
        )));
    }
    let features = (0..count as usize).map(|i| {
        let element = match types.get(i) {
            None | Some(&("q" | "float")) => Element::F32,
            Some(&("int" | "c")) => Element::I64,
            Some(&"i") => Element::Bool,
            Some(other) => {
                return Err(Reject::unsupported(format!(
                    "the XGBoost feature type \"{other}\""
                )));
            }
        };
        Ok(Feature {
            name: names
                .get(i)
                .map_or_else(|| format!("f{i}"), |n| (*n).to_owned()),
            element,
            // Every split of XGBoost's has a branch for what is missing.
            handles_missing: true,
        })
    });
    Ok((features.collect::<Result<_, _>>()?, names.is_empty()))
}

/// `base_score`: one number for all sums, or one for each, in brackets.
fn base_score(parameters: &Doc, targets: usize) -> Result<Vec<f32>, Reject> {
    let text = parameters.text("base_score")?;
    let inside = text.trim();
    let inside = inside
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(inside);
    let scores = inside
        .split(',')
        .map(|part| part.trim().parse::<f32>())
        .collect::<Result<Vec<f32>, _>>()
        .map_err(|_| Reject::malformed(format!("base_score is \"{text}\"")))?;
    match scores[..] {
        [one] => Ok(vec![one; targets]),
        _ if scores.len() == targets => Ok(scores),
        _ => Err(Reject::malformed(format!(
            "{} base scores for {targets} sums",
            scores.len()
        ))),
    }
}

/// The trees of a model, with the weights of `dart`.
fn trees(
    model: &Doc,
    weights: Option<&[f64]>,
    features: usize,
    targets: usize,
) -> Result<crate::trees::Forest<f32>, Reject> {
    let trees = model.list("trees")?;
    let groups = model.numbers("tree_info")?;
    if groups.len() != trees.len() || weights.is_some_and(|w| w.len() != trees.len()) {
        return Err(Reject::malformed(format!(
            "tree_info or weight_drop does not go with {} trees",
            trees.len()
        )));
    }
    let mut parts = Parts::default();
    for (i, tree) in trees.iter().enumerate() {
        let weight = weights.map(|w| w[i] as f32);
        parts
            .add(tree, i as i64, groups[i], weight, features)
            .map_err(|reject| match reject {
                Reject::Malformed(reason) => Reject::Malformed(format!("tree {i}: {reason}")),
                other => other,
            })?;
    }
    if trees.is_empty() {
        // A model without a round gives its base score.
        parts.leaf(0, 0, 0, 0.0);
    }
    forest(&parts.nodes, &parts.leaves, targets, parts.sets).map_err(Reject::Malformed)
}

#[derive(Default)]
struct Parts {
    nodes: Vec<RawNode<f32>>,
    leaves: Vec<RawWeight<f32>>,
    sets: Sets,
}

impl Parts {
    fn leaf(&mut self, tree: i64, id: i64, target: i64, weight: f32) {
        self.nodes.push(RawNode::leaf(tree, id));
        self.leaves.push(RawWeight {
            tree,
            node: id,
            target,
            weight,
        });
    }

    fn add(
        &mut self,
        doc: &Doc,
        tree: i64,
        group: f64,
        weight: Option<f32>,
        features: usize,
    ) -> Result<(), Reject> {
        let parameters = doc.get("tree_param")?;
        if parameters.parameter("size_leaf_vector")?.unwrap_or(1) > 1 {
            return Err(Reject::unsupported(
                "XGBoost trees with several numbers a leaf (multi_strategy=multi_output_tree)",
            ));
        }
        let left = doc.numbers("left_children")?;
        let right = doc.numbers("right_children")?;
        let indices = doc.numbers("split_indices")?;
        let conditions = doc.numbers("split_conditions")?;
        let default_left = doc.numbers("default_left")?;
        let types = match doc.find("split_type") {
            Some(_) => doc.numbers("split_type")?,
            None => &[],
        };
        let count = left.len();
        let same = [right, indices, conditions, default_left];
        if count == 0
            || same.iter().any(|list| list.len() != count)
            || !(types.is_empty() || types.len() == count)
            || parameters
                .parameter("num_nodes")?
                .is_some_and(|n| n != count as u64)
        {
            return Err(Reject::malformed("the lists of nodes differ in length"));
        }
        let target = whole(group)
            .ok_or_else(|| Reject::malformed(format!("{group} is not the number of a sum")))?;
        let categories = Categories::read(doc)?;
        for i in 0..count {
            if left[i] < 0.0 {
                let value = conditions[i] as f32;
                let value = weight.map_or(value, |w| value * w);
                self.leaf(tree, i as i64, target as i64, value);
                continue;
            }
            let node = |v: f64| {
                whole(v)
                    .filter(|&v| v < count as u64)
                    .map(|v| v as i64)
                    .ok_or_else(|| Reject::malformed(format!("{v} is not the number of a node")))
            };
            let feature = whole(indices[i])
                .filter(|&f| f < features as u64)
                .ok_or_else(|| {
                    Reject::malformed(format!("{} is not the number of a feature", indices[i]))
                })?;
            let (left, right) = (node(left[i])?, node(right[i])?);
            let missing_left = default_left[i] != 0.0;
            self.nodes.push(if types.get(i).is_some_and(|&t| t != 0.0) {
                // What is among the categories goes to the right.
                let set = self
                    .sets
                    .push(&categories.bits(i)?)
                    .ok_or_else(|| Reject::malformed("there are too many categories"))?;
                RawNode {
                    tree,
                    id: i as i64,
                    mode: Mode::InSet,
                    feature: feature as i64,
                    threshold: f32::of_index(set),
                    yes: right,
                    no: left,
                    nan_yes: !missing_left,
                }
            } else {
                RawNode {
                    tree,
                    id: i as i64,
                    mode: Mode::Less,
                    feature: feature as i64,
                    threshold: conditions[i] as f32,
                    yes: left,
                    no: right,
                    nan_yes: missing_left,
                }
            });
        }
        Ok(())
    }
}

/// The categories of a tree's splits.
struct Categories<'d> {
    all: &'d [f64],
    /// For each node that has some: its number, where they begin and how many.
    of: std::collections::HashMap<u64, (usize, usize)>,
}

impl Categories<'_> {
    fn read(doc: &Doc) -> Result<Categories<'_>, Reject> {
        let list = |name: &str| match doc.find(name) {
            Some(_) => doc.numbers(name),
            None => Ok(&[][..]),
        };
        let all = list("categories")?;
        let nodes = list("categories_nodes")?;
        let starts = list("categories_segments")?;
        let sizes = list("categories_sizes")?;
        if nodes.len() != starts.len() || nodes.len() != sizes.len() {
            return Err(Reject::malformed(
                "the lists of categories differ in length",
            ));
        }
        let mut of = std::collections::HashMap::with_capacity(nodes.len());
        for ((&node, &start), &size) in nodes.iter().zip(starts).zip(sizes) {
            let (Some(node), Some(start), Some(size)) = (whole(node), whole(start), whole(size))
            else {
                return Err(Reject::malformed(
                    "a list of categories is not where it is said",
                ));
            };
            if start.saturating_add(size) > all.len() as u64
                || of.insert(node, (start as usize, size as usize)).is_some()
            {
                return Err(Reject::malformed(
                    "a list of categories is not where it is said",
                ));
            }
        }
        Ok(Categories { all, of })
    }

    /// The categories of a node as the bits of a set.
    fn bits(&self, node: usize) -> Result<Vec<u32>, Reject> {
        let &(start, size) = self.of.get(&(node as u64)).ok_or_else(|| {
            Reject::malformed(format!("node {node} splits categories and has none"))
        })?;
        let mut words = Vec::new();
        for &category in &self.all[start..start + size] {
            let code = whole(category).filter(|&c| c < 1 << 24).ok_or_else(|| {
                Reject::malformed(format!("{category} is not the code of a category"))
            })?;
            let word = code as usize / 32;
            if word >= words.len() {
                words.resize(word + 1, 0u32);
            }
            words[word] |= 1 << (code % 32);
        }
        Ok(words)
    }
}
