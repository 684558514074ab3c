//! Services through the manager, with real containers.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use common::{Installation, named, package};
use containers::{PoolLimits, RevisionSource as _};
use faults::{Class, Fault, rows};
use manage::{ApiVersion, StoredRevisions};
use serde_json::{Value, json};
use store::{Id, ServiceWrite, Sha256, WhichKey};

/// The host starts this program with this test as a container.
#[test]
#[ignore = "a container's process, not a test"]
fn container_process() {
    common::container_process();
}

#[tokio::test]
async fn a_service_scores_when_deploy_answers_and_after_a_restart() {
    let i = Installation::new();
    let deployed = i.deploy("Census", "first", b"model").await.unwrap();
    assert!(deployed.created);
    assert_eq!(i.score("census").await.unwrap(), "first");
    let entry = deployed.service.entry.clone();
    assert_eq!((entry.revision_number, entry.max_concurrent_calls), (1, 7));

    i.host.shutdown(Duration::ZERO).await;
    let dir = i.dir.clone().unwrap();
    drop(i);
    let i = Installation::in_folder(dir);
    assert_eq!(i.score("census").await.unwrap(), "first");
    let view = i.manager.get(&i.operator, &named("CENSUS")).await.unwrap();
    assert_eq!(view.entry, entry);
}

#[tokio::test]
async fn a_get_shows_the_definition_without_its_secrets() {
    let i = Installation::new();
    let uri = i.upload(b"model").await;
    let mut body = package("t", &uri);
    body["properties"]["keys"] = json!({"primary": "one", "secondary": "two"});
    let deployed = i.put("a", &body).await.unwrap();
    let view = &deployed.service;
    let base = "https://here:1";
    let shown = Value::from(view.properties(ApiVersion::Stable2017, base));
    let entry = &view.entry;
    let mut expected = body["properties"].clone();
    let map = expected.as_object_mut().unwrap();
    map.remove("keys");
    map.remove("commitmentPlan");
    map["storageAccount"] = json!({"name": "acct"});
    map.insert("payloadsInBlobStorage".into(), json!(false));
    map.insert("provisioningState".into(), json!("Succeeded"));
    map.insert("createdOn".into(), json!(entry.created.to_string()));
    map.insert("modifiedOn".into(), json!(entry.modified.to_string()));
    let swagger = format!(
        "{base}/subscriptions/00000000000000000000000000000000/services/{}/swagger.json",
        entry.service
    );
    map.insert("swaggerLocation".into(), json!(swagger));
    assert_eq!(shown, expected);
    assert_eq!(
        view.resource_id(),
        "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/default/providers/Microsoft.MachineLearning/webServices/a"
    );
    assert_eq!(Value::from(view.tags()), json!({"team": "red"}));
    assert_eq!(view.inputs()["input1"]["properties"]["x"]["type"], "Number");
    let listed = Value::from(view.listed_properties(base));
    assert!(listed.get("package").is_none() && listed.get("assets").is_none());
    assert_eq!(listed["title"], "t");

    let keys = i.manager.keys(&i.operator, &named("a")).await.unwrap();
    assert_eq!(keys, ["one", "two"]);
    let secrets = i.store.ledger.secrets(entry.revision).await.unwrap();
    let secrets: Value = serde_json::from_slice(&secrets.unwrap()).unwrap();
    assert_eq!(secrets, json!({"storageAccount": "a storage key"}));
}

