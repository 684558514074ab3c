//! A host over the real test container, and the calls that its module understands.
#![allow(dead_code)]

pub mod batch;

use std::collections::HashMap;
use std::fs::File;
use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use containers::{
    Call, Cgroups, FormWire, Host, HostOptions, Operation, PoolLimits, RevisionFiles,
    RevisionSource,
};
use faults::Fault;
use serde_json::{Value, json};
use telemetry::Telemetry;

/// Far longer than anything takes that works.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// An endpoint's revisions, as the ledger would have them.
#[derive(Default)]
pub struct Source(Mutex<HashMap<Key, Stored>>);

/// An endpoint and a revision.
type Key = ([u8; 16], [u8; 16]);

/// One revision's package and limits.
#[derive(Clone)]
pub struct Stored {
    pub package: Vec<u8>,
    pub resources: Vec<(String, Vec<u8>, [u8; 32])>,
    pub limits: PoolLimits,
}

impl Stored {
    pub fn files(&self, revision: [u8; 16]) -> RevisionFiles {
        let resources = self.resources.iter().map(|(asset, bytes, sha256)| {
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(bytes).unwrap();
            let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&file));
            (asset.clone(), File::open(path).unwrap(), *sha256)
        });
        RevisionFiles {
            revision,
            package: self.package.clone(),
            resources: resources.collect(),
            limits: self.limits,
        }
    }
}

impl RevisionSource for Source {
    fn open(&self, endpoint: [u8; 16], revision: [u8; 16]) -> Result<RevisionFiles, Fault> {
        let stored = self.0.lock().unwrap().get(&(endpoint, revision)).cloned();
        match stored {
            Some(stored) => Ok(stored.files(revision)),
            None => Err(faults::not_found::web_service_not_found()),
        }
    }
}

/// A package whose module does `on_load` when it is loaded.
pub fn package(on_load: &str) -> Value {
    let port = |name: &str, columns: Value| json!({"type": "object", "properties": {name: {"type": "object", "properties": columns}}});
    json!({
        "packageType": "Graph",
        "assets": {
            "act": {"name": "Act", "type": "Module", "locationInfo": {
                "uri": "aml://module/506153734175476c4f62416c57734963.000000000000000000000000000000ac.v1",
            }},
        },
        "input": port("input1", json!({"do": {"type": "String"}})),
        "output": port("output1", json!({"said": {"type": "String"}})),
        "package": {
            "nodes": {
                "in": {"inputId": "input1"},
                "act": {"assetId": "act", "parameters": {"On load": {"value": on_load}}},
                "out": {"outputId": "output1"},
            },
            "edges": [
                {"sourceNodeId": "in", "targetNodeId": "act", "targetPortId": "Dataset"},
                {"sourceNodeId": "act", "sourcePortId": "Results", "targetNodeId": "out"},
            ],
            "graphParameters": {},
        },
    })
}

/// The same with a resource that the module is given as its model.
pub fn package_with_model() -> Value {
    let mut package = package("echo");
    package["assets"]["model"] = json!({
        "name": "M", "type": "Resource", "locationInfo": {"uri": "umpire:sha256:0"},
        "outputPorts": {"Results": {"type": "Dataset"}},
    });
    package["package"]["nodes"]["model"] = json!({"assetId": "model"});
    let edges = package["package"]["edges"].as_array_mut().unwrap();
    edges.push(json!({"sourceNodeId": "model", "sourcePortId": "Results",
                      "targetNodeId": "act", "targetPortId": "Model"}));
    package
}

pub fn stored(package: &Value) -> Stored {
    Stored {
        package: serde_json::to_vec(package).unwrap(),
        resources: Vec::new(),
        limits: PoolLimits::default(),
    }
}

/// A host, its source of revisions and its telemetry.
#[derive(Clone)]
pub struct Bench {
    pub host: Host,
    pub source: Arc<Source>,
    pub telemetry: Telemetry,
}

pub const TEST_CONTAINER: &str = env!("CARGO_BIN_EXE_test-container");

/// Options with the test container, without control groups, patient but for what a test sets.
pub fn options() -> HostOptions {
    HostOptions {
        command: vec![TEST_CONTAINER.into()],
        cgroups: Cgroups::Off,
        memory_quota_mb: 256,
        start_wait: PATIENCE,
        compute_threads: 2,
        min_free_memory_mb: 0,
        silent_after: PATIENCE,
        ..HostOptions::default()
    }
}

impl Bench {
    pub fn new(options: HostOptions) -> Bench {
        let source = Arc::new(Source::default());
        let telemetry = Telemetry::new();
        let host = Host::start(options, source.clone(), telemetry.clone()).unwrap();
        Bench {
            host,
            source,
            telemetry,
        }
    }

