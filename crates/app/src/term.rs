//! What goes to the terminal: messages, tables, and colours where there is a terminal.

use std::io::{self, IsTerminal as _, Write as _};

fn colours(terminal: bool) -> bool {
    terminal && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty())
}

fn to_stderr(label: &str, colour: &str, text: &str) {
    let mut err = io::stderr().lock();
    // Nothing is left to do when standard error is closed.
    let _ = if colours(io::stderr().is_terminal()) {
        writeln!(err, "\x1b[{colour}m{label}:\x1b[0m {text}")
    } else {
        writeln!(err, "{label}: {text}")
    };
}

/// What went wrong.
pub(crate) fn error(text: &str) {
    to_stderr("error", "1;31", text);
}

/// What to do about it.
pub(crate) fn hint(text: &str) {
    to_stderr("hint", "1;36", &text.replace('\n', " "));
}

/// Anything else that helps.
pub(crate) fn note(label: &str, text: &str) {
    to_stderr(label, "1", text);
}

/// Prints a line on standard output; `false` when nobody reads it any more.
pub(crate) fn line(text: &str) -> bool {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}").and_then(|()| out.flush()).is_ok()
}

/// A heading, bold on a terminal.
pub(crate) fn heading(text: &str) -> String {
    if colours(io::stdout().is_terminal()) {
        format!("\x1b[1m{text}\x1b[0m")
    } else {
        text.to_owned()
    }
}

/// Rows under a heading, in columns as wide as their widest cell.
pub(crate) fn table(header: &[&str], rows: &[Vec<String>]) {
    let mut widths: Vec<usize> = header.iter().map(|h| h.chars().count()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let joined = |cells: Vec<&str>| {
        let mut text = String::new();
        for (i, cell) in cells.iter().enumerate() {
            text.push_str(cell);
            if i + 1 < cells.len() {
                let pad = widths[i].saturating_sub(cell.chars().count()) + 2;
                text.extend(std::iter::repeat_n(' ', pad));
            }
        }
        text
    };
    if !line(&heading(&joined(header.to_vec()))) {
        return;
    }
    for row in rows {
        if !line(&joined(row.iter().map(String::as_str).collect())) {
            return;
        }
    }
}

/// A number of bytes for a reader.
pub(crate) fn bytes(bytes: u64) -> String {
    for (unit, size) in [("GiB", 1u64 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)] {
        if bytes >= size {
            return format!("{:.1} {unit}", bytes as f64 / size as f64);
        }
    }
    format!("{bytes} B")
}

/// A length of time for a reader.
pub(crate) fn seconds(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}min", seconds / 60),
        3600..86_400 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// A count for a reader, its digits in groups of three.
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_have_groups_of_digits() {
        let told: Vec<String> = [7, 999, 1000, 1_234_567].map(count).to_vec();
        assert_eq!(told, ["7", "999", "1,000", "1,234,567"]);
    }
}
