//! Custom date, time and time span formats, as .NET writes them: `yyyy-MM-dd HH:mm`.
//!
//! Parsing only, in English names and without time zones other than `z`, `zz`, `zzz` and `K`.

use tables::text::parse_date_time;

/// A compiled format.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TimeFormat {
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    /// Text that must stand there.
    Literal(String),
    /// A number field: which, the fewest and the most digits.
    Number(Field, usize, usize),
    /// The name of a month, short or long.
    MonthName,
    /// The name of a day of the week, short or long; it says nothing that the date does not.
    DayName,
    /// Digits of a second; optional (`F`) ones may be absent, with the point before them.
    Fraction { most: usize, optional: bool },
    /// `AM` or `PM`, or its first letter.
    HalfDay,
    /// An offset from UTC, or `Z`.
    Offset,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    Year,
    /// The last two digits of a year: 00 to 29 are 2000 to 2029, as in .NET.
    ShortYear,
    Month,
    Day,
    Hour,
    /// On the 12-hour clock.
    Hour12,
    Minute,
    Second,
}

const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];
const DAYS: [&str; 7] = [
    "monday",
    "tuesday",
    "wednesday",
    "thursday",
    "friday",
    "saturday",
    "sunday",
];

const MICROS_PER_SECOND: i64 = 1_000_000;

#[derive(Default)]
struct Parsed {
    year: Option<i64>,
    month: i64,
    day: i64,
    hour: i64,
    minute: i64,
    second: i64,
    micros: i64,
    afternoon: Option<bool>,
    twelve: bool,
    offset_minutes: i64,
}

impl TimeFormat {
    /// Compiles a format of dates.
    pub(crate) fn date_time(format: &str) -> Result<TimeFormat, String> {
        compile(format, |letter, count| {
            Ok(match (letter, count) {
                ('y', 1) => Part::Number(Field::ShortYear, 1, 2),
                ('y', 2) => Part::Number(Field::ShortYear, 2, 2),
                ('y', _) => Part::Number(Field::Year, count.min(4), 4),
                ('M', 1 | 2) => Part::Number(Field::Month, count, 2),
                ('M', _) => Part::MonthName,
                ('d', 1 | 2) => Part::Number(Field::Day, count, 2),
                ('d', _) => Part::DayName,
                ('H', _) => Part::Number(Field::Hour, count.min(2), 2),
                ('h', _) => Part::Number(Field::Hour12, count.min(2), 2),
                ('m', _) => Part::Number(Field::Minute, count.min(2), 2),
                ('s', _) => Part::Number(Field::Second, count.min(2), 2),
                ('f' | 'F', 1..=7) => Part::Fraction {
                    most: count,
                    optional: letter == 'F',
                },
                ('t', _) => Part::HalfDay,
                ('z' | 'K', _) => Part::Offset,
                _ => return Err(format!("\"{letter}\" has no meaning in a date format")),
            })
        })
    }

    /// Compiles a format of time spans.
    pub(crate) fn time_span(format: &str) -> Result<TimeFormat, String> {
        compile(format, |letter, count| {
            Ok(match (letter, count) {
                ('d', 1..=8) => Part::Number(Field::Day, count, 8),
                ('h', 1 | 2) => Part::Number(Field::Hour, count, 2),
                ('m', 1 | 2) => Part::Number(Field::Minute, count, 2),
                ('s', 1 | 2) => Part::Number(Field::Second, count, 2),
                ('f' | 'F', 1..=7) => Part::Fraction {
                    most: count,
                    optional: letter == 'F',
                },
                _ => return Err(format!("\"{letter}\" has no meaning in a time span format")),
            })
        })
    }

    /// A point in time, in microseconds since 1970-01-01 UTC.
    pub(crate) fn parse_date_time(&self, text: &str) -> Option<i64> {
        let p = self.parse(text.trim())?;
        let hour = match (p.twelve, p.afternoon) {
            (true, _) if !(1..=12).contains(&p.hour) => return None,
            (true, Some(true)) => p.hour % 12 + 12,
            (true, _) => p.hour % 12,
            (false, _) => p.hour,
        };
        // A format without a date means a time of the first day there is.
        let year = p.year.unwrap_or(1);
        let (month, day) = (p.month.max(1), p.day.max(1));
        if (p.month == 0 && self.has(Field::Month)) || (p.day == 0 && self.has(Field::Day)) {
            return None;
        }
        let iso = format!(
            "{year:04}-{month:02}-{day:02}T{hour:02}:{:02}:{:02}.{:06}Z",
            p.minute, p.second, p.micros
        );
        let local = parse_date_time(&iso)?;
        local.checked_sub(p.offset_minutes * 60 * MICROS_PER_SECOND)
    }

    /// A length of time, in microseconds; a sign may stand before it.
    pub(crate) fn parse_time_span(&self, text: &str) -> Option<i64> {
        let text = text.trim();
        let (negative, text) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let p = self.parse(text)?;
        if p.hour > 23 || p.minute > 59 || p.second > 59 {
            return None;
        }
        let seconds = ((p.day * 24 + p.hour) * 60 + p.minute) * 60 + p.second;
        let micros = seconds
            .checked_mul(MICROS_PER_SECOND)?
            .checked_add(p.micros)?;
        Some(if negative { -micros } else { micros })
    }

