//! Rows about what lies in the data directory and is no longer what was put there.

use std::path::PathBuf;

use faults::internal_error;
use serde_json::Value;

use crate::support::{Reply, Request, Server, Service, assert_fault};

/// Deploys, stops the server, changes the stored definition, and starts again.
fn with_definition(change: impl Fn(&str) -> String) -> (Server, Service) {
    let mut server = Server::start();
    let service = server.deploy_linear("linear");
    server.end(libc::SIGTERM);
    let ledger =
        rusqlite::Connection::open(server.data().join("ledger.sqlite")).expect("the ledger");
    let definition: String = ledger
        .query_row("SELECT definition FROM revisions", [], |row| row.get(0))
        .expect("a revision");
    let changed = ledger
        .execute(
            "UPDATE revisions SET definition = ?1",
            [change(&definition)],
        )
        .expect("the definition is changed");
    assert_eq!(changed, 1);
    drop(ledger);
    server.start_again();
    let service = Service {
        address: server.address,
        ..service
    };
    (server, service)
}

fn swagger(server: &Server, service: &Service) -> Reply {
    let path = format!(
        "/workspaces/{}/services/{}/swagger.json",
        service.workspace, service.endpoint
    );
    Request::new("GET", &path).send(server.address)
}

/// The definition behind the API document cannot be read.
pub fn failed_getting_api_document() {
    let (server, service) = with_definition(|text| text[..text.len() / 2].to_owned());
    assert_fault(
        &swagger(&server, &service),
        internal_error::failed_getting_api_document(),
    );
}

/// The definition can no longer be decoded when a container loads it.
pub fn web_service_package_invalid() {
    let (_server, service) = with_definition(|text| text[..text.len() / 2].to_owned());
    let reply = service.score_x(1.0);
    assert_eq!(
        (reply.status, reply.header("x-ms-error-code")),
        (500, Some("WebServicePackageInvalid")),
        "{}",
        reply.text()
    );
    let message = reply.json()["error"]["details"][0]["message"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(message.contains("Details:"), "{message}");
}

/// A port of the stored definition has a type that this program does not know.
pub fn port_data_type_not_supported() {
    let (_server, service) = with_definition(|text| {
        let mut definition: Value = serde_json::from_str(text).expect("the definition");
        let properties = if definition.get("properties").is_some() {
            &mut definition["properties"]
        } else {
            &mut definition
        };
        let column = &mut properties["input"]["properties"]["input1"]["properties"]["x"];
        assert!(
            column.is_object(),
            "the stored definition keeps its shape: {text}"
        );
        column["format"] = "Quaternion".into();
        definition.to_string()
    });
    let reply = service.score_x(1.0);
    assert_eq!(
        (reply.status, reply.header("x-ms-error-code")),
        (500, Some("PortDataTypeNotSupported")),
        "{}",
        reply.text()
    );
    let message = reply.json()["error"]["details"][0]["message"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(
        message.contains("input1") && message.contains("Quaternion"),
        "{message}"
    );
}

/// A stored model has changed since it was stored.
pub fn model_package_invalid() {
    let mut server = Server::start();
    let service = server.deploy_linear("linear");
    server.end(libc::SIGTERM);
    let files = files(&server.data().join("blobs"));
    assert_eq!(files.len(), 1, "{files:?}");
    let mut bytes = std::fs::read(&files[0]).expect("the blob");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    // The blob itself is read-only; an operator's restore from a bad disk replaces it.
    std::fs::remove_file(&files[0]).expect("the blob is removed");
    std::fs::write(&files[0], bytes).expect("the blob is written");
    server.start_again();
    let service = Service {
        address: server.address,
        ..service
    };
    assert_fault(
        &service.score_x(1.0),
        internal_error::model_package_invalid(),
    );
}

fn files(dir: &std::path::Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).expect("a folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(files(&path))
        } else {
            found.push(path)
        }
    }
    found
}

/// The ledger fails on a read: its table is gone under the running server.
pub fn unknown_error() {
    let server = Server::start();
    let service = server.deploy_linear("linear");
    let ledger =
        rusqlite::Connection::open(server.data().join("ledger.sqlite")).expect("the ledger");
    ledger
        .busy_timeout(std::time::Duration::from_secs(10))
        .unwrap();
    ledger
        .execute_batch("PRAGMA foreign_keys = OFF; ALTER TABLE revisions RENAME TO elsewhere;")
        .expect("the table is renamed");
    let reply = Request::new("GET", "/umpire/v1/services/linear/revisions")
        .bearer(&server.token())
        .send(server.address);
    assert_fault(&reply, internal_error::unknown_error());
    assert_eq!(
        service.score_x(1.0).status,
        200,
        "scoring does not ask the ledger"
    );
}
