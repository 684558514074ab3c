//! The resources of an endpoint: replacing a trained model (the retraining flow), and going back to
//! the service's own.

use std::sync::Arc;

use faults::{Class, Fault, bad_argument, extensions, internal_error, rows};
use graph::{Asset, Package};
use outbound::{Credentials, Source};
use serde_json::{Map, Value};
use store::{
    Actor, EndpointMove, EndpointRevision, EndpointSettings, Entry, Id, OwnResource, Role, Sha256,
};
use telemetry::NoteLevel;

use crate::access::{Principal, Target};
use crate::classic::ServicePath;
use crate::deploy::{broken, conflict};
use crate::endpoints::EndpointView;
use crate::json::{member, object_mut, read_object};
use crate::members::Members;
use crate::reference::{Place, Reference};
use crate::{Inner, Manager, credentials, source};

/// The most resources that one call replaces.
const MOST_UPDATES: usize = 100;

/// A resource of a package that an endpoint can have another of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResourceView {
    /// The name of the asset; what an update names it by.
    pub name: String,
    /// `TrainedModel`, `Transform` or `Dataset`.
    pub kind: &'static str,
    /// The first part of where it was taken from.
    pub base_location: String,
    /// The second part. What let it be read is not kept.
    pub relative_location: String,
}

/// A resource that is to be replaced.
#[derive(Debug, Clone)]
pub(crate) struct ResourceUpdate {
    name: String,
    reference: Reference,
    /// Where it stands in the body.
    place: String,
}

/// What a refresh came to.
#[derive(Debug, Clone)]
pub enum Refreshed {
    /// The endpoint has moved.
    Moved(Box<EndpointView>),
    /// It was where it should be.
    Current,
}

/// Reads `Resources` of a body; none where it is absent.
///
/// # Errors
/// `BadArgument.RequestBodyInvalid` for what is of the wrong shape, at its place, and for a
/// resource that is named twice.
pub(crate) fn updates(value: Option<&Value>) -> Result<Vec<ResourceUpdate>, Fault> {
    let wrong = |place: &str| bad_argument::request_body_invalid().at(place);
    let items = match value {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(Value::Array(items)) if items.len() <= MOST_UPDATES => items,
        Some(_) => return Err(wrong("Resources")),
    };
    let mut updates: Vec<ResourceUpdate> = Vec::with_capacity(items.len());
    for (i, item) in items.iter().enumerate() {
        let place = format!("Resources[{i}]");
        let item = item.as_object().ok_or_else(|| wrong(&place))?;
        let name = match member(item, "Name") {
            Some(Value::String(name)) if !name.is_empty() => name,
            _ => return Err(wrong(&format!("{place}.Name"))),
        };
        if updates.iter().any(|other| other.name == *name) {
            return Err(wrong(&format!("{place}.Name")).because("a resource is named twice"));
        }
        let place = format!("{place}.Location");
        let location = match member(item, "Location") {
            None | Some(Value::Null) => &Map::new(),
            Some(Value::Object(location)) => location,
            Some(_) => return Err(wrong(&place)),
        };
        let part = |name: &str| match member(location, name) {
            None | Some(Value::Null) => Ok(String::new()),
            Some(Value::String(text)) => Ok(text.trim().to_owned()),
            Some(_) => Err(wrong(&format!("{place}.{name}"))),
        };
        let reference = Reference {
            base: part("BaseLocation")?,
            relative: part("RelativeLocation")?,
            signature: part("SasBlobToken")?,
        };
        updates.push(ResourceUpdate {
            name: name.clone(),
            reference,
            place,
        });
    }
    Ok(updates)
}

/// The package of a stored revision.
pub(crate) fn package(definition: &str) -> Result<Package, Fault> {
    Package::from_stored_json(&json(definition)?)
}

fn json(definition: &str) -> Result<Value, Fault> {
    serde_json::from_str(definition)
        .map_err(|e| internal_error::web_service_package_invalid("it is not JSON").caused_by(&e))
}

