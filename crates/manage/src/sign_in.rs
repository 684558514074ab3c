//! Who calls, by the credential that was shown.

use faults::Fault;
use jiff::Timestamp;
use store::{Actor, Entry, KeyDigest, Role, Scope, Store};

use crate::Manager;
use crate::access::Principal;

impl Manager {
    /// Makes ready what the credential is to be checked with. Checking it is reading memory; this
    /// may wait for an identity provider whose keys are not known yet.
    pub async fn prepare_sign_in(&self, credential: &str) {
        let provider = self.inner.options.load().identity.clone();
        if let Some(provider) = provider {
            provider.prepare(credential).await;
        }
    }

    /// Checks the credentials of a management call that came from the address `origin`: the
    /// operator's token, a management token, a token of a workspace, or one of the identity
    /// provider. Keys of endpoints open nothing here.
    ///
    /// # Errors
    /// `Unauthorized.ManagementRequestUnauthorized`; `InternalError.AdminAuthenticationFailed` when
    /// only the operator's token could be meant and cannot be read; `ServiceUnavailable` for a token
    /// of the identity provider while its keys are not known.
    pub fn authorize(&self, credential: Option<&str>, origin: &str) -> Result<Principal, Fault> {
        self.authorize_on(None, credential, origin)
    }

    /// Like [`Manager::authorize`], for a call of the classic API about one endpoint: the
    /// endpoint's own keys may manage it too, and nothing else. `endpoint` is what the call's path
    /// names, `None` where that names nothing.
    ///
    /// # Errors
    /// As for [`Manager::authorize`].
    pub fn authorize_on(
        &self,
        endpoint: Option<&Entry>,
        credential: Option<&str>,
        origin: &str,
    ) -> Result<Principal, Fault> {
        let store = &self.inner.store;
        let refused = faults::unauthorized::management_request_unauthorized;
        let digest = credential.map(|text| store.sealer.digest_key(text));
        let digest = digest.ok_or_else(|| refused().because("no credential was shown"))?;
        let somebody = |name: String, role, scope| {
            let origin = origin.to_owned();
            Principal::new(Actor { name, origin }, role, scope)
        };
        let now = Timestamp::now();
        match known(store, endpoint, &digest, now) {
            Some(Known::Is(name, role, scope)) => return Ok(somebody(name, role, scope)),
            Some(Known::NoLonger(why)) => return Err(refused().because(why)),
            None => {}
        }
        if let (Some(provider), Some(text)) = (&self.inner.options.load().identity, credential)
            && let Some(principal) = provider.sign_in(text, origin, now)?
        {
            return Ok(principal);
        }
        match store.is_operator(&digest)? {
            true => Ok(somebody(
                "operator".into(),
                Role::Admin,
                Scope::Installation,
            )),
            false => Err(refused().because("the credential is not one of this installation's")),
        }
    }
}

/// A credential that the directory knows.
enum Known {
    Is(String, Role, Scope),
    NoLonger(String),
}

fn known(
    store: &Store,
    endpoint: Option<&Entry>,
    presented: &KeyDigest,
    now: Timestamp,
) -> Option<Known> {
    let directory = store.ledger.directory();
    if let Some(token) = directory.token(presented) {
        if !token.is_good(now) {
            let how = match token.revoked {
                Some(_) => "was revoked",
                None => "has expired",
            };
            return Some(Known::NoLonger(format!("the token {} {how}", token.name)));
        }
        store.ledger.token_used(token, now);
        let name = format!("token {}", token.name);
        return Some(Known::Is(name, token.role, token.scope.clone()));
    }
    if let Some(workspace) = directory.workspace_by_token(presented) {
        let name = format!("workspace {}", workspace.id);
        return Some(Known::Is(
            name,
            Role::Manage,
            Scope::Workspace(workspace.id),
        ));
    }
    let endpoint = endpoint.filter(|endpoint| endpoint.has_key(presented))?;
    let (name, scope) = (
        format!("key of endpoint {}", endpoint.endpoint),
        Scope::Endpoint(endpoint.endpoint),
    );
    Some(Known::Is(name, Role::Manage, scope))
}
