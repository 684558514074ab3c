//! Jobs in the ledger: who holds one, and that nobody else can write about it.

mod common;

use std::time::Duration;

use common::{new_service, next_revision};
use faults::{Class, rows};
use rusqlite::Connection;
use store::{
    ApiVersion, ChunkDone, ChunkState, ClaimRules, ClaimedJob, Entry, Id, JobCursor, JobLimits,
    JobState, NewChunk, NewJob, Retention, StagedOutput, Store,
};

const LEASE: Duration = Duration::from_secs(3600);
const LIMITS: JobLimits = JobLimits {
    per_endpoint: 100,
    in_all: 1000,
};

struct Ledger {
    dir: tempfile::TempDir,
    store: Store,
}

impl Ledger {
    fn new() -> Ledger {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path(), None).unwrap();
        Ledger { dir, store }
    }

    async fn service(&self, name: &str) -> std::sync::Arc<Entry> {
        let write = new_service(&self.store, name);
        self.store.ledger.put_service(write, "test").await.unwrap()
    }

    async fn submit(&self, entry: &Entry, version: ApiVersion) -> Id {
        let id = Id::random();
        self.submit_within(entry, id, version, LIMITS)
            .await
            .unwrap();
        id
    }

    async fn submit_within(
        &self,
        entry: &Entry,
        id: Id,
        version: ApiVersion,
        limits: JobLimits,
    ) -> Result<(), faults::Fault> {
        let new = NewJob {
            id,
            workspace: entry.workspace,
            service: entry.service,
            endpoint: entry.endpoint,
            label: entry.label(),
            version,
            request: b"the request".to_vec(),
        };
        self.store.ledger.submit_job(new, limits, "caller").await
    }

    async fn started(&self, entry: &Entry) -> Id {
        let id = self.submit(entry, ApiVersion::V2).await;
        let ledger = &self.store.ledger;
        ledger
            .start_job(entry.endpoint, id, "caller")
            .await
            .unwrap();
        id
    }

    fn rules(&self) -> ClaimRules {
        ClaimRules {
            node: self.store.node,
            lease: LEASE,
            per_endpoint: 40,
            most: 100,
        }
    }

    async fn claim(&self, rules: ClaimRules) -> Vec<ClaimedJob> {
        self.store.ledger.claim_jobs(rules).await.unwrap()
    }

    async fn state(&self, entry: &Entry, job: Id) -> JobState {
        let record = self.store.ledger.job(entry.endpoint, job).await;
        record.unwrap().state
    }

    /// Another program's hand on the file.
    fn file(&self) -> Connection {
        Connection::open(self.dir.path().join("ledger.sqlite")).unwrap()
    }

    /// Lets every lease be over.
    fn let_leases_end(&self) {
        for table in ["jobs", "chunks"] {
            let sql = format!("UPDATE {table} SET lease_until = 1 WHERE lease_until > 0");
            self.file().execute(&sql, []).unwrap();
        }
    }
}

fn cut(number: u32) -> NewChunk {
    NewChunk {
        number,
        start: u64::from(number) * 100,
        length: 100,
        first_line: u64::from(number) * 10 + 2,
    }
}

fn done(rows: u64) -> ChunkDone {
    ChunkDone {
        rows,
        rejected: 1,
        compute: Duration::from_millis(5),
        parts: vec![vec![format!("part of {rows}")], Vec::new()],
    }
}

fn output(position: u32, token: &str) -> StagedOutput {
    StagedOutput {
        position,
        token: token.to_owned(),
        parts: None,
        committed: false,
    }
}

