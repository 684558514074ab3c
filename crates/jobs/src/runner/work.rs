//! One attempt at a chunk: read its range, have a container work on it, stage what comes out.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use containers::batch::{BatchCall, MAX_DESCRIPTORS, Piece, Work, WorkDone, WorkInput, WorkOutput};
use faults::{Class, Fault};
use futures_util::future::try_join_all;
use storage::{Location, Part, PartFile, Purpose, Staging};
use store::{ChunkDone, ChunkLease, NewChunk};
use tables::files::{Compression, FileType, Format};
use tokio::net::unix::pipe::{Receiver, Sender};

use super::inputs::{FileRange, Input};
use super::job::Job;
use super::pipes::{self, Broken};
use super::plan::Plan;
use super::trouble::Trouble;

/// What is needed to work on the chunks of a job.
pub(super) struct Run {
    pub(super) job: Arc<Job>,
    pub(super) inputs: Vec<Arc<Input>>,
    pub(super) outputs: Vec<Output>,
    pub(super) plan: Plan,
}

/// An output of a job.
pub(super) struct Output {
    pub(super) name: String,
    pub(super) model: bool,
    pub(super) at: Location,
    /// How a table is written.
    pub(super) file: Option<FileType>,
    pub(super) staging: Staging,
}

impl Output {
    pub(super) fn purpose(&self) -> Purpose<'_> {
        match self.model {
            true => Purpose::Model(&self.name),
            false => Purpose::Output(&self.name),
        }
    }

    fn trouble(&self, failure: storage::Failure) -> Trouble {
        Trouble::of_storage(failure, self.purpose(), &self.at)
    }
}

/// What is said of an output that is no table, which is written as it is.
const NO_TABLE: FileType = FileType {
    format: Format::Csv { header: true },
    compression: Compression::None,
};

/// What a chunk came to, and the bytes of each output.
pub(super) struct Attempt {
    pub(super) done: ChunkDone,
    pub(super) written: Vec<u64>,
}

/// Descriptors for a container, and what has to be done meanwhile for those that are pipes.
struct Wiring<'a> {
    /// An input of more pieces goes through a pipe: there are only so many descriptors.
    most_pieces: usize,
    descriptors: Vec<OwnedFd>,
    feeds: Vec<(&'a Input, std::ops::Range<u64>, Sender)>,
}

impl<'a> Wiring<'a> {
    /// For so many inputs and outputs.
    fn of(inputs: usize, outputs: usize) -> Wiring<'a> {
        let left = MAX_DESCRIPTORS.saturating_sub(outputs + 1);
        Wiring {
            most_pieces: left / inputs.max(1),
            descriptors: Vec::new(),
            feeds: Vec::new(),
        }
    }

    /// A range of an input, as it is or through a pipe.
    fn input(
        &mut self,
        input: &'a Input,
        range: std::ops::Range<u64>,
        first_line: u64,
    ) -> Result<WorkInput, Trouble> {
        let pieces = match input.pieces(range.clone()) {
            Some(pieces) => {
                let pieces = pieces.map_err(|e| input.unreadable(&e))?;
                (pieces.len() <= self.most_pieces).then_some(pieces)
            }
            None => None,
        };
        let pieces = match pieces {
            Some(pieces) => {
                let piece = |(file, offset, len): FileRange| {
                    self.descriptors.push(file.into());
                    Piece::File { offset, len }
                };
                pieces.into_iter().map(piece).collect()
            }
            None => {
                let (ours, theirs) = pipes::to_container().map_err(|e| no_pipe(&e))?;
                self.descriptors.push(theirs);
                self.feeds.push((input, range, ours));
                vec![Piece::Pipe]
            }
        };
        Ok(WorkInput {
            port: input.name.clone(),
            file: input.file,
            names: input.head.names.clone(),
            first_line,
            pieces,
        })
    }
}

/// Feeds an input through a pipe. That a container did not take all of it is told only where it
/// says that it is done.
async fn feed(
    input: &Input,
    range: std::ops::Range<u64>,
    mut pipe: Sender,
) -> Result<bool, Trouble> {
    let mut stream = input.stream(range).await?;
    match pipes::feed(&mut stream, &mut pipe).await {
        Ok(all) => Ok(all),
        Err(Broken::Storage(failure)) => Err(input.trouble(failure)),
        Err(Broken::Pipe(e)) => Err(no_pipe(&e)),
    }
}

fn no_pipe(error: &io::Error) -> Trouble {
    Trouble::of_machine(error, "a pipe to a container cannot be used")
}

/// Where an output goes while a container writes it.
enum Sink {
    File(PartFile),
    Pipe(Receiver),
}

