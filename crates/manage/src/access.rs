//! Who may do what.

use faults::Fault;
use store::{Actor, Entry, Id, NameKey, Store, Subscription, Workspace};

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

/// What a credential is good for.
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

/// What a call touches, as far as it is known. A scope covers a target when the target is known
/// to lie within it.
#[derive(Debug, Clone, Default)]
pub struct Target {
    subscription: Option<Subscription>,
    resource_group: Option<Box<str>>,
    workspace: Option<Id>,
    service: Option<Id>,
    endpoint: Option<Id>,
}

impl Target {
    /// The installation itself.
    pub fn installation() -> Target {
        Target::default()
    }

    /// All of one subscription.
    pub fn subscription(subscription: Subscription) -> Target {
        Target {
            subscription: Some(subscription),
            ..Target::default()
        }
    }

    /// A resource group of a subscription; the group in lower case.
    pub fn resource_group(subscription: Subscription, group: Box<str>) -> Target {
        Target {
            resource_group: Some(group),
            ..Target::subscription(subscription)
        }
    }

    /// What stands, or is to stand, under a Resource Manager name.
    pub fn resource(name: &NameKey) -> Target {
        Target::resource_group(name.subscription.clone(), name.resource_group.clone())
    }

    /// A workspace.
    pub fn workspace(workspace: &Workspace) -> Target {
        Target::resource(&workspace.name.key()).in_workspace(workspace.id)
    }

    /// A service with all its endpoints.
    pub fn service(entry: &Entry) -> Target {
        Target {
            workspace: Some(entry.workspace),
            service: Some(entry.service),
            ..Target::resource(&entry.service_name.key())
        }
    }

    /// One endpoint of a service.
    pub fn endpoint(entry: &Entry) -> Target {
        Target {
            endpoint: Some(entry.endpoint),
            ..Target::service(entry)
        }
    }

    /// The same, within a workspace.
    pub fn in_workspace(self, workspace: Id) -> Target {
        Target {
            workspace: Some(workspace),
            ..self
        }
    }
}

impl Scope {
    /// Whether the target is known to lie within.
    pub fn covers(&self, target: &Target) -> bool {
        match self {
            Scope::Installation => true,
            Scope::Subscription(s) => target.subscription.as_ref() == Some(s),
            Scope::ResourceGroup(s, g) => {
                target.subscription.as_ref() == Some(s) && target.resource_group.as_ref() == Some(g)
            }
            Scope::Workspace(id) => target.workspace == Some(*id),
            Scope::Service(id) => target.service == Some(*id),
            Scope::Endpoint(id) => target.endpoint == Some(*id),
        }
    }
}

/// Somebody whose credentials were checked. Every operation asks for one, and asks it with
/// [`Principal::permit`] whether the operation is allowed.
#[derive(Debug, Clone)]
pub struct Principal {
    actor: Actor,
    role: Role,
    scope: Scope,
}

impl Principal {
    /// Who it is, as the audit trail has it.
    pub fn actor(&self) -> &Actor {
        &self.actor
    }

    /// Refuses what is beyond the role or the scope. A look-up that fails is asked about before
    /// it is told, so that nobody learns what exists outside of his scope.
    ///
    /// # Errors
    /// `Unauthorized.ManagementRequestUnauthorized`.
    pub fn permit(&self, role: Role, target: &Target) -> Result<(), Fault> {
        if self.role >= role && self.scope.covers(target) {
            return Ok(());
        }
        Err(
            faults::unauthorized::management_request_unauthorized().because(format!(
                "{} has the role {:?} on {:?}; {role:?} on {target:?} was asked for",
                self.actor.name, self.role, self.scope
            )),
        )
    }

    /// Checks the credentials of a management call that came from `origin`: so far the operator's
    /// token, which may do everything.
    ///
    /// # Errors
    /// `Unauthorized.ManagementRequestUnauthorized`.
    pub(crate) fn authorize(
        store: &Store,
        credential: Option<&str>,
        origin: &str,
    ) -> Result<Principal, Fault> {
        credential
            .map(|token| store.sealer.digest_key(token))
            .filter(|digest| store.is_operator(digest))
            .map(|_| Principal {
                actor: Actor {
                    name: "operator".into(),
                    origin: origin.into(),
                },
                role: Role::Admin,
                scope: Scope::Installation,
            })
            .ok_or_else(faults::unauthorized::management_request_unauthorized)
    }
}
