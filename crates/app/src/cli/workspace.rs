//! `umpire workspace`.

use clap::{Args, Subcommand};
use wire::umpire_v1::WorkspaceView;

use super::keys::Which;
use super::{Common, Connect, print_json};
use crate::exit::Failure;
use crate::term;

/// List, make and delete workspaces, and show or change their tokens.
#[derive(Debug, Args)]
pub(crate) struct Workspace {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List the workspaces
    List(List),
    /// Show one workspace
    Show(Named),
    /// Make a workspace; one that is there stays as it is
    Create(Named),
    /// Delete a workspace in which no service stands
    Delete(Delete),
    /// Show a workspace's two tokens, or make one anew
    #[command(after_help = "\
Either token opens the management of the workspace and its services. To change tokens without a
failed call: rotate the secondary, give it to the clients, then rotate the primary.")]
    Tokens(Tokens),
}

#[derive(Debug, Args)]
struct List {
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connect: Connect,
}

#[derive(Debug, Args)]
struct Named {
    /// The workspace's name or id
    name: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connect: Connect,
}

#[derive(Debug, Args)]
struct Delete {
    /// The workspace's name or id
    name: String,
    #[command(flatten)]
    connect: Connect,
}

#[derive(Debug, Args)]
struct Tokens {
    /// The workspace's name or id
    name: String,
    /// Make this token anew; the old one stops working at once
    #[arg(long, value_name = "TOKEN")]
    rotate: Option<Which>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connect: Connect,
}

impl Workspace {
    pub(crate) fn run(&self, common: &Common) -> Result<(), Failure> {
        match &self.action {
            Action::List(list) => list.run(common),
            Action::Show(named) => {
                let (_, client) = common.connect(&named.connect)?;
                named.print(&client.workspace(&named.name)?)
            }
            Action::Create(named) => {
                let (_, client) = common.connect(&named.connect)?;
                named.print(&client.create_workspace(&named.name)?)
            }
            Action::Delete(delete) => {
                let (_, client) = common.connect(&delete.connect)?;
                client.delete_workspace(&delete.name)?;
                term::line(&format!("deleted {}", delete.name));
                Ok(())
            }
            Action::Tokens(tokens) => tokens.run(common),
        }
    }
}

impl List {
    fn run(&self, common: &Common) -> Result<(), Failure> {
        let (_, client) = common.connect(&self.connect)?;
        let list = client.workspaces()?;
        if self.json {
            return print_json(&list);
        }
        let rows: Vec<Vec<String>> = list
            .workspaces
            .iter()
            .map(|w| {
                vec![
                    w.name.clone(),
                    w.id.clone(),
                    w.resource_group.clone(),
                    w.services.to_string(),
                    w.state.clone(),
                ]
            })
            .collect();
        term::table(&["NAME", "ID", "GROUP", "SERVICES", "STATE"], &rows);
        Ok(())
    }
}

impl Named {
    fn print(&self, workspace: &WorkspaceView) -> Result<(), Failure> {
        if self.json {
            return print_json(workspace);
        }
        let WorkspaceView {
            id,
            name,
            subscription_id,
            resource_group,
            created,
            state,
            services,
        } = workspace;
        term::line(&format!("name          {name}"));
        term::line(&format!("id            {id}"));
        term::line(&format!("subscription  {subscription_id}"));
        term::line(&format!("group         {resource_group}"));
        term::line(&format!("state         {state}"));
        term::line(&format!("services      {services}"));
        term::line(&format!("created       {created}"));
        Ok(())
    }
}

impl Tokens {
    fn run(&self, common: &Common) -> Result<(), Failure> {
        let (_, client) = common.connect(&self.connect)?;
        let tokens = match self.rotate {
            None => client.workspace_tokens(&self.name)?,
            Some(which) => client.rotate_workspace_token(&self.name, which.into())?,
        };
        if self.json {
            return print_json(&tokens);
        }
        term::line(&format!("primary    {}", tokens.primary));
        term::line(&format!("secondary  {}", tokens.secondary));
        Ok(())
    }
}
