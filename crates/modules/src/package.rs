//! A web service package made for a model file: input, Score Model, output.
//!
//! # What the columns become
//!
//! - Names and order are the sample's; without a sample, the model's. A model's input is found in
//!   the sample in spite of what exporters do to names (`education_num` for `education-num`).
//! - Columns of the sample that feed no input (a label, an id) are left out: a client would have
//!   to send them for nothing. A model with one input of `k` unnamed columns needs a sample of
//!   exactly `k`: which of more is the label cannot be told, and a guess would score wrong numbers.
//! - A text input is a String, whatever the sample's cells look like. A whole-number input is
//!   Int64 (or Int32), and the sample must not contradict. A floating-point input is
//!   Double, also where the sample has whole numbers only (Boolean where it has True and False);
//!   without a sample it is its own type (Float or Double).
//! - Missing values are allowed where the sample has gaps, where the model handles them itself (a
//!   leading imputer, trees with a branch for them), and where the options say so.
//! - The output is what Score Model gives: found out by scoring one row.
//! - The first rows of the sample become the example request, at most five; rows with a gap where
//!   the model has no way to take one are passed over.

use std::sync::Arc;

use faults::{Fault, web_service_package_error};
use models::{BindError, Element, Model};
use serde_json::{Map, Value, json};
use tables::{Column, DataType, Field, Schema, Strings, Table, Values, text};

use crate::refusal::{names, shown};
use crate::score_columns::schema as scored_schema;
use crate::score_model::{Bound, explain};

/// How many rows of the sample become the example request.
const EXAMPLE_ROWS: usize = 5;

/// Which columns may lack values besides those where the model or the sample say so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Nullable {
    /// These, by name.
    Columns(Vec<String>),
    /// All.
    All,
}

/// What a package is made with besides the model and the sample.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackageOptions {
    /// The service's title; also the name of the trained model.
    pub title: String,
    /// The service's description.
    pub description: String,
    /// `location` of the resource, which the Resource Manager API requires.
    pub location: String,
    /// Where the model is stored: `locationInfo.uri` of its asset.
    pub model_uri: String,
    /// Columns that may lack values.
    pub nullable: Nullable,
    /// `realtimeConfiguration.maxConcurrentCalls`; `None` for the installation's default.
    pub max_concurrent_calls: Option<u32>,
    /// Whether anyone who reads the service's Swagger document sees the example rows.
    pub expose_sample_data: bool,
}

impl Default for PackageOptions {
    /// No text, no columns, and no sample data shown.
    fn default() -> PackageOptions {
        PackageOptions {
            title: String::new(),
            description: String::new(),
            location: "local".to_owned(),
            model_uri: String::new(),
            nullable: Nullable::Columns(Vec::new()),
            max_concurrent_calls: None,
            expose_sample_data: false,
        }
    }
}

/// Makes the body of a Resource Manager `PUT` (api-version 2017-01-01) for a model: one input
/// `input1`, Score Model, one output `output1` with the input's columns and the scores.
///
/// # Errors
///
/// Those of [`Model::load`]; `WebServicePackageError.ValidationError` where the sample does not go
/// with the model, an option names a column that is not there, or the columns cannot be told.
pub fn package_from_model(
    model: &[u8],
    sample: Option<&Table>,
    options: &PackageOptions,
) -> Result<Value, Fault> {
    let model = Model::load(model)?;
    let input = match sample {
        Some(sample) => of_sample(&model, sample)?,
        None => Table::empty(Arc::new(own_schema(&model)?)),
    };
    let bound = bind(&model, input.schema())?;
    let input = allow_gaps(&model, &bound, input, &options.nullable)?;
    let parts = bound.parts(&model, input.schema()).ok_or_else(|| {
        invalid("The model's file does not tell how many columns it gives, and scoring one row of zeros fails.")
    })?;
    let output = scored_schema(input.schema().fields(), &parts)
        .map_err(|duplicate| invalid(format!("With the model's results, {duplicate}.")))?;
    let example = example_rows(&bound, &input);
    Ok(body(options, input.schema(), &output, example))
}

