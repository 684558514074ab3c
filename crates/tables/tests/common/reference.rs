//! The rules for v2 bodies said a second time, in the plainest way: on a parsed tree, one check
//! after the other. The decoder must agree with it on every body.

use tables::request::InputPort;
use tables::{DataType, Field, Limits, Table};

use super::json::{Json, parse};
use super::{
    EMPTY, INVALID, MISMATCH, NAMES, NO_INPUT, PARSE, SEVERAL, parts, port, texts, v2_bytes,
};

/// A table's cells as texts, by row; `None` for a missing one.
pub type Rows = Vec<Vec<Option<String>>>;

/// What a body comes to: tables, or a fault's name, the targets of its details and, for a row or
/// cell, the beginning of the message.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    Tables(Vec<Rows>),
    Fault(&'static str, Vec<String>, String),
}

fn fault(name: &'static str) -> Verdict {
    Verdict::Fault(name, Vec::new(), String::new())
}

/// The verdict on a body for services of `Double`, `Int32`, `String` and `Boolean` columns, for
/// which all parameters are welcome. The places of `RequestBodyInvalid` are left out.
pub fn verdict(body: &[u8], ports: &[InputPort]) -> Verdict {
    verdict_of(body, ports).unwrap_or_else(|fault| fault)
}

fn verdict_of(body: &[u8], ports: &[InputPort]) -> Result<Verdict, Verdict> {
    let invalid = || fault(INVALID);
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    let text = std::str::from_utf8(body).map_err(|_| invalid())?;
    let body = parse(text).ok_or_else(invalid)?;
    if depth(&body) > Limits::default().depth {
        return Err(invalid());
    }
    let members = match &body {
        Json::Object(members) => members.as_slice(),
        Json::Null => &[],
        Json::Array(items) if items.is_empty() => &[],
        _ => return Err(invalid()),
    };
    // Shapes first, all over the body.
    let inputs = object_or_null(members, "Inputs")?;
    let parameters = object_or_null(members, "GlobalParameters")?;
    unique(members)?;
    if parameters.iter().any(|(_, value)| !is_scalar(value)) {
        return Err(invalid());
    }
    for (name, value) in inputs {
        if ports.iter().any(|port| port.name == *name) {
            check_shape(value)?;
        }
    }
    if members.is_empty() {
        return match ports.is_empty() {
            true => Ok(Verdict::Tables(Vec::new())),
            false => Err(fault(EMPTY)),
        };
    }
    // Then names.
    if ports.len() == 1 && inputs.len() > 1 {
        return Err(fault(SEVERAL));
    }
    if inputs
        .iter()
        .any(|(name, _)| ports.iter().all(|port| port.name != *name))
    {
        return Err(fault(NAMES));
    }
    let mut given = Vec::new();
    for port in ports {
        match inputs.iter().find(|(name, _)| *name == port.name) {
            Some((_, value)) if *value != Json::Null => given.push((port, value)),
            _ => {
                let target = if inputs.is_empty() { "" } else { &port.name };
                return Err(Verdict::Fault(
                    NO_INPUT,
                    vec![target.to_owned()],
                    String::new(),
                ));
            }
        }
    }
    // Then columns of all inputs, then cells.
    let mut mismatches = Vec::new();
    for (port, value) in &given {
        let columns = mismatched(port, value);
        let targets = columns
            .iter()
            .map(|column| format!("{}/{column}", port.name));
        mismatches.extend(targets);
    }
    mismatches.truncate(16);
    if !mismatches.is_empty() {
        return Err(Verdict::Fault(MISMATCH, mismatches, String::new()));
    }
    let tables: Result<Vec<_>, _> = given
        .iter()
        .map(|(port, value)| cells(port, value))
        .collect();
    tables.map(Verdict::Tables)
}

fn object_or_null<'j>(
    members: &'j [(String, Json)],
    name: &str,
) -> Result<&'j [(String, Json)], Verdict> {
    match members.iter().find(|(member, _)| member == name) {
        None | Some((_, Json::Null)) => Ok(&[]),
        Some((_, Json::Object(members))) => unique(members).map(|()| members.as_slice()),
        Some(_) => Err(fault(INVALID)),
    }
}

fn unique(members: &[(String, Json)]) -> Result<(), Verdict> {
    let repeated = |i: usize| members[..i].iter().any(|(name, _)| *name == members[i].0);
    match (0..members.len()).any(repeated) {
        true => Err(fault(INVALID)),
        false => Ok(()),
    }
}

fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t'..='\r')
}

fn depth(value: &Json) -> usize {
    match value {
        Json::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Json::Object(members) => 1 + members.iter().map(|(_, v)| depth(v)).max().unwrap_or(0),
        _ => 0,
    }
}

fn is_scalar(value: &Json) -> bool {
    !matches!(value, Json::Array(_) | Json::Object(_))
}

fn member<'j>(members: &'j [(String, Json)], name: &str) -> Option<&'j Json> {
    let found = members.iter().find(|(member, _)| member == name);
    found.map(|(_, value)| value)
}

