//! Batch jobs as a client runs them: upload, submit, start, ask, download.

use serde_json::{Value, json};

use super::{Reply, Request, Service, until};

/// A blob of the workspace's own store, as a job names it.
pub fn own(path: &str) -> Value {
    json!({ "RelativeLocation": path })
}

impl Service {
    /// The path of a call about jobs: what follows `/jobs`, with the version.
    pub fn jobs(&self, rest: &str) -> String {
        format!(
            "/workspaces/{}/services/{}/jobs{rest}?api-version=2.0",
            self.workspace, self.endpoint
        )
    }

    /// A call about jobs by the primary key.
    #[track_caller]
    pub fn ask_jobs(&self, method: &str, rest: &str) -> Reply {
        self.request_jobs(method, &self.jobs(rest))
            .send(self.address)
    }

    /// A call of a path by the primary key, as an HTTP library makes it: the URLs of the reply are
    /// those of this address.
    pub fn request_jobs(&self, method: &str, path: &str) -> Request {
        Request::new(method, path)
            .header("Host", &self.address.to_string())
            .bearer(&self.primary)
    }

    /// Uploads a file into the workspace's own store; how a job names it.
    #[track_caller]
    pub fn upload(&self, name: &str, content: &[u8]) -> Value {
        let uploads = self.jobs("").replace("/jobs", "/uploads");
        let reply = Request::new("POST", &uploads)
            .header("Host", &self.address.to_string())
            .bearer(&self.primary)
            .json(&json!({ "Name": name }))
            .send(self.address);
        assert_eq!(reply.status, 201, "{}", reply.text());
        let file = reply.json();
        let put = at(&file, "PUT").body(content).send(self.address);
        assert_eq!(put.status, 201, "{}", put.text());
        own(file["RelativeLocation"].as_str().expect("a location"))
    }

    /// Submits a job.
    #[track_caller]
    pub fn submit(&self, body: &Value) -> Reply {
        Request::new("POST", &self.jobs(""))
            .bearer(&self.primary)
            .json(body)
            .send(self.address)
    }

    /// Submits a job that must be taken; its id.
    #[track_caller]
    pub fn submitted(&self, body: &Value) -> String {
        let reply = self.submit(body);
        assert_eq!(reply.status, 200, "{}", reply.text());
        let text = reply.text();
        let id = text.strip_prefix('"').and_then(|t| t.strip_suffix('"'));
        let id = id.unwrap_or_else(|| panic!("a JSON string: {text}"));
        assert_eq!(id.len(), 32, "{text}");
        id.to_owned()
    }

    /// Starts a job that is there to be started.
    #[track_caller]
    pub fn start_job(&self, job: &str) {
        let reply = self.ask_jobs("POST", &format!("/{job}/start"));
        assert_eq!((reply.status, reply.text().as_str()), (204, ""));
    }

    /// What is said of a job.
    #[track_caller]
    pub fn job(&self, job: &str) -> Value {
        let reply = self.ask_jobs("GET", &format!("/{job}"));
        assert_eq!(reply.status, 200, "{}", reply.text());
        reply.json()
    }

    /// What is said of a job once it has ended.
    #[track_caller]
    pub fn ended_job(&self, job: &str) -> Value {
        let mut last = Value::Null;
        until("the job's end", || {
            last = self.job(job);
            !matches!(last["StatusCode"].as_str(), Some("NotStarted" | "Running"))
        });
        last
    }

    /// What is said of a job that must have finished.
    #[track_caller]
    pub fn finished_job(&self, job: &str) -> Value {
        let ended = self.ended_job(job);
        assert_eq!(ended["StatusCode"], "Finished", "{ended}");
        assert!(ended["Details"].is_null(), "{ended}");
        ended
    }

    /// Submits and starts a job, and waits for its end.
    #[track_caller]
    pub fn run_job(&self, body: &Value) -> Value {
        let job = self.submitted(body);
        self.start_job(&job);
        self.ended_job(&job)
    }
}

/// The bytes at a reference of a reply, as clients read them: the three texts joined, and no key.
#[track_caller]
pub fn fetched(reference: &Value) -> Vec<u8> {
    let reply = fetch(reference);
    assert_eq!(reply.status, 200, "{reference}: {}", reply.text());
    reply.body
}

/// What reading such a reference is answered with.
#[track_caller]
pub fn fetch(reference: &Value) -> Reply {
    let request = at(reference, "GET");
    let (_, host) = request.headers.first().expect("its host");
    request.send(host.parse().expect("an address"))
}

/// A call of the URL that the three texts of a reference are.
#[track_caller]
fn at(reference: &Value, method: &str) -> Request {
    assert!(reference["ConnectionString"].is_null(), "{reference}");
    let text = |name: &str| reference[name].as_str().expect(name);
    assert!(text("BaseLocation").ends_with('/'), "{reference}");
    let url = ["BaseLocation", "RelativeLocation", "SasBlobToken"].map(text);
    let url = url.concat();
    let (host, path) = url
        .strip_prefix("http://")
        .and_then(|rest| rest.split_once('/'))
        .unwrap_or_else(|| panic!("a URL: {url}"));
    Request::new(method, &format!("/{path}")).header("Host", host)
}
