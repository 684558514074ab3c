//! `TreeEnsembleClassifier` and `TreeEnsembleRegressor`.

use std::cell::RefCell;
use std::sync::OnceLock;

use super::post::{Second, Transform, write_single};
use super::{Labels, classes, floats};
use crate::engine::args::Args;
use crate::engine::tensor::{Classes, Data, Shape, Tensor};
use crate::engine::{Context, Kernel, Missing, Stop};
use crate::onnx::Reject;
use crate::onnx::compile::Spec;
use crate::ops::Built;
use crate::trees::build::{Mode, RawNode, RawWeight, forest};
use crate::trees::kernel::{Buffers, Scored};
use crate::trees::{Aggregate, Forest, Real, Sets};

/// The forest in the precision of its attributes, and in double precision for inputs of doubles.
pub(super) enum Precision {
    Single {
        forest: Forest<f32>,
        base: Vec<f32>,
        /// Made when the first input of doubles comes.
        widened: OnceLock<Box<(Forest<f64>, Vec<f64>)>>,
    },
    Double {
        forest: Forest<f64>,
        base: Vec<f64>,
    },
}

impl Precision {
    pub fn trees(&self) -> usize {
        match self {
            Precision::Single { forest, .. } => forest.trees(),
            Precision::Double { forest, .. } => forest.trees(),
        }
    }

    pub fn targets(&self) -> usize {
        match self {
            Precision::Single { forest, .. } => forest.targets(),
            Precision::Double { forest, .. } => forest.targets(),
        }
    }

    fn missing(&self) -> Missing {
        let handles = match self {
            Precision::Single { forest, .. } => forest.handles_missing(),
            Precision::Double { forest, .. } => forest.handles_missing(),
        };
        if handles {
            Missing::Handles
        } else {
            Missing::Spoils
        }
    }
}

/// Reads the attributes that both operators have. `prefix` is that of the leaves' attributes.
/// Answers the forest and whether all weights are positive and of one class.
fn read(
    spec: &mut Spec<'_>,
    prefix: &str,
    targets: usize,
) -> Result<(Precision, WeightSummary), Reject> {
    if targets == 0 {
        return Err(Reject::malformed("there are no targets"));
    }
    let attrs = &mut spec.attrs;
    let doubles = |attrs: &mut crate::onnx::attrs::Attrs, name: &str| {
        let Some(tensor) = attrs.tensor(&format!("{name}_as_tensor"))? else {
            return Ok(None);
        };
        match tensor.into_parts().1 {
            Data::F64(v) => Ok(Some(v)),
            Data::F32(v) => Ok(Some(v.into_iter().map(f64::from).collect())),
            other => Err(Reject::malformed(format!(
                "{name}_as_tensor holds {}",
                other.element()
            ))),
        }
    };
    let columns = Columns {
        trees: attrs.ints("nodes_treeids")?,
        ids: attrs.ints("nodes_nodeids")?,
        features: attrs.ints("nodes_featureids")?,
        yes: attrs.ints("nodes_truenodeids")?,
        no: attrs.ints("nodes_falsenodeids")?,
        modes: modes(attrs)?,
        nan_yes: attrs.ints("nodes_missing_value_tracks_true")?,
        weight_trees: attrs.ints(&format!("{prefix}_treeids"))?,
        weight_nodes: attrs.ints(&format!("{prefix}_nodeids"))?,
        weight_targets: attrs.ints(&format!("{prefix}_ids"))?,
    };
    let values = doubles(attrs, "nodes_values")?;
    let weights = doubles(attrs, &format!("{prefix}_weights"))?;
    let base = doubles(attrs, "base_values")?;
    if values.is_some() || weights.is_some() || base.is_some() {
        let widen = |v: Vec<f32>| v.into_iter().map(f64::from).collect::<Vec<f64>>();
        let values = match values {
            Some(v) => v,
            None => widen(attrs.floats("nodes_values")?),
        };
        let weights = match weights {
            Some(v) => v,
            None => widen(attrs.floats(&format!("{prefix}_weights"))?),
        };
        let base = match base {
            Some(v) => v,
            None => widen(attrs.floats("base_values")?),
        };
        let summary = WeightSummary::of(&columns.weight_targets, &weights);
        let forest = columns.forest(&values, &weights, targets)?;
        Ok((Precision::Double { forest, base }, summary))
    } else {
        let values = attrs.floats("nodes_values")?;
        let weights = attrs.floats(&format!("{prefix}_weights"))?;
        let base = attrs.floats("base_values")?;
        let summary = WeightSummary::of(&columns.weight_targets, &weights);
        let forest = columns.forest(&values, &weights, targets)?;
        let widened = OnceLock::new();
        Ok((
            Precision::Single {
                forest,
                base,
                widened,
            },
            summary,
        ))
    }
}

