//! From a checked graph to a program.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::Reject;
use super::attrs::Attrs;
use super::proto::{GraphProto, NodeProto};
use super::read;
use crate::engine::Kernel;
use crate::engine::program::{Program, Source, Step, fold};
use crate::engine::tensor::{Tensor, Value};
use crate::ops;

/// The operator versions a model was written for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Opsets {
    /// `ai.onnx`.
    pub main: i64,
    /// `ai.onnx.ml`.
    pub ml: i64,
}

/// The versions of `ai.onnx` whose operators are known here. Version 7 brought numpy's broadcasting;
/// what changed after it is told apart by the operators' constructors. Versions after the last are
/// refused, since nobody can know what they change.
pub(crate) const MAIN_OPSETS: std::ops::RangeInclusive<i64> = 7..=25;
/// The versions of `ai.onnx.ml` whose operators are known here.
pub(crate) const ML_OPSETS: std::ops::RangeInclusive<i64> = 1..=5;

/// The name of a domain for messages and for the registry.
fn domain_name(domain: &str) -> &str {
    if domain.is_empty() { "ai.onnx" } else { domain }
}

impl Opsets {
    /// Reads the imports and refuses versions that are not known.
    pub fn read(imports: &[super::proto::OperatorSetIdProto]) -> Result<Opsets, Reject> {
        let mut opsets = Opsets { main: 0, ml: 1 };
        for import in imports {
            let (slot, known) = match domain_name(&import.domain) {
                "ai.onnx" => (&mut opsets.main, MAIN_OPSETS),
                "ai.onnx.ml" => (&mut opsets.ml, ML_OPSETS),
                // Exporters list domains that no node uses; a node of an unknown domain is refused
                // by its own name.
                _ => continue,
            };
            if !known.contains(&import.version) {
                return Err(Reject::unsupported(format!(
                    "version {} of the ONNX operator set {} (versions {} to {} are supported)",
                    import.version,
                    domain_name(&import.domain),
                    known.start(),
                    known.end()
                )));
            }
            *slot = import.version;
        }
        if opsets.main == 0 {
            // A model of ai.onnx.ml operators alone may leave the main domain out.
            if !imports.iter().any(|i| i.domain == "ai.onnx.ml") {
                return Err(Reject::malformed("no operator set is imported"));
            }
            opsets.main = *MAIN_OPSETS.start();
        }
        Ok(opsets)
    }

    /// The version of a domain.
    pub fn of(&self, domain: &str) -> i64 {
        match domain_name(domain) {
            "ai.onnx" => self.main,
            "ai.onnx.ml" => self.ml,
            _ => 1,
        }
    }
}

/// What an operator's constructor reads.
pub(crate) struct Spec<'a> {
    /// The operator.
    pub op: &'a str,
    /// Its domain, `ai.onnx` spelt out.
    pub domain: &'a str,
    /// The version of the domain that the model was written for.
    pub version: i64,
    /// The attributes.
    pub attrs: Attrs,
    /// Which inputs are given.
    pub given: Vec<bool>,
    /// The values of inputs that are constant.
    constants: Vec<Option<&'a Value>>,
    /// The number of outputs, unused trailing ones included.
    pub outputs: usize,
    /// For operators with graphs: the versions to compile those with.
    pub opsets: Opsets,
    /// For operators with graphs: the outer names that the graphs use; these values follow the
    /// operator's own inputs in this order.
    pub captures: Vec<String>,
}

impl Spec<'_> {
    /// Input `i` if it is a constant tensor.
    pub fn constant(&self, i: usize) -> Option<&Tensor> {
        match self.constants.get(i)? {
            Some(Value::Tensor(tensor)) => Some(tensor),
            _ => None,
        }
    }

    /// How messages name the operator.
    pub fn name(&self) -> String {
        format!("{}.{}", self.domain, self.op)
    }

    /// The refusal of a use of this operator that the engine lacks.
    pub fn lacks(&self, what: impl std::fmt::Display) -> Reject {
        Reject::unsupported(format!(
            "ONNX operator {} (version {}) with {what}",
            self.name(),
            self.version
        ))
    }
}

