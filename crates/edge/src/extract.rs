//! What handlers read from a request's head: query, path words, credentials, types, language.

use std::borrow::Cow;

use faults::{Fault, Language, bad_argument};
use http::header::{
    ACCEPT_LANGUAGE, AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName,
    HeaderValue,
};

use crate::reply::CLIENT_REQUEST_ID;

static STUDIO_TOKEN: HeaderName = HeaderName::from_static("x-ms-metaanalytics-authorizationtoken");

/// The longest client request id that is echoed, in bytes.
const CLIENT_ID_BYTES: usize = 128;

/// The value of a query parameter: names compare without case, the first of several counts, and
/// what nobody asks for is ignored.
pub(crate) fn query<'q>(query: Option<&'q str>, name: &str) -> Option<Cow<'q, str>> {
    let query = query?;
    query.split('&').find_map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        // Names of ours are written plainly by every client; `$skiptoken` comes as `%24…` too.
        let matches = key.eq_ignore_ascii_case(name)
            || (key.contains(['%', '+']) && decode(key, true).eq_ignore_ascii_case(name));
        matches.then(|| decode(value, true))
    })
}

/// Decodes `%41`; and, in a query, `+` as a blank. Sequences that are not two hexadecimal digits
/// stay as they are, and bytes that are not UTF-8 become replacement characters.
pub(crate) fn decode(text: &str, plus: bool) -> Cow<'_, str> {
    if !text.bytes().any(|b| b == b'%' || (plus && b == b'+')) {
        return Cow::Borrowed(text);
    }
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut i = 0;
    while i < bytes.len() {
        let hex = |at: usize| bytes.get(at).and_then(|b| char::from(*b).to_digit(16));
        match (bytes[i], hex(i + 1), hex(i + 2)) {
            (b'%', Some(high), Some(low)) => {
                out.push((high << 4 | low) as u8);
                i += 3;
            }
            (b'+', ..) if plus => {
                out.push(b' ');
                i += 1;
            }
            (byte, ..) => {
                out.push(byte);
                i += 1;
            }
        }
    }
    Cow::Owned(String::from_utf8_lossy(&out).into_owned())
}

/// Percent-encodes a value of a query.
pub(crate) fn encode(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// A time as RFC 3339.
pub(crate) fn rfc3339(time: std::time::SystemTime) -> String {
    jiff::Timestamp::try_from(time)
        .unwrap_or_default()
        .to_string()
}

/// A day since 1970-01-01 UTC as a date: `2026-11-30`.
pub(crate) fn date(day: i64) -> String {
    begin_of_day(day)
        .split_once('T')
        .map(|(date, _)| date.to_owned())
        .unwrap_or_default()
}

/// The begin of a day since 1970-01-01 UTC as RFC 3339.
pub(crate) fn begin_of_day(day: i64) -> String {
    jiff::Timestamp::from_second(day.saturating_mul(24 * 60 * 60))
        .unwrap_or_default()
        .to_string()
}

/// Reads a date of the form `2026-11-30` as a day since 1970-01-01 UTC.
pub(crate) fn day_of_date(text: &str) -> Option<i64> {
    // Exactly ten characters, so that nothing else can follow the date.
    if text.len() != 10 {
        return None;
    }
    let begin: jiff::Timestamp = format!("{text}T00:00:00Z").parse().ok()?;
    Some(store::day_of(begin))
}

/// Checks `api-version` against the versions that an operation takes; `required` says whether it
/// may be absent.
pub(crate) fn api_version<'v>(
    given: Option<&str>,
    accepted: &[&'v str],
    required: bool,
) -> Result<Option<&'v str>, Fault> {
    let Some(given) = given else {
        return match required {
            true => Err(bad_argument::bad_version_call("(none)")),
            false => Ok(None),
        };
    };
    accepted
        .iter()
        .find(|version| version.eq_ignore_ascii_case(given))
        .map(|version| Some(*version))
        .ok_or_else(|| bad_argument::bad_version_call(shortened(given)))
}

/// A boolean query parameter.
pub(crate) fn boolean(given: Option<&str>, name: &str) -> Result<Option<bool>, Fault> {
    match given {
        None => Ok(None),
        Some(v) if v.eq_ignore_ascii_case("true") => Ok(Some(true)),
        Some(v) if v.eq_ignore_ascii_case("false") => Ok(Some(false)),
        Some(v) => Err(bad_argument::invalid_query_parameter(
            name,
            format!("'{}' is not one of: true, false.", shortened(v)),
        )),
    }
}

