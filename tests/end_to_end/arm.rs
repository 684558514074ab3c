//! Web services under the Resource Manager's names: operations that go on after the reply, PATCH,
//! definitions and resources that lie elsewhere.

use serde_json::{Value, json};

use crate::support::storage::{SIGNATURE, Storage};
use crate::support::{Reply, Request, SUBSCRIPTION, Server, Setup, onnx, packages, until};

fn ask(server: &Server, method: &str, path: &str, body: Option<&Value>) -> Reply {
    let request = Request::new(method, path).bearer(&server.token());
    match body {
        Some(body) => request.json(body),
        None => request,
    }
    .send(server.address)
}

fn get(server: &Server, name: &str) -> Value {
    ask(server, "GET", &server.arm_path(name), None).json()
}

/// The path of the operation that a reply announces.
#[track_caller]
fn operation(reply: &Reply) -> String {
    let url = reply.header("Azure-AsyncOperation");
    let url = url.unwrap_or_else(|| panic!("{} {}", reply.status, reply.text()));
    // By the name that the caller called.
    assert!(url.starts_with("http://localhost/subscriptions/"), "{url}");
    url[url.find("/subscriptions/").unwrap()..].to_owned()
}

/// Polls an operation to its end.
fn ended(server: &Server, path: &str) -> Value {
    let mut last = Value::Null;
    until("the operation ends", || {
        last = ask(server, "GET", path, None).json();
        last["status"] != "Provisioning"
    });
    last
}

fn linear(server: &Server, slope: f32) -> Value {
    packages::regression(&server.upload(&onnx::linear(&[slope], 1.0)), &["x"])
}

fn value(reply: &Reply) -> String {
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.json()["Results"]["output1"]["value"]["Values"][0][1]
        .as_str()
        .expect("a value")
        .to_owned()
}

#[test]
fn an_operation_is_announced_followed_and_kept() {
    let server = Server::start();
    let definition = linear(&server, 2.0);
    let made = ask(&server, "PUT", &server.arm_path("a"), Some(&definition));
    assert_eq!(made.status, 201, "{}", made.text());
    let stub = made.json();
    assert_eq!(
        stub["properties"],
        json!({
            "packageType": "Graph",
            "payloadsInBlobStorage": false,
            "provisioningState": "Provisioning",
        })
    );
    assert_eq!(
        made.header("Azure-AsyncOperationPercentComplete"),
        Some("0")
    );
    assert_eq!(made.header("Retry-After"), Some("1"));
    let path = operation(&made);
    assert!(
        path.starts_with(&format!(
            "/subscriptions/{SUBSCRIPTION}/providers/Microsoft.MachineLearning/locations/southcentralus/operationsStatus/"
        )),
        "{path}"
    );
    // One client appends a region to whatever it polls.
    let status = ended(&server, &format!("{path}&region=x"));
    assert_eq!(status["status"], "Succeeded", "{status}");
    assert_eq!(status["provisioningState"], "Succeeded");
    assert_eq!(status["percentComplete"], 1.0);
    assert!(
        status["endTime"].as_str() >= status["startTime"].as_str(),
        "{status}"
    );
    assert!(status.get("error").is_none() && status.get("errorInfo").is_none());
    let results = path.replace("operationsStatus", "operationresults");
    let result = ask(&server, "GET", &results, None);
    assert_eq!(result.status, 201);
    assert_eq!(result.json(), get(&server, "a"));
    assert_eq!(
        get(&server, "a")["properties"]["provisioningState"],
        "Succeeded"
    );

    // The same body again is an update. While it is under way nothing else begins.
    let again = ask(&server, "PUT", &server.arm_path("A"), Some(&definition));
    assert_eq!(again.status, 200);
    assert_eq!(server.outcome(again).status, 200);

    let other = path.replace(SUBSCRIPTION, "11111111-1111-4111-8111-111111111111");
    assert_eq!(ask(&server, "GET", &other, None).status, 404);
    let (before, _) = path.split_at(path.rfind('/').unwrap() + 1);
    let unknown = format!("{before}{}?api-version=2017-01-01", "0".repeat(32));
    assert_eq!(ask(&server, "GET", &unknown, None).status, 404);

    let gone = ask(&server, "DELETE", &server.arm_path("a"), None);
    assert_eq!((gone.status, gone.text().as_str()), (202, ""));
    assert!(
        gone.header("Location")
            .unwrap()
            .contains("/operationresults/")
    );
    assert_eq!(ended(&server, &operation(&gone))["status"], "Succeeded");
    assert_eq!(server.outcome(gone).status, 204);
    assert_eq!(ask(&server, "GET", &server.arm_path("a"), None).status, 404);
    assert_eq!(
        ask(&server, "DELETE", &server.arm_path("a"), None).status,
        204
    );
    // Operations outlive the process.
    let mut server = server;
    server.restart();
    assert_eq!(ended(&server, &path)["status"], "Succeeded");
}

