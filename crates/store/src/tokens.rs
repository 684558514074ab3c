//! Management tokens: made, listed, revoked, and looked up without I/O.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};

use faults::{Class, Fault};
use jiff::Timestamp;
use rusqlite::types::Type;
use rusqlite::{Connection, ErrorCode, OptionalExtension as _, Row, params};

use crate::access::{Role, Scope};
use crate::ledger::{Change, Failure, Ledger};
use crate::names::folded;
use crate::rows::{digest_at, id_at, time_at};
use crate::seal::{KeyDigest, random_token};
use crate::services::audit;
use crate::{Actor, Id};

/// What every management token begins with, so that one that lies about is known for what it is.
pub const TOKEN_PREFIX: &str = "umpt_";

/// A management token, without the token itself.
#[derive(Debug)]
pub struct Token {
    /// Its id.
    pub id: Id,
    /// Its name, as given; one token that is not revoked has it at a time.
    pub name: String,
    /// What its holder may do.
    pub role: Role,
    /// Where.
    pub scope: Scope,
    /// When it was made.
    pub created: Timestamp,
    /// From when on it opens nothing any more; never where absent.
    pub expires: Option<Timestamp>,
    /// When it was revoked, where it was.
    pub revoked: Option<Timestamp>,
    digest: KeyDigest,
    /// The day of the last use, counted from 1970-01-01; negative where there was none.
    last_used: AtomicI64,
}

impl Token {
    /// Whether it opens anything at that time.
    pub fn is_good(&self, at: Timestamp) -> bool {
        self.revoked.is_none() && self.expires.is_none_or(|expires| at < expires)
    }

    /// The day of the last use as the time at which it began (UTC); `None` where there was none.
    pub fn last_used(&self) -> Option<Timestamp> {
        let day = self.last_used.load(Relaxed);
        let second = day.checked_mul(DAY).filter(|_| day >= 0)?;
        Timestamp::from_second(second).ok()
    }

    /// Notes a use; whether it is the first of that day, which is worth a write.
    fn used(&self, at: Timestamp) -> Option<i64> {
        let today = at.as_second().div_euclid(DAY);
        (self.last_used.fetch_max(today, Relaxed) < today).then_some(today)
    }
}

/// Seconds of a day.
const DAY: i64 = 24 * 60 * 60;

/// All tokens, in memory.
#[derive(Debug, Default)]
pub(crate) struct Tokens {
    /// By name, the newest of a name first.
    pub(crate) all: Vec<Arc<Token>>,
    by_digest: HashMap<KeyDigest, Arc<Token>>,
}

impl Tokens {
    /// The token of that digest, whether or not it is still good.
    pub(crate) fn of(&self, presented: &KeyDigest) -> Option<&Arc<Token>> {
        self.by_digest.get(presented)
    }
}

/// A token that is to be made.
#[derive(Debug, Clone)]
pub struct NewToken {
    /// What it is to be called.
    pub name: String,
    /// What its holder may do.
    pub role: Role,
    /// Where.
    pub scope: Scope,
    /// From when on it opens nothing any more; never where absent.
    pub expires: Option<Timestamp>,
}

impl Ledger {
    /// Makes a token; answers its record and the token itself, which nobody can read again.
    ///
    /// # Errors
    /// `Conflict` when another token that is still good has the name; `InternalError.UnknownError`
    /// when the ledger fails.
    pub async fn create_token(
        &self,
        new: NewToken,
        actor: impl Into<Actor>,
    ) -> Result<(Arc<Token>, String), Fault> {
        let actor = actor.into();
        let text = format!("{TOKEN_PREFIX}{}", random_token());
        let digest = self.sealer.digest_key(&text);
        let id = Id::random();
        self.write(faults::internal_error::unknown_error, move |change| {
            create(change, id, &digest, &new, &actor)
        })
        .await?;
        let made = self.directory().token(&digest).cloned();
        let made = made.ok_or_else(|| {
            Fault::bare(Class::Conflict).because("the token was removed at the same time")
        })?;
        Ok((made, text))
    }

