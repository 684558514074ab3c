//! Writing.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

use faults::{Class, Fault};
use parquet::basic::{Compression, LogicalType, Repetition, TimeUnit, Type as Physical};
use parquet::data_type::{
    BoolType, ByteArray, ByteArrayType, DoubleType, FloatType, Int32Type, Int64Type,
};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedColumnWriter, SerializedFileWriter};
use parquet::schema::types::{Type, TypePtr};

use crate::column::{Column, Values};
use crate::data_type::DataType;
use crate::schema::{Field, Schema};
use crate::table::Table;

/// Rows of one group. Groups do not depend on how the rows came.
const GROUP: usize = 128 * 1024;

/// A file in the making: rows wait until they fill a group.
pub(in crate::files) struct ParquetRows {
    writer: SerializedFileWriter<Sink>,
    sink: Sink,
    waiting: Vec<Table>,
    /// How many rows wait.
    rows: usize,
}

/// Where the library writes, and what was written is taken from.
#[derive(Clone, Default)]
struct Sink(Arc<Mutex<Vec<u8>>>);

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut written = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        written.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Sink {
    fn drain(&self, out: &mut Vec<u8>) {
        let mut written = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        out.append(&mut written);
    }
}

impl ParquetRows {
    /// A file of tables of that schema.
    pub(in crate::files) fn new(schema: &Schema) -> Result<ParquetRows, Fault> {
        let sink = Sink::default();
        let properties = WriterProperties::builder()
            .set_compression(Compression::SNAPPY)
            .set_created_by("umpire".to_owned())
            .build();
        let schema = root(schema).map_err(not_written)?;
        let writer = SerializedFileWriter::new(sink.clone(), schema, Arc::new(properties));
        Ok(ParquetRows {
            writer: writer.map_err(not_written)?,
            sink,
            waiting: Vec::new(),
            rows: 0,
        })
    }

    /// Appends the rows, and writes groups that are full.
    pub(in crate::files) fn write(
        &mut self,
        table: &Table,
        out: &mut Vec<u8>,
    ) -> Result<(), Fault> {
        if table.rows() > 0 {
            self.rows += table.rows();
            self.waiting.push(table.clone());
        }
        while self.rows >= GROUP {
            self.write_group(GROUP)?;
        }
        self.sink.drain(out);
        Ok(())
    }

    /// Writes the rest and the file's end.
    pub(in crate::files) fn finish(mut self, out: &mut Vec<u8>) -> Result<(), Fault> {
        if self.rows > 0 {
            self.write_group(self.rows)?;
        }
        self.writer.finish().map_err(not_written)?;
        self.sink.drain(out);
        Ok(())
    }

    /// Writes so many of the rows that wait.
    fn write_group(&mut self, rows: usize) -> Result<(), Fault> {
        let mut parts: Vec<(Table, usize)> = Vec::new();
        let mut missing = rows;
        let mut rest = Vec::new();
        for table in self.waiting.drain(..) {
            let taken = table.rows().min(missing);
            if taken < table.rows() {
                let behind: Vec<usize> = (taken..table.rows()).collect();
                rest.push(table.take(&behind));
            }
            missing -= taken;
            parts.push((table, taken));
        }
        self.waiting = rest;
        self.rows -= rows;
        self.write_parts(&parts).map_err(not_written)
    }

    fn write_parts(&mut self, parts: &[(Table, usize)]) -> Result<(), ParquetError> {
        let Some((first, _)) = parts.first() else {
            return Ok(());
        };
        let schema = Arc::clone(first.schema());
        let mut group = self.writer.next_row_group()?;
        for (position, field) in schema.fields().iter().enumerate() {
            let Some(mut writer) = group.next_column()? else {
                break;
            };
            let parts: Vec<(&Column, usize)> = parts
                .iter()
                .map(|(table, rows)| (&**table.column(position), *rows))
                .collect();
            write_column(&mut writer, field, &parts)?;
            writer.close()?;
        }
        group.close()?;
        Ok(())
    }
}

