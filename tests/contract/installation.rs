//! Rows about the installation: its configuration, its disk, its memory.

use std::process::Stdio;

use faults::{Class, Fault, internal_error};
use serde_json::json;

use crate::support::{Request, Server, Setup, assert_fault, one_x, onnx, packages};

/// The ledger cannot be written: another process holds it. (A full disk: `end_to_end`.)
pub fn failed_storing_web_service() {
    let server = Server::start();
    let model = server.upload(&onnx::linear(&[2.0], 1.0));
    let package = packages::regression(&model, &["x"]);
    let ledger =
        rusqlite::Connection::open(server.data().join("ledger.sqlite")).expect("the ledger");
    ledger
        .execute_batch("BEGIN IMMEDIATE")
        .expect("the ledger is held");
    assert_fault(
        &server.put("linear", &package),
        internal_error::failed_storing_web_service(),
    );
    ledger
        .execute_batch("ROLLBACK")
        .expect("the ledger is let go");
    let listed = Request::new("GET", "/umpire/v1/services")
        .bearer(&server.token())
        .send(server.address)
        .json();
    assert_eq!(listed["services"], json!([]), "nothing half-written stays");
    let service = server.deploy("linear", &package);
    assert_eq!(
        service.score_x(1.0).status,
        200,
        "and the same deploy works after it"
    );
}

/// A quota that cannot be read, and one in which nothing can start.
pub fn invalid_memory_configuration() {
    for quota in ["lots", "1MiB"] {
        let dir = tempfile::tempdir().unwrap();
        let output = crate::support::command()
            .args(["serve", "--listen", "127.0.0.1:0", "--data"])
            .arg(dir.path().join("data"))
            .env("UMPIRE_CONTAINERS_MEMORY_QUOTA", quota)
            .stdin(Stdio::null())
            .output()
            .expect("the program runs");
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(4), "{text}");
        let fault = internal_error::invalid_memory_configuration(quota);
        assert!(text.contains(&fault.name()), "{text}");
        assert!(text.contains(&format!("Value: {quota}")), "{text}");
    }
}

/// Starts a server with settings that it must refuse, and finds the fault and its cause on
/// standard error.
fn refused_at_start(settings: &[(&str, &str)], fault: &Fault, cause: &str) {
    let dir = tempfile::tempdir().unwrap();
    let mut command = crate::support::command();
    command
        .args(["serve", "--listen", "127.0.0.1:0", "--data"])
        .arg(dir.path().join("data"));
    for (name, value) in settings {
        command.arg("--set").arg(format!("{name}={value}"));
    }
    let output = command
        .stdin(Stdio::null())
        .output()
        .expect("the program runs");
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(4), "{settings:?}: {text}");
    assert!(text.contains(&fault.name()), "{settings:?}: {text}");
    assert!(text.contains(cause), "{settings:?}: {text}");
}

/// A time limit, retry count and size limit that cannot be read, and ones that nothing can be
/// fetched with.
pub fn invalid_resource_download_configuration() {
    let fault = internal_error::invalid_resource_download_configuration();
    for (name, value) in [
        ("outbound.timeout", "soon"),
        ("outbound.timeout", "0s"),
        ("outbound.timeout", "48h"),
        ("outbound.retries", "often"),
        ("outbound.retries", "1000"),
        ("outbound.max_size", "much"),
        ("outbound.max_size", "0"),
    ] {
        refused_at_start(&[(name, value)], &fault, name);
    }
}

/// A size that cannot be read, one that holds no resource, and a directory that is a file.
pub fn invalid_resource_cache_configuration() {
    let fault = internal_error::invalid_resource_cache_configuration();
    for value in ["much", "0", "1MiB"] {
        refused_at_start(&[("cache.max_size", value)], &fault, "cache.max_size");
    }
    let file = tempfile::NamedTempFile::new().unwrap();
    let path = file.path().to_str().expect("a path");
    refused_at_start(&[("cache.dir", path)], &fault, path);
}

/// The budget of buffered bytes is spent; and the machine has less free memory than it must.
pub fn system_low_on_memory() {
    let server = Setup::default()
        .config("[limits]\nbuffered_bytes = \"64KiB\"")
        .start();
    let service = server.deploy_linear("linear");
    let mut body = one_x(1.0).to_string();
    body.push_str(&" ".repeat(100 * 1024));
    let request = service.request(&json!(null)).body(body);
    assert_fault(
        &request.send(server.address),
        Fault::bare(Class::InternalErrorSystemLowOnMemory),
    );
    assert_fault(
        &request.chunked().send(server.address),
        Fault::bare(Class::InternalErrorSystemLowOnMemory),
    );
    assert_eq!(service.score_x(1.0).status, 200);

    let mut server = Server::start();
    let service = server.deploy_linear("linear");
    server.end(libc::SIGTERM);
    server.configure("[containers]\nmin_free_memory = \"100TiB\"");
    server.start_again();
    let service = crate::support::Service {
        address: server.address,
        ..service
    };
    assert_fault(
        &service.score_x(1.0),
        Fault::bare(Class::InternalErrorSystemLowOnMemory),
    );
}

/// The operator's token was taken away from the running server: nobody can be told from the
/// operator, so nobody is. A new file is the new token, at once.
pub fn admin_authentication_failed() {
    let server = Server::start();
    let old = server.token();
    let path = server.data().join("secrets/operator.token");
    let list = |token: &str| {
        Request::new("GET", "/umpire/v1/services")
            .bearer(token)
            .send(server.address)
    };
    assert_eq!(list(&old).status, 200);

    std::fs::remove_file(&path).expect("the token is taken away");
    for token in [&old, "a guess"] {
        assert_fault(&list(token), internal_error::admin_authentication_failed());
    }
    // Without a credential there is nothing to decide.
    let nobody = Request::new("GET", "/umpire/v1/services").send(server.address);
    assert_fault(&nobody, faults::unauthorized::admin_request_unauthorized());

    std::fs::write(&path, "the operator's next token\n").expect("the token is replaced");
    assert_eq!(list("the operator's next token").status, 200);
    assert_fault(
        &list(&old),
        faults::unauthorized::admin_request_unauthorized(),
    );
}
