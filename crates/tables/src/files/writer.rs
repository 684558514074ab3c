//! Tables into files.

use faults::{Class, Fault};

use super::packing::Packer;
use super::parquet::ParquetRows;
use super::source::SourceText;
use super::{Compression, FileType, Format, arff, text_rows};
use crate::table::Table;

/// Writes tables of one schema, one after another, into one file or a part of one.
///
/// Cells have the form of [`crate::text::write_cell`], missing ones are empty; lines end in LF. A
/// cell of a column that the source has too, by name and type, and whose value is the one that was
/// read, is a copy of what stood there: `1.50` comes out as `1.50` where nobody touched it. So the
/// bytes do not depend on how the rows were cut into tables, those of a packed file neither.
pub struct TableWriter {
    file: FileType,
    /// Whether the head is still to come.
    head: bool,
    packer: Option<Packer>,
    parquet: Option<Box<ParquetRows>>,
}

impl TableWriter {
    /// A writer of such a file, or, where `head` is false, of a part that is not its first: the
    /// names of the columns are in the first alone. A Parquet file has no parts. Each part of a packed file is packed by
    /// itself, which gzip and Zstandard allow.
    pub fn new(file: FileType, head: bool) -> TableWriter {
        TableWriter {
            file,
            head: head && file.format.has_header(),
            packer: None,
            parquet: None,
        }
    }

    /// Appends the rows, before the first the head. `source` is what the same rows were read from,
    /// row by row: it is for tables that were made from one without adding, removing or moving
    /// rows. A table without rows writes the head.
    ///
    /// # Errors
    ///
    /// A bare `InternalError` where there is no memory for packing or the columns cannot be written
    /// as Parquet.
    pub fn write(
        &mut self,
        table: &Table,
        source: Option<&SourceText>,
        out: &mut Vec<u8>,
    ) -> Result<(), Fault> {
        self.begin()?;
        let head = std::mem::take(&mut self.head);
        let plain = match &mut self.packer {
            None => &mut *out,
            Some(packer) => packer.plain(),
        };
        match self.file.format {
            Format::Csv { .. } | Format::Tsv { .. } => {
                let delimiter = self.file.format.delimiter();
                if head {
                    text_rows::write_names(table, delimiter, plain);
                }
                text_rows::write_rows(table, source, delimiter, plain);
            }
            Format::Arff => {
                if head {
                    arff::write_head(table, plain);
                }
                arff::write_rows(table, plain);
            }
            Format::Parquet => {
                let rows = match &mut self.parquet {
                    Some(rows) => rows,
                    none => none.insert(Box::new(ParquetRows::new(table.schema())?)),
                };
                rows.write(table, plain)?;
            }
        }
        match &mut self.packer {
            None => Ok(()),
            Some(packer) => packer.pack(out).map_err(not_packed),
        }
    }

    /// Ends the file or part.
    ///
    /// # Errors
    ///
    /// As [`TableWriter::write`].
    pub fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), Fault> {
        self.begin()?;
        if let Some(rows) = self.parquet.take() {
            match &mut self.packer {
                None => rows.finish(out)?,
                Some(packer) => rows.finish(packer.plain())?,
            }
        }
        match self.packer.take() {
            None => Ok(()),
            Some(packer) => packer.finish(out).map_err(not_packed),
        }
    }

    fn begin(&mut self) -> Result<(), Fault> {
        if self.packer.is_none() && self.file.compression != Compression::None {
            self.packer = Packer::new(self.file.compression).map_err(not_packed)?;
        }
        Ok(())
    }
}

fn not_packed(error: std::io::Error) -> Fault {
    Fault::bare(Class::InternalError).caused_by(&error)
}
