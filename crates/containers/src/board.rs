//! The board: a small piece of memory that host and container share.
//!
//! Two facts must cross without a system call per call and without waiting for the other side to
//! read: *this call has begun* (written by the container; the host needs it when the container is
//! dead or a budget is spent) and *nobody waits for this call* (written by the host; the
//! container's threads may all be busy running). Each call has a place, the lower half of its id;
//! a place holds the id of the call that began last and of the one cancelled last. Ids recur after
//! 65536 calls at a place, so the host clears the place before it hands over a call.
//!
//! Beside these facts each place has two counters, by which a container tells how far long work
//! has come: nothing is sent for that, and the host looks when it likes.
//!
//! The memory is sealed against changes of its size, so that a container cannot make the host
//! fault by shrinking it. What a container writes is only ever compared.

use std::fs::File;
use std::io;
use std::os::fd::{FromRawFd, RawFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// The most calls that a container can be given at once.
pub const MAX_CALLS: usize = 4096;

/// The place of a call on the board and in the host's table: `0..MAX_CALLS`, or out of range for
/// an id that no host makes.
pub fn place(id: u32) -> usize {
    ((id & 0xffff) as usize).wrapping_sub(1)
}

/// The id of a call: its place and how many calls had the place before.
pub fn call_id(place: usize, generation: u16) -> u32 {
    (u32::from(generation) << 16) | (place as u32 + 1)
}

/// One side's view of the board.
#[derive(Debug)]
pub struct Board {
    memory: NonNull<AtomicU32>,
    calls: usize,
}

// SAFETY: the memory lives as long as the value and holds only atomics.
unsafe impl Send for Board {}
// SAFETY: as above.
unsafe impl Sync for Board {}

/// Bytes of the facts; the counters stand behind them, aligned as a multiple of eight is.
fn facts(calls: usize) -> usize {
    2 * calls * size_of::<AtomicU32>()
}

fn bytes(calls: usize) -> usize {
    facts(calls) + 2 * calls * size_of::<AtomicU64>()
}

impl Board {
    /// A new board for `calls` calls (at most [`MAX_CALLS`]) and the file to hand to a container.
    pub fn create(calls: usize) -> io::Result<(Board, File)> {
        let flags = libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING;
        // SAFETY: the name is a C string.
        let fd = unsafe { libc::memfd_create(c"umpire-board".as_ptr(), flags) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: memfd_create returned a descriptor that nobody else owns.
        let file = unsafe { File::from_raw_fd(fd) };
        file.set_len(bytes(calls) as u64)?;
        let seals = libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_SEAL;
        // SAFETY: fcntl on a descriptor that `file` owns.
        if unsafe { libc::fcntl(fd, libc::F_ADD_SEALS, seals) } < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok((Board::map(fd, calls)?, file))
    }

    /// The board behind a descriptor that this process was given.
    pub fn open(fd: RawFd, calls: usize) -> io::Result<Board> {
        // SAFETY: a zeroed stat is a valid place for fstat to write to.
        let mut stat = unsafe { std::mem::zeroed::<libc::stat>() };
        // SAFETY: fstat writes one stat.
        if unsafe { libc::fstat(fd, &mut stat) } < 0 {
            return Err(io::Error::last_os_error());
        }
        if (stat.st_size as u64) < bytes(calls) as u64 {
            return Err(io::Error::other("the board is too small"));
        }
        Board::map(fd, calls)
    }

    fn map(fd: RawFd, calls: usize) -> io::Result<Board> {
        if calls == 0 || calls > MAX_CALLS {
            return Err(io::Error::other("a board has 1 to 4096 places"));
        }
        let access = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a fresh mapping at an address of the kernel's choice.
        let memory = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                bytes(calls),
                access,
                libc::MAP_SHARED,
                fd,
                0,
            )
        };
        if memory == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        match NonNull::new(memory.cast()) {
            Some(memory) => Ok(Board { memory, calls }),
            None => Err(io::Error::other("the board was mapped at null")),
        }
    }

    fn cell(&self, id: u32, row: usize) -> Option<&AtomicU32> {
        let place = place(id);
        if place >= self.calls {
            return None;
        }
        // SAFETY: the mapping has 2 * calls cells, zeroed at first, aligned to a page.
        Some(unsafe { &*self.memory.as_ptr().add(row * self.calls + place) })
    }

    fn counter(&self, id: u32, row: usize) -> Option<&AtomicU64> {
        let place = place(id);
        if place >= self.calls {
            return None;
        }
        // SAFETY: behind the facts, whose length is a multiple of eight, the mapping has 2 * calls
        // counters.
        Some(unsafe {
            let counters = self.memory.as_ptr().byte_add(facts(self.calls));
            &*counters.cast::<AtomicU64>().add(row * self.calls + place)
        })
    }

    /// Host: nothing is known of the call that is given this id next. Called before the container
    /// hears of the id, so that both sides' later notes stand.
    pub fn clear(&self, id: u32) {
        for row in 0..2 {
            if let Some(cell) = self.cell(id, row) {
                cell.store(0, Ordering::Release);
            }
            if let Some(counter) = self.counter(id, row) {
                counter.store(0, Ordering::Relaxed);
            }
        }
    }

    /// Container: the call at this place has come so far.
    pub fn set_progress(&self, id: u32, rows: u64, bytes: u64) {
        for (row, value) in [rows, bytes].into_iter().enumerate() {
            if let Some(counter) = self.counter(id, row) {
                counter.store(value, Ordering::Relaxed);
            }
        }
    }

    /// Host: how far the call at this place has come, in rows and bytes.
    pub fn progress(&self, id: u32) -> (u64, u64) {
        let read = |row| {
            self.counter(id, row)
                .map_or(0, |c| c.load(Ordering::Relaxed))
        };
        (read(0), read(1))
    }

    /// Container: this call runs now.
    pub fn begin(&self, id: u32) {
        if let Some(cell) = self.cell(id, 0) {
            cell.store(id, Ordering::Release);
        }
    }

    /// Host: whether this call has begun.
    pub fn has_begun(&self, id: u32) -> bool {
        self.cell(id, 0)
            .is_some_and(|cell| cell.load(Ordering::Acquire) == id)
    }

    /// Host: nobody waits for this call.
    pub fn cancel(&self, id: u32) {
        if let Some(cell) = self.cell(id, 1) {
            cell.store(id, Ordering::Release);
        }
    }

    /// Container: whether nobody waits for this call.
    pub fn is_cancelled(&self, id: u32) -> bool {
        self.cell(id, 1)
            .is_some_and(|cell| cell.load(Ordering::Acquire) == id)
    }

    /// How many places the board has.
    pub fn calls(&self) -> usize {
        self.calls
    }
}

