//! The classic management API as its clients of old call it: web services, endpoints, the
//! retraining flow and the refresh.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use faults::{Class, Fault, bad_argument, extensions, not_found, unauthorized};
use serde_json::{Value, json};

use crate::support::storage::{SIGNATURE, Storage};
use crate::support::{
    Connection, Reply, Request, Server, Service, Setup, assert_fault, one_x, onnx, packages, until,
};

/// The name of the resource in `packages::regression`.
const MODEL: &str = "Test [trained model]";

/// The classic API of a service, as its operator.
struct Classic<'a> {
    server: &'a Server,
    root: String,
    token: String,
}

impl<'a> Classic<'a> {
    fn of(server: &'a Server, service: &Service) -> Classic<'a> {
        Classic {
            server,
            root: format!(
                "/workspaces/{}/webservices/{}",
                service.workspace, service.service
            ),
            token: server.token(),
        }
    }

    fn ask(&self, method: &str, path: &str, body: Option<Value>) -> Reply {
        let target = format!("{}{path}", self.root);
        // As R and .NET send it: two blanks, and a charset.
        let request = Request::new(method, &target)
            .header("Authorization", &format!("Bearer  {}", self.token))
            .header("x-ms-client-session-id", "DefaultSession");
        match body {
            None => request,
            Some(body) => request
                .header("Content-Type", "application/json; charset=us-ascii")
                .body(body.to_string()),
        }
        .send(self.server.address)
    }

    #[track_caller]
    fn done(&self, method: &str, path: &str, body: Option<Value>) -> Value {
        let reply = self.ask(method, path, body);
        assert!(
            (200..300).contains(&reply.status),
            "{method} {path}: {} {}",
            reply.status,
            reply.text()
        );
        match reply.body.is_empty() {
            true => Value::Null,
            false => reply.json(),
        }
    }

    #[track_caller]
    fn add(&self, name: &str) -> Value {
        let body = json!({"Description": "", "ThrottleLevel": "High"});
        self.done("PUT", &format!("/endpoints/{name}"), Some(body))
    }
}

fn keys_of(value: &Value) -> Vec<&str> {
    let members = value.as_object().expect("an object");
    members.keys().map(String::as_str).collect()
}

/// The path of an absolute URL.
fn path_of(url: &str) -> &str {
    let host = url.strip_prefix("http://").expect("an absolute URL");
    host.find('/').map_or("/", |slash| &host[slash..])
}

/// Scores x at the `ApiLocation` that an endpoint tells, with the key that it tells.
fn score_at(server: &Server, endpoint: &Value, x: f64) -> Reply {
    let location = endpoint["ApiLocation"].as_str().unwrap();
    let path = path_of(location);
    Request::new("POST", &format!("{path}/execute?api-version=2.0"))
        .bearer(endpoint["PrimaryKey"].as_str().unwrap())
        .json(&one_x(x))
        .send(server.address)
}

#[track_caller]
fn scored(reply: &Reply) -> f64 {
    assert_eq!(reply.status, 200, "{}", reply.text());
    let cell = &reply.json()["Results"]["output1"]["value"]["Values"][0][1];
    cell.as_str().expect("a cell").parse().expect("a number")
}

fn location(base: &str, relative: &str, signature: &str) -> Value {
    json!({"Resources": [{"Name": MODEL, "Location": {
        "BaseLocation": base, "RelativeLocation": relative, "SasBlobToken": signature}}]})
}

#[test]
fn services_and_endpoints_have_the_shapes_that_clients_read() {
    let server = Server::start();
    let model = server.upload(&onnx::linear(&[2.0], 1.0));
    let mut package = packages::regression(&model, &["x"]);
    package["properties"]["title"] = json!("Census [Predictive Exp.]");
    let service = server.deploy("census", &package);
    server.deploy_linear("another");
    let classic = Classic::of(&server, &service);
    let list = format!("/workspaces/{}/webservices", service.workspace);
    let listed = Request::new("GET", &list)
        .bearer(&server.token())
        .send(server.address)
        .json();
    let listed = listed.as_array().unwrap();
    assert_eq!(listed.len(), 2);
    assert_eq!(keys_of(&listed[0]), keys_of(&listed[1]));
    let one = classic.done("GET", "", None);
    assert!(listed.contains(&one));
    assert_eq!(one["Id"], json!(service.service));
    assert_eq!(one["Name"], "Census [Predictive Exp.]");
    assert_eq!(one["Description"], Value::Null);
    assert_eq!(one["WorkspaceId"], json!(service.workspace));
    assert_eq!(one["EndpointCount"], 1);
    assert_eq!(one["DefaultEndpointName"], "default");
    let created = one["CreationTime"].as_str().unwrap();
    assert_eq!(
        (created.len(), created.ends_with('Z')),
        (24, true),
        "{created}"
    );

    let made = classic.add("customer1");
    let endpoints = classic.done("GET", "/endpoints", None);
    let endpoints = endpoints.as_array().unwrap();
    assert_eq!(endpoints.len(), 2);
    assert_eq!(keys_of(&endpoints[0]), keys_of(&endpoints[1]));
    assert_eq!(
        keys_of(&made),
        [
            "Name",
            "Description",
            "CreationTime",
            "WorkspaceId",
            "WebServiceId",
            "HelpLocation",
            "PrimaryKey",
            "SecondaryKey",
            "ApiLocation",
            "PreventUpdate",
            "MaxConcurrentCalls",
            "DiagnosticsTraceLevel",
            "ThrottleLevel",
            "Version",
            "SampleDataEnabled",
            "ExperimentLocation",
            "Resources"
        ]
    );
    let default = classic.done("GET", "/endpoints/default", None);
    assert_eq!(default["PrimaryKey"], json!(service.primary));
    assert_ne!(made["PrimaryKey"], default["PrimaryKey"]);
    assert_eq!(made["MaxConcurrentCalls"], 20);
    assert_eq!(made["Resources"][0]["Name"], MODEL);
    assert_eq!(made["Resources"][0]["Kind"], "TrainedModel");
    assert_eq!(classic.done("GET", "", None)["EndpointCount"], 2);
    assert_eq!(scored(&score_at(&server, &made, 3.0)), 7.0);
    // One endpoint's key opens no other.
    let mut crossed = made.clone();
    crossed["PrimaryKey"] = default["PrimaryKey"].clone();
    assert_fault(
        &score_at(&server, &crossed, 3.0),
        unauthorized::score_request_unauthorized(),
    );

    // The API document stands behind the help location, open, and says which endpoint it is of.
    let help = made["HelpLocation"].as_str().unwrap();
    let help = path_of(help);
    assert!(help.starts_with("/apihelp/workspaces/"), "{help}");
    let by_name = format!("{}/endpoints/customer1", classic.root);
    for place in [help, &by_name] {
        let document = Request::new("GET", &format!("{place}/apidocument")).send(server.address);
        let document = document.json();
        assert_eq!(document["info"]["x-endpoint-name"], "customer1");
        let base_path = document["basePath"].as_str().unwrap();
        assert!(made["ApiLocation"].as_str().unwrap().ends_with(base_path));
        assert!(document["definitions"]["output1Item"].is_object());
    }

    classic.done("DELETE", "/endpoints/customer1", None);
    let absent = classic.ask("GET", "/endpoints/customer1", None);
    assert_eq!(
        (absent.status, absent.json()["error"]["details"].clone()),
        (404, json!([]))
    );
    classic.done("DELETE", "", None);
    assert_fault(
        &classic.ask("GET", "", None),
        not_found::web_service_not_found(),
    );
}

#[test]
fn what_a_path_lacks_or_misses_is_named() {
    let server = Server::start();
    let service = server.deploy_linear("linear");
    let elsewhere = server.create_workspace("other");
    let (w, s) = (&service.workspace, &service.service);
    let absent = "0123456789abcdef0123456789abcdef";
    let ask = |method: &str, path: &str| {
        Request::new(method, path)
            .bearer(&server.token())
            .json(&json!({}))
            .send(server.address)
    };
    for (method, path, fault) in [
        (
            "GET",
            "/workspaces//webservices".to_owned(),
            bad_argument::missing_workspace_id(),
        ),
        (
            "GET",
            format!("/workspaces/{w}/webservices//endpoints"),
            bad_argument::missing_web_service_group_id(),
        ),
        (
            "DELETE",
            format!("/workspaces/{w}/webservices/"),
            bad_argument::missing_web_service_group_id(),
        ),
        (
            "GET",
            format!("/workspaces/{w}/webservices/census"),
            bad_argument::web_service_id_invalid(),
        ),
        (
            "GET",
            format!("/workspaces/{absent}/webservices"),
            not_found::workspace_not_found(),
        ),
        (
            "GET",
            format!("/workspaces/{w}/webservices/{absent}/endpoints"),
            not_found::web_service_not_found(),
        ),
        (
            "PATCH",
            format!("/workspaces/{elsewhere}/webservices/{s}/endpoints/default"),
            not_found::web_service_id_not_found_in_workspace(),
        ),
        // An endpoint's id is no service's.
        (
            "GET",
            format!("/workspaces/{w}/webservices/{}", service.endpoint),
            not_found::web_service_not_found(),
        ),
        (
            "GET",
            format!("/workspaces/{w}/webservices?api-version=3.0"),
            bad_argument::bad_version_call("3.0"),
        ),
    ] {
        assert_fault(&ask(method, &path), fault);
    }
    let stranger = Request::new("GET", &format!("/workspaces/{w}/webservices"));
    let refused = unauthorized::management_request_unauthorized;
    assert_fault(&stranger.send(server.address), refused());
    // What exists is not told to those who may not see it.
    let absent = Request::new("GET", &format!("/workspaces/{absent}/webservices"));
    assert_fault(&absent.bearer("wrong").send(server.address), refused());
}

#[test]
fn an_endpoints_key_is_good_for_its_model_and_for_nothing_else() {
    let server = Server::start();
    let service = server.deploy_linear("linear");
    let classic = Classic::of(&server, &service);
    let made = classic.add("copy");
    classic.add("other");
    let model = server.upload(&onnx::linear(&[5.0], 0.5));
    let update = location(&model, "", "");
    let key = made["PrimaryKey"].as_str().unwrap();
    let ask = |method: &str, path: &str, body: &Value| {
        Request::new(method, &format!("{}{path}", classic.root))
            .bearer(key)
            .json(body)
            .send(server.address)
    };
    let seen = ask("GET", "/endpoints/copy", &json!({}));
    assert_eq!(seen.json()["PrimaryKey"], made["PrimaryKey"]);
    let patched = ask("PATCH", "/endpoints/copy", &update);
    assert_eq!(patched.status, 200, "{}", patched.text());
    assert_eq!(scored(&score_at(&server, &made, 2.0)), 10.5);
    let refused = unauthorized::management_request_unauthorized;
    for (method, path, body) in [
        ("PATCH", "/endpoints/other", update.clone()),
        (
            "PATCH",
            "/endpoints/copy",
            json!({"MaxConcurrentCalls": 200}),
        ),
        ("DELETE", "/endpoints/copy", json!({})),
        ("POST", "/endpoints/copy/refresh", json!({})),
        ("PUT", "/endpoints/new", json!({})),
        ("GET", "/endpoints", json!({})),
        ("GET", "", json!({})),
        ("DELETE", "", json!({})),
    ] {
        assert_fault(&ask(method, path, &body), refused());
    }
}

#[test]
fn a_retrained_model_is_fetched_checked_and_kept() {
    let storage = Storage::start();
    let mut server = Setup::default().config(&storage.allowed()).start();
    let service = server.deploy_linear("linear");
    let classic = Classic::of(&server, &service);
    let made = classic.add("retrained");
    let (base, path) = (storage.base(), "experimentoutput/8946/8946.ilearner");
    storage.put(path, onnx::linear(&[10.0], 0.25));
    let patched = classic.ask(
        "PATCH",
        "/endpoints/retrained",
        Some(location(&base, path, SIGNATURE)),
    );
    assert_eq!(patched.status, 200, "{}", patched.text());
    assert_eq!(scored(&score_at(&server, &made, 2.0)), 20.25);
    assert_eq!(
        scored(&service.score_x(2.0)),
        5.0,
        "the default one is as it was"
    );
    let seen = classic.done("GET", "/endpoints/retrained", None);
    let place = &seen["Resources"][0]["Location"];
    assert_eq!(place["BaseLocation"], json!(base));
    assert_eq!(place["RelativeLocation"], json!(path));
    assert_eq!(place["SasBlobToken"], "", "a signature is not kept");
    let asked = storage.asked();
    assert_eq!(asked, [format!("/{path}{SIGNATURE}")]);

    // The old one goes on, whatever is wrong with the new one.
    storage.put("container/broken.ilearner", b"no model".to_vec());
    storage.put("container/wide.onnx", onnx::linear(&[1.0, 2.0], 0.0));
    let shown = |path: &str| format!("{base}{path}");
    let patch = |relative: &str, signature: &str| {
        let body = location(&base, relative, signature);
        classic.ask("PATCH", "/endpoints/retrained", Some(body))
    };
    let target = "Resources[0].Location";
    assert_fault(
        &patch("container/broken.ilearner", SIGNATURE),
        Fault::bare(Class::ModelPackageFormatError),
    );
    for (relative, signature, code) in [
        ("container/absent.ilearner", SIGNATURE, "BlobNotFound"),
        (path, "?sig=wrong", "BlobNotFound"),
        ("container/model.csv", SIGNATURE, "InvalidBlobExtension"),
        ("", SIGNATURE, "InputBlobRelativeLocationInvalid"),
    ] {
        let reply = patch(relative, signature);
        let error = reply.json()["error"].clone();
        assert_eq!(error["details"][0]["code"], code, "{relative}: {error}");
        assert_eq!(error["details"][0]["target"], target);
        assert!(!error.to_string().contains("sig="), "{error}");
    }
    let refused = patch("container/wide.onnx", SIGNATURE);
    assert!(refused.status >= 400, "{}", refused.text());
    let elsewhere = location("http://192.0.2.1/", path, SIGNATURE);
    assert_fault(
        &classic.ask("PATCH", "/endpoints/retrained", Some(elsewhere)),
        bad_argument::invalid_blob(format!("http://192.0.2.1/{path}")).at(target),
    );
    let message = patch("container/absent.ilearner", SIGNATURE).json();
    let message = message["error"]["details"][0]["message"].as_str().unwrap();
    assert!(
        message.contains(&shown("container/absent.ilearner")),
        "{message}"
    );
    assert!(
        message.contains("The specified blob does not exist"),
        "{message}"
    );
    assert_eq!(scored(&score_at(&server, &made, 2.0)), 20.25);

    // It was copied: it needs its source no more, and outlives the process.
    storage.remove(path);
    let token = classic.token;
    server.restart();
    let location = made["ApiLocation"].as_str().unwrap();
    let location = path_of(location);
    let reply = Request::new("POST", &format!("{location}/execute?api-version=2.0"))
        .bearer(made["SecondaryKey"].as_str().unwrap())
        .json(&one_x(2.0))
        .send(server.address);
    assert_eq!(scored(&reply), 20.25);
    let log = server.log.lines().join("\n");
    assert!(!log.contains("sig="), "a signature stands in the log");
    assert!(!token.is_empty());
}

#[test]
fn a_refresh_follows_the_default_endpoint_and_tells_when_there_is_nothing_to_do() {
    let server = Server::start();
    let service = server.deploy_linear("linear");
    let classic = Classic::of(&server, &service);
    let made = classic.add("copy");
    let refresh = |overwrite: Value| {
        let body = json!({"OverwriteResources": overwrite});
        classic.ask("POST", "/endpoints/copy/refresh", Some(body))
    };
    assert_eq!(refresh(json!("True")).status, 304);
    let second = server.upload(&onnx::linear(&[3.0], 0.0));
    server.deploy("linear", &packages::regression(&second, &["x"]));
    assert_eq!(scored(&score_at(&server, &made, 2.0)), 5.0, "a copy stays");
    assert_eq!(refresh(json!("False")).status, 200);
    assert_eq!(scored(&score_at(&server, &made, 2.0)), 6.0);
    let own = server.upload(&onnx::linear(&[7.0], 0.0));
    classic.done("PATCH", "/endpoints/copy", Some(location(&own, "", "")));
    assert_eq!(refresh(json!("False")).status, 304, "its own model stays");
    assert_eq!(scored(&score_at(&server, &made, 2.0)), 14.0);
    assert_eq!(refresh(json!("True")).status, 200);
    assert_eq!(scored(&score_at(&server, &made, 2.0)), 6.0);

    for (method, path, body) in [
        ("POST", "/endpoints/default/refresh", json!({})),
        ("PATCH", "/endpoints/default", location(&own, "", "")),
        ("DELETE", "/endpoints/default", json!({})),
    ] {
        let reply = classic.ask(method, path, Some(body));
        assert_fault(&reply, extensions::unauthorized_request());
    }
}

/// Raises a flag when it goes.
struct Raise<'a>(&'a AtomicBool);

