//! A queue and a runner over a real ledger and the workspaces' own blob containers. Work is done in
//! this process, by the readers and writers that containers use.
#![allow(dead_code)]

pub mod desk;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use containers::{PoolLimits, RevisionFiles, RevisionSource};
use faults::Fault;
use jobs::{ApiVersion, JobRequest, JobState, JobView, OnBadRow, Options, Parts, Queue, Runner};
use outbound::Outbound;
use serde_json::{Map, Value, json};
use storage::{BlobReference, Purpose, Storage};
use store::{Actor, Entry, Id, ResourceName, ServiceWrite, Store};
use telemetry::Telemetry;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use desk::Desk;

/// Far longer than anything takes that works.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The packages of services, by revision.
struct Source(Arc<Store>);

impl RevisionSource for Source {
    fn open(&self, _endpoint: [u8; 16], revision: [u8; 16]) -> Result<RevisionFiles, Fault> {
        let stored = self.0.ledger.revision_blocking(Id(revision))?;
        Ok(RevisionFiles {
            revision,
            package: stored.definition.into_bytes(),
            resources: Vec::new(),
            limits: PoolLimits::default(),
        })
    }
}

/// A service that gives what it takes, by these inputs and outputs.
pub fn definition(inputs: &[&str], outputs: &[&str]) -> Value {
    let columns = json!({"type": "object", "properties": {
        "a": {"type": "Integer", "format": "int32"},
        "b": {"type": "String", "x-ms-isnullable": true},
    }});
    let ports = |names: &[&str]| -> Value {
        let each = names
            .iter()
            .map(|name| ((*name).to_owned(), columns.clone()));
        json!({"type": "object", "properties": Map::from_iter(each)})
    };
    let mut nodes = Map::new();
    let mut edges = Vec::new();
    for name in inputs {
        nodes.insert(format!("in {name}"), json!({"inputId": name}));
    }
    for (i, name) in outputs.iter().enumerate() {
        nodes.insert(format!("out {name}"), json!({"outputId": name}));
        let input = inputs[i.min(inputs.len() - 1)];
        edges.push(json!({
            "sourceNodeId": format!("in {input}"),
            "targetNodeId": format!("out {name}"),
        }));
    }
    json!({
        "packageType": "Graph",
        "input": ports(inputs),
        "output": ports(outputs),
        "package": {"nodes": nodes, "edges": edges, "graphParameters": {}},
    })
}

/// Everything but the runner, over a data directory that outlives it.
pub struct Bench {
    pub store: Arc<Store>,
    pub storage: Storage,
    pub desk: Arc<Desk>,
    pub queue: Queue,
    pub runner: Runner,
    pub options: Options,
    pub telemetry: Telemetry,
}

pub fn options(dir: &Path) -> Options {
    Options {
        parallel: 2,
        lease: Duration::from_secs(30),
        chunk_size: 4096,
        ..Options::in_folder(dir.join("spool"))
    }
}

impl Bench {
    pub fn open(dir: &Path) -> Bench {
        Bench::with(dir, options(dir))
    }

    pub fn with(dir: &Path, options: Options) -> Bench {
        let store = Arc::new(Store::open(dir, None).unwrap());
        let outbound = Outbound::new(outbound::Options::default()).unwrap();
        let storage = Storage::new(storage::Options::default(), outbound, store.clone());
        let desk = Arc::new(Desk::default());
        let telemetry = Telemetry::new();
        let (queue, runner) = jobs::start(
            Parts {
                store: store.clone(),
                storage: storage.clone(),
                lane: desk.clone(),
                source: Arc::new(Source(store.clone())),
                registry: Arc::new(modules::registry()),
                telemetry: telemetry.clone(),
                on_end: Box::new(|_| {}),
            },
            options.clone(),
        );
        Bench {
            store,
            storage,
            desk,
            queue,
            runner,
            options,
            telemetry,
        }
    }

    /// Makes a service with one input and one output.
    pub async fn service(&self, name: &str) -> Arc<Entry> {
        self.service_of(name, definition(&["input1"], &["output1"]))
            .await
    }

    pub async fn service_of(&self, name: &str, definition: Value) -> Arc<Entry> {
        let workspace = self
            .store
            .ledger
            .directory()
            .default_workspace()
            .unwrap()
            .id;
        let write = ServiceWrite {
            service: Id::random(),
            endpoint: Id::random(),
            revision: Id::random(),
            expected: None,
            name: ResourceName {
                subscription: store::DEFAULT_SUBSCRIPTION.into(),
                resource_group: store::DEFAULT_RESOURCE_GROUP.into(),
                name: name.into(),
            },
            location: "local".into(),
            tags: "{}".into(),
            workspace,
            read_only: false,
            max_concurrent_calls: 20,
            keys: None,
            definition: definition.to_string(),
            secrets: None,
            resources: Vec::new(),
            plan: None,
        };
        self.store.ledger.put_service(write, "test").await.unwrap()
    }

