//! What is handed over, and the record of a call while it runs.

use std::sync::Arc;
use std::time::{Duration, Instant};

use containers::{Ran, StartReport, Watch};
use faults::Fault;
use jiff::Timestamp;
use store::{Entry, Id};

use crate::{Diagnostics, JobRecord, Kind};

/// A record on its way to the writer.
pub(crate) struct Item {
    pub(crate) endpoint: Id,
    /// The time in the blob's name.
    pub(crate) at: Timestamp,
    /// When it was over: what was printed later is not of it.
    pub(crate) ended: Instant,
    pub(crate) what: What,
}

pub(crate) enum What {
    Call(Box<CallDone>),
    Start(Box<StartReport>),
    Job(Box<JobRecord>),
}

impl What {
    pub(crate) fn kind(&self) -> Kind {
        match self {
            What::Call(_) => Kind::Call,
            What::Start(_) => Kind::Start,
            What::Job(_) => Kind::Job,
        }
    }

    /// What tells it from others of the same instant, in the blob's name.
    pub(crate) fn id(&self) -> String {
        match self {
            What::Call(call) => call.request_id.to_string(),
            What::Start(start) => match start.container {
                Some((number, pid)) => format!("container-{number}-{pid}"),
                None => "container-none".to_owned(),
            },
            What::Job(job) => job.job.to_string(),
        }
    }
}

/// A call that is over.
pub(crate) struct CallDone {
    pub(crate) request_id: Box<str>,
    /// The revision that was to answer it.
    pub(crate) revision: (Id, u64),
    pub(crate) status: u16,
    pub(crate) fault: Option<Fault>,
    pub(crate) bytes_in: u64,
    pub(crate) bytes_out: u64,
    pub(crate) took: Duration,
    /// From the head to the whole body.
    pub(crate) received: Option<Duration>,
    /// Who ran it, and when it was handed over, from the head on.
    pub(crate) ran: Option<(Ran, Duration)>,
}

/// The record of a call that is under way.
pub struct CallRecord {
    pub(crate) diagnostics: Diagnostics,
    pub(crate) entry: Arc<Entry>,
    pub(crate) request_id: Box<str>,
    pub(crate) at: Timestamp,
    pub(crate) started: Instant,
    pub(crate) received: Option<Duration>,
    pub(crate) watch: Watch,
}

impl CallRecord {
    /// The body has come, whole.
    pub fn received(&mut self) {
        self.received = Some(self.started.elapsed());
    }

    /// What is to be told who runs the call.
    pub fn watch(&self) -> &Watch {
        &self.watch
    }

    /// The call is over: the status of its reply (499 where the client went away before it), what
    /// it failed with, and the bytes of both bodies. Hands the record over; never waits.
    pub fn end(self, status: u16, fault: Option<&Fault>, bytes_in: u64, bytes_out: u64) {
        let ended = Instant::now();
        let ran = self.watch.ran().map(|ran| {
            let handed = ran.since.saturating_duration_since(self.started);
            (ran, handed)
        });
        let call = CallDone {
            request_id: self.request_id,
            revision: (self.entry.revision, self.entry.revision_number),
            status,
            fault: fault.cloned(),
            bytes_in,
            bytes_out,
            took: ended.saturating_duration_since(self.started),
            received: self.received,
            ran,
        };
        self.diagnostics.hand_over(Item {
            endpoint: self.entry.endpoint,
            at: self.at,
            ended,
            what: What::Call(Box::new(call)),
        });
    }
}
