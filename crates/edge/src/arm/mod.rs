//! The Resource Manager's `Microsoft.MachineLearning`: a file per kind of resource.

pub(crate) mod services;

use faults::{Fault, bad_argument};

use crate::extract;
use crate::stack::Call;

/// The api-version, which this API requires on every call; `parse` knows those of the resource.
fn api_version<V>(call: &Call<'_>, parse: impl FnOnce(&str) -> Option<V>) -> Result<V, Fault> {
    let given = call.query("api-version");
    given.as_deref().and_then(parse).ok_or_else(|| {
        let shown = given.as_deref().map_or("(none)".into(), extract::shortened);
        bad_argument::bad_version_call(shown)
    })
}
