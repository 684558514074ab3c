//! Publishing code: a function of one table in and one out, with the files that it needs.
//!
//! A code bundle is a package in other words: one input, one script module, one output. It becomes
//! a definition of that kind and goes the way of every deploy, under the id that the client chose.
//! What runs scripts are the script modules of the registry; a language that none of them offers is
//! refused before anything is stored.

mod zip;

use std::sync::Arc;

use faults::{Fault, bad_argument, not_found, web_service_package_error};
use graph::{Asset, AssetKind, Interface, Package, Plan, Registry};
use serde_json::{Map, Value, json};
use store::{Entry, Id, ResourceName, Role, Sha256, Workspace};

use crate::access::{Principal, Target};
use crate::classic::{ClassicService, ServicePath};
use crate::deploy::{broken, conflict};
use crate::json::{member, read_object};
use crate::{Inner, Manager, names};

/// What a service that was published so says of its place.
const LOCATION: &str = "local";
/// The workspace segment of built-in modules' ids.
const BUILT_IN: &str = "506153734175476c4f62416c57734963";
/// The longest name, in characters.
const LONGEST_NAME: usize = 260;

/// A module that runs scripts, as definitions name it.
struct ScriptModule {
    /// The language, as clients begin its name.
    language: &'static str,
    name: &'static str,
    family: &'static str,
    /// The parameters that take the script and the version.
    script: &'static str,
    version: &'static str,
}

/// The script modules that there can be. Which of them there are, and for which versions, the
/// registry says.
static SCRIPT_MODULES: [ScriptModule; 2] = [
    ScriptModule {
        language: "python",
        name: "Execute Python Script",
        family: "cdb56f957f4c404dbde75bb972e6f232",
        script: "Python Script",
        version: "Python Version",
    },
    ScriptModule {
        language: "R",
        name: "Execute R Script",
        family: "30806023392b42e094d66b775a6e0fd5",
        script: "R Script",
        version: "R Version",
    },
];

impl ScriptModule {
    fn uri(&self) -> String {
        format!("aml://module/{BUILT_IN}.{}.v1-default-1", self.family)
    }

    /// The module's interface, where it is in the registry.
    fn interface(&self, registry: &Registry) -> Option<&'static Interface> {
        let asset = Asset {
            name: self.name.to_owned(),
            kind: AssetKind::Module,
            uri: self.uri(),
            credentials: String::new(),
            input_ports: Vec::new(),
            output_ports: Vec::new(),
        };
        registry.module(&asset).map(|module| module.interface())
    }

    /// The versions that it runs: the number, and what its parameter calls it.
    fn versions(&self, registry: &Registry) -> Vec<(&'static str, &'static str)> {
        let interface = self.interface(registry);
        let parameter = interface
            .and_then(|interface| interface.parameters.iter().find(|p| p.name == self.version));
        let options = parameter.map_or(&[][..], |parameter| parameter.options);
        options
            .iter()
            .filter_map(|option| {
                // `Anaconda 4.0/Python 2.7.11`: the last number counts.
                let words = option.split([' ', '/']);
                let is_number = |w: &&str| w.starts_with(|c: char| c.is_ascii_digit());
                Some((words.rev().find(is_number)?, *option))
            })
            .collect()
    }
}

/// What runs a bundle: the module, and what its parameter calls the version.
struct Runtime {
    module: &'static ScriptModule,
    version: &'static str,
}

