//! The bytes of replies.

mod common;

use std::sync::Arc;

use tables::reply::{Form, encode, encode_v1};
use tables::{Bitmap, Column, DataType, Field, Schema, Strings, Table, Values};

fn scored() -> Table {
    let fields = vec![
        Field::new("surface \"m²\"", DataType::Int32),
        Field::new("kind", DataType::String).nullable(),
        Field::new("Scored Probabilities", DataType::Double),
    ];
    let kinds: Strings = ["a\"b\r\n", ""].into_iter().collect();
    let columns = vec![
        Arc::new(Column::from(vec![100, -150])),
        Arc::new(Column::with_validity(
            Values::Str(kinds),
            [true, false].into_iter().collect(),
        )),
        Arc::new(Column::from(vec![0.922785222530365, 1e-7])),
    ];
    Table::new(Arc::new(Schema::new(fields).unwrap()), columns)
}

fn encoded(outputs: &[(&str, &Table)], form: Form) -> String {
    let mut out = b"kept".to_vec();
    encode(outputs, form, &mut out);
    let text = String::from_utf8(out).unwrap();
    text.strip_prefix("kept").unwrap().to_owned()
}

#[test]
fn details_give_names_and_types() {
    assert_eq!(
        encoded(&[("output1", &scored())], Form::Table { details: true }),
        concat!(
            r#"{"Results":{"output1":{"type":"table","value":{"#,
            r#""ColumnNames":["surface \"m²\"","kind","Scored Probabilities"],"#,
            r#""ColumnTypes":["Int32","String","Double"],"#,
            r#""Values":[["100","a\"b\r\n","0.922785222530365"],["-150",null,"1E-07"]]}}}}"#
        )
    );
}

#[test]
fn without_details_there_are_values_only() {
    assert_eq!(
        encoded(
            &[("output1", &scored()), ("b\"", &scored().take(&[]))],
            Form::Table { details: false }
        ),
        concat!(
            r#"{"Results":{"output1":{"type":"table","value":{"#,
            r#""Values":[["100","a\"b\r\n","0.922785222530365"],["-150",null,"1E-07"]]}},"#,
            r#""b\"":{"type":"table","value":{"Values":[]}}}}"#
        )
    );
}

#[test]
fn rows_are_objects() {
    assert_eq!(
        encoded(
            &[("output1", &scored()), ("none", &scored().take(&[]))],
            Form::Rows
        ),
        concat!(
            r#"{"Results":{"output1":["#,
            r#"{"surface \"m²\"":"100","kind":"a\"b\r\n","Scored Probabilities":"0.922785222530365"},"#,
            r#"{"surface \"m²\"":"-150","kind":null,"Scored Probabilities":"1E-07"}],"none":[]}}"#
        )
    );
    assert_eq!(encoded(&[], Form::Rows), r#"{"Results":{}}"#);
}

#[test]
fn a_v1_reply_is_the_first_row() {
    let reply = |table: &Table| {
        let mut out = Vec::new();
        encode_v1(table, &mut out);
        String::from_utf8(out).unwrap()
    };
    assert_eq!(
        reply(&scored()),
        r#"["100","a\"b\r\n","0.922785222530365"]"#
    );
    assert_eq!(reply(&scored().take(&[1])), r#"["-150",null,"1E-07"]"#);
    assert_eq!(reply(&scored().take(&[])), "[]");
}

#[test]
fn every_type_is_written_as_a_string_or_null() {
    let fields = DataType::ALL.map(|data_type| Field::new(data_type.name(), data_type).nullable());
    let text = |text: &str| Values::Str([text, ""].into_iter().collect());
    let column = |field: &Field| {
        let values = match field.data_type {
            DataType::Boolean => Values::Bool(vec![true, false]),
            DataType::Float => Values::F32(vec![0.1, 0.0]),
            DataType::Double => Values::F64(vec![f64::NAN, 0.0]),
            DataType::Uint64 => Values::U64(vec![u64::MAX, 0]),
            DataType::String => text("s"),
            DataType::Char => text("c"),
            DataType::DateTime | DataType::DateTimeOffset | DataType::Duration => {
                Values::I64(vec![1_411_297_800_000_000, 0])
            }
            DataType::Int64 | DataType::Uint32 => Values::I64(vec![7, 0]),
            _ => Values::I32(vec![7, 0]),
        };
        let mut present = Bitmap::filled(2, true);
        present.set(1, false);
        Arc::new(Column::with_validity(values, present))
    };
    let columns = fields.iter().map(column).collect();
    let table = Table::new(Arc::new(Schema::new(fields.to_vec()).unwrap()), columns);
    let text = encoded(&[("o", &table)], Form::Table { details: true });
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    let value = &json["Results"]["o"]["value"];
    let expected = [
        "True",
        "7",
        "7",
        "7",
        "7",
        "7",
        "7",
        "7",
        "18446744073709551615",
        "0.1",
        "NaN",
        "s",
        "c",
        "9/21/2014 11:10:00 AM",
        "9/21/2014 11:10:00 AM +00:00",
        "16334.11:10:00",
    ];
    assert_eq!(value["Values"][0], serde_json::json!(expected));
    assert_eq!(value["Values"][1], serde_json::json!(vec![(); 16]));
    assert_eq!(
        value["ColumnTypes"],
        serde_json::json!([
            "Boolean",
            "SByte",
            "Int16",
            "Int32",
            "Int64",
            "Byte",
            "UInt16",
            "UInt32",
            "UInt64",
            "Single",
            "Double",
            "String",
            "Char",
            "DateTime",
            "DateTimeOffset",
            "TimeSpan"
        ])
    );
}
