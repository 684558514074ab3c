//! `SVMClassifier` and `SVMRegressor`.

use super::post::{Second, Transform, write_single};
use super::{Labels, classes, floats};
use crate::engine::args::Args;
use crate::engine::tensor::{Classes, Shape, Tensor};
use crate::engine::{Context, Kernel, Stop};
use crate::onnx::Reject;
use crate::onnx::compile::Spec;
use crate::ops::Built;
use crate::ops::matmul::transposed;

/// How two vectors are compared.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Function {
    Linear,
    Poly { gamma: f32, coef0: f32, degree: f32 },
    Rbf { gamma: f32 },
    Sigmoid { gamma: f32, coef0: f32 },
}

impl Function {
    fn read(spec: &mut Spec<'_>) -> Result<Function, Reject> {
        let params = spec.attrs.floats("kernel_params")?;
        let (gamma, coef0, degree) = match params[..] {
            [] => (0.0, 0.0, 0.0),
            [gamma, coef0, degree, ..] => (gamma, coef0, degree),
            _ => return Err(Reject::malformed("kernel_params has not three values")),
        };
        Ok(
            match spec.attrs.string_or("kernel_type", "LINEAR")?.as_str() {
                "LINEAR" => Function::Linear,
                "POLY" => Function::Poly {
                    gamma,
                    coef0,
                    degree,
                },
                "RBF" => Function::Rbf { gamma },
                "SIGMOID" => Function::Sigmoid { gamma, coef0 },
                other => {
                    return Err(Reject::malformed(format!(
                        "kernel_type {other} is not known"
                    )));
                }
            },
        )
    }

    /// The kernel function of `x` and each of the vectors; `plus` is added where it is linear.
    ///
    /// The sums run over the vectors side by side, feature by feature, which the vector unit can
    /// do and which adds for each vector in the order of its features.
    fn of_all(self, x: &[f32], vectors: &Vectors, plus: f32, out: &mut [f32]) {
        out.fill(0.0);
        let columns = x
            .iter()
            .zip(vectors.by_feature.chunks_exact(out.len().max(1)));
        if let Function::Rbf { gamma } = self {
            for (&a, column) in columns {
                for (sum, &b) in out.iter_mut().zip(column) {
                    *sum += (a - b) * (a - b);
                }
            }
            out.iter_mut().for_each(|v| *v = (-gamma * *v).exp());
            return;
        }
        for (&a, column) in columns {
            for (sum, &b) in out.iter_mut().zip(column) {
                *sum += a * b;
            }
        }
        match self {
            Function::Linear | Function::Rbf { .. } => out.iter_mut().for_each(|v| *v += plus),
            Function::Poly {
                gamma,
                coef0,
                degree,
            } => out.iter_mut().for_each(|v| {
                let y = gamma * *v + coef0;
                *v = if degree == 2.0 {
                    y * y
                } else if degree == 3.0 {
                    y * y * y
                } else {
                    y.powf(degree)
                };
            }),
            Function::Sigmoid { gamma, coef0 } => {
                out.iter_mut()
                    .for_each(|v| *v = (gamma * *v + coef0).tanh());
            }
        }
    }
}

/// Support vectors, all values of one feature together.
struct Vectors {
    by_feature: Vec<f32>,
    features: usize,
    count: usize,
}

impl Vectors {
    fn new(values: &[f32], count: usize) -> Result<Vectors, Reject> {
        if count == 0 || values.is_empty() || !values.len().is_multiple_of(count) {
            return Err(Reject::malformed(format!(
                "{} numbers for {count} support vectors",
                values.len()
            )));
        }
        let features = values.len() / count;
        Ok(Vectors {
            by_feature: transposed(values, count, features),
            features,
            count,
        })
    }
}