impl Drop for Board {
    fn drop(&mut self) {
        // SAFETY: the mapping was made by `map` with this length, and no reference outlives self.
        unsafe { libc::munmap(self.memory.as_ptr().cast(), bytes(self.calls)) };
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd;

    use super::*;

    #[test]
    fn both_sides_see_what_the_other_wrote() {
        let (host, file) = Board::create(3).unwrap();
        let container = Board::open(file.as_raw_fd(), 3).unwrap();
        let id = call_id(2, 7);
        assert_eq!(place(id), 2);
        assert!(!host.has_begun(id) && !container.is_cancelled(id));
        container.begin(id);
        host.cancel(id);
        assert!(host.has_begun(id) && container.is_cancelled(id));
        // The next call at the place starts afresh.
        assert!(!host.has_begun(call_id(2, 8)));
        container.set_progress(id, 3, u64::MAX);
        container.set_progress(call_id(0, 1), 5, 6);
        assert_eq!(host.progress(id), (3, u64::MAX));
        assert_eq!(host.progress(call_id(0, 1)), (5, 6));
        // And so does one that is given the same id again.
        host.clear(id);
        assert_eq!(host.progress(id), (0, 0));
        assert_eq!(host.progress(call_id(0, 1)), (5, 6));
        assert!(!host.has_begun(id) && !container.is_cancelled(id));
        // Ids beyond the board are nobody's.
        container.begin(call_id(3, 0));
        assert!(!host.has_begun(call_id(3, 0)));
        assert!(!host.has_begun(0));
        container.set_progress(call_id(3, 0), 1, 1);
        assert_eq!(host.progress(call_id(3, 0)), (0, 0));
    }

    #[test]
    fn a_container_cannot_change_the_boards_size() {
        let (_host, file) = Board::create(1).unwrap();
        assert!(file.set_len(0).is_err());
        assert!(file.set_len(1 << 20).is_err());
        assert!(Board::open(file.as_raw_fd(), 2).is_err());
    }
}
