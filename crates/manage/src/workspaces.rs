//! Workspaces as resources of the Resource Manager, and their tokens.

use std::sync::Arc;

use faults::Fault;
use serde_json::{Map, Value};
use store::{
    NameKey, ResourceName, Role, Sku, Subscription, WhichKey, Workspace, WorkspaceWrite, folded,
};

use crate::access::{Principal, Target};
use crate::deploy::conflict;
use crate::json::{member, object, read_location, read_object, read_tags};
use crate::{Manager, end_of_page, names, place};

/// The type of the resource.
const TYPE: &str = "Microsoft.MachineLearning/workspaces";
/// The longest text that a property takes, in characters.
const LONGEST: usize = 2048;
/// The states that the Resource Manager has for workspaces.
const STATES: [&str; 7] = [
    "Deleted",
    "Enabled",
    "Disabled",
    "Migrated",
    "Updated",
    "Registered",
    "Unregistered",
];

/// The api-versions of the Resource Manager's workspaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WorkspaceVersion {
    /// `2016-04-01`.
    Stable2016,
    /// `2019-10-01`, which has a SKU.
    Stable2019,
}

impl WorkspaceVersion {
    /// Reads the query's `api-version`; `None` for one that is not known.
    pub fn parse(text: &str) -> Option<WorkspaceVersion> {
        match text {
            "2016-04-01" => Some(WorkspaceVersion::Stable2016),
            "2019-10-01" => Some(WorkspaceVersion::Stable2019),
            _ => None,
        }
    }
}

/// A page of a list of workspaces.
#[derive(Debug, Clone)]
pub struct WorkspacePage {
    /// The workspaces, by resource group and name.
    pub workspaces: Vec<Arc<Workspace>>,
    /// What to ask the next page with, where there is one.
    pub next: Option<String>,
}

impl Manager {
    /// The workspace of that name.
    ///
    /// # Errors
    /// `NotFound.ResourceNotFound`; `Unauthorized.ManagementRequestUnauthorized`.
    pub fn workspace(
        &self,
        principal: &Principal,
        name: &ResourceName,
    ) -> Result<Arc<Workspace>, Fault> {
        self.permitted_workspace(principal, Role::Read, name)
    }

    /// Makes the workspace of that name with two fresh tokens, or changes it, from the body of a
    /// Resource Manager PUT. Ids and tokens stay. A version without SKUs leaves the SKU as it is.
    /// The workspace, and whether it was made.
    ///
    /// # Errors
    /// `Unauthorized.ManagementRequestUnauthorized`; `BadArgument` for a name that is not allowed;
    /// `BadArgument.RequestBodyInvalid`, whose target names what is wrong, and `.RequestIsEmpty`;
    /// `Conflict` for another location than it was made with, and for a workspace that was changed
    /// at the same time; `InternalError.UnknownError` when the ledger fails.
    pub async fn put_workspace(
        &self,
        principal: &Principal,
        name: ResourceName,
        version: WorkspaceVersion,
        body: &[u8],
    ) -> Result<(Arc<Workspace>, bool), Fault> {
        let before = self.workspace_named(&name.key());
        let target = match &before {
            Some(before) => Target::workspace(before),
            None => Target::resource(&name.key()),
        };
        principal.permit(Role::Manage, &target)?;
        names::check(&name)?;
        let top = read_object(body)?;
        if top.is_empty() {
            return Err(faults::bad_argument::request_is_empty());
        }
        let location = read_location(&top)?;
        let tags = read_tags(&top)?.unwrap_or_default();
        let properties =
            object(&top, "properties").ok_or_else(|| invalid("properties", "it is absent"))?;
        let sku = match version {
            WorkspaceVersion::Stable2016 => None,
            WorkspaceVersion::Stable2019 => Some(sku(&top, "sku", "sku")?.unwrap_or_default()),
        };
        let write = WorkspaceWrite {
            tags: Value::from(tags).to_string(),
            storage_account: required(properties, "userStorageAccountId")?,
            owner_email: required(properties, "ownerEmail")?,
            key_vault: text(properties, "keyVaultIdentifierId")?,
            location,
            ..match &before {
                Some(before) => as_it_is(before),
                None => WorkspaceWrite::named(name),
            }
        };
        if let Some(before) = &before
            && !names::same_location(&before.location, &write.location)
        {
            return Err(conflict("a workspace cannot move to another location"));
        }
        let write = match sku {
            Some(sku) => WorkspaceWrite { sku, ..write },
            None => write,
        };
        let created = write.expected.is_none();
        let ledger = &self.inner.store.ledger;
        let workspace = ledger.put_workspace(write, principal.actor()).await?;
        Ok((workspace, created))
    }

