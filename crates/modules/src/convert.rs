//! Columns of one type made columns of another, on a user's demand.

use tables::text::{
    parse_boolean, parse_date_time, parse_duration, parse_f64, parse_integer, write_cell,
};
use tables::{Bitmap, Column, DataType, Values};

use crate::time_format::TimeFormat;

/// What a column is to become.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Target {
    /// Text, as replies write values.
    Text,
    /// Whole numbers: any whole number type stays as it is, anything else becomes Int32.
    Integer,
    /// Double.
    Double,
    /// Boolean: a number is true where it is not 0.
    Boolean,
    /// A point in time, from text in this format or, without one, in the forms of requests.
    DateTime(Option<TimeFormat>),
    /// A length of time, likewise.
    TimeSpan(Option<TimeFormat>),
}

impl Target {
    /// The type that a column of a type becomes; `None` where there is no way.
    pub(crate) fn data_type(&self, from: DataType) -> Option<DataType> {
        let number = from.is_numeric() || from == DataType::Boolean;
        match self {
            Target::Text if from.is_text() => Some(from),
            Target::Text => Some(DataType::String),
            Target::Integer if from.is_integer() => Some(from),
            Target::Integer => (number || from.is_text()).then_some(DataType::Int32),
            Target::Double => (number || from.is_text()).then_some(DataType::Double),
            Target::Boolean => (number || from.is_text()).then_some(DataType::Boolean),
            Target::DateTime(_) => {
                let time = matches!(from, DataType::DateTime | DataType::DateTimeOffset);
                (time || from.is_text()).then_some(DataType::DateTime)
            }
            Target::TimeSpan(_) => {
                (from == DataType::Duration || from.is_text()).then_some(DataType::Duration)
            }
        }
    }

    /// The column, converted; `to` is what [`Target::data_type`] says. Missing values stay
    /// missing; a blank text becomes a missing number, boolean or time.
    ///
    /// The error is the first row whose value has no counterpart.
    pub(crate) fn convert(
        &self,
        column: &Column,
        from: DataType,
        to: DataType,
    ) -> Result<Column, usize> {
        if from == to || (from == DataType::DateTimeOffset && to == DataType::DateTime) {
            return Ok(column.clone());
        }
        let mut values = Values::with_capacity(to, column.len());
        let mut validity = Bitmap::default();
        let mut text = Vec::new();
        for row in 0..column.len() {
            text.clear();
            let present = write_cell(column, from, row, &mut text);
            let cell = std::str::from_utf8(&text).map_err(|_| row)?;
            let blank = from.is_text() && to != DataType::String && cell.trim().is_empty();
            validity.push(present && !blank);
            if !present || blank {
                values.push_blank();
                continue;
            }
            let number = match from.is_text() {
                true => None,
                false => column.number(row),
            };
            self.push(&mut values, cell, number).ok_or(row)?;
        }
        let all = validity.count_ones() == validity.len();
        Ok(Column {
            values,
            validity: (!all).then_some(validity),
        })
    }

    fn push(&self, values: &mut Values, cell: &str, number: Option<f64>) -> Option<()> {
        match values {
            Values::Str(v) => v.fits(cell.len()).then(|| v.push(cell))?,
            Values::I32(v) => v.push(match (number, cell) {
                (Some(number), "True" | "False") => number as i32,
                _ => i32::try_from(parse_integer(cell).ok()?).ok()?,
            }),
            // By way of the text, a Float becomes the Double that reads the same.
            Values::F64(v) => v.push(match (number, cell) {
                (Some(number), "True" | "False") => number,
                _ => parse_f64(cell).ok()?,
            }),
            Values::Bool(v) => v.push(match number {
                Some(number) if number.is_nan() => return None,
                Some(number) => number != 0.0,
                None => parse_boolean(cell)?,
            }),
            Values::I64(v) => v.push(match self {
                Target::DateTime(Some(format)) => format.parse_date_time(cell)?,
                Target::DateTime(None) => parse_date_time(cell)?,
                Target::TimeSpan(Some(format)) => format.parse_time_span(cell)?,
                Target::TimeSpan(None) => parse_duration(cell)?,
                _ => return None,
            }),
            _ => return None,
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use tables::Strings;

    use super::*;

    fn texts(texts: &[&str]) -> Column {
        Column::from(texts.iter().collect::<Strings>())
    }

    fn converted(target: Target, column: &Column, from: DataType) -> Result<Column, usize> {
        let to = target.data_type(from).expect("there is a way");
        target.convert(column, from, to)
    }

    #[test]
    fn texts_become_values_and_blank_ones_missing() {
        let column = converted(
            Target::Integer,
            &texts(&["7", " ", "-1.0"]),
            DataType::String,
        );
        let column = column.unwrap();
        assert_eq!(column.values, Values::I32(vec![7, 0, -1]));
        assert!(column.is_missing(1) && !column.is_missing(0));
        let column = converted(Target::Double, &texts(&["1e3", "NaN"]), DataType::String).unwrap();
        assert_eq!(column.number(0), Some(1000.0));
        let column = converted(
            Target::Boolean,
            &texts(&["TRUE", "false"]),
            DataType::String,
        );
        assert_eq!(column.unwrap().values, Values::Bool(vec![true, false]));
        let bad = converted(Target::Integer, &texts(&["7", "1.5"]), DataType::String);
        assert_eq!(bad, Err(1));
        let bad = converted(Target::DateTime(None), &texts(&["soon"]), DataType::String);
        assert_eq!(bad, Err(0));
    }

    #[test]
    fn numbers_become_each_other_where_they_can() {
        let floats = Column::from(vec![0.1f32, 2.0]);
        let doubles = converted(Target::Double, &floats, DataType::Float).unwrap();
        assert_eq!(doubles.values, Values::F64(vec![0.1, 2.0]));
        assert_eq!(converted(Target::Integer, &floats, DataType::Float), Err(0));
        let whole = Column::from(vec![3.0, 0.0]);
        let column = converted(Target::Integer, &whole, DataType::Double).unwrap();
        assert_eq!(column.values, Values::I32(vec![3, 0]));
        let column = converted(Target::Boolean, &whole, DataType::Double).unwrap();
        assert_eq!(column.values, Values::Bool(vec![true, false]));
        let flags = Column::from(vec![true, false]);
        let column = converted(Target::Integer, &flags, DataType::Boolean).unwrap();
        assert_eq!(column.values, Values::I32(vec![1, 0]));
        let column = converted(Target::Text, &flags, DataType::Boolean).unwrap();
        assert_eq!(
            column.values,
            Values::Str(["True", "False"].into_iter().collect())
        );
        assert_eq!(
            converted(Target::Integer, &Column::from(vec![1e10]), DataType::Double),
            Err(0)
        );
        assert_eq!(
            Target::Integer.data_type(DataType::Int64),
            Some(DataType::Int64)
        );
        assert_eq!(Target::Integer.data_type(DataType::DateTime), None);
        assert_eq!(Target::DateTime(None).data_type(DataType::Int32), None);
    }
}