/// Finds what runs a language such as `python-2.7-64` or `R-3.1-64`, in any case.
///
/// # Errors
/// `WebServicePackageError.RuntimesError`, which names the language and those that are there.
fn runtime(language: &str, registry: &Registry) -> Result<Runtime, Fault> {
    let mut parts = language.trim().splitn(3, '-');
    let (name, version, bits) = (parts.next(), parts.next(), parts.next());
    let found = SCRIPT_MODULES.iter().find_map(|module| {
        let fits = name.is_some_and(|name| name.eq_ignore_ascii_case(module.language));
        let version = version.filter(|_| fits && bits == Some("64"))?;
        let is = |number: &str| {
            let rest = number.strip_prefix(version);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        let versions = module.versions(registry);
        let (_, option) = versions.iter().rev().find(|(number, _)| is(number))?;
        Some(Runtime {
            module,
            version: option,
        })
    });
    found.ok_or_else(|| {
        let all = SCRIPT_MODULES.iter().flat_map(|module| {
            let versions = module.versions(registry).into_iter();
            versions.map(|(number, _)| format!("{}-{number}-64", module.language))
        });
        let all: Vec<String> = all.collect();
        let there = match all.is_empty() {
            true => "no language".to_owned(),
            false => all.join(", "),
        };
        web_service_package_error::runtimes_error(format!(
            "the code is written in {:?}, and this installation runs {there}",
            shortened(language)
        ))
        .at("CodeBundle/Language")
    })
}

/// A caller's text in a message: at most 64 characters of it.
fn shortened(text: &str) -> String {
    text.chars().take(64).collect()
}

/// The body of a publication, its form checked.
struct Bundle {
    name: String,
    input: Map<String, Value>,
    output: Map<String, Value>,
    language: String,
    source: String,
    archive: Option<Vec<u8>>,
}

impl Bundle {
    /// Reads and checks the body. Names of members count in any case.
    ///
    /// # Errors
    /// `BadArgument.RequestBodyInvalid` for a body that is no JSON object or has no `Name`;
    /// `BadArgument.RequestIsEmpty`; `BadArgument.WebServiceTypeInvalid` for another `Type` than
    /// `Code`; `BadArgument.MissingWebServicePackage` without `CodeBundle`;
    /// `WebServicePackageError.FormatError` for what is wrong with that, at its place.
    fn parse(body: &[u8]) -> Result<Bundle, Fault> {
        let object = read_object(body)?;
        if object.is_empty() {
            return Err(bad_argument::request_is_empty());
        }
        match member(&object, "Type") {
            Some(Value::String(kind)) if kind.eq_ignore_ascii_case("Code") => {}
            _ => return Err(bad_argument::web_service_type_invalid("Code").at("Type")),
        }
        let name = match member(&object, "Name") {
            Some(Value::String(name)) if !name.trim().is_empty() => name.trim().to_owned(),
            _ => return Err(bad_argument::request_body_invalid().at("Name")),
        };
        if name.chars().count() > LONGEST_NAME || name.contains(char::is_control) {
            return Err(bad_argument::request_body_invalid().at("Name"));
        }
        let bundle = match member(&object, "CodeBundle") {
            None | Some(Value::Null) => {
                return Err(bad_argument::missing_web_service_package().at("CodeBundle"));
            }
            Some(Value::Object(bundle)) => bundle,
            Some(_) => return Err(format_error("CodeBundle", "must be an object")),
        };
        let text = |name: &str| match member(bundle, name) {
            Some(Value::String(text)) if !text.trim().is_empty() => Ok(text.clone()),
            _ => Err(format_error(
                &format!("CodeBundle/{name}"),
                "must be a text that is not empty",
            )),
        };
        Ok(Bundle {
            name,
            input: schema(bundle, "InputSchema")?,
            output: schema(bundle, "OutputSchema")?,
            language: text("Language")?,
            source: text("SourceCode")?,
            archive: archive(member(bundle, "ZipContents"))?,
        })
    }

    /// The definition that the bundle is in other words. `archive` is the blob of its files.
    fn definition(
        &self,
        runtime: &Runtime,
        workspace: Id,
        location: &str,
        archive: Option<Sha256>,
    ) -> Value {
        let port = |columns: &Map<String, Value>| json!({"type": "object", "properties": columns});
        let module = runtime.module;
        let mut assets = json!({"script": {
            "name": module.name, "type": "Module",
            "locationInfo": {"uri": module.uri(), "credentials": ""}}});
        let mut nodes = json!({
            "input": {"inputId": "input1"},
            "script": {"assetId": "script", "parameters": {
                module.script: {"value": self.source, "certificateThumbprint": ""},
                module.version: {"value": runtime.version, "certificateThumbprint": ""}}},
            "output": {"outputId": "output1"},
        });
        let mut edges = vec![
            json!({"sourceNodeId": "input", "targetNodeId": "script", "targetPortId": "Dataset1"}),
            json!({"sourceNodeId": "script", "sourcePortId": "Result Dataset",
                "targetNodeId": "output"}),
        ];
        if let Some(sha256) = archive {
            assets["bundle"] = json!({
                "name": format!("{} [script bundle]", self.name), "type": "Resource",
                "locationInfo": {"uri": format!("umpire:sha256:{sha256}"), "credentials": ""},
                "outputPorts": {"Results dataset": {"type": "Dataset"}}});
            nodes["bundle"] = json!({"assetId": "bundle"});
            edges.push(
                json!({"sourceNodeId": "bundle", "sourcePortId": "Results dataset",
                "targetNodeId": "script", "targetPortId": "Script Bundle"}),
            );
        }
        json!({
            "location": location,
            "tags": {},
            "properties": {
                "packageType": "Graph",
                "title": self.name,
                "machineLearningWorkspace": {"id": workspace.to_string()},
                "input": {"type": "object", "properties": {"input1": port(&self.input)}},
                "output": {"type": "object", "properties": {"output1": port(&self.output)}},
                "assets": assets,
                "package": {"nodes": nodes, "edges": edges, "graphParameters": {}},
            }
        })
    }
}

fn format_error(place: &str, problem: &str) -> Fault {
    web_service_package_error::format_error(format!("{place} {problem}")).at(place)
}

/// `InputSchema` or `OutputSchema`: columns with their types, as a definition has them. Whether the
/// types are known is for the definition's own reader to say.
fn schema(bundle: &Map<String, Value>, name: &str) -> Result<Map<String, Value>, Fault> {
    let place = format!("CodeBundle/{name}");
    let Some(Value::Object(columns)) = member(bundle, name) else {
        return Err(format_error(&place, "must be an object of columns"));
    };
    let mut read = Map::new();
    for (column, spec) in columns {
        let place = format!("{place}/{column}");
        let Some(spec) = spec.as_object() else {
            return Err(format_error(&place, "must be an object with a type"));
        };
        let word = |name: &str, needed: bool| match member(spec, name) {
            None | Some(Value::Null) if !needed => Ok(String::new()),
            Some(Value::String(word)) => Ok(word.clone()),
            _ => Err(format_error(
                &place,
                &format!("must have a {name} that is a text"),
            )),
        };
        let (kind, format) = (word("type", true)?, word("format", false)?);
        read.insert(column.clone(), json!({"type": kind, "format": format}));
    }
    Ok(read)
}

/// `ZipContents`: base64 of an archive, checked to its last byte.
fn archive(value: Option<&Value>) -> Result<Option<Vec<u8>>, Fault> {
    let place = "CodeBundle/ZipContents";
    let text = match value {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::String(text)) if text.is_empty() => return Ok(None),
        Some(Value::String(text)) => text,
        Some(_) => return Err(format_error(place, "must be base64 text")),
    };
    // Some encoders break lines.
    let digits: String = text.split_ascii_whitespace().collect();
    let bytes = outbound::base64::decode(&digits)
        .ok_or_else(|| format_error(place, "must be base64 text"))?;
    zip::check(&bytes)
        .map_err(|problem| format_error(place, &format!("is not an archive to take: {problem}")))?;
    Ok(Some(bytes))
}

