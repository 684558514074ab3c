//! Batch jobs as clients run them: the habits of the published ones, the shapes of both versions,
//! the list, and what strangers are told.

use std::path::PathBuf;
use std::process::{Command, Output};

use faults::{Class, Fault, bad_argument, unauthorized};
use serde_json::{Value, json};

use crate::support::azurite::Azurite;
use crate::support::batch::{fetch, fetched, own};
use crate::support::{
    Reply, Request, SUBSCRIPTION, Server, Service, Setup, assert_fault, assert_fault_in, packages,
};

/// A service, `y = 2·x + 1`, and a file of rows for it.
fn with_rows(server: &Server) -> (Service, Value) {
    let service = server.deploy_linear("linear");
    let rows = service.upload("in.csv", ROWS);
    (service, rows)
}

const ROWS: &[u8] = b"x\n1\n2.5\n-3\n";

fn job(rows: &Value) -> Value {
    json!({
        "Inputs": {"input1": rows},
        "Outputs": {"output1": own("batch/out.csv")},
        "GlobalParameters": {},
    })
}

const SCORED: &str = "x,Scored Labels\n1,3\n2.5,6\n-3,-5\n";

/// The text of a job's only result.
#[track_caller]
fn result(status: &Value) -> String {
    String::from_utf8(fetched(&status["Results"]["output1"])).expect("UTF-8")
}

#[test]
fn a_job_goes_from_its_input_to_its_output() {
    let server = Server::start();
    let (service, rows) = with_rows(&server);
    let reply = service.submit(&job(&rows));
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(
        reply.header("content-type"),
        Some("application/json; charset=utf-8")
    );
    assert_eq!(
        (reply.body[0], reply.body[33], reply.body.len()),
        (b'"', b'"', 34)
    );
    let id = reply.text().trim_matches('"').to_owned();
    // It waits to be started.
    let waiting = service.job(&id);
    assert_eq!(waiting["StatusCode"], "NotStarted");
    assert!(waiting["Results"].is_null() && waiting["Details"].is_null());
    assert!(waiting["StartTime"].is_null() && waiting["EndTime"].is_null());
    assert!(
        waiting["CreatedAt"]
            .as_str()
            .is_some_and(|t| t.ends_with('Z'))
    );
    service.start_job(&id);
    let finished = service.finished_job(&id);
    assert_eq!(result(&finished), SCORED);
    let reference = &finished["Results"]["output1"];
    assert!(reference["SasBlobToken"].as_str().unwrap().starts_with('?'));
    let progress = &finished["Progress"];
    assert_eq!(
        (&progress["Rows"], &progress["Rejected"]),
        (&json!(3), &json!(0))
    );
    assert_eq!(progress["Percent"], 100.0);
    assert_eq!(
        (&finished["State"], &finished["Rejects"]),
        (&json!("Finished"), &Value::Null)
    );
    assert!(finished["EndTime"].as_str() >= finished["StartTime"].as_str());
    // An output that is not named lies in the workspace's own store too, under a name of its own.
    let finished = service.run_job(&json!({"Input": rows, "Outputs": null}));
    let reference = &finished["Results"]["output1"];
    assert!(
        reference["RelativeLocation"]
            .as_str()
            .unwrap()
            .contains("experimentoutput/")
    );
    assert_eq!(result(&finished), SCORED);
    // The signature is what opens it, for reading alone.
    let mut bare = reference.clone();
    bare["SasBlobToken"] = "".into();
    assert!(
        matches!(fetch(&bare).status, 401 | 403),
        "{}",
        fetch(&bare).text()
    );
}

