//! One job, from when it is held to its end.

use std::sync::Arc;

use containers::batch::{OutputKind, PlanFacts};
use faults::{Fault, bad_argument};
use storage::{Location, Staging, Storage};
use store::{ClaimedJob, Id, StagedOutput};
use tables::files::{Cutter, FileType};

use super::chunks::work_on_all;
use super::commit::{commit, finish};
use super::inputs::{Input, open_all, unsupported};
use super::plan::{Plan, Ratio, chunk_size};
use super::slots::Slots;
use super::spool::Spool;
use super::trouble::{Trouble, held, persist};
use super::work::{Output, Run};
use crate::lane::{Lane, Service};
use crate::options::Options;
use crate::request::Kept;
use crate::shared::Shared;

/// A job that is held, with what was asked for.
pub(super) struct Job {
    pub(super) shared: Arc<Shared>,
    pub(super) slots: Arc<Slots>,
    pub(super) spool: Arc<Spool>,
    pub(super) id: Id,
    pub(super) fence: u64,
    pub(super) workspace: Id,
    pub(super) endpoint: Id,
    pub(super) service: Service,
    pub(super) kept: Kept,
    /// Storage and settings as they were when it was taken.
    pub(super) storage: Storage,
    pub(super) options: Arc<Options>,
}

impl Job {
    pub(super) fn lane(&self) -> &dyn Lane {
        &*self.shared.lane
    }

    /// Counts what the endpoint is used.
    pub(super) fn used(&self) -> Arc<store::Counter> {
        let meter = &self.shared.store.meter;
        meter.counter(self.endpoint, &self.service.label)
    }
}

/// Brings a job to where all of its outputs are in place.
pub(super) async fn drive(
    shared: Arc<Shared>,
    slots: Arc<Slots>,
    spool: Arc<Spool>,
    claimed: ClaimedJob,
) -> Result<(), Trouble> {
    let kept = Kept::from_bytes(&claimed.request?)?;
    let job = Arc::new(Job {
        id: claimed.id,
        fence: claimed.fence,
        workspace: claimed.workspace,
        endpoint: claimed.endpoint,
        service: Service {
            endpoint: claimed.endpoint.0,
            revision: claimed.revision.0,
            label: claimed.label,
        },
        storage: shared.storage.clone(),
        options: shared.options(),
        kept,
        shared,
        slots,
        spool,
    });
    let mut plan = claimed.plan.as_deref().and_then(Plan::of_text);
    if claimed.committing {
        return finish(&job).await;
    }
    let facts = persist!(job.options.attempts, async {
        let facts = job.lane().describe(&job.service).await;
        facts.map_err(Trouble::of_host)
    })?;
    check_ports(&job.kept, &facts)?;
    let mut indexed = claimed.indexed;
    let mut chunk = None;
    loop {
        let (run, known) = prepare(&job, &facts, plan.take(), chunk).await?;
        let end = match work_on_all(run.clone(), known, indexed).await {
            Ok(()) => commit(&job).await,
            Err(trouble) => Err(trouble),
        };
        match end {
            Err(Trouble::Missing(number)) => {
                tracing::warn!(
                    job = %job.id,
                    chunk = number,
                    "the rejected rows of a chunk are gone: it is worked on again"
                );
                let ledger = &job.shared.store.ledger;
                held(ledger.reset_chunk(job.id, job.fence, number).await)?;
                (plan, indexed) = (Some(run.plan.clone()), true);
            }
            Err(Trouble::Again(size)) => {
                tracing::info!(
                    job = %job.id,
                    chunk_bytes = size,
                    "the parts are smaller than their place takes: the job is cut again"
                );
                abort_staged(&job).await?;
                (chunk, indexed) = (Some(size), false);
            }
            end => return end,
        }
    }
}

