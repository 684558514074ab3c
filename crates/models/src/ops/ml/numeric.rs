//! Operators on matrices of numbers: scaling, filling gaps, thresholds, norms, choice of columns.

use super::floats;
use crate::engine::args::Args;
use crate::engine::tensor::{Data, Shape, Tensor};
use crate::engine::{Context, Kernel, Missing, Stop};
use crate::onnx::Reject;
use crate::onnx::compile::Spec;
use crate::ops::Built;
use crate::ops::layout::gathered;

/// The width of a row as these operators see it: the size of the last of at most two axes.
fn width(x: &Tensor) -> Result<usize, Stop> {
    match x.dims() {
        [] => Err(Stop::failed("a scalar has no columns")),
        [n] => Ok(*n),
        [_, rest @ ..] => Ok(rest.iter().product()),
    }
}

/// A parameter for each column: one for all, or one each.
fn by_column<T: Copy>(values: &[T], column: usize) -> T {
    if values.len() == 1 {
        values[0]
    } else {
        values[column]
    }
}

fn check_columns(what: &str, given: usize, width: usize) -> Result<(), Stop> {
    if given == 1 || given == width {
        Ok(())
    } else {
        Err(Stop::failed(format!("{given} {what} for {width} columns")))
    }
}

struct Scaler {
    offset: Vec<f32>,
    scale: Vec<f32>,
}

/// `Scaler`.
pub(crate) fn scaler(spec: &mut Spec<'_>) -> Built {
    let offset = spec.attrs.floats("offset")?;
    let scale = spec.attrs.floats("scale")?;
    if offset.is_empty() || scale.is_empty() {
        return Err(Reject::malformed("offset or scale is missing"));
    }
    Ok(Box::new(Scaler { offset, scale }))
}

impl Kernel for Scaler {
    fn missing(&self) -> Missing {
        Missing::Passes
    }

    fn run(&self, args: &mut Args<'_>, cx: &mut Context<'_>) -> Result<(), Stop> {
        let width = width(args.tensor(0)?)?;
        check_columns("offsets", self.offset.len(), width)?;
        check_columns("scales", self.scale.len(), width)?;
        let (shape, data) = args.take(0, cx.pool)?.into_parts();
        let at = |c: usize| (by_column(&self.offset, c), by_column(&self.scale, c));
        let out = match data {
            Data::F32(mut v) => {
                for row in v.chunks_exact_mut(width.max(1)) {
                    for (c, cell) in row.iter_mut().enumerate() {
                        let (offset, scale) = at(c);
                        *cell = (*cell - offset) * scale;
                    }
                }
                v
            }
            Data::F64(v) => {
                let mut out = cx.pool.buffer(v.len());
                out.extend(v.iter().enumerate().map(|(i, &x)| {
                    let (offset, scale) = at(i % width);
                    ((x - f64::from(offset)) * f64::from(scale)) as f32
                }));
                cx.pool.give(v);
                out
            }
            Data::I64(v) => scaled(v.iter().map(|&v| v as f32), width, at),
            Data::I32(v) => scaled(v.iter().map(|&v| v as f32), width, at),
            other => return Err(Stop::failed(format!("no scaling of {}", other.element()))),
        };
        cx.give(Tensor::of(shape, out)?);
        Ok(())
    }
}

fn scaled(
    values: impl Iterator<Item = f32>,
    width: usize,
    at: impl Fn(usize) -> (f32, f32),
) -> Vec<f32> {
    values
        .enumerate()
        .map(|(i, x)| {
            let (offset, scale) = at(i % width);
            (x - offset) * scale
        })
        .collect()
}

struct Imputer {
    floats: Vec<f32>,
    replaced: f32,
    ints: Vec<i64>,
    replaced_int: i64,
}

/// `Imputer`.
pub(crate) fn imputer(spec: &mut Spec<'_>) -> Built {
    let attrs = &mut spec.attrs;
    let floats = attrs.floats("imputed_value_floats")?;
    let ints = attrs.ints("imputed_value_int64s")?;
    if floats.is_empty() == ints.is_empty() {
        return Err(Reject::malformed("imputed values of one type are needed"));
    }
    Ok(Box::new(Imputer {
        floats,
        replaced: attrs.float_or("replaced_value_float", 0.0)?,
        ints,
        replaced_int: attrs.int_or("replaced_value_int64", 0)?,
    }))
}

