//! An installation whose containers are processes of the test program itself.
#![allow(dead_code)]

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use containers::{Call, Cgroups, FormWire, Host, HostOptions, Operation, PoolLimits};
use faults::{Class, Fault};
use graph::{
    Interface, Module, ParameterKind, ParameterSpec, PortKind, PortSpec, PortValue, Registry,
    ResourceLoader, RunContext, Settings, Step,
};
use manage::{Manager, Options, Principal, StoredRevisions};
use serde_json::{Value, json};
use store::{ResourceName, Sha256, Store};
use telemetry::Telemetry;

/// Runs this process as a container. The test program calls it in a test of its own that is
/// ignored in a usual run, because that is how the host can start it.
#[expect(
    clippy::disallowed_methods,
    reason = "a test function cannot return an exit code"
)]
pub fn container_process() {
    if containers::container::main(registry()) != std::process::ExitCode::SUCCESS {
        std::process::exit(1);
    }
}

fn registry() -> Registry {
    Registry::new().with(Score).with(Python).with_loader(Score)
}

const FAMILY: &str = "00000000000000000000000000000001";

/// A module that gives its data back, and the loader of its model, which can be `broken` or
/// `endless`.
struct Score;

static SCORE: Interface = Interface {
    name: "Score",
    family: FAMILY,
    aliases: &[],
    families: &[],
    inputs: &[
        PortSpec::new("Trained model", PortKind::Model),
        PortSpec::new("Dataset", PortKind::Table),
    ],
    outputs: &[PortSpec::new("Scored dataset", PortKind::Table)],
    parameters: &[],
    row_wise: true,
};

impl Module for Score {
    fn interface(&self) -> &'static Interface {
        &SCORE
    }

    fn prepare(&self, _settings: &Settings, _node: &str) -> Result<Box<dyn Step>, Fault> {
        Ok(Box::new(Score))
    }
}

impl Step for Score {
    fn run(
        &self,
        inputs: &mut [Option<PortValue>],
        _context: &RunContext<'_>,
    ) -> Result<Vec<PortValue>, Fault> {
        Ok(inputs[1].take().into_iter().collect())
    }
}

impl ResourceLoader for Score {
    fn kind(&self) -> PortKind {
        PortKind::Model
    }

    fn load(&self, _asset: &str, bytes: &[u8]) -> Result<PortValue, Fault> {
        match bytes {
            b"broken" => Err(Fault::bare(Class::ModelPackageFormatError).because("broken")),
            b"endless" => loop {
                std::thread::park();
            },
            model => Ok(PortValue::Object(Arc::new(model.to_vec()))),
        }
    }
}

/// A module that is called like the one that runs Python, and gives its data back.
struct Python;

static PYTHON: Interface = Interface {
    name: "Execute Python Script",
    family: "cdb56f957f4c404dbde75bb972e6f232",
    aliases: &[],
    families: &[],
    inputs: &[PortSpec::new("Dataset1", PortKind::Table)],
    outputs: &[PortSpec::new("Result Dataset", PortKind::Table)],
    parameters: &[
        ParameterSpec::new("Python Script", ParameterKind::Script),
        ParameterSpec {
            options: &["Anaconda 2.0/Python 2.7.7", "Anaconda 4.0/Python 3.5"],
            ..ParameterSpec::new("Python Version", ParameterKind::Mode)
        },
    ],
    row_wise: true,
};

impl Module for Python {
    fn interface(&self) -> &'static Interface {
        &PYTHON
    }

    fn prepare(&self, _settings: &Settings, _node: &str) -> Result<Box<dyn Step>, Fault> {
        Ok(Box::new(Python))
    }
}

impl Step for Python {
    fn run(
        &self,
        inputs: &mut [Option<PortValue>],
        _context: &RunContext<'_>,
    ) -> Result<Vec<PortValue>, Fault> {
        Ok(inputs[0].take().into_iter().collect())
    }
}

/// An installation in a folder of its own.
pub struct Installation {
    pub store: Arc<Store>,
    pub host: Host,
    pub manager: Manager,
    pub operator: Principal,
    pub telemetry: Telemetry,
    /// The folder, where this value owns it.
    pub dir: Option<Arc<tempfile::TempDir>>,
}

impl Installation {
    pub fn new() -> Installation {
        Installation::with_start_limit(Duration::from_secs(60))
    }

    /// An installation whose containers may take so long to load.
    pub fn with_start_limit(limit: Duration) -> Installation {
        Installation::open(Arc::new(tempfile::tempdir().unwrap()), limit)
    }

    /// Opens the installation of that folder.
    pub fn in_folder(dir: Arc<tempfile::TempDir>) -> Installation {
        Installation::open(dir, Duration::from_secs(60))
    }

    fn open(dir: Arc<tempfile::TempDir>, start_limit: Duration) -> Installation {
        let mut installation = Installation::in_existing_with(dir.path(), start_limit);
        installation.dir = Some(dir);
        installation
    }

    /// Opens the installation of a folder that somebody else owns.
    pub fn in_existing(dir: &Path) -> Installation {
        Installation::in_existing_with(dir, Duration::from_secs(60))
    }