    /// Changes tags, state, key vault identifier and SKU of a workspace, as far as the body of a
    /// Resource Manager PATCH has them.
    ///
    /// # Errors
    /// `NotFound.ResourceNotFound`; otherwise as for [`Manager::put_workspace`].
    pub async fn patch_workspace(
        &self,
        principal: &Principal,
        name: &ResourceName,
        body: &[u8],
    ) -> Result<Arc<Workspace>, Fault> {
        let before = self.permitted_workspace(principal, Role::Manage, name)?;
        let top = read_object(body)?;
        let nothing = Map::new();
        let properties = match member(&top, "properties") {
            None | Some(Value::Null) => &nothing,
            Some(Value::Object(properties)) => properties,
            Some(_) => return Err(invalid("properties", "it is no object")),
        };
        let mut write = as_it_is(&before);
        if let Some(tags) = read_tags(&top)? {
            write.tags = Value::from(tags).to_string();
        }
        if let Some(given) = text(properties, "workspaceState")? {
            let known = STATES
                .iter()
                .find(|state| state.eq_ignore_ascii_case(&given));
            let state = known.ok_or_else(|| {
                invalid(
                    "properties/workspaceState",
                    "it is none of the known states",
                )
            })?;
            write.state = (*state).to_owned();
        }
        if let Some(key_vault) = text(properties, "keyVaultIdentifierId")? {
            write.key_vault = Some(key_vault);
        }
        // The documents have it in one place and the resource in another.
        for (object, target) in [(&top, "sku"), (properties, "properties/sku")] {
            if let Some(sku) = sku(object, "sku", target)? {
                write.sku = sku;
            }
        }
        let ledger = &self.inner.store.ledger;
        ledger.put_workspace(write, principal.actor()).await
    }

    /// Removes a workspace with its tokens; `false` where there is none.
    ///
    /// # Errors
    /// `Unauthorized.ManagementRequestUnauthorized`; `Conflict` while services stand in it, and
    /// for the installation's first workspace; `InternalError.UnknownError` when the ledger fails.
    pub async fn delete_workspace(
        &self,
        principal: &Principal,
        name: &ResourceName,
    ) -> Result<bool, Fault> {
        let key = name.key();
        let Some(workspace) = self.workspace_named(&key) else {
            principal.permit(Role::Manage, &Target::resource(&key))?;
            return Ok(false);
        };
        principal.permit(Role::Manage, &Target::workspace(&workspace))?;
        let ledger = &self.inner.store.ledger;
        ledger
            .delete_workspace(workspace.id, principal.actor())
            .await
    }

    /// The plain tokens of a workspace: primary, secondary.
    ///
    /// # Errors
    /// `NotFound.ResourceNotFound`; `Unauthorized.ManagementRequestUnauthorized`;
    /// `InternalError.UnknownError` when the ledger fails.
    pub async fn workspace_tokens(
        &self,
        principal: &Principal,
        name: &ResourceName,
    ) -> Result<[String; 2], Fault> {
        let workspace = self.permitted_workspace(principal, Role::Manage, name)?;
        let ledger = &self.inner.store.ledger;
        ledger.workspace_tokens(workspace.id).await
    }

