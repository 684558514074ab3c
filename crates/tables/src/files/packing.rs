//! Packed files: gzip and Zstandard, both ways.

use std::io::{self, BufReader, Read, Write};

use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;

use super::Compression;

/// How far a packed file may unpack; past either the rest is not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnpackLimits {
    /// The most bytes that come out.
    pub bytes: u64,
    /// How many times as many bytes may come out as went in, beyond the first 64 MiB.
    pub ratio: u64,
}

impl Default for UnpackLimits {
    /// A tebibyte, and a thousand times the file: numbers in text never pack so well.
    fn default() -> UnpackLimits {
        UnpackLimits {
            bytes: 1 << 40,
            ratio: 1000,
        }
    }
}

/// So many bytes come out whatever went in.
const FREE: u64 = 64 * 1024 * 1024;

/// What a packed file holds, byte by byte. All members of a gzip file and all frames of a
/// Zstandard file are read.
///
/// Content that is broken, ends too early or passes the limits is an error of the kind
/// `InvalidData`, whose text says so; an error of the packed input itself comes through as it is.
pub struct Unpacker<R: Read> {
    decoder: Decoder<R>,
    limits: UnpackLimits,
    written: u64,
}

enum Decoder<R: Read> {
    Plain(Counted<R>),
    Gzip(Box<MultiGzDecoder<Counted<R>>>),
    Zstd(Box<zstd::stream::read::Decoder<'static, BufReader<Counted<R>>>>),
}

/// Input whose bytes are counted.
struct Counted<R> {
    input: R,
    read: u64,
    /// Whether the input gave an error.
    failed: bool,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        match self.input.read(out) {
            Ok(read) => {
                self.read += read as u64;
                Ok(read)
            }
            Err(error) => {
                self.failed |= error.kind() != io::ErrorKind::Interrupted;
                Err(error)
            }
        }
    }
}

impl<R: Read> Unpacker<R> {
    /// Unpacks the input.
    ///
    /// # Errors
    ///
    /// Where there is no memory for it.
    pub fn new(input: R, compression: Compression, limits: UnpackLimits) -> io::Result<Self> {
        let input = Counted {
            input,
            read: 0,
            failed: false,
        };
        let decoder = match compression {
            Compression::None => Decoder::Plain(input),
            Compression::Gzip => Decoder::Gzip(Box::new(MultiGzDecoder::new(input))),
            Compression::Zstd => Decoder::Zstd(Box::new(zstd::stream::read::Decoder::new(input)?)),
        };
        Ok(Unpacker {
            decoder,
            limits,
            written: 0,
        })
    }

    fn counted(&self) -> &Counted<R> {
        match &self.decoder {
            Decoder::Plain(input) => input,
            Decoder::Gzip(decoder) => decoder.get_ref(),
            Decoder::Zstd(decoder) => decoder.get_ref().get_ref(),
        }
    }
}

impl<R: Read> Read for Unpacker<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let (read, form) = match &mut self.decoder {
            Decoder::Plain(input) => return input.read(out),
            Decoder::Gzip(decoder) => (decoder.read(out), "gzip"),
            Decoder::Zstd(decoder) => (decoder.read(out), "Zstandard"),
        };
        let read = match read {
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Err(error),
            Err(error) if self.counted().failed => return Err(error),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                return Err(invalid(format!("the {form} file ends too early")));
            }
            Err(error) => return Err(invalid(format!("the {form} file is broken ({error})"))),
        };
        self.written = self.written.saturating_add(read as u64);
        if self.written > self.limits.bytes {
            let most = self.limits.bytes;
            return Err(invalid(format!(
                "the {form} file unpacks to more than {most} bytes"
            )));
        }
        let ratio = self.limits.ratio;
        let allowed = self.counted().read.saturating_mul(ratio).max(FREE);
        if self.written > allowed {
            return Err(invalid(format!(
                "the {form} file unpacks to more than {ratio} times its size"
            )));
        }
        Ok(read)
    }
}

fn invalid(text: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text)
}

/// Packs what is written. The packed bytes depend on the whole alone, not on how it was cut into
/// pieces: the encoder gets pieces of one length.
pub(super) enum Packer {
    Gzip(GzEncoder<Vec<u8>>, Vec<u8>),
    Zstd(zstd::stream::write::Encoder<'static, Vec<u8>>, Vec<u8>),
}

const PIECE: usize = 64 * 1024;

/// Levels that take a few nanoseconds a byte: a part of a table is packed while the next is
/// scored.
const GZIP_LEVEL: u32 = 4;
const ZSTD_LEVEL: i32 = 3;

impl Packer {
    /// A packer, `None` where nothing is packed.
    pub(super) fn new(compression: Compression) -> io::Result<Option<Packer>> {
        Ok(match compression {
            Compression::None => None,
            Compression::Gzip => {
                let level = flate2::Compression::new(GZIP_LEVEL);
                Some(Packer::Gzip(GzEncoder::new(Vec::new(), level), Vec::new()))
            }
            Compression::Zstd => {
                let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), ZSTD_LEVEL)?;
                encoder.include_checksum(true)?;
                Some(Packer::Zstd(encoder, Vec::new()))
            }
        })
    }

    /// What is to be packed next is appended here.
    pub(super) fn plain(&mut self) -> &mut Vec<u8> {
        match self {
            Packer::Gzip(_, plain) | Packer::Zstd(_, plain) => plain,
        }
    }

    /// Packs whole pieces of what was appended.
    pub(super) fn pack(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        let whole = self.plain().len() / PIECE * PIECE;
        match self {
            Packer::Gzip(encoder, plain) => pack(encoder, &plain[..whole])?,
            Packer::Zstd(encoder, plain) => pack(encoder, &plain[..whole])?,
        }
        self.plain().drain(..whole);
        match self {
            Packer::Gzip(encoder, _) => out.append(encoder.get_mut()),
            Packer::Zstd(encoder, _) => out.append(encoder.get_mut()),
        }
        Ok(())
    }

    /// Packs the rest and ends the file.
    pub(super) fn finish(mut self, out: &mut Vec<u8>) -> io::Result<()> {
        self.pack(out)?;
        let rest = match self {
            Packer::Gzip(mut encoder, plain) => {
                pack(&mut encoder, &plain)?;
                encoder.finish()?
            }
            Packer::Zstd(mut encoder, plain) => {
                pack(&mut encoder, &plain)?;
                encoder.finish()?
            }
        };
        out.extend_from_slice(&rest);
        Ok(())
    }
}

fn pack(encoder: &mut impl Write, bytes: &[u8]) -> io::Result<()> {
    bytes
        .chunks(PIECE)
        .try_for_each(|piece| encoder.write_all(piece))
}
