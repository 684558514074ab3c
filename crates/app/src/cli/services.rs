//! `umpire services`.

use clap::Args;

use super::{Common, Connect, print_json};
use crate::exit::Failure;
use crate::term;

/// List the services.
#[derive(Debug, Args)]
pub(crate) struct Services {
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connect: Connect,
}

impl Services {
    pub(crate) fn run(&self, common: &Common) -> Result<(), Failure> {
        let (_, client) = common.connect(&self.connect)?;
        let list = client.services()?;
        if self.json {
            return print_json(&list);
        }
        let rows: Vec<Vec<String>> = list
            .services
            .iter()
            .map(|s| {
                vec![
                    s.name.clone(),
                    s.revision.to_string(),
                    s.max_concurrent_calls.to_string(),
                    s.modified.clone(),
                    s.scoring_url.clone(),
                ]
            })
            .collect();
        term::table(
            &["NAME", "REVISION", "CALLS", "MODIFIED", "SCORING URL"],
            &rows,
        );
        Ok(())
    }
}
