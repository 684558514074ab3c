//! `umpire deploy`.

use std::fs::File;
use std::io::{BufReader, Read as _};
use std::path::{Path, PathBuf};

use clap::Args;
use ring::digest::{Context, SHA256};
use serde_json::{Map, Value, json};
use wire::umpire_v1::Deployed;

use super::{Common, Connect, print_json};
use crate::client::{Client, ServicePath};
use crate::exit::Failure;
use crate::term;

/// The resource group of services that are deployed without one.
const GROUP: &str = store::DEFAULT_RESOURCE_GROUP;
/// The location of services that are deployed without one.
const LOCATION: &str = "local";

/// Deploy a model or a web service package.
///
/// A model is an ONNX file, LightGBM's text or XGBoost's JSON or UBJSON, told by its content. It is
/// made into a package with one input and one output: the columns and types of the
/// input come from the model and, where given, from a CSV file of sample rows. The command ends
/// when the service scores. Deploying under the same name again makes a new revision: ids and keys
/// stay, and no call fails.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  umpire deploy model.onnx --name census --sample rows.csv
  umpire deploy lightgbm.txt --name census
  umpire deploy package.json --name census --json

In a package, a resource asset whose locationInfo.uri is a relative path is uploaded from there.")]
pub(crate) struct Deploy {
    /// A model or a package: MODEL.onnx, MODEL.txt, MODEL.json, MODEL.ubj or PACKAGE.json
    file: PathBuf,
    /// The service's name [default: the file's name]
    #[arg(long)]
    name: Option<String>,
    /// Rows of what the model takes, with a header: for columns, types, and where gaps are allowed
    #[arg(long, value_name = "ROWS.csv")]
    sample: Option<PathBuf>,
    /// Allow missing values in this column; several times for several, or `all`
    #[arg(long, value_name = "COLUMN")]
    nullable: Vec<String>,
    /// Show sample rows in the service's Swagger document, which anyone may read
    #[arg(long, requires = "sample")]
    expose_sample: bool,
    /// Calls that are admitted at once [default: what the package says, else 20]
    #[arg(long, value_name = "NUMBER")]
    max_concurrent_calls: Option<u32>,
    /// The resource group
    #[arg(long, value_name = "GROUP", default_value = GROUP)]
    resource_group: String,
    /// Print one JSON object with URLs, keys and schemas
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connect: Connect,
}

impl Deploy {
    pub(crate) fn run(&self, common: &Common) -> Result<(), Failure> {
        let (effective, client) = common.connect(&self.connect)?;
        let name = match &self.name {
            Some(name) => name.clone(),
            None => name_of(&self.file)?,
        };
        let bytes = std::fs::read(&self.file).map_err(|e| unreadable(&self.file, &e))?;
        // A JSON file is a package, but for XGBoost's.
        let is_package = self
            .file
            .extension()
            .is_some_and(|e| e.eq_ignore_ascii_case("json"))
            && !models::Format::is_model_json(&bytes);
        let mut resource = if is_package {
            if self.sample.is_some() || !self.nullable.is_empty() {
                return Err(Failure::Usage(
                    "--sample and --nullable are for models; a package says its columns itself"
                        .to_owned(),
                ));
            }
            package_resource(&client, &self.file, &bytes)?
        } else {
            let model = Model {
                file: &self.file,
                bytes: &bytes,
                sample: self.sample.as_deref(),
                nullable: &self.nullable,
                expose_sample: self.expose_sample,
                title: &name,
            };
            model.resource(&client)?
        };
        if let Some(calls) = self.max_concurrent_calls {
            set_throttle(&mut resource, calls);
        }
        let path = ServicePath {
            subscription: effective.settings.subscription.clone(),
            group: self.resource_group.clone(),
            name,
        };
        let deployed = put(&client, &path, &resource)?;
        if self.json {
            return print_json(&deployed);
        }
        print(&deployed);
        Ok(())
    }
}

