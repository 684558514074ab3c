//! The client commands' side of the HTTP APIs.

pub(crate) mod blobs;
pub(crate) mod jobs;

use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use store::ExportedEndpoint;
use ureq::http::{Method, Request, Response};
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::{Agent, Body, SendBody};
use wire::arm_2017_01_01::{WebService, WebServiceKeys};
use wire::classic::{Endpoint, EndpointRequest};
use wire::umpire_v1::{
    AuditList, BlobStored, ConfigurationChange, ContainerList, LimitList, LogList, NodeList,
    NodeView, RevisionList, RollbackRequest, RotateRequest, RotateTokenRequest, SecretsRotated,
    ServiceList, ServiceView, TokenList, TokenMade, TokenRequest, UsageList, WhichKey,
    WorkspaceList, WorkspaceTokens, WorkspaceView,
};

use crate::config::Settings;
use crate::exit::Failure;

/// The version of the Resource Manager API that we speak.
const ARM_VERSION: &str = "2017-01-01";
/// What a server keeps in its data directory for clients on the same machine: its URL.
pub(crate) const URL_FILE: &str = "server.url";
/// The certificate of a server that made its own, beside it.
pub(crate) const CERTIFICATE_FILE: &str = "tls/self-signed.pem";
/// That certificate's key.
pub(crate) const CERTIFICATE_KEY_FILE: &str = "tls/self-signed.key";
/// The largest reply that is read.
const REPLY_BYTES: u64 = 1 << 30;

/// The pause before an operation is asked about again; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// How a server is to be reached, beyond the settings.
#[derive(Debug, Clone, Default)]
pub(crate) struct Trust {
    /// Take any certificate.
    pub(crate) insecure: bool,
    /// Trust these authorities alone.
    pub(crate) ca: Option<PathBuf>,
}

/// A client of one server, signed in as its operator.
pub(crate) struct Client {
    agent: Agent,
    base: String,
    token: Option<String>,
}

/// Where a service stands in the Resource Manager's names.
#[derive(Debug, Clone)]
pub(crate) struct ServicePath {
    /// The subscription.
    pub(crate) subscription: String,
    /// The resource group.
    pub(crate) group: String,
    /// The name.
    pub(crate) name: String,
}

impl Client {
    /// Finds server and token: the settings', else what a server on this machine keeps in its data
    /// directory, else the default address.
    pub(crate) fn new(settings: &Settings, trust: &Trust) -> Result<Client, Failure> {
        let base = match &settings.server {
            Some(url) => url.0.clone(),
            None => match std::fs::read_to_string(settings.data.join(URL_FILE)) {
                Ok(url) if !url.trim().is_empty() => url.trim().to_owned(),
                _ => format!("http://{}", crate::config::Settings::default().listen),
            },
        };
        let token = match &settings.token {
            Some(token) => Some(token.clone()),
            None => std::fs::read_to_string(store::operator_token_file(&settings.data))
                .ok()
                .map(|token| token.trim().to_owned()),
        };
        let agent = agent(settings, trust, &base)?;
        Ok(Client { agent, base, token })
    }

    fn failure(&self, error: &ureq::Error) -> Failure {
        Failure::Unreachable {
            server: self.base.clone(),
            problem: error.to_string(),
        }
    }

    /// Sends a request signed in as the operator; a reply of 4xx or 5xx is a failure.
    fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Response<Body>, Failure> {
        let url = format!("{}{path}", self.base);
        let reply = match body {
            Some(value) => {
                let bytes = serde_json::to_vec(value).map_err(|e| Failure::Local(e.to_string()))?;
                let request = self
                    .request(method, &url)
                    .header("Content-Type", "application/json")
                    .body(bytes);
                self.agent
                    .run(request.map_err(|e| Failure::Usage(e.to_string()))?)
            }
            None => {
                let request = self.request(method, &url).body(());
                self.agent
                    .run(request.map_err(|e| Failure::Usage(e.to_string()))?)
            }
        };
        checked(reply.map_err(|e| self.failure(&e))?)
    }

    fn request(&self, method: Method, url: &str) -> ureq::http::request::Builder {
        let request = Request::builder().method(method).uri(url);
        match &self.token {
            Some(token) => request.header("Authorization", format!("Bearer {token}")),
            None => request,
        }
    }

    fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<T, Failure> {
        let reply = self.send(method, path, body)?;
        self.json(reply)
    }

    fn json<T: DeserializeOwned>(&self, mut reply: Response<Body>) -> Result<T, Failure> {
        let bytes = reply
            .body_mut()
            .with_config()
            .limit(REPLY_BYTES)
            .read_to_vec()
            .map_err(|e| self.failure(&e))?;
        serde_json::from_slice(&bytes).map_err(|e| Failure::Unreachable {
            server: self.base.clone(),
            problem: format!("its answer cannot be read: {e}"),
        })
    }

