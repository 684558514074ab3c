//! The memory quota seen from inside a container.
//!
//! Where `RLIMIT_DATA` holds the quota, an allocation beyond it is refused. The standard library
//! would abort then, which looks like a crash; [`QuotaAlloc`] ends the process with
//! [`QUOTA_EXIT`] instead, which the host reads as what it is.

use std::alloc::{GlobalAlloc, Layout};
use std::sync::atomic::{AtomicBool, Ordering};

/// The exit status of a container to which an allocation was refused.
pub const QUOTA_EXIT: i32 = 77;

static IN_CONTAINER: AtomicBool = AtomicBool::new(false);

/// From here on a refused allocation ends this process with [`QUOTA_EXIT`].
pub(crate) fn enforce() {
    IN_CONTAINER.store(true, Ordering::Relaxed);
}

/// Ends the process as over its quota. Allocates nothing.
pub(crate) fn exit_over_quota() -> ! {
    // SAFETY: _exit takes any status and does not return.
    unsafe { libc::_exit(QUOTA_EXIT) }
}

/// An allocator that, in a container, ends the process with [`QUOTA_EXIT`] where `A` refuses an
/// allocation; in any other process it is `A`.
///
/// The binary wraps its global allocator in it: `#[global_allocator] static A: QuotaAlloc<MiMalloc>
/// = QuotaAlloc(MiMalloc);`.
#[derive(Debug, Default)]
pub struct QuotaAlloc<A>(pub A);

fn checked(pointer: *mut u8) -> *mut u8 {
    if pointer.is_null() && IN_CONTAINER.load(Ordering::Relaxed) {
        exit_over_quota();
    }
    pointer
}

// SAFETY: every call goes to `A` unchanged; the only addition is to end the process on null.
unsafe impl<A: GlobalAlloc> GlobalAlloc for QuotaAlloc<A> {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller keeps GlobalAlloc's contract, which is A's.
        checked(unsafe { self.0.alloc(layout) })
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { self.0.dealloc(pointer, layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as above.
        checked(unsafe { self.0.alloc_zeroed(layout) })
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: as above.
        checked(unsafe { self.0.realloc(pointer, layout, new_size) })
    }
}
