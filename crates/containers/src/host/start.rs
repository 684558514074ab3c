//! Starting one container, from the revision's files to its readiness.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use faults::{Class, Fault, gateway_timeout, internal_error};
use telemetry::{NoteLevel, Telemetry};

use super::Inner;
use super::calls::Outcome;
use super::connection::{Connection, watch_readable};
use super::machine::{Slot, Starting};
use super::options::{Lane, RevisionFiles, check_quota};
use super::output;
use super::pool::Pool;
use super::process::{Process, Wish, refusal_fault};
use super::spawn::Order;
use super::watch::StartReport;
use crate::board::Board;
use crate::container::is_confined;
use crate::frames::{Identity, VERSION};
use crate::setup::{BOARD_FD, FIRST_RESOURCE_FD, ResourceEntry, SetupDocument};
use crate::{side_channel, system};

impl Inner {
    /// Starts a container of a revision and waits until it is ready. Every failure is one of the
    /// start: the container's own word, its end, `start_limit`, or the machine's.
    pub(super) async fn start(
        self: &Arc<Self>,
        pool: &Arc<Pool>,
        revision: [u8; 16],
        files: Option<RevisionFiles>,
        (slot, starting): (Slot, Starting),
    ) -> Result<Arc<Process>, Fault> {
        let begin = Instant::now();
        let counters = self.telemetry.containers();
        let counted = StartingGauge::new(&self.telemetry);
        let mut made = None;
        let result = self
            .start_inner(pool, revision, files, slot, &mut made)
            .await;
        drop((counted, starting));
        if let Some(listener) = self.start_listener.get() {
            listener(StartReport {
                endpoint: pool.endpoint,
                revision,
                container: made.as_ref().map(|p| (p.number, p.child.pid as u32)),
                took: begin.elapsed(),
                ended: Instant::now(),
                fault: result.as_ref().err().cloned(),
                printed: made.map(|process| process.printed.whole()),
            });
        }
        if let Ok(process) = &result {
            process.is_ready();
            counters.start_duration.observe(begin.elapsed());
            let took = begin.elapsed().as_millis();
            let text = format!("container {} is ready after {took} ms", process.child.pid);
            self.note(pool, NoteLevel::Info, text);
        }
        result
    }

    async fn start_inner(
        self: &Arc<Self>,
        pool: &Arc<Pool>,
        revision: [u8; 16],
        files: Option<RevisionFiles>,
        slot: Slot,
        made: &mut Option<Arc<Process>>,
    ) -> Result<Arc<Process>, Fault> {
        let files = match files {
            Some(files) => files,
            None => {
                let (source, endpoint) = (self.source.clone(), pool.endpoint);
                let open = move || source.open(endpoint, revision);
                tokio::task::spawn_blocking(open).await.map_err(|e| {
                    internal_error::unknown_error()
                        .because(e)
                        .because("opening a revision")
                })??
            }
        };
        let mut files = files;
        files.limits = self.options.load().limits(pool.lane, files.limits);
        pool.set_limits(revision, files.limits);
        let process = self.spawn_container(pool, files, slot).await?;
        *made = Some(process.clone());
        let mut started = Started {
            process: Some(process.clone()),
            otherwise: "given up start",
        };
        let start_limit = self.options.load().start_limit;
        let ready = tokio::time::timeout(start_limit, self.ready(&process)).await;
        match ready {
            Ok(Ok(())) => {
                started.process = None;
                Ok(process)
            }
            Ok(Err(fault)) => {
                started.otherwise = "failed start";
                Err(fault)
            }
            Err(_) => {
                started.otherwise = "start limit";
                let limit = start_limit.as_secs_f32();
                Err(gateway_timeout::backend_initialization_timeout()
                    .because(format!("no readiness after {limit} s")))
            }
        }
    }

