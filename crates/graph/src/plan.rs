//! The plan: a package compiled once, run for every call.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};

use faults::{Class, Fault, conflict, internal_error, rows};
use tables::request::InputPort;
use tables::{Scalar, Table};

use crate::conform::Conform;
use crate::interface::{Interface, PortKind};
use crate::module::{PortValue, Resource, RunContext, SchemaProblem, Shape, Step};
use crate::package::{Example, Package, Port};
use crate::parameters::{Parameters, check_modes, read, settle};
use crate::registry::Registry;
use crate::resolve::{Graph, ModuleNode, ResolvedNode, Role, invalid, resolve};

/// A compiled package: nodes in order, resources loaded, steps prepared. Shared by all calls.
pub struct Plan {
    ports: Vec<InputPort>,
    outputs: Vec<Port>,
    graph: Graph,
    nodes: Vec<PlanNode>,
    ends: Vec<End>,
    slots: usize,
    row_wise: bool,
    /// Of the steps that do not depend on a call.
    keeps_rows: bool,
    /// What a call without parameters meets before its first node.
    default_modes: Result<(), Fault>,
    example: Option<Example>,
}

/// A module of the plan.
struct PlanNode {
    /// Position in the graph.
    node: usize,
    interface: &'static Interface,
    sources: Box<[Source]>,
    /// Where its outputs go: a slot for each that someone reads.
    targets: Box<[Option<usize>]>,
    work: Work,
}

/// An output of the plan.
struct End {
    source: Source,
    conform: Conform,
}

/// Where a value comes from.
enum Source {
    /// The port is not connected.
    Nothing,
    /// The same value in every run.
    Constant(PortValue),
    /// A slot; `last` when nobody reads it after, so that it can be moved out.
    Slot { slot: usize, last: bool },
}

enum Work {
    /// The node's settings do not depend on the call.
    Fixed(Box<dyn Step>),
    /// Web service parameters set some of them.
    Linked(Linked),
}

struct Linked {
    /// The step for a call that gives none of them, where every one has a default.
    default: Option<Arc<dyn Step>>,
    /// Steps of recent calls by what they gave, the newest last.
    recent: Mutex<Vec<Recent>>,
}

/// What a call gave for a node's linked parameters, and the step made for it.
type Recent = (Vec<Option<String>>, Arc<dyn Step>);

/// Gives the bytes of an asset by its id.
type Resources<'a> = &'a mut dyn FnMut(&str) -> Result<Resource, Fault>;

/// How many steps a linked node keeps for calls that give parameters again.
const RECENT_STEPS: usize = 8;
/// Parameters longer than this are not kept with their steps.
const RECENT_BYTES: usize = 16 * 1024;

impl Plan {
    /// Checks a package as far as it can be checked without its resources.
    ///
    /// Errors: `WebServicePackageError.ValidationError` (a cycle, an unknown node, asset, input,
    /// output or port, an unconnected required port, two writers of one port, mismatched port
    /// types, a parameter link to nothing, a missing or unknown module parameter, columns that a
    /// module would refuse); `WebServicePackageError.RuntimesError` (a module or engine that this
    /// installation does not have); `BadArgument.BadParameterValue` and
    /// `BadArgument.UserParameterInvalid` (a parameter value, target `node/parameter` or the web
    /// service parameter); `Conflict.ModelOutputMetadataMismatch` (columns that clash with the
    /// declared output).
    pub fn validate(package: &Package, registry: &Registry) -> Result<(), Fault> {
        Plan::build(package, registry, None).map(drop)
    }

    /// Checks the web service parameters of a call as [`Plan::parameters`] does, with the package
    /// alone: nothing is loaded.
    ///
    /// Errors: those of [`Plan::parameters`], and of [`Plan::validate`] for a package whose names
    /// do not hold together.
    pub fn check_parameters(
        package: &Package,
        registry: &Registry,
        given: &[(String, Scalar)],
    ) -> Result<(), Fault> {
        read(&resolve(package, registry)?.globals, given).map(drop)
    }

