//! Rows of web-service groups and model packages.

use faults::{bad_argument, conflict, internal_error, not_found};
use serde_json::{Value, json};

use crate::support::{Reply, Request, Server, assert_fault, packages, studio::Group};

/// A group's services and packages before and after are the same.
#[track_caller]
fn unchanged(group: &Group<'_>, call: impl FnOnce() -> Reply) -> Reply {
    let before = group.shown();
    let reply = call();
    assert_eq!(group.shown(), before, "something changed");
    reply
}

/// A publication that must be refused.
#[track_caller]
fn refused(group: &Group<'_>, body: &Value) -> Reply {
    unchanged(group, || group.send("POST", "/webservices", body))
}

/// The call of a path without the id of its group.
pub fn missing_web_service_group_id() {
    let server = Server::start();
    let workspace = server.workspace();
    for (method, rest) in [
        ("POST", "webservices"),
        ("GET", "modelpackages"),
        ("GET", "webservices/00000000000000000000000000000001"),
    ] {
        let path = format!("/api/workspaces/{workspace}/webservicegroups//{rest}");
        let reply = server.studio(method, &path).send(server.address);
        assert_fault(&reply, bad_argument::missing_web_service_group_id());
    }
}

/// Neither the id of a package nor a package.
pub fn missing_model_package() {
    let server = Server::start();
    let group = server.group("empty");
    for body in [
        json!({"WebServiceType": "Staging"}),
        json!({"WebServiceType": "Staging", "ModelPackageId": "", "ModelPackage": null}),
    ] {
        assert_fault(
            &refused(&group, &body),
            bad_argument::missing_model_package(),
        );
    }
    let service = group.publish(&group.linear(2.0), "Staging");
    let path = format!("/webservices/{service}");
    let settings = json!({"DiagnosticsSettings": {"DiagnosticsTraceLevel": "None"}});
    let reply = unchanged(&group, || group.send("PUT", &path, &settings));
    assert_fault(&reply, bad_argument::missing_model_package());
}

/// A package's id that is no GUID, in the path and in the body.
pub fn model_package_id_invalid() {
    let server = Server::start();
    let group = server.group("group");
    let invalid = bad_argument::model_package_id_invalid;
    let reply = group.call("GET", "/modelpackages/first");
    assert_fault(&reply, invalid());
    let body = json!({"WebServiceType": "Staging", "ModelPackageId": "first"});
    assert_fault(&refused(&group, &body), invalid());
}

/// The id of a package that nobody stored, and that of another group's.
pub fn model_package_not_found() {
    let server = Server::start();
    let group = server.group("group");
    let other = server.group("other").linear(2.0);
    let missing = not_found::model_package_not_found;
    for id in ["0123456789abcdef0123456789abcdef", &other] {
        for method in ["GET", "DELETE"] {
            let reply = group.call(method, &format!("/modelpackages/{id}"));
            assert_fault(&reply, missing());
        }
        let body = json!({"WebServiceType": "Staging", "ModelPackageId": id});
        assert_fault(&refused(&group, &body), missing());
    }
}

/// A group that nobody made, one that is gone, and one of another workspace.
pub fn web_service_group_not_found() {
    let server = Server::start();
    let group = server.group("group");
    let unknown = internal_error::web_service_group_not_found;
    let workspace = &group.workspace;
    let elsewhere = server.create_workspace("elsewhere");
    for path in [
        format!("/api/workspaces/{workspace}/webservicegroups/0123456789abcdef0123456789abcdef"),
        format!("/api/workspaces/{workspace}/webservicegroups/nothing"),
        format!("/api/workspaces/{elsewhere}/webservicegroups/{}", group.id),
    ] {
        assert_fault(&server.studio("GET", &path).send(server.address), unknown());
        let stranger = Request::new("GET", &path).send(server.address);
        assert_eq!(stranger.status, 401, "a stranger learns nothing");
    }
    assert_eq!(group.call("DELETE", "").status, 204);
    assert_fault(&group.call("GET", ""), unknown());
    assert_fault(&group.call("DELETE", ""), unknown());
}

