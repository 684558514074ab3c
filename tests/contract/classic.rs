//! Rows of the classic API: endpoints, and resources that are replaced or deleted.

use std::path::PathBuf;

use faults::{bad_argument, internal_error};
use serde_json::{Value, json};

use crate::support::storage::{SIGNATURE, Storage};
use crate::support::{Reply, Request, Server, Service, Setup, assert_fault, onnx, packages};

/// Where the blob stands in the body.
const TARGET: &str = "Resources[0].Location";
const BLOB: &str = "container/retrained.ilearner";

fn root(service: &Service) -> String {
    format!(
        "/workspaces/{}/webservices/{}",
        service.workspace, service.service
    )
}

fn ask(server: &Server, method: &str, path: &str, body: &Value) -> Reply {
    Request::new(method, path)
        .bearer(&server.token())
        .json(body)
        .send(server.address)
}

/// A service with a second endpoint, whose model may be fetched from the storage.
struct Retrained {
    storage: Storage,
    server: Server,
    service: Service,
    endpoint: String,
}

impl Retrained {
    fn start() -> Retrained {
        let storage = Storage::start();
        storage.put(BLOB, onnx::linear(&[10.0], 0.5));
        let config = format!("{}\nretries = 0", storage.allowed());
        let server = Setup::default().config(&config).start();
        let service = server.deploy_linear("linear");
        let endpoint = format!("{}/endpoints/copy", root(&service));
        let made = ask(&server, "PUT", &endpoint, &json!({}));
        assert_eq!(made.status, 201, "{}", made.text());
        Retrained {
            storage,
            server,
            service,
            endpoint,
        }
    }

    fn update(&self, base: &str, relative: &str) -> Reply {
        let body = json!({"Resources": [{"Name": "Test [trained model]", "Location": {
            "BaseLocation": base, "RelativeLocation": relative, "SasBlobToken": SIGNATURE}}]});
        ask(&self.server, "PATCH", &self.endpoint, &body)
    }

    /// The endpoint's answer for x = 1.
    fn answer(&self) -> Value {
        let endpoint = ask(&self.server, "GET", &self.endpoint, &json!({})).json();
        let id = endpoint["ApiLocation"].as_str().unwrap();
        let copy = Service {
            address: self.server.address,
            workspace: self.service.workspace.clone(),
            service: self.service.service.clone(),
            endpoint: id.rsplit('/').next().unwrap().to_owned(),
            primary: endpoint["PrimaryKey"].as_str().unwrap().to_owned(),
            secondary: endpoint["SecondaryKey"].as_str().unwrap().to_owned(),
        };
        copy.score_x(1.0).json()["Results"]["output1"]["value"]["Values"][0][1].clone()
    }
}

/// The folder of blobs takes no new ones: a restore has put a file in the place of a folder. Then
/// the ledger takes no writes: somebody's shell holds it.
pub fn update_web_service_resource_failed() {
    let retrained = Retrained::start();
    let base = retrained.storage.base();
    let incoming: PathBuf = retrained.server.data().join("blobs/incoming");
    std::fs::remove_dir(&incoming).expect("the folder is empty");
    std::fs::write(&incoming, b"not a folder").expect("the file");
    assert_fault(
        &retrained.update(&base, BLOB),
        internal_error::update_web_service_resource_failed().at(TARGET),
    );
    assert_eq!(retrained.answer(), "3", "the old one goes on");
    std::fs::remove_file(&incoming).unwrap();
    std::fs::create_dir(&incoming).unwrap();

    let ledger = retrained.server.data().join("ledger.sqlite");
    let shell = rusqlite::Connection::open(ledger).expect("the ledger");
    shell.execute_batch("BEGIN IMMEDIATE").expect("the lock");
    assert_fault(
        &retrained.update(&base, BLOB),
        internal_error::update_web_service_resource_failed(),
    );
    assert_eq!(retrained.answer(), "3", "the old one goes on");
    shell.execute_batch("ROLLBACK").unwrap();
    let reply = retrained.update(&base, BLOB);
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(retrained.answer(), "10.5");
}

