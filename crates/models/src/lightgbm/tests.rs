//! Broken, hostile and refused files, and what the schema says.

use super::read;
use crate::reject::Reject;
use crate::{Element, Model};

const MODEL: &str = "tree
version=v4
num_class=1
num_tree_per_iteration=1
max_feature_idx=1
objective=binary sigmoid:1
feature_names=age job
feature_infos=[0:9] 0:1:2

Tree=0
num_leaves=3
num_cat=1
split_feature=0 1
threshold=2.5 0
decision_type=10 1
left_child=1 -1
right_child=-2 -3
cat_boundaries=0 1
cat_threshold=5
leaf_value=1 2 3
is_linear=0
shrinkage=1

end of trees
";

fn refused(from: &str, to: &str) -> Reject {
    assert!(MODEL.contains(from), "{from}");
    read(MODEL.replace(from, to).as_bytes())
        .err()
        .unwrap_or_else(|| panic!("{from} -> {to} is read"))
}

#[track_caller]
fn malformed(from: &str, to: &str, reason: &str) {
    match refused(from, to) {
        Reject::Malformed(said) => assert!(said.contains(reason), "{said}"),
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn unsupported(from: &str, to: &str, name: &str) {
    match refused(from, to) {
        Reject::Unsupported(said) => assert!(said.contains(name), "{said}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn names_types_and_gaps_come_from_the_file() {
    let model = Model::load(MODEL.as_bytes()).unwrap();
    let seen: Vec<_> = model
        .inputs()
        .iter()
        .map(|i| (i.name.as_str(), i.element, i.handles_missing))
        .collect();
    let expected = [("age", Element::F64, true), ("job", Element::I64, true)];
    assert_eq!(seen, expected);
    // Without a branch for what is missing, 0 is taken in its stead: nothing for a gap.
    let none = MODEL.replace("decision_type=10 1", "decision_type=2 1");
    let model = Model::load(none.as_bytes()).unwrap();
    assert!(!model.inputs()[0].handles_missing);
}

#[test]
fn hostile_trees_are_refused() {
    malformed("left_child=1 -1", "left_child=0 -1", "cycle");
    malformed("left_child=1 -1", "left_child=1 0", "cycle");
    malformed(
        "left_child=1 -1",
        "left_child=2 -1",
        "not the number of a node",
    );
    malformed(
        "left_child=1 -1",
        "left_child=-4 -1",
        "not the number of a node",
    );
    let least = format!("left_child={} -1", i64::MIN);
    malformed("left_child=1 -1", &least, "not the number of a node");
    malformed(
        "num_leaves=3",
        "num_leaves=1000000000",
        "num_leaves=1000000000",
    );
    malformed("num_leaves=3", "num_leaves=0", "num_leaves=0");
    malformed(
        "split_feature=0 1",
        "split_feature=0 2",
        "number of a feature",
    );
    malformed("split_feature=0 1", "split_feature=0", "differ in length");
    malformed("threshold=2.5 0", "threshold=2.5 1", "number of a set");
    malformed("threshold=2.5 0", "threshold=2.5 -1", "number of a set");
    malformed("threshold=2.5 0", "threshold=nan 0", "not a number");
    malformed(
        "cat_boundaries=0 1",
        "cat_boundaries=0 2",
        "number of a set",
    );
    malformed(
        "cat_boundaries=0 1",
        "cat_boundaries=1 0",
        "number of a set",
    );
    malformed(
        "max_feature_idx=1",
        "max_feature_idx=1000000000",
        "feature_names",
    );
    malformed(
        "num_tree_per_iteration=1",
        "num_tree_per_iteration=1000000000",
        "rounds of 1000000000",
    );
    malformed(
        "num_tree_per_iteration=1",
        "num_tree_per_iteration=0",
        "rounds of 0",
    );
    malformed("Tree=0", "Tree=1", "numbered \"1\"");
    malformed("end of trees", "", "end of trees");
    malformed("leaf_value=1 2 3", "leaf_value=1 2 x", "\"x\"");
    malformed("shrinkage=1", "num_leaves=3", "stands twice");
    malformed(
        "decision_type=10 1",
        "decision_type=14 1",
        "kind of missing values",
    );
}

#[test]
fn names_are_told_apart() {
    let twice = MODEL.replace("feature_names=age job", "feature_names=age age");
    let fault = Model::load(twice.as_bytes()).unwrap_err();
    assert!(fault.cause().unwrap().contains("stands twice"), "{fault:?}");
}

#[test]
fn what_the_engine_lacks_is_refused_by_its_name() {
    unsupported("is_linear=0", "is_linear=1", "linear trees");
    unsupported("objective=binary", "objective=survival", "\"survival\"");
    unsupported("version=v4", "version=v5", "\"v5\"");
}
