//! The batch lane: containers of their own, behind those that score.

mod common;

use std::fs::File;
use std::time::Duration;

use common::batch::{text, whole_file};
use common::{Bench, lives, options, package, stored, until};
use containers::batch::{WorkDone, WorkEnd, WorkFailed};
use containers::{HostOptions, Lane};
use tokio::task::JoinHandle;

const SOON: Duration = Duration::from_millis(300);
/// Milliseconds that no test waits out.
const LONG: &str = "sleep 600000\n";

type Outcome = Result<(WorkDone, String), WorkFailed>;

fn spawn(bench: &Bench, endpoint: u8, lines: &str) -> JoinHandle<Outcome> {
    let (bench, lines) = (bench.clone(), lines.to_owned());
    tokio::spawn(async move { bench.done(endpoint, &lines).await })
}

/// The process ids of the lane's containers, with the first byte of their revision.
fn containers(bench: &Bench, lane: Lane) -> Vec<(u32, u8)> {
    let pools = bench.host.status();
    let pools = pools.iter().filter(|pool| pool.lane == lane);
    pools
        .flat_map(|pool| pool.containers.iter().map(|c| (c.pid, c.revision[0])))
        .collect()
}

/// Niceness and scheduling policy of a process.
fn priority(pid: u32) -> (i32, i32) {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let (_, rest) = stat.rsplit_once(')').unwrap();
    let fields: Vec<&str> = rest.split_whitespace().collect();
    // The first of these is the third field of proc(5).
    (fields[16].parse().unwrap(), fields[38].parse().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn batch_runs_behind_scoring_in_slots_of_its_own() {
    let bench = Bench::with_service(HostOptions {
        slots: 1,
        batch_slots: 1,
        ..options()
    });
    bench.call(1, "x").await.unwrap();
    // The only slot is taken, and yet there is room for the other lane; and the other way about.
    let work = spawn(&bench, 1, LONG);
    until("it works", || bench.begun() == 1).await;
    bench.call(1, "x").await.unwrap();
    let [scoring, batch] = [Lane::Scoring, Lane::Batch].map(|lane| containers(&bench, lane)[0].0);
    assert_ne!(scoring, batch);
    let (own_niceness, own_policy) = priority(std::process::id());
    assert_eq!(priority(scoring), (own_niceness, own_policy));
    assert_eq!(
        priority(batch),
        ((own_niceness + 10).min(19), libc::SCHED_BATCH)
    );
    let group = |pid| std::fs::read_to_string(format!("/proc/{pid}/autogroup")).ok();
    if let Some(group) = group(batch) {
        assert!(group.trim_end().ends_with("nice 10"), "{group}");
    }
    work.abort();
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn work_stays_with_the_revision_it_was_asked_for() {
    let bench = Bench::with_service(options());
    bench.call(1, "x").await.unwrap();
    let second = stored(&package("echo"));
    bench.store_revision(1, 2, second.clone());
    bench.done(1, "x\n").await.unwrap();
    let first = containers(&bench, Lane::Batch);
    assert_eq!(first.iter().map(|(_, r)| *r).collect::<Vec<_>>(), [1]);
    let files = second.files([2; 16]);
    let prepared = bench.host.prepare([1; 16], "service1/default", files).await;
    bench.host.activate(prepared.unwrap());
    bench.done(1, "x\n").await.unwrap();
    assert_eq!(containers(&bench, Lane::Batch), first);
    let call = whole_file("x\n", &tempfile::tempfile().unwrap());
    bench.batch_revision(1, 2, call).await.unwrap();
    let mut revisions: Vec<_> = containers(&bench, Lane::Batch)
        .iter()
        .map(|c| c.1)
        .collect();
    revisions.sort_unstable();
    assert_eq!(revisions, [1, 2]);
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn work_waits_for_a_slot_and_services_take_turns() {
    let bench = Bench::with_service(HostOptions {
        batch_slots: 1,
        batch_threads: 1,
        batch_turn: SOON,
        start_wait: Duration::from_millis(1),
        ..options()
    });
    bench.store(2, stored(&package("echo")));
    // The first service has far more to do than one turn.
    let first: Vec<_> = (0..20).map(|_| spawn(&bench, 1, "sleep 100\n")).collect();
    until("it works", || bench.begun() == 1).await;
    let second = spawn(&bench, 2, "x\n");
    assert_eq!(second.await.unwrap().unwrap().1, "said\ndid x\n");
    let left = first.iter().filter(|work| !work.is_finished()).count();
    assert!(
        left > 0,
        "it had its turn before the first service came to its end"
    );
    for work in first {
        work.await.unwrap().unwrap();
    }
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn work_that_nobody_waits_for_stops_and_its_container_goes_on() {
    let bench = Bench::with_service(options());
    let work = spawn(&bench, 1, LONG);
    until("it works", || bench.begun() == 1).await;
    let before = bench.pids();
    work.abort();
    until("it is stopped", || bench.noted(1, "stopped: sleep")).await;
    bench.done(1, "x\n").await.unwrap();
    assert_eq!(bench.pids(), before);
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn work_that_does_not_stop_is_ended_with_its_container() {
    let bench = Bench::with_service(options());
    let work = spawn(&bench, 1, "deaf 600000\n");
    until("it works", || bench.begun() == 1).await;
    let pid = bench.pids()[0];
    work.abort();
    until("its container is ended", || !lives(pid)).await;
    bench.done(1, "x\n").await.unwrap();
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn work_whose_container_is_lost_may_be_tried_again() {
    let bench = Bench::with_service(options());
    let work = spawn(&bench, 1, LONG);
    until("it works", || bench.begun() == 1).await;
    // SAFETY: a signal to a container of this test.
    unsafe { libc::kill(bench.pids()[0] as i32, libc::SIGKILL) };
    let failed = work.await.unwrap().unwrap_err();
    assert_eq!(failed.end, WorkEnd::Lost);
    assert!(failed.end.is_transient());
    let system = "InternalError.ContainerProcessTerminatedWithSystemError";
    assert_eq!(failed.fault.name(), system);
    bench.done(1, "x\n").await.unwrap();
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_time_that_is_spent_ends_the_work() {
    let bench = Bench::with_service(options());
    let target = tempfile::tempfile().unwrap();
    let mut call = whole_file(LONG, &target);
    call.deadline = Some(std::time::Instant::now() + SOON);
    let failed = bench.batch(1, call).await.unwrap_err();
    assert_eq!(failed.end, WorkEnd::Deadline);
    until("it is stopped", || bench.begun() == 0).await;
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn work_ends_with_its_endpoint_and_with_the_host() {
    let bench = Bench::with_service(options());
    bench.store(2, stored(&package("echo")));
    let (first, second) = (spawn(&bench, 1, LONG), spawn(&bench, 2, LONG));
    until("both work", || bench.begun() == 2).await;
    bench.host.remove([1; 16]).await;
    let failed = first.await.unwrap().unwrap_err();
    assert_eq!(failed.end, WorkEnd::Lost);
    assert!(!second.is_finished());
    // Not after the time that calls get.
    bench.host.shutdown(Duration::from_secs(600_000)).await;
    let failed = second.await.unwrap().unwrap_err();
    assert_eq!(failed.end, WorkEnd::Lost);
    assert_eq!(failed.fault.name(), "ServiceUnavailable");
    assert!(bench.pids().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_containers_of_the_lane_end() {
    let bench = Bench::with_service(HostOptions {
        idle: SOON,
        ..options()
    });
    bench.done(1, "x\n").await.unwrap();
    until("it ends", || bench.pids().is_empty()).await;
    until("nothing is kept of its pool", || {
        bench.host.status().is_empty()
    })
    .await;
    bench.end().await;
}

/// The most memory that a container ever had, in KB, after it did so many rows.
async fn peak(rows: u64) -> u64 {
    let bench = Bench::with_service(options());
    let lines: String = (0..rows).map(|n| format!("row {n}\n")).collect();
    let (done, text) = bench.done(1, &lines).await.unwrap();
    assert_eq!(done.rows, rows);
    assert_eq!(done.written, [text.len() as u64]);
    let status = std::fs::read_to_string(format!("/proc/{}/status", bench.pids()[0])).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let peak = peak.unwrap().split_whitespace().next().unwrap().parse();
    bench.end().await;
    peak.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_does_not_grow_with_the_input() {
    let (few, many) = (peak(60_000).await, peak(600_000).await);
    // The text of the rows alone is 8 MB.
    assert!(many < few + 2_000, "{few} KB, then {many} KB");
}

#[tokio::test(flavor = "multi_thread")]
async fn containers_keep_no_descriptor_of_work_that_is_over() {
    let bench = Bench::with_service(options());
    let open = async || bench.done(1, "descriptors\n").await.unwrap().1;
    let before = open().await;
    for _ in 0..5 {
        bench.done(1, "x\n").await.unwrap();
        bench.done(1, "fault x\n").await.unwrap_err();
        bench.done(1, "panic\n").await.unwrap_err();
        // Of work that does not fit, and of work that is given up.
        let mut call = whole_file("x\n", &tempfile::tempfile().unwrap());
        call.descriptors.push(tempfile::tempfile().unwrap().into());
        bench.batch(1, call).await.unwrap_err();
        let given_up = spawn(&bench, 1, LONG);
        until("it works", || bench.begun() == 1).await;
        given_up.abort();
        until("it has stopped", || bench.begun() == 0).await;
    }
    // What was given up is over once its answer has come, and the room is there again.
    until("it is over", || bench.calls_in_containers() == 0).await;
    let both = [spawn(&bench, 1, "x\n"), spawn(&bench, 1, "x\n")];
    for work in both {
        work.await.unwrap().unwrap();
    }
    assert_eq!(open().await, before);
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_output_that_is_there_is_what_the_container_wrote() {
    let bench = Bench::with_service(options());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("part");
    let target = File::create_new(&path).unwrap();
    bench.batch(1, whole_file("x\n", &target)).await.unwrap();
    drop(target);
    let written = File::open(&path).unwrap();
    assert_eq!(text(written), "said\ndid x\n");
    bench.end().await;
}
