//! Whether a graph holds together: names to positions, values to parameters; `wiring` has the edges.
//!
//! Pure: nothing is loaded and nothing runs. Each refusal names the node, port, edge or parameter
//! at fault in its text and as its target.

use std::collections::HashMap;
use std::sync::Arc;

use faults::{Fault, bad_argument, web_service_package_error};

use crate::interface::{
    Interface, ParameterKind, ParameterSpec, PortKind, Refusal, check_declared,
};
use crate::module::Module;
use crate::package::{Asset, AssetKind, Node, Package, ParameterValue};
use crate::registry::Registry;
use crate::settings::{Settings, Value};
use crate::wiring::{check_connected, connect, live, settle_resources, sort};

/// A package whose every name is resolved.
pub(crate) struct Graph {
    /// In the order of the package's nodes.
    pub(crate) nodes: Vec<ResolvedNode>,
    /// The nodes that matter, sources before targets.
    pub(crate) order: Vec<usize>,
    /// The web service parameters in the order of the package.
    pub(crate) globals: Vec<Global>,
}

/// A node with its role and where its inputs come from.
pub(crate) struct ResolvedNode {
    pub(crate) id: String,
    pub(crate) role: Role,
    /// For each input port, the node and the output port that feed it.
    pub(crate) inputs: Vec<Option<(usize, usize)>>,
}

/// What a node is.
pub(crate) enum Role {
    /// The web service input at this position of the package.
    Input(usize),
    /// The web service output at this position of the package.
    Output(usize),
    /// A stored resource; the kind is that of the ports it feeds (`None` where it feeds none).
    Resource {
        /// The asset's id.
        asset: String,
        /// The asset's name.
        name: String,
        /// What it is loaded as.
        kind: Option<PortKind>,
    },
    /// A module.
    Module(ModuleNode),
}

/// A module with its node's settings.
pub(crate) struct ModuleNode {
    pub(crate) module: Arc<dyn Module>,
    /// The values that the node and the interface give.
    pub(crate) base: Settings,
    /// Which parameters (by position in the interface) web service parameters set.
    pub(crate) links: Vec<(usize, usize)>,
}

impl ModuleNode {
    pub(crate) fn interface(&self) -> &'static Interface {
        self.module.interface()
    }
}

/// A web service parameter with what is known about it.
pub(crate) struct Global {
    pub(crate) name: String,
    pub(crate) kind: Option<ParameterKind>,
    /// Node and position of the parameter in the interface.
    pub(crate) links: Vec<(usize, usize)>,
    pub(crate) specs: Vec<&'static ParameterSpec>,
    pub(crate) default: Option<String>,
    /// Whether every parameter it sets is a child of a mode: then only the mode in force says
    /// whether a call needs it.
    pub(crate) only_children: bool,
}

impl Global {
    /// Checks a value by the declared type and by the rule of each parameter it goes to; the
    /// fault's target is the parameter.
    pub(crate) fn check(&self, text: &str) -> Result<(), Fault> {
        let declared = match self.kind {
            Some(kind) => check_declared(kind, &self.name, text),
            None => Ok(()),
        };
        declared
            .and_then(|()| {
                self.specs
                    .iter()
                    .try_for_each(|spec| spec.read(text).map(drop))
            })
            .map_err(|refusal| refused(refusal).at(self.name.as_str()))
    }
}

/// The fault of a refused value, of a definition or of a call.
fn refused(refusal: Refusal) -> Fault {
    match refusal {
        Refusal::Rule(why) => bad_argument::bad_parameter_value().because(why),
        Refusal::Language(explanation) => bad_argument::user_parameter_invalid(explanation),
    }
}

/// A `ValidationError` at a place.
pub(crate) fn invalid(place: impl Into<String>, problem: impl Into<String>) -> Fault {
    web_service_package_error::validation_error(problem).at(place)
}

