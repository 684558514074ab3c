//! How many jobs there may be, and how they are run.

use std::path::PathBuf;
use std::time::Duration;

use faults::{Class, Fault};

/// How many jobs there may be, and how they are run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Chunks that are worked on at once, of all jobs together.
    pub parallel: usize,
    /// Jobs of one endpoint that run at once; the others wait in the queue.
    pub jobs_per_endpoint: u64,
    /// Jobs of one endpoint that are not at their end.
    pub queue_per_endpoint: u64,
    /// Jobs of all endpoints that are not at their end.
    pub queue: u64,
    /// How long a node that says nothing more is believed to go on with a job.
    pub lease: Duration,
    /// How often a chunk is tried before a failure that might pass fails the job.
    pub attempts: u32,
    /// How many bytes of input a chunk has, as far as the place where its output goes takes parts
    /// of the size that comes out.
    pub chunk_size: u64,
    /// The folder for inputs that have to be unpacked before they can be cut.
    pub spool: PathBuf,
    /// The most bytes in that folder.
    pub spool_limit: u64,
}

impl Options {
    /// Sensible ones, with this folder to unpack into.
    pub fn in_folder(spool: PathBuf) -> Options {
        Options {
            parallel: std::thread::available_parallelism().map_or(1, |n| n.get()),
            jobs_per_endpoint: 40,
            queue_per_endpoint: 1000,
            queue: 10_000,
            lease: Duration::from_secs(30),
            attempts: 5,
            chunk_size: 16 << 20,
            spool,
            spool_limit: 16 << 30,
        }
    }

    /// Whether they make sense.
    ///
    /// # Errors
    /// `InternalError`, which says in its cause what does not.
    pub fn check(&self) -> Result<(), Fault> {
        let wrong = |what: &str| Err(Fault::bare(Class::InternalError).because(what));
        if self.parallel == 0 || self.jobs_per_endpoint == 0 || self.attempts == 0 {
            return wrong("a limit of batch jobs is 0, so that none would ever run");
        }
        if self.lease < Duration::from_secs(3) {
            return wrong("batch.lease is under 3 s, which a slow disk takes now and then");
        }
        if self.chunk_size < 4096 {
            return wrong("batch.chunk_size is under 4 KiB");
        }
        Ok(())
    }
}