    /// Stores revision 1 of an endpoint.
    pub fn store(&self, endpoint: u8, stored: Stored) {
        self.store_revision(endpoint, 1, stored);
    }

    pub fn store_revision(&self, endpoint: u8, revision: u8, stored: Stored) {
        let key = ([endpoint; 16], [revision; 16]);
        self.source.0.lock().unwrap().insert(key, stored);
    }

    /// Deletes revision 1 of an endpoint from the source alone.
    pub fn remove(&self, endpoint: u8) {
        let key = ([endpoint; 16], [1; 16]);
        self.source.0.lock().unwrap().remove(&key);
    }

    /// A bench with an ordinary service as endpoint 1.
    pub fn with_service(options: HostOptions) -> Bench {
        let bench = Bench::new(options);
        bench.store(1, stored(&package("echo")));
        bench
    }

    pub async fn call_revision(
        &self,
        endpoint: u8,
        revision: u8,
        action: &str,
        budget: Duration,
    ) -> Result<String, Fault> {
        let call = call(action, budget);
        let label = format!("service{endpoint}/default");
        let (endpoint, revision) = ([endpoint; 16], [revision; 16]);
        let answer = match self.host.call(endpoint, revision, &label, call).await {
            Ok(answer) => answer,
            Err(fault) => {
                // Shown only where the test fails.
                println!("{action}: {} ({:?})", fault.name(), fault.cause());
                for note in self.telemetry.notes(endpoint, 50) {
                    println!("  {}: {}", note.level.name(), note.text);
                }
                return Err(fault);
            }
        };
        let answer: Value = serde_json::from_slice(&answer).unwrap();
        let rows = &answer["Results"]["output1"]["value"]["Values"];
        Ok(rows[0][0].as_str().unwrap().to_owned())
    }

    pub async fn call(&self, endpoint: u8, action: &str) -> Result<String, Fault> {
        self.call_revision(endpoint, 1, action, PATIENCE).await
    }

    /// The value of a counter without labels.
    pub fn counter(&self, name: &str) -> u64 {
        let text = self.telemetry.encode_metrics();
        let line = text
            .lines()
            .find_map(|l| l.strip_prefix(&format!("{name} ")));
        line.and_then(|count| count.parse().ok()).unwrap_or(0)
    }

    /// The value of a gauge without labels.
    pub fn gauge(&self, name: &str) -> u64 {
        self.counter(name)
    }

    /// Calls that a container was given and that are waited for.
    pub fn calls_in_containers(&self) -> usize {
        let pools = self.host.status();
        pools
            .iter()
            .flat_map(|p| p.containers.iter().map(|c| c.calls))
            .sum()
    }

    /// Whether a line about an endpoint has this text.
    pub fn noted(&self, endpoint: u8, text: &str) -> bool {
        let notes = self.telemetry.notes([endpoint; 16], usize::MAX);
        notes.iter().any(|note| note.text.contains(text))
    }

    /// How many of these have begun.
    pub fn begun(&self) -> usize {
        let pools = self.host.status();
        pools
            .iter()
            .flat_map(|p| p.containers.iter().map(|c| c.begun))
            .sum()
    }

    /// What went wrong, as `Class.Code`.
    pub async fn fails(&self, endpoint: u8, action: &str) -> String {
        self.call(endpoint, action).await.unwrap_err().name()
    }

    /// The process ids of all containers.
    pub fn pids(&self) -> Vec<u32> {
        let pools = self.host.status();
        pools
            .iter()
            .flat_map(|p| p.containers.iter().map(|c| c.pid))
            .collect()
    }

    pub async fn end(self) {
        self.host.shutdown(Duration::ZERO).await;
        assert!(self.pids().is_empty());
    }
}

pub fn call(action: &str, budget: Duration) -> Call {
    let body = json!({"Inputs": {"input1": {"ColumnNames": ["do"], "Values": [[action]]}}});
    Call {
        operation: Operation::Score {
            form: FormWire::Table { details: false },
        },
        body: Bytes::from(serde_json::to_vec(&body).unwrap()),
        deadline: Instant::now() + budget,
    }
}

/// Waits until something is so.
pub async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let limit = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < limit, "never: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Whether a process lives; one that ended and was not reaped yet does not.
pub fn lives(pid: u32) -> bool {
    match std::fs::read_to_string(format!("/proc/{pid}/stat")) {
        Ok(stat) => !stat
            .rsplit_once(')')
            .is_some_and(|(_, rest)| rest.starts_with(" Z")),
        Err(_) => false,
    }
}
