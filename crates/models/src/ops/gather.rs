//! Elements picked by index, and put back by index.

use super::Built;
use super::axis;
use super::layout::gathered;
use crate::engine::args::Args;
use crate::engine::tensor::{Data, Shape, Tensor};
use crate::engine::{Context, Kernel, Missing, Stop};
use crate::onnx::compile::Spec;

/// An index counted from the front; negative ones count from the back.
fn index(i: i64, size: usize) -> Result<usize, Stop> {
    let resolved = if i < 0 {
        i.saturating_add(size as i64)
    } else {
        i
    };
    if resolved < 0 || resolved >= size as i64 {
        return Err(Stop::failed(format!(
            "index {i} is outside an axis of {size}"
        )));
    }
    Ok(resolved as usize)
}

fn indices(list: &[i64], size: usize) -> Result<Vec<usize>, Stop> {
    list.iter().map(|&i| index(i, size)).collect()
}

struct Gather(i64);

/// `Gather`.
pub(crate) fn gather(spec: &mut Spec<'_>) -> Built {
    Ok(Box::new(Gather(spec.attrs.int_or("axis", 0)?)))
}

impl Kernel for Gather {
    fn missing(&self) -> Missing {
        Missing::Passes
    }

    fn run(&self, args: &mut Args<'_>, cx: &mut Context<'_>) -> Result<(), Stop> {
        let (x, wanted) = (args.tensor(0)?, args.tensor(1)?);
        let at = axis::axis(self.0, x.shape().rank())?;
        let picks = indices(&wanted.indices()?, x.dims()[at])?;
        let mut dims = x.dims()[..at].to_vec();
        dims.extend_from_slice(wanted.dims());
        dims.extend_from_slice(&x.dims()[at + 1..]);
        let (rows, row_width) = x.shape().split_at(at);
        let inner: usize = x.dims()[at + 1..].iter().product();
        let result = gathered(x, Shape::new(&dims)?, cx.pool, cx.cancelled, |place| {
            for row in 0..rows {
                for &pick in &picks {
                    place(row * row_width + pick * inner, 1, inner)?;
                }
            }
            Ok(())
        })?;
        cx.give(result);
        Ok(())
    }
}

struct GatherElements(i64);

/// `GatherElements`.
pub(crate) fn gather_elements(spec: &mut Spec<'_>) -> Built {
    Ok(Box::new(GatherElements(spec.attrs.int_or("axis", 0)?)))
}

/// For each element of `wanted`, the place in a tensor of shape `of` with its index along `at`
/// replaced by the element.
fn element_places(of: &Shape, wanted: &Tensor, at: usize) -> Result<Vec<usize>, Stop> {
    let shape = wanted.shape();
    let rank = of.rank();
    let fits =
        shape.rank() == rank && (0..rank).all(|i| i == at || shape.dims()[i] <= of.dims()[i]);
    if !fits {
        return Err(Stop::failed(format!(
            "indices of shape {shape:?} do not fit {of:?}"
        )));
    }
    let picks = indices(&wanted.indices()?, of.dims()[at])?;
    let mut strides = vec![1; rank];
    for i in (0..rank.saturating_sub(1)).rev() {
        strides[i] = strides[i + 1] * of.dims()[i + 1];
    }
    let mut counter = vec![0usize; rank];
    let mut places = Vec::with_capacity(picks.len());
    for pick in picks {
        let place: usize = (0..rank)
            .map(|i| if i == at { pick } else { counter[i] } * strides[i])
            .sum();
        places.push(place);
        for i in (0..rank).rev() {
            counter[i] += 1;
            if counter[i] < shape.dims()[i] {
                break;
            }
            counter[i] = 0;
        }
    }
    Ok(places)
}

impl Kernel for GatherElements {
    fn run(&self, args: &mut Args<'_>, cx: &mut Context<'_>) -> Result<(), Stop> {
        let (x, wanted) = (args.tensor(0)?, args.tensor(1)?);
        let at = axis::axis(self.0, x.shape().rank())?;
        let places = element_places(x.shape(), wanted, at)?;
        let result = gathered(x, *wanted.shape(), cx.pool, cx.cancelled, |place| {
            places.iter().try_for_each(|&p| place(p, 1, 1))
        })?;
        cx.give(result);
        Ok(())
    }
}

struct GatherNd(usize);

/// `GatherND`.
pub(crate) fn gather_nd(spec: &mut Spec<'_>) -> Built {
    let batch = spec.attrs.count("batch_dims")?.unwrap_or(0);
    Ok(Box::new(GatherNd(batch)))
}