/// The ledger's file is away while a service is to be deleted. Nothing is half gone, and once the
/// file is back the same call does it.
pub fn delete_web_service_resource_failed() {
    let retrained = Retrained::start();
    let server = &retrained.server;
    let (ledger, away) = (
        server.data().join("ledger.sqlite"),
        server.data().join("ledger.away"),
    );
    let failed = internal_error::delete_web_service_resource_failed;
    std::fs::rename(&ledger, &away).expect("the ledger is moved");
    for path in [&retrained.endpoint, &root(&retrained.service)] {
        assert_fault(&ask(server, "DELETE", path, &json!({})), failed());
    }
    assert_eq!(retrained.service.score_x(1.0).status, 200);
    std::fs::rename(&away, &ledger).expect("the ledger is back");
    assert_eq!(retrained.answer(), "3");
    for path in [&retrained.endpoint, &root(&retrained.service)] {
        assert_eq!(ask(server, "DELETE", path, &json!({})).status, 204);
    }
    let gone = retrained.service.score_x(1.0);
    assert!(gone.status >= 400, "{}", gone.text());
}

/// A base that is no URL, and a place that this installation does not fetch from.
pub fn invalid_blob() {
    let retrained = Retrained::start();
    for (base, shown) in [
        ("account.blob", "account.blob/container/retrained.ilearner"),
        (
            "http://192.0.2.1/",
            "http://192.0.2.1/container/retrained.ilearner",
        ),
    ] {
        assert_fault(
            &retrained.update(base, BLOB),
            bad_argument::invalid_blob(shown).at(TARGET),
        );
    }
}

/// A blob that is not there; what storage answered is told.
pub fn blob_not_found() {
    let retrained = Retrained::start();
    let base = retrained.storage.base();
    let reply = retrained.update(&base, "container/absent.ilearner");
    let said = "404 BlobNotFound: The specified blob does not exist.";
    assert_fault(
        &reply,
        bad_argument::blob_not_found(format!("{base}container/absent.ilearner"), said).at(TARGET),
    );
}

/// A blob that is neither model nor transform by its name.
pub fn invalid_blob_extension() {
    let retrained = Retrained::start();
    let base = retrained.storage.base();
    for relative in ["container/scores.csv", "container/model"] {
        assert_fault(
            &retrained.update(&base, relative),
            bad_argument::invalid_blob_extension(
                format!("{base}{relative}"),
                ".ilearner, .itransform, .onnx, .txt, .json, .ubj",
            )
            .at(TARGET),
        );
    }
}

/// A location whose blob container has no name.
pub fn container_is_empty() {
    let retrained = Retrained::start();
    assert_fault(
        &retrained.update(&retrained.storage.base(), "//retrained.ilearner"),
        bad_argument::container_is_empty().at(TARGET),
    );
}

/// Names that no blob container has.
pub fn container_segment_invalid() {
    let retrained = Retrained::start();
    for container in ["Container", "c", "two--hyphens", "-first"] {
        assert_fault(
            &retrained.update(
                &retrained.storage.base(),
                &format!("{container}/retrained.ilearner"),
            ),
            bad_argument::container_segment_invalid().at(TARGET),
        );
    }
}

/// A publication without a `CodeBundle`, and a definition without `package`.
pub fn missing_web_service_package() {
    let server = Server::start();
    let service = server.deploy_linear("linear");
    let path = format!(
        "/workspaces/{}/webservices/{}",
        service.workspace, "0123456789abcdef0123456789abcdef"
    );
    for body in [
        json!({"Name": "code", "Type": "Code"}),
        json!({"Name": "code", "Type": "Code", "CodeBundle": null}),
    ] {
        assert_fault(
            &ask(&server, "PUT", &path, &body),
            bad_argument::missing_web_service_package().at("CodeBundle"),
        );
    }
    let mut package = packages::pass_through(&["x"]);
    let properties = package["properties"].as_object_mut().unwrap();
    properties.remove("package");
    assert_fault(
        &server.put("no-package", &package),
        bad_argument::missing_web_service_package(),
    );
}
