//! `umpire limits`.

use clap::Args;
use serde_json::{Map, Value};

use super::config::tell;
use super::{Common, Connect, print_json};
use crate::exit::Failure;
use crate::term;

/// List or change the settings that the servers of an installation share.
#[derive(Debug, Args)]
#[command(after_help = "\
Changes are kept in the cluster configuration document, in the blob store, and hold at once:

  umpire limits limits.body=32MiB scoring.timeout=2min
  umpire limits limits.body=          takes it out of the document again

A server's own file, environment and flags are stronger than the document.")]
pub(crate) struct Limits {
    /// Settings to change
    #[arg(value_name = "NAME=VALUE")]
    changes: Vec<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connect: Connect,
}

impl Limits {
    pub(crate) fn run(&self, common: &Common) -> Result<(), Failure> {
        let (_, client) = common.connect(&self.connect)?;
        if !self.changes.is_empty() {
            let mut changes = Map::new();
            for change in &self.changes {
                let (name, value) = change.split_once('=').ok_or_else(|| {
                    Failure::Usage(format!("\"{change}\" is not of the form NAME=VALUE"))
                })?;
                let value = match value.trim() {
                    "" => Value::Null,
                    value => Value::from(value),
                };
                changes.insert(name.trim().to_owned(), value);
            }
            let change = client.set_limits(&Value::from(changes))?;
            match self.json {
                true => print_json(&change)?,
                false => tell(&change),
            }
            return Ok(());
        }
        let list = client.limits()?;
        if self.json {
            return print_json(&list);
        }
        let rows: Vec<Vec<String>> = list
            .limits
            .iter()
            .map(|limit| {
                vec![
                    limit.name.clone(),
                    limit.value.to_string(),
                    limit.origin.clone(),
                ]
            })
            .collect();
        term::table(&["SETTING", "VALUE", "FROM"], &rows);
        Ok(())
    }
}
