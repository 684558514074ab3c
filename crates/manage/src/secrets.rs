//! Secrets that a definition is sent without, because a GET shows it without: they stay what they
//! were, as long as what they open is the same.

use serde_json::{Map, Value};

use crate::json::{Body, member, member_mut, object, object_mut};

/// Puts into `body` the secrets of the stored definition that it leaves out: the key of a storage
/// account of the same name, and the credentials of assets at the same location.
pub(crate) fn reinstate(body: &mut Body, stored: &str, secrets: Option<&[u8]>) {
    let Some(secrets) = secrets.and_then(|bytes| serde_json::from_slice::<Value>(bytes).ok())
    else {
        return;
    };
    let stored: Value = serde_json::from_str(stored).unwrap_or_default();
    let (Some(stored), Some(secrets)) = (stored.as_object(), secrets.as_object()) else {
        return;
    };
    let Some(properties) = body
        .resource
        .as_object_mut()
        .and_then(|top| object_mut(top, "properties"))
    else {
        return;
    };
    let name_of = |account: &Map<String, Value>| text(account, "name").to_ascii_lowercase();
    if let Some(account) = object_mut(properties, "storageAccount")
        && let Some(before) = object(stored, "storageAccount")
        && name_of(account) == name_of(before)
        && let Some(key) = secrets.get("storageAccount")
    {
        fill(account, "key", key);
    }
    let known = object(secrets, "assets");
    let before = object(stored, "assets");
    if let Some(assets) = object_mut(properties, "assets") {
        for (id, asset) in assets.iter_mut() {
            let Some(location) = asset
                .as_object_mut()
                .and_then(|asset| object_mut(asset, "locationInfo"))
            else {
                continue;
            };
            let uri = before
                .and_then(|assets| assets.get(id)?.as_object())
                .and_then(|asset| object(asset, "locationInfo"))
                .map(|location| text(location, "uri"));
            if uri == Some(text(location, "uri"))
                && let Some(credentials) = known.and_then(|known| known.get(id))
            {
                fill(location, "credentials", credentials);
            }
        }
    }
}

fn text<'a>(object: &'a Map<String, Value>, name: &str) -> &'a str {
    member(object, name)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

/// Sets a member that is absent or blank.
fn fill(object: &mut Map<String, Value>, name: &str, value: &Value) {
    match member_mut(object, name) {
        Some(old) if old.is_null() || old.as_str() == Some("") => *old = value.clone(),
        Some(_) => {}
        None => drop(object.insert(name.to_owned(), value.clone())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn body(properties: Value) -> Body {
        let body = json!({"location": "x", "properties": properties});
        Body::parse(body.to_string().as_bytes()).unwrap()
    }

    #[test]
    fn what_opens_the_same_stays_and_nothing_else() {
        let stored = json!({
            "storageAccount": {"name": "acct"},
            "assets": {
                "a": {"locationInfo": {"uri": "https://x/a", "credentials": ""}},
                "b": {"locationInfo": {"uri": "https://x/b", "credentials": ""}},
            },
        });
        let secrets = json!({"storageAccount": "k", "assets": {"a": "?sig=a", "b": "?sig=b"}});
        let mut same = body(json!({
            "StorageAccount": {"Name": "ACCT"},
            "assets": {
                "a": {"locationInfo": {"uri": "https://x/a", "credentials": ""}},
                "b": {"locationInfo": {"uri": "https://elsewhere/b", "credentials": ""}},
            },
        }));
        reinstate(
            &mut same,
            &stored.to_string(),
            Some(secrets.to_string().as_bytes()),
        );
        let properties = Value::from(same.properties().unwrap().clone());
        assert_eq!(properties["StorageAccount"]["key"], "k");
        assert_eq!(
            properties["assets"]["a"]["locationInfo"]["credentials"],
            "?sig=a"
        );
        assert_eq!(properties["assets"]["b"]["locationInfo"]["credentials"], "");

        let mut other = body(json!({
            "storageAccount": {"name": "other"},
            "assets": {"a": {"locationInfo": {"uri": "https://x/a", "credentials": "?sig=new"}}},
        }));
        reinstate(
            &mut other,
            &stored.to_string(),
            Some(secrets.to_string().as_bytes()),
        );
        let properties = Value::from(other.properties().unwrap().clone());
        assert_eq!(properties["storageAccount"], json!({"name": "other"}));
        assert_eq!(
            properties["assets"]["a"]["locationInfo"]["credentials"],
            "?sig=new"
        );
    }
}
