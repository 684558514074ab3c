//! From JSON to [`ModelPackage`].

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value};

use super::columns::{self, Described};
use super::{
    Flaw, ModelPackage, ModuleNode, ModuleParameter, PortRef, SCRIPT_FAMILIES, ServiceParameter,
    ServicePort, StoredInput, StoredKind, module_asset,
};
use crate::interface::ParameterKind;
use crate::lax::{Members, Place, scalar_text};
use crate::parse::{MAX_EDGES, MAX_ITEMS, MAX_NODES, MAX_PORTS, check_count, check_name};

type Parsed<T> = Result<T, Flaw>;

/// What an entry of `Outputs` is for.
enum OutputType {
    Data,
    StandardOutput,
    StandardError,
}

/// Reads a model package.
pub(super) fn model_package(value: &Value) -> Parsed<ModelPackage> {
    let root = Members::of(value, Place::ROOT)?;
    let workflow_place = root.place.name("Workflow");
    let workflow = match root.get("Workflow")? {
        Some(workflow) => Members::of(workflow, workflow_place)?,
        None => return Err(workflow_place.wrong("is required").into()),
    };
    let (nodes, mut stored) = nodes(&workflow)?;
    let ids: HashSet<&str> = nodes.iter().map(|node| node.id.as_str()).collect();
    let edges = edges(&workflow, &ids)?;

    let mut inputs = service_ports(&root, "Inputs", &ids)?;
    let inputs: Vec<ServicePort> = inputs.drain(..).map(|(port, _)| port).collect();
    let all_outputs = service_ports(&root, "Outputs", &ids)?;
    let count = |wanted: fn(&OutputType) -> bool| {
        all_outputs.iter().filter(|(_, kind)| wanted(kind)).count()
    };
    let data = count(|kind| matches!(kind, OutputType::Data));
    let printed = count(|kind| matches!(kind, OutputType::StandardOutput));
    let complained = count(|kind| matches!(kind, OutputType::StandardError));
    if data == 0 {
        return Err(Flaw::Configuration("no output is of data"));
    }
    if nodes.iter().any(is_script) && (printed == 0 || complained == 0) {
        return Err(Flaw::Configuration(
            "there is a script, and no StandardOutput or no StandardError output",
        ));
    }
    let outputs: Vec<ServicePort> = all_outputs
        .into_iter()
        .filter(|(_, kind)| matches!(kind, OutputType::Data))
        .map(|(port, _)| port)
        .collect();
    check_ports(&inputs, "Inputs")?;
    check_ports(&outputs, "Outputs")?;

    let inputs = described_inputs(&root, inputs)?;
    let outputs = described_outputs(&root, outputs)?;

    // A web service input takes the place of what was stored for its port.
    let replaced: HashSet<(&str, String)> = inputs
        .iter()
        .map(|input| (input.node.as_str(), input.port.to_ascii_lowercase()))
        .collect();
    stored.retain(|s| !replaced.contains(&(s.node.as_str(), s.port.to_ascii_lowercase())));
    name_updatable(&root, &mut stored)?;
    let parameters = parameters(&root)?;
    Ok(ModelPackage {
        nodes,
        edges,
        inputs,
        outputs,
        parameters,
        stored,
    })
}

fn is_script(node: &ModuleNode) -> bool {
    let asset = module_asset(&node.module);
    match asset.module_family() {
        Some(family) => SCRIPT_FAMILIES
            .iter()
            .any(|known| known.eq_ignore_ascii_case(family)),
        None => ["Execute R Script", "Execute Python Script"]
            .iter()
            .any(|name| name.eq_ignore_ascii_case(node.module.trim())),
    }
}

