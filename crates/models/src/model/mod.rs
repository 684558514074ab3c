//! A loaded model: what it wants, what it gives, and its runs.

mod bind;
mod columns;
mod score;
pub(crate) mod signature;

use std::sync::{Mutex, PoisonError};

use faults::Fault;

pub use bind::{BindError, Binding};
pub use score::{ScoredColumn, Scores};
pub use signature::{ModelInput, ModelOutput, OutputKind, Task};

use crate::boosted::{Boosted, Compiled};
use crate::engine::program::{Program, Scratch};
use crate::engine::tensor::{Classes, Element};
use crate::format::Format;
use crate::onnx::compile::{self, Opsets};
use crate::onnx::{network, read};
use crate::reject::Reject;
use crate::{lightgbm, xgboost};
use signature::Signature;

/// A model, compiled and ready. It is shared between threads; each call takes its own buffers.
pub struct Model {
    program: Program,
    signature: Signature,
    /// The type of the one matrix that all inputs make together, where they do.
    together: Option<Element>,
    /// Whether the inputs' names are made up, so that a table's columns may go by their order.
    unnamed: bool,
    /// Buffers of calls that have ended.
    scratch: Mutex<Vec<Scratch>>,
}

/// How many sets of buffers wait for their next call; more calls at once make their own.
const KEEP_SCRATCH: usize = 64;

impl Model {
    /// Reads a file of any [`Format`]. A broken file is `ModelPackageFormatError` (what is broken
    /// stands in the private cause); what the model needs and the engine lacks, such as an
    /// operator or an objective, is `WebServicePackageError.RuntimesError`, which names it.
    pub fn load(bytes: &[u8]) -> Result<Model, Fault> {
        let format = Format::of(bytes);
        let read = match format {
            Format::Onnx => Model::onnx(bytes),
            Format::LightGbm => lightgbm::read(bytes).and_then(Model::boosted),
            Format::XgboostJson => xgboost::read_json(bytes).and_then(Model::boosted),
            Format::XgboostUbj => xgboost::read_ubj(bytes).and_then(Model::boosted),
        };
        read.map_err(|reject| reject.into_fault(format))
    }

    fn boosted(boosted: Boosted) -> Result<Model, Reject> {
        let Compiled {
            program,
            signature,
            element,
            unnamed,
        } = boosted.compile()?;
        Ok(Model {
            program,
            signature,
            together: Some(element),
            unnamed,
            scratch: Mutex::default(),
        })
    }

    fn onnx(bytes: &[u8]) -> Result<Model, Reject> {
        let proto = read::model(bytes)?;
        let graph = proto
            .graph
            .ok_or_else(|| Reject::malformed("there is no graph"))?;
        let opsets = Opsets::read(&proto.opset_import)?;
        let mut signature = Signature::read(&graph)?;
        let inputs: Vec<String> = signature.inputs.iter().map(|i| i.name.clone()).collect();
        let outputs: Vec<String> = signature.outputs.iter().map(|o| o.name.clone()).collect();
        // What our engine lacks, another may have that knows neural networks.
        let network = network::Fit::of(&graph, &signature);
        let program = match compile::graph(graph, opsets, &inputs, &[], &outputs) {
            Err(Reject::Unsupported(what)) => match network {
                Some(fit) => network::program(bytes, &signature, fit).map_err(|why| {
                    Reject::Unsupported(format!("{what}; of its engine for networks: {why}"))
                })?,
                None => return Err(Reject::Unsupported(what)),
            },
            compiled => compiled?,
        };
        for (i, input) in signature.inputs.iter_mut().enumerate() {
            input.handles_missing = program.handles_missing(i);
        }
        Ok(Model {
            program,
            signature,
            together: None,
            unnamed: false,
            scratch: Mutex::default(),
        })
    }

    /// The inputs in the model's order.
    pub fn inputs(&self) -> &[ModelInput] {
        &self.signature.inputs
    }

    /// The outputs in the model's order.
    pub fn outputs(&self) -> &[ModelOutput] {
        &self.signature.outputs
    }

    /// What the model does, as far as its graph tells.
    pub fn task(&self) -> Task {
        self.signature.task
    }

    /// The classes of a classifier in the order of its probabilities; empty for other models.
    pub fn classes(&self) -> &Classes {
        &self.signature.classes
    }

    /// Buffers for one call.
    fn scratch(&self) -> Scratch {
        let mut free = self.scratch.lock().unwrap_or_else(PoisonError::into_inner);
        free.pop().unwrap_or_default()
    }

    /// Keeps the buffers of a call that has ended.
    fn keep(&self, scratch: Scratch) {
        let mut free = self.scratch.lock().unwrap_or_else(PoisonError::into_inner);
        if free.len() < KEEP_SCRATCH {
            free.push(scratch);
        }
    }
}

impl std::fmt::Debug for Model {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Model")
            .field("inputs", &self.signature.inputs)
            .field("outputs", &self.signature.outputs)
            .field("task", &self.signature.task)
            .finish_non_exhaustive()
    }
}
