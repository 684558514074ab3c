//! What is kept on this machine: the workspaces' own blob containers.

use std::io::Write as _;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use outbound::Outbound;
use storage::{BlobReference, FailureKind, Location, Options, Part, Purpose, Source, Storage};
use store::{Id, Store};

fn open(dir: &Path) -> (Storage, Arc<Store>) {
    let store = Arc::new(Store::open(dir, None).unwrap());
    let outbound = Outbound::new(outbound::Options::default()).unwrap();
    let storage = Storage::new(Options::default(), outbound, store.clone());
    (storage, store)
}

fn workspace(store: &Store) -> Id {
    store.ledger.directory().default_workspace().unwrap().id
}

fn relative(relative: &str) -> BlobReference {
    BlobReference {
        relative_location: Some(relative.into()),
        ..BlobReference::default()
    }
}

fn output(storage: &Storage, store: &Store, name: &str) -> Location {
    let reference = relative(name);
    let purpose = Purpose::Output("out");
    storage
        .resolve(&reference, workspace(store), purpose)
        .unwrap()
}

async fn whole(source: &Source) -> Bytes {
    source
        .read(0..u64::MAX)
        .await
        .unwrap()
        .whole()
        .await
        .unwrap()
}

async fn content(storage: &Storage, at: &Location) -> Option<Vec<u8>> {
    match storage.open(at).await {
        Ok(source) => Some(whole(&source).await.to_vec()),
        Err(failure) => {
            assert_eq!(failure.kind, FailureKind::NotFound);
            assert!(!failure.transient);
            None
        }
    }
}

fn pieces(source: &Source, range: std::ops::Range<u64>) -> Vec<u8> {
    let mut all = Vec::new();
    for (file, offset, len) in source.pieces(range).unwrap().unwrap() {
        let mut bytes = vec![0; len as usize];
        file.read_exact_at(&mut bytes, offset).unwrap();
        all.extend(bytes);
    }
    all
}

#[tokio::test]
async fn parts_become_a_blob_at_once_and_in_their_order() {
    let dir = tempfile::tempdir().unwrap();
    let (storage, store) = open(dir.path());
    let at = output(&storage, &store, "results/deep/out.csv");
    storage.probe(&at).await.unwrap();
    assert!(
        store
            .blob_containers(workspace(&store))
            .await
            .unwrap()
            .is_empty()
    );

    let staging = storage.begin(&at, "text/csv").await.unwrap();
    let second = staging
        .stage(1, 1, Bytes::from_static(b"4,5\n"))
        .await
        .unwrap();
    staging
        .stage(0, 1, Bytes::from_static(b"broken off"))
        .await
        .unwrap();
    // A part that somebody else writes.
    let file = staging.part_file(0, 2).unwrap().unwrap();
    let mut writer = file.file.try_clone().unwrap();
    writer.write_all(b"a,b\n1,2\n").unwrap();
    let first = tokio::task::spawn_blocking(|| file.finish())
        .await
        .unwrap()
        .unwrap();
    // One that nobody finishes leaves nothing.
    drop(staging.part_file(7, 1).unwrap().unwrap());
    let parts = [
        first,
        second,
        staging.stage(2, 1, Bytes::new()).await.unwrap(),
    ];
    assert!(content(&storage, &at).await.is_none());
    let unknown = staging.commit(&[Part("5".into())]).await.unwrap_err();
    assert_eq!(unknown.kind, FailureKind::NotFound);

    staging.commit(&parts).await.unwrap();
    let all = b"a,b\n1,2\n4,5\n";
    let source = storage.open(&at).await.unwrap();
    assert_eq!(source.size, all.len() as u64);
    assert_eq!(whole(&source).await.as_ref(), all);
    for from in 0..=all.len() {
        for to in from..=all.len() + 1 {
            let expected = &all[from..to.min(all.len())];
            let range = from as u64..to as u64;
            let read = source
                .read(range.clone())
                .await
                .unwrap()
                .whole()
                .await
                .unwrap();
            assert_eq!(read, expected);
            assert_eq!(pieces(&source, range), expected);
        }
    }
    staging.commit(&parts).await.unwrap();
    staging.abort().await.unwrap();
    assert_eq!(content(&storage, &at).await.unwrap(), all);
    let late = staging
        .stage(3, 1, Bytes::from_static(b"late"))
        .await
        .unwrap_err();
    assert_eq!(late.kind, FailureKind::NotFound);

    // Who reads goes on reading what he opened.
    storage
        .put(&at, "text/csv", Bytes::from_static(b"new"))
        .await
        .unwrap();
    assert_eq!(whole(&source).await.as_ref(), all);
    assert_eq!(content(&storage, &at).await.unwrap(), b"new");
    storage.delete(&at).await.unwrap();
    storage.delete(&at).await.unwrap();
    assert!(content(&storage, &at).await.is_none());
}

