//! Modules and definitions of our own for the tests of this crate.
#![allow(dead_code)]

pub mod mutate;

use std::sync::Arc;

use faults::{Class, Fault};
use graph::{
    Interface, Module, ParameterKind, ParameterSpec, PortKind, PortSpec, PortValue, Registry,
    Resource, ResourceLoader, RunContext, SchemaProblem, Settings, Shape, Step,
};
use serde_json::{Value, json};
use tables::{Column, DataType, Field, Schema, Table, Values};

/// The uri of a built-in module of that family.
pub fn uri(family: &str) -> String {
    format!("aml://module/506153734175476c4f62416c57734963.{family}.v1-default-1")
}

pub const SCALE: &str = "00000000000000000000000000000001";
pub const SPLIT: &str = "00000000000000000000000000000002";
pub const APPLY: &str = "00000000000000000000000000000003";
pub const BREAK: &str = "00000000000000000000000000000004";

/// Multiplies its Double columns by `Factor`; in mode `Fancy` adds `Offset`. Its other parameters
/// have rules to break.
pub struct Scale;

static SCALE_INTERFACE: Interface = Interface {
    name: "Scale",
    family: SCALE,
    aliases: &["Stretch"],
    families: &["0000000000000000000000000000000a"],
    inputs: &[PortSpec::new("Dataset", PortKind::Table)],
    outputs: &[PortSpec::new("Results dataset", PortKind::Table)],
    parameters: &[
        ParameterSpec::new("Factor", ParameterKind::Float)
            .default("2")
            .range(-100.0, 100.0),
        ParameterSpec::new("Count", ParameterKind::Int)
            .default("5")
            .range(1.0, 10.0),
        ParameterSpec::mode("Mode", &["Simple", "Fancy"], "Simple")
            .synonyms(&[("Very fancy", "Fancy")]),
        ParameterSpec::new("Offset", ParameterKind::Float)
            .default("1")
            .child_of("Mode", &["Fancy"]),
        ParameterSpec::new("Columns", ParameterKind::ColumnPicker).optional(),
        ParameterSpec::new("Label", ParameterKind::String).optional(),
        ParameterSpec::new("Secret", ParameterKind::Credential).optional(),
        ParameterSpec::new("Flag", ParameterKind::Boolean).default("True"),
    ],
    row_wise: true,
};

struct ScaleStep {
    factor: f64,
    offset: f64,
}

impl Module for Scale {
    fn interface(&self) -> &'static Interface {
        &SCALE_INTERFACE
    }

    fn prepare(&self, settings: &Settings, _node: &str) -> Result<Box<dyn Step>, Fault> {
        if settings.get_str("Label") == Some("impossible") {
            return Err(faults::web_service_package_error::runtimes_error(
                "no such label",
            ));
        }
        if settings.get_str("Label") == Some("unfit") {
            return Err(faults::bad_user_argument::user_parameter_invalid(
                "it does not fit",
            ));
        }
        let fancy = settings.get_option("Mode") == Some("Fancy");
        Ok(Box::new(ScaleStep {
            factor: settings.get_f64("Factor").unwrap_or(f64::NAN),
            offset: match fancy {
                true => settings.get_f64("Offset").unwrap_or(f64::NAN),
                false => 0.0,
            },
        }))
    }
}

impl Step for ScaleStep {
    fn run(
        &self,
        inputs: &mut [Option<PortValue>],
        _context: &RunContext<'_>,
    ) -> Result<Vec<PortValue>, Fault> {
        let Some(PortValue::Table(table)) = inputs[0].take() else {
            panic!("no table at port 0");
        };
        let columns = table.columns().iter().map(|column| match &column.values {
            Values::F64(v) => Arc::new(Column::from(
                v.iter()
                    .map(|x| x * self.factor + self.offset)
                    .collect::<Vec<f64>>(),
            )),
            _ => Arc::clone(column),
        });
        let scaled = Table::new(Arc::clone(table.schema()), columns.collect());
        Ok(vec![PortValue::Table(scaled)])
    }

    fn output_schemas(&self, inputs: &[Shape]) -> Result<Vec<Option<Arc<Schema>>>, SchemaProblem> {
        if let Some(schema) = &inputs[0].schema
            && schema.position("refused").is_some()
        {
            return Err(SchemaProblem::Refused(
                "cannot scale \"refused\"".to_owned(),
            ));
        }
        Ok(vec![inputs[0].schema.clone()])
    }
}

/// Two inputs, the second optional; both tables out again, the first in place of an absent one.
pub struct Split;

