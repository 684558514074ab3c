//! The definition of a web service as it is kept and as it is shown.

use serde_json::{Map, Value, json};

use crate::credentials::{self, Region};
use crate::json::{member, member_mut, object_mut, remove};

/// The api-versions of the Resource Manager's webServices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ApiVersion {
    /// `2016-05-01-preview`: parameter values are plain text.
    Preview2016,
    /// `2017-01-01`: parameter values are objects with a certificate thumbprint.
    Stable2017,
}

impl ApiVersion {
    /// Reads the query's `api-version`, in any case; `None` for one that is not known.
    pub fn parse(text: &str) -> Option<ApiVersion> {
        if text.eq_ignore_ascii_case("2016-05-01-preview") {
            Some(ApiVersion::Preview2016)
        } else if text == "2017-01-01" {
            Some(ApiVersion::Stable2017)
        } else {
            None
        }
    }
}

/// Members that only the server sets; what a client sends of them is dropped.
const READ_ONLY: [&str; 4] = [
    "createdOn",
    "modifiedOn",
    "provisioningState",
    "swaggerLocation",
];

/// [`take_secrets`], and the credentials among the parameters.
pub(crate) fn take_all(
    properties: &mut Map<String, Value>,
    region: &Region<'_>,
) -> Option<Vec<u8>> {
    let hidden = credentials::hide(properties, region);
    let secrets = take_secrets(properties);
    if hidden.is_empty() {
        return secrets;
    }
    let mut all: Map<String, Value> = secrets
        .and_then(|bytes| serde_json::from_slice(&bytes).ok())
        .unwrap_or_default();
    all.insert("parameters".into(), hidden.into());
    Some(Value::from(all).to_string().into_bytes())
}

/// Takes out of `properties` what is not kept in the open: the keys are dropped (they have their
/// own place), other secrets are returned as JSON text, to be sealed.
pub(crate) fn take_secrets(properties: &mut Map<String, Value>) -> Option<Vec<u8>> {
    remove(properties, &["keys"]);
    remove(properties, &READ_ONLY);
    let mut secrets = Map::new();
    if let Some(account) = object_mut(properties, "storageAccount") {
        if let Some(key) = member(account, "key")
            && !is_blank(key)
        {
            secrets.insert("storageAccount".into(), key.clone());
        }
        remove(account, &["key"]);
    }
    if let Some(location) = object_mut(properties, "payloadsLocation")
        && let Some(credentials) = take_credentials(location)
    {
        secrets.insert("payloadsLocation".into(), credentials);
    }
    let mut of_assets = Map::new();
    if let Some(assets) = object_mut(properties, "assets") {
        for (id, asset) in assets.iter_mut() {
            let Some(asset) = asset.as_object_mut() else {
                continue;
            };
            if let Some(location) = object_mut(asset, "locationInfo")
                && let Some(credentials) = take_credentials(location)
            {
                of_assets.insert(id.clone(), credentials);
            }
        }
    }
    if !of_assets.is_empty() {
        secrets.insert("assets".into(), of_assets.into());
    }
    (!secrets.is_empty()).then(|| Value::from(secrets).to_string().into_bytes())
}

/// Empties `credentials`, as it is where there are none; what it was, unless it was empty.
fn take_credentials(location: &mut Map<String, Value>) -> Option<Value> {
    let credentials = member_mut(location, "credentials")?;
    if is_blank(credentials) {
        return None;
    }
    Some(std::mem::replace(credentials, json!("")))
}

fn is_blank(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        _ => false,
    }
}

/// What a GET shows of a kept definition: all but the commitment plan, parameter values in the
/// shape of the api-version. The server's own members are added by the view.
pub(crate) fn shown(definition: &Map<String, Value>, version: ApiVersion) -> Map<String, Value> {
    let mut properties = definition.clone();
    remove(&mut properties, &["commitmentPlan"]);
    if let Some(example) = object_mut(&mut properties, "exampleRequest") {
        example.retain(|name, value| {
            !(name.eq_ignore_ascii_case("globalParameters") && value.is_null())
        });
    }
    if let Some(parameters) = object_mut(&mut properties, "parameters") {
        shape_parameters(parameters, version);
    }
    if let Some(package) = object_mut(&mut properties, "package")
        && let Some(nodes) = object_mut(package, "nodes")
    {
        for (_, node) in nodes.iter_mut() {
            if let Some(node) = node.as_object_mut()
                && let Some(parameters) = object_mut(node, "parameters")
            {
                shape_parameters(parameters, version);
            }
        }
    }
    properties
}

/// The members of a definition that stand in a list of services.
const LISTED: [&str; 10] = [
    "title",
    "description",
    "readOnly",
    "realtimeConfiguration",
    "diagnostics",
    "storageAccount",
    "machineLearningWorkspace",
    "packageType",
    "exposeSampleData",
    "payloadsInBlobStorage",
];

