//! Reading.

use std::fmt::Display;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use faults::{Fault, bad_user_argument};
use parquet::column::reader::ColumnReader;
use parquet::errors::ParquetError;
use parquet::file::reader::{FileReader, SerializedFileReader};

use super::cells::Cells;
use super::chunks::{Chunks, ReadAt};
use crate::cells::shortened;
use crate::files::head::Layout;
use crate::files::making::{BadCell, Making};
use crate::files::source::{Memory, Pool, SourceText};
use crate::files::text_rows::write_text;
use crate::files::{BadRows, Block, Reject, unreadable};
use crate::limits::Limits;
use crate::schema::Schema;
use crate::table::Table;

/// Reads a Parquet file as rows of a schema. Columns are found by name, in any order; each must be
/// there and no other, and none may be nested or repeated. Values follow the rules of a request's
/// cells: whole numbers are numbers, texts that are numbers too. Rows are counted from 1, since
/// such a file has no lines.
pub struct ParquetReader {
    chunks: Chunks,
    file: SerializedFileReader<Chunks>,
    layout: Arc<Layout>,
    making: Making,
    cells: Vec<Cells>,
    bad_rows: BadRows,
    /// The group of rows that comes after the current one, and of the current one the rest.
    next_group: usize,
    columns: Vec<ColumnReader>,
    left: u64,
    /// Rows of the file that were read.
    row: u64,
    pool: Arc<Pool>,
}

impl std::fmt::Debug for ParquetReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let rows = self.rows();
        write!(f, "ParquetReader({} of {rows} rows)", self.row)
    }
}

/// How many times the file's size a column may claim to unpack to, beyond the first 64 MiB.
const RATIO: u64 = 1000;
const FREE: u64 = 64 * 1024 * 1024;

impl ParquetReader {
    /// A reader of such a file. Of the limits only that of a cell's bytes counts here.
    ///
    /// # Errors
    ///
    /// `InputParseError` where the file is no Parquet file or a column has a type that a table
    /// cannot hold; `InputMismatchError` (target: the column) for a missing, extra or repeated
    /// column; what [`crate::files::unreadable`] says where the file cannot be read.
    pub fn new(
        source: Arc<dyn ReadAt>,
        schema: &Arc<Schema>,
        limits: &Limits,
        bad_rows: BadRows,
    ) -> Result<ParquetReader, Fault> {
        let chunks = Chunks::new(source).map_err(|error| unreadable(&error))?;
        let file = guarded(&chunks, || SerializedFileReader::new(chunks.clone()))?;
        let metadata = file.metadata().file_metadata();
        let fields = metadata.schema_descr().root_schema().get_fields();
        let names: Vec<String> = fields.iter().map(|field| field.name().to_owned()).collect();
        let layout = Arc::new(Layout::new(schema, &names)?);
        let mut cells = Vec::with_capacity(names.len());
        for (field, name) in fields.iter().zip(&names) {
            let leaves = metadata.schema_descr().columns();
            let leaf = field
                .is_primitive()
                .then(|| leaves.get(cells.len()))
                .flatten();
            match leaf.and_then(|leaf| Cells::of(leaf)) {
                Some(column) => cells.push(column),
                None => {
                    let name = shortened(name);
                    let problem = format!("column \"{name}\" has a type that a table cannot hold");
                    return Err(bad_user_argument::input_parse_error(problem).at(name));
                }
            }
        }
        let making = Making::new(&layout, limits.cell_bytes);
        Ok(ParquetReader {
            chunks,
            file,
            layout,
            making,
            cells,
            bad_rows,
            next_group: 0,
            columns: Vec::new(),
            left: 0,
            row: 0,
            pool: Arc::default(),
        })
    }

    /// The number of rows as the file tells it.
    pub fn rows(&self) -> u64 {
        let groups = self.file.metadata().row_groups().iter();
        let rows = groups.map(|group| u64::try_from(group.num_rows()).unwrap_or(0));
        rows.fold(0, u64::saturating_add)
    }

