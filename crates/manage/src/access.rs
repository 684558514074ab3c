//! Who may do what.

use faults::Fault;
use store::Store;

/// Somebody whose credentials were checked. Every operation asks for one.
#[derive(Debug, Clone)]
pub struct Principal {
    name: String,
}

impl Principal {
    /// Who it is, as the audit trail has it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Checks the credentials of a management call: so far the operator's token, which may do
    /// everything.
    ///
    /// # Errors
    /// `Unauthorized.ManagementRequestUnauthorized`.
    pub(crate) fn authorize(store: &Store, credential: Option<&str>) -> Result<Principal, Fault> {
        credential
            .map(|token| store.sealer.digest_key(token))
            .filter(|digest| store.is_operator(digest))
            .map(|_| Principal {
                name: "operator".into(),
            })
            .ok_or_else(faults::unauthorized::management_request_unauthorized)
    }
}
