//! Whole graphs: packages made for models and by hand, compiled and run.

#![allow(clippy::unwrap_used)]

#[allow(dead_code, missing_docs, clippy::pedantic)]
#[path = "../../../tests/support/onnx.rs"]
mod onnx;

use faults::rows::{Conflict, RequestTimeout, WebServicePackageError};
use faults::{Class, Fault};
use graph::{Package, Plan, Resource};
use modules::{Nullable, PackageOptions, package_from_model, registry};
use onnx::{Attribute, Model, Node, Port, Tensor};
use serde_json::{Value, json};
use tables::request::decode;
use tables::{DataType, Limits, Table};

const ML: &str = "ai.onnx.ml";

/// Compiles a definition; each resource is asked for by its asset id.
fn compile(definition: &Value, resources: &[(&str, &[u8])]) -> Result<Plan, Fault> {
    let package = Package::from_json(definition)?;
    Plan::validate(&package, &registry())?;
    Plan::compile(&package, &registry(), &mut |asset| {
        let (_, bytes) = resources.iter().find(|(id, _)| *id == asset).unwrap();
        Ok(Resource::from(bytes.to_vec()))
    })
}

/// Runs a plan on `{"ColumnNames":[...],"Values":[...]}` for `input1`.
fn run(plan: &Plan, input: Value, parameters: Value) -> Result<Table, Fault> {
    let body = json!({"Inputs": {"input1": input}, "GlobalParameters": parameters});
    let body = serde_json::to_vec(&body).unwrap();
    let limits = Limits::default();
    let (tables, parameters) =
        decode(&body, plan.ports(), &limits, |given| plan.parameters(given))?;
    let mut outputs = plan.run(tables, &parameters, &|| false)?;
    Ok(outputs.remove(0))
}

/// The rows as texts; `-` where a value is missing.
fn rows(table: &Table) -> Vec<Vec<String>> {
    (0..table.rows())
        .map(|row| {
            let columns = table.schema().fields().iter().zip(table.columns());
            columns
                .map(|(field, column)| {
                    let mut cell = Vec::new();
                    match tables::text::write_cell(column, field.data_type, row, &mut cell) {
                        true => String::from_utf8(cell).unwrap(),
                        false => "-".to_owned(),
                    }
                })
                .collect()
        })
        .collect()
}

fn names(table: &Table) -> Vec<&str> {
    table.schema().names().collect()
}

fn csv(text: &str) -> Table {
    tables::csv::infer(text.as_bytes()).unwrap()
}

/// Makes a package for a model and checks that what comes out is what it declares.
fn deployed(model: &[u8], sample: Option<&Table>, options: &PackageOptions) -> (Value, Plan) {
    let definition = package_from_model(model, sample, options).unwrap();
    let plan = compile(&definition, &[("asset2", model)]).unwrap();
    (definition, plan)
}

/// The columns of a port: name, type, format, nullable.
fn columns(definition: &Value, port: &str, name: &str) -> Vec<(String, String, bool)> {
    let columns = definition["properties"][port]["properties"][name]["properties"].as_object();
    columns
        .unwrap()
        .iter()
        .map(|(name, spec)| {
            let type_ = match spec["format"].as_str() {
                Some(format) => format!("{}/{format}", spec["type"].as_str().unwrap()),
                None => spec["type"].as_str().unwrap().to_owned(),
            };
            (
                name.clone(),
                type_,
                spec["x-ms-isnullable"].as_bool().unwrap(),
            )
        })
        .collect()
}

fn column(name: &str, type_: &str, nullable: bool) -> (String, String, bool) {
    (name.to_owned(), type_.to_owned(), nullable)
}

/// A linear classifier of `x` [N, k] floats with text classes.
fn classifier(classes: &[&str], columns: usize) -> Vec<u8> {
    let weights: Vec<f32> = (0..classes.len() * columns)
        .map(|i| i as f32 * 0.5)
        .collect();
    Model {
        nodes: vec![
            Node::new(ML, "LinearClassifier", &["x"], &["label", "probabilities"])
                .with("coefficients", Attribute::Floats(weights))
                .with("intercepts", Attribute::Floats(vec![0.0; classes.len()]))
                .with("multi_class", Attribute::Int(1))
                .with("post_transform", Attribute::Text("SOFTMAX".into()))
                .with(
                    "classlabels_strings",
                    Attribute::Strings(classes.iter().map(|c| (*c).to_owned()).collect()),
                ),
        ],
        inputs: vec![Port("x".into(), 1, columns as i64)],
        outputs: vec![
            Port("label".into(), 8, 1),
            Port("probabilities".into(), 1, classes.len() as i64),
        ],
        constants: vec![],
    }
    .encode()
}

