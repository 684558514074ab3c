//! What calls are told where another program stands in the container's place.

mod common;

use std::time::Duration;

use bytes::Bytes;
use common::{Bench, PATIENCE, TEST_CONTAINER, call, lives, options, until};
use containers::{Call, HostOptions};

fn bench(peer: &str) -> Bench {
    let options = HostOptions {
        command: vec![TEST_CONTAINER.into(), peer.into()],
        heartbeat: Duration::from_millis(50),
        silent_after: Duration::from_secs(2),
        start_limit: Duration::from_secs(2),
        ..options()
    };
    Bench::with_service(options)
}

#[tokio::test(flavor = "multi_thread")]
async fn each_breach_has_its_code() {
    let bad_request = "InternalError.BackendBadRequest";
    let bad_argument = "InternalError.BackendArgumentError";
    let unreachable = "InternalError.WorkerUnreachable";
    let unauthorized = "InternalError.WorkerAuthorizationFailed";
    let unknown_exit = "InternalError.ContainerProcessTerminatedWithUnknownError";
    let odd_status = "InternalError.UnexpectedScoreStatus";
    let cases = [
        // At the start.
        ("other-version", bad_request),
        ("other-token", bad_request),
        ("other-revision", bad_argument),
        ("refuses-version", bad_request),
        ("refuses-token", unauthorized),
        ("closes", unreachable),
        ("garbage", bad_request),
        ("exits", unknown_exit),
        ("ready-unseen", bad_request),
        ("odd-setup-status", odd_status),
        ("never-ready", "GatewayTimeout.BackendInitializationTimeout"),
        // At a call.
        ("odd-status", odd_status),
        ("odd-fault", "InternalError.UnknownBackendErrorResponse"),
        ("unreadable-fault", bad_request),
        ("refuses-calls", unauthorized),
        ("long-answer", bad_request),
        ("answers-nobody", bad_request),
        ("begins-and-exits", unknown_exit),
        ("stops-beating", unreachable),
    ];
    let calls = cases.map(|(peer, code)| {
        tokio::spawn(async move {
            let bench = bench(peer);
            let fault = bench.call(1, "x").await.unwrap_err();
            assert_eq!(fault.name(), code, "{peer}: {:?}", fault.cause());
            bench.end().await;
        })
    });
    for call in calls {
        call.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_that_answers_too_often_is_replaced() {
    let bench = bench("answers-twice");
    let call = || call("x", PATIENCE);
    let run = |call: Call| bench.host.call([1; 16], [1; 16], "a", call);
    assert_eq!(run(call()).await.unwrap(), "");
    until("it is ended", || bench.noted(1, "against the protocol")).await;
    assert_eq!(run(call()).await.unwrap(), "");
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_not_taken_holds_up_no_other_call() {
    let bench = bench("grants-nothing");
    let long = Call {
        body: Bytes::from(vec![b' '; 4_000_000]),
        ..call("x", PATIENCE)
    };
    let stuck = {
        let host = bench.host.clone();
        tokio::spawn(async move { host.call([1; 16], [1; 16], "a", long).await })
    };
    until("the body is on its way", || {
        bench.calls_in_containers() == 1
    })
    .await;
    for n in 2..50 {
        let call = call("x", PATIENCE);
        let answer = bench.host.call([1; 16], [1; 16], "a", call).await.unwrap();
        assert_eq!(answer, n.to_string());
    }
    assert!(!stuck.is_finished());
    stuck.abort();
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_cannot_be_started_is_told() {
    let bench = Bench::with_service(HostOptions {
        command: vec!["/nowhere/umpire".into()],
        ..options()
    });
    let fault = bench.call(1, "x").await.unwrap_err();
    assert_eq!(fault.name(), "InternalError.UnknownError");
    assert!(fault.cause().unwrap().contains("/nowhere/umpire"));
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shell_script_can_stand_before_the_container() {
    let script = format!("exec {TEST_CONTAINER}");
    let bench = Bench::with_service(HostOptions {
        command: vec!["sh".into(), "-c".into(), script.into()],
        ..options()
    });
    assert_eq!(bench.call(1, "x").await.unwrap(), "did x");
    let pids = bench.pids();
    bench.end().await;
    assert!(!lives(pids[0]));
}
