//! Graphs with operators of neural networks that our own engine lacks (convolutions, pooling,
//! recurrent layers): they run whole in `rten`, as the one step of a program.
//!
//! It computes in single precision and in 32-bit whole numbers, so a graph that holds text,
//! doubles or operators of `ai.onnx.ml` is not given to it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use prost::Message;
use rten::{NodeId, RunOptions, ThreadPool, ValueOrView};
use rten_tensor::{Layout, Tensor as Matrix};

use super::proto::{AttributeProto, GraphProto, ModelProto, NodeProto};
use super::read::data_type::DOUBLE;
use crate::engine::args::Args;
use crate::engine::program::{Program, Source, Step};
use crate::engine::tensor::{Data, Element, Shape, Tensor};
use crate::engine::{Context, Kernel, Stop};
use crate::model::signature::{InputForm, Signature};

/// That a graph is of the kind which this engine computes as the file means it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fit {
    /// Whether the file has one row, and the graph may count on it: rows go one by one.
    one_row: bool,
}

impl Fit {
    /// Looks at a graph.
    pub fn of(graph: &GraphProto, signature: &Signature) -> Option<Fit> {
        let single = |element: Element| {
            matches!(
                element,
                Element::F32 | Element::I64 | Element::I32 | Element::Bool
            )
        };
        let fits = signature
            .inputs
            .iter()
            .all(|i| single(i.element) && !i.is_map())
            && signature
                .outputs
                .iter()
                .all(|o| single(o.element) && !o.maps)
            && graph.initializer.iter().all(|t| t.data_type != DOUBLE)
            && graph.node.iter().all(is_single);
        let one_row = graph.input.iter().any(|value| {
            let tensor = value.r#type.as_ref().and_then(|t| t.tensor_type.as_ref());
            let first = tensor.and_then(|t| t.shape.as_ref()?.dim.first()?.dim_value);
            first.is_some_and(|rows| rows > 0)
        });
        fits.then_some(Fit { one_row })
    }
}

/// Whether a node is of the main domain and makes no doubles.
fn is_single(node: &NodeProto) -> bool {
    let makes_doubles = |a: &AttributeProto| {
        (node.op_type == "Cast" && a.name == "to" && a.i == Some(i64::from(DOUBLE)))
            || a.t.as_ref().is_some_and(|t| t.data_type == DOUBLE)
    };
    matches!(node.domain.as_str(), "" | "ai.onnx") && !node.attribute.iter().any(makes_doubles)
}

/// `AttributeProto.AttributeType` of a list of whole numbers.
const INTS: i32 = 7;

struct Network {
    model: rten::Model,
    threads: Arc<ThreadPool>,
    inputs: Vec<NodeId>,
    outputs: Vec<(NodeId, Element)>,
    /// Whether the file has one row, and the graph may count on it: rows go one by one.
    one_row: bool,
}

/// The program of a graph that [`Fit`]s. `bytes` is the whole file.
///
/// # Errors
/// What this engine lacks too, or says against the file.
pub(crate) fn program(
    bytes: &[u8],
    signature: &Signature,
    Fit { one_row }: Fit,
) -> Result<Program, String> {
    let bytes = explicit(bytes)?;
    let loaded = catch_unwind(|| rten::Model::load(bytes));
    let model = loaded.map_err(|_| "it stopped at the file".to_owned())?;
    let model = model.map_err(|e| e.to_string())?;
    let id = |name: &str| model.node_id(name).map_err(|e| e.to_string());
    let inputs: Vec<NodeId> = signature
        .inputs
        .iter()
        .map(|input| id(&input.name))
        .collect::<Result<_, _>>()?;
    let outputs = signature
        .outputs
        .iter()
        .map(|output| Ok((id(&output.name)?, output.element)))
        .collect::<Result<Vec<_>, String>>()?;
    let threads = std::thread::available_parallelism().map_or(1, |n| n.get().min(16));
    let (given, made) = (inputs.len(), outputs.len());
    let network = Network {
        model,
        threads: Arc::new(ThreadPool::with_num_threads(threads)),
        inputs,
        outputs,
        one_row,
    };
    network.try_out(signature)?;
    Ok(Program {
        steps: vec![Step {
            kernel: Box::new(network),
            label: "the network".to_owned(),
            inputs: (0..given).map(Source::Slot).collect(),
            dying: vec![true; given],
            outputs: (given..given + made).map(Some).collect(),
            wanted: vec![true; made],
            drop_after: Vec::new(),
        }],
        constants: Vec::new(),
        slots: given + made,
        inputs: given,
        outputs: (given..given + made).map(Source::Slot).collect(),
    })
}

