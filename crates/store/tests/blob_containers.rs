//! Blobs of workspaces: whole or as they were, never another workspace's, nothing left behind.

mod common;

use std::collections::HashMap;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use store::{
    BlobAt, BlobGrant, BlobProblem, BlobReader, Block, Condition, GrantProblem, Id, Permission,
    RestoreOptions, Store, SyncedObject, UploadState, restore,
};

fn workspace(store: &Store) -> Id {
    store.ledger.directory().default_workspace().unwrap().id
}

fn at(store: &Store, container: &str, name: &str) -> BlobAt {
    BlobAt::new(workspace(store), container, name).unwrap()
}

async fn object(store: &Store, content: &[u8]) -> Result<SyncedObject, BlobProblem> {
    let mut writer = store.receive_object(u64::MAX).await?;
    for chunk in content.chunks(300_000) {
        writer.write(&Bytes::copy_from_slice(chunk)).await?;
    }
    writer.sync().await
}

async fn put(store: &Store, at: &BlobAt, content: &[u8]) -> Result<store::BlobInfo, BlobProblem> {
    let object = object(store, content).await?;
    store
        .put_whole_blob(at, "text/csv", object, Condition::default())
        .await
}

fn read_range(reader: &BlobReader, range: std::ops::Range<u64>) -> Vec<u8> {
    let mut content = Vec::new();
    for (file, offset, len) in reader.pieces(range).unwrap() {
        let mut piece = vec![0; len as usize];
        file.read_exact_at(&mut piece, offset).unwrap();
        content.extend(piece);
    }
    content
}

async fn content(store: &Store, at: &BlobAt) -> Option<Vec<u8>> {
    match store.open_blob(at).await {
        Ok(reader) => Some(read_range(&reader, 0..u64::MAX)),
        Err(BlobProblem::NoBlob | BlobProblem::NoContainer) => None,
        Err(problem) => panic!("{problem:?}"),
    }
}

/// The files below `objects/`, and their bytes.
fn files(dir: &Path) -> (usize, u64) {
    let mut found = (0, 0);
    for folder in fs::read_dir(dir.join("objects")).unwrap() {
        for file in fs::read_dir(folder.unwrap().path()).unwrap() {
            found.0 += 1;
            found.1 += file.unwrap().metadata().unwrap().len();
        }
    }
    found
}

