//! The head of a file: the names of its columns, and where its records start.

use std::sync::Arc;

use csv_core::{ReadFieldResult, Reader, ReaderBuilder};
use faults::{Fault, bad_user_argument};

use super::Format;
use super::arff::parse_head;
use crate::cells::shortened;
use crate::column::Column;
use crate::schema::Schema;

/// What stands before a file's records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The names of the columns, in the file's order.
    pub names: Vec<String>,
    /// How many bytes stand before what [`crate::files::RecordReader`] reads first: the first
    /// record, or the head itself of an ARFF file.
    pub end: u64,
    /// The number of the line at which that starts, counted from 1.
    pub line: u64,
}

/// The most bytes a head may have.
pub const HEAD_LIMIT: usize = 1024 * 1024;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Reads the head of a file of which `first` is the beginning, or all of it where `whole`. A byte
/// order mark is skipped. `None` means that more bytes are needed, which is never so from
/// [`HEAD_LIMIT`] bytes on. The names are not compared with the schema
/// ([`crate::files::RecordReader::new`] does that); of a file without a header, and of a Parquet
/// file, whose names are not at its beginning, they are the schema's.
///
/// # Errors
///
/// `InputParseError` where a header is expected and the file is empty, the header is not UTF-8, it
/// is longer than the limit, or an ARFF head is not right.
pub fn read_head(
    first: &[u8],
    whole: bool,
    format: Format,
    schema: &Schema,
) -> Result<Option<Head>, Fault> {
    if format == Format::Arff {
        // Its rows cannot be read without the head.
        return Ok(parse_head(first, whole)?.map(|head| Head {
            names: head.names,
            end: 0,
            line: 1,
        }));
    }
    if format == Format::Parquet {
        // Its names stand at its end, and whoever reads it compares them.
        return Ok(Some(Head {
            names: schema.names().map(str::to_owned).collect(),
            end: 0,
            line: 1,
        }));
    }
    let mut at = 0;
    if first.starts_with(BYTE_ORDER_MARK) {
        at = BYTE_ORDER_MARK.len();
    } else if !whole && BYTE_ORDER_MARK.starts_with(first) {
        return Ok(None);
    }
    if !format.has_header() {
        return Ok(Some(Head {
            names: schema.names().map(str::to_owned).collect(),
            end: at as u64,
            line: 1,
        }));
    }
    let blank = |byte: &&u8| matches!(byte, b'\r' | b'\n');
    let from = at + first[at..].iter().take_while(blank).count();
    let Some((cells, end)) = header(&first[from..], whole, format) else {
        return match (whole, first.len() >= HEAD_LIMIT) {
            (true, _) => Err(bad_user_argument::input_parse_error(
                "the file is empty, and a header row is expected",
            )),
            (false, true) => Err(bad_user_argument::input_parse_error(
                "the header row does not end within 1 MiB",
            )),
            (false, false) => Ok(None),
        };
    };
    let names = cells.into_iter().map(String::from_utf8);
    let Ok(names) = names.collect::<Result<Vec<_>, _>>() else {
        let problem = "the header is not UTF-8";
        return Err(bad_user_argument::input_parse_error(problem));
    };
    let mut end = from + end;
    if first[..end].ends_with(b"\r") {
        match first.get(end) {
            Some(b'\n') => end += 1,
            None if !whole => return Ok(None),
            _ => {}
        }
    }
    Ok(Some(Head {
        names,
        end: end as u64,
        line: 1 + memchr::memchr_iter(b'\n', &first[..end]).count() as u64,
    }))
}

/// The cells of the first record, and where it ends; `None` where there is no whole one.
fn header(bytes: &[u8], whole: bool, format: Format) -> Option<(Vec<Vec<u8>>, usize)> {
    let mut reader = reader(format.delimiter());
    restart(&mut reader);
    let mut cells = Vec::new();
    let mut cell = vec![0; bytes.len() + 1];
    let mut at = 0;
    let mut length = 0;
    loop {
        if at == bytes.len() && !whole {
            // To the reader, no bytes mean the end of the file.
            return None;
        }
        let (result, read, written) = reader.read_field(&bytes[at..], &mut cell[length..]);
        at += read;
        length += written;
        match result {
            ReadFieldResult::Field { record_end } => {
                cells.push(cell[..length].to_vec());
                length = 0;
                if record_end {
                    return Some((cells, at));
                }
            }
            ReadFieldResult::InputEmpty => {}
            ReadFieldResult::End | ReadFieldResult::OutputFull => return None,
        }
    }
}

/// A reader of records.
pub(super) fn reader(delimiter: u8) -> Reader {
    ReaderBuilder::new().delimiter(delimiter).build()
}

/// Puts a reader right at the start of a record that is not the file's first: before the first it
/// would skip a byte order mark, which is the head's to do.
pub(super) fn restart(reader: &mut Reader) {
    reader.reset();
    let _ = reader.read_field(b"\n", &mut [0]);
}

/// Which column of a file is which of a schema.
#[derive(Debug)]
pub(super) struct Layout {
    pub(super) schema: Arc<Schema>,
    /// By column of the file, its position in the schema.
    pub(super) positions: Vec<usize>,
    /// By position in the schema, the column of the file.
    pub(super) cells: Vec<usize>,
}

impl Layout {
    /// Compares the columns of a file with the schema: each must be there once, and no other.
    pub(super) fn new(schema: &Arc<Schema>, names: &[String]) -> Result<Layout, Fault> {
        let mut cells = vec![None; schema.len()];
        let mut positions = Vec::with_capacity(names.len().min(schema.len()));
        let mut at_fault = Vec::new();
        for (cell, name) in names.iter().enumerate() {
            match schema.position(name) {
                Some(position) if cells[position].is_none() => {
                    cells[position] = Some(cell);
                    positions.push(position);
                }
                Some(_) => at_fault.push((name.as_str(), "repeated")),
                None => at_fault.push((name, "extra")),
            }
        }
        let missing = schema
            .names()
            .zip(&cells)
            .filter(|(_, cell)| cell.is_none());
        at_fault.extend(missing.map(|(name, _)| (name, "missing")));
        let listed = at_fault.iter().take(LISTED_COLUMNS);
        let faults = listed.clone().map(|(name, _)| mismatch(name));
        if let Some(fault) = faults.reduce(Fault::and) {
            let listed = listed.map(|(name, kind)| format!("\"{}\" is {kind}", shortened(name)));
            return Err(fault.because(listed.collect::<Vec<_>>().join(", ")));
        }
        Ok(Layout {
            schema: Arc::clone(schema),
            positions,
            cells: cells.into_iter().flatten().collect(),
        })
    }

    /// Columns in the file's order into the schema's.
    pub(super) fn in_order(&self, columns: Vec<Column>) -> Vec<Arc<Column>> {
        let mut columns: Vec<_> = columns.into_iter().map(|c| Some(Arc::new(c))).collect();
        let cells = self.cells.iter();
        cells
            .filter_map(|&cell| columns.get_mut(cell)?.take())
            .collect()
    }

    /// The number of columns.
    pub(super) fn len(&self) -> usize {
        self.positions.len()
    }
}

/// How many columns at fault are listed.
const LISTED_COLUMNS: usize = 16;

pub(crate) fn mismatch(column: &str) -> Fault {
    bad_user_argument::input_mismatch_error().at(shortened(column))
}
