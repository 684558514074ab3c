//! Element-wise functions of one tensor.

use super::Built;
use super::erf::erf;
use crate::engine::args::Args;
use crate::engine::pool::Pooled;
use crate::engine::tensor::{Data, Tensor};
use crate::engine::{Context, Kernel, Stop};
use crate::onnx::compile::Spec;

/// What the functions need of a floating-point type.
pub(crate) trait Float: Pooled + PartialOrd {
    fn from_f64(v: f64) -> Self;
    fn to_f64(self) -> f64;
    fn function(self, f: Function) -> Self;
}

/// A function with its parameters.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Function {
    Abs,
    Acos,
    Acosh,
    Asin,
    Asinh,
    Atan,
    Atanh,
    Ceil,
    Cos,
    Cosh,
    Elu(f32),
    Erf,
    Exp,
    Floor,
    HardSigmoid(f32, f32),
    LeakyRelu(f32),
    Log,
    Neg,
    Reciprocal,
    Relu,
    Round,
    Selu(f32, f32),
    Sigmoid,
    Sign,
    Sin,
    Sinh,
    Softplus,
    Softsign,
    Sqrt,
    Tan,
    Tanh,
    ThresholdedRelu(f32),
}

macro_rules! float {
    ($type:ty) => {
        impl Float for $type {
            fn from_f64(v: f64) -> Self {
                v as $type
            }
            fn to_f64(self) -> f64 {
                f64::from(self)
            }
            #[inline(always)]
            fn function(self, f: Function) -> Self {
                let x = self;
                match f {
                    Function::Abs => x.abs(),
                    Function::Acos => x.acos(),
                    Function::Acosh => x.acosh(),
                    Function::Asin => x.asin(),
                    Function::Asinh => x.asinh(),
                    Function::Atan => x.atan(),
                    Function::Atanh => x.atanh(),
                    Function::Ceil => x.ceil(),
                    Function::Cos => x.cos(),
                    Function::Cosh => x.cosh(),
                    Function::Elu(alpha) => {
                        if x < 0.0 {
                            alpha as $type * x.exp_m1()
                        } else {
                            x
                        }
                    }
                    Function::Erf => erf(f64::from(x)) as $type,
                    Function::Exp => x.exp(),
                    Function::Floor => x.floor(),
                    Function::HardSigmoid(alpha, beta) => {
                        let y = alpha as $type * x + beta as $type;
                        if y < 0.0 {
                            0.0
                        } else if y > 1.0 {
                            1.0
                        } else {
                            y
                        }
                    }
                    Function::LeakyRelu(alpha) => {
                        if x < 0.0 {
                            alpha as $type * x
                        } else {
                            x
                        }
                    }
                    Function::Log => x.ln(),
                    Function::Neg => -x,
                    Function::Reciprocal => 1.0 / x,
                    // NaN stays NaN.
                    Function::Relu => {
                        if x < 0.0 {
                            0.0
                        } else {
                            x
                        }
                    }
                    Function::Round => x.round_ties_even(),
                    Function::Selu(alpha, gamma) => {
                        let y = if x > 0.0 {
                            x
                        } else {
                            alpha as $type * x.exp_m1()
                        };
                        gamma as $type * y
                    }
                    Function::Sigmoid => {
                        // Of the two equal forms the one whose exponential cannot overflow.
                        if x >= 0.0 {
                            1.0 / (1.0 + (-x).exp())
                        } else {
                            let e = x.exp();
                            e / (1.0 + e)
                        }
                    }
                    Function::Sign => {
                        if x > 0.0 {
                            1.0
                        } else if x < 0.0 {
                            -1.0
                        } else if x == 0.0 {
                            0.0
                        } else {
                            x
                        }
                    }
                    Function::Sin => x.sin(),
                    Function::Sinh => x.sinh(),
                    Function::Softplus => {
                        if x > 0.0 {
                            x + (-x).exp().ln_1p()
                        } else {
                            x.exp().ln_1p()
                        }
                    }
                    Function::Softsign => x / (1.0 + x.abs()),
                    Function::Sqrt => x.sqrt(),
                    Function::Tan => x.tan(),
                    Function::Tanh => x.tanh(),
                    Function::ThresholdedRelu(alpha) => {
                        if x > alpha as $type {
                            x
                        } else {
                            0.0
                        }
                    }
                }
            }
        }
    };
}
float!(f32);
float!(f64);

struct Unary(Function);

