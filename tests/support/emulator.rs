//! Emulators of storage services: programs of others that `scripts/test` installs below `target/`.
#![allow(dead_code)] // Each test target uses a part.

use std::io::{BufRead as _, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A running emulator. It ends with this value.
pub struct Emulator {
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
}

/// A file that `scripts/test` installed; `None`, and a line that says so, where it is not there.
pub fn installed(path: &str) -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let file = root.join("target").join(path);
    if file.exists() {
        return Some(file);
    }
    println!("skipped: no {path} (scripts/test --step setup installs it)");
    None
}

/// Whether the emulator says where it listens on its standard error.
pub enum Says {
    Out,
    Error,
}

impl Emulator {
    /// Starts a program and waits until it says where it listens.
    pub fn start(mut command: Command, says: Says) -> Emulator {
        command.stdin(Stdio::null());
        command.stdout(Stdio::null()).stderr(Stdio::null());
        match says {
            Says::Out => command.stdout(Stdio::piped()),
            Says::Error => command.stderr(Stdio::piped()),
        };
        let mut child = command.spawn().expect("the emulator starts");
        let said: Box<dyn Read + Send> = match says {
            Says::Out => Box::new(child.stdout.take().expect("its standard output")),
            Says::Error => Box::new(child.stderr.take().expect("its standard error")),
        };
        let mut lines = BufReader::new(said).lines();
        let address = lines
            .by_ref()
            .map_while(Result::ok)
            .find_map(|line| {
                let (_, rest) = line.split_once("http://")?;
                let address: SocketAddr = rest.trim_end_matches('/').trim().parse().ok()?;
                (address.port() != 0).then_some(address)
            })
            .expect("the emulator says where it listens");
        // What it says further must go somewhere.
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
        Emulator { child, address }
    }

    /// Ends it at once.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        self.kill();
    }
}
