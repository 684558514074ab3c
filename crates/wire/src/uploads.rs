//! Uploads by whoever holds a key of an endpoint: a call of our own beside the batch API.

use serde::{Deserialize, Serialize};

use crate::bes_2_0::BlobReference;

/// What an upload is asked for with.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct UploadRequest {
    /// The file's name; by its extension a job knows what it is.
    pub name: String,
    /// Whether the caller deletes it when he is done: the signature permits that too, and is valid
    /// for a day.
    #[serde(default)]
    pub temporary: bool,
}

/// Where to upload to.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Upload {
    /// The three strings of it joined are the URL that is written to, and a job's input as they are.
    #[serde(flatten)]
    pub reference: BlobReference,
    /// How long the signature is valid, RFC 3339.
    pub expiry_time: String,
}
