//! `umpire logs`.

use clap::Args;

use super::{Common, Connect, print_json};
use crate::exit::Failure;
use crate::term;

/// Show the newest lines about a service and its containers, oldest first.
#[derive(Debug, Args)]
pub(crate) struct Logs {
    /// The service's name or id
    name: String,
    /// How many lines at most
    #[arg(long, short = 'n', default_value_t = 100)]
    lines: usize,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connect: Connect,
}

impl Logs {
    pub(crate) fn run(&self, common: &Common) -> Result<(), Failure> {
        let (_, client) = common.connect(&self.connect)?;
        let logs = client.logs(&self.name, self.lines)?;
        if self.json {
            return print_json(&logs);
        }
        for line in &logs.lines {
            if !term::line(&format!("{}  {:<6}  {}", line.time, line.level, line.text)) {
                break;
            }
        }
        Ok(())
    }
}
