//! Parquet files: typed columns in groups of rows, without Arrow.

mod cells;
mod chunks;
mod read;
mod write;

pub use chunks::{Pieces, ReadAt};
pub use read::ParquetReader;
pub(super) use write::ParquetRows;
