//! Requests of any method with bodies that stream both ways, for clients of storage services.
//!
//! The rules are those of every fetch: the address that was checked is the one connected to, no
//! redirect is followed, no proxy is used. Attempts and their pauses are the caller's.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt as _;
use http_body_util::combinators::BoxBody;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::header::{HeaderValue, USER_AGENT};
use hyper::{Request, Response, Uri};
use hyper_util::client::legacy::Client as Pool;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep};
use tokio_rustls::TlsConnector;
use tower_service::Service;

use crate::allow::AllowList;
use crate::failure::{Failure, Kind, NotAllowed};

/// The longest wait for a connection, its handshake included.
const CONNECT: Duration = Duration::from_secs(10);
/// The longest silence in the middle of a reply.
const SILENCE: Duration = Duration::from_secs(60);
/// How long a connection is kept for the next request.
const KEPT: Duration = Duration::from_secs(30);

type Boxed = Box<dyn std::error::Error + Send + Sync>;

/// What requests share: connections, and the rules for new ones.
pub(crate) struct Exchange {
    pool: Pool<Checked, BoxBody<Bytes, Boxed>>,
    timeout: Duration,
}

impl std::fmt::Debug for Exchange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Exchange")
    }
}

impl Exchange {
    /// `own` are authorities that are trusted beside the public ones.
    pub(crate) fn new(
        allow: AllowList,
        own: &[rustls_pki_types::CertificateDer<'static>],
        timeout: Duration,
    ) -> Result<Exchange, String> {
        let mut roots = rustls::RootCertStore {
            roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
        };
        // As with other clients: a certificate of a kind that is not known trusts nobody.
        roots.add_parsable_certificates(own.iter().cloned());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|e| e.to_string())?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let connector = Checked {
            allow,
            tls: TlsConnector::from(Arc::new(tls)),
            limit: timeout.min(CONNECT),
        };
        let pool = Pool::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(KEPT)
            .build(connector);
        Ok(Exchange { pool, timeout })
    }

    /// Sends one request. The time limit ends with the reply's head; after it silence alone is
    /// limited, since a large reply may take its time.
    pub(crate) async fn send<B>(&self, request: Request<B>) -> Result<Response<ReplyBody>, Failure>
    where
        B: Body<Data = Bytes> + Send + Sync + 'static,
        B::Error: Into<Boxed>,
    {
        let mut request = request.map(|body| body.map_err(Into::into).boxed());
        let agent = HeaderValue::from_static(concat!("umpire/", env!("CARGO_PKG_VERSION")));
        request.headers_mut().entry(USER_AGENT).or_insert(agent);
        let reply = tokio::time::timeout(self.timeout, self.pool.request(request))
            .await
            .map_err(|_| too_slow())?
            .map_err(|error| of_error(&error))?;
        let silence = self.timeout.min(SILENCE);
        Ok(reply.map(|inner| ReplyBody {
            inner,
            silence,
            limit: Box::pin(tokio::time::sleep(silence)),
        }))
    }
}

fn too_slow() -> Failure {
    Failure {
        transient: true,
        ..Failure::new(Kind::Unreachable, "it took too long")
    }
}

