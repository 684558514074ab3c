//! The kinds of values that settings have: how each is written, read and shown.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// A kind of value. What is read from a file, the environment or a flag goes through the same
/// text form, so that a setting means the same wherever it is set.
pub(crate) trait Value: Sized {
    /// Reads the text form; the error says what would be right.
    fn read(text: &str) -> Result<Self, String>;
    /// The text form that a TOML file would have.
    fn show(&self) -> String;
}

fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

impl Value for bool {
    fn read(text: &str) -> Result<Self, String> {
        match text.to_ascii_lowercase().as_str() {
            "true" | "yes" | "on" | "1" => Ok(true),
            "false" | "no" | "off" | "0" => Ok(false),
            _ => Err(format!("\"{text}\" is not one of: true, false")),
        }
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

impl Value for usize {
    fn read(text: &str) -> Result<Self, String> {
        text.replace('_', "")
            .parse()
            .map_err(|_| format!("\"{text}\" is not a whole number"))
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

impl Value for String {
    fn read(text: &str) -> Result<Self, String> {
        Ok(text.to_owned())
    }

    fn show(&self) -> String {
        quoted(self)
    }
}

impl Value for PathBuf {
    fn read(text: &str) -> Result<Self, String> {
        match text {
            "" => Err("a path is empty".to_owned()),
            text => Ok(text.into()),
        }
    }

    fn show(&self) -> String {
        quoted(&self.to_string_lossy())
    }
}

/// A value that may be absent; the empty text is the absent one.
impl<T: Value> Value for Option<T> {
    fn read(text: &str) -> Result<Self, String> {
        match text {
            "" => Ok(None),
            text => T::read(text).map(Some),
        }
    }

    fn show(&self) -> String {
        self.as_ref().map_or_else(|| quoted(""), T::show)
    }
}

/// A list, separated by commas in its text form.
impl<T: Value> Value for Vec<T> {
    fn read(text: &str) -> Result<Self, String> {
        text.split(',')
            .map(str::trim)
            .filter(|item| !item.is_empty())
            .map(T::read)
            .collect()
    }

    fn show(&self) -> String {
        let items: Vec<String> = self.iter().map(T::show).collect();
        format!("[{}]", items.join(", "))
    }
}

impl Value for outbound::Entry {
    fn read(text: &str) -> Result<Self, String> {
        text.parse()
    }

    fn show(&self) -> String {
        quoted(&self.to_string())
    }
}

impl Value for storage::Root {
    fn read(text: &str) -> Result<Self, String> {
        text.parse()
    }

    fn show(&self) -> String {
        quoted(&self.to_string())
    }
}

impl Value for manage::Grant {
    fn read(text: &str) -> Result<Self, String> {
        text.parse()
    }

    fn show(&self) -> String {
        quoted(&self.to_string())
    }
}

impl Value for edge::AddressRange {
    fn read(text: &str) -> Result<Self, String> {
        text.parse()
    }

    fn show(&self) -> String {
        quoted(&self.to_string())
    }
}

/// The start of a URL: scheme and host, perhaps a path; without a slash at the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BaseUrl(pub(crate) String);

impl Value for BaseUrl {
    fn read(text: &str) -> Result<Self, String> {
        let rest = text
            .strip_prefix("http://")
            .or_else(|| text.strip_prefix("https://"))
            .filter(|rest| !rest.is_empty() && !rest.starts_with('/'));
        match rest {
            Some(rest) if !rest.contains(['?', '#', ' ', '"', '\\', '<', '>']) => {
                Ok(BaseUrl(text.trim_end_matches('/').to_owned()))
            }
            _ => Err(format!(
                "\"{text}\" is not the start of a URL such as https://ml.example.com"
            )),
        }
    }

    fn show(&self) -> String {
        quoted(&self.0)
    }
}

/// Where pages come from: `https://app.example.com`, or `*` for anywhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OriginPattern(pub(crate) String);

impl Value for OriginPattern {
    fn read(text: &str) -> Result<Self, String> {
        let is_origin = || BaseUrl::read(text).is_ok_and(|url| url.0.matches('/').count() == 2);
        if text == "*" || is_origin() {
            Ok(OriginPattern(text.trim_end_matches('/').to_owned()))
        } else {
            Err(format!(
                "\"{text}\" is not an origin such as https://app.example.com, or *"
            ))
        }
    }

    fn show(&self) -> String {
        quoted(&self.0)
    }
}

/// A length of time: `250ms`, `15s`, `10min`, `2h`, `30d`; or parts of several, `1min30s`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span(pub(crate) Duration);

impl Value for Span {
    fn read(text: &str) -> Result<Self, String> {
        let wrong = || format!("\"{text}\" is not a time such as 250ms, 15s, 10min, 2h or 30d");
        let mut rest = text.trim();
        if rest.is_empty() {
            return Err(wrong());
        }
        let mut total = Duration::ZERO;
        while !rest.is_empty() {
            let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
            let number: u32 = rest[..digits].parse().map_err(|_| wrong())?;
            let unit_end = rest[digits..]
                .find(|c: char| c.is_ascii_digit())
                .map_or(rest.len(), |end| digits + end);
            let unit = match rest[digits..unit_end].trim() {
                "ms" => Duration::from_millis(1),
                "s" => Duration::from_secs(1),
                "min" | "m" => Duration::from_secs(60),
                "h" => Duration::from_secs(3600),
                "d" => Duration::from_secs(86_400),
                _ => return Err(wrong()),
            };
            total = unit
                .checked_mul(number)
                .and_then(|part| total.checked_add(part))
                .ok_or_else(wrong)?;
            rest = rest[unit_end..].trim_start();
        }
        Ok(Span(total))
    }

    fn show(&self) -> String {
        quoted(&self.to_string())
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = self.0.as_millis();
        match ms {
            0 => f.write_str("0s"),
            ms if ms.is_multiple_of(86_400_000) => write!(f, "{}d", ms / 86_400_000),
            ms if ms.is_multiple_of(3_600_000) => write!(f, "{}h", ms / 3_600_000),
            ms if ms.is_multiple_of(60_000) => write!(f, "{}min", ms / 60_000),
            ms if ms.is_multiple_of(1000) => write!(f, "{}s", ms / 1000),
            ms => write!(f, "{ms}ms"),
        }
    }
}

/// A number of bytes: `512`, `64KiB`, `16MiB`, `2GiB` (`KB`, `MB`, `GB` are powers of ten).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Size(pub(crate) u64);

const UNITS: [(&str, u64); 9] = [
    ("gib", 1 << 30),
    ("mib", 1 << 20),
    ("kib", 1 << 10),
    ("gb", 1_000_000_000),
    ("mb", 1_000_000),
    ("kb", 1_000),
    ("b", 1),
    ("", 1),
    ("tib", 1 << 40),
];

impl Value for Size {
    fn read(text: &str) -> Result<Self, String> {
        let wrong = || format!("\"{text}\" is not a size such as 64KiB, 16MiB or 2GiB");
        let lower = text.trim().to_ascii_lowercase().replace('_', "");
        let digits = lower
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(lower.len());
        let number: u64 = lower[..digits].parse().map_err(|_| wrong())?;
        let unit = lower[digits..].trim();
        UNITS
            .iter()
            .find(|(name, _)| *name == unit)
            .and_then(|(_, factor)| number.checked_mul(*factor))
            .map(Size)
            .ok_or_else(wrong)
    }

    fn show(&self) -> String {
        quoted(&self.to_string())
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, factor) in [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1u64 << 10)] {
            if self.0 >= factor && self.0.is_multiple_of(factor) {
                return write!(f, "{}{name}", self.0 / factor);
            }
        }
        write!(f, "{}", self.0)
    }
}

/// A setting that is one of a few words.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$word_doc:meta])* $word:ident = $text:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum $name { $($(#[$word_doc])* $word),+ }

        impl Value for $name {
            fn read(text: &str) -> Result<Self, String> {
                $(if text.eq_ignore_ascii_case($text) { return Ok($name::$word); })+
                Err(format!("\"{text}\" is not one of: {}", [$($text),+].join(", ")))
            }

            fn show(&self) -> String {
                quoted(match self { $($name::$word => $text),+ })
            }
        }
    };
}

