//! References to blobs as the classic API gives them: a base, a relative location and a signature.

use faults::{Fault, bad_argument};
use storage::{MODEL_EXTENSIONS, base_is_good, signature_is_good, split_location};
use store::Sha256;

use crate::location::SCHEME;

/// The path of this installation's own blobs below its URL.
const OWN_BLOBS: &str = "/umpire/v1/blobs/";

/// A blob somewhere.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Reference {
    /// `BaseLocation`: scheme and host, with a `/` at its end as a rule.
    pub(crate) base: String,
    /// `RelativeLocation`: blob container and blob.
    pub(crate) relative: String,
    /// `SasBlobToken`: a query that lets it be read. A secret.
    pub(crate) signature: String,
}

impl std::fmt::Debug for Reference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Reference").field(&self.shown()).finish()
    }
}

/// Where a checked reference leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// To a blob that was put into this installation.
    Stored(Sha256),
    /// To another server.
    Elsewhere,
}

impl Reference {
    /// The blob as it may be shown: without the signature.
    pub(crate) fn shown(&self) -> String {
        without_query(&self.url()).to_owned()
    }

    /// Base and relative location joined, without the signature.
    pub(crate) fn url(&self) -> String {
        if self.relative.is_empty() || self.base.is_empty() || is_hash_scheme(&self.base) {
            return format!("{}{}", self.base, self.relative);
        }
        format!(
            "{}/{}",
            self.base.trim_end_matches('/'),
            self.relative.trim_start_matches('/')
        )
    }

    /// A URL taken apart as [`Reference`]s are.
    pub(crate) fn parts_of(url: &str) -> (String, String) {
        let url = without_query(url);
        if is_hash_scheme(url) {
            let (base, relative) = url.split_at(SCHEME.len());
            return (base.to_owned(), relative.to_owned());
        }
        let host = url.find("://").map(|at| at + 3);
        let slash = host.and_then(|host| Some(host + url.get(host..)?.find('/')? + 1));
        let (base, relative) = url.split_at(slash.unwrap_or(url.len()));
        (base.to_owned(), relative.to_owned())
    }

    /// Says what is wrong with a reference to a model or transform, as far as can be told without
    /// asking for it. `own_url` is how this installation is reached.
    ///
    /// # Errors
    /// In this order: `BadArgument.MissingInputBlobInformation` when all is blank;
    /// `BadArgument.InvalidBlob` for a base that is no URL, or has a query, and for a signature
    /// that is none; `BadArgument.InputBlobRelativeLocationInvalid` without a relative location;
    /// `BadArgument.ContainerIsEmpty`, `BadArgument.ContainerSegmentInvalid` for its first
    /// segment; `BadArgument.InputBlobRelativeLocationInvalid` without a second one;
    /// `BadArgument.InvalidBlobExtension`.
    pub(crate) fn check(&self, own_url: &str) -> Result<Place, Fault> {
        if self.base.is_empty() && self.relative.is_empty() && self.signature.is_empty() {
            return Err(bad_argument::missing_input_blob_information());
        }
        let invalid = |why: &str| bad_argument::invalid_blob(self.shown()).because(why);
        let no_blob = bad_argument::input_blob_relative_location_invalid;
        if is_hash_scheme(&self.base) {
            let rest = self.base.get(SCHEME.len()..).unwrap_or_default();
            let name = format!("{rest}{}", self.relative);
            if name.is_empty() {
                return Err(no_blob());
            }
            return Ok(Place::Stored(self.stored(&name)?));
        }
        if !base_is_good(&self.base) {
            return Err(invalid("the base is no http or https URL of a host"));
        }
        if !signature_is_good(&self.signature) {
            return Err(invalid("the signature is no query"));
        }
        if self.relative.is_empty() {
            return Err(no_blob());
        }
        if self.relative.contains(['?', '#', '\\']) || self.relative.contains(char::is_control) {
            return Err(invalid("the relative location is no path"));
        }
        let own = format!("{}{OWN_BLOBS}", own_url.trim_end_matches('/'));
        let url = self.url();
        if let Some(head) = url.get(..own.len())
            && head.eq_ignore_ascii_case(&own)
        {
            let name = url.get(own.len()..).unwrap_or_default();
            return Ok(Place::Stored(self.stored(name)?));
        }
        let (_, blob) = split_location(&self.relative)?;
        if blob.is_empty() {
            return Err(no_blob());
        }
        if blob.split('/').any(|part| part == "." || part == "..") {
            return Err(invalid("the relative location leaves its place"));
        }
        self.check_extension(blob)?;
        Ok(Place::Elsewhere)
    }

    /// The name of a blob of ours: its hash, with or without an extension.
    fn stored(&self, name: &str) -> Result<Sha256, Fault> {
        let (digits, extension) = match name.find('.') {
            Some(dot) => name.split_at(dot),
            None => (name, ""),
        };
        if !extension.is_empty() {
            self.check_extension(extension)?;
        }
        Sha256::parse(digits).ok_or_else(|| {
            bad_argument::invalid_blob(self.shown()).because("the blob's name is no SHA-256")
        })
    }

