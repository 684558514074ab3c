//! Several endpoints to a service, in the ledger and in the directory.

mod common;

use std::sync::Arc;

use common::{new_service, next_revision, put_blob};
use faults::{Class, Fault, internal_error, rows};
use jiff::Timestamp;
use store::{
    DiagnosticsLevel, EndpointMove, EndpointRevision, EndpointSettings, Entry, Id, NewEndpoint,
    Operation, OperationKind, OwnResource, Recording, Retention, Sha256, Store, ThrottleLevel,
};

async fn service(store: &Store) -> Arc<Entry> {
    let write = new_service(store, "census");
    store.ledger.put_service(write, "test").await.unwrap()
}

fn further(default: &Entry, name: &str) -> NewEndpoint {
    NewEndpoint {
        endpoint: Id::random(),
        service: default.service,
        expected: default.version,
        name: name.into(),
        settings: EndpointSettings::default(),
        max_concurrent_calls: 9,
        revision: default.revision,
    }
}

/// The default endpoint of the service as it is now.
fn now(store: &Store, service: Id) -> Arc<Entry> {
    store.ledger.directory().endpoint(&service).unwrap().clone()
}

async fn add(store: &Store, service: Id, name: &str) -> Arc<Entry> {
    let new = further(&now(store, service), name);
    store.ledger.create_endpoint(new, "test").await.unwrap()
}

fn own_revision(definition: &str, blob: Sha256) -> EndpointRevision {
    EndpointRevision::Own {
        id: Id::random(),
        definition: definition.into(),
        secrets: Some(b"sealed".to_vec()),
        resources: vec![("asset".into(), blob)],
    }
}

/// Gives the endpoint a revision of its own.
async fn update(store: &Store, endpoint: Id, blob: Sha256) -> Result<Arc<Entry>, Fault> {
    let before = store
        .ledger
        .directory()
        .endpoint(&endpoint)
        .unwrap()
        .clone();
    let own = OwnResource {
        asset_name: "Census [trained model]".into(),
        sha256: blob,
        base_location: "https://account.blob/".into(),
        relative_location: "container/model.ilearner".into(),
        updated: Timestamp::UNIX_EPOCH,
    };
    let to = EndpointMove {
        service: before.service,
        endpoint,
        expected: before.version,
        base: before.base_revision.unwrap(),
        revision: own_revision(r#"{"title":"own"}"#, blob),
        own: vec![own],
        settings: None,
        action: "update resources",
    };
    let row = internal_error::update_web_service_resource_failed;
    store.ledger.move_endpoint(to, row, "test").await
}

#[tokio::test]
async fn an_endpoint_is_found_by_its_id_and_listed_and_survives_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), None).unwrap();
    let default = service(&store).await;
    let expiry = Timestamp::from_second(4_000_000_000).unwrap();
    let settings = EndpointSettings {
        description: "for a customer".into(),
        throttle_level: ThrottleLevel::Low,
        diagnostics: Some(DiagnosticsLevel::All),
        diagnostics_expiry: Some(expiry),
        prevent_update: true,
        sample_data: false,
    };
    let new = NewEndpoint {
        settings: settings.clone(),
        max_concurrent_calls: 4,
        ..further(&default, "customer1")
    };
    let made = store.ledger.create_endpoint(new, "test").await.unwrap();
    assert_eq!(made.settings, settings);
    assert_eq!(made.revision, default.revision);
    assert_eq!(made.base_revision, Some(default.revision));
    assert!(!made.is_default() && now(&store, default.service).is_default());
    assert!(made.keys.iter().all(|key| !default.keys.contains(key)));
    let directory = store.ledger.directory().clone();
    assert_eq!(directory.endpoint_count(), 2);
    assert_eq!(directory.service_count(), 1);
    assert_eq!(directory.endpoints_of(&default.service).len(), 2);
    assert_eq!(directory.endpoints().count(), 2);
    let [primary, secondary] = store.ledger.keys(made.endpoint).await.unwrap();
    for key in [primary, secondary] {
        assert!(made.has_key(&store.sealer.digest_key(&key)));
        assert!(!default.has_key(&store.sealer.digest_key(&key)));
    }

    drop((store, directory));
    let store = Store::open(dir.path(), None).unwrap();
    let found = store.ledger.directory().endpoint(&made.endpoint).cloned();
    assert_eq!(found, Some(made.clone()));
    let changed = EndpointSettings {
        description: "".into(),
        ..EndpointSettings::default()
    };
    let changed = store
        .ledger
        .set_endpoint(&made, changed, 50, "test")
        .await
        .unwrap();
    assert_eq!(changed.max_concurrent_calls, 50);
    assert_eq!(changed.settings, EndpointSettings::default());
    assert_eq!(changed.endpoint_version, made.endpoint_version + 1);
    let stale = store.ledger.set_endpoint(&made, settings, 4, "test").await;
    assert_eq!(stale.unwrap_err().class(), Class::Conflict);
}

