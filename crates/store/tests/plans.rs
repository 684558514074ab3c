//! Commitment plans, their associations and usage in the ledger.

mod common;

use std::time::Duration;

use common::{named, new_service};
use faults::Class;
use store::{Id, Plan, PlanWrite, ResourceName, Store, Subscription, Within, day_of};

fn open(dir: &tempfile::TempDir) -> Store {
    Store::open(dir.path(), None).unwrap()
}

fn plan(name: &str) -> PlanWrite {
    PlanWrite {
        id: Id::random(),
        expected: None,
        name: named(name),
        location: "southcentralus".into(),
        tags: "{}".into(),
        sku: "S1".into(),
        capacity: 1,
    }
}

fn again(before: &Plan, sku: &str, capacity: u32) -> PlanWrite {
    PlanWrite {
        id: before.id,
        expected: Some(before.etag),
        sku: sku.into(),
        capacity,
        ..plan(&before.name.name)
    }
}

#[tokio::test]
async fn a_plan_is_found_changed_and_keeps_its_terms() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir);
    let made = store.ledger.put_plan(plan("Team"), "test").await.unwrap();
    drop(store);
    let store = open(&dir);
    let ledger = &store.ledger;
    let found = ledger.plan(named("tEAM").key()).await.unwrap();
    assert_eq!(found, Some(made.clone()));
    assert_eq!(ledger.plan(named("other").key()).await.unwrap(), None);

    let fault = ledger.put_plan(plan("team"), "test").await.unwrap_err();
    assert_eq!(fault.class(), Class::Conflict);
    let changed = ledger
        .put_plan(again(&made, "S2", 2), "test")
        .await
        .unwrap();
    assert_ne!(changed.etag, made.etag);
    assert_eq!(
        (changed.sku.as_str(), changed.capacity, changed.created),
        ("S2", 2, made.created)
    );
    let fault = ledger
        .put_plan(again(&made, "S3", 1), "test")
        .await
        .unwrap_err();
    assert_eq!(fault.class(), Class::Conflict);
    // The same SKU once more is no further term.
    let same = ledger
        .put_plan(again(&changed, "S2", 2), "test")
        .await
        .unwrap();
    let terms = ledger.plan_terms(made.id).await.unwrap();
    let terms: Vec<_> = terms.iter().map(|t| (t.sku.as_str(), t.capacity)).collect();
    assert_eq!(terms, [("S1", 1), ("S2", 2)]);

    let stale = Some(changed.etag);
    let fault = ledger
        .delete_plan(made.id, stale, "test")
        .await
        .unwrap_err();
    assert_eq!(fault.class(), Class::Conflict);
    let seen = Some(same.etag);
    assert!(ledger.delete_plan(made.id, seen, "test").await.unwrap());
    assert!(!ledger.delete_plan(made.id, None, "test").await.unwrap());
    assert!(ledger.plan_terms(made.id).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_list_is_in_order_and_within_its_group() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir);
    let ledger = &store.ledger;
    for name in ["c", "A", "b"] {
        ledger.put_plan(plan(name), "test").await.unwrap();
    }
    let elsewhere = PlanWrite {
        name: ResourceName {
            resource_group: "another".into(),
            ..named("z")
        },
        ..plan("")
    };
    ledger.put_plan(elsewhere, "test").await.unwrap();
    let subscription = Subscription::of(store::DEFAULT_SUBSCRIPTION);
    let group = Within::ResourceGroup(subscription.clone(), "default".into());
    let names = async |within: Within, after: Option<&str>, limit| {
        let after = after.map(|name| named(name).key());
        let plans = ledger.plans(within, after, limit).await.unwrap();
        plans.into_iter().map(|p| p.name.name).collect::<Vec<_>>()
    };
    assert_eq!(names(group.clone(), None, 9).await, ["A", "b", "c"]);
    assert_eq!(names(group.clone(), Some("a"), 1).await, ["b"]);
    let all = names(Within::Subscription(subscription), None, 9).await;
    assert_eq!(all, ["z", "A", "b", "c"]);
    assert_eq!(names(Within::Installation, Some("B"), 9).await, ["c"]);
    let other = Within::Subscription(Subscription::of("other"));
    assert!(names(other, None, 9).await.is_empty());
}

