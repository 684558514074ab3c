//! The cells of a column of a file, and what they mean.

use std::borrow::Cow;

use parquet::basic::{ConvertedType, LogicalType, TimeUnit, Type as Physical};
use parquet::column::reader::ColumnReader;
use parquet::data_type::{ByteArray, FixedLenByteArray, Int96};
use parquet::errors::ParquetError;
use parquet::schema::types::ColumnDescriptor;

use crate::cells::{Cell, Native};
use crate::data_type::DataType;
use crate::files::making::InTheMaking;
use crate::text::Decimal;

/// The cells of some rows of a column.
pub(super) struct Cells {
    meaning: Meaning,
    /// The level at which a value is there; 0 where all are.
    present: i16,
    levels: Vec<i16>,
    values: Values,
    /// The next value.
    at: usize,
}

/// What the values of a column are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meaning {
    /// What they are stored as: numbers, Booleans, texts.
    Plain,
    /// Whole numbers without a sign.
    Unsigned,
    /// Whole numbers, to be divided by 10 to this power.
    Decimal(u32),
    /// Days since 1970-01-01.
    Date,
    /// Points in time; how many nanoseconds one counts.
    Timestamp(i128),
    /// Times of day; how many nanoseconds one counts.
    Time(i128),
}

enum Values {
    Bool(Vec<bool>),
    I32(Vec<i32>),
    I64(Vec<i64>),
    I96(Vec<Int96>),
    F32(Vec<f32>),
    F64(Vec<f64>),
    Bytes(Vec<ByteArray>),
    Fixed(Vec<FixedLenByteArray>),
}

impl Cells {
    /// Cells of such a column; `None` where its type is none that a table can hold.
    pub(super) fn of(column: &ColumnDescriptor) -> Option<Cells> {
        let meaning = meaning(column)?;
        let values = match (column.physical_type(), meaning) {
            (Physical::BOOLEAN, Meaning::Plain) => Values::Bool(Vec::new()),
            (Physical::INT32, _) => Values::I32(Vec::new()),
            (Physical::INT64, _) => Values::I64(Vec::new()),
            (Physical::INT96, Meaning::Plain) => Values::I96(Vec::new()),
            (Physical::FLOAT, Meaning::Plain) => Values::F32(Vec::new()),
            (Physical::DOUBLE, Meaning::Plain) => Values::F64(Vec::new()),
            (Physical::BYTE_ARRAY, Meaning::Plain | Meaning::Decimal(_)) => {
                Values::Bytes(Vec::new())
            }
            (Physical::FIXED_LEN_BYTE_ARRAY, Meaning::Decimal(_)) => Values::Fixed(Vec::new()),
            _ => return None,
        };
        let flat = column.max_rep_level() == 0 && column.max_def_level() <= 1;
        flat.then_some(Cells {
            meaning,
            present: column.max_def_level(),
            levels: Vec::new(),
            values,
            at: 0,
        })
    }

    /// Reads the cells of the next rows; fewer only where the column ends.
    pub(super) fn read(
        &mut self,
        reader: &mut ColumnReader,
        rows: usize,
    ) -> Result<usize, ParquetError> {
        self.levels.clear();
        self.at = 0;
        let levels = (self.present > 0).then_some(&mut self.levels);
        macro_rules! read {
            ($values:expr, $reader:expr) => {{
                $values.clear();
                $reader.read_records(rows, levels, None, $values)?.0
            }};
        }
        Ok(match (&mut self.values, reader) {
            (Values::Bool(v), ColumnReader::BoolColumnReader(r)) => read!(v, r),
            (Values::I32(v), ColumnReader::Int32ColumnReader(r)) => read!(v, r),
            (Values::I64(v), ColumnReader::Int64ColumnReader(r)) => read!(v, r),
            (Values::I96(v), ColumnReader::Int96ColumnReader(r)) => read!(v, r),
            (Values::F32(v), ColumnReader::FloatColumnReader(r)) => read!(v, r),
            (Values::F64(v), ColumnReader::DoubleColumnReader(r)) => read!(v, r),
            (Values::Bytes(v), ColumnReader::ByteArrayColumnReader(r)) => read!(v, r),
            (Values::Fixed(v), ColumnReader::FixedLenByteArrayColumnReader(r)) => read!(v, r),
            _ => 0,
        })
    }

