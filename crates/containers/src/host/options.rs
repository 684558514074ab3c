//! What a host is told: its settings, and where revisions come from.

use std::ffi::OsString;
use std::fs::File;
use std::time::Duration;

use faults::{Fault, internal_error};

/// The least memory quota, in MB: below it a container cannot even start.
pub const MIN_QUOTA_MB: u64 = 32;

/// Whether memory quotas are held by control groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cgroups {
    /// By a control group where one can be made, else by `RLIMIT_DATA`.
    Auto,
    /// By `RLIMIT_DATA` alone.
    Off,
}

/// The settings of a [`super::Host`].
#[derive(Debug, Clone)]
pub struct HostOptions {
    /// The program that becomes a container, and its arguments. A wrapper or sandbox there gets
    /// the container's descriptors (3: the channel, 4: the board, from 5 on the resources) and
    /// must hand them on; it gets no environment and no terminal.
    pub command: Vec<OsString>,
    /// The memory quota of a container whose service sets none, in MB.
    pub memory_quota_mb: u64,
    /// How quotas are held.
    pub cgroups: Cgroups,
    /// Containers that start or take calls at once, of all services. A new revision's first
    /// container may be one more. Those of the batch lane do not count.
    pub slots: usize,
    /// Containers of the batch lane at once, of all services.
    pub batch_slots: usize,
    /// Pieces of batch work that a container of that lane runs at once.
    pub batch_threads: usize,
    /// How long a container of that lane works before it gives its slot to another service that
    /// waits for one.
    pub batch_turn: Duration,
    /// The memory quota of a container of that lane, in MB; `None` is that of the service's
    /// others.
    pub batch_memory_quota_mb: Option<u64>,
    /// Containers that start at once, of all services.
    pub starting_total: usize,
    /// Containers that start at once, of one service.
    pub starting_per_service: usize,
    /// Calls that a container is given at once, run or queued; at most 4096.
    pub calls_per_container: usize,
    /// Calls that a container runs at once.
    pub compute_threads: usize,
    /// How long a call waits for a container's room before it is told why there is none.
    pub start_wait: Duration,
    /// How long a container may take from its start to its readiness.
    pub start_limit: Duration,
    /// How long a call waits behind others, all containers of its service being full, before a
    /// further container is started. Short calls find room much sooner.
    pub grow_after: Duration,
    /// How long a container without calls is kept.
    pub idle: Duration,
    /// How long a call that nobody waits for may go on before its container is retired.
    pub stop_grace: Duration,
    /// How long a container may take to end when it is asked to.
    pub end_grace: Duration,
    /// The time between a container's heartbeats.
    pub heartbeat: Duration,
    /// How long a container may be silent.
    pub silent_after: Duration,
    /// No container is started with less memory available on the machine, in MB; 0 for no check.
    pub min_free_memory_mb: u64,
    /// The longest body of a call, in bytes.
    pub max_body: usize,
    /// The longest answer of a container, in bytes.
    pub max_reply: usize,
    /// What a request may hold.
    pub limits: tables::Limits,
    /// The user and group that containers become where the host runs as root.
    pub run_as: Option<(u32, u32)>,
}

impl Default for HostOptions {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, |n| n.get());
        let program = std::env::current_exe().unwrap_or_else(|_| "umpire".into());
        HostOptions {
            command: vec![program.into_os_string(), "container".into()],
            memory_quota_mb: 1024,
            cgroups: Cgroups::Auto,
            slots: (4 * cores).max(8),
            batch_slots: 4,
            batch_threads: cores,
            batch_turn: Duration::from_secs(10),
            batch_memory_quota_mb: None,
            starting_total: (2 * cores).max(4),
            starting_per_service: 2,
            calls_per_container: 20,
            compute_threads: cores,
            start_wait: Duration::from_secs(15),
            start_limit: Duration::from_secs(60),
            grow_after: Duration::from_millis(25),
            idle: Duration::from_secs(600),
            stop_grace: Duration::from_secs(2),
            end_grace: Duration::from_secs(2),
            heartbeat: Duration::from_secs(1),
            silent_after: Duration::from_secs(10),
            min_free_memory_mb: 64,
            max_body: 16 << 20,
            max_reply: 256 << 20,
            limits: tables::Limits::default(),
            run_as: Some((65534, 65534)),
        }
    }
}

