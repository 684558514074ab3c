//! The audit trail: lines of failed changes, which are written later and within bounds.

use std::time::Duration;

use store::{Actor, FailedChange, Store};

fn failed(number: usize) -> FailedChange {
    FailedChange {
        actor: Actor {
            name: "token ci".into(),
            origin: "192.0.2.1".into(),
        },
        action: "PUT".into(),
        subject: format!("/{number}"),
        result: "Conflict".into(),
    }
}

#[tokio::test]
async fn failures_are_written_in_order_and_what_is_too_much_is_counted() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), None).unwrap();
    // While another process holds the ledger nothing is written, and nobody waits for it.
    let other = rusqlite::Connection::open(dir.path().join("ledger.sqlite")).unwrap();
    other.busy_timeout(Duration::from_secs(10)).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    for number in 0..1500 {
        store.ledger.audit_failure(failed(number));
    }
    assert_eq!(store.ledger.audit(1).await.unwrap().len(), 0);
    other.execute_batch("ROLLBACK").unwrap();

    // A write that comes after them is answered after them.
    let after = store.ledger.audit_done("operator", "upload", "blob x");
    after.await.unwrap();
    let lines = store.ledger.audit(2000).await.unwrap();
    let subjects: Vec<&str> = lines.iter().map(|line| &line.subject[..]).collect();
    assert_eq!(
        subjects[..3],
        ["blob x", "500 lines of failed changes", "/999"]
    );
    assert_eq!(lines.len(), 1002);
    let first = lines.last().unwrap();
    assert_eq!((&first.subject[..], &first.result[..]), ("/0", "Conflict"));
    assert_eq!(first.actor, "token ci");
    assert_eq!(first.origin, "192.0.2.1");

    // Pages follow each other without a gap.
    let page = store.ledger.audit_before(10, Some(lines[9].number)).await;
    assert_eq!(page.unwrap()[..], lines[10..20]);
    // There is room again.
    store.ledger.audit_failure(failed(2000));
    let after = store.ledger.audit_done("operator", "upload", "blob y");
    after.await.unwrap();
    let lines = store.ledger.audit(2).await.unwrap();
    assert_eq!(lines[1].subject, "/2000");
}

#[tokio::test]
async fn a_write_that_the_ledger_refused_leaves_the_lines_to_the_next() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), None).unwrap();
    let ledger = dir.path().join("ledger.sqlite");
    let away = dir.path().join("elsewhere");
    // The ledger's file is not in its place: nothing is written.
    std::fs::rename(&ledger, &away).unwrap();
    store.ledger.audit_failure(failed(1));
    let refused = store.ledger.audit_done("operator", "upload", "blob x");
    refused.await.unwrap_err();
    std::fs::rename(&away, &ledger).unwrap();
    store.ledger.audit_failure(failed(2));
    let after = store.ledger.audit_done("operator", "upload", "blob y");
    after.await.unwrap();
    let lines = store.ledger.audit(10).await.unwrap();
    let subjects: Vec<&str> = lines.iter().map(|line| &line.subject[..]).collect();
    assert_eq!(subjects, ["blob y", "/2", "/1"]);
}
