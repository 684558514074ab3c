//! A whole file from its first byte to its last.

use std::io::{Cursor, ErrorKind, Read};
use std::sync::Arc;

use faults::Fault;

use super::head::{HEAD_LIMIT, read_head};
use super::records::{BadRows, RecordReader, unreadable};
use super::{Format, Head};
use crate::limits::Limits;
use crate::schema::Schema;
use crate::table::Table;

/// Reads a file from its beginning to its end. Columns may come in any order where there is a
/// header; each must be there and no other.
///
/// # Errors
///
/// Those of [`read_head`] and [`RecordReader`].
pub fn read_table(
    input: &mut dyn Read,
    format: Format,
    schema: &Arc<Schema>,
    limits: &Limits,
) -> Result<Table, Fault> {
    let (head, first) = read_first(input, format, schema)?;
    read_rest(input, format, schema, limits, &head, first)
}

/// [`read_table`] for a file whose header tells the schema.
pub(crate) fn read_table_of(
    input: &mut dyn Read,
    format: Format,
    schema: impl FnOnce(&[String]) -> Result<Arc<Schema>, Fault>,
    limits: &Limits,
) -> Result<Table, Fault> {
    let (head, first) = read_first(input, format, &Schema::empty())?;
    let schema = schema(&head.names)?;
    read_rest(input, format, &schema, limits, &head, first)
}

/// Reads the head, and gives the bytes read behind it too.
fn read_first(
    input: &mut dyn Read,
    format: Format,
    schema: &Schema,
) -> Result<(Head, Cursor<Vec<u8>>), Fault> {
    let mut first = Vec::new();
    loop {
        let length = first.len();
        let more = length.clamp(4096, HEAD_LIMIT);
        first.resize(length + more, 0);
        let read = match input.read(&mut first[length..]) {
            Ok(read) => read,
            Err(error) if error.kind() == ErrorKind::Interrupted => {
                first.truncate(length);
                continue;
            }
            Err(error) => return Err(unreadable(&error)),
        };
        first.truncate(length + read);
        if let Some(head) = read_head(&first, read == 0, format, schema)? {
            let mut first = Cursor::new(first);
            first.set_position(head.end);
            return Ok((head, first));
        }
    }
}

fn read_rest(
    input: &mut dyn Read,
    format: Format,
    schema: &Arc<Schema>,
    limits: &Limits,
    head: &Head,
    first: Cursor<Vec<u8>>,
) -> Result<Table, Fault> {
    let (names, line) = (&head.names, head.line);
    let reader = RecordReader::new(format, schema, names, line, limits, BadRows::Fail)?;
    let mut reader = reader.without_source();
    let block = reader.read_block(&mut first.chain(input), usize::MAX)?;
    let table = block.map(|block| block.table);
    Ok(table.unwrap_or_else(|| Table::empty(Arc::clone(schema))))
}
