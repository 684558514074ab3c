//! The web service package (the *web service definition* of the Resource Manager API) as data.

use std::sync::Arc;

use faults::{Fault, bad_argument, internal_error, web_service_package_error};
use serde_json::Value;
use tables::Schema;

use crate::interface::ParameterKind;
use crate::lax::Problem;

/// One input or output of the web service.
#[derive(Debug, Clone)]
pub struct Port {
    /// The name that requests and replies use (`input1`), case as given.
    pub name: String,
    /// The declared columns, in the order of the definition.
    pub schema: Arc<Schema>,
    /// The port's title, often empty.
    pub title: String,
    /// The port's description, often empty.
    pub description: String,
}

/// What an asset is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AssetKind {
    /// A reference to a module's code: `aml://module/...`.
    Module,
    /// A stored blob: a trained model, a transform, a data set.
    Resource,
}

/// An asset: what a node stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asset {
    /// The name for people (`Score Model`, `Census Model [trained model]`).
    pub name: String,
    /// Module or resource.
    pub kind: AssetKind,
    /// `locationInfo.uri`.
    pub uri: String,
    /// `locationInfo.credentials`; empty where there are none.
    pub credentials: String,
    /// The declared input ports; empty where the asset declares none.
    pub input_ports: Vec<String>,
    /// The declared output ports; empty where the asset declares none.
    pub output_ports: Vec<String>,
}

impl Asset {
    /// The family that a module's uri names: `aml://module/<workspace>.<family>.v<version>-...`,
    /// or `aml://module/<family>`; 32 hexadecimal digits. Workspace, version and build are
    /// ignored: the same family appears with many builds. `None` where the uri has no family.
    pub fn module_family(&self) -> Option<&str> {
        const SCHEME: &str = "aml://module/";
        let is_module = |head: &&str| head.eq_ignore_ascii_case(SCHEME);
        let rest = match self.uri.get(..SCHEME.len()).filter(is_module) {
            Some(_) => &self.uri[SCHEME.len()..],
            None => self.uri.as_str(),
        };
        let is_id = |part: &&str| part.len() == 32 && part.bytes().all(|b| b.is_ascii_hexdigit());
        let mut parts = rest.split('.');
        let (first, second) = (parts.next().filter(is_id), parts.next().filter(is_id));
        second.or(first)
    }
}

/// A parameter's value as the definition gives it. The classic service kept scalars as text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParameterValue {
    /// The value's text (`True`, `0.5`, JSON of a column picker); `None` where it is null.
    pub value: Option<String>,
    /// The thumbprint of the certificate that the value is sealed for; `None` for plain text.
    pub certificate_thumbprint: Option<String>,
}

/// A node of the graph. A valid one has exactly one of the three ids.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Node {
    /// The asset that runs or is loaded here.
    pub asset_id: Option<String>,
    /// The web service input that enters here.
    pub input_id: Option<String>,
    /// The web service output that leaves here.
    pub output_id: Option<String>,
    /// The node's parameter values by name, in the order of the definition.
    pub parameters: Vec<(String, ParameterValue)>,
}

/// An edge from one node's output port to another's input port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edge {
    /// The node that gives.
    pub source_node: String,
    /// Its port; `None` when it leaves a web service input.
    pub source_port: Option<String>,
    /// The node that takes.
    pub target_node: String,
    /// Its port; `None` when it enters a web service output.
    pub target_port: Option<String>,
}

/// Where a graph parameter's value goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// The node.
    pub node: String,
    /// The name of the node's parameter.
    pub parameter: String,
}

/// A web service parameter: a name that a call may give a value for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GraphParameter {
    /// For people, often empty.
    pub description: String,
    /// The declared type; the classic service took definitions without one.
    pub kind: Option<ParameterKind>,
    /// The node parameters that take the value.
    pub links: Vec<Link>,
}

/// Sample data for the Swagger document and the warm-up call.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Example {
    /// Rows by input name, cells in the order of the input's columns.
    pub inputs: Vec<(String, Vec<Vec<Value>>)>,
    /// Parameter values by name.
    pub global_parameters: Vec<(String, Value)>,
}

/// The two keys of a definition, for creation only.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Keys {
    /// The primary key, where given.
    pub primary: Option<String>,
    /// The secondary key, where given.
    pub secondary: Option<String>,
}

/// `properties.diagnostics`, unchecked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostics {
    /// `None`, `Error` or `All` as written; `None` where absent.
    pub level: Option<String>,
    /// When logging ceases; `None` for never.
    pub expiry: Option<String>,
}

/// `properties.storageAccount`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StorageAccount {
    /// The account's name.
    pub name: Option<String>,
    /// The account's key.
    pub key: Option<String>,
}

/// A blob and how to read it: `payloadsLocation`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlobLocation {
    /// The blob's uri.
    pub uri: String,
    /// Credentials; empty where there are none.
    pub credentials: String,
}