    /// Compiles a package: checks it as [`Plan::validate`] does, loads each resource that the
    /// graph reads (`resources` gives the bytes of an asset by its id) and prepares the steps.
    ///
    /// Errors: those of [`Plan::validate`], of `resources` and of the loaders.
    pub fn compile(
        package: &Package,
        registry: &Registry,
        resources: &mut dyn FnMut(&str) -> Result<Resource, Fault>,
    ) -> Result<Plan, Fault> {
        Plan::build(package, registry, Some(resources))
    }

    fn build(
        package: &Package,
        registry: &Registry,
        resources: Option<Resources<'_>>,
    ) -> Result<Plan, Fault> {
        let graph = resolve(package, registry)?;
        let constants = match resources {
            Some(resources) => load(&graph, registry, resources)?,
            None => vec![None; graph.nodes.len()],
        };
        let default_modes = check_modes(&graph.globals, &graph.nodes, &Parameters::default());
        let mut builder = Builder {
            shapes: vec![Vec::new(); graph.nodes.len()],
            slots: vec![Vec::new(); graph.nodes.len()],
            constants,
            next_slot: package.inputs.len(),
            row_wise: true,
            keeps_rows: true,
            nodes: Vec::new(),
        };
        let mut ends: Vec<Option<End>> = package.outputs.iter().map(|_| None).collect();
        for &i in &graph.order {
            let node = &graph.nodes[i];
            match &node.role {
                Role::Input(port) => {
                    builder.slots[i] = vec![Some(*port)];
                    builder.shapes[i] = vec![Shape {
                        schema: Some(Arc::clone(&package.inputs[*port].schema)),
                        constant: None,
                    }];
                }
                Role::Resource { .. } => {
                    let constant = builder.constants[i].clone();
                    let table = constant.as_ref().and_then(PortValue::as_table);
                    builder.shapes[i] = vec![Shape {
                        schema: table.map(|t| Arc::clone(t.schema())),
                        constant,
                    }];
                }
                Role::Output(port) => {
                    let declared = &package.outputs[*port];
                    let conform = Conform::new(&declared.name, &declared.schema);
                    let source = builder.source(node.inputs[0]);
                    if let Some(schema) = &builder.shape(node.inputs[0]).schema {
                        conform.check(schema)?;
                    }
                    ends[*port] = Some(End { source, conform });
                }
                Role::Module(module) => builder.module(&graph, i, module)?,
            }
        }
        let mut plan = Plan {
            ports: package
                .inputs
                .iter()
                .map(|port| InputPort {
                    name: port.name.clone(),
                    schema: Arc::clone(&port.schema),
                })
                .collect(),
            outputs: package.outputs.clone(),
            nodes: builder.nodes,
            ends: ends.into_iter().flatten().collect(),
            slots: builder.next_slot,
            row_wise: builder.row_wise,
            keeps_rows: builder.keeps_rows,
            default_modes,
            example: package.example.clone(),
            graph,
        };
        plan.mark_last_reads();
        Ok(plan)
    }

    /// Lets the last reader of each slot take the value instead of copying it.
    fn mark_last_reads(&mut self) {
        let mut read_later = vec![false; self.slots];
        let ends = self.ends.iter_mut().rev().map(|end| &mut end.source);
        let nodes = self.nodes.iter_mut().rev();
        let sources = nodes.flat_map(|node| node.sources.iter_mut().rev());
        for source in ends.chain(sources) {
            if let Source::Slot { slot, last } = source {
                *last = !std::mem::replace(&mut read_later[*slot], true);
            }
        }
    }

    /// The inputs, in the order in which [`Plan::run`] takes their tables.
    pub fn ports(&self) -> &[InputPort] {
        &self.ports
    }

    /// The outputs, in the order in which [`Plan::run`] gives their tables.
    pub fn outputs(&self) -> &[Port] {
        &self.outputs
    }

    /// Whether each output row depends on its input row alone, so that a table may be cut into
    /// chunks.
    pub fn row_wise(&self) -> bool {
        self.row_wise
    }

    /// Whether the outputs have the input's rows, in their order, whatever the values are.
    pub fn keeps_rows(&self) -> bool {
        self.keeps_rows
    }