impl Kernel for GatherNd {
    fn run(&self, args: &mut Args<'_>, cx: &mut Context<'_>) -> Result<(), Stop> {
        let (x, wanted) = (args.tensor(0)?, args.tensor(1)?);
        let batch = self.0;
        let (xd, id) = (x.dims(), wanted.dims());
        let depth = *id
            .last()
            .ok_or_else(|| Stop::failed("the indices are a scalar"))?;
        if batch >= id.len() || batch + depth > xd.len() || xd[..batch] != id[..batch] {
            return Err(Stop::failed(format!(
                "indices of shape {:?} do not fit {:?}",
                wanted.shape(),
                x.shape()
            )));
        }
        let mut dims = id[..id.len() - 1].to_vec();
        dims.extend_from_slice(&xd[batch + depth..]);
        let inner: usize = xd[batch + depth..].iter().product();
        let (batches, block) = x.shape().split_at(batch);
        let list = wanted.indices()?;
        let per_batch = list.len().checked_div(batches * depth.max(1)).unwrap_or(0);
        let mut places = Vec::new();
        if depth == 0 {
            let tuples: usize = id[batch..id.len() - 1].iter().product();
            for b in 0..batches {
                places.extend(std::iter::repeat_n(b * block, tuples));
            }
        } else {
            for (n, tuple) in list.chunks_exact(depth).enumerate() {
                let mut place = 0;
                for (k, &i) in tuple.iter().enumerate() {
                    let size = xd[batch + k];
                    place = place * size + index(i, size)?;
                }
                let b = n.checked_div(per_batch).unwrap_or(0);
                places.push(b * block + place * inner);
            }
        }
        let result = gathered(x, Shape::new(&dims)?, cx.pool, cx.cancelled, |place| {
            places.iter().try_for_each(|&p| place(p, 1, inner))
        })?;
        cx.give(result);
        Ok(())
    }
}

struct ScatterElements {
    axis: i64,
    add: bool,
}

/// `ScatterElements`, replacing or adding.
pub(crate) fn scatter_elements(spec: &mut Spec<'_>) -> Built {
    let reduction = spec.attrs.string_or("reduction", "none")?;
    let add = match reduction.as_str() {
        "none" => false,
        "add" => true,
        other => return Err(spec.lacks(format!("reduction = {other}"))),
    };
    Ok(Box::new(ScatterElements {
        axis: spec.attrs.int_or("axis", 0)?,
        add,
    }))
}

impl Kernel for ScatterElements {
    fn run(&self, args: &mut Args<'_>, cx: &mut Context<'_>) -> Result<(), Stop> {
        let (wanted, updates) = (args.tensor(1)?, args.tensor(2)?);
        if wanted.shape() != updates.shape() {
            return Err(Stop::failed("indices and updates differ in shape"));
        }
        let shape = *args.tensor(0)?.shape();
        let at = axis::axis(self.axis, shape.rank())?;
        let places = element_places(&shape, wanted, at)?;
        fn put<T: Copy>(target: &mut [T], places: &[usize], from: &[T], f: impl Fn(T, T) -> T) {
            for (&place, &value) in places.iter().zip(from) {
                target[place] = f(target[place], value);
            }
        }
        // The updates are needed after the data was taken: copy them only then.
        let updates = cx.pool.duplicate(updates);
        let (_, data) = args.take(0, cx.pool)?.into_parts();
        let add = self.add;
        let data = match (data, updates.data()) {
            (Data::F32(mut v), Data::F32(u)) => {
                put(&mut v, &places, u, |a, b| if add { a + b } else { b });
                Data::F32(v)
            }
            (Data::F64(mut v), Data::F64(u)) => {
                put(&mut v, &places, u, |a, b| if add { a + b } else { b });
                Data::F64(v)
            }
            (Data::I64(mut v), Data::I64(u)) => {
                put(
                    &mut v,
                    &places,
                    u,
                    |a, b| {
                        if add { a.wrapping_add(b) } else { b }
                    },
                );
                Data::I64(v)
            }
            (Data::I32(mut v), Data::I32(u)) => {
                put(
                    &mut v,
                    &places,
                    u,
                    |a, b| {
                        if add { a.wrapping_add(b) } else { b }
                    },
                );
                Data::I32(v)
            }
            (Data::Bool(mut v), Data::Bool(u)) if !add => {
                put(&mut v, &places, u, |_, b| b);
                Data::Bool(v)
            }
            (a, b) => {
                return Err(Stop::failed(format!(
                    "updates of {} do not fit {}",
                    b.element(),
                    a.element()
                )));
            }
        };
        cx.give(Tensor::new(shape, data)?);
        Ok(())
    }
}
