//! The rows.

use std::sync::Arc;

use super::head::{ArffHead, Kind};
use super::{BLANKS, value};
use crate::cells::Cell;
use crate::data_type::DataType;
use crate::files::head::Layout;
use crate::files::making::{Bad, BadCell, InTheMaking, Making, Step};

/// Columns in the making, and the place in the file.
#[derive(Debug)]
pub(in crate::files) struct Arff {
    pub(in crate::files) making: Making,
    kinds: Arc<[Kind]>,
    pub(in crate::files) line: u64,
    scratch: String,
    /// By column, whether a sparse row has it.
    given: Vec<bool>,
}

/// Why a line is no row.
enum Problem {
    Cell(BadCell),
    /// So many cells, and not as many as there are columns.
    Cells(usize),
    /// Something else.
    Other(String),
}

impl From<&'static str> for Problem {
    fn from(problem: &'static str) -> Problem {
        Problem::Other(problem.to_owned())
    }
}

impl Arff {
    pub(in crate::files) fn new(head: &ArffHead, layout: &Layout, limit: usize) -> Arff {
        Arff {
            making: Making::new(layout, limit),
            kinds: head.kinds.iter().cloned().collect(),
            line: head.line,
            scratch: String::new(),
            given: vec![false; layout.len()],
        }
    }

    /// Takes the row that starts at `at`, blank lines and comments before it skipped.
    pub(in crate::files) fn next(&mut self, bytes: &[u8], mut at: usize, ended: bool) -> Step {
        loop {
            let rest = &bytes[at..];
            let (end, next) = match memchr::memchr(b'\n', rest) {
                Some(length) => (at + length, at + length + 1),
                None if ended && rest.is_empty() => return Step::End,
                None if ended => (bytes.len(), bytes.len()),
                None => return Step::More { at },
            };
            let from = at;
            let line = self.line;
            self.line += 1;
            at = next;
            let first = bytes[from..end]
                .iter()
                .find(|byte| !matches!(byte, b' ' | b'\t' | b'\r'));
            if matches!(first, None | Some(b'%')) {
                continue;
            }
            let end = end - usize::from(bytes[..end].ends_with(b"\r"));
            let problem = match std::str::from_utf8(&bytes[from..end]) {
                Ok(text) => self.row(text).err(),
                Err(_) => Some(Problem::from("bytes that are not UTF-8")),
            };
            let Some(problem) = problem else {
                self.making.rows += 1;
                return Step::Row { end: next };
            };
            self.making.take_back();
            let columns = self.making.columns.len();
            let bad = match problem {
                Problem::Cell(cell) => self.making.bad(from..end, columns, Some(cell)),
                Problem::Cells(cells) => self.making.bad(from..end, cells, None),
                Problem::Other(reason) => Bad {
                    record: from..end,
                    column: None,
                    reason,
                },
            };
            return Step::Bad {
                end: next,
                line,
                bad,
            };
        }
    }

    fn row(&mut self, text: &str) -> Result<(), Problem> {
        let text = text.trim_matches(BLANKS);
        match text.strip_prefix('{') {
            Some(pairs) => self.sparse(pairs),
            None => self.dense(text),
        }
    }

    fn dense(&mut self, text: &str) -> Result<(), Problem> {
        let columns = self.making.columns.len();
        let mut refused = None;
        let mut cells = 0;
        let mut rest = text;
        loop {
            let (cell, quoted, after) = value(rest, &[','], &mut self.scratch)?;
            if let (Some(making), Some(kind), None) = (
                self.making.columns.get_mut(cells),
                self.kinds.get(cells),
                &refused,
            ) && let Err(reason) = push(making, kind, cell, quoted, self.making.limit)
            {
                refused = Some(BadCell {
                    column: cells,
                    reason,
                });
            }
            cells += 1;
            let after = after.trim_start_matches(BLANKS);
            match after.strip_prefix(',') {
                Some(after) => rest = after,
                None if after.is_empty() || after.starts_with('%') => break,
                None => return Err("text after a cell's closing quote".into()),
            }
        }
        match refused {
            _ if cells != columns => Err(Problem::Cells(cells)),
            Some(cell) => Err(Problem::Cell(cell)),
            None => Ok(()),
        }
    }

    fn sparse(&mut self, pairs: &str) -> Result<(), Problem> {
        self.given.fill(false);
        let mut rest = pairs.trim_start_matches(BLANKS);
        while !rest.starts_with('}') {
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            let (number, after) = rest.split_at(digits);
            let column = number
                .parse()
                .ok()
                .filter(|&column| column < self.given.len());
            let Some(column) = column else {
                return Err("a sparse row without the number of a column".into());
            };
            if std::mem::replace(&mut self.given[column], true) {
                return Err("a sparse row with two values for one column".into());
            }
            let (cell, quoted, after) = value(after, &[',', '}'], &mut self.scratch)?;
            let (making, kind) = (&mut self.making.columns[column], &self.kinds[column]);
            push(making, kind, cell, quoted, self.making.limit)
                .map_err(|reason| Problem::Cell(BadCell { column, reason }))?;
            let after = after.trim_start_matches(BLANKS);
            rest = match after.strip_prefix(',') {
                Some(after) => after.trim_start_matches(BLANKS),
                None if after.starts_with('}') => after,
                None => return Err("a sparse row without its closing brace".into()),
            };
        }
        for (column, _) in self.given.iter().enumerate().filter(|(_, given)| !**given) {
            let making = &mut self.making.columns[column];
            let pushed = match &self.kinds[column] {
                Kind::Number => making.push_text("0", usize::MAX),
                Kind::Nominal { first } => making.push_text(first, usize::MAX),
                Kind::Text | Kind::Date(_) => {
                    Err(making.refused("a sparse row has to give a value that is no number"))
                }
            };
            pushed.map_err(|reason| Problem::Cell(BadCell { column, reason }))?;
        }
        Ok(())
    }
}

/// Appends a value to its column, or says why not.
fn push(
    making: &mut InTheMaking,
    kind: &Kind,
    cell: &str,
    quoted: bool,
    limit: usize,
) -> Result<(), String> {
    if !quoted && cell == "?" {
        return making.push_cell(Cell::Null);
    }
    let in_time = matches!(
        making.data_type(),
        DataType::DateTime | DataType::DateTimeOffset
    );
    match kind {
        Kind::Date(Some(format)) if in_time => match format.iso(cell) {
            Some(iso) => making.push_text(&iso, limit),
            None => making.push_text(cell, limit),
        },
        _ if quoted => making.push_text(cell, limit),
        _ => making.push(cell.as_bytes(), limit),
    }
}
