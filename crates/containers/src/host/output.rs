//! What containers write to their standard output and standard error, line by line.

use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use telemetry::{NoteLevel, Telemetry};
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;

/// A line is cut here.
const LONGEST: usize = 4096;
/// Bytes of lines that are kept of each container; the newest stay.
const KEPT: usize = 64 * 1024;

/// Where a container wrote a line to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Its standard output.
    Output,
    /// Its standard error.
    Error,
}

/// A line that a container printed.
#[derive(Debug, Clone)]
pub struct PrintedLine {
    /// When it came.
    pub at: Instant,
    /// Where it was written to.
    pub stream: Stream,
    /// The line, cut where it is very long.
    pub text: Arc<str>,
}

/// What one container printed lately.
#[derive(Debug, Clone, Default)]
pub(super) struct Printed(Arc<Mutex<Newest>>);

/// The newest lines, 64 KiB of them.
#[derive(Debug, Default)]
struct Newest {
    lines: VecDeque<PrintedLine>,
    bytes: usize,
    /// Lines before these, which are gone.
    gone: u64,
}

impl Printed {
    fn lock(&self) -> MutexGuard<'_, Newest> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, stream: Stream, text: &str) {
        let mut newest = self.lock();
        newest.bytes += text.len();
        newest.lines.push_back(PrintedLine {
            at: Instant::now(),
            stream,
            text: text.into(),
        });
        while newest.bytes > KEPT {
            let Some(oldest) = newest.lines.pop_front() else {
                return;
            };
            newest.bytes -= oldest.text.len();
            newest.gone += 1;
        }
    }

    /// What is printed from now on.
    pub(super) fn since_now(&self) -> Excerpt {
        let newest = self.lock();
        Excerpt {
            from: newest.gone + newest.lines.len() as u64,
            printed: self.clone(),
        }
    }

    /// What was printed from the start on.
    pub(super) fn whole(&self) -> Excerpt {
        Excerpt {
            from: 0,
            printed: self.clone(),
        }
    }
}

/// What a container printed from some line on, for as long as its newest lines are kept.
#[derive(Debug, Clone)]
pub struct Excerpt {
    printed: Printed,
    from: u64,
}

impl Excerpt {
    /// The lines of it that came up to that time, oldest first, and how many before them were
    /// printed too and are kept no more.
    pub fn until(&self, end: Instant) -> (Vec<PrintedLine>, u64) {
        let newest = self.printed.lock();
        let missed = newest.gone.saturating_sub(self.from);
        let skip = usize::try_from(self.from.saturating_sub(newest.gone)).unwrap_or(usize::MAX);
        let lines = newest.lines.iter().skip(skip);
        (
            lines.take_while(|line| line.at <= end).cloned().collect(),
            missed,
        )
    }
}

/// Keeps every line of both streams, and each as a note of the endpoint too, until the other ends
/// are closed.
pub(super) async fn capture(
    [output, error]: [OwnedFd; 2],
    printed: Printed,
    telemetry: Telemetry,
    endpoint: [u8; 16],
) {
    let each = |stream: Stream| {
        let (printed, telemetry) = (&printed, &telemetry);
        move |line: String| {
            tracing::debug!(target: "container", "{line}");
            printed.push(stream, &line);
            telemetry.note(endpoint, NoteLevel::Output, line);
        }
    };
    tokio::join!(
        read(output, each(Stream::Output)),
        read(error, each(Stream::Error)),
    );
}

async fn read(fd: OwnedFd, mut each: impl FnMut(String)) {
    let Ok(mut pipe) = pipe::Receiver::from_owned_fd(fd) else {
        return;
    };
    let mut lines = Lines::default();
    // On the heap, so that the futures of calls that start a container stay small.
    let mut buffer = vec![0; 4096];
    loop {
        let count = match pipe.read(&mut buffer).await {
            Ok(0) | Err(_) => break,
            Ok(count) => count,
        };
        lines.take(&buffer[..count], &mut each);
    }
    lines.end(each);
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

    #[test]
    fn an_excerpt_has_what_came_after_its_start_and_says_what_it_lost() {
        let printed = Printed::default();
        printed.push(Stream::Output, "before");
        let excerpt = printed.since_now();
        let texts = |excerpt: &Excerpt, until: Instant| {
            let (lines, missed) = excerpt.until(until);
            let texts = lines
                .iter()
                .map(|line| (line.stream, line.text.to_string()));
            (texts.collect::<Vec<_>>(), missed)
        };
        assert_eq!(texts(&excerpt, Instant::now()), (vec![], 0));
        printed.push(Stream::Error, "one");
        let between = Instant::now();
        // A clock may give the same instant twice.
        while Instant::now() == between {}
        printed.push(Stream::Output, "two");
        let one = (Stream::Error, "one".to_owned());
        let two = (Stream::Output, "two".to_owned());
        assert_eq!(texts(&excerpt, between), (vec![one.clone()], 0));
        assert_eq!(texts(&excerpt, Instant::now()), (vec![one, two], 0));
        assert_eq!(texts(&printed.whole(), Instant::now()).0.len(), 3);

        let long = "x".repeat(KEPT / 2);
        (0..3).for_each(|_| printed.push(Stream::Output, &long));
        let (lines, missed) = excerpt.until(Instant::now());
        assert_eq!((lines.len(), missed), (2, 3));
        assert_eq!(printed.whole().until(Instant::now()).1, 4);
        printed.push(Stream::Output, &"x".repeat(KEPT + 1));
        let (lines, missed) = excerpt.until(Instant::now());
        assert_eq!((lines.len(), missed), (0, 6));
    }
}
