//! Rows about the time, the memory and the fate of containers.

use std::path::PathBuf;
use std::time::Duration;

use faults::{
    Class, Fault, gateway_timeout, internal_error, memory_quota_violation, request_timeout,
    service_unavailable,
};
use serde_json::json;

use crate::support::{
    Connection, Reply, Server, Service, Setup, assert_fault, children, one_x, onnx, packages,
    umpire, until,
};

/// The side of a matrix whose multiplications outlast every limit of these tests.
const LONG: f64 = 3000.0;

/// A service that takes as long as its cell says.
fn deploy_slow(server: &Server, name: &str) -> Service {
    let model = server.upload(&onnx::slow(50));
    server.deploy(name, &packages::regression(&model, &["x"]))
}

/// Starts a call that goes on; the connection must be kept while it should.
fn begin(service: &Service, x: f64) -> Connection {
    let mut connection = Connection::open(service.address).expect("a connection");
    connection
        .send(&service.request(&one_x(x)))
        .expect("the call is sent");
    connection
}

/// Starts a call and waits until a container works on it.
fn begin_and_wait(server: &Server, service: &Service, x: f64) -> Connection {
    let before = busy(server);
    let connection = begin(service, x);
    until("a container works", || busy(server) > before);
    connection
}

/// Clock ticks that containers of this server have used, in units that a long call passes fast.
fn busy(server: &Server) -> u64 {
    descendants(server)
        .iter()
        .filter_map(|pid| std::fs::read_to_string(format!("/proc/{pid}/stat")).ok())
        .filter_map(|stat| {
            let rest = stat.rsplit_once(')')?.1.to_owned();
            let fields: Vec<_> = rest.split_whitespace().collect();
            // Fields 14 and 15 of proc(5), counted from the state, which is field 3.
            Some(fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?)
        })
        .sum::<u64>()
        / 5
}

/// The containers of a server: its children, and theirs where a wrapper stands between.
fn descendants(server: &Server) -> Vec<i32> {
    let mut found = Vec::new();
    let mut next = server.containers();
    while let Some(pid) = next.pop() {
        next.extend(children(pid));
        found.push(pid);
    }
    found
}

/// A wrapper around the real container that waits while the file `hold` exists.
struct Wrapper {
    dir: tempfile::TempDir,
}

impl Wrapper {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let script = format!(
            "#!/bin/sh\nwhile [ -e '{}' ]; do /bin/sleep 0.02; done\nexec '{}' container\n",
            dir.path().join("hold").display(),
            umpire().display()
        );
        std::fs::write(dir.path().join("wrapper"), script).expect("the script");
        Wrapper { dir }
    }

    /// The configuration that puts it in the container's place.
    fn config(&self) -> String {
        format!(
            "[containers]\ncommand = [\"/bin/sh\", \"{}\"]\n",
            self.dir.path().join("wrapper").display()
        )
    }

    /// From now on containers do not come up.
    fn hold(&self) {
        std::fs::write(self.dir.path().join("hold"), "").expect("the file");
    }

    fn release(&self) {
        let _ = std::fs::remove_file(self.dir.path().join("hold"));
    }
}

/// The program that breaks the protocol, built beside the tests.
fn peer() -> PathBuf {
    let mut path = std::env::current_exe().expect("the test's own path");
    path.pop();
    path.pop();
    path.push("examples");
    path.push("peer");
    assert!(path.exists(), "{} is built by `cargo test`", path.display());
    path
}

/// Deploys with the real container, then answers a call with the peer in its place.
fn with_peer(mode: &str) -> (Server, Reply) {
    let mut server = Server::start();
    let service = server.deploy_linear("linear");
    server.end(libc::SIGTERM);
    server.configure(&format!(
        "[containers]\ncommand = [\"{}\", \"{mode}\"]\n",
        peer().display()
    ));
    server.start_again();
    let reply = Service {
        address: server.address,
        ..service
    }
    .score_x(1.0);
    (server, reply)
}