/// A web service package, of either api-version, as data. Its form is checked; whether its graph
/// holds together is checked by [`crate::Plan::validate`].
#[derive(Debug, Clone)]
pub struct Package {
    /// The service's title.
    pub title: String,
    /// The service's description.
    pub description: String,
    /// Whether the service refuses any later change.
    pub read_only: bool,
    /// Whether `example` appears in the Swagger document (default: yes).
    pub expose_sample_data: bool,
    /// The inputs in the order of the definition.
    pub inputs: Vec<Port>,
    /// The outputs in the order of the definition.
    pub outputs: Vec<Port>,
    /// Assets by id, in the order of the definition.
    pub assets: Vec<(String, Asset)>,
    /// Nodes by id, in the order of the definition.
    pub nodes: Vec<(String, Node)>,
    /// Edges in the order of the definition.
    pub edges: Vec<Edge>,
    /// Web service parameters by name, in the order of the definition.
    pub graph_parameters: Vec<(String, GraphParameter)>,
    /// Default values of web service parameters by name; names may differ in case from those of
    /// `graph_parameters`.
    pub parameters: Vec<(String, ParameterValue)>,
    /// Sample data.
    pub example: Option<Example>,
    /// `realtimeConfiguration.maxConcurrentCalls`, unchecked.
    pub max_concurrent_calls: Option<i64>,
    /// Keys given for creation.
    pub keys: Option<Keys>,
    /// `diagnostics`, unchecked.
    pub diagnostics: Option<Diagnostics>,
    /// `storageAccount`.
    pub storage_account: Option<StorageAccount>,
    /// `machineLearningWorkspace.id`.
    pub workspace: Option<String>,
    /// `commitmentPlan.id`.
    pub commitment_plan: Option<String>,
    /// `payloadsInBlobStorage`.
    pub payloads_in_blob_storage: bool,
    /// `payloadsLocation`.
    pub payloads_location: Option<BlobLocation>,
}

impl Package {
    /// Reads a definition sent by a caller: the Resource Manager resource, or its `properties`
    /// alone, of api-version 2016-05-01-preview or 2017-01-01. Property names count in any case;
    /// booleans and numbers may be strings; a parameter's value may be a scalar or
    /// `{value, certificateThumbprint}`. The order of columns is the order of the properties.
    ///
    /// Errors: `WebServicePackageError.FormatError` with the JSON path at fault;
    /// `BadArgument.DataTypeNotSupported` (target `input1/age`) for a column type or port type
    /// that is not supported; `BadArgument.WebServiceTypeInvalid` for a `packageType` other than
    /// `Graph`; `BadArgument.MissingWebServicePackage` where `package` is absent.
    pub fn from_json(value: &Value) -> Result<Package, Fault> {
        crate::parse::package(value).map_err(|problem| match problem {
            Problem::Format(problem) => web_service_package_error::format_error(problem),
            Problem::DataType {
                place, data_type, ..
            } => bad_argument::data_type_not_supported()
                .at(place)
                .because(data_type),
            Problem::PackageType => bad_argument::web_service_type_invalid("Graph"),
            Problem::NoPackage => bad_argument::missing_web_service_package(),
        })
    }

    /// Reads a stored definition: as [`Package::from_json`], but what is wrong with it is not the
    /// caller's fault.
    ///
    /// Errors: `InternalError.PortDataTypeNotSupported` for a port or column type that is not
    /// supported; `InternalError.WebServicePackageInvalid` for anything else.
    pub fn from_stored_json(value: &Value) -> Result<Package, Fault> {
        crate::parse::package(value).map_err(|problem| match problem {
            Problem::Format(problem) => internal_error::web_service_package_invalid(problem),
            Problem::DataType {
                place,
                port,
                data_type,
            } => internal_error::port_data_type_not_supported(port, data_type).at(place),
            Problem::PackageType => {
                internal_error::web_service_package_invalid("packageType is not Graph")
            }
            Problem::NoPackage => internal_error::web_service_package_invalid("package is absent"),
        })
    }

    /// The asset of that id.
    pub fn asset(&self, id: &str) -> Option<&Asset> {
        self.assets
            .iter()
            .find(|(asset_id, _)| asset_id == id)
            .map(|(_, asset)| asset)
    }

    /// The Resource assets, by id.
    pub fn resources(&self) -> impl Iterator<Item = (&str, &Asset)> {
        self.assets
            .iter()
            .filter(|(_, asset)| asset.kind == AssetKind::Resource)
            .map(|(id, asset)| (id.as_str(), asset))
    }

    /// The default value of a web service parameter: its exact name in `parameters`, else the one
    /// whose name differs in case only (the classic service took such definitions).
    pub fn default_of(&self, parameter: &str) -> Option<&str> {
        let exact = self.parameters.iter().find(|(name, _)| name == parameter);
        exact
            .or_else(|| {
                self.parameters
                    .iter()
                    .find(|(name, _)| name.eq_ignore_ascii_case(parameter))
            })
            .and_then(|(_, value)| value.value.as_deref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn module(uri: &str) -> Asset {
        Asset {
            name: "Score Model".to_owned(),
            kind: AssetKind::Module,
            uri: uri.to_owned(),
            credentials: String::new(),
            input_ports: Vec::new(),
            output_ports: Vec::new(),
        }
    }

    #[test]
    fn a_module_uri_gives_its_family() {
        let family = "401b4f92e7244d5abe81d5b0ff9bdb33";
        for uri in [
            "aml://module/506153734175476c4f62416c57734963.401b4f92e7244d5abe81d5b0ff9bdb33.v1-default-1751",
            "AML://Module/8b841df9d60a4d54bcebd4948b10a5db.401b4f92e7244d5abe81d5b0ff9bdb33.v1",
            "aml://module/401b4f92e7244d5abe81d5b0ff9bdb33",
        ] {
            assert_eq!(module(uri).module_family(), Some(family), "{uri}");
        }
        for uri in [
            "aml://module/moduleId-1",
            "",
            "ämlä://module",
            "https://x/y",
        ] {
            assert_eq!(module(uri).module_family(), None, "{uri}");
        }
    }
}
