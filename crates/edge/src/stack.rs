//! What every request goes through, in this order: an id, a row of the route table, the answer
//! under a panic guard, the headers that every reply has, and the observation (access line,
//! metrics, and the fault where there is one). A request whose future is dropped (its client went
//! away) is observed too.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use bytes::Bytes;
use containers::Watch;
use diagnostics::Diagnostics;
use faults::{Class, Fault, internal_error, request_timeout, unauthorized};
use futures_util::FutureExt as _;
use http::header::{CONNECTION, CONTENT_LENGTH, HeaderValue};
use http::{Method, Request, Response, Version, request};
use hyper::body::Incoming;
use scoring::Endpoint;
use telemetry::{AccessLine, CallContext, EndpointMetrics, Outcome, Surface};

use crate::body::{self, RequestBody};
use crate::extract;
use crate::reply::{self, CLIENT_REQUEST_ID, REQUEST_ID, Reply};
use crate::request_id::RequestId;
use crate::routes::{self, Matched};
use crate::sending::{self, Sending};
use crate::server::Peer;
use crate::{Gateway, cors, origin};

/// The longest subject of an audit line that is taken from a path, in characters.
const SUBJECT: usize = 400;

/// One request, as handlers see it.
pub(crate) struct Call<'a> {
    pub(crate) gateway: &'a Gateway,
    pub(crate) peer: &'a Peer,
    pub(crate) head: &'a request::Parts,
    pub(crate) matched: Matched<'a>,
    pub(crate) body: &'a mut RequestBody,
    pub(crate) seen: &'a mut Seen,
    /// When the head was complete.
    pub(crate) started: Instant,
}

impl Call<'_> {
    /// A query parameter, by its name in any case.
    pub(crate) fn query(&self, name: &str) -> Option<std::borrow::Cow<'_, str>> {
        extract::query(self.head.uri.query(), name)
    }

    /// The path word in hole `i`, decoded.
    pub(crate) fn word(&self, i: usize) -> std::borrow::Cow<'_, str> {
        extract::decode(self.matched.hole(i), false)
    }

    /// The bearer token.
    pub(crate) fn credential(&self) -> Option<&str> {
        extract::credential(&self.head.headers)
    }

    /// The token of a management call: the bearer token, or that of the Studio API's own header.
    pub(crate) fn management_credential(&self) -> Option<&str> {
        self.credential()
            .or_else(|| extract::studio_token(&self.head.headers))
    }

    /// Makes ready what the credential of a management call is checked with.
    async fn prepare_sign_in(&self) {
        // What scores has keys of its own, but for the Studio API's test calls.
        let route = self.matched.route;
        let manages = !matches!(route.surface, Surface::Score | Surface::Jobs)
            || route.template.starts_with("/api/");
        if manages && let Some(credential) = self.management_credential() {
            // Boxed, so that the future of a scoring call stays small.
            Box::pin(self.gateway.manager.prepare_sign_in(credential)).await;
        }
    }

    /// Who makes this management call.
    pub(crate) fn principal(&self) -> Result<manage::Principal, Fault> {
        self.principal_on(None)
    }

    /// Who makes this call of the classic API about one endpoint (the one that the path names, or
    /// none): the endpoint's own keys sign in for that too.
    pub(crate) fn principal_on(
        &self,
        endpoint: Option<&store::Entry>,
    ) -> Result<manage::Principal, Fault> {
        let signed_in = self.seen.signed_in.get_or_init(|| {
            let (gateway, origin) = (self.gateway, self.origin().to_string());
            gateway
                .manager
                .authorize_on(endpoint, self.management_credential(), &origin)
        });
        signed_in.clone()
    }

    /// The whole body of a management call, at most `limit` bytes. It counts against the
    /// installation's budget of buffered bytes for as long as it is held.
    pub(crate) async fn json_body(&mut self, limit: usize) -> Result<Bytes, Fault> {
        extract::check_json_headers(&self.head.headers)?;
        self.body.check_declared(limit)?;
        let deadline = self.started + self.gateway.options.body_time;
        // Taken as bytes come, so that nobody holds the budget by a size alone.
        let mut buffer = self.gateway.scorer.reserve_buffer(0)?;
        let body = self
            .body
            .whole(limit, deadline, |bytes| buffer.cover(bytes), body::late)
            .await?;
        Ok(sending::held(body, buffer))
    }

    /// The address that the call comes from, as far as it can be known.
    pub(crate) fn origin(&self) -> std::net::IpAddr {
        let trusted = &self.gateway.options.trusted_proxies;
        origin::client(&self.head.headers, trusted, self.peer.address)
    }

    /// What follows a failed call of a management API: a line on the audit trail where it was to
    /// change something, and for whoever showed a bad credential the time until he is told.
    /// Strangers leave no lines, which could fill the disk; `faults_total` counts them.
    fn after_failure(&self, fault: &Fault) -> Duration {
        let surface = self.matched.route.surface;
        // A test call scores, and signs in as calls of management do.
        let refused = matches!(self.seen.signed_in.get(), Some(Err(_)));
        if !refused && !matches!(surface, Surface::Manage | Surface::Admin | Surface::Http) {
            return Duration::ZERO;
        }
        match self.principal() {
            Ok(principal) => {
                let method = &self.head.method;
                if *method != Method::GET && *method != Method::HEAD {
                    let subject = self.head.uri.path();
                    let subject = extract::shortened_to(subject, SUBJECT);
                    let manager = &self.gateway.manager;
                    manager.audit_failure(&principal, method.as_str(), &subject, fault);
                }
                Duration::ZERO
            }
            Err(_)
                if fault.class() == Class::Unauthorized
                    && self.management_credential().is_some() =>
            {
                let slowing = &self.gateway.slowing;
                slowing.failed(self.origin(), Instant::now())
            }
            Err(_) => Duration::ZERO,
        }
    }

    /// The start of URLs in the reply.
    pub(crate) fn base_url(&self) -> String {
        let options = &self.gateway.options;
        origin::base_url(
            self.head,
            options.public_url.as_deref(),
            &options.trusted_proxies,
            self.peer.address,
            self.peer.local,
            self.peer.tls,
        )
    }
}

