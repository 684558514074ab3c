//! What the end-to-end tests share: a real `umpire serve` in a directory of its own, a plain HTTP
//! client, and models made by hand.
//!
//! Each test starts the shipped binary on a port that the system chooses. Nothing here reaches
//! inside the process: a test sees what an operator or a client sees.
#![allow(dead_code)] // Each test target uses a part.

pub mod azurite;
pub mod batch;
pub mod emulator;
pub mod http;
pub mod onnx;
pub mod packages;
pub mod spec;
pub mod storage;
pub mod studio;
pub mod tls;

use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use faults::Fault;
use faults::{Language, render};
use ring::digest;
use serde_json::{Value, json};

pub use http::{Connection, Reply, Request};

/// The binary under test: the one that cargo just built, in the profile of the test.
pub fn umpire() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_umpire"))
}

/// A command of the binary that meets none of the developer's own settings, nor the tests' own
/// switches.
pub fn command() -> Command {
    let mut command = Command::new(umpire());
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("UMPIRE_") {
            command.env_remove(name);
        }
    }
    command
}

/// The subscription of an installation that was not told another.
pub const SUBSCRIPTION: &str = "00000000-0000-0000-0000-000000000000";

/// How a server is set up before it starts.
#[derive(Default)]
pub struct Setup {
    config: String,
    environment: HashMap<String, String>,
    arguments: Vec<String>,
}

impl Setup {
    /// Lines of the TOML configuration file.
    pub fn config(mut self, toml: &str) -> Self {
        self.config.push_str(toml);
        self.config.push('\n');
        self
    }

    /// An environment variable of the server.
    pub fn environment(mut self, name: &str, value: &str) -> Self {
        self.environment.insert(name.into(), value.into());
        self
    }

    /// A further argument of `serve`.
    pub fn argument(mut self, argument: &str) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// Starts the server in a new directory; panics with its log where it does not come up.
    #[track_caller]
    pub fn start(self) -> Server {
        let dir = tempfile::tempdir().expect("a temporary directory");
        Server::start_in(dir, self)
    }
}

/// Lines of the server's standard output and error, in the order of arrival.
#[derive(Clone, Default)]
pub struct Log(Arc<(Mutex<Vec<String>>, Condvar)>);

impl Log {
    fn follow(&self, stream: impl std::io::Read + Send + 'static) -> std::thread::JoinHandle<()> {
        let log = self.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(stream).split(b'\n') {
                let Ok(line) = line else { break };
                log.0
                    .0
                    .lock()
                    .unwrap()
                    .push(String::from_utf8_lossy(&line).into_owned());
                log.0.1.notify_all();
            }
        })
    }

    /// The lines so far.
    pub fn lines(&self) -> Vec<String> {
        self.0.0.lock().unwrap().clone()
    }

    /// Waits until a line fits; `None` after `limit`.
    pub fn wait_for(&self, limit: Duration, fits: impl Fn(&str) -> bool) -> Option<String> {
        let deadline = Instant::now() + limit;
        let mut lines = self.0.0.lock().unwrap();
        loop {
            if let Some(line) = lines.iter().find(|l| fits(l)) {
                return Some(line.clone());
            }
            let left = deadline.checked_duration_since(Instant::now())?;
            lines = self.0.1.wait_timeout(lines, left).unwrap().0;
        }
    }
}

/// A running `umpire serve`. Dropping it kills the process.
pub struct Server {
    pub child: Child,
    pub address: SocketAddr,
    pub log: Log,
    path: PathBuf,
    // Removed with the server.
    _dir: Option<tempfile::TempDir>,
    config: String,
    environment: HashMap<String, String>,
    arguments: Vec<String>,
}

impl Server {
    /// A server with the defaults.
    #[track_caller]
    pub fn start() -> Server {
        Setup::default().start()
    }

    /// A server with the defaults whose data stands below `dir`, which stays.
    #[track_caller]
    pub fn start_on(dir: &Path) -> Server {
        Server::start_at(dir.to_path_buf(), None, Setup::default())
    }

