//! Publishing the older way: a group, a model package, staging, production, and the end.

use serde_json::{Value, json};

use crate::support::batch::fetched;
use crate::support::storage::{SIGNATURE, Storage};
use crate::support::studio::{Group, id_of, one};
use crate::support::{
    Request, SUBSCRIPTION, Server, Service, Setup, onnx, packages, sha256, until,
};

/// Where a service says that it scores, as a path.
fn path_of<'v>(service: &'v Value, member: &str) -> &'v str {
    let url = service[member].as_str().expect("a URL");
    let start = url.find("/workspaces/").expect("a scoring URL");
    &url[start..]
}

/// Scores `x` at the service's own address with its primary key.
#[track_caller]
fn score(group: &Group<'_>, service: &Value, x: &str) -> Value {
    let key = service["PrimaryKey"].as_str().expect("a key");
    let reply = Request::new("POST", path_of(service, "Location"))
        .bearer(key)
        .json(&one(x))
        .send(group.server.address);
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.json()
}

#[track_caller]
fn status(group: &Group<'_>, package: &str) -> String {
    let reply = group.call("GET", &format!("/modelpackages/{package}"));
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.json()["StatusCode"].as_str().unwrap().to_owned()
}

#[test]
fn a_package_goes_through_staging_to_production_and_out() {
    let mut server = Server::start();
    let (workspace, id, staging, production);
    {
        let group = server.group("Penguins of Adélie");
        (workspace, id) = (group.workspace.clone(), group.id.clone());
        let shown = group.shown();
        assert_eq!(shown["Name"], "Penguins of Adélie");
        assert_eq!(shown["StagingWebService"], Value::Null);
        assert_eq!(shown["ModelPackages"], json!([]));

        let package = group.linear(2.0);
        assert_eq!(status(&group, &package), "InTesting");
        staging = group.publish(&package, "Staging");
        let reply = group.test(&staging, "3");
        assert_eq!((reply.status, reply.json()), (200, json!(["3", "7"])));

        // The service is one like every other: its own address, its own keys, a swagger document.
        let service = group.shown()["StagingWebService"].clone();
        assert_eq!(service["ModelPackageId"], package.as_str());
        assert_eq!(service["Id"], staging.as_str());
        assert_eq!(score(&group, &service, "1"), json!(["1", "3"]));
        let execute = path_of(&service, "Location").replace("/score", "/execute?api-version=2.0");
        let reply = Request::new("POST", &execute)
            .bearer(service["SecondaryKey"].as_str().unwrap())
            .json(&crate::support::one_x(1.0))
            .send(server.address);
        assert_eq!(reply.status, 200, "{}", reply.text());
        let swagger = path_of(&service, "Location").replace("/score", "/swagger.json");
        let swagger = Request::new("GET", &swagger).send(server.address).json();
        assert_eq!(swagger["info"]["title"], "Penguins of Adélie");
        // And jobs.
        let text = |member: &str| service[member].as_str().expect(member).to_owned();
        let jobs = path_of(&service, "BatchLocation");
        let batch = Service {
            address: server.address,
            workspace: workspace.clone(),
            service: staging.clone(),
            endpoint: jobs.split('/').nth(4).expect("an id").to_owned(),
            primary: text("PrimaryKey"),
            secondary: text("SecondaryKey"),
        };
        assert_eq!(batch.jobs(""), format!("{jobs}?api-version=2.0"));
        let rows = batch.upload("in.csv", b"x\n3\n");
        let finished = batch.run_job(&json!({"Inputs": {"input1": rows}}));
        let scored = fetched(&finished["Results"]["output1"]);
        assert_eq!(String::from_utf8_lossy(&scored), "x,Scored Labels\n3,7\n");

        let body = json!({"StatusCode": "ReadyForProduction"});
        let path = format!("/modelpackages/{package}");
        assert_eq!(group.send("PUT", &path, &body).status, 200);
        assert_eq!(status(&group, &package), "ReadyForProduction");
        production = group.publish(&package, "Production");
        assert_ne!(production, staging);
        assert_eq!(status(&group, &package), "DeployedToProduction");

        // A better package takes its place: address and keys stay, calls get the new one.
        let before = group.shown()["ProductionWebService"].clone();
        let better = group.linear(10.0);
        let path = format!("/webservices/{production}");
        let reply = group.send("PUT", &path, &json!({"ModelPackageId": better}));
        assert_eq!(reply.status, 200, "{}", reply.text());
        let after = reply.json();
        for member in [
            "Id",
            "Location",
            "PrimaryKey",
            "SecondaryKey",
            "CreationTime",
        ] {
            assert_eq!(after[member], before[member], "{member}");
        }
        assert_eq!(after["ModelPackageId"], better.as_str());
        assert_eq!(score(&group, &after, "1"), json!(["1", "11"]));
        assert_eq!(group.test(&staging, "1").json(), json!(["1", "3"]));
        assert_eq!(status(&group, &package), "ReadyForProduction");
        assert_eq!(status(&group, &better), "DeployedToProduction");
    }

    // All of it is there after the process was killed.
    server.restart();
    let group = Group {
        server: &server,
        workspace,
        id,
    };
    let shown = group.shown();
    assert_eq!(shown["ModelPackages"].as_array().unwrap().len(), 2);
    let service = shown["ProductionWebService"].clone();
    assert_eq!(score(&group, &service, "1"), json!(["1", "11"]));
    let packages = shown["ModelPackages"].as_array().unwrap();
    let older = packages[0]["Id"].as_str().unwrap();
    let better = packages[1]["Id"].as_str().unwrap();

    // Retired, a package answers on and is not published again.
    let retired = json!({"StatusCode": "Retired"});
    let reply = group.send("PATCH", &format!("/modelpackages/{better}"), &retired);
    assert_eq!(reply.json()["StatusCode"], "Retired");
    let again = json!({"ModelPackageId": better, "WebServiceType": "Staging"});
    assert_eq!(group.send("POST", "/webservices", &again).status, 409);
    assert_eq!(score(&group, &service, "1"), json!(["1", "11"]));

    // What answers calls does not go from under them.
    for package in [older, better] {
        let reply = group.call("DELETE", &format!("/modelpackages/{package}"));
        assert_eq!(reply.status, 409, "{}", reply.text());
    }
    assert_eq!(
        group
            .call("DELETE", &format!("/webservices/{staging}"))
            .status,
        204
    );
    assert_eq!(
        group
            .call("DELETE", &format!("/modelpackages/{older}"))
            .status,
        204
    );
    assert_eq!(group.test(&staging, "1").status, 404);

    // The group takes the rest with it.
    assert_eq!(group.call("DELETE", "").status, 204);
    let key = service["PrimaryKey"].as_str().unwrap();
    let reply = Request::new("POST", path_of(&service, "Location"))
        .bearer(key)
        .json(&one("1"))
        .send(server.address);
    assert_eq!(reply.status, 401, "the key is gone with its service");
    let listed = Request::new("GET", "/umpire/v1/services")
        .bearer(&server.token())
        .send(server.address);
    assert_eq!(listed.json()["services"], json!([]));
}

