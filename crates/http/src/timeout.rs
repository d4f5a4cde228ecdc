//! A bound on the time a request may take, reading its body included.
//!
//! What a handler was doing is dropped where it stands. Nothing is left half written: a unit of work that is dropped
//! before its commit takes everything back, and one that is a single statement holds entirely or not at all.

use std::time::Duration;

use axum::extract::Request;
use axum::response::Response;
use jhe_domain::error::Error;

use crate::refuse::{Refusal, Refuse};

/// How long callers are asked to wait before they try again.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// The bound of one server.
#[derive(Debug, Clone, Copy)]
pub struct TimeLimit {
    /// How long a request may take.
    pub most: Duration,
    /// How a refusal is put.
    pub refuse: Refuse,
}

/// Layer: answers 503 in the family's words when a request takes too long.
pub async fn limit(limit: TimeLimit, request: Request, next: impl AsyncFnOnce(Request) -> Response) -> Response {
    let uri = request.uri().clone();
    if let Ok(response) = tokio::time::timeout(limit.most, next(request)).await {
        return response;
    }
    metrics::counter!("jhe_http_timeouts_total").increment(1);
    let source = format!("a request took longer than {} s", limit.most.as_secs_f64()).into();
    (limit.refuse)(&uri, Refusal::Error(Error::Unavailable { retry_after: RETRY_AFTER, source }))
}