#[tokio::test]
async fn names_are_unique_in_a_service_and_the_default_one_stays() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), None).unwrap();
    let default = service(&store).await;
    let made = add(&store, default.service, "one").await;
    for taken in ["one", "default"] {
        let new = further(&now(&store, default.service), taken);
        let fault = store.ledger.create_endpoint(new, "test").await.unwrap_err();
        assert_eq!(fault.class(), Class::Conflict, "{taken}");
    }
    let (ledger, service) = (&store.ledger, default.service);
    let gone = |endpoint| async move {
        let gone = ledger.delete_endpoint(service, endpoint, "test").await;
        gone.unwrap()
    };
    assert!(!gone(default.endpoint).await, "the default one stays");
    assert!(gone(made.endpoint).await);
    assert!(!gone(made.endpoint).await);
    let directory = store.ledger.directory().clone();
    assert!(directory.endpoint(&made.endpoint).is_none());
    assert!(!directory.key_known(&made.keys[0]));
    assert_eq!(directory.endpoint_count(), 1);
    // The name is free again.
    add(&store, default.service, "one").await;
}

#[tokio::test]
async fn a_deploy_changes_the_default_endpoint_alone_and_keeps_what_others_use() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), None).unwrap();
    let default = service(&store).await;
    let copy = add(&store, default.service, "copy").await;
    for n in 0..Retention::default().revisions + 3 {
        let before = now(&store, default.service);
        let write = next_revision(&store, &before, &format!(r#"{{"title":"{n}"}}"#));
        store.ledger.put_service(write, "test").await.unwrap();
    }
    let after = store.ledger.directory().endpoint(&copy.endpoint).cloned();
    assert_eq!(after.unwrap().revision, default.revision);
    let kept = store.ledger.revisions(default.service).await.unwrap();
    let numbers: Vec<u64> = kept.iter().map(|r| r.number).collect();
    assert_eq!(numbers, [9, 8, 7, 6, 5, 4, 1]);
}

#[tokio::test]
async fn a_revision_of_its_own_replaces_the_one_before_and_is_seen_by_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), None).unwrap();
    let default = service(&store).await;
    let copy = add(&store, default.service, "copy").await;
    let first = put_blob(&store, b"first").await.unwrap();
    let second = put_blob(&store, b"second").await.unwrap();
    let one = update(&store, copy.endpoint, first).await.unwrap();
    let two = update(&store, copy.endpoint, second).await.unwrap();
    assert_ne!(one.revision, two.revision);
    assert_eq!(two.base_revision, Some(default.revision));
    let fault = store.ledger.revision(one.revision).await.unwrap_err();
    assert!(fault.is(&rows::NotFound::WebServiceNotFound));
    let kept = store.ledger.revision(two.revision).await.unwrap();
    assert_eq!(kept.definition, r#"{"title":"own"}"#);
    assert_eq!(kept.resources, [("asset".to_owned(), second)]);
    let secrets = store.ledger.secrets(two.revision).await.unwrap();
    assert_eq!(secrets.as_deref(), Some(&b"sealed"[..]));
    let own = store.ledger.own_resources(copy.endpoint).await.unwrap();
    assert_eq!(own.len(), 1);
    assert_eq!(own[0].sha256, second);
    assert!(store.ledger.named_blobs().unwrap().contains(&second));

    // The service's own list and rollback do not see it; its number is not given again.
    let listed = store.ledger.revisions(default.service).await.unwrap();
    assert_eq!(listed.len(), 1);
    let before = now(&store, default.service);
    let refused = store
        .ledger
        .activate_revision(default.service, two.revision, 20, before.version, "test")
        .await;
    assert_eq!(refused.unwrap_err().class(), Class::Conflict);
    let next = next_revision(&store, &before, "{}");
    let next = store.ledger.put_service(next, "test").await.unwrap();
    assert_eq!(next.revision_number, 4);

    // Back to the service's newest, with nothing of its own left.
    let to = EndpointMove {
        service: default.service,
        endpoint: copy.endpoint,
        expected: next.version,
        base: next.revision,
        revision: EndpointRevision::OfService(next.revision),
        own: Vec::new(),
        settings: None,
        action: "refresh",
    };
    let row = internal_error::update_web_service_resource_failed;
    let back = store.ledger.move_endpoint(to, row, "test").await.unwrap();
    assert_eq!(back.revision, next.revision);
    assert!(
        store
            .ledger
            .own_resources(copy.endpoint)
            .await
            .unwrap()
            .is_empty()
    );
    assert!(store.ledger.revision(two.revision).await.is_err());
}

