//! The ledger's schema as a list of steps that only go forward.

use faults::{Class, Fault};
use rusqlite::{Connection, TransactionBehavior};

/// Marks an SQLite file as a ledger of ours ("UMPR").
const APPLICATION_ID: i32 = 0x554d_5052;

/// The steps. A ledger's `user_version` is the number of those it has had. A step that has been
/// released is never changed; a change of the schema is a further step.
pub(crate) const MIGRATIONS: &[&str] = &[
    include_str!("migrations/0001.sql"),
    include_str!("migrations/0002.sql"),
    include_str!("migrations/0003.sql"),
    include_str!("migrations/0004.sql"),
    include_str!("migrations/0005.sql"),
    include_str!("migrations/0006.sql"),
    include_str!("migrations/0007.sql"),
    include_str!("migrations/0008.sql"),
    include_str!("migrations/0009.sql"),
    include_str!("migrations/0010.sql"),
];

/// Brings a ledger to the newest schema, each step in a transaction of its own.
///
/// # Errors
/// `InternalError`, with both versions in the cause, for a ledger that a newer program has
/// written, and for a file that is no ledger.
pub(crate) fn migrate(connection: &mut Connection, steps: &[&str]) -> Result<(), Fault> {
    let refused = |cause: String| Fault::bare(Class::InternalError).because(cause);
    let failed = |e: rusqlite::Error| {
        Fault::bare(Class::InternalError)
            .caused_by(&e)
            .because("the ledger cannot be brought to this program's version")
    };

    let known = steps.len() as i64;
    loop {
        // Under the write lock, so that what is read stays true.
        let transaction = connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(failed)?;
        let version: i64 = transaction
            .pragma_query_value(None, "user_version", |row| row.get(0))
            .map_err(failed)?;
        let application: i32 = transaction
            .pragma_query_value(None, "application_id", |row| row.get(0))
            .map_err(failed)?;
        let tables: i64 = transaction
            .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
            .map_err(failed)?;
        if application != APPLICATION_ID && (application != 0 || version != 0 || tables != 0) {
            return Err(refused(
                "the ledger file is an SQLite database of another program".into(),
            ));
        }
        if version > known || version < 0 {
            return Err(refused(format!(
                "the ledger has version {version} and this program knows versions up to {known}: \
                 it was written by a newer umpire; start that one, or restore a backup"
            )));
        }
        let Some(step) = steps.get(version as usize) else {
            return Ok(());
        };
        transaction
            .execute_batch(step)
            .and_then(|()| transaction.pragma_update(None, "application_id", APPLICATION_ID))
            .and_then(|()| transaction.pragma_update(None, "user_version", version + 1))
            .and_then(|()| transaction.commit())
            .map_err(failed)?;
        tracing::info!(version = version + 1, "the ledger's schema is up to date");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(connection: &Connection) -> i64 {
        connection
            .pragma_query_value(None, "user_version", |row| row.get(0))
            .unwrap()
    }

    #[test]
    fn an_older_ledger_gets_the_missing_steps_and_keeps_its_rows() {
        let mut connection = Connection::open_in_memory().unwrap();
        let steps = [
            "CREATE TABLE a(x INTEGER) STRICT",
            "ALTER TABLE a ADD COLUMN y INTEGER NOT NULL DEFAULT 5",
        ];
        migrate(&mut connection, &steps[..1]).unwrap();
        connection.execute("INSERT INTO a VALUES (1)", []).unwrap();
        migrate(&mut connection, &steps).unwrap();
        assert_eq!(version(&connection), 2);
        let row = connection
            .query_row("SELECT x, y FROM a", [], |row| {
                Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?))
            })
            .unwrap();
        assert_eq!(row, (1, 5));
        migrate(&mut connection, &steps).unwrap();
        assert_eq!(version(&connection), 2);
    }

    #[test]
    fn a_step_that_fails_leaves_the_older_ledger() {
        let mut connection = Connection::open_in_memory().unwrap();
        let steps = [
            "CREATE TABLE a(x INTEGER) STRICT",
            "CREATE TABLE b(x INTEGER) STRICT; INSERT INTO missing VALUES (1)",
        ];
        let fault = migrate(&mut connection, &steps).unwrap_err();
        assert!(fault.cause().unwrap().contains("missing"));
        assert_eq!(version(&connection), 1);
        let tables: i64 = connection
            .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
            .unwrap();
        assert_eq!(tables, 1);
    }

    #[test]
    fn a_newer_ledger_is_refused_and_both_versions_are_named() {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection, MIGRATIONS).unwrap();
        connection.pragma_update(None, "user_version", 99).unwrap();
        let fault = migrate(&mut connection, MIGRATIONS).unwrap_err();
        let cause = fault.cause().unwrap();
        assert!(cause.contains("version 99"), "{cause}");
        assert!(
            cause.contains(&format!("up to {}", MIGRATIONS.len())),
            "{cause}"
        );
        assert_eq!(version(&connection), 99);
    }

    #[test]
    fn another_programs_database_is_left_alone() {
        let mut connection = Connection::open_in_memory().unwrap();
        connection.execute("CREATE TABLE theirs(x)", []).unwrap();
        let fault = migrate(&mut connection, MIGRATIONS).unwrap_err();
        assert!(fault.cause().unwrap().contains("another program"));
    }

    #[test]
    fn every_released_version_can_be_brought_up() {
        for start in 0..=MIGRATIONS.len() {
            let mut connection = Connection::open_in_memory().unwrap();
            migrate(&mut connection, &MIGRATIONS[..start]).unwrap();
            migrate(&mut connection, MIGRATIONS).unwrap();
            assert_eq!(version(&connection), MIGRATIONS.len() as i64);
        }
    }

    #[test]
    fn diagnostics_of_revisions_that_were_there_before_are_known_after() {
        let mut connection = Connection::open_in_memory().unwrap();
        let table = "CREATE TABLE revision_diagnostics";
        let before = MIGRATIONS
            .iter()
            .position(|step| step.contains(table))
            .unwrap();
        migrate(&mut connection, &MIGRATIONS[..before]).unwrap();
        connection
            .pragma_update(None, "foreign_keys", false)
            .unwrap();
        for (id, definition) in [(1u8, r#"{"diagnostics":{"level":"all"}}"#), (2, "{}")] {
            connection
                .execute(
                    "INSERT INTO revisions (id, service_id, number, definition, created)
                     VALUES (?1, ?1, 1, ?2, 0)",
                    rusqlite::params![[id; 16], definition],
                )
                .unwrap();
        }
        migrate(&mut connection, MIGRATIONS).unwrap();
        let known: Vec<([u8; 16], String)> = connection
            .prepare("SELECT revision_id, level FROM revision_diagnostics")
            .and_then(|mut all| {
                all.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
                    .collect()
            })
            .unwrap();
        assert_eq!(known, [([1; 16], "All".to_owned())]);
    }
}
