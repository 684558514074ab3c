//! Backups: consistent while everything is written to, and of use only whole, unchanged and under
//! their key.

mod common;

use std::fs;
use std::path::Path;
use std::time::Duration;

use common::{named, new_service, next_revision, put_blob};
use store::{Options, RestoreOptions, Sha256, Store, restore};

fn written(store: &Store) -> Vec<u8> {
    let backup = store.backup().unwrap();
    let (length, mut bytes) = (backup.length(), Vec::new());
    backup.write(&mut bytes).unwrap();
    assert_eq!(bytes.len() as u64, length, "the length is known before");
    bytes
}

/// A directory in which only the master key of another stands.
fn with_key_of(dir: &Path) -> tempfile::TempDir {
    let fresh = tempfile::tempdir().unwrap();
    fs::create_dir(fresh.path().join("secrets")).unwrap();
    fs::copy(
        store::own_master_key_file(dir),
        store::own_master_key_file(fresh.path()),
    )
    .unwrap();
    fresh
}

fn usual() -> RestoreOptions {
    RestoreOptions {
        master_key: None,
        replace: false,
    }
}

async fn filled(dir: &Path) -> Store {
    let store = Store::open(dir, None).unwrap();
    let model = put_blob(&store, b"a model").await.unwrap();
    let mut write = new_service(&store, "census");
    write.secrets = Some(b"hush".to_vec());
    write.resources = vec![("model".into(), model)];
    store.ledger.put_service(write, "test").await.unwrap();
    let document = store::SystemBlob::ClusterConfiguration;
    store.blobs.put_system(document, b"{}").unwrap();
    store
}

#[tokio::test]
async fn what_is_restored_is_what_was_there() {
    let dir = tempfile::tempdir().unwrap();
    let store = filled(dir.path()).await;
    let entry = store
        .ledger
        .directory()
        .by_name(&named("census").key())
        .unwrap()
        .clone();
    let keys = store.ledger.keys(entry.endpoint).await.unwrap();
    let bytes = written(&store);
    let there = fs::read_dir(dir.path().join("blobs/incoming"))
        .unwrap()
        .count();
    assert_eq!(there, 0, "no copy stays");

    let fresh = with_key_of(dir.path());
    let restored = restore(&bytes[..], fresh.path(), &usual()).unwrap();
    assert_eq!((restored.blobs, restored.replaced), (2, None));
    let other = Store::open(fresh.path(), None).unwrap();
    assert_ne!(other.node, store.node);
    let again = other
        .ledger
        .directory()
        .by_name(&named("census").key())
        .unwrap()
        .clone();
    assert_eq!(*again, *entry);
    assert_eq!(other.ledger.keys(entry.endpoint).await.unwrap(), keys);
    let secret = other.ledger.secrets(entry.revision).await.unwrap();
    assert_eq!(secret.as_deref(), Some(&b"hush"[..]));
    assert_eq!(other.blobs.size(&Sha256::of(b"a model")).unwrap(), Some(7));
    let document = store::SystemBlob::ClusterConfiguration;
    assert_eq!(
        other.blobs.system(document).unwrap().as_deref(),
        Some(&b"{}"[..])
    );
    let operator = fs::read_to_string(store::operator_token_file(dir.path())).unwrap();
    let digest = other.sealer.digest_key(operator.trim());
    assert!(
        !other.is_operator(&digest).unwrap(),
        "that token is in no backup"
    );
}

