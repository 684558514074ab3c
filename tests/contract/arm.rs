//! Rows about what a web service definition names and what is stored of it.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use faults::{internal_error, web_service_package_internal_error};
use serde_json::json;

use crate::support::{Server, Service, Setup, assert_fault, onnx, packages};

/// The server that a resource lies on answers 500, and then closes without an answer; each time it
/// is asked again before it is given up.
pub fn resource_download() {
    for answer in [
        "HTTP/1.1 500 Broken\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        "",
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("its address");
        let asked = Arc::new(AtomicUsize::new(0));
        let count = asked.clone();
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                count.fetch_add(1, Ordering::SeqCst);
                let _ = stream.read(&mut [0; 4096]);
                let _ = stream.write_all(answer.as_bytes());
            }
        });
        let server = Setup::default()
            .config("[outbound]\nallow = [\"http://127.0.0.1\"]\nretries = 2")
            .start();
        let uri = format!("http://{address}/models/m.ilearner");
        let reply = server.put("away", &packages::regression(&uri, &["x"]));
        assert_fault(
            &reply,
            internal_error::resource_download().at("assets/asset2"),
        );
        assert_eq!(asked.load(Ordering::SeqCst), 3, "two retries");
    }
}

/// What was uploaded as a transform is none.
pub fn resource_load_failed() {
    let server = Server::start();
    let transform = server.upload(b"{\"kind\": \"nothing that is known\"}");
    let mut package = packages::pass_through(&["x"]);
    let properties = &mut package["properties"];
    let mut resource = packages::trained_model(&transform);
    resource["name"] = json!("Cleaning [transform]");
    properties["assets"] = json!({
        "asset1": packages::module("Apply Transformation", "805e592d0f1f48eb97c9688ed0c1dc70"),
        "asset2": resource,
    });
    properties["package"]["nodes"] = json!({
        "node1": {"inputId": "input1"},
        "node2": {"assetId": "asset2"},
        "node3": {"assetId": "asset1"},
        "node4": {"outputId": "output1"},
    });
    properties["package"]["edges"] = json!([
        {"sourceNodeId": "node2", "sourcePortId": "Results dataset", "targetNodeId": "node3", "targetPortId": "Transformation"},
        {"sourceNodeId": "node1", "targetNodeId": "node3", "targetPortId": "Dataset"},
        {"sourceNodeId": "node3", "sourcePortId": "Transformed dataset", "targetNodeId": "node4"},
    ]);
    let reply = server.put("broken", &package);
    assert_fault(&reply, internal_error::resource_load_failed().at("node2"));
}

/// The ledger lists another resource than the package asks for.
pub fn invalid_web_service_resources() {
    let mut server = Server::start();
    let service = server.deploy_linear("linear");
    server.end(libc::SIGTERM);
    let ledger =
        rusqlite::Connection::open(server.data().join("ledger.sqlite")).expect("the ledger");
    let changed = ledger
        .execute("UPDATE resources SET asset_id = 'asset9'", [])
        .expect("the list is changed");
    assert_eq!(changed, 1);
    drop(ledger);
    server.start_again();
    let service = Service {
        address: server.address,
        ..service
    };
    assert_fault(
        &service.score_x(1.0),
        internal_error::invalid_web_service_resources(),
    );
    // With the same definition deployed again it is whole.
    let model = server.upload(&onnx::linear(&[2.0], 1.0));
    server.deploy("linear", &packages::regression(&model, &["x"]));
    assert_eq!(service.score_x(1.0).status, 200);
}

/// The operator's description of a module is at fault: the package that names it is not.
pub fn module_error() {
    const OWN: &str = "0123456789abcdef0123456789abcdef";
    let mut server = Server::start();
    let model = server.upload(&onnx::linear(&[2.0], 1.0));
    let mut package = packages::regression(&model, &["x"]);
    package["properties"]["assets"]["asset1"] = packages::module("My scorer", OWN);
    let unknown = server.put("own", &package);
    assert_eq!(unknown.header("x-ms-error-code"), Some("RuntimesError"));
    let folder = server.data().join("modules.d");
    std::fs::create_dir(&folder).expect("a folder");
    for (description, problem) in [
        (
            r#"{"module": "Score Mode"}"#,
            "no built-in module is called \"Score Mode\"",
        ),
        (r#"{"names": []}"#, "it has no text \"module\""),
    ] {
        server.end(libc::SIGTERM);
        std::fs::write(folder.join(format!("{OWN}.json")), description).expect("a description");
        server.start_again();
        let text = format!("the description of the module {OWN} is at fault: {problem}");
        let fault = web_service_package_internal_error::module_error(text).at("assets/asset1");
        assert_fault(&server.put("own", &package), fault);
    }
    // Corrected, the same package works, in the containers too and after a restart.
    server.end(libc::SIGTERM);
    std::fs::write(
        folder.join(format!("{OWN}.json")),
        r#"{"module": "Score Model"}"#,
    )
    .expect("a description");
    server.start_again();
    let service = server.deploy("own", &package);
    assert_eq!(service.score_x(1.0).status, 200);
    server.restart();
    let service = Service {
        address: server.address,
        ..service
    };
    assert_eq!(service.score_x(1.0).status, 200);
}
