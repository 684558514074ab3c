//! Comparison, logic and choice.

use super::broadcast;
use super::{Built, Reject};
use crate::engine::args::Args;
use crate::engine::pool::Pooled;
use crate::engine::tensor::{Data, Shape, Tensor};
use crate::engine::{Context, Kernel, Missing, Stop};
use crate::onnx::compile::Spec;

#[derive(Debug, Clone, Copy, PartialEq)]
enum Relation {
    Equal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    And,
    Or,
    Xor,
}

struct Binary(Relation);
struct Not;
struct Select;
struct IsNan;
struct IsInf {
    negative: bool,
    positive: bool,
}

/// Comparisons and the logical connectives.
pub(crate) fn binary(spec: &mut Spec<'_>) -> Built {
    Ok(Box::new(Binary(match spec.op {
        "Equal" => Relation::Equal,
        "Less" => Relation::Less,
        "LessOrEqual" => Relation::LessOrEqual,
        "Greater" => Relation::Greater,
        "GreaterOrEqual" => Relation::GreaterOrEqual,
        "And" => Relation::And,
        "Or" => Relation::Or,
        "Xor" => Relation::Xor,
        other => return Err(Reject::unsupported(format!("ONNX operator {other}"))),
    })))
}

/// `Not`.
pub(crate) fn not(_: &mut Spec<'_>) -> Built {
    Ok(Box::new(Not))
}

/// `Where`.
pub(crate) fn select(_: &mut Spec<'_>) -> Built {
    Ok(Box::new(Select))
}

/// `IsNaN`.
pub(crate) fn is_nan(_: &mut Spec<'_>) -> Built {
    Ok(Box::new(IsNan))
}

/// `IsInf`.
pub(crate) fn is_inf(spec: &mut Spec<'_>) -> Built {
    Ok(Box::new(IsInf {
        negative: spec.attrs.flag("detect_negative", true)?,
        positive: spec.attrs.flag("detect_positive", true)?,
    }))
}

impl Kernel for Binary {
    fn run(&self, args: &mut Args<'_>, cx: &mut Context<'_>) -> Result<(), Stop> {
        let (x, y) = (args.tensor(0)?, args.tensor(1)?);
        let target = broadcast::shape(x.shape(), y.shape())?;
        let mut out = cx.pool.buffer::<bool>(target.count());
        let (sx, sy) = (x.shape(), y.shape());
        match (x.data(), y.data()) {
            (Data::F32(a), Data::F32(b)) => {
                ordered(self.0, (sx, a), (sy, b), &target, &mut out)?;
            }
            (Data::F64(a), Data::F64(b)) => {
                ordered(self.0, (sx, a), (sy, b), &target, &mut out)?;
            }
            (Data::I64(a), Data::I64(b)) => {
                ordered(self.0, (sx, a), (sy, b), &target, &mut out)?;
            }
            (Data::I32(a), Data::I32(b)) => {
                ordered(self.0, (sx, a), (sy, b), &target, &mut out)?;
            }
            (Data::Bool(a), Data::Bool(b)) => {
                let (a, b) = ((sx, &a[..]), (sy, &b[..]));
                match self.0 {
                    Relation::And => broadcast::zip(a, b, &target, &mut out, |x, y| x & y),
                    Relation::Or => broadcast::zip(a, b, &target, &mut out, |x, y| x | y),
                    Relation::Xor => broadcast::zip(a, b, &target, &mut out, |x, y| x ^ y),
                    Relation::Equal => broadcast::zip(a, b, &target, &mut out, |x, y| x == y),
                    other => return Err(Stop::failed(format!("no {other:?} of bool"))),
                }
            }
            (Data::Str(a), Data::Str(b)) if self.0 == Relation::Equal => {
                broadcast::rows([sx, sy], &target, |[i, j], [p, q], range| {
                    for k in 0..range.len() {
                        out.push(a.get(i + k * p) == b.get(j + k * q));
                    }
                });
            }
            (a, b) => {
                return Err(Stop::failed(format!(
                    "no {:?} of {} and {}",
                    self.0,
                    a.element(),
                    b.element()
                )));
            }
        }
        cx.give(Tensor::of(target, out)?);
        Ok(())
    }
}

fn ordered<T: Pooled + PartialOrd>(
    relation: Relation,
    a: (&Shape, &[T]),
    b: (&Shape, &[T]),
    target: &Shape,
    out: &mut Vec<bool>,
) -> Result<(), Stop> {
    match relation {
        Relation::Equal => broadcast::zip(a, b, target, out, |x, y| x == y),
        Relation::Less => broadcast::zip(a, b, target, out, |x, y| x < y),
        Relation::LessOrEqual => broadcast::zip(a, b, target, out, |x, y| x <= y),
        Relation::Greater => broadcast::zip(a, b, target, out, |x, y| x > y),
        Relation::GreaterOrEqual => broadcast::zip(a, b, target, out, |x, y| x >= y),
        other => return Err(Stop::failed(format!("no {other:?} of numbers"))),
    }
    Ok(())
}