#[test]
fn what_fails_after_it_was_accepted_is_told_by_the_operation() {
    let storage = Storage::start();
    let server = Setup::default().config(&storage.allowed()).start();
    let mut definition = linear(&server, 2.0);
    let location = &mut definition["properties"]["assets"]["asset2"]["locationInfo"];
    *location = json!({"uri": format!("{}c/m.ilearner", storage.base()), "credentials": SIGNATURE});
    let made = ask(&server, "PUT", &server.arm_path("a"), Some(&definition));
    assert_eq!(made.status, 201, "{}", made.text());
    let path = operation(&made);
    let status = ended(&server, &path);
    assert_eq!(status["status"], "Failed", "{status}");
    let error = &status["error"];
    assert_eq!(error["code"], "BadArgument");
    assert_eq!(error["details"][0]["code"], "BlobNotFound");
    assert_eq!(error["details"][0]["target"], "assets/asset2");
    let message = error["details"][0]["message"].as_str().unwrap();
    assert!(
        message.contains("The specified blob does not exist."),
        "{message}"
    );
    assert!(!status.to_string().contains("sig="), "{status}");
    assert_eq!(&status["errorInfo"], error);
    // In the reader's language, at each reading.
    let chinese = Request::new("GET", &path)
        .bearer(&server.token())
        .header("Accept-Language", "zh-TW")
        .send(server.address);
    assert_eq!(chinese.header("Content-Language"), Some("zh-TW"));
    assert_ne!(chinese.json()["error"]["message"], error["message"]);

    // It is there, failed, and listed; it does not score, and cannot be patched.
    assert_eq!(
        get(&server, "a")["properties"]["provisioningState"],
        "Failed"
    );
    let all = server.arm_path("").replace("webServices/?", "webServices?");
    let list = ask(&server, "GET", &all, None).json();
    assert_eq!(list["value"][0]["name"], "a", "{list}");
    assert_eq!(
        list["value"][0]["properties"]["provisioningState"],
        "Failed"
    );
    let keys = server.arm_path("a").replace('?', "/listKeys?");
    assert_eq!(ask(&server, "GET", &keys, None).status, 404);
    let patch = json!({"properties": {"title": "t"}});
    assert_eq!(
        ask(&server, "PATCH", &server.arm_path("a"), Some(&patch)).status,
        409
    );
    // What it failed for is mended, and it is put again.
    storage.put("c/m.ilearner", onnx::linear(&[3.0], 1.0));
    let service = server.deploy("a", &definition);
    assert_eq!(value(&service.score_x(1.0)), "4");

    // An update that fails leaves what is there.
    storage.put("c/m.ilearner", b"no model".to_vec());
    let failed = ask(&server, "PUT", &server.arm_path("a"), Some(&definition));
    assert_eq!(failed.status, 200);
    let failed = server.outcome(failed);
    assert_eq!(
        failed.header("x-ms-error-code"),
        Some("ModelPackageFormatError")
    );
    assert_eq!(
        get(&server, "a")["properties"]["provisioningState"],
        "Succeeded"
    );
    assert_eq!(value(&service.score_x(1.0)), "4");

    // A failed one can be removed.
    let made = ask(&server, "PUT", &server.arm_path("b"), Some(&definition));
    assert_eq!(ended(&server, &operation(&made))["status"], "Failed");
    assert_eq!(
        ask(&server, "DELETE", &server.arm_path("b"), None).status,
        202
    );
    assert_eq!(ask(&server, "GET", &server.arm_path("b"), None).status, 404);
}

