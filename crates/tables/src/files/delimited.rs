//! One record of delimited text after another, straight into columns.
//!
//! A record ends where its line does, and its cells at the delimiters, unless quotes say otherwise:
//! that is found by `memchr`, and plain numbers are read where they stand. A record with a line
//! break or a quote in its quotes, or with a carriage return that does not end it, goes through
//! `csv-core`. Both take the same files for the same rows; a property test compares them.

use csv_core::{ReadFieldResult, Reader};
use memchr::memchr;

use super::head::{Layout, reader, restart};
use super::making::{BadCell, Making, Step};

/// Columns in the making, and the place in the file.
#[derive(Debug)]
pub(super) struct Delimited {
    delimiter: u8,
    pub(super) making: Making,
    /// The number of the line at which the next record starts.
    line: u64,
    returns: Mark,
    reader: Reader,
    /// The text of a cell without its quotes.
    unquoted: Vec<u8>,
}

impl Delimited {
    pub(super) fn new(delimiter: u8, layout: &Layout, line: u64, cell_bytes: usize) -> Delimited {
        Delimited {
            delimiter,
            making: Making::new(layout, cell_bytes),
            line,
            returns: Mark::new(b'\r'),
            reader: reader(delimiter),
            unquoted: Vec::new(),
        }
    }

    /// The number of the line at which the next record starts.
    pub(super) fn line(&self) -> u64 {
        self.line
    }

    /// Says that the next record is in another place now.
    pub(super) fn moved(&mut self) {
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
        if self.returns.is_before(bytes, at, end) {
            return self.long_way(bytes, at, ended, bounds);
        }
        let known = bounds.len();
        match self.plain_line(bytes, at, end, bounds) {
            Ok(()) => {
                self.making.rows += 1;
                self.line += 1;
                Step::Row { end: next }
            }
            Err(cell) => {
                bounds.truncate(known);
                self.making.take_back();
                if memchr(b'"', &bytes[at..end]).is_some() {
                    return self.long_way(bytes, at, ended, bounds);
                }
                let line = self.line;
                self.line += 1;
                let cells = 1 + memchr::memchr_iter(self.delimiter, &bytes[at..end]).count();
                let bad = self.making.bad(at..end, cells, cell);
                Step::Bad {
                    end: next,
                    line,
                    bad,
                }
            }
        }
    }

    /// Takes the cells from `at` to `end`, where the line ends, if each is without quotes or all in
    /// quotes with none inside. `None` for an error means that there are too few or too many cells,
    /// or other quotes.
    #[inline]
    fn plain_line(
        &mut self,
        bytes: &[u8],
        at: usize,
        end: usize,
        bounds: &mut Vec<u32>,
    ) -> Result<(), Option<BadCell>> {
        let delimiter = self.delimiter;
        let limit = self.making.limit;
        let mut from = at;
        let mut stop = end;
        bounds.push(at as u32);
        for (column, making) in self.making.columns.iter_mut().enumerate() {
            if from > end {
                return Err(None);
            }
            stop = match making.builder.push_bare(bytes, from, delimiter) {
                Some(stop) => stop,
                None => {
                    let (cell, stop) = match bytes[from] {
                        b'"' => quoted(bytes, from, end, delimiter).ok_or(None)?,
                        _ => {
                            let rest = &bytes[from..end];
                            let stop = memchr(delimiter, rest).map_or(end, |i| from + i);
                            (&bytes[from..stop], stop)
                        }
                    };
                    if let Err(reason) = making.push(cell, limit) {
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
                self.making.take_back();
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
            if let Some(making) = self.making.columns.get_mut(cells)
                && refused.is_none()
            {
                bounds.push(stop as u32);
                if let Err(reason) = making.push(&self.unquoted[..length], self.making.limit) {
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
        if refused.is_none() && cells == self.making.columns.len() {
            self.making.rows += 1;
            return Step::Row { end };
        }
        bounds.truncate(known);
        self.making.take_back();
        let bad = self.making.bad(at..record_end, cells, refused);
        Step::Bad { end, line, bad }
    }
}

/// The text in the quotes that open at `from`, and where the cell ends, if the next quote closes it.
#[inline]
fn quoted(bytes: &[u8], from: usize, end: usize, delimiter: u8) -> Option<(&[u8], usize)> {
    let inside = bytes.get(from + 1..end)?;
    let length = memchr(b'"', inside)?;
    let stop = from + length + 2;
    (stop == end || bytes[stop] == delimiter).then_some((&inside[..length], stop))
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
