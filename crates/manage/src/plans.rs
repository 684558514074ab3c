//! Commitment plans, their SKUs and associations, as the Resource Manager has them.

use faults::Fault;
use serde_json::{Map, Value};
use store::{
    Association, Id, NameKey, Plan, PlanWrite, ResourceName, Role, Subscription, Within, folded,
    plan_name,
};

use crate::access::{Principal, Target};
use crate::deploy::conflict;
use crate::json::{member, read_location, read_object, read_tags};
use crate::workspaces::{invalid, not_found, plain_text};
use crate::{Manager, end_of_page, history, names, place};

/// The type of the resource.
const TYPE: &str = "Microsoft.MachineLearning/commitmentPlans";

/// The api-version of the Resource Manager's commitment plans.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlanVersion;

impl PlanVersion {
    /// Reads the query's `api-version`, in any case; `None` for one that is not known.
    pub fn parse(text: &str) -> Option<PlanVersion> {
        text.eq_ignore_ascii_case("2016-05-01-preview")
            .then_some(PlanVersion)
    }
}

/// A SKU of commitment plans.
#[derive(Debug, PartialEq, Eq)]
pub struct PlanSku {
    /// Its name.
    pub name: &'static str,
    /// Its tier.
    pub tier: &'static str,
    /// The hours of compute of one unit of capacity.
    pub compute_hours: u32,
    /// The transactions of one unit of capacity.
    pub transactions: u32,
    /// The most capacity that a plan may have; the least is 1.
    pub max_capacity: u32,
    /// Whether plan and overage were charged for by the old service. Nobody charges here.
    pub charged: bool,
}

/// The SKUs. What was seen of the old service is that one unit of S1 had 25 hours and 100,000
/// transactions and two of S2 had 500 and 2,000,000; quantities grow with the capacity.
pub static PLAN_SKUS: [PlanSku; 4] = [
    PlanSku {
        name: "DevTest",
        tier: "Free",
        compute_hours: 2,
        transactions: 1_000,
        max_capacity: 1,
        charged: false,
    },
    PlanSku {
        name: "S1",
        tier: "Standard",
        compute_hours: 25,
        transactions: 100_000,
        max_capacity: 10,
        charged: true,
    },
    PlanSku {
        name: "S2",
        tier: "Standard",
        compute_hours: 250,
        transactions: 1_000_000,
        max_capacity: 10,
        charged: true,
    },
    PlanSku {
        name: "S3",
        tier: "Standard",
        compute_hours: 12_500,
        transactions: 50_000_000,
        max_capacity: 10,
        charged: true,
    },
];

/// Every how many days a plan's quantities are full again.
pub const REFILL_DAYS: u32 = 30;

/// What a plan includes, or has used, of the two things that are measured.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Quantities {
    /// Microseconds of compute.
    pub compute: u64,
    /// Transactions.
    pub transactions: u64,
}

impl PlanSku {
    /// The SKU of that name, in any case.
    pub fn named(name: &str) -> Option<&'static PlanSku> {
        PLAN_SKUS
            .iter()
            .find(|sku| sku.name.eq_ignore_ascii_case(name))
    }

    /// What a capacity of it includes.
    pub fn quantities(&self, capacity: u32) -> Quantities {
        let capacity = u64::from(capacity);
        Quantities {
            compute: u64::from(self.compute_hours) * 3_600_000_000 * capacity,
            transactions: u64::from(self.transactions) * capacity,
        }
    }
}

/// A plan as it is shown.
#[derive(Debug, Clone)]
pub struct PlanView {
    /// The record.
    pub plan: Plan,
    /// Its SKU.
    pub sku: &'static PlanSku,
    /// What is left of its quantities.
    pub left: Quantities,
}

/// A day of a plan's history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlanDay {
    /// Days since 1970-01-01 UTC.
    pub day: i64,
    /// What was left before the day's use.
    pub before: Quantities,
    /// What was used.
    pub used: Quantities,
    /// What was left after it.
    pub after: Quantities,
    /// What was used beyond what was left.
    pub overage: Quantities,
    /// What had been used already, beyond what a smaller SKU then included.
    pub migration_overage: Quantities,
}

/// A page of a list about plans.
#[derive(Debug, Clone)]
pub struct PlanPage<T> {
    /// What the page holds.
    pub items: Vec<T>,
    /// What to ask the next page with, where there is one.
    pub next: Option<String>,
}

/// A plan's association with its names.
#[derive(Debug, Clone)]
pub struct AssociationView {
    /// The record.
    pub association: Association,
    /// The plan.
    pub plan: Plan,
}