/// The rows of the input, whose width must be `features`.
fn rows_of<'t>(
    x: &'t Tensor,
    features: usize,
    buffer: &'t mut Vec<f32>,
) -> Result<std::slice::ChunksExact<'t, f32>, Stop> {
    let (_, width) = x.as_matrix();
    if width != features {
        return Err(Stop::failed(format!(
            "vectors of {features} numbers and {width} columns"
        )));
    }
    Ok(floats(x, buffer)?.chunks_exact(width))
}

struct Regressor {
    function: Function,
    vectors: Vectors,
    /// One a vector; empty where the vectors are the coefficients themselves (linear models).
    coefficients: Vec<f32>,
    rho: f32,
    one_class: bool,
}

/// `SVMRegressor`.
pub(crate) fn regressor(spec: &mut Spec<'_>) -> Built {
    let mut function = Function::read(spec)?;
    let attrs = &mut spec.attrs;
    let count = attrs.count("n_supports")?.unwrap_or(0);
    let coefficients = attrs.floats("coefficients")?;
    let rho = *attrs
        .floats("rho")?
        .first()
        .ok_or_else(|| Reject::malformed("rho is missing"))?;
    let supports = attrs.floats("support_vectors")?;
    let one_class = attrs.flag("one_class", false)?;
    // The operator has a post_transform that ONNX Runtime reads and does not apply.
    let (vectors, coefficients) = if count > 0 {
        if coefficients.len() != count {
            return Err(Reject::malformed(format!(
                "{} coefficients for {count} support vectors",
                coefficients.len()
            )));
        }
        (Vectors::new(&supports, count)?, coefficients)
    } else {
        function = Function::Linear;
        (Vectors::new(&coefficients, 1)?, Vec::new())
    };
    Ok(Box::new(Regressor {
        function,
        vectors,
        coefficients,
        rho,
        one_class,
    }))
}

impl Kernel for Regressor {
    fn run(&self, args: &mut Args<'_>, cx: &mut Context<'_>) -> Result<(), Stop> {
        let x = args.tensor(0)?;
        let (rows, _) = x.as_matrix();
        let mut buffer = Vec::new();
        let mut out = cx.pool.buffer::<f32>(rows);
        let mut kernels = cx.pool.filled(self.vectors.count, 0f32);
        for row in rows_of(x, self.vectors.features, &mut buffer)? {
            cx.check()?;
            let linear = self.coefficients.is_empty();
            let plus = if linear { self.rho } else { 0.0 };
            self.function.of_all(row, &self.vectors, plus, &mut kernels);
            let mut sum = if linear {
                kernels.first().copied().unwrap_or_default()
            } else {
                let products = kernels.iter().zip(&self.coefficients).map(|(v, c)| c * v);
                products.sum::<f32>() + self.rho
            };
            if self.one_class {
                sum = if sum > 0.0 { 1.0 } else { -1.0 };
            }
            out.push(sum);
        }
        cx.pool.give(kernels);
        cx.give(Tensor::of(Shape::matrix(rows, 1)?, out)?);
        Ok(())
    }
}

struct Classifier {
    function: Function,
    vectors: Vectors,
    coefficients: Vec<f32>,
    /// For each class the support vectors that belong to it; empty in linear models.
    ranges: Vec<std::ops::Range<usize>>,
    rho: Vec<f32>,
    prob_a: Vec<f32>,
    prob_b: Vec<f32>,
    classes: Classes,
    transform: Transform,
    all_positive: bool,
}