/// What is known of a request while it runs, for its one observation at the end.
pub(crate) struct Seen {
    telemetry: telemetry::Telemetry,
    method: Method,
    route: &'static str,
    surface: Surface,
    request_id: RequestId,
    started: Instant,
    endpoint: Option<Arc<EndpointMetrics>>,
    /// What is recorded of the call, where its endpoint asks for that.
    record: Option<Box<diagnostics::CallRecord>>,
    bytes_in: u64,
    /// Who calls, once somebody has asked.
    signed_in: OnceLock<Result<manage::Principal, Fault>>,
    done: bool,
}

impl Seen {
    /// The call is one to this endpoint.
    pub(crate) fn endpoint(&mut self, endpoint: &Endpoint, diagnostics: &Diagnostics) {
        self.endpoint = Some(endpoint.metrics().clone());
        let id = self.request_id.as_str();
        self.record = diagnostics.call(endpoint.entry(), id, self.started);
    }

    /// The body of a scoring call has come, whole.
    pub(crate) fn received(&mut self) {
        if let Some(record) = &mut self.record {
            record.received();
        }
    }

    /// What is to be told who runs the call.
    pub(crate) fn watch(&self) -> Option<&Watch> {
        self.record.as_deref().map(diagnostics::CallRecord::watch)
    }

    fn end(&mut self, status: u16, outcome: Outcome, fault: Option<&Fault>, bytes_out: u64) {
        self.done = true;
        let duration = self.started.elapsed();
        let endpoint = self.endpoint.as_ref().map_or("", |m| m.label());
        if let Some(fault) = fault {
            let context = CallContext {
                request_id: self.request_id.as_str(),
                endpoint,
            };
            self.telemetry.observe_call(fault, self.surface, context);
        }
        let line = AccessLine {
            method: self.method.as_str(),
            route: self.route,
            endpoint,
            status,
            class: fault.map_or("", |f| f.class().name()),
            code: fault
                .filter(|f| !f.details().is_empty())
                .map_or("", |f| f.code()),
            duration,
            bytes_in: self.bytes_in,
            bytes_out,
            request_id: self.request_id.as_str(),
        };
        // Probes come every few seconds and say nothing while all is well.
        if self.surface != Surface::Http || status >= 400 {
            self.telemetry.access(&line);
        }
        if let Some(metrics) = &self.endpoint {
            metrics.record(outcome, duration, self.bytes_in, bytes_out);
        }
        if let Some(record) = self.record.take() {
            record.end(status, fault, self.bytes_in, bytes_out);
        }
    }
}

impl Drop for Seen {
    fn drop(&mut self) {
        if !self.done {
            let fault = request_timeout::request_canceled()
                .because("the connection ended before the answer");
            self.end(499, Outcome::Canceled, Some(&fault), 0);
        }
    }
}

