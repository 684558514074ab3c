//! The few system calls that both sides make on their end of the channel.

use std::io;
use std::os::fd::RawFd;

/// Repeats a call that a signal interrupted; `-1` becomes the error.
pub(crate) fn retried(mut call: impl FnMut() -> isize) -> io::Result<usize> {
    loop {
        match call() {
            -1 => {
                let error = io::Error::last_os_error();
                if error.kind() != io::ErrorKind::Interrupted {
                    return Err(error);
                }
            }
            count => return Ok(count as usize),
        }
    }
}

/// Receives into `buffer`; 0 is the end. `flags` as `recv(2)` has them.
pub(crate) fn receive(fd: RawFd, buffer: &mut [u8], flags: i32) -> io::Result<usize> {
    // SAFETY: the buffer is valid for its length throughout the call.
    retried(|| unsafe { libc::recv(fd, buffer.as_mut_ptr().cast(), buffer.len(), flags) })
}

/// Sends the front of `bytes`, without SIGPIPE; `flags` as `send(2)` has them.
pub(crate) fn send(fd: RawFd, bytes: &[u8], flags: i32) -> io::Result<usize> {
    let flags = flags | libc::MSG_NOSIGNAL;
    // SAFETY: the bytes are valid for their length throughout the call.
    retried(|| unsafe { libc::send(fd, bytes.as_ptr().cast(), bytes.len(), flags) })
}

/// Fills `buffer` with bytes that cannot be guessed.
pub(crate) fn random(buffer: &mut [u8]) -> io::Result<()> {
    let mut filled = 0;
    while filled < buffer.len() {
        let rest = &mut buffer[filled..];
        // SAFETY: the buffer is valid for its length throughout the call.
        filled += retried(|| unsafe { libc::getrandom(rest.as_mut_ptr().cast(), rest.len(), 0) })?;
    }
    Ok(())
}
