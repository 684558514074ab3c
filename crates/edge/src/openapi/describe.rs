//! What each management action does, takes and answers: a line for each.

use crate::action::Action;

use super::schemas::shape_in;

/// What is said of an action.
#[derive(Debug, Clone, Copy)]
pub(super) struct Described {
    /// What it does, in a few words.
    pub(super) summary: &'static str,
    /// The shape of its body, as `schemas` names shapes; `bytes` for anything.
    pub(super) body: Option<&'static str>,
    /// The statuses of its success and the shapes of their bodies; none is empty.
    pub(super) answers: &'static [(u16, &'static str)],
    /// Query parameters beside `api-version`, and what they mean.
    pub(super) query: &'static [(&'static str, &'static str)],
}

impl Described {
    /// The shapes that it names.
    pub(super) fn schemas(&self) -> impl Iterator<Item = &'static str> {
        let answers = self.answers.iter().map(|(_, shape)| *shape);
        answers
            .chain(self.body)
            .chain(["ErrorTwice"])
            .filter_map(shape_in)
    }
}

/// What is said of the action; none for those that are not management.
pub(super) fn described(action: Action) -> Option<Described> {
    DESCRIBED.iter().find(|(known, ..)| *known == action).map(
        |(_, summary, body, answers, query)| Described {
            summary,
            body: (!body.is_empty()).then_some(*body),
            answers,
            query,
        },
    )
}

/// All actions of which something is said.
#[cfg(test)]
pub(super) fn actions() -> impl Iterator<Item = Action> {
    DESCRIBED.iter().map(|(action, ..)| *action)
}

/// Action, summary, body, answers, query parameters.
type Line = (
    Action,
    &'static str,
    &'static str,
    &'static [(u16, &'static str)],
    &'static [(&'static str, &'static str)],
);

const NEXT: &[(&str, &str)] = &[(
    "$skiptoken",
    "Where the page before ended, as its nextLink has it.",
)];

