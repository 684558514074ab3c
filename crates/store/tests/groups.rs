//! Web-service groups in the ledger: what is written together, what goes together, and what two
//! writers may not both do.

mod common;

use common::{new_service, next_revision};
use faults::{Class, Fault, rows};
use jiff::Timestamp;
use store::{
    Group, GroupChange, Id, ModelPackageWrite, PackageResource, PackageStatus, Publication,
    ResourceKind, ServiceWrite, Sha256, Slot, Store, StoredResource,
};

fn open(dir: &tempfile::TempDir) -> Store {
    Store::open(dir.path(), None).unwrap()
}

async fn group(store: &Store) -> Id {
    let id = Id::random();
    let workspace = store.ledger.directory().default_workspace().unwrap().id;
    let group = Group {
        id,
        workspace,
        name: "group".into(),
        description: String::new(),
        anonymous_test: false,
        created: Timestamp::now(),
    };
    store.ledger.create_group(group, "test").await.unwrap();
    id
}

async fn package(store: &Store, group: Id, blob: &[u8]) -> Result<Id, Fault> {
    let id = Id::random();
    let write = ModelPackageWrite {
        id,
        group,
        status: PackageStatus::InTesting,
        document: b"{\"a password\": 1}".to_vec(),
        resources: vec![PackageResource {
            asset: "resource:n:p".into(),
            kind: ResourceKind::TrainedModel,
            stored: StoredResource {
                name: "a [trained model]".into(),
                uri: "umpire:sha256:x".into(),
                sha256: Some(Sha256::of(blob)),
            },
        }],
    };
    store.ledger.create_model_package(write, "test").await?;
    Ok(id)
}

fn to(group: Id, slot: Slot, package: Id) -> Publication {
    Publication {
        group,
        slot,
        package,
        settings: "{}".into(),
    }
}

async fn publish(
    store: &Store,
    write: ServiceWrite,
    publication: Publication,
) -> Result<std::sync::Arc<store::Entry>, Fault> {
    store.ledger.publish(write, None, publication, "test").await
}

#[tokio::test]
async fn a_service_its_slot_and_its_package_are_there_together_or_not_at_all() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir);
    let ours = group(&store).await;
    let theirs = group(&store).await;
    let first = package(&store, ours, b"one").await.unwrap();
    let foreign = package(&store, theirs, b"two").await.unwrap();

    for (publication, row) in [
        (
            to(Id::random(), Slot::Staging, first),
            &rows::InternalError::WebServiceGroupNotFound,
        ),
        (
            to(ours, Slot::Staging, Id::random()),
            &rows::NotFound::ModelPackageNotFound,
        ),
        (
            to(ours, Slot::Staging, foreign),
            &rows::NotFound::ModelPackageNotFound,
        ),
    ] {
        let write = new_service(&store, "s");
        let fault = publish(&store, write, publication).await.unwrap_err();
        assert!(fault.is(row), "{}", fault.name());
        assert_eq!(store.ledger.directory().service_count(), 0);
    }
    let made = publish(
        &store,
        new_service(&store, "s"),
        to(ours, Slot::Staging, first),
    );
    let made = made.await.unwrap();

    // A second service for the slot, and a revision of a service that stands elsewhere.
    let fault = publish(
        &store,
        new_service(&store, "t"),
        to(ours, Slot::Staging, first),
    );
    assert_eq!(fault.await.unwrap_err().class(), Class::Conflict);
    let next = next_revision(&store, &made, "{}");
    let fault = publish(&store, next, to(ours, Slot::Production, first));
    assert_eq!(fault.await.unwrap_err().class(), Class::Conflict);
    let stranger = store.ledger.put_service(new_service(&store, "u"), "test");
    let stranger = stranger.await.unwrap();
    let next = next_revision(&store, &stranger, "{}");
    let fault = publish(&store, next, to(ours, Slot::Staging, first));
    assert_eq!(fault.await.unwrap_err().class(), Class::Conflict);
    assert_eq!(store.ledger.slot_of_blocking(stranger.service), Ok(None));

    // A retired package, and one that is in use.
    let ledger = &store.ledger;
    ledger
        .set_package_status(first, PackageStatus::Retired, "test")
        .await
        .unwrap();
    let next = next_revision(&store, &made, "{}");
    let fault = publish(&store, next, to(ours, Slot::Staging, first));
    assert_eq!(fault.await.unwrap_err().class(), Class::Conflict);
    let fault = ledger.delete_model_package(first, "test").await;
    assert_eq!(fault.unwrap_err().class(), Class::Conflict);

    let services = ledger.group_services(ours).await.unwrap();
    assert_eq!(services.len(), 1);
    assert_eq!(
        (services[0].service, services[0].slot, services[0].package),
        (made.service, Slot::Staging, Some(first))
    );
    let entry = store.ledger.directory().endpoint(&made.service).cloned();
    assert_eq!(entry.unwrap(), made, "no failed write left a trace");
}

