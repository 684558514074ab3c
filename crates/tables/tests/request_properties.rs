//! Properties of the request decoder over generated bodies: it takes exactly JSON, and comes to
//! the same as the reference on bodies right and wrong.

mod common;

use common::json::{Json, parse};
use common::reference::{agree, services};
use common::{INVALID, v2, v2_bytes};
use proptest::collection::vec;
use proptest::prelude::*;
use tables::reply::{Form, encode};

/// Any JSON text, with the bare tokens, odd numbers and escapes in it.
fn json_text() -> impl Strategy<Value = String> {
    let number = "-?(0|[1-9][0-9]{0,20})(\\.[0-9]{1,20})?([eE][+-]?[0-9]{1,3})?";
    let string = vec(
        prop_oneof![
            "[ -!#-\\[\\]-~]{0,10}",
            Just("é€\u{1F600}".to_owned()),
            Just("\\n".to_owned()),
            Just("\\\"".to_owned()),
            Just("\\u00e9".to_owned()),
            Just("\\ud83d\\ude00".to_owned()),
        ],
        0..4,
    );
    let string = string
        .prop_map(|parts| format!("\"{}\"", parts.concat()))
        .boxed();
    let leaf = prop_oneof![
        4 => number,
        4 => string.clone(),
        1 => prop::sample::select(vec!["null", "true", "false", "NaN", "Infinity", "-Infinity"])
            .prop_map(str::to_owned),
    ];
    leaf.prop_recursive(5, 40, 5, move |inner| {
        let member = (string.clone(), inner.clone());
        prop_oneof![
            vec(inner, 0..5).prop_map(|items| format!("[{}]", items.join(" , "))),
            vec(member, 0..5).prop_map(|members| {
                let members: Vec<_> = members.iter().map(|(k, v)| format!("{k}\n:{v}")).collect();
                format!("{{{}}}", members.join(","))
            }),
        ]
    })
}

/// One change to a text: what is cut out, and what is put in its place.
#[derive(Debug, Clone)]
struct Change {
    at: prop::sample::Index,
    cut: usize,
    put: &'static str,
}

const PIECES: &[&str] = &[
    "",
    "",
    "",
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\"",
    "\\",
    "0",
    "1",
    "-",
    ".",
    "e",
    "+",
    " ",
    "\n",
    "\t",
    "null",
    "true",
    "NaN",
    "Infinity",
    "-Infinity",
    "\\u",
    "\\ud83d",
    "\\ude00",
    "\u{0}",
    "\u{1f}",
    "é",
    "\u{feff}",
    "\"x\":1,",
    "[1],",
    "{},",
    "\"Values\":",
    "\"ColumnNames\":",
    "\"n\"",
    "1e5",
    "00",
    "\"\"",
    "/",
    "'",
    "\u{a0}",
];

fn change() -> impl Strategy<Value = Change> {
    let put = prop::sample::select(PIECES);
    (any::<prop::sample::Index>(), 0..4usize, put).prop_map(|(at, cut, put)| Change {
        at,
        cut,
        put,
    })
}

fn changed(text: &str, changes: &[Change]) -> String {
    let mut chars: Vec<char> = text.chars().collect();
    for change in changes {
        let at = change.at.index(chars.len() + 1);
        let end = (at + change.cut).min(chars.len());
        chars.splice(at..end, change.put.chars());
    }
    chars.into_iter().collect()
}

/// A cell, mostly one that some column takes.
fn cell() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => (-1000i64..1000).prop_map(|n| n.to_string()),
        2 => any::<f64>().prop_filter("finite", |x| x.is_finite()).prop_map(|x| format!("{x:?}")),
        1 => any::<f32>().prop_filter("finite", |x| x.is_finite()).prop_map(|x| format!("\"{x}\"")),
        2 => "\"-?[0-9]{1,9}(\\.[0-9]{0,9})?\"",
        1 => "-?(0|[1-9][0-9]{0,15})(\\.[0-9]{1,20})?([eE][+-]?[0-9]{1,3})?",
        2 => "\"[ -!#-\\[\\]-~é€]{0,12}\"",
        2 => prop::sample::select(vec![
            "null", "true", "false", "NaN", "Infinity", "-Infinity", "\"\"", "\" \"", "\"True\"",
            "\"false\"", "\" 5 \"", "\"5.0\"", "5.0", "\"NaN\"", "2147483648", "\"\\u0035\"",
            "\"\\t\\n\"", "\"a\\\"\\\\\"", "1e400", "[1]", "{}", "\"1,000\"",
        ]).prop_map(str::to_owned),
    ]
}

