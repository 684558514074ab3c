//! What a container can and cannot reach, asked from inside.

mod common;

use common::{Bench, options, package_with_model, stored};
use ring::digest::{SHA256, digest};

#[tokio::test(flavor = "multi_thread")]
async fn a_container_sees_nothing_but_what_it_was_given() {
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("master.key");
    std::fs::write(&secret, "0123").unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let bench = Bench::with_service(options());
    let ask = |action: String| {
        let bench = &bench;
        async move { bench.call(1, &action).await.unwrap() }
    };

    assert_eq!(
        ask("environment".to_owned()).await,
        "MIMALLOC_ARENA_EAGER_COMMIT"
    );
    // Standard streams, channel and board; then what the monitor and nobody else opened.
    let descriptors = ask("descriptors".to_owned()).await;
    assert_eq!(descriptors, "0,1,2,3,4,5");

    let identity = ask("identity".to_owned()).await;
    assert!(identity.contains("dumpable=0 no_new_privs=1"), "{identity}");
    // SAFETY: a call without arguments.
    let root = unsafe { libc::getuid() } == 0;
    if root {
        assert!(identity.ends_with("uid=65534"), "{identity}");
    }
    if root || bench_has_landlock() {
        let read = ask(format!("read {}", secret.display())).await;
        assert_eq!(read, "PermissionDenied");
    }
    if bench_has_landlock() {
        // Denied whatever the file's mode.
        assert_eq!(ask("read /etc/passwd".to_owned()).await, "PermissionDenied");
        let connect = ask(format!("connect {address}")).await;
        assert_eq!(connect, "PermissionDenied");
    } else {
        println!("skipped: this kernel has no Landlock");
    }
    bench.end().await;
}

/// Whether the kernel has Landlock with its network part (version 4).
fn bench_has_landlock() -> bool {
    // SAFETY: asking for the version takes no pointers.
    unsafe { libc::syscall(444, std::ptr::null::<u8>(), 0, 1) >= 4 }
}

#[tokio::test(flavor = "multi_thread")]
async fn resources_are_mapped_and_checked() {
    let bench = Bench::new(options());
    let bytes = b"a model".repeat(1000);
    let sum = |bytes: &[u8]| <[u8; 32]>::try_from(digest(&SHA256, bytes).as_ref()).unwrap();
    let mut good = stored(&package_with_model());
    good.resources = vec![("model".to_owned(), bytes.clone(), sum(&bytes))];
    let mut altered = good.clone();
    altered.resources[0].1[0] ^= 1;
    let mut cut = good.clone();
    cut.resources[0].1.truncate(10);
    let mut empty = good.clone();
    empty.resources[0].1.clear();
    let mut missing = good.clone();
    missing.resources.clear();
    for (endpoint, stored) in [good, altered, cut, empty, missing].into_iter().enumerate() {
        bench.store(endpoint as u8, stored);
    }
    assert_eq!(bench.call(0, "x").await.unwrap(), "7000 bytes");
    for endpoint in 1..=3 {
        let name = bench.fails(endpoint, "x").await;
        assert_eq!(name, "InternalError.ModelPackageInvalid", "{endpoint}");
    }
    let name = bench.fails(4, "x").await;
    assert_eq!(name, "InternalError.InvalidWebServiceResources");
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_container_writes_is_kept_line_by_line() {
    let bench = Bench::with_service(options());
    bench.call(1, "write to be seen").await.unwrap();
    common::until("the line is there", || bench.noted(1, "to be seen")).await;
    bench.end().await;
}
