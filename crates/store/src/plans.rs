//! Commitment plans and their associations with services in the ledger.

use faults::Fault;
use jiff::Timestamp;
use rusqlite::{Connection, ErrorCode, OptionalExtension as _, Row, params};

use crate::ledger::{Change, Failure, Ledger};
use crate::names::{NameKey, ResourceName};
use crate::rows::{id_at, time_at};
use crate::services::{audit, conflict};
use crate::{Actor, Id, Within};

/// How many services may be associated with one plan.
pub const ASSOCIATIONS: u32 = 10_000;

/// A commitment plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Its id.
    pub id: Id,
    /// Its names, as given.
    pub name: ResourceName,
    /// Its location, as given.
    pub location: String,
    /// Its tags, a JSON object as text.
    pub tags: String,
    /// The name of its SKU.
    pub sku: String,
    /// How many times the SKU's quantities it has.
    pub capacity: u32,
    /// Another one after each write.
    pub etag: Id,
    /// When it was made.
    pub created: Timestamp,
}

/// A plan as it is to stand after a write: made, or changed.
#[derive(Debug, Clone)]
pub struct PlanWrite {
    /// The plan's id: the one it has, or a fresh one.
    pub id: Id,
    /// The etag that the writer has seen; `None` for a plan that must not exist yet.
    pub expected: Option<Id>,
    /// Where the plan stands. An existing one keeps the spelling it was made with.
    pub name: ResourceName,
    /// Where it says that it is. An existing one keeps its own.
    pub location: String,
    /// A JSON object as text.
    pub tags: String,
    /// The name of the SKU.
    pub sku: String,
    /// How many times the SKU's quantities it is to have.
    pub capacity: u32,
}

/// A SKU that a plan has had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanTerm {
    /// From when on.
    pub since: Timestamp,
    /// The name of the SKU.
    pub sku: String,
    /// How many times its quantities.
    pub capacity: u32,
}

/// A service whose use counts against a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Association {
    /// Its id, which is also its name.
    pub id: Id,
    /// The plan.
    pub plan: Id,
    /// The names of the service.
    pub service: ResourceName,
    /// Another one after each write.
    pub etag: Id,
    /// When it was made.
    pub created: Timestamp,
}

impl Ledger {
    /// Makes a plan, or changes one.
    ///
    /// # Errors
    /// `Conflict` when the name is taken or the plan changed since the writer looked;
    /// `InternalError.UnknownError` when the ledger fails.
    pub async fn put_plan(&self, write: PlanWrite, actor: impl Into<Actor>) -> Result<Plan, Fault> {
        let actor = actor.into();
        self.write(faults::internal_error::unknown_error, move |change| {
            put_plan(change, &write, &actor)
        })
        .await
    }

    /// The plan of that name.
    ///
    /// # Errors
    /// `InternalError.UnknownError` when the ledger fails.
    pub async fn plan(&self, name: NameKey) -> Result<Option<Plan>, Fault> {
        self.read(move |connection| plan_named(connection, &name))
            .await
    }