/// Resolves a package, or says what does not hold together.
pub(crate) fn resolve(package: &Package, registry: &Registry) -> Result<Graph, Fault> {
    let positions: HashMap<&str, usize> = package
        .nodes
        .iter()
        .enumerate()
        .map(|(i, (id, _))| (id.as_str(), i))
        .collect();
    let mut nodes = package
        .nodes
        .iter()
        .map(|(id, node)| node_role(package, registry, id, node))
        .collect::<Result<Vec<ResolvedNode>, Fault>>()?;
    check_ends(package, &nodes)?;
    connect(package, &positions, &mut nodes)?;
    settle_resources(registry, &mut nodes)?;
    check_connected(&nodes)?;
    let order = sort(&nodes)?;
    for (i, (id, node)) in package.nodes.iter().enumerate() {
        if let Role::Module(module) = &mut nodes[i].role {
            for (name, value) in &node.parameters {
                set_parameter(module, id, name, value)?;
            }
        }
    }
    let globals = link_parameters(package, &positions, &mut nodes)?;
    for node in &nodes {
        if let Role::Module(module) = &node.role {
            check_required(&node.id, module)?;
        }
    }
    let order = live(&nodes, order);
    Ok(Graph {
        nodes,
        order,
        globals,
    })
}

fn node_role(
    package: &Package,
    registry: &Registry,
    id: &str,
    node: &Node,
) -> Result<ResolvedNode, Fault> {
    let (role, inputs) = match (&node.asset_id, &node.input_id, &node.output_id) {
        (Some(asset_id), None, None) => {
            let asset = package.asset(asset_id).ok_or_else(|| {
                invalid(
                    id,
                    format!("node \"{id}\" names asset \"{asset_id}\", which is not in assets"),
                )
            })?;
            match asset.kind {
                AssetKind::Resource => (
                    Role::Resource {
                        asset: asset_id.clone(),
                        name: asset.name.clone(),
                        kind: None,
                    },
                    0,
                ),
                AssetKind::Module => {
                    let module = registry
                        .module(asset)
                        .ok_or_else(|| unknown_module(id, asset_id, asset))?;
                    let interface = module.interface();
                    let role = Role::Module(ModuleNode {
                        module: Arc::clone(module),
                        base: Settings::defaults(interface),
                        links: Vec::new(),
                    });
                    (role, interface.inputs.len())
                }
            }
        }
        (None, Some(input), None) => {
            let position = package.inputs.iter().position(|port| &port.name == input);
            let position = position.ok_or_else(|| {
                invalid(
                    id,
                    format!("node \"{id}\" names input \"{input}\", which input does not declare"),
                )
            })?;
            (Role::Input(position), 0)
        }
        (None, None, Some(output)) => {
            let position = package.outputs.iter().position(|port| &port.name == output);
            let position = position.ok_or_else(|| {
                invalid(
                    id,
                    format!(
                        "node \"{id}\" names output \"{output}\", which output does not declare"
                    ),
                )
            })?;
            (Role::Output(position), 1)
        }
        _ => {
            return Err(invalid(
                id,
                format!("node \"{id}\" must have exactly one of assetId, inputId and outputId"),
            ));
        }
    };
    Ok(ResolvedNode {
        id: id.to_owned(),
        role,
        inputs: vec![None; inputs],
    })
}

fn unknown_module(node: &str, asset_id: &str, asset: &Asset) -> Fault {
    let family = match asset.module_family() {
        Some(family) => format!("family {family}"),
        None => format!("uri {}", asset.uri),
    };
    web_service_package_error::runtimes_error(format!(
        "node \"{node}\" needs module \"{}\" ({family}, asset \"{asset_id}\"), which this installation does not have",
        asset.name
    ))
    .at(node)
}

/// Each declared input and output has exactly one node, and there is an output.
fn check_ends(package: &Package, nodes: &[ResolvedNode]) -> Result<(), Fault> {
    let mut inputs: Vec<Option<&str>> = vec![None; package.inputs.len()];
    let mut outputs: Vec<Option<&str>> = vec![None; package.outputs.len()];
    for node in nodes {
        let (seen, name, word) = match node.role {
            Role::Input(i) => (&mut inputs[i], &package.inputs[i].name, "input"),
            Role::Output(i) => (&mut outputs[i], &package.outputs[i].name, "output"),
            _ => continue,
        };
        if let Some(first) = seen.replace(&node.id) {
            return Err(invalid(
                &node.id,
                format!(
                    "nodes \"{first}\" and \"{}\" both name {word} \"{name}\"",
                    node.id
                ),
            ));
        }
    }
    if package.outputs.is_empty() {
        return Err(invalid("output", "the graph has no output"));
    }
    let ends = [
        (&inputs, &package.inputs, "input"),
        (&outputs, &package.outputs, "output"),
    ];
    for (seen, ports, word) in ends {
        if let Some(i) = seen.iter().position(Option::is_none) {
            let name = &ports[i].name;
            return Err(invalid(
                name.as_str(),
                format!("{word} \"{name}\" is declared and no node names it"),
            ));
        }
    }
    Ok(())
}

