//! Broken and hostile files: whatever the bytes are, loading answers, and what it loads it can run.

use std::path::Path;
use std::sync::Arc;

use faults::Class;
use models::{Element, Model};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use tables::{Column, DataType, Field, Schema, Strings, Table, Values};

const KEPT: [&str; 7] = [
    "adult",
    "forest",
    "kmeans",
    "lightgbm",
    "logistic",
    "pca",
    "regression",
];

fn kept(name: &str) -> Vec<u8> {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/models");
    std::fs::read(data.join(name).join("model.onnx")).expect("a kept model")
}

/// Two rows that fit whatever the model says it wants.
fn table(model: &Model) -> Option<Table> {
    let mut fields = Vec::new();
    let mut columns = Vec::new();
    for (i, input) in model.inputs().iter().enumerate() {
        let width = input.width.unwrap_or(4);
        // A mutation may ask for an absurd width; nobody has such a table.
        if width > 64 {
            return None;
        }
        for c in 0..width {
            let (data_type, values) = match input.element {
                Element::Str => (
                    DataType::String,
                    Values::Str(["Sales", ""].iter().collect::<Strings>()),
                ),
                _ => (DataType::Double, Values::F64(vec![c as f64, f64::NAN])),
            };
            let name = if width == 1 {
                input.name.clone()
            } else {
                format!("column {i} {c}")
            };
            fields.push(Field::new(name, data_type));
            columns.push(Arc::new(Column::new(values)));
        }
    }
    Some(Table::with_rows(
        Arc::new(Schema::new(fields).ok()?),
        columns,
        2,
    ))
}

/// Loads the bytes and, where that works, scores with them.
fn exercise(bytes: &[u8]) {
    match Model::load(bytes) {
        Err(fault) => assert!(
            matches!(
                fault.class(),
                Class::ModelPackageFormatError | Class::WebServicePackageError
            ),
            "{fault:?}"
        ),
        Ok(model) => {
            let Some(table) = table(&model) else { return };
            if let Ok(binding) = model.bind(table.schema()) {
                let _ = model.score(&binding, &table, &|| false);
            }
        }
    }
}

/// One change of a file.
#[derive(Debug, Clone)]
enum Change {
    /// Another byte at a place.
    Byte(prop::sample::Index, u8),
    /// A number of the variable-length kind in place of one byte: often a length or a dimension.
    Number(prop::sample::Index, u64),
    /// The end is cut off.
    Cut(prop::sample::Index),
    /// A part stands twice.
    Repeat(prop::sample::Index, prop::sample::Index),
    /// A part is gone.
    Remove(prop::sample::Index, prop::sample::Index),
    /// The name of an operator or attribute becomes another of the same length.
    Word(prop::sample::Index, prop::sample::Index),
}

/// Words that stand in models, for exchanging those of the same length.
const WORDS: [&str; 24] = [
    "Scaler", "Concat", "ArgMin", "ArgMax", "MatMul", "Imputer", "Reshape", "Gather", "ZipMap",
    "Squeeze", "Flatten", "float", "int64", "label", "scale", "zeros", "offset", "Cast", "Gemm",
    "TopK", "Tile", "Add", "Sub", "Div",
];

fn change() -> impl Strategy<Value = Change> {
    use prop::sample::Index;
    let index = any::<Index>;
    let number = prop_oneof![
        Just(u64::MAX),
        Just(i64::MAX as u64),
        Just(1 << 31),
        Just(0),
        any::<u64>(),
        0u64..300
    ];
    prop_oneof![
        4 => (index(), any::<u8>()).prop_map(|(i, b)| Change::Byte(i, b)),
        3 => (index(), number).prop_map(|(i, n)| Change::Number(i, n)),
        1 => index().prop_map(Change::Cut),
        1 => (index(), index()).prop_map(|(a, b)| Change::Repeat(a, b)),
        1 => (index(), index()).prop_map(|(a, b)| Change::Remove(a, b)),
        3 => (index(), index()).prop_map(|(a, b)| Change::Word(a, b)),
    ]
}

