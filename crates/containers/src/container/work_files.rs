//! The files of batch work: ranges that are read one after another, and outputs that are written
//! in large pieces. A pipe whose other side is slow does not keep work from being stopped.

use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tables::files::{Pieces, ReadAt};

use crate::batch::Piece;
use crate::system;

/// So much is written at once: it is still in the processor's cache.
const WRITE: usize = 256 * 1024;
/// How long a pipe is waited for before it is asked whether anybody still wants the work.
const PATIENCE_MS: i32 = 100;

/// Asks whether the work is to stop.
type Cancelled<'a> = &'a (dyn Fn() -> bool + Sync);

/// What is known of an input while somebody else reads it.
#[derive(Debug, Default)]
pub(super) struct Reading {
    taken: AtomicU64,
    error: Mutex<Option<io::Error>>,
}

impl Reading {
    /// Bytes read so far.
    pub(super) fn taken(&self) -> u64 {
        self.taken.load(Ordering::Relaxed)
    }

    /// What the system said where reading failed.
    pub(super) fn take_error(&self) -> Option<io::Error> {
        let mut error = self.error.lock().unwrap_or_else(PoisonError::into_inner);
        error.take()
    }

    /// Notes what came of a read.
    fn note(&self, read: io::Result<usize>) -> io::Result<usize> {
        match read {
            Ok(count) => {
                self.taken.fetch_add(count as u64, Ordering::Relaxed);
                Ok(count)
            }
            Err(error) => {
                let told = io::Error::other(error.to_string());
                *self.error.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                Err(told)
            }
        }
    }
}

/// The bytes of an input whose pieces are files, at any place.
pub(super) struct Placed {
    pieces: Pieces,
    reading: Arc<Reading>,
}

impl Placed {
    /// The input, or the pieces back where one is a pipe.
    pub(super) fn new(
        pieces: Vec<(Piece, OwnedFd)>,
        reading: &Arc<Reading>,
    ) -> Result<Placed, Vec<(Piece, OwnedFd)>> {
        if pieces.iter().any(|(piece, _)| *piece == Piece::Pipe) {
            return Err(pieces);
        }
        let files = pieces.into_iter().filter_map(|(piece, fd)| match piece {
            Piece::File { offset, len } => Some((File::from(fd), offset, len)),
            Piece::Pipe => None,
        });
        Ok(Placed {
            pieces: Pieces(files.collect()),
            reading: reading.clone(),
        })
    }
}

impl ReadAt for Placed {
    fn size(&self) -> io::Result<u64> {
        self.pieces.size()
    }

    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<usize> {
        let read = self.pieces.read_at(offset, out);
        let read = match read {
            Ok(0) if !out.is_empty() && offset < self.size()? => {
                Err(io::Error::other("the file ends too early"))
            }
            read => read,
        };
        self.reading.note(read)
    }
}

/// The bytes of an input, one after another.
pub(super) struct Input<'a> {
    pieces: std::vec::IntoIter<(Piece, OwnedFd)>,
    current: Option<Source>,
    reading: Arc<Reading>,
    cancelled: Cancelled<'a>,
}

enum Source {
    File { file: File, offset: u64, len: u64 },
    Pipe(File),
}

