//! A lane whose work is done in this process.

use std::collections::HashMap;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use containers::batch::{
    BatchCall, InputFacts, OutputFacts, OutputKind, Piece, PlanFacts, Work, WorkDone, WorkEnd,
    WorkFailed, WorkInput,
};
use faults::{Class, Fault};
use jobs::{Doing, Lane, Service};
use tables::files::{BadRows, RecordReader, TableWriter};
use tables::{DataType, Field, Limits, Schema, Table};
use tokio::sync::Semaphore;

/// What happens to a piece of work, given by its first line and how often that line was begun.
type Meets = dyn Fn(u64, usize) -> Option<WorkFailed> + Send + Sync;

/// Does work: gives rows back as they are.
pub struct Desk {
    pub facts: Mutex<PlanFacts>,
    /// What a piece meets before anything is done.
    meets: Mutex<Arc<Meets>>,
    begun: Mutex<HashMap<u64, usize>>,
    /// The pieces that may go on; all by default.
    pub gate: Semaphore,
    /// Pieces under way now, and the most there ever were.
    pub under_way: Arc<AtomicUsize>,
    pub most: AtomicUsize,
    /// Labels of the services in the order in which their pieces began.
    pub order: Mutex<Vec<String>>,
}

impl Default for Desk {
    fn default() -> Self {
        Desk {
            facts: Mutex::new(facts(&["input1"], &["output1"], true)),
            meets: Mutex::new(Arc::new(|_, _| None)),
            begun: Mutex::default(),
            gate: Semaphore::new(Semaphore::MAX_PERMITS),
            under_way: Arc::default(),
            most: AtomicUsize::new(0),
            order: Mutex::default(),
        }
    }
}

pub fn facts(inputs: &[&str], outputs: &[&str], row_wise: bool) -> PlanFacts {
    let schema = Arc::new(
        Schema::new(vec![
            Field::new("a", DataType::Int32),
            Field::new("b", DataType::String).nullable(),
        ])
        .unwrap(),
    );
    PlanFacts {
        row_wise,
        inputs: inputs
            .iter()
            .map(|name| InputFacts {
                name: (*name).to_owned(),
                schema: schema.clone(),
            })
            .collect(),
        outputs: outputs
            .iter()
            .map(|name| OutputFacts {
                name: (*name).to_owned(),
                kind: OutputKind::Table,
            })
            .collect(),
    }
}

/// The work was lost with its container.
pub fn lost() -> WorkFailed {
    WorkFailed {
        end: WorkEnd::Lost,
        fault: faults::internal_error::worker_unreachable(),
    }
}

struct UnderWay(Arc<AtomicUsize>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Desk {
    /// Lets pieces meet this from now on.
    pub fn meet(&self, meets: impl Fn(u64, usize) -> Option<WorkFailed> + Send + Sync + 'static) {
        *self.meets.lock().unwrap() = Arc::new(meets);
    }

    /// Lets no piece go on.
    pub fn close(&self) {
        self.gate.forget_permits(Semaphore::MAX_PERMITS);
    }
}

impl Lane for Desk {
    fn describe<'a>(&'a self, _: &'a Service) -> Doing<'a, PlanFacts, Fault> {
        Box::pin(async move { Ok(self.facts.lock().unwrap().clone()) })
    }

    fn run<'a>(&'a self, service: &'a Service, call: BatchCall) -> Doing<'a, WorkDone, WorkFailed> {
        Box::pin(async move {
            let line = call.work.inputs.first().map_or(0, |input| input.first_line);
            let begun = {
                let mut begun = self.begun.lock().unwrap();
                let count = begun.entry(line).or_insert(0);
                *count += 1;
                *count
            };
            self.order.lock().unwrap().push(service.label.clone());
            let count = self.under_way.fetch_add(1, Ordering::SeqCst) + 1;
            let _under_way = UnderWay(self.under_way.clone());
            self.most.fetch_max(count, Ordering::SeqCst);
            self.gate.acquire().await.unwrap().forget();
            let meets = self.meets.lock().unwrap().clone();
            if let Some(failed) = meets(line, begun) {
                return Err(failed);
            }
            let done = tokio::task::spawn_blocking(move || work(call.work, call.descriptors));
            done.await.unwrap()
        })
    }
}

/// A range of a file, or a pipe.
enum Bytes {
    File(File, u64, u64),
    Pipe(File),
}

struct Chain(Vec<Bytes>);

impl Read for Chain {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        while let Some(first) = self.0.first_mut() {
            let read = match first {
                Bytes::File(file, offset, left) => {
                    let most = out.len().min(usize::try_from(*left).unwrap());
                    let read = file.read_at(&mut out[..most], *offset)?;
                    *offset += read as u64;
                    *left -= read as u64;
                    read
                }
                Bytes::Pipe(file) => file.read(out)?,
            };
            if read > 0 {
                return Ok(read);
            }
            self.0.remove(0);
        }
        Ok(0)
    }
}

