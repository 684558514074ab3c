//! A process that is killed while it writes leaves a ledger and blobs that fit together and hold
//! everything it was told is stored.
//!
//! The test starts this test program again as the process that is killed.

mod common;

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use common::{new_service, next_revision, put_blob};
use store::{ServiceWrite, Store};

const CHILD: &str = "STORE_CRASH_TEST_DIR";

/// The process that is killed: writes for ever and says what it has been told is stored.
#[test]
fn child_that_writes_until_it_is_killed() {
    let Some(dir) = std::env::var_os(CHILD) else {
        return;
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(async {
        let store = Store::open(dir.as_ref(), None).unwrap();
        for n in 0u32.. {
            let content = format!("model {n} of {}", std::process::id()).repeat(2000);
            let blob = put_blob(&store, content.as_bytes()).await.unwrap();
            let name = format!("service-{}", n % 7);
            let before = store
                .ledger
                .directory()
                .by_name(&common::named(&name).key())
                .cloned();
            let resources = vec![("model".to_owned(), blob)];
            let after = match &before {
                Some(entry) if n % 11 == 10 => {
                    store
                        .ledger
                        .delete_service(entry.service, "child")
                        .await
                        .unwrap();
                    println!("gone {name}");
                    continue;
                }
                Some(entry) => ServiceWrite {
                    resources,
                    ..next_revision(&store, entry, "{}")
                },
                None => ServiceWrite {
                    resources,
                    ..new_service(&store, &name)
                },
            };
            let after = store.ledger.put_service(after, "child").await.unwrap();
            println!("stored {name} {} {}", after.service, after.revision_number);
        }
    });
}

#[test]
fn killed_at_any_moment_nothing_acknowledged_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    // What the last acknowledged write of each name was; a write that was under way when the
    // process was killed may or may not be there.
    let mut acknowledged: HashMap<String, Option<(String, u64)>> = HashMap::new();
    let mut change = 0;
    for lines in [1, 2, 3, 5, 9, 17, 30, 41] {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "child_that_writes_until_it_is_killed",
                "--nocapture",
            ])
            .env(CHILD, dir.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut seen = 0;
        let mut output = BufReader::new(child.stdout.take().unwrap()).lines();
        for line in output.by_ref() {
            let line = line.unwrap();
            seen += usize::from(note(&line, &mut acknowledged));
            if seen == lines {
                break;
            }
        }
        assert_eq!(seen, lines, "the child ended by itself");
        child.kill().unwrap();
        child.wait().unwrap();
        // Said between the last line read and the kill.
        for line in output {
            note(&line.unwrap(), &mut acknowledged);
        }

        let store = Store::open(dir.path(), None).unwrap();
        let directory = store.ledger.directory();
        assert!(directory.change() > change);
        change = directory.change();
        for (name, last) in &acknowledged {
            let found = directory.by_name(&common::named(name).key());
            match (last, found) {
                (Some((service, number)), Some(entry)) if entry.service.to_string() == *service => {
                    assert!(entry.revision_number >= *number, "{name}");
                    assert!(entry.revision_number <= number + 1, "{name}");
                }
                // The one write under way may have deleted it, or made it anew.
                (Some(_), None) | (None, _) => {}
                (Some(_), Some(_)) => panic!("{name} was made anew without being deleted"),
            }
        }
        let missing = acknowledged
            .iter()
            .filter(|(name, last)| {
                last.is_some() && directory.by_name(&common::named(name).key()).is_none()
            })
            .count();
        assert!(missing <= 1, "only the write under way may be in doubt");
        for entry in directory.services() {
            let revision = store.ledger.revision_blocking(entry.revision).unwrap();
            assert_eq!(revision.service, entry.service);
            for (_, sha256) in revision.resources {
                let mut content = Vec::new();
                std::io::Read::read_to_end(&mut store.blobs.open(&sha256).unwrap(), &mut content)
                    .unwrap();
                assert_eq!(store::Sha256::of(&content), sha256);
            }
        }
        let incoming = std::fs::read_dir(dir.path().join("blobs/incoming")).unwrap();
        assert_eq!(incoming.count(), 0);
        // From here on the doubt is over.
        for (name, last) in &mut acknowledged {
            *last = directory
                .by_name(&common::named(name).key())
                .map(|e| (e.service.to_string(), e.revision_number));
        }
    }
}

fn note(line: &str, acknowledged: &mut HashMap<String, Option<(String, u64)>>) -> bool {
    let words: Vec<&str> = line.split(' ').collect();
    match words[..] {
        ["stored", name, service, number] => {
            let last = Some((service.to_owned(), number.parse().unwrap()));
            acknowledged.insert(name.to_owned(), last);
            true
        }
        ["gone", name] => {
            acknowledged.insert(name.to_owned(), None);
            true
        }
        _ => false,
    }
}