#[tokio::test]
async fn a_service_is_associated_with_its_plan_moved_and_let_go() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir);
    let ledger = &store.ledger;
    let a = ledger.put_plan(plan("a"), "test").await.unwrap();
    let b = ledger.put_plan(plan("b"), "test").await.unwrap();
    let write = store::ServiceWrite {
        plan: Some(named("A")),
        ..new_service(&store, "census")
    };
    let service = ledger.put_service(write, "test").await.unwrap();
    let associations = ledger.associations(a.id, None, 9).await.unwrap();
    let [one] = &associations[..] else {
        panic!("{associations:?}");
    };
    assert_eq!(one.service.name, "census");
    let after = ledger.associations(a.id, Some(one.id), 9).await.unwrap();
    assert!(after.is_empty());
    let found = ledger.association(a.id, one.id).await.unwrap();
    assert_eq!(found.as_ref(), Some(one));
    assert_eq!(ledger.association(b.id, one.id).await.unwrap(), None);

    let fault = ledger.delete_plan(a.id, None, "test").await.unwrap_err();
    assert_eq!(fault.class(), Class::Conflict);
    let moved = ledger
        .move_association(one.id, a.id, b.id, "test")
        .await
        .unwrap();
    assert_eq!((moved.plan, moved.created), (b.id, one.created));
    assert_ne!(moved.etag, one.etag);
    let fault = ledger
        .move_association(one.id, a.id, b.id, "test")
        .await
        .unwrap_err();
    assert_eq!(fault.class(), Class::Conflict);
    assert!(ledger.delete_plan(a.id, None, "test").await.unwrap());
    ledger
        .delete_service(service.service, "test")
        .await
        .unwrap();
    assert!(ledger.delete_plan(b.id, None, "test").await.unwrap());
}

#[tokio::test]
async fn a_plan_that_should_be_here_is_missed_and_one_of_elsewhere_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir);
    let write = |plan: ResourceName| store::ServiceWrite {
        plan: Some(plan),
        ..new_service(&store, "census")
    };
    let fault = store
        .ledger
        .put_service(write(named("nobody")), "test")
        .await
        .unwrap_err();
    assert_eq!(fault.name(), "NotFound.ResourceNotFound");
    let target = fault.details()[0].target.as_deref();
    assert_eq!(target, Some("commitmentPlan/id"));
    assert_eq!(store.ledger.directory().service_count(), 0);

    let elsewhere = ResourceName {
        subscription: "11111111-1111-4111-8111-111111111111".into(),
        ..named("nobody")
    };
    let made = store.ledger.put_service(write(elsewhere), "test").await;
    assert!(made.is_ok());
}

#[tokio::test]
async fn usage_is_added_up_by_day_endpoint_and_plan() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir);
    let ledger = &store.ledger;
    let plan = ledger.put_plan(plan("a"), "test").await.unwrap();
    let write = store::ServiceWrite {
        plan: Some(named("a")),
        ..new_service(&store, "census")
    };
    let service = ledger.put_service(write, "test").await.unwrap();
    let alone = ledger
        .put_service(new_service(&store, "alone"), "test")
        .await
        .unwrap();
    let today = day_of(jiff::Timestamp::now());
    for micros in [1_000, 2_000] {
        for endpoint in [service.endpoint, alone.endpoint] {
            let counter = store.meter.counter(endpoint, "label/default");
            counter.count(Duration::from_micros(micros));
        }
        store.write_usage().await.unwrap();
    }
    let change = ledger.directory().change();
    store.write_usage().await.unwrap();
    assert_eq!(ledger.directory().change(), change, "nothing to write");

    // Midnight may pass meanwhile.
    let lines = ledger.usage(today, today + 1).await.unwrap();
    let sum = |endpoint: Id| {
        let of = lines.iter().filter(|line| line.endpoint == endpoint);
        of.fold((0, 0), |(n, t), line| {
            (n + line.transactions, t + line.compute)
        })
    };
    assert_eq!(sum(service.endpoint), (2, 3_000));
    assert_eq!(sum(alone.endpoint), (2, 3_000));
    let of_plan = ledger.plan_usage(plan.id).await.unwrap();
    let transactions: u64 = of_plan.iter().map(|day| day.transactions).sum();
    assert_eq!(transactions, 2);
    assert!(ledger.usage(0, today - 1).await.unwrap().is_empty());

    // A line outlives its endpoint, and goes when it is old.
    ledger
        .delete_service(service.service, "test")
        .await
        .unwrap();
    assert_eq!(ledger.usage(today, today + 1).await.unwrap(), lines);
    let used = store::Used {
        endpoint: alone.endpoint,
        label: "alone/default".into(),
        transactions: 1,
        compute: 1,
    };
    ledger.add_usage(today + 500, vec![used]).await.unwrap();
    assert!(ledger.usage(0, today + 1).await.unwrap().is_empty());
}
