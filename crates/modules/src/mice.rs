//! Fitting chained linear regressions (MICE: multiple imputation by chained equations) to a table
//! with missing values. One imputation is made, without random draws, so that the same data give
//! the same result.
//!
//! All columns begin with their means where they lack a value. Then, `iterations` times, each
//! column with gaps is regressed on all others over the rows that have it, and its gaps become
//! what the regression gives. What is kept is each column's last regression.

use faults::Fault;
use graph::RunContext;
use tables::Column;

use crate::statistics::{mean, numbers};
use crate::transform::{Predicted, Prediction, Regression};

/// A column of the data.
pub(crate) struct Source<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its values: numbers or Booleans, at least one of them finite.
    pub column: &'a Column,
    /// Whether its missing values are to be predicted.
    pub fill: bool,
}

/// How much of the diagonal is added to it, so that columns that say the same leave a solvable
/// system; small against any effect in the data.
const RIDGE: f64 = 1e-8;

/// Fits a prediction. The work grows with rows × columns² and columns⁴, and asks `context` between
/// columns whether it is still wanted.
pub(crate) fn fit(
    sources: &[Source<'_>],
    iterations: u32,
    context: &RunContext<'_>,
) -> Result<Prediction, Fault> {
    let rows = sources.first().map_or(0, |source| source.column.len());
    let scales: Vec<Scale> = sources
        .iter()
        .map(|source| Scale::of(source.column))
        .collect();
    let mut data = Standardized::new(sources, &scales, rows, context)?;
    let mut regressions: Vec<Option<Vec<f64>>> = vec![None; sources.len()];
    for _ in 0..iterations.max(1) {
        for (i, source) in sources.iter().enumerate() {
            context.check()?;
            if source.fill && !data.gaps[i].is_empty() {
                let weights = data.regress(i);
                data.impute(i, &weights);
                regressions[i] = Some(weights);
            }
        }
    }
    // Columns without gaps here may have some in other data.
    for (i, source) in sources.iter().enumerate() {
        context.check()?;
        if source.fill && regressions[i].is_none() {
            regressions[i] = Some(data.regress(i));
        }
    }
    let columns = sources.iter().zip(regressions).enumerate();
    Ok(Prediction {
        iterations: iterations.max(1),
        columns: columns
            .map(|(i, (source, weights))| Predicted {
                column: source.name.to_owned(),
                start: scales[i].mean,
                fill: weights.map(|weights| unscaled(i, &weights, &scales)),
            })
            .collect(),
    })
}

/// The mean and standard deviation by which a column is standardized.
#[derive(Debug, Clone, Copy)]
struct Scale {
    mean: f64,
    /// 0 for a column that says nothing to a regression: a constant one, or one too wide for its
    /// squares to be numbers.
    deviation: f64,
}

impl Scale {
    fn of(column: &Column) -> Scale {
        let mean = mean(column).unwrap_or(0.0);
        let (mut squares, mut count) = (0.0, 0.0);
        for number in numbers(column) {
            squares += (number - mean) * (number - mean);
            count += 1.0;
        }
        let deviation = if count > 0.0 {
            f64::sqrt(squares / count)
        } else {
            0.0
        };
        Scale {
            mean,
            deviation: if deviation.is_finite() {
                deviation
            } else {
                0.0
            },
        }
    }

    fn standardized(self, number: f64) -> f64 {
        if self.deviation > 0.0 {
            (number - self.mean) / self.deviation
        } else {
            0.0
        }
    }
}

/// The data with mean 0 and deviation 1, gaps filled so far, and the products of its columns.
struct Standardized {
    /// Row by row: a 1 for the intercept, then the columns.
    values: Vec<f64>,
    /// Columns and the intercept.
    width: usize,
    /// The sums over all rows of products of two columns, `width` × `width`.
    products: Vec<f64>,
    /// The rows in which each column has a gap.
    gaps: Vec<Vec<usize>>,
}

impl Standardized {
    fn new(
        sources: &[Source<'_>],
        scales: &[Scale],
        rows: usize,
        context: &RunContext<'_>,
    ) -> Result<Standardized, Fault> {
        let width = sources.len() + 1;
        let mut data = Standardized {
            values: vec![0.0; rows * width],
            width,
            products: vec![0.0; width * width],
            gaps: vec![Vec::new(); sources.len()],
        };
        for (row, line) in data.values.chunks_exact_mut(width).enumerate() {
            if row % 1024 == 0 {
                context.check()?;
            }
            line[0] = 1.0;
            for (i, source) in sources.iter().enumerate() {
                match source.column.number(row).filter(|x| x.is_finite()) {
                    Some(number) => line[1 + i] = scales[i].standardized(number),
                    // The mean stands there. What is present and no number is neither filled nor
                    // learnt from.
                    None => data.gaps[i].push(row),
                }
            }
            add_products(&mut data.products, line, 1.0);
        }
        Ok(data)
    }

    fn row(&self, row: usize) -> &[f64] {
        &self.values[row * self.width..(row + 1) * self.width]
    }

    /// The regression of column `target` on all others over the rows that have it: the intercept,
    /// then a weight for each column, 0 for itself.
    fn regress(&self, target: usize) -> Vec<f64> {
        let width = self.width;
        // Products over the rows that have the target: all less those of its gaps.
        let mut products = self.products.clone();
        for &row in &self.gaps[target] {
            add_products(&mut products, self.row(row), -1.0);
        }
        let target = target + 1;
        let others: Vec<usize> = (0..width).filter(|&i| i != target).collect();
        let count = products[0].max(1.0);
        let mut system: Vec<Vec<f64>> = others
            .iter()
            .map(|&a| {
                let line = others.iter().map(|&b| products[a * width + b]);
                line.chain([products[a * width + target]]).collect()
            })
            .collect();
        for (i, line) in system.iter_mut().enumerate() {
            line[i] += RIDGE * count;
        }
        let mut weights = vec![0.0; width];
        for (&i, weight) in others.iter().zip(solve(system)) {
            weights[i] = weight;
        }
        weights
    }

    /// Fills a column's gaps by a regression and keeps the products right.
    fn impute(&mut self, target: usize, weights: &[f64]) {
        let (width, column) = (self.width, target + 1);
        for &gap in &self.gaps[target] {
            let row = &mut self.values[gap * width..(gap + 1) * width];
            let new: f64 = row.iter().zip(weights).map(|(x, w)| x * w).sum();
            let old = std::mem::replace(&mut row[column], new);
            for (other, &x) in row.iter().enumerate().filter(|(other, _)| *other != column) {
                let change = (new - old) * x;
                self.products[column * width + other] += change;
                self.products[other * width + column] += change;
            }
            self.products[column * width + column] += new * new - old * old;
        }
    }
}

/// Adds a row's products of two columns, `sign` times.
fn add_products(products: &mut [f64], row: &[f64], sign: f64) {
    for (line, &x) in products.chunks_exact_mut(row.len()).zip(row) {
        if x != 0.0 {
            for (sum, &y) in line.iter_mut().zip(row) {
                *sum += sign * x * y;
            }
        }
    }
}

/// Solves a symmetric, positive definite system, each line with its right side at its end, by
/// elimination. What comes out as no number is 0.
fn solve(mut system: Vec<Vec<f64>>) -> Vec<f64> {
    let n = system.len();
    for pivot in 0..n {
        let (head, tail) = system.split_at_mut(pivot + 1);
        let line = &head[pivot];
        for below in tail {
            let factor = below[pivot] / line[pivot];
            if factor.is_finite() && factor != 0.0 {
                for (x, y) in below[pivot..].iter_mut().zip(&line[pivot..]) {
                    *x -= factor * y;
                }
            }
        }
    }
    let mut solution = vec![0.0; n];
    for i in (0..n).rev() {
        let line = &system[i];
        let known: f64 = (i + 1..n).map(|j| line[j] * solution[j]).sum();
        let value = (line[n] - known) / line[i];
        solution[i] = if value.is_finite() { value } else { 0.0 };
    }
    solution
}

/// A regression of standardized columns as one of the columns themselves.
fn unscaled(target: usize, weights: &[f64], scales: &[Scale]) -> Regression {
    let own = scales[target];
    let mut intercept = own.mean + own.deviation * weights[0];
    let weights = scales
        .iter()
        .zip(&weights[1..])
        .map(|(scale, &weight)| {
            if scale.deviation <= 0.0 {
                return 0.0;
            }
            let weight = weight * own.deviation / scale.deviation;
            intercept -= weight * scale.mean;
            weight
        })
        .collect();
    Regression { intercept, weights }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::doubles;

    fn fitted(columns: &[(&str, Column, bool)], iterations: u32) -> Prediction {
        let sources: Vec<Source<'_>> = columns
            .iter()
            .map(|(name, column, fill)| Source {
                name,
                column,
                fill: *fill,
            })
            .collect();
        let context = RunContext {
            cancelled: &|| false,
            node: "n",
        };
        fit(&sources, iterations, &context).unwrap()
    }

    fn predict(prediction: &Prediction, target: usize, values: &[f64]) -> f64 {
        let fill = prediction.columns[target].fill.as_ref().unwrap();
        fill.intercept
            + values
                .iter()
                .zip(&fill.weights)
                .map(|(x, w)| x * w)
                .sum::<f64>()
    }

    #[test]
    fn a_plane_is_found() {
        // z = 3x - 2y + 5, with a gap in z; x and y are independent.
        let (x, y) = (
            [0.0, 1.0, 2.0, 3.0, 4.0, 5.0],
            [1.0, 0.0, 4.0, 2.0, 7.0, 1.0],
        );
        let z: Vec<Option<f64>> = (0..6)
            .map(|i| (i != 4).then(|| 3.0 * x[i] - 2.0 * y[i] + 5.0))
            .collect();
        let all = |values: &[f64]| doubles(&values.iter().map(|&v| Some(v)).collect::<Vec<_>>());
        let prediction = fitted(
            &[
                ("x", all(&x), false),
                ("y", all(&y), false),
                ("z", doubles(&z), true),
            ],
            5,
        );
        assert_eq!(prediction.iterations, 5);
        assert!(prediction.columns[0].fill.is_none());
        assert!((predict(&prediction, 2, &[4.0, 7.0, 0.0]) - 3.0).abs() < 1e-5);
        assert!((predict(&prediction, 2, &[100.0, 50.0, 0.0]) - 205.0).abs() < 1e-3);
        assert_eq!(prediction.columns[0].start, 2.5);
    }

    #[test]
    fn gaps_in_both_columns_are_filled_from_each_other() {
        // y = 2x + 1 with gaps in different rows.
        let x = doubles(&[Some(1.0), Some(2.0), None, Some(4.0), Some(5.0), None]);
        let y = doubles(&[
            Some(3.0),
            None,
            Some(7.0),
            Some(9.0),
            Some(11.0),
            Some(-1.0),
        ]);
        let prediction = fitted(&[("x", x, true), ("y", y, true)], 10);
        assert!((predict(&prediction, 0, &[0.0, 7.0]) - 3.0).abs() < 0.05);
        assert!((predict(&prediction, 1, &[2.0, 0.0]) - 5.0).abs() < 0.05);
    }

    #[test]
    fn columns_without_gaps_get_a_regression_too() {
        let x = doubles(&[Some(1.0), Some(2.0), Some(3.0)]);
        let y = doubles(&[Some(10.0), Some(20.0), Some(30.0)]);
        let prediction = fitted(&[("x", x, true), ("y", y, false)], 1);
        assert!((predict(&prediction, 0, &[0.0, 25.0]) - 2.5).abs() < 1e-5);
    }

    #[test]
    fn odd_columns_give_the_mean() {
        // Constant, doubled and alone: no regression can tell more than the mean.
        let same = || doubles(&[Some(4.0), Some(4.0), None]);
        let prediction = fitted(&[("a", same(), true), ("b", same(), true)], 3);
        assert!((predict(&prediction, 0, &[0.0, 4.0]) - 4.0).abs() < 1e-9);
        let prediction = fitted(&[("a", doubles(&[Some(1.0), Some(3.0), None]), true)], 3);
        assert!((predict(&prediction, 0, &[0.0]) - 2.0).abs() < 1e-6);
        let huge = doubles(&[Some(1e300), Some(-1e300), Some(f64::NAN), None]);
        let prediction = fitted(&[("a", huge, true)], 3);
        assert!(predict(&prediction, 0, &[0.0]).is_finite());
    }

    #[test]
    fn two_columns_that_say_the_same_share_the_weight() {
        let x: Vec<Option<f64>> = (0..10).map(|i| Some(f64::from(i))).collect();
        let y: Vec<Option<f64>> = (0..10)
            .map(|i| (i != 3).then_some(f64::from(2 * i)))
            .collect();
        let columns = [
            ("x", doubles(&x), false),
            ("x2", doubles(&x), false),
            ("y", doubles(&y), true),
        ];
        let prediction = fitted(&columns, 2);
        assert!((predict(&prediction, 2, &[3.0, 3.0, 0.0]) - 6.0).abs() < 1e-4);
    }

    #[test]
    fn unwanted_work_ends() {
        let column = doubles(&[Some(1.0), None]);
        let sources = [Source {
            name: "x",
            column: &column,
            fill: true,
        }];
        let context = RunContext {
            cancelled: &|| true,
            node: "n",
        };
        let fault = fit(&sources, 1, &context).unwrap_err();
        assert!(fault.is(&faults::rows::RequestTimeout::RequestCanceled));
    }
}