impl Manager {
    /// Publishes code as the service of the path's id: made, or given a further revision; whether
    /// it was made. The answer comes when the service scores or has failed, as for a deploy.
    ///
    /// # Errors
    /// `Unauthorized.ManagementRequestUnauthorized` beyond role or scope;
    /// `NotFound.WorkspaceNotFound`, `.WebServiceIdNotFoundInWorkspace`; `Conflict` for an id that
    /// is taken; `BadArgument.RequestBodyInvalid`, `.RequestIsEmpty`, `.WebServiceTypeInvalid`,
    /// `.MissingWebServicePackage`; `WebServicePackageError.FormatError` for a bundle that does
    /// not read; `BadArgument.DataTypeNotSupported` for a column's type;
    /// `WebServicePackageError.RuntimesError` for a language that nothing here runs; the rest as
    /// for [`Manager::deploy`]. Nothing of a publication that is refused stays.
    pub async fn publish_code(
        &self,
        principal: &Principal,
        path: &ServicePath,
        body: impl AsRef<[u8]> + Send + 'static,
    ) -> Result<(ClassicService, bool), Fault> {
        let (workspace, before) = self.inner.place_of_code(principal, path)?;
        let (inner, id) = (self.inner.clone(), path.service);
        let checked = tokio::task::spawn_blocking(move || {
            let bundle = Bundle::parse(body.as_ref())?;
            let location = before.as_ref().map_or(LOCATION, |entry| &entry.location);
            let runtime = runtime_or_types(&bundle, workspace.id, location, &inner.registry)?;
            let archive = bundle.archive.as_deref().map(Sha256::of);
            let definition = bundle.definition(&runtime, workspace.id, location, archive);
            let package = Package::from_json(&definition)?;
            Plan::validate(&package, &inner.registry)?;
            let name = match before {
                Some(before) => before.service_name.clone(),
                None => inner.name_of_code(&workspace, &bundle.name, id),
            };
            // The archive last: what is refused by now has left nothing.
            if let Some(bytes) = &bundle.archive {
                inner.store_archive(bytes)?;
            }
            Ok::<_, Fault>((name, definition))
        });
        let (name, definition) = checked.await.map_err(|e| broken(&e))??;
        let body = definition.to_string();
        let deployed = self.deploy_with_id(principal, name, body, id).await?;
        let service = self.classic_service(principal, path).await?;
        Ok((service, deployed.created))
    }
}