    /// Checks the web service parameters of a call, before its columns and cells are looked at.
    ///
    /// Errors, the parameter as their target: `BadArgument.UnexpectedParameter`,
    /// `BadArgument.MissingRequiredGlobalParameters`, `BadArgument.BadParameterValue`,
    /// `BadArgument.UserParameterInvalid`.
    pub fn parameters(&self, given: &[(String, Scalar)]) -> Result<Parameters, Fault> {
        read(&self.graph.globals, given)
    }

    /// Runs the graph: one table for each of [`Plan::ports`] in, one for each of
    /// [`Plan::outputs`] out, in their declared form. Between nodes it asks whether the work is
    /// still wanted.
    ///
    /// Errors: `RequestTimeout.RequestCanceled`; `BadUserArgument.MissingRequiredGlobalParameters`
    /// and `BadUserArgument.UnexpectedParameter`, which depend on the modes in force;
    /// `Conflict.ModelOutputMetadataMismatch`; `InternalError.ModuleExecutionFailed` where a
    /// module panics; whatever the modules report, with the node as target.
    pub fn run(
        &self,
        inputs: Vec<Table>,
        parameters: &Parameters,
        cancelled: &(dyn Fn() -> bool + Sync),
    ) -> Result<Vec<Table>, Fault> {
        if inputs.len() != self.ports.len() {
            return Err(internal_error::backend_argument_error().because(format!(
                "{} tables for {} inputs",
                inputs.len(),
                self.ports.len()
            )));
        }
        if parameters.is_empty() {
            self.default_modes.clone()?;
        } else {
            check_modes(&self.graph.globals, &self.graph.nodes, parameters)?;
        }
        let mut slots: Vec<Option<PortValue>> = Vec::with_capacity(self.slots);
        slots.extend(
            inputs
                .into_iter()
                .map(|table| Some(PortValue::Table(table))),
        );
        slots.resize_with(self.slots, || None);
        let mut taken: Vec<Option<PortValue>> = Vec::new();
        for node in &self.nodes {
            let context = RunContext {
                cancelled,
                node: &self.graph.nodes[node.node].id,
            };
            context.check()?;
            taken.clear();
            taken.extend(node.sources.iter().map(|source| source.take(&mut slots)));
            let produced = self.run_node(node, &mut taken, parameters, &context);
            let produced = produced.map_err(|fault| at_node(fault, context.node))?;
            for (value, target) in produced.into_iter().zip(&node.targets) {
                if let Some(slot) = target {
                    slots[*slot] = Some(value);
                }
            }
        }
        let mut results = Vec::with_capacity(self.ends.len());
        for end in &self.ends {
            match end.source.take(&mut slots) {
                Some(PortValue::Table(table)) => results.push(end.conform.apply(table)?),
                _ => {
                    return Err(internal_error::output_conversion_failed()
                        .because("an output is fed something that is not a table"));
                }
            }
        }
        Ok(results)
    }

    fn run_node(
        &self,
        node: &PlanNode,
        inputs: &mut [Option<PortValue>],
        parameters: &Parameters,
        context: &RunContext<'_>,
    ) -> Result<Vec<PortValue>, Fault> {
        let shared;
        let step: &dyn Step = match &node.work {
            Work::Fixed(step) => &**step,
            Work::Linked(linked) => {
                shared = self.linked_step(node, linked, parameters)?;
                &*shared
            }
        };
        // The step's own state is behind locks that survive a panic or is rebuilt by the next
        // call; the inputs are dropped.
        let outcome = catch_unwind(AssertUnwindSafe(|| step.run(inputs, context)));
        let produced = outcome.unwrap_or_else(|panic| {
            let text = panic
                .downcast_ref::<String>()
                .map(String::as_str)
                .or_else(|| panic.downcast_ref::<&str>().copied())
                .unwrap_or("no message");
            Err(internal_error::module_execution_failed()
                .because(format!("the module panicked: {text}")))
        })?;
        let ports = node.interface.outputs;
        let fits = produced.len() == ports.len()
            && produced.iter().zip(ports).all(|(value, port)| {
                (port.kind == PortKind::Table) == value.as_table().is_some()
                    || port.kind == PortKind::Any
            });
        if !fits {
            return Err(internal_error::module_execution_failed()
                .because("the module gave other outputs than its interface says"));
        }
        Ok(produced)
    }

