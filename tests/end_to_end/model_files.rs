//! Models in the formats of LightGBM and XGBoost: deployed by the command line, told by their
//! content, and scored over HTTP to the last bit of what the libraries predict.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use crate::command_line::{client, done};
use crate::support::{Request, Server};

fn kept() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/tests/data/boosted")
}

fn doubles(path: &Path) -> Vec<f64> {
    let bytes = std::fs::read(path).expect("a kept file");
    let numbers = bytes.chunks_exact(8);
    numbers
        .map(|chunk| f64::from_le_bytes(chunk.try_into().expect("eight bytes")))
        .collect()
}

/// A cell of a request, or none where its column cannot hold the number.
fn cell(number: f64, spec: &Value) -> Option<Value> {
    let whole = spec["type"] == "integer" || spec["type"] == "Integer";
    if number.is_nan() {
        return (spec["x-ms-isnullable"] == true).then_some(Value::Null);
    }
    if whole {
        return (number.fract() == 0.0 && number.abs() < 1e9).then(|| json!(number as i64));
    }
    if number.is_infinite() {
        return Some(json!(if number > 0.0 {
            "Infinity"
        } else {
            "-Infinity"
        }));
    }
    // Text keeps the sign of a zero.
    Some(json!(format!("{number:?}")))
}

/// Deploys a kept model as `file` and compares each row that its columns can hold.
fn check(server: &Server, name: &str, file: &Path) {
    let folder = kept().join(name);
    let case = std::fs::read(folder.join("case.json")).expect("a kept file");
    let case: Value = serde_json::from_slice(&case).unwrap();
    std::fs::copy(folder.join(case["model"].as_str().unwrap()), file).unwrap();
    let arguments = ["deploy", file.to_str().unwrap(), "--name", name, "--json"];
    let deployed: Value = serde_json::from_str(&done(&client(server, &arguments))).unwrap();
    let columns: &Map<String, Value> = deployed["inputs"]["input1"]["properties"]
        .as_object()
        .unwrap();
    let outputs = case["outputs"].as_u64().unwrap() as usize;
    let scored: Vec<String> = match case["task"].as_str().unwrap() {
        "classes" => (0..outputs)
            .map(|class| format!("Scored Probabilities for Class \"{class}\""))
            .collect(),
        "binary" => vec!["Scored Probabilities".to_owned()],
        _ => vec!["Scored Labels".to_owned()],
    };
    let service = server.service(name);
    let rows = doubles(&folder.join("rows.bin"));
    let expected = doubles(&folder.join("expected.bin"));
    let mut compared = 0;
    let (rows, expected) = (rows.chunks(columns.len()), expected.chunks(outputs));
    for (row, theirs) in rows.zip(expected) {
        let cells: Option<Map<String, Value>> = columns
            .iter()
            .zip(row)
            .map(|((name, spec), &number)| Some((name.clone(), cell(number, spec)?)))
            .collect();
        let Some(cells) = cells else { continue };
        let target = format!("{}?api-version=2.0&format=swagger", service.path());
        let reply = Request::new("POST", &target)
            .bearer(&service.primary)
            .json(&json!({"Inputs": {"input1": [cells]}}))
            .send(server.address);
        assert_eq!(reply.status, 200, "{name}: {}", reply.text());
        let reply = reply.json();
        let ours = &reply["Results"]["output1"][0];
        for (column, &theirs) in scored.iter().zip(theirs) {
            let text = ours[column].as_str().unwrap_or_default();
            // XGBoost's numbers are of single precision, and so are the digits.
            let own = if name.starts_with("xgboost") {
                text.parse::<f32>().map(f64::from)
            } else {
                text.parse::<f64>()
            };
            assert_eq!(own.ok(), Some(theirs), "{name}, {column}: {reply}");
        }
        compared += 1;
    }
    assert!(compared >= 5, "{name}: {compared} rows compared");
}

#[test]
fn models_of_lightgbm_and_xgboost_are_served_to_the_last_bit() {
    let server = Server::start();
    let dir = tempfile::tempdir().unwrap();
    // Neither the name nor its end says what a file is, but for a package's.
    check(&server, "lightgbm_codes", &dir.path().join("codes.txt"));
    check(
        &server,
        "lightgbm_multiclass",
        &dir.path().join("classes.bin"),
    );
    check(&server, "xgboost_softprob", &dir.path().join("softprob"));
    check(&server, "xgboost_old_base", &dir.path().join("old.json"));
}

#[test]
fn a_broken_model_says_what_is_wrong_and_a_refused_one_what_is_lacking() {
    let server = Server::start();
    let dir = tempfile::tempdir().unwrap();
    let kept = std::fs::read_to_string(kept().join("lightgbm_codes/model.txt")).unwrap();
    let file = dir.path().join("model.txt");
    let deploy = |text: &str| {
        std::fs::write(&file, text).unwrap();
        let arguments = ["deploy", file.to_str().unwrap(), "--name", "model"];
        let output = client(&server, &arguments);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let cut = deploy(&kept[..kept.len() / 2]);
    let broken = "not a valid LightGBM text model: the file ends before";
    assert!(
        cut.contains("ModelPackageFormatError") && cut.contains(broken),
        "{cut}"
    );
    let linear = deploy(&kept.replacen("is_linear=0", "is_linear=1", 1));
    assert!(
        linear.contains("WebServicePackageError.RuntimesError")
            && linear.contains("LightGBM's linear trees (is_linear=1)"),
        "{linear}"
    );
}
