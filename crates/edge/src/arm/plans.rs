//! Resource Manager's `Microsoft.MachineLearning/commitmentPlans` and their SKUs, associations and
//! history. All calls are done when they answer.
//!
//! The order of the checks: path, api-version, credentials, look-up, query, body.

use std::collections::BTreeMap;

use faults::Fault;
use http::StatusCode;
use http::header::IF_MATCH;
use manage::{AssociationView, PlanDay, PlanPage, PlanVersion, PlanView, Principal, Quantities};
use wire::arm_plans::{
    ASSOCIATION_TYPE, AssociationProperties, COMPUTE_HOURS, CatalogSku, CommitmentAssociation,
    CommitmentPlan, Page, PlanProperties, PlanQuantity, PlanSku, PlanUsageHistory, RESOURCE_TYPE,
    SkuCapability, SkuCapacity, SkuCost, TRANSACTIONS,
};

use super::provider::LOCATIONS;
use super::{PAGE, next_link, resource_id, resource_name, small_body};
use crate::extract;
use crate::reply::Reply;
use crate::stack::Call;

/// `PUT …/commitmentPlans/{name}`.
pub(crate) async fn put(call: &mut Call<'_>) -> Result<Reply, Fault> {
    let principal = enter(call)?;
    let name = resource_name(call);
    let body = small_body(call).await?;
    let manager = &call.gateway.manager;
    let (plan, created) = manager
        .put_plan(&principal, name, if_match(call), &body)
        .await?;
    let status = match created {
        true => StatusCode::CREATED,
        false => StatusCode::OK,
    };
    Reply::json(status, &resource(&plan))
}

/// `GET …/commitmentPlans/{name}`.
pub(crate) async fn get(call: &Call<'_>) -> Result<Reply, Fault> {
    let principal = enter(call)?;
    let manager = &call.gateway.manager;
    let plan = manager.plan(&principal, &resource_name(call)).await?;
    Reply::json(StatusCode::OK, &resource(&plan))
}

/// `PATCH …/commitmentPlans/{name}`.
pub(crate) async fn patch(call: &mut Call<'_>) -> Result<Reply, Fault> {
    let principal = enter(call)?;
    let name = resource_name(call);
    let body = small_body(call).await?;
    let manager = &call.gateway.manager;
    let plan = manager
        .patch_plan(&principal, &name, if_match(call), &body)
        .await?;
    Reply::json(StatusCode::OK, &resource(&plan))
}

/// `DELETE …/commitmentPlans/{name}`: the same answer for one that is not there.
pub(crate) async fn delete(call: &Call<'_>) -> Result<Reply, Fault> {
    let principal = enter(call)?;
    let manager = &call.gateway.manager;
    manager
        .delete_plan(&principal, &resource_name(call), if_match(call))
        .await?;
    Ok(Reply::empty(StatusCode::OK))
}

/// `GET …/resourceGroups/{group}/…/commitmentPlans`.
pub(crate) async fn list_of_group(call: &Call<'_>) -> Result<Reply, Fault> {
    list(call, Some(&call.word(1))).await
}

/// `GET /subscriptions/{subscription}/…/commitmentPlans`.
pub(crate) async fn list_of_subscription(call: &Call<'_>) -> Result<Reply, Fault> {
    list(call, None).await
}

async fn list(call: &Call<'_>, group: Option<&str>) -> Result<Reply, Fault> {
    let principal = enter(call)?;
    let after = call.query("$skiptoken");
    let manager = &call.gateway.manager;
    let page = manager
        .list_plans(&principal, &call.word(0), group, after.as_deref(), PAGE)
        .await?;
    reply_page(call, &page, resource)
}

/// `GET …/commitmentPlans/{name}/commitmentAssociations`.
pub(crate) async fn list_associations(call: &Call<'_>) -> Result<Reply, Fault> {
    let principal = enter(call)?;
    let after = call.query("$skiptoken");
    let manager = &call.gateway.manager;
    let page = manager
        .list_associations(&principal, &resource_name(call), after.as_deref(), PAGE)
        .await?;
    reply_page(call, &page, association)
}

/// `GET …/commitmentAssociations/{association}`.
pub(crate) async fn get_association(call: &Call<'_>) -> Result<Reply, Fault> {
    let principal = enter(call)?;
    let manager = &call.gateway.manager;
    let found = manager
        .association(&principal, &resource_name(call), &call.word(3))
        .await?;
    Reply::json(StatusCode::OK, &association(&found))
}

/// `POST …/commitmentAssociations/{association}/move`.
pub(crate) async fn move_association(call: &mut Call<'_>) -> Result<Reply, Fault> {
    let principal = enter(call)?;
    let name = resource_name(call);
    let body = small_body(call).await?;
    let manager = &call.gateway.manager;
    let moved = manager
        .move_association(&principal, &name, &call.word(3), &body)
        .await?;
    Reply::json(StatusCode::OK, &association(&moved))
}

/// `GET …/commitmentPlans/{name}/usageHistory`.
pub(crate) async fn usage_history(call: &Call<'_>) -> Result<Reply, Fault> {
    let principal = enter(call)?;
    let after = call.query("$skiptoken");
    let manager = &call.gateway.manager;
    let page = manager
        .plan_history(&principal, &resource_name(call), after.as_deref(), PAGE)
        .await?;
    reply_page(call, &page, day)
}

