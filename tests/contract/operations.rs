//! Rows about running an installation: its nodes, its storage, its shared configuration.

use std::process::Stdio;

use faults::{Class, Fault, internal_error};

use crate::support::{Request, Server, assert_fault, command, onnx, packages};

/// The only node is drained: no call is taken until it is resumed, over a restart neither.
pub fn service_uris_not_found() {
    let mut server = Server::start();
    let service = server.deploy_linear("linear");
    let nodes = Request::new("GET", "/umpire/v1/nodes")
        .bearer(&server.token())
        .send(server.address)
        .json();
    let node = nodes["nodes"][0]["id"].as_str().expect("an id").to_owned();
    assert_eq!(nodes["nodes"][0]["state"], "serving");
    let post = |server: &Server, verb: &str| {
        Request::new("POST", &format!("/umpire/v1/nodes/{node}/{verb}"))
            .bearer(&server.token())
            .send(server.address)
    };
    assert_eq!(post(&server, "drain").json()["state"], "drained");
    assert_fault(
        &service.score_x(1.0),
        internal_error::service_uris_not_found(),
    );
    for (method, rest) in [
        ("POST", ""),
        ("GET", ""),
        ("GET", "/0123456789abcdef0123456789abcdef"),
    ] {
        assert_fault(
            &service.ask_jobs(method, rest),
            internal_error::service_uris_not_found(),
        );
    }
    let ready = Request::new("GET", "/readyz").send(server.address);
    assert_fault(&ready, Fault::bare(Class::ServiceUnavailable));
    let stranger = Request::new("POST", &format!("{}?api-version=2.0", service.path()))
        .bearer("no key")
        .send(server.address);
    assert_eq!(stranger.status, 401, "a stranger learns nothing of it");

    server.restart();
    let service = server.service("linear");
    assert_fault(
        &service.score_x(1.0),
        internal_error::service_uris_not_found(),
    );
    assert_eq!(post(&server, "resume").json()["state"], "serving");
    assert_eq!(service.score_x(1.0).status, 200);
    assert_eq!(
        Request::new("GET", "/readyz").send(server.address).status,
        200
    );
}

/// The folder of blobs goes away under the server, and a file stands in its place at a start.
pub fn container_validation_failed() {
    let mut server = Server::start();
    let service = server.deploy_linear("linear");
    let (folder, away) = (server.data().join("blobs"), server.data().join("away"));
    std::fs::rename(&folder, &away).expect("the folder goes away");
    let gone = || internal_error::container_validation_failed("entity not found");
    let model = onnx::linear(&[3.0], 1.0);
    let upload = || {
        let hash = crate::support::sha256(&model);
        Request::new("PUT", &format!("/umpire/v1/blobs/{hash}"))
            .bearer(&server.token())
            .body(model.clone())
            .send(server.address)
    };
    assert_fault(&upload(), gone());
    let uri = format!("umpire:sha256:{}", crate::support::sha256(&model));
    let package = packages::regression(&uri, &["x"]);
    assert_fault(&server.put("linear", &package), gone());
    assert_eq!(service.score_x(1.0).status, 200, "what is loaded goes on");
    std::fs::rename(&away, &folder).expect("the folder comes back");
    assert_eq!(upload().status, 201);
    assert_eq!(server.put("linear", &package).status, 200);

    server.end(libc::SIGTERM);
    std::fs::rename(&folder, &away).expect("the folder goes away");
    std::fs::write(&folder, b"").expect("a file in its place");
    let output = command()
        .args(["serve", "--listen", "127.0.0.1:0", "--data"])
        .arg(server.data())
        .stdin(Stdio::null())
        .output()
        .expect("the program runs");
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{text}");
    let fault = internal_error::container_validation_failed("");
    assert!(text.contains(&fault.name()), "{text}");
    assert!(text.contains("blobs"), "the log names the folder: {text}");
}

/// The document is damaged under the server, and stands so at a start; a valid one heals it.
pub fn cluster_config_blob_misconfigured() {
    let mut server = Server::start();
    let service = server.deploy_linear("linear");
    let call = |server: &Server, method: &str, path: &str, body: &str| {
        Request::new(method, path)
            .bearer(&server.token())
            .body(body)
            .send(server.address)
    };
    let document = "/umpire/v1/cluster/configuration";
    let reload = "/umpire/v1/configuration/reload";
    let kept = call(&server, "PUT", document, r#"{"limits": {"rows": 7}}"#);
    assert_eq!(
        kept.status, 400,
        "a setting of each server's own is refused"
    );
    let kept = call(&server, "PUT", document, r#"{"limits": {"body": "32"}}"#);
    assert_eq!(kept.json()["changed"][0], "limits.body", "{}", kept.text());
    assert_eq!(
        service.score_x(1.0).status,
        400,
        "the body is over the limit"
    );

    let file = server
        .data()
        .join("blobs/system/cluster-configuration.json");
    let misconfigured = internal_error::cluster_config_blob_misconfigured;
    for damaged in [
        "",
        "{",
        "[]",
        r#"{"limits": {"boddy": 1}}"#,
        r#"{"limits": {"body": "much"}}"#,
        r#"{"listen": "0.0.0.0:1"}"#,
        r#"{"containers": {"memory_quota": "1MiB"}}"#,
    ] {
        std::fs::write(&file, damaged).expect("the document");
        assert_fault(&call(&server, "POST", reload, ""), misconfigured());
        assert_fault(&call(&server, "GET", document, ""), misconfigured());
        assert_eq!(service.score_x(1.0).status, 400, "the former settings hold");
    }
    server.end(libc::SIGTERM);
    let output = command()
        .args(["serve", "--listen", "127.0.0.1:0", "--data"])
        .arg(server.data())
        .stdin(Stdio::null())
        .output()
        .expect("the program runs");
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(4), "{text}");
    assert!(text.contains(&misconfigured().name()), "{text}");
    assert!(text.contains("containers.memory_quota"), "{text}");

    std::fs::remove_file(&file).expect("the document goes");
    server.start_again();
    std::fs::write(&file, "{").expect("the document");
    let healed = call(&server, "PUT", document, r#"{"limits.body": "1MiB"}"#);
    assert_eq!(healed.status, 200, "{}", healed.text());
    let service = server.service("linear");
    assert_eq!(service.score_x(1.0).status, 200);
}
