//! Prints how long models take: `kernel MODEL.onnx ...`, best of several rounds, one thread.
//!
//! Each model is fed random rows of its own width: one row, a hundred, ten thousand.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use models::{Element, Model};
use tables::{Column, DataType, Field, Schema, Strings, Table, Values};

/// A table of `rows` random rows that fits the model.
fn table(model: &Model, rows: usize) -> Table {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1 << 24) as f32 * 12.0 - 6.0
    };
    let mut fields = Vec::new();
    let mut columns = Vec::new();
    for input in model.inputs() {
        let width = input.width.unwrap_or(14);
        for c in 0..width {
            let name = if width == 1 {
                input.name.clone()
            } else {
                format!("{}{c}", input.name)
            };
            let (data_type, values) = match input.element {
                Element::Str => {
                    let texts: Strings = (0..rows)
                        .map(|i| if i % 2 == 0 { "Sales" } else { "Exec" })
                        .collect();
                    (DataType::String, Values::Str(texts))
                }
                Element::I64 | Element::I32 => (
                    DataType::Int64,
                    Values::I64((0..rows).map(|_| random().abs() as i64).collect()),
                ),
                _ => (
                    DataType::Float,
                    Values::F32((0..rows).map(|_| random()).collect()),
                ),
            };
            fields.push(Field::new(name, data_type));
            columns.push(Arc::new(Column::new(values)));
        }
    }
    let schema = Schema::new(fields).expect("input names are unique");
    Table::new(Arc::new(schema), columns)
}

fn main() {
    for path in std::env::args().skip(1) {
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) => {
                eprintln!("{path}: {error}");
                continue;
            }
        };
        let start = Instant::now();
        let model = match Model::load(&bytes) {
            Ok(model) => model,
            Err(fault) => {
                eprintln!("{path}: {}", fault.cause().unwrap_or("refused"));
                continue;
            }
        };
        let load = start.elapsed();
        print!("{path}: load {:.1} ms", load.as_secs_f64() * 1e3);
        for rows in [1, 100, 10_000] {
            let table = table(&model, rows);
            let binding = match model.bind(table.schema()) {
                Ok(binding) => binding,
                Err(error) => {
                    println!(" {error}");
                    break;
                }
            };
            let mut best = Duration::MAX;
            let calls = (20_000 / rows).clamp(3, 2_000);
            for _ in 0..20 {
                let start = Instant::now();
                for _ in 0..calls {
                    let scores = model.score(black_box(&binding), black_box(&table), &|| false);
                    let _ = black_box(scores);
                }
                best = best.min(start.elapsed() / calls as u32);
            }
            let per_row = best.as_secs_f64() * 1e9 / rows as f64;
            print!(
                ", {rows} rows {:.2} us ({per_row:.0} ns/row)",
                best.as_secs_f64() * 1e6
            );
        }
        println!();
    }
}
