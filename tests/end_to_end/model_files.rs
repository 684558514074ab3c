//! Models in the formats of LightGBM and XGBoost: deployed by the command line, told by their
//! content, and scored over HTTP to the last bit of what the libraries predict.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use crate::command_line::{client, done};
use crate::support::{Request, Server, Setup};

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

/// A call of many rows, and the columns of its answer with their names.
fn scored(
    server: &Server,
    name: &str,
    columns: &[String],
    rows: Vec<Vec<Value>>,
) -> Vec<(String, Vec<Value>)> {
    let service = server.service(name);
    let target = format!("{}?api-version=2.0&details=true", service.path());
    let reply = Request::new("POST", &target)
        .bearer(&service.primary)
        .json(&json!({"Inputs": {"input1": {"ColumnNames": columns, "Values": rows}}}))
        .send(server.address);
    assert_eq!(reply.status, 200, "{name}: {}", reply.text());
    let reply = reply.json();
    let table = &reply["Results"]["output1"]["value"];
    let names = table["ColumnNames"].as_array().expect("names");
    let values = table["Values"].as_array().expect("rows");
    let column = |(i, name): (usize, &Value)| {
        let cells = values.iter().map(|row| row[i].clone()).collect();
        (name.as_str().expect("a name").to_owned(), cells)
    };
    names.iter().enumerate().map(column).collect()
}

/// Deploys the model of a folder as `file` and compares the rows that its columns can hold.
fn check(server: &Server, folder: &Path, file: &Path) {
    let name = folder.file_name().unwrap().to_str().unwrap();
    let case = std::fs::read(folder.join("case.json")).expect("a case");
    let case: Value = serde_json::from_slice(&case).unwrap();
    std::fs::copy(folder.join(case["model"].as_str().unwrap()), file).unwrap();
    let specs = deployed(server, name, file, None);
    let columns: Vec<String> = specs.keys().cloned().collect();
    let outputs = case["outputs"].as_u64().unwrap() as usize;
    let names: Vec<String> = match case["task"].as_str().unwrap() {
        // The model's own names, with numbers; they come after the inputs.
        "values" if outputs > 1 => Vec::new(),
        "classes" => (0..outputs)
            .map(|class| format!("Scored Probabilities for Class \"{class}\""))
            .collect(),
        "binary" => vec!["Scored Probabilities".to_owned()],
        _ => vec!["Scored Labels".to_owned()],
    };
    let rows = doubles(&folder.join("rows.bin"));
    let expected = doubles(&folder.join("expected.bin"));
    let (mut given, mut wanted) = (Vec::new(), Vec::new());
    for (row, theirs) in rows.chunks(columns.len()).zip(expected.chunks(outputs)) {
        let cells = specs.values().zip(row);
        let cells: Option<Vec<Value>> = cells.map(|(spec, &number)| cell(number, spec)).collect();
        if let Some(cells) = cells {
            given.push(cells);
            wanted.push(theirs);
        }
    }
    assert!(given.len() >= 5, "{name}: {} rows to compare", given.len());
    let found = scored(server, name, &columns, given);
    let chosen: Vec<_> = match names.is_empty() {
        true => found[columns.len()..].iter().collect(),
        false => names.iter().map(|name| named(&found, name)).collect(),
    };
    assert_eq!(chosen.len(), outputs, "{name}");
    for (i, (column, cells)) in chosen.into_iter().enumerate() {
        for (row, (own, theirs)) in cells.iter().zip(&wanted).enumerate() {
            let text = own.as_str().unwrap_or_default();
            // XGBoost's numbers are of single precision, and so are the digits.
            let own = if name.starts_with("xgboost") {
                text.parse::<f32>().map(f64::from)
            } else {
                text.parse::<f64>()
            };
            let same = own.is_ok_and(|own| own == theirs[i] || own.is_nan() && theirs[i].is_nan());
            assert!(
                same,
                "{name}, {column}, row {row}: {text}, not {}",
                theirs[i]
            );
        }
    }
}

