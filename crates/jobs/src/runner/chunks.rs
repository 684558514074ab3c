//! The chunks of a job: which are begun, in what order, and what becomes of one that fails.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use faults::Fault;
use store::{Chunk, ChunkState, NewChunk};
use tokio::sync::{mpsc, watch};
use tokio::task::{AbortHandle, JoinSet};

use super::index::{AHEAD, Found, Position, index};
use super::plan::larger;
use super::trouble::{Failures, Trouble, held};
use super::work::{Attempt, Run};

/// How many chunks are known of: by it a chunk learns whether it is the last.
#[derive(Debug, Clone, Copy, Default)]
struct Known {
    count: u32,
    all: bool,
}

/// How a chunk ended.
type Ended = (u32, Result<(), Trouble>);

struct Board {
    run: Arc<Run>,
    /// In order, not begun.
    pending: VecDeque<NewChunk>,
    working: JoinSet<Ended>,
    handles: BTreeMap<u32, AbortHandle>,
    /// The lowest chunk that failed for good: those below it may still come to a lower one, so
    /// that the answer does not depend on which was faster.
    failed: Option<(u32, Fault)>,
    known: watch::Sender<Known>,
}

/// Works on all chunks of a job until they are done. Those that are written down already are gone
/// on with; where that is not all of them the input is gone through from there.
pub(super) async fn work_on_all(
    run: Arc<Run>,
    known: Vec<Chunk>,
    indexed: bool,
) -> Result<(), Trouble> {
    let mut board = Board {
        run: run.clone(),
        pending: VecDeque::new(),
        working: JoinSet::new(),
        handles: BTreeMap::new(),
        failed: None,
        known: watch::Sender::new(Known {
            count: known.len() as u32,
            all: indexed,
        }),
    };
    let mut indexing = JoinSet::new();
    let mut found = None;
    if !indexed {
        let (tell, told) = mpsc::channel::<Found>(AHEAD);
        found = Some(told);
        if let (Some(size), Some(input)) = (run.plan.chunk, run.inputs.first()) {
            // The line at which the next chunk starts is told by going over the last one again.
            let from = match known.last() {
                Some(chunk) => Position {
                    number: chunk.cut.number,
                    start: chunk.cut.start,
                    line: chunk.cut.first_line,
                },
                None => Position {
                    number: 0,
                    start: input.head.end,
                    line: input.head.line,
                },
            };
            let (input, attempts) = (input.clone(), run.job.options.attempts);
            indexing.spawn(index(input, from, size, attempts, tell));
        } else {
            let total = run.inputs.iter().map(|input| input.size).sum();
            let only = NewChunk {
                number: 0,
                start: 0,
                length: total,
                first_line: 1,
            };
            // There is room for it.
            let _ = tell.try_send((vec![only], true));
        }
    }
    for chunk in known {
        match chunk.state {
            ChunkState::Done(_) => {}
            ChunkState::Failed(fault) => board.fail(chunk.cut.number, fault),
            ChunkState::Waiting | ChunkState::Leased => board.pending.push_back(chunk.cut),
        }
    }
    loop {
        board.begin();
        if found.is_none() && board.working.is_empty() {
            break;
        }
        tokio::select! {
            batch = next(&mut found), if found.is_some() => match batch {
                Some((chunks, last)) => {
                    board.add(chunks, last).await?;
                    if last {
                        found = None;
                    }
                }
                // The pass ended without its last chunk: it says why.
                None => {
                    found = None;
                    if let Some(ended) = indexing.join_next().await {
                        let ended = ended.unwrap_or_else(|e| {
                            Err(Trouble::of_machine(&e, "a pass over an input ended"))
                        });
                        match ended {
                            // What was found before may hold a mistake that comes first.
                            Err(Trouble::Lasting(fault)) => {
                                let after = board.known.borrow().count;
                                board.fail(after, fault);
                            }
                            ended => ended?,
                        }
                    }
                }
            },
            Some(ended) = board.working.join_next() => board.ended(ended)?,
        }
    }
    match board.failed {
        Some((_, fault)) => Err(Trouble::Lasting(fault)),
        None => Ok(()),
    }
}

async fn next(found: &mut Option<mpsc::Receiver<Found>>) -> Option<Found> {
    match found {
        Some(found) => found.recv().await,
        None => std::future::pending().await,
    }
}

impl Board {
    /// Begins as many chunks as there could be places for, in order.
    fn begin(&mut self) {
        let most = self.run.job.options.parallel;
        while self.working.len() < most
            && let Some(chunk) = self.pending.pop_front()
        {
            if self.is_beyond(chunk.number) {
                self.pending.clear();
                return;
            }
            let run = self.run.clone();
            let known = self.known.subscribe();
            let handle = self
                .working
                .spawn(async move { (chunk.number, work_on(&run, chunk, known).await) });
            self.handles.insert(chunk.number, handle);
        }
    }

