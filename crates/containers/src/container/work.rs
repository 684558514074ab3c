//! A piece of a batch job: records in, blocks of rows through the plan, parts of outputs out.

use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::sync::Arc;

use faults::{Class, Fault, internal_error, request_timeout};
use graph::{Parameters, Plan};
use tables::files::{
    BadRows, Block, Compression, Format, ParquetReader, RecordReader, Reject, SourceText,
    TableWriter, UnpackLimits, Unpacker, unreadable,
};
use tables::{Limits, Schema, Table};

use super::engine::{Progress, Request};
use super::work_files::{Input, Placed, Reading, Sink};
use crate::batch::{
    Answer, OutputFacts, OutputKind, Piece, Work, WorkDone, WorkEnd, WorkInput, scalars, told,
};

/// Cells of a block's input at most: so many doubles stay in a processor's cache from the reader
/// to the writer.
const BLOCK_CELLS: usize = 64 * 1024;
/// The fewest and the most rows of a block.
const BLOCK_ROWS: (usize, usize) = (256, 8192);

/// Why work ended before its end.
enum Stop {
    /// A fault of the data, the parameters or the plan.
    Fault(Fault),
    /// A file failed.
    File(WorkEnd, io::Error),
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Stop {
        Stop::Fault(fault)
    }
}

/// Does the work of a request, whose answer is [`Answer`].
pub(super) fn run(
    plan: &Plan,
    limits: &Limits,
    request: Request<'_>,
    cancelled: &(dyn Fn() -> bool + Sync),
    reply: &mut Vec<u8>,
) -> Result<(), Fault> {
    let work: Work = serde_json::from_slice(request.body).map_err(|e| unfit(&e))?;
    let parameters = plan.parameters(&scalars(&work.parameters)?)?;
    let mut piece = PieceOfWork::new(plan, limits, &work, request, parameters, cancelled)?;
    let ran = match work.whole {
        true => piece.whole(),
        false => piece.in_blocks(),
    };
    let answer = match ran.and_then(|()| piece.finish()) {
        Ok(done) => Answer::Done(done),
        Err(_) if cancelled() => return Err(request_timeout::request_canceled()),
        Err(Stop::Fault(fault)) => return Err(fault),
        Err(Stop::File(end, error)) => Answer::Failed(end, error.to_string()),
    };
    serde_json::to_writer(reply, &answer).map_err(|e| {
        Fault::bare(Class::InternalError)
            .caused_by(&e)
            .because("the answer of batch work")
    })
}

/// Answers what a batch job must know of the plan.
pub(super) fn describe(plan: &Plan, reply: &mut Vec<u8>) -> Result<(), Fault> {
    let inputs = plan.ports().iter();
    let inputs = inputs.map(|port| (port.name.as_str(), &*port.schema));
    let outputs = plan.outputs().iter().map(|port| OutputFacts {
        name: port.name.clone(),
        kind: OutputKind::Table,
    });
    let facts = told::Facts::of(plan.row_wise(), inputs, outputs.collect());
    serde_json::to_writer(reply, &facts).map_err(|e| {
        Fault::bare(Class::InternalError)
            .caused_by(&e)
            .because("the description of a plan")
    })
}

/// The fault of work that does not fit the plan or its descriptors: its maker is to blame.
fn unfit(what: &dyn std::fmt::Display) -> Fault {
    internal_error::backend_argument_error().because(format!("batch work: {what}"))
}

struct PieceOfWork<'a> {
    plan: &'a Plan,
    limits: &'a Limits,
    work: &'a Work,
    parameters: Parameters,
    cancelled: &'a (dyn Fn() -> bool + Sync),
    progress: Progress<'a>,
    /// In the order of the work.
    inputs: Vec<WorkFile<'a>>,
    /// By input of the plan, its position in the work.
    by_port: Vec<usize>,
    outputs: Vec<Output<'a>>,
    rejects: Option<Sink<'a>>,
    done: WorkDone,
}

/// An input, whose pieces are taken when it is read.
struct WorkFile<'a> {
    input: &'a WorkInput,
    pieces: Vec<(Piece, OwnedFd)>,
    reading: Arc<Reading>,
}

/// The records of an input.
enum Records<'a> {
    Stream(Box<RecordReader>, Box<dyn Read + 'a>),
    /// Read where they lie, column by column.
    Parquet(Box<ParquetReader>),
}

impl Records<'_> {
    fn block(&mut self, rows: usize) -> Result<Option<Block>, Fault> {
        match self {
            Records::Stream(reader, input) => reader.read_block(input, rows),
            Records::Parquet(reader) => reader.read_block(rows),
        }
    }
}