#[tokio::test]
async fn an_upload_goes_on_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let (token, part) = {
        let (storage, store) = open(dir.path());
        let at = output(&storage, &store, "results/out.csv");
        let staging = storage.begin(&at, "text/csv").await.unwrap();
        let part = staging
            .stage(0, 1, Bytes::from_static(b"one;"))
            .await
            .unwrap();
        (staging.token(), part)
    };
    let (storage, store) = open(dir.path());
    let at = output(&storage, &store, "results/out.csv");
    let elsewhere = output(&storage, &store, "results/other.csv");
    let other = storage.resume(&elsewhere, &token).await.unwrap_err();
    assert_eq!(other.kind, FailureKind::NotFound);
    let strange = storage.resume(&at, "x").await.unwrap_err();
    assert_eq!(strange.kind, FailureKind::BadName);

    let staging = storage.resume(&at, &token).await.unwrap();
    let two = staging
        .stage(1, 2, Bytes::from_static(b"two"))
        .await
        .unwrap();
    let parts = [part, two];
    staging.commit(&parts).await.unwrap();
    let again = storage.resume(&at, &token).await.unwrap();
    again.commit(&parts).await.unwrap();
    assert_eq!(content(&storage, &at).await.unwrap(), b"one;two");
    assert_eq!(store.blobs.used(), 7);

    let staging = storage.begin(&at, "text/csv").await.unwrap();
    staging
        .stage(0, 1, Bytes::from_static(b"given up"))
        .await
        .unwrap();
    staging.abort().await.unwrap();
    staging.abort().await.unwrap();
    assert_eq!(content(&storage, &at).await.unwrap(), b"one;two");
    assert_eq!(store.blobs.used(), 7);
    assert!(storage.resume(&at, &staging.token()).await.is_err());
}

#[tokio::test]
async fn a_signed_url_of_our_own_leads_back_inside() {
    let dir = tempfile::tempdir().unwrap();
    let (storage, store) = open(dir.path());
    let at = output(&storage, &store, "results/ä b.csv");
    storage
        .put(&at, "text/csv", Bytes::from_static(b"x"))
        .await
        .unwrap();
    let hour = Duration::from_secs(3600);
    let joined = storage.signed(&at, hour, "https://host/").await.unwrap();
    let base = format!("https://host/blobs/{}/", workspace(&store));
    assert_eq!(joined.base_location, base);
    assert_eq!(joined.relative_location, "results/%C3%A4%20b.csv");
    assert!(joined.sas_blob_token.starts_with("?sv="));
    assert!(!format!("{joined:?}").contains("sig="));

    // No host is allowed here; this one is not asked.
    let three = BlobReference {
        base_location: Some(joined.base_location.clone()),
        relative_location: Some(joined.relative_location.clone()),
        sas_blob_token: Some(joined.sas_blob_token.clone()),
        connection_string: None,
    };
    let one = relative(&format!(
        "{}{}{}",
        joined.base_location, joined.relative_location, joined.sas_blob_token
    ));
    let connected = BlobReference {
        connection_string: Some(format!(
            "BlobEndpoint={};SharedAccessSignature={}",
            joined.base_location,
            joined.sas_blob_token.trim_start_matches('?')
        )),
        ..relative("results/ä b.csv")
    };
    for reference in [&three, &one, &connected] {
        let purpose = Purpose::Input("in");
        let back = storage
            .resolve(reference, workspace(&store), purpose)
            .unwrap();
        assert!(back == at && back.is_own());
        let fault = storage
            .resolve(reference, Id::random(), purpose)
            .unwrap_err();
        assert!(
            fault.is(&faults::rows::BadArgument::InvalidBlob),
            "{fault:?}"
        );
    }
    // One that was changed is any host's.
    let changed = BlobReference {
        sas_blob_token: Some(joined.sas_blob_token.replace("sp=r", "sp=rw")),
        ..three
    };
    let purpose = Purpose::Input("in");
    let fault = storage
        .resolve(&changed, workspace(&store), purpose)
        .unwrap_err();
    assert!(fault.is(&faults::rows::BadArgument::InvalidBlob));
}

#[tokio::test]
async fn what_is_wrong_is_said_in_storages_words() {
    let dir = tempfile::tempdir().unwrap();
    let (storage, store) = open(dir.path());
    let at = output(&storage, &store, "results/out.csv");
    let failure = storage.open(&at).await.unwrap_err();
    assert_eq!(failure.code.as_deref(), Some("ContainerNotFound"));
    let fault = failure.into_fault(Purpose::Input("in"), &at);
    assert!(fault.is(&faults::rows::BadArgument::BlobNotFound));

    store.blobs.set_limit(10);
    let bytes = Bytes::from_static(&[0; 11]);
    let failure = storage.put(&at, "text/csv", bytes).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Full);
    let fault = failure.into_fault(Purpose::Output("out"), &at);
    assert!(fault.is(&faults::rows::InternalError::ContainerValidationFailed));
    let staging = storage.begin(&at, "text/csv").await.unwrap();
    let part = staging.part_file(0, 1).unwrap().unwrap();
    part.file.write_all_at(&[0; 11], 0).unwrap();
    let full = tokio::task::spawn_blocking(|| part.finish()).await.unwrap();
    assert_eq!(full.unwrap_err().kind(), std::io::ErrorKind::StorageFull);
    assert_eq!(store.blobs.used(), 0);

    // A workspace that is gone has no blob containers.
    let nowhere = storage.default_output(Id::random(), "experimentoutput/a/b.csv");
    let failure = storage.begin(&nowhere, "text/csv").await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::NotFound);
}
