//! The body of a submission.
//!
//! Read strictly where a client could be misunderstood (a member given twice, a number where a text
//! belongs) and laxly where clients of old differ: null counts as absent, members that are not known
//! are passed over. Which inputs and outputs there must be is asked later, by what knows the
//! service.

use std::fmt;

use ::jobs::{JobRequest, OnBadRow};
use faults::{Fault, bad_argument};
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};
use storage::BlobReference;

/// A body that was read.
#[derive(Debug)]
pub(crate) struct Submission {
    /// What is asked for.
    pub(crate) request: JobRequest,
    /// Whether the body says nothing: `null`, `{}` or `[]`.
    pub(crate) says_nothing: bool,
    /// Whether it has members that only version 2.0 has.
    pub(crate) is_of_2_0: bool,
}

/// Reads a body.
///
/// # Errors
/// `BadArgument.RequestBodyInvalid`, at the member that is wrong, for no body at all, for one that is
/// no JSON object, that gives a member twice, or whose members are not of their kinds.
pub(crate) fn parse(bytes: &[u8]) -> Result<Submission, Fault> {
    let invalid = bad_argument::request_body_invalid;
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let Strict(body) = serde_json::from_slice(bytes).map_err(|e| invalid().caused_by(&e))?;
    let members = match body {
        Value::Null => Map::new(),
        Value::Array(items) if items.is_empty() => Map::new(),
        Value::Object(members) => members,
        _ => return Err(invalid().because("the body is no JSON object")),
    };
    let says_nothing = members.is_empty();
    let given = |name: &str| members.get(name).filter(|value| !value.is_null());
    let is_of_2_0 = given("Inputs").is_some() || given("Outputs").is_some();
    let single = |name: &str| given(name).map(|value| reference(value, name)).transpose();
    let request = JobRequest {
        input: single("Input")?.map(Some),
        inputs: given("Inputs")
            .map(|v| references(v, "Inputs"))
            .transpose()?,
        output: single("Output")?.map(Some),
        outputs: given("Outputs")
            .map(|v| references(v, "Outputs"))
            .transpose()?,
        parameters: parameters(given("GlobalParameters"))?,
        on_bad_row: on_bad_row(given("OnBadRow"), single("Rejects")?)?,
    };
    Ok(Submission {
        request,
        says_nothing,
        is_of_2_0,
    })
}

/// References by the names of inputs or outputs, null where one is null.
fn references(value: &Value, at: &str) -> Result<Vec<(String, Option<BlobReference>)>, Fault> {
    let named = object(value, at)?.iter().map(|(name, value)| {
        let read = match value {
            Value::Null => None,
            value => Some(reference(value, &format!("{at}/{name}"))?),
        };
        Ok((name.clone(), read))
    });
    named.collect()
}

fn reference(value: &Value, at: &str) -> Result<BlobReference, Fault> {
    let members = object(value, at)?;
    let text = |name: &str| match members.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(bad_argument::request_body_invalid()
            .at(format!("{at}/{name}"))
            .because("a part of a blob reference is no text")),
    };
    Ok(BlobReference {
        connection_string: text("ConnectionString")?,
        base_location: text("BaseLocation")?,
        relative_location: text("RelativeLocation")?,
        sas_blob_token: text("SasBlobToken")?,
    })
}

/// Values of web service parameters; as in a scoring call each is a text, a number, a boolean or
/// null.
fn parameters(value: Option<&Value>) -> Result<Map<String, Value>, Fault> {
    const AT: &str = "GlobalParameters";
    let Some(value) = value else {
        return Ok(Map::new());
    };
    let parameters = object(value, AT)?;
    for (name, value) in parameters {
        if value.is_object() || value.is_array() {
            return Err(bad_argument::request_body_invalid()
                .at(format!("{AT}/{name}"))
                .because("the value of a parameter is no text, number or boolean"));
        }
    }
    Ok(parameters.clone())
}

/// What becomes of rows that cannot be read. To say where rejected rows go is to say that they are
/// to be rejected.
fn on_bad_row(word: Option<&Value>, rejects: Option<BlobReference>) -> Result<OnBadRow, Fault> {
    let invalid = |why| {
        Err(bad_argument::request_body_invalid()
            .at("OnBadRow")
            .because(why))
    };
    let word = match word {
        None => None,
        Some(Value::String(word)) => Some(word),
        Some(_) => return invalid("OnBadRow is no text"),
    };
    match (word, rejects) {
        (Some(word), rejects) if word.eq_ignore_ascii_case("reject") => {
            Ok(OnBadRow::Reject(rejects))
        }
        (Some(word), None) if word.eq_ignore_ascii_case("fail") => Ok(OnBadRow::Fail),
        (Some(word), Some(_)) if word.eq_ignore_ascii_case("fail") => {
            invalid("a job that fails at a bad row has no rejects")
        }
        (Some(_), _) => invalid("OnBadRow is neither Fail nor Reject"),
        (None, Some(rejects)) => Ok(OnBadRow::Reject(Some(rejects))),
        (None, None) => Ok(OnBadRow::Fail),
    }
}

fn object<'a>(value: &'a Value, at: &str) -> Result<&'a Map<String, Value>, Fault> {
    value.as_object().ok_or_else(|| {
        bad_argument::request_body_invalid()
            .at(at)
            .because("the member is no JSON object")
    })
}

