//! What becomes of the sums: the inverse link functions of the objectives.
//!
//! In double precision they are LightGBM's, in single precision XGBoost's, each written as its
//! library writes it, so that the last bits agree where the C library is the same.

use crate::trees::Real;

/// An inverse link function.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Link {
    /// The sum itself.
    Identity,
    /// The square, with the sum's sign.
    SignedSquare,
    Exp,
    /// The same, computed in double precision.
    ExpInDouble,
    /// The logistic function of the sum times this.
    Logistic(f64),
    /// `log(1 + exp(x))`.
    LogOnePlusExp,
    Softmax,
    /// 1 where the sum is above 0, else 0.
    Step,
}

/// A precision with its library's functions.
pub(crate) trait Linked: Real {
    /// Replaces a row's sums by the results.
    fn link(link: Link, sums: &mut [Self]);
}

impl Linked for f64 {
    fn link(link: Link, sums: &mut [f64]) {
        match link {
            Link::Identity => {}
            Link::SignedSquare => sums.iter_mut().for_each(|x| {
                // Not `signum`, which has a sign for zero.
                *x = f64::from(i8::from(*x > 0.0) - i8::from(*x < 0.0)) * *x * *x;
            }),
            Link::Exp | Link::ExpInDouble => sums.iter_mut().for_each(|x| *x = x.exp()),
            Link::Logistic(factor) => sums
                .iter_mut()
                .for_each(|x| *x = 1.0 / (1.0 + (-factor * *x).exp())),
            Link::LogOnePlusExp => sums.iter_mut().for_each(|x| *x = x.exp().ln_1p()),
            Link::Softmax => {
                let largest = sums.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                let mut sum = 0.0;
                for x in sums.iter_mut() {
                    *x = (*x - largest).exp();
                    sum += *x;
                }
                sums.iter_mut().for_each(|x| *x /= sum);
            }
            Link::Step => sums
                .iter_mut()
                .for_each(|x| *x = f64::from(u8::from(*x > 0.0))),
        }
    }
}

impl Linked for f32 {
    fn link(link: Link, sums: &mut [f32]) {
        match link {
            Link::Identity => {}
            Link::SignedSquare => sums.iter_mut().for_each(|x| *x *= x.abs()),
            Link::Exp => sums.iter_mut().for_each(|x| *x = x.exp()),
            Link::ExpInDouble => sums
                .iter_mut()
                .for_each(|x| *x = f64::from(*x).exp() as f32),
            Link::Logistic(factor) => sums
                .iter_mut()
                .for_each(|x| *x = logistic(*x * factor as f32)),
            Link::LogOnePlusExp => sums.iter_mut().for_each(|x| *x = x.exp().ln_1p()),
            Link::Softmax => {
                let largest = sums.iter().copied().fold(f32::NEG_INFINITY, f32::max);
                let mut sum = 0f64;
                for x in sums.iter_mut() {
                    *x = (*x - largest).exp();
                    sum += f64::from(*x);
                }
                let sum = sum as f32;
                sums.iter_mut().for_each(|x| *x /= sum);
            }
            Link::Step => sums
                .iter_mut()
                .for_each(|x| *x = f32::from(u8::from(*x > 0.0))),
        }
    }
}

/// XGBoost's logistic function: bounded so that `exp` stays finite.
pub(crate) fn logistic(x: f32) -> f32 {
    let e = (-x).min(88.7).exp();
    1.0 / (e + 1.0 + 1e-16)
}
