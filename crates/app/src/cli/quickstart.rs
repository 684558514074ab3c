//! `umpire quickstart`: the whole way in one command.

use std::path::PathBuf;

use clap::Args;
use serde_json::Map;
use wire::umpire_v1::Deployed;

use super::score::{Form, Rows, first_input, request};
use super::{Common, deploy, flag};
use crate::client::{Client, ServicePath, Trust};
use crate::config::{BaseUrl, Settings, Sources};
use crate::exit::Failure;
use crate::term;
use crate::wiring::{self, Server};

/// The name of the service.
const NAME: &str = "penguins";
/// The model; what it is and under which licence says `sample/README.md`.
const MODEL: &[u8] = include_bytes!("../../sample/penguins.onnx");
/// Rows to score.
const ROWS: &[u8] = include_bytes!("../../sample/penguins.csv");
/// Rows of a call.
const SCORED: usize = 3;

/// Deploy the sample model, score it, and serve.
///
/// State is kept in ./umpire-data. The sample names the species of a penguin from its measures.
#[derive(Debug, Args)]
pub(crate) struct Quickstart {
    /// End after scoring
    #[arg(long)]
    once: bool,
    /// The data directory [default: ./umpire-data]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// The address to listen on [default: 127.0.0.1:8420, or a free port where that is taken]
    #[arg(long, value_name = "ADDR")]
    listen: Option<String>,
}

impl Quickstart {
    pub(crate) fn run(&self, common: &Common) -> Result<(), Failure> {
        let mut flags = Vec::new();
        let data = self.data.as_ref().map(|p| p.to_string_lossy());
        flag(&mut flags, "data", "--data", data.as_deref());
        flag(&mut flags, "listen", "--listen", self.listen.as_deref());
        let effective = common.settings(flags.clone())?;
        // What a newcomer reads is the result, not the log.
        for (name, value) in [("log.level", "warn"), ("log.access", "false")] {
            if effective.is_default(name) {
                flag(&mut flags, name, "quickstart", Some(value));
            }
        }
        let listen = &effective.settings.listen;
        if *listen == Settings::default().listen && is_taken(listen) {
            flag(&mut flags, "listen", "quickstart", Some("127.0.0.1:0"));
        }
        let sources = common.sources(flags);
        let settings = crate::config::load(&sources)
            .map_err(Failure::Config)?
            .settings;
        wiring::runtime(&settings)?.block_on(self.serve(sources, settings))
    }

    async fn serve(&self, sources: Sources, settings: Settings) -> Result<(), Failure> {
        let server = Server::start(sources).await?;
        let settings = Settings {
            server: Some(BaseUrl(server.url().to_owned())),
            token: None,
            ..settings
        };
        let (done, scored) = tokio::sync::oneshot::channel();
        // The client's side waits for replies, so it has a thread of its own.
        let client_side = tokio::task::spawn_blocking(move || {
            let result = deploy_and_score(&settings);
            // The receiver is gone only when the server has ended already.
            let _ = done.send(result.is_ok());
            result
        });
        let once = self.once;
        let ended = server
            .run(async move {
                let worked = scored.await.unwrap_or(false);
                if worked && !once {
                    std::future::pending::<()>().await;
                }
            })
            .await;
        client_side
            .await
            .map_err(|e| Failure::StartText(e.to_string()))??;
        ended
    }
}

/// Whether somebody listens on an address already.
fn is_taken(listen: &str) -> bool {
    matches!(
        std::net::TcpListener::bind(listen),
        Err(e) if e.kind() == std::io::ErrorKind::AddrInUse
    )
}

fn deploy_and_score(settings: &Settings) -> Result<(), Failure> {
    let client = Client::new(settings, &Trust::default())?;
    let deployed = deploy_sample(settings, &client)?;
    let rows = Rows::read(ROWS)
        .map_err(|e| Failure::Local(format!("the sample rows cannot be read: {e}")))?
        .first_whole(SCORED);
    let input = first_input(&deployed.inputs);
    term::line("");
    deploy::print(&deployed);
    let mut curl = String::new();
    for form in [Form::Table, Form::Rows] {
        let body = request(&input, rows.as_value(form), &Map::new());
        let url = format!("{}{}", deployed.scoring_url, form.query());
        let reply = client.score(&url, &deployed.primary_key, &body)?;
        let label = match form {
            Form::Table => "scored, as a table",
            Form::Rows => "scored, as rows",
        };
        term::line(&term::heading(label));
        term::line(&format!("  {reply}"));
        curl = curl_line(&url, &deployed.primary_key, &body.to_string());
    }
    term::line(&term::heading("try it"));
    term::line(&curl);
    Ok(())
}

/// A command line for a shell; single quotes keep everything but a single quote as it is.
fn curl_line(url: &str, key: &str, body: &str) -> String {
    let quoted = |text: &str| format!("'{}'", text.replace('\'', r"'\''"));
    format!(
        "curl -sS {} -H {} -H {} -d {}",
        quoted(url),
        quoted(&format!("Authorization: Bearer {key}")),
        quoted("Content-Type: application/json"),
        quoted(body)
    )
}

fn deploy_sample(settings: &Settings, client: &Client) -> Result<Deployed, Failure> {
    let folder = settings.data.join("sample");
    let written = |name: &str, bytes: &[u8]| -> Result<PathBuf, Failure> {
        let path = folder.join(name);
        std::fs::create_dir_all(&folder)
            .and_then(|()| std::fs::write(&path, bytes))
            .map_err(|e| Failure::Local(format!("{} cannot be written: {e}", path.display())))?;
        Ok(path)
    };
    let model = deploy::Model {
        file: &written("penguins.onnx", MODEL)?,
        bytes: MODEL,
        sample: Some(&written("penguins.csv", ROWS)?),
        nullable: &[],
        // Public data: the document may show it.
        expose_sample: true,
        title: NAME,
    };
    let resource = model.resource(client)?;
    let path = ServicePath {
        subscription: settings.subscription.clone(),
        group: store::DEFAULT_RESOURCE_GROUP.to_owned(),
        name: NAME.to_owned(),
    };
    deploy::put(client, &path, &resource)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quote_in_a_body_does_not_end_the_shells_word() {
        let line = curl_line("http://h/", "k==", r#"{"a":"it's"}"#);
        assert!(line.ends_with(r#"-d '{"a":"it'\''s"}'"#), "{line}");
        assert!(line.contains("'Authorization: Bearer k=='"), "{line}");
    }
}
