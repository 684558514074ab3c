//! The command line against a real server.

use std::process::{Command, Output};

use serde_json::{Value, json};

use crate::support::{Request, Server, onnx};

/// Runs a client command against a server, with the token of its data folder.
pub(crate) fn client(server: &Server, arguments: &[&str]) -> Output {
    crate::support::command()
        .args(arguments)
        .env("UMPIRE_SERVER", format!("http://{}", server.address))
        .env("UMPIRE_DATA", server.data())
        .env("NO_COLOR", "1")
        .output()
        .expect("the program runs")
}

#[track_caller]
pub(crate) fn done(output: &Output) -> String {
    assert!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn quickstart_deploys_scores_and_ends() {
    let dir = tempfile::tempdir().unwrap();
    let output = crate::support::command()
        .args(["quickstart", "--once", "--listen", "127.0.0.1:0", "--data"])
        .arg(dir.path().join("data"))
        .output()
        .unwrap();
    let text = done(&output);
    for words in [
        "Scored Labels",
        "scoring URL",
        "primary key",
        "swagger.json",
        "curl ",
    ] {
        assert!(text.contains(words), "{words}: {text}");
    }
}

#[test]
fn quickstart_prints_a_curl_line_that_works() {
    use std::io::{BufRead, BufReader};
    let dir = tempfile::tempdir().unwrap();
    let mut child = crate::support::command()
        .args(["quickstart", "--listen", "127.0.0.1:0", "--data"])
        .arg(dir.path().join("data"))
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let curl = lines
        .map_while(Result::ok)
        .find(|l| l.trim_start().starts_with("curl "))
        .expect("a curl line");
    let output = Command::new("sh")
        .args(["-c", &format!("{curl} --silent --show-error")])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    child.kill().unwrap();
    child.wait().unwrap();
    let reply: Value =
        serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {text} {output:?}"));
    assert_eq!(
        reply["Results"]["output1"][0]["Scored Labels"], "Adelie",
        "{reply}"
    );
}

#[test]
fn a_model_is_deployed_scored_listed_and_deleted() {
    let server = Server::start();
    let dir = tempfile::tempdir().unwrap();
    let model = dir.path().join("model.onnx");
    std::fs::write(&model, onnx::linear(&[2.0, 1.0], 1.0)).unwrap();
    let rows = dir.path().join("rows.csv");
    std::fs::write(&rows, "width,height\n1,2\n3.5,4\n").unwrap();
    let (model, rows) = (model.to_str().unwrap(), rows.to_str().unwrap());

    let deployed = done(&client(
        &server,
        &[
            "deploy", model, "--name", "area", "--sample", rows, "--json",
        ],
    ));
    let deployed: Value = serde_json::from_str(&deployed).unwrap();
    for member in [
        "name",
        "workspace_id",
        "service_id",
        "endpoint_id",
        "scoring_url",
        "primary_key",
        "secondary_key",
        "swagger_url",
        "inputs",
        "outputs",
    ] {
        assert!(!deployed[member].is_null(), "{member}: {deployed}");
    }
    assert!(
        deployed["scoring_url"]
            .as_str()
            .unwrap()
            .contains("api-version=2.0")
    );
    let columns: Vec<_> = deployed["inputs"]["input1"]["properties"]
        .as_object()
        .unwrap()
        .keys()
        .collect();
    assert_eq!(columns, ["width", "height"]);

    let scored = done(&client(&server, &["score", "area", "--input", rows]));
    assert_eq!(scored, "width,height,Scored Labels\n1,2,5\n3.5,4,12\n");
    let body = dir.path().join("rows.json");
    std::fs::write(&body, json!([{"width": 1, "height": 2}]).to_string()).unwrap();
    let scored = done(&client(
        &server,
        &["score", "area", "--input", body.to_str().unwrap(), "--json"],
    ));
    assert!(scored.contains("\"5\""), "{scored}");

    assert!(done(&client(&server, &["services"])).contains("area"));
    let keys = done(&client(&server, &["keys", "area", "--json"]));
    let keys: Value = serde_json::from_str(&keys).unwrap();
    assert_eq!(keys["primary"], deployed["primary_key"]);
    let renewed = done(&client(
        &server,
        &["keys", "area", "--rotate", "primary", "--json"],
    ));
    let renewed: Value = serde_json::from_str(&renewed).unwrap();
    assert_ne!(renewed["primary"], keys["primary"]);
    assert_eq!(renewed["secondary"], keys["secondary"]);

    done(&client(
        &server,
        &["deploy", model, "--name", "area", "--sample", rows],
    ));
    let revisions = done(&client(&server, &["rollback", "area", "--list"]));
    assert!(
        revisions.contains('2') && revisions.contains("answers calls"),
        "{revisions}"
    );
    assert!(done(&client(&server, &["rollback", "area"])).contains("revision 1"));
    assert!(!done(&client(&server, &["logs", "area"])).is_empty());
    done(&client(&server, &["delete", "area"]));
    let gone = client(&server, &["delete", "area"]);
    assert_eq!(gone.status.code(), Some(1), "{gone:?}");
}

#[test]
fn a_package_uploads_its_relative_files() {
    let server = Server::start();
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("model.onnx"), onnx::linear(&[2.0], 1.0)).unwrap();
    let package = crate::support::packages::regression("model.onnx", &["x"]);
    let file = dir.path().join("package.json");
    std::fs::write(&file, package.to_string()).unwrap();
    done(&client(
        &server,
        &["deploy", file.to_str().unwrap(), "--name", "packaged"],
    ));
    assert_eq!(server.service("packaged").score_x(1.0).status, 200);
}

