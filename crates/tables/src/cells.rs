//! Cells in: the rules by which a cell of a request or a file becomes a value of its column's
//! type. Lax in form, strict in type.

use std::fmt::Write;

use crate::column::{Bitmap, Column, Values};
use crate::data_type::DataType;
use crate::json::{plain_end, plain_number};
use crate::schema::Field;
use crate::text::{
    self, Decimal, NumberError, boolean, parse_boolean, parse_char, parse_date_time,
    parse_duration, trim,
};

/// A cell as it was sent.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Cell<'a> {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number with digits.
    Number(Decimal<'a>),
    /// `NaN`, `Infinity` or `-Infinity` as a bare token.
    Special(f64),
    /// A text.
    Text(&'a str),
}

/// A value that is not text, as binary files have it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Native {
    Whole(i128),
    Float(f32),
    Double(f64),
    /// A point in time: microseconds since 1970-01-01 UTC.
    Time(i128),
    /// A length of time in microseconds.
    Span(i128),
}

impl Native {
    /// As a message shows it.
    pub(crate) fn text(self) -> String {
        match self {
            Native::Whole(value) => value.to_string(),
            Native::Float(value) => value.to_string(),
            Native::Double(value) => value.to_string(),
            Native::Time(micros) => format!("{micros} microseconds since 1970"),
            Native::Span(micros) => format!("{micros} microseconds"),
        }
    }
}

/// Why a cell is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The value is not one of the column's type.
    Type,
    /// The value is a number beyond the type's range.
    Range,
    /// The value is missing and the column does not allow that.
    Missing,
    /// The column's texts pass what an arena holds.
    Full,
}

impl From<NumberError> for Refusal {
    fn from(error: NumberError) -> Refusal {
        match error {
            NumberError::NotANumber | NumberError::NotWhole => Refusal::Type,
            NumberError::OutOfRange => Refusal::Range,
        }
    }
}

/// A column in the making.
#[derive(Debug)]
pub(crate) struct Builder {
    values: Values,
    validity: Option<Bitmap>,
    data_type: DataType,
    nullable: bool,
    /// The bounds of the types kept as `I32` and `I64`.
    bounds: (i64, i64),
}

impl Builder {
    pub(crate) fn new(field: &Field, capacity: usize) -> Builder {
        Builder {
            values: Values::with_capacity(field.data_type, capacity),
            validity: None,
            data_type: field.data_type,
            nullable: field.nullable,
            bounds: bounds(field.data_type),
        }
    }

    /// Takes the column built so far and begins the next one, with room for as many values.
    pub(crate) fn finish_block(&mut self, capacity: usize) -> Column {
        let next = Values::with_capacity(self.data_type, capacity);
        Column {
            values: std::mem::replace(&mut self.values, next),
            validity: self.validity.take(),
        }
    }

    /// Forgets the values from the `len`th on.
    pub(crate) fn truncate(&mut self, len: usize) {
        self.values.truncate(len);
        if let Some(validity) = &mut self.validity {
            validity.truncate(len);
        }
    }

    /// Appends the number at `at`, if it is a plain one in a column of numbers and one of
    /// `stops` or a line end follows it, and gives the position of that. Else, and wherever
    /// anything is not as it should be, nothing is done.
    #[inline(always)]
    pub(crate) fn push_bare(&mut self, bytes: &[u8], at: usize, stop: u8) -> Option<usize> {
        let Values::F64(values) = &mut self.values else {
            return self.push_bare_other(bytes, at, stop);
        };
        let number = plain_number(bytes, at)?;
        stands_alone(bytes, number.end, stop)?;
        values.push(number.to_f64());
        if let Some(validity) = &mut self.validity {
            validity.push(true);
        }
        Some(number.end)
    }

    fn push_bare_other(&mut self, bytes: &[u8], at: usize, stop: u8) -> Option<usize> {
        let end = match &mut self.values {
            Values::F32(v) => {
                let number = plain_number(bytes, at)?;
                stands_alone(bytes, number.end, stop)?;
                v.push(match number.to_f32() {
                    Some(value) => value,
                    None => fast_float2::parse(&bytes[at..number.end]).ok()?,
                });
                number.end
            }
            Values::I32(v) => {
                let number = plain_number(bytes, at)?;
                stands_alone(bytes, number.end, stop)?;
                v.push(number.to_i64().filter(|&v| within(v, self.bounds))? as i32);
                number.end
            }
            Values::I64(v) if self.data_type.is_integer() => {
                let number = plain_number(bytes, at)?;
                stands_alone(bytes, number.end, stop)?;
                v.push(number.to_i64().filter(|&v| within(v, self.bounds))?);
                number.end
            }
            _ => return None,
        };
        if let Some(validity) = &mut self.validity {
            validity.push(true);
        }
        Some(end)
    }