#[test]
fn a_failed_publication_changes_nothing() {
    let server = Server::start();
    let group = server.group("group");
    let service = group.publish(&group.linear(2.0), "Production");
    let before = group.shown();
    let model = server.upload(b"no model");
    let broken = packages::model_package(&model, &["x"]);
    let given = json!({"ModelPackage": broken, "WebServiceType": "Production"});
    let reply = group.send("POST", "/webservices", &given);
    assert_eq!(
        reply.header("x-ms-error-code"),
        Some("ModelPackageFormatError"),
        "{}",
        reply.text()
    );
    assert_eq!(group.shown(), before, "nor does the package stay");
    let package = group.package(&broken);
    let body = json!({"ModelPackageId": package});
    let reply = group.send("PUT", &format!("/webservices/{service}"), &body);
    assert_eq!(reply.status, 500);
    assert_eq!(
        group.shown()["ProductionWebService"],
        before["ProductionWebService"]
    );
    assert_eq!(group.test(&service, "1").json(), json!(["1", "3"]));
}

#[test]
fn the_classic_id_of_a_group_is_that_of_its_production_service() {
    let server = Server::start();
    let group = server.group("group");
    group.publish(&group.linear(2.0), "Production");
    let path = format!(
        "/workspaces/{}/services/{}/swagger.json",
        group.workspace, group.id
    );
    assert_eq!(Request::new("GET", &path).send(server.address).status, 200);
    let shown = group.shown();
    assert_eq!(shown["Endpoints"].as_array().unwrap().len(), 1);
    assert_eq!(shown["Endpoints"][0]["Name"], "default");
}

