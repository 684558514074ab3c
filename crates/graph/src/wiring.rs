//! How the nodes of a graph are joined: edges to ports, kinds of values, order.

use std::collections::HashMap;

use faults::{Fault, web_service_package_error};

use crate::interface::{PortKind, PortSpec, port_position};
use crate::package::Package;
use crate::registry::Registry;
use crate::resolve::{ResolvedNode, Role, invalid};

/// Resolves the edges. A port takes one edge; where one of two comes from a web service input, it
/// wins (definitions made by the classic Studio keep the edge of the data source that the input
/// replaces).
pub(crate) fn connect(
    package: &Package,
    positions: &HashMap<&str, usize>,
    nodes: &mut [ResolvedNode],
) -> Result<(), Fault> {
    for (i, edge) in package.edges.iter().enumerate() {
        let find = |id: &str| {
            positions.get(id).copied().ok_or_else(|| {
                invalid(
                    format!("edges[{i}]"),
                    format!("edges[{i}] names node \"{id}\", which is not in nodes"),
                )
            })
        };
        let (source, target) = (find(&edge.source_node)?, find(&edge.target_node)?);
        let out = source_port(package, &nodes[source], edge.source_port.as_deref(), i)?;
        let into = target_port(&nodes[target], edge.target_port.as_deref(), i)?;
        let (from, to) = (
            kind_out(&nodes[source].role, out),
            kind_in(&nodes[target].role, into),
        );
        if let Some(from) = from
            && !to.takes(from)
        {
            return Err(invalid(
                place_of(&nodes[target], into),
                format!(
                    "edges[{i}] brings a {} from node \"{}\" to {}, which takes a {}",
                    from.name(),
                    edge.source_node,
                    describe_port(&nodes[target], into),
                    to.name()
                ),
            ));
        }
        let is_input = |node: usize| matches!(nodes[node].role, Role::Input(_));
        match nodes[target].inputs[into] {
            None => nodes[target].inputs[into] = Some((source, out)),
            Some((first, _)) if is_input(source) && !is_input(first) => {
                nodes[target].inputs[into] = Some((source, out));
            }
            Some((first, _)) if is_input(first) && !is_input(source) => {}
            Some((first, _)) => {
                return Err(invalid(
                    place_of(&nodes[target], into),
                    format!(
                        "{} has two writers, nodes \"{}\" and \"{}\"",
                        describe_port(&nodes[target], into),
                        nodes[first].id,
                        edge.source_node
                    ),
                ));
            }
        }
    }
    Ok(())
}

fn place_of(node: &ResolvedNode, port: usize) -> String {
    match &node.role {
        Role::Module(module) => format!("{}/{}", node.id, module.interface().inputs[port].name),
        _ => node.id.clone(),
    }
}

fn describe_port(node: &ResolvedNode, port: usize) -> String {
    match &node.role {
        Role::Module(module) => format!(
            "port \"{}\" of node \"{}\"",
            module.interface().inputs[port].name,
            node.id
        ),
        _ => format!("node \"{}\"", node.id),
    }
}

/// What leaves a port; `None` for a resource, which is loaded as what its reader takes.
fn kind_out(role: &Role, port: usize) -> Option<PortKind> {
    match role {
        Role::Module(module) => Some(module.interface().outputs[port].kind),
        Role::Resource { .. } => None,
        Role::Input(_) | Role::Output(_) => Some(PortKind::Table),
    }
}

fn kind_in(role: &Role, port: usize) -> PortKind {
    match role {
        Role::Module(module) => module.interface().inputs[port].kind,
        _ => PortKind::Table,
    }
}

fn source_port(
    package: &Package,
    node: &ResolvedNode,
    port: Option<&str>,
    edge: usize,
) -> Result<usize, Fault> {
    match &node.role {
        Role::Output(_) => Err(invalid(
            format!("edges[{edge}]"),
            format!(
                "edges[{edge}] leaves node \"{}\", which is an output",
                node.id
            ),
        )),
        Role::Input(_) => Ok(0),
        Role::Resource { asset, .. } => {
            let declared = package.asset(asset).map_or(&[][..], |a| &a.output_ports);
            match port {
                Some(port)
                    if !declared.is_empty()
                        && !declared.iter().any(|d| d.eq_ignore_ascii_case(port)) =>
                {
                    Err(unknown_port(node, port, "output", edge))
                }
                _ => Ok(0),
            }
        }
        Role::Module(module) => pick_port(node, module.interface().outputs, port, "output", edge),
    }
}

fn target_port(node: &ResolvedNode, port: Option<&str>, edge: usize) -> Result<usize, Fault> {
    match &node.role {
        Role::Input(_) | Role::Resource { .. } => Err(invalid(
            format!("edges[{edge}]"),
            format!(
                "edges[{edge}] enters node \"{}\", which is {} and takes nothing",
                node.id,
                if matches!(node.role, Role::Input(_)) {
                    "an input"
                } else {
                    "a resource"
                }
            ),
        )),
        Role::Output(_) => Ok(0),
        Role::Module(module) => pick_port(node, module.interface().inputs, port, "input", edge),
    }
}

