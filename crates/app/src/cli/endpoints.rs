//! `umpire endpoints`.

use clap::{Args, Subcommand, ValueEnum};
use wire::classic::{Endpoint, EndpointRequest};

use super::keys::Which;
use super::{Common, Connect, print_json};
use crate::exit::Failure;
use crate::term;

/// List, make and delete the endpoints of a service, and change their keys.
#[derive(Debug, Args)]
pub(crate) struct Endpoints {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List a service's endpoints
    List(List),
    /// Make an endpoint: a copy of what `default` runs now, with keys and a throttle of its own
    #[command(after_help = "\
A deploy changes the endpoint `default` alone; the others go on with what they are a copy of. The
name is 1 to 24 lower-case letters and digits. An endpoint that is there keeps what is not named.")]
    Create(Create),
    /// Show an endpoint's keys, or make one anew
    Keys(Keys),
    /// Delete an endpoint; calls under way are finished
    Delete(Delete),
}

#[derive(Debug, Args)]
struct List {
    /// The service's name or id
    service: String,
    /// Print JSON, keys included
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connect: Connect,
}

#[derive(Debug, Args)]
struct Create {
    /// The service's name or id
    service: String,
    /// The endpoint's name
    endpoint: String,
    /// What it is for
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// Calls admitted at once: low is 4, high is a number of its own
    #[arg(long, value_name = "LEVEL")]
    throttle: Option<Throttle>,
    /// Calls admitted at once, with the throttle high
    #[arg(long, value_name = "NUMBER")]
    calls: Option<u32>,
    /// Refuse refreshes
    #[arg(long)]
    prevent_update: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connect: Connect,
}

#[derive(Debug, Args)]
struct Keys {
    /// The service's name or id
    service: String,
    /// The endpoint's name
    endpoint: String,
    /// Make this key anew; the old one stops working at once
    #[arg(long, value_name = "KEY")]
    rotate: Option<Which>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connect: Connect,
}

#[derive(Debug, Args)]
struct Delete {
    /// The service's name or id
    service: String,
    /// The endpoint's name
    endpoint: String,
    #[command(flatten)]
    connect: Connect,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Throttle {
    Low,
    High,
}

impl Endpoints {
    pub(crate) fn run(&self, common: &Common) -> Result<(), Failure> {
        match &self.action {
            Action::List(list) => list.run(common),
            Action::Create(create) => create.run(common),
            Action::Keys(keys) => {
                let (_, client) = common.connect(&keys.connect)?;
                let rotate = keys.rotate.map(Into::into);
                let found = client.endpoint_keys(&keys.service, &keys.endpoint, rotate)?;
                super::keys::print(&found, keys.json)
            }
            Action::Delete(delete) => {
                let (_, client) = common.connect(&delete.connect)?;
                client.delete_endpoint(&delete.service, &delete.endpoint)?;
                term::line(&format!("deleted {}/{}", delete.service, delete.endpoint));
                Ok(())
            }
        }
    }
}

impl List {
    fn run(&self, common: &Common) -> Result<(), Failure> {
        let (_, client) = common.connect(&self.connect)?;
        let endpoints = client.endpoints(&self.service)?;
        if self.json {
            return print_json(&endpoints);
        }
        let rows: Vec<Vec<String>> = endpoints.iter().map(row).collect();
        term::table(
            &[
                "NAME", "THROTTLE", "CALLS", "VERSION", "CREATED", "LOCATION",
            ],
            &rows,
        );
        Ok(())
    }
}

fn row(endpoint: &Endpoint) -> Vec<String> {
    vec![
        endpoint.name.clone(),
        endpoint.throttle_level.clone(),
        endpoint.max_concurrent_calls.to_string(),
        endpoint.version.to_string(),
        endpoint.creation_time.clone(),
        endpoint.api_location.clone(),
    ]
}

impl Create {
    fn run(&self, common: &Common) -> Result<(), Failure> {
        let (_, client) = common.connect(&self.connect)?;
        let request = EndpointRequest {
            description: self.description.clone(),
            throttle_level: self.throttle.map(|level| {
                match level {
                    Throttle::Low => "Low",
                    Throttle::High => "High",
                }
                .to_owned()
            }),
            max_concurrent_calls: self.calls,
            prevent_update: self.prevent_update.then_some(true),
        };
        let made = client.put_endpoint(&self.service, &self.endpoint, &request)?;
        if self.json {
            return print_json(&made);
        }
        term::line(&format!("endpoint   {}", made.name));
        term::line(&format!("calls      {}", made.max_concurrent_calls));
        term::line(&format!("location   {}", made.api_location));
        for (name, key) in [
            ("primary", &made.primary_key),
            ("secondary", &made.secondary_key),
        ] {
            if let Some(key) = key {
                term::line(&format!("{name:<10} {key}"));
            }
        }
        Ok(())
    }
}