    fn has(&self, field: Field) -> bool {
        let mut parts = self.parts.iter();
        parts.any(|part| matches!(part, Part::Number(f, ..) if *f == field))
    }

    fn parse(&self, text: &str) -> Option<Parsed> {
        let mut p = Parsed::default();
        let mut rest = text;
        for (i, part) in self.parts.iter().enumerate() {
            match part {
                Part::Literal(literal) => match rest.strip_prefix(literal.as_str()) {
                    Some(after) => rest = after,
                    // The point before optional digits goes with them.
                    None if literal == "."
                        && matches!(
                            self.parts.get(i + 1),
                            Some(Part::Fraction { optional: true, .. })
                        ) => {}
                    None => return None,
                },
                Part::Number(field, least, most) => {
                    let (number, after) = digits(rest, *least, *most)?;
                    rest = after;
                    match field {
                        Field::Year => p.year = Some(number),
                        Field::ShortYear => {
                            p.year = Some(number + if number < 30 { 2000 } else { 1900 });
                        }
                        Field::Month => p.month = number,
                        Field::Day => p.day = number,
                        Field::Hour => p.hour = number,
                        Field::Hour12 => (p.hour, p.twelve) = (number, true),
                        Field::Minute => p.minute = number,
                        Field::Second => p.second = number,
                    }
                }
                Part::MonthName => {
                    let (month, after) = name(rest, &MONTHS)?;
                    (p.month, rest) = (month as i64 + 1, after);
                }
                Part::DayName => rest = name(rest, &DAYS)?.1,
                Part::Fraction { most, optional } => {
                    let count = rest
                        .bytes()
                        .take(*most)
                        .take_while(u8::is_ascii_digit)
                        .count();
                    if count == 0 && *optional {
                        continue;
                    }
                    if count == 0 || (count < *most && !optional) {
                        return None;
                    }
                    // The seventh digit, a tenth of a microsecond, is dropped.
                    let kept = &rest[..count.min(6)];
                    let scale = 10i64.pow(6 - kept.len() as u32);
                    p.micros = kept.parse::<i64>().ok()? * scale;
                    rest = &rest[count..];
                }
                Part::HalfDay => {
                    let first = rest.bytes().next()?.to_ascii_lowercase();
                    p.afternoon = match first {
                        b'a' => Some(false),
                        b'p' => Some(true),
                        _ => return None,
                    };
                    rest = &rest[1..];
                    rest = rest.strip_prefix(['M', 'm']).unwrap_or(rest);
                }
                Part::Offset => {
                    if let Some(after) = rest.strip_prefix(['Z', 'z']) {
                        rest = after;
                        continue;
                    }
                    let sign = match rest.bytes().next()? {
                        b'+' => 1,
                        b'-' => -1,
                        _ => return None,
                    };
                    let (hours, after) = digits(&rest[1..], 1, 2)?;
                    let after_colon = after.strip_prefix(':').unwrap_or(after);
                    let (minutes, after) = digits(after_colon, 2, 2).unwrap_or((0, after));
                    if hours > 14 || minutes > 59 {
                        return None;
                    }
                    p.offset_minutes = sign * (hours * 60 + minutes);
                    rest = after;
                }
            }
        }
        rest.is_empty().then_some(p)
    }
}

fn digits(text: &str, least: usize, most: usize) -> Option<(i64, &str)> {
    let count = text
        .bytes()
        .take(most)
        .take_while(u8::is_ascii_digit)
        .count();
    if count < least || count == 0 {
        return None;
    }
    Some((text[..count].parse().ok()?, &text[count..]))
}

/// The longest of these names, or its first three letters, that the text begins with.
fn name<'a>(text: &'a str, names: &[&str]) -> Option<(usize, &'a str)> {
    let starts = |name: &str| {
        text.get(..name.len())
            .is_some_and(|t| t.eq_ignore_ascii_case(name))
    };
    let long = names.iter().position(|name| starts(name));
    if let Some(i) = long {
        return Some((i, &text[names[i].len()..]));
    }
    let short = names.iter().position(|name| starts(&name[..3]))?;
    Some((short, &text[3..]))
}