/// `SVMClassifier`.
pub(crate) fn classifier(spec: &mut Spec<'_>) -> Built {
    let mut function = Function::read(spec)?;
    let attrs = &mut spec.attrs;
    let classes = classes(attrs, "classlabels_strings", "classlabels_ints")?;
    let transform = Transform::parse(&attrs.string_or("post_transform", "NONE")?)?;
    let per_class = attrs.ints("vectors_per_class")?;
    let rho = attrs.floats("rho")?;
    let prob_a = attrs.floats("prob_a")?;
    let prob_b = attrs.floats("prob_b")?;
    let coefficients = attrs.floats("coefficients")?;
    let supports = attrs.floats("support_vectors")?;
    let wrong = |what: &str| Reject::malformed(format!("{what} has the wrong length"));
    let mut ranges = Vec::new();
    let mut total = 0usize;
    for &n in &per_class {
        let n = usize::try_from(n).map_err(|_| wrong("vectors_per_class"))?;
        let end = total
            .checked_add(n)
            .filter(|&e| e <= supports.len())
            .ok_or_else(|| wrong("vectors_per_class"))?;
        ranges.push(total..end);
        total = end;
    }
    let k = classes.len();
    let pairs = k * (k - 1) / 2;
    let all_positive = coefficients.iter().all(|&c| c >= 0.0);
    let (vectors, coefficients) = if total > 0 {
        if ranges.len() != k {
            return Err(wrong("vectors_per_class"));
        }
        if coefficients.len() != (k - 1) * total {
            return Err(wrong("coefficients"));
        }
        if rho.len() < pairs {
            return Err(wrong("rho"));
        }
        let fits = prob_a.is_empty() || prob_a.len() >= pairs;
        if prob_a.len() != prob_b.len() || !fits {
            return Err(wrong("prob_a or prob_b"));
        }
        (Vectors::new(&supports, total)?, coefficients)
    } else {
        function = Function::Linear;
        ranges.clear();
        if rho.is_empty() {
            return Err(wrong("rho"));
        }
        (Vectors::new(&coefficients, k)?, Vec::new())
    };
    Ok(Box::new(Classifier {
        function,
        vectors,
        coefficients,
        ranges,
        rho,
        prob_a,
        prob_b,
        classes,
        transform,
        all_positive,
    }))
}

impl Kernel for Classifier {
    fn run(&self, args: &mut Args<'_>, cx: &mut Context<'_>) -> Result<(), Stop> {
        let x = args.tensor(0)?;
        let (rows, _) = x.as_matrix();
        let k = self.classes.len();
        let pairs = k * (k - 1) / 2;
        let linear = self.ranges.is_empty();
        let with_probability = !self.prob_a.is_empty();
        let width = if linear || with_probability {
            k
        } else if k > 2 {
            pairs
        } else {
            2
        };
        let shape = Shape::matrix(rows, width)?;
        let mut labels = Labels::new(&self.classes, rows, cx);
        let mut out = cx.pool.filled(rows * width, 0f32);
        let mut buffer = Vec::new();
        let mut kernels = vec![0f32; self.vectors.count];
        let mut scores = vec![0f32; pairs];
        let mut votes = vec![0usize; k];
        let mut chances = vec![0f32; k * k];
        let inputs = rows_of(x, self.vectors.features, &mut buffer)?;
        for (row, cells) in inputs.zip(out.chunks_exact_mut(width)) {
            cx.check()?;
            let (best, weight) = if linear {
                self.function.of_all(row, &self.vectors, self.rho[0], cells);
                let best = first_largest(cells);
                (best, cells[best])
            } else {
                self.function.of_all(row, &self.vectors, 0.0, &mut kernels);
                votes.fill(0);
                self.duels(&kernels, &mut scores, &mut votes);
                (first_largest(&votes), 0.0)
            };
            if !linear && with_probability {
                self.pairwise_chances(&scores, &mut chances);
                couple(k, &chances, cells);
            } else if !linear && k > 2 {
                cells.copy_from_slice(&scores);
            }
            labels.push(self.choose(best, weight, pairs, with_probability));
            if !linear && !with_probability && k <= 2 {
                let second = if self.transform == Transform::None {
                    Second::Opposite
                } else {
                    Second::Rest
                };
                let score = scores.first().copied().unwrap_or_default();
                write_single(score, self.transform, second, cells);
            } else if width > 1 || self.transform == Transform::Probit {
                self.transform.apply(cells);
            }
        }
        cx.give(labels.tensor()?);
        cx.give(Tensor::of(shape, out)?);
        Ok(())
    }
}