#[test]
fn both_url_families_and_both_keys_open_the_jobs_of_an_endpoint() {
    let server = Server::start();
    let (service, rows) = with_rows(&server);
    let family = format!(
        "/subscriptions/{SUBSCRIPTION}/services/{}/jobs",
        service.service
    );
    let ask = |method: &str, rest: &str| {
        Request::new(method, &format!("{family}{rest}?api-version=2.0")).bearer(&service.secondary)
    };
    let reply = ask("POST", "").json(&job(&rows)).send(server.address);
    assert_eq!(reply.status, 200, "{}", reply.text());
    let id = reply.text().trim_matches('"').to_owned();
    assert_eq!(
        ask("POST", &format!("/{id}/start"))
            .send(server.address)
            .status,
        204
    );
    assert_eq!(result(&service.finished_job(&id)), SCORED);
    assert_eq!(
        ask("GET", &format!("/{id}")).send(server.address).status,
        200
    );
    assert_eq!(
        ask("DELETE", &format!("/{id}")).send(server.address).status,
        204
    );
    // Ids in any form, and a base URL that ended in a slash.
    let hyphens = format!(
        "{}-{}-{}-{}-{}",
        &id[..8],
        &id[8..12],
        &id[12..16],
        &id[16..20],
        id[20..].to_uppercase()
    );
    for path in [format!("/{hyphens}"), format!("/{id}/")] {
        assert_eq!(service.ask_jobs("GET", &path).status, 200, "{path}");
    }
    let doubled = service.jobs(&format!("/{id}")).replace("/jobs", "//jobs");
    let reply = Request::new("GET", &doubled)
        .bearer(&service.primary)
        .send(server.address);
    assert_eq!(reply.status, 200, "{}", reply.text());
}

#[test]
fn the_first_version_starts_at_once_and_counts_its_states() {
    let server = Server::start();
    let (service, rows) = with_rows(&server);
    let path = service.jobs("").replace("?api-version=2.0", "");
    let submit = |body: &Value| {
        Request::new("POST", &path)
            .bearer(&service.primary)
            .json(body)
            .send(server.address)
    };
    let reply = submit(&json!({
        "Input": rows, "Output": own("batch/v1.csv"), "GlobalParameters": null,
    }));
    assert_eq!(reply.status, 200, "{}", reply.text());
    let id = reply.text().trim_matches('"').to_owned();
    service.finished_job(&id);
    let status = service
        .request_jobs("GET", &format!("{path}/{id}"))
        .send(server.address)
        .json();
    assert_eq!(status["StatusCode"], 4, "{status}");
    assert!(status["Details"].is_null());
    assert_eq!(fetched(&status["Result"]), SCORED.as_bytes());
    // Without an override the output lies where the service puts it.
    let reply = submit(&json!({"Input": rows}));
    let id = reply.text().trim_matches('"').to_owned();
    assert_eq!(result(&service.finished_job(&id)), SCORED);
    // A client of 2.0 that leaves out the version starts its job itself.
    let reply = submit(&job(&rows));
    let id = reply.text().trim_matches('"').to_owned();
    let status = service
        .request_jobs("GET", &format!("{path}/{id}"))
        .send(server.address)
        .json();
    assert_eq!(status["StatusCode"], 0, "{status}");
    service.start_job(&id);
    assert_eq!(result(&service.finished_job(&id)), SCORED);
    // Start has a version in every published client.
    let start = format!("{path}/{id}/start");
    let reply = Request::new("POST", &start)
        .bearer(&service.primary)
        .send(server.address);
    assert_fault(&reply, bad_argument::bad_version_call("(none)"));
    // What the first version cannot say.
    let mut package = packages::pass_through(&["x"]);
    let properties = &mut package["properties"];
    properties["output"]["properties"]["output2"] = packages::doubles(&["x"]);
    properties["package"]["nodes"]["node3"] = json!({"outputId": "output2"});
    let edge = json!({"sourceNodeId": "node1", "targetNodeId": "node3"});
    properties["package"]["edges"]
        .as_array_mut()
        .unwrap()
        .push(edge);
    let two = server.deploy("two", &package);
    let reply = Request::new("POST", &two.jobs("").replace("?api-version=2.0", ""))
        .bearer(&two.primary)
        .json(&json!({"Input": rows}))
        .send(server.address);
    assert_fault(&reply, faults::invalid_operation::incompatible_model());
}

