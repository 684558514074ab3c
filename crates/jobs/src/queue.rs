//! What callers do with jobs.

use std::sync::Arc;

use faults::Fault;
use futures_util::future::try_join_all;
use storage::{BlobReference, Purpose, Storage};
use store::{Actor, ApiVersion, Entry, Id, JobCursor, JobLimits, JobState, NewJob};

use crate::checks;
use crate::options::Options;
use crate::request::{JobRequest, Kept, OnBadRow, Placed, REJECTS, Target};
use crate::shared::Shared;
use crate::view::{self, JobPage, JobView, Page};

/// The most jobs of one page of a list.
const PAGE: usize = 200;

/// Takes jobs in and tells of them. Clones are the same queue.
#[derive(Clone)]
pub struct Queue(Arc<Shared>);

impl std::fmt::Debug for Queue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Queue")
    }
}

impl Queue {
    pub(crate) fn new(shared: Arc<Shared>) -> Queue {
        Queue(shared)
    }

    /// Lets these hold from now on. What is under way goes on as it began.
    ///
    /// # Errors
    /// As for [`Options::check`]; then nothing has changed.
    pub fn set_options(&self, options: Options) -> Result<(), Fault> {
        options.check()?;
        self.0.options.store(Arc::new(options));
        self.0.wake.notify_one();
        Ok(())
    }

    /// Checks a job and writes it down; one of version 1 is queued at once. In this order: names
    /// and number of blobs, each reference, parameters, limits; then storage is asked whether
    /// inputs can be read and outputs written.
    ///
    /// # Errors
    /// Of class `BadArgument` `DuplicateInputInBatchCall`, `BatchJobInputsTooManySpecified`,
    /// `InvalidInputNames`, `BatchJobInputsNotSpecified`, `InvalidOutputOverrideName`,
    /// `MissingRequiredOutputOverrides`; those of [`Storage::resolve`] and of
    /// [`graph::Plan::parameters`]; `BlobNotFound`, `ContainerValidationFailed` and `UnknownError`
    /// by what storage says. `InvalidOperation.MultipleInputsNotAllowed` and
    /// `InvalidOperation.IncompatibleModel` for version 1. `BadArgument` without a row where two
    /// outputs would go to the same place. `ServiceUnavailable` where there are too many jobs.
    /// `InternalError` where the ledger or the stored package fails.
    pub async fn submit(
        &self,
        endpoint: &Entry,
        request: JobRequest,
        version: ApiVersion,
        actor: &Actor,
    ) -> Result<Id, Fault> {
        let shared = &*self.0;
        let storage = &shared.storage;
        let ports = shared.packages.of(endpoint).await?;
        let accepted: Vec<&str> = ports.inputs().collect();
        let given: Vec<&str> = ports.outputs().collect();
        checks::version(version, accepted.len(), given.len(), false)?;
        let inputs = checks::inputs(&request, &accepted)?;
        let own_key = {
            let directory = shared.store.ledger.directory();
            let workspace = directory.workspace(&endpoint.workspace);
            workspace.is_some_and(|workspace| workspace.key_vault.is_some())
        };
        let overrides = checks::outputs(&request, &given, own_key)?;

        let workspace = endpoint.workspace;
        let mut sources = Vec::with_capacity(inputs.len());
        let mut kept_inputs = Vec::with_capacity(inputs.len());
        for (name, blob) in inputs {
            let blob = blob.unwrap_or_default();
            sources.push((
                storage.resolve(&blob, workspace, Purpose::Input(&name))?,
                name.clone(),
            ));
            kept_inputs.push((name, blob));
        }
        let mut outputs = Vec::with_capacity(overrides.len());
        let run = Id::random();
        for (name, blob) in given.iter().zip(overrides) {
            let model = false;
            let placed = Placed {
                name: (*name).to_owned(),
                model,
                target: match blob {
                    Some(blob) => Target::Given(blob.unwrap_or_default()),
                    None => Target::Own(own_name(run, model)),
                },
            };
            placed
                .target
                .resolve(storage, workspace, placed.purpose())?;
            outputs.push(placed);
        }
        let rejects = rejects(storage, workspace, &request.on_bad_row, &outputs)?;
        let kept = Kept {
            inputs: kept_inputs,
            outputs,
            rejects,
            parameters: request.parameters,
        };
        let places = kept.places(storage, workspace)?;
        for (i, place) in places.iter().enumerate() {
            if places.iter().take(i).any(|other| other == place) {
                return Err(Fault::bare(faults::Class::BadArgument)
                    .because(format!("two outputs would go to {}", place.shown())));
            }
        }
        ports.check_parameters(&kept.parameters)?;
        let limits = self.limits();
        let ledger = &shared.store.ledger;
        ledger.room_for_job(endpoint.endpoint, limits).await?;

        try_join_all(sources.iter().map(async |(at, name)| {
            let open = storage.open(at).await;
            open.map(drop)
                .map_err(|failure| failure.into_fault(Purpose::Input(name), at))
        }))
        .await?;
        let purposes = kept.outputs.iter().map(Placed::purpose);
        let purposes = purposes.chain(kept.rejects.iter().map(|_| Purpose::Output(REJECTS)));
        try_join_all(places.iter().zip(purposes).map(async |(at, purpose)| {
            let probe = storage.probe(at).await;
            probe.map_err(|failure| failure.into_fault(purpose, at))
        }))
        .await?;

        let id = Id::random();
        let new = NewJob {
            id,
            workspace,
            service: endpoint.service,
            endpoint: endpoint.endpoint,
            label: endpoint.label(),
            version,
            request: kept.to_bytes(),
        };
        ledger.submit_job(new, limits, actor).await?;
        tracing::info!(job = %id, endpoint = endpoint.label(), "a job was submitted");
        shared.wake.notify_one();
        Ok(id)
    }

