//! The matrix that the trees read, made from the one that the client gave.

use crate::engine::pool::{Pool, Pooled};
use crate::trees::Real;

/// What LightGBM takes for zero: the single-precision 1e-35, widened.
const ZERO: f32 = 1e-35;

/// How a feature's value is read before it is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Reading {
    /// As it is.
    Plain,
    /// What is nearly zero is zero.
    Number,
    /// What is nearly zero is missing.
    ZeroIsMissing,
    /// The code of a category: a fraction above -1 is cut to a whole number that is not negative.
    Code,
}

impl Reading {
    fn read<T: Real>(self, x: T) -> T {
        let zero = || (x.wide().abs()) <= f64::from(ZERO);
        match self {
            Reading::Number if zero() => T::default(),
            Reading::ZeroIsMissing if zero() => T::of(f64::NAN),
            Reading::Code if x.wide() < 0.0 && x.wide() > -1.0 => T::default(),
            _ => x,
        }
    }
}

/// A column of the trees' matrix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Derived {
    /// The feature that it comes from.
    pub feature: u32,
    /// How its value is read.
    pub reading: Reading,
}

/// The trees' matrix; `width` is the number of features. Nothing where it is the given one.
pub(super) fn derive<T: Real + Pooled>(
    columns: &[Derived],
    values: &[T],
    width: usize,
    pool: &mut Pool,
) -> Option<Vec<T>> {
    if columns.is_empty() {
        return None;
    }
    let rows = values.len() / width;
    let mut out = pool.buffer(rows * columns.len());
    for row in values.chunks_exact(width) {
        out.extend(
            columns
                .iter()
                .map(|column| column.reading.read(row[column.feature as usize])),
        );
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_as_lightgbm_reads_them() {
        let tiny = f64::from(ZERO);
        assert_eq!(Reading::Number.read(-tiny), 0.0);
        assert_eq!(Reading::Number.read(1.1e-35), 1.1e-35);
        assert!(Reading::Number.read(f64::NAN).is_nan());
        assert!(Reading::ZeroIsMissing.read(-0.0f64).is_nan());
        assert_eq!(Reading::ZeroIsMissing.read(-1.0), -1.0);
        assert_eq!(Reading::Code.read(-0.9), 0.0);
        assert_eq!(Reading::Code.read(-1.0), -1.0);
        assert_eq!(Reading::Code.read(2.9), 2.9);
    }
}
