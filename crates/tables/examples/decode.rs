//! What decoding a request body costs beside parsing it into a `serde_json::Value` (which has no
//! columns yet), and what encoding the reply costs. Both in one run, so that the ratio holds on a
//! busy machine: `cargo run --release -p tables --example decode`.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tables::request::{InputPort, decode};
use tables::{DataType, Field, Limits, Schema, Table, reply};

/// The allocator of the shipped binary: a row of 30 columns is mostly small allocations.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    println!(
        "{:<34}{:>8}{:>12}{:>12}{:>8}{:>12}",
        "body", "bytes", "decode ns", "Value ns", "ratio", "encode ns"
    );
    let numbers = numbers_port();
    let mixed = mixed_port();
    for rows in [1, 100] {
        for (digits, name) in [(4, "short"), (17, "long")] {
            let values: Vec<Vec<String>> = (0..rows).map(|row| numbers_row(row, digits)).collect();
            let label = format!("{rows} x 30 {name} numbers");
            measure(
                &format!("{label}, table"),
                &numbers,
                &table_body(&numbers, &values),
            );
            measure(
                &format!("{label}, rows"),
                &numbers,
                &rows_body(&numbers, &values),
            );
        }
        let values: Vec<Vec<String>> = (0..rows).map(mixed_row).collect();
        let label = format!("{rows} x 14 mixed columns");
        measure(
            &format!("{label}, table"),
            &mixed,
            &table_body(&mixed, &values),
        );
        measure(
            &format!("{label}, rows"),
            &mixed,
            &rows_body(&mixed, &values),
        );
    }
}

fn measure(label: &str, port: &InputPort, body: &str) {
    let limits = Limits::default();
    let ports = std::slice::from_ref(port);
    let parse = || -> Table {
        let (mut tables, ()) = decode(body.as_bytes(), ports, &limits, |_| Ok(()))
            .unwrap_or_else(|fault| panic!("{}: {:?}", fault.name(), fault.cause()));
        tables.remove(0)
    };
    let table = parse();
    let form = reply::Form::Table { details: true };
    let mut out = Vec::new();
    // Alternating, so that a slow moment hits all of them.
    let mut best = [Duration::MAX; 3];
    for _ in 0..40 {
        let decoded = timed(|| drop(black_box(parse())));
        let value = timed(|| {
            drop(black_box(serde_json::from_str::<serde_json::Value>(
                black_box(body),
            )));
        });
        let encoded = timed(|| {
            out.clear();
            reply::encode(&[("output1", black_box(&table))], form, &mut out);
            black_box(&out);
        });
        for (best, time) in best.iter_mut().zip([decoded, value, encoded]) {
            *best = time.min(*best);
        }
    }
    let [decoded, value, encoded] = best.map(|time| time.as_nanos() as f64 / BATCH as f64);
    let ratio = decoded / value;
    let bytes = body.len();
    println!("{label:<34}{bytes:>8}{decoded:>12.0}{value:>12.0}{ratio:>8.2}{encoded:>12.0}");
}

const BATCH: u32 = 200;

/// The time of a batch of calls.
fn timed(mut work: impl FnMut()) -> Duration {
    let start = Instant::now();
    for _ in 0..BATCH {
        work();
    }
    start.elapsed()
}

fn port(fields: Vec<Field>) -> InputPort {
    InputPort {
        name: "input1".to_owned(),
        schema: Arc::new(Schema::new(fields).expect("names differ")),
    }
}

fn numbers_port() -> InputPort {
    let field = |i| Field::new(format!("feature {i}"), DataType::Double);
    port((0..30).map(field).collect())
}

fn numbers_row(row: usize, digits: usize) -> Vec<String> {
    let value = |column: usize| ((row * 31 + column * 7 + 1) as f64).sqrt() * 1.7;
    (0..30)
        .map(|column| format!("{:.*}", digits - 1, value(column)))
        .collect()
}

/// The columns of the census data that many samples use.
fn mixed_port() -> InputPort {
    let names = [
        ("age", DataType::Int32),
        ("workclass", DataType::String),
        ("fnlwgt", DataType::Int32),
        ("education", DataType::String),
        ("education-num", DataType::Int32),
        ("marital-status", DataType::String),
        ("occupation", DataType::String),
        ("relationship", DataType::String),
        ("race", DataType::String),
        ("sex", DataType::String),
        ("capital-gain", DataType::Int32),
        ("capital-loss", DataType::Int32),
        ("hours-per-week", DataType::Int32),
        ("native-country", DataType::String),
    ];
    let field = |(name, data_type)| Field::new(name, data_type).nullable();
    port(names.into_iter().map(field).collect())
}

fn mixed_row(row: usize) -> Vec<String> {
    let age = (17 + row % 60).to_string();
    let weight = (77516 + row * 13).to_string();
    let cells = [
        age.as_str(),
        "\"Self-emp-not-inc\"",
        weight.as_str(),
        "\"Bachelors\"",
        "\"13\"",
        "\"Never-married\"",
        "\"Adm-clerical\"",
        "\"Not-in-family\"",
        "\"White\"",
        "\"Male\"",
        "2174",
        if row.is_multiple_of(7) { "null" } else { "0" },
        "40",
        "\"United-States\"",
    ];
    cells.iter().map(|&cell| cell.to_owned()).collect()
}

fn table_body(port: &InputPort, rows: &[Vec<String>]) -> String {
    let names: Vec<String> = port
        .schema
        .names()
        .map(|name| format!("\"{name}\""))
        .collect();
    let rows: Vec<String> = rows
        .iter()
        .map(|row| format!("[{}]", row.join(", ")))
        .collect();
    format!(
        "{{\"Inputs\": {{\"input1\": {{\"ColumnNames\": [{}], \"Values\": [{}]}}}}, \"GlobalParameters\": {{}}}}",
        names.join(", "),
        rows.join(", ")
    )
}

fn rows_body(port: &InputPort, rows: &[Vec<String>]) -> String {
    let row = |row: &Vec<String>| {
        let cells = port.schema.names().zip(row);
        let cells: Vec<String> = cells
            .map(|(name, cell)| format!("\"{name}\": {cell}"))
            .collect();
        format!("{{{}}}", cells.join(", "))
    };
    let rows: Vec<String> = rows.iter().map(row).collect();
    format!(
        "{{\"Inputs\": {{\"input1\": [{}]}}, \"GlobalParameters\": {{}}}}",
        rows.join(", ")
    )
}