#[tokio::test]
async fn a_blob_is_put_read_replaced_listed_and_deleted() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), None).unwrap();
    let one = at(&store, "data", "in/one.csv");
    assert!(matches!(
        store.open_blob(&one).await,
        Err(BlobProblem::NoContainer)
    ));
    let big: Vec<u8> = (0..3_000_000u32).map(|i| (i % 251) as u8).collect();
    let first = put(&store, &one, &big).await.unwrap();
    assert_eq!(first.size, 3_000_000);
    assert_eq!(content(&store, &one).await.unwrap(), big);
    assert!(matches!(
        store.open_blob(&at(&store, "data", "other")).await,
        Err(BlobProblem::NoBlob)
    ));

    let reader = store.open_blob(&one).await.unwrap();
    let second = put(&store, &one, b"a,b\n1,2\n").await.unwrap();
    assert_ne!(first.etag, second.etag);
    assert_eq!(first.created, second.created);
    assert_eq!(content(&store, &one).await.unwrap(), b"a,b\n1,2\n");
    // Whoever has begun to read reads on, whatever is swept.
    assert_eq!(store.sweep().unwrap().blobs, 0);
    assert_eq!(read_range(&reader, 0..u64::MAX), big);
    assert_eq!(files(dir.path()).0, 2);
    // It goes with its last reader.
    drop(reader);
    let gone = async {
        while store.blobs.used() != 8 {
            tokio::task::yield_now().await;
        }
    };
    let patience = std::time::Duration::from_secs(30);
    tokio::time::timeout(patience, gone).await.expect("it goes");
    assert_eq!(files(dir.path()), (1, 8));
    assert_eq!(store.sweep().unwrap().blobs, 0);

    put(&store, &at(&store, "data", "in/two.csv"), b"")
        .await
        .unwrap();
    put(&store, &at(&store, "data", "out.csv"), b"x")
        .await
        .unwrap();
    let list = |prefix: &'static str, after: Option<&'static str>, limit| {
        let store = &store;
        async move {
            let workspace = workspace(store);
            let page = store.list_blobs(workspace, "data", prefix, after, limit);
            let page = page.await.unwrap();
            let names: Vec<String> = page.blobs.into_iter().map(|b| b.name).collect();
            (names, page.next)
        }
    };
    let (names, next) = list("", None, 2).await;
    assert_eq!(names, ["in/one.csv", "in/two.csv"]);
    assert_eq!(next.as_deref(), Some("in/two.csv"));
    assert_eq!(
        list("", Some("in/two.csv"), 2).await,
        (vec!["out.csv".into()], None)
    );
    assert_eq!(
        list("in/t", None, 9).await,
        (vec!["in/two.csv".into()], None)
    );
    let containers = store.blob_containers(workspace(&store)).await.unwrap();
    assert_eq!((containers[0].blobs, containers[0].bytes), (3, 9));

    let other = Condition {
        etag: Some(first.etag),
        ..Condition::default()
    };
    let refused = store.delete_blob(&one, other, None).await;
    assert!(matches!(refused, Err(BlobProblem::OtherEtag)));
    store
        .delete_blob(&one, Condition::default(), None)
        .await
        .unwrap();
    let again = store.delete_blob(&one, Condition::default(), None).await;
    assert!(matches!(again, Err(BlobProblem::NoBlob)));
    assert_eq!(files(dir.path()), (1, 1));

    let gone = store.delete_blob_container(workspace(&store), "data", "test".into());
    assert!(gone.await.unwrap());
    assert_eq!(files(dir.path()), (0, 0));
    assert_eq!(store.blobs.used(), 0);
}

#[tokio::test]
async fn conditions_are_checked_where_the_blob_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), None).unwrap();
    let one = at(&store, "data", "one");
    let absent = Condition {
        absent: true,
        ..Condition::default()
    };
    let present = Condition {
        present: true,
        ..Condition::default()
    };
    let write = |condition: &Condition, text: &'static str| {
        let (store, one, condition) = (&store, &one, condition.clone());
        async move {
            let object = object(store, text.as_bytes()).await.unwrap();
            store.put_whole_blob(one, "a/b", object, condition).await
        }
    };
    assert!(matches!(
        write(&present, "0").await,
        Err(BlobProblem::OtherEtag)
    ));
    // What was refused made no container either.
    assert!(
        store
            .blob_containers(workspace(&store))
            .await
            .unwrap()
            .is_empty()
    );
    let first = write(&absent, "1").await.unwrap();
    assert!(matches!(
        write(&absent, "2").await,
        Err(BlobProblem::Exists)
    ));
    let same = Condition {
        etag: Some(first.etag.clone()),
        ..Condition::default()
    };
    write(&same, "3").await.unwrap();
    assert!(matches!(
        write(&same, "4").await,
        Err(BlobProblem::OtherEtag)
    ));
    assert_eq!(content(&store, &one).await.unwrap(), b"3");
    assert_eq!(files(dir.path()).0, 1);

    // Of many at once that want to be the first, one is.
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(Store::open(dir.path(), None).unwrap());
    let tasks: Vec<_> = (0..16u8)
        .map(|n| {
            let (store, absent) = (store.clone(), absent.clone());
            tokio::spawn(async move {
                let one = at(&store, "data", "one");
                let object = object(&store, &[n]).await.unwrap();
                store
                    .put_whole_blob(&one, "a/b", object, absent)
                    .await
                    .is_ok()
                    .then_some(n)
            })
        })
        .collect();
    let mut winners = Vec::new();
    for task in tasks {
        winners.extend(task.await.unwrap());
    }
    assert_eq!(winners.len(), 1);
    let stored = content(&store, &at(&store, "data", "one")).await.unwrap();
    assert_eq!(stored, winners);
}

