//! Web service parameters: required or not, rules, and modes.

mod common;

use common::{input, name_and_target, registry, scale_definition, seven_bytes, xs};
use faults::Fault;
use graph::{Package, Plan};
use serde_json::{Value, json};
use tables::Scalar;

/// input1 to Scale to output1 with these graph parameters (name to module parameters) and
/// defaults, and these settings of the node.
fn plan(links: &[(&str, &[&str])], defaults: Value, node: Value) -> Plan {
    let mut definition = scale_definition();
    let p = &mut definition["properties"];
    for (name, keys) in links {
        let links: Vec<Value> = keys
            .iter()
            .map(|key| json!({"nodeId": "node2", "parameterKey": key}))
            .collect();
        p["package"]["graphParameters"][name] = json!({"links": links});
    }
    p["parameters"] = defaults;
    p["package"]["nodes"]["node2"]["parameters"] = node;
    let package = Package::from_json(&definition).unwrap();
    Plan::compile(&package, &registry(), &mut seven_bytes).unwrap()
}

fn text(value: &str) -> Scalar {
    Scalar::String(value.to_owned())
}

/// Checks the parameters, then scores x = 10.
fn score(plan: &Plan, given: &[(&str, Scalar)]) -> Result<f64, Fault> {
    let given: Vec<(String, Scalar)> = given
        .iter()
        .map(|(n, v)| ((*n).to_owned(), v.clone()))
        .collect();
    let parameters = plan.parameters(&given)?;
    let out = plan.run(vec![input(&[10.0])], &parameters, &|| false)?;
    Ok(xs(&out[0])[0])
}

#[track_caller]
fn refused(plan: &Plan, given: &[(&str, Scalar)], name: &str, target: &str) {
    let fault = score(plan, given).unwrap_err();
    assert_eq!(
        name_and_target(&fault),
        (name.to_owned(), Some(target.to_owned()))
    );
}

#[test]
fn a_default_makes_a_parameter_optional() {
    let plan = plan(
        &[("My factor", &["Factor"])],
        json!({"my FACTOR": {"value": "3"}}),
        json!({}),
    );
    assert_eq!(score(&plan, &[]).unwrap(), 30.0);
    assert_eq!(score(&plan, &[("My factor", text("4"))]).unwrap(), 40.0);
    assert_eq!(
        score(&plan, &[("My factor", Scalar::Number("0.5".to_owned()))]).unwrap(),
        5.0
    );
    assert_eq!(score(&plan, &[("My factor", Scalar::Null)]).unwrap(), 30.0);
    // The same values again, from the steps that were kept, and more of them than are kept.
    for round in 0..2 {
        for factor in 1..=20 {
            let given = [("My factor", Scalar::Number(factor.to_string()))];
            assert_eq!(
                score(&plan, &given).unwrap(),
                f64::from(factor) * 10.0,
                "round {round}"
            );
        }
    }
    assert_eq!(score(&plan, &[]).unwrap(), 30.0);
}

#[test]
fn without_a_default_it_is_required_whatever_the_node_says() {
    let plan = plan(&[("f", &["Factor"])], json!({}), json!({"Factor": "7"}));
    let missing = "BadArgument.MissingRequiredGlobalParameters";
    refused(&plan, &[], missing, "f");
    refused(&plan, &[("f", Scalar::Null)], missing, "f");
    assert_eq!(score(&plan, &[("f", text("2"))]).unwrap(), 20.0);
}

#[test]
fn names_are_compared_letter_for_letter() {
    let plan = plan(&[("f", &["Factor"])], json!({"f": "2"}), json!({}));
    refused(
        &plan,
        &[("F", text("2"))],
        "BadArgument.UnexpectedParameter",
        "F",
    );
    refused(
        &plan,
        &[("g", Scalar::Null)],
        "BadArgument.UnexpectedParameter",
        "g",
    );
}