    /// Reads the next rows, at most so many; `None` at the end of the file. A block has fewer where
    /// a group of rows ends. Its source has no text to copy.
    ///
    /// # Errors
    ///
    /// `InputParseError` for a row that is none, unless such are set aside, and where the file is
    /// broken; what [`crate::files::unreadable`] says where it cannot be read.
    pub fn read_block(&mut self, rows: usize) -> Result<Option<Block>, Fault> {
        while self.left == 0 {
            if self.next_group >= self.file.num_row_groups() {
                return Ok(None);
            }
            self.open_group()?;
        }
        let wanted = usize::try_from(self.left).unwrap_or(usize::MAX).min(rows);
        let chunks = &self.chunks;
        for (cells, reader) in self.cells.iter_mut().zip(&mut self.columns) {
            let read = guarded(chunks, || cells.read(reader, wanted))?;
            if read != wanted {
                return Err(broken("a column has fewer values than rows"));
            }
        }
        self.left -= wanted as u64;
        let mut rejects = Vec::new();
        for row in 0..wanted {
            self.row += 1;
            if let Some(reject) = self.take_row(row)? {
                rejects.push(reject);
            }
        }
        let count = self.making.rows;
        let columns = self.layout.in_order(self.making.finish_block());
        let table = Table::of_builders(Arc::clone(&self.layout.schema), columns, count);
        let source = SourceText::new(
            Memory::default(),
            Arc::clone(&self.layout),
            table.clone(),
            b',',
            Arc::clone(&self.pool),
        );
        Ok(Some(Block {
            table,
            source,
            rejects,
        }))
    }

    fn open_group(&mut self) -> Result<(), Fault> {
        let index = self.next_group;
        self.next_group += 1;
        let group = guarded(&self.chunks, || self.file.get_row_group(index))?;
        let metadata = self.file.metadata().row_group(index);
        let most = parquet::file::reader::Length::len(&self.chunks);
        let most = most.saturating_mul(RATIO).max(FREE);
        let size = |size: i64| u64::try_from(size).unwrap_or(u64::MAX);
        let columns = metadata.columns().iter();
        if columns
            .map(|column| size(column.uncompressed_size()))
            .any(|size| size > most)
        {
            let problem = format!("a column unpacks to more than {RATIO} times the file's size");
            return Err(broken(problem));
        }
        let open = |column| guarded(&self.chunks, || group.get_column_reader(column));
        self.columns = (0..self.cells.len()).map(open).collect::<Result<_, _>>()?;
        self.left = u64::try_from(metadata.num_rows())
            .map_err(|_| broken("a group has fewer than no rows"))?;
        Ok(())
    }

    /// Takes a row of those read, or gives it back as none.
    fn take_row(&mut self, row: usize) -> Result<Option<Reject>, Fault> {
        let limit = self.making.limit;
        let mut refused = None;
        let columns = self.making.columns.iter_mut().zip(&mut self.cells);
        for (column, (making, cells)) in columns.enumerate() {
            if let Err(reason) = cells.push(row, making, limit) {
                refused = Some(BadCell { column, reason });
                break;
            }
        }
        let Some(BadCell { column, reason }) = refused else {
            self.making.rows += 1;
            return Ok(None);
        };
        self.making.take_back();
        if self.bad_rows == BadRows::Fail {
            let position = self.layout.positions[column];
            let name = shortened(&self.layout.schema.field(position).name);
            let problem = format!("row {}, {reason}", self.row);
            return Err(bad_user_argument::input_parse_error(problem).at(name));
        }
        let mut record = Vec::new();
        for (i, cells) in self.cells.iter_mut().enumerate() {
            if i > 0 {
                record.push(b',');
            }
            // The cells up to the one at fault are behind already.
            let text = if i <= column {
                cells.again(row)
            } else {
                cells.skip(row)
            };
            write_text(text.as_bytes(), b',', false, &mut record);
        }
        Ok(Some(Reject {
            line: self.row,
            record,
            reason,
        }))
    }
}

/// Runs a call of the library, which reads what others wrote: a panic there means that the file is
/// broken, as an error does unless the file could not be read.
fn guarded<T>(chunks: &Chunks, call: impl FnOnce() -> Result<T, ParquetError>) -> Result<T, Fault> {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) if chunks.failed() => {
            Err(Fault::bare(faults::Class::InternalError).caused_by(&error))
        }
        Ok(Err(error)) => Err(broken(error)),
        Err(_) => Err(broken("its content makes no sense")),
    }
}

fn broken(what: impl Display) -> Fault {
    let what = shortened(&what.to_string());
    bad_user_argument::input_parse_error(format!("the Parquet file is broken ({what})"))
}