/// Writers go on and orphans are swept while backups are made: each holds one moment whole.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_under_load_is_one_moment() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options {
        blob_grace: Duration::ZERO,
        ..Options::default()
    };
    let store = Store::open_with(dir.path(), &options).unwrap();
    let store = std::sync::Arc::new(store);
    let mut write = new_service(&store, "census");
    let first = put_blob(&store, b"model 0").await.unwrap();
    write.definition = "0".into();
    write.resources = vec![("model".into(), first)];
    store.ledger.put_service(write, "test").await.unwrap();
    let done = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let writer = tokio::spawn({
        let (store, done) = (store.clone(), done.clone());
        async move {
            let mut number = 0;
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                number += 1;
                let before = store
                    .ledger
                    .directory()
                    .by_name(&named("census").key())
                    .unwrap()
                    .clone();
                let mut write = next_revision(&store, &before, &number.to_string());
                // Named from its first moment: with no grace a sweep takes what nobody names.
                let hold = store.backup().unwrap();
                let model = put_blob(&store, format!("model {number}").as_bytes())
                    .await
                    .unwrap();
                write.resources = vec![("model".into(), model)];
                store.ledger.put_service(write, "test").await.unwrap();
                drop(hold);
                store.sweep().unwrap();
            }
            number
        }
    });
    for _ in 0..5 {
        let making = store.clone();
        let bytes = tokio::task::spawn_blocking(move || written(&making))
            .await
            .unwrap();
        let fresh = with_key_of(dir.path());
        restore(&bytes[..], fresh.path(), &usual()).unwrap();
        let other = Store::open(fresh.path(), None).unwrap();
        let entry = other
            .ledger
            .directory()
            .by_name(&named("census").key())
            .unwrap()
            .clone();
        for kept in other.ledger.revisions(entry.service).await.unwrap() {
            let revision = other.ledger.revision(kept.id).await.unwrap();
            let model = format!("model {}", revision.definition);
            let sha256 = revision.resources[0].1;
            assert_eq!(
                sha256,
                Sha256::of(model.as_bytes()),
                "a revision with its own model"
            );
            assert_eq!(other.blobs.size(&sha256).unwrap(), Some(model.len() as u64));
        }
    }
    done.store(true, std::sync::atomic::Ordering::Relaxed);
    assert!(writer.await.unwrap() > 0);
}

#[tokio::test]
async fn what_is_cut_off_changed_or_newer_is_refused_and_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = filled(dir.path()).await;
    let bytes = written(&store);
    let refused = |bytes: &[u8]| {
        let fresh = with_key_of(dir.path());
        let problem = restore(bytes, fresh.path(), &usual())
            .unwrap_err()
            .to_string();
        let left: Vec<_> = fs::read_dir(fresh.path())
            .unwrap()
            .map(|e| e.unwrap().file_name().to_string_lossy().into_owned())
            .filter(|name| name != "lock" && name != "secrets")
            .collect();
        assert!(left.is_empty(), "{left:?} after: {problem}");
        problem
    };
    for length in (0..bytes.len() - 1024).step_by(1777) {
        let problem = refused(&bytes[..length]);
        assert!(problem.contains("cut off"), "{length}: {problem}");
    }
    assert!(
        refused(
            b"something else, and rather longer than a tar header is, so that it is read as \
        one"
        )
        .contains("cut off")
    );
    assert!(refused(&[b'x'; 4096]).contains("no archive"));
    let mut checked = 0;
    for at in (0..bytes.len() - 1024).step_by(611) {
        let mut changed = bytes.clone();
        changed[at] ^= 0x20;
        let fresh = with_key_of(dir.path());
        // A byte of padding is no part of any file.
        match restore(&changed[..], fresh.path(), &usual()) {
            Err(_) => checked += 1,
            Ok(_) => assert_eq!(bytes[at], 0, "byte {at}"),
        }
    }
    assert!(checked > 10);
    let at = bytes.windows(7).position(|w| w == b"a model").unwrap();
    let mut changed = bytes.clone();
    changed[at..at + 7].copy_from_slice(b"another");
    assert!(refused(&changed).contains("changed or damaged"));
    for (from, to, says) in [
        (
            &b"\"version\": 1"[..],
            &b"\"version\": 2"[..],
            "newer umpire",
        ),
        (b"umpire-backup", b"umpire-packup", "no backup"),
        (b"\"size\": 7", b"\"size\": 8", "manifest was changed"),
    ] {
        let at = bytes.windows(from.len()).position(|w| w == from).unwrap();
        let mut changed = bytes.clone();
        changed[at..at + to.len()].copy_from_slice(to);
        let problem = refused(&changed);
        assert!(problem.contains(says), "{says}: {problem}");
    }
    let key = b"\"ledger_version\": ";
    let at = bytes.windows(key.len()).position(|w| w == key).unwrap();
    let mut changed = bytes.clone();
    let digits = changed[at + key.len()..].iter_mut();
    digits
        .take_while(|digit| digit.is_ascii_digit())
        .for_each(|digit| *digit = b'9');
    let problem = refused(&changed);
    assert!(problem.contains("newer umpire"), "{problem}");
}

