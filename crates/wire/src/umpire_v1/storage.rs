//! Workspaces' own blobs, for operators.

use serde::{Deserialize, Serialize};

/// The blob containers of a workspace.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct BlobContainerList {
    /// By name.
    pub containers: Vec<BlobContainerView>,
}

/// A blob container.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct BlobContainerView {
    /// Its name.
    pub name: String,
    /// When it was made, RFC 3339.
    pub created: String,
    /// How many blobs are in it.
    pub blobs: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// A part of the blobs of a container.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct BlobList {
    /// By name.
    pub blobs: Vec<BlobView>,
    /// What to ask for the next part with, as `after`; null where this is the last.
    pub next: Option<String>,
}

/// A blob.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct BlobView {
    /// Its name in its container.
    pub name: String,
    /// Bytes.
    pub size: u64,
    /// Its media type, as whoever wrote it said.
    pub content_type: String,
    /// Another one after each write.
    pub etag: String,
    /// When it was first written, RFC 3339.
    pub created: String,
    /// When it was last written.
    pub modified: String,
}

/// A request for a URL that opens a blob for an hour.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct BlobLinkRequest {
    /// The blob's name in its container; it need not be there.
    pub blob: String,
    /// Letters: `r` read, `c` create, `w` write over, `d` delete.
    pub permissions: String,
}

/// A URL that opens a blob.
#[derive(Clone, Serialize, Deserialize)]
pub struct BlobLink {
    /// The URL, a secret for as long as it is valid.
    pub url: String,
    /// How long it is valid, RFC 3339.
    pub expires: String,
}
