//! Where the writer puts blobs, as far as it has to know.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use faults::Fault;
use store::Entry;

use crate::Kind;

/// A future that does not say what it is made of.
pub type Boxed<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Finds where an endpoint's diagnostics go.
pub trait Destinations: Send + Sync {
    /// Where the diagnostics of an endpoint go, as it is now.
    ///
    /// # Errors
    /// What the ledger, or the service's description of its storage, fails with.
    fn of(&self, entry: Arc<Entry>) -> Boxed<Result<Arc<dyn Destination>, Fault>>;
}

/// One place that blobs are put to.
pub trait Destination: Send + Sync {
    /// Names the storage behind it: what has the same storage fails together, and waits together
    /// until it is tried again.
    fn storage(&self) -> &str;

    /// What the names of blobs of that kind begin with, without a slash at its end.
    fn prefix(&self, kind: Kind) -> &str;

    /// Writes a blob.
    ///
    /// # Errors
    /// Whether another try can help, and the reason, in words that hold no secret.
    fn put(&self, name: String, content: Bytes) -> Boxed<Result<(), NotWritten>>;

    /// Reads a blob back; `None` where there is none.
    ///
    /// # Errors
    /// The reason, in words that hold no secret.
    fn get(&self, name: String) -> Boxed<Result<Option<Bytes>, String>>;
}

/// Why a blob was not written.
#[derive(Debug, Clone)]
pub struct NotWritten {
    /// Whether the same may succeed later.
    pub transient: bool,
    /// The reason, without secrets.
    pub reason: String,
}
