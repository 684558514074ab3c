//! Products of matrices, and distances between their rows.

use super::Built;
use super::arithmetic::Number;
use super::broadcast;
use super::unary::Float;
use crate::engine::args::Args;
use crate::engine::tensor::{Data, MAX_RANK, Shape, Tensor};
use crate::engine::{Context, Kernel, Stop};
use crate::onnx::compile::Spec;

/// How many multiplications and additions are done between two looks at whether the caller gave
/// up: some milliseconds.
const WORK: usize = 1 << 23;

/// Adds `a` times `b` to `out`: `a` is `[m, k]`, `b` is `[k, n]`, all row-major.
///
/// The loops run over `b` by rows, so that the innermost one is a plain vector update whatever
/// `n` is; each element is summed in the order of `k`.
pub(crate) fn multiply<T: Number>(
    a: &[T],
    b: &[T],
    out: &mut [T],
    (m, k, n): (usize, usize, usize),
    cx: &Context<'_>,
) -> Result<(), Stop> {
    if n == 0 || k == 0 {
        return Ok(());
    }
    cx.check()?;
    // One row may be more than the work between two looks: it is cut along `k`.
    let part = (WORK / n).max(1);
    let mut work = 0;
    for row in 0..m {
        let out = &mut out[row * n..(row + 1) * n];
        let a = a[row * k..(row + 1) * k].chunks(part);
        for (a, b) in a.zip(b.chunks(part * n)) {
            if work >= WORK {
                cx.check()?;
                work = 0;
            }
            work += b.len();
            for (&x, b) in a.iter().zip(b.chunks_exact(n)) {
                for (o, &y) in out.iter_mut().zip(b) {
                    *o = o.add(x.mul(y));
                }
            }
        }
    }
    Ok(())
}

/// The transpose of a `[rows, columns]` matrix.
pub(crate) fn transposed<T: Copy>(values: &[T], rows: usize, columns: usize) -> Vec<T> {
    let mut out = Vec::with_capacity(values.len());
    for c in 0..columns {
        out.extend((0..rows).map(|r| values[r * columns + c]));
    }
    out
}

struct Gemm {
    alpha: f32,
    beta: f32,
    turn_a: bool,
    turn_b: bool,
}

/// `Gemm`.
pub(crate) fn gemm(spec: &mut Spec<'_>) -> Built {
    Ok(Box::new(Gemm {
        alpha: spec.attrs.float_or("alpha", 1.0)?,
        beta: spec.attrs.float_or("beta", 1.0)?,
        turn_a: spec.attrs.flag("transA", false)?,
        turn_b: spec.attrs.flag("transB", false)?,
    }))
}

impl Kernel for Gemm {
    fn run(&self, args: &mut Args<'_>, cx: &mut Context<'_>) -> Result<(), Stop> {
        let (a, b, c) = (args.tensor(0)?, args.tensor(1)?, args.optional(2)?);
        let result = match a.data() {
            Data::F32(v) => self.product(v, a.shape(), b, c, cx)?,
            Data::F64(v) => self.product(v, a.shape(), b, c, cx)?,
            Data::I64(v) if self.alpha == 1.0 && self.beta == 1.0 => {
                self.product(v, a.shape(), b, c, cx)?
            }
            Data::I32(v) if self.alpha == 1.0 && self.beta == 1.0 => {
                self.product(v, a.shape(), b, c, cx)?
            }
            other => return Err(Stop::failed(format!("no product of {}", other.element()))),
        };
        cx.give(result);
        Ok(())
    }
}

impl Gemm {
    fn product<T: Number + Scaled>(
        &self,
        a: &[T],
        shape_a: &Shape,
        b: &Tensor,
        c: Option<&Tensor>,
        cx: &mut Context<'_>,
    ) -> Result<Tensor, Stop> {
        let side = |shape: &Shape, turn: bool| match *shape.dims() {
            [rows, columns] if turn => Ok((columns, rows)),
            [rows, columns] => Ok((rows, columns)),
            _ => Err(Stop::failed(format!("{shape:?} is not a matrix"))),
        };
        let (m, k) = side(shape_a, self.turn_a)?;
        let (k2, n) = side(b.shape(), self.turn_b)?;
        if k != k2 {
            return Err(Stop::failed(format!(
                "{shape_a:?} and {:?} cannot be multiplied",
                b.shape()
            )));
        }
        let target = Shape::matrix(m, n)?;
        let values = b.slice::<T>()?;
        let turned_a;
        let a = if self.turn_a {
            turned_a = transposed(a, k, m);
            &turned_a[..]
        } else {
            a
        };
        let turned_b;
        let b = if self.turn_b {
            turned_b = transposed(values, n, k);
            &turned_b[..]
        } else {
            values
        };
        let mut out = cx.pool.filled(m * n, T::default());
        multiply(a, b, &mut out, (m, k, n), cx)?;
        if self.alpha != 1.0 {
            out.iter_mut().for_each(|v| *v = v.scaled(self.alpha));
        }
        if let Some(c) = c {
            if broadcast::shape(c.shape(), &target)? != target {
                return Err(Stop::failed(format!(
                    "{:?} cannot be added to {target:?}",
                    c.shape()
                )));
            }
            let values = c.slice::<T>()?;
            broadcast::rows([c.shape()], &target, |[first], [step], range| {
                for (i, o) in out[range].iter_mut().enumerate() {
                    let v = values[first + i * step];
                    *o = o.add(if self.beta == 1.0 {
                        v
                    } else {
                        v.scaled(self.beta)
                    });
                }
            });
        }
        Tensor::of(target, out)
    }
}