#[tokio::test]
async fn a_job_goes_from_submission_to_its_end() {
    let l = Ledger::new();
    let entry = l.service("census").await;
    let ledger = &l.store.ledger;
    let id = l.submit(&entry, ApiVersion::V2).await;
    assert_eq!(l.state(&entry, id).await, JobState::NotStarted);
    assert!(l.claim(l.rules()).await.is_empty(), "it was not started");
    ledger
        .start_job(entry.endpoint, id, "caller")
        .await
        .unwrap();
    assert_eq!(l.state(&entry, id).await, JobState::Queued);
    let fault = ledger.start_job(entry.endpoint, id, "caller").await;
    let fault = fault.unwrap_err();
    assert!(fault.is(&rows::InvalidOperation::CannotStartJob));
    assert_eq!(fault.details()[0].args, ["Queued"]);

    assert!(ledger.has_claimable_jobs(l.rules()).await.unwrap());
    let [job] = <[ClaimedJob; 1]>::try_from(l.claim(l.rules()).await).unwrap();
    assert_eq!(job.request.unwrap(), b"the request");
    assert_eq!((job.revision, job.resumed), (entry.revision, false));
    assert!(!ledger.has_claimable_jobs(l.rules()).await.unwrap());
    let outputs = vec![output(0, "a"), output(1, "b")];
    let plan = ledger.put_job_plan(id, job.fence, "{}".into(), outputs, (220, 20));
    assert!(plan.await.unwrap());
    let chunks = vec![cut(0), cut(1)];
    assert!(
        ledger
            .add_chunks(id, job.fence, chunks, true)
            .await
            .unwrap()
    );
    for number in [1, 0] {
        let lease = ledger.lease_chunk(id, job.fence, number, LEASE).await;
        let lease = lease.unwrap().unwrap();
        assert_eq!((lease.number, lease.attempt), (number, 1));
        let again = ledger.lease_chunk(id, job.fence, number, LEASE).await;
        assert_eq!(again.unwrap(), None, "it is worked on");
        let write = ledger.chunk_done(id, lease, done(u64::from(number) + 10));
        assert!(write.await.unwrap());
        let record = ledger.job(entry.endpoint, id).await.unwrap();
        assert_eq!(record.chunks_done, 2 - u64::from(number));
        assert_eq!((record.chunks, record.indexed), (2, true));
    }
    let chunks = ledger.chunks(id).await.unwrap();
    assert_eq!(chunks[1].state, ChunkState::Done(done(11)));
    let parts = vec![(1, vec!["x".to_owned(), "y".to_owned()])];
    let begun = ledger.begin_commit(id, job.fence, parts.clone()).await;
    assert!(begun.unwrap());
    let staged = ledger.staged_outputs(id).await.unwrap();
    assert_eq!(
        (&staged[0].parts, &staged[1].parts),
        (&None, &Some(parts[0].1.clone()))
    );
    let cancelled = ledger.cancel_job(entry.endpoint, id, "caller").await;
    assert!(!cancelled.unwrap(), "it is as good as finished");
    assert!(ledger.output_committed(id, job.fence, 1).await.unwrap());
    let staged = ledger.staged_outputs(id).await.unwrap();
    assert_eq!(
        staged.iter().map(|s| s.committed).collect::<Vec<_>>(),
        [false, true]
    );
    assert!(ledger.end_job(id, job.fence, None).await.unwrap());

    let record = ledger.job(entry.endpoint, id).await.unwrap();
    assert_eq!(record.state, JobState::Finished);
    assert_eq!((record.rows, record.rejected), (21, 2));
    assert_eq!((record.bytes_read, record.bytes_total), (220, Some(220)));
    assert_eq!((record.chunks_done, record.chunks), (2, 2));
    assert!(record.started.is_some() && record.ended >= record.started);
    assert!(ledger.chunks(id).await.unwrap().is_empty());
    let fault = ledger.start_job(entry.endpoint, id, "caller").await;
    assert_eq!(fault.unwrap_err().details()[0].args, ["Finished"]);
    assert!(
        !ledger
            .cancel_job(entry.endpoint, id, "caller")
            .await
            .unwrap()
    );

    // What it asked for stays, since it says where the outputs are.
    ledger.tidied(id).await.unwrap();
    assert_eq!(
        ledger.job_request(id).await.unwrap().unwrap(),
        b"the request"
    );
    let lines = ledger.audit(10).await.unwrap();
    let lines: Vec<_> = lines.iter().map(|l| (&*l.action, &*l.actor)).collect();
    assert_eq!(lines[..2], [("start", "caller"), ("submit", "caller")]);
}