fn nodes(workflow: &Members<'_>) -> Parsed<(Vec<ModuleNode>, Vec<StoredInput>)> {
    let items = workflow.array("ModuleNodes")?;
    let place = workflow.place.name("ModuleNodes");
    check_count(items.len(), MAX_NODES, &place, "nodes")?;
    let mut seen = HashSet::new();
    let mut nodes = Vec::with_capacity(items.len());
    let mut stored = Vec::new();
    for (i, item) in items.iter().enumerate() {
        let node = Members::of(item, place.index(i))?;
        let id_place = node.place.name("Id");
        let id = node.required_text("Id")?;
        check_name(&id, &id_place)?;
        if id.contains(':') {
            // Or `node:port` could be read in two ways.
            return Err(id_place.wrong("must not have a colon").into());
        }
        if !seen.insert(id.clone()) {
            return Err(id_place.wrong("is that of another node too").into());
        }
        let module = node.required_text("ModuleId")?;
        check_name(&module, &node.place.name("ModuleId"))?;
        stored_inputs(&node, &id, &mut stored)?;
        nodes.push(ModuleNode {
            parameters: module_parameters(&node)?,
            id,
            module,
        });
    }
    Ok((nodes, stored))
}

fn module_parameters(node: &Members<'_>) -> Parsed<Vec<ModuleParameter>> {
    let items = node.array("ModuleParameters")?;
    let place = node.place.name("ModuleParameters");
    check_count(items.len(), MAX_ITEMS, &place, "parameters")?;
    let mut seen = HashSet::new();
    let mut parameters = Vec::with_capacity(items.len());
    for (i, item) in items.iter().enumerate() {
        let m = Members::of(item, place.index(i))?;
        let name = m.required_text("Name")?;
        check_name(&name, &m.place.name("Name"))?;
        if !seen.insert(name.to_ascii_lowercase()) {
            return Err(m.place.name("Name").wrong("is set twice").into());
        }
        let kind = m.text("ValueType")?.unwrap_or_default();
        let by_name = kind.eq_ignore_ascii_case("GraphParameterName");
        if !by_name && !kind.is_empty() && !kind.eq_ignore_ascii_case("Literal") {
            let place = m.place.name("ValueType");
            return Err(place.wrong("must be Literal or GraphParameterName").into());
        }
        let value = m.get("Value")?.cloned().unwrap_or(Value::Null);
        let linked = m
            .text("LinkedGlobalParameter")?
            .filter(|name| !name.is_empty());
        let (value, linked) = match (by_name, linked) {
            // The value is the name of the parameter that gives one.
            (true, None) => match scalar_text(&value).filter(|name| !name.is_empty()) {
                Some(name) => (Value::Null, Some(name)),
                None => {
                    let place = m.place.name("Value");
                    return Err(place.wrong("must name a parameter").into());
                }
            },
            (true, linked) => (Value::Null, linked),
            (false, linked) => (value, linked),
        };
        if let Some(linked) = &linked {
            check_name(linked, &m.place.name("LinkedGlobalParameter"))?;
        }
        parameters.push(ModuleParameter {
            name,
            value,
            linked,
        });
    }
    Ok(parameters)
}

/// What is stored for the input ports of a node.
fn stored_inputs(node: &Members<'_>, id: &str, stored: &mut Vec<StoredInput>) -> Parsed<()> {
    let items = node.array("InputPortsInternal")?;
    let place = node.place.name("InputPortsInternal");
    check_count(items.len(), MAX_PORTS, &place, "ports")?;
    let mut seen = HashSet::new();
    for (i, item) in items.iter().enumerate() {
        let m = Members::of(item, place.index(i))?;
        let port = m.required_text("Name")?;
        check_name(&port, &m.place.name("Name"))?;
        if let Some(owner) = m.text("NodeId")?.filter(|owner| !owner.is_empty())
            && owner != id
        {
            let place = m.place.name("NodeId");
            return Err(place.wrong("is not the node that has the port").into());
        }
        if !seen.insert(port.to_ascii_lowercase()) {
            return Err(m
                .place
                .name("Name")
                .wrong("is that of another port too")
                .into());
        }
        let mut found: Option<(StoredKind, String)> = None;
        for kind in [
            StoredKind::DataSource,
            StoredKind::TrainedModel,
            StoredKind::Transform,
        ] {
            let given = m
                .text(kind.member())?
                .filter(|text| !text.trim().is_empty());
            let Some(reference) = given else { continue };
            if found.is_some() {
                let place = m.place.name(kind.member());
                return Err(place.wrong("is given beside another stored input").into());
            }
            found = Some((kind, reference));
        }
        let Some((kind, reference)) = found else {
            continue;
        };
        let (uri, credentials) = located(&reference);
        stored.push(StoredInput {
            asset: format!("resource:{id}:{port}"),
            kind,
            name: format!("{id} {port}{}", kind.suffix()),
            uri,
            credentials,
            node: id.to_owned(),
            port,
        });
    }
    Ok(())
}

