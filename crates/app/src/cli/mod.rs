//! The command line: one file a command.

mod audit;
mod backup;
mod batch;
mod completions;
mod config;
mod delete;
mod deploy;
mod endpoints;
mod errors;
mod export;
mod keys;
mod limits;
mod logs;
mod nodes;
mod quickstart;
mod rollback;
mod score;
mod secrets;
mod serve;
mod services;
mod token;
mod usage;
mod workspace;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::client::{Client, Trust};
use crate::config::{Effective, Sources};
use crate::exit::{CODES, Failure};
use crate::term;

/// Serve machine learning models over the classic web service contract.
///
/// One binary: it keeps its state in a folder, runs each model in a process of its own under a
/// memory quota, and answers every failure with a code that says what happened and what to do.
#[derive(Debug, Parser)]
#[command(name = "umpire", version, after_help = CODES, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    command: Command,
}

/// What every command takes.
#[derive(Debug, Clone, Args)]
pub(crate) struct Common {
    /// Read settings from this TOML file (or UMPIRE_CONFIG); the environment and flags are stronger
    #[arg(long, global = true, value_name = "FILE", help_heading = "Settings")]
    config: Option<PathBuf>,
    /// Set any setting; `umpire config` lists them
    #[arg(
        long,
        global = true,
        value_name = "KEY=VALUE",
        help_heading = "Settings"
    )]
    set: Vec<String>,
}

/// How client commands find the server and sign in.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Server")]
pub(crate) struct Connect {
    /// The server's URL (or UMPIRE_SERVER); without it, the one on this machine
    #[arg(long, value_name = "URL")]
    server: Option<String>,
    /// A management token (or UMPIRE_TOKEN); without it, the operator's in the data directory
    #[arg(long, value_name = "TOKEN")]
    token: Option<String>,
    /// The data directory of a server on this machine (or UMPIRE_DATA)
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Take any TLS certificate
    #[arg(long)]
    insecure: bool,
    /// Trust the TLS certificates of this PEM file
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Deploy the sample model, score it, and serve: the whole way in one command
    Quickstart(quickstart::Quickstart),
    /// Serve the services of a data directory
    Serve(serve::Serve),
    /// Deploy a model (ONNX, LightGBM, XGBoost) or a web service package
    Deploy(deploy::Deploy),
    /// Score rows of a CSV or JSON file
    Score(score::Score),
    /// Score whole files: submit batch jobs, and look after them
    Batch(batch::Batch),
    /// List the services
    Services(services::Services),
    /// Show a service's keys, or make one anew
    Keys(keys::Keys),
    /// List, make and delete the endpoints of a service
    Endpoints(endpoints::Endpoints),
    /// Delete a service
    Delete(delete::Delete),
    /// Let an earlier revision answer calls again
    Rollback(rollback::Rollback),
    /// Show the newest lines about a service and its containers
    Logs(logs::Logs),
    /// List the nodes with their state and load
    Nodes(nodes::Nodes),
    /// List the containers, or replace one by a fresh one
    Containers(nodes::Containers),
    /// Let a node take no further scoring calls
    Drain(nodes::Drain),
    /// Let a drained node take scoring calls again
    Resume(nodes::Resume),
    /// List, make and delete workspaces, and show or change their tokens
    Workspace(workspace::Workspace),
    /// Make, list and revoke management tokens
    Token(token::Token),
    /// Show who changed what, when, from where, and with what result
    Audit(audit::Audit),
    /// Write the whole state into one file
    Backup(backup::Backup),
    /// Put a backup into an empty data directory
    Restore(backup::Restore),
    /// Write a service with its model into one file
    Export(export::Export),
    /// Deploy a service from a file that export wrote
    Import(export::Import),
    /// Change the master key that secrets are sealed under
    Secrets(secrets::Secrets),
    /// List or change the settings that servers share
    Limits(limits::Limits),
    /// Show what the endpoints are used, day by day
    Usage(usage::Usage),
    /// Print every setting with its value and where it comes from
    Config(config::Config),
    /// List or explain the codes of failures
    Errors(errors::Errors),
    /// Print the completion script of a shell
    Completions(completions::Completions),
    /// Hold one revision of a service; the server starts this
    #[command(hide = true)]
    Container,
    /// Print the version
    Version,
}