/// A caller's text as a parameter of a fault: at most 64 characters of it.
pub(crate) fn shortened(text: &str) -> String {
    shortened_to(text, 64)
}

/// At most `most` characters of a caller's text.
pub(crate) fn shortened_to(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}

/// The token of `Authorization: Bearer TOKEN`: the scheme in any case, any blanks between. A header
/// of another shape is no credential.
pub(crate) fn credential(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?.trim();
    let (scheme, token) = value.split_once([' ', '\t'])?;
    let token = token.trim_start();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

/// The workspace token of the Studio API, `x-ms-metaanalytics-authorizationtoken`, which some
/// clients send on every management call.
pub(crate) fn studio_token(headers: &HeaderMap) -> Option<&str> {
    let token = text(headers, &STUDIO_TOKEN)?.trim();
    (!token.is_empty()).then_some(token)
}

/// The language of failures, by `Accept-Language`.
pub(crate) fn language(headers: &HeaderMap) -> Language {
    Language::negotiate(text(headers, &ACCEPT_LANGUAGE))
}

/// A header's value, where it is one and visible ASCII.
pub(crate) fn text<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()
}

/// `x-ms-client-request-id` as it may be echoed: bounded, and visible ASCII only.
pub(crate) fn client_request_id(headers: &HeaderMap) -> Option<&HeaderValue> {
    let value = headers.get(&CLIENT_REQUEST_ID)?;
    let bytes = value.as_bytes();
    let fits = !bytes.is_empty() && bytes.len() <= CLIENT_ID_BYTES;
    (fits && bytes.iter().all(u8::is_ascii_graphic)).then_some(value)
}

