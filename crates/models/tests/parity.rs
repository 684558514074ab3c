//! Whole models against ONNX Runtime: the scores of their rows must agree.
//!
//! A few tiny models stand in `tests/data`. Many more are made by `tests/parity/generate.sh`, which
//! needs Python, and are looked for in `target/parity`, or where `UMPIRE_PARITY_DIR` says; where
//! there are none that test says so and passes.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use models::{Model, ScoredColumn, Scores, Task};
use serde_json::Value;
use tables::{Bitmap, Column, DataType, Field, Schema, Strings, Table, Values};

/// How far a score may be off, as a part of its size and of 1.
const TOLERANCE: f64 = 1e-5;

fn directory() -> PathBuf {
    match std::env::var_os("UMPIRE_PARITY_DIR") {
        Some(given) => given.into(),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/parity"),
    }
}

fn number(value: &Value) -> f64 {
    match value {
        Value::Null => f64::NAN,
        Value::String(s) if s == "inf" => f64::INFINITY,
        Value::String(s) if s == "-inf" => f64::NEG_INFINITY,
        other => other.as_f64().expect("a number"),
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().expect("a list")
}

fn text(value: &Value) -> &str {
    value.as_str().expect("a text")
}

fn column(given: &Value, gaps_are_missing: bool) -> (Field, Arc<Column>) {
    let cells = list(&given["values"]);
    let (data_type, values) = match text(&given["type"]) {
        "float" => (
            DataType::Float,
            Values::F32(cells.iter().map(|v| number(v) as f32).collect()),
        ),
        "double" => (
            DataType::Double,
            Values::F64(cells.iter().map(number).collect()),
        ),
        "int64" => (
            DataType::Int64,
            Values::I64(cells.iter().map(|v| v.as_i64().expect("whole")).collect()),
        ),
        "bool" => (
            DataType::Boolean,
            Values::Bool(cells.iter().map(|v| v.as_bool().expect("a bool")).collect()),
        ),
        "string" => (
            DataType::String,
            Values::Str(cells.iter().map(text).collect::<Strings>()),
        ),
        other => panic!("unknown type {other}"),
    };
    let there = |v: &Value| !(gaps_are_missing && v.is_null());
    let column = Column {
        values,
        validity: (!cells.iter().all(there)).then(|| cells.iter().map(there).collect::<Bitmap>()),
    };
    (
        Field::new(text(&given["name"]), data_type),
        Arc::new(column),
    )
}

fn table(case: &Value) -> Table {
    let gaps_are_missing = case["gaps_are_missing"] == true;
    let columns = list(&case["columns"]).iter();
    let columns = columns.map(|given| column(given, gaps_are_missing));
    let (fields, columns): (Vec<_>, Vec<_>) = columns.unzip();
    Table::new(
        Arc::new(Schema::new(fields).expect("unique names")),
        columns,
    )
}

/// The largest difference, as a part of the tolerated one.
fn difference(ours: f64, theirs: f64) -> f64 {
    if ours.is_nan() && theirs.is_nan() || ours == theirs {
        return 0.0;
    }
    let d = (ours - theirs).abs() / (TOLERANCE * theirs.abs().max(1.0));
    if d.is_nan() { f64::INFINITY } else { d }
}

/// Compares one column with every `width`-th expected value from `start` on; `allowed` is how many
/// times the tolerated difference may be passed.
fn compare(
    ours: &ScoredColumn,
    theirs: &[Value],
    start: usize,
    width: usize,
    allowed: f64,
) -> Result<f64, String> {
    let expected: Vec<&Value> = theirs.iter().skip(start).step_by(width).collect();
    if ours.column.len() != expected.len() {
        return Err(format!(
            "{} rows, expected {}",
            ours.column.len(),
            expected.len()
        ));
    }
    let mut worst: f64 = 0.0;
    for (row, theirs) in expected.into_iter().enumerate() {
        match &ours.column.values {
            Values::Str(s) => {
                if s.get(row) != text(theirs) {
                    return Err(format!("row {row}: {:?}, expected {theirs}", s.get(row)));
                }
            }
            Values::I64(v) => {
                if Some(v[row]) != theirs.as_i64() {
                    return Err(format!("row {row}: {}, expected {theirs}", v[row]));
                }
            }
            Values::Bool(v) => {
                if Some(v[row]) != theirs.as_bool() {
                    return Err(format!("row {row}: {}, expected {theirs}", v[row]));
                }
            }
            _ => {
                let ours = ours.column.number(row).expect("a number");
                let d = difference(ours, number(theirs));
                if d > allowed {
                    return Err(format!("row {row}: {ours}, expected {theirs}"));
                }
                worst = worst.max(d);
            }
        }
    }
    Ok(worst)
}

fn check(scores: &Scores, output: &Value, allowed: f64) -> Result<f64, String> {
    let name = text(&output["name"]);
    let theirs = list(&output["values"]);
    let shape = list(&output["shape"]);
    let width = match shape {
        [_] => 1,
        [_, rest @ ..] => rest
            .iter()
            .map(|d| d.as_u64().expect("a size") as usize)
            .product(),
        [] => return Err("a scalar".into()),
    };
    if let Some(labels) = &scores.labels
        && labels.name == name
    {
        return compare(labels, theirs, 0, 1, allowed);
    }
    let values: Vec<&ScoredColumn> = scores
        .values
        .iter()
        .filter(|c| c.name == name || c.name.starts_with(&format!("{name}.")))
        .collect();
    let columns: Vec<&ScoredColumn> = if values.is_empty() {
        scores.probabilities.iter().collect()
    } else {
        values
    };
    if columns.len() != width {
        return Err(format!(
            "{name}: {} columns, expected {width}",
            columns.len()
        ));
    }
    let keys = output["keys"].as_array();
    let mut worst: f64 = 0.0;
    for (i, column) in columns.into_iter().enumerate() {
        let place = match keys {
            Some(keys) => keys
                .iter()
                .position(|k| text(k) == column.name)
                .ok_or_else(|| format!("{name}: no class {}", column.name))?,
            None => i,
        };
        let d = compare(column, theirs, place, width, allowed)
            .map_err(|e| format!("{name}[{i}]: {e}"))?;
        worst = worst.max(d);
    }
    Ok(worst)
}

/// Whether the model is taken for what it was trained as.
fn check_task(model: &Model, case: &Value) -> Result<(), String> {
    let task = model.task();
    let fits = match text(&case["task"]) {
        "classifier" => {
            let classes: Vec<&str> = list(&case["classes"]).iter().map(text).collect();
            if model.classes().names() != classes {
                return Err(format!(
                    "classes {:?}, expected {classes:?}",
                    model.classes()
                ));
            }
            let two = Task::BinaryClassifier;
            task == if classes.len() == 2 {
                two
            } else {
                Task::MultiClassClassifier
            }
        }
        // Of several numbers a row nothing tells that they were regressed.
        "regressor" => task == Task::Regressor || (task == Task::Other && several(case)),
        "clusterer" => task == Task::Clusterer,
        _ => task == Task::Other || task == Task::Regressor,
    };
    if fits {
        Ok(())
    } else {
        Err(format!("taken for {task:?}, is a {}", case["task"]))
    }
}

fn several(case: &Value) -> bool {
    list(&case["outputs"][0]["shape"])
        .get(1)
        .and_then(Value::as_u64)
        != Some(1)
}

fn model(folder: &Path) -> Result<f64, String> {
    let bytes = std::fs::read(folder.join("model.onnx")).map_err(|e| e.to_string())?;
    let case = std::fs::read(folder.join("case.json")).map_err(|e| e.to_string())?;
    let case: Value = serde_json::from_slice(&case).map_err(|e| e.to_string())?;
    let model = Model::load(&bytes).map_err(|f| format!("{f:?}"))?;
    check_task(&model, &case)?;
    let table = table(&case);
    let binding = model.bind(table.schema()).map_err(|e| e.to_string())?;
    let whole = model
        .score(&binding, &table, &|| false)
        .map_err(|f| format!("{f:?}"))?;
    // A few models lose more than last bits by their own arithmetic, and say how much.
    let allowed = case["tolerance"].as_f64().map_or(1.0, |t| t / TOLERANCE);
    let mut worst: f64 = 0.0;
    for output in list(&case["outputs"]) {
        worst = worst.max(check(&whole, output, allowed)?);
    }
    // One row alone takes other paths than many at once and must give the same.
    for row in [0, table.rows() / 2] {
        let one = table.take(&[row]);
        let alone = model
            .score(&binding, &one, &|| false)
            .map_err(|f| format!("{f:?}"))?;
        for (a, b) in columns(&alone).zip(columns(&whole)) {
            let same = match (&a.column.values, &b.column.values) {
                (Values::Str(x), Values::Str(y)) => x.get(0) == y.get(row),
                _ => {
                    let (x, y) = (a.column.number(0), b.column.number(row));
                    difference(x.unwrap_or(f64::NAN), y.unwrap_or(f64::NAN)) <= 0.1
                }
            };
            if !same {
                return Err(format!("row {row} alone differs in {}", a.name));
            }
        }
    }
    Ok(worst)
}

fn columns(scores: &Scores) -> impl Iterator<Item = &ScoredColumn> {
    scores
        .labels
        .iter()
        .chain(&scores.probabilities)
        .chain(&scores.values)
}

/// Checks every model of a directory; answers how many there are.
fn check_all(directory: &Path) -> Option<usize> {
    let names = std::fs::read_to_string(directory.join("models.txt")).ok()?;
    let mut report = String::new();
    let mut failures = 0;
    for name in names.lines() {
        match model(&directory.join("models").join(name)) {
            Ok(worst) => {
                let _ = writeln!(report, "{name}: {:.1e}", worst * TOLERANCE);
            }
            Err(reason) => {
                failures += 1;
                let _ = writeln!(report, "{name}: FAILED: {reason}");
            }
        }
    }
    println!("{report}");
    assert_eq!(failures, 0, "{report}");
    Some(names.lines().count())
}

#[test]
fn the_kept_models_score_as_in_onnx_runtime() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    assert_eq!(check_all(&data), Some(9));
}

#[test]
fn every_made_model_scores_as_in_onnx_runtime() {
    let directory = directory();
    if check_all(&directory).is_none() {
        eprintln!(
            "SKIPPED: no models in {}; tests/parity/generate.sh makes them",
            directory.display()
        );
    }
}
