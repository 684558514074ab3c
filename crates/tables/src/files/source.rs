//! Blocks of rows, with the text that they were read from.

use std::sync::{Arc, Mutex, PoisonError};

use super::head::Layout;
use super::text_rows::write_quoted;
use crate::column::Column;
use crate::table::Table;

/// Rows of a file that stand one after another.
#[derive(Debug)]
pub struct Block {
    /// The rows as a table of the reader's schema.
    pub table: Table,
    /// What the rows' cells were read from. The next block reuses its memory once it is dropped.
    pub source: SourceText,
    /// The rows that are none, where these are set aside: the table does not have them.
    pub rejects: Vec<Reject>,
}

/// A record that is no row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reject {
    /// The number of the line at which it starts, counted from 1 at the file's first line.
    pub line: u64,
    /// The record as it stands in the file, without its line end.
    pub record: Vec<u8>,
    /// What is wrong: `column "age": "forty" is not an Int32`.
    pub reason: String,
}

impl Reject {
    /// The header of a file of rejects.
    pub const HEAD: &'static [u8] = b"line,reason,record\n";

    /// Appends the line of a file of rejects: CSV of the columns of [`Reject::HEAD`].
    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.line.to_string().as_bytes());
        out.push(b',');
        write_quoted(self.reason.as_bytes(), out);
        out.push(b',');
        write_quoted(&self.record, out);
        out.push(b'\n');
    }
}

/// The text of a block's cells: what [`crate::files::TableWriter`] copies where a column comes out
/// as it came in.
#[derive(Debug)]
pub struct SourceText {
    pub(super) memory: Memory,
    pub(super) layout: Arc<Layout>,
    /// The table as it was read, to see which columns of another are the same.
    pub(super) table: Table,
    pub(super) delimiter: u8,
    pool: Arc<Pool>,
}

/// Text, and where its cells are: by row the start of its first cell and then the end of each.
/// Between a cell's end and the next one's start is one byte.
#[derive(Debug, Default)]
pub(super) struct Memory {
    pub(super) text: Vec<u8>,
    pub(super) bounds: Vec<u32>,
}

/// Memory of blocks that are gone.
#[derive(Debug, Default)]
pub(super) struct Pool(Mutex<Vec<Memory>>);

impl Pool {
    /// More blocks than this are not on their way at once where memory is short.
    const KEPT: usize = 4;

    pub(super) fn take(&self) -> Memory {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.pop().unwrap_or_default()
    }

    fn give(&self, memory: Memory) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() < Pool::KEPT {
            kept.push(memory);
        }
    }
}

impl SourceText {
    pub(super) fn new(
        memory: Memory,
        layout: Arc<Layout>,
        table: Table,
        delimiter: u8,
        pool: Arc<Pool>,
    ) -> SourceText {
        SourceText {
            memory,
            layout,
            table,
            delimiter,
            pool,
        }
    }

    /// The column of the file whose cells may be copied for a column of that name and type, and
    /// what was read from it.
    pub(super) fn column(&self, field: &crate::Field) -> Option<(usize, &Arc<Column>)> {
        let position = self.layout.schema.position(&field.name)?;
        let same_type = self.layout.schema.field(position).data_type == field.data_type;
        let cell = *self.layout.cells.get(position)?;
        (same_type && !self.memory.bounds.is_empty()).then(|| (cell, self.table.column(position)))
    }

    /// The text from the start of one cell of a row to the end of another, that one included.
    #[inline]
    pub(super) fn cells(&self, row: usize, first: usize, last: usize) -> &[u8] {
        let width = self.layout.len() + 1;
        let bounds = &self.memory.bounds[row * width..(row + 1) * width];
        let start = match first {
            0 => bounds[0] as usize,
            _ => bounds[first] as usize + 1,
        };
        &self.memory.text[start..bounds[last + 1] as usize]
    }
}

impl Drop for SourceText {
    fn drop(&mut self) {
        self.pool.give(std::mem::take(&mut self.memory));
    }
}

#[cfg(test)]
mod tests {
    use super::Reject;

    #[test]
    fn a_rejected_record_with_quotes_and_newlines_is_one_cell() {
        let reject = Reject {
            line: 7,
            reason: "odd".to_owned(),
            record: b"1,\"a\"\n".to_vec(),
        };
        let mut out = Reject::HEAD.to_vec();
        reject.write(&mut out);
        assert_eq!(out, b"line,reason,record\n7,\"odd\",\"1,\"\"a\"\"\n\"\n");
    }
}