/// `age` + 10·`education_num`, from two inputs of one column, after an optional imputer (5).
fn two_inputs(imputer: bool) -> Vec<u8> {
    let mut nodes = vec![
        Node::new("", "Concat", &["age", "education_num"], &["both"])
            .with("axis", Attribute::Int(1)),
    ];
    if imputer {
        nodes.push(
            Node::new(ML, "Imputer", &["both"], &["filled"])
                .with("imputed_value_floats", Attribute::Floats(vec![5.0, 5.0]))
                .with("replaced_value_float", Attribute::Float(f32::NAN)),
        );
    }
    let from = if imputer { "filled" } else { "both" };
    nodes.push(
        Node::new(ML, "LinearRegressor", &[from], &["variable"])
            .with("coefficients", Attribute::Floats(vec![1.0, 10.0]))
            .with("intercepts", Attribute::Floats(vec![0.0])),
    );
    Model {
        nodes,
        inputs: vec![Port("age".into(), 1, 1), Port("education_num".into(), 1, 1)],
        outputs: vec![Port("variable".into(), 1, 1)],
        constants: vec![],
    }
    .encode()
}

/// A model that looks `x` up in a list of three, and fails for any other position.
fn lookup() -> Vec<u8> {
    Model {
        nodes: vec![
            Node::new("", "Cast", &["x"], &["i"]).with("to", Attribute::Int(7)),
            Node::new("", "Gather", &["list", "i"], &["variable"]),
        ],
        inputs: vec![Port("x".into(), 1, 1)],
        outputs: vec![Port("variable".into(), 1, 1)],
        constants: vec![Tensor::f32("list", &[3], vec![10.0, 20.0, 30.0])],
    }
    .encode()
}

fn options() -> PackageOptions {
    PackageOptions {
        title: "Test".to_owned(),
        model_uri: "https://example.org/model.onnx".to_owned(),
        ..PackageOptions::default()
    }
}

#[test]
fn a_model_that_takes_a_map_has_a_column_for_each_key() {
    let model = include_bytes!("../../models/tests/data/models/maps/model.onnx");
    let (definition, plan) = deployed(model, None, &options());
    let input = ["age", "city=Oslo", "hours"].map(|key| column(key, "Number/Float", true));
    assert_eq!(columns(&definition, "input", "input1"), input);
    let names = ["hours", "age", "city=Oslo"];
    let request = json!({"ColumnNames": names, "Values": [[1, 2, 0], [1, 2, null]]});
    let scored = run(&plan, request, json!({})).unwrap();
    let rows = rows(&scored);
    assert_eq!(rows[0].last(), rows[1].last());
}

#[test]
fn a_regressor_without_a_sample() {
    let (definition, plan) = deployed(&onnx::linear(&[1.0, 2.0], 0.5), None, &options());
    let input = [
        column("Column1", "Number/Float", false),
        column("Column2", "Number/Float", false),
    ];
    assert_eq!(columns(&definition, "input", "input1"), input);
    let mut output = input.to_vec();
    output.push(column("Scored Labels", "Number/Float", false));
    assert_eq!(columns(&definition, "output", "output1"), output);
    assert!(definition["properties"].get("exampleRequest").is_none());
    let request = json!({"ColumnNames": ["Column2", "Column1"], "Values": [[0.25, "1"], [-1, 2]]});
    let scored = run(&plan, request, json!({})).unwrap();
    assert_eq!(names(&scored), ["Column1", "Column2", "Scored Labels"]);
    assert_eq!(rows(&scored), [["1", "0.25", "2"], ["2", "-1", "0.5"]]);
    assert!(plan.row_wise());
}

