//! Web service definitions made by hand, in the shape of api-version 2017-01-01.

use serde_json::{Map, Value, json};

/// The module of a family, as definitions name it.
pub fn module(name: &str, family: &str) -> Value {
    json!({
        "name": name,
        "type": "Module",
        "locationInfo": {
            "uri": format!("aml://module/506153734175476c4f62416c57734963.{family}.v1-default-1751"),
            "credentials": ""
        }
    })
}

/// Score Model.
pub fn score_model() -> Value {
    module("Score Model", "401b4f92e7244d5abe81d5b0ff9bdb33")
}

/// Select Columns in Dataset.
pub fn select_columns() -> Value {
    module(
        "Select Columns in Dataset",
        "1ec722fab6234e26a44ea50c6d726223",
    )
}

/// Clean Missing Data.
pub fn clean_missing_data() -> Value {
    module("Clean Missing Data", "d2c5ca2f732341a39b7eda917c99f0c4")
}

/// Edit Metadata.
pub fn edit_metadata() -> Value {
    module("Edit Metadata", "370b6676c11c486fbf7335349f842a66")
}

/// A trained-model resource.
pub fn trained_model(uri: &str) -> Value {
    json!({
        "name": "Test [trained model]",
        "type": "Resource",
        "locationInfo": {"uri": uri, "credentials": ""},
        "outputPorts": {"Results dataset": {"type": "Dataset"}}
    })
}

/// A Double column.
pub fn double() -> Value {
    json!({"type": "Number", "format": "Double", "x-ms-isnullable": false})
}

/// A port of Double columns.
pub fn doubles(columns: &[&str]) -> Value {
    let columns: Map<String, Value> = columns.iter().map(|c| (c.to_string(), double())).collect();
    json!({"type": "object", "properties": columns})
}

/// input1 → Score Model (a regressor of Double columns) → output1: the inputs and `Scored Labels`.
pub fn regression(model: &str, columns: &[&str]) -> Value {
    let mut outputs = columns.to_vec();
    outputs.push("Scored Labels");
    json!({
        "location": "South Central US",
        "properties": {
            "packageType": "Graph",
            "title": "Test service",
            "input": {"type": "object", "properties": {"input1": doubles(columns)}},
            "output": {"type": "object", "properties": {"output1": doubles(&outputs)}},
            "assets": {"asset1": score_model(), "asset2": trained_model(model)},
            "package": {
                "nodes": {
                    "node1": {"inputId": "input1"},
                    "node2": {"assetId": "asset2"},
                    "node3": {"assetId": "asset1", "parameters": {
                        "Append score columns to output": {"value": "True", "certificateThumbprint": ""}
                    }},
                    "node4": {"outputId": "output1"}
                },
                "edges": [
                    {"sourceNodeId": "node2", "sourcePortId": "Results dataset", "targetNodeId": "node3", "targetPortId": "Trained model"},
                    {"sourceNodeId": "node1", "targetNodeId": "node3", "targetPortId": "Dataset"},
                    {"sourceNodeId": "node3", "sourcePortId": "Scored dataset", "targetNodeId": "node4"}
                ],
                "graphParameters": {}
            }
        }
    })
}

/// input1 → output1 with Double columns: no module at all.
pub fn pass_through(columns: &[&str]) -> Value {
    json!({
        "location": "South Central US",
        "properties": {
            "packageType": "Graph",
            "title": "Pass through",
            "input": {"type": "object", "properties": {"input1": doubles(columns)}},
            "output": {"type": "object", "properties": {"output1": doubles(columns)}},
            "package": {
                "nodes": {"node1": {"inputId": "input1"}, "node2": {"outputId": "output1"}},
                "edges": [{"sourceNodeId": "node1", "targetNodeId": "node2"}],
                "graphParameters": {}
            }
        }
    })
}

/// The regression of [`regression`] as a model package of the Studio API.
pub fn model_package(model: &str, columns: &[&str]) -> Value {
    let mut outputs = columns.to_vec();
    outputs.push("Scored Labels");
    let described: Vec<Value> = outputs
        .iter()
        .map(|name| json!({"Name": name, "Type": "Double"}))
        .collect();
    json!({
        "StatusCode": "InTesting",
        "Workflow": {
            "ModuleNodes": [{
                "Id": "-17",
                "ModuleId": "506153734175476c4f62416c57734963.401b4f92e7244d5abe81d5b0ff9bdb33.v1-default-1751",
                "ModuleParameters": [
                    {"Name": "Append score columns to output", "Value": "True", "ValueType": "Literal"}
                ],
                "InputPortsInternal": [
                    {"DataSourceId": null, "TrainedModelId": model, "TransformModuleId": null,
                     "Name": "Trained model", "NodeId": "-17"},
                    {"DataSourceId": null, "TrainedModelId": null, "TransformModuleId": null,
                     "Name": "Dataset", "NodeId": "-17"}
                ],
                "OutputPortsInternal": [{"Name": "Scored dataset", "NodeId": "-17"}]
            }],
            "EdgesInternal": [],
            "SerializedClientData": "<?xml version='1.0' encoding='utf-16'?><DataV1/>"
        },
        "Inputs": [{"GraphModuleNodeId": "-17", "PortName": "Dataset", "Name": "input1",
                    "Schema": doubles(columns)}],
        "Outputs": [{"GraphModuleNodeId": "-17", "PortName": "Scored dataset", "Name": "output1",
                     "Schema": doubles(&outputs), "OutputType": "Dataset"}],
        "OutputsMetadata": described,
        "Parameters": [],
        "UpdatableInputs": []
    })
}