    /// At most `limit` plans, by subscription, resource group and name, after the name `after`.
    ///
    /// # Errors
    /// `InternalError.UnknownError` when the ledger fails.
    pub async fn plans(
        &self,
        within: Within,
        after: Option<NameKey>,
        limit: usize,
    ) -> Result<Vec<Plan>, Fault> {
        self.read(move |connection| {
            let (subscription, group) = match &within {
                Within::Installation => (None, None),
                Within::Subscription(s) => (Some(s.to_string()), None),
                Within::ResourceGroup(s, g) => (Some(s.to_string()), Some(g.to_string())),
            };
            let (a, b, c) = match &after {
                Some(key) => (
                    key.subscription.to_string(),
                    &*key.resource_group,
                    &*key.name,
                ),
                None => (String::new(), "", ""),
            };
            let mut statement = connection.prepare_cached(&format!(
                "{PLANS} WHERE (subscription_key, resource_group_key, name_key) > (?1, ?2, ?3)
                 AND (?4 IS NULL OR subscription_key = ?4)
                 AND (?5 IS NULL OR resource_group_key = ?5)
                 ORDER BY subscription_key, resource_group_key, name_key LIMIT ?6"
            ))?;
            let limit = i64::try_from(limit).unwrap_or(i64::MAX);
            let rows =
                statement.query_map(params![a, b, c, subscription, group, limit], plan_at)?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
        .await
    }

    /// Removes a plan with its history; `false` where there is none.
    ///
    /// # Errors
    /// `Conflict` while services are associated with it, and when it changed since the writer saw
    /// `expected`; `InternalError.UnknownError` when the ledger fails.
    pub async fn delete_plan(
        &self,
        plan: Id,
        expected: Option<Id>,
        actor: impl Into<Actor>,
    ) -> Result<bool, Fault> {
        let actor = actor.into();
        self.write(faults::internal_error::unknown_error, move |change| {
            let Some(seen) = etag_of(change.transaction, plan)? else {
                return Ok(false);
            };
            check_etag(seen, expected)?;
            change
                .transaction
                .prepare_cached("DELETE FROM plans WHERE id = ?1")?
                .execute([plan.0])
                .map_err(|e| match e.sqlite_error_code() {
                    Some(ErrorCode::ConstraintViolation) => Failure::Fault(conflict(
                        "services are associated with the plan: move them first",
                    )),
                    _ => e.into(),
                })?;
            audit(change, &actor, "delete", &subject_of(plan))?;
            Ok(true)
        })
        .await
    }

    /// At most `limit` associations of a plan, by their ids, after the id `after`.
    ///
    /// # Errors
    /// `InternalError.UnknownError` when the ledger fails.
    pub async fn associations(
        &self,
        plan: Id,
        after: Option<Id>,
        limit: usize,
    ) -> Result<Vec<Association>, Fault> {
        self.read(move |connection| {
            let mut statement = connection.prepare_cached(&format!(
                "{ASSOCIATED} WHERE a.plan_id = ?1 AND a.id > ?2 ORDER BY a.id LIMIT ?3"
            ))?;
            let limit = i64::try_from(limit).unwrap_or(i64::MAX);
            let after = after.map_or_else(Vec::new, |id| id.0.to_vec());
            let rows = statement.query_map(params![plan.0, after, limit], association_at)?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
        .await
    }

    /// One association of a plan.
    ///
    /// # Errors
    /// `InternalError.UnknownError` when the ledger fails.
    pub async fn association(&self, plan: Id, id: Id) -> Result<Option<Association>, Fault> {
        self.read(move |connection| association(connection, plan, id))
            .await
    }

    /// Lets the use of an association's service count against another plan from now on; what it
    /// has used stays where it was counted.
    ///
    /// # Errors
    /// `Conflict` when the association is no longer the plan's, or the other plan is gone or full;
    /// `InternalError.UnknownError` when the ledger fails.
    pub async fn move_association(
        &self,
        id: Id,
        from: Id,
        to: Id,
        actor: impl Into<Actor>,
    ) -> Result<Association, Fault> {
        let actor = actor.into();
        self.write(faults::internal_error::unknown_error, move |change| {
            if etag_of(change.transaction, to)?.is_none() {
                return Err(conflict("the plan was removed at the same time").into());
            }
            if from != to {
                check_room(change.transaction, to)?;
            }
            let count = change
                .transaction
                .prepare_cached(
                    "UPDATE plan_associations SET plan_id = ?3, etag = ?4
                     WHERE id = ?1 AND plan_id = ?2",
                )?
                .execute(params![id.0, from.0, to.0, Id::random().0])?;
            if count == 0 {
                return Err(conflict("the association was moved at the same time").into());
            }
            audit(
                change,
                &actor,
                &format!("move association {id}"),
                &subject_of(to),
            )?;
            association(change.transaction, to, id)?
                .ok_or_else(|| conflict("the association was removed at the same time").into())
        })
        .await
    }

    /// The SKUs that a plan has had, oldest first.
    ///
    /// # Errors
    /// `InternalError.UnknownError` when the ledger fails.
    pub async fn plan_terms(&self, plan: Id) -> Result<Vec<PlanTerm>, Fault> {
        self.read(move |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT since, sku, capacity FROM plan_terms WHERE plan_id = ?1 ORDER BY since",
            )?;
            let rows = statement.query_map([plan.0], |row| {
                Ok(PlanTerm {
                    since: time_at(row, 0)?,
                    sku: row.get(1)?,
                    capacity: row.get(2)?,
                })
            })?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
        .await
    }
}

/// Associates a service that is being made with the plan that its definition names.
///
/// A definition that was taken along from elsewhere names a plan of there. It is accepted, without
/// an association, as long as the plan lies in a subscription in which this installation has no
/// workspace: nothing here could make or list it. A plan that should be here and is not is a
/// mistake that would otherwise show in a bill.
///
/// # Errors
/// `NotFound.ResourceNotFound` at `commitmentPlan/id` for a plan that should be here; `Conflict`
/// when the plan is full.
pub(crate) fn associate(
    change: &mut Change<'_>,
    service: Id,
    name: &ResourceName,
) -> Result<(), Failure> {
    let connection = change.transaction;
    let key = name.key();
    let Some(plan) = plan_named(connection, &key)? else {
        let ours: bool = connection
            .prepare_cached("SELECT EXISTS (SELECT 1 FROM workspaces WHERE subscription_key = ?1)")?
            .query_row([key.subscription.to_string()], |row| row.get(0))?;
        if !ours {
            return Ok(());
        }
        return Err(faults::extensions::resource_not_found(
            format!("Microsoft.MachineLearning/commitmentPlans/{}", name.name),
            name.resource_group.as_str(),
        )
        .at("commitmentPlan/id")
        .into());
    };
    check_room(connection, plan.id)?;
    connection
        .prepare_cached(
            "INSERT INTO plan_associations (id, plan_id, service_id, etag, created)
             VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute(params![
            Id::random().0,
            plan.id.0,
            service.0,
            Id::random().0,
            Timestamp::now().as_microsecond(),
        ])?;
    Ok(())
}

/// Reads the Resource Manager's id of a commitment plan; `None` for any other text.
pub fn plan_name(id: &str) -> Option<ResourceName> {
    let mut words = id.strip_prefix('/')?.split('/');
    let mut word = |expected: &str| {
        let word = words.next()?;
        (expected.is_empty() || word.eq_ignore_ascii_case(expected)).then_some(word)
    };
    word("subscriptions")?;
    let subscription = word("")?.to_owned();
    word("resourceGroups")?;
    let resource_group = word("")?.to_owned();
    word("providers")?;
    word("Microsoft.MachineLearning")?;
    word("commitmentPlans")?;
    let name = word("")?.to_owned();
    let parts = [&subscription, &resource_group, &name];
    if words.next().is_some() || parts.iter().any(|part| part.is_empty()) {
        return None;
    }
    Some(ResourceName {
        subscription,
        resource_group,
        name,
    })
}

const PLANS: &str = "SELECT id, subscription, resource_group, name, location, tags, sku, capacity,
                            etag, created FROM plans";

const ASSOCIATED: &str = "SELECT a.id, a.plan_id, s.subscription, s.resource_group, s.name, a.etag,
                                 a.created
                          FROM plan_associations a JOIN services s ON s.id = a.service_id";

fn subject_of(plan: Id) -> String {
    format!("plan {plan}")
}

fn plan_at(row: &Row<'_>) -> Result<Plan, rusqlite::Error> {
    Ok(Plan {
        id: id_at(row, 0)?,
        name: ResourceName {
            subscription: row.get(1)?,
            resource_group: row.get(2)?,
            name: row.get(3)?,
        },
        location: row.get(4)?,
        tags: row.get(5)?,
        sku: row.get(6)?,
        capacity: row.get(7)?,
        etag: id_at(row, 8)?,
        created: time_at(row, 9)?,
    })
}

fn association_at(row: &Row<'_>) -> Result<Association, rusqlite::Error> {
    Ok(Association {
        id: id_at(row, 0)?,
        plan: id_at(row, 1)?,
        service: ResourceName {
            subscription: row.get(2)?,
            resource_group: row.get(3)?,
            name: row.get(4)?,
        },
        etag: id_at(row, 5)?,
        created: time_at(row, 6)?,
    })
}

fn plan_named(connection: &Connection, key: &NameKey) -> Result<Option<Plan>, Failure> {
    Ok(connection
        .prepare_cached(&format!(
            "{PLANS} WHERE subscription_key = ?1 AND resource_group_key = ?2 AND name_key = ?3"
        ))?
        .query_row(
            params![key.subscription.to_string(), key.resource_group, key.name],
            plan_at,
        )
        .optional()?)
}

fn association(connection: &Connection, plan: Id, id: Id) -> Result<Option<Association>, Failure> {
    Ok(connection
        .prepare_cached(&format!("{ASSOCIATED} WHERE a.plan_id = ?1 AND a.id = ?2"))?
        .query_row(params![plan.0, id.0], association_at)
        .optional()?)
}

fn etag_of(connection: &Connection, plan: Id) -> Result<Option<Id>, Failure> {
    Ok(connection
        .prepare_cached("SELECT etag FROM plans WHERE id = ?1")?
        .query_row([plan.0], |row| id_at(row, 0))
        .optional()?)
}

fn check_etag(seen: Id, expected: Option<Id>) -> Result<(), Fault> {
    match expected {
        Some(expected) if expected != seen => {
            Err(conflict("the plan was changed at the same time"))
        }
        _ => Ok(()),
    }
}

fn check_room(connection: &Connection, plan: Id) -> Result<(), Failure> {
    let count: u32 = connection
        .prepare_cached("SELECT count(*) FROM plan_associations WHERE plan_id = ?1")?
        .query_row([plan.0], |row| row.get(0))?;
    if count >= ASSOCIATIONS {
        return Err(conflict("the plan has as many associations as it may have").into());
    }
    Ok(())
}

fn put_plan(change: &mut Change<'_>, write: &PlanWrite, actor: &Actor) -> Result<Plan, Failure> {
    let connection = change.transaction;
    let key = write.name.key();
    let now = Timestamp::now();
    let before = plan_named(connection, &key)?;
    let action = match (&before, write.expected) {
        (None, None) => {
            connection
                .prepare_cached(
                    "INSERT INTO plans (id, subscription, subscription_key, resource_group,
                         resource_group_key, name, name_key, location, tags, sku, capacity, etag,
                         created)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
                )?
                .execute(params![
                    write.id.0,
                    write.name.subscription,
                    key.subscription.to_string(),
                    write.name.resource_group,
                    key.resource_group,
                    write.name.name,
                    key.name,
                    write.location,
                    write.tags,
                    write.sku,
                    write.capacity,
                    Id::random().0,
                    now.as_microsecond(),
                ])?;
            "create"
        }
        (Some(_), None) => return Err(conflict("the name was taken at the same time").into()),
        (None, Some(_)) => return Err(conflict("the plan was removed at the same time").into()),
        (Some(before), Some(expected)) => {
            check_etag(before.etag, Some(expected))?;
            connection
                .prepare_cached(
                    "UPDATE plans SET tags = ?2, sku = ?3, capacity = ?4, etag = ?5 WHERE id = ?1",
                )?
                .execute(params![
                    write.id.0,
                    write.tags,
                    write.sku,
                    write.capacity,
                    Id::random().0
                ])?;
            "change"
        }
    };
    let same_terms = before
        .is_some_and(|before| (before.sku, before.capacity) == (write.sku.clone(), write.capacity));
    if !same_terms {
        connection
            .prepare_cached(
                "INSERT OR REPLACE INTO plan_terms (plan_id, since, sku, capacity)
                 VALUES (?1, ?2, ?3, ?4)",
            )?
            .execute(params![
                write.id.0,
                now.as_microsecond(),
                write.sku,
                write.capacity
            ])?;
    }
    audit(change, actor, action, &subject_of(write.id))?;
    plan_named(connection, &key)?.ok_or_else(|| faults::internal_error::unknown_error().into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Subscription;

    #[test]
    fn the_id_of_a_plan_is_read_in_any_case_and_nothing_else() {
        let id = "/Subscriptions/S-1/resourcegroups/Group/providers/microsoft.machinelearning/commitmentplans/Plan";
        let name = plan_name(id).unwrap();
        assert_eq!(
            [&name.subscription, &name.resource_group, &name.name],
            ["S-1", "Group", "Plan"]
        );
        assert_eq!(name.key().subscription, Subscription::of("s-1"));
        for other in [
            "",
            "/plans/one",
            &id[1..],
            &format!("{id}/"),
            &id.replace("Group", ""),
            &id.replace("commitmentplans", "webServices"),
        ] {
            assert_eq!(plan_name(other), None, "{other}");
        }
    }
}