/// Refuses a revision whose ports are not those that the job was checked against: it was deployed
/// between submission and the first run.
fn check_ports(kept: &Kept, facts: &PlanFacts) -> Result<(), Fault> {
    let inputs = |name: &str| facts.inputs.iter().any(|port| port.name == name);
    let unknown: Vec<&str> = names(&kept.inputs).filter(|name| !inputs(name)).collect();
    if !unknown.is_empty() {
        return Err(bad_argument::invalid_input_names(unknown.join(", ")));
    }
    let given = |port: &str| names(&kept.inputs).any(|name| name == port);
    let ports = facts.inputs.iter().map(|port| port.name.as_str());
    let missing: Vec<&str> = ports.filter(|name| !given(name)).collect();
    if !missing.is_empty() {
        return Err(bad_argument::batch_job_inputs_not_specified(
            missing.join(", "),
        ));
    }
    let is_model = |kind: OutputKind| kind == OutputKind::Model;
    for placed in &kept.outputs {
        let there = facts
            .outputs
            .iter()
            .any(|output| output.name == placed.name && is_model(output.kind) == placed.model);
        if !there {
            return Err(bad_argument::invalid_output_override_name(&placed.name));
        }
    }
    Ok(())
}

fn names<T>(named: &[(String, T)]) -> impl Iterator<Item = &str> {
    named.iter().map(|(name, _)| name.as_str())
}

/// Everything that work on chunks needs: the inputs open, the outputs begun or gone on with, and
/// the plan in the ledger. `chunk` is the size of chunks where that was found out already.
async fn prepare(
    job: &Arc<Job>,
    facts: &PlanFacts,
    plan: Option<Plan>,
    chunk: Option<u64>,
) -> Result<(Arc<Run>, Vec<store::Chunk>), Trouble> {
    let ledger = &job.shared.store.ledger;
    let inputs: Vec<Arc<Input>> = open_all(job, facts, plan.as_ref()).await?;
    let places = job.kept.places(&job.storage, job.workspace)?;
    if let Some(plan) = plan {
        let staged = ledger
            .staged_outputs(job.id)
            .await
            .map_err(Trouble::Ledger)?;
        let outputs = outputs(job, &places, Some(&staged)).await?;
        let known = ledger.chunks(job.id).await.map_err(Trouble::Ledger)?;
        let run = Run {
            job: job.clone(),
            inputs,
            outputs,
            plan,
        };
        return Ok((Arc::new(run), known));
    }
    let outputs = outputs(job, &places, None).await?;
    let mut run = Run {
        job: job.clone(),
        plan: Plan {
            inputs: inputs.iter().map(|input| input.seen.clone()).collect(),
            chunk: None,
        },
        inputs,
        outputs,
    };
    let size = match chunk {
        Some(size) => Some(size),
        None if may_be_cut(&run, facts) => Some(size_of_chunks(&mut run).await?),
        None => None,
    };
    run.plan.chunk = size;
    let mut staged = Vec::new();
    for (position, output) in (0..).zip(&run.outputs) {
        staged.push(StagedOutput {
            position,
            token: output.staging.token(),
            parts: None,
            committed: false,
        });
    }
    if job.kept.rejects.is_some()
        && let (Some(at), Some(position)) = (places.last(), places.len().checked_sub(1))
    {
        staged.push(StagedOutput {
            position: position as u32,
            token: begin_rejects(job, at).await?.token(),
            parts: None,
            committed: false,
        });
    }
    let total = run.inputs.iter().map(|input| input.size).sum();
    // A part of the input that no chunk has: its head.
    let head = match (run.plan.chunk, run.inputs.first()) {
        (Some(_), Some(input)) => input.head.end,
        _ => 0,
    };
    let text = run.plan.to_text();
    held(
        ledger
            .put_job_plan(job.id, job.fence, text, staged, (total, head))
            .await,
    )?;
    Ok((Arc::new(run), Vec::new()))
}

/// The outputs, begun anew or gone on with by what is staged for them.
async fn outputs(
    job: &Job,
    places: &[Location],
    staged: Option<&[StagedOutput]>,
) -> Result<Vec<Output>, Trouble> {
    let mut outputs = Vec::with_capacity(job.kept.outputs.len());
    for (position, (placed, at)) in job.kept.outputs.iter().zip(places).enumerate() {
        let file = match (placed.model, FileType::of_name(at.file_name())) {
            (false, Some(file)) => Some(file),
            (true, _) => None,
            (false, None) => return Err(unsupported(at, &placed.name).into()),
        };
        let content_type = file.as_ref().map_or(MODEL, FileType::content_type);
        let token = staged.and_then(|staged| {
            let mut staged = staged.iter();
            staged.find(|output| output.position as usize == position)
        });
        let staging = persist!(job.options.attempts, async {
            let staging = match token {
                Some(output) => job.storage.resume(at, &output.token).await,
                None => job.storage.begin(at, content_type).await,
            };
            staging.map_err(|failure| Trouble::of_storage(failure, placed.purpose(), at))
        });
        outputs.push(Output {
            name: placed.name.clone(),
            model: placed.model,
            at: at.clone(),
            file,
            staging: staging?,
        });
    }
    Ok(outputs)
}

