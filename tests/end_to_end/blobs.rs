//! The workspaces' own blobs over HTTP: signed URLs, in the protocol of blob storage.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::support::{
    Connection, Reply, Request, SUBSCRIPTION, Server, Service, Setup, assert_fault, until,
};

/// Where an upload goes, as the server says it.
struct Place {
    base: String,
    relative: String,
    token: String,
}

impl Place {
    fn ask(service: &Service, name: &str) -> Place {
        let reply = uploads(service, &json!({"Name": name})).send(service.address);
        assert_eq!(reply.status, 201, "{}", reply.text());
        let place = reply.json();
        let part = |name: &str| place[name].as_str().expect("a text").to_owned();
        Place {
            base: part("BaseLocation"),
            relative: part("RelativeLocation"),
            token: part("SasBlobToken"),
        }
    }

    /// The path and the query, joined as clients join them.
    fn target(&self) -> String {
        let url = format!("{}{}{}", self.base, self.relative, self.token);
        let (_, rest) = url.split_once("://").expect("a URL");
        rest[rest.find('/').expect("a path")..].to_owned()
    }
}

fn uploads(service: &Service, body: &Value) -> Request {
    let path = service.path().replace("/execute", "/uploads");
    Request::new("POST", &format!("{path}?api-version=2.0"))
        .bearer(&service.primary)
        .json(body)
}

fn put(target: &str, content: &[u8]) -> Request {
    Request::new("PUT", target)
        .header("x-ms-blob-type", "BlockBlob")
        .body(content)
}

fn get(server: &Server, target: &str) -> Reply {
    Request::new("GET", target).send(server.address)
}

/// The code of an error in the protocol's form.
#[track_caller]
fn code(reply: &Reply) -> String {
    let text = reply.text();
    let code = text
        .split_once("<Code>")
        .and_then(|(_, rest)| rest.split_once("</Code>"));
    let Some((code, _)) = code else {
        panic!("{} {text}", reply.status)
    };
    assert_eq!(reply.header("x-ms-error-code"), Some(code));
    assert_eq!(reply.header("content-type"), Some("application/xml"));
    format!("{} {code}", reply.status)
}

/// The files that blobs are kept in.
fn files(server: &Server) -> usize {
    let folders = std::fs::read_dir(server.data().join("objects")).expect("the folder");
    folders
        .map(|folder| {
            std::fs::read_dir(folder.expect("a folder").path())
                .expect("it")
                .count()
        })
        .sum()
}

#[test]
fn the_official_client_reads_and_writes() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let python = match std::env::var_os("UMPIRE_CLIENT_PYTHON") {
        Some(path) => PathBuf::from(path),
        None => root.join("target/client-venv/bin/python"),
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
    let path = service.path().replace("/execute", "/uploads");
    let output = Command::new(python)
        .arg(root.join("tests/clients/blob_client.py"))
        .arg(format!("http://{}{path}?api-version=2.0", server.address))
        .arg(&service.primary)
        .output()
        .expect("Python runs");
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(
        output.status.success(),
        "{}{}",
        said(&output.stdout),
        said(&output.stderr)
    );
    assert!(said(&output.stdout).contains("done"));
}

#[test]
fn an_upload_is_asked_for_as_a_call_is_made() {
    let server = Server::start();
    let service = server.deploy_linear("linear");
    let body = json!({"Name": "in.csv"});
    let asked =
        |change: &dyn Fn(Request) -> Request| change(uploads(&service, &body)).send(server.address);
    let without = asked(&|mut request| {
        request.headers.retain(|(name, _)| name != "Authorization");
        request
    });
    assert_fault(&without, faults::unauthorized::score_request_unauthorized());
    let no_version = asked(&|mut request| {
        request.target = request.target.replace("?api-version=2.0", "");
        request
    });
    assert_fault(
        &no_version,
        faults::bad_argument::bad_version_call("(none)"),
    );
    for bad in [
        json!({}),
        json!({"Name": ""}),
        json!({"Name": 1}),
        json!({"Name": "x".repeat(201)}),
    ] {
        let reply = uploads(&service, &bad).send(server.address);
        assert_eq!(
            reply.header("x-ms-error-code"),
            Some("RequestBodyInvalid"),
            "{bad}"
        );
    }
    let place = Place::ask(&service, "../Mühle 1.csv");
    let base = format!("http://localhost/blobs/{}/", service.workspace);
    assert_eq!(place.base, base);
    assert!(place.relative.starts_with("uploads/"), "{}", place.relative);
    assert!(
        place.relative.ends_with("/.._M_hle_1.csv"),
        "{}",
        place.relative
    );
    let family = format!(
        "/subscriptions/{SUBSCRIPTION}/services/{}/uploads",
        service.endpoint
    );
    let other = asked(&|mut request| {
        request.target = format!("{family}?api-version=2.0");
        request
    });
    assert_eq!(other.status, 201, "{}", other.text());
}