    /// Makes one of a workspace's tokens anew; the old one opens nothing any more when this
    /// answers, with both tokens.
    ///
    /// # Errors
    /// As for [`Manager::workspace_tokens`].
    pub async fn rotate_workspace_token(
        &self,
        principal: &Principal,
        name: &ResourceName,
        which: WhichKey,
    ) -> Result<[String; 2], Fault> {
        let workspace = self.permitted_workspace(principal, Role::Manage, name)?;
        let ledger = &self.inner.store.ledger;
        ledger
            .rotate_workspace_token(workspace.id, which, principal.actor())
            .await?;
        ledger.workspace_tokens(workspace.id).await
    }

    /// What is left of a call that had the old service read its storage account's keys again: the
    /// blobs of a workspace stand in this installation, so there is nothing to read.
    ///
    /// # Errors
    /// `NotFound.ResourceNotFound`; `Unauthorized.ManagementRequestUnauthorized`.
    pub fn resync_storage_keys(
        &self,
        principal: &Principal,
        name: &ResourceName,
    ) -> Result<(), Fault> {
        self.permitted_workspace(principal, Role::Manage, name)
            .map(drop)
    }

    /// A page of at most `limit` workspaces, as far as the caller sees them, of a subscription, or of one resource group of it,
    /// after the page that ended with `after`.
    ///
    /// # Errors
    /// `Unauthorized.ManagementRequestUnauthorized`; `BadArgument.InvalidQueryParameter` for an
    /// `after` that no page gave.
    pub fn list_workspaces(
        &self,
        principal: &Principal,
        subscription: &str,
        resource_group: Option<&str>,
        after: Option<&str>,
        limit: usize,
    ) -> Result<WorkspacePage, Fault> {
        let subscription = Subscription::of(subscription);
        let group = resource_group.map(folded);
        let target = match &group {
            Some(group) => Target::resource_group(subscription.clone(), group.clone()),
            None => Target::subscription(subscription.clone()),
        };
        principal.permit_list(&target)?;
        let after = after.map(end_of_page).transpose()?;
        let directory = self.inner.store.ledger.directory();
        let mut found: Vec<(NameKey, Arc<Workspace>)> = directory
            .workspaces()
            .map(|workspace| (workspace.name.key(), workspace.clone()))
            .filter(|(key, workspace)| {
                key.subscription == subscription
                    && group
                        .as_ref()
                        .is_none_or(|group| *group == key.resource_group)
                    && after.as_ref().is_none_or(|after| key > after)
                    && principal.sees(&Target::workspace(workspace))
            })
            .collect();
        found.sort_by(|(a, _), (b, _)| a.cmp(b));
        let more = found.len() > limit;
        found.truncate(limit);
        let next = found.last().filter(|_| more).map(|(key, _)| place(key));
        let workspaces = found.into_iter().map(|(_, workspace)| workspace).collect();
        Ok(WorkspacePage { workspaces, next })
    }

    /// The full name of the workspace that an operator means by `text`: its name in the default
    /// resource group, else a name that only one workspace has, else its id.
    ///
    /// # Errors
    /// `NotFound.WorkspaceNotFound`; `Conflict` when several workspaces have the name;
    /// `Unauthorized.ManagementRequestUnauthorized` in the stead of both for whoever may not read
    /// the installation.
    pub fn resolve_workspace(
        &self,
        principal: &Principal,
        text: &str,
    ) -> Result<ResourceName, Fault> {
        let wanted = folded(text);
        let directory = self.inner.store.ledger.directory();
        let named: Vec<&Arc<Workspace>> = directory
            .workspaces()
            .filter(|workspace| folded(&workspace.name.name) == wanted)
            .collect();
        let in_default = named.iter().find(|workspace| {
            folded(&workspace.name.resource_group) == folded(store::DEFAULT_RESOURCE_GROUP)
        });
        let found = match (in_default, &named[..]) {
            (Some(workspace), _) | (None, [workspace]) => Some(*workspace),
            (None, []) => store::Id::parse(text).and_then(|id| directory.workspace(&id)),
            (None, _) => {
                principal.permit(Role::Read, &Target::installation())?;
                return Err(conflict("several workspaces have that name"));
            }
        };
        match found {
            Some(workspace) => Ok(workspace.name.clone()),
            None => {
                principal.permit(Role::Read, &Target::installation())?;
                Err(faults::not_found::workspace_not_found())
            }
        }
    }

