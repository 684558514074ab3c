//! `umpire usage`.

use clap::Args;

use super::{Common, Connect, print_json};
use crate::exit::Failure;
use crate::term;

/// Show what the endpoints are used, day by day.
#[derive(Debug, Args)]
#[command(after_help = "\
A transaction is a scoring call that was answered with a result; compute is the time from its
admission to its answer. Days are those of UTC.")]
pub(crate) struct Usage {
    /// The first day, as 2026-11-01; 30 days back where it is left out
    #[arg(long, value_name = "DATE")]
    from: Option<String>,
    /// The last day; today where it is left out
    #[arg(long, value_name = "DATE")]
    to: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connect: Connect,
}

impl Usage {
    pub(crate) fn run(&self, common: &Common) -> Result<(), Failure> {
        let (_, client) = common.connect(&self.connect)?;
        let usage = client.usage(self.from.as_deref(), self.to.as_deref())?;
        if self.json {
            return print_json(&usage);
        }
        let rows: Vec<Vec<String>> = usage
            .lines
            .iter()
            .map(|line| {
                vec![
                    line.day.clone(),
                    line.endpoint.clone(),
                    line.transactions.to_string(),
                    format!("{:.3}", line.compute_seconds),
                ]
            })
            .collect();
        term::table(
            &["DAY", "ENDPOINT", "TRANSACTIONS", "COMPUTE SECONDS"],
            &rows,
        );
        Ok(())
    }
}
