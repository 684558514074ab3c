//! Operators on sequences of maps: `ZipMap` and `DictVectorizer`.

use std::sync::Arc;

use super::classes;
use crate::engine::args::Args;
use crate::engine::tensor::{Classes, Maps, Shape};
use crate::engine::{Context, Kernel, Stop};
use crate::onnx::compile::Spec;
use crate::ops::Built;
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
}
