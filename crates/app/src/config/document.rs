//! The cluster configuration document: settings that all servers of an installation share, a JSON
//! object in the installation's blob store.

use serde_json::{Map, Value};

/// The document's settings by their dotted names, in text form.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Document(Vec<(String, String)>);

impl Document {
    /// Reads a document: `{"limits": {"body": "32MiB"}}`, or with dotted names. Whether there are
    /// such settings, and what their values may be, is for the loader to say.
    ///
    /// The error is a name, or nothing where the whole is wrong, and what is wrong.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Document, (String, String)> {
        let whole = |problem: String| (String::new(), problem);
        let value: Value = serde_json::from_slice(bytes).map_err(|e| whole(e.to_string()))?;
        let Value::Object(object) = value else {
            return Err(whole("it is no JSON object".to_owned()));
        };
        Document::of(&object)
    }

    /// As [`Document::parse`], of an object that was parsed.
    pub(crate) fn of(object: &Map<String, Value>) -> Result<Document, (String, String)> {
        let mut entries = Vec::new();
        flatten("", object, &mut entries)?;
        Ok(Document(entries))
    }

    /// Names and text forms, in the document's order.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, text)| (&name[..], &text[..]))
    }
}

fn flatten(
    prefix: &str,
    object: &Map<String, Value>,
    out: &mut Vec<(String, String)>,
) -> Result<(), (String, String)> {
    for (key, value) in object {
        let name = match prefix {
            "" => key.clone(),
            prefix => format!("{prefix}.{key}"),
        };
        match value {
            Value::Object(inner) => flatten(&name, inner, out)?,
            value => match text_of(value) {
                Some(text) => out.push((name, text)),
                None => return Err((name, "a value of this kind is not taken".to_owned())),
            },
        }
    }
    Ok(())
}

/// The text form of a value; none of one that no setting has.
fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
        Value::Array(items) => {
            let items: Option<Vec<String>> = items.iter().map(text_of).collect();
            let items = items?;
            let plain = |item: &String| !item.contains(',');
            items.iter().all(plain).then(|| items.join(","))
        }
        Value::Null | Value::Object(_) => None,
    }
}

/// Puts a setting into a document, where it stands or in its group; `Null` takes it out. Other
/// members stay as they are.
pub(crate) fn put(object: &mut Map<String, Value>, name: &str, value: Value) {
    object.remove(name);
    let Some((group, key)) = name.split_once('.') else {
        if !value.is_null() {
            object.insert(name.to_owned(), value);
        }
        return;
    };
    if !matches!(object.get(group), Some(Value::Object(_))) {
        if value.is_null() {
            return;
        }
        object.insert(group.to_owned(), Value::Object(Map::new()));
    }
    if let Some(Value::Object(inner)) = object.get_mut(group) {
        put(inner, key, value);
        if inner.is_empty() {
            object.remove(group);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn groups_and_dotted_names_mean_the_same() {
        let grouped = Document::parse(br#"{"limits": {"body": "1MiB", "rows": 5}, "drain": "1s"}"#);
        let dotted =
            Document::parse(br#"{"limits.body": "1MiB", "limits.rows": 5, "drain": "1s"}"#);
        assert_eq!(grouped, dotted);
        let list = Document::parse(br#"{"cors_origins": ["https://a", "https://b"]}"#).unwrap();
        assert_eq!(
            list.entries().collect::<Vec<_>>(),
            [("cors_origins", "https://a,https://b")]
        );
        for (wrong, name) in [
            ("", ""),
            ("[]", ""),
            ("{\"limits\": {\"body\": null}}", "limits.body"),
            ("{\"cors_origins\": [\"a,b\"]}", "cors_origins"),
        ] {
            assert_eq!(Document::parse(wrong.as_bytes()).unwrap_err().0, name);
        }
    }

    #[test]
    fn a_setting_is_put_and_taken_out_wherever_it_stands() {
        let mut document = Map::new();
        put(&mut document, "limits.body", json!("1MiB"));
        put(&mut document, "limits.rows", json!(5));
        put(&mut document, "drain", json!("1s"));
        assert_eq!(
            Value::from(document.clone()),
            json!({"limits": {"body": "1MiB", "rows": 5}, "drain": "1s"})
        );
        put(&mut document, "limits.rows", Value::Null);
        put(&mut document, "limits.body", Value::Null);
        put(&mut document, "drain", Value::Null);
        put(&mut document, "scoring.timeout", Value::Null);
        assert!(document.is_empty());
        let mut dotted = Map::from_iter([("limits.body".to_owned(), json!("1MiB"))]);
        put(&mut dotted, "limits.body", json!("2MiB"));
        assert_eq!(Value::from(dotted), json!({"limits": {"body": "2MiB"}}));
    }
}