/// What can be replaced in a package, with what an endpoint has of its own.
pub(crate) fn shown(package: &Package, own: &[OwnResource]) -> Vec<ResourceView> {
    let mut views: Vec<ResourceView> = Vec::new();
    for (_, asset) in package.resources() {
        if views.iter().any(|view| view.name == asset.name) {
            continue;
        }
        let (base_location, relative_location) =
            match own.iter().find(|own| own.asset_name == asset.name) {
                Some(own) => (own.base_location.clone(), own.relative_location.clone()),
                None => Reference::parts_of(&asset.uri),
            };
        views.push(ResourceView {
            name: asset.name.clone(),
            kind: kind_of(asset),
            base_location,
            relative_location,
        });
    }
    views
}

/// What the classic service called such a resource.
fn kind_of(asset: &Asset) -> &'static str {
    let ends = |text: &str, end: &str| text.to_lowercase().ends_with(end);
    let path = asset.uri.split('?').next().unwrap_or_default();
    if ends(&asset.name, "[transform]") || ends(path, ".itransform") {
        "Transform"
    } else if [".dataset", ".csv", ".tsv", ".arff"]
        .iter()
        .any(|end| ends(path, end))
    {
        "Dataset"
    } else {
        "TrainedModel"
    }
}

/// A definition with an endpoint's own resources in it: the definition, the blob of each resource
/// asset, those of `own` that it has a place for, and the ids of their assets.
struct Replaced {
    definition: String,
    resources: Vec<(String, Sha256)>,
    own: Vec<OwnResource>,
    assets: Vec<String>,
}

fn replaced(
    definition: &str,
    resources: &[(String, Sha256)],
    own: Vec<OwnResource>,
) -> Result<Replaced, Fault> {
    let mut value = json(definition)?;
    let package = Package::from_stored_json(&value)?;
    let mut resources = resources.to_vec();
    let mut assets = Vec::new();
    let mut kept = Vec::new();
    for own in own {
        let of_name = |(_, asset): &(&str, &Asset)| asset.name == own.asset_name;
        let ids: Vec<&str> = package
            .resources()
            .filter(of_name)
            .map(|(id, _)| id)
            .collect();
        for id in &ids {
            for (asset, sha256) in &mut resources {
                if asset == id {
                    *sha256 = own.sha256;
                }
            }
            let location = value
                .as_object_mut()
                .and_then(|properties| object_mut(properties, "assets"))
                .and_then(|assets| object_mut(assets, id))
                .and_then(|asset| object_mut(asset, "locationInfo"));
            if let Some(location) = location {
                let reference = Reference {
                    base: own.base_location.clone(),
                    relative: own.relative_location.clone(),
                    signature: String::new(),
                };
                let uri = reference.url();
                for (name, value) in location.iter_mut() {
                    if name.eq_ignore_ascii_case("uri") {
                        *value = Value::from(uri.as_str());
                    } else if name.eq_ignore_ascii_case("credentials") {
                        *value = Value::from("");
                    }
                }
            }
            assets.push((*id).to_owned());
        }
        if !ids.is_empty() {
            kept.push(own);
        }
    }
    Ok(Replaced {
        definition: value.to_string(),
        resources,
        own: kept,
        assets,
    })
}

/// Secrets without those that let replaced resources be read.
fn secrets_without(secrets: Option<Vec<u8>>, assets: &[String]) -> Option<Vec<u8>> {
    let bytes = secrets?;
    let Ok(Value::Object(mut secrets)) = serde_json::from_slice(&bytes) else {
        return Some(bytes);
    };
    if let Some(of_assets) = object_mut(&mut secrets, "assets") {
        of_assets.retain(|id, _| !assets.contains(id));
        if of_assets.is_empty() {
            secrets.remove("assets");
        }
    }
    (!secrets.is_empty()).then(|| Value::from(secrets).to_string().into_bytes())
}

