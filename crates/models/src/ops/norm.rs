//! Operators that bring elements to a common scale, and those of neural networks beside them:
//! `LpNormalization`, `BatchNormalization`, `LayerNormalization`, `PRelu`.

use super::arithmetic::Number;
use super::axis;
use super::broadcast;
use super::unary::{Float, Function};
use super::{Built, Reject};
use crate::engine::args::Args;
use crate::engine::tensor::{Data, Shape, Tensor};
use crate::engine::{Context, Kernel, Stop};
use crate::onnx::compile::Spec;

struct LpNormalization {
    axis: i64,
    squares: bool,
}

/// `LpNormalization`.
pub(crate) fn lp_normalization(spec: &mut Spec<'_>) -> Built {
    let squares = match spec.attrs.int_or("p", 2)? {
        1 => false,
        2 => true,
        other => return Err(Reject::malformed(format!("p = {other} is neither 1 nor 2"))),
    };
    Ok(Box::new(LpNormalization {
        axis: spec.attrs.int_or("axis", -1)?,
        squares,
    }))
}

impl Kernel for LpNormalization {
    fn run(&self, args: &mut Args<'_>, cx: &mut Context<'_>) -> Result<(), Stop> {
        let (shape, data) = args.take(0, cx.pool)?.into_parts();
        let at = axis::axis(self.axis, shape.rank())?;
        let lines = (shape.dims()[at], shape.dims()[at + 1..].iter().product());
        let data = match data {
            Data::F32(mut v) => {
                self.normalize(&mut v, lines);
                Data::F32(v)
            }
            Data::F64(mut v) => {
                self.normalize(&mut v, lines);
                Data::F64(v)
            }
            other => return Err(Stop::failed(format!("no norm of {}", other.element()))),
        };
        cx.give(Tensor::new(shape, data)?);
        Ok(())
    }
}

impl LpNormalization {
    /// A line of zeros stays as it is.
    fn normalize<T: Float + Number>(&self, values: &mut [T], (size, inner): (usize, usize)) {
        if size == 0 || inner == 0 {
            return;
        }
        for block in values.chunks_exact_mut(size * inner) {
            for c in 0..inner {
                let line = || (0..size).map(|k| k * inner + c);
                let mut norm = line().fold(T::default(), |sum, i| {
                    let v = block[i];
                    sum.add(if self.squares {
                        v.mul(v)
                    } else {
                        v.function(Function::Abs)
                    })
                });
                if self.squares {
                    norm = norm.function(Function::Sqrt);
                }
                if norm != T::default() {
                    line().for_each(|i| block[i] = block[i].div(norm));
                }
            }
        }
    }
}

struct BatchNormalization {
    epsilon: f32,
}

/// `BatchNormalization` as it is after training: with the averages that training found.
pub(crate) fn batch_normalization(spec: &mut Spec<'_>) -> Built {
    if spec.attrs.flag("training_mode", false)? {
        return Err(spec.lacks("training_mode"));
    }
    if spec.version < 9 && !spec.attrs.flag("spatial", true)? {
        return Err(spec.lacks("spatial = 0"));
    }
    Ok(Box::new(BatchNormalization {
        epsilon: spec.attrs.float_or("epsilon", 1e-5)?,
    }))
}

impl Kernel for BatchNormalization {
    fn run(&self, args: &mut Args<'_>, cx: &mut Context<'_>) -> Result<(), Stop> {
        let (shape, data) = args.take(0, cx.pool)?.into_parts();
        let data = match data {
            Data::F32(v) => Data::F32(self.normalized(v, &shape, args)?),
            Data::F64(v) => Data::F64(self.normalized(v, &shape, args)?),
            other => return Err(Stop::failed(format!("no norm of {}", other.element()))),
        };
        cx.give(Tensor::new(shape, data)?);
        Ok(())
    }
}

impl BatchNormalization {
    fn normalized<T: Float + Number>(
        &self,
        mut values: Vec<T>,
        shape: &Shape,
        args: &Args<'_>,
    ) -> Result<Vec<T>, Stop> {
        // Channels are the second axis; a vector is all of one channel.
        let channels = shape.dims().get(1).copied().unwrap_or(1);
        let inner: usize = shape.dims().iter().skip(2).product();
        let mut factors = Vec::with_capacity(channels);
        let lists = [1, 2, 3, 4].map(|i| args.slice::<T>(i));
        let [scale, bias, mean, variance] = lists;
        let (scale, bias, mean, variance) = (scale?, bias?, mean?, variance?);
        if [scale, bias, mean, variance]
            .iter()
            .any(|l| l.len() != channels)
        {
            return Err(Stop::failed(format!(
                "the averages are not of {channels} channels"
            )));
        }
        for c in 0..channels {
            let spread = variance[c].to_f64() + f64::from(self.epsilon);
            let factor = T::from_f64(scale[c].to_f64() / spread.sqrt());
            factors.push((factor, bias[c].sub(mean[c].mul(factor))));
        }
        if channels * inner > 0 {
            for block in values.chunks_exact_mut(channels * inner) {
                for (cells, &(factor, shift)) in block.chunks_exact_mut(inner).zip(&factors) {
                    cells.iter_mut().for_each(|v| *v = v.mul(factor).add(shift));
                }
            }
        }
        Ok(values)
    }
}