/// `GET /subscriptions/{subscription}/…/skus`.
pub(crate) fn list_skus(call: &Call<'_>) -> Result<Reply, Fault> {
    let principal = enter(call)?;
    let manager = &call.gateway.manager;
    let skus = manager.list_plan_skus(&principal, &call.word(0))?;
    let page = Page {
        value: skus.iter().map(catalog_sku).collect(),
        next_link: None,
    };
    Reply::json(StatusCode::OK, &page)
}

fn enter(call: &Call<'_>) -> Result<Principal, Fault> {
    super::api_version(call, PlanVersion::parse)?;
    call.principal()
}

/// The etag that the caller wants to find.
fn if_match<'c>(call: &'c Call<'_>) -> Option<&'c str> {
    extract::text(&call.head.headers, &IF_MATCH)
}

fn reply_page<T, R: serde::Serialize>(
    call: &Call<'_>,
    page: &PlanPage<T>,
    shape: impl Fn(&T) -> R,
) -> Result<Reply, Fault> {
    let page = Page {
        value: page.items.iter().map(shape).collect::<Vec<R>>(),
        next_link: next_link(call, page.next.as_deref()),
    };
    Reply::json(StatusCode::OK, &page)
}

fn resource(view: &PlanView) -> CommitmentPlan {
    let PlanView { plan, sku, left } = view;
    let allowance = amounts(&sku.quantities(plan.capacity));
    let included_quantities = amounts(left)
        .into_iter()
        .map(|(name, amount)| {
            let quantity = PlanQuantity {
                allowance: allowance.get(&name).copied().unwrap_or_default(),
                amount,
                included_quantity_meter: meter(sku.name, &format!("{name}/included")),
                overage_meter: meter(sku.name, &format!("{name}/overage")),
            };
            (name, quantity)
        })
        .collect();
    CommitmentPlan {
        id: resource_id(RESOURCE_TYPE, &plan.name),
        name: plan.name.name.clone(),
        kind: RESOURCE_TYPE.to_owned(),
        location: plan.location.clone(),
        // Written from an object; anything else shows as no tags.
        tags: serde_json::from_str(&plan.tags).unwrap_or_default(),
        etag: plan.etag.to_string(),
        sku: PlanSku {
            name: sku.name.to_owned(),
            tier: sku.tier.to_owned(),
            capacity: plan.capacity,
        },
        properties: PlanProperties {
            charge_for_overage: sku.charged,
            charge_for_plan: sku.charged,
            creation_date: plan.created.to_string(),
            included_quantities,
            max_association_limit: store::ASSOCIATIONS,
            max_capacity_limit: sku.max_capacity,
            min_capacity_limit: 1,
            plan_meter: meter(sku.name, "plan"),
            refill_frequency_in_days: manage::REFILL_DAYS,
            suspend_plan_on_overage: false,
        },
    }
}

/// The name of a meter. Nobody is charged by it.
fn meter(sku: &str, what: &str) -> String {
    format!("umpire/commitmentPlans/{sku}/{what}")
}

fn association(view: &AssociationView) -> CommitmentAssociation {
    let AssociationView { association, plan } = view;
    let plan_id = resource_id(RESOURCE_TYPE, &plan.name);
    CommitmentAssociation {
        id: format!("{plan_id}/commitmentAssociations/{}", association.id),
        name: association.id.to_string(),
        kind: ASSOCIATION_TYPE.to_owned(),
        location: plan.location.clone(),
        etag: association.etag.to_string(),
        properties: AssociationProperties {
            associated_resource_id: resource_id(
                wire::arm_2017_01_01::RESOURCE_TYPE,
                &association.service,
            ),
            commitment_plan_id: plan_id,
            creation_date: association.created.to_string(),
        },
    }
}

fn day(day: &PlanDay) -> PlanUsageHistory {
    PlanUsageHistory {
        usage_date: extract::begin_of_day(day.day),
        plan_deletion_overage: BTreeMap::new(),
        plan_migration_overage: amounts(&day.migration_overage),
        plan_quantities_after_usage: amounts(&day.after),
        plan_quantities_before_usage: amounts(&day.before),
        plan_usage_overage: amounts(&day.overage),
        usage: amounts(&day.used),
    }
}

fn amounts(quantities: &Quantities) -> BTreeMap<String, f64> {
    BTreeMap::from([
        (COMPUTE_HOURS.to_owned(), quantities.compute as f64 / 3.6e9),
        (TRANSACTIONS.to_owned(), quantities.transactions as f64),
    ])
}

fn catalog_sku(sku: &manage::PlanSku) -> CatalogSku {
    let capability = |name: &str, value: u32| SkuCapability {
        name: name.to_owned(),
        value: value.to_string(),
    };
    CatalogSku {
        resource_type: "commitmentPlans".to_owned(),
        name: sku.name.to_owned(),
        tier: sku.tier.to_owned(),
        locations: LOCATIONS.map(str::to_owned).to_vec(),
        capacity: SkuCapacity {
            minimum: 1,
            maximum: sku.max_capacity,
            default: 1,
            scale_type: match sku.max_capacity {
                1 => "None",
                _ => "Manual",
            }
            .to_owned(),
        },
        capabilities: vec![
            capability(COMPUTE_HOURS, sku.compute_hours),
            capability(TRANSACTIONS, sku.transactions),
        ],
        costs: vec![SkuCost {
            meter_id: meter(sku.name, "plan"),
            quantity: 1,
            extended_unit: format!("{} days", manage::REFILL_DAYS),
        }],
        restrictions: Vec::new(),
    }
}
