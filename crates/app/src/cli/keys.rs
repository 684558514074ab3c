//! `umpire keys`.

use clap::{Args, ValueEnum};
use wire::umpire_v1::WhichKey;

use super::{Common, Connect, print_json};
use crate::exit::Failure;
use crate::term;

/// Show a service's two keys, or make one anew.
#[derive(Debug, Args)]
#[command(after_help = "\
Either key opens the service. To change keys without a failed call: rotate the secondary, give it
to the clients, then rotate the primary.")]
pub(crate) struct Keys {
    /// The service's name or id
    name: String,
    /// Make this key anew; the old one stops working at once
    #[arg(long, value_name = "KEY")]
    rotate: Option<Which>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connect: Connect,
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
        let (_, client) = common.connect(&self.connect)?;
        let keys = match self.rotate {
            None => client.keys(&self.name)?,
            Some(which) => client.rotate(&self.name, which.into())?,
        };
        if self.json {
            return print_json(&keys);
        }
        term::line(&format!("primary    {}", keys.primary));
        term::line(&format!("secondary  {}", keys.secondary));
        Ok(())
    }
}
