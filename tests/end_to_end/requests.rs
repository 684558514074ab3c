//! The forms in which clients of the old service send requests, and what they get.

use serde_json::{Value, json};

use crate::support::{
    Connection, Request, SUBSCRIPTION, Server, Setup, one_x, onnx, packages, until,
};

/// A service of one text and two number columns that gives back what it gets, and the sum.
fn deploy_two(server: &Server) -> crate::support::Service {
    let model = server.upload(&onnx::linear(&[1.0, 1.0], 0.5));
    server.deploy("two", &packages::regression(&model, &["x", "y"]))
}

#[test]
fn all_url_shapes_answer_in_their_forms() {
    let server = Server::start();
    let service = deploy_two(&server);
    let body = json!({"Inputs": {"input1": {"ColumnNames": ["y", "x"], "Values": [["2", 1]]}}, "GlobalParameters": null});
    let call = |target: String| {
        let reply = Request::new("POST", &target)
            .bearer(&service.primary)
            .json(&body)
            .send(server.address);
        assert_eq!(reply.status, 200, "{target}: {}", reply.text());
        assert_eq!(
            reply.header("content-type"),
            Some("application/json; charset=utf-8")
        );
        assert!(reply.header("x-ms-request-id").is_some() && reply.header("date").is_some());
        reply.json()
    };
    let path = service.path();
    // R1: values alone, R2: names and types too.
    assert_eq!(
        call(format!("{path}?api-version=2.0")),
        json!({"Results": {"output1": {"type": "table", "value": {"Values": [["1", "2", "3.5"]]}}}})
    );
    assert_eq!(
        call(format!("{path}?api-version=2.0&details=true")),
        json!({"Results": {"output1": {"type": "table", "value": {
            "ColumnNames": ["x", "y", "Scored Labels"],
            "ColumnTypes": ["Double", "Double", "Double"],
            "Values": [["1", "2", "3.5"]]
        }}}})
    );
    // R3 to R5: a list of row objects, whatever details says; query names in any case and order.
    let rows = json!({"Results": {"output1": [{"x": "1", "y": "2", "Scored Labels": "3.5"}]}});
    assert_eq!(call(format!("{path}?api-version=2.0&format=swagger")), rows);
    assert_eq!(
        call(format!(
            "{path}?Format=Swagger&DETAILS=True&Api-Version=2.0"
        )),
        rows
    );
    let subscription = SUBSCRIPTION.replace('-', "");
    let new = format!(
        "/subscriptions/{subscription}/services/{}/execute",
        service.service
    );
    assert_eq!(call(format!("{new}?api-version=2.0&format=swagger")), rows);
    assert_eq!(
        call(format!("{new}?api-version=2.0&details=true&format=swagger")),
        rows
    );
    // A client that joins a base URL with a slash of its own.
    assert_eq!(
        call(format!(
            "{}?api-version=2.0&format=swagger",
            path.replace("/execute", "//execute")
        )),
        rows
    );
}

#[test]
fn the_first_version_scores_one_row_to_a_flat_list() {
    let server = Server::start();
    let service = deploy_two(&server);
    let body = json!({"Id": "score00001", "Instance": {"FeatureVector": {"x": "27.78", "y": "0"}, "GlobalParameters": {}}});
    let reply = Request::new("POST", &service.path().replace("/execute", "/score"))
        .bearer(&service.primary)
        .json(&body)
        .send(server.address);
    assert_eq!(
        (reply.status, reply.json()),
        (200, json!(["27.78", "0", "28.28"])),
        "{}",
        reply.text()
    );
}