/// The file with what may be left out written out, where `rten` wants it: the extent of a
/// convolution, which its weights tell, and strides of 1 of a pooling.
fn explicit(bytes: &[u8]) -> Result<Vec<u8>, String> {
    let mut file = ModelProto::decode(bytes).map_err(|e| e.to_string())?;
    let Some(GraphProto {
        node, initializer, ..
    }) = &mut file.graph
    else {
        return Err("there is no graph".to_owned());
    };
    let mut changed = false;
    for node in node {
        let own = |name: &str| node.attribute.iter().find(|a| a.name == name);
        let missing = match node.op_type.as_str() {
            "Conv" | "ConvTranspose" if own("kernel_shape").is_none() => {
                let weights = node.input.get(1);
                let weights = initializer.iter().find(|t| Some(&t.name) == weights);
                weights.map(|t| ("kernel_shape", t.dims.iter().skip(2).copied().collect()))
            }
            "MaxPool" | "AveragePool" if own("strides").is_none() => {
                own("kernel_shape").map(|kernel| ("strides", vec![1; kernel.ints.len()]))
            }
            _ => None,
        };
        if let Some((name, ints)) = missing {
            node.attribute.push(AttributeProto {
                name: name.to_owned(),
                r#type: INTS,
                ints,
                ..AttributeProto::default()
            });
            changed = true;
        }
    }
    Ok(match changed {
        true => file.encode_to_vec(),
        false => bytes.to_vec(),
    })
}

impl Network {
    /// Runs one row of zeros, so that what this engine lacks is told when the model is loaded.
    fn try_out(&self, signature: &Signature) -> Result<(), String> {
        let zeros = signature.inputs.iter().map(|input| {
            let mut dims = vec![1];
            match &input.form {
                InputForm::Vector | InputForm::Map => {}
                InputForm::Matrix => dims.push(input.width.unwrap_or(1)),
                InputForm::Deep(inner) => dims.extend(inner),
            }
            let shape = Shape::new(&dims)?;
            let data = match input.element {
                Element::I64 => Data::I64(vec![0; shape.count()]),
                Element::I32 => Data::I32(vec![0; shape.count()]),
                Element::Bool => Data::Bool(vec![false; shape.count()]),
                _ => Data::F32(vec![0.0; shape.count()]),
            };
            Tensor::new(shape, data)
        });
        let zeros = zeros.collect::<Result<Vec<_>, Stop>>();
        let zeros = zeros.map_err(|_| "its inputs are too large".to_owned())?;
        // Of an input whose width is open nothing can be tried.
        if signature.inputs.iter().any(|input| input.width.is_none()) {
            return Ok(());
        }
        match self.run_rows(&zeros.iter().collect::<Vec<_>>(), 0, 1) {
            Ok(_) => Ok(()),
            Err(Stop::Failed(why)) => Err(why.into()),
            Err(Stop::Cancelled) => Err("it was cancelled".to_owned()),
        }
    }

    /// Rows `from..to` of the inputs through the network.
    fn run_rows(&self, given: &[&Tensor], from: usize, to: usize) -> Result<Vec<Tensor>, Stop> {
        let inputs = self.inputs.iter().zip(given);
        let inputs = inputs
            .map(|(&id, tensor)| Ok((id, rows_of(tensor, from, to)?)))
            .collect::<Result<Vec<_>, Stop>>()?;
        let ids: Vec<NodeId> = self.outputs.iter().map(|&(id, _)| id).collect();
        let options = RunOptions::default().with_thread_pool(Some(self.threads.clone()));
        let run = AssertUnwindSafe(|| self.model.run(inputs, &ids, Some(options)));
        let values = catch_unwind(run)
            .map_err(|_| Stop::failed("the engine for neural networks stopped"))?
            .map_err(|e| Stop::failed(e.to_string()))?;
        let outputs = values.into_iter().zip(&self.outputs);
        outputs
            .map(|(value, &(_, element))| tensor_of(value, element))
            .collect()
    }
}

