//! Blobs of diagnostics: in the workspace's own storage and in an account, what they say and leave
//! out, and that storage which is down costs records and no calls.

use std::collections::BTreeMap;
use std::os::unix::fs::FileExt as _;

use serde_json::{Value, json};
use store::{BlobAt, Id, Store};

use crate::support::azurite::{self, Azurite};
use crate::support::{Request, Server, Service, Setup, one_x, onnx, packages, umpire, until};

/// Containers whose command prints a line to both streams before it becomes one.
fn chatty() -> Setup {
    let script = "echo to-stdout; echo to-stderr >&2; exec \"$@\"";
    let command = json!(["sh", "-c", script, "--", umpire(), "container"]);
    Setup::default().config(&format!("[containers]\ncommand = {command}"))
}

/// Sets the default endpoint's diagnostics by the classic API.
#[track_caller]
fn set_level(server: &Server, service: &Service, level: &str) {
    let path = format!(
        "/workspaces/{}/webservices/{}/endpoints/default",
        service.workspace, service.service
    );
    let reply = Request::new("PATCH", &path)
        .bearer(&server.token())
        .json(&json!({"DiagnosticsTraceLevel": level}))
        .send(server.address);
    assert!(reply.status < 300, "{} {}", reply.status, reply.text());
}

fn score(server: &Server, service: &Service, body: &Value) -> (u16, String) {
    let path = format!(
        "/workspaces/{}/services/{}/execute?api-version=2.0",
        service.workspace, service.endpoint
    );
    let reply = Request::new("POST", &path)
        .bearer(&service.primary)
        .json(body)
        .send(server.address);
    let id = reply.header("x-ms-request-id").expect("an id").to_owned();
    (reply.status, id)
}

/// A request whose cell is no number.
fn unreadable() -> Value {
    let mut body = one_x(1.0);
    body["Inputs"]["input1"]["Values"][0][0] = json!("P4yl0ad");
    body
}

/// Name and text of every blob of diagnostics in a workspace's own storage, once the server has
/// ended.
fn own_blobs(server: &Server, workspace: &str) -> BTreeMap<String, Value> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let store = Store::open(&server.data(), None).expect("the data directory opens");
        let workspace = Id::parse(workspace).expect("an id");
        let page = store.list_blobs(workspace, "ml-diagnostics", "", None, 1000);
        let mut found = BTreeMap::new();
        for info in page.await.expect("the blob container is there").blobs {
            let at = BlobAt::new(workspace, "ml-diagnostics", &info.name).expect("a name");
            let reader = store.open_blob(&at).await.expect("the blob opens");
            let mut text = Vec::new();
            for (file, offset, length) in reader.pieces(0..info.size).expect("its files open") {
                let mut bytes = vec![0; length as usize];
                file.read_exact_at(&mut bytes, offset).expect("it reads");
                text.extend_from_slice(&bytes);
            }
            let text = serde_json::from_slice(&text).expect("JSON");
            found.insert(info.name, text);
        }
        found
    })
}

/// The one blob of which the name has all of these.
#[track_caller]
fn the_one<'a>(blobs: &'a BTreeMap<String, Value>, parts: &[&str]) -> &'a Value {
    let found: Vec<_> = blobs
        .iter()
        .filter(|(name, _)| parts.iter().all(|part| name.contains(part)))
        .collect();
    assert_eq!(found.len(), 1, "{parts:?} in {:?}", blobs.keys());
    found[0].1
}

/// Waits until so many blobs of a kind are written.
#[track_caller]
fn written(server: &Server, kind: &str, count: usize) {
    let kind = format!("kind=\"{kind}\"");
    until("the blobs are written", || {
        server.metric(&["diagnostics_written_total", &kind]) == count as f64
    });
}