/// The client goes away: the work stops, the log and the metric say so, the container serves on.
pub fn request_canceled() {
    let server = Server::start();
    let service = deploy_slow(&server, "slow");
    let connection = begin_and_wait(&server, &service, LONG);
    drop(connection);
    let line = server
        .log
        .wait_for(Duration::from_secs(30), |l| l.contains("RequestCanceled"));
    assert!(line.is_some(), "a log line names the code");
    let counted = || server.metric(&["faults_total", "RequestTimeout", "RequestCanceled"]);
    until("the metric counts it", || counted() >= 1.0);
    assert_eq!(service.score_x(2.0).status, 200, "the next call is served");
    assert_eq!(counted(), 1.0, "one call is counted once");
}

/// The time is over before a container began: a body that does not come, and a container that
/// does not.
pub fn score_request_timeout() {
    let server = Setup::default()
        .config("[limits]\nbody_timeout = \"300ms\"")
        .start();
    let service = server.deploy_linear("linear");
    let mut request = service.request(&one_x(1.0));
    request.body = vec![b' '; 1000];
    let mut connection = Connection::open(server.address).unwrap();
    std::io::Write::write_all(&mut connection.stream, &request.head()).unwrap();
    std::io::Write::write_all(&mut connection.stream, b"{\"Inputs\"").unwrap();
    let reply = connection.read_reply(false).expect("an answer, not a hang");
    assert_fault(&reply, request_timeout::score_request_timeout());

    // The container does not come up, and the call's own time is shorter than the wait for it.
    let (_wrapper, _server, service) = held("[scoring]\ntimeout = \"700ms\"");
    assert_fault(
        &service.score_x(1.0),
        request_timeout::score_request_timeout(),
    );
}

/// The time is over while the model runs.
pub fn backend_score_timeout() {
    let server = Setup::default()
        .config("[scoring]\ntimeout = \"700ms\"")
        .start();
    let service = deploy_slow(&server, "slow");
    assert_fault(
        &service.score_x(LONG),
        gateway_timeout::backend_score_timeout(),
    );
    until("the service serves on", || {
        service.score_x(2.0).status == 200
    });
}

/// A call that needs more memory than the container may use; a smaller one is served after it.
pub fn out_of_memory_limit() {
    for cgroup in ["auto", "off"] {
        let server = Setup::default()
            .config(&format!(
                "[containers]\nmemory_quota = \"256MiB\"\ncgroup = \"{cgroup}\""
            ))
            .start();
        let model = server.upload(&onnx::hungry());
        let service = server.deploy("hungry", &packages::regression(&model, &["x"]));
        assert_eq!(service.score_x(1.0).status, 200);
        // What holds the quota is what the setting says, or the machine lacks it.
        let group = format!("umpire-{}-", server.child.id());
        let grouped = server.containers().iter().any(|pid| {
            std::fs::read_to_string(format!("/proc/{pid}/cgroup"))
                .is_ok_and(|groups| groups.contains(&group))
        });
        let lacks = |line: &str| line.contains("no control group");
        if cgroup == "auto" && server.log.lines().iter().any(|line| lacks(line)) {
            println!("skipped: control groups cannot be made here");
        } else {
            assert_eq!(grouped, cgroup == "auto", "a control group ({cgroup})");
        }
        let rows: Vec<_> = (0..600).map(|i| json!([i])).collect();
        let body = json!({"Inputs": {"input1": {"ColumnNames": ["x"], "Values": rows}}});
        assert_fault(
            &service.score(&body),
            memory_quota_violation::out_of_memory_limit("256"),
        );
        assert_eq!(
            service.score_x(1.0).status,
            200,
            "the next call gets a fresh container ({cgroup})"
        );
    }
}

