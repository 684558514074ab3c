//! Where a checked reference leads.

use std::fmt;

use store::Id;

use crate::remote::{AzureBlob, WebPage};

/// A place for one blob: a checked reference. It holds credentials, which are not shown; after a
/// restart it is made anew of the reference.
#[derive(Clone, PartialEq, Eq)]
pub struct Location {
    pub(crate) place: Place,
}

/// The kinds of places.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// In a blob container of a workspace, in this installation.
    Own {
        workspace: Id,
        container: String,
        blob: String,
    },
    /// In a file of this machine, below a root that the operator allows.
    File { path: String },
    /// In an Azure storage account.
    Azure(AzureBlob),
    /// In a bucket of S3 or what speaks like it, by this installation's own credentials.
    S3 { bucket: String, key: String },
    /// In a bucket of Google Cloud Storage, by this installation's own credentials.
    Gcs { bucket: String, key: String },
    /// Behind a URL, to be read only.
    Web(WebPage),
}

impl fmt::Debug for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Location").field(&self.shown()).finish()
    }
}

impl Location {
    /// The place as it may be shown: without credentials.
    pub fn shown(&self) -> String {
        match &self.place {
            Place::Own {
                container, blob, ..
            } => format!("{container}/{blob}"),
            Place::File { path } => format!("file://{path}"),
            Place::Azure(blob) => blob.shown(),
            Place::S3 { bucket, key } => format!("s3://{bucket}/{key}"),
            Place::Gcs { bucket, key } => format!("gs://{bucket}/{key}"),
            Place::Web(page) => page.shown(),
        }
    }

    /// The blob's name without what stands before its last slash; by it the format is known.
    pub fn file_name(&self) -> &str {
        let name = match &self.place {
            Place::Own { blob, .. } => blob,
            Place::File { path } => path,
            Place::Azure(blob) => &blob.blob,
            Place::S3 { key, .. } | Place::Gcs { key, .. } => key,
            Place::Web(page) => &page.name,
        };
        name.rsplit('/').next().unwrap_or_default()
    }

    /// Whether the blob is kept in this installation.
    pub fn is_own(&self) -> bool {
        matches!(self.place, Place::Own { .. })
    }
}
