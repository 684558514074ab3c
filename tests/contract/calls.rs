//! Rows that a scoring call provokes by what it sends.

use faults::{Class, bad_argument, bad_user_argument, invalid_operation};
use serde_json::{Value, json};

use crate::support::{Request, Server, Setup, assert_fault, one_x, onnx, packages};

/// Another api-version, a malformed one, and none.
pub fn bad_version_call() {
    let server = Server::start();
    let service = server.deploy_linear("linear");
    for (query, received) in [
        ("?api-version=3.0", "3.0"),
        ("?api-version=two", "two"),
        ("?API-Version=1.0&details=true", "1.0"),
    ] {
        let reply = Request::new("POST", &format!("{}{query}", service.path()))
            .bearer(&service.primary)
            .json(&one_x(1.0))
            .send(server.address);
        assert_fault(&reply, bad_argument::bad_version_call(received));
    }
    let reply = Request::new("POST", &service.path())
        .bearer(&service.primary)
        .json(&one_x(1.0))
        .send(server.address);
    assert_eq!(reply.status, 400);
    assert_eq!(reply.header("x-ms-error-code"), Some("BadVersionCall"));
}

/// An input that the service does not have.
pub fn invalid_input_names() {
    let server = Server::start();
    let service = server.deploy_linear("linear");
    let reply =
        service.score(&json!({"Inputs": {"Input1": {"ColumnNames": ["x"], "Values": [[1]]}}}));
    assert_fault(&reply, bad_argument::invalid_input_names("Input1"));
}

/// A known query key with a value that is not accepted.
pub fn invalid_query_parameter() {
    let server = Server::start();
    let service = server.deploy_linear("linear");
    for (query, parameter) in [("details=maybe", "details"), ("format=xml", "format")] {
        let reply = Request::new(
            "POST",
            &format!("{}?api-version=2.0&{query}", service.path()),
        )
        .bearer(&service.primary)
        .json(&one_x(1.0))
        .send(server.address);
        assert_eq!(reply.status, 400, "{}", reply.text());
        assert_eq!(
            reply.header("x-ms-error-code"),
            Some("InvalidQueryParameter")
        );
        let message = reply.json()["error"]["details"][0]["message"]
            .as_str()
            .unwrap()
            .to_owned();
        assert!(message.contains(&format!("'{parameter}'")), "{message}");
    }
    // Unknown keys are ignored.
    let reply = Request::new(
        "POST",
        &format!("{}?api-version=2.0&colour=blue", service.path()),
    )
    .bearer(&service.primary)
    .json(&one_x(1.0))
    .send(server.address);
    assert_eq!(reply.status, 200, "{}", reply.text());
}

/// `Inputs` absent, null and empty.
pub fn missing_request_input() {
    let server = Server::start();
    let service = server.deploy_linear("linear");
    for body in [
        json!({"GlobalParameters": {}}),
        json!({"Inputs": null}),
        json!({"Inputs": {}}),
    ] {
        assert_fault(&service.score(&body), bad_argument::missing_request_input());
    }
}

/// No body, no JSON, a repeated key, too deep, and too large: refused without being buffered.
pub fn request_body_invalid() {
    let server = Setup::default().config("[limits]\nbody = \"1MiB\"").start();
    let service = server.deploy_linear("linear");
    let deep = "[".repeat(10_000);
    let repeated = r#"{"Inputs":{"input1":[{"x":1,"x":2}]}}"#;
    for body in [
        "",
        "not json",
        "{\"Inputs\":",
        "[1]x",
        deep.as_str(),
        repeated,
        "{\"Inputs\":7}",
    ] {
        let reply = service
            .request(&Value::Null)
            .body(body)
            .send(server.address);
        assert_eq!(reply.status, 400, "{body:.40}: {}", reply.text());
        assert_eq!(
            reply.header("x-ms-error-code"),
            Some("RequestBodyInvalid"),
            "{body:.40}"
        );
    }
    let reply = service.request(&Value::Null).body("").send(server.address);
    assert_fault(&reply, bad_argument::request_body_invalid());
    let large = vec![b' '; 2 << 20];
    assert_fault(
        &service
            .request(&Value::Null)
            .body(large.clone())
            .send(server.address),
        bad_argument::request_body_invalid(),
    );
    assert_fault(
        &service
            .request(&Value::Null)
            .body(large)
            .chunked()
            .send(server.address),
        bad_argument::request_body_invalid(),
    );
    assert_eq!(service.score_x(1.0).status, 200, "the service goes on");
}

