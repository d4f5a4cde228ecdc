//! Accepts connections and serves them until the server stops. What a client may take its time with is bounded in
//! [`pace`]; what it asks for is the router's.

mod pace;

use std::convert::Infallible;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::Request;
use axum::response::Response;
use futures_util::FutureExt as _;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tower::{Service, ServiceExt as _};

use pace::{Busy, Pace, Paced};

/// What connections may take.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// How long the head of a request may take to arrive.
    pub header_timeout: Duration,
    /// How long a connection is kept without a request, and how long a client may leave an answer unread.
    pub keep_alive: Duration,
    /// Bytes of a head that are read at most; those that are fewer and still too many get an answer with a body.
    pub head_bytes: usize,
}

/// How long a connection that came before the end may take to send its first request.
const LAST_CALL: Duration = Duration::from_secs(1);
/// How many connections that came before the end are still accepted.
const LAST_GUESTS: usize = 1024;
/// How long to wait when there are no more file descriptors.
const BREATH: Duration = Duration::from_millis(200);

/// What answers requests.
pub trait Serves:
    Service<Request<Body>, Response = Response, Error = Infallible, Future: Send> + Clone + Send + 'static
{
}

impl<S> Serves for S where
    S: Service<Request<Body>, Response = Response, Error = Infallible, Future: Send> + Clone + Send + 'static
{
}

/// Serves connections until `stopped` says so or can say so no more; then finishes the requests under way, closes what is idle, and returns.
pub async fn serve<S: Serves>(listener: TcpListener, service: S, bounds: Bounds, stopped: watch::Receiver<bool>) {
    let (open, mut all_closed) = mpsc::channel::<Infallible>(1);
    let welcome = |stream: TcpStream, peer: SocketAddr| {
        let connection = connection(stream, peer, service.clone(), bounds, stopped.clone());
        let open = open.clone();
        tokio::spawn(async move {
            connection.await;
            drop(open);
        });
    };
    let mut end = stopped.clone();
    let end = async move {
        end.wait_for(|stopped| *stopped).await.ok();
    };
    tokio::pin!(end);
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => welcome(stream, peer),
                Err(error) if concerns_one(&error) => {}
                Err(error) => {
                    tracing::error!(error = %error, "no connection can be accepted for now");
                    tokio::time::sleep(BREATH).await;
                }
            },
            () = end.as_mut() => break,
        }
    }
    for (stream, peer) in waiting(listener) {
        welcome(stream, peer);
    }
    drop(open);
    all_closed.recv().await;
}

/// Who has connected already and thinks of the server as running. The kernel is asked itself: what the runtime has been
/// told of new connections may be older than they are.
fn waiting(listener: TcpListener) -> Vec<(TcpStream, SocketAddr)> {
    let mut guests = Vec::new();
    let Ok(listener) = listener.into_std() else { return guests };
    for _ in 0..LAST_GUESTS {
        match listener.accept() {
            Ok((stream, peer)) => {
                let stream = stream.set_nonblocking(true).and_then(|()| TcpStream::from_std(stream));
                guests.extend(stream.ok().map(|stream| (stream, peer)));
            }
            Err(error) if concerns_one(&error) => {}
            Err(_) => break,
        }
    }
    guests
}

/// Whether a fault of accepting is one of the connection alone.
fn concerns_one(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

async fn connection<S: Serves>(
    stream: TcpStream,
    peer: SocketAddr,
    service: S,
    bounds: Bounds,
    mut stopped: watch::Receiver<bool>,
) {
    // Answers are written whole: waiting for more to send would only delay them.
    stream.set_nodelay(true).ok();
    let pace = Pace::new();
    let io = TokioIo::new(Paced::new(stream, pace.clone(), bounds));
    let answer = service_fn({
        let pace = pace.clone();
        move |request: Request<Incoming>| {
            let busy = pace.begin(request.version());
            let mut request = request.map(Body::new);
            request.extensions_mut().insert(ConnectInfo(peer));
            let answered = service.clone().oneshot(request);
            async move { answered.await.map(|response| response.map(|body| Busy::new(body, busy))) }
        }
    });
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        // Kept by the pace: the one of the library would also close connections that only wait for their next request.
        .header_read_timeout(None)
        .max_buf_size(bounds.head_bytes.max(8192));
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(Some(bounds.keep_alive))
        .max_header_list_size(u32::try_from(bounds.head_bytes).unwrap_or(u32::MAX));
    let connection = builder.serve_connection(io, answer);
    let leave = async {
        stopped.wait_for(|stopped| *stopped).await.ok();
        // The first request of a new connection is under way already, most likely.
        tokio::time::timeout(LAST_CALL, pace.has_begun()).await.ok();
    };
    tokio::pin!(connection);
    tokio::select! {
        outcome = connection.as_mut() => return note(outcome),
        () = leave => {}
    }
    pace.leave();
    // What has arrived is read before an idle connection is closed.
    if let Some(outcome) = connection.as_mut().now_or_never() {
        return note(outcome);
    }
    connection.as_mut().graceful_shutdown();
    note(connection.await);
}

/// How a connection ended. What clients do wrong is theirs.
fn note<E: fmt::Display>(outcome: Result<(), E>) {
    if let Err(error) = outcome {
        tracing::debug!(error = %error, "a connection broke off");
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};

    use tower::service_fn;

    use super::*;

    const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: here\r\n\r\n";
    const WAIT: Duration = Duration::from_secs(30);
    const BOUNDS: Bounds = Bounds { header_timeout: WAIT, keep_alive: WAIT, head_bytes: 1024 };

    /// A server that says yes, until the sender says stop.
    async fn server() -> (SocketAddr, watch::Sender<bool>, impl Future<Output = ()> + Send) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let service = service_fn(async |_: Request<Body>| Ok(Response::new(Body::from("yes"))));
        let (stop, stopped) = watch::channel(false);
        (address, stop, serve(listener, service, BOUNDS, stopped))
    }

    #[tokio::test]
    async fn whoever_connected_before_the_end_is_answered() {
        let (address, stop, serving) = server().await;
        // Nothing here waits, so that the runtime looks for new connections for the first time when it is to stop.
        let guests: Vec<_> = (0..3)
            .map(|_| {
                let mut guest = std::net::TcpStream::connect(address).unwrap();
                guest.write_all(REQUEST).unwrap();
                guest
            })
            .collect();
        stop.send(true).unwrap();
        serving.await;
        for mut guest in guests {
            let mut answer = String::new();
            guest.read_to_string(&mut answer).unwrap();
            assert!(answer.ends_with("yes"), "{answer:?}");
        }
    }

    #[tokio::test]
    async fn a_request_that_came_before_the_end_is_answered_on_a_connection_that_was_idle() {
        let (address, stop, serving) = server().await;
        let serving = tokio::spawn(serving);
        let ask = move || {
            let mut guest = std::net::TcpStream::connect(address).unwrap();
            guest.write_all(REQUEST).unwrap();
            let (mut answer, mut part) = (Vec::new(), [0; 512]);
            while !answer.ends_with(b"yes") {
                let count = guest.read(&mut part).unwrap();
                answer.extend_from_slice(&part[..count]);
            }
            guest
        };
        let mut guest = tokio::task::spawn_blocking(ask).await.unwrap();
        // Nothing here waits, so that the runtime does not look for what has arrived before it is to stop.
        guest.write_all(REQUEST).unwrap();
        stop.send(true).unwrap();
        serving.await.unwrap();
        let mut answer = String::new();
        guest.read_to_string(&mut answer).unwrap();
        assert!(answer.ends_with("yes"), "{answer:?}");
    }
}
