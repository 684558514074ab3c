//! From JSON to [`Package`]: the form of a web service definition.

use std::sync::Arc;

use serde_json::{Map, Value};
use tables::{DataType, Field, Schema};

use crate::interface::ParameterKind;
use crate::lax::{Members, Place, Problem, same_but_for_case, scalar_text};
use crate::package::{
    Asset, AssetKind, BlobLocation, Diagnostics, Edge, Example, GraphParameter, Keys, Link, Node,
    Package, ParameterValue, Port, StorageAccount,
};

/// The most nodes a graph may have.
pub(crate) const MAX_NODES: usize = 1_000;
/// The most edges a graph may have.
pub(crate) const MAX_EDGES: usize = 10_000;
/// The most assets, graph parameters, and links of one graph parameter.
pub(crate) const MAX_ITEMS: usize = 1_000;
/// The most inputs, and the most outputs.
pub(crate) const MAX_PORTS: usize = 100;
/// The most columns of one port.
pub(crate) const MAX_COLUMNS: usize = 4_096;
/// The most categories of one column.
const MAX_CATEGORIES: usize = 100_000;
/// The longest name of a port, column, node, asset or parameter, in bytes.
const MAX_NAME: usize = 1_024;

type Parsed<T> = Result<T, Problem>;

/// Reads the Resource Manager resource or its `properties`.
pub(crate) fn package(value: &Value) -> Parsed<Package> {
    let root = Members::of(value, Place::ROOT)?;
    // A web service's own properties have no member of this name, so its presence tells the
    // resource from its properties.
    match root.get("properties")? {
        Some(inner) => properties(&Members::of(inner, root.place.name("properties"))?),
        None => properties(&root),
    }
}

fn properties(p: &Members<'_>) -> Parsed<Package> {
    let kind = p.text("packageType")?.unwrap_or_default();
    // Old tools leave the type out; the classic service knew no other than Graph.
    if !kind.is_empty() && !kind.eq_ignore_ascii_case("Graph") {
        return Err(Problem::PackageType);
    }
    let realtime = match p.get("realtimeConfiguration")? {
        Some(v) => {
            Members::of(v, p.place.name("realtimeConfiguration"))?.integer("maxConcurrentCalls")?
        }
        None => None,
    };
    let id_of = |name: &str| -> Parsed<Option<String>> {
        match p.get(name)? {
            Some(v) => Members::of(v, p.place.name(name))?.text("id"),
            None => Ok(None),
        }
    };
    let inputs = ports(p, "input")?;
    let outputs = ports(p, "output")?;
    let graph_place = p.place.name("package");
    let graph = match p.get("package")? {
        None => return Err(Problem::NoPackage),
        Some(v) => Members::of(v, graph_place)?,
    };
    Ok(Package {
        title: p.text("title")?.unwrap_or_default(),
        description: p.text("description")?.unwrap_or_default(),
        read_only: p.boolean("readOnly")?.unwrap_or(false),
        expose_sample_data: p.boolean("exposeSampleData")?.unwrap_or(true),
        assets: assets(p)?,
        nodes: nodes(&graph)?,
        edges: edges(&graph)?,
        graph_parameters: graph_parameters(&graph)?,
        parameters: parameter_values(p, "parameters")?,
        example: example(p, &inputs)?,
        inputs,
        outputs,
        max_concurrent_calls: realtime,
        keys: match p.get("keys")? {
            Some(v) => {
                let m = Members::of(v, p.place.name("keys"))?;
                Some(Keys {
                    primary: m.text("primary")?,
                    secondary: m.text("secondary")?,
                })
            }
            None => None,
        },
        diagnostics: match p.get("diagnostics")? {
            Some(v) => {
                let m = Members::of(v, p.place.name("diagnostics"))?;
                Some(Diagnostics {
                    level: m.text("level")?,
                    expiry: m.text("expiry")?,
                })
            }
            None => None,
        },
        storage_account: match p.get("storageAccount")? {
            Some(v) => {
                let m = Members::of(v, p.place.name("storageAccount"))?;
                Some(StorageAccount {
                    name: m.text("name")?,
                    key: m.text("key")?,
                })
            }
            None => None,
        },
        workspace: id_of("machineLearningWorkspace")?,
        commitment_plan: id_of("commitmentPlan")?,
        payloads_in_blob_storage: p.boolean("payloadsInBlobStorage")?.unwrap_or(false),
        payloads_location: match p.get("payloadsLocation")? {
            Some(v) => {
                let m = Members::of(v, p.place.name("payloadsLocation"))?;
                Some(BlobLocation {
                    uri: m.required_text("uri")?,
                    credentials: m.text("credentials")?.unwrap_or_default(),
                })
            }
            None => None,
        },
    })
}