    /// Appends the next cell to a column, or says why not. `row` counts from the first one read.
    #[inline]
    pub(super) fn push(
        &mut self,
        row: usize,
        making: &mut InTheMaking,
        limit: usize,
    ) -> Result<(), String> {
        if self.is_missing(row) {
            return making.push_cell(Cell::Null);
        }
        let at = self.at;
        self.at += 1;
        let lost = "a value is not there";
        match &self.values {
            Values::F64(v) => match v.get(at) {
                Some(&value) => making.push_native(Native::Double(value)),
                None => Err(making.refused(lost)),
            },
            Values::F32(v) => match v.get(at) {
                Some(&value) => making.push_native(Native::Float(value)),
                None => Err(making.refused(lost)),
            },
            Values::Bool(v) => match v.get(at) {
                Some(&value) => making.push_cell(Cell::Bool(value)),
                None => Err(making.refused(lost)),
            },
            Values::I32(v) => match v.get(at) {
                Some(&value) => match self.meaning {
                    Meaning::Unsigned => push_whole(making, self.meaning, i128::from(value as u32)),
                    meaning => push_whole(making, meaning, i128::from(value)),
                },
                None => Err(making.refused(lost)),
            },
            Values::I64(v) => match v.get(at) {
                Some(&value) => match self.meaning {
                    Meaning::Unsigned => push_whole(making, self.meaning, i128::from(value as u64)),
                    meaning => push_whole(making, meaning, i128::from(value)),
                },
                None => Err(making.refused(lost)),
            },
            Values::I96(v) => match v.get(at) {
                Some(value) => making.push_native(Native::Time(i128::from(value.to_micros()))),
                None => Err(making.refused(lost)),
            },
            Values::Bytes(v) => match v.get(at) {
                Some(value) => push_bytes(making, self.meaning, value, limit),
                None => Err(making.refused(lost)),
            },
            Values::Fixed(v) => match v.get(at) {
                Some(value) => push_bytes(making, self.meaning, value, limit),
                None => Err(making.refused(lost)),
            },
        }
    }

    /// Goes past the next cell, and gives its text as far as it has one.
    pub(super) fn skip(&mut self, row: usize) -> Cow<'_, str> {
        if self.is_missing(row) {
            return Cow::Borrowed("");
        }
        self.at += 1;
        self.again(row)
    }

    /// The text of the cell that was pushed last, which was that of this row.
    pub(super) fn again(&self, row: usize) -> Cow<'_, str> {
        let Some(at) = self.at.checked_sub(1).filter(|_| !self.is_missing(row)) else {
            return Cow::Borrowed("");
        };
        let text = match &self.values {
            Values::Bool(v) => v.get(at).map(|v| Cow::from(v.to_string())),
            Values::I32(v) => v.get(at).map(|v| Cow::from(v.to_string())),
            Values::I64(v) => v.get(at).map(|v| Cow::from(v.to_string())),
            Values::I96(v) => v.get(at).map(|v| Cow::from(v.to_micros().to_string())),
            Values::F32(v) => v.get(at).map(|v| Cow::from(v.to_string())),
            Values::F64(v) => v.get(at).map(|v| Cow::from(v.to_string())),
            Values::Bytes(v) => v.get(at).map(|v| String::from_utf8_lossy(v.data())),
            Values::Fixed(v) => v.get(at).map(|v| String::from_utf8_lossy(v.data())),
        };
        text.unwrap_or_default()
    }

    #[inline]
    fn is_missing(&self, row: usize) -> bool {
        self.present > 0 && self.levels.get(row) != Some(&self.present)
    }
}

