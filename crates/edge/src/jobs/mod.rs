//! The batch API: jobs over blobs. Submit, start, status, cancel as published clients call them, and
//! the list of an endpoint's jobs, which is ours.
//!
//! Order of the checks: ids of the path, api-version, credentials and look-up, query, body; what is
//! asked of inputs, outputs and blobs is asked by [`jobs::Queue`].

mod details;
pub(crate) mod logs;
mod request;
mod status;
pub(crate) mod swagger;

use ::jobs::{ApiVersion, JobState, Page};
use bytes::Bytes;
use faults::{Class, Fault, bad_argument};
use http::StatusCode;
use http::header::{CACHE_CONTROL, CONTENT_LANGUAGE, HeaderValue, VARY};
use scoring::{Address, Endpoint, Family};
use serde::Serialize;
use store::{Actor, Id};
use wire::bes_2_0::JobList;

use crate::extract;
use crate::reply::Reply;
use crate::score::docs;
use crate::stack::Call;

/// The version that has a name; calls of the first one have none.
const VERSIONS: &[&str] = &["2.0"];
/// Jobs of one page of the list, unless the call asks for another number.
const PAGE: usize = 100;
/// The most jobs of one page.
const MOST: usize = 200;

/// `POST …/jobs`: the reply is the job's id as a JSON string and not a byte more, for clients take
/// the quotation marks off by their position.
pub(crate) async fn submit(call: &mut Call<'_>) -> Result<Reply, Fault> {
    let (endpoint, version) = enter(call)?;
    let body = call.json_body(call.gateway.options.body_limit).await?;
    let submission = request::parse(&body)?;
    if submission.says_nothing && expects_something(call, &endpoint).await? {
        return Err(bad_argument::request_is_empty());
    }
    // A client of 2.0 that leaves out the version starts its job itself, as it always does.
    let version = match version {
        ApiVersion::V1 if submission.is_of_2_0 => ApiVersion::V2,
        version => version,
    };
    let actor = actor(call, &endpoint);
    let queue = &call.gateway.jobs;
    let id = queue
        .submit(endpoint.entry(), submission.request, version, &actor)
        .await?;
    Ok(Reply::json_text(Bytes::from(format!("\"{id}\""))))
}

/// `POST …/jobs/{job}/start`. What the body is does not matter: clients send none, `{}` or an empty
/// text.
pub(crate) async fn start(call: &Call<'_>) -> Result<Reply, Fault> {
    let (endpoint, job, _) = enter_job(call, true)?;
    let actor = actor(call, &endpoint);
    let queue = &call.gateway.jobs;
    queue.start(endpoint.entry(), job, &actor).await?;
    Ok(Reply::empty(StatusCode::NO_CONTENT))
}

/// `GET …/jobs/{job}`.
pub(crate) async fn get(call: &Call<'_>) -> Result<Reply, Fault> {
    let (endpoint, job, version) = enter_job(call, false)?;
    let queue = &call.gateway.jobs;
    let job = queue
        .status(endpoint.entry(), job, &call.base_url())
        .await?;
    let language = extract::language(&call.head.headers);
    match version {
        ApiVersion::V1 => shown(call, &status::of_1(job, language)),
        ApiVersion::V2 => shown(call, &status::of_2_0(job, language)),
    }
}

/// `DELETE …/jobs/{job}`: also after the job's end, where it changes nothing.
pub(crate) async fn cancel(call: &Call<'_>) -> Result<Reply, Fault> {
    let (endpoint, job, _) = enter_job(call, false)?;
    let actor = actor(call, &endpoint);
    let queue = &call.gateway.jobs;
    queue.cancel(endpoint.entry(), job, &actor).await?;
    Ok(Reply::empty(StatusCode::NO_CONTENT))
}

