//! Starting container processes.
//!
//! All are forked by one thread that lives as long as the host: the signal that a child gets when
//! its parent dies follows the thread that forked it, not the process.

use std::ffi::{CString, OsStr, OsString};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::mpsc;

use tokio::sync::oneshot;

use crate::setup::CHANNEL_FD;
use crate::system;

/// What a container's process is made of.
pub(super) struct Order {
    /// The program and its arguments.
    pub(super) command: Vec<OsString>,
    /// Descriptors that become 3, 4, 5, ... in the child.
    pub(super) descriptors: Vec<OwnedFd>,
    /// Standard output.
    pub(super) output: OwnedFd,
    /// Standard error.
    pub(super) error: OwnedFd,
    /// `RLIMIT_DATA` in bytes.
    pub(super) data_limit: Option<u64>,
    /// `cgroup.procs` of the control group to join, open for writing.
    pub(super) cgroup: Option<File>,
    /// Whether it gets the processor only where no other process wants it.
    pub(super) background: bool,
}

/// A process that was started: to signal, to watch, to reap.
#[derive(Debug)]
pub(super) struct Child {
    pub(super) pid: i32,
    /// Readable when the process has ended.
    pub(super) pidfd: OwnedFd,
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Exit {
    Status(i32),
    Signal(i32),
}

impl Child {
    /// Sends SIGKILL; a process that has ended already is no matter.
    pub(super) fn kill(&self) {
        // SAFETY: the descriptor is ours; no pointer is used.
        unsafe {
            let info = std::ptr::null::<libc::siginfo_t>();
            let fd = self.pidfd.as_raw_fd();
            libc::syscall(libc::SYS_pidfd_send_signal, fd, libc::SIGKILL, info, 0);
        }
    }

    /// Ends a process that nothing is known of yet and waits for that, which takes an instant.
    pub(super) fn discard(self) {
        self.kill();
        // SAFETY: our own child, not reaped yet.
        unsafe { libc::waitpid(self.pid, std::ptr::null_mut(), 0) };
    }

    /// Takes the exit status once the process has ended; `None` while it lives.
    pub(super) fn reap(&self) -> Option<Exit> {
        let mut status = 0;
        // SAFETY: waitpid writes one int. The pid is of a child that was not reaped yet, or
        // waitpid says that there is none.
        let reaped = unsafe { libc::waitpid(self.pid, &mut status, libc::WNOHANG) };
        match reaped {
            0 => None,
            pid if pid == self.pid && libc::WIFSIGNALED(status) => {
                Some(Exit::Signal(libc::WTERMSIG(status)))
            }
            pid if pid == self.pid => Some(Exit::Status(libc::WEXITSTATUS(status))),
            // Reaped by somebody else (SIGCHLD ignored): how it ended is lost.
            _ => Some(Exit::Status(-1)),
        }
    }
}

type Job = (Order, oneshot::Sender<io::Result<Child>>);

/// The thread that forks.
#[derive(Debug)]
pub(super) struct Spawner(mpsc::Sender<Job>);

impl Spawner {
    pub(super) fn start() -> io::Result<Spawner> {
        let (sender, jobs) = mpsc::channel::<Job>();
        std::thread::Builder::new()
            .name("spawner".to_owned())
            .spawn(move || {
                for (order, answer) in jobs {
                    if let Err(Ok(child)) = answer.send(spawn(order)) {
                        // Nobody waits for it any more.
                        child.discard();
                    }
                }
            })?;
        Ok(Spawner(sender))
    }

