//! The ledger through its public face: writes, reads, the directory, refusals.

mod common;

use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use common::{named, new_service, next_revision, put_blob};
use faults::{Class, rows};
use store::{Id, ServiceWrite, Sha256, Store};

fn open(dir: &tempfile::TempDir) -> Store {
    Store::open(dir.path(), None).unwrap()
}

#[tokio::test]
async fn a_service_is_found_by_every_name_and_survives_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir);
    let write = ServiceWrite {
        keys: Some(["primary".into(), "secondary".into()]),
        max_concurrent_calls: 33,
        ..new_service(&store, "Census")
    };
    let made = store
        .ledger
        .put_service(write.clone(), "test")
        .await
        .unwrap();
    assert_eq!(made.revision_number, 1);
    assert_eq!(made.endpoint_name, "default");
    assert_eq!(made.max_concurrent_calls, 33);
    drop(store);

    let store = open(&dir);
    let directory = store.ledger.directory();
    for id in [write.service, write.endpoint] {
        assert_eq!(**directory.endpoint(&id).unwrap(), *made);
    }
    assert_eq!(**directory.by_name(&named("cENSUS").key()).unwrap(), *made);
    assert!(directory.endpoint(&write.revision).is_none());
    assert!(directory.workspace(&made.workspace).is_some());
    assert!(directory.workspace(&Id::random()).is_none());

    let digest = |key: &str| store.sealer.digest_key(key);
    assert!(made.has_key(&digest("primary")) && made.has_key(&digest("secondary")));
    assert!(!made.has_key(&digest("other")));
    assert!(directory.key_known(&digest("primary")));
    assert!(!directory.key_known(&digest("other")));
    assert_eq!(
        store.ledger.keys(made.endpoint).await.unwrap(),
        ["primary".to_owned(), "secondary".to_owned()]
    );
}

#[tokio::test]
async fn keys_are_made_where_none_are_given_and_never_stand_in_a_file() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir);
    let made = store
        .ledger
        .put_service(
            ServiceWrite {
                secrets: Some(b"storage account key".to_vec()),
                ..new_service(&store, "a")
            },
            "test",
        )
        .await
        .unwrap();
    let [primary, secondary] = store.ledger.keys(made.endpoint).await.unwrap();
    assert_eq!((primary.len(), secondary.len()), (88, 88));
    assert_ne!(primary, secondary);
    assert_eq!(
        store
            .ledger
            .secrets(made.revision)
            .await
            .unwrap()
            .as_deref(),
        Some(&b"storage account key"[..])
    );
    let token = std::fs::read_to_string(store::operator_token_file(dir.path())).unwrap();
    for file in std::fs::read_dir(dir.path()).unwrap() {
        let path = file.unwrap().path();
        if path.is_file() {
            let content = std::fs::read(&path).unwrap();
            for secret in [
                primary.as_str(),
                &secondary,
                "storage account key",
                token.trim(),
            ] {
                let found = content
                    .windows(secret.len())
                    .any(|w| w == secret.as_bytes());
                assert!(!found, "a secret stands in {}", path.display());
            }
        }
    }
}

#[tokio::test]
async fn keys_change_one_by_one_and_the_directory_follows() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir);
    let write = ServiceWrite {
        keys: Some(["p1".into(), "s1".into()]),
        ..new_service(&store, "a")
    };
    let made = store.ledger.put_service(write, "test").await.unwrap();
    let ledger = &store.ledger;
    ledger
        .set_keys(made.endpoint, None, Some("s2".into()), "test")
        .await
        .unwrap();
    assert_eq!(ledger.keys(made.endpoint).await.unwrap(), ["p1", "s2"]);
    let directory = ledger.directory();
    let entry = directory.endpoint(&made.endpoint).unwrap();
    assert!(entry.has_key(&store.sealer.digest_key("p1")));
    assert!(entry.has_key(&store.sealer.digest_key("s2")));
    assert!(!directory.key_known(&store.sealer.digest_key("s1")));
    assert!(entry.modified > made.modified);
    assert_eq!(entry.version, made.version, "a deploy under way may go on");

    let fault = ledger
        .set_keys(Id::random(), None, None, "test")
        .await
        .unwrap_err();
    assert!(fault.is(&rows::NotFound::WebServiceNotFound));
}

