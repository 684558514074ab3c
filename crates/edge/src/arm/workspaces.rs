//! Resource Manager's `Microsoft.MachineLearning/workspaces`. All calls are done when they answer.
//!
//! The order of the checks: path, api-version, credentials, look-up, query, body.

use faults::Fault;
use http::StatusCode;
use manage::{Principal, WorkspaceVersion};
use wire::arm_workspaces::{
    RESOURCE_TYPE, Sku, Workspace, WorkspaceKeys, WorkspaceList, WorkspaceProperties,
};

use super::{PAGE, next_link, resource_id, resource_name, small_body};
use crate::reply::Reply;
use crate::stack::Call;

/// `PUT …/workspaces/{name}`: 200, whether it was made or changed.
pub(crate) async fn put(call: &mut Call<'_>) -> Result<Reply, Fault> {
    let (version, principal) = enter(call)?;
    let name = resource_name(call);
    let body = small_body(call).await?;
    let manager = &call.gateway.manager;
    let (workspace, _) = manager
        .put_workspace(&principal, name, version, &body)
        .await?;
    Reply::json(StatusCode::OK, &resource(call, &workspace, version))
}

/// `GET …/workspaces/{name}`.
pub(crate) fn get(call: &Call<'_>) -> Result<Reply, Fault> {
    let (version, principal) = enter(call)?;
    let manager = &call.gateway.manager;
    let workspace = manager.workspace(&principal, &resource_name(call))?;
    Reply::json(StatusCode::OK, &resource(call, &workspace, version))
}

/// `PATCH …/workspaces/{name}`.
pub(crate) async fn patch(call: &mut Call<'_>) -> Result<Reply, Fault> {
    let (version, principal) = enter(call)?;
    let name = resource_name(call);
    let body = small_body(call).await?;
    let manager = &call.gateway.manager;
    let workspace = manager.patch_workspace(&principal, &name, &body).await?;
    Reply::json(StatusCode::OK, &resource(call, &workspace, version))
}

/// `DELETE …/workspaces/{name}`: 204 for one that is not there.
pub(crate) async fn delete(call: &Call<'_>) -> Result<Reply, Fault> {
    let (_, principal) = enter(call)?;
    let manager = &call.gateway.manager;
    let name = resource_name(call);
    Ok(Reply::empty(
        match manager.delete_workspace(&principal, &name).await? {
            true => StatusCode::OK,
            false => StatusCode::NO_CONTENT,
        },
    ))
}

/// `POST …/workspaces/{name}/listWorkspaceKeys`.
pub(crate) async fn list_keys(call: &Call<'_>) -> Result<Reply, Fault> {
    let (_, principal) = enter(call)?;
    let manager = &call.gateway.manager;
    let name = resource_name(call);
    let [primary_token, secondary_token] = manager.workspace_tokens(&principal, &name).await?;
    let keys = WorkspaceKeys {
        primary_token,
        secondary_token,
    };
    Reply::json(StatusCode::OK, &keys)
}

/// `POST …/workspaces/{name}/resyncStorageKeys`.
pub(crate) fn resync(call: &Call<'_>) -> Result<Reply, Fault> {
    let (_, principal) = enter(call)?;
    let manager = &call.gateway.manager;
    manager.resync_storage_keys(&principal, &resource_name(call))?;
    Ok(Reply::empty(StatusCode::OK))
}

/// `GET …/resourceGroups/{group}/…/workspaces`.
pub(crate) fn list_of_group(call: &Call<'_>) -> Result<Reply, Fault> {
    list(call, Some(&call.word(1)))
}

/// `GET /subscriptions/{subscription}/…/workspaces`.
pub(crate) fn list_of_subscription(call: &Call<'_>) -> Result<Reply, Fault> {
    list(call, None)
}

fn list(call: &Call<'_>, group: Option<&str>) -> Result<Reply, Fault> {
    let (version, principal) = enter(call)?;
    let after = call.query("$skiptoken");
    let manager = &call.gateway.manager;
    let page = manager.list_workspaces(&principal, &call.word(0), group, after.as_deref(), PAGE)?;
    let value = page
        .workspaces
        .iter()
        .map(|workspace| resource(call, workspace, version))
        .collect();
    let next_link = next_link(call, page.next.as_deref());
    Reply::json(StatusCode::OK, &WorkspaceList { value, next_link })
}

fn enter(call: &Call<'_>) -> Result<(WorkspaceVersion, Principal), Fault> {
    let version = super::api_version(call, WorkspaceVersion::parse)?;
    Ok((version, call.principal()?))
}

fn resource(call: &Call<'_>, workspace: &store::Workspace, version: WorkspaceVersion) -> Workspace {
    let sku = match version {
        WorkspaceVersion::Stable2016 => None,
        WorkspaceVersion::Stable2019 if workspace.sku == store::Sku::default() => None,
        WorkspaceVersion::Stable2019 => Some(Sku {
            name: workspace.sku.name.clone(),
            tier: workspace.sku.tier.clone(),
        }),
    };
    Workspace {
        id: resource_id(RESOURCE_TYPE, &workspace.name),
        name: workspace.name.name.clone(),
        kind: RESOURCE_TYPE.to_owned(),
        location: workspace.location.clone(),
        // Written from an object; anything else shows as no tags.
        tags: serde_json::from_str(&workspace.tags).unwrap_or_default(),
        sku,
        properties: WorkspaceProperties {
            user_storage_account_id: workspace.storage_account.clone(),
            owner_email: workspace.owner_email.clone(),
            workspace_type: workspace.kind.clone(),
            workspace_state: workspace.state.clone(),
            workspace_id: workspace.id.to_string(),
            creation_time: workspace.created.to_string(),
            studio_endpoint: call.base_url(),
            key_vault_identifier_id: workspace.key_vault.clone(),
        },
    }
}