#[test]
fn values_keep_the_rule_of_each_parameter_they_go_to() {
    let plan = plan(
        &[
            ("n", &["Factor", "Count"]),
            ("flag", &["Flag"]),
            ("mode", &["Mode"]),
            ("cols", &["Columns"]),
        ],
        json!({"n": "1", "flag": "true", "mode": "Simple", "cols": null}),
        json!({}),
    );
    let cols = ("cols", text(r#"{"rules":[{"ruleType":"AllColumns"}]}"#));
    assert_eq!(
        score(&plan, &[("n", text("9")), cols.clone()]).unwrap(),
        90.0
    );
    let bad = "BadArgument.BadParameterValue";
    // Factor takes 11, Count does not; neither takes a text.
    refused(&plan, &[("n", text("11")), cols.clone()], bad, "n");
    refused(&plan, &[("n", text("x")), cols.clone()], bad, "n");
    refused(&plan, &[("n", Scalar::Bool(true)), cols.clone()], bad, "n");
    refused(
        &plan,
        &[("flag", Scalar::Number("1".to_owned())), cols.clone()],
        bad,
        "flag",
    );
    refused(&plan, &[("mode", text("Other")), cols.clone()], bad, "mode");
    refused(
        &plan,
        &[("cols", text("age"))],
        "BadArgument.UserParameterInvalid",
        "cols",
    );
    assert!(score(&plan, &[("flag", Scalar::Bool(false)), cols]).is_ok());
}

#[test]
fn a_declared_type_is_a_rule_too() {
    let mut definition = scale_definition();
    definition["properties"]["package"]["graphParameters"]["label"] =
        json!({"type": "Int", "links": [{"nodeId": "node2", "parameterKey": "Label"}]});
    definition["properties"]["parameters"] = json!({"label": 1});
    let package = Package::from_json(&definition).unwrap();
    let plan = Plan::compile(&package, &registry(), &mut seven_bytes).unwrap();
    refused(
        &plan,
        &[("label", text("x"))],
        "BadArgument.BadParameterValue",
        "label",
    );
    assert!(score(&plan, &[("label", text("2"))]).is_ok());
}

const MISSING: &str = "BadUserArgument.MissingRequiredGlobalParameters";
const UNEXPECTED: &str = "BadUserArgument.UnexpectedParameter";

#[test]
fn the_mode_in_force_says_whether_its_children_are_needed() {
    let plan = plan(
        &[("mode", &["Mode"]), ("offset", &["Offset"])],
        json!({"mode": "Simple"}),
        json!({}),
    );
    assert_eq!(score(&plan, &[]).unwrap(), 20.0);
    refused(&plan, &[("offset", text("5"))], UNEXPECTED, "offset");
    refused(&plan, &[("mode", text("fancy"))], MISSING, "offset");
    assert_eq!(
        score(&plan, &[("mode", text("Fancy")), ("offset", text("5"))]).unwrap(),
        25.0
    );
    // What breaks a rule is refused before modes are looked at.
    refused(
        &plan,
        &[("offset", text("x"))],
        "BadArgument.BadParameterValue",
        "offset",
    );
}

#[test]
fn a_mode_that_the_node_fixes_counts_as_well() {
    let fixed = |mode: &str, defaults: Value| {
        plan(&[("offset", &["Offset"])], defaults, json!({"Mode": mode}))
    };
    refused(&fixed("Fancy", json!({})), &[], MISSING, "offset");
    refused(
        &fixed("Simple", json!({})),
        &[("offset", text("5"))],
        UNEXPECTED,
        "offset",
    );
    assert_eq!(score(&fixed("Simple", json!({})), &[]).unwrap(), 20.0);
    let with_default = fixed("Fancy", json!({"offset": 3}));
    assert_eq!(score(&with_default, &[]).unwrap(), 23.0);
    assert_eq!(
        score(&with_default, &[("offset", text("4"))]).unwrap(),
        24.0
    );
    let unused_default = fixed("Simple", json!({"offset": 3}));
    assert_eq!(score(&unused_default, &[]).unwrap(), 20.0);
    refused(
        &unused_default,
        &[("offset", text("4"))],
        UNEXPECTED,
        "offset",
    );
}

#[test]
fn a_parameter_that_also_goes_elsewhere_is_no_child() {
    let plan = plan(&[("n", &["Offset", "Factor"])], json!({}), json!({}));
    refused(
        &plan,
        &[],
        "BadArgument.MissingRequiredGlobalParameters",
        "n",
    );
    assert_eq!(score(&plan, &[("n", text("3"))]).unwrap(), 30.0);
}

#[test]
fn settings_that_a_module_refuses_are_the_users_mistake_in_a_call() {
    let plan = plan(&[("l", &["Label"])], json!({"l": "fine"}), json!({}));
    assert_eq!(score(&plan, &[]).unwrap(), 20.0);
    let refusal = "BadUserArgument.UserParameterInvalid";
    refused(&plan, &[("l", text("unfit"))], refusal, "node2");
}
