//! `/api/workspaces/{w}`: the workspace and what packages of it may name.

use faults::Fault;
use http::StatusCode;
use store::ResourceKind;
use wire::studio::{Module, ModuleParameter, ModulePort, StoredResource, Workspace};

use crate::reply::Reply;
use crate::stack::Call;

/// The workspace of modules that come with the program, as classic ids have it.
const BUILT_IN: &str = "506153734175476c4f62416c57734963";

/// `GET /api/workspaces/{w}`.
pub(crate) fn get(call: &Call<'_>) -> Result<Reply, Fault> {
    let id = super::workspace(call)?;
    let principal = call.principal()?;
    let workspace = call.gateway.manager.studio_workspace(&principal, &id)?;
    let reply = Workspace {
        workspace_id: workspace.id.to_string(),
        friendly_name: workspace.name.name.clone(),
        subscription_id: workspace.name.subscription.clone(),
        created_time: workspace.created.to_string(),
    };
    Reply::json(StatusCode::OK, &reply)
}

/// `GET …/modules`.
pub(crate) fn modules(call: &Call<'_>) -> Result<Reply, Fault> {
    let id = super::workspace(call)?;
    let principal = call.principal()?;
    let modules = call.gateway.manager.modules(&principal, &id)?;
    let ports = |names: Vec<&str>| {
        let ports = names.into_iter().map(|name| ModulePort {
            name: name.to_owned(),
        });
        ports.collect::<Vec<_>>()
    };
    let reply: Vec<Module> = modules
        .into_iter()
        .map(|module| Module {
            id: format!("{BUILT_IN}.{}.v1-default-1", module.family),
            name: module.name.to_owned(),
            family_id: module.family.to_owned(),
            input_ports: ports(module.inputs),
            output_ports: ports(module.outputs),
            parameters: module
                .parameters
                .into_iter()
                .map(|(name, kind)| ModuleParameter {
                    name: name.to_owned(),
                    parameter_type: kind.to_owned(),
                })
                .collect(),
        })
        .collect();
    Reply::json(StatusCode::OK, &reply)
}

/// `GET …/datasources`, `…/trainedmodels`, `…/transformmodules`: what is stored for the model
/// packages of the workspace.
pub(crate) async fn resources(call: &Call<'_>, kind: ResourceKind) -> Result<Reply, Fault> {
    let id = super::workspace(call)?;
    let principal = call.principal()?;
    let manager = &call.gateway.manager;
    let stored = manager.package_resources(&principal, &id, kind).await?;
    let reply: Vec<StoredResource> = stored
        .into_iter()
        .map(|resource| StoredResource {
            id: resource.uri,
            name: resource.name,
        })
        .collect();
    Reply::json(StatusCode::OK, &reply)
}
