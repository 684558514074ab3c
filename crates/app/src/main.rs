//! `umpire`: scoring for machine learning models over the classic web service contract.

mod cli;
mod client;
mod config;
mod exit;
mod interrupt;
mod live;
mod options;
mod part_file;
mod progress;
mod term;
mod wiring;

use std::process::ExitCode;

/// Counts what a container allocates, so that a refused allocation ends it with its own status.
#[global_allocator]
static ALLOCATOR: containers::quota::QuotaAlloc<mimalloc::MiMalloc> =
    containers::quota::QuotaAlloc(mimalloc::MiMalloc);

fn main() -> ExitCode {
    cli::main()
}
