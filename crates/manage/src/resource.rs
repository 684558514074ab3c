//! A web service as a resource of the Resource Manager: also while it is not yet what was asked
//! for, and when it never came to be.

use std::sync::Arc;

use faults::Fault;
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use store::{Draft, Entry, Id, ResourceName, Role, Subscription, Within, folded};

use crate::access::{Principal, Target};
use crate::credentials::{self, Region};
use crate::definition::{self, ApiVersion};
use crate::json::remove;
use crate::{Manager, ServiceView, end_of_page, place};

/// `properties.provisioningState`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProvisioningState {
    /// An operation is to make it what was asked for.
    Provisioning,
    /// It is what was asked for.
    Succeeded,
    /// It never came to be.
    Failed,
}

impl ProvisioningState {
    /// As the wire has it.
    pub fn name(self) -> &'static str {
        match self {
            ProvisioningState::Provisioning => "Provisioning",
            ProvisioningState::Succeeded => "Succeeded",
            ProvisioningState::Failed => "Failed",
        }
    }
}

/// A web service as a resource.
#[derive(Debug, Clone)]
pub struct Resource {
    /// Its name, as given.
    pub name: ResourceName,
    /// Its location, as given.
    pub location: String,
    /// How far it is.
    pub state: ProvisioningState,
    service: Id,
    workspace: Id,
    tags: Arc<str>,
    definition: Arc<Map<String, Value>>,
    created: Timestamp,
    modified: Timestamp,
}

/// A page of a list of resources.
#[derive(Debug, Clone)]
pub struct ResourcePage {
    /// The resources, by resource group and name.
    pub resources: Vec<Resource>,
    /// What to ask the next page with, where there is one.
    pub next: Option<String>,
}

impl Resource {
    pub(crate) fn of_service(service: ServiceView) -> Resource {
        let ServiceView { entry, definition } = service;
        Resource {
            name: entry.service_name.clone(),
            location: entry.location.clone(),
            state: ProvisioningState::Succeeded,
            service: entry.service,
            workspace: entry.workspace,
            tags: entry.tags.clone(),
            definition,
            created: entry.created,
            modified: entry.modified,
        }
    }

    pub(crate) fn of_draft(draft: Draft) -> Resource {
        Resource {
            state: match draft.failed {
                true => ProvisioningState::Failed,
                false => ProvisioningState::Provisioning,
            },
            service: draft.service,
            workspace: draft.workspace,
            tags: draft.tags.into(),
            // Written by ourselves from an object; anything else shows as an empty one.
            definition: Arc::new(serde_json::from_str(&draft.definition).unwrap_or_default()),
            created: draft.created,
            modified: draft.modified,
            name: draft.name,
            location: draft.location,
        }
    }

    /// The resource's id:
    /// `/subscriptions/{s}/resourceGroups/{g}/providers/Microsoft.MachineLearning/webServices/{n}`.
    pub fn id(&self) -> String {
        let name = &self.name;
        format!(
            "/subscriptions/{}/resourceGroups/{}/providers/Microsoft.MachineLearning/webServices/{}",
            name.subscription, name.resource_group, name.name
        )
    }