/// Where a reference points to, and its signature.
fn located(reference: &str) -> (String, String) {
    let reference = reference.trim();
    if reference.len() == 64 && reference.bytes().all(|b| b.is_ascii_hexdigit()) {
        let digits = reference.to_ascii_lowercase();
        return (format!("umpire:sha256:{digits}"), String::new());
    }
    match reference.find('?') {
        Some(at) => {
            let (uri, signature) = reference.split_at(at);
            (uri.to_owned(), signature.to_owned())
        }
        None => (reference.to_owned(), String::new()),
    }
}

fn edges(workflow: &Members<'_>, ids: &HashSet<&str>) -> Parsed<Vec<(PortRef, PortRef)>> {
    let items = workflow.array("EdgesInternal")?;
    let place = workflow.place.name("EdgesInternal");
    check_count(items.len(), MAX_EDGES, &place, "edges")?;
    items
        .iter()
        .enumerate()
        .map(|(i, item)| {
            let m = Members::of(item, place.index(i))?;
            let end = |name: &str| -> Parsed<PortRef> {
                let text = m.required_text(name)?;
                let place = m.place.name(name);
                let (node, port) = text
                    .split_once(':')
                    .filter(|(_, port)| !port.is_empty())
                    .ok_or_else(|| place.wrong("must be node:port"))?;
                if !ids.contains(node) {
                    return Err(Flaw::Graph(format!(
                        "EdgesInternal[{i}] names node {node:?}, which is not in ModuleNodes"
                    )));
                }
                Ok((node.to_owned(), port.to_owned()))
            };
            Ok((end("SourceOutputPortId")?, end("DestinationInputPortId")?))
        })
        .collect()
}

/// `Inputs` or `Outputs`.
fn service_ports(
    root: &Members<'_>,
    list: &'static str,
    ids: &HashSet<&str>,
) -> Parsed<Vec<(ServicePort, OutputType)>> {
    let items = root.array(list)?;
    let place = root.place.name(list);
    check_count(items.len(), MAX_PORTS, &place, "ports")?;
    items
        .iter()
        .enumerate()
        .map(|(i, item)| {
            let m = Members::of(item, place.index(i))?;
            let kind = output_type(&m)?;
            let optional = |name: &str| -> Parsed<Option<String>> {
                Ok(m.text(name)?.filter(|text| !text.is_empty()))
            };
            let node = optional("GraphModuleNodeId")?;
            let port = optional("PortName")?;
            let name = match optional("Name")? {
                Some(name) => Some(name),
                None => optional("Id")?,
            };
            if !matches!(kind, OutputType::Data) {
                // What scripts print comes from no port of the graph.
                let port = ServicePort {
                    name: name.unwrap_or_default(),
                    node: node.unwrap_or_default(),
                    port: port.unwrap_or_default(),
                    columns: Map::new(),
                };
                return Ok((port, kind));
            }
            let required = |value: Option<String>, member: &str| {
                value.ok_or_else(|| Flaw::from(m.place.name(member).wrong("is required")))
            };
            let node = required(node, "GraphModuleNodeId")?;
            if !ids.contains(node.as_str()) {
                return Err(Flaw::Graph(format!(
                    "{list}[{i}] names node {node:?}, which is not in ModuleNodes"
                )));
            }
            let name = required(name, "Name")?;
            check_name(&name, &m.place.name("Name"))?;
            let schema = m.get("Schema")?;
            let columns = columns::of_schema(schema, &name, m.place.name("Schema"))?;
            let port = ServicePort {
                node,
                port: required(port, "PortName")?,
                columns,
                name,
            };
            Ok((port, kind))
        })
        .collect()
}

