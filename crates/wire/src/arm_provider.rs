//! What the Resource Manager says of `Microsoft.MachineLearning` as a whole.

use serde::{Deserialize, Serialize};

/// The operations that there are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperationList {
    /// All of them.
    pub value: Vec<Operation>,
}

/// An operation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operation {
    /// `{provider}/{resource}/{verb}`.
    pub name: String,
    /// The same for people.
    pub display: OperationDisplay,
}

/// An [`Operation`] for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperationDisplay {
    /// The provider.
    pub provider: String,
    /// The resource.
    pub resource: String,
    /// The operation.
    pub operation: String,
    /// What it does.
    pub description: String,
}

/// The provider as a subscription has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Provider {
    /// `/subscriptions/{subscription}/providers/{namespace}`.
    pub id: String,
    /// `Microsoft.MachineLearning`.
    pub namespace: String,
    /// `Registered`.
    pub registration_state: String,
    /// What it has.
    pub resource_types: Vec<ResourceType>,
}

/// A type of resource.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ResourceType {
    /// Its name, without the namespace.
    pub resource_type: String,
    /// Where it may stand.
    pub locations: Vec<String>,
    /// The versions of its API.
    pub api_versions: Vec<String>,
}