impl Manager {
    /// Moves an endpoint to the revision that the default endpoint has now. Unless `body` says
    /// `{"OverwriteResources": true}`, resources of its own stay its own, as far as the newer
    /// package has resources of their names.
    ///
    /// # Errors
    /// `Unauthorized.ManagementRequestUnauthorized` beyond role or scope; the look-up's
    /// `NotFound`; `BadArgument.RequestBodyInvalid`; `InvalidOperation.UnauthorizedRequest` for
    /// the default endpoint; `Conflict` for one that prevents updates or is of a read-only
    /// service, and while another change of the service is under way; what loading it fails with;
    /// `InternalError.UpdateWebServiceResourceFailed`, which leaves everything as it was.
    pub async fn refresh_endpoint(
        &self,
        principal: &Principal,
        path: &ServicePath,
        name: &str,
        body: &[u8],
    ) -> Result<Refreshed, Fault> {
        let inner = &self.inner;
        let allowed = || {
            let entry = inner.endpoint_at(principal, Role::Manage, path, name)?;
            principal.permit(Role::Manage, &Target::service(&entry))?;
            Ok::<_, Fault>(entry)
        };
        let entry = allowed()?;
        let overwrite = overwrite(body)?;
        if entry.is_default() {
            return Err(extensions::unauthorized_request());
        }
        let turn = inner.in_progress.begin(entry.service_name.key())?;
        let entry = allowed()?;
        let default = inner.service_at(principal, Role::Manage, path)?;
        if entry.read_only {
            return Err(conflict("the service is read-only"));
        }
        if entry.settings.prevent_update {
            return Err(conflict("the endpoint prevents updates"));
        }
        let has_own = entry.base_revision != Some(entry.revision);
        if entry.base_revision == Some(default.revision) && !(overwrite && has_own) {
            return Ok(Refreshed::Current);
        }
        let (task_inner, actor) = (inner.clone(), principal.actor().clone());
        let task = tokio::spawn(async move {
            let inner = task_inner;
            let own = match overwrite {
                true => Ok(Vec::new()),
                false => inner.store.ledger.own_resources(entry.endpoint).await,
            };
            let moved = match own {
                Ok(own) => {
                    let to = Move {
                        base: default.revision,
                        own,
                        settings: None,
                        action: "refresh",
                    };
                    inner.move_endpoint(&entry, to, &actor).await
                }
                Err(fault) => Err(fault),
            };
            if let Err(fault) = &moved {
                inner.note_failure(entry.endpoint, "a refresh failed", fault);
            }
            drop(turn);
            moved
        });
        let entry = task.await.map_err(|e| broken(&e))??;
        let view = inner.endpoint_view(principal, entry).await?;
        Ok(Refreshed::Moved(Box::new(view)))
    }
}

/// Reads the body of a refresh, which may be absent.
fn overwrite(body: &[u8]) -> Result<bool, Fault> {
    if body.is_empty() {
        return Ok(false);
    }
    let object = read_object(body)?;
    let overwrite = Members(&object).boolean("OverwriteResources")?;
    Ok(overwrite.unwrap_or_default())
}

/// Where an endpoint is to go.
struct Move {
    /// The service's revision that it becomes a copy of.
    base: Id,
    /// All resources that are to be its own.
    own: Vec<OwnResource>,
    settings: Option<(EndpointSettings, u32)>,
    action: &'static str,
}