fn set_parameter(
    module: &mut ModuleNode,
    node: &str,
    name: &str,
    given: &ParameterValue,
) -> Result<(), Fault> {
    let interface = module.interface();
    let place = || format!("{node}/{name}");
    let Some(position) = interface.parameter(name) else {
        return Err(invalid(
            place(),
            format!(
                "node \"{node}\" sets parameter \"{name}\", which module \"{}\" does not have",
                interface.name
            ),
        ));
    };
    let spec = &interface.parameters[position];
    if given.certificate_thumbprint.is_some() {
        // A sealed value is opaque. It can only be handed on to something that takes secrets.
        if spec.kind != ParameterKind::Credential {
            return Err(invalid(
                place(),
                format!(
                    "parameter \"{name}\" of node \"{node}\" is sealed for a certificate; only a credential can be"
                ),
            ));
        }
        module
            .base
            .set(position, given.value.clone().map(Value::Text));
        return Ok(());
    }
    let Some(text) = &given.value else {
        return Ok(());
    };
    // Tools write "" for what is not set. Only a text can mean it.
    let blank = text.trim().is_empty() && spec.kind != ParameterKind::String;
    if blank && (spec.optional || spec.parent.is_some()) {
        return Ok(());
    }
    let value = spec
        .read(text)
        .map_err(|refusal| refused(refusal).at(place()))?;
    module.base.set(position, Some(value));
    Ok(())
}

fn link_parameters(
    package: &Package,
    positions: &HashMap<&str, usize>,
    nodes: &mut [ResolvedNode],
) -> Result<Vec<Global>, Fault> {
    let mut globals = Vec::with_capacity(package.graph_parameters.len());
    let mut writers: HashMap<(usize, usize), &str> = HashMap::new();
    for (index, (name, parameter)) in package.graph_parameters.iter().enumerate() {
        let mut global = Global {
            name: name.clone(),
            kind: parameter.kind,
            links: Vec::new(),
            specs: Vec::new(),
            default: package.default_of(name).map(str::to_owned),
            only_children: !parameter.links.is_empty(),
        };
        for link in &parameter.links {
            let dangling = |problem: String| {
                Err(invalid(
                    format!("graphParameters/{name}"),
                    format!("parameter \"{name}\" is linked to {problem}"),
                ))
            };
            let Some(&node) = positions.get(link.node.as_str()) else {
                return dangling(format!("node \"{}\", which is not in nodes", link.node));
            };
            let Role::Module(module) = &mut nodes[node].role else {
                return dangling(format!("node \"{}\", which is not a module", link.node));
            };
            let interface = module.interface();
            let Some(position) = interface.parameter(&link.parameter) else {
                return dangling(format!(
                    "\"{}\" of node \"{}\", a parameter that module \"{}\" does not have",
                    link.parameter, link.node, interface.name
                ));
            };
            if let Some(first) = writers.insert((node, position), name) {
                return dangling(format!(
                    "\"{}\" of node \"{}\", to which \"{first}\" is linked already",
                    link.parameter, link.node
                ));
            }
            let spec = &interface.parameters[position];
            global.only_children &= spec.parent.is_some();
            global.links.push((node, position));
            global.specs.push(spec);
            module.links.push((position, index));
        }
        if let Some(default) = &global.default {
            global.check(default)?;
        }
        globals.push(global);
    }
    let known = |name: &str| {
        globals
            .iter()
            .any(|g: &Global| g.name.eq_ignore_ascii_case(name))
    };
    if let Some((name, _)) = package.parameters.iter().find(|(name, _)| !known(name)) {
        return Err(invalid(
            format!("parameters/{name}"),
            format!("parameters has a value for \"{name}\", which is not in graphParameters"),
        ));
    }
    Ok(globals)
}

fn check_required(node: &str, module: &ModuleNode) -> Result<(), Fault> {
    for (position, spec) in module.interface().parameters.iter().enumerate() {
        let linked = module.links.iter().any(|&(p, _)| p == position);
        if module.base.value(position).is_none()
            && !linked
            && !spec.optional
            && module.base.counts(position)
        {
            return Err(invalid(
                format!("{node}/{}", spec.name),
                format!(
                    "node \"{node}\" needs a value for parameter \"{}\"",
                    spec.name
                ),
            ));
        }
    }
    Ok(())
}