impl Manager {
    /// The commitment plan of that name.
    ///
    /// # Errors
    /// `NotFound.ResourceNotFound`; `Unauthorized.ManagementRequestUnauthorized`;
    /// `InternalError.UnknownError` when the ledger fails.
    pub async fn plan(
        &self,
        principal: &Principal,
        name: &ResourceName,
    ) -> Result<PlanView, Fault> {
        let plan = self.permitted_plan(principal, Role::Read, name).await?;
        self.plan_view(plan).await
    }

    /// Makes the plan of that name, or changes its tags and SKU, from the body of a Resource
    /// Manager PUT. `seen` is the etag that the caller wants to find, as `If-Match` has it; one in
    /// the body says the same. The plan, and whether it was made.
    ///
    /// # Errors
    /// `Unauthorized.ManagementRequestUnauthorized`; `BadArgument` for a name that is not allowed;
    /// `BadArgument.RequestBodyInvalid`, whose target names what is wrong, and `.RequestIsEmpty`;
    /// `BadArgument.BadParameterValue` for a SKU or capacity that there is not; `Conflict` for
    /// another location than it was made with, and for another etag than expected;
    /// `InternalError.UnknownError` when the ledger fails.
    pub async fn put_plan(
        &self,
        principal: &Principal,
        name: ResourceName,
        seen: Option<&str>,
        body: &[u8],
    ) -> Result<(PlanView, bool), Fault> {
        principal.permit(Role::Manage, &Target::resource(&name.key()))?;
        names::check(&name)?;
        let top = read_object(body)?;
        if top.is_empty() {
            return Err(faults::bad_argument::request_is_empty());
        }
        let location = read_location(&top)?;
        let tags = read_tags(&top)?.unwrap_or_default();
        let (sku, capacity) = sku(&top)?.ok_or_else(|| invalid("sku", "it is absent"))?;
        let in_body = plain_text(&top, "etag", "etag")?;
        let before = self.inner.store.ledger.plan(name.key()).await?;
        if let Some(before) = &before {
            for etag in [seen, in_body.as_deref()] {
                check_etag(before, etag)?;
            }
            if !names::same_location(&before.location, &location) {
                return Err(conflict("a plan cannot move to another location"));
            }
        } else if seen.is_some_and(|seen| !seen.trim().is_empty()) {
            return Err(conflict("there is no plan of that etag"));
        }
        let created = before.is_none();
        let write = PlanWrite {
            id: before.as_ref().map_or_else(Id::random, |plan| plan.id),
            expected: before.map(|plan| plan.etag),
            name,
            location,
            tags: Value::from(tags).to_string(),
            sku: sku.name.to_owned(),
            capacity,
        };
        let ledger = &self.inner.store.ledger;
        let plan = ledger.put_plan(write, principal.actor()).await?;
        Ok((self.plan_view(plan).await?, created))
    }

    /// Changes tags and SKU of a plan, as far as the body of a Resource Manager PATCH has them.
    ///
    /// # Errors
    /// `NotFound.ResourceNotFound`; otherwise as for [`Manager::put_plan`].
    pub async fn patch_plan(
        &self,
        principal: &Principal,
        name: &ResourceName,
        seen: Option<&str>,
        body: &[u8],
    ) -> Result<PlanView, Fault> {
        let before = self.permitted_plan(principal, Role::Manage, name).await?;
        let top = read_object(body)?;
        check_etag(&before, seen)?;
        let tags = match read_tags(&top)? {
            Some(tags) => Value::from(tags).to_string(),
            None => before.tags,
        };
        let (sku, capacity) = match sku(&top)? {
            Some((sku, capacity)) => (sku.name.to_owned(), capacity),
            None => (before.sku, before.capacity),
        };
        let write = PlanWrite {
            id: before.id,
            expected: Some(before.etag),
            name: before.name,
            location: before.location,
            tags,
            sku,
            capacity,
        };
        let ledger = &self.inner.store.ledger;
        let plan = ledger.put_plan(write, principal.actor()).await?;
        self.plan_view(plan).await
    }

    /// Removes a plan with its history; `false` where there is none.
    ///
    /// # Errors
    /// `Unauthorized.ManagementRequestUnauthorized`; `Conflict` while services are associated with
    /// it, and for another etag than expected; `InternalError.UnknownError` when the ledger fails.
    pub async fn delete_plan(
        &self,
        principal: &Principal,
        name: &ResourceName,
        seen: Option<&str>,
    ) -> Result<bool, Fault> {
        let key = name.key();
        principal.permit(Role::Manage, &Target::resource(&key))?;
        let ledger = &self.inner.store.ledger;
        let Some(plan) = ledger.plan(key).await? else {
            return Ok(false);
        };
        check_etag(&plan, seen)?;
        let expected = seen.map(|_| plan.etag);
        ledger
            .delete_plan(plan.id, expected, principal.actor())
            .await
    }

