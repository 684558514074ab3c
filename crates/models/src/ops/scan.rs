//! `Scan`: a graph run once for each slice of its inputs, with state carried along. The exporter
//! of nearest-neighbour models computes distances with it.

use std::sync::Mutex;

use super::axis;
use super::layout::gathered;
use super::{Built, Reject};
use crate::engine::args::Args;
use crate::engine::pool::Pool;
use crate::engine::program::{Program, Scratch};
use crate::engine::tensor::{Data, Shape, Tensor, Value};
use crate::engine::{Context, Kernel, Stop};
use crate::onnx::compile::{self, Spec};

struct Scan {
    body: Program,
    /// The number of state variables.
    states: usize,
    /// The number of inputs that are taken slice by slice.
    scanned: usize,
    /// The number of outer values that the body reads.
    captures: usize,
    /// For each scanned input its axis and whether it is taken from the end.
    inputs: Vec<(i64, bool)>,
    /// For each output that is put together from slices: whether from the end.
    outputs: Vec<bool>,
    /// The body's buffers. A call that finds them in use takes new ones.
    scratch: Mutex<Scratch>,
}

/// Builds a `Scan` of version 9 or later.
pub(crate) fn make(spec: &mut Spec<'_>) -> Built {
    if spec.version < 9 {
        return Err(spec.lacks("the batch axis of version 8"));
    }
    let body = spec
        .attrs
        .graph("body")?
        .ok_or_else(|| Reject::malformed("the body is missing"))?;
    let scanned = spec
        .attrs
        .count("num_scan_inputs")?
        .ok_or_else(|| Reject::malformed("num_scan_inputs is missing"))?;
    let states = spec
        .given
        .len()
        .checked_sub(scanned)
        .ok_or_else(|| Reject::malformed("num_scan_inputs exceeds the inputs"))?;
    let stacked = spec
        .outputs
        .checked_sub(states)
        .ok_or_else(|| Reject::malformed("there are fewer outputs than states"))?;
    if scanned == 0 || body.input.len() != spec.given.len() || body.output.len() != spec.outputs {
        return Err(Reject::malformed("the body does not fit the node"));
    }
    let mut list = |name: &str, n: usize| -> Result<Vec<i64>, Reject> {
        let mut list = spec.attrs.ints(name)?;
        if list.is_empty() {
            list.resize(n, 0);
        }
        if list.len() != n {
            return Err(Reject::malformed(format!("{name} has the wrong length")));
        }
        Ok(list)
    };
    let axes = list("scan_input_axes", scanned)?;
    let directions = list("scan_input_directions", scanned)?;
    let out_axes = list("scan_output_axes", stacked)?;
    let out_directions = list("scan_output_directions", stacked)?;
    if out_axes.iter().any(|&a| a != 0) {
        return Err(spec.lacks("scan_output_axes other than 0"));
    }
    let names = |list: &[crate::onnx::proto::ValueInfoProto]| {
        list.iter().map(|v| v.name.clone()).collect::<Vec<_>>()
    };
    let (inputs, outputs) = (names(&body.input), names(&body.output));
    let body = compile::graph(body, spec.opsets, &inputs, &spec.captures, &outputs)?;
    Ok(Box::new(Scan {
        body,
        states,
        scanned,
        captures: spec.captures.len(),
        inputs: axes
            .into_iter()
            .zip(directions.into_iter().map(|d| d == 1))
            .collect(),
        outputs: out_directions.into_iter().map(|d| d == 1).collect(),
        scratch: Mutex::default(),
    }))
}

