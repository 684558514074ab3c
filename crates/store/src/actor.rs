//! Who makes a change, for the audit trail.

/// Who makes a change, and from where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    /// Who: `operator`, `token ci`, `workspace 0123…`, …; never a credential.
    pub name: String,
    /// The address that the call came from; empty where there is none.
    pub origin: String,
}

impl From<&str> for Actor {
    fn from(name: &str) -> Actor {
        Actor {
            name: name.to_owned(),
            origin: String::new(),
        }
    }
}

impl From<&Actor> for Actor {
    fn from(actor: &Actor) -> Actor {
        actor.clone()
    }
}