fn pick_port(
    node: &ResolvedNode,
    ports: &[PortSpec],
    name: Option<&str>,
    word: &str,
    edge: usize,
) -> Result<usize, Fault> {
    match name {
        Some(name) => {
            port_position(ports, name).ok_or_else(|| unknown_port(node, name, word, edge))
        }
        None if ports.len() == 1 => Ok(0),
        None => Err(invalid(
            format!("edges[{edge}]"),
            format!(
                "edges[{edge}] names no {word} port of node \"{}\", which has {}",
                node.id,
                ports.len()
            ),
        )),
    }
}

fn unknown_port(node: &ResolvedNode, port: &str, word: &str, edge: usize) -> Fault {
    invalid(
        format!("{}/{port}", node.id),
        format!(
            "edges[{edge}] names {word} port \"{port}\", which node \"{}\" does not have",
            node.id
        ),
    )
}

/// What each resource is, told by the ports it feeds.
pub(crate) fn settle_resources(
    registry: &Registry,
    nodes: &mut [ResolvedNode],
) -> Result<(), Fault> {
    let mut kinds: Vec<Option<PortKind>> = vec![None; nodes.len()];
    for node in nodes.iter() {
        for (port, source) in node.inputs.iter().enumerate() {
            let Some((source, _)) = *source else { continue };
            if !matches!(nodes[source].role, Role::Resource { .. }) {
                continue;
            }
            let kind = kind_in(&node.role, port);
            match kinds[source] {
                Some(first) if first != kind => {
                    return Err(invalid(
                        nodes[source].id.as_str(),
                        format!(
                            "node \"{}\" feeds one port that takes a {} and one that takes a {}",
                            nodes[source].id,
                            first.name(),
                            kind.name()
                        ),
                    ));
                }
                _ => kinds[source] = Some(kind),
            }
        }
    }
    for (node, found) in nodes.iter_mut().zip(kinds) {
        if let Role::Resource { kind, name, .. } = &mut node.role {
            if let Some(found) = found
                && registry.loader(found).is_none()
            {
                return Err(web_service_package_error::runtimes_error(format!(
                    "node \"{}\" is resource \"{name}\", and this installation cannot load a {}",
                    node.id,
                    found.name()
                ))
                .at(node.id.as_str()));
            }
            *kind = found;
        }
    }
    Ok(())
}

pub(crate) fn check_connected(nodes: &[ResolvedNode]) -> Result<(), Fault> {
    for node in nodes {
        for (port, source) in node.inputs.iter().enumerate() {
            let optional = match &node.role {
                Role::Module(module) => module.interface().inputs[port].optional,
                _ => false,
            };
            if source.is_none() && !optional {
                return Err(invalid(
                    place_of(node, port),
                    format!("{} is not connected", describe_port(node, port)),
                ));
            }
        }
    }
    Ok(())
}

/// Sources before targets, in the package's order where the graph leaves it open.
pub(crate) fn sort(nodes: &[ResolvedNode]) -> Result<Vec<usize>, Fault> {
    let mut waiting: Vec<usize> = nodes
        .iter()
        .map(|node| node.inputs.iter().flatten().count())
        .collect();
    let mut readers: Vec<Vec<usize>> = vec![Vec::new(); nodes.len()];
    for (i, node) in nodes.iter().enumerate() {
        for &(source, _) in node.inputs.iter().flatten() {
            readers[source].push(i);
        }
    }
    let mut order: Vec<usize> = (0..nodes.len()).filter(|&i| waiting[i] == 0).collect();
    let mut next = 0;
    while next < order.len() {
        for &reader in &readers[order[next]] {
            waiting[reader] -= 1;
            if waiting[reader] == 0 {
                order.push(reader);
            }
        }
        next += 1;
    }
    if order.len() == nodes.len() {
        return Ok(order);
    }
    // Whoever still waits has a source that waits: going back along them must come round.
    let mut path: Vec<usize> = Vec::new();
    let mut at = (0..nodes.len()).find(|&i| waiting[i] > 0).unwrap_or(0);
    while !path.contains(&at) {
        path.push(at);
        let back = nodes[at]
            .inputs
            .iter()
            .flatten()
            .find(|(s, _)| waiting[*s] > 0);
        match back {
            Some(&(source, _)) => at = source,
            None => break,
        }
    }
    let start = path.iter().position(|&i| i == at).unwrap_or(0);
    let mut names: Vec<&str> = path[start..]
        .iter()
        .map(|&i| nodes[i].id.as_str())
        .collect();
    names.push(&nodes[at].id);
    names.reverse();
    Err(invalid(
        nodes[at].id.as_str(),
        format!("the graph has a cycle: {}", names.join(" to ")),
    ))
}

/// The part of the order that an output, or a module without outputs, depends on.
pub(crate) fn live(nodes: &[ResolvedNode], order: Vec<usize>) -> Vec<usize> {
    let mut needed = vec![false; nodes.len()];
    for &i in order.iter().rev() {
        let ends = match &nodes[i].role {
            Role::Input(_) | Role::Output(_) => true,
            Role::Module(module) => module.interface().outputs.is_empty(),
            Role::Resource { .. } => false,
        };
        if ends || needed[i] {
            needed[i] = true;
            for &(source, _) in nodes[i].inputs.iter().flatten() {
                needed[source] = true;
            }
        }
    }
    order.into_iter().filter(|&i| needed[i]).collect()
}