    fn linked_step(
        &self,
        node: &PlanNode,
        linked: &Linked,
        parameters: &Parameters,
    ) -> Result<Arc<dyn Step>, Fault> {
        let Role::Module(module) = &self.graph.nodes[node.node].role else {
            return Err(internal_error::module_execution_failed());
        };
        let key = parameters.texts(&module.links);
        if key.iter().all(Option::is_none)
            && let Some(step) = &linked.default
        {
            return Ok(Arc::clone(step));
        }
        let bytes: usize = key.iter().flatten().map(String::len).sum();
        let lock = || linked.recent.lock().unwrap_or_else(PoisonError::into_inner);
        {
            let mut recent = lock();
            if let Some(i) = recent.iter().position(|(known, _)| *known == key) {
                let found = recent.remove(i);
                let step = Arc::clone(&found.1);
                recent.push(found);
                return Ok(step);
            }
        }
        let settings = settle(module, &self.graph.globals, parameters)?;
        let id = &self.graph.nodes[node.node].id;
        let step: Arc<dyn Step> = Arc::from(module.module.prepare(&settings, id)?);
        if bytes <= RECENT_BYTES {
            let mut recent = lock();
            if recent.len() >= RECENT_STEPS {
                recent.remove(0);
            }
            recent.push((key, Arc::clone(&step)));
        }
        Ok(step)
    }

    /// Runs one call so that the next finds caches filled and pages mapped: the example request,
    /// else one row of zeros and blanks. What becomes of it does not matter.
    pub fn warm_up(&self) {
        let never = || false;
        for (inputs, parameters) in crate::warm::calls(&self.ports, self.example.as_ref()) {
            let Ok(parameters) = self.parameters(&parameters) else {
                continue;
            };
            if self.run(inputs, &parameters, &never).is_ok() {
                return;
            }
        }
    }
}

impl Source {
    fn take(&self, slots: &mut [Option<PortValue>]) -> Option<PortValue> {
        match self {
            Source::Nothing => None,
            Source::Constant(value) => Some(value.clone()),
            Source::Slot { slot, last: true } => slots[*slot].take(),
            Source::Slot { slot, last: false } => slots[*slot].clone(),
        }
    }
}

/// The fault with the node as the target of its last detail, where that has none. A cancelled
/// call has no node at fault.
fn at_node(fault: Fault, node: &str) -> Fault {
    let bare = fault.details().last().is_some_and(|d| d.target.is_none());
    if bare && fault.class() != Class::RequestTimeout {
        fault.at(node)
    } else {
        fault
    }
}

/// Loads each resource that the graph reads, once for each kind of port it feeds.
fn load(
    graph: &Graph,
    registry: &Registry,
    resources: Resources<'_>,
) -> Result<Vec<Option<PortValue>>, Fault> {
    let mut loaded: Vec<(&str, PortKind, PortValue)> = Vec::new();
    let mut constants = vec![None; graph.nodes.len()];
    for &i in &graph.order {
        let node = &graph.nodes[i];
        let Role::Resource {
            asset,
            name,
            kind: Some(kind),
        } = &node.role
        else {
            continue;
        };
        let known = loaded.iter().find(|(a, k, _)| a == asset && k == kind);
        let value = match known {
            Some((_, _, value)) => value.clone(),
            None => {
                let loader = registry.loader(*kind).ok_or_else(|| {
                    internal_error::resource_load_failed().because("no loader of that kind")
                })?;
                let bytes = resources(asset)?;
                let value = loader
                    .load(name, &bytes)
                    .map_err(|fault| at_node(fault, &node.id))?;
                loaded.push((asset, *kind, value.clone()));
                value
            }
        };
        constants[i] = Some(value);
    }
    Ok(constants)
}

struct Builder {
    /// What is known of each node's outputs.
    shapes: Vec<Vec<Shape>>,
    /// The slot of each node's outputs.
    slots: Vec<Vec<Option<usize>>>,
    constants: Vec<Option<PortValue>>,
    next_slot: usize,
    row_wise: bool,
    keeps_rows: bool,
    nodes: Vec<PlanNode>,
}

