//! Publishing model packages: the services in the slots of a group.

use std::sync::Arc;

use bytes::Bytes;
use faults::{Fault, bad_argument};
use graph::ModelPackage;
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use store::{
    Entry, Group, GroupService, Id, ModelPackageRecord, PackageStatus, Publication, ResourceName,
    Role, Slot, ThrottleLevel, Workspace,
};

use super::packages::stored_document;
use super::request::{self, AskedPackage, Publish};
use super::{GroupPath, PublishedView};
use crate::access::{Principal, Target};
use crate::deploy::conflict;
use crate::view::ServiceView;
use crate::{Inner, Manager};

/// Where services of groups say that they run: a package says nothing of it.
const LOCATION: &str = "local";
/// How many characters of a group's name its services' names begin with.
const NAME_CHARACTERS: usize = 64;

impl Manager {
    /// Publishes a model package to a slot of a group, from `{ModelPackageId | ModelPackage,
    /// WebServiceType, DiagnosticsSettings}`. A slot that has a service gives it a further revision;
    /// ids and keys stay. The answer comes when the service scores, or has failed; a publication
    /// that fails changes nothing.
    ///
    /// # Errors
    /// `Unauthorized.ManagementRequestUnauthorized` beyond role or scope;
    /// `NotFound.WorkspaceNotFound`; `InternalError.WebServiceGroupNotFound`;
    /// `BadArgument.RequestBodyInvalid`, `.RequestIsEmpty`, `.MissingModelPackage`,
    /// `.ModelPackageIdInvalid`, `.WebServiceTypeInvalid`, those of diagnostics settings,
    /// `.WebServiceConcurrentRequestRequirementInvalid`; `NotFound.ModelPackageNotFound`;
    /// `Conflict` for a retired package; those of [`Manager::create_model_package`] for one that
    /// comes with the call; `InternalError.ModelPackageInvalid` for one that no longer reads; those
    /// of [`Manager::deploy`].
    pub async fn publish(
        &self,
        principal: &Principal,
        path: &GroupPath,
        body: &[u8],
    ) -> Result<PublishedView, Fault> {
        let (workspace, group) = self.inner.group_of(principal, Role::Manage, path).await?;
        let asked = request::publish(body, Timestamp::now())?;
        let slot = asked.slot.ok_or_else(request::type_invalid)?;
        self.publish_to(principal, &workspace, &group, slot, asked)
            .await
    }

    /// Publishes another package, or other settings, to the slot of a service that is there.
    ///
    /// # Errors
    /// As for [`Manager::publish`]; `NotFound.WebServiceNotFound`; `Conflict` for another
    /// `WebServiceType` than that of its slot.
    pub async fn publish_again(
        &self,
        principal: &Principal,
        path: &GroupPath,
        service: Id,
        body: &[u8],
    ) -> Result<PublishedView, Fault> {
        let (workspace, group) = self.inner.group_of(principal, Role::Manage, path).await?;
        let (there, _) = self.inner.service_of(&group, service).await?;
        let asked = request::publish(body, Timestamp::now())?;
        if asked.slot.is_some_and(|slot| slot != there.slot) {
            return Err(conflict("a web service does not change its slot"));
        }
        self.publish_to(principal, &workspace, &group, there.slot, asked)
            .await
    }

    /// A service of a group.
    ///
    /// # Errors
    /// `Unauthorized.ManagementRequestUnauthorized` beyond role or scope;
    /// `NotFound.WorkspaceNotFound`; `InternalError.WebServiceGroupNotFound`;
    /// `NotFound.WebServiceNotFound`; `InternalError.UnknownError` when the ledger fails.
    pub async fn published(
        &self,
        principal: &Principal,
        path: &GroupPath,
        service: Id,
    ) -> Result<PublishedView, Fault> {
        let (workspace, group) = self.inner.group_of(principal, Role::Read, path).await?;
        let (service, entry) = self.inner.service_of(&group, service).await?;
        let with_keys = principal
            .permit(Role::Manage, &Target::workspace(&workspace))
            .is_ok();
        self.inner
            .published_view(&group, service, entry, with_keys)
            .await
    }