#[test]
fn a_binary_classifier_gives_label_and_positive_probability() {
    let (definition, plan) = deployed(&classifier(&["no", "yes"], 1), None, &options());
    assert_eq!(
        columns(&definition, "output", "output1")[1..],
        [
            column("Scored Labels", "String", false),
            column("Scored Probabilities", "Number/Float", false),
        ]
    );
    let request = json!({"ColumnNames": ["x"], "Values": [[0], [100]]});
    let scored = run(&plan, request, json!({})).unwrap();
    assert_eq!(rows(&scored)[0][2], "0.5");
    assert_eq!(rows(&scored)[1], ["100", "yes", "1"]);
}

#[test]
fn a_classifier_of_more_classes_gives_a_probability_for_each() {
    let (definition, plan) = deployed(&classifier(&["a", "b", "c"], 2), None, &options());
    let output = columns(&definition, "output", "output1");
    let output: Vec<&str> = output.iter().map(|(name, ..)| name.as_str()).collect();
    let expected = [
        "Column1",
        "Column2",
        "Scored Probabilities for Class \"a\"",
        "Scored Probabilities for Class \"b\"",
        "Scored Probabilities for Class \"c\"",
        "Scored Labels",
    ];
    assert_eq!(output, expected);
    let request = json!({"ColumnNames": ["Column1", "Column2"], "Values": [[1, 1]]});
    let scored = run(&plan, request, json!({})).unwrap();
    assert_eq!(names(&scored), expected);
    assert_eq!(rows(&scored)[0][5], "c");
}

#[test]
fn a_sample_gives_names_types_gaps_and_the_example() {
    let sample = csv("id,education-num,income,age\n7,9,<=50K,39.5\n8,,>50K,50\n9,13,>50K,38\n");
    let (definition, plan) = deployed(&two_inputs(true), Some(&sample), &options());
    assert_eq!(
        columns(&definition, "output", "output1"),
        [
            column("education-num", "Number/Double", true),
            // The leading imputer takes missing values.
            column("age", "Number/Double", true),
            column("Scored Labels", "Number/Float", false),
        ]
    );
    assert_eq!(
        definition["properties"]["exampleRequest"],
        json!({"inputs": {"input1": [[9, 39.5], [null, 50], [13, 38]]}, "globalParameters": {}})
    );
    assert_eq!(definition["properties"]["exposeSampleData"], false);
    let request =
        json!({"ColumnNames": ["age", "education-num"], "Values": [[1, 2], [null, 2], ["", null]]});
    let scored = run(&plan, request, json!({})).unwrap();
    assert_eq!(
        rows(&scored),
        [["2", "1", "21"], ["2", "-", "25"], ["-", "-", "55"]]
    );
}

#[test]
fn options_stand_in_the_package() {
    let options = PackageOptions {
        description: "About".to_owned(),
        location: "West Europe".to_owned(),
        nullable: Nullable::Columns(vec!["age".to_owned()]),
        max_concurrent_calls: Some(7),
        expose_sample_data: true,
        ..options()
    };
    let (definition, _) = deployed(&two_inputs(false), None, &options);
    let package = Package::from_json(&definition).unwrap();
    assert_eq!(
        (package.title.as_str(), package.description.as_str()),
        ("Test", "About")
    );
    assert_eq!(package.max_concurrent_calls, Some(7));
    assert!(package.expose_sample_data);
    let input = &package.inputs[0].schema;
    let nullable: Vec<bool> = input.fields().iter().map(|field| field.nullable).collect();
    assert_eq!(nullable, [true, false]);
    assert_eq!(definition["location"], "West Europe");
    assert_eq!(
        definition["properties"]["assets"]["asset2"]["name"],
        "Test [trained model]"
    );
    let options = PackageOptions {
        nullable: Nullable::All,
        ..options
    };
    let (definition, _) = deployed(&two_inputs(false), None, &options);
    assert!(
        columns(&definition, "input", "input1")
            .iter()
            .all(|(.., nullable)| *nullable)
    );
}

