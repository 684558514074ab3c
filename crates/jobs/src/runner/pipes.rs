//! Pipes between a container and storage that is elsewhere.

use std::io;
use std::os::fd::OwnedFd;

use bytes::{Bytes, BytesMut};
use storage::{ByteStream, Failure};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::unix::pipe::{Receiver, Sender};

/// Why bytes did not get through.
#[derive(Debug)]
pub(super) enum Broken {
    /// Storage failed.
    Storage(Failure),
    /// The pipe did.
    Pipe(io::Error),
}

/// A pipe that we write to, and the end for a container.
pub(super) fn to_container() -> io::Result<(Sender, OwnedFd)> {
    let (read, write) = io::pipe()?;
    Ok((Sender::from_owned_fd(write.into())?, read.into()))
}

/// A pipe that we read from, and the end for a container.
pub(super) fn from_container() -> io::Result<(Receiver, OwnedFd)> {
    let (read, write) = io::pipe()?;
    Ok((Receiver::from_owned_fd(read.into())?, write.into()))
}

/// Writes what comes from storage into a pipe. `false` where the container did not take all of it:
/// it says itself why.
///
/// The pipe stays open for as long as the caller keeps it: a container must not take the end of
/// what could be read for the end of the input.
pub(super) async fn feed(stream: &mut ByteStream, pipe: &mut Sender) -> Result<bool, Broken> {
    while let Some(bytes) = stream.next().await {
        let bytes = bytes.map_err(Broken::Storage)?;
        match pipe.write_all(&bytes).await {
            Ok(()) => {}
            Err(e) if e.kind() == io::ErrorKind::BrokenPipe => return Ok(false),
            Err(e) => return Err(Broken::Pipe(e)),
        }
    }
    Ok(true)
}

/// How much is read at once.
const READ: usize = 256 * 1024;

/// Reads a pipe until there are so many bytes, or it ends.
pub(super) async fn read(pipe: &mut Receiver, most: usize) -> io::Result<Bytes> {
    let mut all = BytesMut::new();
    while all.len() < most {
        all.reserve(READ.min(most - all.len()));
        let room = most - all.len();
        if (&mut *pipe).take(room as u64).read_buf(&mut all).await? == 0 {
            break;
        }
    }
    Ok(all.freeze())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::io::{Read as _, Write as _};

    #[tokio::test]
    async fn bytes_get_through_both_ways() {
        let content: Vec<u8> = (0..1_000_000u32).flat_map(u32::to_le_bytes).collect();
        let (mut pipe, end) = to_container().unwrap();
        let reader = std::thread::spawn(move || {
            let mut all = Vec::new();
            File::from(end).read_to_end(&mut all).unwrap();
            all
        });
        let pieces: Vec<_> = content.chunks(70_000).map(Bytes::copy_from_slice).collect();
        let stream = futures_util::stream::iter(pieces.into_iter().map(Ok));
        let mut stream = ByteStream::new(stream);
        assert!(feed(&mut stream, &mut pipe).await.unwrap());
        drop(pipe);
        assert!(reader.join().unwrap() == content);

        let (mut pipe, end) = from_container().unwrap();
        let sent = content.clone();
        let writer = std::thread::spawn(move || File::from(end).write_all(&sent).unwrap());
        let first = read(&mut pipe, 1000).await.unwrap();
        assert_eq!(first, content[..1000]);
        let rest = read(&mut pipe, usize::MAX).await.unwrap();
        assert!(rest == content[1000..]);
        writer.join().unwrap();
    }

    #[tokio::test]
    async fn a_container_that_takes_no_more_is_told_from_storage_that_fails() {
        let (mut pipe, end) = to_container().unwrap();
        drop(end);
        let stream = futures_util::stream::iter([Ok(Bytes::from_static(b"x"))]);
        let mut stream = ByteStream::new(stream);
        assert!(!feed(&mut stream, &mut pipe).await.unwrap());

        let (mut pipe, _end) = to_container().unwrap();
        let failure = Failure::new(storage::FailureKind::Changed, "it changed");
        let mut stream = ByteStream::new(futures_util::stream::iter([Err(failure)]));
        let broken = feed(&mut stream, &mut pipe).await.unwrap_err();
        assert!(matches!(broken, Broken::Storage(f) if f.text == "it changed"));
    }
}
