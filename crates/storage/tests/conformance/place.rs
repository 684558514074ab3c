//! A kind of storage under test.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use outbound::Outbound;
use storage::{BlobReference, ByteStream, Failure, Location, Options, Purpose, Source, Storage};
use store::{Id, Store};

pub const WORKSPACE: Id = Id([7; 16]);

/// A kind of storage, with an empty blob container in it.
pub struct Place {
    pub storage: Storage,
    /// A reference to a blob of this name.
    pub blob: Box<dyn Fn(&str) -> BlobReference>,
    /// A reference into a blob container that is not there; `None` where there is no such thing.
    pub stray: Option<BlobReference>,
    /// What is said when a blob is missing.
    pub no_blob: (&'static str, &'static str),
    /// What is said when the blob container is missing.
    pub no_container: (&'static str, &'static str),
    /// Whether an empty blob can be committed twice: moto does not keep Google's metadata.
    pub keeps_metadata: bool,
    /// The fewest bytes of a part.
    pub part: usize,
    /// Whether it knows a commit again that another has written over.
    pub remembers: bool,
    /// Kept until the end.
    pub _store: tempfile::TempDir,
}

impl Place {
    pub fn at(&self, blob: &str) -> Location {
        locate(&self.storage, &(self.blob)(blob))
    }

    pub async fn content(&self, at: &Location) -> Bytes {
        let source = self.storage.open(at).await.unwrap();
        let content = source.read(0..u64::MAX).await.unwrap().whole().await;
        content.unwrap()
    }
}

pub fn locate(storage: &Storage, reference: &BlobReference) -> Location {
    let at = storage.resolve(reference, WORKSPACE, Purpose::Record);
    at.unwrap_or_else(|fault| panic!("{reference:?}: {fault:?}"))
}

/// A client that reaches this machine and tries again `retries` times.
pub fn outbound(retries: usize, timeout: Duration) -> Outbound {
    Outbound::new(outbound::Options {
        allow: vec!["http://127.0.0.1".parse().unwrap()],
        retries,
        timeout,
        ..outbound::Options::default()
    })
    .unwrap()
}

pub fn storage(options: Options, outbound: Outbound) -> (Storage, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path(), None).unwrap();
    (Storage::new(options, outbound, Arc::new(store)), folder)
}

/// Storage that waits ten seconds and tries again twice.
pub fn patient(options: Options) -> (Storage, tempfile::TempDir) {
    storage(options, outbound(2, Duration::from_secs(10)))
}

/// Bytes that differ from place to place and from seed to seed.
pub fn pattern(size: usize, seed: u32) -> Bytes {
    let mut state = seed.wrapping_mul(2_654_435_761) | 1;
    let mut bytes = Vec::with_capacity(size);
    while bytes.len() < size {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(size);
    bytes.into()
}

/// Opening and reading all of it, whichever fails.
pub async fn read(storage: &Storage, at: &Location) -> Result<Bytes, Failure> {
    let source: Source = storage.open(at).await?;
    let stream: ByteStream = source.read(0..u64::MAX).await?;
    stream.whole().await
}

/// That the failure carries the service's own code and sentence.
pub fn says(failure: &Failure, (code, sentence): (&str, &str)) {
    let told = failure.code.as_deref() == Some(code) || code.is_empty();
    assert!(told && failure.text.contains(code), "{failure:?}");
    assert!(failure.text.contains(sentence), "{failure:?}");
    assert!(!failure.transient, "{failure:?}");
}