#[tokio::test]
async fn what_is_refused_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), None).unwrap();
    let default = service(&store).await;
    let copy = add(&store, default.service, "copy").await;
    let elsewhere = new_service(&store, "other");
    let elsewhere = store.ledger.put_service(elsewhere, "test").await.unwrap();
    let to = |endpoint, base, revision| EndpointMove {
        service: default.service,
        endpoint,
        expected: now(&store, default.service).version,
        base,
        revision,
        own: Vec::new(),
        settings: None,
        action: "refresh",
    };
    let row = internal_error::update_web_service_resource_failed;
    let strange = EndpointRevision::OfService(elsewhere.revision);
    let of_default = EndpointRevision::OfService(default.revision);
    for to in [
        to(copy.endpoint, elsewhere.revision, strange),
        to(default.endpoint, default.revision, of_default.clone()),
        to(Id::random(), default.revision, of_default),
    ] {
        let fault = store.ledger.move_endpoint(to, row, "test").await;
        assert_eq!(fault.unwrap_err().class(), Class::Conflict);
    }
    assert_eq!(
        store.ledger.directory().endpoint(&copy.endpoint),
        Some(&copy)
    );
    assert_eq!(
        store.ledger.revisions(default.service).await.unwrap().len(),
        1
    );

    let sealed = store::ServiceWrite {
        read_only: true,
        ..next_revision(&store, &now(&store, default.service), "{}")
    };
    store.ledger.put_service(sealed, "test").await.unwrap();
    let copy = store.ledger.directory().endpoint(&copy.endpoint).cloned();
    let copy = copy.unwrap();
    let new = further(&now(&store, default.service), "more");
    let faults = [
        store.ledger.create_endpoint(new, "test").await.err(),
        store
            .ledger
            .set_endpoint(&copy, EndpointSettings::default(), 9, "test")
            .await
            .err(),
        store
            .ledger
            .delete_endpoint(default.service, copy.endpoint, "test")
            .await
            .err(),
    ];
    for fault in faults {
        assert_eq!(fault.unwrap().class(), Class::Conflict);
    }
    assert!(
        store
            .ledger
            .delete_service(default.service, "test")
            .await
            .unwrap()
    );
    assert_eq!(store.ledger.directory().endpoint_count(), 1);
}