fn first_largest<T: PartialOrd>(values: &[T]) -> usize {
    let mut best = 0;
    for (i, v) in values.iter().enumerate() {
        if *v > values[best] {
            best = i;
        }
    }
    best
}

impl Classifier {
    /// Every pair of classes against each other: the pair's score, and a vote for the winner.
    fn duels(&self, kernels: &[f32], scores: &mut [f32], votes: &mut [usize]) {
        let k = self.classes.len();
        let total = kernels.len();
        let part = |row: usize, range: &std::ops::Range<usize>| -> f64 {
            let coefficients = &self.coefficients[row * total..(row + 1) * total];
            coefficients[range.clone()]
                .iter()
                .zip(&kernels[range.clone()])
                .map(|(c, v)| f64::from(c * v))
                .sum()
        };
        let mut pair = 0;
        for i in 0..k - 1 {
            for j in i + 1..k {
                let sum = part(j - 1, &self.ranges[i])
                    + part(i, &self.ranges[j])
                    + f64::from(self.rho[pair]);
                scores[pair] = sum as f32;
                votes[if sum > 0.0 { i } else { j }] += 1;
                pair += 1;
            }
        }
    }

    /// The chance of each class against each other from the pairs' scores.
    fn pairwise_chances(&self, scores: &[f32], chances: &mut [f32]) {
        let k = self.classes.len();
        let mut pair = 0;
        for i in 0..k - 1 {
            for j in i + 1..k {
                let x = scores[pair] * self.prob_a[pair] + self.prob_b[pair];
                let p = (1.0 - super::post::logistic(x)).clamp(1e-7, 1.0 - 1e-7);
                chances[i * k + j] = p;
                chances[j * k + i] = 1.0 - p;
                pair += 1;
            }
        }
    }

    /// The number of the class to answer with.
    fn choose(&self, best: usize, weight: f32, pairs: usize, with_probability: bool) -> usize {
        if pairs != 1 || with_probability {
            return best;
        }
        let positive = if self.all_positive {
            weight >= 0.5
        } else {
            weight > 0.0
        };
        if positive { 1 } else { best }
    }
}

/// The chances of all classes from those of the pairs, after Wu, Lin and Weng (2004), "Probability
/// Estimates for Multi-class Classification by Pairwise Coupling", as LIBSVM computes them.
fn couple(k: usize, r: &[f32], p: &mut [f32]) {
    let mut q = vec![0f32; k * k];
    let mut qp = vec![0f32; k];
    let limit = 0.005 / k as f32;
    for i in 0..k {
        p[i] = 1.0 / k as f32;
        for j in 0..i {
            q[i * k + i] += r[j * k + i] * r[j * k + i];
            q[i * k + j] = q[j * k + i];
        }
        for j in i + 1..k {
            q[i * k + i] += r[j * k + i] * r[j * k + i];
            q[i * k + j] = -r[j * k + i] * r[i * k + j];
        }
    }
    for _ in 0..100 {
        let mut pqp = 0.0;
        for i in 0..k {
            qp[i] = (0..k).map(|j| q[i * k + j] * p[j]).sum();
            pqp += p[i] * qp[i];
        }
        let error = qp.iter().fold(0f32, |e, v| e.max((v - pqp).abs()));
        if error < limit {
            break;
        }
        for i in 0..k {
            let diff = (-qp[i] + pqp) / q[i * k + i];
            p[i] += diff;
            pqp = (pqp + diff * (diff * q[i * k + i] + 2.0 * qp[i])) / (1.0 + diff) / (1.0 + diff);
            for j in 0..k {
                qp[j] = (qp[j] + diff * q[i * k + j]) / (1.0 + diff);
                p[j] /= 1.0 + diff;
            }
        }
    }
}
