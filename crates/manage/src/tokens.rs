//! Management tokens, and the audit trail.

use std::sync::Arc;

use faults::{Class, Fault};
use jiff::{SignedDuration, Timestamp};
use store::{AuditLine, FailedChange, Id, NewToken, Role, Scope, Token, folded};

use crate::access::{Principal, Target};
use crate::{Manager, deploy::conflict};

/// The longest name of a token, in characters.
const LONGEST_NAME: usize = 100;
/// The longest life that a token can be given, in days.
const LONGEST_LIFE: i64 = 3660;
/// The life of a token that is not given another.
const USUAL_LIFE: &str = "90d";

/// A token that is asked for, in a client's words.
#[derive(Debug, Clone, Default)]
pub struct TokenRequest<'a> {
    /// What it is to be called.
    pub name: &'a str,
    /// `read`, `manage` or `admin`; `manage` where absent.
    pub role: Option<&'a str>,
    /// `installation`, `subscription:S`, `group:S/G`, `workspace:ID` or `service:NAME`.
    pub scope: &'a str,
    /// `90d`, `12h`, `30min`, `never`, or a time as RFC 3339; 90 days where absent.
    pub expires: Option<&'a str>,
}

impl Manager {
    /// Makes a management token; answers its record and the token, which nobody can read again.
    ///
    /// # Errors
    /// `Unauthorized.ManagementRequestUnauthorized` for all but administrators;
    /// `BadArgument.RequestBodyInvalid` at the word that is at fault, also for an administrator's
    /// token of a part of the installation; `NotFound.WorkspaceNotFound`,
    /// `NotFound.WebServiceNotFound`, `Conflict` for a scope that names nothing or several;
    /// `Conflict` for a name that is taken; `InternalError.UnknownError` when the ledger fails.
    pub async fn create_token(
        &self,
        principal: &Principal,
        request: &TokenRequest<'_>,
    ) -> Result<(Arc<Token>, String), Fault> {
        principal.permit(Role::Admin, &Target::installation())?;
        let wrong = |at: &str, why: &str| {
            faults::bad_argument::request_body_invalid()
                .at(at)
                .because(why)
        };
        let name = request.name.trim();
        if name.is_empty() || name.chars().count() > LONGEST_NAME || name.contains(char::is_control)
        {
            return Err(wrong("name", "the name is empty, too long or no text"));
        }
        let role = Role::parse(request.role.unwrap_or(Role::Manage.name()))
            .ok_or_else(|| wrong("role", "it is not one of: read, manage, admin"))?;
        let scope = self.scope(principal, request.scope)?;
        if role == Role::Admin && scope != Scope::Installation {
            let why = "an administrator's token is good for the whole installation";
            return Err(wrong("scope", why));
        }
        let expires = expiry(request.expires.unwrap_or(USUAL_LIFE), Timestamp::now())
            .map_err(|why| wrong("expires", why))?;
        let new = NewToken {
            name: name.to_owned(),
            role,
            scope,
            expires,
        };
        let ledger = &self.inner.store.ledger;
        ledger.create_token(new, principal.actor()).await
    }

    /// All management tokens, those that are no longer good too, by name.
    ///
    /// # Errors
    /// `Unauthorized.ManagementRequestUnauthorized` for all but administrators.
    pub fn tokens(&self, principal: &Principal) -> Result<Vec<Arc<Token>>, Fault> {
        principal.permit(Role::Admin, &Target::installation())?;
        Ok(self.inner.store.ledger.directory().tokens().to_vec())
    }

    /// Revokes the token of that name or id: it opens nothing any more when this answers.
    ///
    /// # Errors
    /// `Unauthorized.ManagementRequestUnauthorized` for all but administrators; `NotFound` where
    /// no token that is not revoked has that name or id; `InternalError.UnknownError` when the
    /// ledger fails.
    pub async fn revoke_token(&self, principal: &Principal, text: &str) -> Result<(), Fault> {
        principal.permit(Role::Admin, &Target::installation())?;
        let unknown =
            || Fault::bare(Class::NotFound).because("no token that is not revoked is called that");
        let ledger = &self.inner.store.ledger;
        let (wanted, id) = (folded(text.trim()), Id::parse(text));
        let id = {
            let directory = ledger.directory();
            let mut good = directory.tokens().iter().filter(|t| t.revoked.is_none());
            let found = good.find(|t| folded(&t.name) == wanted || Some(t.id) == id);
            found.map(|token| token.id).ok_or_else(unknown)?
        };
        match ledger.revoke_token(id, principal.actor()).await? {
            true => Ok(()),
            false => Err(unknown()),
        }
    }

