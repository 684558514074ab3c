//! `file://`: nothing leads out of the root, and a file has its name whole or not at all.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use outbound::Outbound;
use storage::{BlobReference, FailureKind, Location, Options, Purpose, Storage};
use store::{Id, Store};

const CSV: &str = "text/csv";

struct Fixture {
    storage: Storage,
    /// In it the folder `root`, which is allowed.
    dir: tempfile::TempDir,
    root: String,
    _data: tempfile::TempDir,
}

fn fixture() -> Fixture {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("root")).unwrap();
    let root = dir
        .path()
        .canonicalize()
        .unwrap()
        .join("root")
        .display()
        .to_string();
    let data = tempfile::tempdir().unwrap();
    let store = Arc::new(Store::open(data.path(), None).unwrap());
    let options = Options {
        roots: vec![format!("file://{root}").parse().unwrap()],
        ..Options::default()
    };
    let outbound = Outbound::new(outbound::Options::default()).unwrap();
    Fixture {
        storage: Storage::new(options, outbound, store),
        dir,
        root,
        _data: data,
    }
}

impl Fixture {
    fn resolve(&self, url: &str) -> Result<Location, faults::Fault> {
        let reference = BlobReference {
            relative_location: Some(url.into()),
            ..BlobReference::default()
        };
        self.storage
            .resolve(&reference, Id::random(), Purpose::Input("in"))
    }

    fn at(&self, below: &str) -> Location {
        self.resolve(&format!("file://{}/{below}", self.root))
            .unwrap()
    }

    async fn read(&self, below: &str) -> Result<Bytes, FailureKind> {
        let opened = self.storage.open(&self.at(below)).await;
        let source = opened.map_err(|failure| failure.kind)?;
        let read = source
            .read(0..u64::MAX)
            .await
            .map_err(|failure| failure.kind)?;
        read.whole().await.map_err(|failure| failure.kind)
    }
}

/// All below a folder, by path.
fn tree(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let entry = entry.unwrap();
            let path = entry.path();
            found.push(path.strip_prefix(folder).unwrap().display().to_string());
            if entry.file_type().unwrap().is_dir() {
                folders.push(path);
            }
        }
    }
    found.sort();
    found
}

#[tokio::test]
async fn nothing_leads_out_of_the_root() {
    let f = fixture();
    let root = Path::new(&f.root);
    fs::write(f.dir.path().join("secret.csv"), b"secret").unwrap();
    fs::create_dir(f.dir.path().join("outside")).unwrap();
    fs::write(f.dir.path().join("outside/secret.csv"), b"secret").unwrap();
    symlink("../secret.csv", root.join("link.csv")).unwrap();
    symlink("../outside", root.join("folder")).unwrap();
    symlink("/", root.join("slash")).unwrap();
    fs::create_dir(root.join("real")).unwrap();
    let bytes = || Bytes::from_static(b"x");
    for below in ["link.csv", "folder/secret.csv", "slash/etc/passwd.csv"] {
        let at = f.at(below);
        assert!(f.read(below).await.is_err(), "{below}");
        if below != "link.csv" {
            assert!(f.storage.put(&at, CSV, bytes()).await.is_err(), "{below}");
            assert!(f.storage.begin(&at, CSV).await.is_err(), "{below}");
            assert!(f.storage.delete(&at).await.is_err(), "{below}");
            assert!(f.storage.probe(&at).await.is_err(), "{below}");
        }
    }
    // A link that is written over is itself replaced, not what it leads to.
    f.storage
        .put(&f.at("link.csv"), CSV, bytes())
        .await
        .unwrap();
    assert_eq!(f.read("link.csv").await.unwrap(), "x");
    for secret in ["secret.csv", "outside/secret.csv"] {
        assert_eq!(fs::read(f.dir.path().join(secret)).unwrap(), b"secret");
    }
    let names = [
        "../secret.csv",
        "real/../../secret.csv",
        "./a.csv",
        "a//b.csv",
    ];
    for below in names {
        let url = format!("file://{}/{below}", f.root);
        assert!(f.resolve(&url).is_err(), "{below}");
    }
    let beside = format!("file://{}-beside/a.csv", f.root);
    for url in ["file:///etc/passwd.csv", &beside, "file://host/a.csv"] {
        let fault = f.resolve(url).unwrap_err();
        assert!(fault.is(&faults::rows::BadArgument::InvalidBlob), "{url}");
    }
    assert_eq!(tree(&f.dir.path().join("outside")), ["secret.csv"]);
}