    /// A page of at most `limit` plans, as far as the caller sees them, of a subscription, or of
    /// one resource group of it, after the page that ended with `after`.
    ///
    /// # Errors
    /// `Unauthorized.ManagementRequestUnauthorized`; `BadArgument.InvalidQueryParameter` for an
    /// `after` that no page gave; `InternalError.UnknownError` when the ledger fails.
    pub async fn list_plans(
        &self,
        principal: &Principal,
        subscription: &str,
        resource_group: Option<&str>,
        after: Option<&str>,
        limit: usize,
    ) -> Result<PlanPage<PlanView>, Fault> {
        let subscription = Subscription::of(subscription);
        let (target, within) = match resource_group.map(folded) {
            Some(group) => (
                Target::resource_group(subscription.clone(), group.clone()),
                Within::ResourceGroup(subscription, group),
            ),
            None => (
                Target::subscription(subscription.clone()),
                Within::Subscription(subscription),
            ),
        };
        principal.permit_list(&target)?;
        let after = after.map(end_of_page).transpose()?;
        let ledger = &self.inner.store.ledger;
        // One more than asked for tells whether there is a next page.
        let mut plans = ledger.plans(within, after, limit.saturating_add(1)).await?;
        let more = plans.len() > limit;
        plans.truncate(limit);
        let next = plans
            .last()
            .filter(|_| more)
            .map(|plan| place(&plan.name.key()));
        let mut items = Vec::with_capacity(plans.len());
        for plan in plans {
            if principal.sees(&Target::resource(&plan.name.key())) {
                items.push(self.plan_view(plan).await?);
            }
        }
        Ok(PlanPage { items, next })
    }

    /// A page of at most `limit` associations of a plan.
    ///
    /// # Errors
    /// As for [`Manager::plan`]; `BadArgument.InvalidQueryParameter` for an `after` that no page
    /// gave.
    pub async fn list_associations(
        &self,
        principal: &Principal,
        name: &ResourceName,
        after: Option<&str>,
        limit: usize,
    ) -> Result<PlanPage<AssociationView>, Fault> {
        let plan = self.permitted_plan(principal, Role::Read, name).await?;
        let after = after
            .map(|after| Id::parse(after).ok_or_else(bad_token))
            .transpose()?;
        let ledger = &self.inner.store.ledger;
        let mut found = ledger
            .associations(plan.id, after, limit.saturating_add(1))
            .await?;
        let more = found.len() > limit;
        found.truncate(limit);
        let next = found.last().filter(|_| more).map(|one| one.id.to_string());
        let items = found
            .into_iter()
            .map(|association| AssociationView {
                association,
                plan: plan.clone(),
            })
            .collect();
        Ok(PlanPage { items, next })
    }

    /// One association of a plan.
    ///
    /// # Errors
    /// As for [`Manager::plan`].
    pub async fn association(
        &self,
        principal: &Principal,
        name: &ResourceName,
        association: &str,
    ) -> Result<AssociationView, Fault> {
        let plan = self.permitted_plan(principal, Role::Read, name).await?;
        let association = self.association_of(&plan, association).await?;
        Ok(AssociationView { association, plan })
    }

    /// Lets a service's use count against another plan from now on, by the body of the Resource
    /// Manager's `move`.
    ///
    /// # Errors
    /// As for [`Manager::plan`], for both plans; `BadArgument.RequestBodyInvalid` at
    /// `destinationPlanId`, and `.RequestIsEmpty`; `Conflict` when the other plan is full or a
    /// plan was changed at the same time.
    pub async fn move_association(
        &self,
        principal: &Principal,
        name: &ResourceName,
        association: &str,
        body: &[u8],
    ) -> Result<AssociationView, Fault> {
        const TARGET: &str = "destinationPlanId";
        let from = self.permitted_plan(principal, Role::Manage, name).await?;
        let association = self.association_of(&from, association).await?;
        let top = read_object(body)?;
        let to = plain_text(&top, TARGET, TARGET)?
            .and_then(|id| plan_name(&id))
            .ok_or_else(|| invalid(TARGET, "it is no id of a commitment plan"))?;
        let to = self
            .permitted_plan(principal, Role::Manage, &to)
            .await
            .map_err(|fault| fault.at(TARGET))?;
        let ledger = &self.inner.store.ledger;
        let association = ledger
            .move_association(association.id, from.id, to.id, principal.actor())
            .await?;
        Ok(AssociationView {
            association,
            plan: to,
        })
    }

