//! The form of a definition: what is accepted, and the place named where it is not.

mod common;

use common::{name_and_target, scale_definition};
use faults::Fault;
use graph::{AssetKind, Package};
use serde_json::{Value, json};
use tables::DataType;

fn refused(definition: &Value) -> Fault {
    Package::from_json(definition).expect_err("the definition is wrong")
}

fn problem(definition: &Value) -> String {
    let fault = refused(definition);
    assert_eq!(fault.name(), "WebServicePackageError.FormatError");
    fault.details()[0].args[0].clone()
}

#[test]
fn both_versions_and_any_case_give_the_same_package() {
    let mut new = scale_definition();
    new["properties"]["package"]["nodes"]["node2"]["parameters"] =
        json!({"Factor": {"value": 3, "certificateThumbprint": ""}, "Flag": {"value": true}});
    new["properties"]["parameters"] = json!({"p": {"value": "1"}});
    new["properties"]["exposeSampleData"] = json!(false);
    new["properties"]["realtimeConfiguration"] = json!({"maxConcurrentCalls": 20});

    let mut old = scale_definition();
    let package = &mut old["properties"]["package"];
    package["nodes"]["node2"]["parameters"] = json!({"Factor": "3", "Flag": "True"});
    let renamed = json!({
        "Nodes": package["nodes"], "Edges": package["edges"], "GraphParameters": {},
    });
    old["properties"]["Package"] = renamed;
    old["properties"].as_object_mut().unwrap().remove("package");
    old["properties"]["PARAMETERS"] = json!({"p": 1});
    old["properties"]["ExposeSampleData"] = json!("FALSE");
    old["properties"]["RealtimeConfiguration"] = json!({"MaxConcurrentCalls": "20"});
    old["properties"]["description"] = Value::Null;

    let (new, old) = (
        Package::from_json(&new).unwrap(),
        Package::from_json(&old["properties"]).unwrap(),
    );
    assert_eq!(new.nodes, old.nodes);
    assert_eq!(new.edges, old.edges);
    assert_eq!(new.parameters[0].1.value, old.parameters[0].1.value);
    assert_eq!(new.max_concurrent_calls, Some(20));
    assert_eq!(old.max_concurrent_calls, Some(20));
    assert!(!new.expose_sample_data && !old.expose_sample_data);
    assert_eq!(new.nodes[1].1.parameters[0].1.value.as_deref(), Some("3"));
    assert_eq!(old.default_of("P"), Some("1"));
    assert_eq!(old.assets[0].1.kind, AssetKind::Module);
}

#[test]
fn columns_keep_the_order_of_the_properties() {
    let mut definition = scale_definition();
    definition["properties"]["input"]["properties"]["input1"]["properties"] = json!({
        "zeta": {"type": "integer", "format": ""},
        "alpha": {"Type": "STRING", "Enum": ["a", 2, true], "X-MS-IsNullable": "true"},
        "Alpha": {"type": "Boolean"},
    });
    let package = Package::from_json(&definition).unwrap();
    let fields = package.inputs[0].schema.fields();
    let names: Vec<&str> = fields.iter().map(|f| f.name.as_str()).collect();
    assert_eq!(names, ["zeta", "alpha", "Alpha"]);
    assert_eq!(fields[0].data_type, DataType::Int32);
    assert!(!fields[0].nullable && fields[1].nullable);
    let categories = fields[1].categories.as_deref().unwrap();
    assert_eq!(
        categories,
        ["a".to_owned(), "2".to_owned(), "True".to_owned()]
    );
}

#[test]
fn each_mistake_of_form_is_named_with_its_path() {
    type Change = fn(&mut Value);
    let cases: [(Change, &str); 22] = [
        (|p| *p = json!([]), "properties: must be an object"),
        (
            |p| p["title"] = json!({}),
            "properties.title: must be a string",
        ),
        (
            |p| p["readOnly"] = json!("perhaps"),
            "properties.readOnly: must be true or false",
        ),
        (
            |p| p["realtimeConfiguration"] = json!({"maxConcurrentCalls": 4.5}),
            "properties.realtimeConfiguration.maxConcurrentCalls: must be a whole number",
        ),
        (
            |p| p["package"] = json!("x"),
            "properties.package: must be an object",
        ),
        (
            |p| p["package"]["nodes"] = Value::Null,
            "properties.package.nodes: is required",
        ),
        (
            |p| p["package"]["nodes"] = json!([]),
            "properties.package.nodes: must be an object",
        ),
        (
            |p| p["package"]["edges"] = json!({}),
            "properties.package.edges: must be an array",
        ),
        (
            |p| p["package"]["edges"][1]["targetNodeId"] = json!(3),
            "properties.package.edges[1].targetNodeId: must be a string",
        ),
        (
            |p| p["package"]["edges"][0]["sourceNodeId"] = Value::Null,
            "properties.package.edges[0].sourceNodeId: is required",
        ),
        (
            |p| p["package"]["nodes"]["node2"]["parameters"]["A b"] = json!([1]),
            "properties.package.nodes.node2.parameters[\"A b\"]: must be a string, a number",
        ),
        (
            |p| p["package"]["nodes"]["node2"]["parameters"] = json!({"a": 1, "A": 2}),
            "properties.package.nodes.node2.parameters: \"a\" and \"A\" differ in case only",
        ),
        (
            |p| p["Title"] = json!("a second title"),
            "properties.Title: is given twice, as \"title\" and as \"Title\"",
        ),
        (
            |p| p["package"]["graphParameters"]["g"] = json!({"type": "Integer", "links": []}),
            "properties.package.graphParameters.g.type: is not a parameter type: \"Integer\"",
        ),
        (
            |p| p["package"]["graphParameters"]["g"] = json!({"links": [{"nodeId": "n"}]}),
            "properties.package.graphParameters.g.links[0].parameterKey: is required",
        ),
        (
            |p| p["assets"]["asset1"]["type"] = json!("Code"),
            "properties.assets.asset1.type: must be Module or Resource",
        ),
        (
            |p| p["assets"]["asset1"]["locationInfo"] = json!({}),
            "properties.assets.asset1.locationInfo.uri: is required",
        ),
        (
            |p| p["assets"]["asset1"]["name"] = Value::Null,
            "properties.assets.asset1.name: is required",
        ),
        (
            |p| p["input"]["properties"]["input1"]["properties"]["x"] = json!("Number"),
            "properties.input.properties.input1.properties.x: must be an object",
        ),
        (
            |p| p["input"]["properties"]["input1"]["properties"]["x"] = json!({}),
            "properties.input.properties.input1.properties.x.type: is required",
        ),
        (
            |p| p["input"]["properties"][""] = json!({}),
            "properties.input.properties[\"\"]: a name must not be empty",
        ),
        (
            |p| p["exampleRequest"] = json!({"inputs": {"input1": [1]}}),
            "properties.exampleRequest.inputs.input1[0]: must be an array of cells",
        ),
    ];
    for (change, expected) in cases {
        let mut definition = scale_definition();
        definition["properties"]["title"] = json!("a title");
        change(&mut definition["properties"]);
        let problem = problem(&definition);
        assert!(
            problem.starts_with(expected),
            "{problem}\nexpected {expected}"
        );
    }
    assert!(problem(&json!([])).starts_with("the definition: must be an object"));
}