/// What each published client sends beside the call itself.
#[test]
fn the_habits_of_published_clients_are_taken() {
    let server = Server::start();
    let (service, rows) = with_rows(&server);
    let key = &service.primary;
    let submit = || Request::new("POST", &service.jobs(""));
    let submitted = |request: Request| {
        let reply = request.send(server.address);
        assert_eq!(reply.status, 200, "{}", reply.text());
        reply.text().trim_matches('"').to_owned()
    };
    let start = |job: &str| Request::new("POST", &service.jobs(&format!("/{job}/start")));
    let started = |request: Request| {
        let reply = request.send(server.address);
        assert_eq!(
            (reply.status, reply.body.len()),
            (204, 0),
            "{}",
            reply.text()
        );
    };

    // C#: a chunked body without a length; the start has none.
    let id = submitted(submit().bearer(key).json(&job(&rows)).chunked());
    started(start(&id).bearer(key));
    service.finished_job(&id);

    // Java: types that are not registered, an encoding that is none, and a cancellation without a
    // version.
    let java = |request: Request| {
        request
            .header("Accept", "text/json")
            .header("Accept-Charset", "UTF-8")
            .header("Authorization", &format!("Bearer {key}"))
            .header("Content-Type", "text/json")
            .header("Content-Encoding", "UTF-8")
    };
    let id = submitted(java(submit()).body(job(&rows).to_string()));
    started(java(start(&id)));
    let cancel = service
        .jobs(&format!("/{id}"))
        .replace("?api-version=2.0", "");
    let reply = java(Request::new("DELETE", &cancel)).send(server.address);
    assert_eq!(reply.status, 204, "{}", reply.text());

    // PowerShell: the key in a second header, every member, null or not, and `{}` to start.
    let leading = format!("/{}", rows["RelativeLocation"].as_str().unwrap());
    let id = submitted(
        submit()
            .bearer(key)
            .header("x-ms-metaanalytics-authorizationtoken", key)
            .header("x-aml-sdk", "PowerShell")
            .json(&json!({
                "GlobalParameters": {},
                "Input": null,
                "Inputs": {"input1": {"ConnectionString": null, "RelativeLocation": leading,
                                      "BaseLocation": null, "SasBlobToken": null}},
                "Output": null,
                "Outputs": {},
                "GolbalParameters": {"Random seed": 7},
            })),
    );
    started(
        start(&id)
            .bearer(key)
            .header("Content-Type", "application/json")
            .body("{}"),
    );
    service.finished_job(&id);

    // Python with pandas: the word of the scheme in lower case, and a DELETE after the end, always.
    let id = submitted(
        submit()
            .header("authorization", &format!("bearer {key}"))
            .json(&job(&rows)),
    );
    started(
        start(&id)
            .bearer(key)
            .header("Content-Type", "application/json; charset=us-ascii"),
    );
    service.finished_job(&id);
    for _ in 0..2 {
        assert_eq!(service.ask_jobs("DELETE", &format!("/{id}")).status, 204);
    }
    assert_eq!(service.job(&id)["StatusCode"], "Finished");
}

