//! Listening: connections, TLS, HTTP/1.1 and HTTP/2, and the graceful end.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;

use crate::io::{Activity, Limits, Watched};
use crate::{Edge, stack};

/// The largest request head, in bytes.
const HEAD_BYTES: usize = 64 * 1024;
/// The most header fields.
const HEADERS: usize = 100;
/// The most HTTP/2 streams of one connection at once.
const STREAMS: u32 = 256;

/// Bytes of a body that an HTTP/2 client may send before anybody reads them.
const STREAM_WINDOW: u32 = 256 * 1024;

/// Who is at the other end of a connection.
pub(crate) struct Peer {
    pub(crate) address: IpAddr,
    pub(crate) local: SocketAddr,
    pub(crate) tls: bool,
}

/// How serving ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// Every call was answered.
    Drained,
    /// The time for draining passed with connections open; they were cut.
    Cut,
}

impl Edge {
    /// Serves connections of `listener` until `stop` completes; then takes no more, lets calls
    /// under way finish for at most what `drain` says then, and returns. Call [`Edge::set_ready`] around it.
    pub async fn serve(
        &self,
        listener: TcpListener,
        stop: impl Future<Output = ()>,
        drain: impl Fn() -> Duration,
    ) -> Ended {
        let graceful = GracefulShutdown::new();
        let slots = Arc::new(Semaphore::new(self.0.load().options.max_connections));
        let connections = tokio_connections();
        let mut stop = std::pin::pin!(stop);
        loop {
            // A slot first: connections over the limit wait in the kernel's queue.
            let slot = tokio::select! {
                slot = slots.clone().acquire_owned() => slot,
                () = &mut stop => break,
            };
            // The semaphore is never closed.
            let Ok(slot) = slot else { break };
            let (stream, address) = tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok(accepted) => accepted,
                    Err(e) => {
                        after_failed_accept(&e).await;
                        continue;
                    }
                },
                () = &mut stop => break,
            };
            let edge = self.clone();
            let watcher = graceful.watcher();
            let guard = connections.guard();
            tokio::spawn(async move {
                let _held = (slot, guard);
                connection(edge, stream, address, watcher).await;
            });
        }
        drop(listener);
        let drained = async {
            graceful.shutdown().await;
            connections.all_ended().await;
        };
        match tokio::time::timeout(drain(), drained).await {
            Ok(()) => Ended::Drained,
            Err(_) => Ended::Cut,
        }
    }
}

/// Counts connections that are not yet, or no longer, watched by hyper's graceful end (in their
/// TLS handshake, say).
struct Connections(tokio::sync::watch::Sender<()>);

fn tokio_connections() -> Connections {
    Connections(tokio::sync::watch::Sender::new(()))
}

impl Connections {
    fn guard(&self) -> tokio::sync::watch::Receiver<()> {
        self.0.subscribe()
    }

    async fn all_ended(&self) {
        self.0.closed().await;
    }
}

/// Running out of descriptors must not spin; a connection that was gone already is nothing.
async fn after_failed_accept(error: &std::io::Error) {
    use std::io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
    if !matches!(
        error.kind(),
        ConnectionAborted | ConnectionReset | Interrupted
    ) {
        tracing::warn!(%error, "a connection could not be accepted");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn connection(
    edge: Edge,
    stream: TcpStream,
    address: SocketAddr,
    watcher: hyper_util::server::graceful::Watcher,
) {
    // A refusal only costs latency.
    let _ = stream.set_nodelay(true);
    let Ok(local) = stream.local_addr() else {
        return;
    };
    // The certificate and the times in force now; what is read again meanwhile is for others.
    let gateway = edge.0.load_full();
    let tls = gateway.options.tls.clone().map(TlsAcceptor::from);
    let peer = Peer {
        address: address.ip(),
        local,
        tls: tls.is_some(),
    };
    let activity = Activity::new();
    let limits = Limits {
        head: gateway.options.head_time,
        idle: gateway.options.idle_time,
        write: gateway.options.write_time,
    };
    match tls {
        None => {
            let io = Watched::new(stream, activity.clone(), limits, None);
            http(edge, io, peer, activity, watcher).await;
        }
        Some(acceptor) => {
            let handshake = tokio::time::timeout(limits.head, acceptor.accept(stream));
            let Ok(Ok(stream)) = handshake.await else {
                tracing::debug!(%address, "a TLS handshake failed");
                return;
            };
            let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
            let io = Watched::new(stream, activity.clone(), limits, Some(http2));
            http(edge, io, peer, activity, watcher).await;
        }
    }
}

async fn http<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    edge: Edge,
    io: Watched<S>,
    peer: Peer,
    activity: Arc<Activity>,
    watcher: hyper_util::server::graceful::Watcher,
) {
    let shared = Arc::new((edge, peer, activity));
    let service = service_fn(move |request| {
        let shared = shared.clone();
        async move {
            let (edge, peer, activity) = &*shared;
            let gateway = edge.0.load_full();
            let busy = activity.begin();
            let mut response = stack::handle(&gateway, peer, request).await;
            response.body_mut().watch(busy);
            Ok::<_, Infallible>(response)
        }
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        // `Watched` does this more cheaply.
        .header_read_timeout(None)
        .max_headers(HEADERS)
        .max_buf_size(HEAD_BYTES);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS)
        .max_header_list_size(HEAD_BYTES as u32)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(2 * STREAM_WINDOW)
        .keep_alive_interval(Duration::from_secs(30))
        .keep_alive_timeout(Duration::from_secs(20));
    let connection = builder.serve_connection(TokioIo::new(io), service);
    if let Err(error) = watcher.watch(connection.into_owned()).await {
        tracing::debug!(%error, "a connection ended");
    }
}
