//! Whatever becomes of a gateway, its containers end with it.

mod common;

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use common::{Bench, lives, options, until};

/// The process of the test below: hosts two containers, says which, and waits to be killed.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "run by the test below in a process of its own"]
async fn host_process() {
    let bench = Bench::with_service(options());
    bench.store(2, common::stored(&common::package("deaf 600000")));
    let ready = bench.call(1, "pid").await.unwrap();
    let busy = bench.clone();
    tokio::spawn(async move { busy.call(1, "deaf 600000").await });
    let loading = bench.clone();
    tokio::spawn(async move { loading.call(2, "x").await });
    until("both are there", || {
        bench.pids().len() == 2 && bench.begun() == 1
    })
    .await;
    let other = bench.pids().into_iter().find(|p| p.to_string() != ready);
    println!("containers: {ready} {}", other.unwrap());
    std::future::pending::<()>().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killing_the_gateway_leaves_no_container() {
    let mut host = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "host_process", "--ignored", "--nocapture"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(host.stdout.take().unwrap()).lines();
    let pids: Vec<u32> = lines
        .map_while(Result::ok)
        .find_map(|line| {
            let (_, pids) = line.split_once("containers: ")?;
            Some(pids.split(' ').map(|p| p.parse().unwrap()).collect())
        })
        .unwrap();
    assert_eq!(pids.len(), 2);
    assert!(pids.iter().all(|pid| lives(*pid)));
    host.kill().unwrap();
    host.wait().unwrap();
    // One of them is busy with a call, the other with loading: neither reads its channel.
    until("no container is left", || {
        !pids.iter().any(|pid| lives(*pid))
    })
    .await;
}

#[test]
fn a_container_started_by_hand_says_so() {
    let output = Command::new(common::TEST_CONTAINER).output().unwrap();
    assert!(!output.status.success());
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains("umpire serve"), "{text}");
}
