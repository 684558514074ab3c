//! Changing the master key: every sealed value is sealed anew, in one transaction.
//!
//! The order makes a crash at any point harmless. The new key is written beside the old one, as
//! `….next`; then the ledger is sealed under it and committed; then the file takes the old one's
//! place, which is kept under the time of the change. [`settle`] finds out at the next start how
//! far it came: the ledger tells which of the two keys opens it.

use std::path::{Path, PathBuf};

use faults::{Class, Fault};
use jiff::Timestamp;
use rusqlite::{Connection, OpenFlags, params};

use crate::ledger::{Change, Failure};
use crate::services::{WhichKey, audit, secrets_context};
use crate::{Actor, Id, Sealer, Store, files, groups, jobs, rows, seal, workspaces};

/// A column of sealed values.
struct Sealed {
    table: &'static str,
    column: &'static str,
    /// What the value of a row is bound to, by the row's id.
    context: fn(Id) -> String,
}

/// Every column of sealed values; the installation's own secrets stand in `installation`.
const SEALED: &[Sealed] = &[
    Sealed {
        table: "endpoints",
        column: "primary_sealed",
        context: |id| WhichKey::Primary.context(id),
    },
    Sealed {
        table: "endpoints",
        column: "secondary_sealed",
        context: |id| WhichKey::Secondary.context(id),
    },
    Sealed {
        table: "revisions",
        column: "secrets",
        context: secrets_context,
    },
    Sealed {
        table: "workspaces",
        column: "primary_sealed",
        context: |id| workspaces::context(id, WhichKey::Primary),
    },
    Sealed {
        table: "workspaces",
        column: "secondary_sealed",
        context: |id| workspaces::context(id, WhichKey::Secondary),
    },
    Sealed {
        table: "model_packages",
        column: "document",
        context: groups::document_context,
    },
    Sealed {
        table: "jobs",
        column: "request",
        context: jobs::request_context,
    },
];

/// Where the next master key stands until the ledger is sealed under it.
fn next_file(master_key: &Path) -> PathBuf {
    let mut name = master_key.as_os_str().to_owned();
    name.push(".next");
    name.into()
}

fn failed(path: &Path, error: &dyn std::error::Error) -> Fault {
    Fault::bare(Class::InternalError)
        .caused_by(error)
        .because(format!(
            "the master key file {} cannot be changed",
            path.display()
        ))
}

impl Store {
    /// Makes a new master key and seals every secret under it. Keys and tokens stay as they are.
    /// The former key is kept beside the new one, since backups that were made before are sealed
    /// under it; the answer is the name of its file.
    ///
    /// # Errors
    /// `Conflict` while another change of the key is under way; `InternalError` when the folder of
    /// the key file cannot be written or the ledger fails, and then nothing has changed. A failure
    /// to put the new key's file in its place, which the next start mends, is told too.
    pub async fn rotate_master_key(&self, actor: impl Into<Actor>) -> Result<String, Fault> {
        let actor = actor.into();
        let Ok(_turn) = self.rotating.try_lock() else {
            return Err(Fault::bare(Class::Conflict)
                .because("another change of the master key is under way"));
        };
        let next_path = next_file(&self.master_key);
        let next = {
            files::write_private_file(&next_path, seal::fresh_master().as_bytes())
                .map_err(|e| failed(&next_path, &e))?;
            // Read back, so that what is sealed under is what the file holds.
            std::sync::Arc::new(Sealer::from_file(&next_path)?)
        };
        let (sealing, switching) = (next.clone(), next);
        let sealer = self.sealer.clone();
        // What is read once the ledger is sealed anew must open before the switch is seen.
        sealer.expect(&switching);
        self.ledger
            .write_and(
                faults::internal_error::unknown_error,
                move |change| {
                    reseal(change, &sealing)?;
                    audit(change, &actor, "rotate master key", "installation")
                },
                // Before the next write seals anything.
                move |committed| {
                    if committed {
                        sealer.switch(&switching);
                    }
                },
            )
            .await?;
        put_in_place(&next_path, &self.master_key).map_err(|e| failed(&self.master_key, &e))
    }
}

