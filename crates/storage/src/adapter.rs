//! What a kind of storage has to offer. One value is for one location.
//!
//! To add a kind: a variant of `location::Place`, a step in `resolve` that makes it, a line in
//! `Storage::adapter`, and a file that implements [`Adapter`]. The conformance suite
//! (`tests/conformance/`) says what each must do.

use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;

use crate::{Failure, FailureKind, Joined, Source, Staging};

/// What an adapter's methods give: they are boxed, since the trait is used as an object.
pub(crate) type Doing<'a, T> = BoxFuture<'a, Result<T, Failure>>;

/// One blob in some kind of storage. The methods are those of [`crate::Storage`].
pub(crate) trait Adapter: Send + Sync {
    fn open(&self) -> Doing<'_, Source>;

    fn probe(&self) -> Doing<'_, ()>;

    fn begin<'a>(&'a self, content_type: &'a str) -> Doing<'a, Staging>;

    fn resume<'a>(&'a self, token: &'a str) -> Doing<'a, Staging>;

    fn put<'a>(&'a self, content_type: &'a str, bytes: Bytes) -> Doing<'a, ()>;

    fn delete(&self) -> Doing<'_, ()>;

    fn signed<'a>(&'a self, ttl: Duration, public_url: &'a str) -> Doing<'a, Joined>;

    fn create_container(&self) -> Doing<'_, ()> {
        let text = "blob containers of this kind of storage are not made from here";
        Box::pin(async move { Err(Failure::new(FailureKind::Refused, text)) })
    }
}
