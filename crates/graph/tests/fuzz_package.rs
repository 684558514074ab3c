//! Seeded fuzzing of the package parser, the validation and the plan, from a kept corpus.
//!
//! Each round takes a definition of `fuzz/corpus/package`, changes it in a few places (values
//! swapped for others, members renamed, copied, dropped, cells of text altered) and asks: nothing
//! panics; every refusal is of the rows that it may be; what is stored and what is sent are judged
//! alike; what validates compiles, or says why with a resource at fault; what compiles runs.
//!
//! `FUZZ_SECONDS` (default 2) says for how long, `FUZZ_SEED` where to start; the seed of a failing
//! round is printed, and that round alone is run again by `FUZZ_SEED=... FUZZ_SECONDS=0`.

mod common;

use std::panic::{AssertUnwindSafe, catch_unwind};

use common::mutate::{Random, corpus, mutate, run};
use common::{registry, seven_bytes};
use faults::{Class, Fault};
use graph::{Package, Parameters, Plan};
use serde_json::Value;
use tables::Table;

/// The rows with which a definition may be refused.
const REFUSALS: [&str; 9] = [
    "WebServicePackageError.FormatError",
    "WebServicePackageError.ValidationError",
    "WebServicePackageError.RuntimesError",
    "BadArgument.BadParameterValue",
    "BadArgument.UserParameterInvalid",
    "BadArgument.DataTypeNotSupported",
    "BadArgument.WebServiceTypeInvalid",
    "BadArgument.MissingWebServicePackage",
    "Conflict.ModelOutputMetadataMismatch",
];

fn check_refusal(fault: &Fault) {
    assert!(
        REFUSALS.contains(&fault.name().as_str()),
        "{}",
        fault.name()
    );
    let detail = &fault.details()[0];
    assert!(detail.args.iter().all(|arg| !arg.is_empty()), "{fault:?}");
    let formal = [
        "FormatError",
        "WebServiceTypeInvalid",
        "MissingWebServicePackage",
    ];
    if !formal.contains(&&*detail.code) {
        assert!(detail.target.is_some(), "no place in {fault:?}");
    }
}

/// Checks what a definition comes to, and names it.
fn judge(document: &Value) -> String {
    let sent = Package::from_json(document);
    let stored = Package::from_stored_json(document);
    let package = match (sent, stored) {
        (Ok(package), Ok(_)) => package,
        (Err(sent), Err(stored)) => {
            check_refusal(&sent);
            assert_eq!(stored.class(), Class::InternalError);
            return sent.name();
        }
        (sent, stored) => panic!("judged apart: {sent:?} {stored:?}"),
    };
    let registry = registry();
    let valid = Plan::validate(&package, &registry);
    let compiled = Plan::compile(&package, &registry, &mut seven_bytes);
    let plan = match (valid, compiled) {
        (Err(fault), Err(again)) => {
            assert_eq!(
                fault, again,
                "validated and compiled with different outcomes"
            );
            check_refusal(&fault);
            return fault.name();
        }
        (Ok(()), Err(fault)) => {
            // Only what the resources tell can come out now.
            let name = fault.name();
            let late = [
                "Conflict.ModelOutputMetadataMismatch",
                "WebServicePackageError.ValidationError",
            ];
            assert!(late.contains(&name.as_str()), "{name}");
            return name;
        }
        (Err(fault), Ok(_)) => panic!("compiles and does not validate: {fault:?}"),
        (Ok(()), Ok(plan)) => plan,
    };
    plan.warm_up();
    let inputs = plan
        .ports()
        .iter()
        .map(|port| Table::empty(port.schema.clone()))
        .collect();
    let given = plan.parameters(&[]).unwrap_or_else(|fault| {
        assert_eq!(fault.name(), "BadArgument.MissingRequiredGlobalParameters");
        Parameters::default()
    });
    if let Ok(outputs) = plan.run(inputs, &given, &|| false) {
        assert_eq!(outputs.len(), plan.outputs().len());
        return "runs".to_owned();
    }
    "compiles".to_owned()
}

fn round(corpus: &[Value], seed: u64) -> String {
    let mut random = Random(seed);
    let mut document = corpus[random.below(corpus.len())].clone();
    for _ in 0..random.below(5) {
        mutate(&mut document, &mut random);
    }
    catch_unwind(AssertUnwindSafe(|| judge(&document))).unwrap_or_else(|panic| {
        eprintln!("FUZZ_SEED={seed} FUZZ_SECONDS=0 shows it again; the definition:\n{document}");
        std::panic::resume_unwind(panic)
    })
}

#[test]
fn changed_definitions_are_judged_and_never_break_anything() {
    let corpus = corpus("package", 8);
    // A module of the tests panics when a definition asks it to; the plan turns that into a
    // fault, and its text would drown everything else.
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        let asked = info
            .payload_as_str()
            .is_some_and(|text| text.starts_with("asked to break"));
        if !asked {
            hook(info);
        }
    }));
    let (outcomes, rounds) = run(|seed| round(&corpus, seed));
    // A fuzzer that never gets past the parser, or never runs into it, tests nothing.
    if rounds > 2_000 {
        for outcome in ["runs", REFUSALS[0], REFUSALS[1], REFUSALS[2]] {
            assert!(outcomes.contains_key(outcome), "nothing came to {outcome}");
        }
    }
}

#[test]
fn the_corpus_itself_is_judged_as_it_says() {
    let corpus = corpus("package", 8);
    for document in &corpus {
        judge(document);
    }
    let good = corpus.iter().filter(|document| {
        Package::from_json(document)
            .and_then(|package| Plan::validate(&package, &registry()))
            .is_ok()
    });
    assert!(good.count() >= 5, "most of the corpus must reach the plan");
}