fn work(work: Work, descriptors: Vec<OwnedFd>) -> Result<WorkDone, WorkFailed> {
    let fault = |fault: Fault| WorkFailed {
        end: WorkEnd::Fault,
        fault,
    };
    let mut descriptors = descriptors.into_iter().map(File::from);
    let mut inputs = Vec::new();
    for input in &work.inputs {
        let pieces = input.pieces.iter().map(|piece| {
            let file = descriptors.next().unwrap();
            match piece {
                Piece::File { offset, len } => Bytes::File(file, *offset, *len),
                Piece::Pipe => Bytes::Pipe(file),
            }
        });
        inputs.push((input.clone(), Chain(pieces.collect())));
    }
    let mut outputs: Vec<File> = work
        .outputs
        .iter()
        .map(|_| descriptors.next().unwrap())
        .collect();
    let mut rejects = work.rejects.then(|| descriptors.next().unwrap());
    assert!(descriptors.next().is_none());
    let mut done = WorkDone {
        written: vec![0; outputs.len()],
        ..WorkDone::default()
    };
    let mut set_aside = Vec::new();
    if work.rejects && work.rejects_head {
        set_aside.extend_from_slice(b"line,reason,record\n");
    }
    let mut tables = Vec::new();
    for (input, bytes) in &mut inputs {
        tables.push(read(input, bytes, &work, &mut done, &mut set_aside).map_err(fault)?);
    }
    for (i, (output, file)) in work.outputs.iter().zip(&mut outputs).enumerate() {
        let mut writer = TableWriter::new(output.file, output.head);
        let mut out = Vec::new();
        let table = &tables[i.min(tables.len() - 1)];
        writer.write(table, None, &mut out).map_err(fault)?;
        writer.finish(&mut out).map_err(fault)?;
        done.written[i] = out.len() as u64;
        file.write_all(&out).map_err(|e| WorkFailed {
            end: WorkEnd::Output(i),
            fault: Fault::bare(Class::InternalError).caused_by(&e),
        })?;
    }
    if let Some(file) = &mut rejects {
        file.write_all(&set_aside).unwrap();
        done.rejects_written = set_aside.len() as u64;
    }
    Ok(done)
}

fn read(
    input: &WorkInput,
    bytes: &mut Chain,
    work: &Work,
    done: &mut WorkDone,
    set_aside: &mut Vec<u8>,
) -> Result<Table, Fault> {
    let schema = facts(&["x"], &[], true).inputs[0].schema.clone();
    let bad_rows = match work.rejects {
        true => BadRows::Reject,
        false => BadRows::Fail,
    };
    let limits = Limits::default();
    let mut reader = RecordReader::new(
        input.file.format,
        &schema,
        &input.names,
        input.first_line,
        &limits,
        bad_rows,
    )?;
    match reader.read_block(bytes, usize::MAX)? {
        Some(block) => {
            done.rows = block.table.rows() as u64;
            done.rejected += block.rejects.len() as u64;
            for reject in &block.rejects {
                let line = format!("{},{:?},", reject.line, reject.reason);
                set_aside.extend_from_slice(line.as_bytes());
                set_aside.extend_from_slice(&reject.record);
                set_aside.push(b'\n');
            }
            Ok(block.table)
        }
        None => Ok(Table::empty(schema)),
    }
}
