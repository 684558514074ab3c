//! One fetch: checks, attempts, and the pauses between them.

use std::io::{self, Read as _, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use ureq::http::{HeaderMap, HeaderValue, Request, Response, Uri, header};
use ureq::tls::{Certificate, RootCerts, TlsConfig};
use ureq::unversioned::resolver::DefaultResolver;
use ureq::unversioned::transport::DefaultConnector;
use ureq::{Agent, Body};

use crate::allow::AllowList;
use crate::exchange::{Exchange, not_allowed};
use crate::failure::{Failure, Kind, is_certificate};
use crate::resolver::Checked;
use crate::{Credentials, Options, azure};

/// The pause before the first retry; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// How much of a refusal's body is read for what it says.
const SAID: u64 = 16 * 1024;
/// How much is read at once.
const CHUNK: usize = 64 * 1024;

/// What is to be fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The URL.
    pub url: String,
    /// How the request is let in.
    pub credentials: Credentials,
}

impl Source {
    /// A URL that needs no further credentials.
    pub fn new(url: impl Into<String>) -> Source {
        Source {
            url: url.into(),
            credentials: Credentials::None,
        }
    }

    /// The URL as it may be shown: without query, in which signatures stand, and without a name
    /// and password.
    pub fn shown(&self) -> String {
        let url = self.url.split(['?', '#']).next().unwrap_or_default();
        match url.split_once("://") {
            Some((scheme, rest)) => {
                let (authority, path) = match rest.find('/') {
                    Some(slash) => rest.split_at(slash),
                    None => (rest, ""),
                };
                let host = authority.rsplit('@').next().unwrap_or_default();
                format!("{scheme}://{host}{path}")
            }
            None => url.to_owned(),
        }
    }
}

/// What a fetch came to.
#[derive(Debug)]
pub enum Answer<W> {
    /// The content.
    Content(Fetched<W>),
    /// What the caller has is still the same.
    NotModified,
}

/// Content that was fetched.
#[derive(Debug)]
pub struct Fetched<W> {
    /// What it was written to.
    pub sink: W,
    /// Its size in bytes.
    pub size: u64,
    /// What the other side calls this state of it, where that is a strong validator.
    pub etag: Option<String>,
}

/// What all fetches share.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) options: Options,
    allow: AllowList,
    agent: Agent,
    /// Trusts the operator's own authorities, where there are some.
    own: Option<Agent>,
    pub(crate) exchange: Exchange,
}

/// A URL that may be fetched, and the headers to fetch it with.
pub(crate) struct Target {
    uri: Uri,
    credentials: Credentials,
}

impl Client {
    pub(crate) fn new(options: &Options) -> Result<Client, String> {
        let own = match options.authorities.as_deref() {
            Some(path) => authorities(path)?,
            None => Vec::new(),
        };
        Client::trusting(options, &own)
    }

