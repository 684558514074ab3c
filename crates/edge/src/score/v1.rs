//! `POST …/score`: the API of 2014, one row in and an array of strings out.

use containers::Operation;
use faults::Fault;
use scoring::{Address, Family};

use super::execute::run;
use crate::extract;
use crate::reply::Reply;
use crate::stack::Call;

/// Clients of this API send no version.
const VERSIONS: &[&str] = &["1.0"];

/// Answers a call.
pub(crate) async fn score(call: &mut Call<'_>) -> Result<Reply, Fault> {
    let address = Address::parse(Family::Workspace, &call.word(0), &call.word(1))?;
    extract::api_version(call.query("api-version").as_deref(), VERSIONS, false)?;
    let endpoint = call.gateway.scorer.find(&address, call.credential())?;
    call.seen.endpoint(&endpoint, &call.gateway.diagnostics);
    let reply = run(call, &endpoint, Operation::ScoreV1).await?;
    Ok(Reply::json_text(reply))
}