impl Drop for Raise<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

#[test]
fn a_call_sees_the_old_or_the_new_model_whole_and_none_fails() {
    let server = Setup::default().config("[containers]\nslots = 4").start();
    let service = server.deploy_linear("linear");
    let classic = Classic::of(&server, &service);
    let made = classic.add("busy");
    // Model n gives (n + 2)·x + (n + 1); the endpoint begins with n = 0.
    let models: Vec<String> = (1..=20)
        .map(|n| server.upload(&onnx::linear(&[n as f32 + 2.0], n as f32 + 1.0)))
        .collect();
    let path = made["ApiLocation"].as_str().unwrap();
    let path = path_of(path);
    let request = Request::new("POST", &format!("{path}/execute?api-version=2.0"))
        .bearer(made["PrimaryKey"].as_str().unwrap())
        .json(&json!({"Inputs": {"input1": {"ColumnNames": ["x"], "Values": [[0], [1], [10]]}}}));
    let done = AtomicBool::new(false);
    let answered = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut connection = Connection::open(server.address).expect("a connection");
                let mut newest = 0.0;
                while !done.load(Ordering::Acquire) {
                    connection.send(&request).expect("the request is sent");
                    let reply = connection.read_reply(false).expect("a reply");
                    assert_eq!(reply.status, 200, "{}", reply.text());
                    let values = reply.json()["Results"]["output1"]["value"]["Values"].clone();
                    let cell =
                        |row: usize| -> f64 { values[row][1].as_str().unwrap().parse().unwrap() };
                    let n = cell(0) - 1.0;
                    assert_eq!(cell(1), 2.0 * n + 3.0, "{values}");
                    assert_eq!(cell(2), 11.0 * n + 21.0, "{values}");
                    assert!(n >= newest, "an older model answered: {n} after {newest}");
                    newest = n;
                    answered.fetch_add(1, Ordering::AcqRel);
                }
            });
        }
        // However this ends, the callers end too.
        let _ended = Raise(&done);
        for model in &models {
            let before = answered.load(Ordering::Acquire);
            classic.done("PATCH", "/endpoints/busy", Some(location(model, "", "")));
            // Every model answers some calls.
            until("further calls are answered", || {
                answered.load(Ordering::Acquire) >= before + 8
            });
        }
    });
    assert!(answered.load(Ordering::Acquire) >= 160);
    assert_eq!(scored(&score_at(&server, &made, 0.0)), 21.0);
    // What they left is swept: one container answers in the end.
    until("replaced containers end", || server.containers().len() <= 2);
}

