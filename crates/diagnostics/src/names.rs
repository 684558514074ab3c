//! Names of blobs of diagnostics.

use jiff::Timestamp;
use store::Entry;

/// The blob container that all diagnostics go to.
pub const BLOB_CONTAINER: &str = "ml-diagnostics";

/// What a blob is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A scoring call.
    Call,
    /// The start of a container.
    Start,
    /// A batch job.
    Job,
}

impl Kind {
    /// All kinds, in the order of their numbers.
    pub const ALL: [Kind; 3] = [Kind::Call, Kind::Start, Kind::Job];

    /// The part of the name that tells kinds apart.
    pub fn folder(self) -> &'static str {
        match self {
            Kind::Call => "score/requests",
            Kind::Start => "score/init",
            Kind::Job => "batch",
        }
    }

    /// Its name in the text of a record and as a label of metrics.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Call => "call",
            Kind::Start => "start",
            Kind::Job => "job",
        }
    }
}

/// What names of blobs of an endpoint begin with, unless its service says otherwise:
/// `{workspace}-{service}-{endpoint}/{batch | score/requests | score/init}`.
pub fn default_prefix(entry: &Entry, kind: Kind) -> String {
    format!(
        "{}-{}-{}/{}",
        entry.workspace,
        entry.service,
        entry.endpoint,
        kind.folder()
    )
}

/// The name of a blob: names of one prefix sort by time. The time is that of a call's beginning, a
/// start's beginning or a job's end; `what` is the request's id, the container's number or the
/// job's id.
pub fn blob_name(prefix: &str, at: Timestamp, what: &str) -> String {
    format!("{prefix}/{}-{what}.json", at.strftime("%Y%m%dT%H%M%S.%6fZ"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_sort_by_time_and_have_the_time_in_utc() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let names: Vec<_> = [
            "2026-01-02T03:04:05Z",
            "2026-01-02T03:04:05.000001Z",
            "2026-01-02T03:04:05.1Z",
            "2026-01-02T03:04:06+00:00",
            "2026-01-02T01:00:00-05:00",
        ]
        .map(|time| blob_name("a-b-c/batch", at(time), "0f"))
        .into();
        assert_eq!(names[0], "a-b-c/batch/20260102T030405.000000Z-0f.json");
        assert_eq!(names[4], "a-b-c/batch/20260102T060000.000000Z-0f.json");
        assert!(names.is_sorted());
    }
}