pub(crate) fn check_count(count: usize, most: usize, place: &Place<'_>, what: &str) -> Parsed<()> {
    if count > most {
        return Err(place.wrong(format_args!(
            "has {count} {what}; at most {most} are allowed"
        )));
    }
    Ok(())
}

pub(crate) fn check_name(name: &str, place: &Place<'_>) -> Parsed<()> {
    if name.is_empty() {
        return Err(place.wrong("a name must not be empty"));
    }
    if name.len() > MAX_NAME {
        return Err(place.wrong(format_args!("a name is longer than {MAX_NAME} bytes")));
    }
    Ok(())
}

/// `input` or `output`: a Swagger object whose properties are ports.
fn ports(p: &Members<'_>, name: &str) -> Parsed<Vec<Port>> {
    let Some(value) = p.get(name)? else {
        return Ok(Vec::new());
    };
    let place = p.place.name(name);
    let spec = Members::of(value, place)?;
    let Some(map) = spec.map("properties")? else {
        return Ok(Vec::new());
    };
    let place = place.name("properties");
    check_count(map.len(), MAX_PORTS, &place, "ports")?;
    map.iter()
        .map(|(port, table)| one_port(port, table, place.name(port)))
        .collect()
}

fn one_port(name: &str, value: &Value, place: Place<'_>) -> Parsed<Port> {
    check_name(name, &place)?;
    let table = Members::of(value, place)?;
    // A port is a table, whose Swagger type is "object"; anything else (a file, an array) has no
    // representation here.
    if let Some(kind) = table.text("type")?
        && !kind.is_empty()
        && !kind.eq_ignore_ascii_case("object")
    {
        return Err(Problem::DataType {
            place: name.to_owned(),
            port: name.to_owned(),
            data_type: kind,
        });
    }
    let empty = Map::new();
    let columns = table.map("properties")?.unwrap_or(&empty);
    let columns_place = place.name("properties");
    check_count(columns.len(), MAX_COLUMNS, &columns_place, "columns")?;
    let fields = columns
        .iter()
        .map(|(column, spec)| one_column(name, column, spec, columns_place.name(column)))
        .collect::<Parsed<Vec<Field>>>()?;
    let schema =
        Schema::new(fields).map_err(|_| columns_place.wrong("two columns have the same name"))?;
    Ok(Port {
        name: name.to_owned(),
        schema: Arc::new(schema),
        title: table.text("title")?.unwrap_or_default(),
        description: table.text("description")?.unwrap_or_default(),
    })
}

fn one_column(port: &str, name: &str, value: &Value, place: Place<'_>) -> Parsed<Field> {
    check_name(name, &place)?;
    let spec = Members::of(value, place)?;
    let kind = spec.required_text("type")?;
    let format = spec.text("format")?.unwrap_or_default();
    let Some(data_type) = DataType::from_spec(&kind, &format) else {
        return Err(Problem::DataType {
            place: format!("{port}/{name}"),
            port: port.to_owned(),
            data_type: if format.is_empty() {
                kind
            } else {
                format!("{kind}/{format}")
            },
        });
    };
    let listed = spec.array("enum")?;
    let enum_place = place.name("enum");
    check_count(listed.len(), MAX_CATEGORIES, &enum_place, "categories")?;
    let categories = listed
        .iter()
        .enumerate()
        .map(|(i, item)| {
            scalar_text(item).ok_or_else(|| {
                enum_place
                    .index(i)
                    .wrong("must be a string, number or boolean")
            })
        })
        .collect::<Parsed<Vec<String>>>()?;
    let mut field = Field::new(name, data_type);
    field.nullable = spec.boolean("x-ms-isnullable")?.unwrap_or(false);
    field.ordered = spec.boolean("x-ms-isordered")?.unwrap_or(false);
    field.categories = (!categories.is_empty()).then(|| categories.into());
    Ok(field)
}

fn assets(p: &Members<'_>) -> Parsed<Vec<(String, Asset)>> {
    let Some(map) = p.map("assets")? else {
        return Ok(Vec::new());
    };
    let place = p.place.name("assets");
    check_count(map.len(), MAX_ITEMS, &place, "assets")?;
    map.iter()
        .map(|(id, value)| Ok((id.clone(), asset(id, value, place.name(id))?)))
        .collect()
}

