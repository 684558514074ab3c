//! From a table's columns to tensors, and back.

use std::fmt::Write;

use tables::{Column, DataType, Strings as Texts, Values};

use crate::engine::Stop;
use crate::engine::pool::{Pool, Pooled};
use crate::engine::tensor::{Data, Element, Shape, Tensor};

/// The columns side by side as one tensor. Missing numbers are NaN, missing text is `""`; a
/// missing whole number or truth value has no such stand-in and is refused.
pub(crate) fn gather(
    columns: &[&Column],
    names: &dyn Fn(usize) -> String,
    rows: usize,
    element: Element,
    vector: bool,
    pool: &mut Pool,
) -> Result<Tensor, Stop> {
    let width = columns.len();
    let shape = if vector {
        Shape::vector(rows)?
    } else {
        Shape::matrix(rows, width)?
    };
    let data = match element {
        Element::F32 => Data::F32(floats(columns, rows, f32::NAN, pool, |v| v as f32, |v| v)),
        Element::F64 => Data::F64(floats(columns, rows, f64::NAN, pool, |v| v, f64::from)),
        Element::I64 => {
            let mut out = pool.filled(rows * width, 0i64);
            whole(columns, names, width, |i, v| {
                out[i] = v;
                true
            })?;
            Data::I64(out)
        }
        Element::I32 => {
            let mut out = pool.filled(rows * width, 0i32);
            whole(columns, names, width, |i, v| match i32::try_from(v) {
                Ok(v) => {
                    out[i] = v;
                    true
                }
                Err(_) => false,
            })?;
            Data::I32(out)
        }
        Element::Bool => {
            let mut out = pool.filled(rows * width, false);
            whole(columns, names, width, |i, v| {
                out[i] = v != 0;
                true
            })?;
            Data::Bool(out)
        }
        Element::Str => {
            let mut out = pool.strings();
            for row in 0..rows {
                for column in columns {
                    if column.is_missing(row) {
                        out.push("");
                        continue;
                    }
                    match &column.values {
                        Values::Str(s) => out.push(s.get(row)),
                        Values::I32(v) => out.push_with(|text| {
                            let _ = write!(text, "{}", v[row]);
                        }),
                        Values::I64(v) => out.push_with(|text| {
                            let _ = write!(text, "{}", v[row]);
                        }),
                        Values::U64(v) => out.push_with(|text| {
                            let _ = write!(text, "{}", v[row]);
                        }),
                        _ => return Err(Stop::failed("a column is not text")),
                    }
                }
            }
            Data::Str(out)
        }
    };
    Tensor::new(shape, data)
}

/// Numbers of every type as floats, column by column into the rows' places.
fn floats<T: Pooled>(
    columns: &[&Column],
    rows: usize,
    missing: T,
    pool: &mut Pool,
    wide: impl Fn(f64) -> T,
    narrow: impl Fn(f32) -> T,
) -> Vec<T> {
    let width = columns.len();
    let mut out = pool.filled(rows * width, missing);
    for (c, column) in columns.iter().enumerate() {
        let cells = out.iter_mut().skip(c).step_by(width);
        match &column.values {
            Values::F32(v) => cells.zip(v).for_each(|(cell, &v)| *cell = narrow(v)),
            Values::F64(v) => cells.zip(v).for_each(|(cell, &v)| *cell = wide(v)),
            Values::I32(v) => cells
                .zip(v)
                .for_each(|(cell, &v)| *cell = wide(f64::from(v))),
            Values::I64(v) => cells.zip(v).for_each(|(cell, &v)| *cell = wide(v as f64)),
            Values::U64(v) => cells.zip(v).for_each(|(cell, &v)| *cell = wide(v as f64)),
            Values::Bool(v) => cells
                .zip(v)
                .for_each(|(cell, &v)| *cell = wide(f64::from(u8::from(v)))),
            // Binding lets no text through; were it here, every cell would be missing.
            Values::Str(_) => {}
        }
        if column.validity.is_some() {
            for row in 0..rows {
                if column.is_missing(row) {
                    out[row * width + c] = missing;
                }
            }
        }
    }
    out
}

/// Whole numbers one by one; `put` answers whether the number fits.
fn whole(
    columns: &[&Column],
    names: &dyn Fn(usize) -> String,
    width: usize,
    mut put: impl FnMut(usize, i64) -> bool,
) -> Result<(), Stop> {
    for (c, column) in columns.iter().enumerate() {
        for row in 0..column.len() {
            let refuse = |what: &str| {
                Stop::failed(format!("row {}, column \"{}\": {what}", row + 1, names(c)))
            };
            if column.is_missing(row) {
                return Err(refuse("the model has no way to take a missing value here"));
            }
            let value = match &column.values {
                Values::Bool(v) => i64::from(v[row]),
                Values::I32(v) => i64::from(v[row]),
                Values::I64(v) => v[row],
                Values::U64(v) => {
                    i64::try_from(v[row]).map_err(|_| refuse("the number is too large"))?
                }
                Values::F32(v) => exact(f64::from(v[row]))
                    .ok_or_else(|| refuse("the model takes whole numbers here"))?,
                Values::F64(v) => {
                    exact(v[row]).ok_or_else(|| refuse("the model takes whole numbers here"))?
                }
                Values::Str(_) => return Err(refuse("the model takes numbers here")),
            };
            if !put(row * width + c, value) {
                return Err(refuse("the number is too large"));
            }
        }
    }
    Ok(())
}

/// The whole number that a float is, if it is one.
fn exact(v: f64) -> Option<i64> {
    (v.fract() == 0.0 && v.abs() < 9.0e18).then_some(v as i64)
}

/// The columns of a result: a vector is one column, a matrix one each.
pub(crate) fn scatter(tensor: &Tensor, rows: usize) -> Result<Vec<(DataType, Column)>, Stop> {
    let width = match tensor.dims() {
        [n, rest @ ..] if *n == rows => rest.iter().product(),
        // One row may lose its axis on the way.
        _ if rows == 1 => tensor.len(),
        // One value a row, whatever the axes of size 1 around them.
        _ if tensor.len() == rows => 1,
        _ => {
            return Err(Stop::failed(format!(
                "a result of shape {:?} for {rows} rows",
                tensor.shape()
            )));
        }
    };
    fn column<T: Copy>(values: &[T], width: usize, c: usize) -> Vec<T> {
        if width == 1 {
            return values.to_vec();
        }
        values.iter().skip(c).step_by(width).copied().collect()
    }
    (0..width)
        .map(|c| {
            let (data_type, values) = match tensor.data() {
                Data::F32(v) => (DataType::Float, Values::F32(column(v, width, c))),
                Data::F64(v) => (DataType::Double, Values::F64(column(v, width, c))),
                Data::I64(v) => (DataType::Int64, Values::I64(column(v, width, c))),
                Data::I32(v) => (DataType::Int32, Values::I32(column(v, width, c))),
                Data::Bool(v) => (DataType::Boolean, Values::Bool(column(v, width, c))),
                Data::Str(s) => {
                    let mut texts = Texts::with_capacity(rows, s.bytes() / width.max(1));
                    for row in 0..rows {
                        let text = s.get(row * width + c);
                        if !texts.fits(text.len()) {
                            return Err(Stop::failed("the text of a column passes 2 GiB"));
                        }
                        texts.push(text);
                    }
                    (DataType::String, Values::Str(texts))
                }
            };
            Ok((data_type, Column::new(values)))
        })
        .collect()
}
