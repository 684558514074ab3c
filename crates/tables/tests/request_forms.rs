//! The forms of request bodies: what is taken, what is refused, and which fault comes first.

mod common;

use std::cell::RefCell;

use common::*;
use faults::bad_argument;
use tables::request::{decode, decode_v1};
use tables::{DataType, Field, Limits, Scalar};

#[test]
fn a_table_is_taken() {
    let body = r#"{"Inputs":{"input1":{"ColumnNames":["age","name","score"],
        "Values":[["39","Ann",0.5],[50,"Bob",null]]}},"GlobalParameters":{}}"#;
    let tables = v2(body, &[people()]).unwrap();
    assert_eq!(rows(&tables[0]), [["39", "Ann", "0.5"], ["50", "Bob", "∅"]]);
}

#[test]
fn row_objects_are_taken() {
    let body = r#"{"Inputs":{"input1":[{"age":39,"name":"Ann","score":0.5},
        {"score":"","name":"Bob","age":"50"}]},"GlobalParameters":null}"#;
    let tables = v2(body, &[people()]).unwrap();
    assert_eq!(rows(&tables[0]), [["39", "Ann", "0.5"], ["50", "Bob", "∅"]]);
}

#[test]
fn each_input_has_its_own_form_and_tables_come_in_the_ports_order() {
    let body = r#"{"Inputs":{"Input2":[{"z":1},{"z":2}],
        "input1":{"ColumnNames":["x","y"],"Values":[[1,"a"]]}}}"#;
    let tables = v2(body, &two()).unwrap();
    assert_eq!(rows(&tables[0]), [["1", "a"]]);
    assert_eq!(rows(&tables[1]), [["1"], ["2"]]);
}

#[test]
fn columns_come_in_any_order() {
    for body in [
        r#"{"Inputs":{"input1":{"ColumnNames":["y","x"],"Values":[["a",1],["b",2]]}}}"#,
        r#"{"Inputs":{"input1":[{"y":"a","x":1},{"y":"b","x":2}]}}"#,
        r#"{"Inputs":{"input1":[{"y":"a","x":1},{"x":2,"y":"b"}]}}"#,
        r#"{"Inputs":{"input1":[{"x":1,"y":"a"},{"y":"b","x":2}]}}"#,
        r#"{"Inputs":{"input1":[{"\u0078":1,"\u0079":"a"},{"y":"b","\u0078":2}]}}"#,
    ] {
        assert_eq!(
            rows(&v2(body, &[xy()]).unwrap()[0]),
            [["1", "a"], ["2", "b"]],
            "{body}"
        );
    }
}

#[test]
fn values_may_come_before_their_names() {
    let body = r#"{"GlobalParameters":{},"Inputs":{"input1":
        {"Values":[["a\n",1],["b",2]],"note":{"x":[1]},"ColumnNames":["y","x"]}}}"#;
    assert_eq!(
        rows(&v2(body, &[xy()]).unwrap()[0]),
        [["1", "a\n"], ["2", "b"]]
    );
    let body = r#"{"Inputs":{"input1":{"Values":[["a"]],"ColumnNames":["y","x"]}}}"#;
    assert_fault(v2(body, &[xy()]), PARSE, &["input1"]);
}

#[test]
fn one_column_may_be_named_by_a_bare_string() {
    let body = r#"{"Inputs":{"input1":{"ColumnNames":"x","Values":[["1"],["2"]]}}}"#;
    assert_eq!(rows(&v2(body, &[x()]).unwrap()[0]), [["1"], ["2"]]);
    let body = r#"{"Inputs":{"input1":{"ColumnNames":"\u0078","Values":[[1]]}}}"#;
    assert_eq!(rows(&v2(body, &[x()]).unwrap()[0]), [["1"]]);
    // It still names one column only.
    let body = r#"{"Inputs":{"input1":{"ColumnNames":"x","Values":[[1,"a"]]}}}"#;
    assert_fault(v2(body, &[xy()]), MISMATCH, &["input1/y"]);
}