struct Output<'a> {
    /// Its position in the plan.
    port: usize,
    writer: TableWriter,
    sink: Sink<'a>,
}

impl<'a> PieceOfWork<'a> {
    fn new(
        plan: &'a Plan,
        limits: &'a Limits,
        work: &'a Work,
        request: Request<'a>,
        parameters: Parameters,
        cancelled: &'a (dyn Fn() -> bool + Sync),
    ) -> Result<PieceOfWork<'a>, Fault> {
        let wanted = work
            .inputs
            .iter()
            .map(|input| input.pieces.len())
            .sum::<usize>()
            + work.outputs.len()
            + usize::from(work.rejects);
        if wanted != request.descriptors.len() {
            let came = request.descriptors.len();
            return Err(unfit(&format!(
                "{came} descriptors came for {wanted} files"
            )));
        }
        let mut descriptors = request.descriptors.into_iter();
        let mut next = || {
            descriptors
                .next()
                .ok_or_else(|| unfit(&"no descriptor is left"))
        };
        let mut inputs = Vec::new();
        for input in &work.inputs {
            let pieces = input.pieces.iter();
            let pieces = pieces.map(|piece| Ok((*piece, next()?)));
            let pieces = pieces.collect::<Result<Vec<_>, Fault>>()?;
            inputs.push(WorkFile {
                input,
                pieces,
                reading: Arc::default(),
            });
        }
        let position = |name: &str| work.inputs.iter().position(|input| input.port == name);
        let ports = plan.ports().iter().map(|port| position(&port.name));
        let by_port = ports.collect::<Option<Vec<_>>>();
        let by_port = by_port.filter(|found| found.len() == work.inputs.len());
        let by_port = by_port.ok_or_else(|| unfit(&"its inputs are not the plan's"))?;
        let mut outputs = Vec::new();
        for output in &work.outputs {
            let mut ports = plan.outputs().iter();
            let port = ports.position(|port| port.name == output.name);
            outputs.push(Output {
                port: port.ok_or_else(|| unfit(&"an output is not the plan's"))?,
                writer: TableWriter::new(output.file, output.head),
                sink: Sink::new(next()?, cancelled),
            });
        }
        let rejects = match work.rejects {
            true => Some(Sink::new(next()?, cancelled)),
            false => None,
        };
        let mut piece = PieceOfWork {
            plan,
            limits,
            work,
            parameters,
            cancelled,
            progress: request.progress,
            inputs,
            by_port,
            outputs,
            rejects,
            done: WorkDone::default(),
        };
        if let (Some(sink), true) = (&mut piece.rejects, work.rejects_head) {
            sink.buffer.extend_from_slice(Reject::HEAD);
        }
        Ok(piece)
    }

    /// The records of an input, from its first on.
    fn records(
        &mut self,
        input: usize,
        schema: &Arc<Schema>,
        keep_source: bool,
    ) -> Result<Records<'a>, Stop> {
        let file = &mut self.inputs[input];
        let (told, reading) = (file.input, file.reading.clone());
        let mut pieces = std::mem::take(&mut file.pieces);
        let bad_rows = match self.work.rejects {
            true => BadRows::Reject,
            false => BadRows::Fail,
        };
        let format = told.file.format;
        if format == Format::Parquet && told.file.compression == Compression::None {
            match Placed::new(pieces, &reading) {
                Ok(placed) => {
                    let reader =
                        ParquetReader::new(Arc::new(placed), schema, self.limits, bad_rows);
                    let reader = reader.map_err(|fault| self.failed(input, fault))?;
                    return Ok(Records::Parquet(Box::new(reader)));
                }
                Err(with_pipe) => pieces = with_pipe,
            }
        }
        let (names, line) = (&told.names, told.first_line);
        let reader = RecordReader::new(format, schema, names, line, self.limits, bad_rows)?;
        let reader = match keep_source {
            true => reader,
            false => reader.without_source(),
        };
        let bytes = Input::new(pieces, &reading, self.cancelled);
        let bytes: Box<dyn Read + 'a> = match told.file.compression {
            Compression::None => Box::new(bytes),
            packed => {
                let unpacked = Unpacker::new(bytes, packed, UnpackLimits::default());
                Box::new(unpacked.map_err(|error| unreadable(&error))?)
            }
        };
        Ok(Records::Stream(Box::new(reader), bytes))
    }

    /// The next block of an input.
    fn block(
        &self,
        records: &mut Records<'_>,
        input: usize,
        rows: usize,
    ) -> Result<Option<Block>, Stop> {
        let read = records.block(rows);
        read.map_err(|fault| self.failed(input, fault))
    }

    /// Tells a file that cannot be read from one that holds what is no row.
    fn failed(&self, input: usize, fault: Fault) -> Stop {
        match self.inputs[input].reading.take_error() {
            Some(error) => Stop::File(WorkEnd::Input(input), error),
            None => Stop::Fault(fault),
        }
    }

    /// Sets a block's bad records aside.
    fn reject(&mut self, block: &Block) -> Result<(), Stop> {
        if block.rejects.is_empty() {
            return Ok(());
        }
        let at = self.outputs.len();
        let Some(sink) = &mut self.rejects else {
            return Ok(());
        };
        for reject in &block.rejects {
            reject.write(&mut sink.buffer);
        }
        self.done.rejected += block.rejects.len() as u64;
        sink.write_out()
            .map_err(|error| Stop::File(WorkEnd::Output(at), error))
    }

    fn check(&self) -> Result<(), Fault> {
        match (self.cancelled)() {
            true => Err(request_timeout::request_canceled()),
            false => Ok(()),
        }
    }

    fn tell(&self) {
        let bytes = self.inputs.iter().map(|file| file.reading.taken()).sum();
        self.progress
            .set(self.done.rows + self.done.rejected, bytes);
    }

    /// Block after block of the one input, in bounded memory.
    fn in_blocks(&mut self) -> Result<(), Stop> {
        if !self.plan.row_wise() || self.inputs.len() != 1 {
            return Err(unfit(&"the plan needs whole tables").into());
        }
        let schema = self.plan.ports()[0].schema.clone();
        let mut records = self.records(0, &schema, true)?;
        let (least, most) = BLOCK_ROWS;
        let rows = (BLOCK_CELLS / schema.len().max(1)).clamp(least, most);
        let mut none_yet = true;
        while let Some(block) = self.block(&mut records, 0, rows)? {
            self.check()?;
            self.reject(&block)?;
            if block.table.rows() > 0 {
                none_yet = false;
                self.done.rows += block.table.rows() as u64;
                // Where rows may go, which text belongs to which row would depend on the block.
                let source = self.plan.keeps_rows().then_some(&block.source);
                self.score(vec![block.table.clone()], source)?;
            }
            self.tell();
        }
        if none_yet && self.work.outputs.iter().any(|output| output.head) {
            // The names of the columns come of a run too.
            self.score(vec![Table::empty(schema)], None)?;
        }
        Ok(())
    }

    /// All inputs whole, at once.
    fn whole(&mut self) -> Result<(), Stop> {
        let mut tables = Vec::new();
        for port in 0..self.by_port.len() {
            let input = self.by_port[port];
            let schema = self.plan.ports()[port].schema.clone();
            let mut records = self.records(input, &schema, false)?;
            let mut table = Table::empty(schema);
            while let Some(block) = self.block(&mut records, input, usize::MAX)? {
                self.reject(&block)?;
                table = match table.rows() {
                    0 => block.table.clone(),
                    // Parquet comes by groups of rows.
                    _ => table.append(&block.table).ok_or_else(|| {
                        Fault::bare(Class::InternalError)
                            .because("an input whose texts do not fit into one table")
                    })?,
                };
                self.check()?;
            }
            if port == 0 {
                self.done.rows = table.rows() as u64;
            }
            tables.push(table);
            self.check()?;
            self.tell();
        }
        self.score(tables, None)
    }

    /// Runs the plan over rows and writes what comes out.
    fn score(&mut self, tables: Vec<Table>, source: Option<&SourceText>) -> Result<(), Stop> {
        let tables = self.plan.run(tables, &self.parameters, self.cancelled)?;
        for (at, output) in self.outputs.iter_mut().enumerate() {
            let Some(table) = tables.get(output.port) else {
                return Err(unfit(&"the plan gave no such output").into());
            };
            output
                .writer
                .write(table, source, &mut output.sink.buffer)?;
            let written = output.sink.write_out();
            written.map_err(|error| Stop::File(WorkEnd::Output(at), error))?;
        }
        Ok(())
    }

    /// Writes what is left.
    fn finish(&mut self) -> Result<WorkDone, Stop> {
        for (at, output) in self.outputs.iter_mut().enumerate() {
            output.writer.finish(&mut output.sink.buffer)?;
            let written = output.sink.finish();
            let written = written.map_err(|error| Stop::File(WorkEnd::Output(at), error))?;
            self.done.written.push(written);
        }
        if let Some(sink) = &mut self.rejects {
            let end = WorkEnd::Output(self.outputs.len());
            let written = sink.finish().map_err(|error| Stop::File(end, error))?;
            self.done.rejects_written = written;
        }
        self.tell();
        Ok(std::mem::take(&mut self.done))
    }
}
