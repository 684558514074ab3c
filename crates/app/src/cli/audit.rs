//! `umpire audit`.

use clap::Args;

use super::{Common, Connect, print_json};
use crate::exit::Failure;
use crate::term;

/// Show who changed what, when, from where, and with what result.
#[derive(Debug, Args)]
pub(crate) struct Audit {
    /// Show this many lines, the newest
    #[arg(long, value_name = "N", default_value_t = 50)]
    limit: u32,
    /// Show lines before the one of this number
    #[arg(long, value_name = "NUMBER")]
    before: Option<u64>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connect: Connect,
}

impl Audit {
    pub(crate) fn run(&self, common: &Common) -> Result<(), Failure> {
        let (_, client) = common.connect(&self.connect)?;
        let list = client.audit(self.limit, self.before)?;
        if self.json {
            return print_json(&list);
        }
        let rows: Vec<Vec<String>> = list
            .lines
            .into_iter()
            .rev()
            .map(|line| {
                vec![
                    line.number.to_string(),
                    line.time,
                    line.actor,
                    line.origin,
                    line.action,
                    line.subject,
                    line.result,
                ]
            })
            .collect();
        term::table(
            &[
                "NUMBER", "TIME", "WHO", "FROM", "ACTION", "SUBJECT", "RESULT",
            ],
            &rows,
        );
        Ok(())
    }
}