#[tokio::test]
async fn the_key_and_an_empty_directory_are_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let store = filled(dir.path()).await;
    let bytes = written(&store);
    let fresh = tempfile::tempdir().unwrap();
    let problem = restore(&bytes[..], fresh.path(), &usual())
        .unwrap_err()
        .to_string();
    assert!(problem.contains("master key is in no backup"), "{problem}");
    let another = tempfile::tempdir().unwrap();
    drop(Store::open(another.path(), None).unwrap());
    let wrong = with_key_of(another.path());
    let problem = restore(&bytes[..], wrong.path(), &usual())
        .unwrap_err()
        .to_string();
    assert!(problem.contains("not the master key"), "{problem}");

    // In use, and then not empty.
    let problem = restore(&bytes[..], dir.path(), &usual())
        .unwrap_err()
        .to_string();
    assert!(problem.contains("another umpire"), "{problem}");
    let node = store.node;
    drop(store);
    let problem = restore(&bytes[..], dir.path(), &usual())
        .unwrap_err()
        .to_string();
    assert!(
        problem.contains("not empty") && problem.contains("ledger.sqlite"),
        "{problem}"
    );
    assert_eq!(
        Store::open(dir.path(), None).unwrap().node,
        node,
        "untouched"
    );
    let replace = RestoreOptions {
        replace: true,
        ..usual()
    };
    let restored = restore(&bytes[..], dir.path(), &replace).unwrap();
    assert!(restored.replaced.unwrap().join("ledger.sqlite").exists());
    let store = Store::open(dir.path(), None).unwrap();
    assert_ne!(store.node, node);
    assert_eq!(store.ledger.directory().service_count(), 1);
}

/// A restore that was cut off keeps a server from starting, and can be run again.
#[tokio::test]
async fn a_restore_that_was_cut_off_is_run_again() {
    let dir = tempfile::tempdir().unwrap();
    let store = filled(dir.path()).await;
    let bytes = written(&store);
    let fresh = with_key_of(dir.path());
    let staging = fresh.path().join("restoring");
    fs::create_dir_all(staging.join("blobs")).unwrap();
    // The blobs were put in place and the ledger was not.
    fs::create_dir(fresh.path().join("blobs")).unwrap();
    fs::write(fresh.path().join("blobs/half"), b"").unwrap();
    let fault = Store::open(fresh.path(), None).unwrap_err();
    assert!(fault.cause().unwrap().contains("cut off"), "{fault:?}");
    restore(&bytes[..], fresh.path(), &usual()).unwrap();
    assert!(!fresh.path().join("blobs/half").exists());
    let store = Store::open(fresh.path(), None).unwrap();
    assert_eq!(store.ledger.directory().service_count(), 1);
}

#[tokio::test]
async fn a_blob_that_is_missing_or_damaged_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let store = filled(dir.path()).await;
    let blob = dir
        .path()
        .join("blobs")
        .join(Sha256::of(b"a model").to_string());
    fs::write(&blob, b"another").unwrap();
    let error = store.backup().unwrap().write(std::io::sink()).unwrap_err();
    assert!(error.to_string().contains("damaged"), "{error}");
    fs::remove_file(&blob).unwrap();
    let fault = store.backup().unwrap_err();
    assert!(fault.is(&faults::rows::InternalError::ModelPackageInvalid));
}
