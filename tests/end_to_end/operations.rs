//! Running an installation.

use std::io::{Read as _, Write as _};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Request, Server, Setup};

/// How long something that will come is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

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
        ("GET", "/umpire/v1/limits"),
        ("PUT", "/umpire/v1/limits"),
        ("GET", "/umpire/v1/cluster/configuration"),
        ("PUT", "/umpire/v1/cluster/configuration"),
        ("POST", "/umpire/v1/configuration/reload"),
        ("POST", "/umpire/v1/secrets/rotate"),
        ("POST", "/umpire/v1/backup"),
        ("GET", "/umpire/v1/services/linear/export"),
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

fn send(server: &Server, method: &str, path: &str, body: &Value) -> crate::support::Reply {
    Request::new(method, path)
        .bearer(&server.token())
        .json(body)
        .send(server.address)
}

fn limit(server: &Server, name: &str) -> (Value, String) {
    let list = get(server, "/umpire/v1/limits");
    let found = list["limits"]
        .as_array()
        .and_then(|all| all.iter().find(|l| l["name"] == name));
    let found = found.unwrap_or_else(|| panic!("no {name} in {list}"));
    let origin = found["origin"].as_str().expect("an origin");
    (found["value"].clone(), origin.to_owned())
}

fn hang_up(server: &Server) {
    // SAFETY: our own child, which has not been waited for.
    unsafe { libc::kill(server.child.id() as i32, libc::SIGHUP) };
}

/// A limit that is changed holds at once and after a restart; a server's own file is stronger.
#[test]
fn limits_are_changed_while_serving_and_kept() {
    let mut server = Setup::default()
        .config("[scoring]\ntimeout = \"45s\"")
        .start();
    let service = server.deploy_linear("linear");
    assert_eq!(
        limit(&server, "limits.body"),
        (json!("16MiB"), "default".to_owned())
    );
    let changed = send(
        &server,
        "PUT",
        "/umpire/v1/limits",
        &json!({"limits.body": "32"}),
    );
    assert_eq!(
        changed.json(),
        json!({"changed": ["limits.body"], "restart": []})
    );
    assert_eq!(limit(&server, "limits.body").1, "cluster configuration");
    assert_eq!(service.score_x(1.0).status, 400);
    let document = get(&server, "/umpire/v1/cluster/configuration");
    assert_eq!(document, json!({"limits": {"body": "32"}}));

    let stronger = send(
        &server,
        "PUT",
        "/umpire/v1/limits",
        &json!({"scoring": {"timeout": "1s"}}),
    );
    assert_eq!(stronger.status, 409, "{}", stronger.text());
    for wrong in [
        json!({"limits.body": "much"}),
        json!({"limits.boddy": "1MiB"}),
        json!({"listen": "0.0.0.0:1"}),
        json!({"containers": {"starting": 0}}),
        json!([]),
    ] {
        let refused = send(&server, "PUT", "/umpire/v1/limits", &wrong);
        assert_eq!(refused.status, 400, "{wrong}: {}", refused.text());
    }
    assert_eq!(get(&server, "/umpire/v1/cluster/configuration"), document);

    server.restart();
    let service = server.service("linear");
    assert_eq!(
        limit(&server, "limits.body"),
        (json!("32"), "cluster configuration".to_owned())
    );
    assert_eq!(service.score_x(1.0).status, 400);
    let taken_out = send(
        &server,
        "PUT",
        "/umpire/v1/limits",
        &json!({"limits.body": null}),
    );
    assert_eq!(taken_out.status, 200, "{}", taken_out.text());
    assert_eq!(get(&server, "/umpire/v1/cluster/configuration"), json!({}));
    assert_eq!(service.score_x(1.0).status, 200);
}

