//! Resource Manager's `Microsoft.MachineLearning/commitmentPlans` with their associations, SKUs
//! and history, api-version 2016-05-01-preview.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The type of the resource.
pub const RESOURCE_TYPE: &str = "Microsoft.MachineLearning/commitmentPlans";
/// The type of an association.
pub const ASSOCIATION_TYPE: &str =
    "Microsoft.MachineLearning/commitmentPlans/commitmentAssociations";
/// What compute is called among the quantities, in hours.
pub const COMPUTE_HOURS: &str = "machineLearningWebServiceComputeHours";
/// What transactions are called among the quantities.
pub const TRANSACTIONS: &str = "machineLearningWebServiceTransactions";

/// A plan as a resource.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CommitmentPlan {
    /// `/subscriptions/{subscription}/resourceGroups/{group}/providers/{type}/{name}`.
    pub id: String,
    /// The name.
    pub name: String,
    /// [`RESOURCE_TYPE`].
    #[serde(rename = "type")]
    pub kind: String,
    /// The location, as it was given.
    pub location: String,
    /// Tags.
    #[serde(default)]
    pub tags: Map<String, Value>,
    /// Another one after each change.
    pub etag: String,
    /// The SKU.
    pub sku: PlanSku,
    /// The rest, which only the server sets.
    pub properties: PlanProperties,
}

/// The SKU of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanSku {
    /// The name.
    pub name: String,
    /// The tier.
    pub tier: String,
    /// How many times its quantities.
    pub capacity: u32,
}

/// The properties of a [`CommitmentPlan`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PlanProperties {
    /// Whether use beyond the quantities is charged.
    pub charge_for_overage: bool,
    /// Whether the plan is charged.
    pub charge_for_plan: bool,
    /// RFC 3339.
    pub creation_date: String,
    /// By [`COMPUTE_HOURS`] and [`TRANSACTIONS`].
    pub included_quantities: BTreeMap<String, PlanQuantity>,
    /// The most associations.
    pub max_association_limit: u32,
    /// The most capacity.
    pub max_capacity_limit: u32,
    /// The least capacity.
    pub min_capacity_limit: u32,
    /// The meter of the plan.
    pub plan_meter: String,
    /// Every how many days the quantities are full again.
    pub refill_frequency_in_days: u32,
    /// Whether use beyond the quantities is refused.
    pub suspend_plan_on_overage: bool,
}

/// One of a plan's quantities.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PlanQuantity {
    /// What a refill makes it.
    pub allowance: f64,
    /// What is left.
    pub amount: f64,
    /// The meter of what is included.
    pub included_quantity_meter: String,
    /// The meter of what is beyond.
    pub overage_meter: String,
}

/// A page of a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Page<T> {
    /// What it holds.
    pub value: Vec<T>,
    /// An absolute URL with `$skiptoken`, where there are more.
    #[serde(default = "none", skip_serializing_if = "Option::is_none")]
    pub next_link: Option<String>,
}

fn none() -> Option<String> {
    None
}

/// The association of a service with a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommitmentAssociation {
    /// The id of the plan, `commitmentAssociations` and the name.
    pub id: String,
    /// The name.
    pub name: String,
    /// [`ASSOCIATION_TYPE`].
    #[serde(rename = "type")]
    pub kind: String,
    /// The location of the plan.
    pub location: String,
    /// Another one after each change.
    pub etag: String,
    /// The rest.
    pub properties: AssociationProperties,
}

/// The properties of a [`CommitmentAssociation`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AssociationProperties {
    /// The id of the service.
    pub associated_resource_id: String,
    /// The id of the plan.
    pub commitment_plan_id: String,
    /// RFC 3339.
    pub creation_date: String,
}

/// A day of a plan's history; the maps are by [`COMPUTE_HOURS`] and [`TRANSACTIONS`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PlanUsageHistory {
    /// RFC 3339, the day's begin.
    pub usage_date: String,
    /// What the deletion of a plan left unpaid; empty.
    pub plan_deletion_overage: BTreeMap<String, f64>,
    /// What had been used beyond the quantities of a smaller SKU.
    pub plan_migration_overage: BTreeMap<String, f64>,
    /// What was left after the day's use.
    pub plan_quantities_after_usage: BTreeMap<String, f64>,
    /// What was left before it.
    pub plan_quantities_before_usage: BTreeMap<String, f64>,
    /// What was used beyond what was left.
    pub plan_usage_overage: BTreeMap<String, f64>,
    /// What was used.
    pub usage: BTreeMap<String, f64>,
}

/// A SKU that plans may have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CatalogSku {
    /// `commitmentPlans`.
    pub resource_type: String,
    /// The name.
    pub name: String,
    /// The tier.
    pub tier: String,
    /// Where it may be used.
    pub locations: Vec<String>,
    /// The capacity.
    pub capacity: SkuCapacity,
    /// What a unit of capacity includes.
    pub capabilities: Vec<SkuCapability>,
    /// What it costs.
    pub costs: Vec<SkuCost>,
    /// What keeps one from using it; empty.
    pub restrictions: Vec<Value>,
}

/// The capacity of a SKU.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SkuCapacity {
    /// The least.
    pub minimum: u32,
    /// The most.
    pub maximum: u32,
    /// What one gets without asking.
    pub default: u32,
    /// `Manual`, or `None` where there is nothing to choose.
    pub scale_type: String,
}

/// One of the things that a SKU includes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SkuCapability {
    /// Its name.
    pub name: String,
    /// How much.
    pub value: String,
}

/// One of the things that a SKU costs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SkuCost {
    /// The meter.
    #[serde(rename = "meterID")]
    pub meter_id: String,
    /// How often it counts.
    pub quantity: u32,
    /// For how long.
    pub extended_unit: String,
}
