//! Putting the outputs of a job in place, once all of its chunks are done.

use std::io::{self, Read as _};
use std::sync::Arc;

use bytes::Bytes;
use faults::{Class, Fault};
use storage::{Location, Part, Purpose};
use store::{ChunkDone, ChunkState, StagedOutput};

use super::job::Job;
use super::trouble::{Trouble, held, persist};
use super::work::blocking;
use crate::request::REJECTS;

/// Puts all outputs in place. That it has begun is written down first, so that only this is gone on
/// with after a crash; what was rejected is put together before that.
pub(super) async fn commit(job: &Arc<Job>) -> Result<(), Trouble> {
    let ledger = &job.shared.store.ledger;
    let done = done(job).await?;
    let mut parts = Vec::new();
    if job.kept.rejects.is_some() {
        let position = job.kept.outputs.len() as u32;
        let staged = persist!(job.options.attempts, stage_rejects(job, position, &done))?;
        parts.push((position, staged));
    }
    held(ledger.begin_commit(job.id, job.fence, parts).await)?;
    put_all_in_place(job, &done).await
}

/// Goes on with what [`commit`] began.
pub(super) async fn finish(job: &Arc<Job>) -> Result<(), Trouble> {
    let done = done(job).await?;
    put_all_in_place(job, &done).await
}

/// What the chunks came to, in their order.
async fn done(job: &Job) -> Result<Vec<ChunkDone>, Trouble> {
    let chunks = job.shared.store.ledger.chunks(job.id).await;
    let done = chunks.map_err(Trouble::Ledger)?.into_iter();
    done.map(|chunk| match chunk.state {
        ChunkState::Done(one) => Ok(one),
        _ => Err(Fault::bare(Class::InternalError)
            .because(format!("chunk {} is not done", chunk.cut.number))
            .into()),
    })
    .collect()
}

/// Puts the outputs in place, in order and each once: what is in place already stays.
async fn put_all_in_place(job: &Arc<Job>, done: &[ChunkDone]) -> Result<(), Trouble> {
    let ledger = &job.shared.store.ledger;
    let places = job.kept.places(&job.storage, job.workspace)?;
    let staged = ledger.staged_outputs(job.id).await;
    for output in &staged.map_err(Trouble::Ledger)? {
        let position = output.position as usize;
        let Some(at) = places.get(position).filter(|_| !output.committed) else {
            continue;
        };
        let purpose = match job.kept.outputs.get(position) {
            Some(placed) => placed.purpose(),
            None => Purpose::Output(REJECTS),
        };
        let names: Vec<&String> = match &output.parts {
            Some(parts) => parts.iter().collect(),
            None => {
                let of_output = done.iter().filter_map(|chunk| chunk.parts.get(position));
                of_output.flatten().collect()
            }
        };
        let parts: Vec<Part> = names.into_iter().cloned().map(Part).collect();
        persist!(
            job.options.attempts,
            put_in_place(job, output, at, purpose, &parts)
        )?;
        held(
            ledger
                .output_committed(job.id, job.fence, output.position)
                .await,
        )?;
    }
    Ok(())
}

async fn put_in_place(
    job: &Job,
    output: &StagedOutput,
    at: &Location,
    purpose: Purpose<'_>,
    parts: &[Part],
) -> Result<(), Trouble> {
    let failed = |failure| Trouble::of_storage(failure, purpose, at);
    let staging = job
        .storage
        .resume(at, &output.token)
        .await
        .map_err(failed)?;
    staging.commit(parts).await.map_err(failed)
}

/// Stages the rejected rows of all chunks, in the order of the chunks; the names of the parts.
async fn stage_rejects(
    job: &Arc<Job>,
    position: u32,
    done: &[ChunkDone],
) -> Result<Vec<String>, Trouble> {
    let places = job.kept.places(&job.storage, job.workspace)?;
    let staged = job.shared.store.ledger.staged_outputs(job.id).await;
    let staged = staged.map_err(Trouble::Ledger)?;
    let output = staged.iter().find(|output| output.position == position);
    let (Some(output), Some(at)) = (output, places.get(position as usize)) else {
        return Err(Fault::bare(Class::InternalError)
            .because("nothing was begun for the rejected rows")
            .into());
    };
    let failed = |failure| Trouble::of_storage(failure, Purpose::Output(REJECTS), at);
    let staging = job
        .storage
        .resume(at, &output.token)
        .await
        .map_err(failed)?;
    let size = job.options.chunk_size.max(staging.limits().min);
    let size = usize::try_from(size).unwrap_or(usize::MAX);
    // Whoever held the job before may have staged some too.
    let attempt = u32::try_from(job.fence).unwrap_or(u32::MAX);
    let mut parts: Vec<String> = Vec::new();
    let mut buffer = Vec::new();
    for (chunk, one) in (0..).zip(done) {
        // The first has the names of the columns.
        if one.rejected == 0 && chunk > 0 {
            continue;
        }
        let name = one.parts.get(position as usize);
        let name = name.and_then(|names| names.first()?.parse().ok());
        let (spool, id) = (job.spool.clone(), job.id);
        let open = move || match spool.open_rejects(id, chunk, name.unwrap_or(0)) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            opened => opened.map(Some),
        };
        let mut file = blocking(open).await?.ok_or(Trouble::Missing(chunk))?;
        loop {
            let read = blocking(move || {
                let mut some = Vec::new();
                (&file).take(READ).read_to_end(&mut some)?;
                Ok((file, some))
            });
            let (back, some) = read.await?;
            file = back;
            if some.is_empty() {
                break;
            }
            buffer.extend_from_slice(&some);
            if buffer.len() >= size {
                let bytes = Bytes::from(std::mem::take(&mut buffer));
                let part = staging.stage(parts.len() as u32, attempt, bytes).await;
                parts.push(part.map_err(failed)?.0);
            }
        }
    }
    if !buffer.is_empty() {
        let part = staging
            .stage(parts.len() as u32, attempt, buffer.into())
            .await;
        parts.push(part.map_err(failed)?.0);
    }
    Ok(parts)
}

/// How much of a file of rejected rows is read at once.
const READ: u64 = 1 << 20;
