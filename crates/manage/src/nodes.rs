//! Running the installation: its nodes, and the containers on them.

use std::time::Duration;

use containers::{ContainerState, ContainerStatus, Lane};
use faults::{Class, Fault};
use store::{Id, Role};

use crate::Manager;
use crate::access::{Principal, Target};
use crate::deploy::broken;

/// Whether a node takes scoring calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeState {
    /// It takes calls.
    Serving,
    /// It takes no further calls and finishes those that it has.
    Draining,
    /// It takes no calls and has none.
    Drained,
}

/// One node of the installation: a gateway with its containers.
#[derive(Debug, Clone)]
pub struct NodeView {
    /// Its id; that of the data directory.
    pub id: Id,
    /// The version of the program.
    pub version: &'static str,
    /// Since its start.
    pub uptime: Duration,
    /// Whether it takes calls.
    pub state: NodeState,
    /// Containers that start, take calls or end.
    pub containers: usize,
    /// Calls that containers have.
    pub calls: usize,
    /// Calls that wait for a container.
    pub waiting: usize,
    /// Bytes that the containers hold.
    pub container_memory: u64,
}

/// One container and what it is for.
#[derive(Debug, Clone)]
pub struct ContainerView {
    /// `service/endpoint`.
    pub label: String,
    /// The endpoint's id.
    pub endpoint: Id,
    /// The revision that it holds.
    pub revision: Id,
    /// What it is for.
    pub lane: Lane,
    /// Its state, process, memory and calls.
    pub status: ContainerStatus,
}

impl Manager {
    /// The nodes of the installation.
    ///
    /// # Errors
    /// `Unauthorized.ManagementRequestUnauthorized`.
    pub fn nodes(&self, principal: &Principal) -> Result<Vec<NodeView>, Fault> {
        principal.permit(Role::Admin, &Target::installation())?;
        Ok(vec![self.this_node()])
    }

    fn this_node(&self) -> NodeView {
        let inner = &self.inner;
        let pools = inner.host.status();
        let containers = || pools.iter().flat_map(|pool| &pool.containers);
        // A node is drained of scoring: what is under way of batch jobs goes on after a restart.
        let scoring = || pools.iter().filter(|pool| pool.lane == Lane::Scoring);
        let calls = scoring()
            .flat_map(|pool| &pool.containers)
            .map(|c| c.calls)
            .sum();
        let waiting = scoring().map(|pool| pool.waiting).sum();
        let drained = inner.store.ledger.directory().is_drained(&inner.store.node);
        NodeView {
            id: inner.store.node,
            version: env!("CARGO_PKG_VERSION"),
            uptime: inner.started.elapsed(),
            state: match drained {
                false => NodeState::Serving,
                true if calls + waiting > 0 => NodeState::Draining,
                true => NodeState::Drained,
            },
            containers: containers().count(),
            calls,
            waiting,
            container_memory: containers().filter_map(|c| c.memory).sum(),
        }
    }

    /// Lets a node take no further scoring calls, or take them again. Calls under way end in
    /// order; management goes on. It stays so over restarts.
    ///
    /// # Errors
    /// `Unauthorized.ManagementRequestUnauthorized`; `NotFound` for an unknown node;
    /// `InternalError.UnknownError` when the ledger fails.
    pub async fn set_drained(
        &self,
        principal: &Principal,
        node: &str,
        drained: bool,
    ) -> Result<NodeView, Fault> {
        principal.permit(Role::Admin, &Target::installation())?;
        let store = &self.inner.store;
        if Id::parse(node) != Some(store.node) {
            return Err(Fault::bare(Class::NotFound).because("no such node"));
        }
        let changed = store
            .ledger
            .set_drained(store.node, drained, principal.actor())
            .await?;
        if changed {
            tracing::info!(node = %store.node, drained, "an operator changed the node's state");
        }
        Ok(self.this_node())
    }

    /// Notes a change of the configuration in the audit trail.
    ///
    /// # Errors
    /// `Unauthorized.ManagementRequestUnauthorized`; `InternalError.UnknownError` when the ledger
    /// fails.
    pub async fn configured(&self, principal: &Principal, what: &'static str) -> Result<(), Fault> {
        principal.permit(Role::Admin, &Target::installation())?;
        let ledger = &self.inner.store.ledger;
        ledger
            .record(principal.actor(), what, "installation".to_owned())
            .await
    }

    /// Makes a new master key and seals every secret under it; the name of the file in which the
    /// former one is kept. Goes on to its end when nobody waits.
    ///
    /// # Errors
    /// `Unauthorized.ManagementRequestUnauthorized`; those of `store::Store::rotate_master_key`.
    pub async fn rotate_master_key(&self, principal: &Principal) -> Result<String, Fault> {
        principal.permit(Role::Admin, &Target::installation())?;
        let (store, actor) = (self.inner.store.clone(), principal.actor().clone());
        let task = tokio::spawn(async move { store.rotate_master_key(actor).await });
        task.await.map_err(|e| broken(&e))?
    }

    /// The containers of this node, by endpoint, the oldest first.
    ///
    /// # Errors
    /// `Unauthorized.ManagementRequestUnauthorized`.
    pub fn containers(&self, principal: &Principal) -> Result<Vec<ContainerView>, Fault> {
        principal.permit(Role::Admin, &Target::installation())?;
        let pools = self.inner.host.status().into_iter();
        Ok(pools
            .flat_map(|pool| {
                let (label, endpoint, lane) = (pool.label, Id(pool.endpoint), pool.lane);
                pool.containers
                    .into_iter()
                    .map(move |status| ContainerView {
                        label: label.clone(),
                        endpoint,
                        revision: Id(status.revision),
                        lane,
                        status,
                    })
            })
            .collect())
    }

    /// Retires the container of that number: a successor is ready before it takes no further
    /// calls; it finishes those that it has and ends. Goes on to its end when nobody waits.
    ///
    /// # Errors
    /// `Unauthorized.ManagementRequestUnauthorized`; `NotFound` for a container that there is not;
    /// `Conflict` for one that takes no calls (yet, or any more); what the start of the successor
    /// fails with, and then it goes on.
    pub async fn retire(&self, principal: &Principal, container: &str) -> Result<(), Fault> {
        let known = self.containers(principal)?;
        let number: Option<u64> = container.parse().ok();
        let found = known.iter().find(|c| Some(c.status.number) == number);
        let found =
            found.ok_or_else(|| Fault::bare(Class::NotFound).because("no such container"))?;
        let takes_none =
            || Fault::bare(Class::Conflict).because("the container takes no calls as it is");
        if found.status.state != ContainerState::Ready {
            return Err(takes_none());
        }
        let (host, number) = (self.inner.host.clone(), found.status.number);
        let task = tokio::spawn(async move { host.retire(number).await });
        match task.await.map_err(|e| broken(&e))?? {
            true => Ok(()),
            false => Err(takes_none()),
        }
    }
}