fn output_type(m: &Members<'_>) -> Parsed<OutputType> {
    const WORDS: [(&str, OutputType); 9] = [
        ("", OutputType::Data),
        ("Data", OutputType::Data),
        ("Dataset", OutputType::Data),
        ("DataTable", OutputType::Data),
        ("Output", OutputType::Data),
        ("StandardOutput", OutputType::StandardOutput),
        ("StdOut", OutputType::StandardOutput),
        ("StandardError", OutputType::StandardError),
        ("StdErr", OutputType::StandardError),
    ];
    let word = m.text("OutputType")?.unwrap_or_default();
    let found = WORDS
        .into_iter()
        .find(|(w, _)| w.eq_ignore_ascii_case(&word));
    found.map(|(_, kind)| kind).ok_or_else(|| {
        let place = m.place.name("OutputType");
        place
            .wrong("must be Dataset, StandardOutput or StandardError")
            .into()
    })
}

/// Refuses two ports of one name, which calls could not tell apart.
fn check_ports(ports: &[ServicePort], list: &str) -> Parsed<()> {
    let mut seen = HashSet::new();
    for port in ports {
        if !seen.insert(port.name.as_str()) {
            return Err(Flaw::Graph(format!(
                "{list} has two ports of the name {:?}",
                port.name
            )));
        }
    }
    Ok(())
}

/// Reads the metadata of one side; `port` is the name that a column's place begins with.
fn metadata(root: &Members<'_>, list: &str, ports: &[ServicePort]) -> Parsed<Vec<Described>> {
    let port = match ports {
        [port] => port.name.as_str(),
        _ => list,
    };
    Ok(columns::of_metadata(
        root.array(list)?,
        port,
        root.place.name(list),
    )?)
}

/// Gives the one input that has no `Schema` the columns of `InputsMetadata`.
fn described_inputs(root: &Members<'_>, mut inputs: Vec<ServicePort>) -> Parsed<Vec<ServicePort>> {
    let described = metadata(root, "InputsMetadata", &inputs)?;
    if let [input] = &mut inputs[..]
        && input.columns.is_empty()
    {
        let place = root.place.name("InputsMetadata");
        for (i, column) in described.into_iter().enumerate() {
            let place = place.index(i);
            let Some(spec) = column.column else {
                return Err(place.name("Type").wrong("is required").into());
            };
            if input.columns.insert(column.name, spec).is_some() {
                return Err(place.wrong("names a column again").into());
            }
        }
    }
    Ok(inputs)
}

/// Compares `OutputsMetadata` with the columns of the outputs, or gives the one output that has
/// none the columns of it.
fn described_outputs(
    root: &Members<'_>,
    mut outputs: Vec<ServicePort>,
) -> Parsed<Vec<ServicePort>> {
    let described = metadata(root, "OutputsMetadata", &outputs)?;
    if described.is_empty() {
        return Ok(outputs);
    }
    let mismatch =
        |name: &str, why: &str| Flaw::Metadata(format!("OutputsMetadata/{name}"), why.to_owned());
    let schemas = outputs.iter().all(|output| !output.columns.is_empty());
    if schemas {
        // A name may come once for each output that has such a column.
        let mut left: HashMap<&str, usize> = HashMap::new();
        let columns = outputs.iter().flat_map(|output| output.columns.keys());
        for name in columns {
            *left.entry(name).or_default() += 1;
        }
        for column in &described {
            match left.get_mut(column.name.as_str()) {
                Some(count) if *count > 0 => *count -= 1,
                Some(_) => return Err(mismatch(&column.name, "is named too often")),
                None => return Err(mismatch(&column.name, "is a column of no output")),
            }
        }
        if let Some((name, _)) = left.iter().filter(|(_, count)| **count > 0).min() {
            return Err(mismatch(name, "is a column of an output and not named"));
        }
        return Ok(outputs);
    }
    let mut seen = HashSet::new();
    for column in &described {
        if !seen.insert(column.name.as_str()) {
            return Err(mismatch(&column.name, "is named twice"));
        }
    }
    if let [output] = &mut outputs[..] {
        // Without types the columns are those that the graph gives.
        let typed: Option<Vec<(String, Value)>> = described
            .into_iter()
            .map(|column| Some((column.name, column.column?)))
            .collect();
        output.columns.extend(typed.unwrap_or_default());
    }
    Ok(outputs)
}

