//! The operator of a boosted ensemble of trees.

use std::cell::RefCell;

use super::columns::derive;
use super::{Derived, Link, Linked, Outcome};
use crate::engine::args::Args;
use crate::engine::pool::{Pool, Pooled};
use crate::engine::tensor::{Shape, Tensor};
use crate::engine::{Context, Kernel, Stop};
use crate::trees::kernel::Buffers;
use crate::trees::{Aggregate, Forest, Real};

/// Trees, and what becomes of their sums.
pub(crate) struct Ensemble<T> {
    /// The trees.
    pub forest: Forest<T>,
    /// The columns that the trees read; none where they read the features as they are.
    pub columns: Vec<Derived>,
    /// The number of features.
    pub width: usize,
    /// What each sum begins with; nothing for zeros.
    pub start: Vec<T>,
    /// What the sums are divided by, where the trees are averaged.
    pub divisor: Option<T>,
    /// What becomes of the sums.
    pub link: Link,
    /// What the model gives.
    pub outcome: Outcome,
}

/// A precision that ensembles are computed in.
pub(crate) trait Precise:
    Linked + Pooled + std::ops::Div<Output = Self> + std::ops::Sub<Output = Self>
{
    /// Runs with the kernel's buffers, one set a thread: operators are shared between threads.
    fn buffers<R>(run: impl FnOnce(&mut Buffers<Self>) -> R) -> R;
}

thread_local! {
    static SINGLE: RefCell<Buffers<f32>> = RefCell::default();
    static DOUBLE: RefCell<Buffers<f64>> = RefCell::default();
}

impl Precise for f32 {
    fn buffers<R>(run: impl FnOnce(&mut Buffers<f32>) -> R) -> R {
        SINGLE.with_borrow_mut(run)
    }
}

impl Precise for f64 {
    fn buffers<R>(run: impl FnOnce(&mut Buffers<f64>) -> R) -> R {
        DOUBLE.with_borrow_mut(run)
    }
}

/// The results of a run as they grow row by row.
pub(super) struct Results<T> {
    outcome: Outcome,
    link: Link,
    labels: Vec<i64>,
    numbers: Vec<T>,
}

impl<T: Precise> Results<T> {
    /// None yet, with room for so many rows.
    pub fn new(outcome: Outcome, link: Link, rows: usize, pool: &mut Pool) -> Results<T> {
        let width = match outcome {
            Outcome::Label => 0,
            Outcome::Binary => 2,
            other => other.targets(),
        };
        let labels = match outcome {
            Outcome::Values(_) => 0,
            _ => rows,
        };
        Results {
            outcome,
            link,
            labels: pool.buffer(labels),
            numbers: pool.buffer(rows * width),
        }
    }

    /// Appends what the sums of a row, averaged where they are to be, come to.
    pub fn push(&mut self, sums: &mut [T]) {
        if let Outcome::ClassesByMargin(_) = self.outcome {
            self.labels.push(largest(sums));
        }
        T::link(self.link, sums);
        match self.outcome {
            Outcome::Values(_) | Outcome::ClassesByMargin(_) => {
                self.numbers.extend_from_slice(sums);
            }
            Outcome::Classes(_) => {
                self.labels.push(largest(sums));
                self.numbers.extend_from_slice(sums);
            }
            Outcome::Binary => {
                let p = sums[0];
                self.labels.push(i64::from(p > <T as Real>::of(0.5)));
                self.numbers.extend([<T as Real>::of(1.0) - p, p]);
            }
            Outcome::Label => self.labels.push(i64::from(sums[0] > <T as Real>::of(0.5))),
        }
    }

    /// Hands the results over in the order of the outputs.
    pub fn give(self, rows: usize, cx: &mut Context<'_>) -> Result<(), Stop> {
        let width = self.numbers.len().checked_div(rows);
        let width = width.unwrap_or(match self.outcome {
            Outcome::Binary => 2,
            other => other.targets(),
        });
        if !matches!(self.outcome, Outcome::Values(_)) {
            cx.give(Tensor::of(Shape::vector(rows)?, self.labels)?);
        }
        if self.outcome != Outcome::Label {
            cx.give(Tensor::of(Shape::matrix(rows, width)?, self.numbers)?);
        }
        Ok(())
    }
}

/// The number of the first of the largest.
fn largest<T: PartialOrd>(values: &[T]) -> i64 {
    let mut best = 0;
    for (i, value) in values.iter().enumerate() {
        if *value > values[best] {
            best = i;
        }
    }
    best as i64
}

impl<T: Precise> Kernel for Ensemble<T> {
    fn run(&self, args: &mut Args<'_>, cx: &mut Context<'_>) -> Result<(), Stop> {
        let x = args.tensor(0)?;
        let (rows, width) = x.as_matrix();
        let values: &[T] = x.slice()?;
        if width != self.width || self.width == 0 {
            return Err(Stop::failed(format!(
                "the trees read {} columns and there are {width}",
                self.width
            )));
        }
        let derived = derive(&self.columns, values, width, cx.pool);
        let (values, width) = match &derived {
            Some(derived) => (&derived[..], self.columns.len()),
            None => (values, width),
        };
        let mut results = Results::new(self.outcome, self.link, rows, cx.pool);
        let targets = self.forest.targets();
        T::buffers(|buffers| {
            self.forest.score_from(
                &self.start,
                values,
                width,
                Aggregate::Sum,
                buffers,
                |scored| {
                    cx.check()?;
                    for sums in scored.scores.chunks_exact_mut(targets) {
                        if let Some(divisor) = self.divisor {
                            sums.iter_mut().for_each(|sum| *sum = *sum / divisor);
                        }
                        results.push(sums);
                    }
                    Ok::<(), Stop>(())
                },
            )
        })?;
        if let Some(derived) = derived {
            cx.pool.give(derived);
        }
        results.give(rows, cx)
    }
}
