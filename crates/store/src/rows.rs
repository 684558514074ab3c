//! Rows of the ledger as values, and the queries that read the directory.

use faults::{Class, Fault};
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use crate::directory::Entry;
use crate::ledger::{Change, Failure};
use crate::names::{ResourceName, Subscription};
use crate::workspaces::{WorkspaceWrite, insert_workspace};
use crate::{
    DiagnosticsLevel, EndpointSettings, Id, KeyDigest, Recording, Sealer, Sha256, ThrottleLevel,
};

/// What an installation starts with.
#[derive(Debug, Clone)]
pub(crate) struct Installation {
    /// The names of the workspace that is made at the first start.
    pub workspace: ResourceName,
}

/// The context of the sealed value that tells whether a master key is the right one.
const KEY_CHECK: &str = "master key check";
/// The context of the key that digests are made under.
const DIGEST_KEY: &str = "digest key";

/// Whether the ledger was sealed under this sealer's master key; so is one that never was.
pub(crate) fn opens(connection: &Connection, sealer: &Sealer) -> Result<bool, Failure> {
    let sealed = setting(connection, "key_check")?;
    Ok(sealed.is_none_or(|sealed| sealer.open(&sealed, KEY_CHECK).is_ok()))
}

/// The key that digests are made under, which stays as long as the installation does.
pub(crate) fn ensure_digest_key(
    connection: &Connection,
    sealer: &Sealer,
) -> Result<Vec<u8>, Failure> {
    if let Some(sealed) = setting(connection, "digest_key")? {
        return Ok(sealer.open(&sealed, DIGEST_KEY)?);
    }
    let key = sealer.derived_digest_key();
    put_setting(connection, "digest_key", &sealer.seal(key, DIGEST_KEY))?;
    Ok(key.to_vec())
}

/// Seals the installation's own secrets under another master key.
pub(crate) fn reseal_installation(
    connection: &Connection,
    now: &Sealer,
    next: &Sealer,
) -> Result<(), Failure> {
    for (name, context) in [("key_check", KEY_CHECK), ("digest_key", DIGEST_KEY)] {
        if let Some(sealed) = setting(connection, name)? {
            let plain = now.open(&sealed, context)?;
            put_setting(connection, name, &next.seal(&plain, context))?;
        }
    }
    Ok(())
}

/// Refuses a master key with which the ledger's secrets do not open.
pub(crate) fn check_master_key(connection: &Connection, sealer: &Sealer) -> Result<(), Failure> {
    match setting(connection, "key_check")? {
        None => put_setting(connection, "key_check", &sealer.seal(b"umpire", KEY_CHECK)),
        Some(sealed) => match sealer.open(&sealed, KEY_CHECK) {
            Ok(_) => Ok(()),
            Err(_) => Err(Fault::bare(Class::InternalError)
                .because(
                    "the master key is not the one that this ledger was written with: \
                     put the right key file back, or name it with UMPIRE_MASTER_KEY_FILE",
                )
                .into()),
        },
    }
}

/// Makes the default workspace at the first start; answers its id.
pub(crate) fn ensure_installation(
    change: &mut Change<'_>,
    installation: &Installation,
) -> Result<Id, Failure> {
    let connection = change.transaction;
    if let Some(id) = setting(connection, "default_workspace")? {
        return Ok(id_of(&id, 0)?);
    }
    let write = WorkspaceWrite::named(installation.workspace.clone());
    insert_workspace(change, &write)?;
    put_setting(connection, "default_workspace", &write.id.0)?;
    Ok(write.id)
}

fn setting(connection: &Connection, name: &str) -> Result<Option<Vec<u8>>, Failure> {
    Ok(connection
        .prepare_cached("SELECT value FROM installation WHERE name = ?1")?
        .query_row([name], |row| row.get(0))
        .optional()?)
}

fn put_setting(connection: &Connection, name: &str, value: &[u8]) -> Result<(), Failure> {
    connection
        .prepare_cached("INSERT OR REPLACE INTO installation (name, value) VALUES (?1, ?2)")?
        .execute(params![name, value])?;
    Ok(())
}

/// The node that takes no scoring calls, where there is one.
pub(crate) fn drained(connection: &Connection) -> Result<Option<Id>, Failure> {
    let id = setting(connection, "drained")?.filter(|id| !id.is_empty());
    Ok(id.map(|id| id_of(&id, 0)).transpose()?)
}

/// Says which node takes no scoring calls.
pub(crate) fn set_drained(connection: &Connection, node: Option<Id>) -> Result<(), Failure> {
    let id = node.map_or_else(Vec::new, |id| id.0.to_vec());
    put_setting(connection, "drained", &id)
}

/// How many writes the ledger has had.
pub(crate) fn change_number(connection: &Connection) -> Result<u64, Failure> {
    let Some(bytes) = setting(connection, "change")? else {
        return Ok(0);
    };
    let bytes: [u8; 8] = bytes
        .as_slice()
        .try_into()
        .map_err(|_| damaged(0, "change number"))?;
    Ok(u64::from_be_bytes(bytes))
}

/// Counts one more write; answers its number.
pub(crate) fn count_change(connection: &Connection) -> Result<u64, Failure> {
    let number = change_number(connection)? + 1;
    put_setting(connection, "change", &number.to_be_bytes())?;
    Ok(number)
}