/// `None` where a table has no such values.
fn meaning(column: &ColumnDescriptor) -> Option<Meaning> {
    let nanos = |unit: &TimeUnit| match unit {
        TimeUnit::MILLIS => 1_000_000,
        TimeUnit::MICROS => 1000,
        TimeUnit::NANOS => 1,
    };
    let scale = |scale: i32| u32::try_from(scale).ok().filter(|scale| *scale <= 38);
    if let Some(logical) = column.logical_type_ref() {
        return Some(match logical {
            LogicalType::String | LogicalType::Enum | LogicalType::Json | LogicalType::Unknown => {
                Meaning::Plain
            }
            LogicalType::Integer(integer) if !integer.is_signed => Meaning::Unsigned,
            LogicalType::Integer(_) => Meaning::Plain,
            LogicalType::Decimal(decimal) => Meaning::Decimal(scale(decimal.scale)?),
            LogicalType::Date => Meaning::Date,
            LogicalType::Timestamp(timestamp) => Meaning::Timestamp(nanos(&timestamp.unit)),
            LogicalType::Time(time) => Meaning::Time(nanos(&time.unit)),
            _ => return None,
        });
    }
    Some(match column.converted_type() {
        ConvertedType::NONE
        | ConvertedType::UTF8
        | ConvertedType::ENUM
        | ConvertedType::JSON
        | ConvertedType::INT_8
        | ConvertedType::INT_16
        | ConvertedType::INT_32
        | ConvertedType::INT_64 => Meaning::Plain,
        ConvertedType::UINT_8
        | ConvertedType::UINT_16
        | ConvertedType::UINT_32
        | ConvertedType::UINT_64 => Meaning::Unsigned,
        ConvertedType::DECIMAL => Meaning::Decimal(scale(column.type_scale())?),
        ConvertedType::DATE => Meaning::Date,
        ConvertedType::TIMESTAMP_MILLIS => Meaning::Timestamp(1_000_000),
        ConvertedType::TIMESTAMP_MICROS => Meaning::Timestamp(1000),
        ConvertedType::TIME_MILLIS => Meaning::Time(1_000_000),
        ConvertedType::TIME_MICROS => Meaning::Time(1000),
        _ => return None,
    })
}

fn push_whole(making: &mut InTheMaking, meaning: Meaning, value: i128) -> Result<(), String> {
    match meaning {
        Meaning::Plain | Meaning::Unsigned => making.push_native(Native::Whole(value)),
        Meaning::Decimal(scale) => push_decimal(making, value, scale),
        Meaning::Date => making.push_native(Native::Time(value * 86_400_000_000)),
        Meaning::Timestamp(nanos) => {
            making.push_native(Native::Time((value * nanos).div_euclid(1000)))
        }
        Meaning::Time(nanos) => making.push_native(Native::Span((value * nanos).div_euclid(1000))),
    }
}

fn push_bytes(
    making: &mut InTheMaking,
    meaning: Meaning,
    value: &ByteArray,
    limit: usize,
) -> Result<(), String> {
    let bytes = value.data();
    if let Meaning::Decimal(scale) = meaning {
        let sign = match bytes.first() {
            Some(first) if *first >= 0x80 => 0xff,
            _ => 0,
        };
        let mut wide = [sign; 16];
        let Some(start) = wide.len().checked_sub(bytes.len()) else {
            return Err(making.refused("a decimal number has more than 38 digits"));
        };
        wide[start..].copy_from_slice(bytes);
        return push_decimal(making, i128::from_be_bytes(wide), scale);
    }
    match std::str::from_utf8(bytes) {
        Ok(text) => making.push_text(text, limit),
        Err(_) => Err(making.refused("a cell is not UTF-8")),
    }
}

/// By its digits, as if it stood in a file of text.
fn push_decimal(making: &mut InTheMaking, value: i128, scale: u32) -> Result<(), String> {
    let text = match making.data_type() {
        // With its point in its place, where it stays a text.
        DataType::String | DataType::Char => {
            let digits = format!("{:0>1$}", value.unsigned_abs(), scale as usize + 1);
            let (whole, fraction) = digits.split_at(digits.len() - scale as usize);
            let sign = if value < 0 { "-" } else { "" };
            let point = if scale > 0 { "." } else { "" };
            format!("{sign}{whole}{point}{fraction}")
        }
        _ => format!("{value}e-{scale}"),
    };
    match Decimal::parse(&text) {
        Some(number) => making.push_cell(Cell::Number(number)),
        None => Err(making.refused("a decimal number is none")),
    }
}