/// What runs the bundle. Types that nobody knows are told first: they are wrong whatever runs it.
fn runtime_or_types(
    bundle: &Bundle,
    workspace: Id,
    location: &str,
    registry: &Registry,
) -> Result<Runtime, Fault> {
    let any = Runtime {
        module: &SCRIPT_MODULES[0],
        version: "",
    };
    Package::from_json(&bundle.definition(&any, workspace, location, None))?;
    runtime(&bundle.language, registry)
}

impl Inner {
    /// Where code is published to, for somebody who may: the workspace, and the service that is
    /// changed, where there is one.
    fn place_of_code(
        &self,
        principal: &Principal,
        path: &ServicePath,
    ) -> Result<(Arc<Workspace>, Option<Arc<Entry>>), Fault> {
        let workspace = self.workspace_at(principal, Role::Manage, &path.workspace)?;
        let directory = self.store.ledger.directory();
        let target = match directory.endpoint(&path.service) {
            Some(entry) if entry.workspace == workspace.id => Target::service(entry),
            _ => Target::workspace(&workspace),
        };
        principal.permit(Role::Manage, &target)?;
        match directory.endpoint(&path.service) {
            None => Ok((workspace, None)),
            Some(entry) if entry.service != path.service => {
                Err(conflict("the id is that of an endpoint"))
            }
            Some(entry) if entry.workspace == workspace.id => Ok((workspace, Some(entry.clone()))),
            Some(entry) if principal.sees(&Target::service(entry)) => {
                Err(not_found::web_service_id_not_found_in_workspace())
            }
            Some(_) => Err(conflict("the id is taken")),
        }
    }

    /// The Resource Manager name of a new service. Names of the classic API need not be unique: one
    /// that is taken, or that is none there, gives way to the id.
    fn name_of_code(&self, workspace: &Workspace, name: &str, id: Id) -> ResourceName {
        let named = |name: &str| ResourceName {
            subscription: workspace.name.subscription.clone(),
            resource_group: workspace.name.resource_group.clone(),
            name: name.to_owned(),
        };
        let wished = named(name);
        let directory = self.store.ledger.directory();
        let free = names::check(&wished).is_ok() && directory.by_name(&wished.key()).is_none();
        match free {
            true => wished,
            false => named(&id.to_string()),
        }
    }