    fn in_existing_with(dir: &Path, start_limit: Duration) -> Installation {
        let store = Arc::new(Store::open(dir, None).unwrap());
        let telemetry = Telemetry::new();
        let program = std::env::current_exe().unwrap().into_os_string();
        let arguments = ["--exact", "container_process", "--ignored", "--nocapture"];
        let options = HostOptions {
            command: std::iter::once(program)
                .chain(arguments.map(Into::into))
                .collect(),
            cgroups: Cgroups::Off,
            start_wait: Duration::from_secs(60),
            start_limit,
            compute_threads: 1,
            min_free_memory_mb: 0,
            run_as: None,
            ..HostOptions::default()
        };
        let source = StoredRevisions::new(store.clone(), PoolLimits::default());
        let host = Host::start(options, Arc::new(source), telemetry.clone()).unwrap();
        let manager = Manager::new(
            store.clone(),
            host.clone(),
            Arc::new(registry()),
            telemetry.clone(),
            Options::default(),
        );
        let token = std::fs::read_to_string(store::operator_token_file(dir)).unwrap();
        let operator = manager.authorize(Some(token.trim()), "").unwrap();
        Installation {
            store,
            host,
            manager,
            operator,
            telemetry,
            dir: None,
        }
    }

    /// Uploads a blob and gives the URI that packages name it by.
    pub async fn upload(&self, content: &[u8]) -> String {
        let sha256 = Sha256::of(content).to_string();
        let chunks = content.chunks(3).map(|c| Ok(Bytes::copy_from_slice(c)));
        let stream = futures_util::stream::iter(chunks.collect::<Vec<_>>());
        self.manager
            .put_blob(&self.operator, &sha256, stream)
            .await
            .unwrap();
        format!("umpire:sha256:{sha256}")
    }

    /// Deploys a package whose model is `content`.
    pub async fn deploy(
        &self,
        name: &str,
        title: &str,
        content: &[u8],
    ) -> Result<manage::Deployed, Fault> {
        let uri = self.upload(content).await;
        self.put(name, &package(title, &uri)).await
    }

    /// Deploys that body.
    pub async fn put(&self, name: &str, body: &Value) -> Result<manage::Deployed, Fault> {
        self.manager
            .deploy(&self.operator, named(name), body.to_string())
            .await
    }

    /// Calls the service; the name of the output in its answer, which is the title of the package
    /// that answered.
    pub async fn score(&self, name: &str) -> Result<String, Fault> {
        let entry = self
            .store
            .ledger
            .directory()
            .by_name(&named(name).key())
            .cloned()
            .ok_or_else(faults::not_found::web_service_not_found)?;
        let call = Call {
            operation: Operation::Score {
                form: FormWire::Table { details: false },
            },
            body: Bytes::from_static(br#"{"Inputs": {"input1": [{"x": 1}]}}"#),
            deadline: Instant::now() + Duration::from_secs(60),
        };
        let (endpoint, revision) = (entry.endpoint.0, entry.revision.0);
        let reply = self.host.call(endpoint, revision, name, call).await?;
        let reply: Value = serde_json::from_slice(&reply).unwrap();
        let results = reply["Results"].as_object().unwrap();
        Ok(results.keys().next().unwrap().clone())
    }
}

/// A name in the default subscription and group.
pub fn named(name: &str) -> ResourceName {
    ResourceName {
        subscription: store::DEFAULT_SUBSCRIPTION.into(),
        resource_group: store::DEFAULT_RESOURCE_GROUP.into(),
        name: name.into(),
    }
}

/// A body that every check passes if the blob is there.
pub fn package(title: &str, model_uri: &str) -> Value {
    let table = json!({"input1": {"type": "object", "properties": {"x": {"type": "Number", "format": "Double"}}}});
    let mut output = table.clone();
    let port = output.as_object_mut().unwrap().remove("input1").unwrap();
    output[title] = port;
    json!({
        "location": "South Central US",
        "tags": {"team": "red"},
        "properties": {
            "title": title,
            "packageType": "Graph",
            "storageAccount": {"name": "acct", "key": "a storage key"},
            "commitmentPlan": {"id": "/plans/one"},
            "realtimeConfiguration": {"maxConcurrentCalls": 7},
            "input": {"type": "object", "properties": table},
            "output": {"type": "object", "properties": output},
            "assets": {
                "score": {"name": "Score", "type": "Module",
                    "locationInfo": {"uri": format!("aml://module/w.{FAMILY}.v1")}},
                "model": {"name": "a model", "type": "Resource",
                    "locationInfo": {"uri": model_uri, "credentials": ""},
                    "outputPorts": {"Results dataset": {"type": "Dataset"}}},
            },
            "parameters": {},
            "package": {
                "nodes": {
                    "in": {"inputId": "input1"},
                    "trained": {"assetId": "model"},
                    "scored": {"assetId": "score", "parameters": {}},
                    "out": {"outputId": title},
                },
                "edges": [
                    {"sourceNodeId": "trained", "sourcePortId": "Results dataset",
                     "targetNodeId": "scored", "targetPortId": "Trained model"},
                    {"sourceNodeId": "in", "targetNodeId": "scored", "targetPortId": "Dataset"},
                    {"sourceNodeId": "scored", "sourcePortId": "Scored dataset",
                     "targetNodeId": "out"},
                ],
                "graphParameters": {},
            },
        },
    })
}