/// A package without an output, and a script without outputs for what it prints.
pub fn model_configuration_invalid() {
    let server = Server::start();
    let group = server.group("group");
    let model = server.upload(b"a model");
    let whole = packages::model_package(&model, &["x"]);
    let invalid = || bad_argument::model_configuration_invalid().at("Outputs");
    let output = |kind: &str| json!({"Name": kind, "OutputType": kind});
    let mut none = whole.clone();
    none["Outputs"] = json!([output("StandardOutput"), output("StandardError")]);
    let mut script = whole.clone();
    let nodes = script["Workflow"]["ModuleNodes"].as_array_mut().unwrap();
    nodes.push(json!({"Id": "r", "ModuleId": "30806023392b42e094d66b775a6e0fd5"}));
    let mut half = script.clone();
    half["Outputs"]
        .as_array_mut()
        .unwrap()
        .push(output("StandardOutput"));
    for package in [&none, &script, &half] {
        let reply = unchanged(&group, || group.send("POST", "/modelpackages", package));
        assert_fault(&reply, invalid());
        let body = json!({"WebServiceType": "Staging", "ModelPackage": package});
        assert_fault(&refused(&group, &body), invalid());
    }
}

/// The throttle of a staging service, which is fixed.
pub fn concurrent_request_requirement_invalid() {
    let server = Server::start();
    let group = server.group("group");
    let package = group.linear(2.0);
    let fixed = || bad_argument::web_service_concurrent_request_requirement_invalid("Staging");
    for (member, value) in [
        ("MaxConcurrentCalls", json!(10)),
        ("ThrottleLevel", json!("High")),
    ] {
        let mut body = json!({"WebServiceType": "Staging", "ModelPackageId": package});
        body[member] = value;
        assert_fault(&refused(&group, &body), fixed());
    }
    // The Resource Manager reaches the service by its name, and no further.
    let service = group.publish(&package, "Staging");
    let definition = group.call(
        "GET",
        &format!("/webservices/{service}/webservicedefinition"),
    );
    let mut definition = definition.json();
    definition["properties"]["realtimeConfiguration"] = json!({"maxConcurrentCalls": 10});
    let reply = server.put(&format!("group.{}.staging", group.id), &definition);
    assert_fault(
        &reply,
        fixed().at("realtimeConfiguration/maxConcurrentCalls"),
    );
    // Nor does the classic API, which knows it by its id.
    let staging = server.service(&format!("group.{}.staging", group.id));
    let path = format!(
        "/workspaces/{}/webservices/{}/endpoints/default",
        group.workspace, staging.service
    );
    let patch = server
        .studio("PATCH", &path)
        .json(&json!({"MaxConcurrentCalls": 10}));
    assert_fault(&patch.send(server.address), fixed());
}

/// A publication with these diagnostics settings.
fn with_settings(group: &Group<'_>, package: &str, settings: &Value) -> Reply {
    let body = json!({
        "ModelPackageId": package, "WebServiceType": "Production", "DiagnosticsSettings": settings,
    });
    refused(group, &body)
}

/// Settings that are whole.
fn settings() -> Value {
    json!({
        "DiagnosticsTraceLevel": "All",
        "DiagnosticsConnectionString": "AccountName=acct;AccountKey=c2VjcmV0",
        "DiagnosticsRRSRequestsPath": "logs/requests",
        "DiagnosticsRRSInitializationsPath": "logs/initializations",
        "DiagnosticsBESJobsPath": "logs/jobs",
        "DiagnosticsExpiryTime": null,
    })
}

