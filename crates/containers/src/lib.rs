//! Container processes: frames, the container's main loop, the host, quotas and pools.
//!
//! A *container* is a process of this binary that holds one revision under a memory quota; the
//! *host*, in the gateway's process, starts containers, hands calls to them, watches and ends
//! them. Between the two runs the protocol of [`frames`]; what both must see at once, without a
//! frame, stands on the [`board`].

pub mod batch;
pub mod board;
pub mod container;
pub mod frames;
pub mod host;
mod operation;
pub mod quota;
mod setup;
mod side_channel;
mod system;

pub use host::{
    Call, Cgroups, ContainerState, ContainerStatus, Excerpt, Host, HostOptions, Lane, MIN_QUOTA_MB,
    PoolLimits, PoolStatus, Prepared, PrintedLine, Ran, RevisionFiles, RevisionSource,
    StartListener, StartReport, Stream, Watch,
};
pub use operation::{FormWire, Operation};