/// Compiles a graph. `inputs` are the names of its real inputs in order; `captures` outer names
/// that become further inputs; `outputs` the names of its outputs in order.
pub(crate) fn graph(
    graph: GraphProto,
    opsets: Opsets,
    inputs: &[String],
    captures: &[String],
    outputs: &[String],
) -> Result<Program, Reject> {
    if !graph.sparse_initializer.is_empty() {
        return Err(Reject::unsupported("ONNX sparse initializers"));
    }
    refuse_unknown(&graph, opsets)?;
    let mut compiler = Compiler {
        opsets,
        sources: HashMap::new(),
        constants: Vec::new(),
        steps: Vec::new(),
        slots: 0,
    };
    for name in inputs.iter().chain(captures) {
        let slot = compiler.slots;
        compiler.slots += 1;
        compiler.define(name, Source::Slot(slot))?;
    }
    let program_inputs = compiler.slots;
    for mut tensor in graph.initializer {
        let name = std::mem::take(&mut tensor.name);
        let value = Value::Tensor(read::tensor(tensor, &format!("initializer {name}"))?);
        compiler.constants.push(value);
        let source = Source::Constant(compiler.constants.len() - 1);
        compiler.define(&name, source)?;
    }
    for node in in_order(graph.node, &compiler.sources, outputs)? {
        compiler.node(node)?;
    }
    let outputs = outputs
        .iter()
        .map(|name| {
            compiler
                .sources
                .get(name)
                .copied()
                .ok_or_else(|| Reject::malformed(format!("nothing makes the output {name}")))
        })
        .collect::<Result<Vec<_>, _>>()?;
    let mut program = Program {
        steps: compiler.steps,
        constants: compiler.constants,
        slots: compiler.slots,
        inputs: program_inputs,
        outputs,
    };
    mark_last_uses(&mut program);
    Ok(program)
}

/// Names every operator that the engine lacks, in one refusal: a user mends a model once.
fn refuse_unknown(graph: &GraphProto, opsets: Opsets) -> Result<(), Reject> {
    let mut lacking = BTreeSet::new();
    for node in &graph.node {
        let domain = domain_name(&node.domain);
        if !ops::is_known(domain, &node.op_type) {
            lacking.insert(format!(
                "{domain}.{} (version {})",
                node.op_type,
                opsets.of(domain)
            ));
        }
    }
    if lacking.is_empty() {
        return Ok(());
    }
    let plural = if lacking.len() == 1 { "" } else { "s" };
    let list: Vec<String> = lacking.into_iter().collect();
    Err(Reject::unsupported(format!(
        "ONNX operator{plural} {}",
        list.join(", ")
    )))
}

/// The outer names that a graph inside an attribute uses.
pub(crate) fn free_names(graph: &GraphProto) -> Vec<String> {
    let mut own: HashSet<&str> = HashSet::new();
    own.extend(graph.input.iter().map(|v| v.name.as_str()));
    own.extend(graph.initializer.iter().map(|t| t.name.as_str()));
    own.extend(
        graph
            .node
            .iter()
            .flat_map(|n| n.output.iter().map(String::as_str)),
    );
    let mut free = Vec::new();
    let mut seen = HashSet::new();
    let mut note = |name: &str| {
        if !name.is_empty() && !own.contains(name) && seen.insert(name.to_owned()) {
            free.push(name.to_owned());
        }
    };
    for node in &graph.node {
        node.input.iter().for_each(|name| note(name));
        for inner in Attrs::graphs(&node.attribute) {
            free_names(inner).iter().for_each(|name| note(name));
        }
    }
    graph.output.iter().for_each(|v| note(&v.name));
    free
}

/// Everything a node reads: its inputs and what graphs among its attributes use from outside.
fn reads(node: &NodeProto) -> (Vec<String>, usize) {
    let mut names = node.input.clone();
    let own = names.len();
    let mut captured = HashSet::new();
    for inner in Attrs::graphs(&node.attribute) {
        for name in free_names(inner) {
            if captured.insert(name.clone()) {
                names.push(name);
            }
        }
    }
    (names, own)
}

/// A node with everything it reads.
struct Ready {
    node: NodeProto,
    reads: Vec<String>,
    own: usize,
}