    pub(super) async fn spawn(&self, order: Order) -> io::Result<Child> {
        let gone = || io::Error::other("the thread that starts containers is gone");
        let (answer, result) = oneshot::channel();
        self.0.send((order, answer)).map_err(|_| gone())?;
        result.await.map_err(|_| gone())?
    }
}

/// The environment of a container, whole.
const ENVIRONMENT: &[&std::ffi::CStr] = &[
    // The allocator reserves 1 GiB at once otherwise, which counts towards RLIMIT_DATA.
    c"MIMALLOC_ARENA_EAGER_COMMIT=0",
];

fn spawn(order: Order) -> io::Result<Child> {
    let (program, arguments) = order
        .command
        .split_first()
        .ok_or_else(|| io::Error::other("no command"))?;
    let program = resolve(program)?;
    let mut argv = vec![program.clone()];
    for argument in arguments {
        argv.push(CString::new(argument.as_bytes())?);
    }
    let mut argv: Vec<_> = argv.iter().map(|a| a.as_ptr()).collect();
    argv.push(std::ptr::null());
    let mut envp: Vec<_> = ENVIRONMENT.iter().map(|e| e.as_ptr()).collect();
    envp.push(std::ptr::null());

    let null = File::open("/dev/null")?;
    let (mut failure, told) = pipe()?;
    // In the child descriptors are put to fixed low numbers; every source is first moved above
    // those, so that none is overwritten before its turn.
    let above = CHANNEL_FD + order.descriptors.len() as RawFd;
    let null = duplicate(null.as_raw_fd(), above)?;
    let output = duplicate(order.output.as_raw_fd(), above)?;
    let error = duplicate(order.error.as_raw_fd(), above)?;
    // Moved, not copied: the pipe must end when the child executes its program.
    let failed = duplicate(told.as_raw_fd(), above)?;
    drop(told);
    let cgroup = match &order.cgroup {
        Some(file) => Some(duplicate(file.as_raw_fd(), above)?),
        None => None,
    };
    let sources = order
        .descriptors
        .iter()
        .map(|fd| duplicate(fd.as_raw_fd(), above))
        .collect::<io::Result<Vec<_>>>()?;
    let moved: Vec<RawFd> = sources.iter().map(AsRawFd::as_raw_fd).collect();
    drop(order.descriptors);

    let plan = ChildPlan {
        parent: std::process::id() as i32,
        program: program.as_ptr(),
        argv: argv.as_ptr(),
        envp: envp.as_ptr(),
        null: null.as_raw_fd(),
        output: output.as_raw_fd(),
        error: error.as_raw_fd(),
        failed: failed.as_raw_fd(),
        cgroup: cgroup.as_ref().map(AsRawFd::as_raw_fd),
        data_limit: order.data_limit,
        background: order.background,
        descriptors: &moved,
    };
    // A signal handler of this process must not run in the child.
    let mut all = empty_set();
    let mut before = empty_set();
    // SAFETY: both sets are valid; fork's child makes only async-signal-safe calls and then
    // executes or exits.
    let pid = unsafe {
        libc::sigfillset(&mut all);
        libc::pthread_sigmask(libc::SIG_SETMASK, &all, &mut before);
        let pid = libc::fork();
        if pid == 0 {
            plan.become_container();
        }
        pid
    };
    let forked = if pid < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(pid)
    };
    // SAFETY: the set is the one that the call above filled.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &before, std::ptr::null_mut()) };
    let pid = forked?;
    drop(failed);

    let mut errno = [0; 4];
    if failure.read_exact(&mut errno).is_ok() {
        // SAFETY: waitpid on our own child, which has exited.
        unsafe { libc::waitpid(pid, std::ptr::null_mut(), 0) };
        let error = io::Error::from_raw_os_error(i32::from_ne_bytes(errno));
        return Err(io::Error::new(
            error.kind(),
            StartError {
                program: program.to_string_lossy().into_owned(),
                error,
            },
        ));
    }
    // SAFETY: pidfd_open takes no pointers; the child is not reaped, so the pid is its own.
    let pidfd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, libc::PIDFD_NONBLOCK) };
    if pidfd < 0 {
        let error = io::Error::last_os_error();
        // SAFETY: our own child, not reaped yet.
        unsafe {
            libc::kill(pid, libc::SIGKILL);
            libc::waitpid(pid, std::ptr::null_mut(), 0);
        }
        return Err(error);
    }
    // SAFETY: pidfd_open returned a descriptor that nobody else owns.
    let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd as RawFd) };
    Ok(Child { pid, pidfd })
}

/// A program that could not be executed, by name.
#[derive(Debug)]
struct StartError {
    program: String,
    error: io::Error,
}

impl std::fmt::Display for StartError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} cannot be started: {}", self.program, self.error)
    }
}

impl std::error::Error for StartError {}

/// Finds a program as a shell would; the child has no `PATH` to look along.
fn resolve(program: &OsStr) -> io::Result<CString> {
    if program.as_bytes().contains(&b'/') {
        return Ok(CString::new(program.as_bytes())?);
    }
    let path = std::env::var_os("PATH").unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".into());
    let found = std::env::split_paths(&path)
        .map(|folder| folder.join(program))
        .find(|file| Path::is_file(file));
    match found {
        Some(file) => Ok(CString::new(file.as_os_str().as_bytes())?),
        None => Err(io::Error::new(
            io::ErrorKind::NotFound,
            format!("there is no program {}", program.to_string_lossy()),
        )),
    }
}

fn pipe() -> io::Result<(File, File)> {
    let (read, write) = io::pipe()?;
    Ok((
        File::from(OwnedFd::from(read)),
        File::from(OwnedFd::from(write)),
    ))
}

fn duplicate(fd: RawFd, above: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: fcntl on a descriptor that the caller owns.
    let new =
        system::retried(|| unsafe { libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, above) as isize })?;
    // SAFETY: fcntl returned a descriptor that nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(new as RawFd) })
}

fn empty_set() -> libc::sigset_t {
    // SAFETY: sigemptyset makes the zeroed set a valid one.
    unsafe {
        let mut set = std::mem::zeroed();
        libc::sigemptyset(&mut set);
        set
    }
}

