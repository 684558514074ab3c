//! A blob that is read is never in memory as a whole. Alone in its program: the peak is the
//! process's.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;

use storage::{BlobReference, Options, Purpose, Storage};
use store::{Id, Store};

const SIZE: u64 = 512 << 20;
/// What a reader may hold on to, many times over.
const ROOM: u64 = 64 << 20;

/// Answers each request with a range of a large blob of zeros.
fn answer(mut stream: TcpStream) {
    let zeros = vec![0; 1 << 20];
    loop {
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") {
            if stream.read(&mut byte).unwrap_or(0) == 0 {
                return;
            }
            head.push(byte[0]);
        }
        let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
        if head.starts_with("head") {
            let reply = format!(
                "HTTP/1.1 200 O\r\nContent-Length: {SIZE}\r\nETag: \"x\"\r\nLast-Modified: Sat, 28 Nov 2026 00:00:00 GMT\r\n\r\n"
            );
            if stream.write_all(reply.as_bytes()).is_err() {
                return;
            }
            continue;
        }
        let (_, range) = head.split_once("range: bytes=").unwrap();
        let (start, end) = range.lines().next().unwrap().split_once('-').unwrap();
        let (start, end): (u64, u64) = (start.parse().unwrap(), end.parse().unwrap());
        let mut left = end + 1 - start;
        let reply = format!(
            "HTTP/1.1 206 P\r\nContent-Range: bytes {start}-{end}/{SIZE}\r\nContent-Length: {left}\r\nETag: \"x\"\r\nLast-Modified: Sat, 28 Nov 2026 00:00:00 GMT\r\n\r\n"
        );
        if stream.write_all(reply.as_bytes()).is_err() {
            return;
        }
        while left > 0 {
            let some = left.min(zeros.len() as u64);
            if stream.write_all(&zeros[..some as usize]).is_err() {
                return;
            }
            left -= some;
        }
    }
}

/// The most memory that this process has had, in bytes.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|l| l.starts_with("VmHWM:")).unwrap();
    let kib: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kib << 10
}

#[tokio::test]
async fn a_large_blob_passes_through_little_memory() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || answer(stream));
        }
    });
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(Store::open(folder.path(), None).unwrap());
    let outbound = outbound::Outbound::new(outbound::Options {
        allow: vec!["http://127.0.0.1".parse().unwrap()],
        ..outbound::Options::default()
    });
    let storage = Storage::new(Options::default(), outbound.unwrap(), store);
    let account = format!("BlobEndpoint=http://{address};AccountName=a;AccountKey=a2V5");
    for (connection, relative) in [
        (Some(account), "con/a.csv".to_owned()),
        (None, format!("http://{address}/a.csv")),
    ] {
        let reference = BlobReference {
            connection_string: connection,
            relative_location: Some(relative),
            ..BlobReference::default()
        };
        let at = storage
            .resolve(&reference, Id([1; 16]), Purpose::Input("i"))
            .unwrap();
        let source = storage.open(&at).await.unwrap();
        let before = peak();
        let mut stream = source.read(0..SIZE).await.unwrap();
        let mut read = 0;
        while let Some(bytes) = stream.next().await {
            read += bytes.unwrap().len() as u64;
        }
        assert_eq!(read, SIZE);
        let more = peak() - before;
        assert!(more < ROOM, "{more} bytes more for {reference:?}");
    }
}
