//! Points in time and lengths of time as text. All are counted in microseconds: points since
//! 1970-01-01 00:00:00 UTC, in the years 1 to 9999 of the Gregorian calendar.

const MICROS_PER_SECOND: i64 = 1_000_000;
const MICROS_PER_DAY: i64 = 86_400 * MICROS_PER_SECOND;

/// The days of 0001-01-01 and of 9999-12-31.
const FIRST_DAY: i64 = days_from_civil(1, 1, 1);
const LAST_DAY: i64 = days_from_civil(9999, 12, 31);

/// A point in time from its text, blanks around it trimmed:
///
/// - ISO 8601: `2014-09-21`, `2014-09-21T11:10`, `2014-09-21 11:10:00.123456Z`, with `T` or a
///   space, any number of fraction digits (those past the sixth are dropped) and an optional zone
///   (`Z`, `+02:00`, `+0200`, `+02`);
/// - as the classic service writes them: `9/21/2014`, `9/21/2014 11:10:00 AM`,
///   `9/21/2014 11:10:00 AM +00:00`, also on the 24-hour clock.
///
/// A zone is taken into account; without one the time is UTC.
pub fn parse_date_time(text: &str) -> Option<i64> {
    let mut reader = Reader(super::trim(text).as_bytes());
    let (year, month, day);
    let month_first = matches!(reader.0, [_, b'/', ..] | [_, _, b'/', ..]);
    if month_first {
        month = reader.number(1, 2)?;
        reader.byte(b'/')?;
        day = reader.number(1, 2)?;
        reader.byte(b'/')?;
        year = reader.number(4, 4)?;
    } else {
        year = reader.number(4, 4)?;
        reader.byte(b'-')?;
        month = reader.number(2, 2)?;
        reader.byte(b'-')?;
        day = reader.number(2, 2)?;
    }
    if year == 0 || month == 0 || month > 12 || day == 0 || day > days_in_month(year, month) {
        return None;
    }
    let mut micros = days_from_civil(year, month, day) * MICROS_PER_DAY;
    if !reader.0.is_empty() {
        reader.any_byte(if month_first { b" " } else { b"Tt " })?;
        micros += clock(&mut reader, month_first)?;
        micros -= zone(&mut reader)?;
    }
    let days = micros.div_euclid(MICROS_PER_DAY);
    (reader.0.is_empty() && (FIRST_DAY..=LAST_DAY).contains(&days)).then_some(micros)
}

/// A time of day: `hh:mm[:ss[.f]]`, with `AM` or `PM` where that is allowed.
fn clock(reader: &mut Reader<'_>, twelve_hours: bool) -> Option<i64> {
    let mut hour = reader.number(if twelve_hours { 1 } else { 2 }, 2)?;
    reader.byte(b':')?;
    let minute = reader.number(2, 2)?;
    let (mut second, mut fraction) = (0, 0);
    if reader.byte(b':').is_some() {
        second = reader.number(2, 2)?;
        if reader.byte(b'.').is_some() {
            fraction = reader.fraction()?;
        }
    }
    if twelve_hours {
        let mut half = Reader(reader.0);
        let _ = half.byte(b' ');
        let afternoon = match half.0 {
            [b'a' | b'A', b'm' | b'M', ..] => Some(false),
            [b'p' | b'P', b'm' | b'M', ..] => Some(true),
            _ => None,
        };
        if let Some(afternoon) = afternoon {
            reader.0 = &half.0[2..];
            if hour == 0 || hour > 12 {
                return None;
            }
            hour = hour % 12 + if afternoon { 12 } else { 0 };
        }
    }
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    Some((hour * 3600 + minute * 60 + second) * MICROS_PER_SECOND + fraction)
}

