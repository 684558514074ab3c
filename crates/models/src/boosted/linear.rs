//! The operator of XGBoost's `gblinear`.

use super::ensemble::Results;
use super::{Link, Outcome};
use crate::engine::args::Args;
use crate::engine::{Context, Kernel, Stop};

/// A linear model in single precision. Missing values are left out of the sum.
pub(crate) struct Linear {
    /// For each feature a weight for each target, then the bias of each target.
    pub weights: Vec<f32>,
    /// The number of features.
    pub width: usize,
    /// What is added to each bias before the features are.
    pub start: Vec<f32>,
    /// What becomes of the sums.
    pub link: Link,
    /// What the model gives.
    pub outcome: Outcome,
}

impl Kernel for Linear {
    fn run(&self, args: &mut Args<'_>, cx: &mut Context<'_>) -> Result<(), Stop> {
        let x = args.tensor(0)?;
        let (rows, width) = x.as_matrix();
        let values: &[f32] = x.slice()?;
        let targets = self.outcome.targets();
        if width != self.width || self.weights.len() != (width + 1) * targets {
            return Err(Stop::failed(format!(
                "the model reads {} columns and there are {width}",
                self.width
            )));
        }
        let mut results = Results::new(self.outcome, self.link, rows, cx.pool);
        let (weights, bias) = self.weights.split_at(width * targets);
        let mut sums = vec![0f32; targets];
        for row in values.chunks_exact(width.max(1)) {
            for ((sum, bias), start) in sums.iter_mut().zip(bias).zip(&self.start) {
                *sum = bias + start;
            }
            for (x, weights) in row.iter().zip(weights.chunks_exact(targets)) {
                if !x.is_nan() {
                    for (sum, weight) in sums.iter_mut().zip(weights) {
                        *sum += x * weight;
                    }
                }
            }
            results.push(&mut sums);
        }
        results.give(rows, cx)
    }
}
