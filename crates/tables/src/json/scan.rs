//! A pull scanner over a JSON text: the caller asks for what it expects next, and nothing is
//! built that it does not ask for.
//!
//! It takes RFC 8259 to the letter, and the bare tokens `NaN`, `Infinity` and `-Infinity` as
//! values, which Python's `json.dumps` writes. Strings are checked where they stand and borrowed
//! from the text unless they have escapes. Nothing recurses, so that depth costs no stack.

use std::borrow::Cow;

use crate::cells::{Builder, Cell};
use crate::limits::{Limits, Scalar};
use crate::text::Decimal;

/// Where and why a body is not what it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Broken {
    /// The byte at which it shows.
    pub(crate) at: usize,
    /// What is wrong there.
    pub(crate) what: &'static str,
}

const EARLY_END: &str = "the body ends early";

/// A place in a JSON text. Copying it makes a second place, from which a part can be read again.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scanner<'a> {
    text: &'a str,
    at: usize,
    /// How many arrays and objects are open.
    depth: usize,
    depth_limit: usize,
    cell_limit: usize,
}

impl<'a> Scanner<'a> {
    pub(crate) fn new(text: &'a str, limits: &Limits) -> Scanner<'a> {
        Scanner {
            text,
            at: 0,
            depth: 0,
            depth_limit: limits.depth,
            cell_limit: limits.cell_bytes,
        }
    }

    fn bytes(&self) -> &'a [u8] {
        self.text.as_bytes()
    }

