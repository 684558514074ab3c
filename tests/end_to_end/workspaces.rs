//! Workspaces as resources of the Resource Manager, and as operators handle them.

use serde_json::{Value, json};

use crate::support::{Reply, Request, SUBSCRIPTION, Server, onnx, packages, spec};

const OWNER: &str = "owner@example.org";
const ACCOUNT: &str =
    "/subscriptions/s/resourceGroups/g/providers/Microsoft.Storage/storageAccounts/a";

fn path(name: &str, rest: &str) -> String {
    format!(
        "/subscriptions/{SUBSCRIPTION}/resourceGroups/team/providers/Microsoft.MachineLearning/workspaces/{name}{rest}?api-version=2019-10-01"
    )
}

fn send(server: &Server, method: &str, path: &str, body: Option<&Value>) -> Reply {
    let request = Request::new(method, path).bearer(&server.token());
    match body {
        Some(body) => request.json(body),
        None => request,
    }
    .send(server.address)
}

fn body() -> Value {
    json!({
        "location": "West Europe",
        "tags": {"a": "b"},
        "sku": {"name": "Enterprise", "tier": "Enterprise"},
        "properties": {"userStorageAccountId": ACCOUNT, "ownerEmail": OWNER}
    })
}

#[track_caller]
fn ok(reply: &Reply) -> Value {
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.json()
}

