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

fn same(ours: &Tensor, theirs: &Tensor, tolerance: f64) -> bool {
    ours.shape() == theirs.shape()
        && match (ours.data(), theirs.data()) {
            (Data::F32(a), Data::F32(b)) => a
                .iter()
                .zip(b)
                .all(|(a, b)| near(f64::from(*a), f64::from(*b), tolerance)),
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
    let loose = text(&json["name"]).contains("loose");
    let tolerance = if loose { 1e-3 } else { 1e-5 };
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
            if !same(ours, &theirs, tolerance) {
                return Err(format!("\n   ours {ours:?}\n theirs {theirs:?}"));
            }
        }
        results.into_iter().for_each(|v| scratch.pool.recycle(v));
    }
    Ok(())
}

/// A small generator of numbers: the same sequence for the same seed.
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % n.max(1) as u64) as usize
    }
}

/// Compiles a model and runs it on whatever inputs are given. Nothing here may panic.
fn exercise(model: &[u8], inputs: &[Value]) {
    let Ok(proto) = read::model(model) else {
        return;
    };
    let Ok(opsets) = Opsets::read(&proto.opset_import) else {
        return;
    };
    let Some(graph) = proto.graph else { return };
    let names = |list: &[crate::onnx::proto::ValueInfoProto]| {
        list.iter().map(|v| v.name.clone()).collect::<Vec<_>>()
    };
    let (given, outputs) = (names(&graph.input), names(&graph.output));
    let Ok(program) = compile::graph(graph, opsets, &given, &[], &outputs) else {
        return;
    };
    if program.inputs != inputs.len() {
        return;
    }
    let mut results = Vec::new();
    let _ = program.run(
        inputs.iter().cloned(),
        &mut Scratch::default(),
        &|| false,
        &mut results,
    );
}

#[test]
fn mutated_operators_and_strange_inputs_never_panic() {
    let Ok(file) = std::fs::read(directory().join("operators.json")) else {
        eprintln!("SKIPPED: no operators.json; tests/parity/generate.sh makes it");
        return;
    };
    // UMPIRE_FUZZ_CASES makes a longer run of it.
    let rounds = std::env::var("UMPIRE_FUZZ_CASES")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(5);
    let cases: Json = serde_json::from_slice(&file).expect("JSON");
    let cases: Vec<(Vec<u8>, Vec<Value>)> = list(&cases)
        .iter()
        .map(|json| {
            let inputs = list(&json["inputs"]).iter();
            let inputs = inputs.map(|i| Value::Tensor(tensor(i))).collect();
            (bytes(text(&json["model"])), inputs)
        })
        .collect();
    let all: Vec<&Value> = cases.iter().flat_map(|(_, inputs)| inputs).collect();
    let mut random = Random(0x5eed_5eed_5eed_5eed);
    for (model, inputs) in &cases {
        for _ in 0..rounds {
            let mut inputs = inputs.clone();
            let mut model = model.clone();
            if random.below(2) == 0 && !inputs.is_empty() {
                let i = random.below(inputs.len());
                inputs[i] = all[random.below(all.len())].clone();
            }
            for _ in 0..random.below(3) {
                let i = random.below(model.len());
                model[i] = random.below(256) as u8;
            }
            exercise(&model, &inputs);
        }
    }
}

#[test]
fn every_operator_computes_as_in_onnx_runtime() {
    let path = directory().join("operators.json");
    let Ok(file) = std::fs::read(&path) else {
        eprintln!(
            "SKIPPED: no {}; tests/parity/generate.sh makes it",
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