#[test]
fn test_calls_need_credentials_unless_the_group_says_otherwise() {
    let server = Server::start();
    let group = server.group("group");
    let service = group.publish(&group.linear(2.0), "Staging");
    let path = group.path(&format!("/webservices/{service}/score"));
    let anonymous = || {
        let call = Request::new("POST", &path).json(&one("1"));
        call.send(server.address)
    };
    assert_eq!(anonymous().status, 401);
    // The service's own key is good for it, and for no more of the group.
    let shown = group.shown();
    let key = shown["StagingWebService"]["PrimaryKey"].as_str().unwrap();
    let keyed = Request::new("POST", &path).bearer(key).json(&one("1"));
    assert_eq!(keyed.send(server.address).status, 200);
    let beyond = Request::new("GET", &group.path("")).bearer(key);
    assert_eq!(beyond.send(server.address).status, 401);
    let open = group.send("PUT", "", &json!({"AllowAnonymousTest": true}));
    assert_eq!(open.status, 200, "{}", open.text());
    assert_eq!(open.json()["Name"], "group", "the name stays");
    let reply = anonymous();
    assert_eq!((reply.status, reply.json()), (200, json!(["1", "3"])));
    // Nothing else opens by it.
    let stranger = Request::new("GET", &group.path("")).send(server.address);
    assert_eq!(stranger.status, 401);
    let wrong = Request::new("POST", &path)
        .bearer("not a token")
        .json(&one("1"))
        .send(server.address);
    assert_eq!(wrong.status, 401, "a wrong credential is not none");
}

#[test]
fn parameters_and_stored_inputs_become_those_of_the_service() {
    let server = Server::start();
    let group = server.group("group");
    let bytes = onnx::linear(&[2.0], 1.0);
    server.upload(&bytes);
    // The bare hash will do.
    let mut package = packages::model_package(&sha256(&bytes), &["x"]);
    let parameter = &mut package["Workflow"]["ModuleNodes"][0]["ModuleParameters"][0];
    parameter["ValueType"] = json!("GraphParameterName");
    parameter["Value"] = json!("Append");
    package["Parameters"] = json!([{"Name": "Append", "Type": "Boolean", "DefaultValue": "False"}]);
    package["UpdatableInputs"] = json!([
        {"GraphModuleNodeId": "-17", "PortName": "Trained model", "Name": "Slope"}
    ]);
    package["Outputs"][0]["Schema"] = Value::Null;
    package["OutputsMetadata"] = json!([]);
    let id = group.package(&package);
    let service = group.publish(&id, "Staging");
    assert_eq!(group.test(&service, "1").json(), json!(["3"]));
    let mut body = one("1");
    body["Instance"]["GlobalParameters"] = json!({"Append": "True"});
    let reply = group.send("POST", &format!("/webservices/{service}/score"), &body);
    assert_eq!(reply.json(), json!(["1", "3"]));

    // The definition is exported, and deploys elsewhere as it is.
    let exported = group
        .call(
            "GET",
            &format!("/webservices/{service}/webservicedefinition"),
        )
        .json();
    let assets = exported["properties"]["assets"].as_object().unwrap();
    assert!(
        assets
            .values()
            .any(|a| a["name"] == "Slope [trained model]")
    );
    server.deploy("copy", &exported);

    let path = format!("/api/workspaces/{}", group.workspace);
    let read = |rest: &str| {
        let reply = server
            .studio("GET", &format!("{path}{rest}"))
            .send(server.address);
        assert_eq!(reply.status, 200, "{rest}: {}", reply.text());
        reply.json()
    };
    assert_eq!(read("")["WorkspaceId"], group.workspace.as_str());
    let models = read("/trainedmodels");
    assert_eq!(models[0]["Name"], "Slope [trained model]");
    assert_eq!(models[0]["Id"], format!("umpire:sha256:{}", sha256(&bytes)));
    assert_eq!(read("/datasources"), json!([]));
    assert_eq!(read("/transformmodules"), json!([]));
    let modules = read("/modules");
    let named = |m: &&Value| m["Name"] == "Score Model";
    assert!(modules.as_array().unwrap().iter().find(named).is_some());
    let absent = server
        .studio("GET", &format!("{path}/experiments"))
        .send(server.address);
    assert_eq!(absent.status, 404);
}

