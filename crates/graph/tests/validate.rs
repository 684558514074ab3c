//! Whether a graph holds together: each way in which it may not, with its place.

mod common;

use common::{BREAK, SPLIT, apply_definition, name_and_target, registry, scale_definition, uri};
use faults::Fault;
use graph::{Package, Plan};
use serde_json::{Value, json};

fn validate(definition: &Value) -> Result<(), Fault> {
    Plan::validate(&Package::from_json(definition)?, &registry())
}

/// Changes the definition's properties and gives row, target and first parameter of the refusal.
fn refusal(mut definition: Value, change: impl FnOnce(&mut Value)) -> (String, String, String) {
    validate(&definition).expect("the definition is valid before the change");
    change(&mut definition["properties"]);
    let fault = validate(&definition).expect_err("the change makes it invalid");
    let (name, target) = name_and_target(&fault);
    let argument = fault.details()[0].args.first().cloned();
    (
        name,
        target.unwrap_or_default(),
        argument.unwrap_or_default(),
    )
}

#[track_caller]
fn invalid(definition: Value, target: &str, text: &str, change: impl FnOnce(&mut Value)) {
    let (name, at, problem) = refusal(definition, change);
    assert_eq!(name, "WebServicePackageError.ValidationError", "{problem}");
    assert_eq!(at, target, "{problem}");
    assert!(problem.contains(text), "{problem}");
}

#[test]
fn nodes_must_be_exactly_one_thing_that_exists() {
    let scale = scale_definition;
    invalid(scale(), "node2", "exactly one of", |p| {
        p["package"]["nodes"]["node2"] = json!({"assetId": "asset1", "inputId": "input1"});
    });
    invalid(scale(), "node2", "exactly one of", |p| {
        p["package"]["nodes"]["node2"] = json!({"assetId": ""});
    });
    invalid(
        scale(),
        "node2",
        "asset \"nope\", which is not in assets",
        |p| {
            p["package"]["nodes"]["node2"]["assetId"] = json!("nope");
        },
    );
    invalid(
        scale(),
        "node1",
        "input \"nope\", which input does not declare",
        |p| {
            p["package"]["nodes"]["node1"]["inputId"] = json!("nope");
        },
    );
    invalid(
        scale(),
        "node3",
        "output \"nope\", which output does not declare",
        |p| {
            p["package"]["nodes"]["node3"]["outputId"] = json!("nope");
        },
    );
    invalid(scale(), "node9", "both name input \"input1\"", |p| {
        p["package"]["nodes"]["node9"] = json!({"inputId": "input1"});
    });
    invalid(scale(), "input2", "no node names it", |p| {
        p["input"]["properties"]["input2"] = json!({"type": "object", "properties": {}});
    });
    invalid(scale(), "output", "no output", |p| {
        p["output"] = Value::Null;
        p["package"]["nodes"]
            .as_object_mut()
            .unwrap()
            .remove("node3");
        p["package"]["edges"].as_array_mut().unwrap().pop();
    });
}

#[test]
fn edges_must_join_ports_that_exist() {
    let scale = scale_definition;
    let edges =
        |p: &mut Value, edge: Value| p["package"]["edges"].as_array_mut().unwrap().push(edge);
    invalid(
        scale(),
        "edges[0]",
        "node \"nope\", which is not in nodes",
        |p| {
            p["package"]["edges"][0]["sourceNodeId"] = json!("nope");
        },
    );
    invalid(scale(), "node2/nope", "input port \"nope\"", |p| {
        p["package"]["edges"][0]["targetPortId"] = json!("nope");
    });
    invalid(scale(), "node2/nope", "output port \"nope\"", |p| {
        p["package"]["edges"][1]["sourcePortId"] = json!("nope");
    });
    invalid(
        apply_definition(),
        "node4/nope",
        "output port \"nope\"",
        |p| {
            p["package"]["edges"][0]["sourcePortId"] = json!("nope");
        },
    );
    invalid(apply_definition(), "edges[1]", "names no input port", |p| {
        p["package"]["edges"][1]
            .as_object_mut()
            .unwrap()
            .remove("targetPortId");
    });
    invalid(scale(), "edges[2]", "which is an input", |p| {
        edges(p, json!({"sourceNodeId": "node2", "targetNodeId": "node1"}));
    });
    invalid(scale(), "edges[2]", "which is an output", |p| {
        edges(p, json!({"sourceNodeId": "node3", "targetNodeId": "node2"}));
    });
    invalid(
        apply_definition(),
        "edges[3]",
        "a resource and takes nothing",
        |p| {
            edges(p, json!({"sourceNodeId": "node2", "targetNodeId": "node4"}));
        },
    );
}

