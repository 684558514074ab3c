//! What a PATCH changes of a definition.
//!
//! Settings are merged member by member; the parts of the package are replaced whole, as clients
//! do who export a definition, change a location in it and send it back.

use faults::{Fault, bad_argument};
use serde_json::{Map, Value};
use store::{Entry, Revision, Sha256};

use crate::deploy::conflict;
use crate::json::{Body, member, member_mut, object, read_object, read_tags, remove};
use crate::names;

/// Objects of settings, whose members change one by one.
const MERGED: [&str; 3] = ["realtimeConfiguration", "diagnostics", "storageAccount"];

/// What containers run: a change of it makes a further revision.
const PACKAGE: [&str; 8] = [
    "assets",
    "package",
    "input",
    "output",
    "parameters",
    "exampleRequest",
    "payloadsInBlobStorage",
    "payloadsLocation",
];

/// The body of a PATCH, taken apart.
#[derive(Debug)]
pub(crate) struct Patch {
    location: Option<String>,
    tags: Option<Map<String, Value>>,
    properties: Map<String, Value>,
    /// The keys that change: primary, secondary.
    pub(crate) keys: [Option<String>; 2],
}

impl Patch {
    /// Reads the body of a PATCH.
    ///
    /// # Errors
    /// `BadArgument.RequestBodyInvalid` when it is no JSON or of the wrong shape (the target names
    /// where); `BadArgument.RequestIsEmpty` for `null`, `{}` and `[]`.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Patch, Fault> {
        let invalid = |at: &str| bad_argument::request_body_invalid().at(at);
        let top = read_object(bytes)?;
        if top.is_empty() {
            return Err(bad_argument::request_is_empty());
        }
        let location = match member(&top, "location") {
            None | Some(Value::Null) => None,
            Some(Value::String(text)) => Some(text.clone()),
            Some(_) => return Err(invalid("location")),
        };
        let mut properties = match member(&top, "properties") {
            None | Some(Value::Null) => Map::new(),
            Some(Value::Object(properties)) => properties.clone(),
            Some(_) => return Err(invalid("properties")),
        };
        properties.retain(|_, value| !value.is_null());
        let mut keys = [None, None];
        match member(&properties, "keys") {
            None => {}
            Some(Value::Object(given)) => {
                for (slot, name) in keys.iter_mut().zip(["primary", "secondary"]) {
                    *slot = match member(given, name) {
                        None | Some(Value::Null) => None,
                        Some(Value::String(key)) if key.is_empty() => None,
                        Some(Value::String(key)) => Some(key.clone()),
                        Some(_) => return Err(invalid(&format!("keys/{name}"))),
                    };
                }
            }
            Some(_) => return Err(invalid("keys")),
        }
        remove(&mut properties, &["keys"]);
        for name in MERGED {
            if member(&properties, name).is_some_and(|value| !value.is_object()) {
                return Err(invalid(name));
            }
        }
        Ok(Patch {
            location,
            tags: read_tags(&top)?,
            properties,
            keys,
        })
    }

    /// Whether the patch has that member of `properties`.
    pub(crate) fn has(&self, name: &str) -> bool {
        member(&self.properties, name).is_some()
    }

    /// Whether containers have to load something for it.
    pub(crate) fn needs_revision(&self) -> bool {
        PACKAGE.iter().any(|name| self.has(name))
    }

    /// Resources that need not be fetched again. Where assets are given all are: what lies at the
    /// same place may be something else.
    pub(crate) fn known(&self, revision: &Revision) -> Vec<(String, String, Sha256)> {
        if self.has("assets") {
            return Vec::new();
        }
        let definition: Value = serde_json::from_str(&revision.definition).unwrap_or_default();
        let assets = definition.as_object().and_then(|d| object(d, "assets"));
        let uri = |id: &str| {
            let asset = assets?.get(id)?.as_object()?;
            member(object(asset, "locationInfo")?, "uri")?.as_str()
        };
        revision
            .resources
            .iter()
            .filter_map(|(id, sha256)| Some((id.clone(), uri(id)?.to_owned(), *sha256)))
            .collect()
    }

    /// The resource as it is to be, as if it had been PUT.
    ///
    /// # Errors
    /// `Conflict` for another location or commitment plan.
    pub(crate) fn merged(&self, before: &Entry, stored: &str) -> Result<Body, Fault> {
        if self
            .location
            .as_ref()
            .is_some_and(|location| !names::same_location(location, &before.location))
        {
            return Err(conflict("a service cannot move to another location"));
        }
        let mut properties: Map<String, Value> = serde_json::from_str(stored).map_err(|e| {
            faults::internal_error::web_service_package_invalid("it is not a JSON object")
                .caused_by(&e)
        })?;
        let plan = |properties: &Map<String, Value>| {
            let id = member(object(properties, "commitmentPlan")?, "id")?.as_str()?;
            Some(id.to_ascii_lowercase())
        };
        if let Some(plan_given) = plan(&self.properties)
            && plan(&properties) != Some(plan_given)
        {
            return Err(conflict("a service stays with its commitment plan"));
        }
        if self.has("payloadsLocation") {
            // The rest of the package comes from there.
            remove(&mut properties, &PACKAGE);
        }
        for (name, value) in &self.properties {
            let merged = MERGED.iter().any(|m| m.eq_ignore_ascii_case(name));
            match (member_mut(&mut properties, name), value) {
                (Some(Value::Object(old)), Value::Object(new)) if merged => {
                    for (name, value) in new {
                        put(old, name, value);
                    }
                }
                (Some(old), value) => *old = value.clone(),
                (None, value) => drop(properties.insert(name.clone(), value.clone())),
            }
        }
        let tags = match &self.tags {
            Some(tags) => tags.clone(),
            None => serde_json::from_str(&before.tags).unwrap_or_default(),
        };
        let mut resource = Map::new();
        resource.insert("location".into(), before.location.clone().into());
        resource.insert("properties".into(), properties.into());
        Ok(Body {
            resource: resource.into(),
            location: before.location.clone(),
            tags,
        })
    }
}

fn put(object: &mut Map<String, Value>, name: &str, value: &Value) {
    match member_mut(object, name) {
        Some(old) => *old = value.clone(),
        None => drop(object.insert(name.to_owned(), value.clone())),
    }
}
