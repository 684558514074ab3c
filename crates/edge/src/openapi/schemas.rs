//! The shapes of the management APIs' bodies, in a short form.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

/// A shape: its name, what it is, and its members, each as `name:type`, with blanks between.
///
/// A type is `string`, `integer`, `number`, `boolean`, `object` (of anything), `any`, `{T}` (a map),
/// `[T]` (a list) or the name of another shape; a `?` at its end allows null.
struct Shape(&'static str, &'static str, &'static str);

impl Shape {
    /// Its members: name and type.
    fn members(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        self.2
            .split(' ')
            .filter_map(|member| member.split_once(':'))
    }
}

#[rustfmt::skip] // A line for each.
static SHAPES: &[Shape] = &[
    Shape("Error", "A failure.", "error:ErrorBody"),
    Shape("ErrorTwice", "A failure, for readers of both kinds.", "error:ErrorBody code:string message:string"),
    Shape("ErrorBody", "The class of a failure, its text, and what went wrong in detail.", "code:string message:string details:[ErrorDetail]"),
    Shape("ErrorDetail", "One thing that went wrong.", "code:string target:string message:string"),
    // The Resource Manager's.
    Shape("WebServiceResource", "A web service.", "id:string name:string type:string location:string tags:{string} properties:object"),
    Shape("WebServiceResourceList", "A page of web services, without their definitions.", "value:[WebServiceResource] nextLink:string"),
    Shape("Keys", "Two keys, of which either opens what they are of.", "primary:string secondary:string"),
    Shape("AsyncOperation", "How far an operation is that goes on after its call was answered.", "id:string name:string status:string provisioningState:string startTime:string endTime:string percentComplete:number error:ErrorBody errorInfo:ErrorBody"),
    Shape("OperationDisplay", "An operation for people.", "provider:string resource:string operation:string description:string"),
    Shape("Operation", "An operation.", "name:string display:OperationDisplay"),
    Shape("OperationList", "All operations.", "value:[Operation]"),
    Shape("ProviderType", "A type of resource.", "resourceType:string locations:[string] apiVersions:[string]"),
    Shape("Provider", "The provider as a subscription has it.", "id:string namespace:string registrationState:string resourceTypes:[ProviderType]"),
    Shape("PlanSku", "The SKU of a plan.", "name:string tier:string capacity:integer"),
    Shape("PlanChange", "What may be changed of a plan.", "tags:{string} sku:PlanSku"),
    Shape("PlanQuantity", "One of a plan's quantities.", "allowance:number amount:number includedQuantityMeter:string overageMeter:string"),
    Shape("PlanProperties", "What only the server sets of a plan.", "chargeForOverage:boolean chargeForPlan:boolean creationDate:string includedQuantities:{PlanQuantity} maxAssociationLimit:integer maxCapacityLimit:integer minCapacityLimit:integer planMeter:string refillFrequencyInDays:integer suspendPlanOnOverage:boolean"),
    Shape("Plan", "A commitment plan.", "id:string name:string type:string location:string tags:{string} etag:string sku:PlanSku properties:PlanProperties"),
    Shape("PlanList", "A page of plans.", "value:[Plan] nextLink:string"),
    Shape("AssociationProperties", "Service and plan of an association.", "associatedResourceId:string commitmentPlanId:string creationDate:string"),
    Shape("Association", "A service that counts against a plan.", "id:string name:string type:string location:string etag:string properties:AssociationProperties"),
    Shape("AssociationList", "A page of associations.", "value:[Association] nextLink:string"),
    Shape("Move", "Where to move an association.", "destinationPlanId:string"),
    Shape("PlanDay", "A day of a plan's history.", "usageDate:string planDeletionOverage:{number} planMigrationOverage:{number} planQuantitiesAfterUsage:{number} planQuantitiesBeforeUsage:{number} planUsageOverage:{number} usage:{number}"),
    Shape("PlanHistory", "A page of a plan's history.", "value:[PlanDay] nextLink:string"),
    Shape("SkuCapacity", "How much of a SKU a plan may have.", "minimum:integer maximum:integer default:integer scaleType:string"),
    Shape("Sku", "A SKU of plans.", "resourceType:string name:string tier:string locations:[string] capacity:SkuCapacity capabilities:[object] costs:[object] restrictions:[object]"),
    Shape("SkuList", "The SKUs of plans.", "value:[Sku]"),
    Shape("WorkspaceSku", "A SKU.", "name:string tier:string"),
    Shape("WorkspaceProperties", "The properties of a workspace.", "userStorageAccountId:string ownerEmail:string workspaceType:string workspaceState:string workspaceId:string creationTime:string studioEndpoint:string keyVaultIdentifierId:string"),
    Shape("WorkspaceResource", "A workspace.", "id:string name:string type:string location:string tags:{string} sku:WorkspaceSku properties:WorkspaceProperties"),
    Shape("WorkspaceResourceList", "A page of workspaces.", "value:[WorkspaceResource] nextLink:string"),
    Shape("WorkspaceChangeProperties", "What may be changed of a workspace's properties.", "workspaceState:string keyVaultIdentifierId:string sku:WorkspaceSku"),
    Shape("WorkspaceChange", "What may be changed of a workspace.", "tags:{string} properties:WorkspaceChangeProperties"),
    Shape("WorkspaceKeys", "Two tokens, of which either opens the workspace.", "primaryToken:string secondaryToken:string"),
    // The classic API's.
    Shape("ClassicService", "A web service.", "Id:string Name:string Description:string? CreationTime:string WorkspaceId:string EndpointCount:integer DefaultEndpointName:string"),
    Shape("ResourceLocation", "Where a resource's blob is.", "BaseLocation:string RelativeLocation:string SasBlobToken:string"),
    Shape("Resource", "A model or transform of an endpoint.", "Name:string Kind:string Location:ResourceLocation"),
    Shape("ClassicEndpoint", "An endpoint.", "Name:string Description:string CreationTime:string WorkspaceId:string WebServiceId:string HelpLocation:string PrimaryKey:string? SecondaryKey:string? ApiLocation:string PreventUpdate:boolean MaxConcurrentCalls:integer DiagnosticsTraceLevel:string ThrottleLevel:string Version:integer SampleDataEnabled:boolean ExperimentLocation:string? Resources:[Resource]"),
    Shape("EndpointChange", "What may be set of an endpoint; what is left out stays.", "WebServiceId:string EndpointName:string Description:string ThrottleLevel:string MaxConcurrentCalls:integer PreventUpdate:boolean DiagnosticsTraceLevel:string DiagnosticsExpiryTime:string? SampleDataEnabled:boolean Resources:[Resource]"),
    Shape("CodeColumn", "The type of a column.", "type:string format:string"),
    Shape("CodeBundle", "A function of one table in and one out.", "InputSchema:{CodeColumn} OutputSchema:{CodeColumn} Language:string SourceCode:string ZipContents:string?"),
    Shape("CodePublication", "Code that becomes a web service.", "Name:string Type:string CodeBundle:CodeBundle"),
    Shape("Refresh", "Whether updated resources are replaced as well.", "OverwriteResources:string"),
    // The groups'.
    Shape("StudioWorkspace", "A workspace.", "WorkspaceId:string FriendlyName:string SubscriptionId:string CreatedTime:string"),
    Shape("StudioName", "A name.", "Name:string"),
    Shape("StudioParameter", "A parameter of a module.", "Name:string ParameterType:string"),
    Shape("StudioModule", "A module that packages may name.", "Id:string Name:string FamilyID:string InputPorts:[StudioName] OutputPorts:[StudioName] Parameters:[StudioParameter]"),
    Shape("StoredResource", "A blob that packages of the workspace take.", "Id:string Name:string"),
    Shape("WorkflowParameter", "A parameter of a node.", "Name:string Value:any ValueType:string LinkedGlobalParameter:string?"),
    Shape("WorkflowPort", "An input port of a node, and what is stored for it.", "Name:string NodeId:string DataSourceId:string? TrainedModelId:string? TransformModuleId:string?"),
    Shape("WorkflowNode", "A node of a graph.", "Id:string ModuleId:string ModuleParameters:[WorkflowParameter] InputPortsInternal:[WorkflowPort] OutputPortsInternal:[object]"),
    Shape("WorkflowEdge", "An edge of a graph, from node:port to node:port.", "SourceOutputPortId:string DestinationInputPortId:string"),
    Shape("Workflow", "A graph.", "ModuleNodes:[WorkflowNode] EdgesInternal:[WorkflowEdge] SerializedClientData:string?"),
    Shape("PackagePort", "A port that becomes one of the web service.", "GraphModuleNodeId:string PortName:string Name:string Id:string Schema:any OutputType:string"),
    Shape("PackageColumn", "A column.", "Name:string Type:string Format:string IsNullable:boolean"),
    Shape("PackageParameter", "A web service parameter.", "Name:string Type:string Description:string DefaultValue:any"),
    Shape("UpdatableInput", "A stored input that can be replaced.", "GraphModuleNodeId:string PortName:string Name:string"),
    Shape("WholeModelPackage", "A model package.", "Id:string StatusCode:string CreationTime:string Workflow:Workflow Inputs:[PackagePort] Outputs:[PackagePort] InputsMetadata:[PackageColumn] OutputsMetadata:[PackageColumn] Parameters:[PackageParameter] UpdatableInputs:[UpdatableInput]"),
    Shape("DiagnosticsSettings", "What is recorded of calls, and where.", "DiagnosticsTraceLevel:string DiagnosticsConnectionString:string? DiagnosticsRRSRequestsPath:string? DiagnosticsRRSInitializationsPath:string? DiagnosticsBESJobsPath:string? DiagnosticsExpiryTime:string?"),
    Shape("Publication", "A package, by its id or whole, and the slot that it is published to.", "ModelPackageId:string ModelPackage:WholeModelPackage WebServiceType:string MaxConcurrentCalls:integer ThrottleLevel:string DiagnosticsSettings:DiagnosticsSettings?"),
    Shape("StudioDefinition", "A web service definition.", "location:string properties:object"),
    Shape("GroupChange", "What may be set of a group.", "Name:string Description:string AllowAnonymousTest:boolean"),
    Shape("ModelPackage", "A model package in a list.", "Id:string StatusCode:string CreationTime:string"),
    Shape("PackageStatus", "The status of a package.", "StatusCode:string"),
    Shape("Published", "A web service that a package is published to.", "Id:string WebServiceType:string ModelPackageId:string? Location:string BatchLocation:string CreationTime:string PrimaryKey:string? SecondaryKey:string? AllowAnonymousTest:boolean DiagnosticsSettings:DiagnosticsSettings?"),
    Shape("GroupEndpoint", "An endpoint of a group.", "Id:string Name:string Location:string BatchLocation:string"),
    Shape("Group", "A web service group.", "Id:string Name:string CreationTime:string Description:string AllowAnonymousTest:boolean ModelPackages:[ModelPackage] StagingWebService:Published? ProductionWebService:Published? Endpoints:[GroupEndpoint]"),
    // Ours.
    Shape("BlobStored", "A blob that is there.", "sha256:string size:integer uri:string created:boolean"),
    Shape("Service", "A web service with its default endpoint.", "name:string subscription_id:string resource_group:string workspace_id:string service_id:string endpoint_id:string endpoint_name:string title:string scoring_url:string swagger_url:string max_concurrent_calls:integer revision:integer created:string modified:string inputs:object outputs:object"),
    Shape("ServiceList", "The services.", "services:[Service]"),
    Shape("RotateKey", "Which key to make anew: primary or secondary.", "key:string"),
    Shape("Revision", "One stored state of a service.", "number:integer id:string created:string current:boolean"),
    Shape("RevisionList", "The kept revisions.", "revisions:[Revision]"),
    Shape("Rollback", "Which revision to go back to.", "to:integer?"),
    Shape("LogLine", "A line about a service.", "time:string level:string text:string"),
    Shape("LogList", "The newest lines, oldest first.", "lines:[LogLine]"),
    Shape("Workspace", "A workspace.", "id:string name:string subscription_id:string resource_group:string created:string state:string services:integer"),
    Shape("WorkspaceList", "The workspaces.", "workspaces:[Workspace]"),
    Shape("BlobContainer", "A blob container of a workspace.", "name:string created:string blobs:integer bytes:integer"),
    Shape("BlobContainerList", "The blob containers of a workspace.", "containers:[BlobContainer]"),
    Shape("Blob", "A blob of a workspace.", "name:string size:integer content_type:string etag:string created:string modified:string"),
    Shape("BlobList", "A part of the blobs of a container.", "blobs:[Blob] next:string?"),
    Shape("BlobLinkRequest", "Which blob is to be opened, and what for: letters of rcwd.", "blob:string permissions:string"),
    Shape("BlobLink", "A URL that opens a blob for a while.", "url:string expires:string"),
    Shape("RotateToken", "Which token to make anew: primary or secondary.", "token:string"),
    Shape("UsageLine", "The use of an endpoint on a day.", "day:string endpoint_id:string endpoint:string transactions:integer compute_seconds:number"),
    Shape("UsageList", "The use of all endpoints.", "from:string to:string lines:[UsageLine]"),
    Shape("TokenRequest", "A management token that is to be made.", "name:string scope:string role:string expires:string"),
    Shape("Token", "A management token, without the token itself.", "id:string name:string role:string scope:string service:string? state:string created:string expires:string? revoked:string? last_used:string?"),
    Shape("TokenList", "The management tokens.", "tokens:[Token]"),
    Shape("TokenMade", "A management token that was just made.", "token:string id:string name:string role:string scope:string service:string? state:string created:string expires:string? revoked:string? last_used:string?"),
    Shape("AuditLine", "A line of the audit trail.", "number:integer time:string actor:string origin:string action:string subject:string result:string"),
    Shape("AuditList", "Lines of the audit trail, newest first.", "lines:[AuditLine] next:integer"),
    Shape("ConfigurationChange", "What a change of the settings came to.", "changed:[string] restart:[string]"),
    Shape("Limit", "A setting that servers share.", "name:string value:any origin:string"),
    Shape("LimitList", "The settings that servers share.", "limits:[Limit]"),
    Shape("SecretsRotated", "Where the former master key is.", "former_key:string"),
    Shape("Node", "A node.", "id:string version:string uptime_seconds:integer state:string containers:integer calls:integer waiting:integer container_memory:integer"),
    Shape("NodeList", "The nodes.", "nodes:[Node]"),
    Shape("Container", "A container.", "id:string endpoint:string endpoint_id:string revision_id:string lane:string pid:integer state:string calls:integer memory:integer? memory_quota:integer age_seconds:integer"),
    Shape("ContainerList", "The containers.", "containers:[Container]"),
    Shape("DocumentEntry", "An OpenAPI document.", "name:string title:string url:string"),
    Shape("DocumentList", "The OpenAPI documents.", "documents:[DocumentEntry]"),
];

/// The type of that short form.
pub(super) fn reference(text: &str) -> Value {
    if let Some(text) = text.strip_suffix('?') {
        return match reference(text) {
            // A reference stands alone in this version of OpenAPI.
            reference if reference.get("$ref").is_some() => {
                json!({"nullable": true, "allOf": [reference]})
            }
            mut plain => {
                plain["nullable"] = json!(true);
                plain
            }
        };
    }
    let inner = |open, close| text.strip_prefix(open)?.strip_suffix(close);
    if let Some(item) = inner('[', ']') {
        return json!({"type": "array", "items": reference(item)});
    }
    if let Some(value) = inner('{', '}') {
        return json!({"type": "object", "additionalProperties": reference(value)});
    }
    match text {
        "any" => json!({}),
        "string" | "integer" | "number" | "boolean" | "object" => json!({"type": text}),
        shape => json!({"$ref": format!("#/components/schemas/{shape}")}),
    }
}

/// The name of the shape in a type, if it has one.
pub(super) fn shape_in(text: &'static str) -> Option<&'static str> {
    let text = text.trim_matches(['?', '[', ']', '{', '}']);
    text.starts_with(|c: char| c.is_ascii_uppercase())
        .then_some(text)
}

/// These shapes and all that they refer to.
pub(super) fn closure(names: impl IntoIterator<Item = &'static str>) -> Value {
    let mut open: Vec<&'static str> = names.into_iter().collect();
    let mut all = BTreeMap::new();
    while let Some(name) = open.pop() {
        let Some(shape) = SHAPES.iter().find(|shape| shape.0 == name) else {
            continue;
        };
        if all.contains_key(name) {
            continue;
        }
        let properties: Map<String, Value> = shape
            .members()
            .map(|(member, kind)| (member.to_owned(), reference(kind)))
            .collect();
        open.extend(shape.members().filter_map(|(_, kind)| shape_in(kind)));
        all.insert(
            name,
            json!({"type": "object", "description": shape.1, "properties": properties}),
        );
    }
    json!(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_forms_are_read() {
        assert_eq!(
            reference("string?"),
            json!({"type": "string", "nullable": true})
        );
        assert_eq!(
            reference("[Plan]"),
            json!({"type": "array", "items": {"$ref": "#/components/schemas/Plan"}})
        );
        assert_eq!(
            reference("{number}"),
            json!({"type": "object", "additionalProperties": {"type": "number"}})
        );
        assert_eq!(shape_in("[Plan]"), Some("Plan"));
        assert_eq!(shape_in("{string}"), None);
    }

    #[test]
    fn what_a_shape_refers_to_comes_with_it() {
        let all = closure(["PlanList"]);
        for name in [
            "PlanList",
            "Plan",
            "PlanSku",
            "PlanProperties",
            "PlanQuantity",
        ] {
            assert!(all.get(name).is_some(), "{name}");
        }
        assert!(all.get("Group").is_none());
    }
}