    /// Uploads a file unless the server has it.
    pub(crate) fn put_blob(&self, path: &Path, sha256: &str) -> Result<BlobStored, Failure> {
        let unreadable =
            |e: std::io::Error| Failure::Local(format!("{} cannot be read: {e}", path.display()));
        let mut file = File::open(path).map_err(unreadable)?;
        let size = file.metadata().map_err(unreadable)?.len();
        self.put_blob_from(&mut file, size, sha256)
    }

    /// Uploads `size` bytes unless the server has them.
    pub(crate) fn put_blob_from(
        &self,
        mut content: &mut dyn Read,
        size: u64,
        sha256: &str,
    ) -> Result<BlobStored, Failure> {
        let url = format!("/umpire/v1/blobs/{sha256}");
        match self.call(Method::GET, &url, None) {
            Err(Failure::Server { status: 404, .. }) => {}
            other => return other,
        }
        let request = self
            .request(Method::PUT, &format!("{}{url}", self.base))
            .header("Content-Type", "application/octet-stream")
            .header("Content-Length", size)
            .body(SendBody::from_reader(&mut content))
            .map_err(|e| Failure::Usage(e.to_string()))?;
        let reply = self.agent.run(request).map_err(|e| self.failure(&e))?;
        self.json(checked(reply)?)
    }

    /// Creates or updates a service; answered when it scores.
    pub(crate) fn put_service(
        &self,
        path: &ServicePath,
        resource: &Value,
    ) -> Result<WebService, Failure> {
        let reply = self.send(Method::PUT, &arm_path(path, ""), Some(resource))?;
        let operation = reply
            .headers()
            .get("azure-asyncoperation")
            .and_then(|url| url.to_str().ok())
            .and_then(result_path);
        match operation {
            Some(path) => self.wait_for(&path),
            None => self.json(reply),
        }
    }

