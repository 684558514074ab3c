//! The web service package, its validation, the plan and the module trait.
//!
//! A [`Package`] is a web service definition as data. [`Plan::validate`] says whether its graph
//! holds together; [`Plan::compile`] loads its resources and makes a [`Plan`], which
//! [`Plan::run`] runs for every call. What a node does is a [`Module`], found in a [`Registry`]
//! by its family; a module makes a [`Step`] for the [`Settings`] of a node.
//!
//! ```text
//! JSON ─ Package::from_json ─▶ Package ─ Plan::compile ─▶ Plan ─ Plan::run(tables, parameters) ─▶ tables
//! ```

pub mod column_picker;
mod conform;
mod interface;
mod lax;
pub mod model_package;
mod module;
mod package;
mod parameters;
mod parse;
mod plan;
mod registry;
mod resolve;
mod settings;
mod warm;
mod wiring;

pub use column_picker::ColumnPicker;
pub use interface::{Interface, ParameterKind, ParameterSpec, Parent, PortKind, PortSpec, Refusal};
pub use model_package::{ModelPackage, StoredInput, StoredKind};
pub use module::{
    Module, PortValue, Resource, ResourceLoader, RunContext, SchemaProblem, Shape, Step,
};
pub use package::{
    Asset, AssetKind, BlobLocation, Diagnostics, Edge, Example, GraphParameter, Keys, Link, Node,
    Package, ParameterValue, Port, StorageAccount,
};
pub use parameters::Parameters;
pub use plan::Plan;
pub use registry::Registry;
pub use settings::{Settings, Value};
