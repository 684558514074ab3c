//! `LinearClassifier` and `LinearRegressor`.

use super::post::{Second, Transform, write_single};
use super::{Labels, classes, floats};
use crate::engine::args::Args;
use crate::engine::tensor::{Classes, Shape, Tensor};
use crate::engine::{Context, Kernel, Stop};
use crate::onnx::Reject;
use crate::onnx::compile::Spec;
use crate::ops::Built;
use crate::ops::matmul::{multiply, transposed};

/// Coefficients, turned so that a product runs along them, and intercepts.
struct Linear {
    coefficients: Vec<f32>,
    intercepts: Vec<f32>,
    targets: usize,
    features: usize,
}

impl Linear {
    fn new(coefficients: &[f32], intercepts: Vec<f32>, targets: usize) -> Result<Linear, Reject> {
        if targets == 0 || coefficients.is_empty() || !coefficients.len().is_multiple_of(targets) {
            return Err(Reject::malformed(format!(
                "{} coefficients for {targets} targets",
                coefficients.len()
            )));
        }
        if !intercepts.is_empty() && intercepts.len() != targets {
            return Err(Reject::malformed(format!(
                "{} intercepts for {targets} targets",
                intercepts.len()
            )));
        }
        let features = coefficients.len() / targets;
        Ok(Linear {
            coefficients: transposed(coefficients, targets, features),
            intercepts,
            targets,
            features,
        })
    }

    /// The scores of every row.
    fn scores(&self, x: &Tensor, cx: &mut Context<'_>) -> Result<(usize, Vec<f32>), Stop> {
        let (rows, width) = x.as_matrix();
        if width != self.features {
            return Err(Stop::failed(format!(
                "{} coefficients and {width} columns",
                self.features
            )));
        }
        Shape::matrix(rows, self.targets)?;
        let mut out = cx.pool.filled(rows * self.targets, 0f32);
        let mut buffer = cx.pool.buffer(0);
        let values = floats(x, &mut buffer)?;
        let sizes = (rows, self.features, self.targets);
        multiply(values, &self.coefficients, &mut out, sizes, cx)?;
        cx.pool.give(buffer);
        if !self.intercepts.is_empty() {
            for row in out.chunks_exact_mut(self.targets) {
                for (v, b) in row.iter_mut().zip(&self.intercepts) {
                    *v += b;
                }
            }
        }
        Ok((rows, out))
    }
}

struct Regressor {
    linear: Linear,
    transform: Transform,
}

/// `LinearRegressor`.
pub(crate) fn regressor(spec: &mut Spec<'_>) -> Built {
    let attrs = &mut spec.attrs;
    let targets = attrs.count("targets")?.unwrap_or(1);
    let transform = Transform::parse(&attrs.string_or("post_transform", "NONE")?)?;
    let mut intercepts = attrs.floats("intercepts")?;
    if intercepts.len() != targets {
        intercepts.clear();
    }
    let linear = Linear::new(&attrs.floats("coefficients")?, intercepts, targets)?;
    Ok(Box::new(Regressor { linear, transform }))
}

impl Kernel for Regressor {
    fn run(&self, args: &mut Args<'_>, cx: &mut Context<'_>) -> Result<(), Stop> {
        let (rows, mut scores) = self.linear.scores(args.tensor(0)?, cx)?;
        transform_rows(&mut scores, self.linear.targets, self.transform);
        cx.give(Tensor::of(
            Shape::matrix(rows, self.linear.targets)?,
            scores,
        )?);
        Ok(())
    }
}

/// Rows of one score take only the transform that does not need a second one.
fn transform_rows(scores: &mut [f32], width: usize, transform: Transform) {
    if width == 1 && transform != Transform::Probit {
        return;
    }
    scores
        .chunks_exact_mut(width)
        .for_each(|row| transform.apply(row));
}

struct Classifier {
    linear: Linear,
    classes: Classes,
    transform: Transform,
}

/// `LinearClassifier`.
pub(crate) fn classifier(spec: &mut Spec<'_>) -> Built {
    let attrs = &mut spec.attrs;
    let classes = classes(attrs, "classlabels_strings", "classlabels_ints")?;
    let transform = Transform::parse(&attrs.string_or("post_transform", "NONE")?)?;
    let intercepts = attrs.floats("intercepts")?;
    let coefficients = attrs.floats("coefficients")?;
    // The number of rows of coefficients: that of the intercepts, or of the classes without any.
    let targets = if intercepts.is_empty() {
        classes.len()
    } else {
        intercepts.len()
    };
    let linear = Linear::new(&coefficients, intercepts, targets)?;
    if targets > 1 && targets != classes.len() {
        return Err(Reject::malformed(format!(
            "{targets} rows of coefficients for {} classes",
            classes.len()
        )));
    }
    Ok(Box::new(Classifier {
        linear,
        classes,
        transform,
    }))
}

impl Kernel for Classifier {
    fn run(&self, args: &mut Args<'_>, cx: &mut Context<'_>) -> Result<(), Stop> {
        let (rows, mut scores) = self.linear.scores(args.tensor(0)?, cx)?;
        let targets = self.linear.targets;
        let mut labels = Labels::new(&self.classes, rows, cx);
        if targets == 1 {
            for &score in &scores {
                labels.push(usize::from(score > 0.0));
            }
            cx.give(labels.tensor()?);
            if self.classes.len() != 2 {
                transform_rows(&mut scores, 1, self.transform);
                cx.give(Tensor::of(Shape::matrix(rows, 1)?, scores)?);
                return Ok(());
            }
            let mut out = cx.pool.filled(rows * 2, 0f32);
            for (row, &score) in out.chunks_exact_mut(2).zip(&scores) {
                write_single(score, self.transform, Second::Rest, row);
            }
            cx.pool.give(scores);
            cx.give(Tensor::of(Shape::matrix(rows, 2)?, out)?);
            return Ok(());
        }
        for row in scores.chunks_exact(targets) {
            let mut best = 0;
            for i in 1..targets {
                if row[i] > row[best] {
                    best = i;
                }
            }
            labels.push(best);
        }
        transform_rows(&mut scores, targets, self.transform);
        cx.give(labels.tensor()?);
        cx.give(Tensor::of(Shape::matrix(rows, targets)?, scores)?);
        Ok(())
    }
}
