//! From tables to models and back.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use faults::{Class, Fault};
use models::{BindError, Classes, Element, Model, OutputKind, Task};
use tables::{Bitmap, Column, DataType, Field, Role, Schema, Strings, Table, Values};

fn load(name: &str) -> Model {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/models");
    let bytes = std::fs::read(data.join(name).join("model.onnx")).expect("a kept model");
    Model::load(&bytes).expect("it loads")
}

fn doubles(name: &str, values: &[f64]) -> (Field, Arc<Column>) {
    let column = Column::new(Values::F64(values.to_vec()));
    (Field::new(name, DataType::Double), Arc::new(column))
}

fn texts(name: &str, values: &[&str]) -> (Field, Arc<Column>) {
    let column = Column::new(Values::Str(values.iter().collect::<Strings>()));
    (Field::new(name, DataType::String), Arc::new(column))
}

fn table(columns: Vec<(Field, Arc<Column>)>) -> Table {
    let (fields, columns): (Vec<_>, Vec<_>) = columns.into_iter().unzip();
    Table::new(Arc::new(Schema::new(fields).expect("unique")), columns)
}

fn adult() -> Vec<(Field, Arc<Column>)> {
    vec![
        texts("sex", &["Male", "Female"]),
        doubles("hours-per-week", &[40.0, 20.0]),
        texts("occupation", &["Exec", "Sales"]),
        doubles("education-num", &[13.0, 5.0]),
        doubles("age", &[52.0, 23.0]),
    ]
}

#[test]
fn a_model_tells_what_it_wants_and_gives() {
    let model = load("adult");
    let inputs: Vec<_> = model
        .inputs()
        .iter()
        .map(|i| (i.name.as_str(), i.element, i.width))
        .collect();
    assert_eq!(
        inputs,
        [
            ("age", Element::F32, Some(1)),
            ("education_num", Element::F32, Some(1)),
            ("hours_per_week", Element::F32, Some(1)),
            ("occupation", Element::Str, Some(1)),
            ("sex", Element::Str, Some(1)),
        ]
    );
    // The numbers go through an imputer, the texts do not.
    let missing: Vec<_> = model.inputs().iter().map(|i| i.handles_missing).collect();
    assert_eq!(missing, [true, true, true, false, false]);
    assert_eq!(model.task(), Task::BinaryClassifier);
    let classes = vec!["<=50K".to_owned(), ">50K".to_owned()];
    assert_eq!(*model.classes(), Classes::Str(classes));
    let kinds: Vec<_> = model.outputs().iter().map(|o| o.kind).collect();
    assert_eq!(kinds, [OutputKind::Labels, OutputKind::Probabilities]);

    assert!(load("lightgbm").inputs()[0].handles_missing);
    assert!(!load("forest").inputs()[0].handles_missing);
    assert_eq!(load("kmeans").task(), Task::Clusterer);
    assert_eq!(load("regression").task(), Task::Regressor);
    assert_eq!(load("pca").task(), Task::Other);
}

#[test]
fn columns_are_found_by_name_in_any_order_and_spelling() {
    let model = load("adult");
    let table = table(adult());
    let binding = model.bind(table.schema()).expect("it fits");
    assert_eq!(binding.columns(), [[4], [3], [1], [2], [0]]);
    let scores = model.score(&binding, &table, &|| false).expect("it scores");
    let labels = scores.labels.expect("labels");
    assert_eq!(labels.data_type, DataType::String);
    let Values::Str(labels) = &labels.column.values else {
        panic!("labels are texts");
    };
    assert_eq!(labels.iter().collect::<Vec<_>>(), [">50K", "<=50K"]);
    let names: Vec<_> = scores.probabilities.iter().map(|c| &c.name).collect();
    assert_eq!(names, ["<=50K", ">50K"]);
    for row in 0..2 {
        let sum: f64 = scores
            .probabilities
            .iter()
            .map(|c| c.column.number(row).expect("a number"))
            .sum();
        assert!((sum - 1.0).abs() < 1e-6);
    }
    assert!(scores.values.is_empty());
}

#[test]
fn a_map_is_a_column_for_each_key_and_a_gap_a_key_that_is_not_there() {
    let model = load("maps");
    let input = &model.inputs()[0];
    let keys = ["age", "city=Oslo", "hours"].map(str::to_owned);
    assert_eq!(input.keys.as_deref(), Some(&Classes::Str(keys.to_vec())));
    assert_eq!((input.width, input.handles_missing), (Some(3), true));
    let zero = table(vec![
        doubles("hours", &[2.0]),
        doubles("age", &[1.0]),
        doubles("city=Oslo", &[0.0]),
    ]);
    let (field, column) = doubles("city=Oslo", &[f64::NAN]);
    let missing = Column::with_validity(column.values.clone(), Bitmap::filled(1, false));
    let gap = zero.replace(2, field, missing).expect("the same names");
    let binding = model.bind(zero.schema()).expect("it fits");
    assert_eq!(binding.columns(), [[1, 2, 0]]);
    let score = |table: &Table| {
        let scores = model.score(&binding, table, &|| false);
        scores.expect("it scores").values.remove(0).column
    };
    assert_eq!(score(&gap), score(&zero));
    let lacking = table(vec![doubles("age", &[1.0]), doubles("hours", &[1.0])]);
    assert_eq!(
        model.bind(lacking.schema()),
        Err(BindError::MissingColumn {
            input: "city=Oslo".into()
        })
    );
}

