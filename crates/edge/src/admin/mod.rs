//! Our own operators' API, `/umpire/v1`: blobs, and services by their short names.

pub(crate) mod blobs;
pub(crate) mod services;
pub(crate) mod workspaces;

use faults::{Fault, unauthorized};
use manage::Principal;

use crate::stack::Call;

/// Who calls: the operator, or nobody.
pub(crate) fn authorize(call: &Call<'_>) -> Result<Principal, Fault> {
    call.principal().map_err(|fault| {
        if fault.is(&faults::rows::Unauthorized::ManagementRequestUnauthorized) {
            unauthorized::admin_request_unauthorized()
        } else {
            fault
        }
    })
}
