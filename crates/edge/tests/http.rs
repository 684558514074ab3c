//! The edge over real sockets, with a real store and a host that has no containers to start: what
//! is decided before a container is asked.

use std::sync::Arc;
use std::time::Duration;

use containers::{Host, HostOptions, PoolLimits};
use diagnostics::{Boxed, Destination, Destinations, Diagnostics, Kind, NotWritten};
use edge::{Edge, Interior, Options};
use store::{Id, ResourceName, ServiceWrite, Store};
use telemetry::Telemetry;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

const KEY: &str = "primary-key==";
const SUBSCRIPTION: &str = "00000000-0000-0000-0000-000000000000";

/// A server on a free port, and the ids of its one service.
struct Served {
    address: std::net::SocketAddr,
    telemetry: Telemetry,
    diagnostics: Diagnostics,
    records: Records,
    edge: Edge,
    workspace: Id,
    service: Id,
    endpoint: Id,
    token: String,
    stop: Option<oneshot::Sender<()>>,
    ended: Option<tokio::task::JoinHandle<edge::Ended>>,
    _data: tempfile::TempDir,
}

/// Names and texts of diagnostics, kept in memory.
type Records = Arc<std::sync::Mutex<Vec<(String, bytes::Bytes)>>>;

#[derive(Clone)]
struct Kept(Records);

impl Destinations for Kept {
    fn of(&self, _: Arc<store::Entry>) -> Boxed<Result<Arc<dyn Destination>, faults::Fault>> {
        let place: Arc<dyn Destination> = Arc::new(self.clone());
        Box::pin(async { Ok(place) })
    }
}

impl Destination for Kept {
    fn storage(&self) -> &str {
        "memory"
    }

    fn prefix(&self, kind: Kind) -> &str {
        kind.folder()
    }

    fn put(&self, name: String, content: bytes::Bytes) -> Boxed<Result<(), NotWritten>> {
        self.0.lock().unwrap().push((name, content));
        Box::pin(async { Ok(()) })
    }

    fn get(&self, _: String) -> Boxed<Result<Option<bytes::Bytes>, String>> {
        Box::pin(async { Ok(None) })
    }
}

const DEFINITION: &str = r#"{
    "packageType": "Graph",
    "input": {"type": "object", "properties": {"input1": {"type": "object", "properties": {"a": {"type": "Integer", "format": "Int32"}}}}},
    "output": {"type": "object", "properties": {"output1": {"type": "object", "properties": {"b": {"type": "Number", "format": "Double"}}}}},
    "package": {"nodes": {}, "edges": [], "graphParameters": {}}
}"#;

async fn served(options: Options) -> Served {
    served_with(options, DEFINITION).await
}

async fn served_with(options: Options, definition: &str) -> Served {
    let data = tempfile::tempdir().unwrap();
    let store = Arc::new(Store::open(data.path(), None).unwrap());
    let token = std::fs::read_to_string(store::operator_token_file(data.path())).unwrap();
    let workspace = store
        .ledger
        .directory()
        .default_workspace()
        .map(|w| w.id)
        .unwrap();
    let write = ServiceWrite {
        service: Id::random(),
        endpoint: Id::random(),
        revision: Id::random(),
        expected: None,
        name: ResourceName {
            subscription: SUBSCRIPTION.into(),
            resource_group: "default".into(),
            name: "census".into(),
        },
        location: "local".into(),
        tags: "{}".into(),
        workspace,
        read_only: false,
        max_concurrent_calls: 4,
        keys: Some([KEY.into(), "secondary-key==".into()]),
        definition: definition.into(),
        secrets: None,
        resources: Vec::new(),
        plan: None,
    };
    let entry = store.ledger.put_service(write, "test").await.unwrap();
    let telemetry = Telemetry::new();
    let source = manage::StoredRevisions::new(store.clone(), PoolLimits::default());
    let source = Arc::new(source);
    let host_options = HostOptions {
        command: vec!["/nonexistent/container".into()],
        ..HostOptions::default()
    };
    let host = Host::start(host_options, source.clone(), telemetry.clone()).unwrap();
    let scorer = scoring::Scorer::new(
        store.clone(),
        host.clone(),
        telemetry.clone(),
        &scoring::Options::default(),
    );
    let registry = Arc::new(graph::Registry::new());
    let outbound = outbound::Outbound::new(outbound::Options::default()).unwrap();
    let (jobs, _runner) = jobs::start(
        jobs::Parts {
            store: store.clone(),
            storage: storage::Storage::new(storage::Options::default(), outbound, store.clone()),
            lane: Arc::new(host.clone()),
            source,
            registry: registry.clone(),
            telemetry: telemetry.clone(),
            on_end: Box::new(|_| {}),
        },
        jobs::Options::in_folder(data.path().join("spool")),
    );
    let manager = manage::Manager::new(
        store.clone(),
        host,
        registry,
        telemetry.clone(),
        manage::Options::default(),
    );
    let records = Records::default();
    let diagnostics = Diagnostics::start(
        diagnostics::Options::default(),
        store.clone(),
        telemetry.clone(),
        Box::new(Kept(records.clone())),
    );
    let seen = diagnostics.clone();
    let edge = Edge::new(
        Interior {
            scorer: Arc::new(scorer),
            jobs,
            manager,
            store,
            telemetry: telemetry.clone(),
            diagnostics,
        },
        options,
    );
    edge.set_ready(true);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let serving = edge.clone();
    let ended = tokio::spawn(async move {
        let stop = async {
            let _ = stopped.await;
        };
        serving
            .serve(listener, stop, || Duration::from_secs(20))
            .await
    });
    Served {
        address,
        telemetry,
        diagnostics: seen,
        records,
        edge,
        workspace,
        service: entry.service,
        endpoint: entry.endpoint,
        token: token.trim().to_owned(),
        stop: Some(stop),
        ended: Some(ended),
        _data: data,
    }
}