#[test]
fn a_sample_that_does_not_fit_is_refused_by_name() {
    let two = two_inputs(false);
    let refuse = |model: &[u8], sample: &str, options: &PackageOptions| {
        let fault = package_from_model(model, Some(&csv(sample)), options).unwrap_err();
        assert!(
            fault.is(&WebServicePackageError::ValidationError),
            "{fault:?}"
        );
        fault.details()[0].args[0].clone()
    };
    let problem = refuse(&two, "age\n1\n", &options());
    assert!(problem.contains("\"education_num\""), "{problem}");
    let problem = refuse(&two, "age,education_num\nold,1\n", &options());
    assert!(problem.contains("\"age\""), "{problem}");
    let problem = refuse(&onnx::linear(&[1.0; 3], 0.0), "a\n1\n", &options());
    assert!(problem.contains("3 columns"), "{problem}");
    let unknown = PackageOptions {
        nullable: Nullable::Columns(vec!["height".to_owned()]),
        ..options()
    };
    let problem = refuse(&two, "age,education_num\n1,2\n", &unknown);
    assert!(problem.contains("\"height\""), "{problem}");
}

/// A number for each of two cities, from a text input; a whole-number input is added.
fn cities() -> Vec<u8> {
    Model {
        nodes: vec![
            Node::new(ML, "LabelEncoder", &["city"], &["code"])
                .with(
                    "keys_strings",
                    Attribute::Strings(vec!["0150".into(), "1.5".into()]),
                )
                .with("values_floats", Attribute::Floats(vec![1.0, 2.0]))
                .with("default_float", Attribute::Float(-1.0)),
            Node::new("", "Cast", &["n"], &["m"]).with("to", Attribute::Int(1)),
            Node::new("", "Add", &["code", "m"], &["variable"]),
        ],
        inputs: vec![Port("city".into(), 8, 1), Port("n".into(), 7, 1)],
        outputs: vec![Port("variable".into(), 1, 1)],
        constants: vec![],
    }
    .encode()
}

#[test]
fn the_model_says_what_is_text_and_what_is_whole() {
    // What looks like numbers is text here, and a column of nothing is what the model wants.
    let sample = csv("n,city\n1,1.5\n2,7\n");
    let (definition, plan) = deployed(&cities(), Some(&sample), &options());
    let input = [
        column("n", "Integer/Int32", false),
        column("city", "String", false),
    ];
    assert_eq!(columns(&definition, "input", "input1"), input);
    assert_eq!(
        definition["properties"]["exampleRequest"]["inputs"]["input1"],
        json!([[1, "1.5"], [2, "7"]])
    );
    let request =
        json!({"ColumnNames": ["city", "n"], "Values": [["0150", 1], [1.5, 2], ["x", 3]]});
    let scored = run(&plan, request, json!({})).unwrap();
    let labels: Vec<String> = rows(&scored)
        .into_iter()
        .map(|mut row| row.remove(2))
        .collect();
    assert_eq!(labels, ["2", "4", "2"]);
    let (definition, _) = deployed(&cities(), None, &options());
    let input = [
        column("city", "String", false),
        column("n", "Integer/Int64", false),
    ];
    assert_eq!(columns(&definition, "input", "input1"), input);
    // A missing text is the empty one, which the encoder knows no number for.
    let gap = csv("n,city\n1,\n2,0150\n");
    let (definition, plan) = deployed(&cities(), Some(&gap), &options());
    assert_eq!(
        columns(&definition, "input", "input1")[1],
        column("city", "String", true)
    );
    let example = &definition["properties"]["exampleRequest"]["inputs"]["input1"];
    assert_eq!(*example, json!([[1, null], [2, "0150"]]));
    let request = json!({"ColumnNames": ["city", "n"], "Values": [[null, 1]]});
    assert_eq!(
        rows(&run(&plan, request, json!({})).unwrap()),
        [["1", "-", "0"]]
    );
    let fraction = csv("n,city\n1,a\n2.5,b\n");
    let fault = package_from_model(&cities(), Some(&fraction), &options()).unwrap_err();
    let problem = &fault.details()[0].args[0];
    assert!(
        problem.contains("\"n\"") && problem.contains("row 2"),
        "{problem}"
    );
    let nothing = csv("age,education_num\n,1\n,2\n");
    let (definition, _) = deployed(&two_inputs(true), Some(&nothing), &options());
    let input = columns(&definition, "input", "input1");
    assert_eq!(input[0], column("age", "Number/Double", true));
}