/// Builds a function of one tensor.
pub(crate) fn make(spec: &mut Spec<'_>) -> Built {
    let attrs = &mut spec.attrs;
    let function = match spec.op {
        "Abs" => Function::Abs,
        "Acos" => Function::Acos,
        "Acosh" => Function::Acosh,
        "Asin" => Function::Asin,
        "Asinh" => Function::Asinh,
        "Atan" => Function::Atan,
        "Atanh" => Function::Atanh,
        "Ceil" => Function::Ceil,
        "Cos" => Function::Cos,
        "Cosh" => Function::Cosh,
        "Elu" => Function::Elu(attrs.float_or("alpha", 1.0)?),
        "Erf" => Function::Erf,
        "Exp" => Function::Exp,
        "Floor" => Function::Floor,
        "HardSigmoid" => {
            Function::HardSigmoid(attrs.float_or("alpha", 0.2)?, attrs.float_or("beta", 0.5)?)
        }
        "LeakyRelu" => Function::LeakyRelu(attrs.float_or("alpha", 0.01)?),
        "Log" => Function::Log,
        "Neg" => Function::Neg,
        "Reciprocal" => Function::Reciprocal,
        "Relu" => Function::Relu,
        "Round" => Function::Round,
        // The defaults of the specification, written with all their digits.
        "Selu" => Function::Selu(
            attrs.float_or("alpha", 1.673_263_2)?,
            attrs.float_or("gamma", 1.050_701)?,
        ),
        "Sigmoid" => Function::Sigmoid,
        "Sign" => Function::Sign,
        "Sin" => Function::Sin,
        "Sinh" => Function::Sinh,
        "Softplus" => Function::Softplus,
        "Softsign" => Function::Softsign,
        "Sqrt" => Function::Sqrt,
        "Tan" => Function::Tan,
        "Tanh" => Function::Tanh,
        "ThresholdedRelu" => Function::ThresholdedRelu(attrs.float_or("alpha", 1.0)?),
        other => return Err(spec.lacks(format!("the function {other}"))),
    };
    Ok(Box::new(Unary(function)))
}

impl Kernel for Unary {
    fn run(&self, args: &mut Args<'_>, cx: &mut Context<'_>) -> Result<(), Stop> {
        let (shape, data) = args.take(0, cx.pool)?.into_parts();
        let data = match data {
            Data::F32(mut v) => {
                apply(&mut v, self.0, cx)?;
                Data::F32(v)
            }
            Data::F64(mut v) => {
                apply(&mut v, self.0, cx)?;
                Data::F64(v)
            }
            Data::I64(mut v) => {
                let f = whole(self.0)?;
                v.iter_mut().for_each(|x| *x = f(*x));
                Data::I64(v)
            }
            Data::I32(mut v) => {
                let f = whole(self.0)?;
                // The functions of whole numbers stay in range but for the smallest number, whose
                // negative wraps to itself at either width.
                v.iter_mut().for_each(|x| *x = f(i64::from(*x)) as i32);
                Data::I32(v)
            }
            other => {
                return Err(Stop::failed(format!(
                    "no such function of {}",
                    other.element()
                )));
            }
        };
        cx.give(Tensor::new(shape, data)?);
        Ok(())
    }
}

/// How many elements are computed between two looks at whether the caller gave up.
const BLOCK: usize = 1 << 14;

fn apply<T: Float>(values: &mut [T], f: Function, cx: &Context<'_>) -> Result<(), Stop> {
    for block in values.chunks_mut(BLOCK) {
        // With the function known in front of the loop, the common ones run without a choice for
        // each element.
        match f {
            Function::Exp => block
                .iter_mut()
                .for_each(|x| *x = x.function(Function::Exp)),
            Function::Neg => block
                .iter_mut()
                .for_each(|x| *x = x.function(Function::Neg)),
            Function::Relu => block
                .iter_mut()
                .for_each(|x| *x = x.function(Function::Relu)),
            Function::Sqrt => block
                .iter_mut()
                .for_each(|x| *x = x.function(Function::Sqrt)),
            Function::Tanh => block
                .iter_mut()
                .for_each(|x| *x = x.function(Function::Tanh)),
            Function::Sigmoid => {
                block
                    .iter_mut()
                    .for_each(|x| *x = x.function(Function::Sigmoid));
            }
            other => block.iter_mut().for_each(|x| *x = x.function(other)),
        }
        cx.check()?;
    }
    Ok(())
}

fn whole(f: Function) -> Result<fn(i64) -> i64, Stop> {
    Ok(match f {
        Function::Abs => i64::wrapping_abs,
        Function::Neg => i64::wrapping_neg,
        Function::Sign => i64::signum,
        Function::Relu => |x| x.max(0),
        Function::Ceil | Function::Floor | Function::Round => |x| x,
        other => {
            return Err(Stop::failed(format!(
                "{other:?} is not a function of whole numbers"
            )));
        }
    })
}
