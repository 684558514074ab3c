//! What is kept on this machine: the workspaces' own blob containers, and files below a root.

use std::sync::Arc;
use std::time::Duration;

use storage::{BlobReference, Options, Storage};
use store::{ResourceName, Store};

use crate::cases;
use crate::place::{Place, WORKSPACE, outbound, patient};

fn relative(relative: String) -> BlobReference {
    BlobReference {
        relative_location: Some(relative),
        ..BlobReference::default()
    }
}

#[tokio::test]
async fn the_workspaces_own_blob_containers() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(Store::open(folder.path(), None).unwrap());
    let name = ResourceName {
        subscription: store::DEFAULT_SUBSCRIPTION.into(),
        resource_group: store::DEFAULT_RESOURCE_GROUP.into(),
        name: "own".into(),
    };
    let made = store.ledger.create_workspace(WORKSPACE, name, "test");
    made.await.unwrap();
    let outbound = outbound(0, Duration::from_secs(10));
    let place = Place {
        storage: Storage::new(Options::default(), outbound, store.clone()),
        blob: Box::new(|name| relative(format!("own-container/in/{name}"))),
        // What is written makes the blob container.
        stray: None,
        no_blob: ("", "the blob does not exist"),
        no_container: ("", ""),
        keeps_metadata: true,
        part: 70_000,
        remembers: true,
        _store: folder,
    };
    cases::unsigned(&place).await;
    // Nothing is left but the blobs: no block, no file.
    store.sweep().unwrap();
    let page = store.list_blobs(WORKSPACE, "own-container", "", None, 1000);
    let bytes: u64 = page.await.unwrap().blobs.iter().map(|b| b.size).sum();
    assert_eq!(store.blobs.used(), bytes);
}

#[tokio::test]
async fn files_below_a_root() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().canonicalize().unwrap().display().to_string();
    let (storage, folder) = patient(Options {
        roots: vec![format!("file://{path}").parse().unwrap()],
        ..Options::default()
    });
    cases::unsigned(&Place {
        storage,
        blob: Box::new(move |name| relative(format!("file://{path}/in/{name}"))),
        stray: None,
        no_blob: ("", "there is no such file"),
        no_container: ("", ""),
        keeps_metadata: true,
        part: 70_000,
        remembers: false,
        _store: folder,
    })
    .await;
    let mut folders = vec![root.path().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            assert!(!name.starts_with(".umpire-"), "{name} is left");
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
            }
        }
    }
}
