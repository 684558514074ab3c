//! A small HTTP/1.1 client over plain sockets, so that a test can send what no library would:
//! half requests, slow ones, chunked bodies without an end, repeated headers.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

/// A whole answer.
#[derive(Debug, Clone)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Reply {
    /// The first header of that name, any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, v)| v.as_str())
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON; panics with the body where it is none.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|e| panic!("not JSON ({e}): {} {}", self.status, self.text()))
    }
}

/// A request under construction.
#[derive(Debug, Clone)]
pub struct Request {
    pub method: String,
    pub target: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    pub chunked: bool,
    pub timeout: Duration,
}

impl Request {
    pub fn new(method: &str, target: &str) -> Self {
        Request {
            method: method.into(),
            target: target.into(),
            headers: Vec::new(),
            body: Vec::new(),
            chunked: false,
            timeout: Duration::from_secs(60),
        }
    }

    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    pub fn bearer(self, key: &str) -> Self {
        let value = format!("Bearer {key}");
        self.header("Authorization", &value)
    }

    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    pub fn json(self, body: &Value) -> Self {
        self.header("Content-Type", "application/json")
            .body(body.to_string())
    }

    /// Sends the body as one chunk without `Content-Length`.
    pub fn chunked(mut self) -> Self {
        self.chunked = true;
        self
    }

    /// The bytes of the head, with the framing header of the body.
    pub fn head(&self) -> Vec<u8> {
        let mut head = format!("{} {} HTTP/1.1\r\n", self.method, self.target);
        if !self.headers.iter().any(|(name, _)| name == "Host") {
            head.push_str("Host: localhost\r\n");
        }
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if self.chunked {
            head.push_str("Transfer-Encoding: chunked\r\n");
        } else if !self.body.is_empty() || matches!(self.method.as_str(), "POST" | "PUT" | "PATCH")
        {
            head.push_str(&format!("Content-Length: {}\r\n", self.body.len()));
        }
        head.push_str("\r\n");
        head.into_bytes()
    }

    /// Sends the request on a connection of its own and reads the answer.
    pub fn try_send(&self, to: SocketAddr) -> io::Result<Reply> {
        let mut connection = Connection::open(to)?;
        connection.stream.set_read_timeout(Some(self.timeout))?;
        connection.send(self)?;
        connection.read_reply(self.method == "HEAD")
    }

    /// Like [`Request::try_send`]; panics where no answer comes.
    #[track_caller]
    pub fn send(&self, to: SocketAddr) -> Reply {
        match self.try_send(to) {
            Ok(reply) => reply,
            Err(e) => panic!("{} {}: no answer: {e}", self.method, self.target),
        }
    }
}

/// One connection, for tests that send piecewise or reuse it.
pub struct Connection {
    pub stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    pub fn open(to: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(to)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(60)))?;
        Ok(Connection {
            stream,
            buffer: Vec::new(),
        })
    }

    /// Sends a whole request. A write error is ignored when the peer may have answered early.
    pub fn send(&mut self, request: &Request) -> io::Result<()> {
        self.stream.write_all(&request.head())?;
        let sent = if request.chunked {
            let mut framed = format!("{:x}\r\n", request.body.len()).into_bytes();
            framed.extend_from_slice(&request.body);
            framed.extend_from_slice(b"\r\n0\r\n\r\n");
            if request.body.is_empty() {
                self.stream.write_all(b"0\r\n\r\n")
            } else {
                self.stream.write_all(&framed)
            }
        } else {
            self.stream.write_all(&request.body)
        };
        // A refused body may meet a closed connection while the answer is already on its way.
        match sent {
            Err(e)
                if e.kind() != io::ErrorKind::BrokenPipe
                    && e.kind() != io::ErrorKind::ConnectionReset =>
            {
                Err(e)
            }
            _ => Ok(()),
        }
    }

    fn fill(&mut self) -> io::Result<usize> {
        let mut chunk = [0u8; 64 * 1024];
        let n = self.stream.read(&mut chunk)?;
        self.buffer.extend_from_slice(&chunk[..n]);
        Ok(n)
    }

    fn line(&mut self) -> io::Result<String> {
        loop {
            if let Some(end) = self.buffer.windows(2).position(|w| w == b"\r\n") {
                let line = String::from_utf8_lossy(&self.buffer[..end]).into_owned();
                self.buffer.drain(..end + 2);
                return Ok(line);
            }
            if self.fill()? == 0 {
                return Err(io::Error::new(
                    io::ErrorKind::UnexpectedEof,
                    "connection closed in the head",
                ));
            }
        }
    }

    fn exactly(&mut self, n: usize) -> io::Result<Vec<u8>> {
        while self.buffer.len() < n {
            if self.fill()? == 0 {
                return Err(io::Error::new(
                    io::ErrorKind::UnexpectedEof,
                    "connection closed in the body",
                ));
            }
        }
        Ok(self.buffer.drain(..n).collect())
    }

    /// Reads one answer (100 Continue is passed over).
    pub fn read_reply(&mut self, head_only: bool) -> io::Result<Reply> {
        loop {
            let status_line = self.line()?;
            let status: u16 = status_line
                .split(' ')
                .nth(1)
                .and_then(|s| s.parse().ok())
                .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, status_line.clone()))?;
            let mut headers = Vec::new();
            loop {
                let line = self.line()?;
                if line.is_empty() {
                    break;
                }
                if let Some((name, value)) = line.split_once(':') {
                    headers.push((name.to_owned(), value.trim().to_owned()));
                }
            }
            if status == 100 {
                continue;
            }
            let mut reply = Reply {
                status,
                headers,
                body: Vec::new(),
            };
            if head_only || status == 204 || status == 304 {
                return Ok(reply);
            }
            if reply
                .header("transfer-encoding")
                .is_some_and(|v| v.eq_ignore_ascii_case("chunked"))
            {
                loop {
                    let size = self.line()?;
                    let size =
                        usize::from_str_radix(size.split(';').next().unwrap_or("").trim(), 16)
                            .map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))?;
                    let chunk = self.exactly(size)?;
                    reply.body.extend_from_slice(&chunk);
                    self.line()?;
                    if size == 0 {
                        break;
                    }
                }
            } else if let Some(length) = reply.header("content-length").and_then(|v| v.parse().ok())
            {
                reply.body = self.exactly(length)?;
            } else {
                while self.fill()? > 0 {}
                reply.body = std::mem::take(&mut self.buffer);
            }
            return Ok(reply);
        }
    }
}