/// Sends a resource and reads back what a caller of the service needs.
pub(super) fn put(
    client: &Client,
    path: &ServicePath,
    resource: &Value,
) -> Result<Deployed, Failure> {
    let made = client.put_service(path, resource)?;
    // By id where the name may be another group's too.
    let id = made
        .properties
        .get("swaggerLocation")
        .and_then(Value::as_str)
        .and_then(|url| url.rsplit('/').nth(1))
        .unwrap_or(&made.name);
    let view = client.service(id)?;
    let keys = client.keys(id)?;
    Ok(Deployed {
        name: view.name,
        workspace_id: view.workspace_id,
        service_id: view.service_id,
        endpoint_id: view.endpoint_id,
        scoring_url: view.scoring_url,
        primary_key: keys.primary,
        secondary_key: keys.secondary,
        swagger_url: view.swagger_url,
        revision: view.revision,
        inputs: view.inputs,
        outputs: view.outputs,
    })
}

/// A deployed service for a reader.
pub(super) fn print(deployed: &Deployed) {
    let lines = [
        (
            "service",
            format!("{} (revision {})", deployed.name, deployed.revision),
        ),
        ("scoring URL", deployed.scoring_url.clone()),
        ("primary key", deployed.primary_key.clone()),
        ("secondary key", deployed.secondary_key.clone()),
        ("Swagger", deployed.swagger_url.clone()),
    ];
    for (label, value) in lines {
        if !term::line(&format!("{label:<14} {value}")) {
            return;
        }
    }
    for (label, ports) in [("input", &deployed.inputs), ("output", &deployed.outputs)] {
        for (port, columns) in ports.as_object().into_iter().flatten() {
            term::line(&term::heading(&format!("{label} {port}")));
            let columns = columns.get("properties").and_then(Value::as_object);
            for (column, spec) in columns.into_iter().flatten() {
                term::line(&format!("  {column}: {}", type_of(spec)));
            }
        }
    }
}

fn type_of(spec: &Value) -> String {
    let text = |name: &str| spec.get(name).and_then(Value::as_str).unwrap_or_default();
    let mut out = text("type").to_lowercase();
    if !text("format").is_empty() {
        out.push_str(&format!(" ({})", text("format").to_lowercase()));
    }
    if spec.get("x-ms-isnullable") == Some(&Value::Bool(true)) {
        out.push_str(", may be missing");
    }
    out
}

fn name_of(file: &Path) -> Result<String, Failure> {
    file.file_stem()
        .and_then(|stem| stem.to_str())
        .map(str::to_owned)
        .ok_or_else(|| Failure::Usage("give the service a name with --name".to_owned()))
}

fn unreadable(path: &Path, error: &dyn std::fmt::Display) -> Failure {
    Failure::Local(format!("{} cannot be read: {error}", path.display()))
}

/// A model that is made into a package.
pub(super) struct Model<'a> {
    pub(super) file: &'a Path,
    /// What stands in the file.
    pub(super) bytes: &'a [u8],
    pub(super) sample: Option<&'a Path>,
    pub(super) nullable: &'a [String],
    pub(super) expose_sample: bool,
    pub(super) title: &'a str,
}

impl Model<'_> {
    /// Uploads the model and makes the resource around it.
    pub(super) fn resource(&self, client: &Client) -> Result<Value, Failure> {
        let bytes = self.bytes;
        let sample = match self.sample {
            None => None,
            Some(path) => {
                let file = File::open(path).map_err(|e| unreadable(path, &e))?;
                let table = tables::csv::infer(BufReader::new(file)).map_err(|fault| {
                    Failure::Refused(fault.because(format!("the sample {}", path.display())))
                })?;
                Some(table)
            }
        };
        let sha256 = hex(ring::digest::digest(&SHA256, bytes).as_ref());
        let options = modules::PackageOptions {
            title: self.title.to_owned(),
            nullable: match self.nullable {
                [all] if all == "all" => modules::Nullable::All,
                columns => modules::Nullable::Columns(columns.to_vec()),
            },
            expose_sample_data: self.expose_sample,
            model_uri: format!("umpire:sha256:{sha256}"),
            ..modules::PackageOptions::default()
        };
        let package = modules::package_from_model(bytes, sample.as_ref(), &options)
            .map_err(Failure::Refused)?;
        client.put_blob(self.file, &sha256)?;
        Ok(as_resource(package))
    }
}