/// Puts the nodes that the outputs need into an order in which every input is ready, and leaves
/// the others out. The order of the file is kept where it is such an order.
fn in_order(
    nodes: Vec<NodeProto>,
    ready: &HashMap<String, Source>,
    outputs: &[String],
) -> Result<Vec<Ready>, Reject> {
    let mut makers: HashMap<String, usize> = HashMap::new();
    for (i, node) in nodes.iter().enumerate() {
        for name in node.output.iter().filter(|n| !n.is_empty()) {
            if ready.contains_key(name) || makers.insert(name.clone(), i).is_some() {
                return Err(Reject::malformed(format!("the name {name} is made twice")));
            }
        }
    }
    let mut nodes: Vec<Option<Ready>> = nodes
        .into_iter()
        .map(|node| {
            let (reads, own) = reads(&node);
            Some(Ready { node, reads, own })
        })
        .collect();
    // A depth-first walk from the outputs with its own stack: a chain of a million nodes must not
    // end the process.
    #[derive(Clone, Copy, PartialEq)]
    enum State {
        New,
        Open,
        Done,
    }
    let mut state = vec![State::New; nodes.len()];
    let mut order = Vec::new();
    let mut stack: Vec<(usize, usize)> = Vec::new();
    let wanted: Vec<usize> = outputs
        .iter()
        .filter_map(|name| makers.get(name).copied())
        .collect();
    for root in wanted {
        if state[root] == State::New {
            state[root] = State::Open;
            stack.push((root, 0));
        }
        while let Some((i, next)) = stack.pop() {
            let Some(node) = &nodes[i] else { continue };
            let Some(name) = node.reads.get(next) else {
                state[i] = State::Done;
                order.push(i);
                continue;
            };
            stack.push((i, next + 1));
            if name.is_empty() || ready.contains_key(name) {
                continue;
            }
            let maker = *makers.get(name).ok_or_else(|| {
                Reject::malformed(format!(
                    "node {} reads {name}, which nothing makes",
                    label(&node.node)
                ))
            })?;
            match state[maker] {
                State::Done => {}
                State::Open => {
                    return Err(Reject::malformed(format!(
                        "the graph has a cycle through {name}"
                    )));
                }
                State::New => {
                    state[maker] = State::Open;
                    stack.push((maker, 0));
                }
            }
        }
    }
    // The file's order is valid in nearly every model; the walk's order always is.
    let walked = order.clone();
    order.sort_unstable();
    let mut made: HashSet<&str> = HashSet::new();
    let valid = order.iter().all(|&i| {
        let Some(node) = &nodes[i] else { return false };
        let fine = node
            .reads
            .iter()
            .all(|n| n.is_empty() || ready.contains_key(n) || made.contains(n.as_str()));
        made.extend(node.node.output.iter().map(String::as_str));
        fine
    });
    drop(made);
    if !valid {
        order = walked;
    }
    Ok(order.into_iter().filter_map(|i| nodes[i].take()).collect())
}

/// How messages name a node.
fn label(node: &NodeProto) -> String {
    let domain = domain_name(&node.domain);
    if node.name.is_empty() {
        format!("{domain}.{}", node.op_type)
    } else {
        format!("{domain}.{} \"{}\"", node.op_type, node.name)
    }
}

/// The state of compilation.
struct Compiler {
    opsets: Opsets,
    sources: HashMap<String, Source>,
    constants: Vec<Value>,
    steps: Vec<Step>,
    slots: usize,
}

impl Compiler {
    /// Gives a name its place.
    fn define(&mut self, name: &str, source: Source) -> Result<(), Reject> {
        match self.sources.insert(name.to_owned(), source) {
            None => Ok(()),
            Some(_) => Err(Reject::malformed(format!("the name {name} stands twice"))),
        }
    }

