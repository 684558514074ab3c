//! Several containers, limits, and the codes of calls that wait in vain.

mod common;

use std::time::Duration;

use common::{Bench, options, package, stored, until};
use containers::{HostOptions, PoolLimits};
use faults::Fault;

const SOON: Duration = Duration::from_millis(300);

fn spawn(
    bench: &Bench,
    endpoint: u8,
    action: &'static str,
) -> tokio::task::JoinHandle<Result<String, Fault>> {
    let bench = bench.clone();
    tokio::spawn(async move { bench.call(endpoint, action).await })
}

/// One call a container, so that a second call needs a second one.
fn narrow() -> HostOptions {
    HostOptions {
        calls_per_container: 1,
        compute_threads: 1,
        grow_after: Duration::ZERO,
        starting_total: 10,
        starting_per_service: 10,
        ..options()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn containers_are_added_as_calls_grow_and_end_when_idle() {
    let bench = Bench::new(HostOptions {
        idle: SOON,
        ..narrow()
    });
    let mut service = stored(&package("echo"));
    service.limits.max_instances = 3;
    bench.store(1, service);
    let calls: Vec<_> = (0..6).map(|_| spawn(&bench, 1, "sleep 400")).collect();
    until("three containers work", || bench.begun() == 3).await;
    assert_eq!(bench.pids().len(), 3, "not more than max_instances");
    for call in calls {
        assert_eq!(call.await.unwrap().unwrap(), "did sleep 400");
    }
    until("they end", || bench.pids().is_empty()).await;
    for gauge in ["ready", "starting", "retiring"] {
        assert_eq!(bench.gauge(&format!("containers_{gauge}")), 0, "{gauge}");
    }
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_can_be_kept_warm() {
    let bench = Bench::new(HostOptions {
        idle: SOON,
        ..narrow()
    });
    let mut service = stored(&package("echo"));
    service.limits.min_instances = 2;
    bench.store(1, service);
    bench.call(1, "x").await.unwrap();
    until("the second is started without calls", || {
        bench.pids().len() == 2
    })
    .await;
    let pids = bench.pids();
    tokio::time::sleep(4 * SOON).await;
    assert_eq!(bench.pids(), pids, "idle ones are kept");
    // SAFETY: a signal to a container of this test.
    unsafe { libc::kill(pids[0] as i32, libc::SIGKILL) };
    until("a crashed one is replaced", || {
        let now = bench.pids();
        now.len() == 2 && !now.contains(&pids[0])
    })
    .await;
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_slot_of_an_idle_container_goes_to_another_service() {
    let bench = Bench::with_service(HostOptions {
        slots: 1,
        ..narrow()
    });
    bench.store(2, stored(&package("echo")));
    let first = bench.call(1, "pid").await.unwrap();
    bench.call(2, "x").await.unwrap();
    let left = bench.pids();
    assert!(!left.contains(&first.parse().unwrap()) || left.len() == 2);
    until("one is left", || bench.pids().len() == 1).await;
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_every_slot_taken_there_are_no_more_resources() {
    let bench = Bench::with_service(HostOptions {
        slots: 1,
        start_wait: SOON,
        ..narrow()
    });
    bench.store(2, stored(&package("echo")));
    let busy = spawn(&bench, 1, "sleep 600000");
    until("the slot is taken", || bench.begun() == 1).await;
    let fault = bench.call(2, "x").await.unwrap_err();
    assert_eq!(fault.name(), "ServiceUnavailable.NoMoreResources");
    assert!(fault.retry_delay().is_some());
    busy.abort();
    assert_eq!(bench.call(2, "x").await.unwrap(), "did x");
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn loading_and_the_limits_of_starting_have_their_codes() {
    let bench = Bench::new(HostOptions {
        starting_total: 1,
        starting_per_service: 1,
        start_wait: SOON,
        ..narrow()
    });
    bench.store(1, stored(&package("deaf 600000")));
    bench.store(2, stored(&package("echo")));
    // The first call waits for the container that loads; the second would need another.
    let first = spawn(&bench, 1, "x");
    until("it starts", || !bench.pids().is_empty()).await;
    let fault = bench.call(2, "x").await.unwrap_err();
    assert_eq!(
        fault.name(),
        "ServiceUnavailable.TooManyHostsBeingInitialized"
    );
    let fault = first.await.unwrap().unwrap_err();
    assert_eq!(fault.name(), "InitializingContainers");
    assert!(fault.retry_delay().is_some());
    bench.end().await;

    let bench = Bench::new(HostOptions {
        starting_total: 2,
        starting_per_service: 1,
        start_wait: SOON,
        ..narrow()
    });
    bench.store(1, stored(&package("deaf 600000")));
    let first = spawn(&bench, 1, "x");
    until("it starts", || !bench.pids().is_empty()).await;
    let fault = bench.call(1, "x").await.unwrap_err();
    assert_eq!(
        fault.name(),
        "ServiceUnavailable.TooManyHostsBeingInitializedPerModel"
    );
    assert_eq!(
        first.await.unwrap().unwrap_err().name(),
        "InitializingContainers"
    );
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_its_own_calls_a_call_waits_its_turn() {
    let bench = Bench::new(HostOptions {
        start_wait: Duration::from_millis(50),
        ..narrow()
    });
    let mut service = stored(&package("echo"));
    service.limits = PoolLimits {
        max_instances: 1,
        ..PoolLimits::default()
    };
    bench.store(1, service);
    let first = spawn(&bench, 1, "sleep 1000");
    until("it runs", || bench.begun() == 1).await;
    let spent = bench.call_revision(1, 1, "x", SOON).await.unwrap_err();
    assert_eq!(spent.name(), "RequestTimeout.ScoreRequestTimeout");
    // Past start_wait, but there is nothing to start: it goes on waiting.
    assert_eq!(bench.call(1, "x").await.unwrap(), "did x");
    first.await.unwrap().unwrap();
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_over_its_limit_is_told_to_all_who_wait() {
    let bench = Bench::new(HostOptions {
        start_limit: SOON,
        ..options()
    });
    bench.store(1, stored(&package("deaf 600000")));
    let calls: Vec<_> = (0..3).map(|_| spawn(&bench, 1, "x")).collect();
    for call in calls {
        let fault = call.await.unwrap().unwrap_err();
        assert_eq!(fault.name(), "GatewayTimeout.BackendInitializationTimeout");
    }
    assert_eq!(bench.counter("container_starts_total"), 1);
    until("it is ended", || bench.pids().is_empty()).await;
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_start_is_told_as_it_was_and_repeated_with_pauses() {
    let bench = Bench::new(options());
    let cases = [
        ("fault broken", "ModuleExecutionError"),
        (
            "exit 42",
            "InternalError.ContainerProcessTerminatedWithUnknownError",
        ),
        (
            "abort",
            "InternalError.ContainerProcessTerminatedWithSystemError",
        ),
        ("take 2000", "MemoryQuotaViolation.OutOfMemoryLimit"),
        ("panic", "InternalError.UnknownError"),
    ];
    for (endpoint, (on_load, name)) in cases.iter().enumerate() {
        let endpoint = endpoint as u8 + 1;
        bench.store(endpoint, stored(&package(on_load)));
        assert_eq!(bench.fails(endpoint, "x").await, *name, "{on_load}");
    }
    bench.store(9, stored(&serde_json::json!({"packageType": "Graph"})));
    assert_eq!(
        bench.fails(9, "x").await,
        "InternalError.WebServicePackageInvalid"
    );
    assert_eq!(bench.fails(10, "x").await, "NotFound.WebServiceNotFound");

    // Right after a failure its fault is the answer; no process is started for it.
    let before = bench.counter("container_starts_total");
    for _ in 0..20 {
        assert_eq!(
            bench.fails(9, "x").await,
            "InternalError.WebServicePackageInvalid"
        );
    }
    assert!(bench.counter("container_starts_total") <= before + 1);
    // After the pause what was mended works.
    bench.store(9, stored(&package("echo")));
    until("a new start", || {
        bench.telemetry.containers().starts.get() > before || {
            let bench = bench.clone();
            tokio::spawn(async move { bench.call(9, "x").await });
            false
        }
    })
    .await;
    until("it is ready", || bench.pids().len() == 1).await;
    assert_eq!(bench.call(9, "x").await.unwrap(), "did x");
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quota_that_no_container_can_live_with_is_refused() {
    let source = std::sync::Arc::new(common::Source::default());
    let small = HostOptions {
        memory_quota_mb: 1,
        ..options()
    };
    let fault = containers::Host::start(small, source, telemetry::Telemetry::new()).unwrap_err();
    assert_eq!(fault.name(), "InternalError.InvalidMemoryConfiguration");
    assert_eq!(fault.details()[0].args, ["1"]);

    let bench = Bench::new(options());
    let mut service = stored(&package("echo"));
    service.limits.memory_quota_mb = Some(2);
    bench.store(1, service);
    assert_eq!(
        bench.fails(1, "x").await,
        "InternalError.InvalidMemoryConfiguration"
    );
    let mut least = stored(&package("echo"));
    least.limits.memory_quota_mb = Some(containers::MIN_QUOTA_MB);
    bench.store(3, least);
    assert_eq!(bench.call(3, "take 4").await.unwrap(), "4 MB");
    let mut service = stored(&package("echo"));
    service.limits.memory_quota_mb = Some(64);
    bench.store(2, service);
    assert_eq!(
        bench.fails(2, "take 100").await,
        "MemoryQuotaViolation.OutOfMemoryLimit"
    );
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_container_starts_on_a_machine_without_memory() {
    let bench = Bench::with_service(HostOptions {
        min_free_memory_mb: u64::MAX,
        ..options()
    });
    let fault = bench.call(1, "x").await.unwrap_err();
    assert_eq!(fault.name(), "InternalErrorSystemLowOnMemory");
    assert_eq!(bench.counter("container_starts_total"), 0);
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_goes_away_while_it_waits_leaves_nothing() {
    let bench = Bench::new(HostOptions {
        slots: 1,
        ..narrow()
    });
    bench.store(1, stored(&package("echo")));
    let busy = spawn(&bench, 1, "sleep 600000");
    until("it runs", || bench.begun() == 1).await;
    let gone: Vec<_> = (0..5).map(|_| spawn(&bench, 1, "x")).collect();
    until("they wait", || bench.host.status()[0].waiting == 5).await;
    gone.iter().for_each(|call| call.abort());
    for call in gone {
        assert!(call.await.unwrap_err().is_cancelled());
    }
    busy.abort();
    assert_eq!(bench.call(1, "x").await.unwrap(), "did x");
    let text = bench.telemetry.encode_metrics();
    assert!(text.contains("calls_waiting 0"), "{text}");
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_of_a_removed_endpoint_leave_no_pool() {
    let bench = Bench::with_service(options());
    bench.call(1, "hello").await.unwrap();
    bench.store(2, stored(&package("echo")));
    bench.call(2, "hello").await.unwrap();
    // As after a call that found its endpoint just before the deletion.
    bench.remove(1);
    bench.host.remove([1; 16]).await;
    assert_eq!(bench.fails(1, "late").await, "NotFound.WebServiceNotFound");
    until("its pool is gone", || bench.host.status().len() == 1).await;
    assert_eq!(bench.call(2, "again").await.unwrap(), "did again");
    // Deployed anew, it is served.
    bench.store(1, stored(&package("echo")));
    assert_eq!(bench.call(1, "hello").await.unwrap(), "did hello");
    bench.end().await;
}
