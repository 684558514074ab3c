//! `umpire config`.

use std::path::PathBuf;

use clap::Args;

use super::{Common, flag};
use crate::config::{help, variable};
use crate::exit::Failure;
use crate::term;

/// Print every setting with its value and where it comes from.
#[derive(Debug, Args)]
#[command(after_help = "\
Settings come, from weak to strong, from: defaults, the TOML file of --config or UMPIRE_CONFIG,
the environment (UMPIRE_ and the name in upper case with _ for .), and flags.

The output is TOML: it can be kept as a file and edited.")]
pub(crate) struct Config {
    /// Say what each setting does
    #[arg(long, short)]
    verbose: bool,
    /// The data directory, as `serve` would be given it
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// The address, as `serve` would be given it
    #[arg(long, value_name = "ADDR")]
    listen: Option<String>,
}

impl Config {
    pub(crate) fn run(&self, common: &Common) -> Result<(), Failure> {
        let mut flags = Vec::new();
        let data = self.data.as_ref().map(|p| p.to_string_lossy());
        flag(&mut flags, "data", "--data", data.as_deref());
        flag(&mut flags, "listen", "--listen", self.listen.as_deref());
        let effective = common.settings(flags)?;
        let mut group = "";
        for (name, value, origin) in &effective.origins {
            let (table, key) = name.rsplit_once('.').unwrap_or(("", name));
            if table != group {
                group = table;
                if !term::line(&format!("\n[{group}]")) {
                    return Ok(());
                }
            }
            if self.verbose {
                for line in help(name).lines() {
                    term::line(&format!("# {}", line.trim()));
                }
                term::line(&format!("# {}", variable(name)));
            }
            if !term::line(&format!("{key} = {value}  # {origin}")) {
                return Ok(());
            }
        }
        Ok(())
    }
}
