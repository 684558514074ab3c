//! The classic management API: web services of a workspace and their endpoints.
//!
//! Every member is there in every reply, null where it has no value: clients turn arrays into
//! tables and take the columns from the members.

use serde::{Deserialize, Serialize};

/// A web service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct WebService {
    /// 32 lower-case hexadecimal digits.
    pub id: String,
    /// The name for people; several services may have the same.
    pub name: String,
    /// The description.
    pub description: Option<String>,
    /// RFC 3339, with milliseconds.
    pub creation_time: String,
    /// 32 lower-case hexadecimal digits.
    pub workspace_id: String,
    /// How many endpoints it has.
    pub endpoint_count: usize,
    /// The name of the endpoint that every service has.
    pub default_endpoint_name: String,
}

/// An endpoint of a web service.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Endpoint {
    /// The name, unique in the service.
    pub name: String,
    /// The description.
    pub description: String,
    /// RFC 3339, with milliseconds.
    pub creation_time: String,
    /// The workspace's id.
    pub workspace_id: String,
    /// The service's id.
    pub web_service_id: String,
    /// Where its help pages begin; `/apidocument` behind it is its Swagger document.
    pub help_location: String,
    /// The first key; null for those who may only look.
    pub primary_key: Option<String>,
    /// The second key; either opens the endpoint.
    pub secondary_key: Option<String>,
    /// Where its scoring URLs begin, without `/execute` or `/jobs`.
    pub api_location: String,
    /// Whether a refresh is refused.
    pub prevent_update: bool,
    /// Calls admitted at once.
    pub max_concurrent_calls: u32,
    /// `None`, `Error` or `All`.
    pub diagnostics_trace_level: String,
    /// `Low` or `High`.
    pub throttle_level: String,
    /// Counts the changes of the endpoint, from 1.
    pub version: u64,
    /// Whether sample rows appear in its documents.
    pub sample_data_enabled: bool,
    /// Always null: services do not come from experiments here.
    pub experiment_location: Option<String>,
    /// What can be replaced in it.
    pub resources: Vec<Resource>,
}

impl std::fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Endpoint")
            .field("name", &self.name)
            .field("web_service_id", &self.web_service_id)
            .finish_non_exhaustive()
    }
}

/// A resource of an endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Resource {
    /// The name of the asset; what an update names it by.
    pub name: String,
    /// `TrainedModel`, `Transform` or `Dataset`.
    pub kind: String,
    /// Where it was taken from.
    pub location: ResourceLocation,
}

/// A blob, as batch jobs name their outputs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ResourceLocation {
    /// Scheme and host.
    pub base_location: String,
    /// Blob container and blob.
    pub relative_location: String,
    /// A query that lets the blob be read; always empty in replies.
    pub sas_blob_token: String,
}

/// What a PUT of an endpoint is sent by the command line; what is absent gets its default.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct EndpointRequest {
    /// The description.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// `Low` or `High`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub throttle_level: Option<String>,
    /// Calls admitted at once, with the level `High`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_concurrent_calls: Option<u32>,
    /// Whether a refresh is to be refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prevent_update: Option<bool>,
}
