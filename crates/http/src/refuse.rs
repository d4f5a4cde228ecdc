//! Refusals that are made before it is known which family a request belongs to: the layers here get a [`Refuse`], which
//! finds the family by the path.

use axum::http::{StatusCode, Uri};
use axum::response::Response;
use jhe_domain::error::Error;

/// Renders a refusal in the words of the family that a path belongs to.
pub type Refuse = fn(&Uri, Refusal) -> Response;

/// What is refused before routes are looked at.
#[derive(Debug)]
pub enum Refusal {
    /// An error of the Exchange.
    Error(Error),
    /// The head of the request is too large: the status that says so, and a sentence.
    Head(StatusCode, &'static str),
    /// The body of the request did not come, or not to its end: the status that says so, and a sentence.
    Body(StatusCode, &'static str),
}

/// Whether a path is one of the probes, which tell how the server is and are let through whatever happens.
pub(crate) fn is_probe(path: &str) -> bool {
    matches!(path, "/health" | "/ready" | "/livez" | "/readyz")
}