#[test]
fn calls_and_starts_are_written_to_the_workspaces_own_storage() {
    let mut server = chatty().start();
    let service = server.deploy_linear("plain");
    let (_, unasked) = score(&server, &service, &one_x(1.0));
    set_level(&server, &service, "All");
    // Containers start anew with it.
    server.restart();
    let (status, good) = score(&server, &service, &one_x(2.0));
    assert_eq!(status, 200);
    let (status, bad) = score(&server, &service, &unreadable());
    assert_eq!(status, 400);
    // A stranger's call is not the endpoint's.
    let stranger = Service {
        primary: "no key".into(),
        ..service.clone()
    };
    assert_eq!(score(&server, &stranger, &one_x(1.0)).0, 401);
    written(&server, "call", 2);
    written(&server, "start", 1);
    set_level(&server, &service, "Error");
    let (_, quiet) = score(&server, &service, &one_x(3.0));
    written(&server, "call", 3);
    set_level(&server, &service, "None");
    let (_, unseen) = score(&server, &service, &one_x(4.0));
    // What is held is written at the end.
    set_level(&server, &service, "All");
    let (_, last) = score(&server, &service, &one_x(5.0));
    assert!(server.end(libc::SIGTERM).success());

    let blobs = own_blobs(&server, &service.workspace);
    let ids = format!(
        "{}-{}-{}",
        service.workspace, service.service, service.endpoint
    );
    assert_eq!(blobs.len(), 5, "{:?}", blobs.keys());
    for id in [&unasked, &unseen] {
        assert!(!blobs.keys().any(|name| name.contains(id.as_str())));
    }
    let call = |id: &str| the_one(&blobs, &[&format!("{ids}/score/requests/2"), id, ".json"]);

    let good = call(&good);
    assert_eq!(
        (&good["status"], &good["level"]),
        (&json!(200), &json!("All"))
    );
    assert_eq!(good["endpoint"], "plain/default");
    assert!(good.get("error").is_none());
    for stage in ["receive", "wait", "score"] {
        assert!(good["stagesMs"][stage].is_number(), "{stage}: {good}");
    }
    let start = the_one(&blobs, &[&format!("{ids}/score/init/2"), "-container-1-"]);
    assert_eq!(
        (&start["kind"], &start["state"]),
        (&json!("start"), &json!("Ready"))
    );
    assert_eq!(start["container"], good["container"]);
    assert_eq!(start["stdout"], json!(["to-stdout"]));
    assert_eq!(start["stderr"], json!(["to-stderr"]));

    let bad = call(&bad);
    assert_eq!(bad["status"], 400);
    assert_eq!(bad["error"]["details"][0]["code"], "InputParseError");
    assert!(!bad.to_string().contains("P4yl0ad"), "{bad}");

    let quiet = call(&quiet);
    assert_eq!(quiet["level"], "Error");
    assert!(quiet.get("stdout").is_none() && quiet["stderr"].is_array());
    assert_eq!(call(&last)["status"], 200);
}

/// A package that writes its diagnostics into an account.
fn with_account(server: &Server, connection: &str, expiry: Value) -> Value {
    let model = server.upload(&onnx::linear(&[2.0], 1.0));
    let mut package = packages::regression(&model, &["x"]);
    package["properties"]["storageAccount"] = json!({"name": azurite::ACCOUNT, "key": connection});
    package["properties"]["diagnostics"] = json!({"level": "All", "expiry": expiry});
    package
}

const LOOPBACK: &str = "[outbound]\nallow = [\"http://127.0.0.1\"]";

/// Names of the blobs in an account's container of diagnostics; none where there is no container.
fn listed(azurite: &Azurite) -> Vec<String> {
    let signature = azurite.signature("ml-diagnostics", "rl", "2099-01-01T00:00:00Z");
    let path = format!(
        "/{}/ml-diagnostics?restype=container&comp=list&{signature}",
        azurite::ACCOUNT
    );
    let text = Request::new("GET", &path).send(address(azurite)).text();
    let names = text.split("<Name>").skip(1);
    names
        .map(|rest| rest.split('<').next().unwrap_or_default().to_owned())
        .collect()
}

fn read(azurite: &Azurite, name: &str) -> String {
    let signature = azurite.signature("ml-diagnostics", "rl", "2099-01-01T00:00:00Z");
    let path = format!("/{}/ml-diagnostics/{name}?{signature}", azurite::ACCOUNT);
    let reply = Request::new("GET", &path).send(address(azurite));
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.text()
}

fn address(azurite: &Azurite) -> std::net::SocketAddr {
    ([127, 0, 0, 1], azurite.port()).into()
}

#[test]
fn the_services_account_is_written_to_and_its_key_stands_nowhere() {
    let Some(azurite) = Azurite::start() else {
        return;
    };
    let server = chatty().config(LOOPBACK).start();
    let package = with_account(&server, &azurite.connection(), Value::Null);
    let service = server.deploy("census", &package);
    let (status, id) = score(&server, &service, &one_x(1.0));
    assert_eq!(status, 200);
    // The first start was that of the deploy itself.
    written(&server, "start", 1);
    written(&server, "call", 1);
    let names = listed(&azurite);
    assert_eq!(names.len(), 2, "{names:?}");
    let of = |part: &str| {
        names
            .iter()
            .find(|name| name.contains(part))
            .expect("its blob")
    };
    let call = read(&azurite, of(&id));
    let value: Value = serde_json::from_str(&call).expect("JSON");
    assert_eq!(value["status"], 200);
    let start = read(&azurite, of("/score/init/"));
    assert!(start.contains("to-stdout"), "{start}");
    let log = server.log.lines().join("\n");
    for text in [call, start, log] {
        for secret in [azurite::KEY, &service.primary, "AccountKey"] {
            assert!(!text.contains(secret), "{text}");
        }
    }
}

