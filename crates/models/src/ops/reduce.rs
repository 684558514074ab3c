//! Reductions along axes.

use super::Built;
use super::arithmetic::Number;
use super::axis::{self, List};
use super::unary::Float;
use crate::engine::args::Args;
use crate::engine::tensor::{Data, MAX_RANK, Shape, Tensor};
use crate::engine::{Context, Kernel, Stop};
use crate::onnx::compile::Spec;

/// How many elements are visited between two looks at whether the caller gave up.
const WORK: usize = 1 << 22;

#[derive(Debug, Clone, Copy, PartialEq)]
enum Reduction {
    Sum,
    SumSquare,
    Mean,
    Max,
    Min,
    Prod,
    L1,
    L2,
    LogSum,
    LogSumExp,
}

struct Reduce {
    reduction: Reduction,
    axes: List,
    keep: bool,
    nothing_if_empty: bool,
}

/// The `Reduce…` operators. The axes moved from an attribute to an input: for `ReduceSum` in
/// version 13, for the others in 18.
pub(crate) fn reduce(spec: &mut Spec<'_>) -> Built {
    let reduction = match spec.op {
        "ReduceSum" => Reduction::Sum,
        "ReduceSumSquare" => Reduction::SumSquare,
        "ReduceMean" => Reduction::Mean,
        "ReduceMax" => Reduction::Max,
        "ReduceMin" => Reduction::Min,
        "ReduceProd" => Reduction::Prod,
        "ReduceL1" => Reduction::L1,
        "ReduceL2" => Reduction::L2,
        "ReduceLogSum" => Reduction::LogSum,
        _ => Reduction::LogSumExp,
    };
    let since = if reduction == Reduction::Sum { 13 } else { 18 };
    Ok(Box::new(Reduce {
        reduction,
        axes: List::read(spec, "axes", 1, since)?,
        keep: spec.attrs.flag("keepdims", true)?,
        nothing_if_empty: spec.attrs.flag("noop_with_empty_axes", false)?,
    }))
}

impl Kernel for Reduce {
    fn run(&self, args: &mut Args<'_>, cx: &mut Context<'_>) -> Result<(), Stop> {
        let given = self.axes.get(args)?.filter(|axes| !axes.is_empty());
        let rank = args.tensor(0)?.shape().rank();
        let axes = match given {
            Some(axes) => axis::axes(&axes, rank)?,
            // Each element is a group of its own.
            None if self.nothing_if_empty => Vec::new(),
            None => (0..rank).collect(),
        };
        let x = args.tensor(0)?;
        let plan = Plan::new(x.shape(), &axes)?;
        let shape = plan.shape(self.keep)?;
        let data = match x.data() {
            Data::F32(v) => Data::F32(real(self.reduction, v, &plan, cx)?),
            Data::F64(v) => Data::F64(real(self.reduction, v, &plan, cx)?),
            Data::I64(v) => Data::I64(whole(self.reduction, v, &plan, cx)?),
            Data::I32(v) => Data::I32(whole(self.reduction, v, &plan, cx)?),
            other => return Err(Stop::failed(format!("no sums of {}", other.element()))),
        };
        cx.give(Tensor::new(shape, data)?);
        Ok(())
    }
}

/// Which elements fall together.
struct Plan {
    dims: [usize; MAX_RANK],
    rank: usize,
    reduced: [bool; MAX_RANK],
    /// How far the result's place moves with each axis of the input; 0 along reduced ones.
    strides: [usize; MAX_RANK],
    outputs: usize,
    /// How many elements fall together.
    group: usize,
}

impl Plan {
    fn new(shape: &Shape, axes: &[usize]) -> Result<Plan, Stop> {
        let rank = shape.rank();
        let mut dims = [1; MAX_RANK];
        dims[..rank].copy_from_slice(shape.dims());
        let mut reduced = [false; MAX_RANK];
        for &a in axes {
            reduced[a] = true;
        }
        let mut strides = [0; MAX_RANK];
        let mut outputs = 1;
        let mut group = 1;
        for i in (0..rank).rev() {
            if reduced[i] {
                group *= dims[i];
            } else {
                strides[i] = outputs;
                outputs *= dims[i];
            }
        }
        Ok(Plan {
            dims,
            rank,
            reduced,
            strides,
            outputs,
            group,
        })
    }

