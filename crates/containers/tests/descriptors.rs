//! A machine that has no descriptors left: alone in its file, as the limit is the process's.

mod common;

use std::fs::File;
use std::os::fd::AsRawFd;

use common::{Bench, options, package, stored, until};
use faults::Class;

/// Sets how many descriptors this process may have; the limit before.
fn limit_descriptors(count: u64) -> u64 {
    // SAFETY: both calls read or write one rlimit, and the zeroed one is valid.
    unsafe {
        let mut limit = std::mem::zeroed::<libc::rlimit>();
        assert_eq!(libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit), 0);
        let before = limit.rlim_cur;
        limit.rlim_cur = count;
        assert_eq!(libc::setrlimit(libc::RLIMIT_NOFILE, &limit), 0);
        before
    }
}

/// One more than the highest descriptor that is open.
fn in_use() -> u64 {
    // SAFETY: fcntl on numbers, open or not.
    let open = |fd: &i32| unsafe { libc::fcntl(*fd, libc::F_GETFD) } >= 0;
    (0..1024).rev().find(open).unwrap() as u64 + 1
}

/// Takes every descriptor below the highest, so that none but the spare ones are left.
fn fill_holes() -> Vec<File> {
    let top = in_use();
    let mut taken = Vec::new();
    loop {
        let file = File::open("/dev/null").unwrap();
        if file.as_raw_fd() as u64 >= top {
            return taken;
        }
        taken.push(file);
    }
}

/// Whether this process has a child, ended or not.
fn has_child() -> bool {
    let (all, hang) = (libc::P_ALL, libc::WNOHANG | libc::WNOWAIT | libc::WEXITED);
    // SAFETY: waitid writes one siginfo and, so asked, takes nothing.
    unsafe {
        let mut info = std::mem::zeroed::<libc::siginfo_t>();
        libc::waitid(all, 0, &mut info, hang) == 0
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn wherever_descriptors_run_out_a_start_fails_whole_and_leaves_no_process() {
    let bench = Bench::new(options());
    let _taken = fill_holes();
    let (mut refused, mut endpoint) = (0, 0);
    // One more descriptor each time: the start gets a step further before one is wanting.
    for spare in 0.. {
        assert!(spare < 100, "a start takes no hundred descriptors");
        endpoint += 1;
        bench.store(endpoint, stored(&package("echo")));
        let before = limit_descriptors(in_use() + spare);
        let result = bench.call(endpoint, "hello").await;
        limit_descriptors(before);
        match result {
            Ok(said) => {
                assert_eq!(said, "did hello");
                break;
            }
            Err(fault) => {
                assert_eq!(fault.class(), Class::InternalErrorSystemLowOnMemory);
                refused += 1;
                until("no process is left of it", || !has_child()).await;
            }
        }
    }
    assert!(refused > 5, "{refused}");
    bench.end().await;
    assert!(!has_child());
}
