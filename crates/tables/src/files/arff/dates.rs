//! Points in time by a format as Java's `SimpleDateFormat` has it, into ISO 8601.

/// A format, piece by piece.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct DateFormat(Vec<Piece>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Piece {
    /// A number: what it counts, and with how many digits it is written.
    Number(char, usize),
    /// `AM` or `PM`.
    HalfOfDay,
    /// A character that stands for itself.
    Literal(char),
}

impl DateFormat {
    /// Reads a format: `y M d H h m s S a` and characters in single quotes or other than letters.
    pub(super) fn new(format: &str) -> Result<DateFormat, String> {
        let mut pieces = Vec::new();
        let mut quoted = false;
        let mut chars = format.chars().peekable();
        while let Some(c) = chars.next() {
            match c {
                '\'' if chars.next_if_eq(&'\'').is_some() => pieces.push(Piece::Literal('\'')),
                '\'' => quoted = !quoted,
                c if quoted || !c.is_ascii_alphabetic() => pieces.push(Piece::Literal(c)),
                'y' | 'M' | 'd' | 'H' | 'h' | 'm' | 's' | 'S' | 'a' => {
                    let mut width = 1;
                    while chars.next_if_eq(&c).is_some() {
                        width += 1;
                    }
                    pieces.push(match c {
                        'a' => Piece::HalfOfDay,
                        'M' if width > 2 => return Err(unsupported(format)),
                        c => Piece::Number(c, width),
                    });
                }
                _ => return Err(unsupported(format)),
            }
        }
        Ok(DateFormat(pieces))
    }

    /// The point in time in ISO 8601; `None` where the text has another form. Whether there is
    /// such a day is not asked.
    pub(super) fn iso(&self, text: &str) -> Option<String> {
        let mut rest = text.trim();
        let (mut year, mut month, mut day) = (1970, 1, 1);
        let (mut hour, mut minute, mut second, mut millis) = (0, 0, 0, 0);
        let mut half = None;
        for (i, piece) in self.0.iter().enumerate() {
            match *piece {
                Piece::Literal(c) => rest = rest.strip_prefix(c)?,
                Piece::HalfOfDay => {
                    let word = rest.get(..2)?;
                    half = Some(match () {
                        () if word.eq_ignore_ascii_case("am") => 0,
                        () if word.eq_ignore_ascii_case("pm") => 12,
                        () => return None,
                    });
                    rest = &rest[2..];
                }
                Piece::Number(what, width) => {
                    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
                    // Between two numbers there is nothing to see but their widths.
                    let count = match self.0.get(i + 1) {
                        Some(Piece::Number(..)) => width.min(digits),
                        _ => digits,
                    };
                    let number: u32 = rest.get(..count)?.parse().ok()?;
                    rest = &rest[count..];
                    match what {
                        // Two digits of a year are those next to ours.
                        'y' if width <= 2 && count == 2 => {
                            year = if number < 70 { 2000 } else { 1900 } + number;
                        }
                        'y' => year = number,
                        'M' => month = number,
                        'd' => day = number,
                        'H' => hour = number,
                        'h' => hour = number % 12,
                        'm' => minute = number,
                        's' => second = number,
                        _ => millis = number,
                    }
                }
            }
        }
        let hour = hour + half.unwrap_or(0);
        (rest.is_empty() && millis < 1000).then(|| {
            format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}")
        })
    }
}

fn unsupported(format: &str) -> String {
    let format = crate::cells::shortened(format);
    format!("dates of the format \"{format}\" are not supported")
}

#[cfg(test)]
mod tests {
    use super::DateFormat;

    #[test]
    fn dates_are_read_by_their_format() {
        for (format, text, iso) in [
            (
                "yyyy-MM-dd'T'HH:mm:ss",
                "2014-09-21T11:10:00",
                "2014-09-21T11:10:00.000",
            ),
            ("dd/MM/yy", "1/2/70", "1970-02-01T00:00:00.000"),
            ("yyyyMMddHHmm", "201409211110", "2014-09-21T11:10:00.000"),
            (
                "M/d/yyyy h:mm:ss a",
                "9/21/2014 12:10:01 AM",
                "2014-09-21T00:10:01.000",
            ),
            (
                "M/d/yyyy h:mm:ss a",
                "9/21/2014 1:10:01 pm",
                "2014-09-21T13:10:01.000",
            ),
            ("s.S 'o''clock'", "5.25 o'clock", "1970-01-01T00:00:05.025"),
        ] {
            let format = DateFormat::new(format).unwrap();
            assert_eq!(format.iso(text).as_deref(), Some(iso), "{text}");
        }
        let format = DateFormat::new("yyyy-MM-dd").unwrap();
        for text in [
            "",
            "2014-09",
            "2014-09-21x",
            "a-b-c",
            "99999999999-1-1",
            "é",
        ] {
            assert_eq!(format.iso(text), None, "{text}");
        }
        for format in ["EEE", "yyyy-MMM-dd", "z"] {
            assert!(DateFormat::new(format).is_err(), "{format}");
        }
    }
}
