//! Model packages: their form, and the definitions that they become.

mod common;

use common::{SCALE, registry};
use faults::Fault;
use faults::rows::{
    BadArgument as Bad, Conflict, InternalError, WebServicePackageError as PackageError,
};
use graph::{ModelPackage, Package, Plan, StoredKind};
use serde_json::{Map, Value, json};

/// `x` → Scale → `x`, scaled by the web service parameter `By`.
fn scale() -> Value {
    json!({
        "Workflow": {
            "ModuleNodes": [{
                "Id": "n", "ModuleId": format!("w.{SCALE}.v1-default-2"),
                "ModuleParameters": [
                    {"Name": "Factor", "Value": "By", "ValueType": "GraphParameterName"},
                    {"Name": "Count", "Value": 3, "ValueType": "Literal",
                     "LinkedGlobalParameter": null},
                    {"Name": "Secret", "Value": "hush"}
                ],
                "InputPortsInternal": [{"Name": "Dataset", "NodeId": "n"}],
                "OutputPortsInternal": [{"Name": "Results dataset", "NodeId": "n"}]
            }],
            "EdgesInternal": [],
            "SerializedClientData": ""
        },
        "Inputs": [{"GraphModuleNodeId": "n", "PortName": "Dataset", "Name": "in"}],
        "Outputs": [{"GraphModuleNodeId": "n", "PortName": "Results dataset", "Name": "out"}],
        "InputsMetadata": [{"Name": "x", "Type": "Double"}],
        "OutputsMetadata": [{"Name": "x", "Type": "Double"}],
        "Parameters": [{"Name": "By", "Type": "Float", "DefaultValue": "2"}]
    })
}

fn read(package: &Value) -> Result<ModelPackage, Fault> {
    ModelPackage::from_json(package)
}

/// The package as the definition that it becomes, validated.
#[track_caller]
fn plan(package: &Value) -> Package {
    let definition = read(package).unwrap().definition();
    let package = Package::from_json(&definition.into()).unwrap();
    Plan::validate(&package, &registry()).unwrap();
    package
}

#[track_caller]
fn format_error(package: &Value, place: &str) {
    let fault = read(package).unwrap_err();
    assert!(fault.is(&PackageError::FormatError), "{}", fault.name());
    let said = &fault.details()[0].args[0];
    assert!(said.starts_with(place), "{place} in {said:?}");
    // The same document in the ledger is not the caller's fault.
    let stored = ModelPackage::from_stored_json(package).unwrap_err();
    assert!(stored.is(&InternalError::ModelPackageInvalid));
    assert!(
        stored.cause().unwrap().contains(place),
        "{:?}",
        stored.cause()
    );
}

#[test]
fn a_package_becomes_a_definition_that_validates() {
    let package = plan(&scale());
    assert_eq!(package.inputs[0].name, "in");
    assert_eq!(package.outputs[0].name, "out");
    let (name, parameter) = &package.graph_parameters[0];
    assert_eq!(name, "By");
    assert_eq!(parameter.links[0].parameter, "Factor");
    assert_eq!(package.default_of("By"), Some("2"));
    let (_, node) = package.nodes.iter().find(|(id, _)| id == "n").unwrap();
    let names: Vec<&str> = node.parameters.iter().map(|(n, _)| n.as_str()).collect();
    assert_eq!(names, ["Count", "Secret"]);
}

#[test]
fn names_count_in_any_case_and_parameters_need_no_declaration() {
    fn lower(value: &Value) -> Value {
        match value {
            Value::Object(map) => {
                let members = map.iter().map(|(k, v)| (k.to_lowercase(), lower(v)));
                members.collect::<Map<_, _>>().into()
            }
            Value::Array(items) => items.iter().map(lower).collect(),
            other => other.clone(),
        }
    }
    let package = scale();
    assert_eq!(read(&lower(&package)).unwrap(), read(&package).unwrap());
    let mut undeclared = package.clone();
    undeclared["Parameters"] = json!([]);
    let graph = plan(&undeclared);
    assert_eq!(graph.graph_parameters[0].0, "By");
    let mut by_link = package;
    by_link["Workflow"]["ModuleNodes"][0]["ModuleParameters"][0] =
        json!({"Name": "Factor", "Value": "5", "LinkedGlobalParameter": "BY"});
    let graph = plan(&by_link);
    assert_eq!(graph.graph_parameters.len(), 1, "the declared spelling");
    assert_eq!(graph.graph_parameters[0].1.links.len(), 1);
}

