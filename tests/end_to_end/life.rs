//! How servers and containers live and end.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use crate::support::{Connection, Request, Server, Setup, one_x, onnx, packages, until};

#[test]
fn a_new_revision_takes_over_without_a_failed_call_and_can_be_taken_back() {
    let server = Server::start();
    let service = server.deploy_linear("linear");
    let stop = AtomicBool::new(false);
    let calls = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while !stop.load(SeqCst) {
                    let reply = service.score_x(1.0);
                    assert_eq!(reply.status, 200, "{}", reply.text());
                    let value = reply.json()["Results"]["output1"]["value"]["Values"][0][1].clone();
                    let value = value.as_str().unwrap().to_owned();
                    assert!(
                        ["3", "11", "101"].contains(&value.as_str()),
                        "old or new whole: {value}"
                    );
                    calls.fetch_add(1, SeqCst);
                }
            });
        }
        for (coefficient, expected) in [(10.0, "11"), (100.0, "101")] {
            let model = server.upload(&onnx::linear(&[coefficient], 1.0));
            let again = server.deploy("linear", &packages::regression(&model, &["x"]));
            assert_eq!(
                (again.endpoint.as_str(), again.primary.as_str()),
                (service.endpoint.as_str(), service.primary.as_str())
            );
            // From the answer of the deploy on, every call is one of the new revision.
            let reply = service.score_x(1.0).json();
            assert_eq!(
                reply["Results"]["output1"]["value"]["Values"][0][1],
                expected
            );
        }
        stop.store(true, SeqCst);
    });
    assert!(calls.load(SeqCst) > 0);
    let rollback = |body: &str| {
        Request::new("POST", "/umpire/v1/services/linear/rollback")
            .bearer(&server.token())
            .body(body)
            .send(server.address)
    };
    let reply = rollback("{}");
    assert_eq!(reply.status, 200, "{}", reply.text());
    let scored = service.score_x(1.0).json();
    assert_eq!(scored["Results"]["output1"]["value"]["Values"][0][1], "11");
    assert_eq!(rollback(r#"{"to": 1}"#).status, 200);
    let scored = service.score_x(1.0).json();
    assert_eq!(scored["Results"]["output1"]["value"]["Values"][0][1], "3");
    assert_eq!(
        rollback(r#"{"to": 99}"#).status,
        404,
        "a revision that nobody keeps"
    );
}

#[test]
fn a_failed_revision_changes_nothing() {
    let server = Server::start();
    let service = server.deploy_linear("linear");
    let model = server.upload(b"no model");
    assert_eq!(
        server
            .put("linear", &packages::regression(&model, &["x"]))
            .status,
        500
    );
    let reply = service.score_x(1.0).json();
    assert_eq!(reply["Results"]["output1"]["value"]["Values"][0][1], "3");
}

#[test]
fn nothing_of_a_killed_gateway_stays_behind() {
    let mut server = Server::start();
    let model = server.upload(&onnx::slow(50));
    let service = server.deploy("slow", &packages::regression(&model, &["x"]));
    let mut call = Connection::open(server.address).unwrap();
    call.send(&service.request(&one_x(3000.0))).unwrap();
    until("a call is under way", || {
        server.metric(&["calls_under_way"]) >= 1.0
    });
    let containers = server.containers();
    assert!(!containers.is_empty());
    server.end(libc::SIGKILL);
    until("its containers are gone", || {
        containers
            .iter()
            .all(|pid| !std::path::Path::new(&format!("/proc/{pid}")).exists() || is_zombie(*pid))
    });
}

fn is_zombie(pid: i32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .ok()
        .and_then(|s| {
            s.rsplit_once(')')
                .map(|(_, rest)| rest.trim_start().starts_with('Z'))
        })
        .unwrap_or(true)
}

#[test]
fn sigterm_lets_calls_finish_and_takes_no_more() {
    let mut server = Server::start();
    let model = server.upload(&onnx::slow(8));
    let service = server.deploy("slow", &packages::regression(&model, &["x"]));
    let mut call = Connection::open(server.address).unwrap();
    call.send(&service.request(&one_x(600.0))).unwrap();
    until("a call is under way", || {
        server.metric(&["calls_under_way"]) >= 1.0
    });
    let containers = server.containers();
    // SAFETY: the process is our own child and has not been waited for.
    unsafe { libc::kill(server.child.id() as i32, libc::SIGTERM) };
    until("no new connection is taken", || {
        Request::new("GET", "/livez")
            .try_send(server.address)
            .is_err()
    });
    let reply = call
        .read_reply(false)
        .expect("the call under way is answered");
    assert_eq!(reply.status, 200, "{}", reply.text());
    let status = server.child.wait().unwrap();
    assert!(status.success(), "{status}");
    assert!(
        containers
            .iter()
            .all(|pid| !std::path::Path::new(&format!("/proc/{pid}")).exists())
    );
}

#[test]
fn a_second_sigterm_ends_at_once() {
    let mut server = Server::start();
    let model = server.upload(&onnx::slow(50));
    let service = server.deploy("slow", &packages::regression(&model, &["x"]));
    let mut call = Connection::open(server.address).unwrap();
    call.send(&service.request(&one_x(3000.0))).unwrap();
    until("a call is under way", || {
        server.metric(&["calls_under_way"]) >= 1.0
    });
    // SAFETY: the process is our own child and has not been waited for.
    unsafe { libc::kill(server.child.id() as i32, libc::SIGTERM) };
    server
        .log
        .wait_for(Duration::from_secs(20), |l| l.contains("draining"))
        .expect("it drains");
    assert!(!server.end(libc::SIGTERM).success());
}

#[test]
fn a_second_server_on_the_same_data_is_refused() {
    let server = Server::start();
    let output = crate::support::command()
        .args(["serve", "--listen", "127.0.0.1:0", "--data"])
        .arg(server.data())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("Conflict"), "{text}");
}

#[test]
fn a_throttled_burst_loses_no_permit() {
    let server = Setup::default().start();
    let model = server.upload(&onnx::linear(&[2.0], 1.0));
    let mut package = packages::regression(&model, &["x"]);
    package["properties"]["realtimeConfiguration"] = serde_json::json!({"maxConcurrentCalls": 4});
    let service = server.deploy("linear", &package);
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                for i in 0..20 {
                    if i % 5 == 0 {
                        // Goes away without waiting for the answer.
                        let mut connection = Connection::open(server.address).unwrap();
                        connection.send(&service.request(&one_x(1.0))).unwrap();
                        continue;
                    }
                    let status = service.score_x(1.0).status;
                    assert!(status == 200 || status == 503, "{status}");
                }
            });
        }
    });
    until("all permits are back", || {
        server.metric(&["calls_under_way"]) < 0.5
    });
    for _ in 0..20 {
        assert_eq!(service.score_x(1.0).status, 200);
    }
}

#[test]
fn containers_that_are_kept_warm_are_there_before_the_first_call() {
    let mut server = Setup::default()
        .config("[containers]\nmin_instances = 1")
        .start();
    let service = server.deploy_linear("linear");
    server.restart();
    until("a container is ready", || {
        server.metric(&["containers_ready"]) >= 1.0
    });
    let service = crate::support::Service {
        address: server.address,
        ..service
    };
    assert_eq!(service.score_x(1.0).status, 200);
}
