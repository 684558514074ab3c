//! UBJSON (draft 12) into a [`Doc`], within limits: a count is believed only as far as there are
//! bytes for it.

use super::doc::{Doc, Items, MAX_DEPTH, NOT_KEPT};
use crate::reject::Reject;

/// Reads a document.
pub(crate) fn read(bytes: &[u8]) -> Result<Doc, Reject> {
    let mut reader = Reader {
        rest: bytes,
        length: bytes.len(),
    };
    let marker = reader.marker()?;
    let doc = reader.value(marker, 0)?;
    if reader.rest.iter().any(|&b| b != b'N') {
        return Err(reader.wrong("more follows the document"));
    }
    Ok(doc)
}

struct Reader<'b> {
    rest: &'b [u8],
    length: usize,
}

/// What stands before the items of a list or object.
struct Head {
    /// The type that all items have.
    marker: Option<u8>,
    /// The number of items.
    count: Option<usize>,
}

impl<'b> Reader<'b> {
    fn wrong(&self, what: &str) -> Reject {
        let at = self.length - self.rest.len();
        Reject::malformed(format!("{what}, at byte {at}"))
    }

    fn bytes(&mut self, count: usize) -> Result<&'b [u8], Reject> {
        let Some((bytes, rest)) = self.rest.split_at_checked(count) else {
            return Err(self.wrong("the document ends early"));
        };
        self.rest = rest;
        Ok(bytes)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Reject> {
        let mut array = [0; N];
        array.copy_from_slice(self.bytes(N)?);
        Ok(array)
    }

    /// The next type marker; no-ops before it are passed over.
    fn marker(&mut self) -> Result<u8, Reject> {
        loop {
            let [marker] = self.array()?;
            if marker != b'N' {
                return Ok(marker);
            }
        }
    }

    fn whole(&mut self, marker: u8) -> Result<i64, Reject> {
        Ok(match marker {
            b'i' => i64::from(i8::from_be_bytes(self.array()?)),
            b'U' => i64::from(u8::from_be_bytes(self.array()?)),
            b'I' => i64::from(i16::from_be_bytes(self.array()?)),
            b'l' => i64::from(i32::from_be_bytes(self.array()?)),
            b'L' => i64::from_be_bytes(self.array()?),
            _ => return Err(self.wrong("a length is expected")),
        })
    }

    fn length(&mut self) -> Result<usize, Reject> {
        let marker = self.marker()?;
        let length = self.whole(marker)?;
        usize::try_from(length).map_err(|_| self.wrong("a length is negative"))
    }

    fn text(&mut self) -> Result<String, Reject> {
        let length = self.length()?;
        let bytes = self.bytes(length)?;
        let text = std::str::from_utf8(bytes).map_err(|_| self.wrong("a text is not UTF-8"))?;
        Ok(text.to_owned())
    }

    fn value(&mut self, marker: u8, depth: usize) -> Result<Doc, Reject> {
        Ok(match marker {
            b'Z' => Doc::Null,
            b'T' => Doc::Number(1.0),
            b'F' => Doc::Number(0.0),
            b'i' | b'U' | b'I' | b'l' | b'L' => Doc::Number(self.whole(marker)? as f64),
            b'd' => Doc::Number(f64::from(f32::from_be_bytes(self.array()?))),
            b'D' => Doc::Number(f64::from_be_bytes(self.array()?)),
            b'C' => Doc::Text(char::from(self.array::<1>()?[0]).to_string()),
            b'S' => Doc::Text(self.text()?),
            b'[' => self.list(depth)?,
            b'{' => self.object(depth)?,
            other => {
                return Err(self.wrong(&format!("type {:?} is not known", char::from(other))));
            }
        })
    }

    fn head(&mut self, depth: usize) -> Result<Head, Reject> {
        if depth >= MAX_DEPTH {
            return Err(self.wrong("the document nests too deep"));
        }
        let mut head = Head {
            marker: None,
            count: None,
        };
        if self.rest.first() == Some(&b'$') {
            let [_, marker] = self.array()?;
            if matches!(marker, b'Z' | b'T' | b'F' | b'N') {
                return Err(self.wrong("a list of nothing"));
            }
            head.marker = Some(marker);
            if self.rest.first() != Some(&b'#') {
                return Err(self.wrong("a type without a count"));
            }
        }
        if self.rest.first() == Some(&b'#') {
            self.bytes(1)?;
            let count = self.length()?;
            // Every item has at least a byte.
            if count > self.rest.len() {
                return Err(self.wrong(&format!("{count} items are announced and missing")));
            }
            head.count = Some(count);
        }
        Ok(head)
    }

    /// Whether another item follows the `read` ones; passes over the end's mark.
    fn more(&mut self, head: &Head, read: usize, end: u8) -> Result<bool, Reject> {
        if let Some(count) = head.count {
            return Ok(read < count);
        }
        while self.rest.first() == Some(&b'N') {
            self.bytes(1)?;
        }
        if self.rest.first() == Some(&end) {
            self.bytes(1)?;
            return Ok(false);
        }
        Ok(true)
    }

    fn item(&mut self, head: &Head, depth: usize) -> Result<Doc, Reject> {
        let marker = match head.marker {
            Some(marker) => marker,
            None => self.marker()?,
        };
        self.value(marker, depth + 1)
    }

    fn list(&mut self, depth: usize) -> Result<Doc, Reject> {
        let head = self.head(depth)?;
        let mut items = Items::Numbers(Vec::new());
        let mut read = 0;
        while self.more(&head, read, b']')? {
            let item = self.item(&head, depth)?;
            items.push(item);
            read += 1;
        }
        Ok(items.done())
    }

    fn object(&mut self, depth: usize) -> Result<Doc, Reject> {
        let head = self.head(depth)?;
        let mut members = Vec::new();
        let mut read = 0;
        while self.more(&head, read, b'}')? {
            let name = self.text()?;
            let value = self.item(&head, depth)?;
            if !NOT_KEPT.contains(&name.as_str()) {
                members.push((name, value));
            }
            read += 1;
        }
        Ok(Doc::Map(members))
    }
}
