//! How an API family answers when something is refused before its handlers run.

use axum::http::StatusCode;
use axum::response::Response;
use jhe_domain::error::Error;

/// An API family: its own words for the same errors.
pub trait Family: Send + Sync + 'static {
    /// Renders an error.
    fn render(error: Error) -> Response;
    /// The host of the request is not one of ours.
    fn invalid_host() -> Response;
    /// The request itself is beyond a bound of HTTP: the status that says so, and a sentence.
    fn oversized(status: StatusCode, text: &str) -> Response;
    /// The body of the request did not come, or not to its end: the status that says so, and a sentence.
    fn incomplete(status: StatusCode, text: &str) -> Response;
}
