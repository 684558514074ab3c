//! Bodies that are not JSON, not of a request's shape, or beyond a limit: `RequestBodyInvalid`.

mod common;

use common::*;
use tables::request::{InputPort, decode};
use tables::{DataType, Field, Limits, Scalar};

#[test]
fn what_is_no_json_is_refused() {
    let right = r#"{"Inputs":{"input1":{"ColumnNames":["x","y"],"Values":[[1,"a"]]}}}"#;
    assert!(v2(right, &[xy()]).is_ok());
    for end in 0..right.len() {
        assert_fault(
            v2(&right[..end], &[xy()]),
            INVALID,
            &invalid_target(&right[..end]),
        );
    }
    for (body, target) in [
        ("", ""),
        ("  ", ""),
        ("\u{feff}", ""),
        ("{}{}", ""),
        ("{},", ""),
        ("nul", ""),
        ("nulll", ""),
        (r#"{"Inputs":{},}"#, ""),
        (r#"{"Inputs":{}"GlobalParameters":{}}"#, ""),
        (r#"{Inputs:{}}"#, ""),
        (r#"{'Inputs':{}}"#, ""),
        (r#"{"Inputs"={}}"#, ""),
        (
            r#"// c
            {}"#,
            "",
        ),
        (
            r#"{"Inputs":{"input1":[{"x":1,"y":"a"},]}}"#,
            "Inputs/input1",
        ),
        (
            r#"{"Inputs":{"input1":[{"x":1,"y":"a",}]}}"#,
            "Inputs/input1",
        ),
        (
            r#"{"Inputs":{"input1":[{"x":01,"y":"a"}]}}"#,
            "Inputs/input1",
        ),
        (
            r#"{"Inputs":{"input1":[{"x":1.,"y":"a"}]}}"#,
            "Inputs/input1",
        ),
        (
            r#"{"Inputs":{"input1":[{"x":.5,"y":"a"}]}}"#,
            "Inputs/input1",
        ),
        (
            r#"{"Inputs":{"input1":[{"x":+1,"y":"a"}]}}"#,
            "Inputs/input1",
        ),
        (
            r#"{"Inputs":{"input1":[{"x":-,"y":"a"}]}}"#,
            "Inputs/input1",
        ),
        (
            r#"{"Inputs":{"input1":[{"x":1e,"y":"a"}]}}"#,
            "Inputs/input1",
        ),
        (
            r#"{"Inputs":{"input1":[{"x":0x1,"y":"a"}]}}"#,
            "Inputs/input1",
        ),
        (
            r#"{"Inputs":{"input1":[{"x":nan,"y":"a"}]}}"#,
            "Inputs/input1",
        ),
        (
            r#"{"Inputs":{"input1":[{"x":+Infinity,"y":"a"}]}}"#,
            "Inputs/input1",
        ),
        (
            r#"{"Inputs":{"input1":[{"x":1,"y":"a\x"}]}}"#,
            "Inputs/input1",
        ),
        (
            r#"{"Inputs":{"input1":[{"x":1,"y":"\u12g4"}]}}"#,
            "Inputs/input1",
        ),
        (
            r#"{"Inputs":{"input1":[{"x":1,"y":"\ud83d"}]}}"#,
            "Inputs/input1",
        ),
        (
            r#"{"Inputs":{"input1":[{"x":1,"y":"\ud83dx\ude00"}]}}"#,
            "Inputs/input1",
        ),
        (
            r#"{"Inputs":{"input1":[{"x":1,"y":"\ude00"}]}}"#,
            "Inputs/input1",
        ),
        (
            "{\"Inputs\":{\"input1\":[{\"x\":1,\"y\":\"a\nb\"}]}}",
            "Inputs/input1",
        ),
        (
            "{\"Inputs\":{\"input1\":[{\"x\":1,\"y\":\"12345678\u{1f}\"}]}}",
            "Inputs/input1",
        ),
    ] {
        let fault = assert_fault(v2(body, &[xy()]), INVALID, &[target]);
        assert!(fault.cause().is_some(), "{body}");
    }
    let latin1 = b"{\"Inputs\":{\"input1\":[{\"x\":1,\"y\":\"\xe4\"}]}}";
    let fault = assert_fault(v2_bytes(latin1, &[xy()]), INVALID, &[""]);
    assert_eq!(fault.cause(), Some("byte 33: the body is not UTF-8"));
}

/// The part in which a body cut off there ends.
fn invalid_target(begin: &str) -> [&str; 1] {
    let inside = |mark: &str, close: &str| match begin.split_once(mark) {
        Some((_, rest)) => !rest.contains(close),
        None => false,
    };
    [match () {
        () if inside("\"ColumnNames\":", "]") => "Inputs/input1/ColumnNames",
        () if inside("\"Values\":", "]]") => "Inputs/input1/Values",
        () if inside("\"input1\":", "]]}") => "Inputs/input1",
        () if inside("\"Inputs\":", "]]}}") => "Inputs",
        () => "",
    }]
}

#[test]
fn numbers_that_end_too_early_are_refused_whatever_their_length() {
    let body = |cell: &str| {
        format!(r#"{{"Inputs":{{"input1":{{"ColumnNames":["x","y"],"Values":[[{cell},"a"]]}}}}}}"#)
    };
    for digits in 1..30 {
        let whole = "1".repeat(digits);
        assert!(v2(&body(&whole), &[xy()]).is_ok());
        for end in [".", ".e1", "e", "E+", ".1.", ".1e", "..1", "-"] {
            let fault = v2(&body(&format!("{whole}{end}")), &[xy()]).unwrap_err();
            assert_eq!(fault.name(), INVALID, "{whole}{end}");
        }
        for fraction in 1..30 {
            let number = format!("{whole}.{}", "3".repeat(fraction));
            let tables = v2(&body(&number), &[xy()]).unwrap();
            assert_eq!(tables[0].column(0).number(0), number.parse().ok());
            for end in [".", "e", "-", ".0"] {
                assert_eq!(
                    v2(&body(&format!("{number}{end}")), &[xy()])
                        .unwrap_err()
                        .name(),
                    INVALID
                );
            }
        }
    }
}

#[test]
fn what_has_another_shape_is_refused() {
    for (body, target) in [
        ("5", ""),
        ("\"Inputs\"", ""),
        ("[1]", ""),
        ("[{}]", ""),
        (r#"{"Inputs":5}"#, "Inputs"),
        (r#"{"Inputs":[]}"#, "Inputs"),
        (r#"{"Inputs":"input1"}"#, "Inputs"),
        (r#"{"Inputs":{"input1":5}}"#, "Inputs/input1"),
        (r#"{"Inputs":{"input1":"x"}}"#, "Inputs/input1"),
        // One bare row object.
        (r#"{"Inputs":{"input1":{"x":1,"y":"a"}}}"#, "Inputs/input1"),
        (r#"{"Inputs":{"input1":{}}}"#, "Inputs/input1"),
        (r#"{"Inputs":{"input1":[[1,"a"]]}}"#, "Inputs/input1"),
        (
            r#"{"Inputs":{"input1":[{"x":1,"y":"a"},5]}}"#,
            "Inputs/input1",
        ),
        (r#"{"Inputs":{"input1":[null]}}"#, "Inputs/input1"),
        (
            r#"{"Inputs":{"input1":[{"x":[1],"y":"a"}]}}"#,
            "Inputs/input1",
        ),
        (r#"{"Inputs":{"input1":[{"x":1,"y":{}}]}}"#, "Inputs/input1"),
        (r#"{"Inputs":{"input1":{"Values":[]}}}"#, "Inputs/input1"),
        (
            r#"{"Inputs":{"input1":{"ColumnNames":["x","y"]}}}"#,
            "Inputs/input1",
        ),
        (
            r#"{"Inputs":{"input1":{"ColumnNames":null,"Values":[]}}}"#,
            "Inputs/input1/ColumnNames",
        ),
        (
            r#"{"Inputs":{"input1":{"ColumnNames":["x",5],"Values":[]}}}"#,
            "Inputs/input1/ColumnNames",
        ),
        (
            r#"{"Inputs":{"input1":{"ColumnNames":{"x":1},"Values":[]}}}"#,
            "Inputs/input1/ColumnNames",
        ),
        (
            r#"{"Inputs":{"input1":{"ColumnNames":["x","y"],"Values":null}}}"#,
            "Inputs/input1/Values",
        ),
        (
            r#"{"Inputs":{"input1":{"ColumnNames":["x","y"],"Values":[1,"a"]}}}"#,
            "Inputs/input1/Values",
        ),
        (
            r#"{"Inputs":{"input1":{"Values":[1,"a"],"ColumnNames":["x","y"]}}}"#,
            "Inputs/input1/Values",
        ),
        (
            r#"{"Inputs":{"input1":{"ColumnNames":["x","y"],"Values":[[[1],"a"]]}}}"#,
            "Inputs/input1/Values",
        ),
        (r#"{"Inputs":{},"GlobalParameters":[]}"#, "GlobalParameters"),
        (
            r#"{"Inputs":{},"GlobalParameters":"a"}"#,
            "GlobalParameters",
        ),
        (
            r#"{"Inputs":{},"GlobalParameters":{"a":[1]}}"#,
            "GlobalParameters",
        ),
    ] {
        assert_fault(v2(body, &[xy()]), INVALID, &[target]);
    }
}

#[test]
fn a_name_that_stands_twice_is_refused() {
    for (body, target) in [
        (r#"{"Inputs":{"input1":[]},"Inputs":{"input1":[]}}"#, ""),
        (r#"{"Inputs":{"input1":[]},"a":1,"b":2,"a":3}"#, ""),
        (r#"{"Inputs":{"input1":[],"input1":[]}}"#, "Inputs"),
        (r#"{"Inputs":{"input1":[],"\u0069nput1":[]}}"#, "Inputs"),
        (r#"{"Inputs":{"other":1,"other":1}}"#, "Inputs"),
        (
            r#"{"Inputs":{"input1":{"ColumnNames":"x","Values":[],"Values":[]}}}"#,
            "Inputs/input1",
        ),
        (
            r#"{"Inputs":{"input1":{"ColumnNames":"x","Values":[],"ColumnNames":"x"}}}"#,
            "Inputs/input1",
        ),
        (
            r#"{"Inputs":{"input1":[{"x":1,"y":"a","x":1}]}}"#,
            "Inputs/input1",
        ),
        (
            r#"{"Inputs":{"input1":[{"y":1,"x":1,"\u0079":"a"}]}}"#,
            "Inputs/input1",
        ),
        (
            r#"{"Inputs":{"input1":[{"x":1,"y":"a","q":1,"q":1}]}}"#,
            "Inputs/input1",
        ),
        (
            r#"{"Inputs":{"input1":[]},"GlobalParameters":{"a":1,"a":1}}"#,
            "GlobalParameters",
        ),
    ] {
        assert_fault(v2(body, &[xy()]), INVALID, &[target]);
    }
    // The same key in two rows is none of that.
    let body = r#"{"Inputs":{"input1":[{"x":1,"y":"a","q":1},{"x":1,"y":"a","q":1}]}}"#;
    assert_fault(v2(body, &[xy()]), MISMATCH, &["input1/q"]);
}

#[test]
fn limits_are_kept() {
    let limits = Limits {
        rows: 2,
        columns: 3,
        cell_bytes: 4,
        depth: 5,
    };
    let decoded = |body: &str, ports: &[InputPort]| {
        decode(body.as_bytes(), ports, &limits, any_parameters).map(|(tables, ())| tables)
    };
    let wide = |n| {
        port(
            "i",
            (0..n)
                .map(|i| Field::new(format!("c{i}"), DataType::String))
                .collect(),
        )
    };
    for (body, port, cause) in [
        (r#"{"Inputs":{"i":[{"c0":""},{"c0":""}]}}"#, wide(1), None),
        (
            r#"{"Inputs":{"i":[{"c0":""},{"c0":""},{"c0":""}]}}"#,
            wide(1),
            Some("more rows"),
        ),
        (
            r#"{"Inputs":{"i":{"ColumnNames":"c0","Values":[[""],[""]]}}}"#,
            wide(1),
            None,
        ),
        (
            r#"{"Inputs":{"i":{"ColumnNames":"c0","Values":[[""],[""],[""]]}}}"#,
            wide(1),
            Some("more rows"),
        ),
        (
            r#"{"Inputs":{"i":{"Values":[[""],[""],[""]],"ColumnNames":"c0"}}}"#,
            wide(1),
            Some("more rows"),
        ),
        (
            r#"{"Inputs":{"i":[{"c0":"","c1":"","c2":""}]}}"#,
            wide(3),
            None,
        ),
        (
            r#"{"Inputs":{"i":[{"c0":"","c1":"","c2":"","c3":""}]}}"#,
            wide(4),
            Some("more columns"),
        ),
        (
            r#"{"Inputs":{"i":{"ColumnNames":["c0","c1","c2","c3"],"Values":[]}}}"#,
            wide(4),
            Some("more columns"),
        ),
        (r#"{"Inputs":{"i":[{"c0":"abcd"}]}}"#, wide(1), None),
        (r#"{"Inputs":{"i":[{"c0":"\u0061bcd"}]}}"#, wide(1), None),
        (
            r#"{"Inputs":{"i":[{"c0":"abcde"}]}}"#,
            wide(1),
            Some("longer than the limit of a cell"),
        ),
        (
            r#"{"Inputs":{"i":[{"c0":"\u0061bcde"}]}}"#,
            wide(1),
            Some("longer than the limit of a cell"),
        ),
        (
            r#"{"Inputs":{"i":[{"c0":12345}]}}"#,
            wide(1),
            Some("longer than the limit of a cell"),
        ),
        (
            r#"{"Inputs":{"i":[]},"GlobalParameters":{"a":"abcde"}}"#,
            wide(1),
            Some("longer than the limit of a cell"),
        ),
        (
            r#"{"Inputs":{"i":[]},"a":[[[[]]]],"b":"abcdefgh"}"#,
            wide(1),
            None,
        ),
        (
            r#"{"Inputs":{"i":[]},"a":[[[[[]]]]]}"#,
            wide(1),
            Some("nested beyond the limit"),
        ),
        (
            r#"{"Inputs":{"i":[]},"a":{"a":{"a":{"a":{"a":{}}}}}}"#,
            wide(1),
            Some("nested beyond the limit"),
        ),
    ] {
        let result = decoded(body, &[port]);
        match cause {
            None => assert!(result.is_ok(), "{body}"),
            Some(cause) => {
                let fault = result.expect_err(body);
                assert_eq!(fault.name(), INVALID, "{body}");
                assert!(
                    fault.cause().unwrap().contains(cause),
                    "{body}: {:?}",
                    fault.cause()
                );
            }
        }
    }
    let number = port("i", vec![Field::new("c0", DataType::Double)]);
    assert!(
        decoded(
            r#"{"Inputs":{"i":[{"c0":1234}, {"c0":"1234"}]}}"#,
            std::slice::from_ref(&number)
        )
        .is_ok()
    );
    for cell in ["12345", "\"12345\"", "1.234"] {
        let body = format!(r#"{{"Inputs":{{"i":[{{"c0":{cell}}}]}},"padding":null}}"#);
        assert_fault(
            decoded(&body, std::slice::from_ref(&number)),
            INVALID,
            &["Inputs/i"],
        );
    }
}

#[test]
fn objects_have_a_limit_of_members() {
    for (place, target) in [
        ("Inputs", "Inputs"),
        ("GlobalParameters", "GlobalParameters"),
    ] {
        let members = |n| {
            (0..n)
                .map(|i| format!("\"p{i}\":1"))
                .collect::<Vec<_>>()
                .join(",")
        };
        let body = format!(r#"{{"{place}":{{{}}}}}"#, members(4_097));
        let fault = assert_fault(v2(&body, &two()), INVALID, &[target]);
        assert!(
            fault
                .cause()
                .unwrap()
                .contains("more members than the limit")
        );
    }
    let many: Vec<_> = (0..4_096).map(|i| format!("\"p{i}\":1")).collect();
    let body = format!(
        r#"{{"Inputs":{{"input1":[]}},"GlobalParameters":{{{}}}}}"#,
        many.join(",")
    );
    let count = |given: &[(String, Scalar)]| Ok(given.len());
    let (_, given) = decode(body.as_bytes(), &[xy()], &Limits::default(), count).unwrap();
    assert_eq!(given, 4_096);
}

#[test]
fn depth_costs_no_stack() {
    for (open, inner, close) in [("[", "", "]"), ("{\"a\":", "1", "}")] {
        for place in ["ignored", "Inputs", "GlobalParameters"] {
            let nest = open.repeat(1_000_000);
            let unclosed = format!("{{\"{place}\":{nest}");
            let fault = v2(&unclosed, &[xy()]).unwrap_err();
            assert_eq!(fault.name(), INVALID);
            let closed = format!("{unclosed}{inner}{}}}", close.repeat(1_000_000));
            assert_eq!(v2(&closed, &[xy()]).unwrap_err().name(), INVALID);
        }
    }
    // As deep as an operator may wish.
    let limits = Limits {
        depth: 2_000_000,
        ..Limits::default()
    };
    let deep = format!(
        r#"{{"a":{}{},"Inputs":{{"input1":[]}}}}"#,
        "[".repeat(1_000_000),
        "]".repeat(1_000_000)
    );
    assert!(decode(deep.as_bytes(), &[xy()], &limits, any_parameters).is_ok());
}