#[test]
fn bodies_are_taken_as_old_clients_send_them() {
    let server = Server::start();
    let service = server.deploy_linear("linear");
    let scored = |request: Request, what: &str| {
        let reply = request.send(server.address);
        assert_eq!(reply.status, 200, "{what}: {}", reply.text());
        reply.json()["Results"]["output1"]["value"]["Values"].clone()
    };
    let text = one_x(3.0).to_string();
    let raw = |text: &str| service.request(&Value::Null).body(text);
    // C# sends chunks without a length.
    assert_eq!(
        scored(service.request(&one_x(3.0)).chunked(), "chunked"),
        json!([["3", "7"]])
    );
    // Java sends text/json and calls UTF-8 a content encoding.
    let java = Request::new("POST", &format!("{}?api-version=2.0", service.path()))
        .header("Content-Type", "text/json")
        .header("Content-Encoding", "UTF-8")
        .header("Accept", "text/json")
        .header("Accept-Charset", "UTF-8")
        .bearer(&service.primary)
        .body(text.as_str());
    assert_eq!(scored(java, "Java"), json!([["3", "7"]]));
    // R unboxes a single column name; Python writes NaN and Infinity.
    assert_eq!(
        scored(
            raw(r#"{"Inputs":{"input1":{"ColumnNames":"x","Values":[[3]]}}}"#),
            "bare name"
        ),
        json!([["3", "7"]])
    );
    assert_eq!(
        scored(
            raw(
                r#"{"Inputs":{"input1":{"ColumnNames":["x"],"Values":[[NaN],[Infinity],[-Infinity]]}}}"#
            ),
            "NaN"
        ),
        json!([
            ["NaN", "NaN"],
            ["Infinity", "Infinity"],
            ["-Infinity", "-Infinity"]
        ])
    );
    // Numbers as text with blanks, and a byte order mark.
    assert_eq!(
        scored(
            raw("\u{feff}{\"Inputs\":{\"input1\":[{\"x\":\" 3.0 \"}]}}"),
            "blanks"
        ),
        json!([["3", "7"]])
    );
    // `bearer` in lower case, and two blanks behind it.
    let lower = Request::new("POST", &format!("{}?api-version=2.0", service.path()))
        .header("authorization", &format!("bearer  {}", service.secondary))
        .body(text.as_str());
    assert_eq!(scored(lower, "bearer"), json!([["3", "7"]]));
    // No rows in, no rows out.
    assert_eq!(
        scored(raw(r#"{"Inputs":{"input1":[]}}"#), "no rows"),
        json!([])
    );
}

#[test]
fn a_connection_serves_many_calls_and_outlives_a_refusal() {
    let server = Server::start();
    let service = server.deploy_linear("linear");
    let mut connection = Connection::open(server.address).unwrap();
    for x in 0..5 {
        connection
            .send(&service.request(&one_x(f64::from(x))))
            .unwrap();
        assert_eq!(connection.read_reply(false).unwrap().status, 200);
        connection
            .send(&service.request(&json!({"Inputs": 1})))
            .unwrap();
        assert_eq!(connection.read_reply(false).unwrap().status, 400);
    }
}

#[test]
fn what_is_no_operation_is_named_by_its_class() {
    let server = Server::start();
    let service = server.deploy_linear("linear");
    for (method, target, status, class) in [
        ("GET", "/nothing/here".to_owned(), 404, "NotFound"),
        (
            "GET",
            format!("{}?api-version=2.0", service.path()),
            404,
            "NotFound",
        ),
        ("PATCH", "/livez".to_owned(), 404, "NotFound"),
    ] {
        let reply = Request::new(method, &target)
            .bearer(&service.primary)
            .send(server.address);
        let body = reply.json();
        assert_eq!(
            (reply.status, body["error"]["code"].as_str()),
            (status, Some(class)),
            "{method} {target}: {body}"
        );
        assert_eq!(body["error"]["details"], json!([]));
        assert_eq!(reply.header("x-ms-error-code"), Some(class));
    }
    let reply = Request::new("PATCH", "/livez").send(server.address);
    assert_eq!(reply.header("allow"), Some("GET, HEAD"));
}

#[test]
fn messages_come_in_the_readers_language() {
    let server = Server::start();
    let service = server.deploy_linear("linear");
    let ask = |accept: &str| {
        service
            .request(&json!({"GlobalParameters": {}}))
            .header("Accept-Language", accept)
            .send(server.address)
    };
    let fault = || faults::bad_argument::missing_request_input();
    use faults::Language;
    for (accept, language) in [
        ("zh-TW,zh;q=0.9,en;q=0.8", Language::TraditionalChinese),
        ("en-GB", Language::English),
        ("fr, zh-Hant;q=0.5", Language::TraditionalChinese),
        ("zh-TW;q=0, en", Language::English),
        ("nonsense;;;", Language::English),
    ] {
        crate::support::assert_fault_in(&ask(accept), fault(), language);
    }
}

#[test]
fn a_client_request_id_comes_back() {
    let server = Server::start();
    let service = server.deploy_linear("linear");
    let reply = service
        .request(&one_x(1.0))
        .header("x-ms-client-request-id", "my-id-1")
        .send(server.address);
    assert_eq!(reply.header("x-ms-client-request-id"), Some("my-id-1"));
}

#[test]
fn a_body_of_100_megabytes_is_refused_without_being_held() {
    let server = Server::start();
    let service = server.deploy_linear("linear");
    let before = resident(&server);
    let body = vec![b' '; 100 << 20];
    for chunked in [false, true] {
        let mut request = service.request(&Value::Null).body(body.clone());
        request.chunked = chunked;
        let reply = request.send(server.address);
        crate::support::assert_fault(&reply, faults::bad_argument::request_body_invalid());
    }
    let grown = resident(&server).saturating_sub(before);
    // At most a few times the limit of 16 MiB, never the body.
    assert!(grown < 80 << 20, "the gateway grew by {} MiB", grown >> 20);
}

/// The largest resident memory of the gateway so far, in bytes.
fn resident(server: &Server) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.child.id())).unwrap();
    let line = status.lines().find(|l| l.starts_with("VmHWM:")).unwrap();
    line.split_whitespace()
        .nth(1)
        .unwrap()
        .parse::<u64>()
        .unwrap()
        * 1024
}

