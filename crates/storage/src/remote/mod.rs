//! Storage that is reached over the network, through `object_store` and our own connector.

mod azure;
mod bucket;
mod connector;
mod reading;
mod rest;
mod web;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use outbound::Outbound;

pub(crate) use azure::{AzureBlob, adapter as azure};
pub(crate) use bucket::{gcs, s3};
pub(crate) use web::{WebPage, adapter as web};

use bucket::Bucket;

/// What the adapters share.
#[derive(Debug)]
pub(crate) struct Clouds {
    outbound: Outbound,
    /// Buckets that were opened with this installation's own credentials: tokens that those were
    /// exchanged for are kept with them.
    buckets: Mutex<HashMap<String, Arc<Bucket>>>,
}

impl Clouds {
    pub(crate) fn new(outbound: Outbound) -> Clouds {
        Clouds {
            outbound,
            buckets: Mutex::default(),
        }
    }

    /// The bucket of a name, opened once.
    fn bucket(
        &self,
        name: &str,
        open: impl FnOnce() -> Result<Bucket, crate::Failure>,
    ) -> Result<Arc<Bucket>, crate::Failure> {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bucket) = buckets.get(name) {
            return Ok(bucket.clone());
        }
        let bucket = Arc::new(open()?);
        buckets.insert(name.to_owned(), bucket.clone());
        Ok(bucket)
    }
}
