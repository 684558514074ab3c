//! A compiled graph and the state of its runs.

use super::args::{Arg, Args};
use super::pool::Pool;
use super::tensor::Value;
use super::{Context, Kernel, Missing, Stop};

/// Where an operator's input, or an output of the program, comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    /// An optional input that is not given.
    Absent,
    /// A value of this run.
    Slot(usize),
    /// A value known since compilation.
    Constant(usize),
}

/// One operator of a program.
pub(crate) struct Step {
    /// What runs.
    pub kernel: Box<dyn Kernel>,
    /// How messages name it: operator and node.
    pub label: String,
    /// Where the inputs are.
    pub inputs: Vec<Source>,
    /// For each input, whether this is the last use of its slot and the only one in this step: the
    /// operator may then have the buffer itself.
    pub dying: Vec<bool>,
    /// The slot of each output; `None` where nobody reads it.
    pub outputs: Vec<Option<usize>>,
    /// For each output, whether somebody reads it.
    pub wanted: Vec<bool>,
    /// Slots whose last use this step is and which are not among the dying inputs.
    pub drop_after: Vec<usize>,
}

/// A compiled graph.
pub(crate) struct Program {
    /// The operators in running order.
    pub steps: Vec<Step>,
    /// Initialisers and what follows from them alone.
    pub constants: Vec<Value>,
    /// How many slots a run needs. The inputs have the first ones, in order.
    pub slots: usize,
    /// The number of inputs.
    pub inputs: usize,
    /// Where the outputs are at the end.
    pub outputs: Vec<Source>,
}

/// What a run needs and the next run uses again: one per thread at a time.
#[derive(Default)]
pub(crate) struct Scratch {
    slots: Vec<Option<Value>>,
    given: Vec<Option<Value>>,
    /// The free buffers.
    pub pool: Pool,
}

/// Most operators have at most this many inputs; only wider ones cost an allocation a run.
const INLINE_ARGS: usize = 6;

/// A failed step.
#[derive(Debug)]
pub(crate) struct Failure {
    /// The step's label.
    pub step: String,
    /// Why.
    pub stop: Stop,
}

impl Program {
    /// Runs the program: `inputs` in order, the outputs are appended to `outputs` in order. The
    /// caller gives the outputs' buffers back to the scratch's pool when it is done with them.
    pub fn run(
        &self,
        inputs: impl ExactSizeIterator<Item = Value>,
        scratch: &mut Scratch,
        cancelled: &dyn Fn() -> bool,
        outputs: &mut Vec<Value>,
    ) -> Result<(), Failure> {
        let Scratch { slots, given, pool } = scratch;
        // A run that failed may have left values behind.
        for slot in slots.iter_mut() {
            if let Some(value) = slot.take() {
                pool.recycle(value);
            }
        }
        slots.resize_with(self.slots.max(slots.len()), || None);
        debug_assert_eq!(inputs.len(), self.inputs);
        for (slot, value) in slots.iter_mut().zip(inputs) {
            *slot = Some(value);
        }
        for step in &self.steps {
            if cancelled() {
                return Err(step.failure(Stop::Cancelled));
            }
            given.clear();
            step.run(slots, &self.constants, given, pool, cancelled)
                .map_err(|stop| step.failure(stop))?;
            for (i, slot) in step.outputs.iter().enumerate() {
                let value = given.get_mut(i).and_then(Option::take);
                match (slot, value) {
                    (Some(slot), Some(value)) => slots[*slot] = Some(value),
                    (Some(_), None) => {
                        return Err(step.failure(Stop::failed(format!("output {i} was not made"))));
                    }
                    (None, Some(value)) => pool.recycle(value),
                    (None, None) => {}
                }
            }
            for &slot in &step.drop_after {
                if let Some(value) = slots[slot].take() {
                    pool.recycle(value);
                }
            }
        }
        for (i, &output) in self.outputs.iter().enumerate() {
            let value = match output {
                Source::Slot(slot) if self.outputs[i + 1..].contains(&output) => {
                    slots[slot].clone()
                }
                Source::Slot(slot) => slots[slot].take(),
                Source::Constant(i) => Some(self.constants[i].clone()),
                Source::Absent => None,
            };
            outputs.push(value.ok_or_else(|| Failure {
                step: "graph".into(),
                stop: Stop::failed("an output was not made"),
            })?);
        }
        Ok(())
    }
}