    /// The bytes that are still to come.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.bytes().get(self.at..).unwrap_or_default()
    }

    /// A fault at this place.
    pub(crate) fn broken(&self, what: &'static str) -> Broken {
        Broken { at: self.at, what }
    }

    /// The next byte that is not blank; the place is moved to it.
    #[inline]
    pub(crate) fn peek(&mut self) -> Option<u8> {
        loop {
            match self.bytes().get(self.at) {
                Some(b' ' | b'\n' | b'\r' | b'\t') => self.at += 1,
                other => return other.copied(),
            }
        }
    }

    /// Enters an array or object, whose opening byte was seen by [`Scanner::peek`].
    #[inline]
    pub(crate) fn enter(&mut self) -> Result<(), Broken> {
        if self.depth == self.depth_limit {
            return Err(self.broken("arrays and objects are nested beyond the limit"));
        }
        self.depth += 1;
        self.at += 1;
        Ok(())
    }

    /// Whether a further element or member follows, whose comma is taken; at the end the closing
    /// byte is. `first` is true before the first one.
    #[inline]
    pub(crate) fn more(&mut self, first: bool, close: u8) -> Result<bool, Broken> {
        match self.peek() {
            Some(byte) if byte == close => {
                self.at += 1;
                self.depth -= 1;
                Ok(false)
            }
            Some(_) if first => Ok(true),
            Some(b',') => {
                self.at += 1;
                if self.peek() == Some(close) {
                    return Err(self.broken("a comma has nothing after it"));
                }
                Ok(true)
            }
            Some(_) => Err(self.broken("a comma or an end is missing between values")),
            None => Err(self.broken(EARLY_END)),
        }
    }

    /// Takes a member's name and its colon.
    pub(crate) fn key(&mut self) -> Result<Cow<'a, str>, Broken> {
        if self.peek() != Some(b'"') {
            return Err(self.broken("a member's name is missing"));
        }
        let key = self.text()?;
        self.colon()?;
        Ok(key)
    }

    /// Takes a colon.
    #[inline]
    pub(crate) fn colon(&mut self) -> Result<(), Broken> {
        if self.peek() != Some(b':') {
            return Err(self.broken("a colon is missing"));
        }
        self.at += 1;
        Ok(())
    }

    /// Takes these bytes, if the place is at them.
    #[inline]
    pub(crate) fn take(&mut self, token: &[u8]) -> bool {
        let found = self.rest().starts_with(token);
        if found {
            self.at += token.len();
        }
        found
    }

    /// Takes a short token as [`Scanner::take`] does, without a call for its comparison.
    #[inline]
    pub(crate) fn take_name(&mut self, token: &[u8]) -> bool {
        let Some(rest) = self.rest().get(..token.len()) else {
            return false;
        };
        let (words, tail) = token.as_chunks::<8>();
        let (rest_words, rest_tail) = rest.as_chunks::<8>();
        let found = words == rest_words && tail.iter().zip(rest_tail).all(|(a, b)| a == b);
        if found {
            self.at += token.len();
        }
        found
    }

    /// Takes `null`, if it is next.
    pub(crate) fn null(&mut self) -> Result<bool, Broken> {
        if self.peek() != Some(b'n') {
            return Ok(false);
        }
        self.literal(b"null")?;
        Ok(true)
    }

    /// Takes a string, whose quote was seen by [`Scanner::peek`].
    pub(crate) fn text(&mut self) -> Result<Cow<'a, str>, Broken> {
        let (raw, escaped) = self.raw_string()?;
        if !escaped {
            return Ok(Cow::Borrowed(raw));
        }
        let mut text = String::with_capacity(raw.len());
        unescape(raw, &mut text);
        Ok(Cow::Owned(text))
    }

    /// Takes a scalar straight into a column, where both are of the commonest kinds; else nothing
    /// is taken. The place is at the scalar ([`Scanner::peek`]).
    #[inline]
    pub(crate) fn plain_cell(&mut self, column: &mut Builder) -> bool {
        match column.push_plain(self.text, self.at, self.cell_limit) {
            Some(end) => {
                self.at = end;
                true
            }
            None => false,
        }
    }

    /// Takes scalars and the commas between them straight into these columns, one into each, as
    /// long as they are of the commonest kinds; gives how many, and whether the place is right
    /// after the last of them (else it is before a further scalar).
    #[inline]
    pub(crate) fn plain_cells(&mut self, columns: &mut [Builder]) -> (usize, bool) {
        let bytes = self.bytes();
        // Kept apart from `self`, so that it stays in a register.
        let mut at = self.at;
        let mut after_value = false;
        let mut taken = 0;
        for column in columns {
            let Some(end) = column.push_plain(self.text, at, self.cell_limit) else {
                break;
            };
            taken += 1;
            if bytes.get(end) != Some(&b',') {
                at = end;
                after_value = true;
                break;
            }
            at = end + 1 + usize::from(bytes.get(end + 1) == Some(&b' '));
        }
        self.at = at;
        (taken, after_value)
    }

    /// Takes a scalar as a cell. A text with escapes is resolved into `scratch`.
    #[inline]
    pub(crate) fn cell<'s>(&mut self, scratch: &'s mut String) -> Result<Cell<'s>, Broken>
    where
        'a: 's,
    {
        match self.peek() {
            Some(b'0'..=b'9') => self.number().map(Cell::Number),
            Some(b'-') if self.bytes().get(self.at + 1) == Some(&b'I') => {
                self.literal(b"-Infinity")?;
                Ok(Cell::Special(f64::NEG_INFINITY))
            }
            Some(b'-') => self.number().map(Cell::Number),
            Some(b'"') => {
                let (raw, escaped) = self.raw_string()?;
                let text = if escaped {
                    scratch.clear();
                    unescape(raw, scratch);
                    scratch.as_str()
                } else {
                    raw
                };
                self.check_cell(text)?;
                Ok(Cell::Text(text))
            }
            _ => self.rare_cell(),
        }
    }

    fn rare_cell(&mut self) -> Result<Cell<'static>, Broken> {
        let (word, cell): (&[u8], _) = match self.peek() {
            Some(b'n') => (b"null", Cell::Null),
            Some(b't') => (b"true", Cell::Bool(true)),
            Some(b'f') => (b"false", Cell::Bool(false)),
            Some(b'N') => (b"NaN", Cell::Special(f64::NAN)),
            Some(b'I') => (b"Infinity", Cell::Special(f64::INFINITY)),
            Some(b'[' | b'{') => {
                return Err(self.broken("an array or object stands where a single value should"));
            }
            Some(_) => return Err(self.broken("a value is missing")),
            None => return Err(self.broken(EARLY_END)),
        };
        self.literal(word)?;
        Ok(cell)
    }

    /// Takes a scalar as a parameter's value.
    pub(crate) fn scalar(&mut self, scratch: &mut String) -> Result<Scalar, Broken> {
        Ok(match self.cell(scratch)? {
            Cell::Null => Scalar::Null,
            Cell::Bool(value) => Scalar::Bool(value),
            Cell::Number(number) => Scalar::Number(number.text().to_owned()),
            Cell::Special(value) if value.is_nan() => Scalar::Number("NaN".to_owned()),
            Cell::Special(value) if value > 0.0 => Scalar::Number("Infinity".to_owned()),
            Cell::Special(_) => Scalar::Number("-Infinity".to_owned()),
            Cell::Text(text) => Scalar::String(text.to_owned()),
        })
    }

    /// Takes any value, checking it and keeping nothing.
    pub(crate) fn skip(&mut self) -> Result<(), Broken> {
        let mut closing = Vec::new();
        loop {
            match self.peek() {
                Some(open @ (b'[' | b'{')) => {
                    self.enter()?;
                    let close = if open == b'[' { b']' } else { b'}' };
                    if self.more(true, close)? {
                        closing.push(close);
                        if close == b'}' {
                            self.skip_key()?;
                        }
                        continue;
                    }
                }
                Some(b'"') => {
                    self.raw_string()?;
                }
                Some(b'-') if self.bytes().get(self.at + 1) == Some(&b'I') => {
                    self.literal(b"-Infinity")?;
                }
                Some(b'0'..=b'9' | b'-') => {
                    self.number_unlimited()?;
                }
                _ => {
                    self.rare_cell()?;
                }
            }
            // A value ends; so do the arrays and objects that it was the last of.
            loop {
                let Some(&close) = closing.last() else {
                    return Ok(());
                };
                if self.more(false, close)? {
                    if close == b'}' {
                        self.skip_key()?;
                    }
                    break;
                }
                closing.pop();
            }
        }
    }

    fn skip_key(&mut self) -> Result<(), Broken> {
        if self.peek() != Some(b'"') {
            return Err(self.broken("a member's name is missing"));
        }
        self.raw_string()?;
        self.colon()
    }

    /// Takes the end of the text.
    pub(crate) fn end(&mut self) -> Result<(), Broken> {
        match self.peek() {
            None => Ok(()),
            Some(_) => Err(self.broken("something follows the value")),
        }
    }

    fn literal(&mut self, word: &[u8]) -> Result<(), Broken> {
        // What follows a literal is seen by whoever looks for a comma or an end next.
        match self.take(word) {
            true => Ok(()),
            false => Err(self.broken("a word is not one of JSON's")),
        }
    }

    #[inline]
    fn number(&mut self) -> Result<Decimal<'a>, Broken> {
        let number = self.number_unlimited()?;
        self.check_cell(number.text())?;
        Ok(number)
    }

    #[inline]
    fn number_unlimited(&mut self) -> Result<Decimal<'a>, Broken> {
        match Decimal::scan_json(self.text, self.at) {
            Ok((number, end)) => {
                self.at = end;
                Ok(number)
            }
            Err((at, what)) => Err(Broken { at, what }),
        }
    }

    #[inline]
    fn check_cell(&self, text: &str) -> Result<(), Broken> {
        match text.len() <= self.cell_limit {
            true => Ok(()),
            false => Err(self.broken("a value is longer than the limit of a cell")),
        }
    }

    /// Takes a string: what stands between its quotes, and whether that has escapes, all of which
    /// have been found valid.
    #[inline]
    fn raw_string(&mut self) -> Result<(&'a str, bool), Broken> {
        let bytes = self.bytes();
        let from = self.at + 1;
        let mut at = from;
        let mut escaped = false;
        loop {
            at = plain_end(bytes, at);
            match bytes.get(at) {
                Some(b'"') => {
                    self.at = at + 1;
                    return Ok((&self.text[from..at], escaped));
                }
                Some(b'\\') => {
                    escaped = true;
                    match check_escape(bytes, at) {
                        Ok(end) => at = end,
                        Err(what) => return Err(Broken { at, what }),
                    }
                }
                Some(_) => {
                    let what = "a control character in a string is not escaped";
                    return Err(Broken { at, what });
                }
                None => {
                    return Err(Broken {
                        at,
                        what: EARLY_END,
                    });
                }
            }
        }
    }
}

