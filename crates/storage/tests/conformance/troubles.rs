//! Services that are away, slow or broken, and addresses that may not be reached.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use outbound::Outbound;
use storage::{BlobReference, FailureKind, Options, Purpose};

use crate::azurite::{Azurite, KEY, connection};
use crate::place::{locate, outbound, patient, pattern, read, storage};

const CSV: &str = "text/csv";

fn account(address: SocketAddr) -> BlobReference {
    BlobReference {
        connection_string: Some(connection(
            &format!("http://{address}/devstoreaccount1"),
            KEY,
        )),
        relative_location: Some("con-1/a.csv".into()),
        ..BlobReference::default()
    }
}

fn page(address: SocketAddr) -> BlobReference {
    BlobReference {
        relative_location: Some(format!("http://{address}/a.csv")),
        ..BlobReference::default()
    }
}

/// A service of raw sockets: what it does with its n-th connection `serve` says. Its thread ends
/// with the test program.
fn service(serve: impl Fn(usize, TcpStream) + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let serve = Arc::new(serve);
    std::thread::spawn(move || {
        for (n, stream) in listener.incoming().flatten().enumerate() {
            let serve = serve.clone();
            std::thread::spawn(move || serve(n, stream));
        }
    });
    address
}

/// Reads the head of a request.
fn head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap_or(0) == 1 {
        head.push(byte[0]);
    }
    String::from_utf8_lossy(&head).into_owned()
}

#[tokio::test]
async fn a_service_that_is_down() {
    // A port that nobody listens on any more.
    let address = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let (storage, _folder) = storage(Options::default(), outbound(1, Duration::from_secs(5)));
    for reference in [account(address), page(address)] {
        let at = locate(&storage, &reference);
        let failure = read(&storage, &at).await.unwrap_err();
        assert_eq!(failure.kind, FailureKind::Unreachable, "{failure:?}");
        assert!(
            failure.transient && failure.text.contains("refused"),
            "{failure:?}"
        );
    }
    let at = locate(&storage, &account(address));
    let failure = storage.probe(&at).await.unwrap_err();
    assert!(failure.transient, "{failure:?}");
    let fault = failure.into_fault(Purpose::Output("o"), &at);
    assert_eq!(fault.name(), "BadArgument.ContainerValidationFailed");
}

