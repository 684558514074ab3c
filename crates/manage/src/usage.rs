//! What the endpoints of an installation are used, as operators see it.

use faults::Fault;
use store::{Role, UsageLine};

use crate::Manager;
use crate::access::{Principal, Target};

/// The most days that are asked for at once.
const MOST_DAYS: i64 = 400;

impl Manager {
    /// The usage of the days `from` to `to`, both included, as days since 1970-01-01 UTC; what was
    /// counted until now is in it.
    ///
    /// # Errors
    /// `Unauthorized.ManagementRequestUnauthorized` for whoever may not look at the whole
    /// installation; `BadArgument.InvalidQueryParameter` for more than 400 days;
    /// `InternalError.UnknownError` when the ledger fails.
    pub async fn usage(
        &self,
        principal: &Principal,
        from: i64,
        to: i64,
    ) -> Result<Vec<UsageLine>, Fault> {
        principal.permit(Role::Read, &Target::installation())?;
        if to.saturating_sub(from) >= MOST_DAYS {
            return Err(faults::bad_argument::invalid_query_parameter(
                "from",
                "At most 400 days are asked for at once.",
            ));
        }
        self.inner.store.write_usage().await?;
        self.inner.store.ledger.usage(from, to).await
    }

    /// Writes down what was used since the last time.
    ///
    /// # Errors
    /// `InternalError.UnknownError` when the ledger fails; it is counted again then.
    pub async fn write_usage(&self) -> Result<(), Fault> {
        self.inner.store.write_usage().await
    }
}
