//! `umpire errors`.

use clap::{Args, Subcommand};

use crate::exit::Failure;
use crate::term;

/// List or explain the codes of failures.
#[derive(Debug, Args)]
pub(crate) struct Errors {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List every class and code with its status
    List,
    /// Say what a code means and what to do about it
    #[command(after_help = "Example: umpire errors explain ServiceUnavailable.RequestThrottled")]
    Explain {
        /// `Class.Code`, a class, or a code, in any case
        name: String,
    },
}

impl Errors {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        match &self.command {
            Command::List => {
                list();
                Ok(())
            }
            Command::Explain { name } => explain(name),
        }
    }
}

/// Every class, and under it its codes; a table that a pipe can cut into columns.
fn list() {
    let mut rows = Vec::new();
    for class in faults::Class::ALL {
        let status = class.status().to_string();
        rows.push(vec![
            status.clone(),
            class.name().to_owned(),
            class.en().to_owned(),
        ]);
        for row in class.rows() {
            rows.push(vec![status.clone(), row.name(), row.en.to_owned()]);
        }
    }
    term::table(&["STATUS", "CODE", "TEXT"], &rows);
}

fn explain(name: &str) -> Result<(), Failure> {
    if let Some(text) = faults::explain(name) {
        term::line(text.trim_end());
        return Ok(());
    }
    let nearest = faults::names()
        .map(|known| {
            let code = known.rsplit('.').next().unwrap_or(&known).to_lowercase();
            let name = name.to_lowercase();
            let near = strsim::jaro_winkler(&name, &known.to_lowercase())
                .max(strsim::jaro_winkler(&name, &code));
            (near, known)
        })
        .max_by(|a, b| a.0.total_cmp(&b.0));
    let suggestion = nearest
        .map(|(_, known)| format!("; did you mean {known}?"))
        .unwrap_or_default();
    Err(Failure::Usage(format!(
        "no failure is called \"{name}\"{suggestion}"
    )))
}
