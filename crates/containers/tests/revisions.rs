//! Deploys: a new revision takes over without a failed call, a bad one changes nothing.

mod common;

use std::time::Duration;

use common::{Bench, PATIENCE, lives, options, package, stored, until};
use containers::HostOptions;

#[tokio::test(flavor = "multi_thread")]
async fn calls_move_when_the_new_revision_is_ready_and_not_before() {
    let bench = Bench::with_service(HostOptions {
        slots: 1,
        ..options()
    });
    let old = bench.call(1, "pid").await.unwrap();
    let under_way = {
        let bench = bench.clone();
        tokio::spawn(async move { bench.call(1, "sleep 1000").await })
    };
    until("it runs", || bench.begun() == 1).await;
    let second = stored(&package("sleep 100"));
    bench.store_revision(1, 2, second.clone());
    // One over the slots.
    let prepared = bench
        .host
        .prepare([1; 16], "service1/default", second.files([2; 16]))
        .await
        .unwrap();
    assert_eq!(bench.pids().len(), 2);
    assert_eq!(bench.call(1, "pid").await.unwrap(), old);
    bench.host.activate(prepared);
    let new = bench.call_revision(1, 2, "pid", PATIENCE).await.unwrap();
    assert_ne!(new, old);
    // A caller that still knows the old revision gets the new one.
    assert_eq!(bench.call(1, "pid").await.unwrap(), new);
    assert_eq!(under_way.await.unwrap().unwrap(), "did sleep 1000");
    let old = old.parse().unwrap();
    until("the old container ends", || !lives(old)).await;
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_call_fails_while_revisions_follow_each_other() {
    let bench = Bench::with_service(options());
    bench.call(1, "x").await.unwrap();
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let callers: Vec<_> = (0..8)
        .map(|_| {
            let (bench, stop) = (bench.clone(), stop.clone());
            tokio::spawn(async move {
                let mut count = 0;
                while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    assert_eq!(bench.call(1, "x").await.unwrap(), "did x");
                    count += 1;
                }
                count
            })
        })
        .collect();
    for revision in 2..8 {
        let next = stored(&package("echo"));
        bench.store_revision(1, revision, next.clone());
        let files = next.files([revision; 16]);
        let prepared = bench.host.prepare([1; 16], "service1/default", files).await;
        bench.host.activate(prepared.unwrap());
    }
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    for caller in callers {
        assert!(caller.await.unwrap() > 0);
    }
    until("one container is left", || bench.pids().len() == 1).await;
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revision_that_fails_or_is_not_activated_changes_nothing() {
    let bench = Bench::with_service(HostOptions {
        start_limit: Duration::from_secs(2),
        ..options()
    });
    let old = bench.call(1, "pid").await.unwrap();
    for (on_load, name) in [
        ("fault broken", "ModuleExecutionError"),
        ("deaf 600000", "GatewayTimeout.BackendInitializationTimeout"),
        (
            "exit 42",
            "InternalError.ContainerProcessTerminatedWithUnknownError",
        ),
    ] {
        let files = stored(&package(on_load)).files([2; 16]);
        let fault = bench.host.prepare([1; 16], "service1/default", files).await;
        assert_eq!(fault.unwrap_err().name(), name);
    }
    // Who deploys went away while the container was loading.
    let files = stored(&package("deaf 600000")).files([2; 16]);
    let host = bench.host.clone();
    let given_up = tokio::spawn(async move {
        let prepared = host.prepare([1; 16], "service1/default", files).await;
        drop(prepared);
    });
    until("it loads", || bench.pids().len() == 2).await;
    given_up.abort();
    until("it ends", || bench.pids().len() == 1).await;
    assert_eq!(bench.counter("containers_starting"), 0);

    let files = stored(&package("echo")).files([3; 16]);
    let prepared = bench
        .host
        .prepare([1; 16], "service1/default", files)
        .await
        .unwrap();
    assert_eq!(bench.pids().len(), 2);
    drop(prepared);
    until("its container ends", || bench.pids().len() == 1).await;
    assert_eq!(bench.call(1, "pid").await.unwrap(), old);
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_endpoint_ends_its_containers_after_their_calls() {
    let bench = Bench::with_service(options());
    let pid: u32 = bench.call(1, "pid").await.unwrap().parse().unwrap();
    let under_way = {
        let bench = bench.clone();
        tokio::spawn(async move { bench.call(1, "sleep 500").await })
    };
    until("it runs", || bench.begun() == 1).await;
    bench.host.remove([1; 16]).await;
    assert_eq!(under_way.await.unwrap().unwrap(), "did sleep 500");
    until("the container ends", || !lives(pid)).await;
    assert!(bench.host.status().is_empty());
    bench.end().await;
}