/// A JSON value in which no object has a member twice: which of the two would count is a guess.
struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Strict, D::Error> {
        deserializer.deserialize_any(StrictVisitor).map(Strict)
    }
}

struct StrictVisitor;

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut all = Vec::new();
        while let Some(Strict(item)) = items.next_element()? {
            all.push(item);
        }
        Ok(all.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut all = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            if all.contains_key(&name) {
                return Err(A::Error::custom("a member is there twice"));
            }
            let Strict(value) = members.next_value()?;
            all.insert(name, value);
        }
        Ok(all.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use faults::rows::BadArgument as Row;
    use serde_json::json;

    fn read(body: &Value) -> JobRequest {
        parse(body.to_string().as_bytes()).expect("a body").request
    }

    fn relative(reference: &Option<BlobReference>) -> Option<&str> {
        reference.as_ref()?.relative_location.as_deref()
    }

    #[test]
    fn bodies_of_every_client_are_read() {
        let reference = json!({
            "ConnectionString": "AccountName=a;AccountKey=k", "RelativeLocation": "/c/in.csv",
            "BaseLocation": null, "SasBlobToken": null,
        });
        let request = read(&json!({
            "Input": null,
            "Inputs": {"input1": reference, "input2": null},
            "Outputs": {"output1": {"RelativeLocation": "c/out.csv", "ConnetionString": 7}},
            "GlobalParameters": {"seed": 7, "on": true, "name": "x", "none": null},
            "GolbalParameters": [1],
        }));
        assert!(request.input.is_none() && request.output.is_none());
        let inputs = request.inputs.expect("inputs");
        assert_eq!(inputs[0].0, "input1");
        assert_eq!(relative(&inputs[0].1), Some("/c/in.csv"));
        assert!(inputs[1].1.is_none());
        let outputs = request.outputs.expect("outputs");
        assert_eq!(relative(&outputs[0].1), Some("c/out.csv"));
        assert_eq!(request.parameters.len(), 4);

        let request = read(&json!({"Input": reference, "Output": {}, "GlobalParameters": null}));
        assert_eq!(
            relative(&request.input.expect("an input")),
            Some("/c/in.csv")
        );
        assert!(request.output.is_some() && request.inputs.is_none());
    }

    #[test]
    fn what_says_nothing_and_what_is_of_2_0_is_seen() {
        for body in ["null", "{}", "[]", "\u{feff} {} "] {
            assert!(parse(body.as_bytes()).expect(body).says_nothing, "{body}");
        }
        for (body, of_2_0) in [
            (r#"{"Input":{}}"#, false),
            (r#"{"Inputs":null,"Outputs":null}"#, false),
            (r#"{"Inputs":{}}"#, true),
            (r#"{"Input":{},"Outputs":{}}"#, true),
        ] {
            let read = parse(body.as_bytes()).expect(body);
            assert!(!read.says_nothing);
            assert_eq!(read.is_of_2_0, of_2_0, "{body}");
        }
    }

    #[test]
    fn what_cannot_be_meant_is_named() {
        let deep = "[".repeat(100_000);
        for (body, target) in [
            ("", None),
            (" ", None),
            ("{", None),
            ("7", None),
            ("[1]", None),
            (deep.as_str(), None),
            (r#"{"Inputs":{},"Inputs":{}}"#, None),
            (
                r#"{"Inputs":{"a":{"RelativeLocation":"x","RelativeLocation":"y"}}}"#,
                None,
            ),
            (r#"{"Inputs":7}"#, Some("Inputs")),
            (r#"{"Inputs":{"a":"b"}}"#, Some("Inputs/a")),
            (
                r#"{"Input":{"SasBlobToken":7}}"#,
                Some("Input/SasBlobToken"),
            ),
            (r#"{"Outputs":[{}]}"#, Some("Outputs")),
            (r#"{"GlobalParameters":"x"}"#, Some("GlobalParameters")),
            (
                r#"{"GlobalParameters":{"p":{}}}"#,
                Some("GlobalParameters/p"),
            ),
            (r#"{"OnBadRow":"Explode"}"#, Some("OnBadRow")),
            (r#"{"OnBadRow":true}"#, Some("OnBadRow")),
            (r#"{"OnBadRow":"Fail","Rejects":{}}"#, Some("OnBadRow")),
        ] {
            let fault = parse(body.as_bytes()).expect_err(body);
            assert!(
                fault.is(&Row::RequestBodyInvalid),
                "{body:.40}: {}",
                fault.name()
            );
            assert_eq!(fault.details()[0].target.as_deref(), target, "{body:.40}");
        }
    }

    #[test]
    fn rows_are_rejected_only_when_that_is_asked_for() {
        let of = |body| read(&body).on_bad_row;
        assert!(matches!(of(json!({})), OnBadRow::Fail));
        assert!(matches!(
            of(json!({"OnBadRow": "fail", "Rejects": null})),
            OnBadRow::Fail
        ));
        assert!(matches!(
            of(json!({"OnBadRow": "Reject"})),
            OnBadRow::Reject(None)
        ));
        assert!(matches!(
            of(json!({"Rejects": {"RelativeLocation": "c/r.csv"}})),
            OnBadRow::Reject(Some(_))
        ));
    }
}