#[test]
fn a_sample_with_a_column_too_many_for_unnamed_inputs_is_refused() {
    let sample = csv("a,b,income\n1,2.5,x\n");
    let fault =
        package_from_model(&onnx::linear(&[1.0, 2.0], 0.0), Some(&sample), &options()).unwrap_err();
    assert!(fault.is(&WebServicePackageError::ValidationError));
    assert!(fault.details()[0].args[0].contains('3'), "{fault:?}");
}

#[test]
fn broken_models_are_refused_as_such() {
    let fault = package_from_model(b"not a model", None, &options()).unwrap_err();
    assert_eq!(fault.class(), Class::ModelPackageFormatError);
    let fault = package_from_model(&onnx::unknown_operator(), None, &options()).unwrap_err();
    assert!(fault.is(&WebServicePackageError::RuntimesError));
    assert!(fault.details()[0].args[0].contains("Divination"));
}

#[test]
fn a_missing_value_that_the_model_cannot_take_is_named() {
    let options = PackageOptions {
        nullable: Nullable::All,
        ..options()
    };
    let (_, plan) = deployed(&two_inputs(false), None, &options);
    let request = json!({"ColumnNames": ["age", "education_num"], "Values": [[1, 2], [3, null]]});
    let fault = run(&plan, request, json!({})).unwrap_err();
    let detail = &fault.details()[0];
    assert_eq!(
        (fault.class(), detail.code.as_ref()),
        (Class::ModuleExecutionError, "18")
    );
    assert_eq!(detail.target.as_deref(), Some("node3"));
    let message = detail.message.as_deref().unwrap();
    assert!(
        message.contains("Row 2, column \"education_num\""),
        "{message}"
    );
}

#[test]
fn a_failure_of_the_engine_is_the_librarys() {
    let (_, plan) = deployed(&lookup(), None, &options());
    let score = |x: i32| {
        run(
            &plan,
            json!({"ColumnNames": ["x"], "Values": [[x]]}),
            json!({}),
        )
    };
    assert_eq!(rows(&score(2).unwrap()), [["2", "30"]]);
    let fault = score(100).unwrap_err();
    let detail = &fault.details()[0];
    assert_eq!(fault.class(), Class::LibraryExecutionError);
    assert_eq!(detail.target.as_deref(), Some("node3"));
    let message = detail.message.as_deref().unwrap();
    assert!(message.contains("Gather"), "{message}");
}

#[test]
fn unwanted_work_ends_as_cancelled() {
    let (_, plan) = deployed(&onnx::linear(&[1.0], 0.0), None, &options());
    let body = br#"{"Inputs":{"input1":{"ColumnNames":["x"],"Values":[[1]]}}}"#;
    let decoded = decode(body, plan.ports(), &Limits::default(), |given| {
        plan.parameters(given)
    });
    let (tables, parameters) = decoded.unwrap();
    let fault = plan.run(tables, &parameters, &|| true).unwrap_err();
    assert!(fault.is(&RequestTimeout::RequestCanceled));
}

#[test]
fn no_rows_give_no_rows() {
    let (_, plan) = deployed(&classifier(&["a", "b", "c"], 1), None, &options());
    let scored = run(
        &plan,
        json!({"ColumnNames": ["x"], "Values": []}),
        json!({}),
    )
    .unwrap();
    assert_eq!((scored.rows(), scored.schema().len()), (0, 5));
}

