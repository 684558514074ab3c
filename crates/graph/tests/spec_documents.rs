//! The documents of the specification, where they are at hand: `UMPIRE_SPEC`, else `shared/spec`
//! beside the workspace. Elsewhere these tests say that they skip.

mod common;

use std::path::PathBuf;

use common::registry;
use graph::{Package, ParameterKind, Plan};
use serde_json::Value;
use tables::DataType;

fn document(path: &str) -> Option<Value> {
    let workspace = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..");
    let root = std::env::var_os("UMPIRE_SPEC")
        .map_or_else(|| workspace.join("../shared/spec"), PathBuf::from);
    let Ok(text) = std::fs::read(root.join(path)) else {
        println!("skipped: {} has no {path}", root.display());
        return None;
    };
    Some(serde_json::from_slice(&text).expect("the specification is JSON"))
}

#[test]
fn the_definition_of_an_old_client_reads() {
    let Some(document) = document("definitions/real-dogfood-apply-math.json") else {
        return;
    };
    let package = Package::from_json(&document).unwrap();
    assert_eq!(package.title, "ServiceTitle");
    assert!(!package.read_only && package.expose_sample_data);
    assert_eq!(package.inputs[0].schema.len(), 5);
    assert_eq!(package.nodes.len(), 3);
    assert_eq!(
        package.edges[1].source_port.as_deref(),
        Some("Results dataset")
    );
    assert_eq!(package.graph_parameters.len(), 4);
    for (name, parameter) in &package.graph_parameters {
        assert_eq!(parameter.kind, None);
        assert!(package.default_of(name).is_some(), "{name}");
    }
    assert_eq!(
        package.example.as_ref().map(|e| e.inputs[0].1.len()),
        Some(5)
    );
    let fault = Plan::validate(&package, &registry()).unwrap_err();
    assert_eq!(fault.name(), "WebServicePackageError.RuntimesError");
    assert!(fault.details()[0].args[0].contains("6bd12c13d9c3452294d34aa44513af57"));
}

#[test]
fn the_predictive_definition_reads() {
    let Some(document) = document("definitions/example-predictive-census.json") else {
        return;
    };
    let package = Package::from_json(&document).unwrap();
    let names: Vec<&str> = package.inputs[0].schema.names().collect();
    assert_eq!(
        names,
        ["age", "workclass", "education", "hours-per-week", "income"]
    );
    let workclass = &package.inputs[0].schema.fields()[1];
    assert_eq!(workclass.categories.as_ref().map(|c| c.len()), Some(3));
    assert_eq!(package.max_concurrent_calls, Some(20));
    assert_eq!(package.resources().next().map(|(id, _)| id), Some("asset3"));
    let families: Vec<Option<&str>> = package
        .assets
        .iter()
        .map(|(_, asset)| asset.module_family())
        .collect();
    assert_eq!(
        families,
        [
            Some("1ec722fab6234e26a44ea50c6d726223"),
            Some("401b4f92e7244d5abe81d5b0ff9bdb33"),
            None
        ]
    );
    assert_eq!(
        package.default_of("append score COLUMNS to output"),
        Some("True")
    );
    assert_eq!(
        package.graph_parameters[0].1.kind,
        Some(ParameterKind::Boolean)
    );
}

#[test]
fn the_example_of_the_api_reads() {
    let Some(document) = document("arm/stable/2017-01-01/examples/putWebService.json") else {
        return;
    };
    let body = document["parameters"]
        .as_object()
        .and_then(|parameters| parameters.values().find(|v| v["properties"].is_object()))
        .expect("the example has a body");
    let package = Package::from_json(body).unwrap();
    assert_eq!(package.nodes.len(), 4);
    let script = &package.nodes[0].1.parameters[1];
    assert_eq!(script.1.value.as_deref(), Some("CRAN R 3.1.0"));
    let fault = Plan::validate(&package, &registry()).unwrap_err();
    assert_eq!(fault.name(), "WebServicePackageError.RuntimesError");
}

#[test]
fn every_type_of_the_api_is_known() {
    for path in [
        "arm/stable/2017-01-01/webservices.json",
        "arm/preview/2016-05-01-preview/webservices.json",
    ] {
        let Some(document) = document(path) else {
            return;
        };
        let words = |definition: &str, property: &str| -> Vec<String> {
            let list = &document["definitions"][definition]["properties"][property]["enum"];
            let list = list
                .as_array()
                .unwrap_or_else(|| panic!("{path}: {definition}.{property}"));
            list.iter()
                .filter_map(Value::as_str)
                .map(str::to_owned)
                .collect()
        };
        for word in words("GraphParameter", "type") {
            assert!(ParameterKind::from_name(&word).is_some(), "{path}: {word}");
        }
        let types = words("ColumnSpecification", "type");
        for format in words("ColumnSpecification", "format") {
            let known = types
                .iter()
                .any(|kind| DataType::from_spec(kind, &format).is_some());
            assert_eq!(known, !format.starts_with("Complex"), "{path}: {format}");
        }
    }
}
