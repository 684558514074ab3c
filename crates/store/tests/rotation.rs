//! A new master key: every secret opens still, whatever moment a crash chose.

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use common::{named, new_service};
use store::{Id, Store};

fn key_file(dir: &Path) -> PathBuf {
    store::own_master_key_file(dir)
}

fn next_file(dir: &Path) -> PathBuf {
    dir.join("secrets/master.key.next")
}

/// What must survive: keys, secrets, tokens and how they are looked up.
#[derive(Debug, PartialEq)]
struct Secrets {
    keys: [String; 2],
    secret: Option<Vec<u8>>,
    tokens: [String; 2],
    known: bool,
    operator: bool,
}

async fn secrets(store: &Store, dir: &Path) -> Secrets {
    let directory = store.ledger.directory();
    let entry = directory.by_name(&named("census").key()).unwrap().clone();
    let workspace = directory.default_workspace().unwrap().id;
    drop(directory);
    let keys = store.ledger.keys(entry.endpoint).await.unwrap();
    let operator = fs::read_to_string(store::operator_token_file(dir)).unwrap();
    let operator = store.sealer.digest_key(operator.trim());
    let digest = store.sealer.digest_key(&keys[0]);
    Secrets {
        secret: store.ledger.secrets(entry.revision).await.unwrap(),
        tokens: store.ledger.workspace_tokens(workspace).await.unwrap(),
        known: store.key_known(&digest) && entry.has_key(&digest),
        operator: store.is_operator(&operator).unwrap(),
        keys,
    }
}

async fn filled(dir: &Path) -> (Store, Secrets) {
    let store = Store::open(dir, None).unwrap();
    let mut write = new_service(&store, "census");
    write.secrets = Some(b"an account's key".to_vec());
    store.ledger.put_service(write, "test").await.unwrap();
    let all = secrets(&store, dir).await;
    assert!(all.known && all.operator);
    assert_eq!(all.secret.as_deref(), Some(&b"an account's key"[..]));
    (store, all)
}

#[tokio::test]
async fn everything_opens_under_the_new_key_and_nothing_under_the_old() {
    let dir = tempfile::tempdir().unwrap();
    let (store, before) = filled(dir.path()).await;
    let old = fs::read(key_file(dir.path())).unwrap();
    let kept = store.rotate_master_key("operator").await.unwrap();
    assert_eq!(
        fs::read(dir.path().join("secrets").join(&kept)).unwrap(),
        old
    );
    assert_ne!(fs::read(key_file(dir.path())).unwrap(), old);
    assert!(!next_file(dir.path()).exists());
    assert_eq!(secrets(&store, dir.path()).await, before);
    // What is written from now on is sealed under the new key.
    let later = new_service(&store, "later");
    let (later, name) = (later.endpoint, later);
    store.ledger.put_service(name, "test").await.unwrap();
    let later_keys = store.ledger.keys(later).await.unwrap();
    let audit = store.ledger.audit(2).await.unwrap();
    assert_eq!(audit[1].action, "rotate master key");

    // And once more, over a restart.
    store.rotate_master_key("operator").await.unwrap();
    drop(store);
    let store = Store::open(dir.path(), None).unwrap();
    assert_eq!(secrets(&store, dir.path()).await, before);
    assert_eq!(store.ledger.keys(later).await.unwrap(), later_keys);
    drop(store);

    fs::write(key_file(dir.path()), old).unwrap();
    let fault = Store::open(dir.path(), None).unwrap_err();
    assert!(fault.cause().unwrap().contains("master key is not the one"));
}

#[tokio::test]
async fn a_crash_before_the_ledger_was_sealed_leaves_the_old_key() {
    for next in [&b"half a ke"[..], &b"07".repeat(32)] {
        let dir = tempfile::tempdir().unwrap();
        let (store, before) = filled(dir.path()).await;
        drop(store);
        let old = fs::read(key_file(dir.path())).unwrap();
        fs::write(next_file(dir.path()), next).unwrap();
        let store = Store::open(dir.path(), None).unwrap();
        assert_eq!(secrets(&store, dir.path()).await, before);
        assert_eq!(fs::read(key_file(dir.path())).unwrap(), old);
        assert!(!next_file(dir.path()).exists());
    }
}

#[tokio::test]
async fn a_crash_after_the_ledger_was_sealed_ends_with_the_new_key() {
    let dir = tempfile::tempdir().unwrap();
    let (store, before) = filled(dir.path()).await;
    let old = fs::read(key_file(dir.path())).unwrap();
    store.rotate_master_key("operator").await.unwrap();
    drop(store);
    let new = fs::read(key_file(dir.path())).unwrap();
    fs::write(next_file(dir.path()), &new).unwrap();
    fs::write(key_file(dir.path()), &old).unwrap();
    let store = Store::open(dir.path(), None).unwrap();
    assert_eq!(secrets(&store, dir.path()).await, before);
    assert_eq!(fs::read(key_file(dir.path())).unwrap(), new);
    assert!(!next_file(dir.path()).exists());
    drop(store);

    // Where neither opens the ledger nothing is touched.
    fs::write(next_file(dir.path()), b"07".repeat(32)).unwrap();
    fs::write(key_file(dir.path()), b"08".repeat(32)).unwrap();
    let fault = Store::open(dir.path(), None).unwrap_err();
    assert!(fault.cause().unwrap().contains("neither"), "{fault:?}");
    assert!(next_file(dir.path()).exists());
}

/// A key that cannot be written changes nothing; reads go on while the key changes.
#[tokio::test]
async fn a_refused_change_changes_nothing_and_readers_never_fail() {
    let dir = tempfile::tempdir().unwrap();
    let (store, before) = filled(dir.path()).await;
    let old = fs::read(key_file(dir.path())).unwrap();
    // A folder where the next key's file would stand.
    fs::create_dir(next_file(dir.path())).unwrap();
    store.rotate_master_key("operator").await.unwrap_err();
    fs::remove_dir(next_file(dir.path())).unwrap();
    assert_eq!(fs::read(key_file(dir.path())).unwrap(), old);
    assert_eq!(secrets(&store, dir.path()).await, before);

    let endpoint = {
        let directory = store.ledger.directory();
        directory.by_name(&named("census").key()).unwrap().endpoint
    };
    let (rotated, ()) = tokio::join!(
        async {
            for _ in 0..10 {
                store.rotate_master_key("operator").await.unwrap();
            }
        },
        async {
            for _ in 0..200 {
                assert_eq!(store.ledger.keys(endpoint).await.unwrap(), before.keys);
            }
        }
    );
    let () = rotated;
    assert_eq!(
        store.ledger.keys(Id(endpoint.0)).await.unwrap(),
        before.keys
    );
}
