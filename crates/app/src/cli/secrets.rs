//! `umpire secrets`.

use clap::{Args, Subcommand};

use super::{Common, Connect};
use crate::exit::Failure;
use crate::term;

/// Change the master key that secrets are sealed under.
#[derive(Debug, Args)]
pub(crate) struct Secrets {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Make a new master key and seal every secret under it
    ///
    /// Keys and tokens of clients stay as they are, and no call fails. A crash in the middle is
    /// mended at the next start. Backups that were made before need the former key, which is kept
    /// beside the new one; remove it when there are none left.
    Rotate {
        /// Work on the data directory itself; no server may run on it
        #[arg(long)]
        offline: bool,
        #[command(flatten)]
        connect: Connect,
    },
}

impl Secrets {
    pub(crate) fn run(&self, common: &Common) -> Result<(), Failure> {
        let Action::Rotate { offline, connect } = &self.action;
        let former = match offline {
            true => {
                let store = common.open_store(connect.data.as_deref())?;
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .build()
                    .map_err(|e| Failure::StartText(e.to_string()))?;
                runtime
                    .block_on(store.rotate_master_key("operator, offline"))
                    .map_err(Failure::Start)?
            }
            false => common.connect(connect)?.1.rotate_secrets()?.former_key,
        };
        term::line("every secret is sealed under a new master key");
        term::line(&format!(
            "the former key is kept as {former}: backups that were made before need it"
        ));
        Ok(())
    }
}