    /// Puts a blob into the workspace's own store.
    pub async fn upload(&self, entry: &Entry, name: &str, content: &[u8]) {
        let at = self
            .storage
            .resolve(&own(name), entry.workspace, Purpose::Record)
            .unwrap();
        let bytes = Bytes::copy_from_slice(content);
        self.storage.put(&at, "text/csv", bytes).await.unwrap();
    }

    /// What a blob of the workspace's own store has; `None` where there is none.
    pub async fn download(&self, entry: &Entry, name: &str) -> Option<Vec<u8>> {
        let at = self
            .storage
            .resolve(&own(name), entry.workspace, Purpose::Record)
            .unwrap();
        let source = self.storage.open(&at).await.ok()?;
        let bytes = source.read(0..source.size).await.unwrap().whole().await;
        Some(bytes.unwrap().to_vec())
    }

    pub async fn submit(&self, entry: &Entry, request: JobRequest) -> Result<Id, Fault> {
        let actor = Actor::from("caller");
        let queue = &self.queue;
        queue.submit(entry, request, ApiVersion::V2, &actor).await
    }

    /// Submits and starts a job.
    pub async fn started(&self, entry: &Entry, request: JobRequest) -> Id {
        let id = self.submit(entry, request).await.unwrap();
        let actor = Actor::from("caller");
        self.queue.start(entry, id, &actor).await.unwrap();
        id
    }

    pub async fn view(&self, entry: &Entry, id: Id) -> JobView {
        let view = self.queue.status(entry, id, "http://umpire.test").await;
        view.unwrap()
    }

    /// Waits until a job is at its end.
    pub async fn ended(&self, entry: &Entry, id: Id) -> JobView {
        let wait = async {
            loop {
                let view = self.view(entry, id).await;
                if view.state.is_end() {
                    return view;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(PATIENCE, wait).await.expect("it ends")
    }

    /// Waits until nothing is left behind of any job that is at its end.
    pub async fn tidied(&self) {
        let wait = async {
            while !self.store.ledger.untidy_jobs(1).await.unwrap().is_empty() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(PATIENCE, wait)
            .await
            .expect("it is tidied");
    }

    /// Runs the runner.
    pub fn run(&self) -> Running {
        let (stop, stopped) = oneshot::channel::<()>();
        let runner = self.runner.clone();
        Running {
            task: tokio::spawn(runner.run(async {
                let _ = stopped.await;
            })),
            stop,
        }
    }
}

/// A runner that runs.
pub struct Running {
    task: JoinHandle<()>,
    stop: oneshot::Sender<()>,
}

impl Running {
    /// Ends it in order.
    pub async fn stop(self) {
        let _ = self.stop.send(());
        self.task.await.unwrap();
    }

    /// Ends it as the end of its process would.
    pub async fn kill(self) {
        self.task.abort();
        let _ = self.task.await;
    }
}

/// A blob in the workspace's own store.
pub fn own(name: &str) -> BlobReference {
    BlobReference {
        relative_location: Some(name.to_owned()),
        ..BlobReference::default()
    }
}

/// A job over one input and one output.
pub fn request(input: &str, output: &str) -> JobRequest {
    JobRequest {
        inputs: Some(vec![("input1".into(), Some(own(input)))]),
        outputs: Some(vec![("output1".into(), Some(own(output)))]),
        ..JobRequest::default()
    }
}

/// The same, which sets bad rows aside.
pub fn rejecting(input: &str, output: &str) -> JobRequest {
    JobRequest {
        on_bad_row: OnBadRow::Reject(None),
        ..request(input, output)
    }
}

/// A file of so many rows.
pub fn rows(count: usize) -> String {
    let mut text = String::from("a,b\n");
    for i in 0..count {
        let b = match i % 5 {
            0 => "\"two\nlines\"".to_owned(),
            1 => String::new(),
            2 => format!("\"a \"\"{i}\"\"\""),
            _ => format!("row {i}"),
        };
        text.push_str(&format!("{i},{b}\n"));
    }
    text
}

pub fn assert_state(view: &JobView, state: JobState) {
    assert_eq!(
        view.state,
        state,
        "{:?} {:?}",
        view.failure.as_ref().map(Fault::name),
        view.failure.as_ref().and_then(Fault::cause)
    );
}
