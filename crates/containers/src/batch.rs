//! Pieces of batch jobs: what a container of the batch lane is asked to do, and what came of it.
//!
//! A piece is one call. Its files are no part of it: they are descriptors (of files, or of pipes
//! that the gateway feeds and drains), handed over beside the call, so that the data of a job is
//! not copied through the channel.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use faults::{Class, Fault, bad_argument, rows};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tables::files::FileType;
use tables::{Scalar, Schema};

/// The most descriptors of one piece: a process may have 1024 by default.
pub const MAX_DESCRIPTORS: usize = 512;

/// One piece of a job: ranges of inputs in, a part of each output out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Work {
    /// The inputs, in any order; each input of the service is there once.
    pub inputs: Vec<WorkInput>,
    /// The outputs that are wanted, in the order of their descriptors.
    pub outputs: Vec<WorkOutput>,
    /// Whether records that are no rows are set aside, into a last descriptor, as CSV (line,
    /// reason, record); else the first one ends the work.
    pub rejects: bool,
    /// Whether what is set aside begins with the names of its columns.
    pub rejects_head: bool,
    /// The global parameters as the job gives them.
    pub parameters: Map<String, Value>,
    /// Whether whole tables are scored at once, as a plan that is not row-wise needs it; else
    /// blocks of rows, one after another.
    pub whole: bool,
}

/// A range of an input's records.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkInput {
    /// The service's name of the input.
    pub port: String,
    /// How the bytes hold records. Packed ones are read from the file's first byte on.
    #[serde(with = "file_type")]
    pub file: FileType,
    /// The names of the columns, in the file's order.
    pub names: Vec<String>,
    /// The number of the line at which the first record starts.
    pub first_line: u64,
    /// Where the bytes are, one after another; each has a descriptor.
    pub pieces: Vec<Piece>,
}

/// Bytes behind one descriptor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Piece {
    /// So many bytes of a file, from there on.
    File {
        /// Where they begin.
        offset: u64,
        /// How many they are.
        len: u64,
    },
    /// All that comes out of a pipe.
    Pipe,
}

/// Where an output goes: to the front of an empty file, or into a pipe.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkOutput {
    /// The service's name of the output.
    pub name: String,
    /// How it is written. For a trained model it says nothing: that is written as it is stored.
    #[serde(with = "file_type")]
    pub file: FileType,
    /// Whether it begins with the names of its columns (a part that is not the first does not).
    pub head: bool,
}

/// One piece and its files.
#[derive(Debug)]
pub struct BatchCall {
    /// What is to be done.
    pub work: Work,
    /// The pieces of the inputs in their order, then the outputs, then the rejects.
    pub descriptors: Vec<OwnedFd>,
    /// When the work's time is spent; `None` for never.
    pub deadline: Option<Instant>,
    /// Told how far the work has come, where somebody wants to know.
    pub progress: Option<Arc<WorkProgress>>,
}

/// How far a piece has come; brought up to date a few times a second.
#[derive(Debug, Default)]
pub struct WorkProgress {
    rows: AtomicU64,
    bytes: AtomicU64,
}

impl WorkProgress {
    /// Records that were read and done with, those set aside included.
    pub fn rows(&self) -> u64 {
        self.rows.load(Ordering::Relaxed)
    }

    /// Bytes of the inputs that were read.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    pub(crate) fn set(&self, (rows, bytes): (u64, u64)) {
        self.rows.store(rows, Ordering::Relaxed);
        self.bytes.store(bytes, Ordering::Relaxed);
    }
}

/// What a piece that was done came to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkDone {
    /// Rows that were scored (of the first input, where there are several).
    pub rows: u64,
    /// Records that were set aside.
    pub rejected: u64,
    /// Bytes written, by output.
    pub written: Vec<u64>,
    /// Bytes written of what was set aside.
    pub rejects_written: u64,
}

/// Why a piece was not done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum WorkEnd {
    /// The data, the parameters or the plan: it fails the same way every time.
    Fault,
    /// That input (by its position in the work) could not be read.
    Input(usize),
    /// That output (by its position; the rejects come after the last) could not be written.
    Output(usize),
    /// There was no container, or it was lost; that says nothing of the work.
    Lost,
    /// The container went over its quota. Other pieces may have been at it too, so it is worth
    /// another try, but no more than one or two.
    OverQuota,
    /// Its time was spent.
    Deadline,
}

impl WorkEnd {
    /// Whether the same piece may work at another try.
    pub fn is_transient(self) -> bool {
        self != WorkEnd::Fault
    }
}