#[test]
fn slow_and_half_requests_hold_nobody_up() {
    use std::io::Write;
    let server = Setup::default()
        .config("[limits]\nheader_timeout = \"400ms\"\nbody_timeout = \"400ms\"")
        .start();
    let service = server.deploy_linear("linear");
    let half_head: Vec<_> = (0..20)
        .map(|_| {
            let mut c = Connection::open(server.address).unwrap();
            c.stream.write_all(b"POST /workspaces/").unwrap();
            c
        })
        .collect();
    let mut half_body: Vec<_> = (0..20)
        .map(|_| {
            let mut request = service.request(&Value::Null);
            request.body = vec![b'x'; 500];
            let mut c = Connection::open(server.address).unwrap();
            c.stream.write_all(&request.head()).unwrap();
            c.stream.write_all(b"{").unwrap();
            c
        })
        .collect();
    assert_eq!(
        service.score_x(1.0).status,
        200,
        "others are served meanwhile"
    );
    for connection in &mut half_body {
        assert_eq!(connection.read_reply(false).unwrap().status, 408);
    }
    for mut connection in half_head {
        // Closed with or without a word, but closed.
        let mut rest = Vec::new();
        connection
            .stream
            .set_read_timeout(Some(std::time::Duration::from_secs(20)))
            .unwrap();
        let ended = std::io::Read::read_to_end(&mut connection.stream, &mut rest);
        assert!(
            ended.is_ok() || ended.is_err_and(|e| e.kind() == std::io::ErrorKind::ConnectionReset)
        );
    }
    assert!(
        server.metric(&["calls_under_way"]) < 0.5,
        "no permit is left behind"
    );
    assert_eq!(service.score_x(1.0).status, 200);
}

