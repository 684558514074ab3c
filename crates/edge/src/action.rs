//! What can be asked of this server, by name, and which function answers it.

use faults::Fault;
use store::ResourceKind;

use crate::reply::Reply;
use crate::stack::Call;
use crate::{admin, arm, health, help, score, studio};

/// One thing that can be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    ExecuteInWorkspace,
    ExecuteInSubscription,
    ScoreV1,
    SwaggerInWorkspace,
    SwaggerInSubscription,
    ApiDocument,
    HelpIndex,
    HelpScore,
    HelpJobs,
    HelpUpdate,
    PutWebService,
    GetWebService,
    DeleteWebService,
    ListWebServiceKeys,
    ListWebServicesOfGroup,
    ListWebServicesOfSubscription,
    PutBlob,
    HasBlob,
    ListWorkspaces,
    PutWorkspace,
    ListServices,
    GetService,
    DeleteService,
    GetKeys,
    RotateKey,
    ListRevisions,
    Rollback,
    ReadLogs,
    GetLimits,
    PutLimits,
    GetConfiguration,
    PutConfiguration,
    ReloadConfiguration,
    ListNodes,
    DrainNode,
    ResumeNode,
    ListContainers,
    RetireContainer,
    PutArmWorkspace,
    GetArmWorkspace,
    PatchArmWorkspace,
    DeleteArmWorkspace,
    ListArmWorkspaceKeys,
    ResyncStorageKeys,
    ListArmWorkspacesOfGroup,
    ListArmWorkspacesOfSubscription,
    GetWorkspace,
    DeleteWorkspace,
    GetWorkspaceTokens,
    RotateWorkspaceToken,
    ListTokens,
    CreateToken,
    RevokeToken,
    ReadAudit,
    GetStudioWorkspace,
    ListModules,
    ListDataSources,
    ListTrainedModels,
    ListTransforms,
    CreateGroup,
    ListGroups,
    GetGroup,
    ChangeGroup,
    DeleteGroup,
    CreateModelPackage,
    ListModelPackages,
    GetModelPackage,
    SetModelPackageStatus,
    DeleteModelPackage,
    Publish,
    ListPublished,
    GetPublished,
    PutPublished,
    Unpublish,
    ExportDefinition,
    TestPublished,
    Live,
    Ready,
    Metrics,
}