/// All that the child needs, made before the fork: after it nothing may be allocated.
struct ChildPlan<'a> {
    parent: i32,
    program: *const libc::c_char,
    argv: *const *const libc::c_char,
    envp: *const *const libc::c_char,
    null: RawFd,
    output: RawFd,
    error: RawFd,
    failed: RawFd,
    cgroup: Option<RawFd>,
    data_limit: Option<u64>,
    background: bool,
    descriptors: &'a [RawFd],
}

impl ChildPlan<'_> {
    /// Runs in the child between fork and exec.
    ///
    /// # Safety
    ///
    /// Only in a child just forked, with all signals blocked; the pointers must be valid C
    /// strings and null-terminated arrays of such.
    unsafe fn become_container(&self) -> ! {
        // SAFETY: all of these are async-signal-safe system calls on values made before the fork.
        unsafe {
            if !self.prepare() {
                let errno = *libc::__errno_location();
                libc::write(self.failed, errno.to_ne_bytes().as_ptr().cast(), 4);
                libc::_exit(127);
            }
            libc::execve(self.program, self.argv, self.envp);
            let errno = *libc::__errno_location();
            libc::write(self.failed, errno.to_ne_bytes().as_ptr().cast(), 4);
            libc::_exit(127)
        }
    }

    /// # Safety
    ///
    /// As [`ChildPlan::become_container`].
    unsafe fn prepare(&self) -> bool {
        // SAFETY: as the caller's.
        unsafe {
            // A terminal's Ctrl-C is the gateway's matter: it drains first.
            libc::setsid();
            if libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL, 0, 0, 0) != 0 {
                return false;
            }
            if libc::getppid() != self.parent {
                libc::_exit(0);
            }
            if let Some(procs) = self.cgroup
                && libc::write(procs, c"0".as_ptr().cast(), 1) != 1
            {
                return false;
            }
            if let Some(bytes) = self.data_limit {
                let limit = libc::rlimit {
                    rlim_cur: bytes,
                    rlim_max: bytes,
                };
                if libc::setrlimit(libc::RLIMIT_DATA, &limit) != 0 {
                    return false;
                }
            }
            if self.background {
                step_back();
            }
            // A crash must not write the model and the caller's data to the disk.
            let none = libc::rlimit {
                rlim_cur: 0,
                rlim_max: 0,
            };
            libc::setrlimit(libc::RLIMIT_CORE, &none);
            let mut placed = libc::dup2(self.null, 0) == 0
                && libc::dup2(self.output, 1) == 1
                && libc::dup2(self.error, 2) == 2;
            let mut target = CHANNEL_FD;
            for &source in self.descriptors {
                placed = placed && libc::dup2(source, target) == target;
                target += 1;
            }
            // What a library opened without the flag; ours have it. Before Linux 5.11 there is no
            // such call: the container closes what is left over itself.
            libc::syscall(
                libc::SYS_close_range,
                target as u32,
                u32::MAX,
                libc::CLOSE_RANGE_CLOEXEC,
            );
            libc::signal(libc::SIGPIPE, libc::SIG_DFL);
            let mut none = std::mem::zeroed();
            libc::sigemptyset(&mut none);
            libc::pthread_sigmask(libc::SIG_SETMASK, &none, std::ptr::null_mut());
            placed
        }
    }
}

/// How much nicer than others a process in the background is.
const NICENESS: libc::c_int = 10;

/// Lets this process run behind others. Best effort: work that is not so nice is still right.
///
/// # Safety
///
/// As [`ChildPlan::become_container`].
unsafe fn step_back() {
    // SAFETY: as the caller's; the strings and the zeroed parameter are valid.
    unsafe {
        libc::nice(NICENESS);
        let none = std::mem::zeroed::<libc::sched_param>();
        // Not by libc, which may leave this call out.
        libc::syscall(libc::SYS_sched_setscheduler, 0, libc::SCHED_BATCH, &none);
        // Where the kernel groups processes by session, niceness counts among those of one group
        // alone; the groups have their own.
        let flags = libc::O_WRONLY | libc::O_CLOEXEC;
        let group = libc::open(c"/proc/self/autogroup".as_ptr(), flags);
        if group >= 0 {
            libc::write(group, c"10".as_ptr().cast(), 2);
            libc::close(group);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_is_discarded_is_ended_and_reaped() {
        let order = Order {
            command: vec!["sleep".into(), "100000".into()],
            descriptors: Vec::new(),
            output: File::open("/dev/null").unwrap().into(),
            error: File::open("/dev/null").unwrap().into(),
            data_limit: None,
            cgroup: None,
            background: false,
        };
        let child = spawn(order).unwrap();
        let pid = child.pid;
        assert_eq!(child.reap(), None, "it lives");
        child.discard();
        // SAFETY: asks about one process and takes no status.
        let left = unsafe { libc::waitpid(pid, std::ptr::null_mut(), libc::WNOHANG) };
        let error = io::Error::last_os_error().raw_os_error();
        assert_eq!((left, error), (-1, Some(libc::ECHILD)));
    }
}