/// A column's name as JSON: mostly `input1`'s own, some escaped in another way, some strange.
fn name() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "\"x\"",
        "\"n\"",
        "\"sé\\\"\"",
        "\"b\"",
        "\"\\u0078\"",
        "\"s\\u00e9\\\"\"",
        "\"q\"",
        "\"X\"",
    ])
}

const OWN: [&str; 4] = ["\"x\"", "\"n\"", "\"sé\\\"\"", "\"b\""];

/// The names of a table's columns or a row's keys: mostly all of `input1`'s in some order.
fn names() -> impl Strategy<Value = Vec<&'static str>> {
    prop_oneof![
        3 => Just(OWN.to_vec()),
        3 => Just(OWN.to_vec()).prop_shuffle(),
        1 => vec(name(), 0..6),
    ]
}

/// The cells of a row that mostly fits `input1`, by name.
fn fitting_cells() -> impl Strategy<Value = Vec<(&'static str, String)>> {
    let number = (-1e6..1e6f64).prop_map(|x| format!("{x}"));
    let whole = any::<i32>().prop_map(|n| n.to_string());
    let text = "\"[a-zA-Z0-9 é]{0,12}\"";
    let boolean = prop::sample::select(vec!["true", "\"False\"", "null", "\"\""]);
    (number, whole, text, boolean)
        .prop_map(|(x, n, s, b)| OWN.into_iter().zip([x, n, s, b.to_owned()]).collect())
}

fn input() -> impl Strategy<Value = String> {
    let row = |names: Vec<&'static str>| {
        let any_row = prop_oneof![
            6 => vec(cell(), names.len()),
            1 => vec(cell(), 0..6),
        ];
        let fitting = fitting_cells().prop_map(move |cells| {
            let cell = |name: &&str| {
                let found = cells.iter().find(|(own, _)| own == name);
                found.map_or("1".to_owned(), |(_, cell)| cell.clone())
            };
            names.iter().map(cell).collect::<Vec<_>>()
        });
        prop_oneof![1 => any_row, 4 => fitting].prop_map(|cells| format!("[{}]", cells.join(",")))
    };
    let table = names()
        .prop_flat_map(move |names| (Just(names.clone()), vec(row(names), 0..4), any::<bool>()))
        .prop_map(|(names, rows, values_first)| {
            let names = format!("\"ColumnNames\":[{}]", names.join(", "));
            let values = format!("\"Values\":[{}]", rows.join(","));
            match values_first {
                true => format!("{{{values},{names}}}"),
                false => format!("{{{names},{values}}}"),
            }
        });
    let object = prop_oneof![
        3 => fitting_cells().prop_shuffle(),
        3 => fitting_cells(),
        1 => vec((name(), cell()), 0..6),
    ];
    let object = object.prop_map(|cells| {
        let cells: Vec<_> = cells
            .iter()
            .map(|(name, cell)| format!("{name}:{cell}"))
            .collect();
        format!("{{{}}}", cells.join(", "))
    });
    let objects = vec(object, 0..4).prop_map(|rows| format!("[{}]", rows.join(",")));
    prop_oneof![
        6 => table,
        6 => objects,
        1 => json_text(),
    ]
}

/// A whole body: mostly of the right shape.
fn body() -> impl Strategy<Value = String> {
    let input_name = prop::sample::select(vec![
        "input1", "input1", "input1", "input1", "input2", "other",
    ]);
    let small = vec("\\{\"n\":[0-9]{1,3}(\\.[0-9])?\\}", 0..3)
        .prop_map(|rows| format!("[{}]", rows.join(",")));
    let inputs = prop_oneof![
        6 => input().prop_map(|input| format!("{{\"input1\":{input}}}")),
        6 => (input(), small).prop_map(|(a, b)| format!("{{\"input2\":{b},\"input1\":{a}}}")),
        2 => vec((input_name, input()), 0..3).prop_map(|inputs| {
            let inputs: Vec<_> = inputs.iter().map(|(k, v)| format!("\"{k}\":{v}")).collect();
            format!("{{{}}}", inputs.join(","))
        }),
        1 => json_text(),
    ];
    let parameters = prop_oneof![
        2 => Just("{}".to_owned()),
        1 => Just("null".to_owned()),
        1 => Just("{\"seed\":7}".to_owned()),
        1 => json_text(),
    ];
    let other = ("\"[a-z]{1,3}\"", json_text()).prop_map(|(name, value)| format!("{name}:{value}"));
    let members = (
        inputs,
        prop::option::weighted(0.8, parameters),
        vec(other, 0..2),
    );
    members
        .prop_map(|(inputs, parameters, mut members)| {
            members.push(format!("\"Inputs\" : {inputs}"));
            members.extend(parameters.map(|p| format!("\"GlobalParameters\":{p}")));
            members
        })
        .prop_shuffle()
        .prop_map(|members| format!("{{{}}}", members.join(",")))
}

