//! Module ids of the operator's own: the classic service knew modules by ids that differ from one
//! release and region to the next, and a definition may name one that is not built in.
//!
//! `modules.d` holds a file for each, `{32 digits}.json`, that says which built-in module it is:
//! `{"module": "Score Model", "names": ["My scorer"]}`. The id is the file's name, so that a file
//! that cannot be read is known by whom it is meant for.

use std::collections::HashMap;
use std::path::Path;

use faults::Fault;
use graph::{AssetKind, Package, Registry};
use serde_json::{Map, Value};

use crate::json::{member, member_mut, object_mut};

/// The largest description that is read, in bytes.
const LIMIT: u64 = 64 * 1024;

/// What the operator's descriptions say.
#[derive(Debug, Clone, Default)]
pub struct ModuleIds {
    /// By id in lower case: the family of the built-in module, or what is wrong with the
    /// description.
    known: HashMap<String, Result<&'static str, String>>,
    /// Ids by further names in lower case.
    names: HashMap<String, String>,
}

impl ModuleIds {
    /// Reads the descriptions in a folder; one that is absent holds none. What is wrong with a
    /// description is logged, and told to whoever names its module.
    pub fn read(folder: &Path, registry: &Registry) -> ModuleIds {
        let mut ids = ModuleIds::default();
        let entries = match std::fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return ids,
            Err(error) => {
                tracing::warn!(folder = %folder.display(), %error, "descriptions of modules cannot be read");
                return ids;
            }
        };
        let mut files: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
        files.sort();
        for file in files {
            if file
                .extension()
                .is_none_or(|e| !e.eq_ignore_ascii_case("json"))
            {
                continue;
            }
            let id = file
                .file_stem()
                .and_then(|stem| store::Id::parse(stem.to_str()?));
            let Some(id) = id else {
                tracing::warn!(file = %file.display(), "a description of a module is not named by an id of 32 digits");
                continue;
            };
            let id = id.to_string();
            let described = described(&file, registry);
            match described {
                Ok((family, names)) => {
                    for name in names {
                        ids.names.insert(name.trim().to_lowercase(), id.clone());
                    }
                    ids.known.insert(id, Ok(family));
                }
                Err(problem) => {
                    tracing::warn!(file = %file.display(), problem, "a description of a module is at fault");
                    ids.known.insert(id, Err(problem));
                }
            }
        }
        ids
    }

    fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// The built-in family that an asset stands for; `None` where no description says anything.
    fn family(
        &self,
        name: &str,
        family: Option<&str>,
    ) -> Option<(&str, &Result<&'static str, String>)> {
        let id = match family {
            Some(family) => family.to_lowercase(),
            None => self.names.get(&name.trim().to_lowercase())?.clone(),
        };
        let (id, described) = self.known.get_key_value(&id)?;
        Some((id, described))
    }

    /// Puts built-in modules in the place of the operator's own.
    ///
    /// # Errors
    /// `WebServicePackageInternalError.ModuleError` for a module whose description is at fault.
    pub(crate) fn resolve(&self, package: &mut Package) -> Result<(), Fault> {
        if self.is_empty() {
            return Ok(());
        }
        for (asset_id, asset) in &mut package.assets {
            if asset.kind != AssetKind::Module {
                continue;
            }
            match self.family(&asset.name, asset.module_family()) {
                None => {}
                Some((_, Ok(family))) => asset.uri = uri(family),
                Some((id, Err(problem))) => {
                    let text = format!("the description of the module {id} is at fault: {problem}");
                    return Err(
                        faults::web_service_package_internal_error::module_error(text)
                            .at(format!("assets/{asset_id}")),
                    );
                }
            }
        }
        Ok(())
    }

    /// As [`ModuleIds::resolve`], of a definition as text, for a container, which knows what is
    /// built in and nothing else.
    pub(crate) fn resolved(&self, definition: String) -> Result<String, Fault> {
        if self.is_empty() {
            return Ok(definition);
        }
        let unreadable = |e: serde_json::Error| {
            faults::internal_error::web_service_package_invalid("it is not JSON").caused_by(&e)
        };
        let mut value: Value = serde_json::from_str(&definition).map_err(unreadable)?;
        let mut package = Package::from_stored_json(&value)?;
        self.resolve(&mut package)?;
        let mut changed = false;
        if let Some(assets) = value.as_object_mut().and_then(|d| object_mut(d, "assets")) {
            for (id, asset) in package.assets {
                let location = assets
                    .get_mut(&id)
                    .and_then(|asset| object_mut(asset.as_object_mut()?, "locationInfo"));
                if let Some(old) = location.and_then(|l: &mut Map<_, _>| member_mut(l, "uri"))
                    && old.as_str() != Some(&asset.uri)
                {
                    *old = asset.uri.into();
                    changed = true;
                }
            }
        }
        Ok(if changed {
            value.to_string()
        } else {
            definition
        })
    }
}

fn uri(family: &str) -> String {
    format!("aml://module/{family}")
}

/// Reads one description: the built-in family, and further names.
fn described(file: &Path, registry: &Registry) -> Result<(&'static str, Vec<String>), String> {
    let size = std::fs::metadata(file).map_err(|e| e.to_string())?.len();
    if size > LIMIT {
        return Err(format!("it has more than {LIMIT} bytes"));
    }
    let text = std::fs::read_to_string(file).map_err(|e| e.to_string())?;
    let value: Value = serde_json::from_str(&text).map_err(|e| format!("it is no JSON: {e}"))?;
    let top = value.as_object().ok_or("it is no JSON object")?;
    let module = member(top, "module")
        .and_then(Value::as_str)
        .ok_or("it has no text \"module\"")?;
    let interface = registry
        .describe()
        .find(|interface| {
            [interface.name, interface.family]
                .iter()
                .chain(interface.aliases)
                .chain(interface.families)
                .any(|known| known.eq_ignore_ascii_case(module.trim()))
        })
        .ok_or_else(|| format!("no built-in module is called \"{module}\""))?;
    let names = match member(top, "names") {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(names)) => names
            .iter()
            .map(|name| name.as_str().map(str::to_owned))
            .collect::<Option<_>>()
            .ok_or("\"names\" holds something that is no text")?,
        Some(_) => return Err("\"names\" is no list".to_owned()),
    };
    Ok((interface.family, names))
}
