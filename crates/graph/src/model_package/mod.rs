//! The model package: what the Studio API published before there were web service definitions.
//!
//! It holds the graph in Studio's own form (`Workflow`: nodes with their ports, edges between
//! `node:port` and `node:port`), and beside it the ports that become inputs and outputs of the web
//! service. [`ModelPackage::from_json`] reads one, [`ModelPackage::definition`] makes of it the
//! `properties` of a web service definition, which [`crate::Package::from_json`] reads; nothing else
//! ever runs a model package.

mod columns;
mod definition;
mod parse;
mod shown;

use faults::{Fault, bad_argument, conflict, internal_error, web_service_package_error};
use serde_json::{Map, Value};

use crate::lax::Problem;
use crate::package::{Asset, AssetKind};

pub use shown::without_secrets;

/// Execute R Script and Execute Python Script: what they print goes to outputs of its own.
const SCRIPT_FAMILIES: [&str; 2] = [
    "30806023392b42e094d66b775a6e0fd5",
    "cdb56f957f4c404dbde75bb972e6f232",
];

/// What a stored input of a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoredKind {
    /// `DataSourceId`: a data set.
    DataSource,
    /// `TrainedModelId`: a trained model.
    TrainedModel,
    /// `TransformModuleId`: a fitted transformation.
    Transform,
}

impl StoredKind {
    /// The member that names one.
    fn member(self) -> &'static str {
        match self {
            StoredKind::DataSource => "DataSourceId",
            StoredKind::TrainedModel => "TrainedModelId",
            StoredKind::Transform => "TransformModuleId",
        }
    }

    /// The end of the resource's name, by which classic clients know what it is.
    fn suffix(self) -> &'static str {
        match self {
            StoredKind::DataSource => " [dataset]",
            StoredKind::TrainedModel => " [trained model]",
            StoredKind::Transform => " [transform]",
        }
    }
}

/// A stored blob that feeds a port: a resource of the web service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredInput {
    /// The id of its asset in the definition.
    pub asset: String,
    /// What it is.
    pub kind: StoredKind,
    /// The name of its asset, which a client gives to put another model in its place.
    pub name: String,
    /// Where it is: `umpire:sha256:…` or the URL that was given, without its signature.
    pub uri: String,
    /// The signature of the URL with its `?`; empty where there is none.
    pub credentials: String,
    /// The node that takes it.
    node: String,
    /// Its port.
    port: String,
}

/// A node of the workflow.
#[derive(Debug, Clone, PartialEq)]
struct ModuleNode {
    id: String,
    module: String,
    parameters: Vec<ModuleParameter>,
}

/// A parameter of a node.
#[derive(Debug, Clone, PartialEq)]
struct ModuleParameter {
    name: String,
    value: Value,
    /// The web service parameter that sets it.
    linked: Option<String>,
}

/// A port of a node that becomes an input or output of the web service.
#[derive(Debug, Clone, PartialEq)]
struct ServicePort {
    name: String,
    node: String,
    port: String,
    /// Its columns as the definition has them; empty where they are not told.
    columns: Map<String, Value>,
}

/// A web service parameter.
#[derive(Debug, Clone, PartialEq)]
struct ServiceParameter {
    name: String,
    kind: Option<String>,
    description: String,
    default: Value,
}

/// A port by its node and name, as `node:port` has them.
type PortRef = (String, String);

/// A model package whose form was checked. Whether its graph holds together is checked with the
/// definition that it becomes.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelPackage {
    nodes: Vec<ModuleNode>,
    edges: Vec<(PortRef, PortRef)>,
    inputs: Vec<ServicePort>,
    outputs: Vec<ServicePort>,
    parameters: Vec<ServiceParameter>,
    stored: Vec<StoredInput>,
}

/// What is wrong with a model package.
#[derive(Debug)]
enum Flaw {
    /// Its form, or the type of a column.
    Form(Problem),
    /// Names that say nothing of the graph: the text names the node and the reason.
    Graph(String),
    /// No output, or no place for what a script prints.
    Configuration(&'static str),
    /// The metadata of the outputs and their columns differ; the place and the reason.
    Metadata(String, String),
}

impl From<Problem> for Flaw {
    fn from(problem: Problem) -> Flaw {
        Flaw::Form(problem)
    }
}

impl ModelPackage {
    /// Reads a model package that a caller sent. Property names count in any case.
    ///
    /// # Errors
    /// `WebServicePackageError.FormatError` with the JSON path at fault;
    /// `WebServicePackageError.ValidationError` for a name of a node or port that is not there;
    /// `BadArgument.DataTypeNotSupported` at `port/column`; `BadArgument.ModelConfigurationInvalid`
    /// for a package without an output, or with a script and without an output for what it prints;
    /// `Conflict.ModelOutputMetadataMismatch` where `OutputsMetadata` names other columns than the
    /// outputs have, or one twice.
    pub fn from_json(value: &Value) -> Result<ModelPackage, Fault> {
        parse::model_package(value).map_err(|flaw| match flaw {
            Flaw::Form(Problem::DataType {
                place, data_type, ..
            }) => bad_argument::data_type_not_supported()
                .at(place)
                .because(data_type),
            Flaw::Form(problem) => web_service_package_error::format_error(text(problem)),
            Flaw::Graph(problem) => web_service_package_error::validation_error(problem),
            Flaw::Configuration(why) => bad_argument::model_configuration_invalid()
                .at("Outputs")
                .because(why),
            Flaw::Metadata(place, why) => conflict::model_output_metadata_mismatch()
                .at(place)
                .because(why),
        })
    }

    /// Reads a stored model package: as [`ModelPackage::from_json`], but what is wrong with it is
    /// not the caller's fault.
    ///
    /// # Errors
    /// `InternalError.ModelPackageInvalid`.
    pub fn from_stored_json(value: &Value) -> Result<ModelPackage, Fault> {
        parse::model_package(value).map_err(|flaw| {
            let cause = match flaw {
                Flaw::Form(Problem::DataType {
                    place, data_type, ..
                }) => format!("{place}: {data_type} is not supported"),
                Flaw::Form(problem) => text(problem),
                Flaw::Graph(problem) => problem,
                Flaw::Configuration(why) => why.to_owned(),
                Flaw::Metadata(place, why) => format!("{place}: {why}"),
            };
            internal_error::model_package_invalid().because(cause)
        })
    }

    /// The stored blobs that its nodes take, in their order.
    pub fn stored_inputs(&self) -> &[StoredInput] {
        &self.stored
    }
}

/// A mistake of form in words.
fn text(problem: Problem) -> String {
    match problem {
        Problem::Format(text) => text,
        Problem::DataType { place, .. } => place,
        // Of definitions only.
        Problem::PackageType | Problem::NoPackage => String::new(),
    }
}

/// The module that a node names: `{workspace}.{family}.v1-…`, a family alone, or a name.
fn module_asset(module: &str) -> Asset {
    Asset {
        name: module.to_owned(),
        kind: AssetKind::Module,
        uri: module_uri(module),
        credentials: String::new(),
        input_ports: Vec::new(),
        output_ports: Vec::new(),
    }
}

fn module_uri(module: &str) -> String {
    const SCHEME: &str = "aml://module/";
    match module.get(..SCHEME.len()) {
        Some(head) if head.eq_ignore_ascii_case(SCHEME) => module.to_owned(),
        _ => format!("{SCHEME}{module}"),
    }
}
