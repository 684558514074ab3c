//! What a plan costs beside its modules' work:
//!
//! `cargo run -p graph --release --example overhead`

#[path = "../tests/common/mod.rs"]
mod common;

use std::time::Instant;

use common::{apply_definition, input, registry, seven_bytes};
use graph::{Package, Parameters, Plan};
use serde_json::json;

fn main() {
    let mut definition = apply_definition();
    // Straight through, so that only the plan's own work is seen.
    let p = &mut definition["properties"];
    p["output"] = json!({"properties": {"output1": {}}});
    p["package"]["edges"] = json!([
        {"sourceNodeId": "node4", "targetNodeId": "node2", "targetPortId": "Trained model"},
        {"sourceNodeId": "node1", "targetNodeId": "node2", "targetPortId": "Dataset"},
        {"sourceNodeId": "node2", "targetNodeId": "node3"},
    ]);
    let package = Package::from_json(&definition).unwrap();
    let plan = Plan::compile(&package, &registry(), &mut seven_bytes).unwrap();
    definition["properties"]["package"]["edges"] = json!([
        {"sourceNodeId": "node4", "targetNodeId": "node2", "targetPortId": "Trained model"},
        {"sourceNodeId": "node1", "targetNodeId": "node2", "targetPortId": "Dataset"},
        {"sourceNodeId": "node1", "targetNodeId": "node3"},
    ]);
    let package = Package::from_json(&definition).unwrap();
    let through = Plan::compile(&package, &registry(), &mut seven_bytes).unwrap();
    let table = input(&[1.0]);
    let none = Parameters::default();
    let time = |what: &str, work: &mut dyn FnMut()| {
        let rounds = 200_000u32;
        let start = Instant::now();
        for _ in 0..rounds {
            work();
        }
        println!("{what}: {:?} a call", start.elapsed() / rounds);
    };
    time("copy of the table", &mut || {
        drop(std::hint::black_box(table.clone()))
    });
    time("input to output", &mut || {
        drop(through.run(vec![table.clone()], &none, &|| false).unwrap());
    });
    time("the module alone", &mut || {
        let column = tables::Column::from(vec![7]);
        let field = tables::Field::new("model bytes", tables::DataType::Int32);
        drop(std::hint::black_box(
            table.with_column(field, column).unwrap(),
        ));
    });
    time("input, module with a resource, output", &mut || {
        drop(plan.run(vec![table.clone()], &none, &|| false).unwrap());
    });
}