#[test]
fn diagnostics_settings_are_kept_and_their_key_is_never_shown() {
    let server = Server::start();
    let group = server.group("group");
    let package = group.linear(2.0);
    let body = json!({
        "ModelPackageId": package,
        "WebServiceType": "Production",
        "MaxConcurrentCalls": 7,
        "DiagnosticsSettings": {
            "DiagnosticsTraceLevel": "Error",
            "DiagnosticsConnectionString": "AccountName=acct;AccountKey=c2VjcmV0",
            "DiagnosticsRRSRequestsPath": "logs/requests",
            "DiagnosticsRRSInitializationsPath": "logs/init",
            "DiagnosticsBESJobsPath": "logs/jobs",
            "DiagnosticsExpiryTime": "2999-01-01T00:00:00Z"
        }
    });
    let reply = group.send("POST", "/webservices", &body);
    assert_eq!(reply.status, 200, "{}", reply.text());
    let shown = group.shown();
    let settings = &shown["ProductionWebService"]["DiagnosticsSettings"];
    assert_eq!(settings["DiagnosticsTraceLevel"], "Error");
    assert_eq!(settings["DiagnosticsRRSRequestsPath"], "logs/requests");
    assert!(!shown.to_string().contains("c2VjcmV0"), "{shown}");
    let service = shown["ProductionWebService"]["Id"].as_str().unwrap();
    let definition = group
        .call(
            "GET",
            &format!("/webservices/{service}/webservicedefinition"),
        )
        .json();
    let properties = &definition["properties"];
    assert_eq!(properties["diagnostics"]["level"], "Error");
    assert_eq!(properties["storageAccount"], json!({"name": "acct"}));
    assert_eq!(properties["realtimeConfiguration"]["maxConcurrentCalls"], 7);
    assert!(!definition.to_string().contains("c2VjcmV0"));
}

#[test]
fn a_model_elsewhere_is_fetched_at_publication_and_its_signature_is_never_shown() {
    let storage = Storage::start();
    let server = Setup::default().config(&storage.allowed()).start();
    let group = server.group("group");
    let blob = "models/slope.ilearner";
    storage.put(blob, onnx::linear(&[2.0], 1.0));
    let url = format!("{}{blob}", storage.base());
    let mut package = packages::model_package(&format!("{url}{SIGNATURE}"), &["x"]);
    package["UpdatableInputs"] = json!([
        {"GraphModuleNodeId": "-17", "PortName": "Trained model", "Name": "Slope"}
    ]);
    let id = group.package(&package);
    assert_eq!(storage.asked().len(), 0, "storing it fetches nothing");
    let service = group.publish(&id, "Production");
    assert_eq!(group.test(&service, "1").json(), json!(["1", "3"]));
    for rest in [
        format!("/modelpackages/{id}"),
        format!("/webservices/{service}/webservicedefinition"),
    ] {
        let shown = group.call("GET", &rest).text();
        assert!(shown.contains(&url) && !shown.contains("sig="), "{shown}");
    }

    // What a client retrains goes to an endpoint of the production service, which the group shows.
    let path = format!(
        "/workspaces/{}/webservices/{}/endpoints/retrained",
        group.workspace, group.id
    );
    let send = |method: &str, body: &Value| {
        let call = server.studio(method, &path).json(body);
        let reply = call.send(server.address);
        assert!(
            reply.status < 300,
            "{method}: {} {}",
            reply.status,
            reply.text()
        );
        reply.json()
    };
    let endpoint = send("PUT", &json!({"Description": "retrained"}));
    storage.put("models/steep.ilearner", onnx::linear(&[10.0], 1.0));
    send(
        "PATCH",
        &json!({"Resources": [{"Name": "Slope [trained model]", "Location": {
            "BaseLocation": storage.base(),
            "RelativeLocation": "models/steep.ilearner",
            "SasBlobToken": SIGNATURE,
        }}]}),
    );
    let shown = group.shown();
    let endpoints = shown["Endpoints"].as_array().unwrap();
    let retrained = endpoints.iter().find(|e| e["Name"] == "retrained").unwrap();
    let reply = Request::new("POST", path_of(retrained, "Location"))
        .bearer(endpoint["PrimaryKey"].as_str().unwrap())
        .json(&one("1"))
        .send(server.address);
    assert_eq!(reply.json(), json!(["1", "11"]));

    // A blob that is gone stops a publication and nothing else.
    storage.remove(blob);
    let other = group.package(&package);
    let body = json!({"ModelPackageId": other, "WebServiceType": "Production"});
    let reply = group.send("POST", "/webservices", &body);
    assert_eq!(
        reply.header("x-ms-error-code"),
        Some("BlobNotFound"),
        "{}",
        reply.text()
    );
    assert!(!reply.text().contains("sig="));
    assert_eq!(group.shown(), {
        let mut shown = shown;
        shown["ModelPackages"] = group.shown()["ModelPackages"].clone();
        shown
    });
    assert_eq!(group.test(&service, "1").json(), json!(["1", "3"]));
}

