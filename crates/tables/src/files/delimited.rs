//! One record of delimited text after another, straight into columns.
//!
//! A record without quotes ends where its line does, and its cells at the delimiters: that is
//! found by `memchr`, and plain numbers are read where they stand. A record with a quote in it
//! (or a carriage return that does not end it) goes through `csv-core`. Both take the same files
//! for the same rows; a property test compares them.

use std::ops::Range;

use csv_core::{ReadFieldResult, Reader};
use memchr::memchr;

use super::head::{Layout, reader, restart};
use crate::cells::{Builder, Cell, describe, shortened};
use crate::column::Column;
use crate::schema::Field;

/// What comes next in the text.
#[derive(Debug)]
pub(super) enum Step {
    /// A row, which the columns have now, and where it ends.
    Row { end: usize },
    /// A record that is no row, which the columns do not have.
    Bad { end: usize, line: u64, bad: Bad },
    /// A record that does not end in the text, and where it starts: blank lines are behind it.
    More { at: usize },
    /// Nothing more.
    End,
}

/// A record that is no row.
#[derive(Debug)]
pub(super) struct Bad {
    /// Where it stands, without its line end.
    pub(super) record: Range<usize>,
    /// The column of the file whose cell is at fault, if it is one cell.
    pub(super) column: Option<usize>,
    /// `column "age": "forty" is not an Int32` or `3 cells for 2 columns`.
    pub(super) reason: String,
}

/// A cell that its column does not take.
struct BadCell {
    column: usize,
    reason: String,
}

/// Columns in the making, and the place in the file.
#[derive(Debug)]
pub(super) struct Delimited {
    delimiter: u8,
    /// By column of the file.
    columns: Vec<InTheMaking>,
    cell_bytes: usize,
    rows: usize,
    /// How many rows the last block had: room for as many is made.
    expected: usize,
    /// The number of the line at which the next record starts.
    line: u64,
    quotes: Mark,
    returns: Mark,
    reader: Reader,
    /// The text of a cell without its quotes.
    unquoted: Vec<u8>,
}

#[derive(Debug)]
struct InTheMaking {
    builder: Builder,
    field: Field,
}

impl Delimited {
    pub(super) fn new(delimiter: u8, layout: &Layout, line: u64, cell_bytes: usize) -> Delimited {
        let column = |&position: &usize| {
            let field = layout.schema.field(position).clone();
            InTheMaking {
                builder: Builder::new(&field, 0),
                field,
            }
        };
        Delimited {
            delimiter,
            columns: layout.positions.iter().map(column).collect(),
            cell_bytes,
            rows: 0,
            expected: 0,
            line,
            quotes: Mark::new(b'"'),
            returns: Mark::new(b'\r'),
            reader: reader(delimiter),
            unquoted: Vec::new(),
        }
    }

    pub(super) fn delimiter(&self) -> u8 {
        self.delimiter
    }

    /// The rows of the block so far.
    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// The number of the line at which the next record starts.
    pub(super) fn line(&self) -> u64 {
        self.line
    }

    /// The block's columns, in the file's order; the next block begins.
    pub(super) fn finish_block(&mut self) -> impl Iterator<Item = Column> {
        self.expected = self.rows;
        self.rows = 0;
        let expected = self.expected;
        let columns = self.columns.iter_mut();
        columns.map(move |column| column.builder.finish_block(expected))
    }

    /// Says that the next record is in another place now.
    pub(super) fn moved(&mut self) {
        self.quotes.at = 0;
        self.returns.at = 0;
    }

    /// Takes the record that starts at `at`, blank lines before it skipped. `bounds` gets the
    /// places of a row's cells. At the end of the input, `ended`, the last record needs no line
    /// end.
    #[inline]
    pub(super) fn next(
        &mut self,
        bytes: &[u8],
        mut at: usize,
        ended: bool,
        bounds: &mut Vec<u32>,
    ) -> Step {
        while let Some(&byte @ (b'\n' | b'\r')) = bytes.get(at) {
            self.line += u64::from(byte == b'\n');
            at += 1;
        }
        if at >= bytes.len() {
            return if ended { Step::End } else { Step::More { at } };
        }
        let Some(length) = memchr(b'\n', &bytes[at..]) else {
            return match ended {
                true => self.long_way(bytes, at, ended, bounds),
                false => Step::More { at },
            };
        };
        let end = at + length;
        let next = end + 1;
        let end = end - usize::from(bytes[end - 1] == b'\r');
        if self.quotes.is_before(bytes, at, end) || self.returns.is_before(bytes, at, end) {
            return self.long_way(bytes, at, ended, bounds);
        }
        let line = self.line;
        self.line += 1;
        let known = bounds.len();
        match self.plain_line(bytes, at, end, bounds) {
            Ok(()) => {
                self.rows += 1;
                Step::Row { end: next }
            }
            Err(cell) => {
                bounds.truncate(known);
                self.take_back();
                let cells = 1 + memchr::memchr_iter(self.delimiter, &bytes[at..end]).count();
                let bad = self.bad(at..end, cells, cell);
                Step::Bad {
                    end: next,
                    line,
                    bad,
                }
            }
        }
    }