#[test]
fn names_that_need_escapes_are_found() {
    let odd = "a\"b\\c\td\u{1F600}";
    let odd_port = port("input1", vec![Field::new(odd, DataType::Double)]);
    for name in [
        r#""a\"b\\c\td😀""#,
        r#""a\"b\\c\td\ud83d\ude00""#,
        r#""\u0061\u0022b\\c\u0009d\uD83D\uDE00""#,
    ] {
        for body in [
            format!(r#"{{"Inputs":{{"input1":[{{{name}:1}},{{{name}:2}}]}}}}"#),
            format!(r#"{{"Inputs":{{"input1":{{"ColumnNames":[{name}],"Values":[[1],[2]]}}}}}}"#),
        ] {
            let tables = v2(&body, std::slice::from_ref(&odd_port)).unwrap();
            assert_eq!(rows(&tables[0]), [["1"], ["2"]], "{body}");
        }
    }
}

#[test]
fn no_rows_are_rows_too() {
    for body in [
        r#"{"Inputs":{"input1":[]}}"#,
        r#"{"Inputs":{"input1":{"ColumnNames":["x","y"],"Values":[]}}}"#,
    ] {
        let tables = v2(body, &[xy()]).unwrap();
        assert_eq!((tables[0].rows(), tables[0].schema().len()), (0, 2));
    }
    let nothing = port("input1", vec![]);
    let body = r#"{"Inputs":{"input1":{"ColumnNames":[],"Values":[[],[]]}}}"#;
    assert_eq!(
        v2(body, std::slice::from_ref(&nothing)).unwrap()[0].rows(),
        2
    );
    let body = r#"{"Inputs":{"input1":[{},{},{}]}}"#;
    assert_eq!(v2(body, &[nothing]).unwrap()[0].rows(), 3);
}

#[test]
fn members_nobody_knows_are_checked_and_ignored() {
    let body = r#"{"Id":7,"Inputs":{"input1":{"type":{"a":[{}],"a":null},"ColumnNames":["x"],
        "ColumnTypes":["Double"],"Values":[[1]]}},"Outputs":[[[]]],"inputs":NaN}"#;
    assert_eq!(rows(&v2(body, &[x()]).unwrap()[0]), [["1"]]);
    let body = r#"{"Inputs":{"input1":[{"x":1}]},"more":{"a":01}}"#;
    assert_fault(v2(body, &[x()]), INVALID, &[""]);
}

#[test]
fn a_byte_order_mark_and_blanks_are_skipped() {
    let body = "\u{feff} \r\n\t{\"Inputs\" : { \"input1\" : [ { \"x\" : 1 , \"y\":\"a\" } ] } } \n";
    assert_eq!(rows(&v2(body, &[xy()]).unwrap()[0]), [["1", "a"]]);
    assert_fault(v2("\u{feff}\u{feff}{}", &[xy()]), INVALID, &[""]);
    assert_fault(v2("{}\u{a0}", &[xy()]), INVALID, &[""]);
}

#[test]
fn what_says_nothing_is_empty() {
    for body in ["null", " {} ", "[]", "\u{feff}[ ]\n"] {
        assert_fault(v2(body, &[xy()]), EMPTY, &[""]);
        // Without inputs there is nothing to say.
        assert!(v2(body, &[]).unwrap().is_empty());
        let refused = |_: &[(String, Scalar)]| -> Result<(), _> {
            Err(bad_argument::missing_required_global_parameters())
        };
        let result = decode(body.as_bytes(), &[], &Limits::default(), refused);
        let fault = assert_fault(result, EMPTY, &[""]);
        assert_eq!(
            fault.cause(),
            Some("BadArgument.MissingRequiredGlobalParameters")
        );
    }
    assert_fault(v2("", &[xy()]), INVALID, &[""]);
    assert!(v2("", &[]).unwrap().is_empty());
    assert_fault(v2("", &[x()]), INVALID, &[""]);
}

#[test]
fn a_missing_input_is_named() {
    for body in [
        r#"{"a":1}"#,
        r#"{"Inputs":null}"#,
        r#"{"Inputs":{}}"#,
        r#"{"inputs":{"input1":[]}}"#,
        r#"{"GlobalParameters":{}}"#,
    ] {
        assert_fault(v2(body, &[xy()]), NO_INPUT, &[""]);
        assert_fault(v2(body, &two()), NO_INPUT, &[""]);
    }
    let one = r#"{"Inputs":{"input1":[]}}"#;
    assert_fault(v2(one, &two()), NO_INPUT, &["Input2"]);
    let null = r#"{"Inputs":{"input1":null}}"#;
    assert_fault(v2(null, &[xy()]), NO_INPUT, &["input1"]);
    let null = r#"{"Inputs":{"input1":[],"Input2":null}}"#;
    assert_fault(v2(null, &two()), NO_INPUT, &["Input2"]);
}

