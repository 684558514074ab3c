//! On a full disk writes fail whole, reads go on, and writes work again when there is space.
//!
//! Needs a small file system of its own, which only root can mount; elsewhere the test says that
//! it was skipped.

mod common;

use std::path::Path;
use std::process::Command;

use common::{new_service, next_revision, put_blob};
use faults::rows;
use store::{BlobAt, BlobProblem, Condition, ServiceWrite, Store};

struct Mounted<'a>(&'a Path);

impl<'a> Mounted<'a> {
    fn tmpfs(path: &'a Path, size: &str) -> Option<Mounted<'a>> {
        let status = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "umpire-test"])
            .arg(path)
            .stderr(std::process::Stdio::null())
            .status();
        status.is_ok_and(|s| s.success()).then_some(Mounted(path))
    }
}

impl Drop for Mounted<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0).status();
    }
}

fn fill(path: &Path) {
    use std::io::Write as _;
    let mut file = std::fs::File::create(path).unwrap();
    let page = [0u8; 4096];
    while file.write_all(&page).is_ok() {}
    // What is left of the last page.
    while file.write_all(&[0]).is_ok() {}
}

#[tokio::test]
async fn a_full_disk_leaves_nothing_half_written() {
    let dir = tempfile::tempdir().unwrap();
    let Some(_mounted) = Mounted::tmpfs(dir.path(), "8m") else {
        println!("skipped: this user may not mount a tmpfs");
        return;
    };
    let data = dir.path().join("data");
    let store = Store::open(&data, None).unwrap();
    let made = store
        .ledger
        .put_service(new_service(&store, "a"), "test")
        .await
        .unwrap();
    let stuffing = dir.path().join("stuffing");
    fill(&stuffing);

    let big = "x".repeat(200_000);
    let change = store.ledger.directory().change();
    let mut fresh = new_service(&store, "b");
    fresh.definition.clone_from(&big);
    let fault = store.ledger.put_service(fresh, "test").await.unwrap_err();
    assert!(
        fault.is(&rows::InternalError::FailedStoringWebService),
        "{}",
        fault.name()
    );
    assert!(
        fault.cause().unwrap().contains("full"),
        "{:?}",
        fault.cause()
    );
    let again = next_revision(&store, &made, &big);
    let fault = store.ledger.put_service(again, "test").await.unwrap_err();
    assert!(fault.is(&rows::InternalError::FailedStoringWebService));
    let fault = put_blob(&store, &[1; 100_000]).await.unwrap_err();
    assert!(fault.is(&rows::InternalError::FailedStoringWebService));
    let incoming = std::fs::read_dir(data.join("blobs/incoming")).unwrap();
    assert_eq!(incoming.count(), 0);

    assert_eq!(store.ledger.directory().change(), change);
    assert_eq!(store.ledger.revisions(made.service).await.unwrap().len(), 1);
    assert_eq!(store.ledger.keys(made.endpoint).await.unwrap()[0].len(), 88);

    std::fs::remove_file(&stuffing).unwrap();
    let blob = put_blob(&store, &[1; 100_000]).await.unwrap();
    let again = ServiceWrite {
        resources: vec![("model".into(), blob)],
        ..next_revision(&store, &made, &big)
    };
    let after = store.ledger.put_service(again, "test").await.unwrap();
    assert_eq!(after.revision_number, 2);
    drop(store);

    let store = Store::open(&data, None).unwrap();
    let revision = store.ledger.revision(after.revision).await.unwrap();
    assert_eq!(revision.definition, big);
    assert_eq!(store.ledger.directory().services().count(), 1);
}

#[tokio::test]
async fn a_full_disk_takes_no_blob_of_a_workspace_and_leaves_those_there() {
    let dir = tempfile::tempdir().unwrap();
    let Some(_mounted) = Mounted::tmpfs(dir.path(), "8m") else {
        println!("skipped: this user may not mount a tmpfs");
        return;
    };
    let data = dir.path().join("data");
    let store = Store::open(&data, None).unwrap();
    let workspace = store.ledger.directory().default_workspace().unwrap().id;
    let at = BlobAt::new(workspace, "results", "out.csv").unwrap();
    let any = Condition::default;
    let received = async |content: &'static [u8]| {
        let mut object = store.receive_object(u64::MAX).await?;
        object.write(&bytes::Bytes::from_static(content)).await?;
        object.sync().await
    };
    let before = received(b"before").await.unwrap();
    store
        .put_whole_blob(&at, "text/csv", before, any())
        .await
        .unwrap();
    let files = || {
        let folders = std::fs::read_dir(data.join("objects")).unwrap();
        folders
            .map(|folder| std::fs::read_dir(folder.unwrap().path()).unwrap().count())
            .sum::<usize>()
    };
    let upload = store.begin_blob_upload(&at).await.unwrap();
    let stuffing = dir.path().join("stuffing");
    fill(&stuffing);

    let is_full = |problem: &BlobProblem| match problem {
        BlobProblem::Full(fault) => fault.is(&rows::InternalError::ContainerValidationFailed),
        _ => false,
    };
    let refused = received(&[1; 100_000]).await.unwrap_err();
    assert!(is_full(&refused), "{refused:?}");
    // By whoever writes the file himself.
    if let Ok(own) = store.new_object() {
        let written = std::io::Write::write_all(&mut own.file(), &[1; 100_000]);
        assert!(written.is_err());
    }
    assert_eq!((files(), store.blobs.used()), (1, 6), "nothing is left");
    assert_eq!(store.open_blob(&at).await.unwrap().info().size, 6);

    std::fs::remove_file(&stuffing).unwrap();
    let block = received(&[1; 100_000]).await.unwrap();
    store.stage_block(upload, "1", block).await.unwrap();
    let list = ["1".to_owned()];
    store
        .commit_blob_upload(upload, &list, "text/csv")
        .await
        .unwrap();
    drop(store);
    let store = Store::open(&data, None).unwrap();
    assert_eq!(store.open_blob(&at).await.unwrap().info().size, 100_000);
    assert_eq!((files(), store.blobs.used()), (1, 100_000));
}