#[tokio::test]
async fn what_a_former_holder_writes_changes_nothing() {
    let l = Ledger::new();
    let entry = l.service("census").await;
    let ledger = &l.store.ledger;
    let id = l.started(&entry).await;
    let [first] = <[ClaimedJob; 1]>::try_from(l.claim(l.rules()).await).unwrap();
    let outputs = vec![output(0, "a")];
    let plan = ledger.put_job_plan(id, first.fence, "{}".into(), outputs, (200, 0));
    assert!(plan.await.unwrap());
    let chunks = vec![cut(0), cut(1)];
    ledger
        .add_chunks(id, first.fence, chunks, true)
        .await
        .unwrap();
    let old = ledger.lease_chunk(id, first.fence, 0, LEASE).await;
    let old = old.unwrap().unwrap();
    let last = ledger.lease_chunk(id, first.fence, 1, LEASE).await;
    let last = last.unwrap().unwrap();
    assert!(ledger.chunk_done(id, last, done(7)).await.unwrap());
    assert!(l.claim(l.rules()).await.is_empty(), "the lease goes on");

    l.let_leases_end();
    let [second] = <[ClaimedJob; 1]>::try_from(l.claim(l.rules()).await).unwrap();
    assert!(second.resumed && second.indexed);
    assert_eq!(second.plan.as_deref(), Some("{}"));
    assert!(second.fence > first.fence);
    let f = first.fence;
    assert_eq!(ledger.lease_chunk(id, f, 0, LEASE).await.unwrap(), None);
    let new = ledger.lease_chunk(id, second.fence, 0, LEASE).await;
    let new = new.unwrap().unwrap();
    assert_eq!(new.attempt, 2, "what is staged gets another name");
    assert!(!ledger.chunk_done(id, old, done(99)).await.unwrap());
    let fault = faults::internal_error::unknown_error();
    assert!(!ledger.chunk_failed(id, old, &fault).await.unwrap());
    assert!(!ledger.release_chunk(id, old).await.unwrap());
    assert!(!ledger.hold_job(id, f, LEASE).await.unwrap());
    assert!(!ledger.add_chunks(id, f, vec![cut(2)], true).await.unwrap());
    assert!(!ledger.begin_commit(id, f, Vec::new()).await.unwrap());
    assert!(!ledger.output_committed(id, f, 0).await.unwrap());
    assert!(!ledger.end_job(id, f, Some(fault)).await.unwrap());
    ledger.release_job(id, f).await.unwrap();
    let late = ledger.put_job_plan(id, f, "late".into(), Vec::new(), (1, 1));
    assert!(!late.await.unwrap());
    assert!(!ledger.reset_chunk(id, f, 1).await.unwrap());
    let lost = ledger.lost_jobs(vec![(id, f), (id, second.fence)]).await;
    assert_eq!(lost.unwrap(), [id]);

    assert!(ledger.hold_job(id, second.fence, LEASE).await.unwrap());
    assert!(ledger.chunk_done(id, new, done(3)).await.unwrap());
    let chunks = ledger.chunks(id).await.unwrap();
    assert_eq!(chunks.len(), 2);
    assert_eq!(chunks[0].state, ChunkState::Done(done(3)));
    assert_eq!(
        chunks[1].state,
        ChunkState::Done(done(7)),
        "done stays done"
    );
    assert!(ledger.end_job(id, second.fence, None).await.unwrap());
    assert_eq!(ledger.job(entry.endpoint, id).await.unwrap().rows, 10);
}

