//! What classifiers and regressors do to their scores at the end, as ONNX Runtime does it.

use crate::onnx::Reject;

/// The attribute `post_transform`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transform {
    None,
    Logistic,
    Softmax,
    SoftmaxZero,
    Probit,
}

impl Transform {
    /// Reads the attribute's value.
    pub fn parse(name: &str) -> Result<Transform, Reject> {
        Ok(match name {
            "NONE" => Transform::None,
            "LOGISTIC" => Transform::Logistic,
            "SOFTMAX" => Transform::Softmax,
            "SOFTMAX_ZERO" => Transform::SoftmaxZero,
            "PROBIT" => Transform::Probit,
            other => {
                return Err(Reject::malformed(format!(
                    "post_transform {other} is not known"
                )));
            }
        })
    }

    /// Applies the transform to the scores of one row.
    pub fn apply(self, scores: &mut [f32]) {
        match self {
            Transform::None => {}
            Transform::Logistic => scores.iter_mut().for_each(|v| *v = logistic(*v)),
            Transform::Probit => scores.iter_mut().for_each(|v| *v = probit(*v)),
            Transform::Softmax => softmax(scores),
            Transform::SoftmaxZero => softmax_zero(scores),
        }
    }
}

/// How a binary model's only score becomes two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Second {
    /// It stays one.
    No,
    /// The score is a probability: the other is what is left of 1.
    Rest,
    /// The score has a sign: the other has the opposite one.
    Opposite,
}

/// Writes a binary model's only score as `row` (one or two cells).
pub(crate) fn write_single(score: f32, transform: Transform, second: Second, row: &mut [f32]) {
    row.fill(0.0);
    let (other, own) = match (transform, second) {
        (Transform::Probit, _) => {
            if let Some(first) = row.first_mut() {
                *first = probit(score);
            }
            return;
        }
        (_, Second::No) => {
            if let Some(first) = row.first_mut() {
                *first = score;
            }
            return;
        }
        (Transform::Logistic, _) => (logistic(-score), logistic(score)),
        (_, Second::Rest) => (1.0 - score, score),
        (_, Second::Opposite) => (-score, score),
    };
    if let [first, rest @ ..] = row {
        *first = other;
        if let Some(second) = rest.first_mut() {
            *second = own;
        }
    }
}

/// The logistic function in the form that cannot overflow.
pub(crate) fn logistic(x: f32) -> f32 {
    let v = 1.0 / (1.0 + (-x.abs()).exp());
    if x < 0.0 { 1.0 - v } else { v }
}

/// The approximation of the inverse error function that ONNX Runtime uses.
fn erf_inv(x: f32) -> f32 {
    let sign = if x < 0.0 { -1.0 } else { 1.0 };
    let log = ((1.0 - x) * (1.0 + x)).ln();
    // 3.14159 and not pi: the digits of the reference.
    #[allow(clippy::approx_constant)]
    let v = 2.0 / (3.14159 * 0.147) + 0.5 * log;
    let v2 = 1.0 / 0.147 * log;
    sign * (-v + (v * v - v2).sqrt()).sqrt()
}

fn probit(x: f32) -> f32 {
    std::f32::consts::SQRT_2 * erf_inv(2.0 * x - 1.0)
}

fn softmax(scores: &mut [f32]) {
    let largest = scores
        .iter()
        .fold(f32::MIN, |a, &v| if v > a { v } else { a });
    let mut sum = 0.0;
    for v in scores.iter_mut() {
        *v = (*v - largest).exp();
        sum += *v;
    }
    scores.iter_mut().for_each(|v| *v /= sum);
}

/// Softmax that leaves zeros out of the sum.
fn softmax_zero(scores: &mut [f32]) {
    let largest = scores
        .iter()
        .fold(f32::MIN, |a, &v| if v > a { v } else { a });
    let shift = (-largest).exp();
    let mut sum = 0.0;
    for v in scores.iter_mut() {
        if *v > 1e-7 || *v < -1e-7 {
            *v = (*v - largest).exp();
            sum += *v;
        } else {
            *v *= shift;
        }
    }
    scores.iter_mut().for_each(|v| *v /= sum);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transforms_of_known_scores() {
        let apply = |t: Transform, mut v: Vec<f32>| {
            t.apply(&mut v);
            v
        };
        assert_eq!(apply(Transform::Softmax, vec![1.0, 1.0]), [0.5, 0.5]);
        assert_eq!(apply(Transform::SoftmaxZero, vec![0.3125, 0.0]), [1.0, 0.0]);
        assert_eq!(apply(Transform::Logistic, vec![0.0, 0.0]), [0.5, 0.5]);
        let probit = apply(Transform::Probit, vec![0.25, 0.75]);
        assert!((probit[0] + 0.674_574_3).abs() < 1e-6 && (probit[1] - 0.674_574_3).abs() < 1e-6);
    }

    #[test]
    fn one_score_becomes_two() {
        let write = |t, s| {
            let mut row = [9.0; 2];
            write_single(0.25, t, s, &mut row);
            row
        };
        assert_eq!(write(Transform::None, Second::Rest), [0.75, 0.25]);
        assert_eq!(write(Transform::None, Second::Opposite), [-0.25, 0.25]);
        let l = write(Transform::Logistic, Second::Opposite);
        assert!((l[0] - 0.437_823_5).abs() < 1e-6 && (l[1] - 0.562_176_5).abs() < 1e-6);
    }
}
