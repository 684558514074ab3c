//! What the Resource Manager's document says of a definition's members, beside what the package
//! format asks for itself.
//!
//! Definitions come as laxly as the old service took them: booleans and numbers as text, `null` for
//! what is not there, members that are required left out. What can be meant in one way only is put
//! into the document's form before it is stored, so that whoever reads it back gets what the
//! document says; what cannot is refused by its place.

use faults::Fault;
use serde_json::{Map, Value, json};

use crate::json::{member, object_mut, remove};
use crate::workspaces::invalid;

/// What a member may be.
enum Kind {
    Text,
    Boolean,
    Integer,
    /// Anything, `null` too.
    Any,
    Object(&'static [(&'static str, Kind)]),
    /// An object whose members are all alike.
    Each(&'static Kind),
    List(&'static Kind),
}

use Kind::{Any, Boolean, Each, Integer, List, Object, Text};

static LOCATION: [(&str, Kind); 2] = [("uri", Text), ("credentials", Text)];

static COLUMN: [(&str, Kind); 5] = [
    ("type", Text),
    ("format", Text),
    ("enum", List(&Any)),
    ("x-ms-isnullable", Boolean),
    ("x-ms-isordered", Boolean),
];

static TABLE: [(&str, Kind); 5] = [
    ("title", Text),
    ("description", Text),
    ("type", Text),
    ("format", Text),
    ("properties", Each(&Object(&COLUMN))),
];

static PORTS: [(&str, Kind); 4] = [
    ("title", Text),
    ("description", Text),
    ("type", Text),
    ("properties", Each(&Object(&TABLE))),
];

/// Options hold parameters in their turn.
static ASSET_PARAMETER: [(&str, Kind); 3] = [
    ("name", Text),
    ("parameterType", Text),
    ("modeValuesInfo", Each(&Object(&OPTION))),
];

static OPTION: [(&str, Kind); 2] = [
    ("interfaceString", Text),
    ("parameters", List(&Object(&ASSET_PARAMETER))),
];

static ASSET: [(&str, Kind); 8] = [
    ("name", Text),
    ("id", Text),
    ("type", Text),
    ("locationInfo", Object(&LOCATION)),
    ("inputPorts", Each(&Object(&[("type", Text)]))),
    ("outputPorts", Each(&Object(&[("type", Text)]))),
    ("metadata", Each(&Text)),
    ("parameters", List(&Object(&ASSET_PARAMETER))),
];

static NODE: [(&str, Kind); 4] = [
    ("assetId", Text),
    ("inputId", Text),
    ("outputId", Text),
    ("parameters", Each(&Any)),
];

static EDGE: [(&str, Kind); 4] = [
    ("sourceNodeId", Text),
    ("sourcePortId", Text),
    ("targetNodeId", Text),
    ("targetPortId", Text),
];

static GRAPH_PARAMETER: [(&str, Kind); 3] = [
    ("description", Text),
    ("type", Text),
    (
        "links",
        List(&Object(&[("nodeId", Text), ("parameterKey", Text)])),
    ),
];

static PROPERTIES: [(&str, Kind); 19] = [
    ("title", Text),
    ("description", Text),
    ("packageType", Text),
    ("keys", Object(&[("primary", Text), ("secondary", Text)])),
    ("readOnly", Boolean),
    ("exposeSampleData", Boolean),
    (
        "realtimeConfiguration",
        Object(&[("maxConcurrentCalls", Integer)]),
    ),
    ("diagnostics", Object(&[("level", Text), ("expiry", Text)])),
    ("storageAccount", Object(&[("name", Text), ("key", Text)])),
    ("machineLearningWorkspace", Object(&[("id", Text)])),
    ("commitmentPlan", Object(&[("id", Text)])),
    ("input", Object(&PORTS)),
    ("output", Object(&PORTS)),
    (
        "exampleRequest",
        Object(&[
            ("inputs", Each(&List(&List(&Any)))),
            ("globalParameters", Each(&Any)),
        ]),
    ),
    ("assets", Each(&Object(&ASSET))),
    ("parameters", Each(&Any)),
    ("payloadsInBlobStorage", Boolean),
    ("payloadsLocation", Object(&LOCATION)),
    (
        "package",
        Object(&[
            ("nodes", Each(&Object(&NODE))),
            ("edges", List(&Object(&EDGE))),
            ("graphParameters", Each(&Object(&GRAPH_PARAMETER))),
        ]),
    ),
];

/// Puts what can be meant in one way only into the document's form.
pub(crate) fn settle(properties: &mut Map<String, Value>) {
    settle_members(properties, &PROPERTIES);
    if member(properties, "packageType").is_none() {
        properties.insert("packageType".into(), json!("Graph"));
    }
    if let Some(diagnostics) = object_mut(properties, "diagnostics")
        && member(diagnostics, "expiry").is_some_and(|expiry| *expiry == json!(""))
    {
        remove(diagnostics, &["expiry"]);
    }
    for side in ["input", "output"] {
        let Some(ports) = object_mut(properties, side) else {
            continue;
        };
        say_object(ports);
        if let Some(tables) = object_mut(ports, "properties") {
            let tables = tables.values_mut().filter_map(Value::as_object_mut);
            tables.for_each(say_object);
        }
    }
    for reference in ["machineLearningWorkspace", "commitmentPlan"] {
        let nameless = object_mut(properties, reference)
            .is_some_and(|reference| member(reference, "id").is_none());
        if nameless {
            remove(properties, &[reference]);
        }
    }
}

/// A schema's `type` is always `object`, and often left out.
fn say_object(schema: &mut Map<String, Value>) {
    if member(schema, "type").is_none() {
        schema.insert("type".into(), json!("object"));
    }
}

fn settle_members(object: &mut Map<String, Value>, kinds: &[(&str, Kind)]) {
    object
        .retain(|name, value| !value.is_null() || matches!(kind_of(name, kinds), None | Some(Any)));
    for (name, value) in object.iter_mut() {
        if let Some(kind) = kind_of(name, kinds) {
            settle_value(value, kind);
        }
    }
}

fn settle_value(value: &mut Value, kind: &Kind) {
    match (kind, &mut *value) {
        (Boolean, Value::String(text)) => {
            if let Ok(boolean) = text.trim().to_ascii_lowercase().parse::<bool>() {
                *value = boolean.into();
            }
        }
        (Integer, Value::String(text)) => {
            if let Ok(integer) = text.trim().parse::<i64>() {
                *value = integer.into();
            }
        }
        (Object(kinds), Value::Object(object)) => settle_members(object, kinds),
        (Each(kind), Value::Object(object)) => {
            object
                .values_mut()
                .for_each(|value| settle_value(value, kind));
        }
        (List(kind), Value::Array(items)) => {
            items.iter_mut().for_each(|value| settle_value(value, kind));
        }
        _ => {}
    }
}

/// Refuses what is not of the document's form. Whatever the package format says of it comes first.
///
/// # Errors
/// `BadArgument.RequestBodyInvalid`; its target is the place below `properties`.
pub(crate) fn check(properties: &Map<String, Value>) -> Result<(), Fault> {
    check_members(properties, &PROPERTIES, "properties")
}

fn check_members(
    object: &Map<String, Value>,
    kinds: &[(&str, Kind)],
    at: &str,
) -> Result<(), Fault> {
    for (name, value) in object {
        if let Some(kind) = kind_of(name, kinds) {
            check_value(value, kind, &format!("{at}/{name}"))?;
        }
    }
    Ok(())
}

fn check_value(value: &Value, kind: &Kind, at: &str) -> Result<(), Fault> {
    let expected = match (kind, value) {
        (Any, _) | (Text, Value::String(_)) | (Boolean, Value::Bool(_)) => return Ok(()),
        (Integer, Value::Number(number)) if number.is_i64() => return Ok(()),
        (Object(kinds), Value::Object(object)) => return check_members(object, kinds, at),
        (Each(kind), Value::Object(object)) => {
            return object
                .iter()
                .try_for_each(|(name, value)| check_value(value, kind, &format!("{at}/{name}")));
        }
        (List(kind), Value::Array(items)) => {
            return items
                .iter()
                .enumerate()
                .try_for_each(|(i, value)| check_value(value, kind, &format!("{at}/{i}")));
        }
        (Text, _) => "a text",
        (Boolean, _) => "true or false",
        (Integer, _) => "a whole number",
        (Object(_) | Each(_), _) => "an object",
        (List(_), _) => "a list",
    };
    Err(invalid(at, &format!("it is not {expected}")))
}

fn kind_of<'k>(name: &str, kinds: &'k [(&str, Kind)]) -> Option<&'k Kind> {
    kinds
        .iter()
        .find(|(known, _)| known.eq_ignore_ascii_case(name))
        .map(|(_, kind)| kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settled(mut value: Value) -> Value {
        settle(value.as_object_mut().unwrap());
        value
    }

    #[test]
    fn what_old_clients_send_becomes_what_the_document_says() {
        let given = json!({
            "Title": null,
            "readOnly": "False",
            "realtimeConfiguration": {"MaxConcurrentCalls": " 30"},
            "diagnostics": {"level": "None", "expiry": ""},
            "machineLearningWorkspace": {},
            "input": {"properties": {"i": {"properties": {"x": {"type": "String", "enum": null}}}}},
            "exampleRequest": {"inputs": {"i": [[null, "1"]]}, "globalParameters": null},
            "package": {"edges": [{"sourceNodeId": "a", "sourcePortId": null}]},
            "further": null
        });
        let expected = json!({
            "readOnly": false,
            "realtimeConfiguration": {"MaxConcurrentCalls": 30},
            "diagnostics": {"level": "None"},
            "input": {
                "properties": {
                    "i": {"properties": {"x": {"type": "String"}}, "type": "object"}
                },
                "type": "object"
            },
            "exampleRequest": {"inputs": {"i": [[null, "1"]]}},
            "package": {"edges": [{"sourceNodeId": "a"}]},
            "further": null,
            "packageType": "Graph"
        });
        let settled = settled(given);
        assert_eq!(settled, expected);
        check(settled.as_object().unwrap()).unwrap();
    }

    #[test]
    fn what_cannot_be_meant_is_refused_by_its_place() {
        for (given, target) in [
            (json!({"title": {}}), "properties/title"),
            (json!({"readOnly": "perhaps"}), "properties/readOnly"),
            (json!({"input": {"title": 7}}), "properties/input/title"),
            (
                json!({"realtimeConfiguration": {"maxConcurrentCalls": 4.5}}),
                "properties/realtimeConfiguration/maxConcurrentCalls",
            ),
            (
                json!({"assets": {"a": {"id": false}}}),
                "properties/assets/a/id",
            ),
            (
                json!({"package": {"edges": [{}, {"sourceNodeId": []}]}}),
                "properties/package/edges/1/sourceNodeId",
            ),
            (
                json!({"exampleRequest": {"inputs": {"i": [7]}}}),
                "properties/exampleRequest/inputs/i/0",
            ),
            (json!({"parameters": [null, null]}), "properties/parameters"),
        ] {
            let fault = check(settled(given).as_object().unwrap()).unwrap_err();
            assert!(fault.is(&faults::rows::BadArgument::RequestBodyInvalid));
            assert_eq!(fault.details()[0].target.as_deref(), Some(target));
        }
    }
}