#[tokio::test]
async fn a_cancelled_job_is_held_by_nobody_and_loses_its_secrets_when_it_is_tidied() {
    let l = Ledger::new();
    let entry = l.service("census").await;
    let ledger = &l.store.ledger;
    let [waiting, running] = [l.started(&entry).await, l.started(&entry).await];
    assert!(
        ledger
            .cancel_job(entry.endpoint, waiting, "x")
            .await
            .unwrap()
    );
    assert_eq!(ledger.job_request(waiting).await.unwrap(), None);
    let [job] = <[ClaimedJob; 1]>::try_from(l.claim(l.rules()).await).unwrap();
    assert_eq!(job.id, running);
    let outputs = vec![output(0, "upload 7")];
    let plan = ledger.put_job_plan(running, job.fence, "{}".into(), outputs.clone(), (100, 0));
    plan.await.unwrap();
    ledger
        .add_chunks(running, job.fence, vec![cut(0)], true)
        .await
        .unwrap();
    let lease = ledger.lease_chunk(running, job.fence, 0, LEASE).await;
    let lease = lease.unwrap().unwrap();
    assert!(
        ledger
            .cancel_job(entry.endpoint, running, "x")
            .await
            .unwrap()
    );
    assert!(!ledger.chunk_done(running, lease, done(1)).await.unwrap());
    assert!(!ledger.hold_job(running, job.fence, LEASE).await.unwrap());
    assert_eq!(l.state(&entry, running).await, JobState::Cancelled);

    let untidy = ledger.untidy_jobs(10).await.unwrap();
    assert_eq!(untidy.len(), 1, "the one that never ran has left nothing");
    assert_eq!((untidy[0].id, &untidy[0].staged), (running, &outputs));
    assert_eq!(untidy[0].request.as_deref(), Some(&b"the request"[..]));
    ledger.tidied(running).await.unwrap();
    assert!(ledger.untidy_jobs(10).await.unwrap().is_empty());
    assert_eq!(ledger.job_request(running).await.unwrap(), None);
    let found = ledger
        .jobs(entry.endpoint, None, 10, Some(JobState::Cancelled))
        .await;
    assert_eq!(found.unwrap().len(), 2);
}

#[tokio::test]
async fn a_failure_is_kept_as_class_code_and_parameters() {
    let l = Ledger::new();
    let entry = l.service("census").await;
    let ledger = &l.store.ledger;
    let id = l.started(&entry).await;
    let job = l.claim(l.rules()).await.remove(0);
    let fault = faults::bad_argument::blob_not_found("a/in.csv", "no such blob").at("input1");
    let end = ledger.end_job(id, job.fence, Some(fault.clone()));
    assert!(end.await.unwrap());
    let record = ledger.job(entry.endpoint, id).await.unwrap();
    assert_eq!(
        (record.state, record.fault),
        (JobState::Failed, Some(fault))
    );
}

#[tokio::test]
async fn a_request_that_is_gone_and_a_status_that_nobody_knows_are_told() {
    let l = Ledger::new();
    let entry = l.service("census").await;
    let ledger = &l.store.ledger;
    for gone in ["NULL", "x''"] {
        let id = l.started(&entry).await;
        let sql = format!("UPDATE jobs SET request = {gone} WHERE id = ?1");
        l.file().execute(&sql, [id.0]).unwrap();
        l.store.rotate_master_key("test").await.unwrap();
        let job = l.claim(l.rules()).await.remove(0);
        let fault = job.request.unwrap_err();
        assert!(
            fault.is(&rows::InternalError::MissingTaskInstance),
            "{gone}"
        );
    }
    let id = l.started(&entry).await;
    l.file()
        .execute("UPDATE jobs SET state = 77 WHERE id = ?1", [id.0])
        .unwrap();
    let faults = [
        ledger.job(entry.endpoint, id).await.unwrap_err(),
        ledger
            .cancel_job(entry.endpoint, id, "x")
            .await
            .unwrap_err(),
        ledger.start_job(entry.endpoint, id, "x").await.unwrap_err(),
        ledger
            .jobs(entry.endpoint, None, 10, None)
            .await
            .unwrap_err(),
    ];
    for fault in faults {
        assert!(fault.is(&rows::InternalError::UnknownJobStatusCode));
        assert_eq!(fault.details()[0].args, ["77"]);
    }
    assert!(l.claim(l.rules()).await.is_empty());
}

