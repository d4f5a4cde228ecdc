//! The route of a request, for everything that tells of requests: a template, never a path.

use axum::extract::{MatchedPath, Request};

/// The route of a request that is answered before it is routed.
#[derive(Debug, Clone, Copy)]
pub struct Route(pub &'static str);

/// The template of a request's route, where it has one.
pub(crate) fn matched(request: &Request) -> Option<&str> {
    let extensions = request.extensions();
    extensions.get::<MatchedPath>().map(MatchedPath::as_str).or_else(|| extensions.get().map(|Route(route)| *route))
}

/// The template of a request's route, and a dash for none.
pub(crate) fn of(request: &Request) -> &str {
    matched(request).unwrap_or("-")
}