#[tokio::test]
async fn an_upload_is_there_whole_or_not_at_all() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), None).unwrap();
    let out = at(&store, "results", "out.csv");
    put(&store, &out, b"before").await.unwrap();
    let mine = store.begin_blob_upload(&out).await.unwrap();
    let other = store.begin_blob_upload(&out).await.unwrap();
    let stage = |upload: Id, block: &'static str, text: &'static str| {
        let store = &store;
        async move {
            let object = object(store, text.as_bytes()).await?;
            store.stage_block(upload, block, object).await
        }
    };
    stage(mine, "2", "two").await.unwrap();
    stage(mine, "1", "once").await.unwrap();
    stage(mine, "1", "one").await.unwrap();
    stage(mine, "late", "late").await.unwrap();
    stage(other, "1", "other").await.unwrap();
    assert_eq!(content(&store, &out).await.unwrap(), b"before");
    assert_eq!(files(dir.path()).0, 5, "what was replaced is gone");
    let blocks = |ids: &[&str]| ids.iter().map(|id| id.to_string()).collect::<Vec<_>>();
    let unknown = blocks(&["1", "3"]);
    let missing = store.commit_blob_upload(mine, &unknown, "text/csv").await;
    assert!(matches!(missing, Err(BlobProblem::NoBlock(id)) if id == "3"));
    assert_eq!(content(&store, &out).await.unwrap(), b"before");

    let list = blocks(&["1", "2"]);
    store
        .commit_blob_upload(mine, &list, "text/csv")
        .await
        .unwrap();
    assert_eq!(content(&store, &out).await.unwrap(), b"onetwo");
    assert_eq!(
        store.blob_upload(&out, mine).await.unwrap(),
        Some(UploadState::Committed)
    );
    let elsewhere = at(&store, "results", "elsewhere.csv");
    assert_eq!(store.blob_upload(&elsewhere, mine).await.unwrap(), None);
    // What comes late, and what is said twice, changes nothing.
    assert!(matches!(
        stage(mine, "3", "3").await,
        Err(BlobProblem::NoUpload)
    ));
    let etag = store.blob_info(&out).await.unwrap().unwrap().etag;
    store
        .commit_blob_upload(mine, &list, "text/csv")
        .await
        .unwrap();
    store.abort_blob_upload(mine).await.unwrap();
    assert_eq!(store.blob_info(&out).await.unwrap().unwrap().etag, etag);
    assert_eq!(files(dir.path()).0, 3, "two segments and the other's block");

    store
        .commit_blob_upload(other, &blocks(&["1"]), "text/csv")
        .await
        .unwrap();
    assert_eq!(content(&store, &out).await.unwrap(), b"other");
    // Even after somebody else has written.
    store
        .commit_blob_upload(mine, &list, "text/csv")
        .await
        .unwrap();
    assert_eq!(content(&store, &out).await.unwrap(), b"other");

    let given_up = store.begin_blob_upload(&out).await.unwrap();
    stage(given_up, "1", "given up").await.unwrap();
    store.abort_blob_upload(given_up).await.unwrap();
    store.abort_blob_upload(given_up).await.unwrap();
    assert_eq!(store.blob_upload(&out, given_up).await.unwrap(), None);
    assert!(matches!(
        stage(given_up, "1", "x").await,
        Err(BlobProblem::NoUpload)
    ));
    assert_eq!(files(dir.path()), (1, 5));
    assert_eq!(store.blobs.used(), 5);
}