/// A piece that was not done: how that came, and the fault.
#[derive(Debug, Clone)]
pub struct WorkFailed {
    /// Who is to blame.
    pub end: WorkEnd,
    /// The fault: the data's or plan's own, with line numbers of the file; a bare `InternalError`
    /// with its cause for an input or output; of a lost container what its calls get.
    pub fault: Fault,
}

impl WorkFailed {
    /// What a call without its container failed with, as a piece's failure.
    pub(crate) fn of_host(fault: Fault) -> WorkFailed {
        let end = match fault.class() {
            Class::MemoryQuotaViolation => WorkEnd::OverQuota,
            _ if is_transient(&fault) => WorkEnd::Lost,
            _ => WorkEnd::Fault,
        };
        WorkFailed { end, fault }
    }
}

/// What a container answers where the work did not end in a fault of its own.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Answer {
    Done(WorkDone),
    /// An input or an output failed, and what the system said.
    Failed(WorkEnd, String),
}

/// Whether a fault of a container's start or end, or of the room for one, says nothing of what was
/// asked: at another time it may work.
pub fn is_transient(fault: &Fault) -> bool {
    use rows::InternalError as I;
    let by_class = matches!(
        fault.class(),
        Class::ServiceUnavailable
            | Class::InitializingContainers
            | Class::InternalErrorSystemLowOnMemory
            | Class::MemoryQuotaViolation
            | Class::RequestTimeout
            | Class::GatewayTimeout
    );
    let lost = [
        &I::WorkerUnreachable,
        &I::ContainerProcessTerminatedWithSystemError,
        &I::ContainerProcessTerminatedWithUnknownError,
        &I::BackendBadRequest,
        &I::BackendArgumentError,
        &I::WorkerAuthorizationFailed,
        &I::UnexpectedScoreStatus,
        &I::UnknownBackendErrorResponse,
    ];
    by_class || lost.iter().any(|row| fault.is(row))
}

/// What a batch job must know of a revision's plan.
#[derive(Debug, Clone)]
pub struct PlanFacts {
    /// Whether each row of the outputs depends on its row of the input alone: an input may then be
    /// cut into pieces.
    pub row_wise: bool,
    /// The inputs, in the order of the definition.
    pub inputs: Vec<InputFacts>,
    /// The outputs, in the order of the definition.
    pub outputs: Vec<OutputFacts>,
}

/// An input of a plan.
#[derive(Debug, Clone)]
pub struct InputFacts {
    /// Its name.
    pub name: String,
    /// Its columns.
    pub schema: Arc<Schema>,
}

/// An output of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputFacts {
    /// Its name.
    pub name: String,
    /// What it gives.
    pub kind: OutputKind,
}

/// What an output gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum OutputKind {
    /// Rows.
    Table,
    /// A trained model or a transformation, as the bytes that it is stored as.
    Model,
}

/// The global parameters as a plan takes them.
///
/// # Errors
///
/// `RequestBodyInvalid` (target: the parameter) for one that is a list or an object.
pub fn scalars(given: &Map<String, Value>) -> Result<Vec<(String, Scalar)>, Fault> {
    let scalar = |(name, value): (&String, &Value)| {
        let value = match value {
            Value::Null => Scalar::Null,
            Value::Bool(value) => Scalar::Bool(*value),
            Value::Number(number) => Scalar::Number(number.to_string()),
            Value::String(text) => Scalar::String(text.clone()),
            Value::Array(_) | Value::Object(_) => {
                return Err(bad_argument::request_body_invalid().at(name.as_str()));
            }
        };
        Ok((name.clone(), value))
    };
    given.iter().map(scalar).collect()
}

/// A file's type as its ending.
mod file_type {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};
    use tables::files::FileType;

    pub(super) fn serialize<S: Serializer>(file: &FileType, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(file.extension())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<FileType, D::Error> {
        let ending = String::deserialize(from)?;
        FileType::of_name(&ending).ok_or_else(|| D::Error::custom("an ending that no file has"))
    }
}

/// Facts on their way from the container, where the columns are plain data.
pub(crate) mod told {
    use std::sync::Arc;

    use serde::{Deserialize, Serialize};
    use tables::{DataType, Field, Schema};

    use super::{InputFacts, OutputFacts, PlanFacts};

    /// [`PlanFacts`].
    #[derive(Serialize, Deserialize)]
    pub(crate) struct Facts {
        row_wise: bool,
        inputs: Vec<(String, Vec<Column>)>,
        outputs: Vec<OutputFacts>,
    }

    #[derive(Serialize, Deserialize)]
    struct Column {
        name: String,
        data_type: String,
        nullable: bool,
        categories: Option<Vec<String>>,
        ordered: bool,
    }

