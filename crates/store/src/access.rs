//! Roles and scopes: what a credential is good for.

use std::fmt;

use crate::Id;
use crate::names::{Subscription, folded};

/// What somebody may do, each including those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Look at things, keys left out.
    Read,
    /// Make, change and remove services and what belongs to them; read keys.
    Manage,
    /// Run the installation.
    Admin,
}

impl Role {
    /// The role's word: `read`, `manage` or `admin`.
    pub fn name(self) -> &'static str {
        match self {
            Role::Read => "read",
            Role::Manage => "manage",
            Role::Admin => "admin",
        }
    }

    /// The role of that word, in any case.
    pub fn parse(text: &str) -> Option<Role> {
        [Role::Read, Role::Manage, Role::Admin]
            .into_iter()
            .find(|role| role.name().eq_ignore_ascii_case(text))
    }
}

/// Where a credential is good. As text: `installation`, `subscription:S`, `group:S/G`,
/// `workspace:ID`, `service:ID`, `endpoint:ID`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// Everything.
    Installation,
    /// All of one subscription.
    Subscription(Subscription),
    /// One resource group, in lower case, of a subscription.
    ResourceGroup(Subscription, Box<str>),
    /// One workspace and its services.
    Workspace(Id),
    /// One service with its endpoints.
    Service(Id),
    /// One endpoint.
    Endpoint(Id),
}

impl Scope {
    /// Reads the text form.
    pub fn parse(text: &str) -> Option<Scope> {
        let some = |text: &str| (!text.is_empty()).then(|| Subscription::of(text));
        let Some((kind, of)) = text.split_once(':') else {
            return text
                .eq_ignore_ascii_case("installation")
                .then_some(Scope::Installation);
        };
        match kind.to_ascii_lowercase().as_str() {
            "subscription" if !of.contains('/') => some(of).map(Scope::Subscription),
            "group" => {
                let (subscription, group) = of.split_once('/')?;
                let group = Some(folded(group)).filter(|g| !g.is_empty() && !g.contains('/'))?;
                Some(Scope::ResourceGroup(some(subscription)?, group))
            }
            "workspace" => Id::parse(of).map(Scope::Workspace),
            "service" => Id::parse(of).map(Scope::Service),
            "endpoint" => Id::parse(of).map(Scope::Endpoint),
            _ => None,
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Scope::Installation => f.write_str("installation"),
            Scope::Subscription(s) => write!(f, "subscription:{s}"),
            Scope::ResourceGroup(s, group) => write!(f, "group:{s}/{group}"),
            Scope::Workspace(id) => write!(f, "workspace:{id}"),
            Scope::Service(id) => write!(f, "service:{id}"),
            Scope::Endpoint(id) => write!(f, "endpoint:{id}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scope_reads_back_from_its_text() {
        let id = Id([7; 16]);
        let group = |s: &str| Scope::ResourceGroup(Subscription::of(s), "red team".into());
        for scope in [
            Scope::Installation,
            Scope::Subscription(Subscription::of("ABCDEF00-0000-4000-8000-000000000001")),
            Scope::Subscription(Subscription::of("My Sub")),
            group("My Sub"),
            group("ABCDEF00-0000-4000-8000-000000000001"),
            Scope::Workspace(id),
            Scope::Service(id),
            Scope::Endpoint(id),
        ] {
            assert_eq!(Scope::parse(&scope.to_string()), Some(scope));
        }
        assert_eq!(Scope::parse("Group:MY SUB/Red Team"), Some(group("my sub")));
    }

    #[test]
    fn what_is_no_scope_is_refused() {
        for text in [
            "",
            "everything",
            "installation:",
            "subscription:",
            "subscription:a/b",
            "group:a",
            "group:a/",
            "group:/g",
            "group:a/b/c",
            "workspace:x",
            "service:",
        ] {
            assert_eq!(Scope::parse(text), None, "{text}");
        }
    }

    #[test]
    fn roles_grow_and_have_words() {
        assert!(Role::Read < Role::Manage && Role::Manage < Role::Admin);
        for role in [Role::Read, Role::Manage, Role::Admin] {
            assert_eq!(Role::parse(&role.name().to_uppercase()), Some(role));
        }
        assert_eq!(Role::parse("owner"), None);
    }
}
