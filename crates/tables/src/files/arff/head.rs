//! The head: names and types of the columns.

use faults::{Fault, bad_user_argument};

use super::dates::DateFormat;
use super::{BLANKS, value};
use crate::cells::shortened;
use crate::files::HEAD_LIMIT;

/// The head of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::files) struct ArffHead {
    /// The names of the columns.
    pub(in crate::files) names: Vec<String>,
    /// Their types.
    pub(super) kinds: Vec<Kind>,
    /// How many bytes it has.
    pub(in crate::files) end: usize,
    /// The number of the line after it.
    pub(in crate::files) line: u64,
}

/// The type of an attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    /// `numeric`, `real` or `integer`.
    Number,
    /// `string`.
    Text,
    /// A list of values, of which only the first matters here: the values of a column are the
    /// schema's to judge.
    Nominal { first: String },
    /// `date`, with its format where it is not ISO 8601.
    Date(Option<DateFormat>),
}

/// Reads the head of a file of which `bytes` is the beginning, or all of it where `whole`. `None`
/// means that more bytes are needed.
pub(in crate::files) fn parse_head(bytes: &[u8], whole: bool) -> Result<Option<ArffHead>, Fault> {
    let mark = b"\xef\xbb\xbf";
    let mut at = if bytes.starts_with(mark) {
        mark.len()
    } else {
        0
    };
    let mut line = 0;
    let mut head = ArffHead {
        names: Vec::new(),
        kinds: Vec::new(),
        end: 0,
        line: 0,
    };
    loop {
        let rest = &bytes[at..];
        let (text, next) = match memchr::memchr(b'\n', rest) {
            Some(end) => (&rest[..end], at + end + 1),
            None if whole && !rest.is_empty() => (rest, bytes.len()),
            None if whole => return Err(refused("the head has no @data")),
            None if bytes.len() >= HEAD_LIMIT => {
                return Err(refused("the head does not end within 1 MiB"));
            }
            None => return Ok(None),
        };
        line += 1;
        let Ok(text) = std::str::from_utf8(text) else {
            return Err(refused(&format!("line {line}: the head is not UTF-8")));
        };
        let end = declaration(text, &mut head)
            .map_err(|problem| refused(&format!("line {line}: {problem}")))?;
        at = next;
        if end {
            head.end = next;
            head.line = line + 1;
            return Ok(Some(head));
        }
    }
}

fn refused(problem: &str) -> Fault {
    bad_user_argument::input_parse_error(problem)
}

/// Takes a line of the head, and says whether it was the last one.
fn declaration(line: &str, head: &mut ArffHead) -> Result<bool, String> {
    let line = line.trim_matches(BLANKS);
    if line.is_empty() || line.starts_with('%') {
        return Ok(false);
    }
    let (word, rest) = line.split_once(BLANKS).unwrap_or((line, ""));
    if word.eq_ignore_ascii_case("@data") {
        return Ok(true);
    }
    if word.eq_ignore_ascii_case("@relation") {
        return Ok(false);
    }
    if !word.eq_ignore_ascii_case("@attribute") {
        let word = shortened(word);
        return Err(format!(
            "\"{word}\" stands where @relation, @attribute or @data is expected"
        ));
    }
    let mut scratch = String::new();
    let (name, _, rest) = value(rest, &[' ', '\t', '{'], &mut scratch)?;
    let name = name.to_owned();
    let kind = kind(rest.trim_matches(BLANKS))?;
    head.names.push(name);
    head.kinds.push(kind);
    Ok(false)
}

fn kind(text: &str) -> Result<Kind, String> {
    let mut scratch = String::new();
    if let Some(list) = text.strip_prefix('{') {
        let mut first = None;
        let mut rest = list;
        loop {
            let (value, _, after) = value(rest, &[',', '}'], &mut scratch)?;
            first.get_or_insert_with(|| value.to_owned());
            let after = after.trim_start_matches(BLANKS);
            match after.strip_prefix(',') {
                Some(after) => rest = after,
                None if after.starts_with('}') => break,
                None => return Err("a list of values has no end".to_owned()),
            }
        }
        return Ok(Kind::Nominal {
            first: first.unwrap_or_default(),
        });
    }
    let (word, rest) = text.split_once(BLANKS).unwrap_or((text, ""));
    let is = |name: &str| word.eq_ignore_ascii_case(name);
    match () {
        () if is("numeric") || is("real") || is("integer") => Ok(Kind::Number),
        () if is("string") => Ok(Kind::Text),
        () if is("date") => {
            let (format, _, _) = value(rest, &[], &mut scratch)?;
            match format {
                "" => Ok(Kind::Date(None)),
                format => Ok(Kind::Date(Some(DateFormat::new(format)?))),
            }
        }
        () => Err(format!(
            "attributes of the type \"{}\" are not supported",
            shortened(word)
        )),
    }
}