impl<'a> Input<'a> {
    pub(super) fn new(
        pieces: Vec<(Piece, OwnedFd)>,
        reading: &Arc<Reading>,
        cancelled: Cancelled<'a>,
    ) -> Input<'a> {
        Input {
            pieces: pieces.into_iter(),
            current: None,
            reading: reading.clone(),
            cancelled,
        }
    }

    fn read_some(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let read = match &mut self.current {
                None => match self.pieces.next() {
                    None => return Ok(0),
                    Some((Piece::File { offset, len }, fd)) => {
                        let file = File::from(fd);
                        self.current = Some(Source::File { file, offset, len });
                        continue;
                    }
                    Some((Piece::Pipe, fd)) => {
                        let file = File::from(fd);
                        never_block(&file)?;
                        self.current = Some(Source::Pipe(file));
                        continue;
                    }
                },
                Some(Source::File { len: 0, .. }) => 0,
                Some(Source::File { file, offset, len }) => {
                    let most = usize::try_from(*len).unwrap_or(usize::MAX);
                    let room = buffer.len().min(most);
                    let read = retried(|| FileExt::read_at(file, &mut buffer[..room], *offset))?;
                    if read == 0 {
                        let text = format!("the file ends {len} bytes too early");
                        return Err(io::Error::other(text));
                    }
                    *offset += read as u64;
                    *len -= read as u64;
                    read
                }
                Some(Source::Pipe(file)) => {
                    patient(file, libc::POLLIN, self.cancelled, |file| file.read(buffer))?
                }
            };
            if read > 0 {
                return Ok(read);
            }
            // The end of a piece: its descriptor is closed.
            self.current = None;
        }
    }
}

impl Read for Input<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let read = self.read_some(buffer);
        self.reading.note(read)
    }
}

/// An output, written from its beginning.
pub(super) struct Sink<'a> {
    file: File,
    is_file: bool,
    ready: bool,
    /// What is to be written.
    pub(super) buffer: Vec<u8>,
    written: u64,
    cancelled: Cancelled<'a>,
}

