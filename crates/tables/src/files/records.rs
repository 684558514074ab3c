//! Records of a delimited file into rows of a table, block by block.

use std::io::{ErrorKind, Read};
use std::sync::Arc;

use faults::{Class, Fault, bad_user_argument};

use super::arff::{Arff, parse_head};
use super::delimited::Delimited;
use super::head::Layout;
use super::making::{Bad, Making, Step};
use super::source::{Block, Memory, Pool, Reject, SourceText};
use super::{Format, ParquetReader};
use crate::cells::shortened;
use crate::column::Column;
use crate::limits::Limits;
use crate::schema::Schema;
use crate::table::Table;

/// What becomes of a record that is no row: one with too few or too many cells, or with a cell
/// that its column does not take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadRows {
    /// Reading ends with its fault.
    Fail,
    /// It is set aside and the rest is read.
    Reject,
}

/// Reads the records of a file, or of a part of one that begins where a record does, as rows of a
/// schema. Cells follow the rules of a request's (see [`crate::request`]), with one addition: an
/// empty cell is missing in a nullable column of texts too, and an empty text where the column is
/// not nullable. Blank lines are no records.
#[derive(Debug)]
pub struct RecordReader {
    records: Records,
    layout: Arc<Layout>,
    format: Format,
    limits: Limits,
    bad_rows: BadRows,
    keep_source: bool,
    memory: Memory,
    pool: Arc<Pool>,
    /// Where in the memory's text the next record starts, and where what was read ends.
    at: usize,
    filled: usize,
    /// Whether the input has ended.
    ended: bool,
}

#[derive(Debug)]
enum Records {
    Delimited(Box<Delimited>),
    /// None until the head is read.
    Arff(Option<Arff>),
    /// None until the file is there as a whole.
    Parquet(Option<Box<ParquetReader>>),
}

impl Records {
    fn making(&self) -> Option<&Making> {
        match self {
            Records::Delimited(records) => Some(&records.making),
            Records::Arff(records) => records.as_ref().map(|records| &records.making),
            Records::Parquet(_) => None,
        }
    }

    /// The rows of the block so far.
    fn rows(&self) -> usize {
        self.making().map_or(0, |making| making.rows)
    }

    /// The number of the line at which the next record starts.
    fn line(&self) -> u64 {
        match self {
            Records::Delimited(records) => records.line(),
            Records::Arff(records) => records.as_ref().map_or(1, |records| records.line),
            Records::Parquet(_) => 1,
        }
    }

    #[inline]
    fn next(&mut self, bytes: &[u8], at: usize, ended: bool, bounds: &mut Vec<u32>) -> Step {
        match self {
            Records::Delimited(records) => records.next(bytes, at, ended, bounds),
            Records::Arff(Some(records)) => records.next(bytes, at, ended),
            Records::Arff(None) | Records::Parquet(_) => Step::End,
        }
    }

    fn finish_block(&mut self) -> Vec<Column> {
        match self {
            Records::Delimited(records) => records.making.finish_block(),
            Records::Arff(Some(records)) => records.making.finish_block(),
            Records::Arff(None) | Records::Parquet(_) => Vec::new(),
        }
    }

    /// Says that the next record is in another place of the text now.
    fn moved(&mut self) {
        if let Records::Delimited(records) = self {
            records.moved();
        }
    }
}

/// The most bytes of one record: whoever leaves a quote open makes one of all the rest.
const RECORD_LIMIT: usize = 64 * 1024 * 1024;

/// A block ends early where its text has so many bytes.
const BLOCK_TEXT: usize = 1024 * 1024 * 1024;

/// The most bytes of a Parquet file that is taken into memory.
const PARQUET_LIMIT: u64 = 1024 * 1024 * 1024;

/// How much is read at once.
const READ: usize = 256 * 1024;

