//! Arithmetic of two or more tensors.

use super::broadcast;
use super::{Built, Reject};
use crate::engine::args::Args;
use crate::engine::pool::Pooled;
use crate::engine::tensor::{Data, Item, Shape, Tensor};
use crate::engine::{Context, Kernel, Stop};
use crate::onnx::compile::Spec;

/// What arithmetic needs of an element type. Whole numbers wrap, as in ONNX Runtime.
pub(crate) trait Number: Pooled + PartialOrd {
    fn add(self, other: Self) -> Self;
    fn sub(self, other: Self) -> Self;
    fn mul(self, other: Self) -> Self;
    /// Whether `other` divides at all.
    fn divides(other: Self) -> bool;
    fn div(self, other: Self) -> Self;
    /// The remainder with the sign of the divisor, as in Python.
    fn modulo(self, other: Self) -> Self;
    /// The remainder with the sign of the dividend, as in C.
    fn remainder(self, other: Self) -> Self;
    fn power(self, exponent: f64) -> Self;
    fn smaller(self, other: Self) -> Self;
    fn larger(self, other: Self) -> Self;
    fn of_count(n: usize) -> Self;
    /// The smallest and the largest finite value.
    fn bounds() -> (Self, Self);
    fn as_f64(self) -> f64;
}

macro_rules! whole {
    ($type:ty) => {
        impl Number for $type {
            #[inline(always)]
            fn add(self, other: Self) -> Self {
                self.wrapping_add(other)
            }
            #[inline(always)]
            fn sub(self, other: Self) -> Self {
                self.wrapping_sub(other)
            }
            #[inline(always)]
            fn mul(self, other: Self) -> Self {
                self.wrapping_mul(other)
            }
            fn divides(other: Self) -> bool {
                other != 0
            }
            #[inline(always)]
            fn div(self, other: Self) -> Self {
                self.wrapping_div(other)
            }
            fn modulo(self, other: Self) -> Self {
                let r = self.wrapping_rem(other);
                if r != 0 && (r < 0) != (other < 0) {
                    r + other
                } else {
                    r
                }
            }
            fn remainder(self, other: Self) -> Self {
                self.wrapping_rem(other)
            }
            fn power(self, exponent: f64) -> Self {
                (self as f64).powf(exponent) as $type
            }
            fn smaller(self, other: Self) -> Self {
                self.min(other)
            }
            fn larger(self, other: Self) -> Self {
                self.max(other)
            }
            fn of_count(n: usize) -> Self {
                n as $type
            }
            fn bounds() -> (Self, Self) {
                (<$type>::MIN, <$type>::MAX)
            }
            fn as_f64(self) -> f64 {
                self as f64
            }
        }
    };
}
whole!(i32);
whole!(i64);

macro_rules! real {
    ($type:ty) => {
        impl Number for $type {
            #[inline(always)]
            fn add(self, other: Self) -> Self {
                self + other
            }
            #[inline(always)]
            fn sub(self, other: Self) -> Self {
                self - other
            }
            #[inline(always)]
            fn mul(self, other: Self) -> Self {
                self * other
            }
            fn divides(_: Self) -> bool {
                true
            }
            #[inline(always)]
            fn div(self, other: Self) -> Self {
                self / other
            }
            fn modulo(self, other: Self) -> Self {
                let r = self % other;
                if r != 0.0 && (r < 0.0) != (other < 0.0) {
                    r + other
                } else {
                    r
                }
            }
            fn remainder(self, other: Self) -> Self {
                self % other
            }
            fn power(self, exponent: f64) -> Self {
                // Small whole exponents exactly as repeated products.
                if exponent == 2.0 {
                    self * self
                } else if exponent == 3.0 {
                    self * self * self
                } else {
                    self.powf(exponent as $type)
                }
            }
            // NaN wins over every number.
            #[inline(always)]
            fn smaller(self, other: Self) -> Self {
                if self < other || self.is_nan() {
                    self
                } else {
                    other
                }
            }
            #[inline(always)]
            fn larger(self, other: Self) -> Self {
                if self > other || self.is_nan() {
                    self
                } else {
                    other
                }
            }
            fn of_count(n: usize) -> Self {
                n as $type
            }
            fn bounds() -> (Self, Self) {
                (<$type>::MIN, <$type>::MAX)
            }
            fn as_f64(self) -> f64 {
                self as f64
            }
        }
    };
}
real!(f32);
real!(f64);

