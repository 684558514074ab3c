//! The help pages of an endpoint, at its help location: an overview, `score`, `jobs` and `update`.
//!
//! They are written for whoever holds a key and wants to call the service: what to send, what comes
//! back, and programs that run as they are pasted. Published clients read them as well: one takes
//! the first `pre` of `#requestSummary` and of `#responseSummary` as JSON, another shows what
//! follows the words `code-snippet-r`.

mod errors;
mod html;
mod index;
mod jobs;
mod page;
mod parts;
mod samples;
mod score;
mod update;
mod words;

use std::sync::Arc;

use faults::{Fault, Language};
use graph::Package;
use store::Entry;

use crate::extract;
use crate::reply::Reply;
use crate::score::docs;
use crate::stack::Call;

use words::Words;

/// Which of the pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Topic {
    /// What there is.
    Index,
    /// Request-response.
    Score,
    /// Batch.
    Jobs,
    /// The exchange of a model.
    Update,
}

/// `GET {help location}[/score|/jobs|/update]`.
pub(crate) async fn show(call: &Call<'_>, topic: Topic) -> Result<Reply, Fault> {
    let entry = docs::endpoint(call)?;
    let package = docs::stored_package(call, &entry).await?;
    let language = extract::language(&call.head.headers);
    let facts = Facts {
        entry,
        package: &package,
        base: call.base_url(),
        language,
        words: Words::of(language),
    };
    let reply = match topic {
        Topic::Index => index::page(&facts),
        Topic::Score => score::page(&facts),
        Topic::Jobs => jobs::page(&facts),
        Topic::Update => update::page(&facts),
    };
    Ok(reply)
}

/// What a page is made from.
pub(crate) struct Facts<'a> {
    entry: Arc<Entry>,
    package: &'a Package,
    /// The start of URLs.
    base: String,
    language: Language,
    words: &'static Words,
}

impl Facts<'_> {
    /// What the service is called.
    fn name(&self) -> &str {
        match self.package.title.trim() {
            "" => &self.entry.service_name.name,
            title => title,
        }
    }

    /// What the endpoint is for, else what the service is for.
    fn description(&self) -> &str {
        let of_endpoint = self.entry.settings.description.trim();
        [of_endpoint, self.package.description.trim()]
            .into_iter()
            .find(|text| !text.is_empty())
            .unwrap_or(self.words.no_description)
    }

    /// Where calls go, without the last word and the query.
    fn service_url(&self) -> String {
        format!("{}{}", self.base, docs::workspace_path(&self.entry))
    }

    /// Where a blob of the workspace's own store is.
    fn blob_url(&self, blob: &str) -> String {
        format!("{}/blobs/{}/{blob}", self.base, self.entry.workspace)
    }

    /// Where the endpoint is managed.
    fn endpoint_url(&self, endpoint: &str) -> String {
        let entry = &self.entry;
        format!(
            "{}/workspaces/{}/webservices/{}/endpoints/{}",
            self.base,
            entry.workspace,
            entry.service,
            extract::encode(endpoint)
        )
    }

    /// The help location and, below it, a page.
    fn help(&self, topic: Topic) -> String {
        let page = match topic {
            Topic::Index => "",
            Topic::Score => "/score",
            Topic::Jobs => "/jobs",
            Topic::Update => "/update",
        };
        self.below_help(page)
    }

    fn below_help(&self, path: &str) -> String {
        let entry = &self.entry;
        format!(
            "{}/apihelp/workspaces/{}/webservices/{}/endpoints/{}{path}",
            self.base, entry.workspace, entry.service, entry.endpoint
        )
    }
}