fn check_shape(input: &Json) -> Result<(), Verdict> {
    let right = match input {
        Json::Null => true,
        Json::Array(rows) => rows.iter().all(|row| match row {
            Json::Object(cells) => {
                unique(cells).is_ok() && cells.iter().all(|(_, cell)| is_scalar(cell))
            }
            _ => false,
        }),
        Json::Object(members) => {
            unique(members)?;
            let names = match member(members, "ColumnNames") {
                Some(Json::Text(_)) => true,
                Some(Json::Array(names)) => names.iter().all(|name| matches!(name, Json::Text(_))),
                _ => false,
            };
            let values = match member(members, "Values") {
                Some(Json::Array(rows)) => rows.iter().all(|row| match row {
                    Json::Array(cells) => cells.iter().all(is_scalar),
                    _ => false,
                }),
                _ => false,
            };
            names && values
        }
        _ => false,
    };
    right.then_some(()).ok_or_else(|| fault(INVALID))
}

fn column_names<'j>(input: &'j [(String, Json)]) -> Vec<&'j str> {
    let names = match member(input, "ColumnNames") {
        Some(Json::Array(names)) => names.as_slice(),
        Some(name) => std::slice::from_ref(name),
        None => &[],
    };
    let text = |name: &'j Json| match name {
        Json::Text(text) => text.as_str(),
        _ => unreachable!("the shape was checked"),
    };
    names.iter().map(text).collect()
}

/// Extra columns in the body's order, then repeated and then missing ones in the schema's, each
/// once, at most 16; in row objects row after row.
fn mismatched(port: &InputPort, input: &Json) -> Vec<String> {
    let known = |name: &str| port.schema.position(name).is_some();
    let mut found: Vec<String> = Vec::new();
    let mut add = |name: &str| {
        let shown = name.chars().take(64);
        let mut shown: String = shown
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect();
        if name.chars().count() > 64 {
            shown.push('…');
        }
        if found.len() < 16 && !found.contains(&shown) {
            found.push(shown);
        }
    };
    match input {
        Json::Object(members) => {
            let names = column_names(members);
            for name in names.iter().filter(|name| !known(name)) {
                add(name);
            }
            for (i, name) in names.iter().enumerate() {
                if known(name) && names[..i].contains(name) {
                    add(name);
                }
            }
            for name in port.schema.names().filter(|name| !names.contains(name)) {
                add(name);
            }
        }
        Json::Array(rows) => {
            for row in rows {
                let Json::Object(cells) = row else { continue };
                for (name, _) in cells.iter().filter(|(name, _)| !known(name)) {
                    add(name);
                }
                for name in port
                    .schema
                    .names()
                    .filter(|name| member(cells, name).is_none())
                {
                    add(name);
                }
            }
        }
        _ => {}
    }
    found
}

fn cells(port: &InputPort, input: &Json) -> Result<Rows, Verdict> {
    let mut rows = Vec::new();
    match input {
        Json::Object(members) => {
            let names = column_names(members);
            let Some(Json::Array(values)) = member(members, "Values") else {
                unreachable!("the shape was checked")
            };
            for (i, row) in values.iter().enumerate() {
                let Json::Array(cells) = row else { continue };
                if cells.len() != names.len() {
                    let begin = format!("row {} has ", i + 1);
                    return Err(Verdict::Fault(PARSE, vec![port.name.clone()], begin));
                }
                let cells: Vec<_> = names.iter().copied().zip(cells).collect();
                rows.push(row_of(port, i, &cells)?);
            }
        }
        Json::Array(objects) => {
            for (i, row) in objects.iter().enumerate() {
                let Json::Object(cells) = row else { continue };
                let cells: Vec<_> = cells
                    .iter()
                    .map(|(name, cell)| (name.as_str(), cell))
                    .collect();
                rows.push(row_of(port, i, &cells)?);
            }
        }
        _ => {}
    }
    Ok(rows)
}

/// A row in the schema's order; the first cell at fault in the body's.
fn row_of(
    port: &InputPort,
    i: usize,
    cells: &[(&str, &Json)],
) -> Result<Vec<Option<String>>, Verdict> {
    let mut row = vec![None; port.schema.len()];
    for (name, cell) in cells {
        let position = port.schema.position(name).expect("columns were checked");
        row[position] = cell_of(port.schema.field(position), cell).ok_or_else(|| {
            let begin = format!("row {}, column \"{name}\": ", i + 1);
            Verdict::Fault(PARSE, vec![format!("{}/{name}", port.name)], begin)
        })?;
    }
    Ok(row)
}