#[test]
fn a_bad_row_fails_the_job_in_the_readers_language_or_goes_to_the_rejects() {
    let server = Server::start();
    let service = server.deploy_linear("linear");
    let bad = service.upload("bad.csv", b"x\n1\nabc\n3\n");
    let id = service.submitted(&json!({"Inputs": {"input1": bad}}));
    service.start_job(&id);
    let failed = service.ended_job(&id);
    assert_eq!(failed["StatusCode"], "Failed", "{failed}");
    assert!(failed["Results"].is_null());
    let details = failed["Details"].as_str().expect("a text");
    for part in [
        Class::BadUserArgument.en(),
        " InputParseError: ",
        "line 3",
        "abc",
        ", Error code: BadUserArgument, Http status code: 400, Timestamp: ",
    ] {
        assert!(details.contains(part), "{part:?} in {details:?}");
    }
    let reply = Request::new("GET", &service.jobs(&format!("/{id}")))
        .bearer(&service.primary)
        .header("Accept-Language", "zh-TW")
        .send(server.address);
    assert_eq!(reply.header("content-language"), Some("zh-TW"));
    let chinese = reply.json()["Details"].as_str().expect("a text").to_owned();
    assert_ne!(chinese, details);
    assert!(
        chinese.contains("InputParseError") && chinese.contains("abc"),
        "{chinese}"
    );

    let finished = service.run_job(&json!({
        "Inputs": {"input1": bad},
        "Outputs": {"output1": own("batch/good.csv")},
        "OnBadRow": "Reject",
        "Rejects": own("batch/rejects.csv"),
    }));
    assert_eq!(finished["StatusCode"], "Finished", "{finished}");
    assert_eq!(result(&finished), "x,Scored Labels\n1,3\n3,7\n");
    assert_eq!(finished["Progress"]["Rejected"], 1);
    let rejects = String::from_utf8(fetched(&finished["Rejects"])).expect("UTF-8");
    assert!(
        rejects.contains("abc") && rejects.contains('3'),
        "{rejects}"
    );
}

#[test]
fn the_jobs_of_an_endpoint_are_listed_in_pages_and_by_state() {
    let server = Server::start();
    let (service, rows) = with_rows(&server);
    let ids: Vec<String> = (0..5).map(|_| service.submitted(&job(&rows))).collect();
    assert_eq!(
        service.ask_jobs("DELETE", &format!("/{}", ids[1])).status,
        204
    );
    let get = |query: &str| {
        Request::new("GET", &format!("{}{query}", service.jobs("")))
            .header("Host", &server.address.to_string())
            .bearer(&service.primary)
            .send(server.address)
    };
    let listed = |list: &Value| -> Vec<String> {
        let jobs = list["Jobs"].as_array().expect("jobs");
        jobs.iter()
            .map(|job| job["Id"].as_str().unwrap().to_owned())
            .collect()
    };
    let all = get("").json();
    let newest_first: Vec<String> = ids.iter().rev().cloned().collect();
    assert_eq!(listed(&all), newest_first);
    assert!(all["NextLink"].is_null());
    assert_eq!(all["Jobs"][3]["StatusCode"], "Cancelled");
    // Page by page, along the links.
    let mut found = Vec::new();
    let mut page = get("&state=notstarted&$top=3").json();
    loop {
        assert!(page["Jobs"].as_array().unwrap().len() <= 3);
        found.extend(listed(&page));
        let Some(link) = page["NextLink"].as_str() else {
            break;
        };
        let path = link
            .strip_prefix(&format!("http://{}", server.address))
            .expect(link);
        let reply = Request::new("GET", path)
            .header("Host", &server.address.to_string())
            .bearer(&service.primary)
            .send(server.address);
        assert_eq!(reply.status, 200, "{}", reply.text());
        page = reply.json();
    }
    let waiting: Vec<String> = newest_first
        .into_iter()
        .filter(|id| *id != ids[1])
        .collect();
    assert_eq!(found, waiting);
    assert_eq!(listed(&get("&state=Cancelled").json()), [ids[1].clone()]);
    for query in ["&state=Lost", "&$top=0", "&$top=many", "&$skiptoken=%00"] {
        let reply = get(query);
        assert_eq!(
            (reply.status, reply.header("x-ms-error-code")),
            (400, Some("InvalidQueryParameter")),
            "{query}: {}",
            reply.text()
        );
    }
}

