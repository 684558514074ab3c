//! The newest lines about each endpoint, for `umpire logs NAME`.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

/// Lines kept per endpoint.
const LINES: usize = 500;
/// The longest line kept, in bytes.
const LINE_BYTES: usize = 2048;

/// How grave a note is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoteLevel {
    /// Something happened as it should.
    Info,
    /// Something that an operator may want to look at.
    Warn,
    /// Something failed.
    Error,
    /// A line that a container wrote to its standard output or standard error.
    Output,
}

impl NoteLevel {
    /// The level's name, lower case.
    pub fn name(self) -> &'static str {
        match self {
            NoteLevel::Info => "info",
            NoteLevel::Warn => "warn",
            NoteLevel::Error => "error",
            NoteLevel::Output => "output",
        }
    }
}

/// One line about an endpoint.
#[derive(Debug, Clone)]
pub struct Note {
    /// When it was written.
    pub time: SystemTime,
    /// How grave it is.
    pub level: NoteLevel,
    /// The text, one line.
    pub text: String,
}

#[derive(Default)]
pub(crate) struct Journal(Mutex<HashMap<[u8; 16], VecDeque<Note>>>);

impl Journal {
    pub(crate) fn push(&self, endpoint: [u8; 16], level: NoteLevel, mut text: String) {
        if text.len() > LINE_BYTES {
            let mut end = LINE_BYTES;
            while !text.is_char_boundary(end) {
                end -= 1;
            }
            text.truncate(end);
        }
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let lines = all.entry(endpoint).or_default();
        if lines.len() == LINES {
            lines.pop_front();
        }
        lines.push_back(Note {
            time: SystemTime::now(),
            level,
            text,
        });
    }

    pub(crate) fn read(&self, endpoint: [u8; 16], limit: usize) -> Vec<Note> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(lines) = all.get(&endpoint) else {
            return Vec::new();
        };
        let skip = lines.len().saturating_sub(limit);
        lines.iter().skip(skip).cloned().collect()
    }

    pub(crate) fn forget(&self, endpoint: [u8; 16]) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&endpoint);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_newest_lines_stay_and_long_ones_are_cut() {
        let journal = Journal::default();
        for i in 0..LINES + 3 {
            journal.push([0; 16], NoteLevel::Info, i.to_string());
        }
        journal.push([0; 16], NoteLevel::Output, "ä".repeat(LINE_BYTES));
        let all = journal.read([0; 16], usize::MAX);
        assert_eq!(all.len(), LINES);
        assert_eq!(all[0].text, "4");
        assert_eq!(all[LINES - 1].text.len(), LINE_BYTES);
        assert_eq!(journal.read([0; 16], 2).len(), 2);
        journal.forget([0; 16]);
        assert!(journal.read([0; 16], 2).is_empty());
    }
}
