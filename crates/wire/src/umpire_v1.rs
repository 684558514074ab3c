//! Our own operators' API, `/umpire/v1`.

mod identities;
mod storage;

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use identities::{AuditLine, AuditList, TokenList, TokenMade, TokenRequest, TokenView};
pub use storage::{
    BlobContainerList, BlobContainerView, BlobLink, BlobLinkRequest, BlobList, BlobView,
};

/// The answer of `PUT /umpire/v1/blobs/{sha256}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlobStored {
    /// 64 lower-case hexadecimal digits.
    pub sha256: String,
    /// Bytes.
    pub size: u64,
    /// What a package's `locationInfo.uri` says to mean this blob: `umpire:sha256:{sha256}`.
    pub uri: String,
    /// Whether the blob was not there before.
    pub created: bool,
}

/// A web service with one endpoint.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ServiceView {
    /// The service's name.
    pub name: String,
    /// The subscription, as it was given.
    pub subscription_id: String,
    /// The resource group.
    pub resource_group: String,
    /// The workspace's id.
    pub workspace_id: String,
    /// The service's id.
    pub service_id: String,
    /// The endpoint's id: the `services` segment of scoring URLs.
    pub endpoint_id: String,
    /// The endpoint's name.
    pub endpoint_name: String,
    /// The title of the package, or the name.
    pub title: String,
    /// Where to score, with api-version.
    pub scoring_url: String,
    /// The API document.
    pub swagger_url: String,
    /// Calls admitted at once.
    pub max_concurrent_calls: u32,
    /// The number of the revision that answers calls, from 1.
    pub revision: u64,
    /// RFC 3339.
    pub created: String,
    /// RFC 3339.
    pub modified: String,
    /// The input ports with their columns, as the package has them.
    #[serde(default)]
    pub inputs: Value,
    /// The output ports with their columns.
    #[serde(default)]
    pub outputs: Value,
}

/// All services.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ServiceList {
    /// By name.
    pub services: Vec<ServiceView>,
}

/// What `umpire deploy --json` prints: a view of the service with its keys.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Deployed {
    /// The service's name.
    pub name: String,
    /// The workspace's id.
    pub workspace_id: String,
    /// The service's id.
    pub service_id: String,
    /// The endpoint's id.
    pub endpoint_id: String,
    /// Where to score, with api-version.
    pub scoring_url: String,
    /// The first key.
    pub primary_key: String,
    /// The second key.
    pub secondary_key: String,
    /// The API document.
    pub swagger_url: String,
    /// The revision's number.
    pub revision: u64,
    /// The input ports with their columns, as the package has them.
    pub inputs: Value,
    /// The output ports with their columns.
    pub outputs: Value,
}

/// One stored state of a service's package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevisionView {
    /// From 1.
    pub number: u64,
    /// The revision's id.
    pub id: String,
    /// RFC 3339.
    pub created: String,
    /// Whether it answers calls.
    pub current: bool,
}

/// The kept revisions of a service, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevisionList {
    /// At most the last five.
    pub revisions: Vec<RevisionView>,
}

/// The body of a rollback.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RollbackRequest {
    /// The number to go back to; the one before the current where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<u64>,
}

/// Which key to make anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WhichKey {
    /// The first.
    Primary,
    /// The second.
    Secondary,
}

/// The body of a key rotation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RotateRequest {
    /// The key to replace.
    pub key: WhichKey,
}

/// A workspace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkspaceView {
    /// 32 lower-case hexadecimal digits: the `workspaces` segment of scoring URLs.
    pub id: String,
    /// The name.
    pub name: String,
    /// The subscription, as it was given.
    pub subscription_id: String,
    /// The resource group.
    pub resource_group: String,
    /// RFC 3339.
    pub created: String,
    /// One of the Resource Manager's states of a workspace.
    #[serde(default)]
    pub state: String,
    /// How many services stand in it.
    #[serde(default)]
    pub services: usize,
}