/// A container killed by a signal that is not ours.
pub fn terminated_with_system_error() {
    let server = Server::start();
    let service = deploy_slow(&server, "slow");
    let mut call = begin_and_wait(&server, &service, LONG);
    for pid in server.containers() {
        // SAFETY: a container of the server under test.
        unsafe { libc::kill(pid, libc::SIGABRT) };
    }
    let reply = call.read_reply(false).unwrap();
    assert_fault(
        &reply,
        internal_error::container_process_terminated_with_system_error(),
    );
    assert_eq!(
        service.score_x(2.0).status,
        200,
        "the next call gets a fresh container"
    );
}

/// A container that ends by itself with a status that it is not known to use.
pub fn terminated_with_unknown_error() {
    let (_server, reply) = with_peer("exit");
    assert_fault(
        &reply,
        internal_error::container_process_terminated_with_unknown_error(),
    );
}

/// A container that holds another revision than the call is for.
pub fn backend_argument_error() {
    let (_server, reply) = with_peer("revision");
    assert_fault(&reply, internal_error::backend_argument_error());
}

/// A container of another protocol version.
pub fn backend_bad_request() {
    let (_server, reply) = with_peer("version");
    assert_fault(&reply, internal_error::backend_bad_request());
}

/// A container that does not take the token of the gateway.
pub fn worker_authorization_failed() {
    let (_server, reply) = with_peer("token");
    assert_fault(&reply, internal_error::worker_authorization_failed());
}

/// A container that answers with a status of its own.
pub fn unexpected_score_status() {
    let (_server, reply) = with_peer("status");
    assert_fault(&reply, internal_error::unexpected_score_status());
}

/// A container that answers with a code of another catalogue.
pub fn unknown_backend_error_response() {
    let (_server, reply) = with_peer("code");
    assert_fault(&reply, internal_error::unknown_backend_error_response());
}

/// A container that lives and says nothing: stopped, as a debugger or a freezer does.
pub fn worker_unreachable() {
    let server = Setup::default()
        .config("[containers]\nheartbeat = \"100ms\"")
        .start();
    let service = deploy_slow(&server, "slow");
    let mut call = begin_and_wait(&server, &service, LONG);
    for pid in server.containers() {
        // SAFETY: a container of the server under test.
        unsafe { libc::kill(pid, libc::SIGSTOP) };
    }
    assert_fault(
        &call.read_reply(false).unwrap(),
        internal_error::worker_unreachable(),
    );
    assert_eq!(
        service.score_x(2.0).status,
        200,
        "the next call gets a fresh container"
    );
}

/// Deploys a service, makes its containers go away, and holds back every further one.
fn held(config: &str) -> (Wrapper, Server, Service) {
    let wrapper = Wrapper::new();
    let mut server = Setup::default()
        .config(&wrapper.config())
        .config(config)
        .start();
    let service = server.deploy_linear("linear");
    server.end(libc::SIGTERM);
    wrapper.hold();
    server.start_again();
    let service = Service {
        address: server.address,
        ..service
    };
    (wrapper, server, service)
}

/// `start_wait` passes while the container still loads.
pub fn initializing_containers() {
    let (wrapper, server, service) = held("start_wait = \"300ms\"");
    let reply = service.score_x(1.0);
    assert_fault(&reply, Fault::bare(Class::InitializingContainers));
    wrapper.release();
    until("it serves once the container is up", || {
        service.score_x(1.0).status == 200
    });
    drop(server);
}

/// `start_limit` passes: all who wait get the same.
pub fn backend_initialization_timeout() {
    let (_wrapper, _server, service) = held("start_wait = \"20s\"\nstart_limit = \"500ms\"");
    let mut calls = [begin(&service, 1.0), begin(&service, 2.0)];
    for call in &mut calls {
        assert_fault(
            &call.read_reply(false).unwrap(),
            gateway_timeout::backend_initialization_timeout(),
        );
    }
}

