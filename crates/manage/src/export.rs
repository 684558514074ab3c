//! A service as one file, and the whole installation as one.

use faults::Fault;
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use store::{
    Backup, Entry, Export, ExportedEndpoint, ExportedService, ResourceName, Revision, Role, Sha256,
};

use crate::Manager;
use crate::access::{Principal, Target};
use crate::deploy::broken;
use crate::json::{member, object_mut, remove};
use crate::resources::package;
use crate::view::ServiceView;

impl Manager {
    /// Takes hold of the whole state, to be written out.
    ///
    /// # Errors
    /// `Unauthorized.ManagementRequestUnauthorized`; those of `store::Store::backup`.
    pub async fn backup(&self, principal: &Principal) -> Result<Backup, Fault> {
        principal.permit(Role::Admin, &Target::installation())?;
        let store = self.inner.store.clone();
        let made = tokio::task::spawn_blocking(move || store.backup());
        let backup = made.await.map_err(|e| broken(&e))??;
        self.configured(principal, "back up").await?;
        Ok(backup)
    }

    /// A service with its blobs, to be written out: the revision that its default endpoint answers
    /// by, and of each further endpoint its settings and the resources that differ. Keys and
    /// secrets are left out; so are the plan and the workspace, which are this installation's.
    ///
    /// # Errors
    /// `Unauthorized.ManagementRequestUnauthorized`; `NotFound.WebServiceNotFound`; those of
    /// `store::Store::export`.
    pub async fn export(
        &self,
        principal: &Principal,
        name: &ResourceName,
    ) -> Result<Export, Fault> {
        let store = self.inner.store.clone();
        let entry = self.inner.entry(principal, Role::Manage, &name.key())?;
        let revision = store.ledger.revision(entry.revision).await?;
        let secrets = store.ledger.secrets(entry.revision).await?;
        let view = ServiceView::new(entry, &revision.definition)?;
        let endpoints = self.exported_endpoints(&view, &revision).await?;
        let of_endpoints = endpoints.iter().flat_map(|endpoint| &endpoint.resources);
        let blobs = revision
            .resources
            .iter()
            .chain(of_endpoints)
            .map(|(_, sha256)| *sha256)
            .collect();
        let mut definition = Map::clone(&view.definition);
        remove(&mut definition, &["commitmentPlan"]);
        remove(&mut definition, &["machineLearningWorkspace"]);
        name_blobs(&mut definition, &revision.resources);
        let service = ExportedService {
            name: view.entry.service_name.name.clone(),
            location: view.entry.location.clone(),
            tags: view.tags(),
            definition,
            secrets_left_out: names_of(secrets.as_deref()),
            endpoints,
            blobs,
        };
        tokio::task::spawn_blocking(move || store.export(service))
            .await
            .map_err(|e| broken(&e))?
    }
}

impl Manager {
    /// The endpoints of a service beside the default one, of which `view` and `revision` are.
    async fn exported_endpoints(
        &self,
        view: &ServiceView,
        revision: &Revision,
    ) -> Result<Vec<ExportedEndpoint>, Fault> {
        let ledger = &self.inner.store.ledger;
        let mut entries = ledger
            .directory()
            .endpoints_of(&view.entry.service)
            .to_vec();
        entries.retain(|entry| !entry.is_default());
        entries.sort_by(|a, b| a.endpoint_name.cmp(&b.endpoint_name));
        let default = named_resources(revision)?;
        let mut endpoints = Vec::with_capacity(entries.len());
        for entry in entries {
            let own = ledger.revision(entry.revision).await?;
            let definition = ServiceView::new(entry.clone(), &own.definition)?.definition;
            let resources = named_resources(&own)?
                .into_iter()
                .filter(|resource| {
                    let (name, sha256) = resource;
                    default.iter().any(|(n, s)| n == name && s != sha256)
                })
                .collect();
            endpoints.push(ExportedEndpoint {
                name: entry.endpoint_name.clone(),
                settings: settings_of(&entry),
                resources,
                differs: shape(&definition, &own.resources)
                    != shape(&view.definition, &revision.resources),
            });
        }
        Ok(endpoints)
    }
}

