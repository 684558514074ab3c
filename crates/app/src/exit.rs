//! How a command fails: its exit code, and what the user is told.

use std::process::ExitCode;

use faults::Fault;
use wire::error::{ErrorBody, ErrorReply};

use crate::config::Problem;
use crate::term;

/// The exit codes, as `umpire --help` lists them.
pub(crate) const CODES: &str = "\
Exit codes:
  0  done
  1  refused or failed: the server, or a check before it, said so with a code
  2  the command line is wrong
  3  the server cannot be reached
  4  the configuration is wrong
  5  a local file cannot be read or written, or is not what it should be
  6  a batch job that was waited for has failed, or was cancelled
  130  interrupted by Ctrl-C";

/// The exit code of a command that Ctrl-C ended.
pub(crate) const INTERRUPTED: u8 = 130;

/// Why a command did not do what it was asked.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The server said so.
    Server {
        /// The status of its reply.
        status: u16,
        /// The envelope, where the reply had one.
        reply: Option<ErrorReply>,
        /// `x-ms-request-id`.
        request_id: Option<String>,
        /// `Retry-After` in seconds.
        retry_after: Option<u64>,
    },
    /// No connection, or it broke.
    Unreachable {
        /// The server's URL.
        server: String,
        /// What happened.
        problem: String,
    },
    /// The command line, beyond what its parser checks.
    Usage(String),
    /// The configuration.
    Config(Problem),
    /// A file of the user's.
    Local(String),
    /// A fault found on this side, about a file of the user's.
    Refused(Fault),
    /// The server's start.
    Start(Fault),
    /// The server's start, for a reason that has no fault.
    StartText(String),
    /// A batch job that did not finish.
    Job(Box<JobEnd>),
    /// Ctrl-C; what had to be said is said.
    Interrupted,
}

/// How a batch job ended that did not finish.
#[derive(Debug)]
pub(crate) struct JobEnd {
    /// Its id.
    pub(crate) job: String,
    /// `Failed` or `Cancelled`.
    pub(crate) state: String,
    /// Why it failed.
    pub(crate) error: Option<ErrorBody>,
    /// The same as one text.
    pub(crate) details: Option<String>,
}

impl From<store::ArchiveProblem> for Failure {
    fn from(problem: store::ArchiveProblem) -> Failure {
        Failure::Local(problem.to_string())
    }
}

impl Failure {
    /// A local file or stream that failed.
    pub(crate) fn from_disk(error: std::io::Error) -> Failure {
        Failure::Local(error.to_string())
    }

    fn exit_code(&self) -> u8 {
        match self {
            Failure::Usage(_) => 2,
            Failure::Unreachable { .. } => 3,
            Failure::Config(_) => 4,
            Failure::Start(fault) if is_configuration(fault) => 4,
            Failure::Local(_) => 5,
            Failure::Job(_) => 6,
            Failure::Interrupted => INTERRUPTED,
            Failure::Server { .. }
            | Failure::Refused(_)
            | Failure::Start(_)
            | Failure::StartText(_) => 1,
        }
    }

    /// Tells the user on standard error, and gives the exit code.
    pub(crate) fn report(&self) -> ExitCode {
        match self {
            Failure::Server {
                status,
                reply,
                request_id,
                retry_after,
            } => report_reply(*status, reply.as_ref(), request_id.as_deref(), *retry_after),
            Failure::Unreachable { server, problem } => {
                term::error(&format!("{server} cannot be reached: {problem}"));
                term::hint("start a server with `umpire serve`, or name one with --server URL");
            }
            Failure::Usage(text) | Failure::Local(text) | Failure::StartText(text) => {
                term::error(text);
            }
            Failure::Job(end) => {
                match (&end.error, &end.details) {
                    (Some(error), _) => {
                        let error = error.clone();
                        report_reply(0, Some(&ErrorReply { error }), None, None);
                    }
                    (None, Some(details)) => term::error(details),
                    (None, None) => term::error(&format!("the job is {}", end.state)),
                }
                term::note("job", &end.job);
            }
            Failure::Interrupted => {}
            Failure::Config(Problem::Memory { value, origin }) => {
                let fault = faults::internal_error::invalid_memory_configuration(value)
                    .because(format!("containers.memory_quota ({origin})"));
                report_fault(&fault);
            }
            Failure::Config(problem) if of_resources(problem).is_some() => {
                of_resources(problem).iter().for_each(report_fault);
            }
            Failure::Config(problem) => {
                term::error(&problem.to_string());
                term::hint("`umpire config` prints every setting with its value and origin");
            }
            Failure::Refused(fault) | Failure::Start(fault) => report_fault(fault),
        }
        ExitCode::from(self.exit_code())
    }
}

/// Whether a fault at start is about what the operator configured.
fn is_configuration(fault: &Fault) -> bool {
    use faults::rows::InternalError as Row;
    [
        &Row::InvalidMemoryConfiguration,
        &Row::ClusterConfigBlobMisconfigured,
        &Row::InvalidResourceDownloadConfiguration,
        &Row::InvalidResourceCacheConfiguration,
    ]
    .into_iter()
    .any(|row| fault.is(row))
}

/// The fault of a setting of downloads or their cache that cannot be read.
pub(crate) fn of_resources(problem: &Problem) -> Option<Fault> {
    use faults::internal_error as row;
    let Problem::Value { name, .. } = problem else {
        return None;
    };
    let fault = match name.split_once('.')? {
        ("outbound", "timeout" | "retries" | "max_size") => {
            row::invalid_resource_download_configuration()
        }
        ("cache", _) => row::invalid_resource_cache_configuration(),
        _ => return None,
    };
    Some(fault.because(problem))
}

/// A fault of this process: the operator is at the terminal, so the private cause is shown too.
fn report_fault(fault: &Fault) {
    let rendered = faults::render(fault, faults::Language::English);
    let reply = serde_json::from_str(&rendered.body).ok();
    report_reply(rendered.status, reply.as_ref(), None, None);
    if let Some(cause) = fault.cause() {
        term::note("cause", cause);
    }
}

fn report_reply(
    status: u16,
    reply: Option<&ErrorReply>,
    request_id: Option<&str>,
    retry_after: Option<u64>,
) {
    let Some(ErrorReply { error }) = reply else {
        term::error(&format!("the server answered with status {status}"));
        return;
    };
    match &error.details[..] {
        [] => term::error(&format!("{}: {}", error.code, error.message)),
        details => {
            for detail in details {
                let target = detail
                    .target
                    .as_ref()
                    .map(|t| format!(" (at {t})"))
                    .unwrap_or_default();
                term::error(&format!(
                    "{}.{}: {}{target}",
                    error.code, detail.code, detail.message
                ));
            }
        }
    }
    let name = match error.details.first() {
        Some(detail) => format!("{}.{}", error.code, detail.code),
        None => error.code.clone(),
    };
    let known = faults::find(&name)
        .first()
        .copied()
        .or_else(|| faults::find(&error.code).first().copied());
    if let Some(hint) = known.map(what_to_do).filter(|hint| !hint.is_empty()) {
        term::hint(&hint);
    }
    if let Some(seconds) = retry_after {
        term::hint(&format!("the server asks to wait {seconds} s"));
    }
    if let Some(id) = request_id {
        term::note("request id", id);
    }
}

fn what_to_do(entry: faults::Entry) -> String {
    match entry {
        faults::Entry::Class(class) => class.what_to_do().trim().to_owned(),
        faults::Entry::Row(row) => row.what_to_do().trim().to_owned(),
    }
}
