//! Conditions in the headers of a request, and a blob's properties in those of a reply.

use http::HeaderMap;
use http::header::{
    CONTENT_DISPOSITION, CONTENT_SECURITY_POLICY, ETAG, HeaderName, HeaderValue, IF_MATCH,
    IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_UNMODIFIED_SINCE, LAST_MODIFIED, X_CONTENT_TYPE_OPTIONS,
};
use jiff::Timestamp;
use jiff::fmt::rfc2822;
use store::{BlobInfo, Condition};

use super::Refusal;
use crate::extract;

static BLOB_TYPE: HeaderName = HeaderName::from_static("x-ms-blob-type");
static CREATED: HeaderName = HeaderName::from_static("x-ms-creation-time");

/// The conditions of a request.
pub(super) struct Conditions {
    /// Those about the ETag, and whether there is a blob at all.
    pub(super) of_etag: Condition,
    modified_since: Option<Timestamp>,
    unmodified_since: Option<Timestamp>,
}

impl Conditions {
    /// Reads them. What is no date or ETag is refused, so that nobody's condition is passed over.
    pub(super) fn of(headers: &HeaderMap) -> Result<Conditions, Refusal> {
        let text = |name: &HeaderName| -> Result<Option<&str>, Refusal> {
            match headers.contains_key(name) {
                true => extract::text(headers, name)
                    .map(|text| Some(text.trim()))
                    .ok_or_else(|| invalid(name)),
                false => Ok(None),
            }
        };
        let date = |name: HeaderName| -> Result<Option<Timestamp>, Refusal> {
            text(&name)?
                .map(|text| parse_date(text).ok_or_else(|| invalid(&name)))
                .transpose()
        };
        let etag = |name: HeaderName| -> Result<Option<String>, Refusal> {
            text(&name)?
                .map(|text| parse_etag(text).ok_or_else(|| invalid(&name)))
                .transpose()
        };
        let (same, other) = (etag(IF_MATCH)?, etag(IF_NONE_MATCH)?);
        let any = |etag: &Option<String>| etag.as_deref() == Some("*");
        Ok(Conditions {
            of_etag: Condition {
                present: any(&same),
                absent: any(&other),
                etag: same.filter(|etag| etag != "*"),
                other_than: other.filter(|etag| etag != "*"),
            },
            modified_since: date(IF_MODIFIED_SINCE)?,
            unmodified_since: date(IF_UNMODIFIED_SINCE)?,
        })
    }

    /// Whether a blob was not changed as the reader wants it to be: he has it already.
    pub(super) fn is_known(&self, blob: &BlobInfo) -> bool {
        let etag = &self.of_etag;
        etag.absent
            || etag.other_than.as_deref() == Some(&blob.etag)
            || (etag.other_than.is_none() && self.unchanged_since(blob))
    }

    /// Whether what the reader has seen is still there.
    pub(super) fn check_read(&self, blob: &BlobInfo) -> Result<(), Refusal> {
        let etag = &self.of_etag;
        let changed = etag.etag.as_deref().is_some_and(|want| want != blob.etag)
            || (etag.etag.is_none() && self.changed_since(blob));
        match changed {
            true => Err(Refusal::condition()),
            false => Ok(()),
        }
    }

    /// Whether a blob may be written over or deleted, as it is before that is tried.
    pub(super) fn check_write(&self, blob: Option<&BlobInfo>) -> Result<(), Refusal> {
        self.of_etag.check(blob)?;
        let refused = blob.is_some_and(|b| self.unchanged_since(b) || self.changed_since(b));
        match refused {
            true => Err(Refusal::condition()),
            false => Ok(()),
        }
    }

    fn unchanged_since(&self, blob: &BlobInfo) -> bool {
        self.modified_since
            .is_some_and(|since| blob.modified.as_second() <= since.as_second())
    }

    fn changed_since(&self, blob: &BlobInfo) -> bool {
        self.unmodified_since
            .is_some_and(|since| blob.modified.as_second() > since.as_second())
    }
}

fn invalid(name: &HeaderName) -> Refusal {
    Refusal::bad("InvalidHeaderValue", format!("{name} cannot be read."))
}

fn parse_date(text: &str) -> Option<Timestamp> {
    rfc2822::DateTimeParser::new().parse_timestamp(text).ok()
}

/// An ETag without quotes; `*` as it is. Lists are not taken.
fn parse_etag(text: &str) -> Option<String> {
    let bare = text.strip_prefix('"').and_then(|t| t.strip_suffix('"'));
    let bare = bare.unwrap_or(text);
    let fits = !bare.is_empty() && !bare.contains(['"', ',']);
    fits.then(|| bare.to_owned())
}