/// The text that a reply has for the cell; `None` where it is refused.
fn cell_of(field: &Field, cell: &Json) -> Option<Option<String>> {
    let is_text = field.data_type == DataType::String;
    let text = match cell {
        Json::Null => None,
        Json::Text(text) if !is_text && text.trim_matches(is_blank).is_empty() => None,
        Json::Text(text) | Json::Number(text) => Some(text.as_str()),
        Json::Bool(true) => Some("True"),
        Json::Bool(false) => Some("False"),
        Json::Array(_) | Json::Object(_) => return None,
    };
    let Some(text) = text else {
        return field.nullable.then_some(None);
    };
    let number = || match cell {
        Json::Bool(_) => None,
        _ => number(text.trim_matches(is_blank)),
    };
    match field.data_type {
        DataType::String => Some(text.to_owned()),
        DataType::Boolean => match (
            cell,
            text.trim_matches(is_blank).to_ascii_lowercase().as_str(),
        ) {
            (Json::Number(_), _) => None,
            (_, "true") => Some("True".to_owned()),
            (_, "false") => Some("False".to_owned()),
            _ => None,
        },
        DataType::Double => number().map(number_text),
        DataType::Int32 => number()
            .filter(|number| (-2147483648.0..=2147483647.0).contains(number) && is_whole(text))
            .map(|number| (number as i64).to_string()),
        _ => unreachable!("the reference knows four types"),
    }
    .map(Some)
}

fn number(text: &str) -> Option<f64> {
    match text {
        "NaN" => return Some(f64::NAN),
        "Infinity" => return Some(f64::INFINITY),
        "-Infinity" => return Some(f64::NEG_INFINITY),
        _ => {}
    }
    // The standard library also takes words.
    let plain = text
        .bytes()
        .all(|b| b.is_ascii_digit() || b"+-.eE".contains(&b));
    text.parse()
        .ok()
        .filter(|number: &f64| plain && number.is_finite())
}

/// Whether a number's text has no fraction, by its digits.
fn is_whole(text: &str) -> bool {
    let lower = text.trim_matches(is_blank).to_ascii_lowercase();
    let (mantissa, power) = lower.split_once('e').unwrap_or((&lower, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    let significant = digits.trim_end_matches('0');
    let zeros = (digits.len() - significant.len()) as i64;
    let nothing = significant
        .bytes()
        .all(|b| !b.is_ascii_digit() || b == b'0');
    let power: i64 = power.parse().unwrap_or(i64::from(i32::MAX));
    nothing || power + zeros - fraction.len() as i64 >= 0
}

/// A Double in the service's form, from the standard library's shortest digits.
fn number_text(number: f64) -> String {
    if number.is_nan() {
        return "NaN".to_owned();
    }
    if number.is_infinite() {
        return if number > 0.0 {
            "Infinity"
        } else {
            "-Infinity"
        }
        .to_owned();
    }
    if number == 0.0 {
        return "0".to_owned();
    }
    if (1e-4..1e15).contains(&number.abs()) {
        return number.to_string();
    }
    let scientific = format!("{number:e}");
    let (digits, power) = scientific.split_once('e').unwrap();
    let power: i32 = power.parse().unwrap();
    format!(
        "{digits}E{}{:02}",
        if power < 0 { '-' } else { '+' },
        power.abs()
    )
}

/// A service of two inputs and a service of the first of them, with every type the reference
/// knows.
pub fn services() -> [Vec<InputPort>; 2] {
    let input1 = port(
        "input1",
        vec![
            Field::new("x", DataType::Double).nullable(),
            Field::new("n", DataType::Int32),
            Field::new("s\u{e9}\"", DataType::String),
            Field::new("b", DataType::Boolean).nullable(),
        ],
    );
    let input2 = port("input2", vec![Field::new("n", DataType::Double)]);
    [vec![input1.clone()], vec![input1, input2]]
}

/// Decodes a body and compares what comes of it with the reference; the tables, if it is right.
pub fn agree(body: &[u8], ports: &[InputPort]) -> Result<Option<Vec<Table>>, String> {
    let expected = verdict(body, ports);
    let shown = String::from_utf8_lossy(body);
    match (v2_bytes(body, ports), expected) {
        (Ok(tables), Verdict::Tables(expected)) => {
            let found: Vec<Rows> = tables.iter().map(cell_texts).collect();
            match found == expected {
                true => Ok(Some(tables)),
                false => Err(format!("{shown}\nfound {found:?}\nexpected {expected:?}")),
            }
        }
        (Err(fault), Verdict::Fault(name, targets, begin)) => {
            let (found, found_targets, args) = parts(&fault);
            let same = found == name
                && (targets.is_empty() || targets == found_targets)
                && (begin.is_empty() || args[0].starts_with(&begin));
            match same {
                true => Ok(None),
                false => Err(format!(
                    "{shown}\nfound {fault:?}\nexpected {name} {targets:?} {begin}"
                )),
            }
        }
        (found, expected) => Err(format!("{shown}\nfound {found:?}\nexpected {expected:?}")),
    }
}

fn cell_texts(table: &Table) -> Rows {
    let fields = table.schema().fields().iter();
    let columns = fields.zip(table.columns());
    let columns: Vec<_> = columns
        .map(|(field, column)| texts(field.data_type, column))
        .collect();
    let row = |row: usize| columns.iter().map(|column| column[row].clone()).collect();
    (0..table.rows()).map(row).collect()
}
