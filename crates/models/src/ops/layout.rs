//! Operators that move elements without computing with them: parts, joins, turns, repeats.

use super::axis::{self, List};
use super::broadcast;
use super::shape::sizes;
use super::{Built, Reject};
use crate::engine::args::Args;
use crate::engine::pool::{Pool, Pooled};
use crate::engine::tensor::{Data, MAX_RANK, Shape, Strings, Tensor};
use crate::engine::{Context, Kernel, Missing, Stop};
use crate::onnx::compile::Spec;

/// Takes a run of source places `(first, step, length)`.
pub(crate) type Place<'a> = dyn FnMut(usize, usize, usize) -> Result<(), Stop> + 'a;

/// How many elements are moved between two looks at whether the caller gave up.
const WORK: usize = 1 << 22;

/// A tensor made of elements of `x`: `places` calls its argument with each run of source places
/// `(first, step, length)` in the order of the result, and ends when that says so: the caller
/// gave up.
pub(crate) fn gathered(
    x: &Tensor,
    shape: Shape,
    pool: &mut Pool,
    cancelled: &dyn Fn() -> bool,
    places: impl Fn(&mut Place<'_>) -> Result<(), Stop>,
) -> Result<Tensor, Stop> {
    fn plain<T: Pooled>(
        from: &[T],
        n: usize,
        pool: &mut Pool,
        mut look: impl FnMut(usize) -> Result<(), Stop>,
        places: impl Fn(&mut Place<'_>) -> Result<(), Stop>,
    ) -> Result<Vec<T>, Stop> {
        let mut out = pool.buffer::<T>(n);
        places(&mut |first, step, length| {
            look(length)?;
            match step {
                1 => out.extend_from_slice(&from[first..first + length]),
                _ => out.extend((0..length).map(|k| from[first + k * step])),
            }
            Ok(())
        })?;
        Ok(out)
    }
    let n = shape.count();
    let mut work = 0usize;
    let mut look = |length: usize| {
        work += length.max(1);
        if work >= WORK {
            work = 0;
            if cancelled() {
                return Err(Stop::Cancelled);
            }
        }
        Ok(())
    };
    let data = match x.data() {
        Data::F32(v) => Data::F32(plain(v, n, pool, look, places)?),
        Data::F64(v) => Data::F64(plain(v, n, pool, look, places)?),
        Data::I64(v) => Data::I64(plain(v, n, pool, look, places)?),
        Data::I32(v) => Data::I32(plain(v, n, pool, look, places)?),
        Data::Bool(v) => Data::Bool(plain(v, n, pool, look, places)?),
        Data::Str(s) => {
            let mut out: Strings = pool.strings();
            places(&mut |first, step, length| {
                look(length)?;
                (0..length).for_each(|k| out.push(s.get(first + k * step)));
                Ok(())
            })?;
            Data::Str(out)
        }
    };
    Tensor::new(shape, data)
}

struct Concat(i64);

/// `Concat`.
pub(crate) fn concat(spec: &mut Spec<'_>) -> Built {
    let axis = match spec.attrs.int("axis")? {
        Some(axis) => axis,
        None => return Err(Reject::malformed("attribute axis is missing")),
    };
    if spec.given.is_empty() || spec.given.contains(&false) {
        return Err(Reject::malformed("an input is missing"));
    }
    Ok(Box::new(Concat(axis)))
}

impl Kernel for Concat {
    fn missing(&self) -> Missing {
        Missing::Passes
    }

    fn run(&self, args: &mut Args<'_>, cx: &mut Context<'_>) -> Result<(), Stop> {
        if args.len() == 1 {
            let only = args.take(0, cx.pool)?;
            cx.give(only);
            return Ok(());
        }
        let tensors = (0..args.len())
            .map(|i| args.tensor(i))
            .collect::<Result<Vec<_>, _>>()?;
        let first = tensors[0];
        let at = axis::axis(self.0, first.shape().rank())?;
        let mut dims = first.dims().to_vec();
        dims[at] = 0;
        for t in &tensors {
            let fits = t.dims().len() == dims.len()
                && (0..dims.len()).all(|i| i == at || t.dims()[i] == first.dims()[i]);
            if !fits {
                return Err(Stop::failed(format!(
                    "{:?} and {:?} cannot be joined along axis {at}",
                    first.shape(),
                    t.shape()
                )));
            }
            dims[at] = dims[at].saturating_add(t.dims()[at]);
        }
        let shape = Shape::new(&dims)?;
        fn join<T: Pooled>(
            tensors: &[&Tensor],
            at: usize,
            shape: &Shape,
            pool: &mut Pool,
        ) -> Result<Vec<T>, Stop> {
            let mut parts = Vec::with_capacity(tensors.len());
            for t in tensors {
                parts.push((t.slice::<T>()?, t.shape().split_at(at).1));
            }
            let mut out = pool.buffer::<T>(shape.count());
            for row in 0..shape.split_at(at).0 {
                for (values, width) in &parts {
                    out.extend_from_slice(&values[row * width..(row + 1) * width]);
                }
            }
            Ok(out)
        }
        let data = match first.data() {
            Data::F32(_) => Data::F32(join(&tensors, at, &shape, cx.pool)?),
            Data::F64(_) => Data::F64(join(&tensors, at, &shape, cx.pool)?),
            Data::I64(_) => Data::I64(join(&tensors, at, &shape, cx.pool)?),
            Data::I32(_) => Data::I32(join(&tensors, at, &shape, cx.pool)?),
            Data::Bool(_) => Data::Bool(join(&tensors, at, &shape, cx.pool)?),
            Data::Str(_) => {
                let mut out = cx.pool.strings();
                for row in 0..shape.split_at(at).0 {
                    for t in &tensors {
                        let width = t.shape().split_at(at).1;
                        let strings = t.strings()?;
                        (row * width..(row + 1) * width).for_each(|i| out.push(strings.get(i)));
                    }
                }
                Data::Str(out)
            }
        };
        cx.give(Tensor::new(shape, data)?);
        Ok(())
    }
}

struct Split {
    axis: i64,
    sizes: List,
    parts: usize,
}

/// `Split`.
pub(crate) fn split(spec: &mut Spec<'_>) -> Built {
    let parts = spec.outputs;
    if let Some(declared) = spec.attrs.count("num_outputs")?
        && declared != parts
    {
        return Err(Reject::malformed(format!(
            "num_outputs is {declared} and there are {parts} outputs"
        )));
    }
    if parts == 0 {
        return Err(Reject::malformed("no outputs"));
    }
    Ok(Box::new(Split {
        axis: spec.attrs.int_or("axis", 0)?,
        sizes: List::read(spec, "split", 1, 13)?,
        parts,
    }))
}

impl Kernel for Split {
    fn missing(&self) -> Missing {
        Missing::Passes
    }

    fn run(&self, args: &mut Args<'_>, cx: &mut Context<'_>) -> Result<(), Stop> {
        let given = self.sizes.get(args)?;
        let x = args.tensor(0)?;
        let at = axis::axis(self.axis, x.shape().rank())?;
        let whole = x.dims()[at];
        let widths: Vec<usize> = match given {
            Some(list) => sizes_of_parts(&list)?,
            None => {
                let each = whole.div_ceil(self.parts);
                (0..self.parts)
                    .map(|i| each.min(whole.saturating_sub(i * each)))
                    .collect()
            }
        };
        if widths.len() != self.parts || widths.iter().sum::<usize>() != whole {
            return Err(Stop::failed(format!(
                "axis {at} of {:?} cannot be split into {widths:?}",
                x.shape()
            )));
        }
        let (rows, row_width) = x.shape().split_at(at);
        let inner: usize = x.dims()[at + 1..].iter().product();
        let mut start = 0;
        for width in widths {
            let mut dims = x.dims().to_vec();
            dims[at] = width;
            let part = gathered(x, Shape::new(&dims)?, cx.pool, cx.cancelled, |place| {
                for row in 0..rows {
                    place(row * row_width + start * inner, 1, width * inner)?;
                }
                Ok(())
            })?;
            start += width;
            cx.give(part);
        }
        Ok(())
    }
}

fn sizes_of_parts(list: &[i64]) -> Result<Vec<usize>, Stop> {
    let mut total = 0usize;
    list.iter()
        .map(|&v| {
            let v = usize::try_from(v).map_err(|_| Stop::failed("a part has a negative size"))?;
            total = total
                .checked_add(v)
                .ok_or_else(|| Stop::failed("the parts are too large"))?;
            Ok(v)
        })
        .collect()
}

struct Slice {
    starts: List,
    ends: List,
    axes: List,
    steps: List,
}

/// `Slice`: attributes before version 10, inputs from there on.
pub(crate) fn slice(spec: &mut Spec<'_>) -> Built {
    Ok(Box::new(Slice {
        starts: List::read(spec, "starts", 1, 10)?,
        ends: List::read(spec, "ends", 2, 10)?,
        axes: List::read(spec, "axes", 3, 10)?,
        steps: List::input(spec, 4)?,
    }))
}

impl Kernel for Slice {
    fn missing(&self) -> Missing {
        Missing::Passes
    }

    fn run(&self, args: &mut Args<'_>, cx: &mut Context<'_>) -> Result<(), Stop> {
        let missing = || Stop::failed("starts or ends are missing");
        let starts = self.starts.get(args)?.ok_or_else(missing)?;
        let ends = self.ends.get(args)?.ok_or_else(missing)?;
        let axes = self
            .axes
            .get(args)?
            .unwrap_or_else(|| (0..starts.len() as i64).collect());
        let steps = self
            .steps
            .get(args)?
            .unwrap_or_else(|| vec![1; starts.len()]);
        let x = args.tensor(0)?;
        let n = starts.len();
        if ends.len() != n || axes.len() != n || steps.len() != n {
            return Err(Stop::failed(
                "starts, ends, axes and steps differ in length",
            ));
        }
        let rank = x.shape().rank();
        let mut dims = x.dims().to_vec();
        // First index and signed step of each axis.
        let mut firsts = [0i64; MAX_RANK];
        let mut strides = [1i64; MAX_RANK];
        axis::axes(&axes, rank)?;
        for k in 0..n {
            let at = axis::axis(axes[k], rank)?;
            let size = x.dims()[at] as i64;
            let step = steps[k];
            if step == 0 {
                return Err(Stop::failed("a step is 0"));
            }
            let wrap = |v: i64| if v < 0 { v.saturating_add(size) } else { v };
            let (start, end) = if step > 0 {
                (wrap(starts[k]).clamp(0, size), wrap(ends[k]).clamp(0, size))
            } else {
                (
                    wrap(starts[k]).clamp(-1, size - 1),
                    wrap(ends[k]).clamp(-1, size - 1),
                )
            };
            let distance = if step > 0 { end - start } else { start - end };
            let length = if distance <= 0 {
                0
            } else {
                // Steps beyond the tensor's size all take one element.
                let stride = step.unsigned_abs();
                (distance as u64).div_ceil(stride) as usize
            };
            firsts[at] = start;
            strides[at] = if length > 1 { step } else { 1 };
            dims[at] = length;
        }
        let shape = Shape::new(&dims)?;
        let result = picked(x, shape, &firsts, &strides, cx)?;
        cx.give(result);
        Ok(())
    }
}

/// The elements at `firsts[i] + k * strides[i]` along each axis.
fn picked(
    x: &Tensor,
    shape: Shape,
    firsts: &[i64; MAX_RANK],
    strides: &[i64; MAX_RANK],
    cx: &mut Context<'_>,
) -> Result<Tensor, Stop> {
    let rank = shape.rank();
    let mut own = [0i64; MAX_RANK];
    let mut step = 1i64;
    for i in (0..rank).rev() {
        own[i] = step;
        step *= x.dims()[i] as i64;
    }
    gathered(x, shape, cx.pool, cx.cancelled, |place| {
        if shape.count() == 0 {
            return Ok(());
        }
        if rank == 0 {
            return place(0, 1, 1);
        }
        let last = rank - 1;
        let width = shape.dims()[last];
        let mut index = [0usize; MAX_RANK];
        loop {
            let base: i64 = (0..last)
                .map(|i| (firsts[i] + index[i] as i64 * strides[i]) * own[i])
                .sum();
            let first = base + firsts[last];
            if strides[last] > 0 {
                place(first as usize, strides[last] as usize, width)?;
            } else {
                for k in 0..width {
                    place((first + k as i64 * strides[last]) as usize, 1, 1)?;
                }
            }
            let mut axis = last;
            loop {
                if axis == 0 {
                    return Ok(());
                }
                axis -= 1;
                index[axis] += 1;
                if index[axis] < shape.dims()[axis] {
                    break;
                }
                index[axis] = 0;
            }
        }
    })
}

struct Transpose(Option<Vec<i64>>);

/// `Transpose`.
pub(crate) fn transpose(spec: &mut Spec<'_>) -> Built {
    let given = spec.attrs.has("perm");
    let order = spec.attrs.ints("perm")?;
    Ok(Box::new(Transpose(given.then_some(order))))
}

impl Kernel for Transpose {
    fn missing(&self) -> Missing {
        Missing::Passes
    }

    fn run(&self, args: &mut Args<'_>, cx: &mut Context<'_>) -> Result<(), Stop> {
        let rank = args.tensor(0)?.shape().rank();
        let order: Vec<usize> = match &self.0 {
            None => (0..rank).rev().collect(),
            Some(given) => {
                if axis::axes(given, rank)?.len() != rank {
                    return Err(Stop::failed(format!(
                        "{given:?} does not order {rank} axes"
                    )));
                }
                given
                    .iter()
                    .map(|&a| axis::axis(a, rank))
                    .collect::<Result<_, _>>()?
            }
        };
        let x = args.tensor(0)?;
        let dims: Vec<usize> = order.iter().map(|&i| x.dims()[i]).collect();
        let shape = Shape::new(&dims)?;
        // A turn that only moves axes of size 1 leaves the elements where they are.
        let moved: Vec<usize> = order
            .iter()
            .copied()
            .filter(|&i| x.dims()[i] != 1)
            .collect();
        if moved.is_sorted() {
            let x = args.take(0, cx.pool)?;
            cx.give(x.reshaped(shape)?);
            return Ok(());
        }
        let mut own = [0usize; MAX_RANK];
        let mut step = 1;
        for i in (0..rank).rev() {
            own[i] = step;
            step *= x.dims()[i];
        }
        let strides: Vec<usize> = order.iter().map(|&i| own[i]).collect();
        let result = strided(x, shape, &strides, cx)?;
        cx.give(result);
        Ok(())
    }
}

/// The elements at `sum(index[i] * strides[i])` for every index of `shape`.
fn strided(
    x: &Tensor,
    shape: Shape,
    strides: &[usize],
    cx: &mut Context<'_>,
) -> Result<Tensor, Stop> {
    gathered(x, shape, cx.pool, cx.cancelled, |place| {
        if shape.count() == 0 {
            return Ok(());
        }
        let dims = shape.dims();
        let Some(last) = dims.len().checked_sub(1) else {
            return place(0, 1, 1);
        };
        let mut index = [0usize; MAX_RANK];
        let mut first = 0;
        loop {
            place(first, strides[last], dims[last])?;
            let mut axis = last;
            loop {
                if axis == 0 {
                    return Ok(());
                }
                axis -= 1;
                index[axis] += 1;
                first += strides[axis];
                if index[axis] < dims[axis] {
                    break;
                }
                first -= strides[axis] * dims[axis];
                index[axis] = 0;
            }
        }
    })
}

struct Expand;
struct Tile;

/// `Expand`.
pub(crate) fn expand(_: &mut Spec<'_>) -> Built {
    Ok(Box::new(Expand))
}

impl Kernel for Expand {
    fn run(&self, args: &mut Args<'_>, cx: &mut Context<'_>) -> Result<(), Stop> {
        let x = args.tensor(0)?;
        let wanted = sizes(&args.tensor(1)?.indices()?)?;
        let shape = broadcast::shape(x.shape(), &wanted)?;
        let strides = broadcast::strides(x.shape(), &shape);
        let result = strided(x, shape, &strides[..shape.rank()], cx)?;
        cx.give(result);
        Ok(())
    }
}

/// `Tile`.
pub(crate) fn tile(_: &mut Spec<'_>) -> Built {
    Ok(Box::new(Tile))
}

impl Kernel for Tile {
    fn run(&self, args: &mut Args<'_>, cx: &mut Context<'_>) -> Result<(), Stop> {
        let x = args.tensor(0)?;
        let times = sizes(&args.tensor(1)?.indices()?)?;
        let rank = x.shape().rank();
        if times.rank() != rank {
            return Err(Stop::failed(format!(
                "{} repeats for a tensor of rank {rank}",
                times.rank()
            )));
        }
        let mut dims = Vec::with_capacity(rank);
        for (d, t) in x.dims().iter().zip(times.dims()) {
            dims.push(
                d.checked_mul(*t)
                    .ok_or_else(|| Stop::failed("the result is too large"))?,
            );
        }
        let shape = Shape::new(&dims)?;
        let source = *x.shape();
        let result = gathered(x, shape, cx.pool, cx.cancelled, |place| {
            let dims = shape.dims();
            if shape.count() == 0 {
                return Ok(());
            }
            let Some(last) = dims.len().checked_sub(1) else {
                return place(0, 1, 1);
            };
            let width = source.dims()[last];
            let mut index = [0usize; MAX_RANK];
            loop {
                let mut first = 0;
                for (i, pair) in source.dims().windows(2).enumerate() {
                    first = (first + index[i] % pair[0]) * pair[1];
                }
                for _ in 0..dims[last] / width {
                    place(first, 1, width)?;
                }
                let mut axis = last;
                loop {
                    if axis == 0 {
                        return Ok(());
                    }
                    axis -= 1;
                    index[axis] += 1;
                    if index[axis] < dims[axis] {
                        break;
                    }
                    index[axis] = 0;
                }
            }
        })?;
        cx.give(result);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_result_ends_when_the_caller_gives_up() {
        let x = Tensor::of(Shape::vector(1).unwrap(), vec![true]).unwrap();
        let shape = Shape::vector(2 * WORK).unwrap();
        let mut pool = Pool::default();
        let mut expand = |cancelled: bool| {
            gathered(&x, shape, &mut pool, &|| cancelled, |place| {
                (0..2 * WORK).try_for_each(|_| place(0, 1, 1))
            })
        };
        assert_eq!(expand(true).map(|t| t.len()), Err(Stop::Cancelled));
        assert_eq!(expand(false).map(|t| t.len()), Ok(2 * WORK));
    }
}