/// Replaces what `is_gap` says. Values that do not fit the columns: the first for all.
fn impute<T: Copy>(values: &mut [T], width: usize, with: &[T], is_gap: impl Fn(T) -> bool) {
    let each = with.len() == width;
    for row in values.chunks_exact_mut(width.max(1)) {
        for (c, cell) in row.iter_mut().enumerate() {
            if is_gap(*cell) {
                *cell = with[if each { c } else { 0 }];
            }
        }
    }
}

impl Kernel for Imputer {
    fn missing(&self) -> Missing {
        if self.replaced.is_nan() && !self.floats.is_empty() {
            Missing::Handles
        } else {
            Missing::Passes
        }
    }

    fn run(&self, args: &mut Args<'_>, cx: &mut Context<'_>) -> Result<(), Stop> {
        let width = width(args.tensor(0)?)?;
        let (shape, data) = args.take(0, cx.pool)?.into_parts();
        let replaced = self.replaced;
        let data = match data {
            Data::F32(mut v) if !self.floats.is_empty() => {
                impute(&mut v, width, &self.floats, |x| {
                    x == replaced || (x.is_nan() && replaced.is_nan())
                });
                Data::F32(v)
            }
            Data::F64(mut v) if !self.floats.is_empty() => {
                let with: Vec<f64> = self.floats.iter().map(|&v| f64::from(v)).collect();
                let replaced = f64::from(replaced);
                impute(&mut v, width, &with, |x| {
                    x == replaced || (x.is_nan() && replaced.is_nan())
                });
                Data::F64(v)
            }
            Data::I64(mut v) if !self.ints.is_empty() => {
                impute(&mut v, width, &self.ints, |x| x == self.replaced_int);
                Data::I64(v)
            }
            other => {
                return Err(Stop::failed(format!(
                    "gaps of {} are not filled here",
                    other.element()
                )));
            }
        };
        cx.give(Tensor::new(shape, data)?);
        Ok(())
    }
}

struct Binarizer(f32);

/// `Binarizer`.
pub(crate) fn binarizer(spec: &mut Spec<'_>) -> Built {
    Ok(Box::new(Binarizer(spec.attrs.float_or("threshold", 0.0)?)))
}

