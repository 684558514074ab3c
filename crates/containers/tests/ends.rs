//! How containers end, and what their calls are told.

mod common;

use std::time::Duration;

use common::{Bench, PATIENCE, lives, options, until};
use containers::{Cgroups, HostOptions};

#[tokio::test(flavor = "multi_thread")]
async fn each_end_has_its_code_and_the_next_call_a_fresh_container() {
    let bench = Bench::with_service(options());
    let system = "InternalError.ContainerProcessTerminatedWithSystemError";
    let unknown = "InternalError.ContainerProcessTerminatedWithUnknownError";
    for (action, code) in [
        ("fault-address", system),
        ("signal 9", system),
        ("abort", system),
        ("exit 42", unknown),
        ("exit 0", unknown),
        ("exit 77", "MemoryQuotaViolation.OutOfMemoryLimit"),
    ] {
        let before = bench.call(1, "pid").await.unwrap();
        assert_eq!(bench.fails(1, action).await, code, "{action}");
        let after = bench.call(1, "pid").await.unwrap();
        assert_ne!(before, after, "{action}");
    }
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_is_a_fault_of_its_call_alone() {
    let bench = Bench::with_service(options());
    let before = bench.call(1, "pid").await.unwrap();
    assert_eq!(
        bench.fails(1, "panic").await,
        "InternalError.ModuleExecutionFailed"
    );
    assert_eq!(bench.call(1, "pid").await.unwrap(), before);
    until("what it wrote is kept", || bench.noted(1, "told to")).await;
    bench.end().await;
}

async fn quota_is_told(bench: Bench) {
    assert_eq!(bench.call(1, "take 20").await.unwrap(), "20 MB");
    let fault = bench.call(1, "take 2000").await.unwrap_err();
    assert_eq!(fault.name(), "MemoryQuotaViolation.OutOfMemoryLimit");
    assert_eq!(fault.details()[0].args, ["100"]);
    assert_eq!(bench.call(1, "take 20").await.unwrap(), "20 MB");
    // A crash is still a crash.
    let crash = bench.fails(1, "signal 9").await;
    assert_eq!(
        crash,
        "InternalError.ContainerProcessTerminatedWithSystemError"
    );
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_quota_holds_by_rlimit() {
    let bench = Bench::with_service(HostOptions {
        memory_quota_mb: 100,
        ..options()
    });
    assert!(!bench.host.uses_cgroups());
    quota_is_told(bench).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_quota_holds_by_control_group() {
    let bench = Bench::with_service(HostOptions {
        memory_quota_mb: 100,
        cgroups: Cgroups::Auto,
        ..options()
    });
    if !bench.host.uses_cgroups() {
        println!("skipped: no control group with a memory limit can be made here");
        return;
    }
    quota_is_told(bench).await;
}

fn kill(pid: u32) {
    // SAFETY: a signal to a container of this test.
    unsafe { libc::kill(pid as i32, libc::SIGKILL) };
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_not_begun_go_to_a_successor_once() {
    let bench = Bench::with_service(HostOptions {
        compute_threads: 1,
        ..options()
    });
    let crashed = "InternalError.ContainerProcessTerminatedWithSystemError";
    let spawn = |action: &'static str| {
        let bench = bench.clone();
        tokio::spawn(async move { bench.call(1, action).await })
    };
    // The container that is not `old`, once it has so many calls, one of them begun.
    let given = |old: u32, count: usize| {
        let bench = bench.clone();
        async move {
            let mut new = 0;
            until("the calls are given", || {
                let pools = bench.host.status();
                let mut all = pools.iter().flat_map(|pool| pool.containers.iter());
                let found = all.find(|c| c.pid != old && c.calls == count && c.begun == 1);
                new = found.map_or(0, |c| c.pid);
                new != 0
            })
            .await;
            new
        }
    };
    let first = bench.call(1, "pid").await.unwrap();
    let begun = spawn("deaf 600000");
    given(0, 1).await;
    let behind = spawn("pid");
    kill(given(0, 2).await);
    assert_eq!(begun.await.unwrap().unwrap_err().name(), crashed);
    assert_ne!(behind.await.unwrap().unwrap(), first);

    // One whose second container ends as well is told, not tried for ever.
    let calls = [(); 3].map(|()| spawn("deaf 600000"));
    let old = given(0, 3).await;
    kill(old);
    kill(given(old, 2).await);
    for call in calls {
        assert_eq!(call.await.unwrap().unwrap_err().name(), crashed);
    }
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_that_does_not_stop_is_retired_while_others_finish() {
    let bench = Bench::with_service(HostOptions {
        stop_grace: Duration::from_millis(200),
        ..options()
    });
    let old = bench.call(1, "pid").await.unwrap();
    let other = {
        let bench = bench.clone();
        tokio::spawn(async move { bench.call(1, "sleep 3000").await })
    };
    until("the other call runs", || bench.begun() == 1).await;
    let deaf = bench
        .call_revision(1, 1, "deaf 600000", Duration::from_millis(300))
        .await;
    assert_eq!(
        deaf.unwrap_err().name(),
        "GatewayTimeout.BackendScoreTimeout"
    );
    until("it is retired", || bench.noted(1, "is retired")).await;
    // A successor at once, while the old one still runs its other call.
    let new = bench.call(1, "pid").await.unwrap();
    assert_ne!(new, old);
    assert!(!other.is_finished());
    assert_eq!(other.await.unwrap().unwrap(), "did sleep 3000");
    let old = old.parse().unwrap();
    until("the old one is ended", || !lives(old)).await;
    assert_eq!(bench.call(1, "pid").await.unwrap(), new);
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_container_is_replaced() {
    let bench = Bench::with_service(HostOptions {
        heartbeat: Duration::from_millis(50),
        silent_after: Duration::from_secs(3),
        ..options()
    });
    let old: u32 = bench.call(1, "pid").await.unwrap().parse().unwrap();
    // SAFETY: a signal to a container of this test.
    unsafe { libc::kill(old as i32, libc::SIGSTOP) };
    // Each of its threads stops when it is next due; until then it could still begin the call.
    until("it is stopped", || stopped(old)).await;
    // The stopped container has not begun the call, so another can take it.
    assert_ne!(bench.call(1, "pid").await.unwrap(), old.to_string());
    until("the silent one is ended", || !lives(old)).await;
    assert!(bench.noted(1, "WorkerUnreachable"));
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_under_way_end_before_a_shutdown() {
    let bench = Bench::with_service(options());
    bench.call(1, "hello").await.unwrap();
    let under_way = {
        let bench = bench.clone();
        tokio::spawn(async move { bench.call(1, "sleep 500").await })
    };
    until("the call runs", || bench.begun() == 1).await;
    let pids = bench.pids();
    bench.host.shutdown(PATIENCE).await;
    assert_eq!(under_way.await.unwrap().unwrap(), "did sleep 500");
    assert!(pids.iter().all(|pid| !lives(*pid)));
    assert_eq!(bench.fails(1, "hello").await, "ServiceUnavailable");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shutdown_does_not_wait_for_ever() {
    let bench = Bench::with_service(options());
    let pid: u32 = bench.call(1, "pid").await.unwrap().parse().unwrap();
    let under_way = {
        let bench = bench.clone();
        tokio::spawn(async move { bench.call(1, "deaf 600000").await })
    };
    until("the call runs", || bench.begun() == 1).await;
    bench.host.shutdown(Duration::from_millis(50)).await;
    assert!(!lives(pid));
    assert_eq!(
        under_way.await.unwrap().unwrap_err().name(),
        "ServiceUnavailable"
    );
}

/// Whether every thread of a process is stopped.
fn stopped(pid: u32) -> bool {
    let Ok(threads) = std::fs::read_dir(format!("/proc/{pid}/task")) else {
        return false;
    };
    threads.flatten().all(|thread| {
        let stat = std::fs::read_to_string(thread.path().join("stat")).unwrap_or_default();
        // The state stands behind the name, which ends with the last bracket.
        stat.rsplit_once(')')
            .is_some_and(|(_, rest)| rest.trim_start().starts_with('T'))
    })
}