#[test]
fn stored_inputs_become_resources_unless_an_input_takes_their_port() {
    let digits = "AB".repeat(32);
    let mut package = scale();
    let port = &mut package["Workflow"]["ModuleNodes"][0]["InputPortsInternal"][0];
    port["DataSourceId"] = json!(digits);
    assert_eq!(read(&package).unwrap().stored_inputs(), []);
    package["Inputs"] = json!([]);
    package["InputsMetadata"] = json!([]);
    package["UpdatableInputs"] =
        json!([{"GraphModuleNodeId": "n", "PortName": "dataset", "Name": "Numbers"}]);
    let found = read(&package).unwrap();
    let [stored] = found.stored_inputs() else {
        panic!("{:?}", found.stored_inputs())
    };
    assert_eq!(stored.kind, StoredKind::DataSource);
    assert_eq!(stored.name, "Numbers [dataset]");
    assert_eq!(
        stored.uri,
        format!("umpire:sha256:{}", digits.to_lowercase())
    );
    let definition = Value::from(found.definition());
    assert_eq!(
        definition["assets"][&stored.asset]["name"],
        "Numbers [dataset]"
    );

    package["Workflow"]["ModuleNodes"][0]["InputPortsInternal"][0]["DataSourceId"] =
        json!("https://a.example/c/d.csv?sv=1&sig=s");
    let found = read(&package).unwrap();
    let stored = &found.stored_inputs()[0];
    assert_eq!(stored.uri, "https://a.example/c/d.csv");
    assert_eq!(stored.credentials, "?sv=1&sig=s");
    package["Workflow"]["ModuleNodes"][0]["InputPortsInternal"][0]["TrainedModelId"] = json!("m");
    format_error(
        &package,
        "Workflow.ModuleNodes[0].InputPortsInternal[0].TrainedModelId",
    );
}

#[test]
fn columns_are_told_in_several_ways() {
    let table =
        json!({"type": "object", "properties": {"x": {"type": "Number", "format": "Double"}}});
    for schema in [
        table.clone(),
        json!(table.to_string()),
        json!([{"Name": "x", "Type": "Number", "Format": "double"}]),
        json!([{"Name": "x", "Type": "numeric", "IsNullable": "false"}]),
        json!("[{\"Name\":\"x\",\"Type\":\"Double\"}]"),
    ] {
        let mut package = scale();
        package["Inputs"][0]["Schema"] = schema.clone();
        package["InputsMetadata"] = Value::Null;
        let graph = plan(&package);
        let columns = graph.inputs[0].schema.fields();
        assert_eq!(columns.len(), 1, "{schema}");
        assert_eq!(columns[0].data_type, tables::DataType::Double, "{schema}");
    }
    for (word, found) in [
        ("Int", tables::DataType::Int32),
        ("Int64", tables::DataType::Int64),
        ("SByte", tables::DataType::Int8),
        ("Single", tables::DataType::Float),
        ("bool", tables::DataType::Boolean),
        ("TimeSpan", tables::DataType::Duration),
    ] {
        let mut package = scale();
        package["InputsMetadata"] = json!([{"Name": "x", "Type": word}]);
        package["OutputsMetadata"] = json!([]);
        assert_eq!(plan(&package).inputs[0].schema.fields()[0].data_type, found);
    }
    let mut package = scale();
    package["InputsMetadata"] = json!([{"Name": "x", "Type": "Complex64"}]);
    let fault = read(&package).unwrap_err();
    assert!(fault.is(&Bad::DataTypeNotSupported));
    assert_eq!(fault.details()[0].target.as_deref(), Some("in/x"));
}

