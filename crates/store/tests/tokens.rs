//! Management tokens through the ledger's public face.

use faults::Class;
use jiff::{SignedDuration, Timestamp};
use store::{Id, NewToken, Role, Scope, Store, TOKEN_PREFIX};

fn new_token(name: &str, expires: Option<Timestamp>) -> NewToken {
    NewToken {
        name: name.into(),
        role: Role::Manage,
        scope: Scope::Workspace(Id([7; 16])),
        expires,
    }
}

#[tokio::test]
async fn a_token_is_good_until_it_expires_or_is_revoked_and_survives_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), None).unwrap();
    let soon = Timestamp::now() + SignedDuration::from_hours(1);
    let (made, text) = store
        .ledger
        .create_token(new_token("CI", Some(soon)), "operator")
        .await
        .unwrap();
    assert!(text.starts_with(TOKEN_PREFIX), "{text}");
    let digest = store.sealer.digest_key(&text);
    assert!(made.is_good(soon - SignedDuration::from_micros(1)));
    assert!(!made.is_good(soon), "the moment itself is over");
    assert!(store.key_known(&digest));
    assert_eq!(made.last_used(), None);

    // The name is taken, in any case.
    let again = store.ledger.create_token(new_token("ci", None), "operator");
    assert_eq!(again.await.unwrap_err().class(), Class::Conflict);

    let day = Timestamp::from_second(86_400 * 20_000).unwrap();
    store
        .ledger
        .token_used(&made, day + SignedDuration::from_hours(5));
    drop(store);
    let store = Store::open(dir.path(), None).unwrap();
    let read = store.ledger.directory().token(&digest).cloned().unwrap();
    assert_eq!((read.id, &read.name[..]), (made.id, "CI"));
    assert_eq!((read.role, &read.scope), (made.role, &made.scope));
    assert_eq!(read.last_used(), Some(day));

    // A change of the master key leaves tokens, the operator's too, as they are.
    let operator = std::fs::read_to_string(store::operator_token_file(dir.path())).unwrap();
    let operator = store.sealer.digest_key(operator.trim());
    store.rotate_master_key("operator").await.unwrap();
    drop(store);
    let store = Store::open(dir.path(), None).unwrap();
    assert_eq!(store.sealer.digest_key(&text), digest);
    assert!(store.key_known(&digest) && store.key_known(&operator));
    assert_eq!(store.is_operator(&operator), Ok(true));

    assert_eq!(
        store.ledger.revoke_token(made.id, "operator").await,
        Ok(true)
    );
    assert_eq!(
        store.ledger.revoke_token(made.id, "operator").await,
        Ok(false)
    );
    assert!(!store.key_known(&digest));
    let revoked = store.ledger.directory().token(&digest).cloned().unwrap();
    assert!(!revoked.is_good(Timestamp::now()));

    // What is revoked, and what has expired, gives its name up.
    let past = Timestamp::now() - SignedDuration::from_hours(1);
    for expires in [Some(past), None] {
        store
            .ledger
            .create_token(new_token("ci", expires), "operator")
            .await
            .unwrap();
    }
    let listed = store.ledger.directory();
    assert_eq!(listed.tokens().len(), 3);
    let good: Vec<_> = listed
        .tokens()
        .iter()
        .filter(|token| token.is_good(Timestamp::now()))
        .collect();
    assert_eq!(good.len(), 1);
    assert!(good[0].expires.is_none());
    let lines = store.ledger.audit(10).await.unwrap();
    let said: Vec<_> = lines
        .iter()
        .map(|l| (&l.action[..], &l.subject[..]))
        .collect();
    let created = format!("create (manage on workspace:{})", Id([7; 16]));
    let created = (&created[..], "token ci");
    assert_eq!(said[..3], [created, created, ("revoke", "token CI")]);

    // The token itself is nowhere in the files.
    for file in ["ledger.sqlite", "ledger.sqlite-wal"] {
        let bytes = std::fs::read(dir.path().join(file)).unwrap();
        let plain = bytes.windows(text.len()).any(|w| w == text.as_bytes());
        assert!(!plain, "{file}");
    }
}
