//! A reference to a blob as a caller gives it.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A reference to a blob as a caller gives it. Blank parts count as absent.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlobReference {
    /// `Name=value;…`: an account and what lets into it. A secret.
    pub connection_string: Option<String>,
    /// Scheme and host, with a `/` at its end as a rule.
    pub base_location: Option<String>,
    /// `container/path/blob`, with or without a `/` before it; alone it may be a URL.
    pub relative_location: Option<String>,
    /// A shared access signature: a query, with or without its `?`. A secret.
    pub sas_blob_token: Option<String>,
}

impl fmt::Debug for BlobReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let given = |secret: &Option<String>| match secret {
            Some(_) => "…",
            None => "",
        };
        write!(
            f,
            "BlobReference({}, {:?}{}{})",
            self.shown(),
            given(&self.connection_string),
            if self.sas_blob_token.is_some() {
                ", "
            } else {
                ""
            },
            given(&self.sas_blob_token)
        )
    }
}

/// What a blob is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose<'a> {
    /// It is read as the table of the input of this name.
    Input(&'a str),
    /// The table of the output of this name is written there.
    Output(&'a str),
    /// The trained model of the output of this name is written there.
    Model(&'a str),
    /// What this installation records of its work is written there; any name will do.
    Record,
}

impl<'a> Purpose<'a> {
    /// The input's or output's name.
    pub fn target(self) -> Option<&'a str> {
        match self {
            Purpose::Input(name) | Purpose::Output(name) | Purpose::Model(name) => Some(name),
            Purpose::Record => None,
        }
    }
}

/// A part that is there and not blank.
pub(crate) fn part(text: &Option<String>) -> Option<&str> {
    text.as_deref()
        .map(str::trim)
        .filter(|text| !text.is_empty())
}

impl BlobReference {
    /// The blob as it may be shown: the base and the relative location, without anything of a
    /// query or of what stands before an `@`.
    pub fn shown(&self) -> String {
        let base = part(&self.base_location).unwrap_or_default();
        let relative = part(&self.relative_location).unwrap_or_default();
        let joined = match base.is_empty() {
            true => relative.trim_start_matches('/').to_owned(),
            false if relative.is_empty() => base.to_owned(),
            false => format!(
                "{}/{}",
                base.trim_end_matches('/'),
                relative.trim_start_matches('/')
            ),
        };
        outbound::Source::new(joined).shown()
    }
}

/// Whether a base location is an http or https URL with a host and nothing that no base has.
pub fn base_is_good(base: &str) -> bool {
    let rest = ["https://", "http://"].iter().find_map(|scheme| {
        let head = base.get(..scheme.len())?;
        let rest = base.get(scheme.len()..)?;
        head.eq_ignore_ascii_case(scheme).then_some(rest)
    });
    let bad = |c: char| c.is_whitespace() || c.is_control() || "?#@\\\"<>".contains(c);
    rest.is_some_and(|rest| {
        let host = rest.split('/').next().unwrap_or_default();
        !host.is_empty() && !rest.contains(bad)
    })
}

/// Whether a shared access signature is a query. An empty one is none.
pub fn signature_is_good(signature: &str) -> bool {
    let signature = signature.trim_start_matches('?');
    let bad = |c: char| c.is_whitespace() || c.is_control() || "?#".contains(c);
    signature.is_empty() || (signature.contains('=') && !signature.contains(bad))
}