    #[track_caller]
    fn start_in(dir: tempfile::TempDir, setup: Setup) -> Server {
        Server::start_at(dir.path().to_path_buf(), Some(dir), setup)
    }

    #[track_caller]
    fn start_at(path: PathBuf, dir: Option<tempfile::TempDir>, setup: Setup) -> Server {
        let Setup {
            config,
            environment,
            arguments,
        } = setup;
        let (child, log) = spawn(&path, &config, &environment, &arguments);
        let mut server = Server {
            child,
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            log,
            path,
            _dir: dir,
            config,
            environment,
            arguments,
        };
        server.address = server.wait_until_listening();
        server
    }

    #[track_caller]
    fn wait_until_listening(&mut self) -> SocketAddr {
        let line = self
            .log
            .wait_for(Duration::from_secs(60), |l| l.contains("listening on http"));
        let Some(line) = line else {
            panic!(
                "the server did not come up:\n{}",
                self.log.lines().join("\n")
            )
        };
        let rest = line.split("listening on http").nth(1).unwrap();
        let rest = rest.trim_start_matches('s').trim_start_matches("://");
        let end = rest
            .find(|c: char| !(c.is_ascii_digit() || c == '.' || c == ':'))
            .unwrap_or(rest.len());
        rest[..end]
            .parse()
            .unwrap_or_else(|e| panic!("no address in {line:?}: {e}"))
    }

    /// The data directory.
    pub fn data(&self) -> PathBuf {
        self.path.join("data")
    }

    /// Ends the process as `signal` says and waits for it.
    pub fn end(&mut self, signal: i32) -> ExitStatus {
        // SAFETY: the process is our own child and has not been waited for.
        unsafe { libc::kill(self.child.id() as i32, signal) };
        self.child.wait().expect("the server's status")
    }

    /// Ends the process with SIGKILL and starts another on the same data.
    #[track_caller]
    pub fn restart(&mut self) {
        self.end(libc::SIGKILL);
        self.start_again();
    }

    /// Replaces the configuration file for the next start.
    pub fn configure(&mut self, toml: &str) {
        self.config = toml.to_owned();
    }

    /// Starts another process on the same data after the last has ended.
    #[track_caller]
    pub fn start_again(&mut self) {
        let (child, log) = spawn(&self.path, &self.config, &self.environment, &self.arguments);
        self.child = child;
        self.log = log;
        self.address = self.wait_until_listening();
    }

    /// The operator's token, from the data directory.
    pub fn token(&self) -> String {
        let path = self.data().join("secrets/operator.token");
        std::fs::read_to_string(&path)
            .unwrap_or_else(|e| panic!("{}: {e}", path.display()))
            .trim()
            .to_owned()
    }

    /// Stores a blob by its hash and returns the `umpire:sha256:…` reference.
    #[track_caller]
    pub fn upload(&self, bytes: &[u8]) -> String {
        let hash = sha256(bytes);
        let reply = Request::new("PUT", &format!("/umpire/v1/blobs/{hash}"))
            .bearer(&self.token())
            .body(bytes)
            .send(self.address);
        assert!(
            reply.status < 300,
            "upload: {} {}",
            reply.status,
            reply.text()
        );
        format!("umpire:sha256:{hash}")
    }

    /// The Resource Manager path of a service.
    pub fn arm_path(&self, name: &str) -> String {
        format!(
            "/subscriptions/{SUBSCRIPTION}/resourceGroups/default/providers/Microsoft.MachineLearning/webServices/{name}?api-version=2017-01-01"
        )
    }

    /// PUTs a definition and returns what that came to: the service, or the failure, whether it
    /// was told at once or after the definition had been accepted.
    #[track_caller]
    pub fn put(&self, name: &str, definition: &Value) -> Reply {
        let reply = Request::new("PUT", &self.arm_path(name))
            .bearer(&self.token())
            .json(definition)
            .send(self.address);
        self.outcome(reply)
    }