/// JSON that says nothing.
pub fn request_is_empty() {
    let server = Server::start();
    let service = server.deploy_linear("linear");
    for body in ["null", "{}", "[]", "  {} "] {
        let reply = service
            .request(&Value::Null)
            .body(body)
            .send(server.address);
        assert_fault(&reply, bad_argument::request_is_empty());
    }
}

/// Columns missing, extra and repeated: an entry a column.
pub fn input_mismatch_error() {
    let server = Server::start();
    let model = server.upload(&onnx::linear(&[1.0, 1.0], 0.0));
    let service = server.deploy("two", &packages::regression(&model, &["x", "y"]));
    let mismatch = |target: &str| bad_user_argument::input_mismatch_error().at(target);
    let reply =
        service.score(&json!({"Inputs": {"input1": {"ColumnNames": ["x"], "Values": [[1]]}}}));
    assert_fault(&reply, mismatch("input1/y"));
    let reply = service.score(&json!({"Inputs": {"input1": [{"x": 1, "y": 2, "z": 3}]}}));
    assert_fault(&reply, mismatch("input1/z"));
    let reply = service.score(
        &json!({"Inputs": {"input1": {"ColumnNames": ["x", "y", "y"], "Values": [[1, 2, 3]]}}}),
    );
    assert_fault(&reply, mismatch("input1/y"));
    let reply = service
        .score(&json!({"Inputs": {"input1": {"ColumnNames": ["a", "b"], "Values": [[1, 2]]}}}));
    let body = reply.json();
    assert_eq!(reply.status, 400);
    assert_eq!(
        body["error"]["details"].as_array().unwrap().len(),
        4,
        "{body}"
    );
}

/// A cell that does not convert, a short row, a missing value: row, column, value and type named.
pub fn input_parse_error() {
    let server = Server::start();
    let service = server.deploy_linear("linear");
    for (cells, words) in [
        (json!([["1"], ["abc"]]), vec!["row 2", "x", "abc", "Double"]),
        (json!([[null]]), vec!["row 1", "x"]),
        (json!([[1, 2]]), vec!["row 1", "2"]),
        (json!([[true]]), vec!["row 1", "x", "Double"]),
    ] {
        let reply =
            service.score(&json!({"Inputs": {"input1": {"ColumnNames": ["x"], "Values": cells}}}));
        assert_eq!(reply.status, 400, "{}", reply.text());
        assert_eq!(reply.header("x-ms-error-code"), Some("InputParseError"));
        let body = reply.json();
        assert_eq!(body["error"]["code"], "BadUserArgument");
        let message = body["error"]["details"][0]["message"].as_str().unwrap();
        for word in words {
            assert!(message.contains(word), "{word:?} in {message:?}");
        }
    }
    // The verdict on the parameters goes before the verdict on the cells, whatever their order.
    let reply = service.request(&Value::Null).body(
        r#"{"Inputs":{"input1":{"Values":[["abc"]],"ColumnNames":["x"]}},"GlobalParameters":{"nope":1}}"#,
    );
    assert_fault(
        &reply.send(server.address),
        bad_argument::unexpected_parameter().at("nope"),
    );
}

