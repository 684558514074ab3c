//! `umpire rollback`.

use clap::Args;

use super::{Common, Connect, print_json};
use crate::exit::Failure;
use crate::term;

/// Let an earlier revision answer calls again; ids and keys stay.
#[derive(Debug, Args)]
pub(crate) struct Rollback {
    /// The service's name or id
    name: String,
    /// The number of the revision; without it, the one before the current
    #[arg(long, value_name = "NUMBER")]
    to: Option<u64>,
    /// Only list the revisions that are kept
    #[arg(long, conflicts_with = "to")]
    list: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connect: Connect,
}

impl Rollback {
    pub(crate) fn run(&self, common: &Common) -> Result<(), Failure> {
        let (_, client) = common.connect(&self.connect)?;
        if self.list {
            let list = client.revisions(&self.name)?;
            if self.json {
                return print_json(&list);
            }
            let rows: Vec<Vec<String>> = list
                .revisions
                .iter()
                .map(|r| {
                    let current = if r.current { "answers calls" } else { "" };
                    vec![r.number.to_string(), r.created.clone(), current.to_owned()]
                })
                .collect();
            term::table(&["REVISION", "CREATED", ""], &rows);
            return Ok(());
        }
        let view = client.rollback(&self.name, self.to)?;
        if self.json {
            return print_json(&view);
        }
        term::line(&format!(
            "{} answers by revision {}",
            view.name, view.revision
        ));
        Ok(())
    }
}
