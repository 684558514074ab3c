//! Resource Manager's `Microsoft.MachineLearning/workspaces`, api-versions 2016-04-01 and
//! 2019-10-01, which adds `sku`.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The type of the resource.
pub const RESOURCE_TYPE: &str = "Microsoft.MachineLearning/workspaces";

/// A workspace as a resource.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Workspace {
    /// `/subscriptions/{subscription}/resourceGroups/{group}/providers/{type}/{name}`.
    pub id: String,
    /// The name.
    pub name: String,
    /// [`RESOURCE_TYPE`].
    #[serde(rename = "type")]
    pub kind: String,
    /// The location, as it was given.
    pub location: String,
    /// Tags.
    #[serde(default)]
    pub tags: Map<String, Value>,
    /// Since 2019-10-01.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sku: Option<Sku>,
    /// The rest.
    pub properties: WorkspaceProperties,
}

/// Name and tier of a SKU.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sku {
    /// The name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The tier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tier: Option<String>,
}

/// The properties of a [`Workspace`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WorkspaceProperties {
    /// The id of a storage account.
    pub user_storage_account_id: String,
    /// The owner's address.
    pub owner_email: String,
    /// `Production`, ...
    pub workspace_type: String,
    /// `Enabled`, ...
    pub workspace_state: String,
    /// 32 hexadecimal digits: the `workspaces` segment of scoring URLs.
    pub workspace_id: String,
    /// RFC 3339.
    pub creation_time: String,
    /// Where the workspace's studio is.
    pub studio_endpoint: String,
    /// An identifier in a key vault.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_vault_identifier_id: Option<String>,
}

/// A page of workspaces.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WorkspaceList {
    /// The workspaces.
    pub value: Vec<Workspace>,
    /// An absolute URL with `$skiptoken`, where there are more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_link: Option<String>,
}

/// The answer of `listWorkspaceKeys`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WorkspaceKeys {
    /// The first token.
    pub primary_token: String,
    /// The second token; either opens the workspace's management.
    pub secondary_token: String,
}

impl std::fmt::Debug for WorkspaceKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("WorkspaceKeys { .. }")
    }
}
