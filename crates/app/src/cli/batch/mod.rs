//! `umpire batch`.

mod follow;
mod references;
mod show;
mod submit;

use clap::{Args, Subcommand};

use super::{Common, Connect, print_json};
use crate::client::Client;
use crate::client::jobs::Jobs;
use crate::exit::Failure;

/// Score whole files: submit batch jobs, and look after them.
#[derive(Debug, Args)]
pub(crate) struct Batch {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Score a file: upload it, run a job, and download what comes out
    Submit(submit::Submit),
    /// Wait for a job and download what comes out
    Wait(submit::Wait),
    /// List a service's jobs, the newest first
    List(show::List),
    /// Show how a job is
    Status(show::Status),
    /// Cancel a job; harmless where it has ended
    Cancel(show::Cancel),
    /// Show what was logged of a job
    Logs(show::Logs),
}

/// Whose jobs.
#[derive(Debug, Args)]
struct Whose {
    /// The service's name or id
    service: String,
    /// An endpoint of the service other than its default one
    #[arg(long, value_name = "NAME")]
    endpoint: Option<String>,
    /// The key of the endpoint; without it, its primary key
    #[arg(long)]
    key: Option<String>,
}

impl Whose {
    fn jobs<'c>(&self, client: &'c Client) -> Result<Jobs<'c>, Failure> {
        client.jobs(&self.service, self.endpoint.as_deref(), self.key.as_deref())
    }

    /// The same in a command line.
    fn written(&self) -> String {
        match &self.endpoint {
            Some(endpoint) => format!("{} --endpoint {endpoint}", self.service),
            None => self.service.clone(),
        }
    }
}

impl Batch {
    pub(crate) fn run(&self, common: &Common) -> Result<(), Failure> {
        match &self.action {
            Action::Submit(submit) => submit.run(common),
            Action::Wait(wait) => wait.run(common),
            Action::List(list) => list.run(common),
            Action::Status(status) => status.run(common),
            Action::Cancel(cancel) => cancel.run(common),
            Action::Logs(logs) => logs.run(common),
        }
    }
}
