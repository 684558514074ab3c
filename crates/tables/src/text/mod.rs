//! One cell as text: what requests, replies and files have in common.

mod number;
mod time;
mod write;

pub use number::{NumberError, parse_f32, parse_f64, parse_integer};
pub(crate) use time::is_in_calendar;
pub use time::{parse_date_time, parse_duration};
pub use write::write_cell;

pub(crate) use number::{Decimal, special};
pub(crate) use write::{boolean, write_value};

/// The text without the blanks around it: spaces, tabs and line ends, as .NET's number parsing
/// trims them.
pub(crate) fn trim(text: &str) -> &str {
    text.trim_matches(|c| matches!(c, ' ' | '\t'..='\r'))
}

/// A Boolean from its word, in any case, blanks around it trimmed. `0` and `1` are numbers and
/// not Booleans.
pub fn parse_boolean(text: &str) -> Option<bool> {
    let word = trim(text);
    if word.eq_ignore_ascii_case("true") {
        Some(true)
    } else if word.eq_ignore_ascii_case("false") {
        Some(false)
    } else {
        None
    }
}

/// A Char from its text: exactly one Unicode scalar value, blanks being characters too.
pub fn parse_char(text: &str) -> Option<char> {
    let mut chars = text.chars();
    let first = chars.next()?;
    chars.next().is_none().then_some(first)
}

#[cfg(test)]
mod tests {
    use super::{parse_boolean, parse_char};

    #[test]
    fn booleans_are_words() {
        for text in ["true", "True", "TRUE", " true\t"] {
            assert_eq!(parse_boolean(text), Some(true), "{text}");
        }
        for text in ["false", "False", "FALSE", "\nfalse "] {
            assert_eq!(parse_boolean(text), Some(false), "{text}");
        }
        for text in ["", "0", "1", "yes", "t", "tru e", "truely"] {
            assert_eq!(parse_boolean(text), None, "{text}");
        }
    }

    #[test]
    fn a_char_is_one_scalar() {
        assert_eq!(parse_char("a"), Some('a'));
        assert_eq!(parse_char(" "), Some(' '));
        assert_eq!(parse_char("\u{1F600}"), Some('\u{1F600}'));
        assert_eq!(parse_char(""), None);
        assert_eq!(parse_char("ab"), None);
    }
}