#[test]
fn nothing_is_written_after_the_expiry() {
    let Some(azurite) = Azurite::start() else {
        return;
    };
    let server = Setup::default().config(LOOPBACK).start();
    let soon = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(8);
    let package = with_account(&server, &azurite.connection(), json!(soon.to_string()));
    let service = server.deploy("census", &package);
    until("the expiry", || jiff::Timestamp::now() > soon);
    let (_, id) = score(&server, &service, &one_x(1.0));
    // The next is written, and was called later.
    set_level(&server, &service, "All");
    let (_, next) = score(&server, &service, &one_x(1.0));
    written(&server, "call", 1);
    let names = listed(&azurite);
    assert!(names.iter().any(|name| name.contains(&next)), "{names:?}");
    assert!(!names.iter().any(|name| name.contains(&id)), "{names:?}");
}

#[test]
fn storage_that_is_down_costs_records_and_neither_calls_nor_the_end() {
    // A port that nobody listens on any more.
    let gone = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = gone.local_addr().expect("its address").port();
    drop(gone);
    let endpoint = format!("http://127.0.0.1:{port}/{}", azurite::ACCOUNT);
    let connection = azurite::connection(&endpoint, azurite::KEY);
    let setup = Setup::default().config(LOOPBACK);
    let mut server = setup
        .config("[diagnostics]\nqueue = 10\nflush = \"10s\"")
        .start();
    let package = with_account(&server, &connection, Value::Null);
    let service = server.deploy("census", &package);
    for _ in 0..50 {
        assert_eq!(score(&server, &service, &one_x(1.0)).0, 200);
    }
    until("records are dropped", || {
        server.metric(&["diagnostics_dropped_total", "reason=\"full\""]) > 0.0
    });
    assert!(server.metric(&["diagnostics_queued"]) <= 10.0);
    assert_eq!(server.metric(&["diagnostics_written_total"]), 0.0);
    assert_eq!(server.metric(&["calls_total", "outcome=\"ok\""]), 50.0);
    let said = |line: &str| line.contains("diagnostics cannot be written");
    let line = server
        .log
        .wait_for(std::time::Duration::from_secs(60), said);
    let line = line.expect("the log says so");
    assert!(!line.contains(azurite::KEY), "{line}");
    assert!(server.end(libc::SIGTERM).success());
}

#[test]
fn what_is_known_of_a_job_is_for_whoever_has_a_key_of_its_endpoint() {
    let server = Server::start();
    let service = server.deploy_linear("plain");
    let input = service.upload("in.csv", b"x\n1\n");
    let job = service.submitted(&json!({"Input": input}));
    let reply = service.ask_jobs("GET", &format!("/{job}/logs"));
    assert_eq!(reply.status, 200, "{}", reply.text());
    let logs = reply.json();
    // It was not started: nothing is known of a run.
    assert_eq!(
        logs,
        json!({"Lines": [], "Diagnostics": null, "Problem": null})
    );
    let stranger = Service {
        primary: "no key".into(),
        ..service.clone()
    };
    let reply = stranger.ask_jobs("GET", &format!("/{job}/logs"));
    assert_eq!(reply.status, 401, "{}", reply.text());
    let reply = service.ask_jobs("GET", &format!("/{}/logs", "0".repeat(32)));
    assert_eq!(reply.status, 404, "{}", reply.text());
    assert_eq!(reply.json()["error"]["code"], "NotFound");
}

#[test]
fn jobs_that_ran_are_written_with_what_they_came_to() {
    let server = Server::start();
    let service = server.deploy_linear("recorded");
    set_level(&server, &service, "All");
    let run = |content: &[u8]| {
        let input = service.upload("in.csv", content);
        let job = service.submitted(&json!({"Input": input}));
        service.start_job(&job);
        let ended = service.ended_job(&job);
        let mut written = Value::Null;
        until("the job's blob is there", || {
            let reply = service.ask_jobs("GET", &format!("/{job}/logs"));
            written = reply.json()["Diagnostics"].take();
            !written.is_null()
        });
        (job, ended, written)
    };
    let (job, ended, written) = run(b"x\n1\n2\n");
    assert_eq!(ended["StatusCode"], "Finished", "{ended}");
    let text = written.to_string();
    assert!(text.contains(&job) && text.contains("Finished"), "{text}");
    let (job, ended, written) = run(b"x\n1\nP4yl0ad\n");
    assert_eq!(ended["StatusCode"], "Failed", "{ended}");
    let text = written.to_string();
    assert!(
        text.contains(&job) && text.contains("InputParseError"),
        "{text}"
    );
    // What clients sent is theirs.
    assert!(!text.contains("P4yl0ad"), "{text}");
}