/// The tokens of a workspace; either opens its management.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkspaceTokens {
    /// The first.
    pub primary: String,
    /// The second.
    pub secondary: String,
}

impl std::fmt::Debug for WorkspaceTokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("WorkspaceTokens { .. }")
    }
}

/// The body of a token's rotation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RotateTokenRequest {
    /// The token to replace.
    pub token: WhichKey,
}

/// All workspaces.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkspaceList {
    /// By name.
    pub workspaces: Vec<WorkspaceView>,
}

/// One line of `umpire logs`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// RFC 3339.
    pub time: String,
    /// `info`, `warn`, `error` or `output`.
    pub level: String,
    /// The text.
    pub text: String,
}

/// The newest lines about a service, oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogList {
    /// The lines.
    pub lines: Vec<LogLine>,
}

/// Whether a node takes scoring calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NodeState {
    /// It does.
    Serving,
    /// It takes no further ones and finishes those that it has.
    Draining,
    /// It takes none and has none.
    Drained,
}

/// One node: a gateway with its containers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeView {
    /// 32 lower-case hexadecimal digits.
    pub id: String,
    /// The version of the program.
    pub version: String,
    /// Whole seconds since its start.
    pub uptime_seconds: u64,
    /// Whether it takes calls.
    pub state: NodeState,
    /// Containers that start, take calls or end.
    pub containers: usize,
    /// Calls that containers have.
    pub calls: usize,
    /// Calls that wait for a container.
    pub waiting: usize,
    /// Bytes that the containers hold.
    pub container_memory: u64,
}

/// All nodes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeList {
    /// The nodes.
    pub nodes: Vec<NodeView>,
}

/// Where a container is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ContainerState {
    /// It loads its revision.
    Starting,
    /// It takes calls.
    Ready,
    /// It finishes its calls and ends.
    Retiring,
}

/// One container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerView {
    /// Counted from 1 since the node's start.
    pub id: String,
    /// `service/endpoint`.
    pub endpoint: String,
    /// The endpoint's id.
    pub endpoint_id: String,
    /// The id of the revision that it holds.
    pub revision_id: String,
    /// What it is for: `scoring`, or `batch` (pieces of jobs).
    pub lane: String,
    /// The process.
    pub pid: u32,
    /// Where it is in its life.
    pub state: ContainerState,
    /// Calls that it has.
    pub calls: usize,
    /// Bytes that it holds; absent where it has just ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<u64>,
    /// Bytes that it may hold.
    pub memory_quota: u64,
    /// Whole seconds since its start.
    pub age_seconds: u64,
}

/// The containers of all nodes, by endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerList {
    /// The containers.
    pub containers: Vec<ContainerView>,
}

/// A setting that servers share.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LimitView {
    /// Its dotted name.
    pub name: String,
    /// The value in force.
    pub value: Value,
    /// Where it comes from, in words.
    pub origin: String,
}

/// The settings that servers share, as they are in force.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LimitList {
    /// In the order of the documentation.
    pub limits: Vec<LimitView>,
}

/// What a change of the settings came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigurationChange {
    /// Settings whose new values hold.
    pub changed: Vec<String>,
    /// Settings whose new values need a restart.
    pub restart: Vec<String>,
}

/// The answer of a change of the master key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretsRotated {
    /// The name of the file, beside the key's, in which the former key is kept: backups that were
    /// made before need it.
    pub former_key: String,
}

/// The use of one endpoint on one day.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct UsageLine {
    /// `2026-11-30`, in UTC.
    pub day: String,
    /// The endpoint's id.
    pub endpoint_id: String,
    /// `service/endpoint`, by the names they then had.
    pub endpoint: String,
    /// Answered calls.
    pub transactions: u64,
    /// The time that they were at work.
    pub compute_seconds: f64,
}

/// The use of all endpoints.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct UsageList {
    /// The first day.
    pub from: String,
    /// The last day.
    pub to: String,
    /// By day and endpoint; a day without use has no line.
    pub lines: Vec<UsageLine>,
}
