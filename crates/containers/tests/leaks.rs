//! Nothing is left of a container that has ended. One test alone: it counts what the process has.

mod common;

use std::path::Path;

use common::{Bench, options, until};
use containers::{Cgroups, HostOptions};

fn count(folder: &str) -> usize {
    std::fs::read_dir(folder).map_or(0, |entries| entries.count())
}

#[tokio::test(flavor = "multi_thread")]
async fn neither_descriptors_nor_control_groups_nor_processes_stay() {
    let bench = Bench::with_service(HostOptions {
        cgroups: Cgroups::Auto,
        ..options()
    });
    let descriptors = || count("/proc/self/fd");
    // What the runtime and the first start open once and for all.
    bench.fails(1, "exit 42").await;
    until("the first has ended", || bench.pids().is_empty()).await;
    let before = descriptors();
    for round in 0..10 {
        let action = ["exit 42", "abort", "take 2000"][round % 3];
        bench.fails(1, action).await;
    }
    until("all have ended", || bench.pids().is_empty()).await;
    until("all descriptors are closed", || descriptors() <= before).await;
    let children = format!("/proc/self/task/{}/children", std::process::id());
    if Path::new(&children).exists() {
        until("all are reaped", || {
            std::fs::read_to_string(&children).is_ok_and(|text| text.trim().is_empty())
        })
        .await;
    }
    if bench.host.uses_cgroups() {
        let own = format!("umpire-{}-", std::process::id());
        until("all groups are removed", || {
            let groups = std::process::Command::new("find")
                .args([
                    "/sys/fs/cgroup",
                    "-maxdepth",
                    "6",
                    "-name",
                    &format!("{own}*"),
                ])
                .output();
            groups.is_ok_and(|found| found.stdout.is_empty())
        })
        .await;
    }
    bench.end().await;
}