#[tokio::test]
async fn a_service_that_does_not_answer() {
    let address = service(|_, mut stream| {
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let (storage, _folder) = storage(Options::default(), outbound(0, Duration::from_millis(200)));
    for reference in [account(address), page(address)] {
        let at = locate(&storage, &reference);
        let failure = read(&storage, &at).await.unwrap_err();
        assert_eq!(failure.kind, FailureKind::Unreachable);
        assert!(
            failure.transient && failure.text.contains("too long"),
            "{failure:?}"
        );
    }
}

#[tokio::test]
async fn a_service_that_falls_silent_in_the_middle() {
    let address = service(|_, mut stream| {
        while !head(&mut stream).is_empty() {
            let _ = stream.write_all(b"HTTP/1.1 206 P\r\nContent-Range: bytes 0-0/100\r\nContent-Length: 100\r\nETag: \"x\"\r\n\r\nhalf");
        }
    });
    let (storage, _folder) = storage(Options::default(), outbound(0, Duration::from_secs(2)));
    let at = locate(&storage, &page(address));
    let source = storage.open(&at).await.unwrap();
    assert_eq!(source.size, 100);
    let mut stream = source.read(0..100).await.unwrap();
    assert_eq!(stream.next().await.unwrap().unwrap(), "half");
    let failure = stream.next().await.unwrap().unwrap_err();
    assert!(
        failure.transient && failure.text.contains("too long"),
        "{failure:?}"
    );
}

/// Failures that pass are not seen, those that last carry what the service says.
#[tokio::test]
async fn a_service_that_is_busy_for_a_while() {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    let address = service(move |_, mut stream| {
        while !head(&mut stream).is_empty() {
            let busy = count.fetch_add(1, Ordering::SeqCst) < 2;
            let body =
                "<Error><Code>ServerBusy</Code><Message>The server is busy.</Message></Error>";
            let reply = match busy {
                true => format!("HTTP/1.1 503 B\r\nContent-Length: {}\r\n\r\n{body}", body.len()),
                false => "HTTP/1.1 201 C\r\nContent-Length: 0\r\nETag: \"x\"\r\nLast-Modified: Sat, 28 Nov 2026 00:00:00 GMT\r\n\r\n".to_owned(),
            };
            if stream.write_all(reply.as_bytes()).is_err() {
                return;
            }
        }
    });
    let (patient, _folder) = patient(Options::default());
    let at = locate(&patient, &account(address));
    patient.put(&at, CSV, Bytes::new()).await.unwrap();
    assert_eq!(asked.load(Ordering::SeqCst), 3);
    asked.store(0, Ordering::SeqCst);
    let (hasty, _folder) = storage(Options::default(), outbound(1, Duration::from_secs(5)));
    let failure = hasty.put(&at, CSV, Bytes::new()).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Answered(503));
    assert!(failure.transient);
    assert_eq!(failure.text, "503 ServerBusy: The server is busy.");
}

/// A connection that breaks while a large blob is read: the rest is asked for again.
#[tokio::test]
async fn a_connection_that_breaks_in_the_middle() {
    let Some(azurite) = Azurite::start() else {
        return;
    };
    let target = azurite.port();
    // The first connections are cut after a while, each a little later.
    let address = service(move |n, client| {
        let server = TcpStream::connect(("127.0.0.1", target)).unwrap();
        let (mut from, mut to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
        std::thread::spawn(move || {
            let _ = std::io::copy(&mut from, &mut to);
        });
        let limit = if n < 2 {
            300_000 * (n as u64 + 1)
        } else {
            u64::MAX
        };
        let _ = std::io::copy(&mut (&server).take(limit), &mut &client);
        let _ = client.shutdown(std::net::Shutdown::Both);
        let _ = server.shutdown(std::net::Shutdown::Both);
    });
    let (storage, _folder) = patient(Options::default());
    let direct = account(SocketAddr::from(([127, 0, 0, 1], target)));
    let direct = locate(&storage, &direct);
    storage.create_container(&direct).await.unwrap();
    let content = pattern(2_000_000, 9);
    storage.put(&direct, CSV, content.clone()).await.unwrap();
    let at = locate(&storage, &account(address));
    assert_eq!(read(&storage, &at).await.unwrap(), content);
}

#[tokio::test]
async fn an_answer_that_nobody_knows() {
    let address = service(|_, mut stream| {
        while !head(&mut stream).is_empty() {
            let _ = stream.write_all(b"HTTP/1.1 418 T\r\nContent-Length: 2\r\n\r\nhi");
        }
    });
    let (storage, _folder) = patient(Options::default());
    for reference in [account(address), page(address)] {
        let at = locate(&storage, &reference);
        let failure = read(&storage, &at).await.unwrap_err();
        assert_eq!(failure.kind, FailureKind::Answered(418));
        assert_eq!(failure.code, None);
        let fault = failure.into_fault(Purpose::Input("i"), &at);
        assert_eq!(fault.name(), "BadArgument.UnknownError");
    }
}

/// A server that knows no ranges, and one whose content changes.
#[tokio::test]
async fn plain_pages() {
    let state = Arc::new(AtomicUsize::new(1));
    let now = state.clone();
    let address = service(move |_, mut stream| {
        while !head(&mut stream).is_empty() {
            let n = now.load(Ordering::SeqCst);
            let body = "0123456789";
            let reply =
                format!("HTTP/1.1 200 O\r\nContent-Length: 10\r\nETag: \"{n}\"\r\n\r\n{body}");
            if stream.write_all(reply.as_bytes()).is_err() {
                return;
            }
        }
    });
    let (storage, _folder) = patient(Options::default());
    let at = locate(&storage, &page(address));
    let source = storage.open(&at).await.unwrap();
    assert_eq!((source.size, source.etag.as_deref()), (10, Some("\"1\"")));
    for (range, content) in [
        (0..10, "0123456789"),
        (3..5, "34"),
        (9..99, "9"),
        (4..4, ""),
    ] {
        let read = source.read(range).await.unwrap().whole().await.unwrap();
        assert_eq!(read, content);
    }
    state.store(2, Ordering::SeqCst);
    let failure = source.read(0..5).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Changed);
    // It is read only.
    let failures = [
        storage.probe(&at).await.unwrap_err(),
        storage.begin(&at, CSV).await.unwrap_err(),
        storage.put(&at, CSV, Bytes::new()).await.unwrap_err(),
        storage.delete(&at).await.unwrap_err(),
    ];
    for failure in failures {
        assert_eq!(failure.kind, FailureKind::Refused);
    }
}

/// A host that is listed by its name leads to no private address.
#[tokio::test]
async fn a_name_that_leads_where_it_may_not() {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    let address = service(move |_, _| {
        count.fetch_add(1, Ordering::SeqCst);
    });
    let outbound = Outbound::new(outbound::Options {
        allow: vec!["http://localhost".parse().unwrap()],
        ..outbound::Options::default()
    })
    .unwrap();
    let (storage, _folder) = storage(Options::default(), outbound);
    let endpoint = format!("http://localhost:{}/devstoreaccount1", address.port());
    let reference = BlobReference {
        connection_string: Some(connection(&endpoint, KEY)),
        ..account(address)
    };
    let at = locate(&storage, &reference);
    let failures = [
        read(&storage, &at).await.unwrap_err(),
        storage.probe(&at).await.unwrap_err(),
        storage.delete(&at).await.unwrap_err(),
    ];
    for failure in failures {
        assert_eq!(failure.kind, FailureKind::NotAllowed, "{failure:?}");
        assert!(!failure.transient);
        let fault = failure.into_fault(Purpose::Input("i"), &at);
        assert_eq!(fault.name(), "BadArgument.InvalidBlob");
    }
    assert_eq!(asked.load(Ordering::SeqCst), 0, "nobody was connected to");
}
