//! Batch work: a call with files, in the lane behind.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use faults::{Class, Fault, gateway_timeout, internal_error, request_timeout};

use super::calls::Outcome;
use super::options::Lane;
use super::pool::Admission;
use super::start::refused;
use super::{Host, Inner, process, unavailable};
use crate::Operation;
use crate::batch::{Answer, BatchCall, PlanFacts, WorkDone, WorkEnd, WorkFailed, told};

/// How often it is looked how far work has come.
const LOOK: Duration = Duration::from_millis(250);
/// How long a plan's description may take, its container's start aside.
const DESCRIBE: Duration = Duration::from_secs(60);
/// A deadline that does not come.
const NEVER: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

impl Host {
    /// Does one piece of a batch job in a container of the batch lane that holds exactly this
    /// revision, however many were deployed since. It waits for room as long as it takes, in order
    /// of arrival, and services take turns. The descriptors are closed here once the container has
    /// them. Dropping the future stops the work within about a second.
    ///
    /// # Errors
    ///
    /// [`WorkFailed`] says whether the data or plan, a file, the container or the time is to blame.
    /// Of the data or plan: what the reader of the file, `graph::Plan::parameters` and
    /// `graph::Plan::run` say, `RequestBodyInvalid` for a parameter that is no scalar,
    /// `BackendArgumentError` for work that does not fit the plan. Else as [`Host::call`], without
    /// the codes of waiting in vain.
    pub async fn batch(
        &self,
        endpoint: [u8; 16],
        revision: [u8; 16],
        label: &str,
        call: BatchCall,
    ) -> Result<WorkDone, WorkFailed> {
        let body = serde_json::to_vec(&call.work).map_err(|e| {
            WorkFailed::of_host(
                internal_error::unknown_error()
                    .because(e)
                    .because("batch work"),
            )
        })?;
        let deadline = call.deadline.unwrap_or_else(|| Instant::now() + NEVER);
        let inner = &self.0;
        let admission = inner
            .batch_room(endpoint, revision, label, deadline)
            .await?;
        let process = admission.process.clone();
        let work = Operation::Work.code();
        let handed_over = process.connection.call_with(
            work,
            budget_ms(deadline),
            &body.into(),
            &call.descriptors,
            admission,
        );
        drop(call.descriptors);
        let waiting = match handed_over {
            Ok(waiting) => waiting,
            Err(error) => {
                let fault = refused(error).because("handing descriptors to a container");
                let end = WorkEnd::Lost;
                return Err(WorkFailed { end, fault });
            }
        };
        let outcome = match waiting {
            None => Outcome::Lost { begun: false },
            Some(mut waiting) => {
                waiting.sent().await;
                let tell = |so_far| {
                    if let Some(progress) = &call.progress {
                        progress.set(so_far);
                    }
                };
                loop {
                    let until = deadline.min(Instant::now() + LOOK);
                    match tokio::time::timeout_at(until.into(), &mut waiting).await {
                        Ok(outcome) => {
                            tell(waiting.progress());
                            break outcome;
                        }
                        Err(_) => tell(waiting.progress()),
                    }
                    if Instant::now() >= deadline {
                        return Err(spent(gateway_timeout::backend_score_timeout()));
                    }
                }
            }
        };
        let bytes = match outcome {
            Outcome::Answer(bytes) => bytes,
            Outcome::Fault(bytes) => {
                let (end, fault) = match Fault::from_bytes(&bytes) {
                    Ok(fault) => (WorkEnd::Fault, fault),
                    Err(unknown) => (WorkEnd::Lost, unknown),
                };
                return Err(WorkFailed { end, fault });
            }
            Outcome::Stopped => return Err(spent(gateway_timeout::backend_score_timeout())),
            other => return Err(WorkFailed::of_host(lost(other, &process))),
        };
        match serde_json::from_slice(&bytes) {
            Ok(Answer::Done(done)) => Ok(done),
            Ok(Answer::Failed(end, text)) => Err(WorkFailed {
                end,
                fault: Fault::bare(Class::InternalError).because(text),
            }),
            Err(error) => Err(WorkFailed::of_host(unreadable(&error))),
        }
    }