    pub(crate) fn finish(self) -> Column {
        Column {
            values: self.values,
            validity: self.validity,
        }
    }

    /// Appends a cell. After a refusal the column must not be used.
    #[inline]
    pub(crate) fn push(&mut self, cell: Cell<'_>) -> Result<(), Refusal> {
        // Numbers in numeric columns are what most requests are made of.
        match (&mut self.values, cell) {
            (Values::F64(v), Cell::Number(number)) => v.push(number.to_f64()?),
            (Values::F32(v), Cell::Number(number)) => v.push(number.to_f32()?),
            (Values::I32(v), Cell::Number(number)) => {
                // The bounds of these types are those of an i32 or narrower.
                v.push(bounded(number, self.bounds)? as i32);
            }
            _ => return self.push_other(cell),
        }
        if let Some(validity) = &mut self.validity {
            validity.push(true);
        }
        Ok(())
    }

    /// Appends the value at `at` of a JSON text and gives the position after it, where value and
    /// column are of the commonest kinds: a plain number, with quotes or without, in a column of
    /// numbers, and a text without escapes in a column of texts. Else, and wherever anything is
    /// not as it should be, nothing is done.
    #[inline(always)]
    pub(crate) fn push_plain(&mut self, text: &str, at: usize, limit: usize) -> Option<usize> {
        // Apart from the others, so that a row of such columns is one small loop.
        let Values::F64(values) = &mut self.values else {
            return self.push_plain_other(text, at, limit);
        };
        let bytes = text.as_bytes();
        let quoted = *bytes.get(at)? == b'"';
        let from = at + usize::from(quoted);
        let number = plain_number(bytes, from)?;
        let end = closed(bytes, from, number.end, quoted, limit)?;
        values.push(number.to_f64());
        if let Some(validity) = &mut self.validity {
            validity.push(true);
        }
        Some(end)
    }

    fn push_plain_other(&mut self, text: &str, at: usize, limit: usize) -> Option<usize> {
        let bytes = text.as_bytes();
        let quoted = *bytes.get(at)? == b'"';
        let from = at + usize::from(quoted);
        let closed = |end| closed(bytes, from, end, quoted, limit);
        let end = match &mut self.values {
            Values::F32(v) => {
                let number = plain_number(bytes, from)?;
                let end = closed(number.end)?;
                v.push(match number.to_f32() {
                    Some(value) => value,
                    None => fast_float2::parse(&bytes[from..number.end]).ok()?,
                });
                end
            }
            Values::I32(v) => {
                let number = plain_number(bytes, from)?;
                let end = closed(number.end)?;
                let value = number
                    .to_i64()
                    .filter(|value| within(*value, self.bounds))?;
                v.push(value as i32);
                end
            }
            Values::I64(v) if self.data_type.is_integer() => {
                let number = plain_number(bytes, from)?;
                let end = closed(number.end)?;
                let value = number
                    .to_i64()
                    .filter(|value| within(*value, self.bounds))?;
                v.push(value);
                end
            }
            Values::Str(v) if quoted && self.data_type == DataType::String => {
                let plain = text.get(from..plain_end(bytes, from))?;
                let end = closed(from + plain.len())?;
                if !v.fits(plain.len()) {
                    return None;
                }
                v.push(plain);
                end
            }
            _ => return None,
        };
        if let Some(validity) = &mut self.validity {
            validity.push(true);
        }
        Some(end)
    }