/// The column of that name.
fn named<'a>(found: &'a [(String, Vec<Value>)], name: &str) -> &'a (String, Vec<Value>) {
    let column = found.iter().find(|(own, _)| own == name);
    column.unwrap_or_else(|| panic!("no column {name}"))
}

/// A number as the cases of ONNX models have it.
fn number(value: &Value) -> f64 {
    match value {
        Value::Null => f64::NAN,
        Value::String(s) if s == "inf" => f64::INFINITY,
        Value::String(s) if s == "-inf" => f64::NEG_INFINITY,
        other => other.as_f64().expect("a number"),
    }
}

/// A column as it must be answered: its name, and what it holds.
type Expected = (String, Vec<Value>);

/// The columns that Score Model makes of what ONNX Runtime gave, where the case tells their names.
fn expected(case: &Value, count: usize) -> Vec<Expected> {
    let classes = case["classes"].as_array();
    let mut expected = Vec::new();
    for (i, output) in case["outputs"]
        .as_array()
        .expect("outputs")
        .iter()
        .enumerate()
    {
        let values = output["values"].as_array().expect("values");
        // One value a row, whatever the axes of size 1 around them.
        let width = values.len() / count;
        let column = |c: usize| values.iter().skip(c).step_by(width).cloned().collect();
        match (case["task"].as_str().expect("a task"), classes) {
            ("classifier", Some(classes)) if i == 0 => {
                expected.push(("Scored Labels".to_owned(), column(0)));
                assert!(classes.len() > 1);
            }
            ("classifier", Some(classes)) if i == 1 && width == classes.len() => {
                let place = |class: &Value| match output["keys"].as_array() {
                    Some(keys) => keys.iter().position(|key| key == class).expect("a class"),
                    None => classes.iter().position(|c| c == class).expect("a class"),
                };
                if let [_, positive] = &classes[..] {
                    expected.push(("Scored Probabilities".to_owned(), column(place(positive))));
                    continue;
                }
                for class in classes {
                    let name = class.as_str().expect("a text");
                    let name = format!("Scored Probabilities for Class \"{name}\"");
                    expected.push((name, column(place(class))));
                }
            }
            ("regressor", _) if width == 1 => {
                expected.push(("Scored Labels".to_owned(), column(0)));
            }
            ("clusterer", _) if i == 0 => expected.push(("Assignments".to_owned(), column(0))),
            _ if width == 1 => {
                expected.push((
                    output["name"].as_str().expect("a name").to_owned(),
                    column(0),
                ));
            }
            _ => expected.extend((0..width).map(|c| {
                let name = output["name"].as_str().expect("a name");
                (format!("{name}.{}", c + 1), column(c))
            })),
        }
    }
    expected
}

