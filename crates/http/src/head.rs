//! Bounds on the head of a request. A head that is far beyond them never comes this far: the connection is refused
//! while it is read.

use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;

use crate::refuse::{Refusal, Refuse};

/// The bounds of one server.
#[derive(Debug, Clone, Copy)]
pub struct HeadLimits {
    /// Bytes of path and query.
    pub uri_bytes: usize,
    /// Bytes of names and values of all headers.
    pub header_bytes: usize,
    /// How a refusal is put.
    pub refuse: Refuse,
}

/// Layer: answers 414 and 431 (RFC 9110 §15.5.15, RFC 6585 §5) in the family's words.
pub async fn limit(limits: HeadLimits, request: Request, next: impl AsyncFnOnce(Request) -> Response) -> Response {
    let uri_bytes = request.uri().path_and_query().map_or(0, |target| target.as_str().len());
    let refusal = if uri_bytes > limits.uri_bytes {
        Refusal::Head(StatusCode::URI_TOO_LONG, "The address of the request is too long.")
    } else if header_bytes(request.headers()) > limits.header_bytes {
        Refusal::Head(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "The headers of the request are too large.")
    } else {
        return next(request).await;
    };
    (limits.refuse)(request.uri(), refusal)
}

/// Names and values, with what separates them on the wire.
fn header_bytes(headers: &HeaderMap) -> usize {
    const SEPARATORS: usize = 4;
    headers.iter().map(|(name, value)| name.as_str().len() + value.len() + SEPARATORS).sum()
}
