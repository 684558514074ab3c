//! Web-service groups and model packages: the older way to publish.
//!
//! A group has model packages and two slots, staging and production. A package is published to a
//! slot: it becomes a web service definition and goes the way of every deploy, as the service that
//! stands in the slot. Which service that is, and of which package its revision was made, is
//! written in the transaction of the deploy; so a group and its services cannot disagree, whatever
//! ends the process. The production service has the id of the group, by which the classic API
//! knows it.

mod packages;
mod path;
mod publish;
mod request;
mod view;

use std::sync::Arc;

use faults::Fault;
use jiff::Timestamp;
use serde_json::Value;
use store::{Entry, Group, GroupService, Id, ResourceKind, Role, Slot, StoredResource, Workspace};

use crate::access::{Principal, Target};
use crate::classic::WorkspacePath;
use crate::deploy::broken;
use crate::{Inner, Manager};

pub use path::GroupPath;
pub(crate) use publish::check_concurrency_is_free;
pub use view::{GroupView, PackageView, PublishedView, status_name};

/// The status of a package by which the production service answers.
pub(crate) const DEPLOYED: &str = "DeployedToProduction";

/// A module that packages may name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModuleView {
    /// Its name.
    pub name: &'static str,
    /// Its id: 32 lower-case hexadecimal digits.
    pub family: &'static str,
    /// The names of its input ports.
    pub inputs: Vec<&'static str>,
    /// The names of its output ports.
    pub outputs: Vec<&'static str>,
    /// Names and types of its parameters.
    pub parameters: Vec<(&'static str, &'static str)>,
}

impl Manager {
    /// The workspace of that id.
    ///
    /// # Errors
    /// `Unauthorized.ManagementRequestUnauthorized` beyond role or scope;
    /// `NotFound.WorkspaceNotFound`.
    pub fn studio_workspace(
        &self,
        principal: &Principal,
        workspace: &WorkspacePath,
    ) -> Result<Arc<Workspace>, Fault> {
        self.inner.workspace_of(principal, Role::Read, workspace)
    }

    /// The modules that packages of this installation may name.
    ///
    /// # Errors
    /// As for [`Manager::studio_workspace`].
    pub fn modules(
        &self,
        principal: &Principal,
        workspace: &WorkspacePath,
    ) -> Result<Vec<ModuleView>, Fault> {
        self.inner.workspace_of(principal, Role::Read, workspace)?;
        let modules = self.inner.registry.describe().map(|interface| ModuleView {
            name: interface.name,
            family: interface.family,
            inputs: interface.inputs.iter().map(|port| port.name).collect(),
            outputs: interface.outputs.iter().map(|port| port.name).collect(),
            parameters: interface
                .parameters
                .iter()
                .map(|parameter| (parameter.name, parameter.kind.name()))
                .collect(),
        });
        Ok(modules.collect())
    }

    /// The blobs of one kind that the model packages of a workspace take, each once.
    ///
    /// # Errors
    /// As for [`Manager::studio_workspace`]; `InternalError.UnknownError` when the ledger fails.
    pub async fn package_resources(
        &self,
        principal: &Principal,
        workspace: &WorkspacePath,
        kind: ResourceKind,
    ) -> Result<Vec<StoredResource>, Fault> {
        let workspace = self.inner.workspace_of(principal, Role::Read, workspace)?;
        let ledger = &self.inner.store.ledger;
        ledger.package_resources(workspace.id, kind).await
    }

