//! What is recorded of a batch job.

use std::time::Duration;

use containers::PrintedLine;
use faults::Fault;
use jiff::Timestamp;
use store::Id;

/// A job that has ended.
#[derive(Debug, Clone)]
pub struct JobRecord {
    /// Its id.
    pub job: Id,
    /// How it ended: `Finished`, `Failed` or `Cancelled`.
    pub state: &'static str,
    /// When it was submitted.
    pub created: Timestamp,
    /// When it was begun, if ever.
    pub started: Option<Timestamp>,
    /// When it ended.
    pub ended: Timestamp,
    /// Rows that were scored.
    pub rows: u64,
    /// Rows that were not because they are not as the schema says.
    pub rejected: u64,
    /// Bytes of inputs that were read.
    pub bytes_read: u64,
    /// Pieces of work that it was cut into.
    pub chunks: u64,
    /// How long the parts of the work took, in their order, by name.
    pub stages: Vec<(&'static str, Duration)>,
    /// What it failed with.
    pub fault: Option<Fault>,
    /// What the containers printed that worked for it, while they did.
    pub printed: Vec<PrintedLine>,
}