/// A zone's offset in microseconds, 0 without one.
fn zone(reader: &mut Reader<'_>) -> Option<i64> {
    if reader.0.is_empty() {
        return Some(0);
    }
    if reader.any_byte(b"Zz").is_some() {
        return Some(0);
    }
    let _ = reader.byte(b' ');
    let west = reader.any_byte(b"+-")? == b'-';
    let hours = reader.number(2, 2)?;
    let minutes = match (reader.byte(b':'), reader.0.is_empty()) {
        (Some(()), _) | (None, false) => reader.number(2, 2)?,
        (None, true) => 0,
    };
    // .NET's DateTimeOffset ends at 14 hours.
    if minutes > 59 || hours * 60 + minutes > 14 * 60 {
        return None;
    }
    let micros = (hours * 60 + minutes) * 60 * MICROS_PER_SECOND;
    Some(if west { -micros } else { micros })
}

/// A length of time in microseconds from its text, blanks around it trimmed: .NET's
/// `[-][d.]hh:mm:ss[.fffffff]` or ISO 8601's `[-]PnDTnHnMn.nS`. Digits past the sixth of a
/// fraction are dropped. Years and months are refused, since they have no fixed length.
pub fn parse_duration(text: &str) -> Option<i64> {
    let mut reader = Reader(super::trim(text).as_bytes());
    let negative = reader.byte(b'-').is_some();
    let magnitude = match reader.byte(b'P') {
        Some(()) => iso_duration(&mut reader)?,
        None => net_duration(&mut reader)?,
    };
    if !reader.0.is_empty() {
        return None;
    }
    let signed = if negative { -magnitude } else { magnitude };
    i64::try_from(signed).ok()
}

fn net_duration(reader: &mut Reader<'_>) -> Option<i128> {
    let first = reader.number(1, 10)?;
    let (days, hours) = match reader.byte(b'.') {
        Some(()) => (first, reader.number(1, 2)?),
        None => (0, first),
    };
    reader.byte(b':')?;
    let minutes = reader.number(2, 2)?;
    reader.byte(b':')?;
    let seconds = reader.number(2, 2)?;
    let fraction = match reader.byte(b'.') {
        Some(()) => reader.fraction()?,
        None => 0,
    };
    if hours > 23 || minutes > 59 || seconds > 59 {
        return None;
    }
    Some(duration(days, hours, minutes, seconds, fraction))
}

fn iso_duration(reader: &mut Reader<'_>) -> Option<i128> {
    let (mut days, mut hours, mut minutes, mut seconds, mut fraction) = (0, 0, 0, 0, 0);
    if !reader.0.starts_with(b"T") {
        days = reader.number(1, 10)?;
        reader.byte(b'D')?;
        if reader.0.is_empty() {
            return Some(duration(days, 0, 0, 0, 0));
        }
    }
    reader.byte(b'T')?;
    // The units come in this order, each at most once, at least one of them.
    let mut next = 0;
    while !reader.0.is_empty() {
        let value = reader.number(1, 10)?;
        match reader.any_byte(b"HMS.")? {
            b'H' if next == 0 => (hours, next) = (value, 1),
            b'M' if next <= 1 => (minutes, next) = (value, 2),
            b'S' if next <= 2 => (seconds, next) = (value, 3),
            b'.' if next <= 2 => {
                fraction = reader.fraction()?;
                reader.byte(b'S')?;
                (seconds, next) = (value, 3);
            }
            _ => return None,
        }
    }
    (next > 0).then(|| duration(days, hours, minutes, seconds, fraction))
}

fn duration(days: i64, hours: i64, minutes: i64, seconds: i64, fraction: i64) -> i128 {
    let days_and_hours = i128::from(days) * 24 + i128::from(hours);
    let whole = (days_and_hours * 60 + i128::from(minutes)) * 60 + i128::from(seconds);
    whole * i128::from(MICROS_PER_SECOND) + i128::from(fraction)
}