impl Run {
    /// The work on a part of the first input, or on all of them.
    fn work(&self, inputs: Vec<WorkInput>, head: bool) -> Work {
        let outputs = self.outputs.iter();
        Work {
            inputs,
            outputs: outputs
                .map(|output| WorkOutput {
                    name: output.name.clone(),
                    file: output.file.unwrap_or(NO_TABLE),
                    head,
                })
                .collect(),
            rejects: self.job.kept.rejects.is_some(),
            rejects_head: head,
            parameters: self.job.kept.parameters.clone(),
            whole: self.plan.chunk.is_none(),
        }
    }

    /// Has a container do some work while its inputs are fed.
    async fn have_done(&self, work: Work, wiring: Wiring<'_>) -> Result<WorkDone, Trouble> {
        let Wiring {
            descriptors, feeds, ..
        } = wiring;
        let call = BatchCall {
            work,
            descriptors,
            deadline: None,
            progress: Some(self.job.shared.live.begin(self.job.id)),
        };
        let lane = async {
            let done = self.job.lane().run(&self.job.service, call).await;
            done.map_err(Trouble::of_work)
        };
        let feeds = feeds.into_iter();
        let feeding = try_join_all(feeds.map(|(input, range, pipe)| feed(input, range, pipe)));
        // Where one of both fails the other stops, so that no container goes on with an input
        // that only seems to end.
        let (done, fed) = tokio::try_join!(lane, feeding)?;
        if fed.contains(&false) {
            return Err(unexpected("the container did not read the whole input"));
        }
        if done.written.len() != self.outputs.len() {
            return Err(unexpected(
                "the container told of another number of outputs",
            ));
        }
        Ok(done)
    }

    /// One attempt at a chunk.
    pub(super) async fn attempt(
        &self,
        lease: ChunkLease,
        cut: NewChunk,
    ) -> Result<Attempt, Trouble> {
        let begun = Instant::now();
        let mut wiring = Wiring::of(self.inputs.len(), self.outputs.len());
        let mut inputs = Vec::with_capacity(self.inputs.len());
        for input in &self.inputs {
            inputs.push(match self.plan.chunk {
                Some(_) => {
                    let range = cut.start..cut.start.saturating_add(cut.length);
                    wiring.input(input, range, cut.first_line)?
                }
                None => wiring.input(input, input.head.end..input.size, input.head.line)?,
            });
        }
        let mut sinks = Vec::with_capacity(self.outputs.len());
        for output in &self.outputs {
            let staging = output.staging.clone();
            let (number, attempt) = (lease.number, lease.attempt);
            // A blob's own folder is on a disk.
            let file = blocking(move || staging.part_file(number, attempt).transpose()).await?;
            sinks.push(match file {
                Some(part) => {
                    let file = part.file.try_clone().map_err(|e| no_disk(&e))?;
                    wiring.descriptors.push(file.into());
                    Sink::File(part)
                }
                None => {
                    let (ours, theirs) = pipes::from_container().map_err(|e| no_pipe(&e))?;
                    wiring.descriptors.push(theirs);
                    Sink::Pipe(ours)
                }
            });
        }
        let rejects = match self.job.kept.rejects {
            None => None,
            Some(_) => {
                let (spool, job) = (self.job.spool.clone(), self.job.id);
                let file =
                    blocking(move || spool.rejects_file(job, lease.number, lease.attempt)).await?;
                let theirs = file.try_clone().map_err(|e| no_disk(&e))?;
                wiring.descriptors.push(theirs.into());
                Some(file)
            }
        };
        let work = self.work(inputs, cut.number == 0);
        let doing = self.have_done(work, wiring);
        let outputs = self.outputs.iter().zip(sinks);
        let draining = try_join_all(outputs.map(|(o, sink)| self.drain(o, sink, lease)));
        let (done, drained) = tokio::try_join!(doing, draining)?;
        let compute = begun.elapsed();

        let mut parts = Vec::with_capacity(drained.len() + 1);
        for ((output, drained), written) in self.outputs.iter().zip(drained).zip(&done.written) {
            let staged = match drained {
                Drained::Staged(parts, bytes) => {
                    check_length(bytes, *written)?;
                    parts
                }
                Drained::Held(bytes) => {
                    check_length(bytes.len() as u64, *written)?;
                    match bytes.is_empty() {
                        true => Vec::new(),
                        false => vec![
                            self.stage(output, lease.number, lease.attempt, bytes)
                                .await?,
                        ],
                    }
                }
                Drained::File(file) => {
                    let length = file.file.metadata().map_err(|e| no_disk(&e))?.len();
                    check_length(length, *written)?;
                    vec![blocking(move || file.finish()).await?]
                }
            };
            parts.push(staged.into_iter().map(|Part(name)| name).collect());
        }
        if let Some(file) = rejects {
            let (spool, job) = (self.job.spool.clone(), self.job.id);
            blocking(move || spool.sync(job, &file)).await?;
            // By it the file is found again.
            parts.push(vec![lease.attempt.to_string()]);
        }
        Ok(Attempt {
            done: ChunkDone {
                rows: done.rows,
                rejected: done.rejected,
                compute,
                parts,
            },
            written: done.written,
        })
    }

