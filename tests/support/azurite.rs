//! Azurite, the emulator of Azure's blob service, on a port of its own.
#![allow(dead_code)] // Each test target uses a part.

use std::process::Command;

use ring::hmac;

use super::emulator::{Emulator, Says, installed};

pub const ACCOUNT: &str = "devstoreaccount1";
/// The same everywhere, and no secret.
pub const KEY: &str =
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

/// A running Azurite. It keeps its blobs in a folder, so it can be killed and started again.
pub struct Azurite {
    emulator: Emulator,
    folder: tempfile::TempDir,
}

impl Azurite {
    /// Starts one; `None` where it is not installed.
    pub fn start() -> Option<Azurite> {
        installed(PROGRAM)?;
        let folder = tempfile::tempdir().expect("a folder");
        let emulator = start(&folder, 0)?;
        Some(Azurite { emulator, folder })
    }

    /// Ends it at once.
    pub fn kill(&mut self) {
        self.emulator.kill();
    }

    /// Starts it again after [`Azurite::kill`], where it was and with what it had.
    pub fn restart(&mut self) {
        let port = self.emulator.address.port();
        self.emulator = start(&self.folder, port).expect("it is installed");
    }

    pub fn port(&self) -> u16 {
        self.emulator.address.port()
    }

    /// Where the account's blob containers are.
    pub fn endpoint(&self) -> String {
        format!("http://{}/{ACCOUNT}", self.emulator.address)
    }

    /// A connection string with the account's key.
    pub fn connection(&self) -> String {
        connection(&self.endpoint(), KEY)
    }

    /// A shared access signature for a blob container: a query without its `?`. The permissions
    /// are letters of `racwdl`, in this order; `until` is like `2099-01-01T00:00:00Z`.
    pub fn signature(&self, container: &str, permissions: &str, until: &str) -> String {
        let version = "2021-08-06";
        let text = format!(
            "{permissions}\n\n{until}\n/blob/{ACCOUNT}/{container}\n\n\n\n{version}\nc\n\n\n\n\n\n\n"
        );
        let key = outbound::base64::decode(KEY).expect("base64");
        let key = hmac::Key::new(hmac::HMAC_SHA256, &key);
        let signature = outbound::base64::encode(hmac::sign(&key, text.as_bytes()).as_ref());
        let signature = signature
            .replace('+', "%2B")
            .replace('/', "%2F")
            .replace('=', "%3D");
        let until = until.replace(':', "%3A");
        format!("sv={version}&sr=c&sp={permissions}&se={until}&sig={signature}")
    }
}

/// A connection string of the emulator's account.
pub fn connection(endpoint: &str, key: &str) -> String {
    format!("AccountName={ACCOUNT};AccountKey={key};BlobEndpoint={endpoint}")
}

const PROGRAM: &str = "emulators-node/node_modules/.bin/azurite-blob";

fn start(folder: &tempfile::TempDir, port: u16) -> Option<Emulator> {
    let mut command = Command::new(installed(PROGRAM)?);
    command
        .arg("--blobPort")
        .arg(port.to_string())
        .arg("--location")
        .arg(folder.path())
        .args(["--silent", "--disableTelemetry", "--skipApiVersionCheck"]);
    Some(Emulator::start(command, Says::Out))
}
