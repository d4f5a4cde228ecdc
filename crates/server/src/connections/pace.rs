//! How long clients may take: to send the head of a request, to send none at all, to read an answer. While a request is
//! answered its own time limit holds.

use std::io::{self, Read as _};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use axum::body::{Body, Bytes, HttpBody};
use axum::http::Version;
use http_body::{Frame, SizeHint};
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::{Instant, Sleep, sleep, sleep_until};

use super::Bounds;

/// What the requests of a connection and its bytes know of each other.
#[derive(Debug, Clone)]
pub(super) struct Pace(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    /// Requests whose answers are not wholly sent yet.
    busy: AtomicUsize,
    /// Requests so far.
    begun: AtomicUsize,
    /// When the latest answer was handed over to be sent.
    answered: Mutex<Option<Instant>>,
    first: Notify,
    /// Requests share the connection, so that what comes next does not begin when one ends.
    multiplexed: AtomicBool,
    /// The connection is about to be closed.
    leaving: AtomicBool,
}

impl Pace {
    pub(super) fn new() -> Self {
        Self(Arc::new(Shared::default()))
    }

    /// A request has arrived; it ends when the value is dropped.
    pub(super) fn begin(&self, version: Version) -> UnderWay {
        if version == Version::HTTP_2 {
            self.0.multiplexed.store(true, Ordering::Relaxed);
        }
        self.0.busy.fetch_add(1, Ordering::Relaxed);
        self.0.begun.fetch_add(1, Ordering::Relaxed);
        self.0.first.notify_one();
        UnderWay(Arc::clone(&self.0))
    }

    /// Waits for the first request.
    pub(super) async fn has_begun(&self) {
        if self.begun() == 0 {
            self.0.first.notified().await;
        }
    }

    /// From now on the kernel is asked itself what has arrived: what the runtime has been told may be older, and whoever sent
    /// a request before the end is answered.
    pub(super) fn leave(&self) {
        self.0.leaving.store(true, Ordering::Relaxed);
    }

    fn begun(&self) -> usize {
        self.0.begun.load(Ordering::Relaxed)
    }

    fn answered(&self) -> Instant {
        self.0.answered.lock().unwrap_or_else(PoisonError::into_inner).unwrap_or_else(Instant::now)
    }

    /// Whether nothing is expected of the client for now.
    fn is_busy(&self) -> bool {
        self.0.busy.load(Ordering::Acquire) > 0 || self.0.multiplexed.load(Ordering::Relaxed)
    }
}

/// A request under way.
#[derive(Debug)]
pub(super) struct UnderWay(Arc<Shared>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        *self.0.answered.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        self.0.busy.fetch_sub(1, Ordering::Release);
    }
}

/// The body of an answer, with which its request ends.
pub(super) struct Busy {
    body: Body,
    _under_way: UnderWay,
}

impl Busy {
    pub(super) const fn new(body: Body, under_way: UnderWay) -> Self {
        Self { body, _under_way: under_way }
    }
}

impl HttpBody for Busy {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// What the client does, as far as its bytes tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Nothing, between requests and while one is answered.
    Idle,
    /// It sends a head. A new connection is expected to begin with one.
    Head,
}

/// A connection that ends when its client takes too long.
pub(super) struct Paced {
    stream: TcpStream,
    pace: Pace,
    bounds: Bounds,
    phase: Phase,
    /// Requests before this phase.
    begun: usize,
    /// The end of the phase.
    end: Pin<Box<Sleep>>,
    /// The end of a client's time to read more, while it reads nothing.
    unread: Option<Pin<Box<Sleep>>>,
    /// When it last read on after it had read nothing.
    waited: Option<Instant>,
}

impl Paced {
    pub(super) fn new(stream: TcpStream, pace: Pace, bounds: Bounds) -> Self {
        let end = Box::pin(sleep(bounds.header_timeout));
        Self { stream, pace, bounds, phase: Phase::Head, begun: 0, end, unread: None, waited: None }
    }

    fn enter(&mut self, phase: Phase, since: Instant) {
        let time = match phase {
            Phase::Idle => self.bounds.keep_alive,
            Phase::Head => self.bounds.header_timeout,
        };
        self.phase = phase;
        self.end.as_mut().reset(since + time);
    }

    /// Notices that requests were answered since.
    fn catch_up(&mut self) {
        let begun = self.pace.begun();
        if begun != self.begun {
            self.begun = begun;
            self.enter(
                Phase::Idle,
                self.waited.map_or(self.pace.answered(), |waited| waited.max(self.pace.answered())),
            );
        }
    }

