//! Broken, hostile and refused files, and what the schema says.

use super::{read_json, read_ubj};
use crate::reject::Reject;
use crate::{Element, Format, Model, Task};

const MODEL: &str = r#"{"learner": {
 "feature_names": ["age", "job", "new"], "feature_types": ["float", "c", "i"],
 "gradient_booster": {"name": "gbtree", "model": {
  "gbtree_model_param": {"num_trees": "1"}, "tree_info": [0],
  "trees": [{"tree_param": {"num_nodes": "5", "size_leaf_vector": "1"},
   "left_children": [1, 3, -1, -1, -1], "right_children": [2, 4, -1, -1, -1],
   "split_indices": [0, 1, 0, 0, 0], "split_conditions": [2.5E0, 0E0, 1E0, 2E0, 3E0],
   "split_type": [0, 1, 0, 0, 0], "default_left": [1, 0, 0, 0, 0],
   "categories": [0, 2], "categories_nodes": [1], "categories_segments": [0],
   "categories_sizes": [2]}]}},
 "learner_model_param": {"base_score": "[5E-1]", "num_class": "0", "num_feature": "3",
  "num_target": "1"},
 "objective": {"name": "binary:logistic"}}, "version": [3, 2, 0]}"#;

#[track_caller]
fn refused(from: &str, to: &str) -> Reject {
    assert!(MODEL.contains(from), "{from}");
    read_json(MODEL.replace(from, to).as_bytes())
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
fn names_and_types_come_from_the_file() {
    let model = Model::load(MODEL.as_bytes()).unwrap();
    let seen: Vec<_> = model
        .inputs()
        .iter()
        .map(|i| (i.name.as_str(), i.element, i.handles_missing))
        .collect();
    let expected = [
        ("age", Element::F32, true),
        ("job", Element::I64, true),
        ("new", Element::Bool, true),
    ];
    assert_eq!(seen, expected);
    assert_eq!(model.task(), Task::BinaryClassifier);
    let twice = MODEL.replace("\"new\"]", "\"age\"]");
    let fault = Model::load(twice.as_bytes()).unwrap_err();
    assert!(fault.cause().unwrap().contains("stands twice"), "{fault:?}");
}

#[test]
fn hostile_trees_are_refused() {
    let left = "\"left_children\": [1, 3, -1, -1, -1]";
    malformed(left, "\"left_children\": [0, 3, -1, -1, -1]", "cycle");
    malformed(left, "\"left_children\": [1, 0, -1, -1, -1]", "cycle");
    malformed(
        left,
        "\"left_children\": [1, 5, -1, -1, -1]",
        "number of a node",
    );
    malformed(
        left,
        "\"left_children\": [1, 1.5, -1, -1, -1]",
        "number of a node",
    );
    malformed(
        left,
        "\"left_children\": [1, 3, -1, -1]",
        "differ in length",
    );
    malformed(
        "\"num_nodes\": \"5\"",
        "\"num_nodes\": \"1000000000\"",
        "differ in length",
    );
    malformed(
        "\"split_indices\": [0, 1",
        "\"split_indices\": [3, 1",
        "number of a feature",
    );
    malformed("\"tree_info\": [0]", "\"tree_info\": [1]", "target 1 of 1");
    malformed("\"tree_info\": [0]", "\"tree_info\": [0, 0]", "1 trees");
    malformed(
        "\"categories\": [0, 2]",
        "\"categories\": [0, -2]",
        "code of a category",
    );
    malformed(
        "\"categories\": [0, 2]",
        "\"categories\": [0]",
        "list of categories",
    );
    malformed(
        "\"categories_nodes\": [1]",
        "\"categories_nodes\": [0]",
        "has none",
    );
    malformed(
        "\"num_feature\": \"3\"",
        "\"num_feature\": \"1000000000\"",
        "3 names",
    );
    malformed(
        "\"base_score\": \"[5E-1]\"",
        "\"base_score\": \"2\"",
        "base_score",
    );
    malformed(
        "\"base_score\": \"[5E-1]\"",
        "\"base_score\": \"[1,2]\"",
        "2 base scores",
    );
    malformed("\"learner\"", "\"trainer\"", "\"learner\" is missing");
}

#[test]
fn what_the_engine_lacks_is_refused_by_its_name() {
    unsupported("binary:logistic", "reg:own", "\"reg:own\"");
    unsupported(
        "\"name\": \"gbtree\"",
        "\"name\": \"gbforest\"",
        "\"gbforest\"",
    );
    unsupported(
        "\"size_leaf_vector\": \"1\"",
        "\"size_leaf_vector\": \"3\"",
        "multi_output_tree",
    );
    unsupported(
        "\"num_class\": \"0\"",
        "\"num_class\": \"1000000000\"",
        "num_class",
    );
    unsupported("\"float\"", "\"text\"", "\"text\"");
    let dump = br#"{"name": "tree", "tree_info": []}"#;
    assert!(matches!(read_json(dump), Err(Reject::Unsupported(said)) if said.contains("dump")));
}

#[test]
fn large_codes_in_many_splits_do_not_fill_the_memory() {
    // Each split has one category, whose set is 2 MiB of bits.
    let count = 200;
    let list = |item: &dyn Fn(usize) -> i64| {
        let items: Vec<String> = (0..2 * count + 1).map(|i| item(i).to_string()).collect();
        items.join(",")
    };
    let splits = |value: &dyn Fn(usize) -> i64| {
        let items: Vec<String> = (0..count).map(|i| value(i).to_string()).collect();
        items.join(",")
    };
    let split = |i: usize| i < count;
    let tree = format!(
        r#"{{"tree_param": {{}}, "left_children": [{}], "right_children": [{}],
        "split_indices": [{}], "split_conditions": [{}], "split_type": [{}], "default_left": [{}],
        "categories": [{}], "categories_nodes": [{}], "categories_segments": [{}],
        "categories_sizes": [{}]}}"#,
        list(&|i| if split(i) { i as i64 + 1 } else { -1 }),
        list(&|i| if split(i) { (count + i) as i64 + 1 } else { -1 }),
        list(&|_| 1),
        list(&|_| 0),
        list(&|i| i64::from(split(i))),
        list(&|_| 0),
        splits(&|_| (1 << 24) - 1),
        splits(&|i| i as i64),
        splits(&|i| i as i64),
        splits(&|_| 1),
    );
    let start = MODEL.find("{\"tree_param\"").unwrap();
    let end = MODEL.find("]}},\n \"learner_model_param\"").unwrap();
    let model = format!("{}{tree}{}", &MODEL[..start], &MODEL[end..]);
    let refused = read_json(model.as_bytes()).err();
    let expected = "tree 0: there are too many categories".to_owned();
    assert_eq!(refused, Some(Reject::Malformed(expected)));
}