/// `GET …/jobs`: a page of the endpoint's jobs, the newest first.
pub(crate) async fn list(call: &Call<'_>) -> Result<Reply, Fault> {
    // An id that was empty when the URL was made leaves the slash.
    if call.head.uri.path().ends_with('/') {
        enter_job(call, false)?;
    }
    let (endpoint, _) = enter(call)?;
    let state = call.query("state").map(|word| state(&word)).transpose()?;
    let page = Page {
        after: call.query("$skiptoken").map(|token| token.into_owned()),
        limit: limit(call)?,
    };
    let queue = &call.gateway.jobs;
    let page = queue.list(endpoint.entry(), page, state).await?;
    let language = extract::language(&call.head.headers);
    let next_link = page.next.map(|next| {
        let mut link = format!("{}{}?", call.base_url(), call.head.uri.path());
        for name in ["api-version", "state", "$top"] {
            if let Some(value) = call.query(name) {
                link.push_str(&format!("{name}={}&", extract::encode(&value)));
            }
        }
        link.push_str(&format!("$skiptoken={}", extract::encode(&next)));
        link
    });
    let jobs = page.jobs.into_iter();
    let list = JobList {
        jobs: jobs.map(|job| status::in_list(job, language)).collect(),
        next_link,
    };
    shown(call, &list)
}

/// Ids of the path, version, credentials, look-up.
fn enter(call: &Call<'_>) -> Result<(Endpoint, ApiVersion), Fault> {
    let address = address(call)?;
    let version = version(call, false)?;
    let endpoint = call.gateway.scorer.find(&address, call.credential())?;
    Ok((endpoint, version))
}

/// The same for a call about one job; `versioned` says whether the version must be there. What is no
/// id is the id of no job.
fn enter_job(call: &Call<'_>, versioned: bool) -> Result<(Endpoint, Id, ApiVersion), Fault> {
    let address = address(call)?;
    let job = call.word(2);
    if job.is_empty() {
        return Err(bad_argument::missing_job_id());
    }
    let version = version(call, versioned)?;
    let endpoint = call.gateway.scorer.find(&address, call.credential())?;
    let job = Id::parse(&job).ok_or_else(|| Fault::bare(Class::NotFound))?;
    Ok((endpoint, job, version))
}

fn address(call: &Call<'_>) -> Result<Address, Fault> {
    let family = match call.matched.route.template.starts_with("/workspaces/") {
        true => Family::Workspace,
        false => Family::Subscription,
    };
    Address::parse(family, &call.word(0), &call.word(1))
}

fn version(call: &Call<'_>, required: bool) -> Result<ApiVersion, Fault> {
    let given = call.query("api-version");
    let version = extract::api_version(given.as_deref(), VERSIONS, required)?;
    Ok(version.map_or(ApiVersion::V1, |_| ApiVersion::V2))
}

/// Who calls: whoever has a key of the endpoint.
fn actor(call: &Call<'_>, endpoint: &Endpoint) -> Actor {
    Actor {
        name: format!("key of endpoint {}", endpoint.entry().endpoint),
        origin: call.origin().to_string(),
    }
}

/// Whether a job of this service cannot do without a word: it has an input, or a parameter without
/// a default.
async fn expects_something(call: &Call<'_>, endpoint: &Endpoint) -> Result<bool, Fault> {
    let package = docs::stored_package(call, endpoint.entry()).await?;
    let mut parameters = package.graph_parameters.iter();
    Ok(
        !package.inputs.is_empty()
            || parameters.any(|(name, _)| package.default_of(name).is_none()),
    )
}

fn state(word: &str) -> Result<JobState, Fault> {
    JobState::parse(word).ok_or_else(|| {
        let word = extract::shortened(word);
        bad_argument::invalid_query_parameter(
            "state",
            format!(
                "'{word}' is not one of: NotStarted, Queued, Running, Finished, Failed, Cancelled."
            ),
        )
    })
}

fn limit(call: &Call<'_>) -> Result<usize, Fault> {
    let Some(text) = call.query("$top") else {
        return Ok(PAGE);
    };
    let number = text
        .parse()
        .ok()
        .filter(|number| (1..=MOST).contains(number));
    number.ok_or_else(|| {
        let text = extract::shortened(&text);
        bad_argument::invalid_query_parameter(
            "$top",
            format!("'{text}' is not a whole number from 1 to {MOST}."),
        )
    })
}

/// A reply with sentences in the reader's language, and with signatures: nobody keeps it.
fn shown(call: &Call<'_>, value: &impl Serialize) -> Result<Reply, Fault> {
    let language = extract::language(&call.head.headers);
    Ok(Reply::json(StatusCode::OK, value)?
        .with(CONTENT_LANGUAGE, HeaderValue::from_static(language.tag()))
        .with(VARY, HeaderValue::from_static("Accept-Language"))
        .with(CACHE_CONTROL, HeaderValue::from_static("no-store")))
}
