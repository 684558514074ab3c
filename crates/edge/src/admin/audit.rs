//! `GET /umpire/v1/audit`: who changed what, when, from where, and with what result.

use faults::{Fault, bad_argument};
use http::StatusCode;
use wire::umpire_v1::{AuditLine, AuditList};

use super::authorize;
use crate::reply::Reply;
use crate::stack::Call;

/// Lines that a call gets unless it asks for a number.
const LINES: u32 = 100;
/// The most lines of one reply.
const MOST: u32 = 1000;

/// `GET /umpire/v1/audit?limit=N&before=NUMBER`.
pub(crate) async fn list(call: &Call<'_>) -> Result<Reply, Fault> {
    let principal = authorize(call)?;
    let limit = number(call, "limit")?
        .map_or(LINES, |n| u32::try_from(n).unwrap_or(MOST))
        .min(MOST);
    let before = number(call, "before")?;
    let manager = &call.gateway.manager;
    let lines = manager.audit(&principal, limit, before).await?;
    let full = lines.len() >= limit as usize;
    let next = lines.last().map(|line| line.number).filter(|_| full);
    let lines = lines
        .into_iter()
        .map(|line| AuditLine {
            number: line.number,
            time: line.at.to_string(),
            actor: line.actor,
            origin: line.origin,
            action: line.action,
            subject: line.subject,
            result: line.result,
        })
        .collect();
    Reply::json(StatusCode::OK, &AuditList { lines, next })
}

fn number(call: &Call<'_>, name: &str) -> Result<Option<u64>, Fault> {
    call.query(name)
        .map(|text| {
            text.parse()
                .map_err(|_| bad_argument::invalid_query_parameter(name, "It is a whole number."))
        })
        .transpose()
}