    /// Makes a group from `{Name, Description, AllowAnonymousTest}`; answers its id.
    ///
    /// # Errors
    /// `Unauthorized.ManagementRequestUnauthorized` beyond role or scope;
    /// `NotFound.WorkspaceNotFound`; `BadArgument.RequestBodyInvalid`, `.RequestIsEmpty`;
    /// `InternalError.FailedStoringWebService`.
    pub async fn create_group(
        &self,
        principal: &Principal,
        workspace: &WorkspacePath,
        body: &[u8],
    ) -> Result<Id, Fault> {
        let workspace = self
            .inner
            .workspace_of(principal, Role::Manage, workspace)?;
        let asked = request::group(body)?;
        let invalid = faults::bad_argument::request_body_invalid;
        let group = Group {
            id: Id::random(),
            workspace: workspace.id,
            name: asked.name.ok_or_else(|| invalid().at("Name"))?,
            description: asked.description.unwrap_or_default(),
            anonymous_test: asked.anonymous_test.unwrap_or(false),
            created: Timestamp::now(),
        };
        let id = group.id;
        let ledger = &self.inner.store.ledger;
        ledger.create_group(group, principal.actor()).await?;
        Ok(id)
    }

    /// The groups of a workspace, the oldest first.
    ///
    /// # Errors
    /// As for [`Manager::studio_workspace`]; `InternalError.UnknownError` when the ledger fails.
    pub async fn groups(
        &self,
        principal: &Principal,
        workspace: &WorkspacePath,
    ) -> Result<Vec<GroupView>, Fault> {
        let workspace = self.inner.workspace_of(principal, Role::Read, workspace)?;
        let mut views = Vec::new();
        for group in self.inner.store.ledger.groups(workspace.id).await? {
            views.push(self.inner.group_view(principal, &workspace, group).await?);
        }
        Ok(views)
    }

    /// One group with its packages and services.
    ///
    /// # Errors
    /// As for [`Manager::studio_workspace`]; `InternalError.WebServiceGroupNotFound`;
    /// `InternalError.UnknownError` when the ledger fails.
    pub async fn group(&self, principal: &Principal, path: &GroupPath) -> Result<GroupView, Fault> {
        let (workspace, group) = self.inner.group_of(principal, Role::Read, path).await?;
        self.inner.group_view(principal, &workspace, group).await
    }

    /// Changes the members of a group that the body has; answers the group as it then is.
    ///
    /// # Errors
    /// As for [`Manager::group`]; `BadArgument.RequestBodyInvalid`, `.RequestIsEmpty`;
    /// `InternalError.FailedStoringWebService`.
    pub async fn change_group(
        &self,
        principal: &Principal,
        path: &GroupPath,
        body: &[u8],
    ) -> Result<GroupView, Fault> {
        let (_, group) = self.inner.group_of(principal, Role::Manage, path).await?;
        let change = request::group(body)?;
        let ledger = &self.inner.store.ledger;
        ledger
            .change_group(group.id, change, principal.actor())
            .await?;
        self.group(principal, path).await
    }

    /// Removes a group with its packages and its services, all or nothing.
    ///
    /// # Errors
    /// As for [`Manager::group`]; `Conflict` while a service of it is being changed;
    /// `InternalError.DeleteWebServiceResourceFailed`, which leaves everything as it was.
    pub async fn delete_group(&self, principal: &Principal, path: &GroupPath) -> Result<(), Fault> {
        let (workspace, group) = self.inner.group_of(principal, Role::Manage, path).await?;
        let mut turns = Vec::new();
        for slot in [Slot::Staging, Slot::Production] {
            let name = self.inner.service_name(&workspace, &group, slot, None);
            let name = match self.inner.in_slot(&group, slot).await? {
                Some((_, entry)) => entry.service_name.clone(),
                None => name,
            };
            turns.push(self.inner.in_progress.begin(name.key())?);
        }
        let services = self.inner.store.ledger.group_services(group.id).await?;
        let endpoints: Vec<Id> = {
            let directory = self.inner.store.ledger.directory();
            let entries = services
                .iter()
                .flat_map(|service| directory.endpoints_of(&service.service));
            entries.map(|entry| entry.endpoint).collect()
        };
        let (inner, actor) = (self.inner.clone(), principal.actor().clone());
        // Once the records are gone the containers must go too, whoever still waits.
        let task = tokio::spawn(async move {
            inner.store.ledger.delete_group(group.id, &actor).await?;
            for endpoint in endpoints {
                inner.forget(endpoint).await;
            }
            drop(turns);
            Ok(())
        });
        task.await.map_err(|e| broken(&e))?
    }
}

