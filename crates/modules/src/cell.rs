//! The value that replaces missing ones.

use serde_json::Value;
use tables::text::{
    parse_boolean, parse_char, parse_date_time, parse_duration, parse_f32, parse_f64, parse_integer,
};
use tables::{Column, DataType, Strings, Values};

/// The value that replaces missing ones of a column.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Cell {
    Bool(bool),
    I32(i32),
    I64(i64),
    U64(u64),
    F32(f32),
    F64(f64),
    Str(String),
}

impl Cell {
    /// A text as a value of a type, by the rules for cells of requests; `0` and `1` are Booleans
    /// too.
    pub fn parse(text: &str, data_type: DataType) -> Option<Cell> {
        Some(match data_type {
            DataType::Boolean => Cell::Bool(match text.trim() {
                "0" => false,
                "1" => true,
                word => parse_boolean(word)?,
            }),
            DataType::Float => Cell::F32(parse_f32(text).ok()?),
            DataType::Double => Cell::F64(parse_f64(text).ok()?),
            DataType::String => Cell::Str(text.to_owned()),
            DataType::Char => Cell::Str(parse_char(text)?.to_string()),
            DataType::DateTime | DataType::DateTimeOffset => Cell::I64(parse_date_time(text)?),
            DataType::Duration => Cell::I64(parse_duration(text)?),
            _ => {
                let (least, most) = data_type.integer_bounds()?;
                let number = parse_integer(text).ok()?;
                if !(least..=most).contains(&number) {
                    return None;
                }
                match data_type {
                    DataType::Uint64 => Cell::U64(u64::try_from(number).ok()?),
                    DataType::Int64 | DataType::Uint32 => Cell::I64(i64::try_from(number).ok()?),
                    _ => Cell::I32(i32::try_from(number).ok()?),
                }
            }
        })
    }

    /// The value of a document.
    pub fn of(value: &Value, data_type: DataType) -> Option<Cell> {
        let is_time = matches!(
            data_type,
            DataType::DateTime | DataType::DateTimeOffset | DataType::Duration
        );
        match value {
            Value::Number(micros) if is_time => micros.as_i64().map(Cell::I64),
            Value::Number(number) => Cell::parse(&number.to_string(), data_type),
            Value::Bool(flag) => Cell::parse(if *flag { "True" } else { "False" }, data_type),
            Value::String(text) => Cell::parse(text, data_type),
            _ => None,
        }
    }
}

/// The column with a value in the place of each missing one; `None` where the texts would not fit
/// their arena, which is told before anything is copied.
pub(crate) fn fill(column: &Column, cell: &Cell) -> Option<Column> {
    fn put<T: Copy>(values: &[T], value: T, column: &Column) -> Vec<T> {
        let at = |(row, &old)| if column.is_missing(row) { value } else { old };
        values.iter().enumerate().map(at).collect()
    }
    Some(Column::new(match (&column.values, cell) {
        (Values::Bool(v), Cell::Bool(x)) => Values::Bool(put(v, *x, column)),
        (Values::I32(v), Cell::I32(x)) => Values::I32(put(v, *x, column)),
        (Values::I64(v), Cell::I64(x)) => Values::I64(put(v, *x, column)),
        (Values::U64(v), Cell::U64(x)) => Values::U64(put(v, *x, column)),
        (Values::F32(v), Cell::F32(x)) => Values::F32(put(v, *x, column)),
        (Values::F64(v), Cell::F64(x)) => Values::F64(put(v, *x, column)),
        (Values::Str(v), Cell::Str(x)) => {
            let more = column.missing_count().checked_mul(x.len())?;
            if !v.fits(more) {
                return None;
            }
            let mut texts = Strings::with_capacity(v.len(), v.arena().len() + more);
            for (row, text) in v.iter().enumerate() {
                texts.push(if column.is_missing(row) { x } else { text });
            }
            Values::Str(texts)
        }
        // The cell was read for the column's type.
        _ => return Some(column.clone()),
    }))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_are_read_by_the_columns_type() {
        use DataType as T;
        for (value, data_type, cell) in [
            (json!("0"), T::Boolean, Some(Cell::Bool(false))),
            (json!(true), T::Boolean, Some(Cell::Bool(true))),
            (json!("yes"), T::Boolean, None),
            (json!(5.0), T::Int32, Some(Cell::I32(5))),
            (json!(5.5), T::Int32, None),
            (json!(256), T::Uint8, None),
            (json!(u64::MAX), T::Uint64, Some(Cell::U64(u64::MAX))),
            (json!("7"), T::Uint32, Some(Cell::I64(7))),
            (json!(0.1), T::Float, Some(Cell::F32(0.1))),
            (json!("x"), T::Double, None),
            (json!(5), T::String, Some(Cell::Str("5".to_owned()))),
            (json!("ab"), T::Char, None),
            (json!(7), T::DateTime, Some(Cell::I64(7))),
            (
                json!("1970-01-02"),
                T::DateTime,
                Some(Cell::I64(86_400_000_000)),
            ),
            (json!("0"), T::DateTime, None),
            (json!("00:00:01"), T::Duration, Some(Cell::I64(1_000_000))),
        ] {
            assert_eq!(Cell::of(&value, data_type), cell, "{value} {data_type:?}");
        }
    }
}