#[tokio::test]
async fn blocks_without_an_upload_follow_the_lists_of_storage() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), None).unwrap();
    let one = at(&store, "data", "one");
    let stage = |block: &'static str, text: &'static str| {
        let (store, one) = (&store, &one);
        async move {
            let object = object(store, text.as_bytes()).await.unwrap();
            store.stage_shared_block(one, block, object).await.unwrap();
        }
    };
    let commit = |list: Vec<Block>| {
        let any = Condition::default();
        store.commit_shared_blocks(&one, list, "text/csv", any)
    };
    let latest = |id: &str| Block::Latest(id.into());
    stage("a", "A1").await;
    stage("b", "B1").await;
    let list = store.block_list(&one).await.unwrap();
    assert_eq!(list.uncommitted, [("a".into(), 2), ("b".into(), 2)]);
    assert!(store.blob_info(&one).await.unwrap().is_none());
    commit(vec![latest("b"), latest("a"), latest("b")])
        .await
        .unwrap();
    assert_eq!(content(&store, &one).await.unwrap(), b"B1A1B1");
    stage("a", "A2").await;
    stage("c", "unused").await;
    commit(vec![
        Block::Committed("a".into()),
        Block::Uncommitted("a".into()),
        latest("b"),
    ])
    .await
    .unwrap();
    assert_eq!(content(&store, &one).await.unwrap(), b"A1A2B1");
    assert_eq!(files(dir.path()), (3, 6));
    assert!(store.block_list(&one).await.unwrap().uncommitted.is_empty());
    let gone = commit(vec![Block::Uncommitted("a".into())]).await;
    assert!(matches!(gone, Err(BlobProblem::NoBlock(_))));
    commit(vec![latest("b")]).await.unwrap();
    assert_eq!(files(dir.path()), (1, 2));
}

#[tokio::test]
async fn what_is_given_up_leaves_no_file() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), None).unwrap();
    let mut writer = store.receive_object(10).await.unwrap();
    writer.write(&Bytes::from_static(b"12345")).await.unwrap();
    let refused = writer.write(&Bytes::from_static(b"678901")).await;
    assert!(matches!(refused, Err(BlobProblem::TooLarge(10))));
    drop(writer);
    drop(object(&store, b"synced and not named").await.unwrap());
    let own = store.new_object().unwrap();
    own.file().write_all(b"begun").unwrap();
    assert_eq!(store.sweep().unwrap().blobs, 0, "one that is written stays");
    assert_eq!(files(dir.path()).0, 1);
    drop(own);
    assert_eq!(files(dir.path()).0, 0);
    assert_eq!(store.blobs.used(), 0);

    // What a crash leaves goes at the next start.
    std::mem::forget(store.new_object().unwrap());
    drop(store);
    assert_eq!(files(dir.path()).0, 1);
    let _store = Store::open(dir.path(), None).unwrap();
    assert_eq!(files(dir.path()).0, 0);
}

#[tokio::test]
async fn blobs_count_against_the_limit_of_the_disk() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), None).unwrap();
    store.blobs.set_limit(100);
    let one = at(&store, "data", "one");
    put(&store, &one, &[1; 60]).await.unwrap();
    let full = put(&store, &one, &[2; 41]).await;
    let Err(BlobProblem::Full(fault)) = full else {
        panic!("{full:?}")
    };
    assert!(fault.is(&faults::rows::InternalError::ContainerValidationFailed));
    assert!(fault.cause().unwrap().contains("limits.disk"), "{fault:?}");
    // Whoever writes the file himself learns it at its end.
    let own = store.new_object().unwrap();
    own.file().write_all(&[3; 41]).unwrap();
    assert!(matches!(own.sync(), Err(BlobProblem::Full(_))));
    assert!(common::put_blob(&store, &[4; 41]).await.is_err());
    assert_eq!(content(&store, &one).await.unwrap(), [1; 60]);
    assert_eq!((files(dir.path()), store.blobs.used()), ((1, 60), 60));
    drop(store);
    let store = Store::open(dir.path(), None).unwrap();
    assert_eq!(store.blobs.used(), 60);
}

#[tokio::test]
async fn workspaces_have_nothing_in_common_and_take_their_blobs_along() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), None).unwrap();
    let other = Id::random();
    let made = store
        .ledger
        .create_workspace(other, common::named("other"), "test");
    made.await.unwrap();
    let here = at(&store, "data", "same.csv");
    let there = BlobAt::new(other, "data", "same.csv").unwrap();
    put(&store, &here, b"here").await.unwrap();
    assert!(content(&store, &there).await.is_none());
    put(&store, &there, b"there").await.unwrap();
    let upload = store.begin_blob_upload(&there).await.unwrap();
    let block = object(&store, b"block").await.unwrap();
    store.stage_block(upload, "1", block).await.unwrap();
    assert_eq!(content(&store, &here).await.unwrap(), b"here");
    assert!(store.ledger.delete_workspace(other, "test").await.unwrap());
    assert!(content(&store, &there).await.is_none());
    assert!(matches!(
        put(&store, &there, b"x").await,
        Err(BlobProblem::NoContainer)
    ));
    store.sweep().unwrap();
    assert_eq!(files(dir.path()), (1, 4));
    assert_eq!(content(&store, &here).await.unwrap(), b"here");
}

