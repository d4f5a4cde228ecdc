//! The id in a path, whatever it looks like.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use jhe_http::query;

/// The last part of the path, decoded. What cannot be an id is for the handler to say.
pub(crate) struct SentId(pub(crate) String);

impl<S: Sync> FromRequestParts<S> for SentId {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let last = parts.uri.path().rsplit('/').next().unwrap_or_default();
        Ok(Self(query::decode_path(last)))
    }
}
