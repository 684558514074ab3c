//! `TreeEnsemble`, which takes the place of the two older tree operators from version 5 of
//! `ai.onnx.ml` on: nodes and leaves in two lists, and splits by membership in a set.

use std::cell::RefCell;
use std::sync::OnceLock;

use super::post::Transform;
use super::tree::{Combination, Precision, Regressor, score};
use crate::engine::args::Args;
use crate::engine::tensor::{Data, Shape, Tensor};
use crate::engine::{Context, Kernel, Missing, Stop};
use crate::onnx::Reject;
use crate::onnx::attrs::Attrs;
use crate::onnx::compile::Spec;
use crate::ops::Built;
use crate::trees::build::{Mode, RawNode, RawWeight, forest};
use crate::trees::{Aggregate, Forest, Real, Sets};

/// `TreeEnsemble`.
pub(crate) fn tree_ensemble(spec: &mut Spec<'_>) -> Built {
    if spec.version < 5 {
        return Err(Reject::malformed("the operator begins with version 5"));
    }
    let targets = spec.attrs.count("n_targets")?.unwrap_or(0);
    if targets == 0 {
        return Err(Reject::malformed("there are no targets"));
    }
    let combination = match spec.attrs.int_or("aggregate_function", 1)? {
        0 => Combination::Average,
        1 => Combination::Sum,
        2 => Combination::Min,
        3 => Combination::Max,
        other => {
            return Err(Reject::malformed(format!(
                "aggregate_function {other} is not known"
            )));
        }
    };
    let transform = match spec.attrs.int_or("post_transform", 0)? {
        0 => Transform::None,
        // The specification has 1 for softmax and 2 for logistic, ONNX Runtime the other way round:
        // there is no telling which of them the model was tested with.
        1 | 2 => return Err(spec.lacks("post_transform 1 or 2")),
        3 => Transform::SoftmaxZero,
        4 => Transform::Probit,
        other => {
            return Err(Reject::malformed(format!(
                "post_transform {other} is not known"
            )));
        }
    };
    let lists = Lists::read(&mut spec.attrs)?;
    let missing = |name: &str| Reject::malformed(format!("attribute {name} is missing"));
    let splits = spec
        .attrs
        .tensor("nodes_splits")?
        .ok_or_else(|| missing("nodes_splits"))?;
    let weights = spec
        .attrs
        .tensor("leaf_weights")?
        .ok_or_else(|| missing("leaf_weights"))?;
    let members = spec
        .attrs
        .tensor("membership_values")?
        .map(|t| t.into_parts().1);
    match (splits.into_parts().1, weights.into_parts().1, members) {
        (Data::F32(splits), Data::F32(weights), None) => {
            lists.single(&splits, &weights, &[], targets)
        }
        (Data::F32(splits), Data::F32(weights), Some(Data::F32(members))) => {
            lists.single(&splits, &weights, &members, targets)
        }
        (Data::F64(splits), Data::F64(weights), None) => {
            lists.double(&splits, &weights, &[], targets)
        }
        (Data::F64(splits), Data::F64(weights), Some(Data::F64(members))) => {
            lists.double(&splits, &weights, &members, targets)
        }
        _ => Err(Reject::malformed(
            "splits, weights and members are not all float or all double",
        )),
    }
    .and_then(|forest| -> Built {
        let double = matches!(forest, Precision::Double { .. });
        // With one target ONNX Runtime applies no other transform than this.
        let transforms = targets > 1 || transform == Transform::Probit;
        if double && transforms && transform != Transform::None {
            return Err(spec.lacks("a post_transform of doubles"));
        }
        let regressor = Regressor {
            forest,
            combination,
            transform,
        };
        Ok(if double {
            Box::new(Wide(regressor))
        } else {
            Box::new(Narrow(regressor))
        })
    })
}

/// The attributes that do not depend on the precision.
struct Lists {
    roots: Vec<i64>,
    features: Vec<i64>,
    modes: Vec<Mode>,
    yes: Vec<i64>,
    yes_is_leaf: Vec<i64>,
    no: Vec<i64>,
    no_is_leaf: Vec<i64>,
    nan_yes: Vec<i64>,
    leaf_targets: Vec<i64>,
}