#[test]
fn publications_at_the_same_time_are_whole_and_no_call_fails() {
    let server = Server::start();
    let group = server.group("group");
    let packages: Vec<(String, String)> = [2.0f32, 10.0, 100.0]
        .into_iter()
        .map(|slope| (group.linear(slope), format!("{}", slope + 1.0)))
        .collect();
    let service = group.publish(&packages[0].0, "Production");
    let done = std::sync::atomic::AtomicBool::new(false);
    let published = std::thread::scope(|scope| {
        let calls = scope.spawn(|| {
            let mut calls = 0;
            while !done.load(std::sync::atomic::Ordering::SeqCst) {
                let reply = group.test(&service, "1");
                assert_eq!(reply.status, 200, "{}", reply.text());
                let value = reply.json()[1].as_str().unwrap().to_owned();
                assert!(packages.iter().any(|(_, y)| *y == value), "{value}");
                calls += 1;
            }
            calls
        });
        let publishers: Vec<_> = packages
            .iter()
            .map(|(package, _)| {
                let group = &group;
                scope.spawn(move || {
                    let body = json!({"ModelPackageId": package, "WebServiceType": "Production"});
                    let mut published = 0;
                    for _ in 0..4 {
                        let reply = group.send("POST", "/webservices", &body);
                        match reply.status {
                            200 => published += 1,
                            // Somebody else had his turn.
                            409 => {}
                            other => panic!("{other}: {}", reply.text()),
                        }
                    }
                    published
                })
            })
            .collect();
        let published: usize = publishers.into_iter().map(|p| p.join().unwrap()).sum();
        done.store(true, std::sync::atomic::Ordering::SeqCst);
        assert!(calls.join().unwrap() > 0);
        published
    });
    assert!(published > 0);
    // What the group says is what answers.
    let shown = group.shown();
    let now = shown["ProductionWebService"]["ModelPackageId"]
        .as_str()
        .unwrap();
    let (_, expected) = packages.iter().find(|(id, _)| id == now).unwrap();
    assert_eq!(group.test(&service, "1").json(), json!(["1", expected]));
    let deployed: Vec<&str> = shown["ModelPackages"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|p| p["StatusCode"] == "DeployedToProduction")
        .map(|p| p["Id"].as_str().unwrap())
        .collect();
    assert_eq!(deployed, [now]);
}