impl RecordReader {
    /// A reader of records whose columns have these names in this order ([`super::read_head`] gives
    /// them). `first_line` is the number of the line at which the first record starts. Of the
    /// limits only that of a cell's bytes counts here. An ARFF file is read from its beginning,
    /// head and all, and its first line is 1. A Parquet file is taken into memory, up to 1 GiB:
    /// [`ParquetReader`] reads it where it lies.
    ///
    /// # Errors
    ///
    /// `InputMismatchError` (target: the column) for a missing, extra or repeated column, one
    /// detail each, the first 16.
    pub fn new(
        format: Format,
        schema: &Arc<Schema>,
        names: &[String],
        first_line: u64,
        limits: &Limits,
        bad_rows: BadRows,
    ) -> Result<RecordReader, Fault> {
        let layout = Arc::new(Layout::new(schema, names)?);
        let records = match format {
            Format::Csv { .. } | Format::Tsv { .. } => Records::Delimited(Box::new(
                Delimited::new(format.delimiter(), &layout, first_line, limits.cell_bytes),
            )),
            Format::Arff => Records::Arff(None),
            Format::Parquet => Records::Parquet(None),
        };
        Ok(RecordReader {
            records,
            layout,
            format,
            limits: *limits,
            bad_rows,
            keep_source: true,
            memory: Memory::default(),
            pool: Arc::default(),
            at: 0,
            filled: 0,
            ended: false,
        })
    }

    /// The reader without the text of its blocks: for tables of which no column comes out as it
    /// came in, however large.
    #[must_use]
    pub fn without_source(mut self) -> RecordReader {
        self.keep_source = false;
        self
    }

    /// Reads on until there are so many records or the input ends; `None` at its end. A block has
    /// fewer where their text comes to a gibibyte and is kept. The input must be the same at each
    /// call: more of it is read than the block needs.
    ///
    /// # Errors
    ///
    /// `InputParseError` for a record that is no row, unless such are set aside, and for one of
    /// more than 64 MiB; what [`super::unreadable`] says where the input cannot be read.
    pub fn read_block(
        &mut self,
        input: &mut dyn Read,
        rows: usize,
    ) -> Result<Option<Block>, Fault> {
        if let Records::Parquet(reader) = &mut self.records {
            let reader = match reader {
                Some(reader) => reader,
                None => {
                    let file = Arc::new(read_whole(input)?);
                    let schema = &self.layout.schema;
                    let opened = ParquetReader::new(file, schema, &self.limits, self.bad_rows)?;
                    reader.insert(Box::new(opened))
                }
            };
            return reader.read_block(rows);
        }
        self.read_arff_head(input)?;
        let mut rejects = Vec::new();
        while self.records.rows() + rejects.len() < rows {
            let bytes = &self.memory.text[..self.filled];
            let bounds = &mut self.memory.bounds;
            match self.records.next(bytes, self.at, self.ended, bounds) {
                Step::Row { end } => {
                    self.at = end;
                    if !self.keep_source {
                        bounds.clear();
                    }
                }
                Step::Bad { end, line, bad } => {
                    self.at = end;
                    match self.bad_rows {
                        BadRows::Fail => return Err(self.fault(line, &bad)),
                        BadRows::Reject => rejects.push(Reject {
                            line,
                            record: self.memory.text[bad.record.clone()].to_vec(),
                            reason: bad.reason,
                        }),
                    }
                }
                Step::More { at } => {
                    self.at = at;
                    if self.keep_source && at >= BLOCK_TEXT {
                        break;
                    }
                    self.fill(input)?;
                }
                Step::End => break,
            }
        }
        if self.records.rows() == 0 && rejects.is_empty() {
            return Ok(None);
        }
        let count = self.records.rows();
        let columns = self.layout.in_order(self.records.finish_block());
        let schema = Arc::clone(&self.layout.schema);
        let table = Table::of_builders(schema, columns, count);
        // The rest of the text belongs to the next block.
        let mut memory = self.pool.take();
        memory.bounds.clear();
        let rest = &self.memory.text[self.at..self.filled];
        if memory.text.len() < rest.len() {
            memory.text.resize(rest.len(), 0);
        }
        memory.text[..rest.len()].copy_from_slice(rest);
        (self.at, self.filled) = (0, rest.len());
        self.records.moved();
        let memory = std::mem::replace(&mut self.memory, memory);
        let source = SourceText::new(
            memory,
            Arc::clone(&self.layout),
            table.clone(),
            self.format.delimiter(),
            Arc::clone(&self.pool),
        );
        Ok(Some(Block {
            table,
            source,
            rejects,
        }))
    }