#[test]
fn secrets_are_kept_and_never_shown() {
    let storage = Storage::start();
    storage.put("c/m.ilearner", onnx::linear(&[3.0], 1.0));
    let server = Setup::default().config(&storage.allowed()).start();
    let mut definition = linear(&server, 2.0);
    let properties = &mut definition["properties"];
    properties["assets"]["asset2"]["locationInfo"] =
        json!({"uri": format!("{}c/m.ilearner", storage.base()), "credentials": SIGNATURE});
    properties["storageAccount"] = json!({"name": "acct", "key": "c2VjcmV0"});
    properties["diagnostics"] = json!({"level": "All", "expiry": null});
    server.deploy("a", &definition);
    let mut shown = get(&server, "a");
    let text = shown.to_string();
    assert!(
        !text.contains("c2VjcmV0") && !text.contains("sig="),
        "{text}"
    );
    assert_eq!(
        shown["properties"]["storageAccount"],
        json!({"name": "acct"})
    );
    // What was shown can be put again: the key and the signature are still there.
    shown["properties"]["title"] = json!("again");
    let asked = storage.asked().len();
    let again = server.put("a", &shown);
    assert_eq!(again.status, 200, "{}", again.text());
    assert_eq!(storage.asked().len(), asked + 1);
    assert_eq!(again.json()["properties"]["title"], "again");
}

#[test]
fn a_patch_changes_what_it_names() {
    let server = Server::start();
    let mut definition = linear(&server, 2.0);
    definition["properties"]["keys"] = json!({"primary": "one", "secondary": "two"});
    let service = server.deploy("a", &definition);
    assert_eq!(service.score_x(1.0).status, 200);
    let containers = server.containers();
    let before = get(&server, "a");
    let patch = |body: Value| ask(&server, "PATCH", &server.arm_path("a"), Some(&body));

    // As a client of old sent it.
    let reply = patch(json!({"properties": {
        "packageType": "Graph", "keys": {"primary": "highly secure key"},
        "readOnly": "false", "realtimeConfiguration": {"maxConcurrentCalls": 30},
    }, "tags": {"team": "blue"}}));
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(ended(&server, &operation(&reply))["status"], "Succeeded");
    let keys = server.service("a");
    assert_eq!(
        (&*keys.primary, &*keys.secondary),
        ("highly secure key", "two")
    );
    let after = get(&server, "a");
    assert_eq!(
        after["properties"]["realtimeConfiguration"]["maxConcurrentCalls"],
        30
    );
    assert_eq!(after["tags"], json!({"team": "blue"}));
    assert_eq!(
        after["properties"]["package"],
        before["properties"]["package"]
    );
    let modified = |of: &Value| of["properties"]["modifiedOn"].as_str().unwrap().to_owned();
    assert!(modified(&after) > modified(&before));
    assert_eq!(server.containers(), containers, "nothing was loaded for it");
    assert_eq!(keys.score_x(1.0).status, 200);
    assert_eq!(service.score_x(1.0).status, 401, "the old key is gone");

    // Replaced whole: the assets, and with them what answers.
    let model = server.upload(&onnx::linear(&[5.0], 1.0));
    let mut assets = after["properties"]["assets"].clone();
    assets["asset2"]["locationInfo"]["uri"] = json!(model);
    let reply = server.outcome(patch(
        json!({"properties": {"assets": assets, "keys": {"secondary": "three"}}}),
    ));
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(value(&keys.score_x(1.0)), "6");
    let keys = server.service("a");
    assert_eq!(
        (&*keys.primary, &*keys.secondary),
        ("highly secure key", "three")
    );
    assert_eq!(
        get(&server, "a")["properties"]["realtimeConfiguration"]["maxConcurrentCalls"],
        30
    );

    for (body, status) in [
        (json!({"location": "West Europe"}), 409),
        (json!({"location": "southcentralus", "tags": {}}), 200),
        (
            json!({"properties": {"commitmentPlan": {"id": "/x/other"}}}),
            409,
        ),
        (
            json!({"properties": {"realtimeConfiguration": {"maxConcurrentCalls": 3}}}),
            400,
        ),
        (
            json!({"properties": {"diagnostics": {"level": "All"}}}),
            400,
        ),
        (json!({"properties": {"packageType": "Code"}}), 400),
        (json!({"properties": []}), 400),
        (json!({}), 400),
        (json!({"properties": {"readOnly": true}}), 200),
        (json!({"properties": {"readOnly": false}}), 409),
    ] {
        let reply = patch(body.clone());
        assert_eq!(reply.status, status, "{body}: {}", reply.text());
        if status == 200 {
            assert_eq!(server.outcome(reply).status, 200);
        }
    }
    assert_eq!(
        ask(&server, "PUT", &server.arm_path("a"), Some(&definition)).status,
        409
    );
    let absent = ask(
        &server,
        "PATCH",
        &server.arm_path("no"),
        Some(&json!({"tags": {}})),
    );
    assert_eq!(absent.header("x-ms-error-code"), Some("WebServiceNotFound"));
    assert_eq!(
        ask(&server, "DELETE", &server.arm_path("a"), None).status,
        202
    );
}