impl Lists {
    fn read(attrs: &mut Attrs) -> Result<Lists, Reject> {
        let modes = attrs
            .tensor("nodes_modes")?
            .ok_or_else(|| Reject::malformed("attribute nodes_modes is missing"))?;
        let Data::I32(modes) = modes.into_parts().1 else {
            return Err(Reject::malformed("nodes_modes holds no bytes"));
        };
        let modes = modes
            .into_iter()
            .map(|code| {
                Ok(match code {
                    0 => Mode::LessOrEqual,
                    1 => Mode::Less,
                    2 => Mode::GreaterOrEqual,
                    3 => Mode::Greater,
                    4 => Mode::Equal,
                    5 => Mode::NotEqual,
                    6 => Mode::InSet,
                    other => {
                        return Err(Reject::malformed(format!("{other} is not a kind of node")));
                    }
                })
            })
            .collect::<Result<Vec<_>, Reject>>()?;
        let lists = Lists {
            roots: attrs.ints("tree_roots")?,
            features: attrs.ints("nodes_featureids")?,
            yes: attrs.ints("nodes_truenodeids")?,
            yes_is_leaf: attrs.ints("nodes_trueleafs")?,
            no: attrs.ints("nodes_falsenodeids")?,
            no_is_leaf: attrs.ints("nodes_falseleafs")?,
            nan_yes: attrs.ints("nodes_missing_value_tracks_true")?,
            leaf_targets: attrs.ints("leaf_targetids")?,
            modes,
        };
        let n = lists.modes.len();
        let same = [
            lists.features.len(),
            lists.yes.len(),
            lists.yes_is_leaf.len(),
            lists.no.len(),
            lists.no_is_leaf.len(),
        ];
        if same.iter().any(|&len| len != n) || ![0, n].contains(&lists.nan_yes.len()) {
            return Err(Reject::malformed("the lists of nodes differ in length"));
        }
        Ok(lists)
    }

    fn single(
        &self,
        splits: &[f32],
        weights: &[f32],
        members: &[f32],
        targets: usize,
    ) -> Result<Precision, Reject> {
        Ok(Precision::Single {
            forest: self.forest(splits, weights, members, targets)?,
            base: Vec::new(),
            widened: OnceLock::new(),
        })
    }

    fn double(
        &self,
        splits: &[f64],
        weights: &[f64],
        members: &[f64],
        targets: usize,
    ) -> Result<Precision, Reject> {
        Ok(Precision::Double {
            forest: self.forest(splits, weights, members, targets)?,
            base: Vec::new(),
        })
    }

    /// The sets of the nodes that have one, by node; NaN ends a set.
    fn sets<'m, T: Real>(&self, members: &'m [T]) -> Result<Vec<&'m [T]>, Reject> {
        let mut sets = members.split(|v| v.nan());
        self.modes
            .iter()
            .map(|&mode| {
                if mode != Mode::InSet {
                    return Ok(&[][..]);
                }
                // An empty set has no place in the form below, and no exporter writes one.
                sets.next()
                    .filter(|set| !set.is_empty())
                    .ok_or_else(|| Reject::malformed("a node of a set has no members"))
            })
            .collect()
    }

    /// Nodes and leaves as the builder wants them: the nodes of a tree one after another, leaves
    /// among them. A test for a set becomes a chain of tests for its members, as in ONNX Runtime:
    /// members need not be whole numbers. Each node and each member is taken once, so that a file
    /// cannot ask for more than it holds.
    fn forest<T: Real>(
        &self,
        splits: &[T],
        weights: &[T],
        members: &[T],
        targets: usize,
    ) -> Result<Forest<T>, Reject> {
        let n = self.modes.len();
        if splits.len() != n {
            return Err(Reject::malformed("the lists of nodes differ in length"));
        }
        if weights.len() != self.leaf_targets.len() {
            return Err(Reject::malformed("the lists of leaves differ in length"));
        }
        let sets = self.sets(members)?;
        let leaves = weights.len();
        // Numbers of nodes in the builder's list: nodes, then leaves, then links of chains.
        let mut next_id = (n + leaves) as i64;
        let mut raw = Vec::with_capacity(n + leaves);
        let mut by_leaf = Vec::with_capacity(leaves);
        let mut owner: Vec<Option<usize>> = vec![None; n];
        let mut leaf_seen: Vec<Option<usize>> = vec![None; leaves];
        let mut open = Vec::new();
        for (tree, &root) in self.roots.iter().enumerate() {
            open.push(root);
            while let Some(node) = open.pop() {
                let i = usize::try_from(node)
                    .ok()
                    .filter(|&i| i < n)
                    .ok_or_else(|| Reject::malformed(format!("there is no node {node}")))?;
                match owner[i] {
                    None => owner[i] = Some(tree),
                    Some(other) if other == tree => continue,
                    Some(other) => {
                        return Err(Reject::malformed(format!(
                            "node {node} is in the trees {other} and {tree}"
                        )));
                    }
                }
                let mut follow = |to: i64, is_leaf: i64| {
                    if is_leaf == 0 {
                        open.push(to);
                        return Ok::<i64, Reject>(to);
                    }
                    let leaf = usize::try_from(to)
                        .ok()
                        .filter(|&leaf| leaf < leaves)
                        .ok_or_else(|| Reject::malformed(format!("there is no leaf {to}")))?;
                    Ok((n + leaf) as i64)
                };
                let yes = follow(self.yes[i], self.yes_is_leaf[i])?;
                let no = follow(self.no[i], self.no_is_leaf[i])?;
                let links = match sets[i] {
                    [] => &splits[i..=i],
                    set => set,
                };
                let mut id = node;
                for (k, &threshold) in links.iter().enumerate() {
                    let last = k + 1 == links.len();
                    raw.push(RawNode {
                        tree: tree as i64,
                        id,
                        mode: match self.modes[i] {
                            Mode::InSet => Mode::Equal,
                            mode => mode,
                        },
                        feature: self.features[i],
                        threshold,
                        yes,
                        no: if last { no } else { next_id },
                        nan_yes: self.nan_yes.get(i).is_some_and(|&v| v == 1),
                    });
                    if !last {
                        id = next_id;
                        next_id += 1;
                    }
                }
                for to in [yes, no] {
                    let Some(leaf) = (to as usize).checked_sub(n).filter(|&l| l < leaves) else {
                        continue;
                    };
                    if leaf_seen[leaf] == Some(tree) {
                        continue;
                    }
                    leaf_seen[leaf] = Some(tree);
                    raw.push(RawNode::leaf(tree as i64, to));
                    by_leaf.push(RawWeight {
                        tree: tree as i64,
                        node: to,
                        target: self.leaf_targets[leaf],
                        weight: weights[leaf],
                    });
                }
            }
        }
        forest(&raw, &by_leaf, targets, Sets::default()).map_err(Reject::Malformed)
    }
}