words! {
    /// The form of log lines.
    LogFormat {
        /// Text on a terminal, else JSON.
        Auto = "auto",
        /// For a reader.
        Text = "text",
        /// One JSON object a line.
        Json = "json",
    }
}

words! {
    /// The least level that is logged.
    LogLevel {
        /// Failures of ours.
        Error = "error",
        /// What may need attention.
        Warn = "warn",
        /// What happens.
        Info = "info",
        /// How it happens.
        Debug = "debug",
    }
}

words! {
    /// Whether containers are put into control groups.
    Cgroups {
        /// Where they can be written.
        Auto = "auto",
        /// Never; quotas hold by resource limits alone.
        Off = "off",
    }
}

words! {
    /// TLS.
    TlsMode {
        /// Plain HTTP, or the certificate of `tls.cert` where it is set.
        Files = "files",
        /// A certificate made at start, for development.
        SelfSigned = "self-signed",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_and_shown() {
        for (text, ms, shown) in [
            ("250ms", 250, "250ms"),
            ("15s", 15_000, "15s"),
            ("10min", 600_000, "10min"),
            ("2h", 7_200_000, "2h"),
            ("1min30s", 90_000, "90s"),
            ("1h 30min", 5_400_000, "90min"),
            ("0s", 0, "0s"),
            ("400d", 34_560_000_000, "400d"),
            ("36h", 129_600_000, "36h"),
        ] {
            let span = Span::read(text).unwrap();
            assert_eq!(span.0.as_millis(), ms, "{text}");
            assert_eq!(span.to_string(), shown);
        }
        for wrong in ["", "15", "s", "-1s", "1.5s", "99999999999s", "4294967295h5"] {
            assert!(Span::read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn sizes_are_read_and_shown() {
        for (text, bytes, shown) in [
            ("512", 512, "512"),
            ("64KiB", 65_536, "64KiB"),
            ("16mib", 16 << 20, "16MiB"),
            ("1 GB", 1_000_000_000, "1000000000"),
            ("1024MiB", 1 << 30, "1GiB"),
            ("0", 0, "0"),
        ] {
            let size = Size::read(text).unwrap();
            assert_eq!(size.0, bytes, "{text}");
            assert_eq!(size.to_string(), shown);
        }
        for wrong in ["", "MiB", "-1", "1.5MiB", "5XB", "99999999999GiB", "plenty"] {
            assert!(Size::read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn urls_and_origins() {
        for right in ["http://h", "https://ml.example.com:8443/base"] {
            assert_eq!(BaseUrl::read(right), Ok(BaseUrl(right.to_owned())));
        }
        assert_eq!(BaseUrl::read("https://h/").unwrap().0, "https://h");
        for wrong in [
            "h",
            "ftp://h",
            "http://",
            "https:///x",
            "http://h?x",
            "http://a b",
        ] {
            assert!(BaseUrl::read(wrong).is_err(), "{wrong}");
        }
        for right in ["*", "https://app.example.com", "http://localhost:3000"] {
            assert!(OriginPattern::read(right).is_ok(), "{right}");
        }
        for wrong in ["app.example.com", "https://a/b", "**"] {
            assert!(OriginPattern::read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn lists_words_and_absent_values() {
        assert_eq!(
            Vec::<String>::read("a, b,,").unwrap(),
            ["a".to_owned(), "b".to_owned()]
        );
        assert_eq!(Option::<Size>::read("").unwrap(), None);
        assert_eq!(LogFormat::read("JSON"), Ok(LogFormat::Json));
        let error = LogLevel::read("loud").unwrap_err();
        assert!(error.contains("error, warn, info, debug"), "{error}");
    }
}
