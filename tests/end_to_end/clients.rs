//! Clients that were written for the old service, run as they are.

use std::path::PathBuf;
use std::process::{Command, Output};

use serde_json::{Value, json};

use crate::support::tls::Authority;
use crate::support::{Request, Server, Setup, one_x, onnx};

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
        &[
            &location,
            &service.primary,
            &format!("http://{}", server.address),
            &service.workspace,
            &service.service,
            &server.token(),
        ],
    );
    assert!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Runs a script of `tests/clients` under Node.js with the published packages, against a server
/// with TLS: most of them refuse to send a token without. The arguments are models; says so and
/// does nothing where the packages are not installed.
fn run_published(script: &str, models: &[&[u8]]) {
    let modules = root().join("target/client-node/node_modules");
    if !modules.exists() {
        println!(
            "skipped: no packages of tests/clients/node ({})",
            modules.display()
        );
        return;
    }
    let authority = Authority::new();
    let server = Setup::default().config(&authority.settings()).start();
    // A program of a user's own: its packages stand beside it.
    let folder = tempfile::tempdir().expect("a folder");
    std::os::unix::fs::symlink(&modules, folder.path().join("node_modules")).expect("a link");
    for name in [script, "common.mjs"] {
        let from = root().join("tests/clients").join(name);
        std::fs::copy(from, folder.path().join(name)).expect("the script");
    }
    let mut command = Command::new("node");
    command.arg(script).current_dir(folder.path());
    for (i, model) in models.iter().enumerate() {
        let name = format!("model-{i}.onnx");
        std::fs::write(folder.path().join(&name), model).expect("a model");
        command.arg(name);
    }
    let url = format!("https://{}", server.address);
    let token = crate::support::command()
        .args([
            "token",
            "create",
            "ci",
            "--scope",
            "installation",
            "--role",
            "manage",
        ])
        .args(["--server", &url, "--token", &server.token(), "--ca"])
        .arg(authority.certificate())
        .output()
        .expect("the token's making");
    assert!(token.status.success(), "{token:?}");
    let output = command
        .env("UMPIRE_URL", url)
        .env(
            "UMPIRE_TOKEN",
            String::from_utf8_lossy(&token.stdout).trim(),
        )
        .env("NODE_EXTRA_CA_CERTS", authority.certificate())
        .output()
        .expect("node");
    assert!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn the_published_workspaces_client_works() {
    run_published("workspaces.mjs", &[]);
}

#[test]
fn the_published_web_services_client_works() {
    let [model, other] = [2.0, 10.0].map(|coefficient| onnx::linear(&[coefficient], 1.0));
    run_published("webservices.mjs", &[&model, &other, b"no model"]);
}

#[test]
fn the_published_plans_client_works() {
    run_published("plans.mjs", &[&onnx::linear(&[2.0], 1.0)]);
}

#[test]
fn the_classic_management_flow_works_by_curl() {
    let server = Server::start();
    let service = server.deploy_linear("linear");
    let model = server.upload(&onnx::linear(&[10.0], 1.0));
    let tokens = Request::new("GET", "/umpire/v1/workspaces/default/tokens")
        .bearer(&server.token())
        .send(server.address);
    let tokens = tokens.json();
    let url = format!("http://{}", server.address);
    let output = Command::new("sh")
        .arg(root().join("tests/clients/classic.sh"))
        .arg(format!("{url}/"))
        .arg(model.replace("umpire:sha256:", "umpire/v1/blobs/"))
        .env("UMPIRE_URL", &url)
        .env("WORKSPACE", &service.workspace)
        .env(
            "WORKSPACE_TOKEN",
            tokens["primary"].as_str().expect("a token"),
        )
        .env("SERVICE", &service.service)
        .output()
        .expect("it runs");
    assert!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn the_documented_code_is_the_code_that_runs() {
    let page = std::fs::read_to_string(root().join("docs/clients.md")).expect("the page");
    let folder = root().join("tests/clients");
    let scripts: Vec<String> = std::fs::read_dir(folder)
        .expect("the scripts")
        .filter_map(|entry| std::fs::read_to_string(entry.ok()?.path()).ok())
        .collect();
    let blocks: Vec<&str> = page.split("```").skip(1).step_by(2).collect();
    assert!(blocks.len() > 5, "{blocks:?}");
    for block in blocks {
        let (_, code) = block.split_once('\n').expect("a language");
        assert!(
            scripts.iter().any(|script| script.contains(code)),
            "no script has this:\n{code}"
        );
    }
}