struct LayerNormalization {
    axis: i64,
    epsilon: f32,
}

/// `LayerNormalization`, without its optional further outputs.
pub(crate) fn layer_normalization(spec: &mut Spec<'_>) -> Built {
    if spec.outputs > 1 {
        return Err(spec.lacks("more than one output"));
    }
    Ok(Box::new(LayerNormalization {
        axis: spec.attrs.int_or("axis", -1)?,
        epsilon: spec.attrs.float_or("epsilon", 1e-5)?,
    }))
}

impl Kernel for LayerNormalization {
    fn run(&self, args: &mut Args<'_>, cx: &mut Context<'_>) -> Result<(), Stop> {
        let (shape, data) = args.take(0, cx.pool)?.into_parts();
        let at = axis::axis(self.axis, shape.rank())?;
        let size = shape.split_at(at).1;
        let data = match data {
            Data::F32(v) => Data::F32(self.normalized(v, size, args)?),
            Data::F64(v) => Data::F64(self.normalized(v, size, args)?),
            other => return Err(Stop::failed(format!("no norm of {}", other.element()))),
        };
        cx.give(Tensor::new(shape, data)?);
        Ok(())
    }
}

impl LayerNormalization {
    fn normalized<T: Float + Number>(
        &self,
        mut values: Vec<T>,
        size: usize,
        args: &Args<'_>,
    ) -> Result<Vec<T>, Stop> {
        let scale = args.slice::<T>(1)?;
        let bias = args.optional(2)?.map(|t| t.slice::<T>()).transpose()?;
        if scale.len() != size || bias.is_some_and(|b| b.len() != size) {
            return Err(Stop::failed(format!(
                "scale or bias is not of {size} cells"
            )));
        }
        if size == 0 {
            return Ok(values);
        }
        for row in values.chunks_exact_mut(size) {
            let mean = row.iter().map(|v| v.to_f64()).sum::<f64>() / size as f64;
            let spread = row.iter().map(|v| (v.to_f64() - mean).powi(2)).sum::<f64>();
            let factor = 1.0 / (spread / size as f64 + f64::from(self.epsilon)).sqrt();
            for (i, v) in row.iter_mut().enumerate() {
                let shift = bias.map_or(T::default(), |b| b[i]);
                *v = T::from_f64((v.to_f64() - mean) * factor)
                    .mul(scale[i])
                    .add(shift);
            }
        }
        Ok(values)
    }
}

struct PRelu;

/// `PRelu`.
pub(crate) fn p_relu(_: &mut Spec<'_>) -> Built {
    Ok(Box::new(PRelu))
}

impl Kernel for PRelu {
    fn run(&self, args: &mut Args<'_>, cx: &mut Context<'_>) -> Result<(), Stop> {
        fn bent<T: Number>(
            x: &Tensor,
            slope: &Tensor,
            cx: &mut Context<'_>,
        ) -> Result<Vec<T>, Stop> {
            let (values, slopes) = (x.slice::<T>()?, slope.slice::<T>()?);
            if broadcast::shape(x.shape(), slope.shape())? != *x.shape() {
                return Err(Stop::failed("the slopes do not fit"));
            }
            let mut out = cx.pool.buffer::<T>(values.len());
            let (a, b) = ((x.shape(), values), (slope.shape(), slopes));
            broadcast::zip(a, b, x.shape(), &mut out, |v, s| {
                if v < T::default() { v.mul(s) } else { v }
            });
            Ok(out)
        }
        let (x, slope) = (args.tensor(0)?, args.tensor(1)?);
        let shape = *x.shape();
        let data = match x.data() {
            Data::F32(_) => Data::F32(bent(x, slope, cx)?),
            Data::F64(_) => Data::F64(bent(x, slope, cx)?),
            other => return Err(Stop::failed(format!("no bend of {}", other.element()))),
        };
        cx.give(Tensor::new(shape, data)?);
        Ok(())
    }
}