#[derive(Debug, Clone, Copy, PartialEq)]
enum Operation {
    Add,
    Sub,
    Mul,
    Div,
    Modulo,
    Remainder,
    Min,
    Max,
}

struct Binary(Operation);
struct Power;
struct Variadic {
    operation: Operation,
    mean: bool,
}
struct Clip {
    min: Option<f32>,
    max: Option<f32>,
}

/// `Add`, `Sub`, `Mul`, `Div`, `Mod`, `Pow`.
pub(crate) fn binary(spec: &mut Spec<'_>) -> Built {
    Ok(match spec.op {
        "Add" => Box::new(Binary(Operation::Add)),
        "Sub" => Box::new(Binary(Operation::Sub)),
        "Mul" => Box::new(Binary(Operation::Mul)),
        "Div" => Box::new(Binary(Operation::Div)),
        "Mod" if spec.attrs.flag("fmod", false)? => Box::new(Binary(Operation::Remainder)),
        "Mod" => Box::new(Binary(Operation::Modulo)),
        _ => Box::new(Power),
    })
}

/// `Min`, `Max`, `Sum`, `Mean`.
pub(crate) fn variadic(spec: &mut Spec<'_>) -> Built {
    if spec.given.is_empty() {
        return Err(Reject::malformed("no inputs"));
    }
    let operation = match spec.op {
        "Min" => Operation::Min,
        "Max" => Operation::Max,
        _ => Operation::Add,
    };
    Ok(Box::new(Variadic {
        operation,
        mean: spec.op == "Mean",
    }))
}

/// `Clip`: the limits are attributes before version 11 and inputs from there on.
pub(crate) fn clip(spec: &mut Spec<'_>) -> Built {
    let (min, max) = if spec.version < 11 {
        (spec.attrs.float("min")?, spec.attrs.float("max")?)
    } else {
        (None, None)
    };
    Ok(Box::new(Clip { min, max }))
}

/// Runs `$body` with `$a` and `$b` as slices of the same number type.
macro_rules! numbers {
    ($x:expr, $y:expr, |$a:ident, $b:ident| $body:expr) => {
        match ($x.data(), $y.data()) {
            (Data::F32($a), Data::F32($b)) => $body,
            (Data::F64($a), Data::F64($b)) => $body,
            (Data::I64($a), Data::I64($b)) => $body,
            (Data::I32($a), Data::I32($b)) => $body,
            (a, b) => {
                return Err(Stop::failed(format!(
                    "no arithmetic of {} and {}",
                    a.element(),
                    b.element()
                )))
            }
        }
    };
}

impl Kernel for Binary {
    fn run(&self, args: &mut Args<'_>, cx: &mut Context<'_>) -> Result<(), Stop> {
        let (x, y) = (args.tensor(0)?, args.tensor(1)?);
        let result = numbers!(x, y, |a, b| {
            apply(self.0, (x.shape(), a), (y.shape(), b), cx)?
        });
        cx.give(result);
        Ok(())
    }
}

fn apply<T: Number>(
    operation: Operation,
    a: (&Shape, &[T]),
    b: (&Shape, &[T]),
    cx: &mut Context<'_>,
) -> Result<Tensor, Stop> {
    let target = broadcast::shape(a.0, b.0)?;
    let mut out = cx.pool.buffer::<T>(target.count());
    match operation {
        Operation::Add => broadcast::zip(a, b, &target, &mut out, T::add),
        Operation::Sub => broadcast::zip(a, b, &target, &mut out, T::sub),
        Operation::Mul => broadcast::zip(a, b, &target, &mut out, T::mul),
        Operation::Min => broadcast::zip(a, b, &target, &mut out, T::smaller),
        Operation::Max => broadcast::zip(a, b, &target, &mut out, T::larger),
        Operation::Div | Operation::Modulo | Operation::Remainder => {
            if !b.1.iter().all(|&d| T::divides(d)) {
                return Err(Stop::failed("division of whole numbers by zero"));
            }
            match operation {
                Operation::Div => broadcast::zip(a, b, &target, &mut out, T::div),
                Operation::Modulo => broadcast::zip(a, b, &target, &mut out, T::modulo),
                _ => broadcast::zip(a, b, &target, &mut out, T::remainder),
            }
        }
    }
    Tensor::of(target, out)
}

