//! `umpire token`.

use clap::{Args, Subcommand, ValueEnum};
use wire::umpire_v1::TokenRequest;

use super::{Common, Connect, print_json};
use crate::exit::Failure;
use crate::term;

/// Make, list and revoke management tokens.
#[derive(Debug, Args)]
#[command(after_help = "\
A token signs in for the management APIs, and for client commands by --token or UMPIRE_TOKEN, within
its scope and role. Every change says on the audit trail (`umpire audit`) which token made it.

Examples:
  umpire token create ci --scope service:census --expires 30d
  umpire token create dashboard --scope installation --role read --expires never
  umpire token revoke ci")]
pub(crate) struct Token {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a token and print it; it is shown this once
    Create(Create),
    /// List the tokens, without the tokens themselves
    List(List),
    /// Revoke a token: it opens nothing any more at once
    Revoke(Revoke),
}

#[derive(Debug, Args)]
struct Create {
    /// What it is to be called: who or what will use it
    name: String,
    /// Where it is good: installation, subscription:S, group:S/G, workspace:ID or service:NAME
    #[arg(long, value_name = "SCOPE")]
    scope: String,
    /// What it may do: look, change things and read keys, or run the installation
    #[arg(long, value_name = "ROLE", default_value = "manage")]
    role: Role,
    /// How long it is good: 90d, 12h, 30min, a time as RFC 3339, or never
    #[arg(long, value_name = "TIME", default_value = "90d")]
    expires: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connect: Connect,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Role {
    Read,
    Manage,
    Admin,
}

impl Role {
    fn name(self) -> &'static str {
        match self {
            Role::Read => "read",
            Role::Manage => "manage",
            Role::Admin => "admin",
        }
    }
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
struct Revoke {
    /// The token's name or id
    name: String,
    #[command(flatten)]
    connect: Connect,
}

impl Token {
    pub(crate) fn run(&self, common: &Common) -> Result<(), Failure> {
        match &self.command {
            Command::Create(command) => command.run(common),
            Command::List(command) => command.run(common),
            Command::Revoke(command) => command.run(common),
        }
    }
}

impl Create {
    fn run(&self, common: &Common) -> Result<(), Failure> {
        let (_, client) = common.connect(&self.connect)?;
        let made = client.create_token(&TokenRequest {
            name: self.name.clone(),
            scope: self.scope.clone(),
            role: Some(self.role.name().to_owned()),
            expires: Some(self.expires.clone()),
        })?;
        if self.json {
            return print_json(&made);
        }
        // Alone on standard output, so that a script can take it.
        term::line(&made.token);
        let until = made.view.expires.as_deref().unwrap_or("it is revoked");
        term::note("good until", until);
        term::hint("keep it now: it is not shown again");
        Ok(())
    }
}

impl List {
    fn run(&self, common: &Common) -> Result<(), Failure> {
        let (_, client) = common.connect(&self.connect)?;
        let list = client.tokens()?;
        if self.json {
            return print_json(&list);
        }
        let rows: Vec<Vec<String>> = list
            .tokens
            .into_iter()
            .map(|token| {
                let scope = match token.service {
                    Some(name) => format!("service:{name}"),
                    None => token.scope,
                };
                vec![
                    token.name,
                    token.state,
                    token.role,
                    scope,
                    token.expires.unwrap_or_else(|| "never".to_owned()),
                    token.last_used.unwrap_or_else(|| "never".to_owned()),
                    token.id,
                ]
            })
            .collect();
        term::table(
            &[
                "NAME",
                "STATE",
                "ROLE",
                "SCOPE",
                "EXPIRES",
                "LAST USED",
                "ID",
            ],
            &rows,
        );
        Ok(())
    }
}

impl Revoke {
    fn run(&self, common: &Common) -> Result<(), Failure> {
        let (_, client) = common.connect(&self.connect)?;
        client.revoke_token(&self.name)?;
        term::line(&format!("{} is revoked", self.name));
        Ok(())
    }
}
