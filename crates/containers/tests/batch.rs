//! Pieces of batch jobs, in real containers of the batch lane.

mod common;

use std::fs::File;
use std::io::{Seek, Write, pipe};
use std::sync::Arc;

use common::batch::{call, file, text, watched, whole_file, work};
use common::{Bench, options, package, stored, until};
use containers::HostOptions;
use containers::batch::{OutputKind, Piece, WorkDone, WorkEnd};
use serde_json::json;
use tables::files::{
    BadRows, Compression, FileType, RecordReader, TableWriter, UnpackLimits, Unpacker,
};
use tables::{Column, DataType, Field, Limits, Schema, Strings, Table, Values};

fn lines(range: std::ops::Range<u64>) -> String {
    range.map(|n| format!("row {n}\n")).collect()
}

fn said(range: std::ops::Range<u64>) -> String {
    range.map(|n| format!("did row {n}\n")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_range_is_read_from_files_and_pipes_and_its_rows_come_out_in_order() {
    let bench = Bench::with_service(options());
    let first = lines(0..30_000);
    let second = lines(30_000..40_000);
    let (read, mut write) = pipe().unwrap();
    let writer = std::thread::spawn(move || write.write_all(second.as_bytes()));
    // The range begins and ends within the file.
    let kept = format!("do\n{first}left\n");
    let (offset, len) = (3, first.len() as u64);
    let pieces = vec![Piece::File { offset, len }, Piece::Pipe];
    let target = tempfile::tempfile().unwrap();
    let descriptors = vec![
        file(kept.as_bytes()).into(),
        read.into(),
        target.try_clone().unwrap().into(),
    ];
    let (call, progress) = watched(call(work(pieces), descriptors));
    let done = bench.batch(1, call).await.unwrap();
    writer.join().unwrap().unwrap();
    let expected = format!("said\n{}", said(0..40_000));
    assert_eq!(text(target), expected);
    let wanted = WorkDone {
        rows: 40_000,
        rejected: 0,
        written: vec![expected.len() as u64],
        rejects_written: 0,
    };
    assert_eq!(done, wanted);
    assert_eq!(progress.rows(), 40_000);
    assert_eq!(progress.bytes(), lines(0..40_000).len() as u64);
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_does_several_pieces_at_once_and_more_wait() {
    let bench = Bench::with_service(options());
    let tasks = (0..6_u64).map(|n| {
        let bench = bench.clone();
        tokio::spawn(async move {
            let range = n * 5_000..(n + 1) * 5_000;
            let input = format!("sleep 200\n{}", lines(range.clone()));
            let (done, text) = bench.done(1, &input).await.unwrap();
            assert_eq!(done.rows, 5_001);
            assert_eq!(text, format!("said\ndid sleep 200\n{}", said(range)));
        })
    });
    let tasks: Vec<_> = tasks.collect();
    until("two are at work", || bench.begun() == 2).await;
    assert_eq!(bench.pids().len(), 1, "in one container");
    for task in tasks {
        task.await.unwrap();
    }
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_without_rows_has_a_head_where_it_is_to_have_one() {
    let bench = Bench::with_service(options());
    let (done, text) = bench.done(1, "").await.unwrap();
    assert_eq!((done.rows, text.as_str()), (0, "said\n"));
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whole_tables_are_scored_at_once() {
    let bench = Bench::with_service(options());
    let target = tempfile::tempfile().unwrap();
    let mut call = whole_file(&lines(0..20_000), &target);
    call.work.whole = true;
    let done = bench.batch(1, call).await.unwrap();
    assert_eq!(done.rows, 20_000);
    assert_eq!(text(target), format!("said\n{}", said(0..20_000)));
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_record_ends_the_work_with_its_line_or_is_set_aside() {
    let bench = Bench::with_service(options());
    let input = format!("{}\"a\",b\"\n{}", lines(0..10_000), lines(10_000..10_010));
    let failed = bench.done(1, &input).await.unwrap_err();
    assert_eq!(failed.end, WorkEnd::Fault);
    assert!(!failed.end.is_transient());
    assert_eq!(failed.fault.name(), "BadUserArgument.InputParseError");
    let said_of_it = failed.fault.details()[0].args[0].clone();
    assert!(said_of_it.contains("10002"), "{said_of_it}");

    let target = tempfile::tempfile().unwrap();
    let rejects = tempfile::tempfile().unwrap();
    let mut call = whole_file(&input, &target);
    call.work.rejects = true;
    call.work.rejects_head = true;
    call.descriptors.push(rejects.try_clone().unwrap().into());
    let done = bench.batch(1, call).await.unwrap();
    assert_eq!((done.rows, done.rejected), (10_010, 1));
    assert_eq!(text(target), format!("said\n{}", said(0..10_010)));
    let rejects = text(rejects);
    assert_eq!(done.rejects_written, rejects.len() as u64);
    let (head, record) = rejects.split_once('\n').unwrap();
    assert_eq!(head, "line,reason,record");
    assert!(record.starts_with("10002,\""), "{record}");
    assert!(record.ends_with(",\"\"\"a\"\",b\"\"\"\n"), "{record}");
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_plans_own_faults_come_back_as_they_are() {
    let bench = Bench::with_service(options());
    let failed = bench.done(1, "fault why\n").await.unwrap_err();
    assert_eq!(failed.end, WorkEnd::Fault);
    assert_eq!(failed.fault.code(), "0042");
    let failed = bench.done(1, "panic\n").await.unwrap_err();
    assert_eq!(failed.fault.name(), "InternalError.ModuleExecutionFailed");
    assert_eq!(failed.end, WorkEnd::Fault);
    let target = tempfile::tempfile().unwrap();
    let mut call = whole_file("x\n", &target);
    call.work.parameters.insert("p".to_owned(), json!(1));
    let failed = bench.batch(1, call).await.unwrap_err();
    assert_eq!(failed.fault.name(), "BadArgument.UnexpectedParameter");
    let mut call = whole_file("x\n", &target);
    call.work.inputs[0].names = vec!["other".to_owned()];
    let failed = bench.batch(1, call).await.unwrap_err();
    assert_eq!(failed.fault.name(), "BadUserArgument.InputMismatchError");
    // A revision that cannot be loaded.
    bench.store(2, stored(&package("fault broken")));
    let failed = bench.done(2, "x\n").await.unwrap_err();
    assert_eq!(failed.end, WorkEnd::Fault);
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_fails_is_told_from_a_fault_of_the_data() {
    let bench = Bench::with_service(options());
    let rows = lines(0..1000);
    // No space is left where the output goes.
    let full = File::options().write(true).open("/dev/full").unwrap();
    let failed = bench.batch(1, whole_file(&rows, &full)).await.unwrap_err();
    assert_eq!(failed.end, WorkEnd::Output(0));
    assert!(failed.end.is_transient());
    assert_eq!(failed.fault.name(), "InternalError");
    let cause = failed.fault.cause().unwrap();
    assert!(cause.contains("No space left"), "{cause}");
    // Nobody reads the pipe.
    let (read, write) = pipe().unwrap();
    drop(read);
    let gone = File::from(std::os::fd::OwnedFd::from(write));
    let failed = bench.batch(1, whole_file(&rows, &gone)).await.unwrap_err();
    assert_eq!(failed.end, WorkEnd::Output(0));
    // The input is shorter than it was.
    let target = tempfile::tempfile().unwrap();
    let mut call = whole_file(&rows, &target);
    call.work.inputs[0].pieces = vec![Piece::File {
        offset: 0,
        len: rows.len() as u64 + 1,
    }];
    let failed = bench.batch(1, call).await.unwrap_err();
    assert_eq!(failed.end, WorkEnd::Input(0));
    assert!(failed.end.is_transient());
    // The container goes on.
    assert_eq!(bench.done(1, &rows).await.unwrap().0.rows, 1000);
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn work_that_does_not_fit_is_refused() {
    let bench = Bench::with_service(options());
    let target = tempfile::tempfile().unwrap();
    let fresh = || whole_file("x\n", &target);
    let mut wrong = Vec::new();
    let mut call = fresh();
    call.descriptors.pop();
    wrong.push(call);
    let mut call = fresh();
    call.descriptors.push(tempfile::tempfile().unwrap().into());
    wrong.push(call);
    let mut call = fresh();
    call.work.outputs[0].name = "other".to_owned();
    wrong.push(call);
    let mut call = fresh();
    call.work.inputs[0].port = "other".to_owned();
    wrong.push(call);
    for call in wrong {
        let failed = bench.batch(1, call).await.unwrap_err();
        assert_eq!(failed.fault.name(), "InternalError.BackendArgumentError");
    }
    assert_eq!(bench.done(1, "x\n").await.unwrap().1, "said\ndid x\n");
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_is_described() {
    let bench = Bench::with_service(options());
    let facts = bench.host.describe([1; 16], [1; 16], "s/default").await;
    let facts = facts.unwrap();
    assert!(facts.row_wise);
    assert_eq!(facts.inputs.len(), 1);
    assert_eq!(facts.inputs[0].name, "input1");
    let names: Vec<_> = facts.inputs[0].schema.names().collect();
    assert_eq!(names, ["do"]);
    assert_eq!(facts.outputs.len(), 1);
    assert_eq!(facts.outputs[0].name, "output1");
    assert_eq!(facts.outputs[0].kind, OutputKind::Table);
    let fault = bench.host.describe([9; 16], [1; 16], "s/default").await;
    assert_eq!(fault.unwrap_err().name(), "NotFound.WebServiceNotFound");
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_whose_memory_is_spent_says_so() {
    let bench = Bench::with_service(HostOptions {
        batch_memory_quota_mb: Some(64),
        ..options()
    });
    // 256 MB are the quota of the others.
    assert_eq!(bench.call(1, "take 100").await.unwrap(), "100 MB");
    let failed = bench.done(1, "take 100\n").await.unwrap_err();
    assert_eq!(failed.end, WorkEnd::OverQuota);
    assert!(failed.end.is_transient());
    assert_eq!(failed.fault.name(), "MemoryQuotaViolation.OutOfMemoryLimit");
    assert_eq!(failed.fault.details()[0].args, ["64"]);
    bench.end().await;
}

/// Rows of one text column, as a file of that type, in two parts where the format has such.
fn rows_as(file: FileType, column: &str, texts: impl Fn(u64) -> String) -> Vec<u8> {
    let schema = Schema::new(vec![Field::new(column, DataType::String)]).unwrap();
    let schema = Arc::new(schema);
    let (mut writer, mut bytes) = (TableWriter::new(file, true), Vec::new());
    for part in [0..15_000, 15_000..20_000] {
        let texts: Strings = part.map(&texts).collect();
        let table = Table::new(schema.clone(), vec![Arc::new(Column::from(texts))]);
        writer.write(&table, None, &mut bytes).unwrap();
    }
    writer.finish(&mut bytes).unwrap();
    bytes
}

#[tokio::test(flavor = "multi_thread")]
async fn every_format_is_read_in_blocks_and_whole_and_written() {
    let bench = Bench::with_service(options());
    for ending in [".csv.gz", ".tsv.zst", ".arff", ".arff.gz", ".parquet"] {
        let of_type = FileType::of_name(ending).unwrap();
        let bytes = rows_as(of_type, "do", |n| format!("row {n}"));
        for whole in [false, true] {
            let target = tempfile::tempfile().unwrap();
            let piece = Piece::File {
                offset: 0,
                len: bytes.len() as u64,
            };
            let descriptors = vec![file(&bytes).into(), target.try_clone().unwrap().into()];
            let mut call = call(work(vec![piece]), descriptors);
            call.work.inputs[0].file = of_type;
            call.work.whole = whole;
            if of_type.compression != Compression::None && ending.contains("sv") {
                // The head of packed text is within it: the runner takes it off, so it is a row
                // here, whose text is the column's name.
                call.work.inputs[0].first_line = 1;
            }
            let (call, progress) = watched(call);
            let done = bench.batch(1, call).await.unwrap();
            let head = ending.contains("sv");
            assert_eq!(done.rows, 20_000 + u64::from(head), "{ending}");
            let first = if head { "did do\n" } else { "" };
            assert_eq!(
                text(target),
                format!("said\n{first}{}", said(0..20_000)),
                "{ending}"
            );
            assert!(progress.bytes() > 0, "{ending}");
        }
        // And the other way about.
        let target = tempfile::tempfile().unwrap();
        let mut call = whole_file(&lines(0..20_000), &target);
        call.work.outputs[0].file = of_type;
        let done = bench.batch(1, call).await.unwrap();
        let len = target.metadata().unwrap().len();
        assert_eq!(done.written, [len]);
        let schema = Schema::new(vec![Field::new("said", DataType::String)]).unwrap();
        let schema = Arc::new(schema);
        let mut target = target;
        target.rewind().unwrap();
        let mut unpacked =
            Unpacker::new(target, of_type.compression, UnpackLimits::default()).unwrap();
        let limits = Limits::default();
        let names = vec!["said".to_owned()];
        let mut reader =
            RecordReader::new(of_type.format, &schema, &names, 1, &limits, BadRows::Fail).unwrap();
        let mut texts = Vec::new();
        while let Some(block) = reader.read_block(&mut unpacked, 1000).unwrap() {
            let Values::Str(column) = &block.table.column(0).values else {
                panic!("texts");
            };
            texts.extend(column.iter().map(str::to_owned));
        }
        let texts = texts.iter().filter(|text| *text != "said");
        let expected = (0..20_000).map(|n| format!("did row {n}"));
        assert!(texts.cloned().eq(expected), "{ending}");
    }
    bench.end().await;
}