/// Answers one request.
pub(crate) async fn handle(
    gateway: &Gateway,
    peer: &Peer,
    request: Request<Incoming>,
) -> Response<Sending> {
    let started = Instant::now();
    let (head, incoming) = request.into_parts();
    let request_id = RequestId::new();
    let mut body = RequestBody::new(incoming);
    let matched = routes::find(head.uri.path());
    let mut seen = Seen {
        telemetry: gateway.telemetry.clone(),
        method: head.method.clone(),
        route: matched.map_or("", |m| m.route.template),
        surface: matched.map_or(Surface::Http, |m| m.route.surface),
        request_id,
        started,
        endpoint: None,
        record: None,
        bytes_in: 0,
        signed_in: OnceLock::new(),
        done: false,
    };

    let origin = matched
        .and_then(|m| cors::allowed(&head, m.route, &gateway.options.cors_origins))
        .cloned();
    let result = match matched {
        None => Err(Fault::bare(Class::NotFound)),
        Some(m) if origin.is_some() && cors::is_preflight(&head) => Ok(cors::preflight(m.route)),
        Some(m) => match m.route.action(&head.method) {
            None => Err(Fault::bare(Class::NotFound).because("no such method here")),
            Some(action) => {
                let mut call = Call {
                    gateway,
                    peer,
                    head: &head,
                    matched: m,
                    body: &mut body,
                    seen: &mut seen,
                    started,
                };
                call.prepare_sign_in().await;
                let result = AssertUnwindSafe(action.run(&mut call))
                    .catch_unwind()
                    .await
                    .unwrap_or_else(|panic| Err(of_panic(&*panic)))
                    .map_err(|fault| in_terms_of(m.route.surface, fault));
                if let Err(fault) = &result {
                    let delay = call.after_failure(fault);
                    if !delay.is_zero() {
                        tokio::time::sleep(delay).await;
                    }
                }
                result
            }
        },
    };
    seen.bytes_in = body.bytes_read();

    let (mut reply, fault) = match result {
        Ok(mut reply) => {
            let fault = reply.failure.take().map(|fault| *fault);
            (reply, fault)
        }
        Err(fault) => {
            let language = extract::language(&head.headers);
            let errors = matched.map_or(reply::Errors::Enveloped, |m| m.route.errors());
            let unknown_method = matched.filter(|m| m.route.action(&head.method).is_none());
            let reply = match unknown_method {
                Some(m) => reply::of_unknown_method(&fault, language, errors, &m.route.allow()),
                None => reply::of_fault(&fault, language, errors),
            };
            (reply, Some(fault))
        }
    };
    if let Some(origin) = origin {
        cors::expose(&mut reply.headers, &origin);
    }
    if let Ok(id) = HeaderValue::from_str(request_id.as_str()) {
        reply.headers.insert(&REQUEST_ID, id);
    }
    if let Some(id) = extract::client_request_id(&head.headers) {
        reply.headers.insert(&CLIENT_REQUEST_ID, id.clone());
    }
    if body.closes() && head.version < Version::HTTP_2 {
        reply
            .headers
            .insert(CONNECTION, HeaderValue::from_static("close"));
    }
    body.drain();

    let status = reply.status.as_u16();
    let outcome = match &fault {
        Some(f) if f.is(&faults::rows::RequestTimeout::RequestCanceled) => Outcome::Canceled,
        _ => Outcome::of_status(status),
    };
    seen.end(status, outcome, fault.as_ref(), reply.length());
    into_response(reply, &head.method)
}

/// On the operators' API a refusal has a row of its own.
fn in_terms_of(surface: Surface, fault: Fault) -> Fault {
    let row = &faults::rows::Unauthorized::ManagementRequestUnauthorized;
    // `Http` is `/metrics`, which may ask for the operator's credentials.
    if !matches!(surface, Surface::Admin | Surface::Http) || !fault.is(row) {
        return fault;
    }
    let refused = unauthorized::admin_request_unauthorized();
    match fault.cause() {
        Some(cause) => refused.because(cause),
        None => refused,
    }
}

fn into_response(reply: Reply, method: &Method) -> Response<Sending> {
    let length = reply.length();
    let Reply {
        status,
        mut headers,
        body,
        stream,
        failure: _,
    } = reply;
    let body = if *method == Method::HEAD {
        headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
        Sending::new(Bytes::new())
    } else {
        match stream {
            Some((length, chunks)) => Sending::stream(length, chunks),
            None => Sending::new(body),
        }
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

/// A panic caught in a handler.
fn of_panic(panic: &(dyn std::any::Any + Send)) -> Fault {
    let text = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message");
    internal_error::unknown_error().because(format!("a handler panicked: {text}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_becomes_a_fault_whose_text_stays_private() {
        // What `handle` does with every answer.
        let work = async {
            assert!(Instant::now().elapsed().as_secs() > 3600, "cell 42");
        };
        let caught = AssertUnwindSafe(work).catch_unwind().await;
        let panic = caught.expect_err("it panics");
        let fault = of_panic(&*panic);
        assert!(fault.is(&faults::rows::InternalError::UnknownError));
        assert!(fault.cause().is_some_and(|cause| cause.contains("cell 42")));
        let reply = reply::of_fault(&fault, faults::Language::English, reply::Errors::Enveloped);
        assert_eq!(reply.status.as_u16(), 500);
        assert!(!String::from_utf8_lossy(&reply.body).contains("cell 42"));
    }

    #[test]
    fn a_head_request_gets_the_length_and_no_body() {
        let reply = crate::health::live();
        let response = into_response(reply, &Method::HEAD);
        assert_eq!(response.headers()[CONTENT_LENGTH], "3");
        assert_eq!(
            hyper::body::Body::size_hint(response.body()).exact(),
            Some(0)
        );
    }
}