#[test]
fn port_names_count_in_any_case_and_may_be_left_out_where_there_is_one() {
    let mut definition = scale_definition();
    let edges = &mut definition["properties"]["package"]["edges"];
    edges[0].as_object_mut().unwrap().remove("targetPortId");
    edges[1]["sourcePortId"] = json!("RESULTS DATASET");
    validate(&definition).unwrap();
}

#[test]
fn ports_take_one_writer_of_their_kind() {
    let scale = scale_definition;
    invalid(
        scale(),
        "node2/Dataset",
        "two writers, nodes \"node1\" and \"node1\"",
        |p| {
            let edge = p["package"]["edges"][0].clone();
            p["package"]["edges"].as_array_mut().unwrap().push(edge);
        },
    );
    invalid(scale(), "node3", "two writers", |p| {
        p["package"]["nodes"]["node4"] = json!({"assetId": "asset1"});
        p["package"]["edges"].as_array_mut().unwrap().extend([
            json!({"sourceNodeId": "node1", "targetNodeId": "node4"}),
            json!({"sourceNodeId": "node4", "targetNodeId": "node3"}),
        ]);
    });
    invalid(
        apply_definition(),
        "node2/Trained model",
        "a dataset from node \"node1\" to port \"Trained model\" of node \"node2\", which takes a trained model",
        |p| p["package"]["edges"][1]["targetPortId"] = json!("Trained model"),
    );
    invalid(
        apply_definition(),
        "node4",
        "a trained model and one that takes a dataset",
        |p| {
            p["package"]["edges"][1]["sourceNodeId"] = json!("node4");
        },
    );
}

#[test]
fn required_ports_must_be_connected() {
    invalid(
        apply_definition(),
        "node2/Trained model",
        "is not connected",
        |p| {
            p["package"]["edges"].as_array_mut().unwrap().remove(0);
        },
    );
    invalid(scale_definition(), "node3", "is not connected", |p| {
        p["package"]["edges"].as_array_mut().unwrap().pop();
    });
    let mut definition = scale_definition();
    let p = &mut definition["properties"];
    p["assets"]["asset1"] =
        json!({"name": "Split", "type": "Module", "locationInfo": {"uri": uri(SPLIT)}});
    p["package"]["nodes"]["node2"]["parameters"] = json!({"Required": "x"});
    p["package"]["edges"][0]["targetPortId"] = json!("Dataset1");
    p["package"]["edges"][1]["sourcePortId"] = json!("Results dataset2");
    validate(&definition).expect("an optional port may stay unconnected");
}

#[test]
fn a_cycle_is_named_with_its_nodes() {
    invalid(
        scale_definition(),
        "node4",
        "cycle: node4 to node5 to node4",
        |p| {
            p["package"]["nodes"]["node4"] = json!({"assetId": "asset1"});
            p["package"]["nodes"]["node5"] = json!({"assetId": "asset1"});
            p["package"]["edges"].as_array_mut().unwrap().extend([
                json!({"sourceNodeId": "node4", "targetNodeId": "node5"}),
                json!({"sourceNodeId": "node5", "targetNodeId": "node4"}),
            ]);
        },
    );
    invalid(scale_definition(), "node2", "cycle: node2 to node2", |p| {
        p["package"]["edges"][0]["sourceNodeId"] = json!("node2");
    });
}

