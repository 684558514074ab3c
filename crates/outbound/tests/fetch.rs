//! The client against a server of raw sockets.

use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use outbound::{Answer, Kind, Options, Outbound, Source, Unusable};

/// A server that answers its n-th connection with the n-th reply, and the last one for ever.
struct Server {
    address: SocketAddr,
    heads: Arc<Mutex<Vec<String>>>,
}

fn serve(replies: &[&str]) -> Server {
    serve_by(replies, |stream| stream)
}

fn serve_by<S: Read + Write>(
    replies: &[&str],
    wrap: impl Fn(std::net::TcpStream) -> S + Send + 'static,
) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let replies: Vec<String> = replies.iter().map(|r| r.to_string()).collect();
    let heads = Arc::<Mutex<Vec<String>>>::default();
    let seen = heads.clone();
    std::thread::spawn(move || {
        for (n, stream) in listener.incoming().enumerate() {
            let mut stream = wrap(stream.unwrap());
            let mut head = String::new();
            let mut reader = BufReader::new(&mut stream);
            while !head.ends_with("\r\n\r\n") {
                if reader.read_line(&mut head).unwrap_or(0) == 0 {
                    break;
                }
            }
            if head.is_empty() {
                continue;
            }
            seen.lock().unwrap().push(head);
            let reply = replies.get(n).or(replies.last()).unwrap();
            let _ = stream.write_all(reply.as_bytes());
            let _ = stream.flush();
        }
    });
    Server { address, heads }
}

impl Server {
    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    fn calls(&self) -> usize {
        self.heads.lock().unwrap().len()
    }
}

fn options() -> Options {
    Options {
        allow: vec!["http://127.0.0.1".parse().unwrap()],
        retries: 2,
        timeout: Duration::from_secs(20),
        ..Options::default()
    }
}

fn client() -> Outbound {
    Outbound::new(options()).unwrap()
}

const OK: &str =
    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nETag: \"one\"\r\nConnection: close\r\n\r\nhello";
const BROKEN: &str = "HTTP/1.1 500 Oh\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

