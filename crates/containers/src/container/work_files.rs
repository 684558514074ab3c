//! The files of batch work: ranges that are read one after another, and outputs that are written
//! in large pieces. A pipe whose other side is slow does not keep work from being stopped.

use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::FileExt;

use crate::batch::Piece;
use crate::system;

/// So much is written at once: it is still in the processor's cache.
const WRITE: usize = 256 * 1024;
/// How long a pipe is waited for before it is asked whether anybody still wants the work.
const PATIENCE_MS: i32 = 100;

/// Asks whether the work is to stop.
type Cancelled<'a> = &'a (dyn Fn() -> bool + Sync);

/// The bytes of an input.
pub(super) struct Input<'a> {
    pieces: std::vec::IntoIter<(Piece, OwnedFd)>,
    current: Option<Source>,
    taken: u64,
    error: Option<io::Error>,
    cancelled: Cancelled<'a>,
}

enum Source {
    File { file: File, offset: u64, len: u64 },
    Pipe(File),
}

impl<'a> Input<'a> {
    pub(super) fn new(pieces: Vec<(Piece, OwnedFd)>, cancelled: Cancelled<'a>) -> Input<'a> {
        Input {
            pieces: pieces.into_iter(),
            current: None,
            taken: 0,
            error: None,
            cancelled,
        }
    }

    /// Bytes read so far.
    pub(super) fn taken(&self) -> u64 {
        self.taken
    }

    /// What the system said where reading failed.
    pub(super) fn take_error(&mut self) -> Option<io::Error> {
        self.error.take()
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
                    let read = retried(|| file.read_at(&mut buffer[..room], *offset))?;
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
                self.taken += read as u64;
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
        self.read_some(buffer).map_err(|error| {
            let told = io::Error::other(error.to_string());
            self.error = Some(error);
            told
        })
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
        let mut input = Input::new(pieces, &|| false);
        let mut all = Vec::new();
        input.read_to_end(&mut all).unwrap();
        writer.join().unwrap();
        assert_eq!(all.len(), 300_005);
        assert_eq!(
            (&all[..4], &all[all.len() - 3..]),
            (&b"cdep"[..], &b"pyz"[..])
        );
        assert_eq!(input.taken(), 300_005);
    }

    #[test]
    fn a_file_that_is_too_short_is_an_input_that_cannot_be_read() {
        let pieces = vec![(Piece::File { offset: 1, len: 5 }, file(b"abc"))];
        let mut input = Input::new(pieces, &|| false);
        let mut all = Vec::new();
        input.read_to_end(&mut all).unwrap_err();
        assert_eq!(all, b"bc");
        let error = input.take_error().unwrap();
        assert_eq!(error.to_string(), "the file ends 3 bytes too early");
    }

    #[test]
    fn a_pipe_that_nobody_serves_does_not_hold_work_that_is_stopped() {
        let (read, _write) = pipe().unwrap();
        let mut input = Input::new(vec![(Piece::Pipe, read.into())], &|| true);
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
