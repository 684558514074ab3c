//! Cutting an input into chunks: one pass over it that looks for places where records start.

use std::io;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use store::NewChunk;
use tables::files::{Cutter, Format};
use tokio::sync::mpsc;

use super::inputs::{FileRange, Input};
use super::trouble::{Trouble, persist};

/// Chunks that were found, and whether these are the last.
pub(super) type Found = (Vec<NewChunk>, bool);

/// How many batches of chunks wait to be written down before the pass waits too.
pub(super) const AHEAD: usize = 4;
/// How many chunks are written down at once.
const BATCH: usize = 64;
/// How much is read at once.
const READ: usize = 1 << 20;

/// Where a pass is: the chunk that has begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Position {
    /// The chunk's number.
    pub(super) number: u32,
    /// Its first byte.
    pub(super) start: u64,
    /// The line of its first record.
    pub(super) line: u64,
}

/// The pass over an input, told to whoever listens.
struct Pass {
    /// The chunk that has begun; everything before it was told.
    at: Position,
    cutter: Cutter,
    /// About how many bytes a chunk gets.
    size: u64,
    found: Vec<NewChunk>,
}

impl Pass {
    fn new(format: Format, at: Position, size: u64) -> Pass {
        Pass {
            at,
            cutter: Cutter::new(format, at.start, at.line, at.start.saturating_add(size)),
            size,
            found: Vec::new(),
        }
    }

    fn scan(&mut self, bytes: &[u8]) {
        let (at, found, size) = (&mut self.at, &mut self.found, self.size);
        self.cutter.scan(bytes, |cut| {
            found.push(NewChunk {
                number: at.number,
                start: at.start,
                length: cut.offset.saturating_sub(at.start),
                first_line: at.line,
            });
            *at = Position {
                number: at.number.saturating_add(1),
                start: cut.offset,
                line: cut.line,
            };
            cut.offset.saturating_add(size)
        });
    }

    /// The last chunk, which goes to the end of the input.
    fn last(&mut self, end: u64) {
        self.found.push(NewChunk {
            number: self.at.number,
            start: self.at.start,
            length: end.saturating_sub(self.at.start),
            first_line: self.at.line,
        });
    }
}

/// Finds the chunks of an input from a position on. Ends early, without a word, where nobody
/// listens any more.
pub(super) async fn index(
    input: Arc<Input>,
    mut from: Position,
    size: u64,
    attempts: u32,
    tell: mpsc::Sender<Found>,
) -> Result<(), Trouble> {
    persist!(attempts, async {
        let range = from.start..input.size;
        match input.pieces(range.clone()) {
            Some(pieces) => {
                let pieces = pieces.map_err(|e| input.unreadable(&e))?;
                let (format, end) = (input.file.format, input.size);
                let (tell, begin) = (tell.clone(), from);
                let pass = tokio::task::spawn_blocking(move || {
                    let mut pass = Pass::new(format, begin, size);
                    let done = scan_pieces(&mut pass, &pieces, end, &tell);
                    (pass.at, done)
                });
                let (at, done) = pass
                    .await
                    .map_err(|e| Trouble::of_machine(&e, "an input cannot be gone through"))?;
                from = at;
                done.map_err(|e| input.unreadable(&e))
            }
            None => {
                let mut pass = Pass::new(input.file.format, from, size);
                let done = scan_stream(&mut pass, &input, range.start, &tell).await;
                from = pass.at;
                done
            }
        }
    })
}

fn scan_pieces(
    pass: &mut Pass,
    pieces: &[FileRange],
    end: u64,
    tell: &mpsc::Sender<Found>,
) -> io::Result<()> {
    let mut buffer = vec![0; READ];
    for (file, offset, length) in pieces {
        let (mut offset, mut left) = (*offset, *length);
        while left > 0 {
            let most = usize::try_from(left).unwrap_or(READ).min(READ);
            let room = &mut buffer[..most];
            let read = file.read_exact_at(room, offset);
            if read.is_ok() {
                pass.scan(room);
            }
            offset += most as u64;
            left -= most as u64;
            let waits = pass.found.len() >= BATCH || tell.capacity() == AHEAD || read.is_err();
            if waits && !pass.found.is_empty() {
                let found = std::mem::take(&mut pass.found);
                if tell.blocking_send((found, false)).is_err() {
                    return Ok(());
                }
            }
            read?;
        }
    }
    pass.last(end);
    let found = std::mem::take(&mut pass.found);
    // Nobody listens to the end of a job that has ended.
    let _ = tell.blocking_send((found, true));
    Ok(())
}

async fn scan_stream(
    pass: &mut Pass,
    input: &Input,
    start: u64,
    tell: &mpsc::Sender<Found>,
) -> Result<(), Trouble> {
    let mut stream = input.stream(start..input.size).await?;
    let mut end = start;
    let mut broken = None;
    loop {
        match stream.next().await {
            Some(Ok(bytes)) => {
                pass.scan(&bytes);
                end += bytes.len() as u64;
            }
            Some(Err(failure)) => broken = Some(failure),
            None => break,
        }
        let waits = pass.found.len() >= BATCH || tell.capacity() == AHEAD || broken.is_some();
        if waits && !pass.found.is_empty() {
            let found = std::mem::take(&mut pass.found);
            if tell.send((found, false)).await.is_err() {
                return Ok(());
            }
        }
        if let Some(failure) = broken {
            return Err(input.trouble(failure));
        }
    }
    if end != input.size {
        return Err(input.unreadable(&io::ErrorKind::UnexpectedEof.into()));
    }
    pass.last(input.size);
    let found = std::mem::take(&mut pass.found);
    let _ = tell.send((found, true)).await;
    Ok(())
}
