//! Who ran a call, and how a start went: for whoever writes it down.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use faults::Fault;

use super::output::Excerpt;
use super::process::Process;

/// Watches one call: handed over with it, asked afterwards.
#[derive(Debug, Default)]
pub struct Watch(Mutex<Option<Ran>>);

/// The container that ran a call.
#[derive(Debug, Clone)]
pub struct Ran {
    /// Its number: containers of a host are counted from 1.
    pub container: u64,
    /// Its process id.
    pub pid: u32,
    /// When the call was handed to it: until then it waited for room.
    pub since: Instant,
    /// What the container printed since then; other calls of the same time may have printed it.
    pub printed: Excerpt,
}

impl Watch {
    /// Who ran the call; `None` where none has had it. Of two (the first ended before it began the
    /// call) it is the second.
    pub fn ran(&self) -> Option<Ran> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(super) fn handed_to(&self, process: &Process) {
        let ran = Ran {
            container: process.number,
            pid: process.child.pid as u32,
            since: Instant::now(),
            printed: process.printed.since_now(),
        };
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(ran);
    }
}

/// How the start of a container went.
#[derive(Debug, Clone)]
pub struct StartReport {
    /// The endpoint.
    pub endpoint: [u8; 16],
    /// The revision that it was to hold.
    pub revision: [u8; 16],
    /// Number and process id; `None` where no process came to be.
    pub container: Option<(u64, u32)>,
    /// From its beginning to readiness or failure.
    pub took: Duration,
    /// When it was over.
    pub ended: Instant,
    /// What it failed with.
    pub fault: Option<Fault>,
    /// What the container printed.
    pub printed: Option<Excerpt>,
}

/// What is told of every start. It must not wait.
pub type StartListener = dyn Fn(StartReport) + Send + Sync;