/// Gives the stored inputs that a client may replace the names that it calls them by.
fn name_updatable(root: &Members<'_>, stored: &mut [StoredInput]) -> Parsed<()> {
    let items = root.array("UpdatableInputs")?;
    let place = root.place.name("UpdatableInputs");
    check_count(items.len(), MAX_ITEMS, &place, "inputs")?;
    for (i, item) in items.iter().enumerate() {
        let m = Members::of(item, place.index(i))?;
        let node = m.required_text("GraphModuleNodeId")?;
        let port = m.required_text("PortName")?;
        let found = stored
            .iter_mut()
            .find(|s| s.node == node && s.port.eq_ignore_ascii_case(&port));
        let Some(found) = found else {
            return Err(Flaw::Graph(format!(
                "UpdatableInputs[{i}] names port {port:?} of node {node:?}, which has nothing stored"
            )));
        };
        if let Some(name) = m.text("Name")?.filter(|name| !name.is_empty()) {
            check_name(&name, &m.place.name("Name"))?;
            found.name = match name.ends_with(found.kind.suffix()) {
                true => name,
                false => name + found.kind.suffix(),
            };
        }
    }
    Ok(())
}

/// `Parameters`: `{Name, Value, ParameterDefinition}`, or `{Name, Type, DefaultValue}` as the
/// metadata of web services has them.
fn parameters(root: &Members<'_>) -> Parsed<Vec<ServiceParameter>> {
    let items = root.array("Parameters")?;
    let place = root.place.name("Parameters");
    check_count(items.len(), MAX_ITEMS, &place, "parameters")?;
    let mut seen = HashSet::new();
    let mut parameters = Vec::with_capacity(items.len());
    for (i, item) in items.iter().enumerate() {
        let m = Members::of(item, place.index(i))?;
        let name = m.required_text("Name")?;
        check_name(&name, &m.place.name("Name"))?;
        if !seen.insert(name.to_ascii_lowercase()) {
            return Err(m.place.name("Name").wrong("is declared twice").into());
        }
        let definition_place = m.place.name("ParameterDefinition");
        let definition = match m.get("ParameterDefinition")? {
            Some(value) => Some(Members::of(value, definition_place)?),
            None => None,
        };
        let mut kind = m.text("Type")?;
        let mut description = m.text("Description")?;
        let mut default = m.get("Value")?.or(m.get("DefaultValue")?);
        if let Some(definition) = &definition {
            kind = kind.or(definition.text("ParameterType")?);
            kind = kind.or(definition.text("Type")?);
            description = description.or(definition.text("Description")?);
            default = default.or(definition.get("DefaultValue")?);
        }
        let kind = kind.filter(|word| !word.is_empty());
        if let Some(word) = &kind
            && ParameterKind::from_name(word).is_none()
        {
            let place = m.place.name("Type");
            return Err(place
                .wrong(format_args!("is not a parameter type: {word:?}"))
                .into());
        }
        parameters.push(ServiceParameter {
            name,
            kind,
            description: description.unwrap_or_default(),
            default: default.cloned().unwrap_or(Value::Null),
        });
    }
    Ok(parameters)
}