#[tokio::test]
async fn a_write_that_carries_keys_does_not_bring_back_a_revoked_one() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir);
    let write = new_service(&store, "a");
    let made = store.ledger.put_service(write, "test").await.unwrap();
    let [leaked, other] = store.ledger.keys(made.endpoint).await.unwrap();
    let deploy = ServiceWrite {
        keys: Some([leaked.clone(), other.clone()]),
        ..next_revision(&store, &made, "{}")
    };
    // The deploy has looked at the service; while it loads, the key is revoked.
    let fresh = Some("fresh".to_owned());
    let rotated = store.ledger.set_keys(made.endpoint, fresh, None, "test");
    rotated.await.unwrap();
    let late = store
        .ledger
        .put_service_over(deploy.clone(), Some(made.keys), "test")
        .await;
    assert_eq!(late.unwrap_err().class(), Class::Conflict);
    let keys = store.ledger.keys(made.endpoint).await.unwrap();
    assert_eq!(keys, ["fresh", other.as_str()]);
    let digest = store.sealer.digest_key(&leaked);
    assert!(!store.ledger.directory().key_known(&digest));

    // One without keys is not disturbed; nor is one that has seen the present keys.
    let plain = ServiceWrite {
        keys: None,
        ..deploy.clone()
    };
    let seen = Some(made.keys);
    let after = store.ledger.put_service_over(plain, seen, "test").await;
    let after = after.unwrap();
    assert_eq!(after.revision_number, 2);
    let again = ServiceWrite {
        revision: Id::random(),
        expected: Some(after.version),
        ..deploy
    };
    let seen = Some(after.keys);
    let last = store.ledger.put_service_over(again, seen, "test").await;
    assert_eq!(last.unwrap().keys, made.keys);
}

#[tokio::test]
async fn a_key_that_two_services_share_stays_known_until_both_are_gone() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir);
    let mut made = Vec::new();
    for name in ["a", "b"] {
        let write = ServiceWrite {
            keys: Some(["same".into(), "same".into()]),
            ..new_service(&store, name)
        };
        made.push(store.ledger.put_service(write, "test").await.unwrap());
    }
    let digest = store.sealer.digest_key("same");
    let known = || store.ledger.directory().key_known(&digest);
    let ledger = &store.ledger;
    ledger
        .delete_service(made[0].service, "test")
        .await
        .unwrap();
    assert!(known());
    ledger
        .set_keys(made[1].endpoint, Some("other".into()), None, "test")
        .await
        .unwrap();
    assert!(known(), "it is still the secondary key");
    ledger
        .delete_service(made[1].service, "test")
        .await
        .unwrap();
    assert!(!known());
}

