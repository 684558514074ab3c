//! Operators whose result's size depends on the values: the largest, the non-zero, the chosen.

use std::cmp::Ordering;

use super::axis;
use super::layout::gathered;
use super::{Built, Reject};
use crate::engine::args::Args;
use crate::engine::pool::{Pool, Pooled};
use crate::engine::tensor::{Data, Shape, Tensor};
use crate::engine::{Context, Kernel, Stop};
use crate::onnx::compile::Spec;

struct Compress(Option<i64>);

/// `Compress`.
pub(crate) fn compress(spec: &mut Spec<'_>) -> Built {
    Ok(Box::new(Compress(spec.attrs.int("axis")?)))
}

impl Kernel for Compress {
    fn run(&self, args: &mut Args<'_>, cx: &mut Context<'_>) -> Result<(), Stop> {
        let x = args.tensor(0)?;
        let condition = args.slice::<bool>(1)?;
        let (rows, size, inner, at) = match self.0 {
            Some(given) => {
                let at = axis::axis(given, x.shape().rank())?;
                let inner = x.dims()[at + 1..].iter().product();
                (x.shape().split_at(at).0, x.dims()[at], inner, Some(at))
            }
            None => (1, x.len(), 1, None),
        };
        let picks: Vec<usize> = (0..size.min(condition.len()))
            .filter(|&i| condition[i])
            .collect();
        let shape = match at {
            Some(at) => {
                let mut dims = x.dims().to_vec();
                dims[at] = picks.len();
                Shape::new(&dims)?
            }
            None => Shape::vector(picks.len())?,
        };
        let result = gathered(x, shape, cx.pool, cx.cancelled, |place| {
            for row in 0..rows {
                for &pick in &picks {
                    place((row * size + pick) * inner, 1, inner)?;
                }
            }
            Ok(())
        })?;
        cx.give(result);
        Ok(())
    }
}

struct NonZero;

/// `NonZero`.
pub(crate) fn non_zero(_: &mut Spec<'_>) -> Built {
    Ok(Box::new(NonZero))
}

impl Kernel for NonZero {
    fn run(&self, args: &mut Args<'_>, cx: &mut Context<'_>) -> Result<(), Stop> {
        let x = args.tensor(0)?;
        let places: Vec<usize> = match x.data() {
            Data::F32(v) => (0..v.len()).filter(|&i| v[i] != 0.0).collect(),
            Data::F64(v) => (0..v.len()).filter(|&i| v[i] != 0.0).collect(),
            Data::I64(v) => (0..v.len()).filter(|&i| v[i] != 0).collect(),
            Data::I32(v) => (0..v.len()).filter(|&i| v[i] != 0).collect(),
            Data::Bool(v) => (0..v.len()).filter(|&i| v[i]).collect(),
            Data::Str(_) => return Err(Stop::failed("no zero among strings")),
        };
        let rank = x.shape().rank().max(1);
        let mut out = vec![0i64; rank * places.len()];
        for (column, place) in places.iter().enumerate() {
            let mut rest = *place;
            for (i, &dim) in x.dims().iter().enumerate().rev() {
                out[i * places.len() + column] = (rest % dim) as i64;
                rest /= dim;
            }
        }
        cx.give(Tensor::of(Shape::matrix(rank, places.len())?, out)?);
        Ok(())
    }
}

struct OneHot(i64);

/// `OneHot`.
pub(crate) fn one_hot(spec: &mut Spec<'_>) -> Built {
    Ok(Box::new(OneHot(spec.attrs.int_or("axis", -1)?)))
}

impl Kernel for OneHot {
    fn run(&self, args: &mut Args<'_>, cx: &mut Context<'_>) -> Result<(), Stop> {
        let (indices, depth, values) = (args.tensor(0)?, args.tensor(1)?, args.tensor(2)?);
        let whole = |t: &Tensor| -> Result<Vec<i64>, Stop> {
            Ok(match t.data() {
                Data::F32(v) => v.iter().map(|&v| v as i64).collect(),
                Data::F64(v) => v.iter().map(|&v| v as i64).collect(),
                _ => t.indices()?,
            })
        };
        let depth = *whole(depth)?
            .first()
            .ok_or_else(|| Stop::failed("the depth is empty"))?;
        let depth = usize::try_from(depth).map_err(|_| Stop::failed("the depth is negative"))?;
        let rank = indices.shape().rank() + 1;
        let at = axis::axis(self.0, rank)?;
        let mut dims = indices.dims().to_vec();
        dims.insert(at, depth);
        let shape = Shape::new(&dims)?;
        let (rows, inner) = indices.shape().split_at(at);
        let picks: Vec<Option<usize>> = whole(indices)?
            .into_iter()
            .map(|i| {
                let i = if i < 0 {
                    i.saturating_add(depth as i64)
                } else {
                    i
                };
                usize::try_from(i).ok().filter(|&i| i < depth)
            })
            .collect();
        fn fill<T: Pooled>(
            values: &[T],
            (rows, depth, inner): (usize, usize, usize),
            picks: &[Option<usize>],
            pool: &mut Pool,
        ) -> Result<Vec<T>, Stop> {
            let &[off, on] = values else {
                return Err(Stop::failed("values must be two: off and on"));
            };
            let mut out = pool.filled(rows * depth * inner, off);
            for row in 0..rows {
                for k in 0..inner {
                    if let Some(pick) = picks[row * inner + k] {
                        out[(row * depth + pick) * inner + k] = on;
                    }
                }
            }
            Ok(out)
        }
        let layout = (rows, depth, inner);
        let data = match values.data() {
            Data::F32(v) => Data::F32(fill(v, layout, &picks, cx.pool)?),
            Data::F64(v) => Data::F64(fill(v, layout, &picks, cx.pool)?),
            Data::I64(v) => Data::I64(fill(v, layout, &picks, cx.pool)?),
            Data::I32(v) => Data::I32(fill(v, layout, &picks, cx.pool)?),
            Data::Bool(v) => Data::Bool(fill(v, layout, &picks, cx.pool)?),
            Data::Str(_) => return Err(Stop::failed("no one-hot vectors of strings")),
        };
        cx.give(Tensor::new(shape, data)?);
        Ok(())
    }
}

