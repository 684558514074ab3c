//! Compiling and running a plan.

mod common;

use std::sync::atomic::{AtomicUsize, Ordering};

use common::{
    BREAK, SPLIT, apply_definition, input, name_and_target, registry, scale_definition,
    seven_bytes, uri, xs,
};
use faults::Fault;
use graph::{Package, Parameters, Plan, Resource};
use serde_json::{Value, json};
use tables::{Table, Values};

fn compile(definition: &Value) -> Result<Plan, Fault> {
    Plan::compile(
        &Package::from_json(definition)?,
        &registry(),
        &mut seven_bytes,
    )
}

fn run(plan: &Plan, table: Table) -> Result<Vec<Table>, Fault> {
    plan.run(vec![table], &Parameters::default(), &|| false)
}

#[test]
fn a_table_goes_through_the_graph() {
    let plan = compile(&scale_definition()).unwrap();
    assert!(plan.row_wise());
    assert_eq!(plan.ports()[0].name, "input1");
    assert_eq!(plan.outputs()[0].name, "output1");
    let out = run(&plan, input(&[1.0, 2.5])).unwrap();
    assert_eq!(xs(&out[0]), [2.0, 5.0]);
    assert_eq!(out[0].by_name("name").unwrap().1.len(), 2);
    let none = run(&plan, input(&[])).unwrap();
    assert_eq!(none[0].rows(), 0);
}

#[test]
fn resources_are_loaded_once_and_feed_every_call() {
    let mut definition = apply_definition();
    let p = &mut definition["properties"]["package"];
    // A second node for the same asset, and a third asset that nothing reads.
    p["nodes"]["node5"] = json!({"assetId": "asset2"});
    p["nodes"]["node6"] = json!({"assetId": "asset1"});
    p["edges"].as_array_mut().unwrap().extend([
        json!({"sourceNodeId": "node5", "targetNodeId": "node6", "targetPortId": "Trained model"}),
        json!({"sourceNodeId": "node1", "targetNodeId": "node6", "targetPortId": "Dataset"}),
        json!({"sourceNodeId": "node6", "targetNodeId": "node7"}),
    ]);
    p["nodes"]["node7"] = json!({"outputId": "output2"});
    definition["properties"]["output"]["properties"]["output2"] =
        json!({"type": "object", "properties": {}});
    definition["properties"]["assets"]["asset3"] = json!({"name": "unread", "type": "Resource",
        "locationInfo": {"uri": "https://x"}});
    definition["properties"]["package"]["nodes"]["node8"] = json!({"assetId": "asset3"});
    let mut asked = Vec::new();
    let package = Package::from_json(&definition).unwrap();
    let plan = Plan::compile(&package, &registry(), &mut |asset| {
        asked.push(asset.to_owned());
        seven_bytes(asset)
    })
    .unwrap();
    assert_eq!(asked, ["asset2"]);
    for _ in 0..2 {
        let out = run(&plan, input(&[1.0, 2.0])).unwrap();
        assert_eq!(out.len(), 2);
        for table in out {
            let bytes = &table.by_name("model bytes").unwrap().1.values;
            assert_eq!(*bytes, Values::I32(vec![7, 7]));
            assert_eq!(xs(&table), [1.0, 2.0]);
        }
    }
}

#[test]
fn what_a_loader_or_the_source_of_resources_reports_is_the_answer() {
    let package = Package::from_json(&apply_definition()).unwrap();
    let empty = Plan::compile(&package, &registry(), &mut |_| {
        Ok(Resource::from(Vec::new()))
    });
    assert_eq!(empty.err().unwrap().name(), "ModelPackageFormatError");
    let gone = Plan::compile(&package, &registry(), &mut |_| {
        Err(faults::internal_error::model_package_invalid())
    });
    assert_eq!(
        gone.err().unwrap().name(),
        "InternalError.ModelPackageInvalid"
    );
}

#[test]
fn columns_that_need_the_model_are_checked_when_it_is_loaded() {
    let mut definition = apply_definition();
    let output = &mut definition["properties"]["output"]["properties"]["output1"];
    output["properties"]
        .as_object_mut()
        .unwrap()
        .remove("model bytes");
    let package = Package::from_json(&definition).unwrap();
    Plan::validate(&package, &registry()).expect("without the model nothing can be said");
    let fault = compile(&definition).err().unwrap();
    let expected = Some("output1/model bytes".to_owned());
    assert_eq!(
        name_and_target(&fault),
        ("Conflict.ModelOutputMetadataMismatch".to_owned(), expected)
    );
    // The module would give its column twice.
    let mut definition = apply_definition();
    definition["properties"]["input"]["properties"]["input1"]["properties"]["model bytes"] =
        json!({"type": "Integer"});
    let fault = compile(&definition).err().unwrap();
    let expected = Some("node2/model bytes".to_owned());
    assert_eq!(
        name_and_target(&fault),
        ("Conflict.ModelOutputMetadataMismatch".to_owned(), expected)
    );
}