impl Action {
    /// Answers the call. The arms that are not scoring are boxed, so that the future of a scoring
    /// call stays small.
    pub(crate) async fn run(self, call: &mut Call<'_>) -> Result<Reply, Fault> {
        use scoring::Family::{Subscription, Workspace};
        match self {
            Action::ExecuteInWorkspace => score::execute::execute(call, Workspace).await,
            Action::ExecuteInSubscription => score::execute::execute(call, Subscription).await,
            Action::ScoreV1 => score::v1::score(call).await,
            Action::SwaggerInWorkspace => Box::pin(score::swagger_json(call, Workspace)).await,
            Action::SwaggerInSubscription => {
                Box::pin(score::swagger_json(call, Subscription)).await
            }
            Action::ApiDocument => Box::pin(score::api_document(call)).await,
            Action::HelpIndex => Box::pin(help::show(call, help::Topic::Index)).await,
            Action::HelpScore => Box::pin(help::show(call, help::Topic::Score)).await,
            Action::HelpJobs => Box::pin(help::show(call, help::Topic::Jobs)).await,
            Action::HelpUpdate => Box::pin(help::show(call, help::Topic::Update)).await,
            Action::PutWebService => Box::pin(arm::services::put(call)).await,
            Action::GetWebService => Box::pin(arm::services::get(call)).await,
            Action::DeleteWebService => Box::pin(arm::services::delete(call)).await,
            Action::ListWebServiceKeys => Box::pin(arm::services::list_keys(call)).await,
            Action::ListWebServicesOfGroup => Box::pin(arm::services::list_of_group(call)).await,
            Action::ListWebServicesOfSubscription => {
                Box::pin(arm::services::list_of_subscription(call)).await
            }
            Action::PutBlob => Box::pin(admin::blobs::put(call)).await,
            Action::HasBlob => Box::pin(admin::blobs::has(call)).await,
            Action::ListWorkspaces => admin::workspaces::list(call),
            Action::PutWorkspace => Box::pin(admin::workspaces::put(call)).await,
            Action::ListServices => Box::pin(admin::services::list(call)).await,
            Action::GetService => Box::pin(admin::services::get(call)).await,
            Action::DeleteService => Box::pin(admin::services::delete(call)).await,
            Action::GetKeys => Box::pin(admin::services::keys(call)).await,
            Action::RotateKey => Box::pin(admin::services::rotate(call)).await,
            Action::ListRevisions => Box::pin(admin::services::revisions(call)).await,
            Action::Rollback => Box::pin(admin::services::rollback(call)).await,
            Action::ReadLogs => Box::pin(admin::services::logs(call)).await,
            Action::GetLimits => admin::configuration::limits(call),
            Action::PutLimits => Box::pin(admin::configuration::put_limits(call)).await,
            Action::GetConfiguration => Box::pin(admin::configuration::document(call)).await,
            Action::PutConfiguration => Box::pin(admin::configuration::put_document(call)).await,
            Action::ReloadConfiguration => Box::pin(admin::configuration::reload(call)).await,
            Action::ListNodes => admin::nodes::list(call),
            Action::DrainNode => Box::pin(admin::nodes::set_drained(call, true)).await,
            Action::ResumeNode => Box::pin(admin::nodes::set_drained(call, false)).await,
            Action::ListContainers => admin::nodes::containers(call),
            Action::RetireContainer => Box::pin(admin::nodes::retire(call)).await,
            Action::PutArmWorkspace => Box::pin(arm::workspaces::put(call)).await,
            Action::GetArmWorkspace => arm::workspaces::get(call),
            Action::PatchArmWorkspace => Box::pin(arm::workspaces::patch(call)).await,
            Action::DeleteArmWorkspace => Box::pin(arm::workspaces::delete(call)).await,
            Action::ListArmWorkspaceKeys => Box::pin(arm::workspaces::list_keys(call)).await,
            Action::ResyncStorageKeys => arm::workspaces::resync(call),
            Action::ListArmWorkspacesOfGroup => arm::workspaces::list_of_group(call),
            Action::ListArmWorkspacesOfSubscription => arm::workspaces::list_of_subscription(call),
            Action::GetWorkspace => admin::workspaces::get(call),
            Action::DeleteWorkspace => Box::pin(admin::workspaces::delete(call)).await,
            Action::GetWorkspaceTokens => Box::pin(admin::workspaces::tokens(call)).await,
            Action::RotateWorkspaceToken => Box::pin(admin::workspaces::rotate(call)).await,
            Action::ListTokens => admin::tokens::list(call),
            Action::CreateToken => Box::pin(admin::tokens::create(call)).await,
            Action::RevokeToken => Box::pin(admin::tokens::revoke(call)).await,
            Action::ReadAudit => Box::pin(admin::audit::list(call)).await,
            Action::GetStudioWorkspace => studio::workspace::get(call),
            Action::ListModules => studio::workspace::modules(call),
            Action::ListDataSources => {
                Box::pin(studio::workspace::resources(call, ResourceKind::DataSource)).await
            }
            Action::ListTrainedModels => {
                Box::pin(studio::workspace::resources(
                    call,
                    ResourceKind::TrainedModel,
                ))
                .await
            }
            Action::ListTransforms => {
                Box::pin(studio::workspace::resources(call, ResourceKind::Transform)).await
            }
            Action::CreateGroup => Box::pin(studio::groups::create(call)).await,
            Action::ListGroups => Box::pin(studio::groups::list(call)).await,
            Action::GetGroup => Box::pin(studio::groups::get(call)).await,
            Action::ChangeGroup => Box::pin(studio::groups::change(call)).await,
            Action::DeleteGroup => Box::pin(studio::groups::delete(call)).await,
            Action::CreateModelPackage => Box::pin(studio::packages::create(call)).await,
            Action::ListModelPackages => Box::pin(studio::packages::list(call)).await,
            Action::GetModelPackage => Box::pin(studio::packages::get(call)).await,
            Action::SetModelPackageStatus => Box::pin(studio::packages::set_status(call)).await,
            Action::DeleteModelPackage => Box::pin(studio::packages::delete(call)).await,
            Action::Publish => Box::pin(studio::services::publish(call)).await,
            Action::ListPublished => Box::pin(studio::services::list(call)).await,
            Action::GetPublished => Box::pin(studio::services::get(call)).await,
            Action::PutPublished => Box::pin(studio::services::put(call)).await,
            Action::Unpublish => Box::pin(studio::services::delete(call)).await,
            Action::ExportDefinition => Box::pin(studio::services::definition(call)).await,
            Action::TestPublished => Box::pin(studio::services::test(call)).await,
            Action::Live => Ok(health::live()),
            Action::Ready => health::ready(call),
            Action::Metrics => health::metrics(call),
        }
    }
}