fn invalid(problem: impl Into<String>) -> Fault {
    web_service_package_error::validation_error(problem)
}

fn bind(model: &Model, schema: &Schema) -> Result<Bound, Fault> {
    Bound::new(model, schema).map_err(|error| invalid(explain(&error).1))
}

/// The columns of the sample that feed the model, with the types that the model wants.
fn of_sample(model: &Model, sample: &Table) -> Result<Table, Fault> {
    let mut sample = sample.clone();
    let bound = loop {
        let error = match Bound::new(model, sample.schema()) {
            Ok(bound) => break bound,
            Err(error) => error,
        };
        sample = match &error {
            // Cells that look like numbers, or none at all, say little of what a column holds.
            BindError::ColumnType { column, element } => retyped(&sample, column, *element),
            // Not `ColumnCount`: which column is one too many is not ours to guess.
            _ => None,
        }
        .ok_or_else(|| invalid(explain(&error).1))?;
    };
    for (input, positions) in model.inputs().iter().zip(bound.columns()) {
        for &position in positions {
            sample = fitted(sample, position, input.element)?;
        }
    }
    let mut used: Vec<usize> = bound.columns().iter().flatten().copied().collect();
    used.sort_unstable();
    used.dedup();
    Ok(sample.select(&used))
}

/// The sample with a column that the binding refused as another type; `None` where no other makes
/// it fit.
fn retyped(sample: &Table, name: &str, element: Element) -> Option<Table> {
    let position = sample.schema().position(name)?;
    let (field, column) = (sample.schema().field(position), sample.column(position));
    match element {
        Element::Str if !field.data_type.is_text() => as_text(sample, position),
        // A column without any value is a String for want of anything better.
        _ if field.data_type.is_text() && column.missing_count() == column.len() => with_type(
            sample,
            position,
            DataType::Double,
            Column::missing(DataType::Double, column.len()),
        ),
        _ => None,
    }
}

/// The sample with the column at a position as an input of that element wants it.
fn fitted(sample: Table, position: usize, element: Element) -> Result<Table, Fault> {
    let field = sample.schema().field(position);
    let column = sample.column(position);
    let whole = match element {
        Element::Str if !field.data_type.is_text() => {
            let as_text = as_text(&sample, position);
            return Ok(as_text.unwrap_or(sample));
        }
        // Whole numbers in a few rows do not make a measure whole: a client's 190.5 must not be
        // refused where the model takes it.
        Element::F32 | Element::F64 if field.data_type.is_integer() => {
            let numbers = (0..column.len()).map(|row| column.number(row).unwrap_or(0.0));
            let numbers = Column {
                values: Values::F64(numbers.collect()),
                validity: column.validity.clone(),
            };
            let as_double = with_type(&sample, position, DataType::Double, numbers);
            return Ok(as_double.unwrap_or(sample));
        }
        Element::I32 => DataType::Int32,
        Element::I64 => DataType::Int64,
        _ => return Ok(sample),
    };
    if field.data_type.is_integer() {
        return Ok(sample);
    }
    // The rows that are there; a fraction in one of them is a contradiction.
    let mut values = Values::with_capacity(whole, column.len());
    for row in 0..column.len() {
        let number = column.number(row).unwrap_or(0.0);
        let fits = number.fract() == 0.0 && number.abs() < 9e15;
        match &mut values {
            Values::I32(v) if fits && number.abs() <= f64::from(i32::MAX) => v.push(number as i32),
            Values::I64(v) if fits => v.push(number as i64),
            _ => {
                return Err(invalid(format!(
                    "The model takes whole numbers for column \"{}\", and row {} of the sample has {number}.",
                    shown(&field.name),
                    row + 1
                )));
            }
        }
    }
    let values = Column {
        values,
        validity: column.validity.clone(),
    };
    Ok(with_type(&sample, position, whole, values).unwrap_or(sample))
}

