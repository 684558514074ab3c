//! Rows about web service parameters.

use faults::{bad_argument, bad_user_argument};
use serde_json::{Value, json};

use crate::support::{Reply, Server, Service, assert_fault, packages};

/// input1 (x, maybe missing) → Clean Missing Data → output1, with the parameters under test.
fn clean(settings: Value, parameters: Value, defaults: Value) -> Value {
    let mut package = packages::pass_through(&["x", "y"]);
    let p = &mut package["properties"];
    for (port, name) in [("input", "input1"), ("output", "output1")] {
        for column in ["x", "y"] {
            p[port]["properties"][name]["properties"][column]["x-ms-isnullable"] = json!(true);
        }
    }
    p["assets"] = json!({"asset1": packages::clean_missing_data()});
    p["parameters"] = defaults;
    p["package"] = json!({
        "nodes": {
            "node1": {"inputId": "input1"},
            "node2": {"assetId": "asset1", "parameters": settings},
            "node3": {"outputId": "output1"}
        },
        "edges": [
            {"sourceNodeId": "node1", "targetNodeId": "node2", "targetPortId": "Dataset"},
            {"sourceNodeId": "node2", "sourcePortId": "Cleaned dataset", "targetNodeId": "node3"}
        ],
        "graphParameters": parameters
    });
    package
}

/// One web service parameter linked to one parameter of the cleaning node.
fn parameter(kind: &str, key: &str) -> Value {
    json!({"type": kind, "links": [{"nodeId": "node2", "parameterKey": key}]})
}

fn score(service: &Service, parameters: Value) -> Reply {
    service.score(&json!({
        "Inputs": {"input1": {"ColumnNames": ["x", "y"], "Values": [[1, null], [null, 4]]}},
        "GlobalParameters": parameters
    }))
}

const ALL: &str = r#"{"isFilter":true,"rules":[{"ruleType":"AllColumns","exclude":false}]}"#;

/// Out of range, of the wrong type, not among the modes.
pub fn bad_parameter_value() {
    let server = Server::start();
    let service = server.deploy(
        "clean",
        &clean(
            json!({"Columns to be cleaned": ALL, "Cleaning mode": "Custom substitution value", "Replacement value": "0"}),
            json!({
                "Ratio": parameter("Float", "Minimum missing value ratio"),
                "Mode": parameter("Mode", "Cleaning mode")
            }),
            json!({"Ratio": {"value": "0"}, "Mode": {"value": "Custom substitution value"}}),
        ),
    );
    assert_eq!(score(&service, json!({"Ratio": 0.25})).status, 200);
    for (name, value) in [
        ("Ratio", json!(1.5)),
        ("Ratio", json!("-0.1")),
        ("Ratio", json!("much")),
        ("Ratio", json!(true)),
        ("Mode", json!("Wash")),
    ] {
        let reply = score(&service, json!({name: value}));
        assert_fault(&reply, bad_argument::bad_parameter_value().at(name));
    }
}

/// A parameter without a default is left out.
pub fn missing_required_global_parameters() {
    let server = Server::start();
    let service = server.deploy(
        "clean",
        &clean(
            json!({"Columns to be cleaned": ALL, "Cleaning mode": "Custom substitution value", "Replacement value": "0"}),
            json!({"Ratio": parameter("Float", "Minimum missing value ratio")}),
            json!({}),
        ),
    );
    let expected = || bad_argument::missing_required_global_parameters().at("Ratio");
    assert_fault(&score(&service, json!({})), expected());
    assert_fault(&score(&service, Value::Null), expected());
    assert_eq!(score(&service, json!({"Ratio": "0"})).status, 200);
}

/// A parameter that the service does not have; names are case-sensitive.
pub fn unexpected_parameter() {
    let server = Server::start();
    let service = server.deploy_linear("linear");
    let reply = service.score(&json!({
        "Inputs": {"input1": {"ColumnNames": ["x"], "Values": [[1]]}},
        "GlobalParameters": {"Random seed": "7"}
    }));
    assert_fault(
        &reply,
        bad_argument::unexpected_parameter().at("Random seed"),
    );
}

/// A column selection that does not parse.
pub fn user_parameter_invalid() {
    let server = Server::start();
    let service = server.deploy("select", &select());
    let reply = score(&service, json!({"Columns": "{not a selection"}));
    assert_eq!(
        (reply.status, reply.header("x-ms-error-code")),
        (400, Some("UserParameterInvalid")),
        "{}",
        reply.text()
    );
    let body = reply.json();
    assert_eq!(body["error"]["code"], "BadArgument", "{body}");
    assert_eq!(body["error"]["details"][0]["target"], "Columns", "{body}");
    assert!(
        !body["error"]["details"][0]["message"]
            .as_str()
            .unwrap()
            .is_empty()
    );
}

/// A column selection that parses and selects nothing, found when the module runs.
pub fn selection_selects_nothing() {
    let server = Server::start();
    let service = server.deploy("select", &select());
    let nothing = r#"{"isFilter":true,"rules":[{"ruleType":"ColumnTypes","columnTypes":["DateTime"],"columnKinds":["All"],"exclude":false}]}"#;
    let reply = score(&service, json!({"Columns": nothing}));
    let body = reply.json();
    assert_eq!(
        (reply.status, &body["error"]["code"]),
        (400, &json!("BadUserArgument")),
        "{body}"
    );
    assert_eq!(
        reply.header("x-ms-error-code"),
        Some("UserParameterInvalid")
    );
}

fn select() -> Value {
    let mut package = clean(
        json!({}),
        json!({"Columns": parameter("ColumnPicker", "Select Columns")}),
        json!({"Columns": {"value": ALL}}),
    );
    let p = &mut package["properties"];
    p["assets"] = json!({"asset1": packages::select_columns()});
    p["package"]["nodes"]["node2"] = json!({"assetId": "asset1"});
    p["package"]["edges"][1]["sourcePortId"] = json!("Results dataset");
    // No columns are declared, so that the selection decides what comes out.
    p["output"]["properties"]["output1"]["properties"] = json!({});
    package
}

/// A service whose cleaning mode is a parameter, and whose replacement value is another that only
/// one mode takes.
fn modal() -> Value {
    clean(
        json!({"Columns to be cleaned": ALL}),
        json!({
            "Mode": parameter("Mode", "Cleaning mode"),
            "Replacement": parameter("String", "Replacement value")
        }),
        json!({"Mode": {"value": "Remove entire row"}}),
    )
}

/// The mode in force needs the replacement value, and the call leaves it out.
pub fn mode_parameter_missing() {
    let server = Server::start();
    let service = server.deploy("modal", &modal());
    assert_eq!(
        score(&service, json!({})).status,
        200,
        "the default mode needs none"
    );
    let reply = score(&service, json!({"Mode": "Custom substitution value"}));
    assert_fault(
        &reply,
        bad_user_argument::missing_required_global_parameters().at("Replacement"),
    );
    let reply = score(
        &service,
        json!({"Mode": "Custom substitution value", "Replacement": "5"}),
    );
    assert_eq!(reply.status, 200, "{}", reply.text());
}

/// The mode in force does not take the replacement value, and the call gives it.
pub fn mode_parameter_unexpected() {
    let server = Server::start();
    let service = server.deploy("modal", &modal());
    let reply = score(
        &service,
        json!({"Mode": "Remove entire row", "Replacement": "5"}),
    );
    assert_fault(
        &reply,
        bad_user_argument::unexpected_parameter().at("Replacement"),
    );
}
