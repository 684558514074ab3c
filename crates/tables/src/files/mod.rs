//! Tables in files: what batch jobs read and write.
//!
//! [`FileType::of_name`] tells a file's type by its name, [`read_head`] the names of its columns
//! and where its records start, [`Cutter`] where else they do, so that parts are read at once.
//! [`RecordReader`] reads a part in blocks of rows, [`ParquetReader`] a Parquet file where it lies,
//! [`Unpacker`] unpacks, and [`TableWriter`] writes tables one after another. [`read_table`] reads
//! a whole file at once.
//!
//! Delimited text is read as `csv-core` reads it: RFC 4180, quotes only where they open a cell,
//! records ended by LF, CRLF or a lone CR, blank lines left out, a byte order mark skipped. Cells
//! are of UTF-8.

mod arff;
mod cutter;
mod delimited;
mod format;
mod head;
mod making;
mod packing;
mod parquet;
mod records;
mod source;
mod text_rows;
mod whole;
mod writer;

pub use cutter::{Cut, Cutter};
pub use format::{Compression, FileType, Format};
pub use head::{HEAD_LIMIT, Head, read_head};
pub use packing::{UnpackLimits, Unpacker};
pub use parquet::{ParquetReader, Pieces, ReadAt};
pub use records::{BadRows, RecordReader, unreadable};
pub use source::{Block, Reject, SourceText};
pub use whole::read_table;
pub(crate) use whole::read_table_of;
pub use writer::TableWriter;