/// Multiplication by an attribute, which always is a float.
pub(crate) trait Scaled {
    fn scaled(self, by: f32) -> Self;
}
impl Scaled for f32 {
    fn scaled(self, by: f32) -> f32 {
        self * by
    }
}
impl Scaled for f64 {
    fn scaled(self, by: f32) -> f64 {
        self * f64::from(by)
    }
}
impl Scaled for i64 {
    fn scaled(self, by: f32) -> i64 {
        (self as f32 * by) as i64
    }
}
impl Scaled for i32 {
    fn scaled(self, by: f32) -> i32 {
        (self as f32 * by) as i32
    }
}

struct MatMul;

/// `MatMul`, with numpy's treatment of vectors and stacks of matrices.
pub(crate) fn matmul(_: &mut Spec<'_>) -> Built {
    Ok(Box::new(MatMul))
}

impl Kernel for MatMul {
    fn run(&self, args: &mut Args<'_>, cx: &mut Context<'_>) -> Result<(), Stop> {
        let (a, b) = (args.tensor(0)?, args.tensor(1)?);
        let result = match a.data() {
            Data::F32(v) => stacked(v, a.shape(), b, cx)?,
            Data::F64(v) => stacked(v, a.shape(), b, cx)?,
            Data::I64(v) => stacked(v, a.shape(), b, cx)?,
            Data::I32(v) => stacked(v, a.shape(), b, cx)?,
            other => return Err(Stop::failed(format!("no product of {}", other.element()))),
        };
        cx.give(result);
        Ok(())
    }
}

fn stacked<T: Number>(
    a: &[T],
    shape_a: &Shape,
    b: &Tensor,
    cx: &mut Context<'_>,
) -> Result<Tensor, Stop> {
    let cannot = || {
        Stop::failed(format!(
            "{shape_a:?} and {:?} cannot be multiplied",
            b.shape()
        ))
    };
    let (da, db) = (shape_a.dims(), b.dims());
    // A vector on the left is one row, on the right one column; its axis leaves the result.
    let (stack_a, m, k) = match da {
        [] => return Err(cannot()),
        [k] => (&da[..0], 1, *k),
        [stack @ .., m, k] => (stack, *m, *k),
    };
    let (stack_b, k2, n) = match db {
        [] => return Err(cannot()),
        [k] => (&db[..0], *k, 1),
        [stack @ .., k, n] => (stack, *k, *n),
    };
    if k != k2 {
        return Err(cannot());
    }
    let stack_a = Shape::new(stack_a)?;
    let stack_b = Shape::new(stack_b)?;
    let stack = broadcast::shape(&stack_a, &stack_b)?;
    let mut dims = stack.dims().to_vec();
    if da.len() > 1 {
        dims.push(m);
    }
    if db.len() > 1 {
        dims.push(n);
    }
    let target = Shape::new(&dims)?;
    let values = b.slice::<T>()?;
    let mut out = cx.pool.filled(target.count(), T::default());
    if out.is_empty() {
        return Tensor::of(target, out);
    }
    if stack_b.count() == 1 {
        // One matrix on the right: the stack on the left is one tall matrix.
        let rows = out.len() / n;
        multiply(a, values, &mut out, (rows, k, n), cx)?;
        return Tensor::of(target, out);
    }
    let (steps_a, steps_b) = (
        broadcast::strides(&stack_a, &stack),
        broadcast::strides(&stack_b, &stack),
    );
    let mut index = [0usize; MAX_RANK];
    for block in out.chunks_exact_mut(m * n) {
        let place = |steps: &[usize; MAX_RANK]| -> usize {
            (0..stack.rank()).map(|i| index[i] * steps[i]).sum()
        };
        let (pa, pb) = (place(&steps_a) * m * k, place(&steps_b) * k * n);
        multiply(
            &a[pa..pa + m * k],
            &values[pb..pb + k * n],
            block,
            (m, k, n),
            cx,
        )?;
        for i in (0..stack.rank()).rev() {
            index[i] += 1;
            if index[i] < stack.dims()[i] {
                break;
            }
            index[i] = 0;
        }
    }
    Tensor::of(target, out)
}

