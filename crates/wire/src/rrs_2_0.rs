//! The request-response API, `api-version=2.0`: what a client sends and receives.
//!
//! The gateway never parses these; a container decodes and encodes them with `tables`. The types
//! serve clients and tests.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The body of `/execute`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ExecutionRequest {
    /// By input name, in either form.
    #[serde(default)]
    pub inputs: Map<String, Value>,
    /// Web service parameters by name.
    #[serde(default)]
    pub global_parameters: Map<String, Value>,
}

/// One input in table form; the other form is an array of row objects.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct InputTable {
    /// The columns' names, in the order of the cells.
    pub column_names: Vec<String>,
    /// Rows of cells: strings, numbers, booleans or null.
    pub values: Vec<Vec<Value>>,
}

/// The body of a reply to `/execute`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ExecutionResults {
    /// By output name: an [`OutputTable`], or with `format=swagger` an array of row objects.
    pub results: Map<String, Value>,
}

/// One output in table form.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputTable {
    /// Always `table`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The table.
    pub value: OutputValues,
}

/// The value of an [`OutputTable`]; names and types are there only with `details=true`, and then
/// both.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct OutputValues {
    /// The columns' names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column_names: Option<Vec<String>>,
    /// The columns' types (`Int32`, `Double`, `String`, ...).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column_types: Option<Vec<String>>,
    /// Rows of cells: strings, or null where missing.
    pub values: Vec<Vec<Option<String>>>,
}

/// The body of `/score`, the API of 2014: one row.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ScoreRequest {
    /// Free text.
    #[serde(default)]
    pub id: String,
    /// The row.
    pub instance: ScoreInstance,
}

/// The row of a [`ScoreRequest`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ScoreInstance {
    /// Cells by column name.
    pub feature_vector: Map<String, Value>,
    /// Web service parameters by name.
    #[serde(default)]
    pub global_parameters: Map<String, Value>,
}