    /// Follows the operation that a reply announces to its end, where it announces one.
    #[track_caller]
    pub fn outcome(&self, reply: Reply) -> Reply {
        let Some(status) = reply.header("Azure-AsyncOperation") else {
            return reply;
        };
        let path = &status[status.find("/subscriptions/").expect("a path")..];
        let path = path.replace("/operationsStatus/", "/operationresults/");
        let mut last = None;
        until("the operation ends", || {
            let reply = Request::new("GET", &path)
                .bearer(&self.token())
                .send(self.address);
            let ended = reply.status != 202;
            last = Some(reply);
            ended
        });
        last.expect("a reply")
    }

    /// Deploys a definition that must be accepted.
    #[track_caller]
    pub fn deploy(&self, name: &str, definition: &Value) -> Service {
        let reply = self.put(name, definition);
        assert!(
            reply.status == 200 || reply.status == 201,
            "deploy {name}: {} {}\n{}",
            reply.status,
            reply.text(),
            self.log.lines().join("\n")
        );
        self.service(name)
    }

    /// Deploys `y = 2·x + 1` of one Double column `x`, the plainest service there is.
    #[track_caller]
    pub fn deploy_linear(&self, name: &str) -> Service {
        let model = self.upload(&onnx::linear(&[2.0], 1.0));
        self.deploy(name, &packages::regression(&model, &["x"]))
    }

    /// What a client needs to know of a deployed service.
    #[track_caller]
    pub fn service(&self, name: &str) -> Service {
        let listed = Request::new("GET", "/umpire/v1/services")
            .bearer(&self.token())
            .send(self.address);
        let listed = listed.json();
        let entry = listed["services"]
            .as_array()
            .and_then(|a| a.iter().find(|s| s["name"] == name))
            .unwrap_or_else(|| panic!("no service {name} in {listed}"))
            .clone();
        let keys = Request::new("GET", &self.arm_path(name).replace("?", "/listKeys?"))
            .bearer(&self.token())
            .send(self.address)
            .json();
        let text = |v: &Value, what: &str| {
            v.as_str()
                .unwrap_or_else(|| panic!("{what} is not a string: {entry} {keys}"))
                .to_owned()
        };
        Service {
            address: self.address,
            workspace: text(&entry["workspace_id"], "workspace_id"),
            service: text(&entry["service_id"], "service_id"),
            endpoint: text(&entry["endpoint_id"], "endpoint_id"),
            primary: text(&keys["primary"], "primary"),
            secondary: text(&keys["secondary"], "secondary"),
        }
    }

    /// Makes a workspace and returns its id.
    #[track_caller]
    pub fn create_workspace(&self, name: &str) -> String {
        let reply = Request::new("PUT", &format!("/umpire/v1/workspaces/{name}"))
            .bearer(&self.token())
            .body("{}")
            .send(self.address);
        assert_eq!(reply.status, 201, "{}", reply.text());
        reply.json()["id"].as_str().expect("an id").to_owned()
    }

    /// The value of a metric line that contains all of `parts`, summed.
    pub fn metric(&self, parts: &[&str]) -> f64 {
        let text = Request::new("GET", "/metrics").send(self.address).text();
        text.lines()
            .filter(|l| !l.starts_with('#') && parts.iter().all(|p| l.contains(p)))
            .filter_map(|l| l.rsplit(' ').next()?.parse::<f64>().ok())
            .sum()
    }

    /// Processes that this server started and that still run.
    pub fn containers(&self) -> Vec<i32> {
        children(self.child.id() as i32)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- the server's log\n{}\n---", self.log.lines().join("\n"));
        }
    }
}

fn spawn(
    dir: &Path,
    config: &str,
    environment: &HashMap<String, String>,
    arguments: &[String],
) -> (Child, Log) {
    let file = dir.join("umpire.toml");
    std::fs::write(&file, config).expect("the configuration file");
    let mut child = command()
        .args(["serve", "--listen", "127.0.0.1:0"])
        .arg("--data")
        .arg(dir.join("data"))
        .arg("--config")
        .arg(&file)
        .args(arguments)
        .envs(environment)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the server starts");
    let log = Log::default();
    log.follow(child.stdout.take().unwrap());
    log.follow(child.stderr.take().unwrap());
    (child, log)
}

