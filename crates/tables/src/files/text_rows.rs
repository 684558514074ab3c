//! Rows of a table as delimited text, untouched cells as they were.

use std::sync::Arc;

use super::source::SourceText;
use crate::column::{Column, Values};
use crate::data_type::DataType;
use crate::table::Table;
use crate::text;

/// Appends the header.
pub(super) fn write_names(table: &Table, delimiter: u8, out: &mut Vec<u8>) {
    let names = table.schema().names();
    let alone = names.len() == 1;
    for (i, name) in names.enumerate() {
        if i > 0 {
            out.push(delimiter);
        }
        write_text(name.as_bytes(), delimiter, alone, out);
    }
    out.push(b'\n');
}

/// Appends the rows.
pub(super) fn write_rows(
    table: &Table,
    source: Option<&SourceText>,
    delimiter: u8,
    out: &mut Vec<u8>,
) {
    let source = source.filter(|source| source.table.rows() == table.rows());
    let origins = origins(table, source, delimiter);
    let alone = table.columns().len() == 1;
    for row in 0..table.rows() {
        for (i, origin) in origins.iter().enumerate() {
            if i > 0 {
                out.push(delimiter);
            }
            origin.write(row, delimiter, alone, out);
        }
        out.push(b'\n');
    }
}

/// Where a row's cells come from, one or several side by side.
enum Origin<'a> {
    /// They are copies of the source's cells, first and last included.
    Copied {
        source: &'a SourceText,
        first: usize,
        last: usize,
    },
    /// The cell is a copy of the source's where that means the same, else it is written.
    Compared {
        source: &'a SourceText,
        cell: usize,
        read: &'a Column,
        column: &'a Column,
        data_type: DataType,
    },
    /// The cell is written.
    Written {
        column: &'a Column,
        data_type: DataType,
    },
}

/// Where the cells of each row come from. Runs of columns that all come from cells side by side
/// are one.
fn origins<'a>(table: &'a Table, source: Option<&'a SourceText>, delimiter: u8) -> Vec<Origin<'a>> {
    let mut origins: Vec<Origin<'a>> = Vec::with_capacity(table.columns().len());
    for (field, column) in table.schema().fields().iter().zip(table.columns()) {
        let data_type = field.data_type;
        let found = source.and_then(|source| Some((source, source.column(field)?)));
        let origin = match found {
            None => Origin::Written { column, data_type },
            Some((source, (cell, read))) => {
                let same_form = source.delimiter == delimiter;
                match origins.last_mut() {
                    _ if !same_form && data_type.is_text() => Origin::Written { column, data_type },
                    _ if !same_form || !Arc::ptr_eq(read, column) => Origin::Compared {
                        source,
                        cell,
                        read,
                        column,
                        data_type,
                    },
                    Some(Origin::Copied { last, .. }) if *last + 1 == cell => {
                        *last = cell;
                        continue;
                    }
                    _ => Origin::Copied {
                        source,
                        first: cell,
                        last: cell,
                    },
                }
            }
        };
        origins.push(origin);
    }
    origins
}

impl Origin<'_> {
    /// Appends the row's cells. An empty one that is `alone` in its line has quotes, since a blank
    /// line is no record.
    #[inline]
    fn write(&self, row: usize, delimiter: u8, alone: bool, out: &mut Vec<u8>) {
        let (column, data_type) = match *self {
            Origin::Copied {
                source,
                first,
                last,
            } => {
                let text = source.cells(row, first, last);
                return match alone && text.is_empty() {
                    true => out.extend_from_slice(b"\"\""),
                    false => out.extend_from_slice(text),
                };
            }
            Origin::Compared {
                source,
                cell,
                read,
                column,
                data_type,
            } => {
                let text = source.cells(row, cell, cell);
                let form = source.delimiter == delimiter || !needs_quotes(text, delimiter);
                if form && !(alone && text.is_empty()) && same_value(read, column, row) {
                    return out.extend_from_slice(text);
                }
                (column, data_type)
            }
            Origin::Written { column, data_type } => (column, data_type),
        };
        match &column.values {
            _ if column.is_missing(row) => write_text(b"", delimiter, alone, out),
            Values::Str(texts) => write_text(texts.get(row).as_bytes(), delimiter, alone, out),
            values => text::write_value(values, data_type, row, out),
        }
    }
}

/// Whether the values of two columns of one type are the same in a row, to the bit.
fn same_value(a: &Column, b: &Column, row: usize) -> bool {
    match (a.is_missing(row), b.is_missing(row)) {
        (true, true) => true,
        (false, false) => match (&a.values, &b.values) {
            (Values::Bool(a), Values::Bool(b)) => a[row] == b[row],
            (Values::I32(a), Values::I32(b)) => a[row] == b[row],
            (Values::I64(a), Values::I64(b)) => a[row] == b[row],
            (Values::U64(a), Values::U64(b)) => a[row] == b[row],
            (Values::F32(a), Values::F32(b)) => a[row].to_bits() == b[row].to_bits(),
            (Values::F64(a), Values::F64(b)) => a[row].to_bits() == b[row].to_bits(),
            (Values::Str(a), Values::Str(b)) => a.get(row) == b.get(row),
            _ => false,
        },
        _ => false,
    }
}

/// Whether a text would not be one cell as it stands.
fn needs_quotes(text: &[u8], delimiter: u8) -> bool {
    let special = |&byte: &u8| byte == delimiter || matches!(byte, b'"' | b'\r' | b'\n');
    text.iter().any(special)
}

/// Appends a text as a cell, in quotes where it needs them or is empty and `alone` in its line.
pub(super) fn write_text(text: &[u8], delimiter: u8, alone: bool, out: &mut Vec<u8>) {
    let blank_line = alone && text.is_empty();
    if !blank_line && !needs_quotes(text, delimiter) {
        return out.extend_from_slice(text);
    }
    write_quoted(text, out);
}

/// Appends a text as a cell in quotes.
pub(super) fn write_quoted(text: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    let mut rest = text;
    while let Some(quote) = memchr::memchr(b'"', rest) {
        let (before, after) = rest.split_at(quote + 1);
        out.extend_from_slice(before);
        out.push(b'"');
        rest = after;
    }
    out.extend_from_slice(rest);
    out.push(b'"');
}