/// A reply, read by hand.
#[derive(Debug)]
struct Reply {
    status: u16,
    head: String,
    body: String,
}

impl Reply {
    fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("not JSON: {self:?}"))
    }

    /// `Class.Code`, or `Class`.
    fn fault(&self) -> String {
        let json = self.json();
        let class = json["error"]["code"].as_str().unwrap().to_owned();
        assert!(json["error"]["details"].is_array(), "{self:?}");
        let code = json["error"]["details"][0]["code"].as_str();
        assert_eq!(
            self.header("x-ms-error-code"),
            Some(code.unwrap_or(&class)),
            "{self:?}"
        );
        match code {
            Some(code) => format!("{class}.{code}"),
            None => class,
        }
    }
}

impl Served {
    fn execute(&self) -> String {
        format!(
            "/workspaces/{}/services/{}/execute?api-version=2.0",
            self.workspace, self.endpoint
        )
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    async fn send(&self, request: &str) -> Reply {
        let mut stream = self.connect().await;
        exchange(&mut stream, request).await
    }

    async fn get(&self, path: &str, headers: &str) -> Reply {
        self.send(&format!("GET {path} HTTP/1.1\r\nhost: h\r\n{headers}\r\n"))
            .await
    }

    async fn post(&self, path: &str, key: &str, body: &str) -> Reply {
        self.send(&post(path, key, body)).await
    }

    async fn metric(&self, line: &str) -> bool {
        self.telemetry
            .encode_metrics()
            .lines()
            .any(|l| l.starts_with(line))
    }

    /// Waits until a series is there: it is written by another task.
    async fn eventually(&self, line: &str) {
        for _ in 0..1000 {
            if self.metric(line).await {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{line} is not in\n{}", self.telemetry.encode_metrics());
    }
}

fn post(path: &str, key: &str, body: &str) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nhost: h\r\nauthorization: Bearer {key}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

async fn exchange(stream: &mut TcpStream, request: &str) -> Reply {
    stream.write_all(request.as_bytes()).await.unwrap();
    let is_head = request.starts_with("HEAD");
    read_reply(stream, is_head).await
}

async fn read_reply(stream: &mut TcpStream, is_head: bool) -> Reply {
    let reading = async {
        let mut bytes = Vec::new();
        loop {
            if let Some(end) = bytes.windows(4).position(|w| w == b"\r\n\r\n") {
                let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
                let status = head.split(' ').nth(1).unwrap().parse().unwrap();
                let mut reply = Reply {
                    status,
                    head,
                    body: String::new(),
                };
                let length: usize = match reply.header("content-length") {
                    Some(length) if !is_head => length.parse().unwrap(),
                    _ => 0,
                };
                if bytes.len() >= end + 4 + length {
                    assert_eq!(bytes.len(), end + 4 + length, "bytes beyond the reply");
                    reply.body = String::from_utf8(bytes[end + 4..].to_vec()).unwrap();
                    return reply;
                }
            }
            let mut buffer = [0; 4096];
            let read = stream.read(&mut buffer).await.unwrap();
            assert!(
                read > 0,
                "closed after {:?}",
                String::from_utf8_lossy(&bytes)
            );
            bytes.extend_from_slice(&buffer[..read]);
        }
    };
    tokio::time::timeout(Duration::from_secs(30), reading)
        .await
        .expect("a reply")
}

#[tokio::test(flavor = "multi_thread")]
async fn every_reply_has_an_id_and_a_date_and_a_failure_its_code() {
    let served = served(Options::default()).await;
    let reply = served
        .get(
            "/nothing",
            "x-ms-client-request-id: mine-1\r\naccept-language: zh-TW\r\n",
        )
        .await;
    assert_eq!((reply.status, reply.fault().as_str()), (404, "NotFound"));
    assert_eq!(reply.json()["error"]["details"], serde_json::json!([]));
    assert_eq!(reply.header("x-ms-request-id").unwrap().len(), 32);
    assert_eq!(reply.header("x-ms-client-request-id"), Some("mine-1"));
    assert_eq!(reply.header("content-language"), Some("zh-TW"));
    assert!(reply.header("date").is_some());
    assert_eq!(
        reply.header("content-type"),
        Some("application/json; charset=utf-8")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_method_says_which_are_right() {
    let served = served(Options::default()).await;
    let reply = served.get(&served.execute(), "").await;
    assert_eq!((reply.status, reply.fault().as_str()), (404, "NotFound"));
    assert_eq!(reply.header("allow"), Some("POST"));
    let reply = served.send("HEAD /livez HTTP/1.1\r\nhost: h\r\n\r\n").await;
    assert_eq!(
        (reply.status, reply.header("content-length")),
        (200, Some("3"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn readiness_follows_what_is_set() {
    let served = served(Options::default()).await;
    assert_eq!(served.get("/readyz", "").await.status, 200);
    served.edge.set_ready(false);
    let reply = served.get("/readyz", "").await;
    assert_eq!(
        (reply.status, reply.fault().as_str()),
        (503, "ServiceUnavailable")
    );
    assert_eq!(served.get("/livez", "").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_checks_of_a_scoring_call_come_in_their_order() {
    let served = served(Options::default()).await;
    let (w, e, token) = (served.workspace, served.endpoint, served.token.as_str());
    let other = Id::random();
    let sub = SUBSCRIPTION;
    let cases = [
        // Ids before the version, the version before the key.
        (
            format!("/workspaces//services/{e}/execute"),
            "",
            400,
            "BadArgument.MissingWorkspaceId",
        ),
        (
            format!("/workspaces/{w}/services//execute"),
            "",
            400,
            "BadArgument.MissingWebServiceId",
        ),
        (
            format!("/workspaces/{w}/services/x/execute"),
            "",
            400,
            "BadArgument.WebServiceIdInvalid",
        ),
        (
            format!("/workspaces/{w}/services/{e}/execute"),
            "",
            400,
            "BadArgument.BadVersionCall",
        ),
        (
            format!("/workspaces/{w}/services/{e}/execute?api-version=3.0"),
            "",
            400,
            "BadArgument.BadVersionCall",
        ),
        // Strangers learn nothing.
        (
            format!("/workspaces/{w}/services/{e}/execute?api-version=2.0"),
            "wrong",
            401,
            "Unauthorized.ScoreRequestUnauthorized",
        ),
        (
            format!("/workspaces/{other}/services/{other}/execute?api-version=2.0"),
            "wrong",
            401,
            "Unauthorized.ScoreRequestUnauthorized",
        ),
        (
            format!("/workspaces/{w}/services/{e}/execute?api-version=2.0"),
            token,
            401,
            "Unauthorized.ScoreRequestUnauthorized",
        ),
        // Whoever has any key learns what is wrong.
        (
            format!("/workspaces/{other}/services/{other}/execute?api-version=2.0"),
            token,
            404,
            "NotFound.WorkspaceNotFound",
        ),
        (
            format!("/workspaces/{w}/services/{other}/execute?api-version=2.0"),
            KEY,
            404,
            "NotFound.WebServiceNotFound",
        ),
        (
            format!("/workspaces/{other}/services/{e}/execute?api-version=2.0"),
            KEY,
            404,
            "NotFound.WorkspaceNotFound",
        ),
        (
            format!("/subscriptions/{other}/services/{e}/execute?api-version=2.0"),
            KEY,
            400,
            "BadArgument.BadSubscriptionId",
        ),
        // The query before the body.
        (
            format!("/workspaces/{w}/services/{e}/execute?api-version=2.0&details=maybe"),
            KEY,
            400,
            "BadArgument.InvalidQueryParameter",
        ),
        (
            format!("/subscriptions/{sub}/services/{e}//execute?FORMAT=xml&API-VERSION=2.0"),
            KEY,
            400,
            "BadArgument.InvalidQueryParameter",
        ),
        (
            format!("/workspaces/{w}/services/{e}/score?api-version=2.0"),
            KEY,
            400,
            "BadArgument.BadVersionCall",
        ),
    ];
    for (path, key, status, fault) in cases {
        let reply = served.post(&path, key, "{}").await;
        assert_eq!(
            (reply.status, reply.fault().as_str()),
            (status, fault),
            "{path}"
        );
    }
    assert!(
        served
            .metric("faults_total{class=\"BadArgument\",code=\"MissingWorkspaceId\",surface=\"score\"} 1")
            .await
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_lives_on_after_a_small_body_was_refused() {
    let served = served(Options::default()).await;
    let mut stream = served.connect().await;
    let head = post(&served.execute(), "wrong", &"x".repeat(5000));
    let (head, body) = head.split_at(head.len() - 5000);
    // The reply comes before the body; the body is drained beside it.
    let reply = exchange(&mut stream, head).await;
    assert_eq!(reply.status, 401);
    assert_eq!(reply.header("connection"), None);
    stream.write_all(body.as_bytes()).await.unwrap();
    let reply = exchange(&mut stream, "GET /livez HTTP/1.1\r\nhost: h\r\n\r\n").await;
    assert_eq!(reply.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_over_the_limit_is_refused_without_being_read() {
    let served = served(Options::default()).await;
    let request = format!(
        "POST {} HTTP/1.1\r\nhost: h\r\nauthorization: bearer  {KEY}\r\nexpect: 100-continue\r\ncontent-length: 104857600\r\n\r\n",
        served.execute()
    );
    let reply = served.send(&request).await;
    assert_eq!(
        (reply.status, reply.fault().as_str()),
        (400, "BadArgument.RequestBodyInvalid")
    );
    assert_eq!(reply.header("connection"), Some("close"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chunked_body_over_the_limit_is_refused_at_the_limit() {
    let options = Options {
        body_limit: 10_000,
        ..Options::default()
    };
    let served = served(options).await;
    let mut stream = served.connect().await;
    let head = format!(
        "POST {} HTTP/1.1\r\nhost: h\r\nauthorization: Bearer {KEY}\r\ntransfer-encoding: chunked\r\n\r\n",
        served.execute()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    for _ in 0..11 {
        let chunk = format!("3e8\r\n{}\r\n", "x".repeat(1000));
        stream.write_all(chunk.as_bytes()).await.unwrap();
    }
    let reply = read_reply(&mut stream, false).await;
    assert_eq!(reply.fault(), "BadArgument.RequestBodyInvalid");
    // The end of the body arrives, and the connection lives on.
    stream.write_all(b"0\r\n\r\n").await.unwrap();
    let reply = exchange(&mut stream, "GET /livez HTTP/1.1\r\nhost: h\r\n\r\n").await;
    assert_eq!(reply.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_does_not_come_in_time_is_a_timeout() {
    let options = Options {
        body_time: Duration::from_millis(100),
        ..Options::default()
    };
    let served = served(options).await;
    let request = post(&served.execute(), KEY, "{\"Inputs\"");
    let request = request.replace("content-length: 9", "content-length: 900");
    let reply = served.send(&request).await;
    assert_eq!(
        (reply.status, reply.fault().as_str()),
        (408, "RequestTimeout.ScoreRequestTimeout")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_body_of_the_operator_is_a_timeout_that_does_not_speak_of_scoring() {
    let options = Options {
        body_time: Duration::from_millis(100),
        ..Options::default()
    };
    let served = served(options).await;
    let paths = [
        (
            "PUT",
            format!(
                "/subscriptions/{SUBSCRIPTION}/resourceGroups/default/providers/Microsoft.MachineLearning/webServices/census?api-version=2017-01-01"
            ),
        ),
        ("POST", "/umpire/v1/services/census/keys".to_owned()),
        (
            "PUT",
            format!("/umpire/v1/blobs/{}", store::Sha256::of(b"model")),
        ),
    ];
    for (method, path) in paths {
        let request = post(&path, &served.token, "{")
            .replace("POST", method)
            .replace("content-length: 1", "content-length: 900");
        let reply = served.send(&request).await;
        assert_eq!(
            (reply.status, reply.fault().as_str()),
            (408, "RequestTimeout"),
            "{method} {path}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_steady_reader_gets_a_reply_that_takes_longer_than_idleness_may() {
    let options = Options {
        idle_time: Duration::from_millis(50),
        head_time: Duration::from_secs(1),
        ..Options::default()
    };
    // More than the kernel takes off the server's hands.
    let size = 12 << 20;
    let mut definition: serde_json::Value = serde_json::from_str(DEFINITION).unwrap();
    definition["description"] = "x".repeat(size).into();
    let served = served_with(options, &definition.to_string()).await;
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(64 * 1024).unwrap();
    let mut stream = socket.connect(served.address).await.unwrap();
    let request = format!(
        "GET /workspaces/{}/services/{}/swagger.json HTTP/1.1\r\nhost: h\r\n\r\n",
        served.workspace, served.endpoint
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    // The connection's limits are looked at once a second: the reading lasts for some of those.
    let mut taken = 0;
    let mut buffer = vec![0; 32 * 1024];
    while taken < size {
        tokio::time::sleep(Duration::from_millis(8)).await;
        let read = stream.read(&mut buffer).await.unwrap();
        assert!(read > 0, "cut after {taken} bytes");
        taken += read;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_encoding_or_type_that_is_not_json_is_refused() {
    let served = served(Options::default()).await;
    for header in ["content-encoding: gzip", "content-type: application/xml"] {
        let request = format!(
            "POST {} HTTP/1.1\r\nhost: h\r\nauthorization: Bearer {KEY}\r\n{header}\r\ncontent-length: 2\r\n\r\n{{}}",
            served.execute()
        );
        let reply = served.send(&request).await;
        assert_eq!(reply.fault(), "BadArgument.RequestBodyInvalid", "{header}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_goes_away_is_counted() {
    let served = served(Options::default()).await;
    let mut stream = served.connect().await;
    let request = post(&served.execute(), KEY, "{\"Inputs\"");
    let request = request.replace("content-length: 9", "content-length: 900");
    stream.write_all(request.as_bytes()).await.unwrap();
    // The call is under way once its budget is taken; only then is going away a cancellation.
    drop(stream);
    served
        .eventually(
            "faults_total{class=\"RequestTimeout\",code=\"RequestCanceled\",surface=\"score\"} 1",
        )
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_call_of_an_endpoint_that_asks_for_it_is_recorded_and_no_other() {
    let asks = DEFINITION.replacen('{', r#"{"diagnostics": {"level": "All"},"#, 1);
    let served = served_with(Options::default(), &asks).await;
    let path = served.execute();
    let reply = served.post(&path, "another key", "{}").await;
    assert_eq!(reply.status, 401);
    let wrong = format!("{path}&format=xml");
    let reply = served.post(&wrong, KEY, r#"{"secret": "P4yl0ad"}"#).await;
    assert_eq!(reply.status, 400);
    let refused = reply.header("x-ms-request-id").unwrap().to_owned();
    // Its client goes away while the body is still to come.
    let mut stream = served.connect().await;
    let request = post(&path, KEY, "P4yl0ad").replace("content-length: 7", "content-length: 700");
    stream.write_all(request.as_bytes()).await.unwrap();
    drop(stream);
    served
        .eventually("faults_total{class=\"RequestTimeout\",code=\"RequestCanceled\"")
        .await;
    served.diagnostics.flush(Duration::from_secs(60)).await;

    let mut records = served.records.lock().unwrap().clone();
    records.sort();
    let names: Vec<_> = records.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names.len(), 2, "{names:?}");
    let texts = records
        .iter()
        .map(|(_, text)| std::str::from_utf8(text).unwrap());
    let texts: Vec<_> = texts.collect();
    for text in &texts {
        assert!(!text.contains("P4yl0ad") && !text.contains(KEY), "{text}");
    }
    let read = |i: usize| serde_json::from_str::<serde_json::Value>(texts[i]).unwrap();
    let first = read(0);
    assert_eq!(first["requestId"], refused);
    assert!(names[0].starts_with("score/requests/") && names[0].contains(&refused));
    assert_eq!(first["status"], 400);
    assert_eq!(
        first["error"]["details"][0]["code"],
        "InvalidQueryParameter"
    );
    let second = read(1);
    assert_eq!(second["status"], 408);
    assert_eq!(second["error"]["details"][0]["code"], "RequestCanceled");
}

#[tokio::test(flavor = "multi_thread")]
async fn documents_are_open_and_in_both_families() {
    let served = served(Options::default()).await;
    let (w, s, e) = (served.workspace, served.service, served.endpoint);
    let sub = SUBSCRIPTION.replace('-', "");
    let paths = [
        (
            format!("/workspaces/{w}/services/{e}/swagger.json"),
            format!("/workspaces/{w}/services/{e}"),
        ),
        (
            format!("/subscriptions/{sub}/services/{s}/swagger.json?api-version=2.0"),
            format!("/subscriptions/{sub}/services/{s}"),
        ),
        (
            format!("/workspaces/{w}/webservices/{s}/endpoints/{e}/apidocument"),
            format!("/workspaces/{w}/services/{e}"),
        ),
        (
            format!("/apihelp/workspaces/{w}/webservices/{s}/endpoints/default/apidocument"),
            format!("/workspaces/{w}/services/{e}"),
        ),
    ];
    for (path, base) in paths {
        let reply = served.get(&path, "").await;
        assert_eq!(reply.status, 200, "{path}: {reply:?}");
        let document = reply.json();
        assert_eq!(document["basePath"], base);
        assert_eq!(document["host"], "h");
        assert_eq!(document["info"]["title"], "census");
    }
    let other = Id::random();
    let reply = served
        .get(
            &format!("/workspaces/{w}/webservices/{other}/endpoints/{e}/apidocument"),
            "",
        )
        .await;
    assert_eq!(reply.fault(), "NotFound.WebServiceNotFound");
}

#[tokio::test(flavor = "multi_thread")]
async fn documents_can_be_closed() {
    let options = Options {
        public_docs: false,
        ..Options::default()
    };
    let served = served(options).await;
    let path = format!(
        "/workspaces/{}/services/{}/swagger.json",
        served.workspace, served.endpoint
    );
    assert_eq!(served.get(&path, "").await.status, 401);
    let key = format!("authorization: Bearer {KEY}\r\n");
    assert_eq!(served.get(&path, &key).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_definition_that_cannot_be_read_has_no_document() {
    let served = served_with(Options::default(), "{\"packageType\": ").await;
    let path = format!(
        "/workspaces/{}/services/{}/swagger.json",
        served.workspace, served.endpoint
    );
    let reply = served.get(&path, "").await;
    assert_eq!(
        (reply.status, reply.fault().as_str()),
        (500, "InternalError.FailedGettingApiDocument")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn blobs_are_the_operators_and_checked() {
    let served = served(Options::default()).await;
    let path = format!("/umpire/v1/blobs/{}", store::Sha256::of(b"model"));
    let put = |key: &str, body: &str| {
        post(&path, key, body)
            .replace("POST", "PUT")
            .replace("application/json", "application/octet-stream")
    };
    let reply = served.send(&put(KEY, "model")).await;
    assert_eq!(reply.fault(), "Unauthorized.AdminRequestUnauthorized");
    assert_eq!(reply.header("www-authenticate"), Some("Bearer"));
    let token = &served.token;
    let wrong = served.send(&put(token, "other")).await;
    assert_eq!(wrong.fault(), "BadArgument.RequestBodyInvalid");
    let signed = format!("authorization: Bearer {token}\r\n");
    assert_eq!(served.get(&path, &signed).await.fault(), "NotFound");
    let reply = served.send(&put(token, "model")).await;
    assert_eq!(
        (reply.status, reply.json()["size"].as_u64()),
        (201, Some(5))
    );
    assert_eq!(served.send(&put(token, "model")).await.status, 200);
    assert_eq!(served.get(&path, &signed).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_operator_reads_services_and_rotates_keys() {
    let served = served(Options::default()).await;
    let signed = format!("authorization: Bearer {}\r\n", served.token);
    let list = served.get("/umpire/v1/services", &signed).await.json();
    let view = &list["services"][0];
    assert_eq!(view["name"], "census");
    assert_eq!(view["endpoint_id"], served.endpoint.to_string());
    assert!(
        view["scoring_url"]
            .as_str()
            .unwrap()
            .starts_with("http://h/workspaces/")
    );
    assert_eq!(
        view["inputs"]["input1"]["properties"]["a"]["type"],
        "Integer"
    );
    assert_eq!(
        served
            .get("/umpire/v1/services/none", &signed)
            .await
            .fault(),
        "NotFound.WebServiceNotFound"
    );
    let keys = served
        .get("/umpire/v1/services/CENSUS/keys", &signed)
        .await
        .json();
    assert_eq!(keys["primary"], KEY);
    let rotated = served
        .post(
            "/umpire/v1/services/census/keys",
            &served.token,
            r#"{"key":"primary"}"#,
        )
        .await
        .json();
    assert_ne!(rotated["primary"], KEY);
    assert_eq!(rotated["secondary"], "secondary-key==");
    assert_eq!(served.post(&served.execute(), KEY, "{}").await.status, 401);

    let arm = format!(
        "/subscriptions/{SUBSCRIPTION}/resourcegroups/Default/providers/microsoft.machinelearning/webservices/Census"
    );
    let reply = served
        .get(&format!("{arm}?api-version=2017-01-01"), &signed)
        .await;
    assert_eq!(reply.json()["properties"]["provisioningState"], "Succeeded");
    let reply = served.get(&arm, &signed).await;
    assert_eq!(reply.fault(), "BadArgument.BadVersionCall");
    let reply = served
        .get(&format!("{arm}?api-version=2017-01-01"), "")
        .await;
    assert_eq!(reply.fault(), "Unauthorized.ManagementRequestUnauthorized");
    let reply = served
        .get(
            &format!("{arm}/listKeys?api-version=2016-05-01-preview"),
            &signed,
        )
        .await;
    assert_eq!(reply.json()["secondary"], "secondary-key==");
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_other_origins_may_score_only_where_listed() {
    let options = Options {
        cors_origins: vec!["https://app.example".into()],
        ..Options::default()
    };
    let served = served(options).await;
    let preflight = |origin: &str, path: &str| {
        format!(
            "OPTIONS {path} HTTP/1.1\r\nhost: h\r\norigin: {origin}\r\naccess-control-request-method: POST\r\n\r\n"
        )
    };
    let execute = served.execute();
    let reply = served
        .send(&preflight("https://app.example", &execute))
        .await;
    assert_eq!(reply.status, 204);
    assert_eq!(
        reply.header("access-control-allow-origin"),
        Some("https://app.example")
    );
    for (origin, path) in [
        ("https://other.example", execute.as_str()),
        ("https://app.example", "/umpire/v1/services"),
    ] {
        let reply = served.send(&preflight(origin, path)).await;
        assert_eq!(reply.status, 404, "{origin} {path}");
        assert_eq!(reply.header("access-control-allow-origin"), None);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_graceful_end_lets_a_call_finish_and_closes_idle_connections() {
    let mut served = served(Options::default()).await;
    let mut idle = served.connect().await;
    exchange(&mut idle, "GET /livez HTTP/1.1\r\nhost: h\r\n\r\n").await;
    let mut busy = served.connect().await;
    let request = post(&served.execute(), "wrong", "");
    let (head, rest) = request.split_at(request.len() - 2);
    busy.write_all(head.as_bytes()).await.unwrap();
    served.stop.take().unwrap().send(()).unwrap();
    let mut byte = [0];
    assert_eq!(
        idle.read(&mut byte).await.unwrap(),
        0,
        "idle ones close at once"
    );
    let _ = busy.write_all(rest.as_bytes()).await;
    let ended = served.ended.take().unwrap().await.unwrap();
    assert_eq!(ended, edge::Ended::Drained);
    assert!(TcpStream::connect(served.address).await.is_err());
}