/// What models are, to whoever downloads one.
const MODEL: &str = "application/octet-stream";

pub(super) async fn begin_rejects(job: &Job, at: &Location) -> Result<Staging, Trouble> {
    let purpose = storage::Purpose::Output(crate::request::REJECTS);
    persist!(job.options.attempts, async {
        let staging = job.storage.begin(at, "text/csv; charset=utf-8").await;
        staging.map_err(|failure| Trouble::of_storage(failure, purpose, at))
    })
}

/// Lets go of what is staged for a plan that is given up.
async fn abort_staged(job: &Job) -> Result<(), Trouble> {
    let places = job.kept.places(&job.storage, job.workspace)?;
    let staged = job.shared.store.ledger.staged_outputs(job.id).await;
    for output in staged.map_err(Trouble::Ledger)? {
        let Some(at) = places.get(output.position as usize) else {
            continue;
        };
        // What cannot be let go of now is nobody's, and does no harm.
        if let Ok(staging) = job.storage.resume(at, &output.token).await {
            let _ = staging.abort().await;
        }
    }
    Ok(())
}

/// Whether a job's input may be cut: each row of each output depends on one row of the one input,
/// and rows of both can be told apart without the rest.
fn may_be_cut(run: &Run, facts: &PlanFacts) -> bool {
    let inputs = match run.inputs.as_slice() {
        [input] => input.file.format.can_be_cut(),
        _ => false,
    };
    let cut = |output: &Output| output.file.is_some_and(|file| file.format.can_be_cut());
    facts.row_wise && inputs && run.outputs.iter().all(cut)
}

/// How much of the input is worked on to see how much comes out.
const SAMPLE: u64 = 1 << 20;

/// How many bytes a chunk is to have. Where an output goes elsewhere, a sample tells how much comes
/// out: parts are held in memory there, and some places take no small ones.
async fn size_of_chunks(run: &mut Run) -> Result<u64, Trouble> {
    let wanted = run.job.options.chunk_size;
    let Some(input) = run.inputs.first().cloned() else {
        return Ok(wanted);
    };
    let total = input.size.saturating_sub(input.head.end);
    let elsewhere = run.outputs.iter().any(|output| !output.at.is_own());
    if total <= wanted || !elsewhere {
        let limits = run.outputs.iter().map(|output| output.staging.limits());
        let assumed: Vec<Ratio> = limits.map(|limits| Ratio { out: 1.0, limits }).collect();
        return Ok(match elsewhere {
            // All of it is one chunk, and the last part may be as small as it likes.
            true => wanted,
            false => chunk_size(total, wanted, &assumed),
        });
    }
    let end = input.head.end.saturating_add(SAMPLE).min(input.size);
    let bytes = input.bytes(input.head.end..end).await?;
    // To the last record that is whole.
    let mut whole = 0;
    let mut cutter = Cutter::new(input.file.format, 0, 1, 1);
    cutter.scan(&bytes, |cut| {
        whole = cut.offset;
        cut.offset + 1
    });
    if whole == 0 {
        // A single record of that length: that is a matter for the work itself.
        return Ok(wanted);
    }
    // It was planned as one piece so far, which it is not to be worked on as.
    run.plan.chunk = Some(wanted);
    let slot = run.job.slots.take(run.job.endpoint, run.job.id).await;
    let attempts = run.job.options.attempts;
    let out = persist!(attempts, run.sample(&input, whole))?;
    drop(slot);
    let outputs = run.outputs.iter().zip(out);
    let ratios: Vec<Ratio> = outputs
        .map(|(output, out)| Ratio {
            out,
            limits: output.staging.limits(),
        })
        .collect();
    Ok(chunk_size(total, wanted, &ratios))
}