    /// A client that trusts the public authorities and those that are given.
    pub(crate) fn trusting(
        options: &Options,
        own: &[CertificateDer<'static>],
    ) -> Result<Client, String> {
        let allow = AllowList(options.allow.clone());
        let agent = |roots: RootCerts| {
            let config = Agent::config_builder()
                .http_status_as_error(false)
                .timeout_global(Some(options.timeout))
                .max_redirects(0)
                .max_redirects_will_error(false)
                // A proxy would connect to an address that nobody checked.
                .proxy(None)
                .user_agent(concat!("umpire/", env!("CARGO_PKG_VERSION")))
                .tls_config(TlsConfig::builder().root_certs(roots).build())
                .build();
            let resolver = Checked {
                allow: allow.clone(),
                names: DefaultResolver::default(),
            };
            Agent::with_parts(config, DefaultConnector::default(), resolver)
        };
        let extra = (!own.is_empty()).then(|| {
            let own = own.iter().map(|der| Certificate::from_der(der).to_owned());
            agent(RootCerts::Specific(Arc::new(own.collect())))
        });
        Ok(Client {
            agent: agent(RootCerts::WebPki),
            own: extra,
            options: options.clone(),
            exchange: Exchange::new(allow.clone(), own, options.timeout)?,
            allow,
        })
    }

    /// Reads a URL and checks what can be checked of it without asking for addresses.
    pub(crate) fn target(&self, source: &Source) -> Result<Target, Failure> {
        let malformed = |text: &str| Failure::new(Kind::Malformed, text);
        let mut url = encoded(source.url.split('#').next().unwrap_or_default().trim());
        if let Credentials::Signature(signature) = &source.credentials {
            let signature = signature.trim().trim_start_matches('?');
            if !signature.is_empty() {
                url.push(if url.contains('?') { '&' } else { '?' });
                url.push_str(&encoded(signature));
            }
        }
        let uri: Uri = url
            .parse()
            .map_err(|_| malformed("the URL cannot be read"))?;
        let plain = match uri.scheme_str() {
            Some("https") => false,
            Some("http") => true,
            _ => return Err(malformed("only http and https are fetched")),
        };
        let host = uri
            .host()
            .filter(|host| !host.is_empty())
            .ok_or_else(|| malformed("the URL has no host"))?;
        if uri.authority().is_some_and(|a| a.as_str().contains('@')) {
            return Err(malformed("a URL with a name and password is not fetched"));
        }
        if !self.allow.may_reach(host, plain) {
            return Err(not_allowed(host, plain));
        }
        Ok(Target {
            uri,
            credentials: source.credentials.clone(),
        })
    }

    fn call(&self, target: &Target, etag: Option<&str>) -> Result<Response<Body>, Failure> {
        let mut headers = HeaderMap::new();
        // The bytes as they are stored.
        headers.insert(
            header::ACCEPT_ENCODING,
            HeaderValue::from_static("identity"),
        );
        if let Some(etag) = etag.and_then(|etag| HeaderValue::from_str(etag).ok()) {
            headers.insert(header::IF_NONE_MATCH, etag);
        }
        if let Credentials::SharedKey(key) = &target.credentials {
            key.sign("GET", &target.uri, &mut headers, Timestamp::now());
        }
        let run = |agent: &Agent| {
            let mut request = Request::get(target.uri.clone());
            if let Some(own) = request.headers_mut() {
                own.extend(headers.clone());
            }
            agent.run(request.body(()).map_err(ureq::Error::Http)?)
        };
        let answer = match (run(&self.agent), &self.own) {
            // Not by a public authority: then by one of the operator's.
            (Err(error), Some(own)) if is_certificate(&error) => run(own),
            (answer, _) => answer,
        };
        answer.map_err(|e| Failure::of_call(&e))
    }

    /// One attempt. Waits for the network and the disk.
    fn attempt<W: Write>(
        &self,
        target: &Target,
        limit: u64,
        etag: Option<&str>,
        open: &impl Fn() -> io::Result<W>,
    ) -> Result<Answer<W>, Failure> {
        let mut response = self.call(target, etag)?;
        let status = response.status().as_u16();
        if status == 304 && etag.is_some() {
            return Ok(Answer::NotModified);
        }
        if status != 200 {
            let mut body = Vec::new();
            // What cannot be read of it is not said.
            let _ = response
                .body_mut()
                .as_reader()
                .take(SAID)
                .read_to_end(&mut body);
            return Err(Failure::answered(status, azure::Said::read(&body).line()));
        }
        let limit = limit.min(self.options.max_size);
        let text = |name| {
            let value: Option<&HeaderValue> = response.headers().get(name);
            value.and_then(|v| v.to_str().ok()).map(str::to_owned)
        };
        let declared: Option<u64> = text(header::CONTENT_LENGTH).and_then(|t| t.parse().ok());
        if declared.is_some_and(|size| size > limit) {
            return Err(Failure::too_large(limit));
        }
        let etag = text(header::ETAG).filter(|etag| etag.starts_with('"'));
        let mut sink = open().map_err(|e| Failure::local(&e))?;
        // One byte more, so that too much is told from just enough.
        let mut reader = response
            .body_mut()
            .with_config()
            .limit(u64::MAX)
            .reader()
            .take(limit.saturating_add(1));
        let mut chunk = vec![0u8; CHUNK];
        let mut size = 0u64;
        loop {
            let read = match reader.read(&mut chunk) {
                Ok(read) => read,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => return Err(Failure::of_read(e)),
            };
            if read == 0 {
                break;
            }
            size += read as u64;
            if size > limit {
                return Err(Failure::too_large(limit));
            }
            let bytes = chunk.get(..read).unwrap_or_default();
            sink.write_all(bytes).map_err(|e| Failure::local(&e))?;
        }
        sink.flush().map_err(|e| Failure::local(&e))?;
        Ok(Answer::Content(Fetched { sink, size, etag }))
    }
}

/// The certificates of a PEM file.
fn authorities(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let pem = std::fs::read(path)
        .map_err(|e| format!("outbound.ca: {} cannot be read: {e}", path.display()))?;
    let certificates: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&pem)
        .filter_map(Result::ok)
        .collect();
    if certificates.is_empty() {
        return Err(format!(
            "outbound.ca: {} holds no certificate",
            path.display()
        ));
    }
    Ok(certificates)
}

