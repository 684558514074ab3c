//! `umpire config`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{Common, Connect, flag};
use wire::umpire_v1::ConfigurationChange;

use crate::config::{help, variable};
use crate::exit::Failure;
use crate::term;

/// Print every setting with its value and where it comes from.
#[derive(Debug, Args)]
#[command(after_help = "\
Settings come, from weak to strong, from: defaults, the TOML file of --config or UMPIRE_CONFIG,
the environment (UMPIRE_ and the name in upper case with _ for .), and flags.

The output is TOML: it can be kept as a file and edited.")]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Config {
    #[command(subcommand)]
    action: Option<Action>,
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

#[derive(Debug, Subcommand)]
enum Action {
    /// Let a running server read its settings and certificate again, as SIGHUP does
    ///
    /// Something wrong with them leaves everything as it was; the server's log says what it is.
    Reload {
        #[command(flatten)]
        connect: Connect,
    },
}

/// Says what a change of the settings came to.
pub(super) fn tell(change: &ConfigurationChange) {
    if change.changed.is_empty() && change.restart.is_empty() {
        term::line("nothing has changed");
    }
    for name in &change.changed {
        term::line(&format!("{name}  holds from now on"));
    }
    for name in &change.restart {
        term::line(&format!("{name}  needs a restart"));
    }
}

impl Config {
    pub(crate) fn run(&self, common: &Common) -> Result<(), Failure> {
        if let Some(Action::Reload { connect }) = &self.action {
            let (_, client) = common.connect(connect)?;
            tell(&client.reload()?);
            return Ok(());
        }
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