/// SIGHUP reads the file again: what may change does, what may not is named, and a bad file
/// changes nothing.
#[test]
fn a_hang_up_reads_the_settings_again() {
    let mut server = Setup::default().config("[limits]\nbody = \"1MiB\"").start();
    let service = server.deploy_linear("linear");
    let file = server.data().with_file_name("umpire.toml");
    std::fs::write(&file, "threads = 3\n[limits]\nbody = \"32\"\n").unwrap();
    hang_up(&server);
    let told = server
        .log
        .wait_for(PATIENCE, |line| line.contains("read again"))
        .expect("the log says so");
    assert!(
        told.contains("limits.body") && told.contains("threads"),
        "{told}"
    );
    assert_eq!(service.score_x(1.0).status, 400);

    std::fs::write(&file, "[limits]\nboddy = \"1MiB\"\n").unwrap();
    hang_up(&server);
    server
        .log
        .wait_for(PATIENCE, |line| {
            line.contains("did you mean") && line.contains("limits.body")
        })
        .expect("the log says what is wrong");
    server
        .log
        .wait_for(PATIENCE, |line| line.contains("stay as they were"))
        .expect("and that nothing changed");
    assert_eq!(limit(&server, "limits.body").0, json!("32"));
    let asked = send(
        &server,
        "POST",
        "/umpire/v1/configuration/reload",
        &json!({}),
    );
    assert_eq!(asked.status, 500, "{}", asked.text());

    std::fs::write(&file, "[log]\nlevel = \"debug\"\n").unwrap();
    let asked = send(
        &server,
        "POST",
        "/umpire/v1/configuration/reload",
        &json!({}),
    );
    assert_eq!(
        asked.json(),
        json!({"changed": ["log.level", "limits.body"], "restart": []})
    );
    assert_eq!(service.score_x(1.0).status, 200);
    assert!(server.end(libc::SIGTERM).success());
}

/// A certificate and its key in files.
fn certificate(folder: &Path) -> Vec<u8> {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(folder.join("cert.pem"), made.cert.pem()).unwrap();
    std::fs::write(folder.join("key.pem"), made.signing_key.serialize_pem()).unwrap();
    made.cert.der().to_vec()
}

type Tls = rustls::StreamOwned<rustls::ClientConnection, std::net::TcpStream>;

