//! The side channel: how the descriptors of batch work reach a container.
//!
//! A socket pair that keeps messages apart. The host sends the descriptors of a call before the
//! call's frame, so that they are there when the frame is read, and nothing has to wait. One
//! message carries the call's id, how many descriptors it brings and how many follow in further
//! messages; the kernel takes at most 253 in one.

use std::io;
use std::mem::{size_of, zeroed};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

use crate::batch::MAX_DESCRIPTORS;
use crate::system::retried;

/// Descriptors in one message.
const PER_MESSAGE: usize = 250;
/// Bytes of a message: the id, its descriptors and those that follow, each four bytes.
const MESSAGE: usize = 12;
/// Room for the control data of one message, aligned as its head.
const CONTROL: usize = (size_of::<libc::cmsghdr>() + (PER_MESSAGE + 3) * 4 + 16) / 8 + 1;

/// Both ends: the host's, and the one for the container.
pub(crate) fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let mut fds = [0; 2];
    let kind = libc::SOCK_SEQPACKET | libc::SOCK_CLOEXEC;
    // SAFETY: socketpair writes two ints.
    if unsafe { libc::socketpair(libc::AF_UNIX, kind, 0, fds.as_mut_ptr()) } < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: socketpair returned descriptors that nobody else owns.
    Ok(unsafe { (OwnedFd::from_raw_fd(fds[0]), OwnedFd::from_raw_fd(fds[1])) })
}

/// Host: sends the descriptors of a call, without waiting for room. They stay the caller's.
pub(crate) fn send(to: RawFd, id: u32, descriptors: &[OwnedFd]) -> io::Result<()> {
    if descriptors.len() > MAX_DESCRIPTORS {
        return Err(io::Error::other("too many descriptors for one call"));
    }
    let mut rest = descriptors;
    loop {
        let (these, left) = rest.split_at(rest.len().min(PER_MESSAGE));
        send_message(to, id, these, left.len())?;
        rest = left;
        if rest.is_empty() {
            return Ok(());
        }
    }
}

fn send_message(to: RawFd, id: u32, descriptors: &[OwnedFd], left: usize) -> io::Result<()> {
    let mut bytes = [0_u8; MESSAGE];
    bytes[..4].copy_from_slice(&id.to_le_bytes());
    bytes[4..8].copy_from_slice(&(descriptors.len() as u32).to_le_bytes());
    bytes[8..].copy_from_slice(&(left as u32).to_le_bytes());
    let mut control = [0_u64; CONTROL];
    let mut part = libc::iovec {
        iov_base: bytes.as_mut_ptr().cast(),
        iov_len: bytes.len(),
    };
    // SAFETY: a zeroed msghdr is a valid one without anything.
    let mut message: libc::msghdr = unsafe { zeroed() };
    message.msg_iov = &mut part;
    message.msg_iovlen = 1;
    if !descriptors.is_empty() {
        let length = (descriptors.len() * size_of::<RawFd>()) as u32;
        message.msg_control = control.as_mut_ptr().cast();
        // SAFETY: CMSG_SPACE computes; the control data is aligned and has room for PER_MESSAGE
        // descriptors, so the first head is there and so is the room behind it.
        unsafe {
            message.msg_controllen = libc::CMSG_SPACE(length) as _;
            let head = libc::CMSG_FIRSTHDR(&message);
            (*head).cmsg_level = libc::SOL_SOCKET;
            (*head).cmsg_type = libc::SCM_RIGHTS;
            (*head).cmsg_len = libc::CMSG_LEN(length) as _;
            let data = libc::CMSG_DATA(head).cast::<RawFd>();
            for (i, descriptor) in descriptors.iter().enumerate() {
                data.add(i).write_unaligned(descriptor.as_raw_fd());
            }
        }
    }
    let flags = libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT;
    // SAFETY: the message points to values that live throughout the call.
    retried(|| unsafe { libc::sendmsg(to, &message, flags) }).map(drop)
}

/// Container: the descriptors that were sent for a call. What stands before them was for a call
/// that never came, and is closed. `None` where there are none for it, or not as many as were
/// sent (this process may have no more): then those that came are closed.
pub(crate) fn receive(from: RawFd, id: u32) -> Option<Vec<OwnedFd>> {
    loop {
        let first = receive_message(from).ok()??;
        if first.id != id {
            continue;
        }
        let mut all = first.descriptors?;
        let mut left = first.left;
        while left > 0 {
            let next = receive_message(from).ok()??;
            if next.id != id || next.left >= left || all.len() > MAX_DESCRIPTORS {
                return None;
            }
            left = next.left;
            all.extend(next.descriptors?);
        }
        return Some(all);
    }
}

struct Message {
    id: u32,
    /// `None` where some are wanting.
    descriptors: Option<Vec<OwnedFd>>,
    left: usize,
}

