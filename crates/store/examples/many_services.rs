//! Makes a data directory with many services, for measurements: `bench/services` runs it.
//!
//! `cargo run --release -p store --example many_services -- DIR COUNT DEFINITION`
//!
//! DEFINITION is a file with the `properties` of a web service that names no blob. The services are
//! called `service-00000` and so on; the primary key of number N is `key-N`. Prints a JSON object
//! with the id of the workspace and the ids of the endpoints, in the services' order.

use std::path::Path;

use store::{DEFAULT_RESOURCE_GROUP, DEFAULT_SUBSCRIPTION, Id, ResourceName, ServiceWrite, Store};

type Failed = Box<dyn std::error::Error>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failed> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [dir, count, definition] = arguments.as_slice() else {
        return Err("usage: many_services DIR COUNT DEFINITION".into());
    };
    let count: usize = count.parse()?;
    let definition = std::fs::read_to_string(definition)?;
    let store = Store::open(Path::new(dir), None).map_err(|f| f.name())?;
    let workspace = store
        .ledger
        .directory()
        .default_workspace()
        .map(|workspace| workspace.id)
        .ok_or("no default workspace")?;
    let mut endpoints = Vec::with_capacity(count);
    for number in 0..count {
        let write = ServiceWrite {
            service: Id::random(),
            endpoint: Id::random(),
            revision: Id::random(),
            expected: None,
            name: ResourceName {
                subscription: DEFAULT_SUBSCRIPTION.into(),
                resource_group: DEFAULT_RESOURCE_GROUP.into(),
                name: format!("service-{number:05}"),
            },
            location: "South Central US".into(),
            tags: "{}".into(),
            workspace,
            read_only: false,
            max_concurrent_calls: 200,
            keys: Some([format!("key-{number}"), format!("other-{number}")]),
            definition: definition.clone(),
            secrets: None,
            resources: Vec::new(),
            plan: None,
        };
        endpoints.push(write.endpoint.to_string());
        store
            .ledger
            .put_service(write, "measurement")
            .await
            .map_err(|f| format!("{}: {}", f.name(), f.cause().unwrap_or_default()))?;
    }
    println!("{{\"workspace\": \"{workspace}\", \"endpoints\": {endpoints:?}}}");
    Ok(())
}