#[tokio::test]
async fn endpoints_take_turns_and_each_has_its_number_at_once() {
    let l = Ledger::new();
    let [a, b] = [l.service("a").await, l.service("b").await];
    let mut of_a = Vec::new();
    for _ in 0..4 {
        of_a.push(l.started(&a).await);
    }
    let first_of_b = l.submit(&b, ApiVersion::V1).await;
    let rules = ClaimRules {
        per_endpoint: 2,
        ..l.rules()
    };
    let ids = |jobs: &[ClaimedJob]| jobs.iter().map(|job| job.id).collect::<Vec<_>>();
    let claimed = l.claim(ClaimRules { most: 2, ..rules }).await;
    assert_eq!(ids(&claimed), [of_a[0], first_of_b], "each gets its first");
    let more = l.claim(rules).await;
    assert_eq!(ids(&more), [of_a[1]], "two of an endpoint run at once");
    let end = l.store.ledger.end_job(of_a[0], claimed[0].fence, None);
    assert!(end.await.unwrap());
    assert_eq!(ids(&l.claim(rules).await), [of_a[2]]);
    assert_eq!(l.state(&a, of_a[3]).await, JobState::Queued);
}

#[tokio::test]
async fn there_are_only_so_many_jobs_that_are_not_at_their_end() {
    let l = Ledger::new();
    let [a, b] = [l.service("a").await, l.service("b").await];
    let limits = JobLimits {
        per_endpoint: 2,
        in_all: 3,
    };
    let submit = async |entry: &Entry| {
        let id = Id::random();
        l.submit_within(entry, id, ApiVersion::V2, limits)
            .await
            .map(|()| id)
    };
    let first = submit(&a).await.unwrap();
    submit(&a).await.unwrap();
    let fault = submit(&a).await.unwrap_err();
    assert_eq!(fault.class(), Class::ServiceUnavailable);
    assert!(fault.retry_delay().is_some());
    submit(&b).await.unwrap();
    assert!(
        submit(&b)
            .await
            .unwrap_err()
            .cause()
            .unwrap()
            .contains("installation")
    );
    let ledger = &l.store.ledger;
    assert!(ledger.room_for_job(b.endpoint, limits).await.is_err());
    ledger.cancel_job(a.endpoint, first, "x").await.unwrap();
    ledger.room_for_job(b.endpoint, limits).await.unwrap();
    submit(&b).await.unwrap();
}

#[tokio::test]
async fn a_node_that_starts_again_goes_on_at_once() {
    let l = Ledger::new();
    let entry = l.service("census").await;
    let ledger = &l.store.ledger;
    let id = l.started(&entry).await;
    let job = l.claim(l.rules()).await.remove(0);
    ledger
        .add_chunks(id, job.fence, vec![cut(0)], false)
        .await
        .unwrap();
    let old = ledger
        .lease_chunk(id, job.fence, 0, LEASE)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(ledger.release_node(Id::random()).await.unwrap(), 0);
    assert_eq!(ledger.release_node(l.store.node).await.unwrap(), 1);
    assert!(!ledger.chunk_done(id, old, done(1)).await.unwrap());
    let again = l.claim(l.rules()).await.remove(0);
    assert_eq!((again.id, again.resumed), (id, true));
    assert_eq!(
        ledger.chunks(id).await.unwrap()[0].state,
        ChunkState::Waiting
    );

    let lease = ledger
        .lease_chunk(id, again.fence, 0, LEASE)
        .await
        .unwrap()
        .unwrap();
    ledger.release_job(id, again.fence).await.unwrap();
    assert!(!ledger.chunk_done(id, lease, done(1)).await.unwrap());
    assert_eq!(l.claim(l.rules()).await.len(), 1);
}