    impl Facts {
        pub(crate) fn of<'a>(
            row_wise: bool,
            inputs: impl Iterator<Item = (&'a str, &'a Schema)>,
            outputs: Vec<OutputFacts>,
        ) -> Facts {
            let column = |field: &Field| Column {
                name: field.name.clone(),
                data_type: field.data_type.name().to_owned(),
                nullable: field.nullable,
                categories: field.categories.as_ref().map(|c| c.to_vec()),
                ordered: field.ordered,
            };
            let columns = |schema: &Schema| schema.fields().iter().map(column).collect();
            Facts {
                row_wise,
                inputs: inputs
                    .map(|(name, schema)| (name.to_owned(), columns(schema)))
                    .collect(),
                outputs,
            }
        }

        /// The facts; `None` where they make no sense.
        pub(crate) fn read(self) -> Option<PlanFacts> {
            let field = |column: Column| {
                let known = |t: &DataType| t.name() == column.data_type;
                let data_type = DataType::ALL.into_iter().find(known)?;
                let mut field = Field::new(column.name, data_type);
                field.nullable = column.nullable;
                field.categories = column.categories.map(Arc::from);
                field.ordered = column.ordered;
                Some(field)
            };
            let input = |(name, columns): (String, Vec<Column>)| {
                let fields = columns.into_iter().map(field).collect::<Option<Vec<_>>>()?;
                let schema = Arc::new(Schema::new(fields).ok()?);
                Some(InputFacts { name, schema })
            };
            Some(PlanFacts {
                row_wise: self.row_wise,
                inputs: self.inputs.into_iter().map(input).collect::<Option<_>>()?,
                outputs: self.outputs,
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use faults::{bad_user_argument, internal_error, memory_quota_violation, service_unavailable};
    use serde_json::json;
    use tables::{DataType, Field};

    use super::*;

    #[test]
    fn work_comes_out_of_its_json_as_it_went_in() {
        let of_name = |name| FileType::of_name(name).unwrap();
        let work = Work {
            inputs: vec![WorkInput {
                port: "input1".to_owned(),
                file: of_name("a.nh.tsv"),
                names: vec!["a".to_owned()],
                first_line: u64::MAX,
                pieces: vec![Piece::File { offset: 7, len: 9 }, Piece::Pipe],
            }],
            outputs: vec![WorkOutput {
                name: "output1".to_owned(),
                file: of_name("b.csv"),
                head: true,
            }],
            rejects: true,
            rejects_head: false,
            parameters: Map::from_iter([("p".to_owned(), json!(1.5))]),
            whole: true,
        };
        let json = serde_json::to_vec(&work).unwrap();
        assert_eq!(serde_json::from_slice::<Work>(&json).unwrap(), work);
    }

    #[test]
    fn facts_come_out_of_their_json_as_they_went_in() {
        let mut field = Field::new("é", DataType::DateTimeOffset).nullable();
        field.categories = Some(Arc::from(["x".to_owned()]));
        field.ordered = true;
        let schema = Schema::new(vec![field, Field::new("b", DataType::Uint8)]).unwrap();
        let outputs = vec![OutputFacts {
            name: "o".to_owned(),
            kind: OutputKind::Model,
        }];
        let told = told::Facts::of(true, [("in", &schema)].into_iter(), outputs.clone());
        let json = serde_json::to_vec(&told).unwrap();
        let facts = serde_json::from_slice::<told::Facts>(&json)
            .unwrap()
            .read()
            .unwrap();
        assert!(facts.row_wise);
        assert_eq!(facts.outputs, outputs);
        assert_eq!(facts.inputs[0].name, "in");
        assert_eq!(facts.inputs[0].schema.fields(), schema.fields());
    }

    #[test]
    fn only_what_says_nothing_of_the_work_is_worth_another_try() {
        let end = |fault: Fault| WorkFailed::of_host(fault).end;
        assert_eq!(end(service_unavailable::no_more_resources()), WorkEnd::Lost);
        assert_eq!(end(internal_error::worker_unreachable()), WorkEnd::Lost);
        let quota = memory_quota_violation::out_of_memory_limit("256");
        assert_eq!(end(quota), WorkEnd::OverQuota);
        let broken = internal_error::model_package_invalid();
        assert_eq!(end(broken), WorkEnd::Fault);
        let data = bad_user_argument::input_parse_error("line 3");
        assert!(!end(data).is_transient());
    }

    #[test]
    fn parameters_are_scalars() {
        let given = |value| Map::from_iter([("p".to_owned(), value)]);
        let read = scalars(&given(json!("x"))).unwrap();
        assert_eq!(read, [("p".to_owned(), Scalar::String("x".to_owned()))]);
        let fault = scalars(&given(json!([1]))).unwrap_err();
        assert_eq!(fault.name(), "BadArgument.RequestBodyInvalid");
    }
}
