//! The operators of `ai.onnx.ml`.

mod encode;
mod ensemble;
mod linear;
mod maps;
mod numeric;
pub(crate) mod post;
mod svm;
mod tree;

use super::Maker;
use crate::engine::Stop;
use crate::engine::tensor::{Classes, Data, Shape, Strings, Tensor};
use crate::onnx::Reject;
use crate::onnx::attrs::Attrs;

/// The constructor of an operator.
pub(crate) fn maker(op: &str) -> Option<Maker> {
    Some(match op {
        "ArrayFeatureExtractor" => numeric::array_feature_extractor,
        "Binarizer" => numeric::binarizer,
        "CastMap" => maps::cast_map,
        "CategoryMapper" => encode::category_mapper,
        "DictVectorizer" => maps::dict_vectorizer,
        "FeatureVectorizer" => numeric::feature_vectorizer,
        "Imputer" => numeric::imputer,
        "LabelEncoder" => encode::label_encoder,
        "LinearClassifier" => linear::classifier,
        "LinearRegressor" => linear::regressor,
        "Normalizer" => numeric::normalizer,
        "OneHotEncoder" => encode::one_hot_encoder,
        "SVMClassifier" => svm::classifier,
        "SVMRegressor" => svm::regressor,
        "Scaler" => numeric::scaler,
        "TreeEnsemble" => ensemble::tree_ensemble,
        "TreeEnsembleClassifier" => tree::classifier,
        "TreeEnsembleRegressor" => tree::regressor,
        "ZipMap" => maps::zip_map,
        _ => return None,
    })
}

/// The classes of a classifier, whose two attributes differ in name between operators.
pub(crate) fn classes(attrs: &mut Attrs, strings: &str, ints: &str) -> Result<Classes, Reject> {
    let texts = attrs.strings(strings)?;
    let numbers = attrs.ints(ints)?;
    match (texts.is_empty(), numbers.is_empty()) {
        (false, true) => Ok(Classes::Str(texts)),
        (true, false) => Ok(Classes::Int(numbers)),
        (true, true) => Err(Reject::malformed("there are no class labels")),
        (false, false) => Err(Reject::malformed("class labels of both types")),
    }
}

/// The labels of a batch, as they are found.
pub(crate) enum Labels<'a> {
    Int(&'a [i64], Vec<i64>),
    Str(&'a [String], Strings),
}

impl<'a> Labels<'a> {
    /// An empty batch.
    pub fn new(classes: &'a Classes, rows: usize, cx: &mut crate::engine::Context<'_>) -> Self {
        match classes {
            Classes::Int(list) => Labels::Int(list, cx.pool.buffer(rows)),
            Classes::Str(list) => Labels::Str(list, cx.pool.strings()),
        }
    }

    /// Appends class number `i`. Where a binary model names fewer classes, the numbers 0 and 1 of
    /// the classes themselves are their labels.
    pub fn push(&mut self, i: usize) {
        match self {
            Labels::Int(list, out) => out.push(list.get(i).copied().unwrap_or(i as i64)),
            Labels::Str(list, out) => match list.get(i) {
                Some(label) => out.push(label),
                None => out.push(if i == 0 { "0" } else { "1" }),
            },
        }
    }

    /// The labels as a vector.
    pub fn tensor(self) -> Result<Tensor, Stop> {
        let data = match self {
            Labels::Int(_, out) => Data::I64(out),
            Labels::Str(_, out) => Data::Str(out),
        };
        Tensor::new(Shape::vector(data.len())?, data)
    }
}

/// The elements as f32, converted where they are not.
pub(crate) fn floats<'t>(x: &'t Tensor, buffer: &'t mut Vec<f32>) -> Result<&'t [f32], Stop> {
    match x.data() {
        Data::F32(v) => return Ok(v),
        Data::F64(v) => buffer.extend(v.iter().map(|&v| v as f32)),
        Data::I64(v) => buffer.extend(v.iter().map(|&v| v as f32)),
        Data::I32(v) => buffer.extend(v.iter().map(|&v| v as f32)),
        other => {
            return Err(Stop::failed(format!(
                "expected numbers, found {}",
                other.element()
            )));
        }
    }
    Ok(buffer)
}