impl HostOptions {
    /// Checks what would otherwise fail at the first call. A quota below [`MIN_QUOTA_MB`] is
    /// `InvalidMemoryConfiguration`, anything else `UnknownError` with the reason in its cause.
    pub fn check(&self) -> Result<(), Fault> {
        check_quota(self.memory_quota_mb)?;
        if let Some(quota_mb) = self.batch_memory_quota_mb {
            check_quota(quota_mb)?;
        }
        let wrong = |what: &str| Err(internal_error::unknown_error().because(what));
        if self.command.is_empty() {
            return wrong("the container command is empty");
        }
        if self.calls_per_container == 0 || self.calls_per_container > crate::board::MAX_CALLS {
            return wrong("calls_per_container is not within 1 to 4096");
        }
        if self.batch_threads > crate::board::MAX_CALLS {
            return wrong("batch_threads is more than 4096");
        }
        let counts = [
            self.slots,
            self.batch_slots,
            self.batch_threads,
            self.starting_total,
            self.starting_per_service,
            self.compute_threads,
        ];
        if counts.contains(&0) {
            return wrong("a limit of the containers is 0");
        }
        Ok(())
    }
}

/// What a container is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Lane {
    /// Calls that somebody waits for.
    Scoring,
    /// Pieces of batch jobs. Such containers have slots of their own and run when no other does.
    Batch,
}

impl Lane {
    /// The word for it in listings.
    pub fn name(self) -> &'static str {
        match self {
            Lane::Scoring => "scoring",
            Lane::Batch => "batch",
        }
    }
}

impl HostOptions {
    /// Calls that a container of the lane is given at once, run or queued.
    pub(super) fn calls(&self, lane: Lane) -> usize {
        match lane {
            Lane::Scoring => self.calls_per_container,
            // What does not run waits in the host, where the order is fair.
            Lane::Batch => self.batch_threads,
        }
    }

    /// Calls that a container of the lane runs at once.
    pub(super) fn threads(&self, lane: Lane) -> usize {
        match lane {
            Lane::Scoring => self.compute_threads,
            Lane::Batch => self.batch_threads,
        }
    }

    /// What a service's containers of the lane may take, where the service says `limits`. One
    /// container of the batch lane uses all processors; more of the same revision would only take
    /// memory.
    pub(super) fn limits(&self, lane: Lane, limits: PoolLimits) -> PoolLimits {
        match lane {
            Lane::Scoring => limits,
            Lane::Batch => PoolLimits {
                min_instances: 0,
                max_instances: 1,
                memory_quota_mb: self.batch_memory_quota_mb.or(limits.memory_quota_mb),
            },
        }
    }
}

/// A quota that a container can live with, or `InvalidMemoryConfiguration`.
pub(super) fn check_quota(quota_mb: u64) -> Result<u64, Fault> {
    if quota_mb < MIN_QUOTA_MB || quota_mb.checked_mul(1 << 20).is_none() {
        return Err(internal_error::invalid_memory_configuration(
            quota_mb.to_string(),
        ));
    }
    Ok(quota_mb)
}

/// What a service may take of the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolLimits {
    /// Containers kept ready without calls.
    pub min_instances: usize,
    /// The most containers; at least 1 is meant.
    pub max_instances: usize,
    /// The memory quota of each, in MB; `None` is the host's setting.
    pub memory_quota_mb: Option<u64>,
}

impl Default for PoolLimits {
    fn default() -> Self {
        PoolLimits {
            min_instances: 0,
            max_instances: usize::MAX,
            memory_quota_mb: None,
        }
    }
}

/// A revision as a container is given it.
#[derive(Debug)]
pub struct RevisionFiles {
    /// Its id.
    pub revision: [u8; 16],
    /// The package, the ARM resource's JSON or its `properties`.
    pub package: Vec<u8>,
    /// Asset id, file opened for reading alone, SHA-256 of its bytes.
    pub resources: Vec<(String, File, [u8; 32])>,
    /// What its containers may take.
    pub limits: PoolLimits,
}

/// Where a host finds a revision when it starts a container of it.
pub trait RevisionSource: Send + Sync {
    /// Opens the revision of an endpoint. It may block; the host calls it off its own threads.
    fn open(&self, endpoint: [u8; 16], revision: [u8; 16]) -> Result<RevisionFiles, Fault>;
}
