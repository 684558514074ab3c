//! Operators that change or read a tensor's shape and leave its elements alone.

use super::axis::{self, List};
use super::{Built, Reject};
use crate::engine::args::Args;
use crate::engine::tensor::{Data, Element, Shape, Strings, Tensor};
use crate::engine::{Context, Kernel, Missing, Stop};
use crate::onnx::compile::Spec;

struct Constant(Tensor);
struct ConstantOfShape(Tensor);
struct Identity;
struct Flatten(i64);
struct Reshape {
    shape: List,
    allow_zero: bool,
}
struct ShapeOf {
    start: i64,
    end: Option<i64>,
}
struct Size;
struct Squeeze(List);
struct Unsqueeze(List);
struct Range;

/// `Constant`, in all its spellings.
pub(crate) fn constant(spec: &mut Spec<'_>) -> Built {
    if spec.attrs.has("sparse_value") {
        return Err(spec.lacks("a sparse value"));
    }
    let attrs = &mut spec.attrs;
    let scalar = |data: Data| Tensor::new(Shape::SCALAR, data);
    let vector = |data: Data| Tensor::new(Shape::vector(data.len())?, data);
    let value = if let Some(tensor) = attrs.tensor("value")? {
        tensor
    } else if let Some(v) = attrs.int("value_int")? {
        scalar(Data::I64(vec![v]))?
    } else if let Some(v) = attrs.float("value_float")? {
        scalar(Data::F32(vec![v]))?
    } else if let Some(v) = attrs.string("value_string")? {
        scalar(Data::Str([v.as_str()].into_iter().collect()))?
    } else if attrs.has("value_ints") {
        vector(Data::I64(attrs.ints("value_ints")?))?
    } else if attrs.has("value_floats") {
        vector(Data::F32(attrs.floats("value_floats")?))?
    } else if attrs.has("value_strings") {
        vector(Data::Str(attrs.text_arena("value_strings")?))?
    } else {
        return Err(Reject::malformed("the constant has no value"));
    };
    Ok(Box::new(Constant(value)))
}

impl Kernel for Constant {
    fn run(&self, _: &mut Args<'_>, cx: &mut Context<'_>) -> Result<(), Stop> {
        let copy = cx.pool.duplicate(&self.0);
        cx.give(copy);
        Ok(())
    }
}

/// `ConstantOfShape`.
pub(crate) fn constant_of_shape(spec: &mut Spec<'_>) -> Built {
    let value = match spec.attrs.tensor("value")? {
        Some(value) => value,
        None => Tensor::of(Shape::vector(1)?, vec![0f32])?,
    };
    if value.len() != 1 {
        return Err(Reject::malformed("value has not one element"));
    }
    Ok(Box::new(ConstantOfShape(value)))
}

impl Kernel for ConstantOfShape {
    fn run(&self, args: &mut Args<'_>, cx: &mut Context<'_>) -> Result<(), Stop> {
        let dims = args.tensor(0)?.indices()?;
        let shape = sizes(&dims)?;
        let n = shape.count();
        let data = match self.0.data() {
            Data::F32(v) => Data::F32(cx.pool.filled(n, v[0])),
            Data::F64(v) => Data::F64(cx.pool.filled(n, v[0])),
            Data::I64(v) => Data::I64(cx.pool.filled(n, v[0])),
            Data::I32(v) => Data::I32(cx.pool.filled(n, v[0])),
            Data::Bool(v) => Data::Bool(cx.pool.filled(n, v[0])),
            Data::Str(s) => {
                let mut out = Strings::default();
                (0..n).for_each(|_| out.push(s.get(0)));
                Data::Str(out)
            }
        };
        cx.give(Tensor::new(shape, data)?);
        Ok(())
    }
}

/// A shape from numbers that must not be negative.
pub(crate) fn sizes(dims: &[i64]) -> Result<Shape, Stop> {
    let dims = dims
        .iter()
        .map(|&d| usize::try_from(d).map_err(|_| Stop::failed(format!("negative size {d}"))))
        .collect::<Result<Vec<_>, _>>()?;
    Shape::new(&dims)
}

/// `Identity`, and `Dropout`, which does nothing outside training.
pub(crate) fn identity(_: &mut Spec<'_>) -> Built {
    Ok(Box::new(Identity))
}

impl Kernel for Identity {
    fn missing(&self) -> Missing {
        Missing::Passes
    }

