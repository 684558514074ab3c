//! What steps take from their ports and settings.

use std::any::Any;
use std::sync::Arc;

use faults::{Fault, internal_error};
use graph::{ColumnPicker, PortValue, Settings};
use tables::Table;

/// Takes the table at a port. The plan has checked ports and kinds, so that anything else is a
/// mistake of ours.
pub(crate) fn table(inputs: &mut [Option<PortValue>], port: usize) -> Result<Table, Fault> {
    match inputs.get_mut(port).and_then(Option::take) {
        Some(PortValue::Table(table)) => Ok(table),
        _ => Err(internal_error::module_execution_failed()
            .because(format!("there is no table at input {port}"))),
    }
}

/// The object of a type at a port.
pub(crate) fn object<T: Any + Send + Sync>(
    inputs: &[Option<PortValue>],
    port: usize,
) -> Result<Arc<T>, Fault> {
    let value = inputs.get(port).and_then(Option::as_ref);
    value.and_then(PortValue::downcast).ok_or_else(|| {
        internal_error::module_execution_failed().because(format!(
            "there is no {} at input {port}",
            std::any::type_name::<T>()
        ))
    })
}

/// The column selection of a required parameter.
pub(crate) fn picker(settings: &Settings, parameter: &str) -> Result<Arc<ColumnPicker>, Fault> {
    settings.get_columns(parameter).cloned().ok_or_else(|| {
        internal_error::module_execution_failed()
            .because(format!("parameter \"{parameter}\" has no value"))
    })
}