impl Builder {
    fn source(&self, input: Option<(usize, usize)>) -> Source {
        let Some((node, port)) = input else {
            return Source::Nothing;
        };
        if let Some(value) = &self.constants[node] {
            return Source::Constant(value.clone());
        }
        match self.slots[node].get(port).copied().flatten() {
            Some(slot) => Source::Slot { slot, last: false },
            // A resource that was not loaded, in validation.
            None => Source::Nothing,
        }
    }

    fn shape(&self, input: Option<(usize, usize)>) -> Shape {
        let known = input.and_then(|(node, port)| self.shapes[node].get(port));
        known.cloned().unwrap_or_default()
    }

    fn module(&mut self, graph: &Graph, i: usize, module: &ModuleNode) -> Result<(), Fault> {
        let node = &graph.nodes[i];
        let interface = module.interface();
        let sources: Box<[Source]> = node.inputs.iter().map(|&from| self.source(from)).collect();
        let work = prepare(graph, node, module)?;
        let mut shapes = Vec::new();
        let mut row_wise = interface.row_wise;
        // What a step made for the defaults says need not hold for the next call.
        if let Work::Fixed(step) = &work {
            let inputs: Vec<Shape> = node.inputs.iter().map(|&from| self.shape(from)).collect();
            let schemas = step
                .output_schemas(&inputs)
                .map_err(|problem| schema_fault(problem, &node.id))?;
            shapes = schemas
                .into_iter()
                .map(|schema| Shape {
                    schema,
                    constant: None,
                })
                .collect();
            row_wise = step.row_wise().unwrap_or(row_wise);
            self.keeps_rows &= step.keeps_rows();
        }
        self.row_wise &= row_wise;
        self.shapes[i] = shapes;
        let read = |port: usize| {
            let mut readers = graph
                .order
                .iter()
                .flat_map(|&n| graph.nodes[n].inputs.iter());
            readers.any(|source| *source == Some((i, port)))
        };
        let mut next_slot = self.next_slot;
        let targets: Vec<Option<usize>> = (0..interface.outputs.len())
            .map(|port| {
                read(port).then(|| {
                    next_slot += 1;
                    next_slot - 1
                })
            })
            .collect();
        self.next_slot = next_slot;
        self.slots[i] = targets.clone();
        self.nodes.push(PlanNode {
            node: i,
            interface,
            sources,
            targets: targets.into(),
            work,
        });
        Ok(())
    }
}

fn prepare(graph: &Graph, node: &ResolvedNode, module: &ModuleNode) -> Result<Work, Fault> {
    if module.links.is_empty() {
        let step = module
            .module
            .prepare(&module.base, &node.id)
            .map_err(|fault| before_any_call(fault, &node.id))?;
        return Ok(Work::Fixed(step));
    }
    let has_value = |global: usize| {
        let global = &graph.globals[global];
        global.default.is_some() || global.only_children
    };
    let default = match module.links.iter().all(|&(_, global)| has_value(global)) {
        false => None,
        true => {
            let settings = settle(module, &graph.globals, &Parameters::default())?;
            let step = module
                .module
                .prepare(&settings, &node.id)
                .map_err(|fault| before_any_call(fault, &node.id))?;
            Some(Arc::from(step))
        }
    };
    Ok(Work::Linked(Linked {
        default,
        recent: Mutex::new(Vec::new()),
    }))
}

/// What a module says of a definition's own settings. Where its word is for the user of a call,
/// there is none yet: the graph does not hold together.
fn before_any_call(fault: Fault, node: &str) -> Fault {
    let fault = at_node(fault, node);
    match fault.details() {
        [detail] if fault.is(&rows::BadUserArgument::UserParameterInvalid) => {
            let explanation = detail.args.first().map_or("", String::as_str);
            let place = detail.target.as_deref().unwrap_or(node);
            invalid(place, format!("node \"{node}\": {explanation}"))
        }
        _ => fault,
    }
}

fn schema_fault(problem: SchemaProblem, node: &str) -> Fault {
    match problem {
        SchemaProblem::Refused(why) => invalid(node, format!("node \"{node}\": {why}")),
        SchemaProblem::DuplicateColumn(column) => conflict::model_output_metadata_mismatch()
            .at(format!("{node}/{column}"))
            .because(format!(
                "node \"{node}\" would give two columns named \"{column}\""
            )),
    }
}