    fn run(&self, args: &mut Args<'_>, cx: &mut Context<'_>) -> Result<(), Stop> {
        let value = args.take_value(0, cx.pool)?;
        let mask = match &value {
            crate::engine::tensor::Value::Tensor(t) if cx.wants(1) => Some(*t.shape()),
            _ => None,
        };
        cx.give(value);
        if let Some(shape) = mask {
            let all = cx.pool.filled(shape.count(), true);
            cx.give(Tensor::of(shape, all)?);
        }
        Ok(())
    }
}

/// `Flatten`.
pub(crate) fn flatten(spec: &mut Spec<'_>) -> Built {
    Ok(Box::new(Flatten(spec.attrs.int_or("axis", 1)?)))
}

impl Kernel for Flatten {
    fn missing(&self) -> Missing {
        Missing::Passes
    }

    fn run(&self, args: &mut Args<'_>, cx: &mut Context<'_>) -> Result<(), Stop> {
        let x = args.take(0, cx.pool)?;
        let rank = x.shape().rank();
        let at = if self.0 == rank as i64 {
            rank
        } else {
            axis::axis(self.0, rank)?
        };
        let (rows, columns) = x.shape().split_at(at);
        cx.give(x.reshaped(Shape::matrix(rows, columns)?)?);
        Ok(())
    }
}

/// `Reshape`.
pub(crate) fn reshape(spec: &mut Spec<'_>) -> Built {
    Ok(Box::new(Reshape {
        shape: List::input(spec, 1)?,
        allow_zero: spec.attrs.flag("allowzero", false)?,
    }))
}

impl Kernel for Reshape {
    fn missing(&self) -> Missing {
        Missing::Passes
    }

    fn run(&self, args: &mut Args<'_>, cx: &mut Context<'_>) -> Result<(), Stop> {
        let wanted = self
            .shape
            .get(args)?
            .ok_or_else(|| Stop::failed("the shape is missing"))?;
        let x = args.take(0, cx.pool)?;
        let mut dims = Vec::with_capacity(wanted.len());
        let mut open = None;
        for (i, &d) in wanted.iter().enumerate() {
            dims.push(match d {
                0 if !self.allow_zero => *x.dims().get(i).ok_or_else(|| {
                    Stop::failed(format!("dimension {i} is copied from {:?}", x.shape()))
                })?,
                -1 if open.is_none() => {
                    open = Some(i);
                    1
                }
                d => usize::try_from(d)
                    .map_err(|_| Stop::failed(format!("{wanted:?} is not a shape")))?,
            });
        }
        if let Some(i) = open {
            let known = Shape::new(&dims)?.count();
            if known == 0 || x.len() % known != 0 {
                return Err(Stop::failed(format!(
                    "{:?} cannot be reshaped to {wanted:?}",
                    x.shape()
                )));
            }
            dims[i] = x.len() / known;
        }
        cx.give(x.reshaped(Shape::new(&dims)?)?);
        Ok(())
    }
}

/// `Shape`.
pub(crate) fn shape(spec: &mut Spec<'_>) -> Built {
    Ok(Box::new(ShapeOf {
        start: spec.attrs.int_or("start", 0)?,
        end: spec.attrs.int("end")?,
    }))
}

impl Kernel for ShapeOf {
    fn run(&self, args: &mut Args<'_>, cx: &mut Context<'_>) -> Result<(), Stop> {
        let dims = args.tensor(0)?.dims();
        let rank = dims.len() as i64;
        let bound = |v: i64| -> usize {
            let v = if v < 0 { v.saturating_add(rank) } else { v };
            v.clamp(0, rank) as usize
        };
        let (start, end) = (bound(self.start), bound(self.end.unwrap_or(rank)));
        let list: Vec<i64> = dims[start.min(end)..end]
            .iter()
            .map(|&d| d as i64)
            .collect();
        let shape = Shape::vector(list.len())?;
        cx.give(Tensor::of(shape, list)?);
        Ok(())
    }
}

/// `Size`.
pub(crate) fn size(_: &mut Spec<'_>) -> Built {
    Ok(Box::new(Size))
}

impl Kernel for Size {
    fn run(&self, args: &mut Args<'_>, cx: &mut Context<'_>) -> Result<(), Stop> {
        let n = args.tensor(0)?.len() as i64;
        cx.give(Tensor::of(Shape::SCALAR, vec![n])?);
        Ok(())
    }
}

/// `Squeeze`.
pub(crate) fn squeeze(spec: &mut Spec<'_>) -> Built {
    Ok(Box::new(Squeeze(List::read(spec, "axes", 1, 13)?)))
}

