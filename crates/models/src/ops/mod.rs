//! The operators: which ones there are, and how each is built from a node.
//!
//! Semantics follow the ONNX specification and, where that is silent, ONNX Runtime: models are
//! trained and tested against it.

mod arithmetic;
mod axis;
mod broadcast;
mod cast;
mod compare;
mod erf;
mod gather;
mod hash;
mod layout;
mod matmul;
mod ml;
mod norm;
mod pattern;
mod pick;
mod reduce;
mod scan;
mod shape;
mod softmax;
mod text;
mod tokens;
mod unary;

use crate::engine::Kernel;
use crate::onnx::Reject;
use crate::onnx::compile::Spec;

/// What an operator's constructor answers.
pub(crate) type Built = Result<Box<dyn Kernel>, Reject>;

/// An operator's constructor.
pub(crate) type Maker = fn(&mut Spec<'_>) -> Built;

/// The constructor of an operator.
fn maker(domain: &str, op: &str) -> Option<Maker> {
    match domain {
        "ai.onnx" => basic(op),
        "ai.onnx.ml" => ml::maker(op),
        "com.microsoft" => match op {
            "CDist" => Some(matmul::cdist),
            "Tokenizer" => Some(tokens::tokenizer),
            _ => None,
        },
        _ => None,
    }
}

/// Whether the engine has the operator at all.
pub(crate) fn is_known(domain: &str, op: &str) -> bool {
    maker(domain, op).is_some()
}

/// Builds the operator of a node.
pub(crate) fn build(spec: &mut Spec<'_>) -> Built {
    match maker(spec.domain, spec.op) {
        Some(make) => make(spec),
        None => Err(Reject::unsupported(format!(
            "ONNX operator {} (version {})",
            spec.name(),
            spec.version
        ))),
    }
}

/// The operators of the main domain.
fn basic(op: &str) -> Option<Maker> {
    Some(match op {
        "Abs" | "Acos" | "Acosh" | "Asin" | "Asinh" | "Atan" | "Atanh" | "Ceil" | "Cos"
        | "Cosh" | "Elu" | "Erf" | "Exp" | "Floor" | "HardSigmoid" | "LeakyRelu" | "Log"
        | "Neg" | "Reciprocal" | "Relu" | "Round" | "Selu" | "Sigmoid" | "Sign" | "Sin"
        | "Sinh" | "Softplus" | "Softsign" | "Sqrt" | "Tan" | "Tanh" | "ThresholdedRelu" => {
            unary::make
        }
        "Add" | "Sub" | "Mul" | "Div" | "Pow" | "Mod" => arithmetic::binary,
        "Min" | "Max" | "Sum" | "Mean" => arithmetic::variadic,
        "Clip" => arithmetic::clip,
        "BatchNormalization" => norm::batch_normalization,
        "LayerNormalization" => norm::layer_normalization,
        "LpNormalization" => norm::lp_normalization,
        "PRelu" => norm::p_relu,
        "And" | "Or" | "Xor" | "Equal" | "Less" | "LessOrEqual" | "Greater" | "GreaterOrEqual" => {
            compare::binary
        }
        "Not" => compare::not,
        "Where" => compare::select,
        "IsNaN" => compare::is_nan,
        "IsInf" => compare::is_inf,
        "ReduceSum" | "ReduceSumSquare" | "ReduceMean" | "ReduceMax" | "ReduceMin"
        | "ReduceProd" | "ReduceL1" | "ReduceL2" | "ReduceLogSumExp" | "ReduceLogSum" => {
            reduce::reduce
        }
        "ArgMax" | "ArgMin" => reduce::arg,
        "CumSum" => reduce::cumulative_sum,
        "Softmax" | "LogSoftmax" => softmax::make,
        "Cast" => cast::cast,
        "CastLike" => cast::cast_like,
        "Concat" => layout::concat,
        "Split" => layout::split,
        "Slice" => layout::slice,
        "Transpose" => layout::transpose,
        "Expand" => layout::expand,
        "Tile" => layout::tile,
        "Constant" => shape::constant,
        "ConstantOfShape" => shape::constant_of_shape,
        "Identity" | "Dropout" => shape::identity,
        "Flatten" => shape::flatten,
        "Reshape" => shape::reshape,
        "Shape" => shape::shape,
        "Size" => shape::size,
        "Squeeze" => shape::squeeze,
        "Unsqueeze" => shape::unsqueeze,
        "Range" => shape::range,
        "Gather" => gather::gather,
        "GatherElements" => gather::gather_elements,
        "GatherND" => gather::gather_nd,
        "ScatterElements" => gather::scatter_elements,
        "Compress" => pick::compress,
        "NonZero" => pick::non_zero,
        "OneHot" => pick::one_hot,
        "TopK" => pick::top_k,
        "Gemm" => matmul::gemm,
        "MatMul" => matmul::matmul,
        "Scan" => scan::make,
        "RegexFullMatch" => tokens::regex_full_match,
        "StringConcat" => tokens::string_concat,
        "StringNormalizer" => text::string_normalizer,
        "StringSplit" => tokens::string_split,
        "TfIdfVectorizer" => text::tf_idf,
        _ => return None,
    })
}
