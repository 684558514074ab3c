//! Web service parameters of one call: which are given, and what a node's settings become.
//!
//! Names are compared letter for letter. A parameter with a value in the definition's
//! `parameters` may be left out; one without must be given. A parameter that is linked only to
//! children of a mode is judged when the graph runs, by the mode then in force: needed where the
//! mode brings what it is linked to, unexpected where the mode does not.

use faults::{Fault, bad_argument, bad_user_argument};
use tables::Scalar;

use crate::resolve::{Global, ModuleNode, ResolvedNode, Role};
use crate::settings::Settings;

/// The web service parameters of one call, checked by type and rule.
#[derive(Debug, Clone, Default)]
pub struct Parameters {
    /// A text for each parameter of the plan, in its order; `None` where no parameter is given
    /// at all, which is the common case and costs nothing.
    given: Option<Box<[Option<String>]>>,
}

impl Parameters {
    /// What the call gives for the parameter at a position of the plan.
    fn text(&self, global: usize) -> Option<&str> {
        self.given.as_ref()?.get(global)?.as_deref()
    }

    /// Whether the call gives no parameter at all.
    pub fn is_empty(&self) -> bool {
        self.given.is_none()
    }

    /// What the call gives for these parameters of the plan.
    pub(crate) fn texts(&self, links: &[(usize, usize)]) -> Vec<Option<String>> {
        links
            .iter()
            .map(|&(_, global)| self.text(global).map(str::to_owned))
            .collect()
    }
}

fn text_of(value: &Scalar) -> Option<&str> {
    match value {
        // A null says nothing: the default stands, as if the name were left out.
        Scalar::Null => None,
        Scalar::Bool(true) => Some("True"),
        Scalar::Bool(false) => Some("False"),
        Scalar::Number(text) | Scalar::String(text) => Some(text),
    }
}

/// Reads the parameters of a call: unknown names first, then missing ones, then values.
pub(crate) fn read(globals: &[Global], given: &[(String, Scalar)]) -> Result<Parameters, Fault> {
    let mut texts: Option<Box<[Option<String>]>> = None;
    for (name, value) in given {
        let Some(position) = globals.iter().position(|global| &global.name == name) else {
            return Err(bad_argument::unexpected_parameter().at(name.as_str()));
        };
        if let Some(text) = text_of(value) {
            let texts = texts.get_or_insert_with(|| vec![None; globals.len()].into());
            texts[position] = Some(text.to_owned());
        }
    }
    let parameters = Parameters { given: texts };
    for (position, global) in globals.iter().enumerate() {
        let has_value = global.default.is_some() || parameters.text(position).is_some();
        if !has_value && !global.only_children {
            return Err(bad_argument::missing_required_global_parameters().at(global.name.as_str()));
        }
    }
    for (position, global) in globals.iter().enumerate() {
        if let Some(text) = parameters.text(position) {
            global.check(text)?;
        }
    }
    Ok(parameters)
}

/// A node's settings for a call: what the call gives, else the parameter's default, else what the
/// node says.
pub(crate) fn settle(
    module: &ModuleNode,
    globals: &[Global],
    parameters: &Parameters,
) -> Result<Settings, Fault> {
    let mut settings = module.base.clone();
    let specs = module.interface().parameters;
    for &(position, index) in &module.links {
        let global = &globals[index];
        let Some(text) = parameters.text(index).or(global.default.as_deref()) else {
            continue;
        };
        // Checked before, against the same rule; a refusal here would be a mistake of ours.
        let value = specs[position].read(text).map_err(|refusal| {
            bad_argument::bad_parameter_value()
                .at(global.name.as_str())
                .because(format!("{refusal:?}"))
        })?;
        settings.set(position, Some(value));
    }
    Ok(settings)
}

/// Checks, with the modes in force, the parameters that are linked only to children of modes.
pub(crate) fn check_modes(
    globals: &[Global],
    nodes: &[ResolvedNode],
    parameters: &Parameters,
) -> Result<(), Fault> {
    for (index, global) in globals.iter().enumerate() {
        if !global.only_children {
            continue;
        }
        let given = parameters.text(index).is_some();
        // A default neither is missing nor was passed by the caller.
        if !given && global.default.is_some() {
            continue;
        }
        let mut taken = false;
        for &(node, position) in &global.links {
            if let Role::Module(module) = &nodes[node].role {
                taken |= settle(module, globals, parameters)?.counts(position);
            }
        }
        match (given, taken) {
            (true, false) => {
                return Err(bad_user_argument::unexpected_parameter().at(global.name.as_str()));
            }
            (false, true) => {
                return Err(bad_user_argument::missing_required_global_parameters()
                    .at(global.name.as_str()));
            }
            _ => {}
        }
    }
    Ok(())
}
