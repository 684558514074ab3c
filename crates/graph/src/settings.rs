//! A node's parameter values, read by its module's interface.

use std::sync::Arc;

use crate::column_picker::ColumnPicker;
use crate::interface::{Interface, Refusal};

/// A parameter's value, typed.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// String, script, credential, parameter range, data gateway name.
    Text(String),
    /// A whole number.
    Int(i64),
    /// A number.
    Float(f64),
    /// True or false.
    Boolean(bool),
    /// The option of an enumeration or mode, as the interface spells it.
    Choice(&'static str),
    /// A column selection.
    Columns(Arc<ColumnPicker>),
}

/// What a module is prepared with: a value, or none, for each parameter of its interface.
///
/// The getters take the parameter's name as the interface spells it; a name that it does not have,
/// or a value of another type, gives `None`.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    interface: &'static Interface,
    values: Vec<Option<Value>>,
}

impl Settings {
    /// The interface's defaults. Defaults are part of the interface and always read; one that
    /// does not counts as none.
    pub fn defaults(interface: &'static Interface) -> Settings {
        Settings {
            interface,
            values: interface
                .parameters
                .iter()
                .map(|p| p.default.and_then(|text| p.read(text).ok()))
                .collect(),
        }
    }

    /// These settings with values for some parameters, by name and text, each by its rule.
    pub fn with(mut self, values: &[(&str, &str)]) -> Result<Settings, Refusal> {
        for (name, text) in values {
            let position = self.interface.parameter(name);
            let position = position
                .ok_or_else(|| Refusal::Rule(format!("{name}: not a parameter of the module")))?;
            let value = self.interface.parameters[position].read(text)?;
            self.values[position] = Some(value);
        }
        Ok(self)
    }

    /// The interface that these are for.
    pub fn interface(&self) -> &'static Interface {
        self.interface
    }

    /// Sets the value at a parameter's position.
    pub(crate) fn set(&mut self, position: usize, value: Option<Value>) {
        self.values[position] = value;
    }

    /// The value at a parameter's position.
    pub fn value(&self, position: usize) -> Option<&Value> {
        self.values.get(position)?.as_ref()
    }

    /// Whether the parameter at a position counts: it is no child of a mode, or the mode has a
    /// value that brings it (and counts itself).
    pub fn counts(&self, position: usize) -> bool {
        // Interfaces nest modes a level or two deep; the bound ends a circle in a wrong one.
        let mut position = position;
        for _ in 0..8 {
            let Some((parent, brings)) = self.interface.parameters[position].parent else {
                return true;
            };
            let Some(parent) = self.interface.parameter(parent) else {
                return false;
            };
            match &self.values[parent] {
                Some(Value::Choice(option)) if brings.contains(option) => position = parent,
                Some(Value::Boolean(flag))
                    if brings.contains(&if *flag { "True" } else { "False" }) =>
                {
                    position = parent;
                }
                _ => return false,
            }
        }
        false
    }

    fn get(&self, name: &str) -> Option<&Value> {
        self.value(self.interface.parameter(name)?)
    }

    /// A text, or the word of an option.
    pub fn get_str(&self, name: &str) -> Option<&str> {
        match self.get(name)? {
            Value::Text(text) => Some(text),
            Value::Choice(option) => Some(option),
            _ => None,
        }
    }

    /// A whole number.
    pub fn get_i64(&self, name: &str) -> Option<i64> {
        match self.get(name)? {
            Value::Int(number) => Some(*number),
            _ => None,
        }
    }

    /// A number, whole or not.
    pub fn get_f64(&self, name: &str) -> Option<f64> {
        match self.get(name)? {
            Value::Int(number) => Some(*number as f64),
            Value::Float(number) => Some(*number),
            _ => None,
        }
    }

    /// True or false.
    pub fn get_bool(&self, name: &str) -> Option<bool> {
        match self.get(name)? {
            Value::Boolean(flag) => Some(*flag),
            _ => None,
        }
    }

    /// The option of an enumeration or mode.
    pub fn get_option(&self, name: &str) -> Option<&'static str> {
        match self.get(name)? {
            Value::Choice(option) => Some(option),
            _ => None,
        }
    }

    /// A column selection.
    pub fn get_columns(&self, name: &str) -> Option<&Arc<ColumnPicker>> {
        match self.get(name)? {
            Value::Columns(picker) => Some(picker),
            _ => None,
        }
    }
}