impl<'a> Sink<'a> {
    pub(super) fn new(fd: OwnedFd, cancelled: Cancelled<'a>) -> Sink<'a> {
        Sink {
            file: fd.into(),
            is_file: false,
            ready: false,
            buffer: Vec::new(),
            written: 0,
            cancelled,
        }
    }

    /// Writes the buffer where it has come to be worth it.
    pub(super) fn write_out(&mut self) -> io::Result<()> {
        match self.buffer.len() < WRITE {
            true => Ok(()),
            false => self.write_all(),
        }
    }

    /// Writes what is left; how many bytes were written in all.
    pub(super) fn finish(&mut self) -> io::Result<u64> {
        self.write_all()?;
        Ok(self.written)
    }

    fn write_all(&mut self) -> io::Result<()> {
        if !self.ready {
            self.is_file = self.file.metadata()?.is_file();
            if !self.is_file {
                never_block(&self.file)?;
            }
            self.ready = true;
        }
        let mut rest = &self.buffer[..];
        while !rest.is_empty() {
            let count = match self.is_file {
                true => retried(|| self.file.write_at(rest, self.written))?,
                false => patient(&mut self.file, libc::POLLOUT, self.cancelled, |file| {
                    file.write(rest)
                })?,
            };
            if count == 0 {
                return Err(ErrorKind::WriteZero.into());
            }
            self.written += count as u64;
            rest = &rest[count..];
        }
        self.buffer.clear();
        Ok(())
    }
}

fn retried(mut call: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    loop {
        match call() {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

/// Reads or writes a pipe, waiting until it can be done or the work is to stop.
fn patient(
    file: &mut File,
    events: i16,
    cancelled: Cancelled<'_>,
    mut call: impl FnMut(&mut File) -> io::Result<usize>,
) -> io::Result<usize> {
    loop {
        match retried(|| call(file)) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            result => return result,
        }
        if cancelled() {
            return Err(io::Error::other("nobody waits for the work"));
        }
        let mut polled = libc::pollfd {
            fd: file.as_raw_fd(),
            events,
            revents: 0,
        };
        // SAFETY: one entry is what there is.
        system::retried(|| unsafe { libc::poll(&mut polled, 1, PATIENCE_MS) as isize })?;
    }
}

/// The work's end of a pipe is its own: the other end goes on as it was.
fn never_block(file: &File) -> io::Result<()> {
    let fd = file.as_raw_fd();
    // SAFETY: fcntl on a descriptor that `file` owns.
    system::retried(|| unsafe {
        let flags = libc::fcntl(fd, libc::F_GETFL);
        match flags {
            -1 => -1,
            flags => libc::fcntl(fd, libc::F_SETFL, flags | libc::O_NONBLOCK) as isize,
        }
    })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::pipe;

    use super::*;

    fn file(bytes: &[u8]) -> OwnedFd {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        file.into()
    }

    #[test]
    fn pieces_are_read_one_after_another() {
        let (read, mut write) = pipe().unwrap();
        let writer = std::thread::spawn(move || {
            for _ in 0..1000 {
                write.write_all(&[b'p'; 300]).unwrap();
            }
        });
        let pieces = vec![
            (Piece::File { offset: 2, len: 3 }, file(b"abcdefg")),
            (Piece::File { offset: 0, len: 0 }, file(b"x")),
            (Piece::Pipe, read.into()),
            (Piece::File { offset: 0, len: 2 }, file(b"yz")),
        ];
        let reading = Arc::<Reading>::default();
        let mut input = Input::new(pieces, &reading, &|| false);
        let mut all = Vec::new();
        input.read_to_end(&mut all).unwrap();
        writer.join().unwrap();
        assert_eq!(all.len(), 300_005);
        assert_eq!(
            (&all[..4], &all[all.len() - 3..]),
            (&b"cdep"[..], &b"pyz"[..])
        );
        assert_eq!(reading.taken(), 300_005);
    }

    #[test]
    fn a_file_that_is_too_short_is_an_input_that_cannot_be_read() {
        let pieces = vec![(Piece::File { offset: 1, len: 5 }, file(b"abc"))];
        let reading = Arc::<Reading>::default();
        let mut input = Input::new(pieces, &reading, &|| false);
        let mut all = Vec::new();
        input.read_to_end(&mut all).unwrap_err();
        assert_eq!(all, b"bc");
        let error = reading.take_error().unwrap();
        assert_eq!(error.to_string(), "the file ends 3 bytes too early");
        let pieces = vec![(Piece::File { offset: 1, len: 5 }, file(b"abc"))];
        let placed = Placed::new(pieces, &reading).ok().unwrap();
        assert_eq!(placed.read_at(1, &mut [0; 9]).unwrap(), 1);
        placed.read_at(2, &mut [0; 9]).unwrap_err();
        let error = reading.take_error().unwrap();
        assert_eq!(error.to_string(), "the file ends too early");
        assert_eq!(placed.read_at(5, &mut [0; 9]).unwrap(), 0);
    }

    #[test]
    fn a_pipe_that_nobody_serves_does_not_hold_work_that_is_stopped() {
        let (read, _write) = pipe().unwrap();
        let pieces = vec![(Piece::Pipe, read.into())];
        let mut input = Input::new(pieces, &Arc::default(), &|| true);
        input.read(&mut [0; 8]).unwrap_err();
        let (_read, write) = pipe().unwrap();
        let mut sink = Sink::new(write.into(), &|| true);
        sink.buffer = vec![7; 1 << 20];
        sink.write_out().unwrap_err();
    }

    #[test]
    fn an_output_is_written_from_its_beginning_and_counted() {
        let target = tempfile::tempfile().unwrap();
        let mut sink = Sink::new(target.try_clone().unwrap().into(), &|| false);
        sink.buffer.extend_from_slice(b"few");
        sink.write_out().unwrap();
        assert_eq!(target.metadata().unwrap().len(), 0);
        sink.buffer.resize(WRITE, b'x');
        sink.write_out().unwrap();
        sink.buffer.push(b'y');
        assert_eq!(sink.finish().unwrap(), WRITE as u64 + 1);
        assert_eq!(target.metadata().unwrap().len(), WRITE as u64 + 1);
        // The other end of a pipe is gone.
        let (read, write) = pipe().unwrap();
        drop(read);
        let mut sink = Sink::new(write.into(), &|| false);
        sink.buffer.push(b'z');
        assert_eq!(sink.finish().unwrap_err().kind(), ErrorKind::BrokenPipe);
        // No space is left.
        let full = File::options().write(true).open("/dev/full").unwrap();
        let mut sink = Sink::new(full.into(), &|| false);
        sink.buffer.push(b'z');
        assert_eq!(
            sink.finish().unwrap_err().raw_os_error(),
            Some(libc::ENOSPC)
        );
    }
}