/// A connection to a server that shows exactly this certificate.
fn connect(server: &Server, certificate: &[u8]) -> std::io::Result<Tls> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(certificate.to_vec().into()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = "localhost".try_into().unwrap();
    let client = rustls::ClientConnection::new(Arc::new(config), name).unwrap();
    let stream = std::net::TcpStream::connect(server.address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut tls = rustls::StreamOwned::new(client, stream);
    alive(&mut tls)?;
    Ok(tls)
}

/// Asks whether the server lives, and leaves the connection open.
fn alive(tls: &mut Tls) -> std::io::Result<()> {
    tls.write_all(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
    let mut reply = Vec::new();
    while !reply.ends_with(b"\r\n\r\nok\n") {
        let mut byte = [0];
        tls.read_exact(&mut byte)?;
        reply.push(byte[0]);
    }
    assert!(reply.starts_with(b"HTTP/1.1 200"));
    Ok(())
}

/// A new certificate is shown to who comes, while who is there goes on; a bad one changes nothing.
#[test]
fn a_hang_up_shows_a_new_certificate() {
    let folder = tempfile::tempdir().unwrap();
    let first = certificate(folder.path());
    let path = |name: &str| folder.path().join(name).display().to_string();
    let server = Setup::default()
        .argument("--tls-cert")
        .argument(&path("cert.pem"))
        .argument("--tls-key")
        .argument(&path("key.pem"))
        .start();
    let mut before = connect(&server, &first).expect("the first certificate is shown");
    let second = certificate(folder.path());
    assert!(
        connect(&server, &second).is_err(),
        "not before it is asked for"
    );
    hang_up(&server);
    server
        .log
        .wait_for(PATIENCE, |line| line.contains("read again"))
        .expect("the log says so");
    let mut after = connect(&server, &second).expect("the second certificate is shown");
    assert!(connect(&server, &first).is_err());
    alive(&mut before).expect("the old connection goes on");

    std::fs::write(folder.path().join("key.pem"), "no key").unwrap();
    hang_up(&server);
    server
        .log
        .wait_for(PATIENCE, |line| line.contains("stay as they were"))
        .expect("the log says so");
    connect(&server, &second).expect("the certificate stays");
    alive(&mut after).expect("the connection goes on");
}

/// A command of the binary against a server; its standard output.
fn umpire(server: &Server, arguments: &[&str]) -> std::process::Output {
    crate::support::command()
        .args(arguments)
        .arg("--data")
        .arg(server.data())
        .stdin(std::process::Stdio::null())
        .output()
        .expect("the program runs")
}

#[track_caller]
fn succeeds(output: &std::process::Output) -> String {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}{errors}");
    text
}

/// The master key is changed while the server is killed at any moment: keys, secrets and the
/// operator's token open afterwards, whichever key it is.
#[test]
fn a_kill_in_the_middle_of_a_change_of_the_master_key_loses_nothing() {
    let rounds = if std::env::var_os("UMPIRE_TEST_FULL").is_some() {
        40
    } else {
        6
    };
    let mut server = Server::start();
    let service = server.deploy_linear("linear");
    let token = server.token();
    for round in 0..rounds {
        let delay = Duration::from_micros(300 + 1700 * round);
        std::thread::scope(|scope| {
            let (token, address) = (&token, server.address);
            scope.spawn(move || {
                // Answered or not: both are right.
                let _ = Request::new("POST", "/umpire/v1/secrets/rotate")
                    .bearer(token)
                    .try_send(address);
            });
            std::thread::sleep(delay);
            server.end(libc::SIGKILL);
        });
        server.start_again();
        let after = server.service("linear");
        assert_eq!(
            (&after.primary, &after.secondary),
            (&service.primary, &service.secondary),
            "round {round}"
        );
        assert_eq!(after.score_x(1.0).status, 200);
        assert!(!server.data().join("secrets/master.key.next").exists());
    }
    let key = |server: &Server| std::fs::read(server.data().join("secrets/master.key")).unwrap();
    let before = key(&server);
    let told = succeeds(&umpire(&server, &["secrets", "rotate"]));
    assert!(told.contains("master.key.until-"), "{told}");
    assert_ne!(key(&server), before);
    let refused = umpire(&server, &["secrets", "rotate", "--offline"]);
    assert!(!refused.status.success(), "the server holds the directory");

    let before = key(&server);
    server.end(libc::SIGTERM);
    succeeds(&umpire(&server, &["secrets", "rotate", "--offline"]));
    assert_ne!(key(&server), before);
    server.start_again();
    let after = server.service("linear");
    assert_eq!(after.primary, service.primary);
    let rotated = umpire(&server, &["keys", "rotate", "linear", "--which", "primary"]);
    assert!(!succeeds(&rotated).contains(&service.primary));
    assert_eq!(after.score_x(1.0).status, 401, "that key is another now");
    let shown = succeeds(&umpire(&server, &["keys", "linear"]));
    assert!(shown.contains(&service.secondary), "{shown}");
}

/// Blobs over the limit are refused by name, what is there goes on, and a little free disk is told.
#[test]
fn the_disk_has_a_limit_and_is_watched() {
    let server = Setup::default()
        .config("[limits]\ndisk_low = \"1024TiB\"")
        .start();
    let service = server.deploy_linear("linear");
    server
        .log
        .wait_for(PATIENCE, |line| line.contains("little is free"))
        .expect("the log warns");
    assert_eq!(server.metric(&["disk_low "]), 1.0);
    assert_eq!(
        Request::new("GET", "/readyz").send(server.address).status,
        200
    );
    assert!(server.metric(&["disk_free_bytes "]) > 0.0);
    let limited = send(
        &server,
        "PUT",
        "/umpire/v1/limits",
        &json!({"limits.disk": "1KiB"}),
    );
    assert_eq!(limited.status, 200, "{}", limited.text());
    let large = vec![7; 2000];
    let upload = || {
        Request::new(
            "PUT",
            &format!("/umpire/v1/blobs/{}", crate::support::sha256(&large)),
        )
        .bearer(&server.token())
        .body(large.clone())
        .send(server.address)
    };
    let full = faults::internal_error::failed_storing_web_service();
    crate::support::assert_fault(&upload(), full);
    assert_eq!(service.score_x(1.0).status, 200);
    let model = server.upload(&crate::support::onnx::linear(&[3.0], 1.0));
    server.deploy(
        "linear",
        &crate::support::packages::regression(&model, &["x"]),
    );
    let limited = send(
        &server,
        "PUT",
        "/umpire/v1/limits",
        &json!({"limits.disk": null}),
    );
    assert_eq!(limited.status, 200, "{}", limited.text());
    assert_eq!(upload().status, 201);
}

/// Fewer revisions are kept when an operator says so, after a restart of those that are there too.
#[test]
fn fewer_revisions_are_kept_when_asked() {
    let mut server = Server::start();
    for _ in 0..4 {
        server.deploy_linear("linear");
    }
    let kept = |server: &Server| {
        get(server, "/umpire/v1/services/linear/revisions")["revisions"]
            .as_array()
            .expect("a list")
            .len()
    };
    assert_eq!(kept(&server), 4);
    let changed = send(
        &server,
        "PUT",
        "/umpire/v1/limits",
        &json!({"retention.revisions": 1}),
    );
    assert_eq!(changed.status, 200, "{}", changed.text());
    server.restart();
    crate::support::until("old revisions are gone", || kept(&server) == 2);
    crate::support::until("they are counted", || {
        server.metric(&["pruned_total", "revisions"]) == 2.0
    });
}