#[test]
fn what_this_installation_cannot_run_is_named() {
    let (name, target, problem) = refusal(scale_definition(), |p| {
        p["assets"]["asset1"] = json!({"name": "Execute R Script", "type": "Module",
            "locationInfo": {"uri": uri("30806023392b42e094d66b775a6e0fd5")}});
    });
    assert_eq!(name, "WebServicePackageError.RuntimesError");
    assert_eq!(target, "node2");
    assert!(problem.contains("\"Execute R Script\" (family 30806023392b42e094d66b775a6e0fd5"));

    // A custom module that is called like a built-in one is not that.
    let (name, ..) = refusal(scale_definition(), |p| {
        p["assets"]["asset1"]["locationInfo"]["uri"] = json!(
            "aml://module/8b841df9d60a4d54bcebd4948b10a5db.ffffffffffffffffffffffffffffffff.v1"
        );
    });
    assert_eq!(name, "WebServicePackageError.RuntimesError");

    // A kind of resource that nothing loads.
    let (name, target, _) = refusal(scale_definition(), |p| {
        p["assets"]["asset2"] =
            json!({"name": "d", "type": "Resource", "locationInfo": {"uri": "https://x"}});
        p["package"]["nodes"]["node4"] = json!({"assetId": "asset2"});
        p["package"]["edges"][0]["sourceNodeId"] = json!("node4");
    });
    assert_eq!(
        (name.as_str(), target.as_str()),
        ("WebServicePackageError.RuntimesError", "node4")
    );

    let (name, target, _) = refusal(scale_definition(), |p| {
        p["package"]["nodes"]["node2"]["parameters"]["Label"] = json!("impossible");
    });
    assert_eq!(
        (name.as_str(), target.as_str()),
        ("WebServicePackageError.RuntimesError", "node2")
    );
}

#[test]
fn modules_are_found_by_family_and_other_families_and_names() {
    for (name, uri) in [
        ("anything", uri("0000000000000000000000000000000a")),
        (
            "anything",
            "aml://module/ffffffffffffffffffffffffffffffff.00000000000000000000000000000001.v9"
                .to_owned(),
        ),
        ("Stretch", "aml://module/moduleId-1".to_owned()),
        ("scale", "aml://module/moduleId-1".to_owned()),
    ] {
        let mut definition = scale_definition();
        definition["properties"]["assets"]["asset1"]["name"] = json!(name);
        definition["properties"]["assets"]["asset1"]["locationInfo"]["uri"] = json!(uri);
        validate(&definition).unwrap();
    }
}

#[test]
fn values_of_module_parameters_keep_their_rules() {
    let set = |name: &'static str, value: Value| {
        move |p: &mut Value| p["package"]["nodes"]["node2"]["parameters"][name] = value
    };
    for (parameter, value) in [
        ("Factor", json!("101")),
        ("Factor", json!("much")),
        ("Count", json!(0)),
        ("Count", json!("2.5")),
        ("Mode", json!("Sober")),
        ("Flag", json!("yes")),
        ("Flag", json!("")),
    ] {
        let (name, target, _) = refusal(scale_definition(), set(parameter, value.clone()));
        assert_eq!(name, "BadArgument.BadParameterValue", "{parameter} {value}");
        assert_eq!(target, format!("node2/{parameter}"));
    }
    let (name, target, problem) =
        refusal(scale_definition(), set("Columns", json!("{\"rules\":1}")));
    assert_eq!(name, "BadArgument.UserParameterInvalid");
    assert_eq!(target, "node2/Columns");
    assert!(problem.contains("\"Columns\" is not a column selection: rules: must be an array"));
    invalid(
        scale_definition(),
        "node2/Facto",
        "parameter \"Facto\"",
        set("Facto", json!("1")),
    );
    let sealed = json!({"value": "MII=", "certificateThumbprint": "AB12"});
    invalid(
        scale_definition(),
        "node2/Label",
        "sealed",
        set("Label", sealed.clone()),
    );

    for (parameter, value) in [
        ("factor", json!("1e1")),
        ("Mode", json!("very FANCY")),
        ("Columns", json!("")),
        ("Offset", json!("")),
        ("Count", Value::Null),
        ("Secret", sealed),
    ] {
        let mut definition = scale_definition();
        set(parameter, value)(&mut definition["properties"]);
        validate(&definition).unwrap();
    }
}

#[test]
fn settings_that_a_module_refuses_are_refused_before_any_call() {
    invalid(
        scale_definition(),
        "node2",
        "node \"node2\": it does not fit",
        |p| {
            p["package"]["nodes"]["node2"]["parameters"]["Label"] = json!("unfit");
        },
    );
}

