//! Percent signs of URLs.

/// Decodes `%41`. `None` for what is no UTF-8 then; a `%` that begins nothing stays.
pub(crate) fn decoded(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let hex = |i: usize| after.get(i).and_then(|b| char::from(*b).to_digit(16));
        match (byte, hex(0), hex(1)) {
            (b'%', Some(high), Some(low)) => {
                out.push((high << 4 | low) as u8);
                rest = after.get(2..).unwrap_or_default();
            }
            _ => {
                out.push(byte);
                rest = after;
            }
        }
    }
    String::from_utf8(out).ok()
}

/// A name as it stands in the path of a URL; slashes stay.
pub(crate) fn encoded_path(name: &str) -> String {
    encoded(name, b"-._~/!$'()*,;:@")
}

/// A value as it stands in a query.
pub(crate) fn encoded_query(value: &str) -> String {
    encoded(value, b"-._~")
}

fn encoded(text: &str, kept: &[u8]) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || kept.contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_back() {
        for name in ["a b/ü%.csv", "plain/x.csv", "a+b&c=d", ""] {
            assert_eq!(decoded(&encoded_path(name)).unwrap(), name);
            assert_eq!(decoded(&encoded_query(name)).unwrap(), name);
        }
        assert_eq!(encoded_path("a b/ü"), "a%20b/%C3%BC");
        assert_eq!(encoded_query("a/b=+"), "a%2Fb%3D%2B");
        assert_eq!(decoded("100%"), Some("100%".to_owned()));
        assert_eq!(decoded("%ff"), None);
    }
}
