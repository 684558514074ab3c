//! Endpoints of the classic API through the manager, with real containers.

mod common;

use std::time::{Duration, Instant};

use bytes::Bytes;
use common::{Installation, named, package};
use containers::{Call, FormWire, Operation};
use faults::{Class, Fault, rows};
use manage::{EndpointView, Refreshed, ServicePath};
use serde_json::{Value, json};
use store::{DiagnosticsLevel, Entry, ThrottleLevel};

/// The host starts this program with this test as a container.
#[test]
#[ignore = "a container's process, not a test"]
fn container_process() {
    common::container_process();
}

const URL: &str = "http://127.0.0.1:1";
const MODEL: &str = "a model";

async fn deployed(i: &Installation) -> ServicePath {
    let deployed = i.deploy("census", "first", b"one").await.unwrap();
    path_of(&deployed.service.entry)
}

fn path_of(entry: &Entry) -> ServicePath {
    ServicePath::parse(&entry.workspace.to_string(), &entry.service.to_string()).unwrap()
}

async fn put(
    i: &Installation,
    path: &ServicePath,
    name: &str,
    body: Value,
) -> Result<(EndpointView, bool), Fault> {
    let body = body.to_string();
    i.manager
        .put_endpoint(&i.operator, path, name, body.as_bytes(), URL)
        .await
}

async fn patch(
    i: &Installation,
    path: &ServicePath,
    name: &str,
    body: Value,
) -> Result<EndpointView, Fault> {
    let body = body.to_string();
    i.manager
        .patch_endpoint(&i.operator, path, name, body.as_bytes(), URL)
        .await
}

async fn get(i: &Installation, path: &ServicePath, name: &str) -> Result<EndpointView, Fault> {
    i.manager.endpoint(&i.operator, path, name).await
}

async fn refresh(
    i: &Installation,
    path: &ServicePath,
    name: &str,
    body: &str,
) -> Result<Option<EndpointView>, Fault> {
    let manager = &i.manager;
    let refreshed = manager
        .refresh_endpoint(&i.operator, path, name, body.as_bytes())
        .await?;
    Ok(match refreshed {
        Refreshed::Moved(view) => Some(*view),
        Refreshed::Current => None,
    })
}

fn update(uri: &str) -> Value {
    let location = json!({"BaseLocation": "umpire:sha256:",
        "RelativeLocation": uri.trim_start_matches("umpire:sha256:"), "SasBlobToken": ""});
    json!({"Resources": [{"Name": MODEL, "Location": location}]})
}