#[tokio::test]
async fn content_is_fetched_and_what_may_pass_is_retried() {
    let server = serve(&[BROKEN, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe", OK]);
    let bytes = client()
        .get_whole(&server.url("/a?b=c"), 100)
        .await
        .unwrap();
    assert_eq!(&bytes[..], b"hello");
    assert_eq!(server.calls(), 3);
    assert!(server.heads.lock().unwrap()[0].starts_with("GET /a?b=c HTTP/1.1\r\n"));
}

#[tokio::test]
async fn a_server_that_stays_broken_is_given_up() {
    let server = serve(&[BROKEN]);
    let failure = client().get_whole(&server.url("/"), 100).await.unwrap_err();
    assert_eq!((failure.kind, failure.status), (Kind::Refused, Some(500)));
    assert!(failure.transient);
    assert_eq!(server.calls(), 3);

    let closes = serve(&[""]);
    let failure = client().get_whole(&closes.url("/"), 100).await.unwrap_err();
    assert_eq!((failure.kind, failure.transient), (Kind::Unreachable, true));
    assert_eq!(closes.calls(), 3);
}

#[tokio::test]
async fn what_storage_says_is_told_and_not_asked_twice() {
    let server = serve(&[
        "HTTP/1.1 404 The specified blob does not exist.\r\nConnection: close\r\n\r\n<Error><Code>BlobNotFound</Code><Message>The specified blob does not exist.\nRequestId:x</Message></Error>",
    ]);
    let source = server.url("/c/b?sig=secret");
    let failure = client().get_whole(&source, 100).await.unwrap_err();
    assert_eq!(
        failure.text,
        "404 BlobNotFound: The specified blob does not exist."
    );
    assert!(!failure.transient);
    assert_eq!(server.calls(), 1);
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let other = serve(&[OK]);
    let server = serve(&[&format!(
        "HTTP/1.1 302 Found\r\nLocation: {}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        other.url("/")
    )]);
    let failure = client().get_whole(&server.url("/"), 100).await.unwrap_err();
    assert_eq!((failure.kind, failure.status), (Kind::Refused, Some(302)));
    assert_eq!(other.calls(), 0);
}

#[tokio::test]
async fn more_than_the_limit_is_refused_whether_announced_or_not() {
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
    let server = serve(&[OK, chunked]);
    for _ in 0..2 {
        let failure = client().get_whole(&server.url("/"), 4).await.unwrap_err();
        assert_eq!((failure.kind, failure.transient), (Kind::TooLarge, false));
    }
    assert_eq!(
        &client().get_whole(&server.url("/"), 5).await.unwrap()[..],
        b"hello"
    );
}

#[tokio::test]
async fn what_is_still_the_same_is_not_sent_again() {
    let server = serve(&[OK, "HTTP/1.1 304 Not Modified\r\nConnection: close\r\n\r\n"]);
    let source = Source::new(server.url("/"));
    let client = client();
    let first = client
        .get(&source, 100, None, || Ok(Vec::new()))
        .await
        .unwrap();
    let Answer::Content(first) = first else {
        panic!("{first:?}");
    };
    assert_eq!((first.size, first.etag.as_deref()), (5, Some("\"one\"")));
    let second = client
        .get(&source, 100, first.etag.as_deref(), || Ok(Vec::new()))
        .await
        .unwrap();
    assert!(matches!(second, Answer::NotModified));
    assert!(
        server.heads.lock().unwrap()[1]
            .to_ascii_lowercase()
            .contains("if-none-match: \"one\"")
    );
}

#[tokio::test]
async fn a_name_that_leads_to_this_machine_is_not_connected_to() {
    let server = serve(&[OK]);
    let options = Options {
        allow: vec!["http://localhost".parse().unwrap()],
        ..options()
    };
    let url = format!("http://localhost:{}/", server.address.port());
    let failure = Outbound::new(options)
        .unwrap()
        .get_whole(&url, 100)
        .await
        .unwrap_err();
    assert_eq!(failure.kind, Kind::NotAllowed, "{failure:?}");
    assert_eq!(server.calls(), 0);
    // With the range listed the same name is.
    assert_eq!(&client().get_whole(&url, 100).await.unwrap()[..], b"hello");
}

#[tokio::test]
async fn the_operators_authority_is_trusted_beside_the_public_ones() {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("ca.pem");
    std::fs::write(&file, made.cert.pem()).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let config = Arc::new(config);
    let server = serve_by(&[OK], move |stream| {
        let connection = rustls::ServerConnection::new(config.clone()).unwrap();
        rustls::StreamOwned::new(connection, stream)
    });
    let url = format!("https://localhost:{}/", server.address.port());
    let failure = client().get_whole(&url, 100).await.unwrap_err();
    assert_eq!(
        (failure.kind, failure.transient),
        (Kind::Unreachable, false),
        "{failure:?}"
    );
    let trusting = Outbound::new(Options {
        authorities: Some(file),
        ..options()
    })
    .unwrap();
    assert_eq!(&trusting.get_whole(&url, 100).await.unwrap()[..], b"hello");
    // Requests of any method are held to the same.
    let failure = client().send(put(&url)).await.unwrap_err();
    assert_eq!(
        (failure.kind, failure.transient),
        (Kind::Unreachable, false),
        "{failure:?}"
    );
    let reply = trusting.send(put(&url)).await.unwrap();
    let body = reply.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(&body[..], b"hello");
}

fn put(url: &str) -> hyper::Request<Full<Bytes>> {
    hyper::Request::put(url)
        .body(Full::new(Bytes::from_static(b"content")))
        .unwrap()
}

#[tokio::test]
async fn requests_of_any_method_reach_what_is_allowed_and_follow_nobody() {
    let moved = "HTTP/1.1 307 M\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n";
    let server = serve(&[moved]);
    let reply = client().send(put(&server.url("/a"))).await.unwrap();
    assert_eq!(reply.status(), 307);
    assert!(server.heads.lock().unwrap()[0].starts_with("PUT /a HTTP/1.1\r\n"));
    assert!(server.heads.lock().unwrap()[0].contains("content-length: 7\r\n"));
    // The name is listed, its address is not.
    let by_name = Outbound::new(Options {
        allow: vec!["http://localhost".parse().unwrap()],
        ..options()
    })
    .unwrap();
    let port = server.address.port();
    for url in [
        format!("http://localhost:{port}/"),
        server.url("/"),
        format!("https://localhost:{port}/"),
    ] {
        let failure = by_name.send(put(&url)).await.unwrap_err();
        assert_eq!(failure.kind, Kind::NotAllowed, "{url}: {failure:?}");
        assert!(!failure.transient);
    }
    let failure = client().send(put("ftp://127.0.0.1/")).await.unwrap_err();
    assert_eq!(failure.kind, Kind::Malformed);
    assert_eq!(server.calls(), 1);
}

#[test]
fn options_that_make_no_sense_are_refused() {
    let wrong = [
        Options {
            timeout: Duration::ZERO,
            ..Options::default()
        },
        Options {
            retries: 21,
            ..Options::default()
        },
        Options {
            max_size: 0,
            ..Options::default()
        },
    ];
    for options in wrong {
        let problem = Outbound::new(options).unwrap_err();
        assert!(matches!(problem, Unusable::Limit(_)), "{problem:?}");
    }
    let options = Options {
        authorities: Some("/nowhere/ca.pem".into()),
        ..Options::default()
    };
    let problem = Outbound::new(options).unwrap_err();
    assert!(matches!(problem, Unusable::Authorities(_)), "{problem:?}");
}
