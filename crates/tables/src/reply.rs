//! Encoding the answers of scoring calls.
//!
//! Every value is a JSON string, numbers too, in the form of [`crate::text::write_cell`]; a
//! missing one is `null` (see `spec/data-plane.md` sections 0 and 1). A reply is one buffer: it
//! is whole before its first byte is sent.

use crate::column::{Column, Values};
use crate::data_type::DataType;
use crate::json::write_string;
use crate::table::Table;
use crate::text::write_value;

/// The two forms of a v2 reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// `{"type":"table","value":{…,"Values":[[…],…]}}` for each output.
    Table {
        /// Whether `ColumnNames` and `ColumnTypes` stand before `Values`: both or neither, as the
        /// classic service did with and without `details=true`. Its own Python client fails on
        /// names without types.
        details: bool,
    },
    /// A list of row objects for each output (`format=swagger`), where `details` means nothing.
    Rows,
}

/// Appends `{"Results":{…}}` with the outputs in that order.
pub fn encode(outputs: &[(&str, &Table)], form: Form, out: &mut Vec<u8>) {
    let sizes = outputs.iter().map(|(_, table)| expected_size(table, form));
    out.reserve(sizes.sum::<usize>() + 32);
    out.extend_from_slice(b"{\"Results\":{");
    for (i, (name, table)) in outputs.iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        write_string(name, out);
        out.push(b':');
        match form {
            Form::Table { details } => encode_table(table, details, out),
            Form::Rows => encode_rows(table, out),
        }
    }
    out.extend_from_slice(b"}}");
}

/// Appends the answer to a v1 call: the first row's values as a flat array, `[]` without a row.
pub fn encode_v1(table: &Table, out: &mut Vec<u8>) {
    match table.rows() {
        0 => out.extend_from_slice(b"[]"),
        _ => encode_row(&columns(table), 0, out),
    }
}

fn encode_table(table: &Table, details: bool, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"type\":\"table\",\"value\":{");
    if details {
        let schema = table.schema();
        out.extend_from_slice(b"\"ColumnNames\":[");
        for position in 0..schema.len() {
            if position > 0 {
                out.push(b',');
            }
            out.extend_from_slice(schema.json_name(position));
        }
        out.extend_from_slice(b"],\"ColumnTypes\":[");
        for (position, field) in schema.fields().iter().enumerate() {
            if position > 0 {
                out.push(b',');
            }
            write_string(field.data_type.wire_name(), out);
        }
        out.extend_from_slice(b"],");
    }
    out.extend_from_slice(b"\"Values\":[");
    let columns = columns(table);
    for row in 0..table.rows() {
        if row > 0 {
            out.push(b',');
        }
        encode_row(&columns, row, out);
    }
    out.extend_from_slice(b"]}}");
}

fn encode_rows(table: &Table, out: &mut Vec<u8>) {
    let columns = columns(table);
    out.push(b'[');
    for row in 0..table.rows() {
        if row > 0 {
            out.push(b',');
        }
        out.push(b'{');
        for (position, &(column, data_type)) in columns.iter().enumerate() {
            if position > 0 {
                out.push(b',');
            }
            out.extend_from_slice(table.schema().json_name(position));
            out.push(b':');
            encode_cell(column, data_type, row, out);
        }
        out.push(b'}');
    }
    out.push(b']');
}

fn encode_row(columns: &[(&Column, DataType)], row: usize, out: &mut Vec<u8>) {
    out.push(b'[');
    for (position, &(column, data_type)) in columns.iter().enumerate() {
        if position > 0 {
            out.push(b',');
        }
        encode_cell(column, data_type, row, out);
    }
    out.push(b']');
}

#[inline]
fn encode_cell(column: &Column, data_type: DataType, row: usize, out: &mut Vec<u8>) {
    if column.is_missing(row) {
        out.extend_from_slice(b"null");
        return;
    }
    match &column.values {
        Values::Str(texts) => write_string(texts.get(row), out),
        values => {
            out.push(b'"');
            write_value(values, data_type, row, out);
            out.push(b'"');
        }
    }
}

/// The columns with their types.
fn columns(table: &Table) -> Vec<(&Column, DataType)> {
    let types = table.schema().fields().iter().map(|field| field.data_type);
    let columns = table.columns().iter().map(|column| &**column);
    columns.zip(types).collect()
}

/// How many bytes an output takes, about: room made once is cheaper than room made often.
fn expected_size(table: &Table, form: Form) -> usize {
    let schema = table.schema();
    let names = (0..schema.len()).map(|position| schema.json_name(position).len() + 1);
    let names: usize = names.sum();
    let cells = table.columns().iter().map(|column| match &column.values {
        // Quotes and a comma beside the text.
        Values::Str(texts) => texts.arena().len() + 4 * texts.len(),
        Values::Bool(values) => 8 * values.len(),
        Values::I32(values) => 10 * values.len(),
        values => 22 * values.len(),
    });
    let cells = cells.sum::<usize>() + 3 * table.rows();
    let head = match form {
        Form::Table { details: true } => names + 18 * schema.len(),
        Form::Table { details: false } => 0,
        Form::Rows => names * table.rows(),
    };
    head + cells + 96
}
