//! Nothing is left in the gateway of batch work that is over. One test alone: it counts what the
//! process has.

mod common;

use common::batch::whole_file;
use common::{Bench, options, until};

#[tokio::test(flavor = "multi_thread")]
async fn no_descriptor_stays_in_the_gateway() {
    let bench = Bench::with_service(options());
    let count = || std::fs::read_dir("/proc/self/fd").map_or(0, |entries| entries.count());
    bench.done(1, "exit 42\n").await.unwrap_err();
    until("it has ended", || bench.pids().is_empty()).await;
    let before = count();
    for lines in [
        "x\n",
        "fault x\n",
        "exit 42\n",
        "take 2000\n",
        "panic\n",
        "abort\n",
    ] {
        let _ = bench.done(1, lines).await;
        let target = tempfile::tempfile().unwrap();
        let given_up = {
            let (bench, call) = (bench.clone(), whole_file("sleep 600000\n", &target));
            tokio::spawn(async move { bench.batch(1, call).await })
        };
        drop(target);
        until("it works", || bench.begun() == 1).await;
        given_up.abort();
        until("it has stopped", || bench.begun() == 0).await;
    }
    let _ = bench.done(1, "exit 42\n").await;
    until("all have ended", || bench.pids().is_empty()).await;
    until("all descriptors are closed", || count() <= before).await;
    bench.end().await;
}