#[test]
fn a_definition_may_lie_in_a_blob() {
    let storage = Storage::start();
    let server = Setup::default().config(&storage.allowed()).start();
    let definition = linear(&server, 2.0);
    let mut whole = definition["properties"].clone();
    whole["Package"] = whole.as_object_mut().unwrap().remove("package").unwrap();
    storage.put("c/payload.json", whole.to_string().into_bytes());
    let payload = |blob: &str| {
        json!({"location": "South Central US", "properties": {
            "packageType": "Graph", "title": "Mine", "payloadsInBlobStorage": true,
            "payloadsLocation": {"uri": format!("{}c/{blob}", storage.base()), "credentials": SIGNATURE},
        }})
    };
    let service = server.deploy("a", &payload("payload.json"));
    assert_eq!(value(&service.score_x(1.0)), "3");
    let shown = get(&server, "a");
    assert_eq!(shown["properties"]["payloadsInBlobStorage"], false);
    assert_eq!(shown["properties"]["title"], "Mine");
    assert_eq!(
        shown["properties"]["Package"], whole["Package"],
        "its stored case"
    );
    assert!(!shown.to_string().contains("sig="), "{shown}");

    storage.put("c/broken.json", b"{".to_vec());
    for (blob, code) in [
        ("nothing.json", "BlobNotFound"),
        ("broken.json", "FormatError"),
    ] {
        let reply = server.put("b", &payload(blob));
        assert_eq!(
            reply.header("x-ms-error-code"),
            Some(code),
            "{}",
            reply.text()
        );
    }
    let nowhere = json!({"location": "x", "properties": {"payloadsInBlobStorage": true}});
    let reply = ask(&server, "PUT", &server.arm_path("c"), Some(&nowhere));
    assert_eq!(
        reply.header("x-ms-error-code"),
        Some("MissingWebServicePackage")
    );
    let mut forbidden = payload("x");
    forbidden["properties"]["payloadsLocation"]["uri"] = json!("https://169.254.169.254/x");
    let reply = ask(&server, "PUT", &server.arm_path("c"), Some(&forbidden));
    assert_eq!(reply.header("x-ms-error-code"), Some("InvalidBlob"));
    assert_eq!(ask(&server, "GET", &server.arm_path("c"), None).status, 404);
}

#[test]
fn a_definition_is_copied_for_another_region() {
    let server = Server::start();
    server.deploy("a", &linear(&server, 2.0));
    let of = |region: &str| format!("{}&region={region}", server.arm_path("a"));
    let reply = ask(&server, "GET", &of("westcentralus"), None);
    assert_eq!(reply.status, 404);
    assert_eq!(
        reply.header("x-ms-error-code"),
        Some("PerRegionPayloadNotFound")
    );
    // Its own region needs no copy.
    assert_eq!(
        ask(&server, "GET", &of("South%20Central%20US"), None).status,
        200
    );
    let copy = |query: &str| {
        let path = server.arm_path("a").replace('?', "/CreateRegionalBlob?");
        ask(&server, "POST", &format!("{path}{query}"), None)
    };
    assert_eq!(
        copy("").header("x-ms-error-code"),
        Some("InvalidQueryParameter")
    );
    let made = copy("&region=westcentralus");
    assert_eq!(made.status, 202, "{}", made.text());
    assert_eq!(made.json()["id"], "a");
    assert_eq!(made.header("Location"), None);
    assert_eq!(ended(&server, &operation(&made))["status"], "Succeeded");
    let there = ask(&server, "GET", &of("West%20Central%20US"), None);
    assert_eq!(there.status, 200);
    assert_eq!(
        there.json()["properties"]["package"],
        get(&server, "a")["properties"]["package"]
    );
}

#[test]
fn the_old_version_answers_with_the_definition() {
    let server = Server::start();
    let definition = linear(&server, 2.0);
    let path = server
        .arm_path("a")
        .replace("2017-01-01", "2016-05-01-preview");
    let reply = Request::new("PUT", &path)
        .bearer(&server.token())
        .json(&definition)
        .header("Content-Type", "text/json")
        .send(server.address);
    assert_eq!(reply.status, 201, "{}", reply.text());
    let made = reply.json();
    let node = &made["properties"]["package"]["nodes"]["node3"];
    assert_eq!(node["parameters"]["Append score columns to output"], "True");
    assert!(made["properties"].get("keys").is_none());
    assert_eq!(server.outcome(reply).status, 201);
}

