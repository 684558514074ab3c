//! `umpire keys`.

use clap::{Args, Subcommand, ValueEnum};
use wire::arm_2017_01_01::WebServiceKeys;
use wire::umpire_v1::WhichKey;

use super::{Common, Connect, print_json};
use crate::exit::Failure;
use crate::term;

/// Show a service's two keys, or make one anew.
#[derive(Debug, Args)]
#[command(after_help = "\
Either key opens the service. To change keys without a failed call: rotate the secondary, give it
to the clients, then rotate the primary.")]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct Keys {
    #[command(subcommand)]
    action: Option<Action>,
    /// The service's name or id
    #[arg(required = true)]
    name: Option<String>,
    /// Make this key anew; the old one stops working at once
    #[arg(long, value_name = "KEY")]
    rotate: Option<Which>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connect: Connect,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Make one key of a service anew; the old one stops working at once
    Rotate {
        /// The service's name or id
        name: String,
        /// Which key
        #[arg(long, value_name = "KEY")]
        which: Which,
        /// Print JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        connect: Connect,
    },
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum Which {
    Primary,
    Secondary,
}

impl From<Which> for WhichKey {
    fn from(which: Which) -> WhichKey {
        match which {
            Which::Primary => WhichKey::Primary,
            Which::Secondary => WhichKey::Secondary,
        }
    }
}

impl Keys {
    pub(crate) fn run(&self, common: &Common) -> Result<(), Failure> {
        if let Some(Action::Rotate {
            name,
            which,
            json,
            connect,
        }) = &self.action
        {
            let (_, client) = common.connect(connect)?;
            return print(&client.rotate(name, (*which).into())?, *json);
        }
        let (_, client) = common.connect(&self.connect)?;
        // The parser asks for a name where no further command stands.
        let name = self.name.as_deref().unwrap_or_default();
        let keys = match self.rotate {
            None => client.keys(name)?,
            Some(which) => client.rotate(name, which.into())?,
        };
        print(&keys, self.json)
    }
}

pub(super) fn print(keys: &WebServiceKeys, json: bool) -> Result<(), Failure> {
    if json {
        return print_json(keys);
    }
    term::line(&format!("primary    {}", keys.primary));
    term::line(&format!("secondary  {}", keys.secondary));
    Ok(())
}
