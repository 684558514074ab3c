//! Reading a body and its members as laxly as the Resource Manager did.

use faults::Fault;
use serde_json::{Map, Value};

/// The member of that name; the exact name wins over one in another case.
pub(crate) fn member<'a>(object: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    object.get(name).or_else(|| {
        object
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    })
}

/// Like [`member`], to change it.
pub(crate) fn member_mut<'a>(
    object: &'a mut Map<String, Value>,
    name: &str,
) -> Option<&'a mut Value> {
    if object.contains_key(name) {
        return object.get_mut(name);
    }
    object
        .iter_mut()
        .find(|(key, _)| key.eq_ignore_ascii_case(name))
        .map(|(_, value)| value)
}

/// The member of that name that is an object.
pub(crate) fn object<'a>(
    object: &'a Map<String, Value>,
    name: &str,
) -> Option<&'a Map<String, Value>> {
    member(object, name)?.as_object()
}

/// Like [`object`], to change it.
pub(crate) fn object_mut<'a>(
    object: &'a mut Map<String, Value>,
    name: &str,
) -> Option<&'a mut Map<String, Value>> {
    member_mut(object, name)?.as_object_mut()
}

/// Removes members by name, whatever their case; the others keep their order.
pub(crate) fn remove(object: &mut Map<String, Value>, names: &[&str]) {
    object.retain(|key, _| !names.iter().any(|name| key.eq_ignore_ascii_case(name)));
}

/// Reads a body that must be a JSON object, possibly an empty one.
///
/// # Errors
/// `BadArgument.RequestBodyInvalid` when it is no JSON or no object; `BadArgument.RequestIsEmpty`
/// for `null` and `[]`.
pub(crate) fn read_object(bytes: &[u8]) -> Result<Map<String, Value>, Fault> {
    let invalid = faults::bad_argument::request_body_invalid;
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    if bytes.is_empty() {
        return Err(invalid().because("the body is empty"));
    }
    match serde_json::from_slice(bytes).map_err(|e| invalid().caused_by(&e))? {
        Value::Object(top) => Ok(top),
        Value::Null => Err(faults::bad_argument::request_is_empty()),
        Value::Array(items) if items.is_empty() => Err(faults::bad_argument::request_is_empty()),
        _ => Err(invalid().because("the body is no JSON object")),
    }
}

/// The location of a resource, which must be there.
///
/// # Errors
/// `BadArgument.RequestBodyInvalid` at `location`.
pub(crate) fn read_location(top: &Map<String, Value>) -> Result<String, Fault> {
    match member(top, "location") {
        Some(Value::String(location)) if !location.trim().is_empty() => Ok(location.clone()),
        _ => Err(faults::bad_argument::request_body_invalid().at("location")),
    }
}

/// The tags of a resource, where it has the member.
///
/// # Errors
/// `BadArgument.RequestBodyInvalid` at `tags` for anything but an object of texts.
pub(crate) fn read_tags(top: &Map<String, Value>) -> Result<Option<Map<String, Value>>, Fault> {
    match member(top, "tags") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Object(tags)) if tags.values().all(Value::is_string) => Ok(Some(tags.clone())),
        Some(_) => Err(faults::bad_argument::request_body_invalid().at("tags")),
    }
}

/// A web service resource as a client sends it, taken apart.
#[derive(Debug)]
pub(crate) struct Body {
    /// The whole.
    pub(crate) resource: Value,
    pub(crate) location: String,
    pub(crate) tags: Map<String, Value>,
}

impl Body {
    /// Reads the body of a PUT.
    ///
    /// # Errors
    /// `BadArgument.RequestBodyInvalid` when it is no JSON, no object, or `location`, `tags` or
    /// `properties` is absent or of the wrong shape (the target names it);
    /// `BadArgument.RequestIsEmpty` for `null`, `{}` and `[]`.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Body, Fault> {
        let top = read_object(bytes)?;
        if top.is_empty() {
            return Err(faults::bad_argument::request_is_empty());
        }
        let location = read_location(&top)?;
        let tags = read_tags(&top)?.unwrap_or_default();
        if object(&top, "properties").is_none() {
            return Err(faults::bad_argument::request_body_invalid().at("properties"));
        }
        Ok(Body {
            resource: top.into(),
            location,
            tags,
        })
    }

    /// Puts what can be meant in one way only into the form of the Resource Manager's document.
    pub(crate) fn settle(&mut self) {
        if let Some(top) = self.resource.as_object_mut()
            && let Some(properties) = object_mut(top, "properties")
        {
            crate::shapes::settle(properties);
        }
    }

    /// `properties`, which [`Body::parse`] has seen to be an object.
    pub(crate) fn properties(&self) -> Option<&Map<String, Value>> {
        object(self.resource.as_object()?, "properties")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use faults::rows::BadArgument as Row;
    use serde_json::json;

    #[test]
    fn what_is_wrong_with_a_body_is_told() {
        for (body, row, target) in [
            ("", &Row::RequestBodyInvalid, None),
            ("{", &Row::RequestBodyInvalid, None),
            ("<xml/>", &Row::RequestBodyInvalid, None),
            ("7", &Row::RequestBodyInvalid, None),
            ("[1]", &Row::RequestBodyInvalid, None),
            ("null", &Row::RequestIsEmpty, None),
            (" {} ", &Row::RequestIsEmpty, None),
            ("[]", &Row::RequestIsEmpty, None),
            (r#"{"a":1}"#, &Row::RequestBodyInvalid, Some("location")),
            (
                r#"{"location":7}"#,
                &Row::RequestBodyInvalid,
                Some("location"),
            ),
            (
                r#"{"location":" "}"#,
                &Row::RequestBodyInvalid,
                Some("location"),
            ),
            (
                r#"{"location":"x","tags":[]}"#,
                &Row::RequestBodyInvalid,
                Some("tags"),
            ),
            (
                r#"{"location":"x","tags":{"a":1}}"#,
                &Row::RequestBodyInvalid,
                Some("tags"),
            ),
            (
                r#"{"location":"x"}"#,
                &Row::RequestBodyInvalid,
                Some("properties"),
            ),
            (
                r#"{"location":"x","properties":"y"}"#,
                &Row::RequestBodyInvalid,
                Some("properties"),
            ),
        ] {
            let fault = Body::parse(body.as_bytes()).unwrap_err();
            assert!(fault.is(row), "{body}: {}", fault.name());
            assert_eq!(fault.details()[0].target.as_deref(), target, "{body}");
        }
        let deep = "[".repeat(100_000);
        assert!(Body::parse(deep.as_bytes()).is_err());
    }

    #[test]
    fn members_are_found_in_any_case() {
        let body =
            "\u{feff}{\"Location\":\"West US\",\"TAGS\":null,\"Properties\":{\"Title\":\"t\"}}";
        let body = Body::parse(body.as_bytes()).unwrap();
        assert_eq!(body.location, "West US");
        assert!(body.tags.is_empty());
        let properties = body.properties().unwrap();
        assert_eq!(member(properties, "title"), Some(&json!("t")));
    }

    #[test]
    fn removing_keeps_the_order_of_the_rest() {
        let mut value = json!({"z":1,"KEYS":2,"a":3,"keys":4,"m":5});
        let object = value.as_object_mut().unwrap();
        remove(object, &["keys"]);
        let names: Vec<&String> = object.keys().collect();
        assert_eq!(names, ["z", "a", "m"]);
    }
}