    /// Reads the head of an ARFF file, which tells more than the names of its columns.
    fn read_arff_head(&mut self, input: &mut dyn Read) -> Result<(), Fault> {
        let Records::Arff(None) = self.records else {
            return Ok(());
        };
        let head = loop {
            let bytes = &self.memory.text[self.at..self.filled];
            if let Some(head) = parse_head(bytes, self.ended)? {
                break head;
            }
            self.fill(input)?;
        };
        let layout = Layout::new(&self.layout.schema, &head.names)?;
        self.at += head.end;
        self.records = Records::Arff(Some(Arff::new(&head, &layout, self.limits.cell_bytes)));
        self.layout = Arc::new(layout);
        Ok(())
    }

    /// Reads more text. Where a record does not end in what there is, twice as much comes next, so
    /// that a long one is not gone over too often.
    fn fill(&mut self, input: &mut dyn Read) -> Result<(), Fault> {
        if self.filled - self.at > RECORD_LIMIT {
            let line = self.records.line();
            return Err(bad_user_argument::input_parse_error(format!(
                "line {line}: the record that starts here is longer than 64 MiB"
            )));
        }
        // What lies behind is of use to rows whose source is kept.
        if self.at > 0 && (!self.keep_source || self.records.rows() == 0) {
            self.memory.text.copy_within(self.at..self.filled, 0);
            (self.at, self.filled) = (0, self.filled - self.at);
            self.records.moved();
        }
        let want = READ.max(self.filled - self.at);
        if self.memory.text.len() < self.filled + want {
            self.memory.text.resize(self.filled + want, 0);
        }
        let room = &mut self.memory.text[self.filled..self.filled + want];
        let read = loop {
            match input.read(room) {
                Ok(read) => break read.min(want),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(unreadable(&error)),
            }
        };
        self.filled += read;
        self.ended = read == 0;
        Ok(())
    }

    #[cold]
    fn fault(&self, line: u64, bad: &Bad) -> Fault {
        let problem = match bad.column {
            Some(_) => format!("line {line}, {}", bad.reason),
            None => format!("line {line} has {}", bad.reason),
        };
        let fault = bad_user_argument::input_parse_error(problem);
        match bad.column {
            None => fault,
            Some(cell) => {
                let position = self.layout.positions[cell];
                fault.at(shortened(&self.layout.schema.field(position).name))
            }
        }
    }
}

/// Reads a Parquet file to its end.
fn read_whole(input: &mut dyn Read) -> Result<Vec<u8>, Fault> {
    let mut bytes = Vec::new();
    let read = input.take(PARQUET_LIMIT + 1).read_to_end(&mut bytes);
    match read {
        Err(error) => Err(unreadable(&error)),
        Ok(read) if read as u64 > PARQUET_LIMIT => Err(bad_user_argument::input_parse_error(
            "a Parquet file of more than 1 GiB cannot be read as a stream",
        )),
        Ok(_) => Ok(bytes),
    }
}

/// The fault of input that cannot be read: `InputParseError` where its content is to blame (what
/// decodes compressed files says `InvalidData` or `UnexpectedEof`), else a bare `InternalError`.
pub fn unreadable(error: &std::io::Error) -> Fault {
    match error.kind() {
        ErrorKind::InvalidData | ErrorKind::UnexpectedEof => {
            bad_user_argument::input_parse_error(error.to_string())
        }
        _ => Fault::bare(Class::InternalError).caused_by(error),
    }
}