struct TopK {
    axis: i64,
    largest: bool,
    k: Option<i64>,
}

/// `TopK`. The result is always sorted, which the unsorted variant permits.
pub(crate) fn top_k(spec: &mut Spec<'_>) -> Built {
    let k = if spec.version < 10 {
        Some(
            spec.attrs
                .int("k")?
                .ok_or_else(|| Reject::malformed("attribute k is missing"))?,
        )
    } else {
        None
    };
    Ok(Box::new(TopK {
        axis: spec.attrs.int_or("axis", -1)?,
        largest: spec.attrs.flag("largest", true)?,
        k,
    }))
}

impl Kernel for TopK {
    fn run(&self, args: &mut Args<'_>, cx: &mut Context<'_>) -> Result<(), Stop> {
        let k = match self.k {
            Some(k) => k,
            None => *args
                .tensor(1)?
                .indices()?
                .first()
                .ok_or_else(|| Stop::failed("k is empty"))?,
        };
        let x = args.tensor(0)?;
        let at = axis::axis(self.axis, x.shape().rank())?;
        let size = x.dims()[at];
        let k = usize::try_from(k)
            .ok()
            .filter(|&k| k <= size)
            .ok_or_else(|| Stop::failed(format!("{k} of {size} elements are asked for")))?;
        let inner: usize = x.dims()[at + 1..].iter().product();
        let rows = x.shape().split_at(at).0;
        let mut dims = x.dims().to_vec();
        dims[at] = k;
        let shape = Shape::new(&dims)?;
        let layout = (rows, size, inner, k);
        let picks = match x.data() {
            Data::F32(v) => best(v, layout, self.largest, cx)?,
            Data::F64(v) => best(v, layout, self.largest, cx)?,
            Data::I64(v) => best(v, layout, self.largest, cx)?,
            Data::I32(v) => best(v, layout, self.largest, cx)?,
            other => return Err(Stop::failed(format!("no order of {}", other.element()))),
        };
        let values = gathered(x, shape, cx.pool, cx.cancelled, |place| {
            for row in 0..rows {
                for j in 0..k {
                    for c in 0..inner {
                        let pick = picks[(row * k + j) * inner + c] as usize;
                        place((row * size + pick) * inner + c, 1, 1)?;
                    }
                }
            }
            Ok(())
        })?;
        cx.give(values);
        cx.give(Tensor::of(shape, picks)?);
        Ok(())
    }
}

/// For each line along the axis the indices of the `k` best, best first, the first of equals
/// first. NaN counts as larger than every number.
fn best<T: Pooled + PartialOrd>(
    values: &[T],
    (rows, size, inner, k): (usize, usize, usize, usize),
    largest: bool,
    cx: &mut Context<'_>,
) -> Result<Vec<i64>, Stop> {
    let mut out = cx.pool.filled(rows * k * inner, 0i64);
    if k == 0 {
        return Ok(out);
    }
    let mut order: Vec<usize> = Vec::with_capacity(size);
    for row in 0..rows {
        if row % 256 == 0 {
            cx.check()?;
        }
        for c in 0..inner {
            let value = |i: usize| values[(row * size + i) * inner + c];
            let compare = |&a: &usize, &b: &usize| {
                let (x, y) = (value(a), value(b));
                let ascending = x.partial_cmp(&y).unwrap_or_else(|| {
                    // At least one is NaN, which is not equal to itself.
                    #[allow(clippy::eq_op)]
                    match (x != x, y != y) {
                        (true, true) => Ordering::Equal,
                        (true, false) => Ordering::Greater,
                        _ => Ordering::Less,
                    }
                });
                let by_value = if largest {
                    ascending.reverse()
                } else {
                    ascending
                };
                by_value.then(a.cmp(&b))
            };
            order.clear();
            order.extend(0..size);
            if k < size {
                order.select_nth_unstable_by(k - 1, compare);
                order.truncate(k);
            }
            order.sort_unstable_by(compare);
            for (j, &i) in order.iter().enumerate() {
                out[(row * k + j) * inner + c] = i as i64;
            }
        }
    }
    Ok(out)
}
