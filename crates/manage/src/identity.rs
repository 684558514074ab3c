//! People and programs that an identity provider vouches for.

use std::fmt;
use std::str::FromStr;

use faults::{Class, Fault};
use jiff::Timestamp;
use oidc::{Doubt, Provider};
use outbound::Outbound;
use serde_json::{Map, Value};
use store::{Actor, Role, Scope};

use crate::access::Principal;

/// The longest name of somebody, in characters, as the audit trail has it.
const LONGEST_NAME: usize = 120;

/// What those may do whose token has a value: `ml-admins=admin@installation`,
/// `team-red=manage@workspace:0123…`; `*` stands for every token of the provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    value: String,
    role: Role,
    scope: Scope,
}

impl FromStr for Grant {
    type Err = String;

    fn from_str(text: &str) -> Result<Grant, String> {
        let wrong = || {
            format!(
                "\"{text}\" is not VALUE=ROLE@SCOPE, such as ml-team=manage@installation: the role is \
                 read, manage or admin, the scope installation, subscription:S, group:S/G, \
                 workspace:ID or service:ID, and admin goes with installation alone"
            )
        };
        // A value may have an = of its own, as names in a directory have.
        let (value, given) = text.rsplit_once('=').ok_or_else(wrong)?;
        let (role, scope) = given.split_once('@').ok_or_else(wrong)?;
        let role = Role::parse(role.trim()).ok_or_else(wrong)?;
        let scope = Scope::parse(scope.trim()).ok_or_else(wrong)?;
        let value = value.trim();
        let narrow_admin = role == Role::Admin && scope != Scope::Installation;
        if value.is_empty() || narrow_admin || matches!(scope, Scope::Endpoint(_)) {
            return Err(wrong());
        }
        Ok(Grant {
            value: value.to_owned(),
            role,
            scope,
        })
    }
}

impl fmt::Display for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}@{}", self.value, self.role.name(), self.scope)
    }
}

/// An identity provider, and what its word is worth here.
#[derive(Debug)]
pub struct IdentityProvider {
    issuer: String,
    provider: Provider,
    role_claim: String,
    grants: Vec<Grant>,
}

impl IdentityProvider {
    /// A provider whose keys are fetched by `outbound`. Of the grants the first counts whose value
    /// stands in a token's claim `role_claim`: a text, words, or a list of texts; `a.b` is the
    /// claim `b` of the claim `a`.
    pub fn new(
        options: oidc::Options,
        outbound: Outbound,
        role_claim: String,
        grants: Vec<Grant>,
    ) -> IdentityProvider {
        IdentityProvider {
            issuer: options.issuer.clone(),
            provider: Provider::new(options, outbound),
            role_claim,
            grants,
        }
    }

    /// Takes over the keys that the value before this one has.
    pub(crate) fn follow(&self, before: &IdentityProvider) {
        self.provider.take_keys(&before.provider);
    }

    /// Makes ready what [`IdentityProvider::sign_in`] checks with.
    pub(crate) async fn prepare(&self, credential: &str) {
        self.provider.prepare(credential).await;
    }

    /// Who shows this credential; `None` where it is no token of any provider.
    ///
    /// # Errors
    /// `Unauthorized.ManagementRequestUnauthorized` for a token that is not good, or that nothing
    /// is granted to; `ServiceUnavailable` while the provider's keys are not known.
    pub(crate) fn sign_in(
        &self,
        credential: &str,
        origin: &str,
        now: Timestamp,
    ) -> Result<Option<Principal>, Fault> {
        if !Provider::is_token(credential) {
            return Ok(None);
        }
        let refused = faults::unauthorized::management_request_unauthorized;
        let claims = match self.provider.verify(credential, now) {
            Ok(claims) => claims,
            Err(Doubt::Refused(why)) => {
                return Err(refused().because(format!("a token of {}: {why}", self.issuer)));
            }
            Err(Doubt::NoKeys) => {
                return Err(Fault::bare(Class::ServiceUnavailable)
                    .because("the identity provider's keys could not be fetched"));
            }
        };
        let name = name(&claims);
        let values = values(&claims, &self.role_claim);
        let granted = self
            .grants
            .iter()
            .find(|grant| grant.value == "*" || values.contains(&grant.value.as_str()));
        match granted {
            Some(grant) => {
                let origin = origin.to_owned();
                let (role, scope) = (grant.role, grant.scope.clone());
                Ok(Some(Principal::new(Actor { name, origin }, role, scope)))
            }
            None => Err(refused().because(format!("nothing is granted to {name}"))),
        }
    }
}

