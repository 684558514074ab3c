//! Jobs from submission to their end.

mod common;

use std::sync::atomic::Ordering;
use std::time::Duration;

use common::desk::{facts, lost};
use common::{Bench, assert_state, definition, options, own, rejecting, request, rows};
use containers::batch::{WorkEnd, WorkFailed};
use faults::{Fault, bad_user_argument};
use jobs::{JobRequest, JobState, Options};
use store::Actor;

/// What a file comes to in one piece.
fn whole(input: &str) -> Vec<u8> {
    let mut out = b"a,b\n".to_vec();
    let mut rest = csv::Reader::from_reader(input.as_bytes());
    let mut writer = csv::WriterBuilder::new().from_writer(Vec::new());
    for record in rest.records() {
        writer.write_record(&record.unwrap()).unwrap();
    }
    out.extend(writer.into_inner().unwrap());
    out
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_goes_through_in_chunks_and_comes_out_as_in_one_piece() {
    let dir = tempfile::tempdir().unwrap();
    let bench = Bench::open(dir.path());
    let entry = bench.service("census").await;
    let input = rows(3000);
    bench.upload(&entry, "data/a.csv", input.as_bytes()).await;
    let running = bench.run();
    let id = bench
        .started(&entry, request("data/a.csv", "outs/a.csv"))
        .await;
    let view = bench.ended(&entry, id).await;
    assert_state(&view, JobState::Finished);
    assert_eq!(view.progress.rows, 3000);
    assert!(view.progress.chunks_total.unwrap() > 5);
    assert_eq!(view.progress.bytes_read, input.len() as u64);
    assert_eq!(view.progress.bytes_total, Some(input.len() as u64));
    let out = bench.download(&entry, "outs/a.csv").await.unwrap();
    assert_eq!(String::from_utf8(out), String::from_utf8(whole(&input)));
    let [(name, at)] = <[_; 1]>::try_from(view.outputs).unwrap();
    assert_eq!(name, "output1");
    assert_eq!(at.relative_location, "outs/a.csv");
    assert!(at.base_location.starts_with("http://umpire.test/"));
    assert!(at.sas_blob_token.starts_with('?'));
    bench.tidied().await;
    assert_eq!(
        std::fs::read_dir(dir.path().join("spool")).map_or(0, Iterator::count),
        0
    );
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_file_comes_out_as_its_head() {
    let dir = tempfile::tempdir().unwrap();
    let bench = Bench::open(dir.path());
    let entry = bench.service("census").await;
    bench.upload(&entry, "data/a.csv", b"b,a\n").await;
    let running = bench.run();
    let id = bench
        .started(&entry, request("data/a.csv", "outs/a.csv"))
        .await;
    let view = bench.ended(&entry, id).await;
    assert_state(&view, JobState::Finished);
    assert_eq!(view.progress.rows, 0);
    let out = bench.download(&entry, "outs/a.csv").await.unwrap();
    assert_eq!(out, b"a,b\n");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_output_that_is_not_named_goes_into_the_own_store() {
    let dir = tempfile::tempdir().unwrap();
    let bench = Bench::open(dir.path());
    let entry = bench.service("census").await;
    bench
        .upload(&entry, "data/a.csv", rows(10).as_bytes())
        .await;
    let running = bench.run();
    let request = JobRequest {
        input: Some(Some(own("data/a.csv"))),
        ..JobRequest::default()
    };
    let id = bench.started(&entry, request).await;
    let view = bench.ended(&entry, id).await;
    assert_state(&view, JobState::Finished);
    let name = &view.outputs[0].1.relative_location;
    assert!(name.starts_with("experimentoutput/") && name.ends_with(".csv"));
    assert_eq!(
        bench.download(&entry, name).await.unwrap(),
        whole(&rows(10))
    );
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn several_inputs_and_outputs_are_worked_on_whole() {
    let dir = tempfile::tempdir().unwrap();
    let bench = Bench::open(dir.path());
    let (inputs, outputs) = (["one", "two"], ["first", "second"]);
    *bench.desk.facts.lock().unwrap() = facts(&inputs, &outputs, true);
    let entry = bench
        .service_of("join", definition(&inputs, &outputs))
        .await;
    bench
        .upload(&entry, "data/a.csv", rows(2000).as_bytes())
        .await;
    bench.upload(&entry, "data/b.tsv", b"b\ta\nx\t7\n").await;
    let running = bench.run();
    let id = bench
        .started(
            &entry,
            JobRequest {
                inputs: Some(vec![
                    ("two".into(), Some(own("data/b.tsv"))),
                    ("one".into(), Some(own("data/a.csv"))),
                ]),
                outputs: Some(vec![
                    ("first".into(), Some(own("outs/a.csv"))),
                    ("second".into(), Some(own("outs/b.nh.csv"))),
                ]),
                ..JobRequest::default()
            },
        )
        .await;
    let view = bench.ended(&entry, id).await;
    assert_state(&view, JobState::Finished);
    assert_eq!(view.progress.chunks_total, Some(1));
    let out = bench.download(&entry, "outs/a.csv").await.unwrap();
    assert_eq!(out, whole(&rows(2000)));
    assert_eq!(
        bench.download(&entry, "outs/b.nh.csv").await.unwrap(),
        b"7,x\n"
    );
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_lowest_bad_row_fails_the_job_whatever_is_found_first() {
    let dir = tempfile::tempdir().unwrap();
    let bench = Bench::open(dir.path());
    let entry = bench.service("census").await;
    let mut input = rows(2000);
    // The first one is slow to be found.
    let at = input.find("\n700,").unwrap();
    input.replace_range(at + 1..at + 4, "bad");
    let at = input.find("\n1500,").unwrap();
    input.replace_range(at + 1..at + 5, "worse");
    let line = |text: &str| input[..input.find(text).unwrap()].matches('\n').count() + 1;
    let (first, last) = (line("bad,"), line("worse,"));
    bench.upload(&entry, "data/a.csv", input.as_bytes()).await;
    bench.upload(&entry, "outs/a.csv", b"as it was").await;
    bench.desk.meet(move |from, _| {
        if (from as usize) <= first {
            std::thread::sleep(Duration::from_millis(20));
        }
        None
    });
    let running = bench.run();
    let id = bench
        .started(&entry, request("data/a.csv", "outs/a.csv"))
        .await;
    let view = bench.ended(&entry, id).await;
    assert_state(&view, JobState::Failed);
    let fault = view.failure.unwrap();
    assert!(fault.is(&faults::rows::BadUserArgument::InputParseError));
    let problem = &fault.details()[0].args[0];
    assert!(
        problem.contains(&format!("line {first},")),
        "{problem}, {last}"
    );
    assert!(view.outputs.is_empty());
    bench.tidied().await;
    let out = bench.download(&entry, "outs/a.csv").await.unwrap();
    assert_eq!(out, b"as it was");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_rows_are_set_aside_in_their_order_where_that_is_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let bench = Bench::open(dir.path());
    let entry = bench.service("census").await;
    let mut input = rows(2000);
    for bad in ["\n1600,", "\n3,", "\n701,"] {
        let at = input.find(bad).unwrap();
        input.replace_range(at + 1..at + 1, "x");
    }
    bench.upload(&entry, "data/a.csv", input.as_bytes()).await;
    let running = bench.run();
    let id = bench
        .started(&entry, rejecting("data/a.csv", "outs/a.csv"))
        .await;
    let view = bench.ended(&entry, id).await;
    assert_state(&view, JobState::Finished);
    assert_eq!((view.progress.rows, view.progress.rejected), (1997, 3));
    let at = view.rejects.unwrap().relative_location;
    assert_eq!(at, "outs/a.rejects.csv");
    let rejects = bench.download(&entry, &at).await.unwrap();
    let rejects = String::from_utf8(rejects).unwrap();
    assert!(rejects.starts_with("line,reason,record\n"), "{rejects}");
    let places: Vec<_> = ["x3,", "x701,", "x1600,"].map(|x| rejects.find(x)).into();
    assert!(places.is_sorted() && places[0].is_some(), "{rejects}");
    bench.tidied().await;
    assert_eq!(
        std::fs::read_dir(dir.path().join("spool")).unwrap().count(),
        0
    );
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_pass_is_tried_again_and_at_last_fails_the_job() {
    let dir = tempfile::tempdir().unwrap();
    let bench = Bench::with(
        dir.path(),
        Options {
            attempts: 3,
            ..options(dir.path())
        },
    );
    let entry = bench.service("census").await;
    let input = rows(1000);
    bench.upload(&entry, "data/a.csv", input.as_bytes()).await;
    bench.desk.meet(|_, begun| (begun < 2).then(lost));
    let running = bench.run();
    let id = bench
        .started(&entry, request("data/a.csv", "outs/a.csv"))
        .await;
    assert_state(&bench.ended(&entry, id).await, JobState::Finished);
    let out = bench.download(&entry, "outs/a.csv").await.unwrap();
    assert_eq!(out, whole(&input));

    bench.desk.meet(|line, _| (line > 100).then(lost));
    let id = bench
        .started(&entry, request("data/a.csv", "outs/b.csv"))
        .await;
    let view = bench.ended(&entry, id).await;
    assert_state(&view, JobState::Failed);
    let fault = view.failure.unwrap();
    assert!(fault.is(&faults::rows::InternalError::WorkerUnreachable));

    bench.desk.meet(|_, begun| {
        Some(WorkFailed {
            end: WorkEnd::Fault,
            fault: match begun {
                1..5 => bad_user_argument::user_parameter_invalid("no"),
                _ => bad_user_argument::user_parameter_invalid("tried again"),
            },
        })
    });
    bench.upload(&entry, "data/c.csv", rows(1).as_bytes()).await;
    let id = bench
        .started(&entry, request("data/c.csv", "outs/c.csv"))
        .await;
    let view = bench.ended(&entry, id).await;
    let text = |fault: Fault| fault.details()[0].args[0].clone();
    assert_eq!(view.failure.map(text).as_deref(), Some("no"));
    bench.tidied().await;
    assert!(bench.download(&entry, "outs/b.csv").await.is_none());
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_job_stops_and_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let bench = Bench::open(dir.path());
    let entry = bench.service("census").await;
    bench
        .upload(&entry, "data/a.csv", rows(3000).as_bytes())
        .await;
    bench.desk.close();
    let running = bench.run();
    let id = bench
        .started(&entry, rejecting("data/a.csv", "outs/a.csv"))
        .await;
    until(|| bench.desk.under_way.load(Ordering::SeqCst) == 2).await;
    assert_state(&bench.view(&entry, id).await, JobState::Running);
    let actor = Actor::from("caller");
    bench.queue.cancel(&entry, id, &actor).await.unwrap();
    assert_state(&bench.view(&entry, id).await, JobState::Cancelled);
    until(|| bench.desk.under_way.load(Ordering::SeqCst) == 0).await;
    bench.tidied().await;
    assert!(bench.download(&entry, "outs/a.csv").await.is_none());
    assert_eq!(
        std::fs::read_dir(dir.path().join("spool")).unwrap().count(),
        0
    );
    bench.queue.cancel(&entry, id, &actor).await.unwrap();

    // So does one whose endpoint is deleted, and then it is gone.
    let id = bench
        .started(&entry, request("data/a.csv", "outs/a.csv"))
        .await;
    until(|| bench.desk.under_way.load(Ordering::SeqCst) == 2).await;
    let ledger = &bench.store.ledger;
    ledger.delete_service(entry.service, "test").await.unwrap();
    until(|| bench.desk.under_way.load(Ordering::SeqCst) == 0).await;
    bench.tidied().await;
    let gone = bench.queue.status(&entry, id, "").await.unwrap_err();
    assert_eq!(gone.name(), "NotFound");
    running.stop().await;
}

async fn until(mut what: impl FnMut() -> bool) {
    let wait = async {
        while !what() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(common::PATIENCE, wait)
        .await
        .expect("it comes true");
}

#[tokio::test(flavor = "multi_thread")]
async fn endpoints_take_turns_and_only_so_many_chunks_run_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let bench = Bench::open(dir.path());
    let [one, other] = [bench.service("one").await, bench.service("other").await];
    bench
        .upload(&one, "data/a.csv", rows(3000).as_bytes())
        .await;
    bench.desk.close();
    let running = bench.run();
    let first = bench
        .started(&one, request("data/a.csv", "outs/a.csv"))
        .await;
    until(|| bench.desk.under_way.load(Ordering::SeqCst) == 2).await;
    let second = bench
        .started(&other, request("data/a.csv", "outs/b.csv"))
        .await;
    // It stands in line before the first goes on.
    let wait = async {
        while bench
            .view(&other, second)
            .await
            .progress
            .chunks_total
            .is_none()
        {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(common::PATIENCE, wait).await.unwrap();
    bench.desk.gate.add_permits(10_000);
    for (entry, job) in [(&one, first), (&other, second)] {
        assert_state(&bench.ended(entry, job).await, JobState::Finished);
    }
    assert_eq!(bench.desk.most.load(Ordering::SeqCst), 2);
    let order = bench.desk.order.lock().unwrap().clone();
    let of_other = order.iter().position(|label| label.starts_with("other"));
    assert!(of_other.unwrap() <= 4, "{order:?}");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drained_node_takes_up_nothing_and_what_it_has_waits() {
    let dir = tempfile::tempdir().unwrap();
    let bench = Bench::open(dir.path());
    let entry = bench.service("census").await;
    bench
        .upload(&entry, "data/a.csv", rows(100).as_bytes())
        .await;
    let ledger = &bench.store.ledger;
    ledger
        .set_drained(bench.store.node, true, "test")
        .await
        .unwrap();
    let running = bench.run();
    let id = bench
        .started(&entry, request("data/a.csv", "outs/a.csv"))
        .await;
    let seen = ledger.directory().change();
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert_state(&bench.view(&entry, id).await, JobState::Queued);
    assert_eq!(ledger.directory().change(), seen, "nothing is written");
    ledger
        .set_drained(bench.store.node, false, "test")
        .await
        .unwrap();
    assert_state(&bench.ended(&entry, id).await, JobState::Finished);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_input_that_changes_while_it_is_read_fails_the_job() {
    let dir = tempfile::tempdir().unwrap();
    let bench = Bench::open(dir.path());
    let entry = bench.service("census").await;
    bench
        .upload(&entry, "data/a.csv", rows(3000).as_bytes())
        .await;
    bench.desk.close();
    let running = bench.run();
    let id = bench
        .started(&entry, request("data/a.csv", "outs/a.csv"))
        .await;
    until(|| bench.desk.under_way.load(Ordering::SeqCst) == 2).await;
    running.stop().await;
    bench
        .upload(&entry, "data/a.csv", rows(2999).as_bytes())
        .await;
    bench.desk.gate.add_permits(10_000);
    let running = bench.run();
    let view = bench.ended(&entry, id).await;
    assert_state(&view, JobState::Failed);
    let fault = view.failure.unwrap();
    assert!(fault.is(&faults::rows::BadArgument::BlobNotFound));
    assert!(fault.details()[0].args[1].contains("not what it was"));
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_is_gone_fails_its_job() {
    let dir = tempfile::tempdir().unwrap();
    let bench = Bench::open(dir.path());
    let entry = bench.service("census").await;
    bench.upload(&entry, "data/a.csv", rows(1).as_bytes()).await;
    let id = bench
        .started(&entry, request("data/a.csv", "outs/a.csv"))
        .await;
    let file = dir.path().join("ledger.sqlite");
    let sql = "UPDATE jobs SET request = NULL";
    rusqlite::Connection::open(file)
        .unwrap()
        .execute(sql, [])
        .unwrap();
    let running = bench.run();
    let view = bench.ended(&entry, id).await;
    assert_state(&view, JobState::Failed);
    let fault = view.failure.unwrap();
    assert!(fault.is(&faults::rows::InternalError::MissingTaskInstance));
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn packed_files_are_written_and_read() {
    let dir = tempfile::tempdir().unwrap();
    let bench = Bench::open(dir.path());
    let entry = bench.service("census").await;
    let input = rows(3000);
    bench.upload(&entry, "data/a.csv", input.as_bytes()).await;
    let running = bench.run();
    for packed in ["outs/a.csv.gz", "outs/a.csv.zst"] {
        let id = bench.started(&entry, request("data/a.csv", packed)).await;
        let view = bench.ended(&entry, id).await;
        assert_state(&view, JobState::Finished);
        assert!(view.progress.chunks_total.unwrap() > 5);
        let id = bench.started(&entry, request(packed, "outs/b.csv")).await;
        let view = bench.ended(&entry, id).await;
        assert_state(&view, JobState::Finished);
        assert!(
            view.progress.chunks_total.unwrap() > 5,
            "what is unpacked is cut"
        );
        let out = bench.download(&entry, "outs/b.csv").await.unwrap();
        assert_eq!(out, whole(&input));
    }
    bench
        .upload(&entry, "data/b.csv.gz", b"no gzip at all")
        .await;
    let id = bench
        .started(&entry, request("data/b.csv.gz", "outs/c.csv"))
        .await;
    let view = bench.ended(&entry, id).await;
    assert_state(&view, JobState::Failed);
    let fault = view.failure.unwrap();
    assert!(fault.is(&faults::rows::BadUserArgument::InputParseError));
    running.stop().await;
}