    /// Whether a lower chunk than that one has failed.
    fn is_beyond(&self, number: u32) -> bool {
        self.failed.as_ref().is_some_and(|(at, _)| *at < number)
    }

    /// Writes further chunks down, and lets them be begun.
    async fn add(&mut self, chunks: Vec<NewChunk>, last: bool) -> Result<(), Trouble> {
        let job = &self.run.job;
        let ledger = &job.shared.store.ledger;
        let before = self.known.borrow().count;
        held(
            ledger
                .add_chunks(job.id, job.fence, chunks.clone(), last)
                .await,
        )?;
        let fresh = chunks.into_iter().filter(|chunk| chunk.number >= before);
        self.pending.extend(fresh.clone());
        let count = before + fresh.count() as u32;
        self.known.send_replace(Known { count, all: last });
        Ok(())
    }

    fn fail(&mut self, number: u32, fault: Fault) {
        if self.is_beyond(number) {
            return;
        }
        self.failed = Some((number, fault));
        for (_, handle) in self.handles.range(number.saturating_add(1)..) {
            handle.abort();
        }
    }

    fn ended(&mut self, ended: Result<Ended, tokio::task::JoinError>) -> Result<(), Trouble> {
        let (number, result) = match ended {
            Ok(ended) => ended,
            // One that was beyond a failure.
            Err(e) if e.is_cancelled() => return Ok(()),
            Err(e) => return Err(Trouble::of_machine(&e, "the work on a chunk panicked")),
        };
        self.handles.remove(&number);
        match result {
            Ok(()) => Ok(()),
            Err(Trouble::Lasting(fault)) => {
                self.fail(number, fault);
                Ok(())
            }
            Err(other) => Err(other),
        }
    }
}

/// Works on a chunk until it is done, failed for good, or was tried often enough.
async fn work_on(
    run: &Run,
    cut: NewChunk,
    mut known: watch::Receiver<Known>,
) -> Result<(), Trouble> {
    let job = &run.job;
    let ledger = &job.shared.store.ledger;
    let mut failures = Failures::of(job.options.attempts);
    loop {
        let slot = job.slots.take(job.endpoint, job.id).await;
        let lease = ledger
            .lease_chunk(job.id, job.fence, cut.number, job.options.lease)
            .await
            .map_err(Trouble::Ledger)?;
        // The job's holder alone gives its chunks out, so another one has the job.
        let lease = lease.ok_or(Trouble::Lost)?;
        let attempt = match run.attempt(lease, cut).await {
            Ok(attempt) => check_size(run, cut, attempt, &mut known).await,
            Err(trouble) => Err(trouble),
        };
        let trouble = match attempt {
            Ok(attempt) => {
                let (rows, rejected) = (attempt.done.rows, attempt.done.rejected);
                let took = attempt.done.compute;
                held(ledger.chunk_done(job.id, lease, attempt.done).await)?;
                let metrics = job.shared.telemetry.batch();
                metrics.chunk_done(rows, rejected, took);
                job.used().work(took);
                return Ok(());
            }
            Err(trouble) => trouble,
        };
        let (pause, fault) = match failures.next(trouble) {
            Ok(next) => next,
            Err(Trouble::Lasting(fault)) => {
                held(ledger.chunk_failed(job.id, lease, &fault).await)?;
                return Err(Trouble::Lasting(fault));
            }
            Err(other) => return Err(other),
        };
        held(ledger.release_chunk(job.id, lease).await)?;
        job.shared.telemetry.batch().retries.inc();
        tracing::warn!(
            job = %job.id,
            chunk = cut.number,
            attempt = lease.attempt,
            fault = fault.name(),
            cause = fault.cause(),
            "a chunk is tried again"
        );
        drop(slot);
        tokio::time::sleep(pause).await;
    }
}

/// Refuses parts that are smaller than their place takes, but for the last chunk's.
async fn check_size(
    run: &Run,
    cut: NewChunk,
    attempt: Attempt,
    known: &mut watch::Receiver<Known>,
) -> Result<Attempt, Trouble> {
    let outputs = run.outputs.iter().zip(&attempt.written);
    let needed = outputs
        .map(|(output, &written)| (output.staging.limits(), written))
        .filter(|(limits, written)| *written < limits.min)
        .map(|(limits, written)| larger(cut.length, written, limits))
        .max();
    let Some(size) = needed else {
        return Ok(attempt);
    };
    let decided = known
        .wait_for(|known| known.all || known.count > cut.number + 1)
        .await;
    match decided {
        Ok(known) if known.count <= cut.number + 1 => Ok(attempt),
        _ => Err(Trouble::Again(size)),
    }
}