/// What the binary decision depends on.
struct WeightSummary {
    all_positive: bool,
    one_class: bool,
}

impl WeightSummary {
    fn of<T: Real>(targets: &[i64], weights: &[T]) -> WeightSummary {
        WeightSummary {
            all_positive: !weights.iter().any(|&w| w < T::default()),
            one_class: !targets.is_empty() && targets.iter().all(|t| *t == targets[0]),
        }
    }
}

/// The attributes of nodes and leaves, column by column.
struct Columns {
    trees: Vec<i64>,
    ids: Vec<i64>,
    features: Vec<i64>,
    yes: Vec<i64>,
    no: Vec<i64>,
    modes: Vec<Mode>,
    nan_yes: Vec<i64>,
    weight_trees: Vec<i64>,
    weight_nodes: Vec<i64>,
    weight_targets: Vec<i64>,
}

fn modes(attrs: &mut crate::onnx::attrs::Attrs) -> Result<Vec<Mode>, Reject> {
    let names = attrs.text_arena("nodes_modes")?;
    names
        .iter()
        .map(|name| {
            Ok(match name {
                "BRANCH_LEQ" => Mode::LessOrEqual,
                "BRANCH_LT" => Mode::Less,
                "BRANCH_GTE" => Mode::GreaterOrEqual,
                "BRANCH_GT" => Mode::Greater,
                "BRANCH_EQ" => Mode::Equal,
                "BRANCH_NEQ" => Mode::NotEqual,
                "LEAF" => Mode::Leaf,
                other => {
                    return Err(Reject::malformed(format!("{other} is not a kind of node")));
                }
            })
        })
        .collect()
}

impl Columns {
    fn forest<T: Real>(
        &self,
        values: &[T],
        weights: &[T],
        targets: usize,
    ) -> Result<Forest<T>, Reject> {
        let n = self.trees.len();
        let same = [
            self.ids.len(),
            self.features.len(),
            self.yes.len(),
            self.no.len(),
            self.modes.len(),
            values.len(),
        ];
        if same.iter().any(|&len| len != n) {
            return Err(Reject::malformed("the lists of nodes differ in length"));
        }
        let m = weights.len();
        let same = [
            self.weight_trees.len(),
            self.weight_nodes.len(),
            self.weight_targets.len(),
        ];
        if same.iter().any(|&len| len != m) {
            return Err(Reject::malformed("the lists of weights differ in length"));
        }
        let nodes: Vec<RawNode<T>> = (0..n)
            .map(|i| RawNode {
                tree: self.trees[i],
                id: self.ids[i],
                mode: self.modes[i],
                feature: self.features[i],
                threshold: values[i],
                yes: self.yes[i],
                no: self.no[i],
                nan_yes: self.nan_yes.get(i).is_some_and(|&v| v == 1),
            })
            .collect();
        let leaves: Vec<RawWeight<T>> = (0..m)
            .map(|i| RawWeight {
                tree: self.weight_trees[i],
                node: self.weight_nodes[i],
                target: self.weight_targets[i],
                weight: weights[i],
            })
            .collect();
        forest(&nodes, &leaves, targets, Sets::default()).map_err(Reject::Malformed)
    }
}