#[rustfmt::skip] // A line for each.
static DESCRIBED: &[Line] = &[
    (Action::PutWebService, "Create a web service, or give it a further revision", "WebServiceResource", &[(200, "WebServiceResource"), (201, "WebServiceResource")], &[]),
    (Action::GetWebService, "Read a web service", "", &[(200, "WebServiceResource")], &[("region", "The region whose definition is wanted.")]),
    (Action::PatchWebService, "Change a web service", "WebServiceResource", &[(200, "WebServiceResource")], &[]),
    (Action::CreateRegionalBlob, "Make a copy of a definition for another region", "", &[(202, "WebServiceResource")], &[("region", "The region that the copy is for.")]),
    (Action::GetOperationStatus, "Ask how far an operation is", "", &[(200, "AsyncOperation")], &[]),
    (Action::GetOperationResult, "Ask what an operation came to", "", &[(200, "WebServiceResource"), (201, "WebServiceResource"), (202, ""), (204, "")], &[]),
    (Action::DeleteWebService, "Delete a web service", "", &[(202, ""), (204, "")], &[]),
    (Action::ListWebServiceKeys, "Read a web service's keys", "", &[(200, "Keys")], &[]),
    (Action::ListWebServicesOfGroup, "List the web services of a resource group", "", &[(200, "WebServiceResourceList")], NEXT),
    (Action::ListWebServicesOfSubscription, "List the web services of a subscription", "", &[(200, "WebServiceResourceList")], NEXT),
    (Action::ListOperations, "List the provider's operations", "", &[(200, "OperationList")], &[]),
    (Action::GetProvider, "Look at the provider", "", &[(200, "Provider")], &[]),
    (Action::PutArmWorkspace, "Create a workspace, or change it", "WorkspaceResource", &[(200, "WorkspaceResource")], &[]),
    (Action::GetArmWorkspace, "Read a workspace", "", &[(200, "WorkspaceResource")], &[]),
    (Action::PatchArmWorkspace, "Change a workspace", "WorkspaceChange", &[(200, "WorkspaceResource")], &[]),
    (Action::DeleteArmWorkspace, "Delete a workspace in which nothing stands", "", &[(200, ""), (204, "")], &[]),
    (Action::ListArmWorkspaceKeys, "Read a workspace's tokens", "", &[(200, "WorkspaceKeys")], &[]),
    (Action::ResyncStorageKeys, "Read the storage account's keys again", "", &[(200, "")], &[]),
    (Action::ListArmWorkspacesOfGroup, "List the workspaces of a resource group", "", &[(200, "WorkspaceResourceList")], NEXT),
    (Action::ListArmWorkspacesOfSubscription, "List the workspaces of a subscription", "", &[(200, "WorkspaceResourceList")], NEXT),
    (Action::PutPlan, "Create a commitment plan, or change it", "Plan", &[(200, "Plan"), (201, "Plan")], &[]),
    (Action::GetPlan, "Read a commitment plan", "", &[(200, "Plan")], &[]),
    (Action::PatchPlan, "Change a commitment plan's tags and SKU", "PlanChange", &[(200, "Plan")], &[]),
    (Action::DeletePlan, "Delete a commitment plan without associations", "", &[(200, "")], &[]),
    (Action::ListPlansOfGroup, "List the commitment plans of a resource group", "", &[(200, "PlanList")], NEXT),
    (Action::ListPlansOfSubscription, "List the commitment plans of a subscription", "", &[(200, "PlanList")], NEXT),
    (Action::ListPlanAssociations, "List the services that count against a plan", "", &[(200, "AssociationList")], NEXT),
    (Action::GetPlanAssociation, "Read an association", "", &[(200, "Association")], &[]),
    (Action::MovePlanAssociation, "Let a service count against another plan", "Move", &[(200, "Association")], &[]),
    (Action::ListPlanUsage, "Read a plan's history, day by day", "", &[(200, "PlanHistory")], NEXT),
    (Action::ListPlanSkus, "List the SKUs of plans", "", &[(200, "SkuList")], &[]),
    (Action::GetClassicService, "Read a web service", "", &[(200, "ClassicService")], &[]),
    (Action::ListClassicServices, "List the web services of a workspace", "", &[(200, "[ClassicService]")], &[]),
    (Action::DeleteClassicService, "Delete a web service with its endpoints", "", &[(204, "")], &[]),
    (Action::ListEndpoints, "List the endpoints of a web service", "", &[(200, "[ClassicEndpoint]")], &[]),
    (Action::GetEndpoint, "Read an endpoint", "", &[(200, "ClassicEndpoint")], &[]),
    (Action::PutEndpoint, "Create an endpoint, or change it", "EndpointChange", &[(200, "ClassicEndpoint"), (201, "ClassicEndpoint")], &[]),
    (Action::PatchEndpoint, "Change an endpoint's settings and resources", "EndpointChange", &[(200, "ClassicEndpoint")], &[]),
    (Action::DeleteEndpoint, "Delete an endpoint", "", &[(204, "")], &[]),
    (Action::RefreshEndpoint, "Let an endpoint follow its service's definition", "Refresh", &[(200, "ClassicEndpoint"), (304, "")], &[]),
    (Action::GetStudioWorkspace, "Read a workspace", "", &[(200, "StudioWorkspace")], &[]),
    (Action::ListModules, "List the modules that packages may name", "", &[(200, "[StudioModule]")], &[]),
    (Action::ListDataSources, "List the data sets that packages take", "", &[(200, "[StoredResource]")], &[]),
    (Action::ListTrainedModels, "List the models that packages take", "", &[(200, "[StoredResource]")], &[]),
    (Action::ListTransforms, "List the transforms that packages take", "", &[(200, "[StoredResource]")], &[]),
    (Action::CreateGroup, "Create a group; its id is the answer", "GroupChange", &[(200, "string")], &[]),
    (Action::ListGroups, "List the groups of a workspace", "", &[(200, "[Group]")], &[]),
    (Action::GetGroup, "Read a group", "", &[(200, "Group")], &[]),
    (Action::ChangeGroup, "Change a group; what the body does not name stays", "GroupChange", &[(200, "Group")], &[]),
    (Action::DeleteGroup, "Delete a group with its packages and services", "", &[(204, "")], &[]),
    (Action::CreateModelPackage, "Store a model package; its id is the answer", "WholeModelPackage", &[(200, "string")], &[]),
    (Action::ListModelPackages, "List the model packages of a group", "", &[(200, "[ModelPackage]")], &[]),
    (Action::GetModelPackage, "Read a model package as it was sent, without its secrets", "", &[(200, "WholeModelPackage")], &[]),
    (Action::SetModelPackageStatus, "Set the status of a model package", "PackageStatus", &[(200, "ModelPackage")], &[]),
    (Action::DeleteModelPackage, "Delete a model package", "", &[(204, "")], &[]),
    (Action::Publish, "Publish a package; the id of the service is the answer", "Publication", &[(200, "string")], &[]),
    (Action::ListPublished, "List the web services of a group", "", &[(200, "[Published]")], &[]),
    (Action::GetPublished, "Read a web service of a group", "", &[(200, "Published")], &[]),
    (Action::PutPublished, "Publish another package, or other settings, in its place", "Publication", &[(200, "Published")], &[]),
    (Action::Unpublish, "Delete a web service of a group; its package stays", "", &[(204, "")], &[]),
    (Action::ExportDefinition, "Read what the Resource Manager's PUT would take", "", &[(200, "StudioDefinition")], &[]),
    (Action::PutBlob, "Store a blob under its SHA-256", "bytes", &[(200, "BlobStored"), (201, "BlobStored")], &[]),
    (Action::HasBlob, "Ask whether a blob is there", "", &[(200, "BlobStored")], &[]),
    (Action::ListWorkspaces, "List the workspaces", "", &[(200, "WorkspaceList")], &[]),
    (Action::PutWorkspace, "Create a workspace, or find the one that is there", "", &[(200, "Workspace"), (201, "Workspace")], &[]),
    (Action::GetWorkspace, "Read a workspace, by its name or id", "", &[(200, "Workspace")], &[]),
    (Action::DeleteWorkspace, "Delete a workspace in which nothing stands", "", &[(204, "")], &[]),
    (Action::GetWorkspaceTokens, "Read a workspace's tokens", "", &[(200, "Keys")], &[]),
    (Action::RotateWorkspaceToken, "Make a workspace's token anew", "RotateToken", &[(200, "Keys")], &[]),
    (Action::ListBlobContainers, "List a workspace's own blob containers", "", &[(200, "BlobContainerList")], &[]),
    (Action::ListBlobs, "List the blobs of a container", "", &[(200, "BlobList")], &[("prefix", "What their names begin with."), ("after", "The name to go on after, as the last answer's `next`."), ("limit", "How many, at most 1000.")]),
    (Action::LinkBlob, "Make a URL that opens a blob for an hour", "BlobLinkRequest", &[(201, "BlobLink")], &[]),
    (Action::DeleteBlobContainer, "Delete a blob, or a blob container with all that is in it", "", &[(204, "")], &[("blob", "The blob that alone is meant.")]),
    (Action::GetUsage, "Read what the endpoints were used, day by day", "", &[(200, "UsageList")], &[("from", "The first day, as 2026-11-01."), ("to", "The last day.")]),
    (Action::ListServices, "List the services", "", &[(200, "ServiceList")], &[]),
    (Action::GetService, "Read a service, by its name or id", "", &[(200, "Service")], &[]),
    (Action::DeleteService, "Delete a service", "", &[(204, "")], &[]),
    (Action::GetKeys, "Read a service's keys", "", &[(200, "Keys")], &[("endpoint", "The endpoint whose keys are meant, where it is not the default one.")]),
    (Action::RotateKey, "Make a service's key anew", "RotateKey", &[(200, "Keys")], &[("endpoint", "The endpoint whose keys are meant, where it is not the default one.")]),
    (Action::ListRevisions, "List the kept revisions of a service", "", &[(200, "RevisionList")], &[]),
    (Action::Rollback, "Let an earlier revision answer calls again", "Rollback", &[(200, "Service")], &[]),
    (Action::ReadLogs, "Read the newest lines about a service", "", &[(200, "LogList")], &[("limit", "How many lines.")]),
    (Action::GetLimits, "Read the settings that servers share", "", &[(200, "LimitList")], &[]),
    (Action::PutLimits, "Change settings that servers share; null takes one back", "object", &[(200, "ConfigurationChange")], &[]),
    (Action::GetConfiguration, "Read the document of shared settings", "", &[(200, "object")], &[]),
    (Action::PutConfiguration, "Replace the document of shared settings", "object", &[(200, "ConfigurationChange")], &[]),
    (Action::ReloadConfiguration, "Read settings and certificates again", "", &[(200, "ConfigurationChange")], &[]),
    (Action::RotateSecrets, "Seal all secrets under a new master key", "", &[(200, "SecretsRotated")], &[]),
    (Action::ListNodes, "List the nodes", "", &[(200, "NodeList")], &[]),
    (Action::DrainNode, "Let a node take no further scoring calls", "", &[(200, "Node")], &[]),
    (Action::ResumeNode, "Let a drained node take scoring calls again", "", &[(200, "Node")], &[]),
    (Action::ListContainers, "List the containers", "", &[(200, "ContainerList")], &[]),
    (Action::RetireContainer, "Replace a container by a fresh one", "", &[(204, "")], &[]),
    (Action::ListTokens, "List the management tokens", "", &[(200, "TokenList")], &[]),
    (Action::CreateToken, "Make a management token; no other answer shows it", "TokenRequest", &[(201, "TokenMade")], &[]),
    (Action::RevokeToken, "Revoke a management token, by its name or id", "", &[(204, "")], &[]),
    (Action::ReadAudit, "Read the newest lines of the audit trail", "", &[(200, "AuditList")], &[("limit", "How many lines."), ("before", "The number of the line before which to read on.")]),
    (Action::MakeBackup, "Make a backup of the whole state", "", &[(200, "bytes")], &[]),
    (Action::ExportService, "Export a service with its blobs as one file", "", &[(200, "bytes")], &[]),
    (Action::PublishCode, "Publish code as a web service", "object", &[(200, "ClassicService"), (201, "ClassicService")], &[]),
    (Action::ListOpenApi, "List the OpenAPI documents", "", &[(200, "DocumentList")], &[]),
    (Action::GetOpenApi, "Read an OpenAPI document", "", &[(200, "object")], &[]),
];