fn compile(
    format: &str,
    letter_part: impl Fn(char, usize) -> Result<Part, String>,
) -> Result<TimeFormat, String> {
    let mut parts: Vec<Part> = Vec::new();
    let literal = |parts: &mut Vec<Part>, text: &str| match parts.last_mut() {
        // A point stays by itself: optional digits after it may take it away.
        Some(Part::Literal(last)) if last != "." && text != "." => last.push_str(text),
        _ => parts.push(Part::Literal(text.to_owned())),
    };
    let mut chars = format.trim().chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some(escaped) => literal(&mut parts, escaped.encode_utf8(&mut [0; 4])),
                None => return Err("it ends in a backslash".to_owned()),
            },
            '\'' | '"' => {
                let mut quoted = String::new();
                loop {
                    match chars.next() {
                        Some(end) if end == c => break,
                        Some(inside) => quoted.push(inside),
                        None => return Err("a quotation mark is not closed".to_owned()),
                    }
                }
                literal(&mut parts, &quoted);
            }
            '%' => {}
            c if c.is_ascii_alphabetic() && c != 'T' && c != 'Z' => {
                let mut count = 1;
                while chars.next_if_eq(&c).is_some() {
                    count += 1;
                }
                parts.push(letter_part(c, count)?);
            }
            other => literal(&mut parts, other.encode_utf8(&mut [0; 4])),
        }
    }
    if !parts.iter().any(|part| !matches!(part, Part::Literal(_))) {
        return Err("it names no part of a time".to_owned());
    }
    Ok(TimeFormat { parts })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_read_by_their_format() {
        for (format, text, iso) in [
            ("yyyy-MM-dd", "2024-02-29", "2024-02-29"),
            (
                "dd.MM.yyyy HH:mm",
                "01.12.1999 23:05",
                "1999-12-01T23:05:00Z",
            ),
            (
                "M/d/yyyy h:mm:ss tt",
                "9/21/2014 1:10:00 PM",
                "2014-09-21T13:10:00Z",
            ),
            (
                "M/d/yyyy h:mm tt",
                "9/21/2014 12:10 am",
                "2014-09-21T00:10:00Z",
            ),
            ("yyyyMMddHHmmss", "20140921111000", "2014-09-21T11:10:00Z"),
            ("d MMM yy", "5 Sep 14", "2014-09-05"),
            (
                "dddd, d MMMM yyyy",
                "Friday, 5 September 2014",
                "2014-09-05",
            ),
            (
                "yyyy-MM-ddTHH:mm:ss.fff",
                "2014-09-21T11:10:00.250",
                "2014-09-21T11:10:00.25Z",
            ),
            (
                "yyyy-MM-ddTHH:mm:ss.FFFFFFFZ",
                "2014-09-21T11:10:00.1234567Z",
                "2014-09-21T11:10:00.123456Z",
            ),
            (
                "yyyy-MM-ddTHH:mm:ss.FFF",
                "2014-09-21T11:10:00",
                "2014-09-21T11:10:00Z",
            ),
            (
                "yyyy-MM-dd HH:mm zzz",
                "2014-09-21 11:10 +02:00",
                "2014-09-21T09:10:00Z",
            ),
            ("'on' dd\\MMM", "on 21M03", "0001-03-21"),
        ] {
            let parsed = TimeFormat::date_time(format).unwrap().parse_date_time(text);
            assert_eq!(parsed, parse_date_time(iso), "{format}");
            assert!(parsed.is_some(), "{format}");
        }
    }

    #[test]
    fn what_does_not_fit_the_format_is_refused() {
        for (format, text) in [
            ("yyyy-MM-dd", "2024-02-30"),
            ("yyyy-MM-dd", "2024-2-03"),
            ("yyyy-MM-dd", "2024-02-03x"),
            ("yyyy-MM-dd", "0000-00-00"),
            ("M/d/yyyy h:mm tt", "9/21/2014 13:10 PM"),
            ("HH:mm", "24:00"),
            ("HH:mm", "12:60"),
            ("HH:mm:ss.fff", "12:00:00.12"),
            ("d MMM yyyy", "5 Sex 2014"),
            ("HH:mm", ""),
            ("HH:mm", "é"),
        ] {
            let format = TimeFormat::date_time(format).unwrap();
            assert_eq!(format.parse_date_time(text), None, "{text}");
        }
        for format in ["", "---", "yyyy-QQ", "'open", "d\\"] {
            assert!(TimeFormat::date_time(format).is_err(), "{format}");
        }
    }

    #[test]
    fn time_spans_are_read_by_their_format() {
        let span =
            |format: &str, text: &str| TimeFormat::time_span(format).unwrap().parse_time_span(text);
        assert_eq!(span("hh\\:mm", "01:30"), Some(5_400_000_000));
        assert_eq!(
            span("d\\.hh\\:mm\\:ss", "-1.00:00:01"),
            Some(-86_401_000_000)
        );
        assert_eq!(span("s\\.fff", "1.5"), None);
        assert_eq!(span("s\\.FFF", "1.5"), Some(1_500_000));
        assert_eq!(span("hh\\:mm", "24:00"), None);
        assert!(TimeFormat::time_span("yyyy").is_err());
    }

    proptest::proptest! {
        #[test]
        fn no_format_and_no_text_panics(
            format in "[yMdHhmsftzKT:/ .'\"\\\\%é-]{0,16}",
            text in "[0-9AaPpMmZéJan+:/ .-]{0,24}",
        ) {
            if let Ok(format) = TimeFormat::date_time(&format) {
                let _ = format.parse_date_time(&text);
            }
            if let Ok(format) = TimeFormat::time_span(&format) {
                let _ = format.parse_time_span(&text);
            }
        }
    }
}
