//! Broadcasting after numpy's rules.

use crate::engine::Stop;
use crate::engine::tensor::{MAX_RANK, Shape};

/// The shape that two shapes broadcast to.
pub(crate) fn shape(a: &Shape, b: &Shape) -> Result<Shape, Stop> {
    if a == b {
        return Ok(*a);
    }
    let rank = a.rank().max(b.rank());
    let mut dims = [1; MAX_RANK];
    for (i, dim) in dims[..rank].iter_mut().enumerate() {
        let of = |s: &Shape| {
            let missing = rank - s.rank();
            if i < missing {
                1
            } else {
                s.dims()[i - missing]
            }
        };
        *dim = match (of(a), of(b)) {
            (x, y) if x == y => x,
            (1, y) => y,
            (x, 1) => x,
            _ => {
                return Err(Stop::failed(format!(
                    "shapes {a:?} and {b:?} do not broadcast"
                )));
            }
        };
    }
    Shape::new(&dims[..rank])
}

/// The distance between neighbours along each axis of `target`, 0 where `from` is repeated.
pub(crate) fn strides(from: &Shape, target: &Shape) -> [usize; MAX_RANK] {
    let mut strides = [0; MAX_RANK];
    let missing = target.rank() - from.rank();
    let mut step = 1;
    for i in (0..from.rank()).rev() {
        let dim = from.dims()[i];
        strides[missing + i] = if dim == 1 { 0 } else { step };
        step *= dim;
    }
    strides
}

/// Calls `row` once for each innermost row of `target` with the offset of the row's first element
/// in every operand and in the result, and the operands' step along the row.
pub(crate) fn rows<const N: usize>(
    operands: [&Shape; N],
    target: &Shape,
    mut row: impl FnMut([usize; N], [usize; N], std::ops::Range<usize>),
) {
    let count = target.count();
    if count == 0 {
        return;
    }
    let strides: [[usize; MAX_RANK]; N] = operands.map(|s| self::strides(s, target));
    let dims = target.dims();
    let Some(&width) = dims.last() else {
        row([0; N], [0; N], 0..1);
        return;
    };
    let last = dims.len() - 1;
    let steps = std::array::from_fn(|k| strides[k][last]);
    let mut index = [0usize; MAX_RANK];
    let mut offsets = [0usize; N];
    let mut out = 0;
    loop {
        row(offsets, steps, out..out + width);
        out += width;
        // Count the outer axes on, like an odometer.
        let mut axis = last;
        loop {
            if axis == 0 {
                return;
            }
            axis -= 1;
            index[axis] += 1;
            for k in 0..N {
                offsets[k] += strides[k][axis];
            }
            if index[axis] < dims[axis] {
                break;
            }
            for k in 0..N {
                offsets[k] -= strides[k][axis] * dims[axis];
            }
            index[axis] = 0;
        }
    }
}

/// Applies `f` to every pair, appending to `out`. The common cases (same shape, a scalar, a row
/// against a matrix) run over plain slices.
pub(crate) fn zip<A: Copy, B: Copy, R>(
    a: (&Shape, &[A]),
    b: (&Shape, &[B]),
    target: &Shape,
    out: &mut Vec<R>,
    f: impl Fn(A, B) -> R,
) {
    let ((sa, va), (sb, vb)) = (a, b);
    if va.len() == vb.len() && va.len() == target.count() {
        out.extend(va.iter().zip(vb).map(|(&x, &y)| f(x, y)));
    } else if let ([y], true) = (vb, va.len() == target.count()) {
        out.extend(va.iter().map(|&x| f(x, *y)));
    } else if let ([x], true) = (va, vb.len() == target.count()) {
        out.extend(vb.iter().map(|&y| f(*x, y)));
    } else {
        rows([sa, sb], target, |[i, j], steps, range| {
            let n = range.len();
            match steps {
                [1, 1] => out.extend(
                    va[i..i + n]
                        .iter()
                        .zip(&vb[j..j + n])
                        .map(|(&x, &y)| f(x, y)),
                ),
                [1, _] => {
                    let y = vb[j];
                    out.extend(va[i..i + n].iter().map(|&x| f(x, y)));
                }
                [_, 1] => {
                    let x = va[i];
                    out.extend(vb[j..j + n].iter().map(|&y| f(x, y)));
                }
                _ => {
                    for _ in 0..n {
                        out.push(f(va[i], vb[j]));
                    }
                }
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn s(dims: &[usize]) -> Shape {
        Shape::new(dims).unwrap()
    }

    fn add(a: &[usize], va: &[i64], b: &[usize], vb: &[i64]) -> Vec<i64> {
        let target = shape(&s(a), &s(b)).unwrap();
        let mut out = Vec::new();
        zip((&s(a), va), (&s(b), vb), &target, &mut out, |x, y| x + y);
        out
    }

    #[test]
    fn all_kinds_of_pairs() {
        assert_eq!(
            add(&[2, 2], &[1, 2, 3, 4], &[2, 2], &[10, 20, 30, 40]),
            [11, 22, 33, 44]
        );
        assert_eq!(add(&[2, 2], &[1, 2, 3, 4], &[], &[10]), [11, 12, 13, 14]);
        assert_eq!(
            add(&[2, 2], &[1, 2, 3, 4], &[2], &[10, 20]),
            [11, 22, 13, 24]
        );
        assert_eq!(
            add(&[2, 2], &[1, 2, 3, 4], &[2, 1], &[10, 20]),
            [11, 12, 23, 24]
        );
        assert_eq!(
            add(&[2, 1], &[1, 2], &[1, 3], &[10, 20, 30]),
            [11, 21, 31, 12, 22, 32]
        );
        assert_eq!(
            add(&[2, 1, 1], &[1, 2], &[2, 1], &[10, 20]),
            [11, 21, 12, 22]
        );
        assert_eq!(add(&[0, 2], &[], &[1, 2], &[1, 2]), [0i64; 0]);
        assert!(shape(&s(&[2]), &s(&[3])).is_err());
    }
}