/// A parameter that is declared a credential; that it is a module's Boolean shows that the module
/// gets it in the open.
#[test]
fn a_credential_is_kept_sealed_and_accepted_back() {
    let mut server = Server::start();
    let mut definition = linear(&server, 2.0);
    const NAME: &str = "Append score columns to output";
    let package = &mut definition["properties"]["package"];
    package["graphParameters"] = json!({"secret": {"type": "Credential", "links": [
        {"nodeId": "node3", "parameterKey": NAME},
    ]}});
    definition["properties"]["parameters"] = json!({"secret": "True"});
    let service = server.deploy("a", &definition);
    assert_eq!(value(&service.score_x(1.0)), "3");
    let of = |shown: &Value| {
        shown["properties"]["package"]["nodes"]["node3"]["parameters"][NAME].clone()
    };
    let shown = get(&server, "a");
    let sealed = of(&shown);
    let thumbprint = sealed["certificateThumbprint"].as_str().unwrap().to_owned();
    assert_eq!(thumbprint.len(), 40, "{sealed}");
    assert!(
        sealed["value"].as_str().is_some_and(|v| v.len() > 20),
        "{sealed}"
    );
    let ledger = rusqlite::Connection::open(server.data().join("ledger.sqlite")).unwrap();
    let stored: String = ledger
        .query_row("SELECT definition FROM revisions", [], |row| row.get(0))
        .unwrap();
    assert!(!stored.contains(r#""value":"True""#), "{stored}");
    drop(ledger);

    // What was shown is put again, and is the same secret; a container of a later process has it.
    let again = server.put("a", &shown);
    assert_eq!(again.status, 200, "{}", again.text());
    let patch =
        json!({"properties": {"title": "t", "exampleRequest": {"inputs": {"input1": [["1"]]}}}});
    let patched = ask(&server, "PATCH", &server.arm_path("a"), Some(&patch));
    assert_eq!(server.outcome(patched).status, 200);
    server.restart();
    let service = server.service("a");
    assert_eq!(value(&service.score_x(1.0)), "3");

    // An endpoint with a model of its own has the secret too, at once.
    let endpoints = format!(
        "/workspaces/{}/webservices/{}/endpoints/own",
        service.workspace, service.service
    );
    let made = ask(
        &server,
        "PUT",
        &endpoints,
        Some(&json!({"Description": ""})),
    );
    assert!(made.status < 300, "{}", made.text());
    let made = made.json();
    let model = server.upload(&crate::support::onnx::linear(&[5.0], 1.0));
    let (base, relative) = model.split_at("umpire:sha256:".len());
    let update = json!({"Resources": [{
        "Name": "Test [trained model]",
        "Location": {"BaseLocation": base, "RelativeLocation": relative, "SasBlobToken": ""},
    }]});
    let updated = ask(&server, "PATCH", &endpoints, Some(&update));
    assert!(updated.status < 300, "{}", updated.text());
    let own = crate::support::Service {
        endpoint: made["ApiLocation"]
            .as_str()
            .and_then(|location| location.rsplit('/').next())
            .expect("an id")
            .to_owned(),
        primary: made["PrimaryKey"].as_str().expect("a key").to_owned(),
        ..service.clone()
    };
    assert_eq!(value(&own.score_x(1.0)), "6");

    // What has our thumbprint and is not ours is refused.
    let mut changed = shown.clone();
    changed["properties"]["package"]["nodes"]["node3"]["parameters"][NAME]["value"] = json!("AAAA");
    let refused = ask(&server, "PUT", &server.arm_path("a"), Some(&changed));
    assert_eq!(refused.header("x-ms-error-code"), Some("BadParameterValue"));

    // Another region's copy is sealed anew, and is accepted in that region alone.
    let copy = server
        .arm_path("a")
        .replace('?', "/CreateRegionalBlob?region=westeurope&");
    assert_eq!(ask(&server, "POST", &copy, None).status, 202);
    let path = format!("{}&region=westeurope", server.arm_path("a"));
    let mut there = ask(&server, "GET", &path, None).json();
    assert_ne!(of(&there)["certificateThumbprint"], thumbprint.as_str());
    there["location"] = json!("West Europe");
    let moved = server.deploy("b", &there);
    assert_eq!(value(&moved.score_x(1.0)), "3");
}
