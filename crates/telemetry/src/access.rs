//! The access line: one a call, formatted by hand because it stands on the scoring path.

use std::cell::RefCell;
use std::io::Write as _;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::{Format, Writer};

/// What the access log says of a call. Never a payload, a key or a query's values.
#[derive(Debug, Clone, Copy)]
pub struct AccessLine<'a> {
    /// `POST`, ...
    pub method: &'a str,
    /// The route's template (`/workspaces/{workspace}/services/{service}/execute`), never the path
    /// itself; empty for a path that no route has.
    pub route: &'a str,
    /// The endpoint's label, or empty.
    pub endpoint: &'a str,
    /// The reply's status; 499 for a client that went away before it.
    pub status: u16,
    /// `Class.Code` of the failure in two parts, or empty.
    pub class: &'a str,
    /// See `class`.
    pub code: &'a str,
    /// From the request's head to the reply's.
    pub duration: Duration,
    /// Bytes of the request's body that were read.
    pub bytes_in: u64,
    /// Bytes of the reply's body.
    pub bytes_out: u64,
    /// `x-ms-request-id`.
    pub request_id: &'a str,
}

thread_local! {
    /// The line being made, and the second whose text `STAMP` holds.
    static LINE: RefCell<Vec<u8>> = RefCell::new(Vec::with_capacity(512));
    static STAMP: RefCell<(u64, [u8; 20])> = const { RefCell::new((u64::MAX, [0; 20])) };
}

pub(crate) fn write(line: &AccessLine<'_>, format: Format, writer: &Writer) {
    LINE.with_borrow_mut(|out| {
        out.clear();
        match format {
            Format::Json => json(line, out),
            Format::Text => text(line, out),
        }
        writer.write_line(out);
    });
}

fn json(line: &AccessLine<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"timestamp\":\"");
    timestamp(out);
    out.extend_from_slice(b"\",\"level\":\"INFO\",\"message\":\"call\",\"method\":\"");
    escaped(line.method, out);
    out.extend_from_slice(b"\",\"route\":\"");
    escaped(line.route, out);
    out.extend_from_slice(b"\",\"status\":");
    number(line.status.into(), out);
    out.extend_from_slice(b",\"duration_us\":");
    number(line.duration.as_micros() as u64, out);
    out.extend_from_slice(b",\"bytes_in\":");
    number(line.bytes_in, out);
    out.extend_from_slice(b",\"bytes_out\":");
    number(line.bytes_out, out);
    for (name, value) in [
        ("endpoint", line.endpoint),
        ("class", line.class),
        ("code", line.code),
        ("request_id", line.request_id),
    ] {
        if !value.is_empty() {
            out.extend_from_slice(b",\"");
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(b"\":\"");
            escaped(value, out);
            out.push(b'"');
        }
    }
    out.extend_from_slice(b"}\n");
}

fn text(line: &AccessLine<'_>, out: &mut Vec<u8>) {
    timestamp(out);
    out.extend_from_slice(b"  INFO call ");
    escaped(line.method, out);
    out.push(b' ');
    escaped(
        if line.route.is_empty() {
            "-"
        } else {
            line.route
        },
        out,
    );
    out.push(b' ');
    number(line.status.into(), out);
    out.push(b' ');
    number(line.duration.as_micros() as u64, out);
    out.extend_from_slice(b"us in=");
    number(line.bytes_in, out);
    out.extend_from_slice(b" out=");
    number(line.bytes_out, out);
    for (name, value) in [
        ("endpoint", line.endpoint),
        ("class", line.class),
        ("code", line.code),
        ("request_id", line.request_id),
    ] {
        if !value.is_empty() {
            out.push(b' ');
            out.extend_from_slice(name.as_bytes());
            out.push(b'=');
            escaped(value, out);
        }
    }
    out.push(b'\n');
}

fn number(value: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// Text as it may stand between quotes of a JSON string; control characters cannot forge a line.
fn escaped(text: &str, out: &mut Vec<u8>) {
    let plain = |b: &u8| *b >= 0x20 && *b != b'"' && *b != b'\\' && *b != 0x7f;
    if text.as_bytes().iter().all(plain) {
        out.extend_from_slice(text.as_bytes());
        return;
    }
    for c in text.chars() {
        match c {
            '"' | '\\' => {
                out.push(b'\\');
                out.push(c as u8);
            }
            c if c.is_control() => {
                // Writing into a Vec does not fail.
                let _ = write!(out, "\\u{:04x}", c as u32);
            }
            c => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
}

/// RFC 3339 in UTC with microseconds; the part up to the second is kept per thread.
pub(crate) fn timestamp(out: &mut Vec<u8>) {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let seconds = now.as_secs();
    STAMP.with_borrow_mut(|(kept, text)| {
        if *kept != seconds {
            let stamp = jiff::Timestamp::from_second(seconds as i64).unwrap_or_default();
            let mut made = [0u8; 20];
            let mut rest = &mut made[..];
            // Years of more than four digits are cut: this clock is then wrong anyway.
            let _ = write!(rest, "{}", stamp.strftime("%Y-%m-%dT%H:%M:%S."));
            *text = made;
            *kept = seconds;
        }
        out.extend_from_slice(text);
    });
    let micros = now.subsec_micros();
    let mut digits = *b"000000Z";
    let mut rest = micros;
    for digit in digits[..6].iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    out.extend_from_slice(&digits);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> AccessLine<'static> {
        AccessLine {
            method: "POST",
            route: "/workspaces/{workspace}/services/{service}/execute",
            endpoint: "cen\"sus\n/default",
            status: 400,
            class: "BadUserArgument",
            code: "InputParseError",
            duration: Duration::from_micros(1234),
            bytes_in: 77,
            bytes_out: 99,
            request_id: "00ff",
        }
    }

    #[test]
    fn a_json_line_is_json_whatever_the_names() {
        let mut out = Vec::new();
        json(&sample(), &mut out);
        let line: serde_json::Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(line["endpoint"], "cen\"sus\n/default");
        assert_eq!(line["status"], 400);
        assert_eq!(line["duration_us"], 1234);
        assert_eq!(line["code"], "InputParseError");
        let stamp = line["timestamp"].as_str().unwrap();
        assert!(stamp.parse::<jiff::Timestamp>().is_ok(), "{stamp}");
    }

    #[test]
    fn a_text_line_is_one_line() {
        let mut out = Vec::new();
        text(&sample(), &mut out);
        let line = String::from_utf8(out).unwrap();
        assert_eq!(line.matches('\n').count(), 1, "{line}");
        assert!(line.contains(" 400 1234us in=77 out=99 "), "{line}");
    }
}
