//! Batch jobs of one endpoint, by its key.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use ureq::http::{Method, Request};
use wire::bes_2_0::{
    BatchExecutionRequest, BatchExecutionStatus, BlobReference, JobInList, JobList,
};
use wire::classic::Endpoint;

use super::{Client, checked, encoded};
use crate::exit::Failure;

/// The version of the batch API that we speak.
const VERSION: &str = "api-version=2.0";

/// What is known of a job's run beyond its status.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Logs {
    /// The newest lines that name the job, oldest first.
    pub(crate) lines: Vec<Line>,
    /// The job's diagnostics, where they were recorded.
    pub(crate) diagnostics: Option<Value>,
    /// Why these cannot be read, where they cannot.
    pub(crate) problem: Option<String>,
}

/// A line of them.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Line {
    /// RFC 3339.
    pub(crate) time: String,
    /// `info`, `warn`, `error` or `output`.
    pub(crate) level: String,
    /// The text.
    pub(crate) text: String,
}

/// The batch API of an endpoint.
pub(crate) struct Jobs<'c> {
    client: &'c Client,
    /// `…/services/{endpoint}`.
    url: String,
    key: String,
    /// The names of the inputs.
    pub(crate) inputs: Vec<String>,
    /// The names of the outputs.
    pub(crate) outputs: Vec<String>,
}

impl Client {
    /// The batch API of a service's endpoint: the default one, or another by its name. The key is
    /// the one given, else the endpoint's first.
    pub(crate) fn jobs(
        &self,
        service: &str,
        endpoint: Option<&str>,
        key: Option<&str>,
    ) -> Result<Jobs<'_>, Failure> {
        let view = self.service(service)?;
        let (endpoint_id, own_key) = match endpoint {
            None => (view.endpoint_id, None),
            Some(name) => {
                let endpoint = self.endpoint(service, name)?;
                let id = endpoint.api_location.rsplit('/').next();
                (id.unwrap_or_default().to_owned(), endpoint.primary_key)
            }
        };
        let key = match (key, own_key) {
            (Some(key), _) => key.to_owned(),
            (None, Some(key)) => key,
            (None, None) => self.keys(service)?.primary,
        };
        let names = |ports: &Value| -> Vec<String> {
            let ports = ports.as_object();
            ports.into_iter().flat_map(|p| p.keys().cloned()).collect()
        };
        Ok(Jobs {
            client: self,
            url: format!(
                "{}/workspaces/{}/services/{endpoint_id}",
                self.base, view.workspace_id
            ),
            key,
            inputs: names(&view.inputs),
            outputs: names(&view.outputs),
        })
    }

    /// One endpoint of a service.
    fn endpoint(&self, service: &str, name: &str) -> Result<Endpoint, Failure> {
        let path = self.endpoints_path(service, Some(name))?;
        self.call(Method::GET, &path, None)
    }
}

impl Jobs<'_> {
    /// The server.
    pub(crate) fn client(&self) -> &Client {
        self.client
    }

    fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<ureq::http::Response<ureq::Body>, Failure> {
        let request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.url))
            .header("Authorization", format!("Bearer {}", self.key));
        let wrong = |e: ureq::http::Error| Failure::Usage(e.to_string());
        let reply = match body {
            Some(body) => {
                let bytes = serde_json::to_vec(body).map_err(|e| Failure::Local(e.to_string()))?;
                let request = request.header("Content-Type", "application/json");
                self.client.agent.run(request.body(bytes).map_err(wrong)?)
            }
            None => self.client.agent.run(request.body(()).map_err(wrong)?),
        };
        checked(reply.map_err(|e| self.client.failure(&e))?)
    }

    /// A place in the server's own store for a file of that name, with a signature to read, write and
    /// delete it.
    pub(crate) fn place(&self, name: &str) -> Result<BlobReference, Failure> {
        let body = json!({ "Name": name, "Temporary": true });
        let reply = self.send(Method::POST, &format!("/uploads?{VERSION}"), Some(&body))?;
        self.client.json(reply)
    }

    /// Submits a job, which waits to be started; its id.
    pub(crate) fn submit(&self, request: &BatchExecutionRequest) -> Result<String, Failure> {
        let body = super::value(request)?;
        let reply = self.send(Method::POST, &format!("/jobs?{VERSION}"), Some(&body))?;
        self.client.json(reply)
    }

    /// Starts a job.
    pub(crate) fn start(&self, job: &str) -> Result<(), Failure> {
        let path = format!("/jobs/{}/start?{VERSION}", encoded(job));
        self.send(Method::POST, &path, None).map(drop)
    }

    /// How a job is.
    pub(crate) fn status(&self, job: &str) -> Result<BatchExecutionStatus, Failure> {
        let path = format!("/jobs/{}?{VERSION}", encoded(job));
        let reply = self.send(Method::GET, &path, None)?;
        self.client.json(reply)
    }

    /// What is known of a job's run.
    pub(crate) fn logs(&self, job: &str) -> Result<Logs, Failure> {
        let path = format!("/jobs/{}/logs?{VERSION}", encoded(job));
        let reply = self.send(Method::GET, &path, None)?;
        self.client.json(reply)
    }

    /// Cancels a job; harmless where it has ended.
    pub(crate) fn cancel(&self, job: &str) -> Result<(), Failure> {
        let path = format!("/jobs/{}?{VERSION}", encoded(job));
        self.send(Method::DELETE, &path, None).map(drop)
    }

    /// The newest jobs, or those in a state.
    pub(crate) fn list(&self, state: Option<&str>, most: usize) -> Result<Vec<JobInList>, Failure> {
        let state = state.map_or(String::new(), |state| format!("&state={}", encoded(state)));
        let mut path = format!("/jobs?{VERSION}{state}&$top={}", most.clamp(1, 100));
        let mut jobs = Vec::new();
        loop {
            let reply = self.send(Method::GET, &path, None)?;
            let page: JobList = self.client.json(reply)?;
            jobs.extend(page.jobs);
            // The next page is asked of the server that we reach, by whatever name it calls itself.
            let next = page
                .next_link
                .as_deref()
                .and_then(|link| link.find("/jobs?").map(|at| link[at..].to_owned()));
            match next {
                Some(next) if jobs.len() < most => path = next,
                _ => break,
            }
        }
        jobs.truncate(most);
        Ok(jobs)
    }
}