#[test]
fn failures_name_the_code_and_say_what_to_do() {
    let server = Server::start();
    let dir = tempfile::tempdir().unwrap();
    let model = dir.path().join("model.onnx");
    std::fs::write(&model, onnx::unknown_operator()).unwrap();
    let output = client(
        &server,
        &["deploy", model.to_str().unwrap(), "--name", "odd"],
    );
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(
        text.contains("WebServicePackageError.RuntimesError")
            && text.contains("com.example.Divination"),
        "{text}"
    );
    assert!(!text.contains('\u{1b}'), "no colours without a terminal");

    let output = client(&server, &["score", "nothing", "--input", "rows.csv"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let output = crate::support::command()
        .args(["services", "--server", "http://127.0.0.1:9", "--token", "x"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    assert_eq!(client(&server, &["deploy"]).status.code(), Some(2));
    let output = crate::support::command()
        .arg("config")
        .env("UMPIRE_LIMITS_BDOY", "1")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(4), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("UMPIRE_LIMITS_BODY"));
    let explained = done(&client(&server, &["errors", "explain", "requestthrottled"]));
    assert!(
        explained.contains("RequestThrottled") && explained.contains("503"),
        "{explained}"
    );
    let listed = done(&client(&server, &["errors", "list"]));
    assert_eq!(listed.lines().count(), 1 + 18 + 110);
}

#[test]
fn tls_with_a_certificate_of_our_own() {
    let server = crate::support::Setup::default()
        .config("[tls]\nmode = \"self-signed\"")
        .start();
    let ca = server.data().join("tls/self-signed.pem");
    let output = crate::support::command()
        .args(["services", "--ca"])
        .arg(&ca)
        .env("UMPIRE_SERVER", format!("https://{}", server.address))
        .env("UMPIRE_DATA", server.data())
        .output()
        .unwrap();
    done(&output);
    let plain = Request::new("GET", "/livez").try_send(server.address);
    assert!(
        plain.is_err() || plain.is_ok_and(|r| r.status >= 400),
        "plain HTTP is not answered"
    );
    let secrets = std::fs::metadata(server.data().join("tls/self-signed.key")).unwrap();
    assert_eq!(
        std::os::unix::fs::PermissionsExt::mode(&secrets.permissions()) & 0o777,
        0o600
    );
}

#[test]
fn endpoints_are_made_listed_and_deleted() {
    let server = Server::start();
    let service = server.deploy_linear("linear");
    let made = client(
        &server,
        &[
            "endpoints",
            "create",
            "linear",
            "one",
            "--throttle",
            "low",
            "--json",
        ],
    );
    let made: Value = serde_json::from_str(&done(&made)).unwrap();
    assert_eq!(
        (&made["Name"], &made["MaxConcurrentCalls"]),
        (&json!("one"), &json!(4))
    );
    assert_eq!(made["WebServiceId"], json!(service.service));
    let text = done(&client(
        &server,
        &[
            "endpoints",
            "create",
            "linear",
            "two",
            "--calls",
            "50",
            "--description",
            "d",
        ],
    ));
    assert!(
        text.contains("calls      50") && text.contains("primary    "),
        "{text}"
    );
    let keys = |rotate: &[&str]| -> Value {
        let fixed = ["endpoints", "keys", "linear", "two", "--json"];
        let output = client(&server, &[&fixed, rotate].concat());
        serde_json::from_str(&done(&output)).unwrap()
    };
    let before = keys(&[]);
    let after = keys(&["--rotate", "secondary"]);
    assert_eq!(before["primary"], after["primary"]);
    assert_ne!(before["secondary"], after["secondary"]);
    assert_ne!(before["primary"], json!(service.primary));
    assert_eq!(server.service("linear").secondary, service.secondary);
    let refused = client(&server, &["endpoints", "create", "linear", "Three"]);
    assert!(!refused.status.success());
    assert!(String::from_utf8_lossy(&refused.stderr).contains("BadParameterValue"));
    done(&client(&server, &["endpoints", "delete", "linear", "one"]));
    let text = done(&client(&server, &["endpoints", "list", "linear"]));
    let names: Vec<_> = text
        .lines()
        .skip(1)
        .filter_map(|l| l.split(' ').next())
        .collect();
    assert_eq!(names, ["default", "two"], "{text}");
    let refused = client(&server, &["endpoints", "delete", "linear", "default"]);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("UnauthorizedRequest"));
}