/// The title of the package that answers the endpoint's calls.
async fn score(i: &Installation, view: &EndpointView) -> Result<String, Fault> {
    let directory = i.store.ledger.directory().clone();
    let entry = directory.endpoint(&view.entry.endpoint).unwrap();
    let call = Call {
        operation: Operation::Score {
            form: FormWire::Table { details: false },
        },
        body: Bytes::from_static(br#"{"Inputs": {"input1": [{"x": 1}]}}"#),
        deadline: Instant::now() + Duration::from_secs(60),
    };
    let (endpoint, revision) = (entry.endpoint.0, entry.revision.0);
    let reply = i.host.call(endpoint, revision, "test", call).await?;
    let reply: Value = serde_json::from_slice(&reply).unwrap();
    let results = reply["Results"].as_object().unwrap();
    Ok(results.keys().next().unwrap().clone())
}

#[tokio::test]
async fn an_endpoint_is_made_ready_with_keys_and_a_throttle_of_its_own() {
    let i = Installation::new();
    let path = deployed(&i).await;
    let (view, created) = put(&i, &path, "one", json!({"Description": "for a customer"}))
        .await
        .unwrap();
    assert!(created);
    assert_eq!(&*view.entry.settings.description, "for a customer");
    assert_eq!(view.entry.settings.throttle_level, ThrottleLevel::High);
    assert_eq!(view.entry.max_concurrent_calls, 20);
    assert_eq!(view.diagnostics, DiagnosticsLevel::None);
    assert_eq!(score(&i, &view).await.unwrap(), "first");
    let ready = i.host.status().into_iter();
    let of_it = ready.filter(|p| p.endpoint == view.entry.endpoint.0);
    assert_eq!(of_it.count(), 1);
    let default = get(&i, &path, "default").await.unwrap();
    assert_ne!(view.keys, default.keys);
    assert_eq!(default.entry.max_concurrent_calls, 7);
    let resources: Vec<_> = view.resources.iter().map(|r| r.name.as_str()).collect();
    assert_eq!(resources, [MODEL]);

    // The same PUT again changes the one that is there.
    let low = json!({"ThrottleLevel": "low", "PreventUpdate": "True"});
    let (changed, created) = put(&i, &path, "one", low).await.unwrap();
    assert!(!created);
    assert_eq!(changed.entry.endpoint, view.entry.endpoint);
    assert_eq!(changed.keys, view.keys);
    assert_eq!(changed.entry.max_concurrent_calls, 4);
    assert!(changed.entry.settings.prevent_update);
    assert_eq!(&*changed.entry.settings.description, "for a customer");
    let high = json!({"ThrottleLevel": "High", "MaxConcurrentCalls": "200",
        "DiagnosticsTraceLevel": "all", "SampleDataEnabled": false});
    let changed = patch(&i, &path, "ONE", high).await.unwrap();
    assert_eq!(changed.entry.max_concurrent_calls, 200);
    assert_eq!(changed.diagnostics, DiagnosticsLevel::All);
    assert!(!changed.sample_data);
    let again = patch(&i, &path, "one", json!({"PreventUpdate": false})).await;
    assert_eq!(again.unwrap().entry.max_concurrent_calls, 200);

    let names: Vec<String> = i
        .manager
        .endpoints(&i.operator, &path)
        .await
        .unwrap()
        .iter()
        .map(|e| e.entry.endpoint_name.clone())
        .collect();
    assert_eq!(names, ["default", "one"]);
}

#[tokio::test]
async fn what_breaks_a_rule_is_refused_by_name() {
    let i = Installation::new();
    let path = deployed(&i).await;
    put(&i, &path, "low", json!({"ThrottleLevel": "Low"}))
        .await
        .unwrap();
    use rows::BadArgument as Row;
    for (name, body, row, target) in [
        ("Upper", json!({}), &Row::BadParameterValue, "EndpointName"),
        ("a-b", json!({}), &Row::BadParameterValue, "EndpointName"),
        (
            "abcdefghijklmnopqrstuvwxy",
            json!({}),
            &Row::BadParameterValue,
            "EndpointName",
        ),
        (
            "new",
            json!({"ThrottleLevel": "Medium"}),
            &Row::BadParameterValue,
            "ThrottleLevel",
        ),
        (
            "new",
            json!({"DiagnosticsTraceLevel": "Some"}),
            &Row::BadParameterValue,
            "DiagnosticsTraceLevel",
        ),
        (
            "new",
            json!({"EndpointName": "other"}),
            &Row::BadParameterValue,
            "EndpointName",
        ),
        (
            "new",
            json!({"WebServiceId": "00112233445566778899aabbccddeeff"}),
            &Row::BadParameterValue,
            "WebServiceId",
        ),
        (
            "new",
            json!({"MaxConcurrentCalls": 0}),
            &Row::BadParameterValue,
            "MaxConcurrentCalls",
        ),
        (
            "new",
            json!({"MaxConcurrentCalls": 201}),
            &Row::WebServiceTooManyConcurrentRequestRequirement,
            "MaxConcurrentCalls",
        ),
        (
            "new",
            json!({"MaxConcurrentCalls": []}),
            &Row::RequestBodyInvalid,
            "MaxConcurrentCalls",
        ),
        (
            "new",
            json!({"PreventUpdate": "maybe"}),
            &Row::RequestBodyInvalid,
            "PreventUpdate",
        ),
        (
            "new",
            json!({"DiagnosticsExpiryTime": "2001-01-01T00:00:00Z"}),
            &Row::ExpiryTimeInThePast,
            "DiagnosticsExpiryTime",
        ),
        (
            "new",
            json!({"ThrottleLevel": "Low", "MaxConcurrentCalls": 20}),
            &Row::WebServiceConcurrentRequestRequirementInvalid,
            "MaxConcurrentCalls",
        ),
        (
            "low",
            json!({"MaxConcurrentCalls": 20}),
            &Row::WebServiceConcurrentRequestRequirementInvalid,
            "MaxConcurrentCalls",
        ),
    ] {
        let fault = put(&i, &path, name, body.clone()).await.unwrap_err();
        assert!(fault.is(row), "{name} {body}: {}", fault.name());
        assert_eq!(fault.details()[0].target.as_deref(), Some(target), "{body}");
    }
    let fault = patch(&i, &path, "low", json!({})).await.unwrap_err();
    assert!(fault.is(&Row::RequestIsEmpty));
    let fault = patch(&i, &path, "absent", json!({"Description": ""})).await;
    assert_eq!(fault.unwrap_err().class(), Class::NotFound);
    let all = i.manager.endpoints(&i.operator, &path).await.unwrap();
    assert_eq!(all.len(), 2, "nothing was made");
}

#[tokio::test]
async fn a_copy_stays_where_it_is_until_it_is_refreshed() {
    let i = Installation::new();
    let path = deployed(&i).await;
    let (copy, _) = put(&i, &path, "copy", json!({})).await.unwrap();
    assert!(refresh(&i, &path, "copy", "").await.unwrap().is_none());
    i.deploy("census", "second", b"two").await.unwrap();
    assert_eq!(i.score("census").await.unwrap(), "second");
    assert_eq!(score(&i, &copy).await.unwrap(), "first");

    patch(&i, &path, "copy", json!({"PreventUpdate": true}))
        .await
        .unwrap();
    let refused = refresh(&i, &path, "copy", "").await;
    assert_eq!(refused.unwrap_err().class(), Class::Conflict);
    patch(&i, &path, "copy", json!({"PreventUpdate": false}))
        .await
        .unwrap();
    let moved = refresh(&i, &path, "copy", r#"{"OverwriteResources": "False"}"#).await;
    let moved = moved.unwrap().unwrap();
    assert_eq!(moved.keys, copy.keys);
    assert_eq!(score(&i, &copy).await.unwrap(), "second");
    assert!(refresh(&i, &path, "copy", "{}").await.unwrap().is_none());

    let fault = refresh(&i, &path, "default", "").await.unwrap_err();
    assert_eq!(fault.code(), "UnauthorizedRequest");
    let fault = refresh(&i, &path, "copy", r#"{"OverwriteResources": 7}"#).await;
    assert!(
        fault
            .unwrap_err()
            .is(&rows::BadArgument::RequestBodyInvalid)
    );
}

#[tokio::test]
async fn a_resource_is_replaced_for_one_endpoint_and_kept_over_restarts() {
    let i = Installation::new();
    let path = deployed(&i).await;
    let (copy, _) = put(&i, &path, "copy", json!({})).await.unwrap();
    let (other, _) = put(&i, &path, "other", json!({})).await.unwrap();
    let uri = i.upload(b"retrained").await;
    let body = json!({"Description": "now better", "Resources": update(&uri)["Resources"]});
    let updated = patch(&i, &path, "copy", body).await.unwrap();
    assert_ne!(updated.entry.revision, copy.entry.revision);
    assert_eq!(&*updated.entry.settings.description, "now better");
    let place = &updated.resources[0];
    assert_eq!(
        format!("{}{}", place.base_location, place.relative_location),
        uri
    );
    assert_eq!(score(&i, &copy).await.unwrap(), "first");
    let revision = i
        .store
        .ledger
        .revision(updated.entry.revision)
        .await
        .unwrap();
    assert_eq!(format!("umpire:sha256:{}", revision.resources[0].1), uri);
    assert!(revision.definition.contains(&uri));
    let untouched = get(&i, &path, "other").await.unwrap();
    assert_eq!(untouched.entry.revision, other.entry.revision);
    // The old revision is the service's and stays; the service's list does not show the new one.
    let kept = i
        .manager
        .revisions(&i.operator, &named("census"))
        .await
        .unwrap();
    assert_eq!(kept.len(), 1);

    // The service's own storage key is still with the endpoint's revision.
    let secrets = i
        .store
        .ledger
        .secrets(updated.entry.revision)
        .await
        .unwrap();
    assert!(
        String::from_utf8(secrets.unwrap())
            .unwrap()
            .contains("a storage key")
    );

    i.host.shutdown(Duration::ZERO).await;
    let dir = i.dir.clone().unwrap();
    drop(i);
    let i = Installation::in_folder(dir);
    assert_eq!(score(&i, &updated).await.unwrap(), "first");
    let after = get(&i, &path, "copy").await.unwrap();
    assert_eq!(after.entry, updated.entry);

    // A refresh that keeps resources takes the newer package with them.
    i.deploy("census", "second", b"two").await.unwrap();
    let moved = refresh(&i, &path, "copy", "{}").await.unwrap().unwrap();
    assert_eq!(score(&i, &moved).await.unwrap(), "second");
    assert_eq!(moved.resources[0].relative_location, place_of(&uri));
    assert!(refresh(&i, &path, "copy", "{}").await.unwrap().is_none());
    // One that overwrites them does not.
    let overwrite = r#"{"OverwriteResources": "True"}"#;
    let moved = refresh(&i, &path, "copy", overwrite)
        .await
        .unwrap()
        .unwrap();
    assert_ne!(moved.resources[0].relative_location, place_of(&uri));
    let default = get(&i, &path, "default").await.unwrap();
    assert_eq!(moved.entry.revision, default.entry.revision);
    assert!(
        refresh(&i, &path, "copy", overwrite)
            .await
            .unwrap()
            .is_none()
    );
}

fn place_of(uri: &str) -> &str {
    uri.trim_start_matches("umpire:sha256:")
}

#[tokio::test]
async fn an_update_that_fails_changes_nothing() {
    let i = Installation::new();
    let path = deployed(&i).await;
    let (copy, _) = put(&i, &path, "copy", json!({})).await.unwrap();
    let good = i.upload(b"good").await;
    let broken = i.upload(b"broken").await;
    let absent = format!("umpire:sha256:{}", store::Sha256::of(b"absent"));
    let mut strange = update(&good);
    strange["Resources"][0]["Name"] = json!("A MODEL");
    let mut twice = update(&good);
    twice["Resources"]
        .as_array_mut()
        .unwrap()
        .push(update(&good)["Resources"][0].clone());
    let elsewhere = json!({"Resources": [{"Name": MODEL, "Location": {
        "BaseLocation": "https://files.example/", "RelativeLocation": "con/m.ilearner"}}]});
    for (body, class, code) in [
        (update(&broken), Class::ModelPackageFormatError, ""),
        (update(&absent), Class::BadArgument, "BlobNotFound"),
        (strange, Class::NotFound, ""),
        (twice, Class::BadArgument, "RequestBodyInvalid"),
        (elsewhere, Class::BadArgument, "InvalidBlob"),
        (
            json!({"Resources": [{"Name": MODEL}]}),
            Class::BadArgument,
            "MissingInputBlobInformation",
        ),
        (
            json!({"Resources": "all"}),
            Class::BadArgument,
            "RequestBodyInvalid",
        ),
    ] {
        let fault = patch(&i, &path, "copy", body.clone()).await.unwrap_err();
        let found = match fault.details().is_empty() {
            true => "",
            false => fault.code(),
        };
        assert_eq!((fault.class(), found), (class, code), "{body}");
        let after = get(&i, &path, "copy").await.unwrap();
        assert_eq!(after.entry, copy.entry, "{body}");
        assert_eq!(score(&i, &copy).await.unwrap(), "first");
    }
    let fault = patch(&i, &path, "default", update(&good))
        .await
        .unwrap_err();
    assert_eq!(fault.code(), "UnauthorizedRequest");
    // The default endpoint has settings all the same.
    let described = patch(&i, &path, "default", json!({"Description": "d"})).await;
    assert_eq!(&*described.unwrap().entry.settings.description, "d");
    patch(&i, &path, "copy", update(&good)).await.unwrap();
}

#[tokio::test]
async fn endpoints_go_with_their_containers_and_the_default_one_last() {
    let i = Installation::new();
    let path = deployed(&i).await;
    let (copy, _) = put(&i, &path, "copy", json!({})).await.unwrap();
    let fault = i
        .manager
        .delete_endpoint(&i.operator, &path, "default")
        .await
        .unwrap_err();
    assert_eq!(fault.code(), "UnauthorizedRequest");
    i.manager
        .delete_endpoint(&i.operator, &path, "copy")
        .await
        .unwrap();
    let pools = |i: &Installation| i.host.status().len();
    assert_eq!(pools(&i), 1);
    assert!(get(&i, &path, "copy").await.is_err());
    let directory = i.store.ledger.directory().clone();
    assert!(directory.endpoint(&copy.entry.endpoint).is_none());
    put(&i, &path, "copy", json!({})).await.unwrap();
    // With the service go all.
    assert!(
        i.manager
            .delete(&i.operator, &named("census"))
            .await
            .unwrap()
    );
    assert_eq!(pools(&i), 0);

    let path = deployed(&i).await;
    i.manager
        .delete_endpoint(&i.operator, &path, "default")
        .await
        .unwrap();
    let gone = i.manager.classic_service(&i.operator, &path).await;
    assert!(gone.unwrap_err().is(&rows::NotFound::WebServiceNotFound));
}

#[tokio::test]
async fn a_read_only_service_keeps_its_endpoints_as_they_are() {
    let i = Installation::new();
    let path = deployed(&i).await;
    let (copy, _) = put(&i, &path, "copy", json!({})).await.unwrap();
    let uri = i.upload(b"one").await;
    let mut body = package("second", &uri);
    body["properties"]["readOnly"] = json!(true);
    i.put("census", &body).await.unwrap();
    let conflicts = [
        put(&i, &path, "more", json!({})).await.err(),
        patch(&i, &path, "copy", json!({"Description": "d"}))
            .await
            .err(),
        patch(&i, &path, "copy", update(&uri)).await.err(),
        refresh(&i, &path, "copy", "").await.err(),
        i.manager
            .delete_endpoint(&i.operator, &path, "copy")
            .await
            .err(),
    ];
    for fault in conflicts {
        assert_eq!(fault.unwrap().class(), Class::Conflict);
    }
    assert_eq!(score(&i, &copy).await.unwrap(), "first");
    assert!(
        i.manager
            .delete(&i.operator, &named("census"))
            .await
            .unwrap()
    );
}

#[tokio::test]
async fn code_is_published_where_a_module_runs_its_language() {
    let i = Installation::new();
    let workspace = i.store.ledger.directory().default_workspace().unwrap().id;
    let id = "00112233445566778899aabbccddeeff";
    let path = ServicePath::parse(&workspace.to_string(), id).unwrap();
    let publish = |path: &ServicePath, language: &str, name: &str| {
        let column = json!({"x": {"type": "number", "format": "double"}});
        let body = json!({"Name": name, "Type": "Code", "CodeBundle": {
            "InputSchema": column, "OutputSchema": column, "Language": language,
            "SourceCode": "def azureml_main(x): return x", "ZipContents": ""}});
        let (manager, operator, path) = (i.manager.clone(), i.operator.clone(), path.clone());
        async move {
            manager
                .publish_code(&operator, &path, body.to_string())
                .await
        }
    };
    for language in [
        "R-3.1-64",
        "python-2.6-64",
        "python-2.7-32",
        "python-2-7-64",
    ] {
        let fault = publish(&path, language, "echo").await.unwrap_err();
        assert!(fault.is(&rows::WebServicePackageError::RuntimesError));
        let said = &fault.details()[0].args[0];
        assert!(
            said.contains(language) && said.contains("python-3.5-64"),
            "{said}"
        );
        assert_eq!(i.store.ledger.directory().service_count(), 0);
    }
    let (service, created) = publish(&path, "Python-2.7-64", "echo").await.unwrap();
    assert!(created);
    let entry = &service.service.entry;
    assert_eq!(entry.service.to_string(), id);
    assert_eq!(entry.service_name.name, "echo");
    assert_eq!(service.service.title(), "echo");
    let view = get(&i, &path, "default").await.unwrap();
    assert_eq!(score(&i, &view).await.unwrap(), "output1");
    // The same id again is an update in place, whatever it is called now.
    let (service, created) = publish(&path, "python-3.5-64", "renamed").await.unwrap();
    assert!(!created);
    assert_eq!(service.service.entry.revision_number, 2);
    assert_eq!(service.service.title(), "renamed");
    // Another id may have the same name.
    let other = "ffeeddccbbaa99887766554433221100";
    let other = ServicePath::parse(&workspace.to_string(), other).unwrap();
    let (second, _) = publish(&other, "python-3.5-64", "echo").await.unwrap();
    assert_eq!(second.service.title(), "echo");
    let all = manage::WorkspacePath::parse(&workspace.to_string()).unwrap();
    let all = i.manager.classic_services(&i.operator, &all).await.unwrap();
    assert_eq!(all.len(), 2);
    // An endpoint's id is taken.
    let taken = ServicePath::parse(
        &workspace.to_string(),
        &second.service.entry.endpoint.to_string(),
    );
    let fault = publish(&taken.unwrap(), "python-3.5-64", "x").await;
    assert_eq!(fault.unwrap_err().class(), Class::Conflict);
}
