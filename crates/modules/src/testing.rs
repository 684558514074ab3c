//! Helpers for the tests of modules.

use std::sync::Arc;

use faults::Fault;
use graph::{Module, PortValue, RunContext, SchemaProblem, Settings, Shape, Step};
use tables::{Column, DataType, Field, Schema, Table, Values};

/// A table of named, typed columns; those with missing values are nullable.
pub(crate) fn table_of(columns: Vec<(&str, DataType, Column)>) -> Table {
    let field = |(name, data_type, column): &(&str, DataType, Column)| {
        let mut field = Field::new(*name, *data_type);
        field.nullable = column.validity.is_some();
        field
    };
    let schema = Schema::new(columns.iter().map(field).collect()).unwrap();
    let columns = columns
        .into_iter()
        .map(|(_, _, column)| Arc::new(column))
        .collect();
    Table::new(Arc::new(schema), columns)
}

/// A module's settings with these values over its defaults.
pub(crate) fn settings(module: &dyn Module, values: &[(&str, &str)]) -> Settings {
    Settings::defaults(module.interface()).with(values).unwrap()
}

/// A module's step for these values.
pub(crate) fn prepare(
    module: &dyn Module,
    values: &[(&str, &str)],
) -> Result<Box<dyn Step>, Fault> {
    module.prepare(&settings(module, values), "node1")
}

/// Runs a step on values at its ports and gives its outputs.
pub(crate) fn run(step: &dyn Step, inputs: Vec<PortValue>) -> Result<Vec<PortValue>, Fault> {
    let mut inputs: Vec<Option<PortValue>> = inputs.into_iter().map(Some).collect();
    let context = RunContext {
        cancelled: &|| false,
        node: "node1",
    };
    step.run(&mut inputs, &context)
}

/// Runs a step and gives the table at its first output.
pub(crate) fn run_one(step: &dyn Step, inputs: Vec<PortValue>) -> Result<Table, Fault> {
    match run(step, inputs)?.into_iter().next() {
        Some(PortValue::Table(table)) => Ok(table),
        other => panic!("no table at the first output: {other:?}"),
    }
}

/// The text of each cell of a column, `None` where missing.
pub(crate) fn cells(table: &Table, name: &str) -> Vec<Option<String>> {
    let (field, column) = table
        .by_name(name)
        .unwrap_or_else(|| panic!("no column {name}"));
    (0..column.len())
        .map(|row| {
            let mut out = Vec::new();
            tables::text::write_cell(column, field.data_type, row, &mut out)
                .then(|| String::from_utf8(out).unwrap())
        })
        .collect()
}

/// The column's cells as replies write them; `-` where one is missing.
pub(crate) fn texts_of(table: &Table, name: &str) -> Vec<String> {
    let cells = cells(table, name).into_iter();
    cells
        .map(|cell| cell.unwrap_or_else(|| "-".to_owned()))
        .collect()
}

/// What is known of a step's outputs for an input of this schema.
pub(crate) fn told(
    step: &dyn Step,
    schema: &Arc<Schema>,
) -> Result<Vec<Option<Arc<Schema>>>, SchemaProblem> {
    step.output_schemas(&[Shape {
        schema: Some(Arc::clone(schema)),
        constant: None,
    }])
}

/// A schema of these columns.
pub(crate) fn schema_of(columns: &[(&str, DataType)]) -> Arc<Schema> {
    let fields = columns.iter().map(|(n, t)| Field::new(*n, *t)).collect();
    Arc::new(Schema::new(fields).unwrap())
}

/// A column of doubles, `None` missing.
pub(crate) fn doubles(values: &[Option<f64>]) -> Column {
    gaps(
        Values::F64(values.iter().map(|v| v.unwrap_or(0.0)).collect()),
        values,
    )
}

/// A column of Int32, `None` missing.
pub(crate) fn ints(values: &[Option<i32>]) -> Column {
    gaps(
        Values::I32(values.iter().map(|v| v.unwrap_or(0)).collect()),
        values,
    )
}

/// A column of texts, `None` missing.
pub(crate) fn texts(values: &[Option<&str>]) -> Column {
    gaps(
        Values::Str(values.iter().map(|v| v.unwrap_or("")).collect()),
        values,
    )
}

fn gaps<T>(values: Values, given: &[Option<T>]) -> Column {
    Column::with_validity(values, given.iter().map(Option::is_some).collect())
}