/// Whether the bare tokens, which `serde_json` does not know, may be in the text.
fn may_have_tokens(text: &str) -> bool {
    ["NaN", "Infinity"].iter().any(|token| text.contains(token))
}

/// Whether `serde_json` takes the text; `None` where it stops at a number beyond binary64, which
/// as JSON may be right.
fn serde_takes(text: &str) -> Option<bool> {
    match serde_json::from_str::<serde_json::Value>(text) {
        Ok(_) => Some(true),
        Err(error) if error.to_string().contains("number out of range") => None,
        Err(_) => Some(false),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn exactly_json_is_taken(text in json_text(), changes in vec(change(), 0..3)) {
        let text = changed(&text, &changes);
        let right = parse(&text).is_some();
        if !may_have_tokens(&text) && !text.contains("\u{feff}") {
            let serde = serde_takes(&text).unwrap_or(right);
            prop_assert_eq!(right, serde, "the reference parser is wrong: {}", text);
        }
        let body = format!("{{\"Inputs\":{{\"input1\":[]}},\"x\":{text}}}");
        let ports = &services()[0];
        let found = v2(&body, ports);
        prop_assert_eq!(found.is_ok(), parse(&body).is_some(), "{} {:?}", text, found);
        if let Err(fault) = found {
            prop_assert_eq!(fault.name(), INVALID);
        }
    }

    #[test]
    fn texts_and_numbers_have_the_values_of_serde_json(
        text in "\"([ -!#-\\[\\]-~é€\u{1F600}]|\\\\[\"\\\\/bfnrt]|\\\\u00[0-7][0-9a-f]){0,20}\"",
        number in "-?(0|[1-9][0-9]{0,20})(\\.[0-9]{1,20})?([eE][+-]?[0-9]{1,2})?",
    ) {
        let body = format!(
            "{{\"Inputs\":{{\"input1\":[{{\"x\":{number},\"n\":1,\"s\u{e9}\\\"\":{text},\"b\":true}}]}}}}"
        );
        let tables = v2(&body, &services()[0]).map_err(|f| TestCaseError::fail(format!("{f:?}")))?;
        let expected: f64 = serde_json::from_str(&number).unwrap();
        prop_assert_eq!(tables[0].column(0).number(0).unwrap().to_bits(), expected.to_bits());
        let tables::Values::Str(texts) = &tables[0].column(2).values else { panic!() };
        prop_assert_eq!(texts.get(0), &serde_json::from_str::<String>(&text).unwrap());
    }

    #[test]
    fn bodies_come_to_what_the_reference_says(body in body()) {
        for ports in services() {
            agree(body.as_bytes(), &ports).map_err(TestCaseError::fail)?;
        }
    }

    #[test]
    fn changed_bodies_come_to_what_the_reference_says(
        body in body(),
        changes in vec(change(), 1..4),
    ) {
        let body = changed(&body, &changes);
        for ports in services() {
            agree(body.as_bytes(), &ports).map_err(TestCaseError::fail)?;
        }
    }

    #[test]
    fn any_bytes_are_answered(bytes in vec(any::<u8>(), 0..64)) {
        for ports in services() {
            agree(&bytes, &ports).map_err(TestCaseError::fail)?;
        }
    }

    #[test]
    fn a_reply_sent_back_gives_the_table_again(body in body()) {
        let ports = &services()[0];
        let Ok(tables) = v2_bytes(body.as_bytes(), ports) else { return Ok(()) };
        for form in [Form::Table { details: true }, Form::Rows] {
            let mut reply = Vec::new();
            encode(&[("input1", &tables[0])], form, &mut reply);
            let Some(Json::Object(members)) = parse(std::str::from_utf8(&reply).unwrap()) else {
                panic!("the reply is no object")
            };
            prop_assert_eq!(members.len(), 1);
            // The two forms of a reply are those of a request but for their wrapping.
            let text = String::from_utf8(reply).unwrap();
            let inputs = text.strip_prefix("{\"Results\":").unwrap();
            let again = format!("{{\"Inputs\":{inputs}")
                .replacen("{\"type\":\"table\",\"value\":", "", 1);
            let again = match form {
                Form::Rows => again,
                Form::Table { .. } => again[..again.len() - 1].to_owned(),
            };
            let again = v2(&again, ports).map_err(|f| TestCaseError::fail(format!("{again} {f:?}")))?;
            // NaN differs from itself, so that the texts are compared.
            prop_assert_eq!(common::rows(&again[0]), common::rows(&tables[0]));
        }
    }
}