impl Kernel for Scan {
    fn run(&self, args: &mut Args<'_>, cx: &mut Context<'_>) -> Result<(), Stop> {
        let mut slices = Vec::with_capacity(self.scanned);
        for (i, &(given, backwards)) in self.inputs.iter().enumerate() {
            let x = args.tensor(self.states + i)?;
            slices.push((axis::axis(given, x.shape().rank())?, backwards));
        }
        let length = args.tensor(self.states)?.dims()[slices[0].0];
        for (i, &(at, _)) in slices.iter().enumerate() {
            if args.tensor(self.states + i)?.dims()[at] != length {
                return Err(Stop::failed("the scanned inputs differ in length"));
            }
        }
        let mut states = Vec::with_capacity(self.states);
        for i in 0..self.states {
            states.push(args.take_value(i, cx.pool)?);
        }
        let mut stacks: Vec<Stack> = self.outputs.iter().map(|&b| Stack::new(b)).collect();
        let mut own;
        let mut shared;
        let scratch = match self.scratch.try_lock() {
            Ok(guard) => {
                shared = guard;
                &mut *shared
            }
            Err(_) => {
                own = Scratch::default();
                &mut own
            }
        };
        let mut results = Vec::new();
        for step in 0..length {
            cx.check()?;
            let mut inputs = std::mem::take(&mut states);
            for (i, &(at, backwards)) in slices.iter().enumerate() {
                let x = args.tensor(self.states + i)?;
                let k = if backwards { length - 1 - step } else { step };
                inputs.push(slice(x, at, k, &mut scratch.pool, cx.cancelled)?.into());
            }
            for i in 0..self.captures {
                let outer = args.tensor(self.states + self.scanned + i)?;
                inputs.push(scratch.pool.duplicate(outer).into());
            }
            self.body
                .run(inputs.into_iter(), scratch, cx.cancelled, &mut results)
                .map_err(|failure| match failure.stop {
                    Stop::Failed(reason) => Stop::failed(format!("in {}: {reason}", failure.step)),
                    Stop::Cancelled => Stop::Cancelled,
                })?;
            let mut made = results.drain(..);
            states.extend(made.by_ref().take(self.states));
            for (stack, value) in stacks.iter_mut().zip(made) {
                let Value::Tensor(tensor) = value else {
                    return Err(Stop::failed("a slice is not a tensor"));
                };
                stack.push(&tensor)?;
                scratch.pool.recycle(tensor.into());
            }
        }
        for state in states {
            cx.give(state);
        }
        for stack in stacks {
            let stacked = stack.finish(length, cx)?;
            cx.give(stacked);
        }
        Ok(())
    }
}

/// The slice of `x` at place `k` of an axis, without that axis.
fn slice(
    x: &Tensor,
    at: usize,
    k: usize,
    pool: &mut Pool,
    cancelled: &dyn Fn() -> bool,
) -> Result<Tensor, Stop> {
    let mut dims = x.dims().to_vec();
    let size = dims.remove(at);
    let inner: usize = x.dims()[at + 1..].iter().product();
    let rows = x.shape().split_at(at).0;
    gathered(x, Shape::new(&dims)?, pool, cancelled, |place| {
        for row in 0..rows {
            place((row * size + k) * inner, 1, inner)?;
        }
        Ok(())
    })
}

/// Slices that become one tensor with a new first axis.
struct Stack {
    parts: Option<(Shape, Data)>,
    backwards: bool,
}

impl Stack {
    fn new(backwards: bool) -> Stack {
        Stack {
            parts: None,
            backwards,
        }
    }

    fn push(&mut self, part: &Tensor) -> Result<(), Stop> {
        let Some((shape, data)) = &mut self.parts else {
            self.parts = Some((*part.shape(), part.data().clone()));
            return Ok(());
        };
        if shape != part.shape() {
            return Err(Stop::failed("the slices differ in shape"));
        }
        match (data, part.data()) {
            (Data::F32(v), Data::F32(p)) => v.extend_from_slice(p),
            (Data::F64(v), Data::F64(p)) => v.extend_from_slice(p),
            (Data::I64(v), Data::I64(p)) => v.extend_from_slice(p),
            (Data::I32(v), Data::I32(p)) => v.extend_from_slice(p),
            (Data::Bool(v), Data::Bool(p)) => v.extend_from_slice(p),
            (Data::Str(v), Data::Str(p)) => p.iter().for_each(|s| v.push(s)),
            _ => return Err(Stop::failed("the slices differ in type")),
        }
        Ok(())
    }

    fn finish(self, length: usize, cx: &mut Context<'_>) -> Result<Tensor, Stop> {
        let Some((shape, data)) = self.parts else {
            // Nothing was scanned, so nothing tells the type of the slices.
            return Tensor::of(Shape::new(&[0])?, Vec::<f32>::new());
        };
        let mut dims = vec![length];
        dims.extend_from_slice(shape.dims());
        let stacked = Tensor::new(Shape::new(&dims)?, data)?;
        if !self.backwards {
            return Ok(stacked);
        }
        let each = shape.count();
        let shape = Shape::new(&dims)?;
        gathered(&stacked, shape, cx.pool, cx.cancelled, |place| {
            (0..length).rev().try_for_each(|k| place(k * each, 1, each))
        })
    }
}