/// The body that PyPI's `azureml` 0.2.7 sends, as far as it matters here.
fn code(language: &str) -> Value {
    json!({"Name": "add", "Type": "Code", "CodeBundle": {
        "InputSchema": {"a": {"type": "integer", "format": "int64"}, "b": {"type": "Boolean"}},
        "OutputSchema": {"result": {"type": "number", "format": "double"}},
        "Language": language,
        "SourceCode": "def azureml_main(df1=None, df2=None): pass"}})
}

#[test]
fn published_code_is_refused_by_its_language_and_leaves_nothing() {
    let server = Server::start();
    let workspace = server.create_workspace("scripts");
    let path = format!("/workspaces/{workspace}/webservices/0123456789abcdef0123456789abcdef");
    let put = |body: &Value| {
        Request::new("PUT", &path)
            .header("authorization", &format!("bearer {}", server.token()))
            .json(body)
            .send(server.address)
    };
    let blobs = || {
        std::fs::read_dir(server.data().join("blobs"))
            .unwrap()
            .count()
    };
    let before = blobs();
    // An empty archive: a good one.
    let archive = "UEsFBgAAAAAAAAAAAAAAAAAAAAAAAA==";
    for language in ["python-2.7-64", "R-3.1-64", "r-3.1-64", "fortran"] {
        let mut body = code(language);
        body["CodeBundle"]["ZipContents"] = json!(archive);
        let reply = put(&body);
        let error = reply.json()["error"].clone();
        assert_eq!(
            (reply.status, &error["code"]),
            (400, &json!("WebServicePackageError"))
        );
        assert_eq!(error["details"][0]["code"], "RuntimesError");
        let message = error["details"][0]["message"].as_str().unwrap();
        assert!(message.contains(language), "{message}");
    }
    let mut body = code("python-2.7-64");
    body["CodeBundle"]["ZipContents"] = json!(archive.replace("UEsF", "UEsG"));
    let reply = put(&body);
    assert_eq!(
        reply.header("x-ms-error-code"),
        Some("FormatError"),
        "{}",
        reply.text()
    );
    body["CodeBundle"]["ZipContents"] = json!(archive);
    body["CodeBundle"]["InputSchema"]["a"]["type"] = json!("matrix");
    assert_fault(
        &put(&body),
        bad_argument::data_type_not_supported().at("input1/a"),
    );
    body["Type"] = json!("Graph");
    assert_fault(
        &put(&body),
        bad_argument::web_service_type_invalid("Code").at("Type"),
    );
    let listed = Request::new("GET", &format!("/workspaces/{workspace}/webservices"))
        .bearer(&server.token())
        .send(server.address);
    assert_eq!(listed.json(), json!([]));
    assert_eq!(blobs(), before);
}