impl Inner {
    /// The workspace that a path names, for somebody who may.
    fn workspace_of(
        &self,
        principal: &Principal,
        role: Role,
        path: &WorkspacePath,
    ) -> Result<Arc<Workspace>, Fault> {
        let workspace = self.workspace_at(principal, role, path)?;
        principal.permit(role, &Target::workspace(&workspace))?;
        Ok(workspace)
    }

    /// The group that a path names with its workspace, for somebody who may.
    async fn group_of(
        &self,
        principal: &Principal,
        role: Role,
        path: &GroupPath,
    ) -> Result<(Arc<Workspace>, Group), Fault> {
        let workspace = self.workspace_of(principal, role, &path.workspace)?;
        let group = self.find_group(path).await?;
        let group = group.ok_or_else(faults::internal_error::web_service_group_not_found)?;
        Ok((workspace, group))
    }

    /// The group that a path names, for whoever asks.
    async fn find_group(&self, path: &GroupPath) -> Result<Option<Group>, Fault> {
        let found = match path.group {
            Some(id) => self.store.ledger.group(id).await?,
            None => None,
        };
        Ok(found.filter(|group| path.workspace.is(group.workspace)))
    }

    /// The service in a slot of a group, with its default endpoint.
    async fn in_slot(
        &self,
        group: &Group,
        slot: Slot,
    ) -> Result<Option<(GroupService, Arc<Entry>)>, Fault> {
        let services = self.services_of(group).await?;
        Ok(services.into_iter().find(|(s, _)| s.slot == slot))
    }

    /// The services of a group with their default endpoints.
    async fn services_of(&self, group: &Group) -> Result<Vec<(GroupService, Arc<Entry>)>, Fault> {
        let services = self.store.ledger.group_services(group.id).await?;
        let directory = self.store.ledger.directory();
        let found = services.into_iter().filter_map(|service| {
            // One that went in between is not there.
            let entry = directory.endpoint(&service.service)?.clone();
            Some((service, entry))
        });
        Ok(found.collect())
    }

    async fn group_view(
        &self,
        principal: &Principal,
        workspace: &Workspace,
        group: Group,
    ) -> Result<GroupView, Fault> {
        let packages = self.store.ledger.model_packages(group.id).await?;
        let may_see_keys = principal
            .permit(Role::Manage, &Target::workspace(workspace))
            .is_ok();
        let mut services = Vec::new();
        for (service, entry) in self.services_of(&group).await? {
            services.push(
                self.published_view(&group, service, entry, may_see_keys)
                    .await?,
            );
        }
        let production = services.iter().find(|view| view.slot == Slot::Production);
        let endpoints = match production {
            Some(view) => {
                let directory = self.store.ledger.directory();
                directory.endpoints_of(&view.entry.service).to_vec()
            }
            None => Vec::new(),
        };
        Ok(GroupView {
            group,
            packages,
            services,
            endpoints,
        })
    }

    async fn published_view(
        &self,
        group: &Group,
        service: GroupService,
        entry: Arc<Entry>,
        with_keys: bool,
    ) -> Result<PublishedView, Fault> {
        let keys = match with_keys {
            true => Some(self.store.ledger.keys(entry.endpoint).await?),
            false => None,
        };
        let settings = service.settings.as_deref();
        Ok(PublishedView {
            slot: service.slot,
            package: service.package,
            keys,
            anonymous_test: group.anonymous_test,
            // Written by `publish` from an object; anything else shows as none.
            settings: settings.and_then(|text| serde_json::from_str::<Value>(text).ok()),
            entry,
        })
    }
}
