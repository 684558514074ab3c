//! The engine: tensors, and programs of operators that run over them.
//!
//! A model's graph is compiled once ([`crate::onnx`]) into a [`program::Program`]: operators in an
//! order in which every input is ready, with what is constant computed beforehand. A run keeps
//! values in the slots of a [`program::Scratch`], drops each after its last use and takes new
//! buffers from a pool, so that a warm call allocates next to nothing.

pub(crate) mod args;
pub(crate) mod pool;
pub(crate) mod program;
pub(crate) mod tensor;

use args::Args;
use pool::Pool;
use tensor::Value;

/// Why a run ended early.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Stop {
    /// The caller no longer wants the result.
    Cancelled,
    /// The data does not fit the model: shapes, types or values that an operator refuses.
    Failed(Box<str>),
}

impl Stop {
    /// A failure with its reason.
    pub fn failed(reason: impl Into<String>) -> Stop {
        Stop::Failed(reason.into().into_boxed_str())
    }
}

/// One operator with its attributes, ready to run.
pub(crate) trait Kernel: Send + Sync {
    /// Computes the outputs from the inputs and hands them to [`Context::give`] in order.
    fn run(&self, args: &mut Args<'_>, cx: &mut Context<'_>) -> Result<(), Stop>;

    /// What the operator does with missing values (NaN, `""`) in its inputs.
    fn missing(&self) -> Missing {
        Missing::Spoils
    }
}

/// What an operator does with missing values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Missing {
    /// It deals with them: fills them, tells them apart, or was trained with them.
    Handles,
    /// It hands them on as they are.
    Passes,
    /// They make its result missing or meaningless.
    Spoils,
}

/// What an operator needs besides its inputs.
pub(crate) struct Context<'a> {
    /// Where buffers come from.
    pub pool: &'a mut Pool,
    /// Says whether the caller gave up.
    pub cancelled: &'a (dyn Fn() -> bool + 'a),
    /// Which outputs somebody reads; trailing ones that nobody reads may be left out.
    pub wanted: &'a [bool],
    pub(crate) outputs: &'a mut Vec<Option<Value>>,
}

impl Context<'_> {
    /// Hands over the next output.
    pub fn give(&mut self, value: impl Into<Value>) {
        self.outputs.push(Some(value.into()));
    }

    /// Whether somebody reads output `i`.
    pub fn wants(&self, i: usize) -> bool {
        self.wanted.get(i).copied().unwrap_or(false)
    }

    /// Ends the run if the caller gave up; long kernels ask between blocks of rows.
    pub fn check(&self) -> Result<(), Stop> {
        if (self.cancelled)() {
            Err(Stop::Cancelled)
        } else {
            Ok(())
        }
    }
}

impl From<tensor::Tensor> for Value {
    fn from(tensor: tensor::Tensor) -> Value {
        Value::Tensor(tensor)
    }
}

impl From<tensor::Maps> for Value {
    fn from(maps: tensor::Maps) -> Value {
        Value::Maps(maps)
    }
}