/// Refuses a body that is not JSON by its own account.
///
/// Clients of old send `text/json`, no type at all, curl's default form type, and
/// `Content-Encoding: UTF-8`; these are taken. A charset is not looked at: what is not UTF-8 does
/// not parse. A real encoding (gzip) or a type of another kind is `RequestBodyInvalid`.
pub(crate) fn check_json_headers(headers: &HeaderMap) -> Result<(), Fault> {
    if let Some(encoding) = headers.get(CONTENT_ENCODING) {
        let encoding = encoding.as_bytes().trim_ascii();
        let harmless = ["", "identity", "utf-8", "utf8"];
        if !harmless
            .iter()
            .any(|name| encoding.eq_ignore_ascii_case(name.as_bytes()))
        {
            return Err(bad_argument::request_body_invalid()
                .because("the content encoding is not one that is decoded here"));
        }
    }
    let Some(kind) = headers.get(CONTENT_TYPE) else {
        return Ok(());
    };
    let kind = kind.as_bytes();
    let kind = kind
        .split(|b| *b == b';')
        .next()
        .unwrap_or(kind)
        .trim_ascii();
    if kind.eq_ignore_ascii_case(b"application/json") {
        return Ok(());
    }
    let lower = kind.to_ascii_lowercase();
    let taken = lower.is_empty()
        || lower.ends_with(b"/json")
        || lower.ends_with(b"+json")
        || matches!(
            &lower[..],
            b"text/plain" | b"application/x-www-form-urlencoded" | b"application/octet-stream"
        );
    if taken {
        Ok(())
    } else {
        Err(bad_argument::request_body_invalid().because("the content type is not JSON"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: HeaderName, value: &str) -> HeaderMap {
        let mut map = HeaderMap::new();
        map.insert(name, HeaderValue::from_str(value).unwrap());
        map
    }

    #[test]
    fn query_names_compare_without_case_and_the_first_counts() {
        let q = Some("API-Version=2.0&details=TRUE&details=false&x&%24skiptoken=a%20b+c&bad=%zz");
        assert_eq!(query(q, "api-version").as_deref(), Some("2.0"));
        assert_eq!(query(q, "details").as_deref(), Some("TRUE"));
        assert_eq!(query(q, "x").as_deref(), Some(""));
        assert_eq!(query(q, "$skiptoken").as_deref(), Some("a b c"));
        assert_eq!(query(q, "bad").as_deref(), Some("%zz"));
        assert_eq!(query(q, "absent"), None);
        assert_eq!(query(None, "api-version"), None);
    }

    #[test]
    fn dates_are_read_and_written() {
        for text in ["1970-01-01", "2026-11-28", "2024-02-29", "1969-12-31"] {
            assert_eq!(day_of_date(text).map(date).as_deref(), Some(text));
        }
        assert_eq!(day_of_date("1970-01-02"), Some(1));
        assert_eq!(begin_of_day(1), "1970-01-02T00:00:00Z");
        for wrong in [
            "",
            "2026-13-01",
            "2026-02-30",
            "26-11-28",
            "2026-11-28T",
            "éééééé",
        ] {
            assert_eq!(day_of_date(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_version_is_checked_and_named() {
        assert_eq!(api_version(Some("2.0"), &["2.0"], true), Ok(Some("2.0")));
        assert_eq!(api_version(None, &["2.0"], false), Ok(None));
        for (given, shown) in [(None, "(none)"), (Some("3.0"), "3.0"), (Some(""), "")] {
            let fault = api_version(given, &["2.0"], true).unwrap_err();
            assert!(fault.is(&faults::rows::BadArgument::BadVersionCall));
            assert_eq!(fault.details()[0].args, [shown]);
        }
    }

    #[test]
    fn a_boolean_is_true_or_false_in_any_case() {
        assert_eq!(boolean(Some("True"), "details"), Ok(Some(true)));
        assert_eq!(boolean(Some("FALSE"), "details"), Ok(Some(false)));
        for wrong in ["maybe", "", "1"] {
            let fault = boolean(Some(wrong), "details").unwrap_err();
            assert!(fault.is(&faults::rows::BadArgument::InvalidQueryParameter));
            assert_eq!(fault.details()[0].args[0], "details");
        }
    }

    #[test]
    fn bearer_is_taken_in_any_case_with_any_blanks() {
        for value in ["Bearer k==", "bearer k==", "BEARER  k==", " Bearer \t k== "] {
            assert_eq!(
                credential(&headers(AUTHORIZATION, value)),
                Some("k=="),
                "{value}"
            );
        }
        for value in ["Basic k==", "Bearer", "Bearer  ", "k==", "Bearerk=="] {
            assert_eq!(credential(&headers(AUTHORIZATION, value)), None, "{value}");
        }
        assert_eq!(credential(&HeaderMap::new()), None);
    }

    #[test]
    fn json_is_taken_under_the_names_that_clients_use() {
        for kind in [
            "application/json",
            "text/json",
            "Application/JSON; charset=us-ascii",
            "application/json;charset=UTF-8",
            "application/vnd.api+json",
            "application/x-www-form-urlencoded",
            "",
        ] {
            assert!(
                check_json_headers(&headers(CONTENT_TYPE, kind)).is_ok(),
                "{kind}"
            );
        }
        for kind in [
            "application/xml",
            "text/csv",
            "multipart/form-data; boundary=x",
        ] {
            assert!(
                check_json_headers(&headers(CONTENT_TYPE, kind)).is_err(),
                "{kind}"
            );
        }
        for encoding in ["UTF-8", "identity", "utf8"] {
            assert!(check_json_headers(&headers(CONTENT_ENCODING, encoding)).is_ok());
        }
        for encoding in ["gzip", "deflate", "br", "gzip, UTF-8"] {
            assert!(check_json_headers(&headers(CONTENT_ENCODING, encoding)).is_err());
        }
        assert!(check_json_headers(&HeaderMap::new()).is_ok());
    }

    #[test]
    fn only_a_short_visible_client_id_is_echoed() {
        let name = || CLIENT_REQUEST_ID.clone();
        assert!(client_request_id(&headers(name(), "abc-1")).is_some());
        assert!(client_request_id(&headers(name(), "a b")).is_none());
        assert!(client_request_id(&headers(name(), "")).is_none());
        assert!(client_request_id(&headers(name(), &"x".repeat(129))).is_none());
    }

    #[test]
    fn a_callers_text_is_cut_at_a_character() {
        assert_eq!(shortened("short"), "short");
        assert_eq!(shortened(&"ä".repeat(70)).chars().count(), 65);
    }
}