#[tokio::test]
async fn a_group_takes_its_own_with_it_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir);
    let (ours, theirs) = (group(&store).await, group(&store).await);
    let first = package(&store, ours, b"one").await.unwrap();
    let foreign = package(&store, theirs, b"two").await.unwrap();
    let write = new_service(&store, "ours");
    publish(&store, write, to(ours, Slot::Production, first))
        .await
        .unwrap();
    let write = new_service(&store, "theirs");
    let kept = publish(&store, write, to(theirs, Slot::Production, foreign))
        .await
        .unwrap();
    let ledger = &store.ledger;
    assert!(ledger.delete_group(ours, "test").await.unwrap());
    assert!(!ledger.delete_group(ours, "test").await.unwrap());
    assert_eq!(ledger.group(ours).await, Ok(None));
    assert_eq!(ledger.model_package(first).await, Ok(None));
    assert_eq!(store.ledger.directory().service_count(), 1);
    let named = ledger.named_blobs().unwrap();
    assert!(!named.contains(&Sha256::of(b"one")) && named.contains(&Sha256::of(b"two")));

    // A service that goes leaves its slot and its package.
    ledger.delete_service(kept.service, "test").await.unwrap();
    assert_eq!(ledger.group_services(theirs).await, Ok(vec![]));
    assert!(ledger.model_package(foreign).await.unwrap().is_some());
    let fault = package(&store, ours, b"three").await.unwrap_err();
    assert!(fault.is(&rows::InternalError::WebServiceGroupNotFound));
    let change = ledger.change_group(ours, GroupChange::default(), "test");
    assert!(change.await.is_err());
}

#[tokio::test]
async fn a_change_names_what_it_changes() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir);
    let id = group(&store).await;
    let change = GroupChange {
        anonymous_test: Some(true),
        ..GroupChange::default()
    };
    store.ledger.change_group(id, change, "test").await.unwrap();
    let now = store.ledger.group(id).await.unwrap().unwrap();
    assert_eq!((&now.name[..], now.anonymous_test), ("group", true));
}

#[tokio::test]
async fn packages_are_sealed_and_outlive_a_new_master_key() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir);
    let ours = group(&store).await;
    let id = package(&store, ours, b"one").await.unwrap();
    let before = store.ledger.model_package(id).await.unwrap().unwrap();
    assert_eq!(before.document, b"{\"a password\": 1}");
    store.rotate_master_key("test").await.unwrap();
    drop(store);
    let store = open(&dir);
    let after = store.ledger.model_package(id).await.unwrap().unwrap();
    assert_eq!(after, before);
    drop(store);
    for entry in std::fs::read_dir(dir.path()).unwrap().flatten() {
        if entry.path().is_file() {
            let bytes = std::fs::read(entry.path()).unwrap();
            let found = bytes.windows(10).any(|window| window == b"a password");
            assert!(!found, "{:?}", entry.path());
        }
    }
}