/// A definition of modules in a row behind `input1`, which has columns `x` and `y`.
fn chain(modules: &[(&str, &str, &str, &str, Value)], columns: Value, globals: Value) -> Value {
    let mut assets = json!({});
    let mut nodes = json!({"in": {"inputId": "input1"}, "out": {"outputId": "output1"}});
    let mut edges = Vec::new();
    let mut from = json!({"sourceNodeId": "in"});
    for (i, (family, port_in, port_out, _, parameters)) in modules.iter().enumerate() {
        let id = format!("m{i}");
        assets[&id] = json!({
            "name": id, "type": "Module",
            "locationInfo": {"uri": format!("aml://module/506153734175476c4f62416c57734963.{family}.v1-default-1")}
        });
        nodes[&id] = json!({"assetId": id, "parameters": parameters});
        from["targetNodeId"] = json!(id);
        from["targetPortId"] = json!(port_in);
        edges.push(from);
        from = json!({"sourceNodeId": id, "sourcePortId": port_out});
    }
    from["targetNodeId"] = json!("out");
    edges.push(from);
    for (i, (.., resource_port, _)) in modules.iter().enumerate() {
        if resource_port.is_empty() {
            continue;
        }
        let id = format!("r{i}");
        assets[&id] = json!({
            "name": id, "type": "Resource", "locationInfo": {"uri": "https://example.org/r"}
        });
        nodes[&id] = json!({"assetId": id});
        edges.push(json!({
            "sourceNodeId": id, "sourcePortId": "Results dataset",
            "targetNodeId": format!("m{i}"), "targetPortId": resource_port
        }));
    }
    json!({
        "location": "local",
        "properties": {
            "packageType": "Graph",
            "assets": assets,
            "input": {"type": "object", "properties": {"input1": {"type": "object", "properties": columns}}},
            "output": {"type": "object", "properties": {"output1": {"type": "object", "properties": {}}}},
            "package": {"nodes": nodes, "edges": edges, "graphParameters": globals}
        }
    })
}

fn doubles() -> Value {
    let double = json!({"type": "Number", "format": "Double", "x-ms-isnullable": true});
    json!({"x": double, "y": double})
}

const SELECT: &str = "1ec722fab6234e26a44ea50c6d726223";
const EDIT: &str = "370b6676c11c486fbf7335349f842a66";
const CLEAN: &str = "d2c5ca2f732341a39b7eda917c99f0c4";
const APPLY: &str = "805e592d0f1f48eb97c9688ed0c1dc70";
const SCORE: &str = "401b4f92e7244d5abe81d5b0ff9bdb33";
const ONLY_X: &str = r#"{"isFilter":true,"rules":[{"ruleType":"ColumnNames","columns":["x"]}]}"#;

#[test]
fn modules_work_in_a_row() {
    let transform = br#"{"format":"umpire-transform","version":1,"kind":"normalize",
        "columns":[{"column":"x","scale":2,"shift":1}]}"#;
    let definition = chain(
        &[
            (
                CLEAN,
                "Dataset",
                "Cleaned dataset",
                "",
                json!({"Replacement value": "4"}),
            ),
            (
                APPLY,
                "Dataset",
                "Transformed dataset",
                "Transformation",
                json!({}),
            ),
            (
                SELECT,
                "Dataset",
                "Results dataset",
                "",
                json!({"Select Columns": ONLY_X}),
            ),
            (
                SCORE,
                "Dataset",
                "Scored dataset",
                "Trained model",
                json!({"Append score columns to output": "False"}),
            ),
            (
                EDIT,
                "Dataset",
                "Results dataset",
                "",
                json!({
                    "Column": r#"{"rules":[{"ruleType":"ColumnTypes","columnKinds":["Score"]}]}"#,
                    "New Column Name": "Prediction",
                    "Data Type": "Double"
                }),
            ),
        ],
        doubles(),
        json!({}),
    );
    let model = onnx::linear(&[10.0], 0.0);
    let plan = compile(&definition, &[("r1", transform), ("r3", &model)]).unwrap();
    assert!(plan.row_wise());
    let request = json!({"ColumnNames": ["x", "y"], "Values": [[1, null], [null, 2]]});
    let output = run(&plan, request, json!({})).unwrap();
    assert_eq!(names(&output), ["Prediction"]);
    assert_eq!(output.schema().field(0).data_type, DataType::Double);
    assert_eq!(rows(&output), [["30"], ["90"]]);
}

#[test]
fn a_column_of_the_name_of_a_score_clashes() {
    let definition = chain(
        &[(
            SCORE,
            "Dataset",
            "Scored dataset",
            "Trained model",
            json!({}),
        )],
        json!({"Scored Labels": {"type": "Number", "format": "Double"}}),
        json!({}),
    );
    let model = onnx::linear(&[1.0], 0.0);
    let fault = compile(&definition, &[("r0", &model)]).err().unwrap();
    assert!(
        fault.is(&Conflict::ModelOutputMetadataMismatch),
        "{fault:?}"
    );
}

