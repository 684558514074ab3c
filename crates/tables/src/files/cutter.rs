//! Where records start, found without reading them: so one file is read in many parts at once.

use memchr::{memchr, memchr_iter};

use super::Format;

/// Goes through a file of delimited text from its first record on and finds places where records
/// start, never one inside a quoted cell. Reading the parts between such places one after another
/// gives the rows of the file.
///
/// ```
/// use tables::files::{Cutter, Format};
///
/// let file = b"a,b\n1,\"x\ny\"\n2,z\n";
/// let mut cutter = Cutter::new(Format::Csv { header: true }, 4, 2, 5);
/// let mut cuts = Vec::new();
/// cutter.scan(&file[4..], |cut| {
///     cuts.push((cut.offset, cut.line));
///     cut.offset + 1
/// });
/// assert_eq!(cuts, [(12, 4)]);
/// ```
#[derive(Debug, Clone)]
pub struct Cutter {
    delimiter: u8,
    /// The next cut is at or after this offset in the file.
    wanted: u64,
    /// The offset of the next byte, and the number of its line.
    offset: u64,
    line: u64,
    state: State,
    /// The last byte, which tells whether a quote opens a cell.
    last: u8,
}

/// A place where a record starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cut {
    /// Its offset in the file.
    pub offset: u64,
    /// The number of its line.
    pub line: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Bare,
    Quoted,
    /// After a quote in a quoted cell: another one makes it a character of the cell.
    QuoteInQuoted,
}

impl Cutter {
    /// A cutter of a file whose first record starts at that offset and line ([`super::Head`] tells
    /// both). The first cut is at or after `wanted`, and not at the first record.
    pub fn new(format: Format, offset: u64, line: u64, wanted: u64) -> Cutter {
        Cutter {
            delimiter: format.delimiter(),
            // There is no part before the first record.
            wanted: wanted.max(offset.saturating_add(1)),
            offset,
            line,
            state: State::Bare,
            last: b'\n',
        }
    }

    /// Goes over the next bytes of the file. Each cut found goes to `found`, which says at or after
    /// which offset the next one is wanted. There is none at the end of the file.
    pub fn scan(&mut self, bytes: &[u8], mut found: impl FnMut(Cut) -> u64) {
        // Bytes before `counted` are in `line` already.
        let mut counted = 0;
        let mut at = 0;
        while at < bytes.len() {
            at = match self.state {
                State::Bare => {
                    let quote = memchr(b'"', &bytes[at..]).map_or(bytes.len(), |i| at + i);
                    self.cut(bytes, at, quote, &mut counted, &mut found);
                    if quote < bytes.len() {
                        let before = match quote {
                            0 => self.last,
                            _ => bytes[quote - 1],
                        };
                        if before == self.delimiter || matches!(before, b'\n' | b'\r') {
                            self.state = State::Quoted;
                        }
                    }
                    quote + 1
                }
                State::Quoted => match memchr(b'"', &bytes[at..]) {
                    Some(i) => {
                        self.state = State::QuoteInQuoted;
                        at + i + 1
                    }
                    None => bytes.len(),
                },
                State::QuoteInQuoted if bytes[at] == b'"' => {
                    self.state = State::Quoted;
                    at + 1
                }
                State::QuoteInQuoted => {
                    self.state = State::Bare;
                    at
                }
            };
        }
        if let Some(&last) = bytes.last() {
            self.last = last;
        }
        self.line += lines(&bytes[counted..]);
        self.offset += bytes.len() as u64;
    }

    /// Finds the cuts at or between two positions where no cell is quoted.
    fn cut(
        &mut self,
        bytes: &[u8],
        from: usize,
        to: usize,
        counted: &mut usize,
        found: &mut impl FnMut(Cut) -> u64,
    ) {
        let mut from = from;
        loop {
            let wanted = self.wanted.saturating_sub(self.offset);
            let first = usize::try_from(wanted).unwrap_or(usize::MAX).max(from);
            if first > to || first >= bytes.len() {
                return;
            }
            // A record starts after a line end.
            let start = match first {
                0 if self.last == b'\n' => Some(0),
                0 => memchr(b'\n', &bytes[..to]).map(|i| i + 1),
                _ => memchr(b'\n', &bytes[first - 1..to]).map(|i| first + i),
            };
            let Some(start) = start.filter(|&start| start < bytes.len()) else {
                return;
            };
            self.line += lines(&bytes[*counted..start]);
            *counted = start;
            let cut = Cut {
                offset: self.offset + start as u64,
                line: self.line,
            };
            self.wanted = found(cut).max(cut.offset + 1);
            from = start;
        }
    }
}

fn lines(bytes: &[u8]) -> u64 {
    memchr_iter(b'\n', bytes).count() as u64
}