/// Every slot is taken by another service that works.
pub fn no_more_resources() {
    let mut server = Setup::default()
        .config("[containers]\nslots = 1\nstart_wait = \"300ms\"")
        .start();
    let slow = deploy_slow(&server, "slow");
    let linear = server.deploy_linear("linear");
    // A deploy may take one slot too many; after a restart there is none but what calls start.
    server.end(libc::SIGTERM);
    server.start_again();
    let slow = Service {
        address: server.address,
        ..slow
    };
    let linear = Service {
        address: server.address,
        ..linear
    };
    let _call = begin_and_wait(&server, &slow, LONG);
    assert_fault(
        &linear.score_x(1.0),
        service_unavailable::no_more_resources(),
    );
}

/// The installation starts as many containers as it may, and they do not come up.
pub fn too_many_hosts_being_initialized() {
    let wrapper = Wrapper::new();
    let mut server = Setup::default()
        .config(&wrapper.config())
        .config("starting = 1\nstart_wait = \"1s\"")
        .start();
    let first = server.deploy_linear("first");
    let second = server.deploy_linear("second");
    server.end(libc::SIGTERM);
    wrapper.hold();
    server.start_again();
    let first = Service {
        address: server.address,
        ..first
    };
    let second = Service {
        address: server.address,
        ..second
    };
    let mut waiting = begin(&first, 1.0);
    until("a container of the first starts", || {
        !server.containers().is_empty()
    });
    assert_fault(
        &second.score_x(1.0),
        service_unavailable::too_many_hosts_being_initialized(),
    );
    assert_fault(
        &waiting.read_reply(false).unwrap(),
        Fault::bare(Class::InitializingContainers),
    );
}

/// One container works, a second of the same service is starting, and a call needs a third.
pub fn too_many_hosts_per_model() {
    let wrapper = Wrapper::new();
    let server = Setup::default()
        .config(&wrapper.config())
        .config("starting_per_service = 1\nstart_wait = \"1500ms\"\ncalls_per_container = 1\ncompute_threads = 1")
        .start();
    let service = deploy_slow(&server, "slow");
    let _first = begin_and_wait(&server, &service, LONG);
    wrapper.hold();
    let running = server.containers().len();
    let mut second = begin(&service, 1.0);
    until("a second container starts", || {
        server.containers().len() > running
    });
    let third = service.score_x(1.0);
    assert_fault(
        &third,
        service_unavailable::too_many_hosts_being_initialized_per_model(),
    );
    assert_fault(
        &second.read_reply(false).unwrap(),
        Fault::bare(Class::InitializingContainers),
    );
}

/// The endpoint's own limit, at once and without a queue.
pub fn request_throttled() {
    let server = Server::start();
    let model = server.upload(&onnx::slow(50));
    let mut package = packages::regression(&model, &["x"]);
    package["properties"]["realtimeConfiguration"] = json!({"maxConcurrentCalls": 4});
    let service = server.deploy("slow", &package);
    let calls: Vec<_> = (0..4).map(|_| begin(&service, LONG)).collect();
    until("four calls are under way", || {
        server.metric(&["calls_under_way"]) >= 4.0
    });
    let reply = service.score_x(1.0);
    let body = reply.json();
    assert_eq!(
        (reply.status, reply.header("x-ms-error-code")),
        (503, Some("RequestThrottled")),
        "{body}"
    );
    assert_eq!(reply.header("retry-after"), Some("1"));
    let message = body["error"]["details"][0]["message"].as_str().unwrap();
    assert!(message.contains('4'), "{message}");
    drop(calls);
    until("the permits come back", || {
        service.score_x(1.0).status == 200
    });
}

/// The installation's own limit.
pub fn too_many_concurrent_requests() {
    let server = Setup::default()
        .config("[limits]\ncalls_under_way = 2")
        .start();
    let slow = deploy_slow(&server, "slow");
    let linear = server.deploy_linear("linear");
    let calls: Vec<_> = (0..2).map(|_| begin(&slow, LONG)).collect();
    until("two calls are under way", || {
        server.metric(&["calls_under_way"]) >= 2.0
    });
    assert_fault(
        &linear.score_x(1.0),
        service_unavailable::too_many_concurrent_requests(),
    );
    drop(calls);
    until("the permits come back", || {
        linear.score_x(1.0).status == 200
    });
}
