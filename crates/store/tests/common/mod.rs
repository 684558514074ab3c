//! What the store's tests share.

use bytes::Bytes;
use faults::Fault;
use store::{Id, ResourceName, ServiceWrite, Sha256, Store};

/// A name in the default subscription and group.
#[allow(dead_code)]
pub fn named(name: &str) -> ResourceName {
    ResourceName {
        subscription: store::DEFAULT_SUBSCRIPTION.into(),
        resource_group: store::DEFAULT_RESOURCE_GROUP.into(),
        name: name.into(),
    }
}

/// A write that makes a service of that name in the default workspace.
pub fn new_service(store: &Store, name: &str) -> ServiceWrite {
    let workspace = store.ledger.directory().default_workspace().unwrap().id;
    ServiceWrite {
        service: Id::random(),
        endpoint: Id::random(),
        revision: Id::random(),
        expected: None,
        name: named(name),
        location: "South Central US".into(),
        tags: "{}".into(),
        workspace,
        read_only: false,
        max_concurrent_calls: 20,
        keys: None,
        definition: r#"{"title":"first"}"#.into(),
        secrets: None,
        resources: Vec::new(),
        plan: None,
    }
}

/// The write that gives the service a further revision.
#[allow(dead_code)]
pub fn next_revision(store: &Store, before: &store::Entry, definition: &str) -> ServiceWrite {
    ServiceWrite {
        service: before.service,
        endpoint: before.endpoint,
        revision: Id::random(),
        expected: Some(before.version),
        definition: definition.into(),
        ..new_service(store, &before.service_name.name)
    }
}

/// Stores bytes as a blob.
#[allow(dead_code)]
pub async fn put_blob(store: &Store, content: &[u8]) -> Result<Sha256, Fault> {
    let sha256 = Sha256::of(content);
    let mut upload = store.blobs.begin(sha256, u64::MAX)?;
    upload.write(&Bytes::copy_from_slice(content)).await?;
    upload.finish().await?;
    Ok(sha256)
}