#[test]
fn values_fan_out_and_an_input_replaces_a_data_source() {
    let mut definition = scale_definition();
    let p = &mut definition["properties"];
    p["assets"]["asset2"] =
        json!({"name": "Split", "type": "Module", "locationInfo": {"uri": uri(SPLIT)}});
    p["package"]["nodes"] = json!({
        "out2": {"outputId": "output2"},
        "split": {"assetId": "asset2", "parameters": {"Required": "x"}},
        "scale": {"assetId": "asset1"},
        "dead": {"assetId": "asset1"},
        "in": {"inputId": "input1"},
        "out1": {"outputId": "output1"},
    });
    p["output"]["properties"]["output2"] = json!({"type": "object"});
    p["package"]["edges"] = json!([
        {"sourceNodeId": "dead", "targetNodeId": "split", "targetPortId": "Dataset1"},
        {"sourceNodeId": "in", "targetNodeId": "dead"},
        {"sourceNodeId": "in", "targetNodeId": "scale"},
        {"sourceNodeId": "in", "targetNodeId": "split", "targetPortId": "Dataset1"},
        {"sourceNodeId": "scale", "targetNodeId": "split", "targetPortId": "Dataset2"},
        {"sourceNodeId": "split", "sourcePortId": "Results dataset2", "targetNodeId": "out1"},
        {"sourceNodeId": "split", "sourcePortId": "Results dataset1", "targetNodeId": "out2"},
    ]);
    let plan = compile(&definition).unwrap();
    assert!(!plan.row_wise());
    let out = run(&plan, input(&[3.0])).unwrap();
    assert_eq!((xs(&out[0]), xs(&out[1])), (vec![6.0], vec![3.0]));
}

#[test]
fn an_input_may_go_straight_to_an_output_in_the_declared_order() {
    let mut definition = scale_definition();
    let p = &mut definition["properties"];
    p["package"]["edges"] = json!([
        {"sourceNodeId": "node1", "targetNodeId": "node3"},
        {"sourceNodeId": "node1", "targetNodeId": "node2"},
    ]);
    p["output"]["properties"]["output1"]["properties"] =
        json!({"name": {"type": "String"}, "x": {"type": "String"}});
    let plan = compile(&definition).unwrap();
    let out = run(&plan, input(&[0.5])).unwrap();
    assert_eq!(out[0].schema().names().collect::<Vec<_>>(), ["name", "x"]);
    assert_eq!(
        out[0].column(1).values,
        Values::Str(["0.5"].into_iter().collect())
    );
}

fn breaking(how: &str) -> Plan {
    let mut definition = scale_definition();
    let p = &mut definition["properties"];
    p["assets"]["asset1"] =
        json!({"name": "Break", "type": "Module", "locationInfo": {"uri": uri(BREAK)}});
    p["package"]["nodes"]["node2"]["parameters"] = json!({"How": how});
    compile(&definition).unwrap()
}

#[test]
fn failures_of_a_module_name_its_node() {
    for (how, name, target) in [
        ("Fault", "BadUserArgument.UserParameterInvalid", "node2"),
        (
            "Targeted",
            "BadUserArgument.UserParameterInvalid",
            "node2/Column",
        ),
        ("Panic", "InternalError.ModuleExecutionFailed", "node2"),
        ("Nothing", "InternalError.ModuleExecutionFailed", "node2"),
    ] {
        let plan = breaking(how);
        for _ in 0..2 {
            let fault = run(&plan, input(&[1.0])).unwrap_err();
            let expected = (name.to_owned(), Some(target.to_owned()));
            assert_eq!(name_and_target(&fault), expected, "{how}");
        }
    }
    let fault = run(&breaking("Panic"), input(&[1.0])).unwrap_err();
    assert!(fault.cause().unwrap().contains("asked to break: Panic"));
}

#[test]
fn work_that_is_no_longer_wanted_stops_between_nodes() {
    let plan = compile(&scale_definition()).unwrap();
    let asked = AtomicUsize::new(0);
    let cancelled = || asked.fetch_add(1, Ordering::Relaxed) == 0;
    let outcome = plan.run(vec![input(&[1.0])], &Parameters::default(), &cancelled);
    let fault = outcome.unwrap_err();
    let expected = ("RequestTimeout.RequestCanceled".to_owned(), None);
    assert_eq!(name_and_target(&fault), expected);
}

#[test]
fn a_wrong_number_of_tables_is_our_mistake() {
    let plan = compile(&scale_definition()).unwrap();
    let fault = plan
        .run(vec![], &Parameters::default(), &|| false)
        .unwrap_err();
    assert_eq!(fault.name(), "InternalError.BackendArgumentError");
}

#[test]
fn a_plan_without_inputs_runs() {
    let mut definition = apply_definition();
    let p = &mut definition["properties"];
    p["input"] = Value::Null;
    p["output"] = json!({"properties": {"output1": {}}});
    p["package"]["nodes"] = json!({"r": {"assetId": "asset2"}, "o": {"outputId": "output1"}});
    p["package"]["edges"] = json!([{"sourceNodeId": "r", "targetNodeId": "o"}]);
    // This installation cannot load data sets, and says so.
    assert_eq!(
        compile(&definition).err().unwrap().name(),
        "WebServicePackageError.RuntimesError"
    );
}

#[test]
fn warming_up_takes_the_example_and_else_zeros() {
    compile(&scale_definition()).unwrap().warm_up();
    let mut definition = scale_definition();
    definition["properties"]["exampleRequest"] = json!({
        "inputs": {"input1": [["not a number", "b"]]}, "globalParameters": {"what": 1},
    });
    compile(&definition).unwrap().warm_up();
    breaking("Panic").warm_up();
}

#[test]
fn a_plan_is_shared_between_threads() {
    let plan = compile(&apply_definition()).unwrap();
    std::thread::scope(|scope| {
        let handles: Vec<_> = (0..4)
            .map(|i| {
                let plan = &plan;
                scope.spawn(move || {
                    for _ in 0..50 {
                        let out = run(plan, input(&[f64::from(i)])).unwrap();
                        assert_eq!(xs(&out[0]), [f64::from(i)]);
                    }
                })
            })
            .collect();
        handles
            .into_iter()
            .for_each(|handle| handle.join().unwrap());
    });
}
