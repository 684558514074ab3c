//! Every operator against ONNX Runtime, on the cases that `tests/parity/make_operators.py` wrote to
//! `target/parity/operators.json` (or where `UMPIRE_PARITY_DIR` says). Without the file the test
//! says so and passes.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use serde_json::Value as Json;

use crate::engine::program::Scratch;
use crate::engine::tensor::{Data, Shape, Tensor, Value};
use crate::onnx::compile::{self, Opsets};
use crate::onnx::read;

fn directory() -> PathBuf {
    match std::env::var_os("UMPIRE_PARITY_DIR") {
        Some(given) => given.into(),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/parity"),
    }
}

fn list(json: &Json) -> &[Json] {
    json.as_array().expect("a list")
}

fn text(json: &Json) -> &str {
    json.as_str().expect("a text")
}

fn number(json: &Json) -> f64 {
    match json {
        Json::Null => f64::NAN,
        Json::String(s) if s == "inf" => f64::INFINITY,
        Json::String(s) if s == "-inf" => f64::NEG_INFINITY,
        other => other.as_f64().expect("a number"),
    }
}

fn tensor(json: &Json) -> Tensor {
    let dims: Vec<usize> = list(&json["shape"])
        .iter()
        .map(|d| d.as_u64().expect("a size") as usize)
        .collect();
    let values = list(&json["values"]);
    let whole = |v: &Json| v.as_i64().expect("a whole number");
    let data = match text(&json["type"]) {
        "float" => Data::F32(values.iter().map(|v| number(v) as f32).collect()),
        "double" => Data::F64(values.iter().map(number).collect()),
        "int64" => Data::I64(values.iter().map(whole).collect()),
        "int32" => Data::I32(values.iter().map(|v| whole(v) as i32).collect()),
        "bool" => Data::Bool(
            values
                .iter()
                .map(|v| v.as_bool().expect("a bool"))
                .collect(),
        ),
        _ => Data::Str(values.iter().map(text).collect()),
    };
    Tensor::new(Shape::new(&dims).unwrap(), data).unwrap()
}

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len())
        .step_by(2)
        .map(|i| u8::from_str_radix(&hex[i..i + 2], 16).expect("hexadecimal digits"))
        .collect()
}

fn near(a: f64, b: f64, tolerance: f64) -> bool {
    a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= tolerance * b.abs().max(1.0)
}

fn same(ours: &Tensor, theirs: &Tensor) -> bool {
    ours.shape() == theirs.shape()
        && match (ours.data(), theirs.data()) {
            (Data::F32(a), Data::F32(b)) => a
                .iter()
                .zip(b)
                .all(|(a, b)| near(f64::from(*a), f64::from(*b), 2e-6)),
            (Data::F64(a), Data::F64(b)) => a.iter().zip(b).all(|(a, b)| near(*a, *b, 1e-12)),
            (a, b) => a == b,
        }
}

fn case(json: &Json) -> Result<(), String> {
    let proto = read::model(&bytes(text(&json["model"]))).map_err(|e| format!("{e:?}"))?;
    let opsets = Opsets::read(&proto.opset_import).map_err(|e| format!("{e:?}"))?;
    let graph = proto.graph.ok_or("no graph")?;
    let names = |list: &[crate::onnx::proto::ValueInfoProto]| {
        list.iter().map(|v| v.name.clone()).collect::<Vec<_>>()
    };
    let (inputs, outputs) = (names(&graph.input), names(&graph.output));
    let program =
        compile::graph(graph, opsets, &inputs, &[], &outputs).map_err(|e| format!("{e:?}"))?;
    let values: Vec<Value> = list(&json["inputs"])
        .iter()
        .map(|i| Value::Tensor(tensor(i)))
        .collect();
    let mut scratch = Scratch::default();
    // Twice: the second run works on the buffers of the first.
    for _ in 0..2 {
        let mut results = Vec::new();
        program
            .run(
                values.clone().into_iter(),
                &mut scratch,
                &|| false,
                &mut results,
            )
            .map_err(|f| format!("{f:?}"))?;
        for (ours, theirs) in results.iter().zip(list(&json["outputs"])) {
            let theirs = tensor(theirs);
            let Value::Tensor(ours) = ours else {
                return Err("maps".into());
            };
            if !same(ours, &theirs) {
                return Err(format!("\n   ours {ours:?}\n theirs {theirs:?}"));
            }
        }
        results.into_iter().for_each(|v| scratch.pool.recycle(v));
    }
    Ok(())
}

#[test]
fn every_operator_computes_as_in_onnx_runtime() {
    let path = directory().join("operators.json");
    let Ok(file) = std::fs::read(&path) else {
        eprintln!(
            "SKIPPED: no {}; tests/parity/make_operators.py makes it",
            path.display()
        );
        return;
    };
    let cases: Json = serde_json::from_slice(&file).expect("JSON");
    let mut failures = String::new();
    for json in list(&cases) {
        if let Err(reason) = case(json) {
            let _ = writeln!(failures, "{}: {reason}", json["name"]);
        }
    }
    println!("{} cases", list(&cases).len());
    assert!(failures.is_empty(), "{failures}");
}