#[test]
fn a_workspace_is_made_changed_and_removed() {
    let server = Server::start();
    let made = ok(&send(&server, "PUT", &path("Research", ""), Some(&body())));
    assert_eq!(made["name"], "Research");
    assert_eq!(made["type"], "Microsoft.MachineLearning/workspaces");
    assert_eq!(made["location"], "West Europe");
    assert_eq!(made["tags"], json!({"a": "b"}));
    assert_eq!(made["sku"]["tier"], "Enterprise");
    assert_eq!(made["properties"]["ownerEmail"], OWNER);
    assert_eq!(made["properties"]["workspaceState"], "Enabled");
    let id = made["properties"]["workspaceId"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(id.len(), 32);

    // Names in any case; a PUT of the older version in the old tools' spelling leaves the SKU.
    let older = path("rESEARCH", "").replace("2019-10-01", "2016-04-01");
    let changed = json!({
        "Location": "westeurope",
        "Properties": {"UserStorageAccountId": ACCOUNT, "OwnerEmail": "new@example.org"}
    });
    let again = ok(&send(&server, "PUT", &older, Some(&changed)));
    assert_eq!(again["name"], "Research");
    assert_eq!(again["properties"]["workspaceId"], id.as_str());
    assert!(again.get("sku").is_none());
    let patch = json!({"properties": {"workspaceState": "disabled", "keyVaultIdentifierId": "kv"}});
    let patched = ok(&send(&server, "PATCH", &path("research", ""), Some(&patch)));
    assert_eq!(patched["properties"]["workspaceState"], "Disabled");
    assert_eq!(patched["properties"]["keyVaultIdentifierId"], "kv");
    assert_eq!(patched["properties"]["ownerEmail"], "new@example.org");
    assert_eq!(patched["sku"]["name"], "Enterprise");
    assert_eq!(
        ok(&send(&server, "GET", &path("research", ""), None)),
        patched
    );

    let keys = ok(&send(
        &server,
        "POST",
        &path("research", "/listWorkspaceKeys"),
        None,
    ));
    assert_ne!(keys["primaryToken"], keys["secondaryToken"]);
    let reply = send(
        &server,
        "POST",
        &path("research", "/resyncStorageKeys"),
        None,
    );
    assert_eq!((reply.status, reply.text().as_str()), (200, ""));

    // A service stands in it: it stays.
    let model = server.upload(&onnx::linear(&[2.0], 1.0));
    let mut definition = packages::regression(&model, &["x"]);
    definition["properties"]["machineLearningWorkspace"] = json!({"id": id});
    let service = server.deploy("census", &definition);
    assert_eq!(service.workspace, id);
    assert_eq!(
        send(&server, "DELETE", &path("research", ""), None).status,
        409
    );
    let reply = send(&server, "DELETE", &server.arm_path("census"), None);
    assert!(matches!(reply.status, 202 | 204), "{}", reply.status);
    crate::support::until("the service is gone", || {
        send(&server, "DELETE", &path("research", ""), None).status == 200
    });
    assert_eq!(
        send(&server, "DELETE", &path("research", ""), None).status,
        204
    );
    let first = path("default", "").replace("/team/", "/default/");
    assert_eq!(send(&server, "DELETE", &first, None).status, 409);
}

#[test]
fn both_kinds_of_readers_understand_a_failure() {
    let server = Server::start();
    let reply = send(&server, "GET", &path("nobody", ""), None);
    assert_eq!(reply.status, 404);
    let body = reply.json();
    assert_eq!(body["code"], "NotFound");
    assert_eq!(body["code"], body["error"]["code"]);
    assert_eq!(body["message"], body["error"]["message"]);
    assert_eq!(body["error"]["details"][0]["code"], "ResourceNotFound");
    for rest in ["/listWorkspaceKeys", "/resyncStorageKeys"] {
        assert_eq!(
            send(&server, "POST", &path("nobody", rest), None).status,
            404
        );
    }
    let reply = send(&server, "PATCH", &path("nobody", ""), Some(&json!({})));
    assert_eq!(reply.status, 404);

    // Other resources have it in one place alone.
    let reply = send(&server, "GET", &server.arm_path("nobody"), None).json();
    assert!(reply.get("code").is_none(), "{reply}");
}

#[test]
fn what_is_wrong_with_a_body_is_named() {
    let server = Server::start();
    for (change, target) in [
        (json!({"location": null}), "location"),
        (json!({"tags": {"a": 1}}), "tags"),
        (json!({"properties": null}), "properties"),
        (
            json!({"properties": {"ownerEmail": OWNER}}),
            "properties/userStorageAccountId",
        ),
        (
            json!({"properties": {"userStorageAccountId": ACCOUNT, "ownerEmail": " "}}),
            "properties/ownerEmail",
        ),
        (
            json!({"properties": {"userStorageAccountId": ACCOUNT, "ownerEmail": 7}}),
            "properties/ownerEmail",
        ),
        (json!({"sku": "Enterprise"}), "sku"),
        (json!({"sku": {"name": 1}}), "sku/name"),
    ] {
        let mut body = body();
        for (name, value) in change.as_object().unwrap() {
            body[name] = value.clone();
        }
        let reply = send(&server, "PUT", &path("w", ""), Some(&body));
        assert_eq!(reply.status, 400, "{target}");
        let detail = reply.json()["error"]["details"][0].clone();
        assert_eq!(detail["code"], "RequestBodyInvalid");
        assert_eq!(detail["target"], target);
    }
    ok(&send(&server, "PUT", &path("w", ""), Some(&body())));
    let patch = json!({"properties": {"workspaceState": "Sleeping"}});
    let reply = send(&server, "PATCH", &path("w", ""), Some(&patch));
    let detail = reply.json()["error"]["details"][0].clone();
    assert_eq!(detail["target"], "properties/workspaceState");
    let mut moved = body();
    moved["location"] = json!("East US");
    assert_eq!(
        send(&server, "PUT", &path("w", ""), Some(&moved)).status,
        409
    );
    let reply = send(
        &server,
        "GET",
        &path("w", "").replace("2019-10-01", "2017-01-01"),
        None,
    );
    assert_eq!(
        reply.json()["error"]["details"][0]["code"],
        "BadVersionCall"
    );
}

#[test]
fn a_list_comes_in_pages() {
    let server = Server::start();
    for number in 0..101 {
        ok(&send(
            &server,
            "PUT",
            &path(&format!("w{number:03}"), ""),
            Some(&body()),
        ));
    }
    let of_group = path("", "").replace("workspaces/", "workspaces");
    let page = ok(&send(&server, "GET", &of_group, None));
    assert_eq!(page["value"].as_array().unwrap().len(), 100);
    let next = page["nextLink"].as_str().unwrap();
    let next = &next[next.find("/subscriptions").unwrap()..];
    // The clients of the plans spell the token with a capital letter.
    for next in [next.to_owned(), next.replace("skiptoken", "skipToken")] {
        let last = ok(&send(&server, "GET", &next, None));
        assert_eq!(last["value"][0]["name"], "w100");
        assert!(last.get("nextLink").is_none());
    }
    let all = of_group.replace("/resourceGroups/team", "");
    let page = ok(&send(&server, "GET", &all, None));
    assert_eq!(page["value"][0]["name"], "default");
    let reply = send(&server, "GET", &format!("{of_group}&$skiptoken=x"), None);
    assert_eq!(
        reply.json()["error"]["details"][0]["code"],
        "InvalidQueryParameter"
    );
}

#[test]
fn an_operator_handles_workspaces_and_their_tokens() {
    let server = Server::start();
    let run = |arguments: &[&str]| {
        let output = crate::support::command()
            .arg("workspace")
            .args(arguments)
            .env("UMPIRE_SERVER", format!("http://{}", server.address))
            .env("UMPIRE_DATA", server.data())
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        (output.status.success(), text)
    };
    let json = |arguments: &[&str]| -> Value {
        let (success, text) = run(arguments);
        assert!(success, "{text}");
        serde_json::from_str(&text).unwrap()
    };
    let made = json(&["create", "team", "--json"]);
    assert_eq!(made["name"], "team");
    assert_eq!(json(&["show", "TEAM", "--json"])["id"], made["id"]);
    let names: Vec<Value> = json(&["list", "--json"])["workspaces"]
        .as_array()
        .unwrap()
        .iter()
        .map(|w| w["name"].clone())
        .collect();
    assert_eq!(names, ["default", "team"]);
    let before = json(&["tokens", "team", "--json"]);
    let after = json(&["tokens", "team", "--rotate", "primary", "--json"]);
    assert_ne!(before["primary"], after["primary"]);
    assert_eq!(before["secondary"], after["secondary"]);
    let keys = path("team", "/listWorkspaceKeys").replace("Groups/team/", "Groups/default/");
    let keys = ok(&send(&server, "POST", &keys, None));
    assert_eq!(keys["primaryToken"], after["primary"]);
    let (success, text) = run(&["show", "team"]);
    assert!(success && text.contains("services      0"), "{text}");
    assert!(run(&["delete", "team"]).0);
    assert!(!run(&["show", "team"]).0);
    assert!(!run(&["delete", "default"]).0);
}

#[test]
fn replies_have_the_shape_of_the_published_examples() {
    for version in ["2016-04-01", "2019-10-01"] {
        let example =
            |name: &str| spec::document(&format!("stable/{version}/examples/{name}.json"));
        let Some(create) = example("CreateWorkspace") else {
            return;
        };
        let server = Server::start();
        let parameters = &create["parameters"];
        let base = format!(
            "/subscriptions/{}/resourceGroups/{}/providers/Microsoft.MachineLearning/workspaces",
            parameters["subscriptionId"].as_str().unwrap(),
            parameters["resourceGroupName"].as_str().unwrap()
        );
        let name = parameters["workspaceName"].as_str().unwrap();
        let query = format!("?api-version={version}");
        let one = format!("{base}/{name}");
        let body = Some(&parameters["parameters"]);
        // The example's answer tells of a key vault that its request does not; the update does.
        let mut expected = create["responses"]["200"]["body"].clone();
        expected["properties"]
            .as_object_mut()
            .unwrap()
            .remove("keyVaultIdentifierId");
        spec::assert_shape(
            &ok(&send(&server, "PUT", &format!("{one}{query}"), body)),
            &expected,
        );
        let update = example("UpdateWorkspace").unwrap();
        let body = Some(&update["parameters"]["parameters"]);
        let of = |example: Value| example["responses"]["200"]["body"].clone();
        spec::assert_shape(
            &ok(&send(&server, "PATCH", &format!("{one}{query}"), body)),
            &of(update.clone()),
        );
        for (method, url, name) in [
            ("GET", format!("{one}{query}"), "GetWorkspace"),
            (
                "POST",
                format!("{one}/listWorkspaceKeys{query}"),
                "ListWorkspaceKeys",
            ),
            (
                "GET",
                format!("{base}{query}"),
                "ListWorkspaceResourceGroup",
            ),
        ] {
            let reply = ok(&send(&server, method, &url, None));
            let mut published = of(example(name).unwrap());
            if let Some(first) = published.pointer_mut("/value/0/sku") {
                *first = json!({});
            }
            spec::assert_shape(&reply, &published);
        }
    }
}