/// A time as HTTP has it.
fn http_date(time: Timestamp) -> Option<HeaderValue> {
    let text = rfc2822::DateTimePrinter::new()
        .timestamp_to_rfc9110_string(&time)
        .ok()?;
    HeaderValue::from_str(&text).ok()
}

/// Puts a blob's ETag and time of change into the headers of a reply.
pub(super) fn state(headers: &mut HeaderMap, blob: &BlobInfo) {
    if let Ok(etag) = HeaderValue::from_str(&format!("\"{}\"", blob.etag)) {
        headers.insert(ETAG, etag);
    }
    if let Some(date) = http_date(blob.modified) {
        headers.insert(LAST_MODIFIED, date);
    }
}

/// Puts all that is known of a blob into the headers of a reply that brings it, and what keeps a
/// browser from taking it for a page of ours.
pub(super) fn properties(headers: &mut HeaderMap, blob: &BlobInfo) {
    state(headers, blob);
    if let Some(date) = http_date(blob.created) {
        headers.insert(CREATED.clone(), date);
    }
    headers.insert(BLOB_TYPE.clone(), HeaderValue::from_static("BlockBlob"));
    for (name, value) in [
        ("accept-ranges", "bytes"),
        ("cache-control", "private, no-store"),
        ("x-ms-lease-status", "unlocked"),
        ("x-ms-lease-state", "available"),
    ] {
        headers.insert(
            HeaderName::from_static(name),
            HeaderValue::from_static(value),
        );
    }
    headers.insert(CONTENT_DISPOSITION, HeaderValue::from_static("attachment"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(
        CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("sandbox; default-src 'none'"),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blob() -> BlobInfo {
        let time = "2026-11-28T06:00:00.5Z".parse().unwrap();
        BlobInfo {
            name: "a".into(),
            size: 3,
            content_type: "text/csv".into(),
            etag: "0x1".into(),
            created: time,
            modified: time,
        }
    }

    fn of(pairs: &[(HeaderName, &str)]) -> Result<Conditions, Refusal> {
        let pairs = pairs.iter();
        let headers = pairs.map(|(n, v)| (n.clone(), HeaderValue::from_str(v).unwrap()));
        Conditions::of(&headers.collect())
    }

    #[test]
    fn a_time_is_as_exact_as_its_header() {
        let mut headers = HeaderMap::new();
        state(&mut headers, &blob());
        assert_eq!(headers[LAST_MODIFIED], "Sat, 28 Nov 2026 06:00:00 GMT");
        assert_eq!(headers[ETAG], "\"0x1\"");
        let date = "Sat, 28 Nov 2026 06:00:00 GMT";
        assert!(
            of(&[(IF_MODIFIED_SINCE, date)])
                .ok()
                .unwrap()
                .is_known(&blob())
        );
        let before = "Sat, 28 Nov 2026 05:59:59 GMT";
        assert!(
            !of(&[(IF_MODIFIED_SINCE, before)])
                .ok()
                .unwrap()
                .is_known(&blob())
        );
        let unmodified = |date| of(&[(IF_UNMODIFIED_SINCE, date)]).ok().unwrap();
        assert!(unmodified(date).check_read(&blob()).is_ok());
        assert!(unmodified(before).check_read(&blob()).is_err());
        assert!(unmodified(before).check_write(Some(&blob())).is_err());
        assert!(unmodified(before).check_write(None).is_ok());
    }

    #[test]
    fn etags_are_taken_with_and_without_quotes_and_nothing_else() {
        for same in ["\"0x1\"", "0x1", "*"] {
            let conditions = of(&[(IF_MATCH, same)]).ok().unwrap();
            assert!(conditions.check_read(&blob()).is_ok());
            assert!(conditions.check_write(Some(&blob())).is_ok());
            assert!(conditions.check_write(None).is_err());
            let conditions = of(&[(IF_NONE_MATCH, same)]).ok().unwrap();
            assert!(conditions.is_known(&blob()));
            assert!(conditions.check_write(Some(&blob())).is_err());
            assert!(conditions.check_write(None).is_ok());
        }
        for bad in ["", "\"a\", \"b\"", "\""] {
            assert!(of(&[(IF_MATCH, bad)]).is_err(), "{bad}");
        }
        assert!(of(&[(IF_MODIFIED_SINCE, "yesterday")]).is_err());
    }
}