/// What is left of a text.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    /// Takes that byte, if it is next.
    fn byte(&mut self, byte: u8) -> Option<()> {
        self.any_byte(&[byte]).map(|_| ())
    }

    /// Takes the next byte, if it is one of those.
    fn any_byte(&mut self, bytes: &[u8]) -> Option<u8> {
        let (&first, rest) = self.0.split_first()?;
        if !bytes.contains(&first) {
            return None;
        }
        self.0 = rest;
        Some(first)
    }

    /// Takes a number of at least `least` and at most `most` digits (at most 18).
    fn number(&mut self, least: usize, most: usize) -> Option<i64> {
        let digits = self.0.iter().take(most);
        let count = digits.take_while(|byte| byte.is_ascii_digit()).count();
        if count < least {
            return None;
        }
        let (digits, rest) = self.0.split_at(count);
        self.0 = rest;
        let value = |value: i64, digit: &u8| value * 10 + i64::from(digit - b'0');
        Some(digits.iter().fold(0, value))
    }

    /// Takes all digits of a fraction of a second, at least one, as microseconds.
    fn fraction(&mut self) -> Option<i64> {
        let count = self.0.iter().take_while(|b| b.is_ascii_digit()).count();
        if count == 0 {
            return None;
        }
        let (digits, rest) = self.0.split_at(count);
        self.0 = rest;
        let padded = digits.iter().copied().chain(std::iter::repeat(b'0'));
        let value = |value: i64, digit: u8| value * 10 + i64::from(digit - b'0');
        Some(padded.take(6).fold(0, value))
    }
}

/// Whether a point in time is in the years that have a text.
pub(crate) fn is_in_calendar(micros: i64) -> bool {
    (FIRST_DAY..=LAST_DAY).contains(&micros.div_euclid(MICROS_PER_DAY))
}

/// Appends a point in time as the classic service does: `M/d/yyyy h:mm:ss tt`; fractions of a
/// second are dropped.
pub(crate) fn write_date_time(micros: i64, out: &mut Vec<u8>) {
    let (year, month, day) = civil_from_days(micros.div_euclid(MICROS_PER_DAY));
    let seconds = micros.rem_euclid(MICROS_PER_DAY) / MICROS_PER_SECOND;
    let hour = seconds / 3600;
    number(month, 1, out);
    out.push(b'/');
    number(day, 1, out);
    out.push(b'/');
    number(year, 4, out);
    out.push(b' ');
    number((hour + 11) % 12 + 1, 1, out);
    out.push(b':');
    number(seconds / 60 % 60, 2, out);
    out.push(b':');
    number(seconds % 60, 2, out);
    out.extend_from_slice(if hour < 12 { b" AM" } else { b" PM" });
}

/// Appends a point in time with its offset, which is always UTC's: `M/d/yyyy h:mm:ss tt +00:00`.
pub(crate) fn write_date_time_offset(micros: i64, out: &mut Vec<u8>) {
    write_date_time(micros, out);
    out.extend_from_slice(b" +00:00");
}

/// Appends a length of time in .NET's constant form: `[-][d.]hh:mm:ss[.fffffff]`.
pub(crate) fn write_duration(micros: i64, out: &mut Vec<u8>) {
    if micros < 0 {
        out.push(b'-');
    }
    let micros = micros.unsigned_abs() as i128;
    // Quotient and remainders of 64 bits: they fit again.
    let day = i128::from(MICROS_PER_DAY);
    let (days, rest) = ((micros / day) as i64, (micros % day) as i64);
    if days != 0 {
        number(days, 1, out);
        out.push(b'.');
    }
    let seconds = rest / MICROS_PER_SECOND;
    number(seconds / 3600, 2, out);
    out.push(b':');
    number(seconds / 60 % 60, 2, out);
    out.push(b':');
    number(seconds % 60, 2, out);
    let fraction = rest % MICROS_PER_SECOND;
    if fraction != 0 {
        out.push(b'.');
        number(fraction * 10, 7, out);
    }
}

