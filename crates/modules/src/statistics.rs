//! What a column's present values have in common. `NaN` and the infinities say nothing, so they do
//! not count; neither do they count as missing.

use std::collections::HashMap;

use serde_json::Value;
use tables::{Column, DataType, Values, text};

/// The finite numbers of a column.
pub(crate) fn numbers(column: &Column) -> impl Iterator<Item = f64> {
    (0..column.len())
        .filter_map(|row| column.number(row))
        .filter(|number| number.is_finite())
}

/// The mean; `None` where there is no number.
pub(crate) fn mean(column: &Column) -> Option<f64> {
    // A running mean does not overflow where the sum would.
    let mut mean = 0.0;
    let mut count = 0.0;
    for number in numbers(column) {
        count += 1.0;
        mean += (number - mean) / count;
    }
    (count > 0.0).then_some(mean)
}

/// The median, of two middle numbers their mean; `None` where there is no number.
pub(crate) fn median(column: &Column) -> Option<f64> {
    let mut sorted: Vec<f64> = numbers(column).collect();
    if sorted.is_empty() {
        return None;
    }
    let middle = sorted.len() / 2;
    let (below, &mut upper, _) = sorted.select_nth_unstable_by(middle, f64::total_cmp);
    match below.iter().copied().max_by(f64::total_cmp) {
        Some(lower) if below.len() == sorted.len() - middle => Some(lower + (upper - lower) / 2.0),
        _ => Some(upper),
    }
}

/// The row of the commonest value, of equally common ones that which comes first; `None` where
/// all are missing.
pub(crate) fn mode(column: &Column) -> Option<usize> {
    match &column.values {
        Values::Bool(v) => commonest(column, |row| Some(v[row])),
        Values::I32(v) => commonest(column, |row| Some(v[row])),
        Values::I64(v) => commonest(column, |row| Some(v[row])),
        Values::U64(v) => commonest(column, |row| Some(v[row])),
        // 0 and -0 are one number.
        Values::F32(v) => commonest(column, |row| {
            v[row].is_finite().then(|| (v[row] + 0.0).to_bits())
        }),
        Values::F64(v) => commonest(column, |row| {
            v[row].is_finite().then(|| (v[row] + 0.0).to_bits())
        }),
        Values::Str(v) => commonest(column, |row| Some(v.get(row))),
    }
}

fn commonest<K: std::hash::Hash + Eq>(
    column: &Column,
    key: impl Fn(usize) -> Option<K>,
) -> Option<usize> {
    let mut counts: HashMap<K, (usize, usize)> = HashMap::new();
    for row in (0..column.len()).filter(|&row| !column.is_missing(row)) {
        if let Some(key) = key(row) {
            counts.entry(key).or_insert((0, row)).0 += 1;
        }
    }
    let best = counts
        .values()
        .max_by(|(a, first_a), (b, first_b)| a.cmp(b).then(first_b.cmp(first_a)));
    best.map(|&(_, row)| row)
}

/// A number as a value of a numeric or Boolean type, as near as the type has it: whole numbers are
/// rounded, halves away from 0; 0.5 and more is True.
pub(crate) fn nearest(number: f64, data_type: DataType) -> Value {
    if data_type == DataType::Boolean {
        return (number >= 0.5).into();
    }
    match data_type.integer_bounds() {
        Some((least, most)) => {
            // The conversion saturates.
            let whole = (number.round() as i128).clamp(least, most);
            match (i64::try_from(whole), u64::try_from(whole)) {
                (Ok(whole), _) => whole.into(),
                (_, Ok(whole)) => whole.into(),
                _ => 0.into(),
            }
        }
        None => number.into(),
    }
}

/// A column's value as a document has it.
pub(crate) fn value_at(column: &Column, data_type: DataType, row: usize) -> Option<Value> {
    Some(match &column.values {
        Values::Bool(v) => v[row].into(),
        Values::I32(v) => v[row].into(),
        Values::I64(v) => v[row].into(),
        Values::U64(v) => v[row].into(),
        Values::F64(v) => v[row].into(),
        Values::Str(v) => v.get(row).into(),
        Values::F32(_) => {
            // Its own shortest digits; as an f64 it would get more.
            let mut digits = Vec::new();
            text::write_cell(column, data_type, row, &mut digits);
            String::from_utf8(digits).ok()?.into()
        }
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::{doubles, ints, texts};

    #[test]
    fn means_and_medians_are_of_what_is_there() {
        let column = doubles(&[Some(4.0), None, Some(1.0), Some(f64::NAN), Some(10.0)]);
        assert_eq!(mean(&column), Some(5.0));
        assert_eq!(median(&column), Some(4.0));
        let even = ints(&[Some(1), Some(2), Some(4), Some(3)]);
        assert_eq!(median(&even), Some(2.5));
        assert_eq!(median(&ints(&[Some(7)])), Some(7.0));
        assert_eq!(median(&ints(&[Some(7), Some(8)])), Some(7.5));
        for nothing in [
            doubles(&[None, None]),
            doubles(&[]),
            doubles(&[Some(f64::NAN)]),
        ] {
            assert_eq!((mean(&nothing), median(&nothing)), (None, None));
        }
        assert_eq!(
            mean(&doubles(&[Some(f64::MAX), Some(f64::MAX)])),
            Some(f64::MAX)
        );
    }

    #[test]
    fn the_mode_is_the_first_of_the_commonest() {
        assert_eq!(
            mode(&texts(&[Some("a"), Some("b"), None, None, None, Some("b")])),
            Some(1)
        );
        assert_eq!(
            mode(&texts(&[None, Some("b"), Some("a"), Some("a"), Some("b")])),
            Some(1)
        );
        assert_eq!(
            mode(&doubles(&[
                Some(f64::NAN),
                Some(0.0),
                Some(-0.0),
                Some(1.0)
            ])),
            Some(1)
        );
        assert_eq!(mode(&ints(&[None])), None);
        assert_eq!(mode(&Column::from(vec![false, true, true])), Some(1));
    }

    #[test]
    fn numbers_become_the_nearest_of_the_type() {
        assert_eq!(nearest(2.5, DataType::Int32), json!(3));
        assert_eq!(nearest(-2.5, DataType::Int64), json!(-3));
        assert_eq!(nearest(1e30, DataType::Uint64), json!(u64::MAX));
        assert_eq!(nearest(-1.0, DataType::Uint8), json!(0));
        assert_eq!(nearest(0.5, DataType::Boolean), json!(true));
        assert_eq!(nearest(0.25, DataType::Double), json!(0.25));
    }
}
