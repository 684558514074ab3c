//! Operators on maps: `ZipMap`, `DictVectorizer` and `CastMap`.

use std::sync::Arc;

use super::classes;
use crate::engine::args::Args;
use crate::engine::tensor::{Classes, Data, MAX_ELEMENTS, Maps, Shape, Strings, Tensor};
use crate::engine::{Context, Kernel, Missing, Stop};
use crate::onnx::Reject;
use crate::onnx::compile::Spec;
use crate::ops::Built;
use crate::ops::cast::{parse_float, parse_whole, truncate_i64};
use crate::ops::layout::gathered;

struct ZipMap(Arc<Classes>);

/// `ZipMap`.
pub(crate) fn zip_map(spec: &mut Spec<'_>) -> Built {
    let keys = classes(&mut spec.attrs, "classlabels_strings", "classlabels_int64s")?;
    Ok(Box::new(ZipMap(Arc::new(keys))))
}

impl Kernel for ZipMap {
    fn run(&self, args: &mut Args<'_>, cx: &mut Context<'_>) -> Result<(), Stop> {
        let values = args.take(0, cx.pool)?;
        let (rows, width) = values.as_matrix();
        if width != self.0.len() {
            return Err(Stop::failed(format!(
                "{width} values for {} keys",
                self.0.len()
            )));
        }
        let values = values.reshaped(Shape::matrix(rows, width)?)?;
        cx.give(Maps {
            keys: self.0.clone(),
            values,
        });
        Ok(())
    }
}

struct DictVectorizer(Classes);

/// `DictVectorizer`.
pub(crate) fn dict_vectorizer(spec: &mut Spec<'_>) -> Built {
    let keys = classes(&mut spec.attrs, "string_vocabulary", "int64_vocabulary")?;
    Ok(Box::new(DictVectorizer(keys)))
}

impl Kernel for DictVectorizer {
    fn run(&self, args: &mut Args<'_>, cx: &mut Context<'_>) -> Result<(), Stop> {
        let maps = args.maps(0)?;
        let position = |i: usize| match (&self.0, maps.keys.as_ref()) {
            (Classes::Int(own), Classes::Int(keys)) => keys.iter().position(|k| *k == own[i]),
            (Classes::Str(own), Classes::Str(keys)) => keys.iter().position(|k| *k == own[i]),
            _ => None,
        };
        let columns: Option<Vec<usize>> = (0..self.0.len()).map(position).collect();
        let columns = columns
            .ok_or_else(|| Stop::failed("a word of the vocabulary is not a key of the maps"))?;
        let (rows, width) = maps.values.as_matrix();
        let shape = Shape::matrix(rows, columns.len())?;
        let result = gathered(&maps.values, shape, cx.pool, cx.cancelled, |place| {
            for row in 0..rows {
                columns
                    .iter()
                    .try_for_each(|&c| place(row * width + c, 1, 1))?;
            }
            Ok(())
        })?;
        cx.give(result);
        Ok(())
    }

    fn missing(&self) -> Missing {
        // A key that a map does not have counts as 0.
        Missing::Handles
    }
}

/// What `CastMap` makes of values.
#[derive(Debug, Clone, Copy, PartialEq)]
enum CastTo {
    Float,
    Int64,
    Text,
}

struct CastMap {
    to: CastTo,
    /// How many keys, from 0, have a place in the result; `None` for those that a map has, in
    /// their order.
    sparse: Option<usize>,
}

/// `CastMap`.
pub(crate) fn cast_map(spec: &mut Spec<'_>) -> Built {
    let to = match spec.attrs.string_or("cast_to", "TO_FLOAT")?.as_str() {
        "TO_FLOAT" => CastTo::Float,
        "TO_INT64" => CastTo::Int64,
        "TO_STRING" => CastTo::Text,
        other => return Err(Reject::malformed(format!("cast_to is {other}"))),
    };
    let most = spec.attrs.int_or("max_map", 1)?;
    let sparse = match spec.attrs.string_or("map_form", "DENSE")?.as_str() {
        "DENSE" => None,
        "SPARSE" => match usize::try_from(most) {
            Ok(most @ 1..=MAX_ELEMENTS) => Some(most),
            _ => return Err(Reject::malformed(format!("max_map is {most}"))),
        },
        other => return Err(Reject::malformed(format!("map_form is {other}"))),
    };
    Ok(Box::new(CastMap { to, sparse }))
}

