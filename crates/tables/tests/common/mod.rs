//! What the tests of requests share.

#![allow(dead_code)] // Each test binary uses a part of it.

pub mod json;
pub mod reference;

use std::sync::Arc;

use faults::Fault;
use tables::request::{InputPort, decode, decode_v1};
use tables::{Column, DataType, Field, Limits, Scalar, Schema, Table, text};

/// A port of these fields.
pub fn port(name: &str, fields: Vec<Field>) -> InputPort {
    InputPort {
        name: name.to_owned(),
        schema: Arc::new(Schema::new(fields).unwrap()),
    }
}

/// `input1` with `age` (Int32), `name` (String) and `score` (nullable Double).
pub fn people() -> InputPort {
    port(
        "input1",
        vec![
            Field::new("age", DataType::Int32),
            Field::new("name", DataType::String),
            Field::new("score", DataType::Double).nullable(),
        ],
    )
}

/// `input1` with `x` (Double) and `y` (String).
pub fn xy() -> InputPort {
    let fields = vec![
        Field::new("x", DataType::Double),
        Field::new("y", DataType::String),
    ];
    port("input1", fields)
}

/// `input1` with `x` (Double) alone.
pub fn x() -> InputPort {
    port("input1", vec![Field::new("x", DataType::Double)])
}

/// [`xy`], and `Input2` with `z` (Int32).
pub fn two() -> [InputPort; 2] {
    let other = port("Input2", vec![Field::new("z", DataType::Int32)]);
    [xy(), other]
}

pub fn any_parameters(_: &[(String, Scalar)]) -> Result<(), Fault> {
    Ok(())
}

/// Decodes a v2 body under the default limits; all parameters are welcome.
pub fn v2(body: &str, ports: &[InputPort]) -> Result<Vec<Table>, Fault> {
    v2_bytes(body.as_bytes(), ports)
}

pub fn v2_bytes(body: &[u8], ports: &[InputPort]) -> Result<Vec<Table>, Fault> {
    decode(body, ports, &Limits::default(), any_parameters).map(|(tables, ())| tables)
}

/// Decodes a v1 body likewise.
pub fn v1(body: &str, port: &InputPort) -> Result<Table, Fault> {
    decode_v1(body.as_bytes(), port, &Limits::default(), any_parameters).map(|(table, ())| table)
}

/// The texts of a column's values as a reply would have them.
pub fn texts(data_type: DataType, column: &Column) -> Vec<Option<String>> {
    let text = |row| {
        let mut out = Vec::new();
        let present = text::write_cell(column, data_type, row, &mut out);
        present.then(|| String::from_utf8(out).unwrap())
    };
    (0..column.len()).map(text).collect()
}

/// A table's values as texts, row by row, missing ones as `∅`.
pub fn rows(table: &Table) -> Vec<Vec<String>> {
    let fields = table.schema().fields();
    let columns = fields.iter().zip(table.columns());
    let columns: Vec<_> = columns
        .map(|(field, column)| texts(field.data_type, column))
        .collect();
    let cell = |row: usize, column: &Vec<Option<String>>| {
        column[row].clone().unwrap_or_else(|| "∅".to_owned())
    };
    let row = |row| columns.iter().map(|column| cell(row, column)).collect();
    (0..table.rows()).map(row).collect()
}

/// `Class.Code`, the targets of its details and the parameters of the first one.
pub fn parts(fault: &Fault) -> (String, Vec<String>, Vec<String>) {
    let targets = fault
        .details()
        .iter()
        .map(|detail| detail.target.clone().unwrap_or_default());
    let args = fault.details().first().map(|detail| detail.args.clone());
    (fault.name(), targets.collect(), args.unwrap_or_default())
}

/// Asserts which fault it is and where it points.
#[track_caller]
pub fn assert_fault<T>(result: Result<T, Fault>, name: &str, targets: &[&str]) -> Fault {
    let fault = match result {
        Ok(_) => panic!("{name} was expected"),
        Err(fault) => fault,
    };
    let (found, found_targets, _) = parts(&fault);
    let cause = fault.cause();
    assert_eq!(
        (found.as_str(), found_targets),
        (name, targets.iter().map(|t| t.to_string()).collect()),
        "{cause:?}"
    );
    fault
}

pub const INVALID: &str = "BadArgument.RequestBodyInvalid";
pub const EMPTY: &str = "BadArgument.RequestIsEmpty";
pub const NO_INPUT: &str = "BadArgument.MissingRequestInput";
pub const NAMES: &str = "BadArgument.InvalidInputNames";
pub const SEVERAL: &str = "InvalidOperation.MultipleInputsNotAllowed";
pub const MISMATCH: &str = "BadUserArgument.InputMismatchError";
pub const PARSE: &str = "BadUserArgument.InputParseError";