impl Kernel for Power {
    fn run(&self, args: &mut Args<'_>, cx: &mut Context<'_>) -> Result<(), Stop> {
        let (x, y) = (args.tensor(0)?, args.tensor(1)?);
        let result = match x.data() {
            Data::F32(v) => power(x.shape(), v, y, cx)?,
            Data::F64(v) => power(x.shape(), v, y, cx)?,
            Data::I64(v) => power(x.shape(), v, y, cx)?,
            Data::I32(v) => power(x.shape(), v, y, cx)?,
            other => return Err(Stop::failed(format!("no power of {}", other.element()))),
        };
        cx.give(result);
        Ok(())
    }
}

/// Base and exponent may differ in type; the result has the type of the base.
fn power<T: Number>(
    shape: &Shape,
    base: &[T],
    exponent: &Tensor,
    cx: &mut Context<'_>,
) -> Result<Tensor, Stop> {
    fn with<T: Number, E: Number>(
        a: (&Shape, &[T]),
        b: (&Shape, &[E]),
        cx: &mut Context<'_>,
    ) -> Result<Tensor, Stop> {
        let target = broadcast::shape(a.0, b.0)?;
        let mut out = cx.pool.buffer::<T>(target.count());
        broadcast::zip(a, b, &target, &mut out, |x, e| x.power(e.as_f64()));
        Tensor::of(target, out)
    }
    let a = (shape, base);
    match exponent.data() {
        Data::F32(e) => with(a, (exponent.shape(), e), cx),
        Data::F64(e) => with(a, (exponent.shape(), e), cx),
        Data::I64(e) => with(a, (exponent.shape(), e), cx),
        Data::I32(e) => with(a, (exponent.shape(), e), cx),
        other => Err(Stop::failed(format!(
            "{} is not an exponent",
            other.element()
        ))),
    }
}

impl Kernel for Variadic {
    fn run(&self, args: &mut Args<'_>, cx: &mut Context<'_>) -> Result<(), Stop> {
        let mut total = args.take(0, cx.pool)?;
        for i in 1..args.len() {
            let next = args.tensor(i)?;
            let combined = numbers!(total, next, |a, b| {
                apply(self.operation, (total.shape(), a), (next.shape(), b), cx)?
            });
            cx.pool
                .recycle(std::mem::replace(&mut total, combined).into());
        }
        if self.mean {
            let (shape, data) = total.into_parts();
            let n = args.len();
            let data = match data {
                Data::F32(v) => Data::F32(divided(v, n)),
                Data::F64(v) => Data::F64(divided(v, n)),
                other => return Err(Stop::failed(format!("no mean of {}", other.element()))),
            };
            total = Tensor::new(shape, data)?;
        }
        cx.give(total);
        Ok(())
    }
}

fn divided<T: Number>(mut values: Vec<T>, n: usize) -> Vec<T> {
    let n = T::of_count(n);
    values.iter_mut().for_each(|v| *v = v.div(n));
    values
}

impl Kernel for Clip {
    fn run(&self, args: &mut Args<'_>, cx: &mut Context<'_>) -> Result<(), Stop> {
        let (shape, data) = args.take(0, cx.pool)?.into_parts();
        let data = match data {
            Data::F32(v) => {
                let limits = (self.min, self.max);
                Data::F32(clipped(v, limits, args)?)
            }
            Data::F64(v) => {
                let limits = (self.min.map(f64::from), self.max.map(f64::from));
                Data::F64(clipped(v, limits, args)?)
            }
            Data::I64(v) => Data::I64(clipped(v, (None, None), args)?),
            Data::I32(v) => Data::I32(clipped(v, (None, None), args)?),
            other => return Err(Stop::failed(format!("no limits of {}", other.element()))),
        };
        cx.give(Tensor::new(shape, data)?);
        Ok(())
    }
}

/// NaN stays NaN: it is neither below nor above a limit. A limit that is not given is the type's
/// smallest or largest finite value, as in ONNX Runtime: infinities do not pass.
fn clipped<T: Number + Item>(
    mut values: Vec<T>,
    limits: (Option<T>, Option<T>),
    args: &Args<'_>,
) -> Result<Vec<T>, Stop> {
    let limit = |i: usize, own: Option<T>| -> Result<Option<T>, Stop> {
        Ok(match args.optional(i)? {
            Some(t) => t.slice::<T>()?.first().copied(),
            None => own,
        })
    };
    let (lowest, highest) = T::bounds();
    let min = limit(1, limits.0)?.unwrap_or(lowest);
    let max = limit(2, limits.1)?.unwrap_or(highest);
    for v in &mut values {
        if *v < min {
            *v = min;
        }
        if *v > max {
            *v = max;
        }
    }
    Ok(values)
}