/// Writes the values of a column, so many of each part.
fn write_column(
    writer: &mut SerializedColumnWriter<'_>,
    field: &Field,
    parts: &[(&Column, usize)],
) -> Result<(), ParquetError> {
    let mut levels = Vec::new();
    for (column, rows) in parts {
        levels.extend((0..*rows).map(|row| i16::from(!column.is_missing(row))));
    }
    /// The values that are there.
    fn present<'a, T>(
        parts: &'a [(&Column, usize)],
        value: impl Fn(&'a Values, usize) -> Option<T> + 'a,
    ) -> Vec<T> {
        let mut values = Vec::new();
        for (column, rows) in parts {
            let rows = (0..*rows).filter(|row| !column.is_missing(*row));
            values.extend(rows.filter_map(|row| value(&column.values, row)));
        }
        values
    }
    macro_rules! write {
        ($type:ty, $value:expr) => {{
            let values = present(parts, $value);
            writer
                .typed::<$type>()
                .write_batch(&values, Some(&levels), None)?;
        }};
    }
    match field.data_type {
        DataType::Boolean => write!(BoolType, |values, row| match values {
            Values::Bool(v) => Some(v[row]),
            _ => None,
        }),
        DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::Uint8 | DataType::Uint16 => {
            write!(Int32Type, |values, row| match values {
                Values::I32(v) => Some(v[row]),
                _ => None,
            })
        }
        // The bits of a number without a sign.
        DataType::Uint32 => write!(Int32Type, |values, row| match values {
            Values::I64(v) => Some(v[row] as u32 as i32),
            _ => None,
        }),
        DataType::Uint64 => write!(Int64Type, |values, row| match values {
            Values::U64(v) => Some(v[row] as i64),
            _ => None,
        }),
        DataType::Int64 | DataType::DateTime | DataType::DateTimeOffset | DataType::Duration => {
            write!(Int64Type, |values, row| match values {
                Values::I64(v) => Some(v[row]),
                _ => None,
            })
        }
        DataType::Float => write!(FloatType, |values, row| match values {
            Values::F32(v) => Some(v[row]),
            _ => None,
        }),
        DataType::Double => write!(DoubleType, |values, row| match values {
            Values::F64(v) => Some(v[row]),
            _ => None,
        }),
        DataType::String | DataType::Char => write!(ByteArrayType, |values, row| match values {
            Values::Str(v) => Some(ByteArray::from(v.get(row))),
            _ => None,
        }),
    }
    Ok(())
}

/// The types of the columns. All are optional: whether a value may be missing is said of inputs.
fn root(schema: &Schema) -> Result<TypePtr, ParquetError> {
    let column = |field: &Field| {
        let micros = |utc| Some(LogicalType::timestamp(utc, TimeUnit::MICROS));
        let (physical, logical) = match field.data_type {
            DataType::Boolean => (Physical::BOOLEAN, None),
            DataType::Int8 => (Physical::INT32, Some(LogicalType::integer(8, true))),
            DataType::Int16 => (Physical::INT32, Some(LogicalType::integer(16, true))),
            DataType::Int32 => (Physical::INT32, None),
            DataType::Int64 => (Physical::INT64, None),
            DataType::Uint8 => (Physical::INT32, Some(LogicalType::integer(8, false))),
            DataType::Uint16 => (Physical::INT32, Some(LogicalType::integer(16, false))),
            DataType::Uint32 => (Physical::INT32, Some(LogicalType::integer(32, false))),
            DataType::Uint64 => (Physical::INT64, Some(LogicalType::integer(64, false))),
            DataType::Float => (Physical::FLOAT, None),
            DataType::Double => (Physical::DOUBLE, None),
            DataType::String | DataType::Char => (Physical::BYTE_ARRAY, Some(LogicalType::String)),
            DataType::DateTime => (Physical::INT64, micros(false)),
            DataType::DateTimeOffset => (Physical::INT64, micros(true)),
            // The format has no such type: microseconds.
            DataType::Duration => (Physical::INT64, None),
        };
        let column = Type::primitive_type_builder(&field.name, physical)
            .with_repetition(Repetition::OPTIONAL)
            .with_logical_type(logical)
            .build()?;
        Ok(Arc::new(column))
    };
    let columns = schema.fields().iter().map(column);
    let columns = columns.collect::<Result<_, ParquetError>>()?;
    let root = Type::group_type_builder("schema").with_fields(columns);
    Ok(Arc::new(root.build()?))
}

fn not_written(error: ParquetError) -> Fault {
    Fault::bare(Class::InternalError).caused_by(&error)
}