    /// The web service definition that answers the calls of a service of a group.
    ///
    /// # Errors
    /// As for [`Manager::published`].
    pub async fn published_definition(
        &self,
        principal: &Principal,
        path: &GroupPath,
        service: Id,
    ) -> Result<ServiceView, Fault> {
        let (_, group) = self.inner.group_of(principal, Role::Read, path).await?;
        let (_, entry) = self.inner.service_of(&group, service).await?;
        let revision = self.inner.store.ledger.revision(entry.revision).await?;
        ServiceView::new(entry, &revision.definition)
    }

    /// Removes a service of a group; its package stays.
    ///
    /// # Errors
    /// As for [`Manager::published`]; those of [`Manager::delete`].
    pub async fn unpublish(
        &self,
        principal: &Principal,
        path: &GroupPath,
        service: Id,
    ) -> Result<(), Fault> {
        let (_, group) = self.inner.group_of(principal, Role::Manage, path).await?;
        let (_, entry) = self.inner.service_of(&group, service).await?;
        match self.delete(principal, &entry.service_name).await? {
            true => Ok(()),
            false => Err(faults::not_found::web_service_not_found()),
        }
    }

    /// The endpoint that a test call is for. `principal` is who calls, where credentials came with
    /// the call; without any, the group must allow it.
    ///
    /// # Errors
    /// `Unauthorized.ManagementRequestUnauthorized` beyond role or scope, and without credentials
    /// where the group does not allow it; to whoever may, those of [`Manager::published`].
    pub async fn test_target(
        &self,
        principal: Option<&Principal>,
        path: &GroupPath,
        service: Id,
    ) -> Result<Arc<Entry>, Fault> {
        let inner = &self.inner;
        let refused = faults::unauthorized::management_request_unauthorized;
        let found = inner.find_group(path).await?;
        let service = match (&found, principal) {
            (Some(group), None) if !group.anonymous_test => return Err(refused()),
            (Some(group), _) => inner.service_of(group, service).await,
            (None, None) => return Err(refused()),
            (None, Some(_)) => Err(faults::internal_error::web_service_group_not_found()),
        };
        if let Some(principal) = principal {
            // The key of an endpoint is good for it too.
            let its_own = service.as_ref().is_ok_and(|(_, entry)| {
                let target = Target::endpoint(entry);
                principal.permit(Role::Manage, &target).is_ok()
            });
            if !its_own {
                inner.workspace_of(principal, Role::Manage, &path.workspace)?;
            }
        }
        Ok(service?.1)
    }

    async fn publish_to(
        &self,
        principal: &Principal,
        workspace: &Workspace,
        group: &Group,
        slot: Slot,
        asked: Publish,
    ) -> Result<PublishedView, Fault> {
        let inner = &self.inner;
        check_concurrency(slot, &asked)?;
        let there = inner.in_slot(group, slot).await?.map(|(_, entry)| entry);
        let (id, given) = match &asked.package {
            AskedPackage::Stored(id) => (*id, false),
            AskedPackage::Given(package) => {
                let body = Bytes::from(package.to_string());
                (inner.store_package(principal, group, body).await?, true)
            }
        };
        let result = async {
            let record = inner.package_of(group, id).await?;
            if record.summary.status == PackageStatus::Retired {
                return Err(conflict("the model package is retired"));
            }
            let body = definition(workspace, group, slot, there.as_deref(), &record, &asked)?;
            let name = inner.service_name(workspace, group, slot, there.as_deref());
            let publication = Publication {
                group: group.id,
                slot,
                package: id,
                settings: asked.diagnostics.shown().to_string(),
            };
            let body = body.to_string();
            self.deploy_for(principal, name, body, Some(publication))
                .await
        }
        .await;
        if result.is_err() && given {
            // It came with a call that came to nothing. One that stays after all harms nobody.
            let ledger = &inner.store.ledger;
            let _ = ledger.delete_model_package(id, principal.actor()).await;
        }
        let entry = result?.service.entry;
        let (service, entry) = inner.service_of(group, entry.service).await?;
        inner.published_view(group, service, entry, true).await
    }
}