#[test]
fn sizes_are_limited() {
    let mut definition = scale_definition();
    let nodes: serde_json::Map<String, Value> =
        (0..1_001).map(|i| (format!("n{i}"), json!({}))).collect();
    definition["properties"]["package"]["nodes"] = Value::Object(nodes);
    assert!(problem(&definition).contains("has 1001 nodes; at most 1000"));
    let mut definition = scale_definition();
    let columns: serde_json::Map<String, Value> = (0..5_000)
        .map(|i| (format!("c{i}"), json!({"type": "String"})))
        .collect();
    definition["properties"]["input"]["properties"]["input1"]["properties"] = columns.into();
    assert!(problem(&definition).contains("has 5000 columns; at most 4096"));
}

#[test]
fn types_that_are_not_supported_have_a_row_of_their_own() {
    let mut definition = scale_definition();
    let port = &mut definition["properties"]["input"]["properties"]["input1"];
    port["properties"]["x"] = json!({"type": "Number", "format": "Complex64"});
    let fault = refused(&definition);
    assert_eq!(
        name_and_target(&fault),
        (
            "BadArgument.DataTypeNotSupported".to_owned(),
            Some("input1/x".to_owned())
        )
    );
    let stored = Package::from_stored_json(&definition).unwrap_err();
    assert_eq!(stored.name(), "InternalError.PortDataTypeNotSupported");
    assert_eq!(stored.details()[0].args, ["input1", "Number/Complex64"]);

    let mut definition = scale_definition();
    definition["properties"]["output"]["properties"]["output1"]["type"] = json!("file");
    let fault = refused(&definition);
    assert_eq!(fault.details()[0].target.as_deref(), Some("output1"));

    let mut definition = scale_definition();
    definition["properties"]["assets"]["asset1"]["inputPorts"] =
        json!({"Dataset": {"type": "Zip"}});
    let fault = Package::from_stored_json(&definition).unwrap_err();
    assert_eq!(fault.details()[0].args, ["Dataset", "Zip"]);
}

#[test]
fn other_package_types_and_no_package_have_rows_of_their_own() {
    let mut definition = scale_definition();
    definition["properties"]["packageType"] = json!("Code");
    let fault = refused(&definition);
    assert_eq!(fault.name(), "BadArgument.WebServiceTypeInvalid");
    assert_eq!(fault.details()[0].args, ["Graph"]);
    let fault = Package::from_stored_json(&definition).unwrap_err();
    assert_eq!(fault.name(), "InternalError.WebServicePackageInvalid");

    definition["properties"]["packageType"] = json!("graph");
    assert!(Package::from_json(&definition).is_ok());
    definition["properties"]
        .as_object_mut()
        .unwrap()
        .remove("packageType");
    assert!(Package::from_json(&definition).is_ok());

    definition["properties"]
        .as_object_mut()
        .unwrap()
        .remove("package");
    assert_eq!(
        refused(&definition).name(),
        "BadArgument.MissingWebServicePackage"
    );
}

#[test]
fn a_stored_definition_that_no_longer_reads_is_not_the_callers_fault() {
    let mut definition = scale_definition();
    definition["properties"]["package"]["edges"] = json!(1);
    let fault = Package::from_stored_json(&definition).unwrap_err();
    assert_eq!(fault.name(), "InternalError.WebServicePackageInvalid");
    assert!(fault.details()[0].args[0].starts_with("properties.package.edges"));
}

#[test]
fn example_rows_may_be_arrays_or_objects() {
    let mut definition = scale_definition();
    definition["properties"]["exampleRequest"] = json!({
        "inputs": {"input1": [["1", null], {"name": "b", "x": 2}], "other": null},
        "globalParameters": null,
    });
    let example = Package::from_json(&definition).unwrap().example.unwrap();
    assert_eq!(example.inputs[0].1[0], [json!("1"), Value::Null]);
    assert_eq!(example.inputs[0].1[1], [json!(2), json!("b")]);
    assert!(example.global_parameters.is_empty());
}