/// What a list shows of a kept definition.
pub(crate) fn listed(definition: &Map<String, Value>) -> Map<String, Value> {
    definition
        .iter()
        .filter(|(key, _)| LISTED.iter().any(|name| key.eq_ignore_ascii_case(name)))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

fn shape_parameters(parameters: &mut Map<String, Value>, version: ApiVersion) {
    for (_, parameter) in parameters.iter_mut() {
        match version {
            ApiVersion::Stable2017 => {
                if !parameter.is_object() {
                    let value = parameter.take();
                    *parameter = json!({"value": value, "certificateThumbprint": ""});
                }
            }
            ApiVersion::Preview2016 => {
                if let Some(value) = parameter.as_object().map(|o| member(o, "value")) {
                    *parameter = match value {
                        None | Some(Value::Null) => Value::Null,
                        Some(Value::String(text)) => json!(text),
                        Some(other) => json!(other.to_string()),
                    };
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(value: Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn secrets_are_taken_out_wherever_they_stand() {
        let mut properties = object(json!({
            "title": "t",
            "Keys": {"primary": "p", "secondary": "s"},
            "StorageAccount": {"name": "acct", "Key": "secret 1"},
            "provisioningState": "Succeeded",
            "CREATEDON": "2017-01-01",
            "payloadsLocation": {"uri": "u", "credentials": "secret 2"},
            "assets": {
                "a": {"LocationInfo": {"uri": "u", "Credentials": "?sig=secret 3"}},
                "b": {"locationInfo": {"uri": "u", "credentials": ""}},
                "c": {"locationInfo": {"uri": "u"}},
                "d": 7,
            },
            "package": {},
        }));
        let secrets = take_secrets(&mut properties).unwrap();
        let secrets: Value = serde_json::from_slice(&secrets).unwrap();
        assert_eq!(
            secrets,
            json!({
                "storageAccount": "secret 1",
                "payloadsLocation": "secret 2",
                "assets": {"a": "?sig=secret 3"},
            })
        );
        let kept = Value::from(properties);
        assert_eq!(
            kept,
            json!({
                "title": "t",
                "StorageAccount": {"name": "acct"},
                "payloadsLocation": {"uri": "u", "credentials": ""},
                "assets": {
                    "a": {"LocationInfo": {"uri": "u", "Credentials": ""}},
                    "b": {"locationInfo": {"uri": "u", "credentials": ""}},
                    "c": {"locationInfo": {"uri": "u"}},
                    "d": 7,
                },
                "package": {},
            })
        );
        let mut open = object(json!({"title": "t", "storageAccount": {"name": "a", "key": null}}));
        assert_eq!(take_secrets(&mut open), None);
    }

    #[test]
    fn parameters_take_the_shape_of_the_version() {
        let definition = object(json!({
            "commitmentPlan": {"id": "plan"},
            "Parameters": {"a": "1", "b": {"value": 2, "certificateThumbprint": "t"}, "c": null},
            "Package": {"Nodes": {
                "n": {"assetId": "x", "parameters": {"p": true, "q": {"Value": "v"}}},
                "m": {"inputId": "input1"},
            }},
            "exampleRequest": {"inputs": {}, "globalParameters": null},
        }));
        assert_eq!(
            Value::from(shown(&definition, ApiVersion::Stable2017)),
            json!({
                "Parameters": {
                    "a": {"value": "1", "certificateThumbprint": ""},
                    "b": {"value": 2, "certificateThumbprint": "t"},
                    "c": {"value": null, "certificateThumbprint": ""},
                },
                "Package": {"Nodes": {
                    "n": {"assetId": "x", "parameters": {
                        "p": {"value": true, "certificateThumbprint": ""},
                        "q": {"Value": "v"},
                    }},
                    "m": {"inputId": "input1"},
                }},
                "exampleRequest": {"inputs": {}},
            })
        );
        assert_eq!(
            Value::from(shown(&definition, ApiVersion::Preview2016)),
            json!({
                "Parameters": {"a": "1", "b": "2", "c": null},
                "Package": {"Nodes": {
                    "n": {"assetId": "x", "parameters": {"p": true, "q": "v"}},
                    "m": {"inputId": "input1"},
                }},
                "exampleRequest": {"inputs": {}},
            })
        );
    }

    #[test]
    fn a_list_shows_no_graph() {
        let definition = object(json!({
            "title": "t", "assets": {}, "package": {}, "input": {}, "ReadOnly": false,
        }));
        assert_eq!(
            Value::from(listed(&definition)),
            json!({"title": "t", "ReadOnly": false})
        );
    }

    #[test]
    fn versions_are_known_or_not() {
        assert_eq!(
            ApiVersion::parse("2017-01-01"),
            Some(ApiVersion::Stable2017)
        );
        assert_eq!(
            ApiVersion::parse("2016-05-01-Preview"),
            Some(ApiVersion::Preview2016)
        );
        assert_eq!(ApiVersion::parse("2018-01-01"), None);
    }
}