    /// Appends a value, by the rules of cells: a whole number may be a float and a float without a
    /// fraction a whole number; in a column of texts numbers have their text.
    #[inline]
    pub(crate) fn push_native(&mut self, value: Native) -> Result<(), Refusal> {
        let in_time = matches!(
            self.data_type,
            DataType::DateTime | DataType::DateTimeOffset
        );
        match &mut self.values {
            Values::F64(v) => v.push(match value {
                Native::Double(value) => value,
                Native::Float(value) => f64::from(value),
                Native::Whole(value) => value as f64,
                Native::Time(_) | Native::Span(_) => return Err(Refusal::Type),
            }),
            Values::F32(v) => v.push(match value {
                Native::Float(value) => value,
                Native::Double(value) => match value as f32 {
                    narrow if narrow.is_infinite() && value.is_finite() => {
                        return Err(Refusal::Range);
                    }
                    narrow => narrow,
                },
                Native::Whole(value) => value as f32,
                Native::Time(_) | Native::Span(_) => return Err(Refusal::Type),
            }),
            Values::I32(v) => {
                let value = i64::try_from(whole_native(value)?).map_err(|_| Refusal::Range)?;
                if !within(value, self.bounds) {
                    return Err(Refusal::Range);
                }
                v.push(value as i32);
            }
            Values::I64(v) => {
                let value = match value {
                    Native::Time(micros) if in_time => {
                        let micros = i64::try_from(micros).map_err(|_| Refusal::Range)?;
                        text::is_in_calendar(micros)
                            .then_some(micros)
                            .ok_or(Refusal::Range)?
                    }
                    Native::Span(micros) if self.data_type == DataType::Duration => {
                        i64::try_from(micros).map_err(|_| Refusal::Range)?
                    }
                    // A file without a type for it has its microseconds.
                    Native::Whole(micros) if self.data_type == DataType::Duration => {
                        i64::try_from(micros).map_err(|_| Refusal::Range)?
                    }
                    _ if in_time || self.data_type == DataType::Duration => {
                        return Err(Refusal::Type);
                    }
                    value => i64::try_from(whole_native(value)?).map_err(|_| Refusal::Range)?,
                };
                if self.data_type == DataType::Uint32 && !within(value, self.bounds) {
                    return Err(Refusal::Range);
                }
                v.push(value);
            }
            Values::U64(v) => {
                let value = whole_native(value)?;
                v.push(u64::try_from(value).map_err(|_| Refusal::Range)?);
            }
            Values::Bool(_) => return Err(Refusal::Type),
            Values::Str(_) => {
                let mut out = Vec::new();
                match value {
                    Native::Whole(value) => out.extend(value.to_string().bytes()),
                    Native::Float(value) => {
                        text::write_value(&Values::F32(vec![value]), DataType::Float, 0, &mut out);
                    }
                    Native::Double(value) => {
                        text::write_value(&Values::F64(vec![value]), DataType::Double, 0, &mut out);
                    }
                    Native::Time(_) | Native::Span(_) => return Err(Refusal::Type),
                }
                let text = String::from_utf8_lossy(&out);
                return self.push_other(Cell::Text(&text));
            }
        }
        if let Some(validity) = &mut self.validity {
            validity.push(true);
        }
        Ok(())
    }

    fn push_other(&mut self, cell: Cell<'_>) -> Result<(), Refusal> {
        if self.is_missing(cell) {
            return self.push_missing();
        }
        let data_type = self.data_type;
        match &mut self.values {
            Values::F64(v) => v.push(match cell {
                Cell::Special(value) => value,
                Cell::Text(text) => text::parse_f64(text)?,
                _ => return Err(Refusal::Type),
            }),
            Values::F32(v) => v.push(match cell {
                Cell::Special(value) => value as f32,
                Cell::Text(text) => text::parse_f32(text)?,
                _ => return Err(Refusal::Type),
            }),
            Values::I32(v) => v.push(bounded(whole(cell)?, self.bounds)? as i32),
            Values::I64(v) => v.push(match (data_type, cell) {
                (DataType::Duration, Cell::Text(text)) => {
                    parse_duration(text).ok_or(Refusal::Type)?
                }
                (DataType::DateTime | DataType::DateTimeOffset, Cell::Text(text)) => {
                    parse_date_time(text).ok_or(Refusal::Type)?
                }
                (DataType::Int64 | DataType::Uint32, cell) => bounded(whole(cell)?, self.bounds)?,
                _ => return Err(Refusal::Type),
            }),
            Values::U64(v) => {
                let value = whole(cell)?.to_integer()?;
                v.push(u64::try_from(value).map_err(|_| Refusal::Range)?);
            }
            Values::Bool(v) => v.push(match cell {
                Cell::Bool(value) => value,
                Cell::Text(text) => parse_boolean(text).ok_or(Refusal::Type)?,
                _ => return Err(Refusal::Type),
            }),
            Values::Str(v) => {
                let text = match cell {
                    Cell::Text(text) => text,
                    Cell::Number(number) => number.text(),
                    Cell::Special(value) => special_text(value),
                    Cell::Bool(value) => boolean(value),
                    Cell::Null => return Err(Refusal::Missing),
                };
                if data_type == DataType::Char && parse_char(text).is_none() {
                    return Err(Refusal::Type);
                }
                if !v.fits(text.len()) {
                    return Err(Refusal::Full);
                }
                v.push(text);
            }
        }
        if let Some(validity) = &mut self.validity {
            validity.push(true);
        }
        Ok(())
    }

    /// Missing is `null`, and a text without anything but blanks in a column that is not of texts.
    fn is_missing(&self, cell: Cell<'_>) -> bool {
        match cell {
            Cell::Null => true,
            Cell::Text(text) => !self.data_type.is_text() && trim(text).is_empty(),
            _ => false,
        }
    }

    fn push_missing(&mut self) -> Result<(), Refusal> {
        if !self.nullable {
            return Err(Refusal::Missing);
        }
        let len = self.values.len();
        let validity = self
            .validity
            .get_or_insert_with(|| Bitmap::filled(len, true));
        validity.push(false);
        self.values.push_blank();
        Ok(())
    }
}