#[test]
fn mistakes_of_form_are_told_with_their_place() {
    type Change = fn(&mut Value);
    let cases: [(Change, &str); 13] = [
        (|p| *p = json!([]), "the definition"),
        (|p| p["Workflow"] = Value::Null, "Workflow"),
        (
            |p| p["Workflow"]["ModuleNodes"] = json!({}),
            "Workflow.ModuleNodes",
        ),
        (
            |p| p["Workflow"]["ModuleNodes"][0]["Id"] = json!("a:b"),
            "Workflow.ModuleNodes[0].Id",
        ),
        (
            |p| {
                let node = p["Workflow"]["ModuleNodes"][0].clone();
                p["Workflow"]["ModuleNodes"]
                    .as_array_mut()
                    .unwrap()
                    .push(node);
            },
            "Workflow.ModuleNodes[1].Id",
        ),
        (
            |p| p["Workflow"]["ModuleNodes"][0]["ModuleParameters"][1]["ValueType"] = json!("x"),
            "Workflow.ModuleNodes[0].ModuleParameters[1].ValueType",
        ),
        (
            |p| p["Workflow"]["ModuleNodes"][0]["ModuleParameters"][0]["Value"] = json!(""),
            "Workflow.ModuleNodes[0].ModuleParameters[0].Value",
        ),
        (
            |p| p["Workflow"]["EdgesInternal"] = json!([{"SourceOutputPortId": "n"}]),
            "Workflow.EdgesInternal[0].SourceOutputPortId",
        ),
        (
            |p| p["Outputs"][0]["OutputType"] = json!("Picture"),
            "Outputs[0].OutputType",
        ),
        (
            |p| p["Inputs"][0]["Schema"] = json!("{"),
            "Inputs[0].Schema",
        ),
        (
            |p| p["Inputs"][0]["PortName"] = json!(""),
            "Inputs[0].PortName",
        ),
        (
            |p| p["Parameters"][0]["Type"] = json!("Integer"),
            "Parameters[0].Type",
        ),
        (
            |p| {
                p["InputsMetadata"] =
                    json!([{"Name": "x", "Type": "Int"}, {"Name": "x", "Type": "Int"}])
            },
            "InputsMetadata[1]",
        ),
    ];
    for (change, place) in cases {
        let mut package = scale();
        change(&mut package);
        format_error(&package, place);
    }
}

#[test]
fn names_of_what_is_not_there_are_validation_errors() {
    type Change = fn(&mut Value);
    let cases: [(Change, &str); 4] = [
        (
            |p| {
                p["Workflow"]["EdgesInternal"] =
                    json!([{"SourceOutputPortId": "m:a", "DestinationInputPortId": "n:Dataset"}])
            },
            "\"m\"",
        ),
        (
            |p| p["Inputs"][0]["GraphModuleNodeId"] = json!("m"),
            "Inputs[0]",
        ),
        (
            |p| {
                let output = p["Outputs"][0].clone();
                p["Outputs"].as_array_mut().unwrap().push(output);
            },
            "\"out\"",
        ),
        (
            |p| p["UpdatableInputs"] = json!([{"GraphModuleNodeId": "n", "PortName": "Dataset"}]),
            "nothing stored",
        ),
    ];
    for (change, word) in cases {
        let mut package = scale();
        change(&mut package);
        let fault = read(&package).unwrap_err();
        assert!(fault.is(&PackageError::ValidationError), "{}", fault.name());
        assert!(fault.details()[0].args[0].contains(word), "{fault:?}");
    }
    // Ports are the graph's own affair.
    let mut package = scale();
    package["Inputs"][0]["PortName"] = json!("Nowhere");
    let definition = read(&package).unwrap().definition();
    let package = Package::from_json(&definition.into()).unwrap();
    let fault = Plan::validate(&package, &registry()).unwrap_err();
    assert!(fault.is(&PackageError::ValidationError));
}