/// Deploys an ONNX model of the zoo and compares every row with what ONNX Runtime gave.
fn check_onnx(server: &Server, folder: &Path, scratch: &Path) {
    let name = folder.file_name().unwrap().to_str().unwrap();
    let case = std::fs::read(folder.join("case.json")).expect("a case");
    let case: Value = serde_json::from_slice(&case).unwrap();
    let given = case["columns"].as_array().expect("columns");
    // Of a map without known keys the file does not tell how many there are.
    let sample = (name == "cast_map_dense").then(|| scratch.join("sample.csv"));
    if let Some(sample) = &sample {
        let row = |what: &dyn Fn(&Value) -> String| {
            let cells: Vec<String> = given.iter().map(what).collect();
            cells.join(",")
        };
        let names = row(&|column| column["name"].as_str().unwrap().to_owned());
        let values = row(&|column| column["values"][0].to_string());
        std::fs::write(sample, format!("{names}\n{values}\n")).unwrap();
    }
    let specs = deployed(server, name, &folder.join("model.onnx"), sample.as_deref());
    let plain = |name: &str| name.replace(|c: char| !c.is_alphanumeric(), "_");
    // A model of one matrix has no names for its columns.
    let position = |(i, name): (usize, &String)| {
        let own = |column: &Value| plain(column["name"].as_str().unwrap()) == plain(name);
        given.iter().position(own).unwrap_or(i)
    };
    let columns: Vec<String> = specs.keys().cloned().collect();
    let positions: Vec<usize> = columns.iter().enumerate().map(position).collect();
    assert_eq!(positions.len(), given.len(), "{name}");
    let gaps_are_missing = case["gaps_are_missing"] == true;
    let count = given[0]["values"].as_array().expect("values").len();
    let row = |row: usize| {
        let cell = |&position: &usize| match &given[position]["values"][row] {
            Value::Null if gaps_are_missing => Value::Null,
            Value::Null => json!("NaN"),
            other => other.clone(),
        };
        positions.iter().map(cell).collect()
    };
    let found = scored(server, name, &columns, (0..count).map(row).collect());
    let tolerance = case["tolerance"].as_f64().unwrap_or(1e-5);
    for (column, theirs) in expected(&case, count) {
        let (_, ours) = named(&found, &column);
        assert_eq!(ours.len(), theirs.len(), "{name}, {column}");
        for (row, (own, theirs)) in ours.iter().zip(&theirs).enumerate() {
            let text = own.as_str().unwrap_or_default();
            let same = match theirs {
                Value::String(s) if s != "inf" && s != "-inf" => text == s,
                Value::Bool(b) => text == if *b { "True" } else { "False" },
                Value::Number(n) if n.is_i64() => text == n.to_string(),
                other => {
                    let (own, theirs) = (text.parse().unwrap_or(f64::NAN), number(other));
                    let near = (own - theirs).abs() <= tolerance * theirs.abs().max(1.0);
                    own == theirs || near || own.is_nan() && theirs.is_nan()
                }
            };
            assert!(same, "{name}, {column}, row {row}: {text}, not {theirs}");
        }
    }
}

/// The zoo that `tests/parity/generate.sh` makes.
fn zoo() -> PathBuf {
    match std::env::var_os("UMPIRE_PARITY_DIR") {
        Some(given) => given.into(),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/parity"),
    }
}

#[test]
fn the_zoo_is_served_as_its_libraries_score() {
    let dir = tempfile::tempdir().unwrap();
    let server = Setup::default().config("[containers]\nslots = 4").start();
    // All of them in a long run; else a third, every model of a kind next to another.
    let step = if std::env::var_os("UMPIRE_TEST_FULL").is_some() {
        1
    } else {
        3
    };
    let mut checked = 0;
    for (list, folder) in [("models.txt", "models"), ("boosted.txt", "boosted")] {
        let Ok(names) = std::fs::read_to_string(zoo().join(list)) else {
            println!("SKIPPED: no {list} in {}", zoo().display());
            continue;
        };
        for name in names.lines().step_by(step) {
            let model = zoo().join(folder).join(name);
            match folder {
                "models" => check_onnx(&server, &model, dir.path()),
                _ => check(&server, &model, &dir.path().join(name)),
            }
            done(&client(&server, &["delete", name]));
            checked += 1;
        }
    }
    println!("{checked} models served");
}

/// Deploys a model file and answers the columns of its input.
fn deployed(server: &Server, name: &str, file: &Path, sample: Option<&Path>) -> Map<String, Value> {
    let mut arguments = vec!["deploy", file.to_str().unwrap(), "--name", name, "--json"];
    if let Some(sample) = sample {
        arguments.extend(["--sample", sample.to_str().unwrap()]);
    }
    let deployed: Value = serde_json::from_str(&done(&client(server, &arguments))).unwrap();
    let columns = deployed["inputs"]["input1"]["properties"].as_object();
    columns.expect("columns").clone()
}

#[test]
fn models_of_lightgbm_and_xgboost_are_served_to_the_last_bit() {
    let server = Server::start();
    let dir = tempfile::tempdir().unwrap();
    // Neither the name nor its end says what a file is, but for a package's.
    check(
        &server,
        &kept().join("lightgbm_codes"),
        &dir.path().join("codes.txt"),
    );
    check(
        &server,
        &kept().join("lightgbm_multiclass"),
        &dir.path().join("classes.bin"),
    );
    check(
        &server,
        &kept().join("xgboost_softprob"),
        &dir.path().join("softprob"),
    );
    check(
        &server,
        &kept().join("xgboost_old_base"),
        &dir.path().join("old.json"),
    );
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