#[tokio::test]
async fn a_further_deploy_moves_calls_and_keeps_ids_and_keys() {
    let i = Installation::new();
    let first = i.deploy("a", "first", b"one").await.unwrap();
    let keys = i.manager.keys(&i.operator, &named("a")).await.unwrap();
    let second = i.deploy("A", "second", b"two").await.unwrap();
    assert!(!second.created);
    let (before, after) = (&first.service.entry, &second.service.entry);
    assert_eq!(before.service, after.service);
    assert_eq!(before.endpoint, after.endpoint);
    assert_eq!(before.workspace, after.workspace);
    assert_eq!(after.service_name.name, "a", "the first spelling stays");
    assert_eq!(after.revision_number, 2);
    assert_eq!(
        i.manager.keys(&i.operator, &named("a")).await.unwrap(),
        keys
    );
    assert_eq!(i.score("a").await.unwrap(), "second");

    let back = i
        .manager
        .rollback(&i.operator, &named("a"), None)
        .await
        .unwrap();
    assert_eq!(back.entry.revision_number, 1);
    assert_eq!(i.score("a").await.unwrap(), "first");
    let nowhere = i.manager.rollback(&i.operator, &named("a"), None).await;
    let fault = nowhere.unwrap_err();
    assert_eq!((fault.class(), fault.details().len()), (Class::NotFound, 0));
    let ahead = i.manager.rollback(&i.operator, &named("a"), Some(2)).await;
    assert_eq!(ahead.unwrap().entry.revision_number, 2);
    assert_eq!(i.score("a").await.unwrap(), "second");
    let third = i.deploy("a", "third", b"one").await.unwrap();
    assert_eq!(third.service.entry.revision_number, 3);
    let kept = i.manager.revisions(&i.operator, &named("a")).await.unwrap();
    let kept: Vec<_> = kept.iter().map(|r| (r.number, r.active)).collect();
    assert_eq!(kept, [(3, true), (2, false), (1, false)]);
}

#[tokio::test]
async fn a_revision_that_does_not_load_changes_nothing() {
    let i = Installation::new();
    let fault = i.deploy("a", "first", b"broken").await.unwrap_err();
    assert_eq!(fault.class(), Class::ModelPackageFormatError);
    let missing = i.manager.get(&i.operator, &named("a")).await.unwrap_err();
    assert!(missing.is(&rows::NotFound::WebServiceNotFound));

    let good = i.deploy("a", "first", b"one").await.unwrap();
    let fault = i.deploy("a", "second", b"broken").await.unwrap_err();
    assert_eq!(fault.class(), Class::ModelPackageFormatError);
    let view = i.manager.get(&i.operator, &named("a")).await.unwrap();
    assert_eq!(view.entry, good.service.entry);
    assert_eq!(i.score("a").await.unwrap(), "first");
    assert_eq!(
        i.manager
            .revisions(&i.operator, &named("a"))
            .await
            .unwrap()
            .len(),
        1
    );
    let notes = i.telemetry.notes(view.entry.endpoint.0, 100);
    assert!(notes.iter().any(|n| n.text.contains("a deploy failed")));
}