    async fn spawn_container(
        self: &Arc<Self>,
        pool: &Arc<Pool>,
        files: RevisionFiles,
        slot: Slot,
    ) -> Result<Arc<Process>, Fault> {
        let options = self.options.load_full();
        let limits = files.limits;
        let quota_mb = check_quota(limits.memory_quota_mb.unwrap_or(options.memory_quota_mb))?;
        check_free_memory(options.min_free_memory_mb)?;
        let mut token = [0; 16];
        system::random(&mut token).map_err(refused)?;
        let identity = Identity {
            version: VERSION,
            token,
            revision: files.revision,
        };
        let (ours, theirs) = UnixStream::pair().map_err(refused)?;
        // Watched before there is a process: nothing has to be taken back where it is refused.
        let channel = watch_readable(ours.as_fd()).map_err(refused)?;
        let (board, board_file) = Board::create(options.calls(pool.lane)).map_err(refused)?;
        let (output, theirs_output) = io::pipe().map_err(refused)?;
        let (error, theirs_error) = io::pipe().map_err(refused)?;
        let bytes = quota_mb << 20;
        let (cgroup, procs) = match &self.cgroups {
            None => (None, None),
            Some(root) => {
                let group = root.create(bytes).map_err(refused)?;
                let procs = group.procs().map_err(refused)?;
                if pool.lane == Lane::Batch {
                    group.step_back();
                }
                (Some(group), Some(procs))
            }
        };
        let mut descriptors = vec![OwnedFd::from(theirs), OwnedFd::from(board_file)];
        debug_assert_eq!(FIRST_RESOURCE_FD, BOARD_FD + 1);
        let mut resources = Vec::new();
        for (asset, file, sha256) in files.resources {
            resources.push(ResourceEntry {
                asset,
                fd: FIRST_RESOURCE_FD + resources.len() as i32,
                sha256: sha256.iter().map(|b| format!("{b:02x}")).collect(),
            });
            descriptors.push(OwnedFd::from(file));
        }
        let (side_channel, side_channel_fd) = match pool.lane {
            Lane::Scoring => (None, None),
            Lane::Batch => {
                let (ours, theirs) = side_channel::pair().map_err(refused)?;
                descriptors.push(theirs);
                let fd = FIRST_RESOURCE_FD + resources.len() as i32;
                (Some(ours), Some(fd))
            }
        };
        let document = SetupDocument {
            label: pool.label.clone(),
            resources,
            calls: options.calls(pool.lane) as u32,
            compute_threads: options.threads(pool.lane) as u32,
            heartbeat_ms: options.heartbeat.as_millis() as u64,
            max_body: u32::try_from(options.max_body).unwrap_or(u32::MAX),
            max_reply: u32::try_from(options.max_reply).unwrap_or(u32::MAX),
            limits: options.limits.into(),
            side_channel: side_channel_fd,
            run_as: options.run_as,
        };
        let document = serde_json::to_vec(&document).map_err(|e| {
            internal_error::unknown_error()
                .because(e)
                .because("the set-up document")
        })?;
        let order = Order {
            command: options.command.clone(),
            descriptors,
            output: theirs_output.into(),
            error: theirs_error.into(),
            data_limit: cgroup.is_none().then_some(bytes),
            cgroup: procs,
            background: pool.lane == Lane::Batch,
        };
        let child = self.spawner.spawn(order).await.map_err(refused)?;
        let exited = match watch_readable(child.pidfd.as_fd()) {
            Ok(exited) => exited,
            Err(error) => {
                // Off this thread, and to its end even where nobody waits for the start any more.
                let ended = tokio::task::spawn_blocking(move || child.discard());
                let _ = ended.await;
                return Err(refused(error));
            }
        };
        self.telemetry.containers().starts.inc();

        let fd = OwnedFd::from(ours);
        let connection = Connection::new(fd, side_channel, identity, board, options.max_reply);
        let connection = Arc::new(connection);
        let number = self.next_number.fetch_add(1, Ordering::Relaxed);
        let process = Arc::new(Process::new(
            number,
            pool.clone(),
            limits,
            child,
            connection.clone(),
            quota_mb,
            cgroup,
            slot,
            self.telemetry.clone(),
        ));
        self.processes().insert(number, process.clone());
        let output = tokio::spawn(output::capture(
            [output.into(), error.into()],
            process.printed.clone(),
            self.telemetry.clone(),
            pool.endpoint,
        ));
        let reader = {
            let process = process.clone();
            tokio::spawn(connection.clone().read(channel, move |progress| {
                process.heard_now();
                if progress.finished > 0 {
                    process.pool.release(&process, progress.finished);
                }
            }))
        };
        tokio::spawn(
            process
                .clone()
                .supervise(self.clone(), exited, reader, output),
        );
        connection.send_setup(document, files.package);
        if self.is_closing() {
            process.want(Wish::Kill("shutdown"));
        }
        Ok(process)
    }

    /// Waits for the container's word on its set-up.
    async fn ready(&self, process: &Process) -> Result<(), Fault> {
        let connection = &process.connection;
        let mut greeted = false;
        loop {
            // Before the look, so that nothing that comes after it is missed.
            let changed = connection.changed.notified();
            {
                let mut calls = connection.calls();
                let handshake = &mut calls.handshake;
                if let (Some((identity, confinement)), false) = (&handshake.hello, greeted) {
                    greeted = true;
                    check_hello(identity, &connection.identity)?;
                    let unconfined = !is_confined(confinement);
                    if unconfined && !self.unconfined_said.swap(true, Ordering::Relaxed) {
                        tracing::warn!(%confinement, "containers can read what the gateway's user can");
                    }
                    tracing::debug!(pid = process.child.pid, %confinement, "container confined");
                }
                if let Some(reason) = handshake.refused {
                    return Err(refusal_fault(reason));
                }
                match (&handshake.loaded, greeted) {
                    (None, _) => {}
                    (Some(_), false) => {
                        return Err(internal_error::backend_bad_request()
                            .because("the container answered before it showed itself"));
                    }
                    (Some(Outcome::Answer(_)), true) => return Ok(()),
                    (Some(Outcome::Fault(bytes)), true) => {
                        return Err(Fault::from_bytes(bytes).unwrap_or_else(|e| e));
                    }
                    (Some(other), true) => {
                        return Err(internal_error::unexpected_score_status()
                            .because(format!("the set-up was answered with {other:?}")));
                    }
                }
            }
            if process.end().is_some() {
                return Err(process.end_fault());
            }
            changed.await;
        }
    }
}