    /// While a request is under way. Nothing tells when it has ended, which would wake the connection once more for each:
    /// where no more is read right then, it is looked at again before the time to be idle can be over.
    fn look_again(&mut self, context: &mut Context<'_>) {
        if self.phase == Phase::Head {
            self.enter(Phase::Idle, Instant::now());
        }
        while self.end.as_mut().poll(context).is_ready() {
            self.enter(Phase::Idle, Instant::now());
        }
    }

    /// Ends a connection whose client leaves what it gets unread.
    fn written<T>(&mut self, context: &mut Context<'_>, outcome: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if outcome.is_ready() {
            if self.unread.take().is_some() {
                self.waited = Some(Instant::now());
            }
            return outcome;
        }
        let limit = self.bounds.keep_alive;
        let end = self.unread.get_or_insert_with(|| Box::pin(sleep_until(Instant::now() + limit)));
        ready!(end.as_mut().poll(context));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

/// Reads what the kernel has. The runtime tells of what comes later.
fn read_arrived(stream: &TcpStream, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
    let socket = SockRef::from(stream);
    match (&*socket).read(buffer.initialize_unfilled()) {
        Ok(count) => {
            buffer.advance(count);
            Poll::Ready(Ok(()))
        }
        Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => Poll::Pending,
        Err(error) => Poll::Ready(Err(error)),
    }
}

impl AsyncRead for Paced {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let mut outcome = Pin::new(&mut self.stream).poll_read(context, buffer);
        if outcome.is_pending() && self.pace.0.leaving.load(Ordering::Relaxed) {
            outcome = read_arrived(&self.stream, buffer);
        }
        // An answer that is still being sent is under way as well, however slowly it is read.
        if self.pace.is_busy() || self.unread.is_some() {
            if outcome.is_pending() {
                self.look_again(context);
            }
            return outcome;
        }
        self.catch_up();
        if outcome.is_ready() {
            if buffer.filled().len() > before && self.phase == Phase::Idle {
                self.enter(Phase::Head, Instant::now());
            }
            return outcome;
        }
        ready!(self.end.as_mut().poll(context));
        match self.phase {
            // As if the client had closed it.
            Phase::Idle => Poll::Ready(Ok(())),
            Phase::Head => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
        }
    }
}

impl AsyncWrite for Paced {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.written(context, outcome)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write_vectored(context, parts);
        self.written(context, outcome)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::time::Duration;

    use tokio::net::TcpListener;

    use super::*;

    const SHORT: Duration = Duration::from_secs(1);

    /// A connection whose only request was answered, and the client at its other end.
    async fn answered() -> (Paced, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        let pace = Pace::new();
        drop(pace.begin(Version::HTTP_11));
        let bounds = Bounds { header_timeout: SHORT, keep_alive: SHORT, head_bytes: 1024 };
        (Paced::new(stream, pace, bounds), client)
    }

    async fn read(paced: &mut Paced) -> Poll<io::Result<()>> {
        let mut bytes = [0; 16];
        poll_fn(|context| Poll::Ready(Pin::new(&mut *paced).poll_read(context, &mut ReadBuf::new(&mut bytes)))).await
    }

    #[tokio::test]
    async fn an_idle_connection_ends_and_one_that_is_still_written_to_does_not() {
        let (mut idle, _client) = answered().await;
        assert!(read(&mut idle).await.is_pending());
        tokio::time::sleep(2 * SHORT).await;
        assert!(matches!(read(&mut idle).await, Poll::Ready(Ok(()))), "as if the client had closed it");

        let (mut slow, client) = answered().await;
        tokio::time::sleep(2 * SHORT).await;
        let part = vec![0; 64 * 1024];
        poll_fn(|context| {
            while Pin::new(&mut slow).poll_write(context, &part).is_ready() {}
            Poll::Ready(())
        })
        .await;
        assert!(read(&mut slow).await.is_pending(), "its client has not read the answer yet");
        // What was sent is read at last: the time to be idle begins then.
        tokio::spawn(async move {
            let mut client = client;
            tokio::io::copy(&mut client, &mut tokio::io::sink()).await
        });
        poll_fn(|context| Pin::new(&mut slow).poll_write(context, &part)).await.unwrap();
        assert!(read(&mut slow).await.is_pending());
        tokio::time::sleep(2 * SHORT).await;
        assert!(matches!(read(&mut slow).await, Poll::Ready(Ok(()))));
    }
}