/// The processes whose parent is `pid`.
pub fn children(pid: i32) -> Vec<i32> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let Ok(child) = entry.file_name().to_string_lossy().parse::<i32>() else {
            continue;
        };
        let Ok(stat) = std::fs::read_to_string(format!("/proc/{child}/stat")) else {
            continue;
        };
        // pid (name) state ppid …; the name may hold anything, so look behind its last bracket.
        let Some((_, rest)) = stat.rsplit_once(')') else {
            continue;
        };
        let mut fields = rest.split_whitespace();
        let state = fields.next().unwrap_or("");
        let parent: i32 = fields.next().and_then(|p| p.parse().ok()).unwrap_or(0);
        if parent == pid && state != "Z" {
            found.push(child);
        }
    }
    found
}

/// Lower-case hexadecimal SHA-256.
pub fn sha256(bytes: &[u8]) -> String {
    digest::digest(&digest::SHA256, bytes)
        .as_ref()
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect()
}

/// Waits until `condition` holds; panics after 30 seconds.
#[track_caller]
pub fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !condition() {
        assert!(Instant::now() < deadline, "waited 30 s for: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A deployed service as its clients see it.
#[derive(Debug, Clone)]
pub struct Service {
    pub address: SocketAddr,
    pub workspace: String,
    pub service: String,
    pub endpoint: String,
    pub primary: String,
    pub secondary: String,
}

impl Service {
    /// The path of the scoring call, without a query.
    pub fn path(&self) -> String {
        format!(
            "/workspaces/{}/services/{}/execute",
            self.workspace, self.endpoint
        )
    }

    /// A scoring call by the primary key.
    pub fn request(&self, body: &Value) -> Request {
        Request::new("POST", &format!("{}?api-version=2.0", self.path()))
            .bearer(&self.primary)
            .json(body)
    }

    /// Scores `body` and returns the answer.
    #[track_caller]
    pub fn score(&self, body: &Value) -> Reply {
        self.request(body).send(self.address)
    }

    /// Scores one row of column `x`, table form.
    #[track_caller]
    pub fn score_x(&self, x: f64) -> Reply {
        self.score(&one_x(x))
    }
}

/// A body of one row and one column `x`.
pub fn one_x(x: f64) -> Value {
    json!({"Inputs": {"input1": {"ColumnNames": ["x"], "Values": [[x]]}}})
}

/// Asserts that `reply` is `fault` whole: status, headers, envelope and English text.
#[track_caller]
pub fn assert_fault(reply: &Reply, fault: Fault) {
    assert_fault_in(reply, fault, Language::English);
}

/// Like [`assert_fault`], in a language.
#[track_caller]
pub fn assert_fault_in(reply: &Reply, fault: Fault, language: Language) {
    let expected = render(&fault, language);
    let expected_body: Value = serde_json::from_str(&expected.body).expect("the rendered envelope");
    let actual = reply.json();
    assert_eq!(actual, expected_body, "expected {}", fault.name());
    assert_eq!(
        reply.status,
        fault.class().status(),
        "status of {}",
        fault.name()
    );
    assert_eq!(reply.header("x-ms-error-code"), Some(fault.code()));
    assert_eq!(reply.header("content-language"), Some(language.tag()));
    assert_eq!(
        reply.header("content-type"),
        Some("application/json; charset=utf-8")
    );
    let id = reply.header("x-ms-request-id").expect("x-ms-request-id");
    assert!(id.len() >= 32, "x-ms-request-id: {id}");
    assert!(reply.header("date").is_some(), "Date");
    if fault.class().status() == 503 {
        let delay = reply.header("retry-after").expect("Retry-After with 503");
        assert!(
            delay.parse::<u64>().is_ok_and(|s| s >= 1),
            "Retry-After: {delay}"
        );
    }
}
