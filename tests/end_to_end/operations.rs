//! Running an installation.

use serde_json::Value;

use crate::support::{Request, Server};

fn get(server: &Server, path: &str) -> Value {
    let reply = Request::new("GET", path)
        .bearer(&server.token())
        .send(server.address);
    assert_eq!(reply.status, 200, "{path}: {}", reply.text());
    reply.json()
}

/// An operator replaces a container while calls go on: none fails, and a fresh process has them.
#[test]
fn a_container_is_retired_without_a_failed_call() {
    let server = Server::start();
    let service = server.deploy_linear("linear");
    let list = get(&server, "/umpire/v1/containers");
    let before = &list["containers"][0];
    assert_eq!(before["endpoint"], "linear/default");
    assert_eq!(before["state"], "ready");
    let pid = before["pid"].as_i64().expect("a pid");
    assert!(server.containers().contains(&(pid as i32)));
    let id = before["id"].as_str().expect("an id").to_owned();
    let stop = std::sync::atomic::AtomicBool::new(false);
    let scored = std::thread::scope(|scope| {
        let calls = scope.spawn(|| {
            let mut scored = 0;
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                assert_eq!(service.score_x(1.0).status, 200);
                scored += 1;
            }
            scored
        });
        let post = |id: &str| {
            Request::new("POST", &format!("/umpire/v1/containers/{id}/retire"))
                .bearer(&server.token())
                .send(server.address)
        };
        assert_eq!(post(&id).status, 204);
        assert_eq!(post("77").status, 404);
        crate::support::until("the old process has ended", || {
            !server.containers().contains(&(pid as i32))
        });
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        calls.join().expect("the calls")
    });
    assert!(scored > 0);
    let after = get(&server, "/umpire/v1/containers");
    let pids: Vec<i64> = after["containers"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|c| c["pid"].as_i64())
        .collect();
    assert!(!pids.is_empty() && !pids.contains(&pid), "{after}");
}

#[test]
fn operations_are_for_operators() {
    let server = Server::start();
    let service = server.deploy_linear("linear");
    for (method, path) in [
        ("GET", "/umpire/v1/nodes"),
        ("POST", "/umpire/v1/nodes/x/drain"),
        ("POST", "/umpire/v1/nodes/x/resume"),
        ("GET", "/umpire/v1/containers"),
        ("POST", "/umpire/v1/containers/1/retire"),
    ] {
        let reply = Request::new(method, path)
            .bearer(&service.primary)
            .send(server.address);
        assert_eq!(reply.status, 401, "{method} {path}");
    }
    let unknown = Request::new("POST", "/umpire/v1/nodes/x/drain")
        .bearer(&server.token())
        .send(server.address);
    assert_eq!(unknown.status, 404, "{}", unknown.text());
}