/// Appends a number that is not negative, with zeros in front up to `width` digits; a negative
/// one (a year before 0 of a computed column) keeps its sign.
fn number(value: i64, width: usize, out: &mut Vec<u8>) {
    let mut digits = itoa::Buffer::new();
    let digits = digits.format(value.unsigned_abs()).as_bytes();
    if value < 0 {
        out.push(b'-');
    }
    out.extend(std::iter::repeat_n(
        b'0',
        width.saturating_sub(digits.len()),
    ));
    out.extend_from_slice(digits);
}

fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

/// The day number of a Gregorian date, 0 on 1970-01-01. Years are counted from March, in eras of
/// 400 years, so that the leap day is the last of its year.
const fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// The Gregorian date of a day number: year, month, day.
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{
        FIRST_DAY, LAST_DAY, MICROS_PER_DAY, civil_from_days, days_from_civil, parse_date_time,
        parse_duration, write_date_time, write_date_time_offset, write_duration,
    };

    fn text(write: fn(i64, &mut Vec<u8>), micros: i64) -> String {
        let mut out = Vec::new();
        write(micros, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn points_in_time_are_read_in_both_forms() {
        // 1,411,297,800 seconds: 2014-09-21 11:10:00 UTC.
        let expected = Some(1_411_297_800_000_000);
        for text in [
            "2014-09-21T11:10:00",
            "2014-09-21 11:10",
            " 2014-09-21T11:10:00Z ",
            "2014-09-21t11:10:00.000z",
            "2014-09-21T13:10:00+02:00",
            "2014-09-21T13:10:00+0200",
            "2014-09-21T13:10:00 +02",
            "2014-09-21T04:40:00-06:30",
            "9/21/2014 11:10:00 AM",
            "09/21/2014 11:10 am",
            "9/21/2014 11:10:00",
            "9/21/2014 11:10:00 AM +00:00",
        ] {
            assert_eq!(parse_date_time(text), expected, "{text}");
        }
        assert_eq!(parse_date_time("1970-01-01"), Some(0));
        assert_eq!(parse_date_time("1/1/1970 12:00:00 AM"), Some(0));
        assert_eq!(
            parse_date_time("1/1/1970 12:00:00 PM"),
            Some(MICROS_PER_DAY / 2)
        );
        assert_eq!(
            parse_date_time("1/1/1970 1:00:00 PM"),
            Some(13 * 3_600_000_000)
        );
        assert_eq!(
            parse_date_time("1970-01-01T00:00:00.1234567"),
            Some(123_456)
        );
        assert_eq!(parse_date_time("2000-02-29"), Some(951_782_400_000_000));
        assert_eq!(
            parse_date_time("0001-01-01"),
            Some(FIRST_DAY * MICROS_PER_DAY)
        );
    }

    #[test]
    fn what_is_not_a_point_in_time_is_refused() {
        for text in [
            "",
            "now",
            "20140921",
            "2014-9-21",
            "14-09-21",
            "2014-13-01",
            "2014-00-01",
            "2014-02-30",
            "2014-02-00",
            "1900-02-29",
            "0000-01-01",
            "2014-09-21T",
            "2014-09-21T11",
            "2014-09-21T24:00:00",
            "2014-09-21T11:60:00",
            "2014-09-21T11:10:60",
            "2014-09-21T11:10:00.",
            "2014-09-21T11:10:00+15:00",
            "2014-09-21T11:10:00+2",
            "2014-09-21T11:10:00 UTC",
            "2014-09-21T11:10:00ZZ",
            "9/21/14",
            "21/9/2014",
            "9/21/2014 13:00:00 PM",
            "9/21/2014 0:00:00 AM",
            "9/21/2014 11:10:00 XM",
            "9/21/2014T11:10:00",
            "0001-01-01T00:00:00+01:00",
            "9999-12-31T23:59:59-01:00",
            "1411297800",
            "٢٠١٤-09-21",
        ] {
            assert_eq!(parse_date_time(text), None, "{text}");
        }
    }

    #[test]
    fn points_in_time_are_written_as_the_classic_service_did() {
        let micros = parse_date_time("2014-09-21T11:10:00.999").unwrap();
        assert_eq!(text(write_date_time, micros), "9/21/2014 11:10:00 AM");
        assert_eq!(
            text(write_date_time_offset, micros),
            "9/21/2014 11:10:00 AM +00:00"
        );
        assert_eq!(text(write_date_time, 0), "1/1/1970 12:00:00 AM");
        assert_eq!(
            text(write_date_time, MICROS_PER_DAY / 2),
            "1/1/1970 12:00:00 PM"
        );
        assert_eq!(text(write_date_time, -1), "12/31/1969 11:59:59 PM");
        let first = FIRST_DAY * MICROS_PER_DAY;
        assert_eq!(text(write_date_time, first), "1/1/0001 12:00:00 AM");
    }

    #[test]
    fn lengths_of_time_are_read_in_both_forms() {
        for (text, expected) in [
            ("00:00:01", 1_000_000),
            ("1:02:03", 3_723_000_000),
            ("-00:00:00.5", -500_000),
            ("1.02:03:04.1234567", 93_784_123_456),
            (" 10675199.02:48:05.4775807 ", 922_337_203_685_477_580),
            ("PT0S", 0),
            ("P1D", MICROS_PER_DAY),
            ("P1DT2H3M4.5S", 93_784_500_000),
            ("-PT36H", -129_600_000_000),
            ("PT90M", 5_400_000_000),
        ] {
            assert_eq!(parse_duration(text), Some(expected), "{text}");
        }
        for text in [
            "",
            "-",
            "5",
            "1:02",
            "24:00:00",
            "00:60:00",
            "00:00:60",
            "00:00:00.",
            "P",
            "PT",
            "P1DT",
            "P1Y",
            "P1M",
            "P1W",
            "PT1M1H",
            "PT1S1S",
            "PT1.5H",
            "PT.5S",
            "1d",
            "--00:00:01",
            "9999999999.00:00:00",
            "00:00:01x",
        ] {
            assert_eq!(parse_duration(text), None, "{text}");
        }
    }

    #[test]
    fn lengths_of_time_are_written_in_the_constant_form() {
        assert_eq!(text(write_duration, 0), "00:00:00");
        assert_eq!(text(write_duration, -500_000), "-00:00:00.5000000");
        assert_eq!(text(write_duration, 93_784_123_456), "1.02:03:04.1234560");
        let least = text(write_duration, i64::MIN);
        assert_eq!(least, "-106751991.04:00:54.7758080");
        assert_eq!(parse_duration(&least), Some(i64::MIN));
    }

    #[test]
    fn every_day_has_its_date() {
        let mut last = (0, 12, 31);
        for days in FIRST_DAY..=LAST_DAY {
            let (year, month, day) = civil_from_days(days);
            assert_eq!(days_from_civil(year, month, day), days);
            assert!((year, month, day) > last);
            last = (year, month, day);
        }
        assert_eq!(last, (9999, 12, 31));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(
            seconds in FIRST_DAY * 86_400..(LAST_DAY + 1) * 86_400,
            micros: i64,
        ) {
            let point = seconds * 1_000_000;
            prop_assert_eq!(parse_date_time(&text(write_date_time, point)), Some(point));
            prop_assert_eq!(parse_date_time(&text(write_date_time_offset, point)), Some(point));
            prop_assert_eq!(parse_duration(&text(write_duration, micros)), Some(micros));
        }

        #[test]
        fn any_text_is_read_without_a_panic(text in "[0-9TZ:./ PDHMSam+-]{0,40}") {
            let _ = (parse_date_time(&text), parse_duration(&text));
        }
    }
}