/// Seals every secret of the ledger under the key of `next`.
fn reseal(change: &mut Change<'_>, next: &Sealer) -> Result<(), Failure> {
    let connection = change.transaction;
    rows::reseal_installation(connection, change.sealer, next)?;
    for Sealed {
        table,
        column,
        context,
    } in SEALED
    {
        // Nothing is sealed in an empty one, which only somebody else can have written.
        let select = format!("SELECT id, {column} FROM {table} WHERE length({column}) > 0");
        let mut update =
            connection.prepare(&format!("UPDATE {table} SET {column} = ?2 WHERE id = ?1"))?;
        let mut statement = connection.prepare(&select)?;
        // Read whole before anything is written to the table that is read.
        let all: Vec<(Id, Vec<u8>)> = statement
            .query_map([], |row| Ok((rows::id_at(row, 0)?, row.get(1)?)))?
            .collect::<Result<_, _>>()?;
        for (id, sealed) in all {
            let context = context(id);
            let plain = change.sealer.open(&sealed, &context)?;
            update.execute(params![id.0, next.seal(&plain, &context)])?;
        }
    }
    Ok(())
}

/// The next key's file takes the place of the key's, which is kept under the time.
fn put_in_place(next: &Path, master_key: &Path) -> std::io::Result<String> {
    let time = Timestamp::now().strftime("%Y%m%dT%H%M%S%.6fZ");
    let mut former = master_key.as_os_str().to_owned();
    former.push(format!(".until-{time}"));
    let former = PathBuf::from(former);
    std::fs::hard_link(master_key, &former)?;
    std::fs::rename(next, master_key)?;
    files::sync_folder(master_key.parent().unwrap_or(Path::new(".")))?;
    let name = former.file_name().unwrap_or_default();
    Ok(name.to_string_lossy().into_owned())
}

/// Ends a change of the master key that a crash cut off: forward where the ledger is sealed under
/// the next key already, else back.
///
/// # Errors
/// `InternalError` when neither key opens the ledger, or the files cannot be changed.
pub(crate) fn settle(master_key: &Path, ledger: &Path) -> Result<(), Fault> {
    let next = next_file(master_key);
    if !next.exists() {
        return Ok(());
    }
    let now = Sealer::from_file(master_key);
    let discard = || std::fs::remove_file(&next).map_err(|e| failed(&next, &e));
    if !ledger.exists() {
        return discard();
    }
    let unreadable = |f: Failure| {
        f.into_fault(|| Fault::bare(Class::InternalError))
            .because(format!("the ledger {} cannot be read", ledger.display()))
    };
    // For writing: the log that a crash left has to be taken in before anything is read.
    let connection = Connection::open_with_flags(ledger, OpenFlags::SQLITE_OPEN_READ_WRITE)
        .map_err(|e| unreadable(e.into()))?;
    let opens = |sealer: &Sealer| rows::opens(&connection, sealer).map_err(unreadable);
    if opens(&now?)? {
        // The ledger was not changed. The next key may not even be whole.
        return discard();
    }
    if !opens(&Sealer::from_file(&next)?)? {
        return Err(Fault::bare(Class::InternalError).because(format!(
            "neither {} nor {} opens the ledger: put the right key file back",
            master_key.display(),
            next.display()
        )));
    }
    put_in_place(&next, master_key).map_err(|e| failed(master_key, &e))?;
    tracing::info!("a change of the master key that was cut off is complete now");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::migrations::{MIGRATIONS, migrate};

    /// Every column of bytes is either sealed, and then sealed anew with the others, or known not
    /// to be: a column that somebody adds and forgets here would be lost with the old key.
    #[test]
    fn every_column_of_bytes_is_known() {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection, MIGRATIONS).unwrap();
        let mut statement = connection
            .prepare(
                "SELECT t.name, c.name FROM sqlite_schema t, pragma_table_info(t.name) c
                 WHERE t.type = 'table' AND c.type = 'BLOB'",
            )
            .unwrap();
        let columns: Vec<(String, String)> = statement
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
            .unwrap()
            .collect::<Result<_, _>>()
            .unwrap();
        let ids_and_hashes = |column: &str| {
            column == "id"
                || column.ends_with("_id")
                || column.ends_with("digest")
                || matches!(column, "sha256" | "etag" | "base_revision")
        };
        // Settings of the installation: those that are sealed are sealed anew by name.
        let plain = [
            ("installation", "value"),
            ("operations", "fault"),
            ("jobs", "fault"),
            ("chunks", "fault"),
        ];
        let unknown: Vec<_> = columns
            .iter()
            .filter(|(table, column)| {
                !ids_and_hashes(column)
                    && !plain.contains(&(table, column))
                    && !SEALED
                        .iter()
                        .any(|s| s.table == table && s.column == column)
            })
            .collect();
        assert!(
            unknown.is_empty(),
            "neither sealed nor known to be plain: {unknown:?}"
        );
        for sealed in SEALED {
            let there = |(table, column): &(String, String)| {
                sealed.table == table && sealed.column == column
            };
            assert!(
                columns.iter().any(there),
                "{}.{}",
                sealed.table,
                sealed.column
            );
        }
    }
}