static SPLIT_INTERFACE: Interface = Interface {
    name: "Split",
    family: SPLIT,
    aliases: &[],
    families: &[],
    inputs: &[
        PortSpec::new("Dataset1", PortKind::Table),
        PortSpec::optional("Dataset2", PortKind::Table),
    ],
    outputs: &[
        PortSpec::new("Results dataset1", PortKind::Table),
        PortSpec::new("Results dataset2", PortKind::Table),
    ],
    parameters: &[ParameterSpec::new("Required", ParameterKind::String)],
    row_wise: false,
};

struct SplitStep;

impl Module for Split {
    fn interface(&self) -> &'static Interface {
        &SPLIT_INTERFACE
    }

    fn prepare(&self, _settings: &Settings, _node: &str) -> Result<Box<dyn Step>, Fault> {
        Ok(Box::new(SplitStep))
    }
}

impl Step for SplitStep {
    fn run(
        &self,
        inputs: &mut [Option<PortValue>],
        _context: &RunContext<'_>,
    ) -> Result<Vec<PortValue>, Fault> {
        let first = inputs[0]
            .take()
            .ok_or_else(|| Fault::bare(Class::Conflict))?;
        let second = inputs[1].take().unwrap_or_else(|| first.clone());
        Ok(vec![first, second])
    }
}

/// Adds the number of bytes of its model to each row, as column `model bytes`.
pub struct Apply;

static APPLY_INTERFACE: Interface = Interface {
    name: "Apply",
    family: APPLY,
    aliases: &[],
    families: &[],
    inputs: &[
        PortSpec::new("Trained model", PortKind::Model),
        PortSpec::new("Dataset", PortKind::Table),
    ],
    outputs: &[PortSpec::new("Scored dataset", PortKind::Table)],
    parameters: &[],
    row_wise: true,
};

struct ApplyStep;

impl Module for Apply {
    fn interface(&self) -> &'static Interface {
        &APPLY_INTERFACE
    }

    fn prepare(&self, _settings: &Settings, _node: &str) -> Result<Box<dyn Step>, Fault> {
        Ok(Box::new(ApplyStep))
    }
}

fn size_field() -> Field {
    Field::new("model bytes", DataType::Int32)
}

impl Step for ApplyStep {
    fn run(
        &self,
        inputs: &mut [Option<PortValue>],
        _context: &RunContext<'_>,
    ) -> Result<Vec<PortValue>, Fault> {
        let size = inputs[0]
            .as_ref()
            .and_then(|v| v.downcast::<usize>())
            .expect("a model");
        let table = inputs[1]
            .as_ref()
            .and_then(|v| v.as_table())
            .expect("a table");
        let column = Column::from(vec![*size as i32; table.rows()]);
        let scored = table.with_column(size_field(), column).expect("a new name");
        Ok(vec![PortValue::Table(scored)])
    }

    fn output_schemas(&self, inputs: &[Shape]) -> Result<Vec<Option<Arc<Schema>>>, SchemaProblem> {
        let (Some(schema), Some(_)) = (&inputs[1].schema, &inputs[0].constant) else {
            return Ok(Vec::new());
        };
        let mut fields = schema.fields().to_vec();
        fields.push(size_field());
        Ok(vec![Some(Arc::new(Schema::new(fields)?))])
    }
}

/// Fails in the way its parameter says.
pub struct Break;

static BREAK_INTERFACE: Interface = Interface {
    name: "Break",
    family: BREAK,
    aliases: &[],
    families: &[],
    inputs: &[PortSpec::new("Dataset", PortKind::Table)],
    outputs: &[PortSpec::new("Results dataset", PortKind::Table)],
    parameters: &[ParameterSpec::mode(
        "How",
        &["Panic", "Fault", "Targeted", "Nothing"],
        "Panic",
    )],
    row_wise: true,
};

struct BreakStep(&'static str);

impl Module for Break {
    fn interface(&self) -> &'static Interface {
        &BREAK_INTERFACE
    }

    fn prepare(&self, settings: &Settings, _node: &str) -> Result<Box<dyn Step>, Fault> {
        Ok(Box::new(BreakStep(
            settings.get_option("How").unwrap_or("Panic"),
        )))
    }
}

impl Step for BreakStep {
    fn run(
        &self,
        _inputs: &mut [Option<PortValue>],
        context: &RunContext<'_>,
    ) -> Result<Vec<PortValue>, Fault> {
        let fault = faults::bad_user_argument::user_parameter_invalid("no");
        match self.0 {
            "Fault" => Err(fault),
            "Targeted" => Err(fault.at(format!("{}/Column", context.node))),
            "Nothing" => Ok(Vec::new()),
            how => panic!("asked to break: {how}"),
        }
    }
}