#[test]
fn a_column_that_is_not_there_is_named() {
    let model = load("adult");
    let mut columns = adult();
    columns.remove(3);
    let error = model
        .bind(table(columns).schema())
        .expect_err("no education");
    assert_eq!(
        error,
        BindError::MissingColumn {
            input: "education_num".into()
        }
    );
    let fault = Fault::from(error);
    assert_eq!(fault.class(), Class::ModuleExecutionError);
    assert_eq!(fault.code(), "0001");
}

#[test]
fn a_column_of_the_wrong_type_is_named() {
    let model = load("adult");
    let mut columns = adult();
    columns[1] = texts("hours-per-week", &["40", "20"]);
    let error = model.bind(table(columns).schema()).expect_err("text");
    assert_eq!(
        error,
        BindError::ColumnType {
            column: "hours-per-week".into(),
            element: Element::F32
        }
    );
}

#[test]
fn a_matrix_takes_the_columns_in_order_and_leaves_the_label_out() {
    let model = load("regression");
    let mut columns: Vec<_> = (0..4)
        .map(|i| doubles(&format!("f{i}"), &[f64::from(i), -1.0]))
        .collect();
    let plain = table(columns.clone());
    assert_eq!(
        model.bind(plain.schema()).expect("four").columns(),
        [[0, 1, 2, 3]]
    );
    let mut label = doubles("y", &[0.0, 0.0]);
    label.0 = label.0.with_role(Role::Label);
    columns.insert(1, label);
    let labelled = table(columns.clone());
    let binding = model.bind(labelled.schema()).expect("four features");
    assert_eq!(binding.columns(), [[0, 2, 3, 4]]);
    let a = model.score(&binding, &labelled, &|| false).expect("scores");
    let binding = model.bind(plain.schema()).expect("four");
    let b = model.score(&binding, &plain, &|| false).expect("scores");
    assert_eq!(a, b);
    assert_eq!(a.values.len(), 1);
    assert_eq!(a.values[0].data_type, DataType::Float);
    columns.truncate(3);
    let error = model.bind(table(columns).schema()).expect_err("too few");
    assert!(matches!(
        error,
        BindError::ColumnCount {
            expected: 4,
            found: 3,
            ..
        }
    ));
}

#[test]
fn a_missing_number_is_nan_and_a_missing_text_is_empty() {
    let model = load("adult");
    let blank = |mut columns: Vec<(Field, Arc<Column>)>, i: usize, values: Values| {
        let validity: Bitmap = [true, false].into_iter().collect();
        columns[i].1 = Arc::new(Column::with_validity(values, validity));
        table(columns)
    };
    let nan = {
        let mut columns = adult();
        columns[4] = doubles("age", &[52.0, f64::NAN]);
        table(columns)
    };
    let missing = blank(adult(), 4, Values::F64(vec![52.0, 0.0]));
    let binding = model.bind(nan.schema()).expect("fits");
    let score = |t: &Table| model.score(&binding, t, &|| false).expect("scores");
    assert_eq!(score(&nan), score(&missing));
    let empty = {
        let mut columns = adult();
        columns[0] = texts("sex", &["Male", ""]);
        table(columns)
    };
    let missing = blank(
        adult(),
        0,
        Values::Str(["Male", ""].iter().collect::<Strings>()),
    );
    assert_eq!(score(&empty), score(&missing));
}

#[test]
fn no_rows_give_no_scores() {
    for name in [
        "adult",
        "forest",
        "kmeans",
        "lightgbm",
        "logistic",
        "pca",
        "regression",
    ] {
        let model = load(name);
        let fields = model.inputs().iter().flat_map(|input| {
            (0..input.width.expect("known")).map(|c| match input.element {
                Element::Str => Field::new(input.name.clone(), DataType::String),
                _ if input.width == Some(1) => Field::new(input.name.clone(), DataType::Float),
                _ => Field::new(format!("c{c}"), DataType::Float),
            })
        });
        let schema = Arc::new(Schema::new(fields.collect()).expect("unique"));
        let table = Table::empty(schema);
        let binding = model.bind(table.schema()).expect("fits");
        let scores = model
            .score(&binding, &table, &|| false)
            .unwrap_or_else(|fault| panic!("{name}: {fault:?}"));
        for column in scores
            .labels
            .iter()
            .chain(&scores.probabilities)
            .chain(&scores.values)
        {
            assert_eq!(column.column.len(), 0, "{name}");
        }
    }
}

#[test]
fn a_cancelled_run_stops() {
    let model = load("forest");
    let columns = (0..4).map(|i| doubles(&format!("f{i}"), &[0.0; 1000]));
    let table = table(columns.collect());
    let binding = model.bind(table.schema()).expect("fits");
    // Not before the first operator, but between blocks of rows within it.
    let asked = AtomicUsize::new(0);
    let cancelled = || asked.fetch_add(1, Ordering::Relaxed) >= 3;
    let fault = model
        .score(&binding, &table, &cancelled)
        .expect_err("it was cancelled");
    assert!(
        fault.is(&faults::rows::RequestTimeout::RequestCanceled),
        "{fault:?}"
    );
    assert_eq!(asked.load(Ordering::Relaxed), 4);
    // The model is as good as before.
    assert!(model.score(&binding, &table, &|| false).is_ok());
}

#[test]
fn threads_share_a_model() {
    let model = load("lightgbm");
    let columns = (0..4).map(|i| doubles(&format!("f{i}"), &[f64::from(i); 100]));
    let table = table(columns.collect());
    let binding = model.bind(table.schema()).expect("fits");
    let once = model.score(&binding, &table, &|| false).expect("scores");
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..50 {
                    assert_eq!(model.score(&binding, &table, &|| false).as_ref(), Ok(&once));
                }
            });
        }
    });
}