#[tokio::test]
async fn revisions_are_counted_kept_and_rolled_back_to() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir);
    let blob = put_blob(&store, b"model").await.unwrap();
    let first = ServiceWrite {
        resources: vec![("model".into(), blob)],
        ..new_service(&store, "a")
    };
    let mut entry = store
        .ledger
        .put_service(first.clone(), "ann")
        .await
        .unwrap();
    for n in 2..=8u64 {
        let write = next_revision(&store, &entry, &format!("{{\"title\":\"{n}\"}}"));
        let after = store.ledger.put_service(write, "ben").await.unwrap();
        assert_eq!(after.revision_number, n);
        assert_eq!(after.endpoint, entry.endpoint);
        assert_eq!(after.keys, entry.keys, "keys stay");
        assert!(after.modified > entry.modified);
        assert_eq!(after.created, entry.created);
        entry = after;
    }
    let kept = store.ledger.revisions(entry.service).await.unwrap();
    let numbers: Vec<u64> = kept.iter().map(|r| r.number).collect();
    assert_eq!(numbers, [8, 7, 6, 5, 4, 3], "the newest and five before it");
    assert!(kept[0].active && !kept[1].active);
    assert!(store.ledger.named_blobs().unwrap().is_empty());

    let back = store
        .ledger
        .activate_revision(entry.service, kept[2].id, 7, entry.version, "cat")
        .await
        .unwrap();
    assert_eq!((back.revision_number, back.max_concurrent_calls), (6, 7));
    let revision = store.ledger.revision(back.revision).await.unwrap();
    assert_eq!(revision.definition, r#"{"title":"6"}"#);

    // A deploy after it does not use a number twice, and what is in use is never pruned.
    let next = store
        .ledger
        .put_service(next_revision(&store, &back, "{}"), "ann")
        .await
        .unwrap();
    assert_eq!(next.revision_number, 9);
    let fault = store
        .ledger
        .activate_revision(entry.service, first.revision, 7, next.version, "cat")
        .await
        .unwrap_err();
    assert_eq!(fault.class(), Class::Conflict);

    let audit = store.ledger.audit(3).await.unwrap();
    let lines: Vec<_> = audit
        .iter()
        .map(|l| (l.actor.as_str(), l.action.as_str()))
        .collect();
    assert_eq!(
        lines,
        [
            ("ann", "deploy revision 9"),
            ("cat", "roll back to revision 6"),
            ("ben", "deploy revision 8")
        ]
    );
}

#[tokio::test]
async fn a_lost_race_is_a_conflict_and_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir);
    let made = store
        .ledger
        .put_service(new_service(&store, "a"), "test")
        .await
        .unwrap();
    let change = store.ledger.directory().change();

    let taken = store
        .ledger
        .put_service(new_service(&store, "A"), "test")
        .await;
    assert_eq!(taken.unwrap_err().class(), Class::Conflict);

    let stale = ServiceWrite {
        expected: Some(made.version + 1),
        ..next_revision(&store, &made, "{}")
    };
    let fault = store.ledger.put_service(stale, "test").await.unwrap_err();
    assert_eq!((fault.class(), fault.details().len()), (Class::Conflict, 0));

    let elsewhere = ServiceWrite {
        workspace: Id::random(),
        ..new_service(&store, "b")
    };
    let fault = store
        .ledger
        .put_service(elsewhere, "test")
        .await
        .unwrap_err();
    assert!(fault.is(&rows::NotFound::WorkspaceNotFound));

    let directory = store.ledger.directory();
    assert_eq!(directory.change(), change);
    assert_eq!(directory.service_count(), 1);
    assert_eq!(store.ledger.revisions(made.service).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_read_only_service_can_only_be_deleted() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir);
    let write = ServiceWrite {
        read_only: true,
        ..new_service(&store, "a")
    };
    let made = store.ledger.put_service(write, "test").await.unwrap();
    let again = next_revision(&store, &made, "{}");
    let fault = store.ledger.put_service(again, "test").await.unwrap_err();
    assert_eq!(fault.class(), Class::Conflict);
    let fault = store
        .ledger
        .set_keys(made.endpoint, Some("x".into()), None, "test")
        .await
        .unwrap_err();
    assert_eq!(fault.class(), Class::Conflict);
    assert!(
        store
            .ledger
            .delete_service(made.service, "test")
            .await
            .unwrap()
    );
    assert!(
        !store
            .ledger
            .delete_service(made.service, "test")
            .await
            .unwrap()
    );
    let directory = store.ledger.directory();
    assert!(directory.endpoint(&made.endpoint).is_none());
    assert!(directory.endpoint(&made.service).is_none());
    assert!(directory.by_name(&named("a").key()).is_none());
    assert!(!directory.key_known(&made.keys[0]));
    let fault = store.ledger.revision(made.revision).await.unwrap_err();
    assert!(fault.is(&rows::NotFound::WebServiceNotFound));
    let fault = store.ledger.keys(made.endpoint).await.unwrap_err();
    assert!(fault.is(&rows::NotFound::WebServiceNotFound));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_writers_each_write_is_seen_whole_and_one_wins_each_version() {
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(open(&dir));
    let made = store
        .ledger
        .put_service(new_service(&store, "shared"), "test")
        .await
        .unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..16 {
        let (store, made) = (store.clone(), made.clone());
        tasks.spawn(async move {
            let own = new_service(&store, &format!("own-{n}"));
            store.ledger.put_service(own, "test").await.unwrap();
            let shared = next_revision(&store, &made, &format!("{{\"writer\":{n}}}"));
            store.ledger.put_service(shared, "test").await.is_ok()
        });
    }
    let reader = {
        let (store, service) = (store.clone(), made.service);
        tokio::spawn(async move {
            let mut last = 0;
            for _ in 0..200 {
                let change = {
                    let directory = store.ledger.directory();
                    let entry = directory.endpoint(&service).expect("always there");
                    // Parts of one snapshot fit together.
                    assert_eq!(entry.version, entry.revision_number);
                    directory.change()
                };
                assert!(change >= last);
                last = change;
                store.ledger.revisions(service).await.unwrap();
            }
        })
    };
    let won = tasks.join_all().await.into_iter().filter(|ok| *ok).count();
    reader.await.unwrap();
    assert_eq!(won, 1, "all had seen version 1");
    assert_eq!(store.ledger.directory().services().count(), 17);
}

