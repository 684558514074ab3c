//! The published documents of the Resource Manager, each operation of each driven by schemathesis
//! against a server: what a document says of a reply holds, everything else is the envelope, and
//! nothing is the server's fault. `UMPIRE_TEST_FULL` makes more calls.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::support::{Request, SUBSCRIPTION, Server, onnx, packages, spec};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .expect("crates/app")
        .to_path_buf()
}

/// A document with all that is needed to drive it, where that is at hand.
struct Published {
    python: PathBuf,
    document: PathBuf,
    bodies: tempfile::TempDir,
    arguments: Vec<String>,
}

impl Published {
    fn find(document: &str) -> Option<Published> {
        let python = root().join("target/schemathesis-venv/bin/python");
        if !python.exists() {
            println!(
                "skipped: no Python with tests/schemathesis/requirements.txt ({})",
                python.display()
            );
            return None;
        }
        Some(Published {
            python,
            document: spec::folder()?.join(document),
            bodies: tempfile::tempdir().expect("a folder"),
            arguments: Vec::new(),
        })
    }

    /// Names that the document's parameter is to have.
    fn names(mut self, parameter: &str, names: &[&str]) -> Self {
        let names = format!("{parameter}={}", names.join(","));
        self.arguments.extend(["--names".into(), names]);
        self
    }

    /// A body that the operation is to be called with among others.
    fn body(mut self, operation: &str, body: &Value) -> Self {
        let path = self.bodies.path().join(format!("{operation}.json"));
        std::fs::write(&path, body.to_string()).expect("a body");
        let body = format!("{operation}={}", path.display());
        self.arguments.extend(["--body".into(), body]);
        self
    }

    #[track_caller]
    fn drive(&self, server: &Server) {
        let examples = match std::env::var_os("UMPIRE_TEST_FULL") {
            Some(_) => "50",
            None => "5",
        };
        let output = Command::new(&self.python)
            .arg(root().join("tests/schemathesis/drive.py"))
            .arg(&self.document)
            .arg(format!("http://{}", server.address))
            .arg(server.token())
            .arg("--errors")
            .arg(root().join("docs/errors.json"))
            .args(["--examples", examples])
            .args(&self.arguments)
            .output()
            .expect("Python runs");
        assert!(
            output.status.success(),
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
    }
}

/// The id of a plan in the default resource group.
fn plan_id(name: &str) -> String {
    format!(
        "/subscriptions/{SUBSCRIPTION}/resourceGroups/default/providers/Microsoft.MachineLearning/commitmentPlans/{name}"
    )
}

fn workspaces(version: &str) {
    let document = format!("stable/{version}/workspaces.json");
    let Some(published) = Published::find(&document) else {
        return;
    };
    let example = |name: &str| {
        let path = format!("stable/{version}/examples/{name}.json");
        let example = spec::document(&path).expect("an example");
        example["parameters"]["parameters"].clone()
    };
    published
        .names("workspaceName", &["team", "default"])
        .body("Workspaces_CreateOrUpdate", &example("CreateWorkspace"))
        .body("Workspaces_Update", &example("UpdateWorkspace"))
        .drive(&Server::start());
}

#[test]
fn workspaces_of_2016() {
    workspaces("2016-04-01");
}

#[test]
fn workspaces_of_2019() {
    workspaces("2019-10-01");
}

#[test]
fn commitment_plans() {
    let Some(published) = Published::find("preview/2016-05-01-preview/commitmentPlans.json") else {
        return;
    };
    let server = Server::start();
    let send = |method: &str, path: &str, body: Option<&Value>| {
        let path = format!("{path}?api-version=2016-05-01-preview");
        let request = Request::new(method, &path).bearer(&server.token());
        let request = match body {
            Some(body) => request.json(body),
            None => request,
        };
        let reply = request.send(server.address);
        assert!(reply.status < 300, "{}", reply.text());
        reply.json()
    };
    let plan = json!({
        "location": "southcentralus",
        "sku": {"name": "S1", "tier": "Standard", "capacity": 1}
    });
    send("PUT", &plan_id("plan"), Some(&plan));
    let model = server.upload(&onnx::linear(&[2.0], 1.0));
    let mut definition = packages::regression(&model, &["x"]);
    definition["properties"]["commitmentPlan"] = json!({"id": plan_id("plan")});
    let service = server.deploy("linear", &definition);
    assert_eq!(service.score_x(1.0).status, 200);
    let path = format!("{}/commitmentAssociations", plan_id("plan"));
    let associations = send("GET", &path, None);
    let association = associations["value"][0]["name"].as_str().expect("a name");
    published
        .names("commitmentPlanName", &["plan", "other"])
        .names("commitmentAssociationName", &[association])
        .body("CommitmentPlans_CreateOrUpdate", &plan)
        .body(
            "CommitmentAssociations_Move",
            &json!({"destinationPlanId": plan_id("plan")}),
        )
        .drive(&server);
}

fn web_services(document: &str) {
    let Some(published) = Published::find(document) else {
        return;
    };
    let server = Server::start();
    let model = server.upload(&onnx::linear(&[2.0], 1.0));
    let definition = packages::regression(&model, &["x"]);
    server.deploy("linear", &definition);
    let patch = json!({
        "location": definition["location"],
        "properties": {"packageType": "Graph", "realtimeConfiguration": {"maxConcurrentCalls": 30}}
    });
    published
        .names("webServiceName", &["linear", "second"])
        .names("region", &["westeurope"])
        .body("WebServices_CreateOrUpdate", &definition)
        .body("WebServices_Patch", &patch)
        .drive(&server);
}

#[test]
fn web_services_of_2016() {
    web_services("preview/2016-05-01-preview/webservices.json");
}

#[test]
fn web_services_of_2017() {
    web_services("stable/2017-01-01/webservices.json");
}