impl Kernel for CastMap {
    fn run(&self, args: &mut Args<'_>, cx: &mut Context<'_>) -> Result<(), Stop> {
        let maps = args.maps(0)?;
        let Classes::Int(keys) = maps.keys.as_ref() else {
            return Err(Stop::failed("the keys of the map are not whole numbers"));
        };
        let mut order: Vec<(i64, usize)> = keys.iter().copied().zip(0..).collect();
        order.sort_unstable();
        // The column of the map's values for each of the result, if it has one.
        let columns: Vec<Option<usize>> = match self.sparse {
            None => order.iter().map(|&(_, column)| Some(column)).collect(),
            Some(most) => {
                let mut columns = vec![None; most];
                for &(key, column) in &order {
                    let key = usize::try_from(key)
                        .map_err(|_| Stop::failed(format!("the key {key} is negative")))?;
                    if let Some(place) = columns.get_mut(key) {
                        *place = Some(column);
                    }
                }
                columns
            }
        };
        let (rows, width) = maps.values.as_matrix();
        let shape = Shape::matrix(rows, columns.len())?;
        let cells =
            (0..rows).flat_map(|row| columns.iter().map(move |c| c.map(|c| row * width + c)));
        let data = match (self.to, maps.values.data()) {
            (CastTo::Float, Data::F32(v)) => {
                Data::F32(cells.map(|cell| cell.map_or(0.0, |i| v[i])).collect())
            }
            (CastTo::Float, Data::Str(v)) => Data::F32(
                cells
                    .map(|cell| match there(cell, v) {
                        Some(text) => Ok(parse_float(text)? as f32),
                        None => Ok(0.0),
                    })
                    .collect::<Result<_, Stop>>()?,
            ),
            (CastTo::Int64, Data::F32(v)) => Data::I64(
                cells
                    .map(|cell| cell.map_or(0, |i| truncate_i64(f64::from(v[i]))))
                    .collect(),
            ),
            (CastTo::Int64, Data::Str(v)) => Data::I64(
                cells
                    .map(|cell| there(cell, v).map_or(Ok(0), parse_whole))
                    .collect::<Result<_, Stop>>()?,
            ),
            (CastTo::Text, values) => {
                let mut out = cx.pool.strings();
                for cell in cells {
                    match (cell, values) {
                        // What ONNX Runtime writes for a key that is not there.
                        (None, _) => out.push("0.f"),
                        (Some(i), Data::Str(v)) => out.push(v.get(i)),
                        (Some(i), Data::F32(v)) => out.push(&fixed(v[i])),
                        (Some(_), other) => return Err(other_values(other)),
                    }
                }
                Data::Str(out)
            }
            (_, other) => return Err(other_values(other)),
        };
        cx.give(Tensor::new(shape, data)?);
        Ok(())
    }

    fn missing(&self) -> Missing {
        // Sparse, a key that is not there is a 0; as a text that would be another one.
        match (self.sparse, self.to) {
            (Some(_), CastTo::Float | CastTo::Int64) => Missing::Handles,
            _ => Missing::Spoils,
        }
    }
}

/// The text of a cell; a missing one is a key that the map does not have.
fn there(cell: Option<usize>, texts: &Strings) -> Option<&str> {
    cell.map(|i| texts.get(i)).filter(|text| !text.is_empty())
}

fn other_values(values: &Data) -> Stop {
    Stop::failed(format!(
        "the values of the map are {}, not float or string",
        values.element()
    ))
}

/// A number as C writes it with `%f`.
fn fixed(v: f32) -> String {
    match v.is_nan() {
        true if v.is_sign_negative() => "-nan".to_owned(),
        true => "nan".to_owned(),
        false => format!("{v:.6}"),
    }
}
