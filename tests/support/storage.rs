//! A blob service that somebody else runs: it answers a HEAD or a GET of a blob whose signature is
//! right, and refuses every other as Azure's does; nothing is written here.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// The signature that opens every blob.
pub const SIGNATURE: &str = "?sv=2015-02-21&sr=c&sig=a%2Bb%3D&se=2099-01-01&sp=rl";

/// A running blob service. Its thread ends with the test program.
pub struct Storage {
    pub address: SocketAddr,
    blobs: Arc<Mutex<HashMap<String, Vec<u8>>>>,
    refusals: Arc<Mutex<HashMap<String, u16>>>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Storage {
    pub fn start() -> Storage {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let storage = Storage {
            address: listener.local_addr().expect("its address"),
            blobs: Arc::default(),
            refusals: Arc::default(),
            asked: Arc::default(),
        };
        let (blobs, asked) = (storage.blobs.clone(), storage.asked.clone());
        let refusals = storage.refusals.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (blobs, asked) = (blobs.clone(), asked.clone());
                let refusals = refusals.clone();
                std::thread::spawn(move || answer(stream, &blobs, &refusals, &asked));
            }
        });
        storage
    }

    /// Puts a blob there; `path` is blob container and blob.
    pub fn put(&self, path: &str, content: Vec<u8>) {
        let mut blobs = self.blobs.lock().unwrap();
        blobs.insert(format!("/{path}"), content);
    }

    /// Takes a blob away.
    pub fn remove(&self, path: &str) {
        self.blobs.lock().unwrap().remove(&format!("/{path}"));
    }

    /// Lets every call about a path be refused with a status, and without a word.
    pub fn refuse(&self, path: &str, status: u16) {
        let mut refusals = self.refusals.lock().unwrap();
        refusals.insert(format!("/{path}"), status);
    }

    /// What was asked for so far.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    /// The first part of the blobs' URLs.
    pub fn base(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// The line of the configuration that lets a server read here.
    pub fn allowed(&self) -> String {
        format!("[outbound]\nallow = [\"http://{}\"]", self.address.ip())
    }
}

fn answer(
    stream: TcpStream,
    blobs: &Mutex<HashMap<String, Vec<u8>>>,
    refusals: &Mutex<HashMap<String, u16>>,
    asked: &Mutex<Vec<String>>,
) {
    let mut lines = BufReader::new(&stream).lines();
    let Some(Ok(first)) = lines.next() else {
        return;
    };
    let mut range = None;
    while let Some(Ok(line)) = lines.next() {
        if line.is_empty() {
            break;
        }
        let line = line.to_ascii_lowercase();
        if let Some(given) = line.strip_prefix("range: bytes=") {
            range = given
                .split_once('-')
                .and_then(|(from, to)| Some((from.parse().ok()?, to.parse::<usize>().ok()? + 1)));
        }
    }
    let mut words = first.split(' ');
    let method = words.next().unwrap_or_default();
    let target = words.next().unwrap_or("/").to_owned();
    asked.lock().unwrap().push(target.clone());
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let found = blobs.lock().unwrap().get(path).cloned();
    let refused = refusals.lock().unwrap().get(path).copied();
    let signature = SIGNATURE.trim_start_matches('?');
    let signed = signature
        .split('&')
        .all(|part| query.split('&').any(|p| p == part));
    let (status, mut body) = match (refused, found) {
        (Some(status), _) => (format!("{status} No"), Vec::new()),
        _ if !signed => (
            "403 Server failed to authenticate the request.".into(),
            error("AuthenticationFailed", "The signature is not right."),
        ),
        _ if method != "GET" && method != "HEAD" => (
            "403 This request is not authorized.".into(),
            error(
                "AuthorizationPermissionMismatch",
                "This request is not authorized to perform this operation.",
            ),
        ),
        (None, None) => (
            "404 The specified blob does not exist.".into(),
            error("BlobNotFound", "The specified blob does not exist."),
        ),
        (None, Some(content)) => match range {
            Some((from, to)) => {
                let to = content.len().min(to);
                let part = content.get(from..to).unwrap_or_default().to_vec();
                let range = format!("Content-Range: bytes {from}-{}/{}", to - 1, content.len());
                (format!("206 Partial Content\r\n{range}"), part)
            }
            None => ("200 OK".into(), content),
        },
    };
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Length: {}\r\nETag: \"0x1\"\r\n\
         Last-Modified: Sat, 31 Jan 2026 12:00:00 GMT\r\nConnection: close\r\n\r\n",
        body.len()
    );
    if method == "HEAD" {
        body.clear();
    }
    // Whoever went away needs no answer.
    let _ = (&stream).write_all(head.as_bytes());
    let _ = (&stream).write_all(&body);
}

fn error(code: &str, message: &str) -> Vec<u8> {
    format!(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?><Error><Code>{code}</Code><Message>{message}</Message></Error>"
    )
    .into_bytes()
}
