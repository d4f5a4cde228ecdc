//! A bound on the requests under way. Beyond it a request waits a moment for its turn and is then turned away, which
//! costs little: those that were let in are answered as fast as ever.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::Request;
use axum::response::Response;
use jhe_domain::error::Error;
use tokio::sync::Semaphore;

use crate::refuse::{Refusal, Refuse, is_probe};

/// How long a request waits for its turn.
const WAIT: Duration = Duration::from_millis(250);
/// How long those turned away are asked to wait.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// The bound of one server.
#[derive(Debug, Clone)]
pub struct Gate {
    places: Arc<Semaphore>,
    refuse: Refuse,
}

impl Gate {
    /// Lets so many in at once.
    pub fn new(most: usize, refuse: Refuse) -> Self {
        Self { places: Arc::new(Semaphore::new(most.min(Semaphore::MAX_PERMITS))), refuse }
    }
}

/// Layer: lets a request in or answers 503 in the family's words.
pub async fn limit(gate: &Gate, request: Request, next: impl AsyncFnOnce(Request) -> Response) -> Response {
    if is_probe(request.uri().path()) {
        return next(request).await;
    }
    let place = match gate.places.try_acquire() {
        Ok(place) => Some(place),
        Err(_) => tokio::time::timeout(WAIT, gate.places.acquire()).await.ok().and_then(Result::ok),
    };
    // Held until there is an answer; what it takes to send it is not the server's work.
    let Some(_place) = place else {
        metrics::counter!("jhe_http_refused_total").increment(1);
        return (gate.refuse)(request.uri(), Refusal::Error(Error::Overloaded { retry_after: RETRY_AFTER }));
    };
    next(request).await
}