/// Diagnostics that are switched on and have nowhere to go, and settings without a level.
pub fn incomplete_settings() {
    let server = Server::start();
    let group = server.group("group");
    let package = group.linear(2.0);
    for member in ["DiagnosticsConnectionString", "DiagnosticsBESJobsPath"] {
        let mut settings = settings();
        settings[member] = Value::Null;
        assert_fault(
            &with_settings(&group, &package, &settings),
            bad_argument::incomplete_settings(),
        );
    }
    let mut settings = settings();
    settings["DiagnosticsTraceLevel"] = Value::Null;
    assert_fault(
        &with_settings(&group, &package, &settings),
        bad_argument::incomplete_settings().at("DiagnosticsTraceLevel"),
    );
}

/// Logging that would have ceased already.
pub fn expiry_time_in_the_past() {
    let server = Server::start();
    let group = server.group("group");
    let mut settings = settings();
    settings["DiagnosticsExpiryTime"] = json!("2016-01-29T13:27:14.153Z");
    assert_fault(
        &with_settings(&group, &group.linear(2.0), &settings),
        bad_argument::expiry_time_in_the_past("2016-01-29T13:27:14.153Z")
            .at("DiagnosticsExpiryTime"),
    );
}

/// A path that no blob can have.
pub fn blob_name_too_long() {
    let server = Server::start();
    let group = server.group("group");
    let path = format!("logs/{}", "x".repeat(1020));
    let mut settings = settings();
    settings["DiagnosticsRRSRequestsPath"] = json!(path);
    assert_fault(
        &with_settings(&group, &group.linear(2.0), &settings),
        bad_argument::blob_name_too_long(path).at("DiagnosticsRRSRequestsPath"),
    );
}

/// A connection string that names no account or no key; what it has is not repeated.
pub fn invalid_blob_connection_string() {
    let server = Server::start();
    let group = server.group("group");
    let package = group.linear(2.0);
    for (text, problem) in [
        ("c2VjcmV0", "a part of it is not Name=value"),
        (
            "AccountKey=c2VjcmV0",
            "it has neither AccountName nor BlobEndpoint",
        ),
        (
            "AccountName=acct;AccountKey=",
            "it has AccountName and no AccountKey",
        ),
    ] {
        let mut settings = settings();
        settings["DiagnosticsConnectionString"] = json!(text);
        let reply = with_settings(&group, &package, &settings);
        assert!(!reply.text().contains("c2VjcmV0"));
        assert_fault(
            &reply,
            bad_argument::invalid_blob_connection_string(format!(
                "DiagnosticsConnectionString: {problem}"
            ))
            .at("DiagnosticsConnectionString"),
        );
    }
}

/// The metadata of a package names other columns than its outputs have.
#[test]
fn outputs_metadata_that_differ_are_refused() {
    let server = Server::start();
    let group = server.group("group");
    let model = server.upload(b"a model");
    for (change, column) in [
        (json!([{"Name": "x"}]), "Scored Labels"),
        (
            json!([{"Name": "x"}, {"Name": "Scored labels"}]),
            "Scored labels",
        ),
        (
            json!([{"Name": "x"}, {"Name": "x"}, {"Name": "Scored Labels"}]),
            "x",
        ),
    ] {
        let mut package = packages::model_package(&model, &["x"]);
        package["OutputsMetadata"] = change;
        let reply = unchanged(&group, || group.send("POST", "/modelpackages", &package));
        assert_fault(
            &reply,
            conflict::model_output_metadata_mismatch().at(format!("OutputsMetadata/{column}")),
        );
    }
}

/// A slot that groups do not have.
#[test]
fn an_unknown_web_service_type_is_refused() {
    let server = Server::start();
    let group = server.group("group");
    let package = group.linear(2.0);
    for body in [
        json!({"ModelPackageId": package, "WebServiceType": "Code"}),
        json!({"ModelPackageId": package}),
    ] {
        assert_fault(
            &refused(&group, &body),
            bad_argument::web_service_type_invalid("Staging, Production").at("WebServiceType"),
        );
    }
}