    /// Puts a job into the queue.
    ///
    /// # Errors
    /// `NotFound` where the endpoint has no such job; `InvalidOperation.CannotStartJob` for one
    /// that was started already; `InternalError.UnknownJobStatusCode`;
    /// `InternalError.UnknownError` when the ledger fails.
    pub async fn start(&self, endpoint: &Entry, job: Id, actor: &Actor) -> Result<(), Fault> {
        let ledger = &self.0.store.ledger;
        ledger.start_job(endpoint.endpoint, job, actor).await?;
        self.0.wake.notify_one();
        Ok(())
    }

    /// Cancels a job; the work on it stops within a second. A job at its end stays as it is, and so
    /// does one whose outputs are being put in place.
    ///
    /// # Errors
    /// `NotFound` where the endpoint has no such job; `InternalError.UnknownJobStatusCode`;
    /// `InternalError.UnknownError` when the ledger fails.
    pub async fn cancel(&self, endpoint: &Entry, job: Id, actor: &Actor) -> Result<(), Fault> {
        let ledger = &self.0.store.ledger;
        if ledger.cancel_job(endpoint.endpoint, job, actor).await? {
            tracing::info!(job = %job, endpoint = endpoint.label(), "a job was cancelled");
            self.0.wake.notify_one();
            // One that never began has nothing to tell.
            if let Ok(record) = ledger.job(endpoint.endpoint, job).await
                && record.started.is_some()
            {
                (self.0.on_end)(&record);
            }
        }
        Ok(())
    }

    /// How far a job is. Where its outputs are is signed anew each time; `base_url` is where this
    /// installation is reached.
    ///
    /// # Errors
    /// `NotFound` where the endpoint has no such job; `InternalError.UnknownJobStatusCode`;
    /// `InternalError.UnknownError` when the ledger fails; what storage says where it cannot sign.
    pub async fn status(
        &self,
        endpoint: &Entry,
        job: Id,
        base_url: &str,
    ) -> Result<JobView, Fault> {
        let ledger = &self.0.store.ledger;
        let record = ledger.job(endpoint.endpoint, job).await?;
        let finished = record.state == JobState::Finished;
        let workspace = record.workspace;
        let mut view = view::of(record, self.0.live.of(job));
        if finished && let Some(bytes) = ledger.job_request(job).await? {
            let kept = Kept::from_bytes(&bytes)?;
            let storage = &self.0.storage;
            (view.outputs, view.rejects) =
                view::signed(storage, workspace, &kept, base_url).await?;
        }
        Ok(view)
    }

    /// The jobs of an endpoint, the newest first, without where their outputs are.
    ///
    /// # Errors
    /// `BadArgument.InvalidQueryParameter` for a `$skiptoken` that is none;
    /// `InternalError.UnknownJobStatusCode`; `InternalError.UnknownError` when the ledger fails.
    pub async fn list(
        &self,
        endpoint: &Entry,
        page: Page,
        state: Option<JobState>,
    ) -> Result<JobPage, Fault> {
        let after = page.after.as_deref().map(str::parse).transpose();
        let after = after.map_err(|_| {
            faults::bad_argument::invalid_query_parameter(
                "$skiptoken",
                "Take it from the NextLink of the page before.",
            )
        })?;
        let limit = page.limit.clamp(1, PAGE);
        let ledger = &self.0.store.ledger;
        let mut jobs = ledger
            .jobs(endpoint.endpoint, after.map(JobCursor), limit + 1, state)
            .await?;
        let more = jobs.len() > limit;
        jobs.truncate(limit);
        let last = jobs.last().map(|job| job.number.to_string());
        Ok(JobPage {
            jobs: jobs
                .into_iter()
                .map(|job| {
                    let live = self.0.live.of(job.id);
                    view::of(job, live)
                })
                .collect(),
            next: last.filter(|_| more),
        })
    }

    fn limits(&self) -> JobLimits {
        let options = self.0.options();
        JobLimits {
            per_endpoint: options.queue_per_endpoint,
            in_all: options.queue,
        }
    }
}

/// Where an output goes that the caller says nothing of.
fn own_name(run: Id, model: bool) -> String {
    let extension = if model { "ilearner" } else { "csv" };
    format!("experimentoutput/{run}/{}.{extension}", Id::random())
}

/// Where rejected rows go, checked.
fn rejects(
    storage: &Storage,
    workspace: Id,
    on_bad_row: &OnBadRow,
    outputs: &[Placed],
) -> Result<Option<Target>, Fault> {
    let target = match on_bad_row {
        OnBadRow::Fail => return Ok(None),
        OnBadRow::Reject(Some(reference)) => Target::Given(BlobReference::clone(reference)),
        OnBadRow::Reject(None) => match outputs.first() {
            Some(output) => output.target.beside(),
            None => Target::Own(own_name(Id::random(), false)),
        },
    };
    let at = target.resolve(storage, workspace, Purpose::Output(REJECTS))?;
    if !at.file_name().to_ascii_lowercase().ends_with(".csv") {
        let shown = at.shown();
        return Err(faults::bad_argument::invalid_blob_extension(shown, ".csv").at(REJECTS));
    }
    Ok(Some(target))
}