    /// A page of at most `limit` days of a plan's history, oldest first: those on which it was
    /// used.
    ///
    /// # Errors
    /// As for [`Manager::plan`]; `BadArgument.InvalidQueryParameter` for an `after` that no page
    /// gave.
    pub async fn plan_history(
        &self,
        principal: &Principal,
        name: &ResourceName,
        after: Option<&str>,
        limit: usize,
    ) -> Result<PlanPage<PlanDay>, Fault> {
        let plan = self.permitted_plan(principal, Role::Read, name).await?;
        let after: Option<i64> = after
            .map(|after| after.parse().map_err(|_| bad_token()))
            .transpose()?;
        self.inner.store.write_usage().await?;
        let ledger = &self.inner.store.ledger;
        let terms = ledger.plan_terms(plan.id).await?;
        let usage = ledger.plan_usage(plan.id).await?;
        let mut items = history::days(plan.created, &terms, &usage);
        items.retain(|day| after.is_none_or(|after| day.day > after));
        let more = items.len() > limit;
        items.truncate(limit);
        let next = items.last().filter(|_| more).map(|day| day.day.to_string());
        Ok(PlanPage { items, next })
    }

    /// Lets whoever sees anything of a subscription see the SKUs that it may use.
    ///
    /// # Errors
    /// `Unauthorized.ManagementRequestUnauthorized`.
    pub fn list_plan_skus(
        &self,
        principal: &Principal,
        subscription: &str,
    ) -> Result<&'static [PlanSku], Fault> {
        principal.permit_list(&Target::subscription(Subscription::of(subscription)))?;
        Ok(&PLAN_SKUS)
    }

    async fn plan_view(&self, plan: Plan) -> Result<PlanView, Fault> {
        let ledger = &self.inner.store.ledger;
        let terms = ledger.plan_terms(plan.id).await?;
        let usage = ledger.plan_usage(plan.id).await?;
        let today = store::day_of(jiff::Timestamp::now());
        let sku = PlanSku::named(&plan.sku).ok_or_else(|| {
            faults::internal_error::unknown_error()
                .because(format!("the plan's SKU {} is not known", plan.sku))
        })?;
        Ok(PlanView {
            left: history::left(plan.created, &terms, &usage, today),
            plan,
            sku,
        })
    }

    async fn permitted_plan(
        &self,
        principal: &Principal,
        role: Role,
        name: &ResourceName,
    ) -> Result<Plan, Fault> {
        let key: NameKey = name.key();
        principal.permit(role, &Target::resource(&key))?;
        let found = self.inner.store.ledger.plan(key).await?;
        found.ok_or_else(|| not_found(TYPE, name))
    }

    async fn association_of(&self, plan: &Plan, name: &str) -> Result<Association, Fault> {
        let found = match Id::parse(name) {
            Some(id) => self.inner.store.ledger.association(plan.id, id).await?,
            None => None,
        };
        found.ok_or_else(|| {
            let kind = format!("{TYPE}/{}/commitmentAssociations", plan.name.name);
            let name = ResourceName {
                name: name.to_owned(),
                ..plan.name.clone()
            };
            not_found(&kind, &name)
        })
    }
}

fn bad_token() -> Fault {
    faults::bad_argument::invalid_query_parameter(
        "$skipToken",
        "It is taken from nextLink as it stands there.",
    )
}

/// Whether the etag that a caller has seen is still the plan's; `*` and none are any.
fn check_etag(plan: &Plan, seen: Option<&str>) -> Result<(), Fault> {
    let seen = seen.unwrap_or_default().trim();
    let bare = seen.strip_prefix("W/").unwrap_or(seen).trim_matches('"');
    if bare.is_empty() || bare == "*" || Id::parse(bare) == Some(plan.etag) {
        return Ok(());
    }
    Err(conflict("the plan has another etag"))
}

/// The SKU and capacity of a body, where it has any.
fn sku(top: &Map<String, Value>) -> Result<Option<(&'static PlanSku, u32)>, Fault> {
    let sku = match member(top, "sku") {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::Object(sku)) => sku,
        Some(_) => return Err(invalid("sku", "it is no object")),
    };
    let wrong = |target: &str| faults::bad_argument::bad_parameter_value().at(target);
    let name =
        plain_text(sku, "name", "sku/name")?.ok_or_else(|| invalid("sku/name", "it is absent"))?;
    let found = PlanSku::named(&name).ok_or_else(|| wrong("sku/name"))?;
    if let Some(tier) = plain_text(sku, "tier", "sku/tier")?
        && !tier.eq_ignore_ascii_case(found.tier)
    {
        return Err(wrong("sku/tier"));
    }
    let capacity = match member(sku, "capacity") {
        None | Some(Value::Null) => 1,
        Some(Value::Number(number)) => number
            .as_i64()
            .ok_or_else(|| invalid("sku/capacity", "it is no whole number"))?,
        Some(_) => return Err(invalid("sku/capacity", "it is no number")),
    };
    let capacity = u32::try_from(capacity)
        .ok()
        .filter(|capacity| (1..=found.max_capacity).contains(capacity))
        .ok_or_else(|| wrong("sku/capacity"))?;
    Ok(Some((found, capacity)))
}
