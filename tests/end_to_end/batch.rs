//! Batch jobs as clients see them: the list, what strangers are told, and what is wrong with a body.

use faults::{Class, Fault, bad_argument, unauthorized};
use serde_json::{Value, json};

use crate::support::batch::own;
use crate::support::{Reply, Request, Server, Service, Setup, assert_fault, assert_fault_in};

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