    fn shape(&self, keep: bool) -> Result<Shape, Stop> {
        let dims: Vec<usize> = (0..self.rank)
            .filter(|&i| keep || !self.reduced[i])
            .map(|i| if self.reduced[i] { 1 } else { self.dims[i] })
            .collect();
        Shape::new(&dims)
    }

    /// Whether the reduced axes are the last ones: each group then is one slice of the input.
    fn is_trailing(&self) -> bool {
        self.reduced[..self.rank].is_sorted()
    }

    /// Calls `visit` with the result's place of each element, in the input's order.
    fn each(&self, cx: &Context<'_>, mut visit: impl FnMut(usize)) -> Result<(), Stop> {
        if self.outputs * self.group == 0 {
            return Ok(());
        }
        let mut index = [0usize; MAX_RANK];
        let mut place = 0;
        let mut work = 0;
        loop {
            if work == WORK {
                cx.check()?;
                work = 0;
            }
            work += 1;
            visit(place);
            let mut i = self.rank;
            loop {
                if i == 0 {
                    return Ok(());
                }
                i -= 1;
                index[i] += 1;
                place += self.strides[i];
                if index[i] < self.dims[i] {
                    break;
                }
                place -= self.strides[i] * self.dims[i];
                index[i] = 0;
            }
        }
    }
}

/// Folds each group from `start`.
fn folded<T: Number>(
    values: &[T],
    plan: &Plan,
    start: T,
    cx: &mut Context<'_>,
    step: impl Fn(T, T) -> T,
) -> Result<Vec<T>, Stop> {
    if plan.is_trailing() && plan.group > 0 {
        let mut out = cx.pool.buffer::<T>(plan.outputs);
        // As many groups as make up the work between two looks, one at least.
        let part = (WORK / plan.group).max(1) * plan.group;
        for values in values.chunks(part) {
            cx.check()?;
            out.extend(
                values
                    .chunks_exact(plan.group)
                    .map(|group| group.iter().fold(start, |a, &v| step(a, v))),
            );
        }
        return Ok(out);
    }
    let mut out = cx.pool.filled(plan.outputs, start);
    let mut values = values.iter();
    plan.each(cx, |place| {
        if let Some(&v) = values.next() {
            out[place] = step(out[place], v);
        }
    })?;
    Ok(out)
}

/// Folds each group from its first element.
fn extreme<T: Number>(
    values: &[T],
    plan: &Plan,
    cx: &mut Context<'_>,
    better: impl Fn(T, T) -> bool,
) -> Result<Vec<T>, Stop> {
    if plan.group == 0 && plan.outputs > 0 {
        return Err(Stop::failed("no largest or smallest of nothing"));
    }
    let mut out = cx.pool.filled(plan.outputs, T::default());
    let mut seen = vec![false; plan.outputs];
    let mut values = values.iter();
    plan.each(cx, |place| {
        if let Some(&v) = values.next()
            && (!seen[place] || better(v, out[place]))
        {
            seen[place] = true;
            out[place] = v;
        }
    })?;
    Ok(out)
}

fn whole<T: Number>(
    reduction: Reduction,
    values: &[T],
    plan: &Plan,
    cx: &mut Context<'_>,
) -> Result<Vec<T>, Stop> {
    let zero = T::default();
    Ok(match reduction {
        Reduction::Sum => folded(values, plan, zero, cx, T::add)?,
        Reduction::SumSquare => folded(values, plan, zero, cx, |a, v| a.add(v.mul(v)))?,
        Reduction::Prod => folded(values, plan, T::of_count(1), cx, T::mul)?,
        Reduction::L1 => folded(values, plan, zero, cx, |a, v| {
            a.add(if v < zero { zero.sub(v) } else { v })
        })?,
        Reduction::Max => extreme(values, plan, cx, |v, best| v > best)?,
        Reduction::Min => extreme(values, plan, cx, |v, best| v < best)?,
        Reduction::Mean if plan.group > 0 => {
            let n = T::of_count(plan.group);
            let mut out = folded(values, plan, zero, cx, T::add)?;
            out.iter_mut().for_each(|v| *v = v.div(n));
            out
        }
        other => {
            return Err(Stop::failed(format!("no Reduce{other:?} of whole numbers")));
        }
    })
}

