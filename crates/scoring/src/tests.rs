//! Who is told what, and that the throttles hold.

use std::time::Duration;

use faults::{Row, rows};
use store::{Id, ResourceName, ServiceWrite};

use super::*;

const KEY: &str = "key of a";
const OTHER_KEY: &str = "key of b";

struct Installation {
    store: Arc<Store>,
    a: Arc<Entry>,
    b: Arc<Entry>,
    dir: tempfile::TempDir,
}

fn service(store: &Store, name: &str, key: &str) -> ServiceWrite {
    ServiceWrite {
        service: Id::random(),
        endpoint: Id::random(),
        revision: Id::random(),
        expected: None,
        name: ResourceName {
            subscription: store::DEFAULT_SUBSCRIPTION.into(),
            resource_group: store::DEFAULT_RESOURCE_GROUP.into(),
            name: name.into(),
        },
        location: "here".into(),
        tags: "{}".into(),
        workspace: store.ledger.directory().default_workspace().unwrap().id,
        read_only: false,
        max_concurrent_calls: 4,
        keys: Some([key.into(), format!("second {key}")]),
        definition: "{}".into(),
        secrets: None,
        resources: Vec::new(),
        plan: None,
    }
}

async fn installation() -> Installation {
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(Store::open(dir.path(), None).unwrap());
    let a = store.ledger.put_service(service(&store, "a", KEY), "test");
    let a = a.await.unwrap();
    let b = store
        .ledger
        .put_service(service(&store, "b", OTHER_KEY), "test");
    let b = b.await.unwrap();
    Installation { store, a, b, dir }
}

impl Installation {
    fn find(&self, address: &Address, credential: Option<&str>) -> Result<Arc<Entry>, Fault> {
        let digest = credential.map(|key| self.store.sealer.digest_key(key));
        let known = |digest: &KeyDigest| self.store.key_known(digest);
        find(
            &self.store.ledger.directory(),
            address,
            digest.as_ref(),
            known,
        )
        .cloned()
    }

    fn address(&self, family: Family, owner: &str, service: Id) -> Address {
        Address::parse(family, owner, &service.to_string()).unwrap()
    }
}

#[track_caller]
fn refused(result: Result<Arc<Entry>, Fault>, row: &'static Row) {
    let fault = result.unwrap_err();
    assert!(fault.is(row), "{} instead of {}", fault.name(), row.code);
}

#[tokio::test]
async fn both_keys_open_both_families_by_either_id() {
    let i = installation().await;
    let subscription = store::DEFAULT_SUBSCRIPTION;
    for id in [i.a.endpoint, i.a.service] {
        for key in [KEY, "second key of a"] {
            for address in [
                i.address(Family::Workspace, &i.a.workspace.to_string(), id),
                i.address(Family::Subscription, subscription, id),
                i.address(Family::Subscription, &subscription.replace('-', ""), id),
            ] {
                assert_eq!(i.find(&address, Some(key)).unwrap(), i.a);
            }
        }
    }
}

#[tokio::test]
async fn strangers_learn_nothing() {
    let i = installation().await;
    let workspace = i.a.workspace.to_string();
    let nowhere = Id::random().to_string();
    for credential in [None, Some(""), Some("guess"), Some("key of A")] {
        for address in [
            i.address(Family::Workspace, &workspace, i.a.endpoint),
            i.address(Family::Workspace, &workspace, Id::random()),
            i.address(Family::Workspace, &nowhere, i.a.endpoint),
            i.address(Family::Workspace, "no id", Id::random()),
            i.address(Family::Subscription, &nowhere, i.a.endpoint),
            i.address(Family::Subscription, &nowhere, Id::random()),
        ] {
            refused(
                i.find(&address, credential),
                &rows::Unauthorized::ScoreRequestUnauthorized,
            );
        }
    }
}

#[tokio::test]
async fn whoever_has_a_key_learns_what_is_wrong_with_the_ids() {
    let i = installation().await;
    let token = std::fs::read_to_string(store::operator_token_file(i.dir.path())).unwrap();
    let workspace = i.a.workspace.to_string();
    let nowhere = Id::random().to_string();
    for credential in [KEY, OTHER_KEY, token.trim()] {
        let find = |address| i.find(&address, Some(credential));
        refused(
            find(i.address(Family::Workspace, &nowhere, i.a.endpoint)),
            &rows::NotFound::WorkspaceNotFound,
        );
        refused(
            find(i.address(Family::Workspace, "no id", i.a.endpoint)),
            &rows::NotFound::WorkspaceNotFound,
        );
        refused(
            find(i.address(Family::Workspace, &workspace, Id::random())),
            &rows::NotFound::WebServiceNotFound,
        );
        refused(
            find(i.address(Family::Subscription, &nowhere, Id::random())),
            &rows::NotFound::WebServiceNotFound,
        );
        refused(
            find(i.address(Family::Subscription, &nowhere, i.a.service)),
            &rows::BadArgument::BadSubscriptionId,
        );
        refused(
            find(i.address(Family::Subscription, "", i.a.service)),
            &rows::BadArgument::BadSubscriptionId,
        );
    }
    // The key of another endpoint, and the operator's token, are no keys of this one.
    for credential in [OTHER_KEY, token.trim()] {
        let address = i.address(Family::Workspace, &workspace, i.a.endpoint);
        refused(
            i.find(&address, Some(credential)),
            &rows::Unauthorized::ScoreRequestUnauthorized,
        );
    }
}