/// A package of the user's, with the files that it names uploaded.
fn package_resource(client: &Client, file: &Path, text: &[u8]) -> Result<Value, Failure> {
    let package: Value = serde_json::from_slice(text)
        .map_err(|e| Failure::Local(format!("{} is not JSON: {e}", file.display())))?;
    let mut resource = as_resource(package);
    let folder = file.parent().unwrap_or(Path::new("."));
    let assets = member(&mut resource, "properties").and_then(|p| member(p, "assets"));
    for asset in assets
        .and_then(Value::as_object_mut)
        .into_iter()
        .flat_map(|assets| assets.values_mut())
    {
        let Some(uri) = member(asset, "locationInfo").and_then(|l| member(l, "uri")) else {
            continue;
        };
        let Some(path) = uri.as_str().filter(|uri| is_relative(uri)) else {
            continue;
        };
        let path = folder.join(path);
        let sha256 = hash_file(&path)?;
        *uri = client.put_blob(&path, &sha256)?.uri.into();
    }
    Ok(resource)
}

/// Whether a location is a path beside the package: it has no scheme, and does not begin at the
/// root.
fn is_relative(uri: &str) -> bool {
    !uri.is_empty() && !uri.contains(':') && !uri.starts_with(['/', '\\'])
}

/// A member of an object by its name in any case, as packages may write it.
fn member<'v>(value: &'v mut Value, name: &str) -> Option<&'v mut Value> {
    value
        .as_object_mut()?
        .iter_mut()
        .find(|(key, _)| key.eq_ignore_ascii_case(name))
        .map(|(_, value)| value)
}

/// A package as a resource: `properties` alone get a frame, and a location where there is none.
fn as_resource(mut package: Value) -> Value {
    if member(&mut package, "properties").is_none() {
        package = json!({ "properties": package });
    }
    if member(&mut package, "location").is_none()
        && let Some(top) = package.as_object_mut()
    {
        top.insert("location".into(), LOCATION.into());
    }
    package
}

fn set_throttle(resource: &mut Value, calls: u32) {
    let Some(properties) = member(resource, "properties").and_then(Value::as_object_mut) else {
        return;
    };
    let names: Vec<String> = properties
        .keys()
        .filter(|key| key.eq_ignore_ascii_case("realtimeConfiguration"))
        .cloned()
        .collect();
    for name in names {
        properties.remove(&name);
    }
    let mut configuration = Map::new();
    configuration.insert("maxConcurrentCalls".into(), calls.into());
    properties.insert("realtimeConfiguration".into(), configuration.into());
}

fn hash_file(path: &Path) -> Result<String, Failure> {
    let mut file = File::open(path).map_err(|e| unreadable(path, &e))?;
    let mut context = Context::new(&SHA256);
    let mut buffer = vec![0; 1 << 20];
    loop {
        let read = file.read(&mut buffer).map_err(|e| unreadable(path, &e))?;
        if read == 0 {
            return Ok(hex(context.finish().as_ref()));
        }
        context.update(&buffer[..read]);
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_paths_beside_the_package_are_uploaded() {
        for relative in ["model.onnx", "models/m.onnx", "./m.onnx"] {
            assert!(is_relative(relative), "{relative}");
        }
        for other in [
            "",
            "/m.onnx",
            "umpire:sha256:00",
            "https://x/y",
            "aml://module/x",
            "C:\\m",
        ] {
            assert!(!is_relative(other), "{other}");
        }
    }

    #[test]
    fn bare_properties_get_a_frame_and_a_throttle_replaces_the_one_there() {
        let mut resource =
            as_resource(json!({ "RealtimeConfiguration": { "maxConcurrentCalls": 4 } }));
        assert_eq!(resource["location"], LOCATION);
        set_throttle(&mut resource, 64);
        assert_eq!(
            resource["properties"],
            json!({ "realtimeConfiguration": { "maxConcurrentCalls": 64 } })
        );
        let whole = json!({ "Location": "West", "Properties": {} });
        assert_eq!(as_resource(whole.clone()), whole);
    }
}