/// What stood in the way of a reply: ours where one of our own checks did, else the innermost
/// sentence, which names no URL.
fn of_error(error: &(dyn std::error::Error + 'static)) -> Failure {
    let mut innermost: &(dyn std::error::Error + 'static) = error;
    loop {
        if let Some(own) = innermost.downcast_ref::<Failure>() {
            return own.clone();
        }
        match innermost.source() {
            Some(deeper) => innermost = deeper,
            None => break,
        }
    }
    Failure {
        transient: true,
        ..Failure::new(Kind::Unreachable, innermost.to_string())
    }
}

/// The body of a reply, as it comes.
#[derive(Debug)]
pub struct ReplyBody {
    inner: Incoming,
    silence: Duration,
    limit: Pin<Box<Sleep>>,
}

impl Body for ReplyBody {
    type Data = Bytes;
    type Error = Failure;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Failure>>> {
        match Pin::new(&mut self.inner).poll_frame(context) {
            Poll::Ready(frame) => {
                let next = Instant::now() + self.silence;
                self.limit.as_mut().reset(next);
                Poll::Ready(frame.map(|frame| frame.map_err(|error| of_error(&error))))
            }
            Poll::Pending => match self.limit.as_mut().poll(context) {
                Poll::Ready(()) => Poll::Ready(Some(Err(too_slow()))),
                Poll::Pending => Poll::Pending,
            },
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// Makes connections to addresses that the list allows, and to no others.
#[derive(Clone)]
struct Checked {
    allow: AllowList,
    tls: TlsConnector,
    limit: Duration,
}

impl Checked {
    async fn connect(self, uri: Uri) -> Result<TokioIo<Stream>, Failure> {
        let plain = match uri.scheme_str() {
            Some("https") => false,
            Some("http") => true,
            _ => {
                let text = "only http and https are spoken";
                return Err(Failure::new(Kind::Malformed, text));
            }
        };
        let host = uri.host().unwrap_or_default();
        if !self.allow.may_reach(host, plain) {
            return Err(not_allowed(host, plain));
        }
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let port = uri.port_u16().unwrap_or(if plain { 80 } else { 443 });
        let found = tokio::net::lookup_host((bare, port))
            .await
            .map_err(|_| unreachable("the host's name is not known"))?;
        let mut last = Failure::new(Kind::NotAllowed, NotAllowed.to_string());
        for address in found {
            if !self.allow.reaches(host, address.ip(), plain) {
                continue;
            }
            match TcpStream::connect(address).await {
                Ok(socket) => return self.over(socket, bare, plain).await,
                Err(error) => last = unreachable(&error.to_string()),
            }
        }
        Err(last)
    }

    async fn over(
        &self,
        socket: TcpStream,
        host: &str,
        plain: bool,
    ) -> Result<TokioIo<Stream>, Failure> {
        // Parts are written whole; waiting for more to send only costs time.
        let _ = socket.set_nodelay(true);
        if plain {
            return Ok(TokioIo::new(Stream(Box::new(socket))));
        }
        let name = ServerName::try_from(host.to_owned())
            .map_err(|_| Failure::new(Kind::Malformed, "the URL has no host"))?;
        match self.tls.connect(name, socket).await {
            Ok(stream) => Ok(TokioIo::new(Stream(Box::new(stream)))),
            Err(error) => {
                let text = error.to_string();
                // A certificate that is not trusted now is not trusted in a second either.
                let transient = !text.contains("certificate");
                Err(Failure {
                    transient,
                    ..Failure::new(Kind::Unreachable, text)
                })
            }
        }
    }
}

/// What is said of a host that the list does not have.
pub(crate) fn not_allowed(host: &str, plain: bool) -> Failure {
    let text = match plain {
        true => format!("outbound.allow does not list http://{host}"),
        false => format!("outbound.allow does not list {host}"),
    };
    Failure::new(Kind::NotAllowed, text)
}

fn unreachable(text: &str) -> Failure {
    Failure {
        transient: true,
        ..Failure::new(Kind::Unreachable, text)
    }
}

impl Service<Uri> for Checked {
    type Response = TokioIo<Stream>;
    type Error = Failure;
    type Future = Pin<Box<dyn Future<Output = Result<TokioIo<Stream>, Failure>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let this = self.clone();
        Box::pin(async move {
            let limit = this.limit;
            match tokio::time::timeout(limit, this.connect(uri)).await {
                Ok(result) => result,
                Err(_) => Err(too_slow()),
            }
        })
    }
}

trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// A connection, with TLS or without.
struct Stream(Box<dyn Io>);

impl Connection for Stream {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}
