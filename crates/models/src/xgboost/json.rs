//! JSON into a [`Doc`]: the whole of RFC 8259, and the `NaN` and `Infinity` that XGBoost writes.
//!
//! A number with a point or an exponent is read in single precision, since that is what XGBoost
//! wrote: by way of double precision it could be rounded twice.

use super::doc::{Doc, Items, MAX_DEPTH, NOT_KEPT};
use crate::reject::Reject;

/// Reads a document.
pub(crate) fn read(bytes: &[u8]) -> Result<Doc, Reject> {
    let mut reader = Reader {
        bytes,
        at: bytes.len() - trimmed(bytes).len(),
    };
    let doc = reader.value(0)?;
    reader.blanks();
    if reader.at < bytes.len() {
        return Err(reader.wrong("more follows the document"));
    }
    Ok(doc)
}

/// The names of an object's members; the values are only passed over.
pub(crate) fn members(bytes: &[u8]) -> Result<Vec<String>, Reject> {
    let mut reader = Reader {
        bytes,
        at: bytes.len() - trimmed(bytes).len(),
    };
    let mut names = Vec::new();
    reader.expect(b'{')?;
    reader.object(0, |reader, name| {
        names.push(name);
        reader.skip(1)
    })?;
    Ok(names)
}

/// The bytes after a byte order mark and blanks.
pub(crate) fn trimmed(bytes: &[u8]) -> &[u8] {
    bytes
        .strip_prefix(b"\xef\xbb\xbf")
        .unwrap_or(bytes)
        .trim_ascii_start()
}

struct Reader<'b> {
    bytes: &'b [u8],
    at: usize,
}