    /// Revokes a token: it opens nothing any more when this answers. `false` for one that was
    /// revoked before, or was never there.
    ///
    /// # Errors
    /// `InternalError.UnknownError` when the ledger fails.
    pub async fn revoke_token(&self, id: Id, actor: impl Into<Actor>) -> Result<bool, Fault> {
        let actor = actor.into();
        self.write(faults::internal_error::unknown_error, move |change| {
            let name: Option<String> = change
                .transaction
                .prepare_cached(
                    "UPDATE tokens SET revoked = ?2 WHERE id = ?1 AND revoked IS NULL
                     RETURNING name",
                )?
                .query_row(params![id.0, Timestamp::now().as_microsecond()], |row| {
                    row.get(0)
                })
                .optional()?;
            let Some(name) = name else {
                return Ok(false);
            };
            change.touch_tokens();
            audit(change, &actor, "revoke", &format!("token {name}"))?;
            Ok(true)
        })
        .await
    }

    /// Notes that a token signed somebody in at that time. Neither waits nor fails: the day is
    /// written at the first use on it, and a write that fails is a line in the log.
    pub fn token_used(&self, token: &Token, at: Timestamp) {
        let (id, Some(day)) = (token.id, token.used(at)) else {
            return;
        };
        self.write_later("the last use of a token", move |change| {
            change
                .transaction
                .prepare_cached("UPDATE tokens SET last_used = ?2 WHERE id = ?1")?
                .execute(params![id.0, day])?;
            change.touch_tokens();
            Ok(())
        });
    }
}

fn create(
    change: &mut Change<'_>,
    id: Id,
    digest: &KeyDigest,
    new: &NewToken,
    actor: &Actor,
) -> Result<(), Failure> {
    let now = Timestamp::now().as_microsecond();
    let name_key = folded(&new.name);
    // One that has expired gives its name up.
    change
        .transaction
        .prepare_cached(
            "UPDATE tokens SET revoked = expires
             WHERE name_key = ?1 AND revoked IS NULL AND expires <= ?2",
        )?
        .execute(params![name_key, now])?;
    change
        .transaction
        .prepare_cached(
            "INSERT INTO tokens (id, name, name_key, digest, role, scope, created, expires)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        )?
        .execute(params![
            id.0,
            new.name,
            name_key,
            digest.0,
            new.role.name(),
            new.scope.to_string(),
            now,
            new.expires.map(Timestamp::as_microsecond),
        ])
        .map_err(|e| match e.sqlite_error_code() {
            Some(ErrorCode::ConstraintViolation) => Failure::Fault(
                Fault::bare(Class::Conflict)
                    .because("another token has that name: revoke it first"),
            ),
            _ => e.into(),
        })?;
    change.touch_tokens();
    audit(
        change,
        actor,
        &format!("create ({} on {})", new.role.name(), new.scope),
        &format!("token {}", new.name),
    )
}

/// All tokens of a ledger.
pub(crate) fn read(connection: &Connection) -> Result<Tokens, Failure> {
    let mut statement = connection.prepare_cached(
        "SELECT id, name, digest, role, scope, created, expires, revoked, last_used
         FROM tokens ORDER BY name_key, created DESC",
    )?;
    let rows = statement.query_map([], token)?;
    let all = rows
        .map(|token| token.map(Arc::new))
        .collect::<Result<Vec<_>, _>>()?;
    Ok(Tokens {
        by_digest: all.iter().map(|t| (t.digest, t.clone())).collect(),
        all,
    })
}

fn token(row: &Row<'_>) -> Result<Token, rusqlite::Error> {
    let word = |column: usize| row.get::<_, String>(column);
    let time = |column: usize| {
        let set: Option<i64> = row.get(column)?;
        set.map(|_| time_at(row, column)).transpose()
    };
    let damaged = |column: usize, what: &str| {
        let text = format!("a damaged {what} of a token");
        rusqlite::Error::FromSqlConversionFailure(column, Type::Text, text.into())
    };
    Ok(Token {
        id: id_at(row, 0)?,
        name: word(1)?,
        digest: digest_at(row, 2)?,
        role: Role::parse(&word(3)?).ok_or_else(|| damaged(3, "role"))?,
        scope: Scope::parse(&word(4)?).ok_or_else(|| damaged(4, "scope"))?,
        created: time_at(row, 5)?,
        expires: time(6)?,
        revoked: time(7)?,
        last_used: AtomicI64::new(row.get::<_, Option<i64>>(8)?.unwrap_or(-1)),
    })
}