    /// Takes an output out of its pipe. What is one part is held until the container is done; what
    /// may be more than fits into memory is staged on the way.
    async fn drain(
        &self,
        output: &Output,
        sink: Sink,
        lease: ChunkLease,
    ) -> Result<Drained, Trouble> {
        let mut pipe = match sink {
            Sink::File(part) => return Ok(Drained::File(part)),
            Sink::Pipe(pipe) => pipe,
        };
        let limits = output.staging.limits();
        if self.plan.chunk.is_some() {
            let most = usize::try_from(limits.max).unwrap_or(usize::MAX);
            let bytes = pipes::read(&mut pipe, most)
                .await
                .map_err(|e| no_pipe(&e))?;
            return Ok(Drained::Held(bytes));
        }
        let (mut parts, mut total) = (Vec::new(), 0);
        let size = self.job.options.chunk_size.max(limits.min);
        for number in 0.. {
            // Ever larger, since there may be only so many.
            let doubled = size.saturating_mul(1 << (number / 1000).min(20));
            let most = usize::try_from(doubled.min(limits.max)).unwrap_or(usize::MAX);
            let bytes = pipes::read(&mut pipe, most)
                .await
                .map_err(|e| no_pipe(&e))?;
            if bytes.is_empty() {
                break;
            }
            total += bytes.len() as u64;
            parts.push(self.stage(output, number, lease.attempt, bytes).await?);
        }
        Ok(Drained::Staged(parts, total))
    }

    async fn stage(
        &self,
        output: &Output,
        number: u32,
        attempt: u32,
        bytes: Bytes,
    ) -> Result<Part, Trouble> {
        let staged = output.staging.stage(number, attempt, bytes).await;
        staged.map_err(|failure| output.trouble(failure))
    }

    /// What a few records come to: bytes of each output for a byte of input. Nothing is kept.
    pub(super) async fn sample(&self, input: &Input, length: u64) -> Result<Vec<f64>, Trouble> {
        let mut wiring = Wiring::of(self.inputs.len(), self.outputs.len());
        let range = input.head.end..input.head.end.saturating_add(length);
        let work_input = wiring.input(input, range, input.head.line)?;
        let mut pipes = Vec::new();
        let rejects = usize::from(self.job.kept.rejects.is_some());
        for _ in 0..self.outputs.len() + rejects {
            let (ours, theirs) = pipes::from_container().map_err(|e| no_pipe(&e))?;
            wiring.descriptors.push(theirs);
            pipes.push(ours);
        }
        let doing = self.have_done(self.work(vec![work_input], false), wiring);
        let draining = try_join_all(pipes.into_iter().map(async |mut pipe| {
            let bytes = pipes::read(&mut pipe, usize::MAX).await;
            bytes.map(drop).map_err(|e| no_pipe(&e))
        }));
        let (done, _) = tokio::try_join!(doing, draining)?;
        let ratio = |written: &u64| *written as f64 / length.max(1) as f64;
        Ok(done.written.iter().map(ratio).collect())
    }
}

/// An output of a chunk that is out of its container.
enum Drained {
    /// In a file.
    File(PartFile),
    /// In memory, one part.
    Held(Bytes),
    /// Staged, with the bytes in all.
    Staged(Vec<Part>, u64),
}

/// What comes out must be what the container says.
fn check_length(came: u64, told: u64) -> Result<(), Trouble> {
    match came == told {
        true => Ok(()),
        false => Err(unexpected("an output has not the bytes that were told")),
    }
}

/// Something that a container of ours does not do; another attempt may meet another one.
fn unexpected(what: &str) -> Trouble {
    Trouble::Passing(Fault::bare(Class::InternalError).because(what))
}

fn no_disk(error: &io::Error) -> Trouble {
    Trouble::of_machine(error, "a file for a part cannot be written")
}

/// Waits for the disk away from the threads that serve calls.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, Trouble> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|e| Trouble::of_machine(&e, "a thread ended"))?
        .map_err(|e| no_disk(&e))
}