    /// The name of the service of that id, for lists.
    pub fn service_name(&self, id: &Id) -> Option<String> {
        let directory = self.inner.store.ledger.directory();
        directory
            .endpoint(id)
            .map(|entry| entry.service_name.name.clone())
    }

    /// At most `limit` lines of the audit trail, newest first; those before the line `before`.
    ///
    /// # Errors
    /// `Unauthorized.ManagementRequestUnauthorized` for all but administrators;
    /// `InternalError.UnknownError` when the ledger fails.
    pub async fn audit(
        &self,
        principal: &Principal,
        limit: u32,
        before: Option<u64>,
    ) -> Result<Vec<AuditLine>, Fault> {
        principal.permit(Role::Admin, &Target::installation())?;
        self.inner.store.ledger.audit_before(limit, before).await
    }

    /// Puts a change that failed on the audit trail, after the fact; the changes that succeed put
    /// themselves there.
    pub fn audit_failure(&self, principal: &Principal, action: &str, subject: &str, fault: &Fault) {
        self.inner.store.ledger.audit_failure(FailedChange {
            actor: principal.actor().clone(),
            action: action.to_owned(),
            subject: subject.to_owned(),
            result: fault.name(),
        });
    }

    /// Reads a scope as a client writes it.
    fn scope(&self, principal: &Principal, text: &str) -> Result<Scope, Fault> {
        let wrong = || {
            faults::bad_argument::request_body_invalid().at("scope").because(
                "it is not one of: installation, subscription:S, group:S/G, workspace:ID, service:NAME",
            )
        };
        if let Some((kind, name)) = text.split_once(':')
            && kind.eq_ignore_ascii_case("service")
        {
            let name = self.resolve(principal, name)?;
            let directory = self.inner.store.ledger.directory();
            return match directory.by_name(&name.key()) {
                Some(entry) => Ok(Scope::Service(entry.service)),
                None => Err(conflict("the service was removed at the same time")),
            };
        }
        match Scope::parse(text).ok_or_else(wrong)? {
            Scope::Workspace(id)
                if self.inner.store.ledger.directory().workspace(&id).is_none() =>
            {
                Err(faults::not_found::workspace_not_found().at("scope"))
            }
            // A key of the endpoint does as well, and goes with it.
            Scope::Endpoint(_) => Err(wrong()),
            scope => Ok(scope),
        }
    }
}

/// Until when something is good that is good for as long as the text says.
fn expiry(text: &str, now: Timestamp) -> Result<Option<Timestamp>, &'static str> {
    const WRONG: &str = "it is not a time such as 90d, 12h or 30min, an RFC 3339 time, or never";
    let text = text.trim();
    if text.eq_ignore_ascii_case("never") {
        return Ok(None);
    }
    let until = match text.parse::<Timestamp>() {
        Ok(until) => until,
        Err(_) => {
            let digits = text.find(|c: char| !c.is_ascii_digit()).ok_or(WRONG)?;
            let (number, unit) = text.split_at(digits);
            let number: i64 = number.parse().map_err(|_| WRONG)?;
            let seconds = match unit.trim().to_ascii_lowercase().as_str() {
                "d" => 24 * 60 * 60,
                "h" => 60 * 60,
                "min" | "m" => 60,
                "s" => 1,
                _ => return Err(WRONG),
            };
            let life = number.checked_mul(seconds).ok_or(WRONG)?;
            now.checked_add(SignedDuration::from_secs(life))
                .map_err(|_| WRONG)?
        }
    };
    if until <= now {
        return Err("it has passed");
    }
    let longest = now.checked_add(SignedDuration::from_hours(24 * LONGEST_LIFE));
    if longest.is_ok_and(|longest| until > longest) {
        return Err("it is more than ten years ahead: say never");
    }
    Ok(Some(until))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expiry_is_a_length_a_time_or_never() {
        let now: Timestamp = "2026-11-28T00:00:00Z".parse().unwrap();
        for (text, until) in [
            ("90d", Some("2027-02-26T00:00:00Z")),
            ("12h", Some("2026-11-28T12:00:00Z")),
            ("30 min", Some("2026-11-28T00:30:00Z")),
            ("5s", Some("2026-11-28T00:00:05Z")),
            ("2027-01-01T02:00:00+01:00", Some("2027-01-01T01:00:00Z")),
            ("Never", None),
        ] {
            let until = until.map(|text| text.parse().unwrap());
            assert_eq!(expiry(text, now), Ok(until), "{text}");
        }
        for wrong in [
            "",
            "90",
            "d",
            "-1d",
            "0d",
            "90 years",
            "99999999999999999999d",
            "9223372036854775807d",
            "4000d",
            "2026-11-27T00:00:00Z",
            "tomorrow",
        ] {
            assert!(expiry(wrong, now).is_err(), "{wrong}");
        }
    }
}
