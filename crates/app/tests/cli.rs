//! The command line without a server: settings, exit codes, help.

use std::path::Path;
use std::process::{Command, Output};

fn umpire(dir: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_umpire"))
        .args(arguments)
        .env_clear()
        .envs(environment.iter().copied())
        .current_dir(dir)
        .output()
        .expect("the program runs")
}

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn config_prints_each_value_with_its_origin_as_toml() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(
        dir.path().join("umpire.toml"),
        "[limits]\nbody = \"1MiB\"\ncalls_under_way = 7\n",
    )
    .unwrap();
    let output = umpire(
        dir.path(),
        &[
            "config",
            "--config",
            "umpire.toml",
            "--listen",
            "127.0.0.1:1",
            "--set",
            "drain=5s",
        ],
        &[("UMPIRE_LIMITS_BODY", "2MiB"), ("UMPIRE_TOKEN", "hush")],
    );
    assert!(output.status.success(), "{}", err(&output));
    let text = out(&output);
    for line in [
        "listen = \"127.0.0.1:1\"  # flag --listen",
        "drain = \"5s\"  # flag --set",
        "body = \"2MiB\"  # environment UMPIRE_LIMITS_BODY",
        "calls_under_way = 7  # file umpire.toml",
        "token = \"***\"  # environment UMPIRE_TOKEN",
        "rows = 100000  # default",
    ] {
        assert!(text.lines().any(|l| l == line), "{line}: {text}");
    }
    assert!(!text.contains("hush"));
    // What is printed can be kept as a file, once the masked secret is taken out.
    let kept: String = text
        .lines()
        .filter(|l| !l.starts_with("token"))
        .map(|l| format!("{l}\n"))
        .collect();
    std::fs::write(dir.path().join("kept.toml"), kept).unwrap();
    let again = umpire(dir.path(), &["config", "--config", "kept.toml"], &[]);
    assert!(
        out(&again).contains("body = \"2MiB\"  # file kept.toml"),
        "{}",
        err(&again)
    );
}

#[test]
fn the_file_can_be_named_by_the_environment() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("a.toml"), "drain = \"7s\"\n").unwrap();
    let output = umpire(dir.path(), &["config"], &[("UMPIRE_CONFIG", "a.toml")]);
    assert!(out(&output).contains("drain = \"7s\"  # file a.toml"));
    let output = umpire(dir.path(), &["config"], &[("UMPIRE_CONFIG", "none.toml")]);
    assert_eq!(output.status.code(), Some(4));
    assert!(err(&output).contains("none.toml"));
}

#[test]
fn what_is_wrong_with_the_configuration_is_said_and_the_code_is_4() {
    let dir = tempfile::tempdir().unwrap();
    for (arguments, words) in [
        (
            &["--set", "lisen=x", "config"][..],
            "did you mean \"listen\"?",
        ),
        (
            &["--set", "limits.body=big", "config"],
            "limits.body: \"big\"",
        ),
        (&["--set", "novalue", "config"], "KEY=VALUE"),
        (&["services", "--server", "ftp://x"], "server: \"ftp://x\""),
        (
            &["serve", "--set", "tls.cert=x.pem", "--data", "d"],
            "tls.key",
        ),
        (
            &["--set", "containers.memory_quota=1KiB", "serve"],
            "InternalError.InvalidMemoryConfiguration",
        ),
    ] {
        let output = umpire(dir.path(), arguments, &[]);
        assert_eq!(output.status.code(), Some(4), "{arguments:?}");
        assert!(
            err(&output).contains(words),
            "{arguments:?}: {}",
            err(&output)
        );
    }
    assert!(!dir.path().join("umpire-data").exists(), "nothing was made");
}

#[test]
fn exit_codes_tell_a_wrong_command_line_from_a_server_that_is_not_there() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(
        umpire(dir.path(), &["nonsense"], &[]).status.code(),
        Some(2)
    );
    // A port that was free a moment ago: nobody listens there.
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .and_then(|l| l.local_addr())
        .unwrap();
    let server = format!("http://{port}");
    let output = umpire(dir.path(), &["services"], &[("UMPIRE_SERVER", &server)]);
    assert_eq!(output.status.code(), Some(3), "{}", err(&output));
    assert!(err(&output).contains("umpire serve"), "{}", err(&output));
    let output = umpire(dir.path(), &["services", "--ca", "none.pem"], &[]);
    assert_eq!(output.status.code(), Some(5), "{}", err(&output));
}

#[test]
fn help_teaches() {
    let dir = tempfile::tempdir().unwrap();
    let help = out(&umpire(dir.path(), &["--help"], &[]));
    for words in ["Exit codes:", "quickstart", "deploy", "--set <KEY=VALUE>"] {
        assert!(help.contains(words), "{words}: {help}");
    }
    assert!(
        !help.contains("container "),
        "the container's command is not for people"
    );
    for command in ["deploy", "score", "serve", "keys", "config", "batch"] {
        let help = out(&umpire(dir.path(), &[command, "--help"], &[]));
        assert!(help.len() > 300, "{command}: {help}");
    }
    for command in ["submit", "wait", "list", "status", "cancel", "logs"] {
        let help = out(&umpire(dir.path(), &["batch", command, "--help"], &[]));
        assert!(
            help.contains("--endpoint") && help.contains("<SERVICE>"),
            "{command}: {help}"
        );
    }
}

#[test]
fn completions_and_version() {
    let dir = tempfile::tempdir().unwrap();
    for shell in ["bash", "zsh", "fish"] {
        let script = out(&umpire(dir.path(), &["completions", shell], &[]));
        assert!(script.contains("quickstart"), "{shell}");
    }
    let version = out(&umpire(dir.path(), &["version"], &[]));
    assert_eq!(
        version.trim(),
        concat!("umpire ", env!("CARGO_PKG_VERSION"))
    );
}

#[test]
fn a_container_is_not_started_by_hand() {
    let dir = tempfile::tempdir().unwrap();
    let output = umpire(dir.path(), &["container"], &[]);
    assert!(!output.status.success());
    assert!(err(&output).contains("umpire serve"), "{}", err(&output));
}

#[test]
fn every_code_is_listed_and_explained() {
    let dir = tempfile::tempdir().unwrap();
    let listed = out(&umpire(dir.path(), &["errors", "list"], &[]));
    assert_eq!(listed.lines().count(), 1 + 18 + 110);
    for line in listed.lines().skip(1) {
        let name = line.split_whitespace().nth(1).unwrap();
        let output = umpire(dir.path(), &["errors", "explain", name], &[]);
        assert!(output.status.success(), "{name}");
        assert!(
            out(&output).contains("What to do:"),
            "{name}: {}",
            out(&output)
        );
    }
    let output = umpire(dir.path(), &["errors", "explain", "RequestTrottled"], &[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(err(&output).contains("ServiceUnavailable.RequestThrottled"));
}