fn as_text(sample: &Table, position: usize) -> Option<Table> {
    let (field, column) = (sample.schema().field(position), sample.column(position));
    let mut cell = Vec::new();
    let mut texts = Strings::with_capacity(column.len(), 0);
    for row in 0..column.len() {
        cell.clear();
        text::write_cell(column, field.data_type, row, &mut cell);
        let cell = String::from_utf8_lossy(&cell);
        if !texts.fits(cell.len()) {
            return None;
        }
        texts.push(&cell);
    }
    let texts = Column {
        values: Values::Str(texts),
        validity: column.validity.clone(),
    };
    with_type(sample, position, DataType::String, texts)
}

fn with_type(
    sample: &Table,
    position: usize,
    data_type: DataType,
    column: Column,
) -> Option<Table> {
    let mut field = sample.schema().field(position).clone();
    field.data_type = data_type;
    sample.replace(position, field, column).ok()
}

/// The columns that the model's file tells of.
fn own_schema(model: &Model) -> Result<Schema, Fault> {
    let inputs = model.inputs();
    let mut fields = Vec::new();
    for input in inputs {
        let data_type = match input.element {
            Element::F32 => DataType::Float,
            Element::F64 => DataType::Double,
            Element::I64 => DataType::Int64,
            Element::I32 => DataType::Int32,
            Element::Bool => DataType::Boolean,
            Element::Str => DataType::String,
        };
        if let Some(keys) = &input.keys {
            fields.extend(keys.names().iter().map(|key| Field::new(key, data_type)));
            continue;
        }
        match input.width {
            Some(1) => fields.push(Field::new(&input.name, data_type)),
            Some(width) => fields.extend((1..=width).map(|i| {
                let name = match inputs.len() {
                    1 => format!("Column{i}"),
                    _ => format!("{}.{i}", input.name),
                };
                Field::new(name, data_type)
            })),
            None => {
                return Err(invalid(format!(
                    "The model's file does not tell how many columns its input \"{}\" takes; give a sample of the data.",
                    shown(&input.name)
                )));
            }
        }
    }
    Schema::new(fields).map_err(|duplicate| invalid(format!("Of the model's inputs, {duplicate}.")))
}

/// The input with its columns marked that may lack values.
fn allow_gaps(
    model: &Model,
    bound: &Bound,
    input: Table,
    nullable: &Nullable,
) -> Result<Table, Fault> {
    let schema = input.schema();
    let mut fields = schema.fields().to_vec();
    for (position, field) in fields.iter_mut().enumerate() {
        field.nullable = input.column(position).missing_count() > 0;
    }
    for (input, positions) in model.inputs().iter().zip(bound.columns()) {
        for &position in positions.iter().filter(|_| input.handles_missing) {
            fields[position].nullable = true;
        }
    }
    match nullable {
        Nullable::All => fields.iter_mut().for_each(|field| field.nullable = true),
        Nullable::Columns(columns) => {
            let unknown = columns
                .iter()
                .filter(|name| schema.position(name).is_none());
            let unknown = names(unknown.map(String::as_str));
            if !unknown.is_empty() {
                return Err(invalid(format!(
                    "Columns are to be nullable that the input does not have: {unknown}."
                )));
            }
            for position in columns.iter().filter_map(|name| schema.position(name)) {
                fields[position].nullable = true;
            }
        }
    }
    let schema = Schema::new(fields).map_err(|e| invalid(format!("Of the input, {e}.")))?;
    Ok(input.with_schema(Arc::new(schema)))
}

/// The first rows of the sample that the model can score, cells in the order of the columns.
fn example_rows(bound: &Bound, sample: &Table) -> Vec<Value> {
    let rows = (0..sample.rows()).filter(|&row| !bound.lacks(sample, row));
    let cells = |row: usize| {
        let fields = sample.schema().fields().iter().zip(sample.columns());
        fields
            .map(|(field, column)| cell(field, column, row))
            .collect()
    };
    rows.take(EXAMPLE_ROWS).map(cells).collect()
}

