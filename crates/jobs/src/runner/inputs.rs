//! The inputs of a job: opened, unpacked where need be, and their heads read.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use bytes::Bytes;
use containers::batch::PlanFacts;
use faults::{Fault, bad_argument};
use storage::{ByteStream, Failure, FailureKind, Location, Purpose, Source};
use tables::files::{Compression, FileType, HEAD_LIMIT, Head, read_head};

use super::job::Job;
use super::plan::{Plan, Seen};
use super::spool::Room;
use super::trouble::{Trouble, persist};
use super::unpack::unpack;

/// An input that can be read by range.
#[derive(Debug)]
pub(super) struct Input {
    pub(super) name: String,
    pub(super) at: Location,
    /// What the content is, once it is unpacked.
    pub(super) file: FileType,
    pub(super) content: Content,
    /// Bytes of the unpacked content.
    pub(super) size: u64,
    /// What stands before its records.
    pub(super) head: Head,
    /// What the blob was when it was opened.
    pub(super) seen: Seen,
}

/// Where content lies.
#[derive(Debug)]
pub(super) enum Content {
    /// In a blob.
    Blob(Source),
    /// In a file of ours, which goes with this value.
    Unpacked(
        File,
        #[expect(dead_code, reason = "it is taken for as long as the file")] Room,
    ),
}

/// A range of a file.
pub(super) type FileRange = (File, u64, u64);

impl Input {
    /// Where a range lies on this machine; `None` for content that is elsewhere.
    pub(super) fn pieces(&self, range: Range<u64>) -> Option<io::Result<Vec<FileRange>>> {
        match &self.content {
            Content::Blob(source) => source.pieces(range),
            Content::Unpacked(file, _) => {
                let end = range.end.min(self.size);
                let start = range.start.min(end);
                Some(
                    file.try_clone()
                        .map(|file| vec![(file, start, end - start)]),
                )
            }
        }
    }

    /// The bytes of a range as they come.
    pub(super) async fn stream(&self, range: Range<u64>) -> Result<ByteStream, Trouble> {
        let stream = match &self.content {
            Content::Blob(source) => source.read(range).await,
            Content::Unpacked(..) => Err(Failure::new(
                FailureKind::Unreachable,
                "what is in a file is not streamed",
            )),
        };
        stream.map_err(|failure| self.trouble(failure))
    }

    /// What storage said about this input.
    pub(super) fn trouble(&self, failure: Failure) -> Trouble {
        Trouble::of_storage(failure, Purpose::Input(&self.name), &self.at)
    }

    /// The bytes of a range, in memory.
    pub(super) async fn bytes(&self, range: Range<u64>) -> Result<Bytes, Trouble> {
        match self.pieces(range.clone()) {
            Some(pieces) => {
                let pieces = pieces.map_err(|e| self.unreadable(&e))?;
                let read = tokio::task::spawn_blocking(move || read_pieces(&pieces)).await;
                let read = read.map_err(|e| Trouble::of_machine(&e, "an input cannot be read"))?;
                read.map_err(|e| self.unreadable(&e))
            }
            None => {
                let stream = self.stream(range).await?;
                stream
                    .whole()
                    .await
                    .map_err(|failure| self.trouble(failure))
            }
        }
    }

    /// This machine's disk failed.
    pub(super) fn unreadable(&self, error: &io::Error) -> Trouble {
        let mut failure = Failure::new(FailureKind::Unreachable, error.to_string());
        failure.transient = true;
        self.trouble(failure)
    }
}

fn read_pieces(pieces: &[FileRange]) -> io::Result<Bytes> {
    let mut all = Vec::new();
    for (file, offset, length) in pieces {
        let length = usize::try_from(*length).map_err(io::Error::other)?;
        let start = all.len();
        all.resize(start + length, 0);
        file.read_exact_at(&mut all[start..], *offset)?;
    }
    Ok(all.into())
}

/// Opens all inputs of a job. Where there is a plan already they must be what they were.
pub(super) async fn open_all(
    job: &Job,
    facts: &PlanFacts,
    plan: Option<&Plan>,
) -> Result<Vec<Arc<Input>>, Trouble> {
    let mut inputs = Vec::with_capacity(job.kept.inputs.len());
    for (i, (name, reference)) in job.kept.inputs.iter().enumerate() {
        let purpose = Purpose::Input(name);
        let at = job.storage.resolve(reference, job.workspace, purpose)?;
        let Some(file) = FileType::of_name(at.file_name()) else {
            return Err(unsupported(&at, name).into());
        };
        let port = facts.inputs.iter().find(|port| port.name == *name);
        let Some(port) = port else {
            return Err(bad_argument::invalid_input_names(name).into());
        };
        let before = plan.and_then(|plan| plan.inputs.get(i));
        let input = persist!(
            job.options.attempts,
            open(job, i, &at, file, &port.schema, before)
        );
        inputs.push(Arc::new(input?));
    }
    Ok(inputs)
}

/// A name that says nothing of the format. It was looked at when the job was submitted, so this is
/// for names that an older version let in.
pub(super) fn unsupported(at: &Location, name: &str) -> Fault {
    bad_argument::invalid_blob_extension(at.shown(), ".csv, .tsv, .arff, .parquet").at(name)
}

async fn open(
    job: &Job,
    position: usize,
    at: &Location,
    file: FileType,
    schema: &tables::Schema,
    before: Option<&Seen>,
) -> Result<Input, Trouble> {
    let name = job.kept.inputs.get(position).map_or("", |(name, _)| name);
    let purpose = Purpose::Input(name);
    let source = job.storage.open(at).await;
    let source = source.map_err(|failure| Trouble::of_storage(failure, purpose, at))?;
    let seen = Seen {
        size: source.size,
        etag: source.etag.clone(),
    };
    if before.is_some_and(|before| *before != seen) {
        let failure = Failure::new(
            FailureKind::Changed,
            "the content is not what it was when the job began to read it",
        );
        return Err(Trouble::of_storage(failure, purpose, at));
    }
    let mut input = Input {
        name: name.to_owned(),
        at: at.clone(),
        file: FileType {
            compression: Compression::None,
            ..file
        },
        size: source.size,
        content: Content::Blob(source),
        head: Head {
            names: Vec::new(),
            end: 0,
            line: 1,
        },
        seen,
    };
    if file.compression != Compression::None {
        let (unpacked, room) = unpack(job, position, &input, file.compression).await?;
        let length = unpacked.metadata().map(|about| about.len());
        input.size = length.map_err(|e| Trouble::of_machine(&e, "an unpacked input is gone"))?;
        input.content = Content::Unpacked(unpacked, room);
    }
    input.head = head(&input, schema).await?;
    Ok(input)
}

/// How much of an input is read for its head at first.
const FIRST: u64 = 64 * 1024;

async fn head(input: &Input, schema: &tables::Schema) -> Result<Head, Trouble> {
    let mut length = FIRST;
    loop {
        let first = input.bytes(0..length.min(input.size)).await?;
        let whole = first.len() as u64 == input.size;
        match read_head(&first, whole, input.file.format, schema) {
            Ok(Some(head)) => return Ok(head),
            Ok(None) if !whole && length < HEAD_LIMIT as u64 => {
                length = (length * 4).min(HEAD_LIMIT as u64);
            }
            // It says of so many bytes what is wrong with them.
            Ok(None) => {
                return Err(faults::bad_user_argument::input_parse_error(
                    "the header does not end",
                )
                .at(input.name.as_str())
                .into());
            }
            Err(fault) => return Err(Trouble::Lasting(fault.at(input.name.as_str()))),
        }
    }
}