#[tokio::test]
async fn one_process_holds_a_directory() {
    let dir = tempfile::tempdir().unwrap();
    let first = open(&dir);
    let fault = Store::open(dir.path(), None).unwrap_err();
    assert_eq!(fault.class(), Class::Conflict);
    assert!(fault.cause().unwrap().contains("another umpire"));
    drop(first);
    open(&dir);
}

#[tokio::test]
async fn secrets_are_private_and_made_once() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let token = {
        let store = Store::open(&data, None).unwrap();
        let token = std::fs::read_to_string(store::operator_token_file(&data)).unwrap();
        assert_eq!(
            store.is_operator(&store.sealer.digest_key(token.trim())),
            Ok(true)
        );
        assert_eq!(
            store.is_operator(&store.sealer.digest_key("other")),
            Ok(false)
        );
        assert!(store.key_known(&store.sealer.digest_key(token.trim())));
        token
    };
    let store = Store::open(&data, None).unwrap();
    assert_eq!(
        store.is_operator(&store.sealer.digest_key(token.trim())),
        Ok(true)
    );
    let mode = |path: &str| {
        let path = data.join(path);
        std::fs::metadata(path).unwrap().permissions().mode() & 0o777
    };
    for folder in ["", "secrets", "blobs"] {
        assert_eq!(mode(folder), 0o700, "{folder}");
    }
    for file in [
        "secrets/master.key",
        "secrets/operator.token",
        "ledger.sqlite",
        "ledger.sqlite-wal",
        "lock",
    ] {
        assert_eq!(mode(file), 0o600, "{file}");
    }
}

#[tokio::test]
async fn a_data_directory_that_others_use_keeps_its_mode() {
    let dir = tempfile::tempdir().unwrap();
    let set = |mode| {
        let mode = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(dir.path(), mode).unwrap();
    };
    let mode = |path: &str| {
        let path = dir.path().join(path);
        std::fs::metadata(path).unwrap().permissions().mode() & 0o7777
    };
    let letters = dir.path().join("letters");
    std::fs::write(&letters, b"somebody's").unwrap();
    set(0o1777);
    // At the second start the ledger and all else of ours is there too.
    for _ in 0..2 {
        drop(open(&dir));
        assert_eq!(mode(""), 0o1777);
        for folder in ["secrets", "blobs"] {
            assert_eq!(mode(folder), 0o700, "{folder}");
        }
        for file in ["lock", "ledger.sqlite", "secrets/master.key"] {
            assert_eq!(mode(file), 0o600, "{file}");
        }
    }

    std::fs::remove_file(&letters).unwrap();
    set(0o755);
    drop(open(&dir));
    assert_eq!(mode(""), 0o700, "nothing but ours stands in it");
}

