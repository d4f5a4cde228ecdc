//! The id in a path: a decimal integer, or there is no such address.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use jhe_domain::error::{Error, Lookup};

use crate::error::AdminError;

/// The `{id}` of a path.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PathId(pub(crate) i64);

impl<S: Send + Sync> FromRequestParts<S> for PathId {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Response> {
        let PathText(text) = PathText::from_request_parts(parts, state).await?;
        parse(&text).map(Self).ok_or_else(|| AdminError(Error::NotFound(Lookup::Address)).into_response())
    }
}

/// Reads a path id: digits only, at most 63 bits.
pub(crate) fn parse(text: &str) -> Option<i64> {
    (!text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.parse().ok()).flatten()
}

/// The only parameter of a path, as text.
#[derive(Debug, Clone)]
pub(crate) struct PathText(pub(crate) String);

impl<S: Send + Sync> FromRequestParts<S> for PathText {
    type Rejection = Response;

    #[expect(clippy::disallowed_types, reason = "the family's own extractor around it")]
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Response> {
        axum::extract::Path::<String>::from_request_parts(parts, state)
            .await
            .map(|axum::extract::Path(text)| Self(text))
            .map_err(|_| AdminError(Error::NotFound(Lookup::Address)).into_response())
    }
}

/// The path of a request as its caller spelled it: links repeat it.
#[derive(Debug, Clone)]
pub(crate) struct SentPath(pub(crate) String);

impl<S: Send + Sync> FromRequestParts<S> for SentPath {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        let sent = parts.extensions.get::<jhe_http::normalize::OriginalPath>().map(|path| path.0.clone());
        Ok(Self(sent.unwrap_or_else(|| parts.uri.path().to_owned())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn path_ids_are_decimal_and_fit() {
        assert_eq!(parse("40001"), Some(40001));
        for bad in ["", "abc", "-1", "1.5", "9223372036854775808", "+1", "٣"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