#[test]
fn every_size_of_a_request_has_its_limit() {
    let server = Setup::default()
        .config("[limits]\nrows = 2\ncolumns = 3\ncell = 20\ndepth = 8")
        .start();
    let service = server.deploy_linear("linear");
    let status = |body: &str| {
        let reply = service
            .request(&Value::Null)
            .body(body)
            .send(server.address);
        (
            reply.status,
            reply.header("x-ms-error-code").unwrap_or("").to_owned(),
        )
    };
    let refused = (400, "RequestBodyInvalid".to_owned());
    assert_eq!(
        status(r#"{"Inputs":{"input1":{"ColumnNames":["x"],"Values":[[1],[2]]}}}"#).0,
        200
    );
    assert_eq!(
        status(r#"{"Inputs":{"input1":{"ColumnNames":["x"],"Values":[[1],[2],[3]]}}}"#),
        refused
    );
    assert_eq!(
        status(r#"{"Inputs":{"input1":{"ColumnNames":["a","b","c","d"],"Values":[]}}}"#),
        refused
    );
    assert_eq!(
        status(r#"{"Inputs":{"input1":[{"x":"000000000000000000001"}]}}"#),
        refused
    );
    assert_eq!(
        status(r#"{"Inputs":{"input1":[{"x":1}]},"More":[[[[[[[[1]]]]]]]]}"#),
        refused
    );
}

#[test]
fn http_2_is_spoken_with_and_without_tls() {
    let curl = |arguments: &[&str]| {
        let output = std::process::Command::new("curl").args(arguments).output();
        output
            .ok()
            .map(|o| String::from_utf8_lossy(&o.stdout).into_owned())
    };
    if !curl(&["--version"]).is_some_and(|v| v.contains("HTTP2")) {
        println!("skipped: no curl that speaks HTTP/2");
        return;
    }
    let write = [
        "-sS",
        "-o",
        "/dev/null",
        "-w",
        "%{http_version} %{http_code}",
    ];
    let plain = Server::start();
    let service = plain.deploy_linear("linear");
    let url = format!("http://{}{}?api-version=2.0", plain.address, service.path());
    let key = format!("Authorization: Bearer {}", service.primary);
    let body = one_x(1.0).to_string();
    let mut arguments = write.to_vec();
    arguments.extend(["--http2-prior-knowledge", "-H", &key, "-d", &body, &url]);
    assert_eq!(curl(&arguments).as_deref(), Some("2 200"));

    let secure = Setup::default()
        .config("[tls]\nmode = \"self-signed\"")
        .start();
    let ca = secure.data().join("tls/self-signed.pem");
    let ca = ca.to_string_lossy();
    let url = format!("https://{}/livez", secure.address);
    for (version, expected) in [("--http2", "2 200"), ("--http1.1", "1.1 200")] {
        let mut arguments = write.to_vec();
        arguments.extend([version, "--cacert", &ca, &url]);
        assert_eq!(curl(&arguments).as_deref(), Some(expected), "{version}");
    }
}

#[test]
fn urls_in_replies_begin_as_the_operator_says() {
    let server = Setup::default()
        .config("public_url = \"https://ml.example.com\"")
        .start();
    let service = server.deploy_linear("linear");
    let view = Request::new("GET", "/umpire/v1/services/linear")
        .bearer(&server.token())
        .send(server.address)
        .json();
    for member in ["scoring_url", "swagger_url"] {
        let url = view[member].as_str().unwrap();
        assert!(url.starts_with("https://ml.example.com/"), "{url}");
    }
    let path = format!(
        "/workspaces/{}/services/{}/swagger.json",
        service.workspace, service.endpoint
    );
    // Nobody else's word for it counts: no proxy is trusted here.
    let document = Request::new("GET", &path)
        .header("X-Forwarded-Host", "elsewhere.example.com")
        .send(server.address)
        .json();
    assert_eq!(document["host"], "ml.example.com");
    assert_eq!(document["schemes"], json!(["https"]));
}

#[test]
fn answers_that_nobody_takes_are_held_within_the_budget() {
    let server = Setup::default()
        .config("[limits]\nbuffered_bytes = \"48MiB\"")
        .start();
    // A short request with a long answer: the column's name stands in every row of it.
    let name = "n".repeat(250);
    let service = server.deploy("wide", &packages::pass_through(&[&name]));
    let rows = vec![json!([1]); 60_000];
    let body = json!({"Inputs": {"input1": {"ColumnNames": name, "Values": rows}}});
    let mut request = service.request(&body);
    request.target.push_str("&format=swagger");
    // The system's own buffers take some of an answer, so clients come until there is no room.
    let mut idle = Vec::new();
    let mut reply = request.send(server.address);
    until("the budget is spent", || {
        let mut connection = Connection::open(server.address).unwrap();
        connection.send(&request).unwrap();
        idle.push(connection);
        reply = request.send(server.address);
        reply.status != 200
    });
    let low = faults::Fault::bare(faults::Class::InternalErrorSystemLowOnMemory);
    crate::support::assert_fault(&reply, low);
    drop(idle);
    until("the budget comes back", || {
        request.send(server.address).status == 200
    });
}