/// The first position from `at` on whose byte is a quote, a backslash or a control character; the
/// length where there is none.
#[inline]
pub(crate) fn plain_end(bytes: &[u8], mut at: usize) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGHS: u64 = 0x8080_8080_8080_8080;
    while let Some(&eight) = bytes.get(at..).and_then(|rest| rest.first_chunk::<8>()) {
        let word = u64::from_le_bytes(eight);
        // A byte's high bit is set where the byte is found; above the first one found it may be
        // set wrongly, below never.
        let quote = word ^ (ONES * b'"' as u64);
        let backslash = word ^ (ONES * b'\\' as u64);
        let found = ((quote.wrapping_sub(ONES) & !quote)
            | (backslash.wrapping_sub(ONES) & !backslash)
            | (word.wrapping_sub(ONES * 0x20) & !word))
            & HIGHS;
        if found != 0 {
            return at + found.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    while let Some(&byte) = bytes.get(at) {
        if byte == b'"' || byte == b'\\' || byte < 0x20 {
            break;
        }
        at += 1;
    }
    at
}

/// Checks the escape at `at`, a surrogate pair as a whole, and gives the position after it.
fn check_escape(bytes: &[u8], at: usize) -> Result<usize, &'static str> {
    match bytes.get(at + 1) {
        Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => Ok(at + 2),
        Some(b'u') => {
            let unit = hex(bytes, at + 2).ok_or("an escape lacks four hexadecimal digits")?;
            match unit {
                0xdc00..=0xdfff => Err("a low surrogate has no high one before it"),
                0xd800..=0xdbff => {
                    let second = bytes.get(at + 6..at + 8) == Some(b"\\u");
                    match hex(bytes, at + 8).filter(|_| second) {
                        Some(0xdc00..=0xdfff) => Ok(at + 12),
                        _ => Err("a high surrogate has no low one after it"),
                    }
                }
                _ => Ok(at + 6),
            }
        }
        Some(_) => Err("an escape is not one of JSON's"),
        None => Err(EARLY_END),
    }
}

