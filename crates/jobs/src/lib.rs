//! Batch jobs: what may be asked for, and the loop that moves them.
//!
//! A [`Queue`] checks what a caller asks for, down to asking storage whether each blob is there and
//! may be written, and writes the job into the ledger. The [`Runner`] is the only place that moves
//! a job: it cuts the input into chunks, has containers of the batch lane work on them, and puts
//! the outputs in place when all of them are done, in order and once.
//!
//! What a crash leaves behind is in the ledger (see `store::jobs`): chunks that are done stay done,
//! those that were under way are begun again, and an output is not seen before the last of them.

mod checks;
mod lane;
mod live;
mod options;
mod ports;
mod queue;
mod request;
mod runner;
mod shared;
mod view;

pub use lane::{Doing, Lane, Service};
pub use options::Options;
pub use queue::Queue;
pub use request::{JobRequest, OnBadRow};
pub use runner::Runner;
pub use shared::{OnEnd, Parts, start};
pub use store::{ApiVersion, JobState};
pub use view::{JobPage, JobView, Page, Progress};