#[tokio::test]
async fn one_change_at_a_time_and_a_load_without_end_is_ended() {
    let i = Installation::with_start_limit(Duration::from_secs(5));
    i.deploy("a", "first", b"one").await.unwrap();
    let uri = i.upload(b"endless").await;
    let endless = {
        let (manager, operator) = (i.manager.clone(), i.operator.clone());
        let body = package("second", &uri).to_string();
        tokio::spawn(async move {
            loop {
                match manager.deploy(&operator, named("a"), body.clone()).await {
                    // The turn was with one of the empty bodies below.
                    Err(fault) if fault.class() == Class::Conflict => {}
                    other => return other,
                }
            }
        })
    };
    // The empty body is refused as empty until the other deploy has its turn.
    loop {
        let fault = i.put("a", &json!({})).await.unwrap_err();
        if fault.class() == Class::Conflict {
            break;
        }
        assert!(fault.is(&rows::BadArgument::RequestIsEmpty));
        tokio::task::yield_now().await;
    }
    let delete = i.manager.delete(&i.operator, &named("A")).await;
    assert_eq!(delete.unwrap_err().class(), Class::Conflict);
    let rollback = i.manager.rollback(&i.operator, &named("a"), None).await;
    assert_eq!(rollback.unwrap_err().class(), Class::Conflict);
    // Calls, keys and other services go on meanwhile.
    assert_eq!(i.score("a").await.unwrap(), "first");
    let keys = i
        .manager
        .regenerate_key(&i.operator, &named("a"), WhichKey::Secondary)
        .await
        .unwrap();
    i.deploy("b", "other", b"two").await.unwrap();

    let fault = endless.await.unwrap().unwrap_err();
    assert!(
        fault.is(&rows::GatewayTimeout::BackendInitializationTimeout),
        "{}",
        fault.name()
    );
    assert_eq!(i.score("a").await.unwrap(), "first");
    assert_eq!(
        i.manager.keys(&i.operator, &named("a")).await.unwrap(),
        keys
    );
    i.deploy("a", "second", b"two").await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_call_fails_while_revisions_come_and_go() {
    let i = Arc::new(Installation::new());
    i.deploy("a", "0", b"one").await.unwrap();
    let done = Arc::new(AtomicBool::new(false));
    let callers: Vec<_> = (0..4)
        .map(|_| {
            let (i, done) = (i.clone(), done.clone());
            tokio::spawn(async move {
                let (mut calls, mut last) = (0, 0);
                while !done.load(Ordering::Acquire) {
                    let title: u32 = i.score("a").await.unwrap().parse().unwrap();
                    assert!(
                        title >= last,
                        "{title} after {last}: an old revision came back"
                    );
                    last = title;
                    calls += 1;
                }
                calls
            })
        })
        .collect();
    for n in 1..=8 {
        i.deploy("a", &n.to_string(), b"one").await.unwrap();
        assert_eq!(i.score("a").await.unwrap(), n.to_string());
    }
    done.store(true, Ordering::Release);
    for caller in callers {
        assert!(caller.await.unwrap() > 0);
    }
}

#[tokio::test]
async fn a_deploy_goes_on_when_nobody_waits_for_it() {
    let i = Installation::new();
    let uri = i.upload(b"one").await;
    let body = package("first", &uri).to_string();
    {
        let mut deploy = Box::pin(i.manager.deploy(&i.operator, named("a"), body));
        // Polled once, so that it has begun, and dropped.
        let begun = futures_util::FutureExt::now_or_never(deploy.as_mut());
        assert!(begun.is_none());
    }
    let limit = Instant::now() + Duration::from_secs(20);
    let key = named("a").key();
    while i.store.ledger.directory().by_name(&key).is_none() {
        assert!(Instant::now() < limit, "the deploy did not go on");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(i.score("a").await.unwrap(), "first");
}

#[tokio::test]
async fn what_is_deleted_is_gone_and_can_be_made_anew() {
    let i = Installation::new();
    let first = i.deploy("a", "first", b"one").await.unwrap();
    assert!(i.manager.delete(&i.operator, &named("A")).await.unwrap());
    assert!(!i.manager.delete(&i.operator, &named("a")).await.unwrap());
    let fault = i.score("a").await.unwrap_err();
    assert!(fault.is(&rows::NotFound::WebServiceNotFound));
    for fault in [
        i.manager.keys(&i.operator, &named("a")).await.unwrap_err(),
        i.manager
            .revisions(&i.operator, &named("a"))
            .await
            .unwrap_err(),
        i.manager
            .rollback(&i.operator, &named("a"), None)
            .await
            .unwrap_err(),
    ] {
        assert!(fault.is(&rows::NotFound::WebServiceNotFound));
    }
    let second = i.deploy("a", "second", b"one").await.unwrap();
    assert!(second.created);
    assert_ne!(second.service.entry.service, first.service.entry.service);
    assert_eq!(i.score("a").await.unwrap(), "second");
}

#[tokio::test]
async fn a_body_is_refused_for_the_first_thing_wrong() {
    let i = Installation::new();
    let uri = i.upload(b"one").await;
    let good = package("t", &uri);
    let with = |path: &str, value: Value| {
        let mut body = good.clone();
        *body.pointer_mut(path).unwrap() = value;
        body
    };
    let absent = format!("umpire:sha256:{}", Sha256::of(b"never uploaded"));
    let max = "/properties/realtimeConfiguration/maxConcurrentCalls";
    let model = "/properties/assets/model/locationInfo/uri";
    type Expected = (&'static faults::Row, Option<&'static str>);
    let cases: [(Value, Expected); 12] = [
        (json!({}), (&rows::BadArgument::RequestIsEmpty, None)),
        (
            with("/location", json!(7)),
            (&rows::BadArgument::RequestBodyInvalid, Some("location")),
        ),
        (
            with("/properties/packageType", json!("Code")),
            (&rows::BadArgument::WebServiceTypeInvalid, None),
        ),
        (
            with("/properties/package", Value::Null),
            (&rows::BadArgument::MissingWebServicePackage, None),
        ),
        (
            with("/properties/package/nodes", json!(7)),
            (&rows::WebServicePackageError::FormatError, None),
        ),
        (
            with("/properties/package/edges/0/targetPortId", json!("nowhere")),
            (&rows::WebServicePackageError::ValidationError, None),
        ),
        (
            with(model, json!("https://elsewhere/m.onnx?sig=secret")),
            (&rows::BadArgument::InvalidBlob, Some("assets/model")),
        ),
        (
            with(model, json!(absent)),
            (&rows::BadArgument::BlobNotFound, Some("assets/model")),
        ),
        (
            with(max, json!(3)),
            (
                &rows::BadArgument::BadParameterValue,
                Some("realtimeConfiguration/maxConcurrentCalls"),
            ),
        ),
        (
            with(max, json!(201)),
            (
                &rows::BadArgument::WebServiceTooManyConcurrentRequestRequirement,
                Some("realtimeConfiguration/maxConcurrentCalls"),
            ),
        ),
        (
            with("/properties/storageAccount", json!({"name": "a"})),
            (&rows::BadArgument::MissingKeys, Some("keys")),
        ),
        (
            with("/properties/parameters", json!({})),
            (
                &rows::NotFound::WorkspaceNotFound,
                Some("machineLearningWorkspace/id"),
            ),
        ),
    ];
    for (mut body, (row, target)) in cases {
        if row.code == "MissingKeys" {
            body["properties"]["keys"] = json!({"primary": "one", "secondary": ""});
        }
        if row.code == "WorkspaceNotFound" {
            body["properties"]["machineLearningWorkspace"] = json!({"id": Id::random()});
        }
        let fault = i.put("a", &body).await.unwrap_err();
        assert!(
            fault.is(row),
            "{} instead of {}: {:?}",
            fault.name(),
            row.code,
            fault.cause()
        );
        if target.is_some() {
            assert_eq!(fault.details()[0].target.as_deref(), target, "{}", row.code);
        }
        let told = format!("{:?}", fault.details());
        assert!(!told.contains("secret"), "{told}");
    }
    let fault = i.put("a/b", &good).await.unwrap_err();
    assert_eq!(
        (fault.class(), fault.details().len()),
        (Class::BadArgument, 0)
    );
    assert_eq!(i.store.ledger.directory().service_count(), 0);
}

#[tokio::test]
async fn what_cannot_change_is_a_conflict() {
    let i = Installation::new();
    let uri = i.upload(b"one").await;
    let good = package("t", &uri);
    let workspace = i.store.ledger.directory().default_workspace().unwrap().id;
    let second = Id::random();
    let name = named("second workspace");
    i.store
        .ledger
        .create_workspace(second, name, "test")
        .await
        .unwrap();

    i.put("a", &good).await.unwrap();
    let bare = |result: Result<manage::Deployed, Fault>| {
        let fault = result.unwrap_err();
        assert_eq!((fault.class(), fault.details().len()), (Class::Conflict, 0));
    };
    let mut moved = good.clone();
    moved["location"] = json!("West Europe");
    bare(i.put("a", &moved).await);
    moved["location"] = json!("southcentralus");
    moved["properties"]["machineLearningWorkspace"] = json!({"id": second});
    bare(i.put("a", &moved).await);
    moved["properties"]["machineLearningWorkspace"] = json!({"id": workspace});
    moved["properties"]["readOnly"] = json!("true");
    i.put("a", &moved).await.unwrap();
    bare(i.put("a", &good).await);
    let rollback = i.manager.rollback(&i.operator, &named("a"), None).await;
    assert_eq!(rollback.unwrap_err().class(), Class::Conflict);
    assert!(i.manager.delete(&i.operator, &named("a")).await.unwrap());

    // A service can be made in any workspace there is.
    let mut elsewhere = good;
    elsewhere["properties"]["machineLearningWorkspace"] =
        json!({"id": format!("/subscriptions/s/resourceGroups/g/providers/p/workspaces/{second}")});
    let made = i.put("b", &elsewhere).await.unwrap();
    assert_eq!(made.service.entry.workspace, second);
}

#[tokio::test]
async fn keys_are_made_anew_one_at_a_time() {
    let i = Installation::new();
    i.deploy("a", "t", b"one").await.unwrap();
    let [primary, secondary] = i.manager.keys(&i.operator, &named("a")).await.unwrap();
    let [fresh, same] = i
        .manager
        .regenerate_key(&i.operator, &named("a"), WhichKey::Primary)
        .await
        .unwrap();
    assert_eq!(same, secondary);
    assert_ne!(fresh, primary);
    assert_eq!((fresh.len(), &fresh[86..]), (88, "=="));
    let directory = i.store.ledger.directory();
    let entry = directory.by_name(&named("a").key()).unwrap();
    assert!(entry.has_key(&i.store.sealer.digest_key(&fresh)));
    assert!(!entry.has_key(&i.store.sealer.digest_key(&primary)));
}

#[tokio::test]
async fn only_the_operators_token_manages() {
    let i = Installation::new();
    i.deploy("a", "t", b"one").await.unwrap();
    let [key, _] = i.manager.keys(&i.operator, &named("a")).await.unwrap();
    for credential in [None, Some(""), Some("guess"), Some(key.as_str())] {
        let fault = i.manager.authorize(credential, "").unwrap_err();
        assert!(fault.is(&rows::Unauthorized::ManagementRequestUnauthorized));
    }
    assert_eq!(i.operator.actor().name, "operator");
}

#[tokio::test]
async fn lists_are_paged_and_names_resolved() {
    let i = Installation::new();
    let uri = i.upload(b"one").await;
    for (group, name) in [
        ("default", "b"),
        ("Default", "A"),
        ("other", "a"),
        ("other", "c"),
    ] {
        let mut full = named(name);
        full.resource_group = group.into();
        let body = package("t", &uri).to_string();
        i.manager.deploy(&i.operator, full, body).await.unwrap();
    }
    let subscription = store::DEFAULT_SUBSCRIPTION;
    let names = |page: &manage::Page| {
        page.services
            .iter()
            .map(|s| s.entry.service_name.name.clone())
            .collect::<Vec<_>>()
    };
    let list = |group: Option<&'static str>, after: Option<String>, limit| {
        let (manager, operator) = (&i.manager, &i.operator);
        async move {
            manager
                .list(operator, subscription, group, after.as_deref(), limit)
                .await
        }
    };
    let first = list(None, None, 3).await.unwrap();
    assert_eq!(names(&first), ["A", "b", "a"]);
    let rest = list(None, first.next, 3).await.unwrap();
    assert_eq!((names(&rest), rest.next), (vec!["c".to_owned()], None));
    let group = list(Some("OTHER"), None, 10).await.unwrap();
    assert_eq!(
        (names(&group), group.next),
        (vec!["a".into(), "c".into()], None)
    );
    let bad = list(None, Some("nonsense".into()), 3).await.unwrap_err();
    assert!(bad.is(&rows::BadArgument::InvalidQueryParameter));
    let none = i
        .manager
        .list(&i.operator, "another", None, None, 10)
        .await
        .unwrap();
    assert!(none.services.is_empty());
    let all = i.manager.list_all(&i.operator, None, 10).await.unwrap();
    assert_eq!(all.services.len(), 4);

    let resolve = |text: &str| i.manager.resolve(&i.operator, text);
    assert_eq!(resolve("a").unwrap().resource_group, "Default");
    assert_eq!(resolve("C").unwrap().resource_group, "other");
    let id = group.services[0].entry.service.to_string();
    assert_eq!(resolve(&id).unwrap().resource_group, "other");
    assert!(
        resolve("nobody")
            .unwrap_err()
            .is(&rows::NotFound::WebServiceNotFound)
    );
}

#[tokio::test]
async fn blobs_are_checked_as_they_come() {
    let i = Installation::new();
    let sha256 = Sha256::of(b"content").to_string();
    let put = |sha256: String, content: Vec<Result<bytes::Bytes, Fault>>| {
        let (manager, operator) = (&i.manager, &i.operator);
        async move {
            manager
                .put_blob(operator, &sha256, futures_util::stream::iter(content))
                .await
        }
    };
    let fault = put("../../x".into(), vec![]).await.unwrap_err();
    assert!(fault.is(&rows::BadArgument::RequestBodyInvalid));
    let fault = put(sha256.clone(), vec![Ok("other".into())])
        .await
        .unwrap_err();
    assert_eq!(fault.details()[0].target.as_deref(), Some("sha256"));
    let broken = faults::request_timeout::request_canceled();
    let cut = vec![Ok("con".into()), Err(broken.clone())];
    assert_eq!(put(sha256.clone(), cut).await.unwrap_err(), broken);
    assert_eq!(i.manager.blob_size(&i.operator, &sha256).unwrap(), None);
    let whole = vec![Ok("con".into()), Ok("tent".into())];
    assert!(put(sha256.clone(), whole).await.unwrap().created);
    assert_eq!(i.manager.blob_size(&i.operator, &sha256).unwrap(), Some(7));
}

#[tokio::test]
async fn a_stored_revision_that_is_damaged_says_what_is_wrong() {
    let i = Installation::new();
    let made = i.deploy("a", "t", b"one").await.unwrap();
    i.host.remove(made.service.entry.endpoint.0).await;
    let dir = i.dir.as_ref().unwrap();
    let blob = dir
        .path()
        .join("blobs")
        .join(Sha256::of(b"one").to_string());
    std::fs::write(&blob, b"two").unwrap();
    let fault = i.score("a").await.unwrap_err();
    assert!(
        fault.is(&rows::InternalError::ModelPackageInvalid),
        "{}",
        fault.name()
    );
    // Uploading it again heals the service; after a failed start the host waits a little.
    i.upload(b"one").await;
    let limit = Instant::now() + Duration::from_secs(20);
    while let Err(fault) = i.score("a").await {
        assert!(Instant::now() < limit, "{:?}", fault.cause());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_stored_revision_is_opened_whole_or_not_at_all() {
    let i = Installation::new();
    let made = i.deploy("a", "t", b"one").await.unwrap();
    let (endpoint, revision) = (made.service.entry.endpoint, made.service.entry.revision);
    let source = StoredRevisions::new(i.store.clone(), PoolLimits::default());
    let open = || source.open(endpoint.0, revision.0);
    let files = open().unwrap();
    assert_eq!(files.revision, revision.0);
    let package: Value = serde_json::from_slice(&files.package).unwrap();
    assert_eq!(package["title"], "t");
    assert_eq!(files.resources.len(), 1);

    let fault = source.open(endpoint.0, Id::random().0).unwrap_err();
    assert!(fault.is(&rows::NotFound::WebServiceNotFound));

    i.store.blobs.delete(&Sha256::of(b"one")).unwrap();
    assert!(
        open()
            .unwrap_err()
            .is(&rows::InternalError::ModelPackageInvalid)
    );
    i.upload(b"one").await;
    open().unwrap();

    // A ledger that lists other resources than the package asks for, as a damaged one may, or
    // a package that no longer reads.
    let mut seen = made.service.entry.clone();
    for (definition, row) in [
        (
            String::from_utf8(files.package).unwrap(),
            &rows::InternalError::InvalidWebServiceResources,
        ),
        (
            "no JSON".into(),
            &rows::InternalError::WebServicePackageInvalid,
        ),
        ("{}".into(), &rows::InternalError::WebServicePackageInvalid),
    ] {
        let write = ServiceWrite {
            service: seen.service,
            endpoint,
            revision: Id::random(),
            expected: Some(seen.version),
            name: seen.service_name.clone(),
            location: seen.location.clone(),
            tags: "{}".into(),
            workspace: seen.workspace,
            read_only: false,
            max_concurrent_calls: 4,
            keys: None,
            definition,
            secrets: None,
            resources: Vec::new(),
            plan: None,
        };
        seen = i.store.ledger.put_service(write, "test").await.unwrap();
        let fault = source.open(endpoint.0, seen.revision.0).unwrap_err();
        assert!(fault.is(row), "{} instead of {}", fault.name(), row.code);
    }
}
