//! Runners that are ended at any point: their jobs come to the same end as if nothing had been.

mod common;

use std::time::Duration;

use common::{Bench, assert_state, options, rejecting, request, rows};
use jobs::{JobState, Options};
use proptest::prelude::*;
use store::Id;

/// Kills the runner after so many milliseconds, again and again, until the job is at its end.
async fn through_kills(bench: &Bench, entry: &store::Entry, id: Id, after: &[u64]) {
    for pause in after {
        let running = bench.run();
        tokio::time::sleep(Duration::from_millis(*pause)).await;
        running.kill().await;
    }
    let running = bench.run();
    assert_state(&bench.ended(entry, id).await, JobState::Finished);
    bench.tidied().await;
    running.stop().await;
}

/// A file, some of whose rows are bad.
fn mixed(count: usize) -> String {
    let mut text = rows(count);
    for bad in ["\n11,", "\n150,", "\n299,"] {
        if let Some(at) = text.find(bad) {
            text.replace_range(at + 1..at + 1, "x");
        }
    }
    text
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_bytes_do_not_depend_on_chunks_nor_on_kills(
        count in 1usize..400,
        chunk in 64u64..6000,
        parallel in 1usize..4,
        kills in prop::collection::vec(0u64..60, 0..4),
    ) {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let input = mixed(count);
        let through = |options: fn(Options, u64, usize) -> Options, kills: &[u64]| {
            let dir = tempfile::tempdir().unwrap();
            let options = options(common::options(dir.path()), chunk, parallel);
            let bench = Bench::with(dir.path(), options);
            runtime.block_on(async {
                let entry = bench.service("census").await;
                bench.upload(&entry, "data/a.csv", input.as_bytes()).await;
                let id = bench.started(&entry, rejecting("data/a.csv", "outs/a.csv")).await;
                through_kills(&bench, &entry, id, kills).await;
                let view = bench.view(&entry, id).await;
                let left = std::fs::read_dir(dir.path().join("spool")).unwrap().count();
                (
                    bench.download(&entry, "outs/a.csv").await.unwrap(),
                    bench.download(&entry, "outs/a.rejects.csv").await.unwrap(),
                    (view.progress.rows, view.progress.rejected, left),
                )
            })
        };
        let one_piece = through(|o, _, _| Options { chunk_size: 1 << 30, ..o }, &[]);
        let in_chunks = through(
            |o, chunk_size, parallel| Options { chunk_size, parallel, ..o },
            &kills,
        );
        prop_assert_eq!(one_piece, in_chunks);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runner_that_is_ended_in_order_gives_its_jobs_up() {
    let dir = tempfile::tempdir().unwrap();
    let bench = Bench::open(dir.path());
    let entry = bench.service("census").await;
    let input = rows(3000);
    bench.upload(&entry, "data/a.csv", input.as_bytes()).await;
    let id = bench
        .started(&entry, request("data/a.csv", "outs/a.csv"))
        .await;
    bench.desk.close();
    bench.desk.gate.add_permits(5);
    let running = bench.run();
    let done = async {
        while bench.view(&entry, id).await.progress.chunks_done < 5 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(common::PATIENCE, done).await.unwrap();
    running.stop().await;
    assert_state(&bench.view(&entry, id).await, JobState::Running);
    assert!(bench.download(&entry, "outs/a.csv").await.is_none());
    let before = bench.desk.order.lock().unwrap().len();
    drop(bench);

    let bench = Bench::with(dir.path(), options(dir.path()));
    let entry = bench
        .store
        .ledger
        .directory()
        .endpoint(&entry.endpoint)
        .unwrap()
        .clone();
    let running = bench.run();
    let view = bench.ended(&entry, id).await;
    assert_state(&view, JobState::Finished);
    assert_eq!(view.progress.rows, 3000);
    let chunks = view.progress.chunks_total.unwrap() as usize;
    let after = bench.desk.order.lock().unwrap().len();
    assert_eq!(
        after,
        chunks - 5,
        "what was done stays done, of {before} begun before"
    );
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn chunks_whose_rejected_rows_are_gone_are_worked_on_again() {
    let dir = tempfile::tempdir().unwrap();
    let bench = Bench::open(dir.path());
    let entry = bench.service("census").await;
    bench
        .upload(&entry, "data/a.csv", mixed(400).as_bytes())
        .await;
    let id = bench
        .started(&entry, rejecting("data/a.csv", "outs/a.csv"))
        .await;
    bench.desk.close();
    bench.desk.gate.add_permits(1);
    let running = bench.run();
    let done = async {
        while bench.view(&entry, id).await.progress.chunks_done < 1 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(common::PATIENCE, done).await.unwrap();
    running.stop().await;
    std::fs::remove_dir_all(dir.path().join("spool")).unwrap();
    bench.desk.gate.add_permits(1000);
    let running = bench.run();
    assert_state(&bench.ended(&entry, id).await, JobState::Finished);
    let rejects = bench.download(&entry, "outs/a.rejects.csv").await.unwrap();
    // One of the three records has a line end in a cell.
    assert_eq!(String::from_utf8(rejects).unwrap().lines().count(), 5);
    running.stop().await;
}