#[test]
fn what_is_served_is_no_page_of_ours() {
    let server = Server::start();
    let service = server.deploy_linear("linear");
    let target = Place::ask(&service, "in.csv").target();
    assert_eq!(code(&get(&server, &target)), "404 ContainerNotFound");
    let content = b"<script>alert(1)</script>";
    let stored = put(&target, content)
        .header("Content-Type", "text/html")
        .send(server.address);
    assert_eq!(stored.status, 201, "{}", stored.text());
    let etag = stored.header("etag").expect("an ETag").to_owned();
    let reply = get(&server, &target);
    assert_eq!((reply.status, &reply.body[..]), (200, &content[..]));
    for (name, value) in [
        ("content-type", "text/html"),
        ("content-disposition", "attachment"),
        ("x-content-type-options", "nosniff"),
        ("content-security-policy", "sandbox; default-src 'none'"),
        ("cache-control", "private, no-store"),
        ("x-ms-blob-type", "BlockBlob"),
        ("accept-ranges", "bytes"),
        ("etag", &etag),
    ] {
        assert_eq!(reply.header(name), Some(value), "{name}");
    }
    for name in ["x-ms-version", "x-ms-request-id", "date", "last-modified"] {
        assert!(reply.header(name).is_some(), "{name}");
    }
    let head = Request::new("HEAD", &target).send(server.address);
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert_eq!(head.header("content-length"), Some("25"));
    let part = Request::new("GET", &target)
        .header("Range", "bytes=1-6")
        .send(server.address);
    assert_eq!((part.status, part.text()), (206, "script".into()));
    assert_eq!(part.header("content-range"), Some("bytes 1-6/25"));
    let known = Request::new("GET", &target)
        .header("If-None-Match", &etag)
        .send(server.address);
    assert_eq!((known.status, known.body.len()), (304, 0));
    let wrong = Request::new("GET", &target)
        .header("If-Match", "\"x\"")
        .send(server.address);
    assert_eq!(code(&wrong), "412 ConditionNotMet");
    let range = Request::new("GET", &target)
        .header("Range", "bytes=25-")
        .send(server.address);
    assert_eq!(code(&range), "416 InvalidRange");
    assert_eq!(range.header("content-range"), Some("bytes */25"));
    let verb = Request::new("POST", &target).send(server.address);
    assert_eq!(code(&verb), "405 UnsupportedHttpVerb");
    assert_eq!(verb.header("allow"), Some("GET, HEAD, PUT, DELETE"));
    // Each is counted as a fault like all others.
    let count = |class: &str| {
        let (class, surface) = (format!("class=\"{class}\""), "surface=\"blobs\"");
        server.metric(&["faults_total", &class, surface])
    };
    assert_eq!(count("Conflict"), 1.0);
    assert_eq!(count("NotFound"), 2.0);
}

#[test]
fn a_signature_opens_nothing_else() {
    let server = Server::start();
    let service = server.deploy_linear("linear");
    let place = Place::ask(&service, "in.csv");
    let target = place.target();
    assert_eq!(put(&target, b"content").send(server.address).status, 201);
    let other_workspace = server.create_workspace("other");
    let changed = [
        target.replace("in.csv", "on.csv"),
        target.replace(&service.workspace, &other_workspace),
        target.replace("/uploads/", "/uploadz/"),
        target.replace("/in.csv", "/x/../in.csv"),
        target.replace("/in.csv", "/../in.csv"),
        target.replace("/uploads/", "/%2e%2e/uploads/"),
        target.replace("sp=rcw", "sp=rcwd"),
        target.replace("sr=b", "sr=c"),
        target.replace("se=2", "se=3"),
        format!("{target}A"),
        target[..target.len() - 1].to_owned(),
        target.split('?').next().expect("a path").to_owned(),
    ];
    for bad in &changed {
        for method in ["GET", "PUT", "DELETE"] {
            let reply = Request::new(method, bad)
                .bearer(&service.primary)
                .send(server.address);
            assert_eq!(code(&reply), "403 AuthenticationFailed", "{method} {bad}");
            assert!(!reply.text().contains("sig="));
        }
    }
    let deleted = Request::new("DELETE", &target).send(server.address);
    assert_eq!(code(&deleted), "403 AuthorizationPermissionMismatch");
    assert_eq!(get(&server, &target).text(), "content");
    // No signature is in the log.
    let signature = target.split("sig=").nth(1).expect("a signature");
    assert!(
        server
            .log
            .lines()
            .iter()
            .all(|line| !line.contains(signature))
    );
}