impl Kernel for Not {
    fn run(&self, args: &mut Args<'_>, cx: &mut Context<'_>) -> Result<(), Stop> {
        let (shape, data) = args.take(0, cx.pool)?.into_parts();
        let Data::Bool(mut v) = data else {
            return Err(Stop::failed(format!("no Not of {}", data.element())));
        };
        v.iter_mut().for_each(|b| *b = !*b);
        cx.give(Tensor::of(shape, v)?);
        Ok(())
    }
}

impl Kernel for Select {
    fn run(&self, args: &mut Args<'_>, cx: &mut Context<'_>) -> Result<(), Stop> {
        let (condition, x, y) = (args.tensor(0)?, args.tensor(1)?, args.tensor(2)?);
        let given = condition.slice::<bool>()?;
        let shapes = [condition.shape(), x.shape(), y.shape()];
        let target = broadcast::shape(shapes[1], shapes[2])?;
        let target = broadcast::shape(shapes[0], &target)?;
        let data = match (x.data(), y.data()) {
            (Data::F32(a), Data::F32(b)) => Data::F32(choose(given, a, b, shapes, &target, cx)),
            (Data::F64(a), Data::F64(b)) => Data::F64(choose(given, a, b, shapes, &target, cx)),
            (Data::I64(a), Data::I64(b)) => Data::I64(choose(given, a, b, shapes, &target, cx)),
            (Data::I32(a), Data::I32(b)) => Data::I32(choose(given, a, b, shapes, &target, cx)),
            (Data::Bool(a), Data::Bool(b)) => Data::Bool(choose(given, a, b, shapes, &target, cx)),
            (Data::Str(a), Data::Str(b)) => {
                let mut out = cx.pool.strings();
                broadcast::rows(shapes, &target, |[c, i, j], [s, p, q], range| {
                    for k in 0..range.len() {
                        out.push(if given[c + k * s] {
                            a.get(i + k * p)
                        } else {
                            b.get(j + k * q)
                        });
                    }
                });
                Data::Str(out)
            }
            (a, b) => {
                return Err(Stop::failed(format!(
                    "no choice between {} and {}",
                    a.element(),
                    b.element()
                )));
            }
        };
        cx.give(Tensor::new(target, data)?);
        Ok(())
    }
}

fn choose<T: Pooled>(
    condition: &[bool],
    a: &[T],
    b: &[T],
    shapes: [&Shape; 3],
    target: &Shape,
    cx: &mut Context<'_>,
) -> Vec<T> {
    let mut out = cx.pool.buffer::<T>(target.count());
    broadcast::rows(shapes, target, |[c, i, j], [s, p, q], range| {
        for k in 0..range.len() {
            out.push(if condition[c + k * s] {
                a[i + k * p]
            } else {
                b[j + k * q]
            });
        }
    });
    out
}

impl Kernel for IsNan {
    fn missing(&self) -> Missing {
        Missing::Handles
    }

    fn run(&self, args: &mut Args<'_>, cx: &mut Context<'_>) -> Result<(), Stop> {
        let x = args.tensor(0)?;
        let mut out = cx.pool.buffer::<bool>(x.len());
        match x.data() {
            Data::F32(v) => out.extend(v.iter().map(|v| v.is_nan())),
            Data::F64(v) => out.extend(v.iter().map(|v| v.is_nan())),
            other => return Err(Stop::failed(format!("no NaN in {}", other.element()))),
        }
        cx.give(Tensor::of(*x.shape(), out)?);
        Ok(())
    }
}

impl Kernel for IsInf {
    fn run(&self, args: &mut Args<'_>, cx: &mut Context<'_>) -> Result<(), Stop> {
        let x = args.tensor(0)?;
        let mut out = cx.pool.buffer::<bool>(x.len());
        let hit = |v: f64| {
            (v == f64::INFINITY && self.positive) || (v == f64::NEG_INFINITY && self.negative)
        };
        match x.data() {
            Data::F32(v) => out.extend(v.iter().map(|&v| hit(f64::from(v)))),
            Data::F64(v) => out.extend(v.iter().map(|&v| hit(v))),
            other => return Err(Stop::failed(format!("no infinity in {}", other.element()))),
        }
        cx.give(Tensor::of(*x.shape(), out)?);
        Ok(())
    }
}