impl Kernel for Squeeze {
    fn missing(&self) -> Missing {
        Missing::Passes
    }

    fn run(&self, args: &mut Args<'_>, cx: &mut Context<'_>) -> Result<(), Stop> {
        let given = self.0.get(args)?;
        let x = args.take(0, cx.pool)?;
        let axes = match given {
            Some(axes) => axis::axes(&axes, x.shape().rank())?,
            None => (0..x.shape().rank())
                .filter(|&i| x.dims()[i] == 1)
                .collect(),
        };
        if let Some(i) = axes.iter().find(|&&i| x.dims()[i] != 1) {
            return Err(Stop::failed(format!(
                "axis {i} of {:?} cannot be removed",
                x.shape()
            )));
        }
        let dims: Vec<usize> = (0..x.shape().rank())
            .filter(|i| !axes.contains(i))
            .map(|i| x.dims()[i])
            .collect();
        cx.give(x.reshaped(Shape::new(&dims)?)?);
        Ok(())
    }
}

/// `Unsqueeze`.
pub(crate) fn unsqueeze(spec: &mut Spec<'_>) -> Built {
    Ok(Box::new(Unsqueeze(List::read(spec, "axes", 1, 13)?)))
}

impl Kernel for Unsqueeze {
    fn missing(&self) -> Missing {
        Missing::Passes
    }

    fn run(&self, args: &mut Args<'_>, cx: &mut Context<'_>) -> Result<(), Stop> {
        let given = self
            .0
            .get(args)?
            .ok_or_else(|| Stop::failed("the axes are missing"))?;
        let x = args.take(0, cx.pool)?;
        let rank = x.shape().rank() + given.len();
        let axes = axis::axes(&given, rank)?;
        let mut old = x.dims().iter();
        let mut dims = Vec::with_capacity(rank);
        for i in 0..rank {
            dims.push(if axes.contains(&i) {
                1
            } else {
                *old.next()
                    .ok_or_else(|| Stop::failed("the axes do not fit"))?
            });
        }
        cx.give(x.reshaped(Shape::new(&dims)?)?);
        Ok(())
    }
}

/// `Range`.
pub(crate) fn range(_: &mut Spec<'_>) -> Built {
    Ok(Box::new(Range))
}

impl Kernel for Range {
    fn run(&self, args: &mut Args<'_>, cx: &mut Context<'_>) -> Result<(), Stop> {
        fn count(start: f64, limit: f64, step: f64) -> Result<usize, Stop> {
            let n = ((limit - start) / step).ceil();
            if !n.is_finite() {
                return Err(Stop::failed("the range does not end"));
            }
            let n = n.max(0.0) as usize;
            Shape::vector(n)?;
            Ok(n)
        }
        fn bounds<T: crate::engine::tensor::Item>(args: &Args<'_>) -> Result<[T; 3], Stop> {
            let one = |i: usize| -> Result<T, Stop> {
                args.slice::<T>(i)?
                    .first()
                    .copied()
                    .ok_or_else(|| Stop::failed("a bound is empty"))
            };
            Ok([one(0)?, one(1)?, one(2)?])
        }
        let data = match args.tensor(0)?.element() {
            Element::F32 => {
                let [start, limit, step] = bounds::<f32>(args)?;
                let n = count(start.into(), limit.into(), step.into())?;
                Data::F32((0..n).map(|i| start + i as f32 * step).collect())
            }
            Element::F64 => {
                let [start, limit, step] = bounds::<f64>(args)?;
                let n = count(start, limit, step)?;
                Data::F64((0..n).map(|i| start + i as f64 * step).collect())
            }
            Element::I64 => {
                let [start, limit, step] = bounds::<i64>(args)?;
                let n = count(start as f64, limit as f64, step as f64)?;
                Data::I64(
                    (0..n)
                        .map(|i| start.wrapping_add(step.wrapping_mul(i as i64)))
                        .collect(),
                )
            }
            Element::I32 => {
                let [start, limit, step] = bounds::<i32>(args)?;
                let n = count(start.into(), limit.into(), step.into())?;
                Data::I32(
                    (0..n)
                        .map(|i| start.wrapping_add(step.wrapping_mul(i as i32)))
                        .collect(),
                )
            }
            other => return Err(Stop::failed(format!("no range of {other}"))),
        };
        cx.give(Tensor::new(Shape::vector(data.len())?, data)?);
        Ok(())
    }
}
