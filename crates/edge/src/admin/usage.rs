//! `/umpire/v1/usage`: what the endpoints are used, day by day.

use faults::{Fault, bad_argument};
use http::StatusCode;
use wire::umpire_v1::{UsageLine, UsageList};

use crate::extract;
use crate::reply::Reply;
use crate::stack::Call;

/// How many days are told of unless the caller says from when.
const DAYS: i64 = 30;

/// `GET /umpire/v1/usage?from=2026-11-01&to=2026-11-30`: both days are included, and each may be
/// left out.
pub(crate) async fn get(call: &Call<'_>) -> Result<Reply, Fault> {
    let principal = call.principal()?;
    let to = match day(call, "to")? {
        Some(day) => day,
        None => store::day_of(jiff::Timestamp::now()),
    };
    let from = day(call, "from")?.unwrap_or(to.saturating_sub(DAYS - 1));
    let used = call.gateway.manager.usage(&principal, from, to).await?;
    let lines = used
        .into_iter()
        .map(|line| UsageLine {
            day: extract::date(line.day),
            endpoint_id: line.endpoint.to_string(),
            endpoint: line.label,
            transactions: line.transactions,
            compute_seconds: line.compute as f64 / 1e6,
        })
        .collect();
    Reply::json(
        StatusCode::OK,
        &UsageList {
            from: extract::date(from),
            to: extract::date(to),
            lines,
        },
    )
}

fn day(call: &Call<'_>, name: &str) -> Result<Option<i64>, Fault> {
    let Some(given) = call.query(name) else {
        return Ok(None);
    };
    extract::day_of_date(&given).map(Some).ok_or_else(|| {
        bad_argument::invalid_query_parameter(name, "It is a date of the form 2026-11-30.")
    })
}