/// Four hexadecimal digits as a number.
fn hex(bytes: &[u8], at: usize) -> Option<u32> {
    let digits = bytes.get(at..at + 4)?;
    digits.iter().try_fold(0, |unit, &byte| {
        let digit = char::from(byte).to_digit(16)?;
        Some(unit << 4 | digit)
    })
}

/// Appends a checked string with its escapes resolved.
fn unescape(raw: &str, out: &mut String) {
    let mut rest = raw;
    while let Some(at) = memchr::memchr(b'\\', rest.as_bytes()) {
        out.push_str(&rest[..at]);
        let bytes = rest.as_bytes();
        let (resolved, len) = match bytes.get(at + 1) {
            Some(b'b') => ('\u{8}', 2),
            Some(b'f') => ('\u{c}', 2),
            Some(b'n') => ('\n', 2),
            Some(b'r') => ('\r', 2),
            Some(b't') => ('\t', 2),
            Some(b'u') => match (hex(bytes, at + 2), hex(bytes, at + 8)) {
                (Some(high @ 0xd800..=0xdbff), Some(low)) => {
                    let scalar = 0x1_0000 + ((high & 0x3ff) << 10) + (low & 0x3ff);
                    (char::from_u32(scalar).unwrap_or('\u{fffd}'), 12)
                }
                (unit, _) => {
                    let scalar = unit.and_then(char::from_u32);
                    (scalar.unwrap_or('\u{fffd}'), 6)
                }
            },
            // A quote, a backslash or a slash: all of them ASCII.
            Some(&byte) => (char::from(byte), 2),
            None => break,
        };
        out.push(resolved);
        rest = &rest[at + len..];
    }
    out.push_str(rest);
}
