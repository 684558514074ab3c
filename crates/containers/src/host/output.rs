//! What containers write to their standard output and standard error, line by line.

use std::os::fd::OwnedFd;

use telemetry::{NoteLevel, Telemetry};
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;

/// A line is cut here.
const LONGEST: usize = 4096;

/// Keeps every line as a note of the endpoint, until the other end is closed.
pub(super) async fn capture(fd: OwnedFd, telemetry: Telemetry, endpoint: [u8; 16]) {
    let Ok(mut pipe) = pipe::Receiver::from_owned_fd(fd) else {
        return;
    };
    let mut lines = Lines::default();
    let mut buffer = [0; 4096];
    loop {
        let count = match pipe.read(&mut buffer).await {
            Ok(0) | Err(_) => break,
            Ok(count) => count,
        };
        lines.take(&buffer[..count], |line| {
            tracing::debug!(target: "container", "{line}");
            telemetry.note(endpoint, NoteLevel::Output, line);
        });
    }
    lines.end(|line| telemetry.note(endpoint, NoteLevel::Output, line));
}

/// Cuts bytes into lines.
#[derive(Default)]
struct Lines {
    begun: Vec<u8>,
    /// The line is over [`LONGEST`]: its rest is dropped.
    cut: bool,
}

impl Lines {
    fn take(&mut self, bytes: &[u8], mut each: impl FnMut(String)) {
        let mut pieces = bytes.split(|b| *b == b'\n').peekable();
        while let Some(piece) = pieces.next() {
            let room = LONGEST - self.begun.len();
            if piece.len() > room {
                self.cut = true;
            }
            self.begun
                .extend_from_slice(&piece[..piece.len().min(room)]);
            if pieces.peek().is_some() {
                self.end(&mut each);
            }
        }
    }

    fn end(&mut self, mut each: impl FnMut(String)) {
        let line = String::from_utf8_lossy(&self.begun);
        let line = line.trim_end_matches('\r');
        if !line.is_empty() {
            let mark = if self.cut { " ..." } else { "" };
            each(format!("{line}{mark}"));
        }
        self.begun.clear();
        self.cut = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_whole_whatever_the_pieces() {
        let mut seen = Vec::new();
        let mut lines = Lines::default();
        for piece in ["one\ntw", "o\n", "\n", "three\r\nlast"] {
            lines.take(piece.as_bytes(), |line| seen.push(line));
        }
        lines.end(|line| seen.push(line));
        assert_eq!(seen, ["one", "two", "three", "last"]);
    }

    #[test]
    fn a_line_without_end_takes_no_more_room_than_a_long_one() {
        let mut seen = Vec::new();
        let mut lines = Lines::default();
        for _ in 0..10 {
            lines.take(&[b'x'; 1000], |line| seen.push(line));
        }
        lines.take(b"\nnext\n", |line| seen.push(line));
        assert_eq!(seen.len(), 2);
        assert_eq!(seen[0].len(), LONGEST + 4);
        assert_eq!(seen[1], "next");
    }
}
