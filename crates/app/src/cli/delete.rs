//! `umpire delete`.

use clap::Args;

use super::{Common, Connect};
use crate::exit::Failure;
use crate::term;

/// Delete a service, with its revisions and keys.
#[derive(Debug, Args)]
pub(crate) struct Delete {
    /// The service's name or id
    name: String,
    #[command(flatten)]
    connect: Connect,
}

impl Delete {
    pub(crate) fn run(&self, common: &Common) -> Result<(), Failure> {
        let (_, client) = common.connect(&self.connect)?;
        client.delete(&self.name)?;
        term::line(&format!("deleted {}", self.name));
        Ok(())
    }
}