    /// Builds the operator of one node; computes it now if everything it reads is constant.
    fn node(&mut self, ready: Ready) -> Result<(), Reject> {
        let Ready { node, reads, own } = ready;
        let label = label(&node);
        let domain = domain_name(&node.domain);
        let mut inputs = Vec::with_capacity(reads.len());
        for name in &reads {
            inputs.push(if name.is_empty() {
                Source::Absent
            } else {
                *self
                    .sources
                    .get(name)
                    .ok_or_else(|| Reject::malformed(format!("{label}: nothing makes {name}")))?
            });
        }
        let constants: Vec<Option<&Value>> = inputs
            .iter()
            .map(|source| match source {
                Source::Constant(i) => Some(&self.constants[*i]),
                _ => None,
            })
            .collect();
        let mut spec = Spec {
            op: &node.op_type,
            domain,
            version: self.opsets.of(domain),
            attrs: Attrs::new(node.attribute).map_err(|e| at(&label, e))?,
            given: inputs[..own].iter().map(|s| *s != Source::Absent).collect(),
            constants: constants.clone(),
            outputs: node.output.len(),
            opsets: self.opsets,
            captures: reads[own..].to_vec(),
        };
        let kernel = ops::build(&mut spec).map_err(|e| at(&label, e))?;
        if is_foldable(&node.op_type, &inputs, &constants)
            && let Some(values) = folded(kernel.as_ref(), &constants, &node.output)
        {
            for (name, value) in node.output.iter().zip(values) {
                if let Some(value) = value
                    && !name.is_empty()
                {
                    self.constants.push(value);
                    let source = Source::Constant(self.constants.len() - 1);
                    self.define(name, source)?;
                }
            }
            return Ok(());
        }
        let mut outputs = Vec::with_capacity(node.output.len());
        for name in &node.output {
            outputs.push(if name.is_empty() {
                None
            } else {
                let slot = self.slots;
                self.slots += 1;
                self.define(name, Source::Slot(slot))?;
                Some(slot)
            });
        }
        self.steps.push(Step {
            kernel,
            label,
            dying: vec![false; inputs.len()],
            inputs,
            wanted: vec![true; outputs.len()],
            outputs,
            drop_after: Vec::new(),
        });
        Ok(())
    }
}

/// Says in which node a refusal arose.
fn at(label: &str, reject: Reject) -> Reject {
    match reject {
        Reject::Malformed(reason) => Reject::Malformed(format!("{label}: {reason}")),
        unsupported => unsupported,
    }
}

/// Whether a node may be computed at compile time: all its inputs are constants, and a small file
/// cannot make it large.
fn is_foldable(op: &str, inputs: &[Source], constants: &[Option<&Value>]) -> bool {
    const GROWS: [&str; 11] = [
        "ConstantOfShape",
        "Expand",
        "Tile",
        "Range",
        "OneHot",
        "Scan",
        "OneHotEncoder",
        "TfIdfVectorizer",
        "Tokenizer",
        "StringSplit",
        "StringConcat",
    ];
    const AT_MOST: usize = 1 << 24;
    if GROWS.contains(&op) {
        return false;
    }
    let mut product: usize = 1;
    for (source, value) in inputs.iter().zip(constants) {
        match (source, value) {
            (Source::Absent, _) => {}
            (_, Some(Value::Tensor(t))) => product = product.saturating_mul(t.len().max(1)),
            _ => return false,
        }
    }
    inputs.len() <= 1 || op == "Concat" || product <= AT_MOST
}

/// The outputs, if they can be computed now. A failure is not one of the model: the node may lie
/// on a path that a run refuses with the same words.
fn folded(
    kernel: &dyn Kernel,
    constants: &[Option<&Value>],
    names: &[String],
) -> Option<Vec<Option<Value>>> {
    let mut values = fold(kernel, constants).ok()?;
    values.resize_with(names.len().max(values.len()), || None);
    let complete = names
        .iter()
        .zip(&values)
        .all(|(name, value)| name.is_empty() || value.is_some());
    complete.then_some(values)
}

/// Finds where each slot is used last, so that a run can drop it there.
fn mark_last_uses(program: &mut Program) {
    let mut kept = vec![false; program.slots];
    for output in &program.outputs {
        if let Source::Slot(slot) = output {
            kept[*slot] = true;
        }
    }
    let mut used = kept.clone();
    for step in program.steps.iter_mut().rev() {
        for (i, slot) in step.outputs.iter_mut().enumerate() {
            if let Some(s) = *slot
                && !used[s]
            {
                *slot = None;
                step.wanted[i] = false;
            }
        }
        let slots: Vec<Option<usize>> = step
            .inputs
            .iter()
            .map(|source| match source {
                Source::Slot(s) => Some(*s),
                _ => None,
            })
            .collect();
        // How often the step reads each slot that nothing after it reads.
        let mut times: HashMap<usize, usize> = HashMap::new();
        for &slot in slots.iter().flatten().filter(|s| !used[**s]) {
            *times.entry(slot).or_default() += 1;
        }
        for (i, slot) in slots.iter().enumerate() {
            let Some(s) = *slot else { continue };
            match times.get(&s) {
                None => {}
                Some(1) => step.dying[i] = true,
                Some(_) => {
                    step.drop_after.push(s);
                    times.remove(&s);
                }
            }
        }
        for slot in slots.into_iter().flatten() {
            used[slot] = true;
        }
    }
}
