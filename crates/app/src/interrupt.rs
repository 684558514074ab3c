//! Ctrl-C in a command that has something to put in order first.

use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::signal::unix::{SignalKind, signal};

use crate::exit::{Failure, INTERRUPTED};

/// What the first Ctrl-C (or SIGTERM) sets and the command looks at; the second ends the process.
#[derive(Clone)]
pub(crate) struct Interrupt(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    came: bool,
    /// What a process that ends at once removes first.
    files: Vec<PathBuf>,
}

impl Interrupt {
    /// Takes over the signals of this process.
    pub(crate) fn watch() -> Result<Interrupt, Failure> {
        let shared = Interrupt(Arc::new(Shared {
            state: Mutex::default(),
            changed: Condvar::new(),
        }));
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .build()
            .map_err(Failure::from_disk)?;
        // Made here, so that no signal comes before somebody listens.
        let streams = runtime.block_on(async {
            Ok((
                signal(SignalKind::interrupt())?,
                signal(SignalKind::terminate())?,
            ))
        });
        let (mut interrupt, mut terminate) = streams.map_err(Failure::from_disk)?;
        let told = shared.clone();
        std::thread::spawn(move || {
            runtime.block_on(async {
                for first in [true, false] {
                    tokio::select! {
                        _ = interrupt.recv() => {}
                        _ = terminate.recv() => {}
                    }
                    match first {
                        true => told.set(),
                        false => told.end(),
                    }
                }
            });
        });
        Ok(shared)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self) {
        self.state().came = true;
        self.0.changed.notify_all();
    }

    /// Nothing is waited for any more.
    #[expect(
        clippy::disallowed_methods,
        reason = "the main thread may hang in a call that nothing else breaks off"
    )]
    fn end(&self) {
        for file in &self.state().files {
            // What stays is named as a part of a file.
            let _ = std::fs::remove_file(file);
        }
        std::process::exit(i32::from(INTERRUPTED));
    }

    /// Whether it came.
    pub(crate) fn came(&self) -> bool {
        self.state().came
    }

    /// Waits so long, or until it comes; whether it came.
    pub(crate) fn wait(&self, time: Duration) -> bool {
        let until = Instant::now() + time;
        let mut state = self.state();
        while !state.came {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            state = self
                .0
                .changed
                .wait_timeout(state, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        state.came
    }

    /// `Err` once it came.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        match self.came() {
            true => Err(Failure::Interrupted),
            false => Ok(()),
        }
    }

    /// Has a file removed where the process ends at once.
    pub(crate) fn removes(&self, file: PathBuf) {
        self.state().files.push(file);
    }

    /// A file that has its name, or is gone.
    pub(crate) fn keeps(&self, file: &std::path::Path) {
        self.state().files.retain(|kept| kept != file);
    }
}
