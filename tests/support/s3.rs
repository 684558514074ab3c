//! moto, an emulator of S3, on a port of its own.
#![allow(dead_code)] // Each test target uses a part.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::Command;

use super::emulator::{Emulator, Says, installed};

/// A running emulator of S3.
pub struct S3 {
    emulator: Emulator,
}

impl S3 {
    /// Starts one that takes any credentials; `None` where it is not installed.
    pub fn start() -> Option<S3> {
        S3::start_with(&[])
    }

    /// Starts one that knows nobody, so that every request is refused.
    pub fn strict() -> Option<S3> {
        S3::start_with(&[("INITIAL_NO_AUTH_ACTION_COUNT", "0")])
    }

    fn start_with(environment: &[(&str, &str)]) -> Option<S3> {
        let mut command = Command::new(installed("emulators-venv/bin/moto_server")?);
        command.args(["-H", "127.0.0.1", "-p", "0"]);
        command.envs(environment.iter().copied());
        let emulator = Emulator::start(command, Says::Error);
        Some(S3 { emulator })
    }

    pub fn endpoint(&self) -> String {
        format!("http://{}", self.emulator.address)
    }

    /// What the environment of a server holds that is to use it.
    pub fn credentials(&self) -> Vec<(String, String)> {
        [
            ("AWS_ACCESS_KEY_ID", "AKIATEST".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "no-secret-at-all".to_owned()),
            ("AWS_REGION", "us-east-1".to_owned()),
            ("AWS_ENDPOINT_URL", self.endpoint()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .to_vec()
    }

    /// Makes a bucket.
    pub fn create_bucket(&self, name: &str) {
        let mut stream = TcpStream::connect(self.emulator.address).expect("the emulator");
        let request = format!(
            "PUT /{name} HTTP/1.1\r\nHost: s3.amazonaws.com\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).expect("sent");
        let mut reply = String::new();
        stream.read_to_string(&mut reply).expect("a reply");
        assert!(reply.starts_with("HTTP/1.1 200"), "{reply}");
    }
}
