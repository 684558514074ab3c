//! Weka's attribute-relation files.
//!
//! Each line of the head and each row is a line of its own; `%` begins a comment. A row is a list
//! of values or, in braces, of pairs of a column's number and its value (sparse): a column that
//! such a row leaves out has 0, or its first value where it is nominal. `?` is a missing value.

mod dates;
mod head;
mod rows;
mod write;

pub(super) use head::parse_head;
pub(super) use rows::Arff;
pub(super) use write::{write_head, write_rows};

/// A value at the start of a text: the value, whether it was in quotes, and what follows it.
///
/// In quotes, single or double, a backslash keeps the next character from its meaning. Without
/// them a value ends at one of `ends` or a comment, and blanks around it do not count.
fn value<'text: 'value, 'value>(
    text: &'text str,
    ends: &[char],
    scratch: &'value mut String,
) -> Result<(&'value str, bool, &'text str), &'static str> {
    let text = text.trim_start_matches(BLANKS);
    let Some(quote) = text.chars().next().filter(|c| matches!(c, '\'' | '"')) else {
        let end = text.find(|c| c == '%' || ends.contains(&c));
        let (value, rest) = text.split_at(end.unwrap_or(text.len()));
        return Ok((value.trim_end_matches(BLANKS), false, rest));
    };
    scratch.clear();
    let mut chars = text[1..].char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            c if c == quote => return Ok((scratch, true, &text[at + 2..])),
            '\\' => match chars.next() {
                Some((_, 'n')) => scratch.push('\n'),
                Some((_, 'r')) => scratch.push('\r'),
                Some((_, 't')) => scratch.push('\t'),
                Some((at, 'u')) => {
                    let digits = text[1..].get(at + 1..at + 5).unwrap_or_default();
                    let code = u32::from_str_radix(digits, 16)
                        .ok()
                        .and_then(char::from_u32);
                    scratch.push(code.ok_or("an escape that is no character")?);
                    chars.nth(3);
                }
                Some((_, c)) => scratch.push(c),
                None => break,
            },
            c => scratch.push(c),
        }
    }
    Err("a quote left open")
}

const BLANKS: [char; 3] = [' ', '\t', '\r'];