#[tokio::test]
async fn the_revision_of_a_job_under_way_is_kept() {
    let l = Ledger::new();
    let entry = l.service("census").await;
    let ledger = &l.store.ledger;
    l.store.set_retention(Retention {
        revisions: 0,
        ..Retention::default()
    });
    let queued = l.started(&entry).await;
    let id = l.started(&entry).await;
    let rules = ClaimRules {
        most: 2,
        ..l.rules()
    };
    let claimed = l.claim(rules).await;
    assert_eq!(claimed[1].revision, entry.revision);
    ledger.release_job(queued, claimed[0].fence).await.unwrap();
    let write = next_revision(&l.store, &entry, r#"{"title":"second"}"#);
    let second = ledger.put_service(write, "test").await.unwrap();
    assert_ne!(second.revision, entry.revision);
    ledger.prune().await.unwrap();
    ledger.revision(entry.revision).await.unwrap();
    // It stays with it, also when another goes on.
    assert_eq!(l.claim(rules).await[0].revision, entry.revision);
    for job in [queued, id] {
        ledger.cancel_job(entry.endpoint, job, "x").await.unwrap();
    }
    assert_eq!(ledger.prune().await.unwrap().revisions, 1);
    assert!(ledger.revision(entry.revision).await.is_err());
}

#[tokio::test]
async fn jobs_go_with_their_endpoint_and_with_time() {
    let l = Ledger::new();
    let ledger = &l.store.ledger;
    let entry = l.service("census").await;
    let [queued, running, ended] = [
        l.started(&entry).await,
        l.started(&entry).await,
        l.started(&entry).await,
    ];
    ledger.cancel_job(entry.endpoint, ended, "x").await.unwrap();
    let claimed = l
        .claim(ClaimRules {
            most: 1,
            ..l.rules()
        })
        .await;
    assert_eq!(claimed[0].id, queued, "the queue keeps its order");
    let (running, queued) = (queued, running);
    assert!(ledger.delete_service(entry.service, "test").await.unwrap());
    for gone in [queued, ended] {
        assert!(ledger.job(entry.endpoint, gone).await.is_err());
    }
    // What ran is cancelled first, and goes when nothing of it is left.
    assert_eq!(l.state(&entry, running).await, JobState::Cancelled);
    assert!(
        !ledger
            .hold_job(running, claimed[0].fence, LEASE)
            .await
            .unwrap()
    );
    ledger.tidied(running).await.unwrap();
    assert!(ledger.job(entry.endpoint, running).await.is_err());
    let fault = l
        .submit_within(&entry, Id::random(), ApiVersion::V2, LIMITS)
        .await
        .unwrap_err();
    assert!(fault.is(&rows::NotFound::WebServiceNotFound));

    let entry = l.service("other").await;
    let old = l.started(&entry).await;
    let young = l.started(&entry).await;
    ledger.cancel_job(entry.endpoint, old, "x").await.unwrap();
    assert_eq!(ledger.prune().await.unwrap().jobs, 0);
    l.store.set_retention(Retention {
        jobs: Duration::ZERO,
        ..Retention::default()
    });
    // The ledger's clock counts milliseconds.
    l.file()
        .execute("UPDATE jobs SET ended = ended - 1000", [])
        .unwrap();
    assert_eq!(ledger.prune().await.unwrap().jobs, 1);
    assert_eq!(l.state(&entry, young).await, JobState::Queued);
}

#[tokio::test]
async fn a_list_comes_in_pages_the_newest_first() {
    let l = Ledger::new();
    let [a, b] = [l.service("a").await, l.service("b").await];
    let mut ids = Vec::new();
    for _ in 0..5 {
        ids.push(l.started(&a).await);
        l.started(&b).await;
    }
    ids.reverse();
    let mut seen = Vec::new();
    let mut cursor = None;
    loop {
        let page = l
            .store
            .ledger
            .jobs(a.endpoint, cursor, 2, None)
            .await
            .unwrap();
        let Some(last) = page.last() else { break };
        cursor = Some(JobCursor(last.number));
        seen.extend(page.iter().map(|job| job.id));
    }
    assert_eq!(seen, ids);
    let fault = l.store.ledger.job(b.endpoint, ids[0]).await.unwrap_err();
    assert_eq!(fault.name(), "NotFound", "another endpoint's job");
    let counts = l.store.ledger.job_counts().await.unwrap();
    assert_eq!(counts[1], (JobState::Queued, 10));
}
