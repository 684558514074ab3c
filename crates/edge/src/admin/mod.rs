//! Our own operators' API, `/umpire/v1`: blobs, services by their short names, tokens, the audit
//! trail, workspaces' own blobs.

pub(crate) mod archives;
pub(crate) mod audit;
pub(crate) mod blobs;
pub(crate) mod configuration;
pub(crate) mod nodes;
pub(crate) mod services;
pub(crate) mod storage;
pub(crate) mod tokens;
pub(crate) mod usage;
pub(crate) mod workspaces;

use faults::Fault;
use manage::{Principal, Role, Target};

use crate::stack::Call;

/// Who calls, where only those may who run the installation.
///
/// Most of this API is theirs. Services, and the blobs that they are made of, are open to everybody
/// within his role and scope, which the manager asks about.
pub(crate) fn authorize(call: &Call<'_>) -> Result<Principal, Fault> {
    let principal = call.principal()?;
    principal.permit(Role::Admin, &Target::installation())?;
    Ok(principal)
}
