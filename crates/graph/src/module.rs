//! What the code behind a node implements.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use faults::{Fault, request_timeout};
use tables::{Schema, Table};

use crate::interface::{Interface, PortKind};
use crate::settings::Settings;

/// What travels through a port.
#[derive(Clone)]
pub enum PortValue {
    /// A table.
    Table(Table),
    /// A loaded resource: a model, a transformation. Who takes it knows its type.
    Object(Arc<dyn Any + Send + Sync>),
}

impl PortValue {
    /// The table, where it is one.
    pub fn as_table(&self) -> Option<&Table> {
        match self {
            PortValue::Table(table) => Some(table),
            PortValue::Object(_) => None,
        }
    }

    /// The object, where it is one of that type.
    pub fn downcast<T: Any + Send + Sync>(&self) -> Option<Arc<T>> {
        match self {
            PortValue::Table(_) => None,
            PortValue::Object(object) => Arc::clone(object).downcast().ok(),
        }
    }
}

impl fmt::Debug for PortValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PortValue::Table(table) => f.debug_tuple("Table").field(table).finish(),
            PortValue::Object(_) => f.write_str("Object"),
        }
    }
}

/// What is known of an input port before a run.
#[derive(Debug, Clone, Default)]
pub struct Shape {
    /// The columns that will come, where they can be told.
    pub schema: Option<Arc<Schema>>,
    /// The value itself, where it is the same in every run (a loaded resource). `None` in
    /// [`crate::Plan::validate`], which loads nothing.
    pub constant: Option<PortValue>,
}

/// Why no run with columns as they are known before it can work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SchemaProblem {
    /// The module would refuse them; the sentence says why
    /// (`WebServicePackageError.ValidationError`).
    Refused(String),
    /// Two output columns would have this name (`Conflict.ModelOutputMetadataMismatch`).
    DuplicateColumn(String),
}

impl From<tables::DuplicateName> for SchemaProblem {
    fn from(duplicate: tables::DuplicateName) -> Self {
        SchemaProblem::DuplicateColumn(duplicate.0)
    }
}

/// What a step may ask while it runs.
#[derive(Clone, Copy)]
pub struct RunContext<'a> {
    /// Whether the work is no longer wanted; cheap, to be asked often.
    pub cancelled: &'a (dyn Fn() -> bool + Sync),
    /// The id of the node that runs: the target of its faults.
    pub node: &'a str,
}

impl RunContext<'_> {
    /// `RequestTimeout.RequestCanceled` when the work is no longer wanted.
    pub fn check(&self) -> Result<(), Fault> {
        if (self.cancelled)() {
            return Err(request_timeout::request_canceled());
        }
        Ok(())
    }
}

/// A module: an interface, and steps made for given settings.
pub trait Module: Send + Sync {
    /// What definitions may say about it.
    fn interface(&self) -> &'static Interface;

    /// Makes the step of a node. Settings that do not depend on a call are prepared once, when
    /// the plan is compiled.
    ///
    /// Errors: settings that each keep their rule and do not go together
    /// (`BadUserArgument.UserParameterInvalid`), or that need what this installation lacks
    /// (`WebServicePackageError.RuntimesError`).
    fn prepare(&self, settings: &Settings, node: &str) -> Result<Box<dyn Step>, Fault>;
}

/// A node's work.
pub trait Step: Send + Sync {
    /// Runs on the values at the input ports, in the interface's order (`None` for an
    /// unconnected one), and gives a value for each output port, in order. A step may take its
    /// inputs out of the slice.
    ///
    /// A fault without a target gets the node's id as its target.
    fn run(
        &self,
        inputs: &mut [Option<PortValue>],
        context: &RunContext<'_>,
    ) -> Result<Vec<PortValue>, Fault>;

    /// The columns at each output port for given inputs, where they can be told before a run;
    /// `None` for a port where they cannot, an empty list where none can.
    ///
    /// An error says why no run with such inputs can work; the definition is then refused.
    fn output_schemas(&self, inputs: &[Shape]) -> Result<Vec<Option<Arc<Schema>>>, SchemaProblem> {
        let _ = inputs;
        Ok(Vec::new())
    }

    /// Whether each output row depends on its input row alone with these settings; `None` leaves
    /// it to [`Interface::row_wise`].
    fn row_wise(&self) -> Option<bool> {
        None
    }

    /// Whether what comes out has the rows that went in, in their order, whatever the values are.
    fn keeps_rows(&self) -> bool {
        true
    }
}

/// Turns a stored resource into the value that its output port gives in every run.
pub trait ResourceLoader: Send + Sync {
    /// The kind of port that such resources feed.
    fn kind(&self) -> PortKind;

    /// Loads a resource; `asset` is its name for messages.
    fn load(&self, asset: &str, bytes: &[u8]) -> Result<PortValue, Fault>;
}

/// The bytes of a resource; may keep a memory map alive.
pub struct Resource(Box<dyn AsRef<[u8]> + Send>);

impl Resource {
    /// Wraps whatever holds the bytes.
    pub fn new(bytes: impl AsRef<[u8]> + Send + 'static) -> Resource {
        Resource(Box::new(bytes))
    }
}

impl From<Vec<u8>> for Resource {
    fn from(bytes: Vec<u8>) -> Resource {
        Resource::new(bytes)
    }
}

impl std::ops::Deref for Resource {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        (*self.0).as_ref()
    }
}