#[tokio::test]
async fn another_master_key_is_refused_before_anything_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(&dir));
    let key = dir.path().join("secrets/master.key");
    let right = std::fs::read(&key).unwrap();
    std::fs::remove_file(&key).unwrap();
    let fault = Store::open(dir.path(), None).unwrap_err();
    let cause = fault.cause().unwrap();
    assert!(cause.contains(key.to_str().unwrap()), "{cause}");
    assert!(!key.exists(), "a fresh key would open nothing");

    let other = dir.path().join("other.key");
    std::fs::write(&other, [7; 32]).unwrap();
    let fault = Store::open(dir.path(), Some(&other)).unwrap_err();
    let cause = fault.cause().unwrap();
    assert!(cause.contains("master key"), "{cause}");

    let elsewhere = dir.path().join("elsewhere.key");
    std::fs::write(&elsewhere, right).unwrap();
    Store::open(dir.path(), Some(&elsewhere)).unwrap();
}

#[tokio::test]
async fn a_ledger_of_a_newer_program_or_none_at_all_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(&dir));
    let file = dir.path().join("ledger.sqlite");
    let connection = rusqlite::Connection::open(&file).unwrap();
    connection
        .pragma_update(None, "user_version", 1000)
        .unwrap();
    drop(connection);
    let fault = Store::open(dir.path(), None).unwrap_err();
    assert!(fault.cause().unwrap().contains("version 1000"));

    std::fs::write(
        &file,
        "this is no database, and long enough to tell".repeat(100),
    )
    .unwrap();
    let fault = Store::open(dir.path(), None).unwrap_err();
    assert_eq!(fault.class(), Class::InternalError);
    assert!(fault.cause().unwrap().contains("ledger.sqlite"));
}

#[tokio::test]
async fn a_ledger_that_is_gone_fails_reads_and_not_the_directory() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir);
    let made = store
        .ledger
        .put_service(new_service(&store, "a"), "test")
        .await
        .unwrap();
    let (file, away) = (dir.path().join("ledger.sqlite"), dir.path().join("away"));
    std::fs::rename(&file, &away).unwrap();
    let fault = store.ledger.revision(made.revision).await.unwrap_err();
    assert!(
        fault.is(&rows::InternalError::UnknownError),
        "{}",
        fault.name()
    );
    assert!(fault.cause().unwrap().contains("ledger"));
    let fault = store
        .ledger
        .put_service(new_service(&store, "b"), "test")
        .await
        .unwrap_err();
    assert!(fault.is(&rows::InternalError::FailedStoringWebService));
    let fault = store
        .ledger
        .delete_service(made.service, "test")
        .await
        .unwrap_err();
    assert!(fault.is(&rows::InternalError::DeleteWebServiceResourceFailed));
    assert!(store.ledger.directory().endpoint(&made.service).is_some());

    // Another file in its place is none of ours; the right one, put back, is used again.
    std::fs::copy(&away, &file).unwrap();
    assert!(store.ledger.revision(made.revision).await.is_err());
    std::fs::rename(&away, &file).unwrap();
    store.ledger.revision(made.revision).await.unwrap();
}

#[tokio::test]
async fn orphaned_blobs_go_when_a_store_is_opened() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir);
    let named = put_blob(&store, b"named").await.unwrap();
    let orphan = put_blob(&store, b"orphan").await.unwrap();
    let write = ServiceWrite {
        resources: vec![("model".into(), named)],
        ..new_service(&store, "a")
    };
    let made = store.ledger.put_service(write, "test").await.unwrap();
    let age = |sha256: &Sha256| {
        let file = dir.path().join("blobs").join(sha256.to_string());
        let file = std::fs::File::open(file).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(48 * 3600))
            .unwrap();
    };
    age(&named);
    age(&orphan);
    drop(store);

    let store = open(&dir);
    assert_eq!(store.blobs.size(&named).unwrap(), Some(5));
    assert_eq!(store.blobs.size(&orphan).unwrap(), None);
    store
        .ledger
        .delete_service(made.service, "test")
        .await
        .unwrap();
    assert_eq!(store.sweep().unwrap().blobs, 1);
    assert_eq!(store.blobs.size(&named).unwrap(), None);
}