/// A cell as JSON: numbers and Booleans as such, anything else as its text.
fn cell(field: &Field, column: &Column, row: usize) -> Value {
    let mut text = Vec::new();
    if !text::write_cell(column, field.data_type, row, &mut text) {
        return Value::Null;
    }
    if let Values::Bool(flags) = &column.values {
        return flags[row].into();
    }
    let text = String::from_utf8_lossy(&text);
    if field.data_type.is_numeric()
        && let Ok(number) = serde_json::from_str(&text)
    {
        return Value::Number(number);
    }
    text.into()
}

/// The columns of a port as the definition writes them.
fn port(schema: &Schema) -> Value {
    let mut columns = Map::new();
    for field in schema.fields() {
        let (type_, format) = spec(field.data_type);
        let mut column = Map::new();
        column.insert("type".to_owned(), type_.into());
        if let Some(format) = format {
            column.insert("format".to_owned(), format.into());
        }
        column.insert("x-ms-isnullable".to_owned(), field.nullable.into());
        columns.insert(field.name.clone(), Value::Object(column));
    }
    json!({"type": "object", "properties": columns})
}

/// A type in the words of the Resource Manager API.
fn spec(data_type: DataType) -> (&'static str, Option<&'static str>) {
    match data_type {
        DataType::Boolean => ("Boolean", None),
        DataType::Float | DataType::Double => ("Number", Some(data_type.name())),
        DataType::String => ("String", None),
        DataType::Char => ("String", Some("Char")),
        DataType::DateTime => ("String", Some("Date-time")),
        DataType::DateTimeOffset => ("String", Some("Date-timeOffset")),
        DataType::Duration => ("String", Some("Duration")),
        _ => ("Integer", Some(data_type.name())),
    }
}

fn body(options: &PackageOptions, input: &Schema, output: &Schema, example: Vec<Value>) -> Value {
    let mut properties = json!({
        "packageType": "Graph",
        "title": options.title,
        "description": options.description,
        "exposeSampleData": options.expose_sample_data,
        "input": {"type": "object", "properties": {"input1": port(input)}},
        "output": {"type": "object", "properties": {"output1": port(output)}},
        "assets": {
            "asset1": {
                "name": "Score Model",
                "type": "Module",
                "locationInfo": {
                    // Workspace and family of the classic module; the rest is only a build.
                    "uri": "aml://module/506153734175476c4f62416c57734963.401b4f92e7244d5abe81d5b0ff9bdb33.v1-default-1751",
                    "credentials": ""
                }
            },
            "asset2": {
                "name": format!("{} [trained model]", options.title),
                "type": "Resource",
                "locationInfo": {"uri": options.model_uri, "credentials": ""},
                "outputPorts": {"Results dataset": {"type": "Dataset"}}
            }
        },
        "parameters": {},
        "package": {
            "nodes": {
                "node1": {"inputId": "input1"},
                "node2": {"assetId": "asset2"},
                "node3": {
                    "assetId": "asset1",
                    "parameters": {
                        "Append score columns to output": {"value": "True", "certificateThumbprint": ""}
                    }
                },
                "node4": {"outputId": "output1"}
            },
            "edges": [
                {
                    "sourceNodeId": "node2", "sourcePortId": "Results dataset",
                    "targetNodeId": "node3", "targetPortId": "Trained model"
                },
                {"sourceNodeId": "node1", "targetNodeId": "node3", "targetPortId": "Dataset"},
                {
                    "sourceNodeId": "node3", "sourcePortId": "Scored dataset",
                    "targetNodeId": "node4"
                }
            ],
            "graphParameters": {}
        }
    });
    if let Value::Object(properties) = &mut properties {
        if !example.is_empty() {
            properties.insert(
                "exampleRequest".to_owned(),
                json!({"inputs": {"input1": example}, "globalParameters": {}}),
            );
        }
        if let Some(calls) = options.max_concurrent_calls {
            let configuration = json!({"maxConcurrentCalls": calls});
            properties.insert("realtimeConfiguration".to_owned(), configuration);
        }
    }
    json!({"location": options.location, "tags": {}, "properties": properties})
}