#[test]
fn announced_sizes_are_believed_only_with_bytes_behind_them() {
    let long = |head: &[u8]| {
        let mut file = b"{L\0\0\0\0\0\0\0\x07learner".to_vec();
        file.extend_from_slice(head);
        file
    };
    for head in [
        &b"[$d#L\x7f\xff\xff\xff\xff\xff\xff\xff"[..],
        b"[$L#L\0\0\0\0\x40\0\0\0",
        b"[#L\0\0\0\0\x40\0\0\0",
        b"{#L\0\0\0\0\x40\0\0\0",
        b"SL\0\0\0\0\x40\0\0\0",
        b"[$Z#L\0\0\0\0\x40\0\0\0",
        b"[$N#L\0\0\0\0\x40\0\0\0",
        b"[#L\xff\xff\xff\xff\xff\xff\xff\xff",
    ] {
        let file = long(head);
        assert_eq!(Format::of(&file), Format::XgboostUbj);
        assert!(
            matches!(read_ubj(&file), Err(Reject::Malformed(_))),
            "{head:?}"
        );
    }
}

#[test]
fn nesting_is_bounded() {
    for file in ["[".repeat(100_000), "{\"a\":".repeat(100_000)] {
        let said = read_json(file.as_bytes()).err();
        assert!(matches!(said, Some(Reject::Malformed(why)) if why.contains("too deep")));
    }
    let said = read_ubj(&b"[".repeat(100_000)).err();
    assert!(matches!(said, Some(Reject::Malformed(why)) if why.contains("too deep")));
}

#[test]
fn json_is_read_whole() {
    use super::doc::Doc;
    use super::json::read;
    let text = |t: &str| Ok(Doc::Text(t.to_owned()));
    assert_eq!(
        read(br#" "a\"\\\u00e9\ud83d\ude00\n" "#),
        text("a\"\\é😀\n")
    );
    let list = read(b"[1, -2, 0.1, 16777217, NaN, -Infinity, true]");
    let Ok(Doc::Numbers(numbers)) = list else {
        panic!("{list:?}")
    };
    // A fraction is XGBoost's single precision, a whole number is not.
    assert_eq!(numbers[..4], [1.0, -2.0, f64::from(0.1f32), 16_777_217.0]);
    assert!(numbers[4].is_nan());
    assert_eq!(numbers[5..], [f64::NEG_INFINITY, 1.0]);
    for wrong in [
        "",
        "[",
        "[1",
        "[1,",
        "[1,]",
        "{",
        "{\"a\"",
        "{\"a\":",
        "{\"a\":1",
        "{\"a\":1,}",
        "\"a",
        "\"\\x\"",
        "\"\\u12\"",
        "\"\\ud800\"",
        "\"\\udc00\"",
        "1 2",
        "-",
        "1e",
        "tru",
        "1.2.3",
    ] {
        assert!(read(wrong.as_bytes()).is_err(), "{wrong}");
    }
}