    fn check_extension(&self, name: &str) -> Result<(), Fault> {
        let lower = name.to_ascii_lowercase();
        match MODEL_EXTENSIONS
            .iter()
            .any(|extension| lower.ends_with(extension))
        {
            true => Ok(()),
            false => Err(bad_argument::invalid_blob_extension(
                self.shown(),
                MODEL_EXTENSIONS.join(", "),
            )),
        }
    }
}

fn without_query(url: &str) -> &str {
    url.split(['?', '#']).next().unwrap_or_default()
}

fn is_hash_scheme(text: &str) -> bool {
    text.get(..SCHEME.len())
        .is_some_and(|head| head.eq_ignore_ascii_case(SCHEME))
}

#[cfg(test)]
mod tests {
    use super::*;
    use faults::rows::BadArgument as Row;

    fn reference(base: &str, relative: &str, signature: &str) -> Reference {
        Reference {
            base: base.into(),
            relative: relative.into(),
            signature: signature.into(),
        }
    }

    const OWN: &str = "http://127.0.0.1:8080";

    #[test]
    fn what_is_wrong_with_a_reference_is_told_in_order() {
        let account = "https://account.blob.core.windows.net/";
        for (base, relative, signature, row) in [
            ("", "", "", &Row::MissingInputBlobInformation),
            ("", "c/m.ilearner", "", &Row::InvalidBlob),
            ("ftp://host/", "con/m.ilearner", "", &Row::InvalidBlob),
            ("https:///", "con/m.ilearner", "", &Row::InvalidBlob),
            ("https://a b/", "con/m.ilearner", "", &Row::InvalidBlob),
            ("https://u@a/", "con/m.ilearner", "", &Row::InvalidBlob),
            (account, "con/m.ilearner", "no query", &Row::InvalidBlob),
            (account, "con/m.ilearner?x=1", "", &Row::InvalidBlob),
            (account, "con/../m.ilearner", "", &Row::InvalidBlob),
            (
                account,
                "",
                "?sig=x",
                &Row::InputBlobRelativeLocationInvalid,
            ),
            (account, "//m.ilearner", "", &Row::ContainerIsEmpty),
            (
                account,
                "Container/m.ilearner",
                "",
                &Row::ContainerSegmentInvalid,
            ),
            (account, "con", "", &Row::InputBlobRelativeLocationInvalid),
            (account, "con/", "", &Row::InputBlobRelativeLocationInvalid),
            (account, "con/model", "", &Row::InvalidBlobExtension),
            (account, "con/model.csv", "", &Row::InvalidBlobExtension),
            (
                "umpire:sha256:",
                "",
                "",
                &Row::InputBlobRelativeLocationInvalid,
            ),
            (
                "umpire:sha256:",
                "../ledger",
                "",
                &Row::InvalidBlobExtension,
            ),
            ("umpire:sha256:", "00", "", &Row::InvalidBlob),
        ] {
            let fault = reference(base, relative, signature).check(OWN).unwrap_err();
            assert!(fault.is(row), "{base} {relative}: {}", fault.name());
        }
    }

    #[test]
    fn blobs_of_ours_are_known_by_scheme_and_by_address() {
        let hash = Sha256::of(b"model");
        for (base, relative) in [
            ("umpire:sha256:".to_owned(), format!("{hash}")),
            ("UMPIRE:sha256:".to_owned(), format!("{hash}.onnx")),
            (format!("umpire:sha256:{hash}"), String::new()),
            (format!("{OWN}/"), format!("umpire/v1/blobs/{hash}")),
            (OWN.to_owned(), format!("/umpire/v1/blobs/{hash}.ilearner")),
        ] {
            let place = reference(&base, &relative, "").check(OWN);
            assert_eq!(place.unwrap(), Place::Stored(hash), "{base} {relative}");
        }
        let elsewhere = reference("https://a.b/", "con/dir/m.iLearner", "?sv=1&sig=secret");
        assert_eq!(elsewhere.check(OWN).unwrap(), Place::Elsewhere);
        assert_eq!(elsewhere.shown(), "https://a.b/con/dir/m.iLearner");
        assert!(!format!("{elsewhere:?}").contains("secret"));
    }

    #[test]
    fn a_url_comes_apart_where_its_host_ends() {
        for (url, base, relative) in [
            ("https://a.b/c/d.onnx?sig=1", "https://a.b/", "c/d.onnx"),
            ("umpire:sha256:00ff", "umpire:sha256:", "00ff"),
            ("https://a.b", "https://a.b", ""),
            ("relative/path", "relative/path", ""),
            ("", "", ""),
        ] {
            assert_eq!(Reference::parts_of(url), (base.into(), relative.into()));
        }
    }
}