/// How the trees come together at the end.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Combination {
    Sum,
    Average,
    Min,
    Max,
}

/// Sums of trees with their end.
pub(super) struct Regressor {
    pub forest: Precision,
    pub combination: Combination,
    pub transform: Transform,
}

/// `TreeEnsembleRegressor`.
pub(crate) fn regressor(spec: &mut Spec<'_>) -> Built {
    let targets = spec.attrs.count("n_targets")?.unwrap_or(0);
    let transform = Transform::parse(&spec.attrs.string_or("post_transform", "NONE")?)?;
    let combination = match spec.attrs.string_or("aggregate_function", "SUM")?.as_str() {
        "SUM" => Combination::Sum,
        "AVERAGE" => Combination::Average,
        "MIN" => Combination::Min,
        "MAX" => Combination::Max,
        other => {
            return Err(Reject::malformed(format!(
                "aggregate_function {other} is not known"
            )));
        }
    };
    let (forest, _) = read(spec, "target", targets)?;
    Ok(Box::new(Regressor {
        forest,
        combination,
        transform,
    }))
}

struct Classifier {
    forest: Precision,
    classes: Classes,
    transform: Transform,
    summary: WeightSummary,
}

/// `TreeEnsembleClassifier`.
pub(crate) fn classifier(spec: &mut Spec<'_>) -> Built {
    let classes = classes(&mut spec.attrs, "classlabels_strings", "classlabels_int64s")?;
    let transform = Transform::parse(&spec.attrs.string_or("post_transform", "NONE")?)?;
    let (forest, summary) = read(spec, "class", classes.len())?;
    let base = match &forest {
        Precision::Single { base, .. } => base.len(),
        Precision::Double { base, .. } => base.len(),
    };
    if classes.len() > 2 && base != 0 && base != classes.len() {
        return Err(Reject::malformed(format!(
            "{base} base values for {} classes",
            classes.len()
        )));
    }
    Ok(Box::new(Classifier {
        forest,
        classes,
        transform,
        summary,
    }))
}

thread_local! {
    /// The kernel's buffers, one set a thread: operators are shared between threads.
    static SINGLE: RefCell<Buffers<f32>> = RefCell::default();
    static DOUBLE: RefCell<Buffers<f64>> = RefCell::default();
}