fn varint(mut n: u64) -> Vec<u8> {
    let mut out = Vec::new();
    while n >= 0x80 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
    out
}

fn apply(bytes: &mut Vec<u8>, change: &Change) {
    if bytes.is_empty() {
        return;
    }
    let part = |a: &prop::sample::Index, b: &prop::sample::Index, len: usize| {
        let (a, b) = (a.index(len), b.index(len));
        let (start, end) = (a.min(b), a.max(b));
        start..end.min(start + 200)
    };
    match change {
        Change::Byte(i, b) => {
            let i = i.index(bytes.len());
            bytes[i] = *b;
        }
        Change::Number(i, n) => {
            let i = i.index(bytes.len());
            bytes.splice(i..=i, varint(*n));
        }
        Change::Cut(i) => {
            let i = i.index(bytes.len());
            bytes.truncate(i);
        }
        Change::Repeat(a, b) => {
            let range = part(a, b, bytes.len());
            let copy = bytes[range.clone()].to_vec();
            bytes.splice(range.end..range.end, copy);
        }
        Change::Remove(a, b) => {
            let range = part(a, b, bytes.len());
            bytes.drain(range);
        }
        Change::Word(a, b) => {
            // Every place where a known word stands, then another word of that length.
            let mut hits = Vec::new();
            for word in WORDS {
                let found = bytes.windows(word.len()).enumerate();
                hits.extend(
                    found
                        .filter(|(_, w)| *w == word.as_bytes())
                        .map(|(i, _)| (i, word.len())),
                );
            }
            if hits.is_empty() {
                return;
            }
            let (at, len) = hits[a.index(hits.len())];
            let same: Vec<_> = WORDS.iter().filter(|w| w.len() == len).collect();
            let word = same[b.index(same.len())];
            bytes[at..at + len].copy_from_slice(word.as_bytes());
        }
    }
}

#[test]
fn mutated_models_never_panic() {
    // UMPIRE_FUZZ_CASES makes a longer run of it.
    let cases = std::env::var("UMPIRE_FUZZ_CASES")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(400);
    let files: Vec<Vec<u8>> = KEPT.iter().map(|n| kept(n)).collect();
    let mut runner = TestRunner::new(Config {
        cases,
        failure_persistence: None,
        ..Config::default()
    });
    let strategy = (0..files.len(), prop::collection::vec(change(), 1..6));
    runner
        .run(&strategy, |(file, changes)| {
            let mut bytes = files[file].clone();
            changes.iter().for_each(|c| apply(&mut bytes, c));
            exercise(&bytes);
            Ok(())
        })
        .expect("no mutation makes it panic");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) })]
    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        exercise(&bytes);
    }
}

#[test]
fn every_prefix_of_a_model_is_answered() {
    for name in ["logistic", "kmeans"] {
        let bytes = kept(name);
        for end in 0..bytes.len() {
            exercise(&bytes[..end]);
        }
    }
}

#[test]
fn nesting_is_bounded() {
    // A graph within an attribute within a node within a graph, and so on: fields 7 (model's
    // graph), 1 (node), 5 (attribute), 6 (graph).
    let mut inner: Vec<u8> = Vec::new();
    let wrap = |tag: u8, inner: &[u8]| {
        let mut out = vec![tag << 3 | 2];
        out.extend(varint(inner.len() as u64));
        out.extend_from_slice(inner);
        out
    };
    for _ in 0..5_000 {
        inner = wrap(6, &inner);
        inner = wrap(5, &inner);
        inner = wrap(1, &inner);
    }
    let model = wrap(7, &inner);
    let fault = Model::load(&model).expect_err("too deep");
    assert_eq!(fault.class(), Class::ModelPackageFormatError);
    assert!(fault.details().is_empty());
}
