//! Which graphs are refused, and with which words.

use faults::Class;
use prost::Message;

use super::proto::*;
use super::read::data_type;
use crate::Model;
use crate::engine::program::Source;

fn value(name: &str, code: i32, dims: &[Option<i64>]) -> ValueInfoProto {
    let dim = dims
        .iter()
        .map(|d| DimensionProto {
            dim_value: *d,
            dim_param: None,
        })
        .collect();
    ValueInfoProto {
        name: name.into(),
        r#type: Some(TypeProto {
            tensor_type: Some(TensorTypeProto {
                elem_type: code,
                shape: Some(TensorShapeProto { dim }),
            }),
            ..TypeProto::default()
        }),
    }
}

fn node(op: &str, inputs: &[&str], outputs: &[&str]) -> NodeProto {
    NodeProto {
        op_type: op.into(),
        input: inputs.iter().map(|s| (*s).into()).collect(),
        output: outputs.iter().map(|s| (*s).into()).collect(),
        ..NodeProto::default()
    }
}

fn opset(domain: &str, version: i64) -> OperatorSetIdProto {
    OperatorSetIdProto {
        domain: domain.into(),
        version,
    }
}

fn model(nodes: Vec<NodeProto>) -> ModelProto {
    ModelProto {
        ir_version: 8,
        graph: Some(GraphProto {
            node: nodes,
            input: vec![value("x", data_type::FLOAT, &[None, Some(2)])],
            output: vec![value("y", data_type::FLOAT, &[None, Some(2)])],
            ..GraphProto::default()
        }),
        opset_import: vec![opset("", 17), opset("ai.onnx.ml", 3)],
        ..ModelProto::default()
    }
}

/// The private cause of a broken file.
fn broken(proto: &ModelProto) -> String {
    let fault = Model::load(&proto.encode_to_vec()).expect_err("it is broken");
    assert_eq!(fault.class(), Class::ModelPackageFormatError, "{fault:?}");
    fault.cause().unwrap_or_default().to_owned()
}

/// The public parameter of what is lacking.
fn lacking(proto: &ModelProto) -> String {
    let fault = Model::load(&proto.encode_to_vec()).expect_err("something is lacking");
    assert!(
        fault.is(&faults::rows::WebServicePackageError::RuntimesError),
        "{fault:?}"
    );
    fault.details()[0].args[0].clone()
}

#[test]
fn all_unknown_operators_are_named_at_once() {
    let mut strange = node("Foo", &["a"], &["y"]);
    strange.domain = "ai.onnx.ml".into();
    let mut other = node("Bar", &["b"], &["a"]);
    other.domain = "com.example".into();
    let proto = model(vec![node("LSTM", &["x"], &["b"]), other, strange]);
    assert_eq!(
        lacking(&proto),
        "the built-in engine does not support ONNX operators ai.onnx.LSTM (version 17), \
         ai.onnx.ml.Foo (version 3), com.example.Bar (version 1)."
    );
}

#[test]
fn operator_sets_out_of_range_are_named() {
    for (domain, version, text) in [
        ("", 26, "version 26 of the ONNX operator set ai.onnx "),
        ("", 6, "version 6 of the ONNX operator set ai.onnx "),
        (
            "ai.onnx.ml",
            6,
            "version 6 of the ONNX operator set ai.onnx.ml ",
        ),
    ] {
        let mut proto = model(vec![node("Identity", &["x"], &["y"])]);
        for import in &mut proto.opset_import {
            if import.domain == domain {
                import.version = version;
            }
        }
        assert!(lacking(&proto).contains(text), "{}", lacking(&proto));
    }
}

#[test]
fn types_that_the_engine_lacks_are_named() {
    let mut proto = model(vec![node("Identity", &["x"], &["y"])]);
    if let Some(graph) = &mut proto.graph {
        graph.input[0] = value("x", data_type::FLOAT16, &[None, Some(2)]);
    }
    assert!(lacking(&proto).contains("float16"));
    assert!(lacking(&proto).contains("input x"));
    if let Some(graph) = &mut proto.graph {
        graph.input[0] = value("x", data_type::FLOAT, &[None, None, None]);
    }
    assert!(lacking(&proto).contains("a tensor of open dimensions"));
    let mut cast = node("Cast", &["x"], &["y"]);
    cast.attribute.push(AttributeProto {
        name: "to".into(),
        i: Some(i64::from(data_type::UINT8)),
        r#type: 2,
        ..AttributeProto::default()
    });
    assert!(lacking(&model(vec![cast])).contains("ai.onnx.Cast (version 17) with to = uint8"));
}