/// Attempts until one succeeds or fails for good.
pub(crate) async fn retried<W, F>(
    client: &Arc<Client>,
    source: &Source,
    limit: u64,
    etag: Option<&str>,
    open: F,
) -> Result<Answer<W>, Failure>
where
    W: Write + Send + 'static,
    F: Fn() -> io::Result<W> + Send + Sync + 'static,
{
    let target = Arc::new(client.target(source)?);
    let open = Arc::new(open);
    let mut pause = FIRST_PAUSE;
    let mut left = client.options.retries;
    loop {
        let (client, target, open) = (client.clone(), target.clone(), open.clone());
        let etag = etag.map(str::to_owned);
        let attempt = tokio::task::spawn_blocking(move || {
            client.attempt(&target, limit, etag.as_deref(), &*open)
        });
        let result = attempt
            .await
            .unwrap_or_else(|e| Err(Failure::new(Kind::Local, e.to_string())));
        match result {
            Err(failure) if failure.transient && left > 0 => {
                left -= 1;
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
            result => return result,
        }
    }
}

/// A URL with what may not stand in one percent-encoded: people paste names with blanks.
fn encoded(url: &str) -> String {
    let mut out = String::with_capacity(url.len());
    for byte in url.bytes() {
        if byte.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_shown_without_its_secrets() {
        for (url, shown) in [
            (
                "https://a.example/c/b.csv?sv=1&sig=x",
                "https://a.example/c/b.csv",
            ),
            ("https://u:p@a.example", "https://a.example"),
            ("https://a.example/@/b#f", "https://a.example/@/b"),
            ("nothing?x", "nothing"),
        ] {
            assert_eq!(Source::new(url).shown(), shown);
        }
    }

    #[test]
    fn what_may_not_be_fetched_is_told_before_anything_is_sent() {
        let client = |allow: &[&str]| {
            let allow = allow.iter().map(|entry| entry.parse().unwrap()).collect();
            let options = Options {
                allow,
                ..Options::default()
            };
            Client::new(&options).unwrap()
        };
        let by_name = client(&["a.example"]);
        let by_range = client(&["http://127.0.0.1"]);
        let kind =
            |client: &Client, url: &str| client.target(&Source::new(url)).err().map(|f| f.kind);
        for (client, url, expected) in [
            (&by_name, "https://a.example/x y/ü.csv", None),
            (&by_name, "http://a.example/", Some(Kind::NotAllowed)),
            (&by_name, "https://b.example/", Some(Kind::NotAllowed)),
            (&by_name, "https://127.0.0.1/", Some(Kind::NotAllowed)),
            (
                &by_name,
                "https://a.example@127.0.0.1/",
                Some(Kind::Malformed),
            ),
            (&by_name, "ftp://a.example/", Some(Kind::Malformed)),
            (&by_name, "file:///etc/passwd", Some(Kind::Malformed)),
            (&by_name, "a.example/x", Some(Kind::Malformed)),
            (&by_name, "", Some(Kind::Malformed)),
            (&by_name, "https://", Some(Kind::Malformed)),
            (&by_range, "http://127.0.0.1:80/x", None),
            // Its addresses will tell.
            (&by_range, "https://b.example/", None),
            (&by_range, "https://[::1]/", Some(Kind::NotAllowed)),
        ] {
            assert_eq!(kind(client, url), expected, "{url}");
        }
        let signed = Source {
            url: "https://a.example/c/b?x=1".into(),
            credentials: Credentials::Signature("?sig=a%2Fb".into()),
        };
        assert_eq!(
            by_name.target(&signed).ok().unwrap().uri.to_string(),
            "https://a.example/c/b?x=1&sig=a%2Fb"
        );
    }
}
