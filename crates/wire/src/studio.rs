//! The Studio API of web-service groups, `/api/workspaces/{w}/webservicegroups`: what it answers.
//! What it is sent is read member by member, since clients write it in many ways.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A workspace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Workspace {
    /// 32 lower-case hexadecimal digits.
    pub workspace_id: String,
    /// Its name.
    pub friendly_name: String,
    /// The subscription, as it was given.
    pub subscription_id: String,
    /// RFC 3339.
    pub created_time: String,
}

/// A module that packages may name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Module {
    /// What `ModuleId` says.
    pub id: String,
    /// Its name.
    pub name: String,
    /// 32 lower-case hexadecimal digits: the part of the id that counts.
    #[serde(rename = "FamilyID")]
    pub family_id: String,
    /// The names of its input ports.
    pub input_ports: Vec<ModulePort>,
    /// The names of its output ports.
    pub output_ports: Vec<ModulePort>,
    /// Its parameters.
    pub parameters: Vec<ModuleParameter>,
}

/// A port of a module.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ModulePort {
    /// Its name.
    pub name: String,
}

/// A parameter of a module.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ModuleParameter {
    /// Its name.
    pub name: String,
    /// Its type, as `graphParameters` name it.
    pub parameter_type: String,
}

/// A data set, a trained model or a transformation that packages of a workspace take.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct StoredResource {
    /// What `DataSourceId`, `TrainedModelId` or `TransformModuleId` says.
    pub id: String,
    /// Its name.
    pub name: String,
}

/// A web-service group.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Group {
    /// 32 lower-case hexadecimal digits.
    pub id: String,
    /// Its name.
    pub name: String,
    /// RFC 3339.
    pub creation_time: String,
    /// For people.
    pub description: String,
    /// Whether test calls need no credentials.
    pub allow_anonymous_test: bool,
    /// Its model packages, the oldest first.
    pub model_packages: Vec<ModelPackage>,
    /// The service in the staging slot.
    pub staging_web_service: Option<WebService>,
    /// The service in the production slot.
    pub production_web_service: Option<WebService>,
    /// The endpoints of the production service.
    pub endpoints: Vec<Endpoint>,
}

/// A model package in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ModelPackage {
    /// 32 lower-case hexadecimal digits.
    pub id: String,
    /// `InTesting`, `ReadyForProduction`, `DeployedToProduction` or `Retired`.
    pub status_code: String,
    /// RFC 3339.
    pub creation_time: String,
}

/// A service in a slot of a group.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct WebService {
    /// The id in the service's addresses: 32 lower-case hexadecimal digits.
    pub id: String,
    /// `Staging` or `Production`.
    pub web_service_type: String,
    /// The package of the revision that answers calls; `null` where it was made otherwise.
    pub model_package_id: Option<String>,
    /// Where to score, with the first version of the API.
    pub location: String,
    /// Where to submit jobs.
    pub batch_location: String,
    /// RFC 3339.
    pub creation_time: String,
    /// The first key, for those who may see it.
    pub primary_key: Option<String>,
    /// The second key.
    pub secondary_key: Option<String>,
    /// Whether test calls need no credentials.
    pub allow_anonymous_test: bool,
    /// What it was published with; the connection string is never shown.
    pub diagnostics_settings: Option<Value>,
}

impl std::fmt::Debug for WebService {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WebService")
            .field("id", &self.id)
            .field("web_service_type", &self.web_service_type)
            .finish_non_exhaustive()
    }
}

/// An endpoint of a production service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Endpoint {
    /// The id in its addresses.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Where to score, with the first version of the API.
    pub location: String,
    /// Where to submit jobs.
    pub batch_location: String,
}

/// A web service definition, as the Resource Manager's PUT takes it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Definition {
    /// The location.
    pub location: String,
    /// The definition.
    pub properties: Value,
}