/// Who it is: the provider's own id for him, which never changes, and the name that goes with it.
fn name(claims: &Map<String, Value>) -> String {
    let text = |claim: &str| claims.get(claim).and_then(Value::as_str);
    let id = text("sub").or_else(|| text("oid")).unwrap_or("nobody");
    let called = text("preferred_username").or_else(|| text("email"));
    let whole = match called.filter(|called| *called != id) {
        Some(called) => format!("oidc {id} ({called})"),
        None => format!("oidc {id}"),
    };
    let plain = whole.chars().filter(|c| !c.is_control());
    plain.take(LONGEST_NAME).collect()
}

/// The values of a claim.
fn values<'c>(claims: &'c Map<String, Value>, path: &str) -> Vec<&'c str> {
    let found = claims.get(path).or_else(|| {
        let (first, rest) = path.split_once('.')?;
        let inner = claims.get(first)?;
        rest.split('.')
            .try_fold(inner, |value, name| value.get(name))
    });
    match found {
        Some(Value::String(text)) => {
            let words = text.split_whitespace();
            std::iter::once(text.as_str()).chain(words).collect()
        }
        Some(Value::Array(all)) => all.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn grants_are_read_and_shown() {
        for text in [
            "ml-admins=admin@installation",
            "cn=red,dc=example=manage@group:my-sub/red",
            "*=read@installation",
            "x=manage@workspace:000102030405060708090a0b0c0d0e0f",
        ] {
            let grant: Grant = text.parse().unwrap();
            assert_eq!(grant.to_string(), text);
        }
        let spaced: Grant = " team =Manage@ installation".parse().unwrap();
        assert_eq!(spaced.to_string(), "team=manage@installation");
        for wrong in [
            "",
            "admin@installation",
            "=admin@installation",
            "x=owner@installation",
            "x=admin",
            "x=admin@subscription:s",
            "x=read@all",
            "x=read@endpoint:000102030405060708090a0b0c0d0e0f",
        ] {
            assert!(wrong.parse::<Grant>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_claim_is_a_text_words_or_a_list_at_any_depth() {
        let claims = json!({
            "roles": ["a", 7, "b"],
            "scp": "read write",
            "realm_access": {"roles": ["c"]},
            "https://example.com/roles": "d",
            "n": 7,
        });
        let claims = claims.as_object().unwrap();
        assert_eq!(values(claims, "roles"), ["a", "b"]);
        assert_eq!(values(claims, "scp"), ["read write", "read", "write"]);
        assert_eq!(values(claims, "realm_access.roles"), ["c"]);
        assert_eq!(values(claims, "https://example.com/roles")[0], "d");
        for absent in ["", "n", "x", "realm_access", "realm_access.x.y", "roles.x"] {
            assert!(values(claims, absent).is_empty(), "{absent}");
        }
    }

    #[test]
    fn a_name_is_one_line_and_begins_with_what_never_changes() {
        let named = |claims: Value| name(claims.as_object().unwrap());
        assert_eq!(named(json!({"sub": "7"})), "oidc 7");
        assert_eq!(
            named(json!({"sub": "7", "email": "a@b", "preferred_username": "ann\n"})),
            "oidc 7 (ann)"
        );
        assert_eq!(named(json!({})), "oidc nobody");
        let long = named(json!({"sub": "x".repeat(500)}));
        assert_eq!(long.chars().count(), LONGEST_NAME);
    }
}
