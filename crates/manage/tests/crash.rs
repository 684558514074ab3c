//! A gateway that is killed in the middle of deploys and deletes leaves services that all score.
//!
//! The test starts this test program again as the gateway that is killed.

mod common;

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::sync::Arc;

use common::{Installation, named};

const CHILD: &str = "MANAGE_CRASH_TEST_DIR";

/// The host starts this program with this test as a container.
#[test]
#[ignore = "a container's process, not a test"]
fn container_process() {
    common::container_process();
}

/// The gateway that is killed: deploys, rolls back and deletes for ever, and says what is done.
#[test]
fn child_that_deploys_until_it_is_killed() {
    let Some(dir) = std::env::var_os(CHILD) else {
        return;
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let i = Installation::in_existing(dir.as_ref());
        for n in 0u32.. {
            let name = format!("service-{}", n % 3);
            let exists = i.manager.get(&i.operator, &named(&name)).await.is_ok();
            match n % 7 {
                5 if exists => {
                    i.manager.delete(&i.operator, &named(&name)).await.unwrap();
                }
                // There may be no revision to go back to.
                6 if exists => drop(i.manager.rollback(&i.operator, &named(&name), None).await),
                _ => {
                    let model = format!("model {n} of {}", std::process::id());
                    i.deploy(&name, "title", model.as_bytes()).await.unwrap();
                }
            }
            println!("done {n}");
        }
    });
}

#[test]
fn killed_at_any_moment_every_service_still_scores() {
    let dir = Arc::new(tempfile::tempdir().unwrap());
    for lines in [1, 3, 6, 8, 11] {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "child_that_deploys_until_it_is_killed",
                "--nocapture",
            ])
            .env(CHILD, dir.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap()).lines();
        let done = output
            .map_while(Result::ok)
            .filter(|line| line.starts_with("done "))
            .take(lines)
            .count();
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(done, lines, "the child ended by itself");

        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let i = Installation::in_folder(dir.clone());
            let all = i.manager.list_all(&i.operator, None, 100).await.unwrap();
            let names: BTreeSet<String> = all
                .services
                .iter()
                .map(|s| s.entry.service_name.name.clone())
                .collect();
            assert_eq!(names.len(), all.services.len());
            assert!(!names.is_empty());
            for name in &names {
                assert_eq!(i.score(name).await.unwrap(), "title");
                let keys = i.manager.keys(&i.operator, &named(name)).await.unwrap();
                assert!(keys.iter().all(|key| key.len() == 88));
            }
            i.host.shutdown(std::time::Duration::ZERO).await;
        });
    }
}