/// The v1 call on a service with two outputs.
pub fn incompatible_model() {
    let server = Server::start();
    let mut package = packages::pass_through(&["x"]);
    let properties = &mut package["properties"];
    properties["output"]["properties"]["output2"] = packages::doubles(&["x"]);
    properties["package"]["nodes"]["node3"] = json!({"outputId": "output2"});
    properties["package"]["edges"]
        .as_array_mut()
        .unwrap()
        .push(json!({"sourceNodeId": "node1", "targetNodeId": "node3"}));
    let service = server.deploy("two-outputs", &package);
    let reply = Request::new("POST", &service.path().replace("/execute", "/score"))
        .bearer(&service.primary)
        .json(&json!({"Id": "score00001", "Instance": {"FeatureVector": {"x": "1"}, "GlobalParameters": {}}}))
        .send(server.address);
    assert_fault(&reply, invalid_operation::incompatible_model());
}

/// Two inputs for a service that has one.
pub fn multiple_inputs_not_allowed() {
    let server = Server::start();
    let service = server.deploy_linear("linear");
    let table = json!({"ColumnNames": ["x"], "Values": [[1]]});
    let reply = service.score(&json!({"Inputs": {"input1": table, "input2": table}}));
    assert_fault(&reply, invalid_operation::multiple_inputs_not_allowed());
}

/// A model that loads and fails when it runs: a Gather beyond the end, by the row's own value.
pub fn library_execution_error() {
    let server = Server::start();
    let model = onnx::Model {
        nodes: vec![
            onnx::Node::new("", "Cast", &["x"], &["index"]).with("to", onnx::Attribute::Int(7)),
            onnx::Node::new("", "Gather", &["table", "index"], &["found"]),
            onnx::Node::new("", "Reshape", &["found", "column"], &["variable"]),
        ],
        inputs: vec![onnx::Port("x".into(), 1, 1)],
        outputs: vec![onnx::Port("variable".into(), 1, 1)],
        constants: vec![
            onnx::Tensor::f32("table", &[3], vec![10.0, 20.0, 30.0]),
            onnx::Tensor::i64("column", &[2], vec![-1, 1]),
        ],
    };
    let model = server.upload(&model.encode());
    let service = server.deploy("gather", &packages::regression(&model, &["x"]));
    assert_eq!(service.score_x(1.0).status, 200);
    let reply = service.score_x(7.0);
    let body = reply.json();
    assert_eq!(
        (reply.status, &body["error"]["code"]),
        (400, &json!("LibraryExecutionError")),
        "{body}"
    );
    assert_eq!(body["error"]["message"], Class::LibraryExecutionError.en());
    let detail = &body["error"]["details"][0];
    assert_eq!(detail["target"], "node3", "{body}");
    assert!(
        detail["message"].as_str().unwrap().contains("Gather"),
        "{body}"
    );
    assert_eq!(reply.header("x-ms-error-code"), detail["code"].as_str());
}

/// A module that refuses the data: a missing value for a model that has no way to take one.
pub fn module_execution_error() {
    let server = Server::start();
    let model = server.upload(&onnx::linear(&[2.0], 1.0));
    let mut package = packages::regression(&model, &["x"]);
    for port in ["input", "output"] {
        let name = if port == "input" { "input1" } else { "output1" };
        package["properties"][port]["properties"][name]["properties"]["x"]["x-ms-isnullable"] =
            json!(true);
    }
    let service = server.deploy("linear", &package);
    let reply = service.score(&json!({"Inputs": {"input1": [{"x": 1}, {"x": null}]}}));
    let body = reply.json();
    assert_eq!(
        (reply.status, &body["error"]["code"]),
        (400, &json!("ModuleExecutionError")),
        "{body}"
    );
    let detail = &body["error"]["details"][0];
    assert_eq!(detail["target"], "node3", "{body}");
    let message = detail["message"].as_str().unwrap();
    assert!(
        message.contains("Row 2") && message.contains("\"x\""),
        "{message}"
    );
    assert_eq!(body["error"]["message"], Class::ModuleExecutionError.en());
}