#[test]
fn what_breaks_off_leaves_nothing_and_what_is_acknowledged_stays() {
    let mut server = Server::start();
    let service = server.deploy_linear("linear");
    let target = Place::ask(&service, "in.csv").target();
    let part = |server: &Server, target: &str| {
        let mut request = put(target, &[b'x'; 3 << 20]);
        let head = request.head();
        request.body.truncate(2 << 20);
        let mut connection = Connection::open(server.address).expect("a connection");
        connection.stream.write_all(&head).expect("it is sent");
        connection
            .stream
            .write_all(&request.body)
            .expect("it is sent");
        until("the upload has begun", || files(server) > 0);
        connection
    };
    drop(part(&server, &target));
    until("the file is gone", || files(&server) == 0);
    assert_eq!(code(&get(&server, &target)), "404 ContainerNotFound");

    let block = put(&format!("{target}&comp=block&blockid=QQ%3D%3D"), b"block");
    assert_eq!(block.send(server.address).status, 201);
    let before = files(&server);
    let connection = part(&server, &target);
    until("the upload has begun", || files(&server) > before);
    server.restart();
    drop(connection);
    assert_eq!(files(&server), before, "what was cut off is gone");
    assert_eq!(code(&get(&server, &target)), "404 BlobNotFound");
    let list = "<BlockList><Latest>QQ==</Latest></BlockList>";
    let commit = put(&format!("{target}&comp=blocklist"), list.as_bytes());
    assert_eq!(commit.send(server.address).status, 201);
    server.restart();
    assert_eq!(get(&server, &target).text(), "block");
}

#[test]
fn too_much_is_refused_and_leaves_nothing() {
    let server = Setup::default()
        .config("[limits]\nblob = \"1MiB\"\ndisk = \"3MiB\"")
        .start();
    let service = server.deploy_linear("linear");
    let target = Place::ask(&service, "in.csv").target();
    let large = vec![b'x'; (1 << 20) + 1];
    for request in [put(&target, &large), put(&target, &large).chunked()] {
        assert_eq!(
            code(&request.send(server.address)),
            "413 RequestBodyTooLarge"
        );
    }
    assert_eq!(files(&server), 0);
    let fits = &large[..1 << 20];
    for name in ["a.csv", "b.csv"] {
        let target = Place::ask(&service, name).target();
        assert_eq!(put(&target, fits).send(server.address).status, 201);
    }
    let full = put(&target, fits).send(server.address);
    assert_eq!(code(&full), "507 InsufficientStorage");
    assert_eq!(files(&server), 2);
    let row = [
        "faults_total",
        "code=\"ContainerValidationFailed\"",
        "surface=\"blobs\"",
    ];
    assert_eq!(server.metric(&row), 1.0);
    for (query, headers, body, said) in [
        ("&comp=tier", vec![], "", "400 InvalidQueryParameterValue"),
        (
            "&comp=block&blockid=%20",
            vec![],
            "x",
            "400 InvalidQueryParameterValue",
        ),
        ("&comp=blocklist", vec![], "<x/>", "400 InvalidXmlDocument"),
        (
            "",
            vec![("x-ms-copy-source", "http://h/")],
            "",
            "400 UnsupportedHeader",
        ),
        (
            "",
            vec![("If-Modified-Since", "soon")],
            "",
            "400 InvalidHeaderValue",
        ),
    ] {
        let mut request = Request::new("PUT", &format!("{target}{query}")).body(body);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        assert_eq!(code(&request.send(server.address)), said, "{query}");
    }
}