fn recording_of(store: &Store, endpoint: Id) -> Recording {
    let directory = store.ledger.directory();
    directory.endpoint(&endpoint).unwrap().recording
}

#[tokio::test]
async fn what_is_recorded_is_what_the_endpoint_or_else_its_package_says() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), None).unwrap();
    let entry = service(&store).await;
    let id = entry.endpoint;
    assert_eq!(recording_of(&store, id), Recording::default());

    let past = "2001-01-01";
    let mut before = entry;
    for (definition, level, until) in [
        (
            r#"{"diagnostics":{"level":"All","expiry":null}}"#,
            "All",
            None,
        ),
        (
            r#"{"Diagnostics":{"LEVEL":" error ","Expiry":"2001-01-01T00:00:00+00:00"}}"#,
            "Error",
            Some(past),
        ),
        (
            r#"{"diagnostics":{"level":"All","expiry":"2001-01-01"}}"#,
            "All",
            Some(past),
        ),
        (
            r#"{"diagnostics":{"level":"All","expiry":""}}"#,
            "All",
            None,
        ),
        (r#"{"diagnostics":{"level":"None"}}"#, "None", None),
        (r#"{"diagnostics":"All"}"#, "None", None),
        ("no JSON", "None", None),
        (r#"{"other":{"level":"All"},"level":"All"}"#, "None", None),
        (r#"{"diagnostics":{"level":"All"}}"#, "All", None),
    ] {
        let write = next_revision(&store, &before, definition);
        before = store
            .ledger
            .put_service_over(write, None, "test")
            .await
            .unwrap();
        let found = before.recording;
        assert_eq!(found.level.name(), level, "{definition}");
        let until = until.map(|text| format!("{text}T00:00:00Z").parse::<Timestamp>().unwrap());
        // A time is kept only of what is recorded.
        assert_eq!(found.until, until, "{definition}");
    }

    // The endpoint's own word counts before the package's, in both directions.
    let until = Timestamp::from_second(4_000_000_000).unwrap();
    for (level, expiry) in [
        (DiagnosticsLevel::None, None),
        (DiagnosticsLevel::Error, Some(until)),
    ] {
        let settings = EndpointSettings {
            diagnostics: Some(level),
            diagnostics_expiry: expiry,
            ..EndpointSettings::default()
        };
        let before = now(&store, id);
        let after = store
            .ledger
            .set_endpoint(&before, settings, 20, "test")
            .await
            .unwrap();
        assert_eq!(
            (after.recording.level, after.recording.until),
            (level, expiry)
        );
    }
    let recording = recording_of(&store, id);
    let level = |at| recording.at(at).name();
    assert_eq!(level(Timestamp::UNIX_EPOCH), "Error");
    assert_eq!(level(until), "None");

    // A patch of the definition in its place counts too, and all is the same after a restart.
    let before = now(&store, id);
    let patch = store::PatchWrite {
        service: before.service,
        endpoint: id,
        revision: before.revision,
        expected: before.version,
        tags: "{}".into(),
        read_only: false,
        max_concurrent_calls: None,
        diagnostics: true,
        keys: [None, None],
        definition: r#"{"diagnostics":{"level":"Error"}}"#.into(),
        secrets: None,
    };
    let (name, workspace) = (before.service_name.clone(), before.workspace);
    let operation = Operation::begin(OperationKind::Update, name, before.service, workspace);
    let after = store
        .ledger
        .patch_service(operation, patch, "test")
        .await
        .unwrap();
    let (level, until) = (DiagnosticsLevel::Error, None);
    assert_eq!(after.recording, Recording { level, until });
    drop(store);
    let store = Store::open(dir.path(), None).unwrap();
    assert_eq!(recording_of(&store, id), Recording { level, until });
}
