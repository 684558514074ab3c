//! Where the bytes of a Parquet file come from: it is read from its end, and column by column.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parquet::errors::ParquetError;
use parquet::file::reader::{ChunkReader, Length};

/// Bytes that can be read at any place.
pub trait ReadAt: Send + Sync {
    /// How many there are.
    ///
    /// # Errors
    ///
    /// Those of the file.
    fn size(&self) -> io::Result<u64>;

    /// Reads bytes from a place on, as many as there are at once; 0 at the end.
    ///
    /// # Errors
    ///
    /// Those of the file.
    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<usize>;
}

impl ReadAt for File {
    fn size(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<usize> {
        FileExt::read_at(self, out, offset)
    }
}

impl ReadAt for Vec<u8> {
    fn size(&self) -> io::Result<u64> {
        Ok(self.len() as u64)
    }

    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<usize> {
        let offset = usize::try_from(offset).unwrap_or(usize::MAX);
        let mut rest = self.get(offset..).unwrap_or_default();
        rest.read(out)
    }
}

/// Parts of files, one after another: file, offset in it, and length of each.
#[derive(Debug)]
pub struct Pieces(pub Vec<(File, u64, u64)>);

impl ReadAt for Pieces {
    fn size(&self) -> io::Result<u64> {
        let lengths = self.0.iter().map(|(_, _, length)| *length);
        Ok(lengths.fold(0, u64::saturating_add))
    }

    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<usize> {
        let mut before = offset;
        for (file, start, length) in &self.0 {
            if before < *length {
                let most = usize::try_from(length - before).unwrap_or(usize::MAX);
                let most = most.min(out.len());
                return FileExt::read_at(file, &mut out[..most], start.saturating_add(before));
            }
            before -= length;
        }
        Ok(0)
    }
}

/// The bytes as the library asks for them.
#[derive(Clone)]
pub(super) struct Chunks {
    source: Arc<dyn ReadAt>,
    size: u64,
    /// Whether the file could not be read: what the library then says is no fault of its content.
    failed: Arc<AtomicBool>,
}

impl Chunks {
    pub(super) fn new(source: Arc<dyn ReadAt>) -> io::Result<Chunks> {
        Ok(Chunks {
            size: source.size()?,
            source,
            failed: Arc::default(),
        })
    }

    pub(super) fn failed(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }
}

impl Length for Chunks {
    fn len(&self) -> u64 {
        self.size
    }
}

impl ChunkReader for Chunks {
    type T = BufReader<From>;

    fn get_read(&self, start: u64) -> Result<Self::T, ParquetError> {
        Ok(BufReader::new(From {
            chunks: self.clone(),
            offset: start,
        }))
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<bytes::Bytes, ParquetError> {
        let end = start.checked_add(length as u64);
        if end.is_none_or(|end| end > self.size) {
            return Err(ParquetError::EOF(
                "a part beyond the end of the file".into(),
            ));
        }
        let mut bytes = vec![0; length];
        let mut from = From {
            chunks: self.clone(),
            offset: start,
        };
        from.read_exact(&mut bytes)?;
        Ok(bytes.into())
    }
}

/// The bytes from a place on.
pub(super) struct From {
    chunks: Chunks,
    offset: u64,
}

impl Read for From {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let read = self.chunks.source.read_at(self.offset, out);
        let read = read.inspect_err(|error| {
            if error.kind() != io::ErrorKind::Interrupted {
                self.chunks.failed.store(true, Ordering::Relaxed);
            }
        })?;
        self.offset += read as u64;
        Ok(read)
    }
}
