//! A web service as it is shown.

use std::sync::Arc;

use faults::Fault;
use serde_json::{Map, Value, json};
use store::Entry;

use crate::definition::{self, ApiVersion};
use crate::json::{object, remove};

/// A web service with the definition that answers its calls.
#[derive(Debug, Clone)]
pub struct ServiceView {
    /// The record of the service and its default endpoint: ids, names, times, throttle, number of
    /// the revision.
    pub entry: Arc<Entry>,
    /// `properties` of the resource as it is kept: as it was given, without keys, secrets and the
    /// members that only the server sets.
    pub definition: Arc<Map<String, Value>>,
}

impl ServiceView {
    pub(crate) fn new(entry: Arc<Entry>, definition: &str) -> Result<ServiceView, Fault> {
        let definition = serde_json::from_str(definition).map_err(|e| {
            faults::internal_error::web_service_package_invalid("it is not a JSON object")
                .caused_by(&e)
        })?;
        Ok(ServiceView {
            entry,
            definition: Arc::new(definition),
        })
    }

    /// The resource's id:
    /// `/subscriptions/{s}/resourceGroups/{g}/providers/Microsoft.MachineLearning/webServices/{n}`.
    pub fn resource_id(&self) -> String {
        let name = &self.entry.service_name;
        format!(
            "/subscriptions/{}/resourceGroups/{}/providers/Microsoft.MachineLearning/webServices/{}",
            name.subscription, name.resource_group, name.name
        )
    }

    /// The resource's tags.
    pub fn tags(&self) -> Map<String, Value> {
        // Written by `deploy` from an object; anything else shows as no tags.
        serde_json::from_str(&self.entry.tags).unwrap_or_default()
    }

    /// `properties` as a GET answers them. `base` is the scheme and authority that swagger and
    /// scoring URLs begin with, without a `/` at its end.
    pub fn properties(&self, version: ApiVersion, base: &str) -> Map<String, Value> {
        let mut properties = definition::shown(&self.definition, version);
        self.add_state(&mut properties, base);
        properties
    }

    /// `properties` as a list shows them: without schemas, assets and graph.
    pub fn listed_properties(&self, base: &str) -> Map<String, Value> {
        let mut properties = definition::listed(&self.definition);
        self.add_state(&mut properties, base);
        properties
    }

    /// The members of `properties` that only the server sets.
    fn add_state(&self, properties: &mut Map<String, Value>, base: &str) {
        let entry = &self.entry;
        remove(properties, &["payloadsInBlobStorage"]);
        let mut add = |name: &str, value: Value| properties.insert(name.into(), value);
        add("payloadsInBlobStorage", json!(false));
        add("createdOn", json!(entry.created.to_string()));
        add("modifiedOn", json!(entry.modified.to_string()));
        add("provisioningState", json!("Succeeded"));
        add(
            "swaggerLocation",
            json!(format!(
                "{base}/subscriptions/{}/services/{}/swagger.json",
                entry.subscription, entry.service
            )),
        );
    }

    /// The title of the package, or the service's name where it has none.
    pub fn title(&self) -> &str {
        crate::json::member(&self.definition, "title")
            .and_then(Value::as_str)
            .filter(|title| !title.is_empty())
            .unwrap_or(&self.entry.service_name.name)
    }

    /// The description of the package, where it has one.
    pub fn description(&self) -> Option<&str> {
        crate::json::member(&self.definition, "description")
            .and_then(Value::as_str)
            .filter(|text| !text.is_empty())
    }

    /// The input ports with their columns, as the package has them; `{}` where there are none.
    pub fn inputs(&self) -> Value {
        self.ports("input")
    }

    /// The output ports with their columns, as the package has them; `{}` where there are none.
    pub fn outputs(&self) -> Value {
        self.ports("output")
    }

    fn ports(&self, side: &str) -> Value {
        object(&self.definition, side)
            .and_then(|side| object(side, "properties"))
            .cloned()
            .unwrap_or_default()
            .into()
    }
}