impl Kernel for Network {
    fn run(&self, args: &mut Args<'_>, cx: &mut Context<'_>) -> Result<(), Stop> {
        let given = (0..self.inputs.len())
            .map(|i| args.tensor(i))
            .collect::<Result<Vec<_>, _>>()?;
        let rows = given.first().and_then(|t| t.dims().first().copied());
        let rows = rows.unwrap_or(1);
        if !self.one_row || rows == 1 {
            for tensor in self.run_rows(&given, 0, rows)? {
                cx.give(tensor);
            }
            return Ok(());
        }
        let mut parts: Vec<Vec<Tensor>> = Vec::with_capacity(rows);
        for row in 0..rows {
            cx.check()?;
            parts.push(self.run_rows(&given, row, row + 1)?);
        }
        for i in 0..self.outputs.len() {
            let column = parts.iter().filter_map(|outputs| outputs.get(i));
            cx.give(stacked(column, rows)?);
        }
        Ok(())
    }
}

/// Rows of a tensor as a value of the engine.
fn rows_of(tensor: &Tensor, from: usize, to: usize) -> Result<ValueOrView<'static>, Stop> {
    let mut dims = tensor.dims().to_vec();
    let row = dims.iter().skip(1).product::<usize>();
    if let Some(first) = dims.first_mut() {
        *first = to - from;
    }
    let cells = match dims.is_empty() {
        true => 0..tensor.len(),
        false => from * row..to * row,
    };
    let narrow = |v: &i64| {
        i32::try_from(*v).map_err(|_| Stop::failed(format!("{v} is not a 32-bit whole number")))
    };
    Ok(match tensor.data() {
        Data::F32(v) => Matrix::from_data(&dims, v[cells].to_vec()).into(),
        Data::I32(v) => Matrix::from_data(&dims, v[cells].to_vec()).into(),
        Data::I64(v) => {
            let narrowed = v[cells]
                .iter()
                .map(narrow)
                .collect::<Result<Vec<i32>, _>>()?;
            Matrix::from_data(&dims, narrowed).into()
        }
        Data::Bool(v) => {
            let whole: Vec<i32> = v[cells].iter().map(|&v| i32::from(v)).collect();
            Matrix::from_data(&dims, whole).into()
        }
        other => {
            return Err(Stop::failed(format!(
                "expected numbers, found {}",
                other.element()
            )));
        }
    })
}

/// A value of the engine as the file declares it.
fn tensor_of(value: rten::Value, element: Element) -> Result<Tensor, Stop> {
    let other = || {
        Stop::failed(format!(
            "a result that is not of the declared type {element}"
        ))
    };
    if element == Element::F32 {
        let values: Matrix<f32> = value.try_into().map_err(|_| other())?;
        let shape = Shape::new(values.shape())?;
        return Tensor::new(shape, Data::F32(values.into_data()));
    }
    let values: Matrix<i32> = value.try_into().map_err(|_| other())?;
    let shape = Shape::new(values.shape())?;
    let values = values.into_data();
    let data = match element {
        Element::I32 => Data::I32(values),
        Element::I64 => Data::I64(values.into_iter().map(i64::from).collect()),
        Element::Bool => Data::Bool(values.into_iter().map(|v| v != 0).collect()),
        _ => return Err(other()),
    };
    Tensor::new(shape, data)
}

/// The results of single rows one below the other.
fn stacked<'t>(parts: impl Iterator<Item = &'t Tensor>, rows: usize) -> Result<Tensor, Stop> {
    let mut data: Option<Data> = None;
    for part in parts {
        match (&mut data, part.data()) {
            (None, first) => data = Some(first.clone()),
            (Some(Data::F32(all)), Data::F32(more)) => all.extend_from_slice(more),
            (Some(Data::I64(all)), Data::I64(more)) => all.extend_from_slice(more),
            (Some(Data::I32(all)), Data::I32(more)) => all.extend_from_slice(more),
            (Some(Data::Bool(all)), Data::Bool(more)) => all.extend_from_slice(more),
            _ => return Err(Stop::failed("rows with results of several types")),
        }
    }
    let data = data.ok_or_else(|| Stop::failed("no rows"))?;
    if data.len() % rows != 0 {
        return Err(Stop::failed("rows with results of several sizes"));
    }
    Tensor::new(Shape::matrix(rows, data.len() / rows)?, data)
}