impl Inner {
    /// Replaces resources of an endpoint, and its settings where they are given.
    pub(crate) async fn update_resources(
        self: &Arc<Self>,
        entry: &Entry,
        updates: Vec<ResourceUpdate>,
        settings: Option<(EndpointSettings, u32)>,
        own_url: &str,
        actor: &Actor,
    ) -> Result<Arc<Entry>, Fault> {
        let ledger = &self.store.ledger;
        let revision = ledger.revision(entry.revision).await?;
        let package = package(&revision.definition)?;
        let mut places = Vec::with_capacity(updates.len());
        for update in updates {
            if !package.resources().any(|(_, a)| a.name == update.name) {
                return Err(Fault::bare(Class::NotFound)
                    .because(format!("the package has no resource \"{}\"", update.name)));
            }
            let place = update.reference.check(own_url);
            let place = place.map_err(|fault| fault.at(update.place.as_str()))?;
            places.push((update, place));
        }
        let mut own = ledger.own_resources(entry.endpoint).await?;
        for (update, place) in places {
            let fetched = self.fetched(&update.reference, place).await;
            let sha256 = fetched.map_err(|fault| fault.at(update.place.as_str()))?;
            own.retain(|own| own.asset_name != update.name);
            own.push(OwnResource {
                asset_name: update.name,
                sha256,
                base_location: update.reference.base,
                relative_location: update.reference.relative,
                updated: jiff::Timestamp::now(),
            });
        }
        let base = entry
            .base_revision
            .ok_or_else(extensions::unauthorized_request)?;
        let to = Move {
            base,
            own,
            settings,
            action: "update resources",
        };
        self.move_endpoint_from(entry, revision, to, actor).await
    }

    /// The blob behind a reference, stored. It is kept from a sweep until the ledger names it.
    async fn fetched(
        self: &Arc<Self>,
        reference: &Reference,
        place: Place,
    ) -> Result<Sha256, Fault> {
        match place {
            Place::Stored(sha256) => {
                if !self.store.blobs.keep(&sha256)? {
                    return Err(bad_argument::blob_not_found(
                        reference.shown(),
                        "no blob with this SHA-256 has been uploaded",
                    ));
                }
                Ok(sha256)
            }
            Place::Elsewhere => {
                let source = Source {
                    url: reference.url(),
                    credentials: Credentials::Signature(reference.signature.clone()),
                };
                self.fetch(&source).await.map_err(|fault| {
                    let row = &rows::InternalError::FailedStoringWebService;
                    match fault.is(row) {
                        true => internal_error::update_web_service_resource_failed()
                            .because(fault.cause().unwrap_or_default()),
                        false => fault,
                    }
                })
            }
        }
    }

    async fn move_endpoint(
        &self,
        entry: &Entry,
        to: Move,
        actor: &Actor,
    ) -> Result<Arc<Entry>, Fault> {
        let revision = self.store.ledger.revision(to.base).await?;
        self.move_endpoint_from(entry, revision, to, actor).await
    }

    /// Loads `revision` with the resources that are to be the endpoint's own, stores it, and lets
    /// it answer the endpoint's calls. Without any it is the revision itself that does.
    async fn move_endpoint_from(
        &self,
        entry: &Entry,
        revision: store::Revision,
        to: Move,
        actor: &Actor,
    ) -> Result<Arc<Entry>, Fault> {
        let ledger = &self.store.ledger;
        let with = replaced(&revision.definition, &revision.resources, to.own)?;
        let secrets = ledger.secrets(revision.id).await?;
        let plain = credentials::plain(with.definition.clone(), secrets.as_deref());
        let next = if with.own.is_empty() {
            EndpointRevision::OfService(to.base)
        } else {
            EndpointRevision::Own {
                id: Id::random(),
                definition: with.definition,
                secrets: secrets_without(secrets, &with.assets),
                resources: with.resources.clone(),
            }
        };
        let pool = self.options.load().pool;
        let files = source::files(
            &self.store,
            next.id(),
            plain,
            &with.resources,
            pool,
            &self.options.load().modules,
        )?;
        let (endpoint, label) = (entry.endpoint, entry.label());
        let prepared = self.host.prepare(endpoint.0, &label, files).await?;
        let moved = ledger
            .move_endpoint(
                EndpointMove {
                    service: entry.service,
                    endpoint,
                    expected: entry.version,
                    base: to.base,
                    revision: next,
                    own: with.own,
                    settings: to.settings,
                    action: to.action,
                },
                internal_error::update_web_service_resource_failed,
                actor,
            )
            .await?;
        self.host.activate(prepared);
        let text = format!(
            "{}: revision {} answers calls",
            to.action, moved.revision_number
        );
        self.telemetry.note(endpoint.0, NoteLevel::Info, text);
        Ok(moved)
    }
}