#[tokio::test]
async fn a_backup_has_blobs_and_what_is_on_its_way() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), None).unwrap();
    let one = at(&store, "data", "one.csv");
    put(&store, &one, b"one").await.unwrap();
    let upload = store.begin_blob_upload(&one).await.unwrap();
    let block = object(&store, b"block").await.unwrap();
    store.stage_block(upload, "1", block).await.unwrap();
    let backup = store.backup().unwrap();
    // Deleted while the backup is made.
    store
        .delete_blob(&one, Condition::default(), None)
        .await
        .unwrap();
    store.sweep().unwrap();
    let (length, mut bytes) = (backup.length(), Vec::new());
    backup.write(&mut bytes).unwrap();
    assert_eq!(bytes.len() as u64, length);
    store.sweep().unwrap();
    assert_eq!(files(dir.path()), (1, 5));

    let fresh = tempfile::tempdir().unwrap();
    fs::create_dir(fresh.path().join("secrets")).unwrap();
    let key = store::own_master_key_file(dir.path());
    fs::copy(key, store::own_master_key_file(fresh.path())).unwrap();
    let usual = RestoreOptions {
        master_key: None,
        replace: false,
    };
    restore(&bytes[..], fresh.path(), &usual).unwrap();
    let other = Store::open(fresh.path(), None).unwrap();
    assert_eq!(content(&other, &one).await.unwrap(), b"one");
    other
        .commit_blob_upload(upload, &["1".into()], "a/b")
        .await
        .unwrap();
    assert_eq!(content(&other, &one).await.unwrap(), b"block");
    assert_eq!(files(fresh.path()), (1, 5));
}

/// Everything at once, sweeps and backups among it: what was acknowledged is read back, and in the
/// end there are the files that rows name and no others.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_while_everybody_writes() {
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(Store::open(dir.path(), None).unwrap());
    let writers: Vec<_> = (0..6u32)
        .map(|writer| {
            let store = store.clone();
            tokio::spawn(async move {
                let one = at(&store, "data", &format!("{}", writer % 3));
                for round in 0..12u32 {
                    let text = format!("{writer} {round} ").repeat(500);
                    if round % 3 == 0 {
                        let upload = store.begin_blob_upload(&one).await.unwrap();
                        let middle = text.len() / 2;
                        for (id, part) in [("b", &text[middle..]), ("a", &text[..middle])] {
                            let object = object(&store, part.as_bytes()).await.unwrap();
                            store.stage_block(upload, id, object).await.unwrap();
                        }
                        let list = ["a".to_owned(), "b".to_owned()];
                        store
                            .commit_blob_upload(upload, &list, "a/b")
                            .await
                            .unwrap();
                    } else {
                        put(&store, &one, text.as_bytes()).await.unwrap();
                    }
                    // Whosever it is by now, it is one whole text.
                    if let Some(read) = content(&store, &one).await {
                        let words: Vec<&str> = std::str::from_utf8(&read)
                            .unwrap()
                            .split_terminator(' ')
                            .collect();
                        assert_eq!(words.len(), 1000);
                        assert!(words.chunks(2).all(|pair| pair == &words[..2]));
                    }
                    if round % 5 == 4 {
                        let _ = store.delete_blob(&one, Condition::default(), None).await;
                    }
                }
            })
        })
        .collect();
    let sweeper = {
        let store = store.clone();
        tokio::task::spawn_blocking(move || {
            for _ in 0..20 {
                store.sweep().unwrap();
                store.backup().unwrap().write(std::io::sink()).unwrap();
            }
        })
    };
    for writer in writers {
        writer.await.unwrap();
    }
    sweeper.await.unwrap();
    store.sweep().unwrap();
    let page = store.list_blobs(workspace(&store), "data", "", None, 100);
    let bytes: u64 = page.await.unwrap().blobs.iter().map(|blob| blob.size).sum();
    assert_eq!(files(dir.path()).1, bytes);
    assert_eq!(store.blobs.used(), bytes);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// Any range of a blob in any segments is that range of its bytes.
    #[test]
    fn a_range_is_read_through_all_segments(
        sizes in prop::collection::vec(0usize..40, 0..12),
        ranges in prop::collection::vec((0u64..400, 0u64..400), 12),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let store = Store::open(dir.path(), None).unwrap();
            let one = at(&store, "data", "one");
            let upload = store.begin_blob_upload(&one).await.unwrap();
            let (mut whole, mut list) = (Vec::new(), Vec::new());
            for (number, size) in sizes.iter().enumerate() {
                let part: Vec<u8> = (0..*size).map(|i| (whole.len() + i) as u8).collect();
                let object = object(&store, &part).await.unwrap();
                let id = number.to_string();
                store.stage_block(upload, &id, object).await.unwrap();
                list.push(id);
                whole.extend(part);
            }
            store.commit_blob_upload(upload, &list, "a/b").await.unwrap();
            let reader = store.open_blob(&one).await.unwrap();
            prop_assert_eq!(reader.info().size, whole.len() as u64);
            for (from, to) in ranges {
                let cut = |at: u64| (at as usize).min(whole.len());
                let expected = &whole[cut(from)..cut(to).max(cut(from))];
                prop_assert_eq!(read_range(&reader, from..to), expected);
                let piece = reader.piece_at(from).unwrap();
                prop_assert_eq!(piece.is_some(), cut(from) < whole.len());
                if let Some((_, _, len)) = piece {
                    prop_assert!(len > 0 && from + len <= whole.len() as u64);
                }
            }
            Ok(())
        })?;
    }
}

