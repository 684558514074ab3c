//! The batch API, `api-version=2.0` and the first version, which had no number: what a client sends
//! and receives. Members that no published client knows are ours: [`JobStatus::state`] and what
//! stands below it, [`BatchExecutionRequest::on_bad_row`] and [`BatchExecutionRequest::rejects`],
//! and the list of jobs.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::error::ErrorBody;

/// The body of `POST …/jobs`. A client leaves out what it does not use, or sends null for it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct BatchExecutionRequest {
    /// The blob of the only input.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input: Option<BlobReference>,
    /// A blob for each input, by the input's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inputs: Option<BTreeMap<String, BlobReference>>,
    /// The blob of the only output, in a call of the first version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<BlobReference>,
    /// A blob for each output that is not to lie in the workspace's own store, by the output's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outputs: Option<BTreeMap<String, BlobReference>>,
    /// Web service parameters by name.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub global_parameters: Map<String, Value>,
    /// What becomes of a row that cannot be read: `Fail` the job (as when it is absent), or `Reject`
    /// the row.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_bad_row: Option<String>,
    /// Where rejected rows go, each with its reason; absent is the workspace's own store.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rejects: Option<BlobReference>,
}

/// A blob: a connection string and a location, or a base, a location and a signature, which joined
/// are a URL. Every member is there in every reply, null where it has no value: clients join the
/// last three as they come.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct BlobReference {
    /// Account and key; null in every reply.
    pub connection_string: Option<String>,
    /// Blob container and blob.
    pub relative_location: Option<String>,
    /// Scheme and host, with a slash at the end.
    pub base_location: Option<String>,
    /// A signature, with its question mark.
    pub sas_blob_token: Option<String>,
}

/// Shows whether there are secrets, and not the secrets.
impl fmt::Debug for BlobReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hidden = |secret: &Option<String>| secret.as_ref().map(|_| "…");
        f.debug_struct("BlobReference")
            .field("connection_string", &hidden(&self.connection_string))
            .field("relative_location", &self.relative_location)
            .field("base_location", &self.base_location)
            .field("sas_blob_token", &hidden(&self.sas_blob_token))
            .finish()
    }
}

/// The body of a reply to `GET …/jobs/{job}?api-version=2.0`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct BatchExecutionStatus {
    /// `NotStarted`, `Running`, `Failed`, `Cancelled` or `Finished`. A job that waits for its turn
    /// is `NotStarted`, as it always was.
    pub status_code: String,
    /// Null until the job is finished, then where each output lies, by the output's name.
    pub results: Option<BTreeMap<String, BlobReference>>,
    /// Why the job failed, as a text for people; null unless it did.
    pub details: Option<String>,
    /// What is known beside.
    #[serde(flatten)]
    pub more: JobStatus,
}

/// The body of a reply to `GET …/jobs/{job}` without a version.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct BatchScoreStatus {
    /// 0 to 4: `NotStarted`, `Running`, `Failed`, `Cancelled`, `Finished`.
    pub status_code: u8,
    /// Null until the job is finished, then where the output lies; null where there are several.
    pub result: Option<BlobReference>,
    /// As in 2.0, for clients of 2.0 that leave out the version.
    pub results: Option<BTreeMap<String, BlobReference>>,
    /// As in 2.0.
    pub details: Option<String>,
    /// What is known beside.
    #[serde(flatten)]
    pub more: JobStatus,
}

/// What a status says that published clients do not read.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct JobStatus {
    /// The state: those of the status code, and `Queued`.
    pub state: String,
    /// When the job was submitted, RFC 3339.
    pub created_at: String,
    /// When its work began.
    pub start_time: Option<String>,
    /// When it ended, however it did.
    pub end_time: Option<String>,
    /// Why the job failed, as a failed call's envelope says it; null unless it did.
    pub error: Option<ErrorBody>,
    /// How far it is.
    pub progress: Progress,
    /// Where the rejected rows lie, once the job is finished and where rows may be rejected.
    pub rejects: Option<BlobReference>,
}

/// How far a job is.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Progress {
    /// Rows scored.
    pub rows: u64,
    /// Rows rejected.
    pub rejected: u64,
    /// Bytes of the inputs that are read and scored.
    pub bytes_read: u64,
    /// Bytes of the inputs; null where that is not known yet.
    pub bytes_total: Option<u64>,
    /// Pieces of the work that are done.
    pub chunks_done: u64,
    /// Pieces of the work; null where that is not known yet.
    pub chunks_total: Option<u64>,
    /// How much of the inputs is read, 0 to 100; null where that is not known yet.
    pub percent: Option<f64>,
    /// Rows in a second; null before there is a measure.
    pub rows_per_second: Option<f64>,
    /// Seconds until the end at this rate; null before there is a measure.
    pub seconds_left: Option<f64>,
}

/// The body of a reply to `GET …/jobs`: the newest first.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct JobList {
    /// A page of jobs.
    pub jobs: Vec<JobInList>,
    /// Where the next page is; null on the last.
    pub next_link: Option<String>,
}

/// A job in a [`JobList`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct JobInList {
    /// 32 lower-case hexadecimal digits.
    pub id: String,
    /// Its status.
    #[serde(flatten)]
    pub status: BatchExecutionStatus,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_status_has_the_members_of_published_clients_first_and_by_their_names() {
        let status = BatchExecutionStatus {
            status_code: "Running".into(),
            ..BatchExecutionStatus::default()
        };
        let value = serde_json::to_value(&status).unwrap();
        let names: Vec<&str> = value.as_object().unwrap().keys().map(|k| &**k).collect();
        assert_eq!(names[..3], ["StatusCode", "Results", "Details"]);
        assert!(value["Results"].is_null() && value["Details"].is_null());
        assert_eq!(
            serde_json::from_value::<BatchExecutionStatus>(value).unwrap(),
            status
        );
    }

    #[test]
    fn a_reference_names_every_member_and_shows_no_secret() {
        let reference = BlobReference {
            connection_string: Some("AccountKey=hush".into()),
            relative_location: Some("c/b.csv".into()),
            base_location: None,
            sas_blob_token: Some("?sig=hush".into()),
        };
        assert!(!format!("{reference:?}").contains("hush"));
        assert_eq!(
            serde_json::to_value(BlobReference::default()).unwrap(),
            json!({"ConnectionString": null, "RelativeLocation": null, "BaseLocation": null, "SasBlobToken": null})
        );
    }

    #[test]
    fn a_request_leaves_out_what_it_does_not_use() {
        let value = serde_json::to_value(BatchExecutionRequest::default()).unwrap();
        assert_eq!(value, json!({}));
        let request: BatchExecutionRequest =
            serde_json::from_value(json!({"Input": null, "Outputs": null, "Golbal": 1})).unwrap();
        assert_eq!(request, BatchExecutionRequest::default());
    }
}
