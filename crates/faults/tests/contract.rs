//! The table against itself, against the contract's file where that is at hand, and the pending
//! list against the table.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use faults::{Class, Language, Row, all_rows, class_message, extensions, row_message};
use serde_json::Value;

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The numbers `n` of the `{n}` in a text.
fn places(text: &str) -> BTreeSet<usize> {
    (0..10)
        .filter(|n| text.contains(&format!("{{{n}}}")))
        .collect()
}

/// A row's text with its places left as they are.
fn template(row: &Row, language: Language) -> String {
    let places: Vec<_> = (0..row.args.len()).map(|n| format!("{{{n}}}")).collect();
    row_message(row, &places, language)
}

fn every_row() -> impl Iterator<Item = &'static Row> {
    all_rows().chain(extensions::ALL.iter().copied())
}

#[test]
fn the_contract_has_its_size() {
    let bare = Class::ALL.iter().filter(|c| c.rows().is_empty()).count();
    assert_eq!((Class::ALL.len(), all_rows().count(), bare), (18, 110, 5));
    let names = faults::provocation_names();
    assert_eq!(names.len(), 115);
    assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), 115);
    assert!(names.iter().all(|name| !faults::find(name).is_empty()));
}

#[test]
fn a_code_stands_once_in_its_class() {
    let names: BTreeSet<_> = every_row().map(Row::name).collect();
    assert_eq!(names.len(), every_row().count());
    for row in every_row() {
        assert_eq!(row.class.row(row.code), Some(row));
        assert!(
            Class::from_name(row.code).is_none(),
            "{} is a class",
            row.code
        );
    }
    for &class in Class::ALL {
        assert_eq!(Class::from_name(class.name()), Some(class));
        assert_eq!(class.row("NoSuchCode"), None);
    }
}

#[test]
fn extensions_are_found_but_not_counted() {
    for &row in extensions::ALL {
        assert!(!row.class.rows().contains(&row));
        assert!(all_rows().all(|r| r != row));
        assert_eq!(row.class.row(row.code), Some(row));
    }
    let codes: Vec<_> = extensions::ALL.iter().map(|r| r.name()).collect();
    assert_eq!(
        codes,
        [
            "NotFound.PerRegionPayloadNotFound",
            "NotFound.ResourceNotFound",
            "InvalidOperation.UnauthorizedRequest",
        ]
    );
}

#[test]
fn texts_use_each_parameter_of_the_constructor() {
    for row in every_row() {
        let expected: BTreeSet<_> = (0..row.args.len()).collect();
        for &language in Language::ALL {
            let text = template(row, language);
            assert_eq!(places(&text), expected, "{}: {text}", row.name());
        }
    }
}

#[test]
fn every_class_and_row_says_what_happened_and_what_to_do() {
    let classes = Class::ALL
        .iter()
        .map(|c| (c.name().to_owned(), c.what_happened(), c.what_to_do()));
    let rows = every_row().map(|r| (r.name(), r.what_happened(), r.what_to_do()));
    let mut seen = BTreeSet::new();
    for (name, happened, to_do) in classes.chain(rows) {
        for text in [&happened, &to_do] {
            let words = text.split_whitespace().count();
            assert!(words >= 5, "{name} says too little: {text:?}");
            let ends = text.ends_with('.') || text.ends_with(".)");
            assert!(ends, "{name} does not end a sentence: {text:?}");
        }
        assert!(
            seen.insert(happened.into_owned()),
            "{name} repeats another row"
        );
    }
}

#[test]
fn internal_rows_say_who_acts() {
    for row in Class::InternalError.rows() {
        let text = row.what_to_do();
        let actor = ["operator", "owner"].iter().any(|who| text.contains(who));
        assert!(actor, "{}: {text}", row.name());
    }
}

#[test]
fn the_table_is_the_contracts_own() {
    let spec = std::env::var_os("UMPIRE_SPEC")
        .map(PathBuf::from)
        .unwrap_or_else(|| workspace().join("../shared/spec"));
    let path = spec.join("error-catalogue.json");
    let Ok(text) = std::fs::read_to_string(&path) else {
        println!("skipped: spec not present");
        return;
    };
    let catalogue: Value = serde_json::from_str(&text).expect("error-catalogue.json");
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let zh = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let classes = list(&catalogue);
    let names: Vec<_> = classes.iter().map(|c| c["class"].clone()).collect();
    let ours: Vec<_> = Class::ALL.iter().map(|c| c.name()).collect();
    assert_eq!(names, ours);
    for (theirs, &class) in classes.iter().zip(Class::ALL) {
        let name = class.name();
        assert_eq!(theirs["status"], class.status(), "{name}");
        assert_eq!(theirs["en"], class.en(), "{name}");
        let chinese = zh(&theirs["zh_TW"]);
        if !chinese.is_empty() {
            assert_eq!(chinese, class_message(class, Language::TraditionalChinese));
        }
        let rows = list(&theirs["codes"]);
        let codes: Vec<_> = rows.iter().map(|r| r["code"].clone()).collect();
        let ours: Vec<_> = class.rows().iter().map(|r| r.code).collect();
        assert_eq!(codes, ours, "{name}");
        for (theirs, row) in rows.iter().zip(class.rows()) {
            assert_eq!(theirs["en"], row.en, "{}", row.name());
            assert_eq!(
                list(&theirs["args"]).len(),
                row.args.len(),
                "{}",
                row.name()
            );
            let chinese = zh(&theirs["zh_TW"]);
            if !chinese.is_empty() {
                let ours = template(row, Language::TraditionalChinese);
                assert_eq!(chinese, ours, "{}", row.name());
            }
        }
    }
}

#[test]
fn the_pending_list_names_rows_in_contract_order() {
    let path = workspace().join("tests/contract/pending.txt");
    let text = std::fs::read_to_string(path).expect("tests/contract/pending.txt");
    let listed: Vec<_> = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .collect();
    let known = faults::provocation_names();
    let in_order: Vec<_> = known
        .iter()
        .map(String::as_str)
        .filter(|name| listed.contains(name))
        .collect();
    assert_eq!(listed, in_order, "unknown, repeated or out of order");
}