#[test]
fn strangers_and_other_endpoints_see_no_jobs() {
    let server = Server::start();
    let (service, rows) = with_rows(&server);
    let other = server.deploy_linear("other");
    let id = service.submitted(&job(&rows));
    let path = service.jobs(&format!("/{id}"));
    let get = |path: &str, key: Option<&str>| {
        let request = Request::new("GET", path);
        match key {
            Some(key) => request.bearer(key),
            None => request,
        }
        .send(server.address)
    };
    let refused = unauthorized::score_request_unauthorized;
    for key in [
        None,
        Some("wrong"),
        Some(other.primary.as_str()),
        Some(&server.token()),
    ] {
        assert_fault(&get(&path, key), refused());
    }
    // An id of another endpoint's job, of none, and what is no id.
    for path in [
        other.jobs(&format!("/{id}")),
        other.jobs("/0123456789abcdef0123456789abcdef"),
        other.jobs("/start"),
    ] {
        assert_fault(
            &get(&path, Some(&other.primary)),
            Fault::bare(Class::NotFound),
        );
    }
    let absent = path.replace(&service.endpoint, "0123456789abcdef0123456789abcdef");
    assert_fault(&get(&absent, Some("wrong")), refused());
    assert_fault(
        &get(&absent, Some(&service.primary)),
        faults::not_found::web_service_not_found(),
    );
    // The order of the checks: ids, version, key, body.
    let submit = |path: &str, key: &str| {
        Request::new("POST", path)
            .bearer(key)
            .body("{")
            .send(server.address)
    };
    let wrong_version = service.jobs("").replace("2.0", "3.0");
    assert_fault(
        &submit(&wrong_version, "wrong"),
        bad_argument::bad_version_call("3.0"),
    );
    assert_fault(&submit(&service.jobs(""), "wrong"), refused());
    assert_fault(
        &submit(&service.jobs(""), &service.primary),
        bad_argument::request_body_invalid(),
    );
    let reply = Request::new("PUT", &path)
        .bearer(&service.primary)
        .send(server.address);
    assert_eq!(
        (reply.status, reply.header("allow")),
        (404, Some("GET, HEAD, DELETE"))
    );
}

#[test]
fn what_is_wrong_with_a_body_is_told() {
    let server = Setup::default()
        .config("[limits]\nbody = \"64KiB\"")
        .start();
    let service = server.deploy_linear("linear");
    let submit = |body: &str| -> Reply {
        Request::new("POST", &service.jobs(""))
            .bearer(&service.primary)
            .body(body)
            .send(server.address)
    };
    let invalid = bad_argument::request_body_invalid;
    let deep = "[".repeat(10_000);
    let large = format!("{{\"x\":\"{}\"}}", "y".repeat(70_000));
    for body in [
        "",
        "not json",
        deep.as_str(),
        large.as_str(),
        r#"{"Inputs":{},"Inputs":{}}"#,
    ] {
        assert_fault(&submit(body), invalid());
    }
    assert_fault(
        &submit(r#"{"Inputs":{"input1":7}}"#),
        invalid().at("Inputs/input1"),
    );
    for body in ["null", "{}", "[]"] {
        assert_fault(&submit(body), bad_argument::request_is_empty());
    }
    let unknown = r#"{"Inputs":{"input1":{"RelativeLocation":"batch/in.csv"}},"GlobalParameters":{"nope":1}}"#;
    assert_fault(
        &submit(unknown),
        bad_argument::unexpected_parameter().at("nope"),
    );
    let chinese = Request::new("POST", &service.jobs(""))
        .bearer(&service.primary)
        .header("Accept-Language", "zh-TW")
        .body("{}")
        .send(server.address);
    assert_fault_in(
        &chinese,
        bad_argument::request_is_empty(),
        faults::Language::TraditionalChinese,
    );
}

fn root() -> PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .expect("crates/app")
        .to_path_buf()
}

/// Runs the sample's program.
fn sample(python: &str, arguments: &[&str]) -> Output {
    Command::new(python)
        .arg(root().join("tests/clients/batch_sample.py"))
        .args(arguments)
        .output()
        .expect("python3 runs")
}