/// The endpoints of one service, or all.
pub(crate) fn entries(connection: &Connection, service: Option<Id>) -> Result<Vec<Entry>, Failure> {
    let mut statement = connection.prepare_cached(
        "SELECT s.workspace_id, s.id, s.subscription, s.resource_group, s.name, s.location,
                s.tags, s.read_only, s.version, s.created, s.modified,
                e.id, e.name, e.primary_digest, e.secondary_digest, e.max_concurrent_calls,
                r.id, r.number,
                e.description, e.throttle_level, e.diagnostics_level, e.diagnostics_expiry,
                e.prevent_update, e.sample_data, e.created, e.modified, e.version,
                e.base_revision, d.level, d.expiry
         FROM services s
         JOIN endpoints e ON e.service_id = s.id
         JOIN revisions r ON r.id = e.revision_id
         LEFT JOIN revision_diagnostics d ON d.revision_id = r.id
         WHERE ?1 IS NULL OR s.id = ?1",
    )?;
    let rows = statement.query_map([service.map(|id| id.0)], |row| {
        let subscription: String = row.get(2)?;
        let settings = EndpointSettings {
            description: row.get(18)?,
            throttle_level: ThrottleLevel::parse(row.get_ref(19)?.as_str()?)
                .ok_or_else(|| damaged(19, "throttle level"))?,
            diagnostics: level_at(row, 20)?,
            diagnostics_expiry: optional_time_at(row, 21)?,
            prevent_update: row.get(22)?,
            sample_data: row.get(23)?,
        };
        Ok(Entry {
            workspace: id_at(row, 0)?,
            subscription: Subscription::of(&subscription),
            service: id_at(row, 1)?,
            service_name: ResourceName {
                subscription,
                resource_group: row.get(3)?,
                name: row.get(4)?,
            },
            location: row.get(5)?,
            tags: row.get(6)?,
            read_only: row.get(7)?,
            version: number_at(row, 8)?,
            created: time_at(row, 9)?,
            modified: time_at(row, 10)?,
            endpoint: id_at(row, 11)?,
            endpoint_name: row.get(12)?,
            keys: [digest_at(row, 13)?, digest_at(row, 14)?],
            max_concurrent_calls: row.get(15)?,
            revision: id_at(row, 16)?,
            revision_number: number_at(row, 17)?,
            recording: recording(
                &settings,
                level_at(row, 28)?,
                row.get_ref(29)?.as_str_or_null()?,
            ),
            settings,
            endpoint_created: time_at(row, 24)?,
            endpoint_modified: time_at(row, 25)?,
            endpoint_version: number_at(row, 26)?,
            base_revision: row.get::<_, Option<[u8; 16]>>(27)?.map(Id),
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// What is recorded of an endpoint's calls, by its settings and by its package.
fn recording(
    settings: &EndpointSettings,
    of_package: Option<DiagnosticsLevel>,
    package_expiry: Option<&str>,
) -> Recording {
    match settings.diagnostics {
        Some(level) => Recording {
            level,
            until: settings.diagnostics_expiry,
        },
        None => Recording {
            level: of_package.unwrap_or_default(),
            // Both hold where both are told; a time that cannot be read is past.
            until: [
                settings.diagnostics_expiry,
                package_expiry.map(|text| read_time(text).unwrap_or(Timestamp::MIN)),
            ]
            .into_iter()
            .flatten()
            .min(),
        },
    }
}

/// A time of ISO 8601; one without an offset is of UTC.
fn read_time(text: &str) -> Option<Timestamp> {
    text.parse().ok().or_else(|| {
        let local: DateTime = text.parse().ok()?;
        TimeZone::UTC.to_timestamp(local).ok()
    })
}

/// A value in the ledger that this program cannot have written.
pub(crate) fn damaged(column: usize, what: &'static str) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(
        column,
        Type::Blob,
        format!("a damaged {what}").into(),
    )
}

fn id_of(bytes: &[u8], column: usize) -> Result<Id, rusqlite::Error> {
    bytes.try_into().map(Id).map_err(|_| damaged(column, "id"))
}

pub(crate) fn id_at(row: &Row<'_>, column: usize) -> Result<Id, rusqlite::Error> {
    row.get(column).map(Id)
}

pub(crate) fn hash_at(row: &Row<'_>, column: usize) -> Result<Sha256, rusqlite::Error> {
    row.get(column).map(Sha256)
}

pub(crate) fn digest_at(row: &Row<'_>, column: usize) -> Result<KeyDigest, rusqlite::Error> {
    row.get(column).map(KeyDigest)
}

pub(crate) fn number_at(row: &Row<'_>, column: usize) -> Result<u64, rusqlite::Error> {
    u64::try_from(row.get::<_, i64>(column)?).map_err(|_| damaged(column, "number"))
}

fn level_at(row: &Row<'_>, column: usize) -> Result<Option<DiagnosticsLevel>, rusqlite::Error> {
    let text = row.get_ref(column)?.as_str_or_null()?;
    text.map(|text| {
        DiagnosticsLevel::parse(text).ok_or_else(|| damaged(column, "diagnostics level"))
    })
    .transpose()
}

pub(crate) fn optional_time_at(
    row: &Row<'_>,
    column: usize,
) -> Result<Option<Timestamp>, rusqlite::Error> {
    row.get::<_, Option<i64>>(column)?
        .map(|at| Timestamp::from_microsecond(at).map_err(|_| damaged(column, "time")))
        .transpose()
}

pub(crate) fn time_at(row: &Row<'_>, column: usize) -> Result<Timestamp, rusqlite::Error> {
    Timestamp::from_microsecond(row.get(column)?).map_err(|_| damaged(column, "time"))
}