fn real<T: Number + Float>(
    reduction: Reduction,
    values: &[T],
    plan: &Plan,
    cx: &mut Context<'_>,
) -> Result<Vec<T>, Stop> {
    let zero = T::default();
    Ok(match reduction {
        Reduction::Mean => {
            let n = T::of_count(plan.group);
            let mut out = folded(values, plan, zero, cx, T::add)?;
            out.iter_mut().for_each(|v| *v = v.div(n));
            out
        }
        Reduction::L2 => {
            let mut out = folded(values, plan, zero, cx, |a, v| a.add(v.mul(v)))?;
            out.iter_mut()
                .for_each(|v| *v = T::from_f64(v.to_f64().sqrt()));
            out
        }
        Reduction::LogSum => {
            let mut out = folded(values, plan, zero, cx, T::add)?;
            out.iter_mut()
                .for_each(|v| *v = T::from_f64(v.to_f64().ln()));
            out
        }
        Reduction::LogSumExp => log_sum_exp(values, plan, cx)?,
        other => whole(other, values, plan, cx)?,
    })
}

/// `log(sum(exp(x)))`, shifted by the largest element so that nothing overflows.
fn log_sum_exp<T: Number + Float>(
    values: &[T],
    plan: &Plan,
    cx: &mut Context<'_>,
) -> Result<Vec<T>, Stop> {
    if plan.group == 0 {
        return Ok(cx.pool.filled(plan.outputs, T::from_f64(f64::NEG_INFINITY)));
    }
    let mut largest = extreme(values, plan, cx, |v, best| v > best)?;
    // An infinite shift would make NaN of infinities.
    largest.iter_mut().for_each(|v| {
        if !v.to_f64().is_finite() {
            *v = T::default();
        }
    });
    let mut sums = cx.pool.filled(plan.outputs, T::default());
    let mut rest = values.iter();
    plan.each(cx, |place| {
        if let Some(&v) = rest.next() {
            let e = v.sub(largest[place]).function(super::unary::Function::Exp);
            sums[place] = sums[place].add(e);
        }
    })?;
    for (sum, shift) in sums.iter_mut().zip(&largest) {
        *sum = sum.function(super::unary::Function::Log).add(*shift);
    }
    cx.pool.give(largest);
    Ok(sums)
}

struct Arg {
    axis: i64,
    keep: bool,
    largest: bool,
    last: bool,
}

/// `ArgMax` and `ArgMin`.
pub(crate) fn arg(spec: &mut Spec<'_>) -> Built {
    Ok(Box::new(Arg {
        axis: spec.attrs.int_or("axis", 0)?,
        keep: spec.attrs.flag("keepdims", true)?,
        largest: spec.op == "ArgMax",
        last: spec.attrs.flag("select_last_index", false)?,
    }))
}

impl Kernel for Arg {
    fn run(&self, args: &mut Args<'_>, cx: &mut Context<'_>) -> Result<(), Stop> {
        let x = args.tensor(0)?;
        let at = axis::axis(self.axis, x.shape().rank())?;
        let size = x.dims()[at];
        if size == 0 {
            return Err(Stop::failed("no largest or smallest of nothing"));
        }
        let inner: usize = x.dims()[at + 1..].iter().product();
        let rows = x.shape().split_at(at).0;
        let layout = (rows, size, inner);
        let found = match x.data() {
            Data::F32(v) => self.find(v, layout, cx),
            Data::F64(v) => self.find(v, layout, cx),
            Data::I64(v) => self.find(v, layout, cx),
            Data::I32(v) => self.find(v, layout, cx),
            other => return Err(Stop::failed(format!("no order of {}", other.element()))),
        };
        let mut dims = x.dims().to_vec();
        if self.keep {
            dims[at] = 1;
        } else {
            dims.remove(at);
        }
        cx.give(Tensor::of(Shape::new(&dims)?, found)?);
        Ok(())
    }
}