#[tokio::test]
async fn a_service_of_another_workspace_is_told_so() {
    let i = installation().await;
    let workspace = Id::random();
    let name = ResourceName {
        name: "second".into(),
        ..i.a.service_name.clone()
    };
    i.store
        .ledger
        .create_workspace(workspace, name, "test")
        .await
        .unwrap();
    let address = i.address(Family::Workspace, &workspace.to_string(), i.a.endpoint);
    let found = i.find(&address, Some(KEY));
    refused(found, &rows::NotFound::WebServiceIdNotFoundInWorkspace);
}

#[tokio::test]
async fn the_endpoints_throttle_holds_and_lets_go() {
    let i = installation().await;
    let telemetry = Telemetry::new();
    let gates = Gates::new(6);
    let directory = i.store.ledger.directory();
    let a = gates.of(&i.a, &directory, &telemetry, &i.store.meter);
    let b = gates.of(&i.b, &directory, &telemetry, &i.store.meter);
    assert_eq!(a.label(), "a/default");

    let mut permits: Vec<_> = (0..4).map(|_| gates.enter(&i.a, &a).unwrap()).collect();
    let fault = gates.enter(&i.a, &a).unwrap_err();
    assert!(fault.is(&rows::ServiceUnavailable::RequestThrottled));
    assert_eq!(fault.details()[0].args, ["default", "4"]);
    assert_eq!(fault.retry_delay(), Some(Duration::from_secs(1)));
    assert!(gates.look(&i.a, &a).is_err());
    assert_eq!(a.metrics().under_way(), 4);

    // Another endpoint has its own, until the installation is full.
    permits.push(gates.enter(&i.b, &b).unwrap());
    assert!(gates.look(&i.b, &b).is_ok());
    permits.push(gates.enter(&i.b, &b).unwrap());
    for fault in [
        gates.look(&i.b, &b).unwrap_err(),
        gates.enter(&i.b, &b).unwrap_err(),
    ] {
        assert!(fault.is(&rows::ServiceUnavailable::TooManyConcurrentRequests));
        assert_eq!(fault.retry_delay(), Some(Duration::from_secs(1)));
    }
    // What was refused has left no trace.
    permits.remove(0);
    assert_eq!(gates.under_way(), 5);
    gates.enter(&i.b, &b).unwrap();
    drop(permits);
    assert_eq!(gates.under_way(), 0);
    assert_eq!((a.metrics().under_way(), b.metrics().under_way()), (0, 0));
}

#[tokio::test]
async fn a_limit_that_changes_counts_the_calls_under_way() {
    let i = installation().await;
    let telemetry = Telemetry::new();
    let gates = Gates::new(100);
    let gate = gates.of(
        &i.a,
        &i.store.ledger.directory(),
        &telemetry,
        &i.store.meter,
    );
    let _held: Vec<_> = (0..4).map(|_| gates.enter(&i.a, &gate).unwrap()).collect();

    let write = ServiceWrite {
        service: i.a.service,
        endpoint: i.a.endpoint,
        expected: Some(i.a.version),
        max_concurrent_calls: 5,
        ..service(&i.store, "a", KEY)
    };
    let after = i.store.ledger.put_service(write, "test").await.unwrap();
    let same = gates.of(
        &after,
        &i.store.ledger.directory(),
        &telemetry,
        &i.store.meter,
    );
    assert!(Arc::ptr_eq(&gate, &same));
    let _fifth = gates.enter(&after, &same).unwrap();
    let fault = gates.enter(&after, &same).unwrap_err();
    assert_eq!(fault.details()[0].args[1], "5");
}

#[tokio::test]
async fn gates_of_endpoints_that_are_gone_do_not_pile_up() {
    let i = installation().await;
    let telemetry = Telemetry::new();
    let gates = Gates::new(100);
    let directory = i.store.ledger.directory();
    let kept = gates.of(&i.a, &directory, &telemetry, &i.store.meter);
    let gone = Entry {
        endpoint: Id::random(),
        ..(*i.b).clone()
    };
    let held = gates.of(&gone, &directory, &telemetry, &i.store.meter);
    let permit = gates.enter(&gone, &held).unwrap();
    drop(held);
    for _ in 0..1000 {
        let stranger = Entry {
            endpoint: Id::random(),
            ..(*i.b).clone()
        };
        gates.of(&stranger, &directory, &telemetry, &i.store.meter);
    }
    let count = gates.by_endpoint.read().unwrap().len();
    assert!(count <= 2 * 2 + 64, "{count}");
    assert!(Arc::ptr_eq(
        &kept,
        &gates.of(&i.a, &directory, &telemetry, &i.store.meter)
    ));
    // The one with a call under way is still the same.
    let again = gates.of(&gone, &directory, &telemetry, &i.store.meter);
    assert_eq!(again.metrics().under_way(), 1);
    drop(permit);
    assert_eq!(gates.under_way(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_permit_leaks_whatever_the_threads_do() {
    let i = installation().await;
    let telemetry = Telemetry::new();
    let gates = Arc::new(Gates::new(3));
    let gate = gates.of(
        &i.a,
        &i.store.ledger.directory(),
        &telemetry,
        &i.store.meter,
    );
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..8 {
        let (gates, gate, entry) = (gates.clone(), gate.clone(), i.a.clone());
        tasks.spawn(async move {
            for round in 0..500 {
                let permit = gates.enter(&entry, &gate);
                assert!(gates.under_way() <= 3);
                if (round + n) % 3 == 0 {
                    tokio::task::yield_now().await;
                }
                drop(permit);
            }
        });
    }
    tasks.join_all().await;
    assert_eq!(gates.under_way(), 0);
    let all: Vec<_> = (0..4).map(|_| gates.enter(&i.a, &gate)).collect();
    assert_eq!(all.iter().filter(|p| p.is_ok()).count(), 3);
}