#[tokio::test]
async fn what_is_no_file_is_not_read() {
    let f = fixture();
    let root = Path::new(&f.root);
    fs::create_dir(root.join("folder.csv")).unwrap();
    assert_eq!(f.read("folder.csv").await, Err(FailureKind::BadName));
    // A pipe that nobody writes to would be waited for.
    let made = std::process::Command::new("mkfifo")
        .arg(root.join("pipe.csv"))
        .status();
    if made.is_ok_and(|status| status.success()) {
        assert_eq!(f.read("pipe.csv").await, Err(FailureKind::BadName));
    }
    assert_eq!(f.read("none/a.csv").await, Err(FailureKind::NotFound));
}

#[tokio::test]
async fn a_file_that_is_written_to_while_it_is_read_is_told() {
    let f = fixture();
    let path = Path::new(&f.root).join("a.csv");
    fs::write(&path, b"before").unwrap();
    let source = f.storage.open(&f.at("a.csv")).await.unwrap();
    let mut file = fs::OpenOptions::new().append(true).open(&path).unwrap();
    file.write_all(b" and after").unwrap();
    let read = source.read(0..6).await.unwrap().whole().await;
    assert_eq!(read.unwrap_err().kind, FailureKind::Changed);
    assert!(source.pieces(0..6).unwrap().is_err());
}

#[tokio::test]
async fn parts_stand_beside_the_file_and_go() {
    let f = fixture();
    let root = Path::new(&f.root);
    let at = f.at("deep/er/out.csv");
    f.storage.probe(&at).await.unwrap();
    assert!(tree(root).is_empty(), "a probe leaves nothing");
    let staging = f.storage.begin(&at, CSV).await.unwrap();
    let one = staging
        .stage(0, 1, Bytes::from_static(b"one,"))
        .await
        .unwrap();
    let file = staging.part_file(1, 1).unwrap().unwrap();
    let mut writer = file.file.try_clone().unwrap();
    writer.write_all(b"two").unwrap();
    let two = file.finish().unwrap();
    drop(staging.part_file(2, 1).unwrap().unwrap());
    assert!(!tree(root).contains(&"deep/er/out.csv".to_owned()));
    let parts = [one, two];
    staging.commit(&parts).await.unwrap();
    assert_eq!(tree(root), ["deep", "deep/er", "deep/er/out.csv"]);
    assert_eq!(f.read("deep/er/out.csv").await.unwrap(), "one,two");
    staging.commit(&parts).await.unwrap();
    staging.abort().await.unwrap();
    assert_eq!(tree(root), ["deep", "deep/er", "deep/er/out.csv"]);

    let staging = f.storage.begin(&at, CSV).await.unwrap();
    staging
        .stage(0, 1, Bytes::from_static(b"given up"))
        .await
        .unwrap();
    assert_eq!(f.read("deep/er/out.csv").await.unwrap(), "one,two");
    staging.abort().await.unwrap();
    assert_eq!(tree(root), ["deep", "deep/er", "deep/er/out.csv"]);
}

/// A crash between the steps of a commit: it is said again.
#[tokio::test]
async fn a_commit_that_was_cut_off_is_made_again() {
    let f = fixture();
    let root = Path::new(&f.root);
    let at = f.at("out.csv");
    let staging = f.storage.begin(&at, CSV).await.unwrap();
    let one = staging
        .stage(0, 1, Bytes::from_static(b"one,"))
        .await
        .unwrap();
    let two = staging
        .stage(1, 1, Bytes::from_static(b"two"))
        .await
        .unwrap();
    let parts = [one, two];
    let folder = fs::read_dir(root).unwrap().next().unwrap().unwrap().path();
    // While the whole was written.
    fs::write(folder.join("whole"), b"one,t").unwrap();
    let token = staging.token();
    drop(staging);
    let staging = f.storage.resume(&at, &token).await.unwrap();
    staging.commit(&parts).await.unwrap();
    assert_eq!(f.read("out.csv").await.unwrap(), "one,two");
    // After the file had its name, while the parts were removed.
    let done = folder.with_extension("done");
    fs::create_dir(&done).unwrap();
    fs::write(done.join("0000000000-0000000001"), b"one,").unwrap();
    let staging = f.storage.resume(&at, &token).await.unwrap();
    staging.commit(&parts).await.unwrap();
    assert_eq!(f.read("out.csv").await.unwrap(), "one,two");
    assert_eq!(tree(root), ["out.csv"]);
    // Another's file is not taken for ours.
    fs::write(root.join("out.csv"), b"another's").unwrap();
    assert!(staging.commit(&parts).await.is_err());
    assert_eq!(f.read("out.csv").await.unwrap(), "another's");
}