#[test]
fn broken_graphs_are_refused() {
    let two = |a, b| model(vec![a, b]);
    let id = |i, o| node("Identity", &[i], &[o]);
    assert!(broken(&two(id("z", "y"), id("y", "z"))).contains("cycle"));
    assert!(broken(&two(id("y", "y"), id("x", "z"))).contains("cycle"));
    assert!(broken(&model(vec![id("nowhere", "y")])).contains("nowhere"));
    assert!(broken(&two(id("x", "y"), id("x", "y"))).contains("made twice"));
    assert!(broken(&model(vec![id("y", "x")])).contains("x"));
    assert!(broken(&model(vec![id("x", "z")])).contains("output y"));
    assert!(broken(&ModelProto::default()).contains("no graph"));
    let mut proto = model(vec![id("x", "y")]);
    proto.opset_import.clear();
    assert!(broken(&proto).contains("operator set"));
    proto = model(vec![id("x", "y")]);
    if let Some(graph) = &mut proto.graph {
        graph.input.push(graph.input[0].clone());
    }
    assert!(broken(&proto).contains("twice"));
}

#[test]
fn the_order_of_the_file_does_not_matter() {
    let nodes = vec![
        node("Add", &["b", "x"], &["y"]),
        node("Identity", &["a"], &["b"]),
        node("Neg", &["x"], &["a"]),
        node("Identity", &["x"], &["unused"]),
    ];
    assert!(Model::load(&model(nodes).encode_to_vec()).is_ok());
}

#[test]
fn a_node_may_read_very_many_values_and_one_of_them_twice() {
    let names: Vec<String> = (0..20_000).map(|i| format!("v{i}")).collect();
    let mut nodes: Vec<NodeProto> = names.iter().map(|n| node("Neg", &["x"], &[n])).collect();
    let mut read: Vec<&str> = names.iter().map(String::as_str).collect();
    read.push("v7");
    nodes.push(node("Sum", &read, &["y"]));
    let graph = model(nodes).graph.unwrap_or_default();
    let opsets = super::compile::Opsets { main: 17, ml: 3 };
    let program = super::compile::graph(graph, opsets, &["x".into()], &[], &["y".into()]);
    let program = program.expect("it compiles");
    let sum = program.steps.last().expect("it has steps");
    let dying: Vec<bool> = (0..=20_000).map(|i| i != 7 && i != 20_000).collect();
    assert_eq!(sum.dying, dying);
    assert_eq!(sum.drop_after.len(), 1, "the value read twice goes once");
    assert_eq!(Source::Slot(sum.drop_after[0]), sum.inputs[7]);
}

#[test]
fn a_constant_that_a_small_file_blows_up_is_not_made_at_load() {
    let mut proto = model(vec![
        node("ConstantOfShape", &["dims"], &["big"]),
        node("Add", &["x", "big"], &["y"]),
    ]);
    if let Some(graph) = &mut proto.graph {
        graph.initializer.push(TensorProto {
            name: "dims".into(),
            dims: vec![1],
            data_type: data_type::INT64,
            int64_data: vec![2_000_000_000],
            ..TensorProto::default()
        });
    }
    assert!(Model::load(&proto.encode_to_vec()).is_ok());
}

#[test]
fn data_outside_the_file_is_refused_by_name() {
    let mut proto = model(vec![node("Add", &["x", "w"], &["y"])]);
    if let Some(graph) = &mut proto.graph {
        graph.initializer.push(TensorProto {
            name: "w".into(),
            dims: vec![1],
            data_type: data_type::FLOAT,
            data_location: 1,
            ..TensorProto::default()
        });
    }
    assert!(lacking(&proto).contains("external data"));
}

#[test]
fn a_tensor_larger_than_its_data_is_refused() {
    let mut proto = model(vec![node("Add", &["x", "w"], &["y"])]);
    if let Some(graph) = &mut proto.graph {
        graph.initializer.push(TensorProto {
            name: "w".into(),
            dims: vec![1 << 20, 1 << 20],
            data_type: data_type::FLOAT,
            float_data: vec![0.0],
            ..TensorProto::default()
        });
    }
    assert!(broken(&proto).contains("initializer w"));
}