#[test]
fn a_required_module_parameter_needs_a_value_or_a_link() {
    let split = || {
        let mut definition = scale_definition();
        let p = &mut definition["properties"];
        p["assets"]["asset1"] =
            json!({"name": "Split", "type": "Module", "locationInfo": {"uri": uri(SPLIT)}});
        p["package"]["nodes"]["node2"]["parameters"] = json!({"Required": "x"});
        p["package"]["edges"][0]["targetPortId"] = json!("Dataset1");
        p["package"]["edges"][1]["sourcePortId"] = json!("Results dataset1");
        definition
    };
    invalid(split(), "node2/Required", "needs a value", |p| {
        p["package"]["nodes"]["node2"]["parameters"] = json!({});
    });
    let mut linked = split();
    let package = &mut linked["properties"]["package"];
    package["nodes"]["node2"]["parameters"] = json!({});
    package["graphParameters"] =
        json!({"r": {"links": [{"nodeId": "node2", "parameterKey": "required"}]}});
    validate(&linked).unwrap();
}

#[test]
fn links_must_lead_to_a_module_parameter_of_their_own() {
    let link = |links: Value| {
        move |p: &mut Value| {
            p["package"]["graphParameters"]["g"] = json!({"type": "Float", "links": links});
        }
    };
    let at = "graphParameters/g";
    invalid(
        scale_definition(),
        at,
        "node \"nope\", which is not in nodes",
        link(json!([{"nodeId": "nope", "parameterKey": "Factor"}])),
    );
    invalid(
        scale_definition(),
        at,
        "which is not a module",
        link(json!([{"nodeId": "node1", "parameterKey": "Factor"}])),
    );
    invalid(
        scale_definition(),
        at,
        "\"Nope\" of node \"node2\"",
        link(json!([{"nodeId": "node2", "parameterKey": "Nope"}])),
    );
    invalid(
        scale_definition(),
        at,
        "linked already",
        link(json!([
            {"nodeId": "node2", "parameterKey": "Factor"},
            {"nodeId": "node2", "parameterKey": "factor"},
        ])),
    );
    invalid(
        scale_definition(),
        "parameters/h",
        "not in graphParameters",
        |p| {
            p["parameters"] = json!({"h": "1"});
        },
    );
    let (name, target, _) = refusal(scale_definition(), |p| {
        p["package"]["graphParameters"]["g"] =
            json!({"links": [{"nodeId": "node2", "parameterKey": "Factor"}]});
        p["parameters"] = json!({"G": "1000"});
    });
    assert_eq!(
        (name.as_str(), target.as_str()),
        ("BadArgument.BadParameterValue", "g")
    );
}

#[test]
fn columns_are_checked_where_they_can_be_told() {
    invalid(
        scale_definition(),
        "node2",
        "cannot scale \"refused\"",
        |p| {
            p["input"]["properties"]["input1"]["properties"]["refused"] = json!({"type": "String"});
        },
    );
    let (name, target, _) = refusal(scale_definition(), |p| {
        p["output"]["properties"]["output1"]["properties"]["y"] = json!({"type": "String"});
    });
    assert_eq!(name, "Conflict.ModelOutputMetadataMismatch");
    assert_eq!(target, "output1/y");
    // What a module gives cannot be told here, so nothing is refused before a call.
    let mut definition = scale_definition();
    let p = &mut definition["properties"];
    p["assets"]["asset1"] =
        json!({"name": "Break", "type": "Module", "locationInfo": {"uri": uri(BREAK)}});
    validate(&definition).unwrap();
}

#[test]
fn a_data_source_gives_way_to_the_input_that_replaces_it() {
    for input_first in [true, false] {
        let mut definition = scale_definition();
        let p = &mut definition["properties"];
        p["package"]["nodes"]["node4"] = json!({"assetId": "asset1"});
        p["package"]["edges"].as_array_mut().unwrap().extend([
            json!({"sourceNodeId": "node1", "targetNodeId": "node4"}),
            json!({"sourceNodeId": "node4", "targetNodeId": "node2", "targetPortId": "Dataset"}),
        ]);
        if !input_first {
            p["package"]["edges"].as_array_mut().unwrap().reverse();
        }
        validate(&definition).unwrap();
    }
}