    /// Asks what an operation came to until it has come to something.
    fn wait_for<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        let mut pause = FIRST_PAUSE;
        loop {
            let reply = self.send(Method::GET, path, None)?;
            if reply.status().as_u16() != 202 {
                return self.json(reply);
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// All services.
    pub(crate) fn services(&self) -> Result<ServiceList, Failure> {
        self.call(Method::GET, "/umpire/v1/services", None)
    }

    /// One service, by its name or id.
    pub(crate) fn service(&self, name: &str) -> Result<ServiceView, Failure> {
        self.call(Method::GET, &service_path(name, ""), None)
    }

    /// The two keys of a service.
    pub(crate) fn keys(&self, name: &str) -> Result<WebServiceKeys, Failure> {
        self.call(Method::GET, &service_path(name, "/keys"), None)
    }

    /// Makes one key anew.
    pub(crate) fn rotate(&self, name: &str, key: WhichKey) -> Result<WebServiceKeys, Failure> {
        let body = value(&RotateRequest { key })?;
        self.call(Method::POST, &service_path(name, "/keys"), Some(&body))
    }

    /// The endpoints of a service, which is given by its name or id.
    pub(crate) fn endpoints(&self, service: &str) -> Result<Vec<Endpoint>, Failure> {
        let path = self.endpoints_path(service, None)?;
        self.call(Method::GET, &path, None)
    }

    /// Makes an endpoint, or changes it; answered when it is ready.
    pub(crate) fn put_endpoint(
        &self,
        service: &str,
        endpoint: &str,
        request: &EndpointRequest,
    ) -> Result<Endpoint, Failure> {
        let path = self.endpoints_path(service, Some(endpoint))?;
        self.call(Method::PUT, &path, Some(&value(request)?))
    }

    /// Makes an endpoint what an export says of it, whatever it was before: a copy of the default
    /// one but for its settings and resources. The service is given by its name or id.
    pub(crate) fn import_endpoint(
        &self,
        service: &str,
        endpoint: &ExportedEndpoint,
    ) -> Result<(), Failure> {
        let path = self.endpoints_path(service, Some(&endpoint.name))?;
        let mut settings = endpoint.settings.clone();
        // Last, since it would stand in the way of the rest.
        let prevented = settings.insert("PreventUpdate".into(), false.into());
        self.send(Method::PUT, &path, Some(&settings.clone().into()))?;
        let anew = json!({"OverwriteResources": true});
        self.send(Method::POST, &format!("{path}/refresh"), Some(&anew))?;
        if !endpoint.resources.is_empty() {
            let resources: Vec<Value> = endpoint
                .resources
                .iter()
                .map(|(name, sha256)| {
                    json!({"Name": name, "Location": {
                        "BaseLocation": "umpire:sha256:",
                        "RelativeLocation": sha256.to_string(),
                        "SasBlobToken": "",
                    }})
                })
                .collect();
            let update = json!({"Resources": resources});
            self.send(Method::PATCH, &path, Some(&update))?;
        }
        if let Some(prevented) = prevented.filter(|prevented| *prevented == true) {
            settings.insert("PreventUpdate".into(), prevented);
            self.send(Method::PUT, &path, Some(&settings.into()))?;
        }
        Ok(())
    }

    /// The two keys of an endpoint; `rotate` makes one of them anew first.
    pub(crate) fn endpoint_keys(
        &self,
        service: &str,
        endpoint: &str,
        rotate: Option<WhichKey>,
    ) -> Result<WebServiceKeys, Failure> {
        let path = service_path(service, &format!("/keys?endpoint={}", encoded(endpoint)));
        match rotate {
            None => self.call(Method::GET, &path, None),
            Some(key) => self.call(Method::POST, &path, Some(&value(&RotateRequest { key })?)),
        }
    }

    /// Deletes an endpoint.
    pub(crate) fn delete_endpoint(&self, service: &str, endpoint: &str) -> Result<(), Failure> {
        let path = self.endpoints_path(service, Some(endpoint))?;
        self.send(Method::DELETE, &path, None).map(drop)
    }

    /// The classic API's path of a service's endpoints, or of one.
    fn endpoints_path(&self, service: &str, endpoint: Option<&str>) -> Result<String, Failure> {
        let service = self.service(service)?;
        let endpoint = endpoint.map_or_else(String::new, |name| format!("/{}", encoded(name)));
        Ok(format!(
            "/workspaces/{}/webservices/{}/endpoints{endpoint}",
            service.workspace_id, service.service_id
        ))
    }

    /// Deletes a service.
    pub(crate) fn delete(&self, name: &str) -> Result<(), Failure> {
        self.send(Method::DELETE, &service_path(name, ""), None)
            .map(drop)
    }

    /// The kept revisions.
    pub(crate) fn revisions(&self, name: &str) -> Result<RevisionList, Failure> {
        self.call(Method::GET, &service_path(name, "/revisions"), None)
    }

    /// Goes back to a revision.
    pub(crate) fn rollback(&self, name: &str, to: Option<u64>) -> Result<ServiceView, Failure> {
        let body = value(&RollbackRequest { to })?;
        self.call(Method::POST, &service_path(name, "/rollback"), Some(&body))
    }

    /// The newest lines about a service.
    pub(crate) fn logs(&self, name: &str, limit: usize) -> Result<LogList, Failure> {
        let path = service_path(name, &format!("/logs?limit={limit}"));
        self.call(Method::GET, &path, None)
    }

    /// Lets the server read its settings again.
    pub(crate) fn reload(&self) -> Result<ConfigurationChange, Failure> {
        self.call(Method::POST, "/umpire/v1/configuration/reload", None)
    }

    /// The settings that servers share.
    pub(crate) fn limits(&self) -> Result<LimitList, Failure> {
        self.call(Method::GET, "/umpire/v1/limits", None)
    }

    /// Changes some of them.
    pub(crate) fn set_limits(&self, changes: &Value) -> Result<ConfigurationChange, Failure> {
        self.call(Method::PUT, "/umpire/v1/limits", Some(changes))
    }

    /// Writes a backup of the server into `out`; its length.
    pub(crate) fn backup(&self, out: &mut dyn Write) -> Result<u64, Failure> {
        self.download(Method::POST, "/umpire/v1/backup", out)
    }

    /// Writes a service into `out`; the length.
    pub(crate) fn export(&self, name: &str, out: &mut dyn Write) -> Result<u64, Failure> {
        self.download(Method::GET, &service_path(name, "/export"), out)
    }

    /// Copies a reply of any size, and refuses one that broke off.
    fn download(&self, method: Method, path: &str, out: &mut dyn Write) -> Result<u64, Failure> {
        let reply = self.send(method, path, None)?;
        let announced = reply.headers().get("content-length");
        let announced = announced.and_then(|v| v.to_str().ok()?.parse::<u64>().ok());
        let mut body = reply.into_body().into_reader();
        let broke_off = |problem: String| Failure::Unreachable {
            server: self.base.clone(),
            problem,
        };
        let mut chunk = vec![0; 64 * 1024];
        let mut copied = 0;
        loop {
            let count = match body.read(&mut chunk) {
                Ok(0) => break,
                Ok(count) => count,
                Err(e) => return Err(broke_off(format!("its answer broke off: {e}"))),
            };
            out.write_all(chunk.get(..count).unwrap_or_default())
                .map_err(Failure::from_disk)?;
            copied += count as u64;
        }
        match announced == Some(copied) {
            true => Ok(copied),
            false => Err(broke_off("its answer broke off".to_owned())),
        }
    }

    /// Changes the master key.
    pub(crate) fn rotate_secrets(&self) -> Result<SecretsRotated, Failure> {
        self.call(Method::POST, "/umpire/v1/secrets/rotate", None)
    }

    /// The nodes.
    pub(crate) fn nodes(&self) -> Result<NodeList, Failure> {
        self.call(Method::GET, "/umpire/v1/nodes", None)
    }

    /// Drains a node, or lets it serve again.
    pub(crate) fn set_drained(&self, node: &str, drained: bool) -> Result<NodeView, Failure> {
        let verb = if drained { "drain" } else { "resume" };
        let path = format!("/umpire/v1/nodes/{}/{verb}", encoded(node));
        self.call(Method::POST, &path, None)
    }

    /// The containers.
    pub(crate) fn containers(&self) -> Result<ContainerList, Failure> {
        self.call(Method::GET, "/umpire/v1/containers", None)
    }

    /// Replaces a container by a fresh one.
    pub(crate) fn retire(&self, container: &str) -> Result<(), Failure> {
        let path = format!("/umpire/v1/containers/{}/retire", encoded(container));
        self.send(Method::POST, &path, None).map(drop)
    }

    /// All workspaces.
    pub(crate) fn workspaces(&self) -> Result<WorkspaceList, Failure> {
        self.call(Method::GET, "/umpire/v1/workspaces", None)
    }

    /// One workspace, by its name or id.
    pub(crate) fn workspace(&self, name: &str) -> Result<WorkspaceView, Failure> {
        self.call(Method::GET, &workspace_path(name, ""), None)
    }

    /// Makes a workspace, or answers the one that is there.
    pub(crate) fn create_workspace(&self, name: &str) -> Result<WorkspaceView, Failure> {
        self.call(Method::PUT, &workspace_path(name, ""), None)
    }

    /// Deletes a workspace in which nothing stands.
    pub(crate) fn delete_workspace(&self, name: &str) -> Result<(), Failure> {
        self.send(Method::DELETE, &workspace_path(name, ""), None)
            .map(drop)
    }

    /// The two tokens of a workspace.
    pub(crate) fn workspace_tokens(&self, name: &str) -> Result<WorkspaceTokens, Failure> {
        self.call(Method::GET, &workspace_path(name, "/tokens"), None)
    }

    /// Makes one token of a workspace anew.
    pub(crate) fn rotate_workspace_token(
        &self,
        name: &str,
        token: WhichKey,
    ) -> Result<WorkspaceTokens, Failure> {
        let body = value(&RotateTokenRequest { token })?;
        self.call(Method::POST, &workspace_path(name, "/tokens"), Some(&body))
    }

    /// Makes a management token.
    pub(crate) fn create_token(&self, request: &TokenRequest) -> Result<TokenMade, Failure> {
        let body = value(request)?;
        self.call(Method::POST, "/umpire/v1/tokens", Some(&body))
    }

    /// All management tokens.
    pub(crate) fn tokens(&self) -> Result<TokenList, Failure> {
        self.call(Method::GET, "/umpire/v1/tokens", None)
    }

    /// Revokes a management token, by its name or id.
    pub(crate) fn revoke_token(&self, name: &str) -> Result<(), Failure> {
        let path = format!("/umpire/v1/tokens/{}", encoded(name));
        self.send(Method::DELETE, &path, None).map(drop)
    }

    /// The newest lines of the audit trail, or those before a line.
    pub(crate) fn audit(&self, limit: u32, before: Option<u64>) -> Result<AuditList, Failure> {
        let before = before.map_or(String::new(), |number| format!("&before={number}"));
        let path = format!("/umpire/v1/audit?limit={limit}{before}");
        self.call(Method::GET, &path, None)
    }

    /// What the endpoints are used; dates as `2026-11-30`.
    pub(crate) fn usage(&self, from: Option<&str>, to: Option<&str>) -> Result<UsageList, Failure> {
        let mut query = Vec::new();
        for (name, date) in [("from", from), ("to", to)] {
            if let Some(date) = date {
                query.push(format!("{name}={}", encoded(date)));
            }
        }
        let path = format!("/umpire/v1/usage?{}", query.join("&"));
        self.call(Method::GET, &path, None)
    }

    /// Scores with an endpoint's key.
    pub(crate) fn score(&self, url: &str, key: &str, body: &Value) -> Result<Value, Failure> {
        let bytes = serde_json::to_vec(body).map_err(|e| Failure::Local(e.to_string()))?;
        let request = Request::builder()
            .method(Method::POST)
            .uri(url)
            .header("Authorization", format!("Bearer {key}"))
            .header("Content-Type", "application/json")
            .body(bytes)
            .map_err(|e| Failure::Usage(e.to_string()))?;
        let reply = self.agent.run(request).map_err(|e| self.failure(&e))?;
        self.json(checked(reply)?)
    }
}

fn value(body: &impl Serialize) -> Result<Value, Failure> {
    serde_json::to_value(body).map_err(|e| Failure::Local(e.to_string()))
}

fn agent(settings: &Settings, trust: &Trust, base: &str) -> Result<Agent, Failure> {
    let mut tls = TlsConfig::builder().disable_verification(trust.insecure);
    let own = settings.data.join(CERTIFICATE_FILE);
    let authorities = match &trust.ca {
        Some(path) => Some(path.clone()),
        // The server on this machine made its certificate itself.
        None if base.starts_with("https://") && own.exists() => Some(own),
        None => None,
    };
    if let Some(path) = authorities {
        let pem = std::fs::read(&path)
            .map_err(|e| Failure::Local(format!("{} cannot be read: {e}", path.display())))?;
        let certificates: Vec<Certificate<'static>> = parse_pem(&pem)
            .filter_map(|item| match item {
                Ok(PemItem::Certificate(certificate)) => Some(certificate),
                _ => None,
            })
            .collect();
        if certificates.is_empty() {
            return Err(Failure::Local(format!(
                "{} holds no certificate",
                path.display()
            )));
        }
        tls = tls.root_certs(RootCerts::Specific(std::sync::Arc::new(certificates)));
    }
    let config = Agent::config_builder()
        .http_status_as_error(false)
        .timeout_connect(Some(Duration::from_secs(10)))
        .user_agent(concat!("umpire/", env!("CARGO_PKG_VERSION")))
        .tls_config(tls.build())
        .build();
    Ok(config.into())
}

/// A reply of 4xx or 5xx as a failure.
fn checked(mut reply: Response<Body>) -> Result<Response<Body>, Failure> {
    let status = reply.status().as_u16();
    if status < 400 {
        return Ok(reply);
    }
    let text = |name: &str| {
        let value = reply.headers().get(name)?;
        value.to_str().ok().map(str::to_owned)
    };
    let request_id = text("x-ms-request-id");
    let retry_after = text("retry-after").and_then(|seconds| seconds.parse().ok());
    let envelope = reply
        .body_mut()
        .read_to_vec()
        .ok()
        .and_then(|bytes| serde_json::from_slice(&bytes).ok());
    Err(Failure::Server {
        status,
        reply: envelope,
        request_id,
        retry_after,
    })
}

/// A path word, percent-encoded.
fn encoded(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// Where an operation's result is, by where its status is: a path on the server that was called,
/// whatever name it goes by itself.
fn result_path(status_url: &str) -> Option<String> {
    let (_, rest) = status_url.split_once("://")?;
    let path = rest.get(rest.find("/subscriptions/")?..)?;
    Some(path.replacen("/operationsStatus/", "/operationresults/", 1))
}

fn service_path(name: &str, rest: &str) -> String {
    format!("/umpire/v1/services/{}{rest}", encoded(name))
}

fn workspace_path(name: &str, rest: &str) -> String {
    format!("/umpire/v1/workspaces/{}{rest}", encoded(name))
}

fn arm_path(path: &ServicePath, rest: &str) -> String {
    format!(
        "/subscriptions/{}/resourceGroups/{}/providers/Microsoft.MachineLearning/webServices/{}{rest}?api-version={ARM_VERSION}",
        encoded(&path.subscription),
        encoded(&path.group),
        encoded(&path.name),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operations_result_is_found_by_its_status() {
        let status = "https://outer/base/subscriptions/s/providers/M/locations/l/operationsStatus/1?api-version=2";
        assert_eq!(
            result_path(status).as_deref(),
            Some("/subscriptions/s/providers/M/locations/l/operationresults/1?api-version=2")
        );
        assert_eq!(result_path("nothing"), None);
    }

    #[test]
    fn names_are_encoded_as_one_path_word() {
        assert_eq!(encoded("a b/c?ä"), "a%20b%2Fc%3F%C3%A4");
        assert_eq!(service_path("x", "/keys"), "/umpire/v1/services/x/keys");
    }
}