struct CDist {
    squared: bool,
}

/// `com.microsoft.CDist`: distances between all rows of two matrices.
pub(crate) fn cdist(spec: &mut Spec<'_>) -> Built {
    let squared = match spec.attrs.string_or("metric", "sqeuclidean")?.as_str() {
        "sqeuclidean" => true,
        "euclidean" => false,
        other => return Err(spec.lacks(format!("metric = {other}"))),
    };
    Ok(Box::new(CDist { squared }))
}

impl Kernel for CDist {
    fn run(&self, args: &mut Args<'_>, cx: &mut Context<'_>) -> Result<(), Stop> {
        let (a, b) = (args.tensor(0)?, args.tensor(1)?);
        let (&[m, k], &[n, k2]) = (a.dims(), b.dims()) else {
            return Err(Stop::failed("distances need two matrices"));
        };
        if k != k2 {
            return Err(Stop::failed(format!("rows of {k} and of {k2} columns")));
        }
        let target = Shape::matrix(m, n)?;
        let data = match (a.data(), b.data()) {
            (Data::F32(x), Data::F32(y)) => Data::F32(self.distances(x, y, (m, n, k), cx)?),
            (Data::F64(x), Data::F64(y)) => Data::F64(self.distances(x, y, (m, n, k), cx)?),
            (x, y) => {
                return Err(Stop::failed(format!(
                    "no distance of {} and {}",
                    x.element(),
                    y.element()
                )));
            }
        };
        cx.give(Tensor::new(target, data)?);
        Ok(())
    }
}

impl CDist {
    fn distances<T: Float + Number>(
        &self,
        a: &[T],
        b: &[T],
        (m, n, k): (usize, usize, usize),
        cx: &mut Context<'_>,
    ) -> Result<Vec<T>, Stop> {
        let mut out = cx.pool.buffer::<T>(m * n);
        cx.check()?;
        let mut work = 0;
        for i in 0..m {
            let x = &a[i * k..(i + 1) * k];
            for j in 0..n {
                if work >= WORK {
                    cx.check()?;
                    work = 0;
                }
                work += k.max(1);
                let y = &b[j * k..(j + 1) * k];
                let mut sum = T::default();
                for (&p, &q) in x.iter().zip(y) {
                    let d = p.sub(q);
                    sum = sum.add(d.mul(d));
                }
                out.push(if self.squared {
                    sum
                } else {
                    T::from_f64(sum.to_f64().sqrt())
                });
            }
        }
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::engine::pool::Pool;

    /// Runs `work` with a caller who gives up at the second look.
    fn given_up(work: impl FnOnce(&mut Context<'_>) -> Result<(), Stop>) -> Result<(), Stop> {
        let looks = Cell::new(0);
        let cancelled = || {
            looks.set(looks.get() + 1);
            looks.get() > 1
        };
        work(&mut Context {
            pool: &mut Pool::default(),
            cancelled: &cancelled,
            wanted: &[true],
            outputs: &mut Vec::new(),
        })
    }

    #[test]
    fn a_product_ends_within_a_row_when_the_caller_gives_up() {
        let (k, n) = (3 * WORK / 4096, 4096);
        let (a, b) = (vec![1i32; k], vec![1i32; k * n]);
        let mut out = vec![0; n];
        let stop = given_up(|cx| multiply(&a, &b, &mut out, (1, k, n), cx));
        assert_eq!(stop, Err(Stop::Cancelled));
        assert_eq!(out, vec![(WORK / n) as i32; n], "one part was summed");

        out.fill(0);
        let mut pool = Pool::default();
        let cx = Context {
            pool: &mut pool,
            cancelled: &|| false,
            wanted: &[true],
            outputs: &mut Vec::new(),
        };
        multiply(&a, &b, &mut out, (1, k, n), &cx).unwrap();
        assert_eq!(out, vec![k as i32; n]);
    }

    #[test]
    fn distances_of_few_rows_to_many_end_when_the_caller_gives_up() {
        let (a, b) = (vec![1f32; 2], vec![0f32; 2 * WORK]);
        let stop = given_up(|cx| {
            let cdist = CDist { squared: true };
            cdist.distances(&a, &b, (1, WORK, 2), cx).map(drop)
        });
        assert_eq!(stop, Err(Stop::Cancelled));
    }
}
