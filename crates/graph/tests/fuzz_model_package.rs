//! Seeded fuzzing of the model-package parser and of what it makes, from a kept corpus.
//!
//! Each round takes a package of `fuzz/corpus/model_package`, changes it in a few places and asks:
//! nothing panics; every refusal is of the rows that it may be and says where; what is stored and
//! what is sent are judged alike; what is taken becomes a definition that has all of its nodes, and
//! whose form is never at fault for reasons of ours; hiding secrets twice hides no more than once.
//!
//! `FUZZ_SECONDS` and `FUZZ_SEED` as for `fuzz_package`.

mod common;

use std::panic::{AssertUnwindSafe, catch_unwind};

use common::mutate::{Random, corpus, mutate, run};
use common::registry;
use faults::{Class, Fault};
use graph::{ModelPackage, Package, Plan, model_package::without_secrets};
use serde_json::Value;

/// The rows with which a model package itself may be refused.
const REFUSALS: [&str; 5] = [
    "WebServicePackageError.FormatError",
    "WebServicePackageError.ValidationError",
    "BadArgument.DataTypeNotSupported",
    "BadArgument.ModelConfigurationInvalid",
    "Conflict.ModelOutputMetadataMismatch",
];

/// The rows with which the definition that it becomes may be.
const LATER: [&str; 7] = [
    "WebServicePackageError.FormatError",
    "WebServicePackageError.ValidationError",
    "WebServicePackageError.RuntimesError",
    "BadArgument.BadParameterValue",
    "BadArgument.UserParameterInvalid",
    "BadArgument.DataTypeNotSupported",
    "Conflict.ModelOutputMetadataMismatch",
];

fn check_refusal(fault: &Fault, rows: &[&str]) {
    assert!(rows.contains(&fault.name().as_str()), "{}", fault.name());
    let detail = &fault.details()[0];
    assert!(detail.args.iter().all(|arg| !arg.is_empty()), "{fault:?}");
    assert!(
        detail.target.is_some() || !detail.args.is_empty(),
        "no place in {fault:?}"
    );
}

/// Checks what a package comes to, and names it.
fn judge(document: &Value) -> String {
    let mut shown = document.clone();
    without_secrets(&mut shown, &registry());
    let mut again = shown.clone();
    without_secrets(&mut again, &registry());
    assert_eq!(shown, again);

    let sent = ModelPackage::from_json(document);
    let stored = ModelPackage::from_stored_json(document);
    let package = match (sent, stored) {
        (Ok(package), Ok(stored)) => {
            assert_eq!(package, stored);
            package
        }
        (Err(sent), Err(stored)) => {
            check_refusal(&sent, &REFUSALS);
            assert_eq!(stored.class(), Class::InternalError);
            return sent.name();
        }
        (sent, stored) => panic!("judged apart: {sent:?} {stored:?}"),
    };
    let definition = Value::from(package.definition());
    let nodes = definition["package"]["nodes"].as_object().expect("nodes");
    let modules = nodes.values().filter(|node| {
        let asset = node["assetId"].as_str();
        asset.is_some_and(|asset| asset.starts_with("module:"))
    });
    let ports = |side: &str| {
        let ports = definition[side]["properties"].as_object().expect("ports");
        ports.len()
    };
    let all = modules.count() + package.stored_inputs().len() + ports("input") + ports("output");
    assert_eq!(
        nodes.len(),
        all,
        "a node took the place of another: {definition}"
    );
    for stored in package.stored_inputs() {
        assert!(definition["assets"][&stored.asset].is_object());
        assert!(!stored.uri.contains('?'), "{}", stored.uri);
    }
    let checked =
        Package::from_json(&definition).and_then(|package| Plan::validate(&package, &registry()));
    match checked {
        Ok(()) => "validates".to_owned(),
        Err(fault) => {
            check_refusal(&fault, &LATER);
            format!("becomes a definition with {}", fault.name())
        }
    }
}

fn round(corpus: &[Value], seed: u64) -> String {
    let mut random = Random(seed);
    let mut document = corpus[random.below(corpus.len())].clone();
    for _ in 0..random.below(5) {
        mutate(&mut document, &mut random);
    }
    catch_unwind(AssertUnwindSafe(|| judge(&document))).unwrap_or_else(|panic| {
        eprintln!("FUZZ_SEED={seed} FUZZ_SECONDS=0 shows it again; the package:\n{document}");
        std::panic::resume_unwind(panic)
    })
}

#[test]
fn changed_packages_are_judged_and_never_break_anything() {
    let corpus = corpus("model_package", 4);
    let (outcomes, rounds) = run(|seed| round(&corpus, seed));
    // A fuzzer that never gets past the parser, or never runs into it, tests nothing.
    if rounds > 5_000 {
        for outcome in REFUSALS.into_iter().chain(["validates"]) {
            assert!(outcomes.contains_key(outcome), "nothing came to {outcome}");
        }
    }
}

#[test]
fn the_corpus_itself_validates() {
    for document in corpus("model_package", 4) {
        assert_eq!(judge(&document), "validates", "{document}");
    }
}