    fn workspace_named(&self, key: &NameKey) -> Option<Arc<Workspace>> {
        let directory = self.inner.store.ledger.directory();
        directory.workspace_by_name(key).cloned()
    }

    fn permitted_workspace(
        &self,
        principal: &Principal,
        role: Role,
        name: &ResourceName,
    ) -> Result<Arc<Workspace>, Fault> {
        let key = name.key();
        match self.workspace_named(&key) {
            Some(workspace) => {
                principal.permit(role, &Target::workspace(&workspace))?;
                Ok(workspace)
            }
            None => {
                principal.permit(role, &Target::resource(&key))?;
                Err(not_found(TYPE, name))
            }
        }
    }
}

/// A resource of another kind than a web service that is not there.
pub(crate) fn not_found(kind: &str, name: &ResourceName) -> Fault {
    faults::extensions::resource_not_found(
        format!("{kind}/{}", name.name),
        name.resource_group.as_str(),
    )
}

/// A write that changes nothing.
fn as_it_is(workspace: &Workspace) -> WorkspaceWrite {
    WorkspaceWrite {
        id: workspace.id,
        expected: Some(workspace.version),
        name: workspace.name.clone(),
        location: workspace.location.clone(),
        tags: workspace.tags.to_string(),
        owner_email: workspace.owner_email.clone(),
        storage_account: workspace.storage_account.clone(),
        key_vault: workspace.key_vault.clone(),
        state: workspace.state.clone(),
        sku: workspace.sku.clone(),
    }
}

/// A body of which `target` is wrong.
pub(crate) fn invalid(target: &str, why: &str) -> Fault {
    faults::bad_argument::request_body_invalid()
        .at(target)
        .because(format!("{target}: {why}"))
}

/// A text of `properties`, where it has the member.
fn text(properties: &Map<String, Value>, name: &str) -> Result<Option<String>, Fault> {
    plain_text(properties, name, &format!("properties/{name}"))
}

/// A text of `properties` that must be there and say something.
fn required(properties: &Map<String, Value>, name: &str) -> Result<String, Fault> {
    text(properties, name)?
        .filter(|text| !text.trim().is_empty())
        .ok_or_else(|| invalid(&format!("properties/{name}"), "it is absent or blank"))
}

/// The text of that name, where the object has the member; `null` is as if it had not.
pub(crate) fn plain_text(
    object: &Map<String, Value>,
    name: &str,
    target: &str,
) -> Result<Option<String>, Fault> {
    match member(object, name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.chars().any(char::is_control) => {
            Err(invalid(target, "it has control characters"))
        }
        Some(Value::String(text)) if text.chars().count() > LONGEST => {
            Err(invalid(target, "it is too long"))
        }
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(invalid(target, "it is no text")),
    }
}

fn sku(object: &Map<String, Value>, name: &str, target: &str) -> Result<Option<Sku>, Fault> {
    let sku = match member(object, name) {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::Object(sku)) => sku,
        Some(_) => return Err(invalid(target, "it is no object")),
    };
    Ok(Some(Sku {
        name: plain_text(sku, "name", &format!("{target}/name"))?,
        tier: plain_text(sku, "tier", &format!("{target}/tier"))?,
    }))
}