    /// Stores an archive. May wait for the disk.
    fn store_archive(&self, bytes: &[u8]) -> Result<(), Fault> {
        let failed = |e: std::io::Error| {
            faults::internal_error::failed_storing_web_service()
                .caused_by(&e)
                .because("an archive cannot be written")
        };
        let mut incoming = self.store.blobs.incoming().map_err(failed)?;
        std::io::Write::write_all(&mut incoming, bytes).map_err(failed)?;
        incoming.finish().map(drop).map_err(failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use faults::rows::{BadArgument, WebServicePackageError as Package_};

    fn body() -> Value {
        json!({"Name": "add", "Type": "Code", "CodeBundle": {
            "InputSchema": {"a": {"type": "integer", "format": "int64"}, "b": {"type": "Boolean"}},
            "OutputSchema": {"result": {"type": "number", "format": "double"}},
            "Language": "python-2.7-64",
            "SourceCode": "def azureml_main(a): return a"}})
    }

    fn parse(body: &Value) -> Result<Bundle, Fault> {
        Bundle::parse(body.to_string().as_bytes())
    }

    #[test]
    fn what_clients_send_is_read_and_becomes_a_package() {
        let bundle = parse(&body()).unwrap();
        let runtime = Runtime {
            module: &SCRIPT_MODULES[1],
            version: "CRAN R 3.1.0",
        };
        let hash = Sha256::of(b"x");
        let definition = bundle.definition(&runtime, Id([1; 16]), "local", Some(hash));
        let package = Package::from_json(&definition).unwrap();
        assert_eq!(package.title, "add");
        let columns: Vec<_> = package.inputs[0].schema.fields().iter().collect();
        assert_eq!(
            (columns[0].name.as_str(), columns[1].name.as_str()),
            ("a", "b")
        );
        assert_eq!(package.outputs[0].name, "output1");
        assert_eq!(package.resources().count(), 1);
        assert_eq!(package.nodes.len(), 4);
        // What is wrong with a type is told at its column.
        let mut strange = body();
        strange["CodeBundle"]["InputSchema"]["a"]["type"] = json!("matrix");
        let fault = runtime_or_types(
            &parse(&strange).unwrap(),
            Id([1; 16]),
            "local",
            &Registry::new(),
        );
        let fault = fault.err().unwrap();
        assert!(fault.is(&BadArgument::DataTypeNotSupported));
        assert_eq!(fault.details()[0].target.as_deref(), Some("input1/a"));
    }

    #[test]
    fn what_is_wrong_with_a_bundle_is_told_at_its_place() {
        type Change = fn(&mut Value);
        let cases: [(Change, &str); 9] = [
            (|b| b["CodeBundle"] = json!([]), "CodeBundle"),
            (
                |b| b["CodeBundle"]["InputSchema"] = json!(7),
                "CodeBundle/InputSchema",
            ),
            (
                |b| b["CodeBundle"]["InputSchema"]["a"] = json!("int"),
                "CodeBundle/InputSchema/a",
            ),
            (
                |b| b["CodeBundle"]["OutputSchema"]["result"] = json!({"format": "x"}),
                "CodeBundle/OutputSchema/result",
            ),
            (
                |b| b["CodeBundle"]["OutputSchema"] = Value::Null,
                "CodeBundle/OutputSchema",
            ),
            (
                |b| b["CodeBundle"]["Language"] = json!(""),
                "CodeBundle/Language",
            ),
            (
                |b| b["CodeBundle"]["SourceCode"] = json!(1),
                "CodeBundle/SourceCode",
            ),
            (
                |b| b["CodeBundle"]["ZipContents"] = json!("!!"),
                "CodeBundle/ZipContents",
            ),
            (
                |b| b["CodeBundle"]["ZipContents"] = json!("AAAA"),
                "CodeBundle/ZipContents",
            ),
        ];
        for (change, place) in cases {
            let mut body = body();
            change(&mut body);
            let fault = parse(&body).err().unwrap();
            assert!(
                fault.is(&Package_::FormatError),
                "{place}: {}",
                fault.name()
            );
            assert_eq!(fault.details()[0].target.as_deref(), Some(place));
        }
        let cases: [(Change, &faults::Row); 5] = [
            (|b| *b = json!({}), &BadArgument::RequestIsEmpty),
            (
                |b| b["Type"] = json!("Graph"),
                &BadArgument::WebServiceTypeInvalid,
            ),
            (
                |b| drop(b.as_object_mut().unwrap().remove("Type")),
                &BadArgument::WebServiceTypeInvalid,
            ),
            (|b| b["Name"] = json!(" "), &BadArgument::RequestBodyInvalid),
            (
                |b| b["CodeBundle"] = Value::Null,
                &BadArgument::MissingWebServicePackage,
            ),
        ];
        for (change, row) in cases {
            let mut body = body();
            change(&mut body);
            assert!(parse(&body).err().unwrap().is(row));
        }
    }

    #[test]
    fn a_language_that_nothing_runs_is_named() {
        let none = Registry::new();
        for language in [
            "python-2.7-64",
            "R-3.1-64",
            "r-3.1-64",
            "cobol-85-32",
            "python",
        ] {
            let fault = runtime(language, &none).err().unwrap();
            assert!(fault.is(&Package_::RuntimesError));
            let said = &fault.details()[0].args[0];
            assert!(
                said.contains(language) && said.contains("no language"),
                "{said}"
            );
        }
    }
}