fn parts(query: &str) -> HashMap<String, String> {
    let pairs = query.trim_start_matches('?').split('&');
    pairs
        .map(|pair| pair.split_once('=').unwrap())
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

#[tokio::test]
async fn a_signature_opens_one_blob_for_a_while_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), None).unwrap();
    let now = Timestamp::now();
    let hour = SignedDuration::from_hours(1);
    let one = at(&store, "data", "in/one.csv");
    let query = BlobGrant::query(
        &store.sealer,
        &one,
        &[Permission::Write, Permission::Read],
        now + hour,
    );
    assert!(query.starts_with("?sv=") && query.contains("&sp=rw&"));
    let check = |at: &BlobAt, parts: &HashMap<String, String>, now| {
        let part = |name: &str| parts.get(name).map(|v| v.as_str().into());
        BlobGrant::of_query(&store.sealer, at, part, now)
    };
    let given = parts(&query);
    let grant = check(&one, &given, now).unwrap();
    assert!(grant.permits(Permission::Read) && grant.permits(Permission::Write));
    assert!(!grant.permits(Permission::Delete) && !grant.permits(Permission::Create));

    assert_eq!(check(&one, &given, now + hour), Err(GrantProblem::Expired));
    for other in [
        at(&store, "data", "in/one.csv2"),
        at(&store, "data", "one.csv"),
        at(&store, "datb", "in/one.csv"),
        BlobAt::new(Id::random(), "data", "in/one.csv").unwrap(),
    ] {
        assert_eq!(check(&other, &given, now), Err(GrantProblem::Wrong));
    }
    for name in ["sv", "se", "sr", "sp", "sig"] {
        let mut less = given.clone();
        let value = less.remove(name).unwrap();
        assert_eq!(
            check(&one, &less, now),
            Err(GrantProblem::Missing),
            "{name}"
        );
        for at in 0..value.len() {
            let mut bytes = value.clone().into_bytes();
            bytes[at] = if bytes[at] == b'1' { b'2' } else { b'1' };
            let changed = String::from_utf8(bytes).unwrap();
            less.insert(name.into(), changed);
            assert_eq!(
                check(&one, &less, now),
                Err(GrantProblem::Wrong),
                "{name} {at}"
            );
        }
        for longer in [format!("{value}d"), format!("{value}\nd"), value.repeat(40)] {
            less.insert(name.into(), longer);
            assert!(check(&one, &less, now).is_err(), "{name}");
        }
    }
    // Another installation has other keys; a change of the master key changes nothing.
    let elsewhere = Store::open(tempfile::tempdir().unwrap().path(), None).unwrap();
    let part = |name: &str| given.get(name).map(|v| v.as_str().into());
    let refused = BlobGrant::of_query(&elsewhere.sealer, &one, part, now);
    assert_eq!(refused, Err(GrantProblem::Wrong));
    store.rotate_master_key("test").await.unwrap();
    assert!(check(&one, &given, now).is_ok());
    drop(store);
    let store = Store::open(dir.path(), None).unwrap();
    assert!(BlobGrant::of_query(&store.sealer, &one, part, now).is_ok());
}

