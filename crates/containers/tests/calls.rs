//! Calls from end to end: a real container process behind a real host.

mod common;

use std::time::{Duration, Instant};

use bytes::Bytes;
use common::{Bench, PATIENCE, call, options, until};
use containers::{Call, FormWire, HostOptions, Operation};
use faults::Class;
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread")]
async fn a_call_starts_a_container_and_the_next_uses_it() {
    let bench = Bench::with_service(options());
    assert_eq!(bench.call(1, "hello").await.unwrap(), "did hello");
    let first = bench.call(1, "pid").await.unwrap();
    assert_eq!(bench.call(1, "pid").await.unwrap(), first);
    assert_eq!(bench.pids(), [first.parse::<u32>().unwrap()]);
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_operation_is_answered_in_its_form() {
    let bench = Bench::with_service(options());
    let table = call("x", PATIENCE).body;
    let v1 = json!({"Id": "1", "Instance": {"FeatureVector": {"do": "x"}, "GlobalParameters": {}}});
    let v1 = Bytes::from(v1.to_string());
    let score = |form| Operation::Score { form };
    let values = json!([["did x"]]);
    let named = json!({"ColumnNames": ["said"], "ColumnTypes": ["String"], "Values": values});
    let results = |value| json!({"Results": {"output1": value}});
    let cases = [
        (
            score(FormWire::Table { details: false }),
            &table,
            results(json!({"type": "table", "value": {"Values": values}})),
        ),
        (
            score(FormWire::Table { details: true }),
            &table,
            results(json!({"type": "table", "value": named})),
        ),
        (
            score(FormWire::Rows),
            &table,
            results(json!([{"said": "did x"}])),
        ),
        (Operation::ScoreV1, &v1, json!(["did x"])),
    ];
    for (operation, body, expected) in cases {
        let call = Call {
            operation,
            body: body.clone(),
            deadline: Instant::now() + PATIENCE,
        };
        let answer = bench.host.call([1; 16], [1; 16], "a", call).await.unwrap();
        let answer: Value = serde_json::from_slice(&answer).unwrap();
        assert_eq!(answer, expected, "{operation:?}");
    }
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_modules_fault_crosses_unchanged() {
    let bench = Bench::with_service(options());
    let fault = bench.call(1, "fault it broke").await.unwrap_err();
    assert_eq!(fault.class(), Class::ModuleExecutionError);
    let detail = &fault.details()[0];
    assert_eq!(detail.code, "0042");
    assert_eq!(detail.message.as_deref(), Some("it broke"));
    let bad = Call {
        body: Bytes::from_static(b"{"),
        ..call("", PATIENCE)
    };
    let fault = bench
        .host
        .call([1; 16], [1; 16], "a", bad)
        .await
        .unwrap_err();
    assert_eq!(fault.name(), "BadArgument.RequestBodyInvalid");
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_calls_at_once_are_all_answered() {
    let bench = Bench::with_service(options());
    let tasks: Vec<_> = (0..100)
        .map(|n| {
            let bench = bench.clone();
            tokio::spawn(async move {
                for round in 0..20 {
                    let action = format!("caller {n} round {round}");
                    let answer = bench.call(1, &action).await.unwrap();
                    assert_eq!(answer, format!("did {action}"));
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn long_bodies_and_answers_flow_while_short_calls_go_on() {
    let size = 20_000_000;
    let bench = Bench::with_service(HostOptions {
        max_body: 64 << 20,
        limits: tables::Limits {
            cell_bytes: 64 << 20,
            ..tables::Limits::default()
        },
        memory_quota_mb: 1024,
        ..options()
    });
    let long: Vec<_> = (0..2)
        .map(|_| {
            let bench = bench.clone();
            tokio::spawn(async move {
                let answer = bench.call(1, &format!("echo {}", "y".repeat(size))).await;
                assert_eq!(answer.unwrap().len(), "did echo ".len() + size);
                let answer = bench.call(1, &format!("long {size}")).await.unwrap();
                assert_eq!(answer.len(), size);
                assert!(answer.bytes().all(|b| b == b'x'));
            })
        })
        .collect();
    let mut between = 0;
    while !long.iter().all(|task| task.is_finished()) {
        assert_eq!(bench.call(1, "short").await.unwrap(), "did short");
        between += 1;
    }
    for task in long {
        task.await.unwrap();
    }
    assert!(between > 0);
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_over_the_limit_is_refused_before_it_is_taken() {
    let bench = Bench::with_service(HostOptions {
        max_body: 1_000_000,
        ..options()
    });
    let name = bench.fails(1, &"z".repeat(2_000_000)).await;
    assert_eq!(name, "InternalError.BackendBadRequest");
    // The container goes on, and what was left of the body with it.
    assert_eq!(bench.call(1, "hello").await.unwrap(), "did hello");
    assert_eq!(bench.counter("container_starts_total"), 1);
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_call_stops_its_work() {
    let bench = Bench::with_service(options());
    let pid = bench.call(1, "pid").await.unwrap();
    let under_way = {
        let bench = bench.clone();
        tokio::spawn(async move { bench.call(1, "sleep 600000").await })
    };
    until("the call is in the container", || bench.begun() == 1).await;
    under_way.abort();
    until("the work stops", || bench.noted(1, "stopped: sleep 600000")).await;
    assert_eq!(bench.call(1, "pid").await.unwrap(), pid);
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spent_budget_is_told_by_whether_the_call_had_begun() {
    let bench = Bench::with_service(HostOptions {
        compute_threads: 1,
        stop_grace: PATIENCE,
        ..options()
    });
    let pid = bench.call(1, "pid").await.unwrap();
    let budget = Duration::from_millis(300);
    let begun = bench.call_revision(1, 1, "sleep 600000", budget).await;
    assert_eq!(
        begun.unwrap_err().name(),
        "GatewayTimeout.BackendScoreTimeout"
    );
    // Behind a call that takes the only thread nothing begins.
    let first = {
        let bench = bench.clone();
        tokio::spawn(async move { bench.call(1, "sleep 600000").await })
    };
    until("the call runs", || bench.begun() == 1).await;
    let behind = bench.call_revision(1, 1, "pid", budget).await;
    assert_eq!(
        behind.unwrap_err().name(),
        "RequestTimeout.ScoreRequestTimeout"
    );
    first.abort();
    // Both stopped when they were told to, so the container is the same.
    assert_eq!(bench.call(1, "pid").await.unwrap(), pid);
    let spent = bench.call_revision(1, 1, "pid", Duration::ZERO).await;
    assert_eq!(
        spent.unwrap_err().name(),
        "RequestTimeout.ScoreRequestTimeout"
    );
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_over_the_limit_fails_its_call_alone() {
    let bench = Bench::with_service(HostOptions {
        max_reply: 5_000,
        ..options()
    });
    let pid = bench.call(1, "pid").await.unwrap();
    let (other, fault) = tokio::join!(bench.call(1, "sleep 50"), bench.call(1, "long 5000"));
    assert_eq!(other.unwrap(), "did sleep 50");
    let fault = fault.unwrap_err();
    assert_eq!(fault.name(), "BadArgument.RequestBodyInvalid");
    let cause = fault.cause().unwrap_or_default();
    assert!(cause.contains("5000 bytes"), "{cause}");
    // One that needs several frames, and so credit.
    assert_eq!(
        bench.fails(1, "long 1000000").await,
        "BadArgument.RequestBodyInvalid"
    );
    assert_eq!(bench.call(1, "long 4000").await.unwrap().len(), 4000);
    assert_eq!(bench.call(1, "pid").await.unwrap(), pid);
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn under_the_least_limit_of_answers_a_call_still_gets_its_fault() {
    let bench = Bench::with_service(HostOptions {
        max_reply: 0,
        ..options()
    });
    for action in ["hello", "pid"] {
        assert_eq!(
            bench.fails(1, action).await,
            "BadArgument.RequestBodyInvalid"
        );
    }
    assert_eq!(bench.pids().len(), 1);
    bench.end().await;
}