/// The blobs of a revision by the names of their assets.
fn named_resources(revision: &Revision) -> Result<Vec<(String, Sha256)>, Fault> {
    let package = package(&revision.definition)?;
    let named = |(id, asset): (&str, &graph::Asset)| {
        let stored = revision.resources.iter().find(|(stored, _)| stored == id)?;
        Some((asset.name.clone(), stored.1))
    };
    Ok(package.resources().filter_map(named).collect())
}

/// What a definition does, wherever its resources are.
fn shape(definition: &Map<String, Value>, resources: &[(String, Sha256)]) -> Vec<Option<Value>> {
    let mut definition = definition.clone();
    let same = Sha256([0; 32]);
    let anywhere: Vec<_> = resources.iter().map(|(id, _)| (id.clone(), same)).collect();
    name_blobs(&mut definition, &anywhere);
    ["assets", "package", "input", "output", "parameters"]
        .iter()
        .map(|name| member(&definition, name).cloned())
        .collect()
}

/// An endpoint's settings as the body of a PUT.
fn settings_of(entry: &Entry) -> Map<String, Value> {
    let settings = &entry.settings;
    let mut body = Map::new();
    let mut add = |name: &str, value: Value| body.insert(name.to_owned(), value);
    add("Description", json!(&*settings.description));
    add("ThrottleLevel", json!(settings.throttle_level.name()));
    add("MaxConcurrentCalls", json!(entry.max_concurrent_calls));
    add("PreventUpdate", json!(settings.prevent_update));
    add("SampleDataEnabled", json!(settings.sample_data));
    if let Some(level) = settings.diagnostics {
        add("DiagnosticsTraceLevel", json!(level.name()));
    }
    // One that has passed would be refused, and says nothing any more.
    if let Some(expiry) = settings
        .diagnostics_expiry
        .filter(|e| *e > Timestamp::now())
    {
        add("DiagnosticsExpiryTime", json!(expiry.to_string()));
    }
    body
}

/// Lets each resource be found by its hash, wherever it was fetched from.
fn name_blobs(definition: &mut Map<String, Value>, resources: &[(String, Sha256)]) {
    let Some(assets) = object_mut(definition, "assets") else {
        return;
    };
    for (id, sha256) in resources {
        let location = assets
            .get_mut(id)
            .and_then(Value::as_object_mut)
            .and_then(|asset| object_mut(asset, "locationInfo"));
        if let Some(location) = location {
            remove(location, &["uri", "credentials"]);
            location.insert("uri".into(), json!(format!("umpire:sha256:{sha256}")));
            location.insert("credentials".into(), json!(""));
        }
    }
}

/// Where secrets belong, without what they are.
fn names_of(secrets: Option<&[u8]>) -> Vec<String> {
    let Some(Ok(Value::Object(secrets))) = secrets.map(serde_json::from_slice) else {
        return Vec::new();
    };
    let mut names = Vec::new();
    for (name, value) in secrets {
        match value {
            Value::Object(inner) => names.extend(inner.keys().map(|key| format!("{name}/{key}"))),
            _ => names.push(name),
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_named_and_not_told() {
        let secrets = br#"{"storageAccount": "hush", "assets": {"model": "hush", "data": "hush"}}"#;
        let names = names_of(Some(secrets));
        assert_eq!(names, ["storageAccount", "assets/model", "assets/data"]);
        assert!(names_of(None).is_empty());
    }

    #[test]
    fn resources_are_found_by_their_hashes() {
        let mut definition = json!({"Assets": {
            "a": {"LocationInfo": {"Uri": "https://elsewhere/m?sig=1", "Credentials": ""}},
            "b": {"locationInfo": {"uri": "aml://module/x", "credentials": ""}},
        }});
        let sha256 = Sha256::of(b"model");
        let object = definition.as_object_mut().unwrap();
        name_blobs(object, &[("a".into(), sha256), ("gone".into(), sha256)]);
        assert_eq!(
            definition,
            json!({"Assets": {
                "a": {"LocationInfo": {"uri": format!("umpire:sha256:{sha256}"), "credentials": ""}},
                "b": {"locationInfo": {"uri": "aml://module/x", "credentials": ""}},
            }})
        );
    }
}
