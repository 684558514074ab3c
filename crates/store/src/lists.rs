//! Names in order, a page at a time.

use faults::Fault;
use rusqlite::params;

use crate::ledger::Ledger;
use crate::names::{NameKey, Subscription};

/// The part of the installation that a list is of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Within {
    /// All of it.
    Installation,
    /// One subscription.
    Subscription(Subscription),
    /// One resource group, in lower case, of a subscription.
    ResourceGroup(Subscription, Box<str>),
}

/// The index of the services' names gives a page without looking at what stands before it, however
/// many services there are.
const NAMES: [&str; 3] = [
    "SELECT subscription_key, resource_group_key, name_key FROM services
     WHERE (subscription_key, resource_group_key, name_key) > (?1, ?2, ?3)
     ORDER BY subscription_key, resource_group_key, name_key LIMIT ?4",
    "SELECT subscription_key, resource_group_key, name_key FROM services
     WHERE subscription_key = ?5 AND (resource_group_key, name_key) > (?2, ?3)
     ORDER BY resource_group_key, name_key LIMIT ?4",
    "SELECT subscription_key, resource_group_key, name_key FROM services
     WHERE subscription_key = ?5 AND resource_group_key = ?6 AND name_key > ?3
     ORDER BY name_key LIMIT ?4",
];

impl Ledger {
    /// At most `limit` names of services, by subscription, resource group and name, after the name
    /// `after` (which need not exist any more).
    ///
    /// # Errors
    /// `InternalError.UnknownError` when the ledger fails.
    pub async fn names(
        &self,
        within: Within,
        after: Option<NameKey>,
        limit: usize,
    ) -> Result<Vec<NameKey>, Fault> {
        self.read(move |connection| {
            let limit = i64::try_from(limit).unwrap_or(i64::MAX);
            let (sql, subscription, group) = match &within {
                Within::Installation => (NAMES[0], None, None),
                Within::Subscription(s) => (NAMES[1], Some(s.to_string()), None),
                Within::ResourceGroup(s, g) => (NAMES[2], Some(s.to_string()), Some(g)),
            };
            // The end of a page of another subscription or group says nothing about this one.
            let after = after.filter(|after| match &within {
                Within::Installation => true,
                Within::Subscription(s) => after.subscription == *s,
                Within::ResourceGroup(s, g) => {
                    after.subscription == *s && after.resource_group == *g
                }
            });
            let (a, b, c) = match &after {
                Some(key) => (
                    key.subscription.to_string(),
                    &*key.resource_group,
                    &*key.name,
                ),
                None => (String::new(), "", ""),
            };
            let mut statement = connection.prepare_cached(sql)?;
            let mut rows = match within {
                Within::Installation => statement.query(params![a, b, c, limit])?,
                Within::Subscription(_) => {
                    statement.query(params![a, b, c, limit, subscription])?
                }
                Within::ResourceGroup(..) => {
                    statement.query(params![a, b, c, limit, subscription, group])?
                }
            };
            let mut names = Vec::new();
            while let Some(row) = rows.next()? {
                let subscription: String = row.get(0)?;
                names.push(NameKey {
                    subscription: Subscription::of(&subscription),
                    resource_group: row.get(1)?,
                    name: row.get(2)?,
                });
            }
            Ok(names)
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use super::*;
    use crate::migrations::{MIGRATIONS, migrate};

    #[test]
    fn a_page_is_found_by_the_index_and_comes_in_its_order() {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection, MIGRATIONS).unwrap();
        for sql in NAMES {
            let mut statement = connection
                .prepare(&format!("EXPLAIN QUERY PLAN {sql}"))
                .unwrap();
            for parameter in 1..=statement.parameter_count() {
                statement.raw_bind_parameter(parameter, 1).unwrap();
            }
            let mut rows = statement.raw_query();
            let mut plan = Vec::new();
            while let Some(row) = rows.next().unwrap() {
                plan.push(row.get::<_, String>(3).unwrap());
            }
            // One step: no scan, no sorting.
            assert_eq!(plan.len(), 1, "{plan:?}");
            assert!(
                plan[0].starts_with("SEARCH services USING COVERING INDEX"),
                "{plan:?}"
            );
            assert!(plan[0].contains("name_key"), "{plan:?}");
        }
    }
}
