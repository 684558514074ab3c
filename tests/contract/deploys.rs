//! Rows that a deploy provokes by its definition or its model.

use faults::{Class, Fault, bad_argument, conflict};
use serde_json::{Value, json};

use crate::support::{Reply, Request, Server, assert_fault, onnx, packages};

/// Puts a definition that must be refused, and checks that nothing of it stays.
fn refused(server: &Server, definition: &Value) -> Reply {
    let reply = server.put("refused", definition);
    let listed = Request::new("GET", "/umpire/v1/services")
        .bearer(&server.token())
        .send(server.address)
        .json();
    assert!(
        listed["services"].as_array().unwrap().is_empty(),
        "something stayed: {listed}"
    );
    reply
}

/// The public message of the first detail.
fn message(reply: &Reply) -> String {
    reply.json()["error"]["details"][0]["message"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

/// A column format that nobody can serve.
pub fn data_type_not_supported() {
    let server = Server::start();
    for (kind, format) in [
        ("Number", "Complex64"),
        ("Integer", "Int128"),
        ("Matrix", ""),
    ] {
        let mut package = packages::pass_through(&["x"]);
        package["properties"]["input"]["properties"]["input1"]["properties"]["x"] =
            json!({"type": kind, "format": format});
        let reply = refused(&server, &package);
        assert_fault(
            &reply,
            bad_argument::data_type_not_supported().at("input1/x"),
        );
    }
}

/// JSON that is not a package: the place is named.
pub fn format_error() {
    let server = Server::start();
    let mut package = packages::pass_through(&["x"]);
    package["properties"]["package"]["edges"][0]["targetNodeId"] = json!(7.5);
    let reply = refused(&server, &package);
    assert_eq!(
        (reply.status, reply.header("x-ms-error-code")),
        (400, Some("FormatError")),
        "{}",
        reply.text()
    );
    assert!(
        message(&reply).contains("edges[0].targetNodeId"),
        "{}",
        message(&reply)
    );
    let mut package = packages::pass_through(&["x"]);
    package["properties"]["package"]["nodes"] = json!([]);
    let reply = refused(&server, &package);
    assert_eq!(
        reply.header("x-ms-error-code"),
        Some("FormatError"),
        "{}",
        reply.text()
    );
    assert!(message(&reply).contains("nodes"), "{}", message(&reply));
}

/// A model operator that no engine has, by name; and a module that this installation lacks.
pub fn runtimes_error() {
    let server = Server::start();
    let model = server.upload(&onnx::unknown_operator());
    let reply = refused(&server, &packages::regression(&model, &["x"]));
    assert_eq!(
        (reply.status, reply.header("x-ms-error-code")),
        (400, Some("RuntimesError")),
        "{}",
        reply.text()
    );
    assert!(
        message(&reply).contains("com.example.Divination"),
        "{}",
        message(&reply)
    );
    let model = server.upload(&onnx::linear(&[1.0], 0.0));
    let mut package = packages::regression(&model, &["x"]);
    package["properties"]["assets"]["asset1"] =
        packages::module("Divine", "00000000000000000000000000000001");
    let reply = refused(&server, &package);
    assert_eq!(
        reply.header("x-ms-error-code"),
        Some("RuntimesError"),
        "{}",
        reply.text()
    );
    assert!(message(&reply).contains("Divine"), "{}", message(&reply));
}

/// Graphs that do not hold together, each with the place at fault.
pub fn validation_error() {
    let server = Server::start();
    let model = server.upload(&onnx::linear(&[1.0], 0.0));
    let base = packages::regression(&model, &["x"]);
    type Change = fn(&mut Value);
    let cases: [(&str, Change, &[&str]); 7] = [
        (
            "unknown node",
            |p| p["edges"][0]["sourceNodeId"] = json!("ghost"),
            &["ghost"],
        ),
        (
            "unknown port",
            |p| p["edges"][2]["sourcePortId"] = json!("Ghost port"),
            &["Ghost port", "node3"],
        ),
        (
            "unconnected port",
            |p| drop(p["edges"].as_array_mut().unwrap().remove(0)),
            &["node3", "Trained model"],
        ),
        (
            "two writers",
            |p| {
                let edge = p["edges"][0].clone();
                p["nodes"]["node5"] = json!({"assetId": "asset2"});
                let mut second = edge;
                second["sourceNodeId"] = json!("node5");
                p["edges"].as_array_mut().unwrap().push(second);
            },
            &["node3", "Trained model"],
        ),
        (
            "mismatched kinds",
            |p| {
                p["edges"][0]["targetPortId"] = json!("Dataset");
                p["edges"][1]["targetPortId"] = json!("Trained model");
            },
            &["node3"],
        ),
        (
            "parameter link to nothing",
            |p| p["graphParameters"] = json!({"P": {"type": "String", "links": [{"nodeId": "node3", "parameterKey": "Nothing"}]}}),
            &["P", "Nothing"],
        ),
        (
            "cycle",
            |p| {
                p["nodes"]["node6"] = json!({"assetId": "asset1"});
                p["edges"][1] = json!({"sourceNodeId": "node6", "sourcePortId": "Scored dataset", "targetNodeId": "node3", "targetPortId": "Dataset"});
                let edges = p["edges"].as_array_mut().unwrap();
                edges.push(json!({"sourceNodeId": "node3", "sourcePortId": "Scored dataset", "targetNodeId": "node6", "targetPortId": "Dataset"}));
                edges.push(json!({"sourceNodeId": "node2", "sourcePortId": "Results dataset", "targetNodeId": "node6", "targetPortId": "Trained model"}));
            },
            &["cycle"],
        ),
    ];
    for (what, change, words) in cases {
        let mut package = base.clone();
        change(&mut package["properties"]["package"]);
        let reply = refused(&server, &package);
        assert_eq!(
            (reply.status, reply.header("x-ms-error-code")),
            (400, Some("ValidationError")),
            "{what}: {}",
            reply.text()
        );
        for word in words {
            assert!(
                message(&reply).contains(word),
                "{what}: {word:?} in {:?}",
                message(&reply)
            );
        }
    }
}

/// The graph produces other columns than the package declares.
pub fn model_output_metadata_mismatch() {
    let server = Server::start();
    let model = server.upload(&onnx::linear(&[1.0], 0.0));
    let mut package = packages::regression(&model, &["x"]);
    package["properties"]["output"]["properties"]["output1"] =
        packages::doubles(&["x", "Prediction"]);
    let reply = refused(&server, &package);
    let body = reply.json();
    assert_eq!(
        (reply.status, &body["error"]["code"]),
        (409, &json!("Conflict")),
        "{body}"
    );
    assert_eq!(
        reply.header("x-ms-error-code"),
        Some("ModelOutputMetadataMismatch")
    );
    let fault = conflict::model_output_metadata_mismatch();
    assert_eq!(
        body["error"]["details"][0]["message"],
        fault.details()[0].row.unwrap().en
    );
}

/// A file that is no model, and one that is cut off.
pub fn model_package_format_error() {
    let server = Server::start();
    let whole = onnx::linear(&[1.0, 2.0, 3.0], 0.0);
    for bytes in [
        b"this is not a model".to_vec(),
        whole[..whole.len() / 2].to_vec(),
    ] {
        let model = server.upload(&bytes);
        let reply = refused(&server, &packages::regression(&model, &["x", "y", "z"]));
        assert_fault(&reply, Fault::bare(Class::ModelPackageFormatError));
    }
}

/// An input and an output of one name and of different columns: their Swagger definitions clash.
pub fn swagger_generation() {
    let server = Server::start();
    let model = server.upload(&onnx::linear(&[2.0], 1.0));
    let mut package = packages::regression(&model, &["x"]);
    let properties = &mut package["properties"];
    properties["output"]["properties"] =
        json!({"input1": packages::doubles(&["x", "Scored Labels"])});
    properties["package"]["nodes"]["node4"] = json!({"outputId": "input1"});
    let service = server.deploy("clash", &package);
    assert_eq!(service.score_x(1.0).status, 200, "it scores all the same");
    let path = format!(
        "/workspaces/{}/services/{}/swagger.json",
        service.workspace, service.endpoint
    );
    let reply = Request::new("GET", &path).send(server.address);
    assert_eq!(
        (reply.status, reply.header("x-ms-error-code")),
        (500, Some("SwaggerGeneration")),
        "{}",
        reply.text()
    );
    assert!(
        message(&reply).contains("input1Item"),
        "{}",
        message(&reply)
    );
}

/// `keys` with one of its two parts missing or empty.
pub fn missing_keys() {
    let server = Server::start();
    for keys in [
        json!({"primary": "only"}),
        json!({"secondary": "only"}),
        json!({"primary": "a key", "secondary": ""}),
    ] {
        let mut package = packages::pass_through(&["x"]);
        package["properties"]["keys"] = keys;
        assert_fault(
            &refused(&server, &package),
            bad_argument::missing_keys().at("keys"),
        );
    }
    let mut package = packages::pass_through(&["x"]);
    package["properties"]["keys"] = json!({"primary": "first key", "secondary": "second key"});
    let service = server.deploy("keyed", &package);
    assert_eq!(
        (service.primary.as_str(), service.secondary.as_str()),
        ("first key", "second key")
    );
    assert_eq!(service.score_x(1.0).status, 200);
}

/// More calls at once than the installation allows to any endpoint.
pub fn too_many_concurrent_calls() {
    let server = Server::start();
    let mut package = packages::pass_through(&["x"]);
    package["properties"]["realtimeConfiguration"] = json!({"maxConcurrentCalls": 201});
    assert_fault(
        &refused(&server, &package),
        bad_argument::web_service_too_many_concurrent_request_requirement("200")
            .at("realtimeConfiguration/maxConcurrentCalls"),
    );
}

/// Another package type than `Graph`.
pub fn web_service_type_invalid() {
    let server = Server::start();
    let mut package = packages::pass_through(&["x"]);
    package["properties"]["packageType"] = json!("Code");
    assert_fault(
        &refused(&server, &package),
        bad_argument::web_service_type_invalid("Graph"),
    );
}