impl<'b> Reader<'b> {
    fn wrong(&self, what: &str) -> Reject {
        Reject::malformed(format!("{what}, at byte {}", self.at))
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn blanks(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn expect(&mut self, byte: u8) -> Result<(), Reject> {
        if self.peek() == Some(byte) {
            self.at += 1;
            Ok(())
        } else if self.peek().is_none() {
            Err(self.wrong("the document ends early"))
        } else {
            Err(self.wrong(&format!("\"{}\" is expected", byte as char)))
        }
    }

    fn word(&mut self, word: &str) -> bool {
        let found = self.bytes[self.at..].starts_with(word.as_bytes());
        if found {
            self.at += word.len();
        }
        found
    }

    /// The members of an object whose brace has been passed; `member` reads a value.
    fn object(
        &mut self,
        depth: usize,
        mut member: impl FnMut(&mut Reader<'b>, String) -> Result<(), Reject>,
    ) -> Result<(), Reject> {
        if depth >= MAX_DEPTH {
            return Err(self.wrong("the document nests too deep"));
        }
        self.blanks();
        if self.word("}") {
            return Ok(());
        }
        loop {
            self.blanks();
            let name = self.text()?;
            self.blanks();
            self.expect(b':')?;
            self.blanks();
            member(self, name)?;
            self.blanks();
            if self.word("}") {
                return Ok(());
            }
            self.expect(b',')?;
        }
    }

    /// The items of a list whose bracket has been passed; `item` reads one.
    fn array(
        &mut self,
        depth: usize,
        mut item: impl FnMut(&mut Reader<'b>) -> Result<(), Reject>,
    ) -> Result<(), Reject> {
        if depth >= MAX_DEPTH {
            return Err(self.wrong("the document nests too deep"));
        }
        self.blanks();
        if self.word("]") {
            return Ok(());
        }
        loop {
            self.blanks();
            item(self)?;
            self.blanks();
            if self.word("]") {
                return Ok(());
            }
            self.expect(b',')?;
        }
    }

    fn value(&mut self, depth: usize) -> Result<Doc, Reject> {
        match self.peek() {
            Some(b'{') => {
                self.at += 1;
                let mut members = Vec::new();
                self.object(depth, |reader, name| {
                    if NOT_KEPT.contains(&name.as_str()) {
                        return reader.skip(depth + 1);
                    }
                    let value = reader.value(depth + 1)?;
                    members.push((name, value));
                    Ok(())
                })?;
                Ok(Doc::Map(members))
            }
            Some(b'[') => {
                self.at += 1;
                let mut items = Items::Numbers(Vec::new());
                self.array(depth, |reader| {
                    let item = reader.value(depth + 1)?;
                    items.push(item);
                    Ok(())
                })?;
                Ok(items.done())
            }
            Some(b'"') => self.text().map(Doc::Text),
            _ => self.scalar(),
        }
    }

    /// Passes over a value.
    fn skip(&mut self, depth: usize) -> Result<(), Reject> {
        match self.peek() {
            Some(b'{') => {
                self.at += 1;
                self.object(depth, |reader, _| reader.skip(depth + 1))
            }
            Some(b'[') => {
                self.at += 1;
                self.array(depth, |reader| reader.skip(depth + 1))
            }
            Some(b'"') => self.text().map(drop),
            _ => self.scalar().map(drop),
        }
    }

    /// A number, or a word.
    fn scalar(&mut self) -> Result<Doc, Reject> {
        let words = [
            ("null", Doc::Null),
            ("true", Doc::Number(1.0)),
            ("false", Doc::Number(0.0)),
            ("NaN", Doc::Number(f64::NAN)),
            ("Infinity", Doc::Number(f64::INFINITY)),
            ("-Infinity", Doc::Number(f64::NEG_INFINITY)),
        ];
        if let Some(b'0'..=b'9') = self.peek() {
            return self.number();
        }
        for (word, value) in words {
            if self.word(word) {
                return Ok(value);
            }
        }
        self.number()
    }

    fn number(&mut self) -> Result<Doc, Reject> {
        let start = self.at;
        let mut fraction = false;
        while let Some(byte) = self.peek() {
            match byte {
                b'0'..=b'9' | b'-' | b'+' => {}
                b'.' | b'e' | b'E' => fraction = true,
                _ => break,
            }
            self.at += 1;
        }
        let text = std::str::from_utf8(&self.bytes[start..self.at]).unwrap_or_default();
        let number = if fraction {
            text.parse::<f32>().map(f64::from)
        } else {
            text.parse()
        };
        number.map(Doc::Number).map_err(|_| {
            self.at = start;
            self.wrong(if start == self.bytes.len() {
                "the document ends early"
            } else {
                "this is not a value"
            })
        })
    }

    fn text(&mut self) -> Result<String, Reject> {
        self.expect(b'"')?;
        let mut text: Vec<u8> = Vec::new();
        loop {
            let rest = &self.bytes[self.at..];
            let plain = memchr::memchr2(b'"', b'\\', rest)
                .ok_or_else(|| self.wrong("a text has no end"))?;
            text.extend_from_slice(&rest[..plain]);
            self.at += plain + 1;
            if rest[plain] == b'"' {
                return String::from_utf8(text).map_err(|_| self.wrong("a text is not UTF-8"));
            }
            let escaped = self.peek();
            self.at += 1;
            let byte = match escaped {
                Some(byte @ (b'"' | b'\\' | b'/')) => byte,
                Some(b'b') => 8,
                Some(b'f') => 12,
                Some(b'n') => b'\n',
                Some(b'r') => b'\r',
                Some(b't') => b'\t',
                Some(b'u') => {
                    let c = self.escape()?;
                    text.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                    continue;
                }
                _ => return Err(self.wrong("an escape is not known")),
            };
            text.push(byte);
        }
    }

    /// The character of `\u` and what follows it.
    fn escape(&mut self) -> Result<char, Reject> {
        let first = self.hex()?;
        if !(0xd800..0xdc00).contains(&first) {
            return char::from_u32(first).ok_or_else(|| self.wrong("half a character"));
        }
        if !self.word("\\u") {
            return Err(self.wrong("half a character"));
        }
        let second = self.hex()?;
        if !(0xdc00..0xe000).contains(&second) {
            return Err(self.wrong("half a character"));
        }
        char::from_u32(0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00))
            .ok_or_else(|| self.wrong("half a character"))
    }

    fn hex(&mut self) -> Result<u32, Reject> {
        let digits = self.bytes.get(self.at..self.at + 4);
        let value = digits
            .filter(|digits| digits.iter().all(u8::is_ascii_hexdigit))
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u32::from_str_radix(digits, 16).ok())
            .ok_or_else(|| self.wrong("an escape is not known"))?;
        self.at += 4;
        Ok(value)
    }
}
