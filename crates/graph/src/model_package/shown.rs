//! A model package as it may be shown: without its secrets.

use serde_json::Value;

use super::{StoredKind, module_asset};
use crate::interface::ParameterKind;
use crate::registry::Registry;

/// Takes the secrets out of a model package: values of parameters that are credentials, or of
/// modules that nobody knows, and the signatures of URLs. What is not where it should be is left as
/// it is.
pub fn without_secrets(document: &mut Value, registry: &Registry) {
    let mut secret_parameters = Vec::new();
    if let Some(workflow) = member_mut(document, "Workflow") {
        for node in items_mut(workflow, "ModuleNodes") {
            hide_in_node(node, registry, &mut secret_parameters);
        }
    }
    for parameter in items_mut(document, "Parameters") {
        let credential = ParameterKind::Credential.name();
        let is_credential = |value: &mut Value, member: &str| {
            text(value, member).is_some_and(|kind| kind.eq_ignore_ascii_case(credential))
        };
        let declared = is_credential(parameter, "Type")
            || member_mut(parameter, "ParameterDefinition").is_some_and(|definition| {
                is_credential(definition, "ParameterType") || is_credential(definition, "Type")
            });
        let linked = text(parameter, "Name").is_some_and(|name| {
            let mut secret = secret_parameters.iter();
            secret.any(|known: &String| known.eq_ignore_ascii_case(&name))
        });
        if declared || linked {
            hide(parameter, "Value");
            hide(parameter, "DefaultValue");
            if let Some(definition) = member_mut(parameter, "ParameterDefinition") {
                hide(definition, "DefaultValue");
            }
        }
    }
}

/// Hides the secrets of a node; `linked` gets the web service parameters that set one.
fn hide_in_node(node: &mut Value, registry: &Registry, linked: &mut Vec<String>) {
    let module = text(node, "ModuleId")
        .and_then(|id| registry.module(&module_asset(&id)))
        .map(|module| module.interface());
    for parameter in items_mut(node, "ModuleParameters") {
        let kind = module.and_then(|interface| {
            let name = text(parameter, "Name")?;
            let spec = interface.parameters.get(interface.parameter(&name)?)?;
            Some(spec.kind)
        });
        if kind.is_some_and(|kind| kind != ParameterKind::Credential) {
            continue;
        }
        let by_name = text(parameter, "ValueType")
            .is_some_and(|kind| kind.eq_ignore_ascii_case("GraphParameterName"));
        linked.extend(text(parameter, "LinkedGlobalParameter"));
        match by_name {
            true => linked.extend(text(parameter, "Value")),
            false => hide(parameter, "Value"),
        }
    }
    for port in items_mut(node, "InputPortsInternal") {
        for kind in [
            StoredKind::DataSource,
            StoredKind::TrainedModel,
            StoredKind::Transform,
        ] {
            if let Some(Value::String(reference)) = member_mut(port, kind.member())
                && let Some(at) = reference.find('?')
            {
                reference.truncate(at);
            }
        }
    }
}

fn hide(object: &mut Value, name: &str) {
    if let Some(value) = member_mut(object, name) {
        *value = Value::Null;
    }
}

/// The member of that name, in any case.
fn member_mut<'a>(object: &'a mut Value, name: &str) -> Option<&'a mut Value> {
    object
        .as_object_mut()?
        .iter_mut()
        .find(|(key, _)| key.eq_ignore_ascii_case(name))
        .map(|(_, value)| value)
}

/// The items of the array of that name; none where there is no array.
fn items_mut<'a>(object: &'a mut Value, name: &str) -> std::slice::IterMut<'a, Value> {
    match member_mut(object, name) {
        Some(Value::Array(items)) => items.iter_mut(),
        _ => Default::default(),
    }
}

fn text(object: &mut Value, name: &str) -> Option<String> {
    Some(member_mut(object, name)?.as_str()?.to_owned())
}