fn asset(id: &str, value: &Value, place: Place<'_>) -> Parsed<Asset> {
    check_name(id, &place)?;
    let m = Members::of(value, place)?;
    let kind = m.required_text("type")?;
    let kind = if kind.eq_ignore_ascii_case("Module") {
        AssetKind::Module
    } else if kind.eq_ignore_ascii_case("Resource") {
        AssetKind::Resource
    } else {
        return Err(place.name("type").wrong("must be Module or Resource"));
    };
    let location_place = place.name("locationInfo");
    let location = match m.get("locationInfo")? {
        Some(v) => Members::of(v, location_place)?,
        None => return Err(location_place.wrong("is required")),
    };
    Ok(Asset {
        name: m.required_text("name")?,
        kind,
        uri: location.required_text("uri")?,
        credentials: location.text("credentials")?.unwrap_or_default(),
        input_ports: asset_ports(id, &m, "inputPorts")?,
        output_ports: asset_ports(id, &m, "outputPorts")?,
    })
}

/// The ports that an asset declares. `Dataset` is the only type the API ever had.
fn asset_ports(asset: &str, m: &Members<'_>, name: &str) -> Parsed<Vec<String>> {
    let Some(map) = m.map(name)? else {
        return Ok(Vec::new());
    };
    let place = m.place.name(name);
    check_count(map.len(), MAX_PORTS, &place, "ports")?;
    map.iter()
        .map(|(port, value)| {
            let kind = if value.is_null() {
                None
            } else {
                Members::of(value, place.name(port))?.text("type")?
            };
            match kind {
                Some(kind) if !kind.is_empty() && !kind.eq_ignore_ascii_case("Dataset") => {
                    Err(Problem::DataType {
                        place: format!("{asset}/{port}"),
                        port: port.clone(),
                        data_type: kind,
                    })
                }
                _ => Ok(port.clone()),
            }
        })
        .collect()
}

fn nodes(graph: &Members<'_>) -> Parsed<Vec<(String, Node)>> {
    let place = graph.place.name("nodes");
    let Some(map) = graph.map("nodes")? else {
        return Err(place.wrong("is required"));
    };
    check_count(map.len(), MAX_NODES, &place, "nodes")?;
    map.iter()
        .map(|(id, value)| {
            let place = place.name(id);
            check_name(id, &place)?;
            let m = Members::of(value, place)?;
            // Tools send the two ids that do not apply as "" as well as null.
            let id_of = |name: &str| Ok(m.text(name)?.filter(|text| !text.is_empty()));
            Ok((
                id.clone(),
                Node {
                    asset_id: id_of("assetId")?,
                    input_id: id_of("inputId")?,
                    output_id: id_of("outputId")?,
                    parameters: parameter_values(&m, "parameters")?,
                },
            ))
        })
        .collect()
}

fn edges(graph: &Members<'_>) -> Parsed<Vec<Edge>> {
    let items = graph.array("edges")?;
    let place = graph.place.name("edges");
    check_count(items.len(), MAX_EDGES, &place, "edges")?;
    items
        .iter()
        .enumerate()
        .map(|(i, value)| {
            let m = Members::of(value, place.index(i))?;
            let string = |name: &str| -> Parsed<Option<String>> {
                match m.get(name)? {
                    None => Ok(None),
                    Some(Value::String(text)) => Ok(Some(text.clone()).filter(|t| !t.is_empty())),
                    Some(_) => Err(m.place.name(name).wrong("must be a string")),
                }
            };
            let required =
                |name: &str| string(name)?.ok_or_else(|| m.place.name(name).wrong("is required"));
            Ok(Edge {
                source_node: required("sourceNodeId")?,
                source_port: string("sourcePortId")?,
                target_node: required("targetNodeId")?,
                target_port: string("targetPortId")?,
            })
        })
        .collect()
}

