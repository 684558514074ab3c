//! Who may do what.

use faults::Fault;
use store::{Actor, Entry, Id, NameKey, Role, Scope, Subscription, Workspace};

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

    /// A service that is not there yet, with the ids that it is to have.
    pub fn service_to_be(name: &NameKey, workspace: Id, service: Id) -> Target {
        Target {
            service: Some(service),
            ..Target::resource(name).in_workspace(workspace)
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

impl Target {
    /// Whether it is known to lie within the scope.
    pub fn is_within(&self, scope: &Scope) -> bool {
        match scope {
            Scope::Installation => true,
            Scope::Subscription(s) => self.subscription.as_ref() == Some(s),
            Scope::ResourceGroup(s, g) => {
                self.subscription.as_ref() == Some(s) && self.resource_group.as_ref() == Some(g)
            }
            Scope::Workspace(id) => self.workspace == Some(*id),
            Scope::Service(id) => self.service == Some(*id),
            Scope::Endpoint(id) => self.endpoint == Some(*id),
        }
    }

    /// Whether something that is known to lie within the scope may lie within this target.
    fn may_hold_of(&self, scope: &Scope) -> bool {
        let same = |s: &Subscription| self.subscription.as_ref().is_none_or(|own| own == s);
        match scope {
            Scope::Subscription(s) => same(s),
            Scope::ResourceGroup(s, g) => {
                same(s) && self.resource_group.as_ref().is_none_or(|own| own == g)
            }
            _ => true,
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
    /// Somebody whose credentials were checked.
    pub(crate) fn new(actor: Actor, role: Role, scope: Scope) -> Principal {
        Principal { actor, role, scope }
    }

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
        self.decide(role, target.is_within(&self.scope), target)
    }

    /// Refuses what is beyond the role, wherever the scope is: for what belongs to no service yet,
    /// such as a blob.
    ///
    /// # Errors
    /// `Unauthorized.ManagementRequestUnauthorized`.
    pub fn permit_anywhere(&self, role: Role) -> Result<(), Fault> {
        self.decide(role, true, &Target::default())
    }

    /// Refuses a list of what lies within `target` to those who can see nothing there. Whoever is
    /// let in is shown what [`Principal::sees`].
    ///
    /// # Errors
    /// `Unauthorized.ManagementRequestUnauthorized`.
    pub fn permit_list(&self, target: &Target) -> Result<(), Fault> {
        self.decide(Role::Read, target.may_hold_of(&self.scope), target)
    }

    /// Refuses to make something new under a name to those who can in no case. In which workspace
    /// it is to stand may not be known yet; who is good for one workspace only is let through, and
    /// must be asked with [`Principal::permit`] once it is known.
    ///
    /// # Errors
    /// `Unauthorized.ManagementRequestUnauthorized`.
    pub fn permit_new(&self, target: &Target) -> Result<(), Fault> {
        let in_place = matches!(self.scope, Scope::Workspace(_)) || target.is_within(&self.scope);
        self.decide(Role::Manage, in_place, target)
    }

    /// Whether the target lies within the scope.
    pub fn sees(&self, target: &Target) -> bool {
        target.is_within(&self.scope)
    }

    /// What the credential may do.
    pub fn role(&self) -> Role {
        self.role
    }

    /// Where the credential is good.
    pub fn scope(&self) -> &Scope {
        &self.scope
    }

    fn decide(&self, role: Role, in_place: bool, target: &Target) -> Result<(), Fault> {
        if self.role >= role && in_place {
            return Ok(());
        }
        Err(
            faults::unauthorized::management_request_unauthorized().because(format!(
                "{} has the role {} on {}; {} on {target:?} was asked for",
                self.actor.name,
                self.role.name(),
                self.scope,
                role.name(),
            )),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use faults::rows::Unauthorized::ManagementRequestUnauthorized;
    use store::ResourceName;

    fn somebody(role: Role, scope: Scope) -> Principal {
        Principal::new(Actor::from("somebody"), role, scope)
    }

    fn name(subscription: &str, group: &str) -> NameKey {
        ResourceName {
            subscription: subscription.into(),
            resource_group: group.into(),
            name: "n".into(),
        }
        .key()
    }

    fn service(workspace: u8, service: u8) -> Target {
        Target {
            workspace: Some(Id([workspace; 16])),
            service: Some(Id([service; 16])),
            ..Target::resource(&name("s", "g"))
        }
    }

    #[test]
    fn a_scope_covers_what_lies_within_it_and_nothing_else() {
        let s = Subscription::of("S");
        let other = Subscription::of("t");
        for (scope, covered) in [
            (Scope::Installation, true),
            (Scope::Subscription(s.clone()), true),
            (Scope::Subscription(other.clone()), false),
            (Scope::ResourceGroup(s.clone(), "g".into()), true),
            (Scope::ResourceGroup(s.clone(), "h".into()), false),
            (Scope::ResourceGroup(other, "g".into()), false),
            (Scope::Workspace(Id([1; 16])), true),
            (Scope::Workspace(Id([2; 16])), false),
            (Scope::Service(Id([1; 16])), true),
            (Scope::Service(Id([2; 16])), false),
            // An endpoint's key is good for the endpoint, not for its service.
            (Scope::Endpoint(Id([1; 16])), false),
        ] {
            let principal = somebody(Role::Manage, scope.clone());
            let target = service(1, 1);
            assert_eq!(principal.sees(&target), covered, "{scope}");
            let permitted = principal.permit(Role::Manage, &target);
            assert_eq!(permitted.is_ok(), covered, "{scope}");
            // What is wider than the scope is beyond it.
            let all = principal.permit(Role::Read, &Target::installation());
            assert_eq!(all.is_ok(), scope == Scope::Installation, "{scope}");
        }
    }

    #[test]
    fn a_role_does_what_the_lesser_ones_do_and_no_more() {
        let target = service(1, 1);
        for has in [Role::Read, Role::Manage, Role::Admin] {
            let principal = somebody(has, Scope::Installation);
            for asked in [Role::Read, Role::Manage, Role::Admin] {
                let result = principal.permit(asked, &target);
                assert_eq!(result.is_ok(), has >= asked, "{has:?} asks {asked:?}");
                if let Err(fault) = result {
                    assert!(fault.is(&ManagementRequestUnauthorized));
                }
            }
            assert_eq!(
                principal.permit_anywhere(Role::Manage).is_ok(),
                has >= Role::Manage
            );
        }
    }

    #[test]
    fn a_list_is_refused_only_where_nothing_can_be_seen() {
        let s = Subscription::of("s");
        let t = Subscription::of("t");
        let group = |s: &Subscription, g: &str| Target::resource_group(s.clone(), g.into());
        let all = Target::installation();
        for (scope, target, open) in [
            (Scope::Subscription(s.clone()), all.clone(), true),
            (
                Scope::Subscription(s.clone()),
                Target::subscription(s.clone()),
                true,
            ),
            (
                Scope::Subscription(s.clone()),
                Target::subscription(t.clone()),
                false,
            ),
            (Scope::Subscription(s.clone()), group(&s, "g"), true),
            (
                Scope::ResourceGroup(s.clone(), "g".into()),
                Target::subscription(s.clone()),
                true,
            ),
            (
                Scope::ResourceGroup(s.clone(), "g".into()),
                group(&s, "g"),
                true,
            ),
            (
                Scope::ResourceGroup(s.clone(), "g".into()),
                group(&s, "h"),
                false,
            ),
            (Scope::ResourceGroup(s, "g".into()), group(&t, "g"), false),
            (Scope::Service(Id([1; 16])), group(&t, "g"), true),
        ] {
            let result = somebody(Role::Read, scope.clone()).permit_list(&target);
            assert_eq!(result.is_ok(), open, "{scope}");
        }
    }

    #[test]
    fn only_a_workspaces_own_may_make_what_has_no_workspace_yet() {
        let new = Target::resource(&name("s", "g"));
        let s = Subscription::of("s");
        for (role, scope, open) in [
            (Role::Manage, Scope::Installation, true),
            (
                Role::Manage,
                Scope::ResourceGroup(s.clone(), "g".into()),
                true,
            ),
            (Role::Manage, Scope::ResourceGroup(s, "h".into()), false),
            (Role::Manage, Scope::Workspace(Id([1; 16])), true),
            (Role::Read, Scope::Workspace(Id([1; 16])), false),
            (Role::Manage, Scope::Service(Id([1; 16])), false),
            (Role::Manage, Scope::Endpoint(Id([1; 16])), false),
        ] {
            assert_eq!(somebody(role, scope).permit_new(&new).is_ok(), open);
        }
    }
}
