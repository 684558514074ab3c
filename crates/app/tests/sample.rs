//! The sample model answers as ONNX Runtime does, gaps included: `sample/train.py` wrote down what
//! that gave for the sample rows.

use std::path::Path;

use serde_json::Value;
use tables::Values;

fn file(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("sample");
    std::fs::read(folder.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

#[test]
fn the_sample_model_answers_as_onnx_runtime_does() {
    let model = models::Model::load(&file("penguins.onnx")).expect("the model loads");
    let rows = tables::csv::infer(file("penguins.csv").as_slice()).expect("the rows are CSV");
    let expected: Value = serde_json::from_slice(&file("expected.json")).expect("JSON");

    let binding = model.bind(rows.schema()).expect("the columns fit");
    let scores = model
        .score(&binding, &rows, &|| false)
        .expect("the rows are scored");

    let labels = expected["labels"].as_array().expect("labels");
    assert_eq!(rows.rows(), labels.len());
    let Some(Values::Str(given)) = scores.labels.as_ref().map(|l| &l.column.values) else {
        panic!("the labels are texts");
    };
    for (row, label) in labels.iter().enumerate() {
        assert_eq!(given.get(row), label.as_str().expect("a text"), "row {row}");
    }

    let classes: Vec<&str> = scores
        .probabilities
        .iter()
        .map(|column| column.name.as_str())
        .collect();
    assert_eq!(serde_json::json!(classes), expected["classes"]);
    for row in 0..labels.len() {
        for (class, column) in scores.probabilities.iter().enumerate() {
            let ours = column.column.number(row).expect("a probability");
            let theirs = expected["probabilities"][row][class]
                .as_f64()
                .expect("a number");
            assert!(
                (ours - theirs).abs() < 1e-6,
                "row {row}, {}: {ours} and {theirs}",
                column.name
            );
        }
    }
}