impl Program {
    /// Whether missing values in input `i` are dealt with on every path to the outputs.
    pub fn handles_missing(&self, i: usize) -> bool {
        // The steps stand in running order, so one pass follows the values.
        let mut carries = vec![false; self.slots];
        carries[i] = true;
        for step in &self.steps {
            let reads = step
                .inputs
                .iter()
                .any(|s| matches!(s, Source::Slot(slot) if carries[*slot]));
            if !reads {
                continue;
            }
            match step.kernel.missing() {
                Missing::Handles => {}
                Missing::Spoils => return false,
                Missing::Passes => {
                    for slot in step.outputs.iter().flatten() {
                        carries[*slot] = true;
                    }
                }
            }
        }
        !self
            .outputs
            .iter()
            .any(|s| matches!(s, Source::Slot(slot) if carries[*slot]))
    }
}

impl Step {
    fn failure(&self, stop: Stop) -> Failure {
        Failure {
            step: self.label.clone(),
            stop,
        }
    }

    /// Runs the one operator.
    fn run(
        &self,
        slots: &mut [Option<Value>],
        constants: &[Value],
        outputs: &mut Vec<Option<Value>>,
        pool: &mut Pool,
        cancelled: &dyn Fn() -> bool,
    ) -> Result<(), Stop> {
        let mut inline: [Arg<'_>; INLINE_ARGS] = [const { Arg::Absent }; INLINE_ARGS];
        let mut spilled: Vec<Arg<'_>>;
        let items = if self.inputs.len() <= INLINE_ARGS {
            &mut inline[..self.inputs.len()]
        } else {
            spilled = Vec::with_capacity(self.inputs.len());
            spilled.resize_with(self.inputs.len(), || Arg::Absent);
            &mut spilled[..]
        };
        // Owned inputs first: they change the slots that the shared ones then borrow.
        for (i, &source) in self.inputs.iter().enumerate() {
            if let Source::Slot(slot) = source
                && self.dying[i]
                && let Some(value) = slots[slot].take()
            {
                items[i] = Arg::Owned(value);
            }
        }
        let slots = &*slots;
        for (i, &source) in self.inputs.iter().enumerate() {
            match source {
                Source::Slot(slot) if !self.dying[i] => {
                    if let Some(value) = &slots[slot] {
                        items[i] = Arg::Shared(value);
                    }
                }
                Source::Constant(constant) => items[i] = Arg::Shared(&constants[constant]),
                _ => {}
            }
        }
        let mut args = Args::new(items);
        let mut context = Context {
            pool,
            cancelled,
            wanted: &self.wanted,
            outputs,
        };
        let done = self.kernel.run(&mut args, &mut context);
        args.release(pool);
        done
    }
}

/// Runs one operator over constants, at compile time.
pub(crate) fn fold(
    kernel: &dyn Kernel,
    inputs: &[Option<&Value>],
) -> Result<Vec<Option<Value>>, Stop> {
    let mut items: Vec<Arg<'_>> = inputs
        .iter()
        .map(|v| v.map_or(Arg::Absent, Arg::Shared))
        .collect();
    let mut outputs = Vec::new();
    let mut pool = Pool::default();
    let mut context = Context {
        pool: &mut pool,
        cancelled: &|| false,
        wanted: &[true; 16],
        outputs: &mut outputs,
    };
    kernel.run(&mut Args::new(&mut items), &mut context)?;
    Ok(outputs)
}