fn graph_parameters(graph: &Members<'_>) -> Parsed<Vec<(String, GraphParameter)>> {
    let Some(map) = graph.map("graphParameters")? else {
        return Ok(Vec::new());
    };
    let place = graph.place.name("graphParameters");
    check_count(map.len(), MAX_ITEMS, &place, "parameters")?;
    if let Some((a, b)) = same_but_for_case(map.keys().map(String::as_str)) {
        return Err(place.wrong(format_args!("{a:?} and {b:?} differ in case only")));
    }
    map.iter()
        .map(|(name, value)| {
            let place = place.name(name);
            check_name(name, &place)?;
            let m = Members::of(value, place)?;
            let kind = match m.text("type")?.filter(|text| !text.is_empty()) {
                None => None,
                Some(word) => Some(ParameterKind::from_name(&word).ok_or_else(|| {
                    place
                        .name("type")
                        .wrong(format_args!("is not a parameter type: {word:?}"))
                })?),
            };
            let items = m.array("links")?;
            let links_place = place.name("links");
            check_count(items.len(), MAX_ITEMS, &links_place, "links")?;
            let links = items
                .iter()
                .enumerate()
                .map(|(i, item)| {
                    let link = Members::of(item, links_place.index(i))?;
                    Ok(Link {
                        node: link.required_text("nodeId")?,
                        parameter: link.required_text("parameterKey")?,
                    })
                })
                .collect::<Parsed<Vec<Link>>>()?;
            Ok((
                name.clone(),
                GraphParameter {
                    description: m.text("description")?.unwrap_or_default(),
                    kind,
                    links,
                },
            ))
        })
        .collect()
}

/// A map of parameter values: the scalars of 2016-05-01-preview and the
/// `{value, certificateThumbprint}` of 2017-01-01, both under either version.
fn parameter_values(m: &Members<'_>, name: &str) -> Parsed<Vec<(String, ParameterValue)>> {
    let Some(map) = m.map(name)? else {
        return Ok(Vec::new());
    };
    let place = m.place.name(name);
    check_count(map.len(), MAX_ITEMS, &place, "parameters")?;
    if let Some((a, b)) = same_but_for_case(map.keys().map(String::as_str)) {
        return Err(place.wrong(format_args!("{a:?} and {b:?} differ in case only")));
    }
    map.iter()
        .map(|(key, value)| {
            let place = place.name(key);
            check_name(key, &place)?;
            Ok((key.clone(), parameter_value(value, place)?))
        })
        .collect()
}

fn parameter_value(value: &Value, place: Place<'_>) -> Parsed<ParameterValue> {
    if value.is_null() || scalar_text(value).is_some() {
        return Ok(ParameterValue {
            value: scalar_text(value),
            certificate_thumbprint: None,
        });
    }
    let Value::Object(_) = value else {
        return Err(place.wrong(
            "must be a string, a number, a boolean, or an object with value and certificateThumbprint",
        ));
    };
    let m = Members::of(value, place)?;
    Ok(ParameterValue {
        // `value` may be any JSON: a column picker that a tool did not turn into text is turned
        // into text here.
        value: m
            .get("value")?
            .map(|v| scalar_text(v).unwrap_or_else(|| v.to_string())),
        certificate_thumbprint: m
            .text("certificateThumbprint")?
            .filter(|text| !text.is_empty()),
    })
}

fn example(p: &Members<'_>, inputs: &[Port]) -> Parsed<Option<Example>> {
    let Some(value) = p.get("exampleRequest")? else {
        return Ok(None);
    };
    let place = p.place.name("exampleRequest");
    let m = Members::of(value, place)?;
    let mut example = Example::default();
    if let Some(map) = m.map("inputs")? {
        let place = place.name("inputs");
        for (name, rows) in map {
            let place = place.name(name);
            let Value::Array(rows) = rows else {
                if rows.is_null() {
                    continue;
                }
                return Err(place.wrong("must be an array of rows"));
            };
            let columns = inputs.iter().find(|port| &port.name == name);
            let rows = rows
                .iter()
                .enumerate()
                .map(|(i, row)| match row {
                    Value::Array(cells) => Ok(cells.clone()),
                    // Some tools write rows as the Swagger form has them.
                    Value::Object(cells) => Ok(columns
                        .map(|port| {
                            let fields = port.schema.fields().iter();
                            fields
                                .map(|f| cells.get(&f.name).cloned().unwrap_or(Value::Null))
                                .collect()
                        })
                        .unwrap_or_default()),
                    _ => Err(place.index(i).wrong("must be an array of cells")),
                })
                .collect::<Parsed<Vec<Vec<Value>>>>()?;
            example.inputs.push((name.clone(), rows));
        }
    }
    if let Some(map) = m.map("globalParameters")? {
        example.global_parameters = map.iter().map(|(k, v)| (k.clone(), v.clone())).collect();
    }
    Ok(Some(example))
}