/// The next message; `None` where there is none now, or none that was made by [`send`].
fn receive_message(from: RawFd) -> io::Result<Option<Message>> {
    let mut bytes = [0_u8; MESSAGE];
    let mut control = [0_u64; CONTROL];
    let mut part = libc::iovec {
        iov_base: bytes.as_mut_ptr().cast(),
        iov_len: bytes.len(),
    };
    // SAFETY: a zeroed msghdr is a valid one without anything.
    let mut message: libc::msghdr = unsafe { zeroed() };
    message.msg_iov = &mut part;
    message.msg_iovlen = 1;
    message.msg_control = control.as_mut_ptr().cast();
    message.msg_controllen = size_of_val(&control) as _;
    let flags = libc::MSG_DONTWAIT | libc::MSG_CMSG_CLOEXEC;
    // SAFETY: the message points to values that live throughout the call.
    let count = retried(|| unsafe { libc::recvmsg(from, &mut message, flags) })?;
    let mut descriptors = Vec::new();
    // SAFETY: the kernel filled the control data up to msg_controllen with whole entries; each
    // descriptor in it is new in this process and nobody else's.
    unsafe {
        let mut head = libc::CMSG_FIRSTHDR(&message);
        while !head.is_null() {
            if (*head).cmsg_level == libc::SOL_SOCKET && (*head).cmsg_type == libc::SCM_RIGHTS {
                let length = (*head).cmsg_len as usize - libc::CMSG_LEN(0) as usize;
                let data = libc::CMSG_DATA(head).cast::<RawFd>();
                for i in 0..length / size_of::<RawFd>() {
                    descriptors.push(OwnedFd::from_raw_fd(data.add(i).read_unaligned()));
                }
            }
            head = libc::CMSG_NXTHDR(&message, head);
        }
    }
    if count != MESSAGE {
        return Ok(None);
    }
    let number = |at: usize| {
        let mut number = [0; 4];
        number.copy_from_slice(&bytes[at..at + 4]);
        u32::from_le_bytes(number)
    };
    let whole =
        message.msg_flags & libc::MSG_CTRUNC == 0 && descriptors.len() == number(4) as usize;
    Ok(Some(Message {
        id: number(0),
        descriptors: whole.then_some(descriptors),
        left: number(8) as usize,
    }))
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::{Read, Write, pipe};

    use super::*;

    fn files(count: usize) -> Vec<OwnedFd> {
        let open = |_| OwnedFd::from(File::open("/dev/null").unwrap());
        (0..count).map(open).collect()
    }

    #[test]
    fn descriptors_come_with_their_call_in_order_and_close_on_exec() {
        let (host, container) = pair().unwrap();
        let (mut read, write) = pipe().unwrap();
        let mut sent = files(PER_MESSAGE + 3);
        sent.push(write.into());
        send(host.as_raw_fd(), 7, &sent).unwrap();
        send(host.as_raw_fd(), 8, &[]).unwrap();
        drop(sent);
        let mut received = receive(container.as_raw_fd(), 7).unwrap();
        assert_eq!(received.len(), PER_MESSAGE + 4);
        for fd in &received {
            // SAFETY: fcntl on a descriptor that is open.
            let flags = unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_GETFD) };
            assert_eq!(flags & libc::FD_CLOEXEC, libc::FD_CLOEXEC);
        }
        let mut last = File::from(received.pop().unwrap());
        last.write_all(b"here").unwrap();
        drop(last);
        let mut text = String::new();
        read.read_to_string(&mut text).unwrap();
        assert_eq!(text, "here");
        assert!(receive(container.as_raw_fd(), 8).unwrap().is_empty());
        assert!(receive(container.as_raw_fd(), 9).is_none());
    }

    #[test]
    fn what_came_for_another_call_is_closed() {
        let (host, container) = pair().unwrap();
        let (mut read, write) = pipe().unwrap();
        send(host.as_raw_fd(), 1, &[write.into()]).unwrap();
        send(host.as_raw_fd(), 2, &files(1)).unwrap();
        assert_eq!(receive(container.as_raw_fd(), 2).unwrap().len(), 1);
        // The pipe ends, as no process has its other end any more.
        assert_eq!(read.read(&mut [0]).unwrap(), 0);
        send(host.as_raw_fd(), 3, &files(1)).unwrap();
        assert!(receive(container.as_raw_fd(), 4).is_none());
        assert!(receive(container.as_raw_fd(), 3).is_none());
    }

    #[test]
    fn more_than_a_process_may_have_are_refused_before_they_are_sent() {
        let (host, container) = pair().unwrap();
        assert!(send(host.as_raw_fd(), 1, &files(MAX_DESCRIPTORS + 1)).is_err());
        assert!(receive(container.as_raw_fd(), 1).is_none());
    }
}
