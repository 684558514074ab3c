//! Resource Manager's `Microsoft.MachineLearning/webServices`, api-version 2017-01-01 (and
//! 2016-05-01-preview, whose shapes differ inside `properties` only).

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::error::ErrorBody;

/// The type of the resource.
pub const RESOURCE_TYPE: &str = "Microsoft.MachineLearning/webServices";

/// A web service as a resource.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WebService {
    /// `/subscriptions/{subscription}/resourceGroups/{group}/providers/{type}/{name}`.
    pub id: String,
    /// The name.
    pub name: String,
    /// [`RESOURCE_TYPE`].
    #[serde(rename = "type")]
    pub kind: String,
    /// The location, as it was given.
    #[serde(default)]
    pub location: String,
    /// Tags.
    #[serde(default)]
    pub tags: Map<String, Value>,
    /// The definition and the state; its shape is the package format's affair.
    pub properties: Value,
}

/// A page of resources.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WebServiceList {
    /// The resources, without their definitions.
    pub value: Vec<WebService>,
    /// An absolute URL with `$skiptoken`, where there are more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_link: Option<String>,
}

/// How far an operation is. Clients read `status`, the documents say `provisioningState`: both are
/// there; so are `error` and `errorInfo`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AsyncOperationStatus {
    /// The operation's path.
    pub id: String,
    /// The operation's id.
    pub name: String,
    /// `Provisioning`, `Succeeded` or `Failed`.
    pub status: String,
    /// The same.
    pub provisioning_state: String,
    /// When it was accepted.
    pub start_time: String,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_time: Option<String>,
    /// From 0 to 1.
    pub percent_complete: f64,
    /// What it failed with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<ErrorBody>,
    /// The same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_info: Option<ErrorBody>,
}

/// The answer of `listKeys`, and `properties.keys` of a PUT.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebServiceKeys {
    /// The first key.
    pub primary: String,
    /// The second key; either opens the service.
    pub secondary: String,
}

impl std::fmt::Debug for WebServiceKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("WebServiceKeys { .. }")
    }
}