#[test]
fn names_that_no_port_has_are_listed() {
    let body = r#"{"Inputs":{"Input1":[]}}"#;
    let fault = assert_fault(v2(body, &[xy()]), NAMES, &[""]);
    assert_eq!(parts(&fault).2, ["Input1"]);
    let body = r#"{"Inputs":{"input1":[],"a":[1,{"b":[]}],"b":null,"Input2":[]}}"#;
    let fault = assert_fault(v2(body, &two()), NAMES, &[""]);
    assert_eq!(parts(&fault).2, ["a, b"]);
    let fault = assert_fault(v2(r#"{"Inputs":{"input1":[]}}"#, &[]), NAMES, &[""]);
    assert_eq!(parts(&fault).2, ["input1"]);
    let many: Vec<String> = (0..100)
        .map(|i| format!("\"{}{i}\":0", "n".repeat(100)))
        .collect();
    let body = format!(r#"{{"Inputs":{{{}}}}}"#, many.join(","));
    let fault = assert_fault(v2(&body, &two()), NAMES, &[""]);
    assert!(
        parts(&fault).2[0].len() < 16 * 70,
        "a reply does not echo everything"
    );
}

#[test]
fn several_inputs_for_a_service_with_one_are_too_many() {
    let body = r#"{"Inputs":{"input1":[],"input2":[]}}"#;
    assert_fault(v2(body, &[xy()]), SEVERAL, &[""]);
    let body = r#"{"Inputs":{"a":[],"b":[]}}"#;
    assert_fault(v2(body, &[xy()]), SEVERAL, &[""]);
}

#[test]
fn columns_at_fault_are_listed() {
    for (body, targets) in [
        (
            r#"{"Inputs":{"input1":{"ColumnNames":["x"],"Values":[[1]]}}}"#,
            vec!["input1/y"],
        ),
        (
            r#"{"Inputs":{"input1":{"ColumnNames":["X","y"],"Values":[]}}}"#,
            vec!["input1/X", "input1/x"],
        ),
        (
            r#"{"Inputs":{"input1":{"ColumnNames":["x","y","x"],"Values":[]}}}"#,
            vec!["input1/x"],
        ),
        (
            r#"{"Inputs":{"input1":{"ColumnNames":["x","y","q","q"],"Values":[]}}}"#,
            vec!["input1/q"],
        ),
        (
            r#"{"Inputs":{"input1":{"ColumnNames":[],"Values":[]}}}"#,
            vec!["input1/x", "input1/y"],
        ),
        (
            r#"{"Inputs":{"input1":{"Values":[],"ColumnNames":["y","y"]}}}"#,
            vec!["input1/y", "input1/x"],
        ),
        (r#"{"Inputs":{"input1":[{"x":1}]}}"#, vec!["input1/y"]),
        (
            r#"{"Inputs":{"input1":[{}]}}"#,
            vec!["input1/x", "input1/y"],
        ),
        (
            r#"{"Inputs":{"input1":[{"x":1,"y":"a"},{"y":"b","q":1}]}}"#,
            vec!["input1/q", "input1/x"],
        ),
        (
            r#"{"Inputs":{"input1":[{"x":1,"y":"a"},{"y":"b"}]}}"#,
            vec!["input1/x"],
        ),
    ] {
        assert_fault(v2(body, &[xy()]), MISMATCH, &targets);
    }
    let body = r#"{"Inputs":{"Input2":[{}],"input1":[{}]}}"#;
    assert_fault(
        v2(body, &two()),
        MISMATCH,
        &["input1/x", "input1/y", "Input2/z"],
    );
    let wide = port(
        "i",
        (0..100)
            .map(|i| Field::new(format!("c{i}"), DataType::Double))
            .collect(),
    );
    let fault = v2(r#"{"Inputs":{"i":[{}]}}"#, &[wide]).unwrap_err();
    assert_eq!(fault.details().len(), 16);
    assert!(
        fault
            .details()
            .iter()
            .all(|detail| detail.code == "InputMismatchError")
    );
}

#[test]
fn a_row_of_another_length_is_named() {
    let body = r#"{"Inputs":{"input1":{"ColumnNames":["x","y"],"Values":[[1,"a"],[2]]}}}"#;
    let fault = assert_fault(v2(body, &[xy()]), PARSE, &["input1"]);
    assert_eq!(parts(&fault).2, ["row 2 has 1 cell for 2 columns"]);
    // It explains the cell that does not fit, too.
    let body = r#"{"Inputs":{"input1":{"ColumnNames":["x","y"],"Values":[["a",1,2]]}}}"#;
    let fault = assert_fault(v2(body, &[xy()]), PARSE, &["input1"]);
    assert_eq!(parts(&fault).2, ["row 1 has 3 cells for 2 columns"]);
    // But not one in an earlier row.
    let body = r#"{"Inputs":{"input1":{"ColumnNames":["x","y"],"Values":[["a","b"],[]]}}}"#;
    let fault = assert_fault(v2(body, &[xy()]), PARSE, &["input1/x"]);
    assert_eq!(
        parts(&fault).2,
        ["row 1, column \"x\": \"a\" is not a Double"]
    );
}

#[test]
fn parameters_are_given_as_they_were_sent() {
    let body = r#"{"GlobalParameters":{"a":5.0,"b":"t\u0065xt","c":true,"d":null,"e":NaN,"f":-Infinity},
        "Inputs":{"input1":[]}}"#;
    let seen = RefCell::new(Vec::new());
    let check = |given: &[(String, Scalar)]| {
        seen.borrow_mut().extend_from_slice(given);
        Ok("made of them")
    };
    let (_, made) = decode(body.as_bytes(), &[xy()], &Limits::default(), check).unwrap();
    assert_eq!(made, "made of them");
    let number = |text: &str| Scalar::Number(text.to_owned());
    let expected = [
        ("a", number("5.0")),
        ("b", Scalar::String("text".to_owned())),
        ("c", Scalar::Bool(true)),
        ("d", Scalar::Null),
        ("e", number("NaN")),
        ("f", number("-Infinity")),
    ];
    assert_eq!(
        seen.take(),
        expected.map(|(name, value)| (name.to_owned(), value))
    );
}

#[test]
fn the_order_of_verdicts_does_not_depend_on_the_order_of_members() {
    let ports = two();
    // One part of each kind of fault, the worst first; every order of the members.
    let parts = [
        (r#""a":tru"#, INVALID),
        (r#""b":1"#, NAMES),
        (r#""p":1"#, "BadArgument.UnexpectedParameter"),
        (r#"["x"]"#, MISMATCH),
        (r#""no number""#, PARSE),
    ];
    let check = |given: &[(String, Scalar)]| match given.is_empty() {
        true => Ok(()),
        false => Err(bad_argument::unexpected_parameter()),
    };
    for at_fault in 0u32..32 {
        let has = |i: usize| at_fault & (1 << i) != 0;
        let names = if has(3) { parts[3].0 } else { r#"["x","y"]"# };
        let cell = if has(4) { parts[4].0 } else { "1" };
        let values = format!(r#"[[{cell},"a"]]"#);
        let mut inputs = vec![
            format!(r#""input1":{{"ColumnNames":{names},"Values":{values}}}"#),
            r#""Input2":[{"z":1}]"#.to_owned(),
        ];
        if has(1) {
            inputs.push(parts[1].0.to_owned());
        }
        let parameters = if has(2) { parts[2].0 } else { "" };
        for turn in 0..inputs.len() {
            inputs.rotate_left(turn);
            let mut members = vec![
                format!(r#""Inputs":{{{}}}"#, inputs.join(",")),
                format!(r#""GlobalParameters":{{{parameters}}}"#),
            ];
            if has(0) {
                members.push(parts[0].0.to_owned());
            }
            for _ in 0..members.len() {
                members.rotate_left(1);
                let body = format!("{{{}}}", members.join(","));
                let result = decode(body.as_bytes(), &ports, &Limits::default(), check);
                let expected = (0..5).find(|&i| has(i)).map(|i| parts[i].1);
                // A row of one named column and two cells is at fault as well, but later.
                let found = result.err().map(|fault| fault.name());
                assert_eq!(found.as_deref(), expected, "{body}");
            }
        }
    }
}

#[test]
fn the_first_cell_at_fault_is_that_of_the_first_port() {
    let body =
        r#"{"Inputs":{"Input2":[{"z":"bad"}],"input1":[{"x":1,"y":"a"},{"x":"worse","y":"a"}]}}"#;
    assert_fault(v2(body, &two()), PARSE, &["input1/x"]);
}

#[test]
fn a_v1_body_is_one_row() {
    for body in [
        r#"{"Id":"score00001","Instance":{"FeatureVector":{"x":"27.78","y":"a"},"GlobalParameters":{}}}"#,
        r#"{"Instance":{"GlobalParameters":null,"FeatureVector":{"y":"a","x":27.78}},"Id":[1]}"#,
        r#"{"Instance":{"FeatureVector":{"y":"a","x":27.78}}}"#,
    ] {
        assert_eq!(rows(&v1(body, &xy()).unwrap()), [["27.78", "a"]], "{body}");
    }
    let body = br#"{"Instance":{"FeatureVector":{"x":1},"GlobalParameters":{"Random seed":"7"}}}"#;
    let check = |given: &[(String, Scalar)]| Ok(given.to_vec());
    let (_, given) = decode_v1(body, &x(), &Limits::default(), check).unwrap();
    assert_eq!(
        given,
        [("Random seed".to_owned(), Scalar::String("7".to_owned()))]
    );
}

#[test]
fn a_v1_body_is_refused_as_a_v2_body_is() {
    for (body, name, targets) in [
        ("", INVALID, [""]),
        ("{", INVALID, [""]),
        ("null", EMPTY, [""]),
        ("{}", EMPTY, [""]),
        ("[]", EMPTY, [""]),
        ("5", INVALID, [""]),
        (r#"{"Id":"a"}"#, NO_INPUT, [""]),
        (r#"{"Inputs":{"input1":[]}}"#, NO_INPUT, [""]),
        (r#"{"Instance":null}"#, NO_INPUT, [""]),
        (r#"{"Instance":{}}"#, NO_INPUT, [""]),
        (r#"{"Instance":{"FeatureVector":null}}"#, NO_INPUT, [""]),
        (r#"{"Instance":{"FeatureVector":{}}}"#, NO_INPUT, [""]),
        (r#"{"Instance":[]}"#, INVALID, ["Instance"]),
        (
            r#"{"Instance":{"FeatureVector":[{"x":1,"y":"a"}]}}"#,
            INVALID,
            ["Instance/FeatureVector"],
        ),
        (
            r#"{"Instance":{"FeatureVector":{"x":[],"y":"a"}}}"#,
            INVALID,
            ["Instance/FeatureVector"],
        ),
        (
            r#"{"Instance":{"FeatureVector":{"x":1,"x":1}}}"#,
            INVALID,
            ["Instance/FeatureVector"],
        ),
        (
            r#"{"Instance":{"FeatureVector":{},"FeatureVector":{}}}"#,
            INVALID,
            ["Instance"],
        ),
        (
            r#"{"Instance":{"GlobalParameters":5}}"#,
            INVALID,
            ["GlobalParameters"],
        ),
        (
            r#"{"Instance":{"FeatureVector":{"x":1}}}"#,
            MISMATCH,
            ["input1/y"],
        ),
        (
            r#"{"Instance":{"FeatureVector":{"x":1,"y":"a","z":1}}}"#,
            MISMATCH,
            ["input1/z"],
        ),
        (
            r#"{"Instance":{"FeatureVector":{"x":"one","y":"a"}}}"#,
            PARSE,
            ["input1/x"],
        ),
    ] {
        assert_fault(v1(body, &xy()), name, &targets);
    }
    // Without columns there is nothing to leave out.
    let nothing = port("input1", vec![]);
    assert_eq!(
        v1(r#"{"Instance":{"FeatureVector":{}}}"#, &nothing)
            .unwrap()
            .rows(),
        1
    );
}

#[test]
fn many_rows_and_columns_are_taken() {
    let wide = port(
        "i",
        (0..300)
            .map(|i| Field::new(format!("c{i}"), DataType::Int32))
            .collect(),
    );
    let names: Vec<String> = (0..300).rev().map(|i| format!("\"c{i}\"")).collect();
    let row: Vec<String> = (0..300).rev().map(|i| i.to_string()).collect();
    let values = vec![format!("[{}]", row.join(",")); 200].join(",");
    let body = format!(
        r#"{{"Inputs":{{"i":{{"ColumnNames":[{}],"Values":[{values}]}}}}}}"#,
        names.join(",")
    );
    let tables = v2(&body, std::slice::from_ref(&wide)).unwrap();
    assert_eq!(tables[0].rows(), 200);
    assert!((0..300).all(|i| tables[0].column(i).number(199) == Some(i as f64)));
    let cells: Vec<String> = (0..300).rev().map(|i| format!("\"c{i}\":{i}")).collect();
    let objects = vec![format!("{{{}}}", cells.join(",")); 200].join(",");
    let again = v2(&format!(r#"{{"Inputs":{{"i":[{objects}]}}}}"#), &[wide]).unwrap();
    assert_eq!(again, tables);
}