#[test]
fn a_workspaces_own_token_publishes_there_and_nowhere_else() {
    let server = Server::start();
    let theirs = server.group("theirs");
    let workspace = server.create_workspace("ours");
    let keys = format!(
        "/subscriptions/{SUBSCRIPTION}/resourceGroups/default/providers/Microsoft.MachineLearning/workspaces/ours/listWorkspaceKeys?api-version=2019-10-01"
    );
    let keys = Request::new("POST", &keys)
        .bearer(&server.token())
        .send(server.address);
    assert_eq!(keys.status, 200, "{}", keys.text());
    let token = keys.json()["primaryToken"].as_str().unwrap().to_owned();
    let send = |method: &str, path: &str, body: &Value| {
        Request::new(method, path)
            .header("x-ms-metaanalytics-authorizationtoken", &token)
            .json(body)
            .send(server.address)
    };
    let groups = format!("/api/workspaces/{workspace}/webservicegroups");
    let group = id_of(&send("POST", &groups, &json!({"Name": "ours"})));
    let model = server.upload(&onnx::linear(&[2.0], 1.0));
    let package = packages::model_package(&model, &["x"]);
    let package = id_of(&send(
        "POST",
        &format!("{groups}/{group}/modelpackages"),
        &package,
    ));
    let publish = json!({"ModelPackageId": package, "WebServiceType": "Production"});
    let services = format!("{groups}/{group}/webservices");
    let service = id_of(&send("POST", &services, &publish));
    let scored = send("POST", &format!("{services}/{service}/score"), &one("1"));
    assert_eq!(scored.json(), json!(["1", "3"]));
    let read = send("GET", &format!("{services}/{service}"), &Value::Null);
    let location = read.json()["Location"].as_str().unwrap().to_owned();
    assert!(location.contains(&workspace), "{location}");

    let elsewhere = theirs.path("/webservices");
    for (method, path) in [
        ("GET", theirs.path("")),
        ("POST", elsewhere),
        ("DELETE", theirs.path("")),
        (
            "GET",
            format!("/api/workspaces/{}/webservicegroups", theirs.workspace),
        ),
    ] {
        let reply = send(method, &path, &publish);
        assert_eq!(reply.status, 401, "{method} {path}: {}", reply.text());
    }
    assert_eq!(
        send("DELETE", &format!("{groups}/{group}"), &Value::Null).status,
        204
    );
}

/// Whatever moment a kill chooses, a group says what answers.
#[test]
fn a_killed_publication_is_there_whole_or_not_at_all() {
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
    let mut server = Server::start();
    let group = server.group("group");
    let (workspace, id) = (group.workspace.clone(), group.id.clone());
    let packages: Vec<(String, String)> = [2.0f32, 10.0]
        .into_iter()
        .map(|slope| (group.linear(slope), format!("{}", slope + 1.0)))
        .collect();
    let services = group.path("/webservices");
    let mut seen = 0;
    for kill_after in [1, 2, 4, 7] {
        let (address, token) = (server.address, server.token());
        let send = |method: &str, path: &str, body: &Value| {
            let call = Request::new(method, path).bearer(&token).json(body);
            call.try_send(address)
        };
        let done = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for n in 0.. {
                    let (package, _) = &packages[n % 2];
                    let slot = ["Production", "Staging"][n / 2 % 2];
                    let body = json!({"ModelPackageId": package, "WebServiceType": slot});
                    // The connection ends with the server.
                    let Ok(reply) = send("POST", &services, &body) else {
                        return;
                    };
                    assert_eq!(reply.status, 200, "{}", reply.text());
                    done.fetch_add(1, SeqCst);
                    let service = reply.json().as_str().unwrap().to_owned();
                    if n % 5 == 4
                        && send("DELETE", &format!("{services}/{service}"), &json!({})).is_err()
                    {
                        return;
                    }
                }
            });
            until("publications are under way", || {
                done.load(SeqCst) >= kill_after
            });
            server.end(libc::SIGKILL);
        });
        server.start_again();
        let group = Group {
            server: &server,
            workspace: workspace.clone(),
            id: id.clone(),
        };
        let shown = group.shown();
        let all = Request::new("GET", "/umpire/v1/services")
            .bearer(&server.token())
            .send(server.address)
            .json();
        let mut in_slots = 0;
        for slot in ["StagingWebService", "ProductionWebService"] {
            let service = &shown[slot];
            let Some(now) = service["ModelPackageId"].as_str() else {
                assert!(service.is_null(), "{service}");
                continue;
            };
            in_slots += 1;
            let (_, expected) = packages.iter().find(|(id, _)| id == now).unwrap();
            assert_eq!(score(&group, service, "1"), json!(["1", expected]));
        }
        assert_eq!(all["services"].as_array().unwrap().len(), in_slots);
        seen += in_slots;
    }
    assert!(seen > 0, "nothing was ever published");
}