/// Scores every row of `x` in the right precision.
pub(super) fn score(
    forest: &Precision,
    x: &Tensor,
    aggregate: Aggregate,
    cx: &mut Context<'_>,
    mut single: impl FnMut(&[f32], Scored<'_, f32>) -> Result<(), Stop>,
    mut double: impl FnMut(&[f64], Scored<'_, f64>) -> Result<(), Stop>,
) -> Result<(), Stop> {
    let (_, width) = x.as_matrix();
    let needed = match forest {
        Precision::Single { forest, .. } => forest.features(),
        Precision::Double { forest, .. } => forest.features(),
    };
    if width < needed {
        return Err(Stop::failed(format!(
            "the trees read {needed} columns and there are {width}"
        )));
    }
    match (forest, x.data()) {
        (
            Precision::Single {
                forest,
                base,
                widened,
            },
            Data::F64(values),
        ) => {
            let (forest, base) = &**widened.get_or_init(|| {
                let base = base.iter().map(|&v| f64::from(v)).collect();
                Box::new((forest.widened(), base))
            });
            DOUBLE.with_borrow_mut(|buffers| {
                forest.score(values, width, aggregate, buffers, |scored| {
                    cx.check()?;
                    double(base, scored)
                })
            })
        }
        (Precision::Single { forest, base, .. }, _) => {
            let mut buffer = Vec::new();
            let values = floats(x, &mut buffer)?;
            SINGLE.with_borrow_mut(|buffers| {
                forest.score(values, width, aggregate, buffers, |scored| {
                    cx.check()?;
                    single(base, scored)
                })
            })
        }
        (Precision::Double { forest, base }, data) => {
            let converted: Vec<f64>;
            let values = match data {
                Data::F64(v) => v,
                _ => {
                    let mut buffer = Vec::new();
                    converted = floats(x, &mut buffer)?
                        .iter()
                        .map(|&v| f64::from(v))
                        .collect();
                    &converted
                }
            };
            DOUBLE.with_borrow_mut(|buffers| {
                forest.score(values, width, aggregate, buffers, |scored| {
                    cx.check()?;
                    double(base, scored)
                })
            })
        }
    }
}

impl Kernel for Regressor {
    fn missing(&self) -> Missing {
        self.forest.missing()
    }

    fn run(&self, args: &mut Args<'_>, cx: &mut Context<'_>) -> Result<(), Stop> {
        let x = args.tensor(0)?;
        let (rows, _) = x.as_matrix();
        let targets = self.forest.targets();
        let shape = Shape::matrix(rows, targets)?;
        let mut out = cx.pool.filled(rows * targets, 0f32);
        let aggregate = match self.combination {
            Combination::Sum | Combination::Average => Aggregate::Sum,
            Combination::Min => Aggregate::Min,
            Combination::Max => Aggregate::Max,
        };
        {
            let out = RefCell::new(&mut out[..]);
            score(
                &self.forest,
                x,
                aggregate,
                cx,
                |base, scored| {
                    self.finish(base, scored, *out.borrow_mut());
                    Ok(())
                },
                |base, scored| {
                    self.finish(base, scored, *out.borrow_mut());
                    Ok(())
                },
            )?;
        }
        cx.give(Tensor::of(shape, out)?);
        Ok(())
    }
}

impl Regressor {
    /// Turns a block's sums into results.
    fn finish<T: Real>(&self, base: &[T], scored: Scored<'_, T>, out: &mut [f32]) {
        let targets = self.forest.targets();
        let trees = self.forest.trees() as f64;
        let out = &mut out[scored.first * targets..][..scored.scores.len()];
        let average = |v: T| {
            if self.combination == Combination::Average {
                T::of(v.wide() / trees)
            } else {
                v
            }
        };
        if targets == 1 {
            let origin = match base {
                [only] => *only,
                _ => T::default(),
            };
            for (cell, &sum) in out.iter_mut().zip(scored.scores.iter()) {
                let mut v = average(sum);
                v += origin;
                *cell = v.wide() as f32;
                // With one target ONNX Runtime applies this transform alone.
                if self.transform == Transform::Probit {
                    self.transform.apply(std::slice::from_mut(cell));
                }
            }
            return;
        }
        for ((row, sums), has) in out
            .chunks_exact_mut(targets)
            .zip(scored.scores.chunks_exact(targets))
            .zip(scored.has.chunks_exact(targets))
        {
            for (i, cell) in row.iter_mut().enumerate() {
                let mut v = average(sums[i]);
                if base.len() == targets {
                    v += base[i];
                }
                // A target that no leaf gave a weight is 0, whatever its base value.
                *cell = if has[i] { v.wide() as f32 } else { 0.0 };
            }
            self.transform.apply(row);
        }
    }
}

impl Kernel for Classifier {
    fn missing(&self) -> Missing {
        self.forest.missing()
    }

    fn run(&self, args: &mut Args<'_>, cx: &mut Context<'_>) -> Result<(), Stop> {
        let x = args.tensor(0)?;
        let (rows, _) = x.as_matrix();
        let targets = self.classes.len();
        let shape = Shape::matrix(rows, targets)?;
        let mut out = cx.pool.filled(rows * targets, 0f32);
        let labels = RefCell::new(Labels::new(&self.classes, rows, cx));
        {
            let out = RefCell::new(&mut out[..]);
            score(
                &self.forest,
                x,
                Aggregate::Sum,
                cx,
                |base, scored| {
                    self.finish(base, scored, *out.borrow_mut(), &mut labels.borrow_mut());
                    Ok(())
                },
                |base, scored| {
                    self.finish(base, scored, *out.borrow_mut(), &mut labels.borrow_mut());
                    Ok(())
                },
            )?;
        }
        cx.give(labels.into_inner().tensor()?);
        cx.give(Tensor::of(shape, out)?);
        Ok(())
    }
}

impl Classifier {
    /// Turns a block's sums into labels and probabilities.
    fn finish<T: Real>(
        &self,
        base: &[T],
        scored: Scored<'_, T>,
        out: &mut [f32],
        labels: &mut Labels<'_>,
    ) {
        let targets = self.classes.len();
        let out = &mut out[scored.first * targets..][..scored.scores.len()];
        for ((row, sums), has) in out
            .chunks_exact_mut(targets)
            .zip(scored.scores.chunks_exact_mut(targets))
            .zip(scored.has.chunks_exact_mut(targets))
        {
            match targets {
                1 => self.one(base, sums[0], row, labels),
                2 => self.two(base, sums, has, row, labels),
                _ => self.many(base, sums, has, row, labels),
            }
        }
    }

    fn many<T: Real>(
        &self,
        base: &[T],
        sums: &mut [T],
        has: &mut [bool],
        row: &mut [f32],
        labels: &mut Labels<'_>,
    ) {
        for ((sum, has), &base) in sums.iter_mut().zip(has.iter_mut()).zip(base) {
            *sum += base;
            *has = true;
        }
        let mut best: Option<usize> = None;
        for i in 0..sums.len() {
            if has[i] && best.is_none_or(|b| sums[i] > sums[b]) {
                best = Some(i);
            }
        }
        labels.push(best.unwrap_or(0));
        self.write(sums, has, row);
    }

    /// One class only: its score, and as label whether it is positive.
    fn one<T: Real>(&self, base: &[T], sum: T, row: &mut [f32], labels: &mut Labels<'_>) {
        let mut sum = sum;
        if let [only] = base {
            sum += *only;
        }
        match labels {
            Labels::Int(_, out) => out.push(i64::from(sum > T::default())),
            Labels::Str(..) => labels.push(0),
        }
        write_single(sum.wide() as f32, self.transform, Second::No, row);
    }

    /// Two classes: both with weights, or only one with the weights of the positive class.
    fn two<T: Real>(
        &self,
        base: &[T],
        sums: &mut [T],
        has: &mut [bool],
        row: &mut [f32],
        labels: &mut Labels<'_>,
    ) {
        let mut single = false;
        match *base {
            [first, second] => {
                if has[1] {
                    // The first base value is not used: ONNX Runtime takes the two as equal.
                    let mut v = second;
                    v += sums[0];
                    sums[1] = v;
                    sums[0] = T::of(-v.wide());
                } else {
                    sums[1] += second;
                    sums[0] += first;
                }
            }
            [only] => {
                sums[0] += only;
                single = !has[1];
            }
            _ => single = !has[1],
        }
        let positive = if has[1] {
            sums[1]
        } else if has[0] {
            sums[0]
        } else {
            T::default()
        };
        let limit = if self.summary.one_class && self.summary.all_positive {
            T::of(0.5)
        } else {
            T::default()
        };
        labels.push(usize::from(positive > limit));
        if single {
            let second = if self.summary.one_class && self.summary.all_positive {
                Second::Rest
            } else if self.summary.one_class || base.is_empty() {
                Second::Opposite
            } else {
                Second::No
            };
            let score = if has[0] { sums[0] } else { T::default() };
            write_single(score.wide() as f32, self.transform, second, row);
        } else {
            self.write(sums, has, row);
        }
    }

    /// A class that no leaf gave a weight has the score 0.
    fn write<T: Real>(&self, sums: &[T], has: &[bool], row: &mut [f32]) {
        for ((cell, &sum), &has) in row.iter_mut().zip(sums).zip(has) {
            *cell = if has { sum.wide() as f32 } else { 0.0 };
        }
        self.transform.apply(row);
    }
}
