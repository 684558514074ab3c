//! What is known afterwards of a call and of a start: who ran it, and what was printed meanwhile.

mod common;

use std::sync::{Arc, Mutex};
use std::time::Instant;

use common::{Bench, PATIENCE, call, options, package, stored, until};
use containers::{Excerpt, StartReport, Stream, Watch};

/// The lines of an excerpt so far.
fn lines(excerpt: &Excerpt) -> Vec<(Stream, String)> {
    let (lines, _) = excerpt.until(Instant::now());
    let texts = lines
        .iter()
        .map(|line| (line.stream, line.text.to_string()));
    texts.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watched_call_tells_its_container_and_what_was_printed_since() {
    let bench = Bench::with_service(options());
    bench.call(1, "write before").await.unwrap();
    until("the line came", || bench.noted(1, "before")).await;
    let (endpoint, revision) = ([1; 16], [1; 16]);
    let watched = async |action: &str| {
        let watch = Watch::default();
        assert!(watch.ran().is_none());
        let call = call(action, PATIENCE);
        let host = &bench.host;
        let answer = host.call_watched(endpoint, revision, "s/default", call, Some(&watch));
        (answer.await, watch.ran().unwrap())
    };
    let (answer, ran) = watched("write to standard output").await;
    answer.unwrap();
    assert_eq!(ran.pid, bench.pids()[0]);
    assert_eq!(ran.container, 1);
    until("the line came", || !lines(&ran.printed).is_empty()).await;
    let line = (Stream::Output, "to standard output".to_owned());
    assert_eq!(lines(&ran.printed), [line]);

    let (answer, ran) = watched("panic").await;
    answer.unwrap_err();
    let told = |excerpt: &Excerpt| {
        let lines = lines(excerpt);
        lines
            .iter()
            .any(|(stream, text)| *stream == Stream::Error && text.contains("told to"))
    };
    until("the panic's words came", || told(&ran.printed)).await;
    assert!(
        lines(&ran.printed)
            .iter()
            .all(|(stream, _)| *stream == Stream::Error)
    );
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_start_is_told_once_with_what_came_of_it() {
    let bench = Bench::with_service(options());
    let heard: Arc<Mutex<Vec<StartReport>>> = Arc::default();
    let ear = heard.clone();
    bench
        .host
        .on_start(Box::new(move |report| ear.lock().unwrap().push(report)));
    let last = || heard.lock().unwrap().last().cloned().unwrap();

    bench.store(2, stored(&package("write while loading")));
    bench.call(2, "pid").await.unwrap();
    let good = last();
    assert_eq!((good.endpoint, good.revision), ([2; 16], [1; 16]));
    assert_eq!(good.container, Some((1, bench.pids()[0])));
    assert!(good.fault.is_none());
    let printed = good.printed.unwrap();
    until("the line came", || !lines(&printed).is_empty()).await;
    let line = (Stream::Output, "while loading".to_owned());
    assert_eq!(lines(&printed), [line]);

    bench.store(3, stored(&package("exit 42")));
    let code = bench.fails(3, "pid").await;
    let bad = last();
    assert_eq!(bad.endpoint, [3; 16]);
    assert_eq!(bad.fault.map(|fault| fault.name()), Some(code));
    assert!(bad.container.is_some());

    // Where there is not even a process.
    let code = bench.fails(4, "pid").await;
    let none = last();
    assert_eq!(none.endpoint, [4; 16]);
    assert_eq!(none.fault.map(|fault| fault.name()), Some(code));
    assert!(none.container.is_none() && none.printed.is_none());
    assert_eq!(heard.lock().unwrap().len(), 3);
    bench.end().await;
}
