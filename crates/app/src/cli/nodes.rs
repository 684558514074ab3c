//! `umpire nodes`, `umpire containers`, `umpire drain`, `umpire resume`.

use clap::Args;
use wire::umpire_v1::{ContainerState, NodeState, NodeView};

use super::{Common, Connect, print_json};
use crate::client::Client;
use crate::exit::Failure;
use crate::term;

/// List the nodes with their state and load.
#[derive(Debug, Args)]
pub(crate) struct Nodes {
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connect: Connect,
}

impl Nodes {
    pub(crate) fn run(&self, common: &Common) -> Result<(), Failure> {
        let (_, client) = common.connect(&self.connect)?;
        let list = client.nodes()?;
        if self.json {
            return print_json(&list);
        }
        let rows: Vec<Vec<String>> = list.nodes.iter().map(row).collect();
        term::table(
            &[
                "NODE",
                "VERSION",
                "STATE",
                "UP",
                "CONTAINERS",
                "CALLS",
                "WAITING",
                "MEMORY",
            ],
            &rows,
        );
        Ok(())
    }
}

fn row(node: &NodeView) -> Vec<String> {
    vec![
        node.id.clone(),
        node.version.clone(),
        state_of(node).to_owned(),
        term::seconds(node.uptime_seconds),
        node.containers.to_string(),
        node.calls.to_string(),
        node.waiting.to_string(),
        term::bytes(node.container_memory),
    ]
}

fn state_of(node: &NodeView) -> &'static str {
    match node.state {
        NodeState::Serving => "serving",
        NodeState::Draining => "draining",
        NodeState::Drained => "drained",
    }
}

/// List the containers, or replace one by a fresh one.
#[derive(Debug, Args)]
pub(crate) struct Containers {
    /// Replace the container of this number: a fresh one takes its calls first, then it ends
    #[arg(long, value_name = "ID")]
    retire: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connect: Connect,
}

impl Containers {
    pub(crate) fn run(&self, common: &Common) -> Result<(), Failure> {
        let (_, client) = common.connect(&self.connect)?;
        if let Some(id) = &self.retire {
            client.retire(id)?;
            term::line(&format!(
                "container {id} is retired: a fresh one takes its calls"
            ));
            return Ok(());
        }
        let list = client.containers()?;
        if self.json {
            return print_json(&list);
        }
        let rows: Vec<Vec<String>> = list
            .containers
            .iter()
            .map(|c| {
                let state = match c.state {
                    ContainerState::Starting => "starting",
                    ContainerState::Ready => "ready",
                    ContainerState::Retiring => "retiring",
                };
                vec![
                    c.id.clone(),
                    c.endpoint.clone(),
                    c.lane.clone(),
                    c.pid.to_string(),
                    state.to_owned(),
                    c.calls.to_string(),
                    c.memory.map_or_else(|| "-".to_owned(), term::bytes),
                    term::bytes(c.memory_quota),
                    term::seconds(c.age_seconds),
                ]
            })
            .collect();
        term::table(
            &[
                "ID", "ENDPOINT", "LANE", "PID", "STATE", "CALLS", "MEMORY", "QUOTA", "AGE",
            ],
            &rows,
        );
        Ok(())
    }
}

/// Let a node take no further scoring calls.
///
/// Calls under way end in order, /readyz answers 503, and management goes on. It stays so, over
/// restarts too, until `umpire resume`.
#[derive(Debug, Args)]
pub(crate) struct Drain {
    /// The node; the only one where it is left out
    node: Option<String>,
    #[command(flatten)]
    connect: Connect,
}

impl Drain {
    pub(crate) fn run(&self, common: &Common) -> Result<(), Failure> {
        let (_, client) = common.connect(&self.connect)?;
        set_drained(&client, self.node.as_deref(), true)
    }
}

/// Let a drained node take scoring calls again.
#[derive(Debug, Args)]
pub(crate) struct Resume {
    /// The node; the only one where it is left out
    node: Option<String>,
    #[command(flatten)]
    connect: Connect,
}

impl Resume {
    pub(crate) fn run(&self, common: &Common) -> Result<(), Failure> {
        let (_, client) = common.connect(&self.connect)?;
        set_drained(&client, self.node.as_deref(), false)
    }
}

fn set_drained(client: &Client, node: Option<&str>, drained: bool) -> Result<(), Failure> {
    let node = match node {
        Some(node) => node.to_owned(),
        None => match &client.nodes()?.nodes[..] {
            [only] => only.id.clone(),
            _ => {
                return Err(Failure::Usage(
                    "there are several nodes: name one".to_owned(),
                ));
            }
        },
    };
    let after = client.set_drained(&node, drained)?;
    term::line(&format!("node {} is {}", after.id, state_of(&after)));
    Ok(())
}