/// Loads a model as the number of its bytes; refuses an empty one.
pub struct SizeLoader;

impl ResourceLoader for SizeLoader {
    fn kind(&self) -> PortKind {
        PortKind::Model
    }

    fn load(&self, _asset: &str, bytes: &[u8]) -> Result<PortValue, Fault> {
        if bytes.is_empty() {
            return Err(Fault::bare(Class::ModelPackageFormatError));
        }
        Ok(PortValue::Object(Arc::new(bytes.len())))
    }
}

pub fn registry() -> Registry {
    Registry::new()
        .with(Scale)
        .with(Split)
        .with(Apply)
        .with(Break)
        .with_loader(SizeLoader)
}

/// Gives seven bytes for any asset.
pub fn seven_bytes(_asset: &str) -> Result<Resource, Fault> {
    Ok(Resource::from(vec![0; 7]))
}

fn port(columns: Value) -> Value {
    json!({"type": "object", "properties": columns})
}

/// input1 (x: Double, name: String) to Scale to output1, as 2017-01-01 writes it.
pub fn scale_definition() -> Value {
    let columns = json!({
        "x": {"type": "Number", "format": "Double"},
        "name": {"type": "String", "format": "", "x-ms-isnullable": true},
    });
    json!({
        "location": "local",
        "properties": {
            "packageType": "Graph",
            "assets": {
                "asset1": {"name": "Scale", "type": "Module",
                           "locationInfo": {"uri": uri(SCALE), "credentials": ""}},
            },
            "input": {"type": "object", "properties": {"input1": port(columns.clone())}},
            "output": {"type": "object", "properties": {"output1": port(columns)}},
            "package": {
                "nodes": {
                    "node1": {"inputId": "input1"},
                    "node2": {"assetId": "asset1", "parameters": {}},
                    "node3": {"outputId": "output1"},
                },
                "edges": [
                    {"sourceNodeId": "node1", "targetNodeId": "node2", "targetPortId": "Dataset"},
                    {"sourceNodeId": "node2", "sourcePortId": "Results dataset", "targetNodeId": "node3"},
                ],
                "graphParameters": {},
            },
        },
    })
}

/// The same with a trained model: input1 and model to Apply to output1.
pub fn apply_definition() -> Value {
    let mut definition = scale_definition();
    let properties = &mut definition["properties"];
    properties["assets"] = json!({
        "asset1": {"name": "Apply", "type": "Module", "locationInfo": {"uri": uri(APPLY)}},
        "asset2": {"name": "M [trained model]", "type": "Resource",
                   "locationInfo": {"uri": "https://a.example/m.ilearner"},
                   "outputPorts": {"Results dataset": {"type": "Dataset"}}},
    });
    properties["output"]["properties"]["output1"]["properties"]["model bytes"] =
        json!({"type": "Integer", "format": "Int32"});
    properties["package"]["nodes"]["node4"] = json!({"assetId": "asset2"});
    properties["package"]["edges"] = json!([
        {"sourceNodeId": "node4", "sourcePortId": "Results dataset",
         "targetNodeId": "node2", "targetPortId": "Trained model"},
        {"sourceNodeId": "node1", "targetNodeId": "node2", "targetPortId": "Dataset"},
        {"sourceNodeId": "node2", "sourcePortId": "Scored dataset", "targetNodeId": "node3"},
    ]);
    definition
}

/// A table for the input of these definitions.
pub fn input(x: &[f64]) -> Table {
    let schema = Schema::new(vec![
        Field::new("x", DataType::Double),
        Field::new("name", DataType::String).nullable(),
    ]);
    let names: tables::Strings = x.iter().map(|_| "a").collect();
    let columns = vec![
        Arc::new(Column::from(x.to_vec())),
        Arc::new(Column::from(names)),
    ];
    Table::new(Arc::new(schema.expect("two names")), columns)
}

/// The numbers of column `x`.
pub fn xs(table: &Table) -> Vec<f64> {
    let column = table.by_name("x").expect("a column x").1;
    (0..column.len())
        .filter_map(|row| column.number(row))
        .collect()
}

/// Class and code, and the target of the first detail.
pub fn name_and_target(fault: &Fault) -> (String, Option<String>) {
    let target = fault.details().first().and_then(|d| d.target.clone());
    (fault.name(), target)
}
