//! A blob service that somebody else runs: it answers a GET of a blob whose signature is right, and
//! refuses every other as Azure's does.

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
    asked: Arc<Mutex<Vec<String>>>,
}

impl Storage {
    pub fn start() -> Storage {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let storage = Storage {
            address: listener.local_addr().expect("its address"),
            blobs: Arc::default(),
            asked: Arc::default(),
        };
        let (blobs, asked) = (storage.blobs.clone(), storage.asked.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (blobs, asked) = (blobs.clone(), asked.clone());
                std::thread::spawn(move || answer(stream, &blobs, &asked));
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

fn answer(stream: TcpStream, blobs: &Mutex<HashMap<String, Vec<u8>>>, asked: &Mutex<Vec<String>>) {
    let mut lines = BufReader::new(&stream).lines();
    let Some(Ok(first)) = lines.next() else {
        return;
    };
    while let Some(Ok(line)) = lines.next() {
        if line.is_empty() {
            break;
        }
    }
    let target = first.split(' ').nth(1).unwrap_or("/").to_owned();
    asked.lock().unwrap().push(target.clone());
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let found = blobs.lock().unwrap().get(path).cloned();
    let (status, body) = match found {
        _ if query != SIGNATURE.trim_start_matches('?') => (
            "403 Server failed to authenticate the request.",
            error("AuthenticationFailed", "The signature is not right."),
        ),
        None => (
            "404 The specified blob does not exist.",
            error("BlobNotFound", "The specified blob does not exist."),
        ),
        Some(content) => ("200 OK", content),
    };
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
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