const CHILD: &str = "STORE_BLOB_CRASH_TEST_DIR";

/// The process that is killed: puts blobs for ever and says what it has been told is stored.
#[test]
fn child_that_puts_blobs_until_it_is_killed() {
    let Some(dir) = std::env::var_os(CHILD) else {
        return;
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(async {
        let store = Store::open(dir.as_ref(), None).unwrap();
        for n in 0u32.. {
            let name = format!("{}", n % 5);
            let one = at(&store, "data", &name);
            let text = format!("{n}/{};", std::process::id()).repeat(40_000);
            let upload = store.begin_blob_upload(&one).await.unwrap();
            let list: Vec<String> = ["1", "2", "3"].map(String::from).into();
            for id in &list {
                let object = object(&store, text.as_bytes()).await.unwrap();
                store.stage_block(upload, id, object).await.unwrap();
            }
            store
                .commit_blob_upload(upload, &list, "a/b")
                .await
                .unwrap();
            println!("stored {name} {n}/{}", std::process::id());
        }
    });
}

#[test]
fn killed_at_any_moment_blobs_are_whole_and_nothing_else_stays() {
    let dir = tempfile::tempdir().unwrap();
    for lines in [1, 2, 4, 7, 11] {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "child_that_puts_blobs_until_it_is_killed",
                "--nocapture",
            ])
            .env(CHILD, dir.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stored: HashMap<String, String> = HashMap::new();
        let mut seen = 0;
        let mut output = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut note = |line: &str| {
            let words: Vec<&str> = line.split(' ').collect();
            if let ["stored", name, mark] = words[..] {
                stored.insert(name.into(), mark.into());
                return true;
            }
            false
        };
        for line in output.by_ref() {
            seen += usize::from(note(&line.unwrap()));
            if seen == lines {
                break;
            }
        }
        assert_eq!(seen, lines, "the child ended by itself");
        child.kill().unwrap();
        child.wait().unwrap();
        for line in output {
            note(&line.unwrap());
        }

        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        runtime.block_on(async {
            let store = Store::open(dir.path(), None).unwrap();
            let page = store.list_blobs(workspace(&store), "data", "", None, 100);
            let page = page.await.unwrap();
            let mut newer = 0;
            for blob in &page.blobs {
                let read = content(&store, &at(&store, "data", &blob.name))
                    .await
                    .unwrap();
                let text = String::from_utf8(read).unwrap();
                let mark = text.split(';').next().unwrap();
                assert_eq!(text, format!("{mark};").repeat(120_000));
                if let Some(acknowledged) = stored.get(&blob.name) {
                    newer += usize::from(mark != acknowledged);
                }
            }
            assert!(newer <= 1, "only the write under way may be in doubt");
            assert!(
                stored
                    .keys()
                    .all(|name| page.blobs.iter().any(|b| b.name == *name))
            );
            // What the ledger names, and nothing else: the blocks of one upload may wait.
            let bytes: u64 = page.blobs.iter().map(|blob| blob.size).sum();
            let waiting = files(dir.path()).0 - 3 * page.blobs.len();
            assert!(waiting <= 3 * 5, "{waiting} blocks of {bytes} bytes wait");
            assert_eq!(store.blobs.used(), files(dir.path()).1);
        });
    }
}
