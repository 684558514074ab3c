//! What is older than it is to be kept goes; what is in use stays.

mod common;

use std::time::Duration;

use common::{named, new_service, next_revision, put_blob};
use store::{Retention, Store};

#[tokio::test]
async fn fewer_revisions_and_audit_lines_are_kept_when_asked() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), None).unwrap();
    let write = new_service(&store, "census");
    store.ledger.put_service(write, "test").await.unwrap();
    let entry = || {
        store
            .ledger
            .directory()
            .by_name(&named("census").key())
            .unwrap()
            .clone()
    };
    for n in 2..=4 {
        let write = next_revision(&store, &entry(), &format!(r#"{{"title":"{n}"}}"#));
        store.ledger.put_service(write, "test").await.unwrap();
    }
    let numbers = async || -> Vec<u64> {
        let kept = store.ledger.revisions(entry().service).await.unwrap();
        kept.iter().map(|revision| revision.number).collect()
    };
    assert!(
        store.ledger.prune().await.unwrap().is_empty(),
        "by default all of it stays"
    );
    assert_eq!(numbers().await, [4, 3, 2, 1]);

    // The first answers calls again, so it stays whatever is asked.
    let kept = store.ledger.revisions(entry().service).await.unwrap();
    let (first, before) = (kept[3].id, entry());
    let back = store
        .ledger
        .activate_revision(before.service, first, 20, before.version, "test");
    back.await.unwrap();
    store.set_retention(Retention {
        revisions: 1,
        audit_lines: 2,
        ..Retention::default()
    });
    let pruned = store.ledger.prune().await.unwrap();
    assert_eq!((pruned.revisions, pruned.audit_lines), (1, 3));
    assert_eq!(numbers().await, [4, 3, 1]);
    assert_eq!(store.ledger.audit(10).await.unwrap().len(), 2);
    let write = next_revision(&store, &entry(), r#"{"title":"5"}"#);
    store.ledger.put_service(write, "test").await.unwrap();
    assert_eq!(numbers().await, [5, 4], "and so it is from now on");

    store.set_retention(Retention {
        audit_age: Duration::ZERO,
        ..Retention::default()
    });
    assert_eq!(store.ledger.prune().await.unwrap().audit_lines, 3);
    assert!(store.ledger.audit(10).await.unwrap().is_empty());
}

#[tokio::test]
async fn blobs_have_a_limit_together() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), None).unwrap();
    put_blob(&store, &[1; 60]).await.unwrap();
    assert_eq!(store.blobs.used(), 60);
    store.blobs.set_limit(100);
    let fault = put_blob(&store, &[2; 60]).await.unwrap_err();
    assert!(fault.is(&faults::rows::InternalError::FailedStoringWebService));
    assert!(fault.cause().unwrap().contains("limits.disk"), "{fault:?}");
    let mut incoming = store.blobs.incoming().unwrap();
    std::io::Write::write_all(&mut incoming, &[2; 60]).unwrap();
    let error = incoming.finish().unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::QuotaExceeded);
    assert_eq!(store.blobs.used(), 60);
    // What is there is no more when it comes again.
    let there = put_blob(&store, &[1; 60]).await.unwrap();
    put_blob(&store, &[3; 40]).await.unwrap();
    assert_eq!(store.blobs.used(), 100);
    store.blobs.delete(&there).unwrap();
    assert_eq!(store.blobs.used(), 40);
    put_blob(&store, &[2; 60]).await.unwrap();
    drop(store);
    let store = Store::open(dir.path(), None).unwrap();
    assert_eq!(store.blobs.used(), 100, "counted anew at the start");
}
