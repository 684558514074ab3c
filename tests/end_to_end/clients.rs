//! Clients that were written for the old service, run as they are.

use std::path::PathBuf;
use std::process::{Command, Output};

use serde_json::{Value, json};

use crate::support::{Server, one_x};

fn root() -> PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .expect("crates/app")
        .to_path_buf()
}

/// Runs a script of `tests/clients` with a Python; the output of both streams.
fn run(python: &std::path::Path, script: &str, arguments: &[&str]) -> Output {
    Command::new(python)
        .arg(root().join("tests/clients").join(script))
        .args(arguments)
        .output()
        .unwrap_or_else(|e| panic!("{}: {e}", python.display()))
}

#[test]
fn the_sample_of_the_old_help_pages_works() {
    let server = Server::start();
    let service = server.deploy_linear("linear");
    let url = format!(
        "http://{}{}?api-version=2.0&details=true",
        server.address,
        service.path()
    );
    let output = run(
        std::path::Path::new("python3"),
        "sample_client.py",
        &[&url, &service.primary, &one_x(3.0).to_string()],
    );
    assert!(output.status.success(), "{output:?}");
    let reply: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(
        reply["Results"]["output1"]["value"]["Values"],
        json!([["3", "7"]])
    );
    let output = run(
        std::path::Path::new("python3"),
        "sample_client.py",
        &[&url, "wrong", "{}"],
    );
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        text.contains("status code: 401") && text.contains("x-ms-request-id"),
        "{text}"
    );
}

#[test]
fn the_published_python_client_works() {
    let python = match std::env::var_os("UMPIRE_CLIENT_PYTHON") {
        Some(path) => PathBuf::from(path),
        None => root().join("target/client-venv/bin/python"),
    };
    if !python.exists() {
        println!(
            "skipped: no Python with tests/clients/requirements.txt ({})",
            python.display()
        );
        return;
    }
    let server = Server::start();
    let service = server.deploy_linear("linear");
    let location = format!(
        "http://{}{}",
        server.address,
        service.path().trim_end_matches("/execute")
    );
    let output = run(
        &python,
        "published_client.py",
        &[&location, &service.primary],
    );
    assert!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}
