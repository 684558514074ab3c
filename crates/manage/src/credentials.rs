//! Credentials among the parameters of a definition: an account's key that a module reads with.
//!
//! They are kept with the other secrets, sealed. A GET shows them sealed for the service's region,
//! under a thumbprint of that region; what was shown can be put again and is the same secret. What
//! is sealed under another thumbprint was sealed elsewhere, is never opened, and stays as it is.

use std::collections::HashSet;

use faults::Fault;
use outbound::base64;
use serde_json::{Map, Value, json};
use store::Sealer;

use crate::json::{member, object, object_mut};
use crate::names;

/// A place that secrets are sealed for.
pub(crate) struct Region<'a> {
    sealer: &'a Sealer,
    letters: String,
}

impl<'a> Region<'a> {
    /// The region of that name.
    pub(crate) fn of(sealer: &'a Sealer, location: &str) -> Region<'a> {
        Region {
            sealer,
            letters: names::letters(location),
        }
    }

    /// What tells secrets that were sealed here for this region from others: 40 digits, as
    /// certificates have them.
    fn thumbprint(&self) -> String {
        let digest = self
            .sealer
            .digest_key(&format!("parameters for {}", self.letters));
        let bytes = digest.0.iter().take(20);
        bytes.map(|byte| format!("{byte:02X}")).collect()
    }

    fn context(&self) -> String {
        format!("parameter for {}", self.letters)
    }

    fn seal(&self, plain: &str) -> String {
        base64::encode(&self.sealer.seal(plain.as_bytes(), &self.context()))
    }

    fn open(&self, text: &str) -> Option<String> {
        let sealed = base64::decode(text)?;
        let plain = self.sealer.open(&sealed, &self.context()).ok()?;
        String::from_utf8(plain).ok()
    }
}

/// Whether a parameter holds a credential by its name, as modules' interfaces name them.
fn is_credential(name: &str) -> bool {
    let name = name.trim().to_lowercase();
    [
        "password",
        "token",
        "secret",
        "connection string",
        "account key",
        "accountkey",
        "access key",
        "storage key",
        "api key",
    ]
    .iter()
    .any(|end| name.ends_with(end))
}

/// The parameters that graph parameters of the type Credential lead to, and these themselves: node
/// (none for the service's own) and name, in lower case.
fn linked(properties: &Map<String, Value>) -> HashSet<(Option<String>, String)> {
    let mut found = HashSet::new();
    let parameters = object(properties, "package").and_then(|p| object(p, "graphParameters"));
    for (name, parameter) in parameters.into_iter().flatten() {
        let Some(parameter) = parameter.as_object() else {
            continue;
        };
        let kind = member(parameter, "type").and_then(Value::as_str);
        if !kind.is_some_and(|kind| kind.eq_ignore_ascii_case("Credential")) {
            continue;
        }
        found.insert((None, name.to_lowercase()));
        let links = member(parameter, "links").and_then(Value::as_array);
        for link in links.into_iter().flatten().filter_map(Value::as_object) {
            let text = |name: &str| member(link, name).and_then(Value::as_str);
            if let (Some(node), Some(key)) = (text("nodeId"), text("parameterKey")) {
                found.insert((Some(node.to_owned()), key.to_lowercase()));
            }
        }
    }
    found
}

/// Visits the service's own parameter values, and those of each node.
fn each(
    properties: &mut Map<String, Value>,
    mut visit: impl FnMut(Option<&str>, &str, &mut Value) -> Result<(), Fault>,
) -> Result<(), Fault> {
    if let Some(parameters) = object_mut(properties, "parameters") {
        for (name, value) in parameters.iter_mut() {
            visit(None, name, value)?;
        }
    }
    let nodes = object_mut(properties, "package").and_then(|p| object_mut(p, "nodes"));
    for (node, content) in nodes.into_iter().flat_map(|nodes| nodes.iter_mut()) {
        let parameters = content
            .as_object_mut()
            .and_then(|content| object_mut(content, "parameters"));
        for (name, value) in parameters.into_iter().flat_map(|p| p.iter_mut()) {
            visit(Some(node), name, value)?;
        }
    }
    Ok(())
}

/// A parameter's value and thumbprint, each empty where there is none. Only texts are secrets.
fn parts(parameter: &Value) -> (String, String) {
    let text = |value: Option<&Value>| value.and_then(Value::as_str).unwrap_or_default().to_owned();
    match parameter.as_object() {
        Some(object) => (
            text(member(object, "value")),
            text(member(object, "certificateThumbprint")),
        ),
        None => (text(Some(parameter)), String::new()),
    }
}

fn parameter(value: &str, thumbprint: &str) -> Value {
    json!({"value": value, "certificateThumbprint": thumbprint})
}

/// A place among the secrets: that of a node, or the service's own.
fn place(node: Option<&str>) -> &str {
    // No node has an empty id.
    node.unwrap_or_default()
}

/// Opens what was sealed here for this region; what is left out is taken from the secrets that the
/// service has.
///
/// # Errors
/// `BadArgument.BadParameterValue` for what has this region's thumbprint and does not open.
pub(crate) fn open(
    properties: &mut Map<String, Value>,
    region: &Region<'_>,
    secrets: Option<&[u8]>,
) -> Result<(), Fault> {
    let own = region.thumbprint();
    let known: Value = secrets
        .and_then(|bytes| serde_json::from_slice(bytes).ok())
        .unwrap_or_default();
    let linked = linked(properties);
    each(properties, |node, name, value| {
        let (text, thumbprint) = parts(value);
        if thumbprint.eq_ignore_ascii_case(&own) {
            let plain = match text.is_empty() {
                true => known["parameters"][place(node)][name]
                    .as_str()
                    .unwrap_or_default()
                    .to_owned(),
                false => region.open(&text).ok_or_else(|| {
                    let target = match node {
                        Some(node) => format!("package/nodes/{node}/parameters/{name}"),
                        None => format!("parameters/{name}"),
                    };
                    faults::bad_argument::bad_parameter_value()
                        .at(target)
                        .because("a value that has our thumbprint does not open")
                })?,
            };
            *value = parameter(&plain, "");
        } else if thumbprint.is_empty()
            && hides(&linked, node, name)
            // The old version's values have no thumbprint.
            && let Some(plain) = region.open(&text)
        {
            *value = parameter(&plain, "");
        }
        Ok(())
    })
}

fn hides(linked: &HashSet<(Option<String>, String)>, node: Option<&str>, name: &str) -> bool {
    is_credential(name) || linked.contains(&(node.map(str::to_owned), name.to_lowercase()))
}

/// Takes credentials out of a definition, which keeps the region's thumbprint in their place: by
/// node (the empty one for the service's own) and name.
pub(crate) fn hide(properties: &mut Map<String, Value>, region: &Region<'_>) -> Map<String, Value> {
    let own = region.thumbprint();
    let linked = linked(properties);
    let mut hidden = Map::new();
    // The visit refuses nothing.
    let _ = each(properties, |node, name, value| {
        let (text, thumbprint) = parts(value);
        if !text.is_empty() && thumbprint.is_empty() && hides(&linked, node, name) {
            let of_node = hidden.entry(place(node)).or_insert_with(|| json!({}));
            of_node[name] = json!(text);
            *value = parameter("", &own);
        }
        Ok(())
    });
    hidden
}

/// Puts credentials back into a definition: plain for a container, sealed for a region for others.
pub(crate) fn fill(
    properties: &mut Map<String, Value>,
    secrets: &[u8],
    region: Option<&Region<'_>>,
) {
    let secrets: Value = serde_json::from_slice(secrets).unwrap_or_default();
    let known = &secrets["parameters"];
    // The visit refuses nothing.
    let _ = each(properties, |node, name, value| {
        if let Some(plain) = known[place(node)][name].as_str() {
            *value = match region {
                Some(region) => parameter(&region.seal(plain), &region.thumbprint()),
                None => parameter(plain, ""),
            };
        }
        Ok(())
    });
}

/// Whether a definition as text may hold a value in whose place a thumbprint stands.
pub(crate) fn may_hide(definition: &str) -> bool {
    const NAME: &str = "\"certificateThumbprint\":\"";
    definition
        .match_indices(NAME)
        .any(|(at, _)| !definition[at + NAME.len()..].starts_with('"'))
}

/// A definition as text with its credentials in the open, for a container.
pub(crate) fn plain(definition: String, secrets: Option<&[u8]>) -> String {
    let Some(secrets) = secrets.filter(|_| may_hide(&definition)) else {
        return definition;
    };
    match serde_json::from_str::<Map<String, Value>>(&definition) {
        Ok(mut properties) => {
            fill(&mut properties, secrets, None);
            Value::from(properties).to_string()
        }
        Err(_) => definition,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn properties() -> Map<String, Value> {
        json!({
            "parameters": {
                "Cred": {"value": "s1", "certificateThumbprint": ""},
                "Plain": {"value": "p", "certificateThumbprint": ""},
            },
            "package": {
                "nodes": {
                    "n": {"assetId": "a", "parameters": {
                        "Account Key": "s2",
                        "Linked": {"value": "s3", "certificateThumbprint": ""},
                        "Foreign Password": {"value": "QUJD", "certificateThumbprint": "AB12"},
                        "Column": {"value": "key"},
                    }},
                    "m": {"inputId": "i"},
                },
                "graphParameters": {"cred": {"type": "Credential", "links": [
                    {"nodeId": "n", "parameterKey": "linked"},
                ]}},
            },
        })
        .as_object()
        .unwrap()
        .clone()
    }

    #[test]
    fn a_credential_is_hidden_shown_sealed_and_taken_back() {
        let sealer = Sealer::new(&[7; 32]);
        let region = Region::of(&sealer, "South Central US");
        let mut kept = properties();
        let hidden = hide(&mut kept, &region);
        assert_eq!(
            Value::from(hidden.clone()),
            json!({"": {"Cred": "s1"}, "n": {"Account Key": "s2", "Linked": "s3"}})
        );
        let text = Value::from(kept.clone()).to_string();
        assert!(
            may_hide(&text) && !text.contains("s1") && !text.contains("s2"),
            "{text}"
        );
        assert!(text.contains("QUJD"), "what is foreign stays");
        let secrets = json!({"parameters": hidden}).to_string();
        let secrets = secrets.as_bytes();

        // As a GET shows it, and as it comes back: in a region of the same name alone.
        let mut shown = kept.clone();
        fill(&mut shown, secrets, Some(&region));
        let value = shown["package"]["nodes"]["n"]["parameters"]["Account Key"].clone();
        assert_eq!(value["certificateThumbprint"], region.thumbprint());
        assert_eq!(region.thumbprint().len(), 40);
        assert!(!Value::from(shown.clone()).to_string().contains("s2"));
        let same = Region::of(&sealer, "southcentralus");
        let mut back = shown.clone();
        open(&mut back, &same, None).unwrap();
        assert_eq!(hide(&mut back, &same), hidden);
        let mut elsewhere = shown.clone();
        let other = Region::of(&sealer, "West Europe");
        open(&mut elsewhere, &other, None).unwrap();
        assert_eq!(elsewhere, shown, "opaque there");

        // What is left out is what it was; what was changed does not open.
        let mut partial = kept.clone();
        open(&mut partial, &region, Some(secrets)).unwrap();
        assert_eq!(hide(&mut partial, &region), hidden);
        shown["parameters"]["Cred"]["value"] = json!("AAAA");
        let fault = open(&mut shown, &region, None).unwrap_err();
        assert!(fault.is(&faults::rows::BadArgument::BadParameterValue));
        assert_eq!(
            fault.details()[0].target.as_deref(),
            Some("parameters/Cred")
        );

        // A container gets it in the open.
        let open = plain(text, Some(secrets));
        assert!(
            open.contains("s1") && open.contains("s2") && open.contains("s3"),
            "{open}"
        );
    }

    #[test]
    fn credentials_are_known_by_their_names() {
        for name in [
            "Account Key",
            "Password",
            "SAS Token",
            "Database connection string",
        ] {
            assert!(is_credential(name), "{name}");
        }
        for name in ["Key column", "Tokenize", "Join Key", "Column Set"] {
            assert!(!is_credential(name), "{name}");
        }
        assert!(!may_hide(
            r#"{"a":{"value":"","certificateThumbprint":""}}"#
        ));
    }
}