#[test]
fn of_many_at_once_each_is_whole() {
    let server = Server::start();
    let service = server.deploy_linear("linear");
    let target = Place::ask(&service, "in.csv").target();
    let text = |n: usize| vec![b'a' + n as u8; 700_000 + n];
    assert_eq!(put(&target, &text(0)).send(server.address).status, 201);
    std::thread::scope(|scope| {
        for n in 0..6 {
            let (target, server) = (&target, &server);
            scope.spawn(move || {
                for _ in 0..5 {
                    assert_eq!(put(target, &text(n)).send(server.address).status, 201);
                    let read = get(server, target);
                    let who = usize::from(read.body[0] - b'a');
                    assert!(read.status == 200 && read.body == text(who), "{who}");
                }
            });
        }
    });
    until("what was written over is gone", || files(&server) == 1);
}

#[test]
fn operators_list_link_and_delete() {
    let server = Server::start();
    let service = server.deploy_linear("linear");
    let token = server.token();
    let ask = |method: &str, path: &str, body: Value| {
        let path = format!("/umpire/v1/workspaces/default/storage{path}");
        let request = Request::new(method, &path).bearer(&token);
        match body {
            Value::Null => request,
            body => request.json(&body),
        }
        .send(server.address)
    };
    let list = |path: &str| ask("GET", path, Value::Null);
    assert_eq!(list("").json(), json!({"containers": []}));
    assert_eq!(list("/uploads").status, 404);
    let place = Place::ask(&service, "in.csv");
    assert_eq!(
        put(&place.target(), b"1234").send(server.address).status,
        201
    );
    let containers = list("").json();
    assert_eq!(containers["containers"][0]["name"], "uploads");
    assert_eq!(containers["containers"][0]["bytes"], 4);

    // What is made by a link is read by one, and by nobody who has another.
    let link = |blob: &str, permissions: &str| {
        let body = json!({"blob": blob, "permissions": permissions});
        ask("POST", "/results", body)
    };
    for bad in [link("a.csv", ""), link("a.csv", "rx"), link("../a", "r")] {
        assert_eq!(bad.header("x-ms-error-code"), Some("RequestBodyInvalid"));
    }
    let target = |reply: Reply| {
        assert_eq!(reply.status, 201, "{}", reply.text());
        let reply = reply.json();
        let url = reply["url"].as_str().expect("a URL");
        url.strip_prefix("http://localhost")
            .expect("this host")
            .to_owned()
    };
    let (create, all) = (link("ä b/1.csv", "c"), target(link("ä b/1.csv", "rwd")));
    let create = target(create);
    assert_eq!(put(&create, b"made").send(server.address).status, 201);
    let again = put(&create, b"made again").send(server.address);
    assert_eq!(code(&again), "403 AuthorizationPermissionMismatch");
    assert_eq!(
        code(&get(&server, &create)),
        "403 AuthorizationPermissionMismatch"
    );
    assert_eq!(get(&server, &all).text(), "made");
    for name in ["2", "3"] {
        let target = target(link(name, "w"));
        assert_eq!(put(&target, b"x").send(server.address).status, 201);
    }
    let page = list("/results?limit=2").json();
    assert_eq!(page["blobs"][1]["name"], "3");
    assert_eq!(page["next"], "3");
    let page = list("/results?limit=2&after=3").json();
    assert_eq!(page["blobs"][0]["name"], "ä b/1.csv");
    assert_eq!(page["next"], Value::Null);
    assert_eq!(list("/results?limit=0").status, 400);

    assert_eq!(
        Request::new("DELETE", &all).send(server.address).status,
        202
    );
    assert_eq!(code(&get(&server, &all)), "404 BlobNotFound");
    assert_eq!(ask("DELETE", "/results?blob=2", Value::Null).status, 204);
    assert_eq!(ask("DELETE", "/results?blob=2", Value::Null).status, 404);
    assert_eq!(ask("DELETE", "/results", Value::Null).status, 204);
    assert_eq!(ask("DELETE", "/results", Value::Null).status, 404);
    until("only the upload is left", || files(&server) == 1);
    let audit = Request::new("GET", "/umpire/v1/audit?limit=20")
        .bearer(&token)
        .send(server.address);
    let subject = format!("blob container {}/results", service.workspace);
    assert!(audit.text().contains(&subject), "{}", audit.text());
}
