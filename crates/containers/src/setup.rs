//! The set-up document: what a container needs to know before it loads.

use serde::{Deserialize, Serialize};

/// The channel's descriptor in a container.
pub(crate) const CHANNEL_FD: i32 = 3;
/// The board's descriptor in a container.
pub(crate) const BOARD_FD: i32 = 4;
/// The first resource's descriptor in a container; the others follow, and the side channel last.
pub(crate) const FIRST_RESOURCE_FD: i32 = 5;

/// Exit status of a container that sent `Refused` for its set-up or its stream.
pub(crate) const REFUSED_EXIT: i32 = 70;
/// Exit status of a container that could not load its revision and said why.
pub(crate) const LOAD_FAILED_EXIT: i32 = 78;

/// Sent as JSON after the `Setup` frame.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct SetupDocument {
    /// The endpoint's label, for the container's own log lines.
    pub label: String,
    /// The read-only descriptors that the container was given.
    pub resources: Vec<ResourceEntry>,
    /// Calls that the host admits at once: the board's length.
    pub calls: u32,
    /// Calls that the container runs at once.
    pub compute_threads: u32,
    /// Milliseconds between heartbeats.
    pub heartbeat_ms: u64,
    /// The longest body, in bytes.
    pub max_body: u32,
    /// The longest answer, in bytes.
    pub max_reply: u32,
    /// What a request may hold.
    pub limits: RequestLimits,
    /// The descriptor on which the files of batch work come, in the batch lane.
    pub side_channel: Option<i32>,
    /// The user and group to become where the container starts as root.
    pub run_as: Option<(u32, u32)>,
}

/// One resource of the package.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct ResourceEntry {
    /// The asset's id in the package.
    pub asset: String,
    /// Its descriptor in the container.
    pub fd: i32,
    /// SHA-256 of its bytes, as 64 hexadecimal digits.
    pub sha256: String,
}

/// [`tables::Limits`] as the document writes them.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct RequestLimits {
    rows: usize,
    columns: usize,
    cell_bytes: usize,
    depth: usize,
}

impl From<tables::Limits> for RequestLimits {
    fn from(limits: tables::Limits) -> Self {
        RequestLimits {
            rows: limits.rows,
            columns: limits.columns,
            cell_bytes: limits.cell_bytes,
            depth: limits.depth,
        }
    }
}

impl From<RequestLimits> for tables::Limits {
    fn from(limits: RequestLimits) -> Self {
        tables::Limits {
            rows: limits.rows,
            columns: limits.columns,
            cell_bytes: limits.cell_bytes,
            depth: limits.depth,
        }
    }
}
