//! A closed-loop load generator for HTTP/1.1: N keep-alive connections, each
//! sends the same request again as soon as its reply is whole. One thread and
//! one poll, so that it takes little of the machine from the server.
//!
//! ```text
//! load URL --body FILE [--header 'Name: value']… [--connections N] [--seconds S]
//! ```
//!
//! Prints one JSON object: requests, seconds, requests_per_second, and the
//! latencies p50_us, p90_us, p99_us, max_us in microseconds from the first
//! byte written to the last byte read. Any reply but 200, and any connection
//! that fails, ends the run with status 1: a benchmark of errors means nothing.

use std::collections::HashMap;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, ToSocketAddrs};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

struct Options {
    address: SocketAddr,
    request: Vec<u8>,
    connections: usize,
    seconds: f64,
}

fn options() -> Result<Options, String> {
    let mut url = None;
    let mut values: HashMap<String, String> = HashMap::new();
    let mut headers = String::new();
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.strip_prefix("--") {
            None => url = Some(argument),
            Some(name) => {
                let value = arguments.next().ok_or(format!("--{name} needs a value"))?;
                match name {
                    "header" => headers.push_str(&format!("{value}\r\n")),
                    "body" | "connections" | "seconds" => {
                        values.insert(name.to_owned(), value);
                    }
                    _ => return Err(format!("unknown option --{name}")),
                }
            }
        }
    }
    let url = url.ok_or("which URL?")?;
    let rest = url.strip_prefix("http://").ok_or("only http:// URLs")?;
    let (host, path) = match rest.find('/') {
        Some(at) => (&rest[..at], &rest[at..]),
        None => (rest, "/"),
    };
    let address = host
        .to_socket_addrs()
        .map_err(|error| format!("{host}: {error}"))?
        .next()
        .ok_or(format!("{host} has no address"))?;
    let file = values.get("body").ok_or("which --body?")?;
    let body = std::fs::read(file).map_err(|error| format!("{file}: {error}"))?;
    let mut request = format!(
        "POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n{headers}Content-Length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    request.extend_from_slice(&body);
    let number = |name: &str, default: f64| match values.get(name) {
        None => Ok(default),
        Some(text) => text
            .parse::<f64>()
            .map_err(|error| format!("--{name} {text}: {error}")),
    };
    Ok(Options {
        address,
        request,
        connections: number("connections", 1.0)? as usize,
        seconds: number("seconds", 3.0)?,
    })
}

/// One connection: how much of the request is written, how much of the reply read.
struct Connection {
    stream: TcpStream,
    written: usize,
    reply: Vec<u8>,
    /// Length of head and body together, once the head is there.
    expected: Option<usize>,
    begun: Instant,
    done: bool,
}

impl Connection {
    fn open(address: SocketAddr) -> io::Result<Self> {
        // Connected before it is made non-blocking: the run begins with all there.
        let stream = std::net::TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        Ok(Self {
            stream: TcpStream::from_std(stream),
            written: 0,
            reply: Vec::with_capacity(64 << 10),
            expected: None,
            begun: Instant::now(),
            done: false,
        })
    }

    fn begin(&mut self, request: &[u8]) -> io::Result<()> {
        self.written = 0;
        self.reply.clear();
        self.expected = None;
        self.begun = Instant::now();
        self.write(request)
    }

    fn write(&mut self, request: &[u8]) -> io::Result<()> {
        while self.written < request.len() {
            match self.stream.write(&request[self.written..]) {
                Ok(count) => self.written += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Reads what is there; true when the reply is whole.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<bool> {
        loop {
            match self.stream.read(buffer) {
                Ok(0) => return Err(io::Error::other("the server closed a connection")),
                Ok(count) => {
                    self.reply.extend_from_slice(&buffer[..count]);
                    if self.expected.is_none() {
                        self.expected = length(&self.reply)?;
                    }
                    if self
                        .expected
                        .is_some_and(|expected| self.reply.len() >= expected)
                    {
                        return Ok(true);
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// Length of a reply, head and body, or `None` while its head is not whole.
fn length(reply: &[u8]) -> io::Result<Option<usize>> {
    let Some(end) = reply.windows(4).position(|window| window == b"\r\n\r\n") else {
        return Ok(None);
    };
    let head = String::from_utf8_lossy(&reply[..end]);
    if !head.starts_with("HTTP/1.1 200") {
        return Err(io::Error::other(
            String::from_utf8_lossy(reply).into_owned(),
        ));
    }
    for line in head.lines() {
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            let body: usize = value
                .trim()
                .parse()
                .map_err(|_| io::Error::other(line.to_owned()))?;
            return Ok(Some(end + 4 + body));
        }
    }
    Err(io::Error::other(format!(
        "no Content-Length in the reply: {head}"
    )))
}

fn run(options: &Options) -> io::Result<serde_json::Value> {
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(1024);
    let mut connections = Vec::with_capacity(options.connections);
    for index in 0..options.connections {
        let mut connection = Connection::open(options.address)?;
        let interest = Interest::READABLE | Interest::WRITABLE;
        poll.registry()
            .register(&mut connection.stream, Token(index), interest)?;
        connections.push(connection);
    }
    let mut latencies: Vec<u64> = Vec::with_capacity(1 << 20);
    let mut buffer = vec![0; 64 << 10];
    let start = Instant::now();
    let end = start + Duration::from_secs_f64(options.seconds);
    let mut last = start;
    let mut busy = connections.len();
    for connection in &mut connections {
        connection.begin(&options.request)?;
    }
    while busy > 0 {
        // A server that answers nothing for ten seconds is broken, not slow.
        poll.poll(&mut events, Some(Duration::from_secs(10)))
            .or_else(|error| match error.kind() {
                ErrorKind::Interrupted => Ok(()),
                _ => Err(error),
            })?;
        if events.is_empty() {
            return Err(io::Error::new(ErrorKind::TimedOut, "no reply for 10 s"));
        }
        for event in &events {
            let connection = &mut connections[event.token().0];
            if connection.done {
                continue;
            }
            if event.is_writable() {
                connection.write(&options.request)?;
            }
            // Edge-triggered: read until it would block, and again after each
            // reply, since the next request was written in between.
            while connection.read(&mut buffer)? {
                let now = Instant::now();
                latencies.push((now - connection.begun).as_nanos() as u64);
                last = now;
                if now >= end {
                    connection.done = true;
                    busy -= 1;
                    break;
                }
                connection.begin(&options.request)?;
            }
        }
    }
    let seconds = (last - start).as_secs_f64();
    latencies.sort_unstable();
    let quantile =
        |q: f64| latencies[((latencies.len() - 1) as f64 * q).round() as usize] as f64 / 1000.0;
    Ok(serde_json::json!({
        "requests": latencies.len(),
        "seconds": seconds,
        "requests_per_second": latencies.len() as f64 / seconds,
        "p50_us": quantile(0.50),
        "p90_us": quantile(0.90),
        "p99_us": quantile(0.99),
        "max_us": quantile(1.0),
    }))
}

fn main() -> ExitCode {
    let outcome = options().and_then(|options| run(&options).map_err(|error| error.to_string()));
    match outcome {
        Ok(result) => {
            println!("{result}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("load: {error}");
            ExitCode::FAILURE
        }
    }
}
