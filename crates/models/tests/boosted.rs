//! Models of LightGBM and XGBoost against what the libraries themselves predict, bit for bit.
//!
//! A few small ones stand in `tests/data`. Many more, with 1,000 rows each, are made by
//! `tests/parity/generate.sh`, which needs Python, and are looked for in `target/parity`, or where
//! `UMPIRE_PARITY_DIR` says; where there are none that test says so and passes.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use models::{Element, Model, Scores, Task};
use serde_json::Value;
use tables::{Column, DataType, Field, Schema, Table, Values};

fn directory() -> PathBuf {
    match std::env::var_os("UMPIRE_PARITY_DIR") {
        Some(given) => given.into(),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/parity"),
    }
}

fn doubles(path: &Path) -> Result<Vec<f64>, String> {
    let bytes = std::fs::read(path).map_err(|e| format!("{}: {e}", path.display()))?;
    let mut out = Vec::with_capacity(bytes.len() / 8);
    for chunk in bytes.chunks_exact(8) {
        out.push(f64::from_le_bytes(chunk.try_into().expect("eight bytes")));
    }
    Ok(out)
}

/// The rows as a table of the model's columns, in another order: names must find them.
fn table(model: &Model, rows: &[f64], width: usize) -> Table {
    let mut fields = Vec::new();
    let mut columns = Vec::new();
    for (c, input) in model.inputs().iter().enumerate().rev() {
        let cells = rows.iter().skip(c).step_by(width).copied();
        // What LightGBM computes in doubles a client gives as doubles. Codes have gaps and odd
        // values among these rows, which a column of whole numbers cannot hold.
        let (data_type, values) = if input.element == Element::F32 {
            (
                DataType::Float,
                Values::F32(cells.map(|v| v as f32).collect()),
            )
        } else {
            (DataType::Double, Values::F64(cells.collect()))
        };
        fields.push(Field::new(&input.name, data_type));
        columns.push(Arc::new(Column::new(values)));
    }
    Table::new(
        Arc::new(Schema::new(fields).expect("unique names")),
        columns,
    )
}

/// The numbers that the library's `predict` gives, row by row, out of ours.
fn predictions(scores: &Scores, task: &str) -> Result<Vec<Vec<f64>>, String> {
    let column = |column: &models::ScoredColumn| {
        let column = &column.column;
        (0..column.len())
            .map(|row| column.number(row).unwrap_or(f64::NAN))
            .collect::<Vec<f64>>()
    };
    Ok(match task {
        "values" => scores.values.iter().map(column).collect(),
        "classes" => scores.probabilities.iter().map(column).collect(),
        // The libraries give the probability of the second class alone.
        "binary" => scores.probabilities.iter().skip(1).map(column).collect(),
        "label" => scores.labels.iter().map(column).collect(),
        other => return Err(format!("unknown task {other}")),
    })
}

/// Whether the label is the class that the probabilities say.
fn check_labels(scores: &Scores) -> Result<(), String> {
    let (Some(labels), false) = (&scores.labels, scores.probabilities.is_empty()) else {
        return Ok(());
    };
    for row in 0..labels.column.len() {
        let p: Vec<f64> = scores
            .probabilities
            .iter()
            .map(|c| c.column.number(row).unwrap_or(f64::NAN))
            .collect();
        let label = labels.column.number(row).unwrap_or(f64::NAN);
        let chosen = p.get(label as usize).copied().unwrap_or(f64::NAN);
        if p.iter().any(|&other| other > chosen) || chosen.is_nan() {
            return Err(format!("row {row}: label {label} with probabilities {p:?}"));
        }
    }
    Ok(())
}

fn check(folder: &Path) -> Result<(), String> {
    let case = std::fs::read(folder.join("case.json")).map_err(|e| e.to_string())?;
    let case: Value = serde_json::from_slice(&case).map_err(|e| e.to_string())?;
    let text = |name: &str| case[name].as_str().unwrap_or_default();
    let size = |name: &str| case[name].as_u64().unwrap_or_default() as usize;
    let bytes = std::fs::read(folder.join(text("model"))).map_err(|e| e.to_string())?;
    let model = Model::load(&bytes).map_err(|f| format!("{f:?}"))?;
    let (width, outputs) = (size("width"), size("outputs"));
    if model.inputs().len() != width {
        return Err(format!("{} inputs of {width}", model.inputs().len()));
    }
    let fits = match (text("task"), model.task()) {
        ("values", Task::Regressor) => outputs == 1,
        ("values", Task::Other) => outputs > 1,
        ("binary", Task::BinaryClassifier) | ("classes", Task::MultiClassClassifier) => true,
        ("label", Task::BinaryClassifier | Task::MultiClassClassifier) => true,
        _ => false,
    };
    if !fits {
        return Err(format!("taken for {:?}", model.task()));
    }
    let rows = doubles(&folder.join("rows.bin"))?;
    let expected = doubles(&folder.join("expected.bin"))?;
    let table = table(&model, &rows, width);
    let binding = model.bind(table.schema()).map_err(|e| e.to_string())?;
    let scores = model
        .score(&binding, &table, &|| false)
        .map_err(|f| format!("{f:?}"))?;
    check_labels(&scores)?;
    let ours = predictions(&scores, text("task"))?;
    if ours.len() != outputs || ours.iter().any(|c| c.len() * outputs != expected.len()) {
        return Err(format!("{} columns, expected {outputs}", ours.len()));
    }
    let mut wrong = 0;
    let mut first = String::new();
    for (i, theirs) in expected.iter().enumerate() {
        let own = ours[i % outputs][i / outputs];
        if own.to_bits() != theirs.to_bits() {
            wrong += 1;
            if first.is_empty() {
                let row = &rows[i / outputs * width..][..width];
                first = format!(
                    "row {}: {own:e}, expected {theirs:e}, for {row:?}",
                    i / outputs
                );
            }
        }
    }
    if wrong > 0 {
        return Err(format!("{wrong} of {} differ; {first}", expected.len()));
    }
    // One row alone takes other paths than many at once and must give the same.
    for row in [0, table.rows() / 2, table.rows() - 1] {
        let alone = model
            .score(&binding, &table.take(&[row]), &|| false)
            .map_err(|f| format!("{f:?}"))?;
        for (alone, all) in predictions(&alone, text("task"))?.iter().zip(&ours) {
            if alone[0].to_bits() != all[row].to_bits() {
                return Err(format!("row {row} alone is {}, not {}", alone[0], all[row]));
            }
        }
    }
    Ok(())
}

/// Checks every model of a directory; answers how many there are.
fn check_all(directory: &Path) -> Option<usize> {
    let names = std::fs::read_to_string(directory.join("boosted.txt")).ok()?;
    let mut report = String::new();
    for name in names.lines() {
        if let Err(reason) = check(&directory.join("boosted").join(name)) {
            let _ = writeln!(report, "{name}: {reason}");
        }
    }
    assert!(report.is_empty(), "{report}");
    Some(names.lines().count())
}

#[test]
fn the_kept_models_score_as_their_libraries_do() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    assert_eq!(check_all(&data), Some(6));
}

#[test]
fn every_made_model_scores_as_its_library_does() {
    let directory = directory();
    match check_all(&directory) {
        Some(count) => println!("{count} models, bit for bit"),
        None => eprintln!(
            "SKIPPED: no boosted models in {}; tests/parity/generate.sh makes them",
            directory.display()
        ),
    }
}
