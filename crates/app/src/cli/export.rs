//! `umpire export` and `umpire import`.

use std::io::Read;
use std::path::PathBuf;

use clap::Args;
use serde_json::{Map, Value, json};
use store::ArchiveFile;

use super::backup::{open, to_file};
use super::{Common, Connect, deploy};
use crate::client::ServicePath;
use crate::exit::Failure;
use crate::term;

/// Write a service with its model into one file, for another installation.
///
/// Its further endpoints come with their settings and models. Keys and secrets are left out; the file
/// names the secrets that it lacks.
#[derive(Debug, Args)]
pub(crate) struct Export {
    /// The service's name or id
    name: String,
    /// The file to write, or - for standard output [default: NAME.umpire]
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    connect: Connect,
}

impl Export {
    pub(crate) fn run(&self, common: &Common) -> Result<(), Failure> {
        let (_, client) = common.connect(&self.connect)?;
        let file = match &self.output {
            Some(file) => file.clone(),
            None => {
                let plain = |c: char| c.is_alphanumeric() || "-_.".contains(c);
                let name: String = self
                    .name
                    .chars()
                    .map(|c| if plain(c) { c } else { '_' })
                    .collect();
                PathBuf::from(format!("{name}.umpire"))
            }
        };
        let written = to_file(&file, |out| client.export(&self.name, out))?;
        term::note(
            "export",
            &format!("{} written to {}", term::bytes(written), file.display()),
        );
        Ok(())
    }
}

/// Deploy a service from a file that `umpire export` wrote.
///
/// It goes the way of any deploy: the model is loaded and warmed up before the service takes calls.
/// A service of that name gets a further revision and keeps its keys, and so do its endpoints.
#[derive(Debug, Args)]
pub(crate) struct Import {
    /// The file, or - for standard input
    file: PathBuf,
    /// Another name for the service
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// The resource group
    #[arg(long, value_name = "GROUP", default_value = store::DEFAULT_RESOURCE_GROUP)]
    group: String,
    #[command(flatten)]
    connect: Connect,
}

impl Import {
    pub(crate) fn run(&self, common: &Common) -> Result<(), Failure> {
        let (effective, client) = common.connect(&self.connect)?;
        let upload = |file: &ArchiveFile, content: &mut dyn Read| {
            client
                .put_blob_from(content, file.size, &file.sha256)
                .map(drop)
        };
        let service = match self.file.as_os_str() == "-" {
            true => store::read_export(std::io::stdin().lock(), upload)?,
            false => store::read_export(open(&self.file)?, upload)?,
        };
        let path = ServicePath {
            subscription: effective.settings.subscription.clone(),
            group: self.group.clone(),
            name: self.name.clone().unwrap_or_else(|| service.name.clone()),
        };
        let mut resource = Map::new();
        resource.insert("location".into(), json!(service.location));
        resource.insert("tags".into(), Value::from(service.tags));
        resource.insert("properties".into(), Value::from(service.definition));
        let deployed = deploy::put(&client, &path, &Value::from(resource))?;
        term::line(&format!("{} is deployed", path.name));
        for endpoint in &service.endpoints {
            client.import_endpoint(&deployed.service_id, endpoint)?;
            term::line(&format!("{}/{} is ready", path.name, endpoint.name));
            if endpoint.differs {
                term::hint(&format!(
                    "the definition that {} had was another than the default endpoint's, and is not \
                     in the file: it has the default one now",
                    endpoint.name
                ));
            }
        }
        if !service.secrets_left_out.is_empty() {
            term::hint(&format!(
                "secrets were left out of the file; give them anew: {}",
                service.secrets_left_out.join(", ")
            ));
        }
        Ok(())
    }
}
