//! What the operator lets be named, and with which credentials.

use std::fmt;
use std::str::FromStr;

/// How storage behaves.
#[derive(Clone, Default)]
pub struct Options {
    /// Below which places `s3://`, `gs://`, `az://` and `file://` may be named; nowhere else.
    pub roots: Vec<Root>,
    /// Credentials for `s3://`, `gs://` and `az://` under the names that their vendors' tools read
    /// from the environment: `AWS_…`, `GOOGLE_…`, `AZURE_…`.
    pub credentials: Vec<(String, String)>,
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.credentials.iter().map(|(name, _)| name).collect();
        f.debug_struct("Options")
            .field("roots", &self.roots)
            .field("credentials", &names)
            .finish()
    }
}

impl Options {
    /// The names in the environment that are read as credentials.
    pub fn is_credential(name: &str) -> bool {
        ["AWS_", "GOOGLE_", "AZURE_"]
            .iter()
            .any(|prefix| name.starts_with(prefix))
    }

    /// Whether a URL of a scheme that uses this installation's own rights lies below a root.
    pub(crate) fn may_name(&self, url: &str) -> bool {
        self.roots.iter().any(|root| {
            url.strip_prefix(&root.0)
                .is_some_and(|rest| rest.starts_with('/'))
        })
    }

    /// The folder below which a file of this machine lies, and its path there; the longest, where
    /// several do.
    pub(crate) fn file_root<'a>(&'a self, path: &'a str) -> Option<(&'a str, &'a str)> {
        let roots = self.roots.iter().filter_map(|root| {
            let root = root.0.strip_prefix("file://")?;
            let below = path.strip_prefix(root)?;
            below.starts_with('/').then_some((root, below))
        });
        roots.max_by_key(|(root, _)| root.len())
    }

    pub(crate) fn credential(&self, name: &str) -> Option<&str> {
        let found = self.credentials.iter().find(|(n, _)| n == name);
        found
            .map(|(_, value)| value.as_str())
            .filter(|v| !v.is_empty())
    }
}

/// A place below which blobs may be named that are read and written by this installation's own
/// rights: `s3://bucket`, `gs://bucket/prefix`, `az://account/container`, `file:///srv/data`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Root(String);

impl FromStr for Root {
    type Err = String;

    fn from_str(text: &str) -> Result<Root, String> {
        let text = text.trim();
        let wrong = || {
            format!(
                "\"{text}\" is not s3://bucket, gs://bucket, az://account or file:///folder, perhaps with a path"
            )
        };
        let (scheme, rest) = text.split_once("://").ok_or_else(wrong)?;
        let scheme = scheme.to_ascii_lowercase();
        let rest = rest.trim_end_matches('/');
        let name = match scheme.as_str() {
            "s3" | "gs" | "az" => rest,
            // The root folder itself is too much to allow in passing.
            "file" => rest.strip_prefix('/').ok_or_else(wrong)?,
            _ => return Err(wrong()),
        };
        let bad = |part: &str| matches!(part, "" | "." | "..");
        if name.split('/').any(bad) || name.contains(['?', '#', '\\']) {
            return Err(wrong());
        }
        Ok(Root(format!("{scheme}://{rest}")))
    }
}

impl fmt::Display for Root {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_root_covers_what_is_below_it_and_no_neighbour() {
        let roots = ["S3://bucket/", "gs://b/in/put", "file:///srv/data"];
        let options = Options {
            roots: roots.iter().map(|root| root.parse().unwrap()).collect(),
            ..Options::default()
        };
        assert_eq!(options.roots[0].to_string(), "s3://bucket");
        for good in ["s3://bucket/x", "gs://b/in/put/x", "file:///srv/data/x"] {
            assert!(options.may_name(good), "{good}");
        }
        for bad in [
            "s3://bucket2/x",
            "s3://bucket",
            "gs://b/in/putter",
            "gs://b/x",
            "file:///srv/database/x",
            "az://bucket/x",
        ] {
            assert!(!options.may_name(bad), "{bad}");
        }
        for wrong in [
            "",
            "s3://",
            "bucket",
            "http://a/b",
            "file:///",
            "file://host/x",
            "s3://b/../c",
            "s3://b//c",
            "file:///srv/..",
        ] {
            assert!(wrong.parse::<Root>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn values_of_credentials_are_not_shown() {
        let options = Options {
            credentials: vec![("AWS_SECRET_ACCESS_KEY".into(), "hidden".into())],
            ..Options::default()
        };
        let shown = format!("{options:?}");
        assert!(shown.contains("AWS_SECRET_ACCESS_KEY") && !shown.contains("hidden"));
        assert!(Options::is_credential("AZURE_STORAGE_KEY") && !Options::is_credential("PATH"));
    }
}
