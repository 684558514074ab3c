//! A connection's bytes, watched: slow heads, idle connections and readers that stand still end it.
//!
//! One timer a connection fires every ten seconds or so and looks at what the connection waits
//! for; a timer armed and disarmed with each request (hyper's own) would cost more than routing
//! does, and cannot tell an idle connection from a slow head.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

/// How long a connection may take for what.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// A request's head, from its first byte; the first head from the connection's start.
    pub(crate) head: Duration,
    /// Between requests.
    pub(crate) idle: Duration,
    /// A reply's bytes that the client does not take.
    pub(crate) write: Duration,
}

/// What a connection is doing; shared by its bytes and its calls.
pub(crate) struct Activity {
    start: Instant,
    /// Calls under way, until hyper has taken all of their reply.
    calls: AtomicU32,
    /// Those of them whose reply is there.
    replies: AtomicU32,
    /// Microseconds after `start` at which the head under way began, plus one; 0 for none.
    head: AtomicU64,
    /// Microseconds after `start` at which something went out: a call ended, a reply moved on.
    idle: AtomicU64,
}

impl Activity {
    pub(crate) fn new() -> Arc<Activity> {
        Arc::new(Activity {
            start: Instant::now(),
            calls: AtomicU32::new(0),
            replies: AtomicU32::new(0),
            head: AtomicU64::new(1),
            idle: AtomicU64::new(0),
        })
    }

    fn now(&self) -> u64 {
        self.start.elapsed().as_micros() as u64
    }

    /// A request's head is complete; its call ends with the guard.
    pub(crate) fn begin(self: &Arc<Self>) -> ActivityGuard {
        self.calls.fetch_add(1, Relaxed);
        self.head.store(0, Relaxed);
        ActivityGuard {
            activity: self.clone(),
            replying: false,
        }
    }

    fn moved(&self) {
        self.idle.store(self.now(), Relaxed);
    }

    fn bytes_arrived(&self) {
        if self.calls.load(Relaxed) == 0 && self.head.load(Relaxed) == 0 {
            self.head.store(self.now() + 1, Relaxed);
        }
    }
}

/// A call under way: first being answered, then its reply being taken.
pub(crate) struct ActivityGuard {
    activity: Arc<Activity>,
    replying: bool,
}

impl ActivityGuard {
    /// The reply is there, and is now for the client to take.
    pub(crate) fn reply(&mut self) {
        if !self.replying {
            self.replying = true;
            self.activity.moved();
            self.activity.replies.fetch_add(1, Relaxed);
        }
    }

    /// A piece of the reply was taken, and it was not the last.
    pub(crate) fn piece_taken(&self) {
        self.activity.moved();
    }
}

impl Drop for ActivityGuard {
    fn drop(&mut self) {
        self.activity.moved();
        if self.replying {
            self.activity.replies.fetch_sub(1, Relaxed);
        }
        self.activity.calls.fetch_sub(1, Relaxed);
    }
}

/// A stream under watch.
pub(crate) struct Watched<S> {
    inner: S,
    activity: Arc<Activity>,
    limits: Limits,
    /// HTTP/2 has frames of its own between requests, so bytes do not mean a head there.
    http2: Option<bool>,
    /// Since when the client takes no bytes.
    stalled: Option<Instant>,
    timer: Pin<Box<Sleep>>,
}

impl<S> Watched<S> {
    /// `http2` is `None` where the first bytes are to tell.
    pub(crate) fn new(
        inner: S,
        activity: Arc<Activity>,
        limits: Limits,
        http2: Option<bool>,
    ) -> Watched<S> {
        let timer = Box::pin(tokio::time::sleep(limits.head));
        Watched {
            inner,
            activity,
            limits,
            http2,
            stalled: None,
            timer,
        }
    }

    /// When the connection ends unless something happens; `None` while a call is under way and
    /// its client takes what there is.
    fn deadline(&self) -> Option<Instant> {
        let activity = &self.activity;
        let stalled = self.stalled.map(|since| since + self.limits.write);
        let at = |us: u64| activity.start + Duration::from_micros(us);
        let moved = at(activity.idle.load(Relaxed));
        let http2 = self.http2 == Some(true);
        if activity.calls.load(Relaxed) > 0 {
            // A client of HTTP/2 can withhold its window and read on, so that no write stalls.
            let withheld = http2 && activity.replies.load(Relaxed) > 0;
            let withheld = withheld.then(|| moved + self.limits.write);
            return stalled.into_iter().chain(withheld).min();
        }
        match activity.head.load(Relaxed) {
            since if since > 0 && !http2 => {
                let head = at(since - 1) + self.limits.head;
                Some(stalled.map_or(head, |stalled| stalled.min(head)))
            }
            // The end of a reply, which hyper has taken and the client has not, is not idleness.
            _ => Some(stalled.unwrap_or(moved + self.limits.idle)),
        }
    }

    /// Asked whenever the connection waits: an error once a limit has passed.
    fn check(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        while self.timer.as_mut().poll(context).is_ready() {
            let now = Instant::now();
            let tick = now + self.limits.head;
            let next = match self.deadline() {
                Some(deadline) if deadline <= now => {
                    return Err(io::Error::new(
                        io::ErrorKind::TimedOut,
                        "the connection stood still for too long",
                    ));
                }
                Some(deadline) => deadline.min(tick),
                None => tick,
            };
            self.timer.as_mut().reset(next);
        }
        Ok(())
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let before = buf.filled().len();
        match Pin::new(&mut this.inner).poll_read(context, buf) {
            Poll::Ready(Ok(())) => {
                let new = &buf.filled()[before..];
                if !new.is_empty() {
                    // The preface of HTTP/2 begins like no method that this server has.
                    let http2 = *this.http2.get_or_insert_with(|| new.starts_with(b"PRI"));
                    if !http2 {
                        this.activity.bytes_arrived();
                    }
                }
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Err(e)) => Poll::Ready(Err(e)),
            Poll::Pending => match this.check(context) {
                Ok(()) => Poll::Pending,
                Err(e) => Poll::Ready(Err(e)),
            },
        }
    }
}