#[test]
fn outputs_are_needed_for_data_and_for_what_scripts_print() {
    let configuration = |package: &Value| {
        let fault = read(package).unwrap_err();
        assert!(
            fault.is(&Bad::ModelConfigurationInvalid),
            "{}",
            fault.name()
        );
    };
    let mut package = scale();
    package["Outputs"] = json!([]);
    package["OutputsMetadata"] = json!([]);
    configuration(&package);
    for module in [
        "506153734175476c4f62416c57734963.CDB56F957F4C404DBDE75BB972E6F232.v1-default-1",
        "Execute R Script",
    ] {
        let mut package = scale();
        let nodes = package["Workflow"]["ModuleNodes"].as_array_mut().unwrap();
        nodes.push(json!({"Id": "script", "ModuleId": module}));
        configuration(&package);
        let outputs = package["Outputs"].as_array_mut().unwrap();
        outputs.push(json!({"OutputType": "StdErr"}));
        outputs.push(json!({"OutputType": "StandardOutput", "Name": "printed"}));
        let read = read(&package).unwrap();
        let definition = Value::from(read.definition());
        let ports = definition["output"]["properties"].as_object().unwrap();
        assert_eq!(ports.len(), 1, "what is printed is no table");
    }
}

#[test]
fn metadata_name_the_columns_that_the_outputs_have() {
    let mismatch = |package: &Value, column: &str| {
        let fault = read(package).unwrap_err();
        assert!(
            fault.is(&Conflict::ModelOutputMetadataMismatch),
            "{}",
            fault.name()
        );
        let target = format!("OutputsMetadata/{column}");
        assert_eq!(fault.details()[0].target.as_deref(), Some(target.as_str()));
    };
    let mut package = scale();
    package["Outputs"][0]["Schema"] =
        json!([{"Name": "x", "Type": "Double"}, {"Name": "y", "Type": "Double"}]);
    mismatch(&package, "y");
    package["OutputsMetadata"] = json!([{"Name": "y"}, {"Name": "x"}]);
    read(&package).unwrap();
    package["OutputsMetadata"] = json!([{"Name": "y"}, {"Name": "x"}, {"Name": "z"}]);
    mismatch(&package, "z");
    let mut package = scale();
    package["OutputsMetadata"] = json!([{"Name": "x"}, {"Name": "x"}]);
    mismatch(&package, "x");
    // Names alone leave the columns to the graph.
    package["OutputsMetadata"] = json!([{"Name": "x"}]);
    assert!(plan(&package).outputs[0].schema.is_empty());
}

#[test]
fn what_is_shown_has_no_secrets() {
    let mut package = scale();
    let node = &mut package["Workflow"]["ModuleNodes"][0];
    node["InputPortsInternal"][0]["DataSourceId"] = json!("https://a/b?sig=hush");
    let parameters = node["ModuleParameters"].as_array_mut().unwrap();
    parameters.push(json!({"Name": "Label", "Value": "open"}));
    let unknown = json!({"Id": "u", "ModuleId": "Unknown",
        "ModuleParameters": [{"Name": "Account Key", "Value": "hush"}]});
    package["Workflow"]["ModuleNodes"]
        .as_array_mut()
        .unwrap()
        .push(unknown);
    let secret = &mut package["Workflow"]["ModuleNodes"][0]["ModuleParameters"][2];
    *secret = json!({"name": "secret", "Value": "hush", "LinkedGlobalParameter": "Password"});
    package["Parameters"] = json!([
        {"Name": "password", "DefaultValue": "hush"},
        {"Name": "Other", "Value": "hush", "ParameterDefinition": {"ParameterType": "credential"}},
        {"Name": "By", "DefaultValue": "2"}
    ]);
    graph::model_package::without_secrets(&mut package, &registry());
    let text = package.to_string();
    assert!(!text.contains("hush"), "{text}");
    assert!(
        text.contains("\"open\"") && text.contains("https://a/b"),
        "{text}"
    );
    assert_eq!(package["Parameters"][2]["DefaultValue"], "2");
    // Whatever else it is, it does not break.
    for mut odd in [
        json!(null),
        json!([]),
        json!({"Workflow": 7}),
        json!({"Workflow": {"ModuleNodes": [1, {"ModuleParameters": {}}]}}),
    ] {
        graph::model_package::without_secrets(&mut odd, &registry());
    }
}