impl Kernel for Binarizer {
    fn run(&self, args: &mut Args<'_>, cx: &mut Context<'_>) -> Result<(), Stop> {
        let (shape, data) = args.take(0, cx.pool)?.into_parts();
        // As in ONNX Runtime: a missing value is on neither side of a threshold.
        let gap = match &data {
            Data::F32(v) => v.iter().any(|x| x.is_nan()),
            Data::F64(v) => v.iter().any(|x| x.is_nan()),
            _ => false,
        };
        if gap {
            return Err(Stop::failed("a missing value has no side of a threshold"));
        }
        let data = match data {
            Data::F32(mut v) => {
                v.iter_mut()
                    .for_each(|x| *x = f32::from(u8::from(*x > self.0)));
                Data::F32(v)
            }
            Data::F64(mut v) => {
                let limit = f64::from(self.0);
                v.iter_mut()
                    .for_each(|x| *x = f64::from(u8::from(*x > limit)));
                Data::F64(v)
            }
            Data::I64(mut v) => {
                v.iter_mut()
                    .for_each(|x| *x = i64::from(*x as f32 > self.0));
                Data::I64(v)
            }
            Data::I32(mut v) => {
                v.iter_mut()
                    .for_each(|x| *x = i32::from(*x as f32 > self.0));
                Data::I32(v)
            }
            other => {
                return Err(Stop::failed(format!(
                    "no threshold for {}",
                    other.element()
                )));
            }
        };
        cx.give(Tensor::new(shape, data)?);
        Ok(())
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Norm {
    Max,
    L1,
    L2,
}

/// `Normalizer`.
pub(crate) fn normalizer(spec: &mut Spec<'_>) -> Built {
    Ok(Box::new(
        match spec.attrs.string_or("norm", "MAX")?.as_str() {
            "MAX" => Norm::Max,
            "L1" => Norm::L1,
            "L2" => Norm::L2,
            other => return Err(Reject::malformed(format!("norm {other} is not known"))),
        },
    ))
}

impl Kernel for Norm {
    fn run(&self, args: &mut Args<'_>, cx: &mut Context<'_>) -> Result<(), Stop> {
        let x = args.tensor(0)?;
        let shape = *x.shape();
        let width = width(x)?;
        let mut buffer = cx.pool.buffer(0);
        let values = floats(x, &mut buffer)?;
        let mut out = cx.pool.copied(values);
        cx.pool.give(buffer);
        for row in out.chunks_exact_mut(width.max(1)) {
            match self {
                Norm::Max => {
                    // The largest number, not the largest size: as in ONNX Runtime.
                    let norm = row.iter().fold(f32::MIN, |a, &v| if a < v { v } else { a });
                    if norm != 0.0 {
                        row.iter_mut().for_each(|v| *v /= norm);
                    }
                }
                Norm::L1 => {
                    let norm: f32 = row.iter().map(|v| v.abs()).sum();
                    if norm != 0.0 {
                        row.iter_mut().for_each(|v| *v /= norm);
                    }
                }
                Norm::L2 => {
                    let sum: f32 = row.iter().map(|v| v * v).sum();
                    if sum != 0.0 {
                        row.iter_mut().for_each(|v| {
                            let size = (*v * *v / sum).sqrt();
                            *v = if *v < 0.0 { -size } else { size };
                        });
                    }
                }
            }
        }
        cx.give(Tensor::of(shape, out)?);
        Ok(())
    }
}

struct ArrayFeatureExtractor;

/// `ArrayFeatureExtractor`.
pub(crate) fn array_feature_extractor(_: &mut Spec<'_>) -> Built {
    Ok(Box::new(ArrayFeatureExtractor))
}

impl Kernel for ArrayFeatureExtractor {
    fn missing(&self) -> Missing {
        Missing::Passes
    }

    fn run(&self, args: &mut Args<'_>, cx: &mut Context<'_>) -> Result<(), Stop> {
        let x = args.tensor(0)?;
        let wanted = args.tensor(1)?.indices()?;
        let Some((&last, outer)) = x.dims().split_last() else {
            return Err(Stop::failed("a scalar has no columns"));
        };
        let picks = wanted
            .iter()
            .map(|&i| {
                usize::try_from(i)
                    .ok()
                    .filter(|&i| i < last)
                    .ok_or_else(|| Stop::failed(format!("column {i} of {last} is asked for")))
            })
            .collect::<Result<Vec<_>, _>>()?;
        // A vector counts as one row.
        let mut dims = if outer.is_empty() {
            vec![1]
        } else {
            outer.to_vec()
        };
        dims.push(picks.len());
        let rows: usize = outer.iter().product();
        let result = gathered(x, Shape::new(&dims)?, cx.pool, cx.cancelled, |place| {
            for row in 0..rows {
                picks
                    .iter()
                    .try_for_each(|&p| place(row * last + p, 1, 1))?;
            }
            Ok(())
        })?;
        cx.give(result);
        Ok(())
    }
}

struct FeatureVectorizer(Vec<usize>);

/// `FeatureVectorizer`.
pub(crate) fn feature_vectorizer(spec: &mut Spec<'_>) -> Built {
    let widths = spec
        .attrs
        .ints("inputdimensions")?
        .into_iter()
        .map(|v| usize::try_from(v).map_err(|_| Reject::malformed("a width is negative")))
        .collect::<Result<Vec<_>, _>>()?;
    if widths.len() != spec.given.len() {
        return Err(Reject::malformed(format!(
            "{} widths for {} inputs",
            widths.len(),
            spec.given.len()
        )));
    }
    Ok(Box::new(FeatureVectorizer(widths)))
}

impl Kernel for FeatureVectorizer {
    fn missing(&self) -> Missing {
        Missing::Passes
    }

    fn run(&self, args: &mut Args<'_>, cx: &mut Context<'_>) -> Result<(), Stop> {
        let rows = match args.tensor(0)?.dims() {
            [n, ..] => *n,
            [] => 1,
        };
        let total = self.0.iter().fold(0usize, |a, &w| a.saturating_add(w));
        let shape = Shape::matrix(rows, total)?;
        let mut out = cx.pool.filled(shape.count(), 0f32);
        let mut start = 0;
        for (i, &wide) in self.0.iter().enumerate() {
            let x = args.tensor(i)?;
            let own = x.len().checked_div(rows).unwrap_or(0);
            if own * rows != x.len() {
                return Err(Stop::failed(format!(
                    "input {i} has {:?} and not {rows} rows",
                    x.shape()
                )));
            }
            let mut buffer = cx.pool.buffer(0);
            let values = floats(x, &mut buffer)?;
            // A narrower input leaves zeros, a wider one is cut.
            let n = own.min(wide);
            for row in 0..rows {
                out[row * total + start..][..n].copy_from_slice(&values[row * own..][..n]);
            }
            cx.pool.give(buffer);
            start += wide;
        }
        cx.give(Tensor::of(shape, out)?);
        Ok(())
    }
}
