//! The calls that warm a plan up.

use serde_json::{Map, Value, json};
use tables::request::{self, InputPort};
use tables::{DataType, Limits, Scalar, Schema, Table};

use crate::lax::scalar_text;
use crate::package::Example;

type Call = (Vec<Table>, Vec<(String, Scalar)>);

/// Calls worth trying, the likeliest first: the example's, then one row of zeros and blanks.
pub(crate) fn calls(ports: &[InputPort], example: Option<&Example>) -> Vec<Call> {
    let from_example = example.and_then(|example| {
        let rows = |port: &InputPort| {
            let found = example.inputs.iter().find(|(name, _)| *name == port.name);
            found.map(|(_, rows)| Value::from(rows.clone()))
        };
        let parameters = example
            .global_parameters
            .iter()
            .filter_map(|(name, value)| Some((name.clone(), Scalar::String(scalar_text(value)?))))
            .collect();
        Some((decode(ports, rows)?, parameters))
    });
    let zeros = decode(ports, |port| Some(json!([zero_row(&port.schema)])));
    let zeros = zeros.map(|tables| (tables, Vec::new()));
    from_example.into_iter().chain(zeros).collect()
}

/// Tables from rows of JSON cells, by way of the decoder that requests go through.
fn decode(ports: &[InputPort], rows: impl Fn(&InputPort) -> Option<Value>) -> Option<Vec<Table>> {
    if ports.is_empty() {
        return Some(Vec::new());
    }
    let mut inputs = Map::new();
    for port in ports {
        let names: Vec<&str> = port.schema.names().collect();
        let table = json!({"ColumnNames": names, "Values": rows(port)?});
        inputs.insert(port.name.clone(), table);
    }
    let body = serde_json::to_vec(&json!({ "Inputs": inputs })).ok()?;
    let decoded = request::decode(&body, ports, &Limits::default(), |_| Ok(()));
    decoded.ok().map(|(tables, ())| tables)
}

fn zero_row(schema: &Schema) -> Vec<Value> {
    let cell = |field: &tables::Field| match (field.data_type, &field.categories) {
        (DataType::String, Some(categories)) => categories.first().map_or("", |c| c).into(),
        (DataType::String, None) => "".into(),
        (DataType::Char, _) => " ".into(),
        (DataType::Boolean, _) => false.into(),
        (DataType::DateTime | DataType::DateTimeOffset, _) => "2000-01-01T00:00:00Z".into(),
        (DataType::Duration, _) => "00:00:00".into(),
        _ => 0.into(),
    };
    schema.fields().iter().map(cell).collect()
}
