//! A host as metrics and operators see it.

use std::time::Duration;

use super::Inner;
use super::options::Lane;
use super::process::Wish;

/// One endpoint's containers and waiting calls in one lane.
#[derive(Debug, Clone)]
pub struct PoolStatus {
    /// The endpoint.
    pub endpoint: [u8; 16],
    /// Its label.
    pub label: String,
    /// What its containers are for: an endpoint has a pool in each lane that it uses.
    pub lane: Lane,
    /// Calls that wait for room.
    pub waiting: usize,
    /// Containers, the oldest first.
    pub containers: Vec<ContainerStatus>,
}

/// Where a container is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContainerState {
    /// It loads its revision.
    Starting,
    /// It takes calls.
    Ready,
    /// It finishes its calls, or is about to end.
    Retiring,
}

/// One container.
#[derive(Debug, Clone)]
pub struct ContainerStatus {
    /// Its number: containers of a host are counted from 1.
    pub number: u64,
    /// Its process id.
    pub pid: u32,
    /// The revision it holds.
    pub revision: [u8; 16],
    /// Where it is in its life.
    pub state: ContainerState,
    /// Calls it was given and that are waited for.
    pub calls: usize,
    /// How many of these it has begun.
    pub begun: usize,
    /// Memory it holds, in bytes (resident, shared pages included); `None` where it has ended.
    pub memory: Option<u64>,
    /// Its memory quota, in MB.
    pub quota_mb: u64,
    /// Since its start.
    pub age: Duration,
}

pub(super) fn of(inner: &Inner) -> Vec<PoolStatus> {
    let mut processes = inner.all_processes();
    processes.sort_by_key(|p| p.number);
    let mut pools = Vec::new();
    for pool in inner.pools() {
        let waiting = pool.lock().groups.iter().map(|g| g.waiters.len()).sum();
        let own = processes
            .iter()
            .filter(|p| p.pool.endpoint == pool.endpoint && p.pool.lane == pool.lane);
        let containers = own.map(|process| {
            let calls = process.connection.calls();
            let state = match (process.wish(), &calls.handshake.loaded) {
                (Wish::Serve, None) => ContainerState::Starting,
                (Wish::Serve, Some(_)) => ContainerState::Ready,
                _ => ContainerState::Retiring,
            };
            ContainerStatus {
                number: process.number,
                pid: process.child.pid as u32,
                revision: process.revision,
                state,
                calls: calls.waiting(),
                begun: calls.begun(&process.connection.board),
                memory: process.memory(),
                quota_mb: process.quota_mb,
                age: process.started.elapsed(),
            }
        });
        pools.push(PoolStatus {
            endpoint: pool.endpoint,
            label: pool.label.clone(),
            lane: pool.lane,
            waiting,
            containers: containers.collect(),
        });
    }
    pools.sort_by(|a, b| (&a.label, a.lane.name()).cmp(&(&b.label, b.lane.name())));
    pools
}
