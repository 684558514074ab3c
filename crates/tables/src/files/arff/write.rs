//! Tables as such files.

use crate::column::Values;
use crate::data_type::DataType;
use crate::table::Table;
use crate::text;

/// Appends the head: numbers are `numeric`, Booleans nominal, points in time dates in the form in
/// which they are written, all else `string`.
pub(in crate::files) fn write_head(table: &Table, out: &mut Vec<u8>) {
    out.extend_from_slice(b"@relation umpire\n\n");
    for field in table.schema().fields() {
        out.extend_from_slice(b"@attribute ");
        write_text(&field.name, out);
        let kind = match field.data_type {
            DataType::Boolean => "{False,True}",
            DataType::DateTime => "date \"M/d/yyyy h:mm:ss a\"",
            data_type if data_type.is_numeric() => "numeric",
            _ => "string",
        };
        out.push(b' ');
        out.extend_from_slice(kind.as_bytes());
        out.push(b'\n');
    }
    out.extend_from_slice(b"\n@data\n");
}

/// Appends the rows.
pub(in crate::files) fn write_rows(table: &Table, out: &mut Vec<u8>) {
    let mut cell = Vec::new();
    for row in 0..table.rows() {
        for (i, (field, column)) in table
            .schema()
            .fields()
            .iter()
            .zip(table.columns())
            .enumerate()
        {
            if i > 0 {
                out.push(b',');
            }
            match &column.values {
                _ if column.is_missing(row) => out.push(b'?'),
                Values::Str(texts) => write_text(texts.get(row), out),
                values if field.data_type.is_numeric() || field.data_type == DataType::Boolean => {
                    text::write_value(values, field.data_type, row, out);
                }
                values => {
                    cell.clear();
                    text::write_value(values, field.data_type, row, &mut cell);
                    out.push(b'\'');
                    out.extend_from_slice(&cell);
                    out.push(b'\'');
                }
            }
        }
        out.push(b'\n');
    }
}

/// Appends a text, in quotes unless it is one plain word.
fn write_text(text: &str, out: &mut Vec<u8>) {
    let plain =
        |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.') || !c.is_ascii();
    // Blanks that are not ASCII would be trimmed from nowhere here, and by others perhaps.
    if !text.is_empty() && text.chars().all(|c| plain(c) && !c.is_whitespace()) {
        return out.extend_from_slice(text.as_bytes());
    }
    out.push(b'\'');
    for byte in text.bytes() {
        match byte {
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            b'\'' | b'"' | b'\\' | b'%' => out.extend_from_slice(&[b'\\', byte]),
            byte => out.push(byte),
        }
    }
    out.push(b'\'');
}