impl Arg {
    fn find<T: Number>(
        &self,
        values: &[T],
        (rows, size, inner): (usize, usize, usize),
        cx: &mut Context<'_>,
    ) -> Vec<i64> {
        let mut out = cx.pool.buffer::<i64>(rows * inner);
        for row in 0..rows {
            for c in 0..inner {
                let value = |i: usize| values[(row * size + i) * inner + c];
                let mut best = 0;
                for i in 1..size {
                    let (v, b) = (value(i), value(best));
                    let better = if self.largest { v > b } else { v < b };
                    if better || (self.last && v == b) {
                        best = i;
                    }
                }
                out.push(best as i64);
            }
        }
        out
    }
}

struct CumSum {
    exclusive: bool,
    reverse: bool,
}

/// `CumSum`.
pub(crate) fn cumulative_sum(spec: &mut Spec<'_>) -> Built {
    Ok(Box::new(CumSum {
        exclusive: spec.attrs.flag("exclusive", false)?,
        reverse: spec.attrs.flag("reverse", false)?,
    }))
}

impl Kernel for CumSum {
    fn run(&self, args: &mut Args<'_>, cx: &mut Context<'_>) -> Result<(), Stop> {
        let given = *args
            .tensor(1)?
            .indices()?
            .first()
            .ok_or_else(|| Stop::failed("the axis is empty"))?;
        let (shape, data) = args.take(0, cx.pool)?.into_parts();
        let at = axis::axis(given, shape.rank())?;
        let data = match data {
            Data::F32(v) => Data::F32(self.sum(v, &shape, at)),
            Data::F64(v) => Data::F64(self.sum(v, &shape, at)),
            Data::I64(v) => Data::I64(self.sum(v, &shape, at)),
            Data::I32(v) => Data::I32(self.sum(v, &shape, at)),
            other => return Err(Stop::failed(format!("no sums of {}", other.element()))),
        };
        cx.give(Tensor::new(shape, data)?);
        Ok(())
    }
}

impl CumSum {
    fn sum<T: Number>(&self, mut values: Vec<T>, shape: &Shape, at: usize) -> Vec<T> {
        let size = shape.dims()[at];
        let inner: usize = shape.dims()[at + 1..].iter().product();
        for row in 0..shape.split_at(at).0 {
            for c in 0..inner {
                let mut total = T::default();
                for k in 0..size {
                    let i = if self.reverse { size - 1 - k } else { k };
                    let cell = &mut values[(row * size + i) * inner + c];
                    let v = *cell;
                    if self.exclusive {
                        *cell = total;
                    }
                    total = total.add(v);
                    if !self.exclusive {
                        *cell = total;
                    }
                }
            }
        }
        values
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::pool::Pool;

    #[test]
    fn a_long_reduction_ends_when_the_caller_gives_up() {
        let values = vec![1i32; 2 * WORK];
        let shape = Shape::matrix(WORK, 2).unwrap();
        for axes in [[0], [1]] {
            for cancelled in [true, false] {
                let mut pool = Pool::default();
                let mut cx = Context {
                    pool: &mut pool,
                    cancelled: &|| cancelled,
                    wanted: &[true],
                    outputs: &mut Vec::new(),
                };
                let plan = Plan::new(&shape, &axes).unwrap();
                let sums = whole(Reduction::Sum, &values, &plan, &mut cx);
                match sums {
                    Err(stop) => assert!(cancelled && stop == Stop::Cancelled),
                    Ok(sums) => {
                        assert!(!cancelled);
                        assert!(sums.iter().all(|&s| s as usize == plan.group));
                    }
                }
            }
        }
    }
}
