//! The error function, which the standard library lacks.

/// `erf(x)` to about 15 digits: a series of positive terms for small arguments, a continued
/// fraction for the rest.
pub(crate) fn erf(x: f64) -> f64 {
    if x.is_nan() {
        return x;
    }
    let a = x.abs();
    let value = if a < 2.5 {
        // 2/sqrt(pi) * x * exp(-x^2) * sum (2x^2)^n / (1*3*5*...*(2n+1))
        let twice = 2.0 * a * a;
        let mut term = a;
        let mut sum = a;
        let mut n = 1.0;
        while term > sum * 1e-17 {
            n += 2.0;
            term *= twice / n;
            sum += term;
        }
        std::f64::consts::FRAC_2_SQRT_PI * (-a * a).exp() * sum
    } else if a < 6.0 {
        // erfc(x) = exp(-x^2)/sqrt(pi) * 1/(x + (1/2)/(x + 1/(x + (3/2)/(x + ...))))
        let mut tail = a;
        for k in (1..=60).rev() {
            tail = a + f64::from(k) * 0.5 / tail;
        }
        1.0 - std::f64::consts::FRAC_2_SQRT_PI * 0.5 * (-a * a).exp() / tail
    } else {
        1.0
    };
    value.copysign(x)
}

#[cfg(test)]
mod tests {
    use super::erf;

    #[test]
    fn known_values() {
        for (x, y) in [
            (0.0, 0.0),
            (0.1, 0.112_462_916_018_284_9),
            (0.5, 0.520_499_877_813_046_5),
            (1.0, 0.842_700_792_949_714_9),
            (2.0, 0.995_322_265_018_952_7),
            (2.5, 0.999_593_047_982_555),
            (3.0, 0.999_977_909_503_001_4),
            (7.0, 1.0),
        ] {
            assert!((erf(x) - y).abs() < 1e-14, "erf({x}) = {}", erf(x));
            assert!((erf(-x) + y).abs() < 1e-14);
        }
        assert!(erf(f64::NAN).is_nan());
    }
}