/// Runs the command of this process's arguments.
pub(crate) fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    // A container does as little as it can before it confines itself.
    if arguments.get(1).is_some_and(|word| word == "container") {
        return containers::container::main(modules::registry());
    }
    let cli = Cli::parse_from(arguments);
    let common = &cli.common;
    let result = match cli.command {
        Command::Quickstart(command) => command.run(common),
        Command::Serve(command) => command.run(common),
        Command::Deploy(command) => command.run(common),
        Command::Score(command) => command.run(common),
        Command::Batch(command) => command.run(common),
        Command::Services(command) => command.run(common),
        Command::Keys(command) => command.run(common),
        Command::Endpoints(command) => command.run(common),
        Command::Delete(command) => command.run(common),
        Command::Rollback(command) => command.run(common),
        Command::Logs(command) => command.run(common),
        Command::Nodes(command) => command.run(common),
        Command::Containers(command) => command.run(common),
        Command::Drain(command) => command.run(common),
        Command::Resume(command) => command.run(common),
        Command::Workspace(command) => command.run(common),
        Command::Token(command) => command.run(common),
        Command::Audit(command) => command.run(common),
        Command::Backup(command) => command.run(common),
        Command::Restore(command) => command.run(common),
        Command::Export(command) => command.run(common),
        Command::Import(command) => command.run(common),
        Command::Secrets(command) => command.run(common),
        Command::Limits(command) => command.run(common),
        Command::Usage(command) => command.run(common),
        Command::Config(command) => command.run(common),
        Command::Errors(command) => command.run(),
        Command::Completions(command) => command.run(),
        Command::Container => Err(Failure::Usage(
            "a container is started by the server".to_owned(),
        )),
        Command::Version => {
            term::line(concat!("umpire ", env!("CARGO_PKG_VERSION")));
            Ok(())
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

impl Common {
    /// Where settings come from, with `flags` (setting, flag, text) strongest.
    fn sources(&self, flags: Vec<(&'static str, String, String)>) -> Sources {
        let mut sources = Sources::of_process(self.config.clone());
        sources.set.clone_from(&self.set);
        sources.flags = flags;
        sources
    }

    /// The settings in force.
    fn settings(&self, flags: Vec<(&'static str, String, String)>) -> Result<Effective, Failure> {
        crate::config::load(&self.sources(flags)).map_err(Failure::Config)
    }

    /// The data directory of the settings, opened by this process: no server may run on it.
    fn open_store(&self, data: Option<&std::path::Path>) -> Result<store::Store, Failure> {
        let mut flags = Vec::new();
        let data = data.map(|p| p.to_string_lossy());
        flag(&mut flags, "data", "--data", data.as_deref());
        let settings = self.settings(flags)?.settings;
        if !settings.data.join("ledger.sqlite").exists() {
            return Err(Failure::Local(format!(
                "{} is no data directory of a server",
                settings.data.display()
            )));
        }
        let options = store::Options {
            master_key: settings.master_key_file.clone(),
            subscription: settings.subscription.clone(),
            ..store::Options::default()
        };
        store::Store::open_with(&settings.data, &options).map_err(Failure::Start)
    }

    /// The settings and a client by them.
    fn connect(&self, connect: &Connect) -> Result<(Effective, Client), Failure> {
        let mut flags = Vec::new();
        flag(&mut flags, "server", "--server", connect.server.as_deref());
        flag(&mut flags, "token", "--token", connect.token.as_deref());
        let data = connect.data.as_ref().map(|p| p.to_string_lossy());
        flag(&mut flags, "data", "--data", data.as_deref());
        let effective = self.settings(flags)?;
        let trust = Trust {
            insecure: connect.insecure,
            ca: connect.ca.clone(),
        };
        let client = Client::new(&effective.settings, &trust)?;
        Ok((effective, client))
    }
}

/// Adds a flag that was given to those that settings are loaded from.
fn flag(
    flags: &mut Vec<(&'static str, String, String)>,
    name: &'static str,
    written: &str,
    value: Option<&str>,
) {
    if let Some(value) = value {
        flags.push((name, written.to_owned(), value.to_owned()));
    }
}

/// Prints a value as JSON.
fn print_json(value: &impl serde::Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value).map_err(|e| Failure::Local(e.to_string()))?;
    term::line(&text);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }
}
