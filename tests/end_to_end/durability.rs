//! What is deployed survives.

use std::time::Duration;

use crate::support::{Server, Service, onnx, packages};

#[test]
fn services_keys_and_revisions_survive_a_kill() {
    let mut server = Server::start();
    let service = server.deploy_linear("linear");
    server.restart();
    let after = server.service("linear");
    assert_eq!(
        (&after.endpoint, &after.primary, &after.secondary),
        (&service.endpoint, &service.primary, &service.secondary)
    );
    assert_eq!(after.score_x(1.0).status, 200);
}

/// The gateway is killed at random moments of a deploy: afterwards there is the old revision or
/// the new one, whole, and the next deploy works.
#[test]
fn a_kill_in_the_middle_of_a_deploy_leaves_old_or_new() {
    let rounds: u32 = if std::env::var_os("UMPIRE_TEST_FULL").is_some() {
        60
    } else {
        8
    };
    let seed: u64 = std::env::var("UMPIRE_TEST_SEED")
        .ok()
        .and_then(|s| s.parse().ok())
        .unwrap_or(20_261_123);
    println!("seed {seed}, {rounds} rounds");
    let mut random = seed;
    let mut server = Server::start();
    let mut service = server.deploy_linear("linear");
    let mut current = 2.0_f32;
    for round in 0..rounds {
        let next = 10.0 + round as f32;
        let model = server.upload(&onnx::linear(&[next], 1.0));
        let package = packages::regression(&model, &["x"]);
        // xorshift64: any spread of delays will do.
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let delay = Duration::from_micros(random % 60_000);
        let mut accepted = None;
        std::thread::scope(|scope| {
            let pid = server.child.id() as i32;
            scope.spawn(move || {
                std::thread::sleep(delay);
                // SAFETY: our own child, waited for only after this thread.
                unsafe { libc::kill(pid, libc::SIGKILL) };
            });
            accepted = crate::support::Request::new("PUT", &server.arm_path("linear"))
                .bearer(&server.token())
                .json(&package)
                .try_send(server.address)
                .ok()
                .and_then(|reply| reply.header("Azure-AsyncOperation").map(str::to_owned));
        });
        server.child.wait().unwrap();
        server.start_again();
        service = Service {
            address: server.address,
            ..service
        };
        let reply = service.score_x(1.0);
        assert_eq!(reply.status, 200, "round {round}: {}", reply.text());
        let value = reply.json()["Results"]["output1"]["value"]["Values"][0][1]
            .as_str()
            .unwrap()
            .to_owned();
        let old = format!("{}", current + 1.0);
        let new = format!("{}", next + 1.0);
        assert!(
            value == old || value == new,
            "round {round}: {value} is neither {old} nor {new}"
        );
        // What was accepted has come to an end, and to the one that it tells.
        if let Some(url) = accepted {
            let path = &url[url.find("/subscriptions/").unwrap()..];
            let operation = crate::support::Request::new("GET", path)
                .bearer(&server.token())
                .send(server.address)
                .json();
            let told = match value == new {
                true => "Succeeded",
                false => "Failed",
            };
            assert_eq!(operation["status"], told, "round {round}: {operation}");
        }
        if value == new {
            current = next;
        }
    }
    server.deploy_linear("linear");
    assert_eq!(service.score_x(1.0).status, 200);
}

/// A small disk fills up: the deploy is refused by name, nothing half-written stays, scoring goes
/// on, and when there is room again so does everything else.
#[test]
fn a_full_disk_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mounted = std::process::Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=6m", "tmpfs"])
        .arg(dir.path())
        .status()
        .is_ok_and(|s| s.success());
    if !mounted {
        println!("skipped: a tmpfs cannot be mounted here (needs root)");
        return;
    }
    struct Unmount<'a>(&'a std::path::Path);
    impl Drop for Unmount<'_> {
        fn drop(&mut self) {
            let _ = std::process::Command::new("umount")
                .arg("-l")
                .arg(self.0)
                .status();
        }
    }
    let _unmount = Unmount(dir.path());
    let server = Server::start_on(dir.path());
    let service = server.deploy_linear("linear");
    let filler = dir.path().join("filler");
    let free = fill(&filler);
    println!("the disk is full: {free} bytes were free");
    let model_bytes = onnx::linear(&[3.0], 1.0);
    let hash = crate::support::sha256(&model_bytes);
    let upload = crate::support::Request::new("PUT", &format!("/umpire/v1/blobs/{hash}"))
        .bearer(&server.token())
        .body(vec![0u8; 2 << 20])
        .send(server.address);
    assert_eq!(
        (upload.status, upload.header("x-ms-error-code")),
        (500, Some("FailedStoringWebService")),
        "{}",
        upload.text()
    );
    assert_eq!(service.score_x(1.0).status, 200, "scoring needs no disk");
    let mut refused = 0;
    for i in 0..40 {
        // Definitions of some size, so that the ledger needs pages that are not there.
        let mut package = packages::pass_through(&["x"]);
        package["properties"]["description"] = "x".repeat(60_000).into();
        let reply = server.put(&format!("big{i}"), &package);
        if reply.status >= 400 {
            assert_eq!(
                reply.header("x-ms-error-code"),
                Some("FailedStoringWebService"),
                "{}",
                reply.text()
            );
            refused += 1;
        }
    }
    assert!(refused > 0, "the full disk refuses");
    assert_eq!(service.score_x(1.0).status, 200);
    std::fs::remove_file(&filler).unwrap();
    let model = server.upload(&model_bytes);
    let again = server.deploy("linear", &packages::regression(&model, &["x"]));
    assert_eq!(
        again.score_x(1.0).json()["Results"]["output1"]["value"]["Values"][0][1],
        "4"
    );
}

/// Writes until nothing more fits; gives how much that was.
fn fill(path: &std::path::Path) -> u64 {
    use std::io::Write;
    let mut file = std::fs::File::create(path).unwrap();
    let mut written = 0;
    for size in [64 * 1024, 4096, 512] {
        let chunk = vec![1u8; size];
        while file.write(&chunk).is_ok_and(|n| n > 0) {
            written += size as u64;
        }
    }
    written
}
