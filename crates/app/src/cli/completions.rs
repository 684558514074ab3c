//! `umpire completions`.

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

use super::Cli;
use crate::exit::Failure;

/// Print the completion script of a shell.
#[derive(Debug, Args)]
#[command(after_help = "\
Example: umpire completions bash > /etc/bash_completion.d/umpire")]
pub(crate) struct Completions {
    /// The shell
    shell: Shell,
}

impl Completions {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "umpire", &mut script);
        crate::term::line(String::from_utf8_lossy(&script).trim_end());
        Ok(())
    }
}
