//! Codes that clients have seen on the old wire and that the contract's 110 rows lack.
//!
//! They stand under the same checks as the rows of [`crate::catalogue`] (described, translated,
//! generated docs), outside the count of 115. [`Class::row`] finds them; [`Class::rows`] and
//! [`crate::all_rows`] do not list them.

use crate::Fault;
use crate::catalogue::Class;
use crate::table::Row;

extensions! {
    /// What happened: A definition was asked for by `?region=`, and none has been made for that
    /// region yet.
    ///
    /// What to do: POST to the service's `CreateRegionalBlob?region=...` for the same region, poll
    /// until it has succeeded, then GET again. Without `region` the definition of the service's own
    /// region comes back.
    NotFound.PerRegionPayloadNotFound = per_region_payload_not_found(region),
        "The web service has no definition for the region {0}. POST to CreateRegionalBlob for that region, wait until it has succeeded, and try again.";
    /// What happened: A Resource Manager call names a resource, such as a commitment plan or a
    /// workspace, that does not exist in that resource group.
    ///
    /// What to do: Check the subscription, the resource group, the type and the name in the path
    /// against a list call; they are compared without regard to letter case. Create the resource
    /// with PUT if it should exist.
    NotFound.ResourceNotFound = resource_not_found(resource, resource_group),
        "The resource '{0}' under resource group '{1}' does not exist.";
    /// What happened: The default endpoint of a classic web service was to be refreshed, to be
    /// given other resources, or to be deleted while the service still has other endpoints. It
    /// changes with the service alone. (The class is InvalidOperation, status 400, as classic
    /// clients expect; no credentials are at fault.)
    ///
    /// What to do: For another model, add an endpoint and update that one, or deploy the service
    /// again. To delete, delete the other endpoints first, or the whole web service.
    InvalidOperation.UnauthorizedRequest = unauthorized_request(),
        "The default endpoint cannot be refreshed or given other resources, nor be deleted while the web service has other endpoints.";
}
