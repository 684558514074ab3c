//! From [`ModelPackage`] to a web service definition.

use serde_json::{Map, Value, json};

use super::{ModelPackage, ModuleParameter, ServicePort, module_uri};

/// The port by which a resource gives what it holds.
const RESOURCE_PORT: &str = "Results dataset";

impl ModelPackage {
    /// The `properties` of the web service definition that the package becomes: input, output,
    /// assets, parameters and graph. Edges of the workflow come first and in their order, so that
    /// what is said of `edges[i]` is said of `EdgesInternal[i]`.
    pub fn definition(&self) -> Map<String, Value> {
        let mut assets = Map::new();
        let mut nodes = Map::new();
        for node in &self.nodes {
            let asset = format!("module:{}", node.id);
            assets.insert(
                asset.clone(),
                json!({
                    "name": node.module,
                    "type": "Module",
                    "locationInfo": {"uri": module_uri(&node.module), "credentials": ""},
                }),
            );
            let parameters: Map<String, Value> =
                node.parameters.iter().filter_map(literal).collect();
            nodes.insert(
                node.id.clone(),
                json!({"assetId": asset, "parameters": parameters}),
            );
        }
        let mut edges: Vec<Value> = self
            .edges
            .iter()
            .map(|((source, out), (target, into))| {
                json!({"sourceNodeId": source, "sourcePortId": out,
                       "targetNodeId": target, "targetPortId": into})
            })
            .collect();
        for stored in &self.stored {
            assets.insert(
                stored.asset.clone(),
                json!({
                    "name": stored.name,
                    "type": "Resource",
                    "locationInfo": {"uri": stored.uri, "credentials": stored.credentials},
                    "outputPorts": {RESOURCE_PORT: {"type": "Dataset"}},
                }),
            );
            nodes.insert(stored.asset.clone(), json!({"assetId": stored.asset}));
            edges.push(json!({
                "sourceNodeId": stored.asset, "sourcePortId": RESOURCE_PORT,
                "targetNodeId": stored.node, "targetPortId": stored.port,
            }));
        }
        for input in &self.inputs {
            let node = format!("input:{}", input.name);
            edges.push(json!({
                "sourceNodeId": node, "targetNodeId": input.node, "targetPortId": input.port,
            }));
            nodes.insert(node, json!({"inputId": input.name}));
        }
        for output in &self.outputs {
            let node = format!("output:{}", output.name);
            edges.push(json!({
                "sourceNodeId": output.node, "sourcePortId": output.port, "targetNodeId": node,
            }));
            nodes.insert(node, json!({"outputId": output.name}));
        }
        let package = json!({
            "nodes": nodes,
            "edges": edges,
            "graphParameters": self.graph_parameters(),
        });
        let mut properties = Map::new();
        properties.insert("packageType".into(), json!("Graph"));
        properties.insert("input".into(), ports(&self.inputs));
        properties.insert("output".into(), ports(&self.outputs));
        properties.insert("assets".into(), assets.into());
        properties.insert("parameters".into(), self.defaults().into());
        properties.insert("package".into(), package);
        properties
    }

    /// The web service parameters with the node parameters that each sets: those that are declared,
    /// then those that only a node names.
    fn graph_parameters(&self) -> Map<String, Value> {
        let mut parameters: Map<String, Value> = self
            .parameters
            .iter()
            .map(|parameter| {
                let mut entry = json!({"description": parameter.description, "links": []});
                if let (Some(kind), Some(entry)) = (&parameter.kind, entry.as_object_mut()) {
                    entry.insert("type".into(), json!(kind));
                }
                (parameter.name.clone(), entry)
            })
            .collect();
        for node in &self.nodes {
            for parameter in &node.parameters {
                let Some(linked) = &parameter.linked else {
                    continue;
                };
                let declared = self
                    .parameters
                    .iter()
                    .find(|p| p.name.eq_ignore_ascii_case(linked))
                    .map_or(linked, |p| &p.name);
                let entry = parameters
                    .entry(declared.clone())
                    .or_insert_with(|| json!({"description": "", "links": []}));
                if let Some(links) = entry.get_mut("links").and_then(Value::as_array_mut) {
                    links.push(json!({"nodeId": node.id, "parameterKey": parameter.name}));
                }
            }
        }
        parameters
    }

    /// The values of web service parameters that a call need not give.
    fn defaults(&self) -> Map<String, Value> {
        self.parameters
            .iter()
            .filter(|parameter| !parameter.default.is_null())
            .map(|parameter| (parameter.name.clone(), value(&parameter.default)))
            .collect()
    }
}

/// A parameter that the node itself sets.
fn literal(parameter: &ModuleParameter) -> Option<(String, Value)> {
    (!parameter.value.is_null()).then(|| (parameter.name.clone(), value(&parameter.value)))
}

fn value(value: &Value) -> Value {
    json!({"value": value, "certificateThumbprint": ""})
}

fn ports(ports: &[ServicePort]) -> Value {
    let ports: Map<String, Value> = ports
        .iter()
        .map(|port| {
            let table = json!({"type": "object", "properties": port.columns});
            (port.name.clone(), table)
        })
        .collect();
    json!({"type": "object", "properties": ports})
}
