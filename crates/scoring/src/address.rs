//! What a scoring URL names.

use faults::Fault;
use store::{Id, Subscription};

/// The two families of scoring URLs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// `/workspaces/{workspace}/services/{endpoint}/...`
    Workspace,
    /// `/subscriptions/{subscription}/services/{service}/...`
    Subscription,
}

/// A scoring URL's ids, read but not looked up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    pub(crate) owner: Owner,
    pub(crate) service: Id,
}

/// Whom the URL says that the service belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Owner {
    /// A workspace; `None` where the text is no id, and so no workspace has it.
    Workspace(Option<Id>),
    Subscription(Subscription),
}

impl Address {
    /// Reads the two ids of a scoring URL, percent-decoded. `service` is an endpoint's id or a
    /// service's id in both families; `owner` is a workspace's id or a subscription.
    ///
    /// # Errors
    /// In this order: `BadArgument.MissingWorkspaceId`, `BadArgument.MissingWebServiceId` for an
    /// empty segment; `BadArgument.WebServiceIdInvalid` for a service that is no GUID. A workspace
    /// that is no GUID has no row of its own: it is one that nobody has (see
    /// [`crate::Scorer::find`]).
    pub fn parse(family: Family, owner: &str, service: &str) -> Result<Address, Fault> {
        if family == Family::Workspace && owner.is_empty() {
            return Err(faults::bad_argument::missing_workspace_id());
        }
        if service.is_empty() {
            return Err(faults::bad_argument::missing_web_service_id());
        }
        let service =
            Id::parse(service).ok_or_else(faults::bad_argument::web_service_id_invalid)?;
        let owner = match family {
            Family::Workspace => Owner::Workspace(Id::parse(owner)),
            Family::Subscription => Owner::Subscription(Subscription::of(owner)),
        };
        Ok(Address { owner, service })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use faults::rows::BadArgument as Row;

    #[test]
    fn the_first_thing_wrong_is_named() {
        let id = "00112233445566778899aabbccddeeff";
        let parse = |family, owner, service| Address::parse(family, owner, service);
        use Family::{Subscription, Workspace};
        let refused = |family, owner, service| parse(family, owner, service).unwrap_err();
        assert!(refused(Workspace, "", "").is(&Row::MissingWorkspaceId));
        assert!(refused(Workspace, id, "").is(&Row::MissingWebServiceId));
        assert!(refused(Subscription, "", "").is(&Row::MissingWebServiceId));
        assert!(refused(Workspace, id, "x").is(&Row::WebServiceIdInvalid));
        assert!(refused(Workspace, "x", "y").is(&Row::WebServiceIdInvalid));

        let hyphens = "00112233-4455-6677-8899-AABBCCDDEEFF";
        assert_eq!(parse(Workspace, id, id), parse(Workspace, hyphens, hyphens));
        assert_eq!(
            parse(Workspace, "not-an-id", id).unwrap().owner,
            Owner::Workspace(None)
        );
        assert_eq!(
            parse(Subscription, id, id),
            parse(Subscription, hyphens, id)
        );
    }
}