/// The cell as a number for a column of whole numbers.
fn whole(cell: Cell<'_>) -> Result<Decimal<'_>, Refusal> {
    match cell {
        Cell::Number(number) => Ok(number),
        Cell::Text(text) => match Decimal::parse(trim(text)) {
            Some(number) => Ok(number),
            None => Err(Refusal::Type),
        },
        _ => Err(Refusal::Type),
    }
}

/// The value as a whole number.
fn whole_native(value: Native) -> Result<i128, Refusal> {
    let value = match value {
        Native::Whole(value) => return Ok(value),
        Native::Float(value) => f64::from(value),
        Native::Double(value) => value,
        Native::Time(_) | Native::Span(_) => return Err(Refusal::Type),
    };
    match value.is_finite() && value.fract() == 0.0 {
        // What is beyond goes to the ends of the range, and these are beyond every column's.
        true => Ok(value as i128),
        false => Err(Refusal::Type),
    }
}

/// The position after a value that stands from `from` to `end` within the limit of a cell, its
/// closing quote included where it has one.
#[inline(always)]
fn closed(bytes: &[u8], from: usize, end: usize, quoted: bool, limit: usize) -> Option<usize> {
    let right = end - from <= limit && (!quoted || *bytes.get(end)? == b'"');
    right.then_some(end + usize::from(quoted))
}

/// Whether a cell of a file ends at that position.
#[inline(always)]
fn stands_alone(bytes: &[u8], end: usize, stop: u8) -> Option<()> {
    let byte = *bytes.get(end)?;
    (byte == stop || byte == b'\n' || byte == b'\r').then_some(())
}

/// The bounds of the integer types that are kept as `I32` or `I64`. (`Uint64` is wider, and its
/// conversion checks it.)
fn bounds(data_type: DataType) -> (i64, i64) {
    match data_type {
        DataType::Int8 => (i8::MIN.into(), i8::MAX.into()),
        DataType::Int16 => (i16::MIN.into(), i16::MAX.into()),
        DataType::Int32 => (i32::MIN.into(), i32::MAX.into()),
        DataType::Uint8 => (0, u8::MAX.into()),
        DataType::Uint16 => (0, u16::MAX.into()),
        DataType::Uint32 => (0, u32::MAX.into()),
        _ => (i64::MIN, i64::MAX),
    }
}

#[inline]
fn within(value: i64, (least, most): (i64, i64)) -> bool {
    (least..=most).contains(&value)
}

#[inline]
fn bounded(number: Decimal<'_>, bounds: (i64, i64)) -> Result<i64, Refusal> {
    let value = number.to_integer()?;
    match i64::try_from(value) {
        Ok(value) if within(value, bounds) => Ok(value),
        _ => Err(Refusal::Range),
    }
}

fn special_text(value: f64) -> &'static str {
    match value {
        value if value.is_nan() => "NaN",
        value if value > 0.0 => "Infinity",
        _ => "-Infinity",
    }
}

/// How much of a value a message shows.
const SHOWN_CHARS: usize = 64;

/// The sentence of a refused cell without its row: `column "age": "abc" is not an Int32`.
#[cold]
pub(crate) fn describe(field: &Field, cell: Cell<'_>, refusal: Refusal) -> String {
    let type_ = field.data_type.name();
    let mut text = format!("column \"{}\": ", shortened(&field.name));
    show(cell, &mut text);
    // Writing to a String cannot fail.
    let _ = match refusal {
        Refusal::Type => write!(text, " is not {}", field.data_type.name_with_article()),
        Refusal::Range => write!(text, " is out of the range of {type_}"),
        Refusal::Missing => write!(
            text,
            " is not {} (the column does not allow missing values)",
            field.data_type.name_with_article()
        ),
        Refusal::Full => write!(text, " does not fit: the column's texts pass 2 GiB"),
    };
    text
}

fn show(cell: Cell<'_>, out: &mut String) {
    match cell {
        Cell::Null => out.push_str("null"),
        Cell::Bool(value) => out.push_str(if value { "true" } else { "false" }),
        Cell::Number(number) => out.push_str(&shortened(number.text())),
        Cell::Special(value) => out.push_str(special_text(value)),
        Cell::Text(text) => {
            out.push('"');
            out.push_str(&shortened(text));
            out.push('"');
        }
    }
}

/// The text's beginning, control characters replaced, for a message of one line.
pub(crate) fn shortened(text: &str) -> String {
    let shown = text.chars().take(SHOWN_CHARS);
    let mut shown: String = shown
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    if text.chars().nth(SHOWN_CHARS).is_some() {
        shown.push('…');
    }
    shown
}
