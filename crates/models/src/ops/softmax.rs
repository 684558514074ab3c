//! `Softmax` and `LogSoftmax`.

use super::Built;
use super::arithmetic::Number;
use super::axis;
use super::unary::{Float, Function};
use crate::engine::args::Args;
use crate::engine::tensor::{Data, Tensor};
use crate::engine::{Context, Kernel, Stop};
use crate::onnx::compile::Spec;

struct Softmax {
    axis: i64,
    /// Before version 13 all axes from the given one on are taken as one.
    flattens: bool,
    log: bool,
}

/// Builds either.
pub(crate) fn make(spec: &mut Spec<'_>) -> Built {
    let flattens = spec.version < 13;
    Ok(Box::new(Softmax {
        axis: spec.attrs.int_or("axis", if flattens { 1 } else { -1 })?,
        flattens,
        log: spec.op == "LogSoftmax",
    }))
}

impl Kernel for Softmax {
    fn run(&self, args: &mut Args<'_>, cx: &mut Context<'_>) -> Result<(), Stop> {
        let (shape, data) = args.take(0, cx.pool)?.into_parts();
        let rank = shape.rank();
        let (size, inner) = if self.flattens {
            let at = if self.axis == rank as i64 {
                rank
            } else {
                axis::axis(self.axis, rank)?
            };
            (shape.split_at(at).1, 1)
        } else {
            let at = axis::axis(self.axis, rank)?;
            (shape.dims()[at], shape.dims()[at + 1..].iter().product())
        };
        let data = match data {
            Data::F32(mut v) => {
                softmax(&mut v, size, inner, self.log);
                Data::F32(v)
            }
            Data::F64(mut v) => {
                softmax(&mut v, size, inner, self.log);
                Data::F64(v)
            }
            other => return Err(Stop::failed(format!("no softmax of {}", other.element()))),
        };
        cx.give(Tensor::new(shape, data)?);
        Ok(())
    }
}

fn softmax<T: Float + Number>(values: &mut [T], size: usize, inner: usize, log: bool) {
    if size == 0 || inner == 0 {
        return;
    }
    for block in values.chunks_exact_mut(size * inner) {
        for c in 0..inner {
            let mut largest = block[c];
            for k in 1..size {
                largest = largest.larger(block[k * inner + c]);
            }
            let mut sum = T::default();
            for k in 0..size {
                let cell = &mut block[k * inner + c];
                *cell = cell.sub(largest);
                let e = cell.function(Function::Exp);
                if !log {
                    *cell = e;
                }
                sum = sum.add(e);
            }
            if log {
                let shift = sum.function(Function::Log);
                (0..size).for_each(|k| {
                    let cell = &mut block[k * inner + c];
                    *cell = cell.sub(shift);
                });
            } else {
                (0..size).for_each(|k| {
                    let cell = &mut block[k * inner + c];
                    *cell = cell.div(sum);
                });
            }
        }
    }
}