    /// The resource's tags.
    pub fn tags(&self) -> Map<String, Value> {
        serde_json::from_str(&self.tags).unwrap_or_default()
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

    /// `properties` as a call shows them that began an operation: how far it is, and what the
    /// document requires.
    pub fn stub_properties(&self) -> Map<String, Value> {
        let mut properties = Map::new();
        properties.insert("packageType".into(), json!("Graph"));
        properties.insert("payloadsInBlobStorage".into(), json!(false));
        properties.insert("provisioningState".into(), json!(self.state.name()));
        properties
    }

    /// The members of `properties` that only the server sets.
    fn add_state(&self, properties: &mut Map<String, Value>, base: &str) {
        remove(properties, &["payloadsInBlobStorage"]);
        let mut add = |name: &str, value: Value| properties.insert(name.into(), value);
        add("payloadsInBlobStorage", json!(false));
        add("createdOn", json!(self.created.to_string()));
        add("modifiedOn", json!(self.modified.to_string()));
        add("provisioningState", json!(self.state.name()));
        add(
            "swaggerLocation",
            json!(format!(
                "{base}/subscriptions/{}/services/{}/swagger.json",
                Subscription::of(&self.name.subscription),
                self.service
            )),
        );
    }

    fn target(&self) -> Target {
        Target::service_to_be(&self.name.key(), self.workspace, self.service)
    }
}

impl Manager {
    /// The web service of that name as a resource; with a region, the copy of its definition that
    /// was made for that region.
    ///
    /// # Errors
    /// `Unauthorized.ManagementRequestUnauthorized` beyond role or scope;
    /// `NotFound.WebServiceNotFound`; `NotFound.PerRegionPayloadNotFound`;
    /// `InternalError.UnknownError` when the ledger fails.
    pub async fn resource(
        &self,
        principal: &Principal,
        name: &ResourceName,
        region: Option<&str>,
    ) -> Result<Resource, Fault> {
        let key = name.key();
        let ledger = &self.inner.store.ledger;
        let draft = ledger.draft(key.clone()).await?;
        let entry = ledger.directory().by_name(&key).cloned();
        principal.permit(
            Role::Read,
            &match (&entry, &draft) {
                (Some(entry), _) => Target::service(entry),
                (None, Some(draft)) => Target::service_to_be(&key, draft.workspace, draft.service),
                (None, None) => Target::resource(&key),
            },
        )?;
        let resource = match (entry, draft) {
            // What a service that is there did not become is past.
            (Some(entry), Some(draft)) if draft.failed => self.of_entry(entry).await?,
            (_, Some(draft)) => Resource::of_draft(draft),
            (Some(entry), None) => self.of_entry(entry).await?,
            (None, None) => return Err(faults::not_found::web_service_not_found()),
        };
        let Some(region) = region.filter(|r| !crate::names::same_location(r, &resource.location))
        else {
            return Ok(resource);
        };
        let copy = ledger
            .regional(resource.service, crate::names::letters(region).into())
            .await?
            .ok_or_else(|| faults::extensions::per_region_payload_not_found(region))?;
        let definition = serde_json::from_str(&copy).map_err(|e| {
            faults::internal_error::web_service_package_invalid("it is not a JSON object")
                .caused_by(&e)
        })?;
        Ok(Resource {
            definition: Arc::new(definition),
            ..resource
        })
    }

    async fn of_entry(&self, entry: Arc<Entry>) -> Result<Resource, Fault> {
        let ledger = &self.inner.store.ledger;
        let revision = ledger.revision(entry.revision).await?;
        let mut service = ServiceView::new(entry, &revision.definition)?;
        if credentials::may_hide(&revision.definition)
            && let Some(secrets) = ledger.secrets(revision.id).await?
        {
            let region = Region::of(&self.inner.store.sealer, &service.entry.location);
            let mut definition = Map::clone(&service.definition);
            credentials::fill(&mut definition, &secrets, Some(&region));
            service.definition = Arc::new(definition);
        }
        Ok(Resource::of_service(service))
    }

    /// A page of at most `limit` resources of a subscription, or of one resource group of it,
    /// after the page that ended with `after`.
    ///
    /// # Errors
    /// `Unauthorized.ManagementRequestUnauthorized` beyond role or scope;
    /// `BadArgument.InvalidQueryParameter` for an `after` that no page gave;
    /// `InternalError.UnknownError` when the ledger fails.
    pub async fn list_resources(
        &self,
        principal: &Principal,
        subscription: &str,
        resource_group: Option<&str>,
        after: Option<&str>,
        limit: usize,
    ) -> Result<ResourcePage, Fault> {
        let page = self
            .list(principal, subscription, resource_group, after, limit)
            .await?;
        let after = after.map(end_of_page).transpose()?;
        let end = page.next.as_deref().map(end_of_page).transpose()?;
        let subscription = Subscription::of(subscription);
        let within = match resource_group {
            Some(group) => Within::ResourceGroup(subscription, folded(group)),
            None => Within::Subscription(subscription),
        };
        let drafts = self.inner.store.ledger.drafts(within).await?;
        let mut resources: Vec<Resource> = page
            .services
            .into_iter()
            .map(Resource::of_service)
            .collect();
        for draft in drafts {
            let key = draft.name.key();
            let there = resources
                .iter_mut()
                .find(|resource| resource.service == draft.service);
            match there {
                Some(resource) if !draft.failed => resource.state = ProvisioningState::Provisioning,
                Some(_) => {}
                None => {
                    let draft = Resource::of_draft(draft);
                    let in_page = after.as_ref().is_none_or(|after| key > *after)
                        && end.as_ref().is_none_or(|end| key <= *end);
                    let directory = self.inner.store.ledger.directory();
                    if in_page
                        && directory.by_name(&key).is_none()
                        && principal.sees(&draft.target())
                    {
                        resources.push(draft);
                    }
                }
            }
        }
        resources.sort_by_key(|resource| resource.name.key());
        let more = page.next.is_some() || resources.len() > limit;
        resources.truncate(limit);
        let next = resources
            .last()
            .filter(|_| more)
            .map(|resource| place(&resource.name.key()));
        Ok(ResourcePage { resources, next })
    }
}