#[test]
fn a_model_that_the_columns_do_not_fit_is_refused_when_it_is_deployed() {
    let definition = chain(
        &[(
            SCORE,
            "Dataset",
            "Scored dataset",
            "Trained model",
            json!({}),
        )],
        doubles(),
        json!({}),
    );
    let model = onnx::linear(&[1.0; 3], 0.0);
    let fault = compile(&definition, &[("r0", &model)]).err().unwrap();
    assert!(
        fault.is(&WebServicePackageError::ValidationError),
        "{fault:?}"
    );
    assert!(
        fault.details()[0].args[0].contains("3 columns"),
        "{fault:?}"
    );
    // Behind a module whose columns depend on the data it is found when it runs.
    let definition = chain(
        &[
            (
                CLEAN,
                "Dataset",
                "Cleaned dataset",
                "",
                json!({"Cleaning mode": "Remove entire column"}),
            ),
            (
                SCORE,
                "Dataset",
                "Scored dataset",
                "Trained model",
                json!({}),
            ),
        ],
        doubles(),
        json!({}),
    );
    let plan = compile(&definition, &[("r1", &onnx::linear(&[1.0, 1.0], 0.0))]).unwrap();
    let score = |values: Value| {
        run(
            &plan,
            json!({"ColumnNames": ["x", "y"], "Values": values}),
            json!({}),
        )
    };
    assert_eq!(rows(&score(json!([[1, 2]])).unwrap()), [["1", "2", "3"]]);
    let fault = score(json!([[1, null]])).unwrap_err();
    assert_eq!(
        (fault.class(), fault.code()),
        (Class::ModuleExecutionError, "22")
    );
}

#[test]
fn web_service_parameters_reach_their_modules() {
    let definition = chain(
        &[(CLEAN, "Dataset", "Cleaned dataset", "", json!({}))],
        doubles(),
        json!({
            "Mode": {"type": "Mode", "links": [{"nodeId": "m0", "parameterKey": "Cleaning mode"}]},
            "Value": {"type": "String", "links": [{"nodeId": "m0", "parameterKey": "Replacement value"}]}
        }),
    );
    let plan = compile(&definition, &[]).unwrap();
    let clean = |parameters: Value| {
        run(
            &plan,
            json!({"ColumnNames": ["x", "y"], "Values": [[1, null], [3, 4]]}),
            parameters,
        )
    };
    let cleaned = clean(json!({"Mode": "Custom substitution value", "Value": 7})).unwrap();
    assert_eq!(rows(&cleaned), [["1", "7"], ["3", "4"]]);
    let cleaned = clean(json!({"Mode": "Remove entire row"})).unwrap();
    assert_eq!(rows(&cleaned), [["3", "4"]]);
    let fault = clean(json!({"Mode": "Custom substitution value", "Value": "x"})).unwrap_err();
    assert_eq!(fault.name(), "BadUserArgument.UserParameterInvalid");
    assert_eq!(fault.details()[0].target.as_deref(), Some("m0"));
    let fault = clean(json!({"Mode": "ReplaceWithMean", "Value": "1"})).unwrap_err();
    assert_eq!(fault.name(), "BadUserArgument.UnexpectedParameter");
    let fault = clean(json!({"Mode": "ReplaceWithValue"})).unwrap_err();
    assert_eq!(
        fault.name(),
        "BadUserArgument.MissingRequiredGlobalParameters"
    );
}

#[test]
fn a_stored_dataset_feeds_a_table_port() {
    let mut definition = chain(
        &[(
            SELECT,
            "Dataset",
            "Results dataset",
            "",
            json!({"Select Columns": ONLY_X}),
        )],
        doubles(),
        json!({}),
    );
    let p = &mut definition["properties"];
    p["assets"]["data"] = json!({
        "name": "People", "type": "Resource", "locationInfo": {"uri": "https://example.org/d.csv"}
    });
    p["input"] = json!({"type": "object", "properties": {}});
    p["package"]["nodes"]["in"] = json!({"assetId": "data"});
    let plan = compile(&definition, &[("data", b"x,y\n1,2\n3,4\n")]).unwrap();
    let parameters = plan.parameters(&[]).unwrap();
    let outputs = plan.run(Vec::new(), &parameters, &|| false).unwrap();
    assert_eq!(rows(&outputs[0]), [["1"], ["3"]]);
}