impl<S: Unpin> Watched<S> {
    fn after_write<T>(
        &mut self,
        context: &mut Context<'_>,
        result: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if result.is_ready() {
            if self.stalled.take().is_some() {
                self.activity.moved();
            }
            return result;
        }
        self.stalled.get_or_insert_with(Instant::now);
        match self.check(context) {
            Ok(()) => Poll::Pending,
            Err(e) => Poll::Ready(Err(e)),
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.inner).poll_write(context, bytes);
        self.after_write(context, result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.inner).poll_write_vectored(context, slices);
        self.after_write(context, result)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = Pin::new(&mut self.inner).poll_flush(context);
        self.after_write(context, result)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = Pin::new(&mut self.inner).poll_shutdown(context);
        self.after_write(context, result)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    const LIMITS: Limits = Limits {
        head: Duration::from_secs(10),
        idle: Duration::from_secs(75),
        write: Duration::from_secs(60),
    };

    fn watched(
        size: usize,
    ) -> (
        tokio::io::DuplexStream,
        Watched<tokio::io::DuplexStream>,
        Arc<Activity>,
    ) {
        let (client, server) = tokio::io::duplex(size);
        let activity = Activity::new();
        let server = Watched::new(server, activity.clone(), LIMITS, None);
        (client, server, activity)
    }

    async fn ends_after(server: &mut Watched<tokio::io::DuplexStream>) -> u64 {
        let start = Instant::now();
        let mut buf = [0; 64];
        loop {
            match server.read(&mut buf).await {
                Ok(0) => panic!("the client closed"),
                Ok(_) => {}
                Err(e) => {
                    assert_eq!(e.kind(), io::ErrorKind::TimedOut);
                    return start.elapsed().as_secs();
                }
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_first_head_that_never_comes_ends_the_connection() {
        let (_client, mut server, _) = watched(64);
        assert_eq!(ends_after(&mut server).await, 10);
    }

    #[tokio::test(start_paused = true)]
    async fn bytes_that_trickle_do_not_prolong_a_head() {
        let (mut client, mut server, activity) = watched(64);
        drop(activity.begin());
        let trickle = tokio::spawn(async move {
            loop {
                tokio::time::sleep(Duration::from_secs(1)).await;
                if client.write_all(b"G").await.is_err() {
                    return;
                }
            }
        });
        assert_eq!(ends_after(&mut server).await, 11);
        trickle.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn an_idle_connection_lives_longer_and_one_with_a_call_lives_on() {
        let (_client, mut server, activity) = watched(64);
        let call = activity.begin();
        let mut buf = [0; 8];
        let waiting = tokio::time::timeout(Duration::from_secs(500), server.read(&mut buf));
        assert!(waiting.await.is_err());
        drop(call);
        let end = ends_after(&mut server).await;
        assert!((75..=85).contains(&end), "{end}");
    }

    #[tokio::test(start_paused = true)]
    async fn http2_between_requests_is_idle_whatever_frames_come() {
        let (mut client, mut server, activity) = watched(64);
        drop(activity.begin());
        client.write_all(b"PRI * HTTP/2.0").await.unwrap();
        let end = ends_after(&mut server).await;
        assert!((75..=85).contains(&end), "{end}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_that_stands_still_ends_the_connection() {
        let (_client, mut server, activity) = watched(4);
        let _call = activity.begin();
        let start = Instant::now();
        let error = server.write_all(b"more than fits").await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(start.elapsed().as_secs(), 60);
    }

    #[tokio::test(start_paused = true)]
    async fn the_end_of_a_reply_that_is_taken_slowly_is_not_idleness() {
        let (mut client, mut server, activity) = watched(4);
        drop(activity.begin());
        let reader = tokio::spawn(async move {
            let mut taken = 0;
            let mut buf = [0; 4];
            while taken < 40 {
                tokio::time::sleep(Duration::from_secs(50)).await;
                taken += client.read(&mut buf).await.unwrap();
            }
            client
        });
        server.write_all(&[7; 40]).await.unwrap();
        // All is written; from its last move on the connection is idle.
        let end = ends_after(&mut server).await;
        assert!((75..=85).contains(&end), "{end}");
        reader.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn a_reply_that_an_http2_client_never_takes_ends_the_connection() {
        let (mut client, mut server, activity) = watched(64);
        client.write_all(b"PRI * HTTP/2.0").await.unwrap();
        let mut call = activity.begin();
        call.reply();
        let end = ends_after(&mut server).await;
        assert!((60..=70).contains(&end), "{end}");

        let (mut client, mut server, activity) = watched(64);
        client.write_all(b"PRI * HTTP/2.0").await.unwrap();
        let mut call = activity.begin();
        call.reply();
        let taking = tokio::spawn(async move {
            for _ in 0..10 {
                tokio::time::sleep(Duration::from_secs(50)).await;
                call.piece_taken();
            }
        });
        let end = ends_after(&mut server).await;
        assert!((575..=585).contains(&end), "{end}");
        taking.await.unwrap();
    }
}