#[test]
fn the_sample_of_the_old_help_pages_runs_a_job() {
    let server = Server::start();
    let service = server.deploy_linear("linear");
    let location = |reference: &Value| reference["RelativeLocation"].as_str().unwrap().to_owned();
    let rows = location(&service.upload("input1datablob.csv", ROWS));
    let url = format!(
        "http://{}{}",
        server.address,
        service.jobs("").replace("?api-version=2.0", "")
    );
    let output = sample("python3", &[&url, &service.primary, "", "batch", &rows]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(
        text.ends_with(&format!("The results of output1\n{SCORED}")),
        "{text}"
    );
    // A failure, as the sample shows it.
    let output = sample("python3", &[&url, "wrong", "", "batch", &rows]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        text.contains("status code: 401") && text.contains("ScoreRequestUnauthorized"),
        "{text}"
    );
    let rows = location(&service.upload("input1datablob.csv", b"x\nabc\n"));
    let output = sample("python3", &[&url, &service.primary, "", "batch", &rows]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        text.contains("failed!\nError details: ") && text.contains("InputParseError"),
        "{text}"
    );
}

/// The same program over a storage account, filled by the storage's own client.
#[test]
fn the_sample_runs_a_job_over_a_storage_account() {
    let python = root().join("target/client-venv/bin/python");
    let Some(azurite) = Azurite::start() else {
        println!("skipped: no Azurite");
        return;
    };
    if !python.exists() {
        println!("skipped: no Python with tests/clients/requirements.txt");
        return;
    }
    let python = python.to_string_lossy();
    let made = Command::new(&*python)
        .args(["-c", CONTAINER, &azurite.connection()])
        .output()
        .expect("Python runs");
    assert!(made.status.success(), "{made:?}");
    let server = Setup::default()
        .config("[outbound]\nallow = [\"http://127.0.0.1\"]")
        .start();
    let service = server.deploy_linear("linear");
    let rows = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(rows.path(), ROWS).expect("the rows");
    let url = format!(
        "http://{}{}",
        server.address,
        service.jobs("").replace("?api-version=2.0", "")
    );
    let file = rows.path().to_string_lossy();
    let arguments = [
        &*url,
        &service.primary,
        &azurite.connection(),
        "batch",
        &file,
    ];
    let output = sample(&python, &arguments);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(
        text.ends_with(&format!("The results of output1\n{SCORED}")),
        "{text}"
    );
}

/// Makes the blob container of the sample, which it takes for given.
const CONTAINER: &str = "import sys
from azure.storage.blob import BlobServiceClient
BlobServiceClient.from_connection_string(sys.argv[1]).create_container('batch')";

/// Data Factory calls what its linked service names, with the version or without, and shows the
/// class's sentence and the first detail's.
#[test]
fn data_factory_calls_with_the_version_and_without() {
    let server = Server::start();
    let (service, rows) = with_rows(&server);
    let with = service.jobs("");
    let without = with.replace("?api-version=2.0", "");
    for endpoint in [&with, &without] {
        let (path, query) = endpoint.split_once('?').unwrap_or((endpoint, ""));
        let ask = |method: &str, rest: &str, version: &str| {
            service.request_jobs(method, &format!("{path}{rest}{version}"))
        };
        let version = match query {
            "" => String::new(),
            query => format!("?{query}"),
        };
        let reply = ask("POST", "", &version)
            .json(&job(&rows))
            .send(server.address);
        assert_eq!(reply.status, 200, "{}", reply.text());
        let id = reply.text().trim_matches('"').to_owned();
        let reply = ask("POST", &format!("/{id}/start"), "?api-version=2.0").send(server.address);
        assert_eq!(reply.status, 204, "{}", reply.text());
        service.finished_job(&id);
        let status = ask("GET", &format!("/{id}"), &version)
            .send(server.address)
            .json();
        assert!(
            status["StatusCode"] == "Finished" || status["StatusCode"] == 4,
            "{status}"
        );
        // Several outputs are there in either form.
        assert_eq!(result(&status), SCORED);
        let reply = ask("POST", "", &version)
            .json(&json!({"Inputs": {"RemovedKey": rows}}))
            .send(server.address);
        assert_fault(&reply, bad_argument::invalid_input_names("RemovedKey"));
        let error = &reply.json()["error"];
        let shown = [&error["message"], &error["details"][0]["message"]];
        assert!(
            shown
                .iter()
                .all(|text| text.as_str().is_some_and(|t| !t.is_empty()))
        );
    }
}
