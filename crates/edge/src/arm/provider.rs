//! What the Resource Manager says of `Microsoft.MachineLearning` as a whole: its operations, its
//! types of resources and where they may stand.

use faults::Fault;
use http::StatusCode;
use wire::arm_provider::{Operation, OperationDisplay, OperationList, Provider, ResourceType};

use crate::reply::Reply;
use crate::stack::Call;

const NAMESPACE: &str = "Microsoft.MachineLearning";

/// Where the old service stood. Clients compare the location that they are told to use with these;
/// any other is taken as well.
pub(super) const LOCATIONS: [&str; 6] = [
    "South Central US",
    "West Europe",
    "Southeast Asia",
    "Japan East",
    "East US 2",
    "West Central US",
];

const PLANS: &str = "2016-05-01-preview";
const SERVICES: &str = "2017-01-01";
const WORKSPACES: [&str; 2] = ["2016-04-01", "2019-10-01"];

/// The versions in which the documents of the resources have the list of operations.
const OPERATIONS: [&str; 4] = [PLANS, SERVICES, WORKSPACES[0], WORKSPACES[1]];

/// The versions of the Resource Manager's own API, to which the look at a provider belongs.
const PROVIDERS: [&str; 19] = [
    "2014-04-01-preview",
    "2015-01-01",
    "2015-11-01",
    "2016-02-01",
    "2016-07-01",
    "2016-09-01",
    "2017-05-10",
    "2018-02-01",
    "2018-05-01",
    "2019-03-01",
    "2019-05-01",
    "2019-05-10",
    "2019-07-01",
    "2019-08-01",
    "2020-06-01",
    "2020-08-01",
    "2020-10-01",
    "2021-01-01",
    "2021-04-01",
];

/// Each operation: resource, verb, its name for people, what it does.
const ACTIONS: [(&str, &str, &str, &str); 20] = [
    (
        "webServices",
        "read",
        "Get web services",
        "Read web services, without their keys",
    ),
    (
        "webServices",
        "write",
        "Create or update a web service",
        "Create a web service or give it a further revision",
    ),
    (
        "webServices",
        "delete",
        "Delete a web service",
        "Delete a web service with its revisions and keys",
    ),
    (
        "webServices",
        "listkeys/action",
        "List a web service's keys",
        "Read the two keys of a web service",
    ),
    (
        "webServices",
        "createRegionalBlob/action",
        "Prepare another region's definition",
        "Make a web service's definition for another region",
    ),
    (
        "commitmentPlans",
        "read",
        "Get commitment plans",
        "Read commitment plans and what they have been used",
    ),
    (
        "commitmentPlans",
        "write",
        "Create or update a commitment plan",
        "Create a commitment plan or change its tags and SKU",
    ),
    (
        "commitmentPlans",
        "delete",
        "Delete a commitment plan",
        "Delete a commitment plan without associations",
    ),
    (
        "commitmentPlans/commitmentAssociations",
        "read",
        "Get associations",
        "Read which web services count against a commitment plan",
    ),
    (
        "commitmentPlans/commitmentAssociations",
        "move/action",
        "Move an association",
        "Let a web service count against another commitment plan",
    ),
    (
        "commitmentPlans/usageHistory",
        "read",
        "Get a plan's history",
        "Read what was used of a commitment plan, day by day",
    ),
    (
        "skus",
        "read",
        "Get SKUs",
        "Read the SKUs that commitment plans may have",
    ),
    (
        "workspaces",
        "read",
        "Get workspaces",
        "Read workspaces, without their tokens",
    ),
    (
        "workspaces",
        "write",
        "Create or update a workspace",
        "Create a workspace or change it",
    ),
    (
        "workspaces",
        "delete",
        "Delete a workspace",
        "Delete a workspace in which nothing stands",
    ),
    (
        "workspaces",
        "listworkspacekeys/action",
        "List a workspace's tokens",
        "Read the two tokens of a workspace",
    ),
    (
        "workspaces",
        "resyncstoragekeys/action",
        "Synchronize storage keys",
        "Answered; blobs stand in this installation",
    ),
    ("operations", "read", "Get operations", "Read this list"),
    (
        "locations/operationsStatus",
        "read",
        "Get an operation's status",
        "Read how far an operation is that goes on after its call was answered",
    ),
    (
        "locations/operationResults",
        "read",
        "Get an operation's result",
        "Read what an operation came to",
    ),
];

/// `GET /providers/Microsoft.MachineLearning/operations`.
pub(crate) fn operations(call: &Call<'_>) -> Result<Reply, Fault> {
    super::api_version(call, one_of(&OPERATIONS))?;
    call.principal()?;
    let value = ACTIONS
        .iter()
        .map(|(resource, verb, operation, description)| Operation {
            name: format!("{NAMESPACE}/{resource}/{verb}"),
            display: OperationDisplay {
                provider: NAMESPACE.to_owned(),
                resource: (*resource).to_owned(),
                operation: (*operation).to_owned(),
                description: (*description).to_owned(),
            },
        })
        .collect();
    Reply::json(StatusCode::OK, &OperationList { value })
}

/// `GET /subscriptions/{subscription}/providers/Microsoft.MachineLearning`.
pub(crate) fn get(call: &Call<'_>) -> Result<Reply, Fault> {
    let parse = |given: &str| one_of(&PROVIDERS)(given).or_else(|| one_of(&OPERATIONS)(given));
    super::api_version(call, parse)?;
    call.principal()?;
    let kind = |name: &str, locations: &[&str], versions: &[&str]| ResourceType {
        resource_type: name.to_owned(),
        locations: locations.iter().map(|l| (*l).to_owned()).collect(),
        api_versions: versions.iter().map(|v| (*v).to_owned()).collect(),
    };
    let services = [PLANS, SERVICES];
    let provider = Provider {
        id: format!("/subscriptions/{}/providers/{NAMESPACE}", call.word(0)),
        namespace: NAMESPACE.to_owned(),
        registration_state: "Registered".to_owned(),
        resource_types: vec![
            kind("Workspaces", &LOCATIONS, &WORKSPACES),
            kind("webServices", &LOCATIONS, &services),
            kind("operations", &[], &OPERATIONS),
            kind("locations", &[], &services),
            kind("locations/operations", &LOCATIONS, &services),
            kind("locations/operationsStatus", &LOCATIONS, &services),
            kind("commitmentPlans", &LOCATIONS, &[PLANS]),
        ],
    };
    Reply::json(StatusCode::OK, &provider)
}

fn one_of<'v>(versions: &'v [&'v str]) -> impl Fn(&str) -> Option<&'v str> {
    |given| {
        let same = |version: &&&str| version.eq_ignore_ascii_case(given);
        versions.iter().find(same).copied()
    }
}