/// Trees of floats over a matrix of floats.
struct Narrow(Regressor);

impl Kernel for Narrow {
    fn missing(&self) -> Missing {
        self.0.missing()
    }

    fn run(&self, args: &mut Args<'_>, cx: &mut Context<'_>) -> Result<(), Stop> {
        args.slice::<f32>(0)?;
        self.0.run(args, cx)
    }
}

/// Trees of doubles over a matrix of doubles; the results are doubles too.
struct Wide(Regressor);

impl Kernel for Wide {
    fn missing(&self) -> Missing {
        self.0.missing()
    }

    fn run(&self, args: &mut Args<'_>, cx: &mut Context<'_>) -> Result<(), Stop> {
        let Regressor {
            forest,
            combination,
            ..
        } = &self.0;
        args.slice::<f64>(0)?;
        let x = args.tensor(0)?;
        let (rows, _) = x.as_matrix();
        let targets = forest.targets();
        let shape = Shape::matrix(rows, targets)?;
        let out = RefCell::new(cx.pool.filled(rows * targets, 0f64));
        let aggregate = match combination {
            Combination::Sum | Combination::Average => Aggregate::Sum,
            Combination::Min => Aggregate::Min,
            Combination::Max => Aggregate::Max,
        };
        let parts = match combination {
            Combination::Average => forest.trees() as f64,
            _ => 1.0,
        };
        score(
            forest,
            x,
            aggregate,
            cx,
            |_, _| Err(Stop::failed("trees of floats")),
            |_, scored| {
                let mut out = out.borrow_mut();
                let out = &mut out[scored.first * targets..][..scored.scores.len()];
                // With one target there is no telling a leaf without a weight from one of 0.
                for (i, (cell, &sum)) in out.iter_mut().zip(scored.scores.iter()).enumerate() {
                    let has = targets == 1 || scored.has.get(i).is_some_and(|&has| has);
                    *cell = if has { sum / parts } else { 0.0 };
                }
                Ok(())
            },
        )?;
        cx.give(Tensor::of(shape, out.into_inner())?);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two splits and three leaves.
    fn lists() -> Lists {
        Lists {
            roots: vec![0],
            features: vec![0, 1],
            modes: vec![Mode::LessOrEqual, Mode::InSet],
            yes: vec![1, 0],
            yes_is_leaf: vec![0, 1],
            no: vec![2, 1],
            no_is_leaf: vec![1, 1],
            nan_yes: Vec::new(),
            leaf_targets: vec![0, 0, 0],
        }
    }

    fn refusal(lists: &Lists, members: &[f32]) -> String {
        match lists.forest(&[0.5, 0.0], &[1.0, 2.0, 3.0], members, 1) {
            Err(Reject::Malformed(reason)) => reason,
            other => panic!("not refused: {:?}", other.map(|f| f.trees())),
        }
    }

    #[test]
    fn a_sound_tree_is_built() {
        let forest = lists()
            .forest(&[0.5, 0.0], &[1.0, 2.0, 3.0], &[1.0, 2.5, f32::NAN], 1)
            .unwrap();
        assert_eq!((forest.trees(), forest.features()), (1, 2));
    }

    #[test]
    fn hostile_trees_are_refused() {
        let set = [1.0, f32::NAN];
        let mut cycle = lists();
        (cycle.no[1], cycle.no_is_leaf[1]) = (0, 0);
        assert!(refusal(&cycle, &set).contains("cycle"));
        let mut shared = lists();
        shared.roots = vec![0; 1_000_000];
        assert!(refusal(&shared, &set).contains("in the trees 0 and 1"));
        let mut no_node = lists();
        no_node.yes[0] = i64::MAX;
        assert!(refusal(&no_node, &set).contains("no node"));
        let mut no_leaf = lists();
        no_leaf.no[0] = -1;
        assert!(refusal(&no_leaf, &set).contains("no leaf"));
        let mut no_target = lists();
        no_target.leaf_targets[2] = 7;
        assert!(refusal(&no_target, &set).contains("target 7"));
        assert!(refusal(&lists(), &[]).contains("no members"));
    }
}