impl Inner {
    /// The service of a group that has that id, or whose default endpoint has it.
    async fn service_of(&self, group: &Group, id: Id) -> Result<(GroupService, Arc<Entry>), Fault> {
        let services = self.services_of(group).await?;
        services
            .into_iter()
            .find(|(service, entry)| service.service == id || entry.endpoint == id)
            .ok_or_else(faults::not_found::web_service_not_found)
    }

    /// The Resource Manager name of the service in a slot: the one that it has, else one of the
    /// group's name and id.
    pub(super) fn service_name(
        &self,
        workspace: &Workspace,
        group: &Group,
        slot: Slot,
        there: Option<&Entry>,
    ) -> ResourceName {
        if let Some(there) = there {
            return there.service_name.clone();
        }
        let letters: String = group
            .name
            .chars()
            .filter(|c| c.is_alphanumeric() || matches!(c, '-' | '_'))
            .take(NAME_CHARACTERS)
            .collect();
        let ending = match slot {
            Slot::Staging => ".staging",
            Slot::Production => "",
        };
        let id = group.id.to_string();
        let name = match letters.is_empty() {
            true => format!("{id}{ending}"),
            false => format!("{letters}.{id}{ending}"),
        };
        ResourceName {
            name,
            ..workspace.name.clone()
        }
    }
}

/// Refuses to set how many calls a service takes that stands in the staging slot of a group: as many
/// as every service that asks for nothing.
///
/// # Errors
/// `BadArgument.WebServiceConcurrentRequestRequirementInvalid`.
pub(crate) fn check_concurrency_is_free(slot: Option<Slot>) -> Result<(), Fault> {
    match slot {
        Some(slot @ Slot::Staging) => {
            Err(bad_argument::web_service_concurrent_request_requirement_invalid(slot.name()))
        }
        _ => Ok(()),
    }
}

fn check_concurrency(slot: Slot, asked: &Publish) -> Result<(), Fault> {
    if asked.max_concurrent_calls.is_some() || asked.throttle_level.is_some() {
        check_concurrency_is_free(Some(slot))?;
    }
    match asked.throttle_level {
        None | Some(ThrottleLevel::High) => Ok(()),
        // The default endpoint of a published service has the level High.
        Some(ThrottleLevel::Low) => Err(bad_argument::bad_parameter_value().at("ThrottleLevel")),
    }
}

/// The web service definition that a publication deploys.
fn definition(
    workspace: &Workspace,
    group: &Group,
    slot: Slot,
    there: Option<&Entry>,
    record: &ModelPackageRecord,
    asked: &Publish,
) -> Result<Value, Fault> {
    let package = ModelPackage::from_stored_json(&stored_document(record)?)?;
    let mut properties: Map<String, Value> = package.definition();
    let mut add = |name: &str, value: Value| properties.insert(name.to_owned(), value);
    add("title", json!(group.name));
    add("description", json!(group.description));
    add(
        "machineLearningWorkspace",
        json!({"id": workspace.id.to_string()}),
    );
    let diagnostics = &asked.diagnostics;
    add(
        "diagnostics",
        json!({"level": diagnostics.level.name(), "expiry": diagnostics.expiry}),
    );
    if let Some((name, key)) = &diagnostics.account {
        add("storageAccount", json!({"name": name, "key": key}));
    }
    if let Some(calls) = &asked.max_concurrent_calls {
        add(
            "realtimeConfiguration",
            json!({"maxConcurrentCalls": calls}),
        );
    }
    let location = there.map_or(LOCATION, |entry| &entry.location);
    let tags = json!({"webServiceGroup": group.id.to_string(), "webServiceType": slot.name()});
    Ok(json!({"location": location, "tags": tags, "properties": properties}))
}