    /// Takes the cells from `at` to `end`, among which there is no quote. `None` for an error
    /// means that there are too few or too many.
    #[inline]
    fn plain_line(
        &mut self,
        bytes: &[u8],
        at: usize,
        end: usize,
        bounds: &mut Vec<u32>,
    ) -> Result<(), Option<BadCell>> {
        let delimiter = self.delimiter;
        let limit = self.cell_bytes;
        let mut from = at;
        let mut stop = end;
        bounds.push(at as u32);
        for (column, making) in self.columns.iter_mut().enumerate() {
            if from > end {
                return Err(None);
            }
            stop = match making.builder.push_bare(bytes, from, delimiter) {
                Some(stop) => stop,
                None => {
                    let stop = memchr(delimiter, &bytes[from..end]).map_or(end, |i| from + i);
                    if let Err(reason) = making.push(&bytes[from..stop], limit) {
                        return Err(Some(BadCell { column, reason }));
                    }
                    stop
                }
            };
            bounds.push(stop as u32);
            from = stop + 1;
        }
        if stop == end { Ok(()) } else { Err(None) }
    }

    /// Takes the record that starts at `at` whatever is in it.
    fn long_way(&mut self, bytes: &[u8], at: usize, ended: bool, bounds: &mut Vec<u32>) -> Step {
        let known = bounds.len();
        bounds.push(at as u32);
        restart(&mut self.reader);
        if self.unquoted.len() <= bytes.len() - at {
            self.unquoted.resize(bytes.len() - at + 1, 0);
        }
        let mut refused = None;
        let mut cells = 0;
        let (mut end, mut length) = (at, 0);
        let record_end = loop {
            if end == bytes.len() && !ended {
                // To the reader, no bytes mean the end of the input.
                bounds.truncate(known);
                self.take_back();
                return Step::More { at };
            }
            let room = &mut self.unquoted[length..];
            let (result, read, written) = self.reader.read_field(&bytes[end..], room);
            end += read;
            length += written;
            let ReadFieldResult::Field { record_end } = result else {
                // The room is larger than the text, so that only the text can end.
                continue;
            };
            // Unless the input itself ended it, a delimiter or line end did.
            let stop = end - usize::from(read > 0);
            if let Some(making) = self.columns.get_mut(cells)
                && refused.is_none()
            {
                bounds.push(stop as u32);
                if let Err(reason) = making.push(&self.unquoted[..length], self.cell_bytes) {
                    refused = Some(BadCell {
                        column: cells,
                        reason,
                    });
                }
            }
            cells += 1;
            length = 0;
            if record_end {
                break stop;
            }
        };
        let line = self.line;
        self.line += memchr::memchr_iter(b'\n', &bytes[at..end]).count() as u64;
        if refused.is_none() && cells == self.columns.len() {
            self.rows += 1;
            return Step::Row { end };
        }
        bounds.truncate(known);
        self.take_back();
        let bad = self.bad(at..record_end, cells, refused);
        Step::Bad { end, line, bad }
    }

    /// Forgets the cells of a row that did not become one.
    fn take_back(&mut self) {
        for making in &mut self.columns {
            making.builder.truncate(self.rows);
        }
    }

    /// What is wrong with a record. The wrong number of cells explains a cell at fault too.
    #[cold]
    fn bad(&self, record: Range<usize>, cells: usize, cell: Option<BadCell>) -> Bad {
        match cell {
            Some(BadCell { column, reason }) if cells == self.columns.len() => Bad {
                record,
                column: Some(column),
                reason,
            },
            _ => Bad {
                record,
                column: None,
                reason: format!(
                    "{} for {}",
                    counted(cells, "cell"),
                    counted(self.columns.len(), "column")
                ),
            },
        }
    }
}

fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

impl InTheMaking {
    /// Appends a cell, or says why not.
    #[inline]
    fn push(&mut self, cell: &[u8], limit: usize) -> Result<(), String> {
        let Ok(text) = std::str::from_utf8(cell) else {
            return Err(self.refused("a cell is not UTF-8"));
        };
        if text.len() > limit {
            return Err(self.refused(&format!("a cell is longer than {limit} bytes")));
        }
        let cell = match text.is_empty() && self.field.nullable {
            true => Cell::Null,
            false => Cell::Text(text),
        };
        match self.builder.push(cell) {
            Ok(()) => Ok(()),
            Err(refusal) => Err(describe(&self.field, cell, refusal)),
        }
    }

    #[cold]
    fn refused(&self, what: &str) -> String {
        format!("column \"{}\": {what}", shortened(&self.field.name))
    }
}

/// The next place of a byte in a text that is gone through from its start to its end.
#[derive(Debug)]
struct Mark {
    byte: u8,
    /// Where it is next; or how far the text was searched, where another byte is.
    at: usize,
}

impl Mark {
    fn new(byte: u8) -> Mark {
        Mark { byte, at: 0 }
    }

    /// Whether the byte is somewhere from `from` on, before `end`.
    #[inline]
    fn is_before(&mut self, bytes: &[u8], from: usize, end: usize) -> bool {
        if self.at >= end {
            return false;
        }
        if self.at < from || bytes[self.at] != self.byte {
            let from = self.at.max(from);
            let found = memchr(self.byte, &bytes[from..]);
            self.at = found.map_or(bytes.len(), |found| from + found);
        }
        self.at < end
    }
}
