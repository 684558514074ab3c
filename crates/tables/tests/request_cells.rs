//! Cells in: lax in form, strict in type. Every rule for each type, in both forms of a request.

mod common;

use common::*;
use tables::{DataType, Field, text};

/// What a reply would show of that one cell in a column of that type.
fn cell(data_type: DataType, nullable: bool, json: &str) -> Result<Option<String>, String> {
    let mut field = Field::new("c", data_type);
    field.nullable = nullable;
    let port = port("i", vec![field]);
    // In the middle and at the end of a body, since short ends are read another way.
    let bodies = [
        format!(
            r#"{{"Inputs":{{"i":{{"ColumnNames":["c"],"Values":[[{json}]]}}}},"padding":"0123456789"}}"#
        ),
        format!(r#"{{"Inputs":{{"i":[{{"c":{json}}}]}}}}"#),
        format!("{{\"Inputs\":{{\"i\":[{{\"c\" : \n {json}\t}}]}},\"GlobalParameters\":{{}}}}"),
    ];
    let results = bodies.map(|body| match v2(&body, std::slice::from_ref(&port)) {
        Ok(tables) => Ok(texts(data_type, tables[0].column(0))[0].clone()),
        Err(fault) => {
            let (name, targets, mut args) = parts(&fault);
            assert_eq!(
                (name.as_str(), targets[0].as_str()),
                (PARSE, "i/c"),
                "{json} {fault:?}"
            );
            Err(args.remove(0))
        }
    });
    assert!(
        results.iter().all(|result| *result == results[0]),
        "{json}: {results:?}"
    );
    let [result, ..] = results;
    result
}

#[track_caller]
fn taken(data_type: DataType, cases: &[(&str, &str)]) {
    for (json, expected) in cases {
        for nullable in [false, true] {
            let found = cell(data_type, nullable, json);
            assert_eq!(
                found,
                Ok(Some((*expected).to_owned())),
                "{json} as {data_type:?}"
            );
        }
    }
}

#[track_caller]
fn refused(data_type: DataType, cases: &[&str]) {
    for json in cases {
        for nullable in [false, true] {
            let problem = cell(data_type, nullable, json).expect_err(json);
            assert!(problem.starts_with("row 1, column \"c\": "), "{problem}");
            assert!(problem.contains(data_type.name()), "{problem}");
        }
    }
}

#[test]
fn int32() {
    taken(
        DataType::Int32,
        &[
            ("5", "5"),
            ("-5", "-5"),
            ("0", "0"),
            ("-0", "0"),
            ("5.0", "5"),
            ("5.000000000000000000000000", "5"),
            ("5e0", "5"),
            ("50e-1", "5"),
            ("1E3", "1000"),
            (r#""5""#, "5"),
            (r#"" 5 ""#, "5"),
            (r#""\t5\n""#, "5"),
            (r#""5.0""#, "5"),
            (r#""+5""#, "5"),
            (r#""007""#, "7"),
            (r#""\u0035""#, "5"),
            ("2147483647", "2147483647"),
            ("-2147483648", "-2147483648"),
            (r#""2147483647.0""#, "2147483647"),
        ],
    );
    refused(
        DataType::Int32,
        &[
            "5.5",
            "5e-1",
            "0.0000000000000000000000000001",
            "2147483648",
            "-2147483649",
            "9223372036854775808",
            "1e10",
            "1e999999999",
            "123456789012345678901234567890123456789012345678901234567890",
            r#""1,000""#,
            r#""5 5""#,
            r#""abc""#,
            r#""5.5""#,
            r#""0x5""#,
            r#""true""#,
            r#""NaN""#,
            "true",
            "false",
            "NaN",
            "Infinity",
            "-Infinity",
        ],
    );
}

#[test]
fn whole_numbers_of_other_widths() {
    for (data_type, least, most, below, above) in [
        (DataType::Int8, "-128", "127", "-129", "128"),
        (DataType::Int16, "-32768", "32767", "-32769", "32768"),
        (
            DataType::Int64,
            "-9223372036854775808",
            "9223372036854775807",
            "-9223372036854775809",
            "9223372036854775808",
        ),
        (DataType::Uint8, "0", "255", "-1", "256"),
        (DataType::Uint16, "0", "65535", "-1", "65536"),
        (DataType::Uint32, "0", "4294967295", "-1", "4294967296"),
        (
            DataType::Uint64,
            "0",
            "18446744073709551615",
            "-1",
            "18446744073709551616",
        ),
    ] {
        let quoted = |text: &str| format!("\"{text}\"");
        taken(
            data_type,
            &[(least, least), (most, most), ("7", "7"), ("7.0", "7")],
        );
        taken(data_type, &[(&quoted(least), least), (&quoted(most), most)]);
        taken(data_type, &[(&format!("{most}.0"), most)]);
        refused(
            data_type,
            &[
                below,
                above,
                &quoted(below),
                &quoted(above),
                "7.5",
                "true",
                "\"x\"",
            ],
        );
    }
}

#[test]
fn double() {
    taken(
        DataType::Double,
        &[
            ("0.1", "0.1"),
            ("-0.0", "0"),
            ("17.99", "17.99"),
            ("5", "5"),
            ("1e-5", "1E-05"),
            ("0.4967141530112327", "0.4967141530112327"),
            ("12345678.12345678", "12345678.12345678"),
            ("123456789012345680", "1.2345678901234568E+17"),
            ("1e-400", "0"),
            ("1.7976931348623157e308", "1.7976931348623157E+308"),
            (r#""2.5""#, "2.5"),
            (r#"" 2.5\r\n""#, "2.5"),
            (r#"".5""#, "0.5"),
            (r#""1e3""#, "1000"),
            ("NaN", "NaN"),
            ("Infinity", "Infinity"),
            ("-Infinity", "-Infinity"),
            (r#""NaN""#, "NaN"),
            (r#"" Infinity ""#, "Infinity"),
            (r#""-Infinity""#, "-Infinity"),
        ],
    );
    refused(
        DataType::Double,
        &[
            "true",
            "false",
            r#""true""#,
            r#""abc""#,
            r#""1,000""#,
            r#""INF""#,
            r#""nan""#,
            r#""0x1p3""#,
            r#""1 2""#,
            r#""1.2.3""#,
            r#""--1""#,
            "1e309",
            "-1e400",
            r#""1e309""#,
        ],
    );
}

#[test]
fn float() {
    taken(
        DataType::Float,
        &[
            ("0.1", "0.1"),
            ("0.10000000149011612", "0.1"),
            ("16777217", "16777216"),
            ("3.4028235e38", "3.4028235E+38"),
            (r#""0.30000001""#, "0.3"),
            ("NaN", "NaN"),
            (r#""-Infinity""#, "-Infinity"),
        ],
    );
    refused(DataType::Float, &["1e39", r#""-1e39""#, "true", r#""x""#]);
}

#[test]
fn boolean() {
    taken(
        DataType::Boolean,
        &[
            ("true", "True"),
            ("false", "False"),
            (r#""true""#, "True"),
            (r#""True""#, "True"),
            (r#""TRUE""#, "True"),
            (r#"" true ""#, "True"),
            (r#""FALSE""#, "False"),
            (r#""False""#, "False"),
        ],
    );
    refused(
        DataType::Boolean,
        &["0", "1", r#""0""#, r#""1""#, r#""yes""#, r#""t""#, "NaN"],
    );
}

#[test]
fn string() {
    taken(
        DataType::String,
        &[
            (r#""text""#, "text"),
            (r#""""#, ""),
            (r#""  ""#, "  "),
            (
                r#""a\"b\\c\/d\n\u00e9\ud83d\ude00""#,
                "a\"b\\c/d\né\u{1F600}",
            ),
            ("5", "5"),
            ("5.0", "5.0"),
            ("-0.50e+1", "-0.50e+1"),
            ("true", "True"),
            ("false", "False"),
            ("NaN", "NaN"),
            ("Infinity", "Infinity"),
            ("-Infinity", "-Infinity"),
            (r#""null""#, "null"),
        ],
    );
}

#[test]
fn categories_restrict_nothing() {
    let mut field = Field::new("c", DataType::String);
    field.categories = Some(["Male".to_owned(), "Female".to_owned()].into());
    let body = r#"{"Inputs":{"i":[{"c":"Unseen"}]}}"#;
    let tables = v2(body, &[port("i", vec![field])]).unwrap();
    assert_eq!(rows(&tables[0]), [["Unseen"]]);
}

#[test]
fn char() {
    taken(
        DataType::Char,
        &[
            (r#""a""#, "a"),
            (r#"" ""#, " "),
            (r#""\ud83d\ude00""#, "\u{1F600}"),
            ("5", "5"),
        ],
    );
    refused(DataType::Char, &[r#""ab""#, "10", "true", "NaN"]);
    let problem = cell(DataType::Char, true, r#""""#).unwrap_err();
    assert_eq!(problem, "row 1, column \"c\": \"\" is not a Char");
}

#[test]
fn date_time() {
    for data_type in [DataType::DateTime, DataType::DateTimeOffset] {
        let expected = match data_type {
            DataType::DateTime => "9/21/2014 11:10:00 AM",
            _ => "9/21/2014 11:10:00 AM +00:00",
        };
        taken(
            data_type,
            &[
                (r#""2014-09-21T11:10:00""#, expected),
                (r#""2014-09-21T11:10:00Z""#, expected),
                (r#""2014-09-21T11:10:00.25Z""#, expected),
                (r#""2014-09-21T13:10:00+02:00""#, expected),
                (r#""2014-09-21 11:10""#, expected),
                (r#"" 9/21/2014 11:10:00 AM ""#, expected),
                (r#""9\/21\/2014 11:10:00 AM +00:00""#, expected),
            ],
        );
        refused(
            data_type,
            &[
                r#""soon""#,
                "1411297800",
                "20140921",
                "true",
                "NaN",
                r#""21/9/2014""#,
                r#""2014-02-30""#,
            ],
        );
    }
}

#[test]
fn duration() {
    taken(
        DataType::Duration,
        &[
            (r#""1.02:03:04.5""#, "1.02:03:04.5000000"),
            (r#""-00:00:01""#, "-00:00:01"),
            (r#""P1DT2H3M4.5S""#, "1.02:03:04.5000000"),
            (r#""PT90S""#, "00:01:30"),
        ],
    );
    refused(
        DataType::Duration,
        &["5", r#""5""#, r#""P1Y""#, r#""25:00:00""#, "true"],
    );
}

#[test]
fn missing_is_null_or_blank_where_the_column_allows_it() {
    for data_type in DataType::ALL {
        assert_eq!(cell(data_type, true, "null"), Ok(None));
        let problem = cell(data_type, false, "null").unwrap_err();
        assert_eq!(
            problem,
            format!(
                "row 1, column \"c\": null is not {} (the column does not allow missing values)",
                data_type.name_with_article()
            )
        );
        for blank in [r#""""#, r#"" ""#, r#""\t\r\n ""#] {
            if data_type.is_text() {
                continue;
            }
            assert_eq!(cell(data_type, true, blank), Ok(None), "{data_type:?}");
            let problem = cell(data_type, false, blank).unwrap_err();
            assert!(
                problem.contains("does not allow missing values"),
                "{problem}"
            );
        }
    }
    assert_eq!(
        cell(DataType::Double, true, "NaN"),
        Ok(Some("NaN".to_owned()))
    );
}

#[test]
fn missing_values_keep_their_rows() {
    let fields = DataType::ALL
        .iter()
        .map(|&data_type| Field::new(data_type.name(), data_type).nullable());
    let port = port("i", fields.collect());
    let names: Vec<String> = DataType::ALL
        .iter()
        .map(|t| format!("\"{}\"", t.name()))
        .collect();
    let nulls = vec!["null"; 16].join(",");
    let some = r#"true,1,2,3,4,5,6,7,8,0.5,0.25,"s","c","2014-09-21","2014-09-21","00:00:01""#;
    let body = format!(
        r#"{{"Inputs":{{"i":{{"ColumnNames":[{}],"Values":[[{some}],[{nulls}],[{some}],[{nulls}]]}}}}}}"#,
        names.join(",")
    );
    let tables = v2(&body, &[port]).unwrap();
    for (field, column) in tables[0].schema().fields().iter().zip(tables[0].columns()) {
        assert_eq!(
            (column.len(), column.missing_count()),
            (4, 2),
            "{}",
            field.name
        );
        let present: Vec<bool> = (0..4).map(|row| !column.is_missing(row)).collect();
        assert_eq!(present, [true, false, true, false]);
        let shown = texts(field.data_type, column);
        assert_eq!(shown[0], shown[2]);
    }
}

#[test]
fn a_message_names_row_column_value_and_type() {
    let body = r#"{"Inputs":{"input1":[{"age":1,"name":"a","score":1},{"age":1,"name":"a","score":null},
        {"age":"abc","name":"a","score":1},{"age":"worse","name":"a","score":1}]}}"#;
    let fault = assert_fault(v2(body, &[people()]), PARSE, &["input1/age"]);
    assert_eq!(
        parts(&fault).2,
        ["row 3, column \"age\": \"abc\" is not an Int32"]
    );
    for (json, message) in [
        ("5.5", "5.5 is not an Int32"),
        ("3000000000", "3000000000 is out of the range of Int32"),
        ("true", "true is not an Int32"),
        ("NaN", "NaN is not an Int32"),
        (r#""a\u0007b""#, "\"a b\" is not an Int32"),
    ] {
        let problem = cell(DataType::Int32, false, json).unwrap_err();
        assert_eq!(problem, format!("row 1, column \"c\": {message}"));
    }
    let long = format!("\"{}\"", "€".repeat(1000));
    let problem = cell(DataType::Int32, false, &long).unwrap_err();
    assert_eq!(
        problem,
        format!(
            "row 1, column \"c\": \"{}…\" is not an Int32",
            "€".repeat(64)
        )
    );
}

#[test]
fn the_parsers_for_single_texts_agree() {
    assert_eq!(text::parse_f64(" 2.5 "), Ok(2.5));
    assert_eq!(text::parse_integer("5.0"), Ok(5));
    assert_eq!(text::parse_boolean("TRUE"), Some(true));
    assert_eq!(text::parse_date_time("1970-01-01"), Some(0));
    assert_eq!(text::parse_duration("PT1S"), Some(1_000_000));
}
