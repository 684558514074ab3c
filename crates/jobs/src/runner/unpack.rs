//! Packed inputs: they cannot be read from the middle, so they are unpacked into a file first.

use std::fs::File;
use std::io::{self, Read as _, Write as _};

use bytes::Bytes;
use faults::bad_argument;
use tables::files::{Compression, UnpackLimits, Unpacker, unreadable};
use tokio::sync::mpsc;

use super::inputs::Input;
use super::job::Job;
use super::spool::Room;
use super::trouble::Trouble;

/// How many pieces of a packed input wait to be unpacked.
const AHEAD: usize = 4;
/// How much is unpacked at once.
const PIECE: usize = 256 * 1024;

/// Packed bytes on their way to the thread that unpacks.
struct Packed {
    told: mpsc::Receiver<Bytes>,
    rest: Bytes,
    /// Whether the last of them came: what ends without it was broken off.
    whole: bool,
}

impl io::Read for Packed {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.rest.is_empty() && !self.whole {
            match self.told.blocking_recv() {
                // An empty piece says that there are no more.
                Some(bytes) if bytes.is_empty() => self.whole = true,
                Some(bytes) => self.rest = bytes,
                None => return Err(io::ErrorKind::BrokenPipe.into()),
            }
        }
        let length = out.len().min(self.rest.len());
        let piece = self.rest.split_to(length);
        if let Some(room) = out.get_mut(..length) {
            room.copy_from_slice(&piece);
        }
        Ok(length)
    }
}

/// What stood in the way of unpacking.
enum Stopped {
    /// The packed bytes: they are broken, or came to no end.
    Read(io::Error),
    /// The file that they are unpacked into.
    Write(io::Error),
    /// That there may be no more unpacked bytes.
    Full,
}

/// Unpacks a packed input into a file, with the room that it takes.
///
/// # Errors
/// What storage says; the fault of [`unreadable`] for content that is broken or unpacks too far;
/// `BadArgument.RequestBodyInvalid` where there may be no file of that size.
pub(super) async fn unpack(
    job: &Job,
    position: usize,
    input: &Input,
    compression: Compression,
) -> Result<(File, Room), Trouble> {
    let (tell, told) = mpsc::channel(AHEAD);
    let (spool, id, limit) = (job.spool.clone(), job.id, job.options.spool_limit);
    let room = job.spool.room();
    let unpacking = tokio::task::spawn_blocking(move || {
        let file = spool.unpack_file(id, position).map_err(Stopped::Write)?;
        let packed = Packed {
            told,
            rest: Bytes::new(),
            whole: false,
        };
        write(packed, compression, file, room, limit)
    });
    let fed = feed(input, tell).await;
    let unpacked = unpacking
        .await
        .map_err(|e| Trouble::of_machine(&e, "an input cannot be unpacked"))?;
    fed?;
    unpacked.map_err(|stopped| match stopped {
        Stopped::Read(error) => Trouble::Lasting(unreadable(&error).at(input.name.as_str())),
        Stopped::Write(error) => Trouble::of_machine(&error, "an input cannot be unpacked"),
        Stopped::Full => bad_argument::request_body_invalid()
            .at(input.name.as_str())
            .because("the unpacked inputs of all jobs would be more than batch.spool_limit")
            .into(),
    })
}

/// Hands a packed input over; where that breaks off, the other side is not left to wait.
async fn feed(input: &Input, tell: mpsc::Sender<Bytes>) -> Result<(), Trouble> {
    let mut stream = input.stream(0..input.size).await?;
    while let Some(bytes) = stream.next().await {
        let bytes = bytes.map_err(|failure| input.trouble(failure))?;
        if !bytes.is_empty() && tell.send(bytes).await.is_err() {
            // Whoever unpacks says why it takes no more.
            return Ok(());
        }
    }
    let _ = tell.send(Bytes::new()).await;
    Ok(())
}

fn write(
    packed: Packed,
    compression: Compression,
    mut file: File,
    mut room: Room,
    limit: u64,
) -> Result<(File, Room), Stopped> {
    let limits = UnpackLimits::default();
    let mut unpacker = Unpacker::new(packed, compression, limits).map_err(Stopped::Read)?;
    let mut buffer = vec![0; PIECE];
    loop {
        let read = match unpacker.read(&mut buffer) {
            Ok(0) => return Ok((file, room)),
            Ok(read) => read,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(Stopped::Read(e)),
        };
        if !room.more(read as u64, limit) {
            return Err(Stopped::Full);
        }
        let piece = buffer.get(..read).unwrap_or_default();
        file.write_all(piece).map_err(Stopped::Write)?;
    }
}