/// Counts a container that starts.
struct StartingGauge<'a>(&'a Telemetry);

impl StartingGauge<'_> {
    fn new(telemetry: &Telemetry) -> StartingGauge<'_> {
        telemetry.containers().starting.inc();
        StartingGauge(telemetry)
    }
}

impl Drop for StartingGauge<'_> {
    fn drop(&mut self) {
        self.0.containers().starting.dec();
    }
}

/// Ends a container whose start failed, or that nobody waits for any more.
struct Started {
    process: Option<Arc<Process>>,
    otherwise: &'static str,
}

impl Drop for Started {
    fn drop(&mut self) {
        if let Some(process) = &self.process {
            process.want(Wish::Kill(self.otherwise));
        }
    }
}

fn check_hello(shown: &Identity, wanted: &Identity) -> Result<(), Fault> {
    if shown.version != wanted.version {
        return Err(internal_error::backend_bad_request().because(format!(
            "the container speaks version {}, not {}",
            shown.version, wanted.version
        )));
    }
    if shown.token != wanted.token {
        return Err(internal_error::backend_bad_request()
            .because("the container shows another token than it was given"));
    }
    if shown.revision != wanted.revision {
        return Err(internal_error::backend_argument_error()
            .because("the container shows another revision than it was asked for"));
    }
    Ok(())
}

/// The fault of a system call that was refused on the way to a process.
pub(super) fn refused(error: io::Error) -> Fault {
    let short = matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::OutOfMemory
    ) || matches!(
        error.raw_os_error(),
        Some(libc::EMFILE | libc::ENFILE | libc::ENOSPC | libc::EAGAIN | libc::ETOOMANYREFS)
    );
    let fault = if short {
        Fault::bare(Class::InternalErrorSystemLowOnMemory).retry_after(Duration::from_secs(1))
    } else {
        internal_error::unknown_error()
    };
    fault.caused_by(&error).because("starting a container")
}

/// `InternalErrorSystemLowOnMemory` where the machine has less memory available than that.
fn check_free_memory(min_mb: u64) -> Result<(), Fault> {
    if min_mb == 0 {
        return Ok(());
    }
    let Some(free_mb) = free_memory_mb() else {
        return Ok(());
    };
    if free_mb < min_mb {
        return Err(Fault::bare(Class::InternalErrorSystemLowOnMemory)
            .retry_after(Duration::from_secs(1))
            .because(format!("{free_mb} MB are available, {min_mb} MB are kept")));
    }
    Ok(())
}

fn free_memory_mb() -> Option<u64> {
    let text = io::read_to_string(File::open("/proc/meminfo").ok()?).ok()?;
    let line = text.lines().find_map(|l| l.strip_prefix("MemAvailable:"))?;
    let kb: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kb >> 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hello_must_show_what_the_setup_said() {
        let wanted = Identity {
            version: VERSION,
            token: [1; 16],
            revision: [2; 16],
        };
        assert!(check_hello(&wanted, &wanted).is_ok());
        let name = |shown| check_hello(&shown, &wanted).unwrap_err().name();
        let version = VERSION + 1;
        assert_eq!(
            name(Identity { version, ..wanted }),
            "InternalError.BackendBadRequest"
        );
        let token = [0; 16];
        assert_eq!(
            name(Identity { token, ..wanted }),
            "InternalError.BackendBadRequest"
        );
        let revision = [0; 16];
        assert_eq!(
            name(Identity { revision, ..wanted }),
            "InternalError.BackendArgumentError"
        );
    }

    #[test]
    fn a_system_that_refuses_a_process_is_low_on_memory() {
        for errno in [libc::EAGAIN, libc::ENOMEM, libc::EMFILE] {
            let fault = refused(io::Error::from_raw_os_error(errno));
            assert_eq!(fault.class(), Class::InternalErrorSystemLowOnMemory);
            assert!(fault.retry_delay().is_some());
        }
        let fault = refused(io::Error::from_raw_os_error(libc::ENOENT));
        assert_eq!(fault.name(), "InternalError.UnknownError");
        assert!(free_memory_mb().is_some());
        assert!(check_free_memory(u64::MAX).is_err());
    }
}