    /// What a batch job must know of a revision's plan, told by a container of the batch lane.
    ///
    /// # Errors
    ///
    /// As [`Host::call`], without the codes of waiting in vain.
    pub async fn describe(
        &self,
        endpoint: [u8; 16],
        revision: [u8; 16],
        label: &str,
    ) -> Result<PlanFacts, Fault> {
        let inner = &self.0;
        let never = Instant::now() + NEVER;
        let room = inner.batch_room(endpoint, revision, label, never).await;
        let admission = room.map_err(|failed| failed.fault)?;
        let deadline = Instant::now() + DESCRIBE;
        let process = admission.process.clone();
        let describe = Operation::Describe.code();
        let nothing = Bytes::new();
        let budget = budget_ms(deadline);
        let waiting = process
            .connection
            .call(describe, budget, &nothing, admission);
        let outcome = match waiting {
            None => Outcome::Lost { begun: false },
            Some(mut waiting) => {
                waiting.sent().await;
                let answer = tokio::time::timeout_at(deadline.into(), waiting).await;
                answer.map_err(|_| gateway_timeout::backend_score_timeout())?
            }
        };
        match outcome {
            Outcome::Answer(bytes) => {
                let facts: told::Facts =
                    serde_json::from_slice(&bytes).map_err(|error| unreadable(&error))?;
                let wrong =
                    || internal_error::backend_bad_request().because("a plan's description");
                facts.read().ok_or_else(wrong)
            }
            Outcome::Fault(bytes) => Err(Fault::from_bytes(&bytes).unwrap_or_else(|e| e)),
            Outcome::Stopped => Err(gateway_timeout::backend_score_timeout()),
            other => Err(lost(other, &process)),
        }
    }
}

impl Inner {
    /// Room in the batch lane's container of that revision.
    async fn batch_room(
        self: &Arc<Self>,
        endpoint: [u8; 16],
        revision: [u8; 16],
        label: &str,
        deadline: Instant,
    ) -> Result<Admission, WorkFailed> {
        if self.is_closing() {
            return Err(WorkFailed::of_host(unavailable(
                "the host is shutting down",
            )));
        }
        let pool = self.pool(endpoint, Lane::Batch, label);
        let limit = self.options.load().calls(Lane::Batch);
        match pool.admit(revision, limit) {
            Some(admission) => Ok(admission),
            None => match self.wait(&pool, revision, deadline).await {
                Ok(admission) => Ok(admission),
                Err(_) if Instant::now() >= deadline => {
                    Err(spent(request_timeout::score_request_timeout()))
                }
                Err(fault) => Err(WorkFailed::of_host(fault)),
            },
        }
    }
}

/// Milliseconds until then, as a call's head has them.
fn budget_ms(deadline: Instant) -> u32 {
    let left = deadline.saturating_duration_since(Instant::now());
    u32::try_from(left.as_millis()).unwrap_or(u32::MAX)
}

fn spent(fault: Fault) -> WorkFailed {
    WorkFailed {
        end: WorkEnd::Deadline,
        fault,
    }
}

/// The fault of an outcome that is no answer of a container that did what was asked.
fn lost(outcome: Outcome, process: &process::Process) -> Fault {
    match outcome {
        Outcome::Refused(reason) => process::refusal_fault(reason),
        Outcome::UnknownStatus(status) => internal_error::unexpected_score_status()
            .because(format!("the container answered with status {status}")),
        _ => process.end_fault(),
    }
}

fn unreadable(error: &serde_json::Error) -> Fault {
    internal_error::backend_bad_request()
        .caused_by(error)
        .because("the answer of a container of the batch lane")
}
