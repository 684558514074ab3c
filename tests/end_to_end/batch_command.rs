//! `umpire batch` against a real server: files here, jobs there.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;

use serde_json::Value;

use super::command_line::{client, done};
use crate::support::{Server, onnx};

/// A server with a service `area` of the columns `width` and `height`.
fn server(dir: &Path) -> Server {
    let server = Server::start();
    fs::write(dir.join("model.onnx"), onnx::linear(&[2.0, 1.0], 1.0)).unwrap();
    fs::write(dir.join("sample.csv"), "width,height\n1,2\n3.5,4\n").unwrap();
    let path = |name: &str| dir.join(name).to_str().unwrap().to_owned();
    let (model, sample) = (path("model.onnx"), path("sample.csv"));
    done(&client(
        &server,
        &["deploy", &model, "--name", "area", "--sample", &sample],
    ));
    server
}

/// The JSON lines of an output.
fn events(text: &str) -> Vec<Value> {
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}")))
        .collect()
}

#[track_caller]
fn event<'e>(events: &'e [Value], name: &str) -> &'e Value {
    let found = events.iter().find(|event| event["event"] == name);
    found.unwrap_or_else(|| panic!("no {name}: {events:?}"))
}

/// The files of a folder.
fn files(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn a_file_is_uploaded_scored_and_downloaded() {
    let dir = tempfile::tempdir().unwrap();
    let server = server(dir.path());
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let (rows, scored) = (path("rows.csv"), path("scored.csv"));
    fs::write(&rows, "height,width\n2,1.0\n4,3.50\n").unwrap();
    // What had the name is replaced.
    fs::write(&scored, "old").unwrap();
    let submit = [
        "batch", "submit", "area", "--input", &rows, "--output", &scored,
    ];
    let told = done(&client(&server, &[&submit[..], &["--wait"]].concat()));
    assert_eq!(
        fs::read_to_string(&scored).unwrap(),
        "width,height,Scored Labels\n1.0,2,5\n3.50,4,12\n"
    );
    let told = events(&told);
    let finished = event(&told, "finished");
    assert_eq!(
        (&finished["rows"], &finished["rejected"]),
        (&2.into(), &0.into())
    );
    assert_eq!(finished["outputs"]["output1"], scored.as_str());
    let job = event(&told, "submitted")["job"].as_str().unwrap();
    assert_eq!(finished["job"], job);
    assert_eq!(event(&told, "progress")["job"], job);
    assert_eq!(
        files(dir.path()),
        ["model.onnx", "rows.csv", "sample.csv", "scored.csv"]
    );

    // In two steps, and what can be asked meanwhile.
    fs::remove_file(&scored).unwrap();
    let told = events(&done(&client(&server, &submit)));
    let later = event(&told, "submitted")["job"]
        .as_str()
        .unwrap()
        .to_owned();
    let output = format!("output1={scored}");
    done(&client(
        &server,
        &["batch", "wait", "area", &later, "--output", &output],
    ));
    assert!(
        fs::read_to_string(&scored)
            .unwrap()
            .ends_with("3.50,4,12\n")
    );
    let status = done(&client(&server, &["batch", "status", "area", &later]));
    assert!(
        status.contains("Finished") && status.contains(&later),
        "{status}"
    );
    let list = done(&client(&server, &["batch", "list", "area"]));
    assert!(list.contains(job) && list.contains(&later), "{list}");
    let list = done(&client(
        &server,
        &["batch", "list", "area", "--state", "failed", "--json"],
    ));
    assert_eq!(
        serde_json::from_str::<Value>(&list).unwrap(),
        Value::Array(Vec::new())
    );
    // A job that has ended is not changed by it.
    let cancelled = done(&client(&server, &["batch", "cancel", "area", &later]));
    assert!(cancelled.contains("Finished"), "{cancelled}");
}

#[test]
fn a_large_file_goes_in_blocks_and_comes_back_whole() {
    let dir = tempfile::tempdir().unwrap();
    let server = server(dir.path());
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let (rows, scored) = (path("rows.csv"), path("scored.csv"));
    let (mut text, mut expected) = (
        "width,height\n".to_owned(),
        "width,height,Scored Labels\n".to_owned(),
    );
    // Longer than two blocks of an upload, with numbers that are no longer as doubles.
    for i in 0..400_000 {
        let (width, height) = (i, i % 97);
        text.push_str(&format!("{width}.0000000000,{height}.00000000\n"));
        let label = 2 * width + height + 1;
        expected.push_str(&format!("{width}.0000000000,{height}.00000000,{label}\n"));
    }
    assert!(text.len() > 10 << 20);
    fs::write(&rows, text).unwrap();
    done(&client(
        &server,
        &[
            "batch", "submit", "area", "--input", &rows, "--output", &scored, "--wait",
        ],
    ));
    assert!(fs::read_to_string(&scored).unwrap() == expected);
}

#[test]
fn a_job_that_fails_says_why_and_leaves_no_file() {
    let dir = tempfile::tempdir().unwrap();
    let server = server(dir.path());
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let (rows, scored) = (path("rows.csv"), path("scored.csv"));
    fs::write(&rows, "width,height\n1,2\nwide,4\n5,6\n").unwrap();
    let submit = [
        "batch", "submit", "area", "--input", &rows, "--output", &scored, "--wait",
    ];
    let output = client(&server, &submit);
    assert_eq!(output.status.code(), Some(6), "{output:?}");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    for words in [
        "BadUserArgument.InputParseError",
        "line 3",
        "hint: ",
        "job: ",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
    let told = events(&String::from_utf8_lossy(&output.stdout));
    assert_eq!(
        event(&told, "failed")["error"]["details"][0]["code"],
        "InputParseError"
    );
    assert_eq!(files(dir.path()), ["model.onnx", "rows.csv", "sample.csv"]);
    let job = event(&told, "submitted")["job"]
        .as_str()
        .unwrap()
        .to_owned();
    let logs = done(&client(&server, &["batch", "logs", "area", &job]));
    assert!(logs.contains("InputParseError"), "{logs}");

    // The same with the bad row set aside.
    let rejects = path("rejects.csv");
    let told = done(&client(
        &server,
        &[&submit[..], &["--rejects", &rejects]].concat(),
    ));
    let told = events(&told);
    let finished = event(&told, "finished");
    assert_eq!(
        (&finished["rows"], &finished["rejected"]),
        (&2.into(), &1.into())
    );
    assert_eq!(
        fs::read_to_string(&scored).unwrap(),
        "width,height,Scored Labels\n1,2,5\n5,6,17\n"
    );
    let kept = fs::read_to_string(&rejects).unwrap();
    let lines: Vec<&str> = kept.lines().collect();
    assert_eq!(lines[0], "line,reason,record");
    assert!(
        lines[1].starts_with("3,") && lines[1].ends_with(",\"wide,4\""),
        "{kept}"
    );
}

#[test]
fn what_is_refused_names_its_code_and_nothing_is_uploaded_for_a_file_that_is_not_there() {
    let dir = tempfile::tempdir().unwrap();
    let server = server(dir.path());
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let (rows, scored) = (path("sample.csv"), path("scored.csv"));
    let submit =
        |arguments: &[&str]| client(&server, &[&["batch", "submit", "area"], arguments].concat());
    for (arguments, code, words) in [
        (&["--input", "blob:none/none.csv"][..], 1, "BlobNotFound"),
        (
            &["--input", &rows, "--param", "x=1"],
            1,
            "UnexpectedParameter",
        ),
        (&["--input", &rows, "--key", "wrong"], 1, "Unauthorized"),
        (
            &["--input", &path("none.csv")],
            5,
            "none.csv cannot be read",
        ),
        (&["--input", "other=x.csv"], 2, "the service has input1"),
        (
            &["--input", &rows, "--output", &path("none/x.csv"), "--wait"],
            5,
            "x.csv cannot be written",
        ),
        (
            &[
                "--input",
                &rows,
                "--rejects",
                "r.csv",
                "--on-bad-row",
                "fail",
            ],
            2,
            "--on-bad-row",
        ),
        (
            &["--input", &rows, "--output", &scored, "--endpoint", "none"],
            1,
            "",
        ),
    ] {
        let output = submit(arguments);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
        assert!(said.contains(words), "{arguments:?}: {said}");
    }
    assert_eq!(files(dir.path()), ["model.onnx", "sample.csv"]);
    let list = done(&client(&server, &["batch", "list", "area", "--json"]));
    assert_eq!(list.trim(), "[]");
}

#[test]
fn control_c_cancels_the_job_and_leaves_no_file() {
    let dir = tempfile::tempdir().unwrap();
    let server = server(dir.path());
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    // The more rows, the surer it is that the signal comes before their end.
    fs::write(
        path("rows.csv"),
        "width,height\n".to_owned() + &"1.25,2.5\n".repeat(3_000_000),
    )
    .unwrap();
    let mut child = crate::support::command()
        .args(["batch", "submit", "area", "--wait"])
        .args(["--input", &path("rows.csv")])
        .args(["--output", &path("scored.csv")])
        .env("UMPIRE_SERVER", format!("http://{}", server.address))
        .env("UMPIRE_DATA", server.data())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut told = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut next = || serde_json::from_str::<Value>(&told.next().unwrap().unwrap()).unwrap();
    let submitted = loop {
        let event = next();
        if event["event"] == "submitted" {
            break event;
        }
    };
    let pid = child.id() as libc::pid_t;
    // SAFETY: a signal to a child that is not waited for yet.
    let sent = unsafe { libc::kill(pid, libc::SIGINT) };
    assert_eq!(sent, 0);
    while next()["event"] != "cancelled" {}
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert_eq!(files(dir.path()), ["model.onnx", "rows.csv", "sample.csv"]);
    let job = submitted["job"].as_str().unwrap();
    let status = done(&client(
        &server,
        &["batch", "status", "area", job, "--json"],
    ));
    let status: Value = serde_json::from_str(&status).unwrap();
    assert_eq!(status["StatusCode"], "Cancelled", "{status}");
}
